#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/adapters.h"
#include "lib/backoff.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/forkserver.h"
#include "lib/link.h"
#include "lib/log.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

#define FORKSERVER_BOOT                                                     \
	"import sys; sys.path.insert(0, sys.argv[1]); import mamayo_fork; " \
	"mamayo_fork.serve(); import mamayo_wsgi; mamayo_wsgi.main()"
#define FORKSERVER_TAUGHT_MOST 49152 /* bytes of names to be learnt */
#define FORKSERVER_KEY         17

struct forkserver {
	struct proc proc; /* first: its end comes by its address */
	struct forkservers *all;
	struct watch control;
	struct timer deadline; /* of its state */
	struct timer lesson;   /* when it is to be taught */
	enum forkserver_state state;
	pid_t pid; /* stays when the process has gone */
	char key[FORKSERVER_KEY];
	char *app;               /* whose it is alone; NULL: shared */
	char *directory, *entry; /* of that app */
	char *python, **env;
	int log;          /* of that app; -1: none */
	dev_t log_device; /* what the process writes to */
	ino_t log_inode;
	uint64_t stamp;  /* of that app's files when it was started */
	json_t *library; /* [[path, mtime]] as of its start */
	char *to_learn;
	int modules;
	int is_useless;    /* that interpreter cannot be one */
	int is_slow;       /* an order was given up while it started */
	int is_over;       /* another one is in its place */
	unsigned failures; /* in a row */
	int64_t retry_at;  /* clock_ms(); 0: at once */
	int64_t started, ready, used; /* clock_ms(); ready 0: never was */
	int64_t idle;                 /* ms */
	struct fork_order *orders;    /* not answered, and workers that live */
	struct forkserver *next;
};

/* ------------------------------------------------------- its life: a table --
 */

static const enum forkserver_state
    next_state[FORKSERVER_NSTATES][FORKSERVER_NEVENTS] = {
	[FORKSERVER_AWAY] = {
		[FORKSERVER_STARTED] = FORKSERVER_STARTING,
	},
	[FORKSERVER_STARTING] = {
		[FORKSERVER_SAID_READY] = FORKSERVER_READY,
		[FORKSERVER_ASKED] = FORKSERVER_LEAVING,
		[FORKSERVER_LATE] = FORKSERVER_STUCK,
		[FORKSERVER_GONE] = FORKSERVER_AWAY,
	},
	[FORKSERVER_READY] = {
		[FORKSERVER_SAID_READY] = FORKSERVER_READY,
		[FORKSERVER_TAUGHT] = FORKSERVER_LEARNING,
		[FORKSERVER_ASKED] = FORKSERVER_LEAVING,
		[FORKSERVER_LATE] = FORKSERVER_STUCK, /* with an order */
		[FORKSERVER_GONE] = FORKSERVER_AWAY,
	},
	[FORKSERVER_LEARNING] = {
		[FORKSERVER_SAID_READY] = FORKSERVER_READY,
		[FORKSERVER_ASKED] = FORKSERVER_LEAVING,
		[FORKSERVER_LATE] = FORKSERVER_STUCK,
		[FORKSERVER_GONE] = FORKSERVER_AWAY,
	},
	[FORKSERVER_LEAVING] = {
		[FORKSERVER_SAID_READY] = FORKSERVER_LEAVING,
		[FORKSERVER_ASKED] = FORKSERVER_LEAVING,
		[FORKSERVER_LATE] = FORKSERVER_KILLED,
		[FORKSERVER_GONE] = FORKSERVER_AWAY,
	},
	[FORKSERVER_STUCK] = {
		[FORKSERVER_SAID_READY] = FORKSERVER_STUCK,
		[FORKSERVER_ASKED] = FORKSERVER_STUCK,
		[FORKSERVER_LATE] = FORKSERVER_KILLED,
		[FORKSERVER_GONE] = FORKSERVER_AWAY,
	},
	[FORKSERVER_KILLED] = {
		[FORKSERVER_SAID_READY] = FORKSERVER_KILLED,
		[FORKSERVER_ASKED] = FORKSERVER_KILLED,
		[FORKSERVER_LATE] = FORKSERVER_KILLED,
		[FORKSERVER_GONE] = FORKSERVER_AWAY,
	},
};

static const char *const state_names[FORKSERVER_NSTATES] = {
	[FORKSERVER_NOWHERE] = "nowhere",
	[FORKSERVER_AWAY] = "away",
	[FORKSERVER_STARTING] = "starting",
	[FORKSERVER_READY] = "ready",
	[FORKSERVER_LEARNING] = "learning",
	[FORKSERVER_LEAVING] = "leaving",
	[FORKSERVER_STUCK] = "stuck",
	[FORKSERVER_KILLED] = "killed",
};

