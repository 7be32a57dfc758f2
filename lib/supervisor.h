#ifndef MAMAYO_SUPERVISOR_H
#define MAMAYO_SUPERVISOR_H

/*
 * supervisor: apps, pools and responders: the control plane of an account. It
 * is not on the request path: while it is being replaced, responders and
 * workers go on.
 *
 * It appears with the first responder that finds none, and leaves by itself:
 * `linger` seconds after its last worker while a web server lives, and, once
 * no responder and no web server of theirs is alive for `grace` seconds, after
 * the requests in flight have ended.
 */
#define SUPERVISOR_TICK       1000 /* ms between looks at its own lease */
#define SUPERVISOR_PEERS_MOST 1024 /* responders and commands connected */
#define SUPERVISOR_HELLO      1000 /* ms for a peer to say who it is */
#define SUPERVISOR_EXPECTS    1000 /* ms in which one of its version comes */
#define SUPERVISOR_MISSING    2000 /* ms an app's directory may be away */

/*
 * To be run in a forked copy of a responder (with no loop and no children of
 * its own any more): lets go of every descriptor, makes a session, tries to
 * take the lease for that root directory, and serves if it gets it. Descriptor
 * 0 it keeps until that is decided, so that whoever forked it can wait for the
 * end of a pipe. Returns the exit status; also when somebody else has the
 * lease.
 */
int supervisor_candidate(char *root);

#endif
