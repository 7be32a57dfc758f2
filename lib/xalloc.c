#include "config.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/xalloc.h"

/* Nothing here may need memory, so neither stdio nor the log is asked. */
static _Noreturn void
out_of_memory(void)
{
	static const char text[] = "mamayo: out of memory\n";
	ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);

	(void)written; /* nothing is left to be done about it */
	_exit(1);
}

void *
xcalloc(size_t count, size_t size)
{
	void *p;

	if (count == 0 || size == 0)
		count = size = 1;
	if (count > SIZE_MAX / size || (p = calloc(count, size)) == NULL)
		out_of_memory();
	return p;
}

void *
xrealloc(void *old, size_t count, size_t size)
{
	void *p;

	if (count == 0 || size == 0)
		count = size = 1;
	if (count > SIZE_MAX / size)
		out_of_memory();
	if ((p = realloc(old, count * size)) == NULL)
		out_of_memory();
	return p;
}

char *
xstrdup(const char *text)
{
	return xstrndup(text, SIZE_MAX);
}

char *
xstrdup_or_null(const char *text)
{
	return text == NULL ? NULL : xstrdup(text);
}

char *
xstrndup(const char *text, size_t most)
{
	size_t n = 0;
	char *copy;

	while (n < most && text[n] != '\0')
		n++;
	copy = xcalloc(n + 1, 1);
	memcpy(copy, text, n);
	return copy;
}

char **
xstrvdup(const char *const *strings)
{
	size_t n = 0;
	char **copy;

	if (strings == NULL)
		return NULL;
	while (strings[n] != NULL)
		n++;
	copy = xcalloc(n + 1, sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(strings[i]);
	return copy;
}

void
xstrvfree(char **strings)
{
	for (size_t i = 0; strings != NULL && strings[i] != NULL; i++)
		free(strings[i]);
	free(strings);
}

char *
xprintf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(); /* a text of 2 GiB */
	text = xcalloc((size_t)n + 1, 1);
	va_start(ap, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return text;
}
