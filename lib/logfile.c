#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/log.h"
#include "lib/logfile.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

#define LOGFILE_BUFFER 262144
#define LOGFILE_AHEAD  2 /* times its size that are copied at most */

void
logfile_init(struct logfile *f, const char *path)
{
	memset(f, 0, sizeof *f);
	f->path = xstrdup(path);
	f->fd = f->gone = f->from = f->to = -1;
}

void
logfile_release(struct logfile *f)
{
	logfile_close(f);
	fd_close(&f->from);
	fd_close(&f->to);
	free(f->path);
	f->path = NULL;
}

void
logfile_close(struct logfile *f)
{
	fd_close(&f->fd);
	fd_close(&f->gone);
}

/* Is what we have open the file at the path? */
static int
logfile_is_there(const struct logfile *f)
{
	struct stat st;

	return f->fd != -1 && lstat(f->path, &st) == 0 &&
	       st.st_dev == f->device && st.st_ino == f->inode;
}

int
logfile_open(struct logfile *f, struct problem *why)
{
	struct stat st;
	int fd;

	if (logfile_is_there(f))
		return f->fd;
	fd = log_open_file(f->path, O_NOFOLLOW);
	if (fd == -1 || fstat(fd, &st) == -1) {
		problem_sys(why, "cannot open the app's log %s", f->path);
		fd_close(&fd);
		return -1;
	}
	if (f->fd != -1) {
		fd_close(&f->gone);
		f->gone = f->fd;
	}
	f->fd = fd;
	f->device = st.st_dev;
	f->inode = st.st_ino;
	return fd;
}

/* ------------------------------------------------------------- old ones -- */

static char *
logfile_old(const char *path, int number)
{
	return xprintf("%s.%d", path, number);
}

/* Makes room for a new PATH.1: the oldest goes, and those of a time when more
 * were kept. */
static void
logfile_shift(const char *path, int keep)
{
	char *old, *younger;
	int is_more = 1;

	for (int i = keep; i <= LOGFILE_KEEP_MOST && is_more; i++) {
		old = logfile_old(path, i);
		is_more = i == 0 || unlink(old) == 0 || i == keep;
		free(old);
	}
	for (int i = keep; i > 1; i--) {
		old = logfile_old(path, i);
		younger = logfile_old(path, i - 1);
		(void)rename(younger, old); /* there may be none yet */
		free(younger);
		free(old);
	}
}

