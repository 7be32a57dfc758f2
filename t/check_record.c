#include "config.h"

#include <fastcgi.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/record.h"
#include "t/check.h"

static unsigned char space[80000];

/* A whole record in space; returns its length. */
static size_t
make(int type, uint16_t id, uint16_t length, uint8_t padding)
{
	record_put_head(space, type, id, length, padding);
	memset(space + RECORD_HEAD, 'c', length);
	memset(space + RECORD_HEAD + length, 'p', padding);
	return (size_t)RECORD_HEAD + length + padding;
}

START_TEST(test_a_head_is_put_as_the_specification_says)
{
	static const unsigned char wanted[] = { 1, FCGI_STDOUT, 0x12, 0x34,
		0xab, 0xcd, 7, 0 };

	record_put_head(space, FCGI_STDOUT, 0x1234, 0xabcd, 7);
	ck_assert_mem_eq(space, wanted, RECORD_HEAD);
}
END_TEST

START_TEST(test_an_end_is_put_as_the_specification_says)
{
	static const unsigned char wanted[RECORD_END] = { 1, FCGI_END_REQUEST,
		0xff, 0xfe, 0, 8, 0, 0, 1, 2, 3, 4, FCGI_OVERLOADED, 0, 0, 0 };

	memset(space, 0xee, sizeof space);
	record_put_end(space, 0xfffe, 0x01020304, FCGI_OVERLOADED);
	ck_assert_mem_eq(space, wanted, RECORD_END);
	ck_assert_uint_eq(space[RECORD_END], 0xee);
}
END_TEST

START_TEST(test_a_head_is_read_with_every_field)
{
	struct record r;

	make(FCGI_PARAMS, 65535, 65535, 255);
	ck_assert_int_eq(record_head(space, RECORD_HEAD, &r), RECORD_HEAD);
	ck_assert_int_eq(r.type, FCGI_PARAMS);
	ck_assert_uint_eq(r.request_id, 65535);
	ck_assert_uint_eq(r.length, 65535);
	ck_assert_uint_eq(r.padding, 255);
	for (size_t n = 0; n < RECORD_HEAD; n++)
		ck_assert_int_eq(record_head(space, n, &r), 0);
}
END_TEST

START_TEST(test_every_padding_is_skipped)
{
	struct record r;
	size_t n;

	for (unsigned padding = 0; padding <= 255; padding++) {
		n = make(FCGI_STDIN, 1, 5, (uint8_t)padding);
		ck_assert_int_eq(record_take(space, n + 3, &r), (long)n);
		ck_assert_uint_eq(r.length, 5);
		ck_assert_mem_eq(r.content, "ccccc", 5);
	}
}
END_TEST

START_TEST(test_a_record_cut_anywhere_wants_more)
{
	struct record r;
	size_t n = make(FCGI_PARAMS, 9, 300, 20);

	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(record_take(space, i, &r), 0);
	ck_assert_int_eq(record_take(space, n, &r), (long)n);
}
END_TEST

START_TEST(test_empty_and_largest_records_are_records)
{
	struct record r;
	size_t n = make(FCGI_STDIN, 1, 0, 0);

	ck_assert_int_eq(record_take(space, n, &r), RECORD_HEAD);
	ck_assert_uint_eq(r.length, 0);
	n = make(FCGI_STDIN, 1, RECORD_CONTENT_MOST, 255);
	ck_assert_int_eq(record_take(space, n, &r), (long)n);
	ck_assert_uint_eq(r.length, RECORD_CONTENT_MOST);
}
END_TEST

START_TEST(test_another_version_is_refused_by_its_first_byte)
{
	struct record r;

	for (unsigned version = 0; version <= 255; version++) {
		make(FCGI_STDIN, 1, 0, 0);
		space[0] = (unsigned char)version;
		ck_assert_int_eq(
		    record_take(space, 1, &r), version == 1 ? 0 : -1);
		ck_assert_int_eq(record_head(space, RECORD_HEAD, &r),
		    version == 1 ? RECORD_HEAD : -1);
	}
	ck_assert_int_eq(record_take(space, 0, &r), 0);
}
END_TEST

