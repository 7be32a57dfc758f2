"""mamayo stop and mamayo start: an application that its owner has stopped."""
import os
import re
import shutil
import signal
import stat
import threading

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, alive, freeze, kill

m = Mamayo(workers={"max": 2}, linger=60)
m.app("blog")
m.app("tools/wiki")


def do(verb, name, account=m, code=0):
    got = account.command(verb, name)
    equal((got.returncode, got.stdout, got.stderr == ""),
          (code, "", code == 0), got.stderr)
    return got.stderr


def is_stopped(got):
    equal((got.status, got.error), (503, "stopped"), repr(got))
    equal(int(got.header("Retry-After")) >= 1, True)


def mark(name, account=m):
    return account.path("state", "stopped", name.replace("/", ":"))


@test("a stopped app: its workers leave, visitors are told, nothing starts it"
      " before mamayo start")
def _():
    m.start()
    pid = int(m.text("/blog/pid"))
    other = int(m.text("/tools/wiki/pid"))
    do("stop", "blog")
    got = m.get("/blog/pid")
    is_stopped(got)
    equal(b"off line for now" in got.body, True, got.error)
    is_stopped(m.get("/blog/pid", "HEAD"))
    within(10, lambda: not alive(pid), "the worker to leave")
    within(10, lambda: m.status_of("blog")["workers"] == [])
    equal(m.status_of("blog")["state"], "stopped")
    equal(m.command("status").returncode, 0)
    for words in ("blog  stopped  at /blog", "mamayo start blog"):
        equal(words in m.command("status").stdout, True)
    for _ in range(20):
        is_stopped(m.get("/blog/pid"))
    equal(m.workers("blog"), [])
    equal(int(m.text("/tools/wiki/pid")), other)
    do("start", "blog")
    equal(m.status_of("blog")["state"], "asleep")
    m.served()


@test("a request that is being answered ends well, what waits gets the page")
def _():
    for name in "a", "b":
        threading.Thread(target=m.get, args=("/blog/gate?name=" + name,),
                         daemon=True).start()
        m.has("started %s " % name)
    with m.connect() as c, m.connect() as d, m.connect() as waiting:
        c.send(fcgi.request("/blog/half?name=busy&size=100"))
        m.open_gate("a")
        m.has("half busy")
        d.send(fcgi.request("/blog/unread", SERVER_SOFTWARE="lighttpd/1.4"))
        waiting.send(fcgi.request("/blog/unread"))
        within(10, lambda: m.status_of("blog")["queued"] == 2, "two to wait")
        pids = m.workers("blog")
        do("stop", "blog")
        is_stopped(waiting.answer())
        is_stopped(d.answer())
        is_stopped(m.get("/blog"))
        equal([w["state"] for w in m.status_of("blog")["workers"]],
              ["draining"] * 2)
        m.open_gate("busy")
        equal(len(c.answer().body), 100)
    m.open_gate("b")
    within(10, lambda: not any(map(alive, pids)), "the workers to leave")
    do("start", "blog")
    m.served()


@test("stopped while it starts: the start is ended, its visitor is told")
def _():
    m.app("slow", "import time\ntime.sleep(15)\n")
    with m.connect() as c:
        c.send(fcgi.request("/slow"))
        within(10, lambda: m.status_of("slow")["state"] == "starting")
        do("stop", "slow")
        is_stopped(c.answer())
    within(10, lambda: m.status_of("slow")["workers"] == [], "its end")
    equal(m.status_of("slow")["state"], "stopped")
    m.app("slow")
    do("start", "slow")
    m.served("slow")


@test("a failing app is stopped, and tried at once after a start")
def _():
    m.app("bad", "1 / 0\n")
    equal(m.get("/bad").error, "cannot-start")
    do("stop", "bad")
    is_stopped(m.get("/bad"))
    equal(m.status_of("bad")["state"], "stopped")
    do("start", "bad")
    equal(m.get("/bad").error, "cannot-start")
    m.app("bad")
    do("stop", "bad")
    do("start", "bad")
    m.served("bad")


@test("it stays stopped when the supervisor dies, and when the files change")
def _():
    m.served()
    do("stop", "blog")
    do("stop", "tools/wiki")
    equal(os.path.exists(mark("tools/wiki")), True)
    for path in (m.path("state"), m.path("state", "stopped")):
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o700)
    kill(m.supervisor())
    is_stopped(m.get("/blog/pid"))
    is_stopped(m.get("/tools/wiki"))
    m.app("blog")
    m.app("another")
    m.served("another")
    is_stopped(m.get("/blog/pid"))
    do("stop", "blog")  # once more does no harm
    is_stopped(m.get("/blog/pid"))
    do("start", "tools/wiki")
    do("start", "blog")
    do("start", "blog")
    m.served()
    m.served("tools/wiki")


