#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/beneath.h"
#include "t/check.h"
#include "t/scene.h"

static int place;

static void
enter(void)
{
	scene_enter();
	ck_assert_int_eq(mkdir("top", 0755), 0);
	ck_assert_int_eq(mkdir("top/a", 0755), 0);
	ck_assert_int_eq(mkdir("top/a/b", 0755), 0);
	scene_write("secret", "secret");
	scene_write("top/x", "x");
	scene_write("top/a/y", "y");
	scene_write("top/a/b/z", "z");
	place = open("top", BENEATH_PLACE | O_CLOEXEC);
	ck_assert_int_ne(place, -1);
}

static void
leave(void)
{
	close(place);
	scene_leave();
}

static void
holds(const char *path, const char *text)
{
	char got[16] = "";
	int fd, before = scene_descriptors();

	fd = beneath_open(place, path, O_RDONLY);
	ck_assert_msg(fd != -1, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(scene_descriptors(), before + 1);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(read(fd, got, sizeof got - 1), (int)strlen(text));
	ck_assert_str_eq(got, text);
	close(fd);
}

static void
fails(const char *path, int why)
{
	int before = scene_descriptors();

	errno = 0;
	ck_assert_msg(beneath_open(place, path, O_RDONLY) == -1 && errno == why,
	    "%.60s: %s", path, strerror(errno));
	ck_assert_int_eq(scene_descriptors(), before);
}

START_TEST(test_opens_what_is_below)
{
	struct stat st;
	int fd;

	enter();
	holds("x", "x");
	holds("a/y", "y");
	holds("a//b///z", "z");
	holds("./a/./b/../y", "y");
	fd = beneath_open(place, "", O_RDONLY);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	close(fd);
	fd = beneath_open(place, "a/b/", BENEATH_PLACE);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	close(fd);
	leave();
}
END_TEST

START_TEST(test_says_why_it_cannot)
{
	enter();
	fails("nothing", ENOENT);
	fails("a/nothing/z", ENOENT);
	fails("x/", ENOTDIR);
	fails("x/y", ENOTDIR);
	ck_assert_int_eq(chmod("top/a/b", 0), 0);
	if (geteuid() != 0)
		fails("a/b/z", EACCES);
	ck_assert_int_eq(chmod("top/a/b", 0755), 0);
	leave();
}
END_TEST

START_TEST(test_does_not_lead_out)
{
	enter();
	fails("..", EXDEV);
	fails("../secret", EXDEV);
	fails("a/../../secret", EXDEV);
	fails("a/../../top/x", EXDEV);
	fails("/etc/passwd", EXDEV);
	ck_assert_int_eq(symlink("../secret", "top/out"), 0);
	ck_assert_int_eq(symlink("..", "top/up"), 0);
	ck_assert_int_eq(symlink("/", "top/a/all"), 0);
	ck_assert_int_eq(symlink("../../secret", "top/a/out"), 0);
	ck_assert_int_eq(symlink("../out", "top/a/again"), 0);
	fails("out", EXDEV);
	fails("up", EXDEV);
	fails("up/secret", EXDEV);
	fails("a/all", EXDEV);
	fails("a/all/etc/passwd", EXDEV);
	fails("a/out", EXDEV);
	fails("a/again", EXDEV);
	leave();
}
END_TEST

START_TEST(test_links_that_stay_are_followed)
{
	enter();
	ck_assert_int_eq(symlink("a", "top/link"), 0);
	ck_assert_int_eq(symlink("../a/b/../y", "top/a/wide"), 0);
	ck_assert_int_eq(symlink("link/b/", "top/slash"), 0);
	ck_assert_int_eq(symlink("x/", "top/nodir"), 0);
	holds("link/y", "y");
	holds("link/b/z", "z");
	holds("a/wide", "y");
	holds("slash/z", "z");
	fails("nodir", ENOTDIR);
	leave();
}
END_TEST

START_TEST(test_links_are_counted)
{
	char name[24], before[24] = "x";

	enter();
	for (int i = 1; i <= BENEATH_LINKS + 1; i++) {
		snprintf(name, sizeof name, "top/l%d", i);
		ck_assert_int_eq(symlink(before, name), 0);
		snprintf(before, sizeof before, "%s", name + strlen("top/"));
	}
	snprintf(name, sizeof name, "l%d", BENEATH_LINKS);
	holds(name, "x");
	snprintf(name, sizeof name, "l%d", BENEATH_LINKS + 1);
	fails(name, ELOOP);
	ck_assert_int_eq(symlink("loop", "top/loop"), 0);
	fails("loop", ELOOP);
	leave();
}
END_TEST

START_TEST(test_depth_and_length_have_limits)
{
	char path[BENEATH_PATH + 2];

	enter();
	memset(path, '/', sizeof path);
	path[0] = 'a';
	memcpy(path + BENEATH_PATH - 2, "y", 2);
	holds(path, "y");
	path[BENEATH_PATH - 2] = '/';
	memcpy(path + BENEATH_PATH - 1, "y", 2);
	fails(path, ENAMETOOLONG);
	ck_assert_int_eq(chdir("top"), 0);
	path[0] = '\0';
	for (int i = 0; i <= BENEATH_DEPTH; i++) {
		ck_assert_int_eq(mkdir("d", 0755), 0);
		if (i == BENEATH_DEPTH - 1)
			scene_write("d/f", "deep");
		ck_assert_int_eq(chdir("d"), 0);
		strcat(path, "d/");
	}
	fails(path, ENAMETOOLONG);
	strcpy(path + 2 * BENEATH_DEPTH, "f");
	holds(path, "deep");
	for (int i = 0; i <= BENEATH_DEPTH + 1; i++)
		ck_assert_int_eq(chdir(".."), 0);
	leave();
}
END_TEST

SUITE("beneath", test_opens_what_is_below, test_says_why_it_cannot,
    test_does_not_lead_out, test_links_that_stay_are_followed,
    test_links_are_counted, test_depth_and_length_have_limits);
