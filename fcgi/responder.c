#include "config.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/conn.h"
#include "fcgi/exchange.h"
#include "fcgi/guard.h"
#include "fcgi/renew.h"
#include "fcgi/responder.h"
#include "fcgi/static.h"
#include "lib/batch.h"
#include "lib/clock.h"
#include "lib/discover.h"
#include "lib/fd.h"
#include "lib/lease.h"
#include "lib/link.h"
#include "lib/listen.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/proc.h"
#include "lib/route.h"
#include "lib/supervisor.h"
#include "lib/testpoint.h"
#include "lib/trace.h"
#include "lib/url.h"
#include "lib/wire.h"
#include "lib/xalloc.h"

#define RESPONDER_ACCEPTS      64 /* connections taken per turn and listener */
#define RESPONDER_FDS_SPARE    32 /* descriptors kept for what is accepted */
#define RESPONDER_PAUSE        1000 /* ms without accepting after EMFILE */
#define RESPONDER_FULL_RETRY   10   /* ms between tries at a full queue */
#define RESPONDER_LOOK_EVERY   1000 /* ms between looks at the directories */
#define RESPONDER_ACTIVE_EVERY 200  /* ms between `active` messages */
#define RESPONDER_REACH_FIRST  5 /* ms until the next try to reach somebody */
#define RESPONDER_REACH_MOST   250
#define RESPONDER_REACH_IDLE   200 /* ms that others have for it first */
#define RESPONDER_KEEP \
	30000 /* ms that a queue is kept for the next supervisor */
#define RESPONDER_LEAVE      5000 /* ms for a new connection to say something */
#define RESPONDER_FORK_EVERY 500  /* ms between two candidates of ours */
#define RESPONDER_COMPLAIN   60000 /* ms between lines about the same */
#define RESPONDER_BORN       3000  /* ms for a candidate to be decided ... */
#define RESPONDER_BORN_MOST  24000 /* ... doubled each time that it is not */
#define RESPONDER_REFUSALS   2     /* in a row: it is not over in a moment */
#define RESPONDER_LEAVE_BACK 1000  /* ms for workers to return our sockets */
#define RESPONDER_SWEEP      20    /* ms until ended connections are seen */
#define RESPONDER_STEP_IN    5     /* ms that connections are left to workers */
#define RESPONDER_FAST       8     /* requests that they answer meanwhile */

/* Workers that got our sockets through the same link share one. */
struct back {
	struct watch watch;
	struct responder *owner;
	struct back *next;
};

struct responder {
	struct loop *loop;
	struct account *account;
	const struct responder_spec *spec;
	const char *program, *base;
	const char *sendfile; /* what the web server sends for us; or NULL */
	pid_t parent;         /* the web server, or who else may come back */
	uint64_t parent_start;
	struct batch batch;
	struct conn_rules conn_rules;
	struct exchange_rules rules;
	struct listener {
		struct watch watch; /* of the socket, or of our place in line */
		struct responder *owner;
		int fd;
		int line; /* where workers accept, too; -1 */
		struct timer step_in;
		uint64_t answered; /* requests there were when it was set */
	} listener[RESPONDER_LISTENERS_MOST];
	struct back *backs; /* on which they hand over what is not theirs */
	size_t nlisteners;
	int is_paused;
	size_t paused_at; /* connections there were then */
	struct timer resume, leave, leave_back;
	int is_leaving;

	struct conn *conns;
	size_t most_conns;
	struct conn *lent; /* that nobody watches */
	struct timer sweep;
	struct exchange *exchanges;
	struct queue *queues;
	struct timer retry; /* full queues */

	/* the supervisor */
	struct guard guard;
	struct watch link; /* fd -1: none */
	struct watch born; /* ends when a candidate of ours is done; fd -1 */
	pid_t candidate;   /* while there is that */
	struct timer late; /* when it has taken too long: patience */
	int64_t patience;
	struct timer reach;
	int64_t reach_wait, forked_at, lost_at;
	unsigned refusals;  /* in a row, of the system to fork a candidate */
	int64_t met_other;  /* when another version was last logged; or 0 */
	int64_t refused_at; /* when a file was last not served, likewise */
	uint64_t turns;     /* requests that have waited for a queue */
	struct timer active;
	int64_t active_at;

	struct routes routes, coming;
	char **groups, **groups_coming;
	size_t ngroups, ngroups_coming;
	int has_routes;
	int64_t looked_at;  /* when the directories were compared */
	int64_t changed_at; /* when they were last seen changed */
	uint64_t stamp;
};

static void responder_consider(struct responder *, struct exchange *, int64_t);
static void responder_hear(struct responder *, int64_t);
static void responder_reach(struct responder *, int64_t);
static void responder_pause(struct responder *, int64_t);
static int responder_accept(struct responder *, int, int64_t);
static void responder_queue_over(struct responder *, struct queue *, int64_t);
static void responder_look_at_sockets(struct responder *, int64_t);
static int responder_spool_lost(struct conn_rules *);
static int responder_carry_on(void *);
static void responder_leave_due(struct timer *, int64_t);
static void responder_close_idle(struct responder *, int, int64_t);

/* ------------------------------------------------------ the supervisor -- */

struct candidate {
	struct batch *batch;
	struct account *account;
	struct loop *loop;
	int told; /* closed when it is decided who supervises; -1 */
};

static int
responder_candidate(void *arg)
{
	struct candidate *c = arg;
	char *root = xstrdup(c->account->root);

	TESTPOINT("candidate:born");
	if (dup2(c->told, 0) == -1)
		close(0);
	batch_end(c->batch);
	loop_forget(c->loop);
	proc_forget();
	return supervisor_candidate(root);
}

static void
responder_forget_candidate(struct responder *r)
{
	loop_unwatch(r->loop, &r->born);
	loop_cancel(r->loop, &r->late);
	fd_close(&r->born.fd);
}

/* There will be no supervisor for a while; why, if that has not been said.
 * Everybody who waits for one is told. */
static void
responder_sorry(struct responder *r, const char *why, int64_t now)
{
	struct exchange *ex;

	if (why != NULL)
		log_error("no supervisor could be started: %s", why);
	for (ex = r->exchanges; ex != NULL; ex = r->rules.walk) {
		r->rules.walk = ex->next;
		if (ex->state == EXCHANGE_WAITING && ex->queue == NULL)
			exchange_fail(
			    ex, 503, "resources", PAGE_SHORT, 10, now);
	}
}

/* Has a candidate of ours not come so far that it is known whether it is the
 * supervisor? */
static int
responder_is_undecided(const struct responder *r)
{
	struct pollfd end = { .fd = r->born.fd, .events = POLLIN };

	return r->born.fd != -1 && poll(&end, 1, 0) == 0;
}

/* One that does not go on, before it has the lock or with it, is ended, else
 * there would be more and more of them. */
static void
responder_born_late(struct timer *t, int64_t now)
{
	struct responder *r =
	    (struct responder *)((char *)t - offsetof(struct responder, late));

	if (!responder_is_undecided(r))
		return;
	log_error("process %ld was to become the supervisor, and has not come "
		  "that far in %lld seconds; it is ended",
	    (long)r->candidate, (long long)(now - r->forked_at) / 1000);
	proc_signal(r->candidate, SIGKILL);
	responder_forget_candidate(r); /* it may not even be able to die */
	if (r->patience < RESPONDER_BORN_MOST)
		r->patience *= 2;
}

static void
responder_elect(struct responder *r, int64_t now)
{
	struct candidate c = { &r->batch, r->account, r->loop, -1 };
	int pipe[2];

	if (r->forked_at != 0 && now - r->forked_at < RESPONDER_FORK_EVERY)
		return;
	if (responder_is_undecided(r))
		return;
	r->forked_at = now;
	if (guard_gives_up(&r->guard, now))
		return; /* those who wait are told when the timer is due */
	responder_forget_candidate(r);
	if (fd_pipe(pipe) == 0) { /* else the timer alone tries again */
		c.told = pipe[1];
		r->born.fd = pipe[0];
		if (loop_watch(r->loop, &r->born) == -1)
			fd_close(&r->born.fd);
	}
	TESTPOINT("responder:elect");
	r->candidate = TESTPOINT_FAILS("responder:fork-candidate")
			   ? -1
			   : proc_fork(responder_candidate, &c);
	if (r->candidate != -1) {
		r->refusals = 0;
		(void)loop_timer(r->loop, &r->late, now + r->patience);
	} else {
		log_error("cannot start a supervisor: %s; trying again",
		    strerror(errno));
		r->refusals++; /* who waits is told when the timer is due */
	}
	TESTPOINT("responder:elected");
	fd_close(&c.told);
}

