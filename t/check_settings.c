#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/settings.h"
#include "t/check.h"
#include "t/scene.h"

static struct account_settings account;
static struct app_settings app;
static struct problem why;

/* Reads text as the account's file. */
static int
read_account(const char *text)
{
	memset(&why, 0, sizeof why);
	scene_write("mamayo.json", text);
	return account_settings_read("mamayo.json", &account, &why);
}

/* Reads text as an app's file. */
static int
read_app(const char *text)
{
	memset(&why, 0, sizeof why);
	scene_write("app.json", text);
	return app_settings_read("app.json", &account, &app, &why);
}

static void
begin(void)
{
	scene_enter();
	account_settings_init(&account);
	memset(&app, 0, sizeof app);
}

static void
end(void)
{
	app_settings_release(&app);
	account_settings_release(&account);
	scene_leave();
}

#define GOOD(json)                                                 \
	do {                                                       \
		int got = read_app(json);                          \
		ck_assert_msg(got == 0, "%s: %s", json, why.text); \
	} while (0)

/* The whole sentence. */
#define WRONG(json, sentence)                         \
	do {                                          \
		ck_assert_int_eq(read_app(json), -1); \
		ck_assert_str_eq(why.text, sentence); \
	} while (0)

#define WRONG_FOR_ACCOUNT(json, sentence)                 \
	do {                                              \
		ck_assert_int_eq(read_account(json), -1); \
		ck_assert_str_eq(why.text, sentence);     \
	} while (0)

START_TEST(test_the_defaults_are_those_of_the_manual)
{
	begin();
	ck_assert_ptr_null(account.app.entry);
	ck_assert_ptr_null(account.app.python);
	ck_assert_int_eq(account.app.workers_min, 0);
	ck_assert_int_eq(account.app.workers_max, 0);
	ck_assert_int_eq(account.app.idle, 300);
	ck_assert_int_eq(account.app.timeout, 120);
	ck_assert_int_eq(account.app.start_timeout, 60);
	ck_assert_int_eq(account.app.queue, 100);
	ck_assert_int_eq(account.app.queue_timeout, 30);
	ck_assert_int_eq(account.app.stop_timeout, 5);
	ck_assert_int_eq(account.app.body_timeout, 60);
	ck_assert_ptr_null(account.app.env);
	ck_assert_ptr_null(account.app.environ_);
	ck_assert_int_eq(account.app.debug, 0);
	ck_assert_int_eq(account.app.log_size, 10);
	ck_assert_int_eq(account.app.log_keep, 3);
	ck_assert_int_eq(account.app.accel, 1);
	ck_assert_int_eq(account.linger, 300);
	ck_assert_int_eq(account.grace, 30);
	ck_assert_int_eq(account.links, 0);
	ck_assert_int_eq(account.max_workers, 0);
	end();
}
END_TEST

START_TEST(test_no_file_is_no_failure)
{
	begin();
	ck_assert_int_eq(read_account("{\"timeout\": 7, \"linger\": 9}"), 0);
	ck_assert_int_eq(app_settings_read("absent", &account, &app, &why), 1);
	ck_assert_int_eq(app.timeout, 7);
	ck_assert_int_eq(
	    app_settings_read("app.json/x", &account, &app, &why), 1);
	ck_assert_int_eq(account_settings_read("absent", &account, &why), 1);
	ck_assert_int_eq(account.linger, 300);
	ck_assert_int_eq(account.app.timeout, 120);
	end();
}
END_TEST

