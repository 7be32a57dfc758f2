#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/backoff.h"
#include "lib/setbacks.h"
#include "t/fuzz/fuzz.h"

/*
 * run/backoff.json as somebody left it: the time in seconds (two bytes), and
 * the file. What is recalled from it makes sense, can be kept, and is recalled
 * the same; the others stay.
 */

static void
check_sense(const struct setback *s, int64_t now)
{
	CHECK(s->failures > 0);
	CHECK(s->at >= 0 && s->at <= now);
	CHECK(s->until >= s->at && s->until - s->at <= BACKOFF_LONGEST_MS);
	CHECK(now - s->until <= SETBACKS_OLD_MS);
	CHECK(strlen(s->reference) == 8);
	CHECK(strlen(s->advice) <= SETBACKS_ADVICE);
}

static void
check_same(const struct setback *a, const struct setback *b)
{
	CHECK(a->failures == b->failures && a->at == b->at);
	CHECK(a->until == b->until && a->stamp == b->stamp);
	CHECK(strcmp(a->reference, b->reference) == 0);
	CHECK(strcmp(a->advice, b->advice) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *run = fuzz_directory();
	int next = fuzz_next_fd(), is_there, is_other;
	struct setback s, other, again;
	struct fuzz_input in;
	struct problem why;
	int64_t now;

	fuzz_begin(&in, bytes, size);
	now = (int64_t)fuzz_number(&in) * 1000;
	fuzz_write("backoff.json", in.at, (size_t)(in.end - in.at));
	is_there = setbacks_recall(run, "blog", now, &s);
	is_other = setbacks_recall(run, "wiki", now, &other);
	if (is_other)
		check_sense(&other, now);
	if (is_there) {
		check_sense(&s, now);
		CHECK(setbacks_keep(run, "blog", &s, now, &why) == 0);
		CHECK(setbacks_recall(run, "blog", now, &again) == 1);
		check_same(&s, &again);
	}
	CHECK(setbacks_keep(run, "blog", NULL, now, &why) == 0);
	CHECK(setbacks_recall(run, "blog", now, &again) == 0);
	CHECK(setbacks_recall(run, "wiki", now, &again) == is_other);
	if (is_other)
		check_same(&other, &again);
	CHECK(fuzz_next_fd() == next);
	fuzz_end(&in);
	return 0;
}
