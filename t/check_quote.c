#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/quote.h"
#include "t/check.h"

static void
is(const char *word, const char *expected)
{
	char *quoted = quote_word(word);

	ck_assert_str_eq(quoted, expected);
	free(quoted);
}

/* In a buffer of that size. */
static void
is_cut(const char *word, size_t size, const char *expected)
{
	char out[12];

	ck_assert_uint_le(size, sizeof out);
	quote_into(out, size, word);
	ck_assert_str_eq(out, expected);
}

START_TEST(test_what_is_plain_stays_as_it_is)
{
	is("blog", "blog");
	is("/home/alice/mamayo/apps/@example.com/a-b_c.d+e:1",
	    "/home/alice/mamayo/apps/@example.com/a-b_c.d+e:1");
}
END_TEST

START_TEST(test_what_a_shell_would_act_upon_is_in_quotes)
{
	is("", "''");
	is("my site", "'my site'");
	is("it's", "'it'\\''s'");
	is("'", "''\\'''");
	is("$(date)", "'$(date)'");
	is("~", "'~'");
	is("gr\xc3\xbc\xc3\x9f", "'gr\xc3\xbc\xc3\x9f'");
}
END_TEST

START_TEST(test_what_does_not_fit_is_one_word_nevertheless)
{
	is_cut("blog", 5, "blog");
	is_cut("blog", 4, "blo");
	is_cut("a b", 6, "'a b'");
	is_cut("a b", 5, "'a '");
	is_cut("'", 7, "''\\'''");
	is_cut("'", 6, "''");
	is_cut("a b", 3, "''");
}
END_TEST

/* The judge of what a shell takes it for. */
START_TEST(test_a_shell_takes_it_for_one_word)
{
	static const char *const words[] = { "a'b'c", "''", "a \"b\" `c` $d \\",
		"*", "#", "!x", "a;b|c&d<e>f(g)", "  " };
	char *quoted, command[200], text[200];
	size_t n;
	FILE *shell;

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		quoted = quote_word(words[i]);
		snprintf(command, sizeof command, "printf %%s %s", quoted);
		free(quoted);
		shell = popen(command, "r");
		ck_assert_ptr_nonnull(shell);
		n = fread(text, 1, sizeof text - 1, shell);
		text[n] = '\0';
		ck_assert_int_eq(pclose(shell), 0);
		ck_assert_str_eq(text, words[i]);
	}
}
END_TEST

SUITE("quote", test_what_is_plain_stays_as_it_is,
    test_what_a_shell_would_act_upon_is_in_quotes,
    test_what_does_not_fit_is_one_word_nevertheless,
    test_a_shell_takes_it_for_one_word);
