"""The kill matrix: at every test point, in every role, a process is killed,
stopped, made to spin, or refused what it asks for next, while three requests
are made: one before, one at, and one after the point.

    python3 t/matrix.py [--jobs N] [--points REGEX] [--actions kill,stop...]
                        [--every] [--scenario NAME]

First each scenario below runs undisturbed, to see which points it passes; a
point of the sources that none passes is a failure. Then each point is tried
with each action in the first scenario that passes it (--every: in all). The
rules that must hold are in Trial.judge() and in allowed(). Needs a build with
--enable-testpoints.

The clock of the processes is moved (Clock): after a hang it runs SPEED times
as fast, so that 13 seconds are one and a half.
"""
import argparse
import concurrent.futures
import errno
import json
import mmap
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time

import fcgi
import harness
from harness import PROGRAM, SRCDIR, within
from mamayo import Mamayo, Process, alive, kill

SPEED = 8           # of the clock after a hang
KILL_LIMIT = 1.0    # seconds until a fresh request is served after a kill
HANG_LIMIT = 16.0   # the clock's seconds after a hang
SLACK = 2.0         # for a machine that does other things, too
START_TIMEOUT = 20
ACTIONS = "kill", "stop", "spin", "errno"
HANGS = "stop", "spin"
ERRNO = {  # what the call there may fail with; else ENOMEM
    "responder:connect": errno.ECONNREFUSED,
    "responder:queue-send": errno.EAGAIN,
    "supervisor:fork": errno.EAGAIN, "responder:fork-candidate": errno.EAGAIN,
    "supervisor:unpack": errno.ENOSPC, "supervisor:setback": errno.ENOSPC,
    "supervisor:board-made": errno.ENOSPC,
    "supervisor:name-board": errno.EACCES,
}
TICK = "supervisor:tick"  # passed once a second, whatever happens
SOURCES = ("lib", "fcgi", "adapters")
APP = """
import os, signal, time

HERE = os.environ["MAMAYO_TEST"]

def note(*words):
    with open(HERE + "/journal", "a") as f:
        f.write(" ".join(words) + "\\n")

def application(environ, start_response):
    told = dict(w.split("=") for w in environ["QUERY_STRING"].split("&") if w)
    note("called", told["id"])
    if "deaf" in told:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGABRT])
    if "die" in told:
        os.kill(os.getpid(), 9)
    end = time.time() + 60
    while "gate" in told and time.time() < end and not os.path.exists(
            os.path.join(HERE, told["gate"])):
        time.sleep(0.005)
    body = b"answer " + told["id"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
NEW_APP = APP.replace('told["id"])', 'told["id"], "new")')
LIGHTTPD = "lighttpd/1.4.69"  # answered directly


def points_of_sources():
    """{name: whether it can fail with an errno}"""
    found = {}
    for place in SOURCES:
        for name in sorted(os.listdir(os.path.join(SRCDIR, place))):
            path = os.path.join(SRCDIR, place, name)
            if (not name.endswith((".c", ".py")) or name == "adapters.c"
                    or "testpoint" in name):
                continue
            with open(path, encoding="utf-8") as f:
                text = f.read()
            for kind, point in re.findall(
                    r'TESTPOINT(_FAILS|)\(\s*"([^"]+)"\)', text):
                found[point] = found.get(point, False) or kind != ""
            for point in re.findall(r'#@ at\("([^"]+)"\)', text):
                found.setdefault(point, False)
    return found


def role_of(point):
    return point.partition(":")[0]


class Clock:
    """What the processes of an account take for the time."""

    def __init__(self, directory):
        path = os.path.join(directory, "clock")
        with open(path + ".new", "wb") as f:
            f.write(bytes(16))
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 16)
        self.numbers = memoryview(self.page).cast("q")
        self.speed = 1
        self.thread = None

    def advance(self, seconds, wall=None):
        self.numbers[0] += int(seconds * 1000)
        self.numbers[1] += int((seconds if wall is None else wall) * 1000)

    def now(self):
        return time.monotonic() + self.numbers[0] / 1000

    def run(self, speed):
        """Goes on that fast from now on."""
        self.speed = speed
        if self.thread is None:
            self.thread = threading.Thread(target=self._run, daemon=True)
            self.thread.start()

    def _run(self):
        last = time.monotonic()
        while True:
            time.sleep(0.01)
            now = time.monotonic()
            self.advance((now - last) * (self.speed - 1))
            last = now


class Asked:
    """A request on its way."""

    def __init__(self, trial, id, number, app="blog", doors="", **more):
        self.id, self.number, self.app = id, number, app
        self.began, self.seconds = time.monotonic(), None
        self.got = self.connection = None
        self.is_direct = more.get("SERVER_SOFTWARE") == LIGHTTPD
        try:
            self.connection = fcgi.Connection(trial.sockets[number])
            self.connection.send(fcgi.request(
                "/%s/?id=%s%s" % (app, id, doors), **more))
        except (OSError, fcgi.ProtocolError):
            self.got = "nothing"

    def outcome(self, seconds):
        """"ok", "STATUS CODE" of a page, "cut", "nothing" or "silence"."""
        if self.got is not None:
            return self.got
        self.connection.socket.settimeout(max(seconds, 0.01))
        try:
            answer = self.connection.answer()
            if answer.error is not None:
                self.got = "%d %s" % (answer.status, answer.error)
            else:
                self.got = ("ok" if answer.status == 200 and answer.body
                            == b"answer " + self.id.encode() else
                            "wrong %r" % answer)
        except TimeoutError:
            return "silence"
        except OSError:
            self.got = "nothing"
        except fcgi.Cut as why:
            self.got = "cut" if why.text else "nothing"
        except fcgi.ProtocolError as why:
            self.got = "wrong %s" % why
        self.seconds = time.monotonic() - self.began
        self.connection.close()
        return self.got


class Trial(Mamayo):
    """One account, one scenario, one point, one action."""

    def __init__(self, scenario, **settings):
        values = {"timeout": 4, "queue_timeout": 60,
                  "start_timeout": START_TIMEOUT,
                  "stop_timeout": 2, "grace": 5, "linger": 30,
                  "max_workers": 6, "workers": {"max": 2}}
        values.update(settings)
        Mamayo.__init__(self)
        self.scenario = scenario
        self.points = os.path.join(self.dir, "points")
        os.mkdir(self.points)
        open(os.path.join(self.points, "passed"), "w").close()
        self.clock = Clock(self.points)
        self.environment["MAMAYO_TESTPOINTS"] = self.points
        self.settings(env={"MAMAYO_TEST": self.dir,
                           "MAMAYO_TESTPOINTS": self.points}, **values)
        self.app("blog", APP, **scenario.app)
        self.all = []
        self.wrong = []
        self.number = 0
        self.hit_pid = None
        self.most = 0  # descriptors of a responder in the end

    # -- points ------------------------------------------------------------

    def arm(self, point, order):
        path = os.path.join(self.points, point)
        with open(path + ".new", "w") as f:
            f.write(order)
        os.rename(path + ".new", path)

    def passed(self):
        """[(point, pid, action)]"""
        with open(os.path.join(self.points, "passed")) as f:
            lines = [w.split(" ", 2) for w in f.read().split("\n")[:-1]]
        return [(point, int(pid), order) for point, pid, order in lines]

    def hit(self, point):
        for name, pid, order in self.passed():
            if name == point and order != "-":
                return pid
        return None

    def command(self, *arguments, **how):
        """Commands are not to be struck."""
        how.setdefault("env", {"MAMAYO_TESTPOINTS": ""})
        return Mamayo.command(self, *arguments, **how)

    def settle(self):
        """What has been begun is over: no point is passed for a while."""
        def quiet():
            before = len([p for p in self.passed() if p[0] != TICK])
            time.sleep(0.1)
            return len([p for p in self.passed() if p[0] != TICK]) == before
        within(10, quiet, "silence")

    # -- requests ----------------------------------------------------------

    def ask(self, what, number=0, app="blog", doors="", **more):
        self.number += 1
        for name, value in self.scenario.request.items():
            more.setdefault(name, value)
        asked = Asked(self, "%s-%d" % (what, self.number), number, app,
                      doors, **more)
        self.all.append(asked)
        return asked

    def sure(self, what, number=0, **how):
        """A request that must be served."""
        asked = self.ask(what, number, **how)
        got = asked.outcome(20)
        if got != "ok":
            raise AssertionError("%s: %s" % (asked.id, got))
        return asked

    # -- what must hold ----------------------------------------------------

    def complain(self, text):
        self.wrong.append(text)

    def judge_journal(self):
        called = [w.split()[1] for w in self.journal()]
        for asked in self.all:
            n = called.count(asked.id)
            if n > 1:
                self.complain("%s was given to the application %d times" % (
                    asked.id, n))
            if asked.got == "ok" and n != 1:
                self.complain("%s is answered, but was not asked" % asked.id)

    def judge_supervisor(self):
        def one():
            found = self.supervisors()
            return len(found) == 1 and self.lock_holder() == found[0]
        try:
            within(15, one)
        except AssertionError:
            self.complain("not one supervisor: %r, lock of %d" % (
                [p for p in self.processes().values()
                 if p.name == "mamayo.fcgi"], self.lock_holder()))

    def judge_descriptors(self, before):
        for pid, count in before.items():
            if not alive(pid):
                continue
            try:
                within(10, lambda pid=pid, count=count: len(
                    Process(pid).descriptors()) <= count)
            except AssertionError:
                self.complain("process %d had %d descriptors, now %r" % (
                    pid, count, Process(pid).descriptors()))

    def rate(self):
        """How many descriptors responders have when all is well."""
        return {pid: len(Process(pid).descriptors())
                for pid in self.responders if alive(pid)}


# -- scenarios ---------------------------------------------------------------

class Scenario:
    """begin() is undisturbed; provoke() leads to the points, and nudge() is
    called again and again until they are passed."""

    app = {}       # settings of the application
    request = {}   # parameters of all requests
    settings = {}
    expected = ()  # what may become of the requests, whatever is done
    hangs = False  # it takes a fault's time, whatever is done
    listens = False
    seconds = 10   # until the points have been passed

    def begin(self, t):
        self.start(t)
        for number in range(2):
            t.sure("before", number)

    def start(self, t):
        t.start(2)

    def provoke(self, t):
        t.ask("at", 0)

    def nudge(self, t):
        pass

    def resume(self, t):
        """The fault has happened: what was held back goes on."""

    def mend(self, t, got):
        """A fresh request has got this: what the owner does then."""

    def finish(self, t):
        """What else must hold in the end."""


class Cold(Scenario):
    """Nothing runs but responders."""

    def begin(self, t):
        self.start(t)


class Warm(Scenario):
    """An answer that passes the responder."""


class Direct(Scenario):
    request = {"SERVER_SOFTWARE": LIGHTTPD}


class Python(Scenario):
    """Without the accelerator."""
    app = {"accel": False}


class ForkServer(Scenario):
    """A fork server starts, and learns."""

    def provoke(self, t):
        t.clock.run(2)
        t.ask("at", 0)


class ColdApplication(Scenario):
    """Another application is asked for, and there is a fork server."""

    def begin(self, t):
        Scenario.begin(self, t)
        t.clock.run(2)
        within(15, lambda: any(f["state"] == "ready" for f in t.status()[
            "forkservers"]), "a fork server")
        t.clock.run(1)
        t.app("cold", APP)

    def provoke(self, t):
        t.ask("at", 0, app="cold")


class Death(Scenario):
    """A worker dies in its request."""
    expected = ("502 died",)

    def provoke(self, t):
        t.ask("at", 0, doors="&die=1")


class Stuck(Scenario):
    """A request takes too long, and its worker cannot be woken."""
    hangs = True
    expected = ("504 timeout",)

    def provoke(self, t):
        t.ask("at", 0, doors="&deaf=1&gate=never")
        t.clock.run(SPEED)


class Successor(Scenario):
    """The supervisor is killed while one request is answered and one waits."""
    settings = {"workers": {"max": 1}}

    def provoke(self, t):
        t.ask("at", 0, doors="&gate=gate")
        t.has("called at")
        t.ask("waits", 1)
        kill(t.lock_holder())

    def resume(self, t):
        t.open_gate("gate")


class Moved(Scenario):
    """And its worker; one responder comes too late with what has waited."""
    settings = {"workers": {"max": 1}}
    expected = ("502 died",)

    def begin(self, t):
        self.start(t)
        t.sure("before", 0)

    def provoke(self, t):
        os.kill(t.workers("blog")[0], signal.SIGSTOP)
        t.ask("at", 0)
        within(5, lambda: t.status_of("blog")["queued"] == 1)
        os.kill(t.responders[0], signal.SIGSTOP)
        worker = t.workers("blog")[0]
        kill(t.lock_holder())
        kill(worker)
        t.ask("other", 1).outcome(5)
        os.kill(t.responders[0], signal.SIGCONT)


class Reload(Scenario):
    """A file of the application changes."""

    def provoke(self, t):
        t.clock.advance(0, wall=10)
        t.app("blog", APP + "\n# changed\n", **self.app)
        t.clock.advance(0, wall=10)
        t.ask("at", 0)

    def nudge(self, t):
        t.ask("nudge", 0).outcome(1)
        time.sleep(0.05)


class PythonReload(Reload):
    app = {"accel": False}


class Hook(Reload):
    """... and before that is served a hook is to be run."""
    hook = "echo hook %s >> $MAMAYO_TEST/journal"
    app = {"hooks": {"install": hook % "install", "upgrade": hook % "upgrade"},
           "hook_timeout": 1}
    expected = ("503 setup",)  # before the first start
    name = "upgrade"
    mended = 0  # so often it was run again because its owner wants it

    def begin(self, t):
        self.start(t)
        within(20, lambda: t.ask("before", 0).outcome(20) == "ok",
               "the end of its first hook")
        for number in range(2):
            t.sure("before", number)

    def provoke(self, t):
        t.clock.advance(0, wall=10)
        t.app("blog", NEW_APP, **self.app)
        t.clock.advance(0, wall=10)
        t.ask("at", 0)

    def finish(self, t):
        """One that was killed has failed, and can be run again."""
        first = self.runs(t)
        t.command("restart", "blog")
        within(20, lambda: t.ask("new", 0).outcome(20) == "ok" and
               t.journal()[-1].endswith(" new"), "the new generation")
        with open(t.path("state", "blog.json")) as f:
            result = json.load(f)["result"]
        if (result != "succeeded" or first > 1 + self.mended
                or self.runs(t) not in (1, 2)):
            t.complain("its hook: %s; %d runs, then %d" % (
                result, first, self.runs(t)))

    def runs(self, t):
        return t.journal().count("hook " + self.name)


class HookCold(Hook):
    """There is nothing that could be served meanwhile."""
    # a supervisor that dies has perhaps its page in its hands
    expected = ("503 setup", "503 hook", "502 died")
    name = "install"

    def begin(self, t):
        self.start(t)

    def provoke(self, t):
        t.app("blog", NEW_APP, **self.app)
        t.ask("at", 0)

    def nudge(self, t):
        pass

    def mend(self, t, got):
        if got == "503 hook":
            self.mended += 1
            t.command("restart", "blog")


class Listen(Scenario):
    """Workers accept connections themselves."""
    app = {"accept": True}
    listens = True

    def start(self, t):
        t.listener = t.listen()
        t.sockets = [t.socket, t.socket]
        t.responders = [t.listener.pid]

    def begin(self, t):
        self.start(t)
        t.sure("before", 0)
        t.clock.advance(0, wall=10)  # places have been quiet

    def provoke(self, t):
        # an address that leads elsewhere goes back to the responder
        t.ask("at", 0, doors="&x=1")

    def nudge(self, t):
        t.ask("nudge", 0).outcome(1)
        t.ask("proxy", 0, SERVER_SOFTWARE="Apache/2.4.57").outcome(1)
        time.sleep(0.1)


class ListenCold(Listen):
    """They are lent the sockets for the first time."""

    def begin(self, t):
        t.sockets = [t.socket, t.socket]

    def provoke(self, t):
        self.start(t)
        t.ask("at", 0)


class Stop(Scenario):
    """Its owner stops the application."""
    expected = ("503 stopped",)

    def provoke(self, t):
        t.commands = t.popen([os.path.abspath(PROGRAM), "stop", "blog"],
                             env={"MAMAYO_TESTPOINTS": ""})
        t.ask("at", 0)

    def resume(self, t):
        t.commands.wait(40)
        within(20, lambda: t.command("start", "blog").returncode == 0,
               "mamayo start")


class Retire(Scenario):
    """The lock file goes away."""

    def provoke(self, t):
        os.unlink(t.path("run", "lock"))
        t.ask("at", 0)

    def nudge(self, t):
        t.ask("nudge", 0).outcome(1)
        time.sleep(0.05)


class Broken(Scenario):
    """An application that cannot be started."""
    # a supervisor that dies has perhaps its page in its hands
    expected = ("503 cannot-start", "502 died")

    def begin(self, t):
        Scenario.begin(self, t)
        t.app("broken", "1 / 0")

    def provoke(self, t):
        t.ask("at", 0, app="broken")


class Logs(Scenario):
    """Logs have grown to their size."""
    settings = {"log_size": 1}

    def provoke(self, t):
        for name in "mamayo", "blog":
            with open(t.path("logs", name + ".log"), "a") as f:
                f.write(("x" * 99 + "\n") * 11000)
        t.ask("at", 0)


class Guard(Scenario):
    """The supervisor is stuck."""
    hangs = True
    seconds = 20

    def provoke(self, t):
        t.app("cold", APP)
        os.kill(t.lock_holder(), signal.SIGSTOP)
        t.ask("at", 0, app="cold")
        t.clock.run(SPEED)


class Farewell(Scenario):
    """A responder is told to stop, in the midst of a request."""

    def provoke(self, t):
        t.ask("at", 0, doors="&gate=gate")
        t.has("called at")
        t.killed.add(t.responders[0])
        kill(t.responders[0], signal.SIGTERM)

    def resume(self, t):
        t.open_gate("gate")


class Goodbye(Scenario):
    """The web server goes, and with it all responders."""

    def begin(self, t):
        Scenario.begin(self, t)

    def provoke(self, t):
        for pid in t.responders:
            t.kill_responder(pid, signal.SIGTERM)
        t.kill_server()
        t.clock.run(SPEED)

    def resume(self, t):
        t.responders = []
        t.start(2)


SCENARIOS = {c.__name__: c for c in (
    Warm, Direct, Python, Cold, ForkServer, ColdApplication, Death, Stuck,
    Successor, Moved, Reload, PythonReload, Hook, HookCold, Listen, ListenCold, Retire,
    Broken, Logs, Guard, Farewell, Goodbye, Stop)}


# -- one trial ---------------------------------------------------------------

def allowed(point, action, is_its_own, accepts):
    """What may become of a request, besides being answered (the fault table):
    its own are those that went through the process that was hit."""
    found, role = set(), role_of(point)
    if role in ("responder", "leaving") and action != "errno" and is_its_own:
        found |= {"nothing", "cut"}
    if role == "worker" and accepts:
        found |= {"nothing"}  # nobody else knew of the connection
    if role in ("worker", "python"):
        found |= {"502 died", "cut"} if action == "kill" else {"504 timeout"}
    if point.endswith((":taken", ":read")) and action in HANGS:
        found |= {"503 queue-full", "502 died"}  # it is on no board
    if role == "hook":
        found |= {"503 resources"}  # it could not be begun
    if role in ("child", "forked", "worker") and action != "errno":
        found |= {"503 cannot-start"}  # it could not even be started
    if action == "errno":
        found |= {"503 resources", "503 cannot-start", "503 starting",
                  "503 missing"}
    return found


class Run:
    """A scenario with a point and an action; or with neither, to see which
    points it passes."""

    def __init__(self, scenario, point=None, action=None, late=False,
                 most=None):
        self.scenario = SCENARIOS[scenario]()
        self.point, self.action, self.late = point, action, late
        self.role = role_of(point) if point else None
        self.most = most  # descriptors of a responder, when undisturbed
        self.t = Trial(self.scenario, **self.scenario.settings)
        self.its_own = None   # the number of a responder that was hit
        self.passed = [], []  # before and after resume()
        self.back = None      # seconds until a fresh request was served

    def whole(self):
        t = self.t
        try:
            self.scenario.begin(t)
            t.settle()
            mark = len(t.passed())
            if self.point is None:
                self.look(mark)
            else:
                self.strike()
            self.judge()
        except AssertionError as why:
            t.complain(str(why))
        try:
            t.clock.run(SPEED)  # to the end
            t.expect_alarm = "signal 06"
            harness.failures = len(t.wrong)  # then it is kept, and told
            t.close()
        except AssertionError as why:
            t.complain(str(why))
        return self

    def look(self, mark):
        t = self.t
        self.scenario.provoke(t)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            self.scenario.nudge(t)
            time.sleep(0.01)
        self.passed[0].extend(p for p, _, _ in t.passed()[mark:])
        self.scenario.resume(t)
        time.sleep(1)
        self.passed[1].extend(p for p, _, _ in t.passed()[mark:])

    def strike(self):
        t, order = self.t, self.action
        if order == "errno":
            order = "errno %d" % ERRNO.get(self.point, errno.ENOMEM)
        t.arm(self.point, order)
        self.scenario.provoke(t)
        if self.late:
            self.scenario.resume(t)
        end = time.monotonic() + self.scenario.seconds
        while t.hit(self.point) is None and time.monotonic() < end:
            self.scenario.nudge(t)
            time.sleep(0.002)
        t.hit_pid = t.hit(self.point)
        if t.hit_pid is None:
            raise AssertionError("the point was not passed")
        if self.action in HANGS:
            t.clock.run(SPEED)
        if t.hit_pid in t.responders:
            self.its_own = t.responders.index(t.hit_pid)
        if not self.late:
            self.scenario.resume(t)
        self.come_back()

    def may_be(self, asked):
        is_its_own = self.its_own is not None and (
            asked.number == self.its_own or self.scenario.listens)
        return ({"ok"} | set(self.scenario.expected)
                | (allowed(self.point, self.action, is_its_own or
                           self.role == "leaving", self.scenario.listens)
                   if self.role else set()))

    def come_back(self):
        """A fresh request is served, and how soon."""
        t = self.t
        hangs = self.action in HANGS or self.scenario.hangs
        began = t.clock.now()
        limit = HANG_LIMIT if hangs else KILL_LIMIT
        if hangs and self.role in ("worker", "child", "forked"):
            limit = START_TIMEOUT + 2  # it may hang while it starts
        limit += SLACK * (SPEED if hangs else 1)
        if self.scenario.listens and self.its_own is not None:
            kill(t.hit_pid)
            t.listener.wait()
            self.scenario.start(t)
        number = next(n for n in (1, 0) if n < len(t.responders)
                      and t.responders[n] not in t.killed
                      and t.responders[n] != t.hit_pid)
        while True:
            asked = t.ask("after", number)
            got = asked.outcome(limit / (SPEED if hangs else 1) + 1)
            self.back = t.clock.now() - began
            if got == "ok" or self.back > limit or got not in self.may_be(
                    asked):
                break
            self.scenario.mend(t, got)
            time.sleep(0.02)
        if got != "ok" or self.back > limit:
            t.complain("a fresh request: %s after %.1f s" % (got, self.back))

    def traffic(self):
        """Requests that an application can answer as it is."""
        for number, pid in enumerate(self.t.responders):
            if pid not in self.t.killed:
                self.t.sure("traffic", number)
        time.sleep(0.05)

    def judge(self):
        t = self.t
        if self.role in ("responder", "leaving") and self.action != "errno":
            kill(t.hit_pid)  # as the web server does, with one that is silent
            t.killed.add(t.hit_pid)
        for asked in t.all:
            got = asked.outcome(20)
            if got not in self.may_be(asked):
                t.complain("%s: %s" % (asked.id, got))
        if self.action in HANGS:
            try:
                within(20, lambda: not alive(t.hit_pid) or self.traffic())
            except AssertionError:
                t.complain("process %d is still there, %s" % (
                    t.hit_pid, self.action))
                kill(t.hit_pid)
        for number, pid in enumerate(t.responders):
            if pid not in t.killed:
                t.sure("last", number)
        self.scenario.finish(t)
        t.judge_journal()
        t.judge_supervisor()
        t.most = max(t.rate().values(), default=0)
        if self.most and not self.scenario.listens:
            t.judge_descriptors({pid: self.most for pid in t.responders
                                 if pid != t.hit_pid})

    def report(self):
        return {"wrong": self.t.wrong, "early": sorted(set(self.passed[0])),
                "late": sorted(set(self.passed[1]) - set(self.passed[0])),
                "back": self.back, "dir": self.t.dir,
                "most": self.t.most}


# -- all of them -------------------------------------------------------------

def in_process(*arguments, script=os.path.abspath(__file__)):
    """One run in a process of its own -> its report."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, script, "--run", json.dumps(arguments)],
            timeout=180, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = done.stdout.decode("utf-8", "replace")
        report = json.loads(text.strip().split("\n")[-1])
    except (subprocess.TimeoutExpired, ValueError) as why:
        text = getattr(why, "output", None) or locals().get("text", "")
        report = {"wrong": ["the run itself: %s\n%s" % (why, text)],
                  "early": [], "late": [], "back": None, "most": 0}
    report["took"] = time.monotonic() - began
    report["text"] = text
    return report


