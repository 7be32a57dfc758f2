#include "config.h"

#include <fcgiapp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fastcgi.h>

#include "fcgi/record.h"
#include "lib/buf.h"
#include "lib/params.h"
#include "t/fuzz/fuzz.h"

/*
 * What a web server writes: whatever our codec takes for a whole request,
 * libfcgi takes for the same one. What it refuses libfcgi is not given, for
 * that survives less (t/1950-libfcgi-hazards.py).
 */
#define PARAMS_MOST 70000

/* libfcgi does not pass over what follows the last record of a kind. */
static int
is_padded(const struct record *r, long used)
{
	return used > (long)RECORD_HEAD + (long)r->length;
}

/* The records of a stream up to its end: the bytes used, 0 if it has none. */
static size_t
take_stream(struct buf *out, int type, uint16_t id, const uint8_t *in, size_t n)
{
	struct record r;
	size_t at = 0;
	long used;

	while ((used = record_take(in + at, n - at, &r)) > 0) {
		if (r.type != type || r.request_id != id)
			return 0;
		at += (size_t)used;
		if (r.length == 0)
			return is_padded(&r, used) ? 0 : at;
		CHECK(buf_add(out, r.content, r.length) == 0);
	}
	return 0;
}

static int
take_params(struct params *p, const struct buf *stream)
{
	const unsigned char *at = buf_data(stream);
	size_t n = buf_len(stream);
	struct pair pair;
	long used;

	for (; n > 0; at += used, n -= (size_t)used) {
		used = record_pair(at, n, PARAMS_MOST, &pair);
		if (used <= 0 ||
		    params_add(p, pair.name, pair.name_length, pair.value,
			pair.value_length) != PARAMS_OK)
			return -1;
	}
	return 0;
}

/* A whole request at the beginning of n bytes: how many it has, or 0. */
static size_t
take_request(
    const uint8_t *in, size_t n, struct params *params, struct buf *body)
{
	struct buf pairs = BUF_INIT(1 << 20);
	const FCGI_BeginRequestBody *begin;
	struct record r;
	long used = record_take(in, n, &r);
	size_t at, more = 0;

	if (used <= 0 || r.type != FCGI_BEGIN_REQUEST || r.request_id == 0 ||
	    r.length != sizeof *begin || is_padded(&r, used))
		return 0;
	begin = (const void *)r.content;
	if (begin->roleB1 != 0 || begin->roleB0 != FCGI_RESPONDER)
		return 0;
	at = (size_t)used;
	more = take_stream(&pairs, FCGI_PARAMS, r.request_id, in + at, n - at);
	if (more > 0 && take_params(params, &pairs) == -1)
		more = 0;
	buf_release(&pairs);
	if (more == 0)
		return 0;
	at += more;
	more = take_stream(body, FCGI_STDIN, r.request_id, in + at, n - at);
	return more == 0 ? 0 : at + more;
}

static struct sockaddr_un address;

static int
listener(void)
{
	static int fd = -1;

	if (fd != -1)
		return fd;
	CHECK(FCGX_Init() == 0);
	address.sun_family = AF_UNIX;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/s",
	    fuzz_directory());
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
	CHECK(listen(fd, 10) == 0);
	return fd;
}

static void
check_params(const struct params *p, char *const *has)
{
	/* that it makes itself */
	CHECK(*has != NULL && strcmp(*has++, "FCGI_ROLE=RESPONDER") == 0);
	for (size_t i = 0; i < p->n; i++, has++) {
		const char *name = p->text + p->list[i].name;
		const char *value = p->text + p->list[i].value;
		size_t n = strlen(name);

		CHECK(*has != NULL && strncmp(*has, name, n) == 0);
		CHECK((*has)[n] == '=' && strcmp(*has + n + 1, value) == 0);
	}
	CHECK(*has == NULL);
}

static void
check_body(const struct buf *body, FCGX_Stream *in)
{
	static char text[4096];
	const unsigned char *at = buf_data(body);
	size_t left = buf_len(body);
	int n;

	while ((n = FCGX_GetStr(text, sizeof text, in)) > 0) {
		CHECK((size_t)n <= left && memcmp(text, at, (size_t)n) == 0);
		at += n;
		left -= (size_t)n;
	}
	CHECK(left == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct buf body = BUF_INIT(1 << 20);
	struct params params;
	FCGX_Request request;
	size_t used;
	int fd;

	params_init(&params);
	used = take_request(in, n, &params, &body);
	if (used > 0) {
		CHECK(FCGX_InitRequest(&request, listener(), 0) == 0);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK(connect(fd, (struct sockaddr *)&address,
			  sizeof address) == 0);
		CHECK(send(fd, in, used, 0) == (ssize_t)used);
		shutdown(fd, SHUT_WR);
		CHECK(FCGX_Accept_r(&request) == 0);
		check_params(&params, request.envp);
		check_body(&body, request.in);
		close(fd); /* or it would wait for that */
		FCGX_Finish_r(&request);
		FCGX_Free(&request, 1);
	}
	params_release(&params);
	buf_release(&body);
	return 0;
}
