#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jsonfile.h"
#include "lib/machine.h"
#include "lib/near.h"
#include "lib/settings.h"
#include "lib/xalloc.h"

#define SECONDS_MOST  86400
#define REQUESTS_MOST 1000000000
#define LIFETIME_MOST (366 * 86400)
#define MEMORY_MOST   (1024 * 1024)
#define NAMES_MOST    1000 /* of one "env" or "environ" */
#define ADDRESS_MOST  254
#define HEALTH_MOST   1024 /* bytes */
#define COMMAND_MOST  4096 /* bytes */
#define STATIC_MOST   255  /* bytes of an address, or of a directory */
#define MEBIBYTE      ((uint64_t)1024 * 1024)

enum where { APP, ACCOUNT };

enum type { TEXT, NUMBER, TRUTH, NAMES };

struct setting {
	const char *key; /* "workers.max" stands in the object "workers" */
	enum where where;
	enum type type;
	size_t at;           /* place in the struct of `where` */
	int least, most;     /* NUMBER */
	int fallback;        /* NUMBER and TRUTH */
	const char *shown;   /* the default, where it is not `fallback` */
	const char *unit;    /* NULL: none */
	const char *meaning; /* also in mamayo.json(5), word by word */
	int (*accepts)(const char *);       /* a TEXT, or a name of NAMES */
	const char *expected;               /* what that is, in words */
	int (*accepts_value)(const char *); /* a value of NAMES; NULL: any */
	const char *expected_value;
};

#define OF_APP(member) .where = APP, .at = offsetof(struct app_settings, member)
#define OF_ACCOUNT(member) \
	.where = ACCOUNT, .at = offsetof(struct account_settings, member)

static int
is_entry(const char *text)
{
	const char *colon = strchr(text, ':');

	return colon != NULL && colon > text && colon[1] != '\0' &&
	       strchr(colon + 1, ':') == NULL &&
	       strpbrk(text, " \t\r\n\"'") == NULL;
}

static int
is_program(const char *text)
{
	return *text != '\0' && strpbrk(text, "\t\r\n") == NULL;
}

static int
is_env_name(const char *name)
{
	return *name != '\0' && strchr("0123456789", *name) == NULL &&
	       strspn(name,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		   "0123456789_") == strlen(name);
}

static int
is_preload(const char *text)
{
	return strcmp(text, "framework") == 0 || strcmp(text, "none") == 0 ||
	       strcmp(text, "app") == 0;
}

/* One address of the usual kind. It becomes an argument and a header: nothing
 * that a mailer takes for an option, a program, a file or a list. */
static int
is_address(const char *text)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *domain = strchr(text, '@');
	char most[80];

	if (domain == NULL || strlen(text) > ADDRESS_MOST || *++domain == '\0')
		return 0;
	snprintf(most, sizeof most, "%s._+-=~'&@", letters);
	if (strspn(text, most) != strlen(text) ||
	    strchr(letters, *text) == NULL)
		return 0;
	snprintf(most, sizeof most, "%s.-", letters);
	return strspn(domain, most) == strlen(domain) &&
	       strchr(letters, *domain) != NULL && strstr(domain, "..") == NULL;
}

static int
is_path(const char *text)
{
	return *text == '/' && is_program(text);
}

static int
is_command(const char *text)
{
	return text[strspn(text, " \t\r\n")] != '\0' &&
	       strlen(text) <= COMMAND_MOST;
}

/* As it stands in a request line, with nothing to be decoded. */
static int
is_health(const char *text)
{
	const char *c;

	for (c = text; *c > ' ' && *c <= '~' && *c != '%' && *c != '#'; c++)
		continue;
	return *text == '/' && *c == '\0' && c - text <= HEALTH_MOST;
}

