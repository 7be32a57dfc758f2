#include "config.h"

#include <assert.h>
#include <time.h>

#include "lib/clock.h"

int64_t
clock_ms(void)
{
	struct timespec t;
	int failed = clock_gettime(CLOCK_MONOTONIC, &t);

	assert(!failed);
	(void)failed;
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
