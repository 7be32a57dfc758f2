#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/hookfile.h"
#include "lib/log.h"
#include "t/fuzz/fuzz.h"

/*
 * state/NAME.json as somebody left it. What is read makes sense, and, written
 * again, is read as the same.
 */

static void
check_sense(const struct hookfile *f)
{
	json_t *files = json_object_get(f->all, "made_of"), *renewed, *value;
	const char *path;

	CHECK(json_is_object(f->all));
	CHECK(f->state >= HOOK_NEVER && f->state <= HOOK_LOST);
	CHECK(hookfile_text(f, "why") != NULL);
	CHECK(!hookfile_has_served(f) ||
	      json_is_object(json_object_get(f->all, "served")));
	(void)hookfile_is_same(f, "served");
	if (files == NULL) {
		CHECK(!hookfile_is_same(f, "made_of"));
		return;
	}
	renewed = hookfile_renewed(files);
	CHECK(json_object_size(renewed) == json_object_size(files));
	json_object_foreach(files, path, value)
	    CHECK(json_is_string(json_object_get(renewed, path)));
	json_decref(renewed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *directory = (char *)(uintptr_t)fuzz_directory(), path[4096];
	struct account a = { .root = directory, .run = directory };
	struct hookfile f, again;
	struct problem why;
	int next;

	CHECK(log_open("/dev/null") == 0);
	next = fuzz_next_fd();
	snprintf(path, sizeof path, "%s/state", directory);
	(void)mkdir(path, 0700);
	fuzz_write("state/blog.json", bytes, size);
	hookfile_read(&f, &a, "blog");
	check_sense(&f);
	CHECK(hookfile_holder(&a, "blog") == 0);
	CHECK(hookfile_write(&a, "blog", f.all, &why) == 0);
	hookfile_read(&again, &a, "blog");
	CHECK(again.state == f.state && json_equal(again.all, f.all));
	hookfile_release(&again);
	hookfile_release(&f);
	CHECK(fuzz_next_fd() == next);
	return 0;
}
