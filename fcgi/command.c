#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "lib/discover.h"
#include "lib/fd.h"
#include "lib/hook.h"
#include "lib/lease.h"
#include "lib/link.h"
#include "lib/near.h"
#include "lib/orphan.h"
#include "lib/stopped.h"
#include "lib/xalloc.h"

#define COMMAND_ASLEEP \
	"no worker of it runs: its next request starts what is there"
#define COMMAND_TRIES    2    /* a supervisor may be leaving when we come */
#define COMMAND_ELECTION 5000 /* ms, until there is another one */
#define COMMAND_LOOK     20

const char *command_program = "mamayo.fcgi";

static const struct command *const commands[] = {
	&command_apps,
	&command_check,
	&command_doctor,
	&command_install,
	&command_listen,
	&command_logs,
	&command_new,
	&command_restart,
	&command_run,
	&command_serve,
	&command_settings,
	&command_setup,
	&command_start,
	&command_status,
	&command_stop,
	&command_uninstall,
};

#define COMMANDS (sizeof commands / sizeof commands[0])

int
command_usage(const struct command *c)
{
	fprintf(stderr, "usage: mamayo %s %s\ntry: mamayo %s --help\n", c->name,
	    c->arguments, c->name);
	return EXIT_USAGE;
}

int
command_account(struct account *a, int only_looks)
{
	struct problem why;

	account_init(a);
	a->only_looks = only_looks;
	if (account_open(a, &why) == 0)
		return 0;
	fprintf(stderr, "mamayo: %s\n", why.text);
	account_release(a);
	return EXIT_REFUSED;
}

int
command_connect(const struct account *a, int *fd, struct problem *why)
{
	*fd = lease_connect(a->run);
	if (*fd != -1)
		return 0;
	if (errno == ENOENT && access(a->run, F_OK) == -1)
		return problem_set(why,
		    "the supervisor of %s, if one runs, is to be reached in "
		    "%s (says run/where), which cannot be seen from here: the "
		    "web server may have a /tmp of its own",
		    a->root, a->run);
	if (errno == ENOENT || errno == ECONNREFUSED ||
	    errno == ENAMETOOLONG) /* then there is no run/where yet */
		return 0;
	return problem_sys(
	    why, "cannot reach the supervisor at %s/sock", a->run);
}

int
command_tell(int fd, json_t *message)
{
	if (link_send(fd,
		json_pack("{s:s, s:s, s:s, s:i}", "type", "hello", "role",
		    "command", "version", PACKAGE_VERSION, "protocol",
		    LINK_PROTOCOL),
		NULL, 0) == 0)
		return link_send(fd, message, NULL, 0);
	json_decref(message);
	return -1;
}

/* "; did you mean "blog" or "blogger"?" */
static void
command_guess(const struct discovery *found, const char *name)
{
	const char *one;
	int is_first = 1;

	for (size_t i = 0; i < found->napps; i++) {
		one = found->apps[i].name;
		if (near_edits(name, one, strlen(one)) > NEAR_MOST &&
		    strstr(one, name) == NULL && strstr(name, one) == NULL)
			continue;
		fprintf(stderr, "%s \"%s\"",
		    is_first ? "; did you mean" : " or", one);
		is_first = 0;
	}
	fprintf(stderr, "%s\n", is_first ? "" : "?");
}

/* Fills app, if it is not NULL. */
static int
command_look(const struct account *a, const char *name, int is_known,
    struct app *app, struct problem *why)
{
	struct discovery found;

	discovery_init(&found);
	if (account_discover(a, &found, why) == -1)
		return -1;
	for (size_t i = 0; i < found.napps; i++) {
		if (strcmp(found.apps[i].name, name) != 0)
			continue;
		is_known = 1;
		if (app == NULL)
			continue;
		app_set(app, a->apps, name);
		if (found.apps[i].refused != NULL)
			app->refused = xstrdup(found.apps[i].refused);
	}
	if (!is_known) {
		fprintf(stderr, "mamayo: there is no application \"%s\" in %s",
		    name, a->apps);
		command_guess(&found, name);
	}
	discovery_release(&found);
	return is_known;
}

int
command_find(const struct account *a, const char *name, struct app *app,
    struct problem *why)
{
	return command_look(a, name, 0, app, why);
}

