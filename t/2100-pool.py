"""Pools: workers start with the first request, grow while requests wait,
shrink when they are idle, are replaced when they die or hang, and an app that
cannot start costs nobody but itself (RELIABILITY 3.1 and 3.2)."""
import os
import re
import shutil
import signal
import threading
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, alive, kill

STEP = 0.02

m = Mamayo(max_workers=30)


def start():
    if not m.responders:
        m.start()


def gate(name):
    with open(os.path.join(m.dir, name), "w"):
        pass


def journal(*words):
    """How often that line was written."""
    return m.journal().count(" ".join(words))


def wait_for(line, seconds=20):
    within(seconds, lambda: [x for x in m.journal() if x.startswith(line)],
           "the journal to say " + line)


class Later:
    """A request that is on its way."""

    def __init__(self, uri, account=m, timeout=60, **how):
        def ask():
            try:
                self.got = account.get(uri, timeout=timeout, **how)
            except Exception as why:
                self.got = why
        self.got = None
        self.uri = uri
        self.thread = threading.Thread(target=ask, daemon=True)
        self.thread.start()

    def answer(self):
        self.thread.join(90)
        if self.got is None:
            raise AssertionError("no answer to " + self.uri)
        if isinstance(self.got, Exception):
            raise self.got
        return self.got


def states(name, account=m):
    return sorted(w["state"] for w in account.status_of(name)["workers"])


def is_error(got, status, code):
    equal((got.status, got.error), (status, code), repr(got))
    if status == 503:
        after = got.header("Retry-After")
        if not (after or "").isdigit() or int(after) < 1:
            raise AssertionError("Retry-After is %r" % after)


def took(function):
    """(its result, seconds)"""
    begin = time.monotonic()
    got = function()
    return got, time.monotonic() - begin


# -- starting, growing ------------------------------------------------------

@test("nothing runs before the first request, which starts one worker")
def _():
    m.app("first")
    start()
    equal(m.processes().keys() - set(m.responders), set())
    pid = int(m.text("/first/pid"))
    equal(m.workers("first"), [pid])
    app = m.status_of("first")
    equal((app["state"], app["requests"]), ("ready", 1))
    equal(m.text("/first/pid"), str(pid))


SLOW_START = """
    import os, time
    here = os.environ["MAMAYO_TEST"]
    with open(here + "/journal", "a") as f:
        f.write("import %s\\n")
    while not os.path.exists(here + "/%s"):
        time.sleep(0.005)
    def application(environ, start_response):
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
"""


@test("requests for an app that is cold wait, while one worker starts")
def _():
    start()
    m.app("cold", SLOW_START % ("cold", "warm"), workers={"max": 4})
    waiting = [Later("/cold/") for _ in range(12)]
    within(10, lambda: m.status_of("cold")["queued"] == 12, "12 in the queue")
    equal(m.status_of("cold")["state"], "starting")
    equal(states("cold"), ["starting"])
    equal(journal("import cold"), 1)
    gate("warm")
    equal({w.answer().status for w in waiting}, {200})


@test("it grows while requests wait, up to workers.max and never beyond")
def _():
    start()
    m.app("grows", workers={"max": 3})
    waiting = [Later("/grows/gate?name=grow") for _ in range(8)]
    within(15, lambda: states("grows") == ["busy"] * 3, "three busy workers")
    seen = set()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        seen.add(len(states("grows")))
        time.sleep(STEP)
    equal(seen, {3})
    equal(m.status_of("grows")["queued"], 5)
    gate("grow")
    equal({w.answer().body for w in waiting}, {b"grow"})
    equal(m.status_of("grows")["requests"], 8)
    equal(m.status_of("grows")["queued"], 0)


@test("one after the other, requests are served by one worker")
def _():
    start()
    m.app("calm", workers={"max": 4})
    equal(len({m.text("/calm/pid") for _ in range(200)}), 1)
    equal(len(m.workers("calm")), 1)


