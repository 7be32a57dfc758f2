#ifndef MAMAYO_LAUNCH_H
#define MAMAYO_LAUNCH_H

#include <jansson.h>

#include "lib/account.h"
#include "lib/app.h"
#include "lib/proc.h"
#include "lib/python.h"
#include "lib/settings.h"

/*
 * launch: with which command line, environment and first message a worker
 * process of an application is started: what a pool serves with, and what a
 * check tries.
 */
struct launch_what {
	const struct account *account;
	const struct app *app;
	const struct app_settings *settings;
	const struct python *python;
	const char *adapters;    /* the directory where they lie */
	int workers_max;         /* more than one at the same time? */
	const char *const *more; /* "KEY=value" for the adapter, NULL-terminated
				  */
};

struct launch {
	struct proc_spec spec; /* all descriptors are -1 */
	json_t *first;         /* to be sent to it at once, or NULL */
	char **env;            /* the spec's */
	/* private */
	char **argv;
};

/* What it is made from must stay until it is released. */
void launch_init(struct launch *, const struct launch_what *);
void launch_release(struct launch *);

#endif