int
command_knows(const struct account *a, const char *name, int is_known,
    struct problem *why)
{
	return command_look(a, name, is_known, NULL, why);
}

int
command_failed(const struct problem *why)
{
	fflush(stdout);
	fprintf(stderr, "mamayo: %s\n", why->text);
	return EXIT_UNHEALTHY;
}

int
command_with_name(const struct command *c, int argc, char **argv,
    int (*with)(const struct account *, const char *name))
{
	struct account account;
	int status;

	if (argc != 1 || argv[0][0] == '-' || argv[0][0] == '\0')
		return command_usage(c);
	if ((status = command_account(&account, 1)) != 0)
		return status;
	status = with(&account, argv[0]);
	account_release(&account);
	return status;
}

static void
command_mask(int how)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(how, &set, NULL);
}

void
command_hold_signals(void)
{
	command_mask(SIG_BLOCK);
}

void
command_let_signals(void)
{
	command_mask(SIG_UNBLOCK);
}

int
command_lock(
    const struct account *a, const char *name, int *fd, struct problem *why)
{
	char *state = xprintf("%s/state", a->root), *file, *path;

	file = app_file_name(name, ".lock");
	path = xprintf("%s/%s", state, file);
	*fd = -1;
	if (mkdir(state, 0700) == 0 || errno == EEXIST)
		*fd = fd_lock_open(path);
	if (*fd == -1)
		problem_sys(why, "cannot write %s", path);
	else if (fd_lock(*fd) == -1) {
		if (errno == EAGAIN)
			problem_set(why,
			    "the same is being done at this moment by another "
			    "mamayo; please try again when it has ended");
		else
			problem_sys(why, "cannot lock %s", path);
		fd_close(fd);
	}
	free(path);
	free(file);
	free(state);
	return *fd == -1 ? -1 : 0;
}

const char *
command_colour(enum command_colour colour)
{
	static const char *const sequences[] = { [COLOUR_NONE] = "\033[0m",
		[COLOUR_GOOD] = "\033[32m",
		[COLOUR_BAD] = "\033[31m",
		[COLOUR_ASIDE] = "\033[2m" };
	const char *terminal = getenv("TERM"), *none = getenv("NO_COLOR");

	if (!isatty(STDOUT_FILENO) || terminal == NULL ||
	    strcmp(terminal, "dumb") == 0 || (none != NULL && *none != '\0'))
		return "";
	return sequences[colour];
}

const char *
command_state_colour(const char *state)
{
	if (strcmp(state, "failing") == 0 || strcmp(state, "missing") == 0)
		return command_colour(COLOUR_BAD);
	if (strcmp(state, "ready") == 0)
		return command_colour(COLOUR_GOOD);
	return command_colour(COLOUR_ASIDE);
}

json_t *
command_hear(int fd, int wait)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	json_t *message = NULL;
	size_t nfds = 0;
	int got = 0;

	while (got == 0) {
		if (poll(&p, 1, wait) == 0) {
			errno = ETIMEDOUT;
			return NULL;
		}
		got = link_recv(fd, &message, NULL, &nfds);
	}
	return got == 1 ? message : NULL;
}

int
command_order(const struct account *a, const char *verb, const char *name,
    struct problem *why)
{
	json_t *answer = NULL;
	int fd = -1, result = -1;

	problem_set(why, "the supervisor does not answer");
	for (int i = 0; i < COMMAND_TRIES && answer == NULL; i++) {
		if (command_connect(a, &fd, why) == -1)
			return -1;
		if (fd == -1)
			return 0; /* the next one finds it on disk */
		errno = 0;
		if (command_tell(fd, json_pack("{s:s, s:s}", "type", verb,
					 "name", name)) == 0)
			answer = command_hear(fd, COMMAND_WAIT);
		fd_close(&fd);
		if (errno == ETIMEDOUT)
			break;
	}
	if (answer == NULL)
		return -1;
	if (strcmp(link_string(answer, "type"), "done") == 0)
		result = 0;
	else
		problem_set(why, "%s", link_string(answer, "text"));
	json_decref(answer);
	return result;
}

