#include "config.h"

#include <assert.h>

#include "lib/clock.h"
#include "lib/testpoint.h"

#define CLOCK_MOVED_SLEEP 5 /* ms, where tests move it */

static struct timespec
clock_get(clockid_t which)
{
	struct timespec t;
	int failed = clock_gettime(which, &t);

	assert(!failed);
	(void)failed;
	return t;
}

int64_t
clock_ms(void)
{
	struct timespec t = clock_get(CLOCK_MONOTONIC);

	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 +
	       TESTPOINT_AHEAD(TESTPOINT_MONOTONIC);
}

struct timespec
clock_wall(void)
{
	struct timespec t = clock_get(CLOCK_REALTIME);

	t.tv_sec += (time_t)(TESTPOINT_AHEAD(TESTPOINT_WALL) / 1000);
	return t;
}

int
clock_sleep(int ms)
{
	return TESTPOINT_HAS_CLOCK() && (ms == -1 || ms > CLOCK_MOVED_SLEEP)
		   ? CLOCK_MOVED_SLEEP
		   : ms;
}
