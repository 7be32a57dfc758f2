"""Applications are found, and seen to change, with the next request; nothing
has to be restarted or told (DESIGN 3; RELIABILITY 3.2, faults 35 and 36)."""
import collections
import os
import shutil
import stat
import threading
import time
import urllib.parse

from harness import equal, run, test, within
from mamayo import APPS, Mamayo, kill

SAYS = """
    import os
    def application(environ, start_response):
        start_response("200 OK", [])
        return ["\\n".join(("%s", environ["SCRIPT_NAME"],
                           environ["PATH_INFO"],
                           str(os.getpid()))).encode("latin-1")]
"""

m = Mamayo()


def start():
    if not m.responders:
        m.start()


def app(name, account=m, **how):
    account.app(name, SAYS % urllib.parse.quote(name), **how)


def says(uri, account=m, **how):
    """The app's name, SCRIPT_NAME and PATH_INFO; or mamayo's error."""
    got = account.get(uri, **how)
    if got.error:
        return got.error
    equal(got.status, 200, uri)
    return tuple(got.body.decode("latin-1").split("\n")[:3])


def pid(uri):
    return int(m.text(uri).rsplit("\n", 1)[1])


def state(name):
    for a in m.status()["apps"]:
        if a["name"] == name:
            return a["state"]
    return None


# -- the first, and none ----------------------------------------------------

@test("while there is no application there is a page of welcome, which says"
      " where one belongs")
def _():
    start()
    for uri in ("/", "/anything/else?x"):
        got = m.get(uri)
        equal((got.status, got.error), (200, None))
        equal(b"~/mamayo/apps/" in got.body, True, repr(got.body))
        equal(m.root.encode() in got.text, False)
    got = m.get("/", method="HEAD")
    equal((got.status, got.body), (200, b""))


@test("the first application ends that, with the very next request")
def _():
    start()
    m.get("/")
    app("first")
    equal(says("/first/"), ("first", "/first", "/"))
    equal(says("/"), "no-app")
    equal(says("/other"), "no-app")
    got = m.get("/other")
    equal(got.status, 404)
    equal(m.root.encode() in got.text, False)


@test("thirty applications, each served with the next request, right after"
      " other changes")
def _():
    start()
    supervisor = m.supervisor()
    for i in range(30):
        name = "round%d" % i
        if i % 3 == 0:
            equal(says("/" + name), "no-app")  # it has just looked
        if i % 3 == 1:
            app("other%d" % i)  # and just another change
            equal(says("/other%d" % i)[0], "other%d" % i)
        app(name)
        equal(says("/%s/x" % name), (name, "/" + name, "/x"))
        if i % 5 == 0:
            shutil.rmtree(m.path("apps", name))
    equal(m.supervisor(), supervisor)


@test("one that is moved into its place whole, also")
def _():
    start()
    for i in range(10):
        app("staging%d/inner" % i)
        os.rename(m.path("apps", "staging%d" % i, "inner"),
                  m.path("apps", "moved%d" % i))
        equal(says("/moved%d" % i)[0], "staging%d/inner" % i)
        os.rmdir(m.path("apps", "staging%d" % i))


@test("also when two changes are so close that the clock gives them one time")
def _():
    start()
    for i in range(30):
        for name in ("twin%d" % i, "brother%d" % i):
            app(".staging/" + name)
    for i in range(30):
        os.rename(m.path("apps", ".staging", "twin%d" % i),
                  m.path("apps", "twin%d" % i))
        equal(says("/brother%d" % i), "no-app")  # has seen the first
        os.rename(m.path("apps", ".staging", "brother%d" % i),
                  m.path("apps", "brother%d" % i))
        equal(says("/brother%d" % i)[0], ".staging/brother%d" % i)
        shutil.rmtree(m.path("apps", "twin%d" % i))
        shutil.rmtree(m.path("apps", "brother%d" % i))


