#include "config.h"

#include <errno.h>
#include <fastcgi.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/local.h"
#include "fcgi/record.h"
#include "fcgi/static.h"
#include "lib/beneath.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/mediatype.h"
#include "lib/selection.h"
#include "lib/utf8.h"

#define STATIC_PIECE 65528 /* bytes of content in one record */
#define STATIC_FIELD 8192  /* bytes of the value of one header field */
#define STATIC_HEAD  (STATIC_FIELD + 1024) /* bytes of all of them */

/* ------------------------------------------------------------- finding -- */

/* Is a part of the path hidden? */
static int
is_hidden(const char *path)
{
	for (; path != NULL; path = strchr(path, '/')) {
		path += *path == '/';
		if (*path == '.')
			return 1;
	}
	return 0;
}

/* What comes of the address after mount and prefix, without the slash. NULL if
 * it is not there. */
static const char *
below(const char *path, const char *mount, const char *prefix)
{
	size_t n = strlen(mount), m = strlen(prefix);

	if (strncmp(path + n, prefix, m) != 0)
		return NULL;
	path += n + m;
	if (*path == '/')
		return path + 1;
	return *path == '\0' ? path : NULL;
}

/* The directory of that name in an application's. -1 with errno: most have
 * none, which costs no descriptor. */
static int
open_place(const char *apps, const char *name, const char *directory)
{
	char path[BENEATH_PATH];
	size_t n = strlen(apps) + 1 + strlen(name);
	int app, place;

	if ((size_t)snprintf(path, sizeof path, "%s/%s/%s", apps, name,
		directory) >= sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (access(path, F_OK) == -1)
		return -1;
	path[n] = '\0';
	if ((app = open(path, BENEATH_PLACE | O_CLOEXEC)) == -1)
		return -1;
	place = beneath_open(app, directory, BENEATH_PLACE);
	fd_close(&app);
	return place;
}

static int
is_short_of(int why)
{
	return why == ENOMEM || why == EMFILE || why == ENFILE;
}

static enum static_found
refused(struct static_file *f, const char *why)
{
	snprintf(f->why, sizeof f->why, "%s", why);
	return STATIC_REFUSED;
}

/* What it means that it could not be opened. */
static enum static_found
not_opened(struct static_file *f)
{
	if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
		return STATIC_NONE;
	if (is_short_of(errno))
		return STATIC_SHORT_OF;
	return refused(f, errno == EXDEV
			      ? "it is a link that leads out of there"
			      : strerror(errno));
}

/* Opens what is there. A directory is found, too. */
static enum static_found
open_file(struct static_file *f, int place, const char *path)
{
	fd_close(&f->fd);
	f->fd = beneath_open(place, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (f->fd == -1)
		return not_opened(f);
	if (fstat(f->fd, &f->stat) == -1)
		return refused(f, strerror(errno));
	if (!S_ISREG(f->stat.st_mode) && !S_ISDIR(f->stat.st_mode))
		return refused(f, "it is no regular file");
	f->type = mediatype_of(path);
	free(f->path);
	f->path = strdup(path);
	return f->path != NULL ? STATIC_FILE : STATIC_SHORT_OF;
}

/* A directory's own file. */
static enum static_found
open_index(struct static_file *f, int place, const char *path)
{
	char index[BENEATH_PATH];
	enum static_found found;

	if ((size_t)snprintf(index, sizeof index, "%s%s" STATIC_INDEX, path,
		*path == '\0' || path[strlen(path) - 1] == '/' ? "" : "/") >=
	    sizeof index)
		return STATIC_NONE;
	found = open_file(f, place, index);
	if (found == STATIC_FILE && S_ISDIR(f->stat.st_mode))
		return STATIC_NONE;
	return found;
}

/* Appends to out what may not stand in a header as it is, encoded. */
static char *
put_encoded(char *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~/!$&'()*+,;=:@";
	static const char hex[] = "0123456789ABCDEF";

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL) {
			*out++ = *text;
			continue;
		}
		*out++ = '%';
		*out++ = hex[(unsigned char)*text / 16];
		*out++ = hex[(unsigned char)*text % 16];
	}
	return out;
}

/* May it stand in a header as it is? */
static int
is_plain_text(const char *text)
{
	while ((unsigned char)*text > ' ' && *text != 0x7f)
		text++;
	return *text == '\0';
}

/* The address of a directory, with its slash; one that is too long is for the
 * application. */
