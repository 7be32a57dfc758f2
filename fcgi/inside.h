#ifndef MAMAYO_INSIDE_H
#define MAMAYO_INSIDE_H

#include "lib/account.h"
#include "lib/app.h"
#include "lib/python.h"
#include "lib/settings.h"

/*
 * inside: an application as its workers see it: directory, settings, Python
 * and environment, for what its owner does in it by hand.
 */
struct inside {
	struct app app;
	struct app_settings settings;
	struct python python;
};

/* Finds the application and its settings, and nothing else yet. Returns 0, or
 * what to exit with, after it has said why; there is nothing to release then.
 */
int inside_enter(struct inside *, const struct account *, const char *name);
void inside_leave(struct inside *);

/* The environment of its workers, and what a terminal needs (TERM, EDITOR and
 * the like, and the variables of the caller's that begin with one of
 * `prefixes`, which ends with NULL). NULL-terminated; free with xstrvfree(). */
char **inside_environment(
    const struct inside *, const struct account *, const char *const *prefixes);

/* Becomes that command: its directory, its environment; "python" and "python3"
 * are the application's own. Returns only if that fails, with what a shell
 * would exit with: 126 or 127. */
int inside_become(
    const struct inside *, char *const *argv, char **env, struct problem *);

#endif
