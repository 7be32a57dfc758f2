"""Who answers: what a visitor sees is the same in every mode.

pumped     the answer comes through the responder
direct     the worker writes to the connection of lighttpd or nginx
accepting  the worker takes connections from the socket of mamayo listen
"""
import os
import re
import signal
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, alive, kill

MIB = 1 << 20
SLACK = 0.5  # s, for a machine that does other things, too


class Mode:
    """A way to ask an account whose only application is ROOT."""

    def __init__(self, name, software, keep=False, accepts=False, **app):
        self.name, self.software, self.keep = name, software, keep
        self.accepts = accepts
        self.app = app  # settings of the application
        self.m = None

    def start(self):
        if self.m is None:
            self.m = m = Mamayo(timeout=20, workers={"max": 2})
            m.app("ROOT", **self.app)
            self.launch(m)
        return self.m

    def launch(self, m):
        """A responder, and workers where they accept connections."""
        if not self.accepts:
            m.start()
            return
        m.listening = m.listen()
        self.settled(m)

    def settled(self, m=None):
        """Waits until the workers do what they do in this mode."""
        m = m or self.m
        if self.accepts:
            equal(self.get("/unread", account=m).status, 200)
            within(20, lambda: all(
                w["accepting"] for w in m.status_of("ROOT")["workers"]),
                   "workers to accept connections")

    def stop(self, m):
        """Asks the responder to stop."""
        if self.accepts:
            kill(m.listening.pid, signal.SIGTERM)
        else:
            m.kill_responder(m.responders[0], signal.SIGTERM)

    def request(self, uri, method="GET", body=b"", **more):
        more.setdefault("SERVER_SOFTWARE", self.software)
        return fcgi.request(uri, method, body, keep=self.keep, **more)

    def send(self, uri, *rest, **more):
        """A request that is on its way -> its connection."""
        c = (more.pop("account", None) or self.start()).connect()
        c.send(self.request(uri, *rest, **more))
        return c

    def get(self, uri, *rest, **more):
        c = self.send(uri, *rest, **more)
        try:
            return c.answer(keep=self.keep)
        finally:
            c.close()

    def cut(self, c):
        """Reads what was broken off -> the STDOUT that came; fails if it
        looks like a whole answer."""
        try:
            got = c.answer(keep=self.keep)
        except fcgi.Cut as cut:
            return cut.args[0] if isinstance(cut.args[0], str) else cut
        assert got.app_status != 0, "it looks whole: %r" % got
        return got


PLAIN = {"accel": False, "preload": "none"}
MODES = [
    Mode("pumped", "test/1"),
    Mode("pumped, kept", "test/1", keep=True),
    Mode("direct, lighttpd", "lighttpd/1.4.69"),
    Mode("direct, nginx", "nginx/1.22.1"),
    Mode("direct, nginx, kept", "nginx/1.22.1", keep=True),
    Mode("accepting", "lighttpd/1.4.69", accepts=True),
    Mode("accepting, kept", "nginx/1.22.1", keep=True, accepts=True),
    # without the accelerator, which is what accepts, and forked by nobody
    Mode("pumped, plain", "test/1", **PLAIN),
    Mode("direct, nginx, kept, plain", "nginx/1.22.1", keep=True, **PLAIN),
    Mode("accepting, not forked", "lighttpd/1.4.69", accepts=True,
         preload="none"),
]


def in_every_mode(title):
    def add(function):
        for mode in MODES:
            test("%s: %s" % (mode.name, title))(
                lambda mode=mode: function(mode, mode.start()))
    return add


def pid_of(m):
    return int([x for x in m.journal() if x.startswith(
        "started ")][-1].split()[2])


