#include "config.h"

#include <fastcgi.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/record.h"
#include "fcgi/reply.h"
#include "t/check.h"

static char text[256 * 1024];
static size_t text_length;

/*
 * Reads the answer as a web server does: STDOUT records, the empty one, and
 * END_REQUEST, all of that request, and nothing after them. Leaves the stream
 * in text.
 */
static void
reply(const struct page *page, uint16_t id)
{
	static const unsigned char complete[8];
	size_t n = 0, at = 0;
	unsigned char *out = reply_make(page, id, &n);
	struct record r;
	int closed = 0;
	long used;

	ck_assert_ptr_nonnull(out);
	text_length = 0;
	for (;;) {
		used = record_take(out + at, n - at, &r);
		ck_assert_int_gt(used, 0);
		at += (size_t)used;
		ck_assert_uint_eq(r.request_id, id);
		if (r.type == FCGI_END_REQUEST)
			break;
		ck_assert_int_eq(r.type, FCGI_STDOUT);
		ck_assert(!closed);
		closed = r.length == 0;
		ck_assert_uint_lt(text_length + r.length, sizeof text);
		memcpy(text + text_length, r.content, r.length);
		text_length += r.length;
	}
	text[text_length] = '\0';
	ck_assert(closed);
	ck_assert_uint_eq(r.length, 8);
	ck_assert_mem_eq(r.content, complete, 8);
	ck_assert_uint_eq(at, n);
	free(out);
}

static int
says(const char *words)
{
	return strstr(text, words) != NULL;
}

static const struct page busy = { .status = 503,
	.code = "queue-full",
	.text = "Please <try> again.",
	.reference = "3f2a91bc",
	.retry_after = 5 };

START_TEST(test_a_page_is_a_whole_answer)
{
	const char *end;

	reply(&busy, 1);
	ck_assert_int_eq(strncmp(text, "Status: 503 ", 12), 0);
	ck_assert(says("\r\nX-Mamayo-Error: queue-full\r\n"));
	ck_assert(says("\r\nRetry-After: 5\r\n"));
	ck_assert(says("Please &lt;try&gt; again."));
	ck_assert(says("3f2a91bc"));
	end = strstr(text, "\r\n\r\n");
	ck_assert_ptr_nonnull(end);
	ck_assert_uint_eq(
	    strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10),
	    text_length - (size_t)(end + 4 - text));
}
END_TEST

START_TEST(test_every_request_id_is_borne_by_every_record)
{
	static const uint16_t ids[] = { 1, 255, 256, 65535 };

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
		reply(&busy, ids[i]);
}
END_TEST

START_TEST(test_a_head_request_gets_the_headers_alone)
{
	struct page head = busy;
	char whole[4096];

	reply(&busy, 1);
	ck_assert_uint_lt(text_length, sizeof whole);
	strcpy(whole, text);
	head.head = 1;
	reply(&head, 1);
	ck_assert_str_eq(text + text_length - 4, "\r\n\r\n");
	/* the same ones, Content-Length too */
	ck_assert_int_eq(strncmp(text, whole, text_length), 0);
	ck_assert_uint_lt(text_length, strlen(whole));
}
END_TEST

START_TEST(test_a_long_page_is_cut_into_records)
{
	static char detail[60 * 1024];
	struct page page = busy;

	memset(detail, 'd', sizeof detail - 1);
	page.detail = detail;
	reply(&page, 1);
	ck_assert_uint_gt(text_length, sizeof detail);
	ck_assert_ptr_nonnull(strstr(text, detail));
}
END_TEST

START_TEST(test_each_status_of_ours_has_a_title_of_its_own)
{
	static const int statuses[] = { 400, 404, 408, 431, 500, 502, 503,
		504 };
	char titles[8][64], *at;
	struct page page = busy;

	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
		page.status = statuses[i];
		reply(&page, 1);
		at = strstr(text, "<title>");
		ck_assert_ptr_nonnull(at);
		snprintf(titles[i], sizeof titles[i], "%.*s",
		    (int)strcspn(at + 7, "<"), at + 7);
		ck_assert_str_ne(titles[i], "");
		ck_assert_str_ne(titles[i], "mamayo");
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(titles[i], titles[k]);
	}
}
END_TEST

START_TEST(test_a_title_of_its_own_stays)
{
	struct page page = busy;

	page.title = "Nothing here";
	reply(&page, 1);
	ck_assert(says("<title>Nothing here</title>"));
}
END_TEST

START_TEST(test_what_is_not_an_error_bears_no_code)
{
	static const struct page page = {
		.status = 200, .title = "Hello", .text = "All is well."
	};

	reply(&page, 1);
	ck_assert_int_eq(strncmp(text, "Status: 200 ", 12), 0);
	ck_assert(!says("X-Mamayo-Error"));
	ck_assert(!says("Retry-After"));
}
END_TEST

SUITE("reply", test_a_page_is_a_whole_answer,
    test_every_request_id_is_borne_by_every_record,
    test_a_head_request_gets_the_headers_alone,
    test_a_long_page_is_cut_into_records,
    test_each_status_of_ours_has_a_title_of_its_own,
    test_a_title_of_its_own_stays, test_what_is_not_an_error_bears_no_code);
