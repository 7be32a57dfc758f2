#include "config.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/url.h"
#include "t/check.h"

#define BAD NULL /* as a path: the request is refused */

struct row {
	const char *what;
	const char *script_name, *path_info, *request_uri; /* NULL: not sent */
	const char *base, *path;                           /* expected */
};

static void
check_with(const struct row *row, const char *program, const char *set)
{
	struct url_input in = { row->request_uri, row->script_name,
		row->path_info, program, set };
	enum url_result result;
	struct url u;

	result = url_parse(&in, &u);
	if (row->path == BAD) {
		ck_assert_msg(result == URL_BAD, "%s: accepted, as %s + %s",
		    row->what, u.base, u.path);
		ck_assert_ptr_null(u.base);
		ck_assert_ptr_null(u.path);
		return;
	}
	ck_assert_msg(result == URL_OK, "%s: refused", row->what);
	ck_assert_msg(strcmp(u.base, row->base) == 0, "%s: base %s, not %s",
	    row->what, u.base, row->base);
	ck_assert_msg(strcmp(u.path, row->path) == 0, "%s: path %s, not %s",
	    row->what, u.path, row->path);
	ck_assert_uint_eq(u.base_length, strlen(u.base));
	ck_assert_uint_eq(u.path_length, strlen(u.path));
	url_release(&u);
	ck_assert_ptr_null(u.path);
}

#define CHECK_ALL(rows, set)                                           \
	for (size_t at = 0; at < sizeof(rows) / sizeof(rows)[0]; at++) \
	check_with(&(rows)[at], "m.fcgi", set)

/* What each server and rule makes of one URL: what was asked for is always
 * /blog/a%2541b, then /blog/a%25b, /blog/a%3Fb, /blog/a%2Fb, /blog//x, as far
 * as the server lets them through. */
