#ifndef MAMAYO_APP_H
#define MAMAYO_APP_H

#include <stddef.h>

/*
 * app: what an application is before it runs: where it lies and where it is
 * mounted. Found by discover, used by route, pool and status.
 *
 * NAME is the path below apps/ ("blog", "tools/wiki", "@example.com/blog").
 * ROOT as the last part means the place itself: "ROOT" is mounted at "",
 * "@example.com/ROOT" at "" of that host, "tools/ROOT" at "/tools".
 */
struct app {
	char *name;      /* "tools/wiki" */
	char *host;      /* "example.com", lower case; "" for every host */
	char *mount;     /* "/tools/wiki", "" for ROOT; never ends in "/" */
	char *directory; /* absolute path */
	char *refused;   /* NULL, or the sentence why it is not served
			    (writable by others, symlink that leaves apps/) */
};

void app_init(struct app *); /* all NULL */
void app_release(struct app *);

/* Fills name, host, mount and directory from a NAME below apps. */
void app_set(struct app *, const char *apps_directory, const char *name);

/* The name of a file that is about it and no other, without directory:
 * "tools:wiki" for tools/wiki, "a%3Ab" for a:b, and what comes behind, for
 * instance ".log". Free it. */
char *app_file_name(const char *name, const char *suffix);
char *app_log_name(const char *name);

#endif
