#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/lease.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

#define LEASE_BACKLOG 128
#define LEASE_TRIES   20 /* the lock file changed under us as often as this */

void
lease_init(struct lease *l, const char *run_directory)
{
	l->lock_path = xprintf("%s/lock", run_directory);
	l->sock_path = xprintf("%s/sock", run_directory);
	l->lock = -1;
	l->listener = -1;
}

static int
lease_address(
    const char *directory, const char *name, struct sockaddr_un *address)
{
	int n;

	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	n = snprintf(address->sun_path, sizeof address->sun_path, "%s%s",
	    directory, name);
	if (n >= 0 && (size_t)n < sizeof address->sun_path)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* Does errno say that such a thing is not to be had in that place? */
static int
lease_is_unfit(void)
{
	return errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP ||
	       errno == EPERM;
}

static int
lease_same_file(int fd, const char *path)
{
	struct stat held, there;

	return fstat(fd, &held) == 0 && lstat(path, &there) == 0 &&
	       held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

/* Whatever stands at the path makes room; a directory has to be asked to. */
static int
lease_put(const char *temporary, const char *path)
{
	char *aside;
	int result = rename(temporary, path);

	if (result == 0 || errno != EISDIR)
		return result;
	aside = xprintf("%s.aside", temporary);
	if (rmdir(path) == 0 || rename(path, aside) == 0)
		result = rename(temporary, path);
	free(aside);
	return result;
}

static int
lease_bind(struct lease *l, struct problem *why)
{
	struct sockaddr_un address;
	struct stat there;
	char *temporary = xprintf("%s.%ld", l->sock_path, (long)getpid());
	int fd = -1, is_bound, result = -1;
	mode_t mask;

	if (lease_address(temporary, "", &address) == -1) {
		problem_sys(why, "%s", temporary);
		goto fail;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (fd == -1 || fd_cloexec(fd, 1) == -1 || fd_nonblock(fd) == -1) {
		problem_sys(why, "socket");
		goto fail;
	}
	unlink(temporary);
	mask = umask(0177);
	is_bound = !TESTPOINT_FAILS("candidate:bind") &&
		   bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
	umask(mask);
	if (!is_bound || TESTPOINT_FAILS("candidate:listen") ||
	    listen(fd, LEASE_BACKLOG) == -1 || lstat(temporary, &there) == -1 ||
	    TESTPOINT_FAILS("candidate:rename") ||
	    lease_put(temporary, l->sock_path) == -1) {
		result = lease_is_unfit() ? LEASE_UNFIT : -1;
		problem_sys(why, "cannot make a socket at %s", l->sock_path);
		unlink(temporary);
		goto fail;
	}
	TESTPOINT("candidate:bound");
	l->sock_device = there.st_dev;
	l->sock_inode = there.st_ino;
	fd_close(&l->listener);
	l->listener = fd;
	free(temporary);
	return 0;

fail:
	fd_close(&fd);
	free(temporary);
	return result;
}

int
lease_take(struct lease *l, struct problem *why)
{
	int result;

	for (int tries = 0; tries < LEASE_TRIES; tries++) {
		fd_close(&l->lock);
		l->lock = fd_lock_open(l->lock_path);
		if (l->lock == -1 || TESTPOINT_FAILS("candidate:open-lock"))
			return problem_sys(why, "cannot open %s", l->lock_path);
		if (TESTPOINT_FAILS("candidate:lock") ||
		    fd_lock(l->lock) == -1) {
			if (errno == EAGAIN) {
				fd_close(&l->lock);
				return 0;
			}
			result = lease_is_unfit() ? LEASE_UNFIT : -1;
			problem_sys(why, "cannot lock %s", l->lock_path);
			return result;
		}
		TESTPOINT("candidate:locked");
		if (lease_same_file(l->lock, l->lock_path)) {
			result = lease_bind(l, why);
			return result == 0 ? 1 : result;
		}
	}
	return problem_set(why, "%s is replaced again and again", l->lock_path);
}

/* Is what stands at the path certainly not that file any more? A file system
 * that cannot say just now has not lost it. */
static int
lease_has_gone(const char *path, dev_t device, ino_t inode)
{
	struct stat there;

	if (lstat(path, &there) == 0)
		return there.st_ino != inode || there.st_dev != device;
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
}

int
lease_holds(struct lease *l)
{
	struct problem why;
	struct stat held;

	if (l->lock == -1)
		return 0;
	if (fstat(l->lock, &held) == 0 &&
	    lease_has_gone(l->lock_path, held.st_dev, held.st_ino))
		return 0;
	return !lease_has_gone(l->sock_path, l->sock_device, l->sock_inode) ||
	       lease_bind(l, &why) == 0;
}

void
lease_release(struct lease *l)
{
	TESTPOINT("supervisor:release");
	if (l->listener != -1 &&
	    !lease_has_gone(l->sock_path, l->sock_device, l->sock_inode))
		unlink(l->sock_path);
	fd_close(&l->listener);
	fd_close(&l->lock);
	free(l->lock_path);
	free(l->sock_path);
	l->lock_path = l->sock_path = NULL;
}

pid_t
lease_holder(const char *run_directory)
{
	char *path = xprintf("%s/lock", run_directory);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	pid_t pid = fd == -1 ? 0 : fd_lock_holder(fd);

	fd_close(&fd);
	free(path);
	return pid;
}

int
lease_connect(const char *run_directory)
{
	struct sockaddr_un address;
	uid_t uid;
	pid_t pid;
	int fd = -1;

	if (lease_address(run_directory, "/sock", &address) == -1 ||
	    TESTPOINT_FAILS("responder:connect"))
		goto fail;
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (fd == -1 || fd_cloexec(fd, 1) == -1 || fd_nonblock(fd) == -1)
		goto fail;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == -1 ||
	    fd_peer(fd, &uid, &pid) == -1)
		goto fail;
	if (uid != geteuid()) {
		errno = EPERM;
		goto fail;
	}
	return fd;

fail:
	fd_close(&fd);
	return -1;
}
