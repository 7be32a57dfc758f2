"""mamayo's worker: queue -> WSGI application -> answer socket.

The supervisor starts one process of these per worker, in the application's
directory, with the application's own Python. It has three descriptors:

    3  control     JSON messages to and from the supervisor (lib/link.h)
    4  queue       requests, from every responder (lib/wire.h)
    5  scoreboard  a page in which we say what we do (lib/scoreboard.h)

Everything that the application prints goes to its log (1 and 2).

Names that this module uses while it serves are bound when it is imported, so
that an application which replaces parts of the standard library (gevent)
changes nothing here. What is imported is what every start pays for: modules
that only some applications need are imported where they are needed.
"""
import os
import sys

if sys.version_info < (3, 6):  # so nothing below needs more to be parsed
    advice = ("mamayo needs Python 3.6 or newer, and %s is Python %d.%d: name"
              " another one with \\\"python\\\" in mamayo.json" % (
                  (sys.executable,) + tuple(sys.version_info[:2])))
    os.write(3, ('{"type":"failed","kind":"python","text":"%s","detail":""}'
                 % advice).encode("ascii", "replace"))
    os.write(2, advice.replace("\\", "").encode("ascii", "replace") + b"\n")
    os._exit(3)

import errno
import faulthandler
import io
from _signal import (signal, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1,
                     SIGUSR2)
from _socket import (socket, getdefaulttimeout, setdefaulttimeout, AF_UNIX,
                     CMSG_SPACE, MSG_CTRUNC, MSG_DONTWAIT, MSG_TRUNC,
                     SCM_RIGHTS, SHUT_RDWR, SOCK_SEQPACKET, SOCK_STREAM,
                     SOL_SOCKET)
import _socket
import select
from mmap import mmap
from os import _exit, close, getpid, lseek, read
from struct import Struct, unpack
from time import monotonic, strftime

import mamayo_detect

poll = select.poll
MSG_NOSIGNAL = getattr(_socket, "MSG_NOSIGNAL", 0x4000 * (
    sys.platform == "linux"))
MSG_CMSG_CLOEXEC = getattr(_socket, "MSG_CMSG_CLOEXEC", 0x40000000 * (
    sys.platform == "linux"))
EPOLLEXCLUSIVE = 1 << 28
POLLRDHUP = getattr(select, "POLLRDHUP", 0x2000 * (sys.platform == "linux"))
GONE = select.POLLHUP | select.POLLERR | POLLRDHUP

CONTROL, QUEUE, SCOREBOARD = 3, 4, 5

# The names and numbers of lib/wire.h, lib/scoreboard.h and lib/link.h.
WIRE_MAGIC = b"MMYq"
WIRE_VERSION = 1
WIRE_HEAD = 64
WIRE_MOST = 16384
WIRE_SPOOL = 1
WIRE_SPOOL_PARAMS = 2
WIRE_SPOOL_BODY = 4
WIRE_KEEP_CONN = 8
HEAD = Struct("<4sHHIHHQQQQQQ")

SCOREBOARD_SIZE = 4096
SCOREBOARD_URL_AT = 1024
SCOREBOARD_URL_MOST = 512
(BOARD_MAGIC, BOARD_STATE, BOARD_RESPONDER, BOARD_COUNTER, BOARD_STARTED,
 BOARD_PROGRESS, BOARD_WROTE, BOARD_REQUESTS, BOARD_BYTES,
 BOARD_STATUS) = range(10)
BOARD_LATENCY = BOARD_STATUS + 5
BOARD_WORDS = BOARD_LATENCY + 16
(BOARD_STARTING, BOARD_IDLE, BOARD_BUSY, BOARD_SENDING,
 BOARD_DRAINING) = range(5)

LINK_MESSAGE_MOST = 65536

# FastCGI 1.0
RECORD = Struct(">BBHHBB")          # version, type, id, length, padding, 0
END = Struct(">BBHHBBHHBBHHBBIB3x")  # STDOUT of length 0, then END_REQUEST
FCGI_STDOUT = 6
FCGI_END_REQUEST = 3
RECORD_MOST = 65528  # content of one record of ours; a multiple of 8

