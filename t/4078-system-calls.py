"""Each system call that a responder and a supervisor make is refused, with each
errno that it can have: the first time, later ones, and for as long as half a
second. Who asks meanwhile gets an answer, a page of ours, or, where it is the
connection itself that fails, its end. Nobody spins, nobody ends, no descriptor
is left, and when it is over, everybody is served at once. t/refused_calls.c is
preloaded. `make check-faults` refuses every call; here it is the first few."""
import errno
import mmap
import os
import signal
import struct
import time

import fcgi
from harness import BUILDDIR, equal, run, test, within
from mamayo import Mamayo, Process, alive, gone, kill

SHIM = os.path.abspath(os.path.join(BUILDDIR, "t", "refused_calls.so"))
ALL = bool(os.environ.get("MAMAYO_ALL_FAULTS"))
NO_LEAKS = ":detect_leaks=0"  # for who dies at the start leaves all as it is
STARTS, FORKED = -1, -2  # see t/refused_calls.c
MOST = 400      # calls of one name in a scene; more are a mistake here
SECONDS = 5     # that anybody may have to wait
AT_ONCE = 2     # ... when all is well again,
BACKOFF = 6     # or where a start has failed meanwhile (R-SUP3)
LASTING = 0.5   # seconds of a fault that lasts
FEW = 12        # descriptors that may come and go
BUSY = 0.3      # of these may be spent by the processor

# How they fail: once, or for as long as there is no room. What is said of a
# call is true of it wherever it is made.
DESCRIPTORS = "EMFILE ENFILE ENOMEM"
CALLS = {
    "accept4": DESCRIPTORS + " ENOBUFS ECONNABORTED EINTR",
    "connect": "ECONNREFUSED EAGAIN ENOENT EINTR",
    "bind": "ENOSPC EROFS ENOMEM",
    "chdir": "EIO ENOENT EACCES",
    "dup2": "EMFILE EINTR",
    "epoll_create1": DESCRIPTORS,
    "epoll_ctl": "ENOMEM ENOSPC",
    "epoll_wait": "EINTR",
    "execve": "ENOMEM ETXTBSY EIO",
    "fcntl_dup": "EMFILE",
    "fcntl_lock": "ENOLCK EINTR",
    "fdopendir": "ENOMEM",
    "fork": "EAGAIN ENOMEM",
    "fstat": "EIO",
    "fstatat": "EIO ENOMEM",
    "ftruncate": "EIO",
    "getsockopt": "ENOBUFS",
    "kill": "EPERM ESRCH",
    "listen": "ENOMEM",
    "lstat": "EIO",
    "mkdir": "ENOSPC EROFS",
    "mkdirat": "ENOSPC EROFS",
    "open": DESCRIPTORS + " EIO ENOSPC EINTR",
    "openat": DESCRIPTORS + " EIO ENOSPC EINTR",
    "opendir": DESCRIPTORS,
    "pidfd_getfd": "EPERM EMFILE",
    "pidfd_open": DESCRIPTORS,
    "pidfd_send_signal": "EPERM ESRCH",
    "pipe2": DESCRIPTORS,
    "poll": "EINTR ENOMEM",
    "pread": "EIO EINTR",
    "read": "EIO EINTR",
    "recv": "ENOMEM ECONNRESET EINTR",
    "recvmsg": "ENOMEM ECONNRESET EINTR",
    "rename": "ENOSPC EIO",
    "renameat": "ENOSPC EIO",
    "send": "EAGAIN ENOBUFS EPIPE EINTR",
    "sendmsg": "EAGAIN ENOBUFS ETOOMANYREFS EPIPE EINTR",
    "setsockopt": "ENOBUFS",
    "socket": DESCRIPTORS + " ENOBUFS",
    "socketpair": DESCRIPTORS,
    "splice": "EAGAIN ENOMEM EINTR",
    "stat": "EIO ENOMEM",
    "unlink": "EIO EROFS",
    "unlinkat": "EIO EROFS",
    "waitid": "EINTR",
    "waitpid": "EINTR",
    "write": "ENOSPC EIO EINTR",
}
LASTS = "EMFILE ENFILE ENOMEM ENOBUFS ENOSPC EROFS ENOLCK ETOOMANYREFS".split()
# what ends a connection may end the request on it
ENDS = {("recv", "ECONNRESET"), ("recv", "ENOMEM"), ("send", "EPIPE"),
        ("splice", "ENOMEM"), ("poll", "ENOMEM")}


