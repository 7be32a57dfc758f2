#ifndef MAMAYO_CARRIED_H
#define MAMAYO_CARRIED_H

#include <stddef.h>

/*
 * carried: files that the program carries. Their tables are made by
 * build-aux/embed.sh; an entry without a name ends them.
 */
struct carried {
	const char *name;
	const unsigned char *text; /* and a NUL behind it */
	size_t length;
};

/* For the applications' own Python: "mamayo_wsgi.py". */
extern const struct carried adapters[];
/* What `mamayo new` and `mamayo install` write: "new/flask/app.py", as it lies
 * below examples/. */
extern const struct carried examples[];

#endif
