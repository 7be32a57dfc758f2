#include "config.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef HAVE_LINUX_SOCKIOS_H
#include <linux/sockios.h> /* SIOCOUTQ */
#endif

#include "lib/fd.h"
#include "lib/log.h"

#ifdef MAMAYO_PLAIN /* how a test builds it: as if the system had no extras */
#undef HAVE_CLOSE_RANGE
#undef HAVE_GETENTROPY
#undef HAVE_PIPE2
#undef MSG_CMSG_CLOEXEC
#undef O_TMPFILE
#endif

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(*fd); /* EINTR included, it is gone */
	*fd = -1;
	errno = saved;
}

int
fd_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return -1;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? -1 : 0;
}

int
fd_cloexec(int fd, int on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) == -1 ? -1 : 0;
}

static int
fd_pair(int type, int pair[2])
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) == 0)
		return 0;
	pair[0] = pair[1] = -1;
	return -1;
}

int
fd_pair_stream(int pair[2])
{
	return fd_pair(SOCK_STREAM, pair);
}

int
fd_pair_seqpacket(int pair[2])
{
	return fd_pair(SOCK_SEQPACKET, pair);
}

int
fd_pipe(int ends[2])
{
#ifdef HAVE_PIPE2
	if (pipe2(ends, O_CLOEXEC) == 0)
		return 0;
	ends[0] = ends[1] = -1;
	return -1;
#else
	if (pipe(ends) == -1) {
		ends[0] = ends[1] = -1;
		return -1;
	}
	fd_cloexec(ends[0], 1);
	fd_cloexec(ends[1], 1);
	return 0;
#endif
}

int
fd_open_std(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) != fd)
			return -1; /* the lowest free one is fd */
	return 0;
}

/* Closes what the directory lists; 0 if there is such a directory. */
static int
close_listed(const char *path, int low)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int closed, fd;

	if (directory == NULL)
		return -1;
	do { /* closing may confuse the listing: until nothing is left */
		closed = 0;
		rewinddir(directory);
		while ((entry = readdir(directory)) != NULL) {
			if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
				continue;
			fd = (int)strtol(entry->d_name, NULL, 10);
			if (fd >= low && fd != dirfd(directory))
				closed |= close(fd) == 0;
		}
	} while (closed);
	closedir(directory);
	return 0;
}

void
fd_close_from(int low)
{
	long most;

#ifdef HAVE_CLOSE_RANGE
	if (close_range((unsigned)low, ~0U, 0) == 0)
		return;
#endif
#if defined(HAVE_CLOSEFROM) && !defined(__linux__)
	closefrom(low); /* glibc's would abort where there is no /proc */
	return;
#endif
	if (close_listed("/proc/self/fd", low) == 0)
		return;
#ifndef __linux__
	if (close_listed("/dev/fd", low) == 0)
		return;
#endif
	most = sysconf(_SC_OPEN_MAX);
	for (int fd = low; fd < (most > 0 ? most : 1024); fd++)
		close(fd);
}

static struct {
	int known;
	rlim_t soft;
} first_limit;

void
fd_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	if (!first_limit.known) {
		first_limit.known = 1;
		first_limit.soft = limit.rlim_cur;
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void
fd_restore_limit(void)
{
	struct rlimit limit;

	if (!first_limit.known || getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = first_limit.soft;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Room for the descriptors of one message, aligned for its header. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FD_PASS_MOST * sizeof(int))];
};

ssize_t
fd_send(int sock, const void *bytes, size_t n, const int *fds, size_t nfds)
{
	union control control;
	struct iovec iov = { .iov_len = n };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *head;
	ssize_t sent;

	assert(nfds <= FD_PASS_MOST);
	if (n == 0) {
		errno = EINVAL; /* it would read as end-of-file */
		return -1;
	}
	memcpy(&iov.iov_base, &bytes, sizeof bytes); /* it is not written to */
	if (nfds > 0) {
		memset(&control, 0, sizeof control);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(nfds * sizeof *fds);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(nfds * sizeof *fds);
		memcpy(CMSG_DATA(head), fds, nfds * sizeof *fds);
	}
	do
		sent = sendmsg(sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	return sent;
}

/* Takes the first `most` descriptors of a message and closes the others. */
static size_t
take_descriptors(struct msghdr *message, int *fds, size_t most)
{
	struct cmsghdr *head;
	size_t taken = 0, n;
	int fd;

	for (head = CMSG_FIRSTHDR(message); head != NULL;
	     head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level != SOL_SOCKET ||
		    head->cmsg_type != SCM_RIGHTS)
			continue;
		n = (head->cmsg_len - CMSG_LEN(0)) / sizeof fd;
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
			if (taken == most) {
				close(fd);
				continue;
			}
			if (MSG_CMSG_CLOEXEC == 0)
				fd_cloexec(fd, 1);
			fds[taken++] = fd;
		}
	}
	return taken;
}

