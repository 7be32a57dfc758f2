"""Hooks: what an application wants to be run once for each new generation."""
import fcntl
import json
import os
import signal
import stat
import sys
import time

import fcgi
from harness import PROGRAM, equal, run, test, within
from load import Load
from mamayo import Mamayo, Process, alive, every_process, gone, kill

PUMPED, DIRECT = "test/1", "lighttpd/1.4.69"

SOURCE = """
import os
VERSION = %r
def application(environ, start_response):
    text = ("%%s %%d" %% (VERSION, os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"""
# A hook: says that it has begun, and which one it is; waits for its gate if
# there is to be one; says how it ends.
HOOK = ("echo begin-%s >> $MAMAYO_TEST/journal; "
        "while [ -e $MAMAYO_TEST/closed ] && [ ! -e $MAMAYO_TEST/open ]; "
        "do sleep 0.02; done; "
        "echo end-%s >> $MAMAYO_TEST/journal; "
        "exit $(cat $MAMAYO_TEST/status 2>/dev/null || echo 0)")
HOOKS = {"install": HOOK % (("install",) * 2),
         "upgrade": HOOK % (("upgrade",) * 2)}


def account(source=SOURCE % "one", name="app", listen=False, start=True,
            hooks=HOOKS, of_account=None, **settings):
    m = Mamayo(**dict({"grace": 2}, **(of_account or {})))
    m.name = name
    m.told = dict(settings, **({"hooks": hooks} if hooks else {}))
    m.directory = m.app(name, source, **m.told)
    m.prefix = "" if name == "ROOT" else "/" + name
    if listen:
        m.listen()
    elif start:
        m.start()
    return m


def close_gate(m):
    if os.path.exists(os.path.join(m.dir, "open")):
        os.unlink(os.path.join(m.dir, "open"))
    open(os.path.join(m.dir, "closed"), "w").close()


def ends_with(m, status):
    """With which status hooks end from now on."""
    with open(os.path.join(m.dir, "status"), "w") as f:
        f.write(status)


def ask(m, software=PUMPED):
    """(status, error, version, pid)"""
    with m.connect() as c:
        c.send(fcgi.request(m.prefix + "/", SERVER_SOFTWARE=software))
        got = c.answer()
    if got.status != 200:
        return got.status, got.error, got, None
    version, pid = got.body.decode().split()
    return 200, None, version, int(pid)


def version(m, software=PUMPED):
    return ask(m, software)[2]


def put(m, text, file="application.py"):
    return m.write(os.path.join("apps", m.name, file), text)


def serves(m, what, seconds=20, software=PUMPED):
    return within(seconds, lambda: (lambda got: got[0] == 200 and got[2]
                                    == what and got)(ask(m, software)),
                  "version %s: %r" % (what, ask(m, software)))


def record(m, name=None):
    try:
        with open(m.path("state", (name or m.name).replace("/", ":")
                         + ".json")) as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def result(m, what):
    within(20, lambda: record(m).get("result") == what,
           "the result %s: %r" % (what, record(m)))
    return record(m)


def keepers(m):
    return [p.pid for p in m.processes().values() if p.name == "mamayo-hook"]


def shells(m):
    """The shells that run hooks."""
    return [p.pid for p in m.processes().values()
            if b"begin-" in p.read("cmdline")]


def kill_everything(m):
    """kill -9, as if the machine were switched off."""
    for _ in range(5):
        for pid in list(m.processes()):
            m.killed.add(pid)
            kill(pid)
    within(10, lambda: not m.processes(), "the end of everything")


def replace_supervisor(m):
    old = within(10, m.lock_holder, "a supervisor")
    kill(old)
    gone(old)


def setup_page(got):
    equal(got[:2], (503, "setup"), repr(got[2]))
    equal(got[2].header("retry-after"), "10")
    assert b"being set up" in got[2].body, got[2].body


def served(m, software=PUMPED):
    got = ask(m, software)
    equal(got[0], 200, repr(got))
    return got[2]


@test("install, before the first start: visitors get 503 \"setup\" and"
      " Retry-After, then the application")
