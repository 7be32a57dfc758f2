#ifndef MAMAYO_STATIC_H
#define MAMAYO_STATIC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fcgi/conn.h"
#include "lib/route.h"
#include "lib/url.h"

/*
 * static: files of an application that are answered without it: of its
 * directory public/, at its mount, and of what "static" in its mamayo.json
 * names.
 *
 * A file is there to be served if it is a regular one below such a directory,
 * and no part of its path begins with ".". Links are followed as long as they
 * do not lead out of that directory. What is not there is for the application,
 * and so is every method but GET and HEAD. What is there and must not be served
 * (a link that leads out, a device, a file that cannot be read) is not found.
 * A directory is its index.html.
 *
 * Where the web server has been told to (MAMAYO_SENDFILE), it sends the file:
 *
 *     x-sendfile        the header X-Sendfile, with the path
 *     x-accel:/prefix/  X-Accel-Redirect: /prefix/ and the path below apps/
 *     local:PREFIX      Location: where Apache has a file of public/ itself
 *                       (fcgi/local)
 *
 * Paths are encoded as in an address. It is told only of files to which no link
 * leads, so that it need follow none.
 *
 * A file that is open is sent as it is then, also when its name has gone to
 * another one. It is read in pieces, STATIC_TURN bytes in a turn of the loop,
 * and one that becomes shorter meanwhile is cut.
 */
#define STATIC_TURN  (256 * 1024)
#define STATIC_INDEX "index.html"

enum static_found {
	STATIC_NONE,    /* for the application */
	STATIC_FILE,    /* fd, stat and type are set */
	STATIC_MOVED,   /* a directory without its slash: location is set */
	STATIC_REFUSED, /* not to be served: why is set */
	STATIC_SHORT_OF /* memory or descriptors */
};

struct static_file {
	int fd; /* -1: none */
	struct stat stat;
	const char *type; /* for ever */
	char *location;   /* owned; or NULL */
	char *path;       /* below apps: "blog/public/x.css"; owned */
	size_t own;       /* where in that the part below the place begins */
	int is_public;    /* the place is public/ */
	char why[256];
};

/* apps: the directory of all of them. Release what it finds, or send it. */
enum static_found static_find(struct static_file *, const char *apps,
    const struct route *, const struct url *, const struct params *);
void static_release(struct static_file *);

/* Lets the web server send it, releasing it: 1 if so, and then it may have
 * called gone(); 0 if how (MAMAYO_SENDFILE; or NULL) does not say so. */
int static_hand_over(struct conn *, struct static_file *, const char *apps,
    const char *how, int64_t now);

/*
 * Answers with it, releasing it. The conn's `sender` is set until the answer
 * is whole; with that its owner calls static_pump() when there is room again,
 * and static_free() if the conn goes before. May call gone(): last use.
 */
void static_send(struct conn *, struct static_file *, int64_t now);
void static_move(struct conn *, struct static_file *, int64_t now);
void static_pump(struct conn *, int64_t now);
void static_free(struct conn *);

#endif