int
logfile_rename(const char *path, int64_t most, int keep)
{
	struct stat st;
	char *old;
	int failed;

	if (lstat(path, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size < most)
		return 0;
	logfile_shift(path, keep);
	TESTPOINT("supervisor:log-shifted");
	old = logfile_old(path, 1);
	failed = keep > 0 ? rename(path, old) : unlink(path);
	free(old);
	return !failed;
}

/* --------------------------------------------------------------- cutting -- */

static int
logfile_write(int fd, const char *bytes, size_t n)
{
	ssize_t done;

	while (n > 0) {
		done = write(fd, bytes, n);
		if (done == -1 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		bytes += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Truncates it in place, but for its end. The first line of that is no whole
 * one. */
static void
logfile_cut(struct logfile *f, int fd, off_t size)
{
	static char tail[LOGFILE_TAIL];
	off_t from = size > LOGFILE_TAIL ? size - LOGFILE_TAIL : 0;
	ssize_t n = pread(fd, tail, sizeof tail, from);
	const char *text = n > 0 ? memchr(tail, '\n', (size_t)n) : NULL;
	size_t left = 0;

	if (ftruncate(fd, 0) == -1) {
		f->error = errno;
		return;
	}
	if (text != NULL) {
		text++;
		left = (size_t)(n - (text - tail));
	}
	f->dropped += (uint64_t)size - left;
	log_to(fd, "%lld bytes before this line were dropped (log_size)",
	    (long long)((uint64_t)size - left));
	if (logfile_write(fd, text, left) == -1)
		f->dropped += left;
}

/* --------------------------------------------------------------- copying -- */

static void
logfile_stop_copying(struct logfile *f)
{
	struct stat st;

	if (fstat(f->from, &st) == 0 && ftruncate(f->from, 0) == 0) {
		if (st.st_size > f->at)
			f->dropped += (uint64_t)(st.st_size - f->at);
	} else
		f->error = errno;
	f->size = 0;
	fd_close(&f->from);
	fd_close(&f->to);
}

/* There is no room for an old one: then there is none. */
static void
logfile_give_up_copying(struct logfile *f)
{
	char *old = logfile_old(f->path, 1);
	struct stat st;

	f->error = errno;
	(void)unlink(old);
	free(old);
	if (fstat(f->from, &st) == 0)
		logfile_cut(f, f->from, st.st_size);
	fd_close(&f->from);
	fd_close(&f->to);
}

/* Copies a slice. A flood may be faster for ever: it is not copied for ever. */
static int64_t
logfile_copy(struct logfile *f, int64_t most)
{
	static char buffer[LOGFILE_BUFFER];
	ssize_t n;

	for (int done = 0; done < LOGFILE_SLICE; done += (int)n) {
		n = pread(f->from, buffer, sizeof buffer, f->at);
		if (n <= 0 || f->at - f->begun > LOGFILE_AHEAD * most) {
			logfile_stop_copying(f);
			return LOGFILE_FAST_MS;
		}
		if (logfile_write(f->to, buffer, (size_t)n) == -1) {
			logfile_give_up_copying(f);
			return LOGFILE_FAST_MS;
		}
		f->at += n;
	}
	return 0;
}

/* It has grown to its size. */
static int64_t
logfile_rotate(struct logfile *f, int64_t most, int keep, int64_t now)
{
	char *old = logfile_old(f->path, 1);
	struct stat st;

	f->from = open(
	    f->path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (f->from == -1 || fstat(f->from, &st) == -1)
		f->error = errno;
	else if (keep == 0 ||
		 (f->copied != 0 && now - f->copied < LOGFILE_REST_MS))
		logfile_cut(f, f->from, st.st_size);
	else {
		logfile_shift(f->path, keep);
		TESTPOINT("supervisor:log-copy");
		f->to = open(old,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		f->at =
		    st.st_size > LOGFILE_AHEAD * most ? st.st_size - most : 0;
		f->begun = f->at;
		f->dropped += (uint64_t)f->at;
		f->copied = now;
		if (f->to == -1)
			logfile_give_up_copying(f);
	}
	free(old);
	if (f->to != -1)
		return 0;
	fd_close(&f->from);
	return LOGFILE_FAST_MS;
}

/* --------------------------------------------------------------- looking -- */

/* At the speed at which it has grown, when will it be full? */
static int64_t
logfile_pace(struct logfile *f, off_t size, int64_t most, int64_t now)
{
	int64_t grown = size < f->size ? size : size - f->size;
	int64_t passed = f->looked == 0 ? LOGFILE_SLOW_MS : now - f->looked;
	int64_t wait =
	    grown == 0 ? LOGFILE_SLOW_MS : (most - size) / grown * (passed + 1);

	f->size = size;
	f->looked = now;
	if (wait > LOGFILE_SLOW_MS)
		return LOGFILE_SLOW_MS;
	return wait < LOGFILE_FAST_MS ? LOGFILE_FAST_MS : wait;
}

/* What was removed while it was open still takes room, and nobody reads it. */
static void
logfile_empty_gone(struct logfile *f)
{
	struct stat st;

	if (f->gone != -1 && fstat(f->gone, &st) == 0 && st.st_nlink == 0 &&
	    S_ISREG(st.st_mode) && st.st_size > 0 &&
	    ftruncate(f->gone, 0) == -1)
		f->error = errno;
}

static void
logfile_tell(struct logfile *f, int64_t now)
{
	if ((f->dropped == 0 && f->error == 0) ||
	    (f->told != 0 && now - f->told < LOGFILE_TOLD_MS))
		return;
	if (f->error != 0)
		log_warn("cannot keep old text of %s: %s", f->path,
		    strerror(f->error));
	if (f->dropped != 0)
		log_warn("%llu bytes of %s were dropped, for it grows faster "
			 "than it is kept (log_size, log_keep)",
		    (unsigned long long)f->dropped, f->path);
	f->dropped = 0;
	f->error = 0;
	f->told = now;
}

int64_t
logfile_look(struct logfile *f, int64_t most, int keep, int64_t now)
{
	struct problem why;
	struct stat st;

	if (f->to != -1)
		return logfile_copy(f, most);
	if (f->fd != -1)
		(void)logfile_open(f, &why); /* the next look tries again */
	logfile_empty_gone(f);
	logfile_tell(f, now);
	if (lstat(f->path, &st) == -1 || !S_ISREG(st.st_mode))
		return LOGFILE_SLOW_MS;
	if (st.st_size < most)
		return logfile_pace(f, st.st_size, most, now);
	return logfile_rotate(f, most, keep, now);
}
