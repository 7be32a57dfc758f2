#ifndef MAMAYO_RESPONDER_H
#define MAMAYO_RESPONDER_H

#include <stddef.h>

#include "lib/account.h"

/*
 * responder: the process that the web server spawns, or that `mamayo listen`
 * is: listening sockets, connections, routes, and one link to the supervisor.
 *
 * It answers by itself what needs no app: 404, the welcome page while there is
 * no app at all, 503 when a queue is full, 502 and 504 on a verdict. Where no
 * supervisor is found it forks a candidate. On SIGTERM it takes no more
 * connections, and what is unfinished is carried on by a forked child, so that
 * nothing is cut (R-PROC3). So it is when the supervisor is of another version,
 * for then we are to be that one, too (fcgi/renew).
 */
#define RESPONDER_CONNS_MOST     8192   /* connections at once */
#define RESPONDER_IDLE_TIMEOUT   300000 /* ms a kept connection may be silent */
#define RESPONDER_HEARTBEAT      15000  /* ms of silence, behind Apache */
#define RESPONDER_LISTENERS_MOST 8

struct responder_spec {
	struct account *account; /* opened; borrowed */
	const char *program;     /* our file name: "mamayo.fcgi" */
	const char *path;        /* argv[0] */
	int listener[RESPONDER_LISTENERS_MOST];
	size_t nlisteners;
	size_t ninherited; /* so many of them others have bound, and hold */
	int is_own; /* we bound or were lent the sockets: we are the server */
	void (*stopped)(void); /* told once no more is accepted; or NULL */
};

/* Serves until it is asked to stop. Returns the exit status. */
int responder_run(const struct responder_spec *);

#endif
