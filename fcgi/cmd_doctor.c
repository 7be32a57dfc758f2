#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "lib/carried.h"
#include "lib/discover.h"
#include "lib/fd.h"
#include "lib/python.h"
#include "lib/settings.h"
#include "lib/xalloc.h"

#define DOCTOR_VALUE_MOST (64 * 1024) /* bytes of the path of our program */

/*
 * What is known here goes to adapters/mamayo_doctor*.py as standard input,
 * with these files themselves: name, NUL, value, NUL, and so on. No file is
 * needed for it, as the disk may be full and run/ not ours.
 */
static const char doctor_loader[] =
    "import importlib.abc, importlib.util, os, sys\n"
    "told = sys.stdin.buffer.read().split(b'\\0')[:-1]\n"
    "told = [(told[i].decode(), told[i + 1])"
    " for i in range(0, len(told), 2)]\n"
    "os.dup2(os.open(os.devnull, os.O_RDONLY), 0)\n"
    "if sys.version_info < (3, 6):\n"
    "    sys.exit('mamayo: doctor needs Python 3.6 or later, and %s is %s'"
    " % (sys.executable, sys.version.split()[0]))\n"
    "texts = dict(told)\n"
    "class Told(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):\n"
    "    def find_spec(self, name, path, target=None):\n"
    "        if name + '.py' in texts:\n"
    "            return importlib.util.spec_from_loader(name, self)\n"
    "    def get_source(self, name):\n"
    "        return texts[name + '.py'].decode()\n"
    "sys.meta_path.insert(0, Told())\n"
    "import mamayo_doctor\n"
    "sys.exit(mamayo_doctor.main(sys.argv[1:], told))\n";

/* A file without a name, also where the disk is full. -1 with errno. */
static int
doctor_file(void)
{
	int fd = -1, dir_fd;

#ifdef HAVE_MEMFD_CREATE
	fd = memfd_create("mamayo-doctor", MFD_CLOEXEC);
#endif
	if (fd != -1)
		return fd;
	dir_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd != -1)
		fd = fd_unnamed(dir_fd);
	fd_close(&dir_fd);
	return fd;
}

/* 0, or -1 with errno. */
static int
doctor_tell(int fd, const char *name, const char *value)
{
	if (value == NULL)
		value = "";
	return fd_write_all(fd, name, strlen(name) + 1) |
	       fd_write_all(fd, value, strlen(value) + 1);
}

static int
doctor_tell_number(int fd, const char *name, int number)
{
	char text[16];

	snprintf(text, sizeof text, "%d", number);
	return doctor_tell(fd, name, text);
}

/* Every application, and which Python it has or why it has none. */
static int
doctor_tell_apps(int fd, const struct account *a)
{
	struct discovery found;
	struct app_settings settings;
	struct problem why;
	struct python python;
	int failed;
	char *file;

	discovery_init(&found);
	if (account_discover(a, &found, &why) == -1)
		return doctor_tell(fd, "apps_trouble", why.text);
	failed = 0;
	for (size_t i = 0; i < found.nremarks; i++)
		failed |= doctor_tell(fd, "remark", found.remarks[i]);
	for (size_t i = 0; i < found.napps; i++) {
		failed |= doctor_tell(fd, "app", found.apps[i].name);
		failed |= doctor_tell(fd, "directory", found.apps[i].directory);
		failed |= doctor_tell(fd, "refused", found.apps[i].refused);
		memset(&settings, 0, sizeof settings);
		memset(&python, 0, sizeof python);
		file = xprintf("%s/" SETTINGS_FILE, found.apps[i].directory);
		why.text[0] = '\0';
		if (app_settings_read(file, &a->settings, &settings, &why) !=
			-1 &&
		    python_find(found.apps[i].directory, &settings, a->home,
			&python, &why) == 0)
			why.text[0] = '\0';
		failed |= doctor_tell(fd, "trouble", why.text);
		failed |= doctor_tell(fd, "python", python.path);
		failed |= doctor_tell(fd, "virtual_env", python.virtual_env);
		free(file);
		python_release(&python);
		app_settings_release(&settings);
	}
	discovery_release(&found);
	return failed;
}

