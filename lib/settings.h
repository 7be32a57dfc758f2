#ifndef MAMAYO_SETTINGS_H
#define MAMAYO_SETTINGS_H

#include <stddef.h>

#include "lib/problem.h"

/*
 * settings: mamayo.json -> values.
 *
 * One table in settings.c has every key with its type, range, default and
 * where it may stand; mamayo.json(5) is tested against it. The account's file
 * (ROOT/mamayo.json) gives defaults for all apps and the account's own keys;
 * an app's file (APP/mamayo.json) overrides. A file that is not there is no
 * failure. Every error is a sentence with file, line, key and what was
 * expected: "/home/u/mamayo/apps/blog/mamayo.json:3: "workers.max" must be a
 * whole number from 1 to 1000, not "two"". Files larger than 1 MiB, that are
 * not regular, duplicate keys and unknown keys are errors.
 * Opened O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC.
 */
#define SETTINGS_FILE      "mamayo.json"
#define SETTINGS_FILE_MOST (1024 * 1024)

/* May the workers of an app to which everything leads accept connections? */
enum settings_accept {
	ACCEPT_NEVER,  /* "accept": false */
	ACCEPT_ALWAYS, /* true */
	ACCEPT_AS_ROOT /* neither: if it is apps/ROOT */
};

/* name=value strings, NULL-terminated; names sorted. Owned. */
struct app_settings {
	char *entry;       /* "module:callable"; NULL: find it */
	char *python;      /* interpreter; NULL: find it */
	char *preload;     /* "framework" (NULL), "none" or "app" */
	char *health;      /* "/path"; NULL: none */
	int workers_min;   /* 0 */
	int workers_max;   /* 0: by settings_workers_default() */
	int idle;          /* seconds, 300 */
	int max_requests;  /* 0, here and in the next two: no limit */
	int lifetime;      /* seconds */
	int memory;        /* MB */
	int timeout;       /* seconds of silence, 120 */
	int start_timeout; /* seconds, 60 */
	int queue;         /* waiting requests, 100 */
	int queue_timeout; /* seconds, 30 */
	int stop_timeout;  /* seconds, 5 */
	int body_timeout;  /* seconds, 60 */
	char **env;        /* "NAME=value" for the process; NULL: none */
	char **environ_; /* "NAME=value" for the WSGI dictionary ("environ") */
	char *hook_install, *hook_upgrade; /* commands; NULL: none */
	int hook_timeout;                  /* seconds, 600 */
	char **static_; /* "/ADDRESS=directory": what is served without it */
	int debug;      /* 0: visitors see no details */
	int log_size;   /* MiB, 10 */
	int log_keep;   /* old ones, 3 */
	int accept;     /* enum settings_accept */
	int accel;      /* 1: workers may use the accelerator */
};

struct account_settings {
	struct app_settings app; /* defaults for every app */
	int linger;     /* seconds the supervisor stays without workers, 300 */
	int grace;      /* seconds it waits for a web server to come back, 30 */
	char *mail;     /* an address; NULL: nobody wants to know */
	char *sendmail; /* path; NULL: where it usually is */
	int links;      /* 1: apps/ may have links that leave it */
	int max_workers; /* of all apps together; 0: settings_total_default() */
};

/* The built-in defaults. Release with the matching function. */
void account_settings_init(struct account_settings *);
void account_settings_release(struct account_settings *);
void app_settings_release(struct app_settings *);
/* Fills `to`, which holds nothing yet. */
void app_settings_copy(struct app_settings *to, const struct app_settings *);

/*
 * Reads a file. On success replaces *out (releasing what it held) and returns
 * 0 (1 if there is no file: defaults). On failure leaves *out as it was, sets
 * the problem and returns -1.
 */
int account_settings_read(
    const char *path, struct account_settings *out, struct problem *);
/* Starts from the account's defaults. */
int app_settings_read(const char *path, const struct account_settings *,
    struct app_settings *out, struct problem *);

/* workers.max where nothing is set: min(4, cores, RLIMIT_NPROC / 8, memory /
 * 128 MiB), at least 1. max_workers: min(32, RLIMIT_NPROC / 4, memory / 64
 * MiB), at least 1. Memory is the smallest of RAM, RLIMIT_AS and the cgroup's
 * memory.max. */
int settings_workers_default(void);
int settings_total_default(void);

/* For the manual's test and `mamayo settings`: one line per key, in the
 * manual's order, "KEY|where|type|default|unit|meaning", written to standard
 * output. where is app or account; the unit may be empty. */
void settings_print_table(void);

#endif
