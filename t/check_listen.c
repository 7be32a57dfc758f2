#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef HAVE_SYS_EPOLL_H
#include <sys/epoll.h>
#endif

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/listen.h"
#include "t/check.h"
#include "t/scene.h"

static struct problem why;
static char text[1024];

static int
listening(const char *address, mode_t mode)
{
	int fd = listen_on(address, mode, &why);

	ck_assert_msg(fd != -1, "%s: %s", address, why.text);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(listen_is(fd), 1);
	return fd;
}

static void
refused(const char *address, const char *sentence)
{
	int before = scene_descriptors();

	ck_assert_int_eq(listen_on(address, 0600, &why), -1);
	ck_assert_msg(strstr(why.text, sentence) != NULL, "%s: \"%s\"", address,
	    why.text);
	ck_assert_int_eq(scene_descriptors(), before);
}

/* A client of the unix socket at the path. */
static int
call(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(a.sun_path, path, strlen(path));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static int
entries(void)
{
	FILE *ls = popen("ls -A | wc -l", "r");
	int n = -1;

	ck_assert_int_eq(fscanf(ls, "%d", &n), 1);
	pclose(ls);
	return n;
}

START_TEST(test_a_unix_socket_is_served_and_nothing_else_is_left)
{
	int fd, client, conn;
	char byte;

	scene_enter();
	fd = listening("unix:sock", 0600);
	ck_assert_int_eq(entries(), 1);
	client = call("sock");
	conn = listen_accept(fd);
	ck_assert_int_ne(conn, -1);
	ck_assert_int_eq(fcntl(conn, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(conn, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(write(client, "x", 1), 1);
	ck_assert_int_eq(read(conn, &byte, 1), 1);
	ck_assert_int_eq(listen_accept(fd), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(client);
	close(conn);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_a_unix_socket_has_the_mode_that_was_asked_for)
{
	static const mode_t modes[] = { 0600, 0660, 0666 };
	static const mode_t masks[] = { 0, 022, 0777 };
	struct stat st;
	int fd;

	scene_enter();
	for (int i = 0; i < 9; i++) {
		umask(masks[i / 3]);
		fd = listening("unix:sock", modes[i % 3]);
		ck_assert_int_eq(stat("sock", &st), 0);
		ck_assert_uint_eq(st.st_mode & 0777, modes[i % 3]);
		ck_assert_uint_eq(umask(masks[i / 3]), masks[i / 3]);
		close(fd);
	}
	umask(022);
	scene_leave();
}
END_TEST

START_TEST(test_a_stale_socket_is_replaced_and_one_in_use_is_not)
{
	int first, client, conn;

	scene_enter();
	first = listening("unix:sock", 0600);
	refused("unix:sock", "somebody is listening on sock already");
	while ((conn = listen_accept(first)) != -1)
		close(
		    conn); /* that was the question whether anybody is there */
	client = call("sock");
	conn = listen_accept(first); /* the first one has not been harmed */
	ck_assert_int_ne(conn, -1);
	close(client);
	close(conn);
	close(first);
	first = listening("unix:sock", 0600);
	client = call("sock");
	conn = listen_accept(first);
	ck_assert_int_ne(conn, -1);
	close(client);
	close(conn);
	close(first);
	ck_assert_int_eq(entries(), 1);
	scene_leave();
}
END_TEST

START_TEST(test_a_socket_whose_queue_is_full_is_in_use)
{
	int fd, clients[3];

	scene_enter();
	fd = listening("unix:sock", 0600);
	ck_assert_int_eq(listen(fd, 0), 0);
	for (int i = 0; i < 3; i++) { /* until nobody more fits in */
		struct sockaddr_un a = { .sun_family = AF_UNIX,
			.sun_path = "sock" };

		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(clients[i], (struct sockaddr *)&a, sizeof a) == -1)
			ck_assert_int_eq(errno, EAGAIN);
	}
	refused("unix:sock", "somebody is listening on sock already");
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_whatever_is_not_a_socket_is_left_alone)
{
	int datagram;
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "dgram" };

	scene_enter();
	scene_write("file", "precious");
	refused("unix:file", "file is a file, not a socket: not replaced");
	ck_assert_uint_eq(scene_read("file", text, sizeof text), 8);
	ck_assert_int_eq(mkdir("directory", 0700), 0);
	refused("unix:directory", "is a directory, not a socket");
	close(listening("unix:stale", 0600));
	ck_assert_int_eq(symlink("stale", "link"), 0);
	refused("unix:link", "is a symbolic link, not a socket");
	ck_assert_int_eq(symlink("nowhere", "dangling"), 0);
	refused("unix:dangling", "is a symbolic link, not a socket");
	ck_assert_int_eq(mkfifo("pipe", 0600), 0);
	refused("unix:pipe", "is a file, not a socket");
	datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert_int_eq(bind(datagram, (struct sockaddr *)&a, sizeof a), 0);
	refused("unix:dgram", "cannot tell whether the socket dgram is in use");
	close(datagram);
	scene_leave();
}
END_TEST

/* Somebody else's socket in a directory where we may write. */
static void
replace_foreign(void)
{
	if (chmod(".", 0777) == -1 || setuid(65533) == -1)
		_exit(1);
	if (listen_on("unix:sock", 0600, &why) != -1)
		_exit(2);
	dprintf(STDERR_FILENO, "%s", why.text);
}

START_TEST(test_a_socket_of_another_user_is_left_alone)
{
	scene_enter();
	close(listening("unix:sock", 0600));
	if (geteuid() == 0) { /* else there is no other user to be */
		ck_assert_int_eq(
		    scene_child(replace_foreign, text, sizeof text), 0);
		ck_assert_str_eq(
		    text, "the socket sock belongs to another user");
	}
	scene_leave();
}
END_TEST

START_TEST(test_a_path_may_be_as_long_as_it_says_and_no_longer)
{
	char address[256];
	unsigned most;

	scene_enter();
	memset(address, 'x', sizeof address);
	memcpy(address, "unix:", 5);
	address[200] = '\0';
	refused(address, "is too long for a socket: at most ");
	ck_assert_int_eq(
	    sscanf(strstr(why.text, "most "), "most %u bytes", &most), 1);
	ck_assert_uint_ge(most, 90);
	address[5 + most] = '\0';
	close(listening(address, 0600));
	address[5 + most] = 'x';
	address[5 + most + 1] = '\0';
	refused(address, "is too long for a socket: at most ");
	ck_assert_int_eq(entries(), 1);
	scene_leave();
}
END_TEST

START_TEST(test_what_cannot_be_bound_is_said)
{
	scene_enter();
	refused("unix:no/such/sock",
	    "cannot bind no/such/sock: No such file or directory");
	refused("unix:", "needs a path");
	refused("", "is not an address: write unix:/PATH or tcp:HOST:PORT");
	refused("/tmp/sock", "is not an address");
	ck_assert_int_eq(entries(), 0);
	scene_leave();
}
END_TEST

START_TEST(test_an_address_that_is_none_is_refused_with_a_sentence)
{
	static const struct {
		const char *address, *sentence;
	} cases[] = {
		{ "tcp:", "the port must be 1 to 65535" },
		{ "tcp:127.0.0.1", "the port must be 1 to 65535" },
		{ "tcp:127.0.0.1:", "the port must be 1 to 65535" },
		{ "tcp:127.0.0.1:0", "the port must be 1 to 65535" },
		{ "tcp:127.0.0.1:65536", "the port must be 1 to 65535" },
		{ "tcp:127.0.0.1:99999999999999999999",
		    "the port must be 1 to 65535" },
		{ "tcp:127.0.0.1:-1", "the port must be 1 to 65535" },
		{ "tcp:127.0.0.1:9x", "the port must be 1 to 65535" },
		{ "tcp:::1:9000", "in brackets" },
		{ "tcp::9000", "needs a host" },
		{ "tcp:[]:9000", "needs a host" },
		{ "tcp:[::1:9000", "in brackets" },
		/* a label that is too long needs no name server to fail */
		{ "tcp:x1234567890123456789012345678901234567890123456789012345"
		  "6789012345:9000",
		    "cannot find the address of \"x123" },
		{ "tcp:192.0.2.1:9000", "cannot listen on tcp:192.0.2.1:9000" },
	};
	char address[400];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		refused(cases[i].address, cases[i].sentence);
	memset(address, 'x', sizeof address);
	memcpy(address, "tcp:", 4);
	memcpy(address + 300, ":9000", 6);
	refused(address, "needs a host");
}
END_TEST

/* A port that was free a moment ago. */
static int
free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static int port;

/* Listens on a free port of the host. */
static int
listening_tcp(const char *host)
{
	char address[64];
	int fd = -1;

	for (int tries = 0; tries < 20 && fd == -1; tries++) {
		port = free_port();
		snprintf(address, sizeof address, "tcp:%s:%d", host, port);
		fd = listen_on(address, 0600, &why);
	}
	ck_assert_msg(fd != -1, "%s", why.text);
	ck_assert_int_eq(listen_is(fd), 1);
	return fd;
}

static int
call_from(const char *source)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(inet_pton(AF_INET, source, &a.sin_addr), 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((uint16_t)port);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* Waits for a caller first: TCP needs a moment. */
static int
accepted(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	return listen_accept(fd);
}

START_TEST(test_tcp_is_served_by_number_and_by_name)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost",
		"0.0.0.0" };
	int fd, client, conn;

	for (size_t i = 0; i < 3; i++) {
		fd = listening_tcp(hosts[i]);
		client = call_from("127.0.0.1");
		conn = accepted(fd);
		ck_assert_int_ne(conn, -1);
		ck_assert_int_eq(fcntl(conn, F_GETFD), FD_CLOEXEC);
		ck_assert_int_ne(fcntl(conn, F_GETFL) & O_NONBLOCK, 0);
		close(client);
		close(conn);
		close(fd);
	}
}
END_TEST

START_TEST(test_a_tcp_port_can_be_used_again_at_once)
{
	char address[64];
	int fd = listening_tcp("127.0.0.1"), client = call_from("127.0.0.1"),
	    conn = accepted(fd);

	close(conn); /* ours is the side that waits in TIME_WAIT */
	close(client);
	close(fd);
	snprintf(address, sizeof address, "tcp:127.0.0.1:%d", port);
	fd = listening(address, 0600);
	refused(address, "cannot listen on tcp:127.0.0.1:");
	close(fd);
}
END_TEST

static int
has_ipv6(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int has = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;

	close(fd);
	return has;
}

START_TEST(test_ipv6_is_written_in_brackets)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd, client, conn;

	if (!has_ipv6()) { /* then the sentence says so */
		refused("tcp:[::1]:9000", "tcp:[::1]:9000");
		return;
	}
	fd = listening_tcp("[::1]");
	client = socket(AF_INET6, SOCK_STREAM, 0);
	a.sin6_port = htons((uint16_t)port);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&a, sizeof a), 0);
	conn = accepted(fd);
	ck_assert_int_ne(conn, -1);
	close(conn);
	close(client);
	close(fd);
}
END_TEST

