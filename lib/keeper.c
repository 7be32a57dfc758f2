#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "lib/clock.h"
#include "lib/environment.h"
#include "lib/fd.h"
#include "lib/hookfile.h"
#include "lib/keeper.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/proc.h"
#include "lib/stamp.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

#define KEEPER_TRY_MS 10 /* from one attempt to the next */
#define KEEPER_ALIVE  3  /* its end of a pipe that nobody writes to */

/* It is not to begin before its number is written down: who dies before that
 * leaves nothing that runs unseen. */
#define KEEPER_SHELL \
	"read -r go <&3 || exit 125; exec 3<&-; exec /bin/sh -c \"$1\""

struct keeper {
	struct keeper_work *work;
	struct loop *loop;
	struct proc proc;
	struct timer limit;
	int lock;
	int seconds; /* hook_timeout */
	int is_late, is_over, status;
	int64_t began;
};

static void
keeper_set(struct keeper *k, const char *key, json_t *value)
{
	json_object_set_new(k->work->record, key, value);
}

/* Nothing of the supervisor's stays open, and nobody's signals end it: what
 * ends the command is written down. */
static void
keeper_is_born(struct keeper *k)
{
	int log = fcntl(k->work->log, F_DUPFD_CLOEXEC, KEEPER_ALIVE + 1);
	int alive = fcntl(k->work->alive, F_DUPFD_CLOEXEC, KEEPER_ALIVE + 1);

	setsid();
	loop_forget(k->work->loop);
	if (dup2(log, 1) == -1 || dup2(log, 2) == -1 ||
	    dup2(alive, KEEPER_ALIVE) == -1)
		_exit(1);
	fd_cloexec(KEEPER_ALIVE, 1);
	fd_close_from(KEEPER_ALIVE + 1);
	(void)fd_open_std();
	log_forget();
	log_role("hook");
	loop_ignore_signals();
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
#ifdef __linux__
	(void)prctl(PR_SET_NAME, "mamayo-hook", 0, 0, 0);
#endif
}

/* Whoever changes the file has the lock, too, for an instant. */
static int
keeper_lock(struct keeper *k)
{
	const char *app = k->work->app->name;

	for (int ms = 0; ms < KEEPER_LOCK_MS; ms += KEEPER_TRY_MS) {
		k->lock = hookfile_lock(k->work->account, app);
		if (k->lock != -1 || errno != EAGAIN)
			break;
		poll(NULL, 0, KEEPER_TRY_MS);
	}
	if (k->lock == -1)
		log_error("cannot begin the hook: its lock in %s/hooks: %s",
		    k->work->account->run, strerror(errno));
	return k->lock == -1 ? -1 : 0;
}

/* Is the last run still the one that it was when this one was begun? */
static int
keeper_is_next(const struct keeper *k)
{
	struct hookfile f;
	int is_next;

	hookfile_read(&f, k->work->account, k->work->app->name);
	is_next = strcmp(hookfile_text(&f, "id"), k->work->before) == 0;
	hookfile_release(&f);
	if (!is_next)
		log_info("the hook has been run meanwhile, for a supervisor "
			 "that was killed: not again");
	return is_next;
}

static int
keeper_write(struct keeper *k)
{
	struct problem why;

	if (hookfile_write(k->work->account, k->work->app->name,
		k->work->record, &why) == 0)
		return 0;
	log_error("hook: %s", why.text);
	return -1;
}

static void
keeper_ended(struct proc *p, int status, int64_t now)
{
	struct keeper *k =
	    (struct keeper *)((char *)p - offsetof(struct keeper, proc));

	(void)now;
	k->status = status;
	k->is_over = 1;
}

static void
keeper_reap(void *arg, int64_t now)
{
	(void)arg;
	proc_reap(now);
}

static void
keeper_limit_due(struct timer *t, int64_t now)
{
	struct keeper *k =
	    (struct keeper *)((char *)t - offsetof(struct keeper, limit));

	if (!k->is_late)
		log_warn("the hook has not ended in %d seconds (hook_timeout); "
			 "it is ended",
		    k->seconds);
	proc_kill_group(&k->proc, k->is_late ? SIGKILL : SIGTERM);
	k->is_late = 1;
	(void)loop_timer(k->loop, &k->limit, now + KEEPER_END_MS);
}

/* A place where "python" is the app's own, for one without a virtual
 * environment, which has that itself. Free it. */
static char *
keeper_programs(const struct keeper *k)
{
	static const char *const names[] = { "python", "python3" };
	char *file = app_file_name(k->work->app->name, ".bin");
	char *place = xprintf("%s/hooks/%s", k->work->account->run, file),
	     *path;

	(void)mkdir(place, 0700);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		path = xprintf("%s/%s", place, names[i]);
		(void)unlink(path);
		if (symlink(k->work->python->path, path) == -1)
			log_warn(
			    "hook: cannot make %s: %s", path, strerror(errno));
		free(path);
	}
	free(file);
	return place;
}

static char **
keeper_environment(const struct keeper *k)
{
	char **env, *place, *line;

	env = environment_new(
	    k->work->account, k->work->settings, k->work->python);
	if (k->work->python->virtual_env != NULL ||
	    environment_get(k->work->settings->env, "PATH") != NULL)
		return env;
	place = keeper_programs(k);
	line = xprintf("PATH=%s:%s", place, environment_get(env, "PATH"));
	env = environment_set(env, line);
	free(line);
	free(place);
	return env;
}

