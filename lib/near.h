#ifndef MAMAYO_NEAR_H
#define MAMAYO_NEAR_H

#include <stddef.h>

/*
 * near: words that somebody may have meant.
 */
#define NEAR_MOST 2 /* letters that may be wrong */

/* How many letters must be put in, taken out or changed to make a of the first
 * nb bytes of b (Levenshtein); more than NEAR_MOST for what differs much in
 * length. */
size_t near_edits(const char *a, const char *b, size_t nb);

#endif
