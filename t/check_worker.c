#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/link.h"
#include "lib/worker.h"
#include "t/check.h"
#include "t/scene.h"

/*
 * Shell scripts play the worker. Its story is the states that it has passed
 * through, so that each test is a biography.
 */
#define READY "printf '{\"type\":\"ready\",\"entry\":\"a:b\"}' >&3; "
#define FAILED \
	"printf '{\"type\":\"failed\",\"text\":\"no such module\"}' >&3; "
#define HEAR  "dd bs=65536 count=1 <&3 2>/dev/null"
#define NEVER 60000 /* ms: longer than any test */
#define LIMIT 20000 /* ms until a test gives up */

static struct loop *loop;
static struct worker worker;
static char story[256], words[256];
static int boards, ends;

static void
said(struct worker *w, const json_t *message, int64_t now)
{
	(void)now;
	ck_assert_ptr_eq(w, &worker);
	strcat(words, link_string(message, "type"));
	strcat(words, " ");
}

static void
changed(struct worker *w, enum worker_state was, int64_t now)
{
	(void)now;
	ck_assert_ptr_eq(w, &worker);
	ck_assert_int_ne(w->state, was);
	strcat(story, worker_state_name(w->state));
	strcat(story, " ");
	ends += w->state == WORKER_DEAD;
}

static void
reap(void *arg, int64_t now)
{
	(void)arg;
	proc_reap(now);
}

