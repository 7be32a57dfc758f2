#ifndef MAMAYO_PROBLEM_H
#define MAMAYO_PROBLEM_H

/*
 * problem: one sentence that says why something failed, for a person.
 *
 * It lives on the caller's stack; whoever handles the failure logs or shows
 * it, once. Too long a sentence is cut, never an error.
 */
struct problem {
	char text[512];
};

/* Both return -1, so that a failing function can end in one line. */
int problem_set(struct problem *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds ": " and the text of errno; keeps errno. */
int problem_sys(struct problem *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
