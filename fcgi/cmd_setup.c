#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "fcgi/inside.h"
#include "fcgi/task.h"
#include "lib/adapters.h"
#include "lib/environment.h"
#include "lib/fd.h"
#include "lib/stopped.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

#define SETUP_TEMPORARY "tmp"  /* in it, until it is whole */
#define SETUP_NAME      "venv" /* where there is none yet */
#define SETUP_BUILD     ".mamayo-setup"
#define SETUP_ANSWER    64  /* bytes that mamayo_setup.py says */
#define SETUP_RETRIES   "2" /* of pip, without a network */

/* One run of setup. */
struct setup {
	const struct account *account;
	const char *base; /* the interpreter that was asked for, or NULL */
	struct inside in;
	struct tasks tasks;
	char *helper;     /* mamayo_setup.py */
	char **env;       /* of what we run */
	const char *name; /* of the environment, in the app's directory */
	char *unfinished; /* its name while it is being made */
	char *build;      /* the path of that */
	char *python;     /* its interpreter */
	int app;          /* the directory */
	int is_kept;      /* unfinished holds what there was before */
};

static int
setup_is_there(const struct setup *s, const char *name)
{
	return faccessat(s->app, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Runs it in the app's directory. 0 if it has ended well, else -1 with
 * `failed` as the reason. out: -1 for our standard output. */
static int
setup_task(struct setup *s, const char *const *argv, int out,
    const char *failed, struct problem *why)
{
	const struct proc_spec spec = { .path = argv[0],
		.argv = argv,
		.env = (const char *const *)s->env,
		.directory = s->in.app.directory,
		.fd = { -1, out == -1 ? STDOUT_FILENO : out, STDERR_FILENO, -1,
		    -1, -1 },
		.umask = 022 };
	char text[100];
	int status;

	fflush(stdout);
	if (task_run(&s->tasks, &spec, &status, why) == -1)
		return -1;
	if (status == 0)
		return 0;
	return problem_set(why, "%s (%s)", failed,
	    proc_status_text(status, text, sizeof text));
}

/* Asks mamayo_setup.py for one line. */
static int
setup_ask(struct setup *s, char answer[SETUP_ANSWER], struct problem *why)
{
	const char *argv[] = { s->in.python.path, s->helper, "how", NULL };
	int out = fd_unnamed(s->account->run_fd), result = -1;
	ssize_t n;

	if (out == -1)
		problem_sys(
		    why, "cannot make a temporary file in %s", s->account->run);
	else
		result = setup_task(
		    s, argv, out, "this interpreter does not work", why);
	if (result == 0) {
		n = pread(out, answer, SETUP_ANSWER - 1, 0);
		answer[n > 0 ? n : 0] = '\0';
		answer[strcspn(answer, "\n")] = '\0';
	}
	fd_close(&out);
	return result;
}

/* What Debian splits off. */
static int
setup_no_way(const struct setup *s, const char *version, struct problem *why)
{
	return problem_set(why,
	    "%s (Python %s) cannot make virtual environments, for it has no "
	    "ensurepip: let the administrator run \"apt-get install "
	    "python%s-venv\" (the Debian package it is in), or install "
	    "virtualenv",
	    s->in.python.path, version, version);
}

/* An empty environment. */
static int
setup_make(struct setup *s, struct problem *why)
{
	static const char failed[] =
	    "the virtual environment could not be made";
	char answer[SETUP_ANSWER], *way;
	const char *program = "/usr/bin/virtualenv";
	const char *by_module[] = { s->in.python.path, "-m", NULL, s->build,
		NULL };
	const char *by_program[] = { program, "-q", "-p", s->in.python.path,
		s->build, NULL };

	if (setup_ask(s, answer, why) == -1)
		return -1;
	way = strchr(answer, ' ');
	if (way == NULL)
		return problem_set(why, "%s is no Python", s->in.python.path);
	*way++ = '\0';
	if (strncmp(answer, "2.", 2) == 0)
		return problem_set(why,
		    "%s is Python %s; 3.6 or later is "
		    "needed",
		    s->in.python.path, answer);
	printf("%s: making a virtual environment with %s (Python %s)\n",
	    s->in.app.name, s->in.python.path, answer);
	by_module[2] = way;
	if (strcmp(way, "none") != 0)
		return setup_task(s, by_module, -1, failed, why);
	if (access(program, X_OK) == 0)
		return setup_task(s, by_program, -1, failed, why);
	return setup_no_way(s, answer, why);
}

static int
setup_pip(
    struct setup *s, const char *file, const char *shown, struct problem *why)
{
	const char *argv[] = { s->python, "-m", "pip", "install",
		"--disable-pip-version-check", "--no-input", "--retries",
		SETUP_RETRIES, "-r", file, NULL };

	printf("%s: installing what %s asks for\n", s->in.app.name, shown);
	return setup_task(s, argv, -1,
	    "pip could not install all of it: what it says above tells why",
	    why);
}

static int
setup_install(struct setup *s, struct problem *why)
{
	char *wanted = xprintf("%s/mamayo-requirements.txt", s->build);
	const char *argv[] = { s->python, s->helper, "dependencies",
		s->in.app.directory, wanted, NULL };
	int result = 0;

	if (setup_is_there(s, "requirements.txt"))
		result =
		    setup_pip(s, "requirements.txt", "requirements.txt", why);
	else if (setup_is_there(s, "pyproject.toml")) {
		result = setup_task(s, argv, -1,
		    "pyproject.toml does not say what to install", why);
		if (result == 0)
			result = setup_pip(s, wanted, "pyproject.toml", why);
	} else
		printf("%s: nothing to install, for there is no "
		       "requirements.txt and no pyproject.toml\n",
		    s->in.app.name);
	free(wanted);
	return result;
}

/* Its programs are to name the place where it is going to be. */
static int
setup_settle(struct setup *s, struct problem *why)
{
	char *place = xprintf("%s/%s", s->in.app.directory, s->name);
	const char *argv[] = { s->python, s->helper, "settle", s->build, place,
		NULL };
	int result = setup_task(
	    s, argv, -1, "the virtual environment cannot be moved", why);

	free(place);
	return result;
}

/* Puts it in its place; what was there is kept, unfinished. */
static int
setup_swap(struct setup *s, struct problem *why)
{
	int failed;

	s->is_kept = setup_is_there(s, s->name);
	failed = s->is_kept ? whole_swap(s->app, s->unfinished, s->name)
			    : renameat(s->app, s->unfinished, s->app, s->name);
	if (failed)
		return problem_sys(why, "cannot put %s in its place", s->name);
	return 0;
}

/* And back. */
static void
setup_swap_back(struct setup *s)
{
	if (s->is_kept)
		(void)whole_swap(s->app, s->unfinished, s->name);
	else
		(void)renameat(s->app, s->name, s->app, s->unfinished);
}

/* The directory, and the name that the environment is to have in it. */
static int
setup_place(struct setup *s, struct problem *why)
{
	const char *directory = s->in.app.directory;

	if (s->in.settings.python != NULL)
		return problem_set(why,
		    "\"python\" in the settings says \"%s\", and what setup "
		    "makes would not be used: take that out, and run \"mamayo "
		    "setup --python %s ...\"",
		    s->in.settings.python, s->in.settings.python);
	s->app = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->app == -1)
		return problem_sys(why, "%s", directory);
	s->name = python_environment(directory);
	if (s->name == NULL) {
		s->name = SETUP_NAME;
		if (setup_is_there(s, s->name))
			return problem_set(why,
			    "there is something in %s/" SETUP_NAME " that is "
			    "no virtual environment: give it another name",
			    directory);
	}
	whole_tidy(s->app);
	s->unfinished = whole_unfinished(SETUP_BUILD);
	s->build = xprintf("%s/%s", directory, s->unfinished);
	s->python = xprintf("%s/bin/python", s->build);
	return 0;
}

/* What pip takes from its caller, beside its own settings. */
static int
setup_tools(struct setup *s, struct problem *why)
{
	static const char *const passed_on[] = { "PIP_",
		"http_proxy=", "https_proxy=", "no_proxy=", "all_proxy=",
		"HTTP_PROXY=", "HTTPS_PROXY=", "NO_PROXY=", "ALL_PROXY=",
		"SSL_CERT_FILE=", "SSL_CERT_DIR=", "REQUESTS_CA_BUNDLE=",
		"TMPDIR=", "CC=", "CFLAGS=", "LDFLAGS=", NULL };
	char *directory;

	if (python_find_base(s->in.app.directory, s->base, s->account->home,
		&s->in.python, why) == -1)
		return -1;
	directory = adapters_unpack(s->account->run, why);
	if (directory == NULL)
		return -1;
	s->helper = xprintf("%s/mamayo_setup.py", directory);
	free(directory);
	s->env = inside_environment(&s->in, s->account, passed_on);
	return 0;
}

/* What pip keeps for a while is where programs may be run, and whoever removes
 * an unfinished environment removes that. */
static int
setup_temporary(struct setup *s, struct problem *why)
{
	char *line = xprintf("TMPDIR=%s/" SETUP_TEMPORARY, s->build);
	int result = 0;

	if (getenv("TMPDIR") == NULL) {
		if (mkdir(strchr(line, '=') + 1, 0700) == -1)
			result = problem_sys(why, "%s", strchr(line, '=') + 1);
		s->env = environment_set(s->env, line);
	}
	free(line);
	return result;
}

static void
setup_temporary_end(const struct setup *s)
{
	char *path = xprintf("%s/" SETUP_TEMPORARY, s->unfinished);

	whole_remove(s->app, path);
	free(path);
}

/* All of it, beside what is there. */
static int
setup_build(struct setup *s, struct problem *why)
{
	int result = -1;

	tasks_begin(&s->tasks);
	if (setup_make(s, why) == 0 && setup_temporary(s, why) == 0 &&
	    setup_install(s, why) == 0 && setup_settle(s, why) == 0) {
		setup_temporary_end(s);
		command_hold_signals();
		result = setup_swap(s, why);
		command_let_signals();
	}
	if (result == -1)
		whole_remove(s->app, s->unfinished);
	tasks_end(&s->tasks);
	return result;
}

/* Who would not serve with it, takes what there was. */
static int
setup_serve(struct setup *s, struct problem *why)
{
	struct problem said = { "it is stopped" };
	const char *name = s->in.app.name;
	int result = 0;

	if (!stopped_is(s->account->root, name))
		result = command_restart_app(s->account, name, &said);
	if (result == -1) {
		setup_swap_back(s);
		problem_set(why,
		    "%s does not serve with what has been installed: %s", name,
		    said.text);
	} else
		printf("%s: %s is ready; %s\n", name, s->name, said.text);
	whole_remove(s->app, s->unfinished);
	return result == -1 ? -1 : 0;
}

static void
setup_release(struct setup *s)
{
	fd_close(&s->app);
	xstrvfree(s->env);
	free(s->helper);
	free(s->unfinished);
	free(s->build);
	free(s->python);
	inside_leave(&s->in);
}

static int
setup_app(const struct account *a, const char *name, const char *base)
{
	struct setup s = { .account = a, .base = base, .app = -1 };
	struct problem why;
	char *lock_name;
	int lock, status = inside_enter(&s.in, a, name);

	if (status != 0)
		return status;
	lock_name = xprintf("setup:%s", name);
	if (command_lock(a, lock_name, &lock, &why) == -1 ||
	    setup_place(&s, &why) == -1 || setup_tools(&s, &why) == -1 ||
	    setup_build(&s, &why) == -1 || setup_serve(&s, &why) == -1) {
		status = command_failed(&why);
		fprintf(stderr, "mamayo: nothing has been changed\n");
	}
	if (s.tasks.caught != 0)
		status = 128 + s.tasks.caught; /* as a shell says it */
	fd_close(&lock);
	free(lock_name);
	setup_release(&s);
	return status;
}

static int
setup_run(const struct command *c, int argc, char **argv)
{
	const char *name = NULL, *base = NULL;
	struct account account;
	int status;

	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--python") == 0 && i + 1 < argc)
			base = argv[++i];
		else if (name != NULL || argv[i][0] == '-' ||
			 argv[i][0] == '\0')
			return command_usage(c);
		else
			name = argv[i];
	if (name == NULL || (base != NULL && *base == '\0'))
		return command_usage(c);
	if ((status = command_account(&account, 1)) != 0)
		return status;
	status = setup_app(&account, name, base);
	account_release(&account);
	return status;
}

const struct command command_setup = {
	.name = "setup",
	.arguments = "NAME [--python PROGRAM]",
	.summary = "install what an application needs",
	.help = "Makes a virtual environment for the application "
		"~/mamayo/apps/NAME, installs into\nit what its "
		"requirements.txt or pyproject.toml asks for, and lets a new "
		"generation\nserve with it. The one that it had until then is "
		"in force until all is done, and\nstays if anything fails. "
		"Variables PIP_* and of proxies are handed on to pip. The\n"
		"interpreter is python3, or the one of .python-version, or "
		"PROGRAM.",
	.run = setup_run,
};
