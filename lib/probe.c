#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/adapters.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/health.h"
#include "lib/launch.h"
#include "lib/link.h"
#include "lib/log.h"
#include "lib/probe.h"
#include "lib/worker.h"
#include "lib/xalloc.h"

#define PROBE_BOARDS "checks" /* in run/: their scoreboards, not workers' */
#define PROBE_LINE   160      /* bytes of the answer's first line */
#define PROBE_SPARE  5        /* seconds before it ends by itself */
#define PROBE_PIECE  4096     /* bytes read at once */

struct probe {
	struct worker worker;
	struct health health;
	struct watch output; /* what it prints */
	struct timer patience;
	struct loop *loop;
	const struct app *app;
	struct app_settings settings;
	json_t *result;
	int queue[2], get_timeout;
	int is_over, is_interrupted, was_asked;
	char text[PROBE_OUTPUT];
	size_t length;
};

/* ------------------------------------------------------------ the result -- */

/* Text of anybody's, as it may stand in a line. */
static json_t *
probe_line(const char *text, size_t n)
{
	char *shown = xcalloc(n + 2, 4);
	json_t *line = json_string(log_escape(shown, 4 * (n + 2), text, n));

	free(shown);
	return line;
}

static void
probe_set(struct probe *p, const char *key, const char *text)
{
	json_object_set_new(p->result, key, probe_line(text, strlen(text)));
}

/* What is wrong, said first, is what counts. */
static void
probe_fail(
    struct probe *p, const char *kind, const char *text, const char *detail)
{
	if (!json_is_null(json_object_get(p->result, "error")))
		return;
	json_object_set_new(p->result, "error",
	    json_pack("{s:s, s:o, s:s}", "kind", kind, "text",
		probe_line(text, strlen(text)), "detail", detail));
}

static void
probe_failed(struct probe *p, const char *kind, const struct problem *why)
{
	probe_fail(p, kind, why->text, "");
}

static json_t *
probe_nothing_yet(const struct app *app)
{
	static const char *const texts[] = { "entry", "why", "python",
		"python_why", "python_version", "framework",
		"framework_version", "reason", "content_type", "location",
		"first_line" };
	json_t *result = json_pack("{s:s, s:s, s:s, s:b, s:i, s:n}", "name",
	    app->name, "mount", app->mount[0] != '\0' ? app->mount : "/",
	    "directory", app->directory, "ok", 0, "status", 0, "error");

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		json_object_set_new(result, texts[i], json_string(""));
	return result;
}

/* ------------------------------------------------------------ the answer -- */

/* The value of a header, or NULL; ends where its line does. */
static const char *
probe_header(const char *headers, const char *name)
{
	size_t n = strlen(name);

	while (*headers != '\r' && *headers != '\n' && *headers != '\0') {
		if (strncasecmp(headers, name, n) == 0 && headers[n] == ':')
			return headers + n + 1 + strspn(headers + n + 1, " ");
		headers += strcspn(headers, "\n");
		headers += *headers == '\n';
	}
	return NULL;
}

static void
probe_set_line(struct probe *p, const char *key, const char *line)
{
	size_t n = line != NULL ? strcspn(line, "\r\n") : 0;

	if (n > PROBE_LINE)
		for (n = PROBE_LINE; n > 0 && (line[n] & 0xc0) == 0x80; n--)
			continue; /* whole characters */
	if (line != NULL)
		json_object_set_new(p->result, key, probe_line(line, n));
}

static void
probe_take_answer(struct probe *p)
{
	const char *headers = p->health.headers, *body = headers;
	const char *status = probe_header(headers, "Status");

	json_object_set_new(
	    p->result, "status", json_integer(p->health.status));
	if (status != NULL)
		status += strspn(status, "0123456789 ");
	probe_set_line(p, "reason", status != NULL ? status : "OK");
	probe_set_line(
	    p, "content_type", probe_header(headers, "Content-Type"));
	probe_set_line(p, "location", probe_header(headers, "Location"));
	while (*body != '\r' && *body != '\n' && *body != '\0') {
		body += strcspn(body, "\n");
		body += *body == '\n';
	}
	if (probe_header(headers, "Content-Encoding") == NULL)
		probe_set_line(p, "first_line", body + strspn(body, " \t\r\n"));
	if (p->health.status < 500)
		json_object_set_new(p->result, "ok", json_true());
	else
		probe_fail(p, "answer",
		    "it is started, but fails when it answers", "");
}

/* ------------------------------------------------------------ the worker -- */

/* It has shown what it can. */
static void
probe_dismiss(struct probe *p, int64_t now)
{
	loop_cancel(p->loop, &p->patience);
	worker_feed(&p->worker, WORKER_ASKED, now);
}

static void
probe_answered(struct health *h, int64_t now)
{
	struct probe *p =
	    (struct probe *)((char *)h - offsetof(struct probe, health));

	if (h->status == 0)
		return; /* its end comes next, or the limit */
	probe_take_answer(p);
	probe_dismiss(p, now);
}

