#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fd.h"
#include "lib/link.h"

int
link_send(int fd, json_t *message, const int *fds, size_t nfds)
{
	char *text = message == NULL ? NULL : json_dumps(message, JSON_COMPACT);
	ssize_t sent = -1;
	size_t n;
	int saved;

	json_decref(message);
	if (text == NULL) {
		errno = ENOMEM;
		return -1;
	}
	if ((n = strlen(text)) > LINK_MESSAGE_MOST)
		errno = EMSGSIZE;
	else
		sent = fd_send(fd, text, n, fds, nfds);
	saved = errno;
	free(text);
	errno = saved;
	return sent == -1 ? -1 : 0;
}

/* Gives the message in n bytes, or NULL if it is none of ours. */
static json_t *
parse(const char *text, size_t n)
{
	json_t *message = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(message) &&
	    json_is_string(json_object_get(message, "type")))
		return message;
	json_decref(message);
	return NULL;
}

int
link_recv(int fd, json_t **message, int *fds, size_t *nfds)
{
	static char text[LINK_MESSAGE_MOST];
	ssize_t n = fd_recv(fd, text, sizeof text, fds, nfds);

	*message = NULL;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n == -1) {
		if (errno == EMSGSIZE)
			errno = EPROTO;
		return -1;
	}
	if (n == 0) {
		errno = 0;
		return -1;
	}
	if ((*message = parse(text, (size_t)n)) != NULL)
		return 1;
	while (nfds != NULL && *nfds > 0)
		fd_close(&fds[--*nfds]);
	errno = EPROTO;
	return -1;
}

const char *
link_string(const json_t *message, const char *key)
{
	const char *text = json_string_value(json_object_get(message, key));

	return text == NULL ? "" : text;
}

json_int_t
link_int(const json_t *message, const char *key)
{
	return json_integer_value(json_object_get(message, key));
}

int
link_true(const json_t *message, const char *key)
{
	return json_is_true(json_object_get(message, key));
}