/* What a request says of itself, no setting may say in its place. */
static int
is_environ_name(const char *name)
{
	static const char *const owned[] = { "REQUEST_METHOD", "SCRIPT_NAME",
		"PATH_INFO", "QUERY_STRING", "REQUEST_URI", "CONTENT_LENGTH",
		"CONTENT_TYPE", "SERVER_NAME", "SERVER_PORT",
		"SERVER_PROTOCOL" };
	static const char *const families[] = { "wsgi.", "mamayo.", "HTTP_" };
	size_t i;

	for (i = 0; i < sizeof owned / sizeof owned[0]; i++)
		if (strcmp(name, owned[i]) == 0)
			return 0;
	for (i = 0; i < sizeof families / sizeof families[0]; i++)
		if (strncmp(name, families[i], strlen(families[i])) == 0)
			return 0;
	return *name != '\0' && strchr(name, '=') == NULL;
}

/* Parts between slashes, none of them empty, "." or "..". */
static int
is_plain_path(const char *text)
{
	size_t n;

	for (;; text += n + 1) {
		n = strcspn(text, "/");
		if (n == 0 || (n <= 2 && strncmp(text, "..", n) == 0))
			return 0;
		if (text[n] == '\0')
			return 1;
	}
}

/* As it is in a decoded address. */
static int
is_static_at(const char *text)
{
	return *text == '/' && strlen(text) <= STATIC_MOST &&
	       strpbrk(text, "=?#%\r\n\t") == NULL &&
	       (text[1] == '\0' || is_plain_path(text + 1));
}

static int
is_static_directory(const char *text)
{
	return is_plain_path(text) && strlen(text) <= STATIC_MOST;
}

