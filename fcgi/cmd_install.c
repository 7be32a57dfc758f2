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
	.arguments = "DOCROOT | --server apache-proxy|lighttpd|nginx",
	.summary = "have a web server serve the applications",
	.help =
	    "Puts this program into the directory of your web pages, as "
	    "mamayo.fcgi, with the\nmodes that hosts want, and its part "
	    "of the .htaccess there between two lines that\nmark it. The "
	    "rest of that file stays as it is, and a copy of what was "
	    "there\nbefore. What has been installed already is renewed.\n\n"
	    "For lighttpd, nginx and Apache's mod_proxy_fcgi, which belong to "
	    "an administrator,\nit installs ~/mamayo/mamayo.fcgi, writes "
	    "units of systemd for it, and writes\n~/mamayo/for-root.sh: what "
	    "root has to do, which is to make the socket's\ndirectory, have "
	    "something listen there, and configure the web server.",
	.run = install_run,
};
