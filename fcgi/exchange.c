#include "config.h"

#include <errno.h>
#include <fastcgi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/exchange.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/testpoint.h"
#include "lib/wire.h"

#define EXCHANGE_GRACE 1000 /* ms a worker may answer 503 before we do */
#define EXCHANGE_ALONE                                        \
	15000 /* ms on top of timeout: then without a verdict \
	       */
#define EXCHANGE_ROUTED     60000 /* ms to find out where a request belongs */
#define EXCHANGE_STARTING   50000 /* ms for a start; nginx gives up after 60 */
#define EXCHANGE_LOOK       1000  /* ms between looks for a direct answer */
#define EXCHANGE_LOOK_AGAIN 100   /* ms to the second look that must agree */
#define EXCHANGE_COMPLAIN   60000 /* ms between lines about the same */
#define EXCHANGE_VERDICT    1000  /* ms of waiting for one that a page shows */
#define EXCHANGE_LOOKS      2
#define EXCHANGE_LARGE      32768 /* bytes of a record: need not be read */
#define EXCHANGE_APP_MOST   256   /* bytes of a name that a page tells */
#define EXCHANGE_TURN_MOST  16    /* pieces of an answer in a turn */

static void exchange_ready(struct watch *, short, int64_t);
static void exchange_due(struct timer *, int64_t);
static void exchange_arm(struct exchange *, int64_t);
static void exchange_answered(struct conn *, int64_t);

struct exchange *
exchange_new(struct conn *conn, struct exchange_rules *rules, int64_t now)
{
	struct exchange *ex = calloc(1, sizeof *ex);

	if (ex == NULL)
		return NULL;
	ex->answer =
	    (struct watch){ .fd = -1, .want = POLLIN, .ready = exchange_ready };
	ex->timer.due = exchange_due;
	ex->rules = rules;
	ex->conn = conn;
	ex->arrived = ex->touched = ex->beat = now;
	ex->has_heartbeat = conn->server == CONN_APACHE;
	conn->exchange = ex;
	exchange_arm(ex, now);
	return ex;
}

static void
exchange_leave_queue(struct exchange *ex)
{
	struct queue *q = ex->queue;
	struct exchange **link;

	if (q == NULL)
		return;
	for (link = &q->full; *link != NULL; link = &(*link)->next_full)
		if (*link == ex) {
			*link = ex->next_full;
			if (q->full_end == &ex->next_full)
				q->full_end = link;
			break;
		}
	ex->queue = NULL;
	q->in_flight--;
	ex->rules->ended(ex->rules, q); /* may free q */
}

void
exchange_free(struct exchange *ex)
{
	loop_unwatch(ex->rules->loop, &ex->answer);
	loop_cancel(ex->rules->loop, &ex->timer);
	if (ex->answer.fd != -1 && !ex->has_ended)
		shutdown(ex->answer.fd, SHUT_RDWR);
	fd_close(&ex->answer.fd);
	if (ex->conn != NULL)
		ex->conn->exchange = NULL;
	if (ex->rules->walk == ex)
		ex->rules->walk = ex->next;
	if (ex->place != NULL && (*ex->place = ex->next) != NULL)
		ex->next->place = ex->place;
	else if (ex->place != NULL)
		ex->rules->end = ex->place;
	exchange_leave_queue(ex);
	if (ex->has_url)
		url_release(&ex->url);
	free(ex);
}

/* Until when it may wait for a route, a queue or room. */
static int64_t
exchange_patience(const struct exchange *ex)
{
	return ex->not_after != 0 ? ex->not_after
				  : ex->arrived + EXCHANGE_ROUTED;
}

/* When the request is given up without any word from a supervisor. */
static int64_t
exchange_alone(const struct exchange *ex)
{
	int64_t since =
	    ex->touched > ex->not_after ? ex->touched : ex->not_after;

	return since + ex->queue->timeout + EXCHANGE_ALONE;
}

