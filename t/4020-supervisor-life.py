"""What a supervisor holds, when it leaves, what it makes of stale and planted
files and of what it inherits (R-PROC1 to R-PROC4, R-SEC1, R-SEC2, faults 43,
64 to 75)."""
import json
import os
import resource
import shutil
import signal
import stat
import sys
import textwrap
import time

import fcgi
from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo, Process, alive, gone, kill


def refused(m, *words):
    """A responder answers every request with a page that says why; commands
    say so too and exit with 78."""
    pid = m.start()[0]
    for _ in range(3):
        got = m.get("/")
        equal((got.status, got.error), (500, "refused"))
        for word in words:
            assert word.encode() in got.body, (word, got.body)
    equal(m.ended(pid), None, "it stays")
    command = m.command("status")
    equal(command.returncode, 78, command.stderr)
    for word in words:
        assert word in command.stderr, command.stderr
    equal(m.supervisors(), [])


# -- what it holds, and when it leaves -------------------------------------

@test("R-PROC1 it is in its own session and holds nothing of the responder")
def _():
    m = Mamayo()
    m.app("blog")
    pid = m.start()[0]
    m.served()
    listening = Process(pid).descriptors()[0]
    supervisor = Process(m.supervisor())
    equal(supervisor.session, supervisor.pid)
    assert supervisor.parent != pid or alive(pid)
    fds = supervisor.descriptors()
    assert listening not in fds.values(), fds
    equal(fds[0], "/dev/null")
    for n in (1, 2):
        assert fds[n] == "/dev/null" or fds[n].startswith(m.path("logs")), fds
    for worker in m.workers("blog"):
        assert listening not in Process(worker).descriptors().values()
    # so that a web server sees at once that its responder has died
    m.kill_responder(pid)
    try:
        m.connect()
        raise AssertionError("somebody still listens")
    except ConnectionRefusedError:
        pass


@test("idle workers leave, then the supervisor; a request brings them back")
def _():
    m = Mamayo(idle=1, linger=1, grace=1)
    m.app("blog")
    m.start()
    m.served()
    first = m.supervisor()
    within(20, lambda: not alive(first), "the supervisor to leave")
    within(5, lambda: set(m.processes()) == set(m.responders),
           "only the responder to be left")
    m.served()
    assert m.supervisor() != first


@test("the last request, the responder gone, one within linger: same pids")
def _():
    m = Mamayo(linger=20, grace=5)
    m.app("blog")
    pid = m.start()[0]
    worker = m.text("/blog/pid")
    supervisor = m.supervisor()
    m.kill_responder(pid, signal.SIGTERM)
    equal(m.ended(pid), 0)
    m.start()
    equal(m.text("/blog/pid"), worker)
    equal(m.supervisor(), supervisor)


@test("R-PROC4 responders and web server gone: requests end, all leave")
def _():
    m = Mamayo(grace=1, linger=60)
    m.app("blog")
    pid = m.start()[0]
    m.served()
    supervisor = m.supervisor()
    worker = m.workers("blog")[0]
    with m.connect() as c:
        c.send(fcgi.request("/blog/half?name=proc4"))
        m.has("half proc4")
        kill(pid, signal.SIGTERM)
        within(10, lambda: m.ended(pid) is not None)
        m.kill_server()
        m.open_gate("proc4")
        text = c.answer().body
        equal(text, b"aaaaabbbbb")
    gone(worker, 30)
    gone(supervisor, 30)
    within(10, lambda: not m.processes(), "the end of everything")


@test("the web server lives, its responders are gone: it waits for them")
def _():
    m = Mamayo(grace=1, linger=60)
    m.app("blog")
    pid = m.start()[0]
    m.served()
    supervisor = m.supervisor()
    m.kill_responder(pid)
    time.sleep(2)  # longer than grace
    assert alive(supervisor)
    m.start()
    m.served()
    equal(m.supervisor(), supervisor)


# -- files -----------------------------------------------------------------

@test("run/ is removed while it runs: still one supervisor, still serving")
def _():
    m = Mamayo(workers={"max": 1})
    m.app("blog")
    m.start()
    m.served()
    for _ in range(3):
        before = m.supervisor()
        shutil.rmtree(m.path("run"))
        m.served()
        within(15, lambda: m.served() or m.lock_holder() not in (0, before),
               "run/ to be made again")
        within(15, lambda: m.supervisors() == [m.lock_holder()],
               "one supervisor")
        m.served()


