#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/program.h"
#include "lib/python.h"
#include "lib/quote.h"
#include "lib/xalloc.h"

/* Not the environment's: that differs between the copies of us. */
#define PYTHON_PATH "/usr/local/bin:/usr/bin:/bin"

#define LINKS_MOST 8 /* from bin/python to a program */

#define MAKE_AGAIN                                                        \
	"make it again with \"python3 -m venv --clear %s\", and install " \
	"there "                                                          \
	"what the application needs"

void
python_release(struct python *p)
{
	free(p->path);
	free(p->virtual_env);
	free(p->why);
	memset(p, 0, sizeof *p);
}

static int
is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
is_environment(const char *directory)
{
	char *path = xprintf("%s/pyvenv.cfg", directory);
	struct stat st;
	int is = stat(path, &st) == 0 && S_ISREG(st.st_mode);

	free(path);
	return is;
}

/* Takes all three. */
static int
found(struct python *p, char *path, char *virtual_env, char *why)
{
	p->path = path;
	p->virtual_env = virtual_env;
	p->why = why;
	return 0;
}

/* What is not there, of the links that begin with this one; NULL if it is no
 * link, or leads to something. Free it. */
static char *
missing_end(const char *path)
{
	char *at = xstrdup(path), *next, target[PATH_MAX];
	const char *slash;
	struct stat st;
	ssize_t n;
	int links;

	for (links = 0; links < LINKS_MOST; links++) {
		if (lstat(at, &st) == -1)
			break;
		n = readlink(at, target, sizeof target - 1);
		if (n <= 0) {
			links = LINKS_MOST;
			break;
		}
		target[n] = '\0';
		slash = strrchr(at, '/');
		next = *target == '/'
			   ? xstrdup(target)
			   : xprintf("%.*s/%s", (int)(slash - at), at, target);
		free(at);
		at = next;
	}
	if (links > 0 && links < LINKS_MOST)
		return at;
	free(at);
	return NULL;
}

/* " (Python 3.9.2)", as its pyvenv.cfg says, or "". Free it. */
static char *
made_with(const char *directory)
{
	char *path = xprintf("%s/pyvenv.cfg", directory), text[4096];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof text - 1);
	const char *line = text;
	size_t length;

	free(path);
	fd_close(&fd);
	if (n <= 0)
		return xstrdup("");
	text[n] = '\0';
	while (strncmp(line, "version", 7) != 0) {
		line += strcspn(line, "\n");
		if (*line++ == '\0')
			return xstrdup("");
	}
	line += strcspn(line, "=\n");
	line += strspn(line, "= ");
	length = strspn(line, "0123456789.");
	while (length > 0 && line[length - 1] == '.')
		length--; /* virtualenv has 3.9.2.final.0 */
	return length == 0 ? xstrdup("")
			   : xprintf(" (Python %.*s)", (int)length, line);
}

/* The sentence why the virtual environment is of no use. */
static void
explain_environment(
    const char *directory, const char *path, struct problem *problem)
{
	int error = errno;
	char *windows = xprintf("%s/Scripts", directory);
	char *missing = missing_end(path), *version = made_with(directory);
	char *again = quote_word(directory);

	errno = error;
	if (missing != NULL)
		problem_set(problem,
		    "%s: the interpreter of this virtual environment cannot be "
		    "run, for %s%s, with which it was made, is not there (any "
		    "more, or on this machine): " MAKE_AGAIN,
		    path, missing, version, again);
	else if (error == ENOENT && is_directory(windows))
		problem_set(problem,
		    "%s was made on Windows, and its Python cannot be run "
		    "here: " MAKE_AGAIN,
		    directory, again);
	else {
		errno = error;
		problem_sys(problem,
		    "%s: the interpreter of this virtual environment cannot be "
		    "run; perhaps the Python it was made with has gone or it "
		    "was copied from another machine: " MAKE_AGAIN,
		    path, again);
	}
	free(windows);
	free(missing);
	free(version);
	free(again);
}

/* Takes directory and why. -1 if its interpreter cannot be run. */
static int
use_environment(
    struct python *p, char *directory, char *why, struct problem *problem)
{
	char *path = xprintf("%s/bin/python", directory);

	if (program_is(path))
		return found(p, path, directory, why);
	explain_environment(directory, path, problem);
	free(path);
	free(directory);
	free(why);
	return -1;
}

/* DIR of "DIR/bin/python", if that is a virtual environment. */
static char *
environment_of(const char *path)
{
	char *directory = xstrdup(path), *slash = strrchr(directory, '/');

	if (slash != NULL) {
		*slash = '\0';
		slash = strrchr(directory, '/');
		if (slash != NULL && strcmp(slash, "/bin") == 0) {
			*slash = '\0';
			if (is_environment(directory))
				return directory;
		}
	}
	free(directory);
	return NULL;
}

static int
named_in_settings(const char *app_directory, const char *name, const char *home,
    struct python *p, struct problem *problem)
{
	char *why = xprintf("\"python\" in the settings says \"%s\"", name);
	char *path, *program;

	if (*name == '/')
		path = xstrdup(name);
	else if (strncmp(name, "~/", 2) == 0 && home != NULL)
		path = xprintf("%s/%s", home, name + 2);
	else
		path = xprintf("%s/%s", app_directory, name);
	if (is_directory(path))
		return use_environment(p, path, why, problem);
	if (program_is(path))
		return found(p, path, environment_of(path), why);
	problem_sys(problem,
	    "%s, but %s cannot be run: name another interpreter, or leave "
	    "\"python\" out",
	    why, path);
	program =
	    strchr(name, '/') == NULL ? program_find(PYTHON_PATH, name) : NULL;
	free(path);
	if (program != NULL)
		return found(p, program, NULL, why);
	if (strchr(name, '/') == NULL)
		problem_set(problem,
		    "%s, but there is no such program in %s: name it with its "
		    "whole path, or leave \"python\" out",
		    why, PYTHON_PATH);
	free(why);
	return -1;
}

