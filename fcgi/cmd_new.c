#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "lib/account.h"
#include "lib/carried.h"
#include "lib/discover.h"
#include "lib/fd.h"
#include "lib/quote.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

#define NEW_KEY 32 /* random bytes, of a Django project */

#define NEW_NEXT 4

struct new_kind {
	const char *option, *place; /* below examples/ */
	int has_key;
	struct {
		const char *verb, *rest;
	} next[NEW_NEXT]; /* commands that come then */
};

static const struct new_kind kinds[] = {
	{ .option = "--plain", .place = "new/plain/" },
	{ .option = "--flask",
	    .place = "new/flask/",
	    .next = { { "setup", "" } } },
	{ .option = "--django",
	    .place = "new/django/",
	    .has_key = 1,
	    .next = { { "setup", "" }, { "run", " python manage.py migrate" },
		{ "run", " python manage.py collectstatic" },
		{ "run", " python manage.py createsuperuser" } } },
};

#define KINDS (sizeof kinds / sizeof kinds[0])

/* What signs a Django project's sessions. */
static int
new_key(int at, struct problem *why)
{
	char text[2 * NEW_KEY + 1];

	fd_random_hex(text, NEW_KEY);
	text[2 * NEW_KEY] = '\n'; /* for the NUL */
	return whole_write(at, "secret.key", text, sizeof text, 0600, why);
}