/* In the order of the manual. */
static const struct setting table[] = {
	{ .key = "entry",
	    OF_APP(entry),
	    .type = TEXT,
	    .shown = "found",
	    .accepts = is_entry,
	    .expected = "\"module:callable\"",
	    .meaning = "The application: a module and the callable in it." },
	{ .key = "python",
	    OF_APP(python),
	    .type = TEXT,
	    .shown = "found",
	    .accepts = is_program,
	    .expected = "the path or the name of an interpreter",
	    .meaning = "The interpreter: a path, absolute or below the "
		       "application's directory, a virtual environment, or a "
		       "name such as python3.11." },
	{ .key = "preload",
	    OF_APP(preload),
	    .type = TEXT,
	    .shown = "framework",
	    .accepts = is_preload,
	    .expected = "\"framework\", \"none\" or \"app\"",
	    .meaning = "What is imported once, before workers are forked from "
		       "it: the modules that they need beside the application, "
		       "nothing, or the application itself." },
	{ .key = "health",
	    OF_APP(health),
	    .type = TEXT,
	    .shown = "none",
	    .accepts = is_health,
	    .expected = "a path such as \"/health\", without \"%\"",
	    .meaning = "A path below the application's that a new generation "
		       "must answer with a status below 500 before it takes "
		       "the place of the old one." },
	{ .key = "hooks.install",
	    OF_APP(hook_install),
	    .type = TEXT,
	    .shown = "none",
	    .accepts = is_command,
	    .expected = "a command such as \"python manage.py migrate\"",
	    .meaning = "A command that must succeed before the application is "
		       "started for the first time." },
	{ .key = "hooks.upgrade",
	    OF_APP(hook_upgrade),
	    .type = TEXT,
	    .shown = "none",
	    .accepts = is_command,
	    .expected = "a command such as \"python manage.py migrate\"",
	    .meaning = "A command that must succeed before each other new "
		       "generation of it is started." },
	{ .key = "hook_timeout",
	    OF_APP(hook_timeout),
	    .type = NUMBER,
	    .least = 1,
	    .most = SECONDS_MOST,
	    .fallback = 600,
	    .unit = "seconds",
	    .meaning = "How long such a command may take before it is ended, "
		       "and has failed." },
	{ .key = "workers.min",
	    OF_APP(workers_min),
	    .type = NUMBER,
	    .most = 1000,
	    .unit = "workers",
	    .meaning = "Workers that stay although they are idle." },
	{ .key = "workers.max",
	    OF_APP(workers_max),
	    .type = NUMBER,
	    .least = 1,
	    .most = 1000,
	    .shown = "by the machine",
	    .unit = "workers",
	    .meaning = "Workers that may run at the same time." },
	{ .key = "idle",
	    OF_APP(idle),
	    .type = NUMBER,
	    .most = SECONDS_MOST,
	    .fallback = 300,
	    .unit = "seconds",
	    .meaning = "How long a worker may be idle before it is stopped; 0 "
		       "stops it at once." },
	{ .key = "max_requests",
	    OF_APP(max_requests),
	    .type = NUMBER,
	    .most = REQUESTS_MOST,
	    .unit = "requests",
	    .meaning = "How many requests a worker serves before another one "
		       "takes its place; 0: no limit." },
	{ .key = "lifetime",
	    OF_APP(lifetime),
	    .type = NUMBER,
	    .most = LIFETIME_MOST,
	    .unit = "seconds",
	    .meaning = "How long a worker runs before another one takes its "
		       "place; 0: no limit." },
	{ .key = "memory",
	    OF_APP(memory),
	    .type = NUMBER,
	    .most = MEMORY_MOST,
	    .unit = "MB",
	    .meaning = "How much memory a worker may hold before another one "
		       "takes its place; 0: no limit." },
	{ .key = "timeout",
	    OF_APP(timeout),
	    .type = NUMBER,
	    .least = 1,
	    .most = SECONDS_MOST,
	    .fallback = 120,
	    .unit = "seconds",
	    .meaning = "How long a request may be silent before its worker is "
		       "stopped and the visitor gets status 504." },
	{ .key = "start_timeout",
	    OF_APP(start_timeout),
	    .type = NUMBER,
	    .least = 1,
	    .most = SECONDS_MOST,
	    .fallback = 60,
	    .unit = "seconds",
	    .meaning = "How long a worker may take to import the "
		       "application, and to answer \"health\"." },
	{ .key = "queue",
	    OF_APP(queue),
	    .type = NUMBER,
	    .most = 10000,
	    .fallback = 100,
	    .unit = "requests",
	    .meaning = "Requests that may wait for a worker, beside those "
		       "being served; more are answered with status 503, and "
		       "with 0 none waits." },
	{ .key = "queue_timeout",
	    OF_APP(queue_timeout),
	    .type = NUMBER,
	    .least = 1,
	    .most = SECONDS_MOST,
	    .fallback = 30,
	    .unit = "seconds",
	    .meaning = "How long a request may wait for a worker before it is "
		       "answered with status 503." },
	{ .key = "stop_timeout",
	    OF_APP(stop_timeout),
	    .type = NUMBER,
	    .least = 1,
	    .most = SECONDS_MOST,
	    .fallback = 5,
	    .unit = "seconds",
	    .meaning = "How long a worker that was asked to leave may take "
		       "before it is killed." },
	{ .key = "body_timeout",
	    OF_APP(body_timeout),
	    .type = NUMBER,
	    .least = 1,
	    .most = SECONDS_MOST,
	    .fallback = 60,
	    .unit = "seconds",
	    .meaning = "How long the web server may be silent while it sends "
		       "the body of a request." },
	{ .key = "env",
	    OF_APP(env),
	    .type = NAMES,
	    .shown = "none",
	    .accepts = is_env_name,
	    .expected = "letters, digits and \"_\", not a digit first",
	    .meaning = "Environment variables of the worker." },
	{ .key = "environ",
	    OF_APP(environ_),
	    .type = NAMES,
	    .shown = "none",
	    .accepts = is_environ_name,
	    .expected = "a name without \"=\" that no request has of its own",
	    .meaning = "Strings added to the WSGI environ of every request." },
	{ .key = "static",
	    OF_APP(static_),
	    .type = NAMES,
	    .shown = "none",
	    .accepts = is_static_at,
	    .expected = "an address such as \"/static\", without \"%\"",
	    .accepts_value = is_static_directory,
	    .expected_value = "the path of a directory below the "
			      "application's, such as \"staticfiles\"",
	    .meaning = "Directories of the application whose files are served "
		       "without it, each by the address below its own." },
	{ .key = "debug",
	    OF_APP(debug),
	    .type = TRUTH,
	    .meaning = "Show visitors why the application could not start, "
		       "with its traceback." },
	{ .key = "log_size",
	    OF_APP(log_size),
	    .type = NUMBER,
	    .least = 1,
	    .most = 1000,
	    .fallback = 10,
	    .unit = "MiB",
	    .meaning = "How large a log may grow before another is begun." },
	{ .key = "log_keep",
	    OF_APP(log_keep),
	    .type = NUMBER,
	    .most = 100,
	    .fallback = 3,
	    .unit = "files",
	    .meaning = "Old logs that are kept beside the new one." },
	{ .key = "accept",
	    OF_APP(accept),
	    .type = TRUTH,
	    .fallback = ACCEPT_AS_ROOT,
	    .shown = "true for ROOT",
	    .meaning = "Let the workers take connections themselves, where "
		       "this is the only application and mamayo listen has "
		       "bound the socket." },
	{ .key = "accel",
	    OF_APP(accel),
	    .type = TRUTH,
	    .fallback = 1,
	    .meaning = "Let the workers serve with the accelerator, where "
		       "their Python loads it." },
	{ .key = "linger",
	    OF_ACCOUNT(linger),
	    .type = NUMBER,
	    .most = SECONDS_MOST,
	    .fallback = 300,
	    .unit = "seconds",
	    .meaning = "How long the supervisor stays after the last worker "
		       "or fork server has left; 0 lets it leave at once." },
	{ .key = "grace",
	    OF_ACCOUNT(grace),
	    .type = NUMBER,
	    .most = SECONDS_MOST,
	    .fallback = 30,
	    .unit = "seconds",
	    .meaning = "How long the supervisor waits for the web server to "
		       "come back before it stops the workers and leaves, and "
		       "workers for a supervisor when theirs has died; 0 does "
		       "not wait." },
	{ .key = "mail",
	    OF_ACCOUNT(mail),
	    .type = TEXT,
	    .shown = "none",
	    .accepts = is_address,
	    .expected = "one mail address such as \"me@example.org\"",
	    .meaning = "Who gets a message when an application cannot be "
		       "started or its workers crash or are stuck." },
	{ .key = "sendmail",
	    OF_ACCOUNT(sendmail),
	    .type = TEXT,
	    .shown = "found",
	    .accepts = is_path,
	    .expected = "the absolute path of a program",
	    .meaning = "The program that sends messages: /usr/sbin/sendmail, "
		       "or /usr/lib/sendmail." },
	{ .key = "links",
	    OF_ACCOUNT(links),
	    .type = TRUTH,
	    .fallback = 0,
	    .meaning = "Serve applications that are symbolic links to a place "
		       "outside of apps/." },
	{ .key = "max_workers",
	    OF_ACCOUNT(max_workers),
	    .type = NUMBER,
	    .least = 1,
	    .most = 10000,
	    .shown = "by the machine",
	    .unit = "workers",
	    .meaning = "Workers of all applications together; each may have "
		       "one in any case." },
};

