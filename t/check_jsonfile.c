#include "config.h"

#include <string.h>
#include <unistd.h>

#include "lib/jsonfile.h"
#include "t/check.h"
#include "t/scene.h"

#define MOST 1000

static struct jsonfile file;
static struct problem why;

static int
read_text(const char *text)
{
	jsonfile_release(&file);
	memset(&why, 0, sizeof why);
	scene_write("x.json", text);
	return jsonfile_read(&file, "x.json", MOST, &why);
}

static void
begin(void)
{
	scene_enter();
	memset(&file, 0, sizeof file);
}

static void
end(void)
{
	jsonfile_release(&file);
	jsonfile_release(&file);
	ck_assert_ptr_null(file.root);
	scene_leave();
}

START_TEST(test_an_object_is_read_with_its_text)
{
	begin();
	ck_assert_int_eq(read_text("{\"a\": 1}\n"), 0);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(file.root, "a")), 1);
	ck_assert_uint_eq(file.length, 9);
	ck_assert_int_eq(
	    jsonfile_read(&(struct jsonfile){ 0 }, "absent", MOST, &why), 1);
	end();
}
END_TEST

START_TEST(test_what_is_no_object_is_an_error_with_a_place)
{
	begin();
	ck_assert_int_eq(read_text("{\"a\":\n 1,}"), -1);
	ck_assert_str_eq(
	    why.text, "x.json:2:4: string or '}' expected near '}'");
	ck_assert_ptr_null(file.text);
	ck_assert_int_eq(read_text("[1]"), -1);
	ck_assert_str_eq(why.text,
	    "x.json:1: there must be one object, such as {\"timeout\": 60}");
	ck_assert_int_eq(read_text("{\"a\": 1, \"a\": 2}"), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "duplicate object key"));
	end();
}
END_TEST

START_TEST(test_a_file_may_be_as_long_as_its_limit)
{
	char text[MOST + 2];

	begin();
	memset(text, ' ', sizeof text);
	memcpy(text, "{}", 2);
	text[MOST] = '\0';
	ck_assert_int_eq(read_text(text), 0);
	ck_assert_uint_eq(file.length, MOST);
	text[MOST] = ' ';
	text[MOST + 1] = '\0';
	ck_assert_int_eq(read_text(text), -1);
	ck_assert_str_eq(
	    why.text, "x.json: the file is larger than 1000 bytes");
	end();
}
END_TEST

START_TEST(test_the_line_is_found_at_the_right_depth)
{
	begin();
	ck_assert_int_eq(read_text("{\"b\": {\"a\": \"a\"},\n"
				   "\"c\": [{\"a\": 1},\n"
				   "{\"b\": {\"d\": 1}}],\n"
				   "\"a\" : {\"b\": 1,\n"
				   "\"x\\\\\\\"{\": \"}\\\"\",\n"
				   "\"\\u0064\": 1}}"),
	    0);
	ck_assert_int_eq(jsonfile_line(&file, NULL, "b"), 1);
	ck_assert_int_eq(jsonfile_line(&file, NULL, "c"), 2);
	ck_assert_int_eq(jsonfile_line(&file, NULL, "a"), 4);
	ck_assert_int_eq(jsonfile_line(&file, "b", "a"), 1);
	ck_assert_int_eq(jsonfile_line(&file, "a", "b"), 4);
	ck_assert_int_eq(jsonfile_line(&file, "a", "x\\\"{"), 5);
	ck_assert_int_eq(jsonfile_line(&file, "a", "d"), 6);
	ck_assert_int_eq(jsonfile_line(&file, NULL, "absent"), 1);
	ck_assert_int_eq(jsonfile_line(&file, "c", "a"), 1);
	end();
}
END_TEST

START_TEST(test_a_complaint_is_one_line_with_file_line_and_key)
{
	begin();
	ck_assert_int_eq(read_text("{\n\"a\": {\"b\\n\": 1}}"), 0);
	ck_assert_int_eq(
	    jsonfile_complain(&file, &why, NULL, "a", "must be %d", 5), -1);
	ck_assert_str_eq(why.text, "x.json:2: \"a\" must be 5");
	jsonfile_complain(&file, &why, "a", "b\n", "is %s", "\x1b");
	ck_assert_str_eq(why.text, "x.json:2: \"a.b\\x0a\" is \\x1b");
	end();
}
END_TEST

static void
shows(const char *text, const char *expected)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	char out[64];

	ck_assert_str_eq(jsonfile_value(value, out, sizeof out), expected);
	json_decref(value);
}

START_TEST(test_a_value_is_shown_short)
{
	shows("5", "5");
	shows("\"x\"", "\"x\"");
	shows("null", "null");
	shows("true", "true");
	shows("{\"a\": 1}", "an object");
	shows("[1, 2]", "a list");
	shows("\"0123456789012345678901234567890123456789\"",
	    "\"012345678901234567890123456789012345678...");
}
END_TEST

SUITE("jsonfile", test_an_object_is_read_with_its_text,
    test_what_is_no_object_is_an_error_with_a_place,
    test_a_file_may_be_as_long_as_its_limit,
    test_the_line_is_found_at_the_right_depth,
    test_a_complaint_is_one_line_with_file_line_and_key,
    test_a_value_is_shown_short);
