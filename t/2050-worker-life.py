"""A worker's life: the queue, the supervisor, the scoreboard, its end."""
import os
import re
import resource
import signal
import socket
import time

from harness import equal, test, within
from wsgi_harness import LIMIT, App, adapter, app_test, clock, run

ECHO = """
from kit import *
import atexit
atexit.register(journal, "exit", os.getpid())
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/gate"):
        journal("at", path)
        gate(path[1:])
    journal("called", path)
    return reply(start_response, [path, os.getpid()])
"""
BUSY = adapter.BOARD_BUSY


def reached(a, path):
    within(LIMIT, lambda: "at " + path in a.journal(), path)


# Its end


def ways_to_leave(a):
    return {
        "a leave message": lambda: a.worker.say(type="leave"),
        "a leave message as C writes it":
            lambda: a.worker.control.send(b'{"type":"leave"}'),
        "the supervisor's end": lambda: a.worker.control.close(),
        "the queue's end":
            lambda: a.queue.send_end.shutdown(socket.SHUT_WR),
        "SIGTERM": lambda: os.kill(a.worker.pid, signal.SIGTERM),
        "SIGINT": lambda: os.kill(a.worker.pid, signal.SIGINT),
    }


WAYS = list(ways_to_leave(None))


@test("W-57 idle and asked to leave, in whatever way, it leaves with exit "
      "status 0, and atexit handlers are run")
def _():
    for way in WAYS:
        with App(ECHO) as a:
            a.ask("/")
            a.worker.idle()
            ways_to_leave(a)[way]()
            equal(a.worker.wait(), 0, way)
            equal(a.journal()[-1], "exit %d" % a.worker.pid, way)


@test("busy and asked to leave, it finishes, serves what is queued, leaves")
def _():
    for way in WAYS:
        with App(ECHO) as a:
            first = a.send("/gate-1")
            reached(a, "/gate-1")
            queued = [a.send("/%d" % n) for n in range(10)]
            ways_to_leave(a)[way]()
            a.put("gate-1")
            equal(first.read().json()[0], "/gate-1", way)
            for n, x in enumerate(queued):
                equal(x.read().json()[0], "/%d" % n, way)
            equal(a.worker.wait(), 0, way)
            equal(a.worker.board[adapter.BOARD_REQUESTS], 11)
            equal(a.worker.state(), adapter.BOARD_DRAINING)


@test("told to retire, it leaves what is queued to others, but for the request"
      " that it may have been woken for")
def _():
    with App(ECHO) as a:
        worker = a.worker
        first = a.send("/gate-4")
        reached(a, "/gate-4")
        queued = [a.send("/%d" % n) for n in range(50)]
        worker.say(type="retire")
        time.sleep(0.15)  # so that it looks at its messages soon
        a.put("gate-4")
        equal(first.read().json()[0], "/gate-4")
        equal(worker.wait(), 0)
        # it, one before it looks, and one after
        assert 2 <= worker.board[adapter.BOARD_REQUESTS] <= 3, (
            worker.board[adapter.BOARD_REQUESTS])
        equal(worker.state(), adapter.BOARD_DRAINING)
        a.start().ready()
        for n, x in enumerate(queued):
            equal(x.read().json()[0], "/%d" % n)
    with App(ECHO) as a:
        a.worker.idle()
        a.worker.say(type="retire")
        equal(a.worker.wait(), 0)


@test("asked to leave, it is draining on the scoreboard, busy while it serves")
def _():
    with App(ECHO) as a:
        x = a.send("/gate-2")
        reached(a, "/gate-2")
        a.worker.say(type="leave")
        equal(a.worker.state(), BUSY)
        equal(a.worker.sleeps_on(), {adapter.CONTROL, adapter.QUEUE})
        y = a.send("/gate-3")
        a.put("gate-2")
        x.read()
        reached(a, "/gate-3")
        equal(a.worker.state(), BUSY)
        equal(a.worker.sleeps_on(), {adapter.CONTROL})
        a.put("gate-3")
        y.read()
        equal(a.worker.wait(), 0)


