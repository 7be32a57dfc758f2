#include "config.h"

#include <string.h>

#include "lib/log.h"
#include "lib/utf8.h"
#include "t/fuzz/fuzz.h"

/*
 * Room for a line, and anybody's text: what stands in a log is one line that a
 * terminal may be given, and tells everything of what fits.
 */

static unsigned
digit(char c)
{
	CHECK((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Read back: the text it was made of, or its beginning if there is no room for
 * one more character. */
static void
check_says(const char *line, const uint8_t *text, size_t n, size_t room)
{
	size_t at = 0, taken, left = strlen(line);

	CHECK(left < room);
	room -= 1 + left;
	for (; left > 0; line += taken, left -= taken) {
		taken = utf8_shown(line, left);
		CHECK(taken > 0 && at < n);
		if (taken <= n - at && memcmp(line, text + at, taken) == 0) {
			at += taken;
			continue;
		}
		CHECK(left >= 4 && strncmp(line, "\\x", 2) == 0);
		CHECK(text[at] == (digit(line[2]) << 4 | digit(line[3])));
		at++;
		taken = 4;
	}
	CHECK(at == n || room < 4);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input in;
	size_t room, n;
	char *line;

	fuzz_begin(&in, bytes, size);
	room = 5 + fuzz_number(&in) % 4000;
	n = (size_t)(in.end - in.at);
	CHECK((line = malloc(room)) != NULL);
	CHECK(log_escape(line, room, (const char *)in.at, n) == line);
	check_says(line, in.at, n, room);
	free(line);
	fuzz_end(&in);
	return 0;
}
