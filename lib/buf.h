#ifndef MAMAYO_BUF_H
#define MAMAYO_BUF_H

#include <stddef.h>

/*
 * buf: a queue of bytes with a ceiling.
 *
 * Bytes go in at the tail and come out at the head. A buf never holds more
 * than its limit, so no peer can make us eat memory without end.
 *
 * A buf owns its storage; buf_release() gives it back and leaves the buf
 * empty and usable. What buf_data() returns is borrowed: it dies at the next
 * call that changes the buf.
 */
struct buf {
	unsigned char *base; /* storage, NULL until first used */
	size_t head;         /* first byte held */
	size_t tail;         /* one past the last byte held */
	size_t size;         /* bytes allocated */
	size_t limit;        /* most bytes ever held at once */
};

#define BUF_INIT(most) ((struct buf){ .limit = (most) })

void buf_release(struct buf *);

size_t buf_len(const struct buf *);
size_t buf_room(const struct buf *); /* bytes until the limit */
const unsigned char *buf_data(const struct buf *);

/* All or nothing. Returns 0, or -1 with errno ENOBUFS or ENOMEM. */
int buf_add(struct buf *, const void *, size_t);

/*
 * A place at the tail for n bytes, to be filled by read(2) and announced by
 * buf_added(). NULL with errno ENOBUFS or ENOMEM. Borrowed until the next
 * call that changes the buf.
 */
unsigned char *buf_space(struct buf *, size_t n);
void buf_added(struct buf *, size_t n);

/* Forget the first n bytes; n must not exceed buf_len(). */
void buf_drop(struct buf *, size_t n);

#endif
