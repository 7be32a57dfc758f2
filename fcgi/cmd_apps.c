#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/command.h"
#include "fcgi/report.h"
#include "lib/account.h"
#include "lib/discover.h"
#include "lib/link.h"

#define APPS_WIDTH_MOST 40 /* of the column of names */

enum apps_form { APPS_TABLE, APPS_JSON, APPS_NAMES };

/* What the supervisor says of an application; NULL if it does not know it. */
static const json_t *
apps_reported(const json_t *report, const char *name)
{
	json_t *apps = json_object_get(report, "apps"), *app;
	size_t i;

	json_array_foreach(apps, i, app)
	{
		if (strcmp(link_string(app, "name"), name) == 0)
			return app;
	}
	return NULL;
}

static const char *
apps_state(const struct account *a, const json_t *report, const struct app *app)
{
	const json_t *reported = apps_reported(report, app->name);

	return reported != NULL ? link_string(reported, "state")
				: report_state(a, app);
}

static int
apps_json(const struct account *a, const struct discovery *found,
    const json_t *report)
{
	json_t *apps = json_array(), *passed_over = json_array(), *all;
	const struct app *app;

	for (size_t i = 0; i < found->napps; i++) {
		app = &found->apps[i];
		json_array_append_new(apps,
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name",
			app->name, "host", app->host, "mount",
			app->mount[0] != '\0' ? app->mount : "/", "directory",
			app->directory, "state", apps_state(a, report, app),
			"why", app->refused != NULL ? app->refused : ""));
	}
	for (size_t i = 0; i < found->nremarks; i++)
		json_array_append_new(
		    passed_over, json_string(found->remarks[i]));
	all = json_pack("{s:o, s:o}", "apps", apps, "passed_over", passed_over);
	json_dumpf(all, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(all);
	return 0;
}

/* Of a name as a terminal shows it: characters, not bytes. */
static int
apps_width(const char *name)
{
	int width = 0;

	for (; *name != '\0'; name++)
		width += ((unsigned char)*name & 0xc0) != 0x80;
	return width;
}

static void
apps_row(const struct app *app, const char *state, int width)
{
	int gap = width - apps_width(app->name);

	printf("%s%*s  %s%-8s%s  %s%s%s\n", app->name, gap > 0 ? gap : 0, "",
	    command_state_colour(state), state, command_colour(COLOUR_NONE),
	    app->host, app->mount, app->mount[0] == '\0' ? "/" : "");
	if (app->refused != NULL)
		printf("    %s\n", app->refused);
}

static int
apps_table(const struct account *a, const struct discovery *found,
    const json_t *report)
{
	int width = 0, one;

	for (size_t i = 0; i < found->napps; i++) {
		one = apps_width(found->apps[i].name);
		if (one > width && one <= APPS_WIDTH_MOST)
			width = one;
	}
	for (size_t i = 0; i < found->napps; i++)
		apps_row(&found->apps[i],
		    apps_state(a, report, &found->apps[i]), width);
	if (found->napps == 0)
		printf("There is no application in %s yet; to begin with one: "
		       "mamayo new NAME\n",
		    a->apps);
	for (size_t i = 0; i < found->nremarks; i++)
		printf("%s%s%s%s\n", i == 0 ? "\n" : "",
		    command_colour(COLOUR_ASIDE), found->remarks[i],
		    command_colour(COLOUR_NONE));
	return 0;
}

static int
apps_names(const struct discovery *found)
{
	for (size_t i = 0; i < found->napps; i++)
		printf("%s\n", found->apps[i].name);
	return 0;
}

static int
apps_list(const struct account *a, enum apps_form form)
{
	struct discovery found;
	struct problem why;
	json_t *report = NULL;
	int status;

	discovery_init(&found);
	if (account_discover(a, &found, &why) == -1 ||
	    (form != APPS_NAMES && (report = report_new(a, &why)) == NULL))
		status = command_failed(&why);
	else if (form == APPS_JSON)
		status = apps_json(a, &found, report);
	else if (form == APPS_NAMES)
		status = apps_names(&found);
	else
		status = apps_table(a, &found, report);
	json_decref(report);
	discovery_release(&found);
	return status;
}

static int
apps_run(const struct command *c, int argc, char **argv)
{
	enum apps_form form = APPS_TABLE;
	struct account account;
	int status;

	if (argc == 1 && strcmp(argv[0], "--json") == 0)
		form = APPS_JSON;
	else if (argc == 1 && strcmp(argv[0], "--names") == 0)
		form = APPS_NAMES;
	else if (argc > 0)
		return command_usage(c);
	if ((status = command_account(&account, 1)) != 0)
		return status;
	status = apps_list(&account, form);
	account_release(&account);
	return status;
}

const struct command command_apps = {
	.name = "apps",
	.arguments = "[--json] [--names]",
	.summary = "list the applications, and where they are served",
	.help = "Lists the applications in ~/mamayo/apps with their state and "
		"their place on the\nsite, and says what else lies there and "
		"why it is passed over. With --names only\nthe names, one in "
		"a line.",
	.run = apps_run,
};
