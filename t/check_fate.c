#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fcgi/fate.h"
#include "lib/fd.h"
#include "lib/wire.h"
#include "t/check.h"
#include "t/scene.h"

/* In the working directory, which plays run/. */
#define GENERATION "0123456789abcdef0123456789abcdef"
#define OTHER      "fedcba9876543210fedcba9876543210"

#define ME       UINT64_C(0x1122334455667788)
#define STRANGER UINT64_C(0x8877665544332211)

static struct fates fates;
static const struct board *board;
static int queue[2];

static void
enter(void)
{
	scene_enter();
	ck_assert_int_eq(mkdir("workers", 0700), 0);
	ck_assert_int_eq(fd_pair_seqpacket(queue), 0);
	fates = (struct fates){ 0 };
	board = NULL;
}

static void
leave(void)
{
	fates_release(&fates);
	ck_assert_ptr_null(fates.boards);
	fd_close(&queue[0]);
	fd_close(&queue[1]);
	scene_leave();
}

/* The page of a worker that has that request; 0, 0: none. */
static void
page(const char *generation, pid_t pid, uint64_t responder, uint64_t counter)
{
	uint64_t word[BOARD_WORDS] = { SCOREBOARD_MAGIC, BOARD_BUSY, responder,
		counter, [BOARD_WROTE] = BOARD_RECORDS };
	char name[128];
	int fd;

	snprintf(name, sizeof name, "workers/%s.%ld", generation, (long)pid);
	fd = open(name, O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, SCOREBOARD_SIZE), 0);
	ck_assert_int_eq(
	    pwrite(fd, word, sizeof word, 0), (ssize_t)sizeof word);
	fd_close(&fd);
}

/* The pid of a process that has ended and was reaped. */
static pid_t
dead(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* Forgets what was seen, and looks again. */
static void
look(void)
{
	fates.looked = 0;
	ck_assert_int_eq(fates_look(&fates, AT_FDCWD, queue[1], 1000), 0);
}

static enum fate
fate_of(uint64_t counter, int64_t handed)
{
	struct fate_request r = { .responder = ME,
		.counter = counter,
		.generation = GENERATION,
		.handed = handed };

	return fates_of(&fates, &r, &board);
}

static void
send_message(uint64_t responder, uint64_t counter, uint64_t queued)
{
	unsigned char message[WIRE_HEAD + 3] = { 0 };
	struct wire_head head = { .request_id = 1,
		.params = 3,
		.responder = responder,
		.counter = counter,
		.queued = queued };

	wire_put_head(message, &head);
	ck_assert_int_eq(fd_send(queue[0], message, sizeof message, NULL, 0),
	    (ssize_t)sizeof message);
}

START_TEST(test_a_living_worker_has_it)
{
	enter();
	page(GENERATION, getpid(), ME, 7);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_RUNNING);
	ck_assert_uint_eq(board->word[BOARD_COUNTER], 7);
	ck_assert_uint_eq(board->word[BOARD_WROTE], BOARD_RECORDS);
	leave();
}
END_TEST

START_TEST(test_a_worker_that_has_ended_had_it)
{
	enter();
	page(GENERATION, dead(), ME, 7);
	page(GENERATION, getpid(), ME, 8);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_DEAD);
	ck_assert_uint_eq(board->word[BOARD_COUNTER], 7);
	leave();
}
END_TEST

START_TEST(test_a_zombie_has_ended)
{
	siginfo_t info;
	pid_t pid;

	enter();
	if ((pid = fork()) == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	page(GENERATION, pid, ME, 7);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_DEAD);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	leave();
}
END_TEST

START_TEST(test_the_same_counter_of_another_responder_is_another_request)
{
	enter();
	page(GENERATION, getpid(), STRANGER, 7);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_OVER);
	leave();
}
END_TEST

START_TEST(test_a_generation_of_another_queue_may_have_it)
{
	/* moved there when a supervisor died, or finished by its workers */
	enter();
	page(OTHER, getpid(), ME, 7);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_RUNNING);
	leave();
}
END_TEST

START_TEST(test_an_empty_queue_and_idle_workers_mean_it_is_over)
{
	enter();
	page(GENERATION, getpid(), 0, 0);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_OVER);
	leave();
}
END_TEST

START_TEST(test_our_own_first_message_tells_exactly)
{
	enter();
	page(GENERATION, getpid(), 0, 0);
	send_message(ME, 7, 500);
	send_message(ME, 8, 500);
	look();
	ck_assert_int_eq(fate_of(6, 500), FATE_OVER);
	ck_assert_int_eq(fate_of(7, 500), FATE_WAITING);
	ck_assert_int_eq(fate_of(8, 500), FATE_WAITING);
	ck_assert_int_eq(fate_of(9, 500), FATE_WAITING);
	leave();
}
END_TEST