START_TEST(test_every_key_is_read)
{
	begin();
	GOOD("{\"entry\": \"a.b:c\", \"python\": \"venv\",\n"
	     "\"workers\": {\"min\": 1, \"max\": 3}, \"idle\": 1,\n"
	     "\"timeout\": 2, \"start_timeout\": 3, \"queue\": 4,\n"
	     "\"queue_timeout\": 5, \"stop_timeout\": 6,\n"
	     "\"body_timeout\": 7, \"env\": {\"B\": \"2\", \"A\": \"1\"},\n"
	     "\"environ\": {\"x.y\": \"z\"}, \"debug\": true, "
	     "\"static\": {\"/s\": \"a/b\"}, \"accel\": false}");
	ck_assert_str_eq(app.entry, "a.b:c");
	ck_assert_str_eq(app.python, "venv");
	ck_assert_int_eq(app.workers_min, 1);
	ck_assert_int_eq(app.workers_max, 3);
	ck_assert_int_eq(app.idle, 1);
	ck_assert_int_eq(app.timeout, 2);
	ck_assert_int_eq(app.start_timeout, 3);
	ck_assert_int_eq(app.queue, 4);
	ck_assert_int_eq(app.queue_timeout, 5);
	ck_assert_int_eq(app.stop_timeout, 6);
	ck_assert_int_eq(app.body_timeout, 7);
	ck_assert_str_eq(app.env[0], "A=1");
	ck_assert_str_eq(app.env[1], "B=2");
	ck_assert_ptr_null(app.env[2]);
	ck_assert_str_eq(app.environ_[0], "x.y=z");
	ck_assert_str_eq(app.static_[0], "/s=a/b");
	ck_assert_int_eq(app.debug, 1);
	ck_assert_int_eq(app.accel, 0);
	ck_assert_int_eq(
	    read_account("{\"linger\": 1, \"grace\": 2, \"max_workers\": 3,"
			 " \"links\": true, \"entry\": \"d:e\"}"),
	    0);
	ck_assert_int_eq(account.linger, 1);
	ck_assert_int_eq(account.grace, 2);
	ck_assert_int_eq(account.links, 1);
	ck_assert_int_eq(account.max_workers, 3);
	ck_assert_str_eq(account.app.entry, "d:e");
	end();
}
END_TEST

START_TEST(test_an_app_begins_with_what_the_account_says)
{
	begin();
	ck_assert_int_eq(
	    read_account("{\"idle\": 5, \"debug\": true, \"env\":"
			 " {\"A\": \"account\", \"B\": \"account\"}}"),
	    0);
	GOOD("{\"debug\": false, \"env\": {\"B\": \"app\", \"C\": \"\"}}");
	ck_assert_int_eq(app.idle, 5);
	ck_assert_int_eq(app.debug, 0);
	ck_assert_str_eq(app.env[0], "A=account");
	ck_assert_str_eq(app.env[1], "B=app");
	ck_assert_str_eq(app.env[2], "C=");
	ck_assert_ptr_null(app.env[3]);
	ck_assert_str_eq(account.app.env[1], "B=account");
	GOOD("{}");
	ck_assert_int_eq(app.debug, 1);
	end();
}
END_TEST

START_TEST(test_after_a_mistake_the_last_good_settings_stay)
{
	begin();
	GOOD("{\"idle\": 5, \"entry\": \"a:b\"}");
	ck_assert_int_eq(
	    read_app("{\"idle\": 6, \"entry\": \"c:d\", \"queue\": -1}"), -1);
	ck_assert_int_eq(app.idle, 5);
	ck_assert_str_eq(app.entry, "a:b");
	ck_assert_int_eq(read_account("{\"linger\": 5}"), 0);
	ck_assert_int_eq(read_account("{\"linger\": 6, \"grace\": -1}"), -1);
	ck_assert_int_eq(account.linger, 5);
	end();
}
END_TEST