enum forkserver_state
forkserver_next(enum forkserver_state state, enum forkserver_event event)
{
	return next_state[state][event];
}

const char *
forkserver_state_name(enum forkserver_state state)
{
	return state_names[state];
}

/* ------------------------------------------------------------------ orders --
 */

static void
order_unlink(struct fork_order *o)
{
	if (o->link == NULL)
		return;
	if ((*o->link = o->next) != NULL)
		o->next->link = o->link;
	o->next = NULL;
	o->link = NULL;
}

static void
order_link(struct fork_order *o, struct fork_order **list)
{
	o->link = list;
	if ((o->next = *list) != NULL)
		o->next->link = &o->next;
	*list = o;
}

static struct fork_order *
forkserver_order_of(struct forkserver *f, json_int_t id)
{
	struct fork_order *o;

	for (o = f->orders; o != NULL; o = o->next)
		if (o->id == id)
			return o;
	return NULL;
}

static int
forkserver_waiting(const struct forkserver *f)
{
	const struct fork_order *o;
	int n = 0;

	for (o = f->orders; o != NULL; o = o->next)
		n += o->is_waiting;
	return n;
}

static int
forkserver_workers(const struct forkserver *f)
{
	const struct fork_order *o;
	int n = 0;

	for (o = f->orders; o != NULL; o = o->next)
		n += !o->is_waiting;
	return n;
}

/* ---------------------------------------------------------------- its life --
 */

static int64_t
forkserver_patience(const struct forkserver *f, enum forkserver_state state)
{
	switch (state) {
	case FORKSERVER_STARTING:
		/* the start_timeout of an app counts from the first order */
		return f->app == NULL ? FORKSERVER_IMPORT_MS : 0;
	case FORKSERVER_LEARNING:
		return FORKSERVER_IMPORT_MS;
	case FORKSERVER_LEAVING:
		return f->orders == NULL ? FORKSERVER_END_MS : 0;
	case FORKSERVER_STUCK:
		return FORKSERVER_DUMP_MS;
	case FORKSERVER_KILLED:
		return FORKSERVER_END_MS;
	case FORKSERVER_NOWHERE:
	case FORKSERVER_AWAY:
	case FORKSERVER_READY:
	case FORKSERVER_NSTATES:
		break;
	}
	return 0;
}

static void
forkserver_act(struct forkserver *f, enum forkserver_state then)
{
	if (then == FORKSERVER_LEAVING)
		(void)link_send(f->control.fd,
		    json_pack("{s:s}", "type", "leave"), NULL, 0);
	else if (then == FORKSERVER_STUCK) {
		log_warn("fork server %ld does not answer; it is ended",
		    (long)f->pid);
		proc_kill(&f->proc, SIGABRT); /* faulthandler writes stacks */
	} else if (then == FORKSERVER_KILLED)
		proc_kill_group(&f->proc, SIGKILL);
}

/* The one place where a fork server changes state. */
static void
forkserver_feed(struct forkserver *f, enum forkserver_event event, int64_t now)
{
	enum forkserver_state was = f->state,
			      then = forkserver_next(was, event);
	int64_t patience;

	if (then == FORKSERVER_NOWHERE)
		then = FORKSERVER_KILLED; /* it says what cannot be */
	if (then != was || then == FORKSERVER_KILLED)
		forkserver_act(f, then);
	f->state = then;
	if (then == FORKSERVER_READY && f->ready == 0)
		f->ready = now;
	patience = forkserver_patience(f, then);
	if (patience != 0 && (then != was || event == FORKSERVER_LATE))
		(void)loop_timer(f->all->loop, &f->deadline, now + patience);
	else if (then != was)
		loop_cancel(f->all->loop, &f->deadline);
}

static void
forkserver_free(struct forkserver *f)
{
	struct forkserver **link;

	for (link = &f->all->list; *link != f; link = &(*link)->next)
		continue;
	*link = f->next;
	loop_cancel(f->all->loop, &f->lesson);
	loop_cancel(f->all->loop, &f->deadline);
	xstrvfree(f->env);
	fd_close(&f->log);
	json_decref(f->library);
	free(f->to_learn);
	free(f->app);
	free(f->directory);
	free(f->entry);
	free(f->python);
	free(f);
}

/* Those who wait for an answer get it: start it yourself. */
static void
orders_refuse(struct fork_order **list, const char *why, int64_t now)
{
	struct fork_order *o;

	while ((o = *list) != NULL) {
		order_unlink(o);
		o->answered(o, -1, why, now); /* may free o */
	}
}

