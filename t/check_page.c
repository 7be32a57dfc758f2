#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/page.h"
#include "t/check.h"

#define PAGE_MOST 4096

/* A whole answer as a string. */
static char *
made(const struct page *p)
{
	size_t n;
	char *text = page_make(p, &n), *copy;

	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_null(memchr(text, '\0', n));
	copy = malloc(n + 1);
	memcpy(copy, text, n);
	copy[n] = '\0';
	free(text);
	return copy;
}

static const char *
body_of(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	ck_assert_ptr_nonnull(end);
	return end + 4;
}

/* Is this line among the headers? */
static int
has_header(const char *answer, const char *line)
{
	const char *at = strstr(answer, line);

	return at != NULL && at < body_of(answer) &&
	       (at == answer || at[-1] == '\n') &&
	       strncmp(at + strlen(line), "\r\n", 2) == 0;
}

static int
has_header_named(const char *answer, const char *name)
{
	const char *at = strstr(answer, name);

	return at != NULL && at < body_of(answer);
}

static const struct page plain = { .status = 404,
	.code = "no-app",
	.title = "Not found",
	.text = "There is nothing here." };

START_TEST(test_an_answer_is_complete)
{
	char *answer = made(&plain), length[64];

	ck_assert_ptr_eq(strstr(answer, "Status: 404 Not Found\r\n"), answer);
	ck_assert(has_header(answer, "Content-Type: text/html; charset=utf-8"));
	ck_assert(has_header(answer, "Cache-Control: no-store"));
	ck_assert(has_header(answer, "X-Content-Type-Options: nosniff"));
	ck_assert(has_header(answer, "X-Mamayo-Error: no-app"));
	snprintf(length, sizeof length, "Content-Length: %zu",
	    strlen(body_of(answer)));
	ck_assert(has_header(answer, length));
	ck_assert_ptr_nonnull(
	    strstr(body_of(answer), "<title>Not found</title>"));
	ck_assert_ptr_nonnull(strstr(body_of(answer), "<h1>Not found</h1>"));
	ck_assert_ptr_nonnull(strstr(body_of(answer), "nothing here."));
	free(answer);
}
END_TEST

START_TEST(test_what_was_not_given_is_not_there)
{
	struct page p = { .status = 200, .title = "Welcome" };
	char *answer = made(&p);

	ck_assert_ptr_eq(strstr(answer, "Status: 200 OK\r\n"), answer);
	ck_assert(!has_header_named(answer, "X-Mamayo-Error"));
	ck_assert(!has_header_named(answer, "Retry-After"));
	ck_assert_ptr_null(strstr(body_of(answer), "Reference"));
	ck_assert_ptr_null(strstr(body_of(answer), "<pre>"));
	free(answer);
}
END_TEST

START_TEST(test_what_was_given_is_there)
{
	struct page p = plain;
	char *answer, name[300];

	p.status = 503;
	p.app = "a b";
	p.reference = "3f2a91bc";
	p.retry_after = 7;
	p.detail = "Traceback:\n\tline <1>\n";
	answer = made(&p);
	ck_assert(has_header(answer, "Status: 503 Service Unavailable"));
	ck_assert(has_header(answer, "Retry-After: 7"));
	ck_assert_ptr_nonnull(strstr(body_of(answer), "3f2a91bc"));
	ck_assert_ptr_nonnull(
	    strstr(body_of(answer), "<code>mamayo logs 'a b'</code>"));
	ck_assert_ptr_nonnull(
	    strstr(body_of(answer), "Traceback:\n\tline &lt;1&gt;\n"));
	free(answer);
	memset(name, 'x', sizeof name - 1);
	name[1] = '\'';
	name[sizeof name - 1] = '\0';
	p.app = name;
	answer = made(&p);
	ck_assert_ptr_nonnull(
	    strstr(body_of(answer), "<code>mamayo logs 'x'\\''x"));
	ck_assert_ptr_nonnull(
	    strstr(body_of(answer), "xx\xe2\x80\xa6</code>")); /* cut */
	free(answer);
	p.app = "";
	answer = made(&p);
	ck_assert_ptr_nonnull(
	    strstr(body_of(answer), "<code>mamayo logs</code>"));
	free(answer);
}
END_TEST

