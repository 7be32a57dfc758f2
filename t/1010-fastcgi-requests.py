"""FastCGI 1.0: roles, the course of a request, its end (rows F-14 to F-28)."""
import json
import os
import re
import signal

import fcgi
from fcgi import record
from harness import equal, run, test, within
from mamayo import Mamayo, alive, gone

m = Mamayo(workers={"max": 2})
m.app("blog")
m.app("narrow", workers={"max": 1}, queue=2)
m.start()
COMPLETE = fcgi.COMPLETE


# -- roles, aborts, a second request ---------------------------------------

@test("F-14 only the role of a responder is known")
def _():
    with m.connect() as c:
        for role in (2, 3, 9, 0, 65535):
            c.send(fcgi.begin(5, role, fcgi.KEEP_CONN),
                   fcgi.params(fcgi.variables("/blog/unread"), 5),
                   fcgi.stdin(b"", 5))
            got = c.answer(5, keep=True)
            equal(got.protocol_status, fcgi.UNKNOWN_ROLE, role)
        c.send(fcgi.request("/blog/unread", keep=True))
        equal(c.answer(keep=True).body, b"did not look")
        c.send(fcgi.begin(1, 2))
        equal(c.answer().protocol_status, fcgi.UNKNOWN_ROLE)


@test("F-15 a request is taken back before its parameters are complete")
def _():
    with m.connect() as c:
        for part in (b"", fcgi.params({"REQUEST_METHOD": "GET"}, close=False)):
            c.send(fcgi.begin(flags=fcgi.KEEP_CONN), part, fcgi.abort())
            c.end_of()
        c.send(fcgi.request("/blog/unread", keep=True))
        equal(c.answer(keep=True).body, b"did not look")


@test("F-15 a request is taken back while its body comes")
def _():
    before = m.journal().count("called POST")
    with m.connect() as c:
        c.send(fcgi.begin(flags=fcgi.KEEP_CONN),
               fcgi.params(fcgi.variables("/blog/body", "POST",
                                          CONTENT_LENGTH="100000")),
               fcgi.stdin(b"x" * 50000, close=False), fcgi.abort())
        c.end_of()
        c.send(fcgi.request("/blog/unread", keep=True))
        equal(c.answer(keep=True).body, b"did not look")
    equal(m.journal().count("called POST"), before)


@test("F-15 a request is taken back while the application works")
def _():
    with m.connect() as c:
        c.send(fcgi.request("/blog/half?name=f15", keep=True))
        assert b"aaaaa" in c.output()
        c.send(fcgi.abort())
        c.end_of()
        c.send(fcgi.request("/blog/unread", keep=True))
        equal(c.answer(keep=True).body, b"did not look")
        m.open_gate("f15")
        m.has("closed f15")
    with m.connect() as c:  # before its first output
        c.send(fcgi.request("/blog/gate?name=f15b", keep=True))
        m.has("started f15b")
        c.send(fcgi.abort())
        c.end_of()
        m.open_gate("f15b")
        c.send(fcgi.request("/blog/unread", keep=True))
        equal(c.answer(keep=True).body, b"did not look")


@test("F-15 a request is taken back while its answer streams")
def _():
    with m.connect() as c:
        c.send(fcgi.request("/blog/endless?name=f15c", keep=True))
        assert c.output()
        c.send(fcgi.abort())
        try:
            c.end_of()
        except fcgi.Cut:
            pass  # it was in the middle of a record
        m.has("closed f15c")
    m.served()


@test("F-16 a second request on a busy connection cannot be had")
def _():
    second = fcgi.request("/blog/unread", id=2)
    with m.connect() as c:  # before the first has given any output
        c.send(fcgi.request("/blog/gate?name=f16", keep=True))
        m.has("started f16")
        c.send(second)
        got = c.answer(2, keep=True)
        equal(got.protocol_status, fcgi.CANT_MULTIPLEX)
        m.open_gate("f16")
        equal(c.answer(1, keep=True).body, b"f16")
        c.send(fcgi.request("/blog/unread", id=2, keep=True))
        equal(c.answer(2, keep=True).body, b"did not look")
    with m.connect() as c:  # after its first output
        c.send(fcgi.request("/blog/half?name=f16b", keep=True))
        assert b"aaaaa" in c.output()
        c.send(second)
        equal(c.end_of(2)[1], fcgi.CANT_MULTIPLEX)
        m.open_gate("f16b")
        text = b""
        while True:
            some = c.output()
            if not some:
                break
            text += some
        equal(text, b"bbbbb")
        equal(c.end_of(), (0, COMPLETE))
    with m.connect() as c:  # while the first is still being sent
        c.send(fcgi.begin(1, flags=fcgi.KEEP_CONN), second)
        equal(c.answer(2, keep=True).protocol_status, fcgi.CANT_MULTIPLEX)
        c.send(fcgi.params(fcgi.variables("/blog/unread")), fcgi.stdin())
        equal(c.answer(1, keep=True).body, b"did not look")