/* Where a worker can be started; everything is given back by leave(). */
static void
enter(void)
{
	scene_enter();
	ck_assert_int_eq(mkdir("workers", 0700), 0);
	boards = open("workers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ne(boards, -1);
	loop = loop_new();
	loop_signal(loop, SIGCHLD, reap, NULL);
}

static void
leave(void)
{
	loop_free(loop);
	close(boards);
	scene_leave();
}

static int
try_start(const char *path, const char *script, int64_t start_timeout,
    int64_t stop_timeout, json_t *first, struct problem *why)
{
	const char *argv[] = { path, "-c", script, NULL };
	const char *env[] = { "PATH=/usr/bin:/bin", NULL };
	struct proc_spec spec = { .path = path,
		.argv = argv,
		.env = env,
		.fd = { -1, -1, -1, -1, -1, -1 },
		.umask = 022 };
	struct worker_how how = { .loop = loop,
		.spec = &spec,
		.boards_dir = boards,
		.generation = "generation",
		.first = first,
		.start_timeout = start_timeout,
		.stop_timeout = stop_timeout };

	memset(&worker, 0, sizeof worker);
	worker.said = said;
	worker.changed = changed;
	return worker_start(&worker, &how, clock_ms(), why);
}

static void
start_with(const char *script, int64_t start_timeout, int64_t stop_timeout)
{
	struct problem why;

	enter();
	ck_assert_msg(try_start("/bin/sh", script, start_timeout, stop_timeout,
			  NULL, &why) == 0,
	    "%s", why.text);
	ck_assert_int_eq(worker.state, WORKER_STARTING);
}

static void
start(const char *script)
{
	start_with(script, NEVER, NEVER);
}

static void
no_timer(struct timer *t, int64_t now)
{
	(void)t;
	(void)now;
}

static void
until(enum worker_state state)
{
	struct timer limit = { .due = no_timer };
	int64_t end = clock_ms() + LIMIT;

	ck_assert_int_eq(loop_timer(loop, &limit, end), 0);
	while (worker.state != state) {
		ck_assert_msg(clock_ms() < end && worker.state != WORKER_DEAD,
		    "%s after: %s", worker_state_name(worker.state), story);
		loop_turn(loop);
	}
	loop_cancel(loop, &limit);
}

/* Turns the loop until so much time has passed. */
static void
spend(int64_t ms)
{
	struct timer tick = { .due = no_timer };
	int64_t end = clock_ms() + ms;

	while (clock_ms() < end) {
		ck_assert_int_eq(loop_timer(loop, &tick, end), 0);
		loop_turn(loop);
	}
	loop_cancel(loop, &tick);
}

static int
boards_left(void)
{
	DIR *dir = opendir("workers");
	struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void
put(enum scoreboard_word word, uint64_t value)
{
	ck_assert_int_eq(
	    pwrite(worker.board_fd, &value, sizeof value, 8 * (off_t)word),
	    (ssize_t)sizeof value);
}

START_TEST(test_is_ready_when_it_says_so_and_leaves_when_it_is_asked)
{
	start(READY HEAR " >heard");
	until(WORKER_READY);
	ck_assert_str_eq(words, "ready ");
	ck_assert_int_ge(worker.ready, worker.started);
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready draining dead ");
	ck_assert(WIFEXITED(worker.status) && WEXITSTATUS(worker.status) == 0);
	scene_read("heard", words, sizeof words);
	ck_assert_str_eq(words, "{\"type\":\"leave\"}");
	leave();
}
END_TEST

START_TEST(test_says_that_it_cannot_and_goes)
{
	start(FAILED "exit 3");
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "draining dead ");
	ck_assert_str_eq(words, "failed ");
	ck_assert_int_eq(worker.ready, 0);
	ck_assert(WIFEXITED(worker.status) && WEXITSTATUS(worker.status) == 3);
	leave();
}
END_TEST

START_TEST(test_dies_before_it_has_said_anything)
{
	start("exit 1");
	until(WORKER_DEAD);
	/* the hang-up may be seen before the death */
	ck_assert_msg(
	    strcmp(story, "dead ") == 0 || strcmp(story, "killed dead ") == 0,
	    "%s", story);
	ck_assert_str_eq(words, "");
	leave();
}
END_TEST

START_TEST(test_dies_by_a_signal_when_it_was_ready)
{
	char text[128];

	start(READY "kill -SEGV $$");
	until(WORKER_DEAD);
	ck_assert_msg(strcmp(story, "ready dead ") == 0 ||
			  strcmp(story, "ready killed dead ") == 0,
	    "%s", story);
	ck_assert(WIFSIGNALED(worker.status));
	ck_assert_str_eq(proc_status_text(worker.status, text, sizeof text),
	    "killed by signal 11 (Segmentation fault)");
	leave();
}
END_TEST

START_TEST(test_what_it_said_with_its_last_breath_is_heard)
{
	enter();
	for (int round = 0; round < 20; round++) {
		struct problem why;

		words[0] = story[0] = '\0';
		ck_assert_int_eq(try_start("/bin/sh", FAILED "exit 3", NEVER,
				     NEVER, NULL, &why),
		    0);
		until(WORKER_DEAD);
		ck_assert_str_eq(words, "failed ");
		ck_assert_str_eq(story, "draining dead ");
	}
	leave();
}
END_TEST

START_TEST(test_a_grandchild_that_holds_the_control_socket_delays_nothing)
{
	int64_t began = clock_ms();

	start(READY "sleep 30 & exit 0");
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready dead ");
	ck_assert_int_lt(clock_ms() - began, LIMIT);
	ck_assert_int_eq(worker.control.fd, -1);
	kill(-worker.pid, SIGKILL);
	leave();
}
END_TEST

START_TEST(test_hangs_up_but_lives_on_and_is_killed_with_its_children)
{
	start(READY "sleep 60 3>&- & exec 3>&-; wait");
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready killed dead ");
	ck_assert(WIFSIGNALED(worker.status));
	ck_assert_int_eq(WTERMSIG(worker.status), SIGKILL);
	leave();
}
END_TEST

START_TEST(test_is_late_with_its_start_is_told_to_show_where_and_dies)
{
	start_with("exec sleep 60", 50, NEVER);
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "stuck dead ");
	ck_assert(WIFSIGNALED(worker.status));
	ck_assert_int_eq(WTERMSIG(worker.status), SIGABRT);
	leave();
}
END_TEST

