"""mamayo check: what was found, and what a visitor would get, in a process
that nothing else has to do with and of which nothing is left."""
import json
import os
import signal
import subprocess
import sys
import time

from harness import PROGRAM, Skip, equal, run, test, within
from mamayo import Mamayo, alive, kill

m = Mamayo()
m.app("blog")

APP = {"name": str, "mount": str, "directory": str, "ok": bool, "entry": str,
       "why": str, "python": str, "python_why": str, "python_version": str,
       "framework": str, "framework_version": str, "status": int,
       "reason": str, "content_type": str, "location": str, "first_line": str,
       "output": list}
ERROR = {"kind": str, "text": str, "detail": str}
HERE = "%d.%d.%d" % sys.version_info[:3]
HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


def check(*names, **how):
    """What check --json says, to the last key, and its exit status."""
    got = m.command("check", "--json", *names, **how)
    report = json.loads(got.stdout)
    equal(sorted(report), ["apps", "remarks", "version"])
    for app in report["apps"]:
        error = app.pop("error")
        equal({k: type(v) for k, v in app.items()}, APP)
        if error is not None:
            equal({k: type(v) for k, v in error.items()}, ERROR)
        app["error"] = error
    equal(leftovers(), [])
    return got.returncode, report["apps"]


def leftovers():
    """Of the throw-away processes."""
    try:
        return os.listdir(m.path("run", "checks"))
    except FileNotFoundError:
        return []


def well(name):
    status, (app,) = check(name)
    equal((status, app["ok"], app["error"]), (0, True, None), repr(app))
    return app


def wrong(name, kind, *words, **how):
    """The application, which is not well; what is said of it has the words.
    """
    status, (app,) = check(name, **how)
    equal((status, app["ok"], app["error"]["kind"]), (1, False, kind),
          repr(app))
    for word in words:
        equal(word in app["error"]["text"], True, repr((word, app)))
    shown = m.command("check", name)
    equal(shown.returncode, 1)
    equal(app["error"]["text"] in shown.stdout, True, shown.stdout)
    return app


def text(*names):
    got = m.command("check", *names)
    equal((got.returncode, got.stderr), (0, ""), got.stdout)
    return got.stdout


def has(said, *words):
    for word in words:
        equal(word in said, True, "%r in %r" % (word, said))


@test("what was found, why, with which Python, and what a visitor would get")
def _():
    m.app("hello", "print('a word')\n" + HELLO, "wsgi.py")
    app = well("hello")
    equal(app, {
        "name": "hello", "mount": "/hello", "ok": True, "error": None,
        "directory": m.path("apps", "hello"), "entry": "wsgi:application",
        "why": "wsgi.py defines application", "python": "/usr/bin/python3",
        "python_why": "no virtual environment and no setting names another",
        "python_version": HERE, "framework": "", "framework_version": "",
        "status": 200, "reason": "OK", "content_type": "text/plain",
        "location": "", "first_line": "hello", "output": ["a word"]})
    has(text("hello"), "hello  well  at /hello\n", m.path("apps", "hello"),
        "found       wsgi:application, because wsgi.py defines application\n",
        "Python      %s, /usr/bin/python3\n" % HERE,
        "because     no virtual environment",
        "GET /hello/: 200 OK, text/plain\n", "begins with hello\n")
    m.app("tools/ROOT", HELLO)
    equal(well("tools/ROOT")["mount"], "/tools")
    m.app("ROOT", HELLO)
    equal(well("ROOT")["mount"], "/")
    has(text("ROOT"), "GET /: 200 OK")


