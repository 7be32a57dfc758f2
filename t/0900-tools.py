"""The tools of the other scripts: what they must notice, they notice."""
import os
import socket
import sys

import fcgi
from fcgi import Connection, Cut, ProtocolError, record, stream
from harness import equal, run, test

END = b"\0\0\0\0\0\0\0\0"
HEAD = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"


def reading(*parts):
    """A connection from which these bytes come, and then end-of-file."""
    ours, theirs = socket.socketpair()
    theirs.sendall(b"".join(parts))
    theirs.close()
    c = Connection.__new__(Connection)
    c.socket, c.got = ours, bytearray()
    c.socket.settimeout(5)
    return c


def refused(*parts, **how):
    try:
        got = reading(*parts).answer(**how)
    except ProtocolError:
        return
    raise AssertionError("taken: %r" % got)


def good(body=b"hello"):
    return stream(fcgi.STDOUT, HEAD + body) + record(fcgi.END, 1, END)


@test("a correct answer is read")
def _():
    got = reading(good()).answer()
    equal((got.status, got.body, got.app_status), (200, b"hello", 0))
    equal(got.header("content-type"), "text/plain")


@test("so is one with padding, many records and empty STDERR records")
def _():
    got = reading(stream(fcgi.STDOUT, HEAD + b"hello", size=7, padding=255,
                         close=False), record(fcgi.STDERR),
                  stream(fcgi.STDOUT, b""), record(fcgi.END, 1, END)).answer()
    equal((got.body, got.heartbeats), (b"hello", 1))


@test("an answer that is cut anywhere is Cut")
def _():
    for first, _ in fcgi.shred(good()):
        try:
            reading(first).answer()
        except Cut:
            continue
        raise AssertionError("taken: %r" % first)


@test("what breaks the protocol is noticed")
def _():
    refused(good(), b"x")
    refused(good(), good())
    refused(record(fcgi.STDOUT, 1, HEAD), record(fcgi.END, 1, END))
    refused(stream(fcgi.STDOUT, HEAD), record(fcgi.STDOUT, 1, b"late"),
            record(fcgi.END, 1, END))
    refused(record(fcgi.STDERR, 1, b"text"), good())
    refused(stream(fcgi.STDOUT, HEAD, id=2), record(fcgi.END, 2, END))
    refused(stream(fcgi.STDOUT, HEAD), record(fcgi.END, 1, b"\0" * 7))
    refused(stream(fcgi.STDOUT, HEAD), record(fcgi.END, 1, b"\0" * 7 + b"x"))
    refused(record(fcgi.STDOUT, 1, HEAD, version=2))
    refused(stream(fcgi.STDOUT, HEAD), record(fcgi.STDIN),
            record(fcgi.END, 1, END))
    refused(stream(fcgi.STDOUT, HEAD[:-2]), record(fcgi.END, 1, END))
    refused(stream(fcgi.STDOUT, b"no colon\r\n\r\n"), record(fcgi.END, 1, END))
    refused(stream(fcgi.STDOUT, b"Status: 200\r\nStatus: 404\r\n\r\n"),
            record(fcgi.END, 1, END))
    refused(good(), b"x", keep=True)


@test("lengths are written in both widths and read back")
def _():
    for n in (0, 1, 127, 128, 65535, 100000):
        for wide in (False, True):
            name, value = b"n" * n, b"v" * n
            equal(fcgi.take_pairs(fcgi.pair(name, value, wide, wide)),
                  {name: value})
    equal(fcgi.pair("a", "b"), b"\1\1ab")
    equal(fcgi.pair("a", "b", True, False), b"\x80\0\0\1\1ab")


@test("a large stream is cut into records and ended by an empty one")
def _():
    c = reading(stream(fcgi.STDIN, b"x" * 70000, id=9))
    equal([(len(c.record()[2])) for _ in range(3)], [65535, 4465, 0])
    equal(c.record(), None)


@test("Python written for 3.6 is all that the tests use")
def _():
    import ast
    here = os.path.dirname(os.path.abspath(__file__))
    for top, _, files in os.walk(here):
        for name in files:
            if name.endswith(".py"):
                with open(os.path.join(top, name), encoding="utf-8") as f:
                    text = f.read()
                kwargs = {} if sys.version_info < (3, 8) else {
                    "feature_version": (3, 6)}
                ast.parse(text, name, **kwargs)


run()
