#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/command.h"
#include "lib/account.h"
#include "lib/fd.h"
#include "lib/link.h"
#include "lib/stopped.h"

#define RESTART_ASLEEP \
	"no worker of it runs: its next request starts what is there"

/* What the supervisor says at last, after what it says meanwhile: how long
 * that may take. NULL with errno. */
static json_t *
restart_hear(int fd)
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

/* 0 with what has happened, or -1 with the reason why nothing has. */
static int
restart_ask(const struct account *a, const char *name, struct problem *text)
{
	json_t *answer = NULL;
	int fd = -1, result = -1;

	if (command_connect(a, &fd, text) == -1)
		return -1;
	if (fd == -1) {
		problem_set(text, "%s", RESTART_ASLEEP);
		return 0;
	}
	if (command_tell(fd,
		json_pack("{s:s, s:s}", "type", "restart", "name", name)) == 0)
		answer = restart_hear(fd);
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

static int
restart_app(const struct account *a, const char *name)
{
	struct problem text;
	int is_known = command_knows(a, name, stopped_is(a->root, name), &text);

	if (is_known == 0)
		return EXIT_UNHEALTHY;
	if (is_known == 1 && stopped_is(a->root, name))
		is_known = problem_set(&text,
		    "%s is stopped; to serve it again: mamayo start %s", name,
		    name);
	if (is_known == 1 && restart_ask(a, name, &text) == 0) {
		printf("%s: %s\n", name, text.text);
		return 0;
	}
	return command_failed(&text);
}

static int
restart_run(const struct command *c, int argc, char **argv)
{
	return command_with_name(c, argc, argv, restart_app);
}

const struct command command_restart = {
	.name = "restart",
	.arguments = "NAME",
	.summary = "let a new generation of an application serve",
	.help = "Starts the application in ~/mamayo/apps/NAME anew, beside "
		"what runs of it, and\nwaits until the new generation serves; "
		"no request is lost. If it cannot be started,\nsays why, and "
		"the old one goes on (exit status 1).",
	.run = restart_run,
};