/* Is a caller from 127.0.0.2 served while the variable has this value? */
static int
is_served(int fd, const char *list)
{
	int client = call_from("127.0.0.2"), conn;
	char byte;

	if (list == NULL)
		unsetenv("FCGI_WEB_SERVER_ADDRS");
	else
		setenv("FCGI_WEB_SERVER_ADDRS", list, 1);
	conn = accepted(fd);
	if (conn == -1) {
		ck_assert_int_eq(errno, EAGAIN);
		ck_assert_int_eq(read(client, &byte, 1), 0); /* hung up */
	}
	close(client);
	if (conn != -1)
		close(conn);
	return conn != -1;
}

START_TEST(test_only_the_web_servers_addresses_are_served)
{
	int fd = listening_tcp("127.0.0.1");

	ck_assert(is_served(fd, NULL));
	ck_assert(is_served(fd, ""));
	ck_assert(is_served(fd, "127.0.0.2"));
	ck_assert(is_served(fd, "127.0.0.1,127.0.0.2"));
	ck_assert(is_served(fd, "127.0.0.1, 127.0.0.2 ,::1"));
	ck_assert(is_served(fd, "nonsense,127.0.0.2"));
	ck_assert(is_served(fd, "::ffff:127.0.0.2"));
	ck_assert(!is_served(fd, "127.0.0.1"));
	ck_assert(!is_served(fd, "127.0.0.20"));
	ck_assert(!is_served(fd, "127.0.0."));
	ck_assert(!is_served(fd, "nonsense"));
	ck_assert(!is_served(fd, ","));
	ck_assert(!is_served(fd, "::127.0.0.2"));
	ck_assert(!is_served(fd, "123456789012345678901234567890123456789012345"
				 "6789012345678901234"));
	close(fd);
}
END_TEST

