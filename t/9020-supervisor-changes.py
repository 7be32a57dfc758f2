"""What happens to run/ and to the supervisor behind a responder's back, and
tables of routes of any size."""
import os
import shutil
import socket
import subprocess
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process


@test("hundreds of directories that hold no application hide none")
def _():
    m = Mamayo()
    for i in range(900):
        os.makedirs(m.path("apps", "data", "a-directory-with-a-somewhat-"
                           "long-name-%04d" % i))
    m.app("blog")
    m.app("data/last")
    m.start()
    m.served()
    m.served("data/last")


@test("bodies are stored also when run/ was removed and made anew")
def _():
    m = Mamayo()
    m.app("blog")
    pid = m.start()[0]
    body = b"0123456789" * 1000
    equal(m.get("/blog/echo", "POST", body).body == body, True)
    shutil.rmtree(m.path("run"))
    within(20, lambda: m.get("/blog/echo", "POST", body).body == body,
           "an upload to be taken")
    equal(m.ended(pid), None)


@test("a supervisor that hangs up at once is not asked again and again")
def _():
    m = Mamayo()
    m.app("blog")
    os.mkdir(m.path("run"), 0o700)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(m.path("run", "sock"))
    listener.listen(100)
    listener.settimeout(0.1)
    m.start()
    with m.connect() as c:
        c.send(fcgi.request("/blog/unread"))
        count, end = 0, time.monotonic() + 1.5
        while time.monotonic() < end:
            try:
                listener.accept()[0].close()
                count += 1
            except socket.timeout:
                pass
        equal(1 <= count < 60, True, "%d connections" % count)
        listener.close()
        os.unlink(m.path("run", "sock"))
        equal(c.answer().status, 200)


@test("who waits for a supervisor is served in the order of coming")
def _():
    m = Mamayo(workers={"max": 1})
    m.app("blog")
    os.mkdir(m.path("run"), 0o700)
    mute = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mute.bind(m.path("run", "sock"))
    mute.listen(100)
    m.start()
    visitors = [m.connect() for _ in range(10)]
    for i, c in enumerate(visitors):
        c.send(fcgi.request("/blog/sleep?seconds=0&name=%d" % i))
        c.taken()
    mute.close()
    os.unlink(m.path("run", "sock"))
    for c in visitors:
        equal(c.answer().status, 200)
    equal(m.journal(), ["started %d" % i for i in range(10)])


@test("who waits while no supervisor can be started is told so at once, and"
      " the log says why")
def _():
    def others_may_write(m):
        within(10, lambda: os.path.isdir(m.path("logs")))
        os.chmod(m.path("logs"), 0o777)
        return lambda: os.chmod(m.path("logs"), 0o700)

    def a_file_in_its_place(m):
        os.rmdir(m.path("run", "workers"))
        open(m.path("run", "workers"), "w").close()
        return lambda: os.unlink(m.path("run", "workers"))
    for spoil, name in ((others_may_write, "logs"),
                        (a_file_in_its_place, "workers")):
        m = Mamayo()
        m.app("blog")
        m.start()
        within(10, lambda: os.path.isdir(m.path("run", "workers")))
        mend = spoil(m)
        got = m.get("/blog/unread")
        equal((got.status, got.error), (503, "resources"))
        reason = [line for line in (m.log() + m.errors()).split("\n")
                  if "no supervisor could be started" in line]
        equal(m.path(*["run"] * (name == "workers"), name) in reason[0], True,
              reason)
        mend()
        within(10, lambda: m.get("/blog/unread").status == 200)


@test("all find the same supervisor, whatever XDG_RUNTIME_DIR they have")
def _():
    m = Mamayo()
    root = os.path.join(m.dir, "m" * 100)  # too long for a socket's name
    os.rename(m.root, root)
    m.root = m.environment["MAMAYO_ROOT"] = root
    os.mkdir(os.path.join(m.dir, "xdg"), 0o700)
    m.app("blog")
    m.start()
    worker = m.text("/blog/pid")
    with open(m.path("run", "where")) as f:
        place = f.readline().strip()
    m.places.append(place)
    m.listen("unix:" + os.path.join(m.dir, "l"),
             env={"XDG_RUNTIME_DIR": os.path.join(m.dir, "xdg")})
    equal(m.text("/blog/pid"), worker)
    equal(len(m.supervisors()), 1)
    m.close()


@test("applications start though a cleaner has been in run/")
def _():
    m = Mamayo()
    for name in ("blog", "second", "third"):
        m.app(name)
    m.start()
    m.served()
    before = m.supervisor()
    for name in os.listdir(m.path("run")):
        if name.startswith("adapters"):
            shutil.rmtree(m.path("run", name))
    m.served("second")
    shutil.rmtree(m.path("run", "workers"))
    within(10, lambda: m.get("/third/unread").status == 200)
    equal(m.supervisor(), before)


@test("what a supervisor left half done when it died is cleared away")
def _():
    m = Mamayo()
    m.app("blog")
    os.mkdir(m.path("run"), 0o700)
    os.mkdir(m.path("run", "workers"), 0o700)
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name in ("run/sock.%d", "run/workers/new.%d.0",
                 "run/workers/new.%d.1"):
        m.write(name % ended.pid, b"\0" * 4096, 0o600)
    m.start()
    m.served()
    equal([name for top in ("run", "run/workers")
           for name in os.listdir(m.path(top)) if str(ended.pid) in name], [])


def sleeps(pid):
    """How often it has gone to sleep so far."""
    for line in Process(pid).read("status").decode().split("\n"):
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise AssertionError("no count")


@test("a supervisor that was about to leave and stays has nothing to do")
def _():
    m = Mamayo(grace=1, idle=1, linger=60, timeout=30, stop_timeout=30)
    m.app("blog")
    m.app("long", """
        import atexit, os, time

        def wait():
            while not os.path.exists(os.environ["MAMAYO_TEST"] + "/over"):
                time.sleep(0.005)
        atexit.register(wait)

        def application(environ, start_response):
            start_response("200 OK", [])
            return []
        """)
    pid = m.start()[0]
    m.served()
    supervisor = m.supervisor()
    within(10, lambda: not m.workers("blog"), "blog to fall asleep")
    equal(m.get("/long").status, 200)
    m.kill_responder(pid)
    m.kill_server()
    within(15, lambda: "no web server is left" in m.log())
    m.start()
    equal(m.get("/").status, 404)  # which it learns from that supervisor
    m.open_gate("over")
    within(15, lambda: not m.workers("long"), "the worker's end")
    equal(m.supervisor(), supervisor)
    within(10, lambda: quiet(supervisor), "a supervisor that sleeps")


def quiet(pid):
    before = sleeps(pid)
    time.sleep(2)
    return sleeps(pid) - before < 10


run()