/* Takes the waiting orders, or all, out of its list. */
static void
forkserver_take_orders(struct forkserver *f, struct fork_order **waiting)
{
	struct fork_order *o, *next;

	*waiting = NULL;
	for (o = f->orders; o != NULL; o = next) {
		next = o->next;
		if (!o->is_waiting)
			continue;
		loop_cancel(f->all->loop, &o->limit);
		order_unlink(o);
		o->is_waiting = 0;
		o->from = NULL;
		order_link(o, waiting);
	}
}

static void
forkserver_refuse_all(struct forkserver *f, const char *why, int64_t now)
{
	struct fork_order *waiting;

	forkserver_take_orders(f, &waiting);
	orders_refuse(&waiting, why, now);
}

/* It is not to be tried for a while. */
static void
forkserver_fail(struct forkserver *f, int64_t ready_ms, int64_t now)
{
	uint32_t random;

	fd_random(&random, sizeof random);
	f->failures++;
	f->retry_at = now + backoff_ms(f->failures, ready_ms, random);
}

/* ------------------------------------------------------------ what it says --
 */

static struct forkserver *
forkserver_new(struct forkservers *all, const char *key)
{
	struct forkserver *f = xcalloc(1, sizeof *f);

	f->all = all;
	f->state = FORKSERVER_AWAY;
	f->log = f->control.fd = -1;
	snprintf(f->key, sizeof f->key, "%s", key);
	f->next = all->list;
	all->list = f;
	return f;
}

static void
forkserver_lesson_at(struct forkserver *f, int64_t at)
{
	if (f->to_learn != NULL && f->lesson.place == 0)
		(void)loop_timer(f->all->loop, &f->lesson, at);
}

static void forkserver_lesson_due(struct timer *, int64_t);
static void forkserver_hear(struct watch *, short, int64_t);
static void forkserver_ended(struct proc *, int, int64_t);

/* Another one in its place; this one leaves, or is ended. */
static struct forkserver *
forkserver_replace(
    struct forkserver *f, enum forkserver_event event, int64_t now)
{
	struct forkserver *new = forkserver_new(f->all, f->key);

	new->python = xstrdup(f->python);
	new->env = xstrvdup((const char *const *)f->env);
	new->to_learn = f->to_learn;
	f->to_learn = NULL;
	new->idle = f->idle;
	new->used = now;
	new->lesson.due = forkserver_lesson_due;
	new->failures = f->failures;
	new->retry_at = f->retry_at;
	f->is_over = 1;
	forkserver_feed(f, event, now);
	forkserver_refuse_all(f, "it is being replaced", now);
	return new;
}

/* It does not come to an end with what its state is about. */
static void
forkserver_due(struct timer *t, int64_t now)
{
	struct forkserver *f =
	    (struct forkserver *)((char *)t -
				  offsetof(struct forkserver, deadline));

	if (f->is_over || f->app != NULL || f->state == FORKSERVER_LEAVING) {
		forkserver_feed(f, FORKSERVER_LATE, now);
		return;
	}
	forkserver_fail(f, -1, now);
	(void)forkserver_replace(f, FORKSERVER_LATE, now);
}

/* It has found something in itself that no worker should have. */
static void
forkserver_take_replace(
    struct forkserver *f, const json_t *message, int64_t now)
{
	struct forkserver *new;

	log_info("fork server %ld is replaced: %s", (long)f->pid,
	    link_string(message, "text"));
	forkserver_fail(f, -1, now);
	new = forkserver_replace(f, FORKSERVER_ASKED, now);
	if (new->to_learn == NULL)
		new->to_learn = xstrdup("");
	forkserver_lesson_at(new, new->retry_at);
}

static void
forkserver_take_ready(struct forkserver *f, const json_t *message, int64_t now)
{
	f->is_slow = 0;
	f->modules = (int)link_int(message, "modules");
	json_decref(f->library);
	f->library = json_incref(json_object_get(message, "library"));
	if (f->app != NULL)
		log_info("fork server %ld has imported %s in %lld ms",
		    (long)f->pid, f->app, (long long)(now - f->started));
	else if (f->state == FORKSERVER_LEARNING)
		log_info("fork server %ld has learnt: it has %d modules now",
		    (long)f->pid, f->modules);
	else
		log_info("fork server %ld is ready after %lld ms, with %d "
			 "modules",
		    (long)f->pid, (long long)(now - f->started), f->modules);
	forkserver_feed(f, FORKSERVER_SAID_READY, now);
	forkserver_lesson_at(f, now + FORKSERVER_LEARN_MS);
}

