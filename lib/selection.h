#ifndef MAMAYO_SELECTION_H
#define MAMAYO_SELECTION_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * selection: what of a file a GET or HEAD request wants: conditions and ranges
 * as RFC 9110 has them. Pure.
 *
 * One range is given; several in one request are none, so that the whole file
 * is the answer, which is allowed. What cannot be understood is not there.
 */
#define SELECTION_ETAG 64 /* bytes, of what selection_etag() makes */
#define SELECTION_DATE 32

/* As they came; NULL: not sent. */
struct selection_request {
	const char *if_match, *if_none_match;
	const char *if_modified_since, *if_unmodified_since;
	const char *range, *if_range; /* both NULL with HEAD */
};

struct selection_file {
	uint64_t size;
	time_t modified;
	const char *etag;
};

struct selection {
	int status; /* 200, 206, 304, 412 or 416 */
	uint64_t first, length;
};

struct selection selection_of(
    const struct selection_request *, const struct selection_file *);

/* An entity tag. It is weak, good for conditions but not for ranges, while a
 * further change could still bear the same time. */
void selection_etag(char out[SELECTION_ETAG], uint64_t size,
    const struct timespec *modified, const struct timespec *now);

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
void selection_date(char out[SELECTION_DATE], time_t);

#endif
