#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/site.h"
#include "lib/fd.h"
#include "lib/quote.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

#define LISTEN_UNITS  "systemd/user" /* below .config */
#define LISTEN_SOCKET "/srv/%s/mamayo.sock"
#define LISTEN_SCRIPT "for-root.sh" /* in the root directory */
#define LISTEN_CRON   "@reboot "

/*
 * nginx, lighttpd and Apache's mod_proxy_fcgi in front of "mamayo listen": they
 * belong to another user, so what runs as this one is installed, and what root
 * has to do is written as a script, which the administrator can read.
 */

/* As Debian has it. */
struct listen_server {
	const char *program, *package;
	const char *example; /* its configuration */
	const char *file;    /* where that goes */
	const char *enable;  /* what makes it count, and examines it */
};

static const char *const units[] = { "mamayo.socket", "mamayo.service" };

#define UNITS (sizeof units / sizeof units[0])

/* An example with the paths of this account in it. Free it. */
static char *
listen_example(const struct site *s, const char *name)
{
	char *socket = xprintf(LISTEN_SOCKET, s->account->user);
	char *program = xprintf("%s/" SITE_PROGRAM, s->account->root);
	char *word = quote_word(program);
	const char *pairs[] = { "/srv/alice/mamayo.sock", socket,
		"%h/mamayo/mamayo.fcgi", program,
		"\"$HOME/mamayo/mamayo.fcgi\"", word, "/home/alice/mamayo",
		s->account->root, NULL };
	char *text = site_example_with(name, pairs);

	free(word);
	free(program);
	free(socket);
	return text;
}

/* Where systemd looks for units of a user's. Free it. */
static char *
listen_units_path(const struct site *s)
{
	const char *config = getenv("XDG_CONFIG_HOME");

	return config != NULL && *config == '/'
		   ? xprintf("%s/" LISTEN_UNITS, config)
		   : xprintf("%s/.config/" LISTEN_UNITS, s->account->home);
}

