"""Status and headers: PEP 3333, start_response()."""

from harness import equal, within
from wsgi_harness import app_test, run

# Calls start_response with what the query says, and tells how that went.
CALL = """
from kit import *
def application(environ, start_response):
    given = environ["wsgi.input"].read().decode("utf-8")
    status, headers = eval(given) if given else ("200 OK", [])
    try:
        start_response(status, headers)
    except Exception as error:
        raised = type(error).__name__ + ": " + str(error)
        try:
            raise ValueError
        except ValueError:
            import sys
            start_response("400 Bad Request", [], sys.exc_info())
        return [raised.encode("utf-8", "replace")]
    return [b"taken"]
"""


def call(a, status="200 OK", headers=()):
    if isinstance(headers, tuple):
        headers = list(headers)
    return a.ask("/", method="POST", body=repr((status, headers)).encode())


@app_test("W-24 start_response takes positional arguments and gives write()",
          """
from kit import *
def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")], None)
    assert callable(write)
    return [b"x"]
""")
def _(a):
    answer = a.ask("/")
    equal((answer.status, answer.body), ("200 OK", b"x"))


@app_test("W-25 a status that is not NNN reason is an exception in the "
          "application", CALL, validate=False)
def _(a):
    for status in ("OK", "20X OK", "2000 OK", "200OK", "200 OK\r\nX: y",
                   "200 OK\n", "200 O\0K", "20", "", "200\tOK", " 200 OK",
                   "-20 OK", "\u0662\u0660\u0660 OK", "200 \u2615", "099 No",
                   b"200 OK", 200, None, ["200 OK"]):
        answer = call(a, status)
        equal(answer.status, "400 Bad Request", "%r: " % (status,))
        assert answer.body.startswith((b"ValueError", b"TypeError",
                                       b"UnicodeEncodeError")), answer.body


@app_test("W-25 a bare number is taken as a status, as others do", CALL,
          validate=False)
def _(a):
    for status in ("200", "200 ", "404"):
        answer = call(a, status)
        equal((answer.status, answer.body), (status, b"taken"))


@app_test("W-26 headers that are not a list of pairs of str are an exception",
          CALL, validate=False)
def _(a):
    for headers in ('(("A", "b"),)', '{"A": "b"}', '"A: b"', 'None',
                    '[("A", "b", "c")]', '[("A",)]', '["Ab"]',
                    '[["A", "b"]]', '[(1, "b")]', '[("A", b"b")]',
                    '[(b"A", "b")]', '[("A", None)]', '[("A", 1)]',
                    'iter([("A", "b")])', '[None]', '[({}, "b")]'):
        answer = a.ask("/", method="POST",
                       body=b'("200 OK", ' + headers.encode() + b")")
        equal(answer.status, "400 Bad Request", headers + ": ")
        assert answer.body.startswith(b"TypeError"), (headers, answer.body)


@app_test("W-27 control characters and what is not a name are an exception",
          CALL, validate=False)
def _(a):
    for name in ("A\r", "A\nB", "A\0", "A\tB", "", "A B", "A:", " A", "A ",
                 "\xc4", "A(", "A\x7f", "A,B", '"A"', "A/B"):
        answer = call(a, headers=[(name, "x")])
        equal(answer.status, "400 Bad Request", "%r: " % name)
        assert answer.body.startswith(b"ValueError"), answer.body
    for value in ("a\r\nSet-Cookie: b", "a\n", "\r", "a\0", "\x01", "a\x1f",
                  "\x7f", "\n b", "\u2615", "\udcff", "a\x0bb", "\x85\u2028"):
        answer = call(a, headers=[("X-A", value)])
        equal(answer.status, "400 Bad Request", "%r: " % value)
        assert b"Error: " in answer.body


@app_test("W-27 what is allowed in headers is passed on as it is", CALL,
          validate=False)
def _(a):
    headers = [("X!#$%&'*+-.^_`|~09azAZ", "x"), ("X-Empty", ""),
               ("X-Latin", "caf\xe9 \xa0\xad\xff"), ("X-Tab", "a\tb"),
               ("x-lower", "a: b, c"), ("X-Percent", "%s %d %%")]
    answer = call(a, headers=headers)
    equal(answer.body, b"taken")
    equal(answer.headers, headers + [("Content-Length", "5")])


