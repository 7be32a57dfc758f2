#include "config.h"

#include <fastcgi.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/record.h"
#include "fcgi/reply.h"

#define REPLY_PIECE 32768 /* bytes of content in one record */

static const struct {
	int status;
	const char *title;
} titles[] = {
	{ 400, "This request is not understood" },
	{ 404, "Not found" },
	{ 408, "This took too long to arrive" },
	{ 431, "This request is too large" },
	{ 500, "Something went wrong" },
	{ 502, "Something went wrong here" },
	{ 503, "Not available just now" },
	{ 504, "This takes too long" },
};

static const char *
reply_title(int status)
{
	for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "mamayo";
}

unsigned char *
reply_make(const struct page *page, uint16_t id, size_t *length)
{
	struct page titled = *page;
	unsigned char *out, *at;
	size_t n, left, piece, records;
	char *text;

	if (titled.title == NULL)
		titled.title = reply_title(page->status);
	if ((text = page_make(&titled, &n)) == NULL)
		return NULL;
	records = n / REPLY_PIECE + 2;
	out = at = malloc(n + records * RECORD_HEAD + RECORD_END);
	if (out == NULL) {
		free(text);
		return NULL;
	}
	for (left = n; left > 0; left -= piece) {
		piece = left < REPLY_PIECE ? left : REPLY_PIECE;
		record_put_head(at, FCGI_STDOUT, id, (uint16_t)piece, 0);
		memcpy(at + RECORD_HEAD, text + (n - left), piece);
		at += RECORD_HEAD + piece;
	}
	record_put_head(at, FCGI_STDOUT, id, 0, 0);
	at += RECORD_HEAD;
	record_put_end(at, id, 0, FCGI_REQUEST_COMPLETE);
	at += RECORD_END;
	free(text);
	*length = (size_t)(at - out);
	return out;
}
