#include "config.h"

#include <errno.h>
#include <fastcgi.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/health.h"
#include "lib/params.h"
#include "lib/wire.h"
#include "lib/xalloc.h"

#define HEALTH_PIECE 4096 /* bytes read at once */

/* ------------------------------------------------------------ the answer -- */

/* "Status: 404 Not found"; 200 if there is no such line. 0 if it is wrong. */
static int
health_status(const char *headers)
{
	static const char name[] = "Status:";
	const char *line = headers;
	int status;

	while (strncasecmp(line, name, sizeof name - 1) != 0) {
		if (*line == '\r' || *line == '\n')
			return 200;
		line += strcspn(line, "\n");
		if (*line == '\0')
			return 0; /* no end of the headers */
		line++;
	}
	status = atoi(line + sizeof name - 1);
	return status >= 100 && status <= 999 ? status : 0;
}

/* The head of a record, or the whole of an END_REQUEST. */
static int
health_take_head(struct health *h)
{
	static const unsigned char well[4] = { 0, 0, 0, 0 };
	struct record r;

	if (record_head(h->head, RECORD_HEAD, &r) != RECORD_HEAD)
		return -1;
	h->type = r.type;
	h->left = (size_t)r.length;
	h->padding = r.padding;
	if (r.type != FCGI_END_REQUEST)
		return 0;
	if (memcmp(h->head + RECORD_HEAD, well, sizeof well) != 0)
		return -1; /* the worker could not complete it */
	h->status = health_status(h->headers);
	return h->status != 0 ? 1 : -1;
}

static size_t
health_head_size(const struct health *h)
{
	return h->head_length >= RECORD_HEAD && h->head[1] == FCGI_END_REQUEST
		   ? RECORD_END
		   : RECORD_HEAD;
}

/* A piece of a record's content. */
static void
health_keep(struct health *h, const unsigned char *in, size_t n)
{
	size_t room = HEALTH_HEADERS - h->length;

	if (h->type != FCGI_STDOUT)
		return;
	if (n > room)
		n = room;
	memcpy(h->headers + h->length, in, n);
	h->length += n;
	h->headers[h->length] = '\0';
}

int
health_take(struct health *h, const unsigned char *in, size_t n)
{
	size_t piece;
	int result;

	for (; n > 0; in += piece, n -= piece) {
		piece = 1;
		if (h->left > 0) {
			piece = n < h->left ? n : h->left;
			health_keep(h, in, piece);
			h->left -= piece;
		} else if (h->padding > 0)
			h->padding--;
		else {
			h->head[h->head_length++] = *in;
			if (h->head_length < health_head_size(h))
				continue;
			result = health_take_head(h);
			if (result != 0)
				return result;
			h->head_length = 0;
		}
	}
	return 0;
}

static void
health_over(struct health *h, int64_t now)
{
	health_end(h);
	h->is_done = 1;
	h->done(h, now);
}

static void
health_ready(struct watch *w, short got, int64_t now)
{
	struct health *h = (struct health *)w;
	unsigned char piece[HEALTH_PIECE];
	ssize_t n;

	(void)got;
	n = recv(w->fd, piece, sizeof piece, MSG_DONTWAIT);
	if (n == -1 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0 || health_take(h, piece, (size_t)n) != 0)
		health_over(h, now);
}

/* ----------------------------------------------------------- the request -- */

static void
health_add(struct params *p, const char *name, const char *value, size_t n)
{
	(void)params_add(p, name, strlen(name), value, n);
}

static void
health_describe(struct params *p, const struct app *app, const char *path)
{
	const char *host = app->host[0] != '\0' ? app->host : "localhost";
	const char *query = strchr(path, '?');
	char *address = xprintf("%s%s", app->mount, path);
	const struct {
		const char *name, *value;
	} words[] = {
		{ "GATEWAY_INTERFACE", "CGI/1.1" },
		{ "SERVER_SOFTWARE", PACKAGE_NAME "/" PACKAGE_VERSION },
		{ "SERVER_NAME", host },
		{ "SERVER_PORT", "80" },
		{ "SERVER_PROTOCOL", "HTTP/1.1" },
		{ "REQUEST_METHOD", "GET" },
		{ "REQUEST_URI", address },
		{ "SCRIPT_NAME", app->mount },
		{ "QUERY_STRING", query != NULL ? query + 1 : "" },
		{ "REMOTE_ADDR", "127.0.0.1" },
		{ "HTTP_HOST", host },
		{ "HTTP_USER_AGENT", "mamayo (health)" },
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		health_add(
		    p, words[i].name, words[i].value, strlen(words[i].value));
	health_add(p, "PATH_INFO", path, strcspn(path, "?"));
	free(address);
}

static int
health_send(
    int queue, int answer, const struct params *p, const struct wire_head *head)
{
	unsigned char message[WIRE_MOST];

	if (WIRE_HEAD + p->length > sizeof message) {
		errno = EMSGSIZE;
		return -1;
	}
	wire_put_head(message, head);
	memcpy(message + WIRE_HEAD, p->text, p->length);
	return fd_send(queue, message, WIRE_HEAD + p->length, &answer, 1) == -1
		   ? -1
		   : 0;
}

int
health_ask(struct health *h, struct loop *loop, int queue,
    const struct app *app, const char *path, uint64_t responder,
    uint64_t number, int64_t not_after)
{
	struct wire_head head = { .request_id = 1,
		.responder = responder,
		.counter = number,
		.queued = (uint64_t)clock_ms(),
		.not_after = (uint64_t)not_after };
	struct params params;
	int pair[2], failed;

	if (fd_pair_stream(pair) == -1)
		return -1;
	h->loop = loop;
	h->answer = (struct watch){
		.fd = pair[0], .want = POLLIN, .ready = health_ready
	};
	params_init(&params);
	health_describe(&params, app, path);
	head.params = (uint32_t)params.length;
	failed = loop_watch(loop, &h->answer) == -1 ||
		 health_send(queue, pair[1], &params, &head) == -1;
	params_release(&params);
	fd_close(&pair[1]);
	if (failed)
		health_end(h);
	return failed ? -1 : 0;
}

void
health_end(struct health *h)
{
	if (h->loop == NULL || h->answer.fd == -1)
		return;
	loop_unwatch(h->loop, &h->answer);
	fd_close(&h->answer.fd);
}
