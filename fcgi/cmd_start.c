#include "config.h"

#include "fcgi/command.h"

static int
start_app(const struct account *a, const char *name)
{
	return command_stop_app(a, name, 0);
}

static int
start_run(const struct command *c, int argc, char **argv)
{
	return command_with_name(c, argc, argv, start_app);
}

const struct command command_start = {
	.name = "start",
	.arguments = "NAME",
	.summary = "serve an application again that was stopped",
	.help = "Ends what \"mamayo stop NAME\" has begun: the next request "
		"starts the application.\nWorks whether or not anything runs.",
	.run = start_run,
};
