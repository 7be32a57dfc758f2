#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/params.h"
#include "lib/wire.h"
#include "t/check.h"

static struct problem why;

/* Pairs of names and values, ended by NULL, as they come from a server. */
static struct params
came(const char *name, ...)
{
	struct params p;
	const char *value;
	va_list ap;

	params_init(&p);
	va_start(ap, name);
	for (; name != NULL; name = va_arg(ap, const char *)) {
		value = va_arg(ap, const char *);
		ck_assert_int_eq(
		    params_add(&p, name, strlen(name), value, strlen(value)),
		    PARAMS_OK);
	}
	va_end(ap);
	return p;
}

static void
settle(struct params *p, enum params_result expected)
{
	memset(&why, 0, sizeof why);
	ck_assert_msg(params_settle(p, &why) == expected, "%s", why.text);
	ck_assert_int_eq(why.text[0] == '\0', expected == PARAMS_OK);
}

/* The text is what the wire wants, and the list points into it. */
static void
check_form(const struct params *p)
{
	const char *at = p->text;

	for (size_t i = 0; i < p->n; i++) {
		ck_assert_uint_eq(p->list[i].name, (size_t)(at - p->text));
		at += strlen(at) + 1;
		ck_assert_uint_eq(p->list[i].value, (size_t)(at - p->text));
		ck_assert_uint_eq(p->list[i].value_length, strlen(at));
		at += strlen(at) + 1;
	}
	if (p->n > 0)
		ck_assert_uint_eq(p->length, (size_t)(at - p->text));
	else
		ck_assert_uint_eq(p->length, 0);
}

static void
expect(const struct params *p, const char *name, const char *value)
{
	const char *got = params_get(p, name);
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += strcmp(p->text + p->list[i].name, name) == 0;
	ck_assert_msg(n == (value != NULL), "%zu of %s", n, name);
	if (value == NULL)
		ck_assert_ptr_null(got);
	else
		ck_assert_str_eq(got, value);
	check_form(p);
}

/* Settles and compares one variable. */
#define SETTLED(name, value, ...)                            \
	do {                                                 \
		struct params one = came(__VA_ARGS__, NULL); \
		settle(&one, PARAMS_OK);                     \
		expect(&one, name, value);                   \
		params_release(&one);                        \
	} while (0)

#define REFUSED(says, ...)                                     \
	do {                                                   \
		struct params one = came(__VA_ARGS__, NULL);   \
		size_t had = one.n, length = one.length;       \
		settle(&one, PARAMS_BAD);                      \
		ck_assert_ptr_nonnull(strstr(why.text, says)); \
		ck_assert_uint_eq(one.n, had);                 \
		ck_assert_uint_eq(one.length, length);         \
		params_release(&one);                          \
	} while (0)

#define NGINX    "SERVER_SOFTWARE", "nginx/1.22.1"
#define LIGHTTPD "SERVER_SOFTWARE", "lighttpd/1.4.69"
#define APACHE   "SERVER_SOFTWARE", "Apache/2.4.71 (Debian)"

START_TEST(test_keeps_what_came_in_the_form_of_the_wire)
{
	struct params p = came("A", "1", "B", "", "C", "three", NULL);

	ck_assert_uint_eq(p.length, 4 + 3 + 8);
	ck_assert_mem_eq(p.text, "A\0001\0B\0\0C\0three\0", p.length);
	expect(&p, "B", "");
	expect(&p, "D", NULL);
	params_release(&p);
	ck_assert_uint_eq(p.n, 0);
	ck_assert_ptr_null(params_get(&p, "A"));
}
END_TEST

START_TEST(test_the_last_of_equal_names_is_got)
{
	struct params p = came("A", "1", "A", "2", NULL);

	ck_assert_str_eq(params_get(&p, "A"), "2");
	params_release(&p);
}
END_TEST