@test("F-17 a full queue answers 503 with Retry-After, at once")
def _():
    waiting = [m.connect() for _ in range(3)]  # queue 2 + 1 worker
    waiting[0].send(fcgi.request("/narrow/gate?name=f17"))
    m.has("started f17")
    for c in waiting[1:]:
        c.send(fcgi.request("/narrow/gate?name=f17"))
        c.taken()
    got = m.get("/narrow/gate?name=f17")
    equal((got.status, got.error), (503, "queue-full"))
    assert int(got.header("Retry-After")) >= 1
    equal((got.app_status, got.protocol_status), (0, COMPLETE))
    m.served()  # other applications go on
    m.open_gate("f17")
    for c in waiting:
        equal(c.answer().body, b"f17")
        c.close()
    equal(m.get("/narrow/unread").status, 200)


# -- answers ---------------------------------------------------------------

@test("F-18 appStatus is 0, and another if the answer was cut short")
def _():
    equal(m.get("/blog/unread").app_status, 0)
    equal(m.get("/blog/status?line=500+Oops").app_status, 0)
    with m.connect() as c:
        c.send(fcgi.request("/blog/half?name=f18&then=exit"))
        m.has("half f18")
        m.open_gate("f18")
        try:
            assert c.answer().app_status != 0
        except fcgi.Cut as cut:
            assert b"aaaaa" in cut.text and b"b" not in cut.text
    m.served()


@test("F-19 STDOUT is closed also when there is no body")
def _():
    for line in ("204 No Content", "304 Not Modified", "404 Not Found"):
        got = m.get("/blog/status?line=" + line.replace(" ", "+"))
        equal((got.status, got.body), (int(line[:3]), b""))
    for uri in ("/blog/unread", "/blog/download?size=100000", "/nobody/"):
        got = m.get(uri, "HEAD")
        equal(got.body, b"", uri)


@test("F-20 the text an application writes to stderr stays in its log")
def _():
    equal(m.text("/blog/prints"), "clean")  # text on STDERR raises
    within(10, lambda: "written to stderr" in m.log("blog"))


@test("F-21 there is no output before the parameters are complete")
def _():
    text = fcgi.pairs(fcgi.variables("/nobody/here"))
    with m.connect() as c:
        for part in (fcgi.begin(), record(fcgi.PARAMS, 1, text)):
            c.send(part)
            c.taken()
            assert c.silent(0.1), c.got
        c.send(record(fcgi.PARAMS, 1), record(fcgi.STDIN, 1))
        equal(c.answer().status, 404)


@test("F-22 64 MB go in and come back without anybody reading meanwhile")
def _():
    body = bytes(range(256)) * 250000
    with m.connect(60) as c:
        c.send(fcgi.request("/blog/echo", "POST", body))
        got = c.answer()
    equal(got.status, 200)
    assert got.body == body, "%d bytes came back" % len(got.body)


@test("F-22 an answer that needs no body does not stop the body's sender")
def _():
    body = b"x" * 20000000
    with m.connect(60) as c:
        for uri, status in (("/nobody/here", 404), ("/blog/unread", 200)):
            c.send(fcgi.request(uri, "POST", body, keep=True))
            equal(c.answer(keep=True).status, status)


@test("F-23 a body longer than CONTENT_LENGTH is refused")
def _():
    before = m.journal().count("called POST")
    for declared, sent in ((10, 11), (10, 20), (0, 1), (10, 200000),
                           (5000, 5001), (100000, 100001)):
        with m.connect() as c:
            c.send(fcgi.begin(flags=fcgi.KEEP_CONN), fcgi.params(
                fcgi.variables("/blog/body", "POST",
                               CONTENT_LENGTH=str(declared))))
            c.try_send(fcgi.stdin(b"x" * sent))
            got = c.answer(keep=True)
            equal((got.status, got.error), (400, "bad-request"), sent)
            c.send(fcgi.request("/blog/unread"))
            equal(c.answer().status, 200)
    equal(m.journal().count("called POST"), before, "applications called")


@test("F-24 a body shorter than CONTENT_LENGTH is refused")
def _():
    before = m.journal().count("called POST")
    for declared, sent in ((10, 9), (10, 0), (5000, 4999), (100000, 99999)):
        with m.connect() as c:
            c.send(fcgi.begin(), fcgi.params(
                fcgi.variables("/blog/body", "POST",
                               CONTENT_LENGTH=str(declared))),
                   fcgi.stdin(b"x" * sent))
            got = c.answer()
            equal((got.status, got.error), (400, "bad-request"), sent)
        with m.connect() as c:  # the connection ends in mid-body
            c.send(fcgi.begin(), fcgi.params(
                fcgi.variables("/blog/body", "POST",
                               CONTENT_LENGTH=str(declared))),
                   fcgi.stdin(b"x" * sent, close=False))
            c.half_close()
            assert c.ended()
    for length in ("x", "-1", "1 ", "0x10", "99999999999999999999999", "1e3"):
        got = m.get("/blog/body", "POST", CONTENT_LENGTH=length)
        equal((got.status, got.error), (400, "bad-request"), length)
    equal(m.journal().count("called POST"), before, "applications called")
    m.served()


