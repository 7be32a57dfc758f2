#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/account.h"
#include "lib/fd.h"
#include "lib/xalloc.h"

#define ACCOUNT_SOCK_ROOM 24 /* bytes for "/sock.PID" below run/ */

void
account_init(struct account *a)
{
	memset(a, 0, sizeof *a);
	a->run_fd = -1;
	account_settings_init(&a->settings);
}

void
account_release(struct account *a)
{
	free(a->root);
	free(a->apps);
	free(a->logs);
	free(a->run);
	free(a->log);
	free(a->home);
	free(a->user);
	free(a->remark);
	fd_close(&a->run_fd);
	account_settings_release(&a->settings);
	account_init(a);
}

#ifdef MAMAYO_PORTABLE
/* A static getpwuid() would load the host's NSS modules. */
static const struct passwd *
account_passwd(uid_t uid)
{
	static struct passwd *entry;
	FILE *file = fopen("/etc/passwd", "re");

	if (file == NULL)
		return NULL;
	while ((entry = fgetpwent(file)) != NULL && entry->pw_uid != uid)
		continue;
	fclose(file);
	return entry;
}
#else
static const struct passwd *
account_passwd(uid_t uid)
{
	return getpwuid(uid);
}
#endif

static void
account_find_user(struct account *a)
{
	const struct passwd *entry = account_passwd(geteuid());
	const char *home = entry != NULL ? entry->pw_dir : "";
#ifdef MAMAYO_PORTABLE
	struct stat st;
	const char *env = getenv("HOME");

	if (entry == NULL && env != NULL && env[0] == '/' &&
	    stat(env, &st) == 0 && st.st_uid == geteuid())
		home = env;
#endif
	a->home = xstrdup(home);
	a->user = entry != NULL ? xstrdup(entry->pw_name)
				: xprintf("uid %ld", (long)geteuid());
}

/* The two ways out for a user that has no place of its own. */
static int
account_no_place(
    const struct account *a, const char *trouble, struct problem *why)
{
	const char *owner = a->user;

	if (strncmp(owner, "uid ", 4) == 0)
		owner += 4;
	return problem_set(why,
	    "mamayo runs as user %s and %s. Either the administrator makes a "
	    "directory for it once (install -d -o %s -g YOU -m 2770 "
	    "/srv/mamayo) and names it in the web server's configuration by "
	    "MAMAYO_ROOT, or you run \"mamayo listen\" as yourself",
	    a->user, trouble, owner);
}

int
account_find(struct account *a, struct problem *why)
{
	const char *root = getenv("MAMAYO_ROOT");

	account_find_user(a);
	if (root != NULL && root[0] != '\0') {
		if (root[0] != '/')
			return problem_set(why,
			    "MAMAYO_ROOT is \"%s\", which is not an absolute "
			    "path; set it to one, for instance /srv/mamayo",
			    root);
		a->root = xstrdup(root);
		while (
		    strlen(a->root) > 1 && a->root[strlen(a->root) - 1] == '/')
			a->root[strlen(a->root) - 1] = '\0';
	} else if (a->home[0] == '/') {
		a->root = xprintf("%s/mamayo", a->home);
	} else
		return account_no_place(
		    a, "has no home directory, so no ~/mamayo", why);
	a->apps = xprintf("%s/apps", a->root);
	a->logs = xprintf("%s/logs", a->root);
	a->run = xprintf("%s/run", a->root);
	a->log = xprintf("%s/mamayo.log", a->logs);
	return 0;
}

/* What to do when the directory that we need cannot be made by us. */
static int
account_no_root(struct account *a, struct problem *why)
{
	char *trouble = xprintf("cannot use %s: %s", a->root, strerror(errno));

	account_no_place(a, trouble, why);
	free(trouble);
	return -1;
}

static int
account_foreign(const char *path, uid_t owner, struct problem *why)
{
	return problem_set(why,
	    "%s belongs to another user (uid %ld); remove it, mamayo makes its "
	    "own",
	    path, (long)owner);
}