START_TEST(test_refuses_names_and_values_that_cannot_be_sent_on)
{
	struct params p;

	params_init(&p);
	ck_assert_int_eq(params_add(&p, "", 0, "x", 1), PARAMS_BAD);
	ck_assert_int_eq(params_add(&p, "A=B", 3, "x", 1), PARAMS_BAD);
	ck_assert_int_eq(params_add(&p, "A\0B", 3, "x", 1), PARAMS_BAD);
	ck_assert_int_eq(params_add(&p, "A", 1, "x\0y", 3), PARAMS_BAD);
	ck_assert_int_eq(params_add(&p, "A", 1, "\0", 1), PARAMS_BAD);
	ck_assert_uint_eq(p.n, 0);
	ck_assert_int_eq(params_add(&p, "A", 1, NULL, 0), PARAMS_OK);
	expect(&p, "A", "");
	params_release(&p);
}
END_TEST

START_TEST(test_each_limit_holds_at_and_above_it)
{
	static char text[PARAMS_VALUE_MOST + 1];
	struct params p;
	char name[16];
	int i;

	memset(text, 'x', sizeof text);
	params_init(&p);
	ck_assert_int_eq(
	    params_add(&p, text, PARAMS_NAME_MOST, "", 0), PARAMS_OK);
	ck_assert_int_eq(
	    params_add(&p, text, PARAMS_NAME_MOST + 1, "", 0), PARAMS_TOO_MUCH);
	ck_assert_int_eq(
	    params_add(&p, "A", 1, text, PARAMS_VALUE_MOST), PARAMS_OK);
	ck_assert_int_eq(params_add(&p, "A", 1, text, PARAMS_VALUE_MOST + 1),
	    PARAMS_TOO_MUCH);
	params_release(&p);

	for (i = 0; i < PARAMS_COUNT_MOST; i++) {
		snprintf(name, sizeof name, "N%d", i);
		ck_assert_int_eq(
		    params_add(&p, name, strlen(name), "", 0), PARAMS_OK);
	}
	ck_assert_int_eq(params_add(&p, "N", 1, "", 0), PARAMS_TOO_MUCH);
	params_release(&p);

	ck_assert_int_eq(
	    params_add(&p, "A", 1, text, PARAMS_VALUE_MOST), PARAMS_OK);
	ck_assert_int_eq(params_add(&p, "B", 1, text,
			     WIRE_PARAMS_MOST - PARAMS_VALUE_MOST - 6 + 1),
	    PARAMS_TOO_MUCH);
	ck_assert_int_eq(params_add(&p, "B", 1, text,
			     WIRE_PARAMS_MOST - PARAMS_VALUE_MOST - 6),
	    PARAMS_OK);
	ck_assert_uint_eq(p.length, WIRE_PARAMS_MOST);
	ck_assert_int_eq(params_add(&p, "C", 1, "", 0), PARAMS_TOO_MUCH);
	params_release(&p);
}
END_TEST

/* mod_proxy_fcgi really sends more than 64 KiB. */
START_TEST(test_no_length_is_cut_to_sixteen_bits)
{
	static const size_t lengths[] = { 65534, 65535, 65536, 65537, 131071,
		131072 };
	char *text = malloc(PARAMS_VALUE_MOST);
	struct params p;

	memset(text, 'x', PARAMS_VALUE_MOST);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		params_init(&p);
		ck_assert_int_eq(
		    params_add(&p, "HTTP_X", 6, text, lengths[i]), PARAMS_OK);
		settle(&p, PARAMS_OK);
		ck_assert_uint_eq(strlen(params_get(&p, "HTTP_X")), lengths[i]);
		check_form(&p);
		params_release(&p);
	}
	free(text);
}
END_TEST

START_TEST(test_set_replaces_every_one_or_adds)
{
	struct params p = came("A", "1", "B", "2", "A", "3", NULL);

	ck_assert_int_eq(params_set(&p, "A", "four", 4), PARAMS_OK);
	expect(&p, "A", "four");
	expect(&p, "B", "2");
	ck_assert_int_eq(params_set(&p, "C", "five", 2), PARAMS_OK);
	expect(&p, "C", "fi");
	ck_assert_uint_eq(p.n, 3);
	ck_assert_int_eq(params_set(&p, "B", "x\0y", 3), PARAMS_BAD);
	expect(&p, "B", "2");
	params_release(&p);
}
END_TEST

