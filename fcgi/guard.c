#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/guard.h"
#include "lib/fd.h"
#include "lib/lease.h"
#include "lib/link.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

#define GUARD_FILE      "stuck" /* in run/: lines of "MILLISECONDS PID" */
#define GUARD_FILE_MOST 4096
#define GUARD_LINE_MOST 64

/* Who is to be woken up, or killed: whoever we talk to, or, if we cannot even
 * do that, whoever holds the lock. */
static pid_t
guard_supervisor(const struct guard *g)
{
	pid_t pid = 0;
	uid_t uid;

	if (g->link == -1)
		return lease_holder(g->account->run);
	return fd_peer(g->link, &uid, &pid) == 0 && uid == geteuid() ? pid : 0;
}

/* One that several responders find stuck is one incident. Gives how many there
 * were; of the last GUARD_FILE_MOST bytes, which hold more than count. */
static int
guard_count(const struct guard *g, pid_t pid, int64_t now)
{
	char text[GUARD_FILE_MOST + 1], *line, *rest = text, *end;
	pid_t last = 0;
	long long at;
	ssize_t n = 0;
	int count = 0, fd, has_it = 0;

	fd = openat(g->account->run_fd, GUARD_FILE,
	    O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
	    0600);
	if (fd == -1)
		return 0;
	if (lseek(fd, 0, SEEK_END) > GUARD_FILE_MOST / 2)
		(void)!ftruncate(fd, 0); /* who has so many begins anew */
	n = pread(fd, text, GUARD_FILE_MOST, 0);
	text[n > 0 ? n : 0] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL) {
		at = strtoll(line, &end, 10);
		if (end == line || at > now || now - at >= GUARD_WITHIN_MS)
			continue; /* also what is of before the last boot */
		last = (pid_t)strtol(end, NULL, 10);
		has_it |= last == pid;
		count++;
	}
	if (pid != 0 && !has_it) {
		n = snprintf(text, GUARD_LINE_MOST, "%lld %ld\n",
		    (long long)now, (long)pid);
		count += fd_write_all(fd, text, (size_t)n) == 0;
	}
	fd_close(&fd);
	return count;
}

static void
guard_wake_up(struct guard *g, int64_t now)
{
	pid_t pid = guard_supervisor(g);

	if (pid <= 1 || g->victim != 0)
		return;
	g->victim = pid;
	log_error("the supervisor (process %ld) has made no progress for %d "
		  "seconds: it is told to write where it is, and replaced "
		  "(incident %d of %d in ten minutes)",
	    (long)pid, WATCHDOG_MISSES * WATCHDOG_BEAT_MS / 1000,
	    guard_count(g, pid, now), GUARD_MOST);
	TESTPOINT("responder:wake-up");
	proc_signal(pid, SIGABRT);
	(void)loop_timer(g->loop, &g->kill, now + GUARD_KILL_MS);
}

/* It has had time to write. Whoever has its number now, if it is gone, is not
 * who we talk to, and does not hold the lock. */
static void
guard_kill_due(struct timer *t, int64_t now)
{
	struct guard *g =
	    (struct guard *)((char *)t - offsetof(struct guard, kill));

	(void)now;
	if (guard_supervisor(g) == g->victim)
		proc_signal(g->victim, SIGKILL);
	g->victim = 0;
}

/* Requests that need no supervisor are over in an instant, one after the other;
 * still, one that is stuck is to be found before it is missed. */
static int
guard_is_curious(const struct guard *g)
{
	return g->link != -1 && (g->was_needed || g->watchdog.is_asked);
}

static void
guard_beat_due(struct timer *t, int64_t now)
{
	struct guard *g =
	    (struct guard *)((char *)t - offsetof(struct guard, beat));

	if (!g->is_needed(g) && !guard_is_curious(g))
		watchdog_rest(&g->watchdog);
	g->was_needed = 0;
	switch (watchdog_beat(&g->watchdog, now)) {
	case WATCHDOG_STUCK:
		guard_wake_up(g, now);
		break;
	case WATCHDOG_ASKS:
		if (g->link != -1)
			(void)link_send(g->link,
			    json_pack("{s:s}", "type", "ping"), NULL, 0);
		break;
	case WATCHDOG_NOTHING:
		break;
	}
	if (g->watchdog.next != 0)
		(void)loop_timer(g->loop, t, g->watchdog.next);
}

void
guard_init(struct guard *g, struct loop *loop, const struct account *account)
{
	memset(g, 0, sizeof *g);
	g->loop = loop;
	g->account = account;
	g->beat.due = guard_beat_due;
	g->kill.due = guard_kill_due;
	g->link = -1;
	mail_init(&g->mail, loop, account);
}

void
guard_release(struct guard *g)
{
	loop_cancel(g->loop, &g->beat);
	loop_cancel(g->loop, &g->kill);
	mail_release(&g->mail);
}

void
guard_watch(struct guard *g, int64_t now)
{
	g->was_needed = 1;
	watchdog_start(&g->watchdog, now);
	if (g->beat.place == 0)
		(void)loop_timer(g->loop, &g->beat, g->watchdog.next);
}

void
guard_link(struct guard *g, int link)
{
	g->link = link;
	watchdog_heard(&g->watchdog);
}

void
guard_heard(struct guard *g)
{
	watchdog_heard(&g->watchdog);
}

int
guard_gives_up(struct guard *g, int64_t now)
{
	if (guard_count(g, 0, now) < GUARD_MOST) {
		g->has_given_up = 0;
		return 0;
	}
	if (!g->has_given_up) {
		g->has_given_up = 1;
		log_error("%d supervisors were stuck in ten minutes: no other "
			  "one is started for now; see above where they were",
		    GUARD_MOST);
		mail_incident(&g->mail, "supervisor", NULL,
		    "the supervisor gets stuck again and again",
		    "The process that starts and watches your applications "
		    "was found stuck five times in ten minutes, and was ended "
		    "each time. That is an error in mamayo, or the machine is "
		    "in trouble.\n\nmamayo does not start it again for some "
		    "minutes. Applications that are running go on; those that "
		    "are not, or that end, show a page with status 503. The "
		    "log "
		    "has the functions in which it was stuck.\n");
	}
	return 1;
}
