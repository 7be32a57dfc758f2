"""Measures mamayo beside uWSGI, and prints a table.

The same small application with the same number of workers, behind the same
web server, on one machine: rounds alternate, a value is the median of its
rounds, a ratio the median of the rounds' ratios. Whatever else the machine
does is in the numbers too: believe ratios before numbers.

wrk shares the machine with what it measures. "us" are microseconds of CPU,
user and system, that a role has used per request, also by processes of it that
have ended.

Everything listens on the loopback or in a temporary directory, which goes in
the end with every process. Started by root, all of it runs as nobody.
"""
import argparse
import collections
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = (os.path.join(HERE, "hello.py"),
         os.path.join(HERE, "..", "examples", "lighttpd.conf"),
         os.path.join(HERE, "..", "examples", "nginx.conf"))
PYTHON = "/usr/bin/python3"
BODY = b"Hello world\n"
TICK = os.sysconf("SC_CLK_TCK")
NOBODY = 65534
MOST = 900  # seconds until it gives up
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PR_SET_CHILD_SUBREAPER = 36
RESPONDERS = 20
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)

RPS_LEAST = 0.4    # of uWSGI's requests per second
COLD_MOST = 40     # ms more than the program alone
RESPONDER_MOST = 1024  # KiB
SUPERVISOR_MOST = 2048
TOGETHER_MOST = 15 * 1024


class Failure(Exception):
    """What was to be measured does not work: there is no number."""


# -- processes -------------------------------------------------------------

Process = collections.namedtuple("Process", "pid name state parent ticks")


def look(pid):
    with open("/proc/%d/stat" % pid) as f:
        text = f.read()
    at = text.rindex(")")
    fields = text[at + 2:].split()
    return Process(pid, text[text.index("(") + 1:at], fields[0],
                   int(fields[1]), sum(map(int, fields[11:15])))


