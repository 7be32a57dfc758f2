"""The clock is moved (fault 48), and with it long limits pass in an instant.
Needs a build with --enable-testpoints."""
import os
import re
import textwrap
import time

from harness import equal, run, test, within
from matrix import APP, LIGHTTPD, SPEED, Scenario, Trial
from mamayo import Process, alive

YEAR = 366 * 86400


def trial(**settings):
    t = Trial(Scenario(), **settings)
    t.start(2)
    return t


@test("fault 48: the time of day jumps by a year, forth and back: no alarm,"
      " nobody is killed, the log goes on, files are still seen to change")
def _():
    t = trial(workers={"max": 1}, timeout=5)
    t.sure("before")
    supervisor, workers = t.supervisor(), t.workers("blog")
    for number, shift in enumerate((YEAR, -2 * YEAR, YEAR)):
        busy = t.ask("busy", doors="&gate=g%d" % number)
        t.has("called busy", number + 1)
        t.clock.advance(0, wall=shift)
        began = time.monotonic()
        while time.monotonic() - began < 1.5:  # ticks, beats and looks
            equal(t.status_of("blog")["state"], "ready")
            time.sleep(0.1)
        t.open_gate("g%d" % number)
        equal(busy.outcome(5), "ok")
        t.sure("after", 1)
        equal((t.lock_holder(), t.workers("blog")), (supervisor, workers))
        name = "new%d" % number
        t.app(name, "1 / 0")
        equal(t.ask("broken", app=name).outcome(10), "503 cannot-start")
        t.app(name, "def application(environ, start_response):\n"
                    "    start_response('200 OK', [])\n    return []\n")
        within(5, lambda: t.get("/%s/" % name).status == 200, "the mended")
    years = {line[:4] for line in t.log().split("\n") if line}
    equal(len(years), 3, "the log's years: %r" % years)
    equal(re.findall("progress|silent|stuck", t.log()), [])
    t.close()


@test("an application that fails again and again is tried after its back-off,"
      " up to a minute, and not before")
def _():
    began = time.monotonic()
    t = trial()
    t.sure("before")
    t.app("broken", """
        with open(__import__("os").environ["MAMAYO_TEST"] + "/starts",
                  "a") as f:
            f.write("x")
        1 / 0
        """)

    def starts():
        with open(t.dir + "/starts") as f:
            return len(f.read())
    waits = []
    for number in range(1, 10):
        within(5, lambda: t.ask("broken", app="broken").outcome(10)
               == "503 cannot-start" and starts() == number, "the next try")
        waits.append(int(re.findall(r"(\d+) s or a change", t.log())[-1]))
        if waits[-1] > 2:
            t.clock.advance(waits[-1] - 1)
            for _ in range(3):
                equal(t.ask("broken", app="broken").outcome(10),
                      "503 cannot-start")
            equal(starts(), number, "tried too early")
        t.clock.advance(2 if waits[-1] > 2 else waits[-1] + 1)
    assert 45 <= max(waits) <= 75, waits  # a minute, more or less
    equal(waits[:5], sorted(waits[:5]))
    t.close()
    return "after %s seconds, in %.1f" % (
        ", ".join(map(str, waits)), time.monotonic() - began)


@test("fault 33: a minute of a crash loop that is asked for all the while: 12"
      " starts at most, a twentieth of a processor, and nobody waits")
def _():
    for how in ("os._exit(7)", "import mamayo_wsgi; "
                "mamayo_wsgi.Worker.serve = lambda self: os._exit(7)"):
        t = trial()
        t.sure("before")
        t.app("broken", """
            import os
            with open(os.environ["MAMAYO_TEST"] + "/starts", "a") as f:
                f.write("x")
            %s
            def application(environ, start_response):
                raise AssertionError("it is never called")
            """ % how)

        def starts():
            try:
                return os.path.getsize(t.dir + "/starts")
            except FileNotFoundError:
                return 0

        def spent():
            words = Process(supervisor).read("stat").rpartition(b")")[2]
            return sum(map(int, words.split()[11:15])) / os.sysconf(
                "SC_CLK_TCK")
        supervisor = t.supervisor()
        before, quick = spent(), 0
        end = t.clock.now() + 60
        t.clock.run(SPEED)
        while t.clock.now() < end:
            tries, began = starts(), time.monotonic()
            equal(t.ask("broken", app="broken").outcome(10),
                  "503 cannot-start")
            if starts() == tries:  # nothing was tried
                took = time.monotonic() - began
                assert took < 1, "%.1f s" % took
                quick += 1
            t.sure("other", 1)
            time.sleep(0.01)
        assert 4 <= starts() <= 12, starts()
        assert quick > 60, quick
        assert spent() - before < 3, spent() - before
        equal(t.supervisor(), supervisor)
        t.close()


@test("fault 31: an import takes longer than a visitor can wait: 503 that says"
      " when to come again, before a web server gives up; the start goes on, and"
      " is not begun again")
def _():
    t = trial(start_timeout=300)
    t.sure("before")
    t.app("slow", """
        import os, time
        HERE = os.environ["MAMAYO_TEST"]
        with open(HERE + "/journal", "a") as f:
            f.write("importing\\n")
        while not os.path.exists(HERE + "/imported"):
            time.sleep(0.005)
        """ + textwrap.indent(APP, " " * 8))

    def handed():
        return [point for point, _, _ in t.passed()].count("responder:handed")
    for software in "test/1", LIGHTTPD:
        sent = handed()
        waits = t.ask("waits", app="slow", SERVER_SOFTWARE=software)
        t.has("importing")
        within(5, lambda: handed() > sent, "it to be in the queue")
        t.clock.advance(40)
        equal(waits.outcome(1.5), "silence")
        t.clock.advance(12)
        equal(waits.outcome(10), "503 starting")
    t.sure("meanwhile")
    t.open_gate("imported")
    within(10, lambda: t.ask("later", app="slow").outcome(10) == "ok")
    equal(t.journal().count("importing"), 1)
    t.close()


@test("nobody asks for anything: its workers leave after five minutes, the"
      " supervisor five minutes later, and not before")
def _():
    t = trial(idle=300, linger=300, grace=1000, preload="none")
    t.sure("before")
    supervisor, worker = t.lock_holder(), t.workers("blog")[0]
    t.clock.advance(280)
    time.sleep(1.5)  # at least a tick
    equal(alive(worker), True)
    t.clock.advance(30)
    within(10, lambda: not alive(worker), "the worker's end")
    t.clock.advance(280)
    time.sleep(1.5)
    equal(alive(supervisor), True)
    t.clock.advance(30)
    within(10, lambda: not alive(supervisor), "the supervisor's end")
    t.sure("again", 1)
    t.clock.run(500)  # past grace
    t.close()


@test("all clocks run eight times as fast: watchdogs, ticks and leases see no"
      " fault in that")
def _():
    t = trial()
    t.sure("before")
    supervisor, workers = t.lock_holder(), t.workers("blog")
    t.clock.run(SPEED)
    end = t.clock.now() + 30
    while t.clock.now() < end:
        for number in range(2):
            t.sure("one", number)
    equal(t.lock_holder(), supervisor)
    equal(t.workers("blog")[0] in workers, True)
    t.close()


run()