@test("all of them, and what is none")
def _():
    other = Mamayo()
    got = other.command("check")
    equal((got.returncode, got.stdout), (1, ""))
    has(got.stderr, "there is no application in %s" % other.path("apps"))
    other.app("a", HELLO)
    other.app("b", "import nix\n")
    other.app("c", HELLO)
    other.write("apps/d/index.html", "x")
    got = other.command("check")
    equal(got.returncode, 1)
    has(got.stdout, "a  well  at /a\n", "\nb  not well  at /b\n",
        "\nc  well  at /c\n")
    has(got.stderr, "apps/d is no application: none of mamayo.json,")
    got = other.command("check", "d")
    equal((got.returncode, got.stdout), (1, ""))
    has(got.stderr, "apps/d is no application: none of mamayo.json,")
    report = json.loads(other.command("check", "--json").stdout)
    equal([(a["name"], a["ok"]) for a in report["apps"]],
          [("a", True), ("b", False), ("c", True)])
    equal(len(report["remarks"]), 1)
    other.write("apps/b/application.py", HELLO)
    equal(other.command("check").returncode, 0)
    equal(other.processes(), {})
    other.close()


@test("a redirect, an error of the application's own, no header at all")
def _():
    m.app("there", """
def application(environ, start_response):
    start_response("302 Found", [("Location", "/there/x"),
                                 ("Content-Type", "text/html")])
    return [b""]
""")
    app = well("there")
    equal((app["status"], app["reason"], app["location"]),
          (302, "Found", "/there/x"))
    has(text("there"), "leads to    /there/x\n")
    m.app("lost", HELLO.replace("200 OK", "404 Not Found"))
    equal(well("lost")["status"], 404)
    m.app("busy", HELLO.replace("200 OK", "503 Not Now"))
    equal(wrong("busy", "answer")["status"], 503)
    m.app("raises", """
def application(environ, start_response):
    print("on its way")
    raise KeyError("here")
""")
    app = wrong("raises", "answer", "fails when it answers")
    equal(app["status"], 500)
    has("\n".join(app["output"]), "on its way", 'raise KeyError("here")')
    has(m.command("check", "raises").stdout, '|     raise KeyError("here")')


@test("nothing that an application says commands a terminal or forges a line")
def _():
    m.app("bytes", """
print("\\x1b]0;title\\x07\\udcff\\0 end")
import os
os.write(1, b"\\xff\\xfe\\n" + b"x" * 100000 + b"\\n")
def application(environ, start_response):
    start_response("200 Fi\\xf1e", [("Content-Type", "text/\\x9bplain")])
    return [b"\\n  \\n \\x1b[2J\\xff" + "\\u00fc".encode() * 500 + b"\\n"]
""")
    app = well("bytes")
    equal(app["first_line"].startswith("\\x1b[2J\\xff\u00fc"), True,
          repr(app))
    equal(app["first_line"].endswith("\u00fc"), True, repr(app))
    equal(len(app["output"][-1]) <= 16384, True)
    equal("\x1b" in text("bytes") + json.dumps(app), False)
    m.app("raises", """raise ValueError("\\x1b[2J\\n\\udcff\\0")\n""")
    app = wrong("raises", "exception", "ValueError")
    equal("\x1b" in m.command("check", "raises").stdout, False)


@test("what cannot be imported: the sentence, the traceback, what to do")
def _():
    m.app("broken", "import nix_of_mine\n")
    app = wrong("broken", "module", "application.py, line 1: there is no "
                "module nix_of_mine; to install it: /usr/bin/python3 -m venv")
    equal((app["entry"], app["python_version"]), ("", HERE))
    has(app["error"]["detail"], "Traceback", "import nix_of_mine")
    has(m.command("check", "broken").stdout, "    |     import nix_of_mine\n")
    m.app("broken", "x = 1\n")
    wrong("broken", "callable", "application.py does not define application")
    m.app("broken", "def broken(:\n")
    wrong("broken", "syntax", "application.py, line 1")
    m.write("apps/broken/mamayo.json", '{"entri": 1}')
    wrong("broken", "settings", "mamayo.json:1", "entri")
    os.unlink(m.path("apps/broken/mamayo.json"))
    os.makedirs(m.path("apps/broken/venv/bin"))
    m.write("apps/broken/venv/pyvenv.cfg", "home = /nowhere\n")
    os.symlink("/nowhere/python3", m.path("apps/broken/venv/bin/python"))
    wrong("broken", "python", "venv/bin/python", "make it again")
    os.chmod(m.path("apps/broken"), 0o777)
    wrong("broken", "refused", "every user of this machine", "chmod o-w")
    os.chmod(m.path("apps/broken"), 0o755)


