#include "config.h"

#include <string.h>

#include "lib/wire.h"
#include "t/check.h"

static const struct wire_head sample = {
	.flags = WIRE_SPOOL | WIRE_SPOOL_BODY | WIRE_KEEP_CONN,
	.request_id = 0x1234,
	.params = 10,
	.body = 0x0102030405060708,
	.responder = 0x1112131415161718,
	.counter = 0x2122232425262728,
	.queued = 0x3132333435363738,
	.not_after = 0x4142434445464748,
};

static unsigned char message[WIRE_MOST + 1];

/* Does a message with this head and n bytes after it pass? */
static int
passes(const struct wire_head *head, size_t n)
{
	struct wire_head got;

	wire_put_head(message, head);
	return wire_get_head(message, WIRE_HEAD + n, &got) == 0;
}

START_TEST(test_the_layout_is_the_one_that_is_written_down)
{
	static const unsigned char layout[WIRE_HEAD] = { 'M', 'M', 'Y', 'q', 1,
		0, 13, 0, 10, 0, 0, 0, 0x34, 0x12, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1,
		0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27,
		0x26, 0x25, 0x24, 0x23, 0x22, 0x21, 0x38, 0x37, 0x36, 0x35,
		0x34, 0x33, 0x32, 0x31, 0x48, 0x47, 0x46, 0x45, 0x44, 0x43,
		0x42, 0x41, 0, 0, 0, 0, 0, 0, 0, 0 };

	memset(message, 0xee, sizeof message);
	wire_put_head(message, &sample);
	ck_assert_mem_eq(message, layout, WIRE_HEAD);
	ck_assert_uint_eq(message[WIRE_HEAD], 0xee);
}
END_TEST

START_TEST(test_what_was_put_is_got)
{
	struct wire_head got;

	wire_put_head(message, &sample);
	ck_assert_int_eq(wire_get_head(message, WIRE_HEAD + 10, &got), 0);
	ck_assert_uint_eq(got.flags, sample.flags);
	ck_assert_uint_eq(got.request_id, sample.request_id);
	ck_assert_uint_eq(got.params, sample.params);
	ck_assert_uint_eq(got.body, sample.body);
	ck_assert_uint_eq(got.responder, sample.responder);
	ck_assert_uint_eq(got.counter, sample.counter);
	ck_assert_uint_eq(got.queued, sample.queued);
	ck_assert_uint_eq(got.not_after, sample.not_after);
}
END_TEST

START_TEST(test_the_sizes_must_make_up_the_message)
{
	struct wire_head head = { .request_id = 1, .params = 10, .body = 20 };

	ck_assert(passes(&head, 30));
	ck_assert(!passes(&head, 29));
	ck_assert(!passes(&head, 31));
	head.flags = WIRE_SPOOL | WIRE_SPOOL_PARAMS;
	ck_assert(passes(&head, 20));
	ck_assert(!passes(&head, 30));
	head.flags = WIRE_SPOOL | WIRE_SPOOL_BODY;
	ck_assert(passes(&head, 10));
	ck_assert(!passes(&head, 30));
	head.flags = WIRE_SPOOL | WIRE_SPOOL_BODY | WIRE_SPOOL_PARAMS;
	ck_assert(passes(&head, 0));
	ck_assert(!passes(&head, 1));
	head = (struct wire_head){ .request_id = 1 };
	ck_assert(passes(&head, 0));
}
END_TEST

START_TEST(test_a_message_that_is_cut_anywhere_is_refused)
{
	struct wire_head head = { .request_id = 1, .params = 10 }, got;

	wire_put_head(message, &head);
	for (size_t n = 0; n < WIRE_HEAD + 10; n++)
		ck_assert_int_eq(wire_get_head(message, n, &got), -1);
}
END_TEST

