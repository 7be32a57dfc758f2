#include "config.h"

#include <stdio.h>

#include "lib/recycle.h"

#define MEBIBYTE ((uint64_t)1024 * 1024)
#define MILLION  1000000
#define SPREAD   ((uint64_t)RECYCLE_SPREAD * (MILLION / 100))

/* 0 stays 0, and nothing else becomes it. */
static uint64_t
recycle_spread(int set, uint64_t unit, uint32_t random)
{
	uint64_t parts = MILLION - SPREAD + (random * (2 * SPREAD + 1) >> 32);
	uint64_t limit;

	if (set <= 0)
		return 0;
	limit = (uint64_t)set * unit * parts / MILLION;
	return limit != 0 ? limit : 1;
}

void
recycle_init(struct recycle *r, int max_requests, int lifetime, int memory,
    uint32_t random)
{
	r->requests = recycle_spread(max_requests, 1, random);
	r->lifetime = (int64_t)recycle_spread(lifetime, 1000, random);
	r->memory = recycle_spread(memory, MEBIBYTE, random);
}

int
recycle_is_hopeless(struct recycle *r, uint64_t memory)
{
	if (r->memory == 0 || memory < r->memory)
		return 0;
	r->memory = 0;
	return 1;
}

enum recycle_why
recycle_look(const struct recycle *r, uint64_t requests, int64_t lifetime,
    uint64_t memory)
{
	if (requests == 0)
		return RECYCLE_NOT;
	if (r->requests != 0 && requests >= r->requests)
		return RECYCLE_REQUESTS;
	if (r->lifetime != 0 && lifetime >= r->lifetime)
		return RECYCLE_LIFETIME;
	if (r->memory != 0 && memory >= r->memory)
		return RECYCLE_MEMORY;
	return RECYCLE_NOT;
}

const char *
recycle_text(enum recycle_why why, uint64_t requests, int64_t lifetime,
    uint64_t memory, char *out, size_t size)
{
	*out = '\0';
	if (why == RECYCLE_REQUESTS)
		snprintf(out, size,
		    "it has served %llu requests "
		    "(max_requests)",
		    (unsigned long long)requests);
	else if (why == RECYCLE_LIFETIME)
		snprintf(out, size, "it has run for %lld seconds (lifetime)",
		    (long long)(lifetime / 1000));
	else if (why == RECYCLE_MEMORY)
		snprintf(out, size, "it has %llu MB in memory (memory)",
		    (unsigned long long)(memory / MEBIBYTE));
	return out;
}
