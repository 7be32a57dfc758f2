#include "config.h"

#include "fcgi/command.h"
#include "fcgi/site.h"

static int
install_call(
    const struct site_kind *kind, const struct site *site, struct problem *why)
{
	return kind->install(site, why);
}

static int
install_run(const struct command *c, int argc, char **argv)
{
	return site_command(c, argc, argv, install_call);
}

const struct command command_install = {
	.name = "install",
	.arguments = "DOCROOT [--server apache|lighttpd|nginx]",
	.summary = "have a web server serve the applications",
	.help =
	    "Puts this program into the directory of your web pages, as "
	    "mamayo.fcgi, with the\nmodes that hosts want, and its part "
	    "of the .htaccess there between two lines that\nmark it. The "
	    "rest of that file stays as it is, and a copy of what was "
	    "there\nbefore. What has been installed already is renewed. For "
	    "lighttpd and nginx,\nwhich belong to an administrator, it "
	    "installs ~/mamayo/mamayo.fcgi, writes units of\nsystemd for "
	    "it (or prints a line for crontab), and prints what to add to "
	    "the\nconfiguration of the web server.",
	.run = install_run,
};
