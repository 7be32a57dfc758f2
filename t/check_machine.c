#include "config.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "lib/machine.h"
#include "t/check.h"
#include "t/scene.h"

#define MIB ((uint64_t)1024 * 1024)

/* Sets a soft limit and gives the one that was. */
static rlim_t
limit(int resource, rlim_t most)
{
	struct rlimit r;
	rlim_t was;

	ck_assert_int_eq(getrlimit(resource, &r), 0);
	was = r.rlim_cur;
	r.rlim_cur = most;
	ck_assert_int_eq(setrlimit(resource, &r), 0);
	return was;
}

START_TEST(test_there_is_at_least_one_core)
{
	ck_assert_uint_ge(machine_cores(), 1);
	ck_assert_uint_lt(machine_cores(), 100000);
}
END_TEST

START_TEST(test_processes_are_as_many_as_the_soft_limit_says)
{
	rlim_t was = limit(RLIMIT_NPROC, 123);
	uint64_t processes = machine_processes();

	limit(RLIMIT_NPROC, was); /* a sanitizer wants a thread at the end */
	ck_assert_uint_eq(processes, 123);
}
END_TEST

START_TEST(test_memory_is_never_more_than_the_address_space)
{
	uint64_t all = machine_memory(), less;
	rlim_t was;

	ck_assert_uint_ge(all, MIB);
	was = limit(RLIMIT_AS, all / 2);
	less = machine_memory();
	limit(RLIMIT_AS, was); /* sanitizers need more at the end */
	ck_assert_uint_eq(less, all / 2);
}
END_TEST

START_TEST(test_a_cgroup_of_the_second_kind_is_read)
{
	scene_enter();
	ck_assert_int_eq(mkdir("a", 0700), 0);
	ck_assert_int_eq(mkdir("a/b", 0700), 0);
	scene_write("list", "0::/a/b\n");
	ck_assert_uint_eq(machine_cgroup_memory("list", "."), UINT64_MAX);
	scene_write("a/b/memory.max", "max\n");
	ck_assert_uint_eq(machine_cgroup_memory("list", "."), UINT64_MAX);
	scene_write("a/b/memory.max", "536870912\n");
	ck_assert_uint_eq(machine_cgroup_memory("list", "."), 512 * MIB);
	scene_leave();
}
END_TEST

START_TEST(test_the_least_limit_on_the_way_up_counts)
{
	scene_enter();
	ck_assert_int_eq(mkdir("a", 0700), 0);
	ck_assert_int_eq(mkdir("a/b", 0700), 0);
	scene_write("list", "0::/a/b\n");
	scene_write("a/b/memory.max", "1000\n");
	scene_write("a/memory.max", "500\n");
	ck_assert_uint_eq(machine_cgroup_memory("list", "."), 500);
	scene_write("memory.max", "400\n");
	ck_assert_uint_eq(machine_cgroup_memory("list", "."), 400);
	scene_write("a/b/memory.max", "300\n");
	ck_assert_uint_eq(machine_cgroup_memory("list", "."), 300);
	scene_leave();
}
END_TEST

START_TEST(test_the_root_cgroup_is_read)
{
	scene_enter();
	scene_write("list", "0::/\n");
	scene_write("memory.max", "700\n");
	ck_assert_uint_eq(machine_cgroup_memory("list", "."), 700);
	scene_leave();
}
END_TEST

START_TEST(test_a_cgroup_of_the_first_kind_is_read)
{
	scene_enter();
	ck_assert_int_eq(mkdir("memory", 0700), 0);
	ck_assert_int_eq(mkdir("memory/a", 0700), 0);
	scene_write(
	    "list", "7:cpu,cpuacct:/x\n5:memory:/a\n1:name=systemd:/y\n");
	scene_write("memory/memory.limit_in_bytes", "9223372036854771712\n");
	scene_write("memory/a/memory.limit_in_bytes", "600\n");
	ck_assert_uint_eq(machine_cgroup_memory("list", "."), 600);
	scene_leave();
}
END_TEST

START_TEST(test_rubbish_is_no_limit)
{
	static const char *const lists[] = { "", "\n", ":",
		"::", "0:", "0::", "0::a\n", "0:memory\n", "5:memories:/a\n",
		"no colon at all", "0::/../..\n" };
	static const char *const numbers[] = { "", "\n", "-5\n", "12x\n",
		"99999999999999999999999\n", " 12\n" };

	scene_enter();
	ck_assert_uint_eq(machine_cgroup_memory("absent", "."), UINT64_MAX);
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		scene_write("list", lists[i]);
		ck_assert_uint_eq(
		    machine_cgroup_memory("list", "."), UINT64_MAX);
	}
	scene_write("list", "0::/\n");
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		scene_write("memory.max", numbers[i]);
		ck_assert_uint_eq(
		    machine_cgroup_memory("list", "."), UINT64_MAX);
	}
	scene_leave();
}
END_TEST

SUITE("machine", test_there_is_at_least_one_core,
    test_processes_are_as_many_as_the_soft_limit_says,
    test_memory_is_never_more_than_the_address_space,
    test_a_cgroup_of_the_second_kind_is_read,
    test_the_least_limit_on_the_way_up_counts, test_the_root_cgroup_is_read,
    test_a_cgroup_of_the_first_kind_is_read, test_rubbish_is_no_limit);