/* Below, at and above each limit. */
START_TEST(test_every_number_keeps_to_its_range)
{
	static const struct {
		const char *key;
		int least, most;
	} rows[] = {
		{ "idle", 0, 86400 },
		{ "timeout", 1, 86400 },
		{ "start_timeout", 1, 86400 },
		{ "queue", 0, 10000 },
		{ "queue_timeout", 1, 86400 },
		{ "stop_timeout", 1, 86400 },
		{ "body_timeout", 1, 86400 },
		{ "linger", 0, 86400 },
		{ "grace", 0, 86400 },
		{ "max_workers", 1, 10000 },
	};
	char text[64], sentence[160];

	begin();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (int above = -1; above <= 1; above++)
			for (int end_ = 0; end_ < 2; end_++) {
				int n = (end_ ? rows[i].most : rows[i].least) +
					above;
				int fits =
				    n >= rows[i].least && n <= rows[i].most;

				snprintf(text, sizeof text, "{\"%s\": %d}",
				    rows[i].key, n);
				ck_assert_msg(
				    read_account(text) == (fits ? 0 : -1),
				    "%s: %s", text, why.text);
				if (fits)
					continue;
				snprintf(sentence, sizeof sentence,
				    "mamayo.json:1: \"%s\" must be a whole "
				    "number from %d to %d, not %d",
				    rows[i].key, rows[i].least, rows[i].most,
				    n);
				ck_assert_str_eq(why.text, sentence);
			}
	end();
}
END_TEST

START_TEST(test_a_number_is_nothing_else)
{
#define NOT(value)                                                      \
	"app.json:1: \"idle\" must be a whole number from 0 to 86400, " \
	"not " value
	begin();
	WRONG("{\"idle\": \"5\"}", NOT("\"5\""));
	WRONG("{\"idle\": 5.0}", NOT("5.0"));
	WRONG("{\"idle\": true}", NOT("true"));
	WRONG("{\"idle\": null}", NOT("null"));
	WRONG("{\"idle\": []}", NOT("a list"));
	WRONG("{\"idle\": {\"a\": 1}}", NOT("an object"));
	WRONG("{\"idle\": 9223372036854775807}", NOT("9223372036854775807"));
	WRONG("{\"idle\": \"0123456789012345678901234567890123456789\"}",
	    NOT("\"012345678901234567890123456789012345678..."));
	WRONG(
	    "{\"idle\": \"\\u001b[1m\xc3\xa9\"}", NOT("\"\\u001B[1m\\u00E9\""));
	end();
}
END_TEST

START_TEST(test_truth_is_true_or_false)
{
	begin();
	WRONG("{\"debug\": 1}",
	    "app.json:1: \"debug\" must be true or false, not 1");
	WRONG("{\"debug\": \"yes\"}",
	    "app.json:1: \"debug\" must be true or false, not \"yes\"");
	end();
}
END_TEST

START_TEST(test_an_entry_is_a_module_and_a_callable)
{
	static const char *const good[] = { "a:b", "a.b.c:d", "a:b.c",
		"a:make_app()", "\xc3\xa9:x" };
	static const char *const bad[] = { "a", "a:", ":b", "a:b:c", "a b:c",
		"a:b ", "", "\\n:x" };
	char text[64];

	begin();
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		snprintf(text, sizeof text, "{\"entry\": \"%s\"}", good[i]);
		GOOD(text);
		ck_assert_str_eq(app.entry, good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "{\"entry\": \"%s\"}", bad[i]);
		ck_assert_int_eq(read_app(text), -1);
		ck_assert_ptr_nonnull(strstr(why.text,
		    "app.json:1: \"entry\" must be \"module:callable\", not "
		    "\""));
	}
	WRONG("{\"entry\": 5}",
	    "app.json:1: \"entry\" must be \"module:callable\", not 5");
	WRONG("{\"python\": \"\"}",
	    "app.json:1: \"python\" must be the path or the name of an "
	    "interpreter, not \"\"");
	end();
}
END_TEST

START_TEST(test_workers_are_an_object_with_two_limits)
{
	begin();
	WRONG("{\"workers\": 4}",
	    "app.json:1: \"workers\" must be an object such as {\"min\": 0}, "
	    "not 4");
	WRONG("{\"workers\":\n{\"max\": \"two\"}}",
	    "app.json:2: \"workers.max\" must be a whole number from 1 to "
	    "1000, not \"two\"");
	WRONG("{\"workers\": {\"max\": 0}}",
	    "app.json:1: \"workers.max\" must be a whole number from 1 to "
	    "1000, not 0");
	WRONG("{\"workers\": {\"min\": 1001}}",
	    "app.json:1: \"workers.min\" must be a whole number from 0 to "
	    "1000, not 1001");
	GOOD("{\"workers\": {\"min\": 1000, \"max\": 1000}}");
	GOOD("{\"workers\": {}}");
	ck_assert_int_eq(app.workers_max, 0);
	end();
}
END_TEST

