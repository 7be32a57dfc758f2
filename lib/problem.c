#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/problem.h"

int
problem_set(struct problem *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(p->text, sizeof p->text, fmt, ap) < 0)
		p->text[0] = '\0';
	va_end(ap);
	return -1;
}

int
problem_sys(struct problem *p, const char *fmt, ...)
{
	int saved = errno;
	size_t used;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(p->text, sizeof p->text, fmt, ap) < 0)
		p->text[0] = '\0';
	va_end(ap);
	used = strlen(p->text);
	snprintf(
	    p->text + used, sizeof p->text - used, ": %s", strerror(saved));
	errno = saved;
	return -1;
}
