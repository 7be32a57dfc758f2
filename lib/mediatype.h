#ifndef MAMAYO_MEDIATYPE_H
#define MAMAYO_MEDIATYPE_H

/* mediatype: the Content-Type of a file, by the ending of its name. */

/* Of a name or a path; application/octet-stream if nothing better is known.
 * Text is taken for UTF-8, except HTML, which says so itself. */
const char *mediatype_of(const char *path);

#endif