def _():
    for how in {}, {"name": "ROOT", "listen": True}:
        for software in PUMPED, DIRECT:
            m = account(**how)
            close_gate(m)
            setup_page(ask(m, software))
            m.has("begin-install")
            for _ in range(3):
                setup_page(ask(m, software))
            one = m.status_of(m.name)
            equal((one["state"], one["hook"]["name"], one["workers"]),
                  ("setting up", "install", []))
            assert 'hook "install"' in m.command("status").stdout
            m.open_gate("open")
            serves(m, "one", software=software)
            equal(m.journal(), ["begin-install", "end-install"])
            got = result(m, "succeeded")
            equal((got["hook"], got["app"], got["why"]),
                  ("install", m.name, "exit status 0"))
            equal(stat.S_IMODE(os.stat(m.path(
                "state", m.name + ".json")).st_mode), 0o600)
            equal(m.status_of(m.name)["hook"], {"name": "", "since": 0})
            m.close()



@test("upgrade: the old generation serves until it has succeeded, under load,"
      " and no request is lost")
def _():
    for software, how in ((PUMPED, {}), (DIRECT, {}),
                          (DIRECT, {"name": "ROOT", "listen": True})):
        m = account(**how)
        serves(m, "one", software=software)
        if how:
            within(30, lambda: ask(m, software) and all(
                w["accepting"] for w in m.status_of("ROOT")["workers"]),
                   "accepting workers")
        close_gate(m)
        with Load(lambda: served(m, software), 4, 100) as load:
            within(10, lambda: load.seen, "an answer")
            put(m, SOURCE % "second")
            m.has("begin-upgrade")
            one = m.status_of(m.name)
            equal((one["state"], one["hook"]["name"], one["reload"]["state"]),
                  ("ready", "upgrade", "starting"))
            count = load.count
            within(10, lambda: load.count > count + 50, "requests")
            equal(load.seen, ["one"])
            m.open_gate("open")
            within(20, lambda: "second" in load.seen, "the new one")
        equal(load.seen, ["one", "second"])
        equal(m.journal(), ["begin-install", "end-install", "begin-upgrade",
                            "end-upgrade"])
        equal(result(m, "succeeded")["hook"], "upgrade")
        m.close()


@test("a failing upgrade: no swap, but log, status and mail; the same files are"
      " not tried again, others are, and so they are after mamayo restart")
def _():
    m = account(start=False)
    fake = m.write("sendmail", "#!/bin/sh\ncat >> %s/mails\n" % m.dir, 0o755)
    m.settings(mail="owner@example.org", sendmail=fake)
    m.start()
    pid = serves(m, "one")[3]
    ends_with(m, "3")
    put(m, SOURCE % "second")
    within(20, lambda: ask(m) and m.status_of("app")["reload"]["state"]
           == "failed")
    why = 'its hook "upgrade" has failed: exit status 3'
    reload = m.status_of("app")["reload"]
    equal(reload["why"], why)
    within(5, lambda: reload["reference"] in m.log("app"))
    assert why in m.log() and why in m.command("status").stdout
    mails = os.path.join(m.dir, "mails")
    within(10, lambda: os.path.exists(mails) and why in open(mails).read())
    assert "The old generation goes on" in open(mails).read()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        equal(ask(m)[2:], ("one", pid))
        time.sleep(0.05)
    equal(m.journal().count("begin-upgrade"), 1)
    # asked for: the hook is run again
    got = m.command("restart", "app")
    equal((got.returncode, why in got.stderr), (1, True), got.stderr)
    equal(m.journal().count("begin-upgrade"), 2)
    # another supervisor knows of it
    replace_supervisor(m)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        equal(ask(m)[2], "one")
        time.sleep(0.05)
    equal(m.journal().count("begin-upgrade"), 2)
    ends_with(m, "0")
    put(m, SOURCE % "third")
    within(20, lambda: ask(m)[2] == "third")
    equal(m.journal().count("begin-upgrade"), 3)


@test("a failing install: 503 \"hook\", log, status and mail; tried again when"
      " a file has changed, or after mamayo restart, with and without a"
      " supervisor")