@test("R-BODY2 a body that looks like a request is none")
def _():
    inner = fcgi.request("/blog/redirect?to=/evil", keep=True)
    with m.connect() as c:
        for uri in ("/blog/unread", "/nobody/here"):
            for body in (inner, inner * 100):
                c.send(fcgi.request(uri, "POST", body, keep=True))
                assert c.answer(keep=True).status in (200, 404)
        c.send(fcgi.request("/blog/unread", keep=True))
        equal(c.answer(keep=True).body, b"did not look")
        # more than was announced, kept connection: refused, and in step
        c.send(fcgi.begin(flags=fcgi.KEEP_CONN), fcgi.params(fcgi.variables(
            "/blog/unread", "POST", CONTENT_LENGTH="3")),
            fcgi.stdin(b"abc" + inner))
        equal(c.answer(keep=True).status, 400)
        c.send(fcgi.request("/blog/unread", keep=True))
        equal(c.answer(keep=True).body, b"did not look")


# -- the end ---------------------------------------------------------------

@test("F-25 F-26 a responder ends with 0 on SIGTERM, and answers first")
def _():
    other = Mamayo()
    other.app("blog")
    pid = other.start()[0]
    with other.connect() as c:
        c.send(fcgi.request("/blog/half?name=f25"))
        assert b"aaaaa" in c.output()
        os.kill(pid, signal.SIGTERM)
        within(10, lambda: other.ended(pid) is not None)
        equal(other.ended(pid), 0)
        open(os.path.join(other.dir, "f25"), "w").close()
        text = b""
        while True:
            some = c.output()
            if not some:
                break
            text += some
        equal(text, b"bbbbb")
        equal(c.end_of(), (0, COMPLETE))
        c.expect_end()


@test("F-25 a request that was queued when SIGTERM came is answered")
def _():
    other = Mamayo()
    other.app("blog")
    pid = other.start()[0]
    equal(other.get("/blog/unread").status, 200)
    os.kill(pid, signal.SIGSTOP)
    with other.connect() as c:  # in the backlog; nobody has accepted it
        c.send(fcgi.request("/blog/unread"))
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        equal(c.answer().body, b"did not look")
        within(10, lambda: other.ended(pid) is not None)
        equal(other.ended(pid), 0)


@test("F-25 the supervisor leaves on SIGTERM, another takes its place")
def _():
    m.served()
    first = m.supervisor()
    os.kill(first, signal.SIGTERM)
    gone(first)
    m.served()
    within(10, lambda: m.supervisor() not in (None, first))
    assert alive(m.supervisor())


@test("F-27 records that cannot be are the end of their connection")
def _():
    late = {"stdin": record(fcgi.STDIN, 1, b"late"),
            "params": fcgi.params({"HTTP_LATE": "1"}, close=False),
            "begin": fcgi.begin(1),
            "end": record(fcgi.END, 1, b"\0" * 8),
            "stdout": record(fcgi.STDOUT, 1, b"x")}
    for name, bad in sorted(late.items()):
        with m.connect() as c:
            c.send(fcgi.request("/blog/gate?name=never-" + name, keep=True))
            m.has("started never-" + name)
            c.send(bad)
            if name in ("end", "stdout"):  # not ours to receive: or ignored
                m.open_gate("never-" + name)
                try:
                    equal(c.answer(keep=True).status, 200)
                except fcgi.Cut:
                    pass
            else:
                assert c.ended(), name
        m.open_gate("never-" + name)
        m.served()


@test("F-27 they are logged, but not each of a thousand")
def _():
    for _ in range(300):
        with m.connect() as c:
            c.try_send(record(fcgi.BEGIN, 1, b"", version=7))
            c.ended()
    text = m.log()
    said = len(re.findall(r"closed a connection", text))
    assert 1 <= said < 100, "%d lines:\n%s" % (said, text[-2000:])


@test("F-28 a client that has only half-closed gets its answer")
def _():
    for uri, status in (("/blog/unread", 200), ("/nobody/", 404)):
        with m.connect() as c:
            c.send(fcgi.request(uri))
            c.half_close()
            equal(c.answer().status, status, uri)


@test("F-28 a client that has gone stops the application that streams")
def _():
    c = m.connect()
    c.send(fcgi.request("/blog/endless?name=f28"))
    assert c.output()
    c.close()
    m.has("closed f28")
    m.served()


@test("F-28 a client that goes while the application thinks harms nobody")
def _():
    for i in range(20):
        c = m.connect()
        c.send(fcgi.request("/blog/sleep?seconds=0.05&name=f28b"))
        c.taken()
        c.close()
    m.served()
    equal(json.loads(m.text("/blog/body"))["length"], 0)


run()
