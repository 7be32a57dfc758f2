#include "config.h"

#include "adapters/accel.h"
#include "lib/clock.h"
#include "lib/testpoint.h"

#include <errno.h>
#include <fastcgi.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTS_MOST 32 /* pieces that go out in one system call */

/* Pieces of an answer that are to be sent now, in order. */
struct parts {
	struct iovec part[PARTS_MOST];
	size_t n;
	unsigned char heads[PARTS_MOST][RECORD_HEAD];
	unsigned char end[END_SIZE];
};

/* ----------------------------------------------- handing over to Python -- */

/* What an Answer in Python is told of the request. */
static PyObject *
answer_facts(const struct answer *a)
{
	static const char *const names[FACTS_TOLD] = {
		[FACT_METHOD] = "REQUEST_METHOD",
		[FACT_SCRIPT] = "SCRIPT_NAME",
		[FACT_PATH] = "PATH_INFO",
		[FACT_SOFTWARE] = "SERVER_SOFTWARE",
		[FACT_SENDFILE] = "MAMAYO_SENDFILE",
	};
	PyObject *facts = PyDict_New();

	for (int i = 0; facts != NULL && i < FACTS_TOLD; i++)
		if (a->facts[i] != NULL &&
		    PyDict_SetItemString(facts, names[i], a->facts[i]) == -1) {
			Py_DECREF(facts);
			return NULL;
		}
	return facts;
}

static PyObject *
truth(int is_true)
{
	return PyBool_FromLong(is_true);
}

/* In the order of Answer.__init__(). */
static PyObject *
answer_state(const struct answer *a)
{
	PyObject *head, *left, *state;

	if (a->has_head)
		head = PyBytes_FromStringAndSize(
		    (const char *)a->accel->head + RECORD_HEAD,
		    (Py_ssize_t)a->accel->head_length);
	else {
		head = Py_None;
		Py_INCREF(head);
	}
	if (a->left >= 0)
		left = PyLong_FromLongLong(a->left);
	else {
		left = Py_None;
		Py_INCREF(left);
	}
	state = Py_BuildValue("(NiNNNNNNK)", truth(a->is_called), a->status,
	    head, left, truth(a->is_begun), truth(a->is_ended),
	    truth(a->is_whole), truth(a->is_counted),
	    (unsigned long long)a->sent);
	return state;
}

static PyObject *
answer_continue(struct answer *a)
{
	struct accelerator *s = a->accel;
	PyObject *facts = answer_facts(a), *state = NULL, *python = NULL;
	PyObject *pid = PyObject_GetAttr(s->worker, accel_words[WORD_PID]);
	PyObject *board = NULL;

	if (facts != NULL && pid != NULL)
		board = PyObject_GetAttr(s->worker, accel_words[WORD_BOARD]);
	if (board != NULL)
		state = answer_state(a);
	if (state != NULL)
		python =
		    PyObject_CallFunction(s->answer_class, "OOiIOLNNO", pid,
			board, a->fd, a->request_id, facts, (long long)a->taken,
			truth(a->is_direct), truth(a->is_kept), state);
	Py_XDECREF(facts);
	Py_XDECREF(pid);
	Py_XDECREF(board);
	Py_XDECREF(state);
	return python;
}

static int
is_open(int fd)
{
	struct pollfd it = { .fd = fd };

	return poll(&it, 1, 0) != -1 && (it.revents & POLLNVAL) == 0;
}

PyObject *
answer_python(struct answer *a)
{
	PyObject *python;

	if (a->python != NULL)
		return a->python;
	if (a->is_closed)
		return a->accel->over;
	if (a->is_handing_over) {
		PyErr_SetString(PyExc_RuntimeError,
		    "another thread is at work on this answer");
		return NULL;
	}
	a->is_handing_over = 1;
	python = answer_continue(a);
	a->is_handing_over = 0;
	if (python != NULL) {
		a->python = python;
		a->fd = -1;
	} else if (!is_open(a->fd))
		a->fd = -1; /* a signal broke in when Python had it */
	return python;
}

