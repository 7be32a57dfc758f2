#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/route.h"
#include "lib/xalloc.h"

/* A host as it is compared: without port and final dot. Not terminated. */
struct host {
	const char *text;
	size_t n;
};

static struct host
host_span(const char *text)
{
	struct host h = { text, 0 };

	if (text == NULL)
		return h;
	h.n = strcspn(text, *text == '[' ? "]" : ":");
	if (text[h.n] == ']')
		h.n++;
	if (h.n > 0 && text[h.n - 1] == '.')
		h.n--;
	return h;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* name is in lower case already. */
static int
host_is(struct host h, const char *name)
{
	size_t i;

	for (i = 0; i < h.n; i++)
		if (name[i] == '\0' || lower(h.text[i]) != name[i])
			return 0;
	return name[i] == '\0';
}

static int
has_mounts(const struct routes *rs, struct host h)
{
	size_t i;

	for (i = 0; i < rs->n; i++)
		if (host_is(h, rs->route[i].host))
			return 1;
	return 0;
}

void
routes_init(struct routes *rs)
{
	rs->route = NULL;
	rs->n = 0;
}

void
routes_release(struct routes *rs)
{
	size_t i;

	for (i = 0; i < rs->n; i++) {
		free(rs->route[i].host);
		free(rs->route[i].mount);
		free(rs->route[i].name);
		xstrvfree(rs->route[i].places);
	}
	free(rs->route);
	routes_init(rs);
}

int
routes_add(
    struct routes *rs, const char *host, const char *mount, const char *name)
{
	struct host h = host_span(host);
	struct route *grown, *r;
	size_t i;

	grown = realloc(rs->route, (rs->n + 1) * sizeof *rs->route);
	if (grown == NULL)
		return -1;
	rs->route = grown;
	r = &rs->route[rs->n++];
	r->host = strndup(h.n == 0 ? "" : h.text, h.n);
	r->mount = strdup(mount);
	r->name = strdup(name);
	r->places = NULL;
	if (r->host == NULL || r->mount == NULL || r->name == NULL)
		return -1; /* it is released with the others */
	for (i = 0; i < h.n; i++)
		r->host[i] = lower(r->host[i]);
	return 0;
}

int
routes_add_place(struct routes *rs, const char *at, const char *directory)
{
	struct route *r = &rs->route[rs->n - 1];
	char **grown;
	size_t n = 0;

	while (r->places != NULL && r->places[n] != NULL)
		n++;
	grown = realloc(r->places, (n + 3) * sizeof *grown);
	if (grown == NULL)
		return -1;
	r->places = grown;
	memset(grown + n, 0, 3 * sizeof *grown);
	if ((grown[n] = strdup(at)) == NULL)
		return -1;
	grown[n + 1] = strdup(directory);
	return grown[n + 1] == NULL ? -1 : 0;
}

/* Longest mount first; the rest only makes the order certain. */
static int
route_order(const void *left, const void *right)
{
	const struct route *a = left, *b = right;
	size_t na = strlen(a->mount), nb = strlen(b->mount);
	int order;

	if (na != nb)
		return na > nb ? -1 : 1;
	if ((order = strcmp(a->host, b->host)) != 0)
		return order;
	if ((order = strcmp(a->mount, b->mount)) != 0)
		return order;
	return strcmp(a->name, b->name);
}

void
routes_sort(struct routes *rs)
{
	if (rs->n > 1)
		qsort(rs->route, rs->n, sizeof *rs->route, route_order);
}

static struct route *
longest(const struct routes *rs, struct host h, const char *path, size_t n)
{
	struct route *r;
	size_t i, m;

	for (i = 0; i < rs->n; i++) {
		r = &rs->route[i];
		m = strlen(r->mount);
		if (m <= n && (m == 0 || memcmp(path, r->mount, m) == 0) &&
		    (m == n || path[m] == '/') && host_is(h, r->host))
			return r;
	}
	return NULL;
}

struct route *
routes_find(const struct routes *rs, const char *host, const char *path,
    size_t path_length)
{
	struct host h = host_span(host), bare = h, every = { "", 0 };
	struct route *r;

	if (h.n > 4 && host_is((struct host){ h.text, 4 }, "www.")) {
		bare.text += 4;
		bare.n -= 4;
		if (!has_mounts(rs, h))
			h = bare;
	}
	r = longest(rs, h, path, path_length);
	if (r == NULL && h.n > 0)
		r = longest(rs, every, path, path_length);
	return r;
}
