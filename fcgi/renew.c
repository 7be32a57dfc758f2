#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/renew.h"
#include "lib/fd.h"
#include "lib/log.h"

int
renew_is_due(const char *path)
{
	struct stat running, there;

	return path[0] == '/' && stat("/proc/self/exe", &running) == 0 &&
	       stat(path, &there) == 0 &&
	       (running.st_dev != there.st_dev ||
		   running.st_ino != there.st_ino) &&
	       S_ISREG(there.st_mode) && access(path, X_OK) == 0;
}

void
renew(const char *path)
{
	char *const argv[] = { (char *)(uintptr_t)path, NULL };

	fd_restore_limit();
	execv(path, argv);
	log_error("cannot execute %s: %s", path, strerror(errno));
}
