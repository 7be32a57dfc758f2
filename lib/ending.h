#ifndef MAMAYO_ENDING_H
#define MAMAYO_ENDING_H

#include <stdint.h>

/*
 * ending: how a process of an application has ended, for its owner: what that
 * means and what to do about it, and the last that its log says.
 *
 * That there was no memory left is seen by nobody but the kernel, which counts
 * the processes that it ends for that (oom_kill in /proc/vmstat).
 */
#define ENDING_LINES 40   /* of a log, at most */
#define ENDING_TEXT  8192 /* bytes of it, before they are escaped */

/* So many so far; 0 where the system does not say. */
uint64_t ending_oom_kills(const char *vmstat);

/* A clause for behind proc_status_text(), "" if there is nothing to add.
 * oom_kills: how many there have been since the process was started. */
const char *ending_advice(int status, uint64_t oom_kills);

/* The same for one that mamayo has ended because it was stuck. */
const char *ending_stuck(void);

/*
 * The last lines of a log, printable, each with "\n": a few, or, if the process
 * ended by a signal for which Python writes its stack, from there on. Malloced;
 * NULL if there are none.
 */
char *ending_last_words(const char *log, int status);

#endif
