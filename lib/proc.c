#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h> /* pidfd_open and its relatives */
#endif

#include "lib/clock.h"
#include "lib/fd.h"
#include "lib/proc.h"
#include "lib/testpoint.h"

#define PROC_FDS     6   /* what a child may be given: 0 to 5 */
#define PROC_SIGNALS 65  /* one more than the highest signal */
#define PROC_DIE_MS  100 /* for one that was killed before it had begun */

/* Which of the steps between fork and exec failed. */
enum step { STEP_DESCRIPTORS, STEP_DIRECTORY, STEP_EXEC };

struct reason {
	enum step step;
	int error;
};

static struct proc *running;

/* As a program expects it: whoever started us may have ignored or blocked
 * any of them. */
static void
signals_default(void)
{
	struct sigaction action;
	sigset_t none;

	memset(&action, 0, sizeof action);
	action.sa_handler = SIG_DFL;
	sigemptyset(&action.sa_mask);
	for (int signo = 1; signo < PROC_SIGNALS; signo++)
		sigaction(signo, &action, NULL); /* not for SIGKILL */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A fork during which no handler of ours can run in the child. In the child
 * all signals stay blocked until signals_default(). */
static pid_t
fork_quietly(void)
{
	sigset_t all, before;
	pid_t pid;
	int saved;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid != 0) {
		saved = errno;
		sigprocmask(SIG_SETMASK, &before, NULL);
		errno = saved;
	}
	return pid;
}

/* --- between fork and exec: async-signal-safe calls only --- */

/* Moves a descriptor above those that the child is given; if that fails, it
 * stays where it is. */
static int
move_up(int *fd)
{
	int moved;

	if (*fd == -1 || *fd >= PROC_FDS)
		return 0;
	moved = fcntl(*fd, F_DUPFD_CLOEXEC, PROC_FDS);
	if (moved == -1) {
		if (errno == EINVAL)
			errno = EMFILE; /* the limit itself is that low */
		return -1;
	}
	*fd = moved;
	return 0;
}

/*
 * Gives the child its 0 to 5, from descriptors that may have those numbers
 * themselves: so they move out of the way first. The reason pipe becomes 6.
 */
static int
arrange(int fd[PROC_FDS], int *report)
{
	int failed = move_up(report);

	for (int i = 0; !failed && i < PROC_FDS; i++)
		failed = move_up(&fd[i]);
	if (failed)
		return -1;
	for (int i = 0; i < PROC_FDS; i++) {
		if (fd[i] == -1)
			close(i);
		else if (dup2(fd[i], i) == -1)
			return -1;
	}
	if (*report != PROC_FDS) {
		if (dup2(*report, PROC_FDS) == -1)
			return -1;
		*report = PROC_FDS;
	}
	fd_cloexec(*report, 1);
	fd_close_from(PROC_FDS + 1);
	return 0;
}

void
proc_no_core(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) == -1)
		return;
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_CORE, &limit);
}

static _Noreturn void
become(const struct proc_spec *spec, int fd[PROC_FDS], int report)
{
	struct reason why = { .step = STEP_DESCRIPTORS };
	char *const *argv, *const *env;
	ssize_t written;

	/* execve() writes to neither, but is older than const. */
	memcpy(&argv, &spec->argv, sizeof argv);
	memcpy(&env, &spec->env, sizeof env);
	signals_default();
	TESTPOINT("child:born");
	setsid();
	if (arrange(fd, &report) == -1)
		goto fail;
	proc_no_core();
	fd_restore_limit();
	umask(spec->umask);
	why.step = STEP_DIRECTORY;
	if (spec->directory != NULL && chdir(spec->directory) == -1)
		goto fail;
	why.step = STEP_EXEC;
	TESTPOINT("child:exec");
	execve(spec->path, argv, env);
fail:
	why.error = errno;
	written = write(report, &why, sizeof why);
	(void)written; /* without it, the status has to say it */
	_exit(127);
}

/* --- the parent again --- */

/* What errno alone would explain badly. */
static int
explain_exec(const char *path, struct problem *problem)
{
	int error = errno, there;
	struct stat st;

	if (error == ETIMEDOUT) /* looking might take as long */
		return problem_set(problem,
		    "cannot execute %s: it has not begun in %d seconds", path,
		    PROC_EXEC_MS / 1000);
	there = stat(path, &st) == 0;
	errno = error;
	if (there && S_ISDIR(st.st_mode))
		return problem_set(
		    problem, "cannot execute %s: it is a directory", path);
	if (there && error == ENOENT)
		return problem_set(problem,
		    "cannot execute %s: the file is there, but the interpreter "
		    "or loader that it names is not",
		    path);
	if (error == ENOEXEC)
		return problem_set(problem,
		    "cannot execute %s: neither a program for this machine nor "
		    "a script that begins with #!",
		    path);
	return problem_sys(problem, "cannot execute %s", path);
}