START_TEST(test_a_mapped_address_is_the_address)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	const int off = 0;
	int fd;

	if (!has_ipv6())
		return;
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	do {
		port = free_port();
		a.sin6_port = htons((uint16_t)port);
	} while (bind(fd, (struct sockaddr *)&a, sizeof a) == -1);
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert(is_served(fd, "127.0.0.2"));
	ck_assert(!is_served(fd, "127.0.0.1"));
	close(fd);
}
END_TEST

START_TEST(test_the_addresses_do_not_concern_unix_sockets)
{
	int fd, client, conn;

	scene_enter();
	setenv("FCGI_WEB_SERVER_ADDRS", "192.0.2.1", 1);
	fd = listening("unix:sock", 0600);
	client = call("sock");
	conn = listen_accept(fd);
	ck_assert_int_ne(conn, -1);
	close(conn);
	close(client);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_a_blocking_socket_without_a_caller_does_not_hold_us_up)
{
	int fd, client, conn;

	scene_enter();
	fd = listening("unix:sock", 0600);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	ck_assert_int_eq(listen_accept(fd), -1);
	ck_assert_int_eq(errno, EAGAIN);
	client = call("sock");
	conn = listen_accept(fd);
	ck_assert_int_ne(conn, -1);
	ck_assert_int_ne(fcntl(conn, F_GETFL) & O_NONBLOCK, 0);
	close(conn);
	close(client);
	close(fd);
	ck_assert_int_eq(listen_accept(-1), -1);
	ck_assert_int_eq(errno, EBADF);
	scene_leave();
}
END_TEST

