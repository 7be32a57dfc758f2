#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/log.h"
#include "lib/logfile.h"
#include "t/check.h"
#include "t/scene.h"

#define MOST 200000 /* bytes of a log in these tests */

static struct logfile file;
static struct problem why;
static int64_t now;
static char text[1024 * 1024];

static void
begin(void)
{
	scene_enter();
	ck_assert_int_eq(log_open("mamayo.log"), 0);
	logfile_init(&file, "logs/app.log");
	now = 1000000;
}

static void
end(void)
{
	logfile_release(&file);
	scene_leave();
}

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

/* n bytes of lines that begin with the mark. */
static void
writes(int fd, char mark, size_t n)
{
	char line[100];

	memset(line, mark, sizeof line);
	line[sizeof line - 1] = '\n';
	for (; n >= sizeof line; n -= sizeof line)
		ck_assert_int_eq(write(fd, line, sizeof line), sizeof line);
}

/* Looks until there is nothing to be done at once. */
static int64_t
look(int keep)
{
	int64_t wait;

	now += 10000;
	while ((wait = logfile_look(&file, MOST, keep, now)) == 0)
		continue;
	return wait;
}

static int
opened(void)
{
	int fd = logfile_open(&file, &why);

	ck_assert_msg(fd != -1, "%s", why.text);
	return fd;
}

