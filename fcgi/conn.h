#ifndef MAMAYO_CONN_H
#define MAMAYO_CONN_H

#include <stddef.h>
#include <stdint.h>

#include "fcgi/body.h"
#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/page.h"
#include "lib/params.h"
#include "lib/scoreboard.h"

/*
 * conn: one connection from the web server: records in, a request out, bytes
 * of the answer back.
 *
 * Carries one request at a time (we answer FCGI_MPXS_CONNS 0). A request is
 * told to the owner by complete() once its parameters and its body are whole
 * and fit CONTENT_LENGTH (R-BODY1); whatever is wrong with it before that the
 * conn answers itself, after the whole of STDIN has been consumed (R-BODY2).
 * The owner then gives the answer with conn_page(), or record by record with
 * conn_forward(), and ends with conn_end().
 *
 * gone() is told once, when the peer has closed, has broken the protocol, or
 * the connection is over: the owner frees the conn. aborted() is told when the
 * web server takes back a request that was complete (FCGI_ABORT_REQUEST): the
 * owner lets go of it and does no more; the conn ends it. A conn is freed by
 * its owner, with conn_free(), from any callback or between them.
 *
 * A whole request can be handed over together with its connection: then it is
 * lent, and whoever has it writes the answer. When the next request begins on
 * it, the answer is over: returned() is told, and the conn goes on. A lent
 * connection that is not kept is not watched, for nothing comes from it but
 * its end: the owner looks for that with conn_sweep(), while it is short.
 */
#define CONN_OUT_MOST                                                   \
	(256 * 1024)         /* bytes of an answer kept for a slow peer \
			      */
#define CONN_PIECE     65536 /* bytes: the room that drained() tells of */
#define CONN_TURN_MOST (256 * 1024) /* bytes read per turn of the loop */
#define CONN_STRAY_MOST                                      \
	1000 /* records for no request, between two requests \
	      */
#define CONN_DISCARD_MOST (4 * 1024 * 1024) /* PARAMS read after a refusal */

enum conn_state {
	CONN_IDLE,   /* between requests */
	CONN_PARAMS, /* BEGIN seen */
	CONN_BODY,   /* parameters complete */
	CONN_WHOLE,  /* told to the owner; the answer is awaited */
	CONN_LENT,   /* somebody else writes the answer to it */
	CONN_CLOSING /* what is queued is written, then it is gone */
};

/* Who is at the other end (SERVER_SOFTWARE). */
enum conn_server { CONN_OTHER, CONN_APACHE, CONN_LIGHTTPD, CONN_NGINX };

struct conn_rules {
	struct loop *loop;
	int spool_dir;        /* where bodies go */
	unsigned max_conns;   /* told to FCGI_GET_VALUES */
	int64_t body_timeout; /* ms without a byte of an unfinished request */
	int64_t idle_timeout; /* ms a kept connection may be silent */
	size_t count;         /* connections there are */
	int64_t complained;   /* when a protocol error was last logged */
	/* spool_dir has been removed: sets it anew, or returns -1 */
	int (*spool_lost)(struct conn_rules *);
	void *owner;
};

struct conn {
	struct watch watch;
	struct timer timer;
	struct conn_rules *rules;
	enum conn_state state;
	int64_t heard; /* when the last byte came */

	struct buf in, out, aside; /* aside: records that wait for a border */
	size_t stray;              /* records ignored since the last request */
	int has_served;            /* a request has ended on it */
	int is_closed;             /* the peer sends no more */
	int is_short;              /* the kernel is short of memory for it */
	int is_freed; /* conn_free() came while a handler was at work ... */
	int depth;    /* ... which is this many handlers deep */

	/* the request */
	uint16_t id;
	int keep;    /* FCGI_KEEP_CONN */
	int is_head; /* its method is HEAD */
	enum conn_server server;
	int refused;         /* 0, or the status it will be answered with */
	const char *refusal; /* X-Mamayo-Error */
	char reason[512];    /* sentence for the log and the page */
	struct params params;
	struct buf pairs; /* PARAMS not parsed yet */
	size_t discarded;
	int has_length;    /* CONTENT_LENGTH was sent */
	uint64_t expected; /* its value */
	struct body body;

