#ifndef MAMAYO_T_FUZZ_H
#define MAMAYO_T_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/*
 * fuzz: a target is one function that gets bytes and aborts when something is
 * not as promised. libFuzzer calls it (`make fuzz`), or replay.c with the files
 * of a corpus.
 */
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define CHECK(fact)              \
	do {                     \
		if (!(fact))     \
			abort(); \
	} while (0)

/*
 * Bytes as a target wants them: numbers first, then texts with a NUL between
 * them. What is missing is 0 or "".
 */
struct fuzz_input {
	const uint8_t *at, *end;
	char *text; /* what fuzz_text() gives lies in it */
};

void fuzz_begin(struct fuzz_input *, const uint8_t *, size_t);
void fuzz_end(struct fuzz_input *);
unsigned fuzz_byte(struct fuzz_input *);
unsigned fuzz_number(struct fuzz_input *); /* of two bytes */
const char *fuzz_text(struct fuzz_input *);
/* Text, but NULL for "-". */
const char *fuzz_optional(struct fuzz_input *);

/* A conn's callback for what never happens to it. */
struct conn;
void fuzz_never(struct conn *, int64_t now);

/* The number that the next descriptor will have: the same before and after
 * means that none was left open. */
int fuzz_next_fd(void);

/* A directory of this process that is removed at its end with the files in it
 * (and in directories of it). */
const char *fuzz_directory(void);
/* Writes a file in it whose name is one of a few. */
void fuzz_write(const char *name, const void *, size_t);

#endif
