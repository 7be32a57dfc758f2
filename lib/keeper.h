#ifndef MAMAYO_KEEPER_H
#define MAMAYO_KEEPER_H

#include <jansson.h>
#include <sys/types.h>

#include "lib/account.h"
#include "lib/app.h"
#include "lib/loop.h"
#include "lib/problem.h"
#include "lib/python.h"
#include "lib/settings.h"

/*
 * keeper: the process that keeps a hook: a fork of the supervisor that holds
 * the lock of lib/hookfile, writes down that the hook runs, runs its command (a
 * shell's, in the app's directory and with the environment of its workers, its
 * text going to the app's log), ends it at hook_timeout, and writes down how it
 * has ended. It needs nobody for that; SIGTERM and SIGINT do not end it, so
 * that it can tell of a command that they have ended.
 *
 * If another run is the last one by the time that it has the lock, it leaves:
 * a supervisor that was killed had begun that, and the next one could not know
 * of it yet.
 */
#define KEEPER_END_MS   5000  /* from SIGTERM to SIGKILL, at hook_timeout */
#define KEEPER_LATE_MS  15000 /* after hook_timeout: then it is stuck itself */
#define KEEPER_LOCK_MS  2000  /* for whoever else has the lock for a moment */
#define KEEPER_WRITE_MS 60000 /* for room on the disk for how it has ended */

/* All borrowed. */
struct keeper_work {
	struct loop *loop; /* of whoever begins it */
	const struct account *account;
	const struct app *app;
	const struct app_settings *settings;
	const struct python *python;
	int log;      /* descriptor */
	int is_alone; /* no older generation serves meanwhile */
	const char *command;
	const char *before; /* id of the run that is the last one so far */
	json_t *record;     /* as hookfile_write() wants it, "running" */
	pid_t pid;          /* of the keeper; set by keeper_begin() */
	int alive;          /* private */
};

/* A descriptor that hangs up when the keeper has ended; or -1. */
int keeper_begin(struct keeper_work *, struct problem *);

#endif