/* It supervises, or another one does: either way somebody can be reached. */
static void
responder_decided(struct watch *w, short got, int64_t now)
{
	struct responder *r =
	    (struct responder *)((char *)w - offsetof(struct responder, born));
	char why[sizeof((struct problem *)NULL)->text];
	ssize_t n;

	(void)got;
	TESTPOINT("responder:decided");
	n = read(r->born.fd, why, sizeof why - 1);
	responder_forget_candidate(r);
	if (n > 0) {
		why[n] = '\0';
		responder_sorry(r, why, now);
		return;
	}
	if (r->link.fd != -1 || r->exchanges == NULL)
		return;
	(void)responder_spool_lost(&r->conn_rules); /* it may be elsewhere */
	loop_cancel(r->loop, &r->reach);
	r->reach_wait = 0;
	responder_reach(r, now);
}

/* No worker can hand over anything there any more. */
static void
responder_forget_back(struct responder *r, struct back *b)
{
	struct back **link;

	for (link = &r->backs; *link != b; link = &(*link)->next)
		continue;
	*link = b->next;
	loop_unwatch(r->loop, &b->watch);
	fd_close(&b->watch.fd);
	free(b);
}

static void
responder_forget_backs(struct responder *r)
{
	while (r->backs != NULL)
		responder_forget_back(r, r->backs);
}

static void responder_back_ready(struct watch *, short, int64_t);

/* Takes fd. Those before stay: workers of the last supervisor have them. */
static void
responder_watch_back(struct responder *r, int fd)
{
	struct back *b = calloc(1, sizeof *b);

	if (b == NULL) {
		fd_close(&fd);
		return;
	}
	b->owner = r;
	b->watch.fd = fd;
	b->watch.want = POLLIN;
	b->watch.ready = responder_back_ready;
	b->next = r->backs;
	r->backs = b;
	if (loop_watch(r->loop, &b->watch) == -1)
		responder_forget_back(r, b);
}

/* What the supervisor is to know; -1 if there is none. Takes message. Where it
 * cannot be told the link is given up, for with the next one everything is said
 * again. */
static int
responder_give(
    struct responder *r, json_t *message, const int *fds, size_t nfds)
{
	if (r->link.fd == -1) {
		json_decref(message);
		return -1;
	}
	if (link_send(r->link.fd, message, fds, nfds) == 0)
		return 0;
	log_warn("cannot tell the supervisor anything: %s; making another "
		 "link to it",
	    strerror(errno));
	shutdown(r->link.fd, SHUT_RDWR);
	return -1;
}

static int
responder_tell(struct responder *r, json_t *message)
{
	return responder_give(r, message, NULL, 0);
}

/* Lends the sockets that we have bound: workers may accept from them, and hand
 * back what is not for them. */
static void
responder_lend(struct responder *r)
{
	int pair[2], fds[2];

	if (!r->spec->is_own || r->is_leaving ||
	    TESTPOINT_FAILS("responder:lend") || fd_pair_seqpacket(pair) == -1)
		return;
	for (size_t i = 0; i < r->nlisteners; i++) {
		fds[0] = r->listener[i].fd;
		fds[1] = pair[1];
		(void)responder_give(r,
		    json_pack("{s:s, s:s, s:b, s:s*}", "type", "socket",
			"program", r->program, "bound",
			i >= r->spec->ninherited, "base", r->base),
		    fds, 2);
	}
	fd_close(&pair[1]);
	TESTPOINT("responder:lent");
	responder_watch_back(r, pair[0]);
}

/* Workers wait at our sockets: from now on we wait behind them. */
static void
responder_line_up(struct responder *r, int64_t now)
{
	struct listener *l;

	for (size_t i = 0; i < r->nlisteners && !r->is_leaving; i++) {
		l = &r->listener[i];
		if (l->line != -1)
			listen_line_again(l->line, l->fd);
		else if ((l->line = listen_line(l->fd)) != -1) {
			loop_unwatch(r->loop, &l->watch);
			l->watch.fd = l->line;
			if (!r->is_paused &&
			    loop_watch(r->loop, &l->watch) == -1)
				responder_pause(r, now);
		}
	}
	responder_look_at_sockets(r, now);
}

/* Nobody waits there beside us any more. */
static void
responder_alone(struct responder *r, int64_t now)
{
	struct listener *l;

	for (size_t i = 0; i < r->nlisteners && !r->is_leaving; i++) {
		l = &r->listener[i];
		if (l->line == -1)
			continue;
		loop_unwatch(r->loop, &l->watch);
		loop_cancel(r->loop, &l->step_in);
		fd_close(&l->line);
		l->watch.fd = l->fd;
		l->answered = 0;
		if (!r->is_paused && loop_watch(r->loop, &l->watch) == -1)
			responder_pause(r, now);
	}
}

/* Is there a connection that nobody comes for? A worker that was woken for it
 * may have died. */
static void
responder_look_at_sockets(struct responder *r, int64_t now)
{
	for (size_t i = 0; i < r->nlisteners; i++)
		if (r->listener[i].line != -1 && !r->is_paused &&
		    !r->is_leaving)
			(void)responder_accept(r, r->listener[i].fd, now);
}

/* What has gone on without a supervisor is offered to the next one. */
static void
responder_offer(struct responder *r)
{
	struct queue *q;
	int fds[2];

	for (q = r->queues; q != NULL; q = q->next) {
		q->is_asked = 0;
		if (q->is_over || q->send == -1)
			continue;
		q->is_offered = 1;
		fds[0] = q->send;
		fds[1] = q->receive;
		(void)responder_give(r,
		    json_pack("{s:s, s:s, s:s, s:I, s:I}", "type", "adopt",
			"name", q->name, "generation", q->generation,
			"requests", q->requests, "crashes", q->crashes),
		    fds, 2);
		TESTPOINT("responder:offered");
	}
}

static void
responder_hello(struct responder *r)
{
	char id[17];

	snprintf(
	    id, sizeof id, "%016llx", (unsigned long long)r->rules.responder);
	(void)responder_tell(
	    r, json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:I}", "type", "hello",
		   "role", "responder", "version", PACKAGE_VERSION, "protocol",
		   LINK_PROTOCOL, "id", id, "parent", (json_int_t)r->parent,
		   "parent_start", (json_int_t)r->parent_start));
	TESTPOINT("responder:hello");
	responder_offer(r);
	responder_lend(r);
}

/* The next try to reach a supervisor comes later, until one has told us its
 * routes. */
static void
responder_slow_down(struct responder *r)
{
	r->reach_wait =
	    r->reach_wait == 0 ? RESPONDER_REACH_FIRST : r->reach_wait * 2;
	if (r->reach_wait > RESPONDER_REACH_MOST)
		r->reach_wait = RESPONDER_REACH_MOST;
}

/* Makes sure that there is a link, or that one is being tried for. */
static void
responder_reach(struct responder *r, int64_t now)
{
	int fd;

	if (r->link.fd != -1 || r->reach.place != 0)
		return;
	TESTPOINT("responder:reach");
	fd = lease_connect(r->account->run);
	if (fd != -1) {
		r->link.fd = fd;
		r->rules.link++;
		guard_link(&r->guard, fd);
		if (loop_watch(r->loop, &r->link) == 0) {
			responder_hello(r);
			responder_slow_down(r);
			return;
		}
		fd_close(&r->link.fd);
	} else if (errno == ENOENT || errno == ECONNREFUSED)
		responder_elect(r, now);
	else if (errno != EAGAIN)
		log_warn("cannot reach the supervisor at %s/sock: %s",
		    r->account->run, strerror(errno));
	responder_slow_down(r);
	(void)loop_timer(r->loop, &r->reach, now + r->reach_wait);
}

/* Has it a queue that a next supervisor should have? Not for ever: workers
 * without one leave. */
static int
responder_keeps(struct responder *r, int64_t now)
{
	struct queue *q, *next;
	int keeps = 0;

	for (q = r->queues; q != NULL; q = next) {
		next = q->next;
		if (q->is_over || q->send == -1 || r->is_leaving)
			continue;
		if (now - r->lost_at < RESPONDER_KEEP)
			keeps = 1;
		else
			responder_queue_over(r, q, now);
	}
	return keeps;
}

