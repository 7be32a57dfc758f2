#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/health.h"
#include "lib/hook.h"
#include "lib/log.h"
#include "lib/reload.h"
#include "lib/xalloc.h"

#define RELOAD_GONE "it has been stopped or taken away meanwhile"

enum reload_state {
	RELOAD_IDLE,
	RELOAD_SETTLING, /* something has changed, and may go on */
	RELOAD_TRYING,   /* there is a candidate */
	RELOAD_ASKING,   /* it is asked for its health */
	RELOAD_SICKENED  /* it has failed: what has it imported? */
};

struct reload {
	struct reloads *all;
	struct pool *pool, *candidate;
	struct health health;
	enum reload_state state;
	uint64_t asked, begun; /* tickets: the last one, and the candidate's */
	int64_t health_until;
	struct timer turn;  /* every step is one of its own */
	int64_t looked_at;  /* clock_ms(); 0: never */
	int64_t changed_at; /* when SETTLING began */
	uint64_t requests;  /* that the pool had served then */
	char *failure;      /* why the last candidate failed, or NULL */
	char reference[9];  /* of that */
	int64_t failed_at;
	struct reload *next;
};

static void reload_due(struct timer *, int64_t);

static struct reload *
reload_of(const struct reloads *all, const struct pool *p)
{
	struct reload *r;

	for (r = all->list; r != NULL; r = r->next)
		if (r->pool == p || r->candidate == p)
			return r;
	return NULL;
}

static struct reload *
reload_new(struct reloads *all, struct pool *p)
{
	struct reload *r = xcalloc(1, sizeof *r);

	r->all = all;
	r->pool = p;
	r->turn.due = reload_due;
	r->next = all->list;
	all->list = r;
	return r;
}

static void
reload_free(struct reload *r)
{
	struct reload **link;

	for (link = &r->all->list; *link != r; link = &(*link)->next)
		continue;
	*link = r->next;
	loop_cancel(r->all->host->loop, &r->turn);
	free(r->failure);
	free(r);
}

static void
reload_turn_at(struct reload *r, int64_t at)
{
	(void)loop_timer(r->all->host->loop, &r->turn, at);
}

/* ---------------------------------------------------------- a candidate -- */

static void
reload_begin(struct reload *r, int64_t now)
{
	struct pool *p = pool_new(r->all->host, &r->pool->app);

	p->hook.is_asked = r->asked > r->begun;
	r->candidate = p;
	r->state = RELOAD_TRYING;
	r->begun = r->asked;
	p->lates = r->pool->is_late ? r->pool->lates + 1 : 0;
	changes_add_all(&p->changes, &r->pool->changes);
	r->all->begun(r->all, p);
	pool_begin(p, now);
	reload_turn_at(r, now);
}

/* It will not take the place of the old one. */
static void
reload_give_up(struct reload *r, const char *why, int64_t now)
{
	struct pool *p = r->candidate;

	health_end(&r->health);
	r->candidate = NULL;
	r->state = RELOAD_IDLE;
	r->all->settled(r->all, r->pool->app.name, r->begun, why);
	pool_discard(p, now);
	r->all->host->changed(r->all->host, p, now); /* may free it */
}

static void
reload_tell_owner(const struct reload *r)
{
	const struct pool *p = r->candidate;
	char *subject = xprintf("%s could not be reloaded", p->app.name);
	char *text = xprintf(
	    "Files of the application \"%s\" have changed, or somebody has "
	    "asked for it to be reloaded, but its new generation does not "
	    "serve:\n\n    %s\n\n"
	    "The old generation goes on, so visitors notice nothing (reference "
	    "%s). mamayo tries again when a file of it has changed, or after "
	    "\"mamayo restart %s\".\n",
	    p->app.name, p->advice, p->reference, p->app.name);

	r->all->host->incident(
	    r->all->host, r->pool, "cannot-reload", subject, text);
	free(text);
	free(subject);
}

/* The same files are not tried again. */
static void
reload_fail(struct reload *r, int64_t now)
{
	struct pool *p = r->candidate;
	char *why = xprintf("%s: the new generation does not serve: %s (more "
			    "in its log, reference %s); the old one goes on",
	    p->app.name, p->advice, p->reference);

	free(r->failure);
	r->failure = xstrdup(p->advice);
	memcpy(r->reference, p->reference, sizeof r->reference);
	r->failed_at = now;
	reload_tell_owner(r);
	changes_add_all(&p->changes, &r->pool->changes);
	changes_release(&r->pool->changes);
	r->pool->changes = p->changes;
	memset(&p->changes, 0, sizeof p->changes);
	reload_give_up(r, why, now);
	free(why);
	if (r->asked > r->begun)
		reload_turn_at(r, now);
}

