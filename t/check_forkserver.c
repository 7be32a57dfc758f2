#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/forkserver.h"
#include "lib/link.h"
#include "t/check.h"
#include "t/scene.h"

/*
 * Shell scripts play the interpreter, and so the fork server. Workers that are
 * really forked: t/2110-forkserver.py.
 */
#define LIMIT 20000 /* ms until a test gives up */
#define READY "printf '{\"type\":\"ready\",\"modules\":7,\"library\":[]}' >&3; "
#define HEAR  "dd bs=65536 count=1 <&3 2>/dev/null"

static struct loop *loop;
static struct account account;
static struct forkservers all;
static char blog[] = "blog", nothing[] = "";
static struct app app = { .name = blog, .host = nothing, .mount = nothing };
static struct app_settings settings;
static struct python python;
static char *own_env[3], *worker_env[4];
static char script_path[600], directory[512], said[256];
static int answers, empties;

/* For the fields that are not const. */
static char *
text_of(const char *text)
{
	static char texts[32][32];
	static int n;

	ck_assert_int_lt(n, 32);
	snprintf(texts[n], sizeof texts[n], "%s", text);
	return texts[n++];
}

static void
reap(void *arg, int64_t now)
{
	(void)arg;
	proc_reap(now);
}

static void
empty(struct forkservers *them, int64_t now)
{
	(void)now;
	ck_assert_ptr_eq(them, &all);
	empties++;
}

static void
answered(struct fork_order *o, int pidfd, const char *why, int64_t now)
{
	(void)o;
	(void)now;
	ck_assert_int_eq(pidfd, -1);
	answers++;
	snprintf(said, sizeof said, "%s", why);
}

/* An account without anything, and an interpreter that is that script. */
static void
enter(const char *script)
{
	static char log[600];
	char text[2048];

	snprintf(directory, sizeof directory, "%s", scene_enter());
	snprintf(script_path, sizeof script_path, "%s/python", directory);
	snprintf(text, sizeof text, "#!/bin/sh\n%s\n", script);
	scene_write(script_path, text);
	ck_assert_int_eq(chmod(script_path, 0700), 0);
	ck_assert_int_eq(mkdir("preload", 0700), 0);
	snprintf(log, sizeof log, "%s/log", directory);
	scene_write(log, "");
	account.run = directory;
	account.log = log;
	app.directory = directory;
	python.path = script_path;
	worker_env[0] = text_of("PATH=/usr/bin:/bin");
	settings.idle = 1;
	loop = loop_new();
	loop_signal(loop, SIGCHLD, reap, NULL);
	forkservers_init(&all, loop, &account);
	all.empty = empty;
}

static struct forkserver *
find(void)
{
	const struct fork_need need = { .app = &app,
		.settings = &settings,
		.python = &python,
		.env = worker_env,
		.log = 2,
		.stamp = 1 };

	return forkservers_find(&all, &need, clock_ms());
}

/* Something has been learnt for it already. */
static void
remember(const struct forkserver *f)
{
	char path[600];

	snprintf(path, sizeof path, "preload/%s.json", forkserver_key(f));
	scene_write(path, "{}");
}

static int
order(struct forkserver *f, struct fork_order *o)
{
	static struct proc proc;
	const char *argv[] = { script_path, "x", NULL };
	const char *env[] = { NULL };
	const struct proc_spec spec = { .path = script_path,
		.argv = argv,
		.env = env,
		.directory = "/",
		.fd = { -1, 2, 2, 2, 2, 2 },
		.umask = 022 };

	memset(o, 0, sizeof *o);
	o->proc = &proc;
	o->answered = answered;
	return forkserver_order(f, o, &spec, clock_ms());
}

static void
no_timer(struct timer *t, int64_t now)
{
	(void)t;
	(void)now;
}

/* Turns the loop until a number is reached. */
static void
until(const int *number, int value)
{
	struct timer limit = { .due = no_timer };
	int64_t end = clock_ms() + LIMIT;

	ck_assert_int_eq(loop_timer(loop, &limit, end), 0);
	while (*number < value) {
		ck_assert_int_lt(clock_ms(), end);
		loop_turn(loop);
	}
	loop_cancel(loop, &limit);
}

static void
until_gone(void)
{
	while (forkservers_count(&all) > 0)
		until(&empties, empties + 1);
}

static void
leave(void)
{
	forkservers_leave(&all, NULL, clock_ms());
	until_gone();
	forkservers_release(&all);
	loop_free(loop);
	scene_leave();
}

