#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/params.h"
#include "lib/wire.h"

#define DIGITS_MOST 18 /* of a CONTENT_LENGTH: fits any 64-bit number */

void
params_init(struct params *p)
{
	memset(p, 0, sizeof *p);
}

void
params_release(struct params *p)
{
	free(p->text);
	free(p->list);
	params_init(p);
}

void
params_clear(struct params *p)
{
	p->n = 0;
	p->length = 0;
}

/* Room for one more pair of that many bytes. The old text stays as it is
 * until the copy is there; `was` is to be freed when nothing borrows it. */
static int
make_room(struct params *p, size_t more, char **was)
{
	struct param *list;
	size_t size = p->size ? p->size : 2048, room;
	char *text;

	*was = NULL;
	if (p->n == p->room) {
		room = p->room ? p->room * 2 : 64;
		list = realloc(p->list, room * sizeof *list);
		if (list == NULL)
			return -1;
		p->list = list;
		p->room = room;
	}
	if (p->length + more <= p->size)
		return 0;
	while (size < p->length + more)
		size *= 2; /* ends: both are below WIRE_PARAMS_MOST */
	if ((text = malloc(size)) == NULL)
		return -1;
	if (p->length > 0)
		memcpy(text, p->text, p->length);
	*was = p->text;
	p->text = text;
	p->size = size;
	return 0;
}

static enum params_result
append(struct params *p, const void *name, size_t name_length,
    const void *value, size_t value_length)
{
	struct param *it;
	char *was;

	if (name_length > PARAMS_NAME_MOST ||
	    value_length > PARAMS_VALUE_MOST || p->n >= PARAMS_COUNT_MOST ||
	    name_length + value_length + 2 > WIRE_PARAMS_MOST - p->length)
		return PARAMS_TOO_MUCH;
	if (make_room(p, name_length + value_length + 2, &was) == -1)
		return PARAMS_NO_MEMORY;
	it = &p->list[p->n++];
	it->name = p->length;
	it->value = it->name + name_length + 1;
	it->value_length = value_length;
	memcpy(p->text + it->name, name, name_length);
	p->text[it->value - 1] = '\0';
	if (value_length > 0)
		memcpy(p->text + it->value, value, value_length);
	p->text[it->value + value_length] = '\0';
	p->length = it->value + value_length + 1;
	free(was);
	return PARAMS_OK;
}

enum params_result
params_add(struct params *p, const void *name, size_t name_length,
    const void *value, size_t value_length)
{
	if (name_length == 0 || memchr(name, '\0', name_length) != NULL ||
	    memchr(name, '=', name_length) != NULL ||
	    (value_length > 0 && memchr(value, '\0', value_length) != NULL))
		return PARAMS_BAD;
	return append(p, name, name_length, value, value_length);
}

const char *
params_get(const struct params *p, const char *name)
{
	size_t size = strlen(name) + 1, i; /* asked for often: sizes first */
	const struct param *it;

	for (i = p->n; i > 0; i--) {
		it = &p->list[i - 1];
		if (it->value - it->name == size &&
		    memcmp(p->text + it->name, name, size) == 0)
			return p->text + it->value;
	}
	return NULL;
}

/* Takes the name out of the first n pairs, in one walk over all of them. */
static void
remove_from(struct params *p, const char *name, size_t n)
{
	struct param it;
	size_t i, kept = 0, length = 0, bytes;

	for (i = 0; i < p->n; i++) {
		it = p->list[i];
		if (i < n && strcmp(p->text + it.name, name) == 0)
			continue;
		bytes = it.value + it.value_length + 1 - it.name;
		if (length != it.name)
			memmove(p->text + length, p->text + it.name, bytes);
		it.value -= it.name - length;
		it.name = length;
		p->list[kept++] = it;
		length += bytes;
	}
	p->n = kept;
	p->length = length;
}

enum params_result
params_set(struct params *p, const char *name, const char *value, size_t length)
{
	enum params_result result;
	size_t n = p->n;

	result = params_add(p, name, strlen(name), value, length);
	if (result == PARAMS_OK)
		remove_from(p, name, n);
	return result;
}

