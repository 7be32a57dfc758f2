#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/discover.h"
#include "t/check.h"
#include "t/scene.h"

static char apps[600]; /* absolute path of the scene's apps/ */
static struct discovery found;
static struct problem why;

static void
begin(void)
{
	umask(022);
	snprintf(apps, sizeof apps, "%s/apps", scene_enter());
	ck_assert_int_eq(mkdir("apps", 0755), 0);
	ck_assert_int_eq(chmod(".", 0755), 0);
	ck_assert_int_eq(chdir("apps"), 0);
	discovery_init(&found);
}

static void
end(void)
{
	discovery_release(&found);
	scene_leave();
}

/* Directories and files: "blog/app.py". What ends in "/" is a directory. */
static void
make(const char *path)
{
	char *copy = strdup(path), *slash;

	for (slash = strchr(copy, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		ck_assert(mkdir(copy, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	if (copy[strlen(copy) - 1] != '/')
		scene_write(path, "");
	free(copy);
}

static void
look(void)
{
	memset(&why, 0, sizeof why);
	ck_assert_msg(discover(apps, &found, &why) == 0, "%s", why.text);
}

/* The names of all apps, each followed by a blank, "!" before refused ones. */
static void
expect(const char *names)
{
	char got[2000] = "";

	look();
	for (size_t i = 0; i < found.napps; i++) {
		strcat(got, found.apps[i].refused == NULL ? "" : "!");
		strcat(got, found.apps[i].name);
		strcat(got, " ");
	}
	ck_assert_str_eq(got, names);
}

static const struct app *
named(const char *name)
{
	for (size_t i = 0; i < found.napps; i++)
		if (strcmp(found.apps[i].name, name) == 0)
			return &found.apps[i];
	ck_abort_msg("no app %s", name);
	return NULL;
}

/* Is there a remark with all of this in it? */
static int
remarked(const char *name, const char *words)
{
	for (size_t i = 0; i < found.nremarks; i++)
		if (strncmp(found.remarks[i], "apps/", 5) == 0 &&
		    strncmp(found.remarks[i] + 5, name, strlen(name)) == 0 &&
		    found.remarks[i][5 + strlen(name)] == ' ' &&
		    strstr(found.remarks[i], words) != NULL)
			return 1;
	return 0;
}

static int
is_watched(const char *name)
{
	size_t n = strlen(apps);

	for (size_t i = 0; i < found.ngroups; i++)
		if (strncmp(found.groups[i], apps, n) == 0 &&
		    strcmp(found.groups[i] + n, name) == 0)
			return 1;
	return 0;
}

START_TEST(test_nothing_is_found_where_nothing_is)
{
	begin();
	expect("");
	ck_assert_uint_eq(found.nremarks, 0);
	ck_assert_uint_eq(found.ngroups, 1);
	ck_assert_str_eq(found.groups[0], apps);
	end();
}
END_TEST

START_TEST(test_an_app_is_known_by_its_files)
{
	static const char *const files[] = { "mamayo.json", "Procfile",
		"application.py", "application.wsgi", "passenger_wsgi.py",
		"wsgi.py", "other.wsgi", "manage.py", "app.py", "main.py",
		"production.ini", "development.ini" };
	char path[64];

	begin();
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "a%zu/%s", i, files[i]);
		make(path);
	}
	look();
	ck_assert_uint_eq(found.napps, sizeof files / sizeof files[0]);
	ck_assert_uint_eq(found.nremarks, 0);
	ck_assert_str_eq(named("a3")->mount, "/a3");
	ck_assert_ptr_eq(
	    strstr(named("a3")->directory, apps), named("a3")->directory);
	end();
}
END_TEST

START_TEST(test_other_files_make_no_app)
{
	begin();
	make("one/index.html");
	make("two/app.pyc");
	make("three/.wsgi");
	make("four/app.py/");
	ck_assert_int_eq(mkdir("five", 0755), 0);
	ck_assert_int_eq(mkfifo("five/app.py", 0600), 0);
	expect("");
	ck_assert(remarked("one", "is no application: none of mamayo.json, "));
	ck_assert(remarked("one", "wsgi.py, *.wsgi, manage.py"));
	ck_assert(remarked("two", "is no application"));
	ck_assert(remarked("five", "is no application"));
	ck_assert(!remarked("three", ""));
	end();
}
END_TEST

START_TEST(test_only_a_directory_of_directories_is_a_group)
{
	begin();
	make("tools/wiki/app.py");
	make("tools/deep/er/app.py");
	make("tools/.DS_Store");
	make("mixed/wiki/app.py");
	make("mixed/README");
	expect("tools/deep/er tools/wiki ");
	ck_assert(remarked("mixed", "is no application: none of"));
	ck_assert(is_watched("/tools"));
	ck_assert(is_watched("/tools/deep"));
	ck_assert(is_watched("/mixed"));
	ck_assert(!is_watched("/tools/wiki"));
	end();
}
END_TEST

START_TEST(test_apps_do_not_nest)
{
	begin();
	make("blog/app.py");
	make("blog/inner/app.py");
	expect("blog ");
	ck_assert(!is_watched("/blog"));
	end();
}
END_TEST

START_TEST(test_looks_four_levels_deep)
{
	begin();
	make("a/b/c/d/app.py");
	make("a/b/c/e/f/app.py");
	expect("a/b/c/d ");
	ck_assert(remarked("a/b/c/e", "too deep"));
	end();
}
END_TEST

START_TEST(test_some_names_are_never_looked_into)
{
	begin();
	make(".git/app.py");
	make("_old/app.py");
	make("node_modules/app.py");
	make("__pycache__/app.py");
	make("tools/.hidden/app.py");
	make("tools/_x/app.py");
	make("tools/node_modules/app.py");
	make("tools/public/app.py");
	make("@example.com/public/app.py");
	make("tools/wiki/app.py");
	expect("tools/wiki ");
	ck_assert_uint_eq(found.nremarks, 0);
	end();
}
END_TEST

START_TEST(test_a_virtual_environment_is_no_app)
{
	begin();
	make("venv/pyvenv.cfg");
	make("venv/bin/python");
	make("mine/pyvenv.cfg");
	make("mine/app.py");
	expect("");
	ck_assert(remarked("venv", "pyvenv.cfg"));
	ck_assert(remarked("mine", "pyvenv.cfg"));
	end();
}
END_TEST

START_TEST(test_files_beside_the_apps_are_remarked)
{
	begin();
	make("notes.txt");
	make("app.py");
	make(".hidden");
	make("blog/app.py");
	expect("blog ");
	ck_assert(remarked("notes.txt", "is no directory"));
	ck_assert(remarked("app.py", "is no directory"));
	ck_assert_uint_eq(found.nremarks, 2);
	end();
}
END_TEST

START_TEST(test_names_that_are_no_text_are_passed_over)
{
	begin();
	make("good\xc3\xa9/app.py");
	make("bad\xff/app.py");
	make("bad\n/app.py");
	make("bad\x1b[1m/app.py");
	make("tools/bad\xc3/app.py");
	expect("good\xc3\xa9 ");
	ck_assert(remarked("bad\\xff", "not UTF-8"));
	ck_assert(remarked("bad\\x0a", "control"));
	ck_assert(remarked("bad\\x1b[1m", "control"));
	ck_assert(remarked("tools/bad\\xc3", "not UTF-8"));
	end();
}
END_TEST

START_TEST(test_root_is_the_place_itself_and_no_group)
{
	begin();
	make("ROOT/app.py");
	make("tools/ROOT/app.py");
	make("@e.test/ROOT/app.py");
	expect("@e.test/ROOT ROOT tools/ROOT ");
	ck_assert_str_eq(named("ROOT")->mount, "");
	ck_assert_str_eq(named("tools/ROOT")->mount, "/tools");
	ck_assert_str_eq(named("@e.test/ROOT")->host, "e.test");
	discovery_release(&found);
	ck_assert_int_eq(unlink("ROOT/app.py"), 0);
	make("ROOT/x/app.py");
	expect("@e.test/ROOT tools/ROOT ");
	ck_assert(remarked("ROOT", "is no application"));
	end();
}
END_TEST

START_TEST(test_host_directories_are_always_groups)
{
	begin();
	make("@e.test/blog/app.py");
	make("@e.test/app.py");
	make("@e.test/tools/wiki/app.py");
	make("@f.test/README");
	make("@/x/app.py");
	make("@e.test:80/x/app.py");
	make("@a b/x/app.py");
	make("@[::1]/x/app.py");
	make("tools/@x/app.py");
	expect("@[::1]/x @e.test/blog @e.test/tools/wiki tools/@x ");
	ck_assert_str_eq(named("@e.test/blog")->host, "e.test");
	ck_assert_str_eq(named("tools/@x")->host, "");
	ck_assert(remarked("@e.test", "for the applications of one host"));
	ck_assert(remarked("@f.test", "for the applications of one host"));
	ck_assert(remarked("@", "no host name"));
	ck_assert(remarked("@e.test:80", "no host name"));
	ck_assert(remarked("@a b", "no host name"));
	ck_assert(is_watched("/@f.test"));
	end();
}
END_TEST

START_TEST(test_one_host_in_two_spellings_is_served_once)
{
	begin();
	make("@e.test/blog/app.py");
	make("@E.test/blog/app.py");
	make("@E.test/other/app.py");
	expect("@E.test/blog @E.test/other !@e.test/blog ");
	ck_assert_str_eq(named("@e.test/blog")->refused,
	    "apps/@E.test/blog has the same place");
	end();
}
END_TEST

START_TEST(test_a_symlink_may_lead_to_another_place_below_apps)
{
	begin();
	make("blog/app.py");
	make("tools/wiki/app.py");
	ck_assert_int_eq(symlink("blog", "weblog"), 0);
	ck_assert_int_eq(symlink("../blog", "tools/blog"), 0);
	ck_assert_int_eq(symlink("tools", "things"), 0);
	expect("blog things/blog things/wiki tools/blog tools/wiki weblog ");
	end();
}
END_TEST

START_TEST(test_a_symlink_that_leaves_apps_is_refused)
{
	begin();
	make("tools/x/app.py");
	make("../elsewhere/app.py");
	make("../appsx/app.py");
	ck_assert_int_eq(symlink("../elsewhere", "blog"), 0);
	ck_assert_int_eq(symlink("../appsx", "near"), 0);
	ck_assert_int_eq(symlink("/", "tools/all"), 0);
	expect("!blog !near !tools/all tools/x ");
	ck_assert_ptr_nonnull(
	    strstr(named("blog")->refused, "leaves apps/, to /"));
	ck_assert_ptr_nonnull(strstr(named("blog")->refused, "/elsewhere: "));
	end();
}
END_TEST

START_TEST(test_a_symlink_that_leads_nowhere_or_back_is_passed_over)
{
	begin();
	make("tools/wiki/app.py");
	ck_assert_int_eq(symlink("absent", "gone"), 0);
	ck_assert_int_eq(symlink("absent", "tools/gone"), 0);
	ck_assert_int_eq(symlink("loop", "loop"), 0);
	ck_assert_int_eq(symlink(".", "self"), 0);
	ck_assert_int_eq(symlink("..", "tools/up"), 0);
	ck_assert_int_eq(symlink("../tools", "tools/back"), 0);
	expect("tools/wiki ");
	ck_assert(remarked("gone", "leads nowhere"));
	ck_assert(remarked("tools/gone", "leads nowhere"));
	ck_assert(remarked("loop", "leads nowhere"));
	ck_assert(remarked("self", "leads back"));
	ck_assert(remarked("tools/up", "leads back"));
	ck_assert(remarked("tools/back", "leads back"));
	end();
}
END_TEST

START_TEST(test_two_groups_that_lead_to_each_other_come_to_an_end)
{
	begin();
	make("a/x/app.py");
	make("b/y/app.py");
	ck_assert_int_eq(symlink("../b", "a/b"), 0);
	ck_assert_int_eq(symlink("../a", "b/a"), 0);
	look();
	ck_assert_uint_lt(found.napps, 20);
	named("a/x");
	named("b/y");
	end();
}
END_TEST

START_TEST(test_what_everybody_may_write_to_is_refused)
{
	begin();
	make("blog/app.py");
	make("group/x/app.py");
	make("fine/app.py");
	ck_assert_int_eq(chmod("blog", 0757), 0);
	ck_assert_int_eq(chmod("group", 0777), 0);
	ck_assert_int_eq(chmod("fine", 0775), 0);
	expect("!blog fine ");
	ck_assert_ptr_nonnull(
	    strstr(named("blog")->refused, "every user of this machine"));
	ck_assert_ptr_nonnull(strstr(named("blog")->refused, "chmod o-w /"));
	ck_assert_ptr_nonnull(strstr(named("blog")->refused, "/apps/blog"));
	ck_assert(remarked("group", "is not looked into: every user"));
	ck_assert(is_watched("/blog"));
	ck_assert(is_watched("/group"));
	ck_assert_int_eq(chmod("blog", 0755), 0);
	ck_assert_int_eq(chmod("group", 0755), 0);
	expect("blog fine group/x ");
	ck_assert_int_eq(chmod("group", 0757), 0);
	expect("blog fine !group/x ");
	ck_assert_ptr_nonnull(strstr(named("group/x")->refused, "/apps/group"));
	end();
}
END_TEST

START_TEST(test_what_was_an_app_stays_one_while_its_directory_is_there)
{
	begin();
	make("blog/app.py");
	make("blog/templates/x");
	make("tools/wiki/app.py");
	expect("blog tools/wiki ");
	ck_assert_int_eq(unlink("blog/app.py"), 0);
	ck_assert_int_eq(unlink("tools/wiki/app.py"), 0);
	expect("blog tools/wiki ");
	make("blog/inner/app.py");
	make("tools/README");
	expect("blog tools/wiki ");
	ck_assert_int_eq(rename("blog/inner", "blog/_inner"), 0);
	ck_assert_int_eq(rename("blog", "log"), 0);
	expect("tools/wiki ");
	ck_assert_int_eq(rename("tools", "things"), 0);
	expect("");
	end();
}
END_TEST

START_TEST(test_a_group_that_becomes_an_app_takes_those_below_it_away)
{
	begin();
	make("tools/wiki/app.py");
	expect("tools/wiki ");
	make("tools/app.py");
	expect("tools ");
	ck_assert(remarked("tools/wiki", "no longer served"));
	end();
}
END_TEST

START_TEST(test_what_was_refused_is_looked_at_afresh)
{
	begin();
	make("../elsewhere/app.py");
	ck_assert_int_eq(symlink("../elsewhere", "blog"), 0);
	expect("!blog ");
	ck_assert_int_eq(unlink("blog"), 0);
	make("blog/inner/app.py");
	expect("blog/inner ");
	end();
}
END_TEST

START_TEST(test_an_app_that_becomes_a_symlink_out_is_refused)
{
	begin();
	make("blog/app.py");
	expect("blog ");
	ck_assert_int_eq(rename("blog", "../elsewhere"), 0);
	ck_assert_int_eq(symlink("../elsewhere", "blog"), 0);
	expect("!blog ");
	end();
}
END_TEST

START_TEST(test_a_directory_that_cannot_be_read_is_remarked)
{
	begin();
	make("blog/app.py");
	make("secret/app.py");
	ck_assert_int_eq(chmod("secret", 0), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	expect("blog ");
	ck_assert(remarked("secret", "cannot be read"));
	ck_assert_int_eq(seteuid(getuid()), 0);
	ck_assert_int_eq(chmod("secret", 0755), 0);
	end();
}
END_TEST

START_TEST(test_without_apps_it_says_so_and_leaves_what_it_had)
{
	begin();
	make("blog/app.py");
	expect("blog ");
	ck_assert_int_eq(rename("../apps", "../away"), 0);
	ck_assert_int_eq(discover(apps, &found, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "cannot be read: No such"));
	ck_assert_uint_eq(found.napps, 1);
	ck_assert_str_eq(found.apps[0].name, "blog");
	end();
}
END_TEST

START_TEST(test_there_may_be_only_so_many)
{
	char path[32];

	begin();
	make("zzz/app.py");
	expect("zzz ");
	for (int i = 0; i < DISCOVER_APPS_MOST; i++) {
		snprintf(path, sizeof path, "a%04d/app.py", i);
		make(path);
	}
	look();
	ck_assert_uint_eq(found.napps, DISCOVER_APPS_MOST);
	named("zzz"); /* it was there first */
	named("a0998");
	ck_assert(remarked("a0999", "too many"));
	end();
}
END_TEST

START_TEST(test_remarks_are_limited)
{
	char path[32];

	begin();
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof path, "file%d", i);
		make(path);
	}
	look();
	ck_assert_uint_eq(found.nremarks, 101);
	ck_assert_str_eq(found.remarks[100], "there is more of this kind");
	end();
}
END_TEST

/* Makes a directory in fd, closes that, and gives the new one. */
static int
descend(int fd, char *path, const char *part)
{
	int next;

	ck_assert_int_eq(mkdirat(fd, part, 0755), 0);
	next = openat(fd, part, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ne(next, -1);
	close(fd);
	strcat(path, "/");
	strcat(path, part);
	return next;
}

/* The longest path that open(2) takes has 4095 bytes. */
START_TEST(test_a_path_of_any_length_is_handled_or_refused)
{
	char part[201], path[5000];
	int fd;

	begin();
	memset(part, 'x', 200);
	part[200] = '\0';
	strcpy(path, apps);
	fd = open(".", O_RDONLY | O_DIRECTORY);
	while (strlen(path) < 4095 - 250)
		fd = descend(fd, path, part);
	part[(4095 - strlen(path)) / 2 - 1] = '\0';
	fd = descend(fd, path, part);
	memset(part, 'y', 200);
	part[4095 - strlen(path) - 1] = '\0';
	fd = descend(fd, path, part);
	ck_assert_uint_eq(strlen(path), 4095);
	ck_assert_int_eq(mkdirat(fd, "blog", 0755), 0);
	close(openat(fd, "blog/app.py", O_CREAT | O_WRONLY, 0644));
	close(fd);

	ck_assert_int_eq(discover(path, &found, &why), 0);
	ck_assert_uint_eq(found.napps, 1);
	ck_assert_str_eq(found.apps[0].refused,
	    "where it lies cannot be told: File name too long");
	strcat(path, "/");
	ck_assert_int_eq(discover(path, &found, &why), -1);
	ck_assert_uint_eq(found.napps, 1);
	strcat(path, "blog");
	ck_assert_int_eq(discover(path, &found, &why), -1);
	ck_assert_int_eq(system("rm -r x*"), 0); /* nftw(3) cannot */
	end();
}
END_TEST

START_TEST(test_a_name_of_full_length_is_an_app)
{
	char path[300], name[256];

	begin();
	memset(name, 'n', 255);
	name[255] = '\0';
	snprintf(path, sizeof path, "%s/app.py", name);
	make(path);
	look();
	ck_assert_uint_eq(found.napps, 1);
	ck_assert_str_eq(found.apps[0].name, name);
	end();
}
END_TEST

START_TEST(test_no_descriptor_is_left_open)
{
	int before;

	begin();
	make("blog/app.py");
	make("tools/wiki/app.py");
	make("tools/empty/");
	before = scene_descriptors();
	look();
	look();
	ck_assert_int_eq(discover("/nonexistent", &found, &why), -1);
	ck_assert_int_eq(scene_descriptors(), before);
	end();
}
END_TEST

static uint64_t
stamp(void)
{
	return discover_stamp(found.groups, found.ngroups);
}

/* Old enough that two changes cannot have been given one time. */
static void
age(const char *path)
{
	struct timespec old[2] = { { .tv_sec = 1000000 },
		{ .tv_sec = 1000000, .tv_nsec = 5 } };

	ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
}

START_TEST(test_the_stamp_changes_with_every_directory_looked_into)
{
	uint64_t first;

	begin();
	make("tools/wiki/app.py");
	make("blog/app.py");
	make("new/");
	look();
	age(".");
	age("tools");
	age("new");
	first = stamp();
	ck_assert_uint_eq(stamp(), first);
	make("blog/other.py"); /* within an app: no matter */
	ck_assert_uint_eq(stamp(), first);
	make("tools/two/app.py");
	ck_assert_uint_ne(stamp(), first);
	age("tools");
	ck_assert_uint_eq(stamp(), first);
	make("new/app.py");
	ck_assert_uint_ne(stamp(), first);
	age("new");
	make("three/app.py");
	ck_assert_uint_ne(stamp(), first);
	age(".");
	ck_assert_uint_eq(stamp(), first);
	ck_assert_int_eq(chmod("new", 0700), 0);
	ck_assert_uint_ne(stamp(), first);
	ck_assert_int_eq(chmod("new", 0755), 0);
	ck_assert_int_eq(rename("tools", "things"), 0);
	age(".");
	ck_assert_uint_ne(stamp(), first);
	end();
}
END_TEST

START_TEST(test_the_stamp_changes_again_when_a_change_has_become_old)
{
	struct timespec now[2], old[2];
	uint64_t fresh;

	begin();
	look();
	clock_gettime(CLOCK_REALTIME, &now[1]);
	now[0] = now[1];
	ck_assert_int_eq(utimensat(AT_FDCWD, ".", now, 0), 0);
	fresh = stamp();
	old[0] = old[1] = now[1];
	old[1].tv_sec -= 3;
	ck_assert_int_eq(utimensat(AT_FDCWD, ".", old, 0), 0);
	ck_assert_uint_ne(stamp(), fresh);
	end();
}
END_TEST

START_TEST(test_a_stamp_of_nothing_is_a_stamp)
{
	char *groups[] = { (char *)"/nonexistent/a" };

	ck_assert_uint_eq(discover_stamp(NULL, 0), discover_stamp(NULL, 0));
	ck_assert_uint_eq(discover_stamp(groups, 1), discover_stamp(groups, 1));
	ck_assert_uint_ne(discover_stamp(NULL, 0), discover_stamp(groups, 1));
}
END_TEST

START_TEST(test_a_link_that_leaves_is_followed_where_that_is_wanted)
{
	begin();
	ck_assert_int_eq(mkdir("../outside", 0755), 0);
	scene_write("../outside/wsgi.py", "");
	ck_assert_int_eq(symlink("../outside", "blog"), 0);
	ck_assert_int_eq(symlink("..", "loop"), 0);
	found.follows_links = 1;
	look();
	ck_assert_uint_eq(found.napps, 1);
	ck_assert_ptr_null(named("blog")->refused);
	look(); /* it is remembered */
	ck_assert_ptr_null(named("blog")->refused);
	ck_assert_int_eq(chmod("../outside", 0777), 0);
	look();
	ck_assert_ptr_nonnull(strstr(named("blog")->refused, "chmod o-w"));
	ck_assert_int_eq(chmod("../outside", 0755), 0);
	found.follows_links = 0;
	look();
	ck_assert_ptr_nonnull(strstr(named("blog")->refused, "leaves apps/"));
	end();
}
END_TEST

START_TEST(test_names_that_an_application_may_have_and_may_not)
{
	static const char *const good[] = { "blog", "ROOT", "tools/wiki",
		"a/b/c/d", "a b", "it's", "caf\xc3\xa9", "@example.org/ROOT",
		"-x", "a..b", "x@y", "public", "public/blog", "a/publicity" };
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", "..",
		"a/..", ".hidden", "_private", "tools/__pycache__",
		"node_modules", "a/b/c/d/e", "@example.org", "@/x", "@a b/x",
		"a\nb", "caf\xe9", "a\x7f", "tools/public", "tools/public/blog",
		"@example.org/public" };
	char part[NAME_MAX + 2];

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ck_assert_msg(discover_name(good[i], &why) == 0, "%s: %s",
		    good[i], why.text);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(discover_name(bad[i], &why) == -1, "%s", bad[i]);
	ck_assert_ptr_nonnull(strstr(why.text, "take another name"));
	memset(part, 'x', sizeof part);
	part[NAME_MAX + 1] = '\0';
	ck_assert_int_eq(discover_name(part, &why), -1);
	part[NAME_MAX] = '\0';
	ck_assert_int_eq(discover_name(part, &why), 0);
}
END_TEST

SUITE("discover", test_nothing_is_found_where_nothing_is,
    test_an_app_is_known_by_its_files, test_other_files_make_no_app,
    test_only_a_directory_of_directories_is_a_group, test_apps_do_not_nest,
    test_looks_four_levels_deep, test_some_names_are_never_looked_into,
    test_a_virtual_environment_is_no_app,
    test_files_beside_the_apps_are_remarked,
    test_names_that_are_no_text_are_passed_over,
    test_root_is_the_place_itself_and_no_group,
    test_host_directories_are_always_groups,
    test_one_host_in_two_spellings_is_served_once,
    test_a_symlink_may_lead_to_another_place_below_apps,
    test_a_symlink_that_leaves_apps_is_refused,
    test_a_symlink_that_leads_nowhere_or_back_is_passed_over,
    test_two_groups_that_lead_to_each_other_come_to_an_end,
    test_what_everybody_may_write_to_is_refused,
    test_what_was_an_app_stays_one_while_its_directory_is_there,
    test_a_group_that_becomes_an_app_takes_those_below_it_away,
    test_what_was_refused_is_looked_at_afresh,
    test_an_app_that_becomes_a_symlink_out_is_refused,
    test_a_directory_that_cannot_be_read_is_remarked,
    test_without_apps_it_says_so_and_leaves_what_it_had,
    test_there_may_be_only_so_many, test_remarks_are_limited,
    test_a_path_of_any_length_is_handled_or_refused,
    test_a_name_of_full_length_is_an_app, test_no_descriptor_is_left_open,
    test_the_stamp_changes_with_every_directory_looked_into,
    test_the_stamp_changes_again_when_a_change_has_become_old,
    test_a_stamp_of_nothing_is_a_stamp,
    test_names_that_an_application_may_have_and_may_not,
    test_a_link_that_leaves_is_followed_where_that_is_wanted);
