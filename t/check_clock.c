#include "config.h"

#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "t/check.h"

START_TEST(test_time_never_goes_back_and_does_go_on)
{
	int64_t first = clock_ms(), last = first, now;

	while (last < first + 20) {
		now = clock_ms();
		ck_assert_int_ge(now, last);
		last = now;
	}
}
END_TEST

START_TEST(test_every_process_reads_the_same_clock)
{
	int64_t before, there = 0, after;
	int ends[2];
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	before = clock_ms();
	if ((pid = fork()) == 0) {
		there = clock_ms();
		_exit(write(ends[1], &there, sizeof there) !=
		      (ssize_t)sizeof there);
	}
	ck_assert_int_eq(
	    read(ends[0], &there, sizeof there), (ssize_t)sizeof there);
	after = clock_ms();
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_ge(there, before);
	ck_assert_int_le(there, after);
}
END_TEST

SUITE("clock", test_time_never_goes_back_and_does_go_on,
    test_every_process_reads_the_same_clock);
