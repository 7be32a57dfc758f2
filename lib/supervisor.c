#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/account.h"
#include "lib/adapters.h"
#include "lib/clock.h"
#include "lib/discover.h"
#include "lib/fd.h"
#include "lib/forkserver.h"
#include "lib/hook.h"
#include "lib/lease.h"
#include "lib/lending.h"
#include "lib/link.h"
#include "lib/listen.h"
#include "lib/log.h"
#include "lib/logfile.h"
#include "lib/loop.h"
#include "lib/mail.h"
#include "lib/orphan.h"
#include "lib/page.h"
#include "lib/pool.h"
#include "lib/proc.h"
#include "lib/reload.h"
#include "lib/stopped.h"
#include "lib/supervisor.h"
#include "lib/testpoint.h"
#include "lib/trace.h"
#include "lib/xalloc.h"

#define SUPERVISOR_ROUTES   24000 /* bytes of routes: then another message */
#define SUPERVISOR_BUSY_FOR 2000  /* ms of looking after an `active` */
#define SUPERVISOR_SNDBUF   (1024 * 1024)
#define SUPERVISOR_COMPLAIN 60000 /* ms between lines about strangers */

#define PEER_NO_APP "the supervisor finds no such application"
#define PEER_ASLEEP \
	"no worker of it runs: its next request starts what is there"
#define PEER_STARTS                                                \
	4 /* start_timeouts until a restart is settled: the import \
	   * and the health of two generations */

enum peer_role { PEER_UNKNOWN, PEER_RESPONDER, PEER_COMMAND, PEER_WORKER };

/* Whoever is connected to run/sock. */
struct peer {
	struct watch watch;
	struct timer hello; /* how long it may stay unknown */
	struct supervisor *supervisor;
	enum peer_role role;
	pid_t pid;
	uint64_t responder; /* of its sequence numbers */
	uint64_t ticket;    /* of the reload that it waits for; 0: of none */
	char *waits_for;    /* and the app's name */
	int64_t since;
	json_t *claims; /* app: requests in flight */
	json_t *wants;  /* apps whose queue it gets, or which it wants to have
			 * restarted, when it is clear which queue they have */
	json_t *attach; /* what a worker has said that nobody knows yet */
	struct peer *next, **link;
};

/* A process that spawned a responder: while it lives, more may come. */
struct parent {
	pid_t pid;
	uint64_t start;
	struct parent *next;
};

struct supervisor {
	struct pool_host host; /* first: pools know us by its address */
	struct forkservers forkservers;
	struct hooks hooks;
	struct mail mail;
	struct loop *loop;
	struct account account;
	struct lease lease;
	struct watch listener;
	struct timer tick;    /* once a second: lease, farewell, idle workers */
	struct timer look;    /* while requests are in flight */
	struct timer again;   /* a directory that is away */
	struct timer settled; /* who comes after the last supervisor has come */
	struct orphans orphans;
	struct timer logs; /* while one grows fast */
	struct peer *peers;
	size_t npeers;
	struct parent *parents;
	struct lending lending;
	int is_lending; /* a worker has sockets, as responders know */
	struct discovery found;
	uint64_t stamp;
	struct pool *pools;
	struct reloads reloads;
	int64_t active_until;
	int64_t since, without_workers, alone_since; /* clock_ms(); 0: not so */
	int64_t complained;
	int64_t met_other;     /* when another version was last logged; or 0 */
	int64_t had_responder; /* when the last one was there, or its start */
	int is_leaving;        /* drains its pools, then goes ... */
	int is_retired; /* ... and somebody else may supervise meanwhile */
	int is_over;
};

static void supervisor_look_soon(struct supervisor *, int64_t);
static void supervisor_tell_routes(struct supervisor *);
static void supervisor_lend(struct supervisor *, int64_t);
static void supervisor_stay(struct supervisor *, int64_t);
static void supervisor_retire(struct supervisor *, const char *, int64_t);

/* ---------------------------------------------------------------- pools -- */

static int
supervisor_workers(const struct supervisor *s)
{
	const struct pool *p;
	int n = 0;

	for (p = s->pools; p != NULL; p = p->next)
		n += p->nworkers;
	return n;
}

/* Every app may have one worker; beyond that there is a ceiling for all. */
static int
supervisor_may_grow(struct pool_host *host, struct pool *p)
{
	struct supervisor *s = (struct supervisor *)host;
	int most = s->account.settings.max_workers;

	if (most == 0)
		most = settings_total_default();
	return !pool_is_served(p) || supervisor_workers(s) < most;
}

static unsigned
supervisor_claims(struct pool_host *host, const struct pool *p)
{
	const struct supervisor *s = (struct supervisor *)host;
	const struct peer *peer;
	unsigned n = 0;

	for (peer = s->peers; peer != NULL; peer = peer->next)
		n += (unsigned)link_int(peer->claims, p->app.name);
	return n;
}

/* Says something; takes message. Where that is impossible the link is given up:
 * a responder makes another one, on which everything is said anew. */
static void
peer_tell(struct peer *peer, json_t *message)
{
	if (link_send(peer->watch.fd, message, NULL, 0) == -1)
		shutdown(peer->watch.fd, SHUT_RDWR);
}

static void
supervisor_verdict(struct pool_host *host, const struct board *board,
    int has_ended, int status, const char *code, const char *text,
    const char *detail)
{
	struct supervisor *s = (struct supervisor *)host;
	struct peer *peer;

	for (peer = s->peers; peer != NULL; peer = peer->next)
		if (peer->role == PEER_RESPONDER &&
		    peer->responder == board->word[BOARD_RESPONDER])
			peer_tell(peer,
			    json_pack(
				"{s:s, s:I, s:i, s:s, s:s, s:s, s:b, s:I}",
				"type", "verdict", "counter",
				(json_int_t)board->word[BOARD_COUNTER],
				"status", status, "code", code, "text", text,
				"detail", detail, "ended", has_ended, "wrote",
				(json_int_t)board->word[BOARD_WROTE]));
}

static void
supervisor_incident(struct pool_host *host, const struct pool *p,
    const char *kind, const char *subject, const char *text)
{
	mail_incident(&((struct supervisor *)host)->mail, kind, p->app.name,
	    subject, text);
}

static void
supervisor_broadcast(struct supervisor *s, json_t *message)
{
	struct peer *peer;

	for (peer = s->peers; peer != NULL; peer = peer->next)
		if (peer->role == PEER_RESPONDER)
			peer_tell(peer, json_incref(message));
	json_decref(message);
}

/* What a responder is to know of an app and its queue. */
static json_t *
supervisor_terms(const struct pool *p, const char *type)
{
	const struct app_settings *settings = &p->settings;

	return json_pack(
	    "{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:I, s:I}",
	    "type", type, "name", p->app.name, "generation", p->generation,
	    "queue", settings->queue, "max", p->max, "timeout",
	    settings->timeout, "queue_timeout", settings->queue_timeout,
	    "start_timeout", settings->start_timeout, "debug", settings->debug,
	    "ready", p->state == POOL_READY, "crashes", (json_int_t)p->crashes,
	    "requests", (json_int_t)p->requests);
}

static struct pool *
supervisor_pool(struct supervisor *s, const char *name)
{
	struct pool *p;

	for (p = s->pools; p != NULL; p = p->next)
		if (pool_is_current(p) && strcmp(p->app.name, name) == 0)
			return p;
	return NULL;
}