static enum static_found
moved(struct static_file *f, const struct url *url, const char *query)
{
	size_t n = 3 * (url->base_length + url->path_length);
	char *end;

	if (!is_plain_text(query))
		query = "";
	if (n + strlen(query) + 3 > STATIC_FIELD)
		return STATIC_NONE;
	f->location = malloc(n + strlen(query) + 3);
	if (f->location == NULL)
		return STATIC_SHORT_OF;
	end = put_encoded(f->location, url->base);
	end = put_encoded(end, url->path);
	snprintf(
	    end, strlen(query) + 3, "/%s%s", *query != '\0' ? "?" : "", query);
	return STATIC_MOVED;
}

static enum static_found
find_in(struct static_file *f, int place, const char *path,
    const struct url *url, const char *query)
{
	enum static_found found = open_file(f, place, path);

	if (found != STATIC_FILE || !S_ISDIR(f->stat.st_mode))
		return found;
	found = open_index(f, place, path);
	if (found == STATIC_FILE &&
	    (url->path_length == 0 || url->path[url->path_length - 1] != '/'))
		return moved(f, url, query);
	return found;
}

/* Says where it is, from apps/ on. */
static enum static_found
placed(struct static_file *f, const char *name, const char *directory)
{
	size_t own = strlen(name) + strlen(directory) + 2;
	char *path = malloc(own + strlen(f->path) + 1);

	if (path == NULL)
		return STATIC_SHORT_OF;
	snprintf(path, own + 1, "%s/%s/", name, directory);
	memcpy(path + own, f->path, strlen(f->path) + 1);
	free(f->path);
	f->path = path;
	f->own = own;
	f->is_public = strcmp(directory, "public") == 0;
	return STATIC_FILE;
}

enum static_found
static_find(struct static_file *f, const char *apps, const struct route *route,
    const struct url *url, const struct params *params)
{
	const char *method = params_get(params, "REQUEST_METHOD"), *path;
	const char *query = params_get(params, "QUERY_STRING");
	char *const *pair = route->places;
	enum static_found found = STATIC_NONE;
	int place;

	*f = (struct static_file){ .fd = -1 };
	if (method == NULL ||
	    (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0))
		return STATIC_NONE;
	for (; pair != NULL && *pair != NULL && found == STATIC_NONE;
	     pair += 2) {
		path = below(url->path, route->mount, pair[0]);
		if (path == NULL || is_hidden(path))
			continue;
		place = open_place(apps, route->name, pair[1]);
		if (place == -1 && is_short_of(errno))
			return STATIC_SHORT_OF;
		if (place == -1)
			continue;
		found = find_in(f, place, path, url, query);
		fd_close(&place);
		if (found == STATIC_FILE)
			found = placed(f, route->name, pair[1]);
	}
	if (found != STATIC_FILE) {
		fd_close(&f->fd);
		free(f->path);
		f->path = NULL;
	}
	return found;
}

void
static_release(struct static_file *f)
{
	fd_close(&f->fd);
	free(f->location);
	free(f->path);
	f->location = f->path = NULL;
}

/* ------------------------------------------------------------- sending -- */

struct sending {
	struct timer timer; /* the next turn */
	struct conn *conn;
	int fd; /* -1: only header fields */
	uint64_t at, left;
	char head[STATIC_HEAD]; /* what is still to be sent of that */
	size_t head_length;
};

static void static_due(struct timer *, int64_t);

/* Takes fd. NULL without memory. */
static struct sending *
sending_new(struct conn *c, int fd)
{
	struct sending *s = malloc(sizeof *s);

	if (s == NULL) {
		fd_close(&fd);
		return NULL;
	}
	s->timer = (struct timer){ .due = static_due };
	s->conn = c;
	s->fd = fd;
	s->at = s->left = 0;
	s->head_length = 0;
	c->sender = s;
	return s;
}

static void __attribute__((format(printf, 2, 3)))
say(struct sending *s, const char *fmt, ...)
{
	size_t room = sizeof s->head - s->head_length;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(s->head + s->head_length, room, fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n + 2 < room) {
		s->head_length += (size_t)n;
		memcpy(s->head + s->head_length, "\r\n", 2);
		s->head_length += 2;
	}
}

void
static_free(struct conn *c)
{
	struct sending *s = c->sender;

	if (s == NULL)
		return;
	c->sender = NULL;
	loop_cancel(c->rules->loop, &s->timer);
	fd_close(&s->fd);
	free(s);
}