def _():
    m = account(start=False)
    fake = m.write("sendmail", "#!/bin/sh\ncat >> %s/mails\n" % m.dir, 0o755)
    m.settings(mail="owner@example.org", sendmail=fake)
    ends_with(m, "7")
    m.start()
    ask(m)
    within(10, lambda: ask(m)[1] == "hook")
    got = ask(m)
    equal((got[0], got[2].header("retry-after")), (503, "60"), repr(got[2]))
    equal(m.status_of("app")["state"], "failing")
    why = 'its hook "install" has failed: exit status 7'
    assert why in m.log() and why in m.log("app"), m.log("app")
    mails = os.path.join(m.dir, "mails")
    within(10, lambda: os.path.exists(mails) and why in open(mails).read())
    replace_supervisor(m)
    for _ in range(10):
        within(10, lambda: ask(m)[1] == "hook")
    equal(m.journal(), ["begin-install", "end-install"])
    put(m, "changed", "notes.txt")
    ask(m)
    m.has("begin-install", 2)
    within(10, lambda: ask(m)[1] == "hook")
    got = m.command("restart", "app")
    equal(got.returncode, 0, got.stderr)
    ask(m)
    m.has("begin-install", 3)
    within(10, lambda: ask(m)[1] == "hook")
    kill_everything(m)
    equal(m.command("restart", "app").returncode, 0)
    ends_with(m, "0")
    m.start()
    ask(m)
    serves(m, "one")
    equal(m.journal().count("begin-install"), 4)


@test("only one of the two hooks; none; a Procfile's release for both")
def _():
    for hooks, procfile, journal in (
            ({"upgrade": "echo u >> $MAMAYO_TEST/journal"}, None, ["u"]),
            ({"install": "echo i >> $MAMAYO_TEST/journal"}, None, ["i"]),
            (None, "release:  echo r >> $MAMAYO_TEST/journal \nweb: x\n",
             ["r", "r"]),
            ({"install": "echo i >> $MAMAYO_TEST/journal"},
             "release: echo r >> $MAMAYO_TEST/journal\n", ["i"])):
        m = account(hooks=hooks, start=False)
        if procfile:
            put(m, procfile, "Procfile")
        m.start()
        serves(m, "one")
        put(m, SOURCE % "second")
        serves(m, "second")
        equal(m.journal(), journal)
        m.close()
    m = account(hooks=None)
    serves(m, "one")
    equal(record(m), {})


@test("it is run in the application's directory, with the environment of its"
      " workers, its Python and its log; python is its own")
def _():
    source = SOURCE % "one" + """
import json, sys
def application(environ, start_response):
    text = json.dumps([dict(os.environ), os.getcwd(), sys.prefix]).encode()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"""
    hook = ("python -c 'import json, os, sys; print(json.dumps([dict("
            "os.environ), os.getcwd(), sys.prefix]), file=open("
            "os.environ[\"MAMAYO_TEST\"] + \"/said\", \"w\"))'; "
            "ls -l /proc/self/fd > $MAMAYO_TEST/fds; umask >> "
            "$MAMAYO_TEST/fds; echo to the log; echo to the log, too >&2")
    for venv in False, True:
        m = account(source, hooks={"install": hook}, start=False)
        if venv:
            place = os.path.join(m.directory, "venv")
            os.makedirs(place + "/bin")
            for name in "python", "python3":
                os.symlink(sys.executable, place + "/bin/" + name)
            put(m, "home = %s\n" % os.path.dirname(sys.executable),
                "venv/pyvenv.cfg")
        m.start()
        ask(m)
        within(20, lambda: m.get("/app/").status == 200)
        worker = json.loads(m.text("/app/"))
        with open(os.path.join(m.dir, "said")) as f:
            told = json.load(f)
        for env in worker[0], told[0]:
            for name in "PWD", "SHLVL", "_", "OLDPWD":
                env.pop(name, None)
        path, places = told[0].pop("PATH"), worker[0].pop("PATH")
        equal(path.endswith(places), True, path)
        equal(path == places, venv)
        equal(told, worker)
        if venv:
            equal(told[2], place)
        with open(os.path.join(m.dir, "fds")) as f:
            text = f.read()
        equal(text.count(" -> "), 4, text)  # three, and the listing's own
        assert " 0 -> /dev/null" in text and "app.log" in text, text
        assert text.endswith("0022\n"), text
        assert "to the log\nto the log, too\n" in m.log("app")
        m.close()


