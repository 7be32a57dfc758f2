#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/loop.h"
#include "t/check.h"
#include "t/scene.h"

/* A watch on one end of a pair, and what is to happen when it is called. */
struct seat {
	struct watch watch;
	int other; /* the other end */
	int calls;
	short got;
	void (*then)(struct seat *);
};

static struct loop *loop;

static void
called(struct watch *w, short got, int64_t now)
{
	struct seat *s = (struct seat *)w;

	ck_assert_int_eq(now, loop_now(loop));
	ck_assert_uint_ne(w->at, 0); /* nobody is called who was stopped */
	s->calls++;
	s->got = got;
	if (s->then != NULL)
		s->then(s);
}

static void
sit(struct seat *s, short want)
{
	int ends[2];

	ck_assert_int_eq(fd_pair_stream(ends), 0);
	ck_assert_int_eq(fd_nonblock(ends[0]), 0);
	*s = (struct seat){
		.watch = { .fd = ends[0], .want = want, .ready = called },
		.other = ends[1]
	};
	ck_assert_int_eq(loop_watch(loop, &s->watch), 0);
}

static void
leave(struct seat *s)
{
	loop_unwatch(loop, &s->watch);
	fd_close(&s->watch.fd);
	fd_close(&s->other);
}

static void
poke(struct seat *s)
{
	ck_assert_int_eq(write(s->other, "x", 1), 1);
}

static void
start(void)
{
	loop = loop_new();
}

static void
stop(void)
{
	loop_free(loop);
}

/* A timer of the test itself, so that no turn waits longer than `ms`. */
static struct timer patience;

static void
give_up(struct timer *t, int64_t now)
{
	(void)t;
	(void)now;
}

static void
turn(int64_t ms)
{
	patience.due = give_up;
	ck_assert_int_eq(loop_timer(loop, &patience, clock_ms() + ms), 0);
	loop_turn(loop);
	loop_cancel(loop, &patience);
}

START_TEST(test_tells_who_can_be_read_and_who_can_be_written)
{
	struct seat a, b, c;

	start();
	sit(&a, POLLIN);
	sit(&b, POLLOUT);
	sit(&c, POLLIN);
	poke(&a);
	turn(5000);
	ck_assert_int_eq(a.calls, 1);
	ck_assert_int_eq(a.got, POLLIN);
	ck_assert_int_eq(b.calls, 1);
	ck_assert_int_eq(b.got, POLLOUT);
	ck_assert_int_eq(c.calls, 0);
	turn(5000); /* what was not read is told again */
	ck_assert_int_eq(a.calls, 2);
	leave(&a);
	leave(&b);
	leave(&c);
	stop();
}
END_TEST

START_TEST(test_interest_can_be_changed)
{
	struct seat a;

	start();
	sit(&a, POLLIN);
	loop_want(loop, &a.watch, POLLIN | POLLOUT);
	turn(5000);
	ck_assert_int_eq(a.got, POLLOUT);
	poke(&a);
	turn(5000);
	ck_assert_int_eq(a.got, POLLIN | POLLOUT);
	loop_want(loop, &a.watch, 0);
	turn(10);
	ck_assert_int_eq(a.calls, 2);
	leave(&a);
	stop();
}
END_TEST

START_TEST(test_a_hang_up_is_told_as_readable_even_to_the_sleeping)
{
	struct seat a, b;

	start();
	sit(&a, POLLIN);
	sit(&b, 0);
	fd_close(&a.other);
	fd_close(&b.other);
	turn(5000);
	ck_assert_int_ne(a.got & POLLIN, 0);
	ck_assert_int_ne(a.got & POLLHUP, 0);
	ck_assert_int_ne(b.got & POLLIN, 0);
	leave(&a);
	leave(&b);
	stop();
}
END_TEST

static struct seat *victim;

static void
stop_victim(struct seat *s)
{
	(void)s;
	loop_unwatch(loop, &victim->watch);
}