START_TEST(test_every_server_and_rule_gives_the_path_that_was_asked_for)
{
	static const struct row rows[] = {
		{ "Apache, RewriteRule ^(.*)$ /m.fcgi/$1, decodes twice",
		    "/m.fcgi", "/blog/aAb", "/blog/a%2541b", "",
		    "/blog/a%41b" },
		{ "the same, //", "/m.fcgi", "/blog/x", "/blog//x", "",
		    "/blog/x" },
		{ "Apache, RewriteRule ^ /m.fcgi%{REQUEST_URI}", "/m.fcgi",
		    "/blog/aAb", "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, //", "/m.fcgi", "/blog/x", "/blog//x", "",
		    "/blog/x" },
		{ "Apache, RewriteRule ^ m.fcgi [L]", "/m.fcgi", NULL,
		    "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, %25b", "/m.fcgi", NULL, "/blog/a%25b", "",
		    "/blog/a%b" },
		{ "the same, %3F", "/m.fcgi", NULL, "/blog/a%3Fb", "",
		    "/blog/a?b" },
		{ "the same, //", "/m.fcgi", NULL, "/blog//x", "", "/blog/x" },
		{ "Apache, FallbackResource /m.fcgi", "/m.fcgi", NULL,
		    "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, %25b", "/m.fcgi", NULL, "/blog/a%25b?q=1", "",
		    "/blog/a%b" },
		{ "the same, %3F", "/m.fcgi", NULL, "/blog/a%3Fb?q=1", "",
		    "/blog/a?b" },
		{ "the same, //", "/m.fcgi", NULL, "//blog///x//", "",
		    "/blog/x/" },
		{ "Apache, in a subfolder", "/sub/m.fcgi", NULL,
		    "/sub/blog/a%2541b", "/sub", "/blog/a%41b" },
		{ "the same, %25b", "/sub/m.fcgi", NULL, "/sub/blog/a%25b",
		    "/sub", "/blog/a%b" },
		{ "the same, %3F", "/sub/m.fcgi", NULL, "/sub/blog/a%3Fb",
		    "/sub", "/blog/a?b" },
		{ "the same, //", "/sub/m.fcgi", NULL, "//sub//blog//x", "/sub",
		    "/blog/x" },
		{ "Apache, at a user's place", "/~alice/m.fcgi", NULL,
		    "/~alice/blog/a%2541b", "/~alice", "/blog/a%41b" },
		{ "the same, written %7E", "/~alice/m.fcgi", NULL,
		    "/%7Ealice/blog/x", "/~alice", "/blog/x" },
		{ "Apache, typed directly", "/m.fcgi", "/blog/a%41b",
		    "/m.fcgi/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, %25b", "/m.fcgi", "/blog/a%b",
		    "/m.fcgi/blog/a%25b", "", "/blog/a%b" },
		{ "the same, %3F", "/m.fcgi", "/blog/a?b", "/m.fcgi/blog/a%3Fb",
		    "", "/blog/a?b" },
		{ "the same, //", "/m.fcgi", "/blog/x", "/m.fcgi//blog//x", "",
		    "/blog/x" },
		{ "the same, in a subfolder", "/sub/m.fcgi", "/blog/x",
		    "/sub/m.fcgi/blog/x", "/sub", "/blog/x" },
		{ "Apache, FcgidWrapper virtual", "/blog", "/a%41b",
		    "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, %25b", "/blog", "/a%b", "/blog/a%25b", "",
		    "/blog/a%b" },
		{ "the same, %3F", "/blog", "/a?b", "/blog/a%3Fb", "",
		    "/blog/a?b" },
		{ "the same, //", "/blog", "/x", "/blog//x", "", "/blog/x" },
		{ "lighttpd, \"/\"", "/blog", "/a%41b", "/blog/a%2541b", "",
		    "/blog/a%41b" },
		{ "the same, %25b", "/blog", "/a%b", "/blog/a%25b", "",
		    "/blog/a%b" },
		{ "the same, %3F", "/blog", "/a?b", "/blog/a%3Fb", "",
		    "/blog/a?b" },
		{ "the same, %2F", "/blog", "/a/b", "/blog/a%2Fb", "",
		    "/blog/a/b" },
		{ "the same, //", "/blog", "/x", "/blog//x", "", "/blog/x" },
		{ "the same, one part only", "/blog", "", "/blog", "",
		    "/blog" },
		{ "the same, twice the same part", "/blog", "/blog",
		    "/blog/blog", "", "/blog/blog" },
		{ "lighttpd, \"/\" with fix-root-scriptname", "", "/blog/a%41b",
		    "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, %25b", "", "/blog/a%b", "/blog/a%25b", "",
		    "/blog/a%b" },
		{ "the same, %3F", "", "/blog/a?b", "/blog/a%3Fb", "",
		    "/blog/a?b" },
		{ "the same, %2F", "", "/blog/a/b", "/blog/a%2Fb", "",
		    "/blog/a/b" },
		{ "the same, //", "", "/blog/x", "/blog//x", "", "/blog/x" },
		{ "lighttpd, \"/blog\"", "/blog", "/a%41b", "/blog/a%2541b", "",
		    "/blog/a%41b" },
		{ "the same, %2F", "/blog", "/a/b", "/blog/a%2Fb", "",
		    "/blog/a/b" },
		{ "the same, and a longer word", "/blog", "ger", "/blogger", "",
		    "/blogger" },
		{ "lighttpd, \"/blog/\"", "/blog/a%41b", NULL, "/blog/a%2541b",
		    "", "/blog/a%41b" },
		{ "lighttpd, strip-request-uri \"/blog\"", "/blog", "/a%41b",
		    "/a%2541b", "", "/blog/a%41b" },
		{ "the same, %25b", "/blog", "/a%b", "/a%25b", "",
		    "/blog/a%b" },
		{ "the same, %3F", "/blog", "/a?b", "/a%3Fb", "", "/blog/a?b" },
		{ "the same, %2F", "/blog", "/a/b", "/a%2Fb", "", "/blog/a/b" },
		{ "the same, //", "/blog", "/x", "//x", "", "/blog/x" },
		{ "the same, only the slash", "/blog", "/", "/?q", "",
		    "/blog/" },
		{ "the same, nothing left", "/blog", "", "", "", "/blog" },
		{ "lighttpd, rewrite-if-not-file", "/m.fcgi", "/blog/a%41b",
		    "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, %2F", "/m.fcgi", "/blog/a/b", "/blog/a%2Fb", "",
		    "/blog/a/b" },
		{ "the same, to another name than ours", "/site.fcgi",
		    "/blog/x", "/blog/x", "", "/blog/x" },
		{ "lighttpd, error-handler-404", "/m.fcgi", NULL,
		    "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, //", "/m.fcgi", NULL, "/blog//x", "", "/blog/x" },
		{ "nginx, fastcgi_params", "/blog/a%41b", NULL, "/blog/a%2541b",
		    "", "/blog/a%41b" },
		{ "the same, %25b", "/blog/a%b", "", "/blog/a%25b", "",
		    "/blog/a%b" },
		{ "the same, %3F", "/blog/a?b", NULL, "/blog/a%3Fb", "",
		    "/blog/a?b" },
		{ "the same, %2F", "/blog/a/b", NULL, "/blog/a%2Fb", "",
		    "/blog/a/b" },
		{ "the same, //", "/blog/x", NULL, "/blog//x", "", "/blog/x" },
		{ "nginx, fastcgi_split_path_info", "/blog", "/a%41b",
		    "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, and a longer word", "/blog", "ger", "/blogger", "",
		    "/blogger" },
		{ "the same, //", "/blog", "/x", "//blog//x", "", "/blog/x" },
		{ "mod_proxy_fcgi, ProxyPass", "/blog/a%41b", NULL,
		    "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, %25b", "/blog/a%b", NULL, "/blog/a%25b", "",
		    "/blog/a%b" },
		{ "the same, %3F", "/blog/a?b", NULL, "/blog/a%3Fb", "",
		    "/blog/a?b" },
		{ "mod_proxy_fcgi, SetHandler and RewriteRule ^ m.fcgi",
		    "/m.fcgi", NULL, "/blog/a%2541b", "", "/blog/a%41b" },
		{ "the same, %3F", "/m.fcgi", NULL, "/blog/a%3Fb", "",
		    "/blog/a?b" },
		{ "the same, //", "/m.fcgi", NULL, "/blog//x", "", "/blog/x" },
	};

	CHECK_ALL(rows, NULL);
}
END_TEST

