"""t/model/election.pml, the election and the adoption of queues, checked by
spin(1): what is built holds, and no rule of it can be left out."""
import os
import re
import shutil
import subprocess
import tempfile

from harness import SRCDIR, Skip, equal, run, test

MODEL = os.path.join(SRCDIR, "t", "model", "election.pml")
LIMIT = 600  # s; what is built takes half a minute


def check(*variant):
    """How many errors spin finds, and what it says of the first."""
    if shutil.which("spin") is None:
        raise Skip("spin is not installed")
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["spin", "-a"] + list(variant) + [MODEL], cwd=d,
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cc", "-O2", "-w", "-DMEMLIM=1500", "-DCOLLAPSE",
                        "-DNFAIR=4", "-o", "pan", "pan.c"], cwd=d, check=True)
        said = subprocess.run(
            ["./pan", "-a", "-f", "-n", "-m1000000"], cwd=d, timeout=LIMIT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
    errors = re.search(r"errors: (\d+)", said)
    assert errors and "max search depth too small" not in said, said
    equal("Search not completed" in said and errors.group(1) == "0", False,
          said)
    first = re.search(r"^pan:\d+: (.*)", said, re.M)
    return int(errors.group(1)), first and first.group(1)


@test("two responders, supervisors that are killed or get stuck: never two"
      " supervisors, each request is answered, once")
def _():
    equal(check(), (0, None))


for flag, rule, error in (
        ("LEAK", "only the supervisor holds the lock", "acceptance cycle"),
        ("NOBEAT", "somebody looks for one that is stuck",
         "acceptance cycle"),
        ("FORGET", "what waits in a queue that is not adopted is moved",
         "acceptance cycle"),
        ("AGAIN", "it is moved, and not handed over once more",
         "assertion violated")):
    @test("it matters that " + rule)
    def _(flag=flag, error=error):
        errors, first = check("-D" + flag)
        assert errors > 0 and first.startswith(error), (errors, first)


run()