START_TEST(test_a_start_in_time_has_no_limit_any_more)
{
	start_with(READY HEAR, 1000, NEVER);
	until(WORKER_READY);
	spend(1500);
	ck_assert_str_eq(story, "ready ");
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	until(WORKER_DEAD);
	leave();
}
END_TEST

START_TEST(test_is_silent_ignores_that_it_is_told_and_is_killed)
{
	int64_t began;

	start("trap '' ABRT TERM; " READY "sleep 60 & wait; sleep 60");
	until(WORKER_READY);
	began = clock_ms();
	worker_feed(&worker, WORKER_SILENT, began);
	ck_assert_int_eq(worker.state, WORKER_STUCK);
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready stuck killed dead ");
	ck_assert_int_eq(WTERMSIG(worker.status), SIGKILL);
	ck_assert_int_ge(clock_ms() - began, WORKER_DUMP_MS);
	leave();
}
END_TEST

START_TEST(test_is_stopped_and_is_killed_all_the_same)
{
	siginfo_t info;

	start(READY "exec sleep 60");
	until(WORKER_READY);
	kill(worker.pid, SIGSTOP);
	ck_assert_int_eq(
	    waitid(P_PID, (id_t)worker.pid, &info, WSTOPPED | WNOWAIT), 0);
	worker_feed(&worker, WORKER_SILENT, clock_ms());
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready stuck killed dead ");
	leave();
}
END_TEST

START_TEST(test_does_not_leave_though_asked_and_is_killed_in_time)
{
	start_with(READY "trap '' TERM; sleep 60 & wait", NEVER, 100);
	until(WORKER_READY);
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready draining killed dead ");
	leave();
}
END_TEST

START_TEST(test_may_finish_its_request_before_it_leaves)
{
	start_with(READY "exec sleep 60", NEVER, 50);
	until(WORKER_READY);
	put(BOARD_COUNTER, 7);
	put(BOARD_STATE, BOARD_BUSY);
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	spend(300);
	ck_assert_str_eq(story, "ready draining ");
	ck_assert(worker_is_busy(&worker));
	put(BOARD_COUNTER, 0);
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready draining killed dead ");
	leave();
}
END_TEST

START_TEST(test_may_serve_one_after_the_other_before_it_leaves)
{
	start_with(READY "exec sleep 60", NEVER, 100);
	until(WORKER_READY);
	put(BOARD_REQUESTS, 1);
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	for (uint64_t i = 2; i < 12; i++) { /* always between two when seen */
		put(BOARD_REQUESTS, i);
		spend(40);
		ck_assert_str_eq(story, "ready draining ");
	}
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready draining killed dead ");
	leave();
}
END_TEST

START_TEST(test_says_what_it_cannot_say_and_is_not_argued_with)
{
	start(READY READY "exec sleep 60");
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready killed dead ");
	leave();
}
END_TEST

START_TEST(test_words_that_mean_nothing_to_the_table_are_only_passed_on)
{
	start("printf '{\"type\":\"weather\"}' >&3; " READY HEAR);
	until(WORKER_READY);
	ck_assert_str_eq(words, "weather ready ");
	ck_assert_str_eq(story, "ready ");
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	until(WORKER_DEAD);
	leave();
}
END_TEST

START_TEST(test_speaks_another_language_and_is_killed)
{
	start(READY "printf 'no json' >&3; exec sleep 60");
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "ready killed dead ");
	leave();
}
END_TEST

START_TEST(test_is_given_its_first_message_and_asked_to_look)
{
	struct problem why;
	json_t *first = json_pack("{s:s, s:i}", "type", "environ", "x", 1);

	enter();
	ck_assert_int_eq(
	    try_start("/bin/sh", HEAR " >first; " READY HEAR " >second", NEVER,
		NEVER, first, &why),
	    0);
	ck_assert_uint_eq(first->refcount, 1); /* it was lent */
	json_decref(first);
	until(WORKER_READY);
	worker_tell(&worker, "look");
	until(WORKER_DEAD);
	scene_read("first", words, sizeof words);
	ck_assert_str_eq(words, "{\"type\":\"environ\",\"x\":1}");
	scene_read("second", words, sizeof words);
	ck_assert_str_eq(words, "{\"type\":\"look\"}");
	leave();
}
END_TEST

