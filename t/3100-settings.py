"""Settings: what is wrong in a mamayo.json is said with file, line and key,
and harms nobody; what is right reaches the worker, and nothing else does
(RELIABILITY 3.4 fault 73; R-SEC3, R-FD1, R-SUP6)."""
import json
import os
import pwd
import re
import signal
import sys

import fcgi
from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo, kill

# Everything that a worker inherits, as it was before any request.
DUMP = """
    import json, os, resource, signal
    def status():
        out = {}
        with open("/proc/self/status") as f:
            for line in f:
                if line[:3] in ("Sig", "Shd"):
                    name, value = line.split()
                    out[name[:-1]] = value
        del out["SigQ"]
        return out
    def descriptors():
        out = {}
        for n in os.listdir("/proc/self/fd"):
            try:
                out[n] = os.readlink("/proc/self/fd/" + n)
            except OSError:
                pass  # the listing itself
        return out
    # the adapter sets SIGPIPE and SIGXFSZ as Python always does
    SEEN = {"environ": dict(os.environ), "cwd": os.getcwd(),
            "descriptors": descriptors(), "status": status(),
            "session": [os.getsid(0), os.getpgid(0), os.getpid()],
            "nice": os.nice(0), "limits": {
                n: resource.getrlimit(getattr(resource, n))
                for n in dir(resource) if n.startswith("RLIMIT_")}}
    SEEN["umask"] = os.umask(0)
    os.umask(SEEN["umask"])
    def application(environ, start_response):
        start_response("200 OK", [])
        seen = dict(SEEN, now=descriptors(), wsgi={
            k: v for k, v in environ.items() if isinstance(v, str)})
        return [json.dumps(seen).encode()]
"""

m = Mamayo()


def start():
    if not m.responders:
        m.start()


def settings(name, text):
    """Its mamayo.json. Gives the path."""
    return m.write("apps/%s/mamayo.json" % name, text)


def dump(name, account=m):
    return json.loads(account.text("/" + name))


def restart(name, account=m):
    """The next request is for a new worker, which reads the settings."""
    for pid in account.workers(name):
        kill(pid)
    within(10, lambda: account.workers(name) == [], "the end of the workers")


# -- what is wrong ----------------------------------------------------------

WRONG = [
    # text, line, what the sentence says
    ('{"timeuot": 5}', 1, '"timeuot" is not a key of this file; did you mean'
                          ' "timeout"?'),
    ('{\n  "debug": true,\n  "zzz": 1}', 3, '"zzz" is not a key'),
    ('{"linger": 5}', 1, '"linger" may stand only in the account'),
    ('{\n"timeout": "5"}', 2, '"timeout" must be a whole number from 1 to'
                              ' 86400, not "5"'),
    ('{"timeout": 5.5}', 1, '"timeout" must be a whole number'),
    ('{"timeout": true}', 1, '"timeout" must be a whole number'),
    ('{"timeout": null}', 1, '"timeout" must be a whole number'),
    ('{"timeout": 0}', 1, '"timeout" must be a whole number from 1'),
    ('{"timeout": 86401}', 1, 'to 86400, not 86401'),
    ('{"timeout": -1}', 1, 'not -1'),
    ('{"timeout": 1e400}', 1, ''),
    ('{"timeout": 99999999999999999999}', 1, ''),
    ('{"workers": 3}', 1, '"workers" must be an object such as'),
    ('{"workers":\n {"max": "two"}}', 2, '"workers.max" must be a whole number'
                                         ' from 1 to 1000, not "two"'),
    ('{"workers": {"max": 0}}', 1, '"workers.max"'),
    ('{"workers": {"most": 1}}', 1, '"workers.most" is not a key'),
    ('{"workers": {"min": 5, "max": 2}}', 1, '"workers.max" must be at least'),
    ('{"workers.max": 2}', 1, 'is to be written as "workers"'),
    ('{"debug": "yes"}', 1, '"debug" must be true or false, not "yes"'),
    ('{"debug": 1}', 1, '"debug" must be true or false'),
    ('{"accel": 0}', 1, '"accel" must be true or false, not 0'),
    ('{"env": ["A=b"]}', 1, '"env" must be an object'),
    ('{"env": {\n\n"A": 5}}', 3, '"env.A" must be a string, not 5'),
    ('{"env": {"A=B": "x"}}', 1, '"env.A=B" has a name that may not be set'),
    ('{"env": {"": "x"}}', 1, 'has a name that may not be set'),
    ('{"environ": {"wsgi.input": "x"}}', 1, '"environ.wsgi.input"'),
    ('{"environ": {"HTTP_HOST": "x"}}', 1, '"environ.HTTP_HOST"'),
    ('{"environ": {"REQUEST_METHOD": "x"}}', 1, '"environ.REQUEST_METHOD"'),
    ('{"static": {"/static": ["x"]}}', 1, '"static./static" must be a string'),
    ('{"static": {"static": "x"}}', 1, '"static.static" has a name'),
    ('{"static": {"/a/": "x"}}', 1, '"static./a/" has a name'),
    ('{"static": {"/a%20b": "x"}}', 1, 'has a name that may not be set'),
    ('{"static": {"/a": "/etc"}}', 1, 'below the application\'s, such as'),
    ('{"static": {"/a": "../x"}}', 1, 'not "../x"'),
    ('{"static": {"/a": "x/../.."}}', 1, 'not "x/../.."'),
    ('{"static": {"/a": "."}}', 1, 'not "."'),
    ('{"static": {"/a": ""}}', 1, 'not ""'),
    ('{"entry": "no colon"}', 1, '"entry" must be "module:callable"'),
    ('{"entry": 5}', 1, '"entry" must be'),
    ('{"python": ["python3"]}', 1, '"python" must be'),
    ('{"debug": true, "debug": false}', 1, ''),
    ('{\n "debug": true,\n}', 3, ''),
    ('{"debug": tru', 1, ''),
    ('', 1, ''),
    ('[1, 2]', 1, ''),
    ('"text"', 1, ''),
    ('{"debug": NaN}', 1, ''),
    ('\xff\xfe{}', 1, ''),
    ('{"debug": true}\0', 1, ''),
    ('{"env": ' * 5000 + '1' + '}' * 5000, 1, ''),
]