static int
new_file(int at, const char *path, const struct carried *c, struct problem *why)
{
	const char *slash = strrchr(path, '/'), *name = path;
	char *directory;
	int fd = at, result;

	if (slash != NULL) {
		name = slash + 1;
		directory = xstrndup(path, (size_t)(slash - path));
		fd = openat(at, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		free(directory);
		if (fd == -1)
			return problem_sys(why, "cannot write %s", path);
	}
	result = whole_write(fd, name, c->text, c->length, 0644, why);
	if (fd != at)
		fd_close(&fd);
	return result;
}

static int
new_files(int at, const struct new_kind *kind, struct problem *why)
{
	size_t n = strlen(kind->place);
	const char *path;

	for (const struct carried *c = examples; c->name != NULL; c++) {
		if (strncmp(c->name, kind->place, n) != 0)
			continue;
		path = c->name + n;
		if (whole_directories(at, path) == -1)
			return problem_sys(why, "cannot write %s", path);
		if (new_file(at, path, c, why) == -1)
			return -1;
	}
	return kind->has_key ? new_key(at, why) : 0;
}

/* Makes all of it beside its place, and puts it there. */
static int
new_build(int apps, const struct new_kind *kind, const char *name,
    struct problem *why)
{
	char *unfinished = whole_unfinished(".new");
	int fd = -1, result = -1;

	whole_tidy(apps);
	if (mkdirat(apps, unfinished, 0755) == -1 ||
	    (fd = openat(
		 apps, unfinished, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		problem_sys(why, "cannot make a directory in apps");
	else if (new_files(fd, kind, why) == -1)
		;
	else if (whole_directories(apps, name) == 0 &&
		 renameat(apps, unfinished, apps, name) == 0)
		result = 0;
	else if (errno == ENOTEMPTY || errno == EEXIST)
		problem_set(why, "there is an apps/%s already", name);
	else
		problem_sys(why, "cannot make apps/%s", name);
	fd_close(&fd);
	if (result == -1)
		whole_remove(apps, unfinished);
	free(unfinished);
	return result;
}

/* Would an application there be found? */
static int
new_may_be(const struct account *a, const char *name, struct problem *why)
{
	struct discovery found;
	const char *one;
	size_t n;
	int result = discover_name(name, why);

	discovery_init(&found);
	if (result == 0)
		result = account_discover(a, &found, why);
	for (size_t i = 0; i < found.napps && result == 0; i++) {
		one = found.apps[i].name;
		n = strlen(one);
		if (strcmp(one, name) == 0)
			result = problem_set(
			    why, "there is an application %s already", name);
		else if (strncmp(one, name, n) == 0 && name[n] == '/')
			result = problem_set(why,
			    "%s is an application, and none can lie in "
			    "another",
			    one);
	}
	discovery_release(&found);
	return result;
}

/* The directories of a group that were made for it, and are empty. */
static void
new_take_back(int apps, const char *name)
{
	char *group = xstrdup(name), *slash;

	whole_remove(apps, name);
	while ((slash = strrchr(group, '/')) != NULL) {
		*slash = '\0';
		if (unlinkat(apps, group, AT_REMOVEDIR) == -1)
			break;
	}
	free(group);
}

/* Looks whether it is found as it should be; if not, takes it back. */
static int
new_check(const struct account *a, int apps, const char *name, struct app *app,
    struct problem *why)
{
	struct discovery found;
	int result = -1;

	discovery_init(&found);
	if (account_discover(a, &found, why) == 0) {
		problem_set(why,
		    "%s would not be found in %s; \"mamayo apps\" says what "
		    "is passed over there",
		    name, a->apps);
		for (size_t i = 0; i < found.napps; i++)
			if (strcmp(found.apps[i].name, name) == 0 &&
			    found.apps[i].refused != NULL)
				problem_set(why, "%s would be refused: %s",
				    name, found.apps[i].refused);
			else if (strcmp(found.apps[i].name, name) == 0) {
				app_set(app, a->apps, name);
				result = 0;
			}
	}
	discovery_release(&found);
	if (result == -1)
		new_take_back(apps, name);
	return result;
}

static int
new_make(const struct account *a, const struct new_kind *kind, const char *name,
    struct app *app, struct problem *why)
{
	int apps = open(a->apps, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = -1;

	if (apps == -1)
		problem_sys(why, "%s", a->apps);
	else if (new_may_be(a, name, why) == 0) {
		command_hold_signals();
		if (new_build(apps, kind, name, why) == 0)
			result = new_check(a, apps, name, app, why);
		command_let_signals();
	}
	fd_close(&apps);
	return result;
}

static int
new_app(const struct account *a, const struct new_kind *kind, const char *name)
{
	struct problem why;
	struct app app;
	char *quoted;

	app_init(&app);
	if (new_make(a, kind, name, &app, &why) == -1)
		return command_failed(&why);
	printf("%s is in %s, and served at %s%s/\n", name, app.directory,
	    app.host, app.mount);
	quoted = quote_word(name);
	for (size_t i = 0; i < NEW_NEXT && kind->next[i].verb != NULL; i++)
		printf("%s    mamayo %s %s%s\n", i == 0 ? "next:\n" : "",
		    kind->next[i].verb, quoted, kind->next[i].rest);
	free(quoted);
	app_release(&app);
	return 0;
}

static const struct new_kind *
new_kind(const char *option)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strcmp(kinds[i].option, option) == 0)
			return &kinds[i];
	return NULL;
}

static int
new_run(const struct command *c, int argc, char **argv)
{
	const struct new_kind *kind = NULL;
	const char *name = NULL;
	struct account account;
	int status;

	for (int i = 0; i < argc; i++)
		if (kind == NULL && (kind = new_kind(argv[i])) != NULL)
			continue;
		else if (name != NULL || argv[i][0] == '-' ||
			 argv[i][0] == '\0')
			return command_usage(c);
		else
			name = argv[i];
	if (name == NULL)
		return command_usage(c);
	if ((status = command_account(&account, 1)) != 0)
		return status;
	status = new_app(&account, kind != NULL ? kind : &kinds[0], name);
	account_release(&account);
	return status;
}

const struct command command_new = {
	.name = "new",
	.arguments = "NAME [--flask] [--django] [--plain]",
	.summary = "begin an application",
	.help = "Makes the application ~/mamayo/apps/NAME, to begin with: "
		"without a framework, made\nwith Flask, or a Django project "
		"with its administration; and says what comes\nnext. It is "
		"served at /NAME at once. NAME may be one in a group "
		"(tools/wiki), of a\nhost (@example.org/shop), or ROOT, which "
		"is served at /.",
	.run = new_run,
};