@test("hook_timeout: it is ended with all that it has started, and has failed")
def _():
    m = account(hooks={"install": "trap '' TERM; echo begin- >> "
                       "$MAMAYO_TEST/journal; sleep 60 & sleep 60; sleep 60"},
                hook_timeout=1)
    ask(m)
    got = result(m, "failed")
    equal(got["why"], "it had not ended after 1 seconds (hook_timeout)")
    within(10, lambda: ask(m)[1] == "hook")
    within(10, lambda: not [p for p in m.processes().values()
                            if p.name in ("sleep", "sh", "mamayo-hook")])
    assert "has not ended in 1 seconds (hook_timeout)" in m.log("app")


@test("what it leaves in its process group goes with it; a success that was"
      " begun twice is one")
def _():
    m = account(hooks={"install": "sleep 60 & echo i >> "
                       "$MAMAYO_TEST/journal"})
    ask(m)
    serves(m, "one")
    within(10, lambda: not [p for p in m.processes().values()
                            if p.name == "sleep"])
    kill_everything(m)
    m.start()
    serves(m, "one")
    equal(m.journal(), ["i"])


@test("kill -9 of the hook: it has failed, and is not run again for the same"
      " files, also by another supervisor")
def _():
    m = account()
    close_gate(m)
    ask(m)
    m.has("begin-install")
    for pid in shells(m):
        kill(pid)
    equal(result(m, "failed")["why"], "killed by signal 9 (Killed)")
    within(10, lambda: ask(m)[1] == "hook")
    replace_supervisor(m)
    within(10, lambda: ask(m)[1] == "hook")
    kill_everything(m)
    m.start()
    within(10, lambda: ask(m)[1] == "hook")
    equal(m.journal(), ["begin-install"])


@test("kill -9 of who keeps it: it runs to its end, counts as failed, and"
      " nothing is run beside it")
def _():
    for replaced in False, True:
        m = account()
        close_gate(m)
        ask(m)
        m.has("begin-install")
        kill(keepers(m)[0])
        if replaced:
            replace_supervisor(m)
        for _ in range(3):
            within(10, lambda: ask(m)[1] == "setup")
            time.sleep(0.3)  # ticks of the supervisor
        put(m, "changed", "notes.txt")
        within(10, lambda: ask(m)[1] == "setup")
        equal(m.journal(), ["begin-install"])
        m.open_gate("open")
        m.has("end-install")
        within(10, lambda: ask(m)[1] == "hook")
        assert "was killed before its end" in m.log(), m.log()
        equal(m.journal(), ["begin-install", "end-install"])
        equal(m.command("restart", "app").returncode, 0)
        ask(m)
        serves(m, "one")
        equal(m.journal(), ["begin-install", "end-install"] * 2)
        m.close()


@test("who keeps it is stopped: it is ended some seconds after hook_timeout, by"
      " the supervisor that has begun it, and by the next")
def _():
    all = []
    for replaced in False, True:
        m = account(hook_timeout=1)
        close_gate(m)
        ask(m)
        m.has("begin-install")
        kill(keepers(m)[0], signal.SIGSTOP)
        if replaced:
            replace_supervisor(m)
        within(10, lambda: ask(m)[1] == "setup")
        all.append(m)
    for m in all:
        within(30, lambda m=m: ask(m)[1] == "hook")
        equal((keepers(m), shells(m)), ([], []))
        equal(m.journal(), ["begin-install"])


@test("kill -9 of the supervisor: the hook goes on, the next supervisor waits"
      " for it, and it is not run again")
def _():
    m = account(of_account={"grace": 10})
    close_gate(m)
    ask(m)
    m.has("begin-install")
    for _ in range(2):
        replace_supervisor(m)
        within(10, lambda: ask(m)[1] == "setup")
    equal(m.status_of("app")["hook"]["name"], "install")
    assert 'its hook install runs' in m.log()
    m.open_gate("open")
    serves(m, "one")
    close_gate(m)
    put(m, SOURCE % "second")
    within(20, lambda: ask(m)[2] == "one" and "begin-upgrade" in m.journal())
    for _ in range(2):
        replace_supervisor(m)
        within(10, lambda: ask(m)[2] == "one")
    time.sleep(3)  # for a second one, which must not come
    equal(ask(m)[2], "one")
    m.open_gate("open")
    serves(m, "second")
    equal(m.journal(), ["begin-install", "end-install", "begin-upgrade",
                        "end-upgrade"])


