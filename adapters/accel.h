#ifndef MAMAYO_ACCEL_H
#define MAMAYO_ACCEL_H

/* One file for every CPython since 3.6. */
#define Py_LIMITED_API 0x03060000
#include <Python.h>

#include <stddef.h>
#include <stdint.h>

#include "fcgi/record.h"
#include "lib/batch.h"
#include "lib/params.h"
#include "lib/scoreboard.h"
#include "lib/wire.h"

/*
 * accel: the worker's adapter once more, in C, for what is usual.
 *
 * mamayo_wsgi.py and mamayo_answer.py are the reference: they say what is
 * right, and they do all that is rare. This does the same for the ordinary
 * request, from the queue to the last byte, and hands over to them at the
 * first thing that is not ordinary: a message (Worker.took), a call of
 * start_response() or a block of the answer (an Answer that goes on where we
 * stand), an error (Worker.fail). So no message of an exception and no page is
 * written down twice, and what an application sees is the reference's.
 *
 * Functions that return int give -1 with a Python exception set, as Python's
 * own do. Whatever calls Python may change everything but what the caller
 * holds a reference to: state is read again after it.
 */

#define RECORD_MOST 65528 /* bytes of content in a record of ours */
#define END_SIZE    (RECORD_HEAD + RECORD_END) /* STDOUT's end, and the end */

/* Names that are looked up in Python objects. */
enum word {
	WORD_APPLICATION,
	WORD_BOARD,
	WORD_CLOSE,
	WORD_CONSTANTS,
	WORD_DELIVER,
	WORD_ENDED,
	WORD_FAIL,
	WORD_FINISH,
	WORD_FLUSH,
	WORD_HANG_UP,
	WORD_HEAR,
	WORD_HTTP,
	WORD_HTTPS,
	WORD_INPUT,
	WORD_LEAVING,
	WORD_PID,
	WORD_PLACES_CHANGED,
	WORD_PLACES_LOST,
	WORD_PUSH,
	WORD_REPORT,
	WORD_RETIRING,
	WORD_SEND,
	WORD_START_RESPONSE,
	WORD_STREAMS,
	WORD_TOOK,
	WORD_TRANSMIT,
	WORD_UNWANTED,
	WORD_URL_SCHEME,
	WORD_WRITE,
	WORDS
};

extern PyObject *accel_words[WORDS];

/* Set in a process that was forked from the worker. It has no answer to give,
 * and ends when the application comes back to us. */
extern int accel_forked;
/* Set in one that has forked: somebody may hold copies of what we close. */
extern int accel_has_children;

/* ---------------------------------------------------------------- environ --
 * Keys are made once. The last value of each is kept, as most of them come
 * again with the next request.
 */

/* Parameters that mean something to us, too. */
enum fact {
	FACT_METHOD,
	FACT_SCRIPT,
	FACT_PATH,
	FACT_SOFTWARE,
	FACT_SENDFILE,
	FACT_HTTPS,
	FACT_SCHEME,
	FACTS /* no fact */
};

#define FACTS_TOLD 5 /* the first of them go with an answer */

struct name {
	char *text; /* NULL: this place is free */
	size_t length;
	enum fact fact;
	PyObject *key;
	PyObject *value; /* the last one; may be NULL */
	char *was;       /* its bytes */
	size_t was_length, was_size;
};

#define NAMES_MOST   256 /* names that are kept; visitors can invent more */
#define NAMES_PLACES 512
#define PARAMS_MOST  128 /* in whose order the next request's are expected */
#define VALUE_MOST   512 /* bytes of a value that is kept */

struct environ_maker {
	struct name names[NAMES_PLACES];
	size_t used;
	struct name *last[PARAMS_MOST]; /* the last request's, in order */
};

/* A parameter's value, as bytes in the message and as an object. */
struct told {
	PyObject *object; /* NULL: there was none */
	const char *text; /* "" then */
	size_t length;
};

/* All in one: 0, or -1. */
int environ_init(struct environ_maker *);
void environ_release(struct environ_maker *);

/* Gives a dict of "name\0value\0..."; its facts have references of their own,
 * also when it fails. */
PyObject *environ_new(
    struct environ_maker *, const char *text, size_t n, struct told *facts);

/* ------------------------------------------------------------------ board --
 * A mapping of our own of the scoreboard page.
 */
struct page_words {
	volatile uint64_t *word; /* NULL: not mapped */
	char *url;
};

int page_map(struct page_words *, int fd);
void page_unmap(struct page_words *);
void page_idle(const struct page_words *, int leaving);
void page_busy(const struct page_words *, const struct wire_head *, int64_t now,
    const struct told *facts);
void page_ended(
    const struct page_words *, int status, uint64_t length, int64_t taken);

/* ----------------------------------------------------------------- accept --
 * Listening sockets that we have been lent: we accept connections from them
 * and answer those requests that are whole in their first ACCEPT_MOST bytes,
 * usual, and for our application. Every other connection goes back to the
 * responder, with the bytes that have been read.
 */
#define ACCEPT_SOCKETS 16
#define ACCEPT_MOST    65536 /* LINK_BACK_MOST */

struct lent_socket {
	int listener, back;
	char *mount, *program, *base;
};

