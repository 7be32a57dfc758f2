#ifndef MAMAYO_PROBE_H
#define MAMAYO_PROBE_H

#include <jansson.h>

#include "lib/account.h"
#include "lib/app.h"
#include "lib/loop.h"

/*
 * probe: an application is tried, beside everything that serves: a worker of
 * its own imports it, answers one GET request for "/", and leaves. Nothing of
 * the supervisor's is touched, whether one runs or not.
 *
 * The worker is a worker like others: settings, Python, environment and
 * adapter are those that visitors get. What it prints is kept, the last
 * PROBE_OUTPUT bytes. It has its start_timeout for the import, `timeout` but
 * at most PROBE_GET_S for the answer, and stop_timeout for leaving; then it is
 * killed with its process group. If this process is killed meanwhile, the
 * worker ends by itself when all of that is over.
 */
#define PROBE_OUTPUT 16384
#define PROBE_GET_S  30

/*
 * An object with the members
 *   name mount directory   of the application
 *   ok                     it answers, and not with 5xx
 *   entry why              what was found, and by which rule; "" if nothing
 *   python python_why python_version   which interpreter
 *   framework framework_version        "" where none is known
 *   status reason content_type location first_line   of the answer; status 0:
 *                          there was none
 *   error                  null, or kind, text and detail: what is wrong
 *   output                 the lines that it has printed
 * or NULL if SIGINT, SIGTERM or SIGHUP came meanwhile.
 */
json_t *probe_try(struct loop *, const struct account *, const struct app *);

#endif
