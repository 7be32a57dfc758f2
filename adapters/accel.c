#include "config.h"

#include "adapters/accel.h"
#include "lib/clock.h"
#include "lib/testpoint.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL     3 /* the worker's descriptors, as in mamayo_wsgi.py */
#define QUEUE       4
#define SCOREBOARD  5
#define PATIENCE_MS 100 /* between looks at the control socket */
#define FDS_MOST    2   /* that come with a message */

#ifndef EPOLLEXCLUSIVE
#define EPOLLEXCLUSIVE (1u << 28)
#endif

PyObject *accel_words[WORDS];
int accel_forked;
int accel_has_children;
static struct accelerator *the_one; /* whose sockets a fork must not hold */

static const char *const word_texts[WORDS] = {
	[WORD_APPLICATION] = "application",
	[WORD_BOARD] = "board",
	[WORD_CLOSE] = "close",
	[WORD_CONSTANTS] = "constants",
	[WORD_DELIVER] = "deliver",
	[WORD_ENDED] = "ended",
	[WORD_FAIL] = "fail",
	[WORD_FINISH] = "finish",
	[WORD_FLUSH] = "flush",
	[WORD_HANG_UP] = "hang_up",
	[WORD_HEAR] = "hear",
	[WORD_HTTP] = "http",
	[WORD_HTTPS] = "https",
	[WORD_INPUT] = "wsgi.input",
	[WORD_LEAVING] = "leaving",
	[WORD_PID] = "pid",
	[WORD_PLACES_CHANGED] = "places_changed",
	[WORD_PLACES_LOST] = "places_lost",
	[WORD_PUSH] = "push",
	[WORD_REPORT] = "report",
	[WORD_RETIRING] = "retiring",
	[WORD_SEND] = "send",
	[WORD_START_RESPONSE] = "start_response",
	[WORD_STREAMS] = "streams",
	[WORD_TOOK] = "took",
	[WORD_TRANSMIT] = "transmit",
	[WORD_UNWANTED] = "unwanted",
	[WORD_URL_SCHEME] = "wsgi.url_scheme",
	[WORD_WRITE] = "write",
};

/* ------------------------------------------------------------- the queue -- */

static int
accelerator_is(const struct accelerator *s, enum word what)
{
	PyObject *said = PyObject_GetAttr(s->worker, accel_words[what]);
	int is_true = said != NULL ? PyObject_IsTrue(said) : -1;

	Py_XDECREF(said);
	return is_true;
}

int
accelerator_is_leaving(const struct accelerator *s)
{
	return accelerator_is(s, WORD_LEAVING);
}

static int
failed_call(void)
{
	PyErr_SetFromErrno(PyExc_OSError);
	return -1;
}

/* One idle worker is woken for one request, nearly always the same one, whose
 * caches are warm: that is EPOLLEXCLUSIVE. */
static int
accelerator_watch(struct accelerator *s)
{
	struct epoll_event queue = { .events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.fd = QUEUE };
	struct epoll_event control = { .events = EPOLLIN, .data.fd = CONTROL };

	s->waits = epoll_create1(EPOLL_CLOEXEC);
	if (s->waits == -1)
		return failed_call();
	if (epoll_ctl(s->waits, EPOLL_CTL_ADD, QUEUE, &queue) == -1) {
		queue.events = EPOLLIN; /* Linux before 4.5 */
		if (epoll_ctl(s->waits, EPOLL_CTL_ADD, QUEUE, &queue) == -1)
			return failed_call();
	}
	if (!s->is_seeking &&
	    epoll_ctl(s->waits, EPOLL_CTL_ADD, CONTROL, &control) == -1)
		return failed_call();
	s->is_watching = 1;
	return 0;
}

/* A wake-up that was given to us is owed to the queue: after this there are no
 * more, and then we serve until it is empty. */
static int
accelerator_unwatch(struct accelerator *s)
{
	struct epoll_event none = { 0 };

	if (epoll_ctl(s->waits, EPOLL_CTL_DEL, QUEUE, &none) == -1)
		return failed_call();
	s->is_watching = 0;
	page_idle(&s->page, 1);
	return 0;
}

static int
accelerator_hear(struct accelerator *s)
{
	PyObject *heard =
	    PyObject_CallMethodObjArgs(s->worker, accel_words[WORD_HEAR], NULL);

	Py_XDECREF(heard);
	s->heard = clock_ms();
	return heard != NULL ? 0 : -1;
}

static int
accelerator_wait(struct accelerator *s)
{
	struct epoll_event events[4];
	PyThreadState *thread = PyEval_SaveThread();
	int n = epoll_wait(
		s->waits, events, 4, s->is_seeking ? PATIENCE_MS : -1),
	    failure = errno;

	s->slept++;
	PyEval_RestoreThread(thread);
	errno = failure;
	if (n == -1)
		return errno == EINTR ? PyErr_CheckSignals() : failed_call();
	if (n == 0)
		return accelerator_hear(s);
	for (int i = 0; i < n; i++)
		if (events[i].data.fd == CONTROL)
			return accelerator_hear(s);
	return 0;
}

