#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/relay.h"
#include "t/check.h"
#include "t/scene.h"

#ifdef HAVE_SPLICE

#define MUCH 150000 /* bytes that one socket takes at once */

static int source[2], sink[2]; /* written to, relayed from; to, read from */
static struct buf rest;

static void
set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(fd_pair_stream(source), 0);
	ck_assert_int_eq(fd_pair_stream(sink), 0);
	ck_assert_int_eq(fd_nonblock(sink[0]), 0);
	rest = BUF_INIT(RELAY_PIPE);
}

static void
tear_down(void)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&source[i]);
		fd_close(&sink[i]);
	}
	buf_release(&rest);
}

/* n bytes, of which each can be told from its neighbours. */
static unsigned char *
text(size_t n, unsigned seed)
{
	unsigned char *bytes = malloc(n);

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 251 + seed);
	return bytes;
}

static size_t
put(size_t n, unsigned seed)
{
	unsigned char *bytes = text(n, seed);
	ssize_t sent = send(source[0], bytes, n, MSG_DONTWAIT);

	ck_assert_int_eq(sent, (ssize_t)n);
	free(bytes);
	return n;
}

/* Reads n bytes, and they are those. */
static void
comes(size_t n, const unsigned char *expected)
{
	unsigned char *got = malloc(n);

	ck_assert_ptr_nonnull(got);
	ck_assert_int_eq(recv(sink[1], got, n, MSG_WAITALL), (ssize_t)n);
	ck_assert_int_eq(memcmp(got, expected, n), 0);
	free(got);
}

START_TEST(test_what_is_there_arrives_in_order)
{
	unsigned char *all = text(MUCH, 1);
	size_t done = 0;
	ssize_t n;

	set_up();
	put(MUCH, 1);
	while (done < MUCH) {
		n = relay(source[1], sink[0], MUCH - done, &rest);
		ck_assert_int_gt(n, 0);
		done += (size_t)n;
		comes((size_t)n, all + done - n);
	}
	ck_assert_uint_eq(buf_len(&rest), 0);
	free(all);
	tear_down();
}
END_TEST

START_TEST(test_no_more_than_asked_for)
{
	set_up();
	put(1000, 2);
	ck_assert_int_eq(relay(source[1], sink[0], 10, &rest), 10);
	ck_assert_int_eq(relay(source[1], sink[0], 5000, &rest), 990);
	tear_down();
}
END_TEST

START_TEST(test_what_is_not_taken_is_kept_in_order)
{
	unsigned char *all = text(MUCH, 3), *got = malloc(MUCH);
	size_t done = 0, put_aside;
	ssize_t n;
	int least = 1;

	set_up();
	ck_assert_ptr_nonnull(got);
	setsockopt(sink[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
	put(MUCH, 3);
	while (buf_len(&rest) == 0) {
		n = relay(source[1], sink[0], MUCH - done, &rest);
		ck_assert_int_gt(n, 0);
		done += (size_t)n;
	}
	put_aside = buf_len(&rest);
	comes(done - put_aside, all);
	ck_assert_int_eq(
	    memcmp(buf_data(&rest), all + done - put_aside, put_aside), 0);
	free(all);
	free(got);
	tear_down();
}
END_TEST

START_TEST(test_nothing_and_an_end_are_left_to_the_reader)
{
	char c;

	set_up();
	ck_assert_int_eq(relay(source[1], sink[0], 10, &rest), 0);
	ck_assert_int_eq(recv(source[1], &c, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	fd_close(&source[0]);
	ck_assert_int_eq(relay(source[1], sink[0], 10, &rest), 0);
	ck_assert_int_eq(recv(source[1], &c, 1, MSG_DONTWAIT), 0);
	tear_down();
}
END_TEST

START_TEST(test_who_hung_up_gets_nothing_and_nor_does_the_next_one_of_his)
{
	unsigned char *second = text(1000, 5);
	int other[2];

	set_up();
	ck_assert_int_eq(fd_pair_stream(other), 0);
	fd_close(&sink[1]);
	put(1000, 4);
	ck_assert_int_eq(relay(source[1], sink[0], 1000, &rest), -1);
	put(1000, 5);
	ck_assert_int_eq(relay(source[1], other[0], 1000, &rest), 1000);
	sink[1] = other[1];
	comes(1000, second);
	fd_close(&other[0]);
	free(second);
	tear_down();
}
END_TEST

START_TEST(test_no_room_for_the_rest_is_an_error)
{
	int least = 1;
	ssize_t n = 1;

	set_up();
	setsockopt(sink[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
	rest = BUF_INIT(1);
	put(MUCH, 6);
	while (n > 0)
		n = relay(source[1], sink[0], MUCH, &rest);
	ck_assert_int_eq(n, -1);
	tear_down();
}
END_TEST

START_TEST(test_without_free_descriptors_nothing_is_moved)
{
	struct rlimit all, none;
	char got[10];

	set_up();
	put(sizeof got, 7);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = all;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(relay(source[1], sink[0], sizeof got, &rest), 0);
	ck_assert_int_eq(recv(source[1], got, sizeof got, MSG_DONTWAIT),
	    (ssize_t)sizeof got);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	tear_down();
}
END_TEST

START_TEST(test_it_holds_two_descriptors_however_often)
{
	int before;

	set_up();
	before = scene_descriptors();
	for (int i = 0; i < 10; i++) {
		put(10, 8);
		ck_assert_int_eq(relay(source[1], sink[0], 10, &rest), 10);
	}
	ck_assert_int_eq(scene_descriptors(), before + 2);
	tear_down();
}
END_TEST

SUITE("relay", test_what_is_there_arrives_in_order, test_no_more_than_asked_for,
    test_what_is_not_taken_is_kept_in_order,
    test_nothing_and_an_end_are_left_to_the_reader,
    test_who_hung_up_gets_nothing_and_nor_does_the_next_one_of_his,
    test_no_room_for_the_rest_is_an_error,
    test_without_free_descriptors_nothing_is_moved,
    test_it_holds_two_descriptors_however_often);

#else

START_TEST(test_nothing_is_moved)
{
	struct buf rest = BUF_INIT(10);

	ck_assert_int_eq(relay(0, 1, 10, &rest), 0);
}
END_TEST

SUITE("relay", test_nothing_is_moved);

#endif
