#ifndef MAMAYO_FD_H
#define MAMAYO_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * fd: what we do with descriptors. Every descriptor made here is
 * close-on-exec from birth; -1 means "none".
 */

/* Closes and forgets (-1); nothing for -1. Keeps errno. */
void fd_close(int *fd);

/* Both return 0, or -1 with errno. */
int fd_nonblock(int fd);
int fd_cloexec(int fd, int on);

/* Connected AF_UNIX pairs. Blocking; use MSG_DONTWAIT per call where an open
 * file is shared. Both ends are -1 on failure. */
int fd_pair_stream(int pair[2]);
int fd_pair_seqpacket(int pair[2]);
int fd_pipe(int pipe[2]);

/* An open /dev/null on whichever of 0, 1, 2 is closed. 0 or -1. */
int fd_open_std(void);

/* Closes every descriptor from low on: close_range, closefrom, /proc/self/fd
 * or /dev/fd; never a loop up to the limit when one of these exists. */
void fd_close_from(int low);

/* Raises the soft limit of descriptors to the hard one. The limit that was in
 * force at the first call is remembered, also by forked children. */
void fd_raise_limit(void);
/* Sets the remembered limit again, for a child that is about to exec: programs
 * may loop up to the limit. Nothing if it was never raised. Safe after fork. */
void fd_restore_limit(void);

/*
 * One message with up to FD_PASS_MOST descriptors. MSG_DONTWAIT and
 * MSG_NOSIGNAL always. Returns the bytes sent (always the whole of a
 * SEQPACKET message), or -1 with errno.
 */
#define FD_PASS_MOST 16
ssize_t fd_send(int sock, const void *, size_t, const int *fds, size_t nfds);

/*
 * One message; MSG_DONTWAIT. At most *nfds descriptors are taken (set to how
 * many came, close-on-exec); what does not fit is closed. Returns the bytes,
 * 0 at end-of-file, or -1 with errno; EMSGSIZE if the message or its
 * descriptors were cut (then all that came is closed and *nfds is 0).
 */
ssize_t fd_recv(int sock, void *, size_t size, int *fds, size_t *nfds);

/* The user at the other end of an AF_UNIX socket. 0, or -1 with errno.
 * *pid is 0 where the system cannot tell. */
int fd_peer(int sock, uid_t *, pid_t *);

/* Has a socket bytes that its peer has not read yet? 0 where the system cannot
 * say. */
int fd_has_unsent(int sock);

/* A regular file without a name below the directory, read and write, mode
 * 0600 (O_TMPFILE, else a name that is unlinked at once). */
int fd_unnamed(int dir_fd);

/*
 * A file whose lock says that one process is at work; fcntl's, so it goes with
 * the process, and with any descriptor of the file that the process closes.
 * fd_lock_open: made if it is not there, and not taken yet; a link is not
 * followed. fd_lock: 0, or -1 with errno; EAGAIN when another process has it.
 * fd_lock_holder: that other process, 0 if there is none.
 */
int fd_lock_open(const char *path);
int fd_lock(int fd);
pid_t fd_lock_holder(int fd);

/* Removes the files of a directory whose names are stale; what cannot be read
 * or removed stays. */
void fd_remove_stale(int dir_fd, int (*is_stale)(const char *name));

/* n bytes of randomness from the system; dies if there is none. */
void fd_random(void *, size_t n);
/* n such bytes as 2 * n lower-case hexadecimal digits, and a NUL. */
void fd_random_hex(char *out, size_t n);

/* Writes all to a blocking descriptor. 0, or -1 with errno. */
int fd_write_all(int fd, const void *, size_t);

#endif