static void
probe_late(struct timer *t, int64_t now)
{
	struct probe *p =
	    (struct probe *)((char *)t - offsetof(struct probe, patience));
	struct problem why;

	if (p->health.is_done)
		problem_set(&why, "it gave no whole answer");
	else
		problem_set(&why,
		    "GET / had no answer in %d seconds: what it prints below "
		    "ends with the place where it is",
		    p->get_timeout);
	probe_failed(p, "timeout", &why);
	worker_feed(&p->worker, WORKER_SILENT, now);
}

static void
probe_ask(struct probe *p, int64_t now)
{
	int64_t end = now + 1000 * (int64_t)p->get_timeout;
	struct problem why;

	p->was_asked = 1;
	p->health.done = probe_answered;
	if (loop_timer(p->loop, &p->patience, end) == 0 &&
	    health_ask(
		&p->health, p->loop, p->queue[0], p->app, "/", 0, 1, end) == 0)
		return;
	problem_sys(&why, "it cannot be asked for a page");
	probe_failed(p, "resources", &why);
	probe_dismiss(p, now);
}

static void
probe_ended(struct probe *p)
{
	struct problem why;
	char how[128];

	problem_set(&why, "its process ended while it was %s: %s",
	    p->was_asked ? "answering" : "imported",
	    proc_status_text(p->worker.status, how, sizeof how));
	if (json_is_false(json_object_get(p->result, "ok")))
		probe_failed(p, "died", &why);
	p->is_over = 1;
}

static void
probe_changed(struct worker *w, enum worker_state was, int64_t now)
{
	struct probe *p = w->owner;
	struct problem why;

	if (w->state == WORKER_STUCK && was == WORKER_STARTING) {
		problem_set(&why,
		    "it was not imported in %d seconds (start_timeout): what "
		    "it prints below ends with the place where it is",
		    p->settings.start_timeout);
		probe_failed(p, "timeout", &why);
	} else if (w->state == WORKER_READY)
		probe_ask(p, now);
	else if (w->state == WORKER_DEAD)
		probe_ended(p);
}

static void
probe_said(struct worker *w, const json_t *message, int64_t now)
{
	static const char *const told[] = { "entry", "why", "framework",
		"framework_version", "python_version" };
	const char *type = link_string(message, "type");
	struct probe *p = w->owner;

	(void)now;
	if (strcmp(type, "ready") != 0 && strcmp(type, "failed") != 0)
		return;
	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
		probe_set(p, told[i], link_string(message, told[i]));
	if (strcmp(type, "failed") == 0)
		probe_fail(p, link_string(message, "kind"),
		    link_string(message, "text"),
		    link_string(message, "detail"));
}

/* The end of what it prints. */
static void
probe_hear(struct watch *watch, short got, int64_t now)
{
	struct probe *p =
	    (struct probe *)((char *)watch - offsetof(struct probe, output));
	char piece[PROBE_PIECE];
	size_t over;
	ssize_t n = read(watch->fd, piece, sizeof piece);

	(void)got;
	(void)now;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_unwatch(p->loop, watch);
		fd_close(&watch->fd);
		return;
	}
	over = p->length + (size_t)n > sizeof p->text
		   ? p->length + (size_t)n - sizeof p->text
		   : 0;
	memmove(p->text, p->text + over, p->length - over);
	memcpy(p->text + p->length - over, piece, (size_t)n);
	p->length += (size_t)n - over;
}

/* -------------------------------------------------------------- the trial --
 */

static int
probe_stale(const char *name)
{
	long pid;

	return (sscanf(name, "check.%ld", &pid) == 1 ||
		   sscanf(name, "new.%ld", &pid) == 1) &&
	       !proc_alive((pid_t)pid, 0);
}

