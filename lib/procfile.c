#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/procfile.h"
#include "lib/xalloc.h"

#define BLANK " \t\v\f\r"

/* The text, or NULL: there is no such file, or it is something else. */
static char *
procfile_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char *text = NULL;
	size_t n = 0;
	ssize_t got = 1;
	struct stat st;

	if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		text = xcalloc(1, PROCFILE_MOST + 2);
		while (got > 0 && n <= PROCFILE_MOST) {
			got = read(fd, text + n, PROCFILE_MOST + 1 - n);
			n += got > 0 ? (size_t)got : 0;
		}
		if (got < 0 || n > PROCFILE_MOST || strlen(text) != n) {
			free(text);
			text = NULL;
		}
	}
	fd_close(&fd);
	return text;
}

/* What stands behind the name and its colon in a line; NULL if it is another
 * line, or nothing does. */
static char *
procfile_of_line(const char *line, const char *name)
{
	const char *end = line + strcspn(line, "\n");
	size_t n = strlen(name);

	line += strspn(line, BLANK);
	if (strncmp(line, name, n) != 0)
		return NULL;
	line += n;
	line += strspn(line, BLANK);
	if (*line++ != ':')
		return NULL;
	line += strspn(line, BLANK);
	while (end > line && strchr(BLANK, end[-1]) != NULL)
		end--;
	return end > line ? xstrndup(line, (size_t)(end - line)) : NULL;
}

char *
procfile_command(const char *app_directory, const char *name)
{
	char *path = xprintf("%s/Procfile", app_directory);
	char *text = procfile_read(path), *line = text, *command = NULL;

	if (text != NULL && strncmp(text, "\xef\xbb\xbf", 3) == 0)
		line += 3; /* the mark some editors put before UTF-8 */
	while (line != NULL && command == NULL) {
		command = procfile_of_line(line, name);
		line = strchr(line, '\n');
		if (line != NULL)
			line++;
	}
	free(text);
	free(path);
	return command;
}
