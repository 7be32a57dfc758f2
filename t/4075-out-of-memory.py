"""Fault 44: each allocation of a responder fails once, in a request of each
kind. It never ends by a signal, and the next request is served; who had the bad
luck gets a page, FastCGI's word for it where there is no memory for that, or a
connection that is closed. t/no_memory.c is preloaded."""
import mmap
import os
import signal
import struct

import fcgi
from harness import BUILDDIR, equal, run, test, within
from mamayo import Mamayo, Process

SHIM = os.path.abspath(os.path.join(BUILDDIR, "t", "no_memory.so"))
MOST = 2000  # allocations that a request may have; more is a mistake here
FIRST = 12   # allocations at the start that are not ours but of libfcgi and of
             # the C library's look-up of a user, which does not survive all
             # (glibc 2.36)


class Poor(Mamayo):
    """Its responders may lack memory."""

    def __init__(self, **settings):
        self.plan = None
        Mamayo.__init__(self, {"LD_PRELOAD": SHIM}, **settings)
        path = self.environment["NO_MEMORY"] = os.path.join(self.dir, "plan")
        with open(path, "w+b") as f:
            f.write(b"\0" * 32)
            f.flush()
            self.plan = mmap.mmap(f.fileno(), 32)

    def fail(self, pid, after):
        """The allocation after so many of that process fails."""
        struct.pack_into("=4q", self.plan, 0, pid, after, 0, 0)

    def enough(self):
        """From now on none fails -> whether one has."""
        _, _, self.count, failed = struct.unpack_from("=4q", self.plan, 0)
        self.fail(0, -1)
        return failed


def outcome(function):
    """What a request came to; nothing else than that may come of it."""
    try:
        return function()
    except (fcgi.Cut, ConnectionError):
        return "closed"


def sweep(m, each):
    """each() with the first, second ... allocation failing, until none does."""
    seen, ends = {}, []
    for n in range(MOST):
        pid = m.responders[-1]
        m.fail(pid, n)
        got = outcome(each)
        failed = m.enough()
        if not failed:
            break
        seen[got] = seen.get(got, 0) + 1
        try:
            m.served()
        except Exception:
            within(5, lambda: m.ended(pid) is not None,
                   "what serves no more, after allocation %d, to end" % n)
        if m.ended(pid) is not None:
            ends.append((n, m.ended(pid)))
            m.killed.add(pid)
            m.start()
            m.served()
    else:
        raise AssertionError("no end of allocations")
    equal(ends, [], "%d allocations; it has ended" % n)
    assert n > 0
    return "%d allocations: %s" % (n, ", ".join(
        "%s %s" % (what, seen[what]) for what in sorted(seen, key=str)))


def account():
    m = Poor(workers={"max": 1})
    m.app("blog")
    m.start()
    m.served()
    equal(m.status_of("blog")["state"], "ready")
    m.served()
    return m


KINDS = (
    ("a request behind Apache", lambda m: m.get(
        "/blog/unread", SERVER_SOFTWARE="Apache/2.4")),
    ("behind lighttpd", lambda m: m.get(
        "/blog/unread", SERVER_SOFTWARE="lighttpd/1.4")),
    ("a body in a file", lambda m: m.get("/blog/body", "POST", b"x" * 70000)),
    ("70 kB of headers", lambda m: m.get("/blog/unread", HTTP_X="x" * 70000)),
    ("an address that nobody serves", lambda m: m.get("/none")),
)


@test("fault 44: whichever allocation of a responder fails in a request, that"
      " one gets 503 or is closed, and the next is served")
def _():
    m = account()
    told = []
    for what, get in KINDS:
        def one():
            got = get(m)
            if got.protocol_status == fcgi.OVERLOADED:
                return "overloaded"
            assert got.status in (200, 404) or (got.status, got.error) == (
                503, "resources"), got
            return got.status
        told.append("%s: %s" % (what, sweep(m, one)))
    m.end()
    return "; ".join(told)


@test("fault 44: so it is on a connection that is kept")
def _():
    m = account()

    def one():
        with m.connect() as c:
            for n in range(3):
                c.send(fcgi.get_values("FCGI_MAX_CONNS"),
                       fcgi.request("/blog/unread", keep=True))
                kind, _, _ = c.record() or (None, 0, b"")
                if kind is None:
                    return "closed"
                equal(kind, fcgi.VALUES)
                got = c.answer(keep=True)
                if got.status != 200:
                    equal((got.status, got.error), (503, "resources"))
                    return 503
            return 200
    told = sweep(m, one)
    m.end()
    return told


@test("fault 44: and in the first request of a responder, which has to learn"
      " from the supervisor what there is")
def _():
    m = account()
    seen = {}
    for n in range(MOST):
        pid = m.start()[0]
        address = m.sockets[0]
        with m.connect() as c:  # it has started
            c.send(fcgi.get_values("FCGI_MAX_CONNS"))
            equal(c.record()[0], fcgi.VALUES)
        m.fail(pid, n)
        got = outcome(lambda: fcgi.fetch(address, "/blog/unread").status)
        failed = m.enough()
        if failed:
            seen[got] = seen.get(got, 0) + 1
        assert got in (200, 503, "closed"), got
        equal(m.ended(pid), None, "allocation %d" % n)
        equal(fcgi.fetch(address, "/blog/unread").status, 200)
        m.kill_responder(pid, signal.SIGTERM)
        equal(m.ended(pid), 0)
        if not failed:
            break
    assert n > 10
    m.end()
    return "%d allocations: %r" % (n, seen)


@test("fault 44: a responder that lacks memory at its start ends with a word, or"
      " serves")
def _():
    m = account()
    ends = {}
    for n in range(MOST):
        m.fail(-1, n)
        pid = m.start()[0]
        address = m.sockets[0]
        outcome(lambda: fcgi.fetch(address, "/blog/unread").status)
        failed = m.enough()
        within(5, lambda: m.ended(pid) is not None or outcome(
            lambda: fcgi.fetch(address, "/blog/unread").status) == 200,
            "its end, or an answer, after allocation %d" % n)
        end = m.ended(pid)
        ends[end] = ends.get(end, 0) + 1
        if end is None:
            m.kill_responder(pid, signal.SIGTERM)
        else:
            m.killed.add(pid)
            assert n < FIRST or os.WIFEXITED(end), "allocation %d: %d" % (
                n, end)
        if not failed:
            break
    m.start()
    m.served()
    m.end()
    return "%d allocations: %r" % (n, ends)


run()