@test("every responder notices by itself")
def _():
    many = Mamayo()
    app("one", many)
    many.start(count=3)
    for address in many.sockets:
        many.address = address
        equal(says("/one", many)[0], "one")
    for i in range(5):
        app("more%d" % i, many)
        for address in many.sockets:
            many.address = address
            equal(says("/more%d" % i, many)[0], "more%d" % i)
    many.close()


@test("mamayo status notices, without any request")
def _():
    start()
    m.text("/first")
    app("quiet")
    equal(state("quiet"), "asleep")


# -- what goes away ---------------------------------------------------------

@test("a removed application is not there any more, and the others are")
def _():
    start()
    app("removed")
    worker = pid("/removed")
    other = pid("/first")
    shutil.rmtree(m.path("apps", "removed"))

    def is_gone():
        got = m.get("/removed")
        # until it is certain, what runs goes on, or it is told as missing
        if got.error == "missing":
            equal(got.status, 503)
        elif got.error is None:
            equal(got.status, 200)
        else:
            equal((got.status, got.error), (404, "no-app"))
        return got.status == 404
    within(20, is_gone, "404 for what was removed")
    equal(state("removed"), None)
    within(20, lambda: not os.path.exists("/proc/%d" % worker),
           "the end of its worker")
    equal(pid("/first"), other)


@test("one that is renamed away and back is served again, with the next"
      " request")
def _():
    start()
    app("renamed")
    away, here = m.path("apps", ".away"), m.path("apps", "renamed")
    for _ in range(3):
        equal(says("/renamed")[0], "renamed")
        os.rename(here, away)
        m.get("/renamed")
        os.rename(away, here)
        equal(says("/renamed")[0], "renamed")
    os.rename(here, away)
    within(20, lambda: says("/renamed") == "no-app", "404")
    equal(says("/first")[0], "first")
    os.rename(away, here)
    equal(says("/renamed")[0], "renamed")


@test("a directory that is away for a moment costs no visitor anything")
def _():
    start()
    app("moment")
    says("/moment")
    done = threading.Event()
    seen = collections.Counter()

    def visit(uri):
        while not done.is_set():
            got = m.get(uri)
            seen[got.status, got.error] += 1
    visitors = [threading.Thread(target=visit, args=(uri,), daemon=True)
                for uri in ("/moment", "/moment", "/first")]
    for visitor in visitors:
        visitor.start()
    away, here = m.path("apps", ".away"), m.path("apps", "moment")
    for _ in range(5):
        os.rename(here, away)
        time.sleep(0.2)
        os.rename(away, here)
        time.sleep(0.2)
    done.set()
    for visitor in visitors:
        visitor.join(30)
    equal(list(seen), [(200, None)], repr(seen))


@test("a new version that takes the place of the old one loses no request")
def _():
    start()
    app("deploy")
    for i in range(10):
        m.write("apps/.next/application.py",
                "def application(environ, start_response):\n"
                "    start_response('200 OK', [])\n"
                "    return [b'version %d']\n" % i)
        os.rename(m.path("apps", "deploy"), m.path("apps", ".old"))
        os.rename(m.path("apps", ".next"), m.path("apps", "deploy"))
        shutil.rmtree(m.path("apps", ".old"))
        equal(m.get("/deploy").status, 200)


@test("when the last one has gone there is the page of welcome again")
def _():
    last = Mamayo()
    app("only", last)
    last.start()
    equal(says("/only", last)[0], "only")
    shutil.rmtree(last.path("apps", "only"))
    within(20, lambda: last.get("/").status == 200
           and b"~/mamayo/apps/" in last.get("/").body, "the page of welcome")
    app("again", last)
    equal(says("/again", last)[0], "again")
    last.close()


# -- what becomes one -------------------------------------------------------

@test("a directory becomes an application when it gets its file")
def _():
    start()
    for i, files in enumerate(([], ["README"], ["README", "helper.py"])):
        name = "late%d" % i
        os.mkdir(m.path("apps", name))
        equal(says("/" + name), "no-app")
        for file in files:
            m.write("apps/%s/%s" % (name, file), "")
            equal(says("/" + name), "no-app")
        app(name)
        equal(says("/" + name)[0], name)


