#include "config.h"

#include <fastcgi.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/record.h"

long
record_head(const unsigned char *in, size_t n, struct record *r)
{
	if (n > 0 && in[0] != FCGI_VERSION_1)
		return -1;
	if (n < RECORD_HEAD)
		return 0;
	r->type = in[1];
	r->request_id = (uint16_t)(in[2] << 8 | in[3]);
	r->length = (uint16_t)(in[4] << 8 | in[5]);
	r->padding = in[6];
	r->content = NULL;
	return RECORD_HEAD;
}

long
record_take(const unsigned char *in, size_t n, struct record *r)
{
	long used = record_head(in, n, r);

	if (used <= 0)
		return used;
	if (n - RECORD_HEAD < (size_t)r->length + r->padding)
		return 0;
	r->content = in + RECORD_HEAD;
	return RECORD_HEAD + (long)r->length + r->padding;
}

void
record_put_head(
    unsigned char *out, int type, uint16_t id, uint16_t length, uint8_t padding)
{
	out[0] = FCGI_VERSION_1;
	out[1] = (unsigned char)type;
	out[2] = (unsigned char)(id >> 8);
	out[3] = (unsigned char)(id & 0xff);
	out[4] = (unsigned char)(length >> 8);
	out[5] = (unsigned char)(length & 0xff);
	out[6] = padding;
	out[7] = 0;
}

void
record_put_end(
    unsigned char *out, uint16_t id, uint32_t app_status, int protocol_status)
{
	record_put_head(out, FCGI_END_REQUEST, id, RECORD_END - RECORD_HEAD, 0);
	out[8] = (unsigned char)(app_status >> 24);
	out[9] = (unsigned char)(app_status >> 16 & 0xff);
	out[10] = (unsigned char)(app_status >> 8 & 0xff);
	out[11] = (unsigned char)(app_status & 0xff);
	out[12] = (unsigned char)protocol_status;
	memset(out + 13, 0, 3);
}

/* One length of one or four bytes. Returns the bytes used, 0 for more. */
static size_t
pair_length(const unsigned char *in, size_t n, size_t *length)
{
	if (n == 0)
		return 0;
	if (in[0] < 0x80) {
		*length = in[0];
		return 1;
	}
	if (n < 4)
		return 0;
	*length = (size_t)(in[0] & 0x7f) << 24 | (size_t)in[1] << 16 |
		  (size_t)in[2] << 8 | in[3];
	return 4;
}

long
record_pair(const unsigned char *in, size_t n, size_t most, struct pair *p)
{
	size_t first, second, used;

	if ((first = pair_length(in, n, &p->name_length)) == 0)
		return 0;
	if (p->name_length > most)
		return -1;
	second = pair_length(in + first, n - first, &p->value_length);
	if (second == 0)
		return 0;
	if (p->value_length > most - p->name_length)
		return -1;
	used = first + second;
	if (n - used < p->name_length ||
	    n - used - p->name_length < p->value_length)
		return 0;
	p->name = in + used;
	p->value = p->name + p->name_length;
	return (long)(used + p->name_length + p->value_length);
}

static int
pair_is(const struct pair *p, const char *name)
{
	return p->name_length == strlen(name) &&
	       memcmp(p->name, name, p->name_length) == 0;
}

long
record_values_answer(const unsigned char *content, size_t n, unsigned max_conns,
    unsigned char *out)
{
	static const char *const known[] = { FCGI_MAX_CONNS, FCGI_MAX_REQS,
		FCGI_MPXS_CONNS };
	int asked[] = { 0, 0, 0 };
	size_t name_length, used = RECORD_HEAD;
	struct pair p;
	char value[12];
	int length;

	for (long took; n > 0; content += took, n -= (size_t)took) {
		if ((took = record_pair(content, n, n, &p)) <= 0)
			return -1;
		for (size_t i = 0; i < 3; i++)
			asked[i] |= pair_is(&p, known[i]);
	}
	for (size_t i = 0; i < 3; i++) {
		if (!asked[i])
			continue;
		name_length = strlen(known[i]);
		length = snprintf(value, sizeof value, "%u",
		    i == 2 ? 0 : max_conns); /* we do not multiplex */
		out[used++] = (unsigned char)name_length;
		out[used++] = (unsigned char)length;
		memcpy(out + used, known[i], name_length);
		used += name_length;
		memcpy(out + used, value, (size_t)length);
		used += (size_t)length;
	}
	record_put_head(
	    out, FCGI_GET_VALUES_RESULT, 0, (uint16_t)(used - RECORD_HEAD), 0);
	return (long)used;
}