START_TEST(test_the_first_message_of_another_responder_tells_by_its_time)
{
	enter();
	page(GENERATION, getpid(), 0, 0);
	send_message(STRANGER, 1, 500);
	look();
	/* It was sent at 500 or later. What was sent before is not behind it,
	 * what was sent then or later may be, whenever it had arrived. */
	ck_assert_int_eq(fate_of(900, 499), FATE_OVER);
	ck_assert_int_eq(fate_of(900, 500), FATE_WAITING);
	ck_assert_int_eq(fate_of(900, 501), FATE_WAITING);
	leave();
}
END_TEST

START_TEST(test_looking_into_the_queue_takes_nothing)
{
	unsigned char message[WIRE_HEAD + 16];
	int fds[1], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int before = scene_descriptors();
	size_t nfds = 1;

	enter();
	memset(message, 0, sizeof message);
	wire_put_head(message,
	    &(struct wire_head){
		.request_id = 1, .params = 3, .responder = ME, .counter = 7 });
	ck_assert_int_gt(fd_send(queue[0], message, WIRE_HEAD + 3, &fd, 1), 0);
	for (int i = 0; i < 10; i++) {
		look();
		ck_assert_int_eq(fate_of(7, 500), FATE_WAITING);
	}
	ck_assert_int_eq(fd_recv(queue[1], message, sizeof message, fds, &nfds),
	    WIRE_HEAD + 3);
	ck_assert_uint_eq(nfds, 1);
	fd_close(&fds[0]);
	leave();
	ck_assert_int_eq(scene_descriptors(), before);
	fd_close(&fd);
}
END_TEST

START_TEST(test_what_is_not_a_message_of_ours_hides_nothing)
{
	enter();
	page(GENERATION, getpid(), 0, 0);
	ck_assert_int_eq(fd_send(queue[0], "nonsense", 8, NULL, 0), 8);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_OVER);
	leave();
}
END_TEST

START_TEST(test_a_queue_that_was_shut_down_holds_nothing)
{
	enter();
	page(GENERATION, getpid(), 0, 0);
	ck_assert_int_eq(shutdown(queue[0], SHUT_WR), 0);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_OVER);
	leave();
}
END_TEST

START_TEST(test_in_a_queue_that_is_not_here_it_may_wait_while_it_has_workers)
{
	enter();
	page(OTHER, getpid(), 0, 0);
	page(GENERATION, dead(), 0, 0);
	ck_assert_int_eq(fates_look(&fates, AT_FDCWD, -1, 1000), 0);
	ck_assert_int_eq(fate_of(7, 500), FATE_UNKNOWN);
	page(GENERATION, getpid(), 0, 0);
	fates.looked = 0;
	ck_assert_int_eq(fates_look(&fates, AT_FDCWD, -1, 1000), 0);
	ck_assert_int_eq(fate_of(7, 500), FATE_WAITING);
	leave();
}
END_TEST

START_TEST(test_a_look_tells_nothing_of_what_was_sent_since)
{
	struct fate_request r = { .responder = ME,
		.counter = 7,
		.generation = GENERATION,
		.handed = 1000 };

	enter();
	page(GENERATION, getpid(), 0, 0);
	look();
	r.looks = fates.looks;
	ck_assert_int_eq(fates_of(&fates, &r, &board), FATE_WAITING);
	look(); /* in the same millisecond */
	ck_assert_int_eq(fates_of(&fates, &r, &board), FATE_OVER);
	leave();
}
END_TEST

START_TEST(test_a_look_is_of_one_queue)
{
	int other[2];

	enter();
	page(GENERATION, getpid(), 0, 0);
	ck_assert_int_eq(fd_pair_seqpacket(other), 0);
	ck_assert_int_eq(fates_look(&fates, AT_FDCWD, other[1], 1000), 0);
	send_message(ME, 7, 500);
	ck_assert_int_eq(fate_of(7, 500), FATE_OVER);
	ck_assert_int_eq(fates_look(&fates, AT_FDCWD, queue[1], 1001), 0);
	ck_assert_int_eq(fate_of(7, 500), FATE_WAITING);
	fd_close(&other[0]);
	fd_close(&other[1]);
	leave();
}
END_TEST

START_TEST(test_without_a_page_of_its_generation_nothing_is_known)
{
	enter();
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_UNKNOWN);
	page(OTHER, getpid(), 0, 0);
	page(GENERATION, dead(), 0, 0);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_UNKNOWN);
	send_message(ME, 7, 500); /* but what is queued is */
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_WAITING);
	ck_assert_int_eq(fate_of(6, 500), FATE_UNKNOWN);
	leave();
}
END_TEST

