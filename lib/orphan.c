#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/orphan.h"
#include "lib/proc.h"

#define GENERATION_LENGTH 32
#define ORPHAN_BOARD      5 /* the descriptor of its page */

static int
is_hexadecimal(const char *text)
{
	return strspn(text, "0123456789abcdef") == GENERATION_LENGTH;
}

int
orphan_is_generation(const char *text)
{
	return is_hexadecimal(text) && text[GENERATION_LENGTH] == '\0';
}

/* "GENERATION.PID" */
static int
page_name(struct orphan *o, const char *name)
{
	char *end;
	long pid;

	if (!is_hexadecimal(name) || name[GENERATION_LENGTH] != '.' ||
	    strlen(name) >= sizeof o->page)
		return -1;
	pid = strtol(name + GENERATION_LENGTH + 1, &end, 10);
	if (*end != '\0' || pid <= 1)
		return -1;
	memcpy(o->page, name, strlen(name) + 1);
	memcpy(o->generation, name, GENERATION_LENGTH);
	o->generation[GENERATION_LENGTH] = '\0';
	o->pid = (pid_t)pid;
	return 0;
}

/* Is it worth a place? */
static int
page_read(struct orphan *o, int boards_dir)
{
	int fd, is_there;

	o->is_dead = !proc_alive(o->pid, 0);
	fd = openat(boards_dir, o->page,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	is_there = fd != -1 && scoreboard_read(fd, &o->board) == 0;
	fd_close(&fd);
	return is_there && (!o->is_dead || o->board.word[BOARD_COUNTER] != 0);
}

int
orphan_has_lost(struct orphan *o, int boards_dir)
{
	return page_read(o, boards_dir) && o->is_dead;
}

void
orphans_read(struct orphans *all, int boards_dir, int64_t now)
{
	struct orphan *o = NULL;
	struct dirent *entry;
	DIR *dir;
	int n = 0, fd;

	all->since = now;
	fd = openat(boards_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL && n++ < ORPHANS_MOST) {
		if (o == NULL && (o = calloc(1, sizeof *o)) == NULL)
			break;
		if (page_name(o, entry->d_name) == -1 ||
		    !page_read(o, boards_dir))
			continue;
		o->next = all->first;
		all->first = o;
		o = NULL;
	}
	free(o);
	closedir(dir);
}

/* Signals whoever has that page open as a worker has its own: 0, or -1. */
static int
orphan_signal(const struct orphan *o, int boards_dir, int signo)
{
	int fd = openat(boards_dir, o->page,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int result = -1;

	if (fd != -1)
		result = proc_signal_holder(o->pid, ORPHAN_BOARD, fd, signo);
	fd_close(&fd);
	return result;
}

void
orphans_end(struct orphans *all, int boards_dir)
{
	struct orphan *o;

	for (o = all->first; o != NULL; o = o->next)
		if (!o->is_dead && page_read(o, boards_dir) && !o->is_dead &&
		    o->board.word[BOARD_STATE] == BOARD_STARTING)
			(void)orphan_signal(o, boards_dir, SIGKILL);
}

int
orphans_live(int boards_dir)
{
	struct orphans all = { 0 };
	const struct orphan *o;
	int is_alive = 0;

	orphans_read(&all, boards_dir, 0);
	for (o = all.first; o != NULL && !is_alive; o = o->next)
		is_alive = orphan_signal(o, boards_dir, 0) == 0;
	orphans_release(&all);
	return is_alive;
}

void
orphans_release(struct orphans *all)
{
	struct orphan *o;

	while ((o = all->first) != NULL) {
		all->first = o->next;
		free(o);
	}
}

struct orphan *
orphans_take(struct orphans *all, const char *generation)
{
	struct orphan **link = &all->first, *o;

	for (; (o = *link) != NULL; link = &o->next)
		if (!o->is_dead && strcmp(o->generation, generation) == 0) {
			*link = o->next;
			return o;
		}
	return NULL;
}

int
orphans_have(const struct orphans *all, pid_t pid)
{
	const struct orphan *o;

	for (o = all->first; o != NULL; o = o->next)
		if (!o->is_dead && o->pid == pid)
			return 1;
	return 0;
}

int
orphans_are_expected(const struct orphans *all, int64_t now)
{
	const struct orphan *o = all->first;

	while (o != NULL && o->is_dead)
		o = o->next;
	return o != NULL && now - all->since < ORPHANS_WAIT_MS;
}
