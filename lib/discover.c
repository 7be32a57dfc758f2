#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/discover.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/quote.h"
#include "lib/xalloc.h"

#define REMARKS_MOST 100
#define GROUPS_MOST  2000
#define FRESH_S      2 /* a coarse clock may give two changes one time */

static const char *const app_files[] = { "mamayo.json", "Procfile",
	"application.py", "application.wsgi", "passenger_wsgi.py", "wsgi.py",
	"manage.py", "app.py", "main.py", "production.ini", "development.ini" };

#define LOOKED_FOR                                                     \
	"none of mamayo.json, Procfile, application.py, "              \
	"application.wsgi, passenger_wsgi.py, wsgi.py, *.wsgi, "       \
	"manage.py, app.py, main.py, production.ini, development.ini " \
	"is in it"

/* One look at everything. */
struct search {
	const char *directory; /* apps/, absolute */
	const char *real;      /* where that really lies */
	int fd;                /* apps/ */
	const struct discovery *before;
	struct discovery found;
};

/* What a directory holds, as far as it matters. */
struct contents {
	int is_app;         /* a file by which an app is known */
	int is_environment; /* a pyvenv.cfg: Python's own, not ours */
	int has_files;      /* anything that is no directory */
	char **names;       /* directories that may be looked into, sorted */
	size_t n;
};

void
discovery_init(struct discovery *d)
{
	memset(d, 0, sizeof *d);
}

