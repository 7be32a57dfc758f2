#include "config.h"

#include <errno.h>
#include <string.h>

#include "lib/problem.h"
#include "t/check.h"

START_TEST(test_a_sentence_is_kept_and_the_answer_is_failure)
{
	struct problem p;

	ck_assert_int_eq(problem_set(&p, "%s has %d lines", "x", 3), -1);
	ck_assert_str_eq(p.text, "x has 3 lines");
}
END_TEST

START_TEST(test_the_text_of_errno_is_added_and_errno_is_kept)
{
	struct problem p;

	errno = ENOENT;
	ck_assert_int_eq(problem_sys(&p, "cannot open %s", "/x"), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_str_eq(p.text, "cannot open /x: No such file or directory");
}
END_TEST

START_TEST(test_the_longest_sentence_fits_and_a_longer_one_is_cut)
{
	struct problem p;
	char text[sizeof p.text + 1];

	memset(text, 'x', sizeof text);
	text[sizeof p.text - 1] = '\0';
	problem_set(&p, "%s", text);
	ck_assert_str_eq(p.text, text);

	text[sizeof p.text - 1] = 'y';
	text[sizeof p.text] = '\0';
	problem_set(&p, "%s", text);
	ck_assert_uint_eq(strlen(p.text), sizeof p.text - 1);
	ck_assert_ptr_null(strchr(p.text, 'y'));
}
END_TEST

START_TEST(test_a_sentence_without_room_for_errno_is_cut)
{
	struct problem p;
	char text[2 * sizeof p.text];

	memset(text, 'x', sizeof text);
	text[sizeof p.text - 3] = '\0';
	errno = EACCES;
	problem_sys(&p, "%s", text);
	ck_assert_uint_eq(strlen(p.text), sizeof p.text - 1);
	ck_assert_str_eq(p.text + sizeof p.text - 3, ": ");

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	problem_sys(&p, "%s", text);
	ck_assert_uint_eq(strlen(p.text), sizeof p.text - 1);
}
END_TEST

SUITE("problem", test_a_sentence_is_kept_and_the_answer_is_failure,
    test_the_text_of_errno_is_added_and_errno_is_kept,
    test_the_longest_sentence_fits_and_a_longer_one_is_cut,
    test_a_sentence_without_room_for_errno_is_cut);
