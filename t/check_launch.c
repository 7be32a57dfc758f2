#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/launch.h"
#include "t/check.h"

static struct account account = { .home = (char *)"/home/alice",
	.user = (char *)"alice" };
static struct app app = { .name = (char *)"tools/wiki",
	.directory = (char *)"/srv/wiki" };
static struct python python = { .path = (char *)"/usr/bin/python3" };

/* Words 3 and later, with blanks between them. */
static void
has_words(const struct launch *l, const char *expected)
{
	char text[1024] = "";

	ck_assert_str_eq(l->spec.argv[0], "/usr/bin/python3");
	ck_assert_str_eq(l->spec.argv[1], "-c");
	ck_assert_ptr_nonnull(strstr(l->spec.argv[2], "mamayo_wsgi.main()"));
	for (size_t i = 3; l->spec.argv[i] != NULL; i++) {
		strncat(text, " ", sizeof text - strlen(text) - 1);
		strncat(text, l->spec.argv[i], sizeof text - strlen(text) - 1);
	}
	ck_assert_str_eq(text, expected);
}

START_TEST(test_the_settings_are_in_its_command_line)
{
	struct app_settings settings = { .accel = 1 };
	struct launch_what what = { .account = &account,
		.app = &app,
		.settings = &settings,
		.python = &python,
		.adapters = "/run/a",
		.workers_max = 1 };
	const char *const more[] = { "one=1", "two=2", NULL };
	struct launch l;

	launch_init(&l, &what);
	has_words(
	    &l, " /run/a tools/wiki multiprocess=0 debug=0 accel=1 environ=0");
	ck_assert_ptr_null(l.first);
	ck_assert_str_eq(l.spec.path, "/usr/bin/python3");
	ck_assert_str_eq(l.spec.directory, "/srv/wiki");
	ck_assert_uint_eq(l.spec.umask, 022);
	ck_assert_ptr_eq(l.spec.env, (const char *const *)l.env);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(l.spec.fd[i], -1);
	launch_release(&l);

	settings.debug = 1;
	settings.accel = 0;
	settings.entry = (char *)"site:app";
	what.workers_max = 2;
	what.more = more;
	launch_init(&l, &what);
	has_words(&l,
	    " /run/a tools/wiki multiprocess=1 debug=1 accel=0 environ=0 "
	    "one=1 two=2 entry=site:app");
	launch_release(&l);
}
END_TEST

START_TEST(test_what_is_for_its_environ_comes_as_a_message)
{
	char *lines[] = { (char *)"a=1", (char *)"b=x=y", (char *)"c=", NULL };
	struct app_settings settings = { .environ_ = lines };
	struct launch_what what = { .account = &account,
		.app = &app,
		.settings = &settings,
		.python = &python,
		.adapters = "/run/a" };
	json_t *expected = json_pack("{s:s, s:{s:s, s:s, s:s}}", "type",
	    "environ", "values", "a", "1", "b", "x=y", "c", "");
	struct launch l;

	launch_init(&l, &what);
	has_words(
	    &l, " /run/a tools/wiki multiprocess=0 debug=0 accel=0 environ=1");
	ck_assert_int_eq(json_equal(l.first, expected), 1);
	launch_release(&l);
	lines[0] = NULL;
	launch_init(&l, &what);
	ck_assert_ptr_null(l.first);
	launch_release(&l);
	json_decref(expected);
}
END_TEST

SUITE("launch", test_the_settings_are_in_its_command_line,
    test_what_is_for_its_environ_comes_as_a_message);