ssize_t
fd_recv(int sock, void *bytes, size_t size, int *fds, size_t *nfds)
{
	union control control;
	struct iovec iov = { .iov_base = bytes, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	size_t most = nfds == NULL ? 0 : *nfds, taken;
	ssize_t got;
	int cut;

	if (nfds != NULL)
		*nfds = 0;
	do
		got = recvmsg(sock, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return -1;
	cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	taken = take_descriptors(&message, fds, cut || got == 0 ? 0 : most);
	if (cut) {
		errno = EMSGSIZE;
		return -1;
	}
	if (nfds != NULL)
		*nfds = taken;
	return got;
}

int
fd_peer(int sock, uid_t *uid, pid_t *pid)
{
#ifdef __linux__
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1)
		return -1;
	if (peer.uid == (uid_t)-1) { /* a socket that has no other end */
		errno = ENOTCONN;
		return -1;
	}
	*uid = peer.uid;
	*pid = peer.pid;
	return 0;
#else
	gid_t gid;

	*pid = 0;
	return getpeereid(sock, uid, &gid);
#endif
}

int
fd_has_unsent(int sock)
{
	int bytes = 0;

#if !defined(MAMAYO_PLAIN) && defined(SIOCOUTQ)
	if (ioctl(sock, SIOCOUTQ, &bytes) == -1)
		bytes = 0;
#else
	(void)sock;
#endif
	return bytes > 0;
}

int
fd_unnamed(int dir_fd)
{
	static unsigned count;
	char name[64];
	int fd = -1;

#ifdef O_TMPFILE
	fd = openat(dir_fd, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd != -1 ||
	    (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
#endif
	for (int tries = 0; tries < 100 && fd == -1; tries++) {
		snprintf(
		    name, sizeof name, "tmp-%ld-%u", (long)getpid(), ++count);
		fd = openat(dir_fd, name,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd == -1 && errno != EEXIST)
			return -1;
	}
	if (fd != -1)
		unlinkat(dir_fd, name, 0);
	return fd;
}

int
fd_lock_open(const char *path)
{
	return open(
	    path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

int
fd_lock(int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_SETLK, &whole) == 0)
		return 0;
	if (errno == EACCES)
		errno = EAGAIN; /* POSIX has both */
	return -1;
}

pid_t
fd_lock_holder(int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_GETLK, &whole) == -1 || whole.l_type == F_UNLCK)
		return 0;
	return whole.l_pid;
}

static int
random_from_device(unsigned char *to, size_t n)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	ssize_t got;

	while (fd != -1 && n > 0) {
		got = read(fd, to, n);
		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		to += got;
		n -= (size_t)got;
	}
	fd_close(&fd);
	return n == 0 ? 0 : -1;
}

void
fd_remove_stale(int dir_fd, int (*is_stale)(const char *name))
{
	struct dirent *entry;
	DIR *dir;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (is_stale(entry->d_name))
			unlinkat(dir_fd, entry->d_name, 0);
	closedir(dir);
}

void
fd_random(void *to, size_t n)
{
	unsigned char *place = to;

#ifdef HAVE_GETENTROPY
	size_t part;

	while (n > 0) { /* 256 is the most it gives at once */
		part = n < 256 ? n : 256;
		if (getentropy(place, part) == -1)
			break; /* a kernel before 3.17 */
		place += part;
		n -= part;
	}
#endif
	if (n > 0 && random_from_device(place, n) == -1)
		die(1, "no source of randomness: getentropy and /dev/urandom "
		       "fail");
}

void
fd_random_hex(char *out, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char *bytes = (unsigned char *)out + n;

	fd_random(bytes, n); /* the digits never overtake them */
	for (size_t i = 0; i < n; i++) {
		unsigned char byte = bytes[i];

		out[2 * i] = digits[byte >> 4];
		out[2 * i + 1] = digits[byte & 15];
	}
	out[2 * n] = '\0';
}

int
fd_write_all(int fd, const void *bytes, size_t n)
{
	const unsigned char *from = bytes;
	ssize_t written;

	while (n > 0) {
		written = write(fd, from, n);
		if (written == -1 && errno == EINTR)
			continue;
		if (written == -1)
			return -1;
		from += written;
		n -= (size_t)written;
	}
	return 0;
}
