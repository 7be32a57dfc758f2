#include "config.h"

#include <stdio.h>
#include <string.h>

#include "fcgi/command.h"
#include "fcgi/inside.h"
#include "lib/account.h"
#include "lib/environment.h"
#include "lib/xalloc.h"

/* "NAME=value", as a shell takes it before a command. */
static int
run_is_setting(const char *word)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz_0123456789";
	size_t n = strspn(word, letters);

	return n > 0 && (*word < '0' || *word > '9') && word[n] == '=';
}

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
		for (; run_is_setting(*argv); argv++)
			env = environment_set(env, *argv);
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
	int status, first = 1, last;

	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first = 2;
	last = first;
	while (last < argc && run_is_setting(argv[last]))
		last++;
	if (argc <= last || argv[0][0] == '-' || argv[0][0] == '\0')
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
	.arguments = "NAME [VARIABLE=VALUE]... COMMAND [ARGUMENT]...",
	.summary = "run a command in an application's place",
	.help = "Runs a command in the directory of the application "
		"~/mamayo/apps/NAME, with the\nenvironment of its workers; "
		"\"python\" is the application's own:\n\n"
		"    mamayo run blog python manage.py migrate\n\n"
		"Of your own environment only what a terminal needs is handed "
		"on (TERM, EDITOR\nand the like); what else is wanted may "
		"stand before the command:\n\n"
		"    mamayo run blog DEBUG=1 python manage.py shell\n\n"
		"The exit status is the command's; 126 or 127 if it cannot be "
		"run, 1 if there is no\nsuch application, or no Python for "
		"it.",
	.run = run_run,
};