def cases(made, ways=("EINTR",)):
    """What can fail of the calls that are made: in every way; or in the first,
    and in these."""
    for call in sorted(set(CALLS) & made):
        for i, why in enumerate(CALLS[call].split()):
            if ALL or i == 0 or why in ways:
                yield call, why


class Refused(Mamayo):
    """An account whose programs are refused what a test says."""

    def __init__(self, more_asan="", **settings):
        self.plan = None
        Mamayo.__init__(self, {"LD_PRELOAD": SHIM}, **settings)
        path = self.environment["REFUSED_CALLS"] = os.path.join(
            self.dir, "plan")
        with open(path, "w+b") as f:
            f.write(b"\0" * 2048)
            f.flush()
            self.plan = mmap.mmap(f.fileno(), 2048)
        # the shim may come before the library of a sanitizer
        self.environment["ASAN_OPTIONS"] += (
            ":verify_asan_link_order=0" + more_asan)

    def refuse(self, pid, call, why, after=0, times=1):
        """So many calls of that process succeed, then so many do not (-1: all
        that come)."""
        self.plan[40:64] = call.encode().ljust(24, b"\0")
        struct.pack_into("=4q", self.plan, 8, after, times,
                         getattr(errno, why), 0)
        struct.pack_into("=q", self.plan, 0, pid)

    def made(self, who, scene, again=2):
        """The names of the calls that are made in it by who()."""
        self.plan[64:1088] = b"\0" * 1024
        for _ in range(again):  # what is learnt may make a difference
            self.refuse(who(), "?", "EIO")
            scene()
            self.well()
        return set(self.plan[64:1088].rstrip(b"\0").decode().split())

    def well(self):
        """From now on nothing is refused -> how often it was."""
        struct.pack_into("=q", self.plan, 0, 0)
        return struct.unpack_from("=q", self.plan, 32)[0]


def outcome(function):
    """What a request came to; nothing else than that may come of it."""
    began = time.monotonic()
    try:
        got = function()
    except (fcgi.Cut, ConnectionError):
        return "closed"
    taken = time.monotonic() - began
    assert taken < SECONDS, "an answer after %.1f s: %r" % (taken, got)
    if got.protocol_status == fcgi.OVERLOADED:
        return "overloaded"
    assert got.status in (200, 404) or (
        got.status in (502, 503, 504) and got.error), got
    return got.status