@test("it stays stopped when its directory goes and comes back")
def _():
    m.app("away")
    m.served("away")
    do("stop", "away")
    shutil.rmtree(m.path("apps", "away"))
    within(20, lambda: m.get("/away").error == "no-app", "its end")
    m.app("away")
    within(10, lambda: m.get("/away").error == "stopped")
    shutil.rmtree(m.path("apps", "away"))
    within(20, lambda: m.get("/away").error == "no-app", "its end")
    do("start", "away")  # is allowed, for it was stopped
    equal("away" in do("start", "away", code=1), True)
    m.app("away")
    within(10, lambda: m.get("/away/unread").status == 200)


@test("without a supervisor it works as well")
def _():
    alone = Mamayo()
    alone.app("blog")
    alone.app("tools/wiki")
    do("stop", "tools/wiki", alone)
    do("start", "blog", alone)
    equal(alone.processes(), {})
    equal([a["state"] for a in alone.status()["apps"]], ["asleep", "stopped"])
    alone.start()
    is_stopped(alone.get("/tools/wiki"))
    alone.served()
    alone.stop()
    within(20, lambda: not alone.processes(), "everybody to leave")
    alone.responders = []
    do("start", "tools/wiki", alone)
    alone.start()
    alone.served("tools/wiki")
    alone.close()


@test("many visitors all the while: each gets its answer or the page")
def _():
    stop, seen, wrong = threading.Event(), set(), []

    def visit(software, keep):
        while not stop.is_set():
            try:
                with m.connect() as c:
                    for _ in range(3 if keep else 1):
                        c.send(fcgi.request("/blog/unread", keep=keep,
                                            SERVER_SOFTWARE=software))
                        got = c.answer(keep=keep)
                        seen.add((got.status, got.error))
                        if got.status != 200:
                            break
            except Exception as why:
                wrong.append(repr(why))
    threads = [threading.Thread(target=visit, args=a, daemon=True) for a in (
        ("test/1", False), ("lighttpd/1.4", False), ("nginx/1.22", True),
        ("test/1", True))]
    for t in threads:
        t.start()
    for _ in range(20):
        do("stop", "blog")
        do("start", "blog")
    within(10, lambda: m.status_of("blog")["state"] == "ready")
    stop.set()
    for t in threads:
        t.join(30)
    equal(wrong, [])
    equal(seen - {(200, None), (503, "stopped")}, set())
    equal((200, None) in seen, True)


@test("who comes after a start is served, though the page for others is on its way")
def _():
    late = Mamayo(workers={"max": 2}, linger=60)
    late.app("blog")
    late.start()
    late.served()
    do("stop", "blog", late)
    is_stopped(late.get("/blog/unread"))
    supervisor, responder = late.lock_holder(), late.responders[0]
    request = fcgi.request("/blog/unread")
    with late.connect() as early, late.connect() as visitor:
        visitor.send(request[:20])
        visitor.taken()
        kill(supervisor, signal.SIGSTOP)
        early.send(request)
        early.taken()  # and the supervisor is asked for a queue
        freeze(responder)
        # ready before the supervisor's answer is, and so looked at first
        visitor.send(request[20:40])
        kill(supervisor, signal.SIGCONT)
        do("start", "blog", late)
        visitor.send(request[40:])
        kill(responder, signal.SIGCONT)
        got = visitor.answer()
        equal((got.status, got.body), (200, b"did not look"))
        early.answer()  # which may have come too early
    late.close()


@test("an unknown name: exit 1, with the ones that are like it")
def _():
    for verb in "stop", "start":
        for name, like in (("blgo", '"blog"'), ("wiki", '"tools/wiki"'),
                           ("tools", '"tools/wiki"'), ("/blog", '"blog"')):
            said = do(verb, name, code=1)
            equal(('there is no application "%s"' % name in said,
                   "did you mean" in said, like in said),
                  (True, True, True), said)
        said = do(verb, "nothing-like-it", code=1)
        equal("did you mean" in said, False, said)
        equal(re.search(r"apps\n$", said) is not None, True, said)
    equal(os.listdir(m.path("state", "stopped")), [])


@test("wrong usage: exit 2")
def _():
    for verb in "stop", "start":
        for arguments in ([], ["blog", "wiki"], ["--json"], [""]):
            got = m.command(verb, *arguments)
            equal((got.returncode, got.stdout), (2, ""))
            equal("usage: mamayo %s NAME" % verb in got.stderr, True)


@test("what cannot be remembered is not done")
def _():
    ro = Mamayo()
    ro.app("blog")
    ro.start()
    ro.served()
    ro.write("state", "in the way")
    said = do("stop", "blog", ro, code=1)
    equal(ro.path("state") in said, True, said)
    ro.served()
    ro.close()


run()