@test("W-57 start_response() at exit raises, and the exit status is 0")
def _():
    with App("""
from kit import *
import atexit
def application(environ, start_response):
    def late():
        try:
            start_response("200 OK", [])
        except RuntimeError as error:
            journal(error)
    atexit.register(late)
    return reply(start_response, 1)
""") as a:
        a.ask("/")
        a.worker.say(type="leave")
        equal(a.worker.wait(), 0)
        equal(a.journal(), ["start_response() after the request's end"])


@test("SIGTERM ends a start at once")
def _():
    a = App("from kit import *\njournal('importing')\ngate('never')")
    within(LIMIT, lambda: a.journal(), "the import")
    equal(a.worker.state(), adapter.BOARD_STARTING)
    a.worker.kill(signal.SIGTERM)
    equal(a.worker.wait(), -signal.SIGTERM)


@app_test("fault 74: other signals neither end it nor disturb a request",
          ECHO, validate=False)
def _(a):
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
                   signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH,
                   signal.SIGALRM):
        a.worker.idle()
        os.kill(a.worker.pid, number)
        equal(a.ask("/").json(), ["/", a.worker.pid])
        gate = "/gate-%d" % number
        x = a.send(gate)
        reached(a, gate)
        os.kill(a.worker.pid, number)
        a.put(gate[1:])
        equal(x.read().json(), [gate, a.worker.pid])


@app_test("SIGQUIT writes the Python stack into the log, and the request goes "
          "on", ECHO, validate=False)
def _(a):
    x = a.send("/gate-q")
    reached(a, "/gate-q")
    os.kill(a.worker.pid, signal.SIGQUIT)
    within(LIMIT, lambda: "in application" in a.log(), "the stack")
    a.put("gate-q")
    equal(x.read().json()[0], "/gate-q")


@test("fault 8: SIGABRT writes the Python stack into the log and ends it, also"
      " in an endless loop")
def _():
    with App("""
def application(environ, start_response):
    open("there", "w").close()
    while True:
        pass
""") as a:
        x = a.send("/")
        within(LIMIT, lambda: os.path.exists(
            os.path.join(a.directory, "there")), "the loop")
        a.worker.kill(signal.SIGABRT)
        equal(a.worker.wait(), -signal.SIGABRT)
        assert re.search(r'wsgi.py", line \d+,? in application', a.log())
        equal(x.read(whole=False).raw, b"")


@test("faults 2 and 3: a crash in C ends the answer where it is, with the "
      "stack in the log, and the next worker serves the rest")
def _():
    with App("""
from kit import *
import signal
def application(environ, start_response):
    if environ["PATH_INFO"] == "/segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if environ["PATH_INFO"] == "/half":
        start_response("200 OK", [("Content-Length", "10")])(b"half")
        os.kill(os.getpid(), signal.SIGSEGV)
    return reply(start_response, os.getpid())
""") as a:
        for n, (path, body) in enumerate((("/segv", b""), ("/half", b"half"))):
            worker = a.workers[n]
            x = a.send(path)
            later = a.send("/")
            answer = x.read(whole=False)
            equal((answer.body, answer.app_status), (body, None))
            equal(worker.wait(), -signal.SIGSEGV)
            assert "Fatal Python error: Segmentation fault" in a.log()
            a.start().ready()
            equal(later.read().json(), a.workers[-1].pid)


@test("fault 20: os._exit, abort and kill -9 lose that request only")
def _():
    with App("""
from kit import *
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exit0":
        os._exit(0)
    if path == "/exit3":
        os._exit(3)
    if path == "/kill":
        os.kill(os.getpid(), 9)
    if path == "/abort":
        os.abort()
    return reply(start_response, os.getpid())
""") as a:
        for path, status in (("/exit0", 0), ("/exit3", 3), ("/kill", -9),
                             ("/abort", -6)):
            x = a.send(path)
            equal(x.read(whole=False).raw, b"")
            equal(a.workers[-1].wait(), status, path)
            a.start().ready()
            equal(a.ask("/").json(), a.workers[-1].pid)


