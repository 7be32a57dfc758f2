#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fcgi/reply.h"
#include "lib/adapters.h"
#include "lib/backoff.h"
#include "lib/clock.h"
#include "lib/ending.h"
#include "lib/fd.h"
#include "lib/launch.h"
#include "lib/link.h"
#include "lib/log.h"
#include "lib/pool.h"
#include "lib/python.h"
#include "lib/setbacks.h"
#include "lib/stamp.h"
#include "lib/testpoint.h"
#include "lib/wire.h"
#include "lib/xalloc.h"

#define POOL_DEAF_MS 1000 /* unread for so long: nobody to count on */
#define POOL_EAGER \
	5 /* failures in a row that a changed file makes nothing of */
#define POOL_EAGER_MS        5000 /* least time between two starts after these */
#define POOL_LEARN_MS        1000 /* from a worker's being ready to asking it */
#define POOL_LEARN_DOUBLINGS 6    /* of that, until it is asked again */
#define POOL_ANSWERS         64   /* waiting requests answered per turn */
#define POOL_STOP_TURNS      1000
#define POOL_SNDBUF          (4 * 1024 * 1024) /* asked for; the system lets less */

#define POOL_VMSTAT "/proc/vmstat"

#define POOL_LATES                                                  \
	2 /* generations in a row whose files change as they start: \
	   * then the app itself writes them */

static void pool_wake(struct watch *, short, int64_t);
static void pool_retry_due(struct timer *, int64_t);
static void pool_said(struct worker *, const json_t *, int64_t);
static void pool_changed(struct worker *, enum worker_state, int64_t);
static void pool_recall(struct pool *);
static void pool_ask_imported(struct worker *, int64_t);

/* ------------------------------------------------------------- its life -- */

/* What is served without it is to be known before it is started. What is wrong
 * in its settings is said then. */
static void
pool_peek_settings(struct pool *p)
{
	char *path = xprintf("%s/" SETTINGS_FILE, p->app.directory);
	struct app_settings peeked = { 0 };
	struct problem why;

	if (app_settings_read(
		path, &p->host->account->settings, &peeked, &why) != -1) {
		xstrvfree(p->settings.static_);
		p->settings.static_ = peeked.static_;
		peeked.static_ = NULL;
	}
	app_settings_release(&peeked);
	free(path);
}

struct pool *
pool_new(struct pool_host *host, const struct app *app)
{
	struct pool *p = xcalloc(1, sizeof *p);
	char *name, *path;

	p->host = host;
	app_init(&p->app);
	pool_found(p, app);
	app_settings_copy(&p->settings, &host->account->settings.app);
	pool_peek_settings(p);
	p->queue_send = p->queue_receive = -1;
	p->queue =
	    (struct watch){ .fd = -1, .want = POLLIN, .ready = pool_wake };
	p->retry.due = pool_retry_due;
	pool_recall(p);
	name = app_log_name(app->name);
	path = xprintf("%s/%s", host->account->logs, name);
	logfile_init(&p->log, path);
	free(path);
	free(name);
	return p;
}

void
pool_found(struct pool *p, const struct app *app)
{
	app_release(&p->app);
	app_init(&p->app);
	p->app.name = xstrdup(app->name);
	p->app.host = xstrdup(app->host);
	p->app.mount = xstrdup(app->mount);
	p->app.directory = xstrdup(app->directory);
	if (app->refused != NULL)
		p->app.refused = xstrdup(app->refused);
	p->missing_since = 0;
}

static void
pool_close_queue(struct pool *p)
{
	loop_unwatch(p->host->loop, &p->queue);
	fd_close(&p->queue_send);
	fd_close(&p->queue_receive);
	p->queue.fd = -1;
}

void
pool_free(struct pool *p)
{
	assert(p->workers == NULL);
	pool_close_queue(p);
	loop_cancel(p->host->loop, &p->retry);
	logfile_release(&p->log);
	app_release(&p->app);
	app_settings_release(&p->settings);
	changes_release(&p->changes);
	free(p->entry);
	free(p->pure);
	free(p->python);
	free(p->preload);
	free(p->why);
	free(p->advice);
	free(p->detail);
	free(p);
}

int
pool_ready_workers(const struct pool *p)
{
	const struct worker *w;
	int n = 0;

	for (w = p->workers; w != NULL; w = w->next)
		n += w->state == WORKER_READY;
	return n;
}

static int
pool_starting_workers(const struct pool *p)
{
	const struct worker *w;
	int n = 0;

	for (w = p->workers; w != NULL; w = w->next)
		n += w->state == WORKER_STARTING;
	return n;
}

int
pool_is_served(const struct pool *p)
{
	return pool_ready_workers(p) > 0 || pool_starting_workers(p) > 0;
}

int
pool_is_current(const struct pool *p)
{
	return !p->is_draining && !p->is_candidate;
}

/* Who answers what is in the queue: the workers, or, while there is none and
 * none is starting, we. */
static void
pool_watch_queue(struct pool *p)
{
	int is_ours = p->queue_receive != -1 && pool_is_current(p) &&
		      pool_ready_workers(p) == 0 &&
		      pool_starting_workers(p) == 0 && p->retry.place == 0;

	if (is_ours && p->queue.at == 0)
		(void)loop_watch(p->host->loop, &p->queue);
	else if (!is_ours)
		loop_unwatch(p->host->loop, &p->queue);
}

int
pool_has_same_static(const struct pool *p, char *const *other)
{
	char *const *mine = p->settings.static_;

	if (mine == NULL || other == NULL)
		return (char *const *)mine == other;
	for (; *mine != NULL && *other != NULL; mine++, other++)
		if (strcmp(*mine, *other) != 0)
			return 0;
	return *mine == *other;
}

/* Both mamayo.json files; what is wrong with one is said, and the last good
 * settings stay (the defaults, if there are none yet). A candidate has none:
 * -1 with the reason. */
static int
pool_read_settings(struct pool *p, struct problem *why)
{
	struct account *a = p->host->account;
	char *path = xprintf("%s/" SETTINGS_FILE, p->app.directory);
	char **before = xstrvdup((const char *const *)p->settings.static_);
	int failed;

	if (account_read_settings(a, why) == -1)
		log_warn("%s; keeping the settings it had", why->text);
	failed = app_settings_read(path, &a->settings, &p->settings, why) == -1;
	free(path);
	p->has_new_static |= !pool_has_same_static(p, before);
	xstrvfree(before);
	if (failed && p->is_candidate)
		return -1;
	if (failed)
		log_warn("%s; keeping the settings it had", why->text);
	p->max = p->settings.workers_max != 0 ? p->settings.workers_max
					      : settings_workers_default();
	if (p->max < p->settings.workers_min)
		p->max = p->settings.workers_min;
	return 0;
}

/* Only an application can have done that: a queue of ours is shut down from
 * the other end, and then the pool is draining. */
