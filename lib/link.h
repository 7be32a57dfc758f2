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
 *   ready    entry, why, pure, python, files  imported; takes requests from
 *            now on. pure: why it does without the accelerator; "" if it does
 *            not, and then it knows "lend"; files: of the app's directory, that
 *            it has imported, with ":" between them
 *            a worker that is only tried (describe) says python_version,
 *            framework and framework_version, too
 *   attach   protocol (as text), and what ready has, if it is: the first
 *            message on a connection to run/sock, when its supervisor has
 *            died. The connection is its control socket from now on
 *   imported modules, files          since then. modules: that it needs of the
 *            interpreter's own library, with blanks between them; answers
 *            `tell`
 *   failed   kind, text, detail, files  cannot be started; it exits with 3
 *            next. kind: syntax module callable entry exception python; text:
 *            a sentence of advice; detail: the traceback; files: whose change
 *            may help, too
 *   lent                             it waits at the sockets now
 *   changed                          a place of "watch" has changed: it has
 *                                    returned the sockets
 *   unwanted                         Apache is behind them: it has returned
 *                                    them, and nobody should have them
 * supervisor -> worker
 *   go                               to a forked one: before this it does
 *                                    nothing
 *   environ  values {name: value}    before anything else, if it was announced
 *   tell                             what have you imported so far?
 *   log      device, inode; one descriptor: that log has been removed, this
 *            one takes its place as 1 and 2
 *   look                             receive once from the queue, nonblocking
 *   leave                            serve what is queued, then exit 0
 *   stay                             answers `attach`; or leave does
 *   retire                           exit 0, others serve what is queued
 *   lend     number, mount, program, base, public, watch [[path, seconds,
 *            nanoseconds, inode]]; two descriptors: a listening socket, whose
 *            connections it may accept, and the way back (below). Not while
 *            public is a directory, or when a path of watch is another.
 *   return                           of all of them
 *
 * fork server -> supervisor (descriptor 3 of the fork server)
 *   ready    modules, library [[path, mtime]]: takes orders from now on;
 *            how many it has imported, and what they depend on
 *   forked   id                      one descriptor: the worker's pidfd
 *   refused  id, text                that worker cannot be forked
 *   ended    id, status              as the kernel gives it
 *   replace  text                    has imported what no worker should have
 *   last     (no fields)             serves the orders it has, then leaves
 *   useless  text                    that interpreter cannot be one
 * supervisor -> fork server
 *   fork     id, directory, umask, argv; four descriptors: log, control,
 *            queue, scoreboard
 *   learn    modules                 to be imported, and remembered
 *   log      device, inode; one descriptor: as for a worker
 *   leave                            after its last worker
 *
 * responder -> supervisor (run/sock)
 *   hello    role "responder", version, protocol, id (16 hex digits: the
 *            responder of its sequence numbers), parent, parent_start
 *   queue    name                    wants the queue of that app
 *   adopt    name, generation, requests, crashes: a queue that it has kept
 *            since the last supervisor died; two descriptors: as `queue` has
 *            them. Answered by adopted or gone
 *   look                             apps/ or a group has changed
 *   active   apps {name: in flight}  has handed over requests (some times a
 *                                    second)
 *   taken    counter                 has a worker taken this request?
 *   socket   program, base           a socket that it has bound, to be lent to
 *            workers; two descriptors: it, and the end of the way back
 *   withdraw                         lends its sockets no more
 *   ping                             are you there? Answered by pong
 * supervisor -> responder
 *   routes   first, last, apps [{host, mount, name, static}], groups [path]:
 *            the table, in as many messages as it needs. static: what is
 *            served without the app, as it is tried: [address below mount,
 *            directory, ...]
 *   queue    name, generation, queue, max, timeout, queue_timeout,
 *            start_timeout, debug, ready: whether a worker runs, crashes:
 *            how many have ended that were not asked to, requests: how many
 *            those had answered that have ended; two descriptors: the send
 *            and the receive end
 *   refused  name, status, code, text: there is no queue for it now
 *   app      as queue, without descriptors: something of it has changed
 *   adopted  as app: the queue that was offered, and its workers, are ours
 *   gone     generation, serves: whether what is in that queue is served:
 *            the queue is over
 *   lent                             a worker has joined those that wait at
 *                                    the sockets, or one may not have come
 *   returned                         no worker waits there any more
 *   outdated version, protocol       you speak another protocol than the
 *            supervisor that there is, or will be in a moment: nothing more
 *            comes. Understood in all versions, as `hello` is
 *   verdict  counter, status, code, text, detail (for the owner, on the
 *            page), ended: whether the worker has (a
 *            direct answer may still be written before), wrote (enum
 *            board_wrote)
 *   taken    counter, taken
 *
 * command -> supervisor (run/sock)
 *   hello    role "command", version, protocol
 *   status                           answered by status, app ...,
 *                                    forkserver ..., end
 *   stop, start  name                an app; it is on disk already (lib/
 *                                    stopped). Answered by done, or error text
 *
 * worker -> responder (SOCK_SEQPACKET, the way back)
 *   One message per connection that is not for the worker, or that is kept:
 *   LINK_BACK_MAGIC, then the bytes that have been read from it, and the
 *   connection. An "S" in place of the last letter of the magic: a request has
 *   been answered on it.
 */
#define LINK_BACK_MAGIC  "MMYb"
#define LINK_BACK_SERVED "MMYS"
#define LINK_BACK_MOST   65536 /* bytes of the connection */

/* Another one whenever what one process says to another changes so that a
 * former one would misread it: here, in lib/wire.h or in lib/scoreboard.h. */
#define LINK_PROTOCOL     2
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