START_TEST(test_it_is_made_with_its_directory_for_nobody_else)
{
	struct stat st;
	int fd;

	begin();
	umask(0);
	fd = opened();
	ck_assert_int_eq(stat("logs", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(stat("logs/app.log", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_APPEND, 0);
	ck_assert_int_eq(opened(), fd);
	end();
}
END_TEST

START_TEST(test_below_its_size_nothing_happens)
{
	begin();
	writes(opened(), 'a', MOST - 100);
	ck_assert_int_gt(look(3), 0);
	ck_assert_int_eq(size_of("logs/app.log"), MOST - 100);
	ck_assert_int_eq(size_of("logs/app.log.1"), -1);
	end();
}
END_TEST

START_TEST(test_old_ones_are_kept_up_to_their_number)
{
	int fd;

	begin();
	fd = opened();
	for (char mark = 'a'; mark <= 'e'; mark++) {
		writes(fd, mark, MOST);
		(void)look(3);
		ck_assert_int_eq(size_of("logs/app.log"), 0);
	}
	writes(fd, 'f', 100);
	/* the writer's descriptor has stayed, and there is no hole */
	ck_assert_uint_eq(scene_read("logs/app.log", text, sizeof text), 100);
	ck_assert_int_eq(text[0], 'f');
	for (int i = 1; i <= 3; i++) {
		char path[32];

		snprintf(path, sizeof path, "logs/app.log.%d", i);
		ck_assert_uint_eq(scene_read(path, text, sizeof text), MOST);
		ck_assert_int_eq(text[0], 'f' - i);
	}
	ck_assert_int_eq(size_of("logs/app.log.4"), -1);
	end();
}
END_TEST

START_TEST(test_fewer_are_kept_when_the_setting_says_so)
{
	int fd;

	begin();
	fd = opened();
	for (int i = 0; i < 5; i++) {
		writes(fd, 'a', MOST);
		(void)look(4);
	}
	ck_assert_int_eq(size_of("logs/app.log.4"), MOST);
	writes(fd, 'a', MOST);
	(void)look(1);
	ck_assert_int_eq(size_of("logs/app.log.1"), MOST);
	for (int i = 2; i < 5; i++) {
		char path[32];

		snprintf(path, sizeof path, "logs/app.log.%d", i);
		ck_assert_int_eq(size_of(path), -1);
	}
	end();
}
END_TEST

START_TEST(test_with_none_kept_its_end_stays)
{
	size_t n;

	begin();
	writes(opened(), 'a', MOST);
	writes(file.fd, 'z', 100);
	(void)look(0);
	n = scene_read("logs/app.log", text, sizeof text);
	ck_assert_uint_le(n, LOGFILE_TAIL + 200);
	ck_assert_ptr_nonnull(strstr(text, "bytes before this line were"));
	ck_assert_int_eq(text[n - 2], 'z');
	ck_assert_int_eq(size_of("logs/app.log.1"), -1);
	end();
}
END_TEST

START_TEST(test_a_flood_is_cut_and_both_logs_say_so)
{
	off_t most = 0, all;
	int64_t last;

	begin();
	(void)opened();
	for (int i = 0; i < 50; i++) {
		writes(file.fd, 'a', 2 * MOST);
		all = size_of("logs/app.log") + size_of("logs/app.log.1") +
		      size_of("logs/app.log.2");
		most = all > most ? all : most;
		now += LOGFILE_FAST_MS;
		while (logfile_look(&file, MOST, 2, now) == 0)
			continue;
	}
	ck_assert_int_le(most, 6 * MOST);
	ck_assert_int_le(size_of("logs/app.log.1"), 2 * MOST);
	ck_assert_int_gt(size_of("logs/app.log.1"), 0);
	last = logfile_look(&file, MOST, 2, now + 1);
	ck_assert_int_le(last, LOGFILE_SLOW_MS);
	(void)scene_read("logs/app.log", text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "were dropped (log_size)\n"));
	(void)scene_read("mamayo.log", text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "bytes of logs/app.log were"));
	ck_assert_ptr_null(strstr(strstr(text, "dropped") + 1, "dropped"));
	now += LOGFILE_TOLD_MS;
	(void)look(2);
	(void)scene_read("mamayo.log", text, sizeof text);
	ck_assert_ptr_nonnull(strstr(strstr(text, "dropped") + 1, "dropped"));
	end();
}
END_TEST

START_TEST(test_it_is_looked_at_more_often_while_it_grows_fast)
{
	begin();
	writes(opened(), 'a', 1000);
	ck_assert_int_eq(look(3), LOGFILE_SLOW_MS);
	ck_assert_int_eq(look(3), LOGFILE_SLOW_MS);
	writes(file.fd, 'a', MOST / 2);
	now += 99;
	ck_assert_int_le(logfile_look(&file, MOST, 3, now), 100);
	writes(file.fd, 'a', MOST / 2 - 2000);
	now += 99;
	ck_assert_int_eq(logfile_look(&file, MOST, 3, now), LOGFILE_FAST_MS);
	end();
}
END_TEST

START_TEST(test_one_that_was_removed_is_followed_by_a_new_one)
{
	int old;
	ino_t inode;

	begin();
	old = opened();
	inode = file.inode;
	ck_assert_int_eq(unlink("logs/app.log"), 0);
	(void)look(3);
	ck_assert_int_eq(size_of("logs/app.log"), 0);
	ck_assert_uint_ne(file.inode, inode);
	/* a writer that does not know yet: what nobody sees takes no room */
	writes(old, 'a', 1000);
	(void)look(3);
	ck_assert_int_eq(lseek(old, 0, SEEK_END), 0);
	ck_assert_int_eq(rename("logs", "elsewhere"), 0);
	(void)look(3);
	ck_assert_int_eq(size_of("logs/app.log"), 0);
	logfile_close(&file);
	ck_assert_int_eq(unlink("logs/app.log"), 0);
	(void)look(3);
	ck_assert_int_eq(size_of("logs/app.log"), -1); /* nobody writes */
	end();
}
END_TEST

START_TEST(test_one_that_was_moved_away_is_its_owners)
{
	int old;

	begin();
	old = opened();
	ck_assert_int_eq(rename("logs/app.log", "logs/kept"), 0);
	(void)look(3);
	writes(old, 'a', 2 * MOST);
	(void)look(3);
	ck_assert_int_eq(size_of("logs/kept"), 2 * MOST);
	end();
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

START_TEST(test_without_room_for_an_old_one_there_is_none)
{
	begin();
	writes(opened(), 'a', MOST);
	limit_files(MOST / 2);
	(void)look(3);
	ck_assert_int_le(size_of("logs/app.log"), LOGFILE_TAIL + 200);
	ck_assert_int_eq(size_of("logs/app.log.1"), -1);
	limit_files(RLIM_INFINITY);
	(void)look(3);
	(void)scene_read("mamayo.log", text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "cannot keep old text of"));
	ck_assert_ptr_nonnull(strstr(text, "bytes of logs/app.log were"));
	end();
}
END_TEST

START_TEST(test_what_is_in_the_way_of_old_ones_costs_only_these)
{
	begin();
	writes(opened(), 'a', MOST);
	ck_assert_int_eq(mkdir("logs/app.log.1", 0700), 0);
	ck_assert_int_eq(mkdir("logs/app.log.3", 0700), 0);
	(void)look(1);
	ck_assert_int_le(size_of("logs/app.log"), LOGFILE_TAIL + 200);
	(void)look(1);
	(void)scene_read("mamayo.log", text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "cannot keep old text of"));
	end();
}
END_TEST

