#include "config.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_EXECINFO_H
#include <execinfo.h>
#endif

#include "lib/log.h"
#include "lib/trace.h"

#ifdef HAVE_EXECINFO_H
#define TRACE_MOST 64

/* Only what a signal handler may do. */
static void
trace_write(int signo)
{
	char head[] = "-- dies of signal 00; where it is:\n";
	static const char foot[] = "-- that is all\n";
	void *at[TRACE_MOST];
	int n = backtrace(at, TRACE_MOST), fd = log_descriptor();

	head[sizeof "-- dies of signal" - 1 + 1] =
	    (char)('0' + signo / 10 % 10);
	head[sizeof "-- dies of signal" - 1 + 2] = (char)('0' + signo % 10);
	if (write(fd, head, sizeof head - 1) != -1) {
		backtrace_symbols_fd(at, n, fd);
		(void)!write(fd, foot, sizeof foot - 1);
	}
	signal(signo, SIG_DFL);
	raise(signo);
}

void
trace_on_death(void)
{
	struct sigaction action;
	static const int of[] = { SIGABRT,
#ifndef __SANITIZE_ADDRESS__ /* which has more to say */
		SIGSEGV, SIGBUS, SIGFPE, SIGILL
#endif
	};
	void *at[1];

	(void)backtrace(at, 1); /* it may load a library, the first time */
	memset(&action, 0, sizeof action);
	action.sa_handler = trace_write;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
		(void)sigaction(of[i], &action, NULL);
}
#else
void
trace_on_death(void)
{
}
#endif