START_TEST(test_only_a_listening_stream_socket_is_one)
{
	int fd, pair[2], file = open("/dev/null", O_RDWR);

	ck_assert_int_eq(listen_is(file), 0);
	close(file);
	ck_assert_int_eq(listen_is(file), 0);
	ck_assert_int_eq(fd_pair_stream(pair), 0);
	ck_assert_int_eq(listen_is(pair[0]), 0);
	fd_close(&pair[0]);
	ck_assert_int_eq(listen_is(pair[1]), 0);
	fd_close(&pair[1]);
	ck_assert_int_eq(fd_pipe(pair), 0);
	ck_assert_int_eq(listen_is(pair[0]), 0);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(listen_is(fd), 0);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ck_assert_int_eq(listen_is(fd), 0);
	close(fd);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(listen(fd, 1) == 0 && listen_is(fd), 0);
	close(fd);
	fd = listening_tcp("127.0.0.1");
	ck_assert_int_eq(listen_is(fd), 1);
	close(fd);
}
END_TEST

/* 3 and 5 are listening sockets, 4 is not, 6 is another one. */
static void
inherit(void)
{
	int fds[8], one;
	char pid[16];

	fd_close_from(3);
	one = listen_on("unix:a", 0600, &why);
	if (one != 3 || dup2(one, 5) != 5 || dup2(one, 6) != 6 ||
	    open("/dev/null", O_RDONLY) != 4)
		_exit(1);
	fcntl(5, F_SETFL, 0);
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_FDNAMES", "a:b:c", 1);
	if (listen_inherited(fds, 8) != 2 || fds[0] != 3 || fds[1] != 5)
		_exit(2);
	if (fcntl(5, F_GETFD) != FD_CLOEXEC ||
	    !(fcntl(5, F_GETFL) & O_NONBLOCK))
		_exit(3);
	if (getenv("LISTEN_PID") || getenv("LISTEN_FDS") ||
	    getenv("LISTEN_FDNAMES"))
		_exit(4);
	if (listen_inherited(fds, 8) != 0)
		_exit(5);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "4", 1);
	if (listen_inherited(fds, 2) != 2 || fds[1] != 5)
		_exit(6);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "9223372036854775807", 1);
	if (listen_inherited(fds, 8) != 3)
		_exit(7);
	setenv("LISTEN_PID", "1", 1); /* meant for another process */
	setenv("LISTEN_FDS", "3", 1);
	if (listen_inherited(fds, 8) != 0 || getenv("LISTEN_FDS"))
		_exit(8);
}

START_TEST(test_sockets_that_were_inherited_for_us_are_taken)
{
	int status;

	scene_enter();
	status = scene_child(inherit, text, sizeof text);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_int_eq(status, 0);
	scene_leave();
}
END_TEST

