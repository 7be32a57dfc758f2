#ifndef MAMAYO_ENVIRONMENT_H
#define MAMAYO_ENVIRONMENT_H

#include "lib/account.h"
#include "lib/python.h"
#include "lib/settings.h"

/*
 * environment: the environment of a worker's process: PATH, HOME, USER,
 * LOGNAME, LANG, PYTHONUTF8, TZ and VIRTUAL_ENV where they are known, and the
 * app's own "env", which wins; nothing that the web server happens to have
 * (R-SEC3).
 */

/* NAME=value strings, NULL-terminated. Free with xstrvfree(). */
char **environment_new(
    const struct account *, const struct app_settings *, const struct python *);

/* The value of a variable, which is borrowed; NULL if it is not set, or
 * there is no list. The name may be the beginning of a NAME=value, too. */
const char *environment_get(char *const *env, const char *name);

/* Sets a variable ("NAME=value") in such a list, which may have moved then. */
char **environment_set(char **env, const char *line);

#endif