struct accept {
	struct lent_socket sockets[ACCEPT_SOCKETS];
	size_t n;
	uint64_t counter; /* of the requests that we took ourselves */
	int64_t looked;   /* when we last asked whether all is ours */
	struct params params;
	size_t length;                        /* of what has been read */
	unsigned char bytes[8 + ACCEPT_MOST]; /* room for a magic, and that */
	unsigned char params_room[ACCEPT_MOST], body_room[ACCEPT_MOST];
};

struct accelerator;

/* Takes one connection: 1; 0 if there is none now; -1. */
int accept_take(struct accelerator *);
/* Accepts no more. */
void accept_leave(struct accelerator *);
void accept_forked(struct accept *);
void accept_release(struct accept *);

/* Methods: lend(listener, back, mount, program, base) -> whether it waits
 * there now (it takes both descriptors); give_back(). */
PyObject *accept_lend(PyObject *self, PyObject *args);
PyObject *accept_return(PyObject *self, PyObject *nothing);

/* Method: send_file(socket, request id, file, at, size) -> (done, missing).
 * Sends a part of a file in records of RECORD_MOST bytes: how much of it is
 * done, and how much is missing in a record whose head has gone. Stops at
 * whatever is not plain sailing, which whoever goes on will meet, too. */
PyObject *file_send(PyObject *self, PyObject *args);

/* ------------------------------------------------------------ accelerator --
 * There is one in a process, and it lives as long.
 */
struct accelerator {
	PyObject ob_base;
	PyObject *worker;      /* mamayo_wsgi.Worker */
	PyObject *application; /* from here to streams: as serve() finds them */
	PyObject *constants;   /* of every environ */
	PyObject *streams;     /* to flush after each request */
	PyObject *bytes_io, *spooled, *answer_class, *wrapper_class, *gone;
	PyObject *check_status, *check_name, *url_scheme;
	PyObject *answer_type; /* ours */
	PyObject *over;        /* an Answer in Python whose request is over */
	PyObject *statuses;    /* {status: number}, checked */
	PyObject *lines;       /* {name of a header: b"name: "}, checked */
	PyObject *empty;       /* b"" */
	struct environ_maker environ;
	struct page_words page;
	struct accept *accept; /* NULL: nothing was ever lent */
	int waits;             /* epoll, -1 until serve() */
	int is_watching;       /* the queue can wake us */
	int is_seeking;        /* there is no supervisor */
	int knows_scheme;      /* no setting says HTTPS or REQUEST_SCHEME */
	int is_making_head;    /* somebody is at it */
	int64_t taken;         /* when the last request was taken */
	long slept;            /* how often, for want of a request */
	struct batch batch;
	int64_t heard;       /* when the control socket was last looked at */
	int64_t queue_asked; /* taken, when the queue was last found empty */
	size_t head_length; /* of the answer at hand, without a record's head */
	unsigned char head[RECORD_HEAD + RECORD_MOST];
	unsigned char message[WIRE_MOST];
};

/* Is it to end when the queue is empty? 1, 0 or -1. */
int accelerator_is_leaving(const struct accelerator *);

/* A request, wherever it came from. */
struct request {
	struct wire_head head;
	const char *params;
	const char *body; /* the inline one */
	int answer;       /* descriptors: -1 once they have an owner */
	int spool;
	int is_ours; /* accepted by us: no responder holds its connection */
	int64_t now;
};

/* Answers it. Takes the descriptors it has set to -1, also when it fails. */
int request_answer(struct accelerator *, struct request *);

/* ----------------------------------------------------------------- answer --
 * What start_response and write are for the application, and who sends it.
 */
struct answer {
	PyObject ob_base;
	struct accelerator *accel; /* a reference */
	PyObject *python;          /* the Answer that goes on; NULL: we do */
	PyObject *facts[FACTS_TOLD];
	int fd; /* -1 when it is closed or Python's */
	unsigned request_id;
	int64_t taken;
	int is_direct, is_kept, is_nginx, is_head_request, is_ours;
	int status;
	int is_called, has_head, is_begun, is_ended, is_whole, is_counted,
	    is_closed, is_handing_over;
	int64_t left; /* bytes missing to Content-Length; -1: unknown */
	uint64_t sent;
};

extern PyType_Spec answer_spec;

/* Takes fd and the facts' references. NULL: has taken nothing. */
struct answer *answer_new(
    struct accelerator *, const struct request *, struct told *facts);

/* The Answer in Python that goes on from here; borrowed. */
PyObject *answer_python(struct answer *);

/* Calls a method of that Answer with at most one argument. */
PyObject *answer_ask(struct answer *, enum word method, PyObject *argument);

/* What the application has returned. */
int answer_deliver(struct answer *, PyObject *result);

int answer_visitor_gone(const struct answer *);
int answer_hang_up(struct answer *);

/*
 * Status and headers as they are sent, in accel->head. Returns 1; 0 if there
 * is anything about them that Python had better look at; -1.
 */
int head_make(struct answer *, PyObject *status, PyObject *headers);

/* Adds a Content-Length; there is always room for one. */
void head_add_length(struct answer *, int64_t length);

#endif
