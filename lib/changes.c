#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/changes.h"
#include "lib/clock.h"
#include "lib/stamp.h"
#include "lib/xalloc.h"

void
changes_release(struct changes *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->files[i].path);
	free(c->files);
	memset(c, 0, sizeof *c);
}

/* What the file is now; 0 if it is not there. */
static uint64_t
changes_stamp(const char *path, struct stat *st)
{
	return stat(path, st) == -1 ? 0 : stamp_of(path, st);
}

static struct changes_file *
changes_find(struct changes *c, const char *path)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->files[i].path, path) == 0)
			return &c->files[i];
	return NULL;
}

void
changes_add(struct changes *c, const char *path, enum changes_kind kind)
{
	struct stat st;

	if (changes_find(c, path) != NULL || c->n >= CHANGES_FILES ||
	    strlen(path) > CHANGES_PATH)
		return;
	c->files = xrealloc(c->files, c->n + 1, sizeof *c->files);
	c->files[c->n++] = (struct changes_file){ xstrdup(path), kind,
		changes_stamp(path, &st) };
}

/* How long ago that was, ms. */
static int64_t
changes_age(const struct timespec *then, const struct timespec *now)
{
	return (int64_t)(now->tv_sec - then->tv_sec) * 1000 +
	       (now->tv_nsec - then->tv_nsec) / 1000000;
}

/* By st_ctime: what is moved here keeps the time of when it was written. */
static void
changes_recall_file(struct changes_file *f, const struct timespec *since)
{
	struct timespec now = clock_wall();
	struct stat st;

	if (f->stamp != 0 && changes_stamp(f->path, &st) == f->stamp &&
	    changes_age(since, &st.st_ctim) > 0 &&
	    changes_age(&st.st_ctim, &now) >= 0)
		f->stamp ^= 1;
}

void
changes_add_read(
    struct changes *c, const char *path, const struct timespec *since)
{
	struct changes_file *f;

	if (changes_find(c, path) != NULL)
		return;
	changes_add(c, path, CHANGES_MADE_OF);
	f = changes_find(c, path);
	if (f != NULL)
		changes_recall_file(f, since);
}

void
changes_recall(struct changes *c, const struct timespec *since)
{
	for (size_t i = 0; i < c->n; i++)
		changes_recall_file(&c->files[i], since);
}

void
changes_add_all(struct changes *c, const struct changes *from)
{
	for (size_t i = 0; i < from->n; i++)
		changes_add(c, from->files[i].path, from->files[i].kind);
}

void
changes_renew(struct changes *c)
{
	struct changes_file *f;
	struct stat st;
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++) {
		f = &c->files[i];
		f->stamp = changes_stamp(f->path, &st);
		if (f->stamp == 0 && f->kind == CHANGES_MADE_OF)
			free(f->path);
		else
			c->files[kept++] = *f;
	}
	c->n = kept;
	c->seen = 0;
	c->which = NULL;
}

enum changes_found
changes_judge(
    struct changes *c, uint64_t differs, int64_t untouched, int64_t now)
{
	if (differs != c->seen) {
		c->seen = differs;
		c->seen_at = now;
	}
	if (differs == 0)
		return CHANGES_NONE;
	return untouched >= CHANGES_QUIET_MS ||
		       now - c->seen_at >= CHANGES_QUIET_MS
		   ? CHANGES_QUIET
		   : CHANGES_FRESH;
}

enum changes_found
changes_look(struct changes *c, int64_t now)
{
	uint64_t differs = 0, stamp;
	int64_t untouched = INT64_MAX, age;
	struct timespec wall = clock_wall();
	struct stat st;

	c->which = NULL;
	for (size_t i = 0; i < c->n; i++) {
		struct changes_file *f = &c->files[i];

		stamp = changes_stamp(f->path, &st);
		if (stamp == f->stamp)
			continue;
		if (stamp == 0 && f->kind == CHANGES_SIGNAL) {
			f->stamp = 0; /* and its coming back is a change */
			continue;
		}
		age = stamp == 0 ? -1 : changes_age(&st.st_ctim, &wall);
		if (age < untouched)
			untouched = age;
		if (c->which == NULL)
			c->which = f->path;
		differs = (differs ^ stamp ^ (i + 1)) * UINT64_C(1099511628211);
	}
	if (c->which != NULL && differs == 0)
		differs = 1;
	return changes_judge(c, differs, untouched, now);
}