/* One directory of ours: made if missing, checked by its descriptor. */
static int
account_directory(struct account *a, const char *path, mode_t mode,
    int must_be_own, struct problem *why)
{
	struct stat st;
	int fd, error;

	if (mkdir(path, mode) == -1 && errno != EEXIST)
		return account_no_root(a, why);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
			    (must_be_own ? O_NOFOLLOW : 0));
	if (fd == -1) {
		if (errno == ELOOP || errno == ENOTDIR)
			return problem_set(why,
			    "%s is not a directory (or is a symbolic link); "
			    "remove it, mamayo makes its own",
			    path);
		error = errno;
		if (must_be_own && lstat(path, &st) == 0 &&
		    st.st_uid != geteuid())
			return account_foreign(path, st.st_uid, why);
		errno = error;
		return account_no_root(a, why);
	}
	if (fstat(fd, &st) == -1) {
		problem_sys(why, "%s", path);
		goto fail;
	}
	if (must_be_own && st.st_uid != geteuid()) {
		account_foreign(path, st.st_uid, why);
		goto fail;
	}
	if (st.st_mode & S_IWOTH) {
		problem_set(why,
		    "%s can be written by every user of this machine; run: "
		    "chmod o-w %s",
		    path, path);
		goto fail;
	}
	if (st.st_mode & S_IWGRP && a->remark == NULL)
		a->remark = xprintf("%s can be written by its group; that is "
				    "fine if you meant it",
		    path);
	return fd;

fail:
	fd_close(&fd);
	return -1;
}

/* FNV-1a: a name that two root directories do not share. */
static unsigned long
account_hash(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}

/*
 * run/where has two lines: the place that is used instead, and the inode of
 * run/, so that a copy of a root directory is not served by the original's
 * supervisor.
 */
static void
account_tell_where(int run_fd, const char *place)
{
	struct stat st;
	char *text, name[32];
	int fd, failed;

	/* others read it meanwhile: it is put in place at once */
	snprintf(name, sizeof name, "where.%ld", (long)getpid());
	fd = openat(run_fd, name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 || fstat(run_fd, &st) == -1) {
		fd_close(&fd);
		return;
	}
	text = xprintf("%s\n%llu\n", place, (unsigned long long)st.st_ino);
	failed = fd_write_all(fd, text, strlen(text)) == -1 ||
		 renameat(run_fd, name, run_fd, "where") == -1;
	if (failed)
		unlinkat(run_fd, name, 0);
	free(text);
	fd_close(&fd);
}

/* The place that run/where names, or NULL. */
static char *
account_read_where(int run_fd)
{
	char text[sizeof((struct sockaddr_un *)NULL)->sun_path + 24], *end;
	struct stat st;
	int fd = openat(
	    run_fd, "where", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd == -1)
		return NULL;
	n = read(fd, text, sizeof text - 1);
	fd_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	if (text[0] != '/' || (end = strchr(text, '\n')) == NULL ||
	    fstat(run_fd, &st) == -1 ||
	    strtoull(end + 1, NULL, 10) != (unsigned long long)st.st_ino)
		return NULL;
	return xstrndup(text, (size_t)(end - text));
}

