"""mamayo serve: lighttpd with a configuration of its own, until Ctrl-C; and
nothing is left."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
import threading
import urllib.error
import urllib.request

import servers
from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo, kill

servers.find("lighttpd")
m = Mamayo()
SOURCE = """
    import os
    def application(environ, start_response):
        start_response("200 OK", [])
        return [("%s of %s" % (environ["PATH_INFO"], environ["SCRIPT_NAME"]))
                .encode()]
    """
m.app("blog", SOURCE)
m.app("tools/wiki", SOURCE)
TMP = os.path.join(m.dir, "tmp")
os.mkdir(TMP)


class Serving:
    def __init__(self, *arguments, **how):
        self.said, self.errors = "", ""
        self.place = tempfile.mkdtemp(dir=TMP)
        self.process = m.popen([os.path.abspath(PROGRAM), "serve"] +
                               list(arguments), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE,
                               env={"TMPDIR": self.place}, **how)
        self.readers = [
            threading.Thread(target=self.read, args=pair, daemon=True)
            for pair in ((self.process.stdout, "said"),
                         (self.process.stderr, "errors"))]
        for reader in self.readers:
            reader.start()

    def read(self, stream, where):
        for line in stream:
            setattr(self, where, getattr(self, where) + line.decode())

    def address(self):
        def told():
            equal(self.process.poll(), None, self.errors)
            return re.search(r"^(http://127\.0\.0\.1:\d+)/  serves",
                             self.said, re.M)
        return within(60, told, "the address").group(1)

    def get(self, path):
        try:
            with urllib.request.urlopen(self.address() + path,
                                        timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()

    def end(self, signo=signal.SIGINT, code=0):
        self.process.send_signal(signo)
        return self.ended(code)

    def ended(self, code):
        equal(self.process.wait(60), code, self.errors)
        for reader in self.readers:
            reader.join(20)
        self.process.stdout.close()
        self.process.stderr.close()
        m.others.remove(self.process)
        equal(os.listdir(self.place), [])
        return self.errors


def kill_all(serving, word):
    """The processes of that one whose command line has that word."""
    for pid in os.listdir("/proc"):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read()
        except OSError:
            continue
        if word in line and serving.place.encode() in line:
            kill(int(pid))


@test("a root directory: every application at its place")
def _():
    port = servers.free_port()
    s = Serving(m.root, "--port", str(port))
    equal(s.address(), "http://127.0.0.1:%d" % port)
    for path in ("/blog", "/tools/wiki"):
        equal(s.get(path + "/x"), (200, "/x of " + path))
        equal("http://127.0.0.1:%d%s/  %s\n" % (port, path, path[1:])
              in s.said, True, s.said)
    within(20, lambda: "blog: worker" in s.said, "the log")
    s.end()
    within(20, lambda: not m.processes(), "the end of everything")


@test("an application, wherever it lies, at /; its errors and its log are shown")
def _():
    place = os.path.join(m.dir, "src", "it's \"mine\"")
    os.makedirs(place)
    with open(place + "/application.py", "w") as f:
        f.write(textwrap.dedent(SOURCE))
    os.mkdir(place + "/public")
    with open(place + "/public/style.css", "w") as f:
        f.write("p { }")
    before = sorted(os.listdir(place))
    s = Serving(place)
    equal(s.get("/x/y"), (200, "/x/y of "))
    equal(s.get("/style.css"), (200, "p { }"))
    with open(place + "/application.py", "w") as f:
        f.write("print('here I am', flush=True)\nthis is nonsense\n")
    within(60, lambda: s.get("/x") and "is not defined" in s.said, "the log")
    s.end(signal.SIGTERM)
    within(20, lambda: not m.processes(), "the end of everything")
    equal([n for n in sorted(os.listdir(place)) if n != "__pycache__"], before)


@test("one that cannot be started says so in the browser; a change is served")
def _():
    place = m.app("broken", "import no_such_module\n")
    s = Serving(place)
    status, page = s.get("/")
    equal((status, "no_such_module" in page), (503, True), page)
    m.app("broken", "def application(environ, start_response):\n"
          "    start_response('200 OK', [])\n    return [b'mended']\n")
    within(60, lambda: s.get("/") == (200, "mended"), "it is mended")
    s.end(signal.SIGHUP)
    shutil.rmtree(place)


@test("without a directory: the application here, or else the account's own")
def _():
    s = Serving(cwd=m.path("apps", "blog"))
    equal(s.get("/x"), (200, "/x of "))
    s.end()
    s = Serving(cwd="/")
    equal(s.get("/blog/x"), (200, "/x of /blog"))
    s.end()


@test("the next port that is free is taken, unless one was named")
def _():
    first, second = Serving(m.root), Serving(m.root)
    addresses = [first.address(), second.address()]
    equal(len(set(addresses)), 2, addresses)
    equal([int(a.rpartition(":")[2]) >= 8080 for a in addresses],
          [True, True])
    for s in (first, second):
        equal(s.get("/blog/x"), (200, "/x of /blog"))
        s.end()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = Serving(m.root, "--port", port).ended(1)
        equal("port %s of 127.0.0.1" % port in said and "--port" in said,
              True, said)


@test("what is no application and no root directory is refused, and left alone")
def _():
    place = os.path.join(m.dir, "neither")
    os.mkdir(place)
    for directory, word in ((place, "neither an application"),
                            (place + "/nothing", "No such file"),
                            ("/etc/passwd", "neither an application")):
        equal(word in Serving(directory).ended(1), True, directory)
    equal(os.listdir(place), [])
    os.mkdir(place + "/apps")
    os.chmod(place, 0o777)
    equal("chmod o-w" in Serving(place).ended(78), True)
    os.chmod(place, 0o755)
    for arguments in (["a", "b"], ["--port"], ["--port", "0"],
                      ["--port", "65536"], ["--port", "x"], ["--all"], [""]):
        equal("usage: mamayo serve" in Serving(*arguments).ended(2), True)


@test("when lighttpd dies, so does it, and says so")
def _():
    s = Serving(m.root)
    s.get("/blog/unread")
    kill_all(s, b"lighttpd\0-D")
    equal("lighttpd has ended (killed by signal 9" in s.ended(1), True,
          s.errors)
    kill_all(s, b"mamayo.fcgi")  # which outlive a server that is killed
    within(20, lambda: not m.processes(), "the end of everything")



run()