/* The first word of a small file that anybody may have written. NULL if
 * there is none, or it could not be the name of a version. */
static char *
first_word(const char *directory, const char *file)
{
	char *path = xprintf("%s/%s", directory, file), text[128];
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n = -1;
	size_t length;

	free(path);
	if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = read(fd, text, sizeof text - 1);
	fd_close(&fd);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	length = strcspn(text, " \t\r\n");
	text[length] = '\0';
	if (length == 0 || text[0] == '.' ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789._-+") != length)
		return NULL;
	return xstrdup(text);
}

/* Numbers in names compare as numbers: 3.9.1 is older than 3.10. */
static int
version_order(const char *a, const char *b)
{
	unsigned long na, nb;
	char *after_a, *after_b;

	while (*a != '\0' && *b != '\0') {
		na = strtoul(a, &after_a, 10);
		nb = strtoul(b, &after_b, 10);
		if (after_a != a && after_b != b) {
			if (na != nb)
				return na < nb ? -1 : 1;
			a = after_a;
			b = after_b;
		} else if (*a != *b)
			return *a < *b ? -1 : 1;
		else {
			a++;
			b++;
		}
	}
	return (*a != '\0') - (*b != '\0');
}

/* The version itself, or as pyenv does the newest that begins with it ("3.11"
 * is 3.11.9). NULL if there is none. */
static char *
newest(const char *versions, const char *wanted)
{
	DIR *dir = opendir(versions);
	size_t n = strlen(wanted);
	struct dirent *entry;
	const char *name;
	char *best = NULL;

	if (dir == NULL)
		return NULL;
	while ((entry = readdir(dir)) != NULL) {
		name = entry->d_name;
		if (strncmp(name, wanted, n) != 0 ||
		    (name[n] != '\0' && name[n] != '.'))
			continue;
		if (best != NULL &&
		    (strcmp(best, wanted) == 0 ||
			(name[n] != '\0' && version_order(name, best) < 0)))
			continue;
		free(best);
		best = xstrdup(name);
	}
	closedir(dir);
	return best;
}

/* 0, -1, or 1: nothing is said, or pyenv is not used here. */
static int
named_for_pyenv(const char *app_directory, const char *home, struct python *p,
    struct problem *problem)
{
	char *wanted = first_word(app_directory, ".python-version");
	char *versions, *version, *path;
	int result = 1;

	if (wanted == NULL)
		return 1;
	versions = xprintf("%s/.pyenv/versions", home == NULL ? "" : home);
	version = newest(versions, wanted);
	path = xprintf(
	    "%s/%s/bin/python", versions, version == NULL ? wanted : version);
	if (strcmp(wanted, "system") == 0 || !is_directory(versions))
		;
	else if (program_is(path)) {
		result = found(p, path, NULL,
		    xprintf(
			".python-version says %s, and pyenv has it", wanted));
		path = NULL;
	} else
		result = problem_set(problem,
		    ".python-version in %s says %s, but pyenv has no such "
		    "version: \"pyenv install %s\", or remove the file",
		    app_directory, wanted, wanted);
	free(path);
	free(version);
	free(versions);
	free(wanted);
	return result;
}

const char *
python_environment(const char *app_directory)
{
	static const char *const usual[] = { ".venv", "venv", "env",
		"virtualenv" };
	const char *name = NULL;
	char *path;

	for (size_t i = 0; i < sizeof usual / sizeof usual[0] && name == NULL;
	     i++) {
		path = xprintf("%s/%s", app_directory, usual[i]);
		if (is_environment(path))
			name = usual[i];
		free(path);
	}
	return name;
}

static int
named_program(const char *name, struct python *p, struct problem *problem)
{
	char *path =
	    *name == '/' ? xstrdup(name) : program_find(PYTHON_PATH, name);

	if (path != NULL && program_is(path))
		return found(p, path, NULL, xprintf("it is %s", name));
	free(path);
	return problem_set(problem,
	    "there is no program %s: name an interpreter with its whole path, "
	    "or one in %s",
	    name, PYTHON_PATH);
}

int
python_find_base(const char *app_directory, const char *name, const char *home,
    struct python *p, struct problem *problem)
{
	char *path;
	int result;

	memset(p, 0, sizeof *p);
	if (name != NULL)
		return named_program(name, p, problem);
	result = named_for_pyenv(app_directory, home, p, problem);
	if (result != 1)
		return result;
	path = program_find(PYTHON_PATH, "python3");
	if (path == NULL)
		return problem_set(problem,
		    "there is no python3 in %s: install Python 3.6 or later, "
		    "or name an interpreter with \"python\" in mamayo.json",
		    PYTHON_PATH);
	return found(p, path, NULL,
	    xstrdup("no virtual environment and no setting names another"));
}

int
python_find(const char *app_directory, const struct app_settings *settings,
    const char *home, struct python *p, struct problem *problem)
{
	const char *environment;

	memset(p, 0, sizeof *p);
	if (settings->python != NULL)
		return named_in_settings(
		    app_directory, settings->python, home, p, problem);
	environment = python_environment(app_directory);
	if (environment == NULL)
		return python_find_base(app_directory, NULL, home, p, problem);
	return use_environment(p, xprintf("%s/%s", app_directory, environment),
	    xprintf("%s/ has a pyvenv.cfg", environment), problem);
}