static void
responder_reach_due(struct timer *t, int64_t now)
{
	struct responder *r =
	    (struct responder *)((char *)t - offsetof(struct responder, reach));

	if (r->guard.has_given_up)
		responder_sorry(r, NULL, now);
	if (r->exchanges != NULL || responder_keeps(r, now))
		responder_reach(r, now);
	if (r->refusals >= RESPONDER_REFUSALS)
		responder_sorry(r, NULL, now);
}

/* --------------------------------------------------------------- queues -- */

static void
queue_free(struct queue *q)
{
	free(q->name);
	fd_close(&q->send);
	fd_close(&q->receive);
	free(q);
}

static struct queue *
responder_queue(struct responder *r, const char *name)
{
	struct queue *q;

	for (q = r->queues; q != NULL; q = q->next)
		if (!q->is_over && strcmp(q->name, name) == 0)
			return q;
	if ((q = calloc(1, sizeof *q)) == NULL)
		return NULL;
	if ((q->name = strdup(name)) == NULL) {
		free(q);
		return NULL;
	}
	q->send = q->receive = -1;
	q->most = 1;
	q->full_end = &q->full;
	q->next = r->queues;
	r->queues = q;
	return q;
}

static void
responder_queue_forget(struct responder *r, struct queue *q)
{
	struct queue **link;

	for (link = &r->queues; *link != q; link = &(*link)->next)
		continue;
	*link = q->next;
	queue_free(q);
}

/* No more requests go there; those that wait for room in it, and the next
 * ones, ask for a new generation. May free q. */
static void
responder_queue_over(struct responder *r, struct queue *q, int64_t now)
{
	struct exchange *ex, *waiting = q->full;

	TESTPOINT("responder:queue-over");
	q->is_over = 1;
	fd_close(&q->send);
	if (!q->is_orphan && !q->is_served)
		fd_close(&q->receive);
	q->full = NULL;
	q->full_end = &q->full;
	for (ex = waiting; ex != NULL; ex = ex->next_full) {
		ex->queue = NULL;
		q->in_flight--;
	}
	if (q->in_flight == 0)
		responder_queue_forget(r, q);
	while ((ex = waiting) != NULL) {
		waiting = ex->next_full;
		ex->next_full = NULL;
		responder_consider(r, ex, now);
	}
}

/* A request has left its queue. */
static void
responder_ended(struct exchange_rules *rules, struct queue *q)
{
	if (q->is_over && q->in_flight == 0)
		responder_queue_forget(rules->owner, q);
}

/* Joins the queue behind the others; they are tried again in order. */
static void
responder_wait_for_room(struct responder *r, struct exchange *ex, int64_t now)
{
	struct queue *q = ex->queue;

	*q->full_end = ex;
	q->full_end = &ex->next_full;
	if (r->retry.place == 0)
		(void)loop_timer(
		    r->loop, &r->retry, now + RESPONDER_FULL_RETRY);
}

static void
responder_active(struct responder *r, int64_t now)
{
	json_t *apps;
	struct queue *q;

	if (r->link.fd == -1 || r->active.place != 0)
		return;
	if (now - r->active_at < RESPONDER_ACTIVE_EVERY) {
		(void)loop_timer(
		    r->loop, &r->active, r->active_at + RESPONDER_ACTIVE_EVERY);
		return;
	}
	r->active_at = now;
	if ((apps = json_object()) == NULL)
		return;
	for (q = r->queues; q != NULL; q = q->next)
		if (q->in_flight > 0) /* of all its generations */
			json_object_set_new(apps, q->name,
			    json_integer(link_int(apps, q->name) +
					 (json_int_t)q->in_flight));
	(void)responder_tell(
	    r, json_pack("{s:s, s:o}", "type", "active", "apps", apps));
}

static void
responder_active_due(struct timer *t, int64_t now)
{
	struct responder *r =
	    (struct responder *)((char *)t -
				 offsetof(struct responder, active));

	responder_active(r, now);
}

/* Looks which connections that were handed over have ended: whenever there is
 * something else to do, and some times a second. It costs less than being
 * woken for each. */
static void
responder_sweep(struct responder *r, int64_t now)
{
	struct conn *conns[CONN_SWEEP_MOST], *c = r->lent, *rest;
	size_t n;

	while (c != NULL) {
		for (n = 0; c != NULL && n < CONN_SWEEP_MOST; c = c->next_lent)
			conns[n++] = c;
		rest = c;
		conn_sweep(conns, n, now);
		c = rest;
	}
}

static void
responder_sweep_due(struct timer *t, int64_t now)
{
	struct responder *r =
	    (struct responder *)((char *)t - offsetof(struct responder, sweep));

	responder_sweep(r, now);
	if (r->lent != NULL)
		(void)loop_timer(r->loop, &r->sweep, now + RESPONDER_SWEEP);
}

/* A worker answers on this connection, which is not kept. */
static void
responder_lent(struct responder *r, struct conn *c, int64_t now)
{
	c->lent = &r->lent;
	if ((c->next_lent = r->lent) != NULL)
		c->next_lent->lent = &c->next_lent;
	r->lent = c;
	if (r->sweep.place == 0)
		(void)loop_timer(r->loop, &r->sweep, now + RESPONDER_SWEEP);
}

/* Direct answers that are over may still be counted, and what workers have
 * accepted themselves is not. */
static int
responder_counts_full(struct responder *r, struct queue *q, int64_t now)
{
	struct exchange *ex;
	unsigned over = 0, accepted = 0;

	if (r->listener[0].line != -1) {
		(void)fates_look(
		    &r->rules.fates, r->rules.spool_dir, q->receive, now);
		accepted = fates_accepted(&r->rules.fates, q->generation);
	}
	for (ex = r->exchanges;
	     ex != NULL && q->in_flight + accepted - over >= q->most;
	     ex = ex->next)
		over += ex->queue == q && exchange_seems_over(ex, now);
	return q->in_flight + accepted - over >= q->most;
}

/* Is the app's queue as full as it may be? */
static int
responder_is_full(struct responder *r, struct queue *q, int64_t now)
{
	if (q->in_flight + q->workers < q->most ||
	    (r->listener[0].line == -1 && q->in_flight < q->most))
		return 0;
	responder_sweep(r, now);
	if (!responder_counts_full(r, q, now))
		return 0;
	r->rules.fates.looked = 0; /* what was seen a moment ago will not do */
	return responder_counts_full(r, q, now);
}

/* Hands over, or says that there is no room yet. May free ex. */
static enum exchange_handed
responder_hand(struct responder *r, struct exchange *ex, int64_t now)
{
	struct queue *q = ex->queue;
	enum exchange_handed handed;

	TESTPOINT("responder:hand");
	handed = exchange_hand(ex, q, now);

	switch (handed) {
	case EXCHANGE_HANDED:
		TESTPOINT("responder:handed");
		if (ex->is_direct && !ex->conn->keep)
			responder_lent(r, ex->conn, now);
		responder_active(r, now);
		break;
	case EXCHANGE_FULL:
		break;
	case EXCHANGE_OVER:
		ex->next_full = q->full; /* one of those that wait */
		q->full = ex;
		q->is_served = 1; /* until we hear that it is not */
		responder_queue_over(r, q, now);
		break;
	case EXCHANGE_FAILED:
		log_warn("cannot hand over a request for %s: %s", q->name,
		    strerror(errno));
		exchange_fail(ex, 503, "resources", PAGE_SHORT, 10, now);
		break;
	}
	return handed;
}

/* Returns 1 if there are still some that wait. May free q. */
static int
responder_retry_queue(struct responder *r, struct queue *q, int64_t now)
{
	struct exchange *ex;

	while ((ex = q->full) != NULL) {
		q->full = ex->next_full;
		if (q->full == NULL)
			q->full_end = &q->full;
		ex->next_full = NULL;
		switch (responder_hand(r, ex, now)) {
		case EXCHANGE_HANDED:
		case EXCHANGE_FAILED: /* it has its page */
			continue;
		case EXCHANGE_FULL:
			ex->next_full = q->full;
			if (q->full == NULL)
				q->full_end = &ex->next_full;
			q->full = ex;
			return 1;
		case EXCHANGE_OVER: /* q may have gone with it */
			return 0;
		}
	}
	return 0;
}

