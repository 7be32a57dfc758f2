"""The request's body: PEP 3333, wsgi.input."""
import hashlib
import os

from harness import equal, test, within
from wsgi_harness import HEAD, App, adapter, app_test, clock, run

LINES = b"line one\nline two\n\nlast line without an end"
# Each expression gets the input as `i`; what it gives is shown as a str.
READ = """
from kit import *
def application(environ, start_response):
    i = environ["wsgi.input"]
    given = environ["QUERY_STRING"]
    return reply(start_response, [
        value.decode("latin-1") if isinstance(value, bytes) else
        [v.decode("latin-1") for v in value]
        for value in eval(given.replace("+", " "), {"i": i})])
"""
DIGEST = """
from kit import *
import hashlib
def application(environ, start_response):
    digest, size = hashlib.sha256(), 0
    while True:
        data = environ["wsgi.input"].read(1 << 16)
        if not data:
            break
        digest.update(data)
        size += len(data)
    assert size == int(environ.get("CONTENT_LENGTH") or 0)
    return reply(start_response, [size, digest.hexdigest()])
"""
NOT_READ = """
from kit import *
def application(environ, start_response):
    return reply(start_response, environ["PATH_INFO"])
"""


@app_test("W-14 W-15 W-16 read, readline, readlines and iteration, of a body "
          "in the message, in a file, and behind parameters in a file", READ,
          validate=False)
def _(a):
    text = LINES.decode()
    lines = ["line one\n", "line two\n", "\n", "last line without an end"]
    for calls, expected in (
            ("[i.read()]", [text]),
            ("[i.read(-1)]", [text]),
            ("[i.read(None)]", [text]),
            ("[i.read(0), i.read(5), i.read(4), i.read(1000), i.read(1)]",
             ["", "line ", "one\n", text[9:], ""]),
            ("[i.read(10**6), i.read(1), i.read(1), i.read(1), i.read()]",
             [text, "", "", "", ""]),
            ("[i.readline() for _ in range(6)]", lines + ["", ""]),
            ("[i.readline(5), i.readline(5), i.readline(5)]",
             ["line ", "one\n", "line "]),
            ("[i.readline(0), i.readline(-1)]", ["", "line one\n"]),
            ("[i.readlines()]", [lines]),
            ("[i.readlines(1), i.readlines(10**6)]", [lines[:1], lines[1:]]),
            ("[list(i), list(i)]", [lines, []]),
            ("[next(iter(i)), i.read(3), i.readline()]",
             ["line one\n", "lin", "e two\n"])):
        for spool in (None, "body", "params", "both"):
            answer = a.ask("/?" + calls, method="POST", body=LINES,
                           spool=spool)
            equal(answer.json(), expected, "%s, spool %s" % (calls, spool))


@app_test("W-14 read(n), readline(n), readlines(n), iteration", READ)
def _(a):
    for calls, expected in (
            ("[i.read(5), i.read(4)]", ["line ", "one\n"]),
            ("[i.readline(5), i.readlines(1), i.read(1000)]",
             ["line ", ["one\n"], "line two\n\nlast line without an end"]),
            ("[list(i)]", [LINES.decode().splitlines(True)])):
        equal(a.ask("/?" + calls, method="POST", body=LINES).json(), expected)


@app_test("W-17 no body, no CONTENT_LENGTH or an empty one: an empty input",
          READ)
def _(a):
    for more in ({}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "0"},
                 {"method": "POST", "CONTENT_LENGTH": None}):
        equal(a.ask("/?[i.read(1), i.readline(1), list(i), i.read(9)]",
                    **more).json(), ["", "", [], ""])


@app_test("W-18 a body that is not as long as was said is never seen by the "
          "application", NOT_READ, validate=False)
def _(a):
    for said, given in ((100, 40), (40, 100), (1, 0), (0, 1)):
        message = HEAD.pack(adapter.WIRE_MAGIC, adapter.WIRE_VERSION, 0, 0, 1,
                            0, said, 1, 1, clock(), clock() + 10000, 0)
        answer = a.send(message=message + b"x" * given).read(whole=False)
        equal(answer.raw, b"")
    assert "dropped a message" in a.log()
    equal(a.ask("/after").json(), "/after")
    equal(a.worker.board[adapter.BOARD_REQUESTS], 1)


@app_test("W-19 W-21 bodies of every size arrive unchanged", DIGEST)
def _(a):
    for size in (0, 1, 11, 1024, 4095, 4096, 4097, 8192, 65535, 65536,
                 1 << 20, 64 << 20):
        block = os.urandom(min(size, 1 << 20))
        body = block * (size // (len(block) or 1))
        answer = a.ask("/", method="POST", body=body)
        equal(answer.json(), [size, hashlib.sha256(body).hexdigest()])


@app_test("W-20 a body need not be read", NOT_READ)
def _(a):
    for size in (0, 100, 1 << 20):
        for path in ("/one", "/two"):
            equal(a.ask(path, method="POST", body=b"x" * size).json(), path)


@app_test("the beginning of the input is the body's, also when parameters "
          "stand before it in the file", """
from kit import *
def application(environ, start_response):
    i = environ["wsgi.input"]
    seen = [i.tell(), i.read(3).decode(), i.tell()]
    i.seek(0)
    seen += [i.read(2).decode(), i.seek(-2, 2), i.read().decode()]
    i.seek(-1, 1)
    return reply(start_response, seen + [i.read().decode()])
""", validate=False)
def _(a):
    for spool in (None, "body", "both"):
        equal(a.ask("/", method="POST", body=b"abcdefgh", spool=spool).json(),
              [0, "abc", 3, "ab", 6, "gh", "h"], "spool %s" % spool)


@app_test("a body's file can be given to another program", """
from kit import *
import subprocess
def application(environ, start_response):
    return reply(start_response, subprocess.check_output(
        ["cat"], stdin=environ["wsgi.input"]).decode())
""", validate=False)
def _(a):
    for spool in ("body", "both"):
        equal(a.ask("/", method="POST", body=b"abcdefgh", spool=spool).json(),
              "abcdefgh")


@app_test("a body's file is closed with its request, whatever the "
          "application keeps", """
from kit import *
kept = []
def application(environ, start_response):
    kept.append(environ["wsgi.input"])
    environ["wsgi.input"].read(1)
    return reply(start_response, [len(os.listdir("/proc/self/fd")),
                                  [i.closed for i in kept]])
""", validate=False)
def _(a):
    first = a.ask("/", method="POST", body=b"x" * 10000).json()
    for n in range(1, 20):
        equal(a.ask("/", method="POST", body=b"x" * 10000).json(),
              [first[0], [True] * n + [False]])


@test("a body's file is closed also when the application is never called")
def _():
    with App(NOT_READ) as a:
        def open_files():
            return len(os.listdir("/proc/%d/fd" % a.worker.pid))

        a.worker.idle()
        before = open_files()
        for _ in range(10):
            a.ask("/", method="POST", body=b"x" * 10000, not_after=clock() - 1)
            a.send("/", method="POST", body=b"x" * 10000,
                   queued=clock() - 1000).leave()
        a.ask("/")
        a.worker.idle()
        within(5, lambda: open_files() == before, "files to be closed")


run()
