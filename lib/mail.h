#ifndef MAMAYO_MAIL_H
#define MAMAYO_MAIL_H

#include <jansson.h>

#include "lib/account.h"
#include "lib/loop.h"
#include "lib/proc.h"

/*
 * mail: tells the account's owner, who has set "mail" in its mamayo.json, of
 * incidents: one message of each kind and app in an hour, and no more than
 * MAIL_HOUR_MOST in all. What was sent is remembered in state/_mail.json, so
 * that another supervisor does not send it again; a copy in memory does where
 * that file cannot be written.
 *
 * A message goes to sendmail(8) ("sendmail" in mamayo.json, or where it is
 * usually found): -i -- ADDRESS, no shell, one message after the other. Nothing
 * waits for it: the message is a file, and whoever has not ended after
 * MAIL_LIMIT_MS is killed. What goes wrong is one line in the log, and that
 * message is not tried again; after one that hung, those that waited behind it
 * are given up, too.
 *
 * Headers have no text of an application's but its name, in printable ASCII.
 * In the body every control character but the ends of lines is escaped.
 */
#define MAIL_HOUR_S       3600
#define MAIL_HOUR_MOST    20
#define MAIL_LIMIT_MS     10000
#define MAIL_TEXT_MOST    16384 /* bytes of an incident's text */
#define MAIL_SUBJECT_MOST 120

struct letter;

struct mail {
	struct proc proc; /* sendmail; first: its end comes by its address */
	struct loop *loop;
	const struct account *account;
	struct timer limit;
	struct letter *letters; /* the first is under way */
	json_t *sent;           /* [[seconds since 1970, kind, app]] */
	int said;               /* what sendmail has to say; or -1 */
	int is_late;
};

void mail_init(struct mail *, struct loop *, const struct account *);
void mail_release(struct mail *);

/*
 * Something has happened that its owner should know. The kind is a word of
 * ours, app NULL for what concerns them all. The subject is what has happened,
 * in a few words; the text also what mamayo has done about it. Where to look is
 * added. Nothing if no mail is wanted.
 */
void mail_incident(struct mail *, const char *kind, const char *app,
    const char *subject, const char *text);

/* Is a message under way? Never for long. */
int mail_is_busy(const struct mail *);

#endif