START_TEST(test_nonsense_in_the_environment_is_nothing)
{
	static const char *const nonsense[] = { "", "x", "1x", "-1", " 1",
		"99999999999999999999" };
	char pid[16];
	int fds[2];

	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", nonsense[i], 1);
		ck_assert_uint_eq(listen_inherited(fds, 2), 0);
		setenv("LISTEN_PID", nonsense[i], 1);
		setenv("LISTEN_FDS", "1", 1);
		ck_assert_uint_eq(listen_inherited(fds, 2), 0);
	}
	setenv("LISTEN_PID", pid, 1);
	ck_assert_uint_eq(listen_inherited(fds, 2), 0);
}
END_TEST

/* ---------------------------------------------------- a place in line -- */

START_TEST(test_a_deaf_unix_socket_gives_who_waits_and_refuses_others)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "sock" };
	int fd, client, late = socket(AF_UNIX, SOCK_STREAM, 0);

	scene_enter();
	fd = listening("unix:sock", 0600);
	client = call("sock");
	ck_assert_int_eq(listen_deafen(fd), 0);
	ck_assert_int_eq(connect(late, (struct sockaddr *)&a, sizeof a), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(accepted(fd));
	ck_assert_int_eq(listen_accept(fd), -1);
	close(late);
	close(client);
	close(fd);
	scene_leave();
}
END_TEST

#if defined IP_MINTTL && defined IPV6_MINHOPCOUNT
static int
port_of(int (*name)(int, struct sockaddr *, socklen_t *), int fd)
{
	struct sockaddr_in a = { .sin_port = 0 };
	socklen_t size = sizeof a;

	ck_assert_int_eq(name(fd, (struct sockaddr *)&a, &size), 0);
	return ntohs(a.sin_port);
}

START_TEST(test_who_comes_to_a_deaf_tcp_socket_finds_the_next_one)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char address[64], byte = 0;
	int fd = listening_tcp("127.0.0.1"), client, late, conn, other;
	struct pollfd p = { .events = POLLOUT };

	client = call_from("127.0.0.1");
	ck_assert_int_eq(listen_deafen(fd), 0);
	late = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a.sin_port = htons((uint16_t)port);
	ck_assert_int_eq(connect(late, (struct sockaddr *)&a, sizeof a), -1);
	ck_assert_int_eq(errno, EINPROGRESS);
	conn = accepted(fd);
	ck_assert_int_ne(conn, -1);
	ck_assert_int_eq(
	    port_of(getpeername, conn), port_of(getsockname, client));
	while ((other = listen_accept(fd)) != -1) { /* a stranger, at most */
		ck_assert_int_ne(
		    port_of(getpeername, other), port_of(getsockname, late));
		close(other);
	}
	ck_assert_int_eq(write(client, "x", 1), 1); /* nothing of his is lost */
	p.fd = conn;
	p.events = POLLIN;
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_eq(read(conn, &byte, 1), 1);
	close(fd);
	snprintf(address, sizeof address, "tcp:127.0.0.1:%d", port);
	fd = listening(address, 0600);
	p.fd = late;
	p.events = POLLOUT;
	ck_assert_int_eq(poll(&p, 1, 30000), 1);
	ck_assert_int_eq(p.revents, POLLOUT);
	close(accepted(fd));
	close(late);
	close(client);
	close(conn);
	close(fd);
}
END_TEST
#define DEAF                                                        \
	test_a_deaf_unix_socket_gives_who_waits_and_refuses_others, \
	    test_who_comes_to_a_deaf_tcp_socket_finds_the_next_one
#else
#define DEAF test_a_deaf_unix_socket_gives_who_waits_and_refuses_others
#endif

#ifdef EPOLLEXCLUSIVE
/* A process that sleeps, says why it woke, and sleeps again. */
struct sleeper {
	pid_t pid;
	int said;
};

/* A worker: waits at the socket itself, and accepts. */
static char
work(int listener)
{
	static int set = -1;
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE };

	if (set == -1) {
		set = epoll_create1(0);
		epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
		return '+';
	}
	epoll_wait(set, &event, 1, -1);
	return listen_accept(listener) == -1 ? '-' : 'a';
}

/* Who is in line behind workers. */
static char
respond(int line)
{
	struct pollfd at = { .fd = line, .events = POLLIN };

	poll(&at, 1, -1);
	return at.revents & POLLIN ? 'r' : '?';
}