static void
static_abandon(struct conn *c)
{
	static_free(c);
	conn_free(c);
}

/* The next record, with what is left of the head in front and, if it is the
 * last one, the end of the answer behind. 1: there is more, 0: that was all,
 * -1: the connection is over. */
static int
static_piece(struct sending *s, int64_t now)
{
	static unsigned char
	    record[RECORD_HEAD + STATIC_PIECE + RECORD_HEAD + RECORD_END];
	struct conn *c = s->conn;
	size_t n = s->head_length, size = RECORD_HEAD;
	ssize_t got = 0;
	int is_last;

	memcpy(record + RECORD_HEAD, s->head, n);
	s->head_length = 0;
	if (s->left > 0) {
		size_t most = STATIC_PIECE - n;

		if (most > s->left)
			most = (size_t)s->left;
		do
			got = pread(s->fd, record + RECORD_HEAD + n, most,
			    (off_t)s->at);
		while (got == -1 && errno == EINTR);
		if (got <= 0) { /* it has become shorter */
			static_free(c);
			conn_cut(c, now);
			return -1;
		}
		s->at += (uint64_t)got;
		s->left -= (uint64_t)got;
		n += (size_t)got;
	}
	is_last = s->left == 0;
	record_put_head(record, FCGI_STDOUT, c->id, (uint16_t)n, 0);
	size += n;
	if (is_last) {
		record_put_head(record + size, FCGI_STDOUT, c->id, 0, 0);
		size += RECORD_HEAD;
		record_put_end(record + size, c->id, 0, FCGI_REQUEST_COMPLETE);
		size += RECORD_END;
	}
	if (conn_forward(c, record, size, 1) == -1) {
		static_abandon(c);
		return -1;
	}
	return !is_last;
}

void
static_pump(struct conn *c, int64_t now)
{
	struct sending *s = c->sender;
	uint64_t until = s->at + STATIC_TURN;
	int more = 1;

	while (more == 1 && conn_room(c) >= CONN_PIECE && s->at < until)
		more = static_piece(s, now);
	if (more == -1)
		return;
	if (more == 0) {
		static_free(c);
		conn_end(c, now);
	} else if (conn_room(c) >= CONN_PIECE &&
		   loop_timer(c->rules->loop, &s->timer, now) == -1) {
		static_free(c);
		conn_cut(c, now);
	}
}

static void
static_due(struct timer *t, int64_t now)
{
	static_pump(((struct sending *)t)->conn, now);
}

static struct selection
static_select(
    const struct conn *c, const struct static_file *f, const char *etag)
{
	const struct params *p = &c->params;
	struct selection_request r = {
		.if_match = params_get(p, "HTTP_IF_MATCH"),
		.if_none_match = params_get(p, "HTTP_IF_NONE_MATCH"),
		.if_modified_since = params_get(p, "HTTP_IF_MODIFIED_SINCE"),
		.if_unmodified_since =
		    params_get(p, "HTTP_IF_UNMODIFIED_SINCE"),
		.range = c->is_head ? NULL : params_get(p, "HTTP_RANGE"),
		.if_range = params_get(p, "HTTP_IF_RANGE"),
	};
	struct selection_file file = { .size = (uint64_t)f->stat.st_size,
		.modified = f->stat.st_mtime,
		.etag = etag };

	return selection_of(&r, &file);
}

static void
say_status(struct sending *s, int status)
{
	const char *words = status == 200   ? "OK"
			    : status == 206 ? "Partial Content"
			    : status == 301 ? "Moved Permanently"
			    : status == 304 ? "Not Modified"
			    : status == 412 ? "Precondition Failed"
					    : "Range Not Satisfiable";

	say(s, "Status: %d %s", status, words);
}

void
static_send(struct conn *c, struct static_file *f, int64_t now)
{
	char etag[SELECTION_ETAG], date[SELECTION_DATE];
	struct sending *s = sending_new(c, f->fd);
	struct timespec wall = clock_wall();
	unsigned long long size = (unsigned long long)f->stat.st_size;
	struct selection part;

	f->fd = -1;
	if (s == NULL) {
		conn_page_short(c, now);
		return;
	}
	selection_etag(etag, size, &f->stat.st_mtim, &wall);
	selection_date(date, f->stat.st_mtime);
	part = static_select(c, f, etag);
	say_status(s, part.status);
	say(s, "ETag: %s", etag);
	say(s, "Last-Modified: %s", date);
	say(s, "Accept-Ranges: bytes");
	if (part.status == 206)
		say(s, "Content-Range: bytes %llu-%llu/%llu",
		    (unsigned long long)part.first,
		    (unsigned long long)(part.first + part.length - 1), size);
	if (part.status == 416)
		say(s, "Content-Range: bytes */%llu", size);
	if (part.status == 200 || part.status == 206) {
		say(s, "Content-Type: %s", f->type);
		s->at = part.first;
		s->left = c->is_head ? 0 : part.length;
	} else
		part.length = 0;
	if (part.status != 304)
		say(s, "Content-Length: %llu", (unsigned long long)part.length);
	say(s, "%s", "");
	static_release(f);
	static_pump(c, now);
}

