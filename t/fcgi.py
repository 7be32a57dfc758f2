"""A FastCGI client that can misbehave, and a strict reader of answers.

Bytes are made by record(), begin(), params(), stdin() ... and put together at
will; request() makes a whole, correct request. A Connection sends bytes and
reads records; Connection.answer() reads one answer and raises ProtocolError
for anything that FastCGI 1.0 does not allow (rows F-19 and F-20): output after
the end of a stream, a stream that is not closed, text on STDERR, a foreign
request id, bytes after END_REQUEST.
"""
import fcntl
import socket
import struct
import termios
import threading
import time

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA = range(1, 9)
GET_VALUES, VALUES, UNKNOWN = range(9, 12)
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
KEEP_CONN = 1
COMPLETE, CANT_MULTIPLEX, OVERLOADED, UNKNOWN_ROLE = range(4)
MOST = 65535
LIMIT = 20  # seconds until a client here gives up, unless told otherwise


class ProtocolError(Exception):
    """The other side broke FastCGI 1.0."""


class Cut(ProtocolError):
    """The connection ended within an answer; .text is what came of it."""

    def __init__(self, text):
        ProtocolError.__init__(self, "cut after %d bytes of output: %r" % (
            len(text), bytes(text[-200:])))
        self.text = bytes(text)


# -- bytes -----------------------------------------------------------------

def record(kind, id=1, content=b"", padding=0, version=1):
    return struct.pack(">BBHHBB", version, kind, id, len(content), padding,
                       0) + content + b"\xa5" * padding


def begin(id=1, role=RESPONDER, flags=0, padding=0):
    return record(BEGIN, id, struct.pack(">HB5x", role, flags), padding)


def abort(id=1):
    return record(ABORT, id)


def raw(text):
    """Latin-1, but a str may hold any character of UTF-8, too."""
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def length(n, wide=False):
    return bytes([n]) if n < 128 and not wide else struct.pack(
        ">I", n | 0x80000000)


def pair(name, value, wide_name=False, wide_value=False):
    name, value = raw(name), raw(value)
    return (length(len(name), wide_name) + length(len(value), wide_value)
            + name + value)


def pairs(variables):
    """Of a dict, or of a list of (name, value)."""
    if isinstance(variables, dict):
        variables = variables.items()
    return b"".join(pair(n, v) for n, v in variables)


def stream(kind, content, id=1, size=MOST, padding=0, close=True):
    """Records of at most size bytes, and the empty one that ends it."""
    out = [record(kind, id, content[i:i + size], padding)
           for i in range(0, len(content), size)]
    if close:
        out.append(record(kind, id, b"", padding))
    return b"".join(out)


def params(variables, id=1, **how):
    if not isinstance(variables, bytes):
        variables = pairs(variables)
    return stream(PARAMS, variables, id, **how)


def stdin(body=b"", id=1, **how):
    return stream(STDIN, body, id, **how)


def variables(uri="/", method="GET", body=b"", **more):
    """What a web server would send. A value None leaves that one out."""
    path, _, query = uri.partition("?")
    out = {
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "test/1",
        "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000", "REQUEST_METHOD": method,
        "REQUEST_URI": uri, "SCRIPT_NAME": "/mamayo.fcgi",
        "QUERY_STRING": query, "HTTP_HOST": "localhost",
    }
    if body or method in ("POST", "PUT", "PATCH"):
        out["CONTENT_LENGTH"] = str(len(body))
    out.update(more)
    return {n: v for n, v in out.items() if v is not None}


def request(uri="/", method="GET", body=b"", id=1, keep=False, **more):
    """A whole request, as bytes."""
    return (begin(id, flags=KEEP_CONN if keep else 0)
            + params(variables(uri, method, body, **more), id)
            + stdin(body, id))


def get_values(*names):
    return record(GET_VALUES, 0, pairs((n, "") for n in names))


# -- what comes back -------------------------------------------------------

