"""One supervisor, whatever happens: elections, and the deaths of supervisors
(R-LOCK1, faults 50, 62, 63)."""
import re
import signal
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process, gone, kill


def start_together(count):
    """At the same instant, a hundred times: one supervisor."""
    m = Mamayo()
    m.app("blog")
    said = 0
    for number in range(100):
        pids = m.start(count)
        for got in fcgi.each(count, lambda i: fcgi.fetch(
                m.sockets[i], "/blog/unread")):
            equal(got.body, b"did not look", number)
        within(10, lambda: len(m.supervisors()) == 1, "one supervisor")
        holder = m.supervisors()[0]
        equal(m.lock_holder(), holder)
        lines = len(re.findall(r"info: supervisor of ", m.log()))
        equal(lines - said, 1, "supervisors that served, round %d" % number)
        said = lines
        if number % 10 == 0:
            equal(len(m.status()["responders"]), count)
        for pid in pids:
            m.kill_responder(pid)
        kill(holder)
        gone(holder)
        within(10, lambda: not m.processes(), "the workers' end")
    m.start()  # and an orderly end
    m.served()


@test("two responders start at the same instant, 100 rounds: one supervisor")
def _():
    start_together(2)


@test("fifty responders start at the same instant, 100 rounds: one supervisor")
def _():
    start_together(50)


@test("R-LOCK1 killed beside a worker that ignores all: replaced in 1 s")
def _():
    m = Mamayo(workers={"max": 2}, timeout=60)
    m.app("blog")
    m.app("deaf", """
        import os, signal, time

        for s in range(1, 32):
            if s not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(s, signal.SIG_IGN)

        def application(environ, start_response):
            if environ["PATH_INFO"] == "/deaf":
                end = time.monotonic() + 5
                while time.monotonic() < end:
                    pass
            start_response("200 OK", [])
            return [b"heard"]
        """, workers={"max": 1})
    m.start()
    equal(m.get("/deaf").body, b"heard")
    m.served()
    with m.connect() as c:
        c.send(fcgi.request("/deaf/deaf"))
        c.taken()
        first = m.supervisor()
        kill(first)
        before = time.monotonic()
        m.served()  # warm, goes on at once

        def replaced():
            holder = m.lock_holder()
            return holder and holder != first
        within(5, replaced, "a new supervisor")
        assert time.monotonic() - before < 2.5
        equal(c.answer().body, b"heard")
    m.app("cold")
    within(5, lambda: m.get("/cold/unread").status == 200)
    equal(len(m.supervisors()), 1)


@test("fault 63: the one that forked it is stopped, so it is a zombie when it has"
      " been killed: its lock is free all the same")
def _():
    m = Mamayo(grace=5)
    m.app("blog")
    m.app("cold")
    m.start(2)
    m.served()
    first = m.supervisor()
    parent = Process(first).parent
    address = m.sockets[m.responders[0] == parent]
    if parent in m.responders:
        kill(parent, signal.SIGSTOP)
    kill(first)
    gone(first)
    began = time.monotonic()
    equal(fcgi.fetch(address, "/cold/unread").status, 200)
    assert time.monotonic() - began < 3
    if parent in m.responders:
        equal(Process(first).state, "Z")
        kill(parent, signal.SIGCONT)
    m.served()
    m.end()
    return "" if parent in m.responders else "its parent is another one"


@test("a supervisor killed with requests at work and waiting: none is lost")
def _():
    m = Mamayo(workers={"max": 2}, timeout=60)
    m.app("blog")
    m.start()
    m.served()
    waiting = [m.connect() for _ in range(12)]
    for c in waiting:
        c.send(fcgi.request("/blog/gate?name=g50"))
    m.has("started g50")
    first = m.supervisor()
    kill(first)
    within(5, lambda: m.lock_holder() not in (0, first), "a new supervisor")
    m.open_gate("g50")
    for c in waiting:
        equal(c.answer().body, b"g50")
        c.close()
    # at most once: each was started once
    equal(len([w for w in m.journal() if w.startswith("started g50")]), 12)
    m.served()


@test("ten supervisors killed one after the other, under load")
def _():
    m = Mamayo(workers={"max": 2})
    m.app("blog")
    m.start(2)
    m.served()
    stop = []

    def load(i):
        count = 0
        while not stop:
            equal(fcgi.fetch(m.sockets[i], "/blog/unread").body,
                  b"did not look")
            count += 1
        return count

    def killer():
        try:
            for _ in range(10):
                holder = within(10, m.lock_holder, "a supervisor")
                kill(holder)
                gone(holder)
                within(10, lambda: m.lock_holder() not in (0, holder),
                       "a new supervisor")
        finally:
            stop.append(1)
    counts = fcgi.together(lambda: load(0), lambda: load(1), killer)[:2]
    assert min(counts) > 0, counts
    m.served()
    within(10, lambda: len(m.supervisors()) == 1, "one supervisor")


run()
