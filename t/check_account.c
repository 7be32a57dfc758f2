#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/account.h"
#include "t/check.h"
#include "t/scene.h"

#define NOBODY 65534

/*
 * Who we are is what the test says: these stand before the C library's, so
 * that every user can see what happens to every other.
 */
static uid_t real_user, effective_user;
static gid_t real_group, effective_group;
static struct passwd *entry;
static int questions; /* until we are somebody else for once; 0: never */

uid_t
getuid(void)
{
	return real_user;
}

uid_t
geteuid(void)
{
	if (questions > 0 && --questions == 0)
		return effective_user + 1;
	return effective_user;
}

gid_t
getgid(void)
{
	return real_group;
}

gid_t
getegid(void)
{
	return effective_group;
}

struct passwd *
getpwuid(uid_t uid)
{
	return entry != NULL && entry->pw_uid == uid ? entry : NULL;
}

static struct account account;
static struct problem why;
static struct passwd alice;
static char scene[512], home[1024], root[2048];

static char *
below(const char *directory, const char *name)
{
	static char path[4][4096];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof path[next], "%s/%s", directory, name);
	return path[next];
}

/* Alice, an ordinary user with a home directory of her own. */
static void
enter(void)
{
	static char name[] = "alice";
	struct stat st;

	snprintf(scene, sizeof scene, "%s", scene_enter());
	umask(022);
	ck_assert_int_eq(stat(".", &st), 0);
	if (st.st_uid == 0) { /* really root: files are to be somebody's */
		ck_assert_int_eq(chown(".", NOBODY, NOBODY), 0);
		ck_assert_int_eq(setgid(NOBODY), 0);
		ck_assert_int_eq(setuid(NOBODY), 0);
		st.st_uid = NOBODY;
		st.st_gid = NOBODY;
	}
	real_user = effective_user = st.st_uid;
	real_group = effective_group = st.st_gid;
	snprintf(home, sizeof home, "%s/home", scene);
	snprintf(root, sizeof root, "%s/mamayo", home);
	ck_assert_int_eq(mkdir(home, 0755), 0);
	alice.pw_name = name;
	alice.pw_dir = home;
	alice.pw_uid = st.st_uid;
	entry = &alice;
	unsetenv("MAMAYO_ROOT");
	unsetenv("XDG_RUNTIME_DIR");
	setenv("HOME", "/root", 1); /* as lighttpd hands it on */
	account_init(&account);
}

static void
leave(void)
{
	account_release(&account);
	ck_assert_int_eq(account.run_fd, -1);
	ck_assert_ptr_null(account.root);
	account_release(&account); /* does no harm twice */
	scene_leave();
}

static void
opens(void)
{
	ck_assert_msg(account_open(&account, &why) == 0, "%s", why.text);
}

static void
refuses(const char *words)
{
	int before = scene_descriptors();

	ck_assert_int_eq(account_open(&account, &why), -1);
	ck_assert_msg(strstr(why.text, words) != NULL, "\"%s\" is not in: %s",
	    words, why.text);
	ck_assert_int_eq(account.run_fd, -1);
	ck_assert_int_eq(scene_descriptors(), before);
}

static void
again(void)
{
	account_release(&account);
}

static unsigned
mode_of(const char *path)
{
	struct stat st;

	ck_assert_msg(lstat(path, &st) == 0, "%s: %s", path, strerror(errno));
	return st.st_mode & 07777;
}

/* ------------------------------------------------------------ where it is */

START_TEST(test_is_mamayo_in_the_home_of_the_password_database)
{
	enter();
	opens();
	ck_assert_str_eq(account.root, root);
	ck_assert_str_eq(account.apps, below(root, "apps"));
	ck_assert_str_eq(account.logs, below(root, "logs"));
	ck_assert_str_eq(account.run, below(root, "run"));
	ck_assert_str_eq(account.log, below(root, "logs/mamayo.log"));
	ck_assert_str_eq(account.home, home);
	ck_assert_str_eq(account.user, "alice");
	ck_assert_ptr_null(account.remark);
	leave();
}
END_TEST

