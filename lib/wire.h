#ifndef MAMAYO_WIRE_H
#define MAMAYO_WIRE_H

#include <stddef.h>
#include <stdint.h>

/*
 * wire: the one message that carries a request from a responder to a worker.
 *
 * A queue is a SOCK_SEQPACKET socketpair; one message is one request, so the
 * kernel keeps the borders and hands each message to exactly one worker. A
 * message is a head of WIRE_HEAD bytes, then the parameters, then the body if
 * it is small. All numbers are little-endian, wherever we run. Nothing here
 * does any I/O: bytes and fields only.
 *
 * With a message travel descriptors (SCM_RIGHTS), in this order:
 *   1. the answer: a stream socket to which the worker writes FastCGI records
 *      (STDOUT ... END_REQUEST) that bear the request id of the head. With
 *      WIRE_DIRECT it is the web server's own connection, which others hold
 *      too: who ends the answer says so with shutdown(), unless the web
 *      server asked to keep the connection and the answer is whole;
 *   2. only if WIRE_SPOOL is set: a regular file without a name, at offset 0.
 *      It holds the parameters if WIRE_SPOOL_PARAMS is set (then none are in
 *      the message), and after them the whole body if the message does not
 *      carry it.
 *
 * Parameters are "name\0value\0name\0value\0", bytes, without a name twice.
 * An empty message is never sent: it would read as end-of-file.
 *
 * With WIRE_VERSION changes LINK_PROTOCOL: a request must not get to where it
 * cannot be read.
 *
 * adapters/mamayo_wsgi.py reads the same layout as HEAD = "<4sHHIHHQQQQQQ";
 * t/check_wire.c and t/1100-wire.py hold the two together.
 */

#define WIRE_MAGIC       "MMYq"
#define WIRE_VERSION     1
#define WIRE_HEAD        64           /* bytes */
#define WIRE_MOST        16384        /* a whole message, in bytes */
#define WIRE_INLINE_BODY 4096         /* a larger body goes to the spool file */
#define WIRE_PARAMS_MOST (256 * 1024) /* all parameters of a request */

enum wire_flag {
	WIRE_SPOOL = 1,        /* a second descriptor comes with the message */
	WIRE_SPOOL_PARAMS = 2, /* the parameters are at the spool's beginning */
	WIRE_SPOOL_BODY = 4,   /* the body is in the spool (after parameters) */
	WIRE_KEEP_CONN = 8,    /* the web server asked for FCGI_KEEP_CONN */
	WIRE_DIRECT = 16 /* the answer socket is the web server's connection */
};

/*
 * The head, by offset: 0 magic, 4 version u16, 6 flags u16, 8 params u32,
 * 12 request_id u16, 14 zero u16, 16 body u64, 24 responder u64,
 * 32 counter u64, 40 queued u64, 48 not_after u64, 56 zero u64.
 */
struct wire_head {
	uint16_t flags;      /* enum wire_flag */
	uint16_t request_id; /* FastCGI request id, 1 to 65535 */
	uint32_t params;     /* bytes of parameters, in message or spool */
	uint64_t body;       /* bytes of body, in message or spool */
	uint64_t responder;  /* random id of the responder ... */
	uint64_t counter; /* ... and its running number: the sequence number */
	uint64_t queued;  /* when it was queued, clock_ms() */
	uint64_t not_after; /* a worker that takes it later answers 503 */
};

/* Writes WIRE_HEAD bytes to out. */
void wire_put_head(unsigned char *out, const struct wire_head *);

/*
 * Reads a head from the n bytes of a whole message. Returns 0, or -1 if it is
 * not ours, of another version, or its sizes do not fit the message.
 */
int wire_get_head(const unsigned char *in, size_t n, struct wire_head *);

/* Of a message that may be cut after its head: only responder, counter and
 * queued are set. Returns 0, or -1. */
int wire_get_origin(const unsigned char *in, size_t n, struct wire_head *);

#endif
