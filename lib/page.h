#ifndef MAMAYO_PAGE_H
#define MAMAYO_PAGE_H

#include <stddef.h>

/*
 * page: a status and a sentence -> a CGI answer (headers and an HTML page).
 *
 * Every page of ours carries "X-Mamayo-Error: CODE" (but the welcome page), is
 * complete without script or outside resource, readable in light and dark and
 * at 320 pixels, and at most 4 kB. How they look is in adapters/mamayo_page.py,
 * for fcgi/apology and the workers, too. Everything that is not literal is
 * escaped for HTML here; control bytes become "?".
 */

/* What visitors are told: nothing that only the owner understands. */
#define PAGE_DIED                                                              \
	"This page could not be made because of a fault in this site. Trying " \
	"again may help."
#define PAGE_LATE \
	"This page took too long to make. Please try again in a moment."
#define PAGE_BUSY                                                          \
	"Many people are using this site just now. Please try again in a " \
	"moment."
#define PAGE_STARTING \
	"This site is just starting. Please try again in a moment."
#define PAGE_SETUP "This site is being set up. Please try again in a moment."
#define PAGE_CANNOT_START                                                      \
	"This site has a fault and cannot be shown at the moment. Please try " \
	"again later."
#define PAGE_SHORT \
	"The server has too much to do at the moment. Please try again later."
#define PAGE_MISSING \
	"This site is not there at the moment. Please try again later."
#define PAGE_STOPPED "Its owner has taken this site off line for now."
#define PAGE_NOTHING "There is nothing at this address."

struct page {
	int status;            /* 404 */
	const char *code;      /* "no-app"; NULL: no X-Mamayo-Error */
	const char *title;     /* "Not found" */
	const char *text;      /* one or two sentences for the visitor */
	const char *detail;    /* preformatted text for the owner, or NULL */
	const char *app;       /* whose log has the reason, "" for mamayo's
				* own, or NULL */
	const char *reference; /* "3f2a91bc", or NULL */
	int retry_after;       /* seconds, 0: no Retry-After */
	int head;              /* a HEAD request: headers only */
};

/* Gives malloced text of *length bytes: "Status: ...\r\n...\r\n\r\n<!doctype
 * html>...", Content-Length included. NULL without memory. detail is cut at
 * 64 KiB (only then may a page be longer than 4 kB). */
char *page_make(const struct page *, size_t *length);

#endif
