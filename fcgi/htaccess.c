#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/htaccess.h"
#include "lib/xalloc.h"

#define HTACCESS_KEPT                                                     \
	HTACCESS_BEGIN " (\"mamayo install\" writes this part, and only " \
		       "this)\n"

/* The line that begins so, from there on; NULL if there is none. */
static const char *
htaccess_line(const char *text, const char *mark)
{
	size_t n = strlen(mark);

	while (strncmp(text, mark, n) != 0) {
		text = strchr(text, '\n');
		if (text == NULL)
			return NULL;
		text++;
	}
	return text;
}

/* Where our part begins and ends: both at the end of the text if it has none.
 * -1 with the reason. */
static int
htaccess_find(
    const char *text, const char **begin, const char **end, struct problem *why)
{
	const char *close;

	*begin = htaccess_line(text, HTACCESS_BEGIN);
	close = htaccess_line(*begin != NULL ? *begin : text, HTACCESS_END);
	if (*begin == NULL && close == NULL) {
		*begin = *end = text + strlen(text);
		return 0;
	}
	if (*begin == NULL || close == NULL)
		return problem_set(why,
		    "has a line \"%s\" without its \"%s\": remove what is left "
		    "of mamayo's part by hand",
		    *begin != NULL ? HTACCESS_BEGIN : HTACCESS_END,
		    *begin != NULL ? HTACCESS_END : HTACCESS_BEGIN);
	*end = strchr(close, '\n');
	*end = *end != NULL ? *end + 1 : close + strlen(close);
	return 0;
}

char *
htaccess_put(const char *text, const char *part, struct problem *why)
{
	const char *begin, *end, *gap = "";

	if (htaccess_find(text, &begin, &end, why) == -1)
		return NULL;
	if (begin == end && begin > text)
		gap = begin[-1] == '\n' ? "\n" : "\n\n";
	return xprintf("%.*s%s" HTACCESS_KEPT "%s" HTACCESS_END "\n%s",
	    (int)(begin - text), text, gap, part, end);
}

char *
htaccess_take(const char *text, struct problem *why)
{
	const char *begin, *end;

	if (htaccess_find(text, &begin, &end, why) == -1)
		return NULL;
	if (begin < end && begin - text >= 2 && begin[-1] == '\n' &&
	    begin[-2] == '\n')
		begin--; /* the gap that was put before it */
	return xprintf("%.*s%s", (int)(begin - text), text, end);
}

int
htaccess_has(const char *text)
{
	return htaccess_line(text, HTACCESS_BEGIN) != NULL;
}
