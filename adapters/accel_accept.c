#include "config.h"

/* Before Python.h, with whose switches it would ask for an fcntl64() that only
 * a C library of these days has. */
#include <fcntl.h>

#include "adapters/accel.h"
#include "lib/clock.h"
#include "lib/link.h"
#include "lib/params.h"
#include "lib/testpoint.h"
#include "lib/url.h"

#include <errno.h>
#include <fastcgi.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC        (sizeof LINK_BACK_MAGIC - 1)
#define FIRST_MS     10   /* for a new connection to say something */
#define LOOK_MS      1000 /* between looks whether everything is still ours */
#define BACK_MS      5000 /* for the responder to take a connection back */
#define BACK_STEP_MS 10

/* Parts of a stream, as one piece. */
struct stream {
	const unsigned char *at;
	size_t n;
	unsigned char *room; /* LINK_BACK_MOST bytes, if there are several */
};

struct incoming {
	uint16_t id;
	int keep;
	struct stream params, body;
};

/* ------------------------------------------------------------ handing back */

static int
back_send(int back, const void *bytes, size_t n, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec text;
	struct msghdr message = { .msg_iov = &text,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	struct cmsghdr *c;

	memcpy(&text.iov_base, &bytes, sizeof bytes);
	text.iov_len = n;
	memset(&control, 0, sizeof control);
	c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(back, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == -1 ? -1
									  : 0;
}

/*
 * The responder goes on with this connection, of which n bytes have been read
 * (they lie behind MAGIC bytes of room). Closes it. 0, or -1 if there is no
 * responder any more.
 */
static int
hand_back(const struct lent_socket *l, const char *magic, unsigned char *bytes,
    size_t n, int fd)
{
	const struct timespec step = { .tv_nsec = BACK_STEP_MS * 1000000 };
	int failed;

	memcpy(bytes, magic, MAGIC);
	TESTPOINT("worker:hand-back");
	failed = back_send(l->back, bytes, MAGIC + n, fd);
	for (int ms = 0; failed && ms < BACK_MS && errno != EPIPE &&
			 errno != ECONNREFUSED && errno != ECONNRESET;
	     ms += BACK_STEP_MS) {
		Py_BEGIN_ALLOW_THREADS nanosleep(&step, NULL);
		Py_END_ALLOW_THREADS failed =
		    back_send(l->back, bytes, MAGIC + n, fd);
	}
	close(fd);
	return failed;
}

/* --------------------------------------------------------------- a request */

static void
stream_add(struct stream *s, const struct record *r)
{
	if (s->n == 0)
		s->at = r->content;
	else {
		if (s->at != s->room)
			memcpy(s->room, s->at, s->n);
		s->at = s->room;
		memcpy(s->room + s->n, r->content, r->length);
	}
	s->n += r->length;
}

/* Takes the records of one stream, up to its end. Returns the bytes used; 0 if
 * it is not whole, or something else is in between. */
static size_t
stream_take(
    struct stream *s, int type, uint16_t id, const unsigned char *in, size_t n)
{
	struct record r;
	size_t at = 0;
	long used;

	while ((used = record_take(in + at, n - at, &r)) > 0) {
		if (r.type != type || r.request_id != id)
			return 0;
		at += (size_t)used;
		if (r.length == 0)
			return at;
		stream_add(s, &r);
	}
	return 0;
}

/* One whole request and nothing else: 1, or 0. */
static int
incoming_take(struct incoming *q, const unsigned char *in, size_t n)
{
	const FCGI_BeginRequestBody *begin;
	struct record r;
	long used = record_take(in, n, &r);
	size_t at, more;

	if (used <= 0 || r.type != FCGI_BEGIN_REQUEST || r.request_id == 0 ||
	    r.length != sizeof *begin)
		return 0;
	begin = (const void *)r.content;
	if (begin->roleB1 != 0 || begin->roleB0 != FCGI_RESPONDER)
		return 0;
	q->id = r.request_id;
	q->keep = (begin->flags & FCGI_KEEP_CONN) != 0;
	at = (size_t)used;
	more = stream_take(&q->params, FCGI_PARAMS, q->id, in + at, n - at);
	if (more == 0)
		return 0;
	at += more;
	more = stream_take(&q->body, FCGI_STDIN, q->id, in + at, n - at);
	return more != 0 && at + more == n;
}

/* The variables, as every app gets them: 1, or 0. */
static int
params_take(struct params *p, const struct stream *s)
{
	struct problem why;
	struct pair pair;
	size_t at = 0;
	long used;

	while (at < s->n) {
		used = record_pair(s->at + at, s->n - at,
		    PARAMS_NAME_MOST + PARAMS_VALUE_MOST, &pair);
		if (used <= 0 ||
		    params_add(p, pair.name, pair.name_length, pair.value,
			pair.value_length) != PARAMS_OK)
			return 0;
		at += (size_t)used;
	}
	return params_settle(p, &why) == PARAMS_OK;
}

/* R-BODY1; a body without a length gets one (W-19). */
static int
length_fits(struct params *p, size_t n)
{
	const char *length = params_get(p, "CONTENT_LENGTH");

	if (length != NULL)
		return strtoull(length, NULL, 10) == n;
	return n == 0 || params_set_length(p, n) == PARAMS_OK;
}

/* Leads the address to the application? Then SCRIPT_NAME and PATH_INFO are
 * set. */
static int
url_leads_here(struct params *p, const struct lent_socket *l)
{
	const char *redirected = params_get(p, "REDIRECT_SCRIPT_NAME");
	size_t mount = strlen(l->mount);
	struct url url;
	int leads;

	if (redirected != NULL ||
	    params_url(p, l->program, l->base, &url) != URL_OK)
		return 0;
	leads = url.path_length >= mount &&
		memcmp(url.path, l->mount, mount) == 0 &&
		(url.path_length == mount || url.path[mount] == '/') &&
		params_place(p, &url, l->mount) == PARAMS_OK;
	url_release(&url);
	return leads;
}

/* Apache wants to hear from us every 15 seconds, which is the responder's
 * business. */
static int
is_apache(const struct params *p)
{
	const char *software = params_get(p, "SERVER_SOFTWARE");

	return software != NULL && strncmp(software, "Apache", 6) == 0;
}

/* Answers it; takes the connection. */
static int
incoming_answer(struct accelerator *s, struct lent_socket *l,
    const struct incoming *q, int fd)
{
	struct params *p = &s->accept->params;
	const char *method = params_get(p, "REQUEST_METHOD");
	struct request r = {
		.answer = fd, .spool = -1, .is_ours = 1, .now = s->taken
	};
	int again = -1, failed;

	if (q->keep && (again = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1)
		return hand_back(l, LINK_BACK_MAGIC, s->accept->bytes,
			   s->accept->length, fd) == -1
			   ? 0
			   : 1;
	r.head.flags = q->keep ? WIRE_DIRECT | WIRE_KEEP_CONN : WIRE_DIRECT;
	r.head.request_id = q->id;
	r.head.params = (uint32_t)p->length;
	r.head.body = q->body.n;
	r.head.counter = ++s->accept->counter;
	r.head.queued = (uint64_t)s->taken;
	r.head.not_after = UINT64_MAX;
	r.params = p->text;
	r.body = (const char *)q->body.at;
	s->page.word[BOARD_CONNECTION] = (uint64_t)fd;
	s->page.word[BOARD_REQUEST_ID] =
	    (uint64_t)q->id +
	    (method != NULL && strcmp(method, "HEAD") == 0 ? 65536 : 0);
	failed = request_answer(s, &r);
	if (r.answer != -1)
		close(r.answer);
	if (again != -1)
		(void)hand_back(
		    l, LINK_BACK_SERVED, s->accept->bytes, 0, again);
	return failed ? -1 : 1;
}

/* ------------------------------------------------------------- connections */

static ssize_t
read_first(int fd, unsigned char *bytes)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = recv(fd, bytes, LINK_BACK_MOST, MSG_DONTWAIT);

	if (n != -1 || (errno != EAGAIN && errno != EWOULDBLOCK))
		return n;
	/* connected, but its request is not yet written: nearly always that is
	 * a matter of microseconds */
	Py_BEGIN_ALLOW_THREADS(void) poll(&p, 1, FIRST_MS);
	Py_END_ALLOW_THREADS n = recv(fd, bytes, LINK_BACK_MOST, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0; /* nothing yet */
	return n == 0 ? -1 : n;
}

/* Calls a method of the worker without arguments, for its truth. */
static int
ask_worker(const struct accelerator *s, enum word method)
{
	PyObject *said =
	    PyObject_CallMethodObjArgs(s->worker, accel_words[method], NULL);
	int truth = said != NULL ? PyObject_IsTrue(said) : -1;

	Py_XDECREF(said);
	return truth;
}

/* Takes the connection: answers its request, or hands it back. */
static int
connection_take(struct accelerator *s, struct lent_socket *l, int fd)
{
	struct accept *a = s->accept;
	struct incoming q = { .params.room = a->params_room,
		.body.room = a->body_room };
	ssize_t n;
	int is_ours;

	TESTPOINT("worker:accepted");
	n = read_first(fd, a->bytes + MAGIC);
	if (n == -1) {
		close(fd);
		return 1;
	}
	a->length = (size_t)n;
	params_clear(&a->params);
	is_ours = incoming_take(&q, a->bytes + MAGIC, (size_t)n) &&
		  params_take(&a->params, &q.params) &&
		  length_fits(&a->params, q.body.n) && !is_apache(&a->params) &&
		  url_leads_here(&a->params, l);
	if (is_ours)
		return incoming_answer(s, l, &q, fd);
	(void)hand_back(l, LINK_BACK_MAGIC, a->bytes, a->length, fd);
	if (is_apache(&a->params) && ask_worker(s, WORD_UNWANTED) == -1)
		return -1;
	return 1;
}

/* Out of the epoll set. What we have been woken for is owed to the others: one
 * connection, which the responder takes over. */
static void
socket_leave(struct accelerator *s, struct lent_socket *l, int is_kind)
{
	struct epoll_event none = { 0 };
	int fd = -1;

	(void)epoll_ctl(s->waits, EPOLL_CTL_DEL, l->listener, &none);
	if (is_kind)
		fd = accept4(
		    l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd != -1)
		(void)hand_back(l, LINK_BACK_MAGIC, s->accept->bytes, 0, fd);
	close(l->listener);
	close(l->back);
	free(l->mount);
	free(l->program);
	free(l->base);
}

void
accept_leave(struct accelerator *s)
{
	struct accept *a = s->accept;

	if (a == NULL)
		return;
	while (a->n > 0)
		socket_leave(s, &a->sockets[--a->n], 1);
}

/* In a forked child: it has no connection to accept. */
void
accept_forked(struct accept *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n; i++) {
		close(a->sockets[i].listener);
		close(a->sockets[i].back);
	}
	a->n = 0;
}

void
accept_release(struct accept *a)
{
	if (a == NULL)
		return;
	params_release(&a->params);
	free(a);
}

/* May a worker go on by itself? 0: no more connections, they go back. */
static int
accept_may_go_on(struct accelerator *s)
{
	int changed;

	if (s->taken - s->accept->looked < LOOK_MS)
		return 1;
	s->accept->looked = s->taken;
	changed = ask_worker(s, WORD_PLACES_CHANGED);
	return changed == -1 ? -1 : !changed;
}

/* A new connection. */
static int
accept_one(struct accelerator *s, struct lent_socket *l, int fd)
{
	int may;

	s->taken = clock_ms();
	may = accept_may_go_on(s);
	if (may != 1) {
		(void)hand_back(l, LINK_BACK_MAGIC, s->accept->bytes, 0, fd);
		accept_leave(s);
		return may == -1 ? -1 : 1;
	}
	return connection_take(s, l, fd);
}

int
accept_take(struct accelerator *s)
{
	struct accept *a = s->accept;
	int fd;

	if (a == NULL)
		return 0;
	for (size_t i = 0; i < a->n; i++) {
		fd = accept4(a->sockets[i].listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1)
			return accept_one(s, &a->sockets[i], fd);
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ||
		    errno == ECONNABORTED)
			continue;
		/* no room for it here: let those who wait have it */
		accept_leave(s);
		return ask_worker(s, WORD_PLACES_LOST) == -1 ? -1 : 1;
	}
	return 0;
}

/* ------------------------------------------------------------ for the worker
 */

static struct accept *
accept_new(void)
{
	struct accept *a = calloc(1, sizeof *a);

	if (a != NULL)
		params_init(&a->params);
	return a;
}

static int
socket_add(struct accelerator *s, int listener, int back, const char *mount,
    const char *program, const char *base)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.fd = listener };
	struct lent_socket *l;

	if (s->accept == NULL)
		s->accept = accept_new();
	if (s->accept == NULL || s->accept->n == ACCEPT_SOCKETS)
		return -1;
	l = &s->accept->sockets[s->accept->n];
	*l = (struct lent_socket){ .listener = listener,
		.back = back,
		.mount = strdup(mount),
		.program = strdup(program),
		.base = base != NULL ? strdup(base) : NULL };
	if (l->mount != NULL && l->program != NULL &&
	    (base == NULL || l->base != NULL) &&
	    epoll_ctl(s->waits, EPOLL_CTL_ADD, listener, &event) == 0) {
		s->accept->n++;
		return 0;
	}
	free(l->mount);
	free(l->program);
	free(l->base);
	return -1;
}

PyObject *
accept_lend(PyObject *self, PyObject *args)
{
	struct accelerator *s = (struct accelerator *)self;
	const char *mount, *program, *base;
	int listener, back, failed;

	if (!PyArg_ParseTuple(
		args, "iissz", &listener, &back, &mount, &program, &base))
		return NULL;
	failed = s->waits == -1 ||
		 socket_add(s, listener, back, mount, program, base) == -1;
	if (failed) {
		close(listener);
		close(back);
	}
	return PyBool_FromLong(!failed);
}

PyObject *
accept_return(PyObject *self, PyObject *nothing)
{
	(void)nothing;
	accept_leave((struct accelerator *)self);
	Py_INCREF(Py_None);
	return Py_None;
}
