#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/scoreboard.h"
#include "t/check.h"
#include "t/scene.h"

static struct problem why;

static int
page(void)
{
	int fd;

	scene_enter();
	fd = scoreboard_new(AT_FDCWD, "board", &why);
	ck_assert_msg(fd != -1, "%s", why.text);
	return fd;
}

static void
put_word(int fd, int word, uint64_t value)
{
	ck_assert_int_eq(
	    pwrite(fd, &value, sizeof value, 8 * word), (ssize_t)sizeof value);
}

START_TEST(test_a_new_page_is_whole_private_and_close_on_exec)
{
	struct stat st;
	int fd;

	umask(0);
	fd = page();
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, SCOREBOARD_SIZE);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_ge(st.st_blocks * 512, SCOREBOARD_SIZE);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_a_new_page_reads_as_zeros)
{
	struct board b;
	int fd = page();

	memset(&b, 0xee, sizeof b);
	ck_assert_int_eq(scoreboard_read(fd, &b), 0);
	ck_assert_uint_eq(b.word[BOARD_MAGIC], SCOREBOARD_MAGIC);
	for (int i = 1; i < BOARD_WORDS; i++)
		ck_assert_uint_eq(b.word[i], 0);
	ck_assert_str_eq(b.url, "");
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_words_are_where_they_are_written_down)
{
	struct board b;
	int fd = page();

	ck_assert_int_eq(BOARD_STATE, 1);
	ck_assert_int_eq(BOARD_RESPONDER, 2);
	ck_assert_int_eq(BOARD_COUNTER, 3);
	ck_assert_int_eq(BOARD_STARTED, 4);
	ck_assert_int_eq(BOARD_PROGRESS, 5);
	ck_assert_int_eq(BOARD_WROTE, 6);
	ck_assert_int_eq(BOARD_REQUESTS, 7);
	ck_assert_int_eq(BOARD_BYTES, 8);
	ck_assert_int_eq(BOARD_STATUS, 9);
	ck_assert_int_eq(BOARD_LATENCY, 14);
	ck_assert_int_eq(BOARD_CONNECTION, 30);
	ck_assert_int_eq(BOARD_REQUEST_ID, 31);
	ck_assert_int_eq(BOARD_WORDS, 32);
	ck_assert_int_le(BOARD_WORDS * 8, SCOREBOARD_URL_AT);
	ck_assert_int_le(
	    SCOREBOARD_URL_AT + SCOREBOARD_URL_MOST, SCOREBOARD_SIZE);
	for (int i = 1; i < BOARD_WORDS; i++)
		put_word(fd, i, UINT64_C(0x0123456789abcd00) + (unsigned)i);
	ck_assert_int_eq(scoreboard_read(fd, &b), 0);
	for (int i = 1; i < BOARD_WORDS; i++)
		ck_assert_uint_eq(
		    b.word[i], UINT64_C(0x0123456789abcd00) + (unsigned)i);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_a_url_ends_at_its_limit_whatever_follows)
{
	char text[SCOREBOARD_URL_MOST + 8];
	struct board b;
	int fd = page();

	ck_assert_int_eq(pwrite(fd, "/a", 3, SCOREBOARD_URL_AT), 3);
	ck_assert_int_eq(scoreboard_read(fd, &b), 0);
	ck_assert_str_eq(b.url, "/a");
	memset(text, 'u', sizeof text);
	ck_assert_int_eq(pwrite(fd, text, sizeof text, SCOREBOARD_URL_AT),
	    (ssize_t)sizeof text);
	ck_assert_int_eq(scoreboard_read(fd, &b), 0);
	ck_assert_uint_eq(strlen(b.url), SCOREBOARD_URL_MOST);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_a_page_that_was_cut_or_is_not_ours_is_refused)
{
	struct board b;
	int fd = page();

	ck_assert_int_eq(ftruncate(fd, SCOREBOARD_SIZE - 1), 0);
	ck_assert_int_eq(scoreboard_read(fd, &b), -1);
	ck_assert_int_eq(ftruncate(fd, SCOREBOARD_SIZE), 0);
	ck_assert_int_eq(scoreboard_read(fd, &b), 0);
	put_word(fd, BOARD_MAGIC, SCOREBOARD_MAGIC + 1);
	ck_assert_int_eq(scoreboard_read(fd, &b), -1);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(scoreboard_read(fd, &b), -1);
	ck_assert_int_eq(scoreboard_read(-1, &b), -1);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_what_is_there_already_is_not_taken)
{
	int fd = page();

	ck_assert_int_eq(scoreboard_new(AT_FDCWD, "board", &why), -1);
	ck_assert_str_eq(why.text, "cannot create board: File exists");
	ck_assert_int_eq(symlink("target", "link"), 0);
	ck_assert_int_eq(scoreboard_new(AT_FDCWD, "link", &why), -1);
	ck_assert_int_eq(access("target", F_OK), -1);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_without_room_there_is_no_page_and_nothing_is_left)
{
	struct rlimit limit;
	int open_before;

	scene_enter();
	open_before = scene_descriptors();
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = SCOREBOARD_SIZE - 1;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(scoreboard_new(AT_FDCWD, "board", &why), -1);
	ck_assert_str_eq(why.text, "cannot allocate board: File too large");
	ck_assert_int_eq(access("board", F_OK), -1);
	ck_assert_int_eq(scene_descriptors(), open_before);
	scene_leave();
}
END_TEST

SUITE("scoreboard", test_a_new_page_is_whole_private_and_close_on_exec,
    test_a_new_page_reads_as_zeros, test_words_are_where_they_are_written_down,
    test_a_url_ends_at_its_limit_whatever_follows,
    test_a_page_that_was_cut_or_is_not_ours_is_refused,
    test_what_is_there_already_is_not_taken,
    test_without_room_there_is_no_page_and_nothing_is_left);
