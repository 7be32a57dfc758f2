#include "config.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/command.h"

const char *command_program = "mamayo.fcgi";

static const struct command *const commands[] = {
	&command_listen,
	&command_settings,
	&command_status,
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

static void
command_help(void)
{
	printf("mamayo serves Python web applications over FastCGI.\n\n"
	       "A web server starts this program itself (see the README); "
	       "by hand it is:\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  mamayo %-8s %-28s %s\n", commands[i]->name,
		    commands[i]->arguments, commands[i]->summary);
	printf("\n  mamayo --help | --version | COMMAND --help\n\n"
	       "Applications lie in ~/mamayo/apps/NAME and are served at "
	       "/NAME; logs are in\n~/mamayo/logs. The manual is mamayo(1), "
	       "mamayo(7) and mamayo.json(5).\n");
}

static int
command_run(const struct command *c, int argc, char **argv)
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
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i]->name) == 0)
			return command_run(commands[i], argc - 2, argv + 2);
	fprintf(stderr,
	    "mamayo: there is no command \"%s\"; try: mamayo "
	    "--help\n",
	    argv[1]);
	return EXIT_USAGE;
}
