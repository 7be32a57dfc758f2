"""The command line: status, listen, settings, help; exit status 0 done or
healthy, 1 failed or unhealthy, 2 wrong usage, 78 refuses to serve."""
import json
import os
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import fcgi
from harness import BUILDDIR, PROGRAM, equal, run, test, within
from mamayo import Mamayo, alive, kill

m = Mamayo()
NO_ACCEL = not os.path.exists(
    os.path.join(BUILDDIR, "adapters", "mamayo_accel.abi3.so"))

STATUS = {"version": str, "supervisor": dict, "responders": list,
          "forkservers": list, "apps": list}
PROCESS = {"pid": int, "since": int}
APP = {"name": str, "mount": str, "directory": str, "state": str,
       "entry": str, "python": str, "generation": str,
       "accelerator_reason": str, "requests": int, "queued": int,
       "workers": list, "reload": dict, "hook": dict}
RELOAD = {"state": str, "why": str, "reference": str, "since": int}
WORKER = {"pid": int, "state": str, "requests": int, "since": int,
          "url": str, "accepting": bool}
FORKSERVER = {"pid": int, "state": str, "python": str, "app": str,
              "modules": int, "workers": int, "since": int}


def shape(value, expected, what):
    equal({k: type(v) for k, v in value.items()}, expected, what)


def status(account=m, code=0):
    """What status --json says, checked to the last key."""
    got = account.command("status", "--json")
    equal((got.returncode, got.stderr), (code, ""), got.stdout)
    report = json.loads(got.stdout)
    expected = dict(STATUS)
    if report["supervisor"] is None:
        expected["supervisor"] = type(None)
    else:
        shape(report["supervisor"], PROCESS, "supervisor")
    shape(report, expected, "status")
    for responder in report["responders"]:
        shape(responder, PROCESS, "responder")
    for forkserver in report["forkservers"]:
        shape(forkserver, FORKSERVER, "fork server")
    for app in report["apps"]:
        accelerator = {"accelerator": type(app["accelerator"])}
        equal(accelerator["accelerator"] in (bool, type(None)), True)
        shape(app, dict(APP, **accelerator), "app")
        shape(app["reload"], RELOAD, "reload")
        for worker in app["workers"]:
            shape(worker, WORKER, "worker")
    return report


def text(account=m, code=0):
    got = account.command("status")
    equal((got.returncode, got.stderr), (code, ""), got.stdout)
    return got.stdout


def refused(code, *arguments, **how):
    """It says why, to standard error only. Gives what it says."""
    account = how.pop("account", m)
    got = account.command(*arguments, **how)
    equal((got.returncode, got.stdout), (code, ""), got.stderr)
    equal(got.stderr != "", True)
    return got.stderr


class Listener:
    """mamayo listen, with what it says."""

    def __init__(self, *arguments, **how):
        self.account = how.pop("account", m)
        self.process = self.account.popen(
            [os.path.abspath(PROGRAM), "listen"] + list(arguments),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how)
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode())

    def serves(self, address, uri="/blog/pid"):
        def answers():
            equal(self.process.poll(), None, "".join(self.lines))
            try:
                fcgi.Connection(address).close()
                return True
            except OSError:
                return False
        within(10, answers, "somebody at " + address)
        got = fcgi.fetch(address, uri)
        equal(got.status, 200, repr(got))
        return got

    def end(self, signo=signal.SIGTERM, code=0):
        if signo:
            self.process.send_signal(signo)
        try:
            got = self.process.wait(20)
        except subprocess.TimeoutExpired:
            raise AssertionError("no end: " + "".join(self.lines))
        self.reader.join(10)
        self.account.others.remove(self.process)
        self.process.stdout.close()
        equal(got, code, "".join(self.lines))


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


# -- status -----------------------------------------------------------------

@test("status of an account where nothing has ever run")
def _():
    fresh = Mamayo()
    report = status(fresh)
    equal((report["supervisor"], report["responders"], report["apps"]),
          (None, [], []))
    said = text(fresh)
    equal("no supervisor runs" in said, True, said)
    equal("There is no application in %s yet" % fresh.path("apps") in said,
          True, said)
    equal(fresh.processes(), {})  # and it has started nothing
    fresh.close()


