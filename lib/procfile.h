#ifndef MAMAYO_PROCFILE_H
#define MAMAYO_PROCFILE_H

/*
 * procfile: a line "NAME: COMMAND" of the file Procfile in an application's
 * directory. Which application its line "web" names, the adapters find out;
 * commands of which nothing has to be understood are read here.
 */
#define PROCFILE_MOST 65536 /* bytes */

/* The command, or NULL: there is none. Free it. */
char *procfile_command(const char *app_directory, const char *name);

#endif
