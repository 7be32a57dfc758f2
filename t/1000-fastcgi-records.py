"""FastCGI 1.0: records, pairs and management records (rows F-1 to F-13)."""
import json
import os
import pty
import socket
import struct
import subprocess

import fcgi
from fcgi import Connection, record
from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo, Process

m = Mamayo(workers={"max": 1})
m.app("blog")
m.start()


def what_came(answer):
    equal(answer.status, 200, repr(answer))
    return json.loads(answer.body.decode())


BODY = b"0123456789" * 5
POST = fcgi.request("/blog/body", "POST", BODY)


def is_right(answer):
    equal(what_came(answer)["length"], len(BODY))


# -- how it is started -----------------------------------------------------

@test("F-1 by hand in a terminal it prints help and ends")
def _():
    ours, theirs = pty.openpty()
    p = subprocess.Popen([PROGRAM], stdin=theirs, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env=m.environment)
    out = p.communicate(timeout=10)[0].decode()
    os.close(ours)
    os.close(theirs)
    assert p.returncode in (0, 2), p.returncode
    assert "status" in out and "listen" in out, out


@test("F-1 with /dev/null or a pipe as standard input it does not hang")
def _():
    for stdin in (subprocess.DEVNULL, subprocess.PIPE):
        p = subprocess.Popen([PROGRAM], stdin=stdin, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env=m.environment)
        out = p.communicate(timeout=10)[0].decode()
        assert "listen" in out, out


@test("F-1 started as CGI it answers with a page that says why it cannot")
def _():
    env = dict(m.environment, GATEWAY_INTERFACE="CGI/1.1",
               REQUEST_METHOD="GET", REQUEST_URI="/blog",
               SCRIPT_NAME="/mamayo.fcgi", SERVER_PROTOCOL="HTTP/1.1",
               QUERY_STRING="", SERVER_NAME="localhost", SERVER_PORT="80")
    p = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=env)
    out, err = p.communicate(timeout=10)
    answer = fcgi.Answer(out)
    assert answer.status >= 500, out
    assert answer.error, out
    equal(p.returncode, 0, err.decode())


@test("F-2 FCGI_WEB_SERVER_ADDRS says who may connect over TCP")
def _():
    other = Mamayo(environment={
        "FCGI_WEB_SERVER_ADDRS": "127.0.0.2,127.0.0.3"})
    other.app("blog")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    other.listen("tcp:127.0.0.1:%d" % port)
    for address, welcome in (("127.0.0.1", False), ("127.0.0.2", True),
                             ("127.0.0.3", True), ("127.0.0.4", False)):
        with socket.socket() as s:
            s.settimeout(20)
            s.bind((address, 0))
            s.connect(("127.0.0.1", port))
            c = Connection.__new__(Connection)
            c.socket, c.got = s, bytearray()
            if welcome:
                c.send(fcgi.request("/blog/unread"))
                equal(c.answer().status, 200, address)
            else:
                c.try_send(fcgi.request("/blog/unread"))
                c.expect_end()


# -- records ---------------------------------------------------------------

@test("F-3 another version closes that connection and no other")
def _():
    with m.connect() as bystander:
        bystander.send(POST[:20])
        for version in (0, 2, 255):
            with m.connect() as c:
                c.try_send(record(fcgi.BEGIN, 1, b"\0\1\0\0\0\0\0\0",
                                  version=version))
                c.expect_end()
        with m.connect() as c:  # also in the middle of a request
            c.try_send(fcgi.begin(), record(fcgi.PARAMS, 1, b"\1\1ab",
                                            version=9))
            assert c.ended()
        m.served()
        bystander.send(POST[20:])
        is_right(bystander.answer())


@test("F-4 padding of 0 to 255 bytes is skipped on every kind of record")
def _():
    with m.connect() as c:
        for padding in range(256):
            c.send(record(fcgi.GET_VALUES, 0, b"", padding),
                   fcgi.begin(1, flags=fcgi.KEEP_CONN, padding=padding),
                   fcgi.params(fcgi.variables("/blog/body", "POST", BODY),
                               size=100, padding=padding),
                   fcgi.stdin(BODY, size=7, padding=padding))
            equal(c.record(), (fcgi.VALUES, 0, b""))
            is_right(c.answer(keep=True))


@test("F-5 a request may be cut in two at any byte")
def _():
    for first, rest in fcgi.shred(POST):
        with m.connect() as c:
            c.send(first)
            c.taken()
            c.send(rest)
            is_right(c.answer())


@test("F-5 a request may come in single bytes")
def _():
    with m.connect() as c:
        for i in range(len(POST)):
            c.send(POST[i:i + 1])
            c.taken()
        is_right(c.answer())


@test("F-5 each byte of a stream may be a record of its own")
def _():
    with m.connect() as c:
        c.send(fcgi.begin(),
               fcgi.params(fcgi.variables("/blog/body", "POST", BODY),
                           size=1),
               fcgi.stdin(BODY, size=1))
        is_right(c.answer())


