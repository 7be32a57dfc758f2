#ifndef MAMAYO_RELOAD_H
#define MAMAYO_RELOAD_H

#include <jansson.h>
#include <stdint.h>

#include "lib/loop.h"
#include "lib/pool.h"

/*
 * reload: an app whose files have changed gets a new generation, and loses no
 * request by it.
 *
 *	IDLE --a change--> SETTLING --it is quiet--> TRYING --it serves--> IDLE
 *	                                               |
 *	                                               +--it does not--> IDLE
 *
 * The new generation is a pool of its own, the candidate, of which no responder
 * knows. When its first worker is ready, and has answered "health" if the
 * settings name it, it takes the place of the old one, which serves what it has
 * and what waits in its queue. If the candidate fails, the old one stays, and
 * the same files are not tried again, unless somebody asks for it.
 *
 * Files are looked at when requests come, at most every RELOAD_LOOK_MS, and
 * while a change settles.
 */
#define RELOAD_LOOK_MS   1000
#define RELOAD_SETTLE_MS 250   /* between looks at what has changed */
#define RELOAD_RESTLESS  60000 /* ms that something may go on changing */
#define RELOAD_FAREWELL                                                   \
	250             /* ms for a worker that has failed to say what it \
			 * has imported */
#define RELOAD_SICK 500 /* a status that is not healthy, and above */

struct reload;

struct reloads {
	struct pool_host *host;
	struct reload *list;
	uint64_t tickets;   /* given to who has asked, so far */
	uint64_t responder; /* of the requests for health; 0: not yet known */
	uint64_t requests;
	/* A candidate is there: the owner keeps it with its other pools, and
	 * frees it, when it is draining and empty, in host->changed(). */
	void (*begun)(struct reloads *, struct pool *candidate);
	/* The candidate is the app's pool from now on. The owner tells the
	 * responders, and drains the old one. */
	void (*over)(
	    struct reloads *, struct pool *old, struct pool *new, int64_t now);
	/* What was asked for with this ticket of that app's, or an earlier one,
	 * is settled: failure is NULL, or says why there is none. */
	void (*settled)(struct reloads *, const char *app, uint64_t ticket,
	    const char *failure);
};

/* Requests come, perhaps: has this pool served any since, is it looked at. */
void reload_look(struct reloads *, struct pool *, int64_t now);

/* Somebody wants a new generation, whatever has changed. Returns a ticket, 0
 * if no worker runs: then the next request starts what is there. */
uint64_t reload_ask(struct reloads *, struct pool *, int64_t now);

/* The workers of a candidate have changed. */
void reload_changed(struct reloads *, struct pool *, int64_t now);

/* This pool is stopped, or will drain: there is nothing to take its place. */
void reload_forget(struct reloads *, struct pool *, int64_t now);
void reload_forget_all(struct reloads *, int64_t now);

/* For status: "starting", "failed" or "". Adds to what describes the pool. */
void reload_describe(
    const struct reloads *, const struct pool *, json_t *, int64_t now);

#endif