@test("status without a supervisor tells what lies there")
def _():
    m.app("blog")
    m.app("tools/wiki")
    m.app("tools/ROOT")
    report = status()
    equal(report["supervisor"], None)
    equal([(a["name"], a["mount"], a["directory"], a["state"], a["workers"],
            a["requests"], a["queued"]) for a in report["apps"]],
          [(n, mount, m.path("apps", n), "asleep", [], 0, 0)
           for n, mount in (("blog", "/blog"), ("tools/ROOT", "/tools"),
                            ("tools/wiki", "/tools/wiki"))])
    root = Mamayo()
    root.app("ROOT")
    equal(status(root)["apps"][0]["mount"], "/")
    root.close()
    said = text()
    for words in ("no supervisor runs", "tools/wiki  asleep  at /tools/wiki",
                  m.root):
        equal(words in said, True, said)
    equal(m.processes(), {})


@test("status with a supervisor tells who runs, since when, and what it does")
def _():
    begin = int(time.time())
    responder, = m.start()
    worker = int(m.text("/blog/pid"))
    m.text("/blog/pid")
    within(10, lambda: [w["state"] for a in status()["apps"]
                        for w in a["workers"]] == ["idle"], "an idle worker")
    report = status()
    equal(report["version"],
          m.command("--version").stdout.split()[-1])
    equal(report["supervisor"]["pid"], m.lock_holder())
    equal([r["pid"] for r in report["responders"]], [responder])
    apps = {a["name"]: a for a in report["apps"]}
    equal(sorted(apps), ["blog", "tools/ROOT", "tools/wiki"])
    blog = apps["blog"]
    equal((blog["state"], blog["entry"], blog["requests"], blog["queued"]),
          ("ready", "application:application", 2, 0))
    equal(os.access(blog["python"], os.X_OK), True)
    equal(re.match("[0-9a-f]{32}$", blog["generation"]) is not None, True)
    equal((blog["accelerator"], blog["accelerator_reason"]),
          (False, "this mamayo was built without it") if NO_ACCEL
          else (True, ""))
    one, = blog["workers"]
    equal((one["pid"], one["state"], one["requests"], one["url"]),
          (worker, "idle", 2, ""))
    for since in (report["supervisor"]["since"],
                  report["responders"][0]["since"], one["since"]):
        equal(begin - 2 <= since <= time.time() + 1, True, str(since))
    equal((apps["tools/wiki"]["state"], apps["tools/wiki"]["workers"],
           apps["tools/wiki"]["accelerator"]), ("asleep", [], None))
    said = text()
    for words in ("supervisor %d, 1 responders" % report["supervisor"]["pid"],
                  "blog  ready  at /blog", "2 requests, 0 waiting",
                  "worker %d  idle, 2 requests" % worker,
                  "application:application"):
        equal(words in said, True, said)


@test("a busy worker is shown with its address, in which nothing is raw")
def _():
    request = "/blog/gate/%1b%5B31m%0Ax%C3%A9%FF?name=busy"
    with m.connect() as c:
        c.send(fcgi.request(request))
        within(10, lambda: [w for a in status()["apps"] for w in a["workers"]
                            if w["state"] == "busy"], "a busy worker")
        one = [w for a in status()["apps"] for w in a["workers"]
               if w["state"] == "busy"][0]
        equal(one["url"], "/blog/gate/\\x1b[31m\\x0axé\\xff")
        said = text()
        equal("busy, " in said and "at /blog/gate/\\x1b[31m" in said, True,
              said)
        equal("\x1b" in said, False)
        with open(os.path.join(m.dir, "busy"), "w"):
            pass
        equal(c.answer().status, 200)


@test("an app whose workers do without the accelerator is shown with the reason,"
      " which the log has once")