static int
explain(const struct proc_spec *spec, const struct reason *why,
    struct problem *problem)
{
	errno = why->error;
	switch (why->step) {
	case STEP_DESCRIPTORS:
		return problem_sys(problem,
		    "cannot arrange the descriptors of %s", spec->path);
	case STEP_DIRECTORY:
		return problem_sys(problem, "cannot enter %s", spec->directory);
	case STEP_EXEC:
		return explain_exec(spec->path, problem);
	}
	return problem_sys(problem, "cannot start %s", spec->path);
}

/* Returns 0 once exec has closed the pipe, else -1 and the reason. */
static int
hear(int report, struct reason *why)
{
	struct pollfd polled = { .fd = report, .events = POLLIN };
	int64_t end = clock_ms() + PROC_EXEC_MS;
	int64_t left = PROC_EXEC_MS;
	ssize_t n;

	while (left > 0 && poll(&polled, 1, clock_sleep((int)left)) != 1)
		left = end - clock_ms();
	if (left <= 0) {
		*why = (struct reason){ STEP_EXEC, ETIMEDOUT };
		return -1;
	}
	do
		n = read(report, why, sizeof *why);
	while (n == -1 && errno == EINTR);
	return n == (ssize_t)sizeof *why ? -1 : 0;
}

/* The child of a start that has failed: it has ended, or will never begin. One
 * that cannot even die now is reaped by proc_reap() when it has. */
static void
give_up(pid_t pid)
{
	kill(pid, SIGKILL);
	for (int ms = 0; ms < PROC_DIE_MS; ms++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		poll(NULL, 0, 1);
	}
}

static int
open_missing(const struct proc_spec *spec, int fd[PROC_FDS], int *null)
{
	memcpy(fd, spec->fd, sizeof spec->fd);
	for (int i = 0; i <= 2; i++) {
		if (fd[i] != -1)
			continue;
		if (*null == -1)
			*null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (*null == -1)
			return -1;
		fd[i] = *null;
	}
	return 0;
}

int
proc_start(
    struct proc *p, const struct proc_spec *spec, struct problem *problem)
{
	int fd[PROC_FDS], report[2] = { -1, -1 }, null = -1, failed;
	struct reason why;
	pid_t pid = -1;

	assert(p->pid == 0);
	if (open_missing(spec, fd, &null) == -1)
		problem_sys(problem, "cannot open /dev/null");
	else if (fd_pipe(report) == -1)
		problem_sys(problem, "cannot make a pipe");
	else if (TESTPOINT_FAILS("supervisor:fork") ||
		 (pid = fork_quietly()) == -1)
		problem_sys(problem, "cannot fork");
	if (pid == 0)
		become(spec, fd, report[1]);
	fd_close(&null);
	fd_close(&report[1]);
	TESTPOINT("supervisor:forked");
	failed = pid == -1 || hear(report[0], &why) == -1;
	fd_close(&report[0]);
	if (failed) {
		if (pid != -1) {
			explain(spec, &why, problem);
			give_up(pid);
		}
		return -1;
	}
	p->pid = pid;
	p->takes_group = 0;
	p->loop = NULL;
	p->next = running;
	running = p;
	return 0;
}

pid_t
proc_fork(int (*run)(void *), void *argument)
{
	pid_t pid = fork_quietly();

	if (pid != 0)
		return pid;
	proc_forget();
	signals_default();
	_exit(run(argument));
}

/* --- processes that are not our children --- */

static int
pidfd_signal(int pidfd, int signo)
{
#ifdef SYS_pidfd_send_signal
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
#else
	(void)pidfd;
	(void)signo;
	errno = ENOSYS;
	return -1;
#endif
}

/* The pid that the kernel shows for a pidfd; 0 if it is none, or is over. */
static pid_t
pidfd_pid(int pidfd)
{
	char path[64], text[1024], *at;
	ssize_t n = -1;
	long pid;
	int fd;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1)
		n = read(fd, text, sizeof text - 1);
	fd_close(&fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if ((at = strstr(text, "\nPid:")) == NULL)
		return 0;
	pid = strtol(at + strlen("\nPid:"), NULL, 10);
	return pid > 1 ? (pid_t)pid : 0;
}

int
proc_can_adopt(void)
{
	int can = 0;

#if defined SYS_pidfd_open && defined SYS_pidfd_send_signal
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	can = fd != -1 && pidfd_signal(fd, 0) == 0 && pidfd_pid(fd) == getpid();
	fd_close(&fd);
#endif
	return can;
}