static int
pool_is_broken(const struct pool *p)
{
	char byte;

	return p->queue_receive != -1 && !p->is_draining &&
	       recv(p->queue_receive, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Lets go of the queue and of the workers that read it; the next request gets
 * a new generation. */
static void
pool_renew(struct pool *p, int64_t now)
{
	struct worker *w, *next;

	log_warn("%s: a process of the application has shut its queue down; "
		 "starting anew",
	    p->app.name);
	p->host->gone(p->host, p);
	pool_close_queue(p);
	p->generation[0] = '\0';
	for (w = p->workers; w != NULL; w = next) {
		next = w->next;
		if (w->state != WORKER_LEAVING)
			worker_feed(w, WORKER_ASKED, now);
	}
}

static int
pool_make_queue(struct pool *p)
{
	int pair[2], size = POOL_SNDBUF;

	if (TESTPOINT_FAILS("supervisor:make-queue") ||
	    fd_pair_seqpacket(pair) == -1)
		return -1;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	fd_random_hex(p->generation, sizeof p->generation / 2);
	p->queue_send = pair[0];
	p->queue_receive = pair[1];
	p->queue.fd = pair[1];
	return 0;
}

int
pool_open(struct pool *p, int64_t now)
{
	struct problem why;

	if (pool_is_broken(p))
		pool_renew(p, now);
	if (p->queue_send != -1)
		return 0;
	if (pool_make_queue(p) == -1)
		return -1;
	(void)pool_read_settings(p, &why);
	pool_watch_queue(p);
	return 0;
}

/* --------------------------------------------------------- not starting -- */

static void
pool_to_log(struct pool *p, const char *text)
{
	struct problem why;
	int fd = logfile_open(&p->log, &why);

	if (fd != -1)
		log_to(fd, "%s", text);
}

/* Since when, for pool_look_at_failing(). */
static void
pool_note_failure(struct pool *p, int64_t now)
{
	if (p->failing_since == 0)
		p->failing_since = p->same_since = now;
	if (p->same_stamp != p->failed_stamp)
		p->same_since = now;
	p->same_stamp = p->failed_stamp;
	p->is_told = 0;
}

void
pool_look_at_failing(struct pool *p, int64_t now)
{
	char *subject, *text;

	if (!pool_is_current(p) || p->state != POOL_FAILING || p->is_told ||
	    p->failing_since == 0 || now - p->same_since < POOL_LASTING_MS)
		return;
	if (now - p->failing_since < POOL_LASTING_MOST &&
	    stamp(p->app.directory) != p->failed_stamp)
		return; /* perhaps mended: the next request shows */
	p->is_told = 1;
	subject = xprintf("%s cannot be started", p->app.name);
	text = xprintf(
	    "The application \"%s\" cannot be started. This has lasted for "
	    "%lld seconds, and was tried %u times. The reason of the last "
	    "time:\n\n    %s\n\n"
	    "Its visitors get a page with status 503 (reference %s). mamayo "
	    "tries again with a request, now and then, and as soon as a file "
	    "of the application has changed.\n",
	    p->app.name, (long long)(now - p->failing_since) / 1000,
	    p->failures, p->advice, p->reference);
	p->host->incident(p->host, p, p->code, subject, text);
	free(text);
	free(subject);
}

/* The next supervisor is not to try at once what we have found broken: it may
 * have been that what the last one died of. */
static void
pool_keep(struct pool *p, int64_t now)
{
	struct setback s = { .failures = p->failures,
		.at = now,
		.until = p->retry_at,
		.stamp = p->failed_stamp };
	struct problem why;

	if (strcmp(p->code, "cannot-start") != 0)
		return;
	snprintf(s.reference, sizeof s.reference, "%s", p->reference);
	log_escape(s.advice, sizeof s.advice, p->advice, strlen(p->advice));
	p->is_kept = 1;
	if (setbacks_keep(p->host->account->run, p->app.name, &s, now, &why) ==
	    -1)
		log_warn("%s: %s", p->app.name, why.text);
}

/* As the last supervisor has left it. */
static void
pool_recall(struct pool *p)
{
	struct setback s;

	if (!setbacks_recall(
		p->host->account->run, p->app.name, clock_ms(), &s))
		return;
	p->is_kept = 1;
	p->failures = s.failures;
	p->retry_at = s.until;
	p->failed_stamp = s.stamp;
	p->state = POOL_FAILING;
	pool_note_failure(p, clock_ms());
	p->advice = xstrdup(s.advice);
	snprintf(p->code, sizeof p->code, "cannot-start");
	snprintf(p->reference, sizeof p->reference, "%s", s.reference);
}

/* It can be started. */
static void
pool_recover(struct pool *p, int64_t now)
{
	struct problem why;

	p->failures = 0;
	p->failing_since = 0;
	if (p->is_kept && setbacks_keep(p->host->account->run, p->app.name,
			      NULL, now, &why) == -1)
		log_warn("%s: %s", p->app.name, why.text);
	p->is_kept = 0;
}

/* What becomes of it. Free it. */
static char *
pool_outlook(const struct pool *p, int64_t wait)
{
	if (p->is_candidate)
		return xstrdup("the old generation goes on; a change of its "
			       "files or \"mamayo restart\" tries again");
	if (strcmp(p->code, "hook") == 0)
		return xstrdup("a change of its files or \"mamayo restart\" "
			       "tries again");
	return xprintf("tried %u times; the next request after %lld s or a "
		       "change of its files tries again",
	    p->failures, (long long)(wait / 1000));
}

/* The app cannot be started: says so to its owner once, and remembers what to
 * say to visitors. */
void
pool_fail(struct pool *p, const char *code, const char *advice,
    const char *detail, int64_t ready_ms, int64_t now)
{
	uint32_t random;
	int64_t wait;
	char *line, *outlook;

	if (p->is_candidate && p->advice != NULL)
		return; /* the first reason is the one */
	TESTPOINT("supervisor:fail");
	fd_random(&random, sizeof random);
	snprintf(p->reference, sizeof p->reference, "%08x", random);
	snprintf(p->code, sizeof p->code, "%s", code);
	free(p->advice);
	free(p->detail);
	p->advice = xstrdup(advice);
	p->detail = xstrdup_or_null(detail);
	p->failures++;
	p->failed_at = now;
	pool_note_failure(p, now);
	wait = backoff_ms(p->failures, ready_ms, random);
	p->retry_at = now + (strcmp(code, "hook") == 0 ? POOL_HOOK_MS : wait);
	p->state = POOL_FAILING;
	if (!p->is_candidate)
		pool_keep(p, now);
	outlook = pool_outlook(p, wait);
	line = xprintf("%s (reference %s): %s (%s)",
	    p->is_candidate ? "cannot reload" : "cannot start", p->reference,
	    p->advice, outlook);
	pool_to_log(p, line);
	log_error("%s: %s", p->app.name, line);
	free(line);
	free(outlook);
}

/* Does the request want only headers? (Parameters in a spool are not read.) */
static int
pool_is_head(const unsigned char *message, const struct wire_head *head)
{
	static const char want[] = "REQUEST_METHOD\0HEAD";
	const unsigned char *at = message + WIRE_HEAD;
	size_t n = head->flags & WIRE_SPOOL_PARAMS ? 0 : head->params;

	for (; n >= sizeof want; at++, n--)
		if (memcmp(at, want, sizeof want) == 0)
			return 1;
	return 0;
}

static void
pool_answer(struct pool *p, const unsigned char *message,
    const struct wire_head *head, int answer)
{
	struct page page = { .status = 503,
		.code = p->code,
		.text = PAGE_CANNOT_START,
		.app = p->app.name,
		.reference = p->reference };
	int64_t wait = p->retry_at - clock_ms();
	unsigned char *reply;
	char *detail = NULL;
	size_t n;

	if (wait > POOL_RETRY_MOST * 1000)
		wait = POOL_RETRY_MOST * 1000;
	page.retry_after = wait > 1000 ? (int)(wait / 1000) : 1;
	page.head = pool_is_head(message, head);
	if (p->is_stopped) {
		page.code = "stopped";
		page.text = PAGE_STOPPED;
		page.app = page.reference = NULL;
		page.retry_after = POOL_RETRY_AFTER;
	} else if (p->state == POOL_SETTING_UP) {
		page.code = "setup";
		page.text = PAGE_SETUP;
		page.app = page.reference = NULL;
		page.retry_after = POOL_RETRY_AFTER;
	} else if (p->settings.debug) {
		detail = xprintf(
		    "%s\n\n%s", p->advice, p->detail != NULL ? p->detail : "");
		page.detail = detail;
	}
	reply = reply_make(&page, head->request_id, &n);
	if (reply != NULL)
		(void)send(answer, reply, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(reply);
	free(detail);
	shutdown(answer, SHUT_RDWR);
}

/* May the app be tried again? After its back-off, or when a file of it has
 * changed; not at once for ever, for some write files while they fail. */
static int
pool_may_retry(struct pool *p, int64_t now)
{
	if (p->state == POOL_SETTING_UP)
		return 0;
	if (p->retry_at == 0 || now >= p->retry_at)
		return 1;
	if (p->failures > POOL_EAGER && now - p->started_at < POOL_EAGER_MS)
		return 0; /* it may be itself that writes there */
	p->stamped_at = clock_ms();
	return (p->state == POOL_FAILING &&
		   stamp(p->app.directory) != p->failed_stamp) ||
	       (p->state == POOL_MISSING && stamp(p->app.directory) != 0);
}

/*
 * Takes waiting requests out of the queue and answers each. One that has come
 * after the files were last looked at goes back if they have changed: its
 * visitor may know that the app is mended.
 */
static void
pool_answer_all(struct pool *p)
{
	static unsigned char message[WIRE_MOST];
	struct wire_head head;
	int fds[2], is_back = 0;
	size_t nfds;
	ssize_t n;

	for (int i = 0; i < POOL_ANSWERS && !is_back; i++) {
		nfds = 2;
		n = fd_recv(
		    p->queue_receive, message, sizeof message, fds, &nfds);
		if (n == -1 || n == 0)
			return;
		TESTPOINT("supervisor:answer");
		if (nfds > 0 && wire_get_head(message, (size_t)n, &head) == 0) {
			is_back = !p->is_stopped &&
				  (int64_t)head.queued >= p->stamped_at &&
				  pool_may_retry(p, clock_ms()) &&
				  fd_send(p->queue_send, message, (size_t)n,
				      fds, nfds) != -1;
			if (!is_back)
				pool_answer(p, message, &head, fds[0]);
		}
		for (size_t k = 0; k < nfds; k++)
			fd_close(&fds[k]);
	}
}

/* -------------------------------------------------------------- workers -- */

static struct worker *
pool_new_worker(struct pool *p)
{
	struct worker *w = xcalloc(1, sizeof *w);
	uint32_t random;

	w->said = pool_said;
	w->changed = pool_changed;
	w->owner = p;
	w->log_device = p->log.device;
	w->log_inode = p->log.inode;
	fd_random(&random, sizeof random);
	recycle_init(&w->limits, p->settings.max_requests, p->settings.lifetime,
	    p->settings.memory, random);
	return w;
}

static void
pool_add_worker(struct pool *p, struct worker *w, int64_t now)
{
	w->next = p->workers;
	p->workers = w;
	p->nworkers++;
	p->started_at = now;
	w->oom_kills = ending_oom_kills(POOL_VMSTAT);
}

/* Everything is known: starts the process. */
static int
pool_spawn(struct pool *p, const struct python *python, int log, int64_t now,
    struct problem *why)
{
	const struct account *a = p->host->account;
	char *sock = xprintf("sock=%s/sock", a->run);
	char *grace = xprintf("grace=%d", a->settings.grace);
	const char *more[] = { sock, grace, NULL };
	const struct launch_what what = { .account = a,
		.app = &p->app,
		.settings = &p->settings,
		.python = python,
		.adapters = p->host->adapters,
		.workers_max = p->max,
		.more = more };
	struct worker *w = pool_new_worker(p);
	struct forkserver *from;
	struct worker_how how;
	struct launch l;
	int result;

	launch_init(&l, &what);
	l.spec.fd[1] = l.spec.fd[2] = log;
	l.spec.fd[4] = p->queue_receive;
	from = forkservers_find(p->host->forkservers,
	    &(struct fork_need){ .app = &p->app,
		.settings = &p->settings,
		.python = python,
		.env = l.env,
		.log = log,
		.stamp = p->made_of },
	    now);
	how = (struct worker_how){ .loop = p->host->loop,
		.spec = &l.spec,
		.boards_dir = p->host->boards_dir,
		.generation = p->generation,
		.first = l.first,
		.from = from,
		.start_timeout = (int64_t)p->settings.start_timeout * 1000,
		.stop_timeout = (int64_t)p->settings.stop_timeout * 1000 };
	free(p->preload);
	p->preload = xstrdup(from != NULL ? forkserver_key(from) : "");
	result = worker_start(w, &how, now, why);
	if (result == 0)
		pool_add_worker(p, w, now);
	else
		free(w);
	launch_release(&l);
	free(sock);
	free(grace);
	return result;
}

static void
pool_add_file(struct pool *p, const char *file, enum changes_kind kind)
{
	char *path = xprintf("%s/%s", p->app.directory, file);

	changes_add(&p->changes, path, kind);
	free(path);
}

/* By CLOCK_REALTIME, as files have it. */
static struct timespec
pool_start_of(const struct worker *w, int64_t now)
{
	struct timespec since = clock_wall();

	since.tv_sec -= (time_t)((now - w->started) / 1000);
	since.tv_nsec -= (now - w->started) % 1000 * 1000000;
	return since;
}

/* A worker says what else it is made of. */
static void
pool_take_files(
    struct pool *p, const struct worker *w, const char *files, int64_t now)
{
	const struct timespec since = pool_start_of(w, now);
	char *path;
	size_t n;

	for (; *files != '\0'; files += n + (files[n] == ':')) {
		n = strcspn(files, ":");
		path = xprintf("%s/%.*s", p->app.directory, (int)n, files);
		changes_add_read(&p->changes, path, &since);
		free(path);
	}
}

/* A hook has been run for it: which files are to change until the next one? */
static void
pool_note_files(struct pool *p)
{
	if (p->hook.id[0] == '\0' || p->is_draining || p->is_outdated ||
	    pool_ready_workers(p) == 0 || p->noted == p->changes.n)
		return;
	p->noted = p->changes.n;
	hooks_note(p->host->hooks, &p->app, p->hook.id, &p->changes);
}

/*
 * Has something of it changed while it was starting? Then somebody is at work,
 * and it will be reloaded; or the app writes that itself whenever it starts,
 * and would be for ever.
 */
static void
pool_note_late(struct pool *p, int64_t now)
{
	p->is_late = changes_look(&p->changes, now) != CHANGES_NONE;
	if (!p->is_late || p->lates < POOL_LATES)
		return;
	log_warn("%s: it writes %s whenever it starts; that is no change",
	    p->app.name, p->changes.which);
	changes_renew(&p->changes);
}

/* What every generation is made of, besides what its workers say. */
static void
pool_renew_files(struct pool *p)
{
	changes_renew(&p->changes);
	pool_add_file(p, SETTINGS_FILE, CHANGES_MADE_OF);
	pool_add_file(p, "restart.txt", CHANGES_SIGNAL);
	pool_add_file(p, "tmp/restart.txt", CHANGES_SIGNAL);
}

/* The first worker that is started makes the generation what it is. */
static void
pool_note_origin(struct pool *p)
{
	const char *letter;

	if (pool_is_served(p))
		return;
	p->is_outdated = 0;
	p->noted = 0;
	p->made_of = p->failed_stamp;
	for (letter = p->generation; *letter != '\0'; letter++)
		p->made_of = p->made_of * 31 + (unsigned char)*letter;
	pool_renew_files(p);
}

static void
pool_add_python(struct pool *p, const struct python *python)
{
	char *path;

	if (python->virtual_env == NULL)
		return;
	path = xprintf("%s/pyvenv.cfg", python->virtual_env);
	changes_add(&p->changes, path, CHANGES_MADE_OF);
	free(path);
}

/* Its owner is to know at once: it will not be tried again by itself. That a
 * candidate does not serve is told by whoever made it. */
static void
pool_tell_of_hook(struct pool *p, const char *why)
{
	char *subject, *text;

	if (p->is_candidate)
		return;
	subject = xprintf("%s could not be set up", p->app.name);
	text =
	    xprintf("The application \"%s\" is not started:\n\n    %s\n\n"
		    "What the hook has printed is in the application's log. "
		    "Visitors get a page with status 503. mamayo tries again "
		    "when a file of the application has changed, or after "
		    "\"mamayo restart %s\".\n",
		p->app.name, why, p->app.name);
	p->host->incident(p->host, p, "hook", subject, text);
	free(text);
	free(subject);
}

/* What its owner wants to be run before this generation is started: 0 when that
 * is done, 1 while it runs, or -1 with the reason. */
static int
pool_set_up(struct pool *p, const struct python *python, int log,
    struct problem *why, const char **code)
{
	const struct hook_need need = { .app = &p->app,
		.settings = &p->settings,
		.python = python,
		.files = &p->changes,
		.log = log,
		.is_alone = !p->is_candidate,
		.only_looks = p->is_draining };

	if (pool_is_served(p) || (p->is_draining && p->hook.id[0] != '\0'))
		return 0;
	switch (hooks_ask(p->host->hooks, &p->hook, &need, why)) {
	case HOOK_NONE:
	case HOOK_GO:
		return 0;
	case HOOK_WAIT:
		return 1;
	case HOOK_REFUSED:
		*code = "hook";
		pool_tell_of_hook(p, why->text);
		return -1;
	case HOOK_BROKEN:
		*code = "resources";
		return -1;
	}
	return -1;
}

static int
pool_try_start(
    struct pool *p, int64_t now, struct problem *why, const char **code)
{
	struct python python = { 0 };
	struct stat st;
	int log = -1, result = -1;

	*code = "cannot-start";
	/* what it is started from: what changes meanwhile is new */
	p->failed_stamp = stamp(p->app.directory);
	pool_note_origin(p);
	if (p->app.refused != NULL)
		return problem_set(why, "%s", p->app.refused);
	if (stat(p->app.directory, &st) == -1) {
		*code = "missing";
		return problem_sys(why, "%s", p->app.directory);
	}
	if (pool_read_settings(p, why) == -1)
		return -1;
	if (python_find(p->app.directory, &p->settings, p->host->account->home,
		&python, why) == -1)
		goto out;
	pool_add_python(p, &python);
	log = logfile_open(&p->log, why);
	if (log == -1) {
		*code = "resources";
		goto out;
	}
	free(p->host->adapters); /* cleaners take files away */
	p->host->adapters = adapters_unpack(p->host->account->run, why);
	if (p->host->adapters == NULL) {
		*code = "resources";
		goto out;
	}
	result = pool_set_up(p, &python, log, why, code);
	if (result == 0)
		result = pool_spawn(p, &python, log, now, why);
	if (result == 0 &&
	    (p->python == NULL || strcmp(p->python, python.path) != 0))
		log_info("%s: runs with %s, because %s", p->app.name,
		    python.path, python.why);
	free(p->python);
	p->python = xstrdup_or_null(python.path);
out:
	python_release(&python);
	return result;
}

/* Would another worker be one of the next generation, whose hook is to come
 * first? */
static int
pool_has_moved_on(struct pool *p, int64_t now)
{
	if (p->hook.id[0] != '\0' && pool_is_served(p) && !p->is_draining &&
	    changes_look(&p->changes, now) != CHANGES_NONE)
		p->is_outdated = 1;
	return p->hook.id[0] != '\0' && p->is_outdated && pool_is_served(p);
}

static void
pool_start(struct pool *p, int64_t now)
{
	struct problem why;
	const char *code;
	int result;

	if (pool_has_moved_on(p, now))
		return;
	result = pool_try_start(p, now, &why, &code);
	if (result == -1) {
		pool_fail(p, code, why.text, NULL, -1, now);
		if (strcmp(code, "missing") == 0)
			p->state = POOL_MISSING;
	} else if (result == 1)
		p->state = POOL_SETTING_UP;
	else if (pool_ready_workers(p) == 0)
		p->state = POOL_STARTING;
	pool_watch_queue(p);
}

/* A request waits and there is no worker for it. */
static void
pool_wake(struct watch *w, short got, int64_t now)
{
	struct pool *p =
	    (struct pool *)((char *)w - offsetof(struct pool, queue));

	(void)got;
	if (pool_is_broken(p)) {
		pool_renew(p, now);
		return;
	}
	if (!p->is_draining && pool_may_retry(p, now)) {
		if (!p->host->may_grow(p->host, p)) {
			/* all workers there may be are busy elsewhere */
			(void)loop_timer(
			    p->host->loop, &p->retry, now + POOL_LOOK_MS);
			pool_watch_queue(p);
			return;
		}
		pool_start(p, now);
	}
	if ((p->state == POOL_FAILING || p->state == POOL_MISSING ||
		p->state == POOL_SETTING_UP) &&
	    !pool_is_served(p))
		pool_answer_all(p);
}

void
pool_go_on(struct pool *p, int64_t now)
{
	if (p->state != POOL_SETTING_UP)
		return;
	p->state = POOL_ASLEEP;
	if (!p->is_draining && !p->is_stopped && p->missing_since == 0)
		pool_start(p, now);
	p->host->changed(p->host, p, now); /* may free p: last use */
}

static void
pool_retry_due(struct timer *t, int64_t now)
{
	struct pool *p =
	    (struct pool *)((char *)t - offsetof(struct pool, retry));

	(void)now;
	pool_watch_queue(p);
}

/* A worker says why it does without the accelerator, or nothing. The log is
 * told when that changes. */
static void
pool_note_accelerator(struct pool *p, const char *pure)
{
	if (p->pure != NULL && strcmp(p->pure, pure) == 0)
		return;
	if (*pure != '\0')
		log_info("%s: its workers do without the accelerator: %s",
		    p->app.name, pure);
	free(p->pure);
	p->pure = xstrdup(pure);
}

static void
pool_said(struct worker *w, const json_t *message, int64_t now)
{
	struct pool *p = w->owner;
	const char *type = link_string(message, "type");

	pool_take_files(p, w, link_string(message, "files"), now);
	pool_note_files(p);
	if (strcmp(type, "lent") == 0)
		p->host->lent(p->host, now);
	else if (strcmp(type, "changed") == 0) {
		w->has_sockets = 0;
		p->host->places_changed(p->host, now);
	} else if (strcmp(type, "unwanted") == 0) {
		w->has_sockets = 0;
		p->host->unwanted(p->host, now);
	} else if (strcmp(type, "ready") == 0 || strcmp(type, "attach") == 0) {
		w->can_accept = json_object_get(message, "pure") != NULL &&
				*link_string(message, "pure") == '\0';
		free(p->entry);
		free(p->why);
		p->entry = xstrdup(link_string(message, "entry"));
		p->why = xstrdup(link_string(message, "why"));
		if (p->python == NULL)
			p->python = xstrdup(link_string(message, "python"));
		if (*type == 'a')
			log_info("%s: worker %ld has found us", p->app.name,
			    (long)w->pid);
		else
			log_info(
			    "%s: worker %ld is ready after %lld ms: %s (%s)",
			    p->app.name, (long)w->pid,
			    (long long)(now - w->started), p->entry, p->why);
		pool_note_accelerator(p, link_string(message, "pure"));
		if (pool_ready_workers(p) == 0)
			pool_note_late(p, now);
		p->noted = 0;
	} else if (strcmp(type, "imported") == 0)
		forkservers_learn(p->host->forkservers,
		    p->preload != NULL ? p->preload : "",
		    link_string(message, "modules"), now);
	else if (strcmp(type, "failed") == 0)
		pool_fail(p, "cannot-start", link_string(message, "text"),
		    link_string(message, "detail"), -1, now);
}

/*
 * The connection of a request that a worker has accepted itself, and that was
 * stuck in it: it has ended, so we may write. The descriptor was named by the
 * application's process, so it is shut down only if it is a socket.
 */
static void
pool_end_connection(struct worker *w, const char *detail)
{
	struct page page = { .status = 504,
		.code = "timeout",
		.text = PAGE_LATE,
		.app = ((const struct pool *)w->owner)->app.name,
		.detail = detail,
		.head = w->board.word[BOARD_REQUEST_ID] > UINT16_MAX };
	unsigned char *reply;
	size_t n;

	if (w->board.word[BOARD_WROTE] == BOARD_NOTHING &&
	    (reply = reply_make(&page,
		 (uint16_t)(w->board.word[BOARD_REQUEST_ID] & UINT16_MAX),
		 &n)) != NULL) {
		(void)send(
		    w->connection, reply, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		free(reply);
	}
	shutdown(w->connection, SHUT_RDWR);
	fd_close(&w->connection);
}

/* A worker that was ready has ended unasked: one may, many may not. */
static void
pool_crashed(
    struct pool *p, const struct worker *w, const char *line, int64_t now)
{
	char *subject, *text, *words;

	memmove(p->crashed, p->crashed + 1,
	    (POOL_CRASHES - 1) * sizeof p->crashed[0]);
	p->crashed[POOL_CRASHES - 1] = now;
	if (p->crashed[0] == 0 || now - p->crashed[0] >= POOL_CRASHES_MS)
		return;
	words = ending_last_words(p->log.path, w->status);
	subject = xprintf("workers of %s crash", p->app.name);
	text = xprintf(
	    "%d worker processes of the application \"%s\" have ended within "
	    "%lld seconds, without having been asked to. The last:\n\n"
	    "    %s\n\n"
	    "Visitors whose requests they were answering got an error (status "
	    "502); mamayo has started others in their place. The last lines of "
	    "the application's log:\n\n%s",
	    POOL_CRASHES, p->app.name, (long long)(now - p->crashed[0]) / 1000,
	    line, words != NULL ? words : "(none)\n");
	free(words);
	p->host->incident(p->host, p, "crash", subject, text);
	free(text);
	free(subject);
}

/* A worker is ended because it was silent. */
static void
pool_was_stuck(struct pool *p, const char *line)
{
	char *subject = xprintf("a worker of %s was stuck", p->app.name);
	char *text = xprintf(
	    "A worker process of the application \"%s\" does not go on:\n\n"
	    "    %s\n\n"
	    "mamayo ends it, and starts another one when there are requests; "
	    "a visitor who was waiting for it gets status 504. The "
	    "application's log says in which line of which file it was.\n",
	    p->app.name, line);

	p->host->incident(p->host, p, "stuck", subject, text);
	free(text);
	free(subject);
}

/* For behind proc_status_text(): what it means. */
static const char *
pool_meaning(const struct worker *w, enum worker_state was)
{
	uint64_t oom = ending_oom_kills(POOL_VMSTAT);

	if (w->stuck != 0 && w->stuck == w->board.word[BOARD_COUNTER])
		return ending_stuck();
	if (was == WORKER_STUCK || was == WORKER_KILLED)
		return ""; /* we did that, and have said why */
	return ending_advice(
	    w->status, oom > w->oom_kills ? oom - w->oom_kills : 0);
}

/* What the page of a lost request shows of it; NULL without "debug". */
static char *
pool_detail_of_end(
    const struct pool *p, const struct worker *w, const char *line)
{
	char *words, *detail;

	if (!p->settings.debug)
		return NULL;
	words = ending_last_words(p->log.path, w->status);
	detail = xprintf("%s\n\n%s", line, words != NULL ? words : "");
	free(words);
	return detail;
}

/* Whoever waited for it gets a page. */
static void
pool_tell_of_end(struct pool *p, struct worker *w, const char *detail)
{
	int is_stuck = w->board.word[BOARD_COUNTER] == w->stuck;

	if (w->connection != -1)
		pool_end_connection(w, detail);
	else
		p->host->verdict(p->host, &w->board, 1, is_stuck ? 504 : 502,
		    is_stuck ? "timeout" : "died",
		    is_stuck ? PAGE_LATE : PAGE_DIED,
		    detail != NULL ? detail : "");
}

/* The lines that say how a worker came to its end, and the page for whoever
 * was waiting for it. */
static void
pool_obituary(
    struct pool *p, struct worker *w, enum worker_state was, int64_t now)
{
	const char *meaning;
	char how[128], url[4 * SCOREBOARD_URL_MOST + 8];
	char *line, *detail;

	if (w->pid == 0)
		return; /* it was ordered, and never came */
	proc_status_text(w->status, how, sizeof how);
	if (was == WORKER_LEAVING && !worker_is_busy(w) &&
	    (WIFEXITED(w->status) || w->status == PROC_UNKNOWN)) {
		log_info("%s: worker %ld has left", p->app.name, (long)w->pid);
		return;
	}
	p->crashes++;
	meaning = pool_meaning(w, was);
	if (worker_is_busy(w)) {
		log_escape(url, sizeof url, w->board.url, strlen(w->board.url));
		line = xprintf("worker %ld ended while it answered %s: %s%s",
		    (long)w->pid, url, how, meaning);
	} else
		line = xprintf(
		    "worker %ld ended: %s%s", (long)w->pid, how, meaning);
	detail = pool_detail_of_end(p, w, line);
	pool_to_log(p, line);
	log_warn("%s: %s", p->app.name, line);
	if (worker_is_busy(w)) /* who is told finds it in the log */
		pool_tell_of_end(p, w, detail);
	free(detail);
	if (was == WORKER_READY)
		pool_crashed(p, w, line, now);
	free(line);
}

static void
pool_forget_worker(struct pool *p, struct worker *w)
{
	struct worker **link;

	for (link = &p->workers; *link != w; link = &(*link)->next)
		continue;
	*link = w->next;
	p->nworkers--;
	if (w == p->worn)
		p->worn = NULL;
	p->requests += w->board.word[BOARD_REQUESTS];
	fd_close(&w->connection);
	free(w);
}

/* What kind of end it was decides how soon another may be started. */
static void
pool_after_death(
    struct pool *p, struct worker *w, enum worker_state was, int64_t now)
{
	const char *meaning;
	char how[128], *text, *words;

	proc_status_text(w->status, how, sizeof how);
	if (was == WORKER_LEAVING)
		return; /* it has said why, or was asked to go */
	if (w->ready != 0 && (now - w->ready >= BACKOFF_READY_MS ||
				 w->board.word[BOARD_REQUESTS] > 0)) {
		pool_recover(p, now);
		return;
	}
	p->failed_at = now;
	if (w->ready != 0 && p->failures++ == 0)
		return; /* once may be the fault of its first request */
	if (w->ready == 0 && (was == WORKER_STUCK || was == WORKER_KILLED))
		return; /* has failed already */
	meaning = pool_meaning(w, was);
	words = ending_last_words(p->log.path, w->status);
	if (w->ready != 0) {
		p->failures--; /* counted again there */
		text = xprintf(
		    "its process ended %lld ms after it was ready: %s%s",
		    (long long)(now - w->ready), how, meaning);
	} else
		text = xprintf("its process ended while it was starting: %s%s",
		    how, meaning);
	pool_fail(p, "cannot-start", text, words,
	    w->ready != 0 ? now - w->ready : -1, now);
	free(words);
	free(text);
}

/* A start that hangs, or that does not talk to us any more, has failed: the
 * next one is not to begin while this one is still being ended. */
static void
pool_hopeless(struct pool *p, const struct worker *w, int64_t now)
{
	char text[128];

	if (w->state == WORKER_STUCK) {
		snprintf(text, sizeof text,
		    "it was not ready %d seconds after its start "
		    "(start_timeout)",
		    p->settings.start_timeout);
		pool_fail(p, "cannot-start", text, NULL, -1, now);
		pool_to_log(p, "where it hangs, most recent call first:");
	} else if (w->state == WORKER_KILLED)
		pool_fail(p, "cannot-start",
		    "it closed its control socket (descriptor 3) while it was "
		    "starting",
		    NULL, -1, now);
}

void
pool_nudge(struct pool *p)
{
	struct worker *w;

	for (w = p->workers; w != NULL; w = w->next)
		if (w->state == WORKER_READY && w->deaf_since == 0)
			(void)worker_tell(w, "look");
}

static void
pool_set_state(struct pool *p)
{
	if (pool_ready_workers(p) > 0)
		p->state = POOL_READY;
	else if (pool_starting_workers(p) > 0)
		p->state = POOL_STARTING;
	else if (p->state == POOL_READY || p->state == POOL_STARTING)
		p->state = POOL_ASLEEP;
	if (p->is_stopped)
		p->state = POOL_STOPPED;
}

/* An app that is in use keeps at least workers.min. */
static void
pool_keep_min(struct pool *p, int64_t now)
{
	if (p->nworkers < p->settings.workers_min && pool_is_current(p) &&
	    !p->is_outdated && !p->is_stopped && p->state != POOL_FAILING &&
	    pool_starting_workers(p) == 0 && pool_may_retry(p, now) &&
	    p->host->may_grow(p->host, p))
		pool_start(p, now);
}

/* Does a request wait? (Poll would also tell of the end of a queue that is
 * drained, and SIOCOUTQ of nothing outside Linux.) */
static int
pool_has_waiting(const struct pool *p)
{
	char byte;

	return p->queue_receive != -1 &&
	       recv(p->queue_receive, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* What waits in a queue that takes no more, and that no worker is left for. */
static void
pool_finish(struct pool *p, int64_t now)
{
	if (p->workers != NULL || !pool_has_waiting(p))
		return;
	if (p->missing_since == 0 && pool_may_retry(p, now))
		pool_start(p, now);
	if (p->workers != NULL)
		return;
	if (p->missing_since != 0)
		snprintf(p->code, sizeof p->code, "missing");
	pool_answer_all(p);
}

/* ------------------------------------------------------------- recycling -- */

/* It is ready: is there any use in watching how much memory it has? */
static void
pool_weigh(struct pool *p, struct worker *w)
{
	uint64_t memory;

	if (w->limits.memory == 0)
		return;
	memory = proc_memory(w->pid);
	if (memory != 0 && !recycle_is_hopeless(&w->limits, memory))
		return;
	w->limits.memory = 0;
	if (p->has_spoken)
		return;
	p->has_spoken = 1;
	if (memory == 0)
		log_warn(
		    "%s: \"memory\" is no limit: how much a process has is "
		    "not known on this system",
		    p->app.name);
	else
		log_warn(
		    "%s: \"memory\": %d is no limit: a worker that has just "
		    "started has %llu MB",
		    p->app.name, p->settings.memory,
		    (unsigned long long)(memory >> 20));
}

static void
pool_find_worn(struct pool *p, int64_t now)
{
	struct worker *w;
	uint64_t requests, memory;
	enum recycle_why why;
	char text[128];

	for (w = p->workers; w != NULL; w = w->next) {
		if (w->state != WORKER_READY)
			continue;
		worker_look_at_board(w);
		requests = w->board.word[BOARD_REQUESTS];
		memory = w->limits.memory != 0 ? proc_memory(w->pid) : 0;
		why =
		    recycle_look(&w->limits, requests, now - w->ready, memory);
		if (why == RECYCLE_NOT)
			continue;
		log_info("%s: worker %ld is to be replaced: %s", p->app.name,
		    (long)w->pid,
		    recycle_text(why, requests, now - w->ready, memory, text,
			sizeof text));
		p->worn = w;
		p->worn_at = now;
		return;
	}
}

static int
pool_has_successor(const struct pool *p)
{
	const struct worker *w;

	for (w = p->workers; w != NULL; w = w->next)
		if (w->state == WORKER_READY && w != p->worn &&
		    w->ready >= p->worn_at)
			return 1;
	return 0;
}

/*
 * One at a time, and when another one is ready; or at once, if there may not be
 * more. "retire" is "leave" without serving first what is queued: others do.
 */
void
pool_recycle(struct pool *p, int64_t now)
{
	if (!pool_is_current(p) || p->is_stopped || p->is_outdated ||
	    pool_starting_workers(p) > 0)
		return;
	if (p->worn == NULL && p->is_short) {
		p->is_short = 0;
		if (p->nworkers < p->max && pool_may_retry(p, now) &&
		    p->host->may_grow(p->host, p))
			pool_start(p, now);
		return;
	}
	if (p->worn == NULL)
		pool_find_worn(p, now);
	if (p->worn == NULL || p->worn->state != WORKER_READY)
		return;
	p->is_short = !(p->nworkers < p->max && p->host->may_grow(p->host, p));
	if (p->is_short || pool_has_successor(p)) {
		pool_ask_imported(p->worn, now);
		(void)worker_tell(p->worn, "retire");
		worker_feed(p->worn, WORKER_ASKED, now);
	} else if (pool_may_retry(p, now))
		pool_start(p, now);
}

/* A worker has changed state. May free w: last use. */
static void
pool_changed(struct worker *w, enum worker_state was, int64_t now)
{
	struct pool *p = w->owner;
	int comes_late =
	    w->state == WORKER_READY && (p->is_draining || p->is_stopped);

	if (w->state == WORKER_READY) {
		pool_weigh(p, w);
		p->retry_at = 0;
		w->board.word[BOARD_STARTED] = (uint64_t)now;
		pool_note_files(p);
	}
	if (was == WORKER_STARTING)
		pool_hopeless(p, w, now);
	if (w->state == WORKER_DEAD) {
		pool_obituary(p, w, was, now);
		pool_after_death(p, w, was, now);
		pool_forget_worker(p, w);
		/* its wake-up may have been owed to a request (EPOLLEXCLUSIVE)
		 */
		pool_nudge(p);
		if (p->is_draining)
			pool_finish(p, now);
	}
	pool_set_state(p);
	pool_recycle(p, now);
	pool_keep_min(p, now);
	pool_watch_queue(p);
	if (comes_late)
		worker_feed(w, WORKER_ASKED, now); /* comes back to here */
	else
		p->host->changed(p->host, p, now); /* may free p: last use */
}

/* ------------------------------------------------------------- adopting -- */

int
pool_adopt(struct pool *p, const char *generation, int fds[2], int64_t now)
{
	struct python python = { 0 };
	struct problem why;

	if (strcmp(p->generation, generation) == 0) {
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		return 1;
	}
	if (p->queue_send != -1 || p->is_stopped || p->is_draining)
		return 0;
	snprintf(p->generation, sizeof p->generation, "%s", generation);
	pool_renew_files(p);
	if (pool_read_settings(p, &why) == 0 &&
	    python_find(p->app.directory, &p->settings, p->host->account->home,
		&python, &why) == 0)
		pool_add_python(p, &python);
	python_release(&python);
	p->queue_send = fds[0];
	p->queue_receive = p->queue.fd = fds[1];
	fds[0] = fds[1] = -1;
	if (pool_is_broken(p))
		pool_renew(p, now);
	pool_watch_queue(p);
	return 1;
}

int
pool_adopt_worker(struct pool *p, const char *page, pid_t pid, int64_t now)
{
	const struct worker_how how = { .loop = p->host->loop,
		.boards_dir = p->host->boards_dir,
		.start_timeout = (int64_t)p->settings.start_timeout * 1000,
		.stop_timeout = (int64_t)p->settings.stop_timeout * 1000 };
	struct timespec since;
	struct problem why;
	struct worker *w;

	(void)logfile_open(&p->log, &why); /* which it writes to */
	w = pool_new_worker(p);
	TESTPOINT("supervisor:adopt-worker");
	if (worker_adopt(w, &how, page, pid, now, &why) == -1) {
		log_warn("%s: a worker of the last supervisor is left alone: "
			 "%s",
		    p->app.name, why.text);
		free(w);
		p->crashes++;
		return -1;
	}
	since = pool_start_of(w, now);
	changes_recall(&p->changes, &since);
	pool_add_worker(p, w, now);
	p->failed_stamp = stamp(p->app.directory);
	pool_set_state(p);
	pool_watch_queue(p);
	return 0;
}

void
pool_remember(struct pool *p, json_int_t requests, json_int_t crashes)
{
	if (requests > 0 && p->requests < (uint64_t)requests)
		p->requests = (uint64_t)requests;
	if (crashes > 0 && p->crashes < (uint64_t)crashes)
		p->crashes = (uint64_t)crashes;
}

int
pool_has_process(const struct pool *p, pid_t pid)
{
	const struct worker *w = p->workers;

	while (w != NULL && w->pid != pid)
		w = w->next;
	return w != NULL;
}

void
pool_attach(
    struct pool *p, pid_t pid, int fd, const json_t *message, int64_t now)
{
	struct worker *w = p->workers;

	while (w->pid != pid)
		w = w->next;
	worker_attach(w, fd, message, now);
	p->host->changed(p->host, p, now); /* may free p: last use */
}

/* -------------------------------------------------------------- looking -- */

/* The request has been silent for longer than the app's limit. */
static void
pool_stuck(struct pool *p, struct worker *w, int64_t now)
{
	char url[4 * SCOREBOARD_URL_MOST + 8], *line;

	log_escape(url, sizeof url, w->board.url, strlen(w->board.url));
	line = xprintf("worker %ld has been silent for %d seconds (timeout) in "
		       "%s; it is ended. Where it is stuck, most recent call "
		       "first:",
	    (long)w->pid, p->settings.timeout, url);
	pool_to_log(p, line);
	log_warn("%s: %s", p->app.name, line);
	pool_was_stuck(p, line);
	free(line);
	w->stuck = w->board.word[BOARD_COUNTER];
	if (w->board.word[BOARD_RESPONDER] == 0)
		w->connection = proc_take_fd(
		    &w->proc, (int)w->board.word[BOARD_CONNECTION]);
	if (!p->settings.debug) /* else when there is a stack to show */
		p->host->verdict(
		    p->host, &w->board, 0, 504, "timeout", PAGE_LATE, "");
	worker_feed(w, WORKER_SILENT, now);
}

static int
pool_is_stuck(const struct pool *p, const struct worker *w, int64_t now)
{
	const uint64_t *board = w->board.word;
	uint64_t since = board[BOARD_STARTED] > board[BOARD_PROGRESS]
			     ? board[BOARD_STARTED]
			     : board[BOARD_PROGRESS];

	return board[BOARD_STATE] != BOARD_SENDING &&
	       (w->state == WORKER_READY || w->state == WORKER_LEAVING) &&
	       now - (int64_t)since >= (int64_t)p->settings.timeout * 1000;
}

/*
 * A worker may be stopped, or its interpreter held by a thread, while it waits
 * for requests: then it leaves unread what it is told. It does not count as
 * idle, and it is stuck like one that is silent in a request.
 */
static int
pool_is_deaf(struct worker *w, int is_waiting, int64_t now)
{
	if (!is_waiting && w->deaf_since == 0)
		return 0;
	if (!worker_is_deaf(w))
		w->deaf_since = 0;
	else if (w->deaf_since == 0)
		w->deaf_since = now;
	return w->deaf_since != 0 && now - w->deaf_since >= POOL_DEAF_MS;
}

/* May feed w. */
static void
pool_deaf(struct pool *p, struct worker *w, int64_t now)
{
	char line[160];

	if (now - w->deaf_since < (int64_t)p->settings.timeout * 1000)
		return;
	snprintf(line, sizeof line,
	    "worker %ld takes no requests and has not listened for %d seconds "
	    "(timeout); it is ended. Where it is, most recent call first:",
	    (long)w->pid, p->settings.timeout);
	pool_to_log(p, line);
	log_warn("%s: %s", p->app.name, line);
	pool_was_stuck(p, line);
	worker_feed(w, WORKER_SILENT, now);
}

/*
 * Is there more to do than the busy ones have? One visitor after the other
 * also leaves a request waiting at times, while a worker cleans up behind the
 * last one.
 */
static int
pool_needs_more(const struct pool *p, unsigned claimed)
{
	if (p->is_candidate || (p->is_outdated && pool_is_served(p)))
		return 0;
	return p->waiting >= POOL_WAIT_LOOKS ||
	       (p->waiting >= POOL_GROW_LOOKS &&
		   p->host->claims(p->host, p) > claimed);
}

int
pool_look(struct pool *p, int64_t now)
{
	struct worker *w, *next;
	int busy = 0, idle = 0, is_waiting = pool_has_waiting(p);
	unsigned claimed = 0;

	for (w = p->workers; w != NULL; w = next) {
		next = w->next;
		worker_look_at_board(w);
		if (worker_is_busy(w)) {
			busy++;
			claimed += worker_is_claimed(w);
			w->deaf_since = 0;
			if (pool_is_stuck(p, w, now))
				pool_stuck(p, w, now);
		} else if (w->state == WORKER_READY) {
			if (pool_is_deaf(w, is_waiting, now))
				pool_deaf(p, w, now);
			else
				idle++;
		}
	}
	p->waiting = is_waiting && idle == 0 ? p->waiting + 1 : 0;
	p->stranded = is_waiting && idle > 0 ? p->stranded + 1 : 0;
	if (p->stranded >= POOL_STRANDED_LOOKS)
		pool_nudge(p);
	if (pool_needs_more(p, claimed) &&
	    (pool_ready_workers(p) > 0 || p->is_draining) &&
	    pool_starting_workers(p) == 0 && p->nworkers < p->max &&
	    pool_may_retry(p, now) && p->host->may_grow(p->host, p)) {
		p->waiting = 0;
		pool_start(p, now);
	}
	pool_recycle(p, now);
	return is_waiting || busy > 0 || pool_starting_workers(p) > 0;
}

static void
pool_ask_imported(struct worker *w, int64_t now)
{
	w->heard++;
	w->heard_at = now;
	w->heard_requests = w->board.word[BOARD_REQUESTS];
	(void)worker_tell(w, "tell");
}

static int
pool_may_ask(const struct worker *w, int64_t now)
{
	int doublings =
	    w->heard < POOL_LEARN_DOUBLINGS ? w->heard : POOL_LEARN_DOUBLINGS;

	if (w->state != WORKER_READY ||
	    (w->heard > 0 &&
		w->board.word[BOARD_REQUESTS] == w->heard_requests))
		return 0;
	return now - (w->heard > 0 ? w->heard_at : w->ready) >=
	       (int64_t)POOL_LEARN_MS << doublings;
}

int64_t
pool_shrink(struct pool *p, int64_t now)
{
	int64_t limit = (int64_t)p->settings.idle * 1000, at, next = 0;
	struct worker *w, *longest = NULL;
	int ready = pool_ready_workers(p), least = p->settings.workers_min;

	if (p->is_candidate)
		return 0;
	if (p->is_outdated && least == 0)
		least = 1; /* what comes after it may not start */
	for (w = p->workers; w != NULL; w = w->next) {
		if (w->state != WORKER_READY)
			continue;
		worker_look_at_board(w);
		at = (int64_t)w->board.word[BOARD_STARTED] + limit;
		if (worker_is_busy(w))
			at = now + limit;
		else if (at <= now && ready > least &&
			 (longest == NULL ||
			     w->board.word[BOARD_STARTED] <
				 longest->board.word[BOARD_STARTED]))
			longest = w;
		if (at <= now)
			at = now + 1000;
		if (next == 0 || at < next)
			next = at;
	}
	if (longest != NULL) {
		pool_ask_imported(longest, now);
		worker_feed(longest, WORKER_ASKED, now);
	}
	return next;
}

void
pool_learn(struct pool *p, int64_t now)
{
	struct worker *w;
	int is_well = 0;

	for (w = p->workers; w != NULL; w = w->next) {
		if (w->state != WORKER_READY)
			continue;
		if (pool_may_ask(w, now))
			pool_ask_imported(w, now);
		is_well |= now - w->ready >= BACKOFF_READY_MS &&
			   w->ready > p->failed_at;
	}
	if (is_well && p->failures > 0)
		pool_recover(p, now);
}

int64_t
pool_look_at_log(struct pool *p, int64_t now)
{
	int64_t wait =
	    logfile_look(&p->log, (int64_t)p->settings.log_size * 1024 * 1024,
		p->settings.log_keep, now);
	struct worker *w;

	for (w = p->workers; w != NULL; w = w->next)
		if (p->log.fd != -1 && (w->log_device != p->log.device ||
					   w->log_inode != p->log.inode))
			(void)worker_give_log(
			    w, p->log.fd, p->log.device, p->log.inode);
	if (p->workers == NULL)
		logfile_close(&p->log);
	return wait;
}

void
pool_ask(struct pool *p, int64_t now)
{
	struct worker *w;

	for (w = p->workers; w != NULL; w = w->next)
		if (w->state == WORKER_READY)
			pool_ask_imported(w, now);
}

void
pool_interrupt(struct pool *p, int64_t now)
{
	struct worker *w, *next;

	pool_to_log(p, "where it is, most recent call first:");
	for (w = p->workers; w != NULL; w = next) {
		next = w->next;
		if (w->state == WORKER_READY)
			worker_feed(w, WORKER_SILENT, now);
	}
}

void
pool_drain(struct pool *p, int64_t now)
{
	struct worker *w, *next;

	TESTPOINT("supervisor:drain");
	p->is_draining = 1;
	if (!p->is_replaced)
		forkservers_leave(p->host->forkservers, p->app.name, now);
	if (p->queue_send != -1)
		shutdown(p->queue_send, SHUT_WR);
	for (w = p->workers; w != NULL; w = next) {
		next = w->next;
		if (w->state != WORKER_LEAVING)
			worker_feed(w, WORKER_ASKED, now);
	}
	pool_watch_queue(p);
	pool_finish(p, now);
}

/* --------------------------------------------------------- a candidate -- */

void
pool_begin(struct pool *p, int64_t now)
{
	p->is_candidate = 1;
	p->state = POOL_ASLEEP;
	p->failures = 0; /* of those before it */
	p->retry_at = 0;
	free(p->advice);
	p->advice = NULL;
	if (pool_make_queue(p) == -1)
		pool_fail(p, "resources", strerror(errno), NULL, -1, now);
	else
		pool_start(p, now);
}

void
pool_discard(struct pool *p, int64_t now)
{
	pool_close_queue(p); /* nobody waits there */
	pool_drain(p, now);
}

void
pool_take_place(struct pool *p, struct pool *old, int64_t now)
{
	struct worker *w;

	p->requests += old->requests;
	for (w = old->workers; w != NULL; w = w->next) {
		worker_look_at_board(w);
		p->requests += w->board.word[BOARD_REQUESTS];
	}
	p->is_candidate = 0;
	p->is_kept |= old->is_kept;
	pool_recover(p, now);
	old->is_replaced = 1;
	pool_keep_min(p, now);
	pool_watch_queue(p);
}

void
pool_stop(struct pool *p, int64_t now)
{
	struct worker *w, *next;

	if (p->is_stopped)
		return;
	log_info("%s: stopped by its owner", p->app.name);
	p->is_stopped = 1;
	forkservers_leave(p->host->forkservers, p->app.name, now);
	loop_cancel(p->host->loop, &p->retry);
	if (p->queue_send != -1) {
		shutdown(p->queue_send, SHUT_WR);
		for (int i = 0; i < POOL_STOP_TURNS && pool_has_waiting(p); i++)
			pool_answer_all(p);
	}
	pool_close_queue(p); /* workers have the other end, too */
	p->generation[0] = '\0';
	p->waiting = p->stranded = 0;
	for (w = p->workers; w != NULL; w = next) {
		next = w->next;
		if (w->state != WORKER_LEAVING)
			worker_feed(w, WORKER_ASKED, now);
	}
	pool_set_state(p);
}

void
pool_try_again(struct pool *p, int is_asked)
{
	p->hook.is_again |= is_asked;
	pool_recover(p, clock_ms());
	p->retry_at = 0;
}

void
pool_let_go_on(struct pool *p)
{
	if (!p->is_stopped)
		return;
	log_info("%s: may be started again", p->app.name);
	p->is_stopped = 0;
	p->state = POOL_ASLEEP;
	pool_try_again(p, 0);
}

int
pool_has(struct pool *p, uint64_t responder, uint64_t counter)
{
	struct worker *w;

	for (w = p->workers; w != NULL; w = w->next) {
		worker_look_at_board(w);
		if (w->board.word[BOARD_RESPONDER] == responder &&
		    w->board.word[BOARD_COUNTER] == counter)
			return 1;
	}
	return 0;
}

/* -------------------------------------------------------------- showing -- */

const char *
pool_state_name(const struct pool *p)
{
	static const char *const names[] = {
		[POOL_ASLEEP] = "asleep",
		[POOL_SETTING_UP] = "setting up",
		[POOL_STARTING] = "starting",
		[POOL_READY] = "ready",
		[POOL_FAILING] = "failing",
		[POOL_STOPPED] = "stopped",
		[POOL_MISSING] = "missing",
	};

	if (p->missing_since != 0)
		return "missing";
	if (p->is_stopped)
		return names[POOL_STOPPED];
	return p->app.refused != NULL ? "failing" : names[p->state];
}

/* clock_ms() as seconds since 1970, for people. */
static json_int_t
pool_wall(uint64_t at, int64_t now)
{
	return (json_int_t)clock_wall().tv_sec - (now - (int64_t)at) / 1000;
}

static json_t *
pool_describe_worker(struct worker *w, int64_t now)
{
	char url[4 * SCOREBOARD_URL_MOST + 8];
	uint64_t since;

	worker_look_at_board(w);
	since = w->board.word[BOARD_STARTED];
	if (w->state != WORKER_READY || since == 0)
		since = (uint64_t)w->started;
	log_escape(url, sizeof url, w->board.url, strlen(w->board.url));
	return json_pack("{s:I, s:s, s:I, s:I, s:s, s:b}", "pid",
	    (json_int_t)w->pid, "state", worker_shown(w), "requests",
	    (json_int_t)w->board.word[BOARD_REQUESTS], "since",
	    pool_wall(since, now), "url", worker_is_busy(w) ? url : "",
	    "accepting", w->has_sockets);
}

json_t *
pool_describe(struct pool *p, int64_t now)
{
	json_t *workers = json_array();
	uint64_t requests = p->requests;
	struct worker *w;
	unsigned queued = 0, claimed = 0;
	unsigned claims = p->host->claims(p->host, p);

	for (w = p->workers; w != NULL; w = w->next) {
		if (w->pid == 0)
			continue; /* ordered from a fork server */
		json_array_append_new(workers, pool_describe_worker(w, now));
		requests += w->board.word[BOARD_REQUESTS];
		claimed += worker_is_claimed(w);
	}
	if (pool_has_waiting(p))
		queued = claims > claimed ? claims - claimed : 1;
	return json_pack(
	    "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:I, s:i, s:o, "
	    "s:o}",
	    "type", "app", "name", p->app.name, "mount",
	    p->app.mount[0] != '\0' ? p->app.mount : "/", "directory",
	    p->app.directory, "state", pool_state_name(p), "entry",
	    p->entry != NULL ? p->entry : "", "python",
	    p->python != NULL ? p->python : "", "generation", p->generation,
	    "accelerator",
	    p->pure != NULL ? json_boolean(*p->pure == '\0') : json_null(),
	    "accelerator_reason", p->pure != NULL ? p->pure : "", "requests",
	    (json_int_t)requests, "queued", (int)queued, "workers", workers,
	    "hook", hook_describe(&p->hook));
}