@test("kill -9 of everything, while it runs and after it: it is not run again"
      " for the same files")
def _():
    m = account(of_account={"grace": 10})
    ask(m)
    serves(m, "one")
    kill_everything(m)
    m.start()
    serves(m, "one")
    equal(m.journal(), ["begin-install", "end-install"])
    close_gate(m)
    put(m, SOURCE % "second")
    within(20, lambda: ask(m)[2] == "one" and "begin-upgrade" in m.journal())
    kill_everything(m)
    m.start()
    within(10, lambda: ask(m)[1] == "hook")
    kill_everything(m)
    m.start()
    within(10, lambda: ask(m)[1] == "hook")
    equal(m.journal(), ["begin-install", "end-install", "begin-upgrade"])
    equal(record(m)["result"], "running")
    m.open_gate("open")
    put(m, SOURCE % "third")
    ask(m)
    within(10, lambda: ask(m)[2] == "third")
    equal(m.journal()[3:], ["begin-upgrade", "end-upgrade"])


@test("files that have changed while nothing ran: upgrade, and visitors wait")
def _():
    m = account()
    serves(m, "one")
    within(10, lambda: any(p.endswith("application.py") for p in
                           record(m)["served"]), "what it was made of")
    kill_everything(m)
    put(m, SOURCE % "second")
    close_gate(m)
    m.start()
    setup_page(ask(m))
    m.has("begin-upgrade")
    m.open_gate("open")
    serves(m, "second")
    equal(m.journal(), ["begin-install", "end-install", "begin-upgrade",
                        "end-upgrade"])


@test("what it writes itself belongs to its generation: no other is begun for"
      " that, whether it succeeds or fails")
def _():
    for code in "0", "4":
        m = account("import made\n" + SOURCE % "one", hooks={
            "install": "echo i >> $MAMAYO_TEST/journal; "
                       "echo x=1 > made.py",
            "upgrade": "echo u >> $MAMAYO_TEST/journal; "
                       "echo x=$$ > made.py; exit %s" % code})
        serves(m, "one")
        put(m, "import made\n" + SOURCE % "second")
        if code == "0":
            serves(m, "second")
        else:
            within(20, lambda: ask(m) and m.status_of("app")["reload"][
                "state"] == "failed")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            equal(ask(m)[2], "second" if code == "0" else "one")
            time.sleep(0.05)
        equal(m.journal(), ["i", "u"])
        m.close()


@test("stop, reload, idle time and linger do not end it; a second generation"
      " waits for it")
def _():
    m = account(of_account={"linger": 0, "grace": 30, "idle": 0})
    close_gate(m)
    ask(m)
    m.has("begin-install")
    supervisor = m.lock_holder()
    time.sleep(2.5)  # ticks at which it would have left
    equal(m.lock_holder(), supervisor)
    equal(m.command("stop", "app").returncode, 0)
    equal(ask(m)[1], "stopped")
    equal(len(shells(m)), 1)
    equal(m.command("start", "app").returncode, 0)
    setup_page(ask(m))
    put(m, SOURCE % "second")
    setup_page(ask(m))
    equal(m.journal(), ["begin-install"])
    m.open_gate("open")
    serves(m, "second")
    within(10, lambda: m.lock_holder() != supervisor, "its leaving")


@test("kill -9 of the supervisor before its hook could begin: the next one wants"
      " it, too, and it is run once")