# The queue


@app_test("W-54 a worker answers one request at a time, in the order in which "
          "they came", ECHO, validate=False)
def _(a):
    first = a.send("/gate-1")
    reached(a, "/gate-1")
    others = [a.send("/%d" % n) for n in range(20)]
    a.put("gate-1")
    for x in [first] + others:
        x.read()
    equal([s for s in a.journal() if s.startswith("called")],
          ["called /gate-1"] + ["called /%d" % n for n in range(20)])


@test("what came before the application was imported is served when it is")
def _():
    a = App("from kit import *\ngate('go')\n" + ECHO)
    waiting = [a.send("/%d" % n) for n in range(20)]
    a.put("go")
    with a:
        for n, x in enumerate(waiting):
            equal(x.read().json()[0], "/%d" % n)


@test("a request goes to one worker, and most of them to the same one")
def _():
    with App(ECHO, workers=4) as a:
        served = {}
        for _ in range(200):
            for worker in a.workers:  # or another one may be quicker
                worker.idle()
            pid = a.ask("/").json()[1]
            served[pid] = served.get(pid, 0) + 1
        equal(sum(served.values()), 200)
        assert max(served.values()) >= 100, served


@test("no request is lost or stranded when a worker leaves that was woken "
      "for it")
def _():
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cpus)])  # where it happens most
    try:
        with App(ECHO) as a:
            for n in range(60):
                leaver = a.workers[-1]
                a.start().ready()
                leaver.idle()
                if n % 3 == 0:
                    leaver.say(type="leave")
                    x = a.send("/")
                elif n % 3 == 1:
                    x = a.send("/")
                    os.kill(leaver.pid, signal.SIGTERM)
                else:
                    x = a.send("/")
                    leaver.say(type="leave")
                equal(x.read().json()[0], "/")
                equal(leaver.wait(), 0)
    finally:
        os.sched_setaffinity(0, cpus)


@test("a request that was stranded by a worker's death is found with look")
def _():
    with App(ECHO, workers=2) as a:
        first, second = a.workers
        first.idle()
        second.idle()
        pid = a.ask("/").json()[1]  # the one that is woken first
        first, second = [w for w in a.workers if w.pid == pid] + [
            w for w in a.workers if w.pid != pid]
        first.idle()
        os.kill(first.pid, signal.SIGSTOP)
        x = a.send("/stranded")
        first.kill()
        second.say(type="look")
        equal(x.read().json(), ["/stranded", second.pid])


@app_test("a message that is no request is dropped, its answer closed, and "
          "the next one served", ECHO, validate=False)
def _(a):
    head = (adapter.WIRE_MAGIC, adapter.WIRE_VERSION, 0, 0, 1, 0, 0, 1, 1,
            clock(), clock() + 10000, 0)

    def message(**fields):
        names = ("magic", "version", "flags", "params", "id", "zero", "body",
                 "responder", "counter", "queued", "not_after", "last")
        return adapter.HEAD.pack(*[fields.get(n, v)
                                   for n, v in zip(names, head)])

    bad = [b"x", b"\0" * 64, message()[:63], message() + b"x",
           message(magic=b"MMYr"), message(version=2), message(version=0),
           message(params=1), message(params=2**32 - 1), message(body=1),
           message(body=2**64 - 1), message(flags=adapter.WIRE_SPOOL),
           message(flags=adapter.WIRE_SPOOL_BODY),
           message(flags=adapter.WIRE_SPOOL_PARAMS), message() * 256]
    for text in bad:
        equal(a.send(message=text).read(whole=False).raw, b"")
    a.send(message=message(), fds=[]).leave()
    equal(a.ask("/").json(), ["/", a.worker.pid])
    equal(a.log().count("dropped a message"), len(bad) + 1)
    equal(a.journal(), ["called /"])


@app_test("a request that is taken after its time gets a 503 with Retry-After,"
          " and the application is not called", ECHO, validate=False)
