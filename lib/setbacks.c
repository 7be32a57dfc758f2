#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/backoff.h"
#include "lib/fd.h"
#include "lib/jsonfile.h"
#include "lib/log.h"
#include "lib/setbacks.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

#define FAILURES_MOST 1000000

/* What the file holds: a new object, perhaps an empty one. */
static json_t *
setbacks_read(const char *path)
{
	struct jsonfile file;
	struct problem why;
	json_t *all;

	if (jsonfile_read(&file, path, SETBACKS_BYTES, &why) != 0)
		return json_object();
	all = json_incref(file.root);
	jsonfile_release(&file);
	return all;
}

static int
is_digits(const char *text, size_t count)
{
	return strlen(text) == count &&
	       strspn(text, "0123456789abcdef") == count;
}

/* 0, or -1: it is damaged, or of another time. */
static int
setback_get(const json_t *value, int64_t now, struct setback *s)
{
	const char *stamp, *reference, *advice;
	json_int_t failures, at, until;

	if (json_unpack((json_t *)value, "{s:I, s:I, s:I, s:s, s:s, s:s}",
		"failures", &failures, "at", &at, "until", &until, "stamp",
		&stamp, "reference", &reference, "advice", &advice) == -1 ||
	    failures < 1 || failures > FAILURES_MOST || at < 0 || at > now ||
	    until < at || until - at > BACKOFF_LONGEST_MS ||
	    now - until > SETBACKS_OLD_MS || !is_digits(stamp, 16) ||
	    !is_digits(reference, 8))
		return -1;
	*s = (struct setback){ .failures = (unsigned)failures,
		.at = at,
		.until = until,
		.stamp = strtoull(stamp, NULL, 16) };
	snprintf(s->reference, sizeof s->reference, "%s", reference);
	log_escape(s->advice, sizeof s->advice, advice, strlen(advice));
	return 0;
}

static json_t *
setback_value(const struct setback *s)
{
	char stamp[17];

	snprintf(stamp, sizeof stamp, "%016" PRIx64, s->stamp);
	return json_pack("{s:I, s:I, s:I, s:s, s:s, s:s}", "failures",
	    (json_int_t)s->failures, "at", (json_int_t)s->at, "until",
	    (json_int_t)s->until, "stamp", stamp, "reference", s->reference,
	    "advice", s->advice);
}

/* Takes out what counts for nothing any more. */
static void
setbacks_thin(json_t *all, int64_t now)
{
	struct setback s;
	const char *app;
	json_t *value;
	void *next;

	json_object_foreach_safe(all, next, app, value)
	{
		if (setback_get(value, now, &s) == -1)
			json_object_del(all, app);
	}
}

static int
setbacks_write(
    const char *run, const char *path, const json_t *all, struct problem *why)
{
	char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS);
	char *new = xprintf("%s/new.backoff", run);
	int fd = -1, result = -1;

	/* one that is in the way is a dead supervisor's */
	if (text != NULL && (unlink(new) == 0 || errno == ENOENT))
		fd = open(new,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd != -1 && fd_write_all(fd, text, strlen(text)) == 0 &&
	    !TESTPOINT_FAILS("supervisor:setback") && rename(new, path) == 0)
		result = 0;
	else
		problem_sys(why, "cannot write %s", path);
	if (fd != -1 && result == -1)
		unlink(new);
	fd_close(&fd);
	free(new);
	free(text);
	return result;
}

int
setbacks_recall(
    const char *run, const char *app, int64_t now, struct setback *s)
{
	char *path = xprintf("%s/backoff.json", run);
	json_t *all = setbacks_read(path), *value = json_object_get(all, app);
	int is_there = value != NULL && setback_get(value, now, s) == 0;

	json_decref(all);
	free(path);
	return is_there;
}

int
setbacks_keep(const char *run, const char *app, const struct setback *s,
    int64_t now, struct problem *why)
{
	char *path = xprintf("%s/backoff.json", run);
	json_t *all = setbacks_read(path);
	int result = 0;

	json_object_del(all, app);
	setbacks_thin(all, now);
	if (s != NULL && json_object_size(all) < SETBACKS_MOST)
		json_object_set_new(all, app, setback_value(s));
	if (json_object_size(all) > 0)
		result = setbacks_write(run, path, all, why);
	else if (unlink(path) == -1 && errno != ENOENT && errno != ENOTDIR)
		result = problem_sys(why, "cannot remove %s", path);
	json_decref(all);
	free(path);
	return result;
}
