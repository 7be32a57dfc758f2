#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/local.h"

#define LOCAL_HASH 8 /* digits that are one, as in style.3f2a99c1.css */

static int
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Content that no server takes for anything else than a file. */
static int
is_plain_type(const char *type)
{
	return begins(type, "image/") || begins(type, "font/") ||
	       begins(type, "audio/") || begins(type, "video/") ||
	       begins(type, "text/css") || begins(type, "text/javascript") ||
	       strcmp(type, "application/pdf") == 0 ||
	       strcmp(type, "application/zip") == 0;
}

/* Parts between the first and the last dot mean nothing to mod_mime. */
static int
is_plain_name(const char *name)
{
	const char *part = strchr(name, '.'), *end;
	size_t n;

	for (; part != NULL && (end = strchr(part + 1, '.')) != NULL;
	     part = end) {
		n = (size_t)(end - part - 1);
		if (n == 3 && strncmp(part + 1, "min", n) == 0)
			continue;
		if (n < LOCAL_HASH || strspn(part + 1, "0123456789abcdef") != n)
			return 0;
	}
	return part != NULL && part[1] != '\0';
}

/* May everybody go there, and read it? A group that may not could be that of
 * the web server. From public/ on an .htaccess would count. */
static int
is_open_to_all(const struct local_file *f)
{
	static const mode_t through = S_IXGRP | S_IXOTH,
			    read = S_IRGRP | S_IROTH;
	char path[PATH_MAX];
	struct stat st;
	size_t n = 0;

	while ((n += 1 + strcspn(f->real + n + 1, "/")) < strlen(f->real)) {
		if (n + sizeof "/" LOCAL_RULES > sizeof path)
			return 0;
		memcpy(path, f->real, n);
		path[n] = '\0';
		if (stat(path, &st) == -1 || (st.st_mode & through) != through)
			return 0;
		memcpy(path + n, "/" LOCAL_RULES, sizeof "/" LOCAL_RULES);
		if (n + 1 >= f->own && access(path, F_OK) == 0)
			return 0;
	}
	return (f->stat->st_mode & read) == read;
}

/* The path of the file below the place of the links' directory; the first
 * `files` bytes of it are that directory, the first `link` a link. 0, or -1 if
 * it is too long. */
static int
put_tail(char *out, size_t room, const char *prefix, const struct local_file *f,
    size_t *files, size_t *link)
{
	size_t name = f->own - f->app - sizeof "/public";
	int n = snprintf(out, room, "%s%s%.*s/%s", *prefix == '/' ? "" : "/",
	    prefix, (int)name, f->real + f->app, f->real + f->own);

	if (n < 0 || (size_t)n >= room)
		return -1;
	*link = (size_t)n - strlen(f->real + f->own) - 1;
	*files = *link - name - 1;
	for (char *c = out + *files + 1; c < out + *link; c++)
		if (*c == '/')
			*c = ':';
	return 0;
}

/* Makes the link, if its directory is one that was made for that. */
static int
make_link(char *path, size_t files, size_t link, const struct local_file *f)
{
	char rules[PATH_MAX], target[PATH_MAX];
	int is_made;

	if ((size_t)snprintf(rules, sizeof rules, "%.*s/" LOCAL_RULES,
		(int)files, path) >= sizeof rules ||
	    access(rules, F_OK) == -1)
		return -1;
	snprintf(target, sizeof target, "%.*s", (int)f->own - 1, f->real);
	path[link] = '\0';
	is_made = symlink(target, path) == 0;
	path[link] = '/';
	return is_made ? 0 : -1;
}

char *
local_address(
    const struct params *p, const char *prefix, const struct local_file *f)
{
	const char *software = params_get(p, "SERVER_SOFTWARE");
	const char *root = params_get(p, "DOCUMENT_ROOT");
	const char *script = params_get(p, "SCRIPT_NAME");
	const char *program = params_get(p, "SCRIPT_FILENAME");
	size_t place = 0, base = 0, files, link, n;
	char tail[PATH_MAX], path[PATH_MAX];
	struct stat st;
	char *address;

	if (software == NULL || !begins(software, "Apache") ||
	    f->stat->st_size < LOCAL_LEAST || !is_plain_type(f->type) ||
	    !is_plain_name(strrchr(f->real, '/') + 1) || !is_open_to_all(f) ||
	    put_tail(tail, sizeof tail, prefix, f, &files, &link) == -1)
		return NULL;
	if (*prefix == '/' && root != NULL)
		place = strlen(root);
	else if (*prefix != '/' && script != NULL && *script == '/' &&
		 program != NULL && *program == '/') {
		root = program;
		place = (size_t)(strrchr(program, '/') - program);
		base = (size_t)(strrchr(script, '/') - script);
	} else
		return NULL;
	if ((size_t)snprintf(path, sizeof path, "%.*s%s", (int)place, root,
		tail) >= sizeof path)
		return NULL;
	if (stat(path, &st) == -1 &&
	    (errno != ENOENT ||
		make_link(path, place + files, place + link, f) == -1 ||
		stat(path, &st) == -1))
		return NULL;
	n = base + strlen(tail) + 1;
	if (st.st_dev != f->stat->st_dev || st.st_ino != f->stat->st_ino ||
	    (address = malloc(n)) == NULL)
		return NULL;
	snprintf(address, n, "%.*s%s", (int)base, base > 0 ? script : "", tail);
	return address;
}