/* What has become of that which a command has asked for. */
static void
peer_conclude(struct peer *peer, const char *type, const char *text)
{
	peer_tell(peer, json_pack("{s:s, s:s}", "type", type, "text", text));
}

/* No more requests go into its queue. */
static void
supervisor_tell_gone(struct supervisor *s, const struct pool *p, int serves)
{
	if (p->generation[0] != '\0' && !p->is_candidate)
		supervisor_broadcast(
		    s, json_pack("{s:s, s:s, s:b}", "type", "gone",
			   "generation", p->generation, "serves", serves));
}

static void
supervisor_gone(struct pool_host *host, struct pool *p)
{
	supervisor_tell_gone((struct supervisor *)host, p, 0);
}

static void
supervisor_forget_pool(struct supervisor *s, struct pool *p)
{
	struct pool **link;

	reload_forget(&s->reloads, p, clock_ms());

	for (link = &s->pools; *link != p; link = &(*link)->next)
		continue;
	*link = p->next;
	pool_free(p);
}

/* A pool's workers have changed. May free p. */
static void
supervisor_changed(struct pool_host *host, struct pool *p, int64_t now)
{
	struct supervisor *s = (struct supervisor *)host;

	if (pool_is_current(p)) {
		supervisor_broadcast(s, supervisor_terms(p, "app"));
		if (p->has_new_static)
			supervisor_tell_routes(s);
		p->has_new_static = 0;
	} else if (p->is_draining && p->workers == NULL)
		supervisor_forget_pool(s, p);
	else
		reload_changed(&s->reloads, p, now);
	if (supervisor_workers(s) == 0)
		s->without_workers = now;
	supervisor_look_soon(s, now);
	supervisor_lend(s, now);
}

/* A candidate stands beside the pool whose place it wants. */
static void
supervisor_reload_begun(struct reloads *all, struct pool *candidate)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)all -
				  offsetof(struct supervisor, reloads));
	struct pool *old = supervisor_pool(s, candidate->app.name);

	TESTPOINT("supervisor:reload-begun");
	candidate->next = old->next;
	old->next = candidate;
}

/* What a responder sends to the old queue from now on comes back to it, and it
 * asks for the new one. */
static void
supervisor_reload_over(
    struct reloads *all, struct pool *old, struct pool *new, int64_t now)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)all -
				  offsetof(struct supervisor, reloads));

	TESTPOINT("supervisor:reload-over");
	new->has_new_static = !pool_has_same_static(new, old->settings.static_);
	supervisor_tell_gone(s, old, 1);
	TESTPOINT("supervisor:told-gone");
	pool_drain(old, now);
	TESTPOINT("supervisor:drained");
	s->host.changed(&s->host, old, now); /* may free it */
	s->host.changed(&s->host, new, now);
}

static void
supervisor_reload_settled(
    struct reloads *all, const char *app, uint64_t ticket, const char *failure)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)all -
				  offsetof(struct supervisor, reloads));
	struct peer *peer;

	for (peer = s->peers; peer != NULL; peer = peer->next) {
		if (peer->ticket == 0 || peer->ticket > ticket ||
		    strcmp(peer->waits_for, app) != 0)
			continue;
		peer->ticket = 0;
		if (failure == NULL)
			peer_conclude(peer, "done", "a new generation serves");
		else
			peer_conclude(peer, "error", failure);
	}
}

/* What has waited for it goes on. */
static void
supervisor_hook_over(struct hooks *all, const char *app, int64_t now)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)all -
				  offsetof(struct supervisor, hooks));
	struct pool *p, *next;

	for (p = s->pools; p != NULL; p = next) {
		next = p->next;
		if (strcmp(p->app.name, app) == 0)
			pool_go_on(p, now);
	}
}

/* The last fork server has gone. */
static void
supervisor_without_forkservers(struct forkservers *all, int64_t now)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)all -
				  offsetof(struct supervisor, forkservers));

	if (supervisor_workers(s) == 0)
		s->without_workers = now;
}

/* A retired one leaves that to its successor: two would copy at a time. What
 * an app that is asleep has left behind may write, too. */
static void
supervisor_look_at_logs(struct supervisor *s, int with_asleep, int64_t now)
{
	const struct app_settings *ours = &s->account.settings.app;
	int64_t wait = LOGFILE_SLOW_MS, one;
	struct pool *p;

	if (s->is_retired)
		return;
	if (logfile_rename(s->account.log,
		(int64_t)ours->log_size * 1024 * 1024, ours->log_keep))
		(void)log_open(s->account.log);
	for (p = s->pools; p != NULL; p = p->next) {
		if (p->workers == NULL && !with_asleep)
			continue;
		one = pool_look_at_log(p, now);
		if (one < wait)
			wait = one;
	}
	if (wait < SUPERVISOR_TICK)
		(void)loop_timer(s->loop, &s->logs, now + wait);
}

static void
supervisor_logs_due(struct timer *t, int64_t now)
{
	supervisor_look_at_logs(
	    (struct supervisor *)((char *)t -
				  offsetof(struct supervisor, logs)),
	    1, now);
}

static void
supervisor_look_due(struct timer *t, int64_t now)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)t -
				  offsetof(struct supervisor, look));
	struct pool *p, *next;
	int more = now < s->active_until;

	for (p = s->pools; p != NULL; p = next) {
		next = p->next;
		more |= pool_look(p, now);
		reload_look(&s->reloads, p, now);
	}
	supervisor_look_at_logs(s, 0, now);
	if (more && s->look.place == 0)
		(void)loop_timer(s->loop, &s->look, now + POOL_LOOK_MS);
}

static void
supervisor_look_soon(struct supervisor *s, int64_t now)
{
	s->active_until = now + SUPERVISOR_BUSY_FOR;
	if (s->look.place == 0)
		(void)loop_timer(s->loop, &s->look, now + POOL_LOOK_MS);
}

/* ------------------------------------------------------------ discovery -- */

static void
supervisor_drop(struct supervisor *s, struct pool *p, int64_t now)
{
	log_info("%s: its directory has gone; it is not served any more",
	    p->app.name);
	reload_forget(&s->reloads, p, now);
	supervisor_tell_gone(s, p, 0);
	pool_drain(p, now);
	if (p->workers == NULL)
		supervisor_forget_pool(s, p);
}

/* An app that is not there any more gets a moment: a deploy by renaming takes
 * its directory away for an instant. */
static void
supervisor_missing(struct supervisor *s, struct pool *p, int64_t now)
{
	if (p->missing_since == 0) {
		p->missing_since = now;
		(void)loop_timer(s->loop, &s->again, now + SUPERVISOR_MISSING);
	} else if (now - p->missing_since >= SUPERVISOR_MISSING)
		supervisor_drop(s, p, now);
}

/* Does what its owner wants, who may have stopped it. */
static void
supervisor_obey(struct supervisor *s, struct pool *p, int64_t now)
{
	if (!stopped_is(s->account.root, p->app.name)) {
		pool_let_go_on(p);
		return;
	}
	if (p->is_stopped)
		return;
	reload_forget(&s->reloads, p, now);
	supervisor_tell_gone(s, p, 0);
	pool_stop(p, now);
}

