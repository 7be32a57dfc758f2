#include "config.h"

#include <fastcgi.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/record.h"
#include "fcgi/reply.h"
#include "lib/utf8.h"
#include "t/fuzz/fuzz.h"

/*
 * A page as an answer: status, seconds, flags and its texts. What comes out is
 * whole records, exactly our headers, and a page in which only our own tags
 * are tags.
 */
#define PAGE_MOST 4096 /* promised for a page without detail */

/* The answer's bytes without their records. */
static char *
content(const unsigned char *in, size_t n, uint16_t id, size_t *length)
{
	char *text = malloc(n + 1);
	struct record r;
	size_t at = 0;
	long used;

	CHECK(text != NULL);
	*length = 0;
	do {
		used = record_take(in + at, n - at, &r);
		CHECK(used > 0 && r.request_id == id);
		CHECK(r.type == FCGI_STDOUT);
		memcpy(text + *length, r.content, r.length);
		*length += r.length;
		at += (size_t)used;
	} while (r.length > 0);
	text[*length] = '\0';
	used = record_take(in + at, n - at, &r);
	CHECK(used == RECORD_END && r.request_id == id);
	CHECK(r.type == FCGI_END_REQUEST && at + RECORD_END == n);
	CHECK(memcmp(r.content, "\0\0\0\0\0\0\0\0", 8) == 0);
	return text;
}

/* Takes a line from *at; gives what follows if it is the header wanted. */
static const char *
header(char **at, const char *name)
{
	size_t n = strlen(name);
	char *line = *at, *end = strstr(line, "\r\n");

	CHECK(end != NULL && strncmp(line, name, n) == 0);
	CHECK(strncmp(line + n, ": ", 2) == 0);
	*end = '\0';
	*at = end + 2;
	CHECK(strpbrk(line, "\r\n") == NULL);
	return line + n + 2;
}

/* Exactly these, in this order; gives where the page begins. */
static char *
check_headers(char *at, const struct page *page, size_t *length)
{
	char status[16];

	snprintf(status, sizeof status, "%d ", page->status);
	CHECK(strncmp(header(&at, "Status"), status, strlen(status)) == 0);
	CHECK(strcmp(header(&at, "Content-Type"), "text/html; charset=utf-8") ==
	      0);
	*length = strtoul(header(&at, "Content-Length"), NULL, 10);
	header(&at, "Cache-Control");
	header(&at, "X-Content-Type-Options");
	if (page->code != NULL)
		header(&at, "X-Mamayo-Error");
	if (page->retry_after > 0)
		CHECK(atoi(header(&at, "Retry-After")) == page->retry_after);
	CHECK(strncmp(at, "\r\n", 2) == 0);
	return at + 2;
}

/* Text that a person may be shown, and no tag but ours. */
static void
check_page(const char *at, int has_detail)
{
	static const char *const tags[] = { "!doctype", "html", "meta", "style",
		"/style", "title", "/title", "main", "/main", "h1", "/h1", "p",
		"/p", "pre", "/pre", "code", "/code" };
	size_t n = strlen(at), taken, i, length;

	CHECK(has_detail || n <= PAGE_MOST);
	for (; n > 0; at += taken, n -= taken) {
		taken = utf8_shown(at, n);
		CHECK(taken > 0 || *at == '\n' || (*at == '\t' && has_detail));
		if (taken == 0)
			taken = 1;
		if (*at != '<')
			continue;
		length = strcspn(at + 1, " >");
		for (i = 0; i < sizeof tags / sizeof tags[0]; i++)
			if (strlen(tags[i]) == length &&
			    strncmp(at + 1, tags[i], length) == 0)
				break;
		CHECK(i < sizeof tags / sizeof tags[0]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input in;
	struct page page = { 0 };
	size_t n, length, said;
	unsigned char *out;
	char *text, *at;
	uint16_t id;

	fuzz_begin(&in, bytes, size);
	page.status = 100 + (int)fuzz_number(&in) % 500;
	page.retry_after = (int)fuzz_byte(&in);
	page.head = (int)fuzz_byte(&in) & 1;
	id = (uint16_t)fuzz_number(&in);
	page.code = fuzz_optional(&in);
	page.title = fuzz_optional(&in);
	page.text = fuzz_optional(&in);
	page.detail = fuzz_optional(&in);
	page.reference = fuzz_optional(&in);
	CHECK((out = reply_make(&page, id, &n)) != NULL);
	text = content(out, n, id, &length);
	CHECK(strlen(text) == length);
	at = check_headers(text, &page, &said);
	CHECK(strlen(at) == (page.head ? 0 : said));
	check_page(at, page.detail != NULL);
	free(text);
	free(out);
	fuzz_end(&in);
	return 0;
}
