"""Why requests are not read with libfcgi: what a small application written on
it (t/hazard_responder.c) makes of input that is not nice, and that mamayo
serves on under the same. A libfcgi that has been mended is no failure: then
the test's line says so.
"""
import os
import resource
import signal
import socket
import struct
import subprocess
import time

import fcgi
from fcgi import (PARAMS, STDIN, Connection, Cut, ProtocolError, abort,
                  begin, get_values, params, record, request, stdin,
                  variables)
from harness import BUILDDIR, equal, run, test, within
from mamayo import Mamayo, Process

RESPONDER = os.path.abspath(os.path.join(BUILDDIR, "t", "hazard_responder"))
READS = 8192  # bytes that libfcgi reads at once
NOT_SHOWN = "not shown by this libfcgi"

m = Mamayo()
m.app("blog", """\
import os

def application(environ, start_response):
    uri, body = environ["REQUEST_URI"], b""
    if "unread" not in uri:
        body = environ["wsgi.input"].read()
    with open(os.path.join(os.environ["MAMAYO_TEST"], "journal"), "a") as f:
        f.write("called %s %d\\n" % (uri, len(body)))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s %d\\n" % (uri, len(body))).encode()]
""")
m.start()


class Library:
    """hazard_responder; start() is called when enough is on its way."""

    count = 0

    def __init__(self):
        Library.count += 1
        self.address = os.path.join(m.dir, "l%d" % Library.count)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen(20)

    def start(self):
        with open(self.address + ".err", "wb") as err:
            self.process = m.popen([RESPONDER], stdin=self.listener,
                                   stdout=err, stderr=err)
        self.pid = self.process.pid
        return self

    def journal(self):
        with open(self.address + ".err") as f:
            return f.read().split("\n")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.listener.close()


def serves_on():
    equal(m.get("/blog/after").body, b"/blog/after 0\n")


def library_says(hazard):
    """A fresh libfcgi responder -> what hazard() says about it."""
    library = Library()
    try:
        return hazard(library) or NOT_SHOWN
    finally:
        library.end()


def calls(journal, uri):
    return [line for line in journal if line.startswith("called " + uri)]


def answers(connection):
    """The texts of all answers that come, until nothing more does."""
    texts, text = [], b""
    try:
        while True:
            got = connection.record()
            if got is None:
                return texts
            if got[0] == fcgi.STDOUT:
                text += got[2]
            elif got[0] == fcgi.END:
                texts.append(text.partition(b"\r\n\r\n")[2].decode())
                text = b""
    except (socket.timeout, Cut):
        return texts


@test("four names in one FCGI_GET_VALUES are answered")
def _():
    known = ("FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS",
             "FCGI_MAX_CONNS")
    with m.connect() as c:
        c.send(get_values(*known), request("/blog/values"))
        kind, _, content = c.record()
        equal(kind, fcgi.VALUES)
        equal(set(fcgi.take_pairs(content)), {n.encode() for n in known})
        equal(c.answer().body, b"/blog/values 0\n")
    serves_on()

    def hazard(library):
        library.start()
        with Connection(library.address) as c:
            c.send(get_values(*known), request("/blog/values"))
            answers(c)  # until it hangs up
        if not calls(library.journal(), "/blog/values"):
            library.process.wait(10)
            return "libfcgi ends with signal %d" % -library.process.returncode
    return library_says(hazard)


@test("an unread body on a kept connection is not the next request")
def _():
    head = begin(flags=fcgi.KEEP_CONN) + params(variables(
        "/blog/unread", "POST", CONTENT_LENGTH="9999"))
    # what libfcgi has not read yet begins with a request of the visitor's
    body = (b"x" * (READS - len(head) - 8)
            + request("/blog/smuggled", keep=True)).ljust(9999, b"y")
    with m.connect() as c:
        c.send(head, stdin(body))
        equal(c.answer(keep=True).body, b"/blog/unread 0\n")
        c.send(request("/blog/next"))
        equal(c.answer().body, b"/blog/next 0\n")
    equal(calls(m.journal(), "/blog/smuggled"), [])

    def hazard(library):
        with Connection(library.address, 2) as c:
            c.send(head, stdin(body))
            library.start()
            if any("smuggled" in text for text in answers(c)):
                return "libfcgi answers a request that nobody has sent"
    return library_says(hazard)


