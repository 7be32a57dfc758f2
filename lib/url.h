#ifndef MAMAYO_URL_H
#define MAMAYO_URL_H

#include <stddef.h>

/*
 * url: REQUEST_URI and friends -> base and path, by the one algorithm that is
 * right behind every web server. Pure.
 *
 * 1. REQUEST_URI: an absolute form is cut to its path, the query (from the
 *    first "?" or "#") is cut off; "*" is the path "" (OPTIONS). Missing:
 *    SCRIPT_NAME + PATH_INFO, which are decoded already.
 * 2. base = the directory of SCRIPT_NAME if its last part is program ("our own
 *    file name"), else "".
 * 3. The path is decoded once, "//" collapsed, "." and ".." resolved; above
 *    the root, a NUL, or a bad %zz is refused (URL_BAD). A trailing slash
 *    stays.
 * 4. A path that does not begin with base (on a segment boundary), or from
 *    which lighttpd's strip-request-uri took the prefix: SCRIPT_NAME +
 *    PATH_INFO without our file name. "base/mamayo.fcgi/x" typed directly is
 *    base + "/x". Neither begins with the base that was set: a front proxy
 *    has cut it off, and the path is whole.
 * 5. "/" as a SCRIPT_NAME is "".
 */
enum url_result {
	URL_OK,
	URL_BAD,      /* answer 400; the url is empty */
	URL_NO_MEMORY /* 503; likewise */
};

struct url {
	char *base; /* "", "/sub": what the web server's place is; owned */
	size_t base_length;
	char *path; /* decoded bytes after base, "" or begins with "/"; owned */
	size_t path_length; /* no NUL inside */
};

/* Spans: pointer NULL means the variable was not sent. */
struct url_input {
	const char *request_uri;
	const char *script_name;
	const char *path_info;
	const char *program; /* "mamayo.fcgi": the name we were started under */
	const char *base;    /* set: overrides rule 2 (MAMAYO_BASE); or NULL */
};

enum url_result url_parse(const struct url_input *, struct url *);
void url_release(struct url *);

#endif