@test("each file by which an application is known makes one")
def _():
    start()
    for i, file in enumerate(("application.py", "passenger_wsgi.py",
                              "wsgi.py", "site.wsgi", "application.wsgi",
                              "app.py", "main.py")):
        name = "by%d" % i
        app(name, file=file)
        if file in ("app.py", "main.py"):
            with open(m.path("apps", name, file), "a") as f:
                f.write("app = application\n")
        equal(says("/" + name)[0], name, file)


@test("an application stays one while its directory is there")
def _():
    start()
    app("stays")
    equal(says("/stays")[0], "stays")
    file = m.path("apps", "stays", "application.py")
    os.rename(file, file + ".away")
    os.mkdir(m.path("apps", "stays", "sub"))
    app("nudge")
    equal(says("/nudge")[0], "nudge")  # there was a look at everything
    kill(pid("/stays"))
    within(10, lambda: says("/stays") == "cannot-start", "cannot-start")
    equal(state("stays"), "failing")
    os.rename(file + ".away", file)
    equal(says("/stays")[0], "stays")
    equal(says("/stays/sub"), ("stays", "/stays", "/sub"))


@test("applications do not nest")
def _():
    start()
    app("outer")
    app("outer/inner")
    equal(says("/outer/inner/x"), ("outer", "/outer", "/inner/x"))


# -- groups, ROOT, depth ----------------------------------------------------

@test("a group holds applications, its ROOT is at its own place")
def _():
    start()
    app("tools/wiki")
    app("tools/deep/er/most")
    equal(says("/tools/wiki/Page"), ("tools/wiki", "/tools/wiki", "/Page"))
    equal(says("/tools/deep/er/most/x"),
          ("tools/deep/er/most", "/tools/deep/er/most", "/x"))
    for uri in ("/tools", "/tools/", "/tools/none", "/tools/deep/er"):
        equal(says(uri), "no-app", uri)
    app("tools/ROOT")
    equal(says("/tools"), ("tools/ROOT", "/tools", ""))
    equal(says("/tools/"), ("tools/ROOT", "/tools", "/"))
    equal(says("/tools/none"), ("tools/ROOT", "/tools", "/none"))
    equal(says("/tools/wiki"), ("tools/wiki", "/tools/wiki", ""))
    app("tools/later")
    # compared once a second while no address is unknown
    within(5, lambda: says("/tools/later")[0] == "tools/later",
           "tools/later beside tools/ROOT")


@test("a new application in a group, and a new group, are noticed, too")
def _():
    start()
    for i in range(5):
        app("group%d/a" % i)
        equal(says("/group%d/a" % i)[0], "group%d/a" % i)
        app("group%d/b" % i)
        equal(says("/group%d/b" % i)[0], "group%d/b" % i)


@test("what lies too deep is not looked for, and the log says so")
def _():
    start()
    app("d1/d2/d3/d4")
    app("e1/e2/e3/e4/e5")
    equal(says("/d1/d2/d3/d4/x"), ("d1/d2/d3/d4", "/d1/d2/d3/d4", "/x"))
    equal(says("/e1/e2/e3/e4/e5"), "no-app")
    equal("too deep" in m.log(), True)


@test("names that are not for applications are passed over")
def _():
    start()
    for name in (".hidden", "_private", "node_modules", "__pycache__"):
        app(name)
        equal(says("/" + name), "no-app", name)
    app("venv")
    m.write("apps/venv/pyvenv.cfg", "home = /usr/bin\n")
    equal(says("/venv"), "no-app")
    m.write("apps/loose.py", "def application(e, s): pass\n")
    equal(says("/loose.py"), "no-app")


@test("ROOT serves whatever no other application does; a new one is noticed"
      " under it, too")