START_TEST(test_set_may_be_given_what_get_lent)
{
	struct params p = came("A", "some value", NULL);
	char name[16];
	const char *value;

	for (int i = 0; i < 500; i++) { /* moves the text several times */
		snprintf(name, sizeof name, "B%d", i);
		value = params_get(&p, "A");
		ck_assert_int_eq(
		    params_set(&p, name, value, strlen(value)), PARAMS_OK);
		value = params_get(&p, "A");
		ck_assert_int_eq(
		    params_set(&p, "A", value, strlen(value)), PARAMS_OK);
		expect(&p, name, "some value");
	}
	params_release(&p);
}
END_TEST

START_TEST(test_remove_takes_every_one)
{
	struct params p = came("A", "1", "B", "2", "A", "3", NULL);

	params_remove(&p, "A");
	expect(&p, "A", NULL);
	expect(&p, "B", "2");
	params_remove(&p, "B");
	params_remove(&p, "B");
	ck_assert_uint_eq(p.n, 0);
	check_form(&p);
	params_release(&p);
}
END_TEST

START_TEST(test_headers_that_came_twice_are_joined)
{
	SETTLED(
	    "HTTP_X_FOO", "a, b", NGINX, "HTTP_X_FOO", "a", "HTTP_X_FOO", "b");
	SETTLED("HTTP_COOKIE", "a=1; b=2; c=3", NGINX, "HTTP_COOKIE", "a=1",
	    "HTTP_COOKIE", "b=2", "QUERY_STRING", "", "HTTP_COOKIE", "c=3");
	SETTLED("HTTP_X", "a, , b", NGINX, "HTTP_X", "a", "HTTP_X", "",
	    "HTTP_X", "b");
	SETTLED("HTTP_COOKIE", "a=1, b=2", APACHE, "HTTP_COOKIE", "a=1, b=2");
}
END_TEST

START_TEST(test_of_other_names_the_last_one_counts)
{
	SETTLED("SCRIPT_NAME", "/b", NGINX, "SCRIPT_NAME", "/a", "SCRIPT_NAME",
	    "/b");
	SETTLED("REMOTE_USER", "b", LIGHTTPD, "REMOTE_USER", "a", "REMOTE_USER",
	    "b");
	SETTLED("QUERY_STRING", "", NGINX, "QUERY_STRING", "a=1",
	    "QUERY_STRING", "");
}
END_TEST

START_TEST(test_two_lengths_or_hosts_must_say_the_same)
{
	SETTLED("CONTENT_LENGTH", "5", NGINX, "CONTENT_LENGTH", "5",
	    "CONTENT_LENGTH", "5");
	SETTLED("HTTP_HOST", "e.test", NGINX, "HTTP_HOST", "e.test",
	    "HTTP_HOST", "e.test");
	REFUSED("CONTENT_LENGTH", NGINX, "CONTENT_LENGTH", "5",
	    "CONTENT_LENGTH", "6");
	REFUSED("CONTENT_LENGTH", NGINX, "CONTENT_LENGTH", "", "CONTENT_LENGTH",
	    "6");
	REFUSED("HTTP_HOST", NGINX, "HTTP_HOST", "a", "HTTP_HOST", "b");
}
END_TEST

/* lighttpd joins equal names itself, so two are "X-Foo" and "X_Foo". */
START_TEST(test_behind_lighttpd_two_headers_are_a_forgery)
{
	REFUSED(
	    "HTTP_X_FOO", LIGHTTPD, "HTTP_X_FOO", "good", "HTTP_X_FOO", "evil");
	REFUSED(
	    "HTTP_X_FOO", "HTTP_X_FOO", "same", "HTTP_X_FOO", "same", LIGHTTPD);
	REFUSED("HTTP_HOST", LIGHTTPD, "HTTP_HOST", "a", "HTTP_HOST", "a");
	SETTLED("HTTP_X_FOO", "a, b", LIGHTTPD, "HTTP_X_FOO", "a, b");
}
END_TEST

