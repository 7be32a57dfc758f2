#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fcgi/command.h"
#include "lib/account.h"
#include "lib/discover.h"
#include "lib/fd.h"
#include "lib/link.h"
#include "lib/stopped.h"

/* Everything that a supervisor says, as one object; NULL if it does not. */
static json_t *
status_ask(int fd)
{
	json_t *status = NULL, *apps = json_array(), *message;
	json_t *forkservers = json_array();
	const char *type;

	if (command_tell(fd, json_pack("{s:s}", "type", "status")) == -1)
		goto fail;
	while ((message = command_hear(fd, COMMAND_WAIT)) != NULL) {
		type = link_string(message, "type");
		if (strcmp(type, "status") == 0 && status == NULL)
			status = json_incref(message);
		else if (strcmp(type, "app") == 0)
			json_array_append(apps, message);
		else if (strcmp(type, "forkserver") == 0)
			json_array_append(forkservers, message);
		if (strcmp(type, "end") == 0) {
			json_decref(message);
			json_object_set_new(status, "forkservers", forkservers);
			json_object_set_new(status, "apps", apps);
			return status;
		}
		json_decref(message);
	}
fail:
	json_decref(status);
	json_decref(apps);
	json_decref(forkservers);
	return NULL;
}

/* Its state while no supervisor runs. */
static const char *
status_without(const struct account *a, const struct app *app)
{
	if (stopped_is(a->root, app->name))
		return "stopped";
	return app->refused != NULL ? "failing" : "asleep";
}

/* No supervisor runs: what is on disk. */
static json_t *
status_asleep(const struct account *a, struct problem *why)
{
	struct discovery found;
	json_t *apps;
	struct app *app;

	discovery_init(&found);
	if (discover(a->apps, &found, why) == -1)
		return NULL;
	apps = json_array();
	for (size_t i = 0; i < found.napps; i++) {
		app = &found.apps[i];
		json_array_append_new(apps,
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:n, s:s, "
			      "s:i, s:i, s:[], s:{s:s, s:s, s:s, s:i}}",
			"name", app->name, "mount",
			app->mount[0] != '\0' ? app->mount : "/", "directory",
			app->directory, "state", status_without(a, app),
			"entry", "", "python", "", "generation", "",
			"accelerator", "accelerator_reason", "", "requests", 0,
			"queued", 0, "workers", "reload", "state", "", "why",
			"", "reference", "", "since", 0));
	}
	discovery_release(&found);
	return json_pack("{s:s, s:n, s:[], s:[], s:o}", "version",
	    PACKAGE_VERSION, "supervisor", "responders", "forkservers", "apps",
	    apps);
}

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
		printf("\n%s  %s  at %s\n", link_string(app, "name"),
		    link_string(app, "state"), link_string(app, "mount"));
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

/* What travels between processes, and nobody else needs. */
static void
status_strip(json_t *status)
{
	json_t *apps = json_object_get(status, "apps"), *app;
	size_t i;

	json_object_del(status, "type");
	json_array_foreach(apps, i, app) json_object_del(app, "type");
	apps = json_object_get(status, "forkservers");
	json_array_foreach(apps, i, app) json_object_del(app, "type");
}

static int
status_run(const struct command *c, int argc, char **argv)
{
	int is_json = argc == 1 && strcmp(argv[0], "--json") == 0, fd, result;
	struct account account;
	struct problem why = { "the supervisor does not answer" };
	json_t *status = NULL;

	if (argc > 0 && !is_json)
		return command_usage(c);
	if ((result = command_account(&account, 1)) != 0)
		return result;
	if (command_connect(&account, &fd, &why) == 0)
		status =
		    fd != -1 ? status_ask(fd) : status_asleep(&account, &why);
	fd_close(&fd);
	if (status == NULL) {
		fprintf(stderr, "mamayo: %s\n", why.text);
		account_release(&account);
		return EXIT_UNHEALTHY;
	}
	status_strip(status);
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
