#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "fcgi/inside.h"
#include "lib/environment.h"
#include "lib/program.h"
#include "lib/xalloc.h"

#define INSIDE_NO_PERMISSION 126 /* as a shell says it */
#define INSIDE_NOT_FOUND     127

extern char **environ;

int
inside_enter(struct inside *in, const struct account *a, const char *name)
{
	struct problem why;
	char *path;
	int known, failed = -1;

	memset(in, 0, sizeof *in);
	known = command_find(a, name, &in->app, &why);
	if (known == 0)
		return EXIT_UNHEALTHY;
	if (known == 1 && in->app.refused != NULL)
		problem_set(&why, "%s is refused: %s", name, in->app.refused);
	else if (known == 1) {
		path = xprintf("%s/" SETTINGS_FILE, in->app.directory);
		failed = app_settings_read(
			     path, &a->settings, &in->settings, &why) == -1;
		free(path);
	}
	if (failed == 0)
		return 0;
	inside_leave(in);
	return command_failed(&why);
}

void
inside_leave(struct inside *in)
{
	app_release(&in->app);
	app_settings_release(&in->settings);
	python_release(&in->python);
}

static int
inside_begins(const char *line, const char *const *prefixes)
{
	for (; prefixes != NULL && *prefixes != NULL; prefixes++)
		if (strncmp(line, *prefixes, strlen(*prefixes)) == 0)
			return 1;
	return 0;
}

char **
inside_environment(const struct inside *in, const struct account *a,
    const char *const *prefixes)
{
	static const char *const terminal[] = { "TERM=", "COLORTERM=",
		"COLUMNS=", "LINES=", "EDITOR=", "VISUAL=", "PAGER=",
		"NO_COLOR=", NULL };
	char **env = environment_new(a, &in->settings, &in->python);

	for (char **line = environ; *line != NULL; line++)
		if ((inside_begins(*line, terminal) ||
			inside_begins(*line, prefixes)) &&
		    environment_get(env, *line) == NULL)
			env = environment_set(env, *line);
	return env;
}

/* NULL with errno. */
static char *
inside_program(const struct inside *in, const char *name, char *const *env)
{
	const char *places = environment_get(env, "PATH");

	if (strcmp(name, "python") == 0 || strcmp(name, "python3") == 0)
		return xstrdup(in->python.path);
	if (strchr(name, '/') != NULL)
		return xstrdup(name);
	return program_find(places == NULL ? "" : places, name);
}

int
inside_become(
    const struct inside *in, char *const *argv, char **env, struct problem *why)
{
	char *path;
	char **arguments;
	int error;

	if (chdir(in->app.directory) == -1) {
		problem_sys(why, "cannot enter %s", in->app.directory);
		return INSIDE_NO_PERMISSION;
	}
	path = inside_program(in, argv[0], env);
	if (path != NULL) {
		arguments = xstrvdup((const char *const *)argv);
		free(arguments[0]);
		arguments[0] = xstrdup(path);
		signal(SIGPIPE, SIG_DFL); /* as a program expects them */
		signal(SIGXFSZ, SIG_DFL);
		execve(path, arguments, env);
		error = errno;
		signal(SIGPIPE, SIG_IGN);
		xstrvfree(arguments);
		free(path);
		errno = error;
	}
	error = errno;
	problem_sys(why, "cannot run \"%s\" in %s", argv[0], in->app.directory);
	return error == ENOENT || error == ENOTDIR ? INSIDE_NOT_FOUND
						   : INSIDE_NO_PERMISSION;
}
