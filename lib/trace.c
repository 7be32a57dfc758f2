#include "config.h"

#include <signal.h>
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
	static const char head[] = "-- it was told to abort; where it is:\n";
	static const char foot[] = "-- that is all\n";
	void *at[TRACE_MOST];
	int n = backtrace(at, TRACE_MOST), fd = log_descriptor();

	if (write(fd, head, sizeof head - 1) != -1) {
		backtrace_symbols_fd(at, n, fd);
		(void)!write(fd, foot, sizeof foot - 1);
	}
	signal(signo, SIG_DFL);
	raise(signo);
}

void
trace_on_abort(void)
{
	struct sigaction action;
	void *at[1];

	(void)backtrace(at, 1); /* it may load a library, the first time */
	memset(&action, 0, sizeof action);
	action.sa_handler = trace_write;
	sigemptyset(&action.sa_mask);
	(void)sigaction(SIGABRT, &action, NULL);
}
#else
void
trace_on_abort(void)
{
}
#endif
