"""Applications that misbehave, before the accelerator: whatever they do, the
interpreter does not crash, and the next request is answered. The process may
end by their doing, but never by a signal.

Seeds are in the lines of the tests: MAMAYO_SEED=SEED python3 t/2090-...
"""
import os
import random
import re
import socket

from harness import Skip, equal, run, test, within
from wsgi_harness import (HAS_ACCEL, LIMIT, SANITIZERS, Answer, App, adapter,
                          with_accelerator)

SEED = int(os.environ.get("MAMAYO_SEED") or random.randrange(2**32))
ROUNDS = int(os.environ.get("MAMAYO_ROUNDS") or 0)
PAGE = "500 Internal Server Error"


def hostile(title, source, **options):
    """A test of one application with the accelerator."""
    def add(function):
        @test(title)
        def _():
            if not HAS_ACCEL:
                raise Skip("built without the accelerator")
            with with_accelerator(True), App(source, **options) as app:
                return function(app)
        return function
    return add


def has_ended(worker):
    """Then it must not have crashed."""
    if worker.status is None:
        pid, status = os.waitpid(worker.pid, os.WNOHANG)
        if not pid:
            return False
        worker.status = (-os.WTERMSIG(status) if os.WIFSIGNALED(status)
                         else os.WEXITSTATUS(status))
    log = worker.log()
    assert worker.status >= 0, "signal %d: %s" % (-worker.status, log[-3000:])
    # CPython itself may say so of a function in Python when memory is out
    wrong = re.search(r"Sanitizer|runtime error|Fatal Python error"
                      r"|SystemError: <(?!function)", log)
    assert not wrong, log[max(0, wrong.start() - 1500):wrong.end() + 500]
    return True


def well(a):
    """The next request but one is answered, by another worker if this one has
    left by the application's doing, which may be after the first."""
    settled(a, a.send("/well"))
    x = a.send("/well")
    settled(a, x)
    equal(Answer(x.raw, x.id, True).json(), "well")


def settled(a, x):
    """Reads an answer to its end, whatever it is, and sees what has become of
    the worker."""
    stayed = True
    x.sock.settimeout(.2)
    for _ in range(5 * LIMIT):
        try:
            if not x.more():
                break
        except socket.timeout:
            if has_ended(a.workers[-1]):
                a.start().ready()
                stayed = False
    x.sock.close()
    worker = a.workers[-1]
    within(LIMIT, lambda: worker.state() == adapter.BOARD_IDLE
           or has_ended(worker), "the request's end")
    if has_ended(worker):
        a.start().ready()
        stayed = False
    return stayed


WELL = """
from kit import *
def well(environ, start_response):
    if environ["PATH_INFO"] == "/well":
        return reply(start_response, "well")
"""


@hostile("the sanitizers are there, if this is their build", WELL + """
application = lambda e, s: reply(s, "asan" in open("/proc/self/maps").read())
""")
def _(a):
    equal(a.ask("/").json(), bool(SANITIZERS))


@hostile("what start_response and write are cannot be made, copied, changed or"
         " kept alive to do harm", WELL + """
import copy, gc, pickle, sys, weakref
def application(environ, start_response):
    if environ["PATH_INFO"] == "/well":
        return well(environ, start_response)
    kind = type(start_response)
    write = start_response("200 OK", [])
    raised = []
    for attempt in (
            lambda: kind(), lambda: kind.__new__(kind),
            lambda: object.__new__(kind), lambda: copy.copy(start_response),
            lambda: copy.deepcopy(start_response),
            lambda: pickle.dumps(start_response),
            lambda: type("Sub", (kind,), {}),
            lambda: setattr(start_response, "x", 1),
            lambda: setattr(start_response, "__class__", int),
            lambda: weakref.ref(start_response),
            lambda: copy.copy(write), lambda: pickle.dumps(write),
            lambda: type(write)(), lambda: kind.__call__(5, "200 OK", []),
            lambda: kind.__init__(start_response, 1)):
        try:
            attempt()
            raised.append(None)
        except (TypeError, AttributeError, copy.Error,
                pickle.PicklingError) as error:
            raised.append(type(error).__name__)
    repr(start_response), dir(start_response), hash(start_response)
    start_response == write, str(write), write.__self__, gc.get_referrers(write)
    import mamayo_accel
    for attempt in (lambda: mamayo_accel.Accelerator(),
                    lambda: mamayo_accel.Accelerator(1, 2),
                    lambda: mamayo_accel.Accelerator(worker=1),
                    lambda: mamayo_accel.Accelerator.__new__(
                        mamayo_accel.Accelerator).serve()):
        try:
            attempt()
            raised.append(None)
        except (TypeError, RuntimeError) as error:
            raised.append(type(error).__name__)
    return [json.dumps(raised).encode()]
""")
def _(a):
    for _ in range(3):
        raised = a.ask("/").json()
        equal([n for n, r in enumerate(raised) if r is None and n not in
               (10, 14)], [], raised)
        well(a)


