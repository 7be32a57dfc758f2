#include "config.h"

#include "fcgi/command.h"

static int
stop_app(const struct account *a, const char *name)
{
	return command_stop_app(a, name, 1);
}

static int
stop_run(const struct command *c, int argc, char **argv)
{
	return command_with_name(c, argc, argv, stop_app);
}

const struct command command_stop = {
	.name = "stop",
	.arguments = "NAME",
	.summary = "let an application's workers leave, and start none",
	.help = "Stops the application in ~/mamayo/apps/NAME until \"mamayo "
		"start NAME\": its\nworkers finish what they have begun and "
		"leave, its visitors are told that it\nhas been stopped (503). "
		"Works whether or not anything runs, and is remembered.",
	.run = stop_run,
};