static int
keeper_start(struct keeper *k, int go, struct problem *why)
{
	const char *argv[] = { "sh", "-c", KEEPER_SHELL, "sh", k->work->command,
		NULL };
	char **env = keeper_environment(k);
	const struct proc_spec spec = { .path = "/bin/sh",
		.argv = argv,
		.env = (const char *const *)env,
		.directory = k->work->app->directory,
		.fd = { -1, 1, 2, go, -1, -1 },
		.umask = 022 };
	int result;

	k->proc.ended = keeper_ended;
	result = proc_start(&k->proc, &spec, why);
	k->proc.takes_group = 1;
	xstrvfree(env);
	return result;
}

/* It is known, and may go on. */
static int
keeper_let_go(struct keeper *k, int go)
{
	keeper_set(k, "pid", json_integer(k->proc.pid));
	keeper_set(
	    k, "start", json_integer((json_int_t)proc_started(k->proc.pid)));
	TESTPOINT("hook:forked");
	return keeper_write(k) == 0 ? fd_write_all(go, "go\n", 3) : -1;
}

static void
keeper_wait(struct keeper *k)
{
	k->loop = loop_new();
	loop_signal(k->loop, SIGCHLD, keeper_reap, k);
	k->limit.due = keeper_limit_due;
	(void)loop_timer(
	    k->loop, &k->limit, clock_ms() + (int64_t)k->seconds * 1000);
	TESTPOINT("hook:started");
	proc_reap(clock_ms()); /* perhaps it has ended before we listened */
	while (!k->is_over)
		loop_turn(k->loop);
	loop_free(k->loop);
}

/* How it has ended is to be known, if that is possible at all. */
static void
keeper_conclude(struct keeper *k, int has_succeeded, const char *how)
{
	const struct app *app = k->work->app;
	json_t *files =
	    hookfile_renewed(json_object_get(k->work->record, "made_of"));
	char stamp_text[17];

	log_info("hook %s: %s after %lld s",
	    json_string_value(json_object_get(k->work->record, "hook")), how,
	    (long long)(clock_ms() - k->began) / 1000);
	keeper_set(
	    k, "result", json_string(has_succeeded ? "succeeded" : "failed"));
	keeper_set(k, "why", json_string(how));
	keeper_set(k, "ended", json_integer(clock_wall().tv_sec));
	keeper_set(k, "made_of", files);
	if (has_succeeded)
		json_object_set(k->work->record, "served", files);
	else if (k->work->is_alone) {
		snprintf(stamp_text, sizeof stamp_text, "%" PRIx64,
		    stamp(app->directory));
		keeper_set(k, "directory", json_string(stamp_text));
	}
	TESTPOINT("hook:ended");
	for (int ms = 0; keeper_write(k) == -1 && ms < KEEPER_WRITE_MS;
	     ms += 1000)
		poll(NULL, 0, 1000);
	TESTPOINT("hook:written");
}

static int
keeper_main(void *arg)
{
	struct keeper keeper = { .work = arg,
		.lock = -1,
		.seconds =
		    ((struct keeper_work *)arg)->settings->hook_timeout };
	struct keeper *k = &keeper;
	struct problem why;
	char how[128];
	int go[2] = { -1, -1 };

	keeper_is_born(k);
	TESTPOINT("hook:born");
	if (keeper_lock(k) == -1 || !keeper_is_next(k) || keeper_write(k) == -1)
		return 1;
	TESTPOINT("hook:recorded");
	k->began = clock_ms();
	log_info("hook %s: %s",
	    json_string_value(json_object_get(k->work->record, "hook")),
	    k->work->command);
	if (fd_pipe(go) == -1)
		problem_sys(&why, "cannot make a pipe");
	else if (keeper_start(k, go[0], &why) == 0) {
		fd_close(&go[0]);
		(void)keeper_let_go(k, go[1]);
	}
	fd_close(&go[1]);
	if (k->proc.pid == 0) {
		keeper_conclude(k, 0, why.text);
		return 1;
	}
	keeper_wait(k);
	if (k->is_late)
		snprintf(how, sizeof how,
		    "it had not ended after %d seconds (hook_timeout)",
		    k->seconds);
	else
		proc_status_text(k->status, how, sizeof how);
	keeper_conclude(k,
	    !k->is_late && WIFEXITED(k->status) && WEXITSTATUS(k->status) == 0,
	    how);
	return 0;
}

int
keeper_begin(struct keeper_work *work, struct problem *why)
{
	int alive[2], failed;

	if (fd_pipe(alive) == -1)
		return problem_sys(why, "cannot make a pipe");
	work->alive = alive[1];
	TESTPOINT("supervisor:hook-begin");
	work->pid = proc_fork(keeper_main, work);
	failed = work->pid == -1;
	if (failed)
		problem_sys(why, "cannot fork");
	TESTPOINT("supervisor:hook-begun");
	fd_close(&alive[1]);
	if (failed)
		fd_close(&alive[0]);
	return alive[0];
}
