#ifndef MAMAYO_PARAMS_H
#define MAMAYO_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/problem.h"
#include "lib/url.h"

/*
 * params: the variables of one request, as they came and as the app gets them.
 *
 * Collects name-value pairs, bounded, and then makes them right for every web
 * server there is (R-ENV1 to R-ENV4): duplicates joined or refused, what must
 * not reach an app dropped, what must be there added. Stored as the wire wants
 * them: "name\0value\0name\0value\0".
 */
#define PARAMS_NAME_MOST  1024         /* bytes of one name */
#define PARAMS_VALUE_MOST (128 * 1024) /* bytes of one value */
#define PARAMS_COUNT_MOST 1000         /* pairs of one request */
/* and WIRE_PARAMS_MOST bytes in all */

enum params_result {
	PARAMS_OK,
	PARAMS_BAD,      /* 400: NUL, "=" or nothing as a name, contradiction */
	PARAMS_TOO_MUCH, /* 431: a limit is passed */
	PARAMS_NO_MEMORY /* 503 */
};

struct param {
	size_t name; /* offsets into text */
	size_t value;
	size_t value_length;
};

struct params {
	char *text; /* owned; every name and value ends with NUL */
	size_t length, size;
	struct param *list; /* owned */
	size_t n, room;
};

void params_init(struct params *);
void params_release(struct params *);
/* Empty again; its memory stays for the next request. */
void params_clear(struct params *);

enum params_result params_add(
    struct params *, const void *name, size_t, const void *value, size_t);

/* The last value with that name, or NULL. Borrowed until the next change. */
const char *params_get(const struct params *, const char *name);
/* Replaces all of that name, or adds. For names and values of our own. */
enum params_result params_set(
    struct params *, const char *name, const char *value, size_t length);
void params_remove(struct params *, const char *name);

/* The address that a request is for. Release the url if it is URL_OK. */
enum url_result params_url(
    const struct params *, const char *program, const char *base, struct url *);
/* SCRIPT_NAME and PATH_INFO, as an app sees them that is mounted there: the
 * url's path begins with mount. */
enum params_result params_place(
    struct params *, const struct url *, const char *mount);
/* CONTENT_LENGTH of a body that came without one (W-19). */
enum params_result params_set_length(struct params *, uint64_t);

/*
 * R-ENV1 HTTP_* that came twice are joined (HTTP_COOKIE with "; ", others with
 *   ", "); of any other name the last wins; CONTENT_LENGTH or HTTP_HOST that
 *   came twice and differ: PARAMS_BAD.
 * R-ENV2 behind lighttpd (SERVER_SOFTWARE) an HTTP_* that came twice is an
 *   underscore collision: PARAMS_BAD.
 * R-ENV3 dropped: HTTP_PROXY, HTTP_TRANSFER_ENCODING, HTTP_CONTENT_LENGTH,
 *   HTTP_CONTENT_TYPE, HTTP_CONNECTION, HTTP_KEEP_ALIVE, HTTP_TE,
 *   HTTP_TRAILER, HTTP_UPGRADE; CONTENT_LENGTH, CONTENT_TYPE, REMOTE_USER,
 *   AUTH_TYPE, HTTPS and HTTP_AUTHORIZATION if empty.
 *   REDIRECT_HTTP_AUTHORIZATION becomes HTTP_AUTHORIZATION where that is
 *   missing.
 * R-ENV4 REQUEST_METHOD ("GET"), SERVER_NAME (never empty: else HTTP_HOST
 * without port, else "localhost"), SERVER_PORT ("80", "443" with HTTPS),
 * SERVER_PROTOCOL
 *   ("HTTP/1.0"), QUERY_STRING ("") are always there.
 * CONTENT_LENGTH that is not a plain number: PARAMS_BAD.
 * The sentence says which name, escaped. What cannot be settled is not to be
 * used any more.
 */
enum params_result params_settle(struct params *, struct problem *);

#endif