START_TEST(test_what_was_asked_for_is_read_as_the_standards_say)
{
	static const struct row rows[] = {
		{ "the root", "", NULL, "/", "", "/" },
		{ "a query is no path", "", NULL, "/a?b/../..", "", "/a" },
		{ "an empty query", "", NULL, "/a?", "", "/a" },
		{ "a fragment is no path", "", NULL, "/a#b?c", "", "/a" },
		{ "absolute form", "/m.fcgi", NULL, "http://evil.test/blog/x?y",
		    "", "/blog/x" },
		{ "absolute form, TLS and a port", "/m.fcgi", NULL,
		    "HTTPS://e.test:81//x", "", "/x" },
		{ "absolute form, a made-up scheme", "/m.fcgi", NULL,
		    "x+y-1.z://h/x", "", "/x" },
		{ "absolute form without a path", "/m.fcgi", NULL,
		    "http://evil.test", "", "/" },
		{ "the same with a query", "/m.fcgi", NULL,
		    "http://evil.test?/x", "", "/" },
		{ "absolute form in a subfolder", "/sub/m.fcgi", NULL,
		    "http://e.test/sub/x", "/sub", "/x" },
		{ "a path that looks absolute", "", NULL, "/http://e/x", "",
		    "/http:/e/x" },
		{ "the server itself", "/m.fcgi", NULL, "*", "", "" },
		{ "the server itself, in a subfolder", "/sub/m.fcgi", "/x", "*",
		    "/sub", "" },
		{ "a host and a port", "", NULL, "e.test:443", "", BAD },
		{ "a bare word", "", NULL, "blog", "", BAD },
		{ "a scheme that begins with a digit", "", NULL, "1http://h/x",
		    "", BAD },
		{ "UTF-8", "", NULL, "/%C3%A9/\xc3\xa9", "",
		    "/\xc3\xa9/\xc3\xa9" },
		{ "a byte that is not UTF-8", "", NULL, "/%E9", "", "/\xe9" },
		{ "a semicolon and a plus", "", NULL, "/a;b=1/c+d", "",
		    "/a;b=1/c+d" },
		{ "a literal space, as lighttpd lets it in", "", NULL, "/a b",
		    "", "/a b" },
		{ "line ends stay what they are", "", NULL, "/a%0d%0ab", "",
		    "/a\r\nb" },
		{ "hexadecimal in both cases", "", NULL, "/%2b%2B%fa%Fa", "",
		    "/++\xfa\xfa" },
		{ "decoded once only", "", NULL, "/%252e%252e/x", "",
		    "/%2e%2e/x" },
		{ "a trailing slash stays", "", NULL, "/a/", "", "/a/" },
		{ "many trailing slashes are one", "", NULL, "/a///", "",
		    "/a/" },
		{ "NUL", "", NULL, "/a%00b", "", BAD },
		{ "a percent at the end", "", NULL, "/a%", "", BAD },
		{ "a percent and one digit", "", NULL, "/a%2", "", BAD },
		{ "a percent and no digits", "", NULL, "/a%zz", "", BAD },
		{ "a percent and one good digit", "", NULL, "/a%2zb", "", BAD },
		{ "a bad percent in the query", "", NULL, "/a?%zz%00", "",
		    "/a" },
		{ "bad bytes where nobody looks", "/m.fcgi", "/../..", "/x", "",
		    "/x" },
	};

	CHECK_ALL(rows, NULL);
}
END_TEST

