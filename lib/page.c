#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/page_head.h"
#include "lib/page.h"
#include "lib/quote.h"
#include "lib/utf8.h"

#define PAGE_DETAIL_MOST (64 * 1024) /* bytes of detail that are shown */

/* How long a part may become on the page, so that all stays below 4 kB. */
#define PAGE_TITLE_MOST     128
#define PAGE_TEXT_MOST      1500
#define PAGE_APP_MOST       200
#define PAGE_REFERENCE_MOST 64

/* Text that grows; after a failed allocation it stays as it is. */
struct out {
	char *text;
	size_t n, room;
	int failed;
};

static void
put(struct out *o, const char *text, size_t n)
{
	size_t room = o->room ? o->room : 4096;
	char *grown;

	if (o->failed)
		return;
	while (room - o->n < n)
		room *= 2; /* ends: details are at most some 400 kB, escaped */
	if (room != o->room) {
		if ((grown = realloc(o->text, room)) == NULL) {
			o->failed = 1;
			return;
		}
		o->text = grown;
		o->room = room;
	}
	memcpy(o->text + o->n, text, n);
	o->n += n;
}

static void
put_string(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void
put_line(struct out *o, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof line)
		o->failed = 1;
	else
		put(o, line, (size_t)n);
}

/* Escaped for HTML, cut where it would pass `most` bytes. `keep`: which
 * control bytes stay. */
static void
put_escaped(struct out *o, const char *text, size_t most, const char *keep)
{
	const char *shown, *end = text + strlen(text);
	size_t n, taken, used = 0;

	for (; text < end; text += taken) {
		n = taken = utf8_shown(text, (size_t)(end - text));
		shown = text;
		if (*text == '&')
			shown = "&amp;";
		else if (*text == '<')
			shown = "&lt;";
		else if (*text == '>')
			shown = "&gt;";
		else if (*text == '"')
			shown = "&quot;";
		else if (n == 0 && strchr(keep, *text) == NULL)
			shown = "?";
		if (taken == 0)
			n = taken = 1;
		if (shown != text)
			n = strlen(shown);
		if (n > most - used) {
			put_string(o, "\xe2\x80\xa6");
			return;
		}
		put(o, shown, n);
		used += n;
	}
}

/* The name as a shell takes it for one word. One that is too long becomes so
 * only beyond what is shown, so that it is seen to be cut. */
static void
put_word(struct out *o, const char *name)
{
	char word[PAGE_APP_MOST + 8];

	quote_into(word, sizeof word, name);
	put_escaped(o, word, PAGE_APP_MOST, "");
}

/* What is for the owner, who knows what it means. */
static void
put_owner(struct out *o, const struct page *p)
{
	if (p->app == NULL && p->reference == NULL)
		return;
	put_string(o, "<p class=\"soft\">");
	if (p->app != NULL) {
		put_string(o, "Is this site yours? <code>mamayo logs");
		if (*p->app != '\0') {
			put_string(o, " ");
			put_word(o, p->app);
		}
		put_string(o, "</code> says why.");
	}
	if (p->reference != NULL) {
		if (p->app != NULL)
			put_string(o, " ");
		put_string(o, "Reference: <code>");
		put_escaped(o, p->reference, PAGE_REFERENCE_MOST, "");
		put_string(o, "</code>");
	}
	put_string(o, "</p>\n");
}

/* The end of a traceback says most: of what is too long the end stays. */
static const char *
detail_end(const char *detail)
{
	size_t n = strlen(detail);

	if (n <= PAGE_DETAIL_MOST)
		return detail;
	detail += n - PAGE_DETAIL_MOST;
	while (((unsigned char)*detail & 0xc0) == 0x80)
		detail++; /* not inside a character */
	return detail;
}

static void
put_page(struct out *o, const struct page *p)
{
	const char *title = p->title == NULL ? "" : p->title;
	const char *detail;

	put_string(o, page_head);
	put_string(o, "<title>");
	put_escaped(o, title, PAGE_TITLE_MOST, "");
	put_string(o, "</title>\n<main>\n<h1>");
	put_escaped(o, title, PAGE_TITLE_MOST, "");
	put_string(o, "</h1>\n<p>");
	put_escaped(o, p->text == NULL ? "" : p->text, PAGE_TEXT_MOST, "\n");
	put_string(o, "</p>\n");
	if (p->detail != NULL) {
		detail = detail_end(p->detail);
		put_string(o, "<pre>\n");
		if (detail != p->detail)
			put_string(o, "\xe2\x80\xa6\n");
		put_escaped(o, detail, (size_t)-1, "\n\t");
		put_string(o, "</pre>\n");
	}
	put_owner(o, p);
	put_string(o, "</main>\n");
}

/* The words of a status line (RFC 9110, RFC 6585). */
static const char *
reason(int status)
{
	static const struct {
		int status;
		const char *words;
	} known[] = {
		{ 200, "OK" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 413, "Content Too Large" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};
	size_t i;

	for (i = 0; i < sizeof known / sizeof known[0]; i++)
		if (known[i].status == status)
			return known[i].words;
	return "Error";
}

char *
page_make(const struct page *p, size_t *length)
{
	struct out o = { 0 }, body = { 0 };

	put_page(&body, p);
	put_line(&o, "Status: %d %s\r\n", p->status, reason(p->status));
	put_line(&o, "Content-Type: text/html; charset=utf-8\r\n");
	put_line(&o, "Content-Length: %zu\r\n", body.n);
	put_line(&o, "Cache-Control: no-store\r\n");
	put_line(&o, "X-Content-Type-Options: nosniff\r\n");
	if (p->code != NULL) {
		put_string(&o, "X-Mamayo-Error: ");
		put_escaped(&o, p->code, PAGE_REFERENCE_MOST, "");
		put_string(&o, "\r\n");
	}
	if (p->retry_after > 0)
		put_line(&o, "Retry-After: %d\r\n", p->retry_after);
	put_string(&o, "\r\n");
	if (!p->head)
		put(&o, body.text, body.n);
	if (body.failed || o.failed) {
		free(o.text);
		o.text = NULL;
	}
	free(body.text);
	*length = o.text == NULL ? 0 : o.n;
	return o.text;
}
