#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "lib/account.h"
#include "lib/app.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#define LOGS_LINES      40
#define LOGS_LINES_MOST 1000000
#define LOGS_WAIT_MS    200 /* between looks, while it is followed */
#define LOGS_BUFFER     65536

/* A log that is shown: PATH, and PATH.1 with what was before. */
struct logs {
	char *path, *old;
	int fd;    /* -1: there is none now ... */
	int error; /* ... because of this */
	off_t at;
	struct timespec rotated; /* when PATH.1 was written; 0: it is not there
				  */
	int is_terminal;         /* whose reader must not be commanded */
};

static int
logs_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd != -1 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		fd_close(&fd);
		errno = EINVAL;
	}
	return fd;
}

static struct timespec
logs_rotated(const struct logs *l)
{
	struct stat st;

	if (lstat(l->old, &st) == -1)
		return (struct timespec){ 0 };
	return st.st_mtim;
}

/* Where the last *lines lines begin; takes off *lines how many that are. */
static off_t
logs_tail(int fd, long *lines)
{
	char buffer[LOGS_BUFFER];
	struct stat st;
	off_t end = fstat(fd, &st) == 0 ? st.st_size : 0, at = end, from;
	ssize_t n;

	if (*lines == 0)
		return end;
	while (at > 0) {
		from = at > LOGS_BUFFER ? at - LOGS_BUFFER : 0;
		n = pread(fd, buffer, (size_t)(at - from), from);
		if (n <= 0)
			return at;
		for (ssize_t i = n - 1; i >= 0; i--)
			if (buffer[i] == '\n' && from + i + 1 != end &&
			    --*lines == 0)
				return from + i + 1;
		at = from;
	}
	if (end > 0)
		--*lines;
	return 0;
}

/* What an application has printed may be commands for a terminal. */
static int
logs_show(const char *text, size_t n)
{
	char shown[4 * LOGS_BUFFER + 8];
	size_t length;

	while (n > 0) {
		length = 0;
		while (
		    length < n && text[length] != '\n' && text[length] != '\t')
			length++;
		log_escape(shown, sizeof shown, text, length);
		if (fd_write_all(STDOUT_FILENO, shown, strlen(shown)) == -1 ||
		    (length < n &&
			fd_write_all(STDOUT_FILENO, text + length, 1) == -1))
			return -1;
		length += length < n;
		text += length;
		n -= length;
	}
	return 0;
}

/* As much of a full buffer as ends with a line: whole characters. */
static ssize_t
logs_lines(const char *text, ssize_t n)
{
	for (ssize_t i = n; i > 0; i--)
		if (text[i - 1] == '\n')
			return i;
	return n;
}

/* Prints from there to the end. -1 if nobody reads that. */
static int
logs_print(const struct logs *l, int fd, off_t *at)
{
	char buffer[LOGS_BUFFER];
	ssize_t n;
	int failed = 0;

	while (!failed && (n = pread(fd, buffer, sizeof buffer, *at)) > 0) {
		if (n == sizeof buffer)
			n = logs_lines(buffer, n);
		failed = l->is_terminal
			     ? logs_show(buffer, (size_t)n)
			     : fd_write_all(STDOUT_FILENO, buffer, (size_t)n);
		*at += n;
	}
	return failed ? -1 : 0;
}

/* The last lines, of the old one as well if the new one has too few. */
static int
logs_last(struct logs *l, long lines)
{
	int old, failed = 0;
	off_t at;

	l->rotated = logs_rotated(l);
	l->fd = logs_open(l->path);
	if (l->fd != -1)
		l->at = logs_tail(l->fd, &lines);
	else
		l->error = errno;
	if (lines > 0 && (old = logs_open(l->old)) != -1) {
		at = logs_tail(old, &lines);
		failed = logs_print(l, old, &at);
		fd_close(&old);
	}
	if (l->fd != -1 && !failed)
		failed = logs_print(l, l->fd, &l->at);
	return failed;
}

/* It has been truncated: what we had not seen is in the copy, at the same
 * place, if there is one of this moment. */
