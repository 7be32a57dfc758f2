"""What goes wrong in an application is explained: its log says which one it is,
what has happened and what to do; so does the page, with "debug"; a visitor is
told nothing but that."""
import json
import os
import re
import subprocess
import sys

import fcgi
from harness import SRCDIR, equal, run, test, within
from mamayo import Mamayo

sys.path.append(os.path.join(SRCDIR, "adapters"))
import mamayo_advice

PYTHON = "/usr/bin/python3"
VERSION = tuple(map(int, subprocess.check_output(
    [PYTHON, "-c", "import sys; print(*sys.version_info[:3])"]).split()))

m = Mamayo(workers={"max": 1}, timeout=2)
m.start()

count = 0


def cause(files, path="/", status=503, code="cannot-start", **settings):
    """An application with these files, or this one, and a request for it,
    twice: for a visitor, and with debug. Gives what its log says."""
    global count
    if isinstance(files, str):
        files = {"application.py": files}
    pages = []
    for debug in (False, True):
        count += 1
        name = "x%d" % count
        for file, text in files.items():
            m.app(name, text, file=file)
        m.write("apps/%s/mamayo.json" % name, json.dumps(
            dict(settings, debug=debug)))
        got = m.get("/" + name + path)
        equal((got.status, got.error), (status, code), got.body)
        pages.append(got.body.decode("utf-8"))
        within(10, lambda: name + ": " in m.log(), "its name in mamayo.log")
    visitor, owner = pages
    assert len(visitor) < 4096
    for secret in ("Traceback", "File ", "signal", m.root, "<pre>", "import"):
        assert secret not in visitor, (secret, visitor)
    assert "<code>mamayo logs x%d</code>" % (count - 1) in visitor, visitor
    assert "<pre>" in owner, owner
    return Explained(owner, m.log("x%d" % count), "x%d" % count)


class Explained:
    def __init__(self, page, log, name):
        pre = re.search("(?s)<pre>\n(.*?)</pre>", page).group(1)
        for safe, raw in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'),
                          ("&amp;", "&")):
            pre = pre.replace(safe, raw)
        self.page, self.log, self.name = pre, log, name

    def says(self, *words):
        """On the page and in the log."""
        for word in words:
            for where, text in (("page", self.page), ("log", self.log)):
                assert word in text, "%r is not in the %s:\n%s" % (
                    word, where, text)
        return self

    def has_not(self, *words):
        for word in words:
            assert word not in self.page + self.log, word
        return self


HOW = """
import os, signal, time
def inner(how):
    if how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(5)
    if how == "sleep":
        time.sleep(60)
    if how == "memory":
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        return b"x" * (1 << 31)
    raise ValueError("<b>" + how)
def application(environ, start_response):
    inner(environ["PATH_INFO"][1:])
"""


# What cannot be started


@test("a module that is missing: the line that installs it, for the right "
      "Python")
def _():
    e = cause("import frobnicator\n")
    e.says("there is no module frobnicator; to install it: " + PYTHON,
           "/bin/pip install frobnicator", "write it into requirements.txt",
           "mamayo setup " + e.name)
    e = cause({"requirements.txt": "frobnicator\n",
               "application.py": "import frobnicator\n"})
    e.says("there is no module frobnicator", "/requirements.txt",
           "simpler: mamayo setup " + e.name).has_not("write it into")


@test("a module that its virtual environment lacks: that one's pip")
def _():
    files = {"application.py": "import frobnicator\n",
             "venv/pyvenv.cfg": "home = /usr/bin\n"}
    for n in (1, 2):  # for the two of cause()
        os.makedirs(m.path("apps", "x%d/venv/bin" % (count + n)))
        os.symlink(PYTHON, m.path("apps", "x%d/venv/bin/python" % (count + n)))
    e = cause(files)
    e.says("to install it: %s/apps/%s/venv/bin/pip install frobnicator" % (
        m.root, e.name)).has_not("mamayo setup")


