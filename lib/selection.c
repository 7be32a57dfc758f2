#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/selection.h"

#define SELECTION_GRAIN 2 /* seconds after which a file's time is its own */

static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri",
	"Sat" };
static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

void
selection_date(char out[SELECTION_DATE], time_t at)
{
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL || tm.tm_year < -1900 ||
	    tm.tm_year > 9999 - 1900) {
		at = 0;
		(void)gmtime_r(&at, &tm);
	}
	snprintf(out, SELECTION_DATE, "%s, %02d %s %04d %02d:%02d:%02d GMT",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
	    (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void
selection_etag(char out[SELECTION_ETAG], uint64_t size,
    const struct timespec *modified, const struct timespec *now)
{
	int is_weak = now->tv_sec < modified->tv_sec + SELECTION_GRAIN;

	snprintf(out, SELECTION_ETAG, "%s\"%llx.%lx-%llx\"",
	    is_weak ? "W/" : "", (unsigned long long)modified->tv_sec,
	    (unsigned long)modified->tv_nsec, (unsigned long long)size);
}

/* Days since 1970 of a date in the Gregorian calendar. */
static int64_t
days_since_1970(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day;

	return 365 * y + y / 4 - y / 100 + y / 400 + of_year - 719469;
}

/* Any of the three forms that there are. -1 if it is none. */
static int64_t
date_of(const char *text)
{
	int day, year, hour, minute, second, month;
	char name[4];

	if (sscanf(text, "%*3[a-zA-Z], %2d %3[a-zA-Z] %4d %2d:%2d:%2d GMT",
		&day, name, &year, &hour, &minute, &second) != 6 &&
	    sscanf(text, "%*3[a-zA-Z] %3[a-zA-Z] %2d %2d:%2d:%2d %4d", name,
		&day, &hour, &minute, &second, &year) != 6) {
		if (sscanf(text,
			"%*9[a-zA-Z], %2d-%3[a-zA-Z]-%2d %2d:%2d:%2d GMT", &day,
			name, &year, &hour, &minute, &second) != 6)
			return -1;
		year += year < 70 ? 2000 : 1900;
	}
	for (month = 0; month < 12 && strcmp(months[month], name) != 0; month++)
		continue;
	if (month == 12 || year < 1970 || day < 1 || day > 31 || hour < 0 ||
	    hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return -1;
	return days_since_1970(year, month + 1, day) * 86400 + hour * 3600 +
	       minute * 60 + second;
}

/* Without W/; where it is one, *is_weak. */
static const char *
opaque(const char *tag, int *is_weak)
{
	*is_weak = strncmp(tag, "W/", 2) == 0;
	return *is_weak ? tag + 2 : tag;
}

/* Is the tag in the list? "*" is every one. */
static int
list_has(const char *list, const char *etag, int strongly)
{
	int is_weak, has_weak;
	const char *mine = opaque(etag, &is_weak), *end;
	size_t n = strlen(mine);

	for (; *list != '\0'; list = end) {
		list += strspn(list, " \t,");
		if (*list == '*')
			return 1;
		list = opaque(list, &has_weak);
		if (*list != '"' || (end = strchr(list + 1, '"')) == NULL)
			return 0;
		end++;
		if ((size_t)(end - list) == n && memcmp(list, mine, n) == 0 &&
		    !(strongly && (is_weak || has_weak)))
			return 1;
	}
	return 0;
}

/* Digits. Gives where they end; NULL if there are none, or too many. */
static const char *
number(const char *text, uint64_t *out)
{
	const char *end = text + strspn(text, "0123456789");

	if (end == text || end - text > 18)
		return NULL;
	for (*out = 0; text < end; text++)
		*out = *out * 10 + (uint64_t)(*text - '0');
	return end;
}

static struct selection
whole(const struct selection_file *f)
{
	return (struct selection){ .status = 200, .length = f->size };
}

static struct selection
part_of(const char *range, const struct selection_file *f)
{
	struct selection s = { .status = 206 };
	uint64_t last = UINT64_MAX;
	const char *at;

	if (strncmp(range, "bytes=", 6) != 0)
		return whole(f);
	range += 6;
	if (*range == '-') { /* so many at the end */
		if ((at = number(range + 1, &s.length)) == NULL || *at != '\0')
			return whole(f);
		if (s.length > f->size)
			s.length = f->size;
		s.first = f->size - s.length;
	} else {
		if ((at = number(range, &s.first)) == NULL || *at++ != '-')
			return whole(f);
		if (*at != '\0' && ((at = number(at, &last)) == NULL ||
				       *at != '\0' || last < s.first))
			return whole(f);
		if (s.first < f->size)
			s.length =
			    (last < f->size ? last + 1 : f->size) - s.first;
	}
	if (s.length == 0)
		s.status = 416;
	return s;
}

/* Is what the visitor has a part of the file as it is? */
static int
is_same(const char *if_range, const struct selection_file *f)
{
	int is_weak;

	if (strchr(if_range, '"') != NULL)
		return *if_range != '*' && list_has(if_range, f->etag, 1);
	(void)opaque(f->etag, &is_weak);
	return !is_weak && date_of(if_range) == (int64_t)f->modified;
}

static int
is_unmodified(const char *since, const struct selection_file *f)
{
	int64_t date = date_of(since);

	return date != -1 && (int64_t)f->modified <= date;
}

struct selection
selection_of(const struct selection_request *r, const struct selection_file *f)
{
	struct selection failed = { .status = 412 }, same = { .status = 304 };

	if (r->if_match != NULL) {
		if (!list_has(r->if_match, f->etag, 1))
			return failed;
	} else if (r->if_unmodified_since != NULL &&
		   date_of(r->if_unmodified_since) != -1 &&
		   !is_unmodified(r->if_unmodified_since, f))
		return failed;
	if (r->if_none_match != NULL) {
		if (list_has(r->if_none_match, f->etag, 0))
			return same;
	} else if (r->if_modified_since != NULL &&
		   is_unmodified(r->if_modified_since, f))
		return same;
	if (r->range == NULL ||
	    (r->if_range != NULL && !is_same(r->if_range, f)))
		return whole(f);
	return part_of(r->range, f);
}