/* Writes a length as one byte or as four. */
static size_t
put_length(unsigned char *out, size_t length, int wide)
{
	if (!wide) {
		out[0] = (unsigned char)length;
		return 1;
	}
	out[0] = (unsigned char)(0x80 | length >> 24);
	out[1] = (unsigned char)(length >> 16);
	out[2] = (unsigned char)(length >> 8);
	out[3] = (unsigned char)length;
	return 4;
}

static size_t
put_pair(unsigned char *out, const char *name, int wide_name, const char *value,
    int wide_value)
{
	size_t n = put_length(out, strlen(name), wide_name);

	n += put_length(out + n, strlen(value), wide_value);
	memcpy(out + n, name, strlen(name));
	n += strlen(name);
	memcpy(out + n, value, strlen(value));
	return n + strlen(value);
}

START_TEST(test_lengths_of_one_and_four_bytes_in_every_combination)
{
	static const char *const names[] = { "", "N", "REQUEST_URI" };
	static const char *const values[] = { "", "v", "/a?b" };
	struct pair p;
	size_t n;

	for (int i = 0; i < 36; i++) {
		const char *name = names[i / 4 % 3], *value = values[i / 12];

		n = put_pair(space, name, i & 1, value, i & 2);
		for (size_t cut = 0; cut < n; cut++)
			ck_assert_int_eq(record_pair(space, cut, 100, &p), 0);
		ck_assert_int_eq(record_pair(space, n, 100, &p), (long)n);
		ck_assert_int_eq(record_pair(space, n + 9, 100, &p), (long)n);
		ck_assert_uint_eq(p.name_length, strlen(name));
		ck_assert_uint_eq(p.value_length, strlen(value));
		ck_assert(memcmp(p.name, name, p.name_length) == 0);
		ck_assert(memcmp(p.value, value, p.value_length) == 0);
	}
}
END_TEST

START_TEST(test_lengths_around_127_and_in_the_upper_bytes)
{
	static const size_t lengths[] = { 127, 128, 255, 256, 65535, 65536,
		70000 };
	struct pair p;
	size_t n;

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		memset(space, 'x', sizeof space);
		n = put_length(space, 1, 0);
		n += put_length(space + n, lengths[i], lengths[i] > 127);
		ck_assert_int_eq(record_pair(space, sizeof space, 100000, &p),
		    (long)(n + 1 + lengths[i]));
		ck_assert_uint_eq(p.value_length, lengths[i]);
		ck_assert_ptr_eq(p.value, space + n + 1);
	}
}
END_TEST

START_TEST(test_a_pair_beyond_the_limit_is_refused_before_it_is_there)
{
	struct pair p;
	size_t n;

	n = put_length(space, 60, 0);
	n += put_length(space + n, 40, 0);
	ck_assert_int_eq(record_pair(space, n, 100, &p), 0);
	ck_assert_int_eq(record_pair(space, n, 99, &p), -1);

	n = put_length(space, 0x7fffffff, 1);
	ck_assert_int_eq(record_pair(space, n, 100, &p), -1);
	n = put_length(space, 1, 0);
	n += put_length(space + n, 0x7fffffff, 1);
	ck_assert_int_eq(record_pair(space, n, 100, &p), -1);
	n = put_length(space, 0x7fffffff, 1);
	n += put_length(space + n, 0x7fffffff, 1);
	ck_assert_int_eq(record_pair(space, n, 0xfffffffe, &p), 0);
	ck_assert_int_eq(record_pair(space, n, 0xfffffffd, &p), -1);
}
END_TEST

/* The answer to a GET_VALUES with these names, which end with NULL, as text:
 * "NAME=VALUE ". */