START_TEST(test_the_most_workers_are_not_less_than_the_least)
{
	begin();
	WRONG("{\"workers\": {\"min\": 3,\n\"max\": 2}}",
	    "app.json:2: \"workers.max\" must be at least \"workers.min\", "
	    "which is 3, not 2");
	GOOD("{\"workers\": {\"min\": 3, \"max\": 3}}");
	ck_assert_int_eq(read_account("{\"workers\": {\"max\": 2}}"), 0);
	WRONG("{\n\n\"workers\": {\"min\": 3}}",
	    "app.json:3: \"workers.min\" must be at most \"workers.max\", "
	    "which is 2, not 3");
	GOOD("{\"workers\": {\"min\": 2}}");
	end();
}
END_TEST

START_TEST(test_the_most_follow_the_least_where_only_that_is_set)
{
	begin();
	GOOD("{\"workers\": {\"min\": 900}}");
	ck_assert_int_eq(app.workers_max, 900);
	GOOD("{\"workers\": {\"min\": 1}}");
	ck_assert_int_eq(app.workers_max, 0);
	end();
}
END_TEST

START_TEST(test_environment_names_are_those_of_a_shell)
{
	static const char *const bad[] = { "", "1A", "A=B", "A-B", "A B",
		"\xc3\xa9", "A.B" };
	char text[64];

	begin();
	GOOD("{\"env\": {\"_a1\": \"x=y\\nz\", \"Z\": \"\"}}");
	ck_assert_str_eq(app.env[1], "_a1=x=y\nz");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(
		    text, sizeof text, "{\"env\": {\"%s\": \"x\"}}", bad[i]);
		ck_assert_int_eq(read_app(text), -1);
		ck_assert_ptr_nonnull(strstr(why.text,
		    "has a name that may not be set: it must be letters, "
		    "digits and \"_\", not a digit first"));
	}
	WRONG("{\"env\": {\"A\": 1}}",
	    "app.json:1: \"env.A\" must be a string, not 1");
	WRONG("{\"env\": [\"A=1\"]}",
	    "app.json:1: \"env\" must be an object such as {\"NAME\": "
	    "\"value\"}, not a list");
	end();
}
END_TEST

START_TEST(test_no_setting_speaks_for_a_request)
{
	static const char *const bad[] = { "REQUEST_METHOD", "SCRIPT_NAME",
		"PATH_INFO", "QUERY_STRING", "REQUEST_URI", "CONTENT_LENGTH",
		"CONTENT_TYPE", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL",
		"HTTP_HOST", "HTTP_", "wsgi.input", "wsgi.", "mamayo.app", "",
		"a=b" };
	char text[64];

	begin();
	GOOD("{\"environ\": {\"DB\": \"x\", \"my.key\": \"\", "
	     "\"REMOTE_USER\": \"me\", \"wsgiorg.x\": \"y\"}}");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "{\"environ\": {\"%s\": \"x\"}}",
		    bad[i]);
		ck_assert_int_eq(read_app(text), -1);
		ck_assert_ptr_nonnull(
		    strstr(why.text, "has a name that may not be set"));
	}
	WRONG("{\"environ\": {\"A\": {}}}",
	    "app.json:1: \"environ.A\" must be a string, not an object");
	end();
}
END_TEST

START_TEST(test_names_are_limited_in_number)
{
	char text[20000], *at = text;

	begin();
	at += sprintf(at, "{\"env\": {");
	for (int i = 0; i < 1000; i++)
		at += sprintf(at, "%s\"N%d\": \"\"", i ? "," : "", i);
	strcpy(at, "}}");
	GOOD(text);
	strcpy(at, ",\"N\": \"\"}}");
	WRONG(
	    text, "app.json:1: \"env\" must have at most 1000 names, not 1001");
	end();
}
END_TEST