static void
responder_retry(struct timer *t, int64_t now)
{
	struct responder *r =
	    (struct responder *)((char *)t - offsetof(struct responder, retry));
	struct queue *q, *next;
	int is_full = 0;

	for (q = r->queues; q != NULL; q = next) {
		next = q->next;
		is_full |= responder_retry_queue(r, q, now);
	}
	if (is_full && r->retry.place == 0)
		(void)loop_timer(
		    r->loop, &r->retry, now + RESPONDER_FULL_RETRY);
}

/* -------------------------------------------------------------- routing -- */

static void
groups_free(char ***groups, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		free((*groups)[i]);
	free(*groups);
	*groups = NULL;
	*n = 0;
}

/*
 * Have apps/ or its groups changed? Asked at most once a second, and for every
 * request that would end in a 404. Then the supervisor looks, and its routes
 * are waited for. A change within the clock's grain of a look can be missed,
 * so a 404 soon after a change looks again.
 */
static int
responder_must_look(struct responder *r, int is_unknown, int64_t now)
{
	uint64_t stamp;

	if (!is_unknown && now - r->looked_at < RESPONDER_LOOK_EVERY)
		return 0;
	r->looked_at = now;
	stamp = discover_stamp(r->groups, r->ngroups);
	if (stamp == r->stamp &&
	    !(is_unknown && now - r->changed_at < RESPONDER_LOOK_EVERY))
		return 0;
	if (stamp != r->stamp)
		r->changed_at = now;
	return 1;
}

static void
responder_look(struct responder *r)
{
	r->has_routes = 0;
	(void)responder_tell(r, json_pack("{s:s}", "type", "look"));
}

static void
responder_welcome(struct exchange *ex, const char *user, int64_t now)
{
	struct conn *c = ex->conn;
	char text[512];
	struct page page = { .status = 200, .title = "mamayo is running" };

	snprintf(text, sizeof text,
	    "There is no application yet. Put one into ~/mamayo/apps/NAME, "
	    "for instance ~/mamayo/apps/hello/wsgi.py, and it is served at "
	    "/hello. This runs as user %s.",
	    user);
	page.text = text;
	exchange_free(ex);
	conn_page(c, &page, now);
}

static void
responder_lacks_memory(struct exchange *ex, int64_t now)
{
	exchange_fail(ex, 503, "resources", PAGE_SHORT, 10, now);
}

/* How the web server lets itself be told to send a file: what this request says
 * counts more. NULL: it does not. */
static const char *
responder_sendfile(const struct responder *r, const struct params *p)
{
	const char *how = params_get(p, "MAMAYO_SENDFILE");

	return how != NULL ? how : r->sendfile;
}

/* Is it for a file that is served without the app? Then it is answered, and ex
 * is freed. */
static int
responder_serves_file(struct responder *r, struct exchange *ex,
    const struct route *route, int64_t now)
{
	struct conn *c = ex->conn;
	const char *how = responder_sendfile(r, &c->params);
	struct static_file f;
	enum static_found found;

	if (ex->is_for_app)
		return 0;
	found = static_find(
	    &f, r->account->apps, route, &ex->url, &ex->conn->params);
	switch (found) {
	case STATIC_NONE:
		ex->is_for_app = 1;
		return 0;
	case STATIC_FILE:
		exchange_free(ex);
		if (!static_hand_over(c, &f, r->account->apps, how, now))
			static_send(c, &f, now);
		return 1;
	case STATIC_MOVED:
		exchange_free(ex);
		static_move(c, &f, now);
		return 1;
	case STATIC_REFUSED:
		if (log_again(&r->refused_at, RESPONDER_COMPLAIN, now))
			log_warn("%s: the file for %s is not served: %s",
			    route->name, ex->url.path, f.why);
		exchange_fail(ex, 404, "no-file", PAGE_NOTHING, 0, now);
		return 1;
	case STATIC_SHORT_OF:
		exchange_fail(ex, 503, "resources", PAGE_SHORT, 10, now);
		return 1;
	}
	return 0;
}

/* The worker is told how the web server lets itself be told to send a file, and
 * by which path it knows the applications. A file that is not told of can still
 * be sent. */
static void
responder_tell_sendfile(struct responder *r, struct params *p)
{
	const char *how = responder_sendfile(r, p);
	char value[PATH_MAX];

	if (how == NULL)
		return;
	if (strcmp(how, "x-sendfile") == 0)
		snprintf(value, sizeof value, "%s:%s", how, r->account->apps);
	else
		snprintf(value, sizeof value, "%s", how);
	(void)params_set(p, "MAMAYO_SENDFILE", value, strlen(value));
}

/* For a queue of that name. The answer is for those that wait now: of another
 * one it may be out of date, as when the app is started that was stopped. */
static void
responder_ask_queue(struct responder *r, struct queue *q)
{
	q->is_asked = 1;
	q->asked = r->turns;
	(void)responder_tell(
	    r, json_pack("{s:s, s:s}", "type", "queue", "name", q->name));
}

/* The app is known: into its queue, or wait for that. May free ex. */
static void
responder_enqueue(struct responder *r, struct exchange *ex,
    const struct route *route, int64_t now)
{
	struct queue *q = responder_queue(r, route->name);

	if (q == NULL) {
		responder_lacks_memory(ex, now);
		return;
	}
	if (q->send == -1 || (r->link.fd == -1 && !q->is_ready)) {
		if (ex->turn == 0)
			ex->turn = ++r->turns;
		if (r->link.fd == -1)
			responder_reach(r, now);
		else if (!q->is_asked) {
			responder_ask_queue(r, q);
			TESTPOINT("responder:queue-asked");
		}
		return; /* considered again when it is there */
	}
	if (responder_is_full(r, q, now)) {
		if (log_again(&q->told, RESPONDER_COMPLAIN, now))
			log_warn(
			    "%s: %u requests are being answered or wait, "
			    "and no more may (\"queue\" and \"workers\" in "
			    "mamayo.json): others get status 503",
			    q->name, q->in_flight);
		exchange_fail(ex, 503, "queue-full", PAGE_BUSY, 5, now);
		return;
	}
	switch (params_place(&ex->conn->params, &ex->url, route->mount)) {
	case PARAMS_OK:
		break;
	case PARAMS_NO_MEMORY:
		responder_lacks_memory(ex, now);
		return;
	case PARAMS_BAD:
	case PARAMS_TOO_MUCH:
		exchange_fail(
		    ex, 431, "headers", "This address is too long.", 0, now);
		return;
	}
	responder_tell_sendfile(r, &ex->conn->params);
	ex->queue = q;
	q->in_flight++;
	if (q->full != NULL) /* not before those that wait already */
		responder_wait_for_room(r, ex, now);
	else if (responder_hand(r, ex, now) == EXCHANGE_FULL)
		responder_wait_for_room(r, ex, now);
}

/*
 * Looks what can be done now for a request that has not been handed over:
 * called when it is whole, and again whenever something it may wait for has
 * come. May free ex.
 */
static void
responder_consider(struct responder *r, struct exchange *ex, int64_t now)
{
	const char *host = params_get(&ex->conn->params, "HTTP_HOST");
	struct route *route;

	if (ex->queue != NULL)
		return; /* in line already */
	if (!r->has_routes || r->link.fd == -1)
		responder_reach(r, now);
	if (!r->has_routes)
		return;
	route =
	    routes_find(&r->routes, host, ex->url.path, ex->url.path_length);
	if (r->link.fd == -1 && route == NULL)
		return; /* whoever comes knows more */
	if (r->link.fd != -1 && !ex->has_looked &&
	    responder_must_look(r, route == NULL, now)) {
		ex->has_looked = 1;
		responder_look(r);
	} else if (route == NULL && r->routes.n == 0)
		responder_welcome(ex, r->account->user, now);
	else if (route == NULL)
		exchange_fail(ex, 404, "no-app", PAGE_NOTHING, 0, now);
	else if (!responder_serves_file(r, ex, route, now))
		responder_enqueue(r, ex, route, now);
}