@test("a Python that is too old for the application: which one it asks for")
def _():
    cause({"pyproject.toml": '[project]\nrequires-python = ">=3.39"\n',
           "application.py": "import tomllib_of_tomorrow\n"}).says(
        "pyproject.toml asks for Python >=3.39, and it runs with Python "
        + ".".join(map(str, VERSION)), "none like that is in")
    cause({"setup.cfg": "[options]\npython_requires = <3.7\n",
           "application.py": "1 // 0\n"}).says("asks for Python <3.7")
    cause({"runtime.txt": "python-3.39.1\n",
           "application.py": "1 // 0\n"}).says("asks for Python ==3.39.*")
    cause({"pyproject.toml": '[project]\nrequires-python = ">=3.6"\n',
           "application.py": "1 // 0\n"}).says(
        "application.py, line 1: ZeroDivisionError").has_not("asks for")


@test("syntax of a newer Python, where that is installed and where not")
def _():
    newer = [(v, text) for v, text in (
        ((3, 10), "match 1:\n    case 1:\n        pass\n"),
        ((3, 12), "type X = int\n"), ((3, 14), "x = t'x'\n"))
        if VERSION[:2] < v]
    if newer:
        v, text = newer[0]
        e = cause(text).says("application.py, line 1", "this needs Python "
                             "%d.%d, and it runs with Python %d.%d" % (
                                 v + VERSION[:2]))
        assert ('write {"python": "' in e.log) != (
            "none like that is in" in e.log), e.log
    cause('print "x"\n').says("this is Python 2")


@test("what a version of Python is asked for")
def _():
    for asked, version, expected in (
            (">=3.8", (3, 8, 0), True), (">=3.8, <3.11", (3, 11, 2), False),
            ("~=3.10", (3, 11, 2), True), ("~=3.10.1", (3, 11, 2), False),
            ("==3.11.*", (3, 11, 2), True), ("!=3.11.2", (3, 11, 2), False),
            ("<4", (3, 11, 2), True), ("<=3.10", (3, 10, 4), False),
            (">3.11", (3, 11, 2), True), ("anything", (3, 11, 2), True)):
        equal(mamayo_advice.fits(asked, version), expected, asked)


@test("no callable: what was looked for, and the nearest guess")
def _():
    cause("def app(environ, start_response):\n    pass\n").says(
        "application.py does not define application but app",
        'add "application = app" to application.py')
    cause("def application(environ, start_response):\n    pass\n",
          entry="application:aplication").says(
        '"entry": "application:aplication"', "has no aplication; it has "
        "application")
    cause({"notes.txt": "x", "mamayo.json": "{}"}).says(
        "looks like an application: mamayo looks for ").has_not("is meant")
    for file, text, guess in (
            ("blog.py", "from flask import Flask\nsite = Flask(__name__)\n",
             "site in blog.py is meant, write {\"entry\": \"blog:site\"}"),
            ("pages/__init__.py", "def create_app():\n    pass\n",
             "write {\"entry\": \"pages:create_app()\"} into mamayo.json"),
            ("my-site/wsgi.py", "application = App()\n", "mamayo looks for")):
        cause({file: text}).says("looks like an application", guess)


@test("an exception in a start: file, line, and what it was")
def _():
    cause("import os\nprint('here')\nos.environ['NOT_SET']\n").says(
        "application.py, line 3: KeyError: 'NOT_SET'")


@test("no memory, no threads, no library in a start: what the limit is")
def _():
    cause("""
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        x = b"x" * (1 << 31)
        """).says("MemoryError", "of the 1024 MiB that a process of this "
                  "account may have (ulimit -v)")
    cause("raise RuntimeError(\"can't start new thread\")\n").says(
        'lower "workers" in mamayo.json')
    cause("raise ImportError('libfoo.so.1: cannot open shared object file: "
          "No such file or directory')\n").says("a library of the system")


@test("a start that does not come to an end: where it hangs")
def _():
    e = cause("import time\ntime.sleep(60)\n", start_timeout=1)
    e.says("not ready 1 seconds after its start (start_timeout)")
    within(10, lambda: 'application.py", line 2' in m.log(e.name), "the stack")


# What fails later


