#ifndef MAMAYO_JSONFILE_H
#define MAMAYO_JSONFILE_H

#include <jansson.h>
#include <stddef.h>

#include "lib/problem.h"

/*
 * jsonfile: one JSON object in a file that anybody may have written, and
 * sentences that say where in it something is wrong.
 *
 * "/home/u/x.json:3: "workers.max" must be ...". Of a long path the end is
 * named. Nothing in a sentence can forge a line of a log.
 */
struct jsonfile {
	const char *path; /* borrowed */
	char *text;       /* owned; what the object was read from */
	size_t length;
	json_t *root; /* owned; an object */
};

/*
 * A file that is a symbolic link, not regular, larger than `most` bytes, no
 * JSON, no object, or that has a key twice is an error.
 * 0, 1 if there is no file (nothing is to be released then), or -1.
 */
int jsonfile_read(
    struct jsonfile *, const char *path, size_t most, struct problem *);
void jsonfile_release(struct jsonfile *);

/* The line where a key stands: at the top if parent is NULL, else in the
 * object of that name at the top. 1 if it is not there. */
int jsonfile_line(const struct jsonfile *, const char *parent, const char *key);

/* PATH:LINE: "PARENT.KEY" and the rest. Always -1. */
int jsonfile_complain(const struct jsonfile *, struct problem *,
    const char *parent, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* A value as it may stand in a sentence, short. Uses out, or not. */
const char *jsonfile_value(const json_t *, char *out, size_t size);

#endif
