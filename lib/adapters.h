#ifndef MAMAYO_ADAPTERS_H
#define MAMAYO_ADAPTERS_H

#include "lib/carried.h"
#include "lib/problem.h"

/*
 * adapters: unpacking the Python files that the program carries.
 *
 * Makes sure they lie, complete, in RUN/adapters-HASH/ (the hash of their
 * texts, so that versions do not meet; Python keeps its compiled form beside
 * them). Gives the directory's path; NULL with the reason.
 */
char *adapters_unpack(const char *run_directory, struct problem *);

#endif