START_TEST(test_every_living_state_can_be_gone)
{
	for (int s = FORKSERVER_STARTING; s < FORKSERVER_NSTATES; s++)
		ck_assert_int_eq(
		    forkserver_next(s, FORKSERVER_GONE), FORKSERVER_AWAY);
	for (int e = 0; e < FORKSERVER_NEVENTS; e++)
		ck_assert_int_eq(forkserver_next(FORKSERVER_AWAY, e),
		    e == FORKSERVER_STARTED ? FORKSERVER_STARTING
					    : FORKSERVER_NOWHERE);
}
END_TEST

START_TEST(test_who_is_asked_to_leave_never_takes_orders_again)
{
	for (int s = FORKSERVER_LEAVING; s < FORKSERVER_NSTATES; s++)
		for (int e = 0; e < FORKSERVER_NEVENTS; e++)
			if (e != FORKSERVER_GONE)
				ck_assert(forkserver_next(s, e) ==
					      FORKSERVER_NOWHERE ||
					  (int)forkserver_next(s, e) >= s);
}
END_TEST

START_TEST(test_being_late_ends_it_from_every_state_in_two_steps)
{
	int state;

	for (int s = FORKSERVER_STARTING; s < FORKSERVER_NSTATES; s++) {
		state = forkserver_next(s, FORKSERVER_LATE);
		ck_assert_int_eq(
		    forkserver_next(state, FORKSERVER_LATE), FORKSERVER_KILLED);
	}
	for (int s = 0; s < FORKSERVER_NSTATES; s++)
		ck_assert_str_ne(forkserver_state_name(s), "");
}
END_TEST

START_TEST(test_with_nothing_remembered_a_worker_is_started_directly)
{
	struct forkserver *f;
	struct fork_order o;

	enter(READY HEAR);
	f = find();
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(strlen(forkserver_key(f)), 16);
	ck_assert_int_eq(order(f, &o), -1);
	ck_assert_int_eq(forkservers_count(&all), 0);
	leave();
}
END_TEST

START_TEST(test_it_starts_with_the_first_order_and_may_refuse_it)
{
	struct forkserver *f;
	struct fork_order o;
	json_t *shown;

	enter(READY HEAR
	    " >heard; "
	    "printf '{\"type\":\"refused\",\"id\":1,\"text\":\"no\"}' >&3; "
	    "exec sleep 600 >/dev/null");
	f = find();
	remember(f);
	ck_assert_int_eq(order(f, &o), 0);
	ck_assert_int_eq(forkservers_count(&all), 1);
	until(&answers, 1);
	ck_assert_str_eq(said, "no");
	ck_assert_ptr_eq(find(), f);
	shown = forkserver_describe(f, clock_ms());
	ck_assert_int_eq(link_int(shown, "modules"), 7);
	ck_assert_str_eq(link_string(shown, "state"), "ready");
	ck_assert_int_eq(link_int(shown, "workers"), 0);
	json_decref(shown);
	leave(); /* it does not listen, and is killed */
}
END_TEST

START_TEST(test_one_that_does_not_answer_is_ended_and_another_one_is_found)
{
	struct forkserver *f;
	struct fork_order o;
	int64_t began = clock_ms();

	enter(READY "exec sleep 600 >/dev/null");
	f = find();
	remember(f);
	ck_assert_int_eq(order(f, &o), 0);
	until(&answers, 1);
	ck_assert_int_ge(clock_ms() - began, FORKSERVER_ANSWER_MS);
	ck_assert_ptr_ne(find(), f);
	leave();
}
END_TEST

START_TEST(test_one_that_dies_answers_every_order_and_waits_before_the_next)
{
	struct fork_order one, two;
	struct forkserver *f;

	enter(HEAR " >/dev/null; exit 1");
	f = find();
	remember(f);
	ck_assert_int_eq(order(f, &one), 0);
	ck_assert_int_eq(order(f, &two), 0);
	until(&answers, 2);
	ck_assert_str_eq(said, "the fork server has ended");
	ck_assert_ptr_eq(find(), f);
	ck_assert_int_eq(order(f, &one), -1); /* not so soon */
	ck_assert_int_eq(forkservers_count(&all), 0);
	leave();
}
END_TEST

START_TEST(test_an_order_that_is_forgotten_is_never_answered)
{
	struct forkserver *f;
	struct fork_order o;

	enter(HEAR " >/dev/null; exit 1");
	f = find();
	remember(f);
	ck_assert_int_eq(order(f, &o), 0);
	forkserver_forget(&o, clock_ms());
	forkserver_forget(&o, clock_ms());
	until_gone();
	ck_assert_int_eq(answers, 0);
	leave();
}
END_TEST