static int
doctor_tell_all(int fd, const struct account *a, const char *refused)
{
	char *program = xcalloc(DOCTOR_VALUE_MOST, 1);
	int failed = 0;

	if (readlink("/proc/self/exe", program, DOCTOR_VALUE_MOST - 1) == -1)
		program[0] = '\0';
	for (const struct carried *f = adapters; f->name != NULL; f++)
		if (strncmp(f->name, "mamayo_doctor", 13) == 0)
			failed |=
			    doctor_tell(fd, f->name, (const char *)f->text);
	failed |= doctor_tell(fd, "version", PACKAGE_VERSION);
	failed |= doctor_tell(fd, "program", program);
	failed |= doctor_tell(fd, "refused", refused);
	failed |= doctor_tell(fd, "remark", a->remark);
	failed |= doctor_tell(fd, "root", a->root);
	failed |= doctor_tell(fd, "run", a->run);
	failed |= doctor_tell(fd, "home", a->home);
	failed |= doctor_tell(fd, "user", a->user);
	failed |= doctor_tell_number(fd, "workers", settings_workers_default());
	failed |=
	    doctor_tell_number(fd, "max_workers", settings_total_default());
	failed |= doctor_tell_apps(fd, a);
	free(program);
	return failed;
}

/* The account's interpreter; any that there is, if that one has gone. */
static int
doctor_python(const struct account *a, struct python *python)
{
	struct app_settings none;
	struct problem why, other;

	if (python_find(a->root, &a->settings.app, a->home, python, &why) == 0)
		return 0;
	memset(&none, 0, sizeof none);
	if (python_find("/", &none, a->home, python, &other) == 0)
		return 0;
	fprintf(stderr, "mamayo: %s\n", why.text);
	return -1;
}

/* Becomes Python. Returns if that fails. */
static void
doctor_become(const char *python, int argc, char **argv)
{
	const char **args = xcalloc((size_t)argc + 5, sizeof *args);
	size_t n = 0;

	args[n++] = python;
	args[n++] = "-I";
	args[n++] = "-c";
	args[n++] = doctor_loader;
	for (int i = 0; i < argc; i++)
		args[n++] = argv[i];
	execv(python, (char *const *)(uintptr_t)args);
	fprintf(
	    stderr, "mamayo: cannot execute %s: %s\n", python, strerror(errno));
	free(args);
}

static int
doctor_run(const struct command *c, int argc, char **argv)
{
	struct account account;
	struct problem refused = { "" };
	struct python python;
	int fd;

	(void)c;
	account_init(&account);
	account.only_looks = 1;
	if (account_open(&account, &refused) == 0)
		refused.text[0] = '\0';
	if (account.root == NULL) {
		account_release(&account);
		account_init(&account);
		account.only_looks = 1;
		if (account_find(&account, &refused) == -1) {
			fprintf(stderr, "mamayo: %s\n", refused.text);
			account_release(&account);
			return EXIT_REFUSED;
		}
	}
	if (doctor_python(&account, &python) == -1) {
		account_release(&account);
		return EXIT_UNHEALTHY;
	}
	fd = doctor_file();
	if (fd == -1 || doctor_tell_all(fd, &account, refused.text) != 0 ||
	    lseek(fd, 0, SEEK_SET) == -1 || dup2(fd, STDIN_FILENO) == -1)
		fprintf(stderr, "mamayo: cannot hand over what is known: %s\n",
		    strerror(errno));
	else
		doctor_become(python.path, argc, argv);
	fd_close(&fd);
	python_release(&python);
	account_release(&account);
	return EXIT_UNHEALTHY;
}

const struct command command_doctor = {
	.name = "doctor",
	.arguments = "[--json] [--slow] [--docroot DIR] [URL]",
	.summary = "find what is wrong, and how to mend it",
	.help =
	    "Looks for everything that can be wrong in the account, and says "
	    "how to mend it:\na line to copy, or a sentence to send to the "
	    "host's support. With the URL of\nthe site, for instance "
	    "https://example.org/, it looks at the web server, too:\nthrough "
	    "an application that is there for as long as that takes.\n\n"
	    "  --docroot DIR  where mamayo.fcgi and .htaccess lie; it looks "
	    "for them else\n"
	    "  --slow         also what takes a minute: how long an "
	    "application may be silent\n"
	    "  --json         one object on standard output\n\n"
	    "Exit status 0: nothing is wrong; 1: something is; 2: wrong "
	    "usage.",
	.run = doctor_run,
};
