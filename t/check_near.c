#include "config.h"

#include <string.h>

#include "lib/near.h"
#include "t/check.h"

static size_t
edits(const char *a, const char *b)
{
	return near_edits(a, b, strlen(b));
}

START_TEST(test_letters_put_in_taken_out_or_changed_are_counted)
{
	ck_assert_uint_eq(edits("blog", "blog"), 0);
	ck_assert_uint_eq(edits("blgo", "blog"), 2);
	ck_assert_uint_eq(edits("blo", "blog"), 1);
	ck_assert_uint_eq(edits("bloog", "blog"), 1);
	ck_assert_uint_eq(edits("", "ab"), 2);
	ck_assert_uint_eq(near_edits("work", "workers.max", 4), 0);
}
END_TEST

START_TEST(test_what_differs_much_is_far)
{
	char word[200];

	ck_assert_uint_gt(edits("a", "abcd"), NEAR_MOST);
	ck_assert_uint_gt(edits("abcd", "a"), NEAR_MOST);
	ck_assert_uint_gt(edits("wxyz", "abcd"), NEAR_MOST);
	memset(word, 'x', sizeof word - 1);
	word[sizeof word - 1] = '\0';
	ck_assert_uint_gt(edits(word, word), NEAR_MOST);
}
END_TEST

SUITE("near", test_letters_put_in_taken_out_or_changed_are_counted,
    test_what_differs_much_is_far);
