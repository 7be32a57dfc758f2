"""A process that is busy with short requests is a batch process, so that it is
not woken for each of them; one that is not, or waits for others, is none."""
import os
import time

from harness import equal, run, test, within
from mamayo import Mamayo, kill

APP = """
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        time.sleep(0.0005)
    text = b"%d" % os.getpid()
    start_response("200 OK", [])
    return [text]
"""

m = Mamayo(workers={"max": 1}, grace=10)
m.app("blog", APP)


def requests(path, n=64):
    for _ in range(n):
        pid = int(m.text(path))
    return pid


@test("busy, worker and responder become one; the supervisor does not")
def _():
    m.start()
    worker = requests("/blog", 1)
    for pid in [worker] + m.responders:
        within(60, lambda: requests("/blog") and os.sched_getscheduler(
            pid) == os.SCHED_BATCH, "process %d to become one" % pid)
    equal(os.sched_getscheduler(m.supervisor()), os.SCHED_OTHER)


@test("nor does one that a busy responder makes")
def _():
    for _ in range(5):
        old = m.supervisor()
        within(60, lambda: requests("/blog") and os.sched_getscheduler(
            m.responders[0]) == os.SCHED_BATCH)
        kill(old)
        within(20, lambda: requests("/blog") and m.lock_holder() not in (
            0, old), "a new supervisor")
        equal(os.sched_getscheduler(m.lock_holder()), os.SCHED_OTHER)


@test("after a pause the next request finds it as usual")
def _():
    worker = requests("/blog", 1)
    time.sleep(0.3)  # longer than BATCH_SPAN_MS
    equal(requests("/blog", 1), worker)
    for pid in [worker] + m.responders:
        equal(os.sched_getscheduler(pid), os.SCHED_OTHER)


@test("a worker that waits for others, as for a database, is none")
def _():
    worker = requests("/blog", 1)
    begun = time.monotonic()
    requests("/blog/wait", 256)
    equal(os.sched_getscheduler(worker), os.SCHED_OTHER)
    return "%.0f requests a second" % (256 / (time.monotonic() - begun))


run()
