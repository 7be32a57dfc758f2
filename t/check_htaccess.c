#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/htaccess.h"
#include "t/check.h"

static struct problem why;

/* Puts the part in, and takes it out again. */
static void
turns(const char *text, const char *then, const char *at_last)
{
	char *put = htaccess_put(text, "OURS\n", &why), *again, *taken;
	const char *begin;

	ck_assert_ptr_nonnull(put);
	begin = strstr(put, HTACCESS_BEGIN);
	ck_assert_ptr_nonnull(begin);
	ck_assert_uint_eq((size_t)(begin - put), strlen(then));
	ck_assert_int_eq(strncmp(put, then, strlen(then)), 0);
	ck_assert_ptr_nonnull(strstr(begin, "\nOURS\n" HTACCESS_END "\n"));
	ck_assert(htaccess_has(put));
	again = htaccess_put(put, "OURS\n", &why);
	ck_assert_str_eq(again, put);
	free(again);
	again = htaccess_put(put, "NEWER\n", &why);
	ck_assert_ptr_nonnull(strstr(again, "\nNEWER\n"));
	ck_assert_ptr_null(strstr(again, "OURS"));
	taken = htaccess_take(again, &why);
	ck_assert_str_eq(taken, at_last);
	free(taken);
	free(again);
	free(put);
}

START_TEST(test_our_part_comes_and_goes_and_the_rest_stays)
{
	turns("", "", "");
	turns("Deny from all\n", "Deny from all\n\n", "Deny from all\n");
	turns("no newline", "no newline\n\n", "no newline\n");
	turns("a\n\n\n", "a\n\n\n\n", "a\n\n\n");
	turns("crlf\r\n", "crlf\r\n\n", "crlf\r\n");
}
END_TEST

START_TEST(test_what_comes_behind_it_stays_behind_it)
{
	char *put = htaccess_put("before\n\n" HTACCESS_BEGIN
				 "\nold\n" HTACCESS_END "\nafter\n",
	    "new\n", &why);
	char *taken = htaccess_take(put, &why);

	ck_assert_ptr_nonnull(strstr(put, HTACCESS_END "\nafter\n"));
	ck_assert_ptr_null(strstr(put, "old"));
	ck_assert_str_eq(taken, "before\nafter\n");
	free(taken);
	free(put);
}
END_TEST

START_TEST(test_a_mark_that_is_alone_is_refused)
{
	static const char *const bad[] = { "x\n" HTACCESS_BEGIN "\nx\n",
		HTACCESS_END "\n", HTACCESS_END "\n" HTACCESS_BEGIN "\n" };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ck_assert_ptr_null(htaccess_put(bad[i], "", &why));
		ck_assert_ptr_nonnull(strstr(why.text, "by hand"));
		ck_assert_ptr_null(htaccess_take(bad[i], &why));
	}
}
END_TEST

START_TEST(test_a_mark_within_a_line_is_none)
{
	char *taken = htaccess_take("x " HTACCESS_BEGIN "\n", &why);

	ck_assert(!htaccess_has("x " HTACCESS_BEGIN "\n"));
	ck_assert_str_eq(taken, "x " HTACCESS_BEGIN "\n");
	free(taken);
}
END_TEST

SUITE("htaccess", test_our_part_comes_and_goes_and_the_rest_stays,
    test_what_comes_behind_it_stays_behind_it,
    test_a_mark_that_is_alone_is_refused, test_a_mark_within_a_line_is_none);