START_TEST(test_every_status_of_ours_has_its_words)
{
	static const int ours[] = { 200, 400, 404, 431, 500, 502, 503, 504 };
	struct page p = plain;
	char *answer, line[32];

	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
		p.status = ours[i];
		answer = made(&p);
		snprintf(line, sizeof line, "Status: %d Error", ours[i]);
		ck_assert(!has_header(answer, line));
		free(answer);
	}
	p.status = 599;
	answer = made(&p);
	ck_assert(has_header(answer, "Status: 599 Error"));
	free(answer);
}
END_TEST

START_TEST(test_a_head_request_gets_the_headers_alone)
{
	struct page p = plain;
	char *whole = made(&p), *head;

	p.head = 1;
	head = made(&p);
	ck_assert_uint_eq(strlen(body_of(head)), 0);
	ck_assert_uint_eq(strlen(head), (size_t)(body_of(whole) - whole));
	ck_assert_mem_eq(head, whole, strlen(head));
	free(head);
	free(whole);
}
END_TEST

START_TEST(test_what_is_not_literal_is_escaped)
{
	struct page p = plain;
	char *answer;

	p.title = "<script>\"a\" & 'b'</script>";
	p.text = "</p><img src=x onerror=alert(1)>";
	p.detail = "</pre><script>";
	p.reference = p.app = "<b>";
	answer = made(&p);
	ck_assert_ptr_null(strstr(body_of(answer), "<script"));
	ck_assert_ptr_null(strstr(body_of(answer), "<img"));
	ck_assert_ptr_null(strstr(body_of(answer), "<b>"));
	ck_assert_ptr_nonnull(strstr(body_of(answer),
	    "<h1>&lt;script&gt;&quot;a&quot; &amp; 'b'&lt;/script&gt;</h1>"));
	free(answer);
}
END_TEST

START_TEST(test_no_control_byte_gets_through)
{
	char every[32 + 3];
	struct page p = plain;
	char *answer;
	size_t n = 0;

	for (int c = 1; c < 32; c++)
		every[n++] = (char)c;
	every[n++] = '\x7f';
	every[n++] = 'x';
	every[n] = '\0';
	p.code = p.title = p.text = p.detail = p.reference = every;
	p.app = every;
	answer = made(&p);
	for (const char *c = answer; *c != '\0'; c++)
		ck_assert_msg((unsigned char)*c >= 32 || *c == '\n' ||
				  *c == '\t' || (*c == '\r' && c[1] == '\n'),
		    "control byte %d", *c);
	ck_assert_ptr_nonnull(strstr(answer, "\r\nX-Mamayo-Error: ???"));
	ck_assert_ptr_nonnull(strstr(answer, "x\r\n"));
	free(answer);
}
END_TEST

START_TEST(test_text_stays_if_it_is_text_and_is_a_question_if_not)
{
	struct page p = plain;
	char *answer;

	p.text = "caf\xc3\xa9 \xf0\x9f\x90\x8d \xff\xc3 \xe2\x82"
		 " \xc2\x85 \xe2\x80\xae.";
	answer = made(&p);
	ck_assert_ptr_nonnull(strstr(body_of(answer),
	    "<p>caf\xc3\xa9 \xf0\x9f\x90\x8d ?? ?? ?? ???.</p>"));
	free(answer);
}
END_TEST

START_TEST(test_without_a_detail_it_is_never_longer_than_a_page_of_memory)
{
	static const char *const fill[] = { "\"", "&", "x", "\xc3\xa9",
		"\xf0\x9f\x90\x8d", "\xff" };
	char text[8001];
	struct page p = plain;
	char *answer;

	for (size_t i = 0; i < sizeof fill / sizeof fill[0]; i++) {
		text[0] = '\0';
		for (size_t n = 0; n + 5 < sizeof text; n += strlen(fill[i]))
			strcpy(text + n, fill[i]);
		p.code = p.title = p.text = p.reference = p.app = text;
		p.retry_after = 2147483647;
		answer = made(&p);
		ck_assert_uint_le(strlen(answer), PAGE_MOST);
		ck_assert_ptr_nonnull(strstr(answer, "</main>\n"));
		free(answer);
	}
}
END_TEST

START_TEST(test_a_sentence_of_full_length_is_shown_whole)
{
	char text[512];
	struct page p = plain;
	char *answer;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	p.text = text;
	answer = made(&p);
	ck_assert_ptr_nonnull(strstr(answer, text));
	free(answer);
}
END_TEST

