"""mamayo doctor and sites that mean no good, or are none: it ends within its
limits, with a sentence. And its end: whatever it made has gone."""
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time

from harness import PROGRAM, cleanup, equal, run, test, within
from mamayo import Mamayo
from servers import Lighttpd, free_port

m = Mamayo()
LIMIT = 100  # seconds; its own limit for a request is 20


class Site:
    """What accepts a connection, reads a request, and does as it is told:
    behave(socket, head of the request)."""

    def __init__(self, behave):
        self.behave = behave
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(20)
        self.port = self.socket.getsockname()[1]
        self.requests = 0
        threading.Thread(target=self.accept, daemon=True).start()
        cleanup(self.socket.close)

    def accept(self):
        while True:
            try:
                c = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,),
                             daemon=True).start()

    def serve(self, c):
        with c:
            try:
                c.settimeout(LIMIT)
                head = b""
                while b"\r\n\r\n" not in head:
                    some = c.recv(65536)
                    if not some:
                        return
                    head += some
                self.requests += 1
                self.behave(c, head)
            except OSError:
                pass

    @property
    def url(self):
        return "http://127.0.0.1:%d/" % self.port


def start(url, *arguments, **how):
    how.setdefault("stderr", subprocess.PIPE)
    return m.popen([os.path.abspath(PROGRAM), "doctor", "--json"]
                   + list(arguments) + [url], stdout=subprocess.PIPE, **how)


