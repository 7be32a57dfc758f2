"""What no web server sends: garbage, half records, silence, far too much.
Other requests never notice (R-CODEC1, faults 76, 77, 81)."""
import random

import fcgi
from fcgi import record
from harness import equal, run, test
from mamayo import Mamayo, Process

m = Mamayo(workers={"max": 2}, body_timeout=1, queue=300)
m.app("blog")
m.start()


def rss():
    return int(Process(m.responders[0]).read("statm").split()[1]) * 4


def refused(c):
    """An answer of 400 or 431, or nothing at all."""
    try:
        got = c.answer()
    except fcgi.Cut as cut:
        equal(cut.text, b"")
        return None
    assert got.status in (400, 431), got
    equal(got.error, {400: "bad-request", 431: "headers"}[got.status])
    return got.status


@test("garbage of every kind ends its own connection only")
def _():
    m.served()
    choose = random.Random(4711)
    whole = fcgi.request("/blog/body", "POST", b"0123456789" * 20)
    with m.connect() as bystander:
        sent = 100
        bystander.send(whole[:sent])
        bystander.taken()
        for i in range(300):
            if sent < len(whole) - 1:  # it goes on, so that it may take long
                bystander.send(whole[sent:sent + 1])
                sent += 1
            if i % 3 == 0:
                data = bytes(choose.randrange(256)
                             for _ in range(choose.randrange(1, 300)))
            else:  # a good request with some bytes changed
                data = bytearray(whole)
                for _ in range(choose.randrange(1, 4)):
                    data[choose.randrange(len(data))] = choose.randrange(256)
            with m.connect() as c:
                c.try_send(bytes(data))
                c.half_close()
                while True:
                    try:
                        if c.record() is None:
                            break
                    except fcgi.Cut:
                        break
        bystander.send(whole[sent:])
        equal(bystander.answer().status, 200)
    m.served()


@test("HTTP on the FastCGI socket is not taken for anything")
def _():
    with m.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        c.expect_end()
    m.served()


@test("half a record and silence: others go on, the body's limit ends it")
def _():
    whole = fcgi.request("/blog/body", "POST", b"x" * 50)
    before = len(m.journal())
    quiet = []
    for i in range(0, len(whole), 7):
        c = m.connect()
        c.send(whole[:i])
        quiet.append((i, c))
    m.served()
    for i, c in quiet:
        if i >= 16:  # a request has begun: body_timeout, 1 s here
            try:
                got = c.answer()
                assert got.status in (400, 408), got
            except fcgi.Cut as cut:
                equal(cut.text, b"")
        c.close()
    equal(len(m.journal()), before, "applications called")
    m.served()


@test("a connection that says nothing at all may stay")
def _():
    with m.connect() as c:
        m.served()
        assert c.silent(1.5)
        c.send(fcgi.request("/blog/unread"))
        equal(c.answer().status, 200)


@test("200 uploads of a byte now and then take no worker")
def _():
    slow = []
    head = fcgi.begin() + fcgi.params(fcgi.variables(
        "/blog/body", "POST", CONTENT_LENGTH="100"))
    for _ in range(200):
        c = m.connect()
        c.send(head)
        slow.append(c)
    for _ in range(5):
        for c in slow:
            c.send(record(fcgi.STDIN, 1, b"x"))
        for _ in range(20):
            m.served()
    equal(len(m.workers("blog")) <= 2, True)
    for c in slow:
        c.send(record(fcgi.STDIN, 1, b"x" * 95), record(fcgi.STDIN, 1))
    for c in slow:
        equal(c.answer().status, 200)
        c.close()


