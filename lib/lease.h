#ifndef MAMAYO_LEASE_H
#define MAMAYO_LEASE_H

#include <sys/stat.h>
#include <sys/types.h>

#include "lib/problem.h"

/*
 * lease: who supervises, and how to reach it: run/lock and run/sock.
 *
 * The lock is a process-owned fcntl lock, taken by the supervisor itself: a
 * flock would live on in any child that inherited it, and keep a dead
 * supervisor's place for ever. The lock file is opened once and never again
 * (closing any descriptor of it drops the lock). Files get removed by
 * cleaners, and a second candidate could lock the new file: so what is locked
 * is compared with what stands at the path.
 */
struct lease {
	char *lock_path, *sock_path;
	int lock;     /* -1: not held */
	int listener; /* SOCK_SEQPACKET, nonblocking; -1: none */
	dev_t sock_device;
	ino_t sock_inode; /* what we bound, so that we remove only that */
};

void lease_init(struct lease *, const char *run_directory);

/* Returns 1 when we are the supervisor now, 0 when somebody else is, -1 when
 * the directory cannot be used, with the reason: LEASE_UNFIT if that is its
 * file system, which has no locks or no sockets, as over a network. */
#define LEASE_UNFIT (-2)
int lease_take(struct lease *, struct problem *);

/* Is the file that we have locked still the one at the path, and our socket
 * still there? (A socket alone that is gone is bound again.) */
int lease_holds(struct lease *);

/* Removes the socket, gives up the lock, frees. In this order: who comes next
 * finds neither or both. */
void lease_release(struct lease *);

/* The process that holds the lock; 0 if none does, or it cannot be told. */
pid_t lease_holder(const char *run_directory);

/* Connects to whoever supervises. Gives a descriptor, or -1 with errno
 * (ENOENT, ECONNREFUSED: nobody is there; EAGAIN: it is busy; EPERM: whoever
 * listens is another user). */
int lease_connect(const char *run_directory);

#endif
