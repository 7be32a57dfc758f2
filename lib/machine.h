#ifndef MAMAYO_MACHINE_H
#define MAMAYO_MACHINE_H

#include <stdint.h>

/*
 * machine: how much of the machine this account may use.
 */
uint64_t machine_cores(void);     /* at least 1 */
uint64_t machine_processes(void); /* RLIMIT_NPROC; UINT64_MAX: no limit */
uint64_t machine_memory(void);    /* bytes: the least of RAM, RLIMIT_AS and the
				     cgroup's limit; UINT64_MAX: unknown */

/*
 * The least memory limit of our cgroup and those above it, v1 or v2. list:
 * /proc/self/cgroup; root: /sys/fs/cgroup. UINT64_MAX if there is none.
 */
uint64_t machine_cgroup_memory(const char *list, const char *root);

#endif
