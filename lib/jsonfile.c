#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jsonfile.h"
#include "lib/log.h"
#include "lib/whole.h"

#define PATH_SHOWN 200 /* bytes of a path in a sentence: its end */

/* Always -1. Line 0: it is about the whole file. */
static int
fail(const struct jsonfile *f, struct problem *why, int line, int column,
    const char *sentence)
{
	size_t n = strlen(f->path);
	const char *cut = n > PATH_SHOWN ? "..." : "";
	const char *path = n > PATH_SHOWN ? f->path + n - PATH_SHOWN : f->path;
	char shown[400];

	log_escape(shown, sizeof shown, sentence, strlen(sentence));
	if (line == 0)
		return problem_set(why, "%s%s: %s", cut, path, shown);
	if (column == 0)
		return problem_set(why, "%s%s:%d: %s", cut, path, line, shown);
	return problem_set(
	    why, "%s%s:%d:%d: %s", cut, path, line, column, shown);
}

static int
parse(struct jsonfile *f, struct problem *why)
{
	json_error_t error;

	if (f->length >= 3 && memcmp(f->text, "\xef\xbb\xbf", 3) == 0) {
		f->length -= 3; /* the mark some editors put before UTF-8 */
		memmove(f->text, f->text + 3, f->length);
	}
	f->root =
	    json_loadb(f->text, f->length, JSON_REJECT_DUPLICATES, &error);
	if (f->root == NULL)
		return fail(f, why, error.line, error.column, error.text);
	if (!json_is_object(f->root))
		return fail(f, why, 1, 0,
		    "there must be one object, such as {\"timeout\": 60}");
	return 0;
}

/* Why it could not be read. 1: there is none. */
static int
fail_to_read(
    const struct jsonfile *f, size_t most, int error, struct problem *why)
{
	char sentence[80];

	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return 1;
	case ELOOP:
		return fail(f, why, 0, 0,
		    "this is a symbolic link, which is not followed");
	case EINVAL:
		return fail(f, why, 0, 0, "this is not a regular file");
	case EFBIG:
		snprintf(sentence, sizeof sentence,
		    "the file is larger than %zu bytes", most);
		return fail(f, why, 0, 0, sentence);
	default:
		return fail(f, why, 0, 0, strerror(error));
	}
}

int
jsonfile_read(
    struct jsonfile *f, const char *path, size_t most, struct problem *why)
{
	int result;

	memset(f, 0, sizeof *f);
	f->path = path;
	f->text = whole_read(AT_FDCWD, path, most, &f->length);
	if (f->text == NULL)
		return fail_to_read(f, most, errno, why);
	result = parse(f, why);
	if (result == -1)
		jsonfile_release(f);
	return result;
}

void
jsonfile_release(struct jsonfile *f)
{
	json_decref(f->root);
	free(f->text);
	memset(f, 0, sizeof *f);
}

/* Is the string literal at text, quotes included, this key? */
static int
literal_is(const char *text, size_t n, const char *key)
{
	json_t *literal = json_loadb(text, n, JSON_DECODE_ANY, NULL);
	const char *value = json_string_value(literal);
	int same = value != NULL && strcmp(value, key) == 0;

	json_decref(literal);
	return same;
}

/* Bytes of the string literal at text, which is whole. */
static size_t
literal_length(const char *text)
{
	size_t n = 1;

	while (text[n] != '"')
		n += text[n] == '\\' ? 2 : 1;
	return n + 1;
}

/* The text is JSON, so behind a string only a key has a colon. */
static int
is_key(const char *after, const char *end)
{
	while (after < end && strchr(" \t\r\n", *after) != NULL)
		after++;
	return after < end && *after == ':';
}

int
jsonfile_line(const struct jsonfile *f, const char *parent, const char *key)
{
	const char *c, *end = f->text + f->length;
	int line = 1, depth = 0, at = parent == NULL ? 1 : 2;
	int in_parent = parent == NULL;
	size_t n;

	for (c = f->text; c < end; c++) {
		if (*c == '\n')
			line++;
		else if (*c == '{' || *c == '[')
			depth++;
		else if (*c == '}' || *c == ']')
			depth--;
		if (*c != '"')
			continue;
		n = literal_length(c);
		if (is_key(c + n, end)) {
			if (depth == at && in_parent && literal_is(c, n, key))
				return line;
			if (depth == 1 && parent != NULL)
				in_parent = literal_is(c, n, parent);
		}
		c += n - 1;
	}
	return 1;
}

int
jsonfile_complain(const struct jsonfile *f, struct problem *why,
    const char *parent, const char *key, const char *fmt, ...)
{
	char said[256], sentence[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof said, fmt, ap);
	va_end(ap);
	snprintf(sentence, sizeof sentence, "\"%.60s%s%.60s\" %s",
	    parent == NULL ? "" : parent, parent == NULL ? "" : ".", key, said);
	return fail(f, why, jsonfile_line(f, parent, key), 0, sentence);
}

const char *
jsonfile_value(const json_t *value, char *out, size_t size)
{
	char *text;

	if (json_is_object(value))
		return "an object";
	if (json_is_array(value))
		return "a list";
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	if (text == NULL)
		return "something else";
	snprintf(out, size, "%.40s%s", text, strlen(text) > 40 ? "..." : "");
	free(text);
	return out;
}