RECURSE = WELL + """
import sys
class Deep:
    def __init__(self, start): self.start = start
    def __iter__(self): return self
    def __next__(self): return next(self)
    def close(self): self.close()
    def __getattr__(self, name): return getattr(self, name)
def down(n, act):
    return act() if n == 0 else down(n - 1, act)
def application(environ, start_response):
    what = environ["PATH_INFO"]
    if what == "/well":
        return well(environ, start_response)
    if what == "/self":
        return application(environ, start_response)
    if what == "/iterate":
        start_response("200 OK", [])
        return Deep(start_response)
    # close to the limit, at every distance
    room = sys.getrecursionlimit() - int(environ["QUERY_STRING"])
    def act():
        write = start_response("200 OK", [("X-New", "a"), ("X-Bad", "b")]
                               if what == "/start" else [("X-Bad", None)]
                               if what == "/bad" else [])
        write(b"x")
        write(bytearray(b"y"))
        return [b"deep"]
    return down(room, act)
"""


@hostile("recursion, and start_response and write at every distance from its "
         "limit", RECURSE)
def _(a):
    for path in ("/self", "/iterate"):
        settled(a, a.send(path))
        well(a)
    for distance in range(1, 40):
        for path in ("/start", "/bad", "/none"):
            settled(a, a.send("%s?%d" % (path, distance)))
    well(a)


THREADS = WELL + """
import sys, threading
sys.setswitchinterval(1e-6)
kept = []
def trouble(start_response, seen):
    for n in range(50):
        for act in (lambda: start_response("200 OK", [("X-%d" % n, "v")]),
                    lambda: start_response("200 OK", [("X", None)]),
                    lambda: start_response("2 OK", []),
                    lambda: kept[-1](b"x" * 100000),
                    lambda: kept[-1](bytearray(b"y"))):
            try:
                kept.append(act() or kept[-1])
                del kept[:-1]
            except Exception as error:
                seen.add(type(error).__name__)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/well":
        return well(environ, start_response)
    seen = set()
    threads = [threading.Thread(target=trouble, args=(start_response, seen))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        kept.append(start_response("200 OK", [("X-Main", "m")]))
    except Exception:
        pass
    if environ["PATH_INFO"] == "/join":
        for thread in threads:
            thread.join()
    def blocks():
        for n in range(50):
            yield b"z" * 50000
    return blocks()
"""


@hostile("threads that call start_response and write at the same time, and "
         "after the request's end", THREADS)
def _(a):
    for n in range(4):
        for path in ("/join", "/leave"):
            settled(a, a.send(path))
    well(a)


LATE = """
from kit import *
import threading
class Late:
    "A socket that is full, for who comes while the request goes on."
    def __init__(self, answer):
        self.answer, self.real = answer, answer.socket
    def __getattr__(self, name):
        return getattr(self.real, name)
    def send(self, *args):
        if threading.current_thread() is threading.main_thread():
            return self.real.send(*args)
        journal("in send()")
        gate("go")
        raise BlockingIOError
def late(write):
    try:
        write(b"from a thread")
    except Exception as error:
        journal(type(error).__name__)
def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"begun")
    answer = write.__self__
    answer.socket = Late(answer)
    threading.Thread(target=late, args=(write,)).start()
    while not os.path.exists("journal"):
        time.sleep(.001)
    return [b", ended"]
"""


@test("without the accelerator, a thread that writes when its request ends "
      "leaves the board alone")
def _():
    with with_accelerator(False), App(LATE) as a:
        equal(a.ask("/").body, b"begun, ended")
        within(LIMIT, lambda: a.worker.state() == adapter.BOARD_IDLE)
        a.put("go")
        within(LIMIT, lambda: len(a.journal()) == 2)
        equal(a.journal(), ["in send()", "VisitorGone"])
        equal(a.worker.state(), adapter.BOARD_IDLE)
        equal(a.worker.log(), "")


