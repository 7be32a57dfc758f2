#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/lending.h"
#include "lib/link.h"
#include "lib/log.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

/* A change soon after another one may bear the same time. */
#define LENDING_QUIET_S 2

static void
lent_free(struct lent *l)
{
	fd_close(&l->listener);
	fd_close(&l->back);
	free(l->program);
	free(l->base);
	free(l);
}

static void
lending_forget_places(struct lending *g)
{
	for (size_t i = 0; i < g->nplaces; i++)
		free(g->places[i].path);
	free(g->places);
	g->places = NULL;
	g->nplaces = 0;
}

void
lending_release(struct lending *g)
{
	struct lent *l;

	while ((l = g->sockets) != NULL) {
		g->sockets = l->next;
		lent_free(l);
	}
	g->n = 0;
	lending_forget_places(g);
}

void
lending_add(
    struct lending *g, const void *owner, const json_t *message, int fds[2])
{
	const char *base = json_string_value(json_object_get(message, "base"));
	struct lent *l;

	if (g->n >= LENDING_MOST) {
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		return;
	}
	l = xcalloc(1, sizeof *l);
	l->number = ++g->number;
	l->listener = fds[0];
	l->back = fds[1];
	l->program = xstrdup(link_string(message, "program"));
	l->base = xstrdup_or_null(base);
	l->is_bound = link_true(message, "bound");
	l->owner = owner;
	l->next = g->sockets;
	g->sockets = l;
	g->n++;
}

int
lending_drop(struct lending *g, const void *owner)
{
	struct lent **link = &g->sockets, *l;
	int n = 0;

	while ((l = *link) != NULL) {
		if (l->owner != owner) {
			link = &l->next;
			continue;
		}
		*link = l->next;
		lent_free(l);
		g->n--;
		n++;
	}
	return n;
}

int
lending_bury(struct lending *g, const void *owner)
{
	const struct lent *l;

	for (l = g->sockets; l != NULL; l = l->next)
		if (l->owner == owner && l->is_bound)
			shutdown(l->listener, SHUT_RDWR);
	return lending_drop(g, owner);
}

int
lending_look(struct lending *g, char *const *paths, size_t n)
{
	time_t now = clock_wall().tv_sec;
	struct stat st;

	lending_forget_places(g);
	g->places = xcalloc(n > 0 ? n : 1, sizeof *g->places);
	for (size_t i = 0; i < n; i++) {
		if (stat(paths[i], &st) == -1 ||
		    st.st_mtim.tv_sec + LENDING_QUIET_S >= now)
			return 0;
		g->places[i] = (struct lending_place){ xstrdup(paths[i]),
			st.st_mtim, (uint64_t)st.st_ino };
		g->nplaces++;
	}
	return 1;
}

int
lending_is_stranded(struct lending *g)
{
	struct pollfd polled = { .events = POLLIN };
	const struct lent *l;

	for (l = g->sockets; l != NULL; l = l->next) {
		polled.fd = l->listener;
		if (poll(&polled, 1, 0) == 1)
			break;
	}
	g->waiting = l != NULL ? g->waiting + 1 : 0;
	return g->waiting >= 2;
}

static json_t *
lending_watch(const struct lending *g)
{
	json_t *watch = json_array();

	for (size_t i = 0; i < g->nplaces; i++)
		json_array_append_new(
		    watch, json_pack("[s, I, I, I]", g->places[i].path,
			       (json_int_t)g->places[i].changed.tv_sec,
			       (json_int_t)g->places[i].changed.tv_nsec,
			       (json_int_t)g->places[i].inode));
	return watch;
}

void
lending_give(struct lending *g, struct worker *w, const char *mount,
    const char *public_directory)
{
	struct lent *l;
	int fds[2], failed = 0;

	if (!w->can_accept || w->control.fd == -1 || w->has_sockets)
		return;
	for (l = g->sockets; l != NULL && !failed; l = l->next) {
		fds[0] = l->listener;
		fds[1] = l->back;
		failed =
		    TESTPOINT_FAILS("supervisor:lend") ||
		    link_send(w->control.fd,
			json_pack("{s:s, s:I, s:s, s:s, s:s*, s:s, s:o}",
			    "type", "lend", "number", (json_int_t)l->number,
			    "mount", mount, "program", l->program, "base",
			    l->base, "public", public_directory, "watch",
			    lending_watch(g)),
			fds, 2) == -1;
		w->has_sockets |= !failed;
	}
	if (!failed)
		return;
	if (errno == EMSGSIZE)
		w->can_accept = 0; /* it will not fit the next time either */
	log_warn("cannot lend a socket to worker %ld: %s", (long)w->pid,
	    strerror(errno));
}

void
lending_take_back(struct worker *w)
{
	if (w->has_sockets)
		(void)worker_tell(w, "return");
	w->has_sockets = 0;
}