/* What came with a message, in order; gives how many. */
static int
descriptors(struct msghdr *message, int *fds)
{
	struct cmsghdr *c;
	int n = 0, most;

	for (c = CMSG_FIRSTHDR(message); c != NULL;
	     c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		most = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof fds[0]);
		for (int i = 0; i < most && n < FDS_MOST; i++)
			memcpy(&fds[n++],
			    CMSG_DATA(c) + (size_t)i * sizeof fds[0],
			    sizeof fds[0]);
	}
	return n;
}

static PyObject *
list_of(const int *fds, int n)
{
	PyObject *list = PyList_New(0), *number;
	int failed = list == NULL;

	for (int i = 0; i < n && !failed; i++) {
		number = PyLong_FromLong(fds[i]);
		failed = number == NULL || PyList_Append(list, number) == -1;
		Py_XDECREF(number);
	}
	if (!failed)
		return list;
	Py_XDECREF(list);
	return NULL;
}

/* A message that is not quite usual, with the n descriptors that it brought:
 * Python knows what to do about it. */
static int
accelerator_pass_on(
    struct accelerator *s, size_t length, int *fds, int n, int flags)
{
	PyObject *list = list_of(fds, n), *message = NULL, *took = NULL;
	PyObject *number = PyLong_FromLong(flags);

	if (list != NULL && number != NULL)
		message = PyBytes_FromStringAndSize(
		    (const char *)s->message, (Py_ssize_t)length);
	if (message != NULL) {
		for (int i = 0; i < n; i++)
			fds[i] = -1; /* Python closes them */
		took = PyObject_CallMethodObjArgs(s->worker,
		    accel_words[WORD_TOOK], message, list, number, NULL);
	}
	Py_XDECREF(list);
	Py_XDECREF(number);
	Py_XDECREF(message);
	Py_XDECREF(took);
	s->taken = clock_ms();
	return took != NULL ? 0 : -1;
}

/* Is it a request that we can answer here? */
static int
request_read(struct request *r, const struct accelerator *s, size_t length,
    const int *fds, int n)
{
	const char *after = (const char *)s->message + WIRE_HEAD;

	if (wire_get_head(s->message, length, &r->head) == -1 ||
	    (r->head.flags & WIRE_SPOOL_PARAMS) != 0 ||
	    n != 1 + (r->head.flags & WIRE_SPOOL))
		return 0;
	r->params = after;
	r->body = after + r->head.params;
	r->answer = fds[0];
	r->spool = n == 2 ? fds[1] : -1;
	r->is_ours = 0;
	r->now = clock_ms();
	return (uint64_t)r->now <= r->head.not_after;
}

static int
accelerator_took(
    struct accelerator *s, size_t length, int flags, int *fds, int n)
{
	struct request r;
	int failed;

	if ((flags & (MSG_CTRUNC | MSG_TRUNC)) != 0 ||
	    !request_read(&r, s, length, fds, n))
		return accelerator_pass_on(s, length, fds, n, flags);
	s->taken = r.now;
	TESTPOINT("worker:read");
	failed = request_answer(s, &r);
	fds[0] = r.answer;
	if (n == 2)
		fds[1] = r.spool;
	return failed;
}