/* When Apache is to hear from us, if the worker stays silent. */
static int64_t
exchange_next_beat(const struct exchange *ex)
{
	int64_t since = ex->beat > ex->touched ? ex->beat : ex->touched;

	return since + ex->rules->heartbeat;
}

/* When something has to be done about a request that is silent. */
static void
exchange_arm(struct exchange *ex, int64_t now)
{
	int64_t at;

	if (ex->state == EXCHANGE_WAITING)
		at = exchange_patience(ex);
	else if (ex->is_mourned)
		at = now + EXCHANGE_VERDICT;
	else if (ex->is_direct)
		at = now + (ex->over > 0 ? EXCHANGE_LOOK_AGAIN : EXCHANGE_LOOK);
	else if (!ex->is_asked)
		at = ex->not_after + EXCHANGE_GRACE;
	else
		at = exchange_alone(ex);
	if (ex->has_heartbeat && at > exchange_next_beat(ex))
		at = exchange_next_beat(ex);
	if (at <= now && ex->state != EXCHANGE_WAITING)
		at = now + 1000; /* one that waits is told at once */
	(void)loop_timer(ex->rules->loop, &ex->timer, at);
}

/* Parameters that do not fit the message go to the front of the spool; once,
 * however often the request is sent. */
static int
exchange_prefix(struct exchange *ex)
{
	struct conn *c = ex->conn;
	const struct params *p = &c->params;
	uint64_t body = c->body.fd == -1 ? c->body.length : 0;

	if (ex->is_prefixed || WIRE_HEAD + p->length + body <= WIRE_MOST)
		return 0;
	if (body_prefix(&c->body, ex->rules->spool_dir, p->text, p->length) ==
	    -1)
		return -1;
	ex->is_prefixed = 1;
	return 0;
}

static int
exchange_send(struct exchange *ex, struct queue *q, int answer)
{
	static unsigned char message[WIRE_MOST];
	struct conn *c = ex->conn;
	struct params *p = &c->params;
	struct wire_head head = { 0 };
	size_t n = WIRE_HEAD, nfds = 1;
	int fds[2];

	fds[0] = answer;
	head.request_id = c->id;
	head.flags = (uint16_t)((c->keep ? WIRE_KEEP_CONN : 0) |
				(ex->is_direct ? WIRE_DIRECT : 0));
	head.params = (uint32_t)p->length;
	head.body = c->body.length;
	head.responder = ex->rules->responder;
	head.counter = ex->counter;
	head.queued = (uint64_t)ex->arrived;
	head.not_after = (uint64_t)ex->not_after;
	if (exchange_prefix(ex) == -1)
		return -1;
	if (c->body.fd != -1)
		head.flags |= WIRE_SPOOL | WIRE_SPOOL_BODY;
	if (ex->is_prefixed) {
		head.flags |= WIRE_SPOOL_PARAMS;
	} else {
		memcpy(message + n, p->text, p->length);
		n += p->length;
	}
	if (c->body.fd != -1) {
		fds[nfds++] = c->body.fd;
	} else if (c->body.length > 0) {
		memcpy(message + n, c->body.bytes, (size_t)c->body.length);
		n += (size_t)c->body.length;
	}
	if (c->body.fd != -1 && lseek(c->body.fd, 0, SEEK_SET) == -1)
		return -1;
	wire_put_head(message, &head);
	if (TESTPOINT_FAILS("responder:queue-send"))
		return -1;
	return fd_send(q->send, message, n, fds, nfds) == -1 ? -1 : 0;
}

/* What a failure to send means. */
static enum exchange_handed
exchange_not_sent(struct exchange *ex, int64_t now)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ||
	    errno == ETOOMANYREFS) {
		exchange_arm(ex, now); /* it has a limit now */
		return EXCHANGE_FULL;
	}
	return errno == EPIPE || errno == ECONNRESET ? EXCHANGE_OVER
						     : EXCHANGE_FAILED;
}

