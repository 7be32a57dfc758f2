"""mamayo as a black box: an account in a temporary directory, a responder
started the way a web server starts one, and what can be seen from outside.

    m = Mamayo(timeout=2)                 # settings of the account
    m.app("blog", "def application(environ, start_response): ...")
    m.start()                             # a responder, below a "web server"
    equal(m.get("/blog").status, 200)

After the last test everything is stopped and examined: no process, zombie,
socket or temporary file may be left, and nothing alarming in the logs. The
directory goes away unless a test has failed (or MAMAYO_KEEP is set).

Processes are known by MAMAYO_TEST=<directory> in their environment or by a
working directory below it. Imported by root, the script starts again as
nobody, for mamayo does not serve root.
"""
import fcntl
import json
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
import time

import fcgi
import harness
from harness import PROGRAM, equal, within

NOBODY = 65534
APPS = os.path.join(harness.SRCDIR, "t", "apps")


def become_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    if not os.access(tempfile.gettempdir(), os.W_OK):
        os.environ["TMPDIR"] = "/tmp"
    os.execv(sys.executable, [sys.executable] + sys.argv)


if os.geteuid() == 0 and not os.environ.get("MAMAYO_TEST_AS_ROOT"):
    become_nobody()

# A web server, as far as a responder can tell: its parent, which listens,
# starts it with the socket as descriptor 0, and may be killed at any moment.
# "start PATH..." starts one for each path, all released at the same instant;
# what has ended is written to the file named by the last argument.
WEB_SERVER = r"""
import os, select, signal, socket, sys
program, ends = sys.argv[1:3]
signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Apache hands it on

def start(paths):
    hold, release = os.pipe()
    pids = []
    for path in paths:
        if os.path.lexists(path):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        s.listen(1024)
        pid = os.fork()
        if pid == 0:
            os.close(release)
            os.read(hold, 1)
            os.dup2(s.fileno(), 0)
            log = os.open(os.path.dirname(ends) + "/stderr",
                          os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.closerange(3, 1000)
            os.chdir(os.path.dirname(program))
            os.execv(program, [program])
        s.close()
        pids.append(str(pid))
    os.close(release)
    os.close(hold)
    return " ".join(pids)

text = b""
while True:
    if select.select([0], [], [], 0.01)[0]:
        some = os.read(0, 4096)
        if not some:
            break
        text += some
        while b"\n" in text:
            line, text = text.split(b"\n", 1)
            os.write(1, start(line.decode().split()).encode() + b"\n")
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            with open(ends, "a") as f:
                f.write("%d %d\n" % (pid, status))
    except ChildProcessError:
        pass
"""

ALARMING = re.compile(r"alert|Sanitizer|assert|panic|BUG|runtime error")
ALARMING_IN_APP = re.compile(r"Sanitizer|BUG")


class Process:
    """One process as /proc shows it."""

    def __init__(self, pid):
        with open("/proc/%d/stat" % pid) as f:
            text = f.read()
        self.pid = pid
        self.name = text[text.index("(") + 1:text.rindex(")")]
        fields = text[text.rindex(")") + 2:].split()
        self.state, self.parent = fields[0], int(fields[1])
        self.session = int(fields[3])
        self.started = int(fields[19])

    def read(self, what):
        try:
            with open("/proc/%d/%s" % (self.pid, what), "rb") as f:
                return f.read()
        except OSError:
            return b""

    def link(self, what):
        try:
            return os.readlink("/proc/%d/%s" % (self.pid, what))
        except OSError:
            return ""

    def descriptors(self):
        """{number: what it is}"""
        try:
            return {int(n): self.link("fd/" + n)
                    for n in os.listdir("/proc/%d/fd" % self.pid)}
        except OSError:
            return {}

    def lowest_free(self):
        """The number that its next descriptor would have."""
        number, taken = 0, self.descriptors()
        while number in taken:
            number += 1
        return number

    def __repr__(self):
        return "%d (%s, %s, child of %d): %s" % (
            self.pid, self.name, self.state, self.parent, self.read(
                "cmdline").replace(b"\0", b" ").decode("latin-1").strip())


def every_process():
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield Process(int(name))
            except (OSError, ValueError):
                pass


def alive(pid):
    """There, and not a zombie."""
    try:
        return Process(pid).state not in "ZX"
    except OSError:
        return False


def gone(pid, seconds=10):
    within(seconds, lambda: not alive(pid), "the end of process %d" % pid)


def kill(pid, signo=signal.SIGKILL):
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        pass


def freeze(pid):
    """Stops it, and waits until it has."""
    kill(pid, signal.SIGSTOP)
    within(5, lambda: Process(pid).state == "T",
           "process %d to stop" % pid)


_all = []


