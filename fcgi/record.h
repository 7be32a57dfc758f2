#ifndef MAMAYO_RECORD_H
#define MAMAYO_RECORD_H

#include <stddef.h>
#include <stdint.h>

/*
 * record: FastCGI records and name-value pairs. Bytes only, no I/O, bounded.
 *
 * The protocol's numbers come from libfcgi's <fastcgi.h>. A parser takes a
 * span and returns the bytes it used, 0 for "more are needed", -1 for "never":
 * it holds no state and allocates nothing. (FastCGI 1.0 §3.3, §3.4.)
 */
#define RECORD_HEAD         8
#define RECORD_CONTENT_MOST 65535

struct record {
	int type;            /* FCGI_BEGIN_REQUEST ... */
	uint16_t request_id; /* 0: a management record */
	uint16_t length;     /* bytes of content */
	uint8_t padding;     /* bytes after the content */
	const unsigned char
	    *content; /* borrowed from the span; record_take() only */
};

/* Only the head: how much follows. Uses RECORD_HEAD bytes; -1 if the version
 * is not 1. */
long record_head(const unsigned char *in, size_t n, struct record *);

/* One whole record with its padding. */
long record_take(const unsigned char *in, size_t n, struct record *);

/* Writes a head to out (RECORD_HEAD bytes). */
void record_put_head(unsigned char *out, int type, uint16_t id, uint16_t length,
    uint8_t padding);

/* Writes a whole END_REQUEST record, RECORD_END bytes (§5.5). */
#define RECORD_END 16
void record_put_end(
    unsigned char *out, uint16_t id, uint32_t app_status, int protocol_status);

/*
 * One name-value pair from n bytes of a PARAMS or GET_VALUES stream. Lengths
 * of one and four bytes in every combination; lengths whose sum passes `most`
 * are -1 at once, before anything is waited for or allocated.
 */
struct pair {
	const unsigned char *name, *value; /* borrowed from the span */
	size_t name_length, value_length;
};
long record_pair(const unsigned char *in, size_t n, size_t most, struct pair *);

/*
 * The whole answer (record with padding none) to a GET_VALUES record: known
 * names only, each once, in the order FCGI_MAX_CONNS, FCGI_MAX_REQS,
 * FCGI_MPXS_CONNS. Returns its length (at most RECORD_VALUES_MOST), or -1 if
 * the content is malformed.
 */
#define RECORD_VALUES_MOST 96
long record_values_answer(const unsigned char *content, size_t n,
    unsigned max_conns, unsigned char *out);

#endif