/* Finds out what a new request is for. May free ex. */
static void
responder_begin(struct responder *r, struct exchange *ex, int64_t now)
{
	struct params *p = &ex->conn->params;
	const char *redirected = params_get(p, "REDIRECT_SCRIPT_NAME");
	const char *script = params_get(p, "SCRIPT_NAME");

	/* back from a local redirect (200 with Location, behind Apache): the
	 * request is the old one, and would go on for ever */
	if (redirected != NULL && script != NULL &&
	    strcmp(redirected, script) == 0) {
		exchange_fail(ex, 404, "no-app", PAGE_NOTHING, 0, now);
		return;
	}
	switch (params_url(p, r->program, r->base, &ex->url)) {
	case URL_OK:
		break;
	case URL_NO_MEMORY:
		responder_lacks_memory(ex, now);
		return;
	case URL_BAD:
		exchange_fail(ex, 400, "bad-request",
		    "This address cannot be right.", 0, now);
		return;
	}
	ex->has_url = 1;
	responder_consider(r, ex, now);
}

static void
responder_consider_all(struct responder *r, int64_t now)
{
	struct exchange *ex;

	for (ex = r->exchanges; ex != NULL; ex = r->rules.walk) {
		r->rules.walk = ex->next;
		if (ex->state == EXCHANGE_WAITING && ex->queue == NULL)
			responder_consider(r, ex, now);
	}
}

/* ----------------------------------------------------- the supervisor's -- */

/* The new supervisor is asked for the queues that orphans are moved to. */
static void
responder_ask_for_orphans(struct responder *r)
{
	struct queue *q, *heir;

	for (q = r->queues; q != NULL; q = q->next) {
		if (!q->is_orphan ||
		    (heir = responder_queue(r, q->name)) == NULL ||
		    heir->is_asked)
			continue;
		responder_ask_queue(r, heir);
	}
}

/* Takes a part of the routes: 0, or -1 if there is no memory for it. */
static int
responder_add_routes(struct responder *r, const json_t *message)
{
	json_t *apps = json_object_get(message, "apps");
	json_t *groups = json_object_get(message, "groups"), *one;
	const json_t *places, *at, *directory;
	char **grown;
	size_t i, j;

	json_array_foreach(apps, i, one)
	{
		if (routes_add(&r->coming, link_string(one, "host"),
			link_string(one, "mount"),
			link_string(one, "name")) == -1)
			return -1;
		places = json_object_get(one, "static");
		for (j = 0; j + 1 < json_array_size(places); j += 2) {
			at = json_array_get(places, j);
			directory = json_array_get(places, j + 1);
			if (json_is_string(at) && json_is_string(directory) &&
			    routes_add_place(&r->coming, json_string_value(at),
				json_string_value(directory)) == -1)
				return -1;
		}
	}
	json_array_foreach(groups, i, one)
	{
		if (!json_is_string(one))
			continue;
		grown = realloc(
		    r->groups_coming, (r->ngroups_coming + 1) * sizeof *grown);
		if (grown == NULL)
			return -1;
		r->groups_coming = grown;
		grown[r->ngroups_coming] = strdup(json_string_value(one));
		if (grown[r->ngroups_coming] == NULL)
			return -1;
		r->ngroups_coming++;
	}
	return 0;
}

/* -1: they cannot be kept, and must be asked for again. */
static int
responder_take_routes(struct responder *r, const json_t *message, int64_t now)
{
	if (link_true(message, "first")) {
		routes_release(&r->coming);
		routes_init(&r->coming);
		groups_free(&r->groups_coming, &r->ngroups_coming);
	}
	if (responder_add_routes(r, message) == -1)
		return -1;
	if (!link_true(message, "last"))
		return 0;
	routes_sort(&r->coming);
	routes_release(&r->routes);
	r->routes = r->coming;
	routes_init(&r->coming);
	groups_free(&r->groups, &r->ngroups);
	r->groups = r->groups_coming;
	r->ngroups = r->ngroups_coming;
	r->groups_coming = NULL;
	r->ngroups_coming = 0;
	r->stamp = strtoull(link_string(message, "stamp"), NULL, 16);
	r->has_routes = 1;
	TESTPOINT("responder:routes-taken");
	r->reach_wait = 0;
	r->patience = RESPONDER_BORN;
	responder_ask_for_orphans(r);
	responder_consider_all(r, now);
	return 0;
}

static int64_t
responder_seconds(const json_t *message, const char *key)
{
	return (int64_t)link_int(message, key) * 1000;
}

/* The queue of that generation which takes requests; or NULL. */
static struct queue *
responder_generation(struct responder *r, const char *generation)
{
	struct queue *q;

	for (q = r->queues; q != NULL; q = q->next)
		if (!q->is_over && q->send != -1 &&
		    strcmp(q->generation, generation) == 0)
			return q;
	return NULL;
}

/* Moves what nobody has taken from one queue into another. */
static void
responder_move_messages(struct queue *from, struct queue *to)
{
	static unsigned char message[WIRE_MOST];
	int fds[2], is_sent = 1;
	size_t nfds;
	ssize_t n;

	while (is_sent) {
		nfds = 2;
		n = fd_recv(from->receive, message, sizeof message, fds, &nfds);
		if (n <= 0)
			return;
		TESTPOINT("responder:moving");
		is_sent =
		    fd_send(to->send, message, (size_t)n, fds, nfds) != -1;
		for (size_t i = 0; i < nfds; i++)
			fd_close(&fds[i]);
	}
}

/*
 * The supervisor of these queues has died, and the next one has not taken them.
 * What no worker has taken is moved to the new generation's queue, or, if there
 * is none, given up. All that were handed over belong to the new one from now
 * on: it may be orphaned, too.
 */
static void
responder_adopt(struct responder *r, const char *name, struct queue *heir)
{
	struct queue *q, *next;
	struct exchange *ex;

	for (q = r->queues; q != NULL; q = next) {
		next = q->next;
		if (!q->is_orphan || strcmp(q->name, name) != 0)
			continue;
		q->is_orphan = 0;
		if (heir != NULL)
			responder_move_messages(q, heir);
		fd_close(&q->receive);
		if (heir == NULL)
			continue;
		for (ex = r->exchanges; ex != NULL; ex = ex->next)
			if (ex->queue == q) {
				ex->queue = heir;
				ex->handed = clock_ms();
				ex->looks = r->rules.fates.looks;
				heir->in_flight++;
			}
		responder_queue_forget(r, q);
	}
}

/* Whether a worker runs; how many requests may wait, and for how long. */
static void
responder_learn(struct queue *q, const json_t *message)
{
	q->is_ready = link_true(message, "ready");
	q->crashes = link_int(message, "crashes");
	q->requests = link_int(message, "requests");
	q->workers = (unsigned)link_int(message, "max");
	q->most = (unsigned)link_int(message, "queue") + q->workers;
	q->timeout = responder_seconds(message, "timeout");
	q->queue_timeout = responder_seconds(message, "queue_timeout");
	q->start_timeout = responder_seconds(message, "start_timeout");
	q->is_debugged = link_true(message, "debug");
}

/* Takes the descriptors. */
static void
responder_take_queue(
    struct responder *r, const json_t *message, int fds[2], int64_t now)
{
	struct queue *q = responder_queue(r, link_string(message, "name"));

	if (q == NULL || q->send != -1) {
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		return;
	}
	snprintf(q->generation, sizeof q->generation, "%s",
	    link_string(message, "generation"));
	q->send = fds[0];
	q->receive = fds[1];
	q->is_asked = 0;
	responder_learn(q, message);
	TESTPOINT("responder:queue-taken");
	responder_adopt(r, q->name, q);
	responder_consider_all(r, now);
}

/* The new supervisor knows the workers of this queue, and what they have in
 * their hands. */
static void
responder_take_adopted(struct responder *r, const json_t *message, int64_t now)
{
	struct queue *q =
	    responder_generation(r, link_string(message, "generation"));
	struct exchange *ex;

	if (q == NULL)
		return;
	q->is_offered = 0;
	TESTPOINT("responder:adopted");
	responder_learn(q, message);
	for (ex = r->exchanges; ex != NULL; ex = ex->next)
		if (ex->queue == q) {
			ex->link = r->rules.link;
			ex->crashes = q->crashes;
		}
	responder_active(r, now);
}

/* We have noticed before that it is over; nobody will take what is in it. */
static void
responder_queue_dropped(struct responder *r, const char *generation)
{
	struct queue *q;

	for (q = r->queues; q != NULL; q = q->next)
		if (q->is_served && strcmp(q->generation, generation) == 0)
			fd_close(&q->receive);
}