START_TEST(test_who_was_stopped_in_this_turn_is_not_called)
{
	struct seat seats[3];

	/* Whatever the order of calls: each stops the next one once. */
	for (int killer = 0; killer < 3; killer++) {
		start();
		for (int i = 0; i < 3; i++)
			sit(&seats[i], POLLIN);
		victim = &seats[(killer + 1) % 3];
		seats[killer].then = stop_victim;
		for (int i = 0; i < 3; i++)
			poke(&seats[i]);
		turn(5000);
		ck_assert_int_le(victim->calls, 1);
		victim->calls = 0;
		turn(5000);
		ck_assert_int_eq(victim->calls, 0);
		ck_assert_int_eq(seats[killer].calls, 2);
		for (int i = 0; i < 3; i++)
			leave(&seats[i]);
		stop();
	}
}
END_TEST

static struct seat *first, *second;

static void
stop_the_other(struct seat *s)
{
	loop_unwatch(loop, s == first ? &second->watch : &first->watch);
}

START_TEST(test_of_two_that_stop_each_other_exactly_one_is_called)
{
	struct seat a, b;

	start();
	sit(&a, POLLIN);
	sit(&b, POLLIN);
	first = &a;
	second = &b;
	a.then = b.then = stop_the_other;
	poke(&a);
	poke(&b);
	turn(5000);
	ck_assert_int_eq(a.calls + b.calls, 1);
	leave(&a);
	leave(&b);
	stop();
}
END_TEST

static void
lose_interest_in_other(struct seat *s)
{
	loop_want(loop, s == first ? &second->watch : &first->watch, 0);
}

START_TEST(test_who_lost_interest_in_this_turn_is_not_called)
{
	struct seat a, b;

	start();
	sit(&a, POLLIN);
	sit(&b, POLLIN);
	first = &a;
	second = &b;
	a.then = b.then = lose_interest_in_other;
	poke(&a);
	poke(&b);
	turn(5000);
	ck_assert_int_eq(a.calls + b.calls, 1);
	leave(&a);
	leave(&b);
	stop();
}
END_TEST

static void
leave_and_free(struct seat *s)
{
	leave(s);
	free(s);
}

START_TEST(test_a_callback_may_free_its_owner)
{
	struct seat *s[10];

	start();
	for (int i = 0; i < 10; i++) {
		s[i] = malloc(sizeof *s[i]);
		sit(s[i], POLLIN);
		s[i]->then = leave_and_free;
		poke(s[i]);
	}
	turn(5000);
	turn(10); /* none is left that could be called */
	stop();
}
END_TEST

static struct seat reborn;

/* The closed number is at once given to another, of whom poll said nothing. */
static void
replace_other(struct seat *s)
{
	struct seat *other = s == first ? second : first;
	int number = other->watch.fd, ends[2];

	loop_unwatch(loop, &other->watch);
	fd_close(&other->watch.fd);
	ck_assert_int_eq(fd_pair_stream(ends), 0);
	if (ends[0] != number) {
		ck_assert_int_eq(dup2(ends[0], number), number);
		fd_close(&ends[0]);
	}
	reborn = (struct seat){
		.watch = { .fd = number, .want = POLLIN, .ready = called },
		.other = ends[1]
	};
	ck_assert_int_eq(loop_watch(loop, &reborn.watch), 0);
}

START_TEST(test_a_number_that_is_used_again_in_this_turn_is_a_stranger)
{
	struct seat a, b;

	start();
	sit(&a, POLLIN);
	sit(&b, POLLIN);
	first = &a;
	second = &b;
	a.then = b.then = replace_other;
	poke(&a);
	poke(&b);
	turn(5000);
	ck_assert_int_eq(a.calls + b.calls, 1);
	ck_assert_int_eq(reborn.calls, 0);
	a.then = b.then = NULL;
	poke(&reborn);
	turn(5000);
	ck_assert_int_eq(reborn.calls, 1);
	leave(&reborn);
	leave(&a);
	leave(&b);
	stop();
}
END_TEST

#define CROWD 64
static struct seat crowd[CROWD];

/* Stops and starts others at random. */
static void
shuffle(struct seat *s)
{
	struct seat *other = &crowd[random() % CROWD];

	(void)s;
	ck_assert_int_eq(s->calls, 1);
	if (random() % 2)
		loop_unwatch(loop, &other->watch);
	if (random() % 2 && other->watch.at == 0)
		ck_assert_int_eq(loop_watch(loop, &other->watch), 0);
	if (random() % 3 == 0)
		loop_unwatch(loop, &s->watch);
}

