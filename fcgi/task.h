#ifndef MAMAYO_TASK_H
#define MAMAYO_TASK_H

#include "lib/loop.h"
#include "lib/proc.h"

/*
 * task: programs that a verb runs to their end, one after the other.
 *
 * Each has a session of its own: Ctrl-C and the like reach only us, who end it
 * with all that it has started. From tasks_begin() to tasks_end() a signal
 * does nothing else; what has to be cleaned up, can be.
 */
#define TASK_PATIENCE_MS 3000 /* from SIGTERM to SIGKILL */

struct tasks {
	struct loop *loop;
	int caught; /* the signal that interrupted us; 0: none has */
	/* private */
	struct proc proc;
	struct timer patience;
	int status, is_over;
};

void tasks_begin(struct tasks *);
void tasks_end(struct tasks *);

/* Runs it: 0 with how it ended (a wait status), or -1 with the reason: it
 * could not be started, or we were interrupted. */
int task_run(
    struct tasks *, const struct proc_spec *, int *status, struct problem *);

/* The sentence for one that was interrupted. Always -1. */
int task_interrupted(const struct tasks *, struct problem *);

#endif
