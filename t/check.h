#ifndef MAMAYO_T_CHECK_H
#define MAMAYO_T_CHECK_H

#include <check.h>
#include <stdlib.h>

/* SUITE("buf", test_a, test_b); writes main(). */
#define SUITE(name, ...)                                                    \
	int main(void)                                                      \
	{                                                                   \
		const TTest *const tests[] = { __VA_ARGS__ };               \
		Suite *suite = suite_create(name);                          \
		TCase *tcase = tcase_create(name);                          \
		SRunner *runner;                                            \
		int failed;                                                 \
                                                                            \
		tcase_set_timeout(tcase, 30);                               \
		for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) \
			tcase_add_test(tcase, tests[i]);                    \
		suite_add_tcase(suite, tcase);                              \
		runner = srunner_create(suite);                             \
		srunner_run_all(runner, CK_ENV);                            \
		failed = srunner_ntests_failed(runner);                     \
		srunner_free(runner);                                       \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                \
	}                                                                   \
	struct check_needs_a_semicolon

#endif
