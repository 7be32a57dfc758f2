#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "fcgi/site.h"
#include "lib/carried.h"
#include "lib/fd.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

static const struct site_kind *const kinds[] = { &site_apache,
	&site_apache_proxy, &site_lighttpd, &site_nginx };

const struct site_kind *
site_kind(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

int
site_open(struct site *s, const struct account *a, const char *directory,
    struct problem *why)
{
	struct stat st;

	*s = (struct site){ .account = a, .fd = -1, .lock = -1 };
	if (directory == NULL)
		return command_lock(a, "install", &s->lock, why);
	s->path = realpath(directory, NULL);
	if (s->path != NULL)
		s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd == -1 || fstat(s->fd, &st) == -1)
		problem_sys(why, "cannot use %s as a document root", directory);
	else if (st.st_uid != geteuid())
		problem_set(why,
		    "%s belongs to another user (uid %ld), not to you: name "
		    "the directory of your own web pages, or ask whoever runs "
		    "the web server for one",
		    s->path, (long)st.st_uid);
	else if (command_lock(a, "install", &s->lock, why) == 0)
		return 0;
	site_close(s);
	return -1;
}

void
site_close(struct site *s)
{
	fd_close(&s->lock);
	fd_close(&s->fd);
	free(s->path);
	s->path = NULL;
}

static int
site_is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int
site_put_program(int at, const char *path, struct problem *why)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), result = 0;
	const char *done = "copied";
	struct stat mine, there;

	if (self == -1 || fstat(self, &mine) == -1)
		result = problem_sys(why, "cannot read this program");
	else if (fstatat(at, SITE_PROGRAM, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		 site_is_same(&mine, &there)) {
		done = "is this program";
		if ((there.st_mode & 07777) != 0755 && fchmod(self, 0755) == -1)
			result = problem_sys(
			    why, "cannot make %s executable", SITE_PROGRAM);
	} else
		result = whole_copy(at, SITE_PROGRAM, self, 0755, why);
	fd_close(&self);
	if (result == 0)
		printf("%s/" SITE_PROGRAM ": %s\n", path, done);
	return result;
}

int
site_remove_program(int at, const char *path, struct problem *why)
{
	if (unlinkat(at, SITE_PROGRAM, 0) == 0)
		printf("%s/" SITE_PROGRAM ": removed\n", path);
	else if (errno != ENOENT)
		return problem_sys(why, "cannot remove %s", SITE_PROGRAM);
	return 0;
}

char *
site_example(const char *name)
{
	const struct carried *c = examples;
	const char *text;

	while (c->name != NULL && strcmp(c->name, name) != 0)
		c++;
	assert(c->name != NULL);
	text = (const char *)c->text;
	while (*text == '#' || *text == '\n')
		text += strcspn(text, "\n") + (text[strcspn(text, "\n")] != 0);
	return xstrdup(text);
}

char *
site_example_with(const char *name, const char *const *pairs)
{
	char *text = site_example(name), *out = NULL;
	const char *from = text;
	size_t n = 0, i, length;

	while (*from != '\0') {
		for (i = 0; pairs[i] != NULL; i += 2)
			if (strncmp(from, pairs[i], strlen(pairs[i])) == 0)
				break;
		length = pairs[i] != NULL ? strlen(pairs[i + 1]) : 1;
		out = xrealloc(out, n + length + 1, 1);
		memcpy(out + n, pairs[i] != NULL ? pairs[i + 1] : from, length);
		n += length;
		from += pairs[i] != NULL ? strlen(pairs[i]) : 1;
		out[n] = '\0';
	}
	free(text);
	return out != NULL ? out : xstrdup("");
}

int
site_command(const struct command *c, int argc, char **argv,
    int (*call)(
	const struct site_kind *, const struct site *, struct problem *))
{
	const struct site_kind *kind = &site_apache;
	const char *directory = NULL;
	struct account account;
	struct problem why;
	struct site site;
	int status;

	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--server") == 0 && i + 1 < argc) {
			if ((kind = site_kind(argv[++i])) == NULL)
				return command_usage(c);
		} else if (directory != NULL || argv[i][0] == '-' ||
			   argv[i][0] == '\0')
			return command_usage(c);
		else
			directory = argv[i];
	if (directory == NULL && !kind->has_no_docroot)
		return command_usage(c);
	if (kind->has_no_docroot)
		directory = NULL; /* if there was one */
	if ((status = command_account(&account, 1)) != 0)
		return status;
	if (site_open(&site, &account, directory, &why) == -1)
		status = command_failed(&why);
	else {
		command_hold_signals();
		if (call(kind, &site, &why) == -1)
			status = command_failed(&why);
		command_let_signals();
		site_close(&site);
	}
	account_release(&account);
	return status;
}
