#ifndef MAMAYO_PROC_H
#define MAMAYO_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/loop.h"
#include "lib/problem.h"

/*
 * proc: processes: children, and those that a child of ours has forked for us.
 * The only user of fork, waitpid and kill.
 *
 * A proc is embedded in its owner. ended() is called once it is over: by
 * proc_reap() for a child; for an adopted one when its pidfd says so, with the
 * status that whoever reaped it has told. From the moment of its end its pid is
 * 0, and nobody can kill a stranger.
 */
struct proc {
	pid_t pid;       /* 0: not running */
	int takes_group; /* what is left of its process group at its end is
			    killed */
	void (*ended)(struct proc *, int status, int64_t now);
	/* private */
	struct proc *next;
	struct loop *loop;     /* of an adopted one; NULL: our child */
	struct watch end;      /* its pidfd */
	struct timer patience; /* for its status, once it is over */
	int status, is_told;
};

#define PROC_UNKNOWN   (-1) /* the status of one that nobody could tell */
#define PROC_STATUS_MS 300  /* how long it may come after the end */
#define PROC_EXEC_MS   5000 /* between fork and exec: then it is killed */

struct proc_spec {
	const char *path;        /* absolute; executed as it is, no shell */
	const char *const *argv; /* NULL-terminated */
	const char *const *env;  /* the whole environment, NULL-terminated */
	const char *directory;   /* working directory */
	int fd[6]; /* what the child gets as 0 ... 5; -1: /dev/null
		      for 0 to 2, closed for the others */
	mode_t umask;
};

/*
 * Starts a child in its own session, with default signal handling and an empty
 * mask, no core dumps, exactly the descriptors named, and the limits we have
 * (the soft limit of descriptors as it was when we started). Returns 0 after
 * exec has succeeded, else -1 and a sentence ("cannot execute /x/python3: No
 * such file or directory"). Blocks only for the time between fork and exec, at
 * most PROC_EXEC_MS: the file may be on a disk that does not answer.
 * The spec's descriptors stay the caller's.
 */
int proc_start(struct proc *, const struct proc_spec *, struct problem *);

/* Can processes be adopted here? They are known by pidfd: Linux 5.3. */
int proc_can_adopt(void);

/*
 * From now on p is the process of that pidfd, which somebody else forked and
 * will reap. Its pid comes from the kernel, never from a message. Takes the
 * pidfd, also when it fails: 0, or -1 with the reason.
 */
int proc_adopt(struct proc *, struct loop *, int pidfd, struct problem *);

/* The same for a process whose number is all that is known, if it has the file
 * `held` as its descriptor fd: it is a worker of ours, then, and not a stranger
 * who has got the number. How it ended will not be known. */
int proc_adopt_holder(
    struct proc *, struct loop *, pid_t, int fd, int held, struct problem *);

/* A signal to it, on the same condition: 0, or -1. */
int proc_signal_holder(pid_t, int fd, int held, int signo);

/* Whoever reaped it says how it ended, before or after its pidfd does. May call
 * ended(). */
void proc_told(struct proc *, int status, int64_t now);

/* A copy of this process that runs run(arg) and exits with what it returns.
 * Signals are default in it; descriptors are the caller's business. Returns
 * the pid, or -1 with errno. Not remembered: reaped quietly by proc_reap(). */
pid_t proc_fork(int (*run)(void *), void *arg);

/* From now on this process leaves no core dump, which could hold secrets. */
void proc_no_core(void);

/* To the process; nothing if it is not running. */
void proc_kill(const struct proc *, int signo);
/* To a process that is none of ours: whose number has just been told. */
void proc_signal(pid_t, int signo);
/* To its process group, which it leads. */
void proc_kill_group(const struct proc *, int signo);

/* A duplicate of a descriptor of that process: -1 where the system (Linux 5.6)
 * or the process does not let us. */
int proc_take_fd(const struct proc *, int fd);

/* Collects every child that has ended, until there is none left to tell. */
void proc_reap(int64_t now);

/* In a forked copy: forget the parent's children. */
void proc_forget(void);

/* When the process with that pid started, in a unit of the system's own that
 * is only compared; 0 if it is not there, is a zombie, or cannot be told. */
uint64_t proc_started(pid_t);
/* For how many ms it has been there; 0 if that cannot be told. */
int64_t proc_age(pid_t);
/* Is a process with that pid there (and, if start is not 0, the same one)? */
int proc_alive(pid_t, uint64_t start);

/* What a process has in RAM, in bytes; 0 if that cannot be told. */
uint64_t proc_memory(pid_t);

/* "exit status 3", "killed by signal 11 (Segmentation fault)", "how is not
 * known". */
const char *proc_status_text(int status, char *out, size_t size);

#endif