@test("max_workers is for all apps together, but every app gets one")
def _():
    few = Mamayo(max_workers=2)
    for name in "abc":
        few.app(name, workers={"max": 4})
    few.start()
    waiting = [Later("/a/gate?name=g", few) for _ in range(4)]
    within(15, lambda: states("a", few) == ["busy"] * 2, "two for a")
    end = time.monotonic() + 1
    while time.monotonic() < end:
        equal(len(states("a", few)), 2)
        time.sleep(STEP)
    waiting += [Later("/b/gate?name=g", few) for _ in range(3)]
    waiting += [Later("/c/gate?name=g", few)]
    within(15, lambda: states("b", few) == states("c", few) == ["busy"],
           "one for b and one for c")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        equal([len(states(name, few)) for name in "abc"], [2, 1, 1])
        time.sleep(STEP)
    with open(os.path.join(few.dir, "g"), "w"):
        pass
    equal({w.answer().status for w in waiting}, {200})
    few.close()


# -- shrinking --------------------------------------------------------------

@test("it shrinks to nothing, the one that has been idle longest first")
def _():
    start()
    m.app("shrinks", workers={"max": 3}, idle=2)
    waiting, order = [], []
    for name in ("s1", "s2", "s3"):
        waiting.append(Later("/shrinks/gate?name=" + name))
        wait_for("started " + name)
    for name, request in zip(("s2", "s3", "s1"), [waiting[i]
                                                  for i in (1, 2, 0)]):
        line = [x for x in m.journal() if x.startswith("started " + name)]
        order.append(line[0].split()[2])
        gate(name)
        equal(request.answer().status, 200)
        time.sleep(0.01)  # a later millisecond
    equal(len(set(order)), 3)
    within(20, lambda: m.workers("shrinks") == [], "all workers to leave")
    equal(m.status_of("shrinks")["state"], "asleep")
    equal(re.findall(r"shrinks: worker (\d+) has left", m.log()), order)
    equal(m.status_of("shrinks")["requests"], 3)  # not forgotten with them
    equal(m.text("/shrinks/pid") in order, False)


@test("a worker that does not go when it is asked to is killed in time")
def _():
    start()
    m.app("clings", """
        import atexit, os, time
        atexit.register(time.sleep, 600)
        def application(environ, start_response):
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
    """, idle=1, stop_timeout=1)
    pid = int(m.text("/clings/"))
    within(20, lambda: not alive(pid), "its end")
    within(5, lambda: "worker %d ended: killed by signal 9" % pid in m.log(),
           "the log to say so")
    equal(m.get("/clings/").status, 200)


@test("workers.min stay, and are replaced")
def _():
    start()
    m.app("keeps", workers={"min": 2, "max": 3}, idle=1)
    waiting = [Later("/keeps/gate?name=k") for _ in range(6)]
    within(15, lambda: states("keeps") == ["busy"] * 3, "three busy workers")
    gate("k")
    equal({w.answer().status for w in waiting}, {200})
    within(15, lambda: len(m.workers("keeps")) == 2, "one to leave")
    two = m.workers("keeps")
    time.sleep(2.5)
    equal(m.workers("keeps"), two)
    kill(two[0])
    within(15, lambda: len(m.workers("keeps")) == 2
           and two[0] not in m.workers("keeps"), "another one")
    equal(two[1] in m.workers("keeps"), True)


# -- dying ------------------------------------------------------------------

@test("a worker that is killed while it is idle costs nothing")
def _():
    start()
    m.app("dies")
    for signo in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM) * 3:
        pid = int(m.text("/dies/pid"))
        kill(pid, signo)
        within(5, lambda: m.text("/dies/pid") != str(pid), "another worker")
        within(5, lambda: not alive(pid), "its end")


@test("a worker that dies in its request costs that one: 502, and the log"
      " says how")