void
params_remove(struct params *p, const char *name)
{
	remove_from(p, name, p->n);
}

enum url_result
params_url(const struct params *p, const char *program, const char *base,
    struct url *url)
{
	struct url_input input = { .request_uri = params_get(p, "REQUEST_URI"),
		.script_name = params_get(p, "SCRIPT_NAME"),
		.path_info = params_get(p, "PATH_INFO"),
		.program = program,
		.base = base };

	return url_parse(&input, url);
}

enum params_result
params_place(struct params *p, const struct url *url, const char *mount)
{
	size_t length = strlen(mount);
	char *script = malloc(url->base_length + length + 1);
	enum params_result result;

	if (script == NULL)
		return PARAMS_NO_MEMORY;
	memcpy(script, url->base, url->base_length);
	memcpy(script + url->base_length, mount, length);
	result =
	    params_set(p, "SCRIPT_NAME", script, url->base_length + length);
	if (result == PARAMS_OK)
		result = params_set(p, "PATH_INFO", url->path + length,
		    url->path_length - length);
	free(script);
	return result;
}

enum params_result
params_set_length(struct params *p, uint64_t length)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%llu", (unsigned long long)length);

	return params_set(p, "CONTENT_LENGTH", text, (size_t)n);
}

static int
is_one_of(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(name, *list) == 0)
			return 1;
	return 0;
}

static const char *const dropped[] = { "HTTP_PROXY", "HTTP_TRANSFER_ENCODING",
	"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_CONNECTION",
	"HTTP_KEEP_ALIVE", "HTTP_TE", "HTTP_TRAILER", "HTTP_UPGRADE", NULL };

/* An empty HTTP_AUTHORIZATION is what Apache's SetEnvIf makes of none. */
static const char *const dropped_if_empty[] = { "CONTENT_LENGTH",
	"CONTENT_TYPE", "REMOTE_USER", "AUTH_TYPE", "HTTPS",
	"HTTP_AUTHORIZATION", NULL };

/* Two different ones are an attempt to make two parsers disagree. */
static const char *const never_two[] = { "CONTENT_LENGTH", "HTTP_HOST", NULL };

static enum params_result
refuse(enum params_result result, struct problem *why, const char *what,
    const char *name)
{
	char shown[256];

	log_escape(shown, sizeof shown, name, strlen(name));
	problem_set(why, "the variable %s %s", shown, what);
	return result;
}

/* A pair while it is being settled. */
struct entry {
	const char *name, *value;
	size_t value_length, at; /* at: place in order of arrival */
};

static int
entry_order(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	if (order != 0)
		return order;
	return a->at < b->at ? -1 : 1;
}

/* The pairs sorted by name, equal names in order of arrival. NULL without
 * memory. */
static struct entry *
sorted(const struct params *p)
{
	struct entry *list = malloc((p->n + 1) * sizeof *list);
	size_t i;

	if (list == NULL)
		return NULL;
	for (i = 0; i < p->n; i++)
		list[i] = (struct entry){ p->text + p->list[i].name,
			p->text + p->list[i].value, p->list[i].value_length,
			i };
	if (p->n > 1)
		qsort(list, p->n, sizeof *list, entry_order);
	return list;
}

/* n values of one header in a row, as one. */
static enum params_result
append_joined(struct params *out, const struct entry *e, size_t n)
{
	const char *between = strcmp(e->name, "HTTP_COOKIE") ? ", " : "; ";
	enum params_result result;
	size_t i, length = 0;
	char *value;

	for (i = 0; i < n; i++)
		length += e[i].value_length + (i > 0 ? 2 : 0);
	if ((value = malloc(length + 1)) == NULL)
		return PARAMS_NO_MEMORY;
	for (i = length = 0; i < n; i++) {
		if (i > 0) {
			memcpy(value + length, between, 2);
			length += 2;
		}
		memcpy(value + length, e[i].value, e[i].value_length);
		length += e[i].value_length;
	}
	result = append(out, e->name, strlen(e->name), value, length);
	free(value);
	return result;
}

