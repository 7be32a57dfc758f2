#ifndef MAMAYO_LENDING_H
#define MAMAYO_LENDING_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/worker.h"

/*
 * lending: listening sockets that responders lend to workers.
 *
 * When everything behind the sockets of `mamayo listen` leads to one
 * application, its workers accept connections themselves: a request then costs
 * no passage through the responder, which only steps in when no worker is
 * idle. With each socket goes the way back, on which a worker hands over what
 * is not for it (lib/link.h, "lend"). Only sockets that mamayo has bound itself
 * are ever lent: a web server that spawns mamayo.fcgi takes a socket that
 * somebody holds for a living process.
 *
 * The supervisor decides (lending_find()) and keeps a duplicate of each.
 */
#define LENDING_MOST 64 /* sockets, of all responders */

/* A place whose change may mean that there is another application. */
struct lending_place {
	char *path;
	struct timespec changed;
	uint64_t inode;
};

struct lent {
	uint64_t number;
	int listener, back;
	char *program, *base; /* base may be NULL */
	int is_bound;         /* by its owner: nobody else serves there */
	const void *owner;    /* who has lent it; only compared */
	struct lent *next;
};

struct lending {
	struct lent *sockets;
	size_t n;
	uint64_t number;
	struct lending_place *places; /* as they were looked at */
	size_t nplaces;
	int waiting; /* looks in a row that found a connection */
};

void lending_release(struct lending *);

/* A responder lends one: takes the descriptors. message: program, base, and
 * whether it has bound that itself. */
void lending_add(
    struct lending *, const void *owner, const json_t *message, int fds[2]);
/* What that one has lent is not given to anybody any more. Returns how many. */
int lending_drop(struct lending *, const void *owner);
/* And it has died: what it had bound is shut down, for a worker that is busy
 * would hold the address. */
int lending_bury(struct lending *, const void *owner);

/*
 * Looks at the places. Returns 1 if they have been quiet for long enough that
 * a further change will show, 0 if it is to be tried again later.
 */
int lending_look(struct lending *, char *const *paths, size_t n);

/* Waits a connection at one of them, for the second look in a row? Whoever was
 * woken for it has not come, then. */
int lending_is_stranded(struct lending *);

/* Gives every socket to a worker that can accept and has none, or takes them
 * back. What the worker does then it tells by itself ("lent", "returned"). */
void lending_give(struct lending *, struct worker *, const char *mount,
    const char *public_directory);
void lending_take_back(struct worker *);

#endif
