"""Fork servers: what workers have imported from the interpreter's own library
is remembered, imported once, and later workers are forked from there. Nothing
of that is to be seen by an application, and a fork server that dies, hangs or
cannot costs nobody more than time."""
import importlib.util
import json
import os
import re
import resource
import signal
import sys
import threading
import time

import fcgi
from harness import Skip, equal, run, test, within
from mamayo import Mamayo, Process, alive, gone, kill

# An application that tells what its process is like. BEFORE is what was there
# before it had imported anything.
TELLS = """
import sys
BEFORE = set(sys.modules)
import json, os, random
%s
DRAWN = random.random()
with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
    f.write("import %%s %%d\\n" %% (os.path.basename(os.getcwd()), os.getpid()))

def application(environ, start_response):
    start_response("200 OK", [])
    asked = environ["PATH_INFO"].strip("/")
    if asked:
        value = globals()[asked]()
    else:
        value = {"pid": os.getpid(), "parent": os.getppid(),
                 "before": sorted(BEFORE), "drawn": DRAWN,
                 "draws": random.random(), "version": globals().get("VERSION")}
    return [json.dumps(value).encode()]
"""


def tells(m, name, imports="import decimal, wsgiref.validate", **settings):
    settings.setdefault("workers", {"max": 4})
    return m.app(name, TELLS % imports, **settings)


def ask(m, name, path=""):
    return json.loads(m.text("/" + name + "/" + path))


def forkservers(m):
    return m.status()["forkservers"]


def only(m):
    """The fork server, as status has it."""
    found = forkservers(m)
    equal(len(found), 1, repr(found))
    return found[0]


def memories(m):
    """What is remembered: a list of objects."""
    found = []
    for name in sorted(os.listdir(m.path("run", "preload"))):
        try:
            with open(m.path("run", "preload", name)) as f:
                found.append(json.load(f))
        except ValueError:
            pass
    return found


def learnt(m, *modules, **how):
    """Waits until a fork server is ready that has these modules."""
    def has():
        for f in forkservers(m):
            if f["state"] == "ready":
                for memory in memories(m):
                    if (memory["checked"] and f["modules"] == len(
                            memory["modules"])
                            and set(modules) <= set(memory["modules"])):
                        return f
    return within(30, has, "a fork server that knows %r: %s" % (
        modules, m.log()))


def restart(m, name):
    """The next request is for a new worker."""
    for pid in m.workers(name):
        kill(pid)
    within(10, lambda: m.workers(name) == [], "the end of the workers")


def warm(m, name, *modules):
    """The app has been started once, and its fork server is ready. Gives the
    fork server's pid; the app has no worker."""
    ask(m, name)
    pid = learnt(m, *modules)["pid"]
    restart(m, name)
    return pid


def back(m, name):
    """Waits until its workers are forked. Gives the fork server's pid."""
    def is_forked():
        restart(m, name)
        parent = ask(m, name)["parent"]
        return parent in [f["pid"] for f in forkservers(m)] and parent
    return within(30, is_forked, "a forked worker: " + m.log())


def kill_forkserver(m, pid):
    """Kills one that has run for so long that the next may come at once."""
    since = [f["since"] for f in forkservers(m) if f["pid"] == pid][0]
    within(10, lambda: time.time() - since >= 3.5, "its being old enough")
    kill(pid)
    gone(pid)
    within(10, lambda: pid not in [f["pid"] for f in forkservers(m)],
           "its end")


class Venv:
    """A virtual environment with packages of our own."""

    def __init__(self, m, name="venv"):
        self.path = m.path(name)
        self.packages = os.path.join(
            self.path, "lib", "python%d.%d" % sys.version_info[:2],
            "site-packages")
        os.makedirs(os.path.join(self.path, "bin"))
        os.makedirs(self.packages)
        python = os.path.realpath(sys.executable)
        os.symlink(python, os.path.join(self.path, "bin", "python"))
        with open(os.path.join(self.path, "pyvenv.cfg"), "w") as f:
            f.write("home = %s\ninclude-system-site-packages = false\n"
                    % os.path.dirname(python))

    def add(self, name, text):
        with open(os.path.join(self.packages, name + ".py"), "w") as f:
            f.write(text)