HEADERS_MOST = 256  # what a responder takes from us, in lines
FILE_BLOCK = 4 * RECORD_MOST
PATIENCE_MS = 100  # a visitor who has waited longer may have gone
BUSY_RETRY = 5     # seconds after which to try again, for a visitor

REASONS = {500: "Internal Server Error", 503: "Service Unavailable"}
# RFC 7230: a token
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
CONTROLS = frozenset(chr(c) for c in range(32) if c != 9) | {"\x7f"}
# RFC 2616 13.5.1: not an application's business
HOP_BY_HOP = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "te", "trailer", "trailers", "transfer-encoding", "upgrade"))


class VisitorGone(ConnectionError):
    """The answer cannot be written any more; nobody is to blame."""


class Woken(Exception):
    """A signal came while we slept."""


class Log(io.FileIO):
    """Descriptor 1 or 2. A full disk costs lines, never requests."""

    def write(self, data):
        try:
            return super().write(data)
        except OSError:
            return len(data)


def log_stream(fd):
    """Text to the log: each line in one write, whatever it contains."""
    return io.TextIOWrapper(
        io.BufferedWriter(Log(fd, "w", closefd=False), 1 << 16),
        encoding="utf-8", errors="backslashreplace", line_buffering=True)


def log(text):
    """A remark of our own, in the application's log."""
    line = "%s [%d] mamayo: %s\n" % (
        strftime("%Y-%m-%d %H:%M:%S"), getpid(), text)
    try:
        os.write(2, line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # nowhere to say it


def clock():
    return int(monotonic() * 1000)


def printable(text):
    """What came from outside, made fit for a line of a log."""
    return text if text.isprintable() else "".join(
        c if c.isprintable() else "\\x%02x" % ord(c) for c in text)


def escape(text):
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"),
                      ('"', "&quot;")):
        text = text.replace(raw, safe)
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def page(status, text, detail="", reference=""):
    """A small HTML page of our own."""
    parts = ['<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
             '<meta name="viewport" content="width=device-width">\n'
             '<meta name="color-scheme" content="light dark">\n'
             '<title>%s</title>\n<h1>%s</h1>\n<p>%s</p>\n' % (
                 REASONS[status], REASONS[status], escape(text))]
    if reference:
        parts.append("<p>Reference: <code>%s</code></p>\n" % reference)
    if detail:
        parts.append("<pre>%s</pre>\n" % escape(detail))
    return "".join(parts).encode("utf-8", "replace")


def trace(error, skip):
    """The traceback, without our own frames at its beginning."""
    import traceback
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename == skip:
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(error), error, tb))


class Spool(io.FileIO):
    """A body that begins in the middle of a file."""

    def __init__(self, fd, start):
        super().__init__(fd, "rb")
        self.start = start

    def seek(self, offset, whence=0):
        if whence == 0:
            offset += self.start
        return super().seek(offset, whence) - self.start

    def tell(self):
        return super().tell() - self.start


class FileWrapper:
    """wsgi.file_wrapper (PEP 3333): what is left of a file, as an answer."""

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


