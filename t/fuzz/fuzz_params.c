#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/params.h"
#include "lib/wire.h"
#include "t/fuzz/fuzz.h"

/* Lines of "name:value"; what has no colon is a name with an empty value. */

static void
check_form(const struct params *p)
{
	const char *at = p->text;

	CHECK(p->length <= WIRE_PARAMS_MOST && p->n <= PARAMS_COUNT_MOST);
	for (size_t i = 0; i < p->n; i++) {
		CHECK(p->list[i].name == (size_t)(at - p->text));
		CHECK(*at != '\0' && strlen(at) <= PARAMS_NAME_MOST);
		CHECK(strchr(at, '=') == NULL);
		at += strlen(at) + 1;
		CHECK(p->list[i].value == (size_t)(at - p->text));
		CHECK(p->list[i].value_length == strlen(at));
		CHECK(strlen(at) <= PARAMS_VALUE_MOST);
		at += strlen(at) + 1;
	}
	CHECK(p->n == 0 || p->length == (size_t)(at - p->text));
}

static size_t
count(const struct params *p, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += strcmp(p->text + p->list[i].name, name) == 0;
	return n;
}

static void
check_settled(const struct params *p)
{
	static const char *const never[] = { "HTTP_PROXY",
		"HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_LENGTH",
		"HTTP_CONTENT_TYPE", "HTTP_CONNECTION", "HTTP_KEEP_ALIVE",
		"HTTP_TE", "HTTP_TRAILER", "HTTP_UPGRADE" };
	static const char *const always[] = { "REQUEST_METHOD", "SERVER_NAME",
		"SERVER_PORT", "SERVER_PROTOCOL", "QUERY_STRING" };
	const char *length = params_get(p, "CONTENT_LENGTH");

	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
		CHECK(count(p, never[i]) == 0);
	for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
		CHECK(count(p, always[i]) == 1);
		CHECK(*params_get(p, always[i]) != '\0' || i == 4);
	}
	for (size_t i = 0; i < p->n; i++) /* is the last of its name */
		CHECK(params_get(p, p->text + p->list[i].name) ==
		      p->text + p->list[i].value);
	CHECK(length == NULL ||
	      (*length != '\0' &&
		  strspn(length, "0123456789") == strlen(length)));
}

/* Settling what is settled changes nothing. */
static void
check_again(struct params *p)
{
	struct problem why;
	size_t n = p->n, length = p->length;
	char *copy = malloc(length);

	CHECK(copy != NULL);
	memcpy(copy, p->text, length);
	CHECK(params_settle(p, &why) == PARAMS_OK);
	CHECK(p->n == n && p->length == length);
	for (size_t at = 0; at < length; at += strlen(copy + at) + 1) {
		const char *name = copy + at;

		at += strlen(name) + 1;
		CHECK(strcmp(params_get(p, name), copy + at) == 0);
	}
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	const char *at = (const char *)in, *end = at + n, *line, *colon;
	struct problem why = { "" };
	struct params p;
	size_t had;

	params_init(&p);
	for (; at < end; at = line + 1) {
		line = memchr(at, '\n', (size_t)(end - at));
		line = line == NULL ? end : line;
		colon = memchr(at, ':', (size_t)(line - at));
		colon = colon == NULL ? line : colon;
		(void)params_add(&p, at, (size_t)(colon - at), colon + 1,
		    colon == line ? 0 : (size_t)(line - colon - 1));
	}
	check_form(&p);
	had = p.n;
	if (params_settle(&p, &why) == PARAMS_OK) {
		check_form(&p);
		check_settled(&p);
		check_again(&p);
	} else {
		CHECK(p.n == had && why.text[0] != '\0');
		for (const char *c = why.text; *c != '\0'; c++)
			CHECK((unsigned char)*c >= ' ');
		check_form(&p);
	}
	params_release(&p);
	return 0;
}
