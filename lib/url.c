#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/url.h"

/* Bytes that need not end with NUL; text is NULL for what was not sent. */
struct span {
	const char *text;
	size_t n;
};

static struct span
span(const char *text)
{
	return (struct span){ text, text == NULL ? 0 : strlen(text) };
}

static int
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* How many bytes "scheme://" takes at the front; 0 if it is not there. */
static size_t
scheme_length(const char *uri)
{
	size_t n;

	if (!is_alpha(*uri))
		return 0;
	for (n = 1; is_alpha(uri[n]) || (uri[n] >= '0' && uri[n] <= '9') ||
		    (uri[n] != '\0' && strchr("+-.", uri[n]) != NULL);
	     n++)
		;
	return strncmp(uri + n, "://", 3) == 0 ? n + 3 : 0;
}

/* The path of a REQUEST_URI, still encoded: rule 1. */
static struct span
uri_path(const char *uri)
{
	size_t scheme = scheme_length(uri);
	struct span path;

	if (scheme > 0) {
		uri += scheme;
		uri += strcspn(uri, "/?#");
		if (*uri != '/')
			return span("/"); /* "http://example.com?x" */
	}
	path.text = uri;
	path.n = strcspn(uri, "?#");
	return path;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes in place, once. -1 for a bad %zz or a NUL. */
static int
decode(char *text, size_t *n)
{
	size_t in, out;
	int high, low;

	for (in = out = 0; in < *n; in++, out++) {
		text[out] = text[in];
		if (text[in] != '%')
			continue;
		high = in + 1 < *n ? hex(text[in + 1]) : -1;
		low = in + 2 < *n ? hex(text[in + 2]) : -1;
		if (high == -1 || low == -1 || high + low == 0)
			return -1;
		text[out] = (char)(high * 16 + low);
		in += 2;
	}
	*n = out;
	return 0;
}

/*
 * Collapses slashes and resolves "." and ".." in place; what ended in a slash
 * or a dot segment ends in a slash. -1 for what does not begin with "/" or
 * climbs above the root. What is written never overtakes what is read.
 */
static int
resolve(char *text, size_t *n)
{
	size_t in = 0, out = 0, start, len;

	if (*n == 0)
		return 0;
	if (text[0] != '/')
		return -1;
	while (in < *n) {
		while (in < *n && text[in] == '/')
			in++;
		text[out++] = '/';
		start = in;
		while (in < *n && text[in] != '/')
			in++;
		len = in - start;
		if (len == 0 || (len == 1 && text[start] == '.')) {
			if (in < *n)
				out--; /* the next turn writes the slash */
		} else if (len == 2 && memcmp(text + start, "..", 2) == 0) {
			out--;
			if (out == 0)
				return -1;
			while (text[--out] != '/')
				;
			if (in == *n)
				out++;
		} else {
			memmove(text + out, text + start, len);
			out += len;
		}
	}
	*n = out;
	return 0;
}

/* A copy of a and b in a row, resolved and, if asked, decoded before. NULL
 * also without memory, with errno. */
static char *
clean(struct span a, struct span b, int encoded, size_t *n)
{
	char *text = malloc(a.n + b.n + 1);

	if (text == NULL)
		return NULL;
	if (a.n > 0)
		memcpy(text, a.text, a.n);
	if (b.n > 0)
		memcpy(text + a.n, b.text, b.n);
	*n = a.n + b.n;
	if ((encoded && decode(text, n) == -1) || resolve(text, n) == -1) {
		free(text);
		return NULL;
	}
	text[*n] = '\0';
	return text;
}

/* Does text begin with prefix, on a segment boundary? */
static int
begins(const char *text, size_t n, const char *prefix, size_t m)
{
	return m <= n && memcmp(text, prefix, m) == 0 &&
	       (m == n || text[m] == '/');
}

static void
cut_front(char *text, size_t *n, size_t cut)
{
	memmove(text, text + cut, *n - cut + 1);
	*n -= cut;
}

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* The base that was set: begins with "/", does not end in one. */
static char *
base_given(const char *base, size_t *n)
{
	struct span slash = { "/", 1 };
	char *text = clean(slash, span(base), 0, n);

	while (text != NULL && *n > 0 && text[*n - 1] == '/')
		text[--*n] = '\0';
	return text;
}

/* Rule 2. */
static char *
base_found(const char *script_name, const char *program, size_t *n)
{
	struct span nothing = { "", 0 };
	char *text;

	*n = 0;
	if (script_name == NULL || program == NULL || *program == '\0' ||
	    strcmp(last_part(script_name), program) != 0)
		return calloc(1, 1);
	text = clean(span(script_name), nothing, 0, n);
	if (text != NULL) {
		*n = (size_t)(last_part(text) - text);
		while (*n > 0 && text[*n - 1] == '/')
			--*n;
		text[*n] = '\0';
	}
	return text;
}

/*
 * lighttpd's strip-request-uri takes the prefix out of REQUEST_URI and leaves
 * it in SCRIPT_NAME. Then PATH_INFO is all of the path. The same picture with
 * a program's name in SCRIPT_NAME is a rewrite to a program that is called
 * otherwise than we are: there REQUEST_URI is whole.
 */
static int
was_stripped(const struct url_input *in, const char *path, size_t n)
{
	size_t script, info;

	if (in->script_name == NULL || in->path_info == NULL)
		return 0;
	script = strlen(in->script_name);
	info = strlen(in->path_info);
	if (script < 2 || info == 0 || info != n ||
	    memcmp(path, in->path_info, n) != 0)
		return 0;
	return script < 5 || strcmp(in->script_name + script - 5, ".fcgi") != 0;
}

/* SCRIPT_NAME + PATH_INFO: rules 4 and 5. */
static char *
path_of_names(const struct url_input *in, size_t *n)
{
	struct span script = span(in->script_name);

	if (script.n == 1 && *script.text == '/')
		script.n = 0;
	return clean(script, span(in->path_info), 0, n);
}

/* The whole path, base and all: rules 1 and 3. */
static char *
path_of(const struct url_input *in, int has_program, size_t *n)
{
	struct span nothing = { "", 0 }, uri = { NULL, 0 };
	char *path;

	if (in->request_uri != NULL)
		uri = uri_path(in->request_uri);
	if (uri.n == 0)
		return path_of_names(in, n);
	path = clean(uri, nothing, 1, n);
	if (path != NULL && !has_program && was_stripped(in, path, *n)) {
		free(path);
		path = path_of_names(in, n);
	}
	return path;
}

/* Rule 4: what comes after the base. */
static int
path_below(const struct url_input *in, struct url *u)
{
	char *other;
	size_t n, program = in->program == NULL ? 0 : strlen(in->program);

	if (begins(u->path, u->path_length, u->base, u->base_length))
		cut_front(u->path, &u->path_length, u->base_length);
	else {
		other = path_of_names(in, &n);
		if (other == NULL)
			return -1;
		if (begins(other, n, u->base, u->base_length)) {
			free(u->path);
			u->path = other;
			u->path_length = n;
			cut_front(u->path, &u->path_length, u->base_length);
		} else
			free(other); /* a front proxy has cut the base */
	}
	if (program > 0 && u->path_length > 0 &&
	    begins(u->path + 1, u->path_length - 1, in->program, program))
		cut_front(u->path, &u->path_length, 1 + program);
	return 0;
}

enum url_result
url_parse(const struct url_input *in, struct url *u)
{
	enum url_result result;
	int has_program;

	errno = 0;
	memset(u, 0, sizeof *u);
	has_program = in->script_name != NULL && in->program != NULL &&
		      strcmp(last_part(in->script_name), in->program) == 0;
	if (in->base != NULL)
		u->base = base_given(in->base, &u->base_length);
	else
		u->base =
		    base_found(in->script_name, in->program, &u->base_length);
	if (u->base == NULL)
		goto fail;
	if (in->request_uri != NULL && strcmp(in->request_uri, "*") == 0) {
		u->path = calloc(1, 1); /* the server itself, not a place */
		if (u->path == NULL)
			goto fail;
		return URL_OK;
	}
	u->path = path_of(in, has_program, &u->path_length);
	if (u->path == NULL || path_below(in, u) == -1)
		goto fail;
	return URL_OK;

fail:
	result = errno == ENOMEM ? URL_NO_MEMORY : URL_BAD;
	url_release(u);
	return result;
}

void
url_release(struct url *u)
{
	free(u->base);
	free(u->path);
	memset(u, 0, sizeof *u);
}