START_TEST(test_in_any_disorder_each_is_called_at_most_once_a_turn)
{
	int calls = 0;

	start();
	srandom(1);
	for (int i = 0; i < CROWD; i++) {
		sit(&crowd[i], POLLIN);
		crowd[i].then = shuffle;
		poke(&crowd[i]);
	}
	for (int round = 0; round < 500; round++) {
		for (int i = 0; i < CROWD; i++) {
			crowd[i].calls = 0;
			if (crowd[i].watch.at == 0)
				loop_watch(loop, &crowd[i].watch);
		}
		turn(5000);
		for (int i = 0; i < CROWD; i++)
			calls += crowd[i].calls;
	}
	/* Nobody may be forgotten for good either. */
	ck_assert_int_gt(calls, 500 * CROWD / 4);
	for (int i = 0; i < CROWD; i++) {
		crowd[i].then = NULL;
		crowd[i].calls = 0;
	}
	for (int i = 0; i < CROWD; i++)
		if (crowd[i].watch.at == 0)
			loop_watch(loop, &crowd[i].watch);
	turn(5000);
	for (int i = 0; i < CROWD; i++) {
		ck_assert_int_eq(crowd[i].calls, 1);
		leave(&crowd[i]);
	}
	stop();
}
END_TEST

START_TEST(test_stopping_what_is_not_watched_is_nothing)
{
	struct watch w = { .fd = 0 };
	struct timer t = { .due = give_up };

	start();
	loop_unwatch(loop, &w);
	loop_cancel(loop, &t);
	stop();
	loop_free(NULL);
}
END_TEST

START_TEST(test_more_than_2000_descriptors)
{
	enum { MANY = 1100 };
	static struct seat seats[2 * MANY];
	int ends[2];

	fd_raise_limit();
	start();
	for (int i = 0; i < MANY; i++) {
		ck_assert_msg(fd_pair_stream(ends) == 0, "%s", strerror(errno));
		for (int side = 0; side < 2; side++) {
			seats[2 * i + side] =
			    (struct seat){ .watch = { .fd = ends[side],
					       .want = POLLIN,
					       .ready = called },
				    .other = -1 };
			ck_assert_int_eq(
			    loop_watch(loop, &seats[2 * i + side].watch), 0);
		}
	}
	for (int i = 0; i < 2 * MANY; i += 2)
		ck_assert_int_eq(write(seats[i].watch.fd, "x", 1), 1);
	turn(5000);
	for (int i = 0; i < 2 * MANY; i++) {
		ck_assert_int_eq(seats[i].calls, i % 2);
		leave(&seats[i]);
	}
	stop();
}
END_TEST

/* --- timers --- */

struct alarm {
	struct timer timer;
	int64_t at, rang;
	int rings;
	void (*then)(struct alarm *);
};

static int64_t last_rang;

static void
ring(struct timer *t, int64_t now)
{
	struct alarm *a = (struct alarm *)t;

	ck_assert_uint_eq(t->place, 0);
	ck_assert_int_ge(now, a->at);
	ck_assert_int_ge(a->at, last_rang); /* in order */
	last_rang = a->at;
	a->rings++;
	if (a->then != NULL)
		a->then(a);
}

static void
set(struct alarm *a, int64_t at)
{
	a->timer.due = ring;
	a->at = at;
	ck_assert_int_eq(loop_timer(loop, &a->timer, at), 0);
}

START_TEST(test_a_timer_fires_once_and_never_early)
{
	struct alarm a = { .rings = 0 };
	int64_t at;

	start();
	at = clock_ms() + 30;
	set(&a, at);
	loop_turn(loop);
	while (a.rings == 0)
		loop_turn(loop);
	ck_assert_int_ge(clock_ms(), at);
	turn(10);
	ck_assert_int_eq(a.rings, 1);
	stop();
}
END_TEST