@test("a signal in the middle of a body changes nothing")
def _():
    beginning = begin() + params(variables("/blog/signal", "POST",
                                           CONTENT_LENGTH="5"))
    pid = m.responders[0]
    with m.connect() as c:
        c.send(beginning)
        for _ in range(10):
            os.kill(pid, signal.SIGUSR1)
            time.sleep(0.01)
        c.send(stdin(b"hello"))
        equal(c.answer().body, b"/blog/signal 5\n")
    serves_on()

    def hazard(library):
        library.start()
        with Connection(library.address) as c:
            c.send(beginning)
            within(20, lambda: "begun /blog/signal" in library.journal(),
                   "libfcgi to call its application")

            def interrupted():
                library.process.send_signal(signal.SIGUSR1)
                return calls(library.journal(), "/blog/signal")
            try:
                within(3, interrupted)
            except AssertionError:
                return None
            if calls(library.journal(), "/blog/signal 0"):
                return "libfcgi hands over an empty body of 5 bytes"
    return library_says(hazard)


@test("a connection that says nothing holds up nobody, and is kept")
def _():
    with m.connect() as idle, m.connect() as c:
        c.send(request("/blog/beside"))
        equal(c.answer().body, b"/blog/beside 0\n")
        idle.send(request("/blog/late"))
        equal(idle.answer().body, b"/blog/late 0\n")

    def hazard(library):
        with Connection(library.address) as idle, \
                Connection(library.address) as c:
            c.send(request("/blog/beside"))
            began = time.monotonic()
            library.start()
            c.output()
            took = time.monotonic() - began
            idle.socket.settimeout(0.1)
            if idle.ended():
                return ("libfcgi gives it up after %.1f s, and only then"
                        " serves the next" % took)
    return library_says(hazard)


def after_an_answer(address):
    """Seconds from an answer, whose reader does not hang up, to the next."""
    with Connection(address) as first, Connection(address) as second:
        first.send(request("/blog/first"))
        while first.record()[0] != fcgi.END:
            pass
        began = time.monotonic()
        second.send(request("/blog/second"))
        second.output()
        return time.monotonic() - began


@test("a reader that does not hang up holds up nobody")
def _():
    mine = min(after_an_answer(m.address) for _ in range(3))
    if mine > 1.5:
        raise AssertionError("the next answer came after %.1f s" % mine)

    def hazard(library):
        library.start()
        its = min(after_an_answer(library.address) for _ in range(2))
        if its > 1.5:
            return "libfcgi waits %.1f s for it" % its
    return library_says(hazard)


