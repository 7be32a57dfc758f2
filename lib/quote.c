#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/quote.h"
#include "lib/xalloc.h"

static int
is_plain(const char *word)
{
	return *word != '\0' &&
	       word[strspn(word,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789/._@:+-")] == '\0';
}

void
quote_into(char *out, size_t size, const char *word)
{
	size_t n = 0, part;

	if (is_plain(word)) {
		snprintf(out, size, "%s", word);
		return;
	}
	out[n++] = '\'';
	for (; *word != '\0'; word++) {
		part = *word == '\'' ? 4 : 1;
		if (size - n < part + 2)
			break;
		if (*word == '\'') {
			memcpy(out + n, "'\\'", 3);
			n += 3;
		}
		out[n++] = *word;
	}
	out[n++] = '\'';
	out[n] = '\0';
}

char *
quote_word(const char *word)
{
	size_t size = strlen(word);
	char *out = xcalloc(size + 1, 4);

	quote_into(out, 4 * (size + 1), word);
	return out;
}
