#include "config.h"

#include "lib/watchdog.h"

void
watchdog_start(struct watchdog *w, int64_t now)
{
	if (w->next == 0)
		*w = (struct watchdog){ .next = now + WATCHDOG_BEAT_MS };
}

void
watchdog_rest(struct watchdog *w)
{
	*w = (struct watchdog){ 0 };
}

void
watchdog_heard(struct watchdog *w)
{
	w->missed = 0;
	w->is_asked = 0;
}

enum watchdog_does
watchdog_beat(struct watchdog *w, int64_t now)
{
	int is_late;

	if (w->next == 0 || now < w->next)
		return WATCHDOG_NOTHING;
	is_late = now - w->next > WATCHDOG_LATE_MS;
	w->next = now + WATCHDOG_BEAT_MS;
	w->missed = w->is_asked && !is_late ? w->missed + 1 : 0;
	w->is_asked = 1;
	if (w->missed < WATCHDOG_MISSES)
		return WATCHDOG_ASKS;
	watchdog_heard(w);
	return WATCHDOG_STUCK;
}