START_TEST(test_what_must_not_reach_an_application_is_dropped)
{
	static const char *const names[] = { "HTTP_PROXY",
		"HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_LENGTH",
		"HTTP_CONTENT_TYPE", "HTTP_CONNECTION", "HTTP_KEEP_ALIVE",
		"HTTP_TE", "HTTP_TRAILER", "HTTP_UPGRADE" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		SETTLED(names[i], NULL, NGINX, names[i], "x");
		SETTLED(names[i], NULL, NGINX, names[i], "");
		SETTLED(names[i], NULL, NGINX, names[i], "x", names[i], "y");
	}
	SETTLED("HTTP_PROXY_X", "x", NGINX, "HTTP_PROXY_X", "x");
	SETTLED("HTTP_EXPECT", "100-continue", NGINX, "HTTP_EXPECT",
	    "100-continue");
}
END_TEST

START_TEST(test_some_are_dropped_only_when_empty)
{
	static const char *const names[] = { "CONTENT_LENGTH", "CONTENT_TYPE",
		"REMOTE_USER", "AUTH_TYPE", "HTTPS", "HTTP_AUTHORIZATION" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		SETTLED(names[i], NULL, NGINX, names[i], "");
		SETTLED(names[i], "1", NGINX, names[i], "1");
	}
	SETTLED("HTTP_ACCEPT", "", NGINX, "HTTP_ACCEPT", "");
	SETTLED("PATH_INFO", "", NGINX, "PATH_INFO", "");
	SETTLED("REMOTE_USER", NULL, NGINX, "REMOTE_USER", "alice",
	    "REMOTE_USER", "");
}
END_TEST

/* A GET without body as each server sends it. */
START_TEST(test_a_get_looks_the_same_behind_every_server)
{
	struct params p[4];

	p[0] = came(NGINX, "REQUEST_METHOD", "GET", "CONTENT_LENGTH", "",
	    "CONTENT_TYPE", "", "REMOTE_USER", "", "SERVER_NAME", "",
	    "SERVER_PORT", "80", "SERVER_PROTOCOL", "HTTP/1.1", "QUERY_STRING",
	    "", "HTTP_HOST", "e.test", NULL);
	p[1] = came(LIGHTTPD, "REQUEST_METHOD", "GET", "CONTENT_LENGTH", "0",
	    "SERVER_NAME", "e.test", "SERVER_PORT", "80", "SERVER_PROTOCOL",
	    "HTTP/1.1", "QUERY_STRING", "", "HTTP_HOST", "e.test", NULL);
	p[2] = came(APACHE, "REQUEST_METHOD", "GET", "CONTENT_LENGTH", "0",
	    "SERVER_NAME", "e.test", "SERVER_PORT", "80", "SERVER_PROTOCOL",
	    "HTTP/1.1", "QUERY_STRING", "", "HTTP_HOST", "e.test", NULL);
	p[3] = came(APACHE, "REQUEST_METHOD", "GET", "SERVER_NAME", "e.test",
	    "SERVER_PORT", "80", "SERVER_PROTOCOL", "HTTP/1.1", "QUERY_STRING",
	    "", "HTTP_HOST", "e.test", NULL);
	for (int i = 0; i < 4; i++) {
		settle(&p[i], PARAMS_OK);
		expect(&p[i], "REQUEST_METHOD", "GET");
		expect(&p[i], "SERVER_NAME", "e.test");
		expect(&p[i], "CONTENT_TYPE", NULL);
		expect(&p[i], "REMOTE_USER", NULL);
		params_release(&p[i]);
	}
}
END_TEST

