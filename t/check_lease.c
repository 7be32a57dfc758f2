#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/lease.h"
#include "t/check.h"
#include "t/scene.h"

static struct problem why;

static int
mode_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	return (int)st.st_mode;
}

/* A process that holds the lease until it is killed; says when it has it. */
static pid_t
holder(void (*first)(void))
{
	struct lease l;
	int ready[2];
	char got;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	fflush(NULL);
	if ((pid = fork()) == 0) {
		lease_init(&l, ".");
		got = lease_take(&l, &why) == 1 ? 'y' : 'n';
		if (first != NULL)
			first();
		if (write(ready[1], &got, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &got, 1), 1);
	ck_assert_int_eq(got, 'y');
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void
kill_it(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* Takes it here, in this process, and says what came of it. */
static int
take(struct lease *l)
{
	lease_init(l, ".");
	return lease_take(l, &why);
}

static void
reachable(struct lease *l)
{
	int there = lease_connect("."), here;

	ck_assert_msg(there != -1, "%s", strerror(errno));
	here = accept(l->listener, NULL, NULL);
	ck_assert_int_ne(here, -1);
	close(here);
	close(there);
}

START_TEST(test_the_first_gets_it_and_can_be_reached)
{
	struct lease l;

	umask(0);
	scene_enter();
	ck_assert_int_eq(take(&l), 1);
	ck_assert_int_eq(lease_holds(&l), 1);
	reachable(&l);
	ck_assert_int_eq(mode_of("lock") & 07777, 0600);
	ck_assert_int_eq(fcntl(l.lock, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(l.listener, F_GETFD), FD_CLOEXEC);
	ck_assert(fcntl(l.listener, F_GETFL) & O_NONBLOCK);
	lease_release(&l);
	scene_leave();
}
END_TEST

START_TEST(test_after_the_release_neither_socket_nor_descriptor_is_left)
{
	struct lease l;
	int before;

	scene_enter();
	before = scene_descriptors();
	ck_assert_int_eq(take(&l), 1);
	lease_release(&l);
	ck_assert_int_eq(access("sock", F_OK), -1);
	ck_assert_int_eq(scene_descriptors(), before);
	ck_assert_int_eq(lease_connect("."), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(scene_descriptors(), before);
	scene_leave();
}
END_TEST

START_TEST(test_the_second_of_two_candidates_does_not_get_it)
{
	struct lease l;
	pid_t pid;
	int before;

	scene_enter();
	pid = holder(NULL);
	before = scene_descriptors();
	ck_assert_int_eq(take(&l), 0);
	ck_assert_int_eq(l.lock, -1);
	ck_assert_int_eq(l.listener, -1);
	lease_release(&l);
	ck_assert_int_eq(scene_descriptors(), before);
	/* and has taken nothing away from the first */
	ck_assert_int_eq(access("sock", F_OK), 0);
	ck_assert_int_eq(take(&l), 0);
	lease_release(&l);
	kill_it(pid);
	scene_leave();
}
END_TEST

START_TEST(test_of_twenty_at_the_same_instant_exactly_one_gets_it)
{
	enum { MANY = 20 };
	int begin[2], say[2], got = 0, status;
	char answer;
	pid_t pids[MANY];
	struct lease l;

	scene_enter();
	ck_assert_int_eq(pipe(begin), 0);
	ck_assert_int_eq(pipe(say), 0);
	fflush(NULL);
	for (int i = 0; i < MANY; i++)
		if ((pids[i] = fork()) == 0) {
			close(begin[1]);
			(void)!read(begin[0], &answer, 1);
			answer = (char)('0' + take(&l));
			if (write(say[1], &answer, 1) == 1)
				pause();
			_exit(1);
		}
	close(begin[1]); /* off */
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(read(say[0], &answer, 1), 1);
		ck_assert(answer == '0' || answer == '1');
		got += answer == '1';
	}
	ck_assert_int_eq(got, 1);
	for (int i = 0; i < MANY; i++) {
		kill(pids[i], SIGKILL);
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
	}
	scene_leave();
}
END_TEST

static int alive_after[2];

/* A child that inherits everything its parent has, as a worker would that
 * ignores every signal, and outlives it. */
static void
leave_a_child(void)
{
	char c;

	if (fork() != 0)
		return;
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_IGN);
	close(alive_after[1]);
	(void)!read(alive_after[0], &c, 1);
	_exit(0);
}

START_TEST(test_a_child_of_the_killed_holder_does_not_keep_the_lock)
{
	struct lease l;
	pid_t pid;

	scene_enter();
	ck_assert_int_eq(pipe(alive_after), 0);
	pid = holder(leave_a_child);
	ck_assert_int_eq(take(&l), 0);
	lease_release(&l);
	kill_it(pid);
	ck_assert_int_eq(take(&l), 1);
	ck_assert_int_eq(lease_holds(&l), 1);
	reachable(&l);
	lease_release(&l);
	close(alive_after[1]); /* the child goes */
	scene_leave();
}
END_TEST

START_TEST(test_the_socket_of_a_killed_holder_is_refused_then_replaced)
{
	struct lease l;

	scene_enter();
	kill_it(holder(NULL));
	ck_assert_int_eq(access("sock", F_OK), 0);
	ck_assert_int_eq(lease_connect("."), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	ck_assert_int_eq(take(&l), 1);
	reachable(&l);
	lease_release(&l);
	scene_leave();
}
END_TEST

START_TEST(test_no_longer_holds_when_the_lock_file_is_removed)
{
	struct lease l;

	scene_enter();
	ck_assert_int_eq(take(&l), 1);
	ck_assert_int_eq(unlink("lock"), 0);
	ck_assert_int_eq(lease_holds(&l), 0);
	lease_release(&l);
	scene_leave();
}
END_TEST

START_TEST(test_no_longer_holds_when_the_lock_file_is_another_one)
{
	struct lease l;
	pid_t pid;

	scene_enter();
	ck_assert_int_eq(take(&l), 1);
	ck_assert_int_eq(unlink("lock"), 0);
	pid = holder(NULL); /* a second candidate gets the new file */
	ck_assert_int_eq(lease_holds(&l), 0);
	/* what the other has bound meanwhile stays */
	lease_release(&l);
	ck_assert_int_eq(access("sock", F_OK), 0);
	kill_it(pid);
	scene_leave();
}
END_TEST

START_TEST(test_looking_at_the_lock_again_and_again_does_not_drop_it)
{
	struct lease l;
	int status;
	pid_t pid;

	scene_enter();
	ck_assert_int_eq(take(&l), 1);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(lease_holds(&l), 1);
	fflush(NULL);
	if ((pid = fork()) == 0) {
		struct lease other;

		_exit(take(&other) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	lease_release(&l);
	scene_leave();
}
END_TEST

START_TEST(test_a_socket_that_was_removed_is_bound_again)
{
	struct lease l;

	scene_enter();
	ck_assert_int_eq(take(&l), 1);
	ck_assert_int_eq(unlink("sock"), 0);
	ck_assert_int_eq(lease_connect("."), -1);
	ck_assert_int_eq(lease_holds(&l), 1);
	reachable(&l);
	lease_release(&l);
	ck_assert_int_eq(access("sock", F_OK), -1);
	scene_leave();
}
END_TEST

START_TEST(test_a_socket_that_another_one_took_is_bound_again)
{
	struct lease l;

	scene_enter();
	ck_assert_int_eq(take(&l), 1);
	ck_assert_int_eq(unlink("sock"), 0);
	scene_write("sock", "in its place");
	ck_assert_int_eq(lease_holds(&l), 1);
	reachable(&l);
	lease_release(&l);
	scene_leave();
}
END_TEST

static void
put_file(void)
{
	scene_write("sock", "stale");
}

static void
put_fifo(void)
{
	ck_assert_int_eq(mkfifo("sock", 0600), 0);
}

static void
put_symlink(void)
{
	scene_write("precious", "precious");
	ck_assert_int_eq(symlink("precious", "sock"), 0);
}

static void
put_dangling_symlink(void)
{
	ck_assert_int_eq(symlink("nowhere", "sock"), 0);
}

static void
put_directory(void)
{
	ck_assert_int_eq(mkdir("sock", 0700), 0);
}

static void
put_full_directory(void)
{
	ck_assert_int_eq(mkdir("sock", 0700), 0);
	scene_write("sock/precious", "precious");
}

START_TEST(test_whatever_stands_where_the_socket_belongs_makes_room)
{
	static void (*const put[])(void) = { put_file, put_fifo, put_symlink,
		put_dangling_symlink, put_directory, put_full_directory };
	struct lease l;
	char text[32];

	for (size_t i = 0; i < sizeof put / sizeof put[0]; i++) {
		scene_enter();
		put[i]();
		ck_assert_msg(take(&l) == 1, "%zu: %s", i, why.text);
		ck_assert(S_ISSOCK(mode_of("sock")));
		reachable(&l);
		lease_release(&l);
		ck_assert_int_eq(access("sock", F_OK), -1);
		if (put[i] == put_symlink) { /* what it led to is not touched */
			scene_read("precious", text, sizeof text);
			ck_assert_str_eq(text, "precious");
		}
		scene_leave();
	}
}
END_TEST

START_TEST(test_a_lock_that_is_a_symlink_is_refused_with_a_sentence)
{
	struct lease l;
	int before;

	scene_enter();
	scene_write("precious", "precious");
	ck_assert_int_eq(symlink("precious", "lock"), 0);
	before = scene_descriptors();
	ck_assert_int_eq(take(&l), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "lock"));
	lease_release(&l);
	ck_assert_int_eq(scene_descriptors(), before);
	scene_leave();
}
END_TEST

START_TEST(test_a_directory_that_is_not_there_is_refused_with_a_sentence)
{
	struct lease l;

	scene_enter();
	lease_init(&l, "none");
	ck_assert_int_eq(lease_take(&l, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "none/lock"));
	lease_release(&l);
	ck_assert_int_eq(lease_connect("none"), -1);
	ck_assert_int_eq(errno, ENOENT);
	scene_leave();
}
END_TEST

START_TEST(test_a_path_too_long_for_a_socket_is_refused_with_a_sentence)
{
	struct lease l;
	char deep[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];

	scene_enter();
	memset(deep, 'd', sizeof deep - 1);
	deep[sizeof deep - 1] = '\0';
	ck_assert_int_eq(mkdir(deep, 0700), 0);
	lease_init(&l, deep);
	ck_assert_int_eq(lease_take(&l, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, deep));
	lease_release(&l);
	ck_assert_int_eq(lease_connect(deep), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	scene_leave();
}
END_TEST

START_TEST(test_whoever_does_not_answer_yet_is_said_to_be_busy)
{
	struct lease l;
	int fds[1024], n = 0;

	scene_enter();
	ck_assert_int_eq(take(&l), 1);
	while (n < 1000 && (fds[n] = lease_connect(".")) != -1)
		n++;
	ck_assert_int_lt(n, 1000);
	ck_assert_int_eq(errno, EAGAIN);
	while (n > 0)
		close(fds[--n]);
	lease_release(&l);
	scene_leave();
}
END_TEST

SUITE("lease", test_the_first_gets_it_and_can_be_reached,
    test_after_the_release_neither_socket_nor_descriptor_is_left,
    test_the_second_of_two_candidates_does_not_get_it,
    test_of_twenty_at_the_same_instant_exactly_one_gets_it,
    test_a_child_of_the_killed_holder_does_not_keep_the_lock,
    test_the_socket_of_a_killed_holder_is_refused_then_replaced,
    test_no_longer_holds_when_the_lock_file_is_removed,
    test_no_longer_holds_when_the_lock_file_is_another_one,
    test_looking_at_the_lock_again_and_again_does_not_drop_it,
    test_a_socket_that_was_removed_is_bound_again,
    test_a_socket_that_another_one_took_is_bound_again,
    test_whatever_stands_where_the_socket_belongs_makes_room,
    test_a_lock_that_is_a_symlink_is_refused_with_a_sentence,
    test_a_directory_that_is_not_there_is_refused_with_a_sentence,
    test_a_path_too_long_for_a_socket_is_refused_with_a_sentence,
    test_whoever_does_not_answer_yet_is_said_to_be_busy);
