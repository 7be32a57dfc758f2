#ifndef MAMAYO_BATCH_H
#define MAMAYO_BATCH_H

#include <stdint.h>

/*
 * batch: how a process is scheduled that is busy with many small pieces of
 * work.
 *
 * Who is woken pushes aside who runs, if that is no batch process (SCHED_BATCH,
 * sched(7)): two switches for each message, and the web server has not even
 * sent the next one. One that waits for its turn finds several. That is worth a
 * fifth of the processor time of a short request, and while other processes
 * want all processors it costs up to a few milliseconds each time that it is
 * woken. So a process is one only while it has BATCH_WORK pieces within
 * BATCH_SPAN_MS, and hardly ever waits for others while it is at one: a worker
 * that asks a database is never one.
 *
 * The calling thread is meant; what it starts meanwhile inherits that, as
 * sched(7) has it. Linux only: elsewhere nothing happens.
 */
#define BATCH_WORK    64
#define BATCH_SPAN_MS 250
#define BATCH_WAITS   8 /* in BATCH_WORK / 2 pieces, that are too many */

struct batch {
	int64_t since; /* clock_ms(): when the first of these pieces came */
	int work;      /* pieces since then */
	long waits;    /* what the system had counted after half of them */
	int is_on;
};

/* A piece of work begins. waits: how often the thread has waited for work so
 * far, which the system counts, too; or -1: it waits for nothing else. */
void batch_work(struct batch *, int64_t now, long waits);

/* As usual again: it becomes another program, or another kind of process. */
void batch_end(struct batch *);

#endif