START_TEST(test_timers_fire_in_the_order_of_their_times)
{
	enum { MANY = 1000 };
	static struct alarm alarms[MANY];
	int64_t now = clock_ms();
	int off = 0;

	start();
	srandom(2);
	for (int i = 0; i < MANY; i++)
		set(&alarms[i], now - random() % 500);
	for (int i = 0; i < MANY; i++) { /* move some, cancel some */
		if (random() % 3 == 0)
			set(&alarms[i], now - random() % 500);
		else if (random() % 3 == 0)
			loop_cancel(loop, &alarms[i].timer);
	}
	for (int i = 0; i < MANY; i++)
		if (alarms[i].timer.place == 0) {
			alarms[i].rings = 1;
			off++;
		}
	ck_assert_int_gt(off, 0);
	loop_turn(loop);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(alarms[i].rings, 1);
	stop();
}
END_TEST

START_TEST(test_a_timer_can_be_moved_both_ways)
{
	struct alarm a = { .rings = 0 }, b = { .rings = 0 };
	int64_t now = clock_ms();

	start();
	set(&a, now + 1000000);
	set(&b, now + 1000000);
	set(&a, now - 1);
	turn(1000);
	ck_assert_int_eq(a.rings, 1);
	set(&b, now);
	set(&b, now + 1000000);
	turn(10);
	ck_assert_int_eq(b.rings, 0);
	loop_cancel(loop, &b.timer);
	ck_assert_uint_eq(b.timer.place, 0);
	stop();
}
END_TEST

static struct alarm *other_alarm;

static void
cancel_other(struct alarm *a)
{
	(void)a;
	loop_cancel(loop, &other_alarm->timer);
}

START_TEST(test_a_timer_that_is_cancelled_in_this_turn_does_not_fire)
{
	struct alarm a = { .then = cancel_other }, b = { .rings = 0 };

	start();
	other_alarm = &b;
	set(&a, clock_ms() - 2);
	set(&b, clock_ms() - 1);
	turn(1000);
	ck_assert_int_eq(a.rings, 1);
	ck_assert_int_eq(b.rings, 0);
	stop();
}
END_TEST

static void
again(struct alarm *a)
{
	last_rang = 0;
	set(a, loop_now(loop) - 100); /* due already */
}

START_TEST(test_a_timer_that_sets_itself_again_does_not_hold_up_the_turn)
{
	struct alarm a = { .then = again };
	struct seat s;

	start();
	sit(&s, POLLIN);
	set(&a, clock_ms() - 1);
	loop_turn(loop);
	loop_turn(loop);
	ck_assert_int_eq(a.rings, 2);
	poke(&s);
	loop_turn(loop);
	ck_assert_int_eq(s.calls, 1);
	leave(&s);
	stop();
}
END_TEST

static void
free_alarm(struct alarm *a)
{
	free(a);
}

START_TEST(test_a_timer_may_free_its_owner)
{
	start();
	for (int i = 0; i < 20; i++) {
		struct alarm *a = calloc(1, sizeof *a);

		a->then = free_alarm;
		set(a, 1 + i % 7);
	}
	turn(1000);
	stop();
}
END_TEST

/* --- signals --- */

static int caught, caught_there;

static void
count(void *counter, int64_t now)
{
	ck_assert_int_eq(now, loop_now(loop));
	++*(int *)counter;
}

START_TEST(test_a_signal_is_told_once_a_turn_however_often_it_came)
{
	start();
	loop_signal(loop, SIGUSR1, count, &caught);
	loop_signal(loop, SIGUSR2, count, &caught_there);
	for (int i = 0; i < 100000; i++) /* more than the pipe holds */
		raise(SIGUSR1);
	ck_assert_int_eq(caught, 0);
	turn(5000);
	ck_assert_int_eq(caught, 1);
	ck_assert_int_eq(caught_there, 0);
	turn(10);
	raise(SIGUSR2);
	raise(SIGUSR1);
	turn(5000);
	ck_assert_int_eq(caught, 2);
	ck_assert_int_eq(caught_there, 1);
	raise(SIGUSR2);
	turn(5000);
	ck_assert_int_eq(caught, 2); /* what was told is not told again */
	ck_assert_int_eq(caught_there, 2);
	stop();
}
END_TEST

