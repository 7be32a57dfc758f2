#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/body.h"
#include "lib/fd.h"
#include "lib/wire.h"
#include "t/check.h"
#include "t/scene.h"

static struct body body;
static int dir, before;
static unsigned char bytes[3 * WIRE_INLINE_BODY];

static void
enter(void)
{
	scene_enter();
	before = scene_descriptors();
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 256);
	body_init(&body);
}

static void
leave(void)
{
	body_release(&body);
	ck_assert_ptr_null(body.bytes);
	ck_assert_int_eq(body.fd, -1);
	ck_assert_uint_eq(body.length, 0);
	close(dir);
	ck_assert_int_eq(scene_descriptors(), before);
	scene_leave(); /* fails if a name were left: rmdir */
}

static void
add(size_t from, size_t n)
{
	ck_assert_int_eq(body_add(&body, dir, bytes + from, n), 0);
}

/* The spool holds this, from its beginning, and nothing more. */
static void
spool_is(const char *first, size_t n)
{
	static unsigned char got[4 * sizeof bytes];
	size_t length = strlen(first);
	struct stat st;

	ck_assert_int_ne(body.fd, -1);
	ck_assert_ptr_null(body.bytes);
	ck_assert_int_eq(
	    pread(body.fd, got, sizeof got, 0), (ssize_t)(length + n));
	ck_assert_mem_eq(got, first, length);
	ck_assert_mem_eq(got + length, bytes, n);
	ck_assert_int_eq(fstat(body.fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(fcntl(body.fd, F_GETFD), FD_CLOEXEC);
}

START_TEST(test_nothing_takes_no_memory)
{
	enter();
	add(0, 0);
	ck_assert_ptr_null(body.bytes);
	ck_assert_uint_eq(body.length, 0);
	leave();
}
END_TEST

START_TEST(test_a_small_body_stays_in_memory)
{
	enter();
	add(0, 1);
	add(1, 99);
	ck_assert_uint_eq(body.length, 100);
	ck_assert_mem_eq(body.bytes, bytes, 100);
	ck_assert_int_eq(body.fd, -1);
	leave();
}
END_TEST

START_TEST(test_the_largest_that_stays_in_memory_and_one_byte_more)
{
	enter();
	add(0, WIRE_INLINE_BODY);
	ck_assert_int_eq(body.fd, -1);
	ck_assert_mem_eq(body.bytes, bytes, WIRE_INLINE_BODY);
	add(WIRE_INLINE_BODY, 1);
	ck_assert_uint_eq(body.length, WIRE_INLINE_BODY + 1);
	spool_is("", WIRE_INLINE_BODY + 1);
	leave();
}
END_TEST

START_TEST(test_a_large_piece_goes_into_a_file_at_once)
{
	enter();
	add(0, sizeof bytes);
	ck_assert_uint_eq(body.length, sizeof bytes);
	spool_is("", sizeof bytes);
	leave();
}
END_TEST

START_TEST(test_one_byte_at_a_time_arrives_whole)
{
	enter();
	for (size_t i = 0; i < 2 * WIRE_INLINE_BODY; i++)
		add(i, 1);
	ck_assert_uint_eq(body.length, 2 * WIRE_INLINE_BODY);
	spool_is("", 2 * WIRE_INLINE_BODY);
	leave();
}
END_TEST

START_TEST(test_a_prefix_stands_before_nothing)
{
	enter();
	ck_assert_int_eq(body_prefix(&body, dir, "parameters", 10), 0);
	ck_assert_uint_eq(body.length, 0);
	spool_is("parameters", 0);
	leave();
}
END_TEST

START_TEST(test_a_prefix_stands_before_a_small_body)
{
	enter();
	add(0, 100);
	ck_assert_int_eq(body_prefix(&body, dir, "parameters", 10), 0);
	ck_assert_uint_eq(body.length, 100); /* of the body alone */
	spool_is("parameters", 100);
	leave();
}
END_TEST

START_TEST(test_a_prefix_stands_before_a_large_body)
{
	enter();
	add(0, sizeof bytes);
	ck_assert_int_eq(body_prefix(&body, dir, "parameters", 10), 0);
	ck_assert_uint_eq(body.length, sizeof bytes);
	spool_is("parameters", sizeof bytes);
	leave();
}
END_TEST

START_TEST(test_a_full_disk_is_told_and_what_there_was_stays)
{
	struct rlimit limit = { .rlim_cur = WIRE_INLINE_BODY + 10,
		.rlim_max = RLIM_INFINITY };

	enter();
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = WIRE_INLINE_BODY + 10;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	add(0, WIRE_INLINE_BODY);
	ck_assert_int_eq(body_add(&body, dir, bytes, sizeof bytes), -1);
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_uint_eq(body.length, WIRE_INLINE_BODY);
	ck_assert_int_eq(body_prefix(&body, dir, bytes, WIRE_INLINE_BODY), -1);
	leave();
}
END_TEST

START_TEST(test_without_a_directory_for_it_a_large_body_is_refused)
{
	enter();
	ck_assert_int_eq(body_add(&body, -1, bytes, sizeof bytes), -1);
	ck_assert_uint_eq(body.length, 0);
	add(0, 10);
	ck_assert_int_eq(body_prefix(&body, -1, "x", 1), -1);
	ck_assert_mem_eq(body.bytes, bytes, 10);
	leave();
}
END_TEST

SUITE("body", test_nothing_takes_no_memory, test_a_small_body_stays_in_memory,
    test_the_largest_that_stays_in_memory_and_one_byte_more,
    test_a_large_piece_goes_into_a_file_at_once,
    test_one_byte_at_a_time_arrives_whole, test_a_prefix_stands_before_nothing,
    test_a_prefix_stands_before_a_small_body,
    test_a_prefix_stands_before_a_large_body,
    test_a_full_disk_is_told_and_what_there_was_stays,
    test_without_a_directory_for_it_a_large_body_is_refused);
