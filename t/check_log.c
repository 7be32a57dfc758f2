#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "t/check.h"
#include "t/scene.h"

#define HEAD                                                            \
	"20[0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6]" \
	"[0-9][.][0-9][0-9][0-9] "

static char text[64 * 1024];

static void
matches(const char *subject, const char *pattern)
{
	regex_t re;

	ck_assert_int_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&re, subject, 0, NULL, 0) == 0,
	    "\"%s\" does not match \"%s\"", subject, pattern);
	regfree(&re);
}

static size_t
lines(const char *s)
{
	size_t n = 0;

	while ((s = strchr(s, '\n')) != NULL) {
		n++;
		s++;
	}
	return n;
}

START_TEST(test_a_line_says_when_who_how_bad_and_what)
{
	scene_enter();
	ck_assert_int_eq(log_open("log"), 0);
	log_info("hello %d", 1);
	log_role("supervisor");
	log_warn("careful");
	log_error("ouch");
	scene_read("log", text, sizeof text);
	matches(text, "^" HEAD "mamayo\\[[0-9]+\\] info: hello 1\n" HEAD
		      "supervisor\\[[0-9]+\\] warning: careful\n" HEAD
		      "supervisor\\[[0-9]+\\] error: ouch\n$");
	scene_leave();
}
END_TEST

START_TEST(test_the_file_is_the_owners_only)
{
	struct stat st;

	scene_enter();
	umask(0);
	ck_assert_int_eq(log_open("log"), 0);
	ck_assert_int_eq(stat("log", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	scene_leave();
}
END_TEST

START_TEST(test_a_log_that_cannot_be_opened_changes_nothing)
{
	scene_enter();
	ck_assert_int_eq(log_open("log"), 0);
	ck_assert_int_eq(log_open("no/such/directory"), -1);
	ck_assert_int_eq(errno, ENOENT);
	log_info("still here");
	scene_read("log", text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "still here"));
	scene_leave();
}
END_TEST

START_TEST(test_a_pipe_without_a_reader_does_not_hold_us_up)
{
	scene_enter();
	ck_assert_int_eq(mkfifo("log", 0600), 0);
	ck_assert_int_eq(log_open("log"), -1);
	scene_leave();
}
END_TEST

START_TEST(test_nobody_can_forge_a_line)
{
	scene_enter();
	ck_assert_int_eq(log_open("log"), 0);
	log_info("%s", "a\n2026-01-01 forged\r\x1b[31m\x7f\t");
	scene_read("log", text, sizeof text);
	ck_assert_uint_eq(lines(text), 1);
	ck_assert_ptr_nonnull(strstr(
	    text, "info: a\\x0a2026-01-01 forged\\x0d\\x1b[31m\\x7f\\x09\n"));
	scene_leave();
}
END_TEST

START_TEST(test_escapes_exactly_what_is_not_printable_utf8)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "plain ~", "plain ~" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xe2\x82\xac \xf0\x9f\x90\x8d",
		    "\xe2\x82\xac \xf0\x9f\x90\x8d" },
		{ "\xff\xfe", "\\xff\\xfe" },
		{ "\xc3", "\\xc3" },                   /* cut */
		{ "\xe2\x82", "\\xe2\\x82" },          /* cut */
		{ "\xc3(", "\\xc3(" },                 /* no continuation */
		{ "\x80", "\\x80" },                   /* nothing before it */
		{ "\xc0\xaf", "\\xc0\\xaf" },          /* overlong */
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" }, /* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" }, /* surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* too high */
		{ "\xc2\x85\xc2\x9b", "\\xc2\\x85\\xc2\\x9b" }, /* C1 */
		{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8" }, /* line separator */
		{ "\xe2\x80\xae", "\\xe2\\x80\\xae" }, /* right to left */
		{ "", "" },
	};
	char out[64];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_str_eq(log_escape(out, sizeof out, cases[i].in,
				     strlen(cases[i].in)),
		    cases[i].out);
	ck_assert_str_eq(log_escape(out, sizeof out, "a\0b", 3), "a\\x00b");
}
END_TEST

START_TEST(test_escaping_cuts_between_characters)
{
	char out[16];

	ck_assert_str_eq(log_escape(out, 5, "\n", 1), "\\x0a");
	ck_assert_str_eq(log_escape(out, 5, "a\n", 2), "a");
	ck_assert_str_eq(log_escape(out, 5, "abcde", 5), "abcd");
	ck_assert_str_eq(log_escape(out, 5, "abc\xc3\xbc", 5), "abc");
	ck_assert_str_eq(log_escape(out, 6, "abc\xc3\xbc", 5), "abc\xc3\xbc");
}
END_TEST

START_TEST(test_a_line_is_never_longer_than_its_limit)
{
	static char most[2 * LOG_LINE_MOST];

	scene_enter();
	ck_assert_int_eq(log_open("log"), 0);
	memset(most, 'x', sizeof most - 1);
	log_info("%s", most);
	ck_assert_uint_eq(scene_read("log", text, sizeof text), LOG_LINE_MOST);
	ck_assert_uint_eq(lines(text), 1);
	ck_assert_uint_eq(strchr(text, '\n') - text, LOG_LINE_MOST - 1);
	memset(most, '\n', sizeof most - 1);
	log_info("%s", most);
	ck_assert_uint_le(
	    scene_read("log", text, sizeof text), 2 * LOG_LINE_MOST);
	ck_assert_uint_eq(lines(text), 2);
	scene_leave();
}
END_TEST

