#ifndef MAMAYO_GUARD_H
#define MAMAYO_GUARD_H

#include "lib/account.h"
#include "lib/loop.h"
#include "lib/mail.h"
#include "lib/watchdog.h"

/*
 * guard: a responder keeps an eye on the supervisor, whoever started it.
 *
 * While there are requests, and after the last one, it asks for a sign of life
 * (lib/watchdog) until that comes. A supervisor that gives none is told to
 * abort, writes where it is stuck into mamayo.log, and is killed GUARD_KILL_MS
 * later; then another one is elected as after any death. Each is an incident,
 * written into run/stuck. After GUARD_MOST of them in GUARD_WITHIN_MS no
 * supervisor is started any more: warm applications go on, who needs one that
 * is not gets a page, and the owner a mail; until the incidents are that long
 * ago.
 */
#define GUARD_KILL_MS   2000
#define GUARD_MOST      5
#define GUARD_WITHIN_MS 600000

struct guard {
	struct loop *loop;
	const struct account *account;
	struct watchdog watchdog;
	struct timer beat, kill;
	int link;     /* to the supervisor; -1: none */
	pid_t victim; /* told to abort; 0: nobody */
	int has_given_up;
	int was_needed; /* there was a request since the last beat */
	struct mail mail;
	int (*is_needed)(struct guard *); /* are there requests? */
};

/* is_needed must be set after that. */
void guard_init(struct guard *, struct loop *, const struct account *);
void guard_release(struct guard *);

/* There is a request. */
void guard_watch(struct guard *, int64_t now);
/* The link that there is now; -1: none. */
void guard_link(struct guard *, int link);
/* Something has come over it. */
void guard_heard(struct guard *);

/* Have there been so many incidents that none is to be started? Says so once,
 * to the log and to the owner. */
int guard_gives_up(struct guard *, int64_t now);

#endif
