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

#endif
