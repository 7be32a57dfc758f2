#include "config.h"

#include <fastcgi.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/exchange.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/wire.h"
#include "t/fuzz/fuzz.h"

/*
 * One byte of flags, one that says how long the pieces are, and what a hostile
 * worker writes as its answer before it dies. The web server gets the good
 * records of it as they are, up to the end, and nothing behind a bad one; or a
 * page of ours, if nothing was written yet.
 */
#define KEEP   1
#define APACHE 2
#define ID     1
#define NOW    1000

static struct conn_rules conns;
static struct exchange_rules rules;
static struct queue queue;
static struct exchange *exchange;
static int is_gone;
static uint8_t written[1 << 18];
static size_t length;

static void
complete(struct conn *c, int64_t now)
{
	CHECK((exchange = exchange_new(c, &rules, now)) != NULL);
	exchange->queue = &queue;
	queue.in_flight++;
	CHECK(exchange_hand(exchange, &queue, now) == EXCHANGE_HANDED);
}

static void
gone(struct conn *c, int64_t now)
{
	(void)now;
	if (c->exchange != NULL)
		exchange_free(c->exchange);
	is_gone = 1;
	conn_free(c);
}

static void
drained(struct conn *c, int64_t now)
{
	if (c->exchange != NULL)
		exchange_pump(c->exchange, now);
}

static void
ended(struct exchange_rules *r, struct queue *q)
{
	(void)r;
	CHECK(q == &queue);
	exchange = NULL;
}

static struct exchange *
hear(struct exchange_rules *r, uint64_t counter, int64_t now)
{
	(void)r;
	(void)now;
	CHECK(exchange->counter == counter);
	return exchange;
}

static void
begin(void)
{
	static char name[] = "blog";
	int pair[2];

	if (rules.loop != NULL)
		return;
	CHECK(log_open("/dev/null") == 0);
	rules.loop = conns.loop = loop_new();
	rules.spool_dir = conns.spool_dir =
	    open(fuzz_directory(), O_RDONLY | O_CLOEXEC);
	CHECK(rules.spool_dir != -1);
	rules.heartbeat = 15000;
	rules.ended = ended;
	rules.hear = hear;
	conns.body_timeout = conns.idle_timeout = 60000;
	CHECK(fd_pair_seqpacket(pair) == 0);
	queue = (struct queue){ .name = name,
		.send = pair[0],
		.receive = pair[1],
		.most = 10,
		.timeout = 1000,
		.queue_timeout = 1000,
		.start_timeout = 1000,
		.full_end = &queue.full };
	CHECK(fd_pair_stream(pair) == 0);
	conn_free(conn_new(pair[0], &conns, NOW));
	close(pair[1]);
}

static void
put_param(uint8_t *out, size_t *n, const char *name, const char *value)
{
	out[(*n)++] = (uint8_t)strlen(name);
	out[(*n)++] = (uint8_t)strlen(value);
	memcpy(out + *n, name, strlen(name));
	*n += strlen(name);
	memcpy(out + *n, value, strlen(value));
	*n += strlen(value);
}

static size_t
request(uint8_t *out, unsigned flags)
{
	uint8_t params[200];
	size_t n = 0, used = 0;

	record_put_head(out, FCGI_BEGIN_REQUEST, ID, 8, 0);
	used = RECORD_HEAD;
	memset(out + used, 0, 8);
	out[used + 1] = FCGI_RESPONDER;
	out[used + 2] = flags & KEEP ? FCGI_KEEP_CONN : 0;
	used += 8;
	put_param(params, &n, "REQUEST_METHOD", "GET");
	put_param(params, &n, "SERVER_SOFTWARE",
	    flags & APACHE ? "Apache/2.4" : "other");
	record_put_head(out + used, FCGI_PARAMS, ID, (uint16_t)n, 0);
	memcpy(out + used + RECORD_HEAD, params, n);
	used += RECORD_HEAD + n;
	record_put_head(out + used, FCGI_PARAMS, ID, 0, 0);
	used += RECORD_HEAD;
	record_put_head(out + used, FCGI_STDIN, ID, 0, 0);
	return used + RECORD_HEAD;
}

/* What a worker finds in its queue: the answer's descriptor. */
static int
take_request(unsigned flags)
{
	unsigned char message[WIRE_MOST];
	struct wire_head head;
	size_t nfds = 1;
	int fd;
	ssize_t n = fd_recv(queue.receive, message, sizeof message, &fd, &nfds);

	CHECK(n > 0 && nfds == 1);
	CHECK(wire_get_head(message, (size_t)n, &head) == 0);
	CHECK(head.request_id == ID && head.body == 0);
	CHECK(((head.flags & WIRE_KEEP_CONN) != 0) == (flags & KEEP));
	return fd;
}

