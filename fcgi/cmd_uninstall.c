#include "config.h"

#include "fcgi/command.h"
#include "fcgi/site.h"

static int
uninstall_call(
    const struct site_kind *kind, const struct site *site, struct problem *why)
{
	return kind->uninstall(site, why);
}

static int
uninstall_run(const struct command *c, int argc, char **argv)
{
	return site_command(c, argc, argv, uninstall_call);
}

const struct command command_uninstall = {
	.name = "uninstall",
	.arguments = "DOCROOT | --server apache-proxy|lighttpd|nginx",
	.summary = "take back what install has done",
	.help = "Takes mamayo's part out of the .htaccess in the directory of "
		"your web pages, and\nremoves the mamayo.fcgi there. For "
		"other web servers it removes what install has\nwritten, and "
		"says what root can remove. The applications, their logs and "
		"settings\nin ~/mamayo stay.",
	.run = uninstall_run,
};
