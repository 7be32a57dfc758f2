#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/hookfile.h"
#include "lib/proc.h"
#include "lib/xalloc.h"
#include "t/check.h"
#include "t/scene.h"

static struct account account;
static struct problem why;

static void
begin(void)
{
	memset(&account, 0, sizeof account);
	account.root = xstrdup(scene_enter());
	account.run = xstrdup(account.root);
	scene_write("a.py", "1");
}

static void
end(void)
{
	free(account.root);
	free(account.run);
	scene_leave();
}

static void
write_record(const char *app, json_t *record)
{
	ck_assert_int_eq(hookfile_write(&account, app, record, &why), 0);
	json_decref(record);
}

static enum hook_state
state_of(const char *app)
{
	struct hookfile f;
	enum hook_state state;

	hookfile_read(&f, &account, app);
	state = f.state;
	hookfile_release(&f);
	return state;
}

static json_t *
result(const char *text)
{
	return json_pack("{s:s}", "result", text);
}

START_TEST(test_what_is_written_is_read)
{
	struct hookfile f;
	struct stat st;

	begin();
	ck_assert_int_eq(state_of("tools/wiki"), HOOK_NEVER);
	write_record("tools/wiki",
	    json_pack("{s:s, s:s, s:I, s:{}}", "result", "failed", "why",
		"exit status 1", "began", (json_int_t)7, "served"));
	hookfile_read(&f, &account, "tools/wiki");
	ck_assert_int_eq(f.state, HOOK_FAILED);
	ck_assert_str_eq(hookfile_text(&f, "why"), "exit status 1");
	ck_assert_str_eq(hookfile_text(&f, "hook"), "");
	ck_assert_int_eq(hookfile_number(&f, "began"), 7);
	ck_assert_int_eq(hookfile_number(&f, "ended"), 0);
	ck_assert(hookfile_has_served(&f));
	hookfile_release(&f);
	ck_assert_int_eq(stat("state/tools:wiki.json", &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(stat("state", &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(unlink("state/tools:wiki.json"), 0);
	ck_assert_int_eq(rmdir("state"), 0); /* nothing else is in it */
	end();
}
END_TEST

START_TEST(test_what_is_damaged_counts_as_missing)
{
	static const char *const texts[] = { "", "nonsense", "[]",
		"{\"result\": \"failed\", \"served\": 3}",
		"{\"result\": \"failed\", \"made_of\": {\"/a\": 3}}",
		"{\"result\": \"failed\", \"made_of\": {\"a\": \"3\"}}" };

	begin();
	write_record("blog", result("failed"));
	ck_assert_int_eq(state_of("blog"), HOOK_FAILED);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		scene_write("state/blog.json", texts[i]);
		ck_assert_int_eq(state_of("blog"), HOOK_NEVER);
	}
	end();
}
END_TEST

static struct hookfile
files_of(json_t *files)
{
	struct hookfile f;

	write_record("blog", json_pack("{s:o}", "made_of", files));
	hookfile_read(&f, &account, "blog");
	return f;
}

START_TEST(test_files_are_the_same_until_they_change)
{
	struct changes c = { 0 };
	struct hookfile f;
	char *a, *gone, *sign;
	json_t *renewed;

	begin();
	a = xprintf("%s/a.py", account.root);
	gone = xprintf("%s/gone", account.root);
	sign = xprintf("%s/restart.txt", account.root);
	scene_write("restart.txt", "");
	changes_add(&c, a, CHANGES_MADE_OF);
	changes_add(&c, gone, CHANGES_MADE_OF);
	changes_add(&c, sign, CHANGES_SIGNAL);
	f = files_of(hookfile_files(&c, NULL));
	ck_assert(hookfile_is_same(&f, "made_of"));
	ck_assert(!hookfile_is_same(&f, "served"));
	ck_assert_int_eq(unlink("restart.txt"), 0); /* is no change */
	ck_assert(hookfile_is_same(&f, "made_of"));
	scene_write("restart.txt", "again");
	ck_assert(!hookfile_is_same(&f, "made_of"));
	renewed = hookfile_renewed(json_object_get(f.all, "made_of"));
	hookfile_release(&f);
	f = files_of(renewed);
	ck_assert(hookfile_is_same(&f, "made_of"));
	scene_write("gone", "it has come");
	ck_assert(!hookfile_is_same(&f, "made_of"));
	ck_assert_int_eq(unlink("gone"), 0);
	ck_assert(hookfile_is_same(&f, "made_of"));
	scene_write("a.py", "22");
	ck_assert(!hookfile_is_same(&f, "made_of"));
	hookfile_release(&f);
	changes_release(&c);
	free(a);
	free(gone);
	free(sign);
	end();
}
END_TEST

START_TEST(test_files_of_others_are_taken_as_they_are)
{
	struct changes c = { 0 };
	struct hookfile f;
	char *a;
	json_t *others;

	begin();
	a = xprintf("%s/a.py", account.root);
	others = json_pack("{s:s, s:s}", a, "1", "/restart.txt", "!1");
	f = files_of(hookfile_files(&c, others));
	ck_assert_uint_eq(
	    json_object_size(json_object_get(f.all, "made_of")), 1);
	ck_assert(hookfile_is_same(&f, "made_of"));
	hookfile_release(&f);
	json_decref(others);
	free(a);
	end();
}
END_TEST

static int
hold(void *arg)
{
	int *pipes = arg, lock = hookfile_lock(&account, "blog");
	char byte = lock == -1 ? 'n' : 'y';

	if (write(pipes[1], &byte, 1) != 1)
		return 1;
	pause();
	return 0;
}

START_TEST(test_who_runs_has_the_lock_and_nobody_else)
{
	int pipes[2], lock;
	char byte;
	pid_t pid;

	begin();
	write_record("blog", result("running"));
	ck_assert_int_eq(state_of("blog"), HOOK_LOST);
	ck_assert_int_eq(fd_pipe(pipes), 0);
	pid = proc_fork(hold, pipes);
	ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 'y');
	ck_assert_int_eq(state_of("blog"), HOOK_RUNNING);
	ck_assert_int_eq(hookfile_lock(&account, "blog"), -1);
	ck_assert_int_eq(errno, EAGAIN);
	lock = hookfile_lock(&account, "another");
	ck_assert_int_ne(lock, -1);
	fd_close(&lock);
	proc_signal(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(state_of("blog"), HOOK_LOST);
	/* its command is still there; or another process has its number */
	write_record(
	    "blog", json_pack("{s:s, s:i, s:I}", "result", "running", "pid",
			getpid(), "start", (json_int_t)proc_started(getpid())));
	ck_assert_int_eq(state_of("blog"), HOOK_RUNNING);
	write_record("blog",
	    json_pack("{s:s, s:i, s:I}", "result", "running", "pid", getpid(),
		"start", (json_int_t)proc_started(getpid()) + 1));
	ck_assert_int_eq(state_of("blog"), HOOK_LOST);
	fd_close(&pipes[0]);
	fd_close(&pipes[1]);
	end();
}
END_TEST

START_TEST(test_what_cannot_be_written_is_an_error_with_its_name)
{
	json_t *record = result("failed");

	begin();
	scene_write("state", "");
	ck_assert_int_eq(hookfile_write(&account, "blog", record, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "state/blog.json"));
	json_decref(record);
	end();
}
END_TEST

SUITE("hookfile", test_what_is_written_is_read,
    test_what_is_damaged_counts_as_missing,
    test_files_are_the_same_until_they_change,
    test_files_of_others_are_taken_as_they_are,
    test_who_runs_has_the_lock_and_nobody_else,
    test_what_cannot_be_written_is_an_error_with_its_name);