/* Makes the pools agree with what was found. */
static void
supervisor_match(struct supervisor *s, int64_t now)
{
	const struct app *app;
	struct pool *p, *next, **link;
	size_t i;

	for (p = s->pools; p != NULL; p = next) {
		next = p->next;
		if (!pool_is_current(p))
			continue;
		for (i = 0; i < s->found.napps; i++)
			if (strcmp(s->found.apps[i].name, p->app.name) == 0)
				break;
		if (i == s->found.napps)
			supervisor_missing(s, p, now);
		else {
			pool_found(p, &s->found.apps[i]);
			supervisor_obey(s, p, now);
		}
	}
	for (i = 0; i < s->found.napps; i++) {
		app = &s->found.apps[i];
		if (supervisor_pool(s, app->name) != NULL)
			continue;
		p = pool_new(&s->host, app);
		hooks_meet(&s->hooks, app);
		for (link = &s->pools;
		     *link != NULL && strcmp((*link)->app.name, app->name) < 0;
		     link = &(*link)->next)
			continue; /* sorted by name, as people read them */
		p->next = *link;
		*link = p;
		if (app->refused != NULL)
			log_warn(
			    "%s is not served: %s", app->name, app->refused);
		else
			log_info("found %s in %s", app->name, app->directory);
		supervisor_obey(s, p, now);
	}
}

static void
supervisor_scan(struct supervisor *s, int64_t now)
{
	struct problem why;
	uint64_t before;

	/* until nothing changes while we look, so that the stamp is of what
	 * was found */
	for (int i = 0; i < 3; i++) {
		before = discover_stamp(s->found.groups, s->found.ngroups);
		if (account_discover(&s->account, &s->found, &why) == -1) {
			log_error("%s", why.text);
			return;
		}
		s->stamp = discover_stamp(s->found.groups, s->found.ngroups);
		if (s->stamp == before)
			break;
	}
	for (size_t i = 0; i < s->found.nremarks; i++)
		log_info("%s", s->found.remarks[i]);
	supervisor_match(s, now);
	supervisor_lend(s, now);
}

/* Sends a part of the table, and begins the next. -1 if it cannot be sent. */
static int
supervisor_send_part(struct supervisor *s, struct peer *peer, int is_first,
    int is_last, json_t *apps, json_t *groups)
{
	char stamp[17];
	int result;

	snprintf(stamp, sizeof stamp, "%016llx", (unsigned long long)s->stamp);
	result = link_send(peer->watch.fd,
	    json_pack("{s:s, s:b, s:b, s:s, s:O, s:O}", "type", "routes",
		"first", is_first, "last", is_last, "stamp", stamp, "apps",
		apps, "groups", groups),
	    NULL, 0);
	json_array_clear(apps);
	json_array_clear(groups);
	return result;
}

static void
supervisor_add_place(
    json_t *places, const char *at, size_t n, const char *where)
{
	json_array_append_new(places, json_stringn(at, n));
	json_array_append_new(places, json_string(where));
}

/*
 * What is served without the app, the longer address first; its directory
 * public/ last. They are sorted: of two that begin alike the longer one is in
 * front, as "/" comes before "=", unless the other is "/" itself.
 */
static json_t *
supervisor_static(const struct pool *p)
{
	json_t *places = json_array();
	char *const *name = p->settings.static_;
	const char *equals, *root = NULL;

	for (; name != NULL && *name != NULL; name++) {
		equals = strchr(*name, '=');
		if (equals == *name + 1)
			root = equals + 1;
		else
			supervisor_add_place(places, *name,
			    (size_t)(equals - *name), equals + 1);
	}
	if (root != NULL)
		supervisor_add_place(places, "", 0, root);
	supervisor_add_place(places, "", 0, "public");
	return places;
}

static json_t *
supervisor_route(const struct pool *p)
{
	json_t *route = json_pack("{s:s, s:s, s:s}", "host", p->app.host,
	    "mount", p->app.mount, "name", p->app.name);

	if (p->app.refused == NULL)
		json_object_set_new(route, "static", supervisor_static(p));
	return route;
}

/* The table of routes, in as many messages as it needs. A responder that
 * cannot be told is hung up on: it comes again. */
static void
supervisor_send_routes(struct supervisor *s, struct peer *peer)
{
	json_t *apps = json_array(), *groups = json_array();
	json_t *route;
	size_t bytes = 0, group = 0;
	struct pool *p = s->pools;
	int is_first = 1, failed = 0;

	while (!failed && (p != NULL || group < s->found.ngroups)) {
		if (bytes > SUPERVISOR_ROUTES) {
			failed = supervisor_send_part(
			    s, peer, is_first, 0, apps, groups);
			is_first = 0;
			bytes = 0;
		} else if (group < s->found.ngroups) {
			json_array_append_new(
			    groups, json_string(s->found.groups[group]));
			bytes += strlen(s->found.groups[group++]) + 8;
		} else {
			if (pool_is_current(p)) {
				route = supervisor_route(p);
				bytes += json_dumpb(route, NULL, 0, 0) + 2;
				json_array_append_new(apps, route);
			}
			p = p->next;
		}
	}
	if (failed ||
	    supervisor_send_part(s, peer, is_first, 1, apps, groups) == -1) {
		log_warn(
		    "cannot tell a responder the routes: %s", strerror(errno));
		shutdown(peer->watch.fd, SHUT_RDWR);
	}
	json_decref(apps);
	json_decref(groups);
}

static void
supervisor_tell_routes(struct supervisor *s)
{
	struct peer *peer;

	for (peer = s->peers; peer != NULL; peer = peer->next)
		if (peer->role == PEER_RESPONDER)
			supervisor_send_routes(s, peer);
}

static void
supervisor_again_due(struct timer *t, int64_t now)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)t -
				  offsetof(struct supervisor, again));

	supervisor_scan(s, now);
	supervisor_tell_routes(s);
}

/* ------------------------------------------------------- lending sockets -- */

static char *
supervisor_public(const struct pool *p)
{
	return xprintf("%s/public", p->app.directory);
}

/* The one app that every request is for, whatever its address; NULL if there
 * is none, or if not every request is for its workers. */
static struct pool *
supervisor_single(struct supervisor *s)
{
	struct pool *p, *single = NULL;
	char *public;
	int has_files;

	if (s->is_leaving || s->lending.sockets == NULL)
		return NULL;
	for (p = s->pools; p != NULL; p = p->next) {
		if (!pool_is_current(p))
			continue;
		if (single != NULL)
			return NULL;
		single = p;
	}
	if (single == NULL || single->app.refused != NULL ||
	    single->settings.static_ != NULL || single->is_stopped ||
	    single->missing_since != 0 || single->app.host[0] != '\0' ||
	    single->settings.accept == ACCEPT_NEVER ||
	    (single->settings.accept == ACCEPT_AS_ROOT &&
		single->app.mount[0] != '\0'))
		return NULL;
	public = supervisor_public(single);
	has_files = access(public, F_OK) == 0;
	free(public);
	return has_files ? NULL : single;
}

static void
supervisor_take_back(struct supervisor *s)
{
	struct pool *p;
	struct worker *w;

	for (p = s->pools; p != NULL; p = p->next)
		for (w = p->workers; w != NULL; w = w->next)
			lending_take_back(w);
}

