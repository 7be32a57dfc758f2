#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/proc.h"
#include "t/check.h"
#include "t/scene.h"

struct child {
	struct proc proc;
	int ends; /* how often ended() was called */
	int status;
};

static struct problem why;
static char text[64 * 1024];

static void
ended(struct proc *p, int status, int64_t now)
{
	struct child *c = (struct child *)p;

	ck_assert_int_eq(now, 42);
	ck_assert_int_eq(p->pid, 0);
	c->ends++;
	c->status = status;
}

/* sh -c SCRIPT with its output in the file "out". */
static struct proc_spec
shell(const char *script)
{
	static const char *argv[] = { "sh", "-c", NULL, NULL };
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };

	argv[2] = script;
	return (struct proc_spec){ .path = "/bin/sh",
		.argv = argv,
		.env = env,
		.directory = ".",
		.fd = { -1, -1, -1, -1, -1, -1 },
		.umask = 022 };
}

static void
reap(struct child *c)
{
	int64_t end = clock_ms() + 20000;

	for (;;) {
		proc_reap(42);
		if (c->ends > 0)
			return;
		ck_assert_int_lt(clock_ms(), end);
		usleep(2000);
	}
}

static void
start(struct child *c, const struct proc_spec *spec)
{
	*c = (struct child){ .proc = { .ended = ended } };
	ck_assert_msg(proc_start(&c->proc, spec, &why) == 0, "%s", why.text);
	ck_assert_int_gt(c->proc.pid, 0);
}

