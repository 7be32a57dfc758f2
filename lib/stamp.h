#ifndef MAMAYO_STAMP_H
#define MAMAYO_STAMP_H

#include <stdint.h>
#include <sys/stat.h>

/*
 * stamp: a number that changes when the files of an app do: their names,
 * times, sizes and inodes, also in directories below it. Names that begin with
 * "." or "_", and node_modules, do not count.
 */
#define STAMP_FILES      2000 /* files that are looked at ... */
#define STAMP_DEPTH      6    /* ... in directories so far below its own; in */
#define STAMP_VENV_DEPTH 3    /* a virtualenv down to what is installed */

/* 0 if the directory is not there. */
uint64_t stamp(const char *directory);

/* Of one file, by any name for it; never 0. */
uint64_t stamp_of(const char *name, const struct stat *);

#endif
