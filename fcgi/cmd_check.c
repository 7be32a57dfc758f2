#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/command.h"
#include "lib/account.h"
#include "lib/discover.h"
#include "lib/link.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/probe.h"
#include "lib/quote.h"
#include "lib/stopped.h"
#include "lib/xalloc.h"

#define CHECK_OUTPUT      20  /* lines of what it printed that are shown */
#define CHECK_INTERRUPTED 130 /* what a shell says of SIGINT */

struct check {
	struct account account;
	struct discovery found;
	const char *name; /* NULL: all of them */
	int is_json;
};

/* "    KEY        TEXT", if there is a text. */
static void
check_print(const char *key, const char *text)
{
	if (*text != '\0')
		printf("    %-11s %s\n", key, text);
}

static void
check_print_lines(const char *text)
{
	char *shown;
	size_t n;

	for (; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		shown = xcalloc(n + 2, 4);
		printf("    | %s\n", log_escape(shown, 4 * (n + 2), text, n));
		free(shown);
	}
}

/* What stands beside something, if it is there. */
static void
check_print_with(
    const char *key, const char *text, const char *between, const char *more)
{
	char *whole = xprintf("%s%s%s", text,
	    *text != '\0' && *more != '\0' ? between : "", more);

	check_print(key, whole);
	free(whole);
}

static void
check_print_answer(const json_t *app)
{
	const char *mount = link_string(app, "mount");
	const char *type = link_string(app, "content_type");

	printf("    GET %s%s: %lld %s%s%s\n", mount,
	    strcmp(mount, "/") == 0 ? "" : "/",
	    (long long)link_int(app, "status"), link_string(app, "reason"),
	    *type != '\0' ? ", " : "", type);
	check_print("leads to", link_string(app, "location"));
	check_print("begins with", link_string(app, "first_line"));
	if (link_int(app, "status") == 400 &&
	    strcmp(link_string(app, "framework"), "Django") == 0)
		printf("    Perhaps its ALLOWED_HOSTS has the name of the site "
		       "only, and not the one\n    that it was asked for.\n");
}

static void
check_print_output(const json_t *app)
{
	json_t *lines = json_object_get(app, "output");
	size_t n = json_array_size(lines);

	if (n > 0)
		printf("    it printed, at last:\n");
	for (size_t i = n > CHECK_OUTPUT ? n - CHECK_OUTPUT : 0; i < n; i++)
		printf(
		    "    | %s\n", json_string_value(json_array_get(lines, i)));
}

static void
check_print_app(const struct check *c, const json_t *app)
{
	const json_t *error = json_object_get(app, "error");
	char *name;

	printf("%s  %s  at %s\n", link_string(app, "name"),
	    json_is_true(json_object_get(app, "ok")) ? "well" : "not well",
	    link_string(app, "mount"));
	check_print("directory", link_string(app, "directory"));
	check_print_with("found", link_string(app, "entry"), ", because ",
	    link_string(app, "why"));
	check_print_with("Python", link_string(app, "python_version"), ", ",
	    link_string(app, "python"));
	check_print("because", link_string(app, "python_why"));
	check_print_with("made with", link_string(app, "framework"), " ",
	    link_string(app, "framework_version"));
	if (link_int(app, "status") != 0)
		check_print_answer(app);
	if (stopped_is(c->account.root, link_string(app, "name"))) {
		name = quote_word(link_string(app, "name"));
		printf(
		    "    It is stopped; to serve it: mamayo start %s\n", name);
		free(name);
	}
	if (!json_is_object(error))
		return;
	printf("    %s\n", link_string(error, "text"));
	if (*link_string(error, "detail") != '\0')
		check_print_lines(link_string(error, "detail"));
	else
		check_print_output(app);
}