/* The answer comes through us. 0, or -1 with errno. */
static int
exchange_hand_pumped(struct exchange *ex, struct queue *q)
{
	int pair[2], failed;

	if (fd_pair_stream(pair) == -1)
		return -1;
	ex->answer.fd = pair[0];
	failed = loop_watch(ex->rules->loop, &ex->answer) == -1 ||
		 exchange_send(ex, q, pair[1]) == -1;
	fd_close(&pair[1]);
	if (failed) {
		loop_unwatch(ex->rules->loop, &ex->answer);
		fd_close(&ex->answer.fd);
	}
	return failed ? -1 : 0;
}

/* The worker answers on the web server's connection. */
static int
exchange_hand_direct(struct exchange *ex, struct queue *q)
{
	ex->is_direct = 1;
	if (exchange_send(ex, q, ex->conn->watch.fd) == -1) {
		ex->is_direct = 0;
		return -1;
	}
	conn_lend(ex->conn);
	return 0;
}

/* How long a request may wait for a worker. */
static int64_t
exchange_wait(const struct queue *q)
{
	if (q->is_ready)
		return q->queue_timeout;
	return q->start_timeout < EXCHANGE_STARTING ? q->start_timeout
						    : EXCHANGE_STARTING;
}

enum exchange_handed
exchange_hand(struct exchange *ex, struct queue *q, int64_t now)
{
	int failed;

	if (ex->not_after == 0)
		ex->not_after = now + exchange_wait(q);
	if (ex->counter == 0)
		ex->counter = ++ex->rules->counter;
	if (conn_may_lend(ex->conn))
		failed = exchange_hand_direct(ex, q);
	else
		failed = exchange_hand_pumped(ex, q);
	if (failed)
		return exchange_not_sent(ex, now);
	fd_close(&ex->conn->body.fd); /* the message holds it now */
	ex->state = EXCHANGE_RUNNING;
	ex->link = ex->rules->link;
	ex->crashes = q->crashes;
	ex->touched = now;
	ex->handed = clock_ms(); /* what was sent before has come by then */
	ex->looks = ex->rules->fates.looks;
	exchange_arm(ex, now);
	return EXCHANGE_HANDED;
}

/* A page for it; of an app whose process failed it names the log. */
static void
exchange_show(struct exchange *ex, struct page *page, int64_t now)
{
	struct conn *c = ex->conn;
	char app[EXCHANGE_APP_MOST];

	if (strcmp(page->code, "protocol") == 0)
		page->app = ""; /* mamayo.log has it */
	else if (ex->queue != NULL && page->status != 503 &&
		 strlen(ex->queue->name) < sizeof app) {
		snprintf(app, sizeof app, "%s", ex->queue->name);
		page->app = app; /* the queue may go with ex */
	}
	if (ex->is_direct && c->state == CONN_LENT)
		conn_reclaim(c, BOARD_NOTHING);
	exchange_free(ex);
	if (c->wrote)
		conn_cut(c, now);
	else
		conn_page(c, page, now);
}

void
exchange_fail(struct exchange *ex, int status, const char *code,
    const char *text, int retry_after, int64_t now)
{
	struct page page = { .status = status,
		.code = code,
		.text = text,
		.retry_after = retry_after };

	exchange_show(ex, &page, now);
}

/* The peer of the conn has gone, or the conn cannot take more. */
static void
exchange_abandon(struct exchange *ex)
{
	struct conn *c = ex->conn;

	exchange_free(ex);
	conn_free(c);
}

static void
exchange_nonsense(struct exchange *ex, int64_t now)
{
	log_error("%s: a worker answered with something that is not FastCGI: "
		  "has the application used a descriptor that it did not "
		  "open?",
	    ex->queue->name);
	exchange_fail(ex, 502, "protocol", PAGE_DIED, 0, now);
}

