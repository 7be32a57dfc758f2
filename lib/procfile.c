#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/procfile.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

#define BLANK " \t\v\f\r"

/* The text, or NULL: there is no such file, or it is something else. */
static char *
procfile_read(const char *path)
{
	size_t n;
	char *text = whole_read(AT_FDCWD, path, PROCFILE_MOST, &n);

	if (text != NULL && strlen(text) == n)
		return text;
	free(text);
	return NULL;
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
