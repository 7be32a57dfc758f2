#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/hook.h"
#include "lib/keeper.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/procfile.h"
#include "lib/stamp.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

/* What runs, as long as its pipe is open; or, if there is none, as the file
 * says. */
struct hook_run {
	struct watch alive; /* first: known by its address */
	struct hooks *all;
	char *app;
	pid_t keeper;  /* while its pipe is open */
	int64_t until; /* clock_ms(), when it should be over */
	struct hook_run *next;
};

/* -------------------------------------------------------- what is known -- */

static struct hook_run *
hooks_find(const struct hooks *all, const char *app)
{
	struct hook_run *r = all->list;

	while (r != NULL && strcmp(r->app, app) != 0)
		r = r->next;
	return r;
}

static void
hook_run_free(struct hook_run *r)
{
	struct hook_run **link;

	for (link = &r->all->list; *link != r; link = &(*link)->next)
		continue;
	*link = r->next;
	loop_unwatch(r->all->loop, &r->alive);
	fd_close(&r->alive.fd);
	free(r->app);
	free(r);
}

static enum hook_state
hook_run_state(const struct hook_run *r, struct hookfile *f)
{
	hookfile_read(f, r->all->account, r->app);
	return f->state;
}

/* It may be over: then whoever waits for it is told. */
static void
hook_run_look(struct hook_run *r, int64_t now)
{
	struct hooks *all = r->all;
	struct hookfile f;
	int is_over = hook_run_state(r, &f) != HOOK_RUNNING;
	char *app;

	hookfile_release(&f);
	if (!is_over)
		return;
	app = xstrdup(r->app);
	hook_run_free(r);
	all->over(all, app, now);
	free(app);
}

/* Whoever kept it has gone; what it kept, perhaps not. */
static void
hook_run_ready(struct watch *w, short got, int64_t now)
{
	struct hook_run *r = (struct hook_run *)w;

	(void)got;
	loop_unwatch(r->all->loop, w);
	fd_close(&w->fd);
	hook_run_look(r, now);
}

/* It may take so many seconds more. alive is -1, or is taken. */
static void
hooks_add(struct hooks *all, const char *app, int64_t seconds, int alive,
    pid_t keeper)
{
	struct hook_run *r = hooks_find(all, app);

	if (r == NULL) {
		r = xcalloc(1, sizeof *r);
		r->all = all;
		r->app = xstrdup(app);
		r->alive = (struct watch){
			.fd = -1, .want = POLLIN, .ready = hook_run_ready
		};
		r->next = all->list;
		all->list = r;
		r->until = clock_ms() + seconds * 1000 + KEEPER_LATE_MS;
	}
	if (alive == -1)
		return;
	r->until = clock_ms() + seconds * 1000 + KEEPER_LATE_MS;
	r->keeper = keeper;
	loop_unwatch(all->loop, &r->alive);
	fd_close(&r->alive.fd);
	r->alive.fd = alive;
	if (loop_watch(all->loop, &r->alive) == -1)
		fd_close(&r->alive.fd); /* hooks_tick() looks */
}

/* How long one may run that is written down. */
static int64_t
hooks_rest(const struct hookfile *f)
{
	int64_t limit = hookfile_number(f, "limit");
	int64_t age = clock_wall().tv_sec - hookfile_number(f, "began");

	return age >= 0 && age < limit ? limit - age : 0;
}

void
hooks_init(struct hooks *all, struct loop *loop, const struct account *a)
{
	all->loop = loop;
	all->account = a;
	all->list = NULL;
}

int
hooks_count(const struct hooks *all)
{
	const struct hook_run *r;
	int n = 0;

	for (r = all->list; r != NULL; r = r->next)
		n++;
	return n;
}

void
hooks_meet(struct hooks *all, const struct app *app)
{
	struct hookfile f;

	hookfile_read(&f, all->account, app->name);
	if (f.state == HOOK_RUNNING) {
		log_info("%s: its hook %s runs", app->name,
		    hookfile_text(&f, "hook"));
		hooks_add(all, app->name, hooks_rest(&f), -1, 0);
	}
	hookfile_release(&f);
}

/* It should be over. Whoever keeps it is stuck, or was killed, and what it has
 * kept goes on. */
static void
hook_run_end(const struct hook_run *r)
{
	const struct account *a = r->all->account;
	struct hookfile f;
	struct proc p = { 0 };

	log_warn("%s: its hook has not ended, nor has whoever keeps it ended "
		 "it; both are killed",
	    r->app);
	proc_signal(r->alive.fd != -1 ? r->keeper : hookfile_holder(a, r->app),
	    SIGKILL);
	hookfile_read(&f, a, r->app);
	p.pid = (pid_t)hookfile_number(&f, "pid");
	if (strcmp(hookfile_text(&f, "result"), "running") == 0 && p.pid > 0 &&
	    proc_alive(p.pid, (uint64_t)hookfile_number(&f, "start")))
		proc_kill_group(&p, SIGKILL);
	hookfile_release(&f);
}

