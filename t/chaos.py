"""A scheduler that a seed leads: every process stops at every test point it
comes to, and one after the other is let go on, or is killed there, while
requests come and files of the application change.

    python3 t/chaos.py [--seed N] [--seeds COUNT] [--steps N] [--jobs N]

What one process does between two points is the kernel's, so a seed leads to
nearly, not exactly, the same order of things each time. What must hold in the
end is what the kill matrix asks for (t/matrix.py). Needs a build with
--enable-testpoints.
"""
import argparse
import concurrent.futures
import json
import os
import random
import sys
import time

import harness
from harness import within
from mamayo import alive
from matrix import APP, LIGHTTPD, SPEED, Scenario, Trial, in_process, role_of

STEPS = 250
REQUESTS = 14      # in all
KILLS = 4
CHANGES = 2
QUIET = 0.004      # seconds without a new one parked: everybody waits
# A direct request that is neither queued nor on a board for a second is over:
# a worker that has taken it and is stopped there loses it (the matrix does it).
HURRY = "worker:taken", "worker:read"
LIMIT = 25         # seconds until all is well again
SETTINGS = {"timeout": 90, "queue_timeout": 90, "start_timeout": 90,
            "stop_timeout": 60, "grace": 20, "workers": {"max": 2}}


class Chaos(Scenario):
    """None of its own: the seed decides."""