@test("F-5 empty management records may come between any others")
def _():
    nothing = record(fcgi.GET_VALUES, 0)
    text = fcgi.pairs(fcgi.variables("/blog/body", "POST", BODY))
    with m.connect() as c:
        c.send(nothing, fcgi.begin(), nothing,
               record(fcgi.PARAMS, 1, text[:50]), nothing,
               record(fcgi.PARAMS, 1, text[50:]), nothing,
               record(fcgi.PARAMS, 1), nothing,
               record(fcgi.STDIN, 1, BODY[:9]), nothing,
               record(fcgi.STDIN, 1, BODY[9:]), nothing,
               record(fcgi.STDIN, 1))
        for _ in range(7):
            equal(c.record(), (fcgi.VALUES, 0, b""))
        is_right(c.answer())


@test("F-6 records of a request that is not active are ignored")
def _():
    stray = (record(fcgi.STDIN, 7, b"evil") + record(fcgi.PARAMS, 7, b"\1")
             + fcgi.abort(7) + record(fcgi.STDIN, 7) + record(fcgi.DATA, 7))
    text = fcgi.pairs(fcgi.variables("/blog/body", "POST", BODY))
    with m.connect() as c:
        for _ in range(3):
            c.send(stray, fcgi.begin(flags=fcgi.KEEP_CONN), stray,
                   record(fcgi.PARAMS, 1, text), stray,
                   record(fcgi.PARAMS, 1), stray,
                   record(fcgi.STDIN, 1, BODY), stray, record(fcgi.STDIN, 1))
            is_right(c.answer(keep=True))
            c.send(stray)


@test("F-7 any request id, and the same again on a kept connection")
def _():
    with m.connect() as c:
        for id in (1, 255, 256, 65535, 65535, 1):
            c.send(fcgi.request("/blog/body", "POST", BODY, id=id, keep=True))
            is_right(c.answer(id, keep=True))


@test("F-8 lengths of one and four bytes in all four combinations")
def _():
    # short names with wide lengths, which need not be minimal, and long ones
    pairs = [(n, v) for n, v in fcgi.variables("/blog/environ").items()]
    pairs += [("HTTP_X_LONG" + "N" * 200, "short"),
              ("HTTP_X_SHORT", "long" * 100),
              ("HTTP_X_BOTH" + "N" * 200, "long" * 100), ("HTTP_X_NO", "")]
    for wide_name in (False, True):
        for wide_value in (False, True):
            text = b"".join(fcgi.pair(n, v, wide_name, wide_value)
                            for n, v in pairs)
            with m.connect() as c:
                c.send(fcgi.begin(), fcgi.params(text), fcgi.stdin())
                got = what_came(c.answer())
            for name, value in pairs[-4:]:
                equal(got[name], value)


@test("F-8 a name of no bytes is refused, and only that request")
def _():
    with m.connect() as c:
        c.send(fcgi.begin(flags=fcgi.KEEP_CONN),
               fcgi.params(fcgi.pairs(fcgi.variables("/blog/unread"))
                           + fcgi.pair("", "x")), fcgi.stdin())
        got = c.answer(keep=True)
        equal((got.status, got.error), (400, "bad-request"))
        c.send(POST)
        is_right(c.answer())


@test("F-9 parameters may be cut anywhere into records")
def _():
    text = fcgi.pairs(fcgi.variables("/blog/body", "POST", BODY))
    with m.connect() as c:
        for i in range(1, len(text)):
            c.send(fcgi.begin(flags=fcgi.KEEP_CONN),
                   record(fcgi.PARAMS, 1, text[:i]),
                   record(fcgi.PARAMS, 1, text[i:]), record(fcgi.PARAMS, 1),
                   fcgi.stdin(BODY))
            is_right(c.answer(keep=True))


@test("F-9 parameters of more than 65535 bytes, a value of 100000")
def _():
    value = "0123456789" * 10000
    more = {"HTTP_X_%d" % i: "x" * 1000 for i in range(70)}
    got = what_came(m.get("/blog/environ", **more))
    equal([n for n in more if got.get(n) != more[n]], [])
    got = what_came(m.get("/blog/environ", HTTP_X_LONG=value))
    equal(got["HTTP_X_LONG"] == value, True)


@test("F-10 pairs that pass their end, or have NUL in them, are refused")
def _():
    good = fcgi.pairs(fcgi.variables("/blog/body"))
    before = len(m.journal())
    for bad in (b"\5", b"\5\1ab", b"\x80\0\0", b"\x80\0\1\0\1ab",
                fcgi.pair("HTTP_A\0B", "x"), fcgi.pair("HTTP_X", "a\0b"),
                fcgi.pair("HTTP_A=B", "x")):
        for text in (bad, good + bad):
            with m.connect() as c:
                c.send(fcgi.begin(), fcgi.params(text), fcgi.stdin())
                got = c.answer()
                equal((got.status, got.error), (400, "bad-request"),
                      repr(bad))
    equal(len(m.journal()), before, "applications called")
    m.served()


