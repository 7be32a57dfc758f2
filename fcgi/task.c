#include "config.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "fcgi/task.h"
#include "lib/clock.h"

static void
task_reap(void *tasks, int64_t now)
{
	(void)tasks;
	proc_reap(now);
}

static void
tasks_signal(struct tasks *t, int signo)
{
	for (size_t i = 0; i < TASKS_MOST; i++) {
		if (t->task[i].proc.pid == 0)
			continue;
		proc_kill_group(&t->task[i].proc, signo);
		proc_kill(&t->task[i].proc, signo);
	}
}

static void
tasks_impatient(struct timer *timer, int64_t now)
{
	(void)now;
	tasks_signal(
	    (struct tasks *)((char *)timer - offsetof(struct tasks, patience)),
	    SIGKILL);
}

static void
tasks_interrupt(struct tasks *t, int signo, int64_t now)
{
	t->caught = signo;
	tasks_signal(t, SIGTERM);
	(void)loop_timer(t->loop, &t->patience, now + TASK_PATIENCE_MS);
}

static void
task_hup(void *tasks, int64_t now)
{
	tasks_interrupt(tasks, SIGHUP, now);
}

static void
task_int(void *tasks, int64_t now)
{
	tasks_interrupt(tasks, SIGINT, now);
}

static void
task_term(void *tasks, int64_t now)
{
	tasks_interrupt(tasks, SIGTERM, now);
}

void
tasks_begin(struct tasks *t)
{
	memset(t, 0, sizeof *t);
	t->patience.due = tasks_impatient;
	t->loop = loop_new();
	loop_signal(t->loop, SIGCHLD, task_reap, t);
	loop_signal(t->loop, SIGHUP, task_hup, t);
	loop_signal(t->loop, SIGINT, task_int, t);
	loop_signal(t->loop, SIGTERM, task_term, t);
}

static int
tasks_run(const struct tasks *t)
{
	for (size_t i = 0; i < TASKS_MOST; i++)
		if (t->task[i].proc.pid != 0)
			return 1;
	return 0;
}

void
tasks_end(struct tasks *t)
{
	if (tasks_run(t)) {
		tasks_signal(t, SIGTERM);
		(void)loop_timer(
		    t->loop, &t->patience, clock_ms() + TASK_PATIENCE_MS);
	}
	while (tasks_run(t))
		loop_turn(t->loop);
	loop_cancel(t->loop, &t->patience);
	loop_free(t->loop);
	t->loop = NULL;
}

int
task_interrupted(const struct tasks *t, struct problem *why)
{
	return problem_set(why, "interrupted (%s)",
	    t->caught == SIGINT ? "Ctrl-C" : strsignal(t->caught));
}

static void
task_ended(struct proc *proc, int status, int64_t now)
{
	(void)now;
	((struct task *)((char *)proc - offsetof(struct task, proc)))->status =
	    status;
}

struct task *
task_start(struct tasks *t, const struct proc_spec *spec, struct problem *why)
{
	struct task *task = t->task;

	while (task < t->task + TASKS_MOST - 1 && task->proc.pid != 0)
		task++;
	if (t->caught != 0)
		task_interrupted(t, why);
	else {
		*task = (struct task){ .proc = { .ended = task_ended,
					   .takes_group = 1 } };
		if (proc_start(&task->proc, spec, why) == 0)
			return task;
	}
	return NULL;
}

static void
task_late(struct timer *timer, int64_t now)
{
	(void)timer;
	(void)now;
}

int
task_wait(struct tasks *t, struct task *task, int ms)
{
	struct timer limit = { .due = task_late };
	int64_t end = clock_ms() + ms;

	if (ms >= 0)
		(void)loop_timer(t->loop, &limit, end);
	while (task->proc.pid != 0 && (ms < 0 || clock_ms() < end))
		loop_turn(t->loop);
	loop_cancel(t->loop, &limit);
	return task->proc.pid == 0;
}

int
task_run(struct tasks *t, const struct proc_spec *spec, int *status,
    struct problem *why)
{
	struct task *task = task_start(t, spec, why);

	if (task == NULL)
		return -1;
	task_wait(t, task, -1);
	*status = task->status;
	return t->caught != 0 ? task_interrupted(t, why) : 0;
}