class Schedule:

    def __init__(self, seed, steps=STEPS):
        self.random = random.Random(seed)
        self.steps = steps
        self.t = Trial(Chaos(), **SETTINGS)
        self.killed = []   # (point, pid)
        self.done = []     # what was decided, for whoever reads a failure
        self.changes = 0

    # -- who waits ---------------------------------------------------------

    def parked(self):
        """[(point, pid, file)], in an order that does not depend on pids."""
        found = []
        for name in os.listdir(self.t.points):
            if name.startswith("parked."):
                _, pid, point = name.split(".", 2)
                path = os.path.join(self.t.points, name)
                if alive(int(pid)):
                    found.append((point, int(pid), path))
                else:
                    self.remove(path)
        return sorted(found)

    def remove(self, path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def quiet(self):
        before, now = None, self.parked()
        while now != before:
            time.sleep(QUIET)
            before, now = now, self.parked()
        return now

    # -- what may happen ---------------------------------------------------

    def request(self):
        number = self.random.randrange(2)
        software = self.random.choice((LIGHTTPD, "test/1"))
        asked = self.t.ask("chaos", number, SERVER_SOFTWARE=software)
        asked.had = self.t.responders[number]
        return "%s: asked %d, %s" % (asked.id, asked.had, software)

    def change(self):
        self.changes += 1
        self.t.clock.advance(0, wall=5)
        self.t.app("blog", APP + "# %d\n" % self.changes)
        self.t.clock.advance(0, wall=5)
        return "change"

    def end(self, point, pid, path):
        with open(path + ".new", "w") as f:
            f.write("kill")
        os.rename(path + ".new", path)
        within(5, lambda: not alive(pid), "its death")
        self.remove(path)
        self.killed.append((point, pid))
        if pid in self.t.responders:
            self.respawn(self.t.responders.index(pid))
        return "kill %d at %s" % (pid, point)

    def respawn(self, number):
        """As a web server does."""
        t = self.t
        t.killed.add(t.responders[number])
        t.server.stdin.write((t.sockets[number] + "\n").encode())
        t.server.stdin.flush()
        t.responders[number] = int(t.server.stdout.readline())

    def step(self):
        t, dice = self.t, self.random.random()
        waits = self.quiet()
        hurry = [found for found in waits if found[0] in HURRY]
        if hurry:
            return self.turn(hurry, dice)
        if dice < 0.12 and len(t.all) < REQUESTS:
            return self.request()
        if 0.12 <= dice < 0.14 and self.changes < CHANGES:
            return self.change()
        if 0.14 <= dice < 0.15:
            t.clock.advance(1)
            return "a second passes"
        if not waits:
            time.sleep(0.01)
            return None
        return self.turn(waits, dice)

    def turn(self, waits, dice):
        """Of one of those."""
        point, pid, path = self.random.choice(waits)
        if dice > 0.95 and len(self.killed) < KILLS:
            return self.end(point, pid, path)
        self.remove(path)
        return "go %d %s" % (pid, point)

    # -- from the beginning to the end -------------------------------------

    def whole(self):
        t = self.t
        try:
            t.start(2)
            if self.random.random() < 0.5:
                t.sure("before", 0, SERVER_SOFTWARE="test/1")
            t.arm("any", "park always")
            for _ in range(self.steps):
                done = self.step()
                if done:
                    self.done.append(done)
            self.peace()
            self.judge()
        except AssertionError as why:
            t.complain(str(why))
        self.calm()
        harness.failures = len(t.wrong)
        t.expect_alarm = "signal 06"
        try:
            t.close()
        except AssertionError as why:
            t.complain(str(why))

    def calm(self):
        """Nobody stops anywhere any more."""
        self.remove(os.path.join(self.t.points, "any"))
        end = time.monotonic() + 1
        while time.monotonic() < end:
            for _, _, path in self.parked():
                self.remove(path)
                end = time.monotonic() + 0.2
            time.sleep(0.005)

    def peace(self):
        self.calm()
        self.t.clock.run(SPEED)
        for number in range(2):
            within(LIMIT, lambda number=number: self.t.ask(
                "after", number).outcome(5) == "ok", "a fresh request")

    def allowed(self, asked):
        points = {point for point, _ in self.killed}
        roles = {role_of(point) for point in points}
        found = {"ok"}
        if getattr(asked, "had", None) in [pid for _, pid in self.killed]:
            found |= {"nothing", "cut"}
        if roles & {"worker", "python", "child", "forked"}:
            found |= {"502 died", "503 cannot-start", "cut"}
            if asked.is_direct:  # on no board, or between claim and deed
                found.add("nothing")
        if "supervisor:forked" in points and asked.is_direct:
            # that worker serves, but nobody has given its board a name
            found.add("nothing")
        if "supervisor" in roles and len(self.killed) > 1:
            # of a generation that was leaving when its worker died, and then
            # the supervisor that was to start another one for it
            found |= {"503 starting", "503 queue-full"}
        if asked.id.startswith("after"):
            found.add("silence")
        return found

    def judge(self):
        t = self.t
        for asked in t.all:
            got = asked.outcome(10)
            if got not in self.allowed(asked):
                t.complain("%s: %s" % (asked.id, got))
        for number in range(2):
            t.sure("last", number)
        t.judge_journal()
        t.judge_supervisor()


def one(seed, steps):
    schedule = Schedule(seed, steps)
    schedule.whole()
    if schedule.t.wrong:
        for done in schedule.done:
            print("# " + done)
    print(json.dumps({
        "wrong": schedule.t.wrong, "steps": len(schedule.done),
        "kills": [point for point, _ in schedule.killed]}), flush=True)
    os._exit(0)


def explore(seeds, steps=STEPS, jobs=None, say=print):
    """Runs each seed -> those that failed, and how many steps there were."""
    failed, count = [], 0
    pool = concurrent.futures.ThreadPoolExecutor(jobs or 2 * os.cpu_count())
    runs = pool.map(lambda seed: in_process(
        seed, steps, script=os.path.abspath(__file__)), seeds)
    for seed, report in zip(seeds, runs):
        count += report.get("steps", 0)
        if not report["wrong"]:
            say("ok seed %d: %d steps, killed: %s, %.1f s" % (
                seed, report["steps"], " ".join(report["kills"]) or "nobody",
                report["took"]))
            continue
        failed.append(seed)
        say("FAIL seed %d: %s" % (seed, "; ".join(report["wrong"])))
        for line in report["text"].split("\n"):
            if line.startswith("# "):
                say(line)
    return failed, count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", default="")
    parser.add_argument("--seeds", type=int, default=100)  # from that on
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        one(*json.loads(options.run))
    first = (int(options.seed) if options.seed
             else random.SystemRandom().randrange(1000000))
    seeds = list(range(first, first + options.seeds))
    print("seeds %d to %d" % (seeds[0], seeds[-1]), flush=True)
    began = time.monotonic()
    failed, count = explore(seeds, options.steps, options.jobs)
    print("%d seeds, %d steps in %.0f s, %d failures%s" % (
        len(seeds), count, time.monotonic() - began, len(failed),
        "".join("; make chaos SEED=%d" % seed for seed in failed)))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
