#include "config.h"

#include "adapters/accel.h"
#include "lib/testpoint.h"

#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 100 /* a visitor who has waited longer may have gone */

/* The exception that is set, as `except ... as error` has it. */
static PyObject *
take_error(void)
{
	PyObject *type, *error, *trace;

	PyErr_Fetch(&type, &error, &trace);
	PyErr_NormalizeException(&type, &error, &trace);
	if (trace != NULL && error != NULL &&
	    PyException_SetTraceback(error, trace) == -1)
		PyErr_Clear();
	Py_XDECREF(type);
	Py_XDECREF(trace);
	return error;
}

/* Worker.fail(answer, error) or Worker.report(answer, error). */
static int
tell_worker(struct answer *a, enum word method)
{
	PyObject *error = take_error(), *python = answer_python(a);
	PyObject *told = NULL;

	if (python != NULL) {
		Py_INCREF(python);
		told = PyObject_CallMethodObjArgs(
		    a->accel->worker, accel_words[method], python, error, NULL);
		Py_DECREF(python);
	}
	Py_XDECREF(error);
	Py_XDECREF(told);
	return told != NULL ? 0 : -1;
}

/* The application has raised something. */
static int
request_fail(struct answer *a)
{
	if (PyErr_ExceptionMatches(a->accel->gone)) {
		PyErr_Clear();
		return 0;
	}
	if (accel_forked)
		_exit(0);
	return tell_worker(a, WORD_FAIL);
}

/* close() of what the application has returned, if it has one. It is looked
 * for and then looked up, as hasattr() and a call do. */
static int
result_close(PyObject *result)
{
	PyObject *close, *closed;

	if (PyList_CheckExact(result) || PyTuple_CheckExact(result))
		return 0;
	close = PyObject_GetAttr(result, accel_words[WORD_CLOSE]);
	if (close == NULL) {
		if (!PyErr_ExceptionMatches(PyExc_AttributeError))
			return -1;
		PyErr_Clear();
		return 0;
	}
	Py_DECREF(close);
	closed =
	    PyObject_CallMethodObjArgs(result, accel_words[WORD_CLOSE], NULL);
	Py_XDECREF(closed);
	return closed != NULL ? 0 : -1;
}

/* Calls a method of each until one fails in a way that is forgiven: the
 * application has closed it. */
static int
call_or_forgive(PyObject *object, enum word method)
{
	PyObject *done =
	    PyObject_CallMethodObjArgs(object, accel_words[method], NULL);

	Py_XDECREF(done);
	if (done != NULL)
		return 1;
	if (!PyErr_ExceptionMatches(PyExc_OSError) &&
	    !PyErr_ExceptionMatches(PyExc_ValueError))
		return -1;
	PyErr_Clear();
	return 0;
}

static int
request_tidy(struct accelerator *s, PyObject *body)
{
	int went = call_or_forgive(body, WORD_CLOSE);
	Py_ssize_t i;

	for (i = 0; went == 1 && i < PyTuple_Size(s->streams); i++)
		went =
		    call_or_forgive(PyTuple_GetItem(s->streams, i), WORD_FLUSH);
	return went == -1 ? -1 : 0;
}

static int
request_run(struct answer *a, PyObject *environ, PyObject *body)
{
	PyObject *result;
	int failed = 0;

	TESTPOINT("worker:call");
	result = PyObject_CallFunctionObjArgs(
	    a->accel->application, environ, (PyObject *)a, NULL);
	TESTPOINT("worker:called");
	if (result == NULL || answer_deliver(a, result) == -1)
		failed = request_fail(a);
	if (!failed && result != NULL && result_close(result) == -1)
		failed = tell_worker(a, WORD_REPORT);
	if (!failed && accel_forked)
		_exit(0);
	if (!failed)
		failed = request_tidy(a->accel, body);
	Py_XDECREF(result);
	return failed;
}

