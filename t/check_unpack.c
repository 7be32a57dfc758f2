#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/adapters.h"
#include "lib/xalloc.h"
#include "t/check.h"
#include "t/scene.h"

static struct problem why;

static char *
unpack(void)
{
	char *path = adapters_unpack(".", &why);

	ck_assert_msg(path != NULL, "%s", why.text);
	return path;
}

static ino_t
inode(const char *path)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	return st.st_ino;
}

/* Is every file there with its text? Returns how many there are to be. */
static int
whole(const char *path)
{
	static char text[1024 * 1024];
	int n = 0;

	for (const struct carried *a = adapters; a->name != NULL; a++, n++) {
		char *name = xprintf("%s/%s", path, a->name);

		ck_assert_uint_eq(
		    scene_read(name, text, sizeof text), a->length);
		ck_assert(memcmp(text, a->text, a->length) == 0);
		inode(name);
		free(name);
	}
	ck_assert_int_gt(n, 0);
	return n;
}

/* And is there nothing else? */
static void
complete(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int files = 0;

	while ((entry = readdir(directory)) != NULL)
		files += entry->d_name[0] != '.';
	closedir(directory);
	ck_assert_int_eq(files, whole(path));
}

START_TEST(test_the_files_lie_in_a_private_directory_named_after_their_hash)
{
	struct stat st;
	char *path;

	scene_enter();
	umask(0);
	path = unpack();
	ck_assert_uint_eq(strlen(path), strlen("./adapters-0123456789abcdef"));
	ck_assert_uint_eq(strspn(path + 11, "-0123456789abcdef"), 16);
	complete(path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	free(path);
	scene_leave();
}
END_TEST

START_TEST(test_what_is_complete_is_left_alone)
{
	char *path, *again, *name;
	ino_t before;

	scene_enter();
	path = unpack();
	name = xprintf("%s/%s", path, adapters[0].name);
	before = inode(name);
	again = unpack();
	ck_assert_str_eq(path, again);
	ck_assert_uint_eq(inode(name), before);
	free(path);
	free(again);
	free(name);
	scene_leave();
}
END_TEST

START_TEST(test_what_is_damaged_is_written_again)
{
	char *path, *name, *damaged;

	scene_enter();
	path = unpack();
	name = xprintf("%s/%s", path, adapters[0].name);

	scene_write(name, "");
	free(unpack());
	complete(path);

	damaged = xcalloc(adapters[0].length + 2, 1);
	memcpy(damaged, adapters[0].text, adapters[0].length);
	damaged[adapters[0].length / 2] ^= 1;
	scene_write(name, damaged);
	free(unpack());
	complete(path);

	memcpy(damaged, adapters[0].text, adapters[0].length);
	damaged[adapters[0].length] = '\n';
	scene_write(name, damaged);
	free(unpack());
	complete(path);

	ck_assert_int_eq(unlink(name), 0);
	free(unpack());
	complete(path);

	free(damaged);
	free(name);
	free(path);
	scene_leave();
}
END_TEST

START_TEST(test_a_link_or_a_pipe_in_a_files_place_is_replaced_not_followed)
{
	char *path, *name, text[64];

	scene_enter();
	path = unpack();
	name = xprintf("%s/%s", path, adapters[0].name);
	scene_write("precious", "precious");
	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(symlink("../precious", name), 0);
	free(unpack());
	complete(path);
	scene_read("precious", text, sizeof text);
	ck_assert_str_eq(text, "precious");

	/* even one that leads to the very same text: it can change later */
	ck_assert_int_eq(rename(name, "copy"), 0);
	ck_assert_int_eq(symlink("../copy", name), 0);
	free(unpack());
	complete(path);

	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(mkfifo(name, 0600), 0);
	free(unpack());
	complete(path);
	free(path);
	free(name);
	scene_leave();
}
END_TEST

START_TEST(test_a_wider_directory_is_made_private)
{
	struct stat st;
	char *path;

	scene_enter();
	path = unpack();
	ck_assert_int_eq(chmod(path, 0777), 0);
	free(unpack());
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	free(path);
	scene_leave();
}
END_TEST

START_TEST(test_what_cannot_be_done_is_said)
{
	char *path, *moved, *name;
	int open_before;

	scene_enter();
	open_before = scene_descriptors();
	ck_assert_ptr_null(adapters_unpack("missing", &why));
	ck_assert_ptr_nonnull(strstr(why.text, "No such file or directory"));

	path = unpack();
	moved = xprintf("%s-moved", path);
	ck_assert_int_eq(rename(path, moved), 0);
	ck_assert_int_eq(symlink(moved, path), 0);
	ck_assert_ptr_null(adapters_unpack(".", &why));
	ck_assert_ptr_nonnull(strstr(why.text, "cannot open the directory"));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rename(moved, path), 0);

	name = xprintf("%s/%s", path, adapters[0].name);
	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(mkdir(name, 0700), 0);
	ck_assert_ptr_null(adapters_unpack(".", &why));
	ck_assert_ptr_nonnull(strstr(why.text, adapters[0].name));
	ck_assert_int_eq(rmdir(name), 0);
	free(unpack());
	complete(path); /* no temporary file was left */

	ck_assert_int_eq(scene_descriptors(), open_before);
	free(moved);
	free(name);
	free(path);
	scene_leave();
}
END_TEST

START_TEST(test_many_may_unpack_at_the_same_time)
{
	char *path;
	int status;

	scene_enter();
	for (int child = 0; child < 8; child++)
		if (fork() == 0) {
			path = adapters_unpack(".", &why);
			if (path == NULL)
				_exit(1);
			whole(path);
			free(path);
			_exit(0);
		}
	while (wait(&status) > 0)
		ck_assert_int_eq(status, 0);
	path = unpack();
	complete(path);
	free(path);
	scene_leave();
}
END_TEST

SUITE("unpack",
    test_the_files_lie_in_a_private_directory_named_after_their_hash,
    test_what_is_complete_is_left_alone, test_what_is_damaged_is_written_again,
    test_a_link_or_a_pipe_in_a_files_place_is_replaced_not_followed,
    test_a_wider_directory_is_made_private, test_what_cannot_be_done_is_said,
    test_many_may_unpack_at_the_same_time);
