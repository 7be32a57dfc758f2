"""Behind Apache's mod_fcgid: mamayo.fcgi and an .htaccess, as on a shared
host. Every form and place of the .htaccess goes through the table of paths;
the whole table is run in the document root."""
import json
import os
import pwd
import signal
import socket
import time

import fcgi
import through
from harness import equal, run, test, within
from mamayo import Mamayo, alive
from servers import ApacheFcgid

KILLED = 10  # s: after 8 Apache sends SIGKILL

m = Mamayo(workers={"max": 4})
server = ApacheFcgid(m)

through.tests("fcgid", m, server, encoded_slash=404,
              longest_body=64 * through.MIB, too_long=500)


@test("fcgid: files beside it are Apache's own")
def _():
    s = server if server.process else server.start()
    got = s.get("/file.txt")
    equal((got.status, got.body), (200, b"a file\n"))


@test("fcgid: a visitor's Authorization cannot be smuggled past an empty one")
def _():
    s = server if server.process else server.start()
    got = s.get("/blog/environ", headers={"Redirect-Http-Authorization": "x",
                                          "Proxy": "http://evil"})
    got = through.data(got)
    equal((got.get("HTTP_AUTHORIZATION"), got.get("HTTP_PROXY")),
          (None, None))


@test("fcgid: 200 with a Location is Apache's internal redirect")
def _():
    s = server if server.process else server.start()
    got = s.get("/blog/redirect?to=/file.txt&code=200+OK")
    equal((got.status, got.body), (200, b"a file\n"))
    # and if it comes back to mamayo, there is an end of it
    got = s.get("/blog/redirect?to=/blog/redirect&code=200+OK")
    assert got.status in (404, 500), got


def everywhere(form, where):
    @test("%s in %s" % (form, where or "the document root"))
    def _():
        mine = Mamayo(workers={"max": 2})
        for name in ("blog", "blogger", "tools/wiki"):
            mine.app(name)
        s = ApacheFcgid(mine, form, where).start()
        for path, script, info in through.URLS:
            if where and path.startswith("//"):
                continue  # would be another directory
            got = s.get(path)
            equal(got.status, 200, path + " " + repr(got))
            got = json.loads(got.body.decode())
            equal((got["script_name"], got["path_info"]),
                  (s.base + script, info), path)
        for path in through.LOST:
            got = s.get(path)
            equal((got.status, got.header("X-Mamayo-Error")),
                  (404, "no-app"), path)
        equal(s.get("/file.txt").body, b"a file\n")
        got = s.get("/blog/body", "POST", b"x" * 5000)
        equal(json.loads(got.body.decode())["length"], 5000)
        equal(s.curl("-u", "a:b", "/blog/auth"), b"Basic YTpi")
        equal(s.curl("/blog/auth"), b"none")
        got = s.get("/blog/redirect?to=/x")
        equal((got.status, got.header("Location")), (302, "/x"))
        equal(s.get("/").status in (200, 404), True)
        s.stop()
        within(60, lambda: not mine.processes(), "the end of everything")


for form in ("htaccess", "htaccess-rewrite"):
    for where in ("", "/sub", "/~alice"):
        if (form, where) != ("htaccess", ""):
            everywhere(form, where)


@test("fcgid as it comes: 128 KiB of body, more is its own 500")
def _():
    mine = Mamayo()
    mine.app("blog")
    s = ApacheFcgid(mine, limits=False).start()
    got = s.get("/blog/body", "POST", b"x" * 131072)
    equal(json.loads(got.body.decode())["length"], 131072)
    before = len(mine.journal())
    got = s.get("/blog/body", "POST", b"x" * 140000)
    equal((got.status, got.header("X-Mamayo-Error")), (500, None))
    # and its own 500 for headers that do not fit one record
    got = s.get("/blog/environ", headers={
        "X-%d" % i: "y" * 7000 for i in range(10)})
    equal((got.status, got.header("X-Mamayo-Error")), (500, None))
    equal(len(mine.journal()), before)
    equal(s.get("/blog/unread").status, 200)
    s.stop()


@test("fcgid: many copies share one supervisor and its workers")
def _():
    mine = Mamayo(workers={"max": 2})
    mine.app("blog")
    s = ApacheFcgid(mine).start()
    fcgi.each(8, lambda i: equal(
        s.get("/blog/sleep?seconds=0.3").body, b"slept"))
    report = mine.status()
    assert len(report["responders"]) > 1, report["responders"]
    equal(mine.lock_holder(), report["supervisor"]["pid"])
    assert len(mine.workers("blog")) <= 2
    s.stop()
    within(60, lambda: not mine.processes(), "the end of everything")


@test("fcgid: a graceful restart keeps supervisor and workers")
def _():
    mine = Mamayo(workers={"max": 1}, grace=5)
    mine.app("blog")
    s = ApacheFcgid(mine).start()
    pid = s.get("/blog/pid").body
    supervisor = mine.supervisor()
    for _ in range(2):
        old = {r["pid"] for r in mine.status()["responders"]}
        s.process.send_signal(signal.SIGUSR1)
        within(30, lambda: not old & {
            r["pid"] for r in mine.status()["responders"]},
            "the end of responders %r" % old)
        within(30, lambda: s.get("/blog/unread").status == 200)
        equal(s.get("/blog/pid").body, pid)
        equal(mine.supervisor(), supervisor)
    s.stop()
    within(60, lambda: not mine.processes(), "the end of everything")


@test("R-PROC3 fcgid: every byte of a download arrives that takes longer than"
      " Apache lets a responder live after a graceful restart")
def _():
    mine = Mamayo(workers={"max": 1}, grace=5)
    mine.app("blog")
    s = ApacheFcgid(mine).start()
    equal(s.get("/blog/unread").status, 200)
    size, got = 60000000, 0
    with socket.create_connection(("127.0.0.1", s.port), 30) as c:
        c.sendall(b"GET /blog/download?size=%d&name=long HTTP/1.0\r\n"
                  b"Host: localhost\r\n\r\n" % size)
        mine.has("started long")
        old = {r["pid"] for r in mine.status()["responders"]}
        s.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + KILLED
        while time.monotonic() < end or any(map(alive, old)):
            assert time.monotonic() < end + 30, "responders of before"
            got += len(c.recv(100000))
            time.sleep(0.1)  # a visitor who reads slowly
        assert got < size / 2, "it was not slow"
        while True:
            some = c.recv(1 << 20)
            if not some:
                break
            got += len(some)
    assert size < got < size + 1000, got
    s.stop()
    within(60, lambda: not mine.processes(), "the end of everything")


@test("fcgid: where it can have no directory it says so, and what to do")
def _():
    mine = Mamayo()
    mine.root = "/nonexistent/mamayo"
    s = ApacheFcgid(mine).start()
    got = s.get("/")
    equal((got.status, got.header("X-Mamayo-Error")), (500, "refused"))
    for word in (pwd.getpwuid(os.geteuid()).pw_name, "/nonexistent/mamayo",
                 "MAMAYO_ROOT", "listen"):
        assert word.encode() in got.body, got.body
    s.stop()


through.warm("fcgid", ApacheFcgid)
through.end("fcgid", m, server, spawns=True)

run()