class Later:
    """A request that is on its way."""

    def __init__(self, m, uri):
        self.got = None

        def go():
            try:
                self.got = m.get(uri, timeout=60)
            except Exception as why:
                self.got = why
        self.thread = threading.Thread(target=go, daemon=True)
        self.thread.start()

    def answer(self):
        self.thread.join(90)
        if not hasattr(self.got, "status"):
            raise AssertionError("no answer: %r" % self.got)
        return self.got

    def value(self):
        got = self.answer()
        equal(got.status, 200, repr(got))
        return json.loads(got.body.decode())


m = Mamayo(linger=60)


def start():
    if not m.responders:
        tells(m, "plain")
        m.start()


# -- learning ---------------------------------------------------------------

@test("what a worker has imported is learnt, and the next one is forked with"
      " it")
def _():
    start()
    first = ask(m, "plain")
    equal(first["parent"], m.supervisor())
    equal("decimal" in first["before"], False)
    f = learnt(m, "decimal", "_decimal", "wsgiref.validate")
    equal(Process(f["pid"]).parent, m.supervisor())
    equal((f["workers"], f["app"]), (0, ""))
    restart(m, "plain")
    second = ask(m, "plain")
    equal(second["parent"], f["pid"])
    equal({"decimal", "wsgiref.validate"} <= set(second["before"]), True)
    equal(only(m)["workers"], 1)
    equal(m.workers("plain"), [second["pid"]])
    memory, = memories(m)
    equal(memory["never"], {})
    equal(len(memory["modules"]), len(set(memory["modules"])))


@test("it learns more from other applications, and is the same one for all")
def _():
    start()
    ask(m, "plain")
    learnt(m, "decimal")
    tells(m, "more", "import fractions, tarfile")
    pid = only(m)["pid"]
    equal("tarfile" in ask(m, "more")["before"], False)
    equal(learnt(m, "tarfile", "decimal")["pid"], pid)
    restart(m, "more")
    got = ask(m, "more")
    equal((got["parent"], "tarfile" in got["before"]), (pid, True))


@test("what the first request imports is learnt, too")
def _():
    start()
    tells(m, "lazy", "def late():\n    import mailbox\n    return 1\n")
    equal(ask(m, "lazy", "late"), 1)
    learnt(m, "mailbox")


@test("it is remembered by the next supervisor")
def _():
    start()
    ask(m, "plain")
    learnt(m, "decimal")
    supervisor = m.supervisor()
    kill(supervisor)
    gone(supervisor)
    tells(m, "next")
    got = ask(m, "next")
    equal(got["parent"], only(m)["pid"])
    equal("decimal" in got["before"], True)


@test("all workers of an application come from there, and share its memory")
def _():
    start()
    back(m, "plain")
    tells(m, "many", "import time\ndef sleep():\n    time.sleep(0.5)\n"
                     "    return os.getppid()\n", workers={"max": 4})
    ask(m, "many")
    requests = [Later(m, "/many/sleep") for _ in range(12)]
    pid = only(m)["pid"]
    equal({r.value() for r in requests}, {pid})
    equal(len(m.workers("many")) > 1, True)
    for worker in m.workers("many"):
        rows = dict(re.findall(r"(\w+): +(\d+) kB", Process(worker).read(
            "smaps_rollup").decode()))
        equal(int(rows["Pss"]) * 3 < int(rows["Rss"]) * 2, True, repr(rows))


@test("Flask and Django are started from memory")
def _():
    for name in ("flask", "django"):
        if importlib.util.find_spec(name) is None:
            raise Skip("no " + name)
    account = Mamayo(linger=60)
    tells(account, "flask", "import flask, flask.json\n"
                            "flask.Flask('x').test_client().get('/')\n")
    tells(account, "django", """
from django.conf import settings
settings.configure(ROOT_URLCONF="application", SECRET_KEY="x",
                   ALLOWED_HOSTS=["*"])
from django.urls import path
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
urlpatterns = [path("", lambda request: HttpResponse("x"))]
get_wsgi_application()
""")
    account.start()
    took = {}
    for name in ("flask", "django"):
        begin = time.monotonic()
        ask(account, name)
        took[name] = time.monotonic() - begin
    f = learnt(account, "flask", "flask.json", "jinja2", "django",
               "django.core.handlers.wsgi", "django.urls.resolvers")
    remark = []
    for name in ("flask", "django"):
        best = 1000
        for _ in range(5):
            restart(account, name)
            begin = time.monotonic()
            got = ask(account, name)
            best = min(best, time.monotonic() - begin)
            equal((got["parent"], name in got["before"]), (f["pid"], True))
        equal(best < took[name], True, "%s: %.3f s" % (name, best))
        remark.append("%s %.0f ms instead of %.0f" % (
            name, best * 1000, took[name] * 1000))
    never = memories(account)[0]["never"]
    equal([n for n in never if n in ("flask", "werkzeug", "django")], [])
    account.close()
    return ", ".join(remark)


