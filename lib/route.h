#ifndef MAMAYO_ROUTE_H
#define MAMAYO_ROUTE_H

#include <stddef.h>

/*
 * route: host and path -> mount, on a segment boundary. Pure.
 *
 * Longest mount first ("/blog" matches "/blog" and "/blog/x", never
 * "/blogger"); mounts of the request's host before those of every host; the
 * host is compared without port, without a final dot, in lower case, and
 * without "www." if it has no mounts of its own.
 */
struct route {
	char *host;  /* "" for every host */
	char *mount; /* "/blog", "" */
	char *name;  /* the app's NAME */
	/* what is served without the app: an address below mount, and the
	 * directory in the app's for it, and so on, then NULL; owned; or NULL
	 */
	char **places;
};

struct routes {
	struct route *route; /* owned, ordered as tried */
	size_t n;
};

void routes_init(struct routes *);
void routes_release(struct routes *);
/* Copies the three strings. 0, or -1 without memory: then only released. */
int routes_add(
    struct routes *, const char *host, const char *mount, const char *name);
/* One more place of the last that was added. 0 or -1 likewise. */
int routes_add_place(struct routes *, const char *at, const char *directory);
/* To be called once after the last routes_add. */
void routes_sort(struct routes *);

/* host may be NULL. NULL if nothing matches. Borrowed. */
struct route *routes_find(const struct routes *, const char *host,
    const char *path, size_t path_length);

#endif