/* The other rows of what servers let through. */
START_TEST(test_what_servers_let_through_arrives_right)
{
	/* chunked upload behind nginx, and a length of an odd name */
	SETTLED("HTTP_TRANSFER_ENCODING", NULL, NGINX, "CONTENT_LENGTH", "5",
	    "HTTP_TRANSFER_ENCODING", "chunked");
	SETTLED("CONTENT_LENGTH", "5", LIGHTTPD, "CONTENT_LENGTH", "5",
	    "HTTP_CONTENT_LENGTH", "50", "HTTP_TRANSFER_ENCODING", "chunked");
	/* POST without a length */
	SETTLED("CONTENT_LENGTH", NULL, NGINX, "REQUEST_METHOD", "POST",
	    "CONTENT_LENGTH", "");
	SETTLED("CONTENT_LENGTH", "0", APACHE, "REQUEST_METHOD", "POST",
	    "CONTENT_LENGTH", "0");
	/* Authorization */
	SETTLED("HTTP_AUTHORIZATION", "Basic x", LIGHTTPD, "HTTP_AUTHORIZATION",
	    "Basic x");
	SETTLED("HTTP_AUTHORIZATION", NULL, APACHE, "HTTP_HOST", "e");
	/* CR LF in a path, control bytes in a header: bytes like any other */
	SETTLED("SCRIPT_NAME", "/a\r\nb", NGINX, "SCRIPT_NAME", "/a\r\nb");
	SETTLED("HTTP_X", "\x01\x7f", NGINX, "HTTP_X", "\x01\x7f");
	/* HEAD stays HEAD; an odd split is not ours to judge */
	SETTLED("REQUEST_METHOD", "HEAD", NGINX, "REQUEST_METHOD", "HEAD");
	SETTLED("PATH_INFO", "lication", NGINX, "SCRIPT_NAME", "/app",
	    "PATH_INFO", "lication");
}
END_TEST

START_TEST(test_headers_do_not_pose_as_variables)
{
	struct params p = came(LIGHTTPD, "SCRIPT_NAME", "/a", "PATH_INFO", "/b",
	    "HTTP_SCRIPT_NAME", "/x", "HTTP_PATH_INFO", "/y", "HTTP_HTTPS",
	    "on", "HTTP_X_FORWARDED_PROTO", "https", "HTTP_REMOTE_USER", "root",
	    "HTTP_SERVER_NAME", "evil", NULL);

	settle(&p, PARAMS_OK);
	expect(&p, "SCRIPT_NAME", "/a");
	expect(&p, "PATH_INFO", "/b");
	expect(&p, "HTTPS", NULL);
	expect(&p, "REMOTE_USER", NULL);
	expect(&p, "SERVER_NAME", "localhost");
	expect(&p, "SERVER_PORT", "80");
	expect(&p, "HTTP_SCRIPT_NAME", "/x");
	params_release(&p);
}
END_TEST

START_TEST(test_apaches_second_name_for_authorization_is_taken)
{
	SETTLED("HTTP_AUTHORIZATION", "Basic x", APACHE,
	    "REDIRECT_HTTP_AUTHORIZATION", "Basic x");
	SETTLED("REDIRECT_HTTP_AUTHORIZATION", NULL, APACHE,
	    "REDIRECT_HTTP_AUTHORIZATION", "Basic x");
	SETTLED("HTTP_AUTHORIZATION", "Basic x", APACHE, "HTTP_AUTHORIZATION",
	    "", "REDIRECT_HTTP_AUTHORIZATION", "Basic x");
	SETTLED("HTTP_AUTHORIZATION", "first", APACHE, "HTTP_AUTHORIZATION",
	    "first", "REDIRECT_HTTP_AUTHORIZATION", "second");
	SETTLED("HTTP_AUTHORIZATION", NULL, APACHE,
	    "REDIRECT_HTTP_AUTHORIZATION", "");
}
END_TEST