void
hooks_tick(struct hooks *all, int64_t now)
{
	struct hook_run *r, *next;

	for (r = all->list; r != NULL; r = next) {
		next = r->next;
		if (now >= r->until)
			hook_run_end(r);
		if (r->alive.fd == -1)
			hook_run_look(r, now);
	}
}

/* ------------------------------------------------------------- a decision --
 */

/* What one is to be run as; NULL: nothing. Both may be. */
struct hook_commands {
	char *install, *upgrade;
};

static void
hook_commands_find(struct hook_commands *c, const struct hook_need *need)
{
	const struct app_settings *s = need->settings;

	*c = (struct hook_commands){ NULL, NULL };
	if (s->hook_install == NULL && s->hook_upgrade == NULL) {
		c->install = procfile_command(need->app->directory, "release");
		if (c->install != NULL)
			c->upgrade = xstrdup(c->install);
		return;
	}
	if (s->hook_install != NULL)
		c->install = xstrdup(s->hook_install);
	if (s->hook_upgrade != NULL)
		c->upgrade = xstrdup(s->hook_upgrade);
}

/* A record that is to be, with no result. */
static json_t *
hook_record(const struct hook_need *need, const struct hookfile *f,
    struct hook_turn *turn)
{
	json_t *record, *served = json_object_get(f->all, "served");

	fd_random_hex(turn->id, sizeof turn->id / 2);
	turn->since = clock_wall().tv_sec;
	record = json_pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:o}",
	    "app", need->app->name, "hook", turn->name, "id", turn->id, "began",
	    (json_int_t)turn->since, "ended", 0, "pid", 0, "start", 0, "limit",
	    need->settings->hook_timeout, "made_of",
	    hookfile_files(need->files, served));
	if (served != NULL)
		json_object_set(record, "served", served);
	return record;
}

static void
hook_record_result(json_t *record, const char *result, const char *why)
{
	json_object_set_new(record, "result", json_string(result));
	json_object_set_new(record, "why", json_string(why));
}

/* Nothing is to be run: this generation may serve. */
static void
hook_skip(struct hooks *all, const struct hook_need *need,
    const struct hookfile *f, struct hook_turn *turn)
{
	const char *app = need->app->name;
	int lock = hookfile_lock(all->account, app);
	json_t *record = hook_record(need, f, turn);
	struct problem why;

	hook_record_result(record, "succeeded", "there is nothing to run");
	json_object_set(record, "served", json_object_get(record, "made_of"));
	if (lock == -1)
		log_warn("%s: the lock of its hooks: %s", app, strerror(errno));
	else if (hookfile_write(all->account, app, record, &why) == -1)
		log_warn("%s: %s", app, why.text);
	fd_close(&lock);
	json_decref(record);
}

static int
hook_begin(struct hooks *all, const struct hook_need *need,
    const struct hookfile *f, struct hook_turn *turn, const char *command,
    struct problem *why)
{
	struct keeper_work work = { .loop = all->loop,
		.account = all->account,
		.app = need->app,
		.settings = need->settings,
		.python = need->python,
		.log = need->log,
		.is_alone = need->is_alone,
		.command = command };
	int alive;

	snprintf(
	    turn->before, sizeof turn->before, "%s", hookfile_text(f, "id"));
	work.before = turn->before;
	work.record = hook_record(need, f, turn);
	hook_record_result(work.record, "running", "");
	alive = keeper_begin(&work, why);
	json_decref(work.record);
	if (alive == -1)
		return -1;
	log_info(
	    "%s: its hook %s runs: %s", need->app->name, turn->name, command);
	hooks_add(all, need->app->name, need->settings->hook_timeout, alive,
	    work.pid);
	return 0;
}

static enum hook_answer
hook_run(struct hooks *all, struct hook_turn *turn,
    const struct hook_need *need, const struct hookfile *f,
    const struct hook_commands *c, struct problem *why)
{
	int is_upgrade = hookfile_has_served(f) || !need->is_alone;
	const char *command = is_upgrade ? c->upgrade : c->install;

	if (need->only_looks) {
		problem_set(why, "it is to be set up before it is started");
		return HOOK_BROKEN;
	}
	snprintf(turn->name, sizeof turn->name, "%s",
	    is_upgrade ? "upgrade" : "install");
	turn->is_asked = turn->is_again = 0;
	if (command == NULL) {
		hook_skip(all, need, f, turn);
		return HOOK_GO;
	}
	if (hook_begin(all, need, f, turn, command, why) == -1)
		return HOOK_BROKEN;
	turn->has_begun = 1;
	turn->runs++;
	return HOOK_WAIT;
}