static int
all_equal(const struct entry *e, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++)
		if (strcmp(e[0].value, e[i].value) != 0)
			return 0;
	return 1;
}

static int
is_length(const char *value, size_t n)
{
	return n <= DIGITS_MOST && strspn(value, "0123456789") == n;
}

/* All pairs of one name: into out as one, or nowhere. */
static enum params_result
settle_name(struct params *out, const struct entry *e, size_t n, int lighttpd,
    struct problem *why)
{
	const struct entry *last = &e[n - 1];
	int is_header = strncmp(e->name, "HTTP_", 5) == 0;
	enum params_result result;

	if (n > 1 && is_header && lighttpd)
		return refuse(PARAMS_BAD, why,
		    "came from two headers (one written with \"_\")", e->name);
	if (is_one_of(e->name, never_two)) {
		if (!all_equal(e, n))
			return refuse(PARAMS_BAD, why,
			    "came twice, with two values", e->name);
		n = 1;
	}
	if (is_one_of(e->name, dropped) ||
	    (last->value_length == 0 && (n == 1 || !is_header) &&
		is_one_of(e->name, dropped_if_empty)))
		return PARAMS_OK;
	if (strcmp(e->name, "CONTENT_LENGTH") == 0 &&
	    !is_length(last->value, last->value_length))
		return refuse(
		    PARAMS_BAD, why, "is not a plain number", e->name);
	if (n > 1 && is_header)
		result = append_joined(out, e, n);
	else
		result = append(out, last->name, strlen(last->name),
		    last->value, last->value_length);
	if (result == PARAMS_TOO_MUCH)
		refuse(result, why, "is too long", e->name);
	return result;
}

static int
is_https(const struct params *p)
{
	const char *https = params_get(p, "HTTPS");
	const char *scheme = params_get(p, "REQUEST_SCHEME");

	if (https != NULL)
		return strcmp(https, "off") != 0 && strcmp(https, "0") != 0;
	return scheme != NULL && strcmp(scheme, "https") == 0;
}

/* HTTP_HOST without its port; 0 if it says nothing. */
static size_t
host_length(const char *host)
{
	size_t n;

	if (host == NULL)
		return 0;
	n = strcspn(host, *host == '[' ? "]" : ":");
	return host[n] == ']' ? n + 1 : n;
}

/* Adds a variable that is not there, or is empty where it must not be. */
static enum params_result
need(struct params *p, const char *name, int may_be_empty, const char *value,
    size_t length)
{
	const char *has = params_get(p, name);

	if (has != NULL && (may_be_empty || *has != '\0'))
		return PARAMS_OK;
	return params_set(p, name, value, length);
}

/* R-ENV4, and Apache's second name for Authorization. */
static enum params_result
complete(struct params *p)
{
	const char *host = params_get(p, "HTTP_HOST"), *passed;
	const char *port = is_https(p) ? "443" : "80";
	size_t n = host_length(host);
	enum params_result result;

	if (n == 0) {
		host = "localhost";
		n = strlen(host);
	}
	result = need(p, "SERVER_NAME", 0, host, n); /* values may move */
	passed = params_get(p, "REDIRECT_HTTP_AUTHORIZATION");
	if (passed != NULL && *passed != '\0' &&
	    params_get(p, "HTTP_AUTHORIZATION") == NULL) {
		if (result == PARAMS_OK)
			result = params_set(
			    p, "HTTP_AUTHORIZATION", passed, strlen(passed));
		params_remove(p, "REDIRECT_HTTP_AUTHORIZATION");
	}
	if (result == PARAMS_OK)
		result = need(p, "REQUEST_METHOD", 0, "GET", 3);
	if (result == PARAMS_OK)
		result = need(p, "SERVER_PORT", 0, port, strlen(port));
	if (result == PARAMS_OK)
		result = need(p, "SERVER_PROTOCOL", 0, "HTTP/1.0", 8);
	if (result == PARAMS_OK)
		result = need(p, "QUERY_STRING", 1, "", 0);
	return result;
}

/* --- what is usual: no name twice --- */

#define USUAL_MOST 64 /* pairs, which are compared each with each */