/* ------------------------------------------------------- handing over -- */

static int
is_path_of(const char *found, const char *apps, const char *path)
{
	size_t n = strlen(apps);

	return strncmp(found, apps, n) == 0 && found[n] == '/' &&
	       strcmp(found + n + 1, path) == 0;
}

/* Is the file at that path below apps without any link? Then that is its path.
 * Only Linux tells. */
static int
is_plainly_at(int fd, const char *apps, const char *path, char found[PATH_MAX])
{
	char name[40], real[PATH_MAX];
	ssize_t got;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	got = readlink(name, found, PATH_MAX - 1);
	if (got == -1)
		return 0;
	found[got] = '\0';
	return is_path_of(found, apps, path) ||
	       (realpath(apps, real) != NULL && is_path_of(found, real, path));
}

static int
is_utf8(const char *text)
{
	size_t n;

	for (; *text != '\0'; text += n)
		if ((n = utf8_shown(text, strlen(text))) == 0)
			return 0;
	return 1;
}

/* What the header says, and which it is. NULL if there is none. */
static char *
hand_over_path(const struct conn *c, const struct static_file *f,
    const char *apps, const char *how, const char **header)
{
	const char *prefix = strchr(how, ':');
	char real[PATH_MAX], *path;
	struct local_file file = {
		.real = real, .type = f->type, .stat = &f->stat
	};
	size_t room;

	prefix = prefix == NULL ? "" : prefix + 1;
	if (strcmp(how, "x-sendfile") == 0) {
		*header = "X-Sendfile";
		prefix = apps;
	} else if (strncmp(how, "x-accel:/", 9) == 0)
		*header = "X-Accel-Redirect";
	else if (strncmp(how, "local:", 6) == 0 && *prefix != '\0' &&
		 prefix[strlen(prefix) - 1] == '/' && f->is_public)
		*header = "Location";
	else
		return NULL;
	if (!is_plainly_at(f->fd, apps, f->path, real))
		return NULL;
	if (strcmp(*header, "Location") == 0) {
		file.app = strlen(real) - strlen(f->path);
		file.own = file.app + f->own;
		return local_address(&c->params, prefix, &file);
	}
	room = strlen(prefix) + 1 + strlen(f->path) + 1;
	if ((path = malloc(room)) != NULL)
		snprintf(path, room, "%s%s%s", prefix,
		    prefix[strlen(prefix) - 1] == '/' ? "" : "/", f->path);
	return path;
}

int
static_hand_over(struct conn *c, struct static_file *f, const char *apps,
    const char *how, int64_t now)
{
	const char *header = NULL;
	struct sending *s;
	char *path, *encoded;

	if (how == NULL || !is_utf8(f->path) ||
	    3 * (strlen(apps) + strlen(f->path) + strlen(how)) > STATIC_FIELD ||
	    (path = hand_over_path(c, f, apps, how, &header)) == NULL)
		return 0;
	encoded = malloc(3 * strlen(path) + 1);
	s = encoded != NULL ? sending_new(c, -1) : NULL;
	if (s != NULL) {
		*put_encoded(encoded, path) = '\0';
		say_status(s, 200);
		say(s, "Content-Type: %s", f->type);
		say(s, "%s: %s", header, encoded);
		say(s, "%s", "");
		static_release(f);
		static_pump(c, now);
	}
	free(encoded);
	free(path);
	return s != NULL;
}

void
static_move(struct conn *c, struct static_file *f, int64_t now)
{
	struct sending *s = sending_new(c, -1);

	if (s == NULL) {
		static_release(f);
		conn_page_short(c, now);
		return;
	}
	say_status(s, 301);
	say(s, "Location: %s", f->location);
	say(s, "Content-Length: 0");
	say(s, "%s", "");
	static_release(f);
	static_pump(c, now);
}