PyObject *
answer_ask(struct answer *a, enum word method, PyObject *argument)
{
	PyObject *python = answer_python(a), *answer;

	if (python == NULL)
		return NULL;
	Py_INCREF(python);
	answer = PyObject_CallMethodObjArgs(
	    python, accel_words[method], argument, NULL);
	Py_DECREF(python);
	return answer;
}

/* The same, where nobody wants to know what it returns. */
static int
answer_tell(struct answer *a, enum word method, PyObject *argument)
{
	PyObject *answer = answer_ask(a, method, argument);

	Py_XDECREF(answer);
	return answer != NULL ? 0 : -1;
}

/* Calls a method of the Answer in Python with what we were called with. */
static PyObject *
answer_forward(
    struct answer *a, enum word name, PyObject *args, PyObject *kwargs)
{
	PyObject *python = answer_python(a), *method, *answer;

	if (python == NULL)
		return NULL;
	method = PyObject_GetAttr(python, accel_words[name]);
	if (method == NULL)
		return NULL;
	answer = PyObject_Call(method, args, kwargs);
	Py_DECREF(method);
	return answer;
}

/* -------------------------------------------------------------- records -- */

static void
parts_add(struct parts *p, const void *bytes, size_t n)
{
	if (n == 0)
		return;
	p->part[p->n].iov_base = (void *)(uintptr_t)bytes;
	p->part[p->n].iov_len = n;
	p->n++;
}

static void
parts_add_record(struct parts *p, const struct answer *a, size_t length)
{
	unsigned char *head = p->heads[p->n];

	record_put_head(
	    head, FCGI_STDOUT, (uint16_t)a->request_id, (uint16_t)length, 0);
	parts_add(p, head, RECORD_HEAD);
}

/* Before the last byte goes: who has the answer sees it counted. */
static void
answer_count(struct answer *a)
{
	if (a->is_counted || a->status == 0)
		return;
	a->is_counted = 1;
	page_ended(&a->accel->page, a->status, a->sent, a->taken);
}

static void
parts_add_end(struct parts *p, struct answer *a)
{
	a->is_ended = a->is_whole = 1;
	answer_count(a);
	record_put_head(p->end, FCGI_STDOUT, (uint16_t)a->request_id, 0, 0);
	record_put_end(p->end + RECORD_HEAD, (uint16_t)a->request_id, 0,
	    FCGI_REQUEST_COMPLETE);
	parts_add(p, p->end, END_SIZE);
}

static size_t
parts_length(const struct parts *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->part[i].iov_len;
	return n;
}

/* Forgets what has been sent. */
static void
parts_drop(struct parts *p, size_t n)
{
	size_t i = 0;

	while (i < p->n && n >= p->part[i].iov_len)
		n -= p->part[i++].iov_len;
	p->n -= i;
	memmove(p->part, p->part + i, p->n * sizeof p->part[0]);
	if (n > 0) {
		p->part[0].iov_base = (char *)p->part[0].iov_base + n;
		p->part[0].iov_len -= n;
	}
}

static PyObject *
parts_join(const struct parts *p)
{
	PyObject *all =
	    PyBytes_FromStringAndSize(NULL, (Py_ssize_t)parts_length(p));
	char *at = all != NULL ? PyBytes_AsString(all) : NULL;

	for (size_t i = 0; at != NULL && i < p->n; i++) {
		memcpy(at, p->part[i].iov_base, p->part[i].iov_len);
		at += p->part[i].iov_len;
	}
	return all;
}