static int
pool_wants_sockets(const struct pool *p)
{
	const struct worker *w;

	for (w = p->workers; w != NULL; w = w->next)
		if (w->state == WORKER_READY && w->can_accept &&
		    !w->has_sockets)
			return 1;
	return 0;
}

/* Tells responders when the last worker that had sockets has none. */
static void
supervisor_note_lending(struct supervisor *s)
{
	const struct pool *p;
	const struct worker *w;
	int is_lending = 0;

	for (p = s->pools; p != NULL; p = p->next)
		for (w = p->workers; w != NULL; w = w->next)
			is_lending |= w->has_sockets;
	if (s->is_lending && !is_lending)
		supervisor_broadcast(s, json_pack("{s:s}", "type", "returned"));
	s->is_lending = is_lending;
}

/* Lends the sockets there are to the workers of the only app, or takes them
 * back: called whenever that may have changed, and once a second. */
static void
supervisor_lend(struct supervisor *s, int64_t now)
{
	struct pool *p = supervisor_single(s);
	struct worker *w;
	char *public;

	(void)now;
	if (p == NULL)
		supervisor_take_back(s);
	else if (pool_wants_sockets(p) &&
		 lending_look(&s->lending, s->found.groups, s->found.ngroups) &&
		 discover_stamp(s->found.groups, s->found.ngroups) ==
		     s->stamp) { /* else the next tick tries again */
		public = supervisor_public(p);
		for (w = p->workers; w != NULL; w = w->next)
			if (w->state == WORKER_READY)
				lending_give(
				    &s->lending, w, p->app.mount, public);
		free(public);
	}
	supervisor_note_lending(s);
}

/* A worker waits at the sockets: responders are to wait behind it. */
static void
supervisor_lent(struct pool_host *host, int64_t now)
{
	(void)now;
	supervisor_broadcast(
	    (struct supervisor *)host, json_pack("{s:s}", "type", "lent"));
}

static void
supervisor_places_changed(struct pool_host *host, int64_t now)
{
	struct supervisor *s = (struct supervisor *)host;

	(void)loop_timer(s->loop, &s->again, now); /* not within a worker's */
}

/* Everybody who waits at the sockets is to look: a wake-up was given to one
 * who does not come, or who has died. */
static void
supervisor_nudge(struct supervisor *s)
{
	struct pool *p;

	for (p = s->pools; p != NULL; p = p->next)
		pool_nudge(p);
	supervisor_broadcast(s, json_pack("{s:s}", "type", "lent"));
}

/* The web server behind the sockets is one that needs responders. */
static void
supervisor_unwanted(struct pool_host *host, int64_t now)
{
	struct supervisor *s = (struct supervisor *)host;

	lending_release(&s->lending);
	supervisor_lend(s, now); /* which takes back what the others have */
}

/* Workers that accept connections have requests that no responder tells us
 * of. */
static void
supervisor_look_at_accepting(struct supervisor *s, int64_t now)
{
	struct pool *p;
	struct worker *w;
	int is_accepting = 0;

	for (p = s->pools; p != NULL; p = p->next) {
		for (w = p->workers; w != NULL; w = w->next)
			if (w->has_sockets)
				break;
		is_accepting |= w != NULL;
		if (w != NULL && pool_look(p, now))
			supervisor_look_soon(s, now);
		if (w != NULL)
			reload_look(&s->reloads, p, now);
	}
	if (is_accepting && lending_is_stranded(&s->lending))
		supervisor_nudge(s);
}

/* ---------------------------------------------------------------- peers -- */

static void
peer_free(struct peer *peer)
{
	struct supervisor *s = peer->supervisor;

	if (lending_bury(&s->lending, peer)) /* who has some gives them back */
		supervisor_take_back(s);
	loop_unwatch(s->loop, &peer->watch);
	loop_cancel(s->loop, &peer->hello);
	fd_close(&peer->watch.fd);
	json_decref(peer->claims);
	json_decref(peer->wants);
	json_decref(peer->attach);
	free(peer->waits_for);
	if (peer->role == PEER_RESPONDER)
		s->had_responder = clock_ms();
	if ((*peer->link = peer->next) != NULL)
		peer->next->link = peer->link;
	s->npeers--;
	free(peer);
}

/* A worker that nobody knows: it serves what is queued, and leaves. */
static void
peer_dismiss(struct peer *peer)
{
	peer_tell(peer, json_pack("{s:s}", "type", "leave"));
	peer_free(peer);
}

static void
peer_hello_due(struct timer *t, int64_t now)
{
	struct peer *peer =
	    (struct peer *)((char *)t - offsetof(struct peer, hello));

	(void)now;
	if (peer->role == PEER_WORKER)
		peer_dismiss(peer);
	else
		peer_free(peer);
}

static void
supervisor_know_parent(struct supervisor *s, pid_t pid, uint64_t start)
{
	struct parent *parent;

	for (parent = s->parents; parent != NULL; parent = parent->next)
		if (parent->pid == pid && parent->start == start)
			return;
	parent = xcalloc(1, sizeof *parent);
	parent->pid = pid;
	parent->start = start;
	parent->next = s->parents;
	s->parents = parent;
}

static int
supervisor_has_parent(struct supervisor *s)
{
	struct parent **link = &s->parents, *parent;

	while ((parent = *link) != NULL) {
		if (proc_alive(parent->pid, parent->start))
			return 1;
		*link = parent->next;
		free(parent);
	}
	return 0;
}

static int
supervisor_has_responder(const struct supervisor *s)
{
	const struct peer *peer;

	for (peer = s->peers; peer != NULL; peer = peer->next)
		if (peer->role == PEER_RESPONDER)
			return 1;
	return 0;
}

/* Requests that were lost with workers that ended while there was no
 * supervisor. */
static void
supervisor_tell_of_dead(struct supervisor *s)
{
	const struct orphan *o;

	for (o = s->orphans.first; o != NULL; o = o->next)
		if (o->is_dead)
			supervisor_verdict(
			    &s->host, &o->board, 1, 502, "died", PAGE_DIED, "");
}

static json_t *
supervisor_outdated(const char *version, json_int_t protocol)
{
	return json_pack("{s:s, s:s, s:I}", "type", "outdated", "version",
	    version, "protocol", protocol);
}

/*
 * The older gives way to the newer, so that it is decided once: an old
 * responder is told, and a new one gets a supervisor of its own, while our
 * responders are told. Where the newer has gone, a single old one is enough;
 * but not where it is still to come: a new one that has just forked us may be
 * outrun by an old one that looks for its supervisor. Frees the peer.
 */
static void
peer_of_another_version(struct peer *peer, const json_t *message, int64_t now)
{
	struct supervisor *s = peer->supervisor;
	const char *version = link_string(message, "version");
	json_int_t protocol = link_int(message, "protocol");
	int is_responder = strcmp(link_string(message, "role"), "command") != 0;

	if (log_again(&s->met_other, SUPERVISOR_COMPLAIN, now))
		log_warn("process %ld is mamayo %s and speaks protocol %lld, "
			 "this is %s and speaks %d",
		    (long)peer->pid, version, (long long)protocol,
		    PACKAGE_VERSION, LINK_PROTOCOL);
	if (is_responder && protocol > LINK_PROTOCOL && !s->is_retired)
		supervisor_broadcast(s, supervisor_outdated(version, protocol));
	else
		peer_tell(
		    peer, supervisor_outdated(PACKAGE_VERSION, LINK_PROTOCOL));
	if (is_responder &&
	    (protocol > LINK_PROTOCOL ||
		(!supervisor_has_responder(s) &&
		    now - s->had_responder >= SUPERVISOR_EXPECTS)))
		supervisor_retire(s, "one of another version takes over", now);
	peer_free(peer);
}

