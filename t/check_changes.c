#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/changes.h"
#include "t/check.h"

static char place[] = "/tmp/mamayo-changes.XXXXXX";
static struct changes changes;

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static void
enter(void)
{
	ck_assert_ptr_nonnull(mkdtemp(place));
	ck_assert_int_eq(chdir(place), 0);
	put("wsgi.py", "1");
	changes_add(&changes, "wsgi.py", CHANGES_MADE_OF);
	changes_add(&changes, "restart.txt", CHANGES_SIGNAL);
}

static void
leave(void)
{
	changes_release(&changes);
	unlink("wsgi.py");
	unlink("restart.txt");
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(place);
}

START_TEST(test_a_change_counts_when_two_looks_far_apart_find_the_same)
{
	struct changes c = { 0 };

	ck_assert_int_eq(changes_judge(&c, 0, 0, 1000), CHANGES_NONE);
	ck_assert_int_eq(changes_judge(&c, 7, 0, 2000), CHANGES_FRESH);
	ck_assert_int_eq(changes_judge(&c, 7, 900, 3999), CHANGES_FRESH);
	ck_assert_int_eq(changes_judge(&c, 8, 0, 4000), CHANGES_FRESH);
	ck_assert_int_eq(changes_judge(&c, 8, 0, 5999), CHANGES_FRESH);
	ck_assert_int_eq(changes_judge(&c, 8, -1, 6000), CHANGES_QUIET);
	ck_assert_int_eq(changes_judge(&c, 0, 0, 6001), CHANGES_NONE);
	ck_assert_int_eq(changes_judge(&c, 8, 0, 9000), CHANGES_FRESH);
}
END_TEST

START_TEST(test_or_at_once_if_nobody_has_touched_the_files_for_that_long)
{
	struct changes c = { 0 };

	ck_assert_int_eq(
	    changes_judge(&c, 7, CHANGES_QUIET_MS - 1, 9), CHANGES_FRESH);
	ck_assert_int_eq(
	    changes_judge(&c, 7, CHANGES_QUIET_MS, 9), CHANGES_QUIET);
}
END_TEST

START_TEST(test_sees_a_file_that_is_written_or_goes_and_a_signal_that_comes)
{
	enter();
	ck_assert_int_eq(changes_look(&changes, 1), CHANGES_NONE);
	put("restart.txt", "");
	ck_assert_int_eq(changes_look(&changes, 2), CHANGES_FRESH);
	ck_assert_str_eq(changes.which, "restart.txt");
	changes_renew(&changes);
	ck_assert_int_eq(changes_look(&changes, 3), CHANGES_NONE);
	unlink("restart.txt");
	ck_assert_int_eq(changes_look(&changes, 4), CHANGES_NONE);
	put("restart.txt", "");
	ck_assert_int_eq(changes_look(&changes, 5), CHANGES_FRESH);
	changes_renew(&changes);
	put("wsgi.py", "12");
	ck_assert_int_eq(changes_look(&changes, 6), CHANGES_FRESH);
	ck_assert_str_eq(changes.which, "wsgi.py");
	unlink("wsgi.py");
	ck_assert_int_eq(changes_look(&changes, 7), CHANGES_FRESH);
	ck_assert_int_eq(
	    changes_look(&changes, 7 + CHANGES_QUIET_MS), CHANGES_QUIET);
	leave();
}
END_TEST

START_TEST(test_a_file_that_is_known_stays_as_it_was)
{
	enter();
	put("wsgi.py", "12");
	changes_add(&changes, "wsgi.py", CHANGES_MADE_OF);
	ck_assert_uint_eq(changes.n, 2);
	ck_assert_int_eq(changes_look(&changes, 1), CHANGES_FRESH);
	leave();
}
END_TEST

START_TEST(test_another_list_takes_the_files_as_they_are_now)
{
	struct changes other = { 0 };

	enter();
	put("wsgi.py", "12");
	changes_add_all(&other, &changes);
	ck_assert_uint_eq(other.n, 2);
	ck_assert_int_eq(changes_look(&other, 1), CHANGES_NONE);
	ck_assert_int_eq(changes_look(&changes, 1), CHANGES_FRESH);
	changes_release(&other);
	leave();
}
END_TEST

START_TEST(test_what_has_gone_is_forgotten_but_a_signal_is_not)
{
	enter();
	unlink("wsgi.py");
	changes_renew(&changes);
	ck_assert_uint_eq(changes.n, 1);
	ck_assert_str_eq(changes.files[0].path, "restart.txt");
	ck_assert_int_eq(changes_look(&changes, 1), CHANGES_NONE);
	leave();
}
END_TEST

START_TEST(test_what_was_written_after_it_was_read_has_changed)
{
	struct timespec since;

	enter();
	changes_release(&changes);
	clock_gettime(CLOCK_REALTIME, &since);
	since.tv_sec += 60;
	changes_add_read(&changes, "wsgi.py", &since);
	ck_assert_int_eq(changes_look(&changes, 1), CHANGES_NONE);
	changes_release(&changes);
	since.tv_sec -= 120;
	changes_add_read(&changes, "wsgi.py", &since);
	ck_assert_int_eq(changes_look(&changes, 1), CHANGES_FRESH);
	changes_renew(&changes);
	changes_add_read(&changes, "wsgi.py", &since); /* is known */
	ck_assert_int_eq(changes_look(&changes, 2), CHANGES_NONE);
	changes_release(&changes);
	changes_add_read(&changes, "missing.py", &since);
	ck_assert_int_eq(changes_look(&changes, 3), CHANGES_NONE);
	leave();
}
END_TEST

START_TEST(test_what_was_touched_while_nobody_looked_has_changed)
{
	struct timespec since;

	enter();
	clock_gettime(CLOCK_REALTIME, &since);
	since.tv_sec += 60;
	changes_recall(&changes, &since);
	ck_assert_int_eq(changes_look(&changes, 1), CHANGES_NONE);
	since.tv_sec -= 120;
	changes_recall(&changes, &since);
	changes_recall(&changes, &since); /* by another worker */
	ck_assert_int_eq(changes_look(&changes, 1), CHANGES_FRESH);
	leave();
}
END_TEST

START_TEST(test_the_list_has_an_end_and_no_long_paths)
{
	char name[CHANGES_PATH + 2];

	enter();
	for (int i = 0; i < CHANGES_FILES + 10; i++) {
		snprintf(name, sizeof name, "%d.py", i);
		changes_add(&changes, name, CHANGES_MADE_OF);
	}
	ck_assert_uint_eq(changes.n, CHANGES_FILES);
	changes_release(&changes);
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	changes_add(&changes, name, CHANGES_MADE_OF);
	ck_assert_uint_eq(changes.n, 0);
	leave();
}
END_TEST

SUITE("changes", test_a_change_counts_when_two_looks_far_apart_find_the_same,
    test_or_at_once_if_nobody_has_touched_the_files_for_that_long,
    test_sees_a_file_that_is_written_or_goes_and_a_signal_that_comes,
    test_a_file_that_is_known_stays_as_it_was,
    test_another_list_takes_the_files_as_they_are_now,
    test_what_has_gone_is_forgotten_but_a_signal_is_not,
    test_what_was_written_after_it_was_read_has_changed,
    test_what_was_touched_while_nobody_looked_has_changed,
    test_the_list_has_an_end_and_no_long_paths);
