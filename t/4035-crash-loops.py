"""Applications whose workers die again and again: tried rarely, nobody waits,
the others do not notice, and the next supervisor knows (fault 33, R-SUP3)."""
import json
import os
import signal
import time

from harness import equal, run, test, within
from mamayo import Mamayo, alive

# What it takes to die at the import, and right after it was ready: Worker is
# mamayo's, and serve() what it does then.
LOOPS = {
    "import": "os._exit(7)",
    "raises": "raise RuntimeError('broken')",
    "ready": "import mamayo_wsgi\n"
             "mamayo_wsgi.Worker.serve = lambda self: os._exit(7)",
}
SOURCE = """
import os
with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
    f.write("start %s\\n")
%s
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"mended"]
"""
SECONDS = 4  # of asking; back-off is after 1, 2, 4 seconds


def starts(m, name):
    return m.journal().count("start " + name)


def is_refused(got):
    equal((got.status, got.error), (503, "cannot-start"), repr(got))
    assert int(got.header("Retry-After")) >= 1, got


def account():
    m = Mamayo(workers={"max": 2})
    m.app("blog")
    for name, line in LOOPS.items():
        m.app(name, SOURCE % (name, line))
    m.start()
    m.served()
    return m


def kill_supervisor(m):
    pid = m.supervisor()
    os.kill(pid, signal.SIGKILL)
    within(10, lambda: not alive(pid))


@test("fault 33: a crash loop is started a few times only, its visitors are"
      " told at once, those of another application notice nothing")
def _():
    m = account()
    for name in LOOPS:
        is_refused(m.get("/%s" % name))
    quick = {name: 0 for name in LOOPS}
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for name in LOOPS:
            before, began = starts(m, name), time.monotonic()
            is_refused(m.get("/%s" % name))
            if starts(m, name) == before:  # nothing was tried
                quick[name] += time.monotonic() - began < 0.5
            began = time.monotonic()
            m.served()
            assert time.monotonic() - began < 2
    for name in LOOPS:
        # at first (twice where it was ready), and after 1, 2 and 4 seconds
        assert 2 <= starts(m, name) <= 4, (name, starts(m, name))
        assert quick[name] > 10, quick
        equal(m.status_of(name)["state"], "failing")


@test("back at once when a file of it has changed")
def _():
    m = account()
    for name in LOOPS:
        is_refused(m.get("/%s" % name))
        is_refused(m.get("/%s" % name))
        m.app(name, SOURCE % (name, ""))
        equal(m.text("/%s" % name), "mended")


@test("a supervisor that is killed leaves word to the next one, which does not"
      " try what was broken, until its time has come or a file has changed")
def _():
    m = account()
    for name in LOOPS:
        for _ in range(3):
            is_refused(m.get("/%s" % name))
            m.app(name, SOURCE % (name, LOOPS[name]))  # another file
            is_refused(m.get("/%s" % name))
    before = {name: starts(m, name) for name in LOOPS}
    with open(m.path("run", "backoff.json")) as f:
        kept = json.load(f)
    equal(sorted(kept), sorted(LOOPS))
    for name in LOOPS:
        assert kept[name]["failures"] >= 3, kept  # 4 seconds at least
    kill_supervisor(m)
    for name in LOOPS:
        got = m.get("/%s" % name)
        is_refused(got)
        assert kept[name]["reference"].encode() in got.body, got.body
        equal(m.status_of(name)["state"], "failing")
    m.served()
    equal({name: starts(m, name) for name in LOOPS}, before)
    within(30, lambda: m.get("/raises") and starts(m, "raises")
           > before["raises"], "another try")
    m.app("raises", SOURCE % ("raises", ""))
    equal(m.text("/raises"), "mended")


@test("word is left when something changes, and taken back when it is mended")
def _():
    m = account()
    path = m.path("run", "backoff.json")
    equal(os.path.exists(path), False)
    is_refused(m.get("/raises"))
    seen = os.stat(path)
    for _ in range(20):
        before = starts(m, "raises")
        is_refused(m.get("/raises"))
        if starts(m, "raises") == before:
            equal((os.stat(path).st_ino, os.stat(path).st_mtime_ns),
                  (seen.st_ino, seen.st_mtime_ns))
        seen = os.stat(path)
    m.app("raises", SOURCE % ("raises", ""))
    equal(m.text("/raises"), "mended")
    within(10, lambda: not os.path.exists(path), "nothing to be kept")


@test("word that is damaged, or is none, hinders nothing")
def _():
    m = account()
    for text in (b"", b"{", b"\0" * 5000, b"[]", b'{"blog": 1}',
                 b'{"blog": {"failures": 1, "at": 1, "until": 1e300}}',
                 b"x" * (1 << 20)):
        kill_supervisor(m)
        m.write("run/backoff.json", text)
        m.served()
        is_refused(m.get("/import"))
        with open(m.path("run", "backoff.json")) as f:
            equal(list(json.load(f)), ["import"])


run()
