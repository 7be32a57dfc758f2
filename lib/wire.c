#include "config.h"

#include <string.h>

#include "lib/wire.h"

#define WIRE_FLAGS                                                           \
	(WIRE_SPOOL | WIRE_SPOOL_PARAMS | WIRE_SPOOL_BODY | WIRE_KEEP_CONN | \
	    WIRE_DIRECT)

static void
put(unsigned char *out, uint64_t number, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (unsigned char)(number >> (8 * i) & 0xff);
}

static uint64_t
get(const unsigned char *in, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes; i++)
		number |= (uint64_t)in[i] << (8 * i);
	return number;
}

void
wire_put_head(unsigned char *out, const struct wire_head *head)
{
	memcpy(out, WIRE_MAGIC, 4);
	put(out + 4, WIRE_VERSION, 2);
	put(out + 6, head->flags, 2);
	put(out + 8, head->params, 4);
	put(out + 12, head->request_id, 2);
	put(out + 14, 0, 2);
	put(out + 16, head->body, 8);
	put(out + 24, head->responder, 8);
	put(out + 32, head->counter, 8);
	put(out + 40, head->queued, 8);
	put(out + 48, head->not_after, 8);
	put(out + 56, 0, 8);
}

/* A spool comes exactly when something is in it. */
static int
flags_fit(unsigned flags)
{
	int holds = (flags & (WIRE_SPOOL_PARAMS | WIRE_SPOOL_BODY)) != 0;

	return (flags & ~(unsigned)WIRE_FLAGS) == 0 &&
	       holds == ((flags & WIRE_SPOOL) != 0);
}

static int
sizes_fit(const struct wire_head *head, size_t n)
{
	uint64_t params = head->flags & WIRE_SPOOL_PARAMS ? 0 : head->params;
	uint64_t body = head->flags & WIRE_SPOOL_BODY ? 0 : head->body;

	if (head->params > WIRE_PARAMS_MOST || body > WIRE_INLINE_BODY)
		return 0;
	if (head->body > (uint64_t)INT64_MAX - head->params)
		return 0; /* no file is that long */
	return n == WIRE_HEAD + params + body;
}

int
wire_get_origin(const unsigned char *in, size_t n, struct wire_head *head)
{
	if (n < WIRE_HEAD || memcmp(in, WIRE_MAGIC, 4) != 0 ||
	    get(in + 4, 2) != WIRE_VERSION)
		return -1;
	head->responder = get(in + 24, 8);
	head->counter = get(in + 32, 8);
	head->queued = get(in + 40, 8);
	return 0;
}

int
wire_get_head(const unsigned char *in, size_t n, struct wire_head *head)
{
	if (n > WIRE_MOST || wire_get_origin(in, n, head) == -1 ||
	    get(in + 14, 2) != 0 || get(in + 56, 8) != 0)
		return -1;
	head->flags = (uint16_t)get(in + 6, 2);
	head->params = (uint32_t)get(in + 8, 4);
	head->request_id = (uint16_t)get(in + 12, 2);
	head->body = get(in + 16, 8);
	head->not_after = get(in + 48, 8);
	if (head->request_id == 0 || !flags_fit(head->flags) ||
	    !sizes_fit(head, n))
		return -1;
	return 0;
}
