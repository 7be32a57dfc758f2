#include "config.h"

#include <stdint.h>

#include "lib/utf8.h"

/* The bytes of the character at the front, and its code point; 0 if it is not
 * UTF-8. */
static size_t
utf8_take(const unsigned char *s, size_t n, uint32_t *point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length;

	if (s[0] < 0x80) {
		*point = s[0];
		return 1;
	}
	length = (s[0] & 0xe0) == 0xc0   ? 2
		 : (s[0] & 0xf0) == 0xe0 ? 3
		 : (s[0] & 0xf8) == 0xf0 ? 4
					 : 0;
	if (length == 0 || length > n)
		return 0;
	*point = s[0] & (0x7fU >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (s[i] & 0x3f);
	}
	if (*point < least[length] || *point > 0x10ffff ||
	    (*point >= 0xd800 && *point <= 0xdfff))
		return 0;
	return length;
}

static int
is_control(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point <= 0x9f) ||
	       (point >= 0x2028 && point <= 0x202e);
}

size_t
utf8_shown(const char *text, size_t n)
{
	uint32_t point;
	size_t length = utf8_take((const unsigned char *)text, n, &point);

	return length > 0 && !is_control(point) ? length : 0;
}
