#ifndef MAMAYO_RELAY_H
#define MAMAYO_RELAY_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/buf.h"

/*
 * relay: bytes go from one stream socket to another without being copied
 * through us: splice(2), by way of a pipe that is empty between two calls.
 * Elsewhere than on Linux, and without two free descriptors, nothing is moved:
 * everything that can be relayed can also be read and written.
 */
#define RELAY_PIPE (256 * 1024) /* bytes, asked for; the system lets less */

/*
 * Moves at most n bytes, without waiting. What to does not take goes into
 * rest, which must be empty and have room for n. Returns how many have been
 * taken from from; 0: none, so read it to learn why; -1: to takes no more, or
 * there is no memory for the rest.
 */
ssize_t relay(int from, int to, size_t n, struct buf *rest);

#endif
