#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "fcgi/responder.h"
#include "lib/account.h"
#include "lib/fd.h"
#include "lib/listen.h"
#include "lib/log.h"

#define LISTEN_MODE 0600

/* The unix sockets that we made, and remove when we stop. */
static struct {
	const char *path;
	dev_t device;
	ino_t inode;
} made[RESPONDER_LISTENERS_MOST];
static size_t nmade;

static void
listen_remember(const char *address)
{
	const char *path =
	    strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
	struct stat st;

	if (path == NULL || lstat(path, &st) == -1)
		return;
	made[nmade].path = path;
	made[nmade].device = st.st_dev;
	made[nmade++].inode = st.st_ino;
}

/* Only if it is still ours: another one may have taken the place. */
static void
listen_remove(void)
{
	struct stat st;

	for (size_t i = 0; i < nmade; i++)
		if (lstat(made[i].path, &st) == 0 &&
		    st.st_dev == made[i].device && st.st_ino == made[i].inode)
			unlink(made[i].path);
	nmade = 0;
}

/* "0660"; -1 if it is no mode. */
static long
listen_parse_mode(const char *text)
{
	char *end;
	long mode = strtol(text, &end, 8);

	return *text != '\0' && *end == '\0' && mode >= 0 && mode <= 0777 ? mode
									  : -1;
}

static int
listen_open(struct responder_spec *spec, long mode, int argc, char **argv)
{
	struct problem why;
	int fd;

	spec->nlisteners = spec->ninherited =
	    listen_inherited(spec->listener, RESPONDER_LISTENERS_MOST);
	if (spec->nlisteners + (size_t)argc > RESPONDER_LISTENERS_MOST) {
		fprintf(stderr, "mamayo: at most %d addresses\n",
		    RESPONDER_LISTENERS_MOST);
		return EXIT_USAGE;
	}
	for (int i = 0; i < argc; i++) {
		fd = listen_on(argv[i], (mode_t)mode, &why);
		if (fd == -1) {
			fprintf(stderr, "mamayo: %s\n", why.text);
			listen_remove();
			return EXIT_UNHEALTHY;
		}
		spec->listener[spec->nlisteners++] = fd;
		listen_remember(argv[i]);
	}
	return 0;
}

static int
listen_run(const struct command *c, int argc, char **argv)
{
	struct account account;
	struct responder_spec spec = { .account = &account,
		.program = command_program,
		.is_own = 1,
		.stopped = listen_remove };
	long mode = LISTEN_MODE;
	int status;

	if (argc >= 2 && strcmp(argv[0], "--mode") == 0) {
		mode = listen_parse_mode(argv[1]);
		argc -= 2;
		argv += 2;
	}
	if (mode == -1 || (argc == 0 && getenv("LISTEN_FDS") == NULL) ||
	    (argc > 0 && argv[0][0] == '-'))
		return command_usage(c);
	if ((status = command_account(&account, 0)) != 0)
		return status;
	fd_raise_limit();
	if (log_open(account.log) == -1)
		fprintf(stderr, "mamayo: cannot write %s; logging here\n",
		    account.log);
	status = listen_open(&spec, mode, argc, argv);
	if (status == 0 && spec.nlisteners == 0) {
		fprintf(stderr, "mamayo: LISTEN_FDS names no listening "
				"socket\n");
		status = EXIT_UNHEALTHY;
	}
	for (int i = 0; i < argc && status == 0; i++)
		fprintf(stderr, "mamayo: listening on %s, serving %s\n",
		    argv[i], account.apps);
	if (status == 0)
		status = responder_run(&spec);
	account_release(&account);
	return status;
}

const struct command command_listen = {
	.name = "listen",
	.arguments = "[--mode MODE] ADDRESS...",
	.summary = "be the FastCGI server for nginx or mod_proxy_fcgi",
	.help = "Binds each ADDRESS and serves FastCGI on it until SIGTERM:\n"
		"  unix:/path/to.sock   a socket file, mode 0600 unless "
		"--mode says otherwise\n"
		"  tcp:HOST:PORT        for instance tcp:127.0.0.1:9000\n"
		"Sockets that systemd passes (LISTEN_FDS) are served too; "
		"then no ADDRESS is needed.",
	.run = listen_run,
};
