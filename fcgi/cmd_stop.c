#include "config.h"

#include "fcgi/command.h"
#include "lib/stopped.h"

/* On disk first: a supervisor that comes at this moment finds it there. */
static int
stop_app(const struct account *a, const char *name)
{
	struct problem why;

	switch (command_knows(a, name, stopped_is(a->root, name), &why)) {
	case 0:
		return EXIT_UNHEALTHY;
	case 1:
		if (stopped_add(a->root, name, &why) == 0 &&
		    command_order(a, "stop", name, &why) == 0)
			return 0;
		break;
	default:
		break;
	}
	return command_failed(&why);
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