def _():
    start()
    for how, words in (("kill", "killed by signal 9"),
                       ("segv", "killed by signal 11"),
                       ("abort", "killed by signal 6"),
                       ("exit", "exit status 0"),
                       ("exit3", "exit status 3")):
        pid = m.text("/dies/pid")
        got, seconds = took(lambda: m.get("/dies/die?how=" + how))
        is_error(got, 502, "died")
        equal(seconds < 5, True, "%.1f s" % seconds)
        line = within(5, lambda: [x for x in m.log("dies").split("\n")
                                  if "worker %s ended" % pid in x], "the log")
        equal((words in line[0], "/dies/die" in line[0]), (True, True),
              line[0])
        equal(m.get("/dies/pid").status, 200)


@test("while one worker dies the others' requests go on")
def _():
    start()
    m.app("some", workers={"max": 4})
    good = [Later("/some/gate?name=good") for _ in range(3)]
    within(15, lambda: states("some") == ["busy"] * 3, "three busy workers")
    bad = Later("/some/die?how=kill")
    is_error(bad.answer(), 502, "died")
    gate("good")
    equal({w.answer().body for w in good}, {b"good"})


@test("a child that keeps every descriptor does not hide its parent's death")
def _():
    start()
    m.text("/dies/pid")
    got, seconds = took(
        lambda: m.get("/dies/leave_child?name=child&then=die"))
    is_error(got, 502, "died")
    equal(seconds < 5, True, "%.1f s" % seconds)
    equal(m.get("/dies/pid").status, 200)
    gate("child")


@test("a hundred deaths leave nothing behind in the supervisor")
def _():
    start()
    supervisor = m.supervisor()

    def descriptors():
        return len(os.listdir("/proc/%d/fd" % supervisor))
    m.text("/dies/pid")
    before = within(5, descriptors)
    for _ in range(100):
        m.text("/dies/pid")
        is_error(m.get("/dies/die?how=kill"), 502, "died")
    m.text("/dies/pid")
    equal(m.supervisor(), supervisor)
    within(5, lambda: descriptors() <= before,
           "at most %d descriptors" % before)
    equal(len(os.listdir(m.path("run", "workers"))), sum(
        len(a["workers"]) for a in m.status()["apps"]))


# -- not starting -----------------------------------------------------------

COUNTED = """
    import os
    with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
        f.write("import %s\\n")
    %s
    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"mended"]
"""


@test("an app that dies when it is imported is tried rarely, and answers at"
      " once")
def _():
    start()
    for name, line in (("raises", "raise RuntimeError('secret xyzzy')"),
                       ("exits", "os._exit(1)"),
                       ("crashes", "os.kill(os.getpid(), 11)"),
                       ("syntax", "this is no Python"),
                       ("nothing", "import no_such_module_4711")):
        m.app(name, COUNTED % (name, line))
        is_error(m.get("/%s/" % name), 503, "cannot-start")
    end = time.monotonic() + 4
    slowest = 0
    while time.monotonic() < end:
        for name in ("raises", "exits", "crashes"):
            got, seconds = took(lambda: m.get("/%s/" % name))
            is_error(got, 503, "cannot-start")
            slowest = max(slowest, seconds)
        time.sleep(STEP)
    # back-off: after 1, 2, 4 seconds and up to a quarter more
    for name in ("raises", "exits", "crashes"):
        tries = journal("import " + name)
        equal(2 <= tries <= 4, True, "%s was tried %d times" % (name, tries))
    # one try of each is in it, at most: not a second of waiting in a queue
    equal(slowest < 5, True, "%.1f s" % slowest)
    equal(m.status_of("raises")["state"], "failing")


@test("a change of its files is tried with the very next request")
def _():
    start()
    for name in ("raises", "exits", "crashes", "syntax", "nothing"):
        m.app(name, COUNTED % (name, ""))
        equal(m.text("/%s/" % name), "mended", name)


@test("also a change of a module deep below")
def _():
    start()
    m.write("apps/deep/pkg/sub/__init__.py", "")
    m.write("apps/deep/pkg/__init__.py", "")
    broken = m.write("apps/deep/pkg/sub/thing.py", "raise RuntimeError()\n")
    m.app("deep", """
        from pkg.sub import thing
        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"mended"]
    """)
    for _ in range(4):
        is_error(m.get("/deep/"), 503, "cannot-start")
    with open(broken, "r+") as f:  # in place, as an editor may do it
        f.truncate()
    equal(m.text("/deep/"), "mended")


