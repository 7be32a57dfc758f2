#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(HAVE_SYS_EPOLL_H) && !defined(MAMAYO_PLAIN)
#include <sys/epoll.h>
#define HAS_PARK 1
#else
#define HAS_PARK 0
#endif

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/xalloc.h"

#define LOOP_SIGNALS  65 /* one more than the highest signal */
#define LOOP_RETRY_MS 10 /* pause when poll itself fails */
#define LOOP_UNPARKED 64 /* taken out of the park per turn */
#define PARKED        SIZE_MAX

struct caught {
	void (*call)(void *, int64_t now); /* NULL: not ours */
	void *argument;
};

struct loop {
	struct watch wake;     /* first, so that it is the loop; fd: the read
				  end of the signal pipe */
	struct pollfd *polled; /* dense; [i] belongs to watches[i] */
	struct watch **watches;
	size_t n, room;
	struct watch park; /* fd: an epoll set; -1: none is needed yet */
	size_t parked, candidate;
	unsigned turn;
	struct timer **heap; /* the next one due is [0] */
	size_t timers, timer_room;
	int64_t now;
	struct caught caught[LOOP_SIGNALS];
};

/* What the handler may touch. There is one loop in a process. */
static volatile sig_atomic_t raised[LOOP_SIGNALS];
static int signal_pipe = -1; /* write end */

static void
handler(int signo)
{
	int saved = errno;
	ssize_t written;

	raised[signo] = 1;
	written = write(signal_pipe, "", 1);
	(void)written; /* a full pipe will wake the loop as well */
	errno = saved;
}

/* Empties the pipe first: what is raised later will fill it again. */
static void
loop_woken(struct watch *w, short got, int64_t now)
{
	struct loop *l = (struct loop *)w;
	char bytes[64];

	(void)got;
	while (read(w->fd, bytes, sizeof bytes) > 0)
		continue;
	for (int signo = 1; signo < LOOP_SIGNALS; signo++)
		if (raised[signo]) {
			raised[signo] = 0;
			if (l->caught[signo].call != NULL)
				l->caught[signo].call(
				    l->caught[signo].argument, now);
		}
}

struct loop *
loop_new(void)
{
	struct loop *l = xcalloc(1, sizeof *l);
	int ends[2];

	assert(signal_pipe == -1);
	if (fd_pipe(ends) == -1 || fd_nonblock(ends[0]) == -1 ||
	    fd_nonblock(ends[1]) == -1)
		die(1, "cannot make a pipe: %s", strerror(errno));
	signal_pipe = ends[1];
	l->wake.fd = ends[0];
	l->wake.want = POLLIN;
	l->wake.ready = loop_woken;
	l->now = clock_ms();
	l->park.fd = -1;
	l->park.want = POLLIN;
	if (loop_watch(l, &l->wake) == -1)
		die(1, "cannot make a loop: %s", strerror(errno));
	return l;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	for (int signo = 1; signo < LOOP_SIGNALS; signo++) {
		if (l->caught[signo].call != NULL)
			signal(signo, SIG_DFL);
		raised[signo] = 0;
	}
	fd_close(&signal_pipe);
	fd_close(&l->wake.fd);
	fd_close(&l->park.fd);
	free(l->polled);
	free(l->watches);
	free(l->heap);
	free(l);
}

/* With poll(2) the kernel holds nothing of ours, so there is nothing more to
 * be careful about: watches and timers are not touched by loop_free. */
void
loop_forget(struct loop *l)
{
	loop_free(l);
}

static int
loop_grow(struct loop *l)
{
	size_t room = l->room > 0 ? l->room * 2 : 16;
	struct pollfd *polled;
	struct watch **watches;

	polled = realloc(l->polled, room * sizeof *polled);
	if (polled == NULL)
		return -1;
	l->polled = polled;
	watches = realloc(l->watches, room * sizeof *watches);
	if (watches == NULL)
		return -1;
	l->watches = watches;
	l->room = room;
	return 0;
}

int
loop_watch(struct loop *l, struct watch *w)
{
	assert(w->at == 0 && w->fd >= 0);
	if (l->n == l->room && loop_grow(l) == -1)
		return -1;
	l->polled[l->n] = (struct pollfd){ .fd = w->fd, .events = w->want };
	l->watches[l->n] = w;
	w->at = ++l->n;
	w->turn = l->turn;
	return 0;
}

