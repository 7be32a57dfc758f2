#include "config.h"

#include <fastcgi.h>
#include <string.h>

#include "lib/health.h"
#include "t/check.h"

static unsigned char answer[70000];
static size_t length;
static struct health health;

static void
record(int type, const char *text, int padding)
{
	size_t n = strlen(text);

	record_put_head(
	    answer + length, type, 1, (uint16_t)n, (uint8_t)padding);
	memcpy(answer + length + RECORD_HEAD, text, n);
	memset(answer + length + RECORD_HEAD + n, 'p', (size_t)padding);
	length += RECORD_HEAD + n + (size_t)padding;
}

static void
end(unsigned status)
{
	record_put_end(answer + length, 1, status, FCGI_REQUEST_COMPLETE);
	length += RECORD_END;
}

/* In pieces of that many bytes. */
static int
take(size_t step)
{
	int result = 0;

	memset(&health, 0, sizeof health);
	for (size_t at = 0; at < length && result == 0; at += step)
		result = health_take(&health, answer + at,
		    step < length - at ? step : length - at);
	return result;
}

START_TEST(test_finds_the_status_however_the_answer_is_cut_into_pieces)
{
	record(FCGI_STDOUT, "Content-Type: text/plain\r\nSta", 3);
	record(FCGI_STDERR, "", 0);
	record(FCGI_STDOUT, "tus: 404 Not found\r\n\r\nStatus: 500", 0);
	record(FCGI_STDOUT, "", 8);
	end(0);
	for (size_t step = 1; step <= length; step++) {
		ck_assert_int_eq(take(step), 1);
		ck_assert_int_eq(health.status, 404);
	}
	length--;
	ck_assert_int_eq(take(1), 0);
}
END_TEST

START_TEST(test_an_answer_without_a_status_is_200_and_without_headers_none)
{
	record(FCGI_STDOUT, "X: y\r\n\r\nStatus: 500\r\n", 0);
	end(0);
	ck_assert_int_eq(take(7), 1);
	ck_assert_int_eq(health.status, 200);
	length = 0;
	record(FCGI_STDOUT, "no end", 0);
	end(0);
	ck_assert_int_eq(take(7), -1);
	ck_assert_int_eq(health.status, 0);
}
END_TEST

START_TEST(test_a_long_body_is_not_kept)
{
	static char body[60001];

	record(FCGI_STDOUT, "Status: 204 No content\r\n\r\n", 0);
	memset(body, 'b', sizeof body - 1);
	record(FCGI_STDOUT, body, 0);
	end(0);
	ck_assert_int_eq(take(1000), 1);
	ck_assert_int_eq(health.status, 204);
	ck_assert_uint_eq(health.length, HEALTH_HEADERS);
}
END_TEST

START_TEST(test_what_is_cut_or_no_fastcgi_is_no_answer)
{
	record(FCGI_STDOUT, "Status: 200 OK\r\n\r\n", 0);
	end(1);
	ck_assert_int_eq(take(5), -1);
	ck_assert_int_eq(health.status, 0);
	length = 0;
	memcpy(answer, "HTTP/1.0 200 OK\r\n", 17);
	length = 17;
	ck_assert_int_eq(take(5), -1);
}
END_TEST

SUITE("health", test_finds_the_status_however_the_answer_is_cut_into_pieces,
    test_an_answer_without_a_status_is_200_and_without_headers_none,
    test_a_long_body_is_not_kept, test_what_is_cut_or_no_fastcgi_is_no_answer);