/* Answers one request: 1; 0 if there is none now; -1. */
static int
accelerator_take(struct accelerator *s)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MOST)];
	} control;
	struct iovec text = { .iov_base = s->message,
		.iov_len = sizeof s->message };
	struct msghdr message = { .msg_iov = &text,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	int fds[FDS_MOST], n, failed;
	ssize_t length =
	    recvmsg(QUEUE, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (length == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (length == -1)
		return failed_call();
	if (length == 0) /* the queue's other end has been shut down */
		return PyObject_SetAttr(
		    s->worker, accel_words[WORD_LEAVING], Py_True);
	TESTPOINT("worker:taken");
	n = descriptors(&message, fds);
	failed = accelerator_took(s, (size_t)length, message.msg_flags, fds, n);
	for (int i = 0; i < n; i++)
		if (fds[i] != -1)
			close(fds[i]); /* nobody has adopted it */
	return failed ? -1 : 1;
}

/*
 * Takes a request from the queue or, while that is empty, a connection. While
 * connections come faster than every millisecond, the queue is not asked before
 * each of them; before we sleep, both are.
 */
static int
accelerator_take_any(struct accelerator *s)
{
	int took;

	if (s->accept == NULL || !s->is_watching)
		return accelerator_take(s);
	if (s->taken != s->queue_asked) {
		took = accelerator_take(s);
		if (took != 0)
			return took;
		s->queue_asked = s->taken;
		return accept_take(s);
	}
	took = accept_take(s);
	if (took == 0)
		took = accelerator_take(s);
	return took;
}

/* One turn of the loop in Worker.serve(): 1 to go on, 0 at the end, -1. */
static int
accelerator_turn(struct accelerator *s)
{
	int leaving, retiring, took;

	if (PyErr_CheckSignals() == -1)
		return -1;
	leaving = accelerator_is_leaving(s);
	if (leaving == -1 ||
	    (leaving && s->is_watching && accelerator_unwatch(s) == -1))
		return -1;
	if (leaving)
		TESTPOINT("worker:unwatched");
	took = accelerator_take_any(s);
	if (took == -1)
		return -1;
	if (took == 1 && !s->is_watching &&
	    (retiring = accelerator_is(s, WORD_RETIRING)) != 0) {
		/* perhaps we had been woken for this one */
		accept_leave(s);
		return retiring == -1 ? -1 : 0;
	}
	if (took == 1)
		return s->taken - s->heard > PATIENCE_MS &&
			       accelerator_hear(s) == -1
			   ? -1
			   : 1;
	if (!s->is_watching) {
		accept_leave(s);
		return 0;
	}
	/* what came while Python did something rare is a reason not to sleep */
	leaving = accelerator_is_leaving(s);
	if (leaving == 0 && accelerator_wait(s) == -1)
		return -1;
	return leaving == -1 ? -1 : 1;
}

/* ------------------------------------------------------------ its object -- */

static PyObject *
attribute(const char *module, const char *name)
{
	PyObject *m = PyImport_ImportModule(module), *found = NULL;

	if (m != NULL)
		found = PyObject_GetAttrString(m, name);
	Py_XDECREF(m);
	return found;
}

static int
accelerator_find(struct accelerator *s)
{
	const struct {
		PyObject **to;
		const char *module, *name;
	} wanted[] = {
		{ &s->bytes_io, "io", "BytesIO" },
		{ &s->spooled, "mamayo_wsgi", "spooled" },
		{ &s->url_scheme, "mamayo_wsgi", "url_scheme" },
		{ &s->answer_class, "mamayo_answer", "Answer" },
		{ &s->over, "mamayo_answer", "over" },
		{ &s->wrapper_class, "mamayo_answer", "FileWrapper" },
		{ &s->gone, "mamayo_answer", "VisitorGone" },
		{ &s->check_status, "mamayo_answer", "check_status" },
		{ &s->check_name, "mamayo_answer", "check_name" },
	};

	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		*wanted[i].to = attribute(wanted[i].module, wanted[i].name);
		if (*wanted[i].to == NULL)
			return -1;
	}
	return 0;
}

static int
accelerator_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
	struct accelerator *s = (struct accelerator *)self;
	PyObject *worker;

	if (s->worker != NULL || kwargs != NULL) {
		PyErr_SetString(PyExc_TypeError, "Accelerator(worker), once");
		return -1;
	}
	if (!PyArg_ParseTuple(args, "O", &worker))
		return -1;
	Py_INCREF(worker);
	s->worker = worker;
	s->waits = -1;
	accel_forked = accel_has_children = 0;
	the_one = s;
	if (accelerator_find(s) == -1 || environ_init(&s->environ) == -1 ||
	    page_map(&s->page, SCOREBOARD) == -1)
		return -1;
	s->answer_type = PyType_FromSpec(&answer_spec);
	s->statuses = PyDict_New();
	s->lines = PyDict_New();
	s->empty = PyBytes_FromStringAndSize("", 0);
	return s->answer_type != NULL && s->statuses != NULL &&
		       s->lines != NULL && s->empty != NULL
		   ? 0
		   : -1;
}

static void
accelerator_dealloc(PyObject *self)
{
	struct accelerator *s = (struct accelerator *)self;
	PyTypeObject *type = Py_TYPE(self);
	PyObject *const held[] = { s->worker, s->application, s->constants,
		s->streams, s->bytes_io, s->spooled, s->url_scheme,
		s->answer_class, s->over, s->wrapper_class, s->gone,
		s->check_status, s->check_name, s->answer_type, s->statuses,
		s->lines, s->empty };

	for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
		Py_XDECREF(held[i]);
	if (the_one == s)
		the_one = NULL;
	accept_release(s->accept);
	environ_release(&s->environ);
	page_unmap(&s->page);
	if (s->waits > 0)
		close(s->waits);
	PyObject_Free(self);
	Py_DECREF((PyObject *)type);
}

