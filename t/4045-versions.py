"""Processes of different versions of mamayo tell each other apart, and never
misread what the other says (fault 71): the older gives way to the newer."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import fcgi
from c_header import numbers
from harness import PROGRAM, equal, run, test, within
from mamayo import APPS, Mamayo, Process, alive, every_process, kill

LIGHTTPD = "lighttpd/1.4.69"  # answered directly
OURS = numbers("lib/link.h")["LINK_PROTOCOL"]
EXPECTS = numbers("lib/supervisor.h")["SUPERVISOR_EXPECTS"] / 1000  # s
OTHER = 1000  # a protocol that is newer than ours

# A supervisor of another version, with the lock and the socket: it tells
# everybody so until its standard input ends.
SUPERVISOR = r"""
import fcntl, json, os, select, socket, sys
run = sys.argv[1]
lock = os.open(run + "/lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(lock, fcntl.LOCK_EX)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if os.path.lexists(run + "/sock"):
    os.unlink(run + "/sock")
s.bind(run + "/sock")
s.listen(64)
print("here", flush=True)
while True:
    ready = select.select([0, s], [], [])[0]
    if 0 in ready:
        break
    c = s.accept()[0]
    if json.loads(c.recv(65536).decode()).get("type") == "hello":
        c.send(json.dumps({"type": "outdated", "version": "9.9",
                           "protocol": %d}).encode())
        print("told", flush=True)
    c.close()
os.unlink(run + "/sock")
""" % OTHER


# What has a child that has ended, and becomes mamayo.
BECOMES = """#!%s -IS
import os
pid = os.fork() or os._exit(0)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
os.execv(%r, ["mamayo.fcgi"])
"""


def program(m):
    """A copy of the program, as a web server starts it."""
    path = os.path.join(m.dir, "www", "mamayo.fcgi")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copyfile(PROGRAM, path + ".new")
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    return path


def link(m):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(fcgi.LIMIT)
    s.connect(m.path("run", "sock"))
    return s


def greet(s, protocol, role="responder"):
    """Says who we are, and closes. -> what the supervisor says."""
    told = []
    with s:
        s.send(json.dumps({
            "type": "hello", "role": role, "version": "9.9",
            "protocol": protocol, "id": "%016x" % 7, "parent": os.getpid(),
            "parent_start": 0}).encode())
        while True:
            try:
                got = s.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                return told
            told.append(json.loads(got.decode()))


def hello(m, protocol, role="responder"):
    return greet(link(m), protocol, role)


def replaced(m, old):
    within(10, lambda: m.lock_holder() not in (0, old), "a new supervisor")


@test("fault 71: a newer responder comes: the supervisor retires, and the older"
      " responders become what is in their file now, the same processes; of the"
      " requests on their way and under load none is lost")
def _():
    for software in LIGHTTPD, "Apache/2.4.57 (Debian)":
        m = Mamayo(workers={"min": 2, "max": 2}, timeout=60, grace=3)
        m.app("blog")
        path = program(m)
        pids = m.start(2, program=path)
        for address in m.sockets:  # both know the supervisor
            equal(fcgi.fetch(address, "/blog/unread").status, 200)
        c = m.connect()
        c.send(fcgi.request("/blog/gate?name=x", SERVER_SOFTWARE=software))
        m.has("started x")
        running = [Process(pid).started for pid in pids]
        program(m)
        first, stop = m.lock_holder(), []

        def client(i):
            n = 0
            while not stop:
                equal(fcgi.fetch(m.sockets[i % 2], "/blog/unread",
                                 SERVER_SOFTWARE=software).body,
                      b"did not look")
                n += 1
            return n

        def newer():
            try:
                equal(hello(m, OTHER), [])  # nothing that it could misread
                within(10, lambda: [Process(pid).link("exe")
                                    for pid in pids] == [path] * 2,
                       "responders of the new version")
                replaced(m, first)
                within(10, lambda: m.workers("blog"), "its workers")
            finally:
                stop.append(1)

        counts = fcgi.together(*[lambda i=i: client(i) for i in range(4)],
                               newer)[:4]
        assert min(counts) > 0, counts
        m.open_gate("x")
        equal(c.answer().body, b"x")
        c.close()
        equal([Process(pid).started for pid in pids], running)
        equal(sum(w.startswith("started x") for w in m.journal()), 1)
        assert "is mamayo 9.9 and speaks protocol" in m.log(), m.log()
        within(20, lambda: not alive(first), "the end of the old supervisor")
        m.served()
        m.end()


@test("a responder reaps a child that ended before it became another program")
def _():
    m = Mamayo(grace=5)
    m.app("blog")
    path = m.write("www/mamayo.fcgi", BECOMES % (
        sys.executable, os.path.abspath(PROGRAM)))
    os.chmod(path, 0o755)
    pid, = m.start(program=path)
    m.served()
    within(5, lambda: not [p for p in every_process() if p.parent == pid and
                           p.state == "Z"], "no zombie of %d" % pid)


@test("an older responder, whose file has not been replaced, and a newer"
      " supervisor: visitors and the log are told at once; when that one has"
      " gone, it serves again")
def _():
    m = Mamayo(grace=5, linger=60)
    m.app("blog")
    pid = m.start()[0]
    m.served()
    other = m.popen([sys.executable, "-I", "-S", "-c", SUPERVISOR,
                     m.path("run")],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.kill(m.supervisor(), signal.SIGTERM)
    equal(other.stdout.readline(), b"here\n")
    for _ in range(3):
        got = m.get("/blog/unread")
        equal((got.status, got.error), (503, "resources"))
        assert got.header("Retry-After"), got
    equal(m.ended(pid), None)
    equal(m.log().count("mamayo 9.9 serves"), 1)
    other.stdin.close()
    within(10, lambda: other.poll() is not None, "its end")
    other.stdout.close()
    within(10, lambda: m.get("/blog/unread").status == 200, "it serves again")
    equal(m.responders, [pid])


@test("an older responder is told, and given nothing; a command of another"
      " version, too: nobody is disturbed")
def _():
    m = Mamayo(grace=5)
    m.app("blog")
    m.start()
    m.served()
    first, workers = m.lock_holder(), m.workers("blog")
    for role, protocol in (("responder", 0), ("command", 0),
                           ("command", OTHER), ("responder", "1"),
                           ("responder", None)):
        told = hello(m, protocol, role)
        equal([t["type"] for t in told], ["outdated"], role)
        assert told[0]["protocol"] >= 1, told
    m.served()
    equal((m.lock_holder(), m.workers("blog")), (first, workers))
    equal(m.log().count("speaks protocol"), 1)


@test("a supervisor whose own responders have gone makes room for an older one,"
      " but not at once: one that has just been started is not outrun by it")
def _():
    m = Mamayo(grace=30, linger=60)
    m.app("blog")
    pid, = m.start()
    m.served()
    first = m.lock_holder()
    gone = time.monotonic()
    m.kill_responder(pid)
    tries = 0
    while m.lock_holder() == first:
        equal([t["type"] for t in hello(m, 0)], ["outdated"])
        tries += 1
        assert time.monotonic() - gone < fcgi.LIMIT, "it is still there"
    took = time.monotonic() - gone
    assert took > EXPECTS - 0.01, took  # it counts whole milliseconds
    assert tries > 1, tries
    equal(m.log().count("leaving: one of another version takes over"), 1)
    within(20, lambda: not alive(first), "its end")


@test("a worker of another version comes to a new supervisor: it finishes what"
      " it has, and leaves; another one serves")
def _():
    with open(os.path.join(APPS, "hall.py")) as f:
        hall = f.read()
    for accel in True, False:
        m = Mamayo(timeout=60, grace=5)
        m.app("blog", hall + "\nimport mamayo_wsgi\n"
              "mamayo_wsgi.LINK_PROTOCOL = %d\n" % OTHER, accel=accel)
        m.start()
        with m.connect() as c:
            c.send(fcgi.request("/blog/gate?name=x"))
            m.has("started x")
            worker, = m.workers("blog")
            first = m.supervisor()
            kill(first)
            replaced(m, first)
            m.open_gate("x")
            equal(c.answer().body, b"x")
        within(10, lambda: not alive(worker), "it to leave")
        m.served()
        assert worker not in m.workers("blog")
        equal(sum(w.startswith("started x") for w in m.journal()), 1)
        m.end()


@test("a responder that has just reached a supervisor that retires is told"
      " nothing, least of all that there are no applications")
def _():
    m = Mamayo(timeout=60, grace=5)
    m.app("blog")
    m.start()
    with m.connect() as c:
        c.send(fcgi.request("/blog/gate?name=x"))
        m.has("started x")
        late = link(m)
        os.kill(m.lock_holder(), signal.SIGTERM)
        within(10, lambda: "leaving: asked to" in m.log(), "it to retire")
        equal(greet(late, OURS), [])
        m.open_gate("x")
        equal(c.answer().body, b"x")


run()
