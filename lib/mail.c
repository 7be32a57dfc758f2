#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/app.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/jsonfile.h"
#include "lib/log.h"
#include "lib/mail.h"
#include "lib/xalloc.h"

#define MAIL_FILE_MOST   262144
#define MAIL_LETTER_MOST 131072
#define MAIL_PIECE       200 /* bytes of a line, before it is broken */
#define MAIL_HOST_MOST   64

/* A message that has not been sent. */
struct letter {
	char *to, *about; /* its address; its subject, for the log */
	char *text;       /* headers and all */
	struct letter *next;
};

static void mail_next(struct mail *, int64_t now);
static void mail_ended(struct proc *, int status, int64_t now);
static void mail_limit_due(struct timer *, int64_t now);

void
mail_init(struct mail *m, struct loop *loop, const struct account *a)
{
	memset(m, 0, sizeof *m);
	m->loop = loop;
	m->account = a;
	m->proc.ended = mail_ended;
	m->limit.due = mail_limit_due;
	m->said = -1;
}

static void
mail_drop_first(struct mail *m)
{
	struct letter *l = m->letters;

	m->letters = l->next;
	free(l->to);
	free(l->about);
	free(l->text);
	free(l);
}

void
mail_release(struct mail *m)
{
	while (m->letters != NULL)
		mail_drop_first(m);
	loop_cancel(m->loop, &m->limit);
	fd_close(&m->said);
	json_decref(m->sent);
	m->sent = NULL;
}

int
mail_is_busy(const struct mail *m)
{
	return m->letters != NULL;
}

/* --------------------------------------------------------------- memory -- */

static char *
mail_memory(const struct mail *m)
{
	return xprintf("%s/state/_mail.json", m->account->root);
}

/* What is on disk, of whichever supervisor; of the last hour only. */
static void
mail_remember(struct mail *m, json_int_t now)
{
	char *path = mail_memory(m);
	struct jsonfile file;
	struct problem why;
	json_t *kept = json_array(), *all = NULL, *one;
	json_int_t at;
	size_t i;
	int result = jsonfile_read(&file, path, MAIL_FILE_MOST, &why);

	if (result == -1)
		log_warn("%s; it is made anew", why.text);
	all = result == 0 ? json_object_get(file.root, "sent") : m->sent;
	json_array_foreach(all, i, one)
	{
		at = json_integer_value(json_array_get(one, 0));
		if (at > now - MAIL_HOUR_S && at <= now &&
		    json_is_string(json_array_get(one, 1)) &&
		    json_is_string(json_array_get(one, 2)) &&
		    json_array_size(kept) < MAIL_HOUR_MOST)
			json_array_append(kept, one);
	}
	if (result == 0)
		jsonfile_release(&file);
	json_decref(m->sent);
	m->sent = kept;
	free(path);
}

static int
mail_write_memory(const char *path, const char *text)
{
	char *made = xprintf("%s.new", path);
	int fd = open(made,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
	    0600);
	int failed = fd == -1 || fd_write_all(fd, text, strlen(text)) == -1 ||
		     rename(made, path) == -1;

	if (failed && fd != -1)
		(void)unlink(made);
	fd_close(&fd);
	free(made);
	return failed ? -1 : 0;
}

static void
mail_note(struct mail *m, json_int_t now, const char *kind, const char *app)
{
	char *directory = xprintf("%s/state", m->account->root);
	char *path = mail_memory(m), *text;
	json_t *all;

	json_array_append_new(m->sent, json_pack("[I, s, s]", now, kind, app));
	all = json_pack("{s:O}", "sent", m->sent);
	text = json_dumps(all, JSON_INDENT(1));
	(void)mkdir(directory, 0700);
	if (text == NULL || mail_write_memory(path, text) == -1)
		log_warn("cannot write %s: %s", path, strerror(errno));
	free(text);
	json_decref(all);
	free(path);
	free(directory);
}

static int
mail_has_sent(const struct mail *m, const char *kind, const char *app)
{
	json_t *one;
	size_t i;

	json_array_foreach(m->sent, i,
	    one) if (strcmp(json_string_value(json_array_get(one, 1)), kind) ==
			 0 &&
		     strcmp(json_string_value(json_array_get(one, 2)), app) ==
			 0) return 1;
	return 0;
}

/* -------------------------------------------------------------- writing -- */

