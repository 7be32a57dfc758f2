#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/orphan.h"
#include "lib/worker.h"
#include "t/fuzz/fuzz.h"

/*
 * A page that a hostile worker has written: two bytes say how long it is and
 * whether it is ours, then comes what stands in it. It is read by its own
 * supervisor, and by one that finds it.
 */
#define NAME                                                             \
	"00112233445566778899aabbccddeeff.1073741824" /* no such process \
						       */

static uint8_t page[2 * SCOREBOARD_SIZE];

static void
check_board(const struct board *b)
{
	struct worker w = { .state = WORKER_READY, .board = *b };
	const char *shown = worker_shown(&w);

	CHECK(b->word[BOARD_MAGIC] == SCOREBOARD_MAGIC);
	CHECK(strlen(b->url) <= SCOREBOARD_URL_MOST);
	CHECK(memcmp(b->word, page, sizeof b->word) == 0);
	CHECK(strncmp(b->url, (char *)page + SCOREBOARD_URL_AT,
		  SCOREBOARD_URL_MOST) == 0);
	CHECK(strcmp(shown, "starting") != 0 && strlen(shown) <= 8);
	CHECK(worker_is_busy(&w) || !worker_is_claimed(&w));
}

/* Found by another supervisor: it has lost a request, or it is nothing. */
static void
check_orphan(int dir, int is_page)
{
	struct orphans all = { 0 };
	uint64_t counter;

	memcpy(&counter, page + BOARD_COUNTER * sizeof counter, sizeof counter);
	orphans_read(&all, dir, 1000);
	if (is_page && counter != 0) {
		CHECK(all.first != NULL && all.first->next == NULL);
		CHECK(all.first->is_dead && strcmp(all.first->page, NAME) == 0);
		CHECK(all.first->pid == 1073741824);
		CHECK(orphan_is_generation(all.first->generation));
		check_board(&all.first->board);
	} else
		CHECK(all.first == NULL);
	CHECK(!orphans_are_expected(&all, 1000));
	CHECK(orphans_take(&all, "00112233445566778899aabbccddeeff") == NULL);
	orphans_release(&all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const uint64_t magic = SCOREBOARD_MAGIC;
	int next = fuzz_next_fd(), dir, fd, is_page, got;
	struct fuzz_input in;
	struct board board;
	size_t length, n;

	fuzz_begin(&in, bytes, size);
	length = fuzz_byte(&in);
	length = length == 0 ? SCOREBOARD_SIZE : length * 32;
	memset(page, 0, sizeof page);
	if ((fuzz_byte(&in) & 1) == 0)
		memcpy(page, &magic, sizeof magic);
	else {
		n = (size_t)(in.end - in.at) < 8 ? (size_t)(in.end - in.at) : 8;
		memcpy(page, in.at, n);
	}
	n = (size_t)(in.end - in.at);
	n = n > sizeof page - 8 ? sizeof page - 8 : n;
	memcpy(page + 8, in.at, n);
	fuzz_write(NAME, page, length);
	dir = open(fuzz_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir != -1);
	fd = openat(dir, NAME, O_RDONLY | O_CLOEXEC);
	is_page = length >= SCOREBOARD_SIZE &&
		  memcmp(page, &magic, sizeof magic) == 0;
	got = scoreboard_read(fd, &board);
	CHECK(got == (is_page ? 0 : -1));
	if (got == 0)
		check_board(&board);
	check_orphan(dir, is_page);
	fd_close(&fd);
	fd_close(&dir);
	CHECK(fuzz_next_fd() == next);
	fuzz_end(&in);
	return 0;
}