@test("every worker draws numbers of its own, numpy's too")
def _():
    account = Mamayo(linger=60)
    venv = Venv(account)
    os.mkdir(os.path.join(venv.packages, "numpy"))
    venv.add("numpy/__init__", "")
    venv.add("numpy/random", "seeds = 0\ndef seed():\n"
                             "    global seeds\n    seeds += 1\n")
    account.settings(python=venv.path, linger=60,
                     env={"MAMAYO_TEST": account.dir})
    tells(account, "draws", "import numpy.random\nVERSION = "
                            "numpy.random.seeds")
    account.start()
    ask(account, "draws")
    learnt(account, "numpy.random")
    seen = []
    for _ in range(5):
        restart(account, "draws")
        got = ask(account, "draws")
        equal((got["version"], "random" in got["before"]), (1, True))
        seen += [got["drawn"], got["draws"]]
    equal(len(set(seen)), len(seen))
    account.close()


# -- what is left out -------------------------------------------------------

LEAVE = {
    "leaves_thread": ("import threading, time\n"
                      "t = threading.Thread(target=time.sleep, args=(9999,),"
                      " daemon=True)\nt.start()\n", "a thread"),
    "leaves_socket": ("import socket\ns = socket.socketpair()\n",
                      "a descriptor"),
    "leaves_handler": ("import signal\nsignal.signal(signal.SIGUSR1,"
                       " lambda *a: None)\n", "a signal handler"),
    "leaves_interrupt": ("import signal\nsignal.signal(signal.SIGINT,"
                         " lambda *a: None)\n", "a signal handler"),
    "leaves_random": ("import random\nr = random.Random()\n",
                      "a random.Random instance"),
    "leaves_kind": ("import random\nclass Mine(random.Random): pass\n"
                    "r = [Mine()]\n", "a random.Random instance"),
    "leaves_environ": ("import os\nos.environ['LEFT'] = 'behind'\n",
                       "the environment"),
    "leaves_umask": ("import os\nos.umask(0o77)\n", "a umask"),
    "leaves_path": ("import sys\nsys.path.append('/nowhere')\n",
                    "sys.path"),
}


@test("a module that leaves something behind is not imported again in advance,"
      " nor is what needs it, and the rest is")
def _():
    account = Mamayo(linger=60)
    venv = Venv(account)
    for name, (text, _) in LEAVE.items():
        venv.add(name, text)
    venv.add("innocent", "import secrets\nr = secrets.SystemRandom()\n")
    venv.add("needs", "import innocent\nimport leaves_thread\n")
    venv.add("tries", "try:\n    import leaves_thread\n"
                      "except Exception:\n    leaves_thread = None\n")
    venv.add("alone", "import sys\nif 'application' not in sys.modules:\n"
                      "    raise RuntimeError('alone')\n")
    venv.add("exits", "import sys\nif 'application' not in sys.modules:\n"
                      "    sys.exit(3)\n")
    account.settings(python=venv.path, linger=60,
                     env={"MAMAYO_TEST": account.dir})
    tells(account, "app", "import tries, needs, innocent, alone, exits, "
          + ", ".join(sorted(LEAVE))
          + "\nVERSION = tries.leaves_thread is not None")
    account.start()
    first = ask(account, "app")
    learnt(account, "innocent")
    memory, = memories(account)
    for name, (_, what) in LEAVE.items():
        equal(what in memory["never"][name], True, repr(memory["never"]))
    equal("leaves_thread" in memory["never"]["needs"], True)
    equal("leaves_thread" in memory["never"]["tries"], True)
    equal("RuntimeError" in memory["never"]["alone"], True)
    equal("SystemExit" in memory["never"]["exits"], True)
    equal(len(memory["never"]), len(LEAVE) + 4)
    restart(account, "app")
    got = ask(account, "app")
    f = within(10, lambda: [x for x in forkservers(account)
                            if x["state"] == "ready"], "a fork server")[0]
    equal((got["parent"], got["version"]), (f["pid"], True))
    equal(set(got["before"]) & (set(LEAVE) | {
        "needs", "tries", "innocent", "alone"}), {"innocent"})
    equal("is replaced: " in account.log(), True)
    process = Process(f["pid"])
    equal(sorted(process.descriptors()), [0, 1, 2, 3, 4, 5, 6][:len(
        process.descriptors())])
    equal(len(os.listdir("/proc/%d/task" % f["pid"])), 1)
    # the same again: nothing that would be learnt once more
    within(20, lambda: len(forkservers(account)) == 1, "the old one to go")
    equal(forkservers(account)[0]["pid"], f["pid"])
    equal(first["version"], True)
    account.close()


