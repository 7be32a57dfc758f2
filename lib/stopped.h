#ifndef MAMAYO_STOPPED_H
#define MAMAYO_STOPPED_H

#include "lib/problem.h"

/*
 * stopped: applications that their owner has stopped. Each is a file in
 * state/stopped below the root, so that it stays stopped whoever supervises;
 * run/ is no place for what has to be kept.
 */
int stopped_is(const char *root, const char *name);

/* Both return 0, also when it was so already, or -1 with the reason. */
int stopped_add(const char *root, const char *name, struct problem *);
int stopped_remove(const char *root, const char *name, struct problem *);

#endif
