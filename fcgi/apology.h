#ifndef MAMAYO_APOLOGY_H
#define MAMAYO_APOLOGY_H

/*
 * apology: what answers when mamayo can only say why it does not serve: an
 * unsafe root directory, no home, running as root, an unsupported way of being
 * started. A process that just exited would be started again and again, and
 * mod_fcgid freezes a site after three or four quick deaths.
 *
 * Written on libfcgi, one request after the other, and sharing no code with
 * the responder on purpose: what is broken there cannot break this. Answers
 * FastCGI (descriptor 0 is a listening socket) and CGI alike.
 *
 * After each answer is_mended(), unless NULL, is asked whether the reason has
 * gone; then this returns, so that the web server starts a process that
 * serves. Returns also when it is told to stop (SIGTERM, SIGUSR1).
 */
void apology_serve(
    int status, const char *code, const char *text, int (*is_mended)(void));

#endif