/* That queue is over. If it was only offered, nobody serves what no worker has
 * taken. */
static void
responder_take_gone(struct responder *r, const json_t *message, int64_t now)
{
	const char *generation = link_string(message, "generation");
	int is_served = link_true(message, "serves");
	struct queue *q = responder_generation(r, generation);

	if (q == NULL) {
		if (!is_served)
			responder_queue_dropped(r, generation);
		return;
	}
	TESTPOINT("responder:gone");
	q->is_orphan = q->is_offered;
	q->is_served = is_served;
	responder_queue_over(r, q, now);
	if (r->has_routes)
		responder_ask_for_orphans(r);
}

/* There is no queue for this app: those that waited for it when it was asked
 * for get a page; for others it is asked for again. */
static void
responder_take_refusal(struct responder *r, const json_t *message, int64_t now)
{
	const char *name = link_string(message, "name");
	struct queue *q = responder_queue(r, name);
	struct exchange *ex;
	const struct route *route;

	if (q != NULL)
		q->is_asked = 0;
	responder_adopt(r, name, NULL);
	for (ex = r->exchanges; ex != NULL; ex = r->rules.walk) {
		r->rules.walk = ex->next;
		if (ex->state != EXCHANGE_WAITING || ex->queue != NULL ||
		    !ex->has_url || (q != NULL && ex->turn > q->asked))
			continue;
		route = routes_find(&r->routes,
		    params_get(&ex->conn->params, "HTTP_HOST"), ex->url.path,
		    ex->url.path_length);
		if (route != NULL && strcmp(route->name, name) == 0)
			exchange_fail(ex, (int)link_int(message, "status"),
			    link_string(message, "code"),
			    link_string(message, "text"),
			    (int)link_int(message, "retry_after"), now);
	}
	responder_consider_all(r, now);
}

static struct exchange *
responder_exchange(struct responder *r, uint64_t counter)
{
	struct exchange *ex;

	for (ex = r->exchanges; ex != NULL; ex = ex->next)
		if (counter != 0 && ex->counter == counter)
			return ex;
	return NULL;
}

static void
responder_take_verdict(struct exchange *ex, const json_t *message, int64_t now)
{
	TESTPOINT("responder:verdict");
	if (!ex->is_direct || link_true(message, "ended"))
		exchange_verdict(ex, (int)link_int(message, "status"),
		    link_string(message, "code"), link_string(message, "text"),
		    link_string(message, "detail"),
		    (enum board_wrote)link_int(message, "wrote"), now);
}

/*
 * Goes on as the program that is in our file now. What was begun is carried on
 * by a copy; what is in the backlog waits for the new one.
 */
static void
responder_renew(struct responder *r, int64_t now)
{
	log_info("%s is another version now: becoming that", r->spec->path);
	r->is_leaving = 1;
	for (size_t i = 0; i < r->nlisteners; i++)
		loop_unwatch(r->loop, &r->listener[i].watch);
	loop_cancel(r->loop, &r->resume);
	responder_close_idle(r, 0, now);
	batch_end(&r->batch);
	(void)loop_timer(r->loop, &r->leave, now + RESPONDER_LEAVE);
	if (r->conns == NULL)
		renew(r->spec->path);
	else if (proc_fork(responder_carry_on, r) > 0) {
		renew(r->spec->path);
		_exit(0); /* everything of ours lives on in the copy */
	}
	r->is_leaving = 0;
	loop_cancel(r->loop, &r->leave);
	responder_pause(r, now);
}

/* The supervisor that there is, or will be, is of another version, and does not
 * talk to us. If we cannot be that one, too, nobody else can be started. */
static void
responder_take_outdated(struct responder *r, const json_t *message, int64_t now)
{
	const char *version = link_string(message, "version");

	if (!r->spec->is_own && !r->is_leaving && renew_is_due(r->spec->path))
		responder_renew(r, now);
	r->forked_at = now; /* another one is there, or will be in a moment */
	if (log_again(&r->met_other, RESPONDER_COMPLAIN, now))
		log_error("mamayo %s serves %s, and this responder is %s: "
			  "replace its %s, or restart its web server",
		    version, r->account->root, PACKAGE_VERSION, r->program);
	responder_sorry(r, NULL, now);
}

/* -1: it cannot be kept; all is to be heard again. Takes the descriptors. */
static int
responder_take_message(struct responder *r, const json_t *message, int fds[2],
    size_t nfds, int64_t now)
{
	const char *type = link_string(message, "type");
	struct exchange *ex;
	struct queue *q;
	int result = 0;

	if (strcmp(type, "routes") == 0)
		result = responder_take_routes(r, message, now);
	else if (strcmp(type, "lent") == 0)
		responder_line_up(r, now);
	else if (strcmp(type, "returned") == 0)
		responder_alone(r, now);
	else if (strcmp(type, "queue") == 0 && nfds == 2) {
		responder_take_queue(r, message, fds, now);
		return 0;
	} else if (strcmp(type, "refused") == 0)
		responder_take_refusal(r, message, now);
	else if (strcmp(type, "app") == 0) {
		for (q = r->queues; q != NULL; q = q->next)
			if (!q->is_over &&
			    strcmp(q->name, link_string(message, "name")) == 0)
				responder_learn(q, message);
		responder_look_at_sockets(r, now);
	} else if (strcmp(type, "outdated") == 0)
		responder_take_outdated(r, message, now);
	else if (strcmp(type, "adopted") == 0)
		responder_take_adopted(r, message, now);
	else if (strcmp(type, "gone") == 0)
		responder_take_gone(r, message, now);
	else if (strcmp(type, "verdict") == 0 || strcmp(type, "taken") == 0) {
		ex = responder_exchange(
		    r, (uint64_t)link_int(message, "counter"));
		if (ex != NULL && type[0] == 'v')
			responder_take_verdict(ex, message, now);
		else if (ex != NULL)
			exchange_taken(ex, link_true(message, "taken"), now);
	}
	for (size_t i = 0; i < nfds; i++)
		fd_close(&fds[i]);
	return result;
}

/* run/ is another directory than the one that we have open, perhaps. */
static int
responder_spool_lost(struct conn_rules *rules)
{
	struct responder *r = rules->owner;
	struct problem why;

	if (account_open_run(r->account, &why) == -1) {
		log_warn("cannot use the directory for bodies: %s", why.text);
		return -1;
	}
	r->conn_rules.spool_dir = r->rules.spool_dir = r->account->run_fd;
	return 0;
}

/* The supervisor has gone. Its workers go on for a while, so queues and routes
 * stay as they are; who has requests looks for another one at once, others a
 * moment later. */
static void
responder_lost(struct responder *r, int64_t now)
{
	loop_unwatch(r->loop, &r->link);
	fd_close(&r->link.fd);
	guard_link(&r->guard, -1);
	r->lost_at = now;
	TESTPOINT("responder:lost");
	responder_alone(r, now); /* workers give the sockets back */
	(void)responder_spool_lost(&r->conn_rules); /* run/ may be another */
	if (r->exchanges != NULL && r->reach_wait == 0)
		responder_reach(r, now);
	else if (r->reach.place == 0)
		(void)loop_timer(r->loop, &r->reach,
		    now + (r->exchanges != NULL ? r->reach_wait
						: RESPONDER_REACH_IDLE));
}

static void
responder_hear(struct responder *r, int64_t now)
{
	json_t *message;
	int fds[2], got;
	size_t nfds;

	while (r->link.fd != -1) {
		nfds = 2;
		got = link_recv(r->link.fd, &message, fds, &nfds);
		if (got == 0)
			return;
		if (got == -1) {
			responder_lost(r, now);
			return;
		}
		guard_heard(&r->guard);
		got = responder_take_message(r, message, fds, nfds, now);
		json_decref(message);
		if (got == -1) {
			responder_lost(r, now);
			return;
		}
	}
}

static void
responder_link_ready(struct watch *w, short got, int64_t now)
{
	struct responder *r =
	    (struct responder *)((char *)w - offsetof(struct responder, link));

	(void)got;
	responder_hear(r, now);
}

static struct exchange *
responder_hear_for(struct exchange_rules *rules, uint64_t counter, int64_t now)
{
	struct responder *r = rules->owner;

	responder_hear(r, now);
	return responder_exchange(r, counter);
}

