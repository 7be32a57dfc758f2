#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "fcgi/task.h"

static void
task_reap(void *tasks, int64_t now)
{
	(void)tasks;
	proc_reap(now);
}

static void
task_impatient(struct timer *timer, int64_t now)
{
	struct tasks *t =
	    (struct tasks *)((char *)timer - offsetof(struct tasks, patience));

	(void)now;
	proc_kill_group(&t->proc, SIGKILL);
	proc_kill(&t->proc, SIGKILL);
}

static void
task_end(struct tasks *t, int signo, int64_t now)
{
	t->caught = signo;
	if (t->proc.pid == 0)
		return;
	proc_kill_group(&t->proc, SIGTERM);
	(void)loop_timer(t->loop, &t->patience, now + TASK_PATIENCE_MS);
}

static void
task_hup(void *tasks, int64_t now)
{
	task_end(tasks, SIGHUP, now);
}

static void
task_int(void *tasks, int64_t now)
{
	task_end(tasks, SIGINT, now);
}

static void
task_term(void *tasks, int64_t now)
{
	task_end(tasks, SIGTERM, now);
}

void
tasks_begin(struct tasks *t)
{
	memset(t, 0, sizeof *t);
	t->patience.due = task_impatient;
	t->loop = loop_new();
	loop_signal(t->loop, SIGCHLD, task_reap, t);
	loop_signal(t->loop, SIGHUP, task_hup, t);
	loop_signal(t->loop, SIGINT, task_int, t);
	loop_signal(t->loop, SIGTERM, task_term, t);
}

void
tasks_end(struct tasks *t)
{
	loop_free(t->loop);
	t->loop = NULL;
}

static void
task_ended(struct proc *proc, int status, int64_t now)
{
	struct tasks *t =
	    (struct tasks *)((char *)proc - offsetof(struct tasks, proc));

	(void)now;
	t->status = status;
	t->is_over = 1;
}

int
task_interrupted(const struct tasks *t, struct problem *why)
{
	return problem_set(why, "interrupted (%s)",
	    t->caught == SIGINT ? "Ctrl-C" : strsignal(t->caught));
}

int
task_run(struct tasks *t, const struct proc_spec *spec, int *status,
    struct problem *why)
{
	if (t->caught != 0)
		return task_interrupted(t, why);
	t->proc = (struct proc){ .ended = task_ended, .takes_group = 1 };
	t->is_over = 0;
	if (proc_start(&t->proc, spec, why) == -1)
		return -1;
	while (!t->is_over)
		loop_turn(t->loop);
	loop_cancel(t->loop, &t->patience);
	*status = t->status;
	return t->caught != 0 ? task_interrupted(t, why) : 0;
}
