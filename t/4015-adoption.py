"""kill -9 of the supervisor loses nothing: the next one takes over queues,
workers and what is known of them (faults 50, 53, 58, 63)."""
import os
import signal
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, alive, gone, kill

LIGHTTPD = "lighttpd/1.4.69"  # answered directly
KINDS = ({}, {"accel": False}, {"preload": "none"},
         {"accel": False, "preload": "none"})

# Its import waits at the gate "import"; it answers with its pid.
IMPORTING = """
import os, time

with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
    f.write("importing\\n")
while not os.path.exists(os.environ["MAMAYO_TEST"] + "/import"):
    time.sleep(0.005)

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]
"""


def pids(m, name="blog"):
    return sorted(m.workers(name))


def replaced(m, old):
    within(5, lambda: m.lock_holder() not in (0, old), "a new supervisor")


def settled(m, workers, name="blog"):
    """The new supervisor has all of them."""
    within(10, lambda: pids(m, name) == workers, "its workers")


@test("an idle site: the same workers afterwards, their counts go on, and they"
      " listen to the new supervisor")
def _():
    for kind in KINDS:
        m = Mamayo(idle=2, grace=30)
        m.app("blog", **kind)
        m.start()
        for _ in range(5):
            m.served()
        before = pids(m)
        told = m.status_of("blog")
        first = m.supervisor()
        kill(first)
        replaced(m, first)  # nobody has asked for anything
        second = m.lock_holder()
        settled(m, before)
        now = within(10, lambda: (lambda s: s["entry"] and s)(
            m.status_of("blog")), "what they say of themselves")
        for what in ("requests", "generation", "entry", "python",
                     "accelerator", "state"):
            equal(now[what], told[what], what)
        m.served()
        equal(m.status_of("blog")["requests"], told["requests"] + 1)
        within(20, lambda: not m.workers("blog"), "them to leave when idle")
        equal("worker %d has left" % before[0] in m.log(), True)
        m.served()
        equal(m.lock_holder(), second)
        m.end()


@test("fault 50: 50 requests in flight and 20 queued, killed: all are answered"
      " by the workers that had them, each once")
def _():
    for software in LIGHTTPD, "Apache/2.4.57 (Debian)":
        m = Mamayo(workers={"max": 50}, max_workers=50, timeout=60,
                   grace=30)
        m.app("blog", accel=software == LIGHTTPD)
        m.start(2)
        m.served()
        asked = [m.connect() for _ in range(50)]
        for c in asked:
            c.send(fcgi.request("/blog/gate?name=a",
                                SERVER_SOFTWARE=software))
        m.has("started a", 50)
        before = pids(m)
        equal(len(before), 50)
        queued = [m.connect() for _ in range(20)]
        for c in queued:
            c.send(fcgi.request("/blog/gate?name=b",
                                SERVER_SOFTWARE=software))
        m.open_gate("b")
        within(5, lambda: m.status_of("blog")["queued"] == 20)
        first = m.supervisor()
        kill(first)
        replaced(m, first)
        settled(m, before)
        within(5, lambda: m.status_of("blog")["queued"] == 20)
        m.open_gate("a")
        for c in asked:
            equal(c.answer().body, b"a")
            c.close()
        for c in queued:
            equal(c.answer().body, b"b")
            c.close()
        for name, count in ("started a", 50), ("started b", 20):
            equal(sum(w.startswith(name) for w in m.journal()), count, name)
        m.end()


def importing(kind):
    """(An account, a request that waits until its application is imported, the
    supervisor)"""
    m = Mamayo(timeout=60, grace=30)
    m.app("blog", IMPORTING, **kind)
    m.start()
    c = m.connect()
    c.send(fcgi.request("/blog/"))
    m.has("importing")
    return m, c, m.supervisor()


@test("fault 53: a request waits for a cold start when the supervisor is"
      " killed: the start goes on, and it is answered")
def _():
    for kind in KINDS:
        m, c, first = importing(kind)
        with c:
            started = pids(m)
            kill(first)
            replaced(m, first)
            settled(m, started)
            equal(m.status_of("blog")["workers"][0]["state"], "starting")
            m.open_gate("import")
            equal(int(c.answer().body), started[0])
        settled(m, started)
        equal(m.journal().count("importing"), 1)
        m.end()


@test("a worker that became ready while there was no supervisor dies before the"
      " next one has heard of it: that is no failed start")