START_TEST(test_the_line_is_that_of_the_key)
{
	begin();
	WRONG("{\n  \"idle\": 1,\n  \"queue\":\n\n  \"x\"\n}",
	    "app.json:3: \"queue\" must be a whole number from 0 to 10000, "
	    "not \"x\"");
	/* not the same name elsewhere, as a value or deeper down */
	WRONG("{\"entry\": \"a:idle\",\n\"env\": {\"idle\": \"idle\",\n"
	      "\"A\": \"\\\"idle\\\": [{\"},\n\"idle\": -1}",
	    "app.json:4: \"idle\" must be a whole number from 0 to 86400, "
	    "not -1");
	WRONG("{\"env\": {\"max\": \"\"},\n\"workers\": {\n\"max\": -1}}",
	    "app.json:3: \"workers.max\" must be a whole number from 1 to "
	    "1000, not -1");
	/* written with an escape */
	WRONG("{\n\"\\u0069dle\": -1}",
	    "app.json:2: \"idle\" must be a whole number from 0 to 86400, "
	    "not -1");
	WRONG("{\r\n\"env\" :\r\n{ \"A\"\r\n:\r\n7 } }",
	    "app.json:3: \"env.A\" must be a string, not 7");
	end();
}
END_TEST

START_TEST(test_an_unknown_key_is_an_error_that_names_the_nearest)
{
	begin();
	WRONG("{\"timeuot\": 5}",
	    "app.json:1: \"timeuot\" is not a key of this file; did you mean "
	    "\"timeout\"?");
	WRONG("{\"worker\": {}}",
	    "app.json:1: \"worker\" is not a key of this file; did you mean "
	    "\"workers\"?");
	WRONG("{\"workers\": {\"mx\": 1}}",
	    "app.json:1: \"workers.mx\" is not a key of this file; did you "
	    "mean \"workers.max\"?");
	WRONG("{\"Debug\": true}",
	    "app.json:1: \"Debug\" is not a key of this file; did you mean "
	    "\"debug\"?");
	WRONG("{\"colour\": 1}",
	    "app.json:1: \"colour\" is not a key of this file; "
	    "mamayo.json(5) has them all");
	WRONG("{\"\": 1}",
	    "app.json:1: \"\" is not a key of this file; mamayo.json(5) has "
	    "them all");
	WRONG("{\"workers\": {\"colour\": 1}}",
	    "app.json:1: \"workers.colour\" is not a key of this file; "
	    "mamayo.json(5) has them all");
	WRONG("{\"workers.max\": 1}",
	    "app.json:1: \"workers.max\" is to be written as \"workers\": "
	    "{\"max\": ...}");
	WRONG_FOR_ACCOUNT("{\"lingr\": 1}",
	    "mamayo.json:1: \"lingr\" is not a key of this file; did you mean "
	    "\"linger\"?");
	WRONG("{\"lingr\": 1}",
	    "app.json:1: \"lingr\" is not a key of this file; mamayo.json(5) "
	    "has them all");
	WRONG("{\"linger\": 1}",
	    "app.json:1: \"linger\" may stand only in the account's file");
	end();
}
END_TEST