@test("without a free descriptor it waits for one")
def _():
    pid = m.responders[0]
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    within(20, lambda: len(os.listdir("/proc/%d/fd" % pid)) < 20,
           "the responder to close what others have left")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limit[1]))
    try:
        with m.connect() as c:
            c.send(request("/blog/descriptor"))
            within(20, lambda: "cannot accept" in m.log(), "a line in the log")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
            equal(c.answer().body, b"/blog/descriptor 0\n")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    serves_on()

    def hazard(library):
        library.start()
        with Connection(library.address) as c:
            c.send(request("/blog/first"))
            answers(c)
        limit = resource.prlimit(library.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(library.pid, resource.RLIMIT_NOFILE, (3, limit[1]))
        with Connection(library.address) as c:
            c.try_send(request("/blog/descriptor"))
            try:
                library.process.wait(3)
                return "libfcgi's loop ends"
            except subprocess.TimeoutExpired:
                return None
    return library_says(hazard)


def peak(pid):
    """MiB of address space, at most until now."""
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith("VmPeak:"):
                return int(line.split()[1]) / 1024


@test("what a peer announces is not allocated")
def _():
    announced = begin() + record(PARAMS, 1, struct.pack(
        ">II", 0x80000000 | 1 << 29, 0x80000000 | 1 << 29) + b"x" * 100)
    pid = m.responders[0]
    before = peak(pid)
    with m.connect() as c:
        c.send(announced, record(PARAMS), stdin())
        equal(c.answer().status, 431)
    more = peak(pid) - before
    if more > 100:
        raise AssertionError("it has taken %d MiB" % more)
    serves_on()

    def hazard(library):
        library.start()
        with Connection(library.address) as c:
            c.send(request("/blog/first"))
            answers(c)
        before = peak(library.pid)
        with Connection(library.address, 3) as c:
            c.send(announced)
            try:
                within(3, lambda: peak(library.pid) - before > 1000)
                return "libfcgi allocates 1 GiB for 124 bytes"
            except (AssertionError, OSError, TypeError):
                return None
    return library_says(hazard)


def broken_off(end):
    """A body that ends in the middle; is the application called?"""
    return (begin() + params(variables("/blog/half", "POST",
                                       CONTENT_LENGTH="10"))
            + record(STDIN, 1, b"hello") + end)


def is_called_with_half(end):
    with m.connect() as c:
        c.send(broken_off(end))
        try:
            answers(c)
        except ProtocolError:
            pass
    serves_on()
    equal(calls(m.journal(), "/blog/half"), [])

    def hazard(library):
        library.start()
        with Connection(library.address, 3) as c:
            c.send(broken_off(end))
            answers(c)
        if calls(library.journal(), "/blog/half 5"):
            return "libfcgi hands over half of it, as if it were whole"
    return library_says(hazard)


@test("FCGI_ABORT_REQUEST in the middle of a body: nobody is called")
def _():
    return is_called_with_half(abort())


@test("garbage in the middle of a body: nobody is called")
def _():
    return is_called_with_half(b"\x07 this is not FastCGI " * 3)


def listen(path):
    """mamayo listen, where it should refuse."""
    return m.command("listen", "unix:" + path)


def open_socket(path):
    """FCGX_OpenSocket -> (what the program printed, exit status)."""
    p = m.popen([RESPONDER, path], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL)
    return p.communicate()[0].decode(), p.returncode


@test("a file in the place of the socket stays, and is named")
def _():
    path = os.path.join(m.dir, "precious")
    with open(path, "w") as f:
        f.write("mine")
    got = listen(path)
    if got.returncode == 0 or path not in got.stderr:
        raise AssertionError(repr(got))
    with open(path) as f:
        equal(f.read(), "mine")
    open_socket(path)
    if not os.path.isfile(path):
        return "FCGX_OpenSocket has removed it"
    return NOT_SHOWN


@test("a socket that cannot be made is a sentence")
def _():
    path = os.path.join(m.dir, "nowhere", "socket")
    got = listen(path)
    if got.returncode != 1 or path not in got.stderr:
        raise AssertionError(repr(got))
    text, status = open_socket(path)
    if status != 0 and not text:
        return "FCGX_OpenSocket ends the program with status %d" % status
    return NOT_SHOWN


@test("a socket is for its owner alone, and closed on exec")
def _():
    path = os.path.join(m.dir, "socket")
    process = Mamayo().listen("unix:" + path)
    equal(os.stat(path).st_mode & 0o777, 0o600)
    flags = []
    for name, what in Process(process.pid).descriptors().items():
        if what.startswith("socket:"):
            with open("/proc/%d/fdinfo/%d" % (process.pid, name)) as f:
                flags.append(int(f.read().split("flags:")[1].split()[0], 8))
    equal([f & os.O_CLOEXEC for f in flags], [os.O_CLOEXEC] * len(flags))
    text, _ = open_socket(os.path.join(m.dir, "its"))
    if text == "cloexec 1\nmode 600\n":
        return NOT_SHOWN
    return "FCGX_OpenSocket's is not: " + ", ".join(text.split("\n")[:2])


@test("an address of IPv6 is listened on, if the machine has any")
def _():
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            address = None
        else:
            address = "tcp:[::1]:%d" % s.getsockname()[1]
    if address:
        other = Mamayo()
        other.app("blog")
        other.listen(address)
        equal(other.get("/blog/pid").status, 200)
    open_socket("[::1]:1")
    if os.path.exists(os.path.join(m.dir, "[::1]:1")):
        return "FCGX_OpenSocket makes a file of that name"
    return NOT_SHOWN


run()