/* ------------------------------------------------------------- the park -- */

#if HAS_PARK
/* Gives a silent one to the epoll set. If that fails it stays where it is. */
static void
loop_park(struct loop *l, struct watch *w)
{
	struct epoll_event event = { .events = (uint32_t)w->want };

	event.data.ptr = w;
	if (l->park.fd == -1) {
		l->park.fd = epoll_create1(EPOLL_CLOEXEC);
		if (l->park.fd == -1)
			return;
		if (loop_watch(l, &l->park) == -1) {
			fd_close(&l->park.fd);
			return;
		}
	}
	if (epoll_ctl(l->park.fd, EPOLL_CTL_ADD, w->fd, &event) == -1)
		return;
	loop_unwatch(l, w);
	w->at = PARKED;
	l->parked++;
}

static void
loop_change_parked(struct loop *l, struct watch *w)
{
	struct epoll_event event = { .events = (uint32_t)w->want };

	event.data.ptr = w;
	(void)epoll_ctl(l->park.fd, EPOLL_CTL_MOD, w->fd, &event);
}

static void
loop_leave_park(struct loop *l, struct watch *w)
{
	(void)epoll_ctl(l->park.fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->at = 0;
	l->parked--;
}

/* One of the polled is looked at per turn. */
static void
loop_consider_parking(struct loop *l)
{
	struct watch *w;

	if (l->n <= LOOP_HOT)
		return;
	if (++l->candidate >= l->n)
		l->candidate = 0;
	w = l->watches[l->candidate];
	if (w != &l->wake && w != &l->park && l->turn - w->turn > LOOP_SILENT)
		loop_park(l, w);
}

/* Those that have something to tell are polled again, and called in this turn.
 * Returns how many more there are to be called. */
static int
loop_unpark(struct loop *l)
{
	struct epoll_event events[LOOP_UNPARKED];
	struct watch *w;
	int n, called = 0;

	if (l->parked == 0 || l->polled[l->park.at - 1].revents == 0)
		return 0;
	n = epoll_wait(l->park.fd, events, LOOP_UNPARKED, 0);
	for (int i = 0; i < n; i++) {
		w = events[i].data.ptr;
		if (l->n == l->room && loop_grow(l) == -1)
			break; /* it is told again */
		loop_leave_park(l, w);
		(void)loop_watch(l, w); /* there is room */
		l->polled[w->at - 1].revents = (short)events[i].events;
		called++;
	}
	return called;
}
#else
static void
loop_change_parked(struct loop *l, struct watch *w)
{
	(void)l;
	(void)w;
}

static void
loop_leave_park(struct loop *l, struct watch *w)
{
	(void)l;
	(void)w;
}

static void
loop_consider_parking(struct loop *l)
{
	(void)l;
}

static int
loop_unpark(struct loop *l)
{
	(void)l;
	return 0;
}
#endif

/*
 * The last one moves into the gap, with what poll said about it. loop_call()
 * goes from the end to the front, so only such as it has called already, or
 * such as come in front of it in any case, are moved.
 */
void
loop_unwatch(struct loop *l, struct watch *w)
{
	size_t i = w->at - 1;

	if (w->at == 0)
		return;
	if (w->at == PARKED) {
		loop_leave_park(l, w);
		return;
	}
	assert(w->at <= l->n && l->watches[i] == w);
	l->n--;
	l->polled[i] = l->polled[l->n];
	l->watches[i] = l->watches[l->n];
	l->watches[i]->at = i + 1;
	w->at = 0;
}

void
loop_want(struct loop *l, struct watch *w, short want)
{
	if (w->at == PARKED) {
		w->want = want;
		loop_change_parked(l, w);
		return;
	}
	assert(w->at > 0 && w->at <= l->n && l->watches[w->at - 1] == w);
	w->want = want;
	l->polled[w->at - 1].events = want;
}

static void
heap_put(struct loop *l, size_t i, struct timer *t)
{
	l->heap[i] = t;
	t->place = i + 1;
}

/* Finds the place for t, starting with the free one at i. */
static void
heap_settle(struct loop *l, size_t i, struct timer *t)
{
	size_t child;

	while (i > 0 && l->heap[(i - 1) / 2]->at > t->at) {
		heap_put(l, i, l->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	while ((child = 2 * i + 1) < l->timers) {
		if (child + 1 < l->timers &&
		    l->heap[child + 1]->at < l->heap[child]->at)
			child++;
		if (l->heap[child]->at >= t->at)
			break;
		heap_put(l, i, l->heap[child]);
		i = child;
	}
	heap_put(l, i, t);
}

int
loop_timer(struct loop *l, struct timer *t, int64_t at)
{
	size_t room;
	struct timer **heap;

	if (t->place == 0 && l->timers == l->timer_room) {
		room = l->timer_room > 0 ? l->timer_room * 2 : 16;
		if ((heap = realloc(l->heap, room * sizeof *heap)) == NULL)
			return -1;
		l->heap = heap;
		l->timer_room = room;
	}
	if (t->place == 0)
		t->place = ++l->timers;
	t->at = at;
	heap_settle(l, t->place - 1, t);
	return 0;
}

void
loop_cancel(struct loop *l, struct timer *t)
{
	size_t i = t->place - 1;
	struct timer *last;

	if (t->place == 0)
		return;
	assert(t->place <= l->timers && l->heap[i] == t);
	last = l->heap[--l->timers];
	if (last != t)
		heap_settle(l, i, last);
	t->place = 0;
}

void
loop_signal(
    struct loop *l, int signo, void (*call)(void *, int64_t), void *argument)
{
	struct sigaction action;

	assert(signo > 0 && signo < LOOP_SIGNALS && call != NULL);
	l->caught[signo] = (struct caught){ call, argument };
	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
	sigemptyset(&action.sa_mask);
	if (sigaction(signo, &action, NULL) == -1)
		die(1, "cannot catch signal %d: %s", signo, strerror(errno));
}

static int
loop_patience(const struct loop *l)
{
	int64_t left;

	if (l->timers == 0)
		return -1;
	left = l->heap[0]->at - clock_ms();
	return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Returns how many descriptors have something to tell. */
static int
loop_poll(struct loop *l)
{
	int ready;

	do
		ready = poll(
		    l->polled, (nfds_t)l->n, clock_sleep(loop_patience(l)));
	while (ready == -1 && errno == EINTR);
	if (ready == -1) { /* the kernel is out of memory: do not spin */
		poll(NULL, 0, LOOP_RETRY_MS);
		ready = 0;
	}
	return ready;
}

static void
loop_call(struct loop *l, int ready)
{
	const short trouble = POLLHUP | POLLERR | POLLNVAL;
	struct watch *w;
	short got;

	for (size_t i = l->n; i-- > 0 && ready > 0;) {
		if (i >= l->n || (got = l->polled[i].revents) == 0)
			continue;
		ready--;
		l->polled[i].revents = 0;
		w = l->watches[i];
		w->turn = l->turn;
		if (w == &l->park)
			continue; /* has been asked */
		got = (short)(got & (w->want | trouble));
		if (got & trouble)
			got |= POLLIN;
		if (got != 0)
			w->ready(w, got, l->now); /* may free w: last use */
	}
}

/* Each at most once: one that sets itself again must not hold up the rest. */
static void
loop_due(struct loop *l)
{
	struct timer *t;

	for (size_t left = l->timers; left > 0 && l->timers > 0; left--) {
		t = l->heap[0];
		if (t->at > l->now)
			return;
		loop_cancel(l, t);
		t->due(t, l->now); /* may free t: last use */
	}
}

void
loop_turn(struct loop *l)
{
	int ready = loop_poll(l);

	l->now = clock_ms();
	l->turn++;
	ready += loop_unpark(l);
	loop_call(l, ready);
	loop_due(l);
	loop_consider_parking(l);
}

int64_t
loop_now(const struct loop *l)
{
	return l->now;
}

void
loop_ignore_signals(void)
{
	static const int meaningless[] = { SIGPIPE, SIGHUP, SIGUSR1, SIGUSR2,
		SIGALRM, SIGVTALRM, SIGPROF, SIGQUIT, SIGXFSZ };

	for (size_t i = 0; i < sizeof meaningless / sizeof meaningless[0]; i++)
		(void)signal(meaningless[i], SIG_IGN);
}
