#include "config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/environment.h"
#include "lib/xalloc.h"

struct environment_lines {
	char *line[64];
	size_t n;
};

static void
lines_add(struct environment_lines *l, char *line)
{
	if (l->n + 1 < sizeof l->line / sizeof l->line[0])
		l->line[l->n++] = line;
	else
		free(line);
}

static void
lines_release(struct environment_lines *l)
{
	while (l->n > 0)
		free(l->line[--l->n]);
}

/* Where that variable is set, or the NULL at the end. */
static size_t
environment_place(char *const *env, const char *name)
{
	size_t n = strcspn(name, "="), i = 0;

	while (env[i] != NULL &&
	       (strncmp(env[i], name, n) != 0 || env[i][n] != '='))
		i++;
	return i;
}

const char *
environment_get(char *const *env, const char *name)
{
	const char *line =
	    env == NULL ? NULL : env[environment_place(env, name)];

	return line == NULL ? NULL : strchr(line, '=') + 1;
}

char **
environment_set(char **env, const char *line)
{
	size_t i = environment_place(env, line);

	if (env[i] == NULL) {
		env = xrealloc(env, i + 2, sizeof *env);
		env[i + 1] = NULL;
	}
	free(env[i]);
	env[i] = xstrdup(line);
	return env;
}

char **
environment_new(const struct account *a, const struct app_settings *settings,
    const struct python *python)
{
	char **own = settings->env, **env;
	const char *zone = getenv("TZ");
	struct environment_lines l = { .n = 0 };
	size_t nown = 0, n = 0;

	if (python->virtual_env != NULL) {
		lines_add(
		    &l, xprintf("PATH=%s/bin:/usr/local/bin:/usr/bin:/bin",
			    python->virtual_env));
		lines_add(&l, xprintf("VIRTUAL_ENV=%s", python->virtual_env));
	} else
		lines_add(&l, xstrdup("PATH=/usr/local/bin:/usr/bin:/bin"));
	lines_add(&l, xprintf("HOME=%s", a->home));
	lines_add(&l, xprintf("USER=%s", a->user));
	lines_add(&l, xprintf("LOGNAME=%s", a->user));
	lines_add(&l, xstrdup("LANG=C.UTF-8"));
	lines_add(&l, xstrdup("PYTHONUTF8=1"));
	if (zone != NULL)
		lines_add(&l, xprintf("TZ=%s", zone));
	while (own != NULL && own[nown] != NULL)
		nown++;
	env = xcalloc(l.n + nown + 1, sizeof *env);
	for (size_t i = 0; i < l.n; i++)
		if (environment_get(own, l.line[i]) == NULL)
			env[n++] = xstrdup(l.line[i]);
	for (size_t k = 0; k < nown; k++)
		env[n++] = xstrdup(own[k]);
	lines_release(&l);
	return env;
}
