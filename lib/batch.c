#include "config.h"

#include <sched.h>
#include <sys/resource.h>

#include "lib/batch.h"

#if defined(SCHED_BATCH) && defined(RUSAGE_THREAD)

static void
batch_set(struct batch *b, int on)
{
	const struct sched_param none = { 0 };

	if (b->is_on != on &&
	    sched_setscheduler(0, on ? SCHED_BATCH : SCHED_OTHER, &none) == 0)
		b->is_on = on;
}

/* How often the thread has waited for something else than work. */
static long
batch_waits(long waits)
{
	struct rusage used;

	if (waits == -1 || getrusage(RUSAGE_THREAD, &used) == -1)
		return 0;
	return used.ru_nvcsw - waits;
}

void
batch_work(struct batch *b, int64_t now, long waits)
{
	if (b->work == 0 || now - b->since > BATCH_SPAN_MS) {
		batch_set(b, 0);
		b->since = now;
		b->work = 0;
	}
	b->work++;
	if (b->work == BATCH_WORK / 2)
		b->waits = batch_waits(waits);
	if (b->work < BATCH_WORK)
		return;
	batch_set(b, batch_waits(waits) - b->waits < BATCH_WAITS);
	b->since = now;
	b->work = 1;
}

void
batch_end(struct batch *b)
{
	batch_set(b, 0);
	b->work = 0;
}

#else

void
batch_work(struct batch *b, int64_t now, long waits)
{
	(void)b;
	(void)now;
	(void)waits;
}

void
batch_end(struct batch *b)
{
	(void)b;
}

#endif
