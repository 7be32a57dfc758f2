#ifndef MAMAYO_UTF8_H
#define MAMAYO_UTF8_H

#include <stddef.h>

/*
 * utf8: which bytes are text that a person may be shown.
 *
 * The bytes of the character at the front of n (at least 1); 0 if it is not
 * UTF-8 (overlong forms and surrogates are not) or is one that a terminal or a
 * reader of lines would act upon: the control characters of ASCII and Latin-1,
 * line separators, changes of direction.
 */
size_t utf8_shown(const char *text, size_t n);

#endif