START_TEST(test_what_every_application_expects_is_always_there)
{
	SETTLED("REQUEST_METHOD", "GET", "A", "b");
	SETTLED("REQUEST_METHOD", "GET", "REQUEST_METHOD", "");
	SETTLED("SERVER_NAME", "localhost", "A", "b");
	SETTLED("SERVER_NAME", "localhost", "SERVER_NAME", "", "HTTP_HOST", "");
	SETTLED("SERVER_NAME", "localhost", "HTTP_HOST", ":81");
	SETTLED("SERVER_NAME", "e.test", "HTTP_HOST", "e.test:81");
	SETTLED("SERVER_NAME", "[::1]", "HTTP_HOST", "[::1]:81");
	SETTLED("SERVER_NAME", "s.test", "SERVER_NAME", "s.test", "HTTP_HOST",
	    "e.test");
	SETTLED("SERVER_PORT", "80", "A", "b");
	SETTLED("SERVER_PORT", "80", "HTTPS", "off");
	SETTLED("SERVER_PORT", "80", "HTTPS", "");
	SETTLED("SERVER_PORT", "443", "HTTPS", "on");
	SETTLED("SERVER_PORT", "443", "HTTPS", "1", "SERVER_PORT", "");
	SETTLED("SERVER_PORT", "443", "REQUEST_SCHEME", "https");
	SETTLED("SERVER_PORT", "8080", "HTTPS", "on", "SERVER_PORT", "8080");
	SETTLED("SERVER_PROTOCOL", "HTTP/1.0", "A", "b");
	SETTLED("SERVER_PROTOCOL", "HTTP/2.0", "SERVER_PROTOCOL", "HTTP/2.0");
	SETTLED("QUERY_STRING", "", "A", "b");
	SETTLED("QUERY_STRING", "x=1", "QUERY_STRING", "x=1");
}
END_TEST

START_TEST(test_nothing_at_all_becomes_a_whole_request)
{
	struct params p;

	params_init(&p);
	settle(&p, PARAMS_OK);
	ck_assert_uint_eq(p.n, 5);
	expect(&p, "REQUEST_METHOD", "GET");
	params_release(&p);
}
END_TEST

START_TEST(test_a_length_is_a_plain_number)
{
	static const char *const bad[] = { "-1", "+1", " 1", "1 ", "0x10",
		"1e3", "1,1", "abc", "1\r\n", "1234567890123456789" };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		REFUSED("CONTENT_LENGTH", "CONTENT_LENGTH", bad[i]);
	SETTLED("CONTENT_LENGTH", "123456789012345678", "CONTENT_LENGTH",
	    "123456789012345678");
	SETTLED("CONTENT_LENGTH", "007", "CONTENT_LENGTH", "007");
}
END_TEST

START_TEST(test_the_sentence_is_fit_for_a_log)
{
	REFUSED("HTTP_A\\x0d\\x0aB", LIGHTTPD, "HTTP_A\r\nB", "1",
	    "HTTP_A\r\nB", "2");
	ck_assert_ptr_null(strpbrk(why.text, "\r\n"));
}
END_TEST

START_TEST(test_joined_values_keep_to_the_limit_too)
{
	size_t half = PARAMS_VALUE_MOST / 2;
	char *text = malloc(half);
	struct params p;

	memset(text, 'x', half);
	params_init(&p);
	ck_assert_int_eq(params_add(&p, "HTTP_X", 6, text, half), PARAMS_OK);
	ck_assert_int_eq(
	    params_add(&p, "HTTP_X", 6, text, half - 2), PARAMS_OK);
	settle(&p, PARAMS_OK);
	ck_assert_uint_eq(strlen(params_get(&p, "HTTP_X")), PARAMS_VALUE_MOST);
	params_release(&p);

	ck_assert_int_eq(params_add(&p, "HTTP_X", 6, text, half), PARAMS_OK);
	ck_assert_int_eq(
	    params_add(&p, "HTTP_X", 6, text, half - 1), PARAMS_OK);
	settle(&p, PARAMS_TOO_MUCH);
	ck_assert_ptr_nonnull(strstr(why.text, "HTTP_X"));
	ck_assert_uint_eq(p.n, 2);
	params_release(&p);
	free(text);
}
END_TEST

/* What must be added may find no room. */
START_TEST(test_a_full_list_that_lacks_something_is_too_much)
{
	struct params p;
	char name[16];

	params_init(&p);
	for (int i = 0; i < PARAMS_COUNT_MOST; i++) {
		snprintf(name, sizeof name, "N%d", i);
		ck_assert_int_eq(
		    params_add(&p, name, strlen(name), "", 0), PARAMS_OK);
	}
	settle(&p, PARAMS_TOO_MUCH);
	ck_assert_uint_eq(p.n, PARAMS_COUNT_MOST);
	params_release(&p);
}
END_TEST

