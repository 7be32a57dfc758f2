#ifndef MAMAYO_QUOTE_H
#define MAMAYO_QUOTE_H

/*
 * quote: a word as it is typed into a shell: for commands that people are
 * advised to run.
 */

/* As it is if nothing in it is special to a shell, else in single quotes. Free
 * it. */
char *quote_word(const char *word);

#endif