static void
proc_finish(struct proc *p, int64_t now)
{
	int status = p->is_told ? p->status : PROC_UNKNOWN;

	loop_cancel(p->loop, &p->patience);
	fd_close(&p->end.fd);
	p->loop = NULL;
	p->is_told = 0;
	p->ended(p, status, now); /* may free p: last use */
}

/* It is over. */
static void
proc_end_seen(struct watch *w, short got, int64_t now)
{
	struct proc *p =
	    (struct proc *)((char *)w - offsetof(struct proc, end));

	(void)got;
	if (p->takes_group)
		kill(-p->pid, SIGKILL); /* its number is hardly free yet */
	p->pid = 0;
	loop_unwatch(p->loop, w);
	if (p->is_told ||
	    loop_timer(p->loop, &p->patience, now + PROC_STATUS_MS) == -1)
		proc_finish(p, now);
}

static void
proc_status_late(struct timer *t, int64_t now)
{
	proc_finish(
	    (struct proc *)((char *)t - offsetof(struct proc, patience)), now);
}

int
proc_adopt(
    struct proc *p, struct loop *loop, int pidfd, struct problem *problem)
{
	pid_t pid = pidfd_pid(pidfd);

	assert(p->pid == 0);
	p->end = (struct watch){
		.fd = pidfd, .want = POLLIN, .ready = proc_end_seen
	};
	p->patience.due = proc_status_late;
	if (pid == 0 || pid == getpid())
		problem_set(problem, "it is not known which process that is");
	else if (loop_watch(loop, &p->end) == -1)
		problem_sys(problem, "cannot watch a process");
	else {
		p->pid = pid;
		p->takes_group = p->is_told = 0;
		p->loop = loop;
		return 0;
	}
	fd_close(&p->end.fd);
	return -1;
}

/* Has that process the file as its descriptor fd? */
static int
proc_holds(pid_t pid, int fd, int held)
{
	char path[64];
	struct stat its, ours;

	snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)pid, fd);
	return stat(path, &its) == 0 && fstat(held, &ours) == 0 &&
	       its.st_dev == ours.st_dev && its.st_ino == ours.st_ino;
}

int
proc_adopt_holder(struct proc *p, struct loop *loop, pid_t pid, int fd,
    int held, struct problem *problem)
{
	int pidfd = -1;

#if defined SYS_pidfd_open
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
#endif
	if (pidfd == -1)
		return problem_sys(problem, "process %ld", (long)pid);
	if (!proc_holds(pid, fd, held)) {
		fd_close(&pidfd);
		return problem_set(problem,
		    "process %ld has another file as its descriptor %d",
		    (long)pid, fd);
	}
	if (proc_adopt(p, loop, pidfd, problem) == -1)
		return -1;
	p->status = PROC_UNKNOWN;
	p->is_told = 1;
	return 0;
}

int
proc_signal_holder(pid_t pid, int fd, int held, int signo)
{
	int sent = -1;

#if defined SYS_pidfd_open && defined SYS_pidfd_send_signal
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd != -1 && proc_holds(pid, fd, held))
		sent = pidfd_signal(pidfd, signo);
	fd_close(&pidfd);
#else
	(void)pid;
	(void)fd;
	(void)held;
	(void)signo;
#endif
	return sent;
}

void
proc_told(struct proc *p, int status, int64_t now)
{
	if (p->loop == NULL)
		return;
	p->status = status;
	p->is_told = 1;
	if (p->pid == 0)             /* it was over already */
		proc_finish(p, now); /* may free p: last use */
}

/* --- all of them --- */

void
proc_kill(const struct proc *p, int signo)
{
	if (p->pid > 0 && p->loop != NULL)
		(void)pidfd_signal(p->end.fd, signo);
	else if (p->pid > 0)
		kill(p->pid, signo);
}

void
proc_signal(pid_t pid, int signo)
{
	if (pid > 1)
		(void)kill(pid, signo);
}

/* While its leader is there, a group's number is nobody else's. */
static int
proc_is_there(const struct proc *p)
{
	struct pollfd look = { .fd = p->end.fd, .events = POLLIN };

	return p->loop == NULL || poll(&look, 1, 0) == 0;
}

void
proc_kill_group(const struct proc *p, int signo)
{
	if (p->pid > 0 && proc_is_there(p) && kill(-p->pid, signo) == -1)
		proc_kill(p, signo); /* it has not made its group yet */
}

