#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/testpoint.h"
#include "lib/xalloc.h"

void
testpoint(const char *name)
{
	const char *directory = getenv("MAMAYO_TESTPOINTS");
	char *path, what[16] = "";
	volatile int is_spinning;
	int fd;

	if (directory == NULL)
		return;
	path = xprintf("%s/%s", directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd != -1 && unlink(path) == 0)
		(void)!read(fd, what, sizeof what - 1);
	fd_close(&fd);
	free(path);
	is_spinning = strcmp(what, "spin") == 0;
	while (is_spinning)
		continue;
	if (strcmp(what, "stop") == 0)
		raise(SIGSTOP);
	else if (strcmp(what, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(what, "abort") == 0)
		abort();
}