@test("whatever lies at the socket's place is no obstacle")
def _():
    def stale(path):
        import socket
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)

    def link(path):
        os.symlink("/nonexistent", path)
    for plant in (stale, os.mkdir, os.mkfifo, link):
        m = Mamayo()
        m.app("blog")
        os.mkdir(m.path("run"), 0o700)
        plant(m.path("run", "sock"))
        m.start()
        m.served()
        equal(len(m.supervisors()), 1)


@test("run/ that is a symlink is refused, and explained")
def _():
    m = Mamayo()
    m.app("blog")
    os.mkdir(os.path.join(m.dir, "elsewhere"), 0o700)
    os.symlink(os.path.join(m.dir, "elsewhere"), m.path("run"))
    refused(m, m.path("run"))
    equal(os.listdir(os.path.join(m.dir, "elsewhere")), [])


@test("R-SEC1 a directory that others may write to is refused, and explained")
def _():
    for name in ("", "apps", "logs", "run"):
        m = Mamayo()
        m.app("blog")
        path = m.path(name).rstrip("/")
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
        os.chmod(path, os.stat(path).st_mode | 0o002)
        refused(m, path)
        os.chmod(path, 0o700)  # and as soon as that is mended
        within(10, lambda: m.get("/blog/unread").status == 200 or (
            m.kill_responder() or m.start() and False))


@test("an app directory that others may write to is refused, others are not")
def _():
    m = Mamayo()
    m.app("blog")
    os.chmod(m.app("open"), 0o777)
    os.symlink("/usr", m.path("apps", "outside"))
    m.start()
    m.served()
    got = m.get("/open/unread")
    assert got.status in (404, 500, 503) and got.error, got
    assert m.get("/outside/lib").status in (404, 500, 503)
    within(5, lambda: "open" in m.log(), "a word in the log")
    equal(m.status_of("blog")["state"], "ready")


@test("R-SEC2 what it makes is its own only, whatever the umask")
def _():
    for mask in (0, 0o777):
        m = Mamayo()
        m.app("blog", """
            import os

            def application(environ, start_response):
                open("made", "w").close()
                start_response("200 OK", [])
                return [oct(os.umask(0o22)).encode()]
            """)
        m.start(program=evil(m, "os.umask(%d)" % mask))
        got = m.get("/blog")
        equal((got.status, got.body), (200, b"0o22"))
        equal(stat.S_IMODE(os.stat(m.path("run")).st_mode), 0o700)
        equal(stat.S_IMODE(os.stat(m.path("logs")).st_mode), 0o700)
        equal(stat.S_IMODE(os.stat(m.path("apps/blog/made")).st_mode), 0o644)
        for top in ("run", "logs"):
            for here, _, files in os.walk(m.path(top)):
                for name in files:
                    mode = os.lstat(os.path.join(here, name)).st_mode
                    equal(stat.S_IMODE(mode) & 0o077 & ~(
                        0o044 if "adapters" in here else 0), 0,
                        "%s/%s %o" % (here, name, mode))


# -- inherited evil --------------------------------------------------------

def evil(m, *lines):
    """A program that does something to itself, then becomes mamayo.fcgi."""
    place = os.path.join(m.dir, "evil")
    os.makedirs(place, exist_ok=True)
    path = os.path.join(place, "mamayo.fcgi")
    with open(path, "w") as f:
        f.write("#!%s -IS\nimport os, resource, signal\n%s\n"
                "os.execv(%r, [%r])\n" % (
                    sys.executable, "\n".join(lines),
                    os.path.abspath(PROGRAM), os.path.abspath(PROGRAM)))
    os.chmod(path, 0o755)
    return path


