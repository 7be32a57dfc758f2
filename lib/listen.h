#ifndef MAMAYO_LISTEN_H
#define MAMAYO_LISTEN_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/problem.h"

/*
 * listen: listening sockets of our own, and inherited ones.
 *
 * "unix:/path/to.sock" or "tcp:HOST:PORT" ("tcp:[::1]:9000"). A unix socket is
 * bound under a temporary name and renamed into place, so that a stale file is
 * replaced and nobody ever sees a socket without a listener; whatever else
 * stands there (a file, a directory, a symlink, a socket that answers) is
 * refused, with a sentence. The mode is 0600 unless asked otherwise.
 */
#define LISTEN_BACKLOG 511

/* Gives a nonblocking, close-on-exec descriptor, or -1. */
int listen_on(const char *address, mode_t mode, struct problem *);

/* One of LISTEN_FDS (sd_listen_fds(3)): descriptors from 3 on, if LISTEN_PID
 * is ours. Gives how many, at most `most`; 0 if there are none. Removes the
 * variables from the environment. */
size_t listen_inherited(int *fds, size_t most);

/* Is fd a listening stream socket? (FastCGI 1.0 §2.2: getpeername says
 * ENOTCONN; SO_ACCEPTCONN confirms.) */
int listen_is(int fd);

/*
 * A place in line at a listening socket where others wait with EPOLLEXCLUSIVE:
 * behind them, so that who polls this descriptor is woken only when nobody of
 * them is idle. listen_line() gives it, or -1 where the system has no such
 * line; listen_line_again() goes to its end, behind who has come since.
 */
int listen_line(int fd);
void listen_line_again(int line, int fd);

/*
 * Accepts, nonblocking and close-on-exec. A TCP peer that is not in
 * FCGI_WEB_SERVER_ADDRS (FastCGI 1.0 §3.2), where that is set, is closed.
 * Returns -1 with errno EAGAIN if there is none, else what accept said.
 */
int listen_accept(int fd);

/*
 * Lets nobody new in; who waits already can still be accepted, until the socket
 * is shut down. Who comes to a unix socket is refused. To one of TCP, which
 * would forget who waits if it refused, he just seems slow: the system drops
 * the opening segment (RFC 5082: nothing comes from so near), and the one that
 * sent it sends it again a second later. 0, or -1 with errno: ENOSYS where
 * there is no such rule.
 */
int listen_deafen(int fd);

#endif
