"""More that an application can do to its process, one line each in a table
(RELIABILITY 3.1): what its visitor sees, and that the next request is well."""
import os
import re
import signal
import struct
import time
from urllib.parse import quote

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process, alive, gone, kill

m = Mamayo(workers={"max": 1}, timeout=2)
m.app("blog")
# /odd?CODE runs it, with these in reach; then it answers
m.app("odd", """
    import ctypes, os, re, signal, socket, sys, threading, time
    from urllib.parse import unquote

    def journal(*words):
        with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
            f.write(" ".join(map(str, words)) + "\\n")

    def answer_socket():
        return [n for n in map(int, os.listdir("/proc/self/fd")) if n > 5 and
                os.path.exists("/proc/self/fd/%d" % n) and os.readlink(
                "/proc/self/fd/%d" % n).startswith("socket:")][-1]

    def deadlock():
        here, there, both = (threading.Lock(), threading.Lock(),
                             threading.Barrier(2))
        def take(one, other):
            with one:
                both.wait()
                with other:
                    pass
        threading.Thread(target=take, args=(there, here), daemon=True).start()
        take(here, there)

    def spin():
        while True:
            pass

    class Body(list):
        def __iter__(self):
            yield b"first"
            exec(self.middle)
            yield b"later"

        def close(self):
            exec(self.end)

    def application(environ, start_response):
        code, middle, end = (unquote(environ["QUERY_STRING"]).split("|")
                             + ["", ""])[:3]
        exec(code)
        start_response("200 OK", [("Content-Length", "10")])
        body = Body()
        body.middle, body.end = middle, end
        return body
    """)
m.app("busy", workers={"max": 10}, timeout=60)
m.start()

DEADLY = ("SEGV", "BUS", "FPE", "ILL", "ABRT", "KILL", "TRAP", "SYS")
KILLED = "os.kill(os.getpid(), signal.SIG%s)"


def odd(code="", middle="", end="", **how):
    return m.get("/odd?" + quote("|".join((code, middle, end))), **how)


def well():
    equal(odd().body, b"firstlater")
    m.served()


def pid_of(app="odd"):
    well()
    return m.workers(app)[0]


def broken_off(code="", middle="", end=""):
    """The STDOUT of an answer that must not look whole."""
    try:
        got = odd(code, middle, end)
    except fcgi.Cut as cut:
        return cut.text
    assert got.app_status != 0, got
    return got.text


@test("fault 1: killed by any signal before it reads a request that waits: it"
      " is another one's")
def _():
    for name in DEADLY:
        pid = pid_of()
        kill(pid, signal.SIGSTOP)
        with m.connect() as c:
            c.send(fcgi.request("/odd?"))
            c.taken()
            kill(pid, getattr(signal, "SIG" + name))
            kill(pid, signal.SIGCONT)
            equal(c.answer().body, b"firstlater", name)
        gone(pid)


@test("fault 2: killed by any signal before the headers: 502, and the log says"
      " which")
def _():
    for name in DEADLY:
        got = odd(KILLED % name)
        equal((got.status, got.error), (502, "died"), name)
        well()
        number = int(getattr(signal, "SIG" + name))
        assert re.search(r"ended while it answered /odd: killed by signal %d "
                         % number, m.log("odd")), name


@test("fault 3: killed by any signal in the middle: cut off, nothing is added")
def _():
    for name in DEADLY:
        text = broken_off(middle=KILLED % name)
        assert text.endswith(b"\r\n\r\nfirst"), (name, text)
        well()


@test("fault 4: killed by any signal when the answer is complete: it is whole")
def _():
    for name in DEADLY:
        got = odd(end=KILLED % name)
        equal((got.status, got.body), (200, b"firstlater"), name)
        well()


@test("faults 6 to 9: stuck in C with Python's lock and without, in a loop, in"
      " a deadlock: 504 at the limit, and the log shows where")
def _():
    for code, where in (("re.match('(a+)+$', 'a' * 40 + 'b')", "match"),
                        ("time.sleep(10 ** 6)", "application"),
                        ("pair = socket.socketpair(); pair[0].recv(1)", "application"),
                        ("spin()", "spin"), ("deadlock()", "deadlock")):
        pid, before = pid_of(), time.monotonic()
        seen = len(m.log("odd"))
        got = odd(code)
        equal((got.status, got.error), (504, "timeout"), code)
        assert 1.9 < time.monotonic() - before < 10, code
        gone(pid)
        within(5, lambda: re.search(r"File .* in %s\b" % where,
                                    m.log("odd")[seen:]), "where " + code)
        well()


