#ifndef MAMAYO_ADAPTERS_H
#define MAMAYO_ADAPTERS_H

#include <stddef.h>

#include "lib/problem.h"

/*
 * adapters: the Python files that the binary carries, and unpacking them.
 */
struct adapter {
	const char *name; /* "mamayo_wsgi.py"; NULL ends the table */
	const unsigned char *text;
	size_t length;
};

extern const struct adapter adapters[];

/*
 * Makes sure they lie, complete, in RUN/adapters-HASH/ (the hash of their
 * texts, so that versions do not meet; Python keeps its compiled form beside
 * them). Gives the directory's path; NULL with the reason.
 */
char *adapters_unpack(const char *run_directory, struct problem *);

#endif