static void
forkserver_take_forked(
    struct forkserver *f, const json_t *message, int *pidfd, int64_t now)
{
	struct fork_order *o = forkserver_order_of(f, link_int(message, "id"));
	int fd = *pidfd;

	if (o == NULL || !o->is_waiting || fd == -1)
		return; /* nobody wants it any more, and it finds that out */
	*pidfd = -1;
	o->is_waiting = 0;
	f->used = now;
	f->failures = 0;
	loop_cancel(f->all->loop, &o->limit);
	o->answered(o, fd, NULL, now); /* may free o */
}

static void
forkserver_take_refused(
    struct forkserver *f, const json_t *message, int64_t now)
{
	struct fork_order *o = forkserver_order_of(f, link_int(message, "id"));

	if (o == NULL || !o->is_waiting)
		return;
	log_info(
	    "fork server %ld: %s", (long)f->pid, link_string(message, "text"));
	loop_cancel(f->all->loop, &o->limit);
	order_unlink(o);
	o->is_waiting = 0;
	o->from = NULL;
	o->answered(o, -1, link_string(message, "text"), now);
}

static void
forkserver_take_ended(struct forkserver *f, const json_t *message, int64_t now)
{
	struct fork_order *o = forkserver_order_of(f, link_int(message, "id"));

	if (o != NULL && !o->is_waiting)
		proc_told(o->proc, (int)link_int(message, "status"), now);
}

static void
forkserver_take(
    struct forkserver *f, const json_t *message, int *pidfd, int64_t now)
{
	const char *type = link_string(message, "type");

	if (strcmp(type, "ready") == 0)
		forkserver_take_ready(f, message, now);
	else if (strcmp(type, "forked") == 0)
		forkserver_take_forked(f, message, pidfd, now);
	else if (strcmp(type, "refused") == 0)
		forkserver_take_refused(f, message, now);
	else if (strcmp(type, "ended") == 0)
		forkserver_take_ended(f, message, now);
	else if (strcmp(type, "last") == 0)
		forkserver_feed(f, FORKSERVER_ASKED, now);
	else if (strcmp(type, "replace") == 0)
		forkserver_take_replace(f, message, now);
	else if (strcmp(type, "useless") == 0) {
		log_info("%s has no fork server: %s", f->python,
		    link_string(message, "text"));
		f->is_useless = 1;
	}
}

/* Takes one message. Returns 0 when there is nothing more to take now. */
static int
forkserver_take_one(struct forkserver *f, int64_t now)
{
	json_t *message;
	size_t nfds = 1;
	int pidfd = -1, got;

	if (f->control.fd == -1)
		return 0;
	got = link_recv(f->control.fd, &message, &pidfd, &nfds);
	if (got == -1) {
		loop_unwatch(f->all->loop, &f->control);
		fd_close(&f->control.fd);
		/* it is ending, or does not speak our language */
		proc_kill_group(&f->proc, SIGKILL);
	}
	if (got != 1)
		return 0;
	if (nfds == 0)
		pidfd = -1;
	forkserver_take(f, message, &pidfd, now);
	fd_close(&pidfd);
	json_decref(message);
	return 1;
}

static void
forkserver_hear(struct watch *w, short got, int64_t now)
{
	struct forkserver *f =
	    (struct forkserver *)((char *)w -
				  offsetof(struct forkserver, control));

	(void)got;
	while (forkserver_take_one(f, now))
		continue;
}

/* All it ever said is heard; its workers go on without it. */
static void
forkserver_ended(struct proc *p, int status, int64_t now)
{
	struct forkserver *f = (struct forkserver *)p;
	struct forkservers *all = f->all;
	struct fork_order *waiting, *o;
	char how[128];
	int was_asked;

	while (forkserver_take_one(f, now))
		continue;
	was_asked = f->state == FORKSERVER_LEAVING || f->is_over;
	if (f->state == FORKSERVER_LEAVING || f->is_useless)
		log_info("fork server %ld has left", (long)f->pid);
	else {
		log_warn("fork server %ld ended: %s", (long)f->pid,
		    proc_status_text(status, how, sizeof how));
		forkserver_fail(f, f->ready != 0 ? now - f->ready : -1, now);
	}
	loop_unwatch(all->loop, &f->control);
	fd_close(&f->control.fd);
	forkserver_feed(f, FORKSERVER_GONE, now);
	forkserver_take_orders(f, &waiting);
	while ((o = f->orders) != NULL) {
		order_unlink(o);
		o->from = NULL;
	}
	if (was_asked)
		forkserver_free(f);
	if (forkservers_count(all) == 0)
		all->empty(all, now);
	orders_refuse(&waiting, "the fork server has ended", now);
}

