#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/link.h"
#include "t/check.h"
#include "t/scene.h"

static int ends[2];

static void
pair(void)
{
	int size = 4 * LINK_MESSAGE_MOST;

	ck_assert_int_eq(fd_pair_seqpacket(ends), 0);
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void
unpair(void)
{
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

/* A message whose JSON is n bytes long. */
static json_t *
message_of(size_t n)
{
	const size_t frame = strlen("{\"type\":\"x\",\"t\":\"\"}");
	char *text = malloc(n - frame + 1);
	json_t *message;

	memset(text, 'a', n - frame);
	text[n - frame] = '\0';
	message = json_pack("{s:s,s:s}", "type", "x", "t", text);
	free(text);
	return message;
}

START_TEST(test_a_message_arrives_as_it_was_sent)
{
	json_t *m;

	pair();
	ck_assert_int_eq(
	    link_send(ends[0],
		json_pack("{s:s,s:s,s:I,s:b}", "type", "hello", "role",
		    "responder", "parent", (json_int_t)INT64_MAX, "ready", 1),
		NULL, 0),
	    0);
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), 1);
	ck_assert_str_eq(link_string(m, "type"), "hello");
	ck_assert_str_eq(link_string(m, "role"), "responder");
	ck_assert_int_eq(link_int(m, "parent"), INT64_MAX);
	ck_assert_int_eq(link_true(m, "ready"), 1);
	json_decref(m);
	unpair();
}
END_TEST

START_TEST(test_a_field_that_is_missing_or_of_another_type_is_the_default)
{
	json_t *m = json_pack("{s:i,s:s,s:n,s:f,s:b,s:i}", "number", 1, "text",
	    "1", "null", "real", 1.5, "no", 0, "one", 1);

	ck_assert_str_eq(link_string(m, "number"), "");
	ck_assert_str_eq(link_string(m, "none"), "");
	ck_assert_str_eq(link_string(m, "null"), "");
	ck_assert_int_eq(link_int(m, "text"), 0);
	ck_assert_int_eq(link_int(m, "real"), 0);
	ck_assert_int_eq(link_int(m, "none"), 0);
	ck_assert_int_eq(link_true(m, "no"), 0);
	ck_assert_int_eq(link_true(m, "one"), 0);
	ck_assert_int_eq(link_true(m, "none"), 0);
	json_decref(m);
}
END_TEST

START_TEST(test_descriptors_travel_along)
{
	int pipe_ends[2], got[3] = { -1, -1, -1 };
	size_t n = 3;
	json_t *m;
	char c;

	pair();
	ck_assert_int_eq(fd_pipe(pipe_ends), 0);
	ck_assert_int_eq(link_send(ends[0], json_pack("{s:s}", "type", "queue"),
			     pipe_ends, 2),
	    0);
	ck_assert_int_eq(link_recv(ends[1], &m, got, &n), 1);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(write(got[1], "x", 1), 1);
	ck_assert_int_eq(read(pipe_ends[0], &c, 1), 1);
	json_decref(m);
	fd_close(&got[0]);
	fd_close(&got[1]);
	fd_close(&pipe_ends[0]);
	fd_close(&pipe_ends[1]);
	unpair();
}
END_TEST

START_TEST(test_nothing_to_take_and_the_end_are_told_apart)
{
	json_t *m = NULL;

	pair();
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), 0);
	ck_assert_ptr_null(m);
	fd_close(&ends[0]);
	errno = 7;
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), -1);
	ck_assert_int_eq(errno, 0);
	ck_assert_ptr_null(m);
	unpair();
}
END_TEST