START_TEST(test_makes_its_directories_and_only_once)
{
	enter();
	for (int i = 0; i < 2; i++) {
		opens();
		ck_assert_uint_eq(mode_of(root), 0755);
		ck_assert_uint_eq(mode_of(below(root, "apps")), 0755);
		ck_assert_uint_eq(mode_of(below(root, "logs")), 0700);
		ck_assert_uint_eq(mode_of(below(root, "run")), 0700);
		ck_assert_uint_eq(mode_of(below(root, "run/workers")), 0700);
		ck_assert_int_eq(fcntl(account.run_fd, F_GETFD), FD_CLOEXEC);
		again();
	}
	leave();
}
END_TEST

START_TEST(test_only_to_look_makes_nothing)
{
	enter();
	ck_assert_int_eq(account_find(&account, &why), 0);
	ck_assert_str_eq(account.root, root);
	ck_assert_int_eq(access(root, F_OK), -1);
	leave();
}
END_TEST

START_TEST(test_is_what_MAMAYO_ROOT_says)
{
	enter();
	setenv("MAMAYO_ROOT", below(scene, "srv"), 1);
	opens();
	ck_assert_str_eq(account.root, below(scene, "srv"));
	ck_assert_int_eq(access(root, F_OK), -1);
	leave();
}
END_TEST

START_TEST(test_slashes_at_the_end_of_MAMAYO_ROOT_mean_nothing)
{
	enter();
	setenv("MAMAYO_ROOT", below(scene, "srv//"), 1);
	opens();
	ck_assert_str_eq(account.root, below(scene, "srv"));
	leave();
}
END_TEST

START_TEST(test_an_empty_MAMAYO_ROOT_is_none)
{
	enter();
	setenv("MAMAYO_ROOT", "", 1);
	opens();
	ck_assert_str_eq(account.root, root);
	leave();
}
END_TEST

START_TEST(test_a_relative_MAMAYO_ROOT_is_refused)
{
	enter();
	setenv("MAMAYO_ROOT", "srv/mamayo", 1);
	refuses("\"srv/mamayo\", which is not an absolute path");
	ck_assert_int_eq(access("srv", F_OK), -1);
	leave();
}
END_TEST

START_TEST(test_MAMAYO_ROOT_serves_a_user_without_a_home)
{
	enter();
	entry = NULL;
	setenv("MAMAYO_ROOT", below(scene, "srv"), 1);
	opens();
	ck_assert_str_eq(account.home, "");
	ck_assert_int_eq(strncmp(account.user, "uid ", 4), 0);
	leave();
}
END_TEST

START_TEST(test_a_user_whom_nobody_knows_is_refused_with_a_way_out)
{
	enter();
	entry = NULL;
	refuses("has no home directory");
	ck_assert_ptr_nonnull(strstr(why.text, "MAMAYO_ROOT"));
	ck_assert_ptr_nonnull(strstr(why.text, "mamayo listen"));
	leave();
}
END_TEST

START_TEST(test_a_home_that_does_not_exist_is_refused_with_two_ways_out)
{
	enter();
	alice.pw_dir = below(scene, "nonexistent");
	refuses("mamayo runs as user alice");
	ck_assert_ptr_nonnull(strstr(why.text, "install -d -o alice"));
	ck_assert_ptr_nonnull(strstr(why.text, "MAMAYO_ROOT"));
	ck_assert_ptr_nonnull(strstr(why.text, "mamayo listen"));
	leave();
}
END_TEST

START_TEST(test_a_home_where_it_may_make_nothing_is_refused)
{
	enter();
	ck_assert_int_eq(chmod(home, 0555), 0);
	refuses("Permission denied");
	ck_assert_int_eq(chmod(home, 0755), 0);
	leave();
}
END_TEST

/* ------------------------------------------------------------- who it is */

START_TEST(test_root_is_refused)
{
	enter();
	real_user = effective_user = 0;
	refuses("does not serve as root");
	ck_assert_int_eq(access(root, F_OK), -1);
	leave();
}
END_TEST

