"""A supervisor that makes no progress is found, ended and replaced, by whichever
responder notices (faults 53, 54, 58, 63)."""
import os
import re
import signal
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process, gone, kill

LONGEST = 13  # s, from its being stuck to another one, RELIABILITY's promise


def state(pid):
    return Process(pid).read("stat").rpartition(b")")[2].split()[0]


def other_than(m, old):
    holder = m.lock_holder()
    return holder not in (0, old) and holder


@test("stopped: warm applications notice nothing, a cold one is served when it"
      " has been replaced, within 13 s, by a responder that did not start it")
def _():
    m = Mamayo(grace=10)
    m.app("blog")
    m.app("cold")
    first, second = m.start(2)
    equal(fcgi.fetch(m.sockets[0], "/blog/unread").status, 200)
    old = m.supervisor()
    m.kill_responder(first)  # which has started it
    equal(fcgi.fetch(m.sockets[1], "/blog/unread").status, 200)
    workers = sorted(m.workers("blog"))
    os.kill(old, signal.SIGSTOP)
    began = time.monotonic()
    with fcgi.Connection(m.sockets[1]) as c:
        c.send(fcgi.request("/cold/unread"))
        while not other_than(m, old):
            equal(fcgi.fetch(m.sockets[1], "/blog/unread").status, 200)
            assert time.monotonic() - began < LONGEST
            time.sleep(0.05)
        equal(c.answer().status, 200)
    gone(old)
    equal("has made no progress for 8 seconds" in m.log(), True)
    within(10, lambda: sorted(m.workers("blog")) == workers, "its workers")
    m.end()


@test("stopped: a responder that starts in this time waits, and is served when"
      " it has been replaced, by the workers that were there")
def _():
    m = Mamayo(grace=10)
    m.app("blog", workers={"max": 1})
    m.start()
    m.served()
    old, workers = m.supervisor(), m.workers("blog")
    os.kill(old, signal.SIGSTOP)
    m.start()
    began = time.monotonic()
    equal(fcgi.fetch(m.sockets[0], "/blog/unread").status, 200)
    assert time.monotonic() - began < LONGEST
    gone(old)
    within(10, lambda: m.workers("blog") == workers, "its workers")
    m.end()


@test("nobody asks for anything: nobody looks, and a healthy supervisor is left"
      " alone, also by a responder that was stopped itself")
def _():
    m = Mamayo(grace=10)
    m.app("blog")
    pid = m.start()[0]
    m.served()
    old = m.supervisor()
    with m.connect() as c:
        c.send(fcgi.request("/blog/gate?name=x"))
        m.has("started x")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(12)  # longer than a supervisor may be silent
        os.kill(pid, signal.SIGCONT)
        time.sleep(3)
        m.open_gate("x")
        equal(c.answer().body, b"x")
    equal(m.supervisor(), old)
    equal("progress" in m.log(), False)
    m.end()


@test("told to abort, it writes where it is")
def _():
    m = Mamayo(grace=10)
    m.app("blog")
    m.start()
    m.served()
    old = m.supervisor()
    kill(old, signal.SIGABRT)
    gone(old)
    within(5, lambda: other_than(m, old), "another one")
    found = re.search(r"-- dies of signal 06; where it is:\n((?:.+\n)+?)"
                      r"-- that is all", m.log())
    assert found and found.group(1).count("mamayo.fcgi") >= 2, m.log()
    m.served()
    old = m.supervisor()
    is_traced = b"asan" not in Process(old).read("maps")
    kill(old, signal.SIGSEGV)  # as of an error of its own
    gone(old)
    within(5, lambda: other_than(m, old), "another one")
    equal("-- dies of signal 11; where it is:" in m.log(), is_traced)
    m.served()
    m.end()


@test("the last effort: five such incidents, and warm applications go on, cold"
      " ones show a page, and the owner gets one mail")
def _():
    m = Mamayo(grace=10, mail="me@example.org")
    program = m.path("sendmail")
    m.write("sendmail", "#!/bin/sh\ncat >>%s/mail\necho end >>%s/mail\n"
            % (m.dir, m.dir), 0o755)
    m.settings(grace=10, mail="me@example.org",
               sendmail=program)
    m.app("blog")
    m.app("cold")
    m.start(2)
    m.served()
    equal(m.status_of("blog")["state"], "ready")  # and responders know
    m.served()
    now = time.monotonic() * 1000
    with open(m.path("run", "stuck"), "w") as f:  # four have been so far
        for i in range(4):
            f.write("%d %d\n" % (now - 60000 * (4 - i), 4000000 + i))
        f.write("%d 77\n" % (now - 600000))  # long ago
    old = m.supervisor()
    os.kill(old, signal.SIGSTOP)
    with m.connect() as c:
        c.send(fcgi.request("/cold/unread"))
        got = c.answer()
        equal((got.status, got.header("X-Mamayo-Error")), (503, "resources"))
    gone(old)
    for _ in range(10):
        m.served()
        equal(m.get("/cold/").status, 503)
    equal(m.lock_holder(), 0)
    mail = within(10, lambda: os.path.exists(m.dir + "/mail")
                  and "end" in open(m.dir + "/mail").read()
                  and open(m.dir + "/mail").read(), "the mail")
    equal(mail.count("Subject:"), 1)
    equal("gets stuck again and again" in mail, True)
    equal("5 supervisors were stuck in ten minutes" in m.log(), True)
    os.unlink(m.path("run", "stuck"))  # as if they were long ago
    within(10, lambda: m.get("/cold/unread").status == 200, "a supervisor")
    m.served()
    m.end()


run()
