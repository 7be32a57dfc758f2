#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* renameat */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h> /* renameat2 */
#endif

#include "lib/fd.h"
#include "lib/proc.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

#define WHOLE_MARK   ".new-"
#define WHOLE_NAME   255 /* bytes (NAME_MAX everywhere) */
#define WHOLE_RANDOM 16  /* digits */
#define WHOLE_DEPTH  200 /* of a tree that is removed */
#define WHOLE_PART   65536
#define WHOLE_FIRST  4096 /* bytes of room that a file has at once */

char *
whole_unfinished(const char *name)
{
	char digits[WHOLE_RANDOM + 1], *tail, *whole;

	fd_random_hex(digits, WHOLE_RANDOM / 2);
	tail = xprintf(WHOLE_MARK "%ld-%s", (long)getpid(), digits);
	whole = xprintf("%.*s%s", WHOLE_NAME - (int)strlen(tail), name, tail);
	free(tail);
	return whole;
}

/* One that is unfinished, and whose writer has gone? */
static int
whole_is_stale(const char *name)
{
	const char *mark = NULL, *next = name;
	char *end;
	long pid;

	while ((next = strstr(next, WHOLE_MARK)) != NULL)
		mark = next++;
	if (mark == NULL)
		return 0;
	mark += strlen(WHOLE_MARK);
	pid = strtol(mark, &end, 10);
	return end > mark && pid > 0 && *end == '-' &&
	       strspn(end + 1, "0123456789abcdef") == WHOLE_RANDOM &&
	       strlen(end + 1) == WHOLE_RANDOM && !proc_alive((pid_t)pid, 0);
}

void
whole_tidy(int at)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		fd_close(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (whole_is_stale(entry->d_name))
			whole_remove(at, entry->d_name);
	closedir(dir);
}

/* All that is read from one descriptor, to the other. */
static int
whole_pass(int from, int to)
{
	char part[WHOLE_PART];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, part, sizeof part, at)) > 0) {
		if (fd_write_all(to, part, (size_t)n) == -1)
			return -1;
		at += n;
	}
	return n == 0 ? 0 : -1;
}

/* Either a text or, if it is not -1, a descriptor. */
static int
whole_put(int at, const char *name, const void *text, size_t n, int from,
    mode_t mode, struct problem *why)
{
	char *unfinished;
	int fd, failed, error;

	whole_tidy(at);
	unfinished = whole_unfinished(name);
	fd = openat(at, unfinished,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	failed = fd == -1 ||
		 (from == -1 ? fd_write_all(fd, text, n)
			     : whole_pass(from, fd)) == -1 ||
		 fchmod(fd, mode) == -1 || fsync(fd) == -1 ||
		 renameat(at, unfinished, at, name) == -1;
	if (failed) {
		problem_sys(why, "cannot write %s", name);
		error = errno;
		if (fd != -1)
			unlinkat(at, unfinished, 0);
		errno = error;
	}
	fd_close(&fd);
	free(unfinished);
	return failed ? -1 : 0;
}

int
whole_write(int at, const char *name, const void *text, size_t n, mode_t mode,
    struct problem *why)
{
	return whole_put(at, name, text, n, -1, mode, why);
}

int
whole_copy(int at, const char *name, int from, mode_t mode, struct problem *why)
{
	return whole_put(at, name, NULL, 0, from, mode, why);
}

/* NULL with errno. */
static char *
whole_take(int fd, size_t most, size_t *n)
{
	char *text = NULL, *more;
	size_t room = 0;
	ssize_t got;
	int error;

	while (*n <= most) {
		if (room - *n <= 1) { /* the NUL needs one */
			room = room == 0 ? WHOLE_FIRST : 2 * room;
			more = realloc(text, room);
			if (more == NULL)
				break; /* with ENOMEM */
			text = more;
		}
		got = read(fd, text + *n, room - 1 - *n);
		if (got == 0) {
			text[*n] = '\0';
			return text;
		}
		if (got > 0)
			*n += (size_t)got;
		else if (errno != EINTR)
			break;
	}
	error = *n > most ? EFBIG : errno;
	free(text);
	errno = error;
	return NULL;
}

char *
whole_read(int at, const char *name, size_t most, size_t *n)
{
	int fd =
	    openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	char *text = NULL;

	*n = 0;
	if (fd == -1) {
		if (errno == EMLINK) /* what FreeBSD says of a link */
			errno = ELOOP;
		return NULL;
	}
	if (fstat(fd, &st) == 0) {
		if (S_ISREG(st.st_mode))
			text = whole_take(fd, most, n);
		else
			errno = EINVAL;
	}
	fd_close(&fd); /* keeps errno */
	return text;
}

int
whole_directories(int at, const char *path)
{
	const char *slash = path;
	char *directory;
	int failed = 0;

	while (!failed && (slash = strchr(slash, '/')) != NULL) {
		directory = xstrndup(path, (size_t)(slash - path));
		failed = mkdirat(at, directory, 0755) == -1 && errno != EEXIST;
		free(directory);
		slash++;
	}
	return failed ? -1 : 0;
}

static int whole_remove_at(int at, const char *name, int depth);

/* What is in a directory. Takes the descriptor. */
static int
whole_empty(int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int failed = 0, error = 0;

	if (dir == NULL) {
		fd_close(&fd);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (whole_remove_at(fd, entry->d_name, depth - 1) == -1) {
			failed = -1;
			error = errno;
		}
	}
	closedir(dir);
	errno = error;
	return failed;
}

static int
whole_remove_at(int at, const char *name, int depth)
{
	int fd;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth == 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	(void)fchmod(fd, 0700); /* or what is in it could not be removed */
	if (whole_empty(fd, depth) == -1)
		return -1;
	return unlinkat(at, name, AT_REMOVEDIR);
}

int
whole_remove(int at, const char *name)
{
	return whole_remove_at(at, name, WHOLE_DEPTH);
}

/* By a third name. */
static int
whole_swap_slowly(int at, const char *one, const char *other)
{
	char *third = whole_unfinished(one);
	int result = -1, error;

	if (renameat(at, one, at, third) == 0) {
		if (renameat(at, other, at, one) == 0)
			result = renameat(at, third, at, other);
		else {
			error = errno;
			(void)renameat(at, third, at, one);
			errno = error;
		}
	}
	free(third);
	return result;
}

int
whole_swap(int at, const char *one, const char *other)
{
#if defined(SYS_renameat2)
	if (syscall(SYS_renameat2, at, one, at, other, 2 /* exchange */) == 0)
		return 0;
	if (errno != ENOSYS && errno != EINVAL)
		return -1;
#endif
	return whole_swap_slowly(at, one, other);
}