START_TEST(test_a_mail_address_is_one_address)
{
	static const char *const good[] = { "me@example.org", "a@b",
		"first.last+mamayo@sub-domain.example.org", "0@1.2" };
	static const char *const bad[] = { "", "me", "@example.org", "me@",
		"-me@example.org", "me@example.org, you@example.org",
		"me@you@example.org", "me@example.org\\nBcc: you", "me @a",
		"me@-a", "me@.a", "me@a..b", "|sh@example.org", "/x@a",
		"\\u00e4@a", "a%b@c", "<me@a>", "me@a\\r" };
	char text[512], local[300];

	begin();
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		snprintf(text, sizeof text, "{\"mail\": \"%s\"}", good[i]);
		ck_assert_msg(read_account(text) == 0, "%s", why.text);
		ck_assert_str_eq(account.mail, good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "{\"mail\": \"%s\"}", bad[i]);
		ck_assert_msg(read_account(text) == -1, "%s", bad[i]);
		ck_assert_ptr_nonnull(
		    strstr(why.text, "\"mail\" must be one mail address"));
	}
	for (int n = 254; n <= 255; n++) {
		memset(local, 'a', sizeof local);
		strcpy(local + n - 2, "@b");
		snprintf(text, sizeof text, "{\"mail\": \"%s\"}", local);
		ck_assert_int_eq(read_account(text), n == 254 ? 0 : -1);
	}
	ck_assert_int_eq(read_account("{\"sendmail\": \"/a b\"}"), 0);
	ck_assert_str_eq(account.sendmail, "/a b");
	ck_assert_ptr_null(account.mail);
	ck_assert_int_eq(read_account("{\"sendmail\": \"sendmail\"}"), -1);
	WRONG("{\"mail\": \"me@example.org\"}",
	    "app.json:1: \"mail\" may stand only in the account's file");
	end();
}
END_TEST

START_TEST(test_hooks_are_commands)
{
	begin();
	ck_assert_int_eq(read_account("{}"), 0);
	ck_assert_ptr_null(account.app.hook_install);
	ck_assert_ptr_null(account.app.hook_upgrade);
	ck_assert_int_eq(account.app.hook_timeout, 600);
	ck_assert_int_eq(
	    read_account("{\"hooks\": {\"install\": \"a b && c\"}, "
			 "\"hook_timeout\": 7}"),
	    0);
	ck_assert_str_eq(account.app.hook_install, "a b && c");
	ck_assert_ptr_null(account.app.hook_upgrade);
	ck_assert_int_eq(account.app.hook_timeout, 7);
	ck_assert_int_eq(read_account("{\"hooks\": \"a\"}"), -1);
	ck_assert_ptr_nonnull(strstr(why.text,
	    "\"hooks\" must be an object such as {\"install\": \"...\"}"));
	ck_assert_int_eq(read_account("{\"hooks\": {\"upgrade\": \" \"}}"), -1);
	ck_assert_ptr_nonnull(
	    strstr(why.text, "\"hooks.upgrade\" must be a command"));
	ck_assert_int_eq(read_account("{\"hooks\": {\"upgrad\": \"x\"}}"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "did you mean"));
	end();
}
END_TEST

START_TEST(test_health_is_a_path_as_it_stands_in_an_address)
{
	static const char *const wrong[] = { "health", "", "/a b", "/a%20b",
		"/a#b", "/\\u00e4", "http://x/" };
	char text[64];

	begin();
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(text, sizeof text, "{\"health\": \"%s\"}", wrong[i]);
		ck_assert_int_eq(read_account(text), -1);
		ck_assert_ptr_nonnull(strstr(why.text, "/health"));
	}
	ck_assert_int_eq(read_account("{\"health\": \"/a/b?c=d\"}"), 0);
	end();
}
END_TEST

START_TEST(test_a_very_long_key_is_cut_in_the_sentence)
{
	char text[4000];

	begin();
	memset(text, 'x', sizeof text);
	memcpy(text, "{\"", 2);
	strcpy(text + sizeof text - 6, "\":1}");
	ck_assert_int_eq(read_app(text), -1);
	ck_assert_uint_lt(strlen(why.text), 160);
	ck_assert_ptr_nonnull(strstr(why.text, "xxx\" is not a key"));
	end();
}
END_TEST

START_TEST(test_a_key_twice_is_an_error)
{
	begin();
	ck_assert_int_eq(read_app("{\"idle\": 1,\n\"idle\": 2}"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "app.json:2:"));
	ck_assert_ptr_nonnull(strstr(why.text, "duplicate object key"));
	end();
}
END_TEST