static void
peer_take_hello(struct peer *peer, const json_t *message, int64_t now)
{
	struct supervisor *s = peer->supervisor;
	const char *role = link_string(message, "role");

	if (link_int(message, "protocol") != LINK_PROTOCOL) {
		peer_of_another_version(peer, message, now);
		return;
	}
	loop_cancel(s->loop, &peer->hello);
	if (strcmp(role, "command") == 0) {
		peer->role = PEER_COMMAND;
		return;
	}
	if (s->is_retired) { /* it has come just too late */
		peer_free(peer);
		return;
	}
	peer->role = PEER_RESPONDER;
	peer->responder = strtoull(link_string(message, "id"), NULL, 16);
	s->alone_since = 0;
	supervisor_stay(s, now);
	supervisor_know_parent(s, (pid_t)link_int(message, "parent"),
	    (uint64_t)link_int(message, "parent_start"));
	if (discover_stamp(s->found.groups, s->found.ngroups) != s->stamp)
		supervisor_scan(s, now);
	supervisor_tell_of_dead(s);
	TESTPOINT("supervisor:hello");
	supervisor_send_routes(s, peer);
}

static void
peer_refuse_queue(
    struct peer *peer, const char *name, const char *code, const char *text)
{
	peer_tell(
	    peer, json_pack("{s:s, s:s, s:i, s:s, s:s, s:i}", "type", "refused",
		      "name", name, "status", 503, "code", code, "text", text,
		      "retry_after", POOL_RETRY_AFTER));
}

/* Its queue may still be offered, by who has held it since the last supervisor
 * died: then what is wanted waits for that. */
static int
peer_has_to_wait(
    struct peer *peer, const struct pool *p, const char *name, int64_t now)
{
	if (p == NULL || p->queue_send != -1 || p->is_stopped ||
	    !orphans_are_expected(&peer->supervisor->orphans, now))
		return 0;
	if (peer->wants == NULL)
		peer->wants = json_array();
	json_array_append_new(peer->wants, json_string(name));
	return 1;
}

static void
peer_give_queue(struct peer *peer, const char *name, int64_t now)
{
	struct supervisor *s = peer->supervisor;
	struct pool *p = supervisor_pool(s, name);
	int fds[2];

	if (peer_has_to_wait(peer, p, name, now))
		return;
	if (p == NULL || s->is_leaving) {
		peer_refuse_queue(peer, name, "missing", PAGE_MISSING);
		return;
	}
	if (p->is_stopped) {
		peer_refuse_queue(peer, name, "stopped", PAGE_STOPPED);
		return;
	}
	if (TESTPOINT_FAILS("supervisor:open-queue") ||
	    pool_open(p, now) == -1) {
		log_error(
		    "%s: cannot make its queue: %s", name, strerror(errno));
		peer_refuse_queue(peer, name, "resources", PAGE_SHORT);
		return;
	}
	fds[0] = p->queue_send;
	fds[1] = p->queue_receive;
	if (TESTPOINT_FAILS("supervisor:give-queue") ||
	    link_send(peer->watch.fd, supervisor_terms(p, "queue"), fds, 2) ==
		-1) {
		log_warn("%s: cannot hand its queue to a responder: %s", name,
		    strerror(errno));
		peer_refuse_queue(peer, name, "resources", PAGE_SHORT);
	}
	TESTPOINT("supervisor:queue-given");
}

/* -- after the last supervisor -- */

static void peer_restart(struct peer *, const char *, int64_t);

static void
peer_get_wanted(struct peer *peer, const char *name, int64_t now)
{
	if (peer->role == PEER_COMMAND)
		peer_restart(peer, name, now);
	else
		peer_give_queue(peer, name, now);
}

/* Those that have waited for it get their queue, or their restart. */
static void
supervisor_give_wanted(struct supervisor *s, int64_t now)
{
	struct peer *peer;
	json_t *wants, *name;
	size_t i;

	for (peer = s->peers; peer != NULL; peer = peer->next) {
		wants = peer->wants;
		peer->wants = NULL; /* which what follows may fill again */
		json_array_foreach(wants, i, name)
		    peer_get_wanted(peer, json_string_value(name), now);
		json_decref(wants);
	}
}

static void
supervisor_settled_due(struct timer *t, int64_t now)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)t -
				  offsetof(struct supervisor, settled));

	supervisor_give_wanted(s, now);
	if (now - s->orphans.since >= ORPHANS_KEEP_MS) {
		orphans_end(&s->orphans, s->host.boards_dir);
		orphans_release(&s->orphans);
	} else
		(void)loop_timer(
		    s->loop, t, s->orphans.since + ORPHANS_KEEP_MS);
}

/* Gives a worker to its pool; frees the peer then. -1: it is of none. */
static int
peer_attach(struct peer *peer, const json_t *message, int64_t now)
{
	struct supervisor *s = peer->supervisor;
	struct pool *p, *next;
	int fd = peer->watch.fd;

	for (p = s->pools; p != NULL; p = next) {
		next = p->next;
		if (!pool_has_process(p, peer->pid))
			continue;
		TESTPOINT("supervisor:attach");
		loop_unwatch(s->loop, &peer->watch);
		peer->watch.fd = -1;
		pool_attach(p, peer->pid, fd, message, now);
		peer_free(peer);
		return 0;
	}
	return -1;
}

/* A worker that has lost its supervisor has found us. Frees the peer, unless
 * the queue of its generation may still come. */
static void
peer_take_attach(struct peer *peer, json_t *message, int64_t now)
{
	struct supervisor *s = peer->supervisor;

	if (atoi(link_string(message, "protocol")) != LINK_PROTOCOL) {
		peer_dismiss(peer);
		return;
	}
	if (peer_attach(peer, message, now) == 0)
		return;
	if (s->is_retired) { /* it goes on looking */
		peer_free(peer);
		return;
	}
	if (!orphans_have(&s->orphans, peer->pid)) {
		peer_dismiss(peer);
		return;
	}
	peer->role = PEER_WORKER;
	peer->attach = json_incref(message);
	(void)loop_timer(
	    s->loop, &peer->hello, s->orphans.since + ORPHANS_KEEP_MS);
}

/* The workers of a generation that has been adopted, and those of them that
 * have come already. */
static void
supervisor_adopt_workers(struct supervisor *s, struct pool *p, int64_t now)
{
	struct orphan *o;
	struct peer *peer, *next;

	while ((o = orphans_take(&s->orphans, p->generation)) != NULL) {
		if (pool_adopt_worker(p, o->page, o->pid, now) == -1 &&
		    orphan_has_lost(o, s->host.boards_dir))
			supervisor_verdict(
			    &s->host, &o->board, 1, 502, "died", PAGE_DIED, "");
		free(o);
	}
	for (peer = s->peers; peer != NULL; peer = next) {
		next = peer->next;
		if (peer->attach != NULL)
			(void)peer_attach(peer, peer->attach, now);
	}
}

/* A responder has kept a queue since the last supervisor died. Takes the
 * descriptors. */