@test("fault 13: it closes its control socket, or everything: 502 at once")
def _():
    for code in ("os.close(3)", "os.closerange(3, 65536)",
                 "os.closerange(0, 65536)"):
        pid, before = pid_of(), time.monotonic()
        got = odd(code + "; time.sleep(60)")
        equal((got.status, got.error), (502, "died"), code)
        assert time.monotonic() - before < 1.9, "not before the limit"
        gone(pid)
        well()


def record(kind=fcgi.STDOUT, id=1, content=b"", version=1, length=None):
    """A record whose head may lie about its length."""
    return struct.pack(">BBHHBB", version, kind, id, len(content)
                       if length is None else length, 0, 0) + content


HEAD = b"Status: 200 OK\r\n\r\n"


@test("fault 14: it writes what is no answer on its socket: 502 or cut off,"
      " said once in the log, and the next request is well")
def _():
    for bytes_ in (
            b"garbage of some bytes", b"\0" * 100, b"\xff" * 100, HEAD * 10,
            b"HTTP/1.1 200 OK\r\n\r\n", record(version=0),
            record(version=2), record(id=0), record(id=2), record(id=65535),
            record(fcgi.STDERR, content=b"text"), record(fcgi.END),
            record(fcgi.END, content=b"\0" * 7),
            record(fcgi.END, content=b"\0" * 9),
            record(fcgi.END, id=2, content=b"\0" * 8),
            record(fcgi.BEGIN, content=b"\0" * 8), record(fcgi.ABORT),
            record(fcgi.PARAMS), record(fcgi.STDIN), record(fcgi.DATA),
            record(fcgi.GET_VALUES, id=0), record(fcgi.VALUES, id=0),
            record(fcgi.UNKNOWN, id=0, content=b"\0" * 8), record(0),
            record(255)):
        said = m.log().count("that is not FastCGI")
        got = odd("os.write(answer_socket(), %r)" % bytes_)
        equal((got.status, got.error), (502, "protocol"), bytes_)
        well()
        equal(m.log().count("that is not FastCGI"), said + 1, bytes_)
    # after what is the beginning of an answer, which may have been passed on
    begin = record(content=HEAD + b"some")
    for bytes_ in (b"garbage of some bytes", record(id=2),
                   record(length=65535) + b"few"):
        with m.connect() as c:
            c.send(fcgi.request("/odd?" + quote(
                "s = answer_socket(); os.write(s, %r); time.sleep(0.2); "
                "os.write(s, %r); os._exit(1)" % (begin, bytes_))))
            try:
                got = c.answer()
                assert got.status == 502 or got.app_status != 0, got
                text = got.text
            except fcgi.Cut as cut:
                text = cut.text
        assert text.count(b"Status") == 1, text
        well()


@test("fault 16: answers that come a byte at a time cost others nothing")
def _():
    m.app("drips", """
        import time
        def application(environ, start_response):
            start_response("200 OK", [])
            for _ in range(40):
                time.sleep(0.1)
                yield b"d"
        """, workers={"max": 8})
    within(10, lambda: m.get("/drips").status == 200)
    slow = [m.connect() for _ in range(8)]
    for c in slow:
        c.send(fcgi.request("/drips"))
    took = []
    for _ in range(100):
        before = time.monotonic()
        m.served()
        took.append(time.monotonic() - before)
    assert sorted(took)[50] < 0.1, sorted(took)[50]
    for c in slow:
        equal(c.answer().body, b"d" * 40)
        c.close()


@test("fault 17: what C prints is in its log, and not in the answer")
def _():
    code = ("libc = ctypes.CDLL(None); libc.printf(b'printed in C\\n');"
            " libc.fflush(None)")
    equal(odd(code, code, code).body, b"firstlater")
    within(5, lambda: m.log("odd").count("printed in C") == 3)


@test("fault 19: it logs a megabyte while the supervisor is stopped: nothing"
      " is lost, nobody waits")
def _():
    well()
    supervisor = m.supervisor()
    kill(supervisor, signal.SIGSTOP)
    try:
        for _ in range(10):
            equal(odd("print('m' * 100000)").body, b"firstlater")
    finally:
        kill(supervisor, signal.SIGCONT)
    within(5, lambda: m.log("odd").count("m" * 100000) == 10)
    equal(m.supervisor(), supervisor)


@test("fault 21: sys.exit() in the application is a 500, in a thread and in"
      " close() nothing")
