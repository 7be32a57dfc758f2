"""Fault 80: what does not fit 32 bits: answers and bodies of 4 GiB, and bodies
that are only said to be as long."""
import struct
import time

import fcgi
from harness import equal, run, test
from mamayo import Mamayo, Process

HUGE = (1 << 32) + 1
RESPONDER_MOST = 16 << 20  # what it may hold

SOURCE = """
    BLOCK = bytes(1 << 20)

    def application(environ, start_response):
        size = int(environ["QUERY_STRING"])
        start_response("200 OK", [("Content-Length", str(size))])
        return blocks(size - 4)

    def blocks(left):
        while left > 0:
            yield BLOCK[:left]
            left -= len(BLOCK)
        yield b"end."
    """


def read_huge(c):
    """Reads an answer without keeping it -> (headers, bytes of body, the last
    of them, appStatus)."""
    buffer = memoryview(bytearray(1 << 20))
    head, body, tail, held = b"", -1, b"", 0
    while True:
        got = c.socket.recv_into(buffer[held:])
        if not got:
            raise fcgi.Cut(head)
        held += got
        at = 0
        while held - at >= 8:
            _, kind, _, size, padding, _ = struct.unpack_from(
                ">BBHHBB", buffer, at)
            if held - at < 8 + size + padding:
                break
            content = buffer[at + 8:at + 8 + size]
            at += 8 + size + padding
            if kind == fcgi.END:
                equal(at, held, "bytes after END_REQUEST")
                return (head, body, tail, struct.unpack_from(
                    ">I", content)[0])
            equal(kind, fcgi.STDOUT)
            if body == -1:
                head += bytes(content)
                first, gap, rest = head.partition(b"\r\n\r\n")
                if gap:
                    head, body, tail = first, len(rest), rest[-4:]
            elif size:
                body += size
                tail = (tail + bytes(content[-4:]))[-4:]
        rest = bytes(buffer[at:held])
        buffer[:len(rest)] = rest
        held = len(rest)


def peak(pid):
    """The most memory that it has had."""
    for line in Process(pid).read("status").split(b"\n"):
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) << 10


@test("fault 80: an answer of 4 GiB and a byte, pumped and direct, arrives to its"
      " last byte, and nobody holds more of it than he must")
def _():
    m = Mamayo(workers={"max": 1})
    m.app("huge", SOURCE)
    pid = m.start()[0]
    took = []
    for server in "Apache/2.4", "lighttpd/1.4":
        began = time.monotonic()
        with m.connect() as c:
            c.send(fcgi.request("/huge?%d" % HUGE, SERVER_SOFTWARE=server))
            head, body, tail, status = read_huge(c)
        equal((body, tail, status), (HUGE, b"end.", 0))
        assert b"Content-Length: %d" % HUGE in head, head
        took.append("%s %.1f s" % (server, time.monotonic() - began))
        if b"libasan" not in Process(pid).read("maps"):
            assert peak(pid) <= RESPONDER_MOST, peak(pid)
    m.end()
    return ", ".join(took)


COUNT = """
    def application(environ, start_response):
        size, tail = 0, b""
        while True:
            some = environ["wsgi.input"].read(1 << 20)
            if not some:
                break
            size, tail = size + len(some), (tail + some)[-4:]
        start_response("200 OK", [])
        return [("%d %s" % (size, environ["CONTENT_LENGTH"])).encode(), tail]
    """
CONTENT = 65528  # of a record, as web servers send them
RECORDS = 16     # that are sent at once


@test("fault 80: a body of 4 GiB and a byte arrives to its last byte, and nobody"
      " holds more of it than he must")
def _():
    m = Mamayo(workers={"max": 1}, timeout=120)
    m.app("count", COUNT)
    pid = m.start()[0]
    one = fcgi.record(fcgi.STDIN, 1, bytes(CONTENT))
    many, left = one * RECORDS, HUGE - 4
    began = time.monotonic()
    with m.connect(120) as c:
        c.send(fcgi.begin(), fcgi.params(fcgi.variables(
            "/count", "POST", CONTENT_LENGTH=str(HUGE))))
        while left >= CONTENT * RECORDS:
            c.socket.sendall(many)
            left -= CONTENT * RECORDS
        while left:
            some = min(left, CONTENT)
            c.send(fcgi.record(fcgi.STDIN, 1, bytes(some)))
            left -= some
        c.send(fcgi.record(fcgi.STDIN, 1, b"end."), fcgi.stdin())
        got = c.answer()
    took = time.monotonic() - began
    equal((got.status, got.body), (200, b"%d %d" % (HUGE, HUGE) + b"end."))
    if b"libasan" not in Process(pid).read("maps"):
        assert peak(pid) <= RESPONDER_MOST, peak(pid)
    m.end()
    return "%.1f s" % took


@test("fault 80: a body is as long as was announced, also where 32 or 64 bits"
      " of that number would fit")
def _():
    m = Mamayo(workers={"max": 1})
    m.app("blog")
    m.start()
    m.served()
    body = b"12345"
    for length in ((1 << 31) + 5, (1 << 32) + 5, (1 << 33) + 5, (1 << 63) + 5,
                   (1 << 64) + 5, (1 << 32) - 5):
        got = m.get("/blog/body", "POST", body, CONTENT_LENGTH=str(length))
        equal((got.status, got.error), (400, "bad-request"), str(length))
    equal(m.journal(), [], "the application was called")
    equal(m.get("/blog/body", "POST", body).status, 200)
    m.end()


run()
