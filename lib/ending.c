#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ending.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/xalloc.h"

#define ENDING_VMSTAT 16384 /* bytes of /proc/vmstat */
#define ENDING_FEW    12    /* lines, where there is no stack */
#define ENDING_BEFORE 3     /* lines before one */

uint64_t
ending_oom_kills(const char *vmstat)
{
	static const char name[] = "\noom_kill ";
	char text[ENDING_VMSTAT + 1];
	int fd = open(vmstat, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	size_t length = 0;
	ssize_t n;
	const char *at;

	if (fd == -1)
		return 0;
	while (length < sizeof text - 1 &&
	       (n = read(fd, text + length, sizeof text - 1 - length)) > 0)
		length += (size_t)n;
	fd_close(&fd);
	text[length] = '\0';
	at = strstr(text, name);
	return at != NULL ? strtoull(at + sizeof name - 1, NULL, 10) : 0;
}

const char *
ending_advice(int status, uint64_t oom_kills)
{
	if (status == PROC_UNKNOWN)
		return "";
	if (!WIFSIGNALED(status))
		return "; something in it has called exit() or os._exit(), "
		       "or the reason is above";
	switch (WTERMSIG(status)) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
		return "; that is a fault in the compiled part of some "
		       "package: "
		       "the first one in the stack above; try another version "
		       "of it";
	case SIGABRT:
		return "; something in it gave up, and may have said why above";
	case SIGKILL:
		return oom_kills > 0
			   ? "; meanwhile the system has ended something for "
			     "want of memory, probably this: let fewer run "
			     "(\"workers\": {\"max\": 1} in mamayo.json), have "
			     "them replaced before they are that large "
			     "(\"memory\"), or get more memory"
			   : "; that was not mamayo, but the system or a "
			     "watchman of the host, mostly because of its "
			     "memory: \"memory\" in mamayo.json has it "
			     "replaced before";
	case SIGXCPU:
		return "; it has used all the processor time that a process of "
		       "this account may use (ulimit -t)";
	case SIGXFSZ:
		return "; it has written a file larger than a process of this "
		       "account may (ulimit -f)";
	case SIGTERM:
	case SIGHUP:
	case SIGINT:
		return "; that was not mamayo";
	default:
		return "";
	}
}

const char *
ending_stuck(void)
{
	return "; it was stuck: above is where, and the first line there of a "
	       "file of the application's own is the one to look at; give what "
	       "it waits for a limit of time, or raise \"timeout\" in "
	       "mamayo.json";
}

/* Reads the end of it; gives how much. */
static size_t
ending_read(const char *log, char *text, size_t most)
{
	int fd = open(log, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n = -1;

	if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = pread(fd, text, most,
		    st.st_size > (off_t)most ? st.st_size - (off_t)most : 0);
	fd_close(&fd);
	return n > 0 ? (size_t)n : 0;
}

static int
ending_begins(const char *line, const char *end, const char *with)
{
	size_t n = strlen(with);

	return (size_t)(end - line) >= n && memcmp(line, with, n) == 0;
}

/* Is it one of those that faulthandler writes a stack for? */
static int
ending_has_stack(int status)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE,
		SIGABRT };

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (status != PROC_UNKNOWN && WIFSIGNALED(status) &&
		    WTERMSIG(status) == signals[i])
			return 1;
	return 0;
}

static const char *
ending_next(const char *line, const char *end)
{
	const char *newline = memchr(line, '\n', (size_t)(end - line));

	return newline != NULL ? newline + 1 : end;
}

/* The lines worth showing. */
static const char *
ending_start(const char *text, const char *end, int status)
{
	const char *line, *next, *few = text, *before = text, *stack = NULL;
	size_t lines = 0;

	for (line = text; line < end; line = next) {
		next = ending_next(line, end);
		if (ending_has_stack(status) &&
		    ending_begins(line, end, "Fatal Python error: "))
			stack = before;
		if (++lines > ENDING_FEW)
			few = ending_next(few, end);
		if (lines > ENDING_BEFORE)
			before = ending_next(before, end);
	}
	return stack != NULL ? stack : few;
}

char *
ending_last_words(const char *log, int status)
{
	char text[ENDING_TEXT], *out, *at;
	size_t n = ending_read(log, text, sizeof text), room;
	const char *end = text + n, *line = text, *next;

	if (n == 0)
		return NULL;
	next = ending_next(text, end);
	if (n == sizeof text && next < end)
		line = next; /* not from the middle of a line */
	line = ending_start(line, end, status);
	room = (size_t)(end - line) * 4 + ENDING_LINES + 8;
	out = at = xcalloc(1, room);
	for (int i = 0; i < ENDING_LINES && line < end; i++, line = next) {
		next = ending_next(line, end);
		log_escape(at, room - (size_t)(at - out) - 1, line,
		    (size_t)(next - line) - (next[-1] == '\n'));
		at += strlen(at);
		*at++ = '\n';
	}
	*at = '\0';
	return out;
}