START_TEST(test_a_directory_that_has_gone_is_said_and_looked_for_again)
{
	enter();
	page(GENERATION, getpid(), ME, 7);
	ck_assert_int_eq(rename("workers", "away"), 0);
	ck_assert_int_eq(fates_look(&fates, AT_FDCWD, queue[1], 1000), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(fate_of(7, 500), FATE_UNKNOWN);
	ck_assert_int_eq(rename("away", "workers"), 0);
	ck_assert_int_eq(fates_look(&fates, AT_FDCWD, queue[1], 1000), 0);
	ck_assert_int_eq(fate_of(7, 500), FATE_RUNNING);
	leave();
}
END_TEST

START_TEST(test_garbage_is_left_out)
{
	static const char *const names[] = { "workers/" GENERATION,
		"workers/" GENERATION "0.1", "workers/x", "workers/.1",
		"workers/new.1.2" };
	char name[128];
	int before;

	enter();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		scene_write(names[i], "nonsense");
	/* named as pages are, but: too short, of another kind, a link */
	scene_write("workers/" OTHER ".1", "short");
	ck_assert_int_eq(mkfifo("workers/" OTHER ".2", 0600), 0);
	ck_assert_int_eq(mkdir("workers/" OTHER ".3", 0700), 0);
	page(OTHER, getpid(), ME, 7);
	snprintf(name, sizeof name, "workers/" OTHER ".%ld", (long)getpid());
	ck_assert_int_eq(rename(name, "elsewhere"), 0);
	ck_assert_int_eq(symlink("../elsewhere", name), 0);
	page(GENERATION, getpid(), ME, 8);
	before = scene_descriptors();
	look();
	ck_assert_uint_eq(fates.n, 1);
	ck_assert_int_eq(fate_of(7, 500), FATE_OVER);
	ck_assert_int_eq(fate_of(8, 500), FATE_RUNNING);
	ck_assert_int_eq(scene_descriptors(), before);
	leave();
}
END_TEST

START_TEST(test_a_page_of_no_process_is_of_a_dead_one)
{
	enter();
	page(GENERATION, 0, ME, 7);
	page(GENERATION, -1, ME, 8);
	look();
	ck_assert_int_eq(fate_of(7, 500), FATE_DEAD);
	ck_assert_int_eq(fate_of(8, 500), FATE_DEAD);
	leave();
}
END_TEST

START_TEST(test_any_number_of_workers_is_read)
{
	enter();
	for (pid_t i = 1; i <= 300; i++)
		page(GENERATION, 100000000 + i, ME, (uint64_t)i);
	look();
	ck_assert_uint_eq(fates.n, 300);
	for (uint64_t i = 1; i <= 300; i++) {
		ck_assert_int_eq(fate_of(i, 500), FATE_DEAD);
		ck_assert_uint_eq(board->word[BOARD_COUNTER], i);
	}
	leave();
}
END_TEST

START_TEST(test_a_look_is_good_for_a_moment)
{
	enter();
	page(GENERATION, getpid(), 0, 0);
	ck_assert_int_eq(fates_look(&fates, AT_FDCWD, queue[1], 1000), 0);
	page(GENERATION, getpid(), ME, 7);
	ck_assert_int_eq(
	    fates_look(&fates, AT_FDCWD, queue[1], 1000 + FATES_FRESH - 1), 0);
	ck_assert_int_eq(fate_of(7, 500), FATE_OVER);
	ck_assert_int_eq(
	    fates_look(&fates, AT_FDCWD, queue[1], 1000 + FATES_FRESH), 0);
	ck_assert_int_eq(fate_of(7, 500), FATE_RUNNING);
	page(GENERATION, getpid(), ME, 8);
	ck_assert_int_eq(
	    fates_look(&fates, AT_FDCWD, queue[1], 1000 + FATES_FRESH + 1), 0);
	ck_assert_int_eq(fate_of(7, 500), FATE_RUNNING);
	leave();
}
END_TEST

SUITE("fate", test_a_living_worker_has_it, test_a_worker_that_has_ended_had_it,
    test_a_zombie_has_ended,
    test_the_same_counter_of_another_responder_is_another_request,
    test_a_generation_of_another_queue_may_have_it,
    test_an_empty_queue_and_idle_workers_mean_it_is_over,
    test_our_own_first_message_tells_exactly,
    test_the_first_message_of_another_responder_tells_by_its_time,
    test_looking_into_the_queue_takes_nothing,
    test_what_is_not_a_message_of_ours_hides_nothing,
    test_a_queue_that_was_shut_down_holds_nothing,
    test_in_a_queue_that_is_not_here_it_may_wait_while_it_has_workers,
    test_without_a_page_of_its_generation_nothing_is_known,
    test_a_directory_that_has_gone_is_said_and_looked_for_again,
    test_a_look_tells_nothing_of_what_was_sent_since,
    test_a_look_is_of_one_queue, test_garbage_is_left_out,
    test_a_page_of_no_process_is_of_a_dead_one,
    test_any_number_of_workers_is_read, test_a_look_is_good_for_a_moment);