def _(a):
    for method in ("GET", "HEAD"):
        answer = a.ask("/", method=method, not_after=clock() - 1)
        equal((answer.status, answer.header("X-Mamayo-Error"),
               answer.header("Retry-After"), answer.app_status),
              ("503 Service Unavailable", "queue-full", "5", 0))
        equal(bool(answer.body), method == "GET")
    equal(a.journal(), [])
    equal(a.worker.board[adapter.BOARD_STATUS + 4], 2)
    equal(a.ask("/", not_after=clock() + 1000).status, "200 OK")


@app_test("a request that has waited and whose visitor has gone is dropped; "
          "one that has not is answered", ECHO, validate=False)
def _(a):
    first = a.send("/gate-1")
    reached(a, "/gate-1")
    gone = [a.send("/gone-%d" % n, queued=clock() - 200) for n in range(3)]
    for x in gone:
        x.leave()
    half = a.send("/half", queued=clock() - 200)
    half.sock.shutdown(socket.SHUT_WR)
    there = a.send("/there", queued=clock() - 200)
    a.put("gate-1")
    first.read()
    equal(there.read().json()[0], "/there")
    equal(half.read(whole=False).raw, b"")
    equal([s for s in a.journal() if s.startswith("called")],
          ["called /gate-1", "called /there"])
    equal(a.worker.board[adapter.BOARD_REQUESTS], 2)


@test("MSG_CTRUNC: a worker without a free descriptor leaves at once, and "
      "another serves")
def _():
    source = ECHO + """
kept = []
plain = application
def application(environ, start_response):
    if environ["PATH_INFO"] == "/take-all":
        answer = plain(environ, start_response)
        try:
            while True:
                kept.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        return answer
    return plain(environ, start_response)
"""
    with App(source, setup=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (40, 40))) as a:
        equal(a.ask("/take-all").json()[0], "/take-all")
        # its answer's descriptor is free again: one fits, two do not
        answer = a.send("/", method="POST", body=b"x" * 5000).read(whole=False)
        equal(answer.raw, b"")
        later = a.send("/later")
        equal(a.worker.wait(), 1)
        assert "no descriptor is free" in a.log()
        a.start().ready()
        equal(later.read().json(), ["/later", a.workers[-1].pid])
        assert "called /" not in a.journal()


@app_test("what the supervisor says in another language is ignored", ECHO,
          validate=False)
def _(a):
    for message in (b"x", b"{", b'{"type":"dance"}', b'{"type": "look"}',
                    b"\xff" * 1000, b"[]" * 30000):
        a.worker.control.send(message)
        equal(a.ask("/").json(), ["/", a.worker.pid])
        a.worker.idle()


@test("a queue end and an answer never become nonblocking, and the "
      "application's default timeout does not matter")
def _():
    with App("""
from kit import *
import socket
socket.setdefaulttimeout(0.001)
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    flags = []
    for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            if os.readlink("/proc/self/fd/%d" % fd).startswith("socket"):
                flags.append(os.get_blocking(fd))
        except OSError:
            pass
    yield json.dumps([flags, socket.getdefaulttimeout()]).encode()
    for n in range(100):
        yield b"x" * 100000
""") as a:
        x = a.send("/")
        x.until(b"[[true, true, true], 0.001]xxx")
        within(LIMIT, lambda: a.worker.state() == adapter.BOARD_SENDING,
               "a full socket")
        answer = x.read()
        equal((len(answer.body), answer.app_status), (10**7 + 27, 0))


@app_test("an answer of 4 MiB to a visitor that reads slowly is whole", """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (bytes(bytearray([n % 256])) * 65536 for n in range(64))
""")
def _(a):
    x = a.send("/")
    x.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    while True:
        data = x.sock.recv(3001)
        if not data:
            break
        x.raw += data
    answer = x.read()
    equal(answer.body, b"".join(
        bytes(bytearray([n])) * 65536 for n in range(64)))
    equal(answer.app_status, 0)


# Other processes


