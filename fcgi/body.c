#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/body.h"
#include "lib/fd.h"
#include "lib/wire.h"

void
body_init(struct body *b)
{
	b->bytes = NULL;
	b->length = 0;
	b->fd = -1;
}

void
body_release(struct body *b)
{
	free(b->bytes);
	fd_close(&b->fd);
	body_init(b);
}

/* What was in memory so far becomes the beginning of a file. */
static int
body_spill(struct body *b, int dir_fd)
{
	int fd = fd_unnamed(dir_fd);

	if (fd == -1)
		return -1;
	if (b->length > 0 &&
	    fd_write_all(fd, b->bytes, (size_t)b->length) == -1) {
		fd_close(&fd);
		return -1;
	}
	free(b->bytes);
	b->bytes = NULL;
	b->fd = fd;
	return 0;
}

int
body_add(struct body *b, int dir_fd, const void *bytes, size_t n)
{
	if (n == 0)
		return 0;
	if (b->fd == -1 && b->length + n > WIRE_INLINE_BODY &&
	    body_spill(b, dir_fd) == -1)
		return -1;
	if (b->fd != -1) {
		if (fd_write_all(b->fd, bytes, n) == -1)
			return -1;
	} else {
		if (b->bytes == NULL &&
		    (b->bytes = malloc(WIRE_INLINE_BODY)) == NULL)
			return -1;
		memcpy(b->bytes + b->length, bytes, n);
	}
	b->length += n;
	return 0;
}

int
body_prefix(struct body *b, int dir_fd, const void *bytes, size_t n)
{
	unsigned char piece[32768];
	int fd = fd_unnamed(dir_fd);
	off_t at = 0;
	ssize_t got;

	if (fd == -1 || fd_write_all(fd, bytes, n) == -1)
		goto fail;
	if (b->fd == -1) {
		if (b->length > 0 &&
		    fd_write_all(fd, b->bytes, (size_t)b->length) == -1)
			goto fail;
	} else {
		while ((got = pread(b->fd, piece, sizeof piece, at)) > 0) {
			if (fd_write_all(fd, piece, (size_t)got) == -1)
				goto fail;
			at += got;
		}
		if (got == -1)
			goto fail;
		fd_close(&b->fd);
	}
	free(b->bytes);
	b->bytes = NULL;
	b->fd = fd;
	return 0;

fail:
	fd_close(&fd);
	return -1;
}