static void
peer_take_adopt(
    struct peer *peer, const json_t *message, int fds[2], int64_t now)
{
	struct supervisor *s = peer->supervisor;
	const char *generation = link_string(message, "generation");
	struct pool *p = supervisor_pool(s, link_string(message, "name"));

	TESTPOINT("supervisor:adopt");
	if (p == NULL || s->is_leaving || !orphan_is_generation(generation) ||
	    !pool_adopt(p, generation, fds, now)) {
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		peer_tell(peer, json_pack("{s:s, s:s}", "type", "gone",
				    "generation", generation));
		return;
	}
	TESTPOINT("supervisor:adopted-queue");
	pool_remember(
	    p, link_int(message, "requests"), link_int(message, "crashes"));
	supervisor_adopt_workers(s, p, now);
	TESTPOINT("supervisor:adopted-workers");
	peer_tell(peer, supervisor_terms(p, "adopted"));
	supervisor_look_soon(s, now);
	supervisor_give_wanted(s, now);
	supervisor_lend(s, now);
}

static void
peer_take_taken(struct peer *peer, const json_t *message)
{
	struct supervisor *s = peer->supervisor;
	json_int_t counter = link_int(message, "counter");
	struct pool *p;
	int taken = 0;

	for (p = s->pools; p != NULL && !taken; p = p->next)
		taken = pool_has(p, peer->responder, (uint64_t)counter);
	peer_tell(peer, json_pack("{s:s, s:I, s:b}", "type", "taken", "counter",
			    counter, "taken", taken));
}

static json_t *
supervisor_describe(struct supervisor *s, int64_t now)
{
	json_t *responders = json_array();
	time_t wall = clock_wall().tv_sec;
	struct peer *peer;

	for (peer = s->peers; peer != NULL; peer = peer->next)
		if (peer->role == PEER_RESPONDER)
			json_array_append_new(responders,
			    json_pack("{s:I, s:I}", "pid",
				(json_int_t)peer->pid, "since",
				(json_int_t)(wall -
					     (now - peer->since) / 1000)));
	return json_pack("{s:s, s:s, s:{s:I, s:I}, s:o}", "type", "status",
	    "version", PACKAGE_VERSION, "supervisor", "pid",
	    (json_int_t)getpid(), "since",
	    (json_int_t)(wall - (now - s->since) / 1000), "responders",
	    responders);
}

static void
peer_send_status(struct peer *peer, int64_t now)
{
	struct supervisor *s = peer->supervisor;
	struct forkserver *f = NULL;
	struct pool *p;
	json_t *described;
	int failed;

	if (discover_stamp(s->found.groups, s->found.ngroups) != s->stamp)
		supervisor_scan(s, now);
	failed =
	    link_send(peer->watch.fd, supervisor_describe(s, now), NULL, 0);
	for (p = s->pools; p != NULL && !failed; p = p->next) {
		if (!pool_is_current(p))
			continue;
		described = pool_describe(p, now);
		reload_describe(&s->reloads, p, described, now);
		failed = link_send(peer->watch.fd, described, NULL, 0);
	}
	while (!failed && (f = forkservers_next(&s->forkservers, f)) != NULL)
		failed = link_send(
		    peer->watch.fd, forkserver_describe(f, now), NULL, 0);
	if (!failed)
		failed = link_send(
		    peer->watch.fd, json_pack("{s:s}", "type", "end"), NULL, 0);
	if (failed)
		log_warn("cannot tell the status: %s", strerror(errno));
}

/* "mamayo stop" or "mamayo start" has settled on disk what is to be. */
static void
peer_obey(struct peer *peer, const json_t *message, int64_t now)
{
	struct supervisor *s = peer->supervisor;
	const char *name = link_string(message, "name");
	int is_start = strcmp(link_string(message, "type"), "start") == 0;
	struct pool *p = supervisor_pool(s, name);

	if (p == NULL) {
		supervisor_scan(s, now);
		p = supervisor_pool(s, name);
	}
	if (p == NULL && !is_start && !s->is_leaving) {
		peer_conclude(peer, "error", PEER_NO_APP);
		return;
	}
	TESTPOINT("supervisor:obey");
	if (p != NULL)
		supervisor_obey(s, p, now);
	supervisor_lend(s, now);
	peer_tell(peer, json_pack("{s:s}", "type", "done"));
}

/* "mamayo restart": what becomes of it is told when it is known. */
static void
peer_restart(struct peer *peer, const char *name, int64_t now)
{
	struct supervisor *s = peer->supervisor;
	struct pool *p = supervisor_pool(s, name);

	if (p == NULL) {
		supervisor_scan(s, now);
		p = supervisor_pool(s, name);
	}
	if (!s->is_leaving && peer_has_to_wait(peer, p, name, now))
		return;
	if (s->is_leaving)
		peer_conclude(peer, "done", PEER_ASLEEP);
	else if (p == NULL)
		peer_conclude(peer, "error", PEER_NO_APP);
	else if (p->is_stopped)
		peer_conclude(peer, "error", PAGE_STOPPED);
	else if ((peer->ticket = reload_ask(&s->reloads, p, now)) == 0) {
		pool_try_again(p, 1);
		peer_conclude(peer, "done", PEER_ASLEEP);
	} else {
		free(peer->waits_for);
		peer->waits_for = xstrdup(name);
		peer_tell(
		    peer, json_pack("{s:s, s:i}", "type", "trying", "limit",
			      PEER_STARTS * p->settings.start_timeout +
				  p->settings.hook_timeout));
	}
}

/* A responder lends a socket that it has bound. */
static void
peer_take_socket(
    struct peer *peer, const json_t *message, int fds[2], int64_t now)
{
	struct supervisor *s = peer->supervisor;

	if (!listen_is(fds[0])) {
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		return;
	}
	TESTPOINT("supervisor:take-socket");
	lending_add(&s->lending, peer, message, fds);
	supervisor_take_back(s); /* and then all at once */
	supervisor_lend(s, now);
}

/* May free the peer. */
static void
peer_take(struct peer *peer, json_t *message, int64_t now)
{
	struct supervisor *s = peer->supervisor;
	const char *type = link_string(message, "type");

	if (s->is_retired &&
	    (strcmp(type, "queue") == 0 || strcmp(type, "look") == 0))
		peer_free(peer); /* it looks for another supervisor */
	else if (strcmp(type, "hello") == 0)
		peer_take_hello(peer, message, now);
	else if (peer->role == PEER_UNKNOWN && strcmp(type, "attach") == 0)
		peer_take_attach(peer, message, now);
	else if (peer->role == PEER_RESPONDER && strcmp(type, "queue") == 0)
		peer_give_queue(peer, link_string(message, "name"), now);
	else if (peer->role == PEER_RESPONDER && strcmp(type, "look") == 0) {
		if (discover_stamp(s->found.groups, s->found.ngroups) !=
			s->stamp ||
		    now - s->active_until < 0)
			supervisor_scan(s, now);
		supervisor_send_routes(s, peer);
	} else if (peer->role == PEER_RESPONDER &&
		   strcmp(type, "active") == 0) {
		json_decref(peer->claims);
		peer->claims = json_incref(json_object_get(message, "apps"));
		supervisor_look_soon(s, now);
	} else if (peer->role == PEER_RESPONDER &&
		   strcmp(type, "withdraw") == 0) {
		if (lending_drop(&s->lending, peer))
			supervisor_take_back(s);
		supervisor_lend(s, now); /* what others have lent */
	} else if (peer->role == PEER_RESPONDER && strcmp(type, "taken") == 0)
		peer_take_taken(peer, message);
	else if (peer->role == PEER_RESPONDER && strcmp(type, "ping") == 0)
		peer_tell(peer, json_pack("{s:s}", "type", "pong"));
	else if (peer->role == PEER_COMMAND && strcmp(type, "status") == 0)
		peer_send_status(peer, now);
	else if (peer->role == PEER_COMMAND &&
		 (strcmp(type, "stop") == 0 || strcmp(type, "start") == 0))
		peer_obey(peer, message, now);
	else if (peer->role == PEER_COMMAND && strcmp(type, "restart") == 0)
		peer_restart(peer, link_string(message, "name"), now);
}

