#ifndef MAMAYO_COMMAND_H
#define MAMAYO_COMMAND_H

#include <jansson.h>

#include "lib/account.h"
#include "lib/app.h"

/*
 * command: the command line: one verb per file, one struct per verb, and what
 * they have in common.
 *
 * run() gets the arguments after the verb and returns the exit status: 0 done
 * or healthy, 1 failed or unhealthy, 2 wrong usage, 78 refuses to serve.
 */
#define EXIT_UNHEALTHY 1
#define EXIT_USAGE     2
#define EXIT_REFUSED   78 /* EX_CONFIG of sysexits.h */

#define COMMAND_WAIT 10000 /* ms for the supervisor's next word, usually */

struct command {
	const char *name;
	const char *arguments; /* as usage shows them */
	const char *summary;   /* one line */
	const char *help;      /* the rest of --help */
	int (*run)(const struct command *, int argc, char **argv);
};

extern const struct command command_apps, command_check, command_doctor,
    command_install, command_listen, command_logs, command_new, command_restart,
    command_run, command_serve, command_settings, command_setup, command_start,
    command_status, command_stop, command_uninstall;

/* The name of our program file as we were started: "mamayo.fcgi". Set by
 * main(), for responders that a verb makes. */
extern const char *command_program;

/* Prints how it is used, to standard error; gives EXIT_USAGE. */
int command_usage(const struct command *);

/* Opens the account. Returns 0, or says why not and gives EXIT_REFUSED, with
 * nothing to release. */
int command_account(struct account *, int only_looks);

/* Says a problem to standard error; gives EXIT_UNHEALTHY. */
int command_failed(const struct problem *);

/* For a verb whose only argument is the NAME of an application: opens the
 * account and calls with(), which gives the exit status. */
int command_with_name(const struct command *, int argc, char **argv,
    int (*with)(const struct account *, const char *name));

/* The application of that name, copied. Returns 1; 0 if there is none, after
 * it has said so, and which names are like it; -1 with the reason. */
int command_find(
    const struct account *, const char *name, struct app *, struct problem *);
/* Is there one (or is it known otherwise)? The same. */
int command_knows(
    const struct account *, const char *name, int is_known, struct problem *);

/* Signals that would end us in the middle of something wait until it is done.
 */
void command_hold_signals(void);
void command_let_signals(void);

/* Only one such at a time in an account: takes state/NAME.lock, until it is
 * closed. 0, or -1 with the reason: another process has it. */
int command_lock(
    const struct account *, const char *name, int *fd, struct problem *);

/* What standard output is coloured with, "" where it is no terminal, or
 * NO_COLOR is set. */
enum command_colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD, COLOUR_ASIDE };
const char *command_colour(enum command_colour);
/* The same for the state of an application. */
const char *command_state_colour(const char *state);

/* A connection to the supervisor, or -1 if none runs. Returns 0, or -1 with
 * the reason why that is not known. */
int command_connect(const struct account *, int *fd, struct problem *);
/* Says hello, and then that. Takes the message. 0, or -1 with errno. */
int command_tell(int fd, json_t *message);
/* Gives the supervisor's next message; NULL with errno (ETIMEDOUT). */
json_t *command_hear(int fd, int wait);

/* Has the supervisor, if one runs, obey "start" or "stop": 0, or -1 with the
 * reason. Who comes later finds on disk what is to be. */
int command_order(const struct account *, const char *verb, const char *name,
    struct problem *);

/* What "mamayo stop" (stops) and "mamayo start" do: 0, or what to exit with
 * after it has been said. On disk first: a supervisor that comes at this moment
 * finds it there. */
int command_stop_app(const struct account *, const char *name, int stops);

/* Has a new generation of it serve, and waits for that: 0 with what has
 * happened, -1 with the reason why the old one goes on, or COMMAND_UNKNOWN with
 * the reason why that is not known. */
#define COMMAND_UNKNOWN (-2)
int command_restart_app(
    const struct account *, const char *name, struct problem *text);

/* Handles "VERB ARGUMENT...", --help and --version. */
int command_main(int argc, char **argv);

#endif
