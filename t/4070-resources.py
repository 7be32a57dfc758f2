"""What the system may refuse: processes, locks, sockets, time (faults 45, 47,
48, 59, 66, 72). t/faults.c is preloaded and refuses them."""
import os
import shutil
import signal
import subprocess
import sys
import time

import fcgi
from harness import BUILDDIR, PROGRAM, equal, run, test, within
from mamayo import Mamayo, alive, freeze, gone, kill

SHIM = os.path.abspath(os.path.join(BUILDDIR, "t", "faults.so"))


class Faulty(Mamayo):
    """An account whose responders and supervisors meet faults."""

    def __init__(self, environment=None, **settings):
        environment = dict(environment or {}, LD_PRELOAD=SHIM)
        Mamayo.__init__(self, environment, **settings)
        self.faults = self.environment["FAULTS"] = os.path.join(
            self.dir, "faults")
        os.mkdir(self.faults, 0o755)
        # the shim may come before the library of a sanitizer
        self.environment["ASAN_OPTIONS"] += ":verify_asan_link_order=0"

    def cause(self, name, text=""):
        path = os.path.join(self.faults, name)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def mend(self, name):
        os.unlink(os.path.join(self.faults, name))

    def seen(self, name):
        """How often it has happened."""
        try:
            return os.path.getsize(os.path.join(self.faults, name + ".seen"))
        except FileNotFoundError:
            return 0


# -- no process can be made (fault 45) ---------------------------------------

@test("fault 45: no process can be made: what runs serves on, what would be"
      " started is a 503 that says when to come again, and starts when it can")
def _():
    m = Faulty(workers={"max": 1})
    m.app("blog")
    m.app("cold")
    m.start()
    m.served()
    supervisor, worker = m.supervisor(), m.workers("blog")
    m.cause("fork")
    got = m.get("/cold/unread")
    equal((got.status, got.error, got.header("Retry-After")),
          (503, "cannot-start", "1"))
    for _ in range(20):
        m.served()
    equal(m.log().count("cold: cannot start"), 1)
    assert "cannot fork: Resource temporarily unavailable" in m.log("cold")
    m.mend("fork")
    began = time.monotonic()
    within(5, lambda: m.get("/cold/unread").status == 200)
    assert time.monotonic() - began < 3, "back late"
    equal((m.supervisor(), m.workers("blog")), (supervisor, worker))


@test("fault 45: it cannot have a second worker: requests wait for the first,"
      " and there is a second one as soon as there can be")
def _():
    m = Faulty(workers={"max": 2})
    m.app("blog")
    m.start()
    m.served()
    m.cause("fork")
    with m.connect() as busy, m.connect() as waits:
        busy.send(fcgi.request("/blog/gate?name=first"))
        m.has("started first")
        waits.send(fcgi.request("/blog/gate?name=second"))
        within(5, lambda: m.seen("fork") > 0, "it to try")
        equal(waits.silent(0.5), True)
        m.open_gate("first")
        m.has("started second")
        equal(busy.answer().body, b"first")
        m.mend("fork")
        m.served()  # by another one, while that is busy
        m.open_gate("second")
        equal(waits.answer().body, b"second")


@test("fault 45: its only worker has died and there can be no other: 503 at"
      " once, and it is back as soon as there can")
def _():
    m = Faulty(workers={"max": 1})
    m.app("blog")
    m.start()
    m.served()
    m.cause("fork")
    kill(m.workers("blog")[0])
    within(5, lambda: m.seen("fork") > 0 or m.get("/blog/unread") and 0)
    for _ in range(5):
        began = time.monotonic()
        got = m.get("/blog/unread")
        equal((got.status, got.error), (503, "cannot-start"))
        assert time.monotonic() - began < 1
    m.mend("fork")
    began = time.monotonic()
    within(5, lambda: m.get("/blog/unread").status == 200)
    return "back after %.1f s" % (time.monotonic() - began)


@test("fault 45: no supervisor can be made: what is warm is served, what is not"
      " is a 503 in two seconds, and one is there as soon as it can be")