/* Runs a script to its end; what it printed is in text. Returns the status. */
static int
run(struct proc_spec spec)
{
	struct child c;
	int out = open("out", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	spec.fd[1] = out;
	spec.fd[2] = out;
	start(&c, &spec);
	reap(&c);
	close(out);
	scene_read("out", text, sizeof text);
	return c.status;
}

START_TEST(test_a_child_runs_and_its_end_is_told_once)
{
	struct proc_spec spec = shell("exit 3");
	struct child c;

	start(&c, &spec);
	reap(&c);
	ck_assert_int_eq(c.ends, 1);
	ck_assert_str_eq(
	    proc_status_text(c.status, text, sizeof text), "exit status 3");
	proc_reap(42);
	ck_assert_int_eq(c.ends, 1);
}
END_TEST

START_TEST(test_arguments_environment_directory_and_umask_are_those_given)
{
	const char *const argv[] = { "env", NULL };
	const char *const env[] = { "A=1", "B=two words", NULL };
	struct proc_spec spec = shell("umask; pwd");
	char expected[600];
	const char *directory = scene_enter();

	snprintf(expected, sizeof expected, "0027\n%s/sub\n", directory);
	ck_assert_int_eq(mkdir("sub", 0700), 0);
	umask(0);
	spec.umask = 027;
	spec.directory = "sub";
	ck_assert_int_eq(run(spec), 0);
	ck_assert_str_eq(text, expected);
	spec.path = "/usr/bin/env";
	spec.argv = argv;
	spec.env = env;
	ck_assert_int_eq(run(spec), 0);
	ck_assert_str_eq(text, "A=1\nB=two words\n");
	scene_leave();
}
END_TEST

#ifdef __linux__
/* A set of signals in the /proc/self/status that is in text. */
static uint64_t
signals_of(const char *name)
{
	const char *line = strstr(text, name);

	ck_assert_ptr_nonnull(line);
	return strtoull(line + strlen(name), NULL, 16);
}
#endif

START_TEST(test_evil_that_we_inherited_is_not_handed_on)
{
	static const int signals[] = { SIGPIPE, SIGCHLD, SIGHUP, SIGINT,
		SIGTERM, SIGUSR1, SIGXFSZ };
	sigset_t all;
	struct rlimit core;

	scene_enter();
	getrlimit(RLIMIT_CORE, &core);
	core.rlim_cur = core.rlim_max;
	setrlimit(RLIMIT_CORE, &core);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (signals[i] != SIGCHLD)
			signal(signals[i], SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	ck_assert_int_eq(
	    run(shell("ulimit -c; kill -PIPE $$; echo alive")), SIGPIPE);
	ck_assert_str_eq(text, "0\n");
	ck_assert_int_eq(run(shell("kill -USR1 $$; echo alive")), SIGUSR1);
#ifdef __linux__
	ck_assert_int_eq(run(shell("exec cat /proc/self/status")), 0);
	ck_assert_uint_eq(signals_of("SigBlk:"), 0);
	/* 32 and 33 belong to the C library, which lets nobody reset them */
	ck_assert_uint_eq(signals_of("SigIgn:") & ~UINT64_C(0x180000000), 0);
#endif
	sigprocmask(SIG_SETMASK, NULL, &all);
	ck_assert(sigismember(&all, SIGTERM)); /* ours is as it was */
	scene_leave();
}
END_TEST

START_TEST(test_a_child_leads_its_own_session)
{
	struct proc_spec spec = shell("read line <&3");
	struct child c;
	int ends[2];

	ck_assert_int_eq(fd_pipe(ends), 0);
	spec.fd[3] = ends[0];
	start(&c, &spec);
	ck_assert_int_eq(getsid(c.proc.pid), c.proc.pid);
	ck_assert_int_eq(getpgid(c.proc.pid), c.proc.pid);
	fd_close(&ends[1]);
	reap(&c);
	fd_close(&ends[0]);
}
END_TEST

START_TEST(test_a_child_has_the_limit_that_was_there_before_it_was_raised)
{
	struct rlimit limit;

	scene_enter();
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 123;
	setrlimit(RLIMIT_NOFILE, &limit);
	fd_raise_limit();
	ck_assert_int_eq(run(shell("ulimit -Sn")), 0);
	ck_assert_str_eq(text, "123\n");
	scene_leave();
}
END_TEST

START_TEST(test_a_child_gets_exactly_the_descriptors_named)
{
	struct proc_spec spec =
	    shell("cd /proc/self/fd 2>/dev/null || "
		  "cd /dev/fd; echo *; "
		  "(: <&3) 2>/dev/null && echo three; "
		  "(: <&6) 2>/dev/null && echo six; exit 0");
	int leaks[20];

	scene_enter();
	for (int i = 0; i < 20; i++) /* as a web server leaks them */
		leaks[i] = fcntl(0, F_DUPFD, i < 10 ? 3 : 500);
	ck_assert_int_eq(run(spec), 0);
	ck_assert_ptr_null(strstr(text, "three"));
	ck_assert_ptr_null(strstr(text, "six"));
#ifdef __linux__
	/* 3 is the directory that is being listed */
	ck_assert_str_eq(text, "0 1 2 3\n");
#endif
	spec.fd[3] = leaks[19];
	spec.fd[5] = leaks[18];
	ck_assert_int_eq(run(spec), 0);
	ck_assert_ptr_nonnull(strstr(text, "three"));
	ck_assert_ptr_null(strstr(text, "six"));
	for (int i = 0; i < 20; i++)
		ck_assert_int_ne(fcntl(leaks[i], F_GETFD), -1);
	scene_leave();
}
END_TEST

/*
 * The six files lie on 0 to 5 themselves, in another order than the child
 * wants. Number i of the child must be the file that was named for it.
 */
static void
permute(void)
{
	struct proc_spec spec =
	    shell("for i in 0 1 2 3 4 5; do eval \"echo $i >&$i\"; done");
	struct child c = { .proc = { .ended = ended } };
	char name[16], got[16];
	int order[6] = { 0, 1, 2, 3, 4, 5 };

	fd_close_from(3);
	for (int round = 0; round < 30; round++) {
		for (int i = 5; i > 0; i--) {
			int j = (int)(random() % (i + 1)), k = order[i];

			order[i] = order[j];
			order[j] = k;
		}
		for (int fd = 0; fd < 6; fd++) {
			snprintf(name, sizeof name, "file%d", fd);
			close(fd);
			if (open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
				0600) != fd)
				_exit(2);
		}
		memcpy(spec.fd, order, sizeof order);
		c.ends = 0;
		if (proc_start(&c.proc, &spec, &why) == -1)
			_exit(3);
		while (c.ends == 0)
			proc_reap(42);
		for (int i = 0; i < 6; i++) {
			snprintf(name, sizeof name, "file%d", order[i]);
			scene_read(name, got, sizeof got);
			if (got[0] != '0' + i || got[1] != '\n')
				_exit(4);
			if (fcntl(i, F_GETFD) != FD_CLOEXEC)
				_exit(5);
		}
	}
}

START_TEST(test_descriptors_may_overlap_in_any_order)
{
	scene_enter();
	srandom(3);
	ck_assert_int_eq(scene_child(permute, text, sizeof text), 0);
	scene_leave();
}
END_TEST

/* 0 to 5 are free in the parent: the pipe and /dev/null come to lie there. */
static void
with_low_numbers_free(void)
{
	struct proc_spec spec = shell("echo four >&4; cat; echo $? >&4");
	struct child c = { .proc = { .ended = ended } };
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int high = fcntl(file, F_DUPFD_CLOEXEC, 60);

	for (int fd = 0; fd < 60; fd++)
		close(fd);
	spec.fd[4] = high;
	if (proc_start(&c.proc, &spec, &why) == -1)
		_exit(1);
	while (c.ends == 0)
		proc_reap(42);
	for (int fd = 0; fd < 60; fd++) /* and nothing of ours is left */
		if (fcntl(fd, F_GETFD) != -1)
			_exit(2);
}

START_TEST(test_what_is_not_given_is_null_or_closed)
{
	scene_enter();
	ck_assert_int_eq(
	    scene_child(with_low_numbers_free, text, sizeof text), 0);
	scene_read("file", text, sizeof text);
	ck_assert_str_eq(text, "four\n0\n");
	scene_leave();
}
END_TEST

static void
refused(const char *path, const char *directory, const char *sentence)
{
	struct child c = { .proc = { .ended = ended } };
	struct proc_spec spec = shell("");
	int before = scene_descriptors();

	spec.path = path;
	spec.directory = directory;
	ck_assert_int_eq(proc_start(&c.proc, &spec, &why), -1);
	ck_assert_str_eq(why.text, sentence);
	ck_assert_int_eq(c.proc.pid, 0);
	ck_assert_int_eq(scene_descriptors(), before);
	ck_assert_int_eq(waitpid(-1, NULL, 0), -1); /* no zombie */
	ck_assert_int_eq(errno, ECHILD);
	proc_reap(42);
	ck_assert_int_eq(c.ends, 0);
}

START_TEST(test_a_program_that_cannot_be_executed_is_refused_with_the_reason)
{
	scene_enter();
	refused("/nowhere/python3", ".",
	    "cannot execute /nowhere/python3: No such file or directory");
	refused("/tmp", ".", "cannot execute /tmp: it is a directory");
	scene_write("plain", "text");
	refused("./plain", ".", "cannot execute ./plain: Permission denied");
	chmod("plain", 0700);
	refused("./plain", ".",
	    "cannot execute ./plain: neither a program for this machine nor a "
	    "script that begins with #!");
	scene_write("script", "#!/nowhere/python3\n");
	chmod("script", 0700);
	refused("./script", ".",
	    "cannot execute ./script: the file is there, but the interpreter "
	    "or loader that it names is not");
	ck_assert_int_eq(symlink("/nowhere/python3", "dangling"), 0);
	refused("./dangling", ".",
	    "cannot execute ./dangling: No such file or directory");
	refused("/bin/sh", "no/directory",
	    "cannot enter no/directory: No such file or directory");
	scene_leave();
}
END_TEST

START_TEST(test_starting_and_ending_leave_no_descriptors)
{
	struct proc_spec spec = shell("exit 0");
	int before = scene_descriptors();
	struct child c;

	for (int i = 0; i < 20; i++) {
		start(&c, &spec);
		reap(&c);
	}
	ck_assert_int_eq(scene_descriptors(), before);
}
END_TEST

/* As an ordinary user, with a limit that is reached already. */
static void
fork_beyond_limit(void)
{
	struct rlimit limit;
	struct proc_spec spec = shell("exit 0");
	struct child c = { .proc = { .ended = ended } };

	getrlimit(RLIMIT_NPROC, &limit);
	if (geteuid() == 0 && setuid(65533) == -1)
		_exit(1);
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_NPROC, &limit);
	if (proc_start(&c.proc, &spec, &why) != -1 || c.proc.pid != 0)
		_exit(2);
	if (strcmp(why.text, "cannot fork: Resource temporarily unavailable") !=
	    0)
		_exit(3);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NPROC, &limit);
	if (proc_start(&c.proc, &spec, &why) == -1)
		_exit(4);
	while (c.ends == 0)
		proc_reap(42);
}