static void
peer_ready(struct watch *w, short got, int64_t now)
{
	struct peer *peer = (struct peer *)w;
	int fds[2] = { -1, -1 };
	json_t *message;
	size_t nfds = 2;

	(void)got;
	switch (link_recv(w->fd, &message, fds, &nfds)) {
	case 0:
		break;
	case 1: /* one at a time: the peer may go with it */
		if (nfds == 2 && peer->role == PEER_RESPONDER &&
		    strcmp(link_string(message, "type"), "socket") == 0)
			peer_take_socket(peer, message, fds, now);
		else if (nfds == 2 && peer->role == PEER_RESPONDER &&
			 strcmp(link_string(message, "type"), "adopt") == 0)
			peer_take_adopt(peer, message, fds, now);
		else {
			for (size_t i = 0; i < nfds; i++)
				fd_close(&fds[i]);
			peer_take(peer, message, now);
		}
		json_decref(message);
		break;
	default:
		peer_free(peer);
		break;
	}
}

/* Of connections that are refused, not too often. */
static void
supervisor_complain(struct supervisor *s, uid_t uid, int64_t now)
{
	if (!log_again(&s->complained, SUPERVISOR_COMPLAIN, now))
		return;
	if (uid != geteuid())
		log_warn("refused a connection to %s/sock by another user, "
			 "number %lu",
		    s->account.run, (unsigned long)uid);
	else
		log_warn("refused a connection to %s/sock: there are %d",
		    s->account.run, SUPERVISOR_PEERS_MOST);
}

static void
supervisor_greet(struct supervisor *s, int fd, int64_t now)
{
	struct peer *peer;
	int size = SUPERVISOR_SNDBUF;
	uid_t uid = (uid_t)-1;
	pid_t pid;

	TESTPOINT("supervisor:accepted");
	if (fd_peer(fd, &uid, &pid) == -1 || uid != geteuid() ||
	    s->npeers >= SUPERVISOR_PEERS_MOST) {
		supervisor_complain(s, uid, now);
		fd_close(&fd);
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	peer = xcalloc(1, sizeof *peer);
	peer->watch =
	    (struct watch){ .fd = fd, .want = POLLIN, .ready = peer_ready };
	peer->hello.due = peer_hello_due;
	peer->supervisor = s;
	peer->pid = pid;
	peer->since = now;
	peer->link = &s->peers;
	if ((peer->next = s->peers) != NULL)
		peer->next->link = &peer->next;
	s->peers = peer;
	s->npeers++;
	if (loop_watch(s->loop, &peer->watch) == -1 ||
	    loop_timer(s->loop, &peer->hello, now + SUPERVISOR_HELLO) == -1)
		peer_free(peer);
}

static void
supervisor_listener_ready(struct watch *w, short got, int64_t now)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)w -
				  offsetof(struct supervisor, listener));
	int fd;

	(void)got;
	while ((fd = listen_accept(w->fd)) != -1)
		supervisor_greet(s, fd, now);
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		loop_unwatch(s->loop, w); /* no room: until the next tick */
}

/* ----------------------------------------------------------- its own end -- */

static void
supervisor_leave(struct supervisor *s, const char *why, int64_t now)
{
	struct pool *p, *next;

	if (s->is_leaving)
		return;
	s->is_leaving = 1;
	log_info("leaving: %s", why);
	TESTPOINT("supervisor:leave");
	s->forkservers.are_closing = 1;
	forkservers_leave(&s->forkservers, NULL, now);
	reload_forget_all(&s->reloads, now);
	for (p = s->pools; p != NULL; p = next) {
		next = p->next;
		supervisor_tell_gone(s, p, 0);
		pool_drain(p, now);
		if (p->workers == NULL)
			supervisor_forget_pool(s, p);
	}
	(void)loop_timer(s->loop, &s->tick, now); /* perhaps that is all */
}

/* Leaves for good: whoever wants something new finds another supervisor. */
static void
supervisor_retire(struct supervisor *s, const char *why, int64_t now)
{
	if (s->is_retired)
		return;
	s->is_retired = 1;
	supervisor_leave(s, why, now);
	TESTPOINT("supervisor:retire");
	loop_unwatch(s->loop, &s->listener);
	lease_release(&s->lease);
	s->listener.fd = -1;
}

/* A web server has come back before the last worker had left. */
static void
supervisor_stay(struct supervisor *s, int64_t now)
{
	if (!s->is_leaving || s->is_retired)
		return;
	log_info("staying after all: a responder has come");
	s->is_leaving = s->forkservers.are_closing = 0;
	supervisor_scan(s, now);
}

/* Is there still somebody to be here for? */
static void
supervisor_consider_leaving(struct supervisor *s, int64_t now)
{
	const struct account_settings *settings = &s->account.settings;
	int is_alone =
	    !supervisor_has_responder(s) && !supervisor_has_parent(s);

	if (!is_alone)
		s->alone_since = 0;
	else if (s->alone_since == 0)
		s->alone_since = now;
	if (hooks_count(&s->hooks) > 0)
		return; /* it is to see how that ends */
	if (is_alone && now - s->alone_since >= (int64_t)settings->grace * 1000)
		supervisor_leave(s, "no web server is left", now);
	else if (supervisor_workers(s) == 0 &&
		 forkservers_count(&s->forkservers) == 0 &&
		 now - s->without_workers >= (int64_t)settings->linger * 1000 &&
		 now - s->active_until >= 0)
		supervisor_leave(s, "nothing to do for a while", now);
}

/*
 * What a former supervisor has left behind when it was killed: pages of
 * workers that have ended, and what it was just about to rename.
 */
static int
supervisor_is_stale(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (strncmp(name, "new.", 4) == 0 || strncmp(name, "sock.", 5) == 0)
		return 1;
	return name[0] != '.' && dot != NULL && strlen(name) > 32 &&
	       !proc_alive((pid_t)atol(dot + 1), 0);
}

static int
supervisor_prepare(struct supervisor *s, struct problem *why)
{
	fd_close(&s->host.boards_dir);
	s->host.boards_dir = openat(s->account.run_fd, "workers",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->host.boards_dir == -1)
		return problem_sys(why, "%s/workers", s->account.run);
	free(s->host.adapters);
	s->host.adapters = adapters_unpack(s->account.run, why);
	if (s->host.adapters == NULL)
		return -1;
	if (s->loop == NULL) /* at the start: nothing there is ours */
		orphans_read(&s->orphans, s->host.boards_dir, clock_ms());
	fd_remove_stale(s->host.boards_dir, supervisor_is_stale);
	fd_remove_stale(s->account.run_fd, supervisor_is_stale);
	return 0;
}

