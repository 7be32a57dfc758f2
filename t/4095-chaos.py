"""Some of the orders in which things may happen, by seed (t/chaos.py; more of
them: make chaos). Needs a build with --enable-testpoints."""
import os
import time

import chaos
from harness import equal, run, test, within
from matrix import LIGHTTPD, Scenario, Trial

SEEDS = range(7001, 7009)


@test("whatever comes after whatever, and whoever is killed meanwhile: each"
      " request is answered once, or fails for a reason that may be")
def _():
    lines = []
    failed, steps = chaos.explore(SEEDS, jobs=2 * os.cpu_count(),
                                  say=lines.append)
    for line in lines:
        if not line.startswith("ok "):
            print("# " + line)
    equal(["make chaos SEED=%d" % seed for seed in failed], [])
    assert steps > 100 * len(SEEDS), steps
    return "%d seeds, %d steps" % (len(SEEDS), steps)


@test("found by seed 2122: a responder that takes long to send a request knows"
      " that it waits behind those that came and were sent meanwhile")
def _():
    t = Trial(Scenario(), workers={"max": 1}, timeout=60)
    t.start(2)
    for number in range(2):
        t.sure("before", number)
    point = "responder:hand"
    busy = t.ask("busy", doors="&gate=gate")
    t.has("called busy")
    t.arm(point, "park")
    first = t.ask("first", 0, SERVER_SOFTWARE=LIGHTTPD)
    parked = "%s/parked.%d.%s" % (t.points, t.responders[0], point)
    within(5, lambda: os.path.exists(parked), "the first one")
    time.sleep(0.02)  # the second one comes later, by the clock
    second = t.ask("second", 1, SERVER_SOFTWARE=LIGHTTPD)
    within(5, lambda: ("responder:handed", t.responders[1], "-")
           in t.passed()[-3:], "the second one to be sent")
    os.unlink(parked)
    equal(first.outcome(3), "silence")  # it has looked where it is, twice
    t.open_gate("gate")
    for asked in busy, second, first:
        equal(asked.outcome(5), "ok", asked.id)
    t.close()


run()
