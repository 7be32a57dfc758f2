/*
 * A system call is refused: preloaded into the program
 * (t/4078-system-calls.py). REFUSED_CALLS names a file with a struct plan:
 * whose calls count (0: nobody's; STARTS, FORKED: see below), of which name,
 * how many succeed before the first that is refused, how often it is, and why.
 * With "?" as the name nothing is refused, and `made` gets all that are called.
 *
 * Names are those of the C library's functions; syscall(2) is known by what it
 * calls, and fcntl(2) is "fcntl_lock" or "fcntl_dup".
 */
#include "config.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* what a compiler makes of some calls (_FORTIFY_SOURCE) */
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
int __open_2(const char *, int);

#define STARTS (-1) /* those of the first process that starts from now on */
#define FORKED (-2) /* those of the first that is forked */

static volatile struct plan {
	int64_t pid, after, times, error, happened;
	char name[24];
	char made[1024]; /* "NAME NAME ", each once */
} * plan;

__attribute__((constructor)) static void
read_plan(void)
{
	const char *path = getenv("REFUSED_CALLS");
	int fd = path == NULL
		     ? -1
		     : (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR, 0);
	void *mapped;

	if (fd == -1)
		return;
	mapped =
	    mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (mapped == MAP_FAILED)
		abort();
	plan = mapped;
	if (plan->pid == STARTS)
		plan->pid = getpid();
}

static void
remember(const char *name)
{
	char *made = (char *)(uintptr_t)plan->made, word[32];
	size_t n = strlen(made);

	snprintf(word, sizeof word, "%s ", name);
	if (n + sizeof word < sizeof plan->made &&
	    strncmp(made, word, strlen(word)) != 0) {
		snprintf(word, sizeof word, " %s ", name);
		if (strstr(made, word) == NULL)
			strcpy(made + n, word + 1);
	}
}

/* Is this call the one? Then errno is set. */
static int
is_refused(const char *name)
{
	if (plan == NULL || plan->pid != getpid())
		return 0;
	if (plan->name[0] == '?') {
		remember(name);
		return 0;
	}
	if (strcmp((const char *)(uintptr_t)plan->name, name) != 0)
		return 0;
	if (plan->after > 0) {
		plan->after--;
		return 0;
	}
	if (plan->times == 0)
		return 0;
	if (plan->times > 0)
		plan->times--;
	plan->happened++;
	errno = (int)plan->error;
	return 1;
}

static void *
next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
		abort();
	return found;
}

#define CALL_AS(type, bad, name, shown, parameters, arguments) \
	type name parameters                                   \
	{                                                      \
		static type(*really) parameters;               \
                                                               \
		if (is_refused(shown))                         \
			return bad;                            \
		if (really == NULL)                            \
			*(void **)&really = next(#name);       \
		return really arguments;                       \
	}
#define CALL(type, name, parameters, arguments) \
	CALL_AS(type, -1, name, #name, parameters, arguments)

CALL(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags),
    (fd, a, n, flags))
CALL(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
CALL(int, chdir, (const char *path), (path))
CALL(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
CALL(int, dup2, (int a, int b), (a, b))
CALL(int, epoll_create1, (int flags), (flags))
CALL(int, epoll_ctl, (int fd, int what, int which, struct epoll_event *e),
    (fd, what, which, e))
CALL(int, epoll_wait, (int fd, struct epoll_event *e, int n, int ms),
    (fd, e, n, ms))
CALL(int, execve, (const char *path, char *const *argv, char *const *env),
    (path, argv, env))
CALL_AS(DIR *, NULL, fdopendir, "fdopendir", (int fd), (fd))
CALL(int, fstat, (int fd, struct stat *st), (fd, st))
CALL(int, fstatat, (int fd, const char *path, struct stat *st, int flags),
    (fd, path, st, flags))
CALL(int, ftruncate, (int fd, off_t size), (fd, size))
CALL(int, getsockopt, (int fd, int level, int what, void *v, socklen_t *n),
    (fd, level, what, v, n))
CALL(int, kill, (pid_t pid, int signo), (pid, signo))
CALL(int, listen, (int fd, int backlog), (fd, backlog))
CALL(off_t, lseek, (int fd, off_t to, int from), (fd, to, from))
CALL(int, lstat, (const char *path, struct stat *st), (path, st))
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode))
CALL(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
CALL_AS(DIR *, NULL, opendir, "opendir", (const char *path), (path))
CALL(int, pipe2, (int fds[2], int flags), (fds, flags))
CALL(ssize_t, pread, (int fd, void *out, size_t n, off_t at), (fd, out, n, at))
CALL_AS(ssize_t, -1, __pread_chk, "pread",
    (int fd, void *out, size_t n, off_t at, size_t room),
    (fd, out, n, at, room))
CALL(ssize_t, read, (int fd, void *out, size_t n), (fd, out, n))
CALL_AS(ssize_t, -1, __read_chk, "read",
    (int fd, void *out, size_t n, size_t room), (fd, out, n, room))
CALL(ssize_t, recv, (int fd, void *out, size_t n, int flags),
    (fd, out, n, flags))
CALL_AS(ssize_t, -1, __recv_chk, "recv",
    (int fd, void *out, size_t n, size_t room, int flags),
    (fd, out, n, room, flags))
CALL(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))
CALL(int, rename, (const char *from, const char *to), (from, to))
CALL(int, renameat, (int fd, const char *from, int at, const char *to),
    (fd, from, at, to))
CALL(ssize_t, send, (int fd, const void *in, size_t n, int flags),
    (fd, in, n, flags))
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags),
    (fd, m, flags))