START_TEST(test_too_many_processes_are_a_failure_that_can_pass)
{
	ck_assert_int_eq(scene_child(fork_beyond_limit, text, sizeof text), 0);
}
END_TEST

static void
start_without_descriptors(void)
{
	struct proc_spec spec = shell("exit 0");
	struct child c = { .proc = { .ended = ended } };
	struct rlimit limit;

	fd_close_from(3);
	getrlimit(RLIMIT_NOFILE, &limit);
	for (rlim_t most = 0; most < 12; most++) {
		limit.rlim_cur = most;
		setrlimit(RLIMIT_NOFILE, &limit);
		why.text[0] = '\0';
		if (proc_start(&c.proc, &spec, &why) == 0)
			break;
		if (strstr(why.text, "Too many open files") == NULL) {
			dprintf(STDERR_FILENO, "%s", why.text);
			_exit(1);
		}
	}
	if (why.text[0] != '\0' || c.proc.pid == 0)
		_exit(2);
}

START_TEST(test_too_few_descriptors_are_a_failure_with_a_sentence)
{
	ck_assert_msg(
	    scene_child(start_without_descriptors, text, sizeof text) == 0,
	    "%s", text);
}
END_TEST

START_TEST(test_many_ends_are_told_by_one_call)
{
	enum { MANY = 20 };
	struct proc_spec spec = shell("exit 0");
	struct child c[MANY];
	siginfo_t info;

	for (int i = 0; i < MANY; i++)
		start(&c[i], &spec);
	for (int i = 0; i < MANY; i++) /* all have ended, none is reaped */
		ck_assert_int_eq(waitid(P_PID, (id_t)c[i].proc.pid, &info,
				     WEXITED | WNOWAIT),
		    0);
	proc_reap(42);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(c[i].ends, 1);
}
END_TEST

