#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/record.h"
#include "lib/params.h"
#include "t/fuzz/fuzz.h"

#define PAIR_MOST 70000 /* so that inputs of both sides of it are found */

/* What any cut of a pair says: that more is needed, never something else. */
static void
check_cuts(const uint8_t *in, size_t used)
{
	struct pair p;

	for (size_t i = 0; i < used; i += 1 + i / 16)
		CHECK(record_pair(in, i, PAIR_MOST, &p) == 0);
}

static void
check_pair(const uint8_t *in, size_t used, const struct pair *p)
{
	size_t head = used - p->name_length - p->value_length;

	CHECK(head == 2 || head == 5 || head == 8);
	CHECK(p->name == in + head);
	CHECK(p->value == p->name + p->name_length);
	CHECK(p->name_length + p->value_length <= PAIR_MOST);
}

/* Whatever was accepted ends where it says and can be found again. */
static void
check_params(struct params *params)
{
	struct problem why;

	for (size_t i = 0; i < params->n; i++) {
		const struct param *one = &params->list[i];

		CHECK(one->value + one->value_length < params->length);
		CHECK(params->text[one->value + one->value_length] == '\0');
		CHECK(params_get(params, params->text + one->name) != NULL);
	}
	if (params_settle(params, &why) != PARAMS_OK)
		return;
	CHECK(params_get(params, "REQUEST_METHOD") != NULL);
	CHECK(params_get(params, "HTTP_PROXY") == NULL);
	CHECK(*params_get(params, "SERVER_NAME") != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct params params;
	struct pair p;
	long used;

	params_init(&params);
	while ((used = record_pair(in, n, PAIR_MOST, &p)) > 0) {
		CHECK((size_t)used <= n);
		check_pair(in, (size_t)used, &p);
		check_cuts(in, (size_t)used);
		if (params_add(&params, p.name, p.name_length, p.value,
			p.value_length) != PARAMS_OK)
			break;
		in += used;
		n -= (size_t)used;
	}
	check_params(&params);
	params_release(&params);
	return 0;
}
