#ifndef MAMAYO_RECYCLE_H
#define MAMAYO_RECYCLE_H

#include <stddef.h>
#include <stdint.h>

/*
 * recycle: when a worker has done enough and another one is to take its place.
 * Pure.
 *
 * What is set ("max_requests", "lifetime", "memory") is the same for all
 * workers of an app; each has limits of its own, RECYCLE_SPREAD percent more or
 * less, decided once, so that those that began together do not end together.
 * One that has served nothing is as good as its successor would be, and stays.
 */
#define RECYCLE_SPREAD 10

enum recycle_why {
	RECYCLE_NOT,
	RECYCLE_REQUESTS,
	RECYCLE_LIFETIME,
	RECYCLE_MEMORY
};

struct recycle {
	uint64_t requests; /* 0 in each: no limit */
	int64_t lifetime;  /* ms */
	uint64_t memory;   /* bytes */
};

/* From the settings: requests, seconds, MiB. random: any number. */
void recycle_init(struct recycle *, int max_requests, int lifetime, int memory,
    uint32_t random);

/* When it has just become ready: a limit that it is at already would only ever
 * be in the way. Gives it up and returns 1, else 0. memory: bytes, 0 if that is
 * not known. */
int recycle_is_hopeless(struct recycle *, uint64_t memory);

/* What it has come to: requests that have ended, ms since it was ready. */
enum recycle_why recycle_look(const struct recycle *, uint64_t requests,
    int64_t lifetime, uint64_t memory);

/* "it has served 1003 requests (max_requests)" */
const char *recycle_text(enum recycle_why, uint64_t requests, int64_t lifetime,
    uint64_t memory, char *out, size_t size);

#endif