SIGNALS = WELL + """
import signal
class Alarm(BaseException):
    pass
ticks = [0]
def tick(*args):
    ticks[0] += 1
def alarm(*args):
    raise Alarm
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/well":
        signal.setitimer(signal.ITIMER_REAL, 0)
        return well(environ, start_response)
    if path == "/tick":
        signal.signal(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, .0003, .0003)
    if path == "/alarm":
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, .005)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"x" * 300000, b"y" * 300000])
"""


@hostile("signals as fast as they come change no answer", SIGNALS)
def _(a):
    pid = a.worker.pid
    for _ in range(100):
        answer = a.ask("/tick")
        equal((answer.body, answer.app_status),
              (b"x" * 300000 + b"y" * 300000, 0))
    a.worker.idle()
    equal(a.worker.pid, pid)
    well(a)


@hostile("an exception that a signal's handler raises while a visitor is slow "
         "cuts the answer, and no more", SIGNALS)
def _(a):
    for _ in range(5):
        x = a.send("/alarm")
        within(LIMIT, lambda: "Alarm" in a.workers[-1].log()
               or a.workers[-1].state() == adapter.BOARD_IDLE, "the alarm")
        settled(a, x)
    well(a)


FORKS = WELL + """
import ctypes, sys
fork = ctypes.CDLL(None).fork
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/well":
        return well(environ, start_response)
    def go(when):
        if path == when:
            if fork() == 0:
                journal("child", path)
    go("/start")
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    go("/started")
    if path == "/write":
        write(b"a")
        go("/write")
        write(b"b")
        return []
    if path == "/raise":
        go("/raise")
        raise KeyError(path)
    if path == "/deoptimised":
        write(bytearray(b"ab"))
        go("/deoptimised")
        return []
    class Result:
        def __iter__(self):
            go("/iter")
            return iter([b"a", b"b"])
        def close(self):
            go("/close")
    return Result()
"""


@hostile("a fork that Python does not see: both come back, one answers",
         FORKS)
def _(a):
    for path in ("/start", "/started", "/write", "/raise", "/deoptimised",
                 "/iter", "/close"):
        answer = a.ask(path)
        equal(answer.app_status, 0)
        equal((answer.status, answer.body) if path != "/raise"
              else answer.status, ("200 OK", b"ab") if path != "/raise"
              else PAGE, path)
        for _ in range(3):
            well(a)
        within(LIMIT, lambda: "child " + path in a.journal(), "the child")
    equal(a.worker.board[adapter.BOARD_REQUESTS], 49)


MEMORY = WELL + """
import _testcapi, sys
class Result:
    def __init__(self, at): self.at = at
    def __iter__(self):
        short("iter", self.at)
        yield b"one"
        short("next", self.at)
        yield b"two"
    def close(self):
        short("close", self.at)
class Wide(str):
    pass
first = 0
def short(when, at):
    if when == at:
        _testcapi.set_nomemory(first, first + size)
def application(environ, start_response):
    _testcapi.remove_mem_hooks()
    if environ["PATH_INFO"] == "/well":
        return well(environ, start_response)
    global first, size
    at, first, size = environ["PATH_INFO"][1:].split("/")
    first, size = int(first), int(size)
    short("start", at)
    write = start_response("200 OK", [("X-" + at, "v"), ("X-Fix", "w")])
    short("write", at)
    if at == "bad":
        short("bad", at)
        write(Wide("not bytes"))
    if at == "write":
        write(b"x" * 70000)
    short("return", at)
    if at == "raise":
        short("raise", at)
        raise KeyError(at)
    if at == "list":
        short("list", at)
        return [b"a", b"b" * 100]
    return Result(at)
"""


def has_testcapi():
    return os.spawnlp(os.P_WAIT, "/usr/bin/python3", "python3", "-c",
                      "import _testcapi; _testcapi.set_nomemory") == 0


@hostile("memory that runs out, at every allocation after every step",
         MEMORY)
