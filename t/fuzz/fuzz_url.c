#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/route.h"
#include "lib/url.h"
#include "t/fuzz/fuzz.h"

/*
 * REQUEST_URI, SCRIPT_NAME, PATH_INFO and a base, separated by NUL; a field
 * that is "-" was not sent, nor was one that is missing.
 */
#define FIELDS 4

/* Nothing is left that a file system or a router could climb with. */
static void
check_path(const char *path, size_t n)
{
	const char *part, *end;

	CHECK(strlen(path) == n);
	CHECK(n == 0 || path[0] == '/');
	CHECK(strstr(path, "//") == NULL);
	for (part = path; *part != '\0'; part = end) {
		part++;
		end = part + strcspn(part, "/");
		CHECK(end - part != 1 || *part != '.');
		CHECK(end - part != 2 || memcmp(part, "..", 2) != 0);
	}
}

/* The path that came out, asked for again with every byte encoded. */
static void
check_again(const struct url *u)
{
	char *encoded = malloc(3 * u->path_length + 1), *at = encoded;
	struct url_input in = { .request_uri = encoded };
	struct url again;

	CHECK(encoded != NULL);
	*at = '\0';
	for (size_t i = 0; i < u->path_length; i++)
		at += u->path[i] == '/'
			  ? sprintf(at, "/")
			  : sprintf(at, "%%%02X", (unsigned char)u->path[i]);
	CHECK(url_parse(&in, &again) == URL_OK);
	CHECK(strcmp(again.path, u->path) == 0);
	CHECK(again.base_length == 0);
	url_release(&again);
	free(encoded);
}

/* A mount matches only at the border of a part. */
static void
check_route(const struct url *u)
{
	struct routes routes;
	const struct route *r;
	size_t n;

	routes_init(&routes);
	routes_add(&routes, "", "/blog", "blog");
	routes_add(&routes, "", "/blog/x", "x");
	routes_sort(&routes);
	r = routes_find(&routes, NULL, u->path, u->path_length);
	if (r != NULL) {
		n = strlen(r->mount);
		CHECK(memcmp(u->path, r->mount, n) == 0);
		CHECK(u->path[n] == '\0' || u->path[n] == '/');
	} else
		CHECK(strncmp(u->path, "/blog/", 6) != 0);
	routes_release(&routes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *text = malloc(n + 1), *field[FIELDS] = { NULL }, *at = text;
	struct url_input in = { .program = "m.fcgi" };
	struct url u;

	CHECK(text != NULL);
	if (n > 0)
		memcpy(text, bytes, n);
	text[n] = '\0';
	for (int i = 0; i < FIELDS && at <= text + n; i++) {
		if (strcmp(at, "-") != 0)
			field[i] = at;
		at += strlen(at) + 1;
	}
	in.request_uri = field[0];
	in.script_name = field[1];
	in.path_info = field[2];
	in.base = field[3];
	if (url_parse(&in, &u) == URL_OK) {
		check_path(u.path, u.path_length);
		check_path(u.base, u.base_length);
		CHECK(u.base_length == 0 || u.base[u.base_length - 1] != '/');
		check_again(&u);
		check_route(&u);
	} else
		CHECK(u.path == NULL && u.base == NULL);
	url_release(&u);
	free(text);
	return 0;
}