START_TEST(test_messages_that_nobody_reads_make_nobody_wait)
{
	start(READY "exec sleep 60");
	until(WORKER_READY);
	for (int i = 0; i < 10000; i++)
		worker_tell(&worker, "look");
	worker_feed(&worker, WORKER_HUNG_UP, clock_ms());
	until(WORKER_DEAD);
	leave();
}
END_TEST

START_TEST(test_its_page_bears_generation_and_pid_until_it_is_dead)
{
	char name[64];
	struct stat there, held;

	start(READY "printf 'x' | dd of=/dev/fd/5 bs=1 seek=4000 conv=notrunc "
		    "2>/dev/null; " HEAR);
	until(WORKER_READY);
	snprintf(name, sizeof name, "generation.%ld", (long)worker.pid);
	ck_assert_int_eq(fstatat(boards, name, &there, 0), 0);
	ck_assert_int_eq(fstat(worker.board_fd, &held), 0);
	ck_assert_uint_eq(there.st_ino, held.st_ino);
	ck_assert_int_eq(boards_left(), 1);
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	until(WORKER_DEAD);
	ck_assert_int_eq(boards_left(), 0);
	ck_assert_int_eq(worker.board_fd, -1);
	leave();
}
END_TEST

START_TEST(test_its_board_is_read_once_more_when_it_dies)
{
	start(READY "exec sleep 60");
	until(WORKER_READY);
	put(BOARD_COUNTER, 4711);
	put(BOARD_REQUESTS, 3);
	kill(worker.pid, SIGKILL);
	until(WORKER_DEAD);
	ck_assert_uint_eq(worker.board.word[BOARD_COUNTER], 4711);
	ck_assert_uint_eq(worker.board.word[BOARD_REQUESTS], 3);
	ck_assert(worker_is_busy(&worker));
	leave();
}
END_TEST

START_TEST(test_a_page_that_it_cuts_short_keeps_its_last_words)
{
	start(READY HEAR);
	until(WORKER_READY);
	put(BOARD_REQUESTS, 5);
	worker_look_at_board(&worker);
	ck_assert_int_eq(ftruncate(worker.board_fd, 8), 0);
	worker_look_at_board(&worker);
	ck_assert_uint_eq(worker.board.word[BOARD_REQUESTS], 5);
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	until(WORKER_DEAD);
	leave();
}
END_TEST

START_TEST(test_a_person_is_shown_what_its_board_says_while_it_is_ready)
{
	static const struct {
		uint64_t state;
		const char *shown;
	} shown[] = {
		{ BOARD_STARTING, "idle" },
		{ BOARD_IDLE, "idle" },
		{ BOARD_BUSY, "busy" },
		{ BOARD_SENDING, "sending" },
		{ BOARD_DRAINING, "draining" },
		{ 5, "idle" }, /* a claim of the application's process */
		{ UINT64_MAX, "idle" },
	};

	start(READY HEAR);
	ck_assert_str_eq(worker_shown(&worker), "starting");
	until(WORKER_READY);
	for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
		put(BOARD_STATE, shown[i].state);
		worker_look_at_board(&worker);
		ck_assert_str_eq(worker_shown(&worker), shown[i].shown);
	}
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	ck_assert_str_eq(worker_shown(&worker), "draining");
	until(WORKER_DEAD);
	leave();
}
END_TEST

START_TEST(test_what_cannot_be_executed_leaves_nothing_behind)
{
	struct problem why = { "" };
	int before;

	enter();
	before = scene_descriptors();
	ck_assert_int_eq(
	    try_start("/no/such/python", "", NEVER, NEVER, NULL, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "/no/such/python"));
	ck_assert_str_eq(story, "");
	ck_assert_int_eq(boards_left(), 0);
	ck_assert_int_eq(scene_descriptors(), before);
	leave();
}
END_TEST

