#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/app.h"
#include "lib/fd.h"
#include "lib/stopped.h"
#include "lib/xalloc.h"

static char *
stopped_path(const char *root, const char *name)
{
	char *file = app_file_name(name, "");
	char *path = xprintf("%s/state/stopped/%s", root, file);

	free(file);
	return path;
}

int
stopped_is(const char *root, const char *name)
{
	char *path = stopped_path(root, name);
	struct stat st;
	int is_there = lstat(path, &st) == 0;

	free(path);
	return is_there;
}

static int
stopped_make(const char *root, const char *below, struct problem *why)
{
	char *path = xprintf("%s/%s", root, below);
	int failed = mkdir(path, 0700) == -1 && errno != EEXIST;

	if (failed)
		problem_sys(why, "cannot make %s", path);
	free(path);
	return failed ? -1 : 0;
}

int
stopped_add(const char *root, const char *name, struct problem *why)
{
	char *path;
	int fd;

	if (stopped_make(root, "state", why) == -1 ||
	    stopped_make(root, "state/stopped", why) == -1)
		return -1;
	path = stopped_path(root, name);
	fd = open(path,
	    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd == -1)
		problem_sys(why, "cannot write %s", path);
	free(path);
	if (fd == -1)
		return -1;
	fd_close(&fd);
	return 0;
}

int
stopped_remove(const char *root, const char *name, struct problem *why)
{
	char *path = stopped_path(root, name);
	int failed = unlink(path) == -1 && errno != ENOENT && errno != ENOTDIR;

	if (failed)
		problem_sys(why, "cannot remove %s", path);
	free(path);
	return failed ? -1 : 0;
}
