#include "config.h"

#include "adapters/accel.h"
#include "lib/clock.h"

#include <errno.h>
#include <fastcgi.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

/* The head of a record: 0, or -1 if nothing of it could be sent at once. */
static int
file_head(int to, unsigned id, size_t n)
{
	unsigned char head[RECORD_HEAD];
	size_t sent = 0;
	int flags = MSG_DONTWAIT; /* once something has gone, all has to */
	ssize_t got;

	record_put_head(head, FCGI_STDOUT, (uint16_t)id, n, 0);
	while (sent < sizeof head) {
		got = send(to, head + sent, sizeof head - sent,
		    MSG_NOSIGNAL | MSG_MORE | flags);
		if (got == -1 && sent == 0)
			return -1;
		if (got == -1 && errno != EINTR)
			break; /* who sends the content will see it, too */
		if (got > 0)
			sent += (size_t)got;
		flags = 0;
	}
	return 0;
}

/* A part of a file; gives how much of n is left. */
static size_t
file_content(int to, int file, off_t at, size_t n)
{
	ssize_t got = 1;

	while (n > 0 && got > 0) {
		got = sendfile(to, file, &at, n);
		if (got > 0)
			n -= (size_t)got;
	}
	return n;
}

PyObject *
file_send(PyObject *self, PyObject *args)
{
	volatile uint64_t *word = ((struct accelerator *)self)->page.word;
	int to, file, id;
	long long at, size, done = 0;
	size_t n, left = 0;

	if (!PyArg_ParseTuple(args, "iiiLL", &to, &id, &file, &at, &size))
		return NULL;
	if (word == NULL)
		return Py_BuildValue("ii", 0, 0); /* it does not serve yet */
	Py_BEGIN_ALLOW_THREADS;
	word[BOARD_STATE] = BOARD_SENDING; /* it may wait for the visitor */
	while (done < size && left == 0) {
		n = size - done < RECORD_MOST ? (size_t)(size - done)
					      : RECORD_MOST;
		word[BOARD_WROTE] = BOARD_PARTS;
		if (file_head(to, (unsigned)id, n) == -1) {
			word[BOARD_WROTE] = BOARD_RECORDS;
			break;
		}
		left = file_content(to, file, (off_t)(at + done), n);
		done += (long long)(n - left);
		if (left == 0)
			word[BOARD_WROTE] = BOARD_RECORDS;
		word[BOARD_PROGRESS] = (uint64_t)clock_ms();
	}
	word[BOARD_STATE] = BOARD_BUSY;
	Py_END_ALLOW_THREADS;
	return Py_BuildValue("Ln", done, (Py_ssize_t)left);
}
