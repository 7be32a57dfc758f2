#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/app.h"
#include "lib/xalloc.h"

#define APP_FILE_NAME_MOST 255 /* bytes (NAME_MAX everywhere) */

void
app_init(struct app *a)
{
	memset(a, 0, sizeof *a);
}

void
app_release(struct app *a)
{
	free(a->name);
	free(a->host);
	free(a->mount);
	free(a->directory);
	free(a->refused);
	app_init(a);
}

/* "@Example.com./blog" gives "example.com" and leaves *rest at "blog". */
static char *
host_of(const char *name, const char **rest)
{
	const char *slash = strchr(name, '/');
	size_t n = slash == NULL ? strlen(name) : (size_t)(slash - name);
	char *host, *c;

	*rest = slash == NULL ? name + n : slash + 1;
	host = xstrndup(name + 1, n - 1);
	for (c = host; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	if (c > host && c[-1] == '.')
		c[-1] = '\0';
	return host;
}

/* "tools/wiki" gives "/tools/wiki", "tools/ROOT" "/tools", "ROOT" "". */
static char *
mount_of(const char *rest)
{
	char *mount = *rest == '\0' ? xstrdup("") : xprintf("/%s", rest);
	char *last = strrchr(mount, '/');

	if (last != NULL && strcmp(last, "/ROOT") == 0)
		*last = '\0';
	return mount;
}

void
app_set(struct app *a, const char *apps_directory, const char *name)
{
	const char *rest = name;
	struct app made;

	app_init(&made);
	made.name = xstrdup(name);
	made.host = *name == '@' ? host_of(name, &rest) : xstrdup("");
	made.mount = mount_of(rest);
	made.directory = xprintf("%s/%s", apps_directory, name);
	app_release(a);
	*a = made;
}

/* FNV-1a, so that two long names cut at the same place stay two files. */
static uint32_t
name_hash(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash;
}

/* "/" as ":", and what could be mistaken for that, as in a URL: so no two names
 * become one. */
static char *
name_escaped(const char *name)
{
	char *escaped = xrealloc(NULL, strlen(name) + 1, 3), *at = escaped;

	for (; *name != '\0'; name++)
		if (*name == ':') {
			memcpy(at, "%3A", 3);
			at += 3;
		} else if (*name == '%' && (strncmp(name, "%3A", 3) == 0 ||
					       strncmp(name, "%25", 3) == 0)) {
			memcpy(at, "%25", 3);
			at += 3;
		} else
			*at++ = *name == '/' ? ':' : *name;
	*at = '\0';
	return escaped;
}

char *
app_file_name(const char *name, const char *suffix)
{
	char *escaped = name_escaped(name), *file;
	size_t n = strlen(escaped), most = APP_FILE_NAME_MOST - strlen(suffix);

	if (n <= most)
		file = xprintf("%s%s", escaped, suffix);
	else {
		n = most - strlen("~01234567");
		while (n > 0 && ((unsigned char)escaped[n] & 0xc0) == 0x80)
			n--; /* not inside a UTF-8 character */
		file = xprintf("%.*s~%08x%s", (int)n, escaped,
		    (unsigned)name_hash(name), suffix);
	}
	free(escaped);
	return file;
}

char *
app_log_name(const char *name)
{
	return app_file_name(name, ".log");
}