static int freed;

static void
ended_and_freed(struct proc *p, int status, int64_t now)
{
	(void)status;
	(void)now;
	free(p);
	freed = 1;
}

START_TEST(test_who_is_told_of_the_end_may_free_its_owner)
{
	struct proc_spec spec = shell("exit 0");
	struct child *c = calloc(1, sizeof *c);
	int64_t end = clock_ms() + 20000;

	c->proc.ended = ended_and_freed;
	ck_assert_int_eq(proc_start(&c->proc, &spec, &why), 0);
	while (!freed) {
		ck_assert_int_lt(clock_ms(), end);
		proc_reap(42);
	}
}
END_TEST

START_TEST(test_a_signal_reaches_the_child_and_never_a_stranger)
{
	struct proc_spec spec = shell("read line <&3");
	struct child c, other;
	struct proc none = { .pid = 0 };
	int ends[2];

	ck_assert_int_eq(fd_pipe(ends), 0);
	spec.fd[3] = ends[0];
	start(&c, &spec);
	start(&other, &spec);
	proc_kill(&c.proc, SIGKILL);
	reap(&c);
	ck_assert_str_eq(proc_status_text(c.status, text, sizeof text),
	    "killed by signal 9 (Killed)");
	ck_assert_int_eq(other.ends, 0);
	proc_kill(&c.proc, SIGKILL); /* neither of these hits anybody: 0 */
	proc_kill_group(&c.proc, SIGKILL); /* would be our own group */
	proc_kill(&none, SIGKILL);
	proc_kill_group(&none, SIGKILL);
	proc_kill(&other.proc, SIGTERM);
	reap(&other);
	ck_assert_int_eq(other.status, SIGTERM);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}
