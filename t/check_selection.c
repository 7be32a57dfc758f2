#include "config.h"

#include <string.h>

#include "lib/mediatype.h"
#include "lib/selection.h"
#include "t/check.h"

#define TAG "\"5.0-64\""

static struct selection
ask(const struct selection_request *r, const char *etag, uint64_t size)
{
	struct selection_file f = {
		.size = size, .modified = 784111777, .etag = etag
	};

	return selection_of(r, &f);
}

static void
ranges(const char *range, uint64_t size, int status, uint64_t first,
    uint64_t length)
{
	struct selection_request r = { .range = range };
	struct selection s = ask(&r, TAG, size);

	ck_assert_msg(s.status == status, "%s of %llu: %d", range,
	    (unsigned long long)size, s.status);
	if (status == 416)
		return;
	ck_assert_msg(s.first == first && s.length == length,
	    "%s of %llu: %llu+%llu", range, (unsigned long long)size,
	    (unsigned long long)s.first, (unsigned long long)s.length);
}

START_TEST(test_ranges_are_within_the_file)
{
	ranges("bytes=0-0", 100, 206, 0, 1);
	ranges("bytes=0-99", 100, 206, 0, 100);
	ranges("bytes=0-100", 100, 206, 0, 100);
	ranges("bytes=99-", 100, 206, 99, 1);
	ranges("bytes=100-", 100, 416, 0, 0);
	ranges("bytes=-1", 100, 206, 99, 1);
	ranges("bytes=-100", 100, 206, 0, 100);
	ranges("bytes=-101", 100, 206, 0, 100);
	ranges("bytes=-0", 100, 416, 0, 0);
	ranges("bytes=0-", 0, 416, 0, 0);
	ranges("bytes=-5", 0, 416, 0, 0);
	ranges("bytes=4294967296-4294967297", 5000000000, 206, 4294967296, 2);
	ranges("bytes=0-999999999999999999", 100, 206, 0, 100);
}
END_TEST

START_TEST(test_what_is_no_range_is_none)
{
	static const char *const odd[] = { "", "bytes", "bytes=", "bytes=-",
		"bytes=1", "bytes=2-1", "bytes=0-1,3-4", "bytes= 0-1",
		"bytes=0-1 ", "bytes=+1-2", "bytes=0x1-2", "Bytes=0-1",
		"bytes=1000000000000000000000-", "bytes=--1", "bytes=1--2" };

	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
		ranges(odd[i], 100, 200, 0, 100);
}
END_TEST

static void
dated(const char *text, int is_that)
{
	struct selection_request r = { .if_modified_since = text };

	ck_assert_msg(
	    ask(&r, TAG, 9).status == (is_that ? 304 : 200), "%s", text);
}

START_TEST(test_dates_have_three_forms)
{
	dated("Sun, 06 Nov 1994 08:49:37 GMT", 1);
	dated("Sunday, 06-Nov-94 08:49:37 GMT", 1);
	dated("Sun Nov  6 08:49:37 1994", 1);
	dated("Sun, 06 Nov 1994 08:49:36 GMT", 0);
	dated("Sunday, 06-Nov-94 08:49:36 GMT", 0);
	dated("Sun Nov  6 08:49:36 1994", 0);
	dated("Mon, 01 Jan 2040 00:00:00 GMT", 1);
	dated("Sun, 06 Foo 1994 08:49:37 GMT", 0);
	dated("Sun, 06 Nov 1994 25:49:37 GMT", 0);
	dated("Sun, 06 Nov 1954 08:49:37 GMT", 0);
	dated("", 0);
	dated("784111777", 0);
}
END_TEST

START_TEST(test_dates_are_written_as_they_are_read)
{
	char text[SELECTION_DATE];

	selection_date(text, 784111777);
	ck_assert_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	selection_date(text, 951782400);
	ck_assert_str_eq(text, "Tue, 29 Feb 2000 00:00:00 GMT");
	selection_date(text, (time_t)1 << 60);
	ck_assert_str_eq(text, "Thu, 01 Jan 1970 00:00:00 GMT");
}
END_TEST

START_TEST(test_a_tag_is_weak_while_a_change_could_have_the_same_time)
{
	struct timespec modified = { 1000, 5 }, now = { 1001, 0 };
	char tag[SELECTION_ETAG];

	selection_etag(tag, 255, &modified, &now);
	ck_assert_str_eq(tag, "W/\"3e8.5-ff\"");
	now.tv_sec = 1002;
	selection_etag(tag, 255, &modified, &now);
	ck_assert_str_eq(tag, "\"3e8.5-ff\"");
}
END_TEST

START_TEST(test_a_range_is_of_what_the_visitor_has_or_all)
{
	struct selection_request r = { .range = "bytes=0-0", .if_range = TAG };

	ck_assert_int_eq(ask(&r, TAG, 9).status, 206);
	ck_assert_int_eq(ask(&r, "W/" TAG, 9).status, 200);
	r.if_range = "W/" TAG;
	ck_assert_int_eq(ask(&r, "W/" TAG, 9).status, 200);
	r.if_range = "Sun, 06 Nov 1994 08:49:37 GMT";
	ck_assert_int_eq(ask(&r, TAG, 9).status, 206);
	ck_assert_int_eq(ask(&r, "W/" TAG, 9).status, 200);
	r.if_range = "Sun, 06 Nov 1994 08:49:38 GMT";
	ck_assert_int_eq(ask(&r, TAG, 9).status, 200);
	r.if_range = "*";
	ck_assert_int_eq(ask(&r, TAG, 9).status, 200);
}
END_TEST

START_TEST(test_a_condition_comes_before_a_range)
{
	struct selection_request r = { .range = "bytes=99-",
		.if_none_match = TAG };

	ck_assert_int_eq(ask(&r, TAG, 9).status, 304);
	r.if_match = "\"x\"";
	ck_assert_int_eq(ask(&r, TAG, 9).status, 412);
}
END_TEST

START_TEST(test_types_are_known_by_the_ending)
{
	ck_assert_str_eq(mediatype_of("7z.7z"), "application/x-7z-compressed");
	ck_assert_str_eq(mediatype_of("a/b.c/x.ZST"), "application/zstd");
	ck_assert_str_eq(mediatype_of("a.css/x"), "application/octet-stream");
	ck_assert_str_eq(mediatype_of("x.tar.gz"), "application/gzip");
	ck_assert_str_eq(mediatype_of(""), "application/octet-stream");
	ck_assert_str_eq(mediatype_of("."), "application/octet-stream");
}
END_TEST

SUITE("selection", test_ranges_are_within_the_file,
    test_what_is_no_range_is_none, test_dates_have_three_forms,
    test_dates_are_written_as_they_are_read,
    test_a_tag_is_weak_while_a_change_could_have_the_same_time,
    test_a_range_is_of_what_the_visitor_has_or_all,
    test_a_condition_comes_before_a_range, test_types_are_known_by_the_ending);