/* ---------------------------------------------------------------- starting --
 */

static char *
forkserver_memory(const struct forkserver *f)
{
	return xprintf("%s/preload/%s.json", f->all->account->run, f->key);
}

static int
forkserver_remembers(const struct forkserver *f)
{
	char *path = forkserver_memory(f);
	int is_there = access(path, F_OK) == 0;

	free(path);
	return is_there;
}

/* What is printed while modules are imported goes to our log, what an app
 * prints to its own. */
static int
forkserver_log(const struct forkserver *f)
{
	if (f->app != NULL)
		return fcntl(f->log, F_DUPFD_CLOEXEC, 3);
	return open(f->all->account->log,
	    O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static void
forkserver_note_log(struct forkserver *f, int log)
{
	struct stat st;

	if (fstat(log, &st) == 0) {
		f->log_device = st.st_dev;
		f->log_inode = st.st_ino;
	}
}

static char *
forkserver_log_path(const struct forkserver *f)
{
	char *name, *path;

	if (f->app == NULL)
		return xstrdup(f->all->account->log);
	name = app_log_name(f->app);
	path = xprintf("%s/%s", f->all->account->logs, name);
	free(name);
	return path;
}

/* Its log has been renamed or removed, and there is another one. */
static void
forkserver_follow_log(struct forkserver *f)
{
	char *path = forkserver_log_path(f);
	struct stat st;
	int log = -1;

	if (f->state == FORKSERVER_READY && lstat(path, &st) == 0 &&
	    (st.st_dev != f->log_device || st.st_ino != f->log_inode))
		log = open(path,
		    O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (log != -1 && link_send(f->control.fd,
			     json_pack("{s:s, s:I, s:I}", "type", "log",
				 "device", (json_int_t)f->log_device, "inode",
				 (json_int_t)f->log_inode),
			     &log, 1) == 0)
		forkserver_note_log(f, log);
	fd_close(&log);
	free(path);
}

static int
forkserver_spawn(struct forkserver *f, const char *place, int log, int control,
    struct problem *why)
{
	char *memory = forkserver_memory(f);
	char *option = xprintf("memory=%s", memory);
	char *directory = xprintf("%s/preload", f->all->account->run);
	char *entry = f->entry != NULL ? xprintf("entry=%s", f->entry) : NULL;
	const char *argv[] = { f->python, "-c", FORKSERVER_BOOT, place,
		f->app != NULL ? f->app : f->key,
		f->app != NULL ? "preload=app" : "preload=framework", option,
		entry, NULL };
	struct proc_spec spec = { .path = f->python,
		.argv = argv,
		.env = (const char *const *)f->env,
		.directory = f->app != NULL ? f->directory : directory,
		.fd = { -1, log, log, control, -1, -1 },
		.umask = 022 };
	int result = proc_start(&f->proc, &spec, why);

	free(entry);
	free(directory);
	free(option);
	free(memory);
	return result;
}

static int
forkserver_try_start(struct forkserver *f, struct problem *why)
{
	char *place = adapters_unpack(f->all->account->run, why);
	int pair[2] = { -1, -1 }, log = -1, result = -1;

	if (place == NULL)
		return -1;
	if ((log = forkserver_log(f)) == -1)
		problem_sys(why, "cannot open its log");
	else if (fd_pair_seqpacket(pair) == -1)
		problem_sys(why, "socketpair");
	else {
		f->control = (struct watch){
			.fd = pair[0], .want = POLLIN, .ready = forkserver_hear
		};
		f->deadline.due = forkserver_due;
		f->lesson.due = forkserver_lesson_due;
		f->proc.ended = forkserver_ended;
		if (loop_watch(f->all->loop, &f->control) == -1)
			problem_sys(why, "cannot watch it");
		else
			result = forkserver_spawn(f, place, log, pair[1], why);
		forkserver_note_log(f, log);
		if (result == -1) {
			loop_unwatch(f->all->loop, &f->control);
			f->control.fd = -1;
		} else
			pair[0] = -1;
	}
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd_close(&log);
	free(place);
	return result;
}

/* 0, or -1 if it cannot be started now. */
static int
forkserver_start(struct forkserver *f, int64_t now)
{
	struct problem why;

	if (f->is_useless || now < f->retry_at)
		return -1;
	TESTPOINT("supervisor:forkserver");
	if (forkserver_try_start(f, &why) == -1) {
		log_warn("no fork server for %s: %s", f->python, why.text);
		forkserver_fail(f, -1, now);
		return -1;
	}
	f->pid = f->proc.pid;
	f->started = f->used = now;
	f->ready = f->is_slow = 0;
	forkserver_feed(f, FORKSERVER_STARTED, now);
	log_info("fork server %ld starts with %s%s%s", (long)f->pid, f->python,
	    f->app != NULL ? " for " : "", f->app != NULL ? f->app : "");
	return 0;
}

/* ---------------------------------------------------------------- learning --
 */

static void
forkserver_lesson_due(struct timer *t, int64_t now)
{
	struct forkserver *f =
	    (struct forkserver *)((char *)t -
				  offsetof(struct forkserver, lesson));

	if (f->to_learn == NULL)
		return;
	if (f->state == FORKSERVER_AWAY) {
		/* with what it remembers; the rest once it is ready */
		if (forkserver_start(f, now) == -1 && !f->is_useless)
			forkserver_lesson_at(f, f->retry_at);
		return;
	}
	if (f->state != FORKSERVER_READY)
		return; /* it says when it is */
	if (forkserver_waiting(f) > 0) {
		forkserver_lesson_at(f, now + FORKSERVER_LEARN_MS);
		return;
	}
	if (f->to_learn[0] != '\0' && link_send(f->control.fd,
					  json_pack("{s:s, s:s}", "type",
					      "learn", "modules", f->to_learn),
					  NULL, 0) == 0) {
		f->used = now;
		forkserver_feed(f, FORKSERVER_TAUGHT, now);
	}
	free(f->to_learn);
	f->to_learn = NULL;
}

static struct forkserver *
forkservers_by_key(struct forkservers *all, const char *key)
{
	struct forkserver *f;

	for (f = all->list; f != NULL; f = f->next)
		if (strcmp(f->key, key) == 0 && !f->is_over &&
		    f->state != FORKSERVER_LEAVING &&
		    f->state != FORKSERVER_KILLED &&
		    f->state != FORKSERVER_STUCK)
			return f;
	return NULL;
}

void
forkservers_learn(
    struct forkservers *all, const char *key, const char *modules, int64_t now)
{
	struct forkserver *f = forkservers_by_key(all, key);
	char *both;

	if (f == NULL || f->app != NULL || f->is_useless || all->are_closing ||
	    *modules == '\0')
		return;
	if (f->to_learn == NULL)
		f->to_learn = xstrdup(modules);
	else if (strlen(f->to_learn) + strlen(modules) <
		 FORKSERVER_TAUGHT_MOST) {
		both = xprintf("%s %s", f->to_learn, modules);
		free(f->to_learn);
		f->to_learn = both;
	} /* else: with a later start */
	f->lesson.due = forkserver_lesson_due;
	forkserver_lesson_at(f, now + FORKSERVER_LEARN_MS);
}

/* ------------------------------------------------------------- which of them
 * -- */

void
forkservers_init(
    struct forkservers *all, struct loop *loop, struct account *account)
{
	all->loop = loop;
	all->account = account;
	all->list = NULL;
	all->last_id = 0;
	all->are_possible = proc_can_adopt();
}

void
forkservers_release(struct forkservers *all)
{
	while (all->list != NULL) {
		assert(all->list->state == FORKSERVER_AWAY);
		forkserver_free(all->list);
	}
}

/* What a process has taken in before any fork, so that it would be another's:
 * a shared fork server is not for an app that sets one of these. */
static int
is_apart(const char *line)
{
	static const char *const families[] = { "PYTHON", "LC_",
		"LANG=", "LANGUAGE=", "TZ=", "LD_" };

	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
		if (strncmp(line, families[i], strlen(families[i])) == 0)
			return 1;
	return 0;
}

static const char *
need_mode(const struct fork_need *need)
{
	const char *mode = need->settings->preload;
	char **line;

	if (mode != NULL && strcmp(mode, "framework") != 0)
		return mode;
	for (line = need->settings->env; line != NULL && *line != NULL; line++)
		if (is_apart(*line))
			return "none";
	return "framework";
}

/* FNV-1a, 64 bits, of texts with their ends. */
static uint64_t
hash_text(uint64_t h, const char *text)
{
	do
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	while (*text++ != '\0');
	return h;
}

static void
need_key(const struct fork_need *need, int is_app, char key[FORKSERVER_KEY])
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	const char *virtual_env = need->python->virtual_env;

	h = hash_text(h, need->python->path);
	h = hash_text(h, virtual_env != NULL ? virtual_env : "");
	for (char *const *line = need->env; *line != NULL; line++)
		h = hash_text(h, *line);
	if (is_app) {
		h = hash_text(h, need->app->name);
		h = hash_text(h, need->app->directory);
		h = hash_text(h,
		    need->settings->entry != NULL ? need->settings->entry : "");
	}
	snprintf(key, FORKSERVER_KEY, "%016llx", (unsigned long long)h);
}

/* Has a library of its interpreter changed? */
static int
forkserver_is_old(const struct forkserver *f)
{
	json_t *mark;
	json_int_t then;
	struct stat st;
	size_t i;

	json_array_foreach(f->library, i, mark)
	{
		const char *path = json_string_value(json_array_get(mark, 0));

		then = json_integer_value(json_array_get(mark, 1));
		if (path == NULL)
			continue;
		if (stat(path, &st) == -1)
			memset(&st, 0, sizeof st);
		if (then != (json_int_t)st.st_mtim.tv_sec * 1000000000 +
				st.st_mtim.tv_nsec)
			return 1;
	}
	return 0;
}

/* A fork server of this app alone that is not the one with that key leaves. */
static void
forkservers_drop_app(
    struct forkservers *all, const char *app, const char *key, int64_t now)
{
	struct forkserver *f, *next;

	for (f = all->list; f != NULL; f = next) {
		next = f->next;
		if (f->app == NULL || (app != NULL && strcmp(f->app, app)) ||
		    (key != NULL && strcmp(f->key, key) == 0))
			continue;
		if (f->state == FORKSERVER_AWAY)
			forkserver_free(f);
		else
			forkserver_feed(f, FORKSERVER_ASKED, now);
	}
}

static struct forkserver *
forkservers_make(
    struct forkservers *all, const struct fork_need *need, const char *key)
{
	struct forkserver *f = forkserver_new(all, key);

	f->python = xstrdup(need->python->path);
	f->env = xstrvdup((const char *const *)need->env);
	return f;
}

/* What it needs to know of its app, which may have changed. */
static void
forkserver_set_app(struct forkserver *f, const struct fork_need *need)
{
	free(f->app);
	free(f->directory);
	free(f->entry);
	fd_close(&f->log);
	f->app = xstrdup(need->app->name);
	f->directory = xstrdup(need->app->directory);
	f->entry = need->settings->entry != NULL
		       ? xstrdup(need->settings->entry)
		       : NULL;
	f->log = fcntl(need->log, F_DUPFD_CLOEXEC, 3);
	f->stamp = need->stamp;
}

struct forkserver *
forkservers_find(
    struct forkservers *all, const struct fork_need *need, int64_t now)
{
	const char *mode = need_mode(need);
	int is_app = strcmp(mode, "app") == 0, is_changed = 0;
	char key[FORKSERVER_KEY];
	struct forkserver *f;

	if (!all->are_possible || all->are_closing)
		return NULL;
	need_key(need, is_app, key);
	forkservers_drop_app(all, need->app->name, key, now);
	if (strcmp(mode, "none") == 0)
		return NULL;
	f = forkservers_by_key(all, key);
	if (f == NULL)
		f = forkservers_make(all, need, key);
	f->used = now;
	if (f->state != FORKSERVER_AWAY)
		is_changed =
		    is_app ? f->stamp != need->stamp : forkserver_is_old(f);
	if (is_changed) {
		log_info("fork server %ld is replaced: %s has changed",
		    (long)f->pid, is_app ? f->app : "the library");
		f = forkserver_replace(f, FORKSERVER_ASKED, now);
	}
	if (is_app && f->state == FORKSERVER_AWAY)
		forkserver_set_app(f, need);
	if ((int64_t)need->settings->idle * 1000 * FORKSERVER_IDLE > f->idle)
		f->idle =
		    (int64_t)need->settings->idle * 1000 * FORKSERVER_IDLE;
	return f->is_useless ? NULL : f;
}

const char *
forkserver_key(const struct forkserver *f)
{
	return f->app != NULL ? "" : f->key;
}

/* ---------------------------------------------------------------- ordering --
 */

/* No answer in time: whoever ordered goes on without. */
static void
order_due(struct timer *t, int64_t now)
{
	struct fork_order *o =
	    (struct fork_order *)((char *)t -
				  offsetof(struct fork_order, limit));
	struct forkserver *f = o->from;

	order_unlink(o);
	o->is_waiting = 0;
	o->from = NULL;
	f->is_slow = 1;
	if (f->state == FORKSERVER_READY && !f->is_over) {
		forkserver_fail(f, -1, now);
		(void)forkserver_replace(f, FORKSERVER_LATE, now);
	}
	o->answered(o, -1, "the fork server does not answer", now);
}

static int
forkserver_takes_orders(struct forkserver *f, int64_t now)
{
	if (f->state == FORKSERVER_AWAY &&
	    (f->app != NULL || forkserver_remembers(f)))
		(void)forkserver_start(f, now);
	return (f->state == FORKSERVER_STARTING && !f->is_slow) ||
	       f->state == FORKSERVER_READY;
}

static json_t *
order_message(const struct fork_order *o, const struct proc_spec *spec)
{
	json_t *argv = json_array();

	for (size_t i = 0; spec->argv[i] != NULL; i++)
		json_array_append_new(argv, json_string(spec->argv[i]));
	return json_pack("{s:s, s:I, s:s, s:i, s:o}", "type", "fork", "id",
	    o->id, "directory", spec->directory, "umask", (int)spec->umask,
	    "argv", argv);
}

int
forkserver_order(struct forkserver *f, struct fork_order *o,
    const struct proc_spec *spec, int64_t now)
{
	const int fds[] = { spec->fd[1], spec->fd[3], spec->fd[4],
		spec->fd[5] };
	int64_t limit = f->state == FORKSERVER_READY ? FORKSERVER_ANSWER_MS
						     : FORKSERVER_START_MS;

	if (!forkserver_takes_orders(f, now))
		return -1;
	o->id = ++f->all->last_id;
	o->limit.due = order_due;
	if (f->app == NULL &&
	    loop_timer(f->all->loop, &o->limit, now + limit) == -1)
		return -1;
	if (TESTPOINT_FAILS("supervisor:order") ||
	    link_send(f->control.fd, order_message(o, spec), fds, 4) == -1) {
		loop_cancel(f->all->loop, &o->limit);
		return -1;
	}
	TESTPOINT("supervisor:ordered");
	o->from = f;
	o->is_waiting = 1;
	f->used = now;
	order_link(o, &f->orders);
	return 0;
}

void
forkserver_forget(struct fork_order *o, int64_t now)
{
	struct forkserver *f = o->from;

	order_unlink(o);
	o->is_waiting = 0;
	o->from = NULL;
	if (f == NULL)
		return;
	loop_cancel(f->all->loop, &o->limit);
	f->used = now;
	if (f->state == FORKSERVER_LEAVING && f->orders == NULL)
		(void)loop_timer(
		    f->all->loop, &f->deadline, now + FORKSERVER_END_MS);
}

void
forkserver_too_late(struct fork_order *o, int64_t now)
{
	struct forkserver *f = o->from;

	forkserver_forget(o, now);
	if (f == NULL || f->app == NULL)
		return;
	f->is_over = 1;
	forkserver_feed(f, FORKSERVER_LATE, now); /* it hangs there */
}

/* ----------------------------------------------------------------- leaving --
 */

void
forkservers_leave(struct forkservers *all, const char *app, int64_t now)
{
	struct forkserver *f;

	forkservers_drop_app(all, app, NULL, now);
	for (f = all->list; app == NULL && f != NULL; f = f->next) {
		loop_cancel(all->loop, &f->lesson);
		if (f->state != FORKSERVER_AWAY)
			forkserver_feed(f, FORKSERVER_ASKED, now);
	}
}

void
forkservers_tick(struct forkservers *all, int64_t now)
{
	struct forkserver *f, *next;

	for (f = all->list; f != NULL; f = next) {
		next = f->next;
		forkserver_follow_log(f);
		if (f->state == FORKSERVER_READY && f->orders == NULL &&
		    f->to_learn == NULL && now - f->used >= f->idle)
			forkserver_feed(f, FORKSERVER_ASKED, now);
		else if (f->state == FORKSERVER_AWAY && f->orders == NULL &&
			 f->to_learn == NULL && !f->is_useless &&
			 now >= f->retry_at && now - f->used >= f->idle)
			forkserver_free(f); /* nothing worth remembering */
	}
}

int
forkservers_count(const struct forkservers *all)
{
	const struct forkserver *f;
	int n = 0;

	for (f = all->list; f != NULL; f = f->next)
		n += f->state != FORKSERVER_AWAY;
	return n;
}

/* ----------------------------------------------------------------- showing --
 */

struct forkserver *
forkservers_next(const struct forkservers *all, const struct forkserver *f)
{
	struct forkserver *next = f == NULL ? all->list : f->next;

	while (next != NULL && next->state == FORKSERVER_AWAY)
		next = next->next;
	return next;
}

json_t *
forkserver_describe(const struct forkserver *f, int64_t now)
{
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:i, s:i, s:I}", "type",
	    "forkserver", "pid", (json_int_t)f->pid, "state",
	    forkserver_state_name(f->state), "python", f->python, "app",
	    f->app != NULL ? f->app : "", "modules", f->modules, "workers",
	    forkserver_workers(f), "since",
	    (json_int_t)clock_wall().tv_sec - (now - f->started) / 1000);
}
