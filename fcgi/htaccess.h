#ifndef MAMAYO_HTACCESS_H
#define MAMAYO_HTACCESS_H

#include "lib/problem.h"

/*
 * htaccess: our part of an .htaccess, between two lines that mark it, and the
 * rest, which stays as it is.
 */
#define HTACCESS_BEGIN "# BEGIN mamayo"
#define HTACCESS_END   "# END mamayo"

/* Both give the text that is to be there then; free it. NULL with the reason,
 * which follows a file's name: one of the marks is alone. Whole lines. */
char *htaccess_put(const char *text, const char *part, struct problem *);
char *htaccess_take(const char *text, struct problem *);

/* Has it our part? */
int htaccess_has(const char *text);

#endif
