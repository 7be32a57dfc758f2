"""Logs: kept small, followed when they go, and never in the way of requests."""
import os
import re
import resource
import shutil
import signal
import time

from harness import equal, run, test, within
from mamayo import Mamayo, gone, kill

MIB = 1 << 20

# Writes into its log as the address says.
WRITER = r"""
    import os, subprocess, sys, threading, time
    from urllib.parse import parse_qsl

    BLOCK = (b"x" * 99 + b"\n") * 655

    def flood(seconds):
        end = time.monotonic() + seconds
        sent = 0
        while time.monotonic() < end:
            sent += os.write(2, BLOCK)
            # 30 MB a second, whatever the machine can do
            time.sleep(max(0, sent / 3e7 - seconds + end - time.monotonic()))

    def application(environ, start_response):
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        text = str(os.getpid())
        if "line" in query:
            print(query["line"], file=sys.stderr)
        if "bytes" in query:
            for _ in range(int(query["bytes"]) // len(BLOCK)):
                os.write(1, BLOCK)
        if "flood" in query:
            threading.Thread(target=flood, args=(float(query["flood"]),),
                             daemon=True).start()
        if "child" in query:
            text = subprocess.check_output(["sh", "-c",
                "(while sleep 0.1; do echo from a child; done) >&2 & echo $!"
                ]).decode().strip()
        if "busy" in query:
            while not os.path.exists(query["busy"]):
                time.sleep(0.01)
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text.encode()]
    """


def account(**settings):
    m = Mamayo(**dict({"log_size": 1, "log_keep": 2}, **settings))
    m.app("blog", WRITER)
    m.start()
    return m