class Matrix:

    def __init__(self, jobs, say=print):
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)
        self.say = say
        self.points = points_of_sources()
        self.where = {}  # point: [(scenario, late, most)]
        self.failures = []
        self.runs = 0
        self.slowest = {}  # action: (seconds, point)

    def explore(self, names=None):
        """Runs the scenarios undisturbed."""
        names = list(names or SCENARIOS)
        for name, report in zip(names, self.pool.map(in_process, names)):
            for text in report["wrong"]:
                self.fail("%s, undisturbed" % name, report)
                break
            for late in False, True:
                for point in report["late" if late else "early"]:
                    self.where.setdefault(point, []).append(
                        (name, late, report["most"]))
        for point in self.where:  # what is passed early is passed surely
            self.where[point].sort(key=lambda found: found[1])

    def fail(self, what, report):
        self.failures.append(what)
        self.say("FAIL %s: %s" % (what, "; ".join(report["wrong"])))
        for line in report.get("text", "").split("\n"):
            if line.startswith("# "):
                self.say(line)

    def dead(self):
        return sorted(set(self.points) - set(self.where))

    def cells(self, points, actions, every=False):
        for point in points:
            for scenario, late, most in self.where.get(point, [])[
                    :None if every else 1]:
                for action in actions:
                    if action != "errno" or self.points[point]:
                        yield scenario, point, action, late, most

    def run(self, cells):
        cells = list(cells)
        for cell, report in zip(cells, self.pool.map(
                lambda cell: in_process(*cell), cells)):
            scenario, point, action = cell[:3]
            self.runs += 1
            what = "%s %s (%s)" % (point, action, scenario)
            if report["wrong"]:
                self.fail(what, report)
            else:
                back = report["back"] or 0
                if back > self.slowest.get(action, (0,))[0]:
                    self.slowest[action] = back, point
                self.say("ok %-45s back after %5.2f s, took %4.1f s" % (
                    what, back, report["took"]))


