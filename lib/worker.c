#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/link.h"
#include "lib/testpoint.h"
#include "lib/worker.h"
#include "lib/xalloc.h"

#define WORKER_BOARD 5 /* its descriptor */

/* What is needed to start it directly after all, and the descriptors that an
 * order has been given. Everything is its own. */
struct worker_plan {
	struct proc_spec spec;
	char *path, *directory, **argv, **env;
	json_t *first;
	char generation[40];
};

static int64_t
worker_patience(const struct worker *w, enum worker_state state)
{
	switch (state) {
	case WORKER_LEAVING:
		return w->stop_timeout;
	case WORKER_STUCK:
		return WORKER_DUMP_MS;
	case WORKER_KILLED:
		return WORKER_KILL_MS;
	case WORKER_NOWHERE:
	case WORKER_STARTING:
	case WORKER_READY:
	case WORKER_DEAD:
	case WORKER_NSTATES:
		break;
	}
	return 0;
}

static void
plan_free(struct worker_plan *plan)
{
	if (plan == NULL)
		return;
	for (int i = 0; i < 6; i++)
		fd_close(&plan->spec.fd[i]);
	json_decref(plan->first);
	xstrvfree(plan->argv);
	xstrvfree(plan->env);
	free(plan->path);
	free(plan->directory);
	free(plan);
}

/* NULL if there is no descriptor left to keep it in. */
static struct worker_plan *
plan_new(const struct worker_how *how, const struct proc_spec *spec)
{
	struct worker_plan *plan = xcalloc(1, sizeof *plan);
	int failed = 0;

	plan->path = xstrdup(spec->path);
	plan->directory = xstrdup(spec->directory);
	plan->argv = xstrvdup(spec->argv);
	plan->env = xstrvdup(spec->env);
	plan->first = json_incref(how->first);
	snprintf(
	    plan->generation, sizeof plan->generation, "%s", how->generation);
	plan->spec = (struct proc_spec){ .path = plan->path,
		.argv = (const char *const *)plan->argv,
		.env = (const char *const *)plan->env,
		.directory = plan->directory,
		.umask = spec->umask };
	for (int i = 0; i < 6; i++) {
		plan->spec.fd[i] = -1;
		if (spec->fd[i] != -1) {
			plan->spec.fd[i] =
			    fcntl(spec->fd[i], F_DUPFD_CLOEXEC, 6);
			failed |= plan->spec.fd[i] == -1;
		}
	}
	if (!failed)
		return plan;
	plan_free(plan);
	return NULL;
}

/* What is left goes: the descriptors, the page's file. */
static void
worker_release(struct worker *w)
{
	forkserver_forget(&w->order, clock_ms());
	plan_free(w->plan);
	w->plan = NULL;
	loop_unwatch(w->loop, &w->control);
	loop_cancel(w->loop, &w->deadline);
	loop_cancel(w->loop, &w->hung_up);
	fd_close(&w->control.fd);
	fd_close(&w->board_fd);
	if (w->board_name[0] != '\0')
		unlinkat(w->boards_dir, w->board_name, 0);
	w->board_name[0] = '\0';
}

int
worker_tell(struct worker *w, const char *type)
{
	if (w->control.fd == -1)
		return -1;
	return link_send(
	    w->control.fd, json_pack("{s:s}", "type", type), NULL, 0);
}

/* Before it has begun, other messages have their order. */
int
worker_give_log(struct worker *w, int log, dev_t device, ino_t inode)
{
	if (w->control.fd == -1 || w->plan != NULL ||
	    link_send(w->control.fd,
		json_pack("{s:s, s:I, s:I}", "type", "log", "device",
		    (json_int_t)w->log_device, "inode",
		    (json_int_t)w->log_inode),
		&log, 1) == -1)
		return -1;
	w->log_device = device;
	w->log_inode = inode;
	return 0;
}

int
worker_is_deaf(const struct worker *w)
{
	return w->control.fd == -1 || fd_has_unsent(w->control.fd);
}

static void
worker_act(struct worker *w, enum worker_state then)
{
	if (then == WORKER_LEAVING)
		(void)worker_tell(w, "leave");
	else if (then == WORKER_STUCK) {
		w->proc.takes_group = 1;
		TESTPOINT("supervisor:dump");
		proc_kill(&w->proc, SIGABRT); /* faulthandler writes stacks */
	} else if (then == WORKER_KILLED) {
		TESTPOINT("supervisor:kill");
		proc_kill_group(&w->proc, SIGKILL);
	}
}

/*
 * The one place where a worker changes state. The child may say something
 * that cannot happen: then it is broken, and is not argued with.
 */