def size(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def says(m, line):
    """Has it written that line, or will it within a second and a bit?"""
    m.text("/blog?line=" + line)
    within(10, lambda: line in m.log("blog"), line + " in the log")


@test("an app's log is copied when it has grown to its size, and truncated")
def _():
    m = account()
    path = m.path("logs", "blog.log")
    m.text("/blog?line=first&bytes=%d" % (2 * MIB // 3))
    equal(size(path + ".1"), 0)
    m.text("/blog?bytes=%d&line=second" % (2 * MIB // 3))
    within(10, lambda: size(path + ".1") >= MIB and size(path) == 0,
           "an old log")
    with open(path + ".1") as f:
        old = f.read()
    equal(("first" in old, "second" in old), (True, True))
    inode = os.stat(path).st_ino
    says(m, "third")
    equal(os.stat(path).st_ino, inode)
    equal("\0" in m.log("blog"), False)
    equal(os.stat(path + ".1").st_mode & 0o777, 0o600)


@test("mamayo.log is renamed, and every process goes on in the new one")
def _():
    m = account()
    m.text("/blog")
    path = m.path("logs", "mamayo.log")
    within(20, lambda: [f for f in m.status()["forkservers"]
                        if f["state"] == "ready"], "a fork server")
    with open(path, "a") as f:
        f.write("x" * MIB + "\n")
    within(10, lambda: size(path + ".1") > MIB, "an old log")
    within(10, lambda: size(path) < MIB)
    other = m.path("logs", "mamayo.log")
    within(10, lambda: all(
        p.link("fd/2") == other for p in m.processes().values()
        if b"mamayo_fork.serve" in p.read("cmdline")
        and b"preload=framework" in p.read("cmdline")), "the fork server")
    kill(int(m.text("/blog")))
    within(10, lambda: re.search(r"supervisor\[.*ended", m.log()))
    pid = m.supervisor()
    kill(pid)
    gone(pid)
    lock = m.path("run", "lock")  # nobody can be elected now
    os.unlink(lock)
    os.mkdir(lock)
    m.get("/blog")
    within(10, lambda: re.search(r"responder\[", m.log()), "a responder")
    os.rmdir(lock)
    within(10, lambda: m.get("/blog").status == 200, "a supervisor")


@test("removed, moved away, or with its directory: a new log within a second,"
      " for workers, too")
def _():
    m = account()
    says(m, "one")
    path = m.path("logs", "blog.log")
    pid = m.text("/blog")
    os.unlink(path)
    within(2, lambda: os.path.exists(path), "a new log")
    says(m, "two")
    os.rename(path, path + ".moved")
    open(path, "w").close()  # as logrotate's "create" does
    within(10, lambda: "three" in (m.text("/blog?line=three"),
                                   m.log("blog"))[1])
    shutil.rmtree(m.path("logs"))
    within(2, lambda: os.path.exists(path), "a new directory")
    within(10, lambda: "four" in (m.text("/blog?line=four"),
                                  m.log("blog"))[1])
    equal(m.text("/blog"), pid)  # it was the same worker all the time

    def ends():
        kill(int(m.text("/blog")))
        return within(1, lambda: "ended" in m.log("blog")) and m.log()
    within(10, ends, "mamayo.log")
    equal(os.stat(m.path("logs")).st_mode & 0o777, 0o700)


@test("copied and truncated by somebody else: no hole")
def _():
    m = account()
    m.text("/blog?bytes=500000")
    path = m.path("logs", "blog.log")
    os.truncate(path, 0)
    says(m, "after")
    equal(size(path) < 1000, True)


@test("a flood is bounded on the disk, and no request waits for that")
def _():
    m = account(workers={"max": 2})
    m.text("/blog")
    places = [m.path("logs", "blog.log" + e) for e in ("", ".1", ".2", ".3")]
    m.text("/blog?flood=4")
    most, worst, end = 0, 0, time.monotonic() + 4
    while time.monotonic() < end:
        begun = time.monotonic()
        m.text("/blog")
        worst = max(worst, time.monotonic() - begun)
        most = max(most, sum(map(size, places)))
        time.sleep(0.01)
    # not 120: three files of one MiB, and what comes between two looks, which
    # are a second apart while nothing is written
    equal(most < 40 * MIB, True, most)
    equal(worst < 2, True, worst)
    within(10, lambda: sum(map(size, places)) < 5 * MIB, "its end")
    within(10, lambda: "were dropped" in m.log(), "a word in mamayo.log")
    equal(m.log().count("were dropped"), 1)
    equal(os.path.exists(places[3]), False)
    says(m, "afterwards")
    return "%.1f MiB, %.0f ms at worst" % (most / MIB, worst * 1000)


@test("what an application has left behind is truncated as well")
def _():
    m = account()
    child = int(m.text("/blog?child=1"))
    path = m.path("logs", "blog.log")
    try:
        within(10, lambda: "from a child" in m.log("blog"))
        m.text("/blog?bytes=%d" % (MIB + 70000))
        within(10, lambda: size(path + ".1") > MIB, "an old log")
        within(10, lambda: "from a child" in m.log("blog"))
        equal("\0" in m.log("blog"), False)
    finally:
        kill(child)


@test("no room for a log: requests are served, and the lines are counted")
def _():
    m = account()
    pid = int(m.text("/blog?line=before"))

    def limit(size):
        for p in [pid, m.supervisor()] + m.responders:
            hard = resource.prlimit(p, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(p, resource.RLIMIT_FSIZE, (size, hard))
    limit(1)
    for _ in range(6):
        equal(m.text("/blog?line=during"), str(pid))
    m.app("another", WRITER)
    m.get("/another")
    limit(resource.RLIM_INFINITY)
    equal(m.text("/blog?line=after"), str(pid))
    within(10, lambda: "after" in m.log("blog"))
    equal(re.search(r"^before\n\n?[^\n]*warning: 6 lines before this one could"
                    r" not be written\nafter\n$", m.log("blog")) is None,
          False, m.log("blog"))
    within(10, lambda: m.get("/another").status == 200)
    within(10, lambda: "could not be written" in m.log(), "mamayo's own")


@test("while the supervisor is stuck an application logs as ever")
def _():
    m = account()
    m.text("/blog")
    pid = m.supervisor()
    kill(pid, signal.SIGSTOP)
    try:
        path = m.path("logs", "blog.log")
        for _ in range(10):
            m.text("/blog?bytes=%d" % (MIB // 2))
        equal(size(path) > 4 * MIB, True)
    finally:
        kill(pid, signal.SIGCONT)
    within(10, lambda: size(path) < MIB, "its size")


run()
