#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/program.h"
#include "t/check.h"
#include "t/scene.h"

static void
make(const char *path, mode_t mode)
{
	scene_write(path, "#!/bin/sh\n");
	ck_assert_int_eq(chmod(path, mode), 0);
}

static void
begin(void)
{
	scene_enter();
	ck_assert_int_eq(mkdir("a", 0755) | mkdir("b", 0755), 0);
}

static void
finds(const char *places, const char *name, const char *expected)
{
	char *path = program_find(places, name);

	ck_assert_pstr_eq(path, expected);
	free(path);
}

static void
finds_none(const char *places, const char *name, int error)
{
	errno = 0;
	ck_assert_ptr_null(program_find(places, name));
	ck_assert_int_eq(errno, error);
}

START_TEST(test_only_a_file_that_may_be_executed_is_one)
{
	begin();
	make("a/run", 0755);
	make("a/read", 0644);
	ck_assert(program_is("a/run"));
	ck_assert(!program_is("a/read"));
	ck_assert_int_eq(errno, EACCES);
	ck_assert(!program_is("a"));
	ck_assert_int_eq(errno, EACCES);
	ck_assert(!program_is("/dev/null"));
	ck_assert_int_eq(errno, EACCES);
	ck_assert(!program_is("a/none"));
	ck_assert_int_eq(errno, ENOENT);
	scene_leave();
}
END_TEST

START_TEST(test_the_first_that_may_be_executed_is_found)
{
	begin();
	make("b/run", 0755);
	finds("a:b", "run", "b/run");
	make("a/run", 0644);
	finds("a:b", "run", "b/run");
	ck_assert_int_eq(chmod("a/run", 0755), 0);
	finds("a:b", "run", "a/run");
	finds("b:a", "run", "b/run");
	finds("none::b:", "run", "b/run");
	scene_leave();
}
END_TEST

START_TEST(test_without_one_the_reason_is_told)
{
	begin();
	make("run", 0755);
	finds_none("", "run", ENOENT);
	finds_none(":", "run", ENOENT); /* not where we happen to be */
	finds_none("a:b", "run", ENOENT);
	ck_assert_int_eq(mkdir("a/run", 0755), 0);
	finds_none("a:b", "run", ENOENT);
	make("b/run", 0644);
	finds_none("b:a", "run", EACCES);
	scene_leave();
}
END_TEST

SUITE("program", test_only_a_file_that_may_be_executed_is_one,
    test_the_first_that_may_be_executed_is_found,
    test_without_one_the_reason_is_told);
