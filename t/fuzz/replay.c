#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/fuzz/fuzz.h"

#define REPLAY_MOST (1024 * 1024) /* bytes of one input */

/* Feeds each file named on the command line to the target, and says so. */
int
main(int argc, char **argv)
{
	static uint8_t bytes[REPLAY_MOST];
	uint8_t *exact;
	size_t n;
	FILE *file;

	for (int i = 1; i < argc; i++) {
		if ((file = fopen(argv[i], "rb")) == NULL) {
			perror(argv[i]);
			return 1;
		}
		n = fread(bytes, 1, sizeof bytes, file);
		fclose(file);
		/* Exactly as long, so that a step too far is noticed. */
		if ((exact = malloc(n > 0 ? n : 1)) == NULL)
			return 1;
		memcpy(exact, bytes, n);
		LLVMFuzzerTestOneInput(exact, n);
		free(exact);
		printf("ok %s\n", argv[i]);
	}
	return 0;
}