static void
listen_to(int peer)
{
	ssize_t n;

	while ((n = recv(peer, written + length, sizeof written - length,
		    MSG_DONTWAIT)) > 0)
		length += (size_t)n;
	CHECK(length < sizeof written);
}

static void
pump(int64_t now)
{
	if (exchange != NULL && !is_gone)
		exchange_pump(exchange, now);
}

/* Is it a record that an answer may have? */
static int
is_good(const struct record *r)
{
	if (r->request_id != ID)
		return 0;
	return r->type == FCGI_STDOUT ||
	       (r->type == FCGI_STDERR && r->length == 0) ||
	       (r->type == FCGI_END_REQUEST && r->length == 8);
}

enum expected { WHOLE, CUT, DIED, NONSENSE };

/* The slow and obvious way: how many bytes of it may be passed on, and how it
 * ends. Of a record that is not whole what is there may be. */
static size_t
expect(const uint8_t *in, size_t n, enum expected *end)
{
	struct record r;
	size_t at = 0, size;

	*end = DIED;
	while (n - at >= RECORD_HEAD) {
		*end = NONSENSE;
		if (record_head(in + at, n - at, &r) == -1 || !is_good(&r))
			break;
		*end = DIED;
		size = (size_t)RECORD_HEAD + r.length + r.padding;
		if (r.type == FCGI_END_REQUEST) {
			if (n - at < RECORD_END)
				break;
			if (memcmp(in + at + RECORD_HEAD, "\0\0\0\0", 4) != 0) {
				*end = CUT;
				break;
			}
			if (n - at >= size) {
				*end = WHOLE;
				return at + size;
			}
			return n;
		}
		if (n - at < size)
			return n;
		at += size;
	}
	return at;
}

/* A page of ours, whole. */
static void
check_page(void)
{
	static const char status[] = "Status: 502 ";
	struct record r;

	CHECK(record_take(written, length, &r) > 0);
	CHECK(r.type == FCGI_STDOUT && r.request_id == ID);
	CHECK(r.length > sizeof status);
	CHECK(memcmp(r.content, status, sizeof status - 1) == 0);
	CHECK(length > RECORD_END);
	CHECK(record_take(written + length - RECORD_END, RECORD_END, &r) ==
	      RECORD_END);
	CHECK(r.type == FCGI_END_REQUEST);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t asked[400];
	struct fuzz_input in;
	enum expected end;
	unsigned flags;
	size_t n, piece, good;
	const uint8_t *at;
	struct conn *c;
	int pair[2], answer, next;

	begin();
	next = fuzz_next_fd();
	fuzz_begin(&in, bytes, size);
	flags = fuzz_byte(&in) & (KEEP | APACHE);
	piece = fuzz_byte(&in);
	at = in.at;
	n = (size_t)(in.end - in.at);
	piece = piece == 0 ? n : piece;
	exchange = NULL;
	is_gone = 0;
	length = 0;
	CHECK(fd_pair_stream(pair) == 0 && fd_nonblock(pair[0]) == 0);
	CHECK((c = conn_new(pair[0], &conns, NOW)) != NULL);
	c->complete = complete;
	c->aborted = c->returned = fuzz_never;
	c->drained = drained;
	c->gone = gone;
	good = request(asked, flags);
	CHECK(send(pair[1], asked, good, 0) == (ssize_t)good);
	conn_try(c, NOW);
	CHECK(exchange != NULL);
	answer = take_request(flags);
	good = expect(at, n, &end);
	for (size_t left = n, now; left > 0 && exchange != NULL;
	     left -= now, at += now) {
		now = piece > left ? left : piece;
		CHECK(send(answer, at, now, MSG_NOSIGNAL) == (ssize_t)now);
		pump(NOW);
		listen_to(pair[1]);
	}
	close(answer);
	pump(NOW);
	CHECK(exchange == NULL && queue.in_flight == 0);
	listen_to(pair[1]);
	if (!is_gone)
		conn_free(c);
	at = in.at;
	if (end == WHOLE) {
		CHECK(length == good && memcmp(written, at, good) == 0);
		CHECK(is_gone == !(flags & KEEP));
	} else if (end == NONSENSE && length > 0 && length <= good &&
		   memcmp(written, at, length) == 0) {
		CHECK(is_gone); /* what came before it may be kept back */
	} else if (good > 0 && end != NONSENSE) {
		CHECK(length == good && memcmp(written, at, good) == 0);
		CHECK(is_gone); /* so that it is seen to be cut */
	} else
		check_page();
	close(pair[1]);
	CHECK(fuzz_next_fd() == next && conns.count == 0);
	fuzz_end(&in);
	return 0;
}