def _():
    root = Mamayo()
    app("blog", root)
    app("ROOT", root)
    root.start()
    equal(says("/", root), ("ROOT", "", "/"))
    equal(says("/x/y", root), ("ROOT", "", "/x/y"))
    equal(says("/blog/x", root), ("blog", "/blog", "/x"))
    for i in range(3):
        equal(says("/new%d/x" % i, root)[0], "ROOT")
        app("new%d" % i, root)
        # compared once a second while no address is unknown
        within(5, lambda: says("/new%d/x" % i, root)[0] == "new%d" % i,
               "new%d under ROOT" % i)
    shutil.rmtree(root.path("apps", "blog"))
    within(20, lambda: says("/blog/x", root) == ("ROOT", "", "/blog/x"),
           "ROOT in the place of what was removed")
    root.close()


@test("/blog is not /blogger, and neither is the other way round")
def _():
    start()
    app("blog")
    equal(says("/blogger"), "no-app")
    equal(says("/blo"), "no-app")
    equal(says("/blog"), ("blog", "/blog", ""))
    app("blogger")
    equal(says("/blogger/x"), ("blogger", "/blogger", "/x"))
    equal(says("/blog/x"), ("blog", "/blog", "/x"))
    equal(says("/blogge"), "no-app")
    equal(says("/BLOG"), "no-app")


# -- hosts ------------------------------------------------------------------

@test("what lies below @HOST is that host's alone, before what is everybody's")
def _():
    hosts = Mamayo()
    app("shop", hosts)
    app("@example.com/shop", hosts)
    app("@example.com/tools/wiki", hosts)
    app("@other.org/ROOT", hosts)
    hosts.start()

    def at(host, uri):
        return says(uri, hosts, HTTP_HOST=host)
    for host in ("example.com", "EXAMPLE.com", "example.com:8080",
                 "www.example.com", "www.Example.COM:80", "example.com."):
        got = at(host, "/shop/x")
        equal(got, ("%40example.com/shop", "/shop", "/x"), host)
    for host in ("localhost", "example.org", "com", "wwwexample.com",
                 "sub.example.com", "www.www.example.com"):
        equal(at(host, "/shop/x"), ("shop", "/shop", "/x"), host)
        equal(at(host, "/tools/wiki"), "no-app", host)
    equal(at("example.com", "/tools/wiki/x"),
          ("%40example.com/tools/wiki", "/tools/wiki", "/x"))
    equal(at("www.other.org", "/shop"), ("%40other.org/ROOT", "", "/shop"))
    equal(at("example.com", "/none"), "no-app")
    equal(says("/@example.com/shop", hosts), "no-app")
    app("@new.net/ROOT", hosts)
    equal(at("new.net", "/")[0], "%40new.net/ROOT")
    hosts.close()


@test("two directories for the same place: one is served, the other is told"
      " of")
def _():
    double = Mamayo()
    app("@example.com/shop", double)
    app("@Example.com/shop", double)
    double.start()
    equal(says("/shop", double, HTTP_HOST="example.com")[1], "/shop")
    states = sorted(a["state"] for a in double.status()["apps"])
    equal(states, ["failing", "ready"])
    equal("same place" in double.log(), True)
    double.close()


# -- names ------------------------------------------------------------------

@test("names of all kinds are names")
def _():
    start()
    for name in ("with space", "caf\u00e9", "50%", "a+b", "a&b<c>", "a;b",
                 "semi:colon", "quote\"s'", "\u65e5\u672c", "a=b?c#d",
                 "back\\slash", "-dash", "a" * 200):
        app(name)
        uri = "/" + urllib.parse.quote(name)
        got = says(uri + "/x")
        equal(got[0], urllib.parse.quote(name), name)
        equal(got[2], "/x", name)
        equal(state(name), "ready", name)
        log = name.replace(":", "%3A") + ".log"
        equal(os.path.exists(m.path("logs", log)), True, name)