@test("nothing of an application is ever imported in advance")
def _():
    account = Mamayo(linger=60)
    directory = tells(account, "own", """
sys.path.append(os.path.join(os.getcwd(), "site-packages"))
sys.path.append(os.path.join(os.path.dirname(os.getcwd()), "shared"))
import helper, vendored, colorsys, neighbour
""")
    account.write("apps/own/helper.py", "")
    account.write("apps/shared/neighbour.py", "")
    account.write("apps/own/site-packages/vendored.py", "")
    account.write("apps/own/colorsys.py", "OWN = 1\n")  # hides the library's
    tells(account, "other", "import colorsys, imghdr\nVERSION = hasattr("
                            "colorsys, 'rgb_to_hls')")
    account.start()
    ask(account, "own")
    equal(ask(account, "other")["version"], True)
    learnt(account, "imghdr", "colorsys")
    names = memories(account)[0]["modules"]
    equal({"helper", "vendored", "neighbour", "application"} & set(names),
          set())
    restart(account, "other")
    got = ask(account, "other")
    equal((got["parent"], got["version"]), (only(account)["pid"], True))
    for p in account.processes().values():
        equal(directory in p.read("cmdline").decode(), False)
    account.close()


@test("a remembered file that is garbage is nothing remembered")
def _():
    account = Mamayo(linger=60)
    tells(account, "app")
    account.start()
    pid = warm(account, "app", "decimal")
    path, = os.listdir(account.path("run", "preload"))
    path = account.path("run", "preload", path)
    good = open(path).read()
    huge = json.dumps(dict(json.loads(good), modules=["a" * 1000] * 2000))
    many = json.dumps(dict(json.loads(good), modules=[
        "../evil", "os;x", 5, "", "no.such.module", "decimal"]))
    for text in ("", "{", "[]", "{}", "null", "\0\xff", huge, many,
                 good.replace('"version": 1', '"version": 2'),
                 good.replace('"modules": [', '"modules": {"a": [')):
        kill_forkserver(account, pid)
        with open(path, "w", encoding="latin-1") as f:
            f.write(text)
        restart(account, "app")
        got = ask(account, "app")
        pid = only(account)["pid"]
        equal(got["parent"], pid, text[:50])
        equal("decimal" in got["before"], text is many, text[:50])
    account.close()


# -- which one --------------------------------------------------------------

@test("applications with the same interpreter and environment share one, with"
      " another environment there is another one")
def _():
    account = Mamayo(linger=60)
    tells(account, "one")
    tells(account, "two")
    tells(account, "three", env={"MINE": "3"})
    account.start()
    for name in ("one", "two", "three"):
        ask(account, name)
    within(30, lambda: [f["state"] for f in forkservers(account)
                        if f["modules"]] == ["ready"] * 2, "two of them")
    parents = {}
    for name in ("one", "two", "three"):
        restart(account, name)
        parents[name] = ask(account, name)["parent"]
    equal(parents["one"], parents["two"])
    equal({parents["one"], parents["three"]},
          {f["pid"] for f in forkservers(account)})
    equal(b"MINE=3" in Process(parents["three"]).read("environ"), True)
    account.close()


@test("one that sets what a process takes in when it starts gets no shared one")
def _():
    start()
    names = ("PYTHONHASHSEED", "LC_ALL", "LANG", "LANGUAGE", "TZ",
             "LD_PRELOAD")
    for name in names:
        tells(m, name, env={name: ""})
        for _ in range(2):
            equal(ask(m, name)["parent"], m.supervisor(), name)
            restart(m, name)
    before = {f["pid"] for f in forkservers(m)}
    tells(m, "near", env={"TZ_OTHER": "", "LANGUAGES": ""})
    ask(m, "near")
    within(20, lambda: {f["pid"] for f in forkservers(m)} - before,
           "its fork server")