START_TEST(test_a_useless_interpreter_is_not_asked_again)
{
	struct forkserver *f;
	struct fork_order o;

	enter(HEAR " >/dev/null; printf '{\"type\":\"useless\",\"text\":\"too "
		   "old\"}' >&3");
	f = find();
	remember(f);
	ck_assert_int_eq(order(f, &o), 0);
	until(&answers, 1);
	ck_assert_ptr_null(find());
	leave();
}
END_TEST

START_TEST(test_what_is_learnt_goes_to_one_that_is_started_for_it)
{
	struct forkserver *f;

	enter(READY HEAR " >heard; mv heard learnt; " READY HEAR " >/dev/null");
	f = find();
	forkservers_learn(&all, forkserver_key(f), "a b.c", clock_ms());
	forkservers_learn(&all, forkserver_key(f), "d", clock_ms());
	forkservers_learn(&all, "no such key", "e", clock_ms());
	while (access("preload/learnt", F_OK) == -1)
		loop_turn(loop);
	scene_read("preload/learnt", said, sizeof said);
	ck_assert_str_eq(said, "{\"type\":\"learn\",\"modules\":\"a b.c d\"}");
	leave();
}
END_TEST

START_TEST(test_idle_ones_leave_in_time)
{
	struct forkserver *f;
	struct fork_order o;
	int64_t now;

	enter(READY HEAR " >/dev/null; "
			 "printf '{\"type\":\"refused\",\"id\":1}' >&3; " HEAR
			 " >/dev/null");
	f = find();
	remember(f);
	ck_assert_int_eq(order(f, &o), 0);
	until(&answers, 1);
	now = clock_ms();
	forkservers_tick(&all, now + 1000 * FORKSERVER_IDLE - 1000);
	ck_assert_ptr_eq(find(), f);
	forkservers_tick(&all, clock_ms() + 1000 * FORKSERVER_IDLE);
	until_gone();
	forkservers_tick(&all, clock_ms() + 1000 * FORKSERVER_IDLE);
	ck_assert_ptr_null(forkservers_next(&all, NULL));
	leave();
}
END_TEST

START_TEST(test_the_key_is_of_interpreter_and_environment)
{
	struct forkserver *f, *other;

	enter("");
	f = find();
	ck_assert_ptr_eq(find(), f);
	app.name = text_of("wiki");
	ck_assert_ptr_eq(find(), f);
	worker_env[1] = text_of("A=1");
	other = find();
	ck_assert_ptr_ne(other, f);
	ck_assert_str_ne(forkserver_key(other), forkserver_key(f));
	worker_env[1] = NULL;
	python.virtual_env = text_of("/venv");
	ck_assert_ptr_ne(find(), f);
	python.virtual_env = NULL;
	ck_assert_ptr_eq(find(), f);
	leave();
}
END_TEST

START_TEST(test_settings_decide_whether_there_is_one)
{
	static char lines[][16] = { "PYTHONPATH=x", "LC_ALL=C", "LANG=C",
		"LANGUAGE=de", "TZ=UTC", "LD_PRELOAD=x" };

	enter("");
	settings.env = own_env;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		own_env[0] = text_of("A=1");
		own_env[1] = lines[i];
		ck_assert_ptr_null(find());
	}
	own_env[1] = text_of("TZ2=LANG=");
	ck_assert_ptr_nonnull(find());
	settings.preload = text_of("none");
	ck_assert_ptr_null(find());
	settings.preload = text_of("app");
	own_env[1] = lines[0];
	ck_assert_ptr_nonnull(find());
	ck_assert_str_eq(forkserver_key(find()), "");
	settings.preload = text_of("framework");
	own_env[1] = NULL;
	ck_assert_ptr_nonnull(find());
	all.are_closing = 1;
	ck_assert_ptr_null(find());
	all.are_closing = 0;
	all.are_possible = 0;
	ck_assert_ptr_null(find());
	leave();
}
END_TEST

SUITE("forkserver", test_every_living_state_can_be_gone,
    test_who_is_asked_to_leave_never_takes_orders_again,
    test_being_late_ends_it_from_every_state_in_two_steps,
    test_with_nothing_remembered_a_worker_is_started_directly,
    test_it_starts_with_the_first_order_and_may_refuse_it,
    test_one_that_does_not_answer_is_ended_and_another_one_is_found,
    test_one_that_dies_answers_every_order_and_waits_before_the_next,
    test_an_order_that_is_forgotten_is_never_answered,
    test_a_useless_interpreter_is_not_asked_again,
    test_what_is_learnt_goes_to_one_that_is_started_for_it,
    test_idle_ones_leave_in_time,
    test_the_key_is_of_interpreter_and_environment,
    test_settings_decide_whether_there_is_one);