@test("whatever is wrong is said with file, line and key, and the settings"
      " that were good stay")
def _():
    start()
    m.app("wrong", DUMP)
    good = json.dumps({"env": {"MARK": "good"}})
    for text, line, words in WRONG:
        settings("wrong", good)
        restart("wrong")
        equal(dump("wrong")["environ"]["MARK"], "good")
        path = settings("wrong", text.encode("latin-1"))
        restart("wrong")
        before = len(m.log())
        equal(dump("wrong")["environ"].get("MARK"), "good", text[:100])
        log = m.log()[before:]
        said = [x for x in log.split("\n") if path + ":" in x]
        equal(len(said), 1, text[:100] + "\n" + log)
        equal(re.search(re.escape(path) + r":(\d+)", said[0]).group(1),
              str(line), said[0])
        equal(words in said[0], True, said[0])
        equal("keeping the settings it had" in said[0], True, said[0])


@test("where there were no good ones before, the account's are used")
def _():
    start()
    m.app("never", DUMP)
    path = settings("never", '{"timeout": "long"}')
    equal(dump("never")["environ"]["MAMAYO_TEST"], m.dir)
    equal(path + ':1: "timeout" must be' in m.log(), True)


@test("a file that cannot be a settings file is refused, not read")
def _():
    start()
    m.app("kinds", DUMP)
    path = m.path("apps", "kinds", "mamayo.json")
    secret = m.write("secret.json", '{"env": {"MARK": "secret"}}')
    for make in (lambda: os.symlink(secret, path), lambda: os.mkdir(path),
                 lambda: os.mkfifo(path),
                 lambda: os.symlink("/dev/zero", path)):
        make()
        before = len(m.log())
        equal(dump("kinds")["environ"].get("MARK"), None)
        equal(path in m.log()[before:], True)
        restart("kinds")
        (os.rmdir if os.path.isdir(path) and not os.path.islink(path)
         else os.unlink)(path)


@test("a file of 1 MiB is read, one byte more is not")
def _():
    start()
    m.app("large", DUMP)
    text = '{"env": {"MARK": "large"}}'
    settings("large", text + " " * (1024 * 1024 - len(text)))
    equal(dump("large")["environ"]["MARK"], "large")
    text = '{"env": {"MARK": "larger"}}'
    path = settings("large", text + " " * (1024 * 1024 + 1 - len(text)))
    restart("large")
    before = len(m.log())
    equal(dump("large")["environ"]["MARK"], "large")
    equal(path in m.log()[before:], True, m.log()[before:])


@test("one app's mistake is nothing to the others")
def _():
    start()
    m.app("beside", DUMP)
    settings("wrong", "{")
    restart("wrong")
    equal(m.get("/wrong").status, 200)
    equal(m.get("/beside").status, 200)