class Board:
    """What the supervisor sees of us; saying it costs no system call."""

    def __init__(self, fd):
        self.page = mmap(fd, SCOREBOARD_SIZE)
        self.word = memoryview(self.page).cast("Q")

    def starting(self):
        self.word[BOARD_STATE] = BOARD_STARTING
        self.word[BOARD_STARTED] = clock()

    def idle(self, leaving):
        word = self.word
        word[BOARD_STATE] = BOARD_DRAINING if leaving else BOARD_IDLE
        word[BOARD_RESPONDER] = word[BOARD_COUNTER] = 0
        word[BOARD_STARTED] = clock()

    def busy(self, responder, counter, now, url):
        word = self.word
        word[BOARD_WROTE] = 0
        word[BOARD_STARTED] = word[BOARD_PROGRESS] = now
        word[BOARD_RESPONDER] = responder
        word[BOARD_COUNTER] = counter
        url = url[:SCOREBOARD_URL_MOST].encode("latin-1", "replace")
        if len(url) < SCOREBOARD_URL_MOST:
            url += b"\0"
        self.page[SCOREBOARD_URL_AT:SCOREBOARD_URL_AT + len(url)] = url
        word[BOARD_STATE] = BOARD_BUSY

    def ended(self, status, length, took):
        word = self.word
        word[BOARD_REQUESTS] += 1
        word[BOARD_BYTES] += length
        word[BOARD_STATUS + min(status // 100, 5) - 1] += 1
        word[BOARD_LATENCY + min(took.bit_length(), 15)] += 1


class Answer:
    """The answer to one request, as start_response() and write() make it.

    It goes out as FastCGI records: STDOUT ..., STDOUT of length 0,
    END_REQUEST, the small answer whole in one write.
    """

    __slots__ = ("worker", "board", "socket", "id", "method", "called",
                 "status", "head", "length", "left", "begun", "ended",
                 "broken", "sent")

    def __init__(self, worker, fd, request_id, method):
        self.worker = worker
        self.board = worker.board.word
        self.socket = adopt(fd)
        self.id = request_id
        self.method = method
        self.called = False   # start_response() has been called
        self.status = 0
        self.head = None      # the header lines, until they are sent
        self.length = None    # Content-Length
        self.left = None      # of it
        self.begun = False    # something has been written
        self.ended = False    # END_REQUEST has been written
        self.broken = False   # nothing can be written any more
        self.sent = 0         # bytes of body

    # What the application calls

    def start_response(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self.begun or self.ended:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # or its frames would live on
        elif self.called:
            raise RuntimeError("start_response() has been called before")
        if self.ended or self.broken:
            raise RuntimeError("start_response() after the answer's end")
        self.called = True
        self.head = None
        self.set_head(status, headers)
        return self.write

    def write(self, data):
        if self.ended or self.broken:
            if self.broken:
                raise VisitorGone("the visitor has gone")
            if data and self.worker.current is not self:
                raise RuntimeError("write() after the answer's end")
        too_much = self.left is not None and len(data) > self.left
        self.send(data)
        if too_much and self.method != "HEAD":
            raise ValueError("write() of more bytes than Content-Length says")

    # Headers

    def set_head(self, status, headers):
        """Checks everything now, so that the application gets the blame."""
        if not isinstance(status, str):
            raise TypeError("status is %s, not str" % type(status).__name__)
        code = status[:3]
        if not (len(code) == 3 and code.isdigit() and status[3:4] in ("", " ")
                and CONTROLS.isdisjoint(status)):
            raise ValueError("status is not like '200 OK': %r" % status)
        number = int(code)
        if number < 200:
            raise ValueError("status %r is not for an application" % status)
        if not isinstance(headers, list):
            raise TypeError("headers are %s, not a list of pairs"
                            % type(headers).__name__)
        if len(headers) > HEADERS_MOST:
            raise ValueError("more than %d headers" % HEADERS_MOST)
        length = None
        lines = ["Status: ", status, "\r\n"]
        for header in headers:
            if not isinstance(header, tuple) or len(header) != 2:
                raise TypeError("header is not a pair: %r" % (header,))
            name, value = header
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError("header is not two str: %r" % (header,))
            if not name or not TOKEN.issuperset(name):
                raise ValueError("not a name of a header: %r" % name)
            if not value.isprintable() and not CONTROLS.isdisjoint(value):
                raise ValueError("control character in header: %r"
                                 % (header,))
            lower = name.lower()
            if lower == "content-length":
                value = value.strip()
                if not (value.isdigit() and value.isprintable()):
                    raise ValueError("Content-Length is no number: %r" % value)
                if length is not None and length != int(value):
                    raise ValueError("Content-Length twice, and different")
                if length is not None or number == 204:
                    continue
                length = int(value)
            elif lower in HOP_BY_HOP:
                if lower != "connection" or value.strip().lower() != "close":
                    raise ValueError("hop-by-hop header, not for an"
                                     " application: %r" % (header,))
                self.worker.once("dropped the header Connection: close, which"
                                 " is not for an application to set")
                continue
            elif lower == "status":
                self.worker.once("dropped the header Status: the status is"
                                 " the first argument of start_response()")
                continue
            lines += (name, ": ", value, "\r\n")
        head = "".join(lines).encode("latin-1")
        if len(head) > RECORD_MOST - 64:
            raise ValueError("more than 64 KiB of headers")
        self.status = number
        self.head = head
        self.length = self.left = length

    # The body

    def deliver(self, result):
        """Sends what the application returned, block by block."""
        kind = type(result)
        if kind is bytes or kind is bytearray:
            result, kind = (result,), tuple
        if (kind is list or kind is tuple) and self.head is not None:
            total = whole_length(result)
            if total is not None and not self.begun:
                if self.length is None and self.may_have_body():
                    self.head += b"Content-Length: %d\r\n" % total
                    self.length = self.left = total
                if total <= FILE_BLOCK:
                    result = (b"".join(result),)
        elif kind is FileWrapper:
            result.blksize = FILE_BLOCK
        elif kind is str or result is None:
            raise TypeError("the application returned %s, not an iterable of"
                            " bytes" % type(result).__name__)
        for block in result:
            self.send(block)
            if self.ended:
                return
        self.finish()

    def may_have_body(self):
        return self.status not in (204, 304)

    def send(self, block):
        """One block of the body, written before the next is asked for."""
        if not isinstance(block, bytes):
            if not isinstance(block, (bytearray, memoryview)):
                raise TypeError("a block of the answer is %s, not bytes"
                                % type(block).__name__)
            block = bytes(block)
        if self.broken:
            raise VisitorGone("the visitor has gone")
        if self.head is None and not self.begun:
            raise RuntimeError("start_response() has not been called")
        if not block and self.left != 0:
            return
        if self.method == "HEAD" or not self.may_have_body():
            if not self.ended:
                self.transmit(b"", True)
            return
        if self.ended:
            return
        last = False
        if self.left is not None:
            if len(block) > self.left:
                self.worker.once("the answer to %s is longer than its"
                                 " Content-Length" % self.worker.describe())
                block = block[:self.left]
            self.left -= len(block)
            last = self.left == 0
        self.sent += len(block)
        self.transmit(block, last)

    def finish(self):
        if self.ended:
            return
        if self.head is None and not self.begun:
            raise RuntimeError("start_response() has not been called")
        if self.left and self.method != "HEAD" and self.may_have_body():
            log("%s: the answer is %d bytes shorter than its Content-Length,"
                " cut" % (self.worker.describe(), self.left))
            if self.head is not None:
                self.transmit(b"", False)
            self.cut()
        else:
            self.transmit(b"", True)

    # Bytes

    def transmit(self, block, last):
        """Sends headers that are still here, a block, and perhaps the end."""
        parts = []
        if self.head is not None:
            block = b"".join((self.head, b"\r\n", block))
            self.head = None
            self.begun = True
        for at in range(0, len(block), RECORD_MOST):
            piece = block[at:at + RECORD_MOST]
            if parts:
                self.push(b"".join(parts))
            parts = [RECORD.pack(1, FCGI_STDOUT, self.id, len(piece), 0, 0),
                     piece]
        if last:
            parts.append(self.end(0))
            self.ended = True
        self.push(b"".join(parts))

    def cut(self):
        """Ends an answer that is not whole."""
        self.ended = True
        self.push(self.end(1))

    def end(self, app_status):
        return (RECORD.pack(1, FCGI_STDOUT, self.id, 0, 0, 0)
                + RECORD.pack(1, FCGI_END_REQUEST, self.id, 8, 0, 0)
                + app_status.to_bytes(4, "big") + b"\0\0\0\0")

    def push(self, data):
        if getpid() != self.worker.pid:
            _exit(0)  # a child that the application forked has no answer
        self.board[BOARD_WROTE] = 1
        try:
            try:
                n = self.socket.send(data, MSG_DONTWAIT | MSG_NOSIGNAL)
            except BlockingIOError:
                n = 0
            if n < len(data):
                self.push_slowly(memoryview(data)[n:])
        except OSError as error:
            self.broken = True
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                log("%s: the answer cannot be written: %s" % (
                    self.worker.describe(), error))
        if self.broken:
            raise VisitorGone("the visitor has gone")
        self.board[BOARD_PROGRESS] = clock()

    def push_slowly(self, data):
        """The visitor is slower than we are: nobody's fault, so say so."""
        self.board[BOARD_STATE] = BOARD_SENDING
        room = poll()
        room.register(self.socket.fileno(), select.POLLOUT)
        while data:
            room.poll()
            try:
                data = data[self.socket.send(
                    data, MSG_DONTWAIT | MSG_NOSIGNAL):]
            except BlockingIOError:
                continue
            self.board[BOARD_PROGRESS] = clock()
        self.board[BOARD_STATE] = BOARD_BUSY

    def send_page(self, status, code, text, **more):
        """An answer of our own, if nothing has been written yet."""
        body = page(status, text, **more)
        head = ["Status: %d %s\r\nX-Mamayo-Error: %s\r\n"
                "Content-Type: text/html; charset=utf-8\r\n"
                "Cache-Control: no-store\r\nContent-Length: %d\r\n" % (
                    status, REASONS[status], code, len(body))]
        if status == 503:
            head.append("Retry-After: %d\r\n" % BUSY_RETRY)
        self.status = status
        self.head = "".join(head).encode("ascii")
        self.length = self.left = None
        if self.method == "HEAD":
            body = b""
        self.sent = len(body)
        self.transmit(body, True)

    def hang_up(self):
        """For good: a process the application forked may hold a copy."""
        try:
            self.socket.shutdown(SHUT_RDWR)
        except OSError:
            pass  # the other side was first
        try:
            self.socket.close()
        except OSError:
            pass  # the application did it


def adopt(fd):
    """A socket object for a descriptor; the open file stays as it is."""
    default = getdefaulttimeout()
    if default is None:
        return socket(AF_UNIX, SOCK_STREAM, 0, fd)
    # the application's default would make the open file nonblocking
    setdefaulttimeout(None)
    try:
        return socket(AF_UNIX, SOCK_STREAM, 0, fd)
    finally:
        setdefaulttimeout(default)


def whole_length(blocks):
    """The bytes of a list of blocks; None if one is something else."""
    total = 0
    for block in blocks:
        if not isinstance(block, bytes):
            return None
        total += len(block)
    return total


def read_exactly(fd, n):
    data = b""
    while len(data) < n:
        more = read(fd, n - len(data))
        if not more:
            raise ValueError("the spool file is too short")
        data += more
    return data


class Worker:

    def __init__(self, name, options):
        self.name = name
        self.pid = getpid()
        self.debug = options.get("debug") == "1"
        self.control = socket(AF_UNIX, SOCK_SEQPACKET, 0, CONTROL)
        self.queue = socket(AF_UNIX, SOCK_SEQPACKET, 0, QUEUE)
        self.board = Board(SCOREBOARD)
        self.board.starting()
        self.leaving = False
        self.watching = False   # the queue is in the set that we wait for
        self.asleep = False
        self.failed_memory = False
        self.said = set()
        self.current = None     # the answer at hand
        self.environ = None
        self.heard = 0          # when we last looked at the control socket
        self.errors = sys.stderr
        self.output = sys.stdout
        self.constants = {
            "wsgi.version": (1, 0),
            "wsgi.errors": self.errors,
            "wsgi.multithread": False,
            "wsgi.multiprocess": options.get("multiprocess") == "1",
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "mamayo.app": name,
        }
        if options.get("environ") == "1":
            self.hear_environ()

    # The application

    def load(self, entry):
        try:
            self.app, found, why = mamayo_detect.load(entry)
        except mamayo_detect.Failed as failed:
            log("cannot start: %s" % failed.text)
            self.say(type="failed", kind=failed.kind, text=failed.text,
                     detail=failed.detail)
            return False
        self.say(type="ready", entry=found, why=why)
        return True

    # The supervisor

    def say(self, **fields):
        """Sends a message; JSON by hand where that is easy."""
        if all(v.isprintable() and ord(max(v + " ")) < 127
               and '"' not in v and "\\" not in v for v in fields.values()):
            text = "{%s}" % ",".join('"%s":"%s"' % f for f in fields.items())
        else:
            import json
            text = json.dumps(fields)
        try:
            self.control.send(text.encode("ascii"), MSG_NOSIGNAL)
        except OSError:
            self.leaving = True  # nobody is there

    def hear_environ(self):
        """The first message, if it was announced: more for every environ."""
        import json
        ready = poll()
        ready.register(CONTROL, select.POLLIN)
        ready.poll()
        message = self.control.recv(LINK_MESSAGE_MOST)
        if not message:
            sys.exit(0)
        values = json.loads(message.decode("utf-8"))["values"]
        values.update(self.constants)
        self.constants = values

    def hear(self, now):
        """Takes the supervisor's messages that have come."""
        self.heard = now
        while True:
            try:
                message = self.control.recv(LINK_MESSAGE_MOST, MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionError:
                message = b""
            if not message:
                self.leaving = True
                return
            message = message.replace(b" ", b"")
            if message == b'{"type":"leave"}':
                self.leaving = True
            # "look" needs nothing: after every wake-up we look

    def on_leave(self, signo, frame):
        self.leaving = True
        self.wake()

    def on_nothing(self, signo, frame):
        pass

    def wake(self):
        if self.asleep:
            self.asleep = False
            raise Woken

    # The queue

    def watch(self):
        """An exclusive wake-up: one idle worker for one message, and nearly
        always the same one, which keeps its caches warm."""
        for number in (SIGINT, SIGTERM):
            signal(number, self.on_leave)
        for number in (SIGHUP, SIGUSR1, SIGUSR2):
            signal(number, self.on_nothing)
        if hasattr(select, "epoll"):
            self.waiting = select.epoll()
            self.waiting.register(CONTROL, select.EPOLLIN)
            try:
                self.waiting.register(QUEUE, select.EPOLLIN | EPOLLEXCLUSIVE)
            except OSError:  # a kernel before 4.5
                self.waiting.register(QUEUE, select.EPOLLIN)
        else:
            self.waiting = poll()
            self.waiting.register(CONTROL, select.POLLIN)
            self.waiting.register(QUEUE, select.POLLIN)
        self.watching = True

    def serve(self):
        """Until we are to leave, and then until nothing is queued: a wake-up
        that was ours might be nobody's if we just went."""
        self.watch()
        self.board.idle(False)
        while True:
            if self.leaving and self.watching:
                self.waiting.unregister(QUEUE)
                self.watching = False
                self.board.idle(True)
            if not self.take():
                if self.leaving and not self.watching:
                    return
                if not self.leaving:
                    self.wait()

    def wait(self):
        events = ()
        try:
            self.asleep = True
            events = self.waiting.poll()
            self.asleep = False
        except Woken:
            pass
        for fd, _ in events:
            if fd == CONTROL:
                self.hear(clock())

    def take(self):
        """Receives a request and answers it. False: none there."""
        try:
            message, ancillary, flags, _ = self.queue.recvmsg(
                WIRE_MOST, ROOM, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        if not message:
            self.leaving = True  # every sender has gone: end of file
            return False
        fds = []
        for level, kind, raw in ancillary:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                fds += unpack("%di" % (len(raw) // 4),
                              raw[:len(raw) // 4 * 4])
        if flags & MSG_CTRUNC:
            # Whoever is woken first would get, and lose, every request.
            for fd in fds:
                close(fd)
            log("no free descriptor to receive a request with; leaving")
            raise SystemExit(1)
        now = clock()
        try:
            self.handle(message, fds, flags, now)
        finally:
            for fd in fds:
                close(fd)
        if now - self.heard >= PATIENCE_MS:
            self.hear(now)
        return True

    def handle(self, message, fds, flags, now):
        (magic, version, flag, params, request_id, _, body, responder,
         counter, queued, not_after, _) = HEAD.unpack_from(
             message.ljust(WIRE_HEAD, b"\0"))
        size = (WIRE_HEAD + (0 if flag & WIRE_SPOOL_PARAMS else params)
                + (0 if flag & WIRE_SPOOL_BODY else body))
        if (magic != WIRE_MAGIC or version != WIRE_VERSION
                or len(message) != size or flags & MSG_TRUNC
                or len(fds) != 1 + (flag & WIRE_SPOOL)):
            log("a message on the queue that is not understood, dropped")
            return
        at = WIRE_HEAD
        if flag & WIRE_SPOOL_PARAMS:
            text = read_exactly(fds[1], params)
        else:
            text = message[at:at + params]
            at += params
        words = text.decode("latin-1").split("\0")
        environ = dict(zip(words[::2], words[1::2]))
        self.url = environ.get("SCRIPT_NAME", "") + environ.get(
            "PATH_INFO", "")
        self.method = environ.get("REQUEST_METHOD", "")
        self.board.busy(responder, counter, now, self.url)
        answer = Answer(self, fds.pop(0), request_id, self.method)
        self.current = answer
        try:
            if now > not_after:
                try:
                    answer.send_page(
                        503, "queue-full", "This site has more to do than it"
                        " can just now. Please try again in a few seconds.")
                except VisitorGone:
                    pass
            elif now - queued > PATIENCE_MS and gone(answer.socket):
                return  # nobody to answer
            else:
                if flag & WIRE_SPOOL_BODY:
                    at = lseek(fds[1 - 1], 0, 1)
                    raw = Spool(fds.pop(), at)
                    body = io.BufferedReader(raw, 1 << 16)
                else:
                    body = io.BytesIO(message[at:])
                self.run(answer, environ, body)
        finally:
            self.current = None
            answer.hang_up()
            if answer.status:
                self.board.ended(answer.status, answer.sent, clock() - now)
            self.board.idle(self.leaving)

    def run(self, answer, environ, body):
        environ.update(self.constants)
        environ["wsgi.input"] = body
        environ["wsgi.url_scheme"] = (
            "https" if environ.get("HTTPS", "").lower() in ("on", "1")
            or environ.get("REQUEST_SCHEME") == "https" else "http")
        result = None
        try:
            result = self.app(environ, answer.start_response)
            answer.deliver(result)
        except VisitorGone:
            pass
        except BaseException as error:
            self.failed(answer, error)
        try:
            if hasattr(result, "close"):
                result.close()
        except BaseException as error:
            self.report(error)
        if getpid() != self.pid:
            _exit(0)
        try:
            body.close()
        except (OSError, ValueError):
            pass
        for stream in (self.errors, self.output):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass  # closed by the application

    def failed(self, answer, error):
        if getpid() != self.pid:
            _exit(0)
        reference, detail = self.report(error)
        if isinstance(error, MemoryError):
            self.leaving = True
        try:
            if answer.broken or answer.ended:
                pass
            elif answer.begun:
                answer.cut()
            else:
                answer.send_page(
                    500, "exception", "This site could not answer because of"
                    " an error in its program.", reference=reference,
                    detail=detail if self.debug else "")
        except VisitorGone:
            pass

    def report(self, error):
        """One traceback in the log for one error."""
        reference = "%08x" % int.from_bytes(os.urandom(4), "big")
        detail = trace(error, __file__)
        log("%s: %s, reference %s\n%s" % (
            self.describe(), type(error).__name__, reference,
            detail.rstrip("\n")))
        return reference, detail

    def describe(self):
        return "%s %s" % (printable(self.method), printable(self.url))

    def once(self, text):
        if text not in self.said and len(self.said) < 100:
            self.said.add(text)
            log(text)


ROOM = CMSG_SPACE(8)  # two descriptors


def gone(sock):
    ready = poll()
    ready.register(sock.fileno(), POLLRDHUP)
    return any(mask & GONE for _, mask in ready.poll(0))


def main():
    name, options = sys.argv[2], dict(
        word.split("=", 1) for word in sys.argv[3:])
    here = os.getcwd()
    sys.path[:] = [here] + [p for p in sys.path if p not in ("", sys.argv[1])]
    for fd in (CONTROL, QUEUE, SCOREBOARD):
        os.set_inheritable(fd, False)
    sys.stdout = sys.__stdout__ = log_stream(1)
    sys.stderr = sys.__stderr__ = log_stream(2)
    faulthandler.enable(2)
    faulthandler.register(SIGQUIT, 2)
    worker = Worker(name, options)
    if not worker.load(options.get("entry")):
        sys.exit(3)
    worker.serve()
    worker.control.detach()
    worker.queue.detach()