@test("one that ends, in the middle of this or that, and its last words")
def _():
    m.app("dies", "import os\nprint('last words', flush=True)\nos._exit(7)\n")
    app = wrong("dies", "died", "while it was imported: exit status 7")
    equal(app["output"], ["last words"])
    m.app("dies", """
import os
def application(environ, start_response):
    os.kill(os.getpid(), 9)
""")
    wrong("dies", "died", "while it was answering: killed by signal 9")
    m.app("dies", """
import os, signal
def application(environ, start_response):
    os.kill(os.getpid(), signal.SIGSEGV)
""")
    app = wrong("dies", "died", "while it was answering: killed by signal 11")
    has("\n".join(app["output"]), "in application")


@test("one that hangs has a limit, says where it hangs, and is ended")
def _():
    m.app("hangs", "import time\ntime.sleep(1000)\n" + HELLO,
          start_timeout=1)
    app = wrong("hangs", "timeout", "was not imported in 1 seconds")
    has("\n".join(app["output"]), "application.py\", line 2")
    m.app("hangs", """
import time
def application(environ, start_response):
    time.sleep(1000)
""", timeout=1)
    app = wrong("hangs", "timeout", "no answer in 1 seconds")
    has("\n".join(app["output"]), "application.py\", line 4")
    within(10, lambda: not m.processes(), "the end of what was started")


@test("what it has started goes with it, and what it leaves open does not hold"
      " us up")
def _():
    m.app("forks", """
import os, time
if os.fork() == 0:
    time.sleep(1000)
    os._exit(0)
""" + HELLO)
    begin = time.monotonic()
    well("forks")
    equal(time.monotonic() - begin < 5, True)
    within(10, lambda: not m.processes(), "the end of what was started")