START_TEST(test_another_effective_than_real_user_or_group_is_refused)
{
	enter();
	real_user = effective_user + 1;
	refuses("another effective than real user");
	real_user = effective_user;
	real_group = effective_group + 1;
	refuses("another effective than real user");
	leave();
}
END_TEST

/* -------------------------------------------------------- what is safe */

START_TEST(test_what_others_may_write_is_refused_until_it_is_mended)
{
	static const char *const names[] = { ".", "apps", "logs", "run" };
	char *path;
	unsigned mode;

	enter();
	opens();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		path = below(root, names[i]);
		mode = mode_of(path);
		ck_assert_int_eq(chmod(path, mode | S_IWOTH), 0);
		again();
		refuses("can be written by every user of this machine; run: "
			"chmod o-w /");
		ck_assert_int_eq(chmod(path, mode), 0);
		again();
		opens();
	}
	leave();
}
END_TEST

START_TEST(test_what_its_group_may_write_is_fine_and_mentioned)
{
	static const char *const names[] = { "apps", "logs", "run" };
	unsigned mode;
	char *path;

	enter();
	opens();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		path = below(root, names[i]);
		mode = mode_of(path);
		ck_assert_int_eq(chmod(path, mode | S_IWGRP), 0);
		again();
		opens();
		ck_assert_ptr_nonnull(account.remark);
		ck_assert_ptr_nonnull(strstr(account.remark, path));
		ck_assert_int_eq(chmod(path, mode), 0);
	}
	leave();
}
END_TEST

START_TEST(test_a_root_that_its_group_may_write_shares_apps_with_it)
{
	enter();
	ck_assert_int_eq(mkdir(root, 0755), 0);
	ck_assert_int_eq(chmod(root, 02770), 0);
	opens();
	ck_assert_uint_eq(mode_of(below(root, "apps")), 02775);
	ck_assert_uint_eq(mode_of(below(root, "logs")) & 0777, 0700);
	ck_assert_uint_eq(mode_of(below(root, "run")) & 0777, 0700);
	ck_assert_ptr_nonnull(account.remark);
	leave();
}
END_TEST

START_TEST(test_an_apps_that_was_there_keeps_its_mode)
{
	enter();
	ck_assert_int_eq(mkdir(root, 0755), 0);
	ck_assert_int_eq(chmod(root, 0770), 0);
	ck_assert_int_eq(mkdir(below(root, "apps"), 0750), 0);
	opens();
	ck_assert_uint_eq(mode_of(below(root, "apps")), 0750);
	leave();
}
END_TEST

/*
 * Whom a directory belongs to cannot be changed here, but who asks can: from
 * one question on we are another user, to whom the next directory is foreign.
 */
START_TEST(test_a_logs_or_run_of_another_user_is_refused)
{
	int logs = 0, run = 0;

	enter();
	opens();
	for (int n = 1; n < 20; n++) {
		again();
		questions = n;
		why.text[0] = '\0';
		(void)account_open(&account, &why);
		logs += strstr(why.text, "/logs belongs to another") != NULL;
		run += strstr(why.text, "/run belongs to another") != NULL;
	}
	questions = 0;
	ck_assert_int_ge(logs, 1);
	ck_assert_int_ge(run, 1);
	again();
	opens();
	leave();
}
END_TEST

START_TEST(test_a_symlink_or_a_file_in_place_of_run_or_logs_is_refused)
{
	static const char *const names[] = { "logs", "run" };
	char *path, elsewhere[4096];

	enter();
	snprintf(elsewhere, sizeof elsewhere, "%s", below(scene, "elsewhere"));
	ck_assert_int_eq(mkdir(elsewhere, 0700), 0);
	ck_assert_int_eq(mkdir(root, 0755), 0);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		path = below(root, names[i]);
		ck_assert_int_eq(symlink(elsewhere, path), 0);
		refuses("is not a directory (or is a symbolic link)");
		ck_assert_ptr_nonnull(strstr(why.text, path));
		ck_assert_int_eq(unlink(path), 0);
		again();
		scene_write(path, "a file");
		refuses("is not a directory");
		ck_assert_int_eq(unlink(path), 0);
		again();
	}
	ck_assert_int_eq(rmdir(elsewhere), 0); /* nothing was put there */
	opens();
	leave();
}
END_TEST

