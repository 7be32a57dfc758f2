#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/utf8.h"
#include "lib/xalloc.h"

#define LOG_LOOK_MS 1000 /* how often the file's path is looked at */

static struct {
	int fd;
	char *path; /* owned; NULL while lines go to standard error */
	const char *role;
	int64_t looked;     /* when the path was last compared with fd */
	unsigned long lost; /* lines since the last that was written */
	int torn;           /* the file ends in a part of a line */
} out = { .fd = STDERR_FILENO, .role = "mamayo" };

/* A pipe without a reader must not hold us up. */
int
log_open_file(const char *path, int more)
{
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY |
		    O_NONBLOCK | more;
	int fd = open(path, flags, 0600);
	const char *slash = strrchr(path, '/');
	char *directory;

	if (fd != -1 || errno != ENOENT || slash == NULL)
		return fd;
	directory = strndup(path, (size_t)(slash - path));
	if (directory == NULL)
		return -1;
	if (mkdir(directory, 0700) == 0 || errno == EEXIST)
		fd = open(path, flags, 0600);
	free(directory);
	return fd;
}

int
log_open(const char *path)
{
	int fd = log_open_file(path, 0);
	char *copy;

	if (fd == -1)
		return -1;
	tzset();
	copy = xstrdup(path);
	if (out.path != NULL)
		close(out.fd);
	free(out.path);
	out.path = copy;
	out.fd = fd;
	out.looked = clock_ms();
	out.torn = 0;
	return 0;
}

void
log_forget(void)
{
	free(out.path);
	out.path = NULL;
	out.fd = STDERR_FILENO;
	out.torn = 0;
}

int
log_descriptor(void)
{
	return out.fd;
}

void
log_role(const char *role)
{
	out.role = role;
}

/* A file that was renamed or removed is followed by a new one (rotation). */
static void
log_follow(void)
{
	struct stat there, here;
	int64_t now = clock_ms();
	int fd;

	if (out.path == NULL || now - out.looked < LOG_LOOK_MS)
		return;
	out.looked = now;
	if (fstat(out.fd, &here) == 0 && stat(out.path, &there) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino)
		return;
	if ((fd = log_open_file(out.path, 0)) == -1)
		return;
	close(out.fd);
	out.fd = fd;
	out.torn = 0;
}

int
log_again(int64_t *last, int64_t every, int64_t now)
{
	if (*last != 0 && now - *last < every)
		return 0;
	*last = now;
	return 1;
}

char *
log_escape(char *to, size_t size, const char *text, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0, length;
	unsigned char c;

	assert(size >= 5);
	while (n > 0) {
		length = utf8_shown(text, n);
		if (length > 0) {
			if (length > size - 1 - used)
				break;
			memcpy(to + used, text, length);
			used += length;
		} else {
			length = 1;
			if (4 > size - 1 - used)
				break;
			c = (unsigned char)*text;
			to[used++] = '\\';
			to[used++] = 'x';
			to[used++] = hex[c >> 4];
			to[used++] = hex[c & 15];
		}
		text += length;
		n -= length;
	}
	to[used] = '\0';
	return to;
}

/* Fills line with a whole line and returns its length. */
static size_t
log_line(char *line, size_t size, const char *level, const char *text)
{
	struct timespec t = clock_wall();
	struct tm tm;
	size_t used;

	localtime_r(&t.tv_sec, &tm);
	used = strftime(line, size, "%Y-%m-%d %H:%M:%S", &tm);
	used += (size_t)snprintf(line + used, size - used,
	    ".%03ld %.32s[%ld] %s: ", t.tv_nsec / 1000000, out.role,
	    (long)getpid(), level);
	log_escape(line + used, size - used, text, strlen(text));
	used += strlen(line + used);
	line[used++] = '\n';
	return used;
}

static void log_format(char *text, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void
log_format(char *text, size_t size, const char *fmt, va_list ap)
{
	if (vsnprintf(text, size, fmt, ap) < 0)
		text[0] = '\0';
}

static int
log_write(const char *line, size_t n)
{
	ssize_t written;

	do
		written = write(out.fd, line, n);
	while (written == -1 && errno == EINTR);
	if (written == (ssize_t)n) {
		out.torn = 0;
		return 0;
	}
	if (written > 0)
		out.torn = 1;
	return -1;
}

static void
log_put(const char *level, const char *text)
{
	char line[LOG_LINE_MOST + 1], note[64];
	int saved = errno;
	size_t n;

	log_follow();
	if (out.lost > 0) {
		snprintf(note, sizeof note,
		    "%lu lines before this one could not be written", out.lost);
		line[0] = '\n';
		n = log_line(line + 1, LOG_LINE_MOST, "warning", note);
		if (log_write(line + !out.torn, n + (size_t)out.torn) == 0)
			out.lost = 0;
	}
	n = log_line(line, LOG_LINE_MOST, level, text);
	if (out.lost > 0 || log_write(line, n) == -1)
		out.lost++;
	errno = saved;
}

/* The four differ in a word only, but a variadic function cannot be passed
 * on without its va_list. */
#define LOG_TEXT(text, fmt)                     \
	char text[LOG_LINE_MOST];               \
	va_list ap;                             \
	va_start(ap, fmt);                      \
	log_format(text, sizeof text, fmt, ap); \
	va_end(ap)

void
log_info(const char *fmt, ...)
{
	LOG_TEXT(text, fmt);
	log_put("info", text);
}

void
log_warn(const char *fmt, ...)
{
	LOG_TEXT(text, fmt);
	log_put("warning", text);
}

void
log_error(const char *fmt, ...)
{
	LOG_TEXT(text, fmt);
	log_put("error", text);
}

void
die(int status, const char *fmt, ...)
{
	char line[LOG_LINE_MOST];
	ssize_t written;
	size_t n;

	LOG_TEXT(text, fmt);
	if (out.path != NULL)
		log_put("error", text);
	n = (size_t)snprintf(line, sizeof line, "mamayo: ");
	log_escape(line + n, sizeof line - n - 1, text, strlen(text));
	n = strlen(line);
	line[n++] = '\n';
	written = write(STDERR_FILENO, line, n);
	(void)written; /* there is nobody left to tell */
	exit(status);
}

void
log_to(int fd, const char *fmt, ...)
{
	char line[LOG_LINE_MOST];
	int saved = errno;
	ssize_t written;
	size_t n;

	LOG_TEXT(text, fmt);
	n = log_line(line, sizeof line, "info", text);
	written = write(fd, line, n);
	(void)written; /* best effort: the application's log may be full */
	errno = saved;
}
