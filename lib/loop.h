#ifndef MAMAYO_LOOP_H
#define MAMAYO_LOOP_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

/*
 * loop: wait for descriptors, deadlines and signals; call back.
 *
 * A watch and a timer are embedded in their owner. Interest in writing is on
 * only while something is queued. A callback may stop any watch or timer, its
 * own too, and may free its owner: that takes effect at once, within the turn.
 * POLLHUP and POLLERR are told as readable too, so that read() says why.
 *
 * Many watches that are silent cost nothing where there is epoll: while more
 * than LOOP_HOT are polled, those that have not been called for LOOP_SILENT
 * turns are parked in an epoll set, until they are.
 *
 * One loop per process; after a fork the child calls loop_forget() before it
 * makes its own. `now` is clock_ms(), read once per turn and handed down.
 */
struct loop;

#define LOOP_HOT    32
#define LOOP_SILENT 256

struct watch {
	int fd;
	short want; /* POLLIN, POLLOUT or both; 0: only hang-up and error */
	void (*ready)(struct watch *, short got, int64_t now);
	size_t at;     /* private: 0 when not watched, else index + 1 */
	unsigned turn; /* private: when it was last called or changed */
};

struct timer {
	void (*due)(struct timer *, int64_t now);
	int64_t at;   /* private: clock_ms() when due */
	size_t place; /* private: 0 when off, else place in the heap + 1 */
};

struct loop *loop_new(void); /* dies without memory: at start only */
void loop_free(struct loop *);
/* In a forked child: gives up the parent's loop without touching what it
 * watched (the signal pipe is closed, signals are back to default). */
void loop_forget(struct loop *);

/* 0, or -1 with errno ENOMEM. */
int loop_watch(struct loop *, struct watch *);
void loop_unwatch(struct loop *, struct watch *); /* nothing if not watched */
void loop_want(struct loop *, struct watch *, short want);

/* Sets (or moves) a timer; a timer fires once. 0, or -1 with ENOMEM. */
int loop_timer(struct loop *, struct timer *, int64_t at);
void loop_cancel(struct loop *, struct timer *); /* nothing if it is off */

/* Calls back for a signal, from the loop, once per turn however many came.
 * The signal's other handlers are replaced. */
void loop_signal(
    struct loop *, int signo, void (*caught)(void *, int64_t now), void *);

/* From now on nothing happens on the signals that a web server, a terminal or
 * a stray kill may send and that mean nothing here: SIGPIPE, SIGHUP, SIGUSR1,
 * SIGUSR2, SIGALRM and the other timers', SIGQUIT; nor on SIGXFSZ: a write
 * beyond the limit of a file's size is an error like others. */
void loop_ignore_signals(void);

/* One poll and its callbacks. Waits at most until the next timer. */
void loop_turn(struct loop *);
int64_t loop_now(const struct loop *);

#endif
