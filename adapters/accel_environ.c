#include "config.h"

#include "adapters/accel.h"

#include <string.h>

static const char *const fact_names[FACTS] = {
	[FACT_METHOD] = "REQUEST_METHOD",
	[FACT_SCRIPT] = "SCRIPT_NAME",
	[FACT_PATH] = "PATH_INFO",
	[FACT_SOFTWARE] = "SERVER_SOFTWARE",
	[FACT_SENDFILE] = "MAMAYO_SENDFILE",
	[FACT_HTTPS] = "HTTPS",
	[FACT_SCHEME] = "REQUEST_SCHEME",
};

static PyObject *
text_new(const char *text, size_t n)
{
	return PyUnicode_DecodeLatin1(text, (Py_ssize_t)n, NULL);
}

static int
name_is(const struct name *name, const char *text, size_t n)
{
	return name->length == n && memcmp(name->text, text, n) == 0;
}

/* FNV-1a. The table is never full, and it is searched only for names that come
 * in another order than those of the last request. */
static struct name *
name_place(struct environ_maker *e, const char *text, size_t n)
{
	uint32_t hash = 2166136261u;
	size_t i, at;

	for (i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)text[i]) * 16777619u;
	at = hash % NAMES_PLACES;
	while (e->names[at].text != NULL && !name_is(&e->names[at], text, n))
		at = (at + 1) % NAMES_PLACES;
	return &e->names[at];
}

static PyObject *
key_new(const char *text, size_t n)
{
	PyObject *key = text_new(text, n);

	if (key != NULL)
		PyUnicode_InternInPlace(&key);
	return key;
}

static int
name_fill(struct name *name, const char *text, size_t n)
{
	PyObject *key = key_new(text, n);
	char *copy = key != NULL ? PyMem_Malloc(n + 1) : NULL;

	if (copy == NULL) {
		if (key != NULL)
			PyErr_NoMemory();
		Py_XDECREF(key);
		return -1;
	}
	memcpy(copy, text, n);
	name->key = key;
	name->text = copy;
	name->length = n;
	name->fact = FACTS;
	return 0;
}

/* The name in the table; NULL if it is not kept, or with an exception. */
static struct name *
name_find(struct environ_maker *e, const char *text, size_t n)
{
	struct name *name = name_place(e, text, n);

	if (name->text != NULL)
		return name;
	if (e->used >= NAMES_MOST || name_fill(name, text, n) == -1)
		return NULL;
	e->used++;
	return name;
}

int
environ_init(struct environ_maker *e)
{
	struct name *name;

	for (enum fact fact = 0; fact < FACTS; fact++) {
		name = name_find(e, fact_names[fact], strlen(fact_names[fact]));
		if (name == NULL)
			return -1;
		name->fact = fact;
	}
	return 0;
}

void
environ_release(struct environ_maker *e)
{
	struct name *name;

	for (name = e->names; name < e->names + NAMES_PLACES; name++) {
		Py_XDECREF(name->key);
		Py_XDECREF(name->value);
		PyMem_Free(name->text);
		PyMem_Free(name->was);
	}
	memset(e, 0, sizeof *e);
}

/* Keeps a value for the next request; goes without if there is no memory. */
static void
name_keep(struct name *name, PyObject *value, const char *text, size_t n)
{
	PyObject *old = name->value;

	name->value = NULL;
	if (n > name->was_size) {
		PyMem_Free(name->was);
		name->was_size = 0;
		name->was = PyMem_Malloc(n);
		if (name->was != NULL)
			name->was_size = n;
	}
	if (n <= name->was_size && n <= VALUE_MOST) {
		if (n > 0)
			memcpy(name->was, text, n);
		name->was_length = n;
		Py_INCREF(value);
		name->value = value;
	}
	Py_XDECREF(old); /* a str: this runs nobody's code */
}

/* A new reference. */
static PyObject *
name_value(struct name *name, const char *text, size_t n)
{
	PyObject *value;

	if (name->value != NULL && name->was_length == n &&
	    (n == 0 || memcmp(name->was, text, n) == 0)) {
		Py_INCREF(name->value);
		return name->value;
	}
	value = text_new(text, n);
	if (value != NULL && n <= VALUE_MOST)
		name_keep(name, value, text, n);
	return value;
}

static void
fact_note(struct told *told, PyObject *value, const char *text, size_t n)
{
	Py_INCREF(value);
	Py_XDECREF(told->object); /* the name stood there twice */
	told->object = value;
	told->text = text;
	told->length = n;
}

/* A parameter whose name is not kept. */
static int
environ_add_stranger(PyObject *environ, const char *name, size_t length,
    const char *text, size_t n)
{
	PyObject *key = text_new(name, length), *value = NULL;
	int failed = -1;

	if (key != NULL)
		value = text_new(text, n);
	if (value != NULL)
		failed = PyDict_SetItem(environ, key, value);
	Py_XDECREF(key);
	Py_XDECREF(value);
	return failed;
}

/* The i-th parameter of a request. */
static int
environ_add(struct environ_maker *e, size_t i, PyObject *environ,
    struct told *facts, const char *text, size_t length, const char *value,
    size_t n)
{
	struct name *name = i < PARAMS_MOST ? e->last[i] : NULL;
	PyObject *object;
	int failed;

	if (name == NULL || !name_is(name, text, length)) {
		name = name_find(e, text, length);
		if (name == NULL && PyErr_Occurred())
			return -1;
		if (i < PARAMS_MOST)
			e->last[i] = name;
	}
	if (name == NULL)
		return environ_add_stranger(environ, text, length, value, n);
	object = name_value(name, value, n);
	if (object == NULL)
		return -1;
	failed = PyDict_SetItem(environ, name->key, object);
	if (!failed && name->fact != FACTS)
		fact_note(&facts[name->fact], object, value, n);
	Py_DECREF(object);
	return failed;
}

PyObject *
environ_new(
    struct environ_maker *e, const char *text, size_t n, struct told *facts)
{
	PyObject *environ = PyDict_New();
	const char *end = text + n, *name = text, *value, *stop;
	size_t i = 0;

	if (environ == NULL)
		return NULL;
	while ((stop = memchr(name, '\0', (size_t)(end - name))) != NULL) {
		value = stop + 1;
		stop = memchr(value, '\0', (size_t)(end - value));
		if (environ_add(e, i++, environ, facts, name,
			(size_t)(value - 1 - name), value,
			(size_t)((stop != NULL ? stop : end) - value)) == -1) {
			Py_DECREF(environ);
			return NULL;
		}
		if (stop == NULL)
			break;
		name = stop + 1;
	}
	return environ;
}