START_TEST(test_what_is_no_regular_file_is_left_alone)
{
	begin();
	ck_assert_int_eq(mkdir("logs", 0700), 0);
	scene_write("target", "mine");
	ck_assert_int_eq(symlink("../target", "logs/app.log"), 0);
	ck_assert_int_eq(logfile_open(&file, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "logs/app.log"));
	ck_assert_int_eq(logfile_look(&file, 1, 3, now), LOGFILE_SLOW_MS);
	ck_assert_int_eq(size_of("target"), 4);
	end();
}
END_TEST

START_TEST(test_our_own_is_renamed)
{
	begin();
	ck_assert_int_eq(logfile_rename("mamayo.log", 100, 2), 0);
	log_info("%0100d", 1);
	ck_assert_int_eq(logfile_rename("mamayo.log", 100, 2), 1);
	ck_assert_int_eq(size_of("mamayo.log"), -1);
	ck_assert_int_gt(size_of("mamayo.log.1"), 100);
	ck_assert_int_eq(logfile_rename("mamayo.log", 100, 2), 0);
	scene_write("mamayo.log", "xx");
	ck_assert_int_eq(logfile_rename("mamayo.log", 2, 2), 1);
	ck_assert_int_eq(size_of("mamayo.log.1"), 2);
	ck_assert_int_gt(size_of("mamayo.log.2"), 100);
	scene_write("mamayo.log", "xx");
	ck_assert_int_eq(logfile_rename("mamayo.log", 2, 0), 1);
	ck_assert_int_eq(size_of("mamayo.log"), -1);
	ck_assert_int_eq(size_of("mamayo.log.1"), -1);
	end();
}
END_TEST

START_TEST(test_no_descriptor_stays)
{
	int before;

	begin();
	before = scene_descriptors();
	(void)opened();
	writes(file.fd, 'a', MOST);
	(void)look(3);
	ck_assert_int_eq(unlink("logs/app.log"), 0);
	(void)look(3);
	logfile_close(&file);
	ck_assert_int_eq(scene_descriptors(), before);
	end();
}
END_TEST

SUITE("logfile", test_it_is_made_with_its_directory_for_nobody_else,
    test_below_its_size_nothing_happens,
    test_old_ones_are_kept_up_to_their_number,
    test_fewer_are_kept_when_the_setting_says_so,
    test_with_none_kept_its_end_stays, test_a_flood_is_cut_and_both_logs_say_so,
    test_it_is_looked_at_more_often_while_it_grows_fast,
    test_one_that_was_removed_is_followed_by_a_new_one,
    test_one_that_was_moved_away_is_its_owners,
    test_without_room_for_an_old_one_there_is_none,
    test_what_is_in_the_way_of_old_ones_costs_only_these,
    test_what_is_no_regular_file_is_left_alone, test_our_own_is_renamed,
    test_no_descriptor_stays);
