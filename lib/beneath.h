#ifndef MAMAYO_BENEATH_H
#define MAMAYO_BENEATH_H

#include <fcntl.h>

/*
 * beneath: opens what a path names below a directory, and nothing else.
 *
 * The path is walked part by part, each opened in the one before it, without
 * following. A symbolic link is read and walked in its place; one that is
 * absolute, or that climbs above the directory, on its way too, is refused.
 * Whoever exchanges parts of the path meanwhile gains nothing.
 */
#define BENEATH_PATH  4096 /* bytes of a path, links put in */
#define BENEATH_DEPTH 64   /* directories below each other */
#define BENEATH_LINKS 16   /* in one path */

/* Flags for a directory that is only a place to open things in. */
#ifdef O_PATH
#define BENEATH_PLACE (O_PATH | O_DIRECTORY)
#else
#define BENEATH_PLACE (O_RDONLY | O_DIRECTORY)
#endif

/*
 * path is relative; it may be "" for the directory itself. A slash at its end
 * wants a directory. Gives a close-on-exec descriptor, opened with flags, or -1
 * with errno: EXDEV if it leads out, ELOOP after too many links, ENAMETOOLONG
 * if it is too long or too deep, and what openat(2) says.
 */
int beneath_open(int directory, const char *path, int flags);

#endif
