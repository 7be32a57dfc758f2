#include "config.h"

#include "fcgi/command.h"
#include "lib/settings.h"

static int
settings_run(const struct command *c, int argc, char **argv)
{
	(void)argv;
	if (argc > 0)
		return command_usage(c);
	settings_print_table();
	return 0;
}

const struct command command_settings = {
	.name = "settings",
	.arguments = "",
	.summary = "list every key of mamayo.json",
	.help = "Prints one line per key of mamayo.json, with the fields\n"
		"KEY|WHERE|TYPE|DEFAULT|UNIT|MEANING. WHERE is app (in the "
		"app's or, as a\ndefault, the account's mamayo.json) or "
		"account. See mamayo.json(5).",
	.run = settings_run,
};