static void
mail_add(struct buf *b, const char *text)
{
	(void)buf_add(b, text, strlen(text)); /* it is large enough */
}

/* For a header: printable ASCII in one line. */
static void
mail_add_plain(struct buf *b, const char *text, size_t most)
{
	char c[2] = "";

	for (; *text != '\0' && most > 0; text++, most--) {
		c[0] = (char)(*text >= ' ' && *text <= '~' ? *text : '?');
		mail_add(b, c);
	}
}

/* For the body: lines, none of them too long, nothing but text in them. */
static void
mail_add_lines(struct buf *b, const char *text)
{
	char shown[4 * MAIL_PIECE + 8];
	size_t left = strnlen(text, MAIL_TEXT_MOST), n;

	while (left > 0) {
		for (n = 0; n < left && n < MAIL_PIECE && text[n] != '\n'; n++)
			continue;
		if (n == MAIL_PIECE)
			while (n > MAIL_PIECE - 4 &&
			       ((unsigned char)text[n] & 0xc0) == 0x80)
				n--; /* not inside a character */
		mail_add(b, log_escape(shown, sizeof shown, text, n));
		mail_add(b, "\n");
		n += n < left && text[n] == '\n';
		text += n;
		left -= n;
	}
}

static void
mail_add_where(
    struct buf *b, const struct account *a, const char *app, const char *host)
{
	char when[64];
	time_t now = clock_wall().tv_sec;
	struct tm tm;
	char *file, *line;

	mail_add(b, "\nWhat to look at:\n\n");
	if (app != NULL) {
		file = app_log_name(app);
		line = xprintf(
		    "    %s/%s\n    (mamayo logs %s)\n", a->logs, file, app);
		mail_add_lines(b, line);
		free(line);
		free(file);
	}
	localtime_r(&now, &tm);
	strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
	line = xprintf("    %s\n    (mamayo logs; mamayo status)\n", a->log);
	mail_add_lines(b, line);
	free(line);
	line = xprintf("mamayo in %s on %s, %s.\n", a->root, host, when);
	mail_add(b, "\n-- \n");
	mail_add_lines(b, line);
	free(line);
	mail_add(b, "Of one kind, a message is sent at most once in an hour. "
		    "To change that:\n\"mail\" in the account's "
		    "mamayo.json.\n");
}

static struct letter *
letter_new(const struct mail *m, const char *app, const char *subject,
    const char *text)
{
	const struct account *a = m->account;
	struct letter *l = xcalloc(1, sizeof *l);
	char host[MAIL_HOST_MOST + 1] = "";
	struct buf b = BUF_INIT(MAIL_LETTER_MOST);

	(void)gethostname(host, sizeof host - 1);
	mail_add(&b, "To: ");
	mail_add_plain(&b, a->settings.mail, SIZE_MAX);
	mail_add(&b, "\nSubject: [mamayo] ");
	mail_add_plain(&b, subject, MAIL_SUBJECT_MOST);
	mail_add(&b, " (");
	mail_add_plain(&b, host, MAIL_HOST_MOST);
	mail_add(&b, ")\n"
		     "Auto-Submitted: auto-generated\n"
		     "MIME-Version: 1.0\n"
		     "Content-Type: text/plain; charset=utf-8\n"
		     "Content-Transfer-Encoding: 8bit\n\n");
	mail_add_lines(&b, text);
	if (json_array_size(m->sent) + 1 >= MAIL_HOUR_MOST)
		mail_add(&b, "\nThere are no more messages in this hour, "
			     "whatever happens.\n");
	mail_add_where(&b, a, app, host);
	l->text = xstrndup((const char *)buf_data(&b), buf_len(&b));
	l->to = xstrdup(a->settings.mail);
	l->about = xstrdup(subject);
	buf_release(&b);
	return l;
}

/* -------------------------------------------------------------- sending -- */

static const char *
mail_program(const struct account *a)
{
	static const char *const usual[] = { "/usr/sbin/sendmail",
		"/usr/lib/sendmail" };

	if (a->settings.sendmail != NULL)
		return a->settings.sendmail;
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
		if (access(usual[i], X_OK) == 0)
			return usual[i];
	return usual[0];
}