FORK = """
from kit import *
def blocks():
    yield b"a"
    os.fork()
    yield b"b"
class Closing(Body):
    def close(self):
        os.fork()
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/pid":
        return reply(start_response, os.getpid())
    start = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/blocks":
        return blocks()
    if path == "/close":
        return Closing([b"ab"])
    child = os.fork() == 0
    journal("child" if child else "parent")
    if path == "/raise":
        raise KeyError(child)
    if path == "/write":
        start(b"a")
        start(b"b")
        return []
    if path == "/exit" and child:
        raise SystemExit(3)
    return [b"ab"] if path != "/empty" else []
"""


@app_test("fault 22: when the application forks and both come back, only the "
          "worker answers, and only the worker takes requests", FORK,
          validate=False)
def _(a):
    for path, body in (("/list", b"ab"), ("/blocks", b"ab"), ("/write", b"ab"),
                       ("/close", b"ab"), ("/exit", b"ab"), ("/empty", b"")):
        answer = a.ask(path)
        equal((answer.status, answer.body, answer.app_status),
              ("200 OK", body, 0), path)
    equal(a.ask("/raise").status, "500 Internal Server Error")
    for _ in range(20):
        equal(a.ask("/pid").json(), a.worker.pid)
    equal(a.log().count("Traceback"), 1)


@app_test("fault 23: a process that the application leaves behind, with all "
          "descriptors, delays neither the answer's end nor the worker's", """
from kit import *
import signal
def application(environ, start_response):
    if environ["PATH_INFO"] == "/fork":
        pid = os.fork()
        if pid == 0:
            os.setsid()
            journal(os.getpid())
            signal.pause()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"forked"]
    return reply(start_response, 1)
""", validate=False)
def _(a):
    equal(a.ask("/fork").body, b"forked")
    within(LIMIT, lambda: a.journal(), "the daemon")
    try:
        equal(a.ask("/").json(), 1)
        a.worker.say(type="leave")
        equal(a.worker.wait(), 0)
    finally:
        os.kill(int(a.journal()[0]), signal.SIGKILL)


@app_test("R-FD1 R-FD2 it has 0 to 5, what it sleeps on and its answer, also "
          "after many requests; a program that it starts has 0, 1 and 2", """
from kit import *
import subprocess
def application(environ, start_response):
    files = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            files[fd] = os.readlink("/proc/self/fd/" + fd).split(":")[0]
        except OSError:
            pass
    theirs = subprocess.check_output("ls -1 /proc/self/fd", shell=True,
                                     close_fds=False).split()
    return reply(start_response, [files, [int(n) for n in theirs]])
""", validate=False)
def _(a):
    for n in range(30):
        files, theirs = a.ask("/", method="POST", body=b"x" * (
            10000 * (n % 2))).json()
        log = a.worker.log_path
        assert files.pop("5").startswith(os.path.dirname(log)), files
        extra = sorted(files.pop(fd) for fd in list(files) if int(fd) > 4)
        equal(files, {"0": "/dev/null", "1": log, "2": log, "3": "socket",
                      "4": "socket"})
        spool = [f for f in extra if f.endswith("(deleted)")]
        equal(len(spool), n % 2)
        equal([f for f in extra if f not in spool],
              ["anon_inode", "socket"])
        equal([fd for fd in theirs if fd > 3], [])


@test("fault 13 and 25: an application that closes all descriptors ends this "
      "worker, and no other")
def _():
    with App("""
from kit import *
def application(environ, start_response):
    if environ["PATH_INFO"] == "/close":
        os.closerange(3, 65536)
    return reply(start_response, os.getpid())
""") as a:
        x = a.send("/close")
        equal(x.read(whole=False).raw, b"")
        equal(a.worker.wait(), 1)
        assert "Bad file descriptor: has the application closed" in a.log()
        assert "Traceback" not in a.log()
        a.start().ready()
        equal(a.ask("/").json(), a.workers[-1].pid)


