#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/selection.h"
#include "t/fuzz/fuzz.h"

/*
 * A size in eight bytes, a flag, then the six header fields in lines, an empty
 * one not sent. Whatever they say, what is selected lies within the file, and
 * a part is only given to who asked for one.
 */
#define FIELDS 6

static int
is_within(const struct selection *s, uint64_t size)
{
	return s->first <= size && s->length <= size - s->first;
}

static void
check(
    const struct selection *s, const struct selection_request *r, uint64_t size)
{
	switch (s->status) {
	case 200:
		CHECK(s->first == 0 && s->length == size);
		return;
	case 206:
		CHECK(r->range != NULL && s->length > 0 && is_within(s, size));
		return;
	case 304:
		CHECK(r->if_none_match != NULL || r->if_modified_since != NULL);
		return;
	case 412:
		CHECK(r->if_match != NULL || r->if_unmodified_since != NULL);
		return;
	case 416:
		CHECK(r->range != NULL);
		return;
	default:
		CHECK(0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct selection_request r = { 0 };
	const char **field[FIELDS] = { &r.if_match, &r.if_none_match,
		&r.if_modified_since, &r.if_unmodified_since, &r.range,
		&r.if_range };
	struct selection_file f = { .modified = 784111777 };
	struct selection s;
	char *text, *line, *end;

	if (n < 9)
		return 0;
	memcpy(&f.size, in, sizeof f.size);
	f.size &= INT64_MAX;
	f.etag = in[8] & 1 ? "W/\"2ebcb5a1.0-5\"" : "\"2ebcb5a1.0-5\"";
	if ((text = malloc(n - 9 + 1)) == NULL)
		return 0;
	memcpy(text, in + 9, n - 9);
	text[n - 9] = '\0';
	line = text;
	for (int i = 0; i < FIELDS && line != NULL; i++, line = end) {
		if ((end = strchr(line, '\n')) != NULL)
			*end++ = '\0';
		if (*line != '\0')
			*field[i] = line;
	}
	s = selection_of(&r, &f);
	check(&s, &r, f.size);
	free(text);
	return 0;
}
