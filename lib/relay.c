#include "config.h"

#include "lib/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/fd.h"

#ifdef HAVE_SPLICE

static int relay_in = -1, relay_out = -1; /* the pipe's ends */

static int
relay_open(void)
{
	int ends[2];

	if (relay_in != -1)
		return 0;
	if (fd_pipe(ends) == -1)
		return -1;
	(void)fcntl(ends[1], F_SETPIPE_SZ, RELAY_PIPE);
	relay_out = ends[0];
	relay_in = ends[1];
	return 0;
}

static ssize_t
relay_step(int from, int to, size_t n)
{
	ssize_t moved;

	do
		moved = splice(
		    from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (moved == -1 && errno == EINTR);
	return moved;
}

/* The n bytes in the pipe, into rest. */
static int
relay_keep(size_t n, struct buf *rest)
{
	unsigned char *place = buf_space(rest, n);
	ssize_t got;

	while (place != NULL && n > 0) {
		got = read(relay_out, place, n);
		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		buf_added(rest, (size_t)got);
		place += got;
		n -= (size_t)got;
	}
	return n == 0 ? 0 : -1;
}

ssize_t
relay(int from, int to, size_t n, struct buf *rest)
{
	ssize_t taken, given = 0;
	size_t left;

	if (relay_open() == -1 || (taken = relay_step(from, relay_in, n)) <= 0)
		return 0;
	left = (size_t)taken;
	while (left > 0 && (given = relay_step(relay_out, to, left)) > 0)
		left -= (size_t)given;
	if (left == 0)
		return taken;
	if (given == -1 && errno == EAGAIN && relay_keep(left, rest) == 0)
		return taken;
	/* what is still in the pipe is nobody's */
	fd_close(&relay_in);
	fd_close(&relay_out);
	return -1;
}

#else

ssize_t
relay(int from, int to, size_t n, struct buf *rest)
{
	(void)from;
	(void)to;
	(void)n;
	(void)rest;
	return 0;
}

#endif
