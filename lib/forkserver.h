#ifndef MAMAYO_FORKSERVER_H
#define MAMAYO_FORKSERVER_H

#include <jansson.h>
#include <stdint.h>

#include "lib/account.h"
#include "lib/app.h"
#include "lib/loop.h"
#include "lib/proc.h"
#include "lib/python.h"
#include "lib/settings.h"

/*
 * forkserver: a process (adapters/mamayo_fork.py) that has imported what
 * several workers need, and forks them.
 *
 * A shared one is known by its key: interpreter, virtual environment and the
 * whole environment of its workers. It imports what earlier workers have
 * imported from the interpreter's own library, which is remembered in
 * run/preload/KEY.json. One of an app alone ("preload": "app") imports the app.
 *
 * Nobody waits for it: an order is a message, and its answer a pidfd. If there
 * is no answer in time, or the fork server dies, whoever has ordered starts the
 * worker directly. A worker that is forked too late finds its control socket at
 * its end, and goes.
 */
#define FORKSERVER_ANSWER_MS 2000  /* for an order */
#define FORKSERVER_START_MS  5000  /* ... while the fork server starts */
#define FORKSERVER_IMPORT_MS 60000 /* for importing everything */
#define FORKSERVER_DUMP_MS   1000  /* for writing its stacks, when it hangs */
#define FORKSERVER_END_MS    2000  /* for leaving, once it has no worker */
#define FORKSERVER_LEARN_MS  500   /* from a start to learning from it */
#define FORKSERVER_IDLE      10    /* times the `idle` of its apps: its own */

enum forkserver_state {
	FORKSERVER_NOWHERE,  /* 0: what cannot be */
	FORKSERVER_AWAY,     /* there is no process */
	FORKSERVER_STARTING, /* imports what is remembered; orders wait */
	FORKSERVER_READY,
	FORKSERVER_LEARNING, /* imports more; takes no orders */
	FORKSERVER_LEAVING,  /* takes no orders; goes after its last worker */
	FORKSERVER_STUCK,    /* writes its stacks */
	FORKSERVER_KILLED,
	FORKSERVER_NSTATES
};

enum forkserver_event {
	FORKSERVER_STARTED,
	FORKSERVER_SAID_READY,
	FORKSERVER_TAUGHT,
	FORKSERVER_ASKED, /* to leave */
	FORKSERVER_LATE,
	FORKSERVER_GONE,
	FORKSERVER_NEVENTS
};

/* The whole of its life; FORKSERVER_NOWHERE: that cannot happen then. */
enum forkserver_state forkserver_next(
    enum forkserver_state, enum forkserver_event);
const char *forkserver_state_name(enum forkserver_state);

/* All of an account. */
struct forkservers {
	struct loop *loop;
	struct account *account;
	struct forkserver *list;
	json_int_t last_id; /* of an order */
	int are_possible;   /* the system has pidfds */
	int are_closing;    /* no new ones are started */
	/* The last process of them has gone. */
	void (*empty)(struct forkservers *, int64_t now);
};

/* What a worker would be started with. All borrowed. */
struct fork_need {
	const struct app *app;
	const struct app_settings *settings;
	const struct python *python;
	char *const *env;
	int log;        /* the app's */
	uint64_t stamp; /* of the app's files */
};

/*
 * A worker that has been ordered, or was forked: embedded in it, zeroed before.
 * `answered` is called once for each order: with a pidfd, which it takes, or
 * with -1 and the reason. It may order again.
 */
struct fork_order {
	struct proc *proc; /* what adopts the pidfd */
	void (*answered)(
	    struct fork_order *, int pidfd, const char *why, int64_t now);
	/* private */
	struct forkserver *from; /* NULL: none, or it has gone */
	json_int_t id;
	int is_waiting;
	struct timer limit;
	struct fork_order *next, **link;
};

void forkservers_init(struct forkservers *, struct loop *, struct account *);
void forkservers_release(struct forkservers *);

/* The fork server that this app's workers may come from, running or not;
 * borrowed until the loop turns. NULL if its settings want none. */
struct forkserver *forkservers_find(
    struct forkservers *, const struct fork_need *, int64_t now);
/* Its name in run/preload; "" if it is of an app alone. */
const char *forkserver_key(const struct forkserver *);

/*
 * Orders a worker; a fork server that is not there is started, if it knows
 * something to import. Returns 0, or -1: it is to be started directly. The
 * descriptors of the spec stay the caller's.
 */
int forkserver_order(struct forkserver *, struct fork_order *,
    const struct proc_spec *, int64_t now);

/* No answer is wanted any more, for the worker was too late; or the worker has
 * come to its end. Nothing if there was no order. */
void forkserver_too_late(struct fork_order *, int64_t now);
void forkserver_forget(struct fork_order *, int64_t now);

/* A worker has imported these (names with blanks between them). */
void forkservers_learn(
    struct forkservers *, const char *key, const char *modules, int64_t now);

/* Once a second: who has been idle for too long leaves, and who writes to a log
 * that has been replaced is given the new one. */
void forkservers_tick(struct forkservers *, int64_t now);
/* All leave, or those of an app alone; after their last worker. */
void forkservers_leave(struct forkservers *, const char *app, int64_t now);
/* How many processes there are. */
int forkservers_count(const struct forkservers *);

/* For status: sends a new object for each process. */
json_t *forkserver_describe(const struct forkserver *, int64_t now);
struct forkserver *forkservers_next(
    const struct forkservers *, const struct forkserver *);

#endif