START_TEST(test_apps_may_be_a_symlink)
{
	enter();
	ck_assert_int_eq(mkdir(root, 0755), 0);
	ck_assert_int_eq(mkdir("elsewhere", 0755), 0);
	ck_assert_int_eq(
	    symlink(below(scene, "elsewhere"), below(root, "apps")), 0);
	opens();
	leave();
}
END_TEST

START_TEST(test_a_file_in_place_of_the_root_is_refused)
{
	enter();
	scene_write(root, "a file");
	refuses("is not a directory");
	leave();
}
END_TEST

/* ----------------------------------------------------------- its settings */

START_TEST(test_its_settings_are_read)
{
	enter();
	ck_assert_int_eq(mkdir(root, 0755), 0);
	scene_write(below(root, "mamayo.json"),
	    "{\"linger\": 7, \"max_workers\": 3, \"timeout\": 9}");
	opens();
	ck_assert_ptr_null(account.remark);
	ck_assert_int_eq(account.settings.linger, 7);
	ck_assert_int_eq(account.settings.max_workers, 3);
	ck_assert_int_eq(account.settings.app.timeout, 9);
	leave();
}
END_TEST

START_TEST(test_settings_that_cannot_be_read_are_no_refusal)
{
	enter();
	ck_assert_int_eq(mkdir(root, 0755), 0);
	scene_write(below(root, "mamayo.json"), "{\n\"linger\": \"long\"\n}");
	opens();
	ck_assert_ptr_nonnull(account.remark);
	ck_assert_ptr_nonnull(strstr(account.remark, "mamayo.json:2:"));
	ck_assert_ptr_nonnull(strstr(account.remark, "\"linger\""));
	ck_assert_ptr_nonnull(strstr(account.remark, "using the defaults"));
	ck_assert_int_eq(account.settings.linger, 300);
	leave();
}
END_TEST

/* ----------------------------------------------- where run/ has no room */

/* A root so deep that "ROOT/run/sock.PID" is n bytes too long for a socket. */
static void
deep_root(int n)
{
	size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path - 24;
	size_t begin, length;

	/* strlen(root) + strlen("/run") == room + n */
	length = (size_t)((int)room + n) - strlen("/run");
	snprintf(root, sizeof root, "%s/", scene);
	begin = strlen(root);
	ck_assert_uint_lt(begin, length);
	memset(root + begin, 'd', length - begin);
	root[length] = '\0';
	setenv("MAMAYO_ROOT", root, 1);
}

/* Where run/ is now; run/where says the same. */
static void
is_elsewhere(const char *directory)
{
	char text[512], *name;
	size_t n = strlen(directory);

	ck_assert_msg(
	    strncmp(account.run, directory, n) == 0, "%s", account.run);
	scene_read(below(root, "run/where"), text, sizeof text);
	text[strcspn(text, "\n")] = '\0';
	ck_assert_str_eq(text, account.run);
	name = account.run + n;
	ck_assert_ptr_null(strchr(name, '/'));
	ck_assert_uint_eq(mode_of(account.run), 0700);
	ck_assert_uint_eq(mode_of(below(account.run, "workers")), 0700);
	ck_assert_int_eq(faccessat(account.run_fd, "workers", F_OK, 0), 0);
}

/* What was made outside of the scene. */
static void
clean(const char *run)
{
	ck_assert_int_eq(rmdir(below(run, "workers")), 0);
	ck_assert_int_eq(rmdir(below(run, "preload")), 0);
	ck_assert_int_eq(rmdir(run), 0);
}

static char *
runtime_directory(void)
{
	char *path = below(scene, "x");

	(void)mkdir(path, 0700);
	setenv("XDG_RUNTIME_DIR", path, 1);
	return path;
}

START_TEST(test_the_longest_path_that_fits_a_socket_is_used)
{
	enter();
	runtime_directory();
	deep_root(0);
	opens();
	ck_assert_str_eq(account.run, below(root, "run"));
	ck_assert_int_eq(access(below(root, "run/where"), F_OK), -1);
	leave();
}
END_TEST