@in_every_mode("a small answer, a large one, an empty one, HEAD")
def _(mode, m):
    equal(mode.get("/unread").body, b"did not look")
    got = mode.get("/download?size=%d" % (3 * MIB))
    equal(len(got.body), 3 * MIB)
    equal(got.body[-16:], b"%015d\n" % (3 * MIB // 65536 - 1))
    equal(mode.get("/status?line=204%20Nothing").status, 204)
    got = mode.get("/unread", "HEAD")
    equal((got.status, got.body, got.header("Content-Length")),
          (200, b"", "12"))


@in_every_mode("bodies and parameters of every size arrive whole")
def _(mode, m):
    for size in (0, 1, 4096, 4097, 65535, 65536, 70000, MIB):
        body = os.urandom(size)
        equal(mode.get("/echo", "POST", body).body, body, size)
    for size in (100, 16000, 17000, 70000, 120000):
        got = mode.get("/environ", HTTP_X_LONG="y" * size)
        assert b'"HTTP_X_LONG": "%s"' % (b"y" * size) in got.body, size


@in_every_mode("an application that raises: 500, and the next is fine")
def _(mode, m):
    got = mode.get("/raises")
    equal((got.status, got.error), (500, "exception"))
    equal(mode.get("/unread").status, 200)


@in_every_mode("a worker that dies before its answer: 502 at once")
def _(mode, m):
    for how in ("kill", "segv", "exit3"):
        mode.settled()
        begin = time.monotonic()
        try:
            got = mode.get("/die?how=" + how)
            equal((got.status, got.error), (502, "died"))
        except (fcgi.Cut, ConnectionError):
            # the connection has died with the worker that had accepted it:
            # the web server has a page for that
            assert mode.accepts
        assert time.monotonic() - begin < 5
        equal(mode.get("/unread").status, 200)


@in_every_mode("a worker that dies in its answer: it is cut off, nothing is"
               " added, and the next is fine")
def _(mode, m):
    for number, length in enumerate(("yes", "no")):
        name = "half%d" % number
        mode.settled()
        c = mode.send("/half?name=%s&then=die&size=1000&length=%s" % (
            name, length))
        m.has("half " + name)
        m.open_gate(name)
        text = b""
        while True:
            got = c.record()
            if got is None:
                break
            kind, _, content = got
            if kind == fcgi.STDOUT:
                text += content
            elif kind == fcgi.END:
                assert content[:4] != b"\0\0\0\0", "it looks whole"
        equal(text.partition(b"\r\n\r\n")[2], b"a" * 500)
        c.close()
        equal(mode.get("/unread").status, 200)


@in_every_mode("what dies after its answer costs nothing")
def _(mode, m):
    equal(mode.get("/answer_then_die").body, b"last words")
    equal(mode.get("/unread").status, 200)


@in_every_mode("a request that hangs: 504, where it hangs is in the log, and"
               " the next is fine")
def _(mode, m):
    m.settings(timeout=1, workers={"max": 2})
    try:
        pid = mode.get("/pid").body
        kill(int(pid))  # settings are read when a worker starts
        within(20, lambda: mode.get("/pid").body != pid, "another worker")
        mode.settled()
        begin, log = time.monotonic(), len(m.log("ROOT"))
        got = mode.get("/stuck_in_here")
        equal((got.status, got.error), (504, "timeout"))
        assert 1 <= time.monotonic() - begin < 10
        within(5, lambda: re.search(r"line \d+ in stuck_in_here",
                                    m.log("ROOT")[log:]), "the stack")
    finally:
        m.settings(timeout=20, workers={"max": 2})
    pid = mode.get("/pid").body
    kill(int(pid))
    within(20, lambda: mode.get("/pid").body != pid, "another worker")


@in_every_mode("a worker that is stopped in its request: 504")
def _(mode, m):
    mine = Mamayo(timeout=1)
    mine.app("ROOT", **mode.app)
    mode.launch(mine)
    c = mode.send("/gate?name=never", account=mine)
    mine.has("started never")
    pid = pid_of(mine)
    kill(pid, signal.SIGSTOP)
    got = c.answer(keep=mode.keep)
    equal((got.status, got.error), (504, "timeout"))
    within(5, lambda: not alive(pid), "its end")
    equal(mode.get("/unread", account=mine).status, 200)
    c.close()
    mine.end()


@in_every_mode("a visitor who goes: close() is called, the next is fine")
def _(mode, m):
    c = mode.send("/endless?name=gone")
    m.has("started gone")
    c.output()
    c.close()
    m.has("closed gone")
    equal(mode.get("/unread").status, 200)


@in_every_mode("a slow reader gets every byte, and costs nobody else"
               " anything")
def _(mode, m):
    c = mode.send("/download?size=%d&name=slow" % (8 * MIB))
    m.has("started slow")
    for _ in range(20):
        equal(mode.get("/unread").status, 200)
    equal(len(c.answer(keep=mode.keep).body), 8 * MIB)
    c.close()


@in_every_mode("an answer ends although a child of the worker has everything"
               " open")
def _(mode, m):
    equal(mode.get("/leave_child?name=let-go").status, 200)
    equal(mode.get("/fork_both_return").body, b"one of two")
    m.open_gate("let-go")
    child = [x for x in m.journal() if x.startswith("child ")][-1]
    within(20, lambda: not alive(int(child.split()[1])), "the child's end")
    for pid in m.workers("ROOT"):  # which has children that it never buries
        kill(pid)


@in_every_mode("a worker that dies while a child of it has everything open:"
               " 502 within a second, and the next is fine")
def _(mode, m):
    mine = Mamayo(timeout=20)
    mine.app("ROOT", **mode.app)
    mode.launch(mine)
    mode.settled(mine)
    c = mode.send("/leave_child?name=let-go&then=die", account=mine)
    mine.has("child ")
    begin = time.monotonic()
    if mode.accepts:
        c.socket.settimeout(1.5)  # nobody else knows of that connection
    try:
        got = c.answer(keep=mode.keep)
        equal((got.status, got.error), (502, "died"))
        assert time.monotonic() - begin < 1 + SLACK
    except (fcgi.Cut, ConnectionError, TimeoutError):
        assert mode.accepts
    equal(mode.get("/unread", account=mine).status, 200)
    mine.open_gate("let-go")
    c.close()
    child = [x for x in mine.journal() if x.startswith("child ")][-1]
    within(20, lambda: not alive(int(child.split()[1])), "the child's end")
    mine.end()


@in_every_mode("a full queue: 503 at once, the others are answered")
def _(mode, m):
    mine = Mamayo(queue=2, workers={"max": 1})
    mine.app("ROOT", **mode.app)
    mode.launch(mine)
    equal(mode.get("/unread", account=mine).status, 200)
    waiting = [mode.send("/gate?name=open", account=mine)]
    mine.has("started open")
    waiting += [mode.send("/gate?name=open", account=mine) for _ in range(2)]
    within(20, lambda: mine.status_of("ROOT")["queued"] == 2, "two to wait")
    begin = time.monotonic()
    got = mode.get("/unread", account=mine)
    equal((got.status, got.error), (503, "queue-full"))
    assert int(got.header("Retry-After")) >= 1
    assert time.monotonic() - begin < 5
    mine.open_gate("open")
    equal({c.answer(keep=mode.keep).status for c in waiting}, {200})
    equal(mode.get("/unread", account=mine).status, 200)
    for c in waiting:
        c.close()
    mine.end()


@in_every_mode("a cold start, and one that fails")
def _(mode, m):
    mine = Mamayo()
    mine.app("ROOT", "1 / 0", **mode.app)
    if mode.accepts:
        mine.listen()
    else:
        mine.start()
    got = mode.get("/", account=mine)
    equal((got.status, got.error), (503, "cannot-start"))
    mine.app("ROOT", **mode.app)
    equal(mode.get("/unread", account=mine).status, 200)
    mine.end()


@in_every_mode("the supervisor is killed while a request is answered: nothing"
               " is lost")
def _(mode, m):
    mine = Mamayo()
    mine.app("ROOT", **mode.app)
    mode.launch(mine)
    c = mode.send("/half?name=kill&size=1000", account=mine)
    mine.has("half kill")
    kill(mine.supervisor())
    equal(mode.get("/unread", account=mine).status, 200)
    mine.open_gate("kill")
    equal(len(c.answer(keep=mode.keep).body), 1000)
    c.close()
    mine.expect_alarm = None
    mine.end()


@in_every_mode("the responder is asked to stop while a request is answered:"
               " nothing is lost")
def _(mode, m):
    mine = Mamayo()
    mine.app("ROOT", **mode.app)
    mode.launch(mine)
    c = mode.send("/half?name=stop&size=1000", account=mine)
    mine.has("half stop")
    mode.stop(mine)
    mine.open_gate("stop")
    equal(len(c.answer(keep=mode.keep).body), 1000)
    c.close()
    mine.end()


# -- what is special about a connection that is kept --------------------------

KEPT = [mode for mode in MODES if mode.keep]


def kept(title):
    def add(function):
        for mode in KEPT:
            test("%s: %s" % (mode.name, title))(
                lambda mode=mode: function(mode, mode.start()))
    return add


@kept("many requests on one connection, with questions in between")
def _(mode, m):
    with m.connect() as c:
        for i in range(300):
            if i % 7 == 3:
                c.send(fcgi.get_values("FCGI_MPXS_CONNS"))
                equal(c.record()[0], fcgi.VALUES)
            c.send(mode.request("/echo", "POST", b"%d" % i))
            equal(c.answer(keep=True).body, b"%d" % i)


@kept("connections that are idle are not counted as requests")
def _(mode, m):
    mine = Mamayo(queue=2, workers={"max": 1})
    mine.app("ROOT", **mode.app)
    mode.launch(mine)
    idle = []
    for _ in range(10):
        c = mode.send("/unread", account=mine)
        equal(c.answer(keep=True).status, 200)
        idle.append(c)
    for c in idle:
        c.send(mode.request("/unread"))
        equal(c.answer(keep=True).status, 200)
    # and not for longer than a moment by anybody else either
    pid = mine.workers("ROOT")[0]
    within(10, lambda: mine.status_of("ROOT")["queued"] == 0)
    kill(pid)
    equal(mode.get("/unread", account=mine).status, 200)
    for c in idle:
        try:  # it may have been closed, but never gives a foreign answer
            c.send(mode.request("/unread"))
            equal(c.answer(keep=True).body, b"did not look")
        except (fcgi.Cut, ConnectionError):
            pass
        c.close()
    mine.end()


@kept("an answer that takes longer than anybody looks is not disturbed")
def _(mode, m):
    with m.connect() as c:
        c.send(mode.request("/sleep?seconds=3.5"))
        equal(c.answer(keep=True).body, b"slept")
        c.send(mode.request("/unread"))
        equal(c.answer(keep=True).body, b"did not look")


@kept("after seconds of silence the connection is still good")
def _(mode, m):
    with m.connect() as c:
        c.send(mode.request("/unread"))
        equal(c.answer(keep=True).status, 200)
        assert c.silent(3)
        c.send(mode.request("/unread"))
        equal(c.answer(keep=True).status, 200)


@kept("a request that nobody takes in time: 503, and the connection is closed"
      " rather than used again")
def _(mode, m):
    mine = Mamayo(queue_timeout=1, timeout=30, workers={"max": 1})
    mine.app("ROOT", **mode.app)
    mode.launch(mine)
    equal(mode.get("/unread", account=mine).status, 200)
    busy = mode.send("/gate?name=long", account=mine)
    mine.has("started long")
    c = mode.send("/unread", account=mine)
    got = c.answer(keep=True)
    equal((got.status, got.error), (503, "queue-full"))
    c.close()
    mine.open_gate("long")
    equal(busy.answer(keep=True).status, 200)
    busy.close()
    equal(mode.get("/unread", account=mine).status, 200)
    mine.end()


run()
