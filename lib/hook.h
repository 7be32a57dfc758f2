#ifndef MAMAYO_HOOK_H
#define MAMAYO_HOOK_H

#include <stdint.h>

#include "lib/account.h"
#include "lib/app.h"
#include "lib/changes.h"
#include "lib/hookfile.h"
#include "lib/loop.h"
#include "lib/problem.h"
#include "lib/python.h"
#include "lib/settings.h"

/*
 * hook: a command that an app wants to be run once for each new generation of
 * it, before that is started: "install" before its first one ever, "upgrade"
 * before each other; or the line "release" of its Procfile for both.
 *
 * A run belongs to nobody here: a process of its own keeps it (lib/keeper). So
 * it goes on whoever dies, and the next supervisor knows of it by its lock.
 *
 * What a hook writes while it runs belongs to the generation that it was run
 * for, as does whatever else changes meanwhile.
 *
 * One that was killed before that could be written down counts as failed. If
 * the process that kept it has been, and the command itself has not, it runs on
 * until its end, or until hook_timeout.
 */
#define HOOK_RUNS 3 /* one after the other, if files change on and on */

struct hook_run;

struct hooks {
	struct loop *loop;
	const struct account *account;
	struct hook_run *list;
	/* One of that app has ended. */
	void (*over)(struct hooks *, const char *app, int64_t now);
};

void hooks_init(struct hooks *, struct loop *, const struct account *);
/* Runs of which we know. */
int hooks_count(const struct hooks *);
/* A new supervisor: does one of that app run? */
void hooks_meet(struct hooks *, const struct app *);
/* Once a second: those whose end nobody tells us. */
void hooks_tick(struct hooks *, int64_t now);

/* What it is to be run with. All borrowed. */
struct hook_need {
	const struct app *app;
	const struct app_settings *settings;
	const struct python *python;
	const struct changes *files; /* which the generation is made of */
	int log;                     /* descriptor */
	int is_alone;                /* no older generation serves meanwhile */
	int only_looks;              /* none is begun */
};

/* A generation's, from one attempt to start it to the next. */
struct hook_turn {
	char id[33]; /* of the run that it has begun, or that lets it start */
	char before[33]; /* of the last one before that */
	int has_begun;   /* it is the one that has begun it */
	int runs;        /* in a row */
	int is_asked;    /* somebody wants a run, whatever has changed */
	int is_again;    /* ... if the last one has failed */
	char name[8];    /* "install" or "upgrade" while it waits; else "" */
	int64_t since;   /* of that; seconds since 1970 */
};

enum hook_answer {
	HOOK_NONE,    /* the app has no hooks */
	HOOK_GO,      /* what was to be run has been */
	HOOK_WAIT,    /* one runs: ask again when it is over */
	HOOK_REFUSED, /* it has failed for this generation */
	HOOK_BROKEN   /* it cannot be run now */
};

/* May a generation be started? Begins a run if there is to be one. Says why
 * not. */
enum hook_answer hooks_ask(struct hooks *, struct hook_turn *,
    const struct hook_need *, struct problem *);

/* For status: a new object. */
json_t *hook_describe(const struct hook_turn *);

/* What the generation that serves is made of is better known now. */
void hooks_note(
    struct hooks *, const struct app *, const char *id, const struct changes *);

/* A hook that has failed may be run again for the same files. 1 if there was
 * one, 0 if not, -1 with the reason. For commands, while no supervisor runs. */
int hook_forgive(const struct account *, const char *app, struct problem *);

#endif