START_TEST(test_lines_of_several_processes_stay_whole)
{
	char *end, wanted[128];

	scene_enter();
	ck_assert_int_eq(log_open("log"), 0);
	for (int child = 0; child < 4; child++)
		if (fork() == 0) {
			for (int i = 0; i < 100; i++)
				log_info("<%0100d>", child);
			_exit(0);
		}
	while (wait(NULL) > 0)
		continue;
	scene_read("log", text, sizeof text);
	ck_assert_uint_eq(lines(text), 400);
	for (char *at = text; *at != '\0'; at = end + 1) {
		end = strchr(at, '\n');
		snprintf(
		    wanted, sizeof wanted, "info: <%0100d>\n", end[-2] - '0');
		ck_assert_ptr_eq(strstr(at, wanted), end + 1 - strlen(wanted));
	}
	scene_leave();
}
END_TEST

START_TEST(test_a_renamed_or_removed_log_is_followed_by_a_new_one)
{
	int64_t end = clock_ms() + 10000;

	scene_enter();
	ck_assert_int_eq(log_open("log"), 0);
	log_info("one");
	ck_assert_int_eq(rename("log", "log.1"), 0);
	do {
		ck_assert_int_lt(clock_ms(), end);
		usleep(20000);
		log_info("two");
	} while (access("log", F_OK) == -1);
	scene_read("log", text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "two"));
	scene_read("log.1", text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "one"));
	scene_leave();
}
END_TEST

static void
limit_files(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(test_lines_lost_to_a_full_disk_are_counted_and_told)
{
	size_t n;

	scene_enter();
	ck_assert_int_eq(log_open("log"), 0);
	log_info("before");
	n = scene_read("log", text, sizeof text);
	limit_files(n + 10); /* the next line can be written in part only */
	errno = 7;
	log_info("torn");
	log_info("lost");
	ck_assert_int_eq(errno, 7);
	ck_assert_uint_eq(scene_read("log", text, sizeof text), n + 10);
	limit_files(RLIM_INFINITY);
	log_info("after");
	scene_read("log", text, sizeof text);
	matches(text + n + 10,
	    "^\n" HEAD "[^\n]*warning: 2 lines before this one could not be "
	    "written\n" HEAD "[^\n]*info: after\n$");
	scene_leave();
}
END_TEST

START_TEST(test_a_log_on_a_full_device_is_no_failure)
{
	ck_assert_int_eq(log_open("/dev/full"), 0);
	for (int i = 0; i < 10; i++)
		log_info("lost");
}
END_TEST

START_TEST(test_another_file_gets_the_same_kind_of_line)
{
	int fd;

	scene_enter();
	fd = open("app", O_WRONLY | O_APPEND | O_CREAT, 0600);
	log_role("supervisor");
	log_to(fd, "cannot start\n%s", "\xff");
	scene_read("app", text, sizeof text);
	matches(text,
	    "^" HEAD
	    "supervisor\\[[0-9]+\\] info: cannot start\\\\x0a\\\\xff\n$");
	errno = 7;
	log_to(-1, "nowhere");
	ck_assert_int_eq(errno, 7);
	close(fd);
	scene_leave();
}
END_TEST

static void
die_early(void)
{
	die(78, "refuses to serve: %s\n", "unsafe");
}

static void
die_late(void)
{
	log_open("log");
	die(3, "no\x1bway");
}

static void
warn(void)
{
	log_warn("before there is a log");
}

START_TEST(test_before_there_is_a_log_lines_go_to_standard_error)
{
	ck_assert_int_eq(scene_child(warn, text, sizeof text), 0);
	matches(text,
	    "^" HEAD "mamayo\\[[0-9]+\\] warning: before there is a log\n$");
}
END_TEST

START_TEST(test_dying_says_why_and_exits_with_the_status)
{
	int status = scene_child(die_early, text, sizeof text);

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 78);
	ck_assert_str_eq(text, "mamayo: refuses to serve: unsafe\\x0a\n");

	scene_enter();
	status = scene_child(die_late, text, sizeof text);
	ck_assert_int_eq(WEXITSTATUS(status), 3);
	ck_assert_str_eq(text, "mamayo: no\\x1bway\n");
	scene_read("log", text, sizeof text);
	matches(text, "^" HEAD "mamayo\\[[0-9]+\\] error: no\\\\x1bway\n$");
	scene_leave();
}
END_TEST

START_TEST(test_what_comes_again_and_again_is_said_once_in_a_time)
{
	int64_t last = 0;

	ck_assert_int_eq(log_again(&last, 1000, 5), 1); /* the first */
	ck_assert_int_eq(log_again(&last, 1000, 1004), 0);
	ck_assert_int_eq(last, 5);
	ck_assert_int_eq(log_again(&last, 1000, 1005), 1);
	ck_assert_int_eq(last, 1005);
}
END_TEST

SUITE("log", test_what_comes_again_and_again_is_said_once_in_a_time,
    test_a_line_says_when_who_how_bad_and_what,
    test_the_file_is_the_owners_only,
    test_a_log_that_cannot_be_opened_changes_nothing,
    test_a_pipe_without_a_reader_does_not_hold_us_up,
    test_nobody_can_forge_a_line,
    test_escapes_exactly_what_is_not_printable_utf8,
    test_escaping_cuts_between_characters,
    test_a_line_is_never_longer_than_its_limit,
    test_lines_of_several_processes_stay_whole,
    test_a_renamed_or_removed_log_is_followed_by_a_new_one,
    test_lines_lost_to_a_full_disk_are_counted_and_told,
    test_a_log_on_a_full_device_is_no_failure,
    test_another_file_gets_the_same_kind_of_line,
    test_before_there_is_a_log_lines_go_to_standard_error,
    test_dying_says_why_and_exits_with_the_status);
