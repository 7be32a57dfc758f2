#ifndef MAMAYO_PYTHON_H
#define MAMAYO_PYTHON_H

#include "lib/problem.h"
#include "lib/settings.h"

/*
 * python: which interpreter runs an app, and why (DESIGN: the rules of
 * mamayo(7), "Which Python").
 *
 * 1. "python" in the settings: absolute, below the app's directory, or a name
 *    looked up in PATH; a directory is taken as a virtualenv.
 * 2. .venv, venv, env, virtualenv in the app's directory, with pyvenv.cfg and
 *    bin/python.
 * 3. .python-version (first line) under pyenv: ~/.pyenv/versions/X/bin/python.
 * 4. python3 in PATH (/usr/local/bin:/usr/bin:/bin).
 */
struct python {
	char *path;        /* absolute path to execute, owned */
	char *virtual_env; /* the virtualenv's directory, or NULL, owned */
	char *why;         /* "venv/ has a pyvenv.cfg", owned */
};

void python_release(struct python *);

/* The name of the virtual environment in the app's directory, by rule 2; NULL
 * if there is none. */
const char *python_environment(const char *app_directory);

/* The interpreter that one is made with: as `name` says, a path or one in PATH,
 * or, if that is NULL, by rules 3 and 4. The same results. */
int python_find_base(const char *app_directory, const char *name,
    const char *home, struct python *, struct problem *);

/* 0, or -1 with a sentence that says what is missing and what to do (a
 * virtualenv whose bin/python dangles is refused, not passed over). */
int python_find(const char *app_directory, const struct app_settings *,
    const char *home, struct python *, struct problem *);

#endif