def _():
    m = account()
    os.makedirs(m.path("run", "hooks"), 0o700, exist_ok=True)
    with open(m.path("run", "hooks", "app.lock"), "w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # neither can begin meanwhile
        ask(m)
        within(10, lambda: len(keepers(m)) == 1, "who keeps it")
        replace_supervisor(m)
        within(10, lambda: ask(m)[1] == "setup" and len(keepers(m)) == 2,
               "a second one")
    serves(m, "one")
    within(10, lambda: not keepers(m), "the end of both")
    equal(m.journal(), ["begin-install", "end-install"])
    assert "has been run meanwhile" in m.log("app"), m.log("app")
    assert "could not be begun" not in m.log(), m.log()


@test("a supervisor that is retired leaves, its hook goes on, and the next one"
      " knows of it")
def _():
    m = account()
    close_gate(m)
    ask(m)
    m.has("begin-install")
    old = within(10, m.lock_holder)
    os.unlink(m.path("run", "lock"))
    gone(old)
    setup_page(ask(m))
    kill(within(10, m.lock_holder), signal.SIGTERM)
    within(10, lambda: ask(m)[1] == "setup")
    equal(len(shells(m)), 1)
    m.open_gate("open")
    serves(m, "one")
    equal(m.journal(), ["begin-install", "end-install"])


@test("the web server goes while it runs: the supervisor stays until it has"
      " ended, SIGTERM for whoever keeps it changes nothing")
def _():
    m = account(of_account={"grace": 1})
    close_gate(m)
    ask(m)
    m.has("begin-install")
    m.stop()
    supervisor = m.lock_holder()
    for pid in keepers(m):
        kill(pid, signal.SIGTERM)
    time.sleep(3)  # in which it would have left
    equal(m.lock_holder(), supervisor)
    m.open_gate("open")
    result(m, "succeeded")
    gone(supervisor)


@test("mamayo restart: the hook is run for a new generation of the same files,"
      " and who asks waits for it")
def _():
    m = account()
    pid = serves(m, "one")[3]
    got = m.command("restart", "app")
    equal((got.returncode, got.stdout), (
        0, "app: a new generation serves\n"), got.stderr)
    assert ask(m)[3] != pid
    equal(m.journal(), ["begin-install", "end-install", "begin-upgrade",
                        "end-upgrade"])
    # it fails: the old one goes on, also from its beginning
    ends_with(m, "1")
    equal(m.command("restart", "app").returncode, 1)
    pid = ask(m)[3]
    kill(pid)
    gone(pid)
    serves(m, "one")
    equal(m.journal().count("begin-upgrade"), 2)


@test("applications with names of all kinds have records of their own")
def _():
    m = Mamayo(grace=2, mail="owner@example.org", sendmail="/bin/true")
    names = ["mail", "stopped", "a/b", "new.x", "n" * 250, "\u00e4 b'\"$x"]
    for name in names:
        m.app(name, SOURCE % "one", hooks={
            "install": "echo \"$PWD\" >> $MAMAYO_TEST/journal"})
    m.start()
    for name in names:
        m.name, m.prefix = name, "/" + name.replace("\u00e4 b'\"$x",
                                                    "%C3%A4%20b'%22$x")
        serves(m, "one")
    equal(len(m.journal()), len(names))
    m.app("broken", hooks={"install": "exit 1"})  # that is worth a message
    m.prefix = "/broken"
    within(10, lambda: ask(m)[1] == "hook")
    within(10, lambda: os.path.exists(m.path("state", "_mail.json")))
    kill_everything(m)
    m.start()
    for name in names:
        m.prefix = "/" + name.replace("\u00e4 b'\"$x", "%C3%A4%20b'%22$x")
        serves(m, "one")
    equal(len(m.journal()), len(names))


@test("a record that is damaged, or cannot be written: said, and nobody hangs")
def _():
    m = account(start=False)
    os.makedirs(m.path("state"), 0o700, exist_ok=True)
    for text in ("nonsense", "{}", "[]", '{"served": 3, "result": 7}',
                 '{"result": "running", "pid": -1, "made_of": {"/x": 1}}'):
        m.write("state/app.json", text)
        m.start()
        serves(m, "one")
        kill_everything(m)
    equal(m.journal().count("end-install"), 5)
    os.unlink(m.path("state", "app.json"))
    os.mkdir(m.path("state", "app.json"))
    m.start()
    ask(m)
    within(10, lambda: ask(m)[1] == "resources")
    assert "could not be begun" in m.log()
    assert "cannot write" in m.log("app")
    equal(m.journal().count("begin-install"), 5)
    os.rmdir(m.path("state", "app.json"))
    put(m, "changed", "notes.txt")
    serves(m, "one")


run()
