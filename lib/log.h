#ifndef MAMAYO_LOG_H
#define MAMAYO_LOG_H

#include <stddef.h>
#include <stdint.h>

/*
 * log: one line per event, appended to a file or written to standard error.
 *
 * A line is "2026-11-23 10:00:00.123 ROLE[PID] LEVEL: TEXT\n" (UTC is not
 * used: local time, as the owner reads it), at most LOG_LINE_MOST bytes, one
 * write(2) (O_APPEND, so several processes share the file). Control bytes and
 * bytes that are not UTF-8 appear as \xNN, so nothing a client or an
 * application sent can forge a line. Writing never fails visibly: a full disk
 * loses the line and counts it. Once a second a line looks whether the file is
 * still the one at its path, and goes to that: it may have been removed, or
 * renamed (lib/logfile).
 */
#define LOG_LINE_MOST 4096

/* Where lines go: before the first call, to standard error. The file is
 * created with mode 0600. Returns 0, or -1 with errno (and stays as it was). */
int log_open(const char *path);
/*
 * Opens a file for lines, with more flags: appends, never waits, is made with
 * mode 0600, and so is its directory (0700) if that has gone. A descriptor, or
 * -1 with errno.
 */
int log_open_file(const char *path, int more);
/* In a forked copy that has closed every descriptor: standard error again. */
void log_forget(void);
/* For a signal handler, which may write(2) and nothing else. */
int log_descriptor(void);
/* "responder", "supervisor": borrowed for ever. */
void log_role(const char *);

void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Logs to standard error and the log, then exits with the status. */
void die(int status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/*
 * Appends one line to another file (an application's log), escaped the same
 * way, with the same head. Creates it with mode 0600. Best effort.
 */
void log_to(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* May a line that would come again and again be written now? At most once in
 * `every` ms: *last is when that was, and is set if so; 0 at first. */
int log_again(int64_t *last, int64_t every, int64_t now);

/*
 * Writes n bytes of text, escaped for a log line, and a NUL to out (of size
 * bytes, which must hold at least 5); cuts what does not fit. Returns out.
 */
char *log_escape(char *out, size_t size, const char *text, size_t n);

#endif
