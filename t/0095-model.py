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
                        "-DNFAIR=5", "-o", "pan", "pan.c"], cwd=d, check=True)
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


LOSSES = ("-DLOSSES=1", "-DHANGS=0")
UPGRADE = ("-DUPGRADE", "-DHANGS=0", "-DCRASHES=0")  # minutes, with a kill
EXIT = ("-DEXIT", "-DHANGS=0", "-DCRASHES=0")
UNHARMED = ("-DKILLS=0",)

for variant, what in (
        (LOSSES, "also where a message is lost, with the descriptors that it"
         " carries"),
        (UPGRADE + UNHARMED, "also where one of a newer version comes: the"
         " older gives way, and no worker reads what another version wrote"),
        (EXIT + UNHARMED, "also where a supervisor leaves as no responder is"
         " there; at the end nothing is left")):
    @test(what)
    def _(variant=variant):
        equal(check(*variant), (0, None))


for variant, rule, error in (
        (("-DLEAK",), "only the supervisor holds the lock",
         "acceptance cycle"),
        (("-DNOBEAT",), "somebody looks for one that is stuck",
         "acceptance cycle"),
        (("-DFORGET",), "what waits in a queue that is not adopted is moved",
         "acceptance cycle"),
        (("-DAGAIN",), "it is moved, and not handed over once more",
         "assertion violated"),
        (("-DHALF",) + LOSSES, "a link over which something was lost is given"
         " up", "acceptance cycle"),
        (("-DYIELD",) + UPGRADE + UNHARMED, "of two versions the older gives"
         " way, not whoever is there", "acceptance cycle"),
        (("-DREUSE", "-DSUPERVISORS=4") + UPGRADE, "no queue passes between"
         " versions", "assertion violated"),
        (("-DLINGER",) + EXIT + UNHARMED, "a supervisor without responders"
         " leaves", "acceptance cycle")):
    @test("it matters that " + rule)
    def _(variant=variant, error=error):
        errors, first = check(*variant)
        assert errors > 0 and first.startswith(error), (errors, first)


run()