def _():
    why = "the setting accel is false"
    if NO_ACCEL:
        why = "this mamayo was built without it"
    m.app("plain", accel=NO_ACCEL, workers={"max": 1})
    for _ in range(2):
        pid = m.get("/plain/pid").body.decode()
        equal([(a["accelerator"], a["accelerator_reason"])
               for a in status()["apps"] if a["name"] == "plain"],
              [(False, why)])
        equal("    without the accelerator: %s\n" % why in text(), True, text())
        kill(int(pid))
        within(10, lambda: not alive(int(pid)), "the worker's end")
    equal(m.log().count("plain: its workers do without the accelerator: "
                        + why), 1)


@test("an app that fails makes it exit with 1, and names the log")
def _():
    m.app("bad", "raise RuntimeError('4711')\n")
    equal(status()["supervisor"] is not None, True)  # asleep is healthy
    equal(m.get("/bad").status, 503)
    report = status(code=1)
    equal([a["state"] for a in report["apps"] if a["name"] == "bad"],
          ["failing"])
    said = text(code=1)
    equal("bad  failing  at /bad" in said, True, said)
    equal(m.path("logs") in said, True, said)
    m.app("bad")
    equal(m.get("/bad/pid").status, 200)
    status()
    text()


@test("so does one whose directory has gone, until that is certain")
def _():
    m.app("gone")
    m.text("/gone/pid")
    shutil.rmtree(m.path("apps", "gone"))

    def states():
        got = m.command("status", "--json")
        found = [a["state"] for a in json.loads(got.stdout)["apps"]
                 if a["name"] == "gone"]
        equal(got.returncode, 1 if "missing" in found else 0)
        return found
    within(10, lambda: states() == ["missing"], "missing")
    within(20, lambda: states() == [], "its end")


@test("and one that is refused, also when nothing runs")
def _():
    unsafe = Mamayo()
    directory = unsafe.app("open")
    os.chmod(directory, 0o777)
    equal(status(unsafe, code=1)["apps"][0]["state"], "failing")
    equal("open  failing  at /open" in text(unsafe, code=1), True)
    unsafe.close()


@test("300 applications are told as well, in their order")
def _():
    many = Mamayo()
    for i in range(300):
        many.app("app%03d" % i, "def application(e, s): pass\n")
    many.app("blog")
    names = ["app%03d" % i for i in range(300)] + ["blog"]
    equal([a["name"] for a in status(many)["apps"]], names)
    many.start()
    equal(many.get("/blog/pid").status, 200)
    equal([a["name"] for a in status(many)["apps"]], names)
    equal(text(many).count("asleep"), 300)
    many.close()