def _():
    m = Faulty(workers={"max": 1}, grace=8)
    m.app("blog")
    m.app("cold")
    m.start()
    m.served()
    equal(m.status_of("blog")["state"], "ready")
    m.served()  # now the responder knows that, too
    worker, old = m.workers("blog"), m.lock_holder()
    m.cause("fork")
    kill(old)
    began = time.monotonic()
    with m.connect() as c:
        c.send(fcgi.request("/cold/unread"))
        for _ in range(20):
            m.served()
        got = c.answer()
    equal((got.status, got.error, got.header("Retry-After")),
          (503, "resources", "10"))
    assert time.monotonic() - began < 3
    assert ("cannot start a supervisor: Resource temporarily unavailable"
            in m.log())
    for pause in (0, 1.5):  # longer than the next try takes to be due
        time.sleep(pause)
        m.served()
        got = m.get("/cold/unread")
        equal((got.status, got.error), (503, "resources"))
    m.mend("fork")
    began = time.monotonic()
    within(5, lambda: m.get("/cold/unread").status == 200)
    assert time.monotonic() - began < 3
    within(5, lambda: m.workers("blog") == worker, "the worker's adoption")
    m.served()
    m.end()


@test("fault 45: nothing runs, and nothing can be made: each visitor is told so,"
      " and the first one after that is served")
def _():
    for has_run in (False, True):
        m = Faulty()
        m.app("blog")
        pid = m.start()[0]
        if has_run:  # it knows what there is, and has no queue
            equal(m.get("/none").status, 404)
            m.cause("fork")
            kill(m.lock_holder())
        else:
            m.cause("fork")
        for pause in (0, 0, 1.5):  # longer than the next try takes to be due
            time.sleep(pause)
            began = time.monotonic()
            got = m.get("/blog/unread")
            equal((got.status, got.error), (503, "resources"))
            assert time.monotonic() - began < 3
        equal(m.ended(pid), None)
        m.mend("fork")
        within(5, lambda: m.get("/blog/unread").status == 200)
        m.end()


# -- no time for anybody (fault 47) ------------------------------------------

SPINNERS = 50
STARVED = 15  # s, nearly twice what a supervisor may be silent


@test("fault 47: 50 processes that spin beside it on one processor: everybody"
      " is served, and nobody is thought to be stuck")
def _():
    before = os.sched_getaffinity(0)
    # on one, so that other tests have the rest; each in a session of its own,
    # for the system shares the time among sessions
    os.sched_setaffinity(0, {max(before)})
    spinners = []
    try:
        m = Mamayo(workers={"max": 2})
        m.app("blog")
        m.app("cold")
        m.start()
        m.served()
        supervisor, workers = m.supervisor(), m.workers("blog")
        spinners = [subprocess.Popen(
            [sys.executable, "-ISc", "while True: pass"],
            start_new_session=True) for _ in range(SPINNERS)]
        since, slowest, n = time.monotonic(), 0, 0
        with m.connect(60) as c:  # a start takes some time now
            c.send(fcgi.request("/cold/unread"))
            while time.monotonic() < since + STARVED:
                began = time.monotonic()
                equal(m.get("/blog/unread", timeout=60).status, 200)
                slowest = max(slowest, time.monotonic() - began)
                n += 1
            equal(c.answer().status, 200)
    finally:
        for p in spinners:
            p.kill()
        for p in spinners:
            p.wait()
        os.sched_setaffinity(0, before)
    equal("progress" in m.log(), False, m.log())
    equal("killed" in m.log(), False, m.log())
    equal(m.lock_holder(), supervisor)
    equal(set(workers) <= set(m.workers("blog")), True)
    m.end()
    return "%d requests, the slowest %.1f s" % (n, slowest)


# -- the time of day jumps (fault 48) ----------------------------------------

HOUR, YEAR = 3600, 366 * 86400


@test("fault 48: the time of day jumps by an hour and by a year, forth and back:"
      " nobody notices, and changes are noticed as before")
