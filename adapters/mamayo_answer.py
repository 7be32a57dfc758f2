"""mamayo's worker: the answer to one request, as FastCGI records.

    STDOUT ...               header lines and body
    STDOUT without content   their end
    END_REQUEST              appStatus 1 if the answer is not whole

A small answer goes out as a whole, in one write.
"""
import _socket
import errno
import io
import os
import select
import sys
from _socket import (socket, getdefaulttimeout, setdefaulttimeout, AF_UNIX,
                     MSG_DONTWAIT, SHUT_RDWR, SHUT_WR, SOCK_STREAM)
from os import _exit, close, getpid
from _signal import getsignal, SIG_IGN, SIGPIPE
from _thread import RLock
from select import poll, POLLERR, POLLHUP, POLLOUT
from struct import Struct

from mamayo_sendfile import head_for
from mamayo_words import log, log_once, page, printable

# Where a module does not name them (PyPy), we know Linux's numbers.
LINUX = sys.platform.startswith("linux")
MSG_MORE = getattr(_socket, "MSG_MORE", 0)
sendfile = getattr(os, "sendfile", None) if LINUX else None
MSG_NOSIGNAL = getattr(_socket, "MSG_NOSIGNAL", 0x4000 if LINUX else 0)
POLLRDHUP = getattr(select, "POLLRDHUP", 0x2000 if LINUX else 0)
NOW = MSG_DONTWAIT | MSG_NOSIGNAL

# version, type, request id, content length, padding, 0
RECORD = Struct(">BBHHBB")
# STDOUT without content, then END_REQUEST with its two statuses
END = Struct(">BBHHBBBBHHBBIB3x")
FCGI_END_REQUEST = 3
FCGI_STDOUT = 6
BOARD_PARTS, BOARD_RECORDS, BOARD_ALL = 1, 2, 3  # lib/scoreboard.h
RECORD_MOST = 65528  # bytes of content in a record of ours

HEADERS_MOST = 256   # lines; a responder takes no more
RETRY_AFTER = 5      # seconds
SENDFILE_LEAST = 65536  # bytes of a file that are worth it
FAST_MOST = 1 << 20  # bytes of it between two looks for signals
KNOWN_MOST = 100     # statuses and names that need no second look

# RFC 7230: what a header's name consists of
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# a tab is allowed in a header's value
CONTROLS = frozenset(map(chr, range(32))) - {"\t"} | {"\x7f"}
# Headers that we do something about. From "connection" on they are between
# the web server and its client only (RFC 2616 13.5.1).
SPECIAL = frozenset((
    "content-length", "status",
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "te", "trailer", "transfer-encoding", "upgrade"))

statuses = {}  # that have been checked: the number
names = {}     # that have been checked: "", or in lower case if special
application = ["", ""]  # its directory, without links, and its name
# A thread that still writes must not change the board after the request's end
# (a handler of signals may write too, so that who holds this may take it).
ending = RLock()


class VisitorGone(ConnectionError):
    """The answer cannot be written any more; nobody is to blame."""


class FileWrapper:
    """wsgi.file_wrapper: what is left of a file, as an answer."""

    def __init__(self, filelike, blksize=8192):
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.blksize)
        if not data:
            raise StopIteration
        return data

    def hurry(self):
        """Fills whole records, unless this passes on what somebody is
        writing at this moment. Gives (descriptor, position, bytes left) if
        the kernel may read the file for us, else None."""
        try:
            found = os.fstat(self.filelike.fileno())
        except Exception:
            return None  # not a file; whatever it is, it may raise anything
        if found.st_mode & 0o170000 != 0o100000:
            return None
        self.blksize = RECORD_MOST
        # Other types may show something else than what is in their file.
        file = self.filelike
        if type(file) is not io.FileIO and not (
                type(file) is io.BufferedReader
                and type(file.raw) is io.FileIO):
            return None
        try:
            at = file.tell()
        except (OSError, ValueError):
            return None
        return file.fileno(), at, found.st_size - at