@test("a supervisor that does not answer is told of, not waited for for ever")
def _():
    supervisor = m.supervisor()
    kill(supervisor, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        said = refused(1, "status")
        equal("does not answer" in said, True, said)
        equal(time.monotonic() - begin < 19, True)
    finally:
        kill(supervisor, signal.SIGCONT)
    status()


@test("whoever has a home too deep for a socket finds the supervisor all the"
      " same")
def _():
    deep = Mamayo()
    shutil.rmtree(deep.root)
    deep.root = os.path.join(deep.dir, "d" * 100, "mamayo")
    deep.environment["MAMAYO_ROOT"] = deep.root
    os.makedirs(deep.path("apps"))
    deep.settings()
    deep.app("blog")
    place = os.path.join(deep.dir, "x")
    os.mkdir(place, 0o700)
    equal(status(deep)["supervisor"], None)  # looks, and settles nothing
    deep.environment["XDG_RUNTIME_DIR"] = place
    deep.start()
    pid = deep.text("/blog/pid")
    with open(deep.path("run", "where")) as f:
        equal(f.read().startswith(place + "/mamayo-"), True)
    supervisor = status(deep)["supervisor"]["pid"]
    # with another environment, as by hand or from another web server
    del deep.environment["XDG_RUNTIME_DIR"]
    equal(status(deep)["supervisor"]["pid"], supervisor)
    deep.start()
    equal(deep.text("/blog/pid"), pid)
    equal(len(status(deep)["responders"]), 2)
    # a place that cannot be seen from here (a private /tmp)
    os.rename(place, place + ".away")
    said = refused(1, "status", account=deep)
    equal(place + "/mamayo-" in said, True, said)
    equal(os.path.exists(place), False)
    os.rename(place + ".away", place)
    equal(status(deep)["supervisor"]["pid"], supervisor)
    deep.close()


# -- listen -----------------------------------------------------------------

@test("listen on a socket file: 0600, told, removed at the end")
def _():
    path = os.path.join(m.dir, "listen")
    listener = Listener("unix:" + path)
    listener.serves("unix:" + path)
    equal(stat.S_IMODE(os.lstat(path).st_mode), 0o600)
    equal("listening on unix:" + path in "".join(listener.lines), True)
    equal(m.path("apps") in "".join(listener.lines), True)
    listener.end()
    equal(os.path.lexists(path), False)


@test("listen with another mode, on TCP, on IPv6, on several at once")
def _():
    path = os.path.join(m.dir, "listen")
    tcp = "tcp:127.0.0.1:%d" % free_port()
    addresses = ["unix:" + path, "unix:" + path + "2", tcp]
    try:
        addresses.append("tcp:[::1]:%d" % free_port(socket.AF_INET6, "::1"))
    except OSError:
        pass  # this machine has no IPv6
    listener = Listener("--mode", "0660", *addresses)
    for address in addresses:
        listener.serves(address)
    for name in (path, path + "2"):
        equal(stat.S_IMODE(os.lstat(name).st_mode), 0o660)
    listener.end(signal.SIGINT)
    for address in addresses:
        try:
            fcgi.Connection(address).close()
        except OSError:
            continue
        raise AssertionError("still somebody at " + address)


@test("a stale socket is replaced, whatever else is there is refused and left")
def _():
    path = os.path.join(m.dir, "taken")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    listener = Listener("unix:" + path)
    listener.serves("unix:" + path)
    said = refused(1, "listen", "unix:" + path)  # one that answers
    equal(path in said, True, said)
    listener.serves("unix:" + path)
    listener.end()

    def file():
        with open(path, "w") as f:
            f.write("precious")

    for make, is_there in ((file, os.path.isfile),
                           (lambda: os.mkdir(path), os.path.isdir),
                           (lambda: os.mkfifo(path), os.path.exists),
                           (lambda: os.symlink("/nonexistent", path),
                            os.path.islink)):
        make()
        said = refused(1, "listen", "unix:" + path)
        equal(path in said, True, said)
        equal(is_there(path), True)
        (os.rmdir if os.path.isdir(path) else os.unlink)(path)
    port = free_port()
    with socket.socket() as s:
        s.bind(("127.0.0.1", port))
        s.listen(1)
        said = refused(1, "listen", "tcp:127.0.0.1:%d" % port)
        equal(str(port) in said, True, said)


@test("of two addresses one of which is refused nothing stays")
def _():
    path = os.path.join(m.dir, "first")
    refused(1, "listen", "unix:" + path, "unix:/nonexistent/s")
    equal(os.path.lexists(path), False)


@test("another one's socket in its place is not removed")
def _():
    path = os.path.join(m.dir, "listen")
    listener = Listener("unix:" + path)
    listener.serves("unix:" + path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        listener.end()
        equal(stat.S_ISSOCK(os.lstat(path).st_mode), True)
    os.unlink(path)


@test("SIGTERM: what was begun is finished, what comes later is not taken")
def _():
    path = os.path.join(m.dir, "listen")
    listener = Listener("unix:" + path)
    listener.serves("unix:" + path)
    with fcgi.Connection(path) as c, fcgi.Connection(path) as half:
        c.send(fcgi.request("/blog/gate?name=term"))
        within(10, lambda: [x for x in m.journal()
                            if x.startswith("started term ")], "the app")
        whole = fcgi.request("/blog/echo", "POST", b"x" * 100)
        half.send(whole[:-20])
        within(10, lambda: status()["responders"][1:], "two responders")
        time.sleep(0.2)  # what was sent has come
        listener.process.send_signal(signal.SIGTERM)
        within(10, lambda: not os.path.lexists(path), "its socket to go")
        try:
            fcgi.Connection(path)
            raise AssertionError("it still takes connections")
        except OSError:
            pass
        equal(listener.process.poll(), None)
        half.send(whole[-20:])
        equal(half.answer().body, b"x" * 100)
        with open(os.path.join(m.dir, "term"), "w"):
            pass
        equal(c.answer().body, b"term")
    listener.end(signo=0)


LAUNCHER = """
import os, socket, sys
program, path, count, pid = sys.argv[1:5]
for i in range(int(count)):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path + str(i))
    s.listen(100)
    s = s.detach()
    os.dup2(s, 10 + i)
    os.close(s)
for i in range(int(count)):
    os.dup2(10 + i, 3 + i)
    os.close(10 + i)
os.environ["LISTEN_FDS"] = count
os.environ["LISTEN_PID"] = pid if pid != "own" else str(os.getpid())
os.execv(program, [program, "listen"] + sys.argv[5:])
"""


def launched(count, pid="own", arguments=()):
    path = os.path.join(m.dir, "passed")
    for i in range(count):
        if os.path.lexists(path + str(i)):
            os.unlink(path + str(i))
    listener = Listener.__new__(Listener)
    listener.account = m
    listener.lines = []
    listener.process = m.popen(
        [sys.executable, "-I", "-c", LAUNCHER, os.path.abspath(PROGRAM),
         path, str(count), pid] + list(arguments),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    listener.reader = threading.Thread(target=listener.read, daemon=True)
    listener.reader.start()
    return path, listener


@test("sockets that are passed in LISTEN_FDS are served, and stay when it ends")
def _():
    path, listener = launched(2)
    for i in range(2):
        listener.serves(path + str(i))
        got = listener.serves(path + str(i), "/blog/process")
        environ = json.loads(got.body.decode())["environ"]
        equal([n for n in environ if n.startswith("LISTEN")], [])
    listener.end()
    for i in range(2):
        equal(stat.S_ISSOCK(os.lstat(path + str(i)).st_mode), True)
        os.unlink(path + str(i))
    other = os.path.join(m.dir, "besides")
    path, listener = launched(1, arguments=["unix:" + other])
    listener.serves(path + "0")
    listener.serves(other)
    listener.end()
    equal(os.path.lexists(other), False)
    os.unlink(path + "0")


@test("those that were passed to another process are not taken")
def _():
    path, listener = launched(1, pid="1")
    listener.end(signo=0, code=1)
    equal("names no listening socket" in "".join(listener.lines), True,
          "".join(listener.lines))
    os.unlink(path + "0")


@test("wrong addresses and wrong usage of listen")
def _():
    for arguments in ([], ["--mode", "0600"], ["--mode"],
                      ["--mode", "0999", "unix:/tmp/x"],
                      ["--mode", "", "unix:/tmp/x"],
                      ["--mode", "01777", "unix:/tmp/x"]):
        said = refused(2, "listen", *arguments)
        equal("usage: mamayo listen" in said, True, said)
    port = "the port must be 1 to 65535"
    for address, words in (
            ("nonsense", '"nonsense" is not an address'),
            ("udp:127.0.0.1:9000", "is not an address"),
            ("unix:", "needs a path"),
            ("unix:none/here", "none/here: No such file"),
            ("unix:/" + "x" * 200, "too long for a socket"),
            ("tcp:", port), ("tcp:127.0.0.1", port), ("tcp:127.0.0.1:", port),
            ("tcp:127.0.0.1:0", port), ("tcp:127.0.0.1:70000", port),
            ("tcp:127.0.0.1:http9", port), ("tcp::9000", "needs a host")):
        said = refused(1, "listen", address)
        equal(words in said, True, said)
    paths = ["unix:%s/n%d" % (m.dir, i) for i in range(9)]
    said = refused(2, "listen", *paths)
    equal("at most 8 addresses" in said, True, said)
    equal([p for p in os.listdir(m.dir) if p.startswith("n")], [])


@test("an account that is not safe is refused with 78 and what to do")
def _():
    unsafe = Mamayo()
    status(unsafe)
    os.chmod(unsafe.path("apps"), 0o777)
    path = os.path.join(unsafe.dir, "listen")
    for arguments in (["listen", "unix:" + path], ["status"],
                      ["status", "--json"]):
        said = refused(78, *arguments, account=unsafe)
        equal("chmod o-w " + unsafe.path("apps") in said, True, said)
    equal(os.path.lexists(path), False)
    os.chmod(unsafe.path("apps"), 0o755)
    status(unsafe)
    said = refused(78, "status", env={"MAMAYO_ROOT": "relative"})
    equal('"relative"' in said, True, said)
    unsafe.close()


@test("when mamayo listen has ended, the supervisor leaves, too")
def _():
    alone = Mamayo()
    alone.app("blog")
    path = os.path.join(alone.dir, "listen")
    listener = Listener("unix:" + path, account=alone)
    listener.serves("unix:" + path)
    supervisor = alone.supervisor()
    listener.end()
    within(20, lambda: not alive(supervisor), "its leaving")
    alone.close()


# -- the rest ---------------------------------------------------------------

@test("help, in all its forms, says what there is")
def _():
    whole = m.command("--help").stdout
    for words in ("mamayo listen", "mamayo settings", "mamayo status",
                  "~/mamayo/apps/NAME", "--version"):
        equal(words in whole, True, whole)
    for arguments in (["--help"], ["-h"], ["help"], []):
        got = m.command(*arguments)
        equal((got.returncode, got.stdout, got.stderr), (0, whole, ""),
              repr(arguments))
    for verb in re.findall(r"^  mamayo ([a-z]+)", whole, re.M):
        got = m.command(verb, "--help")
        equal((got.returncode, got.stderr), (0, ""))
        equal(got.stdout.startswith("usage: mamayo %s" % verb), True,
              got.stdout)
        equal(len(got.stdout) > 60, True)


@test("started by hand in a terminal it helps")
def _():
    ours, theirs = pty.openpty()
    process = m.popen([os.path.abspath(PROGRAM)], stdin=theirs, stdout=theirs,
                      stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    while True:
        try:
            some = os.read(ours, 4096)
        except OSError:  # EIO: the other side has gone
            break
        if not some:
            break
        said += some
    os.close(ours)
    equal(process.wait(10), 0)
    m.others.remove(process)
    equal(b"mamayo status" in said and b"~/mamayo/apps" in said, True, said)


@test("its version is one line")
def _():
    got = m.command("--version")
    equal((got.returncode, got.stderr), (0, ""))
    equal(re.match(r"mamayo \d+\.\d+\.\d+\n$", got.stdout) is not None, True,
          got.stdout)


@test("what it does not know is refused with 2")
def _():
    for arguments in (["nonsense"], ["--nonsense"], ["Status"], [""],
                      ["stat us"], ["--", "status"]):
        said = refused(2, *arguments)
        equal('"%s"' % arguments[0] in said and "--help" in said, True, said)
    for arguments in (["status", "x"], ["status", "--json", "x"],
                      ["status", "--JSON"], ["settings", "x"]):
        said = refused(2, *arguments)
        equal("usage: mamayo " + arguments[0] in said, True, said)


@test("settings lists every key, in six fields")
def _():
    got = m.command("settings")
    equal((got.returncode, got.stderr), (0, ""))
    lines = got.stdout.splitlines()
    equal({len(x.split("|")) for x in lines}, {6})
    keys = [x.split("|")[0] for x in lines]
    equal(len(keys), len(set(keys)))
    for key in ("entry", "python", "workers.min", "workers.max", "idle",
                "timeout", "start_timeout", "queue", "queue_timeout",
                "stop_timeout", "body_timeout", "env", "environ", "debug",
                "accel", "linger", "max_workers"):
        equal(key in keys, True, key)
    equal({x.split("|")[1] for x in lines}, {"app", "account"})


run()