START_TEST(test_dots_are_resolved_and_never_lead_out)
{
	static const struct row rows[] = {
		{ "a dot", "", NULL, "/a/./b", "", "/a/b" },
		{ "a dot at the end", "", NULL, "/a/.", "", "/a/" },
		{ "two dots", "", NULL, "/a/../b", "", "/b" },
		{ "two dots at the end", "", NULL, "/a/b/..", "", "/a/" },
		{ "up to the root", "", NULL, "/a/..", "", "/" },
		{ "up to the root and down", "", NULL, "/a/../b/../c", "",
		    "/c" },
		{ "three dots are a name", "", NULL, "/a/.../b", "",
		    "/a/.../b" },
		{ "names with dots", "", NULL, "/.a/..b/c..", "",
		    "/.a/..b/c.." },
		{ "encoded dots", "", NULL, "/a/%2e%2E/b", "", "/b" },
		{ "encoded dots and slashes", "", NULL, "/x/a%2f%2e%2e%2fb", "",
		    "/x/b" },
		{ "slashes do not count as parts", "", NULL, "/a//../b", "",
		    "/b" },
		{ "above the root", "", NULL, "/..", "", BAD },
		{ "above the root and back", "", NULL, "/../a", "", BAD },
		{ "above the root, later", "", NULL, "/a/../../b", "", BAD },
		{ "above the root, encoded", "", NULL, "/%2e%2e/b", "", BAD },
		{ "above the root, as it was measured", "", NULL,
		    "/a/../../etc/%2e%2e/b", "", BAD },
		{ "in a subfolder, around an access rule", "/sub/m.fcgi", NULL,
		    "/sub/public/%2e%2e/admin", "/sub", "/admin" },
		{ "out of the subfolder", "/sub/m.fcgi", "/x", "/sub/../x",
		    "/sub", "/x" },
	};

	CHECK_ALL(rows, NULL);
}
END_TEST

START_TEST(test_without_a_request_uri_the_names_say_the_path)
{
	static const struct row rows[] = {
		{ "nothing at all", NULL, NULL, NULL, "", "" },
		{ "only a path", NULL, "/blog/x", NULL, "", "/blog/x" },
		{ "only a script", "/blog", NULL, NULL, "", "/blog" },
		{ "both", "/blog", "/x", NULL, "", "/blog/x" },
		{ "a slash as a script is nothing", "/", "/x", NULL, "", "/x" },
		{ "only a slash as a script", "/", NULL, NULL, "", "" },
		{ "our own file", "/m.fcgi", "/x", NULL, "", "/x" },
		{ "our own file in a subfolder", "/sub/m.fcgi", "/x/", NULL,
		    "/sub", "/x/" },
		{ "our own file and nothing", "/sub/m.fcgi", NULL, NULL, "/sub",
		    "" },
		{ "they are decoded already", NULL, "/a%41%zz", NULL, "",
		    "/a%41%zz" },
		{ "an empty REQUEST_URI is none", "/m.fcgi", "/x", "", "",
		    "/x" },
		{ "nor is one that is only a query", "/m.fcgi", "/x", "?y", "",
		    "/x" },
		{ "dots are resolved", "/a", "/../b", NULL, "", "/b" },
		{ "above the root", "/a", "/../../b", NULL, "", BAD },
		{ "no slash at the front", "blog", "/x", NULL, "", BAD },
		{ "no slash at the front of the path", "", "x", NULL, "", BAD },
	};

	CHECK_ALL(rows, NULL);
}
END_TEST