@test("an exception: file, line, and what it was")
def _():
    cause(HOW, "/odd", 500, "exception").says(
        "ValueError: <b>odd", 'application.py", line 16, in inner')


@test("no memory: what the limit is")
def _():
    cause(HOW, "/memory", 500, "exception").says(
        "MemoryError", "of the 1024 MiB that a process of this account may "
        "have (ulimit -v)")


@test("a crash: the signal, what that means, and the stack")
def _():
    e = cause(HOW, "/segv", 502, "died")
    e.says("ended while it answered /%s/segv" % e.name, "killed by signal 11",
           "fault in the compiled part", "Fatal Python error: ",
           'application.py", line 5 in inner')


@test("killed by somebody: that it was not mamayo, and that memory is likely")
def _():
    cause(HOW, "/kill", 502, "died").says(
        "killed by signal 9", "not mamayo", '"memory" in mamayo.json').has_not(
            "Fatal Python error")


@test("a process that ends itself: with which status, and who does such things")
def _():
    cause(HOW, "/exit", 502, "died").says("exit status 5", "os._exit()")


@test("a crash in a start: the signal, and what was printed")
def _():
    cause("print('before it', flush=True)\nimport os\nos.abort()\n").says(
        "while it was starting: killed by signal 6", "before it",
        "Fatal Python error: Aborted", 'application.py", line 3')


@test("too late: the stack, and what to do")
def _():
    e = cause(HOW, "/sleep", 504, "timeout")
    e.says("/sleep", "it was stuck", 'application.py", line 11 in inner',
           'raise "timeout"')
    assert "silent for 2 seconds (timeout)" in e.log


@test("whatever is in the log, the page shows it as text, and not too much")
def _():
    source = """
        import os
        def application(environ, start_response):
            os.write(1, %r)
            os._exit(3)
        """
    for text, seen in (
            (b"\xff" * 100000, b"\\xff\\xff"),
            (b"\x1b[31m\0\r\n" * 9999, b"\\x1b[31m\\x00"),
            (b"<script>&\n" * 9999, b"&lt;script&gt;&amp;\n")):
        m.app("odd%d" % text[0], source % text, debug=True)
        got = m.get("/odd%d" % text[0])
        equal((got.status, got.error), (502, "died"))
        assert seen in got.body and b"<script" not in got.body, got.body
        assert b"\x1b" not in got.body and b"\xff" not in got.body
        assert len(got.body) < 65536, len(got.body)


def is_inside(name):
    """The request on its way is in the application."""
    within(20, lambda: [w["state"] for w in m.status_of(name)["workers"]]
           == ["busy"], "the request in " + name)


@test("too many visitors: which application, how many, and which setting")
def _():
    m.app("busy", HOW.replace("60", "4"), workers={"max": 1}, queue=0,
          timeout=9)
    with m.connect() as one:
        one.send(fcgi.request("/busy/sleep"))
        is_inside("busy")
        got = m.get("/busy/odd")
        equal((got.status, got.error), (503, "queue-full"))
        assert re.search(r"busy: 1 requests are being answered or wait.*"
                         r'"queue" and "workers"', m.log()), m.log()
        one.answer()
    m.app("waits", HOW.replace("60", "4"), workers={"max": 1}, timeout=9,
          queue_timeout=1)
    equal(m.get("/waits/odd").status, 500)
    with m.connect() as one:
        one.send(fcgi.request("/waits/sleep"))
        is_inside("waits")
        got = m.get("/waits/odd")
        equal((got.status, got.error), (503, "queue-full"))
        one.answer()
    within(10, lambda: "queue_timeout" in m.log("waits") + m.log(), "a word")


@test("behind a worker that accepts itself, too")
def _():
    one = Mamayo(workers={"max": 1}, timeout=2)
    one.app("only", HOW, debug=True)
    process = one.listen()
    within(20, lambda: one.get("/only/odd").status == 500)
    got = one.get("/only/sleep")
    equal((got.status, got.error), (504, "timeout"))
    assert b"line 11 in inner" in got.body, got.body
    got = one.get("/only/odd")
    equal((got.status, b"ValueError" in got.body), (500, True))
    process.terminate()
    process.wait()


run()