def _():
    pid = pid_of()
    got = odd("sys.exit(3)")
    equal((got.status, got.error), (500, "exception"))
    equal(odd("t = threading.Thread(target=sys.exit); t.start(); t.join()")
          .body, b"firstlater")
    equal(odd(end="sys.exit(3)").body, b"firstlater")
    equal(pid_of(), pid)


@test("faults 22 and 23: a child that goes back into the adapter, one that"
      " goes on with everything open: one answer, and the worker can go")
def _():
    pid = pid_of()
    equal(odd("os.fork()").body, b"firstlater")
    equal(odd("", "os.fork()").body, b"firstlater")
    equal(odd("if os.fork() == 0:\n os.setsid(); journal('daemon', os.getpid(),"
              " ''); time.sleep(600)").body, b"firstlater")
    m.has("daemon ")
    daemon = int([x for x in m.journal() if x.startswith("daemon ")][-1]
                 .split()[1])
    equal(m.command("stop", "odd").returncode, 0)
    gone(pid)
    assert alive(daemon)
    equal(m.command("start", "odd").returncode, 0)
    well()
    kill(daemon)
    gone(daemon)


@test("fault 24: threads that never end, or raise at the exit, keep it no"
      " longer than stop_timeout")
def _():
    m.app("threads", """
        import atexit, os, threading, time
        def raise_late():
            threading.main_thread().join()
            raise RuntimeError("raised at the exit")
        def application(environ, start_response):
            target = (raise_late if environ["QUERY_STRING"] == "raise" else
                      lambda: time.sleep(10 ** 6))
            threading.Thread(target=target).start()
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        """, workers={"max": 1}, stop_timeout=1)
    for query in ("raise", "sleep"):
        within(10, lambda: m.get("/threads?" + query).status == 200)
        pid, before = m.workers("threads")[0], time.monotonic()
        equal(m.command("stop", "threads").returncode, 0)
        gone(pid)
        assert time.monotonic() - before < 5, query
        equal(m.command("start", "threads").returncode, 0)
    m.served()


@test("fault 26: it sends every signal but SIGKILL and SIGSTOP to its parent:"
      " others are served all the while, and in a moment it is, too")
def _():
    with m.connect() as c:
        c.send(fcgi.request("/busy/gate?name=signals"))
        m.has("started signals")
        got = odd("[os.kill(os.getppid(), s) for s in range(1, 32) if s not in"
                  " (9, 19)]")
        # 500: it had no parent any more that it may send one to
        assert got.status in (200, 500, 502, 503), got
        m.served()
        m.open_gate("signals")
        equal(c.answer().body, b"signals")
    within(5, lambda: odd().status == 200)
    well()


@test("fault 28: exceptions as fast as they can be asked for are 500s of the"
      " same worker")
def _():
    pid = pid_of()
    for _ in range(500):
        equal(odd("1 / 0").status, 500)
    equal(pid_of(), pid)


@test("fault 84: it forks without end, and so do its children: 504 at the limit,"
      " all are ended, others are served all the while")
def _():
    m.app("bomb", """
        import os, resource, time

        def tasks():
            count = 0
            for name in os.listdir("/proc"):
                try:
                    if os.stat("/proc/" + name).st_uid == os.getuid():
                        count += len(os.listdir("/proc/%s/task" % name))
                except OSError:
                    pass
            return count

        def application(environ, start_response):
            # as hosters do; without that it would be everybody's machine
            most = tasks() + 40
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
            while True:
                try:
                    os.fork()
                except OSError:
                    open(os.environ["MAMAYO_TEST"] + "/full", "a").close()
                    time.sleep(0.01)
        """, env={"MAMAYO_BOMB": "1"}, preload="none")

    def bombs():
        return [p.pid for p in m.processes().values()
                if b"MAMAYO_BOMB=1" in p.read("environ")]
    with m.connect() as c:
        c.send(fcgi.request("/bomb"))
        within(10, lambda: os.path.exists(os.path.join(m.dir, "full")),
               "no process more")
        most = len(bombs())
        assert most > 20, most
        m.served()
        got = c.answer()
    equal((got.status, got.error), (504, "timeout"))
    within(10, lambda: not bombs(), "the end of all of them")
    m.served()
    return "%d processes" % most


@test("after all that nobody holds more descriptors than at first")
def _():
    for pid in (m.responders[0], m.supervisor()):
        within(10, lambda: len(Process(pid).descriptors()) < 60,
               "%r" % Process(pid).descriptors())


run()