class Mamayo:
    """An account: a directory with MAMAYO_ROOT in it."""

    def __init__(self, environment=None, user=None, **settings):
        self.user = user
        self.dir = tempfile.mkdtemp(prefix="mt.")
        os.chmod(self.dir, 0o755)
        self.root = os.path.join(self.dir, "mamayo")
        self.socket = os.path.join(self.dir, "s")
        self.address = self.socket
        self.server = None  # our stand-in for a web server
        self.responders = []
        self.killed = set()  # whose exit status is of no concern
        self.others = []  # what was started by popen()
        self.places = [self.dir]  # where its files may be
        self.problems = None  # a list when the end has begun
        self.closed = False
        self.expect_alarm = None  # a pattern that this test provokes
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "MAMAYO_ROOT": self.root, "MAMAYO_TEST": self.dir,
            "ASAN_OPTIONS": "log_path=%s/sanitizer" % self.dir,
            "UBSAN_OPTIONS": "log_path=%s/sanitizer:print_stacktrace=1"
                             % self.dir,
        }
        self.environment.update(environment or {})
        os.makedirs(os.path.join(self.root, "apps"))
        self.settings(**settings)
        if user is not None:
            for top, _, files in os.walk(self.dir):
                for path in [top] + [os.path.join(top, f) for f in files]:
                    os.chown(path, user, user)
        _all.append(self)

    # -- what the account's owner does -------------------------------------

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def settings(self, **settings):
        """The account's mamayo.json: short limits, unless said otherwise."""
        values = {"grace": 1, "linger": 5, "idle": 60, "timeout": 20,
                  "env": {"MAMAYO_TEST": self.dir}}
        values.update(settings)
        self.write("mamayo.json", json.dumps(values))

    def write(self, name, text, mode=0o644):
        """A file below the root, put in place at once. Gives its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "wb") as f:
            f.write(text.encode() if isinstance(text, str) else text)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)
        return path

    def app(self, name, source=None, file="application.py", **settings):
        """An application: its source, or the name of one in t/apps."""
        directory = self.path("apps", name)
        os.makedirs(directory, exist_ok=True)
        if source is None:
            with open(os.path.join(APPS, "hall.py")) as f:
                source = f.read()
        if settings:
            self.write(os.path.join("apps", name, "mamayo.json"),
                       json.dumps(settings))
        self.write(os.path.join("apps", name, file), textwrap.dedent(source))
        return directory

    def log(self, name="mamayo"):
        try:
            with open(self.path("logs", name + ".log"), "rb") as f:
                return f.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def journal(self):
        """Lines that t/apps/hall.py has written."""
        try:
            with open(os.path.join(self.dir, "journal")) as f:
                return f.read().split("\n")[:-1]
        except FileNotFoundError:
            return []

    def has(self, line, count=1):
        """Waits until so many lines of the journal begin with that."""
        within(20, lambda: len([w for w in self.journal()
                                if w.startswith(line)]) >= count,
               "%r in the journal, %d times" % (line, count))

    def open_gate(self, name):
        """What waits at that gate in t/apps/hall.py goes on."""
        open(os.path.join(self.dir, name), "w").close()

    # -- processes ---------------------------------------------------------

    def popen(self, argv, **how):
        """A process of this account; ended with it at the latest."""
        env = dict(self.environment, **how.pop("env", {}))
        if self.user is not None:
            user = self.user

            def drop():
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            how["preexec_fn"] = drop
        how.setdefault("stdin", subprocess.DEVNULL)
        how.setdefault("stdout", subprocess.DEVNULL)
        how.setdefault("cwd", self.dir)
        process = subprocess.Popen(argv, env=env, **how)
        self.others.append(process)
        return process

    def command(self, *arguments, **how):
        """Runs the program as a command -> CompletedProcess (text)."""
        how.setdefault("stdout", subprocess.PIPE)
        how.setdefault("stderr", subprocess.PIPE)
        program = how.pop("program", PROGRAM)
        limit = how.pop("limit", 20)
        process = self.popen([os.path.abspath(program)] + list(arguments),
                             **how)
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError("no end of: mamayo " + " ".join(arguments))
        self.others.remove(process)
        return subprocess.CompletedProcess(
            process.args, process.returncode,
            (out or b"").decode(), (err or b"").decode())

    def start(self, count=1, program=PROGRAM):
        """Responders, as a web server starts them. Gives their pids; the
        address of the first is self.address, of the others self.sockets."""
        if self.server is None:
            self.server = self.popen(
                [sys.executable, "-I", "-S", "-c", WEB_SERVER,
                 os.path.abspath(program), os.path.join(self.dir, "ends")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.sockets = [self.socket + str(i or "") for i in range(count)]
        return self._started(self.sockets)

    def start_at(self, address):
        """Another one in the place of one that runs, or has. Gives its pid."""
        return self._started([address])[0]

    def _started(self, addresses):
        self.server.stdin.write((" ".join(addresses) + "\n").encode())
        self.server.stdin.flush()
        pids = [int(p) for p in self.server.stdout.readline().split()]
        self.responders += pids
        return pids

    def listen(self, address=None, **how):
        """mamayo listen; waits until it listens. Gives the process."""
        address = address or "unix:" + self.socket
        said = self.errors().count("listening on ")
        with open(os.path.join(self.dir, "stderr"), "ab") as err:
            process = self.popen([os.path.abspath(PROGRAM), "listen", address],
                                 stdout=err, stderr=err, **how)

        def answers():
            if process.poll() is not None:
                raise AssertionError("mamayo listen ended: %s\n%s" % (
                    process.returncode, self.errors()))
            if self.errors().count("listening on ") == said:
                return False  # who answers is another one
            try:
                fcgi.Connection(address).close()
                return True
            except OSError:
                return False
        within(10, answers, "mamayo listen " + address)
        self.address = address
        return process

    def ended(self, pid):
        """The wait status of a responder that has ended, else None."""
        try:
            with open(os.path.join(self.dir, "ends")) as f:
                for line in f:
                    if line.startswith("%d " % pid):
                        return int(line.split()[1])
        except FileNotFoundError:
            pass
        return None

    def kill_responder(self, pid=None, signo=signal.SIGKILL):
        pid = pid or self.responders[-1]
        self.killed.add(pid)
        kill(pid, signo)
        within(10, lambda: self.ended(pid) is not None,
               "the end of responder %d" % pid)

    def kill_server(self):
        """kill -9 for the web server; its responders stay."""
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server.stdin.close()
            self.server.stdout.close()
            self.others.remove(self.server)
            self.server = None

    def processes(self):
        """Everything that belongs to this account, but what popen() made
        and the children of real web servers."""
        mark = ("MAMAYO_TEST=%s\0" % self.dir).encode()
        ours = {p.pid for p in self.others}
        found = {}
        for p in every_process():
            if (p.pid in ours or p.pid == os.getpid() or p.state in "ZX"
                    or p.name in ("lighttpd", "apache2", "nginx")):
                continue
            if (mark in p.read("environ") + b"\0"
                    or (p.link("cwd") + "/").startswith(self.root + "/")):
                found[p.pid] = p
        return found

    def zombies(self):
        parents = set(self.processes())
        return [p for p in every_process()
                if p.state == "Z" and p.parent in parents]

    def supervisors(self):
        """The pids of processes that could be one: not responders."""
        return [p.pid for p in self.processes().values()
                if p.name == "mamayo.fcgi" and p.pid not in self.responders]

    def lock_holder(self):
        """The pid of the process that owns run/lock; 0 if there is none."""
        try:
            with open(self.path("run", "lock"), "r+b") as f:
                ask = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET,
                                  0, 0, 0)
                got = fcntl.fcntl(f, fcntl.F_GETLK, ask)
        except FileNotFoundError:
            return 0
        kind, _, _, _, pid = struct.unpack("hhqqi4x", got)
        return 0 if kind == fcntl.F_UNLCK else pid

    def status(self):
        """What mamayo status --json says; None if there is no supervisor."""
        got = self.command("status", "--json")
        if not got.stdout.strip():
            raise AssertionError("mamayo status --json: exit %d, %s" % (
                got.returncode, got.stderr))
        report = json.loads(got.stdout)
        return report

    def status_of(self, name):
        """The part about one app."""
        for app in self.status()["apps"]:
            if app["name"] == name:
                return app
        raise AssertionError("no app %s in %r" % (name, self.status()))

    def supervisor(self):
        return self.status()["supervisor"]["pid"]

    def workers(self, name):
        """The pids of its workers."""
        return sorted(w["pid"] for w in self.status_of(name)["workers"])

    # -- what a visitor does -----------------------------------------------

    def connect(self, timeout=fcgi.LIMIT):
        return fcgi.Connection(self.address, timeout)

    def get(self, uri, method="GET", body=b"", timeout=fcgi.LIMIT, **more):
        return fcgi.fetch(self.address, uri, method, body, timeout, **more)

    def text(self, uri, **how):
        """The body of a 200, as text."""
        got = self.get(uri, **how)
        if got.status != 200:
            raise AssertionError("%s: %r" % (uri, got))
        return got.body.decode("utf-8")

    def served(self, app="blog"):
        """That an application with t/apps/hall.py serves."""
        equal(self.text("/%s/unread" % app), "did not look")

    # -- the end -----------------------------------------------------------

    def errors(self):
        try:
            with open(os.path.join(self.dir, "stderr"), "rb") as f:
                return f.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def stop(self):
        """As a web server stops: TERM to each responder, and goes away."""
        for pid in self.responders:
            if alive(pid) and self.ended(pid) is None:
                kill(pid, signal.SIGCONT)
                kill(pid, signal.SIGTERM)
        if self.server is not None:
            for pid in self.responders:
                if pid not in self.killed:
                    within(20, lambda pid=pid: self.ended(pid) is not None,
                           "responder %d to end after SIGTERM" % pid)
        self.kill_server()
        for process in self.others:
            if process.poll() is None:
                process.terminate()

    def examine(self):
        """While it runs: no zombie, no file held open outside."""
        within(5, lambda: not self.zombies(), "zombies of %r: %r" % (
            self.processes(), self.zombies()))
        # a process that is just starting reads files of its interpreter
        within(5, lambda: not self.strange_files(), "the end of %r"
               % self.strange_files())

    def strange_files(self):
        """Descriptors that have nothing to do with the account."""
        return ["descriptor %d of %r is %s" % (number, p, what)
                for p in self.processes().values()
                for number, what in p.descriptors().items()
                if not (what in ("/dev/null", "")
                        or any((what + "/").startswith(place + "/")
                               for place in self.places)
                        or re.match(r"socket:|pipe:|anon_inode:|/memfd:",
                                    what))]

    def elsewhere(self):
        """What is used in the place of run/, outside of our directory."""
        try:
            with open(self.path("run", "where")) as f:
                return [f.readline().strip()]
        except OSError:
            return []

    def leftovers(self):
        """After the end: processes, sockets, temporary files."""
        found = ["process %r" % p for p in self.processes().values()]
        for place in [self.root] + self.elsewhere():
            for top, directories, files in os.walk(place):
                for name in files:
                    path = os.path.join(top, name)
                    try:
                        mode = os.lstat(path).st_mode
                    except OSError:
                        continue
                    if stat.S_ISSOCK(mode):
                        found.append("socket " + path)
                    elif os.path.basename(top) == "workers":
                        found.append("scoreboard " + path)
                    elif "/run/" in path and re.search(r"tmp|temp|body|spool",
                                                       name):
                        found.append("temporary file " + path)
        return found

    def alarms(self):
        """Lines in the logs that must never be there."""
        found = []
        texts = [("stderr", self.errors(), ALARMING)]
        if os.path.isdir(self.path("logs")):
            for name in os.listdir(self.path("logs")):
                texts.append((name, self.log(name[:-4]),
                              ALARMING if name == "mamayo.log"
                              else ALARMING_IN_APP))
        for name in os.listdir(self.dir):
            if name.startswith("sanitizer"):
                with open(os.path.join(self.dir, name),
                          errors="replace") as f:
                    found.append(name + ":\n" + f.read())
        for name, text, pattern in texts:
            for line in text.split("\n"):
                if pattern.search(line) and not (
                        self.expect_alarm
                        and re.search(self.expect_alarm, line)):
                    found.append("%s: %s" % (name, line))
        return found

    def end(self):
        """Begins the end: examines, and stops what runs."""
        if self.problems is not None:
            return
        self.problems = []
        for function in (self.examine, self.stop):
            try:
                function()
            except Exception as why:
                self.problems.append(str(why))

    def close(self, seconds=15):
        """Stops everything and examines what is left. Raises if anything is
        not as it must be."""
        if self.closed:
            return
        self.end()
        self.closed = True
        problems = self.problems
        for process in self.others:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                problems.append("no end of %r" % process.args)
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self.others = []
        end = time.monotonic() + seconds
        while self.leftovers() and time.monotonic() < end:
            time.sleep(0.05)
        problems += self.leftovers() + self.alarms()
        for pid in self.responders:
            if pid not in self.killed and self.ended(pid) not in (0, None):
                problems.append("responder %d ended with wait status %d" % (
                    pid, self.ended(pid)))
        for p in self.processes().values():
            kill(p.pid)
        if problems or harness.failures or os.environ.get("MAMAYO_KEEP"):
            print("# kept: " + self.dir)
            self.tell()
        else:
            for place in self.elsewhere() + [self.dir]:
                shutil.rmtree(place, ignore_errors=True)
        if problems:
            raise AssertionError("\n".join(problems))

    def tell(self):
        """The ends of the logs, for whoever reads a failure."""
        for top, _, files in os.walk(self.dir):
            for name in files:
                if name.endswith(".log") or name == "stderr":
                    with open(os.path.join(top, name), "rb") as f:
                        text = f.read()[-3000:].decode("utf-8", "replace")
                    if text.strip():
                        print("# -- %s" % os.path.join(top, name))
                        for line in text.rstrip().split("\n"):
                            print("# | " + line)


@harness.cleanup
def _close_all():
    problems = []
    for m in _all:
        m.end()
    for m in _all:
        try:
            m.close()
        except Exception as why:
            problems.append("%s: %s" % (m.dir, why))
    if problems:
        raise AssertionError("\n".join(problems))
