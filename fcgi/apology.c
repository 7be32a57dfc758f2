#include "config.h"

#include <fcgiapp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "adapters/page_head.h"
#include "fcgi/apology.h"

#define APOLOGY_MOST 4096

/* The sentence may name paths and users: text, not markup. */
static void
apology_escape(char *out, size_t size, const char *text)
{
	const char *as;
	size_t n = 0, length;
	char one[2] = { 0, 0 };

	for (; *text != '\0'; text++) {
		one[0] =
		    (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text;
		as = *text == '<'   ? "&lt;"
		     : *text == '>' ? "&gt;"
		     : *text == '&' ? "&amp;"
		     : *text == '"' ? "&quot;"
				    : one;
		length = strlen(as);
		if (n + length + 1 > size)
			break;
		memcpy(out + n, as, length);
		n += length;
	}
	out[n] = '\0';
}

static int
apology_page(
    char *out, size_t size, int status, const char *code, const char *text)
{
	char escaped[APOLOGY_MOST / 2];

	apology_escape(escaped, sizeof escaped, text);
	return snprintf(out, size,
	    "Status: %d mamayo does not serve\r\n"
	    "Content-Type: text/html; charset=utf-8\r\n"
	    "Cache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "X-Mamayo-Error: %s\r\n\r\n"
	    "%s<title>Not available just now</title>\n"
	    "<main>\n<h1>Not available just now</h1>\n"
	    "<p>This site cannot be shown at the moment.</p>\n"
	    "<p class=\"soft\">If it is yours: %s.</p>\n</main>\n",
	    status, code, page_head, escaped);
}

static volatile sig_atomic_t is_told; /* to end */

static void
apology_told(int signo)
{
	(void)signo;
	is_told = 1;
	FCGX_ShutdownPending();
}

int
apology_serve(
    int status, const char *code, const char *text, int (*is_outdated)(void))
{
	char page[APOLOGY_MOST];
	int n = apology_page(page, sizeof page, status, code, text);
	struct sigaction told = { .sa_handler = apology_told };
	FCGX_Request request;

	if (n < 0 || (size_t)n >= sizeof page)
		n = (int)strlen(page);
	if (FCGX_IsCGI()) {
		fwrite(page, 1, (size_t)n, stdout);
		fflush(stdout);
		return 1;
	}
	if (FCGX_Init() != 0 ||
	    FCGX_InitRequest(&request, 0, FCGI_FAIL_ACCEPT_ON_INTR) != 0)
		return 1;
	sigemptyset(&told.sa_mask);
	/* libfcgi's own handler would stay when we have gone on */
	(void)sigaction(SIGTERM, &told, NULL);
	while (FCGX_Accept_r(&request) == 0) {
		FCGX_PutStr(page, n, request.out);
		FCGX_Finish_r(&request);
		if (is_outdated != NULL && is_outdated()) {
			FCGX_Free(&request, 1); /* a kept connection */
			(void)signal(SIGTERM, SIG_DFL);
			return is_told;
		}
	}
	return 1;
}