int
command_stop_app(const struct account *a, const char *name, int stops)
{
	struct problem why;

	switch (command_knows(a, name, stopped_is(a->root, name), &why)) {
	case 0:
		return EXIT_UNHEALTHY;
	case 1:
		if ((stops ? stopped_add : stopped_remove)(
			a->root, name, &why) == 0 &&
		    command_order(a, stops ? "stop" : "start", name, &why) == 0)
			return 0;
		break;
	default:
		break;
	}
	return command_failed(&why);
}

/* What the supervisor says at last, after what it says meanwhile: how long
 * that may take. NULL with errno. */
static json_t *
command_hear_last(int fd)
{
	int wait = COMMAND_WAIT;
	json_t *answer;

	errno = 0;
	while ((answer = command_hear(fd, wait)) != NULL &&
	       strcmp(link_string(answer, "type"), "trying") == 0) {
		wait = COMMAND_WAIT + 1000 * (int)link_int(answer, "limit");
		json_decref(answer);
		errno = 0;
	}
	return answer;
}

static int
command_has_workers(const struct account *a)
{
	char *path = xprintf("%s/workers", a->run);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd != -1 && orphans_live(fd);

	fd_close(&fd);
	free(path);
	return result;
}

/* While workers run there will be a supervisor in a moment, if there is none.
 * That one is to be told: it goes on with these workers. */
static int
command_wait_for_supervisor(
    const struct account *a, int *fd, struct problem *text)
{
	for (int ms = 0; ms < COMMAND_ELECTION; ms += COMMAND_LOOK) {
		if (command_connect(a, fd, text) == -1)
			return -1;
		if (*fd != -1 || !command_has_workers(a))
			return 0;
		poll(NULL, 0, COMMAND_LOOK);
	}
	return problem_set(text,
	    "workers run, but no supervisor has come to them in %d seconds; "
	    "please try again",
	    COMMAND_ELECTION / 1000);
}

int
command_restart_app(
    const struct account *a, const char *name, struct problem *text)
{
	json_t *answer = NULL;
	int fd = -1, result = COMMAND_UNKNOWN;

	if (command_wait_for_supervisor(a, &fd, text) == -1)
		return COMMAND_UNKNOWN;
	if (fd == -1) {
		if (hook_forgive(a, name, text) == -1)
			return COMMAND_UNKNOWN;
		problem_set(text, "%s", COMMAND_ASLEEP);
		return 0;
	}
	if (command_tell(fd,
		json_pack("{s:s, s:s}", "type", "restart", "name", name)) == 0)
		answer = command_hear_last(fd);
	if (answer == NULL)
		problem_set(text, "%s",
		    errno == ETIMEDOUT ? "the supervisor does not answer"
				       : "the supervisor has left meanwhile; "
					 "please try again");
	else {
		problem_set(text, "%s", link_string(answer, "text"));
		result =
		    strcmp(link_string(answer, "type"), "done") == 0 ? 0 : -1;
	}
	json_decref(answer);
	fd_close(&fd);
	return result;
}

static void
command_help(void)
{
	printf("mamayo serves Python web applications over FastCGI.\n\n"
	       "A web server starts this program itself (see the README); "
	       "by hand it is:\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  mamayo %-9s %-28s %s\n", commands[i]->name,
		    commands[i]->arguments, commands[i]->summary);
	printf("\n  mamayo --help | --version | COMMAND --help\n\n"
	       "Applications lie in ~/mamayo/apps/NAME and are served at "
	       "/NAME; logs are in\n~/mamayo/logs. The manual is mamayo(1), "
	       "mamayo(7) and mamayo.json(5).\n");
}

static int
command_call(const struct command *c, int argc, char **argv)
{
	if (argc > 0 && strcmp(argv[0], "--help") == 0) {
		printf("usage: mamayo %s %s\n\n%s\n", c->name, c->arguments,
		    c->help);
		return 0;
	}
	return c->run(c, argc, argv);
}

int
command_main(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		command_help();
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("%s\n", PACKAGE_STRING);
		return 0;
	}
	signal(SIGXFSZ, SIG_IGN); /* a file too large is an error like others */
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i]->name) == 0)
			return command_call(commands[i], argc - 2, argv + 2);
	fprintf(stderr,
	    "mamayo: there is no command \"%s\"; try: mamayo "
	    "--help\n",
	    argv[1]);
	return EXIT_USAGE;
}
