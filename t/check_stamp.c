#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stamp.h"
#include "t/check.h"

static char place[] = "/tmp/mamayo-stamp.XXXXXX";

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static void
enter(void)
{
	ck_assert_ptr_nonnull(mkdtemp(place));
	ck_assert_int_eq(chdir(place), 0);
	put("wsgi.py", "1");
}

static void
leave(void)
{
	unlink("wsgi.py");
	unlink("other.py");
	unlink("_hidden");
	unlink("below/a.py");
	rmdir("below");
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(place);
}

START_TEST(test_stays_while_nothing_changes_and_is_0_without_a_directory)
{
	enter();
	ck_assert_uint_ne(stamp(place), 0);
	ck_assert_uint_eq(stamp(place), stamp(place));
	ck_assert_uint_eq(stamp("/nonexistent"), 0);
	leave();
}
END_TEST

START_TEST(test_sees_a_file_that_grows_comes_goes_or_is_renamed)
{
	uint64_t was;

	enter();
	was = stamp(place);
	put("wsgi.py", "12");
	ck_assert_uint_ne(stamp(place), was);
	was = stamp(place);
	put("other.py", "");
	ck_assert_uint_ne(stamp(place), was);
	was = stamp(place);
	unlink("other.py");
	ck_assert_uint_ne(stamp(place), was);
	was = stamp(place);
	ck_assert_int_eq(rename("wsgi.py", "other.py"), 0);
	ck_assert_uint_ne(stamp(place), was);
	leave();
}
END_TEST

START_TEST(test_sees_what_is_below_and_not_what_is_hidden)
{
	uint64_t was;

	enter();
	ck_assert_int_eq(mkdir("below", 0700), 0);
	put("below/a.py", "");
	was = stamp(place);
	put("below/a.py", "1");
	ck_assert_uint_ne(stamp(place), was);
	was = stamp(place);
	put("_hidden", "1");
	ck_assert_uint_eq(stamp(place), was);
	leave();
}
END_TEST

SUITE("stamp", test_stays_while_nothing_changes_and_is_0_without_a_directory,
    test_sees_a_file_that_grows_comes_goes_or_is_renamed,
    test_sees_what_is_below_and_not_what_is_hidden);
