#include "config.h"

#include "lib/recycle.h"
#include "t/check.h"

#define MB ((uint64_t)1024 * 1024)

static struct recycle
limits(int requests, int lifetime, int memory, uint32_t random)
{
	struct recycle r;

	recycle_init(&r, requests, lifetime, memory, random);
	return r;
}

START_TEST(test_without_limits_nothing_is_enough)
{
	struct recycle r = limits(0, 0, 0, UINT32_MAX);

	ck_assert_int_eq(
	    recycle_look(&r, UINT64_MAX, INT64_MAX, UINT64_MAX), RECYCLE_NOT);
}
END_TEST

START_TEST(test_a_limit_is_a_tenth_less_or_more)
{
	struct recycle least = limits(1000, 100, 100, 0);
	struct recycle half = limits(1000, 100, 100, UINT32_MAX / 2);
	struct recycle most = limits(1000, 100, 100, UINT32_MAX);

	ck_assert_uint_eq(least.requests, 900);
	ck_assert_int_eq(least.lifetime, 90000);
	ck_assert_uint_eq(least.memory, 90 * MB);
	ck_assert_uint_eq(half.requests, 1000);
	ck_assert_uint_eq(most.requests, 1100);
	ck_assert_int_eq(most.lifetime, 110000);
	ck_assert_uint_eq(most.memory, 110 * MB);
}
END_TEST

START_TEST(test_small_and_large_limits_stay_limits)
{
	struct recycle one = limits(1, 1, 1, 0);
	struct recycle most =
	    limits(1000000000, 366 * 86400, 1024 * 1024, UINT32_MAX);

	ck_assert_uint_eq(one.requests, 1);
	ck_assert_int_eq(one.lifetime, 900);
	ck_assert_uint_eq(most.requests, 1100000000);
	ck_assert_int_eq(most.lifetime, (int64_t)366 * 86400 * 1100);
	ck_assert_uint_eq(most.memory, 1024 * 1024 * MB * 11 / 10);
}
END_TEST

START_TEST(test_each_limit_is_named)
{
	struct recycle r = limits(10, 0, 0, UINT32_MAX / 2);
	char text[128];

	ck_assert_int_eq(recycle_look(&r, 9, 0, 0), RECYCLE_NOT);
	ck_assert_int_eq(recycle_look(&r, 10, 0, 0), RECYCLE_REQUESTS);
	r = limits(0, 10, 0, UINT32_MAX / 2);
	ck_assert_int_eq(recycle_look(&r, 1, 9998, 0), RECYCLE_NOT);
	ck_assert_int_eq(recycle_look(&r, 1, 10000, 0), RECYCLE_LIFETIME);
	r = limits(0, 0, 10, UINT32_MAX / 2);
	ck_assert_int_eq(recycle_look(&r, 1, 0, 9 * MB), RECYCLE_NOT);
	ck_assert_int_eq(recycle_look(&r, 1, 0, 10 * MB), RECYCLE_MEMORY);
	ck_assert_str_eq(
	    recycle_text(RECYCLE_REQUESTS, 10, 0, 0, text, sizeof text),
	    "it has served 10 requests (max_requests)");
	ck_assert_str_eq(
	    recycle_text(RECYCLE_LIFETIME, 0, 10999, 0, text, sizeof text),
	    "it has run for 10 seconds (lifetime)");
	ck_assert_str_eq(
	    recycle_text(RECYCLE_MEMORY, 0, 0, 10 * MB, text, sizeof text),
	    "it has 10 MB in memory (memory)");
	ck_assert_str_eq(
	    recycle_text(RECYCLE_NOT, 0, 0, 0, text, sizeof text), "");
}
END_TEST

START_TEST(test_one_that_has_served_nothing_stays)
{
	struct recycle r = limits(1, 1, 1, 0);

	ck_assert_int_eq(
	    recycle_look(&r, 0, INT64_MAX, UINT64_MAX), RECYCLE_NOT);
}
END_TEST

START_TEST(test_less_memory_than_at_the_start_is_no_limit)
{
	struct recycle r = limits(0, 0, 10, UINT32_MAX / 2);

	ck_assert_int_eq(recycle_is_hopeless(&r, 9 * MB), 0);
	ck_assert_int_eq(recycle_look(&r, 1, 0, 10 * MB), RECYCLE_MEMORY);
	ck_assert_int_eq(recycle_is_hopeless(&r, 10 * MB), 1);
	ck_assert_int_eq(recycle_look(&r, 1, 0, 99 * MB), RECYCLE_NOT);
	r = limits(0, 0, 0, 0);
	ck_assert_int_eq(recycle_is_hopeless(&r, UINT64_MAX), 0);
}
END_TEST

SUITE("recycle", test_without_limits_nothing_is_enough,
    test_a_limit_is_a_tenth_less_or_more,
    test_small_and_large_limits_stay_limits, test_each_limit_is_named,
    test_one_that_has_served_nothing_stays,
    test_less_memory_than_at_the_start_is_no_limit);