@test("whatever it inherits, it serves, and workers start clean")
def _():
    for lines in (
            ["signal.signal(signal.SIGCHLD, signal.SIG_IGN)"],
            ["signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))"],
            ["[signal.signal(s, signal.SIG_IGN) for s in range(1, 32)"
             " if s not in (9, 19)]"],
            ["os.close(1)", "os.close(2)"],
            ["os.umask(0o777)"], ["os.nice(19)"],
            ["os.chdir('/')"],
            ["d = '%s/cwd'", "os.mkdir(d)", "os.chdir(d)", "os.rmdir(d)"],
            ["[os.open('/dev/null', os.O_RDONLY) for _ in range(50)]",
             "[os.set_inheritable(n, True) for n in range(3, 50)]"],
            ["resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"],
            ["os.environ.clear()", "os.environ['MAMAYO_ROOT'] = '%s/mamayo'",
             "os.environ['MAMAYO_TEST'] = '%s'"]):
        m = Mamayo()
        m.app("blog")
        m.app("clean", textwrap.dedent("""
            import json, os

            def application(environ, start_response):
                start_response("200 OK", [])
                with open("/proc/self/status") as f:
                    lines = [l.split() for l in f]
                return [json.dumps({
                    w[0]: w[1] for w in lines if w[0] in (
                        "SigIgn:", "SigBlk:")}).encode()]
            """))
        m.start(program=evil(m, *[line.replace("%s", m.dir)
                                  for line in lines]))
        m.served()
        kill(m.workers("blog")[0])  # it is noticed, SIGCHLD or not
        m.served()
        got = json.loads(m.get("/clean").body.decode())
        equal(int(got["SigBlk:"], 16), 0, lines)
        # Python itself ignores SIGPIPE and SIGXFSZ; 32 and 33 belong to the C
        # library, whose posix_spawn (as make uses it) leaves them ignored
        equal(int(got["SigIgn:"], 16) & ~(3 << 31), 0x1001000, lines)


@test("R-SEC11 a supervisor leaves no core dump, for it may hold secrets")
def _():
    m = Mamayo()
    m.app("blog")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        return "nobody may here"
    m.start(program=evil(  # (a sanitizer would see to that as well)
        m, "os.environ['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '')"
        " + ':disable_coredump=0'",
        "resource.setrlimit(resource.RLIMIT_CORE, (%d, %d))" % (hard, hard)))
    m.served()
    for pid, soft in ((m.supervisor(), 0), (m.workers("blog")[0], 0),
                      (m.responders[0], hard)):  # that is the web server's
        equal(resource.prlimit(pid, resource.RLIMIT_CORE), (soft, hard))


@test("few descriptors: what cannot be served waits, nobody spins")
def _():
    m = Mamayo(workers={"max": 1})
    m.app("blog")
    pid = m.start(program=evil(
        m, "resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))"))[0]
    # so few may also be on their way between processes of this user, others'
    # included (ETOOMANYREFS)
    within(10, lambda: m.get("/blog/unread").status == 200)
    idle = [m.connect() for _ in range(100)]

    def ticks():
        fields = Process(pid).read("stat").decode().rsplit(")")[1].split()
        return int(fields[11]) + int(fields[12])
    before, since = ticks(), time.monotonic()
    time.sleep(1)
    used = (ticks() - before) / os.sysconf("SC_CLK_TCK")
    assert used < 0.3 * (time.monotonic() - since), "%s s of CPU" % used
    for c in idle:
        c.close()
    within(10, lambda: m.get("/blog/unread").status == 200)


@test("a root directory with a path longer than a socket's may be is served")
def _():
    m = Mamayo()
    deep = os.path.join(m.dir, "d" * 100, "e" * 100)
    os.makedirs(deep)
    os.rename(m.root, os.path.join(deep, "mamayo"))
    m.root = os.path.join(deep, "mamayo")
    m.environment["MAMAYO_ROOT"] = m.root
    m.app("blog")
    m.start()
    m.served()
    equal(len(m.supervisors()), 1)
    m.kill_responder()
    m.start()
    m.served()
    with open(m.path("run", "where")) as f:
        place = f.readline().strip()
    equal(stat.S_IMODE(os.stat(place).st_mode), 0o700)
    m.places.append(place)


@test("a new application, a removed one: noticed with the next request")
def _():
    m = Mamayo()
    m.app("blog")
    m.start()
    m.served()
    equal(m.get("/later/unread").status, 404)
    m.app("later")
    within(5, lambda: m.get("/later/unread").status == 200)
    m.app("tools/wiki")
    within(5, lambda: m.get("/tools/wiki/unread").status == 200)
    m.app("tools/next")
    within(5, lambda: m.get("/tools/next/unread").status == 200)
    m.app("ROOT")
    within(5, lambda: m.get("/unread").status == 200)
    m.app("under")  # also below a ROOT, where nothing is unknown
    within(5, lambda: b"did not" in m.get("/under/unread").body)
    m.served()
    shutil.rmtree(m.path("apps", "later"))
    within(10, lambda: m.get("/later/unread").status != 200
           or b"did not" not in m.get("/later/unread").body)
    m.served()


run()