START_TEST(test_a_path_that_is_not_below_the_base_is_taken_from_the_names)
{
	static const struct row rows[] = {
		{ "Alias", "/sub/m.fcgi", "/blog/x", "/other/blog/x", "/sub",
		    "/blog/x" },
		{ "Alias, and the path had a bad end", "/sub/m.fcgi",
		    "/blog/../../../../x", "/other/blog/x", "", BAD },
		{ "CGIVar REQUEST_URI current-uri", "/sub/m.fcgi", NULL,
		    "/sub/m.fcgi", "/sub", "" },
		{ "a longer word is not below", "/sub/m.fcgi", "/x",
		    "/subway/x", "/sub", "/x" },
		{ "the base alone", "/sub/m.fcgi", NULL, "/sub", "/sub", "" },
		{ "the base and a slash", "/sub/m.fcgi", NULL, "/sub/", "/sub",
		    "/" },
		{ "typed directly, nothing behind it", "/m.fcgi", NULL,
		    "/m.fcgi", "", "" },
		{ "a longer word than our own file", "/m.fcgi", NULL,
		    "/m.fcgix/y", "", "/m.fcgix/y" },
		{ "our own file once only", "/m.fcgi", "/m.fcgi/x",
		    "/m.fcgi/m.fcgi/x", "", "/m.fcgi/x" },
		{ "our own file further down is a name like any other",
		    "/m.fcgi", NULL, "/blog/m.fcgi", "", "/blog/m.fcgi" },
		{ "the path only pretends to be longer than all of it", "/blog",
		    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "/b", "", "/b" },
		{ "the same with our own file", "/sub/m.fcgi",
		    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "/b", "/sub",
		    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
	};

	CHECK_ALL(rows, NULL);
}
END_TEST

START_TEST(test_a_base_that_was_set_counts_more_than_what_is_found)
{
	static const struct row rows[] = {
		{ "prefix style", "/app", "/blog/x", "/app/blog/x", "/app",
		    "/blog/x" },
		{ "our own file elsewhere", "/m.fcgi", NULL, "/app/blog/x",
		    "/app", "/blog/x" },
		{ "only the names have it", "/app/m.fcgi", "/blog", "/y/blog",
		    "/app", "/blog" },
		{ "a front proxy has cut it off", "/m.fcgi", NULL, "/blog/x",
		    "/app", "/blog/x" },
		{ "the same, prefix style", "/blog", "/x", "/blog/x", "/app",
		    "/blog/x" },
		{ "a longer word", "", "/apple", "/apple", "/app", "/apple" },
	};

	CHECK_ALL(rows, "/app");
	CHECK_ALL(rows, "/app/");
	CHECK_ALL(rows, "app");
	CHECK_ALL(rows, "//app//");
}
END_TEST

START_TEST(test_an_empty_base_that_was_set_means_the_root)
{
	static const struct row rows[] = {
		{ "in a subfolder", "/sub/m.fcgi", NULL, "/sub/blog", "",
		    "/sub/blog" },
		{ "typed directly", "/m.fcgi", NULL, "/m.fcgi/x", "", "/x" },
	};

	CHECK_ALL(rows, "");
	CHECK_ALL(rows, "/");
}
END_TEST

START_TEST(test_a_program_may_have_any_name_or_none)
{
	static const struct row row = { "no name", "/sub/m.fcgi", NULL,
		"/sub/m.fcgi/x", "", "/sub/m.fcgi/x" };
	static const struct row rewritten = { "rewritten", "/serve", "/blog/x",
		"/blog/x", "/blog", "/x" };
	static const struct row last = { "empty last part", "/sub/", NULL,
		"/sub/x", "", "/sub/x" };

	/* a program of any name, behind a rewrite to its PATH_INFO */
	check_with(&rewritten, "serve", "/blog");
	check_with(&row, NULL, NULL);
	check_with(&row, "", NULL);
	check_with(&last, "", NULL);
}
END_TEST

START_TEST(test_very_long_paths_are_handled)
{
	size_t n = 128 * 1024;
	char *uri = malloc(n + 1);
	struct url_input in = { uri, "/sub/m.fcgi", uri, "m.fcgi", NULL };
	struct url u;

	memset(uri, 'a', n);
	uri[n] = '\0';
	memcpy(uri, "/sub/", 5);
	ck_assert_int_eq(url_parse(&in, &u), URL_OK);
	ck_assert_uint_eq(u.path_length, n - 4);
	url_release(&u);
	for (size_t i = 0; i < n; i++)
		uri[i] = i % 2 ? '.' : '/';
	ck_assert_int_eq(url_parse(&in, &u), URL_OK);
	url_release(&u);
	for (size_t i = 0; i < n; i++)
		uri[i] = i % 3 ? '.' : '/';
	ck_assert_int_eq(url_parse(&in, &u), URL_BAD);
	free(uri);
}
END_TEST

/*
 * The same rules once more, slow and obvious: lists of parts instead of bytes
 * in place.
 */
#define MOST 64

struct parts {
	char part[MOST][256];
	int n;
	int slash; /* it ends in one; for no parts: "/" and not "" */
	int bad;
};

static void
ref_decode(const char *in, char *out)
{
	char digits[3] = "", *start = out;

	for (; *in != '\0'; in++) {
		if (*in != '%') {
			*out++ = *in;
			continue;
		}
		if (!isxdigit((unsigned char)in[1]) ||
		    !isxdigit((unsigned char)in[2])) {
			strcpy(start, "BAD");
			return;
		}
		memcpy(digits, in + 1, 2);
		*out = (char)strtol(digits, NULL, 16);
		if (*out++ == '\0') {
			strcpy(start, "BAD");
			return;
		}
		in += 2;
	}
	*out = '\0';
}

static struct parts
ref_parts(const char *path)
{
	struct parts p = { .n = 0 };
	char copy[1024], *word, *rest = copy;

	if (*path == '\0')
		return p;
	if (*path != '/') {
		p.bad = 1;
		return p;
	}
	strcpy(copy, path + 1);
	while (!p.bad && rest != NULL) {
		word = rest;
		rest = strchr(rest, '/');
		if (rest != NULL)
			*rest++ = '\0';
		p.slash = 1;
		if (strcmp(word, "") == 0 || strcmp(word, ".") == 0)
			continue;
		if (strcmp(word, "..") == 0) {
			if (p.n == 0)
				p.bad = 1;
			else
				p.n--;
			continue;
		}
		strcpy(p.part[p.n++], word);
		p.slash = 0;
	}
	return p;
}

static int
ref_begins(const struct parts *p, const struct parts *with)
{
	for (int i = 0; i < with->n; i++)
		if (i >= p->n || strcmp(p->part[i], with->part[i]) != 0)
			return 0;
	return 1;
}

static void
ref_cut(struct parts *p, int n)
{
	if (n == 0)
		return;
	for (int i = n; i < p->n; i++)
		strcpy(p->part[i - n], p->part[i]);
	p->n -= n;
}

static void
ref_text(const struct parts *p, char *out)
{
	*out = '\0';
	for (int i = 0; i < p->n; i++) {
		strcat(out, "/");
		strcat(out, p->part[i]);
	}
	if (p->slash)
		strcat(out, "/");
}

static struct parts
ref_names(const struct url_input *in)
{
	char both[1024] = "";

	if (in->script_name != NULL && strcmp(in->script_name, "/") != 0)
		strcat(both, in->script_name);
	if (in->path_info != NULL)
		strcat(both, in->path_info);
	return ref_parts(both);
}

static int
ref_ends(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* 0, or -1 for URL_BAD. */
static int
ref_url(const struct url_input *in, char *base_text, char *path_text)
{
	struct parts base = { .n = 0 }, path, names = ref_names(in);
	char uri[1024] = "", decoded[1024], file[64], text[1024], *c;
	const char *script = in->script_name == NULL ? "" : in->script_name;
	int ours;

	snprintf(file, sizeof file, "/%s", in->program);
	ours = ref_ends(script, file) || strcmp(script, in->program) == 0;
	if (in->base != NULL) {
		snprintf(text, sizeof text, "/%s", in->base);
		base = ref_parts(text);
	} else if (ours) {
		base = ref_parts(script);
		base.n--;
	}
	if (base.bad)
		return -1;
	base.slash = 0;
	ref_text(&base, base_text);

	strcpy(uri, in->request_uri == NULL ? "" : in->request_uri);
	if (strcmp(uri, "*") == 0) {
		*path_text = '\0';
		return 0;
	}
	if (strncmp(uri, "http://", 7) == 0) {
		c = uri + 7;
		while (*c != '\0' && *c != '/' && *c != '?' && *c != '#')
			c++;
		strcpy(text, *c == '/' ? c : "/");
		strcpy(uri, text);
	}
	if ((c = strpbrk(uri, "?#")) != NULL)
		*c = '\0';
	if (*uri == '\0')
		path = names;
	else {
		ref_decode(uri, decoded);
		path = ref_parts(decoded);
		ref_text(&path, text);
		if (!path.bad && !ours && strlen(script) > 1 &&
		    !ref_ends(script, ".fcgi") && in->path_info != NULL &&
		    *text != '\0' && strcmp(text, in->path_info) == 0)
			path = names;
	}
	if (path.bad)
		return -1;
	if (ref_begins(&path, &base))
		ref_cut(&path, base.n);
	else if (names.bad)
		return -1;
	else if (ref_begins(&names, &base)) {
		path = names;
		ref_cut(&path, base.n);
	}
	if (path.n > 0 && strcmp(path.part[0], in->program) == 0)
		ref_cut(&path, 1);
	ref_text(&path, path_text);
	return 0;
}

static uint32_t seed = 20261123;

static uint32_t
any(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/* A path of random pieces, some of them hostile. */
static void
any_path(char *out)
{
	static const char *const piece[] = { "/", "/", "/", "/", "//", ".",
		"..", "/../", "/./", "a", "b", "blog", "sub", "m.fcgi",
		"/m.fcgi", "/sub", "x.fcgi", "%2e", "%2F", "%2e%2e/", "%41",
		"%25", "%2541", "\xc3\xa9", "%C3%A9", " ", "\r\n", ";", "+",
		"%00", "%zz", "%", "?", "#" };
	uint32_t n = any(9);

	*out = '\0';
	if (any(10) > 0)
		strcat(out, "/");
	while (n-- > 0) /* the hostile ones at the end of the list are rare */
		strcat(out,
		    piece[any(any(6) ? 26 : sizeof piece / sizeof piece[0])]);
}

START_TEST(test_agrees_with_a_slow_and_obvious_reading)
{
	char uri[600], script[512], info[512], tail[512], set[512];
	char base[1024], path[1024];
	struct url_input in;
	struct url u;
	int expected, refused = 0;

	for (int i = 0; i < 20000; i++) {
		any_path(tail);
		any_path(info);
		any_path(script);
		any_path(set);
		if (any(3) == 0)
			snprintf(script, sizeof script, "%sm.fcgi",
			    any(2) ? "/" : "/sub/");
		else if (any(4) == 0)
			strcpy(script, any(2) ? "/" : "/blog");
		if (any(3) == 0)
			strcpy(info, tail);
		snprintf(uri, sizeof uri, "%s%s",
		    any(3)   ? ""
		    : any(3) ? "/sub"
		    : any(2) ? "http://h:1"
			     : "/blog",
		    any(50) ? tail : "*");
		in = (struct url_input){ any(20) ? uri : NULL,
			any(20) ? script : NULL, any(5) ? info : NULL, "m.fcgi",
			any(8) ? NULL : set };
		expected = ref_url(&in, base, path);
		refused += expected == -1;
		ck_assert_msg((url_parse(&in, &u) == URL_OK) == (expected == 0),
		    "%d: uri %s script %s info %s set %s: result", i,
		    in.request_uri, in.script_name, in.path_info, in.base);
		if (expected == -1)
			continue;
		ck_assert_msg(
		    strcmp(u.base, base) == 0 && strcmp(u.path, path) == 0,
		    "%d: uri %s script %s info %s set %s: %s + %s, not %s + %s",
		    i, in.request_uri, in.script_name, in.path_info, in.base,
		    u.base, u.path, base, path);
		ck_assert_uint_eq(u.path_length, strlen(u.path));
		url_release(&u);
	}
	ck_assert_int_gt(refused, 2000);
	ck_assert_int_lt(refused, 18000);
}
END_TEST

SUITE("url", test_every_server_and_rule_gives_the_path_that_was_asked_for,
    test_what_was_asked_for_is_read_as_the_standards_say,
    test_dots_are_resolved_and_never_lead_out,
    test_without_a_request_uri_the_names_say_the_path,
    test_a_path_that_is_not_below_the_base_is_taken_from_the_names,
    test_a_base_that_was_set_counts_more_than_what_is_found,
    test_an_empty_base_that_was_set_means_the_root,
    test_a_program_may_have_any_name_or_none, test_very_long_paths_are_handled,
    test_agrees_with_a_slow_and_obvious_reading);