static void
responder_ask(struct exchange *ex, int64_t now)
{
	struct responder *r = ex->rules->owner;

	(void)now;
	(void)responder_tell(r, json_pack("{s:s, s:I}", "type", "taken",
				    "counter", (json_int_t)ex->counter));
}

/* --------------------------------------------------------- connections -- */

static void
responder_complete(struct conn *c, int64_t now)
{
	struct responder *r = c->rules->owner;
	struct exchange *ex = exchange_new(c, &r->rules, now);

	if (ex == NULL) {
		conn_page_short(c, now);
		return;
	}
	ex->place = r->rules.end;
	*ex->place = ex;
	r->rules.end = &ex->next;
	guard_watch(&r->guard, now);
	batch_work(&r->batch, now, -1);
	TESTPOINT("responder:complete");
	responder_begin(r, ex, now);
}

/* The web server takes a request back: the worker learns it from its answer
 * socket. */
static void
responder_aborted(struct conn *c, int64_t now)
{
	(void)now;
	if (c->exchange != NULL)
		exchange_free(c->exchange);
	static_free(c);
}

/* The next request has begun where the answer to this one was given. */
static void
responder_returned(struct conn *c, int64_t now)
{
	(void)now;
	if (c->exchange != NULL)
		exchange_free(c->exchange);
	static_free(c);
}

static void
responder_drained(struct conn *c, int64_t now)
{
	if (c->exchange != NULL)
		exchange_pump(c->exchange, now);
	else if (c->sender != NULL)
		static_pump(c, now);
}

static void
responder_resume(struct responder *r)
{
	if (!r->is_paused || r->is_leaving)
		return;
	r->is_paused = 0;
	for (size_t i = 0; i < r->nlisteners; i++)
		if (r->listener[i].watch.at == 0 &&
		    r->listener[i].step_in.place == 0 &&
		    loop_watch(r->loop, &r->listener[i].watch) == -1)
			r->is_paused = 1;
}

static void
responder_resume_due(struct timer *t, int64_t now)
{
	(void)now;
	responder_resume(
	    (struct responder *)((char *)t -
				 offsetof(struct responder, resume)));
}

/* Nothing is accepted for a while: there is no room for it. */
static void
responder_pause(struct responder *r, int64_t now)
{
	if (r->is_paused)
		return;
	r->is_paused = 1;
	r->paused_at = r->conn_rules.count;
	for (size_t i = 0; i < r->nlisteners; i++)
		loop_unwatch(r->loop, &r->listener[i].watch);
	(void)loop_timer(r->loop, &r->resume, now + RESPONDER_PAUSE);
}

static void
responder_gone(struct conn *c, int64_t now)
{
	(void)now;
	if (c->exchange != NULL)
		exchange_free(c->exchange);
	static_free(c);
	conn_free(c);
}

/* A new connection; takes the descriptor. NULL without memory. */
static struct conn *
responder_adopt_conn(struct responder *r, int fd, int64_t now)
{
	struct conn *c = conn_new(fd, &r->conn_rules, now);

	if (c == NULL)
		return NULL;
	c->complete = responder_complete;
	c->aborted = responder_aborted;
	c->drained = responder_drained;
	c->returned = responder_returned;
	c->gone = responder_gone;
	c->link = &r->conns;
	if ((c->next = r->conns) != NULL)
		c->next->link = &c->next;
	r->conns = c;
	return c;
}

/* A worker hands over a connection that is not for it. Returns 0 when there is
 * none. */
static int
responder_take_back(struct responder *r, struct back *b, int64_t now)
{
	static const size_t magic = sizeof LINK_BACK_MAGIC - 1;
	static unsigned char message[sizeof LINK_BACK_MAGIC + LINK_BACK_MOST];
	struct conn *c;
	size_t nfds = 1;
	ssize_t n;
	int fd = -1;

	n = fd_recv(b->watch.fd, message, sizeof message, &fd, &nfds);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n == 0 || (n == -1 && errno != EMSGSIZE && errno != EINTR)) {
		responder_forget_back(r, b); /* no worker is left */
		return 0;
	}
	if (nfds != 1 || n < (ssize_t)magic ||
	    (memcmp(message, LINK_BACK_MAGIC, magic) != 0 &&
		memcmp(message, LINK_BACK_SERVED, magic) != 0)) {
		fd_close(&fd);
		return 1;
	}
	(void)fd_nonblock(fd);
	TESTPOINT("responder:back-taken");
	if ((c = responder_adopt_conn(r, fd, now)) == NULL)
		return 1;
	c->has_served = memcmp(message, LINK_BACK_SERVED, magic) == 0;
	if (n > (ssize_t)magic)
		(void)conn_feed(c, message + magic, (size_t)n - magic, now);
	else
		conn_try(c, now);
	return 1;
}

static void
responder_back_ready(struct watch *w, short got, int64_t now)
{
	struct back *b = (struct back *)w;

	(void)got;
	for (int i = 0; i < RESPONDER_ACCEPTS; i++)
		if (!responder_take_back(b->owner, b, now))
			return;
}

/* Returns 1 if more connections may be waiting. */
static int
responder_accept(struct responder *r, int listener, int64_t now)
{
	struct conn *c;
	int fd;

	for (int i = 0; i < RESPONDER_ACCEPTS; i++) {
		if (r->conn_rules.count >= r->most_conns && !r->is_leaving) {
			responder_pause(r, now);
			return 0;
		}
		fd = listen_accept(listener);
		if (fd == -1) {
			if (errno == ECONNABORTED || errno == EINTR)
				continue;
			if (errno != EAGAIN && errno != EWOULDBLOCK) {
				log_warn("cannot accept connections: %s; "
					 "trying again in a second",
				    strerror(errno));
				responder_pause(r, now);
			}
			return 0;
		}
		TESTPOINT("responder:accepted");
		c = responder_adopt_conn(r, fd, now);
		if (c == NULL)
			return 0;
		conn_try(c, now);
	}
	return 1;
}

/* Of the only app's queue; -1. */
static int
responder_receive(const struct responder *r)
{
	const struct queue *q = r->queues;

	while (q != NULL && q->is_over)
		q = q->next;
	return q != NULL ? q->receive : -1;
}

/*
 * Connections come, and no worker is idle. While workers are fast they take
 * them sooner than any that goes through us: those are left to them for some
 * milliseconds, and longer as long as they make progress. Returns 1 if so.
 */
static int
responder_leaves_to_workers(
    struct responder *r, struct listener *l, int64_t now)
{
	uint64_t answered, before = l->answered;
	int is_first = before == 0;

	(void)fates_look(
	    &r->rules.fates, r->rules.spool_dir, responder_receive(r), now);
	answered = fates_answered(&r->rules.fates);
	if (answered == 0) /* nobody has answered anything yet */
		return 0;
	l->answered = answered;
	if (!is_first && answered - before < RESPONDER_FAST)
		return 0;
	return loop_timer(r->loop, &l->step_in, now + RESPONDER_STEP_IN) == 0;
}

static void
responder_step_in(struct timer *t, int64_t now)
{
	struct listener *l =
	    (struct listener *)((char *)t - offsetof(struct listener, step_in));
	struct responder *r = l->owner;
	struct pollfd waits = { .fd = l->fd, .events = POLLIN };

	if (r->is_leaving || r->is_paused)
		return;
	if (poll(&waits, 1, 0) == 1) {
		if (responder_leaves_to_workers(r, l, now))
			return;
		(void)responder_accept(r, l->fd, now);
	}
	l->answered = 0;
	if (!r->is_paused && loop_watch(r->loop, &l->watch) == -1)
		responder_pause(r, now);
}

static void
responder_listener_ready(struct watch *w, short got, int64_t now)
{
	struct listener *l = (struct listener *)w;

	(void)got;
	responder_sweep(l->owner, now);
	if (l->line != -1 && responder_leaves_to_workers(l->owner, l, now))
		loop_unwatch(l->owner->loop, w);
	else
		(void)responder_accept(l->owner, l->fd, now);
}

/* ----------------------------------------------------------- its own end -- */

/* Kept connections between two requests, and those that never said a word. */
static void
responder_close_idle(struct responder *r, int also_fresh, int64_t now)
{
	struct conn *c, *next;

	for (c = r->conns; c != NULL; c = next) {
		next = c->next;
		if (also_fresh || c->has_served)
			conn_close_idle(c, now);
	}
}

