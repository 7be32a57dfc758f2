#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef HAVE_SYS_EPOLL_H
#include <sys/epoll.h>
#endif

#include "lib/fd.h"
#include "lib/listen.h"

#define LISTEN_SUFFIX   8    /* ".1234567": the temporary name of a socket */
#define LISTEN_INHERITS 3    /* the first descriptor of sd_listen_fds(3) */
#define LISTEN_LOOKS    1000 /* the most of LISTEN_FDS that is looked at */
#define LISTEN_TAKEN_MS 1000 /* for those before us to be gone */
#define LISTEN_STEP_MS  20
#define DISTANCE_MOST   255

static int is_deaf; /* a socket of ours lets nobody new in */

union address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

#define LISTEN_PATH_MOST \
	(sizeof((struct sockaddr_un *)0)->sun_path - 1 - LISTEN_SUFFIX)

static int
stream_socket(int family)
{
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void
unix_address(union address *a, const char *path)
{
	memset(a, 0, sizeof *a);
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path, path, strlen(path)); /* its length was checked */
}

/* Is somebody listening there? 1, 0, or -1 if that cannot be told. */
static int
answers(const char *path)
{
	union address a;
	int fd = stream_socket(AF_UNIX), failed;

	if (fd == -1)
		return -1;
	unix_address(&a, path);
	failed = connect(fd, &a.any, sizeof a.un);
	fd_close(&fd);
	if (!failed || errno == EAGAIN || errno == EINPROGRESS)
		return 1;
	return errno == ECONNREFUSED || errno == ENOENT ? 0 : -1;
}

/* Does somebody go on listening? One that was killed had perhaps lent his
 * socket to workers, who hear of his end in a moment. */
static int
keeps_answering(const char *path)
{
	int is_there = answers(path);

	for (int ms = 0; is_there == 1 && ms < LISTEN_TAKEN_MS;
	     ms += LISTEN_STEP_MS) {
		poll(NULL, 0, LISTEN_STEP_MS);
		is_there = answers(path);
	}
	return is_there;
}

/* 0 if the path is free, or holds a socket of ours that nobody serves. */
static int
may_replace(const char *path, struct problem *why)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : problem_sys(why, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return problem_set(why,
		    "%s is a %s, not a socket: not replaced", path,
		    S_ISDIR(st.st_mode)   ? "directory"
		    : S_ISLNK(st.st_mode) ? "symbolic link"
					  : "file");
	if (st.st_uid != geteuid())
		return problem_set(
		    why, "the socket %s belongs to another user", path);
	switch (keeps_answering(path)) {
	case 0:
		return 0;
	case 1:
		return problem_set(
		    why, "somebody is listening on %s already", path);
	default:
		return problem_sys(
		    why, "cannot tell whether the socket %s is in use", path);
	}
}

/* The socket has its mode from birth: no moment in which it is wider. */
static int
bind_with_mode(int fd, const union address *a, mode_t mode)
{
	mode_t before = umask(~mode & 0777);
	int failed = bind(fd, &a->any, sizeof a->un);

	umask(before);
	return failed;
}

static int
listen_unix(const char *path, mode_t mode, struct problem *why)
{
	char temporary[LISTEN_PATH_MOST + LISTEN_SUFFIX + 1];
	union address a;
	uint32_t number;
	int fd;

	if (path[0] == '\0')
		return problem_set(why, "\"unix:\" needs a path");
	if (strlen(path) > LISTEN_PATH_MOST)
		return problem_set(why,
		    "%s is too long for a socket: at most %zu bytes", path,
		    LISTEN_PATH_MOST);
	if (may_replace(path, why) == -1)
		return -1;
	fd_random(&number, sizeof number);
	snprintf(temporary, sizeof temporary, "%s.%07x", path,
	    (unsigned)(number & 0xfffffff));
	unix_address(&a, temporary);
	if ((fd = stream_socket(AF_UNIX)) == -1)
		return problem_sys(why, "cannot make a socket");
	if (bind_with_mode(fd, &a, mode) == -1) {
		problem_sys(why, "cannot bind %s", path);
		fd_close(&fd);
		return -1;
	}
	if (listen(fd, LISTEN_BACKLOG) == 0 && rename(temporary, path) == 0)
		return fd;
	problem_sys(why, "cannot listen on %s", path);
	unlink(temporary);
	fd_close(&fd);
	return -1;
}

/* An address as it is written: four numbers, or what IPv6 uses. */
static int
numeric(const char *host, union address *a)
{
	memset(a, 0, sizeof *a);
	if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		return 0;
	}
	if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		return 0;
	}
	return -1;
}

/*
 * A name means its first IPv4 address, else its first IPv6 address. One name is
 * known without asking, for it may stand in no file. Everything static has no
 * resolver (glibc's would load the host's modules).
 */