@app_test("fault 25: an application may change signal handlers, the umask, "
          "the directory and limits", """
from kit import *
import resource, signal
home = os.getcwd()
def application(environ, start_response):
    if environ["PATH_INFO"] == "/change":
        for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o777)
        os.chdir("/")
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"x" * 100000 for _ in range(10000))
    return reply(start_response, os.getpid())
""", validate=False)
def _(a):
    for path in ("/change", "/", "/change", "/"):
        equal(a.ask(path).json(), a.worker.pid)
    x = a.send("/large")  # with SIGPIPE at its default
    x.until(b"x")
    x.leave()
    equal(a.ask("/").json(), a.worker.pid)
    a.worker.say(type="leave")
    equal(a.worker.wait(), 0)


@test("fault 27: an application that replaces parts of the standard library "
      "changes nothing for the worker")
def _():
    with App("""
from kit import *
import select, signal, socket, struct, io, mmap, _socket, _signal
def broken(*args, **kw):
    raise RuntimeError("replaced")
cwd = os.getcwd()
exists, sleep, monotonic, dumps = (os.path.exists, time.sleep, time.monotonic,
                                   json.dumps)
for module, names in (
        (select, "epoll poll select"), (socket, "socket socketpair"),
        (signal, "signal set_wakeup_fd"), (struct, "Struct pack unpack"),
        (_socket, "socket SocketType getdefaulttimeout setdefaulttimeout"),
        (_signal, "signal"), (mmap, "mmap"), (time, "monotonic strftime"),
        (os, "fork close read pread write getpid _exit urandom fstat")):
    for name in names.split():
        setattr(module, name, broken)
def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([body[:5], body[5:]])
""") as a:
        for size in (0, 10, 10000, 10**6):
            body = b"x" * size
            answer = a.ask("/", method="POST", body=body)
            equal((answer.body, answer.app_status), (body, 0))
            a.worker.idle()
        a.worker.say(type="leave")
        equal(a.worker.wait(), 0)


@app_test("W-56 threads of the application run between requests", """
from kit import *
import threading
def ticking():
    for n in range(3):
        gate("tick-%d" % n)
        journal(n)
def application(environ, start_response):
    threading.Thread(target=ticking).start()
    return reply(start_response, 1)
""", validate=False)
def _(a):
    a.ask("/")
    a.worker.idle()
    for n in range(3):
        a.put("tick-%d" % n)
        within(LIMIT, lambda: len(a.journal()) == n + 1, "a tick")


# The scoreboard


@app_test("the scoreboard tells which request is served, since when, and "
          "whether something was written", """
from kit import *
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    gate("g1")
    yield b"x" * 100
    gate("g2")
    yield b"y" * 50
    gate("g3")
""", validate=False)
def _(a):
    board, before = a.worker.board, clock()
    a.worker.idle()
    equal([board[n] for n in range(1, 4)], [adapter.BOARD_IDLE, 0, 0])
    assert before - LIMIT * 1000 <= board[adapter.BOARD_STARTED] <= clock()
    x = a.send("/caf\xc3\xa9", responder=2**64 - 3, mount="/m")
    within(LIMIT, lambda: a.worker.state() == BUSY, "a busy worker")
    equal([board[adapter.BOARD_RESPONDER], board[adapter.BOARD_COUNTER]],
          [2**64 - 3, a.queue.counter])
    equal(board.url(), b"/m/caf\xc3\xa9")
    equal(board[adapter.BOARD_WROTE], 0)
    started = board[adapter.BOARD_STARTED]
    assert before <= started <= clock()
    within(LIMIT, lambda: clock() > started + 1, "the clock")
    written = clock()
    a.put("g1")
    x.until(b"x" * 100)
    within(LIMIT, lambda: board[adapter.BOARD_PROGRESS] >= written)
    equal([board[adapter.BOARD_WROTE], board[adapter.BOARD_STARTED]],
          [adapter.BOARD_RECORDS, started])
    equal(a.worker.state(), BUSY)
    a.put("g2")
    a.put("g3")
    x.read()
    a.worker.idle()
    equal([board[n] for n in range(1, 4)], [adapter.BOARD_IDLE, 0, 0])
    equal([board[adapter.BOARD_REQUESTS], board[adapter.BOARD_BYTES]],
          [1, 150])


