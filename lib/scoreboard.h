#ifndef MAMAYO_SCOREBOARD_H
#define MAMAYO_SCOREBOARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/problem.h"

/*
 * scoreboard: what one worker says about itself, in a page of a file.
 *
 * run/workers/GENERATION.PID, one page per worker, allocated before it is
 * mapped (a sparse page on a full disk would be a SIGBUS). The worker maps it
 * and writes 64-bit words; writing costs it no system call. The supervisor
 * never maps it, it reads with pread(): a worker that truncates its file hurts
 * only itself. Whatever is read is a claim by the application's process: it is
 * shown and compared, never trusted as a length, a path or a pid to kill.
 *
 * The page is an array of 64-bit words in the machine's own byte order,
 * followed by text. adapters/mamayo_wsgi.py has the same numbers;
 * t/check_scoreboard.c and t/1110-scoreboard.py hold them together.
 */

#define SCOREBOARD_SIZE     4096
#define SCOREBOARD_MAGIC    UINT64_C(0x31626d796f79616d)
#define SCOREBOARD_URL_AT   1024 /* byte offset of the current URL's path */
#define SCOREBOARD_URL_MOST 512  /* bytes, shorter ones end with NUL */

enum scoreboard_word {
	BOARD_MAGIC,     /* SCOREBOARD_MAGIC, written by the supervisor */
	BOARD_STATE,     /* enum board_state */
	BOARD_RESPONDER, /* sequence number of the request at hand ... */
	BOARD_COUNTER,   /* ... 0 when idle */
	BOARD_STARTED,   /* when it was taken, clock_ms(); when idle: since when
			  */
	BOARD_PROGRESS,  /* when the worker last wrote a part of the answer */
	BOARD_WROTE,     /* enum board_wrote, set before the first write */
	BOARD_REQUESTS,  /* requests ended */
	BOARD_BYTES,     /* bytes of answer bodies */
	BOARD_STATUS,    /* 5 words: answers 1xx, 2xx, 3xx, 4xx, 5xx */
	BOARD_LATENCY = BOARD_STATUS + 5, /* 16 words: requests that took less
			    than 2^i ms (the last: all longer ones) */
	BOARD_CONNECTION = BOARD_LATENCY + 16, /* of a request that the worker
			    has accepted itself (then BOARD_RESPONDER is 0): its
			    descriptor's number there */
	BOARD_REQUEST_ID, /* of that: FastCGI's, + 65536 if the method is HEAD
			   */
	BOARD_WORDS
};

enum board_state {
	BOARD_STARTING, /* importing the application */
	BOARD_IDLE,     /* waiting for a request */
	BOARD_BUSY,     /* in the application, or computing the answer */
	BOARD_SENDING,  /* in a write that may wait for a slow client */
	BOARD_DRAINING  /* takes what is queued, then leaves */
};

/* How much of the answer the web server may have seen. */
enum board_wrote {
	BOARD_NOTHING, /* not a byte */
	BOARD_PARTS,   /* a write has begun: perhaps a part of a record */
	BOARD_RECORDS, /* whole records */
	BOARD_ALL      /* END_REQUEST, too */
};

struct board {
	uint64_t word[BOARD_WORDS];
	char url[SCOREBOARD_URL_MOST + 1]; /* always terminated */
};

/*
 * Makes an allocated page below the directory dir_fd under a temporary name.
 * Gives a close-on-exec descriptor, or -1 with the reason.
 */
int scoreboard_new(int dir_fd, const char *name, struct problem *);

/* Reads a page. Returns 0, or -1 if it is too short or not ours. */
int scoreboard_read(int fd, struct board *);

#endif
