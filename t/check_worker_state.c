#include "config.h"

#include <string.h>

#include "lib/worker_state.h"
#include "t/check.h"

static int
is_living(int state)
{
	return state > WORKER_NOWHERE && state < WORKER_DEAD;
}

START_TEST(test_every_living_state_can_be_gone)
{
	for (int state = 0; state < WORKER_NSTATES; state++)
		if (is_living(state))
			ck_assert_int_eq(
			    worker_next(state, WORKER_GONE), WORKER_DEAD);
}
END_TEST

START_TEST(test_only_the_reaped_are_dead)
{
	for (int state = 0; state < WORKER_NSTATES; state++)
		for (int event = 0; event < WORKER_NEVENTS; event++)
			if (event != WORKER_GONE)
				ck_assert_int_ne(
				    worker_next(state, event), WORKER_DEAD);
}
END_TEST

START_TEST(test_nothing_happens_to_the_dead_or_to_what_never_was)
{
	for (int event = 0; event < WORKER_NEVENTS; event++) {
		ck_assert_int_eq(
		    worker_next(WORKER_DEAD, event), WORKER_NOWHERE);
		ck_assert_int_eq(
		    worker_next(WORKER_NOWHERE, event), WORKER_NOWHERE);
	}
}
END_TEST

/* The states are in the order of a life. */
START_TEST(test_no_event_brings_a_worker_back_to_an_earlier_state)
{
	for (int state = 0; state < WORKER_NSTATES; state++)
		for (int event = 0; event < WORKER_NEVENTS; event++) {
			int then = worker_next(state, event);

			if (then != WORKER_NOWHERE)
				ck_assert_msg(then >= state, "%s, %s: %s",
				    worker_state_name(state),
				    worker_event_name(event),
				    worker_state_name(then));
		}
}
END_TEST

START_TEST(test_only_a_starting_worker_becomes_ready_and_only_by_its_word)
{
	for (int state = 0; state < WORKER_NSTATES; state++)
		for (int event = 0; event < WORKER_NEVENTS; event++)
			ck_assert_int_eq(
			    worker_next(state, event) == WORKER_READY,
			    state == WORKER_STARTING &&
				event == WORKER_SAID_READY);
}
END_TEST

/* Blank cells: it said what it cannot say, or our own clock is wrong. */
START_TEST(test_what_cannot_be_is_blank_only_before_the_end_is_begun)
{
	static const struct {
		enum worker_state state;
		enum worker_event event;
	} blank[] = {
		{ WORKER_STARTING, WORKER_SILENT }, /* it has no request */
		{ WORKER_READY, WORKER_SAID_READY },
		{ WORKER_READY, WORKER_SAID_FAILED },
		{ WORKER_READY, WORKER_LATE }, /* has no deadline */
	};

	for (int state = 0; state < WORKER_NSTATES; state++)
		for (int event = 0; event < WORKER_NEVENTS; event++) {
			int is_blank = !is_living(state);

			for (size_t i = 0; i < sizeof blank / sizeof blank[0];
			     i++)
				is_blank |= (int)blank[i].state == state &&
					    (int)blank[i].event == event;
			ck_assert_msg((worker_next(state, event) ==
					  WORKER_NOWHERE) == is_blank,
			    "%s, %s", worker_state_name(state),
			    worker_event_name(event));
		}
}
END_TEST

START_TEST(test_a_worker_that_is_asked_leaves_unless_it_is_past_that)
{
	ck_assert_int_eq(
	    worker_next(WORKER_STARTING, WORKER_ASKED), WORKER_LEAVING);
	ck_assert_int_eq(
	    worker_next(WORKER_READY, WORKER_ASKED), WORKER_LEAVING);
	ck_assert_int_eq(
	    worker_next(WORKER_LEAVING, WORKER_ASKED), WORKER_LEAVING);
	ck_assert_int_eq(worker_next(WORKER_STUCK, WORKER_ASKED), WORKER_STUCK);
	ck_assert_int_eq(
	    worker_next(WORKER_KILLED, WORKER_ASKED), WORKER_KILLED);
}
END_TEST

START_TEST(test_a_late_start_and_a_silent_request_are_stuck_before_they_die)
{
	ck_assert_int_eq(
	    worker_next(WORKER_STARTING, WORKER_LATE), WORKER_STUCK);
	ck_assert_int_eq(
	    worker_next(WORKER_READY, WORKER_SILENT), WORKER_STUCK);
	ck_assert_int_eq(
	    worker_next(WORKER_LEAVING, WORKER_SILENT), WORKER_STUCK);
	ck_assert_int_eq(worker_next(WORKER_STUCK, WORKER_LATE), WORKER_KILLED);
	ck_assert_int_eq(
	    worker_next(WORKER_LEAVING, WORKER_LATE), WORKER_KILLED);
	ck_assert_int_eq(
	    worker_next(WORKER_KILLED, WORKER_LATE), WORKER_KILLED);
}
END_TEST

START_TEST(test_a_worker_that_hangs_up_unasked_is_killed)
{
	ck_assert_int_eq(
	    worker_next(WORKER_STARTING, WORKER_HUNG_UP), WORKER_KILLED);
	ck_assert_int_eq(
	    worker_next(WORKER_READY, WORKER_HUNG_UP), WORKER_KILLED);
	ck_assert_int_eq(
	    worker_next(WORKER_LEAVING, WORKER_HUNG_UP), WORKER_LEAVING);
}
END_TEST

START_TEST(test_from_every_living_state_lateness_ends_in_killed)
{
	for (int first = 0; first < WORKER_NSTATES; first++) {
		enum worker_state state = first;

		if (!is_living(first) || first == WORKER_READY)
			continue;
		for (int i = 0; i < WORKER_NSTATES; i++)
			state = worker_next(state, WORKER_LATE);
		ck_assert_int_eq(state, WORKER_KILLED);
	}
}
END_TEST

START_TEST(test_every_state_and_every_event_has_a_name_of_its_own)
{
	for (int i = 0; i < WORKER_NSTATES; i++) {
		ck_assert_ptr_nonnull(worker_state_name(i));
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(
			    worker_state_name(i), worker_state_name(k));
	}
	for (int i = 0; i < WORKER_NEVENTS; i++) {
		ck_assert_ptr_nonnull(worker_event_name(i));
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(
			    worker_event_name(i), worker_event_name(k));
	}
}
END_TEST

SUITE("worker_state", test_every_living_state_can_be_gone,
    test_only_the_reaped_are_dead,
    test_nothing_happens_to_the_dead_or_to_what_never_was,
    test_no_event_brings_a_worker_back_to_an_earlier_state,
    test_only_a_starting_worker_becomes_ready_and_only_by_its_word,
    test_what_cannot_be_is_blank_only_before_the_end_is_begun,
    test_a_worker_that_is_asked_leaves_unless_it_is_past_that,
    test_a_late_start_and_a_silent_request_are_stuck_before_they_die,
    test_a_worker_that_hangs_up_unasked_is_killed,
    test_from_every_living_state_lateness_ends_in_killed,
    test_every_state_and_every_event_has_a_name_of_its_own);