@test("it is tried again also when all workers there may be are at work, and"
      " its last one takes its time to go")
def _():
    few = Mamayo(max_workers=1)
    few.app("busy")
    few.app("bad", "import atexit, time\n"
                   "atexit.register(time.sleep, 600)\n"
                   "raise RuntimeError()\n", stop_timeout=30)
    few.start()
    is_error(few.get("/bad/"), 503, "cannot-start")
    few.text("/busy/pid")
    equal(len(states("bad", few)), 1)  # still going
    few.app("bad", stop_timeout=30)
    equal(few.get("/bad/pid").status, 200)
    for pid in few.workers("bad"):
        kill(pid)
    few.close()


@test("the log says in a sentence what is wrong, and what to do")
def _():
    start()
    for i, (source, words, how) in enumerate((
            ("x = (\n", ["application.py, line 1: "], {}),
            ("import no_such_module_4711\n", ["no_such_module_4711"], {}),
            ("app = None\n", ["application.py", "application"], {}),
            ("application = 5\n", ["of type int and cannot be called"], {}),
            ("def application(e, s): pass\n", ["nothing:application"],
             {"entry": "nothing:application"}),
            ("def application(e, s): pass\n", ["none"],
             {"entry": "application:none"}))):
        name = "says%d" % i
        m.app(name, source, **how)
        is_error(m.get("/%s/" % name), 503, "cannot-start")
        for log, words_of_it in ((m.log(name), "cannot start (ref"),
                                 (m.log(), " %s: cannot start" % name)):
            line = [x for x in log.split("\n") if words_of_it in x]
            equal(len(line), 1, log[-2000:])
            for word in words:
                equal(word in line[0], True, "%s in %s" % (word, line[0]))


@test("a start that prints megabytes of garbage harms its own log only")
def _():
    start()
    m.app("garbage", """
        import os
        for i in range(40):
            os.write(2, os.urandom(65536))
        raise ValueError("\\x1b[31m\\n2026-01-01 forged \\udcff \\u202e")
    """, debug=True)
    got = m.get("/garbage/")
    is_error(got, 503, "cannot-start")
    equal(b"\x1b" in got.text, False)
    equal(len(got.text) < 100000, True)
    log = m.log()
    equal("\x1b" in log, False)
    equal([x for x in log.split("\n") if x.startswith("2026-01-01")], [])
    equal(os.path.getsize(m.path("logs", "garbage.log")) > 2000000, True)
    m.app("beside")
    equal(m.get("/beside/pid").status, 200)
    shutil.rmtree(m.path("apps", "garbage"))
    os.unlink(m.path("logs", "garbage.log"))


@test("a failing app changes nothing for another one")
def _():
    start()
    m.app("bad", COUNTED % ("bad", "os._exit(1)"))
    m.app("good")
    for _ in range(20):
        is_error(m.get("/bad/"), 503, "cannot-start")
        equal(m.get("/good/pid").status, 200)


@test("a start that takes too long is ended; the app's log shows where")
def _():
    start()
    m.app("endless", """
        import time
        def never_ready_here():
            time.sleep(600)
        never_ready_here()
    """, start_timeout=1)
    got, seconds = took(lambda: m.get("/endless/"))
    is_error(got, 503, "cannot-start")
    equal(1 <= seconds < 15, True, "%.1f s" % seconds)
    within(5, lambda: "never_ready_here" in m.log("endless"), "the stack")
    equal("start_timeout" in m.log("endless"), True)


@test("a start that takes too long and cannot be told so is killed")
def _():
    start()
    m.app("deaf", """
        import os, signal, time
        with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
            f.write("deaf %d\\n" % os.getpid())
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
        while True:
            time.sleep(1)
    """, start_timeout=1)
    got = m.get("/deaf/")
    equal(got.error in ("starting", "cannot-start"), True, repr(got))
    is_error(got, 503, got.error)
    pid = int([x for x in m.journal() if x.startswith("deaf ")][0].split()[1])
    within(15, lambda: not alive(pid), "its end")


