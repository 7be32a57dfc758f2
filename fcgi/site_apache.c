#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/htaccess.h"
#include "fcgi/local.h"
#include "fcgi/site.h"
#include "lib/fd.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

#define APACHE_FILE   ".htaccess"
#define APACHE_BACKUP ".htaccess.before-mamayo"
#define APACHE_MOST   (1024 * 1024) /* bytes of an .htaccess */

/* An .htaccess: as it is, and as it is to be. */
struct apache_rules {
	char *before; /* "" if there is none */
	char *after;
	mode_t mode;
	int is_there;
};

static void
apache_release(struct apache_rules *r)
{
	free(r->before);
	free(r->after);
}

/* What somebody keeps out of our reach, we do not write to: what to do then. */
static int
apache_read(const struct site *s, struct apache_rules *r, const char *instead,
    struct problem *why)
{
	struct stat st;
	size_t n;

	*r = (struct apache_rules){ .mode = 0644 };
	if (fstatat(s->fd, APACHE_FILE, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		r->before = xstrdup("");
		return errno == ENOENT
			   ? 0
			   : problem_sys(why, "%s/" APACHE_FILE, s->path);
	}
	r->is_there = 1;
	r->mode = st.st_mode & 0777;
	if (S_ISLNK(st.st_mode))
		return problem_set(why,
		    "%s/" APACHE_FILE " is a symbolic link, which mamayo does "
		    "not change: put a file in its place, or %s",
		    s->path, instead);
	if (st.st_uid != geteuid())
		return problem_set(why,
		    "%s/" APACHE_FILE " belongs to another user (uid %ld): %s",
		    s->path, (long)st.st_uid, instead);
	if (!(st.st_mode & S_IWUSR))
		return problem_set(why,
		    "%s/" APACHE_FILE " is read-only: \"chmod u+w\" it, or %s",
		    s->path, instead);
	r->before = whole_read(s->fd, APACHE_FILE, APACHE_MOST, &n);
	if (r->before == NULL)
		return problem_sys(why, "cannot read %s/" APACHE_FILE, s->path);
	if (strlen(r->before) != n)
		return problem_set(
		    why, "%s/" APACHE_FILE " is no text", s->path);
	return 0;
}

/* Plans: our part in it, or out of it. */
static int
apache_plan(const struct site *s, struct apache_rules *r, const char *part,
    struct problem *why)
{
	struct problem bad;

	if (apache_read(s, r,
		part != NULL ? "put the lines above into it"
			     : "take mamayo's lines out of it by hand",
		why) == -1)
		return -1;
	r->after = part != NULL ? htaccess_put(r->before, part, &bad)
				: htaccess_take(r->before, &bad);
	if (r->after == NULL)
		return problem_set(
		    why, "%s/" APACHE_FILE " %s", s->path, bad.text);
	return 0;
}

/* Keeps what was there before us. */
static int
apache_write(
    const struct site *s, const struct apache_rules *r, struct problem *why)
{
	if (r->is_there && strcmp(r->before, r->after) == 0) {
		printf("%s/" APACHE_FILE ": has what it needs\n", s->path);
		return 0;
	}
	if (r->is_there && !htaccess_has(r->before) &&
	    whole_write(s->fd, APACHE_BACKUP, r->before, strlen(r->before),
		r->mode, why) == -1)
		return -1;
	if (whole_write(s->fd, APACHE_FILE, r->after, strlen(r->after), r->mode,
		why) == -1)
		return -1;
	if (!r->is_there)
		printf("%s/" APACHE_FILE ": made\n", s->path);
	else
		printf("%s/" APACHE_FILE ": mamayo's part is in it; as it was "
		       "before it is kept in " APACHE_BACKUP "\n",
		    s->path);
	return 0;
}

/* What no user can do. */
static void
apache_advise(const struct site *s)
{
	struct stat st;

	if (fstat(s->fd, &st) == 0 && (st.st_mode & 022) != 0)
		printf("\nOthers may write to %s: where Apache uses suexec, "
		       "every page would be an\n\"Internal Server Error\". "
		       "Better run: chmod go-w %s\n",
		    s->path, s->path);
	if (access("/etc/apache2/apache2.conf", F_OK) == -1)
		return;
	printf("\nThis machine has an Apache of its own. If the site shows "
	       "nothing of mamayo, its\nadministrator runs\n\n");
	if (access("/etc/apache2/mods-enabled/fcgid.load", F_OK) == -1)
		printf("    apt-get install libapache2-mod-fcgid\n");
	printf("    a2enmod fcgid rewrite\n\nand puts into the configuration "
	       "of the site\n\n    <Directory \"%s\">\n"
	       "        AllowOverride All\n    </Directory>\n",
	    s->path);
}

/* Is there nothing in the directory but links and an .htaccess, which may be
 * unfinished, so that it is the one that we have made? */
static int
apache_has_only_links(int at)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;
	int result = dir != NULL;

	if (dir == NULL) {
		fd_close(&fd);
		return 0;
	}
	while (result && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0 &&
		    strncmp(entry->d_name, LOCAL_RULES, strlen(LOCAL_RULES)) !=
			0)
			result = fstatat(dirfd(dir), entry->d_name, &st,
				     AT_SYMLINK_NOFOLLOW) == 0 &&
				 S_ISLNK(st.st_mode);
	closedir(dir);
	return result;
}

