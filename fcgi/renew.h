#ifndef MAMAYO_RENEW_H
#define MAMAYO_RENEW_H

/*
 * renew: a program whose file has been replaced becomes the new one.
 *
 * It stays the same process, with descriptors 0, 1 and 2 and the environment as
 * they are: whoever started it need not notice. (Apache counts deaths, and
 * starts nothing for some seconds after four of them.)
 *
 * path is argv[0]. Only an absolute one can be found again.
 */

/* Is the file at path another one than the program that runs? */
int renew_is_due(const char *path);

/* Becomes that one; returns only if it cannot. */
void renew(const char *path);

#endif