START_TEST(test_whatever_is_not_a_message_is_refused_with_its_descriptors)
{
	static const char *const nonsense[] = { "x", "{", "[]", "null",
		"\"type\"", "{}", "{\"type\":1}", "{\"type\":null}",
		"{\"type\":\"a\"} x", "{\"type\":\"a\",\"type\":\"b\"}",
		"{\"type\":\"a\\u0000b\"}", "{\"type\":\"\xff\"}", "MMYq",
		"{\"type\":\"a\",\"n\":99999999999999999999}", "\0\0\0" };
	int open_before, got[4];
	json_t *m;
	size_t n;

	pair();
	open_before = scene_descriptors();
	for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
		n = strlen(nonsense[i]);
		ck_assert_int_gt(
		    fd_send(ends[0], nonsense[i], n > 0 ? n : 3, ends, 2), 0);
		n = 4;
		ck_assert_int_eq(link_recv(ends[1], &m, got, &n), -1);
		ck_assert_int_eq(errno, EPROTO);
		ck_assert_ptr_null(m);
		ck_assert_uint_eq(n, 0);
		ck_assert_int_eq(scene_descriptors(), open_before);
	}
	unpair();
}
END_TEST

START_TEST(test_deep_nesting_does_no_harm)
{
	static char text[LINK_MESSAGE_MOST];
	json_t *m;

	pair();
	memset(text, '[', sizeof text);
	ck_assert_int_eq(
	    fd_send(ends[0], text, sizeof text, NULL, 0), (ssize_t)sizeof text);
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), -1);
	ck_assert_int_eq(errno, EPROTO);
	unpair();
}
END_TEST

START_TEST(test_the_longest_message_travels_and_a_longer_one_does_not)
{
	static char text[LINK_MESSAGE_MOST + 1];
	json_t *m;

	pair();
	ck_assert_int_eq(
	    link_send(ends[0], message_of(LINK_MESSAGE_MOST), NULL, 0), 0);
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), 1);
	json_decref(m);
	ck_assert_int_eq(
	    link_send(ends[0], message_of(LINK_MESSAGE_MOST + 1), NULL, 0), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), 0);

	memset(text, ' ', sizeof text);
	memcpy(text, "{\"type\":\"x\"}", 12);
	ck_assert_int_gt(fd_send(ends[0], text, sizeof text - 1, NULL, 0), 0);
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), 1);
	json_decref(m);
	ck_assert_int_gt(fd_send(ends[0], text, sizeof text, NULL, 0), 0);
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), -1);
	ck_assert_int_eq(errno, EPROTO);
	unpair();
}
END_TEST

START_TEST(test_sending_takes_the_message_also_when_it_fails)
{
	json_t *m = json_pack("{s:s}", "type", "x");
	json_t *large = message_of(LINK_MESSAGE_MOST + 1), *got;

	pair();
	json_incref(m);
	ck_assert_int_eq(link_send(ends[0], m, NULL, 0), 0);
	ck_assert_uint_eq(m->refcount, 1);
	ck_assert_int_eq(link_recv(ends[1], &got, NULL, NULL), 1);
	json_decref(got);
	fd_close(&ends[1]);
	json_incref(m);
	ck_assert_int_eq(link_send(ends[0], m, NULL, 0), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_uint_eq(m->refcount, 1);
	json_incref(large);
	ck_assert_int_eq(link_send(ends[0], large, NULL, 0), -1);
	ck_assert_uint_eq(large->refcount, 1);
	ck_assert_int_eq(link_send(ends[0], NULL, NULL, 0), -1);
	ck_assert_int_eq(errno, ENOMEM);
	json_decref(m);
	json_decref(large);
	unpair();
}
END_TEST

START_TEST(test_a_full_link_never_waits)
{
	int sent = 0;
	json_t *m;

	pair();
	while (link_send(ends[0], message_of(1000), NULL, 0) == 0)
		sent++;
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_gt(sent, 0);
	for (; sent > 0; sent--) {
		ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), 1);
		json_decref(m);
	}
	ck_assert_int_eq(link_recv(ends[1], &m, NULL, NULL), 0);
	unpair();
}
END_TEST

SUITE("link", test_a_message_arrives_as_it_was_sent,
    test_a_field_that_is_missing_or_of_another_type_is_the_default,
    test_descriptors_travel_along,
    test_nothing_to_take_and_the_end_are_told_apart,
    test_whatever_is_not_a_message_is_refused_with_its_descriptors,
    test_deep_nesting_does_no_harm,
    test_the_longest_message_travels_and_a_longer_one_does_not,
    test_sending_takes_the_message_also_when_it_fails,
    test_a_full_link_never_waits);