def adopt(fd):
    """A socket object for a descriptor; if the application has closed that,
    one that fails as it would."""
    default = getdefaulttimeout()
    if default is not None:
        # With the application's default the open file would become
        # nonblocking.
        setdefaulttimeout(None)
    try:
        return socket(AF_UNIX, SOCK_STREAM, 0, fd)
    except (OSError, ValueError):
        closed = socket(AF_UNIX, SOCK_STREAM)
        close(closed.detach())
        return closed
    finally:
        if default is not None:
            setdefaulttimeout(default)


def check_status(status):
    number = statuses.get(status)
    if number is not None:
        return number
    if not isinstance(status, str):
        raise TypeError("status is not a str: %r" % (status,))
    code = status[:3]
    if not (len(code) == 3 and code.isdigit() and status[3:4] in ("", " ")
            and CONTROLS.isdisjoint(status)):
        raise ValueError("status is not like '200 OK': %r" % status)
    number = int(code)
    if number < 200:
        raise ValueError("not a status that ends a request: %r" % status)
    if len(statuses) < KNOWN_MOST:
        statuses[status] = number
    return number


def check_name(name):
    """Gives "", or the name in lower case if it is special."""
    special = names.get(name)
    if special is not None:
        return special
    if not isinstance(name, str):
        raise TypeError("name of a header is not a str: %r" % (name,))
    if not name or not TOKEN.issuperset(name):
        raise ValueError("not a name of a header: %r" % name)
    special = name.lower()
    if special not in SPECIAL:
        special = ""
    if len(names) < KNOWN_MOST:
        names[name] = special
    return special


def check_length(value):
    if not (value.isdigit() and value.isprintable() and len(value) < 19):
        raise ValueError("Content-Length is not a number: %r" % value)
    return int(value)