/* A place for lock and socket when run/ cannot hold them. */
static int
account_other_run(struct account *a, int run_fd, struct problem *why)
{
	unsigned long hash = account_hash(a->root);
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char *tried[4] = { NULL, NULL, NULL, NULL };
	struct problem first = { "" };
	int fd = -1;

	tried[0] = account_read_where(run_fd); /* where the others are */
	if (a->only_looks) {
		if (tried[0] != NULL) {
			free(a->run);
			a->run = tried[0];
		}
		return openat(run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (xdg != NULL && xdg[0] == '/')
		tried[1] = xprintf("%s/mamayo-%08lx", xdg, hash);
	tried[2] = xprintf("/run/user/%ld/mamayo-%08lx", (long)geteuid(), hash);
	tried[3] = xprintf("/tmp/mamayo-%ld-%08lx", (long)geteuid(), hash);
	for (int i = 0; i < 4 && fd == -1; i++) {
		if (tried[i] == NULL ||
		    strlen(tried[i]) + ACCOUNT_SOCK_ROOM >
			sizeof((struct sockaddr_un *)NULL)->sun_path)
			continue;
		fd = account_directory(a, tried[i], 0700, 1, &first);
		if (fd != -1) {
			if (i > 0)
				account_tell_where(run_fd, tried[i]);
			free(a->run);
			a->run = xstrdup(tried[i]);
		}
	}
	for (int i = 0; i < 4; i++)
		free(tried[i]);
	if (fd == -1)
		problem_set(why,
		    "%s cannot hold a socket (it is too long a path, or on a "
		    "network), and there is no other place: %s",
		    a->run, first.text);
	return fd;
}

/* Is another place used instead of that run/? */
static int
account_is_elsewhere(int run_fd)
{
	char *place = account_read_where(run_fd);

	free(place);
	return place != NULL;
}

static int
account_enter_run(struct account *a, int is_unfit, struct problem *why)
{
	int fd = account_directory(a, a->run, 0700, 1, why), other;

	if (fd == -1)
		return -1;
	if (is_unfit ||
	    strlen(a->run) + ACCOUNT_SOCK_ROOM >
		sizeof((struct sockaddr_un *)NULL)->sun_path ||
	    account_is_elsewhere(fd)) {
		other = account_other_run(a, fd, why);
		fd_close(&fd);
		fd = other;
	}
	if (fd == -1)
		return -1;
	fd_close(&a->run_fd);
	a->run_fd = fd;
	if (mkdirat(fd, "workers", 0700) == -1 && errno != EEXIST)
		return problem_sys(why, "%s/workers", a->run);
	if (mkdirat(fd, "preload", 0700) == -1 && errno != EEXIST)
		return problem_sys(why, "%s/preload", a->run);
	return 0;
}

int
account_open_run(struct account *a, struct problem *why)
{
	return account_enter_run(a, 0, why);
}

int
account_leave_run(struct account *a, struct problem *why)
{
	char *run = xprintf("%s/run", a->root);
	int was_left = strcmp(run, a->run) != 0;

	free(run);
	if (was_left) /* that was the other place */
		return problem_set(
		    why, "%s can hold no lock or no socket, either", a->run);
	return account_enter_run(a, 1, why);
}

int
account_read_settings(struct account *a, struct problem *why)
{
	char *path = xprintf("%s/" SETTINGS_FILE, a->root);
	int result = account_settings_read(path, &a->settings, why);

	free(path);
	return result == -1 ? -1 : 0;
}

int
account_discover(
    const struct account *a, struct discovery *found, struct problem *why)
{
	found->follows_links = a->settings.links;
	return discover(a->apps, found, why);
}

/*
 * A root directory that its group may write was made for two: the user that
 * mamayo runs as, and the one who puts applications there.
 */
static void
account_share_apps(int root_fd)
{
	struct stat st;
	int fd;

	if (fstat(root_fd, &st) == -1 || !(st.st_mode & S_IWGRP) ||
	    mkdirat(root_fd, "apps", 0755) == -1)
		return;
	fd = openat(root_fd, "apps", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1 && fchmod(fd, 02775) == -1)
		fd_close(&fd);
	fd_close(&fd);
}

int
account_open(struct account *a, struct problem *why)
{
	struct problem bad;
	int fd;

	if (geteuid() == 0)
		return problem_set(why,
		    "mamayo does not serve as root: an application's mistake "
		    "would own the machine; start it as the user whose "
		    "applications they are");
	if (getuid() != geteuid() || getgid() != getegid())
		return problem_set(why,
		    "mamayo does not serve with another effective than real "
		    "user; remove the set-user-id bit");
	if (account_find(a, why) == -1)
		return -1;
	fd = account_directory(a, a->root, 0755, 0, why);
	if (fd == -1)
		return -1;
	account_share_apps(fd);
	fd_close(&fd);
	fd = account_directory(a, a->apps, 0755, 0, why);
	if (fd == -1)
		return -1;
	fd_close(&fd);
	fd = account_directory(a, a->logs, 0700, 1, why);
	if (fd == -1)
		return -1;
	fd_close(&fd);
	if (account_open_run(a, why) == -1)
		return -1;
	if (account_read_settings(a, &bad) == -1) {
		free(a->remark);
		a->remark = xprintf("%s; using the defaults", bad.text);
	}
	return 0;
}