static void
reload_succeed(struct reload *r, int64_t now)
{
	struct reloads *all = r->all;
	struct pool *old = r->pool, *new = r->candidate;
	uint64_t asked = r->asked, begun = r->begun;

	log_info("%s: worker %ld serves; the generation before it leaves",
	    new->app.name, (long)new->workers->pid);
	health_end(&r->health);
	reload_free(r);
	pool_take_place(new, old, now);
	all->over(all, old, new, now); /* and whoever has asked comes later */
	all->settled(all, new->app.name, begun, NULL);
	if (asked > begun) { /* since it was begun */
		r = reload_new(all, new);
		r->asked = asked;
		reload_turn_at(r, now);
	}
}

/* Its worker has answered, or broken that off. */
static void
reload_answered(struct health *h, int64_t now)
{
	struct reload *r =
	    (struct reload *)((char *)h - offsetof(struct reload, health));

	reload_turn_at(r, now);
}

static void
reload_ask_health(struct reload *r, int64_t now)
{
	struct reloads *all = r->all;
	struct pool *p = r->candidate;

	while (all->responder == 0)
		fd_random(&all->responder, sizeof all->responder);
	memset(&r->health, 0, sizeof r->health);
	r->health.done = reload_answered;
	r->state = RELOAD_ASKING;
	r->health_until = now + (int64_t)p->settings.start_timeout * 1000;
	if (health_ask(&r->health, all->host->loop, p->queue_send, &p->app,
		p->settings.health, all->responder, ++all->requests,
		r->health_until) == -1) {
		pool_fail(p, "resources", strerror(errno), NULL, -1, now);
		reload_turn_at(r, now);
	} else
		reload_turn_at(r, r->health_until);
}

/* Is there a reason against it? */
static int
reload_has_failed(struct reload *r, int64_t now)
{
	struct pool *p = r->candidate;

	if (p->advice == NULL && !pool_is_served(p) &&
	    p->state != POOL_SETTING_UP)
		pool_fail(p, "cannot-start",
		    r->state == RELOAD_ASKING
			? "it gave no whole answer (health): its process ended"
			: "its process ended as soon as it was ready",
		    NULL, -1, now);
	return p->advice != NULL;
}

/* It does not say that it is well: what has it imported, or where is it? */
static void
reload_sicken(struct reload *r, int64_t now)
{
	struct pool *p = r->candidate;
	const struct health *h = &r->health;
	char *why;

	if (!h->is_done)
		why = xprintf("GET %s (health) had no answer in %d seconds "
			      "(start_timeout)",
		    p->settings.health, p->settings.start_timeout);
	else if (h->status == 0)
		why = xprintf(
		    "GET %s (health) had no whole answer", p->settings.health);
	else
		why = xprintf("GET %s (health) was answered with status %d",
		    p->settings.health, h->status);
	pool_fail(p, "unhealthy", why, NULL, -1, now);
	free(why);
	r->state = RELOAD_SICKENED;
	reload_turn_at(r, now + RELOAD_FAREWELL);
	pool_ask(p, now);
	if (!h->is_done)
		pool_interrupt(p, now);
}

static void
reload_try(struct reload *r, int64_t now)
{
	struct pool *p = r->candidate;

	if (reload_has_failed(r, now))
		reload_fail(r, now);
	else if (pool_ready_workers(p) > 0 && p->settings.health != NULL)
		reload_ask_health(r, now);
	else if (pool_ready_workers(p) > 0)
		reload_succeed(r, now); /* frees r */
}

static void
reload_wait_for_health(struct reload *r, int64_t now)
{
	const struct health *h = &r->health;

	if (reload_has_failed(r, now))
		reload_fail(r, now);
	else if (h->is_done && h->status > 0 && h->status < RELOAD_SICK)
		reload_succeed(r, now); /* frees r */
	else if (h->is_done || now >= r->health_until)
		reload_sicken(r, now);
	else
		reload_turn_at(r, r->health_until);
}

/* ------------------------------------------------------------ a change -- */