/* FNV-1a, 64 bits: equal names have equal ones. */
static uint64_t
name_hash(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (*name != '\0')
		h = (h ^ (unsigned char)*name++) * UINT64_C(0x100000001b3);
	return h;
}

static int
is_twice(const uint64_t *hash, size_t n)
{
	size_t i, k;

	for (i = 1; i < n; i++)
		for (k = 0; k < i; k++)
			if (hash[i] == hash[k])
				return 1;
	return 0;
}

/* Names about which there is a rule, by their hashes. */
static struct special {
	uint64_t hash;
	int if_empty; /* dropped only then */
} specials[sizeof dropped / sizeof dropped[0] +
	   sizeof dropped_if_empty / sizeof dropped_if_empty[0]];
static size_t nspecials;

static void
specials_fill(void)
{
	const char *const *name;

	for (name = dropped; *name != NULL; name++)
		specials[nspecials++] = (struct special){ name_hash(*name), 0 };
	for (name = dropped_if_empty; *name != NULL; name++)
		specials[nspecials++] = (struct special){ name_hash(*name), 1 };
}

/* Two hashes may be equal by chance: then the name decides. */
static int
is_dropped(const struct params *p, const struct param *it, uint64_t hash)
{
	const char *name = p->text + it->name;
	size_t i;

	for (i = 0; i < nspecials; i++)
		if (specials[i].hash == hash)
			return is_one_of(name, dropped) ||
			       (it->value_length == 0 &&
				   is_one_of(name, dropped_if_empty));
	return 0;
}

/* Takes the pair at i out. */
static void
remove_at(struct params *p, size_t i)
{
	struct param it = p->list[i];
	size_t end = it.value + it.value_length + 1, bytes = end - it.name;

	memmove(p->text + it.name, p->text + end, p->length - end);
	p->length -= bytes;
	p->n--;
	for (; i < p->n; i++) {
		p->list[i] = p->list[i + 1];
		p->list[i].name -= bytes;
		p->list[i].value -= bytes;
	}
}

/* Settles pairs of which none comes twice, where they are. 0: there are some,
 * or something is wrong. */
static int
settle_usual(struct params *p)
{
	uint64_t hash[USUAL_MOST];
	const char *length;
	size_t i;

	if (p->n > USUAL_MOST)
		return 0;
	if (nspecials == 0)
		specials_fill();
	for (i = 0; i < p->n; i++)
		hash[i] = name_hash(p->text + p->list[i].name);
	length = params_get(p, "CONTENT_LENGTH");
	if (is_twice(hash, p->n) ||
	    (length != NULL && !is_length(length, strlen(length))))
		return 0;
	for (i = p->n; i-- > 0;)
		if (is_dropped(p, &p->list[i], hash[i]))
			remove_at(p, i);
	return 1;
}

enum params_result
params_settle(struct params *p, struct problem *why)
{
	const char *software;
	int lighttpd;
	enum params_result result = PARAMS_OK;
	struct entry *list;
	struct params out;
	size_t i, n;

	if (settle_usual(p)) {
		result = complete(p);
		if (result != PARAMS_OK)
			problem_set(why, "the request has too many variables");
		return result;
	}
	software = params_get(p, "SERVER_SOFTWARE");
	lighttpd = software != NULL &&
		   strncmp(software, "lighttpd", strlen("lighttpd")) == 0;
	list = sorted(p);
	params_init(&out);
	if (list == NULL)
		result = PARAMS_NO_MEMORY;
	for (i = 0; i < p->n && result == PARAMS_OK; i += n) {
		for (n = 1; i + n < p->n &&
			    strcmp(list[i].name, list[i + n].name) == 0;
		     n++)
			;
		result = settle_name(&out, list + i, n, lighttpd, why);
	}
	free(list);
	if (result == PARAMS_OK && (result = complete(&out)) != PARAMS_OK)
		problem_set(why, "the request has too many variables");
	if (result != PARAMS_OK) {
		params_release(&out);
		return result;
	}
	params_release(p);
	*p = out;
	return PARAMS_OK;
}
