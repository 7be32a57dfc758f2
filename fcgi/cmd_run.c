#include "config.h"

#include <stdio.h>
#include <string.h>

#include "fcgi/command.h"
#include "fcgi/inside.h"
#include "lib/account.h"
#include "lib/xalloc.h"

/* Returns only if it fails. */
static int
run_in(const struct account *a, const char *name, char *const *argv)
{
	struct inside in;
	struct problem why;
	char **env;
	int status = inside_enter(&in, a, name);

	if (status != 0)
		return status;
	if (python_find(in.app.directory, &in.settings, a->home, &in.python,
		&why) == -1)
		status = command_failed(&why);
	else {
		env = inside_environment(&in, a, NULL);
		status = inside_become(&in, argv, env, &why);
		command_failed(&why);
		xstrvfree(env);
	}
	inside_leave(&in);
	return status;
}

static int
run_run(const struct command *c, int argc, char **argv)
{
	struct account account;
	int status, first = 1;

	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first = 2;
	if (argc <= first || argv[0][0] == '-' || argv[0][0] == '\0')
		return command_usage(c);
	if ((status = command_account(&account, 1)) != 0)
		return status;
	if (account.remark != NULL)
		fprintf(stderr, "mamayo: %s\n", account.remark);
	status = run_in(&account, argv[0], argv + first);
	account_release(&account);
	return status;
}

const struct command command_run = {
	.name = "run",
	.arguments = "NAME COMMAND [ARGUMENT]...",
	.summary = "run a command in an application's place",
	.help = "Runs a command in the directory of the application "
		"~/mamayo/apps/NAME, with the\nenvironment of its workers; "
		"\"python\" is the application's own:\n\n"
		"    mamayo run blog python manage.py migrate\n\n"
		"Of your own environment only what a terminal needs is handed "
		"on (TERM, EDITOR\nand the like); for more: mamayo run blog "
		"env NAME=value python ... The exit status\nis the "
		"command's; 126 or 127 if it cannot be run, 1 if there is no "
		"such\napplication, or no Python for it.",
	.run = run_run,
};
