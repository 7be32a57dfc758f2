#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/python.h"
#include "t/fuzz/fuzz.h"

/*
 * "python" of the settings ("-": not set) and the text of .python-version. The
 * interpreter is one that is there and can be run, the virtual environment one
 * with a pyvenv.cfg, or the sentence says what to do.
 */
static const char *const versions[] = { "3.9.1", "3.9.20", "3.10", "3.10.4",
	"pypy3.9-7.3.11" };
#define VERSIONS (sizeof versions / sizeof versions[0])

static char app[300], home[300];

static void
make(const char *directory)
{
	char path[700];

	snprintf(path, sizeof path, "%s/%.500s", fuzz_directory(), directory);
	CHECK(mkdir(path, 0700) == 0);
}

/* A directory with bin/python. */
static void
make_environment(const char *directory)
{
	char path[600];

	make(directory);
	snprintf(path, sizeof path, "%.400s/bin", directory);
	make(path);
	snprintf(path, sizeof path, "%s/%.400s/bin/python", fuzz_directory(),
	    directory);
	CHECK(symlink("/bin/true", path) == 0);
}

static void
begin(void)
{
	char path[100];

	if (app[0] != '\0')
		return;
	snprintf(app, sizeof app, "%s/app", fuzz_directory());
	snprintf(home, sizeof home, "%s/home", fuzz_directory());
	make("app");
	make_environment("app/made");
	fuzz_write("app/made/pyvenv.cfg", "", 0);
	make("home");
	make("home/.pyenv");
	make("home/.pyenv/versions");
	for (size_t i = 0; i < VERSIONS; i++) {
		snprintf(
		    path, sizeof path, "home/.pyenv/versions/%s", versions[i]);
		make_environment(path);
	}
}

/* The one that pyenv would take for the first word of the file. */
static const char *
expected(const char *word, size_t n)
{
	static const struct {
		const char *word, *version;
	} answers[] = { { "3.9.1", "3.9.1" }, { "3.9.20", "3.9.20" },
		{ "3.9", "3.9.20" }, { "3", "3.10.4" }, { "3.10", "3.10" },
		{ "3.10.4", "3.10.4" }, { "pypy3", "pypy3.9-7.3.11" },
		{ "pypy3.9-7", "pypy3.9-7.3.11" },
		{ "pypy3.9-7.3", "pypy3.9-7.3.11" },
		{ "pypy3.9-7.3.11", "pypy3.9-7.3.11" } };

	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		if (strlen(answers[i].word) == n &&
		    strncmp(answers[i].word, word, n) == 0)
			return answers[i].version;
	return NULL;
}

static void
check_pyenv(const struct python *p, const char *text)
{
	char prefix[400], path[700];
	size_t n = strcspn(text, " \t\r\n");
	const char *version = expected(text, n);

	snprintf(prefix, sizeof prefix, "%s/.pyenv/", home);
	if (strlen(text) > 100) /* may be cut: no version is that long */
		return;
	if (version == NULL) {
		CHECK(strncmp(p->path, prefix, strlen(prefix)) != 0);
		return;
	}
	snprintf(
	    path, sizeof path, "%sversions/%s/bin/python", prefix, version);
	CHECK(strcmp(p->path, path) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct app_settings settings = { .python = NULL };
	struct problem why = { "" };
	struct fuzz_input in;
	struct python p;
	const char *text, *named;
	char *setting;
	int next;

	begin();
	next = fuzz_next_fd();
	fuzz_begin(&in, bytes, size);
	named = fuzz_optional(&in);
	settings.python = setting = named == NULL ? NULL : strdup(named);
	text = fuzz_text(&in);
	fuzz_write("app/.python-version", text, strlen(text));
	if (python_find(app, &settings, home, &p, &why) == 0) {
		CHECK(p.path[0] == '/' && access(p.path, X_OK) == 0);
		CHECK(p.why != NULL && *p.why != '\0');
		if (p.virtual_env != NULL)
			CHECK(strncmp(p.path, p.virtual_env,
				  strlen(p.virtual_env)) == 0);
		if (named == NULL)
			check_pyenv(&p, text);
	} else {
		CHECK(why.text[0] != '\0');
		CHECK(named != NULL || *text != '\0');
	}
	python_release(&p);
	free(setting);
	CHECK(fuzz_next_fd() == next);
	fuzz_end(&in);
	return 0;
}