void
worker_feed(struct worker *w, enum worker_event event, int64_t now)
{
	enum worker_state was = w->state, then = worker_next(was, event);
	int64_t patience;

	assert(was != WORKER_DEAD);
	if (then == WORKER_NOWHERE)
		then = WORKER_KILLED;
	if (then != was || then == WORKER_KILLED)
		worker_act(w, then);
	if (then == was) {
		if (event == WORKER_LATE)
			(void)loop_timer(w->loop, &w->deadline,
			    now + worker_patience(w, then));
		return;
	}
	w->state = then;
	if (then == WORKER_READY)
		w->ready = now;
	if (then == WORKER_LEAVING) {
		worker_look_at_board(w);
		w->served = w->board.word[BOARD_REQUESTS];
	}
	patience = worker_patience(w, then);
	if (w->plan != NULL && then != WORKER_DEAD) {
		/* there is no process, and there will be none */
		if (event == WORKER_LATE)
			forkserver_too_late(&w->order, now);
		else
			forkserver_forget(&w->order, now);
		(void)loop_timer(w->loop, &w->deadline, now);
	} else if (patience != 0)
		(void)loop_timer(w->loop, &w->deadline, now + patience);
	else
		loop_cancel(w->loop, &w->deadline);
	if (then == WORKER_DEAD)
		worker_release(w);
	w->changed(w, was, now); /* may free w: last use */
}

void
worker_look_at_board(struct worker *w)
{
	struct board board;

	uint64_t now = (uint64_t)clock_ms();

	if (w->board_fd == -1 || scoreboard_read(w->board_fd, &board) == -1)
		return;
	/* a claim of the application's process: not about the future */
	if (board.word[BOARD_STARTED] > now)
		board.word[BOARD_STARTED] = now;
	if (board.word[BOARD_PROGRESS] > now)
		board.word[BOARD_PROGRESS] = now;
	w->board = board;
}

int
worker_is_busy(const struct worker *w)
{
	return w->board.word[BOARD_COUNTER] != 0;
}

int
worker_is_claimed(const struct worker *w)
{
	return worker_is_busy(w) && w->board.word[BOARD_RESPONDER] != 0;
}

/* Takes one message. Returns 0 when there is nothing more to take now. */
static int
worker_take(struct worker *w, int64_t now)
{
	json_t *message;
	const char *type;
	size_t nfds = 0;
	int got;

	if (w->control.fd == -1)
		return 0;
	got = link_recv(w->control.fd, &message, NULL, &nfds);
	if (got == -1) {
		loop_unwatch(w->loop, &w->control);
		fd_close(&w->control.fd);
	}
	if (got != 1)
		return 0;
	w->said(w, message, now);
	type = link_string(message, "type");
	if (strcmp(type, "ready") == 0) {
		TESTPOINT("supervisor:worker-ready");
		worker_feed(w, WORKER_SAID_READY, now);
	} else if (strcmp(type, "failed") == 0)
		worker_feed(w, WORKER_SAID_FAILED, now);
	json_decref(message);
	return 1;
}

static void
worker_hear(struct watch *watch, short got, int64_t now)
{
	struct worker *w =
	    (struct worker *)((char *)watch - offsetof(struct worker, control));

	(void)got;
	while (worker_take(w, now))
		continue;
	if (w->control.fd == -1) /* most likely it is ending */
		(void)loop_timer(w->loop, &w->hung_up, now + WORKER_END_MS);
}

static void
worker_hung_up(struct timer *t, int64_t now)
{
	worker_feed(
	    (struct worker *)((char *)t - offsetof(struct worker, hung_up)),
	    WORKER_HUNG_UP, now);
}

/* Had it become ready between two supervisors, and not come yet? Its page says
 * so. */
static int
worker_was_ready(const struct worker *w)
{
	return w->state == WORKER_STARTING && w->control.fd == -1 &&
	       w->board.word[BOARD_STATE] != BOARD_STARTING;
}

/*
 * All it ever said is in our socket by now: hear that out, without waiting for
 * an end of file, which a grandchild may hold back.
 */
static void
worker_ended(struct proc *p, int status, int64_t now)
{
	struct worker *w = (struct worker *)p;

	w->status = status;
	while (worker_take(w, now))
		continue;
	worker_look_at_board(w);
	TESTPOINT("supervisor:worker-gone");
	if (worker_was_ready(w))
		worker_feed(w, WORKER_SAID_READY, now);
	worker_feed(w, WORKER_GONE, now);
}

