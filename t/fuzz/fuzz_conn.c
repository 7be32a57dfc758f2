#include "config.h"

#include <fastcgi.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/conn.h"
#include "fcgi/record.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "t/fuzz/fuzz.h"

/*
 * One byte, and what a web server writes on a connection. However it is cut
 * into pieces, the same requests come of it, and the same bytes go back; these
 * are whole records. The byte says how long the pieces are.
 */
#define MOST 64 /* requests and ends that are remembered */
#define NOW  1000

struct story {
	struct buf told; /* requests, then what was written */
	struct buf written;
	int is_gone, peer;
};

static struct conn_rules rules;
static struct story *now_told;

static void
tell(const void *bytes, size_t n)
{
	CHECK(buf_add(&now_told->told, &n, sizeof n) == 0);
	CHECK(n == 0 || buf_add(&now_told->told, bytes, n) == 0);
}

static void
complete(struct conn *c, int64_t now)
{
	struct page page = { .status = 404, .code = "x", .head = 1 };
	const char *length = params_get(&c->params, "CONTENT_LENGTH");

	CHECK(c->state == CONN_WHOLE && c->id != 0);
	CHECK(length == NULL ? c->body.length == 0
			     : strtoull(length, NULL, 10) == c->body.length);
	tell(c->params.text, c->params.length);
	tell(c->body.bytes, (size_t)c->body.length);
	tell(&c->id, sizeof c->id);
	conn_page(c, &page, now);
}

static void
gone(struct conn *c, int64_t now)
{
	(void)now;
	now_told->is_gone = 1;
	conn_free(c);
}

static void
drained(struct conn *c, int64_t now)
{
	(void)c;
	(void)now;
}

static int
lost(struct conn_rules *r)
{
	(void)r;
	return -1;
}

static void
begin(void)
{
	int pair[2];

	if (rules.loop != NULL)
		return;
	CHECK(log_open("/dev/null") == 0);
	rules = (struct conn_rules){ .loop = loop_new(),
		.max_conns = 100,
		.body_timeout = 60000,
		.idle_timeout = 60000,
		.spool_lost = lost };
	rules.spool_dir = open(fuzz_directory(), O_RDONLY | O_CLOEXEC);
	CHECK(rules.spool_dir != -1);
	/* what the loop keeps is made with the first */
	CHECK(fd_pair_stream(pair) == 0);
	conn_free(conn_new(pair[0], &rules, NOW));
	close(pair[1]);
}

/* Takes what has been written so far. */
static void
listen_to(struct story *s)
{
	unsigned char *space = buf_space(&s->written, 65536);
	ssize_t n;

	CHECK(space != NULL);
	while ((n = recv(s->peer, space, 65536, MSG_DONTWAIT)) > 0) {
		buf_added(&s->written, (size_t)n);
		CHECK((space = buf_space(&s->written, 65536)) != NULL);
	}
}

static void
run(struct story *s, const uint8_t *in, size_t n, size_t piece)
{
	struct conn *c;
	int pair[2];

	*s = (struct story){ .told = BUF_INIT(1 << 24),
		.written = BUF_INIT(1 << 24) };
	now_told = s;
	CHECK(fd_pair_stream(pair) == 0 && fd_nonblock(pair[0]) == 0);
	s->peer = pair[1];
	CHECK((c = conn_new(pair[0], &rules, NOW)) != NULL);
	c->complete = complete;
	c->aborted = c->returned = fuzz_never;
	c->drained = drained;
	c->gone = gone;
	for (; n > 0 && !s->is_gone; in += piece, n -= piece) {
		piece = piece > n ? n : piece;
		CHECK(send(s->peer, in, piece, MSG_NOSIGNAL) == (ssize_t)piece);
		conn_try(c, NOW);
		listen_to(s);
	}
	for (int i = 0; i < 100 && !s->is_gone; i++) {
		conn_try(c, NOW);
		listen_to(s);
	}
	if (!s->is_gone)
		conn_free(c);
	listen_to(s);
	close(s->peer);
	CHECK(rules.count == 0);
}

/* Nothing but whole records, of types that we may write. */
static void
check_records(const struct buf *b)
{
	const unsigned char *at = buf_data(b);
	size_t n = buf_len(b);
	struct record r;
	long used;

	for (; n > 0; at += used, n -= (size_t)used) {
		used = record_take(at, n, &r);
		CHECK(used > 0);
		if (r.request_id == 0)
			CHECK(r.type == FCGI_GET_VALUES_RESULT ||
			      r.type == FCGI_UNKNOWN_TYPE);
		else
			CHECK(r.type == FCGI_STDOUT ||
			      (r.type == FCGI_END_REQUEST && r.length == 8));
	}
}

/* Do both begin alike, to the end of the shorter one? */
static int
is_alike(const struct buf *a, const struct buf *b)
{
	size_t n = buf_len(a) < buf_len(b) ? buf_len(a) : buf_len(b);

	return n == 0 || memcmp(buf_data(a), buf_data(b), n) == 0;
}

static int
is_same(const struct buf *a, const struct buf *b)
{
	return buf_len(a) == buf_len(b) && is_alike(a, b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct story whole, cut;
	size_t piece;
	int next;

	if (n < 2)
		return 0;
	begin();
	next = fuzz_next_fd();
	piece = 1 + in[0] % 64;
	run(&whole, in + 1, n - 1, n);
	run(&cut, in + 1, n - 1, piece);
	CHECK(is_same(&whole.told, &cut.told));
	CHECK(whole.is_gone == cut.is_gone);
	if (whole.is_gone) /* then what had not been sent yet is not */
		CHECK(is_alike(&whole.written, &cut.written));
	else
		CHECK(is_same(&whole.written, &cut.written));
	check_records(&whole.written);
	buf_release(&whole.told);
	buf_release(&whole.written);
	buf_release(&cut.told);
	buf_release(&cut.written);
	CHECK(fuzz_next_fd() == next);
	return 0;
}
