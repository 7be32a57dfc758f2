#include "config.h"

#include <fastcgi.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/record.h"
#include "t/fuzz/fuzz.h"

/* What a cut anywhere must not change: the first record of n bytes. */
static void
check_cuts(const uint8_t *in, size_t n, size_t used, const struct record *r)
{
	struct record cut;

	for (size_t i = 0; i < used; i += 1 + i / 16) /* not all: they are long
						       */
		CHECK(record_take(in, i, &cut) == 0);
	CHECK(record_take(in, used, &cut) == (long)used);
	CHECK(cut.type == r->type && cut.request_id == r->request_id &&
	      cut.length == r->length && cut.content == r->content);
	CHECK(n >= used);
}

/* A record that is put together again is the same, padding aside. */
static void
check_head(const uint8_t *in, const struct record *r)
{
	unsigned char head[RECORD_HEAD];

	record_put_head(head, r->type, r->request_id, r->length, r->padding);
	CHECK(memcmp(head, in, 7) == 0); /* the eighth is reserved */
}

static void
check_values(const struct record *r)
{
	unsigned char out[RECORD_VALUES_MOST + 1];
	struct record answer;
	struct pair p;
	long used;

	out[RECORD_VALUES_MOST] = 0xee;
	used = record_values_answer(r->content, r->length, UINT32_MAX, out);
	CHECK(out[RECORD_VALUES_MOST] == 0xee);
	if (used == -1)
		return;
	CHECK(record_take(out, (size_t)used, &answer) == used);
	CHECK(answer.type == FCGI_GET_VALUES_RESULT);
	for (size_t at = 0; at < answer.length; at += (size_t)used) {
		used = record_pair(
		    answer.content + at, answer.length - at, answer.length, &p);
		CHECK(used > 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct record r;
	long used;

	while ((used = record_take(in, n, &r)) > 0) {
		CHECK((size_t)used <= n);
		CHECK(
		    (size_t)used == (size_t)RECORD_HEAD + r.length + r.padding);
		CHECK(r.content == in + RECORD_HEAD);
		check_cuts(in, n, (size_t)used, &r);
		check_head(in, &r);
		check_values(&r);
		in += used;
		n -= (size_t)used;
	}
	CHECK(used == 0 || used == -1);
	CHECK(used == 0 || in[0] != FCGI_VERSION_1);
	return 0;
}
