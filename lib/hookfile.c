#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/app.h"
#include "lib/fd.h"
#include "lib/hookfile.h"
#include "lib/jsonfile.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/stamp.h"
#include "lib/testpoint.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

#define SIGNAL_MARK '!' /* before the stamp of a CHANGES_SIGNAL */

static char *
hookfile_path(const struct account *a, const char *app)
{
	char *file = app_file_name(app, ".json");
	char *path = xprintf("%s/state/%s", a->root, file);

	free(file);
	return path;
}

/* ----------------------------------------------------------------- files -- */

static uint64_t
file_stamp(const char *path)
{
	struct stat st;

	return stat(path, &st) == -1 ? 0 : stamp_of(path, &st);
}

static json_t *
file_value(uint64_t stamp, enum changes_kind kind)
{
	char text[18];

	snprintf(text, sizeof text, "%s%" PRIx64,
	    kind == CHANGES_SIGNAL ? "!" : "", stamp);
	return json_string(text);
}

json_t *
hookfile_files(const struct changes *c, const json_t *others)
{
	json_t *files = json_object(), *value;
	const char *path;

	/* a name that is not UTF-8 does not get in */
	for (size_t i = 0; i < c->n; i++)
		(void)json_object_set_new(files, c->files[i].path,
		    file_value(c->files[i].stamp, c->files[i].kind));
	json_object_foreach((json_t *)(uintptr_t)others, path, value)
	{
		if (json_object_get(files, path) == NULL &&
		    json_object_size(files) < CHANGES_FILES &&
		    *json_string_value(value) != SIGNAL_MARK)
			json_object_set_new(files, path,
			    file_value(file_stamp(path), CHANGES_MADE_OF));
	}
	return files;
}

json_t *
hookfile_renewed(const json_t *files)
{
	json_t *now = json_object(), *value;
	const char *path;

	json_object_foreach((json_t *)(uintptr_t)files, path, value)
	{
		enum changes_kind kind =
		    *json_string_value(value) == SIGNAL_MARK ? CHANGES_SIGNAL
							     : CHANGES_MADE_OF;

		json_object_set_new(
		    now, path, file_value(file_stamp(path), kind));
	}
	return now;
}

/* That a signal has gone is no change. */
static int
file_is_same(const char *path, const char *text)
{
	int is_signal = *text == SIGNAL_MARK;
	uint64_t now = file_stamp(path);

	return (is_signal && now == 0) ||
	       strtoull(text + is_signal, NULL, 16) == now;
}

int
hookfile_has_served(const struct hookfile *f)
{
	return json_object_get(f->all, "served") != NULL;
}

int
hookfile_is_same(const struct hookfile *f, const char *key)
{
	json_t *files = json_object_get(f->all, key), *value;
	const char *path;

	if (files == NULL)
		return 0;
	json_object_foreach(files, path,
	    value) if (!file_is_same(path, json_string_value(value))) return 0;
	return 1;
}

/* --------------------------------------------------------------- reading -- */

static int
files_are_good(const json_t *files)
{
	const char *path;
	json_t *value;

	if (files != NULL && !json_is_object(files))
		return 0;
	json_object_foreach((json_t *)(uintptr_t)files, path,
	    value) if (*path != '/' || !json_is_string(value)) return 0;
	return 1;
}

/* What a process has left that was killed, or what runs still. */
static enum hook_state
hookfile_running(
    const struct hookfile *f, const struct account *a, const char *app)
{
	pid_t pid = (pid_t)hookfile_number(f, "pid");
	uint64_t start = (uint64_t)hookfile_number(f, "start");
	int lock = hookfile_lock(a, app);

	if (lock == -1 && errno == EAGAIN)
		return HOOK_RUNNING;
	fd_close(&lock);
	return pid > 0 && start > 0 && proc_alive(pid, start) ? HOOK_RUNNING
							      : HOOK_LOST;
}

static enum hook_state
hookfile_state(
    const struct hookfile *f, const struct account *a, const char *app)
{
	const char *result = hookfile_text(f, "result");

	if (strcmp(result, "running") == 0)
		return hookfile_running(f, a, app);
	if (strcmp(result, "succeeded") == 0)
		return HOOK_SUCCEEDED;
	return strcmp(result, "failed") == 0 ? HOOK_FAILED : HOOK_NEVER;
}

void
hookfile_read(struct hookfile *f, const struct account *a, const char *app)
{
	char *path = hookfile_path(a, app);
	struct jsonfile file;
	struct problem why;
	int result = jsonfile_read(&file, path, HOOKFILE_MOST, &why);

	f->all = NULL;
	if (result == -1)
		log_warn("%s; it counts as if it were not there", why.text);
	else if (result == 0) {
		if (files_are_good(json_object_get(file.root, "made_of")) &&
		    files_are_good(json_object_get(file.root, "served")))
			f->all = json_incref(file.root);
		else
			log_warn("%s is damaged; it counts as if it were not "
				 "there",
			    path);
		jsonfile_release(&file);
	}
	if (f->all == NULL)
		f->all = json_object();
	f->state = hookfile_state(f, a, app);
	free(path);
}

void
hookfile_release(struct hookfile *f)
{
	json_decref(f->all);
	f->all = NULL;
}

const char *
hookfile_text(const struct hookfile *f, const char *key)
{
	const char *text = json_string_value(json_object_get(f->all, key));

	return text != NULL ? text : "";
}

int64_t
hookfile_number(const struct hookfile *f, const char *key)
{
	return json_integer_value(json_object_get(f->all, key));
}

/* --------------------------------------------------------------- writing -- */

static int
lock_open(const struct account *a, const char *app)
{
	char *file = app_file_name(app, ".lock");
	char *directory = xprintf("%s/hooks", a->run);
	char *path = xprintf("%s/%s", directory, file);
	int fd;

	(void)mkdir(directory, 0700);
	fd = fd_lock_open(path);
	free(path);
	free(directory);
	free(file);
	return fd;
}

int
hookfile_lock(const struct account *a, const char *app)
{
	int fd = lock_open(a, app);

	if (fd != -1 && fd_lock(fd) == -1)
		fd_close(&fd); /* keeps errno */
	return fd;
}

pid_t
hookfile_holder(const struct account *a, const char *app)
{
	int fd = lock_open(a, app);
	pid_t holder = fd == -1 ? 0 : fd_lock_holder(fd);

	fd_close(&fd);
	return holder;
}

int
hookfile_write(const struct account *a, const char *app, const json_t *all,
    struct problem *why)
{
	char *directory = xprintf("%s/state", a->root);
	char *name = app_file_name(app, ".json");
	char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS);
	int fd, result = -1;

	(void)mkdir(directory, 0700);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1 && text != NULL && !TESTPOINT_FAILS("hook:write"))
		result = whole_write(fd, name, text, strlen(text), 0600, why);
	if (result == -1)
		problem_sys(why, "cannot write %s/%s", directory, name);
	if (fd != -1)
		/* so that the name is there, too, when the power has failed;
		 * not every file system can */
		(void)fsync(fd);
	fd_close(&fd);
	free(text);
	free(name);
	free(directory);
	return result;
}