static int
logs_restart(struct logs *l)
{
	struct timespec now = logs_rotated(l);
	int old, failed = 0;

	if ((now.tv_sec != l->rotated.tv_sec ||
		now.tv_nsec != l->rotated.tv_nsec) &&
	    (old = logs_open(l->old)) != -1) {
		failed = logs_print(l, old, &l->at);
		fd_close(&old);
	}
	l->rotated = now;
	l->at = 0;
	return failed;
}

/* Prints what has come since the last time. */
static int
logs_go_on(struct logs *l)
{
	struct stat there, here;
	int is_another, failed = 0;

	if (l->fd != -1 && fstat(l->fd, &here) == 0) {
		if (here.st_size < l->at)
			failed = logs_restart(l);
		if (!failed)
			failed = logs_print(l, l->fd, &l->at);
	}
	is_another = lstat(l->path, &there) == 0 &&
		     (l->fd == -1 || here.st_ino != there.st_ino ||
			 here.st_dev != there.st_dev);
	if (failed || !is_another)
		return failed;
	fd_close(&l->fd);
	l->fd = logs_open(l->path);
	l->at = 0;
	l->rotated = logs_rotated(l);
	return l->fd == -1 ? 0 : logs_print(l, l->fd, &l->at);
}

/* Until a signal, or until nobody reads any more. */
static void
logs_follow(struct logs *l)
{
	struct pollfd reader = { .fd = STDOUT_FILENO };

	do {
		if (poll(&reader, 1, LOGS_WAIT_MS) > 0)
			return;
	} while (logs_go_on(l) == 0);
}

static int
logs_number(const char *text, long *number)
{
	char *end;

	errno = 0;
	*number = strtol(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
	       *number <= LOGS_LINES_MOST;
}

/* 0, or what to exit with. */
static int
logs_find(struct logs *l, const struct account *a, const char *name)
{
	char *file;
	struct problem why;
	int is_known;

	if (name == NULL)
		l->path = xstrdup(a->log);
	else {
		file = app_log_name(name);
		l->path = xprintf("%s/%s", a->logs, file);
		free(file);
	}
	l->old = xprintf("%s.1", l->path);
	l->is_terminal = isatty(STDOUT_FILENO);
	if (name == NULL || access(l->path, F_OK) == 0)
		return 0; /* perhaps of one that has gone */
	is_known = command_knows(a, name, 0, &why);
	if (is_known == -1)
		fprintf(stderr, "mamayo: %s\n", why.text);
	return is_known == 1 ? 0 : EXIT_UNHEALTHY;
}

static int
logs_of(const struct account *a, const char *name, long lines, int follows)
{
	struct logs l = { .fd = -1 };
	int status = logs_find(&l, a, name), is_over = 0;

	if (status == 0) {
		is_over = logs_last(&l, lines);
		if (l.fd == -1 && l.error != ENOENT)
			fprintf(stderr, "mamayo: cannot read %s: %s\n", l.path,
			    strerror(l.error));
		else if (l.fd == -1)
			fprintf(stderr, "mamayo: there is no %s yet\n", l.path);
		if (follows && !is_over)
			logs_follow(&l);
	}
	fd_close(&l.fd);
	free(l.path);
	free(l.old);
	return status;
}

static int
logs_run(const struct command *c, int argc, char **argv)
{
	const char *name = NULL;
	struct account account;
	long lines = LOGS_LINES;
	int follows = 0, status;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "-f") == 0)
			follows = 1;
		else if (strcmp(argv[i], "-n") == 0) {
			if (i + 1 == argc || !logs_number(argv[++i], &lines))
				return command_usage(c);
		} else if (argv[i][0] == '-' || argv[i][0] == '\0' ||
			   name != NULL)
			return command_usage(c);
		else
			name = argv[i];
	}
	if ((status = command_account(&account, 1)) != 0)
		return status;
	status = logs_of(&account, name, lines, follows);
	account_release(&account);
	return status;
}

const struct command command_logs = {
	.name = "logs",
	.arguments = "[-f] [-n LINES] [NAME]",
	.summary = "show the end of an application's log",
	.help = "Prints the last lines (40) of the log of the application "
		"~/mamayo/apps/NAME or,\nwithout a name, of mamayo's own. With "
		"-f it goes on with what is written then,\nalso when the log "
		"is replaced by a new one.",
	.run = logs_run,
};
