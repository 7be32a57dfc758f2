#ifndef MAMAYO_LOGFILE_H
#define MAMAYO_LOGFILE_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/problem.h"

/*
 * logfile: a log that others write to, kept small: PATH and, when it has grown
 * to its size, PATH.1, PATH.2 ..., the highest number the oldest.
 *
 * An application's log is copied to PATH.1 and truncated, not renamed: whoever
 * has it open goes on writing to what can be read. That may be a worker that is
 * stuck and obeys nobody, or something that an application has started and
 * that knows nothing of us; after a rename such a process would fill a file
 * that nobody sees. Everybody appends (O_APPEND), so truncating leaves no hole.
 * What is written between the last read of a copy and the truncation, some
 * microseconds, is lost. Nothing passes through us: while the supervisor is
 * stuck or dead, applications write as ever.
 *
 * Whoever writes faster than that (a flood) has its text cut in place, but for
 * the last LOGFILE_TAIL bytes: old files are made at most once in
 * LOGFILE_REST_MS. On a disk that is full the oldest file goes first, and what
 * cannot be copied is cut as well. What was dropped is said in both logs, in
 * ours at most once in LOGFILE_TOLD_MS.
 *
 * A file that its owner has removed or moved away is followed by a new one: its
 * device and inode change here, and the writers are to be given the new
 * descriptor. One that was removed takes room as long as it is open somewhere:
 * it is held, and emptied, until nobody is left who was given it.
 *
 * Our own log is renamed: all who write to it look at its path once a second
 * (lib/log), so nothing is lost.
 */
#define LOGFILE_SLICE     (4 * 1024 * 1024) /* bytes copied in one look */
#define LOGFILE_TAIL      65536             /* bytes that a cut leaves */
#define LOGFILE_REST_MS   1000
#define LOGFILE_FAST_MS   20   /* from look to look in a flood ... */
#define LOGFILE_SLOW_MS   1000 /* ... and at most */
#define LOGFILE_TOLD_MS   60000
#define LOGFILE_KEEP_MOST 100

struct logfile {
	char *path;
	int fd; /* appends; what its writers are given; -1: nobody writes */
	dev_t device;
	ino_t inode;          /* of fd */
	int gone;             /* the one before, if it was removed; or -1 */
	int from, to;         /* while it is copied; else -1 */
	off_t at;             /* how far it is copied ... */
	off_t begun;          /* ... and from where */
	off_t size;           /* when it was last looked at */
	int64_t looked;       /* clock_ms(); 0: not yet */
	int64_t copied, told; /* the same, for the limits above */
	uint64_t dropped;     /* bytes, not told of yet */
	int error;            /* errno of what went wrong; 0: nothing */
};

void logfile_init(struct logfile *, const char *path);
void logfile_release(struct logfile *);

/* Opens it, unless it is open and still the file at its path; makes it and its
 * directory. Gives fd, which stays ours, or -1 with the reason. */
int logfile_open(struct logfile *, struct problem *);

/* Nobody is left who was given fd. */
void logfile_close(struct logfile *);

/* Keeps it below `most` bytes, with `keep` old ones beside it. Never takes
 * long. Returns the ms after which it wants to be looked at again, 0 for at
 * once. */
int64_t logfile_look(struct logfile *, int64_t most, int keep, int64_t now);

/* Our own log: renamed if it has grown to that. Only one process may. Returns
 * 1 if it was. */
int logfile_rename(const char *path, int64_t most, int keep);

#endif
