#ifndef MAMAYO_ORPHAN_H
#define MAMAYO_ORPHAN_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/scoreboard.h"

/*
 * orphan: workers whose supervisor has died, as the next one finds them.
 *
 * A page in run/workers is named after a generation and a process. If the
 * process lives, it waits here until a responder offers the queue of its
 * generation (lib/link.h, "adopt"): then its pool takes it. If it has ended
 * with a request in its hands, the responder of that request is to know.
 */
#define ORPHANS_WAIT_MS 500  /* for the queue of one that lives */
#define ORPHANS_KEEP_MS 5000 /* until those that nobody wants are forgotten */
#define ORPHANS_MOST    4096 /* pages that are read */

struct orphan {
	char page[64];
	char generation[33];
	pid_t pid;
	int is_dead;
	struct board board; /* of one that is */
	struct orphan *next;
};

struct orphans {
	struct orphan *first;
	int64_t since; /* when they were found, clock_ms() */
};

/* Is that the name of a generation: 32 hexadecimal digits? */
int orphan_is_generation(const char *);

/* Reads the pages that there are: once, before there is a worker of ours. */
void orphans_read(struct orphans *, int boards_dir, int64_t now);
void orphans_release(struct orphans *);

/* Takes one of that generation that lives out of them, to be freed; or NULL. */
struct orphan *orphans_take(struct orphans *, const char *generation);
/* Has it ended meanwhile with a request in its hands? Reads its page again. */
int orphan_has_lost(struct orphan *, int boards_dir);
/* Those that live, that nobody has taken, and that have not even started: they
 * were to be a new generation, and would never hear that nobody waits. The
 * others have what is queued, and leave when they have come. */
void orphans_end(struct orphans *, int boards_dir);
/* Does any worker live, whoever supervises it? For who only looks. */
int orphans_live(int boards_dir);
/* Is that process one of them? */
int orphans_have(const struct orphans *, pid_t);
/* Lives one whose queue may still be offered? */
int orphans_are_expected(const struct orphans *, int64_t now);

#endif
