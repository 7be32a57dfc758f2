"""Limits of the system that processes of ours run into, and peers that say
more than anybody wants to hear: an error for one, an end for nobody."""
import os
import resource
import signal
import socket
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process, kill


def account():
    m = Mamayo()
    m.app("blog")
    m.app("second")
    pid = m.start()[0]
    m.served()
    return m, pid


class Limit:
    """A lower limit for a process that runs, for a while."""

    def __init__(self, pid, what, soft):
        self.pid, self.what = pid, what
        self.before = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (soft, self.before[1]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        resource.prlimit(self.pid, self.what, self.before)


@test("a peer that talks on after it was refused ends nothing but itself")
def _():
    m, pid = account()
    kill(pid, signal.SIGSTOP)
    with m.connect() as c:
        c.socket.setblocking(False)
        # as much as the socket takes, there at once
        sent = c.socket.send(fcgi.begin(role=9) + b"\1" * 200000)
        equal(sent > 150000, True, "%d bytes sent" % sent)
        kill(pid, signal.SIGCONT)
        c.socket.settimeout(10)
        equal(c.ended(), True)
    m.served()
    equal(m.ended(pid), None)


@test("an upload beyond the limit of a file's size is a 503")
def _():
    m, pid = account()
    with Limit(pid, resource.RLIMIT_FSIZE, 100000):
        got = m.get("/blog/body", "POST", b"x" * 300000)
        equal((got.status, got.error), (503, "resources"))
        equal(m.get("/blog/body", "POST", b"x" * 50000).status, 200)
    equal(m.get("/blog/body", "POST", b"x" * 300000).status, 200)
    equal(m.ended(pid), None)


@test("a supervisor that cannot write goes on")
def _():
    m = account()[0]
    supervisor = m.supervisor()
    with Limit(supervisor, resource.RLIMIT_FSIZE, 1):
        m.served()
        got = m.get("/second/unread")
        equal(got.status in (200, 503), True, repr(got))
    within(10, lambda: m.get("/second/unread").status == 200)
    equal(m.supervisor(), supervisor)


@test("a supervisor without a free descriptor waits for one, asleep")
def _():
    m = account()[0]
    pid = m.supervisor()

    def used():
        fields = Process(pid).read("stat").decode().rsplit(")")[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    with Limit(pid, resource.RLIMIT_NOFILE, Process(pid).lowest_free()):
        callers = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                   for _ in range(9)]
        for s in callers:
            s.connect(m.path("run", "sock"))
        before, since = used(), time.monotonic()
        time.sleep(1)
        spent = used() - before
        equal(spent < 0.3 * (time.monotonic() - since), True,
              "%s s of CPU" % spent)
    for s in callers:
        s.close()
    m.served()
    equal(m.supervisor(), pid)


run()