@test("a slow start is not begun again by each request")
def _():
    start()
    m.app("slow", SLOW_START % ("slow", "slow-gate"), start_timeout=30)
    impatient = Later("/slow/", timeout=1)  # hangs up
    waiting = [Later("/slow/") for _ in range(3)]
    wait_for("import slow")
    within(10, lambda: isinstance(impatient.got, Exception), "the hang-up")
    gate("slow-gate")
    equal({w.answer().status for w in waiting}, {200})
    equal(journal("import slow"), 1)


# -- what the pages say -----------------------------------------------------

@test("the page has a reference number that is in the log with the traceback,"
      " and nothing else")
def _():
    start()
    m.app("secret", "raise RuntimeError('secret xyzzy')\n",
          env={"PASSWORD": "hunter2"})
    got = m.get("/secret/")
    is_error(got, 503, "cannot-start")
    reference = re.search(rb"<code>([0-9a-f]{8})</code>", got.body)
    equal(reference is not None, True, repr(got.body))
    log = m.log("secret")
    equal(reference.group(1).decode() in log, True, log)
    equal("RuntimeError: secret xyzzy" in log, True, log)
    for word in (b"xyzzy", b"RuntimeError", m.dir.encode(), b"hunter2",
                 b"application.py", b"Traceback", b"/usr"):
        equal(word in got.text, False, repr(word))


@test("with debug the traceback is on the page, escaped; without it is not")
def _():
    start()
    m.app("debug", "raise RuntimeError('<secret> xyzzy')\n", debug=True)
    got = m.get("/debug/")
    is_error(got, 503, "cannot-start")
    equal(b"RuntimeError: &lt;secret&gt; xyzzy" in got.body, True,
          repr(got.body))
    m.app("debug", "raise RuntimeError('<secret> xyzzy')\n", debug=False)
    got = m.get("/debug/")
    is_error(got, 503, "cannot-start")
    equal(b"xyzzy" in got.body, False, repr(got.body))


@test("an exception in a request: the same, with 500")
def _():
    start()
    got = m.get("/first/raises")
    is_error(got, 500, "exception")
    reference = re.search(rb"<code>([0-9a-f]{8})</code>", got.body).group(1)
    equal(reference.decode() in m.log("first"), True)
    equal("secret xyzzy" in m.log("first"), True)
    equal(b"xyzzy" in got.body or m.dir.encode() in got.body, False)
    m.app("debug2", debug=True)
    got = m.get("/debug2/raises")
    is_error(got, 500, "exception")
    equal(b"secret xyzzy" in got.body, True)


@test("a HEAD request for an app that cannot start gets the headers alone")
def _():
    start()
    got = m.get("/secret/", method="HEAD")
    is_error(got, 503, "cannot-start")
    equal(got.body, b"")
    equal(int(got.header("Content-Length")) > 0, True)


# -- hanging ----------------------------------------------------------------

HANGS = """
    import os, re, time

    def journal(line):
        with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
            f.write(line + "\\n")

    def sleeps_here():
        time.sleep(600)

    def loops_here():
        while True:
            pass

    def holds_the_lock_here():
        re.match("(a+)+$", "a" * 60 + "b")

    def blocks_signals_here():
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
        time.sleep(600)

    def runs_a_child_here():
        import subprocess
        child = subprocess.Popen(["sleep", "600"])
        journal("child %d" % child.pid)
        child.wait()

    def application(environ, start_response):
        name = environ["PATH_INFO"].strip("/")
        journal("in %s %d" % (name, os.getpid()))
        if name == "pid":
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        if name == "streams":
            def body():
                for i in range(15):
                    time.sleep(0.2)
                    yield b"x"
            start_response("200 OK", [])
            return body()
        if name == "half":
            def body():
                yield b"half"
                sleeps_here()
            start_response("200 OK", [])
            return body()
        if name == "large":
            start_response("200 OK", [])
            return (b"y" * 65536 for _ in range(200))
        globals()[name]()
"""


