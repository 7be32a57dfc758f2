#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/python.h"
#include "t/check.h"
#include "t/scene.h"

static char directory[600]; /* the app's, and the working directory */
static char home[600];
static struct app_settings settings;
static struct python found;
static struct problem why;

static void
begin(void)
{
	const char *scene = scene_enter();

	umask(022);
	snprintf(directory, sizeof directory, "%s/blog", scene);
	snprintf(home, sizeof home, "%s/home", scene);
	ck_assert_int_eq(mkdir("blog", 0755), 0);
	ck_assert_int_eq(mkdir("home", 0755), 0);
	ck_assert_int_eq(chdir("blog"), 0);
	memset(&settings, 0, sizeof settings);
	memset(&found, 0, sizeof found);
}

static void
end(void)
{
	python_release(&found);
	ck_assert_ptr_null(found.path);
	scene_leave();
}

/* An interpreter at bin/python of a directory, and a pyvenv.cfg if asked. */
static void
make(const char *place, int is_environment)
{
	char path[600];

	ck_assert_int_eq(mkdir(place, 0755), 0);
	snprintf(path, sizeof path, "%s/bin", place);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/bin/python", place);
	scene_write(path, "#!/bin/sh\n");
	ck_assert_int_eq(chmod(path, 0755), 0);
	snprintf(path, sizeof path, "%s/pyvenv.cfg", place);
	if (is_environment)
		scene_write(path, "home = /usr/bin\n");
}

static int
find(void)
{
	python_release(&found);
	memset(&why, 0, sizeof why);
	return python_find(directory, &settings, home, &found, &why);
}

/* What was found, as a path below the app's directory; environment NULL:
 * none. */
static void
expect(const char *path, const char *environment, const char *words)
{
	char whole[1300];

	ck_assert_msg(find() == 0, "%s", why.text);
	snprintf(whole, sizeof whole, "%s/%s", directory, path);
	ck_assert_str_eq(found.path, *path == '/' ? path : whole);
	if (environment == NULL)
		ck_assert_ptr_null(found.virtual_env);
	else {
		snprintf(whole, sizeof whole, "%s/%s", directory, environment);
		ck_assert_str_eq(found.virtual_env,
		    *environment == '/' ? environment : whole);
	}
	ck_assert_msg(strstr(found.why, words) != NULL, "why: %s", found.why);
}

static void
refuses(const char *words)
{
	ck_assert_int_eq(find(), -1);
	ck_assert_msg(strstr(why.text, words) != NULL, "%s", why.text);
	ck_assert_ptr_null(found.path);
}

/* The python3 that every machine with these tests has. */
static const char *
usual(void)
{
	static const char *const places[] = { "/usr/local/bin/python3",
		"/usr/bin/python3", "/bin/python3" };

	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	ck_abort_msg("this machine has no python3 in the usual places");
	return NULL;
}

START_TEST(test_without_anything_it_is_the_systems)
{
	begin();
	expect(usual(), NULL, "no virtual environment");
	end();
}
END_TEST

START_TEST(test_a_virtual_environment_is_found_by_its_usual_names_in_order)
{
	begin();
	make("virtualenv", 1);
	expect("virtualenv/bin/python", "virtualenv",
	    "virtualenv/ has a pyvenv.cfg");
	make("env", 1);
	expect("env/bin/python", "env", "env/ has a pyvenv.cfg");
	make("venv", 1);
	expect("venv/bin/python", "venv", "venv/ has a pyvenv.cfg");
	make(".venv", 1);
	expect(".venv/bin/python", ".venv", ".venv/ has a pyvenv.cfg");
	end();
}
END_TEST

START_TEST(test_a_directory_without_the_file_is_no_virtual_environment)
{
	begin();
	make("venv", 0);
	scene_write("env", "a file");
	expect(usual(), NULL, "");
	end();
}
END_TEST

START_TEST(test_the_interpreter_is_a_link_and_stays_one)
{
	begin();
	make("venv", 1);
	ck_assert_int_eq(unlink("venv/bin/python"), 0);
	ck_assert_int_eq(symlink(usual(), "venv/bin/python"), 0);
	expect("venv/bin/python", "venv", "venv/");
	end();
}
END_TEST

