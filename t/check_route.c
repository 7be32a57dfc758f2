#include "config.h"

#include <string.h>

#include "lib/route.h"
#include "t/check.h"

static struct routes
table(void)
{
	struct routes rs;

	routes_init(&rs);
	routes_add(&rs, "", "", "ROOT");
	routes_add(&rs, "", "/blog", "blog");
	routes_add(&rs, "", "/blogger", "blogger");
	routes_add(&rs, "", "/tools", "tools/ROOT");
	routes_add(&rs, "", "/tools/wiki", "tools/wiki");
	routes_add(&rs, "example.com", "/blog", "@example.com/blog");
	routes_add(&rs, "Two.Example.com.", "", "@two.example.com/ROOT");
	routes_add(&rs, "two.example.com", "/x", "@two.example.com/x");
	routes_add(&rs, "www.example.net", "/w", "@www.example.net/w");
	routes_add(&rs, "example.net", "/n", "@example.net/n");
	routes_add(&rs, "[::1]", "/six", "@[::1]/six");
	routes_sort(&rs);
	return rs;
}

/* Whose is it? name NULL: nobody's. */
static void
goes_to(const struct routes *rs, const char *host, const char *path,
    const char *name)
{
	const struct route *r = routes_find(rs, host, path, strlen(path));

	if (name == NULL)
		ck_assert_msg(r == NULL, "%s at %s goes to %s", path,
		    host ? host : "-", r ? r->name : "");
	else
		ck_assert_msg(r != NULL && strcmp(r->name, name) == 0,
		    "%s at %s goes to %s, not %s", path, host ? host : "-",
		    r ? r->name : "nobody", name);
}

START_TEST(test_matches_only_at_the_border_of_a_part)
{
	struct routes rs = table();

	goes_to(&rs, NULL, "/blog", "blog");
	goes_to(&rs, NULL, "/blog/", "blog");
	goes_to(&rs, NULL, "/blog/x/y", "blog");
	goes_to(&rs, NULL, "/blogger", "blogger");
	goes_to(&rs, NULL, "/blogger/", "blogger");
	goes_to(&rs, NULL, "/blogge", "ROOT");
	goes_to(&rs, NULL, "/blo", "ROOT");
	goes_to(&rs, NULL, "/x/blog", "ROOT");
	goes_to(&rs, NULL, "/Blog", "ROOT");
	routes_release(&rs);
}
END_TEST

START_TEST(test_the_longest_mount_wins)
{
	struct routes rs = table();

	goes_to(&rs, NULL, "/tools/wiki/page", "tools/wiki");
	goes_to(&rs, NULL, "/tools/wikis", "tools/ROOT");
	goes_to(&rs, NULL, "/tools", "tools/ROOT");
	goes_to(&rs, NULL, "/", "ROOT");
	goes_to(&rs, NULL, "", "ROOT");
	routes_release(&rs);
}
END_TEST

START_TEST(test_nobody_is_found_where_nothing_is)
{
	struct routes rs;

	routes_init(&rs);
	routes_sort(&rs);
	goes_to(&rs, NULL, "/", NULL);
	goes_to(&rs, "e.test", "", NULL);
	routes_add(&rs, "", "/blog", "blog");
	routes_sort(&rs);
	goes_to(&rs, NULL, "/", NULL);
	goes_to(&rs, NULL, "", NULL);
	goes_to(&rs, NULL, "/blogger", NULL);
	routes_release(&rs);
	ck_assert_uint_eq(rs.n, 0);
}
END_TEST

START_TEST(test_mounts_of_the_host_come_before_those_of_every_host)
{
	struct routes rs = table();

	goes_to(&rs, "example.com", "/blog/x", "@example.com/blog");
	goes_to(&rs, "example.com", "/blogger", "blogger");
	goes_to(&rs, "example.com", "/", "ROOT");
	goes_to(&rs, "two.example.com", "/blog", "@two.example.com/ROOT");
	goes_to(&rs, "two.example.com", "/x/y", "@two.example.com/x");
	goes_to(&rs, "other.example.com", "/blog", "blog");
	goes_to(&rs, "", "/blog", "blog");
	routes_release(&rs);
}
END_TEST

START_TEST(test_hosts_are_compared_without_port_dot_and_case)
{
	static const char *const same[] = { "example.com", "EXAMPLE.com",
		"example.com:8080", "example.com:", "example.com.",
		"Example.Com.:443" };
	static const char *const other[] = { "example.co", "example.comm",
		"xexample.com", "example.com..", "a.example.com", "com" };
	struct routes rs = table();

	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
		goes_to(&rs, same[i], "/blog", "@example.com/blog");
	for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
		goes_to(&rs, other[i], "/blog", "blog");
	goes_to(&rs, "TWO.example.com", "/", "@two.example.com/ROOT");
	goes_to(&rs, "[::1]", "/six", "@[::1]/six");
	goes_to(&rs, "[::1]:80", "/six", "@[::1]/six");
	goes_to(&rs, "[::1", "/six", "ROOT");
	goes_to(&rs, "[::2]", "/six", "ROOT");
	routes_release(&rs);
}
END_TEST

START_TEST(test_www_is_tried_without_it_unless_it_has_its_own)
{
	struct routes rs = table();

	goes_to(&rs, "www.example.com", "/blog", "@example.com/blog");
	goes_to(&rs, "WWW.example.com:80", "/blog", "@example.com/blog");
	goes_to(&rs, "www.example.net", "/w", "@www.example.net/w");
	goes_to(&rs, "www.example.net", "/n", "ROOT");
	goes_to(&rs, "example.net", "/n", "@example.net/n");
	goes_to(&rs, "example.net", "/w", "ROOT");
	goes_to(&rs, "www.www.example.com", "/blog", "blog");
	goes_to(&rs, "www.", "/blog", "blog");
	goes_to(&rs, "wwwxexample.com", "/blog", "blog");
	routes_release(&rs);
}
END_TEST

START_TEST(test_paths_are_bytes_with_a_length)
{
	struct routes rs = table();
	const struct route *r;

	r = routes_find(&rs, NULL, "/blogger", 5);
	ck_assert_str_eq(r->name, "blog");
	r = routes_find(&rs, NULL, NULL, 0);
	ck_assert_str_eq(r->name, "ROOT");
	routes_release(&rs);
}
END_TEST

START_TEST(test_the_order_of_adding_does_not_matter)
{
	struct routes rs;

	routes_init(&rs);
	routes_add(&rs, "", "/a/b", "a/b");
	routes_add(&rs, "", "/a", "two");
	routes_add(&rs, "", "/a", "one");
	routes_add(&rs, "", "", "ROOT");
	routes_sort(&rs);
	goes_to(&rs, NULL, "/a/c", "one");
	goes_to(&rs, NULL, "/a/b/c", "a/b");
	routes_release(&rs);
}
END_TEST

SUITE("route", test_matches_only_at_the_border_of_a_part,
    test_the_longest_mount_wins, test_nobody_is_found_where_nothing_is,
    test_mounts_of_the_host_come_before_those_of_every_host,
    test_hosts_are_compared_without_port_dot_and_case,
    test_www_is_tried_without_it_unless_it_has_its_own,
    test_paths_are_bytes_with_a_length,
    test_the_order_of_adding_does_not_matter);
