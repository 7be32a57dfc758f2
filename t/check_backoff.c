#include "config.h"

#include "lib/backoff.h"
#include "t/check.h"

START_TEST(test_no_failure_is_no_wait)
{
	ck_assert_int_eq(backoff_ms(0, -1, UINT32_MAX), 0);
}
END_TEST

START_TEST(test_what_had_been_ready_long_enough_starts_again_at_once)
{
	ck_assert_int_eq(backoff_ms(9, BACKOFF_READY_MS, 0), 0);
	ck_assert_int_eq(backoff_ms(9, BACKOFF_READY_MS + 1, 0), 0);
	ck_assert_int_eq(backoff_ms(1, BACKOFF_READY_MS - 1, 0), 1000);
	ck_assert_int_eq(backoff_ms(1, 0, 0), 1000);
	ck_assert_int_eq(backoff_ms(1, -1, 0), 1000);
}
END_TEST

START_TEST(test_the_wait_doubles_up_to_a_minute)
{
	static const int64_t waits[] = { 0, 1000, 2000, 4000, 8000, 16000,
		32000, 60000, 60000, 60000 };

	for (unsigned n = 0; n < sizeof waits / sizeof waits[0]; n++)
		ck_assert_int_eq(backoff_ms(n, -1, 0), waits[n]);
	ck_assert_int_eq(backoff_ms(UINT32_MAX, -1, 0), 60000);
}
END_TEST

START_TEST(test_jitter_adds_up_to_a_quarter)
{
	ck_assert_int_eq(backoff_ms(1, -1, UINT32_MAX / 2), 1124);
	ck_assert_int_eq(backoff_ms(1, -1, UINT32_MAX), 1249);
	ck_assert_int_eq(backoff_ms(50, -1, UINT32_MAX), 74999);
}
END_TEST

/* Fault 33: of a worker that dies as soon as it is ready the first death may be
 * the fault of its first request, and does not count. */
START_TEST(test_a_crash_loop_is_a_handful_of_starts_in_a_minute)
{
	int64_t now = 1;
	int starts = 1;

	for (unsigned n = 1; now < 60000; n++) {
		starts++;
		now += 1 + backoff_ms(n, 1, 0);
	}
	ck_assert_int_le(starts, 12);
	ck_assert_int_ge(starts, 4);
}
END_TEST

SUITE("backoff", test_no_failure_is_no_wait,
    test_what_had_been_ready_long_enough_starts_again_at_once,
    test_the_wait_doubles_up_to_a_minute, test_jitter_adds_up_to_a_quarter,
    test_a_crash_loop_is_a_handful_of_starts_in_a_minute);
