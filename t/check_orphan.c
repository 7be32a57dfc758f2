#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/orphan.h"
#include "lib/proc.h"
#include "t/check.h"
#include "t/scene.h"

#define ONE   "0123456789abcdef0123456789abcdef"
#define OTHER "00000000000000000000000000000000"

static struct orphans all;
static struct problem why;
static pid_t living, dead;
static int boards;
static char name[64];

/* A page of that name, with a request in the worker's hands or none. */
static void
page(const char *generation, pid_t pid, uint64_t counter)
{
	int fd;

	snprintf(name, sizeof name, "%s.%ld", generation, (long)pid);
	fd = scoreboard_new(boards, name, &why);
	ck_assert_msg(fd != -1, "%s", why.text);
	ck_assert_int_eq(
	    pwrite(fd, &counter, sizeof counter, 8 * BOARD_COUNTER), 8);
	close(fd);
}

static void
enter(void)
{
	scene_enter();
	ck_assert_int_eq(mkdir("workers", 0700), 0);
	boards = open("workers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if ((dead = fork()) == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(dead, NULL, 0), dead);
	if ((living = fork()) == 0)
		for (;;)
			pause();
}

static void
end_living(void)
{
	kill(living, SIGKILL);
	waitpid(living, NULL, 0);
	living = 0;
}

/* Has that process its page as its descriptor 5? */
static int
has_page(pid_t pid)
{
	char path[64];
	struct stat its, st;

	snprintf(path, sizeof path, "/proc/%ld/fd/5", (long)pid);
	return stat(path, &its) == 0 && fstatat(boards, name, &st, 0) == 0 &&
	       its.st_ino == st.st_ino;
}

static void
leave(void)
{
	if (living > 0)
		end_living();
	orphans_release(&all);
	close(boards);
	scene_leave();
}

START_TEST(test_a_generation_is_32_hexadecimal_digits)
{
	ck_assert_int_eq(orphan_is_generation(ONE), 1);
	ck_assert_int_eq(orphan_is_generation(""), 0);
	ck_assert_int_eq(orphan_is_generation(ONE "0"), 0);
	ck_assert_int_eq(orphan_is_generation(ONE ".1"), 0);
	ck_assert_int_eq(
	    orphan_is_generation("0123456789abcdef0123456789abcde"), 0);
	ck_assert_int_eq(
	    orphan_is_generation("../3456789abcdef0123456789abcdef"), 0);
}
END_TEST

START_TEST(test_who_lives_is_taken_by_generation_once)
{
	struct orphan *o;

	enter();
	page(ONE, living, 0);
	page(OTHER, living, 0);
	orphans_read(&all, boards, 1000);
	ck_assert_int_eq(orphans_have(&all, living), 1);
	o = orphans_take(&all, ONE);
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(o->pid, living);
	ck_assert_int_eq(strncmp(o->page, ONE ".", 33), 0);
	free(o);
	ck_assert_ptr_null(orphans_take(&all, ONE));
	ck_assert_int_eq(orphans_have(&all, living), 1); /* as OTHER */
	o = orphans_take(&all, OTHER);
	ck_assert_int_eq(orphans_have(&all, living), 0);
	ck_assert_int_eq(orphan_has_lost(o, boards), 0);
	free(o);
	leave();
}
END_TEST

START_TEST(test_whether_any_lives)
{
	int fd, ready[2];
	char byte;

	enter();
	ck_assert_int_eq(orphans_live(boards), 0);
	page(ONE, dead, 77);
	page(OTHER, living, 77); /* a stranger who has got the number */
	ck_assert_int_eq(orphans_live(boards), 0);
	end_living();
	ck_assert_int_eq(pipe(ready), 0);
	if ((living = fork()) == 0) {
		page(ONE, getpid(), 0);
		fd = openat(boards, name, O_RDONLY);
		if (dup2(fd, 5) == 5 && write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	ck_assert_int_eq(orphans_live(boards), 1);
	end_living();
	ck_assert_int_eq(orphans_live(boards), 0);
	leave();
}
END_TEST

START_TEST(test_who_dies_later_has_lost_what_is_on_its_page)
{
	struct orphan *o;

	enter();
	page(ONE, living, 77);
	page(OTHER, living, 0);
	orphans_read(&all, boards, 1000);
	o = orphans_take(&all, ONE);
	ck_assert_int_eq(orphan_has_lost(o, boards), 0);
	end_living();
	ck_assert_int_eq(orphan_has_lost(o, boards), 1);
	ck_assert_uint_eq(o->board.word[BOARD_COUNTER], 77);
	free(o);
	o = orphans_take(&all, OTHER);
	ck_assert_int_eq(orphan_has_lost(o, boards), 0); /* it had none */
	free(o);
	leave();
}
END_TEST

START_TEST(test_of_the_dead_only_those_with_a_request_count)
{
	enter();
	page(ONE, dead, 0);
	orphans_read(&all, boards, 1000);
	ck_assert_ptr_null(all.first);
	page(OTHER, dead, 77);
	orphans_read(&all, boards, 1000);
	ck_assert_ptr_nonnull(all.first);
	ck_assert_int_eq(all.first->is_dead, 1);
	ck_assert_uint_eq(all.first->board.word[BOARD_COUNTER], 77);
	ck_assert_ptr_null(all.first->next);
	ck_assert_ptr_null(orphans_take(&all, OTHER));
	ck_assert_int_eq(orphans_have(&all, dead), 0);
	leave();
}
END_TEST

START_TEST(test_whatever_else_lies_there_is_nothing)
{
	enter();
	page("new", living, 5);
	page(ONE, -1, 5);
	page(ONE, 1, 5);
	page(ONE "0", living, 5);
	scene_write("workers/" OTHER ".2", "short");
	ck_assert_int_eq(symlink("/dev/zero", "workers/" OTHER ".3"), 0);
	ck_assert_int_eq(mkdir("workers/" OTHER ".4", 0700), 0);
	ck_assert_int_eq(mkfifo("workers/" OTHER ".5", 0600), 0);
	orphans_read(&all, boards, 1000);
	ck_assert_ptr_null(all.first);
	orphans_read(&all, -1, 1000);
	ck_assert_ptr_null(all.first);
	leave();
}
END_TEST

START_TEST(test_only_who_never_started_is_ended)
{
	int status, fd;
	uint64_t idle = BOARD_IDLE;

	enter();
	page(ONE, living, 0); /* which does not hold it */
	orphans_read(&all, boards, 1000);
	orphans_end(&all, boards);
	ck_assert_int_eq(waitpid(living, NULL, WNOHANG), 0);
	orphans_release(&all);
	end_living();
	if (!proc_can_adopt()) {
		leave();
		return;
	}
	for (int is_idle = 1; is_idle >= 0; is_idle--) {
		fd = scoreboard_new(boards, "new", &why);
		if ((living = fork()) == 0) {
			dup2(fd, 5);
			for (;;)
				pause();
		}
		snprintf(name, sizeof name, ONE ".%ld", (long)living);
		ck_assert_int_eq(renameat(boards, "new", boards, name), 0);
		ck_assert_int_eq(
		    pwrite(fd, &idle, (size_t)is_idle * 8, 8 * BOARD_STATE),
		    is_idle * 8);
		close(fd);
		while (!has_page(living))
			usleep(1000);
		orphans_read(&all, boards, 1000);
		orphans_end(&all, boards);
		if (is_idle) {
			ck_assert_int_eq(waitpid(living, NULL, WNOHANG), 0);
			end_living();
		} else {
			ck_assert_int_eq(waitpid(living, &status, 0), living);
			ck_assert_int_eq(WTERMSIG(status), SIGKILL);
			living = 0;
		}
		orphans_release(&all);
	}
	leave();
}
END_TEST

START_TEST(test_they_are_waited_for_as_long_as_it_says)
{
	enter();
	page(OTHER, dead, 77);
	orphans_read(&all, boards, 1000);
	ck_assert_int_eq(orphans_are_expected(&all, 1000), 0);
	orphans_release(&all);
	page(ONE, living, 0);
	orphans_read(&all, boards, 1000);
	ck_assert_int_eq(
	    orphans_are_expected(&all, 1000 + ORPHANS_WAIT_MS - 1), 1);
	ck_assert_int_eq(orphans_are_expected(&all, 1000 + ORPHANS_WAIT_MS), 0);
	free(orphans_take(&all, ONE));
	ck_assert_int_eq(orphans_are_expected(&all, 1000), 0);
	leave();
}
END_TEST

SUITE("orphan", test_a_generation_is_32_hexadecimal_digits,
    test_who_lives_is_taken_by_generation_once, test_whether_any_lives,
    test_who_dies_later_has_lost_what_is_on_its_page,
    test_of_the_dead_only_those_with_a_request_count,
    test_whatever_else_lies_there_is_nothing,
    test_only_who_never_started_is_ended,
    test_they_are_waited_for_as_long_as_it_says);
