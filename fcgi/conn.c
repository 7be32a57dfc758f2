#include "config.h"

#include <errno.h>
#include <fastcgi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/conn.h"
#include "fcgi/record.h"
#include "fcgi/reply.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/relay.h"
#include "lib/wire.h"

#define CONN_COMPLAIN   1000 /* ms between lines about the web server */
#define CONN_IN_MOST    (RECORD_HEAD + RECORD_CONTENT_MOST + 255)
#define CONN_OUT_SLACK  (160 * 1024) /* for what is ours on top of an answer */
#define CONN_ASIDE_MOST 4096
#define CONN_READ_FIRST 4096
#define CONN_SHORT_MS   10 /* until what the kernel had no room for is tried */

static void conn_ready(struct watch *, short, int64_t);
static void conn_due(struct timer *, int64_t);
static void conn_stdin_end(struct conn *, int64_t);

struct conn *
conn_new(int fd, struct conn_rules *rules, int64_t now)
{
	struct conn *c = calloc(1, sizeof *c);

	if (c == NULL) {
		fd_close(&fd);
		return NULL;
	}
	c->watch =
	    (struct watch){ .fd = fd, .want = POLLIN, .ready = conn_ready };
	c->timer.due = conn_due;
	c->rules = rules;
	c->state = CONN_IDLE;
	c->heard = now;
	c->in = BUF_INIT(CONN_IN_MOST);
	c->out = BUF_INIT(CONN_OUT_MOST + CONN_OUT_SLACK);
	c->aside = BUF_INIT(CONN_ASIDE_MOST);
	c->pairs = BUF_INIT(WIRE_PARAMS_MOST + RECORD_CONTENT_MOST);
	params_init(&c->params);
	body_init(&c->body);
	if (loop_watch(rules->loop, &c->watch) == -1 ||
	    loop_timer(rules->loop, &c->timer, now + rules->idle_timeout) ==
		-1) {
		loop_unwatch(rules->loop, &c->watch);
		fd_close(&fd);
		free(c);
		return NULL;
	}
	rules->count++;
	return c;
}

/* What belongs to one request goes. */
static void
conn_forget(struct conn *c)
{
	params_release(&c->params);
	params_init(&c->params);
	buf_release(&c->pairs);
	body_release(&c->body);
	c->refused = 0;
	c->refusal = NULL;
	c->discarded = 0;
	c->expected = 0;
	c->has_length = 0;
	c->stray = 0;
	c->mid_record = 0;
	c->wrote = 0;
}

static void
conn_sweep_no_more(struct conn *c)
{
	if (c->lent != NULL && (*c->lent = c->next_lent) != NULL)
		c->next_lent->lent = c->lent;
	c->lent = NULL;
}

void
conn_free(struct conn *c)
{
	if (c->is_freed)
		return;
	c->is_freed = 1;
	c->rules->count--;
	loop_unwatch(c->rules->loop, &c->watch);
	loop_cancel(c->rules->loop, &c->timer);
	if (c->watch.fd != -1 && !(c->state == CONN_LENT && c->is_closed))
		shutdown(c->watch.fd, SHUT_RDWR);
	fd_close(&c->watch.fd);
	conn_forget(c);
	buf_release(&c->in);
	buf_release(&c->out);
	buf_release(&c->aside);
	if (c->link != NULL && (*c->link = c->next) != NULL)
		c->next->link = c->link;
	conn_sweep_no_more(c);
	if (c->depth == 0)
		free(c);
}

static void
conn_enter(struct conn *c)
{
	c->depth++;
}

static void
conn_leave(struct conn *c)
{
	if (--c->depth == 0 && c->is_freed)
		free(c);
}

static void
conn_gone(struct conn *c, int64_t now)
{
	if (!c->is_freed)
		c->gone(c, now);
}

static void
conn_interest(struct conn *c)
{
	short want = 0;

	if (c->watch.at == 0)
		return; /* lent */
	if (!c->is_closed && c->state != CONN_CLOSING)
		want |= POLLIN;
	if (buf_len(&c->out) > 0 && !c->is_short)
		want |= POLLOUT;
	loop_want(c->rules->loop, &c->watch, want);
}

