"""A changed application gets a new generation, and no request is lost by it.

The application's text says which version it is: the answer tells it, and who
answered.
"""
import json
import os
import subprocess
import sys
import time

import fcgi
from harness import PROGRAM, equal, run, test, within
from load import Load as AnyLoad
from mamayo import Mamayo, freeze, gone, kill

PUMPED, DIRECT = "test/1", "lighttpd/1.4.69"
QUIET = 2  # s until a change counts

SOURCE = """
import os
VERSION = %r
def application(environ, start_response):
    text = ("%%s %%d" %% (VERSION, os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"""

SLOW = """
import os, time
HERE = os.environ["MAMAYO_TEST"]
def application(environ, start_response):
    with open(HERE + "/taken", "a") as f:
        f.write("x")
    while environ["PATH_INFO"] == "/gate" and not os.path.exists(
            HERE + "/open"):
        time.sleep(0.01)
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.5)
    text = ("%s %%d" %% os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"""


def account(source=SOURCE % "one", name="app", listen=False, grace=1,
            **settings):
    """An account with one application, whose settings these are."""
    settings.setdefault("workers", {"max": 2})
    m = Mamayo(grace=grace)
    m.name = name
    m.directory = m.app(name, source, **settings)
    m.prefix = "" if name == "ROOT" else "/" + name
    if listen:
        m.listen()
    else:
        m.start()
    return m


def ask(m, software=PUMPED, path="/"):
    """(version, pid) of whoever answers."""
    with m.connect() as c:
        c.send(fcgi.request(m.prefix + path, SERVER_SOFTWARE=software))
        got = c.answer()
    if got.status != 200:
        raise AssertionError(repr(got))
    version, pid = got.body.decode().split()
    return version, int(pid)


def version(m):
    return ask(m)[0]