#define TABLE_END (table + sizeof table / sizeof table[0])

/* A file while it is read. */
struct reader {
	struct jsonfile file;
	enum where where; /* whose file it is */
	struct app_settings *app;
	struct account_settings *account; /* NULL in an app's file */
	struct problem *why;
};

/* The sentence about a key. Always -1. */
#define complain(r, parent, key, ...) \
	jsonfile_complain(&(r)->file, (r)->why, parent, key, __VA_ARGS__)

static void *
place(const struct setting *s, struct app_settings *app,
    struct account_settings *account)
{
	return s->where == APP ? (char *)app + s->at : (char *)account + s->at;
}

void
app_settings_release(struct app_settings *app)
{
	free(app->entry);
	free(app->python);
	free(app->preload);
	free(app->health);
	free(app->hook_install);
	free(app->hook_upgrade);
	xstrvfree(app->env);
	xstrvfree(app->environ_);
	xstrvfree(app->static_);
	memset(app, 0, sizeof *app);
}

void
account_settings_init(struct account_settings *account)
{
	const struct setting *s;

	memset(account, 0, sizeof *account);
	for (s = table; s < TABLE_END; s++)
		if (s->type == NUMBER || s->type == TRUTH)
			*(int *)place(s, &account->app, account) = s->fallback;
}

