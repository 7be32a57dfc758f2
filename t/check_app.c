#include "config.h"

#include <string.h>

#include "lib/app.h"
#include "t/check.h"

START_TEST(test_a_name_says_host_and_mount)
{
	static const struct {
		const char *name, *host, *mount;
	} rows[] = {
		{ "blog", "", "/blog" },
		{ "tools/wiki", "", "/tools/wiki" },
		{ "a/b/c/d", "", "/a/b/c/d" },
		{ "ROOT", "", "" },
		{ "tools/ROOT", "", "/tools" },
		{ "ROOTS", "", "/ROOTS" },
		{ "tools/XROOT", "", "/tools/XROOT" },
		{ "ROOT/blog", "", "/ROOT/blog" },
		{ "@example.com/blog", "example.com", "/blog" },
		{ "@Example.COM./blog", "example.com", "/blog" },
		{ "@example.com/ROOT", "example.com", "" },
		{ "@example.com/tools/ROOT", "example.com", "/tools" },
		{ "@example.com", "example.com", "" },
		{ "tools/@x", "", "/tools/@x" },
		{ "caf\xc3\xa9 1", "", "/caf\xc3\xa9 1" },
	};
	struct app a;
	char *directory;

	app_init(&a);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		app_set(&a, "/home/u/mamayo/apps", rows[i].name);
		ck_assert_str_eq(a.name, rows[i].name);
		ck_assert_str_eq(a.host, rows[i].host);
		ck_assert_str_eq(a.mount, rows[i].mount);
		ck_assert_ptr_null(a.refused);
		directory = malloc(strlen(rows[i].name) + 32);
		strcpy(directory, "/home/u/mamayo/apps/");
		strcat(directory, rows[i].name);
		ck_assert_str_eq(a.directory, directory);
		free(directory);
	}
	app_release(&a);
	ck_assert_ptr_null(a.name);
	app_release(&a);
}
END_TEST

START_TEST(test_setting_again_may_use_what_it_holds)
{
	struct app a;

	app_init(&a);
	app_set(&a, "/apps", "blog");
	app_set(&a, "/other", a.name);
	ck_assert_str_eq(a.name, "blog");
	ck_assert_str_eq(a.directory, "/other/blog");
	app_release(&a);
}
END_TEST

static void
check_log(const char *name, const char *expected)
{
	char *log = app_log_name(name);

	ck_assert_str_eq(log, expected);
	free(log);
}

START_TEST(test_the_log_is_named_after_it)
{
	check_log("blog", "blog.log");
	check_log("tools/wiki", "tools:wiki.log");
	check_log("@example.com/a/b", "@example.com:a:b.log");
	check_log("ROOT", "ROOT.log");
	check_log("100%", "100%.log");
	check_log("a%20b", "a%20b.log");
}
END_TEST

START_TEST(test_no_two_share_a_file)
{
	static const char *const names[] = { "a/b", "a:b", "a%3Ab", "a%3ab",
		"a%253Ab", "a%25b", "a%b", "a%2525b", "a:/b", "a/:b", "%3A",
		"%253A", "%", "%%3A", "%:", "%/3A" };
	size_t n = sizeof names / sizeof names[0];
	char *files[sizeof names / sizeof names[0]];

	check_log("a/b", "a:b.log");
	check_log("a:b", "a%3Ab.log");
	check_log("a%3Ab", "a%253Ab.log");
	for (size_t i = 0; i < n; i++) {
		files[i] = app_file_name(names[i], "");
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(files[i], files[k]);
	}
	for (size_t i = 0; i < n; i++)
		free(files[i]);
}
END_TEST

/* A NAME may be four file names long, a log is one. */
START_TEST(test_a_long_name_still_has_a_log_of_its_own)
{
	char name[1024], *log, *other;
	size_t n;

	memset(name, 'x', sizeof name);
	name[251] = '\0';
	log = app_log_name(name);
	ck_assert_uint_eq(strlen(log), 255);
	ck_assert_ptr_null(strchr(log, '~'));
	free(log);

	name[251] = 'x';
	name[252] = '\0';
	log = app_log_name(name);
	ck_assert_uint_eq(strlen(log), 255);
	ck_assert_ptr_nonnull(strchr(log, '~'));
	name[251] = 'y';
	other = app_log_name(name);
	ck_assert_str_ne(log, other);
	free(log);
	free(other);

	for (n = 0; n < 1000; n += 2)
		memcpy(name + n, "\xc3\xa9", 2);
	name[1000] = '\0';
	log = app_log_name(name);
	ck_assert_uint_le(strlen(log), 255);
	ck_assert_uint_eq((size_t)(strchr(log, '~') - log) % 2, 0);
	free(log);
	log = app_log_name(name + 1);
	ck_assert_uint_le(strlen(log), 255);
	free(log);
}
END_TEST

SUITE("app", test_a_name_says_host_and_mount,
    test_setting_again_may_use_what_it_holds, test_the_log_is_named_after_it,
    test_no_two_share_a_file, test_a_long_name_still_has_a_log_of_its_own);
