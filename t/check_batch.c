#include "config.h"

#include <sched.h>

#include "lib/batch.h"
#include "t/check.h"

#ifdef SCHED_BATCH

static int
policy(void)
{
	return sched_getscheduler(0);
}

/* n pieces at that time; the last of them with so many waits for others. */
static void
work(struct batch *b, int n, int64_t now, long others)
{
	while (n-- > 0)
		batch_work(b, now, n == 0 ? 1000 - others : 1000);
}

START_TEST(test_many_pieces_in_a_short_time_make_it_one)
{
	struct batch b = { 0 };

	for (int i = 0; i < BATCH_WORK - 1; i++)
		batch_work(&b, 5, -1);
	ck_assert_int_eq(policy(), SCHED_OTHER);
	batch_work(&b, 5 + BATCH_SPAN_MS, -1);
	ck_assert_int_eq(policy(), SCHED_BATCH);
	work(&b, 10 * BATCH_WORK, 5 + BATCH_SPAN_MS, 0);
	ck_assert_int_eq(policy(), SCHED_BATCH);
	batch_work(&b, 5 + 2 * BATCH_SPAN_MS, -1);
	ck_assert_int_eq(policy(), SCHED_BATCH);
	batch_work(&b, 6 + 3 * BATCH_SPAN_MS, -1);
	ck_assert_int_eq(policy(), SCHED_OTHER);
}
END_TEST

START_TEST(test_a_piece_less_or_a_moment_more_does_not)
{
	struct batch b = { 0 };

	for (int i = 0; i < BATCH_WORK - 1; i++)
		batch_work(&b, 5, -1);
	batch_work(&b, 6 + BATCH_SPAN_MS, -1);
	ck_assert_int_eq(policy(), SCHED_OTHER);
	for (int i = 0; i < BATCH_WORK - 2; i++)
		batch_work(&b, 6 + BATCH_SPAN_MS, -1);
	ck_assert_int_eq(policy(), SCHED_OTHER);
}
END_TEST

START_TEST(test_who_waits_for_others_is_none)
{
	struct batch b = { 0 };

	work(&b, BATCH_WORK, 5, BATCH_WAITS);
	ck_assert_int_eq(policy(), SCHED_OTHER);
	batch_end(&b);
	work(&b, BATCH_WORK, 5, BATCH_WAITS / 2);
	ck_assert_int_eq(policy(), SCHED_BATCH);
	work(&b, BATCH_WORK - 1, 5, BATCH_WAITS);
	ck_assert_int_eq(policy(), SCHED_OTHER);
}
END_TEST

START_TEST(test_it_ends_when_it_is_told_to)
{
	struct batch b = { 0 };

	for (int i = 0; i < BATCH_WORK; i++)
		batch_work(&b, 5, -1);
	ck_assert_int_eq(policy(), SCHED_BATCH);
	batch_end(&b);
	ck_assert_int_eq(policy(), SCHED_OTHER);
}
END_TEST

SUITE("batch", test_many_pieces_in_a_short_time_make_it_one,
    test_a_piece_less_or_a_moment_more_does_not,
    test_who_waits_for_others_is_none, test_it_ends_when_it_is_told_to);

#else

START_TEST(test_nothing_happens)
{
	struct batch b = { 0 };

	batch_work(&b, 5, -1);
	batch_end(&b);
	ck_assert_int_eq(b.is_on, 0);
}
END_TEST

SUITE("batch", test_nothing_happens);

#endif
