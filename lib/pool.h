#ifndef MAMAYO_POOL_H
#define MAMAYO_POOL_H

#include <jansson.h>
#include <stdint.h>

#include "lib/account.h"
#include "lib/app.h"
#include "lib/changes.h"
#include "lib/hook.h"
#include "lib/logfile.h"
#include "lib/loop.h"
#include "lib/settings.h"
#include "lib/worker.h"

/*
 * pool: the workers of one app: start them when requests wait, grow, shrink,
 * replace, and say why when the app cannot be started.
 *
 * The queue is made once and belongs to a generation, which has a random name.
 * The pool never reads requests but in one case: an app that cannot start has
 * its waiting requests taken out and answered with a page that says so. It
 * polls the queue's receive end only while there is no worker and no start in
 * progress, and looks at the boards every POOL_LOOK_MS while pool_look() says
 * that requests are in flight.
 */
#define POOL_LOOK_MS 100
/* Looks in a row with a request waiting: beside an idle worker, until that one
 * is nudged; with nobody idle, until a worker is added, if more are in flight
 * than the busy ones have, and if not. */
#define POOL_STRANDED_LOOKS 2
#define POOL_GROW_LOOKS     2
#define POOL_WAIT_LOOKS     10

/* What its owner is to be told of by mail (lib/mail): that it cannot be
 * started, once that has lasted so long without a change of its files (half of
 * an upload fails, too), or so long in all; workers that end unasked, when so
 * many have within that time; each that was stuck. */
#define POOL_LASTING_MS   30000
#define POOL_LASTING_MOST 300000
#define POOL_CRASHES      3
#define POOL_CRASHES_MS   600000

#define POOL_RETRY_AFTER 10 /* s, where nobody knows better */
#define POOL_RETRY_MOST  60 /* s that a visitor is told to wait */
#define POOL_HOOK_MS                                            \
	86400000 /* until a generation whose hook has failed is \
		  * looked at again, if nothing changes */

enum pool_state {
	POOL_ASLEEP,
	POOL_SETTING_UP, /* a hook runs, and it waits */
	POOL_STARTING,
	POOL_READY,
	POOL_FAILING, /* cannot be started: waits, or for a change */
	POOL_STOPPED, /* by its owner */
	POOL_MISSING  /* its directory has gone */
};

struct pool;

/* What a pool asks of the supervisor above it. */
struct pool_host {
	struct loop *loop;
	struct account *account;
	struct forkservers *forkservers;
	struct hooks *hooks;
	char *adapters; /* where the Python files lie; NULL: not unpacked */
	int boards_dir;
	/* May one more worker be started, beside those there are? */
	int (*may_grow)(struct pool_host *, struct pool *);
	/* Requests in flight for it, as the responders say. */
	unsigned (*claims)(struct pool_host *, const struct pool *);
	/* The request on the board of a worker is lost: its responder is to
	 * know, when that is decided and when the worker has ended. detail:
	 * what its page shows the owner, or "". */
	void (*verdict)(struct pool_host *, const struct board *, int has_ended,
	    int status, const char *code, const char *text, const char *detail);
	/* Its owner may want to know. The kind is a word of ours. */
	void (*incident)(struct pool_host *, const struct pool *,
	    const char *kind, const char *subject, const char *text);
	/* A worker waits at sockets now; or it has given them back, because
	 * there may be another app. */
	void (*lent)(struct pool_host *, int64_t now);
	void (*places_changed)(struct pool_host *, int64_t now);
	void (*unwanted)(struct pool_host *, int64_t now);
	/* Its queue is over, before anybody says so. */
	void (*gone)(struct pool_host *, struct pool *);
	/* A worker has become ready, or the last ready one has gone; or the
	 * pool is empty now. */
	void (*changed)(struct pool_host *, struct pool *, int64_t now);
};

struct pool {
	struct pool_host *host;
	struct app app;
	struct app_settings settings;
	struct logfile log;
	int max;            /* workers.max, or its default */
	int has_new_static; /* in its settings, which is to be told */
	char generation[33];
	int queue_send, queue_receive; /* -1 until somebody wants the queue */
	struct watch queue;            /* on queue_receive, see above */
	struct timer retry;            /* when a start may be tried again */

	enum pool_state state;
	struct worker *workers;
	int nworkers;
	struct worker *worn; /* one whose place another one is to take */
	int64_t worn_at;     /* since when */
	int is_short;        /* it leaves before there is another one */
	int has_spoken;      /* of "memory", which is no limit here */
	int is_draining;  /* no new workers; free me when the last has gone */
	int is_stopped;   /* by its owner: no queue and no new workers */
	int is_candidate; /* for the place of another pool */
	int is_replaced;  /* another pool is in its place */
	int is_outdated;  /* what it was made of has changed: no more workers,
			     but the last one stays */
	struct changes changes; /* of what it was made of */
	struct hook_turn hook;  /* what is run before it is started */
	size_t noted;           /* files that the hooks know of */
	int is_late;            /* that has changed while it was starting ... */
	int lates; /* ... as in so many generations before it, in a row */
	int64_t missing_since;         /* 0: its directory is there */
	int waiting, stranded;         /* looks in a row */
	uint64_t requests;             /* of workers that have gone */
	uint64_t crashes;              /* workers that were not asked to go */
	int64_t crashed[POOL_CRASHES]; /* when the last ones did; 0: never */
	char *entry, *python, *why;    /* as of the last start; may be NULL */
	char *pure;    /* why it runs without the accelerator; "" if with it */
	char *preload; /* the key of its fork server, if it shares one */

