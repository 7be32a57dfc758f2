#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "t/check.h"
#include "t/scene.h"

/* In a scene_child() nothing can be asserted by libcheck. */
#define EXPECT(fact) expect(fact, #fact)

static void
expect(int fact, const char *text)
{
	if (fact)
		return;
	dprintf(STDERR_FILENO, "not so: %s\n", text);
	_exit(1);
}

static void
in_child(void (*run)(void))
{
	char said[512];
	int status = scene_child(run, said, sizeof said);

	ck_assert_msg(status == 0, "status %#x: %s", (unsigned)status, said);
}

static int
is_cloexec(int fd)
{
	return fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

START_TEST(test_closing_forgets_and_keeps_errno)
{
	int fd = open("/dev/null", O_RDONLY), copy = fd;

	errno = 7;
	fd_close(&fd);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(errno, 7);
	ck_assert_int_eq(fcntl(copy, F_GETFD), -1);
	errno = 7;
	fd_close(&fd);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(errno, 7);
	fd = copy; /* closed already: still forgotten, and quiet */
	fd_close(&fd);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(errno, 7);
}
END_TEST

START_TEST(test_flags_are_set_and_others_kept)
{
	int ends[2];

	ck_assert_int_eq(fd_pair_stream(ends), 0);
	ck_assert_int_eq(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fd_nonblock(ends[0]), 0);
	ck_assert_int_eq(fcntl(ends[0], F_GETFL), O_RDWR | O_NONBLOCK);
	ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fd_cloexec(ends[0], 0), 0);
	ck_assert_int_eq(fcntl(ends[0], F_GETFD), 0);
	ck_assert_int_eq(fd_cloexec(ends[0], 1), 0);
	ck_assert(is_cloexec(ends[0]));
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	ck_assert_int_eq(fd_nonblock(-1), -1);
	ck_assert_int_eq(fd_cloexec(-1, 1), -1);
}
END_TEST

START_TEST(test_pairs_and_pipes_are_close_on_exec_from_birth)
{
	int (*const make[])(
	    int *) = { fd_pair_stream, fd_pair_seqpacket, fd_pipe };
	int ends[2];
	char c;

	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(make[i](ends), 0);
		ck_assert(is_cloexec(ends[0]) && is_cloexec(ends[1]));
		ck_assert_int_eq(write(ends[1], "x", 1), 1);
		ck_assert_int_eq(read(ends[0], &c, 1), 1);
		fd_close(&ends[0]);
		fd_close(&ends[1]);
	}
}
END_TEST

static void
limit_descriptors(rlim_t soft)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = soft;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void
make_too_many(void)
{
	int (*const make[])(
	    int *) = { fd_pair_stream, fd_pair_seqpacket, fd_pipe };
	int ends[2];

	limit_descriptors(0);
	for (size_t i = 0; i < 3; i++) {
		ends[0] = ends[1] = 0;
		errno = 0;
		EXPECT(make[i](ends) == -1 && errno == EMFILE);
		EXPECT(ends[0] == -1 && ends[1] == -1);
	}
	EXPECT(fd_unnamed(AT_FDCWD) == -1 && errno == EMFILE);
}

START_TEST(test_without_descriptors_both_ends_are_none)
{
	in_child(make_too_many);
}
END_TEST

static void
reopen_std(void)
{
	for (int closed = 0; closed < 8; closed++) {
		for (int fd = 0; fd <= 2; fd++)
			if (closed >> fd & 1)
				close(fd);
		EXPECT(fd_open_std() == 0);
		for (int fd = 0; fd <= 2; fd++)
			EXPECT(fcntl(fd, F_GETFD) == 0);
	}
	EXPECT(write(1, "x", 1) == 1);
	EXPECT(fcntl(3, F_GETFD) == -1);
}

static void
reopen_std_alone(void)
{
	fd_close_from(3);
	reopen_std();
}

START_TEST(test_standard_descriptors_that_are_closed_are_opened)
{
	in_child(reopen_std_alone);
}
END_TEST