@test("\"preload\": \"none\" starts every worker directly")
def _():
    start()
    tells(m, "none", preload="none")
    for _ in range(3):
        got = ask(m, "none")
        equal(got["parent"], m.supervisor())
        equal("decimal" in got["before"], False)
        restart(m, "none")


@test("a changed library or virtual environment means a new one")
def _():
    account = Mamayo(linger=60)
    venv = Venv(account)
    venv.add("thing", "VERSION = 1\n")
    account.settings(python=venv.path, linger=60,
                     env={"MAMAYO_TEST": account.dir})
    tells(account, "app", "from thing import VERSION")
    account.start()
    old = warm(account, "app", "thing")
    equal(ask(account, "app")["version"], 1)
    # as pip does: another file is put in place
    for version, change in ((2, "thing"), (2, "pyvenv.cfg")):
        if change == "thing":
            os.unlink(os.path.join(venv.packages, "thing.py"))
            venv.add("thing", "VERSION = 22 - 20\n")
        else:
            os.utime(os.path.join(venv.path, "pyvenv.cfg"))
        restart(account, "app")
        got = ask(account, "app")
        equal(got["version"], version)
        new, = [f["pid"] for f in forkservers(account)
                if f["state"] != "leaving"]
        equal(got["parent"], new)
        equal(new == old, False)
        gone(old)
        old = new
    equal("the library has changed" in account.log(), True)
    account.close()


# -- one of an app alone ----------------------------------------------------

@test("\"preload\": \"app\": the application is imported once for all of its"
      " workers, and again when its files have changed")
def _():
    account = Mamayo(linger=60)
    source = """
import time
def sleep():
    time.sleep(0.5)
    return os.getpid()
VERSION = %d
HELD = open(__file__)
def held():
    HELD.seek(0)
    return len(HELD.read())
"""
    tells(account, "app", source % 1, preload="app", workers={"max": 3})
    account.start()
    first = ask(account, "app")
    f = only(account)
    equal((f["app"], first["parent"], first["version"]),
          ("app", f["pid"], 1))
    requests = [Later(account, "/app/sleep") for _ in range(9)]
    pids = {r.value() for r in requests}
    equal(len(pids) > 1, True)
    equal([x for x in account.journal() if x.startswith("import")],
          ["import app %d" % f["pid"]])
    equal(ask(account, "app", "held") > 100, True)
    equal(account.status_of("app")["entry"], "application:application")
    # numbers drawn in a request differ; at import they were drawn once
    seen = set()
    for _ in range(3):
        restart(account, "app")
        seen.add(ask(account, "app")["draws"])
    equal(len(seen), 3)
    tells(account, "app", source % 22, preload="app")
    restart(account, "app")
    got = ask(account, "app")
    equal((got["version"], got["parent"] != f["pid"]), (22, True))
    gone(f["pid"])
    # and when it is not wanted any more
    tells(account, "app", source % 333, preload="none")
    restart(account, "app")
    got = ask(account, "app")
    equal((got["version"], got["parent"]), (333, account.supervisor()))
    within(20, lambda: not forkservers(account), "its leaving")
    account.close()


@test("an import that fails there is told like any other, and tried again")
def _():
    account = Mamayo(linger=60)
    account.app("bad", "import no_such_module_4711\n", preload="app")
    account.app("exits", "import os\nos._exit(7)\n", preload="app")
    account.app("hangs", """
        import time
        def hangs_here():
            time.sleep(600)
        hangs_here()
    """, preload="app", start_timeout=4)
    account.start()
    for name, words in (("bad", "there is no module no_such_module_4711"),
                        ("exits", "exit status 7"),
                        ("hangs", "not ready 4 seconds after its start")):
        got = account.get("/%s/" % name)
        equal((got.status, got.error), (503, "cannot-start"), repr(got))
        within(10, lambda: words in account.log(name), account.log(name))
        equal(account.status_of(name)["state"], "failing")
    equal("Traceback" in account.log("bad"), True)
    within(10, lambda: "hangs_here" in account.log("hangs"), "its stack")
    for name in ("bad", "exits", "hangs"):
        account.app(name, preload="app")
        equal(account.get("/%s/pid" % name).status, 200)
    account.close()


# -- idle -------------------------------------------------------------------

@test("first the workers leave, then the fork server, then the supervisor, and"
      " nothing is left")
