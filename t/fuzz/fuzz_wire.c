#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/wire.h"
#include "t/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	unsigned char again[WIRE_HEAD];
	struct wire_head head;
	uint64_t rest;

	if (wire_get_head(in, n, &head) == -1)
		return 0;
	CHECK(n >= WIRE_HEAD && n <= WIRE_MOST);
	CHECK(head.request_id != 0);
	CHECK(head.params <= WIRE_PARAMS_MOST);
	rest = n - WIRE_HEAD;
	if (!(head.flags & WIRE_SPOOL_PARAMS)) {
		CHECK(head.params <= rest);
		rest -= head.params;
	}
	if (!(head.flags & WIRE_SPOOL_BODY)) {
		CHECK(head.body <= WIRE_INLINE_BODY && head.body == rest);
		rest = 0;
	}
	CHECK(rest == 0);
	wire_put_head(again, &head); /* nothing was lost */
	CHECK(memcmp(again, in, WIRE_HEAD) == 0);
	return 0;
}
