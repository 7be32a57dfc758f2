#ifndef MAMAYO_EXCHANGE_H
#define MAMAYO_EXCHANGE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/conn.h"
#include "fcgi/fate.h"
#include "fcgi/record.h"
#include "lib/loop.h"
#include "lib/url.h"

/*
 * exchange: one request on its way: handed over to an app's queue, its answer
 * pumped back to the web server's connection, a heartbeat while it is silent,
 * a verdict or a page when there is no answer.
 *
 * Behind lighttpd and nginx the answer is direct: the worker gets the web
 * server's connection. We keep a duplicate and write to it only when nobody
 * else will: after a verdict, or when no worker has taken the request in time.
 * exchange_hand() is the one place where that is decided.
 *
 * An exchange is made when a conn has a whole request and freed when the
 * request has ended. It borrows its conn, which points back (conn->exchange);
 * both pointers are set in exchange_new() and cleared in exchange_free().
 */

/*
 * queue: what a responder knows of the queue of one generation of an app. It
 * holds both ends, never reads, and shares the open files with others: flags
 * per call only, never O_NONBLOCK.
 */
struct queue {
	char *name;
	char generation[33];
	int send, receive;  /* -1: not here (yet, or any more) */
	int is_asked;       /* the supervisor was asked for it */
	uint64_t asked;     /* how many had begun to wait when that was */
	int is_ready;       /* a worker runs */
	int is_debugged;    /* its pages show what went wrong */
	json_int_t crashes; /* workers of it that ended without being asked */
	int is_over;        /* takes no more; freed when in_flight is 0 */
	int is_offered;     /* to the next supervisor, when its own had died */
	int is_orphan; /* over, for the next one has not taken it: receive is
			  kept, for what no worker has taken */
	int is_served; /* over, but what is in it will be taken: receive is
			  kept, to see what waits */
	int64_t told;  /* when it was last said that it is busy */
	json_int_t requests;      /* answered by workers of it that have gone */
	unsigned in_flight, most; /* handed over and waiting for room; limit */
	unsigned workers;         /* that there may be: a part of the limit */
	int64_t timeout, queue_timeout, start_timeout; /* ms */
	struct exchange *full, **full_end; /* in order, waiting for room */
	struct queue *next;
};

struct exchange_rules {
	struct loop *loop;
	int spool_dir;
	uint64_t responder;
	uint64_t counter;
	uint64_t link;     /* which link to a supervisor this is */
	int64_t heartbeat; /* ms of silence before one is sent behind Apache */
	struct fates fates;
	struct exchange **end; /* of the responder's list of all of them, in
				  the order in which they came */
	struct exchange *walk; /* where who walks over all of them goes on: any
				  may be freed meanwhile */
	/* a request was not answered in the time it may wait: has a worker
	 * taken it? exchange_taken() brings the answer. */
	void (*ask)(struct exchange *, int64_t now);
	/* the last word of the supervisor may be there unread: read it. Gives
	 * the exchange with that counter if it is still there. */
	struct exchange *(*hear)(
	    struct exchange_rules *, uint64_t counter, int64_t now);
	/* a request has left the queue; may free it */
	void (*ended)(struct exchange_rules *, struct queue *);
	void *owner;
};

enum exchange_state {
	EXCHANGE_WAITING, /* for a route, a queue, or room in it */
	EXCHANGE_RUNNING  /* handed over */
};

struct exchange {
	struct watch answer;
	struct timer timer;
	struct exchange_rules *rules;
	struct conn *conn;
	struct queue *queue; /* NULL: not routed yet */
	enum exchange_state state;
	uint64_t counter;
	uint64_t link; /* the link when it was handed over */
	int64_t arrived, not_after;
	uint64_t turn;   /* the how many-th to wait for a queue; 0: has not */
	int64_t touched; /* when the worker last wrote, or it was handed over */
	int64_t beat;    /* when a heartbeat was last sent */
	struct url url;  /* where it goes, parsed once by the responder */
	int has_url;
	int has_looked;  /* the directories were looked at because of it */
	int is_for_app;  /* there is no file for it */
	int is_prefixed; /* the parameters are in the spool file */
	int is_asked;    /* see ask */
	int is_mourned;  /* the worker has died, and its page is to say how */
	int has_heartbeat;

	int is_direct;
	int64_t handed;     /* when it was sent to its queue */
	uint64_t looks;     /* see fate */
	unsigned over;      /* looks in a row that found it nowhere */
	json_int_t crashes; /* of the queue, when it was handed over */

	/* walking the records of the answer */
	unsigned char head[RECORD_END];
	size_t head_length;
	size_t left;   /* bytes of the current record still to come */
	int has_ended; /* END_REQUEST has been seen whole */
	int type;
	int is_large; /* EXCHANGE_LARGE or more of it */

	struct exchange *next_full;
	struct exchange *next, **place; /* the responder's list */
};

struct exchange *exchange_new(
    struct conn *, struct exchange_rules *, int64_t now);
void exchange_free(struct exchange *);

enum exchange_handed {
	EXCHANGE_HANDED,
	EXCHANGE_FULL,  /* no room now: try again */
	EXCHANGE_OVER,  /* that generation takes no more */
	EXCHANGE_FAILED /* errno: nothing was handed over */
};
enum exchange_handed exchange_hand(
    struct exchange *, struct queue *, int64_t now);

/* Ends it with a page of ours, or by cutting what was begun. Frees ex. */
void exchange_fail(struct exchange *, int status, const char *code,
    const char *text, int retry_after, int64_t now);

/* The supervisor's word on it. verdict frees ex (after the answer's last bytes
 * have been read; wrote counts if it is direct); taken may. detail is shown on
 * the page, unless it is "". */
void exchange_verdict(struct exchange *, int status, const char *code,
    const char *text, const char *detail, enum board_wrote wrote, int64_t now);
void exchange_taken(struct exchange *, int taken, int64_t now);

/* Is it direct, and over as far as the boards tell? */
int exchange_seems_over(struct exchange *, int64_t now);

/* There is room in the conn again. May free ex. */
void exchange_pump(struct exchange *, int64_t now);

#endif