	/* why it cannot start */
	unsigned failures;     /* in a row */
	int is_kept;           /* so that the next supervisor knows, too */
	int64_t failed_at;     /* the last time */
	int64_t retry_at;      /* clock_ms(); 0: at once */
	int64_t started_at;    /* when a worker was last started */
	uint64_t made_of;      /* its files and its generation, when the first
				  of its workers was started */
	uint64_t failed_stamp; /* of its files, when it was started ... */
	int64_t stamped_at;    /* ... and when they were last looked at */
	int64_t failing_since; /* clock_ms(); while failures is not 0 ... */
	int64_t same_since;    /* ... with the same files */
	uint64_t same_stamp;
	int is_told; /* of this failure */
	char reference[9];
	char code[16]; /* X-Mamayo-Error */
	char *advice, *detail;

	struct pool *next;
};

struct pool *pool_new(struct pool_host *, const struct app *);
/* Only when there is no worker left. */
void pool_free(struct pool *);

/* Makes the queue if there is none yet. 0, or -1 with errno. */
int pool_open(struct pool *, int64_t now);

/*
 * A responder has held its queue since the last supervisor died. 1: it is the
 * pool's queue now, and the descriptors are taken (or it is the one that it has
 * already); 0: the pool has another one, or wants none.
 */
int pool_adopt(struct pool *, const char *generation, int fds[2], int64_t now);
/* How many requests its workers had answered, and how many of these had died,
 * before: as the responder has heard it last. */
void pool_remember(struct pool *, json_int_t requests, json_int_t crashes);
/* A worker of that generation: page is its scoreboard's name. -1: it has ended
 * meanwhile, or is none. */
int pool_adopt_worker(struct pool *, const char *page, pid_t, int64_t now);
/* Is that process one of its workers? Then pool_attach() may be told that it
 * has come without a supervisor, with a message and its socket, which is
 * taken. */
int pool_has_process(const struct pool *, pid_t);
void pool_attach(
    struct pool *, pid_t, int fd, const json_t *message, int64_t now);

/* Is what is served without it the same as that (of another's settings)? */
int pool_has_same_static(const struct pool *, char *const *other);

/* The new word on its directory: settings are read at the next start. */
void pool_found(struct pool *, const struct app *);

/* Requests may be in flight: looks at boards and queue. Returns 1 while there
 * is reason to look again in POOL_LOOK_MS. */
int pool_look(struct pool *, int64_t now);

/* Asks the idle ones to look into the queue and at their sockets. */
void pool_nudge(struct pool *);

/* Lets workers go that have been idle for too long. Returns when to ask again
 * (clock_ms()), 0 if there is no worker. */
int64_t pool_shrink(struct pool *, int64_t now);

/* Once a second: workers that have run for a moment are asked what they have
 * imported, and show that the app can be started; later they are asked again,
 * less and less often, if they have served something. */
void pool_learn(struct pool *, int64_t now);

/* They are asked now; or are ended, after they have said where they are. */
void pool_ask(struct pool *, int64_t now);
void pool_interrupt(struct pool *, int64_t now);

/* Once a second, too: replaces a worker that has come to a limit. */
void pool_recycle(struct pool *, int64_t now);
/* Once a second, and more often when it says so: keeps the app's log small.
 * Gives the ms until then. */
int64_t pool_look_at_log(struct pool *, int64_t now);

/* Once a second: has it failed for so long that its owner is to know? */
void pool_look_at_failing(struct pool *, int64_t now);

/* All workers are to finish and leave; no new ones are started. */
void pool_drain(struct pool *, int64_t now);

/* Its owner has stopped it, or wants it served again. Workers finish what they
 * have and leave; what waits is answered with a page. The responders are to
 * know before that its queue is over. */
void pool_stop(struct pool *, int64_t now);
void pool_let_go_on(struct pool *);

/* A start that has failed is not held against it any more; nor, if somebody
 * has asked for it, a hook that has. */
void pool_try_again(struct pool *, int is_asked);

/* A hook of its app has ended: if it has waited for that, it goes on. */
void pool_go_on(struct pool *, int64_t now);

/* Is there a worker that takes requests, or will soon? */
int pool_is_served(const struct pool *);
int pool_ready_workers(const struct pool *);

/* Is this the pool that the app's requests are for? */
int pool_is_current(const struct pool *);

/*
 * A candidate: its queue and its first worker. What is wrong with it then, or
 * later, is in its advice and its code, and in the logs (pool_fail()); it ends
 * by pool_discard(), or takes its place.
 */
void pool_begin(struct pool *, int64_t now);
void pool_fail(struct pool *, const char *code, const char *advice,
    const char *detail, int64_t ready_ms, int64_t now);
void pool_discard(struct pool *, int64_t now);
void pool_take_place(struct pool *, struct pool *old, int64_t now);

/* Has a worker of this pool that request in its hands? */
int pool_has(struct pool *, uint64_t responder, uint64_t counter);

const char *pool_state_name(const struct pool *);

/* For status: a new object. */
json_t *pool_describe(struct pool *, int64_t now);

#endif
