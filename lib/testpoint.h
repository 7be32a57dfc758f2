#ifndef MAMAYO_TESTPOINT_H
#define MAMAYO_TESTPOINT_H

/*
 * testpoint: places at which a test can make this process fail, in a build with
 * --enable-testpoints; nothing in any other.
 *
 * A process that comes to TESTPOINT("role:place") looks for a file of that name
 * in the directory that MAMAYO_TESTPOINTS names. If there is one it is removed,
 * and what it says is done: spin (in a loop, for ever), stop, kill or abort.
 */
#ifdef MAMAYO_TESTPOINTS
#define TESTPOINT(name) testpoint(name)
#else
#define TESTPOINT(name) ((void)0)
#endif

void testpoint(const char *name);

#endif
