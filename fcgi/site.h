#ifndef MAMAYO_SITE_H
#define MAMAYO_SITE_H

#include <stddef.h>

#include "lib/account.h"
#include "lib/problem.h"

/*
 * site: a web server's side of mamayo: what lies in a document root, and what
 * an administrator has to add.
 */
struct site {
	const struct account *account; /* borrowed */
	char *path; /* the document root, absolute; NULL: none */
	int fd;     /* that, or -1 */
	int lock;   /* held: nobody else installs meanwhile */
};

/* One kind of web server: both say on standard output what they have done, and
 * return 0, or -1 with the reason, and all is as it was. */
struct site_kind {
	const char *name;
	int (*install)(const struct site *, struct problem *);
	int (*uninstall)(const struct site *, struct problem *);
	int has_no_docroot; /* nothing of ours is in one: none is named */
};

extern const struct site_kind site_apache, site_apache_proxy, site_lighttpd,
    site_nginx;

const struct site_kind *site_kind(const char *name); /* NULL: there is none */

#define SITE_PROGRAM "mamayo.fcgi"

/* 0, or -1 with the reason: it is not there, or not the user's own. NULL: none
 * is needed. */
int site_open(struct site *, const struct account *, const char *directory,
    struct problem *);
void site_close(struct site *);

/* Puts a copy of this program there, with the mode that suexec wants, or
 * removes it; path: of that directory, for what they say on standard output. 0,
 * also if there is nothing to do, or -1 with the reason. */
int site_put_program(int at, const char *path, struct problem *);
int site_remove_program(int at, const char *path, struct problem *);

/* An example that the program carries, without the comment at its head. Free
 * it. */
char *site_example(const char *name);
/* The same, where pairs[0] gives way to pairs[1] and so on; NULL ends them.
 * Of those that begin at the same place the first counts. */
char *site_example_with(const char *name, const char *const *pairs);

/* The arguments of install and uninstall, and calls. */
struct command;
int site_command(const struct command *, int argc, char **argv,
    int (*call)(
	const struct site_kind *, const struct site *, struct problem *));

#endif
