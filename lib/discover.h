#ifndef MAMAYO_DISCOVER_H
#define MAMAYO_DISCOVER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/app.h"
#include "lib/problem.h"

/*
 * discover: a directory -> applications, and the reasons why others are not.
 *
 * A directory is an app when it holds a file by which an app is known:
 * mamayo.json, Procfile, application.py, application.wsgi, passenger_wsgi.py,
 * wsgi.py, *.wsgi, manage.py, app.py, main.py, production.ini,
 * development.ini. Only a directory that holds nothing but directories is a
 * group and is looked into, at most DISCOVER_DEPTH levels below apps/. Names
 * that start with "." or "_", directories with a pyvenv.cfg, node_modules and
 * __pycache__ are never looked into, nor is public, but directly below apps/.
 * "@host" directories directly below apps/ are always groups. Apps do not nest.
 *
 * An app that was known stays an app while its directory exists (so a deploy
 * that lacks a file for a second changes nothing): pass the earlier result.
 * An app directory writable by others (or below a directory that is), or a
 * symlink that leaves apps/ (unless that is wanted), is listed with `refused`
 * set; so is the second of two that have the same host and mount.
 */
#define DISCOVER_DEPTH     4
#define DISCOVER_APPS_MOST 1000

struct discovery {
	int follows_links; /* set before discover() where code may lie
			      elsewhere */
	struct app *apps;  /* sorted by name */
	size_t napps;
	char **groups; /* absolute paths whose change may change what is
			  found, apps/ first: groups, what may become an app */
	size_t ngroups;
	char **remarks; /* sentences for the log: what was passed over, why */
	size_t nremarks;
};

void discovery_init(struct discovery *);
void discovery_release(struct discovery *);

/* Is that directory an application, wherever it lies? By a mamayo.json alone it
 * might be a root directory, too: that does not count. */
int discover_is_app(const char *directory);

/* May an application have that NAME? 0, or -1 with a sentence. */
int discover_name(const char *name, struct problem *);

/*
 * Looks again. `out` may hold an earlier result, which is replaced. Returns
 * 0, or -1 (apps/ cannot be read) with the reason and `out` as it was.
 */
int discover(
    const char *apps_directory, struct discovery *out, struct problem *);

/*
 * A number that changes when one of the directories is changed (mtime with
 * nanoseconds, inode, mode): what a responder compares at most once a second.
 * It changes once more some seconds after a change, since two changes may have
 * been given the same time.
 */
uint64_t discover_stamp(char *const *groups, size_t ngroups);

#endif
