#include "config.h"

#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/xalloc.h"
#include "t/check.h"
#include "t/scene.h"

START_TEST(test_memory_is_zeroed)
{
	unsigned char *p = xcalloc(100, 3);

	for (size_t i = 0; i < 300; i++)
		ck_assert_uint_eq(p[i], 0);
	free(p);
}
END_TEST

START_TEST(test_nothing_is_an_address_too)
{
	void *p = xcalloc(0, 8), *q = xrealloc(NULL, 4, 0);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(q);
	ck_assert_ptr_nonnull(p = xrealloc(p, 0, 0));
	free(p);
	free(q);
}
END_TEST

START_TEST(test_growing_keeps_what_was_there)
{
	char *p = xstrdup("abc");

	p = xrealloc(p, 1000, 10);
	ck_assert_str_eq(p, "abc");
	free(p);
}
END_TEST

START_TEST(test_a_copy_ends_at_the_limit_or_at_the_end)
{
	char *p = xstrndup("abcdef", 3), *q = xstrndup("abc", 10),
	     *none = xstrndup("abc", 0);

	ck_assert_str_eq(p, "abc");
	ck_assert_str_eq(q, "abc");
	ck_assert_str_eq(none, "");
	free(p);
	free(q);
	free(none);
}
END_TEST

START_TEST(test_a_copy_of_nothing_is_nothing_where_that_is_wanted)
{
	char *p = xstrdup_or_null("abc");

	ck_assert_str_eq(p, "abc");
	free(p);
	ck_assert_ptr_null(xstrdup_or_null(NULL));
}
END_TEST

START_TEST(test_a_copy_never_looks_behind_its_limit)
{
	char open_end[3] = { 'a', 'b', 'c' };
	char *p = xstrndup(open_end, sizeof open_end);

	ck_assert_str_eq(p, "abc");
	free(p);
}
END_TEST

START_TEST(test_printing_allocates_what_it_needs)
{
	char *p = xprintf("%s-%05d", "x", 42), *q = xprintf("%01000d", 0);

	ck_assert_str_eq(p, "x-00042");
	ck_assert_uint_eq(strlen(q), 1000);
	free(p);
	free(q);
}
END_TEST

static void
ask_for_too_many(void)
{
	xcalloc(SIZE_MAX / 2, 3);
}

static void
grow_too_much(void)
{
	xrealloc(NULL, SIZE_MAX / 2, 3);
}

START_TEST(test_a_product_that_overflows_is_death_with_a_message)
{
	void (*const ways[])(void) = { ask_for_too_many, grow_too_much };
	char said[256];
	int status;

	for (size_t i = 0; i < 2; i++) {
		status = scene_child(ways[i], said, sizeof said);
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), 1);
		ck_assert_str_eq(said, "mamayo: out of memory\n");
	}
}
END_TEST

START_TEST(test_a_vector_is_copied_to_its_end_and_none_stays_none)
{
	const char *const two[] = { "one", "", NULL, "behind" };
	char **copy = xstrvdup(two);

	ck_assert_str_eq(copy[0], "one");
	ck_assert_ptr_ne(copy[0], two[0]);
	ck_assert_str_eq(copy[1], "");
	ck_assert_ptr_null(copy[2]);
	xstrvfree(copy);
	copy = xstrvdup(two + 2);
	ck_assert_ptr_null(copy[0]);
	xstrvfree(copy);
	ck_assert_ptr_null(xstrvdup(NULL));
	xstrvfree(NULL);
}
END_TEST

SUITE("xalloc", test_memory_is_zeroed, test_nothing_is_an_address_too,
    test_growing_keeps_what_was_there,
    test_a_copy_ends_at_the_limit_or_at_the_end,
    test_a_copy_of_nothing_is_nothing_where_that_is_wanted,
    test_a_copy_never_looks_behind_its_limit,
    test_printing_allocates_what_it_needs,
    test_a_vector_is_copied_to_its_end_and_none_stays_none,
    test_a_product_that_overflows_is_death_with_a_message);
