#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fcgi/command.h"
#include "fcgi/site.h"
#include "fcgi/task.h"
#include "lib/clock.h"
#include "lib/discover.h"
#include "lib/environment.h"
#include "lib/fd.h"
#include "lib/lease.h"
#include "lib/program.h"
#include "lib/whole.h"
#include "lib/xalloc.h"

#define SERVE_PORT     8080
#define SERVE_PORTS    100   /* that are tried, from there on */
#define SERVE_PLACE    60    /* bytes of the path of a place, at most */
#define SERVE_LOOK_MS  50    /* between looks whether lighttpd listens */
#define SERVE_LEAVE_MS 10000 /* for the supervisor of a place that goes */
#define SERVE_LOG_MOST 65536 /* bytes of what lighttpd says, shown */
#define SERVE_PROGRAM  "lighttpd"
#define SERVE_PATH     "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin"

/* One run of serve, with a place of its own. */
struct serve {
	char *directory; /* the application; NULL: a root directory */
	int port;
	int is_named; /* it must be that one */
	char *place;  /* our temporary directory */
	int fd;       /* that */
	char *root;
	char *run; /* of a root directory that is ours; it may be elsewhere */
	char *lighttpd;
	char **env;
	struct tasks tasks;
};

extern char **environ;

static int
serve_write(const struct serve *s, const char *name, const char *text,
    struct problem *why)
{
	return whole_write(s->fd, name, text, strlen(text), 0644, why);
}

static int
serve_mkdir(const struct serve *s, const char *name, struct problem *why)
{
	if (mkdirat(s->fd, name, 0755) == 0)
		return 0;
	return problem_sys(why, "cannot make %s/%s", s->place, name);
}

/* A place whose path means nothing to lighttpd, and is short enough for the
 * names of sockets. */