def _():
    account = Mamayo(linger=1, idle=1)
    tells(account, "app")
    account.start()
    ask(account, "app")
    pid = learnt(account, "decimal")["pid"]
    supervisor = account.supervisor()
    ask(account, "app")
    began = time.monotonic()
    within(20, lambda: not account.workers("app"), "the worker to leave")
    equal(alive(pid), True)
    gone(pid, 30)
    equal(time.monotonic() - began >= 9, True)
    equal(alive(supervisor), True)
    gone(supervisor, 20)
    equal(sorted(account.processes()), account.responders)
    # and from nothing: straight from what is remembered
    got = ask(account, "app")
    equal((got["parent"], "decimal" in got["before"]),
          (only(account)["pid"], True))
    account.close()


# -- its death --------------------------------------------------------------

@test("its death while nothing happens costs nothing")
def _():
    account = Mamayo(linger=60)
    tells(account, "app")
    account.start()
    pid = warm(account, "app", "decimal")
    for _ in range(3):
        worker = ask(account, "app")["pid"]
        kill_forkserver(account, pid)
        equal(ask(account, "app")["pid"], worker)
        kill(worker)
        within(10, lambda: re.search("worker %d ended.*: how is not known"
                                     % worker, account.log()), "its end")
        got = ask(account, "app")
        pid = only(account)["pid"]
        equal((got["parent"], "decimal" in got["before"]), (pid, True))
        kill(pid)  # so soon after its start another one has to wait
        gone(pid)
        pid = back(account, "app")
    account.close()


def holding(account):
    """An account whose fork server hangs in an import while a file named hold
    is there."""
    venv = Venv(account)
    venv.add("slow", """
import os, sys, time
here = os.environ["MAMAYO_TEST"]
if "application" not in sys.modules:
    with open(here + "/journal", "a") as f:
        f.write("slow %d\\n" % os.getpid())
    while os.path.exists(here + "/hold"):
        time.sleep(0.01)
""")
    account.settings(python=venv.path, linger=60,
                     env={"MAMAYO_TEST": account.dir})
    tells(account, "app", "import slow, decimal")
    account.start()
    kill_forkserver(account, warm(account, "app", "slow", "decimal"))
    open(os.path.join(account.dir, "hold"), "w").close()


def last_slow(account):
    lines = [x for x in account.journal() if x.startswith("slow ")]
    return int(lines[-1].split()[1])


@test("its death in the middle of a start costs time only")
def _():
    account = Mamayo()
    holding(account)
    count = len([x for x in account.journal() if x.startswith("slow ")])
    request = Later(account, "/app")
    account.has("slow ", count + 1)
    kill(last_slow(account))
    got = request.value()
    equal(got["parent"], account.supervisor())
    equal(len([x for x in account.journal() if x.startswith("import")]), 2)
    os.unlink(os.path.join(account.dir, "hold"))
    account.close()


@test("one that does not come to an end with its imports is not waited for,"
      " and what it forks too late never runs")
def _():
    account = Mamayo()
    holding(account)
    request = Later(account, "/app")
    got = request.value()
    equal(got["parent"], account.supervisor())
    f = only(account)
    equal(f["state"], "starting")
    os.unlink(os.path.join(account.dir, "hold"))
    within(20, lambda: only(account)["state"] == "ready", "its being ready")
    within(10, lambda: not [p for p in account.processes().values()
                            if p.parent == f["pid"]], "no child")
    equal(account.workers("app"), [got["pid"]])
    equal(len([x for x in account.journal() if x.startswith("import")]), 2)
    restart(account, "app")
    equal(ask(account, "app")["parent"], f["pid"])
    account.close()


@test("one that hangs is ended, and another one comes")
def _():
    account = Mamayo(linger=60)
    tells(account, "app", workers={"max": 4})
    account.start()
    pid = warm(account, "app", "decimal")
    kill(pid, signal.SIGSTOP)
    requests = [Later(account, "/app") for _ in range(4)]
    for request in requests:
        equal(request.value()["parent"], account.supervisor())
    gone(pid, 20)
    equal("fork server %d does not answer" % pid in account.log(), True)

    def another():
        restart(account, "app")
        return ask(account, "app")["parent"] != account.supervisor()
    within(20, another, "another one")
    account.close()


@test("stopped at any moment it loses no request")
def _():
    account = Mamayo(linger=60)
    tells(account, "app", workers={"max": 4})
    account.start()
    pid = warm(account, "app", "decimal")
    for i in range(12):
        request = Later(account, "/app")
        time.sleep(i * 0.004)
        kill(pid, signal.SIGKILL)
        equal(request.answer().status, 200)
        restart(account, "app")
        kill(pid)
        equal(account.get("/app").status, 200)
        found = forkservers(account)
        if found:
            pid = found[0]["pid"]
        restart(account, "app")
    account.close()


