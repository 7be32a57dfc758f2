"""A part of the kill matrix (t/matrix.py; all of it: make check-kill). Needs a
build with --enable-testpoints."""
import os

import matrix
from harness import equal, run, test

CELLS = (  # point, actions; those with a remark have found something
    ("responder:handed", ("kill", "stop")),
    ("responder:answer", ("kill",)),
    ("responder:lent", ("stop",)),  # its address was taken for a while
    ("candidate:lock", ("stop",)),  # it stayed for ever
    ("candidate:bound", ("kill",)),
    ("supervisor:unpack", ("kill", "errno")),  # a file was left
    ("supervisor:queue-given", ("kill",)),
    ("supervisor:adopted-workers", ("kill",)),
    ("supervisor:told-gone", ("kill",)),
    ("supervisor:tick", ("stop",)),  # warm requests did not find it
    ("child:exec", ("kill", "stop")),  # the supervisor waited for it
    ("forked:born", ("stop",)),  # it could not be killed
    ("worker:taken", ("kill",)),
    ("worker:wrote", ("kill", "spin")),
    ("worker:lost-supervisor", ("stop",)),  # it counted as idle
    ("python:busy", ("kill",)),
)
SCENARIOS = ("Warm", "Python", "Cold", "ColdApplication", "Successor",
             "Reload", "ListenCold")


@test("the sources have these points")
def _():
    points = matrix.points_of_sources()
    equal([p for p, _ in CELLS if p not in points], [])
    return "and %d in all" % len(points)


@test("whatever is killed, requests are answered or fail for a reason that may"
      " be, and the next one is served")
def _():
    lines = []
    m = matrix.Matrix(2 * os.cpu_count(), lines.append)
    m.explore(SCENARIOS)
    m.run(cell for point, actions in CELLS
          for cell in m.cells([point], actions))
    for line in lines:
        if not line.startswith("ok "):
            print("# " + line)
    equal(m.failures, [])
    equal(m.runs, sum(len(actions) for _, actions in CELLS))
    return "%d runs" % m.runs


run()
