"""R-SUP15: a thousand crashes leave nothing in the supervisor."""
import os

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process

FIRST = 100     # deaths after which everything has been made once
DEATHS = 1000
APPS = ("forked1", "forked2", "direct1", "direct2")
MEBIBYTE = 1 << 20


@test("R-SUP15 a thousand crashes leave memory (1 MiB) and descriptors of the"
      " supervisor as they were, and those of the responder")
def _():
    m = Mamayo(workers={"max": 1})
    for name in APPS:
        m.app(name, preload="none" if name in APPS[2:] else "framework")
    responder, = m.start()
    for name in APPS:
        m.served(name)
    supervisor = m.supervisor()

    def crashes(count):
        def one(i):
            for n in range(count // len(APPS)):
                m.served(APPS[i])  # one that has served nothing is failing
                how = ("kill", "segv", "exit")[n % 3]
                got = m.get("/%s/die?how=%s" % (APPS[i], how))
                equal((got.status, got.error), (502, "died"))
        fcgi.each(len(APPS), one)
        for name in APPS:
            m.served(name)

    def memory(pid):
        return int(Process(pid).read("statm").split()[1]) * os.sysconf(
            "SC_PAGESIZE")

    def descriptors():
        return [len(Process(pid).descriptors())
                for pid in (supervisor, responder)]
    crashes(FIRST)
    held = [memory(pid) for pid in (supervisor, responder)]
    counted = descriptors()
    crashes(DEATHS)
    equal(m.supervisor(), supervisor)
    within(10, lambda: descriptors() <= counted, "%r, as it was: %r" % (
        counted, descriptors()))
    equal(len(os.listdir(m.path("run", "workers"))), len(APPS))
    if b"libasan" in Process(supervisor).read("maps"):
        return "without memory, of which a sanitizer keeps what was freed"
    for pid, before in zip((supervisor, responder), held):
        grown = memory(pid) - before
        assert abs(grown) < MEBIBYTE, "%d bytes more" % grown


run()