static enum hook_answer
hook_refuse(
    const struct hookfile *f, const struct hook_need *need, struct problem *why)
{
	const char *name = hookfile_text(f, "hook");

	if (f->state == HOOK_LOST)
		problem_set(why,
		    "its hook \"%s\" was killed before its end; to run it "
		    "again: mamayo restart %s",
		    name, need->app->name);
	else
		problem_set(why, "its hook \"%s\" has failed: %s", name,
		    hookfile_text(f, "why"));
	return HOOK_REFUSED;
}

/* Is it for these files that the last one has failed? What may have changed
 * while an old generation was at work does not count. */
static int
hook_has_failed(const struct hookfile *f, const struct hook_need *need)
{
	const char *was = hookfile_text(f, "directory");

	return (f->state == HOOK_FAILED || f->state == HOOK_LOST) &&
	       hookfile_is_same(f, "made_of") &&
	       (*was == '\0' || !need->is_alone ||
		   strtoull(was, NULL, 16) == stamp(need->app->directory));
}

static enum hook_answer
hook_decide(struct hooks *all, struct hook_turn *turn,
    const struct hook_need *need, const struct hookfile *f,
    const struct hook_commands *c, struct problem *why)
{
	int has_begun = turn->has_begun;
	const char *last = hookfile_text(f, "id");

	if (f->state == HOOK_RUNNING) {
		hooks_add(all, need->app->name, hooks_rest(f), -1, 0);
		snprintf(turn->name, sizeof turn->name, "%s",
		    hookfile_text(f, "hook"));
		turn->since = hookfile_number(f, "began");
		return HOOK_WAIT;
	}
	turn->has_begun = 0;
	if (has_begun && strcmp(last, turn->before) == 0) {
		problem_set(why, "its hook could not be begun; its log says "
				 "why");
		return HOOK_BROKEN;
	}
	if (strcmp(last, turn->id) != 0)
		has_begun = 0; /* another one has come first */
	if (has_begun && f->state != HOOK_SUCCEEDED)
		return hook_refuse(f, need, why);
	if ((has_begun && turn->runs >= HOOK_RUNS) ||
	    (!turn->is_asked && hookfile_is_same(f, "served"))) {
		snprintf(turn->id, sizeof turn->id, "%s", last);
		return HOOK_GO;
	}
	if (!turn->is_asked && !turn->is_again && hook_has_failed(f, need))
		return hook_refuse(f, need, why);
	return hook_run(all, turn, need, f, c, why);
}

enum hook_answer
hooks_ask(struct hooks *all, struct hook_turn *turn,
    const struct hook_need *need, struct problem *why)
{
	struct hook_commands c;
	struct hookfile f;
	enum hook_answer answer = HOOK_NONE;

	hook_commands_find(&c, need);
	if (c.install != NULL || c.upgrade != NULL) {
		hookfile_read(&f, all->account, need->app->name);
		answer = hook_decide(all, turn, need, &f, &c, why);
		hookfile_release(&f);
	}
	if (answer == HOOK_NONE)
		turn->id[0] = '\0';
	if (answer != HOOK_WAIT)
		turn->name[0] = '\0';
	if (answer == HOOK_GO || answer == HOOK_NONE)
		turn->runs = turn->is_asked = turn->is_again = 0;
	free(c.install);
	free(c.upgrade);
	return answer;
}

json_t *
hook_describe(const struct hook_turn *turn)
{
	return json_pack("{s:s, s:I}", "name", turn->name, "since",
	    (json_int_t)(turn->name[0] != '\0' ? turn->since : 0));
}

/* -------------------------------------------------------- what is noted -- */

void
hooks_note(struct hooks *all, const struct app *app, const char *id,
    const struct changes *files)
{
	int lock = hookfile_lock(all->account, app->name);
	struct hookfile f;
	struct problem why;

	if (lock == -1)
		return; /* one runs, for the next generation */
	hookfile_read(&f, all->account, app->name);
	if (f.state == HOOK_SUCCEEDED &&
	    strcmp(hookfile_text(&f, "id"), id) == 0) {
		json_object_set_new(
		    f.all, "served", hookfile_files(files, NULL));
		if (hookfile_write(all->account, app->name, f.all, &why) == -1)
			log_warn("%s: %s", app->name, why.text);
	}
	hookfile_release(&f);
	fd_close(&lock);
}

int
hook_forgive(const struct account *a, const char *app, struct problem *why)
{
	struct hookfile f;
	int lock, result = 0;

	hookfile_read(&f, a, app);
	if (f.state == HOOK_FAILED || f.state == HOOK_LOST) {
		lock = hookfile_lock(a, app);
		json_object_del(f.all, "made_of");
		json_object_del(f.all, "result");
		if (lock == -1)
			result = problem_sys(why, "%s/hooks", a->run);
		else
			result =
			    hookfile_write(a, app, f.all, why) == -1 ? -1 : 1;
		fd_close(&lock);
	}
	hookfile_release(&f);
	return result;
}
