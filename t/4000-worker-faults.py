"""What an application's process can do to itself, and what it costs: its own
request, nothing else (faults 1 to 28, R-WRK1, R-FD1)."""
import os
import re
import shutil
import signal
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process, alive, gone

m = Mamayo(workers={"max": 1}, timeout=3)
m.app("blog")
m.app("other")
m.app("wide", workers={"max": 10}, timeout=20)
m.start()


def died(got, what=""):
    equal((got.status, got.error), (502, "died"), what)
    assert m.root.encode() not in got.body, got.body


def worker(app="blog"):
    m.served(app)
    return m.workers(app)[0]


@test("a worker killed while idle costs nothing")
def _():
    for _ in range(3):
        pid = worker()
        os.kill(pid, signal.SIGKILL)
        m.served()
        equal(pid in m.workers("blog"), False)


@test("a worker killed before it takes a request that waits costs nothing")
def _():
    pid = worker()
    os.kill(pid, signal.SIGSTOP)
    with m.connect() as c:
        c.send(fcgi.request("/blog/unread"))
        c.taken()
        os.kill(pid, signal.SIGKILL)
        equal(c.answer().body, b"did not look")


@test("a worker killed before it answers: 502, and the next is fine")
def _():
    pid = worker()
    with m.connect() as c:
        c.send(fcgi.request("/blog/gate?name=never"))
        m.has("started never")
        os.kill(pid, signal.SIGKILL)
        died(c.answer())
    m.served()


@test("a worker killed while it answers: the answer is cut, the next is fine")
def _():
    pid = worker()
    with m.connect() as c:
        c.send(fcgi.request("/blog/half?name=never2"))
        m.has("half never2")
        os.kill(pid, signal.SIGKILL)
        try:
            got = c.answer()
            assert got.app_status != 0, got
            text = got.text
        except fcgi.Cut as cut:
            text = cut.text
        assert text.endswith(b"\r\n\r\naaaaa"), text
    m.served()


@test("a worker that dies when its answer is complete costs nothing")
def _():
    for _ in range(5):
        equal(m.text("/blog/answer_then_die"), "last words")
    m.has("answered", 5)
    m.served()


@test("however a process ends itself it is a 502, once, and logged")
def _():
    for how in ("exit", "exit3", "abort", "segv", "kill"):
        before = m.journal().count("dying " + how)
        died(m.get("/blog/die?how=" + how), how)
        m.served()
        # a request is handed to an application once at most
        equal(m.journal().count("dying " + how) - before, 1, how)
    text = m.log("blog") + m.log()
    for word in ("exit status 3", "signal 11", "signal 6", "signal 9"):
        assert word in text, word


@test("a process that closes its descriptors is ended, at once")
def _():
    pid = worker()
    before = time.monotonic()
    died(m.get("/blog/die?how=closeall"))
    assert time.monotonic() - before < 2.5, "as late as the limit"
    gone(pid)
    m.served()


@test("a worker that is stopped: 504 at the limit, then it is replaced")
def _():
    pid = worker()
    with m.connect() as c:
        c.send(fcgi.request("/blog/gate?name=never3"))
        m.has("started never3")
        os.kill(pid, signal.SIGSTOP)
        got = c.answer()
        equal((got.status, got.error), (504, "timeout"))
    gone(pid)
    m.served()


@test("the stack of a process that is stuck is in its log")
def _():
    with m.connect() as c:
        c.send(fcgi.request("/blog/stuck_in_here"))
        got = c.answer()
        equal((got.status, got.error), (504, "timeout"))
    within(5, lambda: re.search(r'application\.py".* in stuck_in_here',
                                m.log("blog")), "the stack in the log")
    m.served()


@test("a process that dies in the middle is cut also at the silence limit")
def _():
    with m.connect() as c:
        c.send(fcgi.request("/blog/half?name=never4"))
        m.has("half never4")
        try:
            assert c.answer().app_status != 0
        except fcgi.Cut as cut:
            assert cut.text.endswith(b"aaaaa"), cut.text
    m.served()


@test("ten that crash at once, then a hundred requests without a fault")
def _():
    # ten workers, which have been ready for a second (R-SUP3)
    waiting = [m.connect() for _ in range(10)]
    for c in waiting:
        c.send(fcgi.request("/wide/gate?name=ten"))
    m.has("started ten", 10)
    m.open_gate("ten")
    for c in waiting:
        equal(c.answer().body, b"ten")
    time.sleep(1.1)
    for got in fcgi.each(10, lambda i: m.get("/wide/die?how=segv")):
        died(got)
    for _ in range(100):
        m.served("wide")


@test("what an application prints is in its log and not in its answer")
def _():
    for _ in range(3):
        equal(m.text("/blog/prints"), "clean")
    for text in ("printed by print", "written to descriptor 1",
                 "written to stderr", "written to wsgi.errors \u26a0",
                 "echoed by a child"):
        within(5, lambda: m.log("blog").count(text) == 3, text)


