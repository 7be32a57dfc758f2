#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/ending.h"
#include "lib/proc.h"
#include "t/check.h"

static char path[] = "check_ending.XXXXXX";

static void
write_file(const char *text)
{
	FILE *f;

	if (strchr(path, 'X') != NULL)
		close(mkstemp(path));
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

START_TEST(test_counts_what_the_kernel_has_ended)
{
	write_file("nr_free_pages 5\noom_kill 17\nswap_ra 3\n");
	ck_assert_uint_eq(ending_oom_kills(path), 17);
	write_file("nr_free_pages 5\nzone_oom_kill 17\n");
	ck_assert_uint_eq(ending_oom_kills(path), 0);
	write_file("");
	ck_assert_uint_eq(ending_oom_kills(path), 0);
	unlink(path);
	ck_assert_uint_eq(ending_oom_kills(path), 0);
}
END_TEST

START_TEST(test_says_what_an_end_means)
{
	ck_assert_ptr_nonnull(
	    strstr(ending_advice(SIGKILL, 1), "want of memory"));
	ck_assert_ptr_nonnull(strstr(ending_advice(SIGKILL, 0), "memory"));
	ck_assert_ptr_null(strstr(ending_advice(SIGKILL, 0), "want of memory"));
	ck_assert_ptr_nonnull(strstr(ending_advice(SIGSEGV, 0), "compiled"));
	ck_assert_ptr_nonnull(strstr(ending_advice(SIGXCPU, 0), "ulimit -t"));
	ck_assert_ptr_nonnull(strstr(ending_advice(3 << 8, 0), "exit()"));
	ck_assert_str_eq(ending_advice(PROC_UNKNOWN, 1), "");
	ck_assert_str_eq(ending_advice(SIGUSR1, 0), "");
}
END_TEST

static void
says(const char *log, const char *words)
{
	char *got;

	write_file(log);
	got = ending_last_words(path, SIGABRT);
	if (words == NULL)
		ck_assert_ptr_null(got);
	else
		ck_assert_str_eq(got, words);
	free(got);
	unlink(path);
}

START_TEST(test_the_last_words_are_the_last_lines)
{
	says("", NULL);
	says("one\n", "one\n");
	says("one\ntwo", "one\ntwo\n");
	says("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n",
	    "2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n");
	says("\x1b[31mred\xff\n", "\\x1b[31mred\\xff\n");
	ck_assert_ptr_null(ending_last_words("/nowhere", 0));
	ck_assert_ptr_null(ending_last_words("/dev/zero", 0));
}
END_TEST

START_TEST(test_the_last_words_are_the_stack_if_there_is_one)
{
	char log[4096], *at = log;

	says("1\n2\n3\n4\nFatal Python error: Aborted\n\nx\ny\n",
	    "2\n3\n4\nFatal Python error: Aborted\n\nx\ny\n");
	says("Fatal Python error: A\na\nb\nc\nFatal Python error: B\nd\n",
	    "a\nb\nc\nFatal Python error: B\nd\n");
	write_file("Fatal Python error: A\na\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10"
		   "\n11\n");
	at = ending_last_words(path, SIGKILL);
	ck_assert_str_eq(at, "a\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n");
	free(at);
	at = log;
	at += snprintf(at, 64, "Fatal Python error: C\n");
	for (int i = 0; i < 100; i++)
		at += snprintf(at, 64, "  File %d\n", i);
	write_file(log);
	at = ending_last_words(path, SIGABRT);
	ck_assert_ptr_nonnull(strstr(at, "Fatal Python error: C\n  File 0\n"));
	ck_assert_ptr_nonnull(strstr(at, "  File 38\n"));
	ck_assert_ptr_null(strstr(at, "  File 39\n"));
	free(at);
	unlink(path);
}
END_TEST

START_TEST(test_a_long_log_costs_no_more_and_begins_with_a_line)
{
	char log[3 * ENDING_TEXT], *got;

	memset(log, 'x', sizeof log - 1);
	log[sizeof log - 1] = '\0';
	log[sizeof log - 10] = '\n';
	says(log, "xxxxxxxx\n");
	memset(log, '\xff', sizeof log - 1);
	write_file(log);
	got = ending_last_words(path, SIGABRT);
	ck_assert_uint_eq(strlen(got), 4 * ENDING_TEXT + 1);
	free(got);
	unlink(path);
}
END_TEST

SUITE("ending", test_counts_what_the_kernel_has_ended,
    test_says_what_an_end_means, test_the_last_words_are_the_last_lines,
    test_the_last_words_are_the_stack_if_there_is_one,
    test_a_long_log_costs_no_more_and_begins_with_a_line);
