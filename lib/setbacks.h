#ifndef MAMAYO_SETBACKS_H
#define MAMAYO_SETBACKS_H

#include <stdint.h>

#include "lib/problem.h"

/*
 * setbacks: which apps could not be started and when each may be tried again,
 * kept in run/backoff.json for the next supervisor.
 *
 *	{"blog": {"failures": 3, "at": 5000, "until": 9000, "stamp": "1f...",
 *	          "reference": "00c0ffee", "advice": "..."}}
 *
 * It is written when one of them changes, whole and put in place at once; there
 * is no file while nothing fails. What is damaged counts for nothing, nor does
 * what is of another start of the machine, or older than SETBACKS_OLD_MS.
 */
#define SETBACKS_MOST   100              /* apps */
#define SETBACKS_BYTES  (256 * 1024)     /* of the file */
#define SETBACKS_OLD_MS (10 * 60 * 1000) /* after its time has come */
#define SETBACKS_ADVICE 400              /* bytes: of more the beginning */

struct setback {
	unsigned failures; /* in a row */
	int64_t at;        /* clock_ms(): of the last */
	int64_t until;     /* not to be tried again before */
	uint64_t stamp;    /* of the app's files */
	char reference[9]; /* for visitors: eight hexadecimal digits */
	char advice[SETBACKS_ADVICE + 1]; /* why */
};

/* Is there one of that app? 1 if so, 0 if not. run: the directory. */
int setbacks_recall(
    const char *run, const char *app, int64_t now, struct setback *);

/* Keeps one, or with NULL, none, of that app. 0, or -1 with the reason. */
int setbacks_keep(const char *run, const char *app, const struct setback *,
    int64_t now, struct problem *);

#endif
