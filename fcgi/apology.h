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
 * After each answer is_outdated(), unless NULL, is asked whether the reason
 * has gone or changed; then this returns 0, and whoever called it goes on with
 * the same socket, so that no request in its backlog is lost. Returns 1 when
 * it is over: told to stop (SIGTERM, SIGUSR1), or CGI.
 */
int apology_serve(
    int status, const char *code, const char *text, int (*is_outdated)(void));

#endif