@test("without processes left for it to fork, workers are started directly")
def _():
    account = Mamayo(linger=60)
    tells(account, "app")
    account.start()
    pid = warm(account, "app", "decimal")
    resource.prlimit(pid, resource.RLIMIT_NPROC, (1, 1))
    got = ask(account, "app")
    equal(got["parent"], account.supervisor())
    equal("fork server %d: cannot fork" % pid in account.log(), True)
    equal(alive(pid), True)
    account.close()


# -- a forked worker --------------------------------------------------------

def forked(name, source, **settings):
    """An app of the common account, whose workers are forked; its fork
    server."""
    start()
    m.app(name, source, **settings)
    return back(m, "plain")


DIES = """
    import json, os, signal, subprocess, time
    def stuck_here(environ):
        child = subprocess.Popen(["sleep", "600"])
        with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
            f.write("child %d\\n" % child.pid)
        child.wait()
    def application(environ, start_response):
        what = environ["PATH_INFO"].strip("/")
        if what == "stuck":
            stuck_here(environ)
        if what.startswith("exit"):
            os._exit(int(what[4:]))
        if what.startswith("signal"):
            os.kill(os.getpid(), int(what[6:]))
            time.sleep(10)
        start_response("200 OK", [])
        return [json.dumps([os.getpid(), os.getppid()]).encode()]
"""


@test("how it ended is in the log as for any other")
def _():
    server = forked("dies", DIES, timeout=1)
    for path, words in (("exit0", "exit status 0"), ("exit3", "exit status 3"),
                        ("signal9", "killed by signal 9 (Killed)"),
                        ("signal11", "killed by signal 11"),
                        ("signal6", "killed by signal 6")):
        pid, parent = ask(m, "dies")
        equal(parent, server)
        got = m.get("/dies/" + path)
        equal((got.status, got.error), (502, "died"), repr(got))
        within(5, lambda: re.search("worker %d ended while it answered /dies/"
                                    "%s: %s" % (pid, path, re.escape(words)),
                                    m.log("dies")), m.log("dies"))
    pid, parent = ask(m, "dies")
    kill(pid, signal.SIGTERM)
    within(10, lambda: "dies: worker %d has left" % pid in m.log()
           or "worker %d ended: exit status 0" % pid in m.log(), "its end")


@test("a stuck one writes its stack, and is ended with what it has started")
def _():
    server = forked("dies", DIES, timeout=1)
    pid, parent = ask(m, "dies")
    equal(parent, server)
    got = m.get("/dies/stuck")
    equal((got.status, got.error), (504, "timeout"), repr(got))
    gone(pid)
    within(5, lambda: re.search(r'File ".*/application.py", line \d+ in '
                                "stuck_here", m.log("dies")), "its stack")
    child = int([x for x in m.journal()
                 if x.startswith("child ")][-1].split()[1])
    gone(child)
    equal(m.get("/dies").status, 200)


LIKE = """
    import builtins, gc, json, os, resource, signal, sys, threading
    def descriptors():
        found = {}
        for n in os.listdir("/proc/self/fd"):
            try:
                found[n] = os.readlink("/proc/self/fd/" + n).rstrip(
                    "0123456789[]")
            except OSError:
                pass
        return found
    def status():
        found = {}
        with open("/proc/self/status") as f:
            for line in f:
                name, _, value = line.partition(":")
                if name[:3] in ("Sig", "Shd", "Uma", "Thr", "NoN", "Sec"):
                    found[name] = value.split()
        del found["SigQ"]
        return found
    import inspect
    SEEN = {
        "environ": dict(os.environ), "cwd": os.getcwd(),
        "descriptors": descriptors(), "status": status(),
        "inheritable": [os.get_inheritable(n) for n in range(6)],
        "leader": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "nice": os.nice(0), "limits": {
            n: resource.getrlimit(getattr(resource, n))
            for n in dir(resource) if n.startswith("RLIMIT_")},
        "path": sys.path, "argv": sys.argv,
        "handlers": [repr(signal.getsignal(n)).split(" at ")[0]
                     for n in range(1, signal.NSIG)],
        "main": sorted(vars(sys.modules["__main__"])),
        "gc": [gc.isenabled(), gc.get_threshold()],
        "hooks": [repr(f).split(" at ")[0] for f in sys.meta_path],
        "streams": [repr(type(s)) for s in (sys.stdin, sys.stdout,
                    sys.stderr, sys.__stdout__, sys.__stderr__)],
        "same": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
        "stack": [[f.function, os.path.basename(f.filename)]
                  for f in inspect.stack()],
        "threads": [t.name for t in threading.enumerate()],
        "names": [n for n in sys.modules if n.startswith("mamayo")],
        "flags": repr(sys.flags), "executable": sys.executable,
        "prefix": sys.prefix, "bytecode": sys.dont_write_bytecode,
    }
    ORIG = list(getattr(sys, "orig_argv", []))
    def application(environ, start_response):
        start_response("200 OK", [])
        more = {"parent": os.getppid(), "orig": ORIG, "now": descriptors()}
        return [json.dumps(dict(SEEN, **more)).encode()]
"""