START_TEST(test_a_thousand_of_one_name_are_no_trouble)
{
	struct params p;

	params_init(&p);
	for (int i = 0; i < PARAMS_COUNT_MOST; i++)
		ck_assert_int_eq(
		    params_add(&p, "HTTP_COOKIE", 11, "a=1", 3), PARAMS_OK);
	settle(&p, PARAMS_OK);
	ck_assert_uint_eq(strlen(params_get(&p, "HTTP_COOKIE")),
	    3 * PARAMS_COUNT_MOST + 2 * (PARAMS_COUNT_MOST - 1));
	check_form(&p);
	params_release(&p);
}
END_TEST

START_TEST(test_an_address_is_parsed_and_placed)
{
	struct params p;
	struct url url;

	params_init(&p);
	ck_assert_int_eq(
	    params_set(&p, "REQUEST_URI", "/sub/blog/a%20b?q", 17), PARAMS_OK);
	ck_assert_int_eq(
	    params_set(&p, "SCRIPT_NAME", "/sub/mamayo.fcgi", 16), PARAMS_OK);
	ck_assert_int_eq(params_url(&p, "mamayo.fcgi", NULL, &url), URL_OK);
	ck_assert_int_eq(params_place(&p, &url, "/blog"), PARAMS_OK);
	ck_assert_str_eq(params_get(&p, "SCRIPT_NAME"), "/sub/blog");
	ck_assert_str_eq(params_get(&p, "PATH_INFO"), "/a b");
	ck_assert_int_eq(params_place(&p, &url, ""), PARAMS_OK);
	ck_assert_str_eq(params_get(&p, "SCRIPT_NAME"), "/sub");
	ck_assert_str_eq(params_get(&p, "PATH_INFO"), "/blog/a b");
	url_release(&url);
	ck_assert_int_eq(params_set(&p, "REQUEST_URI", "/../x", 5), PARAMS_OK);
	ck_assert_int_eq(params_url(&p, "mamayo.fcgi", NULL, &url), URL_BAD);
	params_release(&p);
}
END_TEST

START_TEST(test_a_length_is_written_in_full)
{
	struct params p;

	params_init(&p);
	ck_assert_int_eq(params_set_length(&p, UINT64_MAX), PARAMS_OK);
	ck_assert_str_eq(
	    params_get(&p, "CONTENT_LENGTH"), "18446744073709551615");
	ck_assert_int_eq(params_set_length(&p, 0), PARAMS_OK);
	ck_assert_str_eq(params_get(&p, "CONTENT_LENGTH"), "0");
	params_release(&p);
}
END_TEST

SUITE("params", test_an_address_is_parsed_and_placed,
    test_a_length_is_written_in_full,
    test_keeps_what_came_in_the_form_of_the_wire,
    test_the_last_of_equal_names_is_got,
    test_refuses_names_and_values_that_cannot_be_sent_on,
    test_each_limit_holds_at_and_above_it,
    test_no_length_is_cut_to_sixteen_bits, test_set_replaces_every_one_or_adds,
    test_set_may_be_given_what_get_lent, test_remove_takes_every_one,
    test_headers_that_came_twice_are_joined,
    test_of_other_names_the_last_one_counts,
    test_two_lengths_or_hosts_must_say_the_same,
    test_behind_lighttpd_two_headers_are_a_forgery,
    test_what_must_not_reach_an_application_is_dropped,
    test_some_are_dropped_only_when_empty,
    test_a_get_looks_the_same_behind_every_server,
    test_what_servers_let_through_arrives_right,
    test_headers_do_not_pose_as_variables,
    test_apaches_second_name_for_authorization_is_taken,
    test_what_every_application_expects_is_always_there,
    test_nothing_at_all_becomes_a_whole_request,
    test_a_length_is_a_plain_number, test_the_sentence_is_fit_for_a_log,
    test_joined_values_keep_to_the_limit_too,
    test_a_full_list_that_lacks_something_is_too_much,
    test_a_thousand_of_one_name_are_no_trouble);
