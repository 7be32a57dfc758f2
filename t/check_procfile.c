#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/procfile.h"
#include "lib/xalloc.h"
#include "t/check.h"
#include "t/scene.h"

static void
expect(const char *text, const char *command)
{
	char *got;

	scene_write("Procfile", text);
	got = procfile_command(".", "release");
	if (command == NULL)
		ck_assert_ptr_null(got);
	else {
		ck_assert_ptr_nonnull(got);
		ck_assert_str_eq(got, command);
	}
	free(got);
}

START_TEST(test_a_line_has_a_name_and_a_command)
{
	scene_enter();
	ck_assert_ptr_null(procfile_command(".", "release"));
	expect("release: a b", "a b");
	expect("web: x\nrelease:python manage.py migrate && y\n",
	    "python manage.py migrate && y");
	expect("\xef\xbb\xbf  release\t: a 'b:c' \r\nweb: x\r\n", "a 'b:c'");
	expect("release: a\nrelease: b\n", "a");
	expect("release:\nrelease: b\n", "b");
	expect("# release: a\nreleases: b\nx release: c\nrelease d\n", NULL);
	expect("release:   \n", NULL);
	expect("", NULL);
	scene_leave();
}
END_TEST

START_TEST(test_what_is_no_procfile_has_no_command)
{
	char *long_one = xcalloc(1, PROCFILE_MOST + 2);

	scene_enter();
	memset(long_one, '\n', PROCFILE_MOST + 1);
	memcpy(long_one, "release: a\n", 11);
	expect(long_one, NULL);
	long_one[PROCFILE_MOST] = '\0';
	expect(long_one, "a");
	free(long_one);
	ck_assert_int_eq(unlink("Procfile"), 0);
	ck_assert_int_eq(mkdir("Procfile", 0755), 0);
	ck_assert_ptr_null(procfile_command(".", "release"));
	ck_assert_int_eq(rmdir("Procfile"), 0);
	ck_assert_int_eq(symlink("/dev/zero", "Procfile"), 0);
	ck_assert_ptr_null(procfile_command(".", "release"));
	ck_assert_int_eq(unlink("Procfile"), 0);
	ck_assert_int_eq(mkfifo("Procfile", 0600), 0);
	ck_assert_ptr_null(procfile_command(".", "release"));
	scene_leave();
}
END_TEST

SUITE("procfile", test_a_line_has_a_name_and_a_command,
    test_what_is_no_procfile_has_no_command);