	/* the answer */
	int mid_record; /* conn_forward() stopped inside a record */
	int wrote;      /* something of the answer has been queued, or was
			   written by who had it lent */

	void *exchange; /* the owner's; NULL: none */
	void *sender;   /* likewise: who gives the answer in its place */
	void (*complete)(struct conn *, int64_t now);
	void (*aborted)(struct conn *, int64_t now);
	void (*drained)(
	    struct conn *, int64_t now); /* room for a piece again */
	void (*returned)(struct conn *, int64_t now);
	void (*gone)(struct conn *, int64_t now);
	struct conn *next, **link;      /* the owner's lists: of all ... */
	struct conn *next_lent, **lent; /* ... of those to be swept; or NULL */
};

/* Takes the descriptor (nonblocking). NULL without memory: then it is closed.
 * The callbacks are to be set at once. */
struct conn *conn_new(int fd, struct conn_rules *, int64_t now);
void conn_free(struct conn *);

/* Looks at once what has come: with a new connection that is nearly always its
 * request. May call any callback: last use. */
void conn_try(struct conn *, int64_t now);

/* Takes bytes that somebody else has read from it. 0, or -1 if they are too
 * many. May call any callback: last use. */
int conn_feed(struct conn *, const void *, size_t, int64_t now);

/* Room for more of the answer before the peer must be waited for. */
size_t conn_room(const struct conn *);

/*
 * Queues bytes of the answer and writes what can be written; at_border says
 * whether the last byte ends a record. -1 if the peer does not take them any
 * more: then the owner frees the conn.
 */
int conn_forward(struct conn *, const void *, size_t, int at_border);

/* The same with the n bytes, or fewer, that can be had from a socket; with all
 * of them a record ends. How many it took: 0 if it cannot do that now; or -1 as
 * above. */
ssize_t conn_relay(struct conn *, int from, size_t n);

/* An empty FCGI_STDERR record, if we are between records. */
void conn_heartbeat(struct conn *);

/* May this request be handed over together with the connection? Only to who
 * writes records with its id, after all that was queued here is written. */
int conn_may_lend(const struct conn *);
/* It has been: lets go of the request. */
void conn_lend(struct conn *);
/* The answer is over: waits for the next request. Nothing that is written but
 * not read yet is lost. May call gone(): last use. */
void conn_give_back(struct conn *, int64_t now);
/* The answer is over, and the connection is not kept: closes, and what has been
 * written still arrives. Calls gone(): last use. */
void conn_finish_lent(struct conn *, int64_t now);
/* The answer is over or lost, nobody knows: closes. Calls gone(): last use. */
void conn_drop_lent(struct conn *, int64_t now);
/* The answer takes long: the end of its connection is watched for, rather than
 * looked for some times a second. */
void conn_watch_lent(struct conn *);
/* Nobody else writes to it any more, so we may; wrote says what was written. */
void conn_reclaim(struct conn *, enum board_wrote wrote);
/* Looks for the ends of n lent connections that are not kept. Each may call
 * gone(). */
#define CONN_SWEEP_MOST 128
void conn_sweep(struct conn *const *, size_t n, int64_t now);

/* Between two requests: no more of them; closes when the last answer has been
 * written. Otherwise nothing. May call gone(): last use. */
void conn_close_idle(struct conn *, int64_t now);

/* The whole answer is a page of ours. Only while nothing was forwarded. Ends
 * the request; may call gone(): last use. */
void conn_page(struct conn *, const struct page *, int64_t now);

/* The same, where there is no memory to begin with. */
void conn_page_short(struct conn *, int64_t now);

/* The answer is complete (END_REQUEST has been forwarded): a kept connection
 * waits for the next request, any other is closed. May call gone(): last use.
 */
void conn_end(struct conn *, int64_t now);

/* The answer cannot be completed: closes, so that the visitor sees it is cut.
 * (Behind nginx without kept connections that takes an END_REQUEST, with
 * appStatus 1.) May call gone(): last use. */
void conn_cut(struct conn *, int64_t now);

#endif
