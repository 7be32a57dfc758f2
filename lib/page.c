#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/page.h"
#include "lib/utf8.h"

#define PAGE_DETAIL_MOST (64 * 1024) /* bytes of detail that are shown */

/* How long a part may become on the page, so that all stays below 4 kB. */
#define PAGE_TITLE_MOST     128
#define PAGE_TEXT_MOST      1800
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

static const char head[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" "
    "content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"robots\" content=\"noindex\">\n"
    "<style>\n"
    ":root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2125; "
    "--soft: #59616a; --box: #f1f3f5 }\n"
    "@media (prefers-color-scheme: dark) { :root { --paper: #16191d; "
    "--ink: #e6e9ec; --soft: #a4adb7; --box: #22272d } }\n"
    "body { margin: 0; padding: 12vh 1.25rem 2rem; background: "
    "var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, "
    "sans-serif }\n"
    "main { max-width: 38rem; margin: 0 auto; overflow-wrap: anywhere }\n"
    "h1 { margin: 0 0 .75rem; font-size: 1.6rem; line-height: 1.25 }\n"
    "p { margin: 0 0 1rem }\n"
    ".soft { color: var(--soft); font-size: .875rem }\n"
    "pre { padding: 1rem; background: var(--box); font: .8125rem/1.45 "
    "ui-monospace, monospace; overflow: auto; white-space: pre-wrap }\n"
    "</style>\n";

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

	put_string(o, head);
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
	if (p->reference != NULL) {
		put_string(o, "<p class=\"soft\">Reference: <code>");
		put_escaped(o, p->reference, PAGE_REFERENCE_MOST, "");
		put_string(o, "</code></p>\n");
	}
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
