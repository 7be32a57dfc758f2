#ifndef MAMAYO_TESTPOINT_H
#define MAMAYO_TESTPOINT_H

#include <stdint.h>

/*
 * testpoint: places at which a test can make this process fail, or wait, and a
 * clock that it can move, in a build with --enable-testpoints; nothing in any
 * other. adapters/mamayo_testpoint.py is the same for Python.
 *
 * A process that comes to TESTPOINT("role:place") looks for a file of that name
 * in the directory that MAMAYO_TESTPOINTS names, and then for one named "any",
 * which is for every place. Its first line is "ACTION", "ACTION COUNT" or
 * "ACTION always": for how many processes it is, one unless said. The last of
 * them removes the file before it acts. The actions:
 *
 *     kill, stop   as by SIGKILL, SIGSTOP
 *     abort        with a trace
 *     spin         in a loop, for ever
 *     errno N      what comes next fails with that, where TESTPOINT_FAILS() is
 *                  asked; elsewhere, nothing
 *     park         writes a file "parked.PID.role:place", and goes on when that
 *                  is gone; or does what somebody else has written there
 *
 * Whoever wants to know which places are passed makes an empty file "passed":
 * each adds a line "role:place PID ACTION", with "-" for none.
 *
 * A file "clock" has two numbers of 64 bits, milliseconds: what clock_ms() and
 * what clock_wall() are ahead of the machine's. Who has looked once sees a
 * change at once, for it is mapped.
 */
#ifdef MAMAYO_TESTPOINTS
#define TESTPOINT(name)        ((void)testpoint(name))
#define TESTPOINT_FAILS(name)  (testpoint(name) != 0)
#define TESTPOINT_AHEAD(clock) testpoint_ahead(clock)
#define TESTPOINT_HAS_CLOCK()  testpoint_has_clock()
#else
#define TESTPOINT(name)        ((void)0)
#define TESTPOINT_FAILS(name)  0
#define TESTPOINT_AHEAD(clock) 0
#define TESTPOINT_HAS_CLOCK()  0
#endif

/* Returns an errno, which it has set, if what comes next is to fail. Keeps
 * errno otherwise. */
int testpoint(const char *name);

enum testpoint_clock { TESTPOINT_MONOTONIC, TESTPOINT_WALL, TESTPOINT_CLOCKS };

/* How many milliseconds that clock is ahead. */
int64_t testpoint_ahead(enum testpoint_clock clock);

/* Is there one that tests move? */
int testpoint_has_clock(void);

#endif
