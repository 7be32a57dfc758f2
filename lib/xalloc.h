#ifndef MAMAYO_XALLOC_H
#define MAMAYO_XALLOC_H

#include <stddef.h>

/*
 * xalloc: allocation that cannot fail, for our own small structs and names.
 *
 * Never for a size that a peer chose: those use malloc and refuse. When memory
 * is gone the process dies with a message. The caller frees with free().
 */
void *xcalloc(size_t count, size_t size); /* zeroed; checks the product */
void *xrealloc(void *, size_t count, size_t size);
char *xstrdup(const char *);
char *xstrdup_or_null(const char *); /* NULL of NULL */
char *xstrndup(const char *, size_t most);
/* A vector of strings that ends with NULL, and its strings; NULL is none. */
char **xstrvdup(const char *const *);
void xstrvfree(char **);
char *xprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