def hangs():
    start()
    if not os.path.isdir(m.path("apps", "hangs")):
        m.app("hangs", HANGS, timeout=1, workers={"max": 3})
    return int(m.text("/hangs/pid"))


def hang(name, has_stack=True):
    """Asks for what hangs; gives the worker that had it."""
    hangs()
    before = len(m.log("hangs"))
    got, seconds = took(lambda: m.get("/hangs/" + name))
    is_error(got, 504, "timeout")
    equal(1 <= seconds < 15, True, "%.1f s" % seconds)
    pid = int([x for x in m.journal()
               if x.startswith("in " + name + " ")][-1].split()[2])
    within(15, lambda: not alive(pid), "the end of worker %d" % pid)
    log = m.log("hangs")[before:]
    equal("/hangs/" + name in log, True, log)
    if has_stack:
        within(5, lambda: re.search(
            r'File ".*/application.py", line \d+ in ' + name,
            m.log("hangs")[before:]), "the stack in\n" + log)
    equal(m.get("/hangs/pid").status, 200)
    return pid


@test("a request that sleeps too long: 504, its stack in the log, and the"
      " next is fine")
def _():
    hang("sleeps_here")


@test("so does one in an endless loop")
def _():
    hang("loops_here")


@test("so does one in C code that never lets Python run")
def _():
    hang("holds_the_lock_here")


@test("one that has blocked every signal is killed without a stack")
def _():
    hang("blocks_signals_here", has_stack=False)


@test("what a hanging request has started is ended with it")
def _():
    hang("runs_a_child_here")
    child = int([x for x in m.journal()
                 if x.startswith("child ")][-1].split()[1])
    within(10, lambda: not alive(child), "the end of the child")


@test("a worker that was stopped in its request: 504, and it is killed")
def _():
    hangs()
    request = Later("/hangs/streams")
    wait_for("in streams")
    pid = int([x for x in m.journal()
               if x.startswith("in streams ")][-1].split()[2])
    # before its first block
    kill(pid, signal.SIGSTOP)
    got = request.answer()
    is_error(got, 504, "timeout")
    within(15, lambda: not alive(pid), "its end")


@test("a worker that was stopped while idle costs nobody more than a wait")
def _():
    start()
    m.app("stops", workers={"max": 2}, queue_timeout=10)
    pid = int(m.text("/stops/pid"))
    kill(pid, signal.SIGSTOP)
    try:
        got = m.get("/stops/pid")
        equal(got.status, 200, repr(got))
        equal(got.body == str(pid).encode(), False)
    finally:
        kill(pid, signal.SIGCONT)


@test("other requests are served while one hangs")
def _():
    hangs()
    stuck = Later("/hangs/sleeps_here")
    wait_for("in sleeps_here")
    while stuck.got is None:
        equal(m.get("/hangs/pid").status, 200)
    is_error(stuck.answer(), 504, "timeout")


@test("an answer that streams for longer than timeout is not cut")
def _():
    hangs()
    got, seconds = took(lambda: m.get("/hangs/streams"))
    equal((got.status, got.body, got.app_status), (200, b"x" * 15, 0))
    equal(seconds > 2, True, "%.1f s" % seconds)


@test("one that stops in the middle for longer is cut")
def _():
    hangs()
    try:
        got = m.get("/hangs/half")
    except fcgi.Cut as cut:
        equal(cut.text.endswith(b"half"), True)
    else:
        equal((got.body, got.app_status), (b"half", 1))


@test("a slow visitor is not a stuck worker")
def _():
    hangs()
    with m.connect(timeout=60) as c:
        c.send(fcgi.request("/hangs/large"))
        wait_for("in large")
        within(10, lambda: "sending" in states("hangs"), "state sending")
        time.sleep(2.5)  # more than twice the limit
        equal("sending" in states("hangs"), True)
        got = c.answer()
    equal((got.status, len(got.body), got.app_status),
          (200, 200 * 65536, 0))


# -- the queue --------------------------------------------------------------

