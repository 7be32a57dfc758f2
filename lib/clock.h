#ifndef MAMAYO_CLOCK_H
#define MAMAYO_CLOCK_H

#include <stdint.h>

/* clock: milliseconds that never go back (CLOCK_MONOTONIC), the same in every
 * process of the machine, so that they may travel in messages and boards. */
int64_t clock_ms(void);

#endif