START_TEST(test_a_broken_virtual_environment_is_refused_not_passed_over)
{
	begin();
	make(".venv", 1);
	make("venv", 1);
	ck_assert_int_eq(unlink(".venv/bin/python"), 0);
	ck_assert_int_eq(symlink("/nonexistent", ".venv/bin/python"), 0);
	refuses("/.venv/bin/python: the interpreter of this virtual "
		"environment cannot be run");
	refuses("python3 -m venv --clear /");
	refuses("run, for /nonexistent, with which it was made, is not there");
	ck_assert_int_eq(unlink(".venv/bin/python"), 0);
	refuses("No such file");
	scene_write(".venv/bin/python", "");
	refuses("Permission denied");
	ck_assert_int_eq(unlink(".venv/bin/python"), 0);
	ck_assert_int_eq(mkdir(".venv/bin/python", 0755), 0);
	refuses("Permission denied");
	end();
}
END_TEST

START_TEST(test_a_broken_virtual_environment_says_what_it_was_made_with)
{
	static const struct {
		const char *text, *expected;
	} made[] = {
		{ "home = /usr/bin\nversion = 3.9.2\n",
		    "/usr/bin/python3.0 (Python 3.9.2), with" },
		{ "version_info = 3.9.2.final.0\n", " (Python 3.9.2), with" },
		{ "version =\n", "/usr/bin/python3.0, with which" },
		{ "version", "/usr/bin/python3.0, with which" },
		{ "", "/usr/bin/python3.0, with which" },
	};

	begin();
	make("venv", 1);
	ck_assert_int_eq(unlink("venv/bin/python"), 0);
	ck_assert_int_eq(symlink("python3", "venv/bin/python"), 0);
	ck_assert_int_eq(symlink("/usr/bin/python3.0", "venv/bin/python3"), 0);
	for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
		scene_write("venv/pyvenv.cfg", made[i].text);
		refuses(made[i].expected);
	}
	ck_assert_int_eq(unlink("venv/bin/python3"), 0);
	refuses("/venv/bin/python3, with which");
	ck_assert_int_eq(symlink("python", "venv/bin/python3"), 0);
	refuses("Too many levels");
	end();
}
END_TEST

START_TEST(test_a_virtual_environment_of_windows_is_refused)
{
	begin();
	ck_assert_int_eq(mkdir("venv", 0755), 0);
	ck_assert_int_eq(mkdir("venv/Scripts", 0755), 0);
	scene_write("venv/pyvenv.cfg", "home = C:\\Python39\n");
	refuses("/venv was made on Windows");
	end();
}
END_TEST

START_TEST(test_a_setting_counts_more_than_what_lies_there)
{
	char path[700], environment[700];

	begin();
	make("venv", 1);
	make("other", 1);
	settings.python = (char *)"other";
	expect("other/bin/python", "other",
	    "\"python\" in the settings says \"other\"");
	settings.python = (char *)"other/bin/python";
	expect("other/bin/python", "other", "says");
	settings.python = (char *)"/bin/sh";
	expect("/bin/sh", NULL, "says");
	settings.python = (char *)"python3";
	expect(usual(), NULL, "says");
	make("../home/mine", 1);
	settings.python = (char *)"~/mine";
	snprintf(path, sizeof path, "%s/mine/bin/python", home);
	snprintf(environment, sizeof environment, "%s/mine", home);
	expect(path, environment, "says");
	end();
}
END_TEST

START_TEST(test_a_setting_may_name_an_environment_without_the_file)
{
	begin();
	make("conda", 0);
	settings.python = (char *)"conda";
	expect("conda/bin/python", "conda", "says");
	settings.python = (char *)"./conda/bin/python";
	expect("./conda/bin/python", NULL, "says");
	end();
}
END_TEST

START_TEST(test_a_setting_that_cannot_be_run_is_refused)
{
	begin();
	settings.python = (char *)"no-such-python";
	refuses("there is no such program in /usr/local/bin:/usr/bin:/bin");
	settings.python = (char *)"./no-such";
	refuses("/./no-such cannot be run");
	settings.python = (char *)"/no/such";
	refuses("but /no/such cannot be run");
	refuses("No such file or directory");
	settings.python = (char *)"/etc/passwd";
	refuses("Permission denied");
	ck_assert_int_eq(mkdir("empty", 0755), 0);
	settings.python = (char *)"empty";
	refuses("/empty/bin/python: the interpreter of this virtual");
	end();
}
END_TEST