static PyObject *
body_new(struct accelerator *s, struct request *r)
{
	PyObject *text, *body = NULL;

	if (r->head.flags & WIRE_SPOOL_BODY) {
		body = PyObject_CallFunction(s->spooled, "ii", r->spool, 0);
		if (body != NULL)
			r->spool = -1;
		return body;
	}
	if (r->head.body == 0) {
		text = s->empty;
		Py_INCREF(text);
	} else
		text = PyBytes_FromStringAndSize(
		    r->body, (Py_ssize_t)r->head.body);
	if (text != NULL)
		body = PyObject_CallFunctionObjArgs(s->bytes_io, text, NULL);
	Py_XDECREF(text);
	return body;
}

static int
told_is(const struct told *told, const char *lower, size_t n)
{
	if (told->length != n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		char c = told->text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (c != lower[i])
			return 0;
	}
	return 1;
}

static int
scheme_add(struct accelerator *s, PyObject *environ, const struct told *facts)
{
	const struct told *scheme = &facts[FACT_SCHEME];
	PyObject *value;
	int failed;

	if (!s->knows_scheme)
		value =
		    PyObject_CallFunctionObjArgs(s->url_scheme, environ, NULL);
	else if (told_is(&facts[FACT_HTTPS], "on", 2) ||
		 told_is(&facts[FACT_HTTPS], "1", 1) ||
		 (scheme->length == 5 && memcmp(scheme->text, "https", 5) == 0))
		value = accel_words[WORD_HTTPS];
	else
		value = accel_words[WORD_HTTP];
	if (value == NULL)
		return -1;
	failed = PyDict_SetItem(environ, accel_words[WORD_URL_SCHEME], value);
	if (!s->knows_scheme)
		Py_DECREF(value);
	return failed;
}

/* What is not of the request: as Worker.run() adds it. */
static int
environ_complete(struct accelerator *s, PyObject *environ, PyObject *body,
    const struct told *facts)
{
	if (PyDict_Update(environ, s->constants) == -1 ||
	    PyDict_SetItem(environ, accel_words[WORD_INPUT], body) == -1)
		return -1;
	return scheme_add(s, environ, facts);
}

/* Calls the application, if there is somebody to answer. */
static int
request_serve(struct answer *a, struct request *r, PyObject *environ,
    const struct told *facts)
{
	PyObject *body;
	int failed = -1;

	if (r->now - (int64_t)r->head.queued > PATIENCE_MS &&
	    answer_visitor_gone(a))
		return 0;
	body = body_new(a->accel, r);
	if (body != NULL &&
	    environ_complete(a->accel, environ, body, facts) == 0)
		failed = request_run(a, environ, body);
	Py_XDECREF(body);
	return failed;
}

/* In spite of an exception, which goes on. */
static int
request_end(struct answer *a)
{
	PyObject *type, *error, *trace;
	int failed, leaving = 1;

	PyErr_Fetch(&type, &error, &trace);
	TESTPOINT("worker:hang-up");
	failed = answer_hang_up(a);
	TESTPOINT("worker:hung-up");
	if (!failed)
		leaving = accelerator_is_leaving(a->accel);
	if (leaving == -1)
		failed = -1;
	page_idle(&a->accel->page, leaving);
	TESTPOINT("worker:idle");
	if (type == NULL)
		return failed;
	PyErr_Restore(type, error, trace);
	return -1;
}

int
request_answer(struct accelerator *s, struct request *r)
{
	struct told facts[FACTS] = { { 0 } };
	PyObject *environ =
	    environ_new(&s->environ, r->params, r->head.params, facts);
	struct answer *a = NULL;
	int failed = -1;

	batch_work(&s->batch, r->now, s->slept);
	if (environ != NULL)
		a = answer_new(s, r, facts);
	if (a != NULL) {
		r->answer = -1;
		page_busy(&s->page, &r->head, r->now, facts);
		TESTPOINT("worker:busy");
		failed = request_serve(a, r, environ, facts);
		if (request_end(a) == -1)
			failed = -1;
		Py_DECREF((PyObject *)a);
	}
	Py_XDECREF(environ);
	for (int i = 0; i < FACTS; i++)
		Py_XDECREF(facts[i].object);
	return failed;
}
