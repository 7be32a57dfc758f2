#ifndef MAMAYO_WHOLE_H
#define MAMAYO_WHOLE_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/problem.h"

/*
 * whole: files and directories that are there as a whole, or not at all.
 *
 * A name is one in the directory whose descriptor is given. A symbolic link
 * that has it is replaced or removed itself; nothing is ever done to what it
 * leads to. What is not finished is called NAME.new-PID-RANDOM; if its writer
 * was killed, the next one removes it.
 */

/* A name for something unfinished; of a long one, its beginning is in it. Free
 * it. */
char *whole_unfinished(const char *name);
/* Removes what others have left unfinished in that directory. */
void whole_tidy(int at);

/* Both write a file, replacing what has the name: 0, or -1 with the reason and
 * errno, and all is as it was. The second takes what another file holds. */
int whole_write(int at, const char *name, const void *text, size_t n, mode_t,
    struct problem *);
int whole_copy(int at, const char *name, int from, mode_t, struct problem *);

/* What a regular file of at most `most` bytes holds, and a NUL behind it. Free
 * it. NULL with errno: ELOOP for a link, EFBIG for a larger one, EINVAL for
 * what is no file, ENOMEM; it takes as much memory as the file needs. */
char *whole_read(int at, const char *name, size_t most, size_t *n);

/* Makes the directories in which that path lies, as far as they are not there:
 * of "a/b/c" a and a/b, of "a/b/" both. 0, or -1 with errno. */
int whole_directories(int at, const char *path);

/* Removes what has that name, a directory with all that is in it. 0, also if
 * there is nothing; -1 with errno. */
int whole_remove(int at, const char *name);

/* Two names change places: at once where the system can do that (Linux), else
 * there is nothing at the first one for a moment. 0, or -1 with errno, and both
 * are where they were. */
int whole_swap(int at, const char *one, const char *other);

#endif
