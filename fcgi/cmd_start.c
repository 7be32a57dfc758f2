#include "config.h"

#include "fcgi/command.h"
#include "lib/stopped.h"

/* On disk first: a supervisor that comes at this moment finds it there. */
static int
start_app(const struct account *a, const char *name)
{
	struct problem why;

	switch (command_knows(a, name, stopped_is(a->root, name), &why)) {
	case 0:
		return EXIT_UNHEALTHY;
	case 1:
		if (stopped_remove(a->root, name, &why) == 0 &&
		    command_order(a, "start", name, &why) == 0)
			return 0;
		break;
	default:
		break;
	}
	return command_failed(&why);
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