static void
worker_due(struct timer *t, int64_t now)
{
	struct worker *w =
	    (struct worker *)((char *)t - offsetof(struct worker, deadline));

	if (w->plan != NULL && w->state != WORKER_STARTING) {
		worker_feed(w, WORKER_GONE, now); /* may free w: last use */
		return;
	}
	worker_look_at_board(w);
	if (w->state == WORKER_LEAVING &&
	    (worker_is_busy(w) || w->board.word[BOARD_REQUESTS] != w->served)) {
		/* a request has its own limit, and comes first; it may be just
		 * between two */
		w->served = w->board.word[BOARD_REQUESTS];
		(void)loop_timer(w->loop, &w->deadline, now + w->stop_timeout);
		return;
	}
	worker_feed(w, WORKER_LATE, now);
}

/* The page gets its name once the process has a pid. */
static void
worker_name_board(struct worker *w, const char *generation)
{
	char name[sizeof w->board_name];

	snprintf(name, sizeof name, "%s.%ld", generation, (long)w->pid);
	if (!TESTPOINT_FAILS("supervisor:name-board") &&
	    renameat(w->boards_dir, w->board_name, w->boards_dir, name) == 0)
		snprintf(w->board_name, sizeof w->board_name, "%s", name);
}

/* ---------------------------------------------------------------- starting --
 */

/* A control socket: our end is watched, the other one is given. */
static int
worker_open_control(struct worker *w, int *other, struct problem *why)
{
	int pair[2];

	loop_unwatch(w->loop, &w->control);
	fd_close(&w->control.fd);
	if (fd_pair_seqpacket(pair) == -1)
		return problem_sys(why, "socketpair");
	w->control.fd = pair[0];
	*other = pair[1];
	if (loop_watch(w->loop, &w->control) == -1)
		return problem_sys(why, "cannot watch a worker");
	return 0;
}

static int
worker_say_first(struct worker *w, json_t *first, struct problem *why)
{
	if (first != NULL &&
	    link_send(w->control.fd, json_incref(first), NULL, 0) == -1)
		return problem_sys(why,
		    "the values of \"environ\" cannot be passed on (64 KiB "
		    "at most)");
	return 0;
}

/* It runs: its page gets a name that tells whose it is. */
static void
worker_runs(struct worker *w, const char *generation)
{
	w->pid = w->proc.pid;
	worker_name_board(w, generation);
}

/* It could not be started after all: as if it had said so itself. */
static void
worker_cannot(struct worker *w, const struct problem *why, int64_t now)
{
	json_t *message = json_pack("{s:s, s:s, s:s}", "type", "failed", "text",
	    why->text, "detail", "");

	w->said(w, message, now);
	json_decref(message);
	proc_kill(&w->proc, SIGKILL);
	worker_feed(w, WORKER_SAID_FAILED, now);
}

/* The fork server does not do it. */
static void
worker_start_after_all(struct worker *w, int64_t now)
{
	struct worker_plan *plan = w->plan;
	struct problem why;

	fd_close(&plan->spec.fd[3]);
	if (worker_open_control(w, &plan->spec.fd[3], &why) == -1 ||
	    worker_say_first(w, plan->first, &why) == -1 ||
	    proc_start(&w->proc, &plan->spec, &why) == -1) {
		worker_cannot(w, &why, now); /* may free w: last use */
		return;
	}
	worker_runs(w, plan->generation);
	plan_free(plan);
	w->plan = NULL;
}

/* The fork server has answered. */
static void
worker_answered(
    struct fork_order *o, int pidfd, const char *reason, int64_t now)
{
	struct worker *w =
	    (struct worker *)((char *)o - offsetof(struct worker, order));
	struct worker_plan *plan = w->plan;
	struct problem why;

	(void)reason;
	TESTPOINT("supervisor:order-answered");
	if (pidfd == -1 || proc_adopt(&w->proc, w->loop, pidfd, &why) == -1) {
		forkserver_forget(o, now);
		worker_start_after_all(w, now); /* may free w: last use */
		return;
	}
	w->plan = NULL;
	worker_runs(w, plan->generation);
	TESTPOINT("supervisor:go");
	if (worker_tell(w, "go") == -1) {
		problem_sys(&why, "cannot let a forked worker go on");
		worker_cannot(w, &why, now);
	} else if (worker_say_first(w, plan->first, &why) == -1)
		worker_cannot(w, &why, now);
	plan_free(plan);
}

/* Asks a fork server for it: 0, or -1: it is to be started directly. */
static int
worker_order(struct worker *w, const struct worker_how *how,
    const struct proc_spec *spec, int64_t now)
{
	w->order.proc = &w->proc;
	w->order.answered = worker_answered;
	w->plan = plan_new(how, spec);
	if (w->plan != NULL &&
	    forkserver_order(how->from, &w->order, &w->plan->spec, now) == 0)
		return 0;
	plan_free(w->plan);
	w->plan = NULL;
	return -1;
}