/* Sends what the socket takes of n bytes: how many that were, or -1. */
static ssize_t
conn_write(struct conn *c, const void *bytes, size_t n)
{
	ssize_t sent;

	do
		sent = send(c->watch.fd, bytes, n, MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	if (sent == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (sent == -1 && (errno == ENOBUFS || errno == ENOMEM)) {
		/* the socket has room, so poll() would not wait */
		c->is_short =
		    loop_timer(c->rules->loop, &c->timer,
			loop_now(c->rules->loop) + CONN_SHORT_MS) == 0;
		return 0;
	}
	return sent;
}

/* Writes what is queued. -1 if the peer does not take it any more. */
static int
conn_flush(struct conn *c)
{
	ssize_t n;

	while (buf_len(&c->out) > 0) {
		n = conn_write(c, buf_data(&c->out), buf_len(&c->out));
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		buf_drop(&c->out, (size_t)n);
	}
	conn_interest(c);
	return 0;
}

/* Flushes; a connection that is over is told, once. Last use of c. */
static void
conn_settle(struct conn *c, int64_t now)
{
	if (c->is_freed)
		return;
	if (conn_flush(c) == -1 ||
	    (c->state == CONN_CLOSING && buf_len(&c->out) == 0))
		conn_gone(c, now);
}

/* A record of our own, between the records of an answer. */
static int
conn_emit(struct conn *c, const void *bytes, size_t n)
{
	return buf_add(c->mid_record ? &c->aside : &c->out, bytes, n);
}

static void
conn_emit_end(struct conn *c, uint16_t id, uint32_t app_status, int status)
{
	unsigned char end[RECORD_END];

	record_put_end(end, id, app_status, status);
	if (conn_emit(c, end, sizeof end) == -1)
		c->state = CONN_CLOSING;
}

/* The end of an answer that is not whole. */
static void
conn_emit_cut(struct conn *c)
{
	unsigned char end[RECORD_HEAD];

	record_put_head(end, FCGI_STDOUT, c->id, 0, 0);
	if (buf_add(&c->out, end, sizeof end) == 0)
		conn_emit_end(c, c->id, 1, FCGI_REQUEST_COMPLETE);
	else
		c->state = CONN_CLOSING;
}

static void
conn_complain(struct conn *c, int64_t now, const char *what)
{
	if (log_again(&c->rules->complained, CONN_COMPLAIN, now))
		log_warn("closed a connection from the web server: %s", what);
}

/* The peer does not speak FastCGI as we know it: only this ends. */
static void
conn_broken(struct conn *c, int64_t now, const char *what)
{
	conn_complain(c, now, what);
	conn_gone(c, now);
}

static void __attribute__((format(printf, 4, 5)))
conn_refuse(struct conn *c, int status, const char *code, const char *fmt, ...)
{
	va_list args;

	if (c->refused)
		return;
	c->refused = status;
	c->refusal = code;
	va_start(args, fmt);
	vsnprintf(c->reason, sizeof c->reason, fmt, args);
	va_end(args);
	body_release(&c->body);
}

static void
conn_arm(struct conn *c, int64_t now)
{
	int64_t limit = c->state == CONN_IDLE ? c->rules->idle_timeout
					      : c->rules->body_timeout;
	int64_t at = now + limit;

	if (c->timer.place == 0 || c->timer.at > at)
		if (loop_timer(c->rules->loop, &c->timer, at) == -1)
			c->state = CONN_CLOSING;
}

static void
conn_begin(struct conn *c, const struct record *r, int64_t now)
{
	const FCGI_BeginRequestBody *begin = (const void *)r->content;
	int keep;

	if (r->length != sizeof *begin) {
		conn_broken(c, now, "BEGIN_REQUEST of a wrong length");
		return;
	}
	keep = (begin->flags & FCGI_KEEP_CONN) != 0;
	if (c->state != CONN_IDLE) {
		if (r->request_id == c->id)
			conn_broken(c, now, "BEGIN_REQUEST twice");
		else
			conn_emit_end(c, r->request_id, 0, FCGI_CANT_MPX_CONN);
		return;
	}
	if (begin->roleB1 != 0 || begin->roleB0 != FCGI_RESPONDER) {
		conn_emit_end(c, r->request_id, 0, FCGI_UNKNOWN_ROLE);
		if (!keep)
			c->state = CONN_CLOSING;
		return;
	}
	conn_forget(c);
	c->id = r->request_id;
	c->keep = keep;
	c->state = CONN_PARAMS;
	conn_arm(c, now);
}

/* What is wrong with its parameters; without memory nothing is. */
static void
conn_refuse_params(
    struct conn *c, enum params_result result, const char *reason)
{
	if (result == PARAMS_BAD)
		conn_refuse(c, 400, "bad-request", "%s", reason);
	else if (result == PARAMS_TOO_MUCH)
		conn_refuse(c, 431, "headers", "%s", reason);
	else
		conn_refuse(
		    c, 503, "resources", "there is no memory for a request");
}

static void
conn_pair(struct conn *c, const struct pair *pair)
{
	enum params_result result;

	if (c->refused)
		return;
	result = params_add(&c->params, pair->name, pair->name_length,
	    pair->value, pair->value_length);
	if (result != PARAMS_OK)
		conn_refuse_params(c, result,
		    result == PARAMS_TOO_MUCH
			? "the request's headers are larger than mamayo accepts"
			: "a header or variable of the request cannot be "
			  "right");
}

static void
conn_params(struct conn *c, const struct record *r, int64_t now)
{
	struct pair pair;
	long used = 0;

	if (c->refused) {
		c->discarded += r->length;
		if (c->discarded > CONN_DISCARD_MOST)
			conn_broken(c, now, "parameters without end");
		return;
	}
	if (buf_add(&c->pairs, r->content, r->length) == -1) {
		conn_refuse_params(c,
		    errno == ENOMEM ? PARAMS_NO_MEMORY : PARAMS_TOO_MUCH,
		    "the request's headers are larger than mamayo accepts");
		return;
	}
	while (!c->refused &&
	       (used = record_pair(buf_data(&c->pairs), buf_len(&c->pairs),
		    PARAMS_NAME_MOST + PARAMS_VALUE_MOST, &pair)) > 0) {
		conn_pair(c, &pair);
		buf_drop(&c->pairs, (size_t)used);
	}
	if (used == -1)
		conn_refuse(c, 431, "headers",
		    "a header of the request is larger than mamayo accepts");
	if (c->refused)
		buf_release(&c->pairs);
}

static enum conn_server
conn_server(const struct params *p)
{
	const char *software = params_get(p, "SERVER_SOFTWARE");

	if (software == NULL)
		return CONN_OTHER;
	if (strncmp(software, "Apache", 6) == 0)
		return CONN_APACHE;
	if (strncmp(software, "lighttpd/", 9) == 0)
		return CONN_LIGHTTPD;
	return strncmp(software, "nginx/", 6) == 0 ? CONN_NGINX : CONN_OTHER;
}

static void
conn_params_end(struct conn *c)
{
	const char *length, *method;
	enum params_result result;
	struct problem why;

	c->state = CONN_BODY;
	c->server = conn_server(&c->params);
	method = params_get(&c->params, "REQUEST_METHOD");
	c->is_head = method != NULL && strcmp(method, "HEAD") == 0;
	if (buf_len(&c->pairs) > 0)
		conn_refuse(c, 400, "bad-request",
		    "the request's variables end in the middle");
	buf_release(&c->pairs);
	if (c->refused)
		return;
	result = params_settle(&c->params, &why);
	if (result != PARAMS_OK) {
		conn_refuse_params(c, result, why.text);
		return;
	}
	length = params_get(&c->params, "CONTENT_LENGTH");
	errno = 0;
	c->has_length = length != NULL;
	c->expected = length != NULL ? strtoull(length, NULL, 10) : INT64_MAX;
	if (errno != 0 || c->expected > INT64_MAX)
		conn_refuse(c, 400, "bad-request",
		    "the CONTENT_LENGTH is not a possible one");
}

/* Where bodies go may have been removed, and made anew, since we began. */
static int
conn_store(struct conn *c, const struct record *r)
{
	struct conn_rules *rules = c->rules;

	if (body_add(&c->body, rules->spool_dir, r->content, r->length) == 0)
		return 0;
	if (errno != ENOENT || rules->spool_lost(rules) == -1)
		return -1;
	return body_add(&c->body, rules->spool_dir, r->content, r->length);
}

static void
conn_stdin(struct conn *c, const struct record *r)
{
	if (c->refused)
		return;
	if (r->length > c->expected - c->body.length) {
		conn_refuse(c, 400, "bad-request",
		    "the request's body is longer than its CONTENT_LENGTH");
		return;
	}
	if (conn_store(c, r) == -1)
		conn_refuse(c, 503, "resources",
		    "the request's body cannot be stored: %s", strerror(errno));
}

/* mod_proxy_fcgi passes on a chunked upload without its length, which is known
 * now (W-19). */
static void
conn_set_length(struct conn *c)
{
	enum params_result result = PARAMS_OK;

	if (c->body.length > 0)
		result = params_set_length(&c->params, c->body.length);
	if (result != PARAMS_OK)
		conn_refuse_params(c, result,
		    "the request's headers are larger than mamayo accepts");
}

static void
conn_stdin_end(struct conn *c, int64_t now)
{
	struct page page = { 0 };

	if (!c->refused && !c->has_length)
		conn_set_length(c);
	else if (!c->refused && c->body.length != c->expected)
		conn_refuse(c, 400, "bad-request",
		    "the request's body is shorter than its CONTENT_LENGTH");
	c->state = CONN_WHOLE;
	if (!c->refused) {
		c->complete(c, now);
		return;
	}
	log_warn("answered %d: %s", c->refused, c->reason);
	page.status = c->refused;
	page.code = c->refusal;
	page.text = c->refused == 503
			? PAGE_SHORT
			: "This request is not complete, or not one that a "
			  "browser sends.";
	page.retry_after = c->refused == 503 ? 10 : 0;
	conn_page(c, &page, now);
}

/* Between two requests from now on. */
static void
conn_idle(struct conn *c, int64_t now)
{
	if (buf_len(&c->aside) > 0 &&
	    buf_add(&c->out, buf_data(&c->aside), buf_len(&c->aside)) == 0)
		buf_drop(&c->aside, buf_len(&c->aside));
	c->mid_record = 0;
	c->exchange = NULL;
	c->has_served = 1;
	c->state = CONN_IDLE;
	c->heard = now;
	conn_arm(c, now);
}

/* FCGI_ABORT_REQUEST for the request at hand. */
static void
conn_abort(struct conn *c, int64_t now)
{
	int is_lent = c->state == CONN_LENT;

	if (c->state == CONN_WHOLE || is_lent)
		c->aborted(c, now);
	if (c->is_freed)
		return;
	if (c->mid_record || is_lent) {
		conn_gone(c, now);
		return;
	}
	conn_emit_cut(c);
	conn_end(c, now);
}

static void
conn_management(struct conn *c, const struct record *r, int64_t now)
{
	unsigned char out[RECORD_VALUES_MOST] = { 0 };
	long n;

	if (r->type == FCGI_GET_VALUES) {
		n = record_values_answer(
		    r->content, r->length, c->rules->max_conns, out);
		if (n == -1) {
			conn_broken(c, now, "malformed GET_VALUES");
			return;
		}
	} else {
		record_put_head(out, FCGI_UNKNOWN_TYPE, 0, 8, 0);
		out[RECORD_HEAD] = (unsigned char)r->type;
		n = RECORD_HEAD + 8;
	}
	if (conn_emit(c, out, (size_t)n) == -1)
		conn_broken(c, now, "more management records than answers");
}

static void
conn_record(struct conn *c, const struct record *r, int64_t now)
{
	if (r->request_id == FCGI_NULL_REQUEST_ID) {
		conn_management(c, r, now);
		return;
	}
	if (r->type == FCGI_BEGIN_REQUEST) {
		if (c->state == CONN_LENT && c->keep) { /* so it is over */
			c->returned(c, now);
			conn_idle(c, now);
		}
		conn_begin(c, r, now);
		return;
	}
	if (c->state == CONN_IDLE || r->request_id != c->id ||
	    (r->type != FCGI_PARAMS && r->type != FCGI_STDIN &&
		r->type != FCGI_ABORT_REQUEST)) {
		if (++c->stray > CONN_STRAY_MOST)
			conn_broken(c, now, "records for no request");
		return;
	}
	if (r->type == FCGI_ABORT_REQUEST)
		conn_abort(c, now);
	else if (r->type == FCGI_PARAMS && c->state == CONN_PARAMS) {
		if (r->length == 0)
			conn_params_end(c);
		else
			conn_params(c, r, now);
	} else if (r->type == FCGI_STDIN && c->state == CONN_BODY) {
		if (r->length == 0)
			conn_stdin_end(c, now);
		else
			conn_stdin(c, r);
	} else
		conn_broken(c, now, "a stream goes on after its end");
}

/* Takes the records that are there. */
static void
conn_parse(struct conn *c, int64_t now)
{
	struct record r;
	long used;

	while (!c->is_freed && c->state != CONN_CLOSING) {
		used = record_take(buf_data(&c->in), buf_len(&c->in), &r);
		if (used == 0)
			return;
		if (used == -1) {
			conn_broken(c, now, "this is not FastCGI 1");
			return;
		}
		conn_record(c, &r, now);
		if (!c->is_freed)
			buf_drop(&c->in, (size_t)used);
	}
}

/* Reads a piece. Returns its size if there may be more, else 0. */
static size_t
conn_read(struct conn *c, int64_t now)
{
	size_t place =
	    buf_len(&c->in) == 0 ? CONN_READ_FIRST : buf_room(&c->in);
	unsigned char *space = buf_space(&c->in, place);
	ssize_t n;

	if (space == NULL) {
		conn_broken(c, now, "no memory for its records");
		return 0;
	}
	n = recv(c->watch.fd, space, place, MSG_DONTWAIT);
	if (n > 0) {
		buf_added(&c->in, (size_t)n);
		c->heard = now;
		conn_parse(c, now);
		return !c->is_freed && (size_t)n == place ? place : 0;
	}
	if (n == 0)
		c->is_closed = 1;
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		conn_gone(c, now);
	return 0;
}

static void
conn_hear(struct conn *c, short got, int64_t now)
{
	size_t taken = 0, n;

	/* bounded per turn, so that an upload does not starve the others */
	while (taken < CONN_TURN_MOST && c->state != CONN_CLOSING &&
	       (n = conn_read(c, now)) > 0)
		taken += n;
	if (c->is_freed)
		return;
	if (c->is_closed && c->state != CONN_WHOLE && c->state != CONN_CLOSING)
		conn_gone(c, now); /* a request that will never be whole */
	else if (got & (POLLHUP | POLLERR) && c->is_closed)
		conn_gone(c, now); /* closed both ways: nobody reads */
}

static void
conn_ready(struct watch *w, short got, int64_t now)
{
	struct conn *c = (struct conn *)w;
	int was_full = conn_room(c) < CONN_PIECE;

	conn_enter(c);
	if (c->state != CONN_CLOSING && !c->is_closed)
		conn_hear(c, got, now);
	else if (got & (POLLHUP | POLLERR))
		conn_gone(c, now);
	conn_settle(c, now);
	if (!c->is_freed && was_full && conn_room(c) >= CONN_PIECE)
		c->drained(c, now);
	if (!c->is_freed && (c->state == CONN_IDLE || c->state == CONN_LENT) &&
	    buf_len(&c->in) == 0)
		buf_release(&c->in);
	conn_leave(c);
}

void
conn_try(struct conn *c, int64_t now)
{
	conn_ready(&c->watch, POLLIN, now);
}

static void
conn_due(struct timer *t, int64_t now)
{
	struct conn *c =
	    (struct conn *)((char *)t - offsetof(struct conn, timer));
	int64_t limit = c->state == CONN_IDLE ? c->rules->idle_timeout
					      : c->rules->body_timeout;

	if (c->is_short) {
		c->is_short = 0;
		conn_arm(c, c->heard);
		conn_interest(c); /* and writes, when it is called for that */
		return;
	}
	conn_enter(c);
	switch (c->state) {
	case CONN_WHOLE:
	case CONN_LENT:
	case CONN_CLOSING: /* the answer has limits of its own */
		conn_leave(c);
		return;
	case CONN_IDLE:
	case CONN_PARAMS:
	case CONN_BODY:
		if (now - c->heard < limit) {
			conn_arm(c, c->heard);
			break;
		}
		if (c->state == CONN_IDLE && fd_has_unsent(c->watch.fd)) {
			conn_arm(c, now); /* the last answer is still read */
			break;
		}
		if (c->state == CONN_IDLE) {
			c->state = CONN_CLOSING; /* after the last answer */
			break;
		}
		c->refused = 0;
		conn_refuse(c, 408, "bad-request",
		    "the request did not go on for %lld seconds",
		    (long long)(limit / 1000));
		c->keep = 0;
		conn_stdin_end(c, now);
		break;
	}
	conn_settle(c, now);
	conn_leave(c);
}

int
conn_feed(struct conn *c, const void *bytes, size_t n, int64_t now)
{
	if (buf_add(&c->in, bytes, n) == -1)
		return -1;
	conn_enter(c);
	c->heard = now;
	conn_parse(c, now);
	conn_settle(c, now);
	conn_leave(c);
	return 0;
}

size_t
conn_room(const struct conn *c)
{
	size_t held = buf_len(&c->out);

	return held < CONN_OUT_MOST ? CONN_OUT_MOST - held : 0;
}

/* Something of the answer has been written or queued. */
static int
conn_forwarded(struct conn *c, int at_border)
{
	c->wrote = 1;
	c->mid_record = !at_border;
	if (at_border && buf_len(&c->aside) > 0) {
		if (buf_add(&c->out, buf_data(&c->aside), buf_len(&c->aside)) ==
		    -1)
			return -1;
		buf_drop(&c->aside, buf_len(&c->aside));
	}
	return conn_flush(c);
}

int
conn_forward(struct conn *c, const void *bytes, size_t n, int at_border)
{
	ssize_t sent = 0;

	/* what can be sent at once need not be kept */
	if (buf_len(&c->out) == 0 && (sent = conn_write(c, bytes, n)) == -1)
		return -1;
	if (buf_add(&c->out, (const char *)bytes + sent, n - (size_t)sent) ==
	    -1)
		return -1;
	return conn_forwarded(c, at_border);
}

ssize_t
conn_relay(struct conn *c, int from, size_t n)
{
	ssize_t moved;

	if (buf_len(&c->out) > 0)
		return 0;
	moved = relay(from, c->watch.fd, n, &c->out);
	if (moved > 0 && conn_forwarded(c, (size_t)moved == n) == -1)
		return -1;
	return moved;
}

void
conn_heartbeat(struct conn *c)
{
	unsigned char beat[RECORD_HEAD];

	if (c->mid_record || buf_len(&c->out) > 0)
		return; /* then the web server is the one that is slow */
	record_put_head(beat, FCGI_STDERR, c->id, 0, 0);
	if (buf_add(&c->out, beat, sizeof beat) == 0)
		(void)conn_flush(c); /* a failure shows at the next write */
}

int
conn_may_lend(const struct conn *c)
{
	struct record last;
	size_t held = buf_len(&c->in);

	if (held > 0 &&
	    record_take(buf_data(&c->in), held, &last) != (long)held)
		return 0; /* something has come after the request */
	return (c->server == CONN_LIGHTTPD || c->server == CONN_NGINX) &&
	       !c->is_closed && buf_len(&c->out) == 0 &&
	       buf_len(&c->aside) == 0;
}

void
conn_lend(struct conn *c)
{
	conn_forget(c);
	c->state = CONN_LENT;
	c->mid_record = 1; /* what we may want to say waits until it is over */
	if (!c->keep)
		loop_unwatch(c->rules->loop, &c->watch);
}

void
conn_give_back(struct conn *c, int64_t now)
{
	conn_enter(c);
	conn_idle(c, now);
	conn_settle(c, now);
	conn_leave(c);
}

void
conn_finish_lent(struct conn *c, int64_t now)
{
	shutdown(c->watch.fd, SHUT_WR); /* if the worker has not done it */
	c->is_closed = 1;
	conn_gone(c, now);
}

void
conn_drop_lent(struct conn *c, int64_t now)
{
	conn_gone(c, now);
}

void
conn_watch_lent(struct conn *c)
{
	if (c->watch.at == 0 && loop_watch(c->rules->loop, &c->watch) == 0)
		conn_sweep_no_more(c);
}

void
conn_reclaim(struct conn *c, enum board_wrote wrote)
{
	if (c->watch.at == 0 && loop_watch(c->rules->loop, &c->watch) == -1)
		c->is_closed = 1; /* the next write goes, or nothing does */
	c->state = CONN_WHOLE;
	c->wrote = wrote != BOARD_NOTHING;
	c->mid_record = wrote == BOARD_PARTS;
}

void
conn_sweep(struct conn *const *conns, size_t n, int64_t now)
{
	struct pollfd polled[CONN_SWEEP_MOST];

	if (n > CONN_SWEEP_MOST)
		n = CONN_SWEEP_MOST;
	for (size_t i = 0; i < n; i++)
		polled[i] = (struct pollfd){ .fd = conns[i]->watch.fd,
			.events = POLLIN };
	if (poll(polled, (nfds_t)n, 0) <= 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (polled[i].revents & (POLLHUP | POLLERR)) {
			conns[i]->is_closed = 1;
			conn_gone(conns[i], now);
		} else if (polled[i].revents != 0)
			conn_try(conns[i], now);
}

void
conn_close_idle(struct conn *c, int64_t now)
{
	if (c->state != CONN_IDLE)
		return;
	conn_enter(c);
	c->state = CONN_CLOSING;
	conn_settle(c, now);
	conn_leave(c);
}

void
conn_page(struct conn *c, const struct page *page, int64_t now)
{
	struct page mine = *page;
	unsigned char *reply;
	size_t n;

	mine.head = c->is_head;
	reply = reply_make(&mine, c->id, &n);
	if (reply == NULL || buf_add(&c->out, reply, n) == -1)
		conn_emit_end(c, c->id, 1, FCGI_OVERLOADED);
	free(reply);
	conn_end(c, now);
}

void
conn_page_short(struct conn *c, int64_t now)
{
	static const struct page page = { .status = 503,
		.code = "resources",
		.text = PAGE_SHORT,
		.retry_after = 10 };

	conn_page(c, &page, now);
}

void
conn_end(struct conn *c, int64_t now)
{
	conn_enter(c);
	conn_forget(c);
	c->exchange = NULL;
	c->has_served = 1;
	if (c->keep && !c->is_closed && c->state != CONN_CLOSING)
		conn_idle(c, now);
	else
		c->state = CONN_CLOSING;
	conn_settle(c, now);
	conn_leave(c);
}

void
conn_cut(struct conn *c, int64_t now)
{
	/* nginx waits for END_REQUEST where it has not asked to keep the
	 * connection; every other server would take it for a whole answer */
	if (!c->mid_record && !c->keep && c->server == CONN_NGINX)
		conn_emit_cut(c);
	c->keep = 0;
	conn_end(c, now);
}