static int
resolve(const char *host, union address *a, struct problem *why)
{
	if (numeric(host, a) == 0)
		return 0;
	if (strcmp(host, "localhost") == 0)
		return numeric("127.0.0.1", a);
#ifdef MAMAYO_PORTABLE
	return problem_set(why,
	    "\"%s\" is not an IP address (this build knows no names)", host);
#else
	{
		const int families[] = { AF_INET, AF_INET6 };
		struct addrinfo hints, *found;
		int failed = 0;

		for (size_t i = 0; i < 2; i++) {
			memset(&hints, 0, sizeof hints);
			hints.ai_family = families[i];
			hints.ai_socktype = SOCK_STREAM;
			failed = getaddrinfo(host, NULL, &hints, &found);
			if (failed)
				continue;
			memcpy(a, found->ai_addr, found->ai_addrlen);
			freeaddrinfo(found);
			return 0;
		}
		return problem_set(why, "cannot find the address of \"%s\": %s",
		    host, gai_strerror(failed));
	}
#endif
}

static int
port_number(const char *text)
{
	int port = 0;

	if (*text == '\0')
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		port = port * 10 + (*text - '0');
		if (port > 65535)
			return -1;
	}
	return port == 0 ? -1 : port;
}

/* "HOST:PORT" or "[HOST]:PORT" -> an address. */
static int
tcp_address(const char *text, union address *a, struct problem *why)
{
	const char *colon = strrchr(text, ':'), *end = colon;
	char host[256];
	int port;

	if (colon == NULL || (port = port_number(colon + 1)) == -1)
		return problem_set(
		    why, "\"tcp:%s\": the port must be 1 to 65535", text);
	if (text[0] == '[' && colon[-1] == ']') {
		text++;
		end--;
	} else if (memchr(text, ':', (size_t)(colon - text)) != NULL)
		return problem_set(why,
		    "\"tcp:%s\": write an IPv6 address in brackets, as in "
		    "tcp:[::1]:9000",
		    text);
	if (text == end || (size_t)(end - text) >= sizeof host)
		return problem_set(why,
		    "\"tcp:HOST:PORT\" needs a host, as in tcp:127.0.0.1:9000");
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	if (resolve(host, a, why) == -1)
		return -1;
	if (a->any.sa_family == AF_INET)
		a->in.sin_port = htons((uint16_t)port);
	else
		a->in6.sin6_port = htons((uint16_t)port);
	return 0;
}

static int
tcp_bind(int fd, const union address *a)
{
	return bind(fd, &a->any,
	    a->any.sa_family == AF_INET ? sizeof a->in : sizeof a->in6);
}

