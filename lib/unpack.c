#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/adapters.h"
#include "lib/fd.h"
#include "lib/proc.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

/* FNV-1a, 64 bits: it tells versions apart, it protects against nobody. */
static uint64_t
hash(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *s = bytes;

	while (n-- > 0)
		h = (h ^ *s++) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t
hash_all(void)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (const struct carried *a = adapters; a->name != NULL; a++) {
		h = hash(h, a->name, strlen(a->name) + 1);
		h = hash(h, a->text, a->length);
	}
	return h;
}

/* Is the whole of it there, and nothing else? */
static int
is_there(int dir_fd, const struct carried *a)
{
	int fd = openat(
	    dir_fd, a->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	unsigned char part[4096];
	size_t at = 0;
	ssize_t n = -1;
	struct stat st;

	if (fd == -1)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (size_t)st.st_size == a->length)
		while ((n = read(fd, part, sizeof part)) > 0 &&
		       (size_t)n <= a->length - at &&
		       memcmp(part, a->text + at, (size_t)n) == 0)
			at += (size_t)n;
	fd_close(&fd);
	return n == 0 && at == a->length;
}

/* Something that a process had not finished when it was killed? */
static int
is_stale(const char *name)
{
	return strncmp(name, "tmp-", 4) == 0 &&
	       !proc_alive((pid_t)atol(name + 4), 0);
}

/* Whole from the moment it has its name, whoever else does the same. */
static int
put_there(int dir_fd, const struct carried *a, struct problem *why)
{
	char temporary[64];
	uint64_t number;
	int fd, failed;

	fd_remove_stale(dir_fd, is_stale);
	fd_random(&number, sizeof number);
	snprintf(temporary, sizeof temporary, "tmp-%ld-%016llx", (long)getpid(),
	    (unsigned long long)number);
	fd = openat(dir_fd, temporary,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return problem_sys(why, "cannot create %s", a->name);
	failed = fd_write_all(fd, a->text, a->length);
	fd_close(&fd);
	if (!failed && !TESTPOINT_FAILS("supervisor:unpack") &&
	    renameat(dir_fd, temporary, dir_fd, a->name) == 0)
		return 0;
	problem_sys(why, "cannot write %s", a->name);
	unlinkat(dir_fd, temporary, 0);
	return -1;
}

/* Gives the directory, which is ours alone. */
static int
open_private(const char *path, struct problem *why)
{
	struct stat st;
	int fd;

	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return problem_sys(why, "cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		problem_sys(why, "cannot open the directory %s", path);
	else if (st.st_uid != geteuid())
		problem_set(why, "%s belongs to another user", path);
	else if ((st.st_mode & 0777) != 0700 && fchmod(fd, 0700) == -1)
		problem_sys(why, "cannot make %s private", path);
	else
		return fd;
	fd_close(&fd);
	return -1;
}

char *
adapters_unpack(const char *run_directory, struct problem *why)
{
	char *path = xprintf("%s/adapters-%016llx", run_directory,
	    (unsigned long long)hash_all());
	int fd = open_private(path, why), failed = fd == -1;

	for (const struct carried *a = adapters; !failed && a->name; a++)
		failed = !is_there(fd, a) && put_there(fd, a, why) == -1;
	fd_close(&fd);
	if (!failed)
		return path;
	free(path);
	return NULL;
}