void
account_settings_release(struct account_settings *account)
{
	app_settings_release(&account->app);
	free(account->mail);
	free(account->sendmail);
	memset(account, 0, sizeof *account);
}

void
app_settings_copy(struct app_settings *to, const struct app_settings *from)
{
	*to = *from;
	to->entry = xstrdup_or_null(from->entry);
	to->python = xstrdup_or_null(from->python);
	to->preload = xstrdup_or_null(from->preload);
	to->health = xstrdup_or_null(from->health);
	to->hook_install = xstrdup_or_null(from->hook_install);
	to->hook_upgrade = xstrdup_or_null(from->hook_upgrade);
	to->env = xstrvdup((const char *const *)from->env);
	to->environ_ = xstrvdup((const char *const *)from->environ_);
	to->static_ = xstrvdup((const char *const *)from->static_);
}

/*
 * The part of a table key that may stand at this place: "workers" of
 * "workers.max" at the top, "max" in "workers". 0 if it does not belong here.
 */
static size_t
part_at(const struct setting *s, const char *parent, const char **part)
{
	size_t n = parent == NULL ? 0 : strlen(parent);

	*part = s->key;
	if (parent == NULL)
		return strcspn(s->key, ".");
	if (strncmp(s->key, parent, n) != 0 || s->key[n] != '.')
		return 0;
	*part = s->key + n + 1;
	return strlen(*part);
}

static int
unknown_key(const struct reader *r, const char *parent, const char *key)
{
	const struct setting *s;
	const char *part, *best = NULL, *dot;
	size_t n, distance, best_n = 0, nearest = NEAR_MOST + 1;

	for (s = table; s < TABLE_END; s++) {
		if (parent == NULL && strcmp(s->key, key) == 0) {
			dot = strchr(s->key, '.');
			if (dot == NULL)
				return complain(r, parent, key,
				    "may stand only in the account's file");
			return complain(r, parent, key,
			    "is to be written as \"%.*s\": {\"%s\": ...}",
			    (int)(dot - s->key), s->key, dot + 1);
		}
		if (s->where == ACCOUNT && r->where == APP)
			continue;
		n = part_at(s, parent, &part);
		distance = n == 0 ? NEAR_MOST + 1 : near_edits(key, part, n);
		if (distance < nearest) {
			nearest = distance;
			best = part;
			best_n = n;
		}
	}
	if (best == NULL)
		return complain(r, parent, key,
		    "is not a key of this file; mamayo.json(5) has them all");
	return complain(r, parent, key,
	    "is not a key of this file; did you mean \"%s%s%.*s\"?",
	    parent == NULL ? "" : parent, parent == NULL ? "" : ".",
	    (int)best_n, best);
}