@test("as many as `queue` says may wait; the next one is told so at once")
def _():
    start()
    m.app("full", workers={"max": 2}, queue=3)
    inside = [Later("/full/gate?name=full") for _ in range(5)]
    within(15, lambda: states("full") == ["busy"] * 2
           and m.status_of("full")["queued"] == 3, "two busy, three waiting")
    for _ in range(3):
        got, seconds = took(lambda: m.get("/full/pid"))
        is_error(got, 503, "queue-full")
        equal(seconds < 5, True, "%.1f s" % seconds)
    equal(m.get("/first/pid").status, 200)  # another app
    gate("full")
    equal({w.answer().status for w in inside}, {200})
    equal(m.get("/full/pid").status, 200)


@test("with a queue of 0 there are as many requests as workers")
def _():
    start()
    m.app("none", workers={"max": 1}, queue=0)
    one = Later("/none/gate?name=none")
    wait_for("started none")
    is_error(m.get("/none/pid"), 503, "queue-full")
    gate("none")
    equal(one.answer().status, 200)
    equal(m.get("/none/pid").status, 200)


@test("who has waited for longer than queue_timeout is told so, and the app"
      " is never called with it")
def _():
    start()
    m.app("waits", workers={"max": 1}, queue_timeout=1)
    m.text("/waits/pid")
    first = Later("/waits/gate?name=w1")
    wait_for("started w1")
    late = [Later("/waits/gate?name=w2") for _ in range(3)]
    for request in late:
        is_error(request.answer(), 503, "queue-full")
    gate("w2")
    gate("w1")
    equal(first.answer().status, 200)
    # behind them in the queue: when this is answered, they have been passed
    equal(m.get("/waits/pid").status, 200)
    equal([x for x in m.journal() if x.startswith("started w2")], [])
    equal(len([x for x in m.journal() if x.startswith("started w1")]), 1)


@test("a visitor who has left is not served")
def _():
    start()
    m.app("left", workers={"max": 1})
    first = Later("/left/gate?name=l1")
    wait_for("started l1")
    with m.connect() as c:
        c.send(fcgi.request("/left/gate?name=l2"))
        within(10, lambda: m.status_of("left")["queued"] == 1, "one waiting")
    time.sleep(0.3)
    gate("l2")
    gate("l1")
    equal(first.answer().status, 200)
    equal(m.get("/left/pid").status, 200)
    equal([x for x in m.journal() if x.startswith("started l2")], [])


@test("under kills and time-outs every request starts at most once")
def _():
    start()
    m.app("once", """
        import os
        def application(environ, start_response):
            n = environ["QUERY_STRING"]
            with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
                f.write("once %s\\n" % n)
            start_response("200 OK", [])
            return [n.encode()]
    """, workers={"max": 4})
    m.get("/once/?0")
    done = threading.Event()

    def killer():
        while not done.wait(0.05):
            # one that has served, or the app would count as a failing one
            for worker in [w for w in m.status_of("once")["workers"]
                           if w["requests"] > 0][:1]:
                kill(worker["pid"])
    hunter = threading.Thread(target=killer, daemon=True)
    hunter.start()

    def ask(k):
        out = []
        for i in range(60):
            n = "%d-%d" % (k, i)
            got = m.get("/once/?" + n)
            if got.status == 200:
                equal(got.body, n.encode())
            else:
                equal(got.error in ("died", "cannot-start"), True, repr(got))
            out.append(got.status)
        return out
    try:
        statuses = sum(fcgi.each(4, ask), [])
    finally:
        done.set()
        hunter.join()
    lines = [x for x in m.journal() if x.startswith("once ")]
    equal(len(lines), len(set(lines)))
    equal(statuses.count(200) > 100, True, repr(statuses))


# -- staying and leaving ----------------------------------------------------

@test("the responder goes, another one comes within linger: the same workers")
def _():
    lingers = Mamayo(linger=60)
    lingers.app("blog")
    old, = lingers.start()
    pid = lingers.text("/blog/pid")
    supervisor = lingers.supervisor()
    lingers.kill_responder(old, signal.SIGTERM)
    lingers.killed.discard(old)  # it ends with 0
    lingers.start()
    equal(lingers.text("/blog/pid"), pid)
    equal(lingers.supervisor(), supervisor)
    lingers.close()


