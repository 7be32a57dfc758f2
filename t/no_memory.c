/*
 * One allocation fails: preloaded into a responder (t/4075-out-of-memory.py).
 * NO_MEMORY names a file of four numbers of 64 bits: whose allocations count
 * (0: nobody's, -1: those of the first process that starts), how many succeed
 * before the one that fails (-1: all), how many there were, and whether one has
 * failed.
 *
 * Needs the GNU C library, which has its allocator under second names, too.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static volatile struct plan {
	int64_t pid, left, count, failed;
} * plan;

__attribute__((constructor)) static void
read_plan(void)
{
	const char *path = getenv("NO_MEMORY");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	if (fd == -1)
		return;
	mapped =
	    mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped == MAP_FAILED)
		abort();
	plan = mapped;
	if (plan->pid == -1)
		plan->pid = getpid();
}

static int
is_the_one(void)
{
	if (plan == NULL || plan->pid != getpid())
		return 0;
	plan->count++;
	if (plan->left < 0 || plan->left-- > 0)
		return 0;
	plan->failed = 1;
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	return is_the_one() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return is_the_one() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
	return is_the_one() ? NULL : __libc_realloc(old, size);
}
