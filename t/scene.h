#ifndef MAMAYO_T_SCENE_H
#define MAMAYO_T_SCENE_H

#include <stddef.h>

/*
 * scene: what several unit tests need around them.
 */

/* Makes a fresh directory, the test's working directory from now on, which
 * scene_leave() removes with everything in it. Borrowed path. */
const char *scene_enter(void);
void scene_leave(void);

/* Runs run() in a child, which then exits with 0. Gives what it wrote to
 * standard error, and returns its status as of waitpid(2). */
int scene_child(void (*run)(void), char *said, size_t size);

/* Reads a file into a text that ends with NUL; returns its length. */
size_t scene_read(const char *path, char *text, size_t size);
void scene_write(const char *path, const char *text);

/* How many descriptors are open. */
int scene_descriptors(void);

#endif