@app_test("W-28 hop-by-hop headers are an exception", CALL, validate=False)
def _(a):
    for name in ("Connection", "Keep-Alive", "Proxy-Authenticate",
                 "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding",
                 "Upgrade", "upgrade", "TRANSFER-ENCODING"):
        answer = call(a, headers=[(name, "chunked")])
        equal(answer.status, "400 Bad Request", name)


@app_test("W-28 Connection: close and Status are dropped, with one line in the"
          " log", CALL, validate=False)
def _(a):
    for _ in range(3):
        answer = call(a, headers=[("Connection", "Close"), ("Status", "404"),
                                  ("X-A", "b")])
        equal((answer.status, answer.body), ("200 OK", b"taken"))
        equal(answer.headers, [("X-A", "b"), ("Content-Length", "5")])
    equal(a.log().count("Connection: close"), 1)
    equal(a.log().count("header Status"), 1)


@app_test("a Content-Length that is no number, or two that differ, are an "
          "exception", CALL, validate=False)
def _(a):
    for lengths in (["x"], [""], ["-1"], ["+5"], ["5 5"], ["0x5"], ["5.0"],
                    ["\u0665"], ["\xb2"], ["5", "6"], ["5", "x"], ["5, 5"],
                    ["9" * 19]):
        answer = call(a, headers=[("Content-Length", n) for n in lengths])
        equal(answer.status, "400 Bad Request", "%r: " % lengths)
        assert answer.body.startswith((b"ValueError", b"UnicodeEnc")), lengths
    answer = call(a, headers=[("Content-Length", "5")] * 2)
    equal((answer.header("content-length"), answer.body), ("5", b"taken"))


@app_test("more headers than a responder takes are an exception", CALL,
          validate=False)
def _(a):
    answer = call(a, headers=[("X-A", str(n)) for n in range(256)])
    equal(len(answer.headers), 257)
    equal(call(a, headers=[("X-A", "b")] * 257).status, "400 Bad Request")
    answer = call(a, headers=[("X-A", "b" * 65000)])
    equal(len(answer.header("X-A")), 65000)
    equal(call(a, headers=[("X-A", "b" * 65600)]).status, "400 Bad Request")
    assert max(n for _, n in answer.records) <= 65535


@app_test("W-29 headers wait for the first block that is not empty", """
from kit import *
import sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X", "first")])
    for _ in range(3):
        yield b""
    gate("looked")
    try:
        raise KeyError("x")
    except KeyError:
        start_response("501 Later", [("Content-Type", "text/plain"),
                                     ("X", "second")], sys.exc_info())
    yield b"body"
""")
def _(a):
    x = a.send("/")
    worker = a.worker
    within(10, lambda: worker.state() == 2 and worker.asleep(), "the gate")
    x.sock.setblocking(False)
    try:
        equal(x.sock.recv(1), "nothing")
    except BlockingIOError:
        pass
    x.sock.settimeout(20)
    a.put("looked")
    answer = x.read()
    equal((answer.status, answer.header("X"), answer.body),
          ("501 Later", "second", b"body"))


@app_test("W-30 a second call without exc_info is an exception, also when the "
          "first has raised", """
from kit import *
def application(environ, start_response):
    raised = []
    first = {"/good": "200 OK", "/bad": "200OK"}[environ["PATH_INFO"]]
    for status in (first, "202 Accepted"):
        try:
            start_response(status, [("Content-Type", "text/plain")])
        except (RuntimeError, ValueError, AssertionError) as error:
            raised.append(str(error))
    assert "second time" in raised[-1], raised
    journal(len(raised))
    raise OSError("enough")
""", validate=False)
def _(a):
    for path in ("/good", "/bad"):
        equal(a.ask(path).status, "500 Internal Server Error")
    equal(a.journal(), ["1", "2"])


@app_test("W-31 with exc_info: the answer is replaced while nothing has been "
          "sent", """
from kit import *
import sys
def application(environ, start_response):
    start_response("200 OK", [("X-First", "1"), ("Content-Length", "1000"),
                              ("Content-Type", "text/plain")])
    try:
        raise KeyError("x")
    except KeyError:
        start_response("500 Oops", [("Content-Type", "text/plain")],
                       sys.exc_info())
    return [b"sorry"]
""")
def _(a):
    answer = a.ask("/")
    equal((answer.status, answer.headers[:1], answer.body),
          ("500 Oops", [("Content-Type", "text/plain")], b"sorry"))
    assert answer.header("X-First") is None
    assert answer.header("Content-Length") in (None, "5")