/* Tries those that were asked for. 0, or what to exit with. */
static int
check_all(const struct check *c, json_t *apps)
{
	struct loop *loop = loop_new();
	int status = 0;
	json_t *app;

	for (size_t i = 0; i < c->found.napps && status != CHECK_INTERRUPTED;
	     i++) {
		if (c->name != NULL &&
		    strcmp(c->name, c->found.apps[i].name) != 0)
			continue;
		app = probe_try(loop, &c->account, &c->found.apps[i]);
		if (app == NULL) {
			status = CHECK_INTERRUPTED;
			continue;
		}
		if (!json_is_true(json_object_get(app, "ok")))
			status = EXIT_UNHEALTHY;
		if (!c->is_json) {
			if (json_array_size(apps) > 0)
				printf("\n");
			check_print_app(c, app);
			fflush(stdout);
		}
		json_array_append_new(apps, app);
	}
	loop_free(loop);
	return status;
}

/* Is the remark about that name, or about anything? */
static int
check_concerns(const struct check *c, const char *remark)
{
	char *shown, *begin;
	size_t n;
	int result;

	if (c->name == NULL)
		return 1;
	n = strlen(c->name);
	shown = xcalloc(n + 2, 4);
	begin = xprintf("apps/%s ", log_escape(shown, 4 * (n + 2), c->name, n));
	result = strncmp(remark, begin, strlen(begin)) == 0;
	free(shown);
	free(begin);
	return result;
}

/* What lies in apps/ and is no application, and why. Gives how many. */
static size_t
check_remarks(const struct check *c, json_t *remarks)
{
	for (size_t i = 0; i < c->found.nremarks; i++)
		if (check_concerns(c, c->found.remarks[i]))
			json_array_append_new(
			    remarks, json_string(c->found.remarks[i]));
	return json_array_size(remarks);
}

/* Nothing could be tried: says why. */
static void
check_nothing(const struct check *c, size_t nremarks)
{
	struct problem why;

	if (c->name == NULL)
		fprintf(stderr, "mamayo: there is no application in %s yet\n",
		    c->account.apps);
	else if (nremarks == 0 &&
		 command_knows(&c->account, c->name, 0, &why) == -1)
		fprintf(stderr, "mamayo: %s\n", why.text);
}

static int
check_account(struct check *c)
{
	json_t *apps = json_array(), *remarks = json_array();
	int status = check_all(c, apps);
	size_t n = check_remarks(c, remarks);

	if (c->is_json) {
		json_t *all = json_pack("{s:s, s:O, s:O}", "version",
		    PACKAGE_VERSION, "apps", apps, "remarks", remarks);

		json_dumpf(all, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(all);
	}
	for (size_t i = 0; i < n && !c->is_json; i++)
		fprintf(stderr, "mamayo: %s\n",
		    json_string_value(json_array_get(remarks, i)));
	if (status == 0 && json_array_size(apps) == 0) {
		check_nothing(c, n);
		status = EXIT_UNHEALTHY;
	}
	json_decref(apps);
	json_decref(remarks);
	return status;
}

static int
check_run(const struct command *command, int argc, char **argv)
{
	struct check c = { 0 };
	struct problem why;
	int status;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			c.is_json = 1;
		else if (argv[i][0] == '-' || argv[i][0] == '\0' ||
			 c.name != NULL)
			return command_usage(command);
		else
			c.name = argv[i];
	}
	if ((status = command_account(&c.account, 1)) != 0)
		return status;
	discovery_init(&c.found);
	if (account_discover(&c.account, &c.found, &why) == 0)
		status = check_account(&c);
	else {
		fprintf(stderr, "mamayo: %s\n", why.text);
		status = EXIT_UNHEALTHY;
	}
	discovery_release(&c.found);
	account_release(&c.account);
	return status;
}

const struct command command_check = {
	.name = "check",
	.arguments = "[--json] [NAME]",
	.summary = "try an application, and say what was found",
	.help =
	    "Imports the application in ~/mamayo/apps/NAME (all of them, "
	    "without "
	    "a name) in a\nprocess of its own, which answers one GET request "
	    "and "
	    "ends; says what was found,\nby which rule, with which Python and "
	    "framework, and what a visitor would get.\nWhat is served "
	    "meanwhile "
	    "is not touched. Exit status 0: it answers, and not\nwith 5xx; 1: "
	    "something is wrong.",
	.run = check_run,
};