/* Sends what it takes now: bytes, 0 if none, or -1 (errno). */
static ssize_t
answer_send_now(const struct answer *a, struct parts *p)
{
	struct msghdr message = { .msg_iov = p->part, .msg_iovlen = p->n };
	ssize_t n = sendmsg(a->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == -1 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	return n;
}

/* Whatever the reason is, Python meets it again, and knows what to say. (Of an
 * answer that is over it says what it says to every write().) */
static int
answer_push_in_python(struct answer *a, const struct parts *p)
{
	PyObject *rest = parts_join(p);
	int failed;

	if (rest == NULL)
		return -1;
	failed = answer_tell(a, a->is_closed ? WORD_WRITE : WORD_PUSH, rest);
	Py_DECREF(rest);
	return failed;
}

/* Waits for room. Other threads run, and may end what we are doing. */
static int
answer_wait(const struct answer *a)
{
	struct pollfd room = { .fd = a->fd, .events = POLLOUT };
	PyThreadState *thread;
	int n;

	if (PyErr_CheckSignals() == -1) /* that came while we sent */
		return -1;
	thread = PyEval_SaveThread();
	n = poll(&room, 1, -1);
	PyEval_RestoreThread(thread);
	return n == -1 ? PyErr_CheckSignals() : 0;
}

/*
 * The visitor is slower than we are. That is nobody's fault, and no silence of
 * the application: the board says so.
 */
static int
answer_push_slowly(struct answer *a, struct parts *p)
{
	volatile uint64_t *word = a->accel->page.word;
	ssize_t n = 0;
	int failed = 0;

	word[BOARD_STATE] = BOARD_SENDING;
	while (p->n > 0 && !failed && n != -1) {
		failed = answer_wait(a);
		if (a->python != NULL || a->is_closed)
			break;
		if (failed)
			continue;
		n = answer_send_now(a, p);
		if (n > 0) {
			parts_drop(p, (size_t)n);
			word[BOARD_PROGRESS] = (uint64_t)clock_ms();
		}
	}
	if (!a->is_closed)
		word[BOARD_STATE] = BOARD_BUSY;
	if (failed)
		return -1;
	return p->n > 0 ? answer_push_in_python(a, p) : 0;
}

static int
answer_push(struct answer *a, struct parts *p)
{
	volatile uint64_t *word = a->accel->page.word;
	ssize_t n;

	word[BOARD_WROTE] = BOARD_PARTS;
	TESTPOINT("worker:write");
	n = answer_send_now(a, p);
	TESTPOINT("worker:wrote");
	if (n == -1)
		return answer_push_in_python(a, p);
	parts_drop(p, (size_t)n);
	if (p->n > 0 && answer_push_slowly(a, p) == -1)
		return -1;
	if (a->is_closed)
		return 0;
	word[BOARD_WROTE] = a->is_ended ? BOARD_ALL : BOARD_RECORDS;
	word[BOARD_PROGRESS] = (uint64_t)clock_ms();
	return 0;
}

/* Goes on with the rest of a block in Python. */
static int
answer_transmit_in_python(
    struct answer *a, const char *bytes, size_t n, int is_last)
{
	PyObject *python = answer_python(a), *rest, *answer = NULL;

	if (python == NULL)
		return -1;
	rest = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)n);
	Py_INCREF(python);
	if (rest != NULL && a->is_closed)
		answer = PyObject_CallMethodObjArgs(
		    python, accel_words[WORD_WRITE], rest, NULL);
	else if (rest != NULL)
		answer = PyObject_CallMethodObjArgs(python,
		    accel_words[WORD_TRANSMIT], rest,
		    is_last ? Py_True : Py_False, NULL);
	Py_DECREF(python);
	Py_XDECREF(rest);
	Py_XDECREF(answer);
	return answer != NULL ? 0 : -1;
}

/* The headers, as the beginning of a record that is in the making; gives how
 * long they are. */
static size_t
answer_close_head(struct answer *a)
{
	struct accelerator *s = a->accel;

	memcpy(s->head + RECORD_HEAD + s->head_length, "\r\n", 2);
	a->has_head = 0;
	a->is_begun = 1;
	return s->head_length + 2;
}

