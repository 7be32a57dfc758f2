/*
 * usage: limit THREADS
 *
 * The same answers from C, with libfcgi and nothing else: no server of Python
 * programs behind the same web server can cost less.
 */
#include <fcgiapp.h>
#include <pthread.h>
#include <stdlib.h>

static void *
serve(void *unused)
{
	FCGX_Request request;

	(void)unused;
	FCGX_InitRequest(&request, 0, 0);
	while (FCGX_Accept_r(&request) >= 0) {
		FCGX_PutS("Content-Type: text/plain\r\n"
			  "Content-Length: 12\r\n\r\n"
			  "Hello world\n",
		    request.out);
		FCGX_Finish_r(&request);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t thread;

	FCGX_Init();
	while (--threads > 0)
		if (pthread_create(&thread, NULL, serve, NULL) != 0)
			return 1;
	serve(NULL);
	return 0;
}
