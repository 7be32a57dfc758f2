"""Responders and supervisors that leave while there are requests: those are
answered, whatever they were waiting for."""
import os
import signal
import threading
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, kill


def account(**settings):
    m = Mamayo(**settings)
    m.app("blog")
    m.app("other")
    pid = m.start()[0]
    m.served()
    return m, pid


def idle(m, name="blog"):
    return {w["state"] for w in m.status_of(name)["workers"]} == {"idle"}


@test("a responder that is told to stop serves all that wait to be accepted")
def _():
    m, pid = account(queue=300)
    kill(pid, signal.SIGSTOP)
    waiting = [m.connect() for _ in range(200)]
    for c in waiting:
        c.send(fcgi.request("/blog/unread"))
    kill(pid, signal.SIGTERM)
    kill(pid, signal.SIGCONT)
    for c in waiting:
        equal(c.answer().status, 200)
        c.close()


@test("fault 56: every 50 ms another of three responders is told to stop, and one"
      " is started in its place, under load: no request is lost")
def _():
    m = Mamayo(workers={"max": 2}, grace=10)
    m.app("blog")
    running = m.start(3)
    m.served()
    addresses, over = list(m.sockets), threading.Event()

    def visitor(i):
        software = ("test/1", "lighttpd/1.4.69", "Apache/2.4")[i % 3]
        served = 0
        while not over.is_set():
            try:
                c = fcgi.Connection(addresses[i % 3])
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.002)  # between two of them, as a web server does
                continue
            with c:
                c.send(fcgi.request("/blog/sleep?seconds=0.005",
                                    SERVER_SOFTWARE=software))
                equal(c.answer().body, b"slept")
            served += 1
        return served

    def web_server():
        try:
            for n in range(100):
                kill(running[n % 3], signal.SIGTERM)
                running[n % 3] = m.start_at(addresses[n % 3])
                time.sleep(0.05)  # that is how often
        finally:
            over.set()
    counts = fcgi.together(web_server, *[
        lambda i=i: visitor(i) for i in range(9)])[1:]
    assert min(counts) > 10, counts
    return "%d requests" % sum(counts)


@test("a responder that is told to stop writes the answer's end to a visitor"
      " who reads late, on a kept connection")
def _():
    m, pid = account()
    with m.connect() as c:
        c.send(fcgi.request("/blog/download?size=350000&name=late", keep=True))
        m.has("closed late")
        within(10, lambda: idle(m), "the worker to be idle")
        kill(pid, signal.SIGTERM)
        within(10, lambda: m.ended(pid) is not None, "the responder's end")
        equal(len(c.answer(keep=True).body), 350000)
        c.expect_end()


@test("what a leaving responder has started does not stay a zombie")
def _():
    m, pid = account()
    with m.connect() as c:
        c.send(fcgi.request("/blog/gate?name=zombie"))
        m.has("started zombie")
        kill(pid, signal.SIGTERM)
        within(10, lambda: m.ended(pid) is not None, "the responder's end")
        for _ in range(2):
            before = m.lock_holder()
            kill(before)
            within(20, lambda: m.lock_holder() not in (0, before),
                   "another supervisor")
        within(5, lambda: not m.zombies(), "zombies to be reaped")
        m.open_gate("zombie")
        equal(c.answer().body, b"zombie")


@test("a request at work is not given up because its supervisor was replaced")
def _():
    accounts = []
    for signo in (signal.SIGKILL, signal.SIGTERM):
        m = account(queue_timeout=1)[0]
        c = m.connect()
        c.send(fcgi.request("/blog/gate?name=work"))
        m.has("started work")
        before = m.supervisor()
        kill(before, signo)
        within(10, lambda: m.lock_holder() != before)
        m.served("other")
        accounts.append((m, c))
    for m, c in accounts:
        equal(c.silent(3), True, "longer than queue_timeout")
    for m, c in accounts:
        m.open_gate("work")
        equal(c.answer().body, b"work")
        c.close()


@test("a request that waits for a slow start is served, though the supervisor"
      " loses its lock meanwhile")
def _():
    m, pid = account(stop_timeout=1)
    m.app("slow", """
        import os, time
        here = os.environ["MAMAYO_TEST"]
        with open(here + "/journal", "a") as f:
            f.write("import slow\\n")
        while not os.path.exists(here + "/started"):
            time.sleep(0.005)
        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"at last"]
    """)
    with m.connect() as c:
        c.send(fcgi.request("/slow/"))
        m.has("import slow")
        os.unlink(m.path("run", "lock"))
        within(10, lambda: "the lock file has been removed" in m.log())
        equal(c.silent(2.5), True, "longer than stop_timeout")
        m.open_gate("started")
        equal(c.answer().body, b"at last")


run()