static void
sleeper_start(struct sleeper *s, char (*wait)(int), int fd)
{
	int ends[2];
	char why_woken;

	ck_assert_int_eq(pipe(ends), 0);
	s->said = ends[0];
	if ((s->pid = fork()) != 0) {
		close(ends[1]);
		return;
	}
	if (wait == work)
		work(fd);
	do { /* one who has nobody to tell ends */
		if (write(ends[1], ".", 1) == -1)
			_exit(1);
		why_woken = wait(fd);
	} while (write(ends[1], &why_woken, 1) == 1);
	_exit(0);
}

static char
sleeper_says(const struct sleeper *s)
{
	struct pollfd at = { .fd = s->said, .events = POLLIN };
	char word = '\0';

	ck_assert_int_eq(poll(&at, 1, 20000), 1);
	ck_assert_int_eq(read(s->said, &word, 1), 1);
	return word;
}

/* What the system says of a process under a name. */
static void
sleeper_status(const struct sleeper *s, const char *name, char *value)
{
	static char status[8192];
	char path[64], *at;

	snprintf(path, sizeof path, "/proc/%ld/status", (long)s->pid);
	scene_read(path, status, sizeof status);
	at = strstr(status, name);
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(sscanf(at + strlen(name), ": %15s", value), 1);
}

/* Waits until it sleeps; returns how often it did that. */
static long
sleeper_sleeps(const struct sleeper *s)
{
	int64_t end = clock_ms() + 20000;
	char value[16];

	ck_assert_int_eq(sleeper_says(s), '.');
	do {
		ck_assert_int_lt(clock_ms(), end);
		sleeper_status(s, "State", value);
	} while (value[0] != 'S');
	sleeper_status(s, "\nvoluntary_ctxt_switches", value);
	return atol(value);
}

/* Has it slept all the time since it did that? */
static int
sleeper_slept(const struct sleeper *s, long since)
{
	char value[16];

	sleeper_status(s, "State", value);
	if (value[0] != 'S')
		return 0;
	sleeper_status(s, "\nvoluntary_ctxt_switches", value);
	return atol(value) == since;
}

static void
sleeper_end(struct sleeper *s)
{
	kill(s->pid, SIGKILL);
	ck_assert_int_eq(waitpid(s->pid, NULL, 0), s->pid);
	close(s->said);
}

static int
line_at(int listener)
{
	int line = listen_line(listener);

	ck_assert_int_ne(line, -1);
	ck_assert_int_eq(fcntl(line, F_GETFD), FD_CLOEXEC);
	return line;
}

