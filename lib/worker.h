#ifndef MAMAYO_WORKER_H
#define MAMAYO_WORKER_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/forkserver.h"
#include "lib/loop.h"
#include "lib/proc.h"
#include "lib/recycle.h"
#include "lib/scoreboard.h"
#include "lib/worker_state.h"

/*
 * worker: one process that runs an application: a child, or one that a fork
 * server has forked; its control socket (descriptor 3), its scoreboard page
 * (5). Its life is worker_state's table, and worker_feed() in worker.c is the
 * one place where it moves.
 *
 * While a fork server has been asked and has not answered, there is no process
 * yet (pid 0). A forked one goes on only when it has been told to, so that one
 * that comes too late does nothing.
 *
 * A worker belongs to its pool. changed() is called after every move; when it
 * has moved to DEAD nothing of it is left but the struct, which the pool may
 * free there and then.
 */
#define WORKER_DUMP_MS 2000 /* for writing its stacks, once it is stuck */
#define WORKER_KILL_MS 5000 /* until SIGKILL is sent again */
#define WORKER_END_MS  300  /* for its end to follow on its hanging up */

struct worker_how {
	struct loop *loop;
	const struct proc_spec *spec; /* descriptors 3 and 5 are filled in */
	int boards_dir;               /* run/workers */
	const char *generation;
	json_t *first;           /* a message to send at once, or NULL */
	struct forkserver *from; /* NULL: start it directly */
	int64_t start_timeout, stop_timeout; /* ms */
};

struct worker {
	struct proc proc; /* first: its end comes by its address */
	struct fork_order order;
	struct worker_plan *plan; /* what to start; NULL: it has been */
	struct watch control;
	struct timer deadline, hung_up;
	struct loop *loop;
	pid_t pid;  /* stays when the process has gone; 0: never was */
	int status; /* of the end, once DEAD */
	enum worker_state state;
	int64_t started, ready; /* clock_ms(); ready 0: never was */
	int64_t stop_timeout;
	uint64_t served; /* requests, while it leaves, when last looked */
	int board_fd, boards_dir;
	char board_name[64];
	struct board board; /* as last read */
	int heard;        /* how often it was asked what it has imported, ... */
	int64_t heard_at; /* ... when, and after how many requests */
	uint64_t heard_requests;
	uint64_t stuck;        /* counter of the request that it is ended for */
	int64_t deaf_since;    /* see pool; 0: it listens */
	int can_accept;        /* it knows what to do with a socket ... */
	int has_sockets;       /* ... and has been lent some */
	int connection;        /* taken from it because it is stuck; or -1 */
	struct recycle limits; /* when another one is to take its place */
	uint64_t oom_kills;    /* of the system, when it was started */
	dev_t log_device;      /* the log that it writes to */
	ino_t log_inode;
	void (*said)(struct worker *, const json_t *, int64_t now);
	void (*changed)(struct worker *, enum worker_state was, int64_t now);
	void *owner;
	struct worker *next;
};

/* Starts the process. The worker's callbacks and owner must be set. 0, or -1
 * with the reason and a worker that can be freed. What goes wrong later is
 * said() as the worker's own `failed`. */
int worker_start(
    struct worker *, const struct worker_how *, int64_t now, struct problem *);

/*
 * A worker whose supervisor has died: `page` is the name of its scoreboard. It
 * has no control socket yet, and what it says once it has one is for said().
 * 0, or -1 with the reason: it is none, or it has just ended.
 */
int worker_adopt(struct worker *, const struct worker_how *, const char *page,
    pid_t, int64_t now, struct problem *);
/* It has come, with this message and this socket, which is taken. */
void worker_attach(struct worker *, int fd, const json_t *, int64_t now);

/* Tells the table's machine what has happened. */
void worker_feed(struct worker *, enum worker_event, int64_t now);

/* Reads the scoreboard into w->board; keeps the old one if that fails. */
void worker_look_at_board(struct worker *);

/* Is a request in its hands (by the board that was read last)? */
int worker_is_busy(const struct worker *);
/* And one that a responder has handed over? */
int worker_is_claimed(const struct worker *);

/* A message on the control socket; never waits. 0, or -1 with errno. */
int worker_tell(struct worker *, const char *type);
/* Its log is another file now: gives it that. 0, or -1: ask again. */
int worker_give_log(struct worker *, int log, dev_t, ino_t);
/* Has it not yet read what it was told, or, being of the last supervisor, not
 * come to us? 0 where the system cannot say. */
int worker_is_deaf(const struct worker *);

/* What a person is shown: starting idle busy sending draining. */
const char *worker_shown(const struct worker *);

#endif