@test("an application cannot tell how its process was started")
def _():
    account = Mamayo(linger=60)
    account.app("like", LIKE, preload="none", environ={"x.y": "z"})
    account.start()
    direct = ask(account, "like")
    equal(direct.pop("parent"), account.supervisor())
    account.app("like", LIKE, environ={"x.y": "z"})
    restart(account, "like")
    ask(account, "like")
    pid = learnt(account, "inspect")["pid"]
    for _ in range(2):
        restart(account, "like")
        got = ask(account, "like")
        equal(got.pop("parent"), pid)
        equal(sorted(got["descriptors"], key=int), list("012345"))
        for key in direct:
            equal(got[key], direct[key], key)
    account.close()


@test("a directory that cannot be entered is told like any other reason")
def _():
    account = Mamayo(linger=60)
    directory = tells(account, "app")
    account.start()
    warm(account, "app", "decimal")
    os.chmod(directory, 0o400)
    try:
        got = account.get("/app")
        equal((got.status, got.error), (503, "cannot-start"), repr(got))
        within(5, lambda: re.search("cannot start .*cannot enter|Permission",
                                    account.log("app")), account.log("app"))
    finally:
        os.chmod(directory, 0o755)
    within(20, lambda: account.get("/app").status == 200, "its being mended")
    account.close()


@test("a hundred starts leave no descriptor in the supervisor or the fork"
      " server")
def _():
    account = Mamayo(linger=60)
    tells(account, "app")
    account.start()
    pid = warm(account, "app", "decimal")
    supervisor = account.supervisor()
    ask(account, "app")

    def descriptors():
        return [len(os.listdir("/proc/%d/fd" % p)) for p in (supervisor, pid)]
    before = within(10, descriptors)
    for _ in range(100):
        worker = ask(account, "app")["pid"]
        kill(worker)
        gone(worker)
    equal(ask(account, "app")["parent"], pid)
    within(10, lambda: descriptors() <= before, "%r, not %r" % (
        before, descriptors()))
    equal(len(os.listdir(account.path("run", "workers"))), 1)
    account.close()


@test("when the supervisor is killed, it goes at once, and the workers go on")
def _():
    account = Mamayo(linger=60)
    tells(account, "app", "import time\ndef sleep():\n    time.sleep(2)\n"
                          "    return os.getpid()\n")
    account.start()
    ask(account, "app")
    pid = learnt(account, "json")["pid"]
    restart(account, "app")
    request = Later(account, "/app/sleep")
    within(10, lambda: "busy" in [
        w["state"] for w in account.status_of("app")["workers"]], "busy")
    worker, = account.workers("app")
    kill(account.supervisor())
    gone(pid)
    equal(request.value(), worker)
    within(10, lambda: list(account.workers("app")) == [worker],
           "the worker to go on with another supervisor")
    account.close()


@test("when the web server has gone, everything leaves")
def _():
    account = Mamayo(linger=60, grace=1)
    tells(account, "app")
    tells(account, "alone", preload="app")
    account.start()
    warm(account, "app", "decimal")
    ask(account, "app")
    ask(account, "alone")
    equal(len(forkservers(account)), 2)
    account.stop()
    within(20, lambda: not account.processes(), "the end of everything")
    account.close()


@test("status shows it, to people as well")
def _():
    start()
    ask(m, "plain")
    f = learnt(m, "decimal")
    said = m.command("status").stdout
    equal("fork server %d  ready, %d modules, " % (f["pid"], f["modules"])
          in said, True, said)
    equal(f["python"] in said, True, said)


run()
