#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/fate.h"
#include "lib/fd.h"
#include "lib/proc.h"

void
fates_release(struct fates *f)
{
	free(f->boards);
	*f = (struct fates){ 0 };
}

/* Room for one more page; NULL without memory. */
static struct fate_board *
fates_room(struct fates *f)
{
	size_t room = f->room > 0 ? f->room * 2 : 8;
	struct fate_board *boards = f->boards;

	if (f->n == f->room) {
		boards = realloc(boards, room * sizeof *boards);
		if (boards == NULL)
			return NULL;
		f->boards = boards;
		f->room = room;
	}
	return &boards[f->n];
}

/* GENERATION.PID */
static void
fates_read(struct fates *f, int dir_fd, const char *name)
{
	const char *dot = strchr(name, '.');
	struct fate_board *b;
	int fd;

	if (dot == NULL || dot - name != sizeof b->generation - 1 ||
	    (b = fates_room(f)) == NULL)
		return;
	fd = openat(
	    dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1)
		return;
	if (scoreboard_read(fd, &b->board) == 0) {
		memcpy(b->generation, name, sizeof b->generation - 1);
		b->generation[sizeof b->generation - 1] = '\0';
		b->is_alive = proc_alive((pid_t)atol(dot + 1), 0);
		f->n++;
	}
	fd_close(&fd);
}

/* What waits first in the queue? */
static void
fates_peek(struct fates *f, int receive)
{
	unsigned char bytes[WIRE_HEAD];
	ssize_t n = -1;

	f->receive = receive;
	if (receive != -1)
		n = recv(receive, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	f->has_first =
	    n > 0 && wire_get_origin(bytes, (size_t)n, &f->first) == 0;
}

int
fates_look(struct fates *f, int run_fd, int receive, int64_t now)
{
	struct dirent *entry;
	DIR *dir;
	int fd;

	if (f->looked != 0 && now - f->looked < FATES_FRESH &&
	    f->receive == receive)
		return 0;
	f->n = 0;
	f->looked = 0;
	f->looks++;
	fates_peek(f, receive);
	fd = openat(
	    run_fd, "workers", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL)
		fates_read(f, dirfd(dir), entry->d_name);
	closedir(dir);
	f->looked = now;
	return 0;
}

/* Has the generation workers that could still take something? */
static int
fates_has_generation(const struct fates *f, const char *generation)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->boards[i].is_alive &&
		    strcmp(f->boards[i].generation, generation) == 0)
			return 1;
	return 0;
}

/* Messages are taken in the order in which they were sent, so all that came
 * before the first that waits have been taken. (Another responder's was sent
 * when it was queued or later: it may have waited for room.) */
static int
fates_may_wait(const struct fates *f, const struct fate_request *r)
{
	if (f->receive == -1)
		return fates_has_generation(f, r->generation);
	if (!f->has_first)
		return 0;
	return f->first.responder == r->responder
		   ? f->first.counter <= r->counter
		   : (int64_t)f->first.queued <= r->handed;
}

unsigned
fates_accepted(const struct fates *f, const char *generation)
{
	const struct fate_board *b;
	unsigned n = 0;

	for (size_t i = 0; i < f->n; i++) {
		b = &f->boards[i];
		n += b->is_alive && b->board.word[BOARD_COUNTER] != 0 &&
		     b->board.word[BOARD_RESPONDER] == 0 &&
		     strcmp(b->generation, generation) == 0;
	}
	return n;
}

uint64_t
fates_answered(const struct fates *f)
{
	uint64_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (f->boards[i].is_alive)
			n += f->boards[i].board.word[BOARD_REQUESTS];
	return n;
}

enum fate
fates_of(const struct fates *f, const struct fate_request *r,
    const struct board **board)
{
	const uint64_t *word;

	for (size_t i = 0; i < f->n; i++) {
		word = f->boards[i].board.word;
		if (word[BOARD_COUNTER] != r->counter ||
		    word[BOARD_RESPONDER] != r->responder)
			continue;
		*board = &f->boards[i].board;
		return f->boards[i].is_alive ? FATE_RUNNING : FATE_DEAD;
	}
	if (fates_may_wait(f, r) || r->looks == f->looks)
		return FATE_WAITING;
	return fates_has_generation(f, r->generation) ? FATE_OVER
						      : FATE_UNKNOWN;
}
