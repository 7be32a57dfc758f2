#ifndef MAMAYO_TASK_H
#define MAMAYO_TASK_H

#include "lib/loop.h"
#include "lib/proc.h"

/*
 * task: programs that a verb runs.
 *
 * Each has a session of its own: Ctrl-C and the like reach only us, who end
 * them with all that they have started. From tasks_begin() to tasks_end() a
 * signal does nothing else; what has to be cleaned up, can be.
 */
#define TASK_PATIENCE_MS 3000 /* from SIGTERM to SIGKILL */
#define TASKS_MOST       2    /* at the same time */

struct task {
	struct proc proc;
	int status; /* how it ended, a wait status */
};

struct tasks {
	struct loop *loop;
	int caught; /* the signal that interrupted us; 0: none has */
	/* private */
	struct timer patience;
	struct task task[TASKS_MOST];
};

void tasks_begin(struct tasks *);
/* Ends those that still run. */
void tasks_end(struct tasks *);

/* Starts a program; NULL with the reason: it could not be started, or we were
 * interrupted. Borrowed: the next one that starts may take the place of one
 * that has ended. */
struct task *task_start(
    struct tasks *, const struct proc_spec *, struct problem *);

/* Waits for its end, at most that long (-1: for ever). Is it over? */
int task_wait(struct tasks *, struct task *, int ms);

/* Starts it and waits: 0 with its wait status, or -1 with the reason. */
int task_run(
    struct tasks *, const struct proc_spec *, int *status, struct problem *);

/* The sentence for those that were interrupted. Always -1. */
int task_interrupted(const struct tasks *, struct problem *);

#endif