START_TEST(test_what_is_no_json_says_where)
{
	static const struct {
		const char *text, *begins;
	} rows[] = {
		{ "", "app.json:1: '[' or '{' expected near end of file" },
		{ "{\n  \"idle\": 1,\n}", "app.json:3:1: string or '}' " },
		{ "{\n\"idle\" 1}", "app.json:2:8: ':' expected near '1'" },
		{ "{\"a\": 'b'}", "app.json:1:7: invalid token near '''" },
		{ "{\"entry\": \"\\u0000\"}", "app.json:1:" },
		{ "{\"entry\": \"\xff\"}", "app.json:1:" },
		{ "{} x", "app.json:1:4: end of file expected near 'x'" },
		{ "{\"idle\": 99999999999999999999}", "app.json:1:" },
		{ "\"idle\"", "app.json:1:6: '[' or '{' expected" },
	};

	begin();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ck_assert_int_eq(read_app(rows[i].text), -1);
		ck_assert_msg(strstr(why.text, rows[i].begins) == why.text,
		    "row %zu: %s", i, why.text);
	}
	WRONG("[]",
	    "app.json:1: there must be one object, such as {\"timeout\": 60}");
	end();
}
END_TEST

START_TEST(test_the_sentence_is_fit_for_a_log)
{
	begin();
	ck_assert_int_eq(read_app("{\"a\nb\": 1}"), -1);
	ck_assert_ptr_null(strchr(why.text, '\n'));
	ck_assert_int_eq(read_app("{\"a\\n\\u001b[31mb\": 1}"), -1);
	ck_assert_ptr_null(strpbrk(why.text, "\n\x1b"));
	ck_assert_ptr_nonnull(strstr(why.text, "a\\x0a\\x1b[31mb"));
	end();
}
END_TEST

START_TEST(test_deep_nesting_is_an_error_and_no_crash)
{
	char *text = malloc(200002);

	begin();
	memset(text, '[', 200000);
	strcpy(text + 200000, "\n");
	ck_assert_int_eq(read_app(text), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "app.json:1:"));
	free(text);
	end();
}
END_TEST

START_TEST(test_a_mark_before_the_text_is_passed_over)
{
	begin();
	GOOD("\xef\xbb\xbf{\"idle\": 7}");
	ck_assert_int_eq(app.idle, 7);
	end();
}
END_TEST

START_TEST(test_only_a_regular_file_is_read)
{
	begin();
	scene_write("real.json", "{}");
	ck_assert_int_eq(symlink("real.json", "link.json"), 0);
	ck_assert_int_eq(
	    app_settings_read("link.json", &account, &app, &why), -1);
	ck_assert_str_eq(why.text,
	    "link.json: this is a symbolic link, which is not followed");
	ck_assert_int_eq(mkfifo("fifo.json", 0600), 0);
	ck_assert_int_eq(
	    app_settings_read("fifo.json", &account, &app, &why), -1);
	ck_assert_str_eq(why.text, "fifo.json: this is not a regular file");
	ck_assert_int_eq(mkdir("directory.json", 0700), 0);
	ck_assert_int_eq(
	    app_settings_read("directory.json", &account, &app, &why), -1);
	ck_assert_str_eq(
	    why.text, "directory.json: this is not a regular file");
	end();
}
END_TEST

START_TEST(test_a_file_that_may_not_be_read_is_an_error)
{
	begin();
	scene_write("secret.json", "{}");
	ck_assert_int_eq(chmod("secret.json", 0), 0);
	ck_assert_int_eq(chmod(".", 0755), 0);
	if (geteuid() == 0) /* to whom nothing is forbidden */
		ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(
	    app_settings_read("secret.json", &account, &app, &why), -1);
	ck_assert_str_eq(why.text, "secret.json: Permission denied");
	ck_assert_int_eq(seteuid(getuid()), 0);
	end();
}
END_TEST

