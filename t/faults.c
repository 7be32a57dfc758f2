/*
 * What the system refuses or changes while a test says so: preloaded into
 * responders and supervisors (t/4070-resources.py). FAULTS names a directory,
 * and a file in it is a fault; its text says more. Each time it happened adds
 * a byte to NAME.seen.
 *
 *	fork	no process can be made (EAGAIN)
 *	lock	no lock on files below the place that it names (ENOLCK)
 *	bind	no socket below the place that it names (EPERM)
 *	clock	the time of day is so many seconds later
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MOST 512

static int
fault_open(const char *name, const char *suffix, int flags)
{
	char path[TEXT_MOST];
	const char *directory = getenv("FAULTS");

	if (directory == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
	return open(path, flags | O_CLOEXEC, 0600);
}

/* Is that fault there? Its text; errno stays. */
static int
fault(const char *name, char text[static TEXT_MOST])
{
	int saved = errno, fd = fault_open(name, "", O_RDONLY);
	ssize_t n;

	text[0] = '\0';
	if (fd == -1) {
		errno = saved;
		return 0;
	}
	n = read(fd, text, TEXT_MOST - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	errno = saved;
	return 1;
}

static int
fault_happens(const char *name, int error)
{
	int fd = fault_open(name, ".seen", O_WRONLY | O_CREAT | O_APPEND);

	if (fd != -1) {
		if (write(fd, "x", 1) == -1)
			abort();
		close(fd);
	}
	errno = error;
	return -1;
}

static void *
next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
		abort();
	return found;
}

pid_t
fork(void)
{
	char text[TEXT_MOST];
	pid_t (*really)(void);

	if (fault("fork", text))
		return fault_happens("fork", EAGAIN);
	*(void **)&really = next("fork");
	return really();
}

int
bind(int fd, const struct sockaddr *address, socklen_t length)
{
	char text[TEXT_MOST];
	const struct sockaddr_un *un = (const struct sockaddr_un *)address;
	int (*really)(int, const struct sockaddr *, socklen_t);

	if (address->sa_family == AF_UNIX && fault("bind", text) &&
	    strncmp(un->sun_path, text, strlen(text)) == 0)
		return fault_happens("bind", EPERM);
	*(void **)&really = next("bind");
	return really(fd, address, length);
}

static int
lock_is_refused(int fd, int command)
{
	char text[TEXT_MOST], link[64], path[TEXT_MOST];
	ssize_t n;

	if ((command != F_SETLK && command != F_SETLKW) || !fault("lock", text))
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	return strncmp(path, text, strlen(text)) == 0;
}

/* Under both names that a C library may have for it. */
#define FCNTL(name)                                                    \
	int name(int fd, int command, ...)                             \
	{                                                              \
		va_list ap;                                            \
		void *argument;                                        \
                                                                       \
		va_start(ap, command);                                 \
		argument = va_arg(ap, void *);                         \
		va_end(ap);                                            \
		if (lock_is_refused(fd, command))                      \
			return fault_happens("lock", ENOLCK);          \
		return (int)syscall(SYS_fcntl, fd, command, argument); \
	}
FCNTL(fcntl)
FCNTL(fcntl64)

static time_t
clock_shift(void)
{
	char text[TEXT_MOST];

	return fault("clock", text) ? (time_t)atoll(text) : 0;
}

int
clock_gettime(clockid_t which, struct timespec *now)
{
	int failed = (int)syscall(SYS_clock_gettime, which, now);

	if (failed == 0 &&
	    (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
		now->tv_sec += clock_shift();
	return failed;
}

time_t
time(time_t *where)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (where != NULL)
		*where = now.tv_sec;
	return now.tv_sec;
}