@test("F-10 what is only announced costs nothing")
def _():
    pid = m.responders[0]

    def rss():
        return int(Process(pid).read("statm").split()[1]) * 4
    m.served()
    before = rss()
    connections = [m.connect() for _ in range(50)]
    for c in connections:
        # a pair of two gigabytes, of which the first bytes come
        c.try_send(fcgi.begin(), record(
            fcgi.PARAMS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff" + b"a" * 99))
    m.served()
    grown = rss() - before
    for c in connections:
        if c.try_send(record(fcgi.PARAMS, 1), record(fcgi.STDIN, 1)):
            try:
                assert c.answer().status in (400, 431)
            except fcgi.Cut:
                pass
        c.close()
    assert grown < 20000, "%d KiB more" % grown
    m.served()


@test("F-11 without FCGI_KEEP_CONN the connection ends with the answer")
def _():
    for uri in ("/blog/unread", "/nobody/here"):
        with m.connect() as c:
            c.send(fcgi.request(uri))
            c.answer()  # reads to end-of-file
            assert not c.try_send(POST) or c.ended()


@test("F-11 with FCGI_KEEP_CONN it carries 1000 requests")
def _():
    with m.connect() as c:
        for i in range(1000):
            if i % 10 == 9:
                c.send(fcgi.request("/nobody/here", keep=True))
                equal(c.answer(keep=True).status, 404)
            else:
                c.send(fcgi.request("/blog/unread", keep=True))
                equal(c.answer(keep=True).body, b"did not look")
        c.send(POST)  # the last does not ask to keep it
        is_right(c.answer())


# -- management records ----------------------------------------------------

NAMES = ("FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS")


def values(c):
    kind, id, content = c.record()
    equal((kind, id), (fcgi.VALUES, 0))
    return {n.decode(): v.decode() for n, v in
            fcgi.take_pairs(content).items()}


@test("F-12 GET_VALUES answers what it knows of any number of names")
def _():
    with m.connect() as c:
        c.send(fcgi.get_values(*NAMES))
        got = values(c)
        equal(sorted(got), sorted(NAMES))
        equal(got["FCGI_MPXS_CONNS"], "0")
        assert int(got["FCGI_MAX_CONNS"]) >= 1
        assert int(got["FCGI_MAX_REQS"]) >= 1
        c.send(fcgi.get_values())
        equal(values(c), {})
        c.send(fcgi.get_values("FCGI_MPXS_CONNS"))
        equal(values(c), {"FCGI_MPXS_CONNS": "0"})
        c.send(fcgi.get_values("NOBODY", "FCGI_MAX_CONNS", "", "FCGI_MAX"))
        equal(list(values(c)), ["FCGI_MAX_CONNS"])
        c.send(fcgi.get_values(*(NAMES + ("FCGI_MAX_CONNS",))))
        equal(sorted(values(c)), sorted(NAMES))
        c.send(fcgi.get_values(*(NAMES * 334)))
        equal(sorted(values(c)), sorted(NAMES))


@test("F-12 before, within, between and after requests on one connection")
def _():
    ask = fcgi.get_values(*NAMES)
    text = fcgi.pairs(fcgi.variables("/blog/body", "POST", BODY))
    with m.connect() as c:
        for _ in range(3):
            c.send(ask)
            values(c)
            c.send(fcgi.begin(flags=fcgi.KEEP_CONN), ask)
            values(c)
            c.send(record(fcgi.PARAMS, 1, text[:99]), ask)
            values(c)
            c.send(record(fcgi.PARAMS, 1, text[99:]), record(fcgi.PARAMS, 1),
                   record(fcgi.STDIN, 1, BODY), ask)
            values(c)
            c.send(record(fcgi.STDIN, 1))
            is_right(c.answer(keep=True))


@test("F-12 GET_VALUES while the application is at work is answered")
def _():
    with m.connect() as c:
        c.send(fcgi.request("/blog/gate?name=values", keep=True))
        within(20, lambda: any(w.startswith("started values")
                               for w in m.journal()))
        c.send(fcgi.get_values(*NAMES))
        equal(sorted(values(c)), sorted(NAMES))
        open(os.path.join(m.dir, "values"), "w").close()
        equal(c.answer(keep=True).body, b"values")


@test("F-12 malformed GET_VALUES harm nobody")
def _():
    for bad in (b"\x0e", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\1\1a"):
        with m.connect() as c:
            c.try_send(record(fcgi.GET_VALUES, 0, bad))
            c.try_send(POST)
            try:
                got = c.record()
                assert got is None or got[0] == fcgi.VALUES or (
                    got[0] == fcgi.STDOUT), got
            except fcgi.Cut:
                pass
    m.served()


@test("F-13 an unknown management record is answered, and life goes on")
def _():
    with m.connect() as c:
        for kind in (77, 12, 255, 0):
            for size in (0, 8, 65535):
                c.send(record(kind, 0, b"x" * size))
                equal(c.record(), (fcgi.UNKNOWN, 0,
                                   struct.pack(">B7x", kind)))
        c.send(POST)
        is_right(c.answer())


run()