START_TEST(test_a_file_is_read_up_to_its_limit)
{
	char *text = malloc(SETTINGS_FILE_MOST + 2);

	begin();
	memset(text, ' ', SETTINGS_FILE_MOST + 1);
	memcpy(text, "{\"idle\": 3}", 11);
	text[SETTINGS_FILE_MOST] = '\0';
	GOOD(text);
	ck_assert_int_eq(app.idle, 3);
	text[SETTINGS_FILE_MOST] = ' ';
	text[SETTINGS_FILE_MOST + 1] = '\0';
	WRONG(text, "app.json: the file is larger than 1048576 bytes");
	free(text);
	end();
}
END_TEST

START_TEST(test_of_a_long_path_the_end_is_named)
{
	char path[2000], *at = path;

	begin();
	while (at < path + 1000)
		at += sprintf(at, "./");
	strcpy(at, "app.json");
	ck_assert_int_eq(read_app("{\"idle\": -1}"), -1);
	ck_assert_int_eq(app_settings_read(path, &account, &app, &why), -1);
	ck_assert_ptr_eq(strstr(why.text, "...././"), why.text);
	ck_assert_ptr_nonnull(
	    strstr(why.text, "/app.json:1: \"idle\" must be a whole number "
			     "from 0 to 86400, not -1"));
	end();
}
END_TEST

static rlim_t
limit(int resource, rlim_t most)
{
	struct rlimit r;
	rlim_t was;

	ck_assert_int_eq(getrlimit(resource, &r), 0);
	was = r.rlim_cur;
	r.rlim_cur = most;
	ck_assert_int_eq(setrlimit(resource, &r), 0);
	return was;
}

START_TEST(test_workers_are_as_many_as_the_machine_bears)
{
	rlim_t was;

	ck_assert_int_ge(settings_workers_default(), 1);
	ck_assert_int_le(settings_workers_default(), 4);
	ck_assert_int_ge(settings_total_default(), 1);
	ck_assert_int_le(settings_total_default(), 32);
	was = limit(RLIMIT_NPROC, 40);
	ck_assert_int_le(settings_workers_default(), 5);
	ck_assert_int_le(settings_total_default(), 10);
	limit(RLIMIT_NPROC, 8);
	ck_assert_int_eq(settings_workers_default(), 1);
	ck_assert_int_le(settings_total_default(), 2);
	limit(RLIMIT_NPROC, 1);
	ck_assert_int_eq(settings_workers_default(), 1);
	ck_assert_int_eq(settings_total_default(), 1);
	limit(RLIMIT_NPROC, was); /* a sanitizer wants a thread at the end */
}
END_TEST

SUITE("settings", test_the_defaults_are_those_of_the_manual,
    test_no_file_is_no_failure, test_every_key_is_read,
    test_an_app_begins_with_what_the_account_says,
    test_after_a_mistake_the_last_good_settings_stay,
    test_every_number_keeps_to_its_range, test_a_number_is_nothing_else,
    test_truth_is_true_or_false, test_an_entry_is_a_module_and_a_callable,
    test_workers_are_an_object_with_two_limits,
    test_the_most_workers_are_not_less_than_the_least,
    test_the_most_follow_the_least_where_only_that_is_set,
    test_environment_names_are_those_of_a_shell,
    test_no_setting_speaks_for_a_request, test_names_are_limited_in_number,
    test_the_line_is_that_of_the_key,
    test_an_unknown_key_is_an_error_that_names_the_nearest,
    test_a_mail_address_is_one_address, test_hooks_are_commands,
    test_health_is_a_path_as_it_stands_in_an_address,
    test_a_very_long_key_is_cut_in_the_sentence, test_a_key_twice_is_an_error,
    test_what_is_no_json_says_where, test_the_sentence_is_fit_for_a_log,
    test_deep_nesting_is_an_error_and_no_crash,
    test_a_mark_before_the_text_is_passed_over,
    test_only_a_regular_file_is_read,
    test_a_file_that_may_not_be_read_is_an_error,
    test_a_file_is_read_up_to_its_limit, test_of_a_long_path_the_end_is_named,
    test_workers_are_as_many_as_the_machine_bears);
