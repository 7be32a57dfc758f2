#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/settings.h"
#include "lib/utf8.h"
#include "t/fuzz/fuzz.h"

/* The text of a mamayo.json, read as the account's file and as an app's. */

static char path[256];

static void
remove_file(void)
{
	(void)unlink(path);
}

static void
write_file(const uint8_t *in, size_t n)
{
	static int fd = -1;
	const char *base = getenv("TMPDIR");

	if (fd == -1) {
		snprintf(path, sizeof path, "%s/mamayo-fuzz-XXXXXX",
		    base == NULL ? "/tmp" : base);
		fd = mkstemp(path);
		CHECK(fd != -1);
		CHECK(atexit(remove_file) == 0);
	}
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(pwrite(fd, in, n, 0) == (ssize_t)n);
}

static void
check_names(char *const *names)
{
	for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
		CHECK(strchr(names[i], '=') != NULL && *names[i] != '=');
		CHECK(i == 0 || strcmp(names[i - 1], names[i]) < 0);
	}
}

static void
check_app(const struct app_settings *a)
{
	CHECK(a->workers_min >= 0 && a->workers_min <= 1000);
	CHECK(a->workers_max >= 0 && a->workers_max <= 1000);
	CHECK(a->workers_max == 0 || a->workers_min <= a->workers_max);
	CHECK(a->idle >= 0 && a->idle <= 86400);
	CHECK(a->timeout > 0 && a->timeout <= 86400);
	CHECK(a->start_timeout > 0 && a->start_timeout <= 86400);
	CHECK(a->queue >= 0 && a->queue <= 10000);
	CHECK(a->queue_timeout > 0 && a->queue_timeout <= 86400);
	CHECK(a->stop_timeout > 0 && a->stop_timeout <= 86400);
	CHECK(a->body_timeout > 0 && a->body_timeout <= 86400);
	CHECK(a->debug == 0 || a->debug == 1);
	CHECK(a->entry == NULL || strchr(a->entry, ':') != NULL);
	CHECK(a->python == NULL || *a->python != '\0');
	check_names(a->env);
	check_names(a->environ_);
	check_names(a->static_);
}

/* A sentence that begins with the file and that a log can take. */
static void
check_sentence(const struct problem *why)
{
	const char *at = why->text;
	size_t n, taken;

	CHECK(strncmp(at, path, strlen(path)) == 0);
	CHECK(strlen(at) > strlen(path) + 3);
	for (n = strlen(at); n > 0; at += taken, n -= taken) {
		taken = utf8_shown(at, n);
		CHECK(taken > 0 || n < 4); /* the end may be cut */
		if (taken == 0)
			break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct account_settings account;
	struct app_settings app = { .idle = -7 };
	struct problem why = { "" };

	write_file(in, n);
	account_settings_init(&account);
	account.linger = -7;
	if (account_settings_read(path, &account, &why) == -1) {
		CHECK(account.linger == -7);
		check_sentence(&why);
	} else {
		CHECK(account.linger >= 0 && account.linger <= 86400);
		CHECK(account.grace >= 0 && account.grace <= 86400);
		CHECK(account.max_workers >= 0);
		CHECK(account.max_workers <= 10000);
		check_app(&account.app);
	}
	if (app_settings_read(path, &account, &app, &why) == -1) {
		CHECK(app.idle == -7);
		check_sentence(&why);
	} else
		check_app(&app);
	app_settings_release(&app);
	account_settings_release(&account);
	return 0;
}