CALL(int, setsockopt, (int fd, int level, int what, const void *v, socklen_t n),
    (fd, level, what, v, n))
CALL(
    int, socket, (int family, int type, int protocol), (family, type, protocol))
CALL(int, socketpair, (int family, int type, int protocol, int fds[2]),
    (family, type, protocol, fds))
CALL(ssize_t, splice,
    (int from, off_t *a, int to, off_t *b, size_t n, unsigned flags),
    (from, a, to, b, n, flags))
CALL(int, stat, (const char *path, struct stat *st), (path, st))
CALL(int, unlink, (const char *path), (path))
CALL(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
CALL(int, waitid, (idtype_t kind, id_t id, siginfo_t *info, int flags),
    (kind, id, info, flags))
CALL(pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))

/* A pipe is full, or has room; only a file can be refused room. */
ssize_t
write(int fd, const void *in, size_t n)
{
	static ssize_t (*really)(int, const void *, size_t);
	struct stat st;

	if (really == NULL)
		*(void **)&really = next("write");
	if (syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    is_refused("write"))
		return -1;
	return really(fd, in, n);
}

/* Of nothing it is only a rest, which needs nothing. */
int
poll(struct pollfd *fds, nfds_t n, int ms)
{
	static int (*really)(struct pollfd *, nfds_t, int);

	if (n > 0 && is_refused("poll"))
		return -1;
	if (really == NULL)
		*(void **)&really = next("poll");
	return really(fds, n, ms);
}

pid_t
fork(void)
{
	static pid_t (*really)(void);
	pid_t pid;

	if (is_refused("fork"))
		return -1;
	if (really == NULL)
		*(void **)&really = next("fork");
	pid = really();
	if (pid == 0 && plan != NULL && plan->pid == FORKED)
		plan->pid = getpid();
	return pid;
}

/* Under both names that a C library may have for it. */
#define OPEN(name, shown)                                                     \
	int name(const char *path, int flags, ...)                            \
	{                                                                     \
		va_list ap;                                                   \
		mode_t mode;                                                  \
                                                                              \
		va_start(ap, flags);                                          \
		mode = va_arg(ap, mode_t);                                    \
		va_end(ap);                                                   \
		return is_refused(shown) ? -1                                 \
					 : (int)syscall(SYS_openat, AT_FDCWD, \
					       path, flags, mode);            \
	}                                                                     \
	int name##at(int fd, const char *path, int flags, ...)                \
	{                                                                     \
		va_list ap;                                                   \
		mode_t mode;                                                  \
                                                                              \
		va_start(ap, flags);                                          \
		mode = va_arg(ap, mode_t);                                    \
		va_end(ap);                                                   \
		return is_refused(shown)                                      \
			   ? -1                                               \
			   : (int)syscall(SYS_openat, fd, path, flags, mode); \
	}
OPEN(open, "open")
CALL_AS(int, -1, __open_2, "open", (const char *path, int flags), (path, flags))

#define FCNTL(name)                                                       \
	int name(int fd, int command, ...)                                \
	{                                                                 \
		va_list ap;                                               \
		void *argument;                                           \
                                                                          \
		va_start(ap, command);                                    \
		argument = va_arg(ap, void *);                            \
		va_end(ap);                                               \
		if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && \
		    is_refused("fcntl_dup"))                              \
			return -1;                                        \
		if ((command == F_SETLK || command == F_SETLKW ||         \
			command == F_GETLK) &&                            \
		    is_refused("fcntl_lock"))                             \
			return -1;                                        \
		return (int)syscall(SYS_fcntl, fd, command, argument);    \
	}
FCNTL(fcntl)
FCNTL(fcntl64)

static const char *
called(long number)
{
	switch (number) {
	case SYS_pidfd_open:
		return "pidfd_open";
	case SYS_pidfd_send_signal:
		return "pidfd_send_signal";
	case SYS_pidfd_getfd:
		return "pidfd_getfd";
	default:
		return "syscall";
	}
}

long
syscall(long number, ...)
{
	static long (*really)(long, long, long, long, long, long, long);
	long argument[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(ap, long);
	va_end(ap);
	if (is_refused(called(number)))
		return -1;
	if (really == NULL)
		*(void **)&really = next("syscall");
	return really(number, argument[0], argument[1], argument[2],
	    argument[3], argument[4], argument[5]);
}