/* Sends the headers, if they are still here, and a block. */
static int
answer_transmit(struct answer *a, const char *bytes, size_t n, int is_last)
{
	size_t head = 0, length;
	struct parts parts;
	int is_done;

	if (accel_forked)
		_exit(0); /* a fork of the worker has no answer to give */
	if (a->has_head)
		head = answer_close_head(a);
	do {
		parts.n = 0;
		while (head + n > 0 && parts.n + 4 <= PARTS_MOST) {
			length =
			    n < RECORD_MOST - head ? n : RECORD_MOST - head;
			parts_add_record(&parts, a, head + length);
			parts_add(&parts, a->accel->head + RECORD_HEAD, head);
			parts_add(&parts, bytes, length);
			head = 0;
			bytes += length;
			n -= length;
		}
		is_done = n == 0;
		if (is_done && is_last)
			parts_add_end(&parts, a);
		if (parts.n > 0 && answer_push(a, &parts) == -1)
			return -1;
	} while (!is_done && a->python == NULL && !a->is_closed);
	if (is_done)
		return 0;
	return answer_transmit_in_python(a, bytes, n, is_last);
}

/* ------------------------------------------------------- the application -- */

static int
answer_has_body(const struct answer *a)
{
	return !a->is_head_request && a->status != 204 && a->status != 304;
}

/* Is this ours to send, without a word from Python? */
static int
answer_takes(const struct answer *a, PyObject *block)
{
	return a->python == NULL && !a->is_closed &&
	       PyBytes_CheckExact(block) && (a->has_head || a->is_begun) &&
	       (a->left < 0 || PyBytes_Size(block) <= a->left);
}

/* One block of the body, sent before the next is asked for. */
static int
answer_send(struct answer *a, PyObject *block)
{
	size_t n;
	int is_last = 0;

	if (!answer_takes(a, block))
		return answer_tell(a, WORD_SEND, block);
	n = (size_t)PyBytes_Size(block);
	if (a->is_ended || (n == 0 && a->left != 0))
		return 0;
	if (!answer_has_body(a))
		return answer_transmit(a, NULL, 0, 1);
	if (a->left >= 0) {
		a->left -= (int64_t)n;
		is_last = a->left == 0;
	}
	a->sent += n;
	return answer_transmit(a, PyBytes_AsString(block), n, is_last);
}

static int
answer_finish(struct answer *a)
{
	if (a->python != NULL || a->is_closed ||
	    !(a->has_head || a->is_begun) ||
	    (!a->is_ended && a->left > 0 && answer_has_body(a)))
		return answer_tell(a, WORD_FINISH, NULL);
	return a->is_ended ? 0 : answer_transmit(a, NULL, 0, 1);
}

/* f(*args, **{}) comes with a dict. */
static int
is_named(PyObject *kwargs)
{
	return kwargs != NULL && PyDict_Size(kwargs) > 0;
}

static PyObject *
answer_write(PyObject *self, PyObject *args, PyObject *kwargs)
{
	struct answer *a = (struct answer *)self;
	PyObject *block;

	if (is_named(kwargs) || PyTuple_Size(args) != 1)
		return answer_forward(a, WORD_WRITE, args, kwargs);
	block = PyTuple_GetItem(args, 0);
	if (!answer_takes(a, block))
		return answer_forward(a, WORD_WRITE, args, kwargs);
	if (answer_send(a, block) == -1)
		return NULL;
	Py_INCREF(Py_None);
	return Py_None;
}

static PyMethodDef write_method = { "write",
	(PyCFunction)(void (*)(void))answer_write, METH_VARARGS | METH_KEYWORDS,
	NULL };

static PyObject *
answer_start(PyObject *self, PyObject *args, PyObject *kwargs)
{
	struct answer *a = (struct answer *)self;
	Py_ssize_t n = PyTuple_Size(args);
	int made = 0;

	if (!is_named(kwargs) && a->python == NULL && !a->is_called &&
	    !a->is_closed &&
	    (n == 2 || (n == 3 && PyTuple_GetItem(args, 2) == Py_None)))
		made = head_make(
		    a, PyTuple_GetItem(args, 0), PyTuple_GetItem(args, 1));
	if (made == -1)
		return NULL;
	if (made == 0)
		return answer_forward(a, WORD_START_RESPONSE, args, kwargs);
	a->is_called = a->has_head = 1;
	return PyCFunction_NewEx(&write_method, self, NULL);
}

