#ifndef MAMAYO_REPLY_H
#define MAMAYO_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/page.h"

/*
 * reply: a page as the whole FastCGI answer to one request: STDOUT records,
 * the empty one that ends the stream, END_REQUEST.
 *
 * Gives malloced bytes, NULL without memory. A title that is NULL becomes the
 * status's usual words.
 */
unsigned char *reply_make(
    const struct page *, uint16_t request_id, size_t *length);

#endif
