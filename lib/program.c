#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/program.h"
#include "lib/xalloc.h"

int
program_is(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return 0;
	if (!S_ISREG(st.st_mode)) {
		errno = EACCES;
		return 0;
	}
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

char *
program_find(const char *places, const char *name)
{
	struct stat st;
	int error = ENOENT;
	size_t n;
	char *path;

	for (; *places != '\0'; places += n + (places[n] == ':')) {
		n = strcspn(places, ":");
		if (n == 0)
			continue;
		path = xprintf("%.*s/%s", (int)n, places, name);
		if (program_is(path))
			return path;
		if (errno == EACCES && stat(path, &st) == 0 &&
		    !S_ISDIR(st.st_mode))
			error = EACCES; /* else the place may not be searched */
		free(path);
	}
	errno = error;
	return NULL;
}