START_TEST(test_what_has_no_page_is_not_started)
{
	struct problem why = { "" };
	int before;

	enter();
	before = scene_descriptors();
	ck_assert_int_eq(rmdir("workers"), 0);
	ck_assert_int_eq(
	    try_start("/bin/sh", "exit 0", NEVER, NEVER, NULL, &why), -1);
	ck_assert_str_ne(why.text, "");
	ck_assert_int_eq(scene_descriptors(), before);
	leave();
}
END_TEST

START_TEST(test_a_hundred_lives_leave_no_descriptor_and_no_page)
{
	struct problem why;
	int before;

	enter();
	before = scene_descriptors();
	for (int i = 0; i < 100; i++) {
		words[0] = story[0] = '\0';
		ck_assert_int_eq(
		    try_start("/bin/sh", i % 2 ? READY "exit 0" : "exit 1",
			NEVER, NEVER, NULL, &why),
		    0);
		until(WORKER_DEAD);
	}
	ck_assert_int_eq(ends, 100);
	ck_assert_int_eq(scene_descriptors(), before);
	ck_assert_int_eq(boards_left(), 0);
	leave();
}
END_TEST

/* --- ordered from a fork server, which a script plays, too --- */

static char here[600], interpreter[700], its_log[700], no_text[] = "",
						       its_name[] = "blog";
static struct account account = { .run = here, .log = its_log };
static struct forkservers all;

static void
nothing_left(struct forkservers *them, int64_t now)
{
	(void)now;
	ck_assert_int_eq(forkservers_count(them), 0);
}

/* The worker is what `script` does with the arguments of a worker, the fork
 * server what it does with the others. */
static void
start_from(const char *server, const char *script, int64_t start_timeout)
{
	static char *env[] = { NULL };
	struct app app = { .name = its_name,
		.host = no_text,
		.mount = no_text,
		.directory = here };
	struct app_settings settings = { .idle = 60 };
	struct python python = { .path = interpreter };
	const struct fork_need need = { .app = &app,
		.settings = &settings,
		.python = &python,
		.env = env,
		.log = 2 };
	const char *argv[] = { "sh", "-c", script, NULL };
	struct proc_spec spec = { .path = "/bin/sh",
		.argv = argv,
		.env = (const char *const *)env,
		.directory = "/",
		.fd = { -1, 2, 2, -1, 2, -1 },
		.umask = 022 };
	struct worker_how how = { .loop = loop,
		.spec = &spec,
		.boards_dir = boards,
		.generation = "generation",
		.start_timeout = start_timeout,
		.stop_timeout = NEVER };
	char path[700], text[1024];
	struct problem why;

	ck_assert_ptr_nonnull(getcwd(here, sizeof here));
	snprintf(interpreter, sizeof interpreter, "%s/interpreter", here);
	snprintf(text, sizeof text, "#!/bin/sh\n%s\n", server);
	scene_write(interpreter, text);
	ck_assert_int_eq(chmod(interpreter, 0700), 0);
	ck_assert_int_eq(mkdir("preload", 0700), 0);
	snprintf(its_log, sizeof its_log, "%s/log", here);
	scene_write(its_log, "");
	forkservers_init(&all, loop, &account);
	all.are_possible = 1;
	all.empty = nothing_left;
	how.from = forkservers_find(&all, &need, clock_ms());
	snprintf(
	    path, sizeof path, "preload/%s.json", forkserver_key(how.from));
	scene_write(path, "{}");
	memset(&worker, 0, sizeof worker);
	worker.said = said;
	worker.changed = changed;
	ck_assert_msg(
	    worker_start(&worker, &how, clock_ms(), &why) == 0, "%s", why.text);
	ck_assert_int_eq(worker.state, WORKER_STARTING);
}