/* Is the head that has been collected one that an answer may contain? */
static int
exchange_take_head(struct exchange *ex)
{
	struct record r;

	if (record_head(ex->head, RECORD_HEAD, &r) != RECORD_HEAD ||
	    r.request_id != ex->conn->id)
		return -1;
	if (r.type != FCGI_STDOUT && r.type != FCGI_END_REQUEST &&
	    (r.type != FCGI_STDERR || r.length != 0))
		return -1;
	if (r.type == FCGI_END_REQUEST && r.length != 8)
		return -1;
	ex->type = r.type;
	ex->left = r.padding;
	if (r.type != FCGI_END_REQUEST) /* which has been collected whole */
		ex->left += r.length;
	ex->is_large = ex->left >= EXCHANGE_LARGE;
	return 0;
}

/* An END_REQUEST is looked at as a whole before it is passed on. */
static size_t
exchange_head_size(const struct exchange *ex)
{
	return ex->head_length >= RECORD_HEAD && ex->head[1] == FCGI_END_REQUEST
		   ? RECORD_END
		   : RECORD_HEAD;
}

/* Collects a head from n bytes; returns how many of them it took. */
static size_t
exchange_collect(struct exchange *ex, const unsigned char *in, size_t n)
{
	size_t used = 0, piece;

	while (used < n && ex->head_length < exchange_head_size(ex)) {
		piece = exchange_head_size(ex) - ex->head_length;
		if (piece > n - used)
			piece = n - used;
		memcpy(ex->head + ex->head_length, in + used, piece);
		ex->head_length += piece;
		used += piece;
	}
	return used;
}

/* Does the worker say that it could not complete its answer? */
static int
exchange_is_cut(const struct exchange *ex)
{
	static const unsigned char well[4] = { 0, 0, 0, 0 };

	return ex->type == FCGI_END_REQUEST &&
	       memcmp(ex->head + RECORD_HEAD, well, sizeof well) != 0;
}

enum walked {
	WALKED_ON,
	WALKED_END,      /* END_REQUEST has passed */
	WALKED_CUT,      /* it says that the answer is not whole */
	WALKED_NONSENSE, /* not FastCGI */
	WALKED_FULL      /* the conn takes no more */
};

/*
 * Walks over n bytes and forwards them, always up to a place that is known to
 * be good: an unfinished head waits with us.
 */
static enum walked
exchange_walk(struct exchange *ex, const unsigned char *in, size_t n)
{
	enum walked result = WALKED_ON;
	size_t at = 0, piece, begin = 0;

	while (at < n && result == WALKED_ON) {
		if (ex->left > 0) {
			piece = n - at < ex->left ? n - at : ex->left;
			at += piece;
			ex->left -= piece;
		} else {
			piece = exchange_collect(ex, in + at, n - at);
			if (ex->head_length < exchange_head_size(ex))
				break;
			if (exchange_take_head(ex) == -1)
				return WALKED_NONSENSE;
			if (exchange_is_cut(ex)) {
				result = WALKED_CUT;
				break;
			}
			if (piece < ex->head_length) {
				if (conn_forward(ex->conn, ex->head,
					ex->head_length - piece, 0) == -1)
					return WALKED_FULL;
				begin = at;
			}
			at += piece;
			ex->head_length = 0;
		}
		if (ex->left == 0 && ex->type == FCGI_END_REQUEST)
			result = WALKED_END;
	}
	if (at > begin &&
	    conn_forward(ex->conn, in + begin, at - begin, ex->left == 0) == -1)
		return WALKED_FULL;
	ex->has_ended = result == WALKED_END;
	return result;
}

enum exchange_got { GOT_SOME, GOT_NOTHING, GOT_END, GOT_DONE };

/*
 * Where large records follow each other they are passed on without being read:
 * only the head of the next is looked at, in its place. Returns how many bytes
 * that were; 0: this is to be read; -1: the conn takes no more.
 */