static void
responder_leave_due(struct timer *t, int64_t now)
{
	responder_close_idle(
	    (struct responder *)((char *)t - offsetof(struct responder, leave)),
	    1, now);
}

static void
responder_turns(struct responder *r)
{
	while (!r->is_leaving || r->conns != NULL || r->backs != NULL) {
		loop_turn(r->loop);
		if (r->is_leaving)
			responder_close_idle(r, 0, loop_now(r->loop));
		if (r->is_paused && r->conn_rules.count < r->paused_at)
			responder_resume(r); /* there is room again */
	}
}

static void
responder_reap(void *arg, int64_t now)
{
	(void)arg;
	proc_reap(now);
}

static void
responder_leave_back_due(struct timer *t, int64_t now)
{
	(void)now;
	responder_forget_backs(
	    (struct responder *)((char *)t -
				 offsetof(struct responder, leave_back)));
}

/*
 * Takes the sockets back from the workers, and waits a moment for what they
 * hand over. One that is busy may hold a socket for long: those that we have
 * bound are shut down, so that somebody else can serve at the address.
 */
static void
responder_withdraw(struct responder *r, int64_t now)
{
	if (r->backs == NULL)
		return;
	(void)responder_tell(r, json_pack("{s:s}", "type", "withdraw"));
	if (loop_timer(r->loop, &r->leave_back, now + RESPONDER_LEAVE_BACK) ==
	    -1)
		responder_forget_backs(r);
}

/* No connection comes any more; what is in the backlog is taken. */
static void
responder_close_listener(struct responder *r, size_t i, int64_t now)
{
	struct listener *l = &r->listener[i];
	int is_shared = r->spec->is_own && i < r->spec->ninherited;

	if (!is_shared)
		(void)listen_deafen(l->fd);
	while (responder_accept(r, l->fd, now))
		continue;
	loop_unwatch(r->loop, &l->watch);
	loop_cancel(r->loop, &l->step_in);
	fd_close(&l->line);
	if (!is_shared)
		shutdown(l->fd, SHUT_RD);
	if (r->spec->is_own)
		fd_close(&l->fd);
}

/* What was begun is carried on by a copy that the web server does not know. */
static int
responder_carry_on(void *arg)
{
	struct responder *r = arg;

	TESTPOINT("leaving:born");
	setsid();
	loop_ignore_signals();
	loop_signal(r->loop, SIGCHLD, responder_reap, r);
	log_role("responder (leaving)");
	for (size_t i = 0; i < r->nlisteners; i++)
		fd_close(&r->listener[i].fd);
	(void)fd_open_std();
	responder_turns(r);
	return 0;
}

/*
 * Asked to stop: what is in the backlog is still taken (R-PROC3; a connection
 * that comes later is refused at once), then no more. A socket that others
 * listen on too, as systemd does, stays as it is.
 */
static void
responder_leave(void *arg, int64_t now)
{
	struct responder *r = arg;

	if (r->is_leaving)
		return;
	TESTPOINT("responder:leave");
	responder_resume(r);
	r->is_leaving = 1;
	responder_withdraw(r, now);
	for (size_t i = 0; i < r->nlisteners; i++)
		responder_close_listener(r, i, now);
	loop_cancel(r->loop, &r->resume);
	if (r->spec->stopped != NULL)
		r->spec->stopped();
	responder_close_idle(r, 0, now);
	(void)loop_timer(r->loop, &r->leave, now + RESPONDER_LEAVE);
	if (r->conns != NULL && !r->spec->is_own &&
	    proc_fork(responder_carry_on, r) > 0)
		_exit(0); /* everything of ours lives on in the copy */
}

static void
responder_limits(struct responder *r)
{
	struct rlimit limit;

	r->most_conns = RESPONDER_CONNS_MOST;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY &&
	    (limit.rlim_cur - RESPONDER_FDS_SPARE) / 3 < r->most_conns)
		r->most_conns =
		    limit.rlim_cur < RESPONDER_FDS_SPARE + 3
			? 1
			: (size_t)(limit.rlim_cur - RESPONDER_FDS_SPARE) / 3;
}

/* Are there requests, for which a supervisor should be there? */
static int
responder_is_waiting(struct guard *g)
{
	return ((struct responder *)((char *)g -
				     offsetof(struct responder, guard)))
		   ->exchanges != NULL;
}

static void
responder_init(struct responder *r, const struct responder_spec *spec)
{
	const char *base = getenv("MAMAYO_BASE");

	memset(r, 0, sizeof *r);
	r->loop = loop_new();
	r->spec = spec;
	r->account = spec->account;
	r->program = spec->program;
	r->base = base;
	r->sendfile = getenv("MAMAYO_SENDFILE");
	r->parent = spec->is_own ? getpid() : getppid();
	r->parent_start = proc_started(r->parent);
	r->link = (struct watch){
		.fd = -1, .want = POLLIN, .ready = responder_link_ready
	};
	r->born = (struct watch){
		.fd = -1, .want = POLLIN, .ready = responder_decided
	};
	r->reach.due = responder_reach_due;
	r->late.due = responder_born_late;
	r->patience = RESPONDER_BORN;
	r->retry.due = responder_retry;
	r->resume.due = responder_resume_due;
	r->active.due = responder_active_due;
	r->leave.due = responder_leave_due;
	r->leave_back.due = responder_leave_back_due;
	r->sweep.due = responder_sweep_due;
	guard_init(&r->guard, r->loop, r->account);
	r->guard.is_needed = responder_is_waiting;
	routes_init(&r->routes);
	routes_init(&r->coming);
	responder_limits(r);
	r->conn_rules = (struct conn_rules){ .loop = r->loop,
		.spool_dir = r->account->run_fd,
		.max_conns = (unsigned)r->most_conns,
		.body_timeout =
		    (int64_t)r->account->settings.app.body_timeout * 1000,
		.idle_timeout = RESPONDER_IDLE_TIMEOUT,
		.spool_lost = responder_spool_lost,
		.owner = r };
	r->rules = (struct exchange_rules){ .loop = r->loop,
		.end = &r->exchanges,
		.spool_dir = r->account->run_fd,
		.heartbeat = RESPONDER_HEARTBEAT,
		.ask = responder_ask,
		.hear = responder_hear_for,
		.ended = responder_ended,
		.owner = r };
	fd_random(&r->rules.responder, sizeof r->rules.responder);
	loop_signal(r->loop, SIGTERM, responder_leave, r);
	loop_signal(r->loop, SIGINT, responder_leave, r);
	loop_signal(r->loop, SIGCHLD, responder_reap, r);
	proc_reap(clock_ms()); /* whom the program that became us has left */
	loop_ignore_signals();
}

static void
responder_release(struct responder *r)
{
	struct queue *q, *next;

	loop_unwatch(r->loop, &r->link);
	fd_close(&r->link.fd);
	responder_forget_candidate(r);
	for (q = r->queues; q != NULL; q = next) {
		next = q->next;
		queue_free(q);
	}
	for (size_t i = 0; i < r->nlisteners; i++) {
		fd_close(&r->listener[i].line);
		fd_close(&r->listener[i].fd);
	}
	responder_forget_backs(r);
	routes_release(&r->routes);
	routes_release(&r->coming);
	groups_free(&r->groups, &r->ngroups);
	groups_free(&r->groups_coming, &r->ngroups_coming);
	fates_release(&r->rules.fates);
	guard_release(&r->guard);
	loop_free(r->loop);
}

int
responder_run(const struct responder_spec *spec)
{
	struct responder r;

	trace_on_death();
	responder_init(&r, spec);
	for (size_t i = 0; i < spec->nlisteners; i++) {
		r.listener[i].owner = &r;
		r.listener[i].line = -1;
		r.listener[i].step_in.due = responder_step_in;
		r.listener[i].fd = spec->listener[i];
		r.listener[i].watch = (struct watch){ .fd = spec->listener[i],
			.want = POLLIN,
			.ready = responder_listener_ready };
		(void)fd_nonblock(spec->listener[i]);
		if (loop_watch(r.loop, &r.listener[i].watch) == -1)
			die(1, "no memory at the start");
	}
	r.nlisteners = spec->nlisteners;
	responder_turns(&r);
	responder_release(&r);
	return 0;
}
