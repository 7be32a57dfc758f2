#ifndef MAMAYO_ACCOUNT_H
#define MAMAYO_ACCOUNT_H

#include "lib/discover.h"
#include "lib/problem.h"
#include "lib/settings.h"

/*
 * account: the root directory: where it is, whether it is safe, its parts, its
 * settings. An account means one root directory: one supervisor per root.
 *
 * The root is $MAMAYO_ROOT, else "mamayo" in the home directory that the
 * password database gives for the effective user (never $HOME: lighttpd hands
 * on root's). A portable build reads /etc/passwd itself, and takes $HOME, if
 * it belongs to the user, where that says nothing.
 *
 * run/ must be able to hold a lock and a socket; where its path is too long
 * for a socket, or its file system has none or no locks, "mamayo-HASH" in
 * $XDG_RUNTIME_DIR, /run/user/UID or /tmp/mamayo-UID-HASH is used instead, and
 * run/where says so.
 */
struct account {
	char *root, *apps, *logs;
	char *run;         /* where lock, sock and spool files are */
	char *log;         /* logs/mamayo.log */
	char *home, *user; /* "" and "uid N" where nothing is known */
	char *remark;      /* something to mention once in the log, or NULL */
	int run_fd;        /* run/, -1: none */
	int only_looks;    /* set before account_open() by who starts nothing:
			      another place than run/ is not made, nor checked */
	struct account_settings settings;
};

void account_init(struct account *);
void account_release(struct account *);

/*
 * Finds, makes (apps/, logs/, run/: 0755, 0700, 0700) and checks everything.
 * Refuses root, another effective than real user, and directories that others
 * may write or that are not ours. Returns 0, or -1 with a sentence that says
 * what to do. Settings that cannot be read are no refusal: defaults, and the
 * sentence in *remark.
 */
int account_open(struct account *, struct problem *);

/* Reads the account's mamayo.json again; on failure all stays as it was, and
 * the sentence says why. */
int account_read_settings(struct account *, struct problem *);

/* Opens run/ (or the place used instead) again: it may have been removed, and
 * made anew, or another one is used now. On failure run_fd stays as it was. */
int account_open_run(struct account *, struct problem *);

/* run/ has turned out to hold no lock or no socket: from now on another place
 * is used, by everybody who opens run/ after this. 0, or -1 with the reason
 * why there is none, and all stays as it was. */
int account_leave_run(struct account *, struct problem *);

/* discover(), as the settings want it. */
int account_discover(
    const struct account *, struct discovery *, struct problem *);

/* Only paths: nothing is made (for commands that only look). */
int account_find(struct account *, struct problem *);

#endif