static ssize_t
exchange_relay(struct exchange *ex)
{
	size_t head = 0;
	ssize_t n;

	if (!ex->is_large || ex->head_length > 0)
		return 0;
	if (ex->left == 0) {
		if (recv(ex->answer.fd, ex->head, RECORD_HEAD,
			MSG_PEEK | MSG_DONTWAIT) != RECORD_HEAD ||
		    ex->head[1] != FCGI_STDOUT || exchange_take_head(ex) == -1)
			return 0;
		head = RECORD_HEAD;
	}
	n = conn_relay(ex->conn, ex->answer.fd, head + ex->left);
	if (n > 0)
		ex->left += head - (size_t)n;
	else if (head > 0)
		ex->left = 0; /* that head is still to come */
	return n;
}

/* Reads a piece of the answer and passes it on. GOT_DONE: ex is freed. */
static enum exchange_got
exchange_read(struct exchange *ex, int64_t now)
{
	static unsigned char piece[CONN_PIECE];
	struct conn *c = ex->conn;
	ssize_t n = exchange_relay(ex);

	if (n != 0) {
		ex->touched = now;
		if (n > 0)
			return GOT_SOME;
		exchange_abandon(ex);
		return GOT_DONE;
	}
	n = recv(ex->answer.fd, piece, sizeof piece, MSG_DONTWAIT);
	if (n == -1 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return GOT_NOTHING;
	if (n <= 0)
		return GOT_END;
	ex->touched = now;
	TESTPOINT("responder:answer");
	switch (exchange_walk(ex, piece, (size_t)n)) {
	case WALKED_ON:
		return (size_t)n == sizeof piece ? GOT_SOME : GOT_NOTHING;
	case WALKED_END:
		TESTPOINT("responder:answered");
		exchange_free(ex);
		conn_end(c, now);
		break;
	case WALKED_CUT:
		exchange_fail(ex, 502, "died", PAGE_DIED, 0, now);
		break;
	case WALKED_NONSENSE:
		exchange_nonsense(ex, now);
		break;
	case WALKED_FULL:
		exchange_abandon(ex);
		break;
	}
	return GOT_DONE;
}

/* Nothing more will come from the worker, and it is not whole. */
static void
exchange_died(struct exchange *ex, int64_t now)
{
	struct exchange_rules *rules = ex->rules;
	uint64_t counter = ex->counter;

	/* The supervisor's verdict was sent before this end: it knows why. */
	loop_unwatch(rules->loop, &ex->answer);
	ex = rules->hear(rules, counter, now);
	if (ex == NULL)
		return;
	if (ex->queue->is_debugged && !ex->conn->wrote && !ex->is_mourned) {
		ex->is_mourned = 1; /* for the page: how it has died */
		exchange_arm(ex, now);
	} else
		exchange_fail(ex, 502, "died", PAGE_DIED, 0, now);
}

void
exchange_pump(struct exchange *ex, int64_t now)
{
	enum exchange_got got = GOT_SOME;
	struct conn *c = ex->conn;
	int turns = 0;

	if (ex->state != EXCHANGE_RUNNING || ex->is_direct || ex->is_mourned)
		return;
	while (got == GOT_SOME && conn_room(c) >= CONN_PIECE &&
	       turns++ < EXCHANGE_TURN_MOST)
		got = exchange_read(ex, now);
	if (got == GOT_DONE)
		return;
	if (got == GOT_END) {
		exchange_died(ex, now);
		return;
	}
	/* Not watched while the conn is full: a hang-up would be told again
	 * and again. */
	if (conn_room(c) < CONN_PIECE)
		loop_unwatch(ex->rules->loop, &ex->answer);
	else if (ex->answer.at == 0 &&
		 loop_watch(ex->rules->loop, &ex->answer) == -1)
		exchange_fail(ex, 503, "resources", PAGE_SHORT, 10, now);
}

static void
exchange_ready(struct watch *w, short got, int64_t now)
{
	(void)got; /* whatever it was, reading tells */
	exchange_pump((struct exchange *)w, now);
}

/* What has already been written counts more than what is said about it. */
static enum exchange_got
exchange_drain(struct exchange *ex, int64_t now)
{
	enum exchange_got got = GOT_SOME;

	if (ex->state != EXCHANGE_RUNNING || ex->is_direct)
		return GOT_NOTHING;
	while (got == GOT_SOME && conn_room(ex->conn) >= CONN_PIECE)
		got = exchange_read(ex, now);
	return got;
}

void
exchange_verdict(struct exchange *ex, int status, const char *code,
    const char *text, const char *detail, enum board_wrote wrote, int64_t now)
{
	struct conn *c = ex->conn;
	struct page page = { .status = status,
		.code = code,
		.text = text,
		.detail = *detail != '\0' ? detail : NULL };

	if (ex->is_direct && wrote == BOARD_ALL) {
		exchange_free(ex);
		exchange_answered(c, now);
		return;
	}
	if (ex->is_direct)
		conn_reclaim(c, wrote);
	if (exchange_drain(ex, now) != GOT_DONE)
		exchange_show(ex, &page, now);
}

static void
exchange_too_late(struct exchange *ex, int64_t now)
{
	int is_ready = ex->queue != NULL && ex->queue->is_ready;

	if (is_ready && log_again(&ex->queue->told, EXCHANGE_COMPLAIN, now))
		log_warn("%s: a request has waited for longer than %lld s "
			 "(queue_timeout), and gets status 503: it needs more "
			 "\"workers\" or faster answers",
		    ex->queue->name,
		    (long long)(ex->queue->queue_timeout / 1000));
	exchange_fail(ex, 503, is_ready ? "queue-full" : "starting",
	    is_ready ? PAGE_BUSY : PAGE_STARTING, 5, now);
}

void
exchange_taken(struct exchange *ex, int taken, int64_t now)
{
	if (!taken && exchange_drain(ex, now) != GOT_DONE && !ex->conn->wrote)
		exchange_too_late(ex, now);
}

/* -- direct answers -- */

static enum fate
exchange_fate(struct exchange *ex, const struct board **board, int64_t now)
{
	struct exchange_rules *rules = ex->rules;
	struct conn *c = ex->conn;
	struct fate_request request = { .responder = rules->responder,
		.counter = ex->counter,
		.generation = ex->queue->generation,
		.handed = ex->handed,
		.looks = ex->looks };

	if (fates_look(&rules->fates, rules->spool_dir, ex->queue->receive,
		now) == -1 &&
	    errno == ENOENT && c->rules->spool_lost(c->rules) == 0)
		(void)fates_look(
		    &rules->fates, rules->spool_dir, ex->queue->receive, now);
	return fates_of(&rules->fates, &request, board);
}

int
exchange_seems_over(struct exchange *ex, int64_t now)
{
	const struct board *board;
	enum fate fate;

	if (ex->state != EXCHANGE_RUNNING || !ex->is_direct)
		return 0;
	fate = exchange_fate(ex, &board, now);
	return fate == FATE_OVER || fate == FATE_UNKNOWN ||
	       (fate == FATE_RUNNING && board->word[BOARD_WROTE] == BOARD_ALL);
}

/* The answer to a direct request has been written whole. */
static void
exchange_answered(struct conn *c, int64_t now)
{
	if (c->keep)
		conn_give_back(c, now);
	else
		conn_finish_lent(c, now);
}

/* Has it been with one supervisor, none of whose workers has died? */
static int
exchange_is_sure(const struct exchange *ex)
{
	return ex->link == ex->rules->link && ex->crashes == ex->queue->crashes;
}

/* Neither queued nor with a worker: answered, or lost with a worker that died
 * in the instant in which it took it. */
static void
exchange_over(struct exchange *ex, int64_t now)
{
	struct conn *c = ex->conn;
	int is_sure = exchange_is_sure(ex);

	if (++ex->over < EXCHANGE_LOOKS) {
		exchange_arm(ex, now);
		return;
	}
	exchange_free(ex);
	if (c->keep && !is_sure)
		conn_drop_lent(c, now);
	else
		exchange_answered(c, now);
}

/* A worker has it: when did it last do something? */
static void
exchange_running(struct exchange *ex, const struct board *board, int64_t now)
{
	const uint64_t *word = board->word;

	ex->over = 0;
	if (word[BOARD_STATE] == BOARD_SENDING)
		ex->touched = now; /* the web server is the one that is slow */
	else if ((int64_t)word[BOARD_PROGRESS] > ex->touched)
		ex->touched = (int64_t)word[BOARD_PROGRESS];
	if (ex->touched > now) /* it is only a claim */
		ex->touched = now;
	if (now < exchange_alone(ex)) {
		exchange_arm(ex, now);
		return;
	}
	ex->conn->keep = 0; /* it may still write */
	exchange_verdict(ex, 504, "timeout", PAGE_LATE, "",
	    (enum board_wrote)word[BOARD_WROTE], now);
}

/* The answer to a direct request does not come past us: looks where it is. */
static void
exchange_look(struct exchange *ex, int64_t now)
{
	const struct board *board;

	if (!ex->conn->keep)
		conn_watch_lent(ex->conn);
	switch (exchange_fate(ex, &board, now)) {
	case FATE_WAITING:
		ex->over = 0;
		if (now < ex->not_after + EXCHANGE_GRACE) {
			exchange_arm(ex, now);
			return;
		}
		ex->conn->keep = 0; /* a worker may still find it */
		exchange_too_late(ex, now);
		return;
	case FATE_RUNNING:
		exchange_running(ex, board, now);
		return;
	case FATE_DEAD: /* where there is a supervisor it has told why */
		if (++ex->over < EXCHANGE_LOOKS)
			exchange_arm(ex, now);
		else
			exchange_verdict(ex, 502, "died", PAGE_DIED, "",
			    (enum board_wrote)board->word[BOARD_WROTE], now);
		return;
	case FATE_UNKNOWN:
		if (exchange_is_sure(ex) && now < exchange_alone(ex)) {
			ex->over = 0;
			exchange_arm(ex, now);
			return;
		}
		/* fall through */
	case FATE_OVER:
		exchange_over(ex, now);
		return;
	}
}

static void
exchange_due(struct timer *t, int64_t now)
{
	struct exchange *ex =
	    (struct exchange *)((char *)t - offsetof(struct exchange, timer));
	struct exchange_rules *rules = ex->rules;

	if (ex->has_heartbeat && now >= exchange_next_beat(ex)) {
		conn_heartbeat(ex->conn);
		ex->beat = now;
	}
	if (ex->state == EXCHANGE_WAITING && now >= exchange_patience(ex)) {
		exchange_too_late(ex, now);
		return;
	}
	if (ex->is_mourned) {
		exchange_died(ex, now);
		return;
	}
	if (ex->state == EXCHANGE_RUNNING && ex->is_direct) {
		exchange_look(ex, now);
		return;
	}
	if (ex->state == EXCHANGE_RUNNING && !ex->is_asked &&
	    !ex->conn->wrote && now >= ex->not_after + EXCHANGE_GRACE) {
		/* another supervisor than that of then would not know */
		if (ex->link == rules->link)
			rules->ask(ex, now);
		ex->is_asked = 1;
	}
	if (ex->state == EXCHANGE_RUNNING && now >= exchange_alone(ex) &&
	    ex->answer.at != 0) {
		exchange_fail(ex, 504, "timeout", PAGE_LATE, 0, now);
		return;
	}
	exchange_arm(ex, now);
}
