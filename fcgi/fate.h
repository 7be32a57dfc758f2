#ifndef MAMAYO_FATE_H
#define MAMAYO_FATE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/scoreboard.h"
#include "lib/wire.h"

/*
 * fate: what has become of a request that was handed over together with the
 * web server's connection (WIRE_DIRECT).
 *
 * Its answer does not pass through the responder. The end of a connection that
 * is not kept is seen, and so is the next request on one that is; in between
 * the workers' scoreboards and the head of the first message in the queue tell
 * where a request is. Looking takes a few system calls per worker: it is for
 * requests that are silent for a second and for the moment a queue seems full.
 */
enum fate {
	FATE_WAITING, /* perhaps still in the queue, or sent since */
	FATE_RUNNING, /* a living worker has it */
	FATE_DEAD,    /* a worker that has ended had it */
	FATE_UNKNOWN, /* it is not queued, and of no worker of its generation
			 is there a page: none is left, or somebody has taken
			 the pages away */
	FATE_OVER     /* neither queued nor with any worker (a worker that has
			 taken it in this very moment looks like that, too) */
};

/* What was to be seen when we last looked. */
struct fates {
	struct fate_board {
		char generation[33];
		int is_alive;
		struct board board;
	} * boards; /* owned */
	size_t n, room;
	int receive; /* the queue that was looked into; -1 */
	int has_first;
	struct wire_head first; /* of its messages: where it comes from */
	int64_t looked;         /* when; 0: look again */
	uint64_t looks;         /* how often */
};

struct fate_request {
	uint64_t responder, counter;
	const char *generation;
	int64_t handed; /* when it was sent to its queue, clock_ms(), ... */
	uint64_t looks; /* ... and how often we had looked by then */
};

#define FATES_FRESH 4 /* ms that a look is good for */

void fates_release(struct fates *);

/*
 * Looks into a queue (-1: it is not here any more) and then, so that nothing
 * slips through, at the pages; unless that was done just now. A page that
 * cannot be read is left out. 0, or -1 with errno if there is no directory.
 */
int fates_look(struct fates *, int run_fd, int receive, int64_t now);

/* How many workers of that generation are busy with what they have accepted
 * themselves. */
unsigned fates_accepted(const struct fates *, const char *generation);

/* How many requests all living workers have answered, each for itself. */
uint64_t fates_answered(const struct fates *);

/* As it was then. *board: its page if FATE_RUNNING or FATE_DEAD, until the
 * next look. */
enum fate fates_of(const struct fates *, const struct fate_request *,
    const struct board **board);

#endif
