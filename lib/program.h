#ifndef MAMAYO_PROGRAM_H
#define MAMAYO_PROGRAM_H

/*
 * program: files that this process may execute.
 */

/* Is there one? Sets errno if not: EACCES for what is no regular file, or may
 * not be executed. */
int program_is(const char *path);

/* The first of that name in the directories of `places`, which is written as
 * PATH is; an empty part of it is no directory. Free it. NULL with errno:
 * EACCES if there is one that may not be executed, else ENOENT. */
char *program_find(const char *places, const char *name);

#endif