START_TEST(test_the_handler_keeps_errno)
{
	start();
	loop_signal(loop, SIGUSR1, count, &caught);
	for (int i = 0; i < 100000; i++) {
		errno = 7;
		raise(SIGUSR1);
		ck_assert_int_eq(errno, 7);
	}
	stop();
}
END_TEST

START_TEST(test_a_signal_wakes_the_loop)
{
	int64_t before = clock_ms();
	pid_t pid;

	start();
	loop_signal(loop, SIGUSR1, count, &caught);
	if ((pid = fork()) == 0) {
		usleep(30000);
		_exit(kill(getppid(), SIGUSR1));
	}
	turn(20000);
	ck_assert_int_eq(caught, 1);
	ck_assert_int_lt(clock_ms() - before, 15000);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	stop();
}
END_TEST

static void
ignore(int signo)
{
	(void)signo;
}

START_TEST(test_a_signal_of_somebody_else_ends_no_wait)
{
	struct sigaction action = { .sa_handler = ignore };
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } },
			 never = { { 0, 0 }, { 0, 0 } };
	struct alarm a = { .rings = 0 };

	start();
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	set(&a, clock_ms() + 60);
	loop_turn(loop);
	setitimer(ITIMER_REAL, &never, NULL);
	ck_assert_int_eq(a.rings, 1);
	stop();
}
END_TEST

START_TEST(test_without_a_loop_signals_are_default_again)
{
	struct sigaction action;

	start();
	loop_signal(loop, SIGUSR1, count, &caught);
	raise(SIGUSR1);
	stop();
	ck_assert_int_eq(sigaction(SIGUSR1, NULL, &action), 0);
	ck_assert(action.sa_handler == SIG_DFL);
	start(); /* a signal of the old loop does not reach the new one */
	loop_signal(loop, SIGUSR1, count, &caught);
	turn(10);
	ck_assert_int_eq(caught, 0);
	stop();
}
END_TEST

static int
child_of_loop(void)
{
	struct sigaction action;
	struct seat s;

	loop_forget(loop);
	sigaction(SIGUSR1, NULL, &action);
	if (action.sa_handler != SIG_DFL)
		return 1;
	start(); /* its own */
	sit(&s, POLLIN);
	loop_signal(loop, SIGUSR1, count, &caught_there);
	raise(SIGUSR1);
	poke(&s);
	turn(5000);
	return caught_there == 1 && s.calls == 1 ? 0 : 2;
}

START_TEST(test_a_forked_child_gives_up_the_loop_and_harms_nobody)
{
	int status, before = scene_descriptors();
	struct seat s;
	pid_t pid;

	start();
	sit(&s, POLLIN);
	loop_signal(loop, SIGUSR1, count, &caught);
	if ((pid = fork()) == 0)
		_exit(child_of_loop());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	turn(10);
	ck_assert_int_eq(caught, 0);
	poke(&s);
	raise(SIGUSR1);
	turn(5000);
	ck_assert_int_eq(s.calls, 1);
	ck_assert_int_eq(caught, 1);
	leave(&s);
	stop();
	ck_assert_int_eq(scene_descriptors(), before);
}
END_TEST

/* So many that some are parked where the system can do that; the first is
 * poked in every turn. */
#define PARTY 100
static struct seat party[PARTY];

static void
gather(void)
{
	start();
	for (int i = 0; i < PARTY; i++)
		sit(&party[i], POLLIN);
	poke(&party[0]);
	for (int i = 0; i < LOOP_SILENT + 2 * PARTY; i++)
		turn(5000);
	for (int i = 1; i < PARTY; i++)
		ck_assert_int_eq(party[i].calls, 0);
	ck_assert_int_eq(party[0].calls, LOOP_SILENT + 2 * PARTY);
}

static void
scatter(void)
{
	for (int i = 0; i < PARTY; i++)
		leave(&party[i]);
	stop();
}

static int
is_parked(const struct seat *s)
{
	return s->watch.at > PARTY + 10;
}

/* One that is parked, or any where nobody can be. */
static struct seat *
parked(void)
{
	for (int i = PARTY - 1; i > 0; i--)
		if (is_parked(&party[i]))
			return &party[i];
	return &party[PARTY - 1];
}