int
proc_take_fd(const struct proc *p, int fd)
{
#if defined(SYS_pidfd_open) && defined(SYS_pidfd_getfd)
	int taken = -1, pidfd;

	if (p->pid <= 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (pidfd != -1)
		taken = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	fd_close(&pidfd);
	return taken; /* close-on-exec, both */
#else
	(void)p;
	(void)fd;
	return -1;
#endif
}

/* While its leader is still a zombie, a group's number is nobody else's. */
static void
proc_end_group(pid_t pid)
{
	const struct proc *p;

	for (p = running; p != NULL; p = p->next)
		if (p->pid == pid && p->takes_group)
			kill(-pid, SIGKILL);
}

static void
proc_ended(pid_t pid, int status, int64_t now)
{
	struct proc **link, *p;

	for (link = &running; (p = *link) != NULL; link = &p->next)
		if (p->pid == pid) {
			*link = p->next;
			p->next = NULL;
			p->pid = 0; /* from here on nobody can kill a stranger
				     */
			p->ended(p, status, now); /* may free p: last use */
			return;
		}
	/* A stranger: a forked copy, or a grandchild we inherited. */
}

void
proc_reap(int64_t now)
{
	siginfo_t info;
	int status;

	for (;;) { /* one SIGCHLD can stand for many of them */
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) ==
		    -1) {
			if (errno == EINTR)
				continue;
			return; /* none left */
		}
		if (info.si_pid == 0)
			return; /* none ended yet */
		proc_end_group(info.si_pid);
		if (waitpid(info.si_pid, &status, WNOHANG) == info.si_pid)
			proc_ended(info.si_pid, status, now);
	}
}

void
proc_forget(void)
{
	struct proc *p;

	while ((p = running) != NULL) {
		running = p->next;
		p->next = NULL;
		p->pid = 0;
	}
}

/* The text of /proc/PID/WHAT: 0, or -1. */
static int
proc_read(pid_t pid, const char *what, char *text, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, what);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1)
		n = read(fd, text, size - 1);
	fd_close(&fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return 0;
}

enum sight { SIGHT_UNKNOWN, SIGHT_ALIVE, SIGHT_ENDED };

/*
 * /proc/PID/stat is "PID (NAME) STATE ..."; the start time is field 22. NAME
 * may hold anything, so count from the last parenthesis.
 */
static enum sight
proc_look(pid_t pid, uint64_t *start)
{
	char text[1024], *at;

	*start = 0;
	if (proc_read(pid, "stat", text, sizeof text) == -1)
		return SIGHT_UNKNOWN;
	if ((at = strrchr(text, ')')) == NULL || at[1] != ' ')
		return SIGHT_UNKNOWN;
	at += 2;
	if (*at == 'Z' || *at == 'X')
		return SIGHT_ENDED;
	for (int field = 3; field < 22; field++)
		if ((at = strchr(at, ' ')) == NULL)
			return SIGHT_UNKNOWN;
		else
			at++;
	*start = strtoull(at, NULL, 10);
	return SIGHT_ALIVE;
}

uint64_t
proc_started(pid_t pid)
{
	uint64_t start = 0;

	if (pid > 0)
		proc_look(pid, &start);
	return start;
}

int64_t
proc_age(pid_t pid)
{
	int64_t age = 0;

#ifdef CLOCK_BOOTTIME
	uint64_t start = proc_started(pid);
	long ticks = sysconf(_SC_CLK_TCK);
	struct timespec now;

	if (start == 0 || ticks <= 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &now) == -1)
		return 0;
	age = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 -
	      (int64_t)(start * 1000 / (uint64_t)ticks);
#else
	(void)pid;
#endif
	return age > 0 ? age : 0;
}

int
proc_alive(pid_t pid, uint64_t start)
{
	uint64_t its = 0;

	if (pid <= 0 || (kill(pid, 0) == -1 && errno != EPERM))
		return 0;
	switch (proc_look(pid, &its)) {
	case SIGHT_ENDED:
		return 0;
	case SIGHT_ALIVE:
		return start == 0 || its == start;
	case SIGHT_UNKNOWN:
		break; /* no /proc, or one that hides others' processes */
	}
	return 1;
}

/* /proc/PID/statm is "SIZE RESIDENT ...", in pages. */
uint64_t
proc_memory(pid_t pid)
{
	unsigned long long resident;
	char text[256];

	if (pid <= 0 || proc_read(pid, "statm", text, sizeof text) == -1 ||
	    sscanf(text, "%*s %llu", &resident) != 1)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

const char *
proc_status_text(int status, char *out, size_t size)
{
	if (status == PROC_UNKNOWN)
		snprintf(out, size, "how is not known");
	else if (WIFSIGNALED(status))
		snprintf(out, size, "killed by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, size, "exit status %d", WEXITSTATUS(status));
	return out;
}