@test("a name that is no text is passed over, and forges no line of the log")
def _():
    start()
    forged = b"line\n2026-01-01 00:00:00.000 supervisor[1] error: forged"
    for name in (b"\xff\xfe", b"tab\there", forged, b"esc\x1b[31m",
                 b"caf\xe9"):
        directory = os.path.join(m.path("apps").encode(), name)
        os.mkdir(directory)
        with open(os.path.join(directory, b"wsgi.py"), "wb") as f:
            f.write(b"def application(e, s): s('200 OK', []); return []\n")
        uri = "/" + urllib.parse.quote(name)
        got = m.get(uri)
        equal(got.error in ("no-app", "bad-request"), True, uri)
    equal(says("/first")[0], "first")
    log = m.log()
    equal("is passed over: its name" in log, True)
    equal([x for x in log.split("\n") if x.startswith("2026-01-01")], [])
    equal("\x1b" in log or "\t" in log, False)


# -- what is not safe -------------------------------------------------------

@test("a symlink that stays in apps/ is an application, one that leaves is"
      " refused with the reason in the log")
def _():
    start()
    app("real")
    os.symlink("real", m.path("apps", "alias"))
    equal(says("/alias/x")[:2] + says("/real/x")[:1],
          ("real", "/alias", "real"))
    outside = os.path.join(m.dir, "outside")
    os.makedirs(outside)
    shutil.copy(m.path("apps", "real", "application.py"), outside)
    os.symlink(outside, m.path("apps", "leaves"))
    os.symlink(m.dir, m.path("apps", "leaves2"))
    for name in ("leaves", "leaves2"):
        got = m.get("/" + name)
        equal((got.status, got.error), (503, "cannot-start"), name)
        equal(outside.encode() in got.text, False)
        equal(state(name), "failing")
    equal("symbolic link that leaves apps/" in m.log(), True)
    os.symlink("loop", m.path("apps", "loop"))
    os.symlink("nowhere", m.path("apps", "dangling"))
    equal(says("/loop"), "no-app")
    equal(says("/dangling"), "no-app")
    os.unlink(m.path("apps", "leaves"))
    app("leaves")
    within(10, lambda: says("/leaves")[0] == "leaves", "it is served")


@test("with \"links\" in the account's settings, one that leaves is served")
def _():
    mine = Mamayo(links=True)
    outside = os.path.join(mine.dir, "outside")
    os.makedirs(outside)
    shutil.copy(os.path.join(APPS, "hall.py"), outside + "/application.py")
    os.symlink(outside, mine.path("apps", "blog"))
    mine.start()
    mine.served("blog")
    mine.close()


@test("what every user may write is refused, until that is mended")
def _():
    start()
    app("open")
    equal(says("/open")[0], "open")
    kill(pid("/open"))
    directory = m.path("apps", "open")
    os.chmod(directory, 0o777)
    app("nudge2")
    equal(says("/nudge2")[0], "nudge2")
    within(10, lambda: says("/open") == "cannot-start", "its refusal")
    equal(state("open"), "failing")
    equal("every user of this machine may write to it: chmod o-w "
          + directory in m.log(), True)
    os.chmod(directory, 0o755)
    within(10, lambda: says("/open")[0] == "open", "it is served")
    os.chmod(directory, 0o775)  # its group may
    app("nudge3")
    equal(says("/nudge3")[0], "nudge3")
    equal(says("/open")[0], "open")


@test("also one whose group is open to all")
def _():
    start()
    app("wide/app")
    os.chmod(m.path("apps", "wide"), 0o777)
    equal(says("/wide/app") in ("no-app", "cannot-start"), True)
    os.chmod(m.path("apps", "wide"), 0o755)
    within(10, lambda: says("/wide/app")[0] == "wide/app", "it is served")


@test("a directory that cannot be read harms nobody else")
def _():
    start()
    app("shut")
    os.chmod(m.path("apps", "shut"), 0)
    try:
        app("beside")
        equal(says("/beside")[0], "beside")
        equal(says("/shut") in ("no-app", "cannot-start"), True)
    finally:
        os.chmod(m.path("apps", "shut"), 0o755)
    within(10, lambda: says("/shut")[0] == "shut", "it is served")


@test("all that, and the supervisor is the one it was")
def _():
    start()
    starts = m.log().count("supervisor of ")
    equal(starts, 1)
    equal(stat.S_IMODE(os.stat(m.path("logs", "mamayo.log")).st_mode), 0o600)


run()
