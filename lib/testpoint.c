#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/testpoint.h"

#define TESTPOINT_PAUSE_NS 1000000 /* between looks of one that is parked */
#define TESTPOINT_ORDER    64

/* No allocation anywhere: it is called between fork and exec, too. */

static int
place(char path[PATH_MAX], const char *prefix, const char *name)
{
	const char *directory = getenv("MAMAYO_TESTPOINTS");

	return directory != NULL && snprintf(path, PATH_MAX, "%s/%s%s",
					directory, prefix, name) < PATH_MAX;
}

/* The first line of a file; 0 if there is none. */
static int
read_order(const char *path, char order[TESTPOINT_ORDER])
{
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd != -1) {
		n = read(fd, order, TESTPOINT_ORDER - 1);
		close(fd);
	}
	order[n > 0 ? n : 0] = '\0';
	order[strcspn(order, "\n")] = '\0';
	return n > 0;
}

static int
write_order(const char *path, const char *order, int flags)
{
	size_t n = strlen(order);
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	int failed = fd == -1 || write(fd, order, n) != (ssize_t)n;

	if (fd != -1)
		close(fd);
	return failed ? -1 : 0;
}

/* Splits off the last word if it says for how many: 0 is for always. */
static long
count_of(char *order)
{
	char *word = strrchr(order, ' '), *end;
	long count;

	if (word == NULL)
		return 1;
	if (strcmp(word, " always") == 0)
		count = 0;
	else {
		count = strtol(word + 1, &end, 10);
		if (*end != '\0' || count < 1)
			return 1;
		/* the first number of "errno" is not a count */
		if (strchr(order, ' ') == word &&
		    strncmp(order, "errno ", 6) == 0)
			return 1;
	}
	*word = '\0';
	return count;
}

/* Takes an order: of two processes only one gets the last. */
static int
take_order(const char *name, char order[TESTPOINT_ORDER])
{
	char path[PATH_MAX], ours[PATH_MAX], left[TESTPOINT_ORDER + 16];
	char pid[32];
	long count;

	snprintf(pid, sizeof pid, "taken.%ld.", (long)getpid());
	if (!place(path, "", name) || !place(ours, pid, name) ||
	    !read_order(path, order))
		return 0;
	count = count_of(order);
	if (count == 0)
		return 1;
	if (rename(path, ours) == -1)
		return 0; /* somebody was faster */
	if (!read_order(ours, order)) {
		unlink(ours);
		return 0;
	}
	count = count_of(order);
	if (count > 1) {
		snprintf(left, sizeof left, "%s %ld", order, count - 1);
		if (write_order(ours, left, O_TRUNC) == 0)
			rename(ours, path);
	} else
		unlink(ours);
	return 1;
}

static void
tell(const char *name, const char *order)
{
	char path[PATH_MAX], line[256];

	snprintf(line, sizeof line, "%s %ld %s\n", name, (long)getpid(),
	    *order != '\0' ? order : "-");
	if (place(path, "", "passed"))
		(void)write_order(path, line, O_APPEND);
}

/* Until it is told to go on, or what to do instead. */
static void
park(const char *name, char order[TESTPOINT_ORDER])
{
	static const struct timespec pause = { 0, TESTPOINT_PAUSE_NS };
	char path[PATH_MAX], prefix[32];

	snprintf(prefix, sizeof prefix, "parked.%ld.", (long)getpid());
	if (!place(path, prefix, name) ||
	    write_order(path, "park\n", O_CREAT | O_TRUNC) == -1)
		return;
	while (strcmp(order, "park") == 0) {
		nanosleep(&pause, NULL);
		(void)read_order(path, order);
		if (*order == '\0' && access(path, F_OK) == 0)
			snprintf(order, TESTPOINT_ORDER,
			    "park"); /* it is being written */
	}
	unlink(path);
}

int
testpoint(const char *name)
{
	char order[TESTPOINT_ORDER] = "";
	volatile int is_spinning;
	int saved = errno;

	if (getenv("MAMAYO_TESTPOINTS") == NULL)
		return 0;
	if (!take_order(name, order) && !take_order("any", order))
		order[0] = '\0';
	tell(name, order);
	if (strcmp(order, "park") == 0)
		park(name, order);
	is_spinning = strcmp(order, "spin") == 0;
	while (is_spinning)
		continue;
	if (strcmp(order, "stop") == 0)
		raise(SIGSTOP);
	else if (strcmp(order, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(order, "abort") == 0)
		abort();
	errno = saved;
	if (strncmp(order, "errno ", 6) != 0)
		return 0;
	return errno = atoi(order + 6);
}

/* The page that tests write; NULL if there is none. */
static const volatile int64_t *
clock_page(void)
{
	static const volatile int64_t *ahead;
	const size_t size = TESTPOINT_CLOCKS * sizeof *ahead;
	char path[PATH_MAX];
	struct stat st;
	void *page;
	int fd, saved = errno;

	if (ahead == NULL && place(path, "", "clock") &&
	    (fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) != -1) {
		page = fstat(fd, &st) == 0 && st.st_size >= (off_t)size
			   ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0)
			   : MAP_FAILED;
		if (page != MAP_FAILED)
			ahead = page;
		close(fd);
	}
	errno = saved;
	return ahead;
}

int64_t
testpoint_ahead(enum testpoint_clock clock)
{
	const volatile int64_t *ahead = clock_page();

	return ahead != NULL ? ahead[clock] : 0;
}

int
testpoint_has_clock(void)
{
	return clock_page() != NULL;
}