/* Where scoreboards lie that are nobody else's business. -1 with the reason. */
static int
probe_boards(const struct account *a, struct problem *why)
{
	char *path = xprintf("%s/" PROBE_BOARDS, a->run);
	int fd = -1;

	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		problem_sys(why, "cannot make %s", path);
	else if ((fd = open(path,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		problem_sys(why, "cannot open %s", path);
	else
		fd_remove_stale(fd, probe_stale);
	free(path);
	return fd;
}

/* Everything is known: 0 if it runs. */
static int
probe_start(struct probe *p, const struct account *a,
    const struct python *python, const char *place, struct problem *why)
{
	int limit = p->settings.start_timeout + p->get_timeout +
		    p->settings.stop_timeout + PROBE_SPARE;
	char *word = xprintf("alarm=%d", limit);
	const char *more[] = { "describe=1", word, NULL };
	struct launch_what what = { .account = a,
		.app = p->app,
		.settings = &p->settings,
		.python = python,
		.adapters = place,
		.workers_max = p->settings.workers_max != 0
				   ? p->settings.workers_max
				   : settings_workers_default(),
		.more = more };
	struct worker_how how = { .loop = p->loop,
		.boards_dir = probe_boards(a, why),
		.generation = "check",
		.start_timeout = (int64_t)p->settings.start_timeout * 1000,
		.stop_timeout = (int64_t)p->settings.stop_timeout * 1000 };
	int printed[2] = { -1, -1 }, result = -1;
	struct launch l;

	launch_init(&l, &what);
	how.spec = &l.spec;
	how.first = l.first;
	if (how.boards_dir == -1)
		;
	else if (fd_pipe(printed) == -1 || fd_nonblock(printed[0]) == -1 ||
		 fd_pair_seqpacket(p->queue) == -1)
		problem_sys(why, "it cannot be tried");
	else {
		p->output.fd = printed[0];
		l.spec.fd[1] = l.spec.fd[2] = printed[1];
		l.spec.fd[4] = p->queue[1];
		if (loop_watch(p->loop, &p->output) == 0)
			result =
			    worker_start(&p->worker, &how, clock_ms(), why);
		else
			problem_sys(why, "it cannot be tried");
	}
	fd_close(&printed[1]);
	if (p->output.fd == -1)
		fd_close(&printed[0]);
	fd_close(&p->queue[1]);
	p->worker.proc.takes_group = 1; /* nothing of it stays */
	while (result == 0 && !p->is_over)
		loop_turn(p->loop);
	fd_close(&how.boards_dir);
	launch_release(&l);
	free(word);
	return result;
}

static void
probe_run(struct probe *p, const struct account *a)
{
	char *path = xprintf("%s/mamayo.json", p->app->directory);
	struct python python = { 0 };
	char *place = NULL;
	struct problem why;

	if (p->app->refused != NULL)
		probe_fail(p, "refused", p->app->refused, "");
	else if (app_settings_read(path, &a->settings, &p->settings, &why) ==
		 -1)
		probe_failed(p, "settings", &why);
	else if (python_find(p->app->directory, &p->settings, a->home, &python,
		     &why) == -1)
		probe_failed(p, "python", &why);
	else {
		probe_set(p, "python", python.path);
		probe_set(p, "python_why", python.why);
		p->get_timeout = p->settings.timeout < PROBE_GET_S
				     ? p->settings.timeout
				     : PROBE_GET_S;
		place = adapters_unpack(a->run, &why);
		if (place == NULL ||
		    probe_start(p, a, &python, place, &why) == -1)
			probe_failed(p, "resources", &why);
	}
	python_release(&python);
	free(place);
	free(path);
}

static void
probe_interrupt(void *owner, int64_t now)
{
	struct probe *p = owner;

	(void)now;
	p->is_interrupted = 1;
	proc_kill_group(&p->worker.proc, SIGKILL);
}

static void
probe_reap(void *owner, int64_t now)
{
	(void)owner;
	proc_reap(now);
}

/* What it has printed, line by line. */
static void
probe_finish_output(struct probe *p)
{
	json_t *lines = json_array();
	const char *at = p->text, *end = p->text + p->length, *line_end;
	size_t before;

	do { /* what nobody has read yet */
		before = p->length;
		if (p->output.fd != -1)
			probe_hear(&p->output, 0, 0);
	} while (p->length != before && p->length < sizeof p->text);
	for (; at < end; at = line_end + 1) {
		line_end = memchr(at, '\n', (size_t)(end - at));
		if (line_end == NULL)
			line_end = end;
		json_array_append_new(
		    lines, probe_line(at, (size_t)(line_end - at)));
	}
	json_object_set_new(p->result, "output", lines);
}

static void
probe_release(struct probe *p)
{
	health_end(&p->health);
	loop_cancel(p->loop, &p->patience);
	loop_unwatch(p->loop, &p->output);
	fd_close(&p->output.fd);
	fd_close(&p->queue[0]);
	app_settings_release(&p->settings);
	free(p);
}

json_t *
probe_try(struct loop *loop, const struct account *a, const struct app *app)
{
	struct probe *p = xcalloc(1, sizeof *p);
	json_t *result = probe_nothing_yet(app);

	p->loop = loop;
	p->app = app;
	p->result = result;
	p->queue[0] = p->queue[1] = -1;
	p->output =
	    (struct watch){ .fd = -1, .want = POLLIN, .ready = probe_hear };
	p->patience.due = probe_late;
	p->worker.said = probe_said;
	p->worker.changed = probe_changed;
	p->worker.owner = p;
	app_settings_copy(&p->settings, &a->settings.app);
	loop_signal(loop, SIGCHLD, probe_reap, p);
	loop_signal(loop, SIGINT, probe_interrupt, p);
	loop_signal(loop, SIGTERM, probe_interrupt, p);
	loop_signal(loop, SIGHUP, probe_interrupt, p);
	probe_run(p, a);
	probe_finish_output(p);
	if (p->is_interrupted) {
		json_decref(result);
		result = NULL;
	}
	probe_release(p);
	return result;
}
