#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/beneath.h"
#include "lib/fd.h"

struct walk {
	int place[BENEATH_DEPTH + 1]; /* [0] is not ours */
	int depth, links;
	char *rest; /* what is still to be walked, in ... */
	char path[BENEATH_PATH];
};

static int
walk_enter(struct walk *w, int fd)
{
	if (w->depth == BENEATH_DEPTH) {
		fd_close(&fd);
		errno = ENAMETOOLONG;
		return -1;
	}
	w->place[++w->depth] = fd;
	return 0;
}

static int
walk_climb(struct walk *w)
{
	if (w->depth == 0) {
		errno = EXDEV;
		return -1;
	}
	fd_close(&w->place[w->depth--]);
	return 0;
}

/*
 * The part could not be opened, as errno says. If it is a link, what it says
 * takes its place in front of the rest: 0. Otherwise -1 with errno.
 */
static int
walk_link(struct walk *w, const char *part, int is_last)
{
	char made[BENEATH_PATH];
	size_t left = strlen(w->rest);
	int why = errno;
	ssize_t n;

	n = readlinkat(w->place[w->depth], part, made, sizeof made - 1);
	if (n == -1)
		errno = why;
	else if (++w->links > BENEATH_LINKS)
		errno = ELOOP;
	else if (n == 0 || made[0] == '/')
		errno = EXDEV;
	else if ((size_t)n + 1 + left >= sizeof made)
		errno = ENAMETOOLONG;
	else {
		if (!is_last)
			made[n++] = '/';
		memcpy(made + n, w->rest, left + 1);
		memcpy(w->path, made, (size_t)n + left + 1);
		w->rest = w->path;
		return 0;
	}
	return -1;
}

/* One part of the path. 0: go on; 1: *fd is what it names; -1 with errno. */
static int
walk_step(struct walk *w, int flags, int *fd)
{
	char *part = w->rest;
	int is_last, here;

	w->rest += strcspn(part, "/");
	is_last = *w->rest == '\0';
	while (*w->rest == '/')
		*w->rest++ = '\0';
	if (strcmp(part, "..") == 0 && walk_climb(w) == -1)
		return -1;
	here = w->place[w->depth];
	if (*part == '\0' || strcmp(part, ".") == 0 ||
	    strcmp(part, "..") == 0) {
		if (*w->rest != '\0')
			return 0;
		*fd = openat(here, ".", flags | O_CLOEXEC);
		return *fd == -1 ? -1 : 1;
	}
	*fd = openat(here, part,
	    (is_last ? flags : BENEATH_PLACE) | O_NOFOLLOW | O_CLOEXEC);
	if (*fd == -1)
		return walk_link(w, part, is_last);
	return is_last ? 1 : walk_enter(w, *fd);
}

int
beneath_open(int directory, const char *path, int flags)
{
	struct walk w;
	int fd = -1, result = 0;

	if (strlen(path) >= sizeof w.path || *path == '/') {
		errno = *path == '/' ? EXDEV : ENAMETOOLONG;
		return -1;
	}
	w.place[0] = directory;
	w.depth = w.links = 0;
	memcpy(w.path, path, strlen(path) + 1);
	w.rest = w.path;
	while (result == 0)
		result = walk_step(&w, flags, &fd);
	while (w.depth > 0)
		fd_close(&w.place[w.depth--]);
	return result == 1 ? fd : -1;
}
