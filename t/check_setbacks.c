#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/backoff.h"
#include "lib/setbacks.h"
#include "t/check.h"
#include "t/scene.h"

#define NOW 1000000

static struct problem why;

static const struct setback broken = { .failures = 3,
	.at = NOW,
	.until = NOW + 4000,
	.stamp = UINT64_MAX - 1,
	.reference = "00c0ffee",
	.advice = "no \"module\" named \xc3\xbc" };

static void
keep(const char *app, const struct setback *s, int64_t now)
{
	ck_assert_int_eq(setbacks_keep(".", app, s, now, &why), 0);
}

static int
is_kept(const char *app, int64_t now)
{
	struct setback s;

	return setbacks_recall(".", app, now, &s);
}

START_TEST(test_what_is_kept_is_recalled)
{
	struct setback s;

	scene_enter();
	ck_assert(!is_kept("tools/wiki", NOW));
	keep("tools/wiki", &broken, NOW);
	keep("blog", &broken, NOW);
	ck_assert_int_eq(setbacks_recall(".", "tools/wiki", NOW + 1, &s), 1);
	ck_assert_uint_eq(s.failures, 3);
	ck_assert_int_eq(s.at, NOW);
	ck_assert_int_eq(s.until, NOW + 4000);
	ck_assert(s.stamp == UINT64_MAX - 1);
	ck_assert_str_eq(s.reference, "00c0ffee");
	ck_assert_str_eq(s.advice, broken.advice);
	scene_leave();
}
END_TEST

START_TEST(test_without_a_setback_there_is_no_file)
{
	struct stat st;

	scene_enter();
	keep("blog", NULL, NOW);
	ck_assert_int_eq(access("backoff.json", F_OK), -1);
	umask(0);
	keep("blog", &broken, NOW);
	ck_assert_int_eq(stat("backoff.json", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	keep("blog", NULL, NOW);
	ck_assert_int_eq(access("backoff.json", F_OK), -1);
	ck_assert_int_eq(access("new.backoff", F_OK), -1);
	scene_leave();
}
END_TEST

START_TEST(test_what_is_of_another_time_counts_for_nothing)
{
	struct setback s = broken;

	scene_enter();
	keep("blog", &s, NOW);
	ck_assert(is_kept("blog", NOW + 4000 + SETBACKS_OLD_MS));
	ck_assert(!is_kept("blog", NOW + 4000 + SETBACKS_OLD_MS + 1));
	ck_assert(!is_kept("blog", NOW - 1)); /* the machine started anew */
	s.until = s.at + BACKOFF_LONGEST_MS + 1;
	keep("blog", &s, NOW);
	ck_assert(!is_kept("blog", NOW));
	s.until = s.at - 1;
	keep("blog", &s, NOW);
	ck_assert(!is_kept("blog", NOW));
	scene_leave();
}
END_TEST

START_TEST(test_what_is_damaged_counts_for_nothing)
{
	static const char *const damaged[] = { "", "{", "[]", "null",
		"{\"blog\"", "{\"blog\": 3}", "{\"blog\": {}}",
		"{\"blog\": {\"failures\": 0, \"at\": 1, \"until\": 1, "
		"\"stamp\": \"0000000000000000\", \"reference\": \"00000000\", "
		"\"advice\": \"\"}}",
		"{\"blog\": {\"failures\": 1, \"at\": 1, \"until\": 1, "
		"\"stamp\": \"000000000000000\\n\", \"reference\": "
		"\"00000000\", \"advice\": \"\"}}",
		"{\"blog\": {\"failures\": 1, \"at\": 1, \"until\": 1, "
		"\"stamp\": \"0000000000000000\", \"reference\": "
		"\"<script>\", \"advice\": \"\"}}" };

	scene_enter();
	for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
		scene_write("backoff.json", damaged[i]);
		ck_assert(!is_kept("blog", 2));
		keep("wiki", &broken, NOW);
		ck_assert(is_kept("wiki", NOW));
	}
	unlink("backoff.json");
	ck_assert_int_eq(symlink("/dev/null", "backoff.json"), 0);
	ck_assert(!is_kept("blog", NOW));
	keep("blog", &broken, NOW);
	ck_assert(is_kept("blog", NOW));
	scene_leave();
}
END_TEST

START_TEST(test_there_are_so_many_and_no_more)
{
	char app[32];

	scene_enter();
	for (int i = 0; i <= SETBACKS_MOST; i++) {
		snprintf(app, sizeof app, "app%d", i);
		keep(app, &broken, NOW);
		ck_assert_int_eq(is_kept(app, NOW), i < SETBACKS_MOST);
	}
	keep(app, &broken, NOW + SETBACKS_OLD_MS + 4001); /* all are old */
	ck_assert(!is_kept("app0", NOW));
	scene_leave();
}
END_TEST

START_TEST(test_what_cannot_be_written_is_an_error_with_its_name)
{
	scene_enter();
	ck_assert_int_eq(mkdir("backoff.json", 0700), 0);
	ck_assert_int_eq(setbacks_keep(".", "blog", &broken, NOW, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "backoff.json"));
	ck_assert_int_eq(access("new.backoff", F_OK), -1);
	ck_assert(!is_kept("blog", NOW));
	scene_leave();
}
END_TEST

SUITE("setbacks", test_what_is_kept_is_recalled,
    test_without_a_setback_there_is_no_file,
    test_what_is_of_another_time_counts_for_nothing,
    test_what_is_damaged_counts_for_nothing, test_there_are_so_many_and_no_more,
    test_what_cannot_be_written_is_an_error_with_its_name);
