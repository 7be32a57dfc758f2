#include "config.h"

#include <string.h>

#include "lib/app.h"
#include "lib/route.h"
#include "t/fuzz/fuzz.h"

/*
 * A host, a path and names of applications, with NUL between them; "-" is no
 * host. A reference, slow and obvious, finds the same application.
 */
#define APPS_MOST 12

static struct app apps[APPS_MOST];
static size_t napps;

/* As it is compared: small letters, without port and final dot. */
static char *
plain_host(const char *text)
{
	char *host = malloc(strlen(text) + 1);
	size_t n = 0;

	CHECK(host != NULL);
	for (; *text != '\0'; text++) {
		if (*text == ':' && host[0] != '[')
			break;
		host[n++] =
		    *text >= 'A' && *text <= 'Z' ? (char)(*text + 32) : *text;
		if (*text == ']' && host[0] == '[')
			break;
	}
	if (n > 0 && host[n - 1] == '.')
		n--;
	host[n] = '\0';
	return host;
}

/* Its parts, compared one after the other: how many, -1 if it is not below. */
static long
parts_below(const char *path, const char *mount)
{
	long parts = 0;

	while (*mount != '\0') {
		if (*path != *mount)
			return -1;
		parts += *mount == '/';
		path++;
		mount++;
	}
	return *path == '\0' || *path == '/' ? parts : -1;
}

static int
has_host(const char *host)
{
	for (size_t i = 0; i < napps; i++) {
		char *its = plain_host(apps[i].host);
		int is = strcmp(its, host) == 0;

		free(its);
		if (is)
			return 1;
	}
	return 0;
}

/* The mount that should be found; NULL if none should. */
static const char *
reference(const char *host, const char *path)
{
	const struct app *best = NULL;

	for (size_t i = 0; i < napps; i++) {
		const struct app *a = &apps[i];
		char *its = plain_host(a->host);
		int is_hers = strcmp(its, host) == 0;

		free(its);
		if (is_hers && parts_below(path, a->mount) >= 0 &&
		    (best == NULL || strlen(a->mount) > strlen(best->mount)))
			best = a;
	}
	return best == NULL ? NULL : best->mount;
}

static const char *
expected(const char *text, const char *path, char **host)
{
	const char *mount;

	*host = plain_host(text == NULL ? "" : text);
	if (strncmp(*host, "www.", 4) == 0 && (*host)[4] != '\0' &&
	    !has_host(*host))
		memmove(*host, *host + 4, strlen(*host + 4) + 1);
	mount = reference(*host, path);
	if (mount == NULL && **host != '\0') {
		**host = '\0';
		mount = reference("", path);
	}
	return mount;
}

/* The file that is named after it is one, and no longer than a name may be. */
static void
check_file_name(const char *name)
{
	char *file = app_log_name(name);
	size_t n = strlen(file);

	CHECK(n >= 4 && n <= 255 && strcmp(file + n - 4, ".log") == 0);
	CHECK(strchr(file, '/') == NULL);
	free(file);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *host, *path, *mount;
	struct fuzz_input in;
	struct routes routes;
	struct route *found;
	char *its;

	fuzz_begin(&in, bytes, size);
	host = fuzz_optional(&in);
	path = fuzz_text(&in);
	routes_init(&routes);
	for (napps = 0; napps < APPS_MOST && in.at < in.end; napps++) {
		struct app *a = &apps[napps];

		app_init(a);
		app_set(a, "/home/u/mamayo/apps", fuzz_text(&in));
		CHECK(routes_add(&routes, a->host, a->mount, a->name) == 0);
		check_file_name(a->name);
	}
	routes_sort(&routes);
	found = routes_find(&routes, host, path, strlen(path));
	mount = expected(host, path, &its);
	CHECK((found == NULL) == (mount == NULL));
	if (found != NULL) {
		CHECK(strcmp(found->mount, mount) == 0);
		CHECK(strcmp(found->host, its) == 0);
	}
	free(its);
	routes_release(&routes);
	while (napps > 0)
		app_release(&apps[--napps]);
	fuzz_end(&in);
	return 0;
}