static const char *
answer(const char *const *names)
{
	static char text[200];
	static unsigned char out[RECORD_VALUES_MOST];
	const unsigned char *at;
	size_t n = 0, used = 0;
	struct record r;
	struct pair p;
	long took;

	for (; *names != NULL; names++)
		n += put_pair(space + n, *names, n % 2 == 0, "", 0);
	took = record_values_answer(space, n, 4294967295U, out);
	ck_assert_int_ge(took, RECORD_HEAD);
	ck_assert_int_le(took, RECORD_VALUES_MOST);
	ck_assert_int_eq(record_take(out, (size_t)took, &r), took);
	ck_assert_int_eq(r.type, FCGI_GET_VALUES_RESULT);
	ck_assert_uint_eq(r.request_id, 0);
	ck_assert_uint_eq(r.padding, 0);
	text[0] = '\0';
	n = r.length;
	for (at = r.content; n > 0; at += took, n -= (size_t)took) {
		took = record_pair(at, n, n, &p);
		ck_assert_int_gt(took, 0);
		used += (size_t)snprintf(text + used, sizeof text - used,
		    "%.*s=%.*s ", (int)p.name_length, (const char *)p.name,
		    (int)p.value_length, (const char *)p.value);
	}
	return text;
}

START_TEST(test_values_are_told_for_known_names_only_and_in_order)
{
	static const char *const none[] = { NULL };
	static const char *const unknown[] = { "", "FCGI_MAX_CONN",
		"FCGI_MAX_CONNSX", "PATH", NULL };
	static const char *const one[] = { "FCGI_MPXS_CONNS", NULL };
	static const char *const all[] = { "FCGI_MPXS_CONNS", "X",
		"FCGI_MAX_REQS", "FCGI_MAX_CONNS", NULL };

	ck_assert_str_eq(answer(none), "");
	ck_assert_str_eq(answer(unknown), "");
	ck_assert_str_eq(answer(one), "FCGI_MPXS_CONNS=0 ");
	ck_assert_str_eq(answer(all),
	    "FCGI_MAX_CONNS=4294967295 FCGI_MAX_REQS=4294967295 "
	    "FCGI_MPXS_CONNS=0 ");
}
END_TEST

START_TEST(test_a_thousand_names_are_answered_once_each)
{
	static const char *const known[] = { "FCGI_MAX_CONNS", "FCGI_MAX_REQS",
		"FCGI_MPXS_CONNS", "FCGI_OTHER" };
	const char *names[1001];

	for (int i = 0; i < 1000; i++)
		names[i] = known[i % 4];
	names[1000] = NULL;
	ck_assert_str_eq(answer(names),
	    "FCGI_MAX_CONNS=4294967295 FCGI_MAX_REQS=4294967295 "
	    "FCGI_MPXS_CONNS=0 ");
	names[4] = NULL; /* the four that abort libfcgi 2.4.2 */
	ck_assert_str_ne(answer(names), "");
}
END_TEST

START_TEST(test_malformed_values_are_refused)
{
	unsigned char out[RECORD_VALUES_MOST];
	size_t n = put_pair(space, "FCGI_MAX_CONNS", 0, "", 0);

	for (size_t cut = 1; cut < n; cut++)
		ck_assert_int_eq(record_values_answer(space, cut, 1, out), -1);
	n += put_length(space + n, 200, 1);
	ck_assert_int_eq(record_values_answer(space, n, 1, out), -1);
}
END_TEST

SUITE("record", test_a_head_is_put_as_the_specification_says,
    test_an_end_is_put_as_the_specification_says,
    test_a_head_is_read_with_every_field, test_every_padding_is_skipped,
    test_a_record_cut_anywhere_wants_more,
    test_empty_and_largest_records_are_records,
    test_another_version_is_refused_by_its_first_byte,
    test_lengths_of_one_and_four_bytes_in_every_combination,
    test_lengths_around_127_and_in_the_upper_bytes,
    test_a_pair_beyond_the_limit_is_refused_before_it_is_there,
    test_values_are_told_for_known_names_only_and_in_order,
    test_a_thousand_names_are_answered_once_each,
    test_malformed_values_are_refused);