@test("what is mended is used with the next start")
def _():
    start()
    settings("wrong", '{"env": {"MARK": "mended"}}')
    restart("wrong")
    equal(dump("wrong")["environ"]["MARK"], "mended")
    os.unlink(m.path("apps", "wrong", "mamayo.json"))
    restart("wrong")
    equal(dump("wrong")["environ"].get("MARK"), None)


@test("a mistake in the account's file: said, and the defaults are used")
def _():
    broken = Mamayo()
    broken.app("blog", DUMP)
    path = broken.write("mamayo.json", '{\n"grace": 1,\n"idle": "never"}')
    broken.start()
    equal(broken.get("/blog").status, 200)
    log = broken.log()
    equal(path + ':3: "idle" must be a whole number' in log, True, log)
    equal("using the defaults" in log, True, log)
    # by default it would stay for 30 seconds without a web server
    kill(broken.supervisor(), signal.SIGTERM)
    broken.close()


# -- what is right ----------------------------------------------------------

@test("the account's settings are the defaults of every app, and an app's own"
      " come before them")
def _():
    both = Mamayo()
    both.settings(env={"BOTH": "account", "ONLY": "account",
                       "MAMAYO_TEST": both.dir},
                  environ={"x.one": "account", "x.two": "account"})
    both.app("own", DUMP, env={"BOTH": "app", "MORE": "app"},
             environ={"x.two": "app", "x.three": "\u00e9\u26a0 app"})
    both.app("none", DUMP)
    both.start()
    got = dump("own", both)
    equal([got["environ"].get(n) for n in ("BOTH", "ONLY", "MORE")],
          ["app", "account", "app"])
    equal([got["wsgi"].get(n) for n in ("x.one", "x.two")],
          ["account", "app"])
    equal("app" in got["wsgi"]["x.three"], True)
    for name in ("x.one", "BOTH", "MORE"):
        equal(name in got["environ"], not name.startswith("x."))
        equal(name in got["wsgi"], name.startswith("x."))
    got = dump("none", both)
    equal([got["environ"].get(n) for n in ("BOTH", "ONLY", "MORE")],
          ["account", "account", None])
    equal([got["wsgi"].get(n) for n in ("x.one", "x.two", "x.three")],
          ["account", "account", None])
    both.close()


@test("changed limits hold from the next start on, for responders, too")
def _():
    start()
    m.app("limits", workers={"max": 1}, queue=50)
    m.text("/limits/pid")
    settings("limits", '{"workers": {"max": 1}, "queue": 0}')
    restart("limits")
    m.text("/limits/pid")
    with m.connect() as c:
        c.send(fcgi.request("/limits/gate?name=limits"))
        within(10, lambda: "busy" in [
            w["state"] for w in m.status_of("limits")["workers"]], "busy")
        got = m.get("/limits/pid")
        equal((got.status, got.error), (503, "queue-full"))
        with open(os.path.join(m.dir, "limits"), "w"):
            pass
        equal(c.answer().status, 200)


# -- what a worker inherits -------------------------------------------------

# A web server with a bad childhood: everything that can be handed down.
EVIL = """#!%s -I
import os, resource, signal, sys
os.environ["SECRET"] = "4711"
os.environ["HOME"] = "/root"
os.environ["PYTHONPATH"] = "/nowhere"
os.environ["PYTHONSTARTUP"] = "/nowhere"
os.environ["LD_LIBRARY_PATH"] = "/nowhere"
os.environ["VIRTUAL_ENV"] = "/nowhere"
os.environ["LANG"] = "xx_YY"
os.environ["DOCUMENT_ROOT"] = "/nowhere"
os.umask(0o777)
for signo in range(1, 65):
    try:
        signal.signal(signo, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK,
                       set(range(1, 32)) | set(range(34, 65)))
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2
                   if resource.getrlimit(resource.RLIMIT_CORE)[1] < 0
                   else resource.getrlimit(resource.RLIMIT_CORE))
for n in range(7, 30):
    os.dup2(2, n, inheritable=True)
os.execv(%r, [%r])
"""


def evil(account):
    path = os.path.join(account.dir, "mamayo.fcgi")
    program = os.path.abspath(PROGRAM)
    with open(path, "w") as f:
        f.write(EVIL % (sys.executable, program, path))
    os.chmod(path, 0o755)
    return path


def expected(account):
    """The whole environment of a worker, R-SEC3."""
    try:
        user = pwd.getpwuid(os.geteuid())
        name, home = user.pw_name, user.pw_dir
    except KeyError:
        name, home = "uid %d" % os.geteuid(), ""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home,
            "USER": name, "LOGNAME": name, "LANG": "C.UTF-8",
            "PYTHONUTF8": "1", "MAMAYO_TEST": account.dir}


