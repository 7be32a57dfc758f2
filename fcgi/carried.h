#ifndef MAMAYO_CARRIED_H
#define MAMAYO_CARRIED_H

#include <stddef.h>

/*
 * carried: examples that the program carries: what `mamayo new` and `mamayo
 * install` write. Made by build-aux/embed.sh.
 */
struct carried {
	const char *name; /* "new/flask/app.py"; NULL ends the table */
	const unsigned char *text;
	size_t length;
};

extern const struct carried carried[];

#endif