/* What the application's start has left behind. */
static int
accelerator_prepare(struct accelerator *s)
{
	PyObject *w = s->worker;

	if (s->waits != -1 || s->worker == NULL || s->empty == NULL) {
		PyErr_SetString(PyExc_RuntimeError, "serve(), once");
		return -1;
	}
	s->application = PyObject_GetAttr(w, accel_words[WORD_APPLICATION]);
	s->constants = PyObject_GetAttr(w, accel_words[WORD_CONSTANTS]);
	s->streams = PyObject_GetAttr(w, accel_words[WORD_STREAMS]);
	if (s->application == NULL || s->constants == NULL ||
	    s->streams == NULL)
		return -1;
	if (!PyDict_Check(s->constants) || !PyTuple_Check(s->streams)) {
		PyErr_SetString(PyExc_TypeError, "not a mamayo_wsgi.Worker");
		return -1;
	}
	s->knows_scheme =
	    PyDict_GetItemString(s->constants, "HTTPS") == NULL &&
	    PyDict_GetItemString(s->constants, "REQUEST_SCHEME") == NULL;
	return accelerator_watch(s);
}

static PyObject *
accelerator_serve(PyObject *self, PyObject *nothing)
{
	struct accelerator *s = (struct accelerator *)self;
	int more, leaving;

	(void)nothing;
	if (accelerator_prepare(s) == -1 ||
	    (leaving = accelerator_is_leaving(s)) == -1)
		return NULL;
	page_idle(&s->page, leaving);
	do
		more = accelerator_turn(s);
	while (more == 1);
	if (more == -1)
		return NULL;
	Py_INCREF(Py_None);
	return Py_None;
}

/* The control socket is dead, or there is a new one in its place. */
static PyObject *
accelerator_seek(PyObject *self, PyObject *is_seeking)
{
	struct accelerator *s = (struct accelerator *)self;
	struct epoll_event control = { .events = EPOLLIN, .data.fd = CONTROL };
	int is = PyObject_IsTrue(is_seeking);

	if (is == -1)
		return NULL;
	if (is != s->is_seeking && s->waits != -1 &&
	    epoll_ctl(s->waits, is ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, CONTROL,
		&control) == -1) {
		(void)failed_call();
		return NULL;
	}
	s->is_seeking = is;
	Py_INCREF(Py_None);
	return Py_None;
}

static PyMethodDef accelerator_methods[] = {
	{ "serve", accelerator_serve, METH_NOARGS,
	    "Until we are to leave and nothing is queued, or to retire." },
	{ "lend", accept_lend, METH_VARARGS,
	    "Accept from this listening socket, too." },
	{ "give_back", accept_return, METH_NOARGS,
	    "Accept from none any more." },
	{ "send_file", file_send, METH_VARARGS,
	    "Part of a file in records: (bytes sent, missing in the last)." },
	{ "seek", accelerator_seek, METH_O,
	    "There is no supervisor: call hear() now and then. Or there is." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot accelerator_slots[] = {
	{ Py_tp_init, (void *)(uintptr_t)accelerator_init },
	{ Py_tp_new, (void *)(uintptr_t)PyType_GenericNew },
	{ Py_tp_dealloc, (void *)(uintptr_t)accelerator_dealloc },
	{ Py_tp_methods, accelerator_methods },
	{ 0, NULL },
};

static PyType_Spec accelerator_spec = {
	.name = "mamayo_accel.Accelerator",
	.basicsize = sizeof(struct accelerator),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = accelerator_slots,
};

/* ------------------------------------------------------------ the module -- */

static void
forked(void)
{
	accel_forked = 1;
	if (the_one != NULL)
		accept_forked(the_one->accept);
}

static void
has_forked(void)
{
	accel_has_children = 1;
}

static int
module_fill(PyObject *module)
{
	static int is_watching_forks;
	PyObject *type;

	for (int i = 0; i < WORDS; i++) {
		if (accel_words[i] == NULL)
			accel_words[i] =
			    PyUnicode_InternFromString(word_texts[i]);
		if (accel_words[i] == NULL)
			return -1;
	}
	if (!is_watching_forks &&
	    pthread_atfork(NULL, has_forked, forked) != 0) {
		PyErr_NoMemory();
		return -1;
	}
	is_watching_forks = 1;
	type = PyType_FromSpec(&accelerator_spec);
	if (type == NULL)
		return -1;
	if (PyModule_AddObject(module, "Accelerator", type) == 0)
		return 0;
	Py_DECREF(type);
	return -1;
}

static PyModuleDef_Slot module_slots[] = {
	{ Py_mod_exec, (void *)(uintptr_t)module_fill },
	{ 0, NULL },
};

static struct PyModuleDef module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "mamayo_accel",
	.m_doc = "What is usual in mamayo's worker, in C.",
	.m_slots = module_slots,
};

PyMODINIT_FUNC PyInit_mamayo_accel(void);

PyMODINIT_FUNC
PyInit_mamayo_accel(void)
{
	return PyModuleDef_Init(&module);
}
