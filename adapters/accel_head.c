#include "config.h"

#include "adapters/accel.h"

#include <stdio.h>
#include <string.h>

/*
 * What is usual: an exact str, a list of pairs of exact str, values of
 * printable Latin-1. Whatever else may be right, or wrong with a message of
 * its own, is for Answer.set_head().
 */

#define KNOWN_MOST   100 /* statuses and names that need no second look */
#define HEADERS_MOST 256
#define NAME_MOST    256 /* bytes of a name that is kept */
#define HEAD_ROOM    64  /* bytes that are left for a Content-Length */
#define DIGITS_MOST  18
#define NO_LENGTH    (-1)

enum verdict { FAILED = -1, UNUSUAL, FINE };

/* A head in the making. */
struct draft {
	unsigned char *at, *end;
	int status;
	int64_t length;
};

static enum verdict
draft_add(struct draft *d, const void *bytes, size_t n)
{
	if (n > (size_t)(d->end - d->at))
		return UNUSUAL;
	memcpy(d->at, bytes, n);
	d->at += n;
	return FINE;
}

/* What Python has checked is remembered; a failure to do so costs nothing. */
static void
remember(PyObject *known, PyObject *key, PyObject *value)
{
	if (PyDict_Size(known) < KNOWN_MOST &&
	    PyDict_SetItem(known, key, value) == -1)
		PyErr_Clear();
}

/* Of what Python said was wrong: it is to say so once more, to the
 * application. But a signal may have raised anything. */
static enum verdict
wrong(void)
{
	if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_ValueError) &&
	    !PyErr_ExceptionMatches(PyExc_TypeError))
		return FAILED;
	PyErr_Clear();
	return UNUSUAL;
}

static enum verdict
status_add(struct accelerator *s, struct draft *d, PyObject *status)
{
	PyObject *number = PyDict_GetItemWithError(s->statuses, status), *text;
	enum verdict verdict;
	Py_ssize_t n;
	char *bytes;

	if (number != NULL)
		Py_INCREF(number);
	else {
		if (!PyErr_Occurred())
			number = PyObject_CallFunctionObjArgs(
			    s->check_status, status, NULL);
		if (number == NULL)
			return wrong();
		remember(s->statuses, status, number);
	}
	d->status = (int)PyLong_AsLong(number);
	Py_DECREF(number);
	text = PyUnicode_AsLatin1String(status);
	if (text == NULL || PyBytes_AsStringAndSize(text, &bytes, &n) == -1) {
		Py_XDECREF(text);
		return wrong();
	}
	verdict = draft_add(d, "Status: ", 8);
	if (verdict == FINE)
		verdict = draft_add(d, bytes, (size_t)n);
	if (verdict == FINE)
		verdict = draft_add(d, "\r\n", 2);
	Py_DECREF(text);
	return verdict;
}

/* b"name: " of a name that needs nothing done; Content-Length is the only
 * other one that does not go to Python. Gives a reference; NULL, perhaps with
 * an exception. */
static PyObject *
line_new(struct accelerator *s, PyObject *name)
{
	PyObject *special =
	    PyObject_CallFunctionObjArgs(s->check_name, name, NULL);
	PyObject *text = NULL, *line = NULL;

	if (special == NULL)
		return NULL;
	if (PyUnicode_CompareWithASCIIString(special, "") == 0 ||
	    PyUnicode_CompareWithASCIIString(special, "content-length") == 0)
		text = PyUnicode_AsLatin1String(name);
	if (text != NULL && PyBytes_Size(text) <= NAME_MOST)
		line = PyBytes_FromFormat("%s: ", PyBytes_AsString(text));
	if (line != NULL)
		remember(s->lines, name, line);
	Py_DECREF(special);
	Py_XDECREF(text);
	return line;
}

/* Is it "content-length", whatever its letters? */
static int
is_length(const char *line, Py_ssize_t n)
{
	static const char wanted[] = "content-length: ";
	size_t i;

	if (n != sizeof wanted - 1)
		return 0;
	for (i = 0; i < sizeof wanted - 1; i++)
		if ((line[i] | 0x20) != wanted[i])
			return 0;
	return 1;
}