def begin_check(name):
    """mamayo check, and its worker, which is in the middle of the import."""
    process = m.popen([os.path.abspath(PROGRAM), "check", name],
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    worker = within(10, lambda: [
        p.pid for p in m.processes().values()
        if p.link("cwd") == m.path("apps", name)
        and b"describe" in p.read("cmdline")], "a worker of " + name)[0]
    m.has(name + " %d" % worker)
    return process, worker


@test("Ctrl-C, at any moment, leaves nothing")
def _():
    m.app("long", """
import os, time
with open(%r, "a") as f:
    f.write("long %%d\\n" %% os.getpid())
time.sleep(1000)
""" % os.path.join(m.dir, "journal"), start_timeout=1, stop_timeout=1,
          timeout=1)
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process, worker = begin_check("long")
        process.send_signal(signo)
        out, _ = process.communicate(timeout=20)
        equal((process.returncode, out), (130, b""))
        equal((alive(worker), leftovers()), (False, []))


@test("if we are killed, it ends by itself, and the next check cleans up")
def _():
    process, worker = begin_check("long")
    process.kill()
    process.communicate()
    equal(alive(worker), True)
    within(20, lambda: not alive(worker), "the end of it")
    well("hello")
    equal(leftovers(), [])


@test("what is served meanwhile is not touched, and what is stopped is tried")
def _():
    m.start()
    worker = int(m.text("/blog/pid"))
    equal(well("blog")["entry"], "application:application")
    equal(int(m.text("/blog/pid")), worker)
    equal(m.workers("blog"), [worker])
    m.app("blog", "import nix\n")
    wrong("blog", "module")
    equal(int(m.text("/blog/pid")), worker)
    m.app("blog")
    equal(m.command("stop", "hello").returncode, 0)
    has(text("hello"), "stopped", "mamayo start hello")
    equal(m.get("/hello/").status, 503)
    m.command("start", "hello")


@test("settings count: entry, python, env, environ")
def _():
    m.app("set", """
import os
def serve(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["{} {} {}".format(os.environ["ONE"], environ["two"],
                              environ["mamayo.app"]).encode()]
""", "site_of_mine.py", entry="site_of_mine:serve", env={"ONE": "1"},
          environ={"two": "2"}, python="/usr/bin/python3")
    app = well("set")
    equal((app["first_line"], app["entry"], app["python_why"]),
          ("1 2 set", "site_of_mine:serve",
           '"python" in the settings says "/usr/bin/python3"'))


@test("frameworks, and what is wrapped around them")
def _():
    for module, name, source in (
            ("flask", "Flask",
             "from flask import Flask\napp = Flask(__name__)\n"),
            ("flask", "Flask", """
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app)
inner, app = app, lambda e, s: inner(e, s)
"""),
            ("django", "Django", """
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF="urls", DEBUG=False,
                   ALLOWED_HOSTS=["example.com"], MIDDLEWARE=[
                       "django.middleware.common.CommonMiddleware"])
from django.core.wsgi import get_wsgi_application
app = get_wsgi_application()
""")):
        if subprocess.call(["/usr/bin/python3", "-c", "import " + module],
                           stderr=subprocess.DEVNULL):
            raise Skip("python3-%s is not installed" % module)
        m.write("apps/framed/urls.py", "urlpatterns = []\n")
        m.app("framed", source, "app.py")
        app = well("framed")
        equal(app["framework"], name)
        equal(app["framework_version"].count(".") >= 1, True, repr(app))
        said = text("framed")
        has(said, "made with   %s %s\n" % (name, app["framework_version"]))
        equal("ALLOWED_HOSTS" in said, name == "Django")


@test("names of every kind, and one that is none")
def _():
    for name in ("my site", "it's \"mine\"", "\u00fc\u4e2d", "x" * 250,
                 "a%b"):
        m.app(name, HELLO)
        equal(well(name)["name"], name)
    equal(m.command("stop", "it's \"mine\"").returncode, 0)
    has(text("it's \"mine\""), "mamayo start 'it'\\''s \"mine\"'")
    m.write("apps/my site/venv/pyvenv.cfg", "home = /nowhere\n")
    wrong("my site", "python", "venv --clear '%s'" % m.path(
        "apps/my site/venv"))
    os.chmod(m.path("apps/my site"), 0o777)
    wrong("my site", "refused", "chmod o-w '%s'" % m.path("apps/my site"))
    for name in ("new\nline", "bell\x07", b"\xff"):
        path = os.path.join(os.fsencode(m.path("apps")), os.fsencode(name))
        os.mkdir(path)
        with open(os.path.join(path, b"wsgi.py"), "w") as f:
            f.write(HELLO)
        got = m.command("check", name)
        equal((got.returncode, got.stdout), (1, ""), got.stderr)
        has(got.stderr, "is passed over: its name is not UTF-8, or has "
            "control characters")
        equal(got.stderr.count("\n"), 1, repr(got.stderr))
    got = m.command("check", "hallo")
    equal((got.returncode, got.stdout), (1, ""))
    has(got.stderr, 'there is no application "hallo"', 'mean "hello"')
    for name in ("..", "../apps/hello", "hello/", "y" * 10000, "hello/x"):
        got = m.command("check", name)
        equal((got.returncode, got.stdout), (1, ""), got.stderr)


@test("wrong usage: exit 2; an account that is not served: 78")
def _():
    for words in (["-x"], ["a", "b"], [""], ["--jsn"]):
        got = m.command("check", *words)
        equal((got.returncode, got.stdout), (2, ""), words)
        has(got.stderr, "usage: mamayo check")
    other = Mamayo()
    other.app("a", HELLO)
    os.chmod(other.path("apps"), 0o777)
    got = other.command("check")
    equal((got.returncode, got.stdout), (78, ""))
    os.chmod(other.path("apps"), 0o755)


@test("--help")
def _():
    got = m.command("check", "--help")
    equal((got.returncode, got.stderr), (0, ""))
    has(got.stdout, "usage: mamayo check [--json] [NAME]\n")


run()