def one(arguments):
    run = Run(*arguments).whole()
    print(json.dumps(run.report()), flush=True)
    os._exit(1 if run.t.wrong else 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2 * os.cpu_count())
    parser.add_argument("--points", default="")
    parser.add_argument("--actions", default=",".join(ACTIONS))
    parser.add_argument("--scenario")
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        one(json.loads(options.run))
    began = time.monotonic()
    matrix = Matrix(options.jobs)
    matrix.explore([options.scenario] if options.scenario else None)
    chosen = [p for p in sorted(matrix.points)
              if re.search(options.points, p)]
    if not options.scenario:
        for point in matrix.dead():
            if point in chosen:
                matrix.failures.append(point)
                print("FAIL %s: no scenario passes it" % point)
    if options.list:
        for point in chosen:
            print(point, *matrix.where.get(point, []))
        return
    matrix.run(matrix.cells(chosen, options.actions.split(","),
                            options.every))
    print("%d points, %d runs in %.0f s; latest back: %s; %d failures" % (
        len(chosen), matrix.runs, time.monotonic() - began,
        ", ".join("%s %.1f s (%s)" % (action, *found) for action, found in
                  sorted(matrix.slowest.items())) or "-",
        len(matrix.failures)))
    sys.exit(1 if matrix.failures else 0)


if __name__ == "__main__":
    main()
