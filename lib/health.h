#ifndef MAMAYO_HEALTH_H
#define MAMAYO_HEALTH_H

#include <stddef.h>
#include <stdint.h>

#include "lib/app.h"
#include "fcgi/record.h"
#include "lib/loop.h"

/*
 * health: one GET request of the supervisor's own, through the queue of a pool
 * that nobody else uses yet, and the status of its answer.
 *
 * Whoever asks has the time limit: health_end() in every case.
 */
#define HEALTH_HEADERS 8192 /* bytes in which the status must be */

struct health {
	struct watch answer; /* fd -1: nothing was asked, or it is over */
	struct loop *loop;
	/* done() is called once, when the answer is whole or broken off. */
	void (*done)(struct health *, int64_t now);
	int is_done;
	int status; /* 0: there was no whole answer */

	/* private: walking the records */
	unsigned char head[RECORD_END];
	size_t head_length, left, padding;
	int type;
	char headers[HEALTH_HEADERS + 1];
	size_t length;
};

/*
 * Asks for that path of the app ("/health?full"). The number is the request's,
 * and of nobody else. 0, or -1 with errno.
 */
int health_ask(struct health *, struct loop *, int queue, const struct app *,
    const char *path, uint64_t responder, uint64_t number, int64_t not_after);
void health_end(struct health *);

/* Takes n bytes of the answer: 1 at its end, 0 if more is to come, -1 if it is
 * no answer, or one that was cut. */
int health_take(struct health *, const unsigned char *, size_t n);

#endif