/* How much it is if all of it is bytes; -1 if not. */
static int64_t
blocks_length(PyObject *blocks, int is_list, Py_ssize_t n)
{
	int64_t length = 0;
	PyObject *block;

	for (Py_ssize_t i = 0; i < n; i++) {
		block = is_list ? PyList_GetItem(blocks, i)
				: PyTuple_GetItem(blocks, i);
		if (!PyBytes_CheckExact(block))
			return -1;
		length += PyBytes_Size(block);
	}
	return length;
}

static PyObject *
blocks_join(PyObject *blocks, int is_list, Py_ssize_t n, int64_t length)
{
	PyObject *all = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
	PyObject *block;
	char *at;

	if (all == NULL)
		return NULL;
	at = PyBytes_AsString(all);
	for (Py_ssize_t i = 0; i < n; i++) {
		block = is_list ? PyList_GetItem(blocks, i)
				: PyTuple_GetItem(blocks, i);
		memcpy(
		    at, PyBytes_AsString(block), (size_t)PyBytes_Size(block));
		at += PyBytes_Size(block);
	}
	return all;
}

/* Is nothing more to be sent? 1, 0 or -1. */
static int
answer_is_over(const struct answer *a)
{
	PyObject *ended;
	int is_over;

	if (a->python == NULL)
		return a->is_ended;
	ended = PyObject_GetAttr(a->python, accel_words[WORD_ENDED]);
	is_over = ended != NULL ? PyObject_IsTrue(ended) : -1;
	Py_XDECREF(ended);
	return is_over;
}

static int
answer_send_last(struct answer *a, PyObject *block)
{
	int is_over;

	if (answer_send(a, block) == -1)
		return -1;
	is_over = answer_is_over(a);
	return is_over == 0 ? answer_finish(a) : is_over == -1 ? -1 : 0;
}

static int
answer_iterate(struct answer *a, PyObject *result)
{
	PyObject *blocks = PyObject_GetIter(result), *block;
	int is_over = blocks == NULL ? -1 : 0;

	while (is_over == 0 && (block = PyIter_Next(blocks)) != NULL) {
		is_over = answer_send(a, block);
		Py_DECREF(block);
		if (is_over == 0)
			is_over = answer_is_over(a);
	}
	if (is_over == 0)
		is_over = PyErr_Occurred() ? -1 : answer_finish(a);
	Py_XDECREF(blocks);
	return is_over == -1 ? -1 : 0;
}

/* Before anything was sent: it is known how long the answer is. */
static void
answer_measure(struct answer *a, int64_t length)
{
	if (a->left < 0 && a->status != 204 && a->status != 304)
		head_add_length(a, length);
}

static int
answer_deliver_blocks(struct answer *a, PyObject *blocks, int is_list)
{
	Py_ssize_t n = is_list ? PyList_Size(blocks) : PyTuple_Size(blocks);
	int64_t length = blocks_length(blocks, is_list, n);
	PyObject *block;
	int failed;

	if (length < 0)
		return answer_tell(a, WORD_DELIVER, blocks);
	answer_measure(a, length);
	if (length > RECORD_MOST)
		return answer_iterate(a, blocks);
	if (n == 1) {
		block = is_list ? PyList_GetItem(blocks, 0)
				: PyTuple_GetItem(blocks, 0);
		Py_INCREF(block);
	} else
		block = blocks_join(blocks, is_list, n, length);
	failed = block != NULL ? answer_send_last(a, block) : -1;
	Py_XDECREF(block);
	return failed;
}

int
answer_deliver(struct answer *a, PyObject *result)
{
	PyObject *kind = (PyObject *)Py_TYPE(result);
	int is_list = PyList_CheckExact(result);

	if (a->python != NULL || result == Py_None ||
	    PyUnicode_CheckExact(result) ||
	    kind == (PyObject *)&PyByteArray_Type ||
	    kind == a->accel->wrapper_class)
		return answer_tell(a, WORD_DELIVER, result);
	if (PyBytes_CheckExact(result)) {
		if (a->has_head)
			answer_measure(a, PyBytes_Size(result));
		return answer_send_last(a, result);
	}
	if (a->has_head && (is_list || PyTuple_CheckExact(result)))
		return answer_deliver_blocks(a, result, is_list);
	return answer_iterate(a, result);
}