END_TEST

START_TEST(test_a_group_is_reached_with_its_grandchildren)
{
	struct proc_spec spec = shell("(sleep 1000 <&3 3>&- & wait) & wait");
	struct child c;
	int ends[2];
	char byte;

	/* The end of the pipe is told when the last of them is gone. */
	ck_assert_int_eq(fd_pipe(ends), 0);
	spec.fd[4] = ends[1];
	spec.fd[3] = ends[0];
	start(&c, &spec);
	fd_close(&ends[1]);
	proc_kill_group(&c.proc, SIGKILL);
	reap(&c);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	fd_close(&ends[0]);
}
END_TEST

static struct child shared;

static int
harmless(void *argument)
{
	struct sigaction action;

	proc_kill(&shared.proc, SIGKILL); /* not this process's child */
	sigaction(SIGUSR1, NULL, &action);
	return action.sa_handler == SIG_DFL ? *(int *)argument : 99;
}

static void
nothing(int signo)
{
	(void)signo;
}

START_TEST(test_a_forked_copy_has_forgotten_the_children_and_the_handlers)
{
	struct proc_spec spec = shell("read line <&3");
	struct sigaction action = { .sa_handler = nothing };
	int ends[2], status, result = 5;
	pid_t pid;

	sigaction(SIGUSR1, &action, NULL);
	ck_assert_int_eq(fd_pipe(ends), 0);
	spec.fd[3] = ends[0];
	start(&shared, &spec);
	pid = proc_fork(harmless, &result);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 5);
	ck_assert_int_gt(shared.proc.pid, 0);
	ck_assert_int_eq(proc_alive(shared.proc.pid, 0), 1);
	fd_close(&ends[1]);
	reap(&shared);
	ck_assert_int_eq(WEXITSTATUS(shared.status), 1); /* end of file */
	fd_close(&ends[0]);
}
END_TEST

