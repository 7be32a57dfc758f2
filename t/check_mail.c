#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mail.h"
#include "lib/xalloc.h"
#include "t/check.h"
#include "t/scene.h"

#define LIMIT 20000 /* ms until a test gives up */

static struct account account;
static struct mail mail;
static struct loop *loop;
static char text[128 * 1024];

static void
reap(void *arg, int64_t now)
{
	(void)arg;
	proc_reap(now);
}

/* sendmail is a script that begins by adding what it gets to "mails". */
static void
sendmail_does(const char *script)
{
	char *path = xprintf("%s/sendmail", account.root);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fprintf(
	    f, "#!/bin/sh\necho \"$#:$*\" >>mails; cat >>mails; %s\n", script);
	fclose(f);
	ck_assert_int_eq(chmod(path, 0755), 0);
	free(account.settings.sendmail);
	account.settings.sendmail = path;
}

static void
begin(void)
{
	static char here[512];

	memset(&account, 0, sizeof account);
	scene_enter();
	ck_assert_ptr_nonnull(getcwd(here, sizeof here));
	account.root = account.logs = here;
	account.log = xprintf("%s/mamayo.log", here);
	account.home = account.user = here;
	account.run_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	account.settings.mail = xstrdup("me@example.org");
	ck_assert_int_eq(log_open("mamayo.log"), 0);
	loop = loop_new();
	loop_signal(loop, SIGCHLD, reap, NULL);
	mail_init(&mail, loop, &account);
	sendmail_does("");
}

static void
end(void)
{
	mail_release(&mail);
	loop_free(loop);
	free(account.settings.mail);
	free(account.settings.sendmail);
	free(account.log);
	close(account.run_fd);
	scene_leave();
}

/* Until all has been sent. */
static void
settle(void)
{
	int64_t limit = clock_ms() + LIMIT;

	while (mail_is_busy(&mail)) {
		ck_assert_int_lt(clock_ms(), limit);
		loop_turn(loop);
	}
}

static void
happens(const char *kind, const char *app)
{
	mail_incident(&mail, kind, app, "something", "It has happened.");
	settle();
}

static int
count(const char *file, const char *words)
{
	const char *at = text;
	int n = 0;

	text[0] = '\0';
	if (access(file, F_OK) == 0)
		scene_read(file, text, sizeof text);
	while ((at = strstr(at, words)) != NULL) {
		n++;
		at++;
	}
	return n;
}

#define SAYS(words) ck_assert_msg(count("mails", words) > 0, "%s", text)

START_TEST(test_a_message_says_what_has_happened_and_where_to_look)
{
	int before;

	begin();
	before = scene_descriptors();
	mail_incident(&mail, "died", "tools/wiki", "workers of wiki crash",
	    "Three have.\n\nOthers were started.");
	settle();
	ck_assert_int_eq(count("mails", "3:-i -- me@example.org\n"
					"To: me@example.org\n"
					"Subject: [mamayo] workers of wiki "
					"crash ("),
	    1);
	SAYS("\nAuto-Submitted: auto-generated\n");
	SAYS("charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
	     "Three have.\n\nOthers were started.\n");
	SAYS("/tools:wiki.log\n");
	SAYS("/mamayo.log\n");
	SAYS("(mamayo logs tools/wiki)\n");
	ck_assert_int_eq(
	    count("mamayo.log", "mail to me@example.org about \"workers of "),
	    1);
	ck_assert_int_eq(scene_descriptors(), before);
	end();
}
END_TEST

START_TEST(test_nobody_wants_to_know)
{
	begin();
	free(account.settings.mail);
	account.settings.mail = NULL;
	happens("died", "blog");
	ck_assert_int_eq(access("mails", F_OK), -1);
	ck_assert_int_eq(access("state", F_OK), -1);
	end();
}
END_TEST

START_TEST(test_one_of_a_kind_and_app_in_an_hour)
{
	begin();
	for (int i = 0; i < 10; i++)
		happens("died", "blog");
	ck_assert_int_eq(count("mails", "Subject:"), 1);
	happens("stuck", "blog");
	happens("died", "wiki");
	happens("died", NULL);
	happens("died", NULL);
	ck_assert_int_eq(count("mails", "Subject:"), 4);
	end();
}
END_TEST