def take_pairs(content):
    """A dict of name-value pairs, both bytes; ProtocolError if malformed."""
    out, at = {}, 0

    def number():
        nonlocal at
        n, size = content[at], 1
        if n & 0x80:
            n, size = struct.unpack_from(">I", content, at)[0] & 0x7fffffff, 4
        at += size
        return n
    try:
        while at < len(content):
            n, v = number(), number()
            if at + n + v > len(content):
                raise ProtocolError("a pair passes its end: %r" % content)
            out[content[at:at + n]] = content[at + n:at + n + v]
            at += n + v
    except (IndexError, struct.error):
        raise ProtocolError("malformed pairs: %r" % content)
    return out


class Answer:
    """One answer. text is all of STDOUT; the rest of it comes parsed."""

    def __init__(self, text, app_status=0, protocol_status=COMPLETE,
                 heartbeats=0):
        self.text = bytes(text)
        self.app_status = app_status
        self.protocol_status = protocol_status
        self.heartbeats = heartbeats
        self.status, self.headers, self.body = None, [], b""
        if self.text:
            self._parse()

    def _parse(self):
        head, gap, self.body = self.text.partition(b"\r\n\r\n")
        if not gap:
            raise ProtocolError("no end of headers in %r" % self.text[:300])
        for line in head.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon or not name or name.strip() != name or any(
                    c < 32 and c != 9 or c == 127 for c in line):
                raise ProtocolError("not a header: %r" % line)
            self.headers.append((name.decode("latin-1"),
                                 value.strip().decode("latin-1")))
        found = self.all("Status")
        if len(found) > 1:
            raise ProtocolError("Status %d times" % len(found))
        try:
            self.status = int(found[0].split()[0]) if found else 200
        except (ValueError, IndexError):
            raise ProtocolError("Status %r" % found[0])

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        """Its only value; None if there is none."""
        found = self.all(name)
        if len(found) > 1:
            raise ProtocolError("%s %d times" % (name, len(found)))
        return found[0] if found else None

    @property
    def error(self):
        """The code if this is a page of mamayo's own, else None."""
        return self.header("X-Mamayo-Error")

    def __repr__(self):
        return "<%s %s %r>" % (self.status, self.error or "", self.body[:200])


