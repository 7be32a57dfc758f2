#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/environment.h"
#include "lib/xalloc.h"
#include "t/check.h"

static struct account account;
static struct app_settings settings;
static struct python python;

/* Alice, without anything of her own. */
static void
enter(void)
{
	account.home = xstrdup("/home/alice");
	account.user = xstrdup("alice");
	unsetenv("TZ");
	setenv("SECRET", "4711", 1);
	setenv("PATH", "/nowhere", 1);
	setenv("HOME", "/root", 1);
	setenv("LANG", "xx_YY", 1);
	setenv("PYTHONPATH", "/nowhere", 1);
}

/* The environment is these strings, in this order, and nothing else. */
static void
is(const char *const *expected)
{
	char **env = environment_new(&account, &settings, &python);
	size_t i;

	for (i = 0; expected[i] != NULL; i++) {
		ck_assert_ptr_nonnull(env[i]);
		ck_assert_str_eq(env[i], expected[i]);
	}
	ck_assert_ptr_null(env[i]);
	xstrvfree(env);
}

static void
leave(void)
{
	free(account.home);
	free(account.user);
}

#define PLAIN_PATH "PATH=/usr/local/bin:/usr/bin:/bin"
#define ALICE                                                              \
	"HOME=/home/alice", "USER=alice", "LOGNAME=alice", "LANG=C.UTF-8", \
	    "PYTHONUTF8=1"

START_TEST(test_it_is_a_list_whatever_ours_is)
{
	enter();
	is((const char *const[]){ PLAIN_PATH, ALICE, NULL });
	leave();
}
END_TEST

START_TEST(test_the_time_zone_is_handed_on)
{
	enter();
	setenv("TZ", "Europe/Berlin", 1);
	is((const char *const[]){
	    PLAIN_PATH, ALICE, "TZ=Europe/Berlin", NULL });
	leave();
}
END_TEST

START_TEST(test_a_virtual_environment_comes_first_in_the_path)
{
	static char directory[] = "/srv/app/venv";

	enter();
	python.virtual_env = directory;
	is((const char *const[]){
	    "PATH=/srv/app/venv/bin:/usr/local/bin:/usr/bin:/bin",
	    "VIRTUAL_ENV=/srv/app/venv", ALICE, NULL });
	leave();
}
END_TEST

START_TEST(test_the_apps_own_come_last_and_instead_of_ours)
{
	static char more[] = "AAA=1", home[] = "HOME=/srv",
		    empty[] = "LANG=", like[] = "USERS=all", equals[] = "X=a=b";
	static char *own[] = { more, home, empty, like, equals, NULL };

	enter();
	settings.env = own;
	is((const char *const[]){ PLAIN_PATH, "USER=alice", "LOGNAME=alice",
	    "PYTHONUTF8=1", "AAA=1", "HOME=/srv", "LANG=", "USERS=all", "X=a=b",
	    NULL });
	leave();
}
END_TEST

START_TEST(test_there_may_be_a_thousand_of_them)
{
	static char text[1000][16], *own[1001];
	char **env;
	size_t n = 0;

	enter();
	for (size_t i = 0; i < 1000; i++) {
		snprintf(text[i], sizeof text[i], "N%zu=%zu", i, i);
		own[i] = text[i];
	}
	settings.env = own;
	env = environment_new(&account, &settings, &python);
	while (env[n] != NULL)
		n++;
	ck_assert_uint_eq(n, 6 + 1000);
	ck_assert_str_eq(env[6], "N0=0");
	ck_assert_str_eq(env[1005], "N999=999");
	xstrvfree(env);
	leave();
}
END_TEST

START_TEST(test_a_variable_is_set_once_and_known_by_its_whole_name)
{
	static const char *const lines[] = { "A=1", "AB=2", "C=", NULL };
	char **env = xstrvdup(lines);

	ck_assert_str_eq(environment_get(env, "A"), "1");
	ck_assert_str_eq(environment_get(env, "AB"), "2");
	ck_assert_str_eq(environment_get(env, "AB=whatever"), "2");
	ck_assert_str_eq(environment_get(env, "C"), "");
	ck_assert_ptr_null(environment_get(env, "B"));
	ck_assert_ptr_null(environment_get(NULL, "A"));
	env = environment_set(env, "A=3=3");
	env = environment_set(env, "D=4");
	ck_assert_str_eq(env[0], "A=3=3");
	ck_assert_str_eq(environment_get(env, "A"), "3=3");
	ck_assert_str_eq(env[1], "AB=2");
	ck_assert_str_eq(env[3], "D=4");
	ck_assert_ptr_null(env[4]);
	xstrvfree(env);
}
END_TEST

SUITE("environment", test_it_is_a_list_whatever_ours_is,
    test_the_time_zone_is_handed_on,
    test_a_virtual_environment_comes_first_in_the_path,
    test_the_apps_own_come_last_and_instead_of_ours,
    test_there_may_be_a_thousand_of_them,
    test_a_variable_is_set_once_and_known_by_its_whole_name);
