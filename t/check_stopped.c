#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stopped.h"
#include "t/check.h"
#include "t/scene.h"

static struct problem why;

START_TEST(test_what_is_stopped_stays_so_until_it_is_started)
{
	scene_enter();
	ck_assert(!stopped_is(".", "tools/wiki"));
	ck_assert_int_eq(stopped_remove(".", "tools/wiki", &why), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(stopped_add(".", "tools/wiki", &why), 0);
		ck_assert(stopped_is(".", "tools/wiki"));
		ck_assert(!stopped_is(".", "tools"));
	}
	ck_assert_int_eq(access("state/stopped/tools:wiki", F_OK), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(stopped_remove(".", "tools/wiki", &why), 0);
		ck_assert(!stopped_is(".", "tools/wiki"));
	}
	scene_leave();
}
END_TEST

START_TEST(test_its_directories_are_for_nobody_else)
{
	struct stat st;

	scene_enter();
	umask(0);
	ck_assert_int_eq(stopped_add(".", "blog", &why), 0);
	ck_assert_int_eq(stat("state", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(stat("state/stopped", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(stat("state/stopped/blog", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	scene_leave();
}
END_TEST

START_TEST(test_names_longer_than_a_file_name_are_told_apart)
{
	char one[600], two[600];

	scene_enter();
	memset(one, 'x', sizeof one - 1);
	one[sizeof one - 1] = '\0';
	strcpy(two, one);
	two[sizeof two - 2] = 'y';
	ck_assert_int_eq(stopped_add(".", one, &why), 0);
	ck_assert(stopped_is(".", one));
	ck_assert(!stopped_is(".", two));
	scene_leave();
}
END_TEST

START_TEST(test_what_cannot_be_written_is_an_error_with_its_name)
{
	scene_enter();
	scene_write("state", "a file");
	ck_assert_int_eq(stopped_add(".", "blog", &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "state"));
	ck_assert(!stopped_is(".", "blog"));
	ck_assert_int_eq(stopped_remove(".", "blog", &why), 0);
	scene_leave();
}
END_TEST

SUITE("stopped", test_what_is_stopped_stays_so_until_it_is_started,
    test_its_directories_are_for_nobody_else,
    test_names_longer_than_a_file_name_are_told_apart,
    test_what_cannot_be_written_is_an_error_with_its_name);