def touch(m, *path):
    path = os.path.join(m.directory, *path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a"):
        os.utime(path)


def put(m, text, file="application.py"):
    return m.write(os.path.join("apps", m.name, file), text)


def other(m, pid, seconds=20):
    """Asks until somebody else answers; gives that pid."""
    return within(seconds, lambda: (lambda now: now != pid and now)(
        ask(m)[1]), "another generation than that of %d" % pid)


class Load(AnyLoad):

    def __init__(self, m, software=PUMPED):
        AnyLoad.__init__(self, lambda: ask(m, software))

    def pids(self):
        return {pid for _, pid in self.seen}

    def versions(self):
        return list(dict(self.seen))


@test("restart.txt is touched under load: a new generation, nothing is lost")
def _():
    for software in PUMPED, DIRECT:
        m = account()
        first = ask(m)[1]
        generation = m.status_of("app")["generation"]
        with Load(m, software) as load:
            for path in ("tmp", "restart.txt"), ("restart.txt",):
                within(10, lambda: load.count, "requests")
                before = load.pids()
                touch(m, *path)
                within(20, lambda: load.pids() - before, "a new generation")
        assert m.status_of("app")["generation"] != generation
        gone(first)
        assert "tmp/restart.txt has changed" in m.log(), m.log()


PARTS = """
import os
import part
def application(environ, start_response):
    if environ["PATH_INFO"] == "/later":
        import later
    text = ("%s%s %d" % (part.VERSION, os.environ.get("ADD", ""),
                         os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"""


@test("entry file, modules, settings and virtual environment make a new one")
def _():
    for preload in "framework", "none", "app":
        m = account(PARTS, preload=preload)
        put(m, "VERSION = 'a'", "part.py")
        put(m, "", "later.py")
        settings = os.path.join(m.directory, "mamayo.json")
        pid = ask(m, path="/later")[1]
        put(m, "VERSION = 'bb'", "part.py")
        pid = other(m, pid)
        equal(version(m), "bb")
        put(m, PARTS + "# longer")
        pid = other(m, pid)
        with open(settings) as f:
            told = json.load(f)
        told["env"] = {"MAMAYO_TEST": m.dir, "ADD": "c"}
        put(m, json.dumps(told), "mamayo.json")
        pid = other(m, pid)
        equal(version(m), "bbc")
        venv = os.path.join(m.directory, "venv")
        os.makedirs(os.path.join(venv, "bin"))
        os.symlink(sys.executable, os.path.join(venv, "bin", "python"))
        put(m, "home = /usr/bin\n", "venv/pyvenv.cfg")
        touch(m, "restart.txt")
        pid = other(m, pid)
        touch(m, "venv", "pyvenv.cfg")
        pid = other(m, pid)
        equal(m.status_of("app")["python"], venv + "/bin/python")
        m.close()


@test("a module that is imported by a request counts, too")
def _():
    m = account(PARTS)
    put(m, "VERSION = 'a'", "part.py")
    put(m, "", "later.py")
    pid = ask(m, path="/later")[1]
    put(m, "# changed while nobody has asked for it", "later.py")
    other(m, pid)


@test("an unchanged application stays, and so does one that nobody visits")
def _():
    m = account()
    pid = ask(m)[1]
    end = time.monotonic() + 5
    while time.monotonic() < end:
        equal(ask(m)[1], pid)
        time.sleep(0.05)
    time.sleep(2 * QUIET)  # until nobody remembers these requests
    put(m, SOURCE % "two")
    time.sleep(2 * QUIET)  # that it does nothing can only be waited for
    equal(m.workers("app"), [pid])
    equal(ask(m), ("one", pid))
    other(m, pid)
    equal(version(m), "two")


@test("what cannot be started changes nothing: log and status say why, and the"
      " next change is tried")
def _():
    m = account(PARTS, workers={"max": 1})
    put(m, "VERSION = 'a'", "part.py")
    pid = ask(m)[1]
    with Load(m) as load:
        for file, text, word in (
                ("part.py", "VERSION = 'b' +", "part.py, line 1"),
                ("part.py", "import helper_4711", "no module helper_4711"),
                ("helper_4711.py", "1 / 0", "ZeroDivisionError"),
                ("mamayo.json", '{"queue": "many"}', '"queue"'),
                ("mamayo.json", '{"entry": "no:where"}', "no module no")):
            put(m, text, file)
            reload = within(20, lambda: (lambda r: r["state"] == "failed"
                                         and word in r["why"] and r)(
                m.status_of("app")["reload"]), word)
            within(5, lambda: reload["reference"] in m.log("app"))
            assert word in m.command("status").stdout
        equal(m.log().count("cannot reload"), 5, m.log())
        equal(load.pids(), {pid})
        put(m, "VERSION = 'c'", "helper_4711.py")
        put(m, "from helper_4711 import VERSION", "part.py")
        put(m, "{}", "mamayo.json")
        within(20, lambda: "c" in load.versions(), "the mended one")
    equal(m.status_of("app")["reload"]["state"], "")


HEALTH = """
import json, os, time
VERSION = %r
def application(environ, start_response):
    status = "200 OK"
    if environ["PATH_INFO"] == "/well":
        with open(os.environ["MAMAYO_TEST"] + "/asked", "a") as f:
            f.write(json.dumps({k: v for k, v in environ.items()
                                if isinstance(v, str)}) + "\\n")
        %s
    text = ("%%s %%d" %% (VERSION, os.getpid())).encode()
    start_response(status, [("Content-Length", str(len(text)))])
    return [text]
"""


@test("a new generation must answer health before anybody is sent to it")
def _():
    m = account(HEALTH % ("one", "pass"), health="/well?full=1",
                start_timeout=2)
    pid = ask(m)[1]
    asked = os.path.join(m.dir, "asked")
    equal(os.path.exists(asked), False)
    with Load(m) as load:
        for version, code, word in (
                ("two", "status = '500 No'", "status 500"),
                ("three", "1 / 0", "status 500"),
                ("four", "import later", "status 500"),
                ("five", "time.sleep(60)", "no answer in 2 seconds"),
                ("six", "os._exit(1)", "no whole answer")):
            put(m, HEALTH % (version, code))
            within(20, lambda: word in m.status_of("app")["reload"]["why"],
                   word)
        within(5, lambda: "time.sleep(60)" in m.log("app")
               or "line 10 in application" in m.log("app"), "its stack")
        equal(load.seen, [("one", pid)])
        put(m, HEALTH % ("seven", "status = '404 Fine'"))
        within(20, lambda: "seven" in load.versions(), "a healthy one")
    equal(load.versions(), ["one", "seven"])
    with open(asked) as f:
        for line in f:
            got = json.loads(line)
            equal([got[n] for n in (
                "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING",
                "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR",
                "REQUEST_URI")],
                  ["GET", "/app", "/well", "full=1", "localhost", "localhost",
                   "80", "127.0.0.1", "/app/well?full=1"])


@test("a file that only health has imported is looked at, too")
def _():
    m = account(HEALTH % ("one", "pass"), health="/well")
    pid = ask(m)[1]
    put(m, "1 / 0", "later.py")
    put(m, HEALTH % ("two", "import later"))
    within(20, lambda: ask(m)
           and "status 500" in m.status_of("app")["reload"]["why"])
    put(m, "VERSION = 1", "later.py")
    other(m, pid)
    equal(version(m), "two")


@test("mamayo restart waits for the new generation, and says how it went")
def _():
    m = account(HEALTH % ("one", "pass"), health="/well", start_timeout=5)
    got = m.command("restart", "app")
    equal((got.returncode, got.stdout), (
        0, "app: no worker of it runs: its next request starts what is"
        " there\n"))
    pid = ask(m)[1]
    with Load(m) as load:
        for _ in range(3):
            got = m.command("restart", "app")
            equal((got.returncode, got.stdout, got.stderr), (
                0, "app: a new generation serves\n", ""))
            assert m.workers("app")[-1:] != [pid]
            within(10, lambda: len(load.pids()) > _ + 1)
        put(m, "1 +")
        within(20, lambda: m.status_of("app")["reload"]["state"] == "failed")
        got = m.command("restart", "app")
        equal((got.returncode, got.stdout), (1, ""))
        assert "does not serve: application.py, line 1:" in got.stderr, got
        assert "the old one goes on" in got.stderr, got
        equal(len(load.versions()), 1)
        for _ in range(2):
            put(m, HEALTH % ("two", "status = '503 No'"))
            got = m.command("restart", "app")
            equal(got.returncode, 1)
            assert "status 503" in got.stderr, got
    equal(m.command("stop", "app").returncode, 0)
    got = m.command("restart", "app")
    equal(got.returncode, 1)
    assert "mamayo start app" in got.stderr, got
    got = m.command("restart", "ap")
    equal(got.returncode, 1)
    assert 'did you mean "app"' in got.stderr, got
    equal(m.command("restart").returncode, 2)


@test("several who ask for a restart at once are all told")
def _():
    m = account("import time\ntime.sleep(0.5)\n" + SOURCE % "one")
    ask(m)
    with Load(m) as load:
        asking = [m.popen([os.path.abspath(PROGRAM), "restart", "app"])
                  for _ in range(6)]
        equal([p.wait(20) for p in asking], [0] * 6)
    assert 2 <= len(load.pids()) <= 4, load.seen
    m.others = [p for p in m.others if p not in asking]


@test("one that is stopped while its new generation starts stays stopped")
def _():
    m = account()
    ask(m)
    put(m, "import time\ntime.sleep(30)")
    asking = m.popen([os.path.abspath(PROGRAM), "restart", "app"],
                     stderr=subprocess.PIPE)
    within(10, lambda: m.status_of("app")["reload"]["state"] == "starting")
    equal(m.command("stop", "app").returncode, 0)
    equal(asking.wait(10), 1)
    assert b"stopped or taken away" in asking.stderr.read()
    within(10, lambda: m.status_of("app")["workers"] == [])
    equal(m.get("/app/").error, "stopped")


@test("25 touches within a second: few generations, and nothing is lost")
def _():
    m = account()
    ask(m)
    with Load(m) as load:
        within(10, lambda: load.count)
        for _ in range(25):
            touch(m, "tmp", "restart.txt")
            time.sleep(0.04)
        within(20, lambda: len(load.pids()) > 1, "a new generation")
        end = time.monotonic() + 2 * QUIET  # is there another one?
        within(20, lambda: time.monotonic() > end)
    assert len(load.pids()) <= 3, load.seen


def settled(m, software):
    """Until workers accept, where they shall."""
    within(30, lambda: ask(m, software) and all(
        w["accepting"] for w in m.status_of(m.name)["workers"]),
           "workers to accept connections")


def ten_reloads(m, software, accepting=False):
    """Ten of them, three of which are broken, under load."""
    path = "/well"
    if accepting:
        settled(m, software)
    with Load(m, software) as load:
        within(30, lambda: load.seen, "the first answer")
        done = []
        for number, (code, how) in enumerate((
                ("pass", "touch"), ("pass", "restart"), ("1 +", "broken"),
                ("pass", "restart"), ("status = '500 No'", "broken"),
                ("pass", "change"), ("pass", "restart"),
                ("pass\nimport time; time.sleep(60)", "hangs"),
                ("pass", "restart"), ("pass", "change"))):
            version = "v" + number * 100 * "i"  # for *.pyc: other sizes
            before = m.status_of(m.name)["generation"]
            done.append(version)
            if how == "touch":
                touch(m, "tmp", "restart.txt")
            text = HEALTH % (version, code.partition("\n")[0])
            put(m, text + code.partition("\n")[2] + "\n")
            if how in ("change", "touch"):
                within(30, lambda: load.seen[-1][0] == version, version)
                continue
            got = m.command("restart", m.name)
            equal((got.returncode, m.status_of(m.name)["generation"]
                   != before), (0, True) if how == "restart" else (1, False),
                  "%s: %s" % (version, got.stderr))
            if how == "restart":
                within(30, lambda: load.seen[-1][0] == version, version)
            else:
                done.remove(version)
            if accepting:
                settled(m, software)
    equal(load.versions(), ["first"] + done)
    assert len(load.wrong) == 0 and load.count > 500, load.count
    return "%d requests" % load.count


for title, software, how in (
        ("pumped", PUMPED, {}),
        ("direct", DIRECT, {}),
        ("accepting workers", DIRECT, {"name": "ROOT", "listen": True}),
        ("without the accelerator", DIRECT, {"accel": False}),
        ("\"preload\": \"app\"", PUMPED, {"preload": "app"})):
    @test("ten reloads under load, three of them broken: no request fails, "
          + title)
    def _(software=software, how=how):
        m = account(HEALTH % ("first", "pass"), health="/well",
                    start_timeout=2, **how)
        ask(m, software)
        return ten_reloads(m, software, "listen" in how)


def waiting_at_a_restart(m, software, keep):
    """Eight connections, of which the first is with the old generation's only
    worker, and the others wait for it while the new one serves already."""
    waiting = []
    for path in ["/app/gate"] + 7 * ["/app/slow"]:
        c = m.connect()
        c.send(fcgi.request(path, keep=keep, SERVER_SOFTWARE=software))
        waiting.append(c)
    within(10, lambda: m.status_of("app")["queued"] == 7)
    equal(m.command("restart", "app").returncode, 0)
    new = ask(m, software)[1]
    m.open_gate("open")
    return waiting, new


@test("what waits in the old queue is served, however long it takes")
def _():
    for software in PUMPED, DIRECT:
        for keep in False, True:
            m = account(SLOW % "one", workers={"max": 1})
            old = ask(m)[1]
            waiting, new = waiting_at_a_restart(m, software, keep)
            for c in waiting:
                got = c.answer(keep=keep)
                equal((got.status, got.body), (200, b"one %d" % old))
                if keep:  # and the connection is still good
                    c.send(fcgi.request("/app/", SERVER_SOFTWARE=software))
                    equal(int(c.answer().body.split()[1]), new)
                c.close()
            m.close()


@test("a worker of the old generation dies: who has waited there for long gets"
      " a page, the others are served")
def _():
    for keep in False, True:
        m = account(SLOW % "one", workers={"max": 1})
        old = ask(m)[1]
        waiting, _ = waiting_at_a_restart(m, DIRECT, keep)
        taken = os.path.join(m.dir, "taken")
        # the first was for the worker, the second asked who is new
        within(20, lambda: os.path.getsize(taken) == 2 + 6)
        kill(old)
        got = [c.answer(keep=keep) for c in waiting]
        equal([(g.status, g.error) for g in got],
              5 * [(200, None)] + [(502, "died")] + 2 * [(200, None)])
        for c in waiting:
            c.close()
        m.close()


@test("a kept connection, answered by the old generation, is not answered again"
      " while that one is still busy")
def _():
    m = account("""
import os, time
def application(environ, start_response):
    while environ["PATH_INFO"] == "/gate" and not os.path.exists(
            os.environ["MAMAYO_TEST"] + "/open"):
        time.sleep(0.01)
    text = ("one %d" % os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
""", queue_timeout=1)
    old = ask(m)[1]
    busy, kept = m.connect(), m.connect()
    busy.send(fcgi.request("/app/gate", SERVER_SOFTWARE=DIRECT))
    within(20, lambda: ask(m)[1] != old)  # there are two workers
    kept.send(fcgi.request("/app/", keep=True, SERVER_SOFTWARE=DIRECT))
    kept.answer(keep=True)
    pids = m.workers("app")
    equal(m.command("restart", "app").returncode, 0)
    time.sleep(4)  # for what must not come, twice queue_timeout later
    kept.send(fcgi.request("/app/", SERVER_SOFTWARE=DIRECT))
    got = kept.answer()
    equal((got.status, int(got.body.split()[1]) in pids), (200, False))
    m.open_gate("open")
    equal(busy.answer().body, b"one %d" % old)


def replace_supervisor(m):
    old = m.supervisor()
    kill(old)
    within(20, lambda: m.lock_holder() not in (0, old), "another one")


@test("after kill -9 of the supervisor changes are still seen, and a new"
      " generation that was being tried leaves no trace")
def _():
    m = account(PARTS, grace=10)
    put(m, "VERSION = 'a'", "part.py")
    pid = ask(m)[1]
    with Load(m) as load:
        replace_supervisor(m)
        equal(ask(m)[1], pid)
        within(20, lambda: m.workers("app") == [pid])
        put(m, "import time\ntime.sleep(30)", "part.py")
        within(20, lambda: m.status_of("app")["reload"]["state"] == "starting")
        replace_supervisor(m)
        put(m, "VERSION = 'bb'", "part.py")
        within(20, lambda: load.seen[-1][0] == "bb", "the new generation")
    within(20, lambda: len(m.processes()) - len(m.workers("app")) <= 3,
           "the end of what was tried: %r" % m.processes())


@test("what changes between the death of a supervisor and the next one is seen")
def _():
    m = account(PARTS, grace=10)
    put(m, "VERSION = 'a'", "part.py")
    venv = os.path.join(m.directory, "venv")
    os.makedirs(os.path.join(venv, "bin"))
    os.symlink(sys.executable, os.path.join(venv, "bin", "python"))
    put(m, "home = /usr/bin\n", "venv/pyvenv.cfg")
    put(m, "VERSION = 'z'", "old.py")
    os.utime(os.path.join(m.directory, "old.py"), (1e9, 1e9))
    pid = ask(m)[1]
    for change in (
            lambda: put(m, PARTS + "# longer"),
            lambda: put(m, "VERSION = 'bb'", "part.py"),
            lambda: os.rename(os.path.join(m.directory, "old.py"),
                              os.path.join(m.directory, "part.py")),
            lambda: touch(m, "mamayo.json"),
            lambda: touch(m, "restart.txt"),
            lambda: touch(m, "tmp", "restart.txt"),
            lambda: touch(m, "venv", "pyvenv.cfg")):
        old = m.supervisor()
        freeze(old)  # so that it cannot be the one who sees it
        change()
        kill(old)
        pid = other(m, pid)
    equal(version(m), "z")


@test("the owner hears by mail that a new generation does not serve")
def _():
    m = account()
    fake = m.write("sendmail", "#!/bin/sh\ncat >> %s/mails\n" % m.dir, 0o755)
    m.settings(mail="owner@example.org", sendmail=fake)
    pid = ask(m)[1]
    put(m, "1 +")
    mails = os.path.join(m.dir, "mails")
    within(20, lambda: ask(m) and os.path.exists(mails))
    within(5, lambda: "old generation goes on" in open(mails).read())
    assert "app could not be reloaded" in open(mails).read()
    equal(ask(m)[1], pid)


@test("an application that writes its own module is not reloaded for ever")
def _():
    m = account("import time\nopen('made.py', 'w').write("
                "'VERSION = %r' % time.time())\nimport made\n"
                + SOURCE % "one")
    within(40, lambda: ask(m) and "that is no change" in m.log())
    pid = ask(m)[1]
    end = time.monotonic() + 2 * QUIET
    while time.monotonic() < end:
        equal(ask(m)[1], pid)
        time.sleep(0.05)
    put(m, SOURCE % "two")
    other(m, pid)


run()