static enum verdict
length_read(struct draft *d, const char *text, Py_ssize_t n)
{
	int64_t length = 0;
	Py_ssize_t i;

	if (d->length != NO_LENGTH || d->status == 204 || n < 1 ||
	    n > DIGITS_MOST)
		return UNUSUAL;
	for (i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return UNUSUAL;
		length = length * 10 + (text[i] - '0');
	}
	d->length = length;
	return FINE;
}

static int
is_printable(const char *text, Py_ssize_t n)
{
	Py_ssize_t i;
	unsigned char c;

	for (i = 0; i < n; i++) {
		c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f)
			return 0;
	}
	return 1;
}

static enum verdict
value_add(struct draft *d, PyObject *value, int is_a_length)
{
	PyObject *text = PyUnicode_AsLatin1String(value);
	enum verdict verdict = UNUSUAL;
	Py_ssize_t n;
	char *bytes;

	if (text == NULL || PyBytes_AsStringAndSize(text, &bytes, &n) == -1)
		verdict = wrong();
	else if (is_printable(bytes, n))
		verdict = is_a_length ? length_read(d, bytes, n) : FINE;
	if (verdict == FINE)
		verdict = draft_add(d, bytes, (size_t)n);
	if (verdict == FINE)
		verdict = draft_add(d, "\r\n", 2);
	Py_XDECREF(text);
	return verdict;
}

static enum verdict
header_add(struct accelerator *s, struct draft *d, PyObject *header)
{
	PyObject *name, *value, *line;
	enum verdict verdict;
	Py_ssize_t n;
	char *bytes;

	if (!PyTuple_CheckExact(header) || PyTuple_Size(header) != 2)
		return UNUSUAL;
	name = PyTuple_GetItem(header, 0);
	value = PyTuple_GetItem(header, 1);
	if (!PyUnicode_CheckExact(name) || !PyUnicode_CheckExact(value))
		return UNUSUAL;
	line = PyDict_GetItemWithError(s->lines, name);
	if (line != NULL)
		Py_INCREF(line);
	else if (!PyErr_Occurred())
		line = line_new(s, name);
	if (line == NULL || PyBytes_AsStringAndSize(line, &bytes, &n) == -1) {
		Py_XDECREF(line);
		return wrong();
	}
	verdict = draft_add(d, bytes, (size_t)n);
	if (verdict == FINE)
		verdict = value_add(d, value, is_length(bytes, n));
	Py_DECREF(line);
	return verdict;
}

static enum verdict
headers_add(struct accelerator *s, struct draft *d, PyObject *headers)
{
	enum verdict verdict = FINE;
	PyObject *header;
	Py_ssize_t i;

	/* the size each time: Python may have run meanwhile */
	for (i = 0; verdict == FINE && i < PyList_Size(headers); i++) {
		if (i == HEADERS_MOST)
			return UNUSUAL;
		header = PyList_GetItem(headers, i);
		Py_INCREF(header);
		verdict = header_add(s, d, header);
		Py_DECREF(header);
	}
	return verdict;
}

int
head_make(struct answer *a, PyObject *status, PyObject *headers)
{
	struct accelerator *s = a->accel;
	struct draft d = { .at = s->head + RECORD_HEAD,
		.end = s->head + RECORD_HEAD + RECORD_MOST - HEAD_ROOM,
		.length = NO_LENGTH };
	enum verdict verdict;

	if (s->is_making_head || !PyUnicode_CheckExact(status) ||
	    !PyList_CheckExact(headers))
		return UNUSUAL;
	s->is_making_head = 1;
	verdict = status_add(s, &d, status);
	if (verdict == FINE)
		verdict = headers_add(s, &d, headers);
	s->is_making_head = 0;
	if (verdict != FINE)
		return verdict;
	if (a->python != NULL || a->is_closed || a->is_called)
		return UNUSUAL; /* a thread was faster */
	s->head_length = (size_t)(d.at - s->head - RECORD_HEAD);
	a->status = d.status;
	a->left = d.length;
	return FINE;
}

void
head_add_length(struct answer *a, int64_t length)
{
	struct accelerator *s = a->accel;
	char *at = (char *)s->head + RECORD_HEAD + s->head_length;

	s->head_length += (size_t)snprintf(
	    at, HEAD_ROOM, "Content-Length: %lld\r\n", (long long)length);
	a->left = length;
}