static void
reload_settle(struct reload *r, int64_t now)
{
	struct pool *p = r->pool;
	enum changes_found found;

	if (!pool_is_served(p)) {
		r->state = RELOAD_IDLE; /* the next request starts the new */
		return;
	}
	found = changes_look(&p->changes, now);
	if (found == CHANGES_QUIET) {
		log_info("%s: %s has changed: trying a new generation",
		    p->app.name, p->changes.which);
		reload_begin(r, now);
	} else if (found == CHANGES_NONE ||
		   now - r->changed_at >= RELOAD_RESTLESS)
		r->state = RELOAD_IDLE; /* until a request comes */
	else
		reload_turn_at(r, now + RELOAD_SETTLE_MS);
}

static void
reload_due(struct timer *t, int64_t now)
{
	struct reload *r =
	    (struct reload *)((char *)t - offsetof(struct reload, turn));

	switch (r->state) {
	case RELOAD_IDLE:
	case RELOAD_SETTLING:
		if (r->asked > r->begun)
			reload_begin(r, now);
		else if (r->state == RELOAD_SETTLING)
			reload_settle(r, now);
		break;
	case RELOAD_TRYING:
		reload_try(r, now);
		break;
	case RELOAD_ASKING:
		reload_wait_for_health(r, now);
		break;
	case RELOAD_SICKENED:
		reload_fail(r, now);
		break;
	}
}

/* Requests that its workers have taken. */
static uint64_t
reload_requests(const struct pool *p)
{
	const struct worker *w;
	uint64_t n = p->requests;

	for (w = p->workers; w != NULL; w = w->next)
		n += w->board.word[BOARD_REQUESTS] + worker_is_busy(w);
	return n;
}

void
reload_look(struct reloads *all, struct pool *p, int64_t now)
{
	struct reload *r = reload_of(all, p);
	uint64_t requests;

	if (!pool_is_current(p) || p->is_stopped || p->missing_since != 0 ||
	    pool_ready_workers(p) == 0)
		return;
	if (r == NULL)
		r = reload_new(all, p);
	requests = reload_requests(p);
	if (r->state != RELOAD_IDLE || requests == r->requests ||
	    now - r->looked_at < RELOAD_LOOK_MS)
		return;
	r->looked_at = now;
	r->requests = requests;
	if (changes_look(&p->changes, now) == CHANGES_NONE)
		return;
	p->is_outdated = 1;
	r->changed_at = now;
	r->state = RELOAD_SETTLING;
	reload_turn_at(r, now);
}

uint64_t
reload_ask(struct reloads *all, struct pool *p, int64_t now)
{
	struct reload *r = reload_of(all, p);

	if (!pool_is_served(p))
		return 0;
	if (r == NULL)
		r = reload_new(all, p);
	r->asked = ++all->tickets;
	if (r->candidate == NULL) {
		log_info("%s: asked for a new generation", p->app.name);
		reload_turn_at(r, now);
	}
	return r->asked;
}

void
reload_changed(struct reloads *all, struct pool *p, int64_t now)
{
	struct reload *r = reload_of(all, p);

	if (r != NULL && r->candidate == p)
		reload_turn_at(r, now);
}

void
reload_forget(struct reloads *all, struct pool *p, int64_t now)
{
	struct reload *r = reload_of(all, p);

	if (r == NULL || r->pool != p)
		return;
	r->begun = r->asked;
	if (r->candidate != NULL)
		reload_give_up(r, RELOAD_GONE, now);
	else
		all->settled(all, p->app.name, r->asked, RELOAD_GONE);
	reload_free(r);
}

void
reload_forget_all(struct reloads *all, int64_t now)
{
	while (all->list != NULL)
		reload_forget(all, all->list->pool, now);
}

void
reload_describe(
    const struct reloads *all, const struct pool *p, json_t *to, int64_t now)
{
	const struct reload *r = reload_of(all, p);
	const char *state = "", *why = "", *reference = "";
	json_int_t since = 0;

	if (r != NULL && r->candidate != NULL && r->candidate != p) {
		state = "starting";
		json_object_set_new(
		    to, "hook", hook_describe(&r->candidate->hook));
	} else if (r != NULL && r->failure != NULL) {
		state = "failed";
		why = r->failure;
		reference = r->reference;
		since = (json_int_t)clock_wall().tv_sec -
			(now - r->failed_at) / 1000;
	}
	json_object_set_new(to, "reload",
	    json_pack("{s:s, s:s, s:s, s:I}", "state", state, "why", why,
		"reference", reference, "since", since));
}