def _():
    m = Faulty(workers={"max": 1}, timeout=5, idle=10)
    shifted = {"LD_PRELOAD": SHIM, "FAULTS": m.faults, "MAMAYO_TEST": m.dir}
    m.app("blog", env=shifted)
    m.start()
    m.served()
    supervisor, worker = m.supervisor(), m.workers("blog")
    for number, shift in enumerate((HOUR, -HOUR, YEAR, -YEAR, 0)):
        with m.connect() as c:
            c.send(fcgi.request("/blog/gate?name=g%d" % number))
            m.has("started g%d" % number)
            m.cause("clock", str(shift))
            for _ in range(3):  # looks of the supervisor, which hurt nobody
                equal(m.status_of("blog")["state"], "ready")
                equal(c.silent(0.2), True)
            m.open_gate("g%d" % number)
            equal(c.answer().status, 200)
        for _ in range(10):
            m.served()
        equal(m.workers("blog"), worker, "its worker, shifted by %d" % shift)
        began = time.monotonic()
        m.app("new%d" % number)
        within(5, lambda: m.get("/new%d/unread" % number).status == 200)
        shutil.rmtree(m.path("apps", "new%d" % number))
        m.app("broken%d" % number, "1 / 0")
        equal(m.get("/broken%d/" % number).status, 503)
        m.app("broken%d" % number)
        within(5, lambda: m.get("/broken%d/unread" % number).status == 200)
        assert time.monotonic() - began < 8
        equal(m.lock_holder(), supervisor)
    equal("progress" in m.log(), False)
    years = {line[:4] for line in m.log().split("\n") if line}
    equal(len(years), 3, "the log's years: %r" % years)  # it did jump
    m.end()


# -- a responder is stopped (fault 59) ---------------------------------------

@test("fault 59: a responder is stopped: its own requests wait until it goes on,"
      " all others are served, also what has to be started")
def _():
    m = Mamayo(workers={"max": 3})
    m.app("blog")
    m.app("cold")
    first, second = m.start(2)
    m.served()
    equal(fcgi.fetch(m.sockets[1], "/blog/unread").status, 200)
    supervisor, workers = m.supervisor(), m.workers("blog")
    with m.connect() as runs, m.connect() as comes:
        runs.send(fcgi.request("/blog/gate?name=runs"))
        m.has("started runs")
        freeze(first)
        comes.send(fcgi.request("/blog/unread"))
        m.open_gate("runs")
        for n in range(300):
            equal(fcgi.fetch(m.sockets[1], "/blog/unread").status, 200)
        equal(fcgi.fetch(m.sockets[1], "/cold/unread").status, 200)
        m.app("later")
        within(5, lambda: fcgi.fetch(
            m.sockets[1], "/later/unread").status == 200)
        # another generation, while that one knows the last
        os.utime(m.path("apps", "cold", "application.py"), (1, 1))
        within(5, lambda: fcgi.fetch(
            m.sockets[1], "/cold/unread").status == 200)
        equal(runs.silent(0.1) and comes.silent(0.1), True)
        kill(first, signal.SIGCONT)
        began = time.monotonic()
        equal(runs.answer().body, b"runs")
        equal(comes.answer().body, b"did not look")
        assert time.monotonic() - began < 1
    m.served()
    m.served("cold")
    m.served("later")
    equal(m.supervisor(), supervisor)
    equal(set(workers) <= set(m.workers("blog")), True)
    equal("progress" in m.log(), False)
    m.end()


# -- locks and sockets are refused, as by a network's file system (fault 66) --

def elsewhere(m, what):
    """Where its run/ is now; it is said once in the log, with the reason."""
    with open(m.path("run", "where")) as f:
        place = f.readline().strip()
    equal(os.path.basename(place).startswith("mamayo-"), True, place)
    m.places.append(place)
    equal(m.log().count("using %s instead" % place), 1, m.log())
    assert what in m.log(), m.log()
    return place


@test("fault 66: run/ holds no lock, or no socket: another place is used, and"
      " everybody finds it")
