#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/scoreboard.h"

int
scoreboard_new(int dir_fd, const char *name, struct problem *why)
{
	static const uint64_t magic = SCOREBOARD_MAGIC;
	unsigned char page[SCOREBOARD_SIZE] = { 0 };
	int fd = openat(dir_fd, name,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return problem_sys(why, "cannot create %s", name);
	/* Written, not only stretched: the blocks are there from now on. */
	memcpy(page, &magic, sizeof magic);
	if (fd_write_all(fd, page, sizeof page) == 0)
		return fd;
	problem_sys(why, "cannot allocate %s", name);
	unlinkat(dir_fd, name, 0);
	fd_close(&fd);
	return -1;
}

int
scoreboard_read(int fd, struct board *board)
{
	unsigned char page[SCOREBOARD_SIZE];
	ssize_t n;

	do
		n = pread(fd, page, sizeof page, 0);
	while (n == -1 && errno == EINTR);
	if (n != (ssize_t)sizeof page)
		return -1;
	memcpy(board->word, page, sizeof board->word);
	if (board->word[BOARD_MAGIC] != SCOREBOARD_MAGIC)
		return -1;
	memcpy(board->url, page + SCOREBOARD_URL_AT, SCOREBOARD_URL_MOST);
	board->url[SCOREBOARD_URL_MOST] = '\0';
	return 0;
}
