#include "config.h"

#include "lib/watchdog.h"
#include "t/check.h"

static struct watchdog w;
static int64_t now;

/* n beats that come when they are due; each asks. */
static void
beats(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		now = w.next;
		ck_assert_int_eq(watchdog_beat(&w, now), WATCHDOG_ASKS);
	}
}

static void
begin(void)
{
	watchdog_rest(&w);
	now = 5000;
	watchdog_start(&w, now);
}

START_TEST(test_one_that_answers_is_asked_once_a_second)
{
	begin();
	for (int i = 0; i < 100; i++) {
		beats(1);
		watchdog_heard(&w);
		ck_assert_int_eq(w.next, now + WATCHDOG_BEAT_MS);
		ck_assert_int_eq(
		    watchdog_beat(&w, w.next - 1), WATCHDOG_NOTHING);
	}
}
END_TEST

START_TEST(test_one_that_does_not_is_stuck_after_so_many_beats_and_no_sooner)
{
	begin();
	beats(WATCHDOG_MISSES); /* the first asks, the others miss */
	now = w.next;
	ck_assert_int_eq(watchdog_beat(&w, now), WATCHDOG_STUCK);
	ck_assert_int_eq(now, 5000 + (WATCHDOG_MISSES + 1) * WATCHDOG_BEAT_MS);
	beats(WATCHDOG_MISSES); /* and from the beginning */
	ck_assert_int_eq(watchdog_beat(&w, w.next), WATCHDOG_STUCK);
}
END_TEST

START_TEST(test_an_answer_at_the_last_moment_is_one)
{
	begin();
	beats(WATCHDOG_MISSES);
	watchdog_heard(&w);
	beats(WATCHDOG_MISSES);
	watchdog_heard(&w);
	beats(1);
}
END_TEST

START_TEST(test_a_beat_that_is_late_accuses_nobody)
{
	begin();
	beats(WATCHDOG_MISSES);
	now = w.next + 60000; /* we were stopped */
	ck_assert_int_eq(watchdog_beat(&w, now), WATCHDOG_ASKS);
	beats(WATCHDOG_MISSES - 1);
	now = w.next + WATCHDOG_LATE_MS + 1;
	ck_assert_int_eq(watchdog_beat(&w, now), WATCHDOG_ASKS);
	beats(WATCHDOG_MISSES - 1);
	now = w.next + WATCHDOG_LATE_MS; /* a little is nothing */
	ck_assert_int_eq(watchdog_beat(&w, now), WATCHDOG_STUCK);
}
END_TEST

START_TEST(test_one_that_rests_says_nothing_and_begins_anew)
{
	begin();
	beats(WATCHDOG_MISSES);
	watchdog_rest(&w);
	ck_assert_int_eq(watchdog_beat(&w, now + 100000), WATCHDOG_NOTHING);
	watchdog_start(&w, now);
	beats(WATCHDOG_MISSES);
	watchdog_start(&w, now + 5); /* is at it already */
	ck_assert_int_eq(watchdog_beat(&w, w.next), WATCHDOG_STUCK);
}
END_TEST

SUITE("watchdog", test_one_that_answers_is_asked_once_a_second,
    test_one_that_does_not_is_stuck_after_so_many_beats_and_no_sooner,
    test_an_answer_at_the_last_moment_is_one,
    test_a_beat_that_is_late_accuses_nobody,
    test_one_that_rests_says_nothing_and_begins_anew);
