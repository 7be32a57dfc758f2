#include "config.h"

#include <stdio.h>

#include "fcgi/command.h"
#include "lib/account.h"
#include "lib/stopped.h"

static int
restart_app(const struct account *a, const char *name)
{
	struct problem text;
	int is_known = command_knows(a, name, stopped_is(a->root, name), &text);

	if (is_known == 0)
		return EXIT_UNHEALTHY;
	if (is_known == 1 && stopped_is(a->root, name))
		is_known = problem_set(&text,
		    "%s is stopped; to serve it again: mamayo start %s", name,
		    name);
	if (is_known == 1 && command_restart_app(a, name, &text) == 0) {
		printf("%s: %s\n", name, text.text);
		return 0;
	}
	return command_failed(&text);
}

static int
restart_run(const struct command *c, int argc, char **argv)
{
	return command_with_name(c, argc, argv, restart_app);
}

const struct command command_restart = {
	.name = "restart",
	.arguments = "NAME",
	.summary = "let a new generation of an application serve",
	.help = "Starts the application in ~/mamayo/apps/NAME anew, beside "
		"what runs of it, and\nwaits until the new generation serves; "
		"no request is lost. If it cannot be started,\nsays why, and "
		"the old one goes on (exit status 1).",
	.run = restart_run,
};