static void
close_many(void)
{
	int high = fcntl(2, F_DUPFD, 900), low = fcntl(2, F_DUPFD, 20);

	EXPECT(high >= 900 && low >= 20);
	for (int i = 0; i < 300; i++)
		EXPECT(dup(2) != -1);
	fd_close_from(low + 1);
	EXPECT(fcntl(low, F_GETFD) != -1);
	for (int fd = low + 1; fd < 1024; fd++)
		EXPECT(fcntl(fd, F_GETFD) == -1);
	fd_close_from(low + 1); /* nothing to do */
	EXPECT(fcntl(low, F_GETFD) != -1);
	EXPECT(fcntl(2, F_GETFD) != -1);
}

START_TEST(test_closing_from_leaves_exactly_those_below)
{
	in_child(close_many);
}
END_TEST

static void
close_above_limit(void)
{
	int high = fcntl(2, F_DUPFD, 900);

	limit_descriptors(100);
	fd_close_from(3);
	EXPECT(fcntl(high, F_GETFD) == -1);
}

START_TEST(test_closing_from_reaches_above_a_limit_that_was_lowered)
{
	in_child(close_above_limit);
}
END_TEST

static rlim_t
soft_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

static void
raise_and_restore(void)
{
	struct rlimit limit;

	limit_descriptors(77);
	fd_restore_limit();
	EXPECT(soft_limit() == 77);
	getrlimit(RLIMIT_NOFILE, &limit);
	fd_raise_limit();
	EXPECT(soft_limit() == limit.rlim_max);
	fd_raise_limit();
	fd_restore_limit();
	EXPECT(soft_limit() == 77);
}

START_TEST(test_the_limit_is_raised_to_the_hard_one_and_can_be_restored)
{
	in_child(raise_and_restore);
}
END_TEST

/* --- messages --- */

static int ends[2];

static void
pair(void)
{
	ck_assert_int_eq(fd_pair_seqpacket(ends), 0);
}

static void
unpair(void)
{
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

/* Are the two the same file? */
static int
same(int a, int b)
{
	struct stat one, two;

	return fstat(a, &one) == 0 && fstat(b, &two) == 0 &&
	       one.st_ino == two.st_ino && one.st_dev == two.st_dev;
}

START_TEST(test_a_message_carries_up_to_16_descriptors_in_order)
{
	int sent[FD_PASS_MOST], got[FD_PASS_MOST];
	char bytes[8];
	size_t n;

	pair();
	for (int i = 0; i < FD_PASS_MOST; i += 2)
		ck_assert_int_eq(fd_pipe(sent + i), 0);
	for (size_t count = 0; count <= FD_PASS_MOST; count++) {
		ck_assert_int_eq(fd_send(ends[0], "hello", 5, sent, count), 5);
		n = FD_PASS_MOST;
		ck_assert_int_eq(
		    fd_recv(ends[1], bytes, sizeof bytes, got, &n), 5);
		ck_assert_mem_eq(bytes, "hello", 5);
		ck_assert_uint_eq(n, count);
		for (size_t i = 0; i < n; i++) {
			ck_assert(same(got[i], sent[i]));
			ck_assert(is_cloexec(got[i]));
			fd_close(&got[i]);
		}
	}
	for (int i = 0; i < FD_PASS_MOST; i++)
		fd_close(&sent[i]);
	unpair();
}
END_TEST

START_TEST(test_descriptors_that_were_not_asked_for_are_closed)
{
	int sent[4] = { 0, 1, 2, 1 }, got[2], open_before;
	char bytes[8];
	size_t n = 2;

	pair();
	open_before = scene_descriptors();
	ck_assert_int_eq(fd_send(ends[0], "x", 1, sent, 4), 1);
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, got, &n), 1);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(scene_descriptors(), open_before + 2);
	fd_close(&got[0]);
	fd_close(&got[1]);
	n = 0;
	ck_assert_int_eq(fd_send(ends[0], "x", 1, sent, 4), 1);
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, got, &n), 1);
	ck_assert_int_eq(fd_send(ends[0], "x", 1, sent, 4), 1);
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, NULL, NULL), 1);
	ck_assert_int_eq(scene_descriptors(), open_before);
	unpair();
}
END_TEST