@test("a child that keeps every descriptor does not hold up the answer")
def _():
    with m.connect() as c:
        c.send(fcgi.request("/blog/leave_child?name=child1"))
        child = int(c.answer().body)
    assert alive(child)
    m.served()
    worker_pid = worker()
    os.kill(worker_pid, signal.SIGKILL)  # nor its parent's replacement
    m.served()
    assert alive(child)
    m.open_gate("child1")
    gone(child)


@test("its parent dies, it lives on: 502 at once, the place is refilled")
def _():
    m.served()
    before = time.monotonic()
    with m.connect() as c:
        c.send(fcgi.request("/blog/leave_child?name=child2&then=die"))
        died(c.answer())
    assert time.monotonic() - before < 2.5, "as late as the limit"
    m.served()
    child = int([w for w in m.journal() if w.startswith("child ")][-1]
                .split()[1])
    assert alive(child)
    m.open_gate("child2")
    gone(child)


@test("both halves of a fork go back to the adapter: one answer")
def _():
    for _ in range(3):
        equal(m.text("/blog/fork_both_return"), "one of two")
        m.served()
    for pid in m.workers("blog"):  # has children that it never buries
        os.kill(pid, signal.SIGKILL)
        gone(pid)


@test("its directory is removed in mid-request: that one ends well")
def _():
    m.app("brief", workers={"max": 1})
    within(10, lambda: m.get("/brief/unread").status == 200)
    place = m.path("apps", "brief")
    with m.connect() as c:
        c.send(fcgi.request("/brief/gate?name=brief"))
        m.has("started brief")
        os.rename(place, m.path("elsewhere"))
        m.served("other")
        m.open_gate("brief")
        equal(c.answer().body, b"brief")

    def is_missing():
        got = m.get("/brief/unread")
        return (got.status, got.error) in ((503, "missing"),
                                           (404, "no-app"))
    within(10, is_missing, "the app to be missed")
    m.served("other")
    os.rename(m.path("elsewhere"), place)
    within(10, lambda: m.get("/brief/unread").status == 200)


@test("a directory removed for good leaves no process and no route")
def _():
    m.app("gone", workers={"max": 1})
    within(10, lambda: m.get("/gone/unread").status == 200)
    pid = m.workers("gone")[0]
    shutil.rmtree(m.path("apps", "gone"))
    within(10, lambda: m.get("/gone/unread").status in (404, 503))
    gone(pid, 20)
    m.served("other")


@test("what an application does to its own process hurts only itself")
def _():
    m.app("hostile", """
        import os, resource, signal, sys
        from urllib.parse import unquote

        def application(environ, start_response):
            signal.alarm(0)
            exec(unquote(environ["QUERY_STRING"]))
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"did it"]
        """, workers={"max": 1}, timeout=2, stop_timeout=1)
    within(10, lambda: m.get("/hostile?pass").status == 200)
    for what in (
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "os.umask(0o777)", "os.chdir('/')", "os.closerange(0, 3)",
            "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
            "os.nice(19)", "os.setpgid(0, 0)", "sys.exit('enough')",
            "raise KeyboardInterrupt", "raise MemoryError",
            "sys.stdout.close(); sys.stderr.close()",
            "os.ftruncate(5, 0)", "os.lseek(5, 9999, 0)",
            "[os.kill(os.getppid(), s) for s in (1, 2, 10, 12, 13, 14, 17,"
            " 28)]",
            "import threading, time; threading.Thread(target=lambda: "
            "time.sleep(3600)).start()"):
        got = m.get("/hostile?" + what.replace(" ", "%20"))
        assert got.status in (200, 500, 502, 503, 504), (what, got)
        for app in ("blog", "other"):
            m.served(app)
        within(20, lambda: m.get("/hostile?pass").status == 200,
               "it to serve again after " + what)


@test("R-FD1 a worker has exactly its own descriptors")
def _():
    for app in ("blog", "other", "wide"):
        m.served(app)
        for pid in m.workers(app):
            # (the answer it has just given may be closed a little later)
            within(5, lambda: len(Process(pid).descriptors()) <= 7,
                   "%r" % Process(pid).descriptors())
            fds = Process(pid).descriptors()
            log = m.path("logs", app + ".log")
            equal(fds.pop(0), "/dev/null")
            equal((fds.pop(1), fds.pop(2)), (log, log))
            assert fds.pop(3).startswith("socket:")
            assert fds.pop(4).startswith("socket:")
            assert fds.pop(5).startswith(m.path("run", "workers") + "/")
            # what it waits with
            equal(list(fds.values()), ["anon_inode:[eventpoll]"])
            equal(Process(pid).session, pid)


@test("after all that nobody holds more descriptors than at first")
def _():
    for pid in (m.responders[0], m.supervisor()):
        within(10, lambda: len(Process(pid).descriptors()) < 60,
               "%r" % Process(pid).descriptors())


run()