@app_test("the scoreboard counts requests, bytes, statuses and times, and an "
          "answer that has arrived is counted", """
from kit import *
def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise KeyError
    start_response(environ["PATH_INFO"][1:] + " Status", [])
    return Closing([b"12345"]) if environ["QUERY_STRING"] else [b"12345"]
class Closing(Body):
    def close(self):
        gate("counted")
""", validate=False)
def _(a):
    board = a.worker.board
    x = a.send("/200?close")
    while not x.raw.endswith(b"\1\3\0\1\0\x08" + b"\0" * 10):
        x.more()  # up to END_REQUEST
    equal([board[adapter.BOARD_REQUESTS], board[adapter.BOARD_STATUS + 1],
           board[adapter.BOARD_BYTES], a.worker.state()], [1, 1, 5, BUSY])
    a.put("counted")
    x.read()
    for path in ("/200", "/204", "/302", "/404", "/404", "/503", "/raise",
                 "/999"):
        a.ask(path)
    equal([board[adapter.BOARD_STATUS + n] for n in range(5)],
          [0, 3, 1, 2, 3])
    equal(board[adapter.BOARD_REQUESTS], 9)
    equal(sum(board[adapter.BOARD_LATENCY + n] for n in range(16)), 9)
    size = board[adapter.BOARD_BYTES]
    a.ask("/200")
    equal(board[adapter.BOARD_BYTES], size + 5)
    a.ask("/200", method="HEAD")
    equal(board[adapter.BOARD_BYTES], size + 5)


@app_test("times are counted by powers of two", """
from kit import *
def application(environ, start_response):
    time.sleep(int(environ["QUERY_STRING"]) / 1000.)
    return reply(start_response, 1)
""", validate=False)
def _(a):
    a.ask("/?70")
    board = a.worker.board
    found = [n for n in range(16) if board[adapter.BOARD_LATENCY + n]]
    assert found and found[0] >= 7, found  # 2^6 = 64 ms are passed
    equal(sum(board[adapter.BOARD_LATENCY + n] for n in range(16)), 1)


@app_test("a URL of any length fits on the scoreboard", ECHO, validate=False)
def _(a):
    for size in (1, 510, 511, 512, 513, 5000, 1):
        path = "/" + "x" * (size - 1)
        equal(a.ask(path, mount="").json()[0], path)
        equal(a.worker.board.url(), path[:512].encode())
    equal(a.worker.board[adapter.BOARD_MAGIC], 0x31626d796f79616d)
    equal(os.pread(a.worker.board_fd, 4096, 1024 + 512), b"\0" * 2560)


@app_test("after waiting for a slow visitor a worker is busy again", """
from kit import *
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"x" * 10**6
    journal("sent")
    gate("go")
""", validate=False)
def _(a):
    x = a.send("/")
    within(LIMIT, lambda: a.worker.state() == adapter.BOARD_SENDING)
    x.until(b"x" * 10**6)
    within(LIMIT, lambda: a.journal(), "the application")
    equal(a.worker.state(), BUSY)
    a.put("go")
    equal(x.read().app_status, 0)


@test("waiting for a slow visitor is sending on the scoreboard, and ends with "
      "the visitor")
def _():
    with App("""
from kit import *
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body(b"x" * 10**6 for _ in range(100))
""") as a:
        x = a.send("/")
        within(LIMIT, lambda: a.worker.state() == adapter.BOARD_SENDING,
               "a full socket")
        was = a.worker.board[adapter.BOARD_PROGRESS]
        x.leave()
        a.worker.idle()
        equal(a.journal(), ["closed body"])
        assert a.worker.board[adapter.BOARD_PROGRESS] >= was


@test("an idle worker does not wake up")
def _():
    with App(ECHO) as a:
        a.ask("/")
        a.worker.idle()

        def switches():
            with open("/proc/%d/status" % a.worker.pid) as file:
                return re.findall(r"ctxt_switches:\t(\d+)", file.read())

        before = switches()
        time.sleep(0.5)
        equal(switches(), before)


run()