/* One more than fd_send() allows. */
static void
send_17(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(17 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int fds[17] = { 0 };

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(head), fds, sizeof fds);
	ck_assert_int_eq(sendmsg(ends[0], &message, 0), 1);
}

START_TEST(test_a_message_or_descriptors_that_were_cut_are_refused_whole)
{
	int fds[3] = { 0, 1, 2 }, got[FD_PASS_MOST], open_before;
	char bytes[4];
	size_t n = FD_PASS_MOST;

	pair();
	open_before = scene_descriptors();
	ck_assert_int_eq(fd_send(ends[0], "1234", 4, fds, 3), 4);
	ck_assert_int_eq(fd_send(ends[0], "12345", 5, fds, 3), 5);
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, got, &n), 4);
	ck_assert_uint_eq(n, 3);
	for (int i = 0; i < 3; i++)
		fd_close(&got[i]);
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, got, &n), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_uint_eq(n, 0);
	send_17();
	n = FD_PASS_MOST;
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, got, &n), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(scene_descriptors(), open_before);
	ck_assert_int_eq(fd_send(ends[0], "next", 4, NULL, 0), 4);
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, NULL, NULL), 4);
	unpair();
}
END_TEST

static void
receive_without_room(void)
{
	int fds[2] = { 0, 1 }, got[2];
	char bytes[4];
	size_t n = 2;

	EXPECT(fd_send(ends[0], "x", 1, fds, 2) == 1);
	fd_close_from(ends[0] > ends[1] ? ends[0] + 1 : ends[1] + 1);
	while (dup(2) < 40)
		continue;
	limit_descriptors(40);
	errno = 0;
	EXPECT(fd_recv(ends[1], bytes, sizeof bytes, got, &n) == -1);
	EXPECT(errno == EMSGSIZE && n == 0);
}

START_TEST(test_descriptors_that_find_no_room_are_an_error)
{
	pair();
	in_child(receive_without_room);
	unpair();
}
END_TEST

