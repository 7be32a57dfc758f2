#include "config.h"

#include "adapters/accel.h"
#include "lib/clock.h"

#include <string.h>
#include <sys/mman.h>

int
page_map(struct page_words *p, int fd)
{
	void *page = mmap(
	    NULL, SCOREBOARD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	p->word = page;
	p->url = (char *)page + SCOREBOARD_URL_AT;
	return 0;
}

void
page_unmap(struct page_words *p)
{
	if (p->word != NULL)
		munmap((void *)(uintptr_t)p->word, SCOREBOARD_SIZE);
	p->word = NULL;
}

void
page_idle(const struct page_words *p, int leaving)
{
	p->word[BOARD_STATE] = leaving ? BOARD_DRAINING : BOARD_IDLE;
	p->word[BOARD_RESPONDER] = p->word[BOARD_COUNTER] = 0;
	p->word[BOARD_STARTED] = (uint64_t)clock_ms();
}

static size_t
page_put(const struct page_words *p, size_t at, const struct told *told)
{
	size_t n = told->length;

	if (n > SCOREBOARD_URL_MOST - at)
		n = SCOREBOARD_URL_MOST - at;
	if (n > 0)
		memcpy(p->url + at, told->text, n);
	return at + n;
}

void
page_busy(const struct page_words *p, const struct wire_head *head, int64_t now,
    const struct told *facts)
{
	size_t n = page_put(p, 0, &facts[FACT_SCRIPT]);

	n = page_put(p, n, &facts[FACT_PATH]);
	if (n < SCOREBOARD_URL_MOST)
		p->url[n] = '\0';
	p->word[BOARD_WROTE] = BOARD_NOTHING;
	p->word[BOARD_STARTED] = p->word[BOARD_PROGRESS] = (uint64_t)now;
	p->word[BOARD_RESPONDER] = head->responder;
	p->word[BOARD_COUNTER] = head->counter;
	p->word[BOARD_STATE] = BOARD_BUSY;
}

/* What int.bit_length() says, of a time that has passed. */
static unsigned
page_step(int64_t ms)
{
	unsigned bits = 0;

	if (ms < 0)
		ms = -ms;
	while (ms > 0 && bits < 15) {
		ms >>= 1;
		bits++;
	}
	return bits;
}

void
page_ended(
    const struct page_words *p, int status, uint64_t length, int64_t taken)
{
	unsigned kind = status < 500 ? (unsigned)status / 100 : 5;

	p->word[BOARD_REQUESTS] += 1;
	p->word[BOARD_BYTES] += length;
	p->word[BOARD_STATUS + kind - 1] += 1;
	p->word[BOARD_LATENCY + page_step(clock_ms() - taken)] += 1;
}