START_TEST(test_one_byte_more_and_the_runtime_directory_is_used)
{
	enter();
	runtime_directory();
	deep_root(1);
	opens();
	is_elsewhere(below(scene, "x/mamayo-"));
	leave();
}
END_TEST

START_TEST(test_whoever_comes_later_goes_where_the_first_one_is)
{
	char first[256];

	enter();
	runtime_directory();
	deep_root(1);
	opens();
	snprintf(first, sizeof first, "%s", account.run);
	again();
	unsetenv("XDG_RUNTIME_DIR");
	opens();
	ck_assert_str_eq(account.run, first);
	leave();
}
END_TEST

START_TEST(test_a_place_that_has_gone_is_made_anew)
{
	char first[256];

	enter();
	runtime_directory();
	deep_root(1);
	opens();
	snprintf(first, sizeof first, "%s", account.run);
	again();
	clean(first);
	opens();
	ck_assert_str_eq(account.run, first);
	again();
	/* nonsense in run/where is passed over */
	scene_write(below(root, "run/where"), "elsewhere\n");
	opens();
	ck_assert_str_eq(account.run, first);
	leave();
}
END_TEST

START_TEST(test_who_only_looks_makes_no_other_place)
{
	char first[256];

	enter();
	runtime_directory();
	deep_root(1);
	account.only_looks = 1;
	opens();
	ck_assert_str_eq(account.run, below(root, "run"));
	ck_assert_int_eq(access(below(root, "run/where"), F_OK), -1);
	ck_assert_int_eq(rmdir("x"), 0); /* it is empty */
	runtime_directory();
	again();
	opens();
	snprintf(first, sizeof first, "%s", account.run);
	again();
	clean(first);
	account.only_looks = 1;
	opens();
	ck_assert_str_eq(account.run, first); /* there is nothing to be seen */
	ck_assert_int_eq(access(first, F_OK), -1);
	leave();
}
END_TEST

START_TEST(test_two_roots_get_two_places_and_one_root_always_the_same)
{
	char first[256];

	enter();
	runtime_directory();
	deep_root(1);
	opens();
	snprintf(first, sizeof first, "%s", account.run);
	again();
	opens();
	ck_assert_str_eq(account.run, first);
	again();
	deep_root(2);
	opens();
	ck_assert_str_ne(account.run, first);
	leave();
}
END_TEST

START_TEST(test_without_a_runtime_directory_tmp_is_used)
{
	char run[256], expected[64];

	enter();
	deep_root(1);
	effective_user = real_user; /* who has no /run/user/UID in a test */
	opens();
	snprintf(run, sizeof run, "%s", account.run);
	snprintf(expected, sizeof expected, "/run/user/%ld/mamayo-",
	    (long)effective_user);
	if (strncmp(run, expected, strlen(expected)) != 0)
		snprintf(expected, sizeof expected, "/tmp/mamayo-%ld-",
		    (long)effective_user);
	is_elsewhere(expected);
	again();
	clean(run);
	leave();
}
END_TEST

START_TEST(test_a_relative_runtime_directory_is_passed_over)
{
	char run[256];

	enter();
	ck_assert_int_eq(mkdir("x", 0700), 0);
	setenv("XDG_RUNTIME_DIR", "x", 1);
	deep_root(1);
	opens();
	snprintf(run, sizeof run, "%s", account.run);
	ck_assert_int_eq(run[0], '/');
	again();
	clean(run);
	leave();
}
END_TEST

/* Whoever comes first to a place that many may write to is not trusted. */
START_TEST(test_a_place_that_is_a_trap_is_passed_over)
{
	char trap[256], run[256];

	enter();
	runtime_directory();
	deep_root(1);
	opens();
	snprintf(trap, sizeof trap, "%s", account.run);
	again();
	clean(trap);
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			ck_assert_int_eq(symlink(scene, trap), 0);
		else if (i == 1)
			scene_write(trap, "a file");
		else {
			ck_assert_int_eq(mkdir(trap, 0700), 0);
			ck_assert_int_eq(chmod(trap, 0777), 0);
		}
		opens();
		snprintf(run, sizeof run, "%s", account.run);
		ck_assert_str_ne(run, trap);
		again();
		clean(run);
		ck_assert_int_eq(remove(trap), 0);
	}
	leave();
}
END_TEST

