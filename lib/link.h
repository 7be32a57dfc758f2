#ifndef MAMAYO_LINK_H
#define MAMAYO_LINK_H

#include <jansson.h>
#include <stddef.h>

/*
 * link: a SOCK_SEQPACKET connection on which JSON messages travel, with
 * descriptors. Rare messages only; requests go over queues (lib/wire.h).
 *
 * Every message is one JSON object with "type".
 *
 * worker -> supervisor (descriptor 3 of the worker)
 *   ready    entry, why              imported; takes requests from now on
 *   failed   kind, text, detail      cannot be started; it exits with 3 next.
 *            kind: syntax module callable entry exception python; text: a
 *            sentence of advice; detail: the traceback
 * supervisor -> worker
 *   environ  values {name: value}    before anything else, if it was announced
 *   look                             receive once from the queue, nonblocking
 *   leave                            serve what is queued, then exit 0
 *
 * responder -> supervisor (run/sock)
 *   hello    role "responder", version, protocol, id (16 hex digits: the
 *            responder of its sequence numbers), parent, parent_start
 *   queue    name                    wants the queue of that app
 *   look                             apps/ or a group has changed
 *   active   apps {name: in flight}  has handed over requests (some times a
 *                                    second)
 *   taken    counter                 has a worker taken this request?
 * supervisor -> responder
 *   routes   first, last, apps [{host, mount, name}], groups [path]: the
 *            table, in as many messages as it needs
 *   queue    name, generation, queue, max, timeout, queue_timeout,
 *            start_timeout, ready: whether a worker runs, crashes: how many
 *            have ended that were not asked to; two descriptors: the send and
 *            the receive end
 *   refused  name, status, code, text: there is no queue for it now
 *   app      as queue, without descriptors: something of it has changed
 *   gone     generation              that queue is over
 *   verdict  counter, status, code, text, ended: whether the worker has (a
 *            direct answer may still be written before), wrote (enum
 *            board_wrote)
 *   taken    counter, taken
 *
 * command -> supervisor (run/sock)
 *   hello    role "command", version, protocol
 *   status                           answered by status, app ..., end
 */
#define LINK_PROTOCOL     1
#define LINK_MESSAGE_MOST 65536 /* bytes of JSON */

/*
 * Sends a message; takes the reference, also when it fails. Never waits: -1
 * with errno (EAGAIN, EPIPE, EMSGSIZE ...).
 */
int link_send(int fd, json_t *message, const int *fds, size_t nfds);

/*
 * Takes one message. Returns 1 and gives *message (and *nfds descriptors, at
 * most the *nfds asked for), 0 if there is none now, -1 at end-of-file or when
 * the peer does not speak our language (errno EPROTO).
 */
int link_recv(int fd, json_t **message, int *fds, size_t *nfds);

/* Fields of a message; a default where it is missing or of another type. */
const char *link_string(const json_t *, const char *key); /* "" */
json_int_t link_int(const json_t *, const char *key);     /* 0 */
int link_true(const json_t *, const char *key);           /* 0 */

#endif
