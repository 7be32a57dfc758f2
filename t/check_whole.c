#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/whole.h"
#include "t/check.h"
#include "t/scene.h"

static struct problem why;
static char text[100];

START_TEST(test_a_file_is_replaced_as_a_whole_with_its_mode)
{
	struct stat st;

	scene_enter();
	scene_write("file", "something long that was there before");
	ck_assert_int_eq(
	    whole_write(AT_FDCWD, "file", "new\n", 4, 0755, &why), 0);
	scene_read("file", text, sizeof text);
	ck_assert_str_eq(text, "new\n");
	ck_assert_int_eq(stat("file", &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	scene_leave();
}
END_TEST

START_TEST(test_a_link_is_replaced_and_what_it_leads_to_stays)
{
	struct stat st;

	scene_enter();
	scene_write("other", "theirs");
	ck_assert_int_eq(symlink("other", "file"), 0);
	ck_assert_int_eq(
	    whole_write(AT_FDCWD, "file", "mine", 4, 0600, &why), 0);
	ck_assert_int_eq(lstat("file", &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	scene_read("other", text, sizeof text);
	ck_assert_str_eq(text, "theirs");
	scene_leave();
}
END_TEST

START_TEST(test_what_another_file_holds_is_copied)
{
	int from;

	scene_enter();
	scene_write("from", "much of it");
	from = open("from", O_RDONLY);
	ck_assert_int_eq(lseek(from, 3, SEEK_SET), 3);
	ck_assert_int_eq(whole_copy(AT_FDCWD, "to", from, 0700, &why), 0);
	ck_assert_int_eq(close(from), 0);
	scene_read("to", text, sizeof text);
	ck_assert_str_eq(text, "much of it");
	scene_leave();
}
END_TEST

START_TEST(test_a_name_may_be_as_long_as_names_are)
{
	char name[255 + 1];

	scene_enter();
	memset(name, 'n', 255);
	name[255] = '\0';
	ck_assert_int_eq(whole_write(AT_FDCWD, name, "1", 1, 0600, &why), 0);
	scene_read(name, text, sizeof text);
	ck_assert_str_eq(text, "1");
	scene_leave();
}
END_TEST

START_TEST(test_a_write_that_fails_leaves_all_as_it_was)
{
	struct rlimit small = { 10, 10 };
	struct dirent *entry;
	DIR *here;
	char most[300];

	scene_enter();
	ck_assert_int_eq(mkdir("d", 0755), 0);
	scene_write("d/x", "");
	ck_assert_int_eq(whole_write(AT_FDCWD, "d", "x", 1, 0644, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "cannot write d"));
	memset(most, 'n', sizeof most - 1);
	most[sizeof most - 1] = '\0';
	ck_assert_int_eq(whole_write(AT_FDCWD, most, "x", 1, 0644, &why), -1);
	scene_write("file", "before");
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_eq(
	    whole_write(AT_FDCWD, "file", "much too long", 13, 0644, &why), -1);
	scene_read("file", text, sizeof text);
	ck_assert_str_eq(text, "before");
	ck_assert_int_eq(unlink("file") | unlink("d/x") | rmdir("d"), 0);
	here = opendir("."); /* nothing else is left in it */
	while ((entry = readdir(here)) != NULL)
		ck_assert_msg(entry->d_name[0] == '.', "%s", entry->d_name);
	closedir(here);
	scene_leave();
}
END_TEST

START_TEST(test_what_a_killed_writer_has_left_is_removed)
{
	char *mine = whole_unfinished("file");

	scene_enter();
	scene_write(mine, "at work");
	scene_write("file.new-999999999-0123456789abcdef", "left");
	scene_write("file.new-999999999-0123", "somebody's");
	scene_write("file.new-1-0123456789abcdef", "of one that lives");
	ck_assert_int_eq(mkdir("d.new-999999999-0123456789abcdef", 0700), 0);
	scene_write("d.new-999999999-0123456789abcdef/x", "left");
	whole_tidy(AT_FDCWD);
	ck_assert_int_eq(access(mine, F_OK), 0);
	ck_assert_int_eq(access("file.new-999999999-0123", F_OK), 0);
	ck_assert_int_eq(access("file.new-1-0123456789abcdef", F_OK), 0);
	ck_assert_int_eq(
	    access("file.new-999999999-0123456789abcdef", F_OK), -1);
	ck_assert_int_eq(access("d.new-999999999-0123456789abcdef", F_OK), -1);
	free(mine);
	scene_leave();
}
END_TEST

START_TEST(test_what_is_read_is_a_small_file_and_no_link)
{
	char *got;
	size_t n;

	scene_enter();
	scene_write("file", "12345");
	got = whole_read(AT_FDCWD, "file", 5, &n);
	ck_assert_uint_eq(n, 5);
	ck_assert_str_eq(got, "12345");
	free(got);
	ck_assert_ptr_null(whole_read(AT_FDCWD, "file", 4, &n));
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_int_eq(symlink("file", "link"), 0);
	ck_assert_ptr_null(whole_read(AT_FDCWD, "link", 100, &n));
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_ptr_null(whole_read(AT_FDCWD, "none", 100, &n));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_null(whole_read(AT_FDCWD, ".", 100, &n));
	ck_assert_int_eq(errno, EINVAL);
	scene_leave();
}
END_TEST

START_TEST(test_a_file_of_many_parts_is_read_as_far_as_its_limit)
{
	enum { SIZE = 100000 };
	static char large[SIZE + 1];
	char *got;
	size_t n;

	scene_enter();
	for (size_t i = 0; i < SIZE; i++)
		large[i] = (char)('a' + i % 23);
	scene_write("file", large);
	got = whole_read(AT_FDCWD, "file", SIZE, &n);
	ck_assert_uint_eq(n, SIZE);
	ck_assert_str_eq(got, large);
	free(got);
	ck_assert_ptr_null(whole_read(AT_FDCWD, "file", SIZE - 1, &n));
	ck_assert_int_eq(errno, EFBIG);
	scene_write("file", "");
	got = whole_read(AT_FDCWD, "file", 0, &n);
	ck_assert_uint_eq(n, 0);
	ck_assert_str_eq(got, "");
	free(got);
	scene_leave();
}
END_TEST

/* Its size is known only when it has been read. */
START_TEST(test_a_file_that_is_longer_than_it_says_is_not_cut)
{
	static const char name[] = "/proc/self/status";
	struct stat st;
	size_t n;

	if (stat(name, &st) == -1)
		return; /* another system */
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_ptr_null(whole_read(AT_FDCWD, name, 10, &n));
	ck_assert_int_eq(errno, EFBIG);
}
END_TEST

START_TEST(test_directories_are_made_where_there_are_none)
{
	scene_enter();
	ck_assert_int_eq(whole_directories(AT_FDCWD, "file"), 0);
	ck_assert_int_eq(access("file", F_OK), -1);
	ck_assert_int_eq(whole_directories(AT_FDCWD, "a/b/file"), 0);
	ck_assert_int_eq(access("a/b/file", F_OK), -1);
	ck_assert_int_eq(rmdir("a/b"), 0);
	ck_assert_int_eq(whole_directories(AT_FDCWD, "a/b/c/"), 0);
	ck_assert_int_eq(whole_directories(AT_FDCWD, "a/b/c/"), 0);
	ck_assert_int_eq(rmdir("a/b/c"), 0);
	scene_write("a/b/c", "");
	ck_assert_int_eq(whole_directories(AT_FDCWD, "a/b/c/d/"), -1);
	ck_assert_int_eq(errno, ENOTDIR);
	scene_leave();
}
END_TEST

START_TEST(test_a_tree_is_removed_and_what_links_lead_to_stays)
{
	scene_enter();
	ck_assert_int_eq(mkdir("kept", 0755), 0);
	scene_write("kept/file", "");
	ck_assert_int_eq(mkdir("tree", 0755), 0);
	ck_assert_int_eq(mkdir("tree/d", 0755), 0);
	scene_write("tree/d/file", "");
	ck_assert_int_eq(symlink("../../kept", "tree/d/link"), 0);
	ck_assert_int_eq(symlink("nowhere", "tree/dangling"), 0);
	ck_assert_int_eq(chmod("tree/d", 0500), 0);
	ck_assert_int_eq(whole_remove(AT_FDCWD, "tree"), 0);
	ck_assert_int_eq(access("tree", F_OK), -1);
	ck_assert_int_eq(access("kept/file", F_OK), 0);
	ck_assert_int_eq(symlink("kept", "link"), 0);
	ck_assert_int_eq(whole_remove(AT_FDCWD, "link"), 0);
	ck_assert_int_eq(access("kept/file", F_OK), 0);
	ck_assert_int_eq(whole_remove(AT_FDCWD, "none"), 0);
	scene_leave();
}
END_TEST

START_TEST(test_two_names_change_places)
{
	scene_enter();
	scene_write("one", "1");
	ck_assert_int_eq(mkdir("other", 0755), 0);
	scene_write("other/file", "2");
	ck_assert_int_eq(whole_swap(AT_FDCWD, "one", "other"), 0);
	scene_read("other", text, sizeof text);
	ck_assert_str_eq(text, "1");
	scene_read("one/file", text, sizeof text);
	ck_assert_str_eq(text, "2");
	ck_assert_int_eq(whole_swap(AT_FDCWD, "one", "none"), -1);
	ck_assert_int_eq(access("one/file", F_OK), 0);
	scene_leave();
}
END_TEST

SUITE("whole", test_a_file_is_replaced_as_a_whole_with_its_mode,
    test_a_link_is_replaced_and_what_it_leads_to_stays,
    test_what_another_file_holds_is_copied,
    test_a_name_may_be_as_long_as_names_are,
    test_a_write_that_fails_leaves_all_as_it_was,
    test_what_a_killed_writer_has_left_is_removed,
    test_what_is_read_is_a_small_file_and_no_link,
    test_a_file_of_many_parts_is_read_as_far_as_its_limit,
    test_a_file_that_is_longer_than_it_says_is_not_cut,
    test_directories_are_made_where_there_are_none,
    test_a_tree_is_removed_and_what_links_lead_to_stays,
    test_two_names_change_places);
