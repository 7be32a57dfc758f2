"""Nothing that dies takes more with it than it must: workers, responders and
supervisors are killed (SIGKILL) under load behind real web servers.

    make soak [SECONDS=30] [SEED=n]       random kills, from a seed
    make measure-kills                    many of each kind, one after another

Each web server has an account of its own with one application, and gets RATE
requests a second. t/oracle.py says what each kill may cost; anything else is a
failure, and so is what is left over, or alarming in a log (t/mamayo.py), or if
at the end a process holds more descriptors than at the beginning.

soak: every EVERY seconds something behind each server is killed: when, what,
and which one of them comes from the seed, which is printed. The killer is not
quite blind. A worker that has served nothing is spared, because two of these
in a row are an application that cannot be started; so is a responder soon
after the last one (see spacing), for what starts it would refuse to, and a
supervisor: after one that was there for less than a second the next one waits.

measure: as soon as all is well again, the next. Beside kills: "graceful" (a
graceful restart of Apache), "upgrade" (another program is renamed over
mamayo.fcgi), "reload" (another application.py, every third of them broken) and
"stop" (SIGSTOP to the supervisor).
"""
import argparse
import os
import queue
import random
import signal
import socket
import struct
import sys
import threading
import time

import fcgi
import harness
import servers
from harness import PROGRAM, equal, within
from mamayo import APPS, Mamayo, Process, alive, every_process, kill
from oracle import Kill, Oracle, Request

RATE = 50        # requests a second, through each web server
EVERY = 0.2      # s between kills behind each
THREADS = 64     # that ask, for each
PATIENCE = 30    # s for an answer
END = "no more"  # for those threads
EPOLL = "anon_inode:[eventpoll]"  # kept once many requests have waited
LONG = 100000    # bytes of some bodies: more than travels in a message
SUPERVISORS = 1.5  # s between kills of supervisors
SHOWN = 20       # lines about what was not allowed, at most
KINDS = ("worker", "supervisor", "responder")
WEIGHTS = (70, 20, 10)
GRACEFUL = 4  # requests that a graceful restart meets
GRACEFUL_SECONDS = 1.5
BOARD = "=8Q"    # see lib/scoreboard.h
BOARD_COUNTER, BOARD_REQUESTS, BOARD_URL_AT = 3, 7, 1024

# What systemd does for mamayo.socket and mamayo.service: it holds the socket,
# and starts the program again RestartSec after its end.
SYSTEMD = r"""
import os, signal, socket, sys, time
path, program = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen(4096)
child, over = 0, False
def end(*_):
    global over
    over = True
    if child:
        os.kill(child, signal.SIGTERM)
signal.signal(signal.SIGTERM, end)
while not over:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(s.fileno(), 100)
        os.dup2(100, 3)
        os.close(100)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execv(program, [program, "listen"])
    if over:
        os.kill(child, signal.SIGTERM)
    os.waitpid(child, 0)
    child = 0
    if not over:
        time.sleep(0.1)
os.unlink(path)
"""


