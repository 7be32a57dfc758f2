#ifndef MAMAYO_LOCAL_H
#define MAMAYO_LOCAL_H

#include <stddef.h>
#include <sys/stat.h>

#include "lib/params.h"

/*
 * local: the address at which Apache has a file of an application's public/
 * itself, by a link to that directory (MAMAYO_SENDFILE=local:PREFIX).
 *
 * PREFIX is a directory of links: below DOCUMENT_ROOT if it begins with "/",
 * else beside mamayo.fcgi. There an application's name has ":" for each "/". In
 * a directory that "mamayo install" has made (it has an .htaccess) a link that
 * is missing is made.
 *
 * A redirect costs Apache more than passing on what is short. And Apache does
 * more with a file than sending it. It looks for handlers, codings
 * and languages by each part of its name (mod_mime), obeys an .htaccess in any
 * directory on the way, and reads only what others may read. Of a file where
 * that could matter there is no address, nor where the web server is another
 * one: that we send ourselves.
 */
#define LOCAL_FILES "mamayo-files" /* the directory that install makes */
#define LOCAL_RULES ".htaccess"
#define LOCAL_LEAST (256 * 1024) /* bytes that are worth it */

struct local_file {
	const char *real; /* its path, absolute and without links */
	size_t app, own;  /* where in that the application's name begins, and
			   * the path below its public/ */
	const char *type; /* its Content-Type */
	const struct stat *stat;
};

/* Free it. NULL: none, or no memory. */
char *local_address(
    const struct params *, const char *prefix, const struct local_file *);

#endif