START_TEST(test_each_limit_holds)
{
	struct wire_head head = { .request_id = 1 };

	head.body = WIRE_INLINE_BODY;
	ck_assert(passes(&head, WIRE_INLINE_BODY));
	head.body = WIRE_INLINE_BODY + 1;
	ck_assert(!passes(&head, WIRE_INLINE_BODY + 1));

	head.body = 0;
	head.params = WIRE_MOST - WIRE_HEAD;
	ck_assert(passes(&head, WIRE_MOST - WIRE_HEAD));
	head.params = WIRE_MOST - WIRE_HEAD + 1;
	ck_assert(!passes(&head, WIRE_MOST - WIRE_HEAD + 1));

	head.flags = WIRE_SPOOL | WIRE_SPOOL_PARAMS;
	head.params = WIRE_PARAMS_MOST;
	ck_assert(passes(&head, 0));
	head.params = WIRE_PARAMS_MOST + 1;
	ck_assert(!passes(&head, 0));

	head.flags = WIRE_SPOOL | WIRE_SPOOL_BODY;
	head.params = 0;
	head.body = INT64_MAX;
	ck_assert(passes(&head, 0));
	head.body++;
	ck_assert(!passes(&head, 0));
	head.body = UINT64_MAX;
	ck_assert(!passes(&head, 0));
}
END_TEST

START_TEST(test_only_flags_that_exist_and_make_sense_pass)
{
	for (unsigned flags = 0; flags <= UINT16_MAX; flags++) {
		struct wire_head head = { .request_id = 1,
			.flags = (uint16_t)flags };
		int spool = (flags & WIRE_SPOOL) != 0;
		int holds =
		    (flags & (WIRE_SPOOL_PARAMS | WIRE_SPOOL_BODY)) != 0;

		ck_assert_int_eq(
		    passes(&head, 0), flags < 32 && spool == holds);
	}
}
END_TEST

START_TEST(test_the_request_id_is_not_0)
{
	struct wire_head head = { .request_id = 0 };

	ck_assert(!passes(&head, 0));
	head.request_id = UINT16_MAX;
	ck_assert(passes(&head, 0));
}
END_TEST

START_TEST(test_another_magic_version_or_a_used_reserve_is_refused)
{
	static const int fixed[] = { 0, 1, 2, 3, 4, 5, 14, 15, 56, 57, 58, 59,
		60, 61, 62, 63 };
	struct wire_head head = { .request_id = 1 }, got;

	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
		wire_put_head(message, &head);
		ck_assert_int_eq(wire_get_head(message, WIRE_HEAD, &got), 0);
		message[fixed[i]] ^= 0x40;
		ck_assert_int_eq(wire_get_head(message, WIRE_HEAD, &got), -1);
	}
}
END_TEST

START_TEST(test_a_head_alone_tells_where_a_message_comes_from)
{
	struct wire_head head = { .request_id = 1,
		.params = 5,
		.body = 6,
		.responder = UINT64_MAX - 1,
		.counter = UINT64_C(0x123456789abcdef0),
		.queued = 77 };
	struct wire_head got = { .request_id = 42 };

	wire_put_head(message, &head);
	for (size_t n = 0; n < WIRE_HEAD; n++)
		ck_assert_int_eq(wire_get_origin(message, n, &got), -1);
	ck_assert_int_eq(wire_get_origin(message, WIRE_HEAD, &got), 0);
	ck_assert_uint_eq(got.responder, head.responder);
	ck_assert_uint_eq(got.counter, head.counter);
	ck_assert_uint_eq(got.queued, head.queued);
	ck_assert_uint_eq(got.request_id, 42); /* nothing else is set */
	for (int i = 0; i < 6; i++) {
		message[i] ^= 0x40; /* magic and version */
		ck_assert_int_eq(wire_get_origin(message, WIRE_HEAD, &got), -1);
		message[i] ^= 0x40;
	}
}
END_TEST

SUITE("wire", test_the_layout_is_the_one_that_is_written_down,
    test_what_was_put_is_got, test_the_sizes_must_make_up_the_message,
    test_a_message_that_is_cut_anywhere_is_refused, test_each_limit_holds,
    test_only_flags_that_exist_and_make_sense_pass,
    test_the_request_id_is_not_0,
    test_another_magic_version_or_a_used_reserve_is_refused,
    test_a_head_alone_tells_where_a_message_comes_from);
