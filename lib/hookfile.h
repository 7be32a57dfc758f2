#ifndef MAMAYO_HOOKFILE_H
#define MAMAYO_HOOKFILE_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/account.h"
#include "lib/changes.h"
#include "lib/problem.h"

/*
 * hookfile: which hook of an app has run last, and for which files:
 * state/NAME.json. Written so that it is there whole after whatever happens
 * (a new file, fsync, rename).
 *
 *	app       whose it is
 *	hook      "install", "upgrade"
 *	id        of this run, or of what came in its place, random
 *	result    "running", "succeeded", "failed"
 *	why       how it ended, in words
 *	began, ended   seconds since 1970
 *	limit     hook_timeout of that run
 *	pid, start     its process, as lib/proc knows them; 0: not yet
 *	made_of   the files of which that generation was made, and their stamps
 *	directory the stamp of the app's directory when it had failed, unless
 *	          an old generation went on
 *	served    as made_of, of the last generation that was allowed to serve;
 *	          missing if there was none
 *
 * Whoever changes it holds a lock, run/hooks/NAME.lock, and a run holds it from
 * before its beginning to after its end. It belongs to the process that keeps
 * the hook, and goes with it: nothing that a hook leaves behind has it.
 */
#define HOOKFILE_MOST (4 * 1024 * 1024) /* bytes */

enum hook_state {
	HOOK_NEVER,
	HOOK_RUNNING,
	HOOK_SUCCEEDED,
	HOOK_FAILED,
	HOOK_LOST /* whoever kept it was killed: how it ended is not known */
};

struct hookfile {
	enum hook_state state;
	json_t *all; /* the object; empty if there is no file, or no good one */
};

void hookfile_read(struct hookfile *, const struct account *, const char *app);
void hookfile_release(struct hookfile *);

const char *hookfile_text(const struct hookfile *, const char *key);
int64_t hookfile_number(const struct hookfile *, const char *key);

/* Was there a generation that was allowed to serve? Is what it was made of
 * ("served"), or what the last run was for ("made_of"), what is there now? */
int hookfile_has_served(const struct hookfile *);
int hookfile_is_same(const struct hookfile *, const char *key);

/* A descriptor, to be closed; -1: somebody else has it (EAGAIN), or errno. */
int hookfile_lock(const struct account *, const char *app);
/* The process that has it; 0 if none has. */
pid_t hookfile_holder(const struct account *, const char *app);
/* By the one who has the lock. */
int hookfile_write(
    const struct account *, const char *app, const json_t *, struct problem *);

/* Files and their stamps: those of a generation, as they were remembered, and
 * others whose names only count, as they are now. */
json_t *hookfile_files(const struct changes *, const json_t *others);
/* The same files, as they are now. */
json_t *hookfile_renewed(const json_t *files);

#endif
