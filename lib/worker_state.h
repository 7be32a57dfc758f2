#ifndef MAMAYO_WORKER_STATE_H
#define MAMAYO_WORKER_STATE_H

/*
 * worker_state: the life of a worker, as the supervisor sees it. A table
 * without I/O. Whether a ready worker is idle or busy is on its scoreboard:
 * the supervisor is not on the request path.
 *
 *	STARTING --SAID_READY--> READY
 *	    |                      |
 *	    | ASKED, SAID_FAILED   | ASKED
 *	    +-------> LEAVING <----+
 *	    |            |         |
 *	    | LATE       | SILENT  | SILENT     a request past its limit,
 *	    +-------> STUCK <------+            a start past its limit
 *	                 | LATE (has had time to write its stacks)
 *	                 v
 *	              KILLED <--- HUNG_UP (alive, but does not listen)
 *	                 |
 *	                 | GONE, from every state
 *	                 v
 *	               DEAD
 */
enum worker_state {
	WORKER_NOWHERE,  /* 0, so that a blank cell means "cannot be" */
	WORKER_STARTING, /* running, has not said that it is ready */
	WORKER_READY,    /* takes requests from the queue */
	WORKER_LEAVING,  /* serves what is queued, then goes */
	WORKER_STUCK,    /* told to write its stacks and die */
	WORKER_KILLED,   /* SIGKILL is on its way */
	WORKER_DEAD,     /* reaped; holds nothing */
	WORKER_NSTATES
};

enum worker_event {
	WORKER_SAID_READY,
	WORKER_SAID_FAILED, /* it cannot load the application */
	WORKER_ASKED,       /* we want it to leave */
	WORKER_SILENT,      /* its request has been silent for too long */
	WORKER_LATE,        /* the deadline of its state has passed */
	WORKER_HUNG_UP,     /* its control socket is closed */
	WORKER_GONE,        /* reaped */
	WORKER_NEVENTS
};

/* WORKER_NOWHERE: it cannot be; the worker is broken. */
enum worker_state worker_next(enum worker_state, enum worker_event);

const char *worker_state_name(enum worker_state);
const char *worker_event_name(enum worker_event);

#endif
