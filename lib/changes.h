#ifndef MAMAYO_CHANGES_H
#define MAMAYO_CHANGES_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * changes: the files of which a generation of an app was made, and whether they
 * still are what they were then.
 *
 * Nothing is watched: changes_look() asks about each file, and is called by who
 * has a reason. A change counts once it has been quiet: an upload that is half
 * done is none. It has been when two looks that far apart have found the same,
 * or at the first look if the files have not been touched (st_ctime, which
 * nobody can set) for that long.
 */
#define CHANGES_FILES    600  /* that are remembered; more are left out */
#define CHANGES_PATH     1024 /* bytes of a path; longer ones are left out */
#define CHANGES_QUIET_MS 2000

enum changes_kind {
	CHANGES_MADE_OF, /* that it has gone away is a change, too */
	CHANGES_SIGNAL   /* is there, or is touched, to say so */
};

enum changes_found {
	CHANGES_NONE,
	CHANGES_FRESH, /* something has changed, and may go on changing */
	CHANGES_QUIET
};

struct changes_file {
	char *path;
	enum changes_kind kind;
	uint64_t stamp; /* 0: it was not there */
};

/* {0} has no files. */
struct changes {
	struct changes_file *files;
	size_t n;
	uint64_t seen;     /* what differed at the last look; 0: nothing did */
	int64_t seen_at;   /* clock_ms(), when that was first seen */
	const char *which; /* the first file of those; borrowed */
};

void changes_release(struct changes *);

/* Remembers a file as it is now; one that is known stays as it was. */
void changes_add(struct changes *, const char *path, enum changes_kind);

/* The same, for one that was read since then (CLOCK_REALTIME): if it has been
 * touched since, it has changed. */
void changes_add_read(
    struct changes *, const char *path, const struct timespec *since);

/* What is remembered was read since then, by somebody who is not known to have
 * looked at it again. */
void changes_recall(struct changes *, const struct timespec *since);

/* The files of another list, too, as they are now. */
void changes_add_all(struct changes *, const struct changes *from);

/* All files are what they are now. What a generation was made of and has gone
 * is forgotten. */
void changes_renew(struct changes *);

enum changes_found changes_look(struct changes *, int64_t now);

/*
 * The decision, without a look: what differs as one number (0: nothing), how
 * long none of that was touched (ms; negative: nobody can say), and the time
 * (clock_ms()).
 */
enum changes_found changes_judge(
    struct changes *, uint64_t differs, int64_t untouched, int64_t now);

#endif
