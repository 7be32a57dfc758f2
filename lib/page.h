#ifndef MAMAYO_PAGE_H
#define MAMAYO_PAGE_H

#include <stddef.h>

/*
 * page: a status and a sentence -> a CGI answer (headers and an HTML page).
 *
 * Every page of ours carries "X-Mamayo-Error: CODE" (but the welcome page), is
 * complete without script or outside resource, readable in light and dark and
 * at 320 pixels, and at most 4 kB. Everything that is not literal is escaped
 * for HTML here; control bytes become "?".
 */
struct page {
	int status;            /* 404 */
	const char *code;      /* "no-app"; NULL: no X-Mamayo-Error */
	const char *title;     /* "Not found" */
	const char *text;      /* one or two sentences for the visitor */
	const char *detail;    /* preformatted text for the owner, or NULL */
	const char *reference; /* "3f2a91bc", or NULL */
	int retry_after;       /* seconds, 0: no Retry-After */
	int head;              /* a HEAD request: headers only */
};

/* Gives malloced text of *length bytes: "Status: ...\r\n...\r\n\r\n<!doctype
 * html>...", Content-Length included. NULL without memory. detail is cut at
 * 64 KiB (only then may a page be longer than 4 kB). */
char *page_make(const struct page *, size_t *length);

#endif