START_TEST(test_a_copy_that_ends_is_reaped_quietly)
{
	int result = 0;
	int64_t end = clock_ms() + 20000;

	ck_assert_int_gt(proc_fork(harmless, &result), 0);
	while (waitid(P_ALL, 0, &(siginfo_t){ 0 },
		   WEXITED | WNOHANG | WNOWAIT) == 0) {
		ck_assert_int_lt(clock_ms(), end);
		proc_reap(42);
	}
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(test_a_start_time_names_a_process)
{
	uint64_t mine = proc_started(getpid());

#ifdef __linux__
	ck_assert_uint_ne(mine, 0);
	ck_assert_int_eq(proc_alive(getpid(), mine + 1), 0);
#endif
	ck_assert_uint_eq(proc_started(getpid()), mine);
	ck_assert_int_eq(proc_alive(getpid(), mine), 1);
	ck_assert_int_eq(proc_alive(getpid(), 0), 1);
	ck_assert_int_eq(proc_alive(1, 0), 1); /* not ours, but there */
}
END_TEST

START_TEST(test_a_zombie_and_a_stranger_are_not_alive)
{
	struct proc_spec spec = shell("exit 0");
	struct child c;
	siginfo_t info;

	start(&c, &spec);
	ck_assert_int_eq(
	    waitid(P_PID, (id_t)c.proc.pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert_uint_eq(proc_started(c.proc.pid), 0);
#ifdef __linux__
	ck_assert_int_eq(proc_alive(c.proc.pid, 0), 0);
#endif
	reap(&c);
	ck_assert_uint_eq(proc_started(info.si_pid), 0);
	ck_assert_int_eq(proc_alive(info.si_pid, 0), 0);
	ck_assert_uint_eq(proc_started(0), 0);
	ck_assert_int_eq(proc_alive(0, 0), 0);
	ck_assert_int_eq(proc_alive(-1, 0), 0);
	ck_assert_uint_eq(proc_started(INT_MAX), 0);
	ck_assert_int_eq(proc_alive(INT_MAX, 0), 0);
}
END_TEST

START_TEST(test_a_process_may_have_any_name)
{
	struct proc_spec spec = shell("");
	const char *const argv[] = { "x", "-c", "read line <&3", NULL };
	struct child c;
	int ends[2];

	scene_enter();
	ck_assert_int_eq(fd_pipe(ends), 0);
	ck_assert_int_eq(symlink("/bin/sh", "a) Z (b"), 0);
	spec.path = "./a) Z (b";
	spec.argv = argv;
	spec.fd[3] = ends[0];
	start(&c, &spec);
	ck_assert_uint_ge(proc_started(c.proc.pid), proc_started(getpid()));
	ck_assert_int_eq(proc_alive(c.proc.pid, proc_started(c.proc.pid)), 1);
	fd_close(&ends[1]);
	reap(&c);
	fd_close(&ends[0]);
	scene_leave();
}
END_TEST

/* A child that holds a file with "treasure" in it as descriptor 3, until
 * hold[1] is closed. */
static void
start_holder(struct child *c, int hold[2])
{
	struct proc_spec spec = shell("read line");
	int fd = open("box", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_eq(fd_pipe(hold), 0);
	ck_assert_int_eq(write(fd, "treasure", 8), 8);
	spec.fd[0] = hold[0];
	spec.fd[3] = fd;
	start(c, &spec);
	fd_close(&fd);
}

START_TEST(test_a_descriptor_of_a_child_can_be_had)
{
	char bytes[16] = { 0 };
	struct child c;
	int hold[2], fd, before = scene_descriptors();

	scene_enter();
	start_holder(&c, hold);
	fd = proc_take_fd(&c.proc, 3);
	if (fd == -1 && (errno == ENOSYS || errno == EPERM)) {
		/* an old kernel, another system, or a place that forbids it */
		fprintf(
		    stderr, "# not here: proc_take_fd: %s\n", strerror(errno));
	} else {
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(pread(fd, bytes, sizeof bytes, 0), 8);
		ck_assert_str_eq(bytes, "treasure");
	}
	fd_close(&fd);
	fd_close(&hold[1]);
	reap(&c);
	fd_close(&hold[0]);
	scene_leave();
	ck_assert_int_eq(scene_descriptors(), before);
}
END_TEST

START_TEST(test_a_descriptor_that_is_not_there_cannot_be_had)
{
	struct child c;
	int hold[2], before = scene_descriptors();

	scene_enter();
	start_holder(&c, hold);
	ck_assert_int_eq(proc_take_fd(&c.proc, 99), -1);
	ck_assert_int_eq(proc_take_fd(&c.proc, -1), -1);
	ck_assert_int_eq(proc_take_fd(&c.proc, INT_MAX), -1);
	fd_close(&hold[1]);
	reap(&c);
	/* and never one of a process that has the number now */
	ck_assert_int_eq(c.proc.pid, 0);
	ck_assert_int_eq(proc_take_fd(&c.proc, 0), -1);
	fd_close(&hold[0]);
	scene_leave();
	ck_assert_int_eq(scene_descriptors(), before);
}
END_TEST

/* --- one that somebody else has forked: here we play that, too --- */

static struct loop *loop;

static void
adopted_ended(struct proc *p, int status, int64_t now)
{
	struct child *c = (struct child *)p;

	(void)now;
	ck_assert_int_eq(p->pid, 0);
	c->ends++;
	c->status = status;
}

static int
pidfd_of(pid_t pid)
{
#ifdef SYS_pidfd_open
	return (int)syscall(SYS_pidfd_open, pid, 0);
#else
	(void)pid;
	return -1;
#endif
}

/* A process that runs a script, which proc does not know as a child. */
static pid_t
stranger(const char *script)
{
	pid_t pid = fork();

	if (pid == 0) {
		/* libcheck's handlers would end the test */
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		setsid();
		execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_gt(pid, 0);
	while (getpgid(pid) != pid) /* until it leads its group */
		usleep(1000);
	return pid;
}

static void
adopt(struct child *c, pid_t pid)
{
	loop = loop_new();
	*c = (struct child){ .proc = { .ended = adopted_ended } };
	ck_assert_msg(proc_adopt(&c->proc, loop, pidfd_of(pid), &why) == 0,
	    "%s", why.text);
	ck_assert_int_eq(c->proc.pid, pid);
}

static int
bury(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void
until_ended(struct child *c)
{
	int64_t end = clock_ms() + 20000;

	while (c->ends == 0) {
		ck_assert_int_lt(clock_ms(), end);
		loop_turn(loop);
	}
	ck_assert_int_eq(c->ends, 1);
	ck_assert_ptr_null(c->proc.loop);
	loop_free(loop);
}

START_TEST(test_an_adopted_process_ends_with_the_status_that_is_told)
{
	struct child c;
	pid_t pid;

	if (!proc_can_adopt())
		return;           /* not on this system */
	pid = stranger("exit 5"); /* told before its pidfd is looked at */
	adopt(&c, pid);
	proc_told(&c.proc, bury(pid), clock_ms());
	ck_assert_int_eq(c.ends, 0);
	until_ended(&c);
	ck_assert_int_eq(WEXITSTATUS(c.status), 5);

	pid = stranger("kill -9 $$"); /* and after that */
	adopt(&c, pid);
	while (c.proc.pid != 0)
		loop_turn(loop);
	ck_assert_int_eq(c.ends, 0);
	proc_told(&c.proc, bury(pid), clock_ms());
	until_ended(&c);
	ck_assert_int_eq(WTERMSIG(c.status), SIGKILL);
}
END_TEST

START_TEST(test_an_adopted_process_ends_also_when_nobody_tells_how)
{
	int before = scene_descriptors();
	struct child c;
	int64_t began;
	pid_t pid;

	if (!proc_can_adopt())
		return;
	pid = stranger("exit 5");
	adopt(&c, pid);
	began = clock_ms();
	until_ended(&c);
	ck_assert_int_ge(clock_ms() - began, PROC_STATUS_MS);
	ck_assert_int_eq(c.status, PROC_UNKNOWN);
	ck_assert_str_eq(
	    proc_status_text(c.status, text, sizeof text), "how is not known");
	proc_told(&c.proc, 0, clock_ms()); /* too late: nothing */
	ck_assert_int_eq(c.ends, 1);
	bury(pid);
	ck_assert_int_eq(scene_descriptors(), before);
}
END_TEST

START_TEST(test_an_adopted_process_is_reached_and_so_is_its_group)
{
	struct child c;
	pid_t pid, other;
	int ends[2];
	char byte;

	if (!proc_can_adopt())
		return;
	ck_assert_int_eq(pipe(ends), 0);
	pid = stranger("sleep 600 & sleep 600"); /* they hold the pipe */
	adopt(&c, pid);
	fd_close(&ends[1]);
	proc_kill(&c.proc, 0);
	c.proc.takes_group = 1;
	proc_kill(&c.proc, SIGTERM);
	until_ended(&c);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0); /* nobody is left */
	fd_close(&ends[0]);
	bury(pid);

	pid = stranger("exec sleep 600");
	other = stranger("exec sleep 600");
	adopt(&c, pid);
	proc_kill_group(&c.proc, SIGKILL);
	until_ended(&c);
	proc_kill(&c.proc, SIGKILL); /* nobody now */
	proc_kill_group(&c.proc, SIGKILL);
	ck_assert_int_eq(kill(other, 0), 0);
	kill(other, SIGKILL);
	bury(pid);
	bury(other);
}
END_TEST

START_TEST(test_only_a_pidfd_of_another_process_is_adopted)
{
	struct child c = { .proc = { .ended = adopted_ended } };
	int before = scene_descriptors();
	pid_t pid;

	if (!proc_can_adopt())
		return;
	loop = loop_new();
	pid = stranger("exit 0");
	ck_assert_int_eq(proc_adopt(&c.proc, loop, dup(1), &why), -1);
	ck_assert_int_eq(
	    proc_adopt(&c.proc, loop, pidfd_of(getpid()), &why), -1);
	ck_assert_int_eq(proc_adopt(&c.proc, loop, -1, &why), -1);
	ck_assert_int_eq(c.proc.pid, 0);
	loop_free(loop);
	bury(pid);
	ck_assert_int_eq(scene_descriptors(), before);
}
END_TEST

START_TEST(test_a_process_is_adopted_by_its_number_if_it_holds_the_file)
{
	int before, held, other;
	struct child c = { .proc = { .ended = adopted_ended } };
	pid_t pid;

	if (!proc_can_adopt())
		return;
	scene_enter();
	before = scene_descriptors();
	scene_write("held", "");
	scene_write("other", "");
	held = open("held", O_RDONLY | O_CLOEXEC);
	other = open("other", O_RDONLY | O_CLOEXEC);
	pid = stranger("exec 5<held; mkdir ready; exec sleep 1000");
	while (access("ready", F_OK) == -1)
		usleep(1000);
	loop = loop_new();
	ck_assert_int_eq(
	    proc_adopt_holder(&c.proc, loop, pid, 5, other, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "has another file"));
	ck_assert_int_eq(
	    proc_adopt_holder(&c.proc, loop, pid, 4, held, &why), -1);
	ck_assert_int_eq(c.proc.pid, 0);
	ck_assert_int_eq(
	    proc_adopt_holder(&c.proc, loop, pid, 5, held, &why), 0);
	ck_assert_int_eq(c.proc.pid, pid);
	ck_assert_int_lt(proc_age(pid), 30000);
	ck_assert_int_gt(proc_age(1), proc_age(pid));
	ck_assert_int_eq(proc_age(INT_MAX), 0);
	proc_kill(&c.proc, SIGKILL);
	until_ended(&c); /* at once: nobody can tell how */
	ck_assert_int_eq(c.status, PROC_UNKNOWN);
	bury(pid);
	loop = loop_new();
	ck_assert_int_eq(
	    proc_adopt_holder(&c.proc, loop, pid, 5, held, &why), -1);
	loop_free(loop);
	close(held);
	close(other);
	ck_assert_int_eq(scene_descriptors(), before);
	scene_leave();
}
END_TEST

START_TEST(test_how_much_memory_a_process_has_is_known_or_0)
{
	uint64_t memory = proc_memory(getpid());

	if (access("/proc/self/statm", R_OK) == 0)
		ck_assert_uint_gt(memory, 100 * 1024);
	else
		ck_assert_uint_eq(memory, 0);
	ck_assert_uint_eq(proc_memory(0), 0);
	ck_assert_uint_eq(proc_memory(INT_MAX), 0);
}
END_TEST

SUITE("proc", test_how_much_memory_a_process_has_is_known_or_0,
    test_a_child_runs_and_its_end_is_told_once,
    test_arguments_environment_directory_and_umask_are_those_given,
    test_evil_that_we_inherited_is_not_handed_on,
    test_a_child_leads_its_own_session,
    test_a_child_has_the_limit_that_was_there_before_it_was_raised,
    test_a_child_gets_exactly_the_descriptors_named,
    test_descriptors_may_overlap_in_any_order,
    test_what_is_not_given_is_null_or_closed,
    test_a_program_that_cannot_be_executed_is_refused_with_the_reason,
    test_starting_and_ending_leave_no_descriptors,
    test_too_many_processes_are_a_failure_that_can_pass,
    test_too_few_descriptors_are_a_failure_with_a_sentence,
    test_many_ends_are_told_by_one_call,
    test_who_is_told_of_the_end_may_free_its_owner,
    test_a_signal_reaches_the_child_and_never_a_stranger,
    test_a_group_is_reached_with_its_grandchildren,
    test_a_forked_copy_has_forgotten_the_children_and_the_handlers,
    test_a_copy_that_ends_is_reaped_quietly, test_a_start_time_names_a_process,
    test_a_zombie_and_a_stranger_are_not_alive,
    test_a_process_may_have_any_name, test_a_descriptor_of_a_child_can_be_had,
    test_a_descriptor_that_is_not_there_cannot_be_had,
    test_an_adopted_process_ends_with_the_status_that_is_told,
    test_an_adopted_process_ends_also_when_nobody_tells_how,
    test_an_adopted_process_is_reached_and_so_is_its_group,
    test_only_a_pidfd_of_another_process_is_adopted,
    test_a_process_is_adopted_by_its_number_if_it_holds_the_file);