START_TEST(test_nothing_waits_and_the_end_is_told)
{
	char bytes[4];
	int fd = 0;
	size_t n;

	pair();
	n = 1;
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, &fd, &n), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(fd_send(ends[0], "", 0, NULL, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	while (fd_send(ends[0], bytes, sizeof bytes, NULL, 0) != -1)
		continue;
	ck_assert_int_eq(errno, EAGAIN);
	while (fd_recv(ends[1], bytes, sizeof bytes, NULL, NULL) > 0)
		continue;
	fd_close(&ends[0]);
	n = 1;
	ck_assert_int_eq(fd_recv(ends[1], bytes, sizeof bytes, &fd, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(fd_send(ends[1], "x", 1, NULL, 0), -1);
	ck_assert_int_eq(errno, EPIPE); /* and no signal */
	unpair();
}
END_TEST

START_TEST(test_the_user_at_the_other_end_is_known)
{
	uid_t uid = 12345;
	pid_t pid = -1;
	int file = open("/dev/null", O_RDONLY);

	pair();
	ck_assert_int_eq(fd_peer(ends[0], &uid, &pid), 0);
	ck_assert_uint_eq(uid, geteuid());
#ifdef __linux__
	ck_assert_int_eq(pid, getpid());
#endif
	ck_assert_int_eq(fd_peer(file, &uid, &pid), -1);
	fd_close(&file);
	file = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(fd_peer(file, &uid, &pid), -1);
	fd_close(&file);
	unpair();
}
END_TEST

START_TEST(test_an_unnamed_file_is_private_and_leaves_nothing)
{
	const char *directory = scene_enter();
	struct stat st;
	char bytes[5];
	int dir_fd, fd;

	dir_fd = open(directory, O_RDONLY | O_DIRECTORY);
	fd = fd_unnamed(dir_fd);
	ck_assert_int_ne(fd, -1);
	ck_assert(is_cloexec(fd));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_int_eq(write(fd, "hello", 5), 5);
	ck_assert_int_eq(pread(fd, bytes, 5, 0), 5);
	ck_assert_mem_eq(bytes, "hello", 5);
	fd_close(&fd);
	ck_assert_int_eq(rmdir(directory), 0); /* it is empty */
	fd_close(&dir_fd);
}
END_TEST

START_TEST(test_an_unnamed_file_needs_a_directory)
{
	ck_assert_int_eq(fd_unnamed(-1), -1);
	ck_assert_int_eq(errno, EBADF);
}
END_TEST

/* Tries to take the lock of `path`: 0, or errno. */
static int
lock_of_another(const char *path)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = fd_lock_open(path);

		_exit(fd == -1 || fd_lock(fd) == -1 ? errno : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Who holds it, as another process sees it, is this one? */
static int
is_held_by_us(const char *path)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fd_lock_holder(open(path, O_RDONLY)) == getppid());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(test_one_process_has_a_lock_until_it_closes_it)
{
	int fd, flags;

	scene_enter();
	fd = fd_lock_open("lock");
	ck_assert_int_ne(fd, -1);
	flags = fcntl(fd, F_GETFD);
	ck_assert_int_eq(flags, FD_CLOEXEC);
	ck_assert_int_eq(fd_lock_holder(fd), 0);
	ck_assert_int_eq(lock_of_another("lock"), 0);
	ck_assert(!is_held_by_us("lock"));
	ck_assert_int_eq(fd_lock(fd), 0);
	ck_assert_int_eq(fd_lock(fd), 0);
	ck_assert_int_eq(lock_of_another("lock"), EAGAIN);
	ck_assert(is_held_by_us("lock"));
	fd_close(&fd);
	ck_assert_int_eq(lock_of_another("lock"), 0);
	ck_assert(!is_held_by_us("lock"));
	ck_assert_int_eq(symlink("lock", "link"), 0);
	ck_assert_int_eq(fd_lock_open("link"), -1);
	ck_assert_int_eq(fd_lock(-1), -1);
	ck_assert_int_eq(fd_lock_holder(-1), 0);
	scene_leave();
}
END_TEST

START_TEST(test_randomness_fills_everything_and_never_repeats)
{
	unsigned char a[1000], b[1000];
	int zeros = 0;

	fd_random(a, sizeof a);
	fd_random(b, sizeof b);
	ck_assert_mem_ne(a, b, sizeof a);
	ck_assert_mem_ne(a, a + 500, 16);
	for (size_t i = 0; i < sizeof a; i++)
		zeros += a[i] == 0;
	ck_assert_int_lt(zeros, 50);
	fd_random(a, 0);
}
END_TEST

START_TEST(test_random_digits_fill_their_place_and_nothing_else)
{
	static const char digits[] = "0123456789abcdef";
	char a[1000 + 2], b[1000 + 2];

	memset(a, '!', sizeof a);
	fd_random_hex(a, 500);
	fd_random_hex(b, 500);
	ck_assert_uint_eq(strlen(a), 1000);
	ck_assert_uint_eq(strspn(a, digits), 1000);
	ck_assert_int_eq(a[1001], '!');
	ck_assert_str_ne(a, b);
	for (const char *c = digits; *c != '\0'; c++)
		ck_assert_ptr_nonnull(strchr(a, *c));
	fd_random_hex(a, 1);
	ck_assert_uint_eq(strspn(a, digits), 2);
	fd_random_hex(a, 0);
	ck_assert_str_eq(a, "");
}
END_TEST

START_TEST(test_writing_all_outlasts_a_full_pipe)
{
	static char sent[300000], got[sizeof sent];
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	memset(sent, 'x', sizeof sent);
	ck_assert_int_eq(fd_pipe(ends), 0);
	if ((pid = fork()) == 0) {
		close(ends[0]);
		_exit(fd_write_all(ends[1], sent, sizeof sent) == -1);
	}
	fd_close(&ends[1]);
	while ((n = read(ends[0], got + used, sizeof got - used)) > 0)
		used += (size_t)n;
	ck_assert_uint_eq(used, sizeof sent);
	ck_assert_mem_eq(sent, got, sizeof sent);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	fd_close(&ends[0]);
}
END_TEST

START_TEST(test_writing_all_says_what_went_wrong)
{
	int fd = open("/dev/full", O_WRONLY);

	ck_assert_int_eq(fd_write_all(fd, "x", 0), 0);
	ck_assert_int_eq(fd_write_all(fd, "x", 1), -1);
	ck_assert_int_eq(errno, ENOSPC);
	fd_close(&fd);
}
END_TEST

START_TEST(test_what_a_peer_has_not_read_is_known)
{
	int pair[2];
	char byte[2];

	ck_assert_int_eq(fd_has_unsent(-1), 0);
	ck_assert_int_eq(fd_pair_stream(pair), 0);
	ck_assert_int_eq(fd_has_unsent(pair[0]), 0);
	ck_assert_int_eq(write(pair[0], "xy", 2), 2);
#if defined(HAVE_LINUX_SOCKIOS_H) && !defined(MAMAYO_PLAIN)
	ck_assert_int_eq(fd_has_unsent(pair[0]), 1);
	ck_assert_int_eq(read(pair[1], byte, 1), 1);
	ck_assert_int_eq(fd_has_unsent(pair[0]), 1);
#else
	ck_assert_int_eq(fd_has_unsent(pair[0]), 0);
#endif
	ck_assert_int_eq(fd_has_unsent(pair[1]), 0);
	ck_assert_int_gt(read(pair[1], byte, 2), 0);
	ck_assert_int_eq(fd_has_unsent(pair[0]), 0);
	fd_close(&pair[1]);
	ck_assert_int_eq(fd_has_unsent(pair[0]), 0);
	fd_close(&pair[0]);
}
END_TEST

START_TEST(test_only_a_socket_has_a_peer_that_has_not_read)
{
	int pipes[2], fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(fd_pipe(pipes), 0);
	ck_assert_int_eq(write(pipes[1], "x", 1), 1);
	ck_assert_int_eq(fd_has_unsent(pipes[1]), 0);
	ck_assert_int_eq(fd_has_unsent(fd), 0);
	fd_close(&pipes[0]);
	fd_close(&pipes[1]);
	fd_close(&fd);
}
END_TEST

static int
ends_in_b(const char *name)
{
	return name[strlen(name) - 1] == 'b';
}

START_TEST(test_only_what_is_stale_is_removed)
{
	int dir_fd = open(scene_enter(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int before = scene_descriptors();

	scene_write("a", "");
	scene_write("b", "");
	ck_assert_int_eq(mkdir("bb", 0700), 0);
	fd_remove_stale(dir_fd, ends_in_b);
	ck_assert_int_eq(access("a", F_OK), 0);
	ck_assert_int_eq(access("b", F_OK), -1);
	ck_assert_int_eq(access("bb", F_OK), 0); /* a directory */
	fd_remove_stale(-1, ends_in_b);
	ck_assert_int_eq(scene_descriptors(), before);
	fd_close(&dir_fd);
	scene_leave();
}
END_TEST

SUITE("fd", test_closing_forgets_and_keeps_errno,
    test_only_what_is_stale_is_removed, test_flags_are_set_and_others_kept,
    test_pairs_and_pipes_are_close_on_exec_from_birth,
    test_without_descriptors_both_ends_are_none,
    test_standard_descriptors_that_are_closed_are_opened,
    test_closing_from_leaves_exactly_those_below,
    test_closing_from_reaches_above_a_limit_that_was_lowered,
    test_the_limit_is_raised_to_the_hard_one_and_can_be_restored,
    test_a_message_carries_up_to_16_descriptors_in_order,
    test_descriptors_that_were_not_asked_for_are_closed,
    test_a_message_or_descriptors_that_were_cut_are_refused_whole,
    test_descriptors_that_find_no_room_are_an_error,
    test_nothing_waits_and_the_end_is_told,
    test_the_user_at_the_other_end_is_known,
    test_an_unnamed_file_is_private_and_leaves_nothing,
    test_an_unnamed_file_needs_a_directory,
    test_one_process_has_a_lock_until_it_closes_it,
    test_randomness_fills_everything_and_never_repeats,
    test_random_digits_fill_their_place_and_nothing_else,
    test_writing_all_outlasts_a_full_pipe,
    test_writing_all_says_what_went_wrong,
    test_what_a_peer_has_not_read_is_known,
    test_only_a_socket_has_a_peer_that_has_not_read);
