#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/discover.h"
#include "lib/route.h"
#include "lib/utf8.h"
#include "t/fuzz/fuzz.h"

/*
 * What an account's owner may have in apps/: names with a letter in front, "d"
 * for a directory, "w" for one that everybody may write to, "f" for a file,
 * "l" for a symbolic link, which leads to the name that comes next. Whatever is
 * found is a directory in apps/, not in another one that is found; and what is
 * said of the others can be put in a log.
 */
#define NAMES_MOST 12
#define NAME_MOST  200

static char apps[PATH_MAX];

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	return where->level == 0 ? 0 : remove(path);
}

static void
make(const char *text, struct fuzz_input *in)
{
	char kind = *text, path[PATH_MAX + NAME_MOST + 2];

	if (kind == '\0' || strstr(text, "..") != NULL ||
	    strlen(text) > NAME_MOST)
		return;
	snprintf(path, sizeof path, "%s/%s", apps, text + 1);
	if (kind == 'd' || kind == 'w')
		(void)mkdir(path, kind == 'd' ? 0755 : 0777);
	if (kind == 'w')
		(void)chmod(path, 0777);
	if (kind == 'l')
		(void)!symlink(fuzz_text(in), path);
	if (kind == 'f')
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

static void
check_sentence(const char *text)
{
	size_t n = strlen(text), taken;

	CHECK(n > 0);
	for (; n > 0; text += taken, n -= taken) {
		taken = utf8_shown(text, n);
		CHECK(taken > 0);
	}
}

static void
check_app(const struct discovery *d, size_t i)
{
	const struct app *a = &d->apps[i];
	size_t n = strlen(apps);
	char real[PATH_MAX];
	struct stat st;

	CHECK(strncmp(a->directory, apps, n) == 0 && a->directory[n] == '/');
	CHECK(strcmp(a->directory + n + 1, a->name) == 0);
	check_sentence(a->name);
	if (i > 0)
		CHECK(strcmp(d->apps[i - 1].name, a->name) < 0);
	if (a->refused != NULL) {
		check_sentence(a->refused);
		return;
	}
	CHECK(stat(a->directory, &st) == 0 && S_ISDIR(st.st_mode));
	CHECK((st.st_mode & S_IWOTH) == 0);
	CHECK(realpath(a->directory, real) != NULL);
	CHECK(strncmp(real, apps, n) == 0);
	for (size_t k = 0; k < d->napps; k++) {
		const struct app *b = &d->apps[k];
		size_t m = strlen(b->name);

		if (k == i || b->refused != NULL)
			continue;
		CHECK(strncmp(a->name, b->name, m) != 0 || a->name[m] != '/');
		CHECK(strcmp(a->mount, b->mount) != 0 ||
		      strcmp(a->host, b->host) != 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct discovery found, again;
	struct fuzz_input in;
	struct problem why;
	int next = fuzz_next_fd();

	if (apps[0] == '\0') {
		snprintf(apps, sizeof apps, "%s/apps", fuzz_directory());
		CHECK(mkdir(apps, 0755) == 0);
	}
	(void)nftw(apps, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	fuzz_begin(&in, bytes, size);
	for (int i = 0; i < NAMES_MOST && (i == 0 || in.at < in.end); i++)
		make(fuzz_text(&in), &in);
	discovery_init(&found);
	CHECK(discover(apps, &found, &why) == 0);
	for (size_t i = 0; i < found.napps; i++)
		check_app(&found, i);
	for (size_t i = 0; i < found.nremarks; i++)
		check_sentence(found.remarks[i]);
	CHECK(found.ngroups > 0 && strcmp(found.groups[0], apps) == 0);
	discovery_init(&again); /* the same, looked at as it is */
	CHECK(discover(apps, &again, &why) == 0);
	CHECK(again.napps == found.napps && again.ngroups == found.ngroups);
	CHECK(discover(apps, &found, &why) == 0); /* and after itself */
	CHECK(again.napps == found.napps);
	discovery_release(&again);
	discovery_release(&found);
	CHECK(fuzz_next_fd() == next);
	fuzz_end(&in);
	return 0;
}
