#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/machine.h"
#include "t/fuzz/fuzz.h"

/*
 * Two limits and the text of /proc/self/cgroup, with NUL between them. The
 * least limit of those that are named is found, whatever else is in it.
 */

/* What a file of a limit says: digits, and nothing behind them in the line. */
static uint64_t
number(const char *text)
{
	size_t n = strspn(text, "0123456789");
	uint64_t value = 0;

	if (n == 0 || n > 62 || (text[n] != '\n' && text[n] != '\0'))
		return UINT64_MAX;
	for (size_t i = 0; i < n; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return UINT64_MAX;
		value = value * 10 + digit;
	}
	return value;
}

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char list[300], root[300];
	const char *above, *below, *text;
	int next = fuzz_next_fd();
	struct fuzz_input in;
	uint64_t limit;

	snprintf(list, sizeof list, "%s/list", fuzz_directory());
	snprintf(root, sizeof root, "%s/root", fuzz_directory());
	(void)mkdir(root, 0700);
	snprintf(root, sizeof root, "%s/root/a", fuzz_directory());
	(void)mkdir(root, 0700);
	snprintf(root, sizeof root, "%s/root", fuzz_directory());
	fuzz_begin(&in, bytes, size);
	above = fuzz_text(&in);
	below = fuzz_text(&in);
	text = fuzz_text(&in);
	fuzz_write("root/memory.max", above, strlen(above));
	fuzz_write("root/a/memory.max", below, strlen(below));
	fuzz_write("list", text, strlen(text));
	limit = machine_cgroup_memory(list, root);
	if (limit != UINT64_MAX) /* then one of the files says so */
		CHECK(number(above) == limit || number(below) == limit);
	fuzz_write("list", "0::/a\n", 6);
	limit = machine_cgroup_memory(list, root);
	CHECK(limit == least(number(above), number(below)));
	CHECK(fuzz_next_fd() == next);
	fuzz_end(&in);
	return 0;
}