def _():
    for kind in KINDS:
        m, c, first = importing(kind)
        with c:
            kill(first)
            replaced(m, first)
            within(10, lambda: m.workers("blog"), "the worker")
            second = m.lock_holder()
            os.kill(second, signal.SIGSTOP)
            m.open_gate("import")
            worker = int(c.answer().body)
            kill(worker)
            within(10, lambda: not alive(worker), "its end")
            os.kill(second, signal.SIGCONT)
        m.text("/blog/")
        equal("cannot start" in m.log(), False)
        equal(m.lock_holder(), second)
        m.end()


@test("killed again and again under load: no request is lost, and the workers"
      " stay the same")
def _():
    m = Mamayo(workers={"min": 2, "max": 2}, grace=30)
    m.app("blog")
    m.start(3)
    m.served()
    within(10, lambda: len(pids(m)) == 2)
    before = pids(m)
    stop = []

    def client(i):
        n = 0
        while not stop:
            equal(fcgi.fetch(m.sockets[i % 3], "/blog/unread",
                             SERVER_SOFTWARE=(LIGHTTPD, "test/1")[i % 2]).body,
                  b"did not look")
            n += 1
        return n

    def killer():
        try:
            for _ in range(10):
                first = m.supervisor()
                kill(first)
                replaced(m, first)
                settled(m, before)
        finally:
            stop.append(1)

    counts = fcgi.together(*[lambda i=i: client(i) for i in range(6)],
                           killer)[:6]
    assert min(counts) > 10, counts
    m.end()


@test("a restart that is asked for while there is no supervisor, or before that"
      " knows its workers, is no less one")
def _():
    for kind in KINDS:
        m = Mamayo(grace=5)
        m.app("blog", **kind)
        m.start()
        m.served()
        for _ in range(5):
            before = pids(m)
            old = m.supervisor()
            kill(old)
            gone(old)
            got = m.command("restart", "blog")
            equal((got.returncode, got.stdout),
                  (0, "blog: a new generation serves\n"), got.stderr)
            m.served()
            within(10, lambda: pids(m) and not set(before) & set(pids(m)),
                   "the end of the old generation")
        m.close()


@test("while no supervisor can be started, warm applications are served")
def _():
    m = Mamayo(grace=30)
    m.app("blog")
    m.app("cold")
    m.start()
    m.served()
    before = pids(m)
    supervisor = m.supervisor()
    lock = m.path("run", "lock")
    os.kill(supervisor, signal.SIGSTOP)
    os.unlink(lock)
    os.mkdir(lock)
    kill(supervisor)
    gone(supervisor)
    for _ in range(20):
        m.served()
    equal(m.get("/cold/").status, 503)
    os.rmdir(lock)
    m.served("cold")
    settled(m, before)
    m.end()


@test("what its worker died of while there was no supervisor: 502, once")
def _():
    for software in LIGHTTPD, "test/1":
        m = Mamayo(timeout=60, grace=30)
        m.app("blog")
        pid = m.start()[0]
        m.served()
        with m.connect() as c:
            c.send(fcgi.request("/blog/gate?name=x",
                                SERVER_SOFTWARE=software))
            m.has("started x")
            worker = pids(m)[0]
            first = m.supervisor()
            os.kill(pid, signal.SIGSTOP)
            kill(first)
            kill(worker)
            os.kill(pid, signal.SIGCONT)
            got = c.answer()
            equal(got.status, 502)
            equal(got.header("X-Mamayo-Error"), "died")
        m.served()
        equal(sum(w.startswith("started x") for w in m.journal()), 1)
        m.end()


@test("a request that is stuck is ended by the supervisor that came later")
def _():
    for kind in KINDS[:2]:
        m = Mamayo(timeout=3, grace=30)
        m.app("blog", **kind)
        m.start()
        m.served()
        with m.connect() as c:
            c.send(fcgi.request("/blog/gate?name=x"))
            m.has("started x")
            first = m.supervisor()
            kill(first)
            replaced(m, first)
            got = c.answer()
            equal(got.status, 504)
        m.served()
        m.end()


@test("workers that find no supervisor leave after grace, with all they"
      " have done")
def _():
    for kind in KINDS[:2]:
        m = Mamayo(grace=1, timeout=60)
        m.app("blog", **kind)
        pid = m.start()[0]
        m.served()
        with m.connect() as c:
            c.send(fcgi.request("/blog/gate?name=last"))
            m.has("started last")
            worker = pids(m)[0]
            os.kill(pid, signal.SIGSTOP)  # it would find another one
            kill(m.supervisor())
            time.sleep(1.5)  # more than grace: it is not to leave so early
            equal(os.path.exists("/proc/%d" % worker), True)
            m.open_gate("last")
            within(10, lambda: not os.path.exists("/proc/%d" % worker),
                   "the worker's end")
            os.kill(pid, signal.SIGCONT)
            equal(c.answer().body, b"last")
        m.served()
        m.end()


run()