START_TEST(test_a_detail_is_cut_at_its_limit_and_keeps_its_end)
{
	size_t most = 64 * 1024, n = most + 3;
	char *detail = malloc(n + 1), *answer;
	struct page p = plain;
	const char *pre;

	for (size_t i = 0; i < n; i += 4)
		memcpy(detail + i, "\xf0\x9f\x90\x8d", n - i < 4 ? n - i : 4);
	strcpy(detail + most - 4, "the end");
	p.detail = detail;
	answer = made(&p);
	pre = strstr(answer, "<pre>\n");
	ck_assert_ptr_nonnull(pre);
	ck_assert_ptr_eq(
	    strstr(pre, "\xe2\x80\xa6\n\xf0\x9f\x90\x8d"), pre + 6);
	ck_assert_ptr_nonnull(strstr(pre, "the end</pre>"));
	free(answer);

	memset(detail, 'x', most);
	detail[most] = '\0';
	answer = made(&p);
	ck_assert_ptr_null(strstr(answer, "\xe2\x80\xa6"));
	free(answer);
	free(detail);
}
END_TEST

START_TEST(test_needs_nothing_from_elsewhere)
{
	char *answer = made(&plain);

	ck_assert_ptr_null(strstr(answer, "<script"));
	ck_assert_ptr_null(strstr(answer, "http"));
	ck_assert_ptr_null(strstr(answer, "url("));
	ck_assert_ptr_null(strstr(answer, "@import"));
	ck_assert_ptr_null(strstr(answer, "src="));
	ck_assert_ptr_null(strstr(answer, "<link"));
	free(answer);
}
END_TEST

START_TEST(test_fits_a_narrow_window)
{
	char *answer = made(&plain);

	ck_assert_ptr_nonnull(strstr(answer, "width=device-width"));
	ck_assert_ptr_nonnull(strstr(answer, "overflow-wrap: anywhere"));
	ck_assert_ptr_nonnull(strstr(answer, "white-space: pre-wrap"));
	ck_assert_ptr_null(strstr(answer, "min-width"));
	free(answer);
}
END_TEST

/* The relative luminance of "#rrggbb" (WCAG 2). */
static double
luminance(const char *colour)
{
	static const double weight[] = { 0.2126, 0.7152, 0.0722 };
	double sum = 0, c;
	unsigned part;

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(sscanf(colour + 1 + 2 * i, "%2x", &part), 1);
		c = part / 255.0;
		c = c <= 0.03928 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
		sum += weight[i] * c;
	}
	return sum;
}

/* The colour given to a name after that place in the text. */
static double
colour_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	ck_assert_ptr_nonnull(at);
	at = strchr(at, '#');
	ck_assert_ptr_nonnull(at);
	return luminance(at);
}

static double
contrast(double a, double b)
{
	return (fmax(a, b) + 0.05) / (fmin(a, b) + 0.05);
}

START_TEST(test_can_be_read_in_light_and_dark)
{
	static const char *const front[] = { "--ink:", "--soft:" };
	static const char *const back[] = { "--paper:", "--box:" };
	char *answer = made(&plain);
	const char *theme[2];

	theme[0] = strstr(answer, "color-scheme: light dark");
	theme[1] = strstr(answer, "prefers-color-scheme: dark");
	for (int i = 0; i < 2; i++) {
		ck_assert_ptr_nonnull(theme[i]);
		for (int f = 0; f < 2; f++)
			for (int b = 0; b < 2; b++)
				ck_assert_double_ge(
				    contrast(colour_after(theme[i], front[f]),
					colour_after(theme[i], back[b])),
				    4.5);
	}
	ck_assert_double_gt(colour_after(theme[0], "--paper:"), 0.5);
	ck_assert_double_lt(colour_after(theme[1], "--paper:"), 0.5);
	free(answer);
}
END_TEST

SUITE("page", test_an_answer_is_complete, test_what_was_not_given_is_not_there,
    test_what_was_given_is_there, test_every_status_of_ours_has_its_words,
    test_a_head_request_gets_the_headers_alone,
    test_what_is_not_literal_is_escaped, test_no_control_byte_gets_through,
    test_text_stays_if_it_is_text_and_is_a_question_if_not,
    test_without_a_detail_it_is_never_longer_than_a_page_of_memory,
    test_a_sentence_of_full_length_is_shown_whole,
    test_a_detail_is_cut_at_its_limit_and_keeps_its_end,
    test_needs_nothing_from_elsewhere, test_fits_a_narrow_window,
    test_can_be_read_in_light_and_dark);