def _():
    for fault, what in (
            ("lock", "cannot lock %s: No locks available"),
            ("bind", "cannot make a socket at %s: Operation not permitted")):
        m = Faulty()
        m.cause(fault, m.path("run"))
        m.app("blog")
        first = m.start()[0]
        began = time.monotonic()
        m.served()
        assert time.monotonic() - began < 3
        place = elsewhere(m, what % m.path(
            "run", "lock" if fault == "lock" else "sock"))
        status = m.command("status", "--json")
        equal(status.returncode, 0, status.stderr)
        supervisor = m.supervisor()
        m.start(3)  # others find the same
        for address in m.sockets:
            equal(fcgi.fetch(address, "/blog/unread").status, 200)
        within(5, lambda: m.supervisors() == [supervisor], "one of them")
        kill(supervisor)
        gone(supervisor)
        began = time.monotonic()
        m.served()
        within(5, lambda: len(m.supervisors()) == 1
               and m.supervisor() != supervisor)
        m.served()
        # bodies that are kept in files, scoreboards, adapters
        equal(m.get("/blog/body", "POST", b"x" * 300000).status, 200)
        equal(len(os.listdir(os.path.join(place, "workers"))), 1)
        equal(m.log().count("instead"), 1)
        m.kill_responder(first, signal.SIGTERM)
        m.end()


@test("fault 66: there is no other place, either: a page, and the log says why;"
      " when there is one, it serves")
def _():
    m = Faulty({"XDG_RUNTIME_DIR": "/dev/null"})
    m.cause("lock", "/")
    m.app("blog")
    pid = m.start()[0]
    for _ in range(3):
        got = m.get("/blog/unread")
        equal((got.status, got.error, got.header("Retry-After")),
              (503, "resources", "10"))
    assert "no supervisor could be started: cannot lock" in m.log(), m.log()
    assert "No locks available" in m.log()
    equal(m.ended(pid), None)
    m.mend("lock")
    within(5, lambda: m.get("/blog/unread").status == 200)
    m.places += m.elsewhere()
    m.end()


# -- the program is overwritten or removed (fault 72) -------------------------

@test("fault 72: the program is overwritten, removed, and another file comes in"
      " its place: what runs goes on, starts workers and supervisors")
def _():
    m = Mamayo(workers={"max": 2}, grace=5)
    m.app("blog")
    directory = os.path.join(m.dir, "bin")
    os.mkdir(directory)
    program = os.path.join(directory, "mamayo.fcgi")
    shutil.copy(PROGRAM, program)
    m.start(2, program=program)
    m.served()

    def all_goes_on(name):
        """Also what needs new processes: a worker, a supervisor."""
        m.app(name)
        within(5, lambda: m.get("/%s/unread" % name).status == 200)
        kill(m.workers("blog")[0])
        within(5, lambda: m.get("/blog/unread").status == 200)
        old = m.lock_holder()
        kill(old)
        gone(old)
        m.served()
        m.served(name)
        within(5, lambda: m.lock_holder() not in (0, old))
        # (what it forks looks like it until it is another program)
        within(5, lambda: m.supervisors() == [m.lock_holder()], "one of them")
        for address in m.sockets:
            equal(fcgi.fetch(address, "/blog/unread").status, 200)
    with open(program, "rb") as f:
        text = f.read()
    try:  # as cp does; nothing is changed, if the system lets us at all
        with open(program, "r+b") as f:
            f.write(text)
    except OSError as why:
        equal(why.strerror, "Text file busy")
    all_goes_on("overwritten")
    os.unlink(program)
    all_goes_on("removed")
    with open(program, "wb") as f:  # half of it, as uploads are at times
        f.write(text[:len(text) // 2])
    os.chmod(program, 0o755)
    all_goes_on("half")
    os.unlink(program)
    shutil.copy(PROGRAM, program)
    running, supervisor = m.responders[0], m.supervisor()
    m.start(program=program)
    m.served()
    equal((alive(running), m.supervisor()), (True, supervisor))
    m.end()


run()