class Answer:
    """What start_response() and write() work on, and who sends it."""

    __slots__ = ("pid", "board", "socket", "id", "method", "url", "taken",
                 "direct", "kept", "nginx", "sendfile", "called", "status",
                 "head", "left", "begun", "ended", "whole", "counted",
                 "broken", "closed", "sent")

    def __init__(self, pid, board, fd, request_id, environ, taken,
                 direct=False, kept=False, state=None):
        self.pid = pid        # of the worker that may give this answer
        self.board = board
        self.id = request_id
        self.method = environ.get("REQUEST_METHOD", "")
        self.url = environ.get("SCRIPT_NAME", "") + environ.get(
            "PATH_INFO", "")
        self.taken = taken    # when it was taken from the queue
        self.direct = direct  # the socket is the web server's connection
        self.kept = kept      # which it wants to use again
        self.nginx = environ.get("SERVER_SOFTWARE", "").startswith("nginx")
        # how the web server can be told to send a file
        self.sendfile = environ.get("MAMAYO_SENDFILE")
        self.called = False   # start_response() has been called
        self.status = 0
        self.head = None      # header lines that have not been sent
        self.left = None      # bytes missing to Content-Length
        self.begun = False    # something has been sent
        self.ended = False    # nothing more is to be sent
        self.whole = False    # END_REQUEST has been sent, and all before it
        self.counted = False
        self.broken = False   # nothing can be sent any more
        self.closed = False   # the request is over
        self.sent = 0         # bytes of body
        if state is not None:  # from here on the accelerator leaves it to us
            (self.called, self.status, self.head, self.left, self.begun,
             self.ended, self.whole, self.counted, self.sent) = state
        # the last: who fails before this has not taken the descriptor
        self.socket = adopt(fd)

    def __str__(self):
        return "%s %s" % (printable(self.method), printable(self.url))

    # What the application calls

    def start_response(self, status, headers, exc_info=None):
        if self.closed:
            raise RuntimeError("start_response() after the request's end")
        if exc_info:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # or the frames in it would live on
        elif self.called:
            raise RuntimeError("start_response() for the second time")
        self.called = True
        self.head = None
        self.set_head(status, headers)
        return self.write

    def write(self, data):
        if self.closed:
            raise RuntimeError("write() after the request's end")
        left = self.left
        self.send(data)
        if left is not None and len(data) > left and self.has_body():
            raise ValueError("write() of more than Content-Length")

    # Headers

    def set_head(self, status, headers):
        """Checks all now, so that the traceback shows who is wrong."""
        number = check_status(status)
        if not isinstance(headers, list):
            raise TypeError("headers are not a list: %r" % (headers,))
        if len(headers) > HEADERS_MOST:
            raise ValueError("more than %d headers" % HEADERS_MOST)
        length = None
        lines = ["Status: ", status, "\r\n"]
        for header in headers:
            if not isinstance(header, tuple) or len(header) != 2:
                raise TypeError("header is not a pair: %r" % (header,))
            name, value = header
            if not isinstance(value, str):
                raise TypeError("value of a header is not a str: %r"
                                % (header,))
            if not value.isprintable() and not CONTROLS.isdisjoint(value):
                raise ValueError("control character in a header: %r"
                                 % (header,))
            special = check_name(name)
            if special == "status":
                log_once("dropped the header Status: start_response() takes"
                         " the status as its first argument")
                continue
            if special == "connection" and value.lower() == "close":
                log_once("dropped the header Connection: close, which is the"
                         " web server's business")
                continue
            if special == "content-length":
                if length is not None and length != check_length(value):
                    raise ValueError("Content-Length twice, and different")
                if length is not None or number == 204:
                    continue  # RFC 7230 3.3.2: a 204 has none
                length = check_length(value)
            elif special:
                raise ValueError("a header between web server and client, not"
                                 " for applications: %r" % (header,))
            lines += (name, ": ", value, "\r\n")
        head = "".join(lines).encode("latin-1")
        if len(head) > RECORD_MOST - 64:
            raise ValueError("more than 64 KiB of headers")
        self.status = number
        self.head = head
        self.left = length

    def has_body(self):
        return (self.method != "HEAD" and self.status != 204
                and self.status != 304)

    # The body

    def deliver(self, result):
        """Sends what the application has returned."""
        kind = type(result)
        if kind is bytes or kind is bytearray:
            result, kind = (result,), tuple
        if result is None or kind is str:
            raise TypeError("the application returned %s, not an iterable of"
                            " bytes" % ("None" if result is None else "a str"))
        if (kind is list or kind is tuple) and self.head is not None:
            result = self.measure(result)
        elif kind is FileWrapper:
            file = result.hurry()
            if file is not None and self.may_send_file(file[2]):
                if not self.hand_over(*file):
                    self.send_file(*file)
                return
        for block in result:
            self.send(block)
            if self.ended:
                return
        self.finish()

    def measure(self, blocks):
        """A list is complete: tells its length, and if it is short makes
        one block of it."""
        length = 0
        for block in blocks:
            if not isinstance(block, bytes):
                return blocks
            length += len(block)
        if self.left is None and self.status != 204 and self.status != 304:
            self.head += b"Content-Length: %d\r\n" % length
            self.left = length
        return (b"".join(blocks),) if length <= RECORD_MOST else blocks

    def send(self, block):
        """One block of the body, sent before the next is asked for."""
        if not isinstance(block, bytes):
            if not isinstance(block, (bytearray, memoryview)):
                raise TypeError("a block of the answer is not bytes: %.100r"
                                % (block,))
            block = bytes(block)
        self.check_open()
        if self.ended or not (block or self.left == 0):
            return
        if not self.has_body():
            self.transmit(b"", True)
            return
        last = False
        if self.left is not None:
            if len(block) > self.left:
                log_once("%s: the answer is longer than its Content-Length;"
                         " the rest is not sent" % self)
                block = block[:self.left]
            self.left -= len(block)
            last = self.left == 0
        self.sent += len(block)
        self.transmit(block, last)

    def may_send_file(self, size):
        """Worth it, and as the blocks would be sent; and who hangs up must
        not end us: sendfile() knows no MSG_NOSIGNAL."""
        return (sendfile is not None and size > SENDFILE_LEAST
                and self.head is not None and self.has_body()
                and (self.left is None or self.left <= size)
                and getsignal(SIGPIPE) == SIG_IGN)

    def hand_over(self, file, at, size):
        """Lets the web server send a file, if it can do so for us."""
        if not (self.sendfile and self.status == 200 and at == 0
                and self.method == "GET" and self.left in (None, size)):
            return False
        head = head_for(self.sendfile, application[0], application[1], file,
                        self.head)
        if head is None:
            return False
        self.check_open()
        self.head, self.left, self.sent = head, None, size
        self.transmit(b"", True)
        return True

    def send_file(self, file, at, size):
        """A part of a file, from the kernel's memory to the socket."""
        self.check_open()
        end = at + (size if self.left is None else self.left)
        if size > end - at:
            log_once("%s: the answer is longer than its Content-Length; the"
                     " rest is not sent" % self)
        fast = self.board.send_file
        while at < end:
            head = b""
            if self.head is None and fast is not None:
                done, missing = fast(self.socket.fileno(), self.id, file, at,
                                     min(end - at, FAST_MOST))
                at += done
                self.sent += done
                if missing:
                    self.push_file(file, at, missing)
                    at += missing
                    self.sent += missing
                if done or missing:
                    continue
            if self.head is not None:
                head, self.head = self.head + b"\r\n", None
                self.begun = True
            n = min(end - at, RECORD_MOST - len(head))
            self.push(RECORD.pack(1, FCGI_STDOUT, self.id, len(head) + n, 0,
                                  0) + head, MSG_MORE)
            self.push_file(file, at, n)
            at += n
            self.sent += n
        self.left = None if self.left is None else 0
        self.transmit(b"", True)

    def push_file(self, file, at, n):
        """The content of a record whose head has gone already."""
        self.board.writing()
        self.board.sending(True)  # it may wait for the visitor
        room = None
        try:
            while n > 0:
                try:
                    done = sendfile(self.socket.fileno(), file, at, n)
                except BlockingIOError:
                    if room is None:
                        room = poll()
                        room.register(self.socket.fileno(), POLLOUT)
                    room.poll()
                    continue
                if done == 0:
                    log("error", "%s: the file has become shorter while it"
                        " was sent" % self)
                    break
                at += done
                n -= done
                self.board.wrote(BOARD_PARTS)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                log("error", "%s: the file cannot be sent: %s" % (
                    self, error))
        finally:
            self.board.sending(False)
        if n > 0:
            self.broken = True
            raise VisitorGone("the answer cannot be completed")
        self.board.wrote(BOARD_RECORDS)

    def finish(self):
        """The application has nothing more to send."""
        self.check_open()
        if self.ended:
            return
        if self.left and self.has_body():
            log("error", "%s: the answer ends %d bytes before its"
                " Content-Length" % (self, self.left))
            self.transmit(b"", False)
            self.cut()
        else:
            self.transmit(b"", True)

    def check_open(self):
        if self.head is None and not self.begun:
            raise RuntimeError("start_response() has not been called")
        if self.broken:
            raise VisitorGone("the visitor has gone")

    def send_page(self, status, code, text, **more):
        """An answer of our own, while nothing has been sent."""
        reason, more_head = {
            500: ("Internal Server Error", ""),
            503: ("Service Unavailable", "Retry-After: %d\r\n" % RETRY_AFTER),
        }[status]
        body = page(status, text, **more)
        self.status = status
        self.left = None
        self.head = (
            "Status: %d %s\r\nContent-Type: text/html; charset=utf-8\r\n"
            "Content-Length: %d\r\nCache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\nX-Mamayo-Error: %s\r\n%s" % (
                status, reason, len(body), code, more_head)).encode("ascii")
        if self.method == "HEAD":
            body = b""
        self.sent = len(body)
        self.transmit(body, True)

    # Records

    def record(self, *content):
        length = sum(map(len, content))
        return (RECORD.pack(1, FCGI_STDOUT, self.id, length, 0, 0),) + content

    def end(self, app_status):
        self.ended = True
        self.whole = app_status == 0
        self.count()
        return END.pack(1, FCGI_STDOUT, self.id, 0, 0, 0,
                        1, FCGI_END_REQUEST, self.id, 8, 0, 0, app_status, 0)

    def transmit(self, block, last):
        """Sends the headers, if they are still here, and a block."""
        self.stay()
        head = b""
        if self.head is not None:
            head = self.head + b"\r\n"
            self.head = None
            self.begun = True
        rest = memoryview(block)
        while len(head) + len(rest) > RECORD_MOST:
            n = RECORD_MOST - len(head)
            self.push(b"".join(self.record(head, rest[:n])))
            head = b""
            rest = rest[n:]
        parts = ()
        if head or rest:
            parts = self.record(head, rest)
        if last:
            parts += (self.end(0),)
        if parts:
            self.push(b"".join(parts))

    def cut(self):
        """Ends an answer that is not whole. A responder knows what to tell
        its web server; of the servers themselves only nginx, where it does
        not keep the connection, takes END_REQUEST for anything but success:
        for the others hang_up() closes."""
        self.stay()
        if not self.direct or self.nginx and not self.kept:
            self.push(self.end(1))
        else:
            self.ended = True

    def stay(self):
        """Ends a fork of the worker, which has no answer to give."""
        if getpid() != self.pid:
            _exit(0)

    def push(self, data, more=0):
        self.board.writing()
        try:
            try:
                n = self.socket.send(data, NOW | more)
            except BlockingIOError:
                n = 0
            if n < len(data):
                self.push_slowly(memoryview(data)[n:])
        except OSError as error:
            self.broken = True
            if (error.errno not in (errno.EPIPE, errno.ECONNRESET)
                    and not self.closed):
                log("error", "%s: the answer cannot be sent: %s" % (
                    self, error))
        if self.broken:
            raise VisitorGone("the visitor has gone")
        self.board.wrote(BOARD_PARTS if more else
                         BOARD_ALL if self.ended else BOARD_RECORDS)

    def push_slowly(self, data):
        """The visitor is slower than we are. That is nobody's fault, and no
        silence of the application: the board says so."""
        self.tell_sending(True)
        room = poll()
        try:
            room.register(self.socket.fileno(), POLLOUT)
            while data:
                room.poll()
                try:
                    data = data[self.socket.send(data, NOW):]
                except BlockingIOError:
                    continue
                self.board.wrote(BOARD_PARTS)
        except ValueError:  # there is no descriptor any more
            raise OSError(errno.EBADF, "the answer is closed")
        finally:
            self.tell_sending(False)

    def tell_sending(self, waiting):
        with ending:
            if not self.closed:  # by another thread
                self.board.sending(waiting)

    def count(self):
        """Before the last byte goes: who has the answer sees it counted."""
        if not self.counted and self.status:
            self.counted = True
            self.board.ended(self.status, self.sent, self.taken)

    def visitor_gone(self):
        here = poll()
        here.register(self.socket.fileno(), POLLRDHUP)
        return any(mask & (POLLHUP | POLLERR | POLLRDHUP)
                   for _, mask in here.poll(0))

    def how_to_shut(self):
        """What the other side is to see of our hanging up."""
        whole = self.whole and not self.broken
        if self.direct and not whole and (self.kept or not self.nginx):
            return SHUT_RDWR
        if self.direct and whole and self.kept:
            return None
        return SHUT_WR

    def hang_up(self):
        with ending:
            self.closed = True
        self.count()
        how = self.how_to_shut()
        try:
            # a process that the application forked may hold a copy
            if how is not None:
                self.socket.shutdown(how)
        except OSError:
            pass  # the other side was first
        try:
            self.socket.close()
        except OSError:
            pass  # the application was first


# for the accelerator: what is left of an answer whose request is over
over = Answer.__new__(Answer)
over.closed = True