START_TEST(test_who_is_in_line_sleeps_while_another_is_idle)
{
	struct sleeper worker, responder;
	int fd, line, client[10];
	long since;

	scene_enter();
	fd = listening("unix:sock", 0600);
	sleeper_start(&worker, work, fd);
	(void)sleeper_sleeps(&worker);
	line = line_at(fd);
	sleeper_start(&responder, respond, line);
	since = sleeper_sleeps(&responder);
	for (int i = 0; i < 10; i++) {
		client[i] = call("sock");
		ck_assert_int_eq(sleeper_says(&worker), 'a');
		(void)sleeper_sleeps(&worker);
		ck_assert(sleeper_slept(&responder, since));
	}
	for (int i = 0; i < 10; i++)
		close(client[i]);
	sleeper_end(&worker);
	sleeper_end(&responder);
	close(line);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_who_is_in_line_is_woken_when_nobody_is_idle)
{
	struct sleeper worker, responder;
	int fd, line, client[2];

	scene_enter();
	fd = listening("unix:sock", 0600);
	sleeper_start(&worker, work, fd);
	(void)sleeper_sleeps(&worker);
	line = line_at(fd);
	sleeper_start(&responder, respond, line);
	(void)sleeper_sleeps(&responder);
	/* it is busy, as far as the socket can tell: it does not wait there */
	ck_assert_int_eq(kill(worker.pid, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(worker.pid, NULL, WUNTRACED), worker.pid);
	client[0] = call("sock");
	ck_assert_int_eq(sleeper_says(&responder), 'r');
	/* nor is there anybody when it is dead */
	ck_assert_int_ge(listen_accept(fd), 0);
	sleeper_end(&worker);
	sleeper_end(&responder);
	sleeper_start(&responder, respond, line);
	(void)sleeper_sleeps(&responder);
	client[1] = call("sock");
	ck_assert_int_eq(sleeper_says(&responder), 'r');
	sleeper_end(&responder);
	close(client[0]);
	close(client[1]);
	close(line);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_what_waits_already_is_told_to_who_is_in_line)
{
	struct pollfd at = { .events = POLLIN };
	int fd, client;

	scene_enter();
	fd = listening("unix:sock", 0600);
	client = call("sock");
	at.fd = line_at(fd);
	ck_assert_int_eq(poll(&at, 1, 0), 1);
	ck_assert_int_eq(poll(&at, 1, 0), 1); /* as long as it waits */
	ck_assert_int_ge(listen_accept(fd), 0);
	ck_assert_int_eq(poll(&at, 1, 0), 0);
	close(client);
	client = call("sock");
	listen_line_again(at.fd, fd);
	ck_assert_int_eq(poll(&at, 1, 0), 1);
	close(client);
	close(at.fd);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_who_comes_later_is_let_past_by_going_to_the_end_again)
{
	struct sleeper worker, responder;
	int fd, line, client;
	long since;

	scene_enter();
	fd = listening("unix:sock", 0600);
	line = line_at(fd);
	sleeper_start(&responder, respond, line);
	since = sleeper_sleeps(&responder);
	sleeper_start(&worker, work, fd);
	(void)sleeper_sleeps(&worker);
	listen_line_again(line, fd);
	ck_assert(sleeper_slept(&responder, since));
	for (int i = 0; i < 10; i++) {
		client = call("sock");
		ck_assert_int_eq(sleeper_says(&worker), 'a');
		(void)sleeper_sleeps(&worker);
		ck_assert(sleeper_slept(&responder, since));
		close(client);
	}
	sleeper_end(&worker);
	client = call("sock");
	ck_assert_int_eq(sleeper_says(&responder), 'r');
	sleeper_end(&responder);
	close(client);
	close(line);
	close(fd);
	scene_leave();
}
END_TEST

START_TEST(test_there_is_no_line_at_what_nobody_can_wait_for)
{
	int fd, before;

	scene_enter();
	scene_write("file", "");
	fd = open("file", O_RDONLY | O_CLOEXEC);
	before = scene_descriptors();
	ck_assert_int_eq(listen_line(fd), -1);
	ck_assert_int_eq(listen_line(-1), -1);
	ck_assert_int_eq(scene_descriptors(), before);
	close(fd);
	scene_leave();
}
END_TEST
#define LINES                                                           \
	test_who_is_in_line_sleeps_while_another_is_idle,               \
	    test_who_is_in_line_is_woken_when_nobody_is_idle,           \
	    test_what_waits_already_is_told_to_who_is_in_line,          \
	    test_who_comes_later_is_let_past_by_going_to_the_end_again, \
	    test_there_is_no_line_at_what_nobody_can_wait_for
#else
START_TEST(test_there_is_no_line_here)
{
	int fd;

	scene_enter();
	fd = listening("unix:sock", 0600);
	ck_assert_int_eq(listen_line(fd), -1);
	ck_assert_int_eq(errno, ENOSYS);
	close(fd);
	scene_leave();
}
END_TEST
#define LINES test_there_is_no_line_here
#endif

SUITE("listen", test_a_unix_socket_is_served_and_nothing_else_is_left,
    test_a_unix_socket_has_the_mode_that_was_asked_for,
    test_a_stale_socket_is_replaced_and_one_in_use_is_not,
    test_a_socket_whose_queue_is_full_is_in_use,
    test_whatever_is_not_a_socket_is_left_alone,
    test_a_socket_of_another_user_is_left_alone,
    test_a_path_may_be_as_long_as_it_says_and_no_longer,
    test_what_cannot_be_bound_is_said,
    test_an_address_that_is_none_is_refused_with_a_sentence,
    test_tcp_is_served_by_number_and_by_name,
    test_a_tcp_port_can_be_used_again_at_once, test_ipv6_is_written_in_brackets,
    test_only_the_web_servers_addresses_are_served,
    test_a_mapped_address_is_the_address,
    test_the_addresses_do_not_concern_unix_sockets,
    test_a_blocking_socket_without_a_caller_does_not_hold_us_up,
    test_only_a_listening_stream_socket_is_one,
    test_sockets_that_were_inherited_for_us_are_taken,
    test_nonsense_in_the_environment_is_nothing, DEAF, LINES);
