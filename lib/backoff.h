#ifndef MAMAYO_BACKOFF_H
#define MAMAYO_BACKOFF_H

#include <stdint.h>

/*
 * backoff: how long to wait before trying again. Pure.
 *
 * At once if what failed had been ready for BACKOFF_READY_MS; else 1, 2, 4 ...
 * seconds, at most 60, plus up to a quarter of jitter (R-SUP3).
 */
#define BACKOFF_READY_MS   1000
#define BACKOFF_FIRST_MS   1000
#define BACKOFF_MOST_MS    60000
#define BACKOFF_LONGEST_MS (BACKOFF_MOST_MS + BACKOFF_MOST_MS / 4)

/* failures: how many in a row, this one included (0: none yet, no wait).
 * ready_ms: how long it had been ready, -1 if never. random: any number. */
int64_t backoff_ms(unsigned failures, int64_t ready_ms, uint32_t random);

#endif
