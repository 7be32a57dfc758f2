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

#define LISTEN_UNITS  ".config/systemd/user" /* in the home directory */
#define LISTEN_SOCKET "/srv/%s/mamayo.sock"

/*
 * nginx and lighttpd in front of "mamayo listen": they belong to another user,
 * so what runs as this one is installed, and what an administrator has to add
 * is printed.
 */

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

/* Where systemd looks for units of a user's; -1 with errno. */
static int
listen_units(const struct site *s)
{
	int home = open(s->account->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (home == -1)
		return -1;
	(void)whole_directories(home, LISTEN_UNITS "/");
	fd = openat(home, LISTEN_UNITS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd_close(&home);
	return fd;
}

/* Or prints them, where there is no home directory. */
static int
listen_write_units(const struct site *s, struct problem *why)
{
	int fd = listen_units(s), result = 0;
	char *text;

	for (size_t i = 0; fd == -1 && i < UNITS; i++) {
		text = listen_example(s, units[i]);
		printf("\n%s, for ~/" LISTEN_UNITS ":\n\n%s", units[i], text);
		free(text);
	}
	if (fd == -1)
		return 0;
	for (size_t i = 0; i < UNITS && result == 0; i++) {
		text = listen_example(s, units[i]);
		result =
		    whole_write(fd, units[i], text, strlen(text), 0644, why);
		if (result == 0)
			printf("%s/" LISTEN_UNITS "/%s: written\n",
			    s->account->home, units[i]);
		free(text);
	}
	fd_close(&fd);
	return result;
}

static void
listen_print(const struct site *s, const char *example)
{
	char *text = listen_example(s, example);

	printf("%s", text);
	free(text);
}

static int
listen_install(const struct site *s, const char *example, struct problem *why)
{
	const char *user = s->account->user;
	int root = open(s->account->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int has_systemd = access("/run/systemd/system", F_OK) == 0;
	int result = root == -1 ? problem_sys(why, "%s", s->account->root)
				: site_put_program(root, s->account->root, why);

	fd_close(&root);
	if (result == -1)
		return -1;
	if (has_systemd && listen_write_units(s, why) == -1)
		return -1;
	printf("\nThe administrator runs once, where www-data is the user of "
	       "the web server:\n\n    install -d -o %s -g www-data -m 0750 "
	       "/srv/%s\n",
	    user, user);
	if (has_systemd)
		printf("    loginctl enable-linger %s\n\nand you:\n\n"
		       "    systemctl --user daemon-reload\n"
		       "    systemctl --user enable --now mamayo.socket\n",
		    user);
	else {
		printf("\nand you add with \"crontab -e\":\n\n");
		listen_print(s, "crontab");
	}
	if (strcmp(example, "nginx.conf") == 0)
		printf("\nSo that nginx finds files of public/ itself, it has "
		       "to come so far:\n\n    chmod o+x %s\n",
		    s->account->root);
	printf("\nThe configuration of the web server:\n\n");
	listen_print(s, example);
	return 0;
}

static int
listen_uninstall(const struct site *s, struct problem *why)
{
	char *path = xprintf("%s/" LISTEN_UNITS, s->account->home);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int root = open(s->account->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = 0;

	for (size_t i = 0; fd != -1 && i < UNITS; i++)
		if (unlinkat(fd, units[i], 0) == 0)
			printf("%s/%s: removed\n", path, units[i]);
	if (root != -1)
		result = site_remove_program(root, s->account->root, why);
	if (result == 0)
		printf("\nWhat listens still ends with \"systemctl --user "
		       "disable --now mamayo.socket mamayo.service\",\nor when "
		       "its line in the crontab and its process have gone.\n");
	fd_close(&root);
	fd_close(&fd);
	free(path);
	return result;
}

static int
nginx_install(const struct site *s, struct problem *why)
{
	return listen_install(s, "nginx.conf", why);
}

static int
lighttpd_install(const struct site *s, struct problem *why)
{
	return listen_install(s, "lighttpd-listen.conf", why);
}

const struct site_kind site_nginx = {
	.name = "nginx",
	.install = nginx_install,
	.uninstall = listen_uninstall,
};

const struct site_kind site_lighttpd = {
	.name = "lighttpd",
	.install = lighttpd_install,
	.uninstall = listen_uninstall,
};