/* ------------------------------------------------------------- its life -- */

struct answer *
answer_new(struct accelerator *s, const struct request *r, struct told *facts)
{
	static const char head[] = "HEAD", nginx[] = "nginx";
	struct answer *a = (struct answer *)PyType_GenericAlloc(
	    (PyTypeObject *)s->answer_type, 0);

	if (a == NULL)
		return NULL;
	Py_INCREF((PyObject *)s);
	a->accel = s;
	for (int i = 0; i < FACTS_TOLD; i++) {
		a->facts[i] = facts[i].object;
		facts[i].object = NULL;
	}
	a->fd = r->answer;
	a->request_id = r->head.request_id;
	a->taken = r->now;
	a->is_direct = (r->head.flags & WIRE_DIRECT) != 0;
	a->is_kept = (r->head.flags & WIRE_KEEP_CONN) != 0;
	a->is_ours = r->is_ours;
	a->is_nginx =
	    facts[FACT_SOFTWARE].length >= sizeof nginx - 1 &&
	    memcmp(facts[FACT_SOFTWARE].text, nginx, sizeof nginx - 1) == 0;
	a->is_head_request =
	    facts[FACT_METHOD].length == sizeof head - 1 &&
	    memcmp(facts[FACT_METHOD].text, head, sizeof head - 1) == 0;
	a->left = -1;
	return a;
}

static void
answer_dealloc(PyObject *self)
{
	struct answer *a = (struct answer *)self;
	PyTypeObject *type = Py_TYPE(self);

	for (int i = 0; i < FACTS_TOLD; i++)
		Py_XDECREF(a->facts[i]);
	Py_XDECREF(a->python);
	Py_XDECREF((PyObject *)a->accel);
	PyObject_Free(self);
	Py_DECREF((PyObject *)type);
}

int
answer_visitor_gone(const struct answer *a)
{
	struct pollfd here = { .fd = a->fd, .events = POLLRDHUP };

	return poll(&here, 1, 0) == 1 &&
	       (here.revents & (POLLHUP | POLLERR | POLLRDHUP)) != 0;
}

/* What the other side is to see of our hanging up, as in Answer.how_to_shut():
 * -1 is nothing. */
static int
answer_how_to_shut(const struct answer *a)
{
	if (a->is_direct && !a->is_whole && (a->is_kept || !a->is_nginx))
		return SHUT_RDWR;
	if (a->is_direct && a->is_whole && a->is_kept)
		return -1;
	if (a->is_ours && a->is_whole && !accel_has_children)
		return -1; /* close() does it, for nobody else has it */
	return SHUT_WR;
}

int
answer_hang_up(struct answer *a)
{
	PyThreadState *thread;
	int how;

	a->is_closed = 1;
	while (a->is_handing_over) {
		/* a thread is at it; we are not, who stand here */
		thread = PyEval_SaveThread();
		sched_yield();
		PyEval_RestoreThread(thread);
	}
	if (a->python != NULL)
		return answer_tell(a, WORD_HANG_UP, NULL);
	answer_count(a);
	how = answer_how_to_shut(a);
	/* a process that the application forked may hold a copy */
	if (a->fd != -1 && how != -1)
		shutdown(a->fd, how);
	if (a->fd != -1)
		close(a->fd);
	a->fd = -1;
	return 0;
}

static PyObject *
answer_refuse(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	(void)type;
	(void)args;
	(void)kwargs;
	PyErr_SetString(PyExc_TypeError, "only a request makes one of these");
	return NULL;
}

static PyType_Slot answer_slots[] = {
	{ Py_tp_call, (void *)(uintptr_t)answer_start },
	{ Py_tp_dealloc, (void *)(uintptr_t)answer_dealloc },
	{ Py_tp_new, (void *)(uintptr_t)answer_refuse },
	{ 0, NULL },
};

PyType_Spec answer_spec = {
	.name = "mamayo_accel.start_response",
	.basicsize = sizeof(struct answer),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = answer_slots,
};
