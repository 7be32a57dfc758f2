#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/buf.h"
#include "t/check.h"
#include "t/scene.h"

START_TEST(test_refuses_to_pass_its_limit_and_keeps_what_it_has)
{
	struct buf b = BUF_INIT(4);

	ck_assert_int_eq(buf_add(&b, "abc", 3), 0);
	errno = 0;
	ck_assert_int_eq(buf_add(&b, "de", 2), -1);
	ck_assert_int_eq(errno, ENOBUFS);
	ck_assert_uint_eq(buf_len(&b), 3);
	ck_assert_mem_eq(buf_data(&b), "abc", 3);
	ck_assert_uint_eq(buf_room(&b), 1);
	ck_assert_int_eq(buf_add(&b, "d", 1), 0);
	ck_assert_mem_eq(buf_data(&b), "abcd", 4);
	ck_assert_uint_eq(buf_room(&b), 0);
	ck_assert_ptr_null(buf_space(&b, 1));
	ck_assert_int_eq(buf_add(&b, "", 0), 0);
	buf_release(&b);
}
END_TEST

START_TEST(test_never_allocates_more_than_its_limit)
{
	static const size_t limits[] = { 1, 511, 512, 513, 1000, 5000 };

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct buf b = BUF_INIT(limits[i]);

		for (size_t n = 0; n < limits[i]; n++)
			ck_assert_int_eq(buf_add(&b, "x", 1), 0);
		ck_assert_uint_le(b.size, limits[i]);
		ck_assert_int_eq(buf_add(&b, "x", 1), -1);
		buf_release(&b);
	}
}
END_TEST

START_TEST(test_an_announced_size_near_the_end_of_numbers_is_refused)
{
	struct buf b = BUF_INIT(100);

	ck_assert_int_eq(buf_add(&b, "x", 1), 0);
	ck_assert_ptr_null(buf_space(&b, SIZE_MAX));
	ck_assert_int_eq(errno, ENOBUFS);
	buf_release(&b);
}
END_TEST

START_TEST(test_emptied_exactly_at_the_end_it_can_be_filled_again)
{
	struct buf b = BUF_INIT(8);

	for (int round = 0; round < 100; round++) {
		ck_assert_int_eq(buf_add(&b, "12345678", 8), 0);
		buf_drop(&b, 3);
		buf_drop(&b, 5);
		ck_assert_uint_eq(buf_len(&b), 0);
		ck_assert_uint_eq(buf_room(&b), 8);
	}
	buf_release(&b);
}
END_TEST

START_TEST(test_bytes_come_out_in_the_order_they_went_in)
{
	struct buf b = BUF_INIT(1000);
	unsigned char in = 0, out = 0, bytes[64];

	srandom(1);
	for (int round = 0; round < 10000; round++) {
		size_t n = (size_t)random() % sizeof bytes;

		if (n <= buf_room(&b)) {
			for (size_t i = 0; i < n; i++)
				bytes[i] = in++;
			ck_assert_int_eq(buf_add(&b, bytes, n), 0);
		}
		n = (size_t)random() % (buf_len(&b) + 1);
		for (size_t i = 0; i < n; i++)
			ck_assert_uint_eq(buf_data(&b)[i], out++);
		buf_drop(&b, n);
	}
	buf_release(&b);
}
END_TEST

START_TEST(test_space_counts_only_what_was_announced)
{
	struct buf b = BUF_INIT(100);
	unsigned char *place = buf_space(&b, 50);

	ck_assert_ptr_nonnull(place);
	memcpy(place, "hello", 5);
	ck_assert_uint_eq(buf_len(&b), 0);
	buf_added(&b, 5);
	ck_assert_uint_eq(buf_len(&b), 5);
	ck_assert_mem_eq(buf_data(&b), "hello", 5);
	buf_release(&b);
}
END_TEST

START_TEST(test_released_it_is_empty_and_usable)
{
	struct buf b = BUF_INIT(10);

	ck_assert_uint_eq(buf_len(&b), 0);
	ck_assert_int_eq(buf_add(&b, "abc", 3), 0);
	buf_release(&b);
	buf_release(&b);
	ck_assert_uint_eq(buf_len(&b), 0);
	ck_assert_uint_eq(buf_room(&b), 10);
	ck_assert_int_eq(buf_add(&b, "abc", 3), 0);
	buf_release(&b);
}
END_TEST

static void
drop_too_much(void)
{
	struct buf b = BUF_INIT(10);

	buf_add(&b, "abc", 3);
	buf_drop(&b, 4);
}

START_TEST(test_dropping_more_than_is_held_is_our_mistake)
{
	char said[512];
	int status = scene_child(drop_too_much, said, sizeof said);

	ck_assert(WIFSIGNALED(status));
	ck_assert_ptr_nonnull(strstr(said, "buf_drop"));
}
END_TEST

SUITE("buf", test_refuses_to_pass_its_limit_and_keeps_what_it_has,
    test_never_allocates_more_than_its_limit,
    test_an_announced_size_near_the_end_of_numbers_is_refused,
    test_emptied_exactly_at_the_end_it_can_be_filled_again,
    test_bytes_come_out_in_the_order_they_went_in,
    test_space_counts_only_what_was_announced,
    test_released_it_is_empty_and_usable,
    test_dropping_more_than_is_held_is_our_mistake);