def _(a):
    if not has_testcapi():
        raise Skip("Python's _testcapi is not installed")
    stayed = left = 0
    every = [(at, first, size) for at in (
        "start", "write", "return", "list", "iter", "next", "close", "bad",
        "raise") for first in range(1, 31) for size in (1, 3)]
    chosen = random.Random(SEED).sample(every, ROUNDS and len(every) or 80)
    for at, first, size in chosen:
        if settled(a, a.send("/%s/%d/%d" % (at, first, size))):
            stayed += 1
        else:
            left += 1
    well(a)
    return "seed %d, %d times it stayed, %d it left" % (SEED, stayed, left)


LIMITED = WELL + """
import resource
def application(environ, start_response):
    if environ["PATH_INFO"] == "/well":
        return well(environ, start_response)
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (size + (8 << 20),) * 2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x" * (1 << 20) for _ in range(100)]
"""


@hostile("a limit of memory that is reached: a page, and the worker leaves",
         LIMITED)
def _(a):
    if SANITIZERS:
        return "not here: a sanitizer needs memory without a limit"
    answer = a.ask("/")
    equal((answer.status, answer.app_status), (PAGE, 0))
    equal(a.worker.wait(), 0)
    a.start().ready()
    well(a)


# Everything at once, from a seed.
FUZZ = WELL + """
import io, random, sys, threading, gc
class Error(BaseException): pass
class Evil:
    "Raises from everything, or returns nonsense."
    r = random.Random(0)
    def trouble(self, *args):
        r = Evil.r
        x = r.random()
        if x < .3:
            raise r.choice([Error, KeyError, SystemExit, StopIteration,
                            RecursionError, OSError, GeneratorExit])("evil")
        if x < .4:
            gc.collect()
        return r.choice([None, 1, "", b"", b"evil", [], (), True, -1,
                         2**70, self, "200 OK", [("A", "b")]])
    __len__ = __iter__ = __next__ = __eq__ = __hash__ = __call__ = trouble
    __bool__ = __getitem__ = __contains__ = __index__ = __int__ = trouble
    __str__ = __repr__ = __bytes__ = __enter__ = __float__ = trouble
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.trouble()
class EvilStr(Evil, str):
    __hash__ = Evil.trouble
class EvilBytes(Evil, bytes): pass
class EvilList(Evil, list): pass
class EvilTuple(Evil, tuple): pass
def thing(r, depth=0):
    return r.choice([
        lambda: Evil(), lambda: EvilStr("200 OK"), lambda: EvilBytes(b"ev"),
        lambda: EvilList([b"a"]), lambda: EvilTuple((b"a", b"b")),
        lambda: None, lambda: 7, lambda: "text", lambda: "200 OK",
        lambda: b"bytes", lambda: bytearray(b"array"),
        lambda: memoryview(b"view"), lambda: [], lambda: (), lambda: {},
        lambda: [thing(r, depth + 1) for _ in range(r.randrange(4))]
            if depth < 3 else 0,
        lambda: tuple(thing(r, depth + 1) for _ in range(2))
            if depth < 3 else 0,
        lambda: (thing(r, depth + 1) for _ in range(3)) if depth < 3 else 0,
        lambda: io.BytesIO(b"lines\\nof\\nfile"), lambda: object(),
        lambda: "\\udc80", lambda: b"x" * 200000, lambda: iter([b"a", b"b"]),
        lambda: [("Content-Length", "5")], lambda: [("X-A", "b")] * 5])()
def application(environ, start_response):
    if environ["PATH_INFO"] == "/well":
        return well(environ, start_response)
    r = Evil.r = random.Random(environ["QUERY_STRING"])
    writes = []
    for _ in range(r.randrange(4)):
        try:
            writes.append(start_response(*[thing(r) for _ in range(
                r.choice([2, 2, 2, 2, 0, 1, 3, 4]))]))
        except BaseException:
            pass
        try:
            if r.random() < .7:
                writes.append(start_response("200 OK", [("X-A", "b")]))
            if writes and r.random() < .5:
                writes[-1](thing(r))
        except BaseException as error:
            if r.random() < .2:
                raise
    if r.random() < .1:
        environ[thing(r) if r.random() < .1 else "x"] = start_response
    if r.random() < .1:
        environ["wsgi.input"].close()
    return thing(r)
"""


@hostile("things of every wrong type, drawn from a seed", FUZZ)
def _(a):
    r = random.Random(SEED)
    rounds = ROUNDS or 500
    for n in range(rounds):
        settled(a, a.send("/?%d" % r.randrange(2**32)))
        if n % 50 == 0:
            well(a)
    return "seed %d, %d rounds" % (SEED, rounds)


run()
