#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/fuzz/fuzz.h"

static char directory[PATH_MAX];
static pid_t owner;

void
fuzz_begin(struct fuzz_input *in, const uint8_t *bytes, size_t n)
{
	in->at = bytes;
	in->end = bytes + n;
	in->text = NULL;
}

void
fuzz_end(struct fuzz_input *in)
{
	free(in->text);
}

unsigned
fuzz_byte(struct fuzz_input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

unsigned
fuzz_number(struct fuzz_input *in)
{
	unsigned high = fuzz_byte(in);

	return high << 8 | fuzz_byte(in);
}

const char *
fuzz_text(struct fuzz_input *in)
{
	size_t n = (size_t)(in->end - in->at);
	const char *text;

	if (in->text == NULL) { /* one copy of all that is left, with an end */
		CHECK((in->text = malloc(n + 1)) != NULL);
		if (n > 0)
			memcpy(in->text, in->at, n);
		in->text[n] = '\0';
		in->at = (const uint8_t *)in->text;
		in->end = in->at + n;
	}
	if (in->at >= in->end)
		return "";
	text = (const char *)in->at;
	in->at += strlen(text) + 1;
	return text;
}

const char *
fuzz_optional(struct fuzz_input *in)
{
	const char *text = fuzz_text(in);

	return strcmp(text, "-") == 0 ? NULL : text;
}

void
fuzz_never(struct conn *c, int64_t now)
{
	(void)c;
	(void)now;
	abort();
}

int
fuzz_next_fd(void)
{
	int fd = dup(2);

	CHECK(fd != -1);
	close(fd);
	return fd;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static void
remove_directory(void)
{
	if (getpid() == owner)
		(void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *
fuzz_directory(void)
{
	const char *base = getenv("TMPDIR");

	if (owner == 0) {
		snprintf(directory, sizeof directory, "%s/mamayo-fuzz-XXXXXX",
		    base == NULL ? "/tmp" : base);
		CHECK(mkdtemp(directory) != NULL);
		owner = getpid();
		CHECK(atexit(remove_directory) == 0);
	}
	return directory;
}

void
fuzz_write(const char *name, const void *bytes, size_t n)
{
	char path[PATH_MAX];
	int fd, length = snprintf(
		    path, sizeof path, "%s/%s", fuzz_directory(), name);

	CHECK(length > 0 && (size_t)length < sizeof path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd != -1);
	CHECK(write(fd, bytes, n) == (ssize_t)n);
	close(fd);
}