/* Starts sendmail with what a file without a name has. */
static int
mail_spawn(
    struct mail *m, const struct letter *l, int text, struct problem *why)
{
	const struct account *a = m->account;
	const char *path = mail_program(a), *zone = getenv("TZ");
	const char *argv[] = { path, "-i", "--", l->to, NULL };
	char *env[] = { xstrdup("PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin"),
		xprintf("HOME=%s", a->home), xprintf("USER=%s", a->user),
		xprintf("LOGNAME=%s", a->user),
		zone != NULL ? xprintf("TZ=%s", zone) : NULL, NULL };
	struct proc_spec spec = { .path = path,
		.argv = argv,
		.env = (const char *const *)env,
		.directory = a->root,
		.fd = { text, m->said, m->said, -1, -1, -1 },
		.umask = 077 };
	int result = proc_start(&m->proc, &spec, why);

	for (size_t i = 0; env[i] != NULL; i++)
		free(env[i]);
	return result;
}

static int
mail_send(struct mail *m, const struct letter *l, struct problem *why)
{
	int text = fd_unnamed(m->account->run_fd), result = -1;

	m->said = fd_unnamed(m->account->run_fd);
	if (text == -1 || m->said == -1 ||
	    fd_write_all(text, l->text, strlen(l->text)) == -1 ||
	    lseek(text, 0, SEEK_SET) == -1)
		problem_sys(why, "cannot write the message");
	else
		result = mail_spawn(m, l, text, why);
	fd_close(&text);
	if (result == -1)
		fd_close(&m->said);
	return result;
}

static void
mail_next(struct mail *m, int64_t now)
{
	struct problem why;

	m->is_late = 0;
	while (m->letters != NULL) {
		if (mail_send(m, m->letters, &why) == 0) {
			(void)loop_timer(
			    m->loop, &m->limit, now + MAIL_LIMIT_MS);
			return;
		}
		log_warn("no mail to %s about \"%s\": %s", m->letters->to,
		    m->letters->about, why.text);
		mail_drop_first(m);
	}
}

static void
mail_limit_due(struct timer *t, int64_t now)
{
	struct mail *m =
	    (struct mail *)((char *)t - offsetof(struct mail, limit));

	m->is_late = 1;
	proc_kill_group(&m->proc, SIGKILL);
	(void)loop_timer(m->loop, &m->limit, now + MAIL_LIMIT_MS);
}

/* The first line of what it has said, as ": TEXT"; or nothing. */
static void
mail_hear(const struct mail *m, char *text, size_t size)
{
	ssize_t n = pread(m->said, text + 2, size - 3, 0);

	if (n <= 0) {
		text[0] = '\0';
		return;
	}
	memcpy(text, ": ", 2);
	text[2 + n] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static void
mail_ended(struct proc *p, int status, int64_t now)
{
	struct mail *m = (struct mail *)p;
	const struct letter *l = m->letters;
	char how[128], said[256];

	loop_cancel(m->loop, &m->limit);
	proc_status_text(status, how, sizeof how);
	mail_hear(m, said, sizeof said);
	fd_close(&m->said);
	if (m->is_late)
		log_warn("no mail to %s about \"%s\": sendmail had not ended "
			 "after %d seconds",
		    l->to, l->about, MAIL_LIMIT_MS / 1000);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		log_info("mail to %s about \"%s\"", l->to, l->about);
	else
		log_warn("no mail to %s about \"%s\": sendmail: %s%s", l->to,
		    l->about, how, said);
	do
		mail_drop_first(m);
	while (m->is_late && m->letters != NULL);
	mail_next(m, now);
}

void
mail_incident(struct mail *m, const char *kind, const char *app,
    const char *subject, const char *text)
{
	json_int_t now = (json_int_t)clock_wall().tv_sec;
	char name[1024];
	struct letter **link;
	int is_busy = mail_is_busy(m);

	if (m->account->settings.mail == NULL)
		return;
	log_escape(name, sizeof name, app != NULL ? app : "",
	    app != NULL ? strlen(app) : 0);
	mail_remember(m, now);
	if (mail_has_sent(m, kind, name) ||
	    json_array_size(m->sent) >= MAIL_HOUR_MOST)
		return;
	for (link = &m->letters; *link != NULL; link = &(*link)->next)
		continue;
	*link = letter_new(m, app, subject, text);
	mail_note(m, now, kind, name);
	if (!is_busy)
		mail_next(m, clock_ms());
}