@test("R-SEC3 its environment is exactly what is documented, whatever the web"
      " server had in its own")
def _():
    secret = Mamayo(environment={"PASSWORD": "hunter2", "TZ": "UTC"})
    secret.app("blog", DUMP)
    secret.app("other", DUMP, env={"OWN": "other"})
    secret.start(program=evil(secret))
    got = dump("blog", secret)["environ"]
    got.pop("LC_CTYPE", None)  # Python's own doing
    want = dict(expected(secret), TZ="UTC")
    equal(got, want)
    got = dump("other", secret)["environ"]
    got.pop("LC_CTYPE", None)
    equal(got, dict(want, OWN="other"))
    # nor does a request leave anything in it
    secret.get("/blog", HTTP_PROXY="http://evil", HTTP_X_SECRET="4711")
    got = dump("blog", secret)["environ"]
    got.pop("LC_CTYPE", None)
    equal(got, want)
    for p in secret.processes().values():
        if p.name.startswith("python"):
            equal(b"hunter2" in p.read("environ"), False)
            equal(b"4711" in p.read("environ"), False)
    secret.close()


def same(account, name):
    """What a new worker is like, without what must differ."""
    got = dump(name, account)
    pid = got["session"][2]
    equal(got["session"], [pid] * 3, "own session and group")
    equal(got["cwd"], account.path("apps", name))
    equal(got["umask"], 0o022)
    equal(sorted(got["descriptors"], key=int),
          ["0", "1", "2", "3", "4", "5"])
    fds = got["descriptors"]
    equal(fds["0"], "/dev/null")
    equal([fds["1"], fds["2"]],
          [account.path("logs", name.replace("/", ":") + ".log")] * 2)
    equal([fds["3"][:7], fds["4"][:7]], ["socket:"] * 2)
    equal(re.match(re.escape(account.path("run", "workers")) + "/", fds["5"])
          is not None, True, fds["5"])
    # nothing is blocked, nothing is ignored but what Python itself ignores
    equal(got["status"]["SigBlk"].strip("0"), "")
    # (32 and 33 belong to the C library, whose posix_spawn, as make uses it,
    # leaves them ignored)
    got["status"]["SigIgn"] = int(got["status"]["SigIgn"], 16) & ~(3 << 31)
    equal(got["status"]["SigIgn"],
          1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))
    equal(got["limits"]["RLIMIT_CORE"][0], 0)
    equal(got["limits"]["RLIMIT_NOFILE"][0] <= 65536, True)
    # what is left has no reason to differ between any two
    for key in ("session", "now", "wsgi", "descriptors"):
        del got[key]
    return got


@test("R-FD1 and R-SUP6 every worker begins with the same, by whichever"
      " supervisor")
def _():
    first = None
    for is_evil in (False, True):
        account = Mamayo(idle=60, grace=10)
        account.app("blog", DUMP, workers={"max": 1})
        account.app("tools/wiki", DUMP)
        if is_evil:
            account.start(program=evil(account))
        else:
            account.start()
        for i in range(6):
            got = same(account, "blog")
            del got["cwd"], got["environ"]
            first = first or got
            equal(got, first)
            if i == 3:  # by another supervisor
                supervisor = account.supervisor()
                kill(supervisor)
                within(10, lambda: account.lock_holder() not in (
                    0, supervisor), "another one")
                within(10, lambda: account.workers("blog"), "its worker")
            restart("blog", account)
        same(account, "tools/wiki")
        account.close()


@test("R-FD1 also under load, a thousand times: no descriptor too many")
def _():
    busy = Mamayo()
    busy.app("blog", DUMP, workers={"max": 4})
    busy.start()
    allowed = 6 + 1 + 1  # its own, the epoll set, the answer

    def ask(k):
        for i in range(250):
            got = dump("blog", busy)
            equal(sorted(got["descriptors"], key=int),
                  ["0", "1", "2", "3", "4", "5"])
            equal(len(got["now"]) <= allowed, True, repr(got["now"]))
            for n, what in got["now"].items():
                if int(n) > 5:
                    equal(what.startswith(("socket:", "anon_inode:[eventpoll]"
                                           )), True, what)
            if k == 0 and i % 25 == 24:
                kill(got["session"][2])
    # a worker that is killed may take a request with it: they ask again
    def patient(k):
        while True:
            try:
                return ask(k)
            except AssertionError as why:
                if "<502 died" not in str(why):
                    raise
    fcgi.each(4, patient)
    busy.close()


run()