def processor(pid):
    """The seconds that it has used."""
    fields = Process(pid).read("stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Watched:
    """A process that must live on, with the descriptors that it had at first,
    and a few: a log, a link, what belongs to a worker."""
    first = {}

    def __init__(self, pid):
        self.pid = pid
        self.descriptors = self.first.setdefault(
            pid, len(Process(pid).descriptors())) + FEW
        self.processor = processor(pid)

    def is_well(self):
        equal(alive(self.pid), True, "it has ended")
        within(SECONDS, lambda: len(Process(self.pid).descriptors())
               <= self.descriptors, "descriptors to be closed: %r" %
               Process(self.pid).descriptors())

    def rested(self, most):
        used = processor(self.pid) - self.processor
        assert used < most, "it spins: %.2f s of the processor" % used


def whens(few=(0, 3)):
    """How many calls succeed before the one that does not."""
    return range(MOST) if ALL else few


def told(seen):
    return ", ".join("%s %s" % (what, seen[what])
                     for what in sorted(seen, key=str))


def sweep(m, watched, scene, back):
    """scene() with each call refused once, then for a while -> remark. What
    scene() gives are outcomes; back() says that all is well."""
    seen, wrong, refused, names = {}, [], 0, set()
    for call, why in cases(m.made(lambda: watched().pid, scene)):
        for n in whens():
            w = watched()
            m.refuse(w.pid, call, why, n)
            try:
                got = scene()
                happened = m.well()
                if (call, why) not in ENDS:
                    assert "closed" not in got, got
                back()
                w.is_well()
            except Exception as e:
                happened = m.well()
                wrong.append("%s, %s, number %d (%d): %s" % (
                    call, why, n, happened, e))
                break
            if not happened:
                break
            for one in got:
                seen[one] = seen.get(one, 0) + 1
            refused += 1
            names.add(call)
    equal(wrong, [], "\n".join(wrong) + "\n")
    assert len(names) > 5, names
    return "%d refused, of %d calls: %s" % (refused, len(names), told(seen))


def lasting(m, watched, begin, back, at_once=AT_ONCE):
    """For half a second there is none of something: begin() asks, and gives
    what waits for the answers."""
    wrong, seen, refused = [], {}, 0

    def scene():
        begin()()
    for call, why in cases(m.made(lambda: watched().pid, scene)):
        if why not in LASTS:
            continue
        w = watched()
        m.refuse(w.pid, call, why, 0, -1)
        try:
            finish = begin()
            time.sleep(LASTING / 5)  # it is the time that is tested
            if struct.unpack_from("=q", m.plan, 32)[0]:
                time.sleep(LASTING * 4 / 5)
            w.rested(BUSY)
            refused += m.well() > 0
            began = time.monotonic()
            for one in finish():
                seen[one] = seen.get(one, 0) + 1
            back()
            taken = time.monotonic() - began
            assert taken < at_once, "back after %.1f s" % taken
            w.is_well()
        except Exception as e:
            wrong.append("%s, %s (%d): %s" % (call, why, m.well(), e))
    equal(wrong, [], "\n".join(wrong) + "\n")
    assert refused > 2, refused
    return "%d that last: %s" % (refused, told(seen))


# -- a responder -------------------------------------------------------------

def account(**settings):
    m = Refused(**settings)
    m.app("blog", workers={"max": 1})
    m.start()
    m.served()
    equal(m.status_of("blog")["state"], "ready")
    return m


def requests(m):
    """A request of each kind."""
    def kept():
        with m.connect() as c:
            for _ in range(2):
                c.send(fcgi.request("/blog/unread", keep=True))
                got = c.answer(keep=True)
            return got
    return [outcome(one) for one in (
        lambda: m.get("/blog/unread", SERVER_SOFTWARE="Apache/2.4"),
        lambda: m.get("/blog/unread", SERVER_SOFTWARE="lighttpd/1.4"),
        lambda: m.get("/blog/body", "POST", b"x" * 70000),
        lambda: m.get("/none"),
        kept)]


def serves(m, *names):
    for name in names:
        within(BACKOFF, lambda: outcome(
            lambda: m.get("/%s/unread" % name)) == 200, name + " to serve")


@test("a responder, in requests to what is warm")
def _():
    m = account()
    requests(m)
    remark = sweep(m, lambda: Watched(m.responders[-1]), lambda: requests(m),
                   lambda: serves(m, "blog"))
    m.end()
    return remark


@test("a responder, in the first requests, for which it looks for a supervisor")
def _():
    m = account()
    first = m.responders[0]

    def fresh():
        if m.responders[-1] != first:
            m.kill_responder(m.responders[-1], signal.SIGTERM)
        m.start()
        m.address = m.sockets[0]
        with m.connect() as c:  # it has started
            c.send(fcgi.get_values("FCGI_MAX_CONNS"))
            equal(c.record()[0], fcgi.VALUES)
        return Watched(m.responders[-1])
    remark = sweep(m, fresh, lambda: [outcome(
        lambda: m.get("/blog/unread")) for _ in range(2)],
        lambda: serves(m, "blog"))
    m.end()
    return remark


def begin_many(m, name):
    """Asks on eight connections, each in its way -> what waits for answers."""
    connections = [m.connect() for _ in range(8)]
    for i, c in enumerate(connections):
        body = b"x" * 70000 if i % 4 == 3 else b""
        try:
            c.send(fcgi.request(
                "/%s/%s" % (name, "body" if body else "unread"),
                "POST" if body else "GET", body, SERVER_SOFTWARE=(
                    "lighttpd/1.4" if i % 4 == 1 else "other")))
        except OSError:
            pass

    def finish():
        got = [outcome(c.answer) for c in connections]
        for c in connections:
            c.close()
        return got
    return finish


@test("a responder, for half a second: nobody spins, and what waits is served")
def _():
    m = account()
    requests(m)
    remark = lasting(m, lambda: Watched(m.responders[-1]),
                     lambda: begin_many(m, "blog"), lambda: serves(m, "blog"))
    m.end()
    return remark


def one_by_one(m, who, scene, back, without=(), **few):
    """The same for processes that are yet to come, who: STARTS or FORKED."""
    seen, wrong, refused = {}, [], 0
    made = m.made(lambda: who, lambda: (scene(), back()), 1)
    for call, why in cases(made, ("EINTR",) if not few else ()):
        if (call, why) in without:
            continue
        for n in whens(**few):
            m.refuse(who, call, why, n)
            try:
                got = scene()
                happened = m.well()
                back()
                seen[got] = seen.get(got, 0) + 1
            except Exception as e:
                happened = m.well()
                wrong.append("%s, %s, number %d (%d): %s" % (
                    call, why, n, happened, e))
            if not happened:
                break
            refused += 1
    equal(wrong, [], "\n".join(wrong) + "\n")
    assert refused > 3, refused
    return "%d refused: %s" % (refused, told(seen))


@test("a responder, at its start: it ends with a word, or serves")
def _():
    m = account(more_asan=NO_LEAKS)
    started = []

    def status():
        try:
            return m.get("/blog/unread").status
        except (fcgi.Cut, ConnectionError):
            return "closed"

    def scene():
        while started:
            pid = started.pop()
            if m.ended(pid) is None:
                m.kill_responder(pid, signal.SIGTERM)
            m.killed.add(pid)
        started.extend(m.start())
        m.address = m.sockets[0]
        return status()

    def back():
        pid = started[0]
        within(SECONDS, lambda: m.ended(pid) is not None or status() == 200,
               "its end, or an answer")
        end = m.ended(pid)
        assert end is None or os.WIFEXITED(end), end
    remark = one_by_one(m, STARTS, scene, back)
    equal(alive(m.responders[0]), True)
    m.end()
    return remark


# -- a supervisor ------------------------------------------------------------

def two_cold(**settings):
    """One whose workers are forked, and one whose are started directly."""
    m = Refused(workers={"max": 1}, **settings)
    for name, preload in (("blog", "framework"), ("forked", "framework"),
                          ("plain", "none")):
        m.app(name, preload=preload)
    m.start()
    for name in "blog", "forked", "plain":
        m.served(name)
    return m


def without_workers(m):
    """forked and plain have none -> the supervisor, watched."""
    for name in "forked", "plain":
        for pid in m.workers(name):
            kill(pid)
            gone(pid)
    return Watched(m.lock_holder())


def cold_requests(m):
    got = [outcome(lambda: m.get("/%s/unread" % name))
           for name in ("blog", "forked", "plain", "blog")]
    m.command("status")
    return got


@test("a supervisor that is to start workers")
def _():
    m = two_cold()
    remark = sweep(m, lambda: without_workers(m), lambda: cold_requests(m),
                   lambda: serves(m, "blog", "forked", "plain"))
    m.end()
    return remark


@test("a supervisor, for half a second: nobody spins, who asks for what is cold"
      " gets a page or waits")
def _():
    m = two_cold()

    def begin():
        finishes = [begin_many(m, name) for name in
                    ("blog", "forked", "plain")]
        return lambda: sum((finish() for finish in finishes), [])
    remark = lasting(m, lambda: without_workers(m), begin,
                     lambda: serves(m, "blog", "forked", "plain"), BACKOFF)
    m.end()
    return remark


@test("a process that is to become a supervisor: there is one at once")
def _():
    m = two_cold(more_asan=NO_LEAKS, grace=5)
    old = [0]

    def scene():
        old[0] = m.lock_holder()
        kill(old[0])
        gone(old[0])
        got = [outcome(lambda: m.get("/%s/unread" % name))
               for name in ("blog", "forked", "none")]
        within(SECONDS, lambda: m.lock_holder() not in (0, old[0]),
               "another supervisor")
        return " ".join(str(one) for one in got)

    def back():
        serves(m, "blog", "forked", "plain")
        within(SECONDS, lambda: m.supervisors() == [m.lock_holder()],
               "one supervisor")
        equal(alive(m.responders[0]), True)
    # where there are no locks another place is used (fault 66)
    remark = one_by_one(m, FORKED, scene, back, [("fcntl_lock", "ENOLCK")],
                        few=(0,))
    m.end()
    return remark


@test("a process that is to become a worker: a page, and the next one serves")
def _():
    m = Refused(workers={"max": 1})
    m.app("blog", preload="none")
    m.start()
    m.served()
    supervisor = m.lock_holder()

    def scene():
        for pid in m.workers("blog"):
            kill(pid)
            gone(pid)
        return outcome(lambda: m.get("/blog/unread"))

    def back():
        serves(m, "blog")
        equal(m.lock_holder(), supervisor)
    remark = one_by_one(m, FORKED, scene, back)
    m.end()
    return remark


run()
