#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/stamp.h"

/* FNV-1a, a number at a time. */
static uint64_t
stamp_mix(uint64_t hash, uint64_t number)
{
	return (hash ^ number) * UINT64_C(1099511628211);
}

uint64_t
stamp_of(const char *name, const struct stat *st)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	while (*name != '\0')
		hash = stamp_mix(hash, (unsigned char)*name++);
	hash = stamp_mix(hash, (uint64_t)st->st_mtim.tv_sec);
	hash = stamp_mix(hash, (uint64_t)st->st_mtim.tv_nsec);
	hash = stamp_mix(hash, (uint64_t)st->st_ino);
	hash = stamp_mix(hash, (uint64_t)st->st_size);
	return hash != 0 ? hash : 1;
}

/*
 * Adds up what tells one state of a directory from another, and of those below
 * it: a sum, because the order may differ. `files` may still be looked at.
 */
static uint64_t
stamp_directory(int fd, int depth, int *files)
{
	uint64_t sum = 1;
	struct dirent *entry;
	struct stat st;
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		fd_close(&fd);
		return 0;
	}
	if (depth > STAMP_VENV_DEPTH &&
	    faccessat(fd, "pyvenv.cfg", F_OK, 0) == 0)
		depth = STAMP_VENV_DEPTH;
	while (*files > 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || entry->d_name[0] == '_' ||
		    strcmp(entry->d_name, "node_modules") == 0 ||
		    fstatat(dirfd(dir), entry->d_name, &st, 0) == -1)
			continue;
		--*files;
		sum += stamp_of(entry->d_name, &st);
		if (S_ISDIR(st.st_mode) && depth > 0)
			sum += stamp_directory(openat(dirfd(dir), entry->d_name,
						   O_RDONLY | O_DIRECTORY |
						       O_CLOEXEC | O_NOFOLLOW),
			    depth - 1, files);
	}
	closedir(dir);
	return sum;
}

uint64_t
stamp(const char *directory)
{
	int files = STAMP_FILES;

	return stamp_directory(
	    open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), STAMP_DEPTH,
	    &files);
}