START_TEST(test_the_version_file_is_for_pyenv)
{
	char path[700];

	begin();
	scene_write(".python-version", "3.9.1\n3.8\n");
	expect(usual(), NULL, "");
	ck_assert_int_eq(mkdir("../home/.pyenv", 0755), 0);
	ck_assert_int_eq(mkdir("../home/.pyenv/versions", 0755), 0);
	refuses(".python-version in ");
	refuses("says 3.9.1, but pyenv has no such version: \"pyenv install "
		"3.9.1\"");
	make("../home/.pyenv/versions/3.9.1", 0);
	snprintf(
	    path, sizeof path, "%s/.pyenv/versions/3.9.1/bin/python", home);
	expect(path, NULL, ".python-version says 3.9.1, and pyenv has it");
	make("venv", 1);
	expect("venv/bin/python", "venv", "venv/");
	end();
}
END_TEST

START_TEST(test_a_short_version_is_the_newest_that_begins_with_it)
{
	static const char *const versions[] = { "3.9.2", "3.9.10", "3.9.9",
		"3.90.1", "3.10.1", "pypy3.9-7.3" };
	char path[700];

	begin();
	ck_assert_int_eq(mkdir("../home/.pyenv", 0755), 0);
	ck_assert_int_eq(mkdir("../home/.pyenv/versions", 0755), 0);
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
		snprintf(path, sizeof path, "../home/.pyenv/versions/%s",
		    versions[i]);
		make(path, 0);
	}
	scene_write(".python-version", "3.9");
	snprintf(
	    path, sizeof path, "%s/.pyenv/versions/3.9.10/bin/python", home);
	expect(path, NULL, "");
	scene_write(".python-version", "pypy3.9-7.3\n");
	snprintf(path, sizeof path, "%s/.pyenv/versions/pypy3.9-7.3/bin/python",
	    home);
	expect(path, NULL, "");
	make("../home/.pyenv/versions/3.9", 0);
	scene_write(".python-version", "3.9");
	snprintf(path, sizeof path, "%s/.pyenv/versions/3.9/bin/python", home);
	expect(path, NULL, "");
	end();
}
END_TEST

START_TEST(test_a_version_file_that_leads_elsewhere_is_not_followed)
{
	static const char *const bad[] = { "", "\n", "../../../bin", "a/b", ".",
		"..", "system", "\xff", "3.9;rm", " 3.9" };

	begin();
	ck_assert_int_eq(mkdir("../home/.pyenv", 0755), 0);
	ck_assert_int_eq(mkdir("../home/.pyenv/versions", 0755), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		scene_write(".python-version", bad[i]);
		expect(usual(), NULL, "");
	}
	ck_assert_int_eq(unlink(".python-version"), 0);
	ck_assert_int_eq(mkfifo(".python-version", 0600), 0);
	expect(usual(), NULL, "");
	ck_assert_int_eq(unlink(".python-version"), 0);
	scene_write("real", "3.9\n");
	ck_assert_int_eq(symlink("real", ".python-version"), 0);
	expect(usual(), NULL, "");
	end();
}
END_TEST

START_TEST(test_without_a_home_there_is_no_pyenv)
{
	begin();
	scene_write(".python-version", "3.9\n");
	ck_assert_int_eq(
	    python_find(directory, &settings, NULL, &found, &why), 0);
	ck_assert_str_eq(found.path, usual());
	end();
}
END_TEST

START_TEST(test_a_path_of_any_length_is_no_trouble)
{
	char *longer = malloc(100000);

	begin();
	memset(longer, 'x', 99999);
	longer[99999] = '\0';
	ck_assert_int_eq(
	    python_find(longer, &settings, longer, &found, &why), 0);
	python_release(&found);
	settings.python = longer;
	ck_assert_int_eq(find(), -1);
	free(longer);
	end();
}
END_TEST

SUITE("python", test_without_anything_it_is_the_systems,
    test_a_virtual_environment_is_found_by_its_usual_names_in_order,
    test_a_directory_without_the_file_is_no_virtual_environment,
    test_the_interpreter_is_a_link_and_stays_one,
    test_a_broken_virtual_environment_is_refused_not_passed_over,
    test_a_broken_virtual_environment_says_what_it_was_made_with,
    test_a_virtual_environment_of_windows_is_refused,
    test_a_setting_counts_more_than_what_lies_there,
    test_a_setting_may_name_an_environment_without_the_file,
    test_a_setting_that_cannot_be_run_is_refused,
    test_the_version_file_is_for_pyenv,
    test_a_short_version_is_the_newest_that_begins_with_it,
    test_a_version_file_that_leads_elsewhere_is_not_followed,
    test_without_a_home_there_is_no_pyenv,
    test_a_path_of_any_length_is_no_trouble);