@test("a client that goes in mid-upload never reaches the application")
def _():
    before = len(m.journal())
    for size in (100, 100000, 1000000):
        c = m.connect()
        c.send(fcgi.begin(), fcgi.params(fcgi.variables(
            "/blog/body", "POST", CONTENT_LENGTH=str(size))),
            fcgi.stdin(b"x" * (size // 2), close=False))
        c.close()
    m.served()
    equal(len(m.journal()), before)


@test("headers of 64 KiB to 200 KiB are served, beyond the limit refused")
def _():
    for size in (65534, 65535, 65536, 65537, 120000):
        got = m.get("/blog/environ", HTTP_X_BIG="x" * size)
        equal(got.status, 200, size)
    many = {"HTTP_X_%d" % i: "y" * 10000 for i in range(20)}
    equal(m.get("/blog/environ", **many).status, 200)
    for size in (131072 + 1, 200000):  # of one value
        got = m.get("/blog/environ", HTTP_X_BIG="x" * size)
        equal((got.status, got.error), (431, "headers"), size)
    many = {"HTTP_X_%d" % i: "y" * 10000 for i in range(30)}  # of all
    got = m.get("/blog/environ", **many)
    equal((got.status, got.error), (431, "headers"))
    got = m.get("/blog/environ", **{"HTTP_X_" + "N" * 2000: "y"})  # a name
    equal((got.status, got.error), (431, "headers"))
    many = {"HTTP_X_%d" % i: "y" for i in range(1200)}  # how many
    got = m.get("/blog/environ", **many)
    equal((got.status, got.error), (431, "headers"))
    m.served()


@test("after a refusal the kept connection is in step")
def _():
    many = {"HTTP_X_%d" % i: "y" * 10000 for i in range(30)}
    with m.connect() as c:
        for _ in range(5):
            c.send(fcgi.request("/blog/body", "POST", b"x" * 100000,
                                keep=True, **many))
            equal(c.answer(keep=True).status, 431)
            c.send(fcgi.request("/blog/unread", keep=True))
            equal(c.answer(keep=True).body, b"did not look")


@test("parameters without end are cut off, and memory stays bounded")
def _():
    m.served()
    before = rss()
    with m.connect() as c:
        c.send(fcgi.begin())
        for i in range(2000):  # 120 MB
            if not c.try_send(record(fcgi.PARAMS, 1, fcgi.pair(
                    "HTTP_X_%d" % i, "x" * 60000))):
                break
        else:
            c.try_send(record(fcgi.PARAMS, 1), record(fcgi.STDIN, 1))
        refused(c)
    grown = rss() - before
    assert grown < 8000, "%d KiB more" % grown
    m.served()


@test("a million empty and stray records are not a way to keep it busy")
def _():
    stray = record(fcgi.STDIN, 9) * 50000
    with m.connect() as c:
        for _ in range(20):
            if not c.try_send(stray):
                break
        m.served()
    with m.connect() as c:
        # empty GET_VALUES whose answers nobody reads
        c.socket.settimeout(0.2)
        before = rss()
        try:
            for _ in range(20):
                if not c.try_send(record(fcgi.GET_VALUES, 0) * 50000):
                    break
        except OSError:
            pass  # it does not take more: that is what it should do
        grown = rss() - before
        assert grown < 8000, "%d KiB more" % grown
        m.served()


@test("two that differ of Content-Length or Host are refused")
def _():
    base = list(fcgi.variables("/blog/body", "POST", b"abc").items())
    for extra, status in (
            ([("CONTENT_LENGTH", "4")], 400), ([("HTTP_HOST", "evil")], 400),
            ([("CONTENT_LENGTH", "3")], 200),
            ([("HTTP_HOST", "localhost")], 200)):
        with m.connect() as c:
            c.send(fcgi.begin(), fcgi.params(base + extra),
                   fcgi.stdin(b"abc"))
            equal(c.answer().status, status, repr(extra))


@test("paths that are none are refused, the page tells nothing")
def _():
    for uri in ("/blog/%00", "/blog/%zz", "/blog/%", "/../etc/passwd",
                "/blog/../../x", "/%2e%2e/%2e%2e/x", "/blog/%4"):
        got = m.get(uri)
        equal((got.status, got.error), (400, "bad-request"), uri)
        assert m.root.encode() not in got.body, got.body
    for uri in ("/blog/\r\nX-Evil: 1", "/nobody/\r\nX-Evil: 1",
                "/nobody/%0d%0aX-Evil:%201", "/nobody/<script>alert(1)"):
        got = m.get(uri)
        assert got.status in (200, 400, 404), got
        equal(got.header("X-Evil"), None)
        assert b"<script>alert" not in got.body


@test("nothing of all this can forge a line in the log")
def _():
    evil = "/nobody\n2026-01-01 00:00:00.000 supervisor[1] error: forged\x1b["
    m.get("/nobody", HTTP_USER_AGENT=evil, HTTP_HOST=evil)
    m.get(evil)
    with m.connect() as c:
        c.send(fcgi.begin(), fcgi.params(fcgi.pairs(fcgi.variables("/blog/x"))
               + fcgi.pair("HTTP_A\nforged\x1b=", "x")), fcgi.stdin())
        c.answer()
    for line in m.log().split("\n"):
        assert not line.startswith("2026-01-01 00:00:00.000"), line
        assert "\x1b" not in line, line
    m.served()


run()