static void
strings_free(char **list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

/* Takes the string. */
static void
strings_add(char ***list, size_t *n, char *text)
{
	*list = xrealloc(*list, *n + 1, sizeof **list);
	(*list)[(*n)++] = text;
}

void
discovery_release(struct discovery *d)
{
	size_t i;

	for (i = 0; i < d->napps; i++)
		app_release(&d->apps[i]);
	free(d->apps);
	strings_free(d->groups, d->ngroups);
	strings_free(d->remarks, d->nremarks);
	discovery_init(d);
}

/* A name as it may stand in a sentence: no control or broken bytes. */
static char *
escaped(const char *name)
{
	size_t n = strlen(name), size = 4 * n + 5;
	char *out = xcalloc(1, size);

	return log_escape(out, size, name, n);
}

/* "apps/NAME TEXT", for the log. */
static void
remark(struct search *s, const char *name, const char *text)
{
	char *shown;

	if (s->found.nremarks > REMARKS_MOST)
		return;
	if (s->found.nremarks == REMARKS_MOST) {
		strings_add(&s->found.remarks, &s->found.nremarks,
		    xstrdup("there is more of this kind"));
		return;
	}
	shown = escaped(name);
	strings_add(&s->found.remarks, &s->found.nremarks,
	    xprintf("apps/%s %s", shown, text));
	free(shown);
}

static int
app_order(const void *left, const void *right)
{
	return strcmp(((const struct app *)left)->name,
	    ((const struct app *)right)->name);
}

static struct app *
app_named(const struct discovery *d, const char *name)
{
	struct app key = { .name = (char *)(uintptr_t)name };

	if (d->napps == 0)
		return NULL;
	return bsearch(&key, d->apps, d->napps, sizeof *d->apps, app_order);
}

/* Was it an app that could be served? */
static int
was_app(const struct search *s, const char *name)
{
	const struct app *a = app_named(s->before, name);

	return a != NULL && a->refused == NULL;
}

/* A directory whose change may change what is found. -1: there are enough. */
static int
watch(struct search *s, const char *name)
{
	if (s->found.ngroups >= GROUPS_MOST) {
		remark(s, name, "is not looked into: there are too many");
		return -1;
	}
	strings_add(&s->found.groups, &s->found.ngroups,
	    *name == '\0' ? xstrdup(s->directory)
			  : xprintf("%s/%s", s->directory, name));
	return 0;
}

/* Takes the sentence why it is refused. */
static void
add_app(struct search *s, const char *name, char *refused)
{
	struct app *a;

	s->found.apps =
	    xrealloc(s->found.apps, s->found.napps + 1, sizeof *s->found.apps);
	a = &s->found.apps[s->found.napps++];
	app_init(a);
	app_set(a, s->directory, name);
	a->refused = refused;
}

/* Begins path with directory, on a segment boundary? */
static int
lies_in(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return strncmp(path, directory, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

static int
is_app_file(const char *name)
{
	size_t i, n = strlen(name);

	for (i = 0; i < sizeof app_files / sizeof app_files[0]; i++)
		if (strcmp(name, app_files[i]) == 0)
			return 1;
	return n > 5 && strcmp(name + n - 5, ".wsgi") == 0;
}

int
discover_is_app(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	struct stat st;
	int is = 0;

	if (dir == NULL)
		return 0;
	while (!is && (entry = readdir(dir)) != NULL)
		is = is_app_file(entry->d_name) &&
		     strcmp(entry->d_name, app_files[0]) != 0 &&
		     fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
		     S_ISREG(st.st_mode);
	closedir(dir);
	return is;
}

static int
is_public(const char *name)
{
	return strcmp(name, "public") == 0;
}

/* Names that are never looked into, nor spoken of. A group has no public/: a
 * web server may take that for an application's, and send what is in it. */
static int
is_passed_over(const char *name, int is_top)
{
	return *name == '.' || *name == '_' ||
	       strcmp(name, "node_modules") == 0 ||
	       (!is_top && is_public(name));
}

/* Is this text that may stand in a URL and in a log: UTF-8, no controls? */
static int
is_text(const char *name)
{
	char *shown = escaped(name);
	int same = strcmp(shown, name) == 0;

	free(shown);
	return same;
}

static int
is_host(const char *name)
{
	return *name != '\0' && *name != '.' &&
	       strspn(name,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789.-_[:]") == strlen(name) &&
	       (strchr(name, ':') == NULL || *name == '[');
}

/* One part of a NAME; is_top: its first. */
static int
part_may_be(const char *part, int is_top, struct problem *why)
{
	size_t n = strlen(part);

	if (n == 0)
		return problem_set(why,
		    "a name has no empty part: write \"blog\" or "
		    "\"tools/wiki\"");
	if (n > NAME_MAX)
		return problem_set(why,
		    "a name, or a part of it, has at most %d bytes", NAME_MAX);
	if (!is_passed_over(part, is_top))
		return 0;
	if (is_public(part))
		return problem_set(why,
		    "\"public\" in a directory of applications is passed over, "
		    "for a web server may send what is in it as files: take "
		    "another name");
	return problem_set(why,
	    "names that begin with \".\" or \"_\", and node_modules, are "
	    "passed over: take another one");
}

int
discover_name(const char *name, struct problem *why)
{
	size_t n, parts = 0;
	const char *from = name;
	char *part, *host;
	int is_bad;

	if (!is_text(name))
		return problem_set(
		    why, "a name is UTF-8, and has no control characters");
	for (;; from += n + 1) {
		n = strcspn(from, "/");
		part = xstrndup(from, n);
		is_bad = part_may_be(part, parts == 0, why) == -1;
		free(part);
		if (is_bad)
			return -1;
		parts++;
		if (from[n] == '\0')
			break;
	}
	if (parts > DISCOVER_DEPTH)
		return problem_set(why,
		    "an application lies at most %d levels deep in apps/",
		    DISCOVER_DEPTH);
	if (*name != '@')
		return 0;
	host = xstrndup(name + 1, strcspn(name, "/") - 1);
	is_bad = !is_host(host);
	free(host);
	if (is_bad || parts < 2)
		return problem_set(why,
		    "what begins with \"@\" is the place of a host: write "
		    "\"@example.org/blog\", or \"@example.org/ROOT\" for the "
		    "host itself");
	return 0;
}

static int
name_order(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static char *
below(const char *name, const char *entry)
{
	return *name == '\0' ? xstrdup(entry) : xprintf("%s/%s", name, entry);
}

/* One entry of the directory with that NAME ("" is apps/ itself). */
static void
take_entry(struct search *s, int fd, const char *name, const char *entry,
    struct contents *c)
{
	char *full = below(name, entry);
	struct stat st;

	if (strcmp(entry, "pyvenv.cfg") == 0)
		c->is_environment = 1;
	if (is_passed_over(entry, *name == '\0'))
		;
	else if (!is_text(entry))
		remark(s, full,
		    "is passed over: its name is not UTF-8, or has control "
		    "characters");
	else if (fstatat(fd, entry, &st, 0) == -1) {
		if (fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0)
			remark(s, full, "leads nowhere");
	} else if (S_ISDIR(st.st_mode))
		strings_add(&c->names, &c->n, xstrdup(entry));
	else {
		c->has_files = 1;
		if (S_ISREG(st.st_mode) && is_app_file(entry))
			c->is_app = 1;
		if (*name == '\0')
			remark(s, full,
			    "is no directory; an application is a directory "
			    "in apps/");
	}
	free(full);
}

/* Takes the descriptor. Stops where it is certain that this is an app. */
static int
read_contents(struct search *s, int fd, const char *name, struct contents *c)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	memset(c, 0, sizeof *c);
	if (dir == NULL) {
		fd_close(&fd);
		return -1;
	}
	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0)
		take_entry(s, fd, name, entry->d_name, c);
	if (errno != 0) {
		strings_free(c->names, c->n);
		closedir(dir);
		return -1;
	}
	closedir(dir);
	if (c->n > 1)
		qsort(c->names, c->n, sizeof *c->names, name_order);
	return 0;
}

/* The first part of a NAME that others may write to, or NULL. */
static char *
writable_part(const struct search *s, const char *name)
{
	const char *end = name;
	struct stat st;
	char *part;

	do {
		end += *end == '/';
		end += strcspn(end, "/");
		part = xstrndup(name, (size_t)(end - name));
		if (fstatat(s->fd, part, &st, 0) == 0 &&
		    (st.st_mode & S_IWOTH) != 0)
			return part;
		free(part);
	} while (*end != '\0');
	return NULL;
}

/* Where it really lies. NULL with errno. */
static char *
real_place(const struct search *s, const char *name)
{
	char *path = xprintf("%s/%s", s->directory, name);
	char *real = realpath(path, NULL);

	free(path);
	return real;
}

/* The sentence why code that lies elsewhere is not run; NULL if it lies below
 * apps/. */
static char *
leaving(const struct search *s, const char *name)
{
	char *real = real_place(s, name), *why = NULL;

	if (real == NULL)
		return xprintf(
		    "where it lies cannot be told: %s", strerror(errno));
	if (!s->before->follows_links && !lies_in(real, s->real))
		why = xprintf("it is a symbolic link that leaves apps/, to %s: "
			      "put the application itself into apps/, or "
			      "\"links\": true into the account's mamayo.json",
		    real);
	free(real);
	return why;
}

/* The sentence why code that anyone could have put there is not run. */
static char *
writable(const struct search *s, const char *name)
{
	char *part = writable_part(s, name), *why = NULL, *path, *quoted;

	if (part == NULL)
		return NULL;
	path = xprintf("%s/%s", s->directory, part);
	quoted = quote_word(path);
	why = xprintf(
	    "every user of this machine may write to it: chmod o-w %s", quoted);
	free(quoted);
	free(path);
	free(part);
	return why;
}

/* Would looking into this directory lead back to where we are? */
static int
leads_back(const struct search *s, const char *name)
{
	char *real = real_place(s, name), *up = xstrdup(name), *parent;
	char *slash = strrchr(up, '/');
	int back = 0;

	*(slash == NULL ? up : slash) = '\0';
	parent = real_place(s, up);
	if (real != NULL && parent != NULL)
		back = lies_in(parent, real);
	free(parent);
	free(up);
	free(real);
	return back;
}

static void look_into(struct search *, const char *name, int level);

/* A directory that is no app: is it a group, and what if not? */
static void
take_group(struct search *s, const char *name, int level, int is_host_place,
    const struct contents *c)
{
	const char *slash = strrchr(name, '/');
	int is_root = strcmp(slash == NULL ? name : slash + 1, "ROOT") == 0;
	char *full;
	size_t i;

	if (is_host_place && c->has_files)
		remark(s, name,
		    "is for the applications of one host, as directories in "
		    "it (ROOT is the host itself); its files are passed over");
	else if (c->has_files || (is_root && c->n > 0)) {
		remark(s, name, "is no application: " LOOKED_FOR);
		return;
	}
	if (level >= DISCOVER_DEPTH && c->n > 0) {
		remark(s, name, "is not looked into: it lies too deep");
		return;
	}
	for (i = 0; i < c->n; i++) {
		full = below(name, c->names[i]);
		look_into(s, full, level + 1);
		free(full);
	}
}

/* Takes the sentence why it is not safe, or NULL. */
static void
take_directory(struct search *s, const char *name, int level,
    const struct contents *c, char *unsafe)
{
	int is_host_place = level == 1 && *name == '@';

	if (c->is_environment)
		remark(s, name,
		    "is passed over: a pyvenv.cfg makes it a virtual "
		    "environment, not an application");
	else if (c->is_app && !is_host_place) {
		if (unsafe != NULL)
			watch(s, name); /* chmod changes nothing above it */
		add_app(s, name, unsafe);
		return;
	} else if (watch(s, name) == -1)
		;
	else if (unsafe != NULL)
		remark(s, name,
		    "is not looked into: every user of this machine may write "
		    "to it");
	else
		take_group(s, name, level, is_host_place, c);
	free(unsafe);
}

/* A directory below apps/, `level` parts deep. */
static void
look_into(struct search *s, const char *name, int level)
{
	struct contents c;
	char *why;
	int fd;

	if (level == 1 && *name == '@' && !is_host(name + 1)) {
		remark(s, name, "is passed over: \"@\" and no host name");
		return;
	}
	if ((why = leaving(s, name)) != NULL) {
		add_app(s, name, why);
		return;
	}
	if (leads_back(s, name)) {
		remark(s, name, "is passed over: it leads back to itself");
		return;
	}
	why = writable(s, name);
	if (was_app(s, name)) {
		if (why != NULL)
			watch(s, name);
		add_app(s, name, why);
		return;
	}
	fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || read_contents(s, fd, name, &c) == -1) {
		remark(s, name, "cannot be read");
		free(why);
		return;
	}
	take_directory(s, name, level, &c, why);
	strings_free(c.names, c.n);
}

/* Is one of the first n found an app in which this one would lie? */
static int
would_nest(struct search *s, const char *name, size_t n)
{
	struct discovery sorted = { .apps = s->found.apps, .napps = n };
	const char *slash;
	char *up;
	int nests = 0;

	for (slash = strchr(name, '/'); slash != NULL && !nests;
	     slash = strchr(slash + 1, '/')) {
		up = xstrndup(name, (size_t)(slash - name));
		nests = app_named(&sorted, up) != NULL;
		free(up);
	}
	return nests;
}

static int
is_gone(const struct search *s, const char *name)
{
	struct stat st;

	if (fstatat(s->fd, name, &st, 0) == -1)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
	return !S_ISDIR(st.st_mode);
}

/* What was an app and was not found now stays one while its directory is
 * there: a file beside it may have hidden it. */
static void
keep_known(struct search *s)
{
	struct discovery sorted = { .napps = s->found.napps };
	const char *name;
	char *why;
	size_t i;

	for (i = 0; i < s->before->napps; i++) {
		name = s->before->apps[i].name;
		sorted.apps = s->found.apps; /* it moves as it grows */
		if (app_named(&sorted, name) != NULL || !was_app(s, name) ||
		    is_gone(s, name))
			continue;
		if (would_nest(s, name, sorted.napps)) {
			remark(s, name,
			    "is no longer served: it lies in a directory that "
			    "has become an application");
			continue;
		}
		if ((why = leaving(s, name)) == NULL)
			why = writable(s, name);
		add_app(s, name, why);
	}
}

/* Too many: those that are known stay. */
static void
drop_surplus(struct search *s)
{
	size_t i, kept = 0, surplus;

	if (s->found.napps <= DISCOVER_APPS_MOST)
		return;
	surplus = s->found.napps - DISCOVER_APPS_MOST;
	for (i = s->found.napps; i > 0 && surplus > 0; i--)
		if (!was_app(s, s->found.apps[i - 1].name)) {
			remark(s, s->found.apps[i - 1].name,
			    "is passed over: there are too many applications");
			app_release(&s->found.apps[i - 1]);
			surplus--;
		}
	for (i = 0; i < s->found.napps; i++)
		if (s->found.apps[i].name != NULL)
			s->found.apps[kept++] = s->found.apps[i];
	s->found.napps = kept;
}

static int
place_order(const void *left, const void *right)
{
	const struct app *a = *(struct app *const *)left;
	const struct app *b = *(struct app *const *)right;
	int order = strcmp(a->host, b->host);

	if (order == 0)
		order = strcmp(a->mount, b->mount);
	return order != 0 ? order : strcmp(a->name, b->name);
}

/* "@example.com" and "@Example.com" are one host. */
static void
refuse_doubles(struct search *s)
{
	struct app **by_place = xcalloc(s->found.napps + 1, sizeof *by_place);
	struct app *a, *b;
	size_t i;

	for (i = 0; i < s->found.napps; i++)
		by_place[i] = &s->found.apps[i];
	if (s->found.napps > 1)
		qsort(by_place, s->found.napps, sizeof *by_place, place_order);
	for (i = 1; i < s->found.napps; i++) {
		a = by_place[i - 1];
		b = by_place[i];
		if (strcmp(a->host, b->host) == 0 &&
		    strcmp(a->mount, b->mount) == 0 && b->refused == NULL)
			b->refused =
			    xprintf("apps/%s has the same place", a->name);
	}
	free(by_place);
}

static void
sort_apps(struct discovery *d)
{
	if (d->napps > 1)
		qsort(d->apps, d->napps, sizeof *d->apps, app_order);
}

static int
search(struct search *s, struct problem *why)
{
	struct contents c;
	size_t i;
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || read_contents(s, fd, "", &c) == -1)
		return problem_sys(why, "%s cannot be read", s->directory);
	watch(s, "");
	for (i = 0; i < c.n; i++)
		look_into(s, c.names[i], 1);
	strings_free(c.names, c.n);
	sort_apps(&s->found);
	keep_known(s);
	sort_apps(&s->found);
	drop_surplus(s);
	refuse_doubles(s);
	return 0;
}

int
discover(const char *apps_directory, struct discovery *out, struct problem *why)
{
	struct search s = { .directory = apps_directory, .before = out };
	char *real = realpath(apps_directory, NULL);
	int result = -1;

	discovery_init(&s.found);
	s.real = real;
	s.fd = open(apps_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (real == NULL || s.fd == -1)
		problem_sys(why, "%s cannot be read", apps_directory);
	else
		result = search(&s, why);
	fd_close(&s.fd);
	free(real);
	if (result == -1) {
		discovery_release(&s.found);
		return -1;
	}
	s.found.follows_links = out->follows_links;
	discovery_release(out);
	*out = s.found;
	return 0;
}

/* FNV-1a over the bytes of a number. */
static uint64_t
mix(uint64_t hash, uint64_t number)
{
	int i;

	for (i = 0; i < 8; i++, number >>= 8)
		hash = (hash ^ (number & 0xff)) * UINT64_C(1099511628211);
	return hash;
}

uint64_t
discover_stamp(char *const *groups, size_t ngroups)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	time_t now = clock_wall().tv_sec;
	struct stat st;
	size_t i;

	for (i = 0; i < ngroups; i++) {
		if (stat(groups[i], &st) == -1) {
			hash = mix(hash, 1);
			continue;
		}
		hash = mix(hash, (uint64_t)st.st_dev);
		hash = mix(hash, (uint64_t)st.st_ino);
		hash = mix(hash, (uint64_t)st.st_mode);
		hash = mix(hash, (uint64_t)st.st_mtim.tv_sec);
		hash = mix(hash, (uint64_t)st.st_mtim.tv_nsec);
		hash = mix(hash, st.st_mtim.tv_sec <= now &&
				     now - st.st_mtim.tv_sec <= FRESH_S);
	}
	return hash;
}