static void
worker_init(struct worker *w, const struct worker_how *how, int64_t now)
{
	w->loop = how->loop;
	w->control =
	    (struct watch){ .fd = -1, .want = POLLIN, .ready = worker_hear };
	w->deadline.due = worker_due;
	w->hung_up.due = worker_hung_up;
	w->proc.ended = worker_ended;
	w->boards_dir = how->boards_dir;
	w->stop_timeout = how->stop_timeout;
	w->started = now;
	w->board_fd = w->connection = -1;
}

int
worker_start(struct worker *w, const struct worker_how *how, int64_t now,
    struct problem *why)
{
	static unsigned running_number;
	struct proc_spec spec = *how->spec;

	spec.fd[3] = -1;
	worker_init(w, how, now);
	snprintf(w->board_name, sizeof w->board_name, "new.%ld.%u",
	    (long)getpid(), running_number++);
	w->board_fd = scoreboard_new(w->boards_dir, w->board_name, why);
	if (w->board_fd == -1 || TESTPOINT_FAILS("supervisor:board-made") ||
	    worker_open_control(w, &spec.fd[3], why) == -1)
		goto fail;
	if (loop_timer(w->loop, &w->deadline, now + how->start_timeout) == -1) {
		problem_sys(why, "cannot watch a worker");
		goto fail;
	}
	spec.fd[WORKER_BOARD] = w->board_fd;
	if (how->from == NULL || worker_order(w, how, &spec, now) == -1) {
		if (worker_say_first(w, how->first, why) == -1 ||
		    proc_start(&w->proc, &spec, why) == -1)
			goto fail;
		worker_runs(w, how->generation);
	}
	fd_close(&spec.fd[3]); /* the process has its own, or the plan */
	w->state = WORKER_STARTING;
	return 0;

fail:
	fd_close(&spec.fd[3]);
	worker_release(w);
	return -1;
}

int
worker_adopt(struct worker *w, const struct worker_how *how, const char *page,
    pid_t pid, int64_t now, struct problem *why)
{
	int64_t patience = 0;

	worker_init(w, how, now);
	w->board_fd = openat(w->boards_dir, page,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (w->board_fd == -1)
		return problem_sys(why, "%s", page);
	if (proc_adopt_holder(
		&w->proc, w->loop, pid, WORKER_BOARD, w->board_fd, why) == -1) {
		fd_close(&w->board_fd);
		return -1;
	}
	w->pid = pid;
	w->started = now - proc_age(pid);
	snprintf(w->board_name, sizeof w->board_name, "%s", page);
	worker_look_at_board(w);
	switch (w->board.word[BOARD_STATE]) {
	case BOARD_STARTING:
		w->state = WORKER_STARTING;
		patience = how->start_timeout;
		break;
	case BOARD_DRAINING:
		w->state = WORKER_LEAVING;
		patience = how->stop_timeout;
		w->served = w->board.word[BOARD_REQUESTS];
		break;
	default:
		w->state = WORKER_READY;
		w->ready = now;
		break;
	}
	if (patience != 0)
		(void)loop_timer(w->loop, &w->deadline, now + patience);
	return 0;
}

void
worker_attach(struct worker *w, int fd, const json_t *message, int64_t now)
{
	loop_unwatch(w->loop, &w->control);
	loop_cancel(w->loop, &w->hung_up);
	fd_close(&w->control.fd);
	w->control.fd = fd;
	if (loop_watch(w->loop, &w->control) == -1) {
		fd_close(&w->control.fd); /* it comes again */
		return;
	}
	if (worker_tell(w, "stay") == -1) {
		loop_unwatch(w->loop, &w->control);
		fd_close(&w->control.fd); /* likewise */
		return;
	}
	w->said(w, message, now);
	if (w->state == WORKER_LEAVING)
		(void)worker_tell(w, "leave");
	else if (w->state == WORKER_STARTING)
		worker_feed(w, WORKER_SAID_READY, now);
}

const char *
worker_shown(const struct worker *w)
{
	static const char *const shown[] = {
		[BOARD_STARTING] = "starting",
		[BOARD_IDLE] = "idle",
		[BOARD_BUSY] = "busy",
		[BOARD_SENDING] = "sending",
		[BOARD_DRAINING] = "draining",
	};
	uint64_t state = w->board.word[BOARD_STATE];

	if (w->state == WORKER_STARTING)
		return "starting";
	if (w->state != WORKER_READY)
		return "draining";
	if (state >= sizeof shown / sizeof shown[0] || state == BOARD_STARTING)
		return "idle";
	return shown[state];
}
