#include "config.h"

#include <string.h>

#include "lib/utf8.h"
#include "t/check.h"

static void
check_all(const char *const *texts, size_t n, int shown)
{
	size_t length, i;

	for (i = 0; i < n; i++) {
		length = strlen(texts[i]);
		ck_assert_msg(
		    utf8_shown(texts[i], length) == (shown ? length : 0),
		    "row %zu gives %zu", i, utf8_shown(texts[i], length));
	}
}

START_TEST(test_characters_that_a_person_can_read_are_taken_whole)
{
	static const char *const texts[] = { " ", "a", "~", "\xc2\xa0",
		"\xc3\xa9", "\xdf\xbf", "\xe0\xa0\x80", "\xe2\x82\xac",
		"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd",
		"\xf0\x90\x80\x80", "\xf0\x9f\x90\x8d", "\xf4\x8f\xbf\xbf" };

	check_all(texts, sizeof texts / sizeof texts[0], 1);
	ck_assert_uint_eq(utf8_shown("ab", 2), 1);
	ck_assert_uint_eq(utf8_shown("\xc3\xa9x", 3), 2);
}
END_TEST

START_TEST(test_what_a_terminal_would_obey_is_not_shown)
{
	static const char *const texts[] = { "\x01", "\t", "\n", "\r", "\x1b",
		"\x1f", "\x7f", "\xc2\x80", "\xc2\x85", "\xc2\x9b", "\xc2\x9f",
		"\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xae" };

	check_all(texts, sizeof texts / sizeof texts[0], 0);
	ck_assert_uint_eq(utf8_shown("\0", 1), 0);
}
END_TEST

START_TEST(test_what_is_not_utf8_is_not_shown)
{
	static const char *const texts[] = { "\x80", "\xbf", "\xc0\x80",
		"\xc1\xbf", "\xc3", "\xc3(", "\xe0\x80\x80", "\xe0\x9f\xbf",
		"\xe2\x82", "\xe2(\xac", "\xed\xa0\x80", "\xed\xbf\xbf",
		"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x90",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80",
		"\xfe", "\xff" };

	check_all(texts, sizeof texts / sizeof texts[0], 0);
}
END_TEST

START_TEST(test_never_looks_behind_the_end)
{
	ck_assert_uint_eq(utf8_shown("\xc3\xa9", 1), 0);
	ck_assert_uint_eq(utf8_shown("\xf0\x9f\x90\x8d", 3), 0);
}
END_TEST

SUITE("utf8", test_characters_that_a_person_can_read_are_taken_whole,
    test_what_a_terminal_would_obey_is_not_shown,
    test_what_is_not_utf8_is_not_shown, test_never_looks_behind_the_end);
