#include "config.h"

#include "lib/worker_state.h"

static const enum worker_state next[WORKER_NSTATES][WORKER_NEVENTS] = {
	[WORKER_STARTING] = {
		[WORKER_SAID_READY] = WORKER_READY,
		[WORKER_SAID_FAILED] = WORKER_LEAVING,
		[WORKER_ASKED] = WORKER_LEAVING,
		[WORKER_LATE] = WORKER_STUCK,
		[WORKER_HUNG_UP] = WORKER_KILLED,
		[WORKER_GONE] = WORKER_DEAD,
	},
	[WORKER_READY] = {
		[WORKER_ASKED] = WORKER_LEAVING,
		[WORKER_SILENT] = WORKER_STUCK,
		[WORKER_HUNG_UP] = WORKER_KILLED,
		[WORKER_GONE] = WORKER_DEAD,
	},
	[WORKER_LEAVING] = {
		[WORKER_SAID_READY] = WORKER_LEAVING, /* was asked meanwhile */
		[WORKER_SAID_FAILED] = WORKER_LEAVING,
		[WORKER_ASKED] = WORKER_LEAVING,
		[WORKER_SILENT] = WORKER_STUCK,
		[WORKER_LATE] = WORKER_KILLED,
		[WORKER_HUNG_UP] = WORKER_LEAVING, /* its end comes next */
		[WORKER_GONE] = WORKER_DEAD,
	},
	[WORKER_STUCK] = {
		[WORKER_SAID_READY] = WORKER_STUCK,
		[WORKER_SAID_FAILED] = WORKER_STUCK,
		[WORKER_ASKED] = WORKER_STUCK,
		[WORKER_SILENT] = WORKER_STUCK,
		[WORKER_LATE] = WORKER_KILLED,
		[WORKER_HUNG_UP] = WORKER_STUCK,
		[WORKER_GONE] = WORKER_DEAD,
	},
	[WORKER_KILLED] = {
		[WORKER_SAID_READY] = WORKER_KILLED,
		[WORKER_SAID_FAILED] = WORKER_KILLED,
		[WORKER_ASKED] = WORKER_KILLED,
		[WORKER_SILENT] = WORKER_KILLED,
		[WORKER_LATE] = WORKER_KILLED,
		[WORKER_HUNG_UP] = WORKER_KILLED,
		[WORKER_GONE] = WORKER_DEAD,
	},
};

static const char *const state_names[WORKER_NSTATES] = {
	[WORKER_NOWHERE] = "nowhere",
	[WORKER_STARTING] = "starting",
	[WORKER_READY] = "ready",
	[WORKER_LEAVING] = "draining",
	[WORKER_STUCK] = "stuck",
	[WORKER_KILLED] = "killed",
	[WORKER_DEAD] = "dead",
};

static const char *const event_names[WORKER_NEVENTS] = {
	[WORKER_SAID_READY] = "said ready",
	[WORKER_SAID_FAILED] = "said failed",
	[WORKER_ASKED] = "asked to leave",
	[WORKER_SILENT] = "silent",
	[WORKER_LATE] = "late",
	[WORKER_HUNG_UP] = "hung up",
	[WORKER_GONE] = "gone",
};

enum worker_state
worker_next(enum worker_state state, enum worker_event event)
{
	return next[state][event];
}

const char *
worker_state_name(enum worker_state state)
{
	return state_names[state];
}

const char *
worker_event_name(enum worker_event event)
{
	return event_names[event];
}
