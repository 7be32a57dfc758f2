#ifndef MAMAYO_BODY_H
#define MAMAYO_BODY_H

#include <stddef.h>
#include <stdint.h>

/*
 * body: a request's body while it arrives: in memory while it is small, in a
 * file without a name below run/ once it is not, so that a slow upload never
 * occupies a worker and a large one never our memory.
 *
 * The file is made with `before` bytes in front if the parameters have to
 * travel in it too (lib/wire.h). Owns its memory and its descriptor.
 */
struct body {
	unsigned char *bytes; /* NULL, or WIRE_INLINE_BODY bytes of memory */
	uint64_t length;      /* bytes so far */
	int fd;               /* the spool file, -1: none */
};

void body_init(struct body *);
void body_release(struct body *);

/*
 * Appends. Returns 0, or -1 with errno (ENOSPC, EMFILE, ENOMEM ...): nothing
 * more can be stored, and the request has to be refused.
 */
int body_add(struct body *, int dir_fd, const void *, size_t);

/*
 * Makes a spool that begins with these bytes, followed by what is there.
 * Returns 0 or -1 with errno.
 */
int body_prefix(struct body *, int dir_fd, const void *, size_t);

#endif