/* A lock or a socket may be refused by a file system, too. */
START_TEST(test_a_run_that_was_left_is_left_by_everybody_but_a_copy)
{
	char first[256], text[512];

	enter();
	runtime_directory();
	opens();
	ck_assert_str_eq(account.run, below(root, "run"));
	ck_assert_int_eq(account_leave_run(&account, &why), 0);
	is_elsewhere(below(scene, "x/mamayo-"));
	snprintf(first, sizeof first, "%s", account.run);
	ck_assert_int_eq(account_leave_run(&account, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, first));
	again();
	opens();
	ck_assert_str_eq(account.run, first);
	again();
	account.only_looks = 1;
	opens();
	ck_assert_str_eq(account.run, first);
	again();
	/* a copy of the directory, which has not been tried */
	scene_read(below(root, "run/where"), text, sizeof text);
	ck_assert_int_eq(rename(below(root, "run"), below(root, "run.old")), 0);
	ck_assert_int_eq(mkdir(below(root, "run"), 0700), 0);
	scene_write(below(root, "run/where"), text);
	opens();
	ck_assert_str_eq(account.run, below(root, "run"));
	leave();
}
END_TEST

START_TEST(test_a_run_that_cannot_be_left_for_anything_stays)
{
	enter();
	opens();
	scene_write("x", "no directory");
	setenv("XDG_RUNTIME_DIR", below(scene, "x"), 1);
	effective_user = real_user + 4711; /* has no /run/user/UID, nor owns */
	ck_assert_int_eq(account_leave_run(&account, &why), -1);
	ck_assert_str_eq(account.run, below(root, "run"));
	effective_user = real_user;
	leave();
}
END_TEST

SUITE("account", test_is_mamayo_in_the_home_of_the_password_database,
    test_makes_its_directories_and_only_once, test_only_to_look_makes_nothing,
    test_is_what_MAMAYO_ROOT_says,
    test_slashes_at_the_end_of_MAMAYO_ROOT_mean_nothing,
    test_an_empty_MAMAYO_ROOT_is_none, test_a_relative_MAMAYO_ROOT_is_refused,
    test_MAMAYO_ROOT_serves_a_user_without_a_home,
    test_a_user_whom_nobody_knows_is_refused_with_a_way_out,
    test_a_home_that_does_not_exist_is_refused_with_two_ways_out,
    test_a_home_where_it_may_make_nothing_is_refused, test_root_is_refused,
    test_another_effective_than_real_user_or_group_is_refused,
    test_what_others_may_write_is_refused_until_it_is_mended,
    test_what_its_group_may_write_is_fine_and_mentioned,
    test_a_root_that_its_group_may_write_shares_apps_with_it,
    test_an_apps_that_was_there_keeps_its_mode,
    test_a_logs_or_run_of_another_user_is_refused,
    test_a_symlink_or_a_file_in_place_of_run_or_logs_is_refused,
    test_apps_may_be_a_symlink, test_a_file_in_place_of_the_root_is_refused,
    test_its_settings_are_read,
    test_settings_that_cannot_be_read_are_no_refusal,
    test_the_longest_path_that_fits_a_socket_is_used,
    test_one_byte_more_and_the_runtime_directory_is_used,
    test_whoever_comes_later_goes_where_the_first_one_is,
    test_a_place_that_has_gone_is_made_anew,
    test_who_only_looks_makes_no_other_place,
    test_two_roots_get_two_places_and_one_root_always_the_same,
    test_without_a_runtime_directory_tmp_is_used,
    test_a_relative_runtime_directory_is_passed_over,
    test_a_place_that_is_a_trap_is_passed_over,
    test_a_run_that_was_left_is_left_by_everybody_but_a_copy,
    test_a_run_that_cannot_be_left_for_anything_stays);