def descendants():
    """{pid: Process} of all that we have started, and what they have."""
    found, children = {}, {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                p = look(int(name))
            except OSError:
                continue
            found[p.pid] = p
            children.setdefault(p.parent, []).append(p.pid)
    ours, todo = {}, [os.getpid()]
    while todo:
        for pid in children.get(todo.pop(), ()):
            ours[pid] = found[pid]
            todo.append(pid)
    return ours


def reap(known):
    """Buries those whose parents have gone: they are ours now."""
    for p in descendants().values():
        if p.state == "Z" and p.parent == os.getpid() and p.pid not in known:
            try:
                os.waitpid(p.pid, os.WNOHANG)
            except ChildProcessError:
                pass


def pss(pids):
    """KiB of memory, what is shared divided by its users."""
    total = 0
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            for line in f:
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def within(seconds, condition, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure("gave up waiting for " + what)
        time.sleep(0.005)


# -- what is measured ------------------------------------------------------

class Stack:
    """Processes and files in a directory of their own. name is shown."""

    def __init__(self, place, options):
        self.place = place
        self.dir = tempfile.mkdtemp(prefix="s.", dir=place)
        self.options = options
        self.popened = []
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.mkdir(self.path("www"))
        os.mkdir(self.path("tmp"))

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def read(self, name):
        with open(os.path.join(self.place, name)) as f:
            return f.read()

    def example(self, name, replaced):
        text = self.read(name)
        for old, new in replaced.items():
            if old not in text:
                raise Failure("examples/%s has no %s" % (name, old))
            text = text.replace(old, new)
        return self.write(name, text)

    def popen(self, argv, **how):
        how.setdefault("stdin", subprocess.DEVNULL)
        with open(self.path("output"), "ab") as out:
            p = subprocess.Popen(
                argv, stdout=out, stderr=out, cwd=self.dir,
                start_new_session=True, env={
                    "PATH": PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent",
                    "MAMAYO_ROOT": self.path("mamayo"),
                    "MAMAYO_TEST": self.dir}, **how)
        self.popened.append(p)
        return p

    def start(self):
        self.start_app()
        self.start_web()
        within(10, self.accepts, "%s to listen" % self.name)

    def accepts(self):
        for p in self.popened:
            if p.poll() is not None:
                with open(self.path("output"), errors="replace") as f:
                    raise Failure("%s ended: %s" % (p.args[0], f.read()))
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def get(self):
        """One request, to its last byte, with a connection of its own."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            c.request("GET", "/hello")
            r = c.getresponse()
            body = r.read()
        finally:
            c.close()
        if r.status != 200 or body != BODY:
            raise Failure("%s answers %d %r" % (self.name, r.status, body))

    def lighttpd(self, text):
        main = self.write("lighttpd.main", """\
server.document-root = "%(dir)s/www"
server.bind = "127.0.0.1"
server.port = %(port)d
server.errorlog = "%(dir)s/error.log"
server.upload-dirs = ("%(dir)s/tmp")
server.max-keep-alive-requests = 100000000
%(text)s
""" % {"dir": self.dir, "port": self.port, "text": text})
        return self.popen(["lighttpd", "-D", "-f", main])

    def roles(self):
        """{pid: role}"""
        raise NotImplementedError

    def stop(self):
        """Asks everything to end, and kills what does not."""
        signo = signal.SIGTERM
        end = time.monotonic() + 5
        while True:
            reap({p.pid for p in self.popened})
            for p in self.popened:
                p.poll()
            left = self.left()
            if not left:
                break
            if time.monotonic() > end:
                signo = signal.SIGKILL
            if signo:
                for p in left:
                    try:
                        os.kill(p.pid, signo)
                    except ProcessLookupError:
                        pass
            signo = 0
            time.sleep(0.01)
        self.popened = []

    def left(self):
        """Processes of this stack: known by a word in their environment,
        or by their parent where a server has overwritten that."""
        mark = ("MAMAYO_TEST=%s\0" % self.dir).encode()
        found, ours = [], {p.pid for p in self.popened}
        for p in descendants().values():
            try:
                with open("/proc/%d/environ" % p.pid, "rb") as f:
                    marked = mark in f.read()
            except OSError:
                marked = False
            if p.state != "Z" and (marked or p.pid in ours
                                   or p.parent in ours):
                found.append(p)
        return found


class Mamayo(Stack):

    def __init__(self, place, options, **settings):
        Stack.__init__(self, place, options)
        values = {"python": PYTHON, "env": {"MAMAYO_TEST": self.dir}}
        values.update(settings)
        self.write("mamayo/mamayo.json", json.dumps(values))
        self.write("mamayo/apps/hello/wsgi.py", self.read("hello.py"))
        self.program = os.path.join(place, "mamayo.fcgi")

    def status(self):
        p = subprocess.run(
            [self.program, "status", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"MAMAYO_ROOT": self.path("mamayo")})
        if p.returncode != 0:
            raise Failure("mamayo status: " + p.stdout.decode())
        return json.loads(p.stdout.decode())

    def roles(self):
        status = self.status()
        roles = {p.pid: "web" for p in descendants().values()
                 if p.name in ("lighttpd", "nginx")}
        roles[status["supervisor"]["pid"]] = "supervisor"
        for p in status["responders"]:
            roles[p["pid"]] = "responder"
        for app in status["apps"]:
            for p in app["workers"]:
                roles[p["pid"]] = "worker"
        return roles

    def has_workers(self):
        apps = self.status()["apps"]
        return sum(w["state"] in ("idle", "busy", "sending")
                   for a in apps for w in a["workers"]
                   ) == self.options.workers

    def warm(self):
        self.get()
        within(20, self.has_workers, "the workers of " + self.name)


class LighttpdMamayo(Mamayo):
    name = "lighttpd, mamayo"

    def start_app(self):
        pass

    def start_web(self):
        self.lighttpd('include "%s"' % self.example("lighttpd.conf", {
            "/srv/mamayo/mamayo.fcgi": self.program,
            '"/srv/mamayo"': '"%s", "MAMAYO_TEST" => "%s"' % (
                self.path("mamayo"), self.dir),
            "/run/lighttpd/mamayo.sock": self.path("sock")}))


class NginxMamayo(Mamayo):
    name = "nginx, mamayo"

    def start_app(self):
        self.popen([self.program, "listen",
                    "unix:" + self.path("sock")])
        within(10, lambda: os.path.exists(self.path("sock")), "mamayo listen")

    def start_web(self):
        shutil.copyfile("/etc/nginx/fastcgi_params",
                        self.path("fastcgi_params"))
        conf = self.example("nginx.conf", {
            "/srv/alice/mamayo.sock": self.path("sock"),
            "listen 80;": "listen 127.0.0.1:%d;" % self.port})
        main = self.write("nginx.main", """\
daemon off;
pid %(dir)s/nginx.pid;
error_log %(dir)s/error.log;
worker_processes 1;
events { worker_connections 1000; }
http {
	access_log off;
	keepalive_requests 100000000;
	client_body_temp_path %(dir)s/tmp/1;
	fastcgi_temp_path %(dir)s/tmp/2;
	proxy_temp_path %(dir)s/tmp/3;
	uwsgi_temp_path %(dir)s/tmp/4;
	scgi_temp_path %(dir)s/tmp/5;
	include %(conf)s;
}
""" % {"dir": self.dir, "conf": conf})
        self.popen(["nginx", "-e", self.path("error.log"), "-p", self.dir,
                    "-c", main])


class LighttpdUwsgi(Stack):
    name = "lighttpd, uWSGI"

    def start_app(self):
        self.write("hello.py", self.read("hello.py"))
        self.popen(["uwsgi", "--plugin", "python3", "--need-app", "--master",
                    "--disable-logging", "--die-on-term",
                    "--fastcgi-socket", self.path("sock"),
                    "--listen", "256",
                    "--processes", str(self.options.workers),
                    "--pythonpath", self.dir,
                    "--module", "hello:application"])
        within(10, lambda: os.path.exists(self.path("sock")), "uwsgi")

    def start_web(self):
        self.lighttpd("""\
server.modules += ( "mod_fastcgi" )
fastcgi.server = ( "/" => (( "socket" => "%s", "check-local" => "disable",
	"fix-root-scriptname" => "enable" )) )
""" % self.path("sock"))

    def warm(self):
        self.get()

    def roles(self):
        return {p.pid: "web" if p.name == "lighttpd"
                else "supervisor" if p.parent == os.getpid() else "worker"
                for p in self.left()}


# -- how -------------------------------------------------------------------

UNITS = {"us": 1, "ms": 1000, "s": 1000000}


def wrk(stack, clients, seconds):
    """One run -> {what: number}."""
    before = {}
    roles = stack.roles()
    now = descendants()
    for pid in roles:
        before[pid] = now[pid].ticks
    p = subprocess.run(
        ["wrk", "-t1", "-c%d" % clients, "-d%d" % seconds, "--latency",
         "http://127.0.0.1:%d/hello" % stack.port],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = p.stdout.decode()
    now = descendants()
    done = re.search(r"(\d+) requests in ([\d.]+)s", out)
    if p.returncode != 0 or not done or re.search("Non-2xx|Socket err", out):
        raise Failure("%s: wrk says:\n%s" % (stack.name, out))
    if stack.roles() != roles:
        raise Failure("%s: processes have changed under load" % stack.name)
    requests = int(done.group(1))
    got = {"rps": requests / float(done.group(2))}
    for percent in (50, 99):
        number, unit = re.search(r" %d%% +([\d.]+)(us|ms|s)\b" % percent,
                                 out).groups()
        got["p%d" % percent] = float(number) * UNITS[unit]
    for pid, role in roles.items():
        used = (now[pid].ticks - before[pid]) / TICK * 1e6 / requests
        got[role] = got.get(role, 0) + used
        got["total"] = got.get("total", 0) + used
    return got


def rounds(stacks, options, clients):
    """{stack: [what each round gave]}"""
    got = {s: [] for s in stacks}
    for i in range(options.rounds):
        for k in range(len(stacks)):
            s = stacks[(i + k) % len(stacks)]
            got[s].append(wrk(s, clients, options.seconds))
            say("%s, %d clients, round %d: %.0f requests/s" % (
                s.name, clients, i + 1, got[s][-1]["rps"]))
    return got


def median(results, what):
    values = [r[what] for r in results if what in r]
    return statistics.median(values) if values else None


def ratio(results, reference, what):
    return statistics.median(a[what] / b[what]
                             for a, b in zip(results, reference))


def first_answer(stack):
    """ms, with the web server up and nothing else."""
    stack.start()
    try:
        begin = time.monotonic()
        stack.get()
        return (time.monotonic() - begin) * 1000
    finally:
        stack.stop()


def program_alone(stack):
    path = stack.path("mamayo/apps/hello/wsgi.py")
    begin = time.monotonic()
    body = subprocess.check_output([PYTHON, path])
    took = (time.monotonic() - begin) * 1000
    if body != BODY:
        raise Failure("%s prints %r" % (path, body))
    return took


def ask(path):
    """A FastCGI request to a responder, without any web server."""
    def pair(name, value):
        return bytes([len(name), len(value)]) + name + value

    def record(kind, content):
        return (bytes([1, kind, 0, 1, 0, len(content), 0, 0]) + content)
    params = (pair(b"REQUEST_METHOD", b"GET")
              + pair(b"REQUEST_URI", b"/hello")
              + pair(b"SERVER_NAME", b"localhost")
              + pair(b"SERVER_PORT", b"80")
              + pair(b"SERVER_PROTOCOL", b"HTTP/1.1"))
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(path)
        s.sendall(record(1, b"\0\1\0\0\0\0\0\0") + record(4, params)
                  + record(4, b"") + record(5, b""))
        answer = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            answer += more
    if BODY not in answer:
        raise Failure("a responder answers %r" % answer)


def memory(place, options):
    """KiB: one responder, the supervisor, RESPONDERS and the supervisor."""
    stack = LighttpdMamayo(place, options)
    try:
        for i in range(RESPONDERS):
            path = stack.path("s%d" % i)
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(path)
                s.listen(5)
                stack.popen([stack.program], stdin=s)
            ask(path)
            if i == 0:
                status = stack.status()
                supervisor = status["supervisor"]["pid"]
                one = (pss([stack.popened[0].pid]), pss([supervisor]))
        return one + (pss([p.pid for p in stack.popened] + [supervisor]),)
    finally:
        stack.stop()


# -- the table -------------------------------------------------------------

def say(text):
    sys.stdout.flush()
    print("# " + text, file=sys.stderr, flush=True)


def shown(value):
    return "-" if value is None else (
        "%.2f" if value < 1 else "%.1f" if value < 10 else "%.0f") % value


def met(value, limit, most=True):
    good = value <= limit if most else value >= limit
    return "%s %s: %s" % ("at most" if most else "at least", limit,
                          "met" if good else "MISSED")


def print_load(got, clients, reference):
    print("\n%d client%s, medians of %d rounds" % (
        clients, "s" * (clients > 1), len(got[reference])))
    columns = (("rps", "req/s"), ("p50", "p50 us"), ("p99", "p99 us"),
               ("total", "CPU us"), ("web", "web"),
               ("responder", "responder"), ("supervisor", "supervisor"),
               ("worker", "workers"))
    print("%-18s" % "" + "".join("%11s" % title for _, title in columns))
    for s, results in got.items():
        print("%-18s" % s.name + "".join(
            "%11s" % shown(median(results, what)) for what, _ in columns))
    for s, results in got.items():
        if s is not reference:
            print("%-18s" % "  to uWSGI's" + "".join(
                "%11s" % ("%.2f" % ratio(results, got[reference], what))
                for what, _ in columns[:4]) + "   " + s.name)


def print_cold(first, cold, alone):
    more = statistics.median(cold) - statistics.median(alone)
    print("\nFirst answer with nothing running, %d rounds, ms: median, best" %
          len(cold))
    line = "%-42s%8.1f%8.1f"
    print(line % ("lighttpd, mamayo", statistics.median(cold), min(cold)))
    print(line % (PYTHON + " wsgi.py", statistics.median(alone), min(alone)))
    print((line + "  %s") % ("more", more, min(cold) - min(alone),
                             met(more, COLD_MOST)))
    print("%-42s%8.1f" % ("the first of all, in an empty account", first))


def print_memory(one, supervisor, together):
    print("\nMemory (PSS), KiB")
    print("%-42s%8d  %s" % ("one responder", one, met(one, RESPONDER_MOST)))
    print("%-42s%8d  %s" % ("the supervisor", supervisor,
                            met(supervisor, SUPERVISOR_MOST)))
    print("%-42s%8d  %s" % ("%d responders and the supervisor" % RESPONDERS,
                            together, met(together, TOGETHER_MOST)))


def measure_load(place, options):
    pool = {"workers": {"min": options.workers, "max": options.workers}}
    stacks = [LighttpdMamayo(place, options, **pool),
              LighttpdUwsgi(place, options)]
    if shutil.which("nginx", path=PATH):
        stacks.append(NginxMamayo(place, options, **pool))
    reference = stacks[1]
    try:
        for s in stacks:
            s.start()
            s.warm()
        for clients in options.clients:
            got = rounds(stacks, options, clients)
            print_load(got, clients, reference)
            if clients > 1:
                r = ratio(got[stacks[0]], got[reference], "rps")
                print("%-18s%11.2f  %s" % ("requests/s, ratio", r,
                                           met(r, RPS_LEAST, False)))
        roles = stacks[0].roles()
        print("PSS after that: %s" % ", ".join("%s %d KiB" % (
            role, pss([p for p in roles if roles[p] == role]))
            for role in ("responder", "supervisor")))
    finally:
        for s in stacks:
            s.stop()


def measure_cold(place, options):
    stack = LighttpdMamayo(place, options)
    first = first_answer(stack)
    cold, alone = [], []
    for i in range(options.cold):
        cold.append(first_answer(stack))
        alone.append(program_alone(stack))
    print_cold(first, cold, alone)


def measure_memory(place, options):
    print_memory(*memory(place, options))


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^model name\s*: (.*)", f.read(), re.M)
    return "%s, %d CPUs, Linux %s, load %.1f; %d workers, %d s a round" % (
        model.group(1) if model else os.uname().machine, os.cpu_count(),
        os.uname().release, os.getloadavg()[0], OPTIONS.workers,
        OPTIONS.seconds)


PARTS = collections.OrderedDict((
    ("load", measure_load), ("cold", measure_cold),
    ("memory", measure_memory)))


def arguments():
    p = argparse.ArgumentParser(
        description="Measures mamayo beside uWSGI, and prints a table.")
    p.add_argument("--program", default="fcgi/mamayo.fcgi")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=4, help="a round")
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--clients", type=int, nargs="+", default=[8, 1])
    p.add_argument("--cold", type=int, default=15, help="cold starts")
    p.add_argument("parts", nargs="*", metavar="PART",
                   help="of %s; all of them" % ", ".join(PARTS))
    o = p.parse_args()
    if set(o.parts) - set(PARTS):
        p.error("the parts are " + ", ".join(PARTS))
    o.program = os.path.abspath(o.program)
    return o


def settle():
    """A directory for everything, and an account that may be served."""
    place = tempfile.mkdtemp(prefix="mamayo-bench.")
    os.chmod(place, 0o755)
    for path in FILES:
        shutil.copy(path, place)
    shutil.copy(OPTIONS.program, os.path.join(place, "mamayo.fcgi"))
    if os.geteuid() == 0:
        say("started by root: everything runs as nobody")
        os.chown(place, NOBODY, NOBODY)
    return place


def become_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def sweep():
    """For what is left when even stopping has been interrupted."""
    left = descendants()
    while left:
        for p in left.values():
            if p.state != "Z":
                os.kill(p.pid, signal.SIGKILL)
        reap(())
        left = descendants()


def give_up(signo, frame):
    raise Failure("ended by signal %d" % signo)


def measure(place):
    become_nobody()
    os.environ["PATH"] = PATH
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for signo in ENDS:
        signal.signal(signo, give_up)
    signal.alarm(MOST)
    try:
        print(machine())
        for part in OPTIONS.parts or PARTS:
            PARTS[part](place, OPTIONS)
            sys.stdout.flush()
    except Failure as why:
        sys.exit("bench: %s" % why)
    finally:
        for signo in ENDS:
            signal.signal(signo, signal.SIG_IGN)
        sweep()


def main():
    for tool in ("lighttpd", "uwsgi", "wrk"):
        if shutil.which(tool, path=PATH) is None:
            sys.exit("bench: %s is not installed; ./bootstrap bench installs"
                     " what is needed" % tool)
    place = settle()
    # A child measures, so that the directory can be removed by whoever made
    # it.
    pid = os.fork()
    if pid == 0:
        measure(place)
        sys.exit(0)
    for signo in ENDS:
        signal.signal(signo, lambda signo, frame: os.kill(pid, signo))
    status = os.waitpid(pid, 0)[1]
    shutil.rmtree(place, ignore_errors=True)
    sys.exit(1 if status else 0)


OPTIONS = arguments()
if __name__ == "__main__":
    main()