static int
names_order(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Puts "name=value" among them, in the place of an earlier one. */
static void
names_put(char ***names, size_t *n, const char *name, const char *value)
{
	size_t i, length = strlen(name);

	for (i = 0; i < *n; i++)
		if (strncmp((*names)[i], name, length) == 0 &&
		    (*names)[i][length] == '=')
			break;
	if (i == *n) {
		*names = xrealloc(*names, *n + 2, sizeof **names);
		(*names)[(*n)++] = NULL;
		(*names)[*n] = NULL;
	}
	free((*names)[i]);
	(*names)[i] = xprintf("%s=%s", name, value);
}

static int
read_names(
    const struct reader *r, const struct setting *s, json_t *object, char ***to)
{
	const char *name;
	char out[64];
	json_t *value;
	size_t n = 0;

	if (!json_is_object(object))
		return complain(r, NULL, s->key,
		    "must be an object such as {\"NAME\": \"value\"}, not %s",
		    jsonfile_value(object, out, sizeof out));
	if (json_object_size(object) > NAMES_MOST)
		return complain(r, NULL, s->key,
		    "must have at most %d names, not %zu", NAMES_MOST,
		    json_object_size(object));
	while (*to != NULL && (*to)[n] != NULL)
		n++;
	json_object_foreach(object, name, value)
	{
		if (!s->accepts(name))
			return complain(r, s->key, name,
			    "has a name that may not be set: it must be %s",
			    s->expected);
		if (!json_is_string(value))
			return complain(r, s->key, name,
			    "must be a string, not %s",
			    jsonfile_value(value, out, sizeof out));
		if (s->accepts_value != NULL &&
		    !s->accepts_value(json_string_value(value)))
			return complain(r, s->key, name, "must be %s, not %s",
			    s->expected_value,
			    jsonfile_value(value, out, sizeof out));
		names_put(to, &n, name, json_string_value(value));
	}
	if (n > 1)
		qsort(*to, n, sizeof **to, names_order);
	return 0;
}

static int
read_value(const struct reader *r, const struct setting *s, const char *parent,
    const char *key, json_t *value)
{
	void *to = place(s, r->app, r->account);
	json_int_t number = json_integer_value(value);
	const char *text = json_string_value(value);
	char out[64];

	switch (s->type) {
	case TEXT:
		if (text == NULL || !s->accepts(text))
			return complain(r, parent, key, "must be %s, not %s",
			    s->expected,
			    jsonfile_value(value, out, sizeof out));
		free(*(char **)to);
		*(char **)to = xstrdup(text);
		return 0;
	case NUMBER:
		if (!json_is_integer(value) || number < s->least ||
		    number > s->most)
			return complain(r, parent, key,
			    "must be a whole number from %d to %d, not %s",
			    s->least, s->most,
			    jsonfile_value(value, out, sizeof out));
		*(int *)to = (int)number;
		return 0;
	case TRUTH:
		if (!json_is_boolean(value))
			return complain(r, parent, key,
			    "must be true or false, not %s",
			    jsonfile_value(value, out, sizeof out));
		*(int *)to = json_is_true(value);
		return 0;
	case NAMES:
		return read_names(r, s, value, to);
	}
	return -1;
}

static int
read_key(
    const struct reader *r, const char *parent, const char *key, json_t *value)
{
	const struct setting *s;
	const char *part, *inner;
	json_t *inner_value;
	char out[64];
	size_t n;

	for (s = table; s < TABLE_END; s++) {
		n = part_at(s, parent, &part);
		if (n != strlen(key) || strncmp(part, key, n) != 0 ||
		    (s->where == ACCOUNT && r->where == APP))
			continue;
		if (part[n] == '\0')
			return read_value(r, s, parent, key, value);
		if (!json_is_object(value) && s->type == TEXT)
			return complain(r, parent, key,
			    "must be an object such as {\"%s\": \"...\"}, "
			    "not %s",
			    part + n + 1,
			    jsonfile_value(value, out, sizeof out));
		if (!json_is_object(value))
			return complain(r, parent, key,
			    "must be an object such as {\"%s\": %d}, not %s",
			    part + n + 1, s->least,
			    jsonfile_value(value, out, sizeof out));
		json_object_foreach(value, inner,
		    inner_value) if (read_key(r, key, inner, inner_value) ==
				     -1) return -1;
		return 0;
	}
	return unknown_key(r, parent, key);
}

/* The two may come from two files; where only the least is set, the most
 * follows it. */
static int
check_workers(const struct reader *r)
{
	json_t *written = json_object_get(r->file.root, "workers");
	struct app_settings *app = r->app;

	if (app->workers_max == 0) {
		if (app->workers_min > settings_workers_default())
			app->workers_max = app->workers_min;
		return 0;
	}
	if (app->workers_min <= app->workers_max)
		return 0;
	if (json_object_get(written, "max") == NULL)
		return complain(r, "workers", "min",
		    "must be at most \"workers.max\", which is %d, not %d",
		    app->workers_max, app->workers_min);
	return complain(r, "workers", "max",
	    "must be at least \"workers.min\", which is %d, not %d",
	    app->workers_min, app->workers_max);
}

/* 0, 1 if there is no file, or -1. */
static int
read_file(struct reader *r, const char *path)
{
	const char *key;
	json_t *value;
	int result = jsonfile_read(&r->file, path, SETTINGS_FILE_MOST, r->why);

	if (result != 0)
		return result;
	json_object_foreach(r->file.root, key,
	    value) if ((result = read_key(r, NULL, key, value)) == -1) break;
	if (result == 0)
		result = check_workers(r);
	jsonfile_release(&r->file);
	return result;
}

int
account_settings_read(
    const char *path, struct account_settings *out, struct problem *why)
{
	struct account_settings made;
	struct reader r = { .where = ACCOUNT, .why = why };
	int result;

	account_settings_init(&made);
	r.app = &made.app;
	r.account = &made;
	result = read_file(&r, path);
	if (result == -1) {
		account_settings_release(&made);
		return -1;
	}
	account_settings_release(out);
	*out = made;
	return result;
}

int
app_settings_read(const char *path, const struct account_settings *account,
    struct app_settings *out, struct problem *why)
{
	struct app_settings made;
	struct reader r = { .where = APP, .why = why };
	int result;

	app_settings_copy(&made, &account->app);
	r.app = &made;
	result = read_file(&r, path);
	if (result == -1) {
		app_settings_release(&made);
		return -1;
	}
	app_settings_release(out);
	*out = made;
	return result;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int
settings_workers_default(void)
{
	uint64_t n = least(4, machine_cores());

	n = least(n, machine_processes() / 8);
	n = least(n, machine_memory() / (128 * MEBIBYTE));
	return n < 1 ? 1 : (int)n;
}

int
settings_total_default(void)
{
	uint64_t n = least(32, machine_processes() / 4);

	n = least(n, machine_memory() / (64 * MEBIBYTE));
	return n < 1 ? 1 : (int)n;
}

static void
print_type(const struct setting *s)
{
	switch (s->type) {
	case TEXT:
		printf("string");
		return;
	case NUMBER:
		printf("number from %d to %d", s->least, s->most);
		return;
	case TRUTH:
		printf("true or false");
		return;
	case NAMES:
		printf("names and strings");
		return;
	}
}

static void
print_default(const struct setting *s)
{
	if (s->shown != NULL)
		printf("%s", s->shown);
	else if (s->type == TRUTH)
		printf("%s", s->fallback ? "true" : "false");
	else
		printf("%d", s->fallback);
}

void
settings_print_table(void)
{
	const struct setting *s;

	for (s = table; s < TABLE_END; s++) {
		printf("%s|%s|", s->key, s->where == APP ? "app" : "account");
		print_type(s);
		printf("|");
		print_default(s);
		printf("|%s|%s\n", s->unit == NULL ? "" : s->unit, s->meaning);
	}
}