/* The directory of links: -1 with errno if it is not there, or not ours. */
static int
apache_open_files(const struct site *s)
{
	int fd = openat(s->fd, LOCAL_FILES,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd != -1 && !apache_has_only_links(fd)) {
		fd_close(&fd);
		errno = EEXIST;
	}
	return fd;
}

/* Gives 1 if it has made it, 0 if there was one or what has the name is not
 * ours, or -1 with the reason. */
static int
apache_put_files(const struct site *s, struct problem *why)
{
	int is_new = mkdirat(s->fd, LOCAL_FILES, 0755) == 0;
	int fd = apache_open_files(s), result;
	char *rules;

	if (fd == -1 && is_new)
		return problem_sys(why, "cannot make %s", LOCAL_FILES);
	if (fd == -1) {
		printf("%s/" LOCAL_FILES ": is something of yours; files of "
		       "applications are not put there\n",
		    s->path);
		return 0;
	}
	rules = site_example("htaccess-files");
	result =
	    fchmod(fd, 0755) == -1
		? problem_sys(why, "cannot change %s", LOCAL_FILES)
		: whole_write(fd, LOCAL_RULES, rules, strlen(rules), 0644, why);
	free(rules);
	fd_close(&fd);
	if (result == -1 && is_new)
		(void)whole_remove(s->fd, LOCAL_FILES);
	return result == -1 ? -1 : is_new;
}

static int
apache_remove_files(const struct site *s, struct problem *why)
{
	int fd = apache_open_files(s);

	if (fd == -1)
		return 0;
	fd_close(&fd);
	if (whole_remove(s->fd, LOCAL_FILES) == -1)
		return problem_sys(why, "cannot remove %s", LOCAL_FILES);
	printf("%s/" LOCAL_FILES ": removed\n", s->path);
	return 0;
}

/* The program first: rules that name nothing break the site. */
static int
apache_put(
    const struct site *s, const struct apache_rules *r, struct problem *why)
{
	int was_there =
	    faccessat(s->fd, SITE_PROGRAM, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	int has_made = -1;

	if (site_put_program(s->fd, s->path, why) == -1)
		return -1;
	has_made = apache_put_files(s, why);
	if (has_made != -1 && apache_write(s, r, why) == 0)
		return 0;
	if (has_made == 1)
		(void)whole_remove(s->fd, LOCAL_FILES);
	if (!was_there)
		(void)unlinkat(s->fd, SITE_PROGRAM, 0);
	return -1;
}

static int
apache_install(const struct site *s, struct problem *why)
{
	char *part = site_example("htaccess-rewrite");
	struct apache_rules rules;
	int result = apache_plan(s, &rules, part, why);

	if (result == -1)
		printf("%s", part);
	else
		result = apache_put(s, &rules, why);
	if (result == 0) {
		printf("\nApplications that lie in %s are served now.\n"
		       "To begin with one:  mamayo new NAME\n"
		       "To examine the site:  mamayo doctor http://...\n",
		    s->account->apps);
		apache_advise(s);
	}
	apache_release(&rules);
	free(part);
	return result;
}

/* Removes a file of which nothing is left, and a copy that nobody needs. */
static int
apache_restore(
    const struct site *s, const struct apache_rules *r, struct problem *why)
{
	size_t n;
	char *backup = whole_read(s->fd, APACHE_BACKUP, APACHE_MOST, &n);
	int is_empty = r->after[strspn(r->after, " \t\r\n")] == '\0';
	int failed;

	if (is_empty && backup == NULL)
		failed = unlinkat(s->fd, APACHE_FILE, 0) == -1 &&
			 problem_sys(why, "cannot remove " APACHE_FILE);
	else
		failed = whole_write(s->fd, APACHE_FILE, r->after,
			     strlen(r->after), r->mode, why) == -1;
	if (!failed) {
		printf("%s/" APACHE_FILE ": %s\n", s->path,
		    is_empty && backup == NULL ? "removed"
					       : "mamayo's part is out of it");
		if (backup != NULL && strcmp(backup, r->after) == 0)
			(void)unlinkat(s->fd, APACHE_BACKUP, 0);
	}
	free(backup);
	return failed ? -1 : 0;
}

static int
apache_uninstall(const struct site *s, struct problem *why)
{
	struct apache_rules rules;
	int result = apache_plan(s, &rules, NULL, why);

	/* the rules first: what they name must be there */
	if (result == 0 && htaccess_has(rules.before))
		result = apache_restore(s, &rules, why);
	if (result == 0)
		result = apache_remove_files(s, why);
	if (result == 0)
		result = site_remove_program(s->fd, s->path, why);
	apache_release(&rules);
	if (result == -1)
		return -1;
	printf(
	    "\nThe applications in %s are as they were.\n", s->account->apps);
	return 0;
}

const struct site_kind site_apache = {
	.name = "apache",
	.install = apache_install,
	.uninstall = apache_uninstall,
};
