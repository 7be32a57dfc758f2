#include "config.h"

#include <string.h>

#include "lib/near.h"

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t
near_edits(const char *a, const char *b, size_t nb)
{
	size_t row[64], na = strlen(a), i, j, corner, above;

	if (nb + 1 > sizeof row / sizeof row[0] || na > nb + NEAR_MOST ||
	    nb > na + NEAR_MOST)
		return NEAR_MOST + 1;
	for (j = 0; j <= nb; j++)
		row[j] = j;
	for (i = 1; i <= na; i++) {
		corner = row[0];
		row[0] = i;
		for (j = 1; j <= nb; j++) {
			above = row[j];
			row[j] = smaller(corner + (a[i - 1] != b[j - 1]),
			    smaller(above, row[j - 1]) + 1);
			corner = above;
		}
	}
	return row[nb];
}
