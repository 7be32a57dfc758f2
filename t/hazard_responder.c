#include "config.h"

#include <fcgiapp.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * An application as libfcgi's manual shows one, for t/1950-libfcgi-hazards.py:
 * what does the library make of input that is not nice? It answers with the
 * request's address and the size of its body, and says on standard error what
 * it does. An address with "unread" in it leaves the body unread.
 *
 * With an argument: what FCGX_OpenSocket does with that path.
 */
static void
serve(FCGX_Request *request)
{
	const char *uri = FCGX_GetParam("REQUEST_URI", request->envp);
	char piece[1024];
	int n, total = 0;

	if (uri == NULL)
		uri = "";
	fprintf(stderr, "begun %s\n", uri);
	if (strstr(uri, "unread") == NULL)
		while ((n = FCGX_GetStr(piece, sizeof piece, request->in)) > 0)
			total += n;
	fprintf(stderr, "called %s %d\n", uri, total);
	FCGX_FPrintF(request->out, "Content-Type: text/plain\r\n\r\n%s %d\n",
	    uri, total);
}

static int
open_socket(const char *path)
{
	struct stat st;
	int fd = FCGX_OpenSocket(path, 5);

	if (fd == -1) {
		puts("refused");
		return 0;
	}
	printf("cloexec %d\n", (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	if (stat(path, &st) == 0)
		printf("mode %03o\n", (unsigned)st.st_mode & 0777);
	return 0;
}

int
main(int argc, char **argv)
{
	FCGX_Request request;
	int result;

	if (FCGX_Init() != 0)
		return 1;
	if (argc > 1)
		return open_socket(argv[1]);
	if (FCGX_InitRequest(&request, 0, 0) != 0)
		return 1;
	while ((result = FCGX_Accept_r(&request)) == 0) {
		serve(&request);
		FCGX_Finish_r(&request);
	}
	fprintf(stderr, "accept: %d\n", result);
	return 0;
}
