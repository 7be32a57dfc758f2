#include "config.h"

#include <fcgiapp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fcgi/apology.h"
#include "fcgi/command.h"
#include "fcgi/responder.h"
#include "lib/account.h"
#include "lib/fd.h"
#include "lib/listen.h"
#include "lib/log.h"

/* Whoever started us may have left anything behind. */
static void
normalise(void)
{
	sigset_t none;

	(void)fd_open_std();
	umask(022);
	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL); /* what cannot be set stays */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static struct problem refused; /* why mamayo does not serve at the moment */

/* Has the reason gone, or given way to another one? */
static int
is_outdated(void)
{
	struct account account;
	struct problem why;
	int result;

	account_init(&account);
	result = account_open(&account, &why) == 0 ||
		 strcmp(why.text, refused.text) != 0;
	account_release(&account);
	return result;
}

/* A web server spawned us: descriptor 0 is a listening socket. */
static int
respond(const char *path)
{
	struct account account;
	struct responder_spec spec = { .account = &account,
		.program = command_program,
		.path = path,
		.listener = { 0 },
		.nlisteners = 1 };
	int status, is_over;

	fd_close_from(3); /* the web server's own, leaked */
	account_init(&account);
	while (account_open(&account, &refused) == -1) {
		account_release(&account);
		fprintf(stderr, "mamayo: %s\n", refused.text);
		is_over =
		    apology_serve(500, "refused", refused.text, is_outdated);
		if (is_over)
			return 0;
	}
	fd_raise_limit();
	log_role("responder");
	if (log_open(account.log) == -1)
		fprintf(stderr, "mamayo: cannot write %s\n", account.log);
	status = responder_run(&spec);
	account_release(&account);
	return status;
}

int
main(int argc, char **argv)
{
	const char *slash;

	normalise();
	if (argc > 0 && argv[0][0] != '\0') {
		slash = strrchr(argv[0], '/');
		command_program = slash != NULL ? slash + 1 : argv[0];
	}
	if (argc < 2 && !FCGX_IsCGI() && listen_is(0))
		return respond(argv[0]);
	if (argc < 2 && getenv("GATEWAY_INTERFACE") != NULL) {
		(void)apology_serve(500, "refused",
		    "the web server started mamayo as a CGI program, and it "
		    "serves as a FastCGI program only: in Apache this file "
		    "needs the handler fcgid-script, as the .htaccess that "
		    "comes with mamayo sets it",
		    NULL);
		return 0;
	}
	return command_main(argc, argv);
}
