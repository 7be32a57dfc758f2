"""A supervisor that is trapped in a loop (fault 51). Needs a build with
--enable-testpoints."""
import os
import re
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, gone


@test("fault 51: warm applications notice nothing, a cold one waits; it writes"
      " where it loops, and is replaced within 13 s")
def _():
    points = os.path.join(os.environ["TMPDIR"] if "TMPDIR" in os.environ
                          else "/tmp", "mt.points.%d" % os.getpid())
    os.mkdir(points, 0o777)
    m = Mamayo({"MAMAYO_TESTPOINTS": points}, grace=10)
    m.app("blog")
    m.app("cold")
    m.start(2)
    m.served()
    old = m.supervisor()
    workers = sorted(m.workers("blog"))
    point = os.path.join(points, "supervisor:tick")
    with open(point + ".new", "w") as f:
        f.write("spin")
    os.rename(point + ".new", point)
    within(5, lambda: not os.path.exists(point), "it to loop")
    began = time.monotonic()
    with m.connect() as c:
        c.send(fcgi.request("/cold/unread"))
        while m.lock_holder() in (0, old):
            m.served()
            assert time.monotonic() - began < 13
            time.sleep(0.05)
        equal(c.answer().status, 200)
    gone(old)
    found = re.search(r"-- dies of signal 06; where it is:\n((?:.+\n)+?)"
                      r"-- that is all", m.log())
    assert found and "mamayo.fcgi" in found.group(1), m.log()
    within(10, lambda: sorted(m.workers("blog")) == workers, "its workers")
    os.rmdir(points)
    m.end()


run()
