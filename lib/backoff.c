#include "config.h"

#include "lib/backoff.h"

int64_t
backoff_ms(unsigned failures, int64_t ready_ms, uint32_t random)
{
	int64_t wait = BACKOFF_FIRST_MS;

	if (failures == 0 || ready_ms >= BACKOFF_READY_MS)
		return 0;
	while (--failures > 0 && wait < BACKOFF_MOST_MS)
		wait *= 2;
	if (wait > BACKOFF_MOST_MS)
		wait = BACKOFF_MOST_MS;
	return wait + (int64_t)((uint64_t)random * (uint64_t)(wait / 4) >> 32);
}