static int
listen_tcp(const char *text, struct problem *why)
{
	union address a;
	const int on = 1;
	int fd, failed;

	if (tcp_address(text, &a, why) == -1)
		return -1;
	if ((fd = stream_socket(a.any.sa_family)) == -1)
		return problem_sys(why, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	failed = tcp_bind(fd, &a);
	for (int ms = 0; failed && errno == EADDRINUSE && ms < LISTEN_TAKEN_MS;
	     ms += LISTEN_STEP_MS) { /* see keeps_answering() */
		poll(NULL, 0, LISTEN_STEP_MS);
		failed = tcp_bind(fd, &a);
	}
	if (!failed && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	problem_sys(why, "cannot listen on tcp:%s", text);
	fd_close(&fd);
	return -1;
}

int
listen_on(const char *address, mode_t mode, struct problem *why)
{
	if (strncmp(address, "unix:", 5) == 0)
		return listen_unix(address + 5, mode, why);
	if (strncmp(address, "tcp:", 4) == 0)
		return listen_tcp(address + 4, why);
	return problem_set(why,
	    "\"%s\" is not an address: write unix:/PATH or tcp:HOST:PORT",
	    address);
}

/* A whole number in the environment; -1 if there is none. */
static long
variable(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long number;

	if (text == NULL || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	number = strtol(text, &end, 10);
	return *end != '\0' || errno != 0 ? -1 : number;
}

size_t
listen_inherited(int *fds, size_t most)
{
	long pid = variable("LISTEN_PID"), n = variable("LISTEN_FDS");
	size_t taken = 0;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (pid != (long)getpid())
		return 0;
	if (n > LISTEN_LOOKS)
		n = LISTEN_LOOKS;
	for (int i = 0; i < n && taken < most; i++) {
		int fd = LISTEN_INHERITS + i;

		if (!listen_is(fd))
			continue;
		fd_cloexec(fd, 1);
		fd_nonblock(fd);
		fds[taken++] = fd;
	}
	return taken;
}

int
listen_is(int fd)
{
	union address a;
	socklen_t size = sizeof a;
	int yes = 0, type = 0;

	if (getpeername(fd, &a.any, &size) == 0 || errno != ENOTCONN)
		return 0;
	size = sizeof type;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == -1 ||
	    type != SOCK_STREAM)
		return 0;
	size = sizeof yes;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size) == 0 &&
	       yes;
}

/* Both as IPv6; IPv4 as "mapped", however it came. */
static void
widen(const union address *a, unsigned char out[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (a->any.sa_family == AF_INET6) {
		memcpy(out, &a->in6.sin6_addr, 16);
		return;
	}
	memcpy(out, mapped, 12);
	memcpy(out + 12, &a->in.sin_addr, 4);
}

/* Is the peer one of the web server's addresses, "192.0.2.1,2001:db8::1"? */
static int
is_listed(const union address *peer, const char *list)
{
	unsigned char its[16], one[16];
	char text[INET6_ADDRSTRLEN];
	union address a;
	size_t n;

	widen(peer, its);
	while (*list != '\0') {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n < sizeof text) {
			memcpy(text, list, n);
			text[n] = '\0';
			if (numeric(text, &a) == 0) {
				widen(&a, one);
				if (memcmp(its, one, sizeof one) == 0)
					return 1;
			}
		}
		list += n;
	}
	return 0;
}

static int
is_welcome(const union address *peer)
{
	const char *list = getenv("FCGI_WEB_SERVER_ADDRS");

	if (peer->any.sa_family != AF_INET && peer->any.sa_family != AF_INET6)
		return 1;
	return list == NULL || *list == '\0' || is_listed(peer, list);
}

/*
 * The least distance (time to live) of segments that are taken: what is above
 * all that senders use lets none in. A connection inherits it from its
 * listener, if it was just being made.
 */
static int
set_least_distance(int fd, int family, int least)
{
#if defined IP_MINTTL && defined IPV6_MINHOPCOUNT
	return family == AF_INET
		   ? setsockopt(fd, IPPROTO_IP, IP_MINTTL, &least, sizeof least)
		   : setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least,
			 sizeof least);
#else
	(void)fd;
	(void)family;
	(void)least;
	errno = ENOSYS;
	return -1;
#endif
}

int
listen_deafen(int fd)
{
	union address a;
	socklen_t size = sizeof a;

	if (getsockname(fd, &a.any, &size) == -1)
		return -1;
	if (a.any.sa_family == AF_UNIX)
		return shutdown(fd, SHUT_RD);
	is_deaf = 1;
	return set_least_distance(fd, a.any.sa_family, DISTANCE_MOST);
}

static int
accept_one(int fd, union address *peer)
{
	socklen_t size = sizeof *peer;
	int conn;

	memset(peer, 0, sizeof *peer);
#ifdef HAVE_ACCEPT4
	conn = accept4(fd, &peer->any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
	conn = accept(fd, &peer->any, &size);
	if (conn != -1 &&
	    (fd_nonblock(conn) == -1 || fd_cloexec(conn, 1) == -1))
		fd_close(&conn);
#endif
	return conn;
}

/* A blocking socket must not hold us up; that costs a call only there. */
static int
has_caller(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || flags & O_NONBLOCK)
		return 1; /* accept says what is wrong */
	return poll(&p, 1, 0) > 0;
}

int
listen_accept(int fd)
{
	const int on = 1;
	union address peer;
	int conn;

	do {
		if (!has_caller(fd)) {
			errno = EAGAIN;
			return -1;
		}
		conn = accept_one(fd, &peer);
	} while (conn == -1 && (errno == EINTR || errno == ECONNABORTED));
	if (conn == -1)
		return -1;
	if (!is_welcome(&peer)) {
		fd_close(&conn);
		errno = EAGAIN; /* the next one is told by the next poll */
		return -1;
	}
	if (peer.any.sa_family == AF_INET || peer.any.sa_family == AF_INET6) {
		setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (is_deaf)
			(void)set_least_distance(conn, peer.any.sa_family, 0);
	}
	return conn;
}

#ifdef EPOLLEXCLUSIVE
static int
line_join(int line, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE };

	return epoll_ctl(line, EPOLL_CTL_ADD, fd, &event);
}

int
listen_line(int fd)
{
	int line = epoll_create1(EPOLL_CLOEXEC);

	if (line != -1 && line_join(line, fd) == -1)
		fd_close(&line);
	return line;
}

void
listen_line_again(int line, int fd)
{
	(void)epoll_ctl(line, EPOLL_CTL_DEL, fd, NULL);
	(void)line_join(line, fd);
}
#else
int
listen_line(int fd)
{
	(void)fd;
	errno = ENOSYS;
	return -1;
}

void
listen_line_again(int line, int fd)
{
	(void)line;
	(void)fd;
}
#endif