def median(values):
    return sorted(values)[len(values) // 2]


class Board:
    """The scoreboard of a worker, kept open beyond its death."""

    def __init__(self, path):
        self.pid = int(path.rpartition(".")[2])
        self.fd = os.open(path, os.O_RDONLY)

    def read(self):
        page = os.pread(self.fd, 4096, 0)
        if len(page) < 4096:
            return None
        word = struct.unpack_from(BOARD, page)
        url = page[BOARD_URL_AT:BOARD_URL_AT + 512].split(b"\0")[0]
        return {"busy": word[BOARD_COUNTER] != 0,
                "requests": word[BOARD_REQUESTS],
                "url": url.decode("latin-1")}

    def close(self):
        os.close(self.fd)


class Stand(Oracle):
    """A web server, its account, the load on it, and what becomes of it."""

    server_name = None
    spacing = 2  # s between kills of responders
    looks_at_the_program = False  # and starts it anew when it is another

    def __init__(self, seed):
        Oracle.__init__(self, self.server_name)
        self.random = random.Random("%s %s" % (seed, self.name))
        self.m = Mamayo(workers={"max": 4}, linger=60, grace=3)
        self.temporary = os.path.join(self.m.dir, "tmp")
        os.mkdir(self.temporary)
        self.m.environment["TMPDIR"] = self.temporary
        with open(os.path.join(APPS, "soak.py")) as f:
            self.source = f.read()
        self.m.app("ROOT", self.source)
        self.server = self.make()
        self.begun = time.monotonic()
        self.wanted = queue.Queue()
        self.threads = []
        self.lock = threading.Lock()
        self.number = self.spared = 0
        self.is_held = False

    def make(self):
        """-> the web server, of t/servers.py"""
        raise NotImplementedError

    def clock(self):
        return time.monotonic() - self.begun

    # -- the load

    @staticmethod
    def body(number):
        if number % 20 == 7:
            return (b"%d " % number * LONG)[:LONG]
        return b"%d" % number

    def ask(self, seconds=None):
        """One request, noted in self.requests; the application takes so long
        for it, or some hundredths."""
        with self.lock:
            self.number += 1
            r = Request(self.number)
            self.requests.append(r)
        body, got = self.body(r.number), b""
        if seconds is None:
            seconds = r.number % 4 * 0.01
        sent = ("POST %s/%d HTTP/1.0\r\nHost: localhost\r\nX-Seconds: %.2f"
                "\r\nContent-Length: %d\r\n\r\n" % (
                    self.server.base, r.number, seconds,
                    len(body))).encode() + body
        r.began = self.clock()
        try:
            with socket.create_connection(("127.0.0.1", self.server.port),
                                          PATIENCE) as s:
                s.sendall(sent)
                while True:
                    some = s.recv(1 << 16)
                    if not some:
                        break
                    got += some
            r.answered(got, b"%d %d\n" % (r.number, len(body)) + body)
        except OSError as why:
            r.why = "%r after %d bytes" % (why, len(got))
        r.ended = self.clock()
        return r

    def is_served(self):
        within(20, lambda: self.ask().served(), self.name + " to serve")

    def ask_when_wanted(self):
        while True:
            seconds = self.wanted.get()
            if seconds is END:
                return
            self.ask(seconds)
            self.wanted.task_done()

    def begin_load(self):
        for _ in range(THREADS):
            t = threading.Thread(target=self.ask_when_wanted, daemon=True)
            t.start()
            self.threads.append(t)

    def end_load(self):
        for _ in self.threads:
            self.wanted.put(END)
        for t in self.threads:
            t.join(2 * PATIENCE)
        equal([t for t in self.threads if t.is_alive()], [], "who waits")

    # -- the kills

    def schedule(self, seconds):
        """All of it: (when, kind, which of them, from 0 to 1)."""
        at, last = EVERY, {}
        spacing = {"supervisor": SUPERVISORS, "responder": self.spacing}
        while at < seconds - 2 * EVERY:
            kind = self.random.choices(KINDS, WEIGHTS)[0]
            if at - last.get(kind, at - 60) < spacing.get(kind, 0):
                kind = "worker"
            last[kind] = at
            yield (at + self.random.random() * EVERY, kind,
                   self.random.random())
            at += EVERY

    def boards(self):
        """Of the workers that live and have served something."""
        found = []
        directory = self.m.path("run", "workers")
        for name in sorted(os.listdir(directory)):
            try:
                b = Board(os.path.join(directory, name))
            except (OSError, ValueError):
                continue  # it has gone, or is being made
            try:
                is_one = (b.read() or {}).get("requests") and (
                    Process(b.pid).link("cwd") + "/").startswith(
                        self.m.root + "/")
            except OSError:
                is_one = False
            if is_one and alive(b.pid):
                found.append(b)
            else:
                b.close()
        return found

    def spawner(self):
        """The process that starts responders, or starts the one that does."""
        return self.server.process.pid

    def responders(self):
        processes, holder = list(every_process()), self.m.lock_holder()
        family, n = {self.spawner()}, 0
        while n < len(family):
            n = len(family)
            family |= {p.pid for p in processes if p.parent in family
                       and p.name != "mamayo.fcgi"}
        return sorted(p.pid for p in processes
                      if p.name == "mamayo.fcgi" and p.parent in family
                      and p.state not in "ZX" and p.pid != holder)

    def strike(self, kind, which):
        """Kills one of them, if there is one."""
        boards = self.boards() if kind == "worker" else []
        try:
            pids = ([b.pid for b in boards] if kind == "worker"
                    else self.responders() if kind == "responder"
                    else [p for p in [self.m.lock_holder()] if p])
            if not pids:
                self.spared += 1
                return
            chosen = int(which * len(pids))
            began = self.clock()
            kill(pids[chosen])
            within(10, lambda: not alive(pids[chosen]), "a death")
            self.kills.append(Kill(
                kind, pids[chosen], began, self.clock(),
                boards[chosen].read() if boards else None))
        finally:
            for b in boards:
                b.close()

    # -- other things that happen

    def graceful(self, k):
        """-> a function that tells whether it is over.

        What starts responders for mod_fcgid ends with the old Apache, and
        whoever still asks it for one waits for ever. So there are only requests
        that the application has already, until nothing of the old Apache is
        left; these take longer than Apache lets responders live (1 s).
        """
        self.is_held = True
        within(PATIENCE, lambda: self.wanted.unfinished_tasks == 0, "silence")
        before = self.calls()
        for _ in range(GRACEFUL):
            self.wanted.put(GRACEFUL_SECONDS)
        within(PATIENCE, lambda: self.calls() == before + GRACEFUL,
               "requests in the application")
        responders, apache = self.responders(), self.children()
        resumed = self.resumed()
        k.began = self.clock()
        self.server.process.send_signal(signal.SIGUSR1)
        within(PATIENCE, lambda: self.resumed() > resumed and not any(
            alive(pid) for pid in apache), "the next Apache")
        k.ended = self.clock()
        self.is_held = False
        return lambda: not any(alive(pid) for pid in responders)

    def calls(self):
        return sum(line.startswith("called") for line in self.m.journal())

    def children(self):
        return [p.pid for p in every_process()
                if p.parent == self.server.process.pid]

    def resumed(self):
        with open(self.server.path("error.log")) as f:
            return f.read().count("resuming normal operations")

    def upgrade(self, _):
        path = self.server.path("www", "mamayo.fcgi")
        with open(path, "rb") as f:
            text = f.read()
        with open(path + ".new", "wb") as f:
            f.write(text + b"\0")
        os.chmod(path + ".new", 0o755)
        os.rename(path + ".new", path)
        if not self.looks_at_the_program:
            return lambda: True
        return lambda: path in [Process(pid).link("exe")
                                for pid in self.responders()]

    def reload(self, _):
        """Sometimes its owner asks for it, too."""
        n = sum(k.kind == "reload" for k in self.kills)
        is_broken, is_asked = n % 3 == 0, n % 2 == 0
        before = self.m.workers("ROOT")
        refused = self.m.log().count("cannot reload")
        self.m.app("ROOT", "%s\n# %d\n%s" % (
            self.source, n, is_broken and "raise RuntimeError\n" or ""))
        if is_asked:
            equal(self.m.command("restart", "ROOT").returncode != 0,
                  is_broken, "mamayo restart has failed")
        if is_broken:
            return lambda: self.m.log().count("cannot reload") > refused
        return lambda: set(self.m.workers("ROOT")).isdisjoint(before)

    def stop_supervisor(self, _):
        old = self.m.lock_holder()
        kill(old, signal.SIGSTOP)
        return lambda: self.m.lock_holder() not in (0, old)

    # -- the end

    def accepted(self):
        """Connections that have come to a socket in our directory: web servers
        keep some."""
        with open("/proc/net/unix") as f:
            lines = [line.split() for line in f]
        return {"socket:[%s]" % w[6] for w in lines if len(w) > 7
                and w[5] == "03" and w[7].startswith(self.m.dir + "/")}

    def counted(self, which=min):
        """With the application stopped: how many descriptors the supervisor
        has, beside one for each responder that it knows and each fork server,
        and the responder that has fewest (some have not been used yet), and
        how many other processes there are."""
        try:
            links = len(self.m.status()["responders"])
            processes, responders = self.m.processes(), self.responders()
            forkservers = [p for p in processes.values()
                           if b"mamayo_fork" in p.read("cmdline")]
            return {
                "supervisor's descriptors": len(
                    processes[self.m.lock_holder()].descriptors())
                - links - len(forkservers),
                "responder's descriptors": which(
                    len(set(processes[pid].descriptors().values())
                        - self.accepted() - {EPOLL}) for pid in responders),
                "processes": len(processes) - len(responders)
                - len(forkservers)}
        except (KeyError, ValueError, OSError):
            return None  # just changing

    def let_go(self):
        """The web server ends the connections that it has kept."""

    def pause(self):
        equal(self.m.command("stop", "ROOT").returncode, 0, "mamayo stop")
        within(20, lambda: self.m.workers("ROOT") == [], "no worker")

    def start(self):
        self.server.start()
        self.is_served()
        while len(self.body(self.number)) < LONG:
            self.ask()  # for what is kept once it was wanted
        self.pause()
        self.before = within(10, lambda: self.counted(max),
                             "something to count")
        equal(self.m.command("start", "ROOT").returncode, 0, "mamayo start")
        self.is_served()

    def is_as_before(self):
        self.let_go()
        self.is_served()
        self.pause()
        self.after = None

        def not_more():
            self.after = self.counted() or self.after
            return self.after and all(self.after[what] <= self.before[what]
                                      for what in self.before)
        try:
            within(20, not_more)
        except AssertionError:
            raise AssertionError("there were %r, and now %r: %r" % (
                self.before, self.after,
                [(p, p.descriptors()) for p in self.m.processes().values()]))

    def stop(self):
        self.server.stop()
        self.m.stop()
        within(60, lambda: not self.m.processes(), "the end of everything")
        equal([name for name in os.listdir(self.temporary)
               if not name.startswith("fcgid.")], [], "temporary files")

    def finish(self):
        """-> what was not allowed, as lines."""
        found = []
        for step in self.end_load, self.is_as_before, self.stop:
            try:
                step()
            except Exception as why:
                found.append("%s: %s" % (self.name, why))
        return found + self.problems(self.m.journal())

    def close(self):
        """-> the same, when everything has been looked at."""
        try:
            self.m.close()
        except Exception as why:
            return ["%s: %s" % (self.name, why)]
        return []

    # -- what there is to tell

    def waits(self, kind):
        """ms from each such kill to the end of the first request that was
        begun after it and served; from the end of a graceful restart."""
        served = [r for r in self.requests if r.served()]
        found = []
        for k in self.kills:
            if k.kind == kind:
                since = k.ended if kind == "graceful" else k.began
                ends = [r.ended for r in served if r.began >= since]
                found += [(min(ends) - since) * 1000] if ends else []
        return found

    def table(self):
        for kind in dict.fromkeys(k.kind for k in self.kills):
            mine = [k for k in self.kills if k.kind == kind]
            why = [r.why for k in mine for r in k.lost]
            waits = self.waits(kind)
            yield LINE % (
                self.name, kind, len(mine), len(why),
                "%.0f" % median(waits) if waits else "-",
                "%.0f" % max(waits) if waits else "-",
                ", ".join(["%d x %s" % (why.count(w), w)
                           for w in sorted(set(why))]
                          + [k.remark for k in mine if k.remark]))
        yield "%-10s served %d requests of %d%s" % (
            self.name, sum(r.served() for r in self.requests),
            len(self.requests), self.spared and
            ", %d times there was nothing to kill" % self.spared or "")


LINE = "%-10s %-11s %6s %5s %7s %7s  %s"
HEAD = LINE % ("behind", "killed", "times", "lost", "median", "worst", "how")


class Lighttpd(Stand):
    """Starts the next responder with the next request, but not while something
    is on its way to the last one, as what has been handed over still is."""

    server_name = "lighttpd"
    away = 3

    def make(self):
        return servers.Lighttpd(self.m)


class LighttpdTwo(Lighttpd):
    """With two of them, as examples/lighttpd.conf says."""

    server_name = "lighttpd:2"
    away = 0

    def make(self):
        return servers.Lighttpd(self.m, most=2)


class Fcgid(Stand):
    """Its spawn score: a death is 2, a start 1, a second takes one away; at 10
    Apache starts none."""

    server_name = "mod_fcgid"
    spacing = 5
    looks_at_the_program = True
    most = 1

    def make(self):
        return servers.ApacheFcgid(self.m)


class Nginx(Stand):
    """systemd starts a service five times in ten seconds, not more often."""

    server_name = "nginx"
    spacing = 2.5
    own = (502,)
    keeps = True

    def make(self):
        self.listening = self.m.popen([
            sys.executable, "-IS", "-c", SYSTEMD, self.m.socket,
            os.path.abspath(PROGRAM)])
        within(10, lambda: os.path.exists(self.m.socket), "the socket")
        return servers.Nginx(self.m)

    def spawner(self):
        return self.listening.pid

    def let_go(self):
        """A responder keeps the queue of a former generation as long as it
        cannot know what has become of the last answer on such a connection."""
        self.server.stop()
        self.server.start()


STANDS = (Lighttpd, Fcgid, Nginx)


def pace(stands, begun, over):
    """RATE requests a second are wanted of each of them."""
    n = 0
    while not over.wait(max(0, begun + n / RATE - time.monotonic())):
        n += 1
        for s in stands:
            if s.wanted.qsize() < THREADS and not s.is_held:
                s.wanted.put(None)


def under_load(stands, work):
    """-> what was not allowed while work() was done."""
    problems, over = [], threading.Event()
    fcgi.together(*[s.start for s in stands])
    begun = time.monotonic()
    for s in stands:
        s.begun = begun
        s.requests, s.number = [], 0
        os.truncate(os.path.join(s.m.dir, "journal"), 0)
        s.begin_load()
    pacer = threading.Thread(target=pace, args=(stands, begun, over))
    pacer.start()
    try:
        work(begun)
    except AssertionError as why:
        problems.append(str(why))
    finally:
        over.set()
        pacer.join()
    problems += sum(fcgi.together(*[s.finish for s in stands]), [])
    harness.failures += len(problems)  # then directories are kept
    return problems + sum((s.close() for s in stands), [])


def soak(seconds, seed, only="", say=print, tell_kills=False):
    """-> what was not allowed, as lines."""
    stands = [s(seed) for s in STANDS if only in s.server_name]
    kills = sorted((at, s.name, s, kind, which) for s in stands
                   for at, kind, which in s.schedule(seconds))

    def work(begun):
        for at, _, s, kind, which in kills:
            time.sleep(max(0, begun + at - time.monotonic()))
            s.strike(kind, which)
        time.sleep(max(0, begun + seconds - time.monotonic()))
    problems = under_load(stands, work)
    say("seed %s, %g s; ms from a kill to the next request that is served" % (
        seed, seconds))
    say(HEAD)
    for s in stands:
        for line in s.table():
            say(line)
        for k in s.kills if tell_kills else ():
            at = time.time() - s.clock() + k.began
            say("%s.%03d %s: %r" % (
                time.strftime("%H:%M:%S", time.localtime(at)),
                at % 1 * 1000, s.name, k))
    return problems


# -- measuring --------------------------------------------------------------

# what, behind which, how often
PLAN = (("supervisor", Lighttpd, 100), ("supervisor", Fcgid, 100),
        ("responder", Lighttpd, 100), ("responder", LighttpdTwo, 100),
        ("responder", Fcgid, 100),
        ("worker", Lighttpd, 1000), ("worker", Nginx, 1000),
        ("graceful", Fcgid, 20),
        ("upgrade", Lighttpd, 20), ("upgrade", Fcgid, 20),
        ("reload", Lighttpd, 10), ("reload", Nginx, 10),
        ("stop", Lighttpd, 3))


def happens(s, kind):
    """Once; returns when all is well again."""
    if kind in KINDS:
        if kind == "worker":
            within(20, lambda: any([b.close() or True for b in s.boards()]),
                   "a worker that has served")
        old = s.m.lock_holder()
        s.strike(kind, s.random.random())
        s.is_served()
        if kind == "supervisor":
            within(20, lambda: s.m.lock_holder() not in (0, old),
                   "the next supervisor")
    else:
        k = Kill(kind, 0, s.clock(), s.clock())
        s.kills.append(k)
        is_over = {"graceful": s.graceful, "upgrade": s.upgrade,
                   "reload": s.reload, "stop": s.stop_supervisor}[kind](k)
        s.is_served()
        within(40, is_over, "the end of " + kind)
        if kind == "stop":
            k.remark = "replaced after %.1f s" % (s.clock() - k.began)
    time.sleep(s.random.random() * EVERY)
    if kind == "responder":
        time.sleep(max(0, s.kills[-1].began + s.spacing - s.clock()))


def measure(scale, seed, only="", say=print):
    """-> what was not allowed, as lines."""
    problems = []
    say("seed %s; ms from a kill to the next request that is served" % seed)
    say(HEAD)
    for kind, stand, times in PLAN:
        if only not in kind + " " + stand.server_name:
            continue
        s = stand("%s %s" % (seed, kind))

        def work(_):
            for _ in range(max(1, int(times * scale))):
                happens(s, kind)
        problems += under_load([s], work)
        for line in s.table():
            say(line)
    return problems


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", default="")
    parser.add_argument("--only", default="", help="a part of a row's name")
    parser.add_argument("--kills", action="store_true",
                        help="print each, with the time of day")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--scale", type=float, default=1,
                        help="of what is measured, so many times as much")
    a = parser.parse_args()
    seed = a.seed or str(random.randrange(10 ** 6))
    print("seed " + seed, flush=True)

    def say(line):
        print(line, flush=True)
    problems = (measure(a.scale, seed, a.only, say) if a.measure
                else soak(a.seconds, seed, a.only, say, a.kills))
    for line in problems[:SHOWN]:
        say("NOT ALLOWED: " + line)
    if problems:
        say("%d things were not allowed" % len(problems))
    harness.failures = len(problems)


if __name__ == "__main__":
    try:
        main()
    finally:
        harness.end()