def finish(process, seconds=LIMIT):
    """What was bad, after it has ended by itself."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError("no end of %r" % process.args)
    finally:
        m.others.remove(process)
    equal((process.returncode in (0, 1), err), (True, b""), repr(process.args))
    return [f for f in json.loads(out.decode())["findings"]
            if f["state"] == "bad"]


def left():
    names = []
    for place in ("apps", "logs", "state", "run"):
        if os.path.isdir(m.path(place)):
            names += os.listdir(m.path(place))
    return [n for n in names if "doctor" in n]


OK = b"HTTP/1.1 200 OK\r\n"


def say(text, then=None):
    def behave(c, _):
        c.sendall(text)
        if then:
            then(c)
    return behave


def forever(piece, pause=0.0):
    def then(c):
        while True:
            c.sendall(piece)
            time.sleep(pause)
    return then


def wait(c):
    c.recv(1)  # until the other end closes


def back(c, head):
    path = head.split(b" ")[1]
    c.sendall(b"HTTP/1.1 302 Found\r\nLocation: %s\r\n"
              b"Content-Length: 0\r\n\r\n" % path)


def pretend(c, head):
    """It looks like our application, but cannot know the secret."""
    body = json.dumps({
        "secret": "0" * 32, "pid": 1, "begin": 0, "length": 0,
        "scheme": "http", "environ": {"PATH_INFO": "/x"}}).encode()
    c.sendall(OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


HOSTILE = {
    "nothing at all": (lambda c, _: None, "without an answer"),
    "silence": (say(b"", wait), "does not answer in time"),
    "a byte now and then": (say(OK, forever(b"x", 0.3)), "in time"),
    "a body byte by byte": (say(OK + b"\r\n", forever(b"x", 0.3)), "in time"),
    "an endless body": (say(OK + b"\r\n", forever(b"x" * 65536)),
                        "leads to mamayo (status 200"),
    "endless headers": (say(OK, forever(b"X-Y: z\r\n" * 1000)),
                        "larger than 65536"),
    "one endless header": (say(OK + b"X: ", forever(b"x" * 65536)),
                           "larger than 65536"),
    "1xx for ever": (say(b"", forever(b"HTTP/1.1 100 Continue\r\n\r\n")),
                     "answers with 1xx"),
    "SSH": (say(b"SSH-2.0-OpenSSH_9.2\r\n", wait), "does not speak HTTP"),
    "zeros": (say(b"\0" * 100, wait), "does not speak HTTP"),
    "HTTP/2": (say(b"HTTP/2 200\r\n\r\n"), "does not speak HTTP"),
    "a status that is none": (say(b"HTTP/1.1 OK\r\n\r\n"), "begins with"),
    "half a header": (say(OK + b"X-"), "ends within"),
    "broken chunks": (say(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
                      "broken"),
    "chunks of any size": (say(OK + b"Transfer-Encoding: chunked\r\n\r\n"
                               b"ffffffff\r\nx", wait), "in time"),
    "a length that is none": (say(OK + b"Content-Length: -1\r\n\r\nx"),
                              "leads to mamayo"),
    "a redirection to itself": (back, "on and on"),
    "a redirection elsewhere": (
        say(b"HTTP/1.1 301 Moved\r\nLocation: http://192.0.2.1/login\r\n"
            b"Content-Length: 0\r\n\r\n"), "leads visitors away"),
    "a redirection to nowhere": (
        lambda c, head: c.sendall(
            b"HTTP/1.1 301 Moved\r\nLocation: ftp://[x%s\r\n"
            b"Content-Length: 0\r\n\r\n" % head.split(b" ")[1]),
        "leads visitors away"),
    "an application that is not ours": (pretend, "leads to mamayo"),
    "deep JSON": (say(OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200000),
                  "leads to mamayo"),
    "a terminal's commands": (
        say(b"HTTP/1.1 404 No\r\nServer: \33[2J\33]0;x\7\r\n"
            b"Content-Length: 0\r\n\r\n"), "leads to mamayo"),
}


@test("sites that mean no good, all at once: each gets a sentence, and the"
      " doctors end")
def _():
    running = {}
    for name, (behave, words) in HOSTILE.items():
        running[name] = start(Site(behave).url), words
    begin = time.monotonic()
    wrong = []
    for name, (process, words) in running.items():
        bad = finish(process, max(1, LIMIT - time.monotonic() + begin))
        if [f["check"] for f in bad] != ["site"] or (
                words not in bad[0]["text"]):
            wrong.append("%s: %r" % (name, bad))
    equal(wrong, [])
    equal(left(), [])


@test("no connection, no such name, no URL")
def _():
    port = free_port()
    bad, = finish(start("http://127.0.0.1:%d/" % port))
    equal("no connection to 127.0.0.1, port %d" % port in bad["text"], True)
    bad, = finish(start("http://nowhere.invalid/"))
    equal("nowhere.invalid cannot be found" in bad["text"], True, repr(bad))
    bad, = finish(start("https://127.0.0.1:%d/" % Site(pretend).port))
    equal("TLS" in bad["text"], True, repr(bad))
    for url in ("ftp://x/", "http://", "http:///x", "example.org",
                "http://x:99999/", "http://[::1/", "http://x/a b",
                "http://x/?q", "http://x/#f", "http://x/\r\ny", "http://\xe9."
                + "x" * 100 + "/", ""):
        got = m.command("doctor", url)
        equal((got.returncode, got.stdout), (2, ""), url)
        equal("Traceback" in got.stderr, False, got.stderr)
    equal(left(), [])


@test("a terminal gets no control characters of a site, and sees what is being"
      " done")
def _():
    site = Site(HOSTILE["a terminal's commands"][0])
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(os.path.abspath(PROGRAM),
                  ["mamayo", "doctor", site.url], m.environment)
    text = b""
    while True:
        try:
            text += os.read(terminal, 4096)
        except OSError:
            break
    os.close(terminal)
    equal(os.waitpid(pid, 0)[1], 1 << 8)
    text = text.decode()
    equal("\33[2J" in text or "\33]0" in text, False, repr(text))
    equal("\\x1b[2J" in text, True, repr(text))
    equal("\r\33[Ksite ..." in text, True, repr(text))
    equal("\33[31mbad \33[0m site" in text, True, repr(text))
    text = re.sub("\r\33\\[K[^\r\n]* \\.\\.\\.|\r?\33\\[[0-9]*[mK]", "", text)
    for line in text.split("\r\n"):
        equal(len(line) < 80 or "/" in line, True, line)
    equal(left(), [])


# -- its end -------------------------------------------------------------------

def is_there():
    return [n for n in os.listdir(m.path("apps"))
            if re.match(r"doctor-[0-9a-f]{32}$", n)]


@test("Ctrl-C, kill, and a terminal that closes: what it made goes, and it ends"
      " by that signal")
def _():
    site = Site(HOSTILE["silence"][0])
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = start(site.url)
        within(20, is_there)
        requests = site.requests
        within(20, lambda: site.requests > 0 and site.requests >= requests)
        process.send_signal(signo)
        process.send_signal(signo)  # impatience does no harm
        out, err = process.communicate(timeout=20)
        m.others.remove(process)
        equal((process.returncode, err), (-signo, b""))
        equal(left(), [])


@test("in front of a real site, too: no worker stays, no log, no name")
def _():
    server = Lighttpd(m).start()
    for signo in (signal.SIGINT, signal.SIGTERM):
        process = start(server.url("/"))
        within(20, lambda: [n for n in left() if n.endswith(".log")])
        process.send_signal(signo)
        process.communicate(timeout=30)
        m.others.remove(process)
        equal(process.returncode, -signo)
        equal(left(), [])
        equal([a["name"] for a in m.status()["apps"]
               if "doctor" in a["name"] and a["workers"]], [])
    server.stop()


@test("kill -9 leaves it behind: the next one removes it, and not that of one"
      " that runs")
def _():
    site = Site(HOSTILE["silence"][0])
    dead = start(site.url)
    name, = within(20, is_there)
    m.write("logs/%s.log" % name, "x\n")
    dead.kill()
    dead.communicate()
    m.others.remove(dead)
    other = start(site.url)
    two = within(20, lambda: name not in is_there() and is_there())
    finish(start("http://127.0.0.1:%d/" % free_port()))
    equal(is_there(), two)  # it runs still
    equal([f["check"] for f in finish(other)], ["site"])
    equal(left(), [])


@test("names that only look like it stay")
def _():
    stay = ["doctor-" + "0" * 31, "doctor-" + "g" * 32, "doctor-" + "0" * 33,
            "my-doctor-" + "0" * 32]
    for name in stay:
        m.app(name)
    os.symlink(m.path("apps", stay[0]), m.path("apps", "doctor-" + "1" * 32))
    finish(start("http://127.0.0.1:%d/" % free_port()))
    equal(sorted(n for n in os.listdir(m.path("apps"))),
          sorted(stay + ["doctor-" + "1" * 32]))
    for name in stay:
        subprocess.run(["rm", "-r", m.path("apps", name)], check=True)
    os.unlink(m.path("apps", "doctor-" + "1" * 32))


@test("applications that cannot be written: a sentence")
def _():
    os.chmod(m.path("apps"), 0o555)
    try:
        bad = finish(start("http://127.0.0.1:%d/" % free_port()))
    finally:
        os.chmod(m.path("apps"), 0o755)
    equal([f["check"] for f in bad], ["site"])
    equal("cannot be put into" in bad[0]["text"], True, repr(bad))


run()
