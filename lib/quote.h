#ifndef MAMAYO_QUOTE_H
#define MAMAYO_QUOTE_H

#include <stddef.h>

/*
 * quote: a word as it is typed into a shell: for commands that people are
 * advised to run.
 */

/* As it is if nothing in it is special to a shell, else in single quotes. Free
 * it. */
char *quote_word(const char *word);

/* The same in a place of that size, which is at least 3; of a word that is too
 * long its beginning. */
void quote_into(char *out, size_t size, const char *word);

#endif