START_TEST(test_another_supervisor_remembers)
{
	struct stat st;

	begin();
	umask(0);
	happens("died", "blog");
	ck_assert_int_eq(stat("state/_mail.json", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(stat("state", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	mail_release(&mail);
	mail_init(&mail, loop, &account);
	happens("died", "blog");
	ck_assert_int_eq(count("mails", "Subject:"), 1);
	happens("stuck", "blog");
	ck_assert_int_eq(count("mails", "Subject:"), 2);
	end();
}
END_TEST

START_TEST(test_after_an_hour_there_is_another)
{
	char memory[256];
	long now = (long)time(NULL);

	begin();
	ck_assert_int_eq(mkdir("state", 0700), 0);
	snprintf(memory, sizeof memory,
	    "{\"sent\": [[%ld, \"died\", \"a\"], [%ld, \"died\", \"b\"], "
	    "[%ld, \"died\", \"c\"], [\"\"], 7, [%ld, \"died\", 7]]}",
	    now - MAIL_HOUR_S + 60, now - MAIL_HOUR_S - 1, now + 60, now);
	scene_write("state/_mail.json", memory);
	happens("died", "a");
	ck_assert_int_eq(count("mails", "Subject:"), 0);
	happens("died", "b");
	happens("died", "c"); /* the clock was set back meanwhile */
	ck_assert_int_eq(count("mails", "Subject:"), 2);
	ck_assert_int_eq(count("state/_mail.json", "died"), 3);
	end();
}
END_TEST

START_TEST(test_there_is_an_end_to_them)
{
	char app[16];

	begin();
	for (int i = 0; i < MAIL_HOUR_MOST + 5; i++) {
		snprintf(app, sizeof app, "app%d", i);
		mail_incident(&mail, "died", app, "something", "Ouch.");
	}
	settle();
	ck_assert_int_eq(count("mails", "Subject:"), MAIL_HOUR_MOST);
	ck_assert_int_eq(count("mails", "no more messages"), 1);
	end();
}
END_TEST

START_TEST(test_nothing_becomes_a_header_or_a_command)
{
	begin();
	mail_incident(&mail, "died", "x\r\nBcc: you@example.org",
	    "x\r\nBcc: you@example.org\n\xc3\xa4\x1b[0m",
	    "\r\nBcc: them\r\n.\n\x1b[2J\xff gr\xc3\xbc\xc3\x9f");
	settle();
	SAYS("\nSubject: [mamayo] x??Bcc: you@example.org????[0m (");
	SAYS("8bit\n\n\\x0d\nBcc: them\\x0d\n.\n\\x1b[2J\\xff "
	     "gr\xc3\xbc\xc3\x9f\n");
	SAYS("/x\\x0d\nBcc%3A you@example.org.log\n"); /* in the body */
	*strstr(text, "\n\n") = '\0';
	ck_assert_ptr_null(strstr(text, "\nBcc"));
	ck_assert_ptr_null(strchr(text, '\r'));
	ck_assert_int_eq(count("mamayo.log", "\nBcc"), 0);
	end();
}
END_TEST

START_TEST(test_a_long_text_is_cut_and_its_lines_are_broken)
{
	static char most[100000];

	begin();
	memset(most, '\x01', sizeof most - 1);
	mail_incident(&mail, "died", "blog", most, most);
	settle();
	scene_read("mails", text, sizeof text);
	for (char *line = strtok(text, "\n"); line != NULL;
	     line = strtok(NULL, "\n"))
		ck_assert_uint_le(strlen(line), 998);
	ck_assert_int_eq(count("mails", "\\x01"), MAIL_TEXT_MOST);
	SAYS("What to look at");
	end();
}
END_TEST

START_TEST(test_a_failure_is_one_line)
{
	begin();
	sendmail_does("echo no such user >&2; echo more; exit 75");
	happens("died", "blog");
	happens("died", "blog");
	ck_assert_int_eq(
	    count("mamayo.log", "sendmail: exit status 75: no such "
				"user\n"),
	    1);
	ck_assert_int_eq(unlink("sendmail"), 0);
	happens("died", "wiki");
	ck_assert_int_eq(count("mamayo.log", "no mail to"), 2);
	ck_assert_int_eq(count("mamayo.log", "sendmail: No such file"), 1);
	end();
}
END_TEST

START_TEST(test_one_that_hangs_is_killed_and_holds_up_nobody)
{
	int64_t begun = clock_ms();

	begin();
	sendmail_does("sleep 60 & echo $! >pid; wait");
	mail_incident(&mail, "died", "blog", "something", "Ouch.");
	mail_incident(&mail, "died", "wiki", "something", "Ouch.");
	ck_assert_int_lt(clock_ms() - begun, 5000);
	settle();
	ck_assert_int_ge(clock_ms() - begun, MAIL_LIMIT_MS);
	ck_assert_int_eq(count("mails", "Subject:"), 1);
	ck_assert_int_eq(
	    count("mamayo.log", "sendmail had not ended after 10 seconds"), 1);
	scene_read("pid", text, sizeof text);
	while (proc_alive((pid_t)atol(text), 0)) { /* its child as well */
		ck_assert_int_lt(clock_ms() - begun, LIMIT);
		usleep(10000);
	}
	end();
}
END_TEST

START_TEST(test_a_memory_that_cannot_be_kept_is_kept_in_memory)
{
	begin();
	scene_write("state", "in the way");
	happens("died", "blog");
	happens("died", "blog");
	ck_assert_int_eq(count("mails", "Subject:"), 1);
	ck_assert_int_eq(count("mamayo.log", "cannot write"), 1);
	ck_assert_int_eq(unlink("state"), 0);
	ck_assert_int_eq(mkdir("state", 0700), 0);
	scene_write("state/_mail.json", "{\"sent\": 7}");
	happens("stuck", "blog");
	scene_write("state/_mail.json", "nonsense");
	happens("stuck", "wiki");
	ck_assert_int_eq(count("mails", "Subject:"), 3);
	end();
}
END_TEST

SUITE("mail", test_a_message_says_what_has_happened_and_where_to_look,
    test_nobody_wants_to_know, test_one_of_a_kind_and_app_in_an_hour,
    test_another_supervisor_remembers, test_after_an_hour_there_is_another,
    test_there_is_an_end_to_them, test_nothing_becomes_a_header_or_a_command,
    test_a_long_text_is_cut_and_its_lines_are_broken,
    test_a_failure_is_one_line,
    test_one_that_hangs_is_killed_and_holds_up_nobody,
    test_a_memory_that_cannot_be_kept_is_kept_in_memory);