static void
leave_forkservers(void)
{
	int64_t end = clock_ms() + LIMIT;

	forkservers_leave(&all, NULL, clock_ms());
	while (forkservers_count(&all) > 0) {
		ck_assert_int_lt(clock_ms(), end);
		spend(10);
	}
	forkservers_release(&all);
	leave();
}

START_TEST(test_what_a_fork_server_refuses_or_forgets_is_started_directly)
{
	static const char *const servers[] = { HEAR
		" >/dev/null; printf "
		"'{\"type\":\"refused\",\"id\":1}' >&3; " HEAR,
		HEAR " >/dev/null; exit 1", "exit 1", "echo nonsense >&3",
		"printf '{\"type\":\"ready\"}' >&3; exec sleep 600" };

	for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
		story[0] = words[0] = '\0';
		enter();
		start_from(servers[i], READY HEAR " >/dev/null", NEVER);
		until(WORKER_READY);
		ck_assert_int_gt(worker.pid, 0);
		ck_assert_ptr_null(worker.plan);
		worker_feed(&worker, WORKER_ASKED, clock_ms());
		until(WORKER_DEAD);
		ck_assert_str_eq(story, "ready draining dead ");
		ck_assert_int_eq(boards_left(), 0);
		leave_forkservers();
	}
}
END_TEST

START_TEST(test_what_is_ordered_can_be_late_and_was_never_there)
{
	enter();
	start_from("exec sleep 600", READY HEAR, 100);
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "stuck dead ");
	ck_assert_int_eq(worker.pid, 0);
	ck_assert_int_eq(boards_left(), 0);
	leave_forkservers();
}
END_TEST

START_TEST(test_what_is_ordered_and_not_wanted_any_more_never_comes)
{
	enter();
	start_from("exec sleep 600", READY HEAR, NEVER);
	ck_assert_int_eq(worker.pid, 0); /* nobody has forked it yet */
	worker_feed(&worker, WORKER_ASKED, clock_ms());
	until(WORKER_DEAD);
	ck_assert_str_eq(story, "draining dead ");
	ck_assert_str_eq(words, "");
	leave_forkservers();
}
END_TEST

SUITE("worker", test_is_ready_when_it_says_so_and_leaves_when_it_is_asked,
    test_says_that_it_cannot_and_goes, test_dies_before_it_has_said_anything,
    test_dies_by_a_signal_when_it_was_ready,
    test_what_it_said_with_its_last_breath_is_heard,
    test_a_grandchild_that_holds_the_control_socket_delays_nothing,
    test_hangs_up_but_lives_on_and_is_killed_with_its_children,
    test_is_late_with_its_start_is_told_to_show_where_and_dies,
    test_a_start_in_time_has_no_limit_any_more,
    test_is_silent_ignores_that_it_is_told_and_is_killed,
    test_is_stopped_and_is_killed_all_the_same,
    test_does_not_leave_though_asked_and_is_killed_in_time,
    test_may_finish_its_request_before_it_leaves,
    test_may_serve_one_after_the_other_before_it_leaves,
    test_says_what_it_cannot_say_and_is_not_argued_with,
    test_words_that_mean_nothing_to_the_table_are_only_passed_on,
    test_speaks_another_language_and_is_killed,
    test_is_given_its_first_message_and_asked_to_look,
    test_messages_that_nobody_reads_make_nobody_wait,
    test_its_page_bears_generation_and_pid_until_it_is_dead,
    test_its_board_is_read_once_more_when_it_dies,
    test_a_page_that_it_cuts_short_keeps_its_last_words,
    test_a_person_is_shown_what_its_board_says_while_it_is_ready,
    test_what_cannot_be_executed_leaves_nothing_behind,
    test_what_has_no_page_is_not_started,
    test_a_hundred_lives_leave_no_descriptor_and_no_page,
    test_what_a_fork_server_refuses_or_forgets_is_started_directly,
    test_what_is_ordered_can_be_late_and_was_never_there,
    test_what_is_ordered_and_not_wanted_any_more_never_comes);
