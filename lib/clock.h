#ifndef MAMAYO_CLOCK_H
#define MAMAYO_CLOCK_H

#include <stdint.h>
#include <time.h>

/* clock: what the time is. In a build with test points, tests can move it. */

/* Milliseconds that never go back (CLOCK_MONOTONIC), the same in every process
 * of the machine, so that they may travel in messages and boards. */
int64_t clock_ms(void);

/* The time of day. */
struct timespec clock_wall(void);

/* How long to sleep at most, of so many milliseconds, to see in time that the
 * clock was moved: all of them where it cannot be. -1 is for ever. */
int clock_sleep(int ms);

#endif
