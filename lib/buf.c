#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"

#define BUF_FIRST 512 /* smallest allocation, in bytes */

static void
buf_check(const struct buf *b)
{
	assert(b->head <= b->tail && b->tail <= b->size);
	assert(b->tail - b->head <= b->limit && b->size <= b->limit);
	assert(b->base != NULL || b->size == 0);
}

void
buf_release(struct buf *b)
{
	free(b->base);
	*b = BUF_INIT(b->limit);
}

size_t
buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

size_t
buf_room(const struct buf *b)
{
	return b->limit - buf_len(b);
}

const unsigned char *
buf_data(const struct buf *b)
{
	return b->base == NULL ? NULL : b->base + b->head;
}

/* Make place for n more at the tail: slide first, grow only if we must. */
static int
buf_reserve(struct buf *b, size_t n)
{
	unsigned char *base;
	size_t size = b->size > 0 ? b->size : BUF_FIRST;

	if (n > buf_room(b)) {
		errno = ENOBUFS;
		return -1;
	}
	if (n <= b->size - b->tail)
		return 0;
	if (b->head > 0) {
		memmove(b->base, b->base + b->head, buf_len(b));
		b->tail -= b->head;
		b->head = 0;
	}
	while (size < b->limit && (size < b->tail || size - b->tail < n))
		size = size > b->limit / 2 ? b->limit : size * 2;
	if (size > b->limit)
		size = b->limit; /* tail + n fit: that was checked first */
	if (size == b->size)
		return 0;
	if ((base = realloc(b->base, size)) == NULL)
		return -1;
	b->base = base;
	b->size = size;
	return 0;
}

int
buf_add(struct buf *b, const void *bytes, size_t n)
{
	unsigned char *place;

	if (n == 0)
		return 0;
	if ((place = buf_space(b, n)) == NULL)
		return -1;
	memcpy(place, bytes, n);
	buf_added(b, n);
	return 0;
}

unsigned char *
buf_space(struct buf *b, size_t n)
{
	buf_check(b);
	assert(n > 0);
	if (buf_reserve(b, n) == -1)
		return NULL;
	return b->base + b->tail;
}

void
buf_added(struct buf *b, size_t n)
{
	assert(n <= b->size - b->tail);
	b->tail += n;
	buf_check(b);
}

void
buf_drop(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->head += n;
	if (b->head == b->tail)
		b->head = b->tail = 0;
	buf_check(b);
}