static int
serve_make_place(struct serve *s, struct problem *why)
{
	const char *parent = getenv("TMPDIR");

	if (parent == NULL || *parent != '/' || strlen(parent) > SERVE_PLACE ||
	    parent[strspn(parent,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789/._-")] != '\0')
		parent = "/tmp";
	s->place = xprintf("%s/mamayo-serve.XXXXXX", parent);
	if (mkdtemp(s->place) == NULL) {
		problem_sys(why, "cannot make %s", s->place);
		free(s->place);
		s->place = NULL;
		return -1;
	}
	s->fd = open(s->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd == -1)
		return problem_sys(why, "%s", s->place);
	return serve_mkdir(s, "www", why) == -1 ||
		       serve_mkdir(s, "tmp", why) == -1
		   ? -1
		   : 0;
}

/* A root directory with the application at its place, for as long as we run. */
static int
serve_make_root(struct serve *s, struct problem *why)
{
	if (serve_mkdir(s, "root", why) == -1 ||
	    serve_mkdir(s, "root/apps", why) == -1)
		return -1;
	if (symlinkat(s->directory, s->fd, "root/apps/ROOT") == -1)
		return problem_sys(why, "cannot make a link in %s", s->place);
	s->root = xprintf("%s/root", s->place);
	return serve_write(s, "mamayo.json",
		   "{ \"links\": true, \"debug\": true, \"grace\": 0, "
		   "\"linger\": 0 }\n",
		   why) == -1 ||
		       renameat(s->fd, "mamayo.json", s->fd,
			   "root/mamayo.json") == -1
		   ? -1
		   : 0;
}

/* Is nobody there? */
static int
serve_is_free(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, is;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	is = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
	     listen(fd, 1) == 0;
	fd_close(&fd);
	return is;
}

/* From s->port on. */
static int
serve_find_port(struct serve *s, struct problem *why)
{
	int last = s->is_named ? s->port : SERVE_PORT + SERVE_PORTS - 1;

	for (; s->port <= last; s->port++)
		if (serve_is_free(s->port))
			return 0;
	return problem_set(why,
	    "port %d of 127.0.0.1 cannot be had: name another one with --port",
	    s->is_named ? last : SERVE_PORT);
}

static int
serve_find_lighttpd(struct serve *s, struct problem *why)
{
	s->lighttpd = program_find(SERVE_PATH, SERVE_PROGRAM);
	if (s->lighttpd != NULL)
		return 0;
	return problem_set(why,
	    "lighttpd, which this needs, is not installed: let the "
	    "administrator run \"apt-get install lighttpd\"");
}

/* This program, by a path that lighttpd does not take apart. */
static int
serve_link(const struct serve *s, struct problem *why)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n > 0)
		self[n] = '\0';
	if (n > 0 && symlinkat(self, s->fd, SITE_PROGRAM) == 0)
		return 0;
	return problem_sys(why, "cannot make %s/" SITE_PROGRAM, s->place);
}

/* The example, with this place in it. */
static int
serve_configure(const struct serve *s, struct problem *why)
{
	char *program = xprintf("%s/" SITE_PROGRAM, s->place);
	char *sockets = xprintf("%s/", s->place), *text, *own;
	char *nothing = xprintf("\"%s/www\"", s->place);
	const char *pairs[] = { "/srv/mamayo/mamayo.fcgi", program,
		"\"MAMAYO_ROOT\" => \"/srv/mamayo\"",
		"\"MAMAYO_ROOT\" => env.MAMAYO_ROOT",
		/* the application may lie anywhere: mamayo sends its files */
		"\"MAMAYO_SENDFILE\" => \"x-sendfile\"",
		"\"MAMAYO_SENDFILE\" => \"\"", "\"/srv/mamayo/apps\"", nothing,
		"/run/lighttpd/", sockets, NULL };
	int result;

	text = site_example_with("lighttpd.conf", pairs);
	own = xprintf("server.document-root = \"%s/www\"\n"
		      "server.bind = \"127.0.0.1\"\n"
		      "server.port = %d\n"
		      "server.errorlog = \"%s/error.log\"\n"
		      "server.pid-file = \"%s/lighttpd.pid\"\n"
		      "server.upload-dirs = ( \"%s/tmp\" )\n%s",
	    s->place, s->port, s->place, s->place, s->place, text);
	result = serve_write(s, "lighttpd.conf", own, why);
	free(own);
	free(text);
	free(nothing);
	free(sockets);
	free(program);
	return result;
}

/* What lighttpd has to say. */
static int
serve_complain(const struct serve *s, int status, struct problem *why)
{
	char text[100];
	size_t n;
	char *log = whole_read(s->fd, "error.log", SERVE_LOG_MOST, &n);

	if (log != NULL)
		fputs(log, stderr);
	free(log);
	return problem_set(why, "lighttpd has ended (%s)",
	    proc_status_text(status, text, sizeof text));
}

/* Starts it, and waits until it listens (*is_up) or has ended. NULL with the
 * reason why it was not started. */
static struct task *
serve_start(struct serve *s, int *is_up, struct problem *why)
{
	char *file = xprintf("%s/lighttpd.conf", s->place);
	const char *argv[] = { s->lighttpd, "-D", "-f", file, NULL };
	const struct proc_spec spec = { .path = s->lighttpd,
		.argv = argv,
		.env = (const char *const *)s->env,
		.directory = s->place,
		.fd = { -1, -1, -1, -1, -1, -1 },
		.umask = 022 };
	struct task *server;
	struct stat st;

	*is_up = 0;
	(void)unlinkat(s->fd, "error.log", 0);
	server = task_start(&s->tasks, &spec, why);
	free(file);
	while (server != NULL && !*is_up) {
		if (task_wait(&s->tasks, server, SERVE_LOOK_MS))
			break;
		*is_up = fstatat(s->fd, "lighttpd.pid", &st, 0) == 0 &&
			 st.st_size > 0;
	}
	return server;
}

/* Another one may have come first to a port that was free. */
static struct task *
serve_start_somewhere(struct serve *s, struct problem *why)
{
	struct task *server = NULL;
	int is_up = 0;

	do {
		if (serve_find_port(s, why) == -1 ||
		    serve_configure(s, why) == -1 ||
		    (server = serve_start(s, &is_up, why)) == NULL)
			return NULL;
	} while (!is_up && s->tasks.caught == 0 && !serve_is_free(s->port));
	if (is_up)
		return server;
	if (s->tasks.caught == 0)
		serve_complain(s, server->status, why);
	return NULL;
}

/* What the applications print, and what mamayo says of them. */
static void
serve_show_log(struct serve *s)
{
	char *program = xprintf("%s/" SITE_PROGRAM, s->place);
	const char *argv[] = { program, "logs", "-f", "-n", "0",
		s->directory != NULL ? "ROOT" : NULL, NULL };
	const struct proc_spec spec = { .path = program,
		.argv = argv,
		.env = (const char *const *)s->env,
		.directory = s->place,
		.fd = { -1, STDOUT_FILENO, -1, -1, -1, -1 },
		.umask = 022 };
	struct problem why;

	if (task_start(&s->tasks, &spec, &why) == NULL)
		command_failed(&why);
	free(program);
}

static void
serve_tell(const struct serve *s, const struct account *a)
{
	struct discovery found;
	struct problem why;

	discovery_init(&found);
	printf("http://127.0.0.1:%d/  serves %s; Ctrl-C ends it\n", s->port,
	    s->directory != NULL ? s->directory : s->root);
	if (s->directory == NULL && account_discover(a, &found, &why) == 0)
		for (size_t i = 0; i < found.napps; i++)
			if (found.apps[i].host[0] == '\0')
				printf("http://127.0.0.1:%d%s/  %s\n", s->port,
				    found.apps[i].mount, found.apps[i].name);
	fflush(stdout);
	discovery_release(&found);
}

/* Until lighttpd ends, or we are told to end. 0, or -1 with the reason. */
static int
serve_run_server(struct serve *s, const struct account *a, struct problem *why)
{
	struct task *server = serve_start_somewhere(s, why);

	if (server != NULL) {
		serve_tell(s, a);
		serve_show_log(s);
		(void)task_wait(&s->tasks, server, -1);
		if (s->tasks.caught == 0)
			serve_complain(s, server->status, why);
	}
	return s->tasks.caught != 0 ? 0 : -1;
}

/* Where those who were started have found room for it. */
static int
serve_find_run(struct serve *s)
{
	struct account a;
	struct problem why;

	account_init(&a);
	a.only_looks = 1;
	if (account_open(&a, &why) == 0)
		s->run = xstrdup(a.run);
	account_release(&a);
	return s->run != NULL;
}

/* The supervisor of a root directory that is about to go has gone. */
static void
serve_wait(const struct serve *s)
{
	int64_t end = clock_ms() + SERVE_LEAVE_MS;

	while (lease_holder(s->run) != 0 && clock_ms() < end)
		poll(NULL, 0, SERVE_LOOK_MS);
}

static int
serve_prepare(struct serve *s, struct problem *why)
{
	if (serve_find_lighttpd(s, why) == -1 ||
	    serve_make_place(s, why) == -1 || serve_link(s, why) == -1 ||
	    (s->directory != NULL && serve_make_root(s, why) == -1))
		return -1;
	return 0;
}

static void
serve_release(struct serve *s)
{
	fd_close(&s->fd);
	if (s->run != NULL)
		(void)whole_remove(AT_FDCWD, s->run);
	if (s->place != NULL)
		(void)whole_remove(AT_FDCWD, s->place);
	xstrvfree(s->env);
	free(s->run);
	free(s->place);
	free(s->root);
	free(s->directory);
	free(s->lighttpd);
}

/* Gives the exit status. */
static int
serve(struct serve *s)
{
	struct account account;
	struct problem why;
	char *line;
	int status = 0;

	tasks_begin(&s->tasks);
	if (serve_prepare(s, &why) == -1)
		status = command_failed(&why);
	else if (setenv("MAMAYO_ROOT", s->root, 1) == 0 &&
		 (status = command_account(&account, 1)) == 0) {
		line = xprintf("MAMAYO_ROOT=%s", s->root);
		s->env = environment_set(
		    xstrvdup((const char *const *)environ), line);
		free(line);
		if (serve_run_server(s, &account, &why) == -1)
			status = command_failed(&why);
		account_release(&account);
		if (s->directory != NULL && serve_find_run(s))
			serve_wait(s);
	}
	tasks_end(&s->tasks);
	return status;
}

static int
serve_has(const char *directory, const char *name)
{
	char *path = xprintf("%s/%s", directory, name);
	int has = access(path, F_OK) == 0;

	free(path);
	return has;
}

/* The account's own. */
static int
serve_own_root(struct serve *s, struct problem *why)
{
	struct account account;

	account_init(&account);
	if (account_find(&account, why) == 0)
		s->root = xstrdup(account.root);
	account_release(&account);
	return s->root != NULL ? 0 : -1;
}

/* An application, or a root directory? */
static int
serve_choose(struct serve *s, const char *named, struct problem *why)
{
	char *path = realpath(named != NULL ? named : ".", NULL);

	if (path == NULL)
		return problem_sys(why, "%s", named != NULL ? named : ".");
	if (discover_is_app(path))
		s->directory = path;
	else if (serve_has(path, "apps"))
		s->root = path;
	else if (serve_has(path, SETTINGS_FILE))
		s->directory = path;
	else if (named == NULL) {
		free(path);
		return serve_own_root(s, why);
	} else {
		problem_set(why,
		    "%s is neither an application (\"mamayo new\" makes one) "
		    "nor a root directory, which has a directory apps",
		    path);
		free(path);
		return -1;
	}
	return 0;
}

static int
serve_number(const char *text, int *port)
{
	char *end;
	long number = strtol(text, &end, 10);

	*port = number > 0 && number < 65536 ? (int)number : 0;
	return *text >= '0' && *text <= '9' && *end == '\0' && *port != 0;
}

static int
serve_run(const struct command *c, int argc, char **argv)
{
	struct serve s = { .fd = -1, .port = SERVE_PORT };
	const char *named = NULL;
	struct problem why;
	int status;

	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
			s.is_named = 1;
			if (!serve_number(argv[++i], &s.port))
				return command_usage(c);
		} else if (named != NULL || argv[i][0] == '-' ||
			   argv[i][0] == '\0')
			return command_usage(c);
		else
			named = argv[i];
	status = serve_choose(&s, named, &why) == 0 ? serve(&s)
						    : command_failed(&why);
	serve_release(&s);
	return status;
}

const struct command command_serve = {
	.name = "serve",
	.arguments = "[DIRECTORY] [--port NUMBER]",
	.summary = "show applications on this machine, to try them",
	.help = "Serves on http://127.0.0.1:8080/, or the next port that is "
		"free, until Ctrl-C:\nthe application in DIRECTORY at /, or "
		"all of a root directory, as ~/mamayo is\none. Without "
		"DIRECTORY it is the application in the current directory or, "
		"if there\nis none, ~/mamayo. Whoever asks sees errors in the "
		"browser, and the log is shown\nhere. It needs lighttpd, which "
		"runs as you, with a configuration of its own. Not\nfor "
		"visitors: only this machine gets an answer.",
	.run = serve_run,
};
