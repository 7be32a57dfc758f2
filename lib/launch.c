#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/environment.h"
#include "lib/launch.h"
#include "lib/xalloc.h"

#define LAUNCH_BOOT                                     \
	"import sys; sys.path.insert(0, sys.argv[1]); " \
	"import mamayo_wsgi; mamayo_wsgi.main()"

/* {"type": "environ", "values": {...}}, or NULL if there are none. */
static json_t *
launch_first_message(char **line)
{
	json_t *values;
	const char *sign;
	char *name;

	if (line == NULL || *line == NULL)
		return NULL;
	values = json_object();
	for (; *line != NULL; line++) {
		sign = strchr(*line, '=');
		name = xstrndup(*line, (size_t)(sign - *line));
		json_object_set_new(values, name, json_string(sign + 1));
		free(name);
	}
	return json_pack("{s:s, s:o}", "type", "environ", "values", values);
}

static char **
launch_words(const struct launch_what *what, int has_first)
{
	const struct app_settings *settings = what->settings;
	const char *own[] = { what->python->path, "-c", LAUNCH_BOOT,
		what->adapters, what->app->name,
		what->workers_max > 1 ? "multiprocess=1" : "multiprocess=0",
		settings->debug ? "debug=1" : "debug=0",
		settings->accel ? "accel=1" : "accel=0",
		has_first ? "environ=1" : "environ=0" };
	size_t n = sizeof own / sizeof own[0], more = 0, i;
	char **argv;

	while (what->more != NULL && what->more[more] != NULL)
		more++;
	argv = xcalloc(n + more + 2, sizeof *argv);
	for (i = 0; i < n; i++)
		argv[i] = xstrdup(own[i]);
	for (i = 0; i < more; i++)
		argv[n + i] = xstrdup(what->more[i]);
	if (settings->entry != NULL)
		argv[n + more] = xprintf("entry=%s", settings->entry);
	return argv;
}

void
launch_init(struct launch *l, const struct launch_what *what)
{
	l->first = launch_first_message(what->settings->environ_);
	l->env = environment_new(what->account, what->settings, what->python);
	l->argv = launch_words(what, l->first != NULL);
	l->spec = (struct proc_spec){ .path = what->python->path,
		.argv = (const char *const *)l->argv,
		.env = (const char *const *)l->env,
		.directory = what->app->directory,
		.fd = { -1, -1, -1, -1, -1, -1 },
		.umask = 022 };
}

void
launch_release(struct launch *l)
{
	json_decref(l->first);
	xstrvfree(l->argv);
	xstrvfree(l->env);
	memset(l, 0, sizeof *l);
}
