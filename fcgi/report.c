#include "config.h"

#include <string.h>

#include "fcgi/command.h"
#include "fcgi/report.h"
#include "lib/discover.h"
#include "lib/fd.h"
#include "lib/link.h"
#include "lib/stopped.h"

/* Everything that a supervisor says, as one object; NULL if it does not. */
static json_t *
report_ask(int fd)
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

const char *
report_state(const struct account *a, const struct app *app)
{
	if (stopped_is(a->root, app->name))
		return "stopped";
	return app->refused != NULL ? "failing" : "asleep";
}

/* No supervisor runs: what is on disk. */
static json_t *
report_asleep(const struct account *a, struct problem *why)
{
	struct discovery found;
	json_t *apps;
	struct app *app;

	discovery_init(&found);
	if (account_discover(a, &found, why) == -1)
		return NULL;
	apps = json_array();
	for (size_t i = 0; i < found.napps; i++) {
		app = &found.apps[i];
		json_array_append_new(apps,
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:n, s:s, "
			      "s:i, s:i, s:[], s:{s:s, s:s, s:s, s:i}, "
			      "s:{s:s, s:i}}",
			"name", app->name, "mount",
			app->mount[0] != '\0' ? app->mount : "/", "directory",
			app->directory, "state", report_state(a, app), "entry",
			"", "python", "", "generation", "", "accelerator",
			"accelerator_reason", "", "requests", 0, "queued", 0,
			"workers", "reload", "state", "", "why", "",
			"reference", "", "since", 0, "hook", "name", "",
			"since", 0));
	}
	discovery_release(&found);
	return json_pack("{s:s, s:n, s:[], s:[], s:o}", "version",
	    PACKAGE_VERSION, "supervisor", "responders", "forkservers", "apps",
	    apps);
}

/* What travels between processes, and nobody else needs. */
static void
report_strip(json_t *status)
{
	json_t *apps = json_object_get(status, "apps"), *app;
	size_t i;

	json_object_del(status, "type");
	json_array_foreach(apps, i, app) json_object_del(app, "type");
	apps = json_object_get(status, "forkservers");
	json_array_foreach(apps, i, app) json_object_del(app, "type");
}

json_t *
report_new(const struct account *a, struct problem *why)
{
	json_t *report;
	int fd = -1;

	if (command_connect(a, &fd, why) == -1)
		return NULL;
	problem_set(why, "the supervisor does not answer");
	report = fd != -1 ? report_ask(fd) : report_asleep(a, why);
	fd_close(&fd);
	if (report != NULL)
		report_strip(report);
	return report;
}
