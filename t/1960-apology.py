"""When mamayo can only say why it does not serve: fcgi/apology, which is
written on libfcgi and shares nothing with the responder."""
import os
import pwd
import re
import signal
import socket
import subprocess

import fcgi
from harness import BUILDDIR, SRCDIR, equal, run, test, within
from mamayo import Mamayo, alive


def chmod(name, mode):
    return lambda m: os.chmod(m.path(name), mode)


def directory(name):
    def make(m):
        os.makedirs(m.path(name), mode=0o700)
        os.chmod(m.path(name), 0o777)
    return make


def link(name):
    def make(m):
        os.mkdir(os.path.join(m.dir, "elsewhere"))
        os.symlink(os.path.join(m.dir, "elsewhere"), m.path(name))
    return make


def empty_file(name):
    return lambda m: m.write(name, "")


def remove(name):
    return lambda m: os.unlink(m.path(name))


def is_apology(got, *words):
    """A page that says why, and nothing that a browser would take for more
    than text."""
    equal((got.status, got.error), (500, "refused"))
    equal(got.header("Content-Type"), "text/html; charset=utf-8")
    text = got.body.decode("utf-8")
    for word in words:
        if word not in text:
            raise AssertionError("%r is not in %s" % (word, text))


def stops(m, signo=signal.SIGTERM):
    pid = m.responders[-1]
    m.kill_responder(signo=signo)
    equal(m.ended(pid), 0)


def told_and_mended(spoil, mend, *words):
    m = Mamayo()
    m.app("blog")
    spoil(m)
    pid, = m.start()
    try:
        for _ in range(5):
            is_apology(m.get("/blog/"), *words)
            equal(alive(pid), True)
        if words[0] not in m.errors():
            raise AssertionError("its log says only: " + m.errors())
        mend(m)
        # one more page, if it had looked before; then the same process serves
        if m.get("/blog/pid").status != 200:
            equal(m.get("/blog/pid").status, 200)
        equal(m.ended(pid), None)
        stops(m)
    finally:
        m.close()


@test("the page follows when one reason gives way to another")
def _():
    m = Mamayo()
    chmod("", 0o757)(m)
    m.start()
    is_apology(m.get("/"), "/mamayo can be written by every user")
    directory("logs")(m)
    chmod("", 0o755)(m)
    m.get("/")  # it had looked before, perhaps
    is_apology(m.get("/"), "/mamayo/logs can be written by every user")
    stops(m)


for what in "apps", "":
    @test("a page says that %s is writable by everybody, until it is mended"
          % (what or "the root directory"))
    def _(what=what):
        told_and_mended(chmod(what, 0o757), chmod(what, 0o755),
                        "can be written by every user", "chmod o-w",
                        os.path.join("/mamayo", what).rstrip("/"))


for what in "run", "logs":
    @test("a page says that %s/ is writable by everybody, until it is mended"
          % what)
    def _(what=what):
        told_and_mended(directory(what), chmod(what, 0o700),
                        "can be written by every user", "chmod o-w",
                        "/mamayo/" + what)

    @test("a page says that %s/ is a symbolic link, until it is removed"
          % what)
    def _(what=what):
        told_and_mended(link(what), remove(what), "symbolic link",
                        "/mamayo/" + what)

    @test("a page says that %s/ is no directory, until it is removed" % what)
    def _(what=what):
        told_and_mended(empty_file(what), remove(what), "is not a directory",
                        "/mamayo/" + what)


@test("a page says that MAMAYO_ROOT is relative, as text, and creates nothing")
def _():
    m = Mamayo({"MAMAYO_ROOT": "<b>&there"})
    pid, = m.start()
    for _ in range(3):
        is_apology(m.get("/"), "&quot;&lt;b&gt;&amp;there&quot;",
                   "not an absolute path")
    stops(m)
    equal(os.path.exists(m.path("run")), False)


@test("a page says which user mamayo runs as if there is no place for it")
def _():
    user = pwd.getpwuid(os.geteuid()).pw_name
    m = Mamayo({"MAMAYO_ROOT": "/proc/none/mamayo"})
    m.start()
    for _ in range(3):
        is_apology(m.get("/"), "user " + user, "/proc/none/mamayo",
                   "install -d -o " + user, "mamayo listen")
    stops(m)
    if not os.path.exists(pwd.getpwuid(os.geteuid()).pw_dir):
        m = Mamayo()
        del m.environment["MAMAYO_ROOT"]
        m.start()
        is_apology(m.get("/"), "user " + user, "install -d -o " + user)
        stops(m)
        return "also with the home directory of " + user
    return None


@test("it stops when it is told to, idle or after requests")
def _():
    for signo in signal.SIGTERM, signal.SIGUSR1:
        for requests in 0, 2:
            m = Mamayo()
            os.chmod(m.root, 0o757)
            pid, = m.start()
            # it has answered, or has begun to wait
            for _ in range(requests):
                is_apology(m.get("/"))
            within(20, lambda: "can be written" in m.errors(), "a line")
            stops(m, signo)


@test("a kept connection is closed when mamayo begins to serve")
def _():
    m = Mamayo()
    m.app("blog")
    chmod("", 0o757)(m)
    m.start()
    with m.connect() as c:
        c.send(fcgi.request("/", keep=True))
        is_apology(c.answer(keep=True))
        chmod("", 0o755)(m)
        if c.try_send(fcgi.request("/", keep=True)):  # it had looked before
            c.ended()
        c.expect_end()
    equal(m.get("/blog/pid").status, 200)
    stops(m)


@test("several visitors at once, and one who leaves, are answered in turn")
def _():
    m = Mamayo()
    os.chmod(m.root, 0o757)
    m.start()
    m.connect().close()
    with m.connect() as c:
        c.send(b"\x07 this is not FastCGI " * 10)
    for got in fcgi.each(8, lambda i: m.get("/%d" % i)):
        is_apology(got)
    stops(m)


def cgi(m, **how):
    return m.command(env={"GATEWAY_INTERFACE": "CGI/1.1",
                          "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/m.fcgi",
                          "SERVER_SOFTWARE": "Apache", "REQUEST_URI": "/"},
                     **how)


@test("started as CGI it says so, whatever it reads from")
def _():
    m = Mamayo()
    pair = socket.socketpair()
    for stdin in subprocess.DEVNULL, pair[0]:
        got = cgi(m, stdin=stdin)
        equal(got.returncode, 0)
        head, _, body = got.stdout.partition("\r\n\r\n")
        equal(head.split("\r\n")[0].split()[:2], ["Status:", "500"])
        equal(re.findall("(?m)^X-Mamayo-Error: (.*)\r", head + "\r"),
              ["refused"])
        for word in "CGI", "fcgid-script":
            if word not in body:
                raise AssertionError(body)
    for s in pair:
        s.close()
    equal(os.path.exists(m.path("run")), False)


@test("it shares no code with what it apologises for")
def _():
    with open(os.path.join(SRCDIR, "fcgi", "apology.c")) as f:
        quoted = re.findall('(?m)^#include "(.*)"', f.read())
    with open(os.path.join(SRCDIR, "fcgi", "apology.h")) as f:
        quoted += re.findall("(?m)^#include (.*)", f.read())
    equal(quoted, ["config.h", "adapters/page_head.h", "fcgi/apology.h"])
    with open(os.path.join(BUILDDIR, "adapters", "page_head.h")) as f:
        equal(re.findall(r"[(){}]", re.sub(r'"(\\.|[^"\\])*"', "", f.read())),
              [])  # a text, and no code


run()