/* That directory; -1 with errno. */
static int
listen_units(const char *path)
{
	int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	char *below = xprintf("%s/", path + 1);

	(void)whole_directories(top, below);
	fd = openat(top, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(below);
	fd_close(&top);
	return fd;
}

/* Or prints them, where there is no home directory. */
static int
listen_write_units(const struct site *s, struct problem *why)
{
	char *path = listen_units_path(s), *text;
	int fd = listen_units(path), result = 0;

	for (size_t i = 0; i < UNITS && result == 0; i++) {
		text = listen_example(s, units[i]);
		if (fd == -1)
			printf("\n%s, for %s:\n\n%s", units[i], path, text);
		else
			result = whole_write(
			    fd, units[i], text, strlen(text), 0644, why);
		if (fd != -1 && result == 0)
			printf("%s/%s: written\n", path, units[i]);
		free(text);
	}
	fd_close(&fd);
	free(path);
	return result;
}

/* The text ends in a newline; in the script another one follows. */
static char *
listen_lines(const struct site *s, const char *example)
{
	char *text = listen_example(s, example);

	text[strlen(text) - 1] = '\0';
	return text;
}

/* What root has to do. Free it. */
static char *
listen_script(const struct site *s, const struct listen_server *server)
{
	char *configuration = listen_lines(s, server->example);
	char *line = listen_lines(s, "crontab"), *body, *script;
	const char *pairs[] = { "@PROGRAM@", server->program, "@PACKAGE@",
		server->package, "@FILE@", server->file, "@ENABLE@",
		server->enable, "@CONFIGURATION@", configuration, "@CRONTAB@",
		line, "@LISTEN@", line + strlen(LISTEN_CRON), "alice",
		s->account->user, NULL };

	body = site_example_with(LISTEN_SCRIPT, pairs);
	script = xprintf("# What root has to do, once, so that %s serves the "
			 "applications of %s.\n# Written by \"mamayo "
			 "install\".\n\n%s",
	    server->package, s->account->user, body);
	free(body);
	free(line);
	free(configuration);
	return script;
}

/* A name that means nothing to a shell, nor to a web server. */
static int
listen_check_name(const char *user, struct problem *why)
{
	if (user[strspn(user, "abcdefghijklmnopqrstuvwxyz0123456789"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-")] == '\0' &&
	    *user != '-')
		return 0;
	return problem_set(why,
	    "the name of this account, \"%s\", cannot stand in a "
	    "configuration: it needs one of letters, digits, \".\", \"_\" "
	    "and \"-\"",
	    user);
}

static int
listen_put(const struct site *s, int root, const struct listen_server *server,
    struct problem *why)
{
	char *script, *word;
	int result;

	if (site_put_program(root, s->account->root, why) == -1 ||
	    listen_write_units(s, why) == -1)
		return -1;
	script = listen_script(s, server);
	result =
	    whole_write(root, LISTEN_SCRIPT, script, strlen(script), 0644, why);
	if (result == 0) {
		word = xprintf("%s/" LISTEN_SCRIPT, s->account->root);
		printf("%s: written, as follows\n\n%s\n", word, script);
		free(word);
		word = quote_word(s->account->root);
		printf("Now let root run it:  sh %s/" LISTEN_SCRIPT "\n"
		       "Then, to begin with:  mamayo new NAME\n"
		       "To examine the site:  mamayo doctor http://...\n",
		    word);
		free(word);
	}
	free(script);
	return result;
}

static int
listen_install(const struct site *s, const struct listen_server *server,
    struct problem *why)
{
	int root, result;

	if (listen_check_name(s->account->user, why) == -1)
		return -1;
	root = open(s->account->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root == -1)
		return problem_sys(why, "%s", s->account->root);
	result = listen_put(s, root, server, why);
	fd_close(&root);
	return result;
}

static void
listen_remove(int at, const char *path, const char *name)
{
	if (at != -1 && unlinkat(at, name, 0) == 0)
		printf("%s/%s: removed\n", path, name);
}

static int
listen_uninstall(const struct site *s, struct problem *why)
{
	char *path = listen_units_path(s);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int root = open(s->account->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = 0;

	for (size_t i = 0; i < UNITS; i++)
		listen_remove(fd, path, units[i]);
	listen_remove(root, s->account->root, LISTEN_SCRIPT);
	if (root != -1)
		result = site_remove_program(root, s->account->root, why);
	if (result == 0)
		printf("\nWhat listens still ends with \"systemctl --user "
		       "disable --now mamayo.socket mamayo.service\",\nor when "
		       "its line in the crontab and its process have gone. "
		       "The configuration of\nthe web server, and /srv/%s, "
		       "root can remove.\n",
		    s->account->user);
	fd_close(&root);
	fd_close(&fd);
	free(path);
	return result;
}

static int
nginx_install(const struct site *s, struct problem *why)
{
	/* Debian's own page would answer in the place of our site */
	static const struct listen_server server = { "nginx", "nginx",
		"nginx.conf", "/etc/nginx/sites-enabled/mamayo",
		"dpkg -V nginx-common | grep -q sites-available/default ||\n"
		"\trm -f /etc/nginx/sites-enabled/default # as it came\n"
		"nginx -t" };

	return listen_install(s, &server, why);
}

static int
lighttpd_install(const struct site *s, struct problem *why)
{
	static const struct listen_server server = { "lighttpd", "lighttpd",
		"lighttpd-listen.conf",
		"/etc/lighttpd/conf-enabled/50-mamayo.conf",
		"lighttpd -tt -f /etc/lighttpd/lighttpd.conf" };

	return listen_install(s, &server, why);
}

static int
apache_proxy_install(const struct site *s, struct problem *why)
{
	static const struct listen_server server = { "apache2ctl", "apache2",
		"apache-proxy.conf", "/etc/apache2/conf-available/mamayo.conf",
		"a2enmod -q proxy_fcgi\na2enconf -q mamayo\n"
		"apache2ctl configtest" };

	return listen_install(s, &server, why);
}

const struct site_kind site_nginx = {
	.name = "nginx",
	.has_no_docroot = 1,
	.install = nginx_install,
	.uninstall = listen_uninstall,
};

const struct site_kind site_lighttpd = {
	.name = "lighttpd",
	.has_no_docroot = 1,
	.install = lighttpd_install,
	.uninstall = listen_uninstall,
};

const struct site_kind site_apache_proxy = {
	.name = "apache-proxy",
	.has_no_docroot = 1,
	.install = apache_proxy_install,
	.uninstall = listen_uninstall,
};