class Connection:
    """A connection to "/a/socket", "unix:/a/socket" or (host, port)."""

    def __init__(self, address, timeout=LIMIT):
        if isinstance(address, str):
            if address.startswith("tcp:"):
                host, _, port = address[4:].rpartition(":")
                address = (host.strip("[]"), int(port))
            elif address.startswith("unix:"):
                address = address[5:]
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            end = time.monotonic() + timeout
            while True:
                try:
                    self.socket.connect(address)
                    break
                except BlockingIOError:  # the backlog is full: linux, unix(7)
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.005)
        else:
            self.socket = socket.create_connection(address, timeout)
        self.got = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def try_send(self, *parts):
        """False if the other side has hung up meanwhile."""
        try:
            self.send(*parts)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def dribble(self, data, size=1):
        """One write for each size bytes."""
        for i in range(0, len(data), size):
            self.socket.sendall(data[i:i + size])

    def taken(self, seconds=LIMIT):
        """Waits until the other side has read all that was sent (AF_UNIX on
        Linux): what is sent next, it will read on its own."""
        end = time.monotonic() + seconds
        while True:
            left = fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4)
            if left == b"\0" * 4:
                return
            if time.monotonic() > end:
                raise AssertionError("nobody reads what was sent")
            time.sleep(0.0002)

    def _fill(self, n):
        """Until n bytes are there. False at end-of-file."""
        while len(self.got) < n:
            try:
                some = self.socket.recv(1 << 18)
            except ConnectionResetError:
                some = b""
            if not some:
                return False
            self.got += some
        return True

    def record(self):
        """(type, id, content), or None at end-of-file between records."""
        if not self._fill(8):
            if self.got:
                raise Cut(self.got)
            return None
        version, kind, id, size, padding, reserved = struct.unpack_from(
            ">BBHHBB", self.got)
        if version != 1 or reserved != 0:
            raise ProtocolError("not a record: %r" % bytes(self.got[:32]))
        if not self._fill(8 + size + padding):
            raise Cut(self.got)
        content = bytes(self.got[8:8 + size])
        del self.got[:8 + size + padding]
        return kind, id, content

    def output(self, id=1):
        """The next STDOUT content of that request (b"" at the stream's end),
        to look into an answer that is still on its way."""
        while True:
            got = self.record()
            if got is None:
                raise Cut(b"")
            kind, its_id, content = got
            if its_id != id or kind not in (STDOUT, STDERR):
                raise ProtocolError("record %r" % (got,))
            if kind == STDOUT:
                return content
            if content:
                raise ProtocolError("text on STDERR: %r" % content)

    def answer(self, id=1, keep=False):
        """Reads a whole answer, strictly. Without keep, to end-of-file."""
        text, closed, beats = bytearray(), False, 0
        while True:
            try:
                got = self.record()
            except Cut:
                raise Cut(text)
            if got is None:
                raise Cut(text)
            kind, its_id, content = got
            if its_id != id:
                raise ProtocolError("record %d for request %d, not %d: %r" % (
                    kind, its_id, id, content[:80]))
            if kind == STDOUT:
                if closed:
                    raise ProtocolError("STDOUT after its end: %r" % content)
                closed = not content
                text += content
            elif kind == STDERR:
                if content:
                    raise ProtocolError("text on STDERR: %r" % content)
                beats += 1
            elif kind == END:
                break
            else:
                raise ProtocolError("record of type %d in an answer" % kind)
        if len(content) != 8 or content[5:] != b"\0\0\0":
            raise ProtocolError("END_REQUEST %r" % content)
        app_status, protocol_status = struct.unpack(">IB", content[:5])
        if protocol_status == COMPLETE and not closed:
            raise ProtocolError("STDOUT was not closed (%d bytes)" % len(text))
        if protocol_status != COMPLETE and text:
            raise ProtocolError("output of a refused request: %r" % text)
        if not keep:
            self.expect_end()
        elif self.got:
            raise ProtocolError("bytes after END_REQUEST: %r" % self.got)
        return Answer(text, app_status, protocol_status, beats)

    def end_of(self, id=1):
        """Reads up to the END_REQUEST of an aborted or refused request ->
        (appStatus, protocolStatus); output before it does not matter."""
        while True:
            got = self.record()
            if got is None:
                raise Cut(b"")
            kind, its_id, content = got
            if its_id != id or kind not in (STDOUT, STDERR, END):
                raise ProtocolError("record %r" % (got,))
            if kind == END:
                return struct.unpack(">IB", content[:5])

    def silent(self, seconds):
        """Whether nothing comes for so long (and the connection lives)."""
        if self.got:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            some = self.socket.recv(65536)
        except socket.timeout:
            return True
        finally:
            self.socket.settimeout(before)
        self.got += some
        return False

    def expect_end(self):
        """Nothing but end-of-file comes any more."""
        if self._fill(1):
            raise ProtocolError("bytes after the end: %r" % self.got[:80])

    def ended(self):
        """Whether the other side has hung up; what comes before is dropped."""
        try:
            while True:
                got = self.socket.recv(65536)
                if not got:
                    return True
        except ConnectionResetError:
            return True
        except (socket.timeout, BlockingIOError):
            return False


def fetch(address, uri="/", method="GET", body=b"", timeout=LIMIT, **more):
    """One request on a connection of its own -> Answer."""
    with Connection(address, timeout) as c:
        c.send(request(uri, method, body, **more))
        return c.answer()


def shred(data):
    """Each way to cut data in two: (first part, rest)."""
    for i in range(1, len(data)):
        yield data[:i], data[i:]


def together(*functions):
    """Runs them at the same time; gives their results in order. What one of
    them raises is raised when all have ended."""
    results = [None] * len(functions)
    failures = []

    def call(i, function):
        try:
            results[i] = function()
        except BaseException as why:
            failures.append(why)
    threads = [threading.Thread(target=call, args=(i, f), daemon=True)
               for i, f in enumerate(functions)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]
    return results


def each(count, function):
    """function(0) ... function(count - 1), at the same time."""
    return together(*[lambda i=i: function(i) for i in range(count)])