@test("the supervisor leaves linger seconds after its last worker, and is"
      " there again with the next request")
def _():
    lingers = Mamayo(linger=1, idle=1)
    lingers.app("blog")
    lingers.start()
    lingers.text("/blog/pid")
    supervisor = lingers.supervisor()
    within(20, lambda: not alive(supervisor), "its leaving")
    equal(lingers.lock_holder(), 0)
    equal(os.path.exists(lingers.path("run", "sock")), False)
    equal(sorted(lingers.processes()), lingers.responders)
    lingers.text("/blog/pid")
    lingers.close()


@test("no request is lost at the moment when the supervisor leaves")
def _():
    def account(k):
        hasty = Mamayo(linger=1, idle=0)
        hasty.app("blog")
        hasty.start()
        supervisors = set()
        for i in range(3):
            equal(hasty.get("/blog/pid").status, 200)
            supervisors.add(hasty.lock_holder())
            if i % 2:  # exactly when its socket goes
                within(20, lambda: not os.path.exists(
                    hasty.path("run", "sock")), "its leaving")
            else:  # or somewhat before or after
                time.sleep(2.9 + k / 5.0)
        equal(hasty.get("/blog/pid").status, 200)
        equal(len(supervisors) > 1, True, repr(supervisors))
        return hasty
    for hasty in fcgi.each(6, account):
        hasty.close()


@test("a request that waits when the supervisor is told to leave is served")
def _():
    told = Mamayo(idle=0, linger=60)
    told.app("blog")
    told.start()
    for _ in range(3):
        told.text("/blog/pid")
        supervisor = told.supervisor()
        within(20, lambda: told.workers("blog") == [], "an empty pool")
        kill(supervisor, signal.SIGSTOP)
        request = Later("/blog/pid", told)
        time.sleep(0.2)  # it is in the queue: nobody else could take it
        equal(request.got, None)
        kill(supervisor, signal.SIGTERM)
        kill(supervisor, signal.SIGCONT)
        equal(request.answer().status, 200, repr(request.got))
        within(20, lambda: not alive(supervisor), "its leaving")
    told.close()


@test("while it waits for the last requests to end, another one serves")
def _():
    told = Mamayo(linger=60)
    told.app("blog", workers={"max": 2})
    told.app("other")
    told.start()
    old = Later("/blog/gate?name=g", told)
    within(10, lambda: states("blog", told) == ["busy"], "a busy worker")
    worker, = told.workers("blog")
    supervisor = told.supervisor()
    kill(supervisor, signal.SIGTERM)
    for _ in range(5):
        equal(told.get("/blog/pid").status, 200)
        equal(told.get("/other/pid").status, 200)
    equal((alive(worker), alive(supervisor), old.got), (True, True, None))
    equal(told.supervisor() == supervisor, False)
    with open(os.path.join(told.dir, "g"), "w"):
        pass
    equal(old.answer().body, b"g")
    within(20, lambda: not alive(supervisor), "its leaving")
    equal(alive(worker), False)
    told.close()


@test("when the web server has gone, what is in flight is finished, and then"
      " everything leaves")
def _():
    ends = Mamayo(linger=60)
    ends.app("blog", idle=60)
    responder, = ends.start()
    request = Later("/blog/gate?name=g", ends)
    within(10, lambda: states("blog", ends) == ["busy"], "a busy worker")
    worker, = ends.workers("blog")
    supervisor = ends.supervisor()
    kill(responder, signal.SIGTERM)
    ends.kill_server()
    time.sleep(2)  # longer than grace
    equal((alive(worker), alive(supervisor)), (True, True))
    with open(os.path.join(ends.dir, "g"), "w"):
        pass
    equal(request.answer().body, b"g")
    within(20, lambda: not ends.processes(), "the end of everything")
    ends.close()


run()