static void
leave_other(struct seat *s)
{
	for (int i = 1; i < PARTY; i++)
		if (&party[i] != s)
			leave(&party[i]);
}

START_TEST(test_who_is_silent_for_long_is_parked_and_still_called)
{
	struct seat *s;
	int before = scene_descriptors();

	gather();
#ifdef HAVE_SYS_EPOLL_H
	ck_assert(is_parked(parked()));
	ck_assert(!is_parked(&party[0]));
#endif
	s = parked();
	poke(s);
	turn(5000);
	ck_assert_int_eq(s->calls, 1);
	ck_assert_int_eq(s->got, POLLIN);
	turn(5000); /* told again, for nobody has read it */
	ck_assert_int_eq(s->calls, 2);
	for (int i = 1; i < PARTY; i++)
		poke(&party[i]);
	for (int i = 0; i < 4; i++)
		turn(5000);
	for (int i = 1; i < PARTY; i++)
		ck_assert_int_ge(party[i].calls, 1);
	scatter();
	ck_assert_int_eq(scene_descriptors(), before);
}
END_TEST

START_TEST(test_a_hang_up_of_the_parked_is_told)
{
	struct seat *s;

	gather();
	s = parked();
	fd_close(&s->other);
	turn(5000);
	ck_assert_int_eq(s->calls, 1);
	ck_assert(s->got & POLLIN);
	scatter();
}
END_TEST

START_TEST(test_interest_of_the_parked_can_be_changed)
{
	struct seat *s;

	gather();
	s = parked();
	loop_want(loop, &s->watch, POLLOUT);
	turn(5000);
	ck_assert_int_eq(s->got, POLLOUT);
	loop_want(loop, &s->watch, 0);
	poke(s);
	turn(10);
	ck_assert_int_eq(s->calls, 1);
	scatter();
}
END_TEST

START_TEST(test_the_parked_can_be_stopped_while_others_are_called)
{
	struct seat *s;

	gather();
	s = parked();
	for (int i = 1; i < PARTY; i++)
		poke(&party[i]);
	loop_unwatch(loop, &s->watch);
	turn(5000);
	ck_assert_int_eq(s->calls, 0);
	scatter();
	gather();
	s = parked();
	s->then = leave_other; /* of which some are told in the same turn */
	for (int i = 1; i < PARTY; i++)
		poke(&party[i]);
	turn(5000);
	turn(5000);
	ck_assert_int_ge(s->calls, 1);
	s->then = NULL;
	scatter();
}
END_TEST

SUITE("loop", test_who_is_silent_for_long_is_parked_and_still_called,
    test_a_hang_up_of_the_parked_is_told,
    test_interest_of_the_parked_can_be_changed,
    test_the_parked_can_be_stopped_while_others_are_called,
    test_tells_who_can_be_read_and_who_can_be_written,
    test_interest_can_be_changed,
    test_a_hang_up_is_told_as_readable_even_to_the_sleeping,
    test_who_was_stopped_in_this_turn_is_not_called,
    test_of_two_that_stop_each_other_exactly_one_is_called,
    test_who_lost_interest_in_this_turn_is_not_called,
    test_a_callback_may_free_its_owner,
    test_a_number_that_is_used_again_in_this_turn_is_a_stranger,
    test_in_any_disorder_each_is_called_at_most_once_a_turn,
    test_stopping_what_is_not_watched_is_nothing,
    test_more_than_2000_descriptors, test_a_timer_fires_once_and_never_early,
    test_timers_fire_in_the_order_of_their_times,
    test_a_timer_can_be_moved_both_ways,
    test_a_timer_that_is_cancelled_in_this_turn_does_not_fire,
    test_a_timer_that_sets_itself_again_does_not_hold_up_the_turn,
    test_a_timer_may_free_its_owner,
    test_a_signal_is_told_once_a_turn_however_often_it_came,
    test_the_handler_keeps_errno, test_a_signal_wakes_the_loop,
    test_a_signal_of_somebody_else_ends_no_wait,
    test_without_a_loop_signals_are_default_again,
    test_a_forked_child_gives_up_the_loop_and_harms_nobody);
