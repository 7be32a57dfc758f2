#ifndef MAMAYO_WATCHDOG_H
#define MAMAYO_WATCHDOG_H

#include <stdint.h>

/*
 * watchdog: has a process that should answer made progress? Pure.
 *
 * It is asked once a second, and asked again until it answers. One that leaves
 * WATCHDOG_MISSES beats in a row unanswered is stuck: it loops, waits for ever,
 * or was stopped. A beat that comes late says something about us, not about it:
 * we were stopped ourselves, or the machine has no time for anybody. Then
 * counting begins anew.
 */
#define WATCHDOG_BEAT_MS 1000
#define WATCHDOG_LATE_MS 500
#define WATCHDOG_MISSES  8

struct watchdog {
	int64_t next;    /* when the next beat is due; 0: it rests */
	unsigned missed; /* beats in a row without an answer */
	int is_asked;    /* and has not answered yet */
};

enum watchdog_does {
	WATCHDOG_NOTHING, /* no beat is due yet */
	WATCHDOG_ASKS,    /* a beat: ask it */
	WATCHDOG_STUCK    /* told once; begins anew */
};

/* There is something to watch it for: the first beat is due in a moment. */
void watchdog_start(struct watchdog *, int64_t now);
void watchdog_rest(struct watchdog *);
/* Whatever it says is an answer. */
void watchdog_heard(struct watchdog *);
/* Called when a beat is due. */
enum watchdog_does watchdog_beat(struct watchdog *, int64_t now);

#endif
