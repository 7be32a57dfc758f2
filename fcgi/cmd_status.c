#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fcgi/command.h"
#include "fcgi/report.h"
#include "lib/account.h"
#include "lib/link.h"

static void
status_print_worker(const json_t *worker)
{
	printf("    worker %lld  %s, %lld requests",
	    (long long)link_int(worker, "pid"), link_string(worker, "state"),
	    (long long)link_int(worker, "requests"));
	if (link_string(worker, "url")[0] != '\0')
		printf(", at %s", link_string(worker, "url"));
	printf("\n");
}

static void
status_print_hook(const json_t *hook)
{
	const char *name = link_string(hook, "name");
	long long since = link_int(hook, "since");

	if (*name != '\0')
		printf("    its hook \"%s\" has run for %lld s\n", name,
		    (long long)time(NULL) - since);
}

static void
status_print_reload(const json_t *reload)
{
	const char *state = link_string(reload, "state");

	if (strcmp(state, "starting") == 0)
		printf("    a new generation is being started\n");
	else if (strcmp(state, "failed") == 0)
		printf("    could not be reloaded, the old generation goes on "
		       "(reference %s): %s\n",
		    link_string(reload, "reference"),
		    link_string(reload, "why"));
}

static void
status_print_forkserver(const json_t *f)
{
	printf("fork server %lld  %s, %lld modules, %lld workers, for %s\n",
	    (long long)link_int(f, "pid"), link_string(f, "state"),
	    (long long)link_int(f, "modules"),
	    (long long)link_int(f, "workers"),
	    link_string(f, "app")[0] != '\0' ? link_string(f, "app")
					     : link_string(f, "python"));
}

static void
status_print(const json_t *status, const struct account *a)
{
	json_t *supervisor = json_object_get(status, "supervisor");
	json_t *apps = json_object_get(status, "apps"), *app, *workers, *one;
	json_t *forkservers = json_object_get(status, "forkservers");
	size_t i, k;

	printf("mamayo %s, %s\n", link_string(status, "version"), a->root);
	if (json_is_object(supervisor))
		printf("supervisor %lld, %zu responders\n",
		    (long long)link_int(supervisor, "pid"),
		    json_array_size(json_object_get(status, "responders")));
	else
		printf("no supervisor runs; it starts with the first "
		       "request\n");
	json_array_foreach(forkservers, i, one) status_print_forkserver(one);
	if (json_array_size(apps) == 0)
		printf("\nThere is no application in %s yet.\n", a->apps);
	json_array_foreach(apps, i, app)
	{
		workers = json_object_get(app, "workers");
		printf("\n%s  %s%s%s  at %s\n", link_string(app, "name"),
		    command_state_colour(link_string(app, "state")),
		    link_string(app, "state"), command_colour(COLOUR_NONE),
		    link_string(app, "mount"));
		printf("    %s", link_string(app, "directory"));
		if (link_string(app, "entry")[0] != '\0')
			printf("  %s", link_string(app, "entry"));
		if (link_string(app, "python")[0] != '\0')
			printf("  %s", link_string(app, "python"));
		if (link_string(app, "accelerator_reason")[0] != '\0')
			printf("\n    without the accelerator: %s",
			    link_string(app, "accelerator_reason"));
		printf("\n    %lld requests, %lld waiting\n",
		    (long long)link_int(app, "requests"),
		    (long long)link_int(app, "queued"));
		json_array_foreach(workers, k, one) status_print_worker(one);
		status_print_hook(json_object_get(app, "hook"));
		status_print_reload(json_object_get(app, "reload"));
		if (strcmp(link_string(app, "state"), "failing") == 0)
			printf("    it cannot be started: see its log in "
			       "%s\n",
			    a->logs);
		if (strcmp(link_string(app, "state"), "stopped") == 0)
			printf("    to serve it again: mamayo start %s\n",
			    link_string(app, "name"));
	}
}

/* Is an app of these in trouble? */
static int
status_judge(const json_t *status)
{
	json_t *apps = json_object_get(status, "apps"), *app;
	const char *state;
	size_t i;

	json_array_foreach(apps, i, app)
	{
		state = link_string(app, "state");
		if (strcmp(state, "failing") == 0 ||
		    strcmp(state, "missing") == 0)
			return EXIT_UNHEALTHY;
	}
	return 0;
}

static int
status_run(const struct command *c, int argc, char **argv)
{
	int is_json = argc == 1 && strcmp(argv[0], "--json") == 0, result;
	struct account account;
	struct problem why;
	json_t *status;

	if (argc > 0 && !is_json)
		return command_usage(c);
	if ((result = command_account(&account, 1)) != 0)
		return result;
	status = report_new(&account, &why);
	if (status == NULL) {
		account_release(&account);
		return command_failed(&why);
	}
	if (is_json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		printf("\n");
	} else
		status_print(status, &account);
	result = status_judge(status);
	json_decref(status);
	account_release(&account);
	return result;
}

const struct command command_status = {
	.name = "status",
	.arguments = "[--json]",
	.summary = "show applications and their workers",
	.help = "Shows every application with its state (asleep, starting, "
		"ready, failing,\nstopped, missing) and its workers. Works "
		"whether or not anything runs. Exit\nstatus 0: all is well; "
		"1: an application is failing or missing.",
	.run = status_run,
};
