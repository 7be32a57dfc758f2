#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/machine.h"
#include "lib/xalloc.h"

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t
machine_cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (uint64_t)n;
}

static uint64_t
soft_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) == -1 ||
	    limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

uint64_t
machine_processes(void)
{
	return soft_limit(RLIMIT_NPROC);
}

static uint64_t
ram(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	if (pages < 1 || size < 1)
		return UINT64_MAX;
	return (uint64_t)pages * (uint64_t)size;
}

/* The number in a file; UINT64_MAX for "max" and where there is none. */
static uint64_t
number_in(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[64], *end;
	uint64_t number = UINT64_MAX;

	if (f == NULL)
		return number;
	if (fgets(line, sizeof line, f) != NULL && *line >= '0' &&
	    *line <= '9') {
		errno = 0;
		number = strtoull(line, &end, 10);
		if (errno != 0 || (*end != '\n' && (*end != '\0' || !feof(f))))
			number = UINT64_MAX;
	}
	fclose(f);
	return number;
}

/* group: "/user.slice/x"; the limits of all above it hold too. */
static uint64_t
limit_of(const char *root, const char *group, const char *file)
{
	char *place = xprintf("%s%s", root, group), *path, *slash;
	size_t n = strlen(root);
	uint64_t limit = UINT64_MAX;

	for (;;) {
		path = xprintf("%s/%s", place, file);
		limit = least(limit, number_in(path));
		free(path);
		slash = strrchr(place + n, '/');
		if (slash == NULL)
			break;
		*slash = '\0';
	}
	free(place);
	return limit;
}

/* A line is "NUMBER:CONTROLLERS:GROUP"; v2 has number 0 and no controllers. */
static uint64_t
limit_by_line(const char *line, const char *root)
{
	const char *controllers = strchr(line, ':');
	const char *group =
	    controllers == NULL ? NULL : strchr(controllers + 1, ':');
	uint64_t limit;
	char *old;

	if (group == NULL || group[1] != '/')
		return UINT64_MAX;
	if (group == controllers + 1)
		return limit_of(root, group + 1, "memory.max");
	if (strncmp(controllers, ":memory:", 8) != 0)
		return UINT64_MAX;
	old = xprintf("%s/memory", root);
	limit = limit_of(old, group + 1, "memory.limit_in_bytes");
	free(old);
	return limit;
}

uint64_t
machine_cgroup_memory(const char *list, const char *root)
{
	FILE *f = fopen(list, "re");
	uint64_t limit = UINT64_MAX;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (f == NULL)
		return limit;
	while ((n = getline(&line, &size, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		limit = least(limit, limit_by_line(line, root));
	}
	free(line);
	fclose(f);
	return limit;
}

uint64_t
machine_memory(void)
{
	return least(least(ram(), soft_limit(RLIMIT_AS)),
	    machine_cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup"));
}