@app_test("W-31 with exc_info: when something has been sent, that very "
          "exception is raised again, with its traceback", """
from kit import *
import sys, traceback
def deep():
    raise KeyError("original")
def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"sent")
    try:
        deep()
    except KeyError as original:
        exc_info = sys.exc_info()
        try:
            start_response("500 Oops", [("Content-Type", "text/plain")],
                           exc_info)
        except KeyError as error:
            names = [f[2] for f in traceback.extract_tb(error.__traceback__)]
            journal(error is original, "deep" in names)
            raise
    return [b"never"]
""")
def _(a):
    answer = a.ask("/")
    equal((answer.status, answer.body, answer.app_status),
          ("200 OK", b"sent", 1))
    equal(a.journal(), ["True True"])
    equal(a.log().count("Traceback"), 1)
    assert "in deep" in a.log()


@app_test("W-32 nothing that an exception held lives on after the request", """
from kit import *
import gc, sys, weakref
gc.disable()
class Thing:
    pass
alive = []
def watched():
    thing = Thing()
    alive.append(weakref.ref(thing))
    return thing
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/count":
        if sys.implementation.name != "cpython":
            gc.collect()
        return reply(start_response, [len(alive),
                                      sum(r() is not None for r in alive)])
    thing = watched()
    environ["thing"] = watched()
    if path == "/raise":
        raise KeyError("x")
    if path == "/iterate":
        return iterate(start_response, thing)
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/sent":
        write(b"sent")
    try:
        raise KeyError("x")
    except KeyError:
        start_response("500 Oops", [("Content-Type", "text/plain")],
                       sys.exc_info())
    return [b"x"]
def iterate(start_response, thing):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"x"
    raise ValueError(thing)
""", validate=False)
def _(a):
    for n, path in enumerate(("/raise", "/sent", "/replaced", "/iterate"), 1):
        a.ask(path)
        equal(a.ask("/count").json(), [2 * n, 0], path + ": ")


@app_test("W-45 an answer of 1xx is an exception: there are no interim "
          "answers", CALL, validate=False)
def _(a):
    for status in ("100 Continue", "101 Switching Protocols",
                   "103 Early Hints", "199 X"):
        equal(call(a, status).status, "400 Bad Request")


@app_test("W-46 Set-Cookie three times stays three lines, in order", """
from kit import *
def application(environ, start_response):
    return reply(start_response, 1, headers=[
        ("Set-Cookie", "a=1"), ("X-A", "1"), ("Set-Cookie", "b=2"),
        ("set-cookie", "c=3"), ("X-A", "1")])
""")
def _(a):
    equal(a.ask("/").headers[2:], [
        ("Set-Cookie", "a=1"), ("X-A", "1"), ("Set-Cookie", "b=2"),
        ("set-cookie", "c=3"), ("X-A", "1")])


@app_test("W-47 a status without a standard text is passed on", CALL,
          validate=False)
def _(a):
    for status in ("299 Very odd", "599 Network  Timeout", "404 Nicht gef\xfc"
                   "nden", "999 No", "418 I'm a teapot; (really)"):
        answer = call(a, status)
        equal((answer.status, answer.body), (status, b"taken"))


@app_test("W-48 Location is passed on, whatever the status", CALL,
          validate=False)
def _(a):
    for status in ("200 OK", "201 Created", "302 Found", "308 P R"):
        for location in ("/x", "http://example.com/x", "../y"):
            answer = call(a, status, [("Location", location)])
            equal((answer.status, answer.header("Location")),
                  (status, location))


@app_test("start_response and write after the request are an exception", """
from kit import *
kept = []
def application(environ, start_response):
    for start, write in kept:
        for late in (lambda: start("200 OK", []), lambda: write(b"late")):
            try:
                late()
            except RuntimeError as error:
                journal(error)
    kept.append((start_response, start_response("200 OK", [
        ("Content-Type", "text/plain")])))
    return [environ["PATH_INFO"].encode()]
""", validate=False)
def _(a):
    for path in ("/1", "/2"):
        equal(a.ask(path).body, path.encode())
    equal(a.journal(), ["start_response() after the request's end",
                        "write() after the request's end"])


run()
