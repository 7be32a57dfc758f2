#include "config.h"

#include <string.h>

#include "lib/quote.h"
#include "lib/xalloc.h"

char *
quote_word(const char *word)
{
	size_t n = 0;
	char *out;

	if (*word != '\0' &&
	    word[strspn(word,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789/._@:+-")] == '\0')
		return xstrdup(word);
	out = xcalloc(strlen(word) + 1, 4);
	out[n++] = '\'';
	for (; *word != '\0'; word++) {
		if (*word == '\'') {
			memcpy(out + n, "'\\'", 3);
			n += 3;
		}
		out[n++] = *word;
	}
	out[n] = '\'';
	return out;
}
