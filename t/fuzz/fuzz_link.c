#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/link.h"
#include "t/fuzz/fuzz.h"

/*
 * How many descriptors come with the message, how many are asked for, and the
 * message. What is taken is ours alone, and all else is closed.
 */

static void
check_taken(const int *fds, size_t n, size_t sent, size_t asked)
{
	CHECK(n == (sent < asked ? sent : asked));
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* Whatever stands in its fields, they are texts and numbers. */
static void
check_fields(const json_t *message)
{
	static const char *const keys[] = { "type", "id", "name", "protocol",
		"generation", "apps", "files" };

	CHECK(json_is_string(json_object_get(message, "type")));
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const json_t *value = json_object_get(message, keys[i]);
		const char *text = link_string(message, keys[i]);

		CHECK(json_is_string(value)
			  ? strlen(text) == json_string_length(value)
			  : *text == '\0');
		CHECK(
		    json_is_integer(value) || link_int(message, keys[i]) == 0);
		CHECK(link_true(message, keys[i]) == json_is_true(value));
	}
}

/* What was understood is understood again when it is sent on. */
static void
check_again(const int pair[2], json_t *message)
{
	size_t nfds = 0;
	json_t *again;

	if (link_send(pair[0], json_incref(message), NULL, 0) == -1) {
		CHECK(errno == EMSGSIZE); /* numbers become longer */
		return;
	}
	CHECK(link_recv(pair[1], &again, NULL, &nfds) == 1);
	CHECK(json_equal(message, again));
	json_decref(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	int pair[2], sent[FD_PASS_MOST], taken[FD_PASS_MOST + 1], got;
	int next = fuzz_next_fd();
	struct fuzz_input in;
	size_t n, asked, nfds;
	json_t *message;

	fuzz_begin(&in, bytes, size);
	n = fuzz_byte(&in) % (FD_PASS_MOST + 1);
	nfds = asked = fuzz_byte(&in) % (FD_PASS_MOST + 1);
	CHECK(fd_pair_seqpacket(pair) == 0);
	for (size_t i = 0; i < n; i++)
		sent[i] = pair[i % 2];
	if (in.at == in.end) /* no message: an end of file */
		shutdown(pair[0], SHUT_WR);
	else
		CHECK(fd_send(pair[0], in.at, (size_t)(in.end - in.at), sent,
			  n) > 0);
	got = link_recv(pair[1], &message, taken, &nfds);
	if (got == 1) {
		check_taken(taken, nfds, n, asked);
		check_fields(message);
		check_again(pair, message);
	} else
		CHECK(got == -1 && message == NULL && nfds == 0);
	json_decref(message);
	close(pair[0]);
	nfds = asked;
	CHECK(link_recv(pair[1], &message, taken, &nfds) == -1);
	close(pair[1]);
	CHECK(fuzz_next_fd() == next);
	fuzz_end(&in);
	return 0;
}
