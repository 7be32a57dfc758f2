#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/command.h"
#include "lib/account.h"
#include "lib/fd.h"
#include "lib/link.h"
#include "lib/stopped.h"

#define STOP_TRIES 2 /* a supervisor may be leaving when we come */

/* Tells the supervisor, if one runs. 0, or -1 with the reason. */
static int
stop_tell(const struct account *a, const char *verb, const char *name,
    struct problem *why)
{
	json_t *answer = NULL;
	int fd = -1, result = -1;

	problem_set(why, "the supervisor does not answer");
	for (int i = 0; i < STOP_TRIES && answer == NULL; i++) {
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

/* On disk first: a supervisor that comes at this moment finds it there. */
static int
stop_settle(const struct command *c, const struct account *a, const char *name)
{
	int is_stop = c == &command_stop;
	struct problem why;

	switch (command_knows(a, name, stopped_is(a->root, name), &why)) {
	case 0:
		return EXIT_UNHEALTHY;
	case 1:
		if ((is_stop ? stopped_add(a->root, name, &why)
			     : stopped_remove(a->root, name, &why)) == 0 &&
		    stop_tell(a, c->name, name, &why) == 0)
			return 0;
		break;
	default:
		break;
	}
	fprintf(stderr, "mamayo: %s\n", why.text);
	return EXIT_UNHEALTHY;
}

static int
stop_run(const struct command *c, int argc, char **argv)
{
	struct account account;
	int status;

	if (argc != 1 || argv[0][0] == '-' || argv[0][0] == '\0')
		return command_usage(c);
	if ((status = command_account(&account, 1)) != 0)
		return status;
	status = stop_settle(c, &account, argv[0]);
	account_release(&account);
	return status;
}

const struct command command_stop = {
	.name = "stop",
	.arguments = "NAME",
	.summary = "let an application's workers leave, and start none",
	.help = "Stops the application in ~/mamayo/apps/NAME until \"mamayo "
		"start NAME\": its\nworkers finish what they have begun and "
		"leave, its visitors are told that it\nhas been stopped (503). "
		"Works whether or not anything runs, and is remembered.",
	.run = stop_run,
};

const struct command command_start = {
	.name = "start",
	.arguments = "NAME",
	.summary = "serve an application again that was stopped",
	.help = "Ends what \"mamayo stop NAME\" has begun: the next request "
		"starts the application.\nWorks whether or not anything runs.",
	.run = stop_run,
};