/* What may have been taken from us since the last tick. */
static void
supervisor_heal(struct supervisor *s)
{
	struct problem why;
	struct stat st;

	if (!s->is_retired && s->listener.at == 0)
		(void)loop_watch(s->loop, &s->listener);
	if (fstat(s->host.boards_dir, &st) == 0 && st.st_nlink == 0 &&
	    !s->is_retired &&
	    (account_open_run(&s->account, &why) == -1 ||
		supervisor_prepare(s, &why) == -1))
		log_error("%s", why.text);
}

static void
supervisor_tick_due(struct timer *t, int64_t now)
{
	struct supervisor *s =
	    (struct supervisor *)((char *)t -
				  offsetof(struct supervisor, tick));
	struct pool *p, *next;

	if (!s->is_retired && !lease_holds(&s->lease))
		supervisor_retire(s,
		    "the lock file has been removed; another one takes over",
		    now);
	TESTPOINT("supervisor:tick");
	supervisor_heal(s);
	for (p = s->pools; p != NULL; p = next) {
		next = p->next;
		(void)pool_shrink(p, now);
		pool_learn(p, now);
		pool_recycle(p, now);
		if (s->account.settings.mail != NULL)
			pool_look_at_failing(p, now);
	}
	supervisor_look_at_logs(s, 1, now);
	supervisor_look_at_accepting(s, now);
	supervisor_lend(s, now);
	forkservers_tick(&s->forkservers, now);
	hooks_tick(&s->hooks, now);
	if (!s->is_leaving)
		supervisor_consider_leaving(s, now);
	s->is_over = s->is_leaving && supervisor_workers(s) == 0 &&
		     forkservers_count(&s->forkservers) == 0 &&
		     !mail_is_busy(&s->mail);
	(void)loop_timer(s->loop, &s->tick,
	    now + (s->is_leaving ? POOL_LOOK_MS : SUPERVISOR_TICK));
}

static void
supervisor_asked(void *arg, int64_t now)
{
	supervisor_retire(arg, "asked to by a signal", now);
}

static void
supervisor_reap(void *arg, int64_t now)
{
	(void)arg;
	proc_reap(now);
}

static void
supervisor_serve(struct supervisor *s)
{
	int64_t now = clock_ms();

	s->loop = loop_new();
	s->host.loop = s->loop;
	s->host.account = &s->account;
	forkservers_init(&s->forkservers, s->loop, &s->account);
	s->forkservers.empty = supervisor_without_forkservers;
	s->host.forkservers = &s->forkservers;
	hooks_init(&s->hooks, s->loop, &s->account);
	s->hooks.over = supervisor_hook_over;
	s->host.hooks = &s->hooks;
	mail_init(&s->mail, s->loop, &s->account);
	s->host.may_grow = supervisor_may_grow;
	s->host.claims = supervisor_claims;
	s->host.verdict = supervisor_verdict;
	s->host.incident = supervisor_incident;
	s->host.gone = supervisor_gone;
	s->host.changed = supervisor_changed;
	s->host.lent = supervisor_lent;
	s->host.places_changed = supervisor_places_changed;
	s->host.unwanted = supervisor_unwanted;
	s->reloads.host = &s->host;
	s->reloads.begun = supervisor_reload_begun;
	s->reloads.over = supervisor_reload_over;
	s->reloads.settled = supervisor_reload_settled;
	s->since = s->without_workers = s->had_responder = now;
	s->listener = (struct watch){ .fd = s->lease.listener,
		.want = POLLIN,
		.ready = supervisor_listener_ready };
	s->tick.due = supervisor_tick_due;
	s->look.due = supervisor_look_due;
	s->again.due = supervisor_again_due;
	s->settled.due = supervisor_settled_due;
	if (s->orphans.first != NULL)
		(void)loop_timer(s->loop, &s->settled, now + ORPHANS_WAIT_MS);
	s->logs.due = supervisor_logs_due;
	trace_on_death();
	loop_signal(s->loop, SIGTERM, supervisor_asked, s);
	loop_signal(s->loop, SIGINT, supervisor_asked, s);
	loop_signal(s->loop, SIGCHLD, supervisor_reap, s);
	discovery_init(&s->found);
	supervisor_scan(s, now);
	if (loop_watch(s->loop, &s->listener) == -1 ||
	    loop_timer(s->loop, &s->tick, now + SUPERVISOR_TICK) == -1)
		die(1, "no memory at the start");
	while (!s->is_over) {
		loop_turn(s->loop);
		if (!s->is_retired && s->lease.listener != s->listener.fd) {
			/* it was bound again */
			loop_unwatch(s->loop, &s->listener);
			s->listener.fd = s->lease.listener;
			(void)loop_watch(s->loop, &s->listener);
		}
	}
}

/* Tells whoever forked us why we cannot supervise. */
static int
candidate_sorry(const struct problem *why)
{
	return fd_write_all(0, why->text, strlen(why->text)) == 0 ? 1 : 2;
}

/* Takes the lease, if need be in another place than run/. */
static int
candidate_takes(struct supervisor *s, struct problem *why)
{
	struct problem unfit, other;
	int taken;

	lease_init(&s->lease, s->account.run);
	taken = lease_take(&s->lease, &unfit);
	if (taken != LEASE_UNFIT) {
		*why = unfit;
		return taken;
	}
	lease_release(&s->lease);
	if (account_leave_run(&s->account, &other) == -1)
		return problem_set(why, "%s; %s", unfit.text, other.text);
	log_warn("%s, perhaps because it is on a network; using %s instead",
	    unfit.text, s->account.run);
	lease_init(&s->lease, s->account.run);
	return lease_take(&s->lease, why);
}

int
supervisor_candidate(char *root)
{
	static struct supervisor s; /* large, and the only one */
	struct problem why;
	int taken;

	setsid();
	fd_close_from(1);
	log_forget();
	if (fd_open_std() == -1)
		return 1;
	loop_ignore_signals();
	proc_no_core();
	umask(022);
	setenv("MAMAYO_ROOT", root, 1);
	free(root);
	log_role("supervisor");
	account_init(&s.account);
	s.host.boards_dir = -1;
	if (account_open(&s.account, &why) == -1)
		return candidate_sorry(&why);
	if (log_open(s.account.log) == -1) {
		problem_sys(&why, "cannot write %s", s.account.log);
		return candidate_sorry(&why);
	}
	taken = candidate_takes(&s, &why);
	if (taken != 1) {
		lease_release(&s.lease);
		return taken < 0 ? candidate_sorry(&why) : 0;
	}
	log_info(
	    "supervisor of %s, mamayo %s", s.account.root, PACKAGE_VERSION);
	if (s.account.remark != NULL)
		log_warn("%s", s.account.remark);
	TESTPOINT("candidate:prepare");
	if (supervisor_prepare(&s, &why) == -1)
		(void)candidate_sorry(&why);
	else {
		close(0); /* somebody waits for this end */
		(void)fd_open_std();
		TESTPOINT("candidate:told");
		supervisor_serve(&s);
		fd_remove_stale(s.host.boards_dir, supervisor_is_stale);
	}
	lease_release(&s.lease);
	log_info("has left");
	return 0;
}
