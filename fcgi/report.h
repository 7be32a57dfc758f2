#ifndef MAMAYO_REPORT_H
#define MAMAYO_REPORT_H

#include <jansson.h>

#include "lib/account.h"
#include "lib/app.h"

/*
 * report: the state of an account as one object, with the members that
 * mamayo(1) names: as its supervisor tells it or, where none runs, as it lies
 * on the disk.
 */

/* The state of an application of which no supervisor says anything. */
const char *report_state(const struct account *, const struct app *);

/* NULL with the reason. */
json_t *report_new(const struct account *, struct problem *);

#endif
