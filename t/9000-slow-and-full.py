"""Visitors that read slowly, and requests that find no room in their app's
queue for a while: they are late, and otherwise nothing has happened to them.

Linux refuses to pass on descriptors (ETOOMANYREFS) while its user has more of
them under way than the sender may have open: that is how a test makes a queue
full, and lets it have room again.
"""
import array
import resource
import signal
import socket
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process, kill


class Full:
    """While this is open the responder has no room in any queue."""

    def __init__(self, pid):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (
            200, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        self.under_way = []
        for _ in range(3):
            here, there = socket.socketpair()
            here.sendmsg([b"x"], [(
                socket.SOL_SOCKET, socket.SCM_RIGHTS,
                array.array("i", [here.fileno()] * 100))])
            self.under_way += [here, there]

    def close(self):
        for s in self.under_way:
            s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def account(**settings):
    """(It, with an application that has served; the responder's pid)"""
    m = Mamayo(**settings)
    m.app("blog")
    pid = m.start()[0]
    m.served()
    # a request after that: the responder knows, too, that it is ready
    within(10, lambda: m.status_of("blog")["state"] == "ready")
    m.served()
    return m, pid


@test("a visitor who reads slowly gets the whole answer, also when the limit"
      " of the body's time passes meanwhile")
def _():
    m = account(body_timeout=1)[0]
    with m.connect() as c:
        c.send(fcgi.request("/blog/download?size=4194304"))
        time.sleep(0.5)
        c.got += c.socket.recv(100000)
        time.sleep(1)  # the limit passes, while there is a little room
        equal(len(c.answer().body), 4194304)


@test("a request that waits for room in the queue arrives as it was sent")
def _():
    m, pid = account()
    with Full(pid) as full, m.connect() as a, m.connect() as b:
        # parameters that do not fit a message, with a body in memory, and
        # such that fit it without the body only
        a.send(fcgi.request("/blog/echo", "POST", b"BODY" * 10,
                            HTTP_X="y" * 20000))
        b.send(fcgi.request("/blog/echo", "POST", b"BODY" * 900,
                            HTTP_X="y" * 13500))
        a.taken()
        b.taken()
        time.sleep(0.3)  # time for many tries
        full.close()
        equal(a.answer().body, b"BODY" * 10)
        equal(b.answer().body, b"BODY" * 900)


@test("a request that waits for room in the queue waits for queue_timeout")
def _():
    m, pid = account(queue_timeout=1)
    with Full(pid):
        got = m.get("/blog/unread")  # gives up long before start_timeout
        equal((got.status, got.error), (503, "queue-full"))
        with m.connect() as c:  # the limit passes, and it is time to retry
            c.send(fcgi.request("/blog/unread"))
            c.taken()
            kill(pid, signal.SIGSTOP)
            try:
                time.sleep(1.2)
            finally:
                kill(pid, signal.SIGCONT)
            got = c.answer()
            equal((got.status, got.error), (503, "queue-full"))
    m.served()


@test("one that cannot be handed over does not keep the others from it")
def _():
    m, pid = account()
    many, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with Full(pid) as full:
        waiting = [m.connect() for _ in range(5)]
        for c in waiting:
            c.send(fcgi.request("/blog/unread"))
            c.taken()
        # no descriptor for an answer's socket: what is tried now fails
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (
            min(Process(pid).lowest_free() for _ in range(50)), most))
        first = waiting.pop(0).answer()
        equal((first.status, first.error), (503, "resources"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (many, most))
        full.close()
        for c in waiting:
            got = c.answer()
            equal((got.status, got.error) in (
                (200, None), (503, "resources")), True, repr(got))
    within(10, lambda: m.served() or True)


run()
