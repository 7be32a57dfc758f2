"""Measures mamayo beside other ways to serve Python behind a web server, and
prints tables and the targets.

The same small applications with the same number of workers, on one machine:
rounds alternate, a value is the median of its rounds, a ratio the median of
the rounds' ratios. A wrong answer is a failure and not a number. Whatever else
the machine does is in the numbers too ("foreign": how many processors were
busy with it): believe ratios before numbers, and CPU before time.

wrk shares the machine with what it measures. "CPU us" are microseconds of
processor, user and system, per request, of everything but wrk, also of
processes that have ended; "web" of these are the web server's, "rest" all
others.

Everything listens on the loopback or in a temporary directory, which goes in
the end with every process. Started by root, all of it runs as nobody.
"""
import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import stacks  # noqa: E402
from scenarios import SCENARIOS, median, ratios  # noqa: E402
from stacks import STACKS  # noqa: E402

EXAMPLES = os.path.join(HERE, "..", "examples")
FILES = ("holder.py", "measure.py", "alone.py", "load.lua", "limit.c")
NOBODY = 65534
MOST = 3600  # seconds until it gives up
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
WIDE = 40

ROUNDS, SECONDS = 3, 1.0
FULL_ROUNDS, FULL_SECONDS = 5, 3.0


def say(text):
    sys.stdout.flush()
    print("# " + text, file=sys.stderr, flush=True)


# -- one run ---------------------------------------------------------------

class Bench:
    """What has been measured so far; results: {scenario: {row: samples}}."""

    def __init__(self, place, options):
        self.place, self.options = place, options
        self.results, self.failures, self.skipped = {}, [], []
        self.took, self.rows = {}, {}

    def stack(self, row):
        return STACKS[row.stack](self.place, row.site)

    def chosen(self, scenario):
        """Rows that are asked for and can be."""
        rows = []
        for row in scenario.rows:
            name = "%s %s" % (scenario.name, row.label)
            if row.full and not self.options.full or not re.search(
                    self.options.only, name):
                continue
            why = self.cannot(row)
            if why:
                say("%s: skipped, %s" % (name, why))
                self.skipped.append({"scenario": scenario.name,
                                     "row": row.label, "why": why})
            else:
                rows.append(row)
        return rows

    def cannot(self, row):
        lacks = STACKS[row.stack].lacks()
        if lacks:
            return "%s is not installed" % lacks
        if row.setting and row.setting not in self.options.settings:
            return 'this mamayo has no setting "%s"' % row.setting
        framework = row.site.app
        if framework not in ("plain", "files") + self.options.frameworks:
            return "%s is not installed" % framework
        return None

    def sampled(self, scenario, row, turn, got):
        got["round"] = turn
        self.results[scenario.name].setdefault(row.label, []).append(got)
        what, title = scenario.columns[0]
        say("%s, %s, round %d: %s %s" % (
            scenario.name, row.label, turn + 1, shown(got[what]), title))

    def failed(self, scenario, row, why):
        say("%s, %s FAILED: %s" % (scenario.name, row.label, why))
        self.results[scenario.name].pop(row.label, None)
        self.failures.append({"scenario": scenario.name, "row": row.label,
                              "why": str(why)})

    def measure(self):
        for scenario in SCENARIOS:
            rows = self.chosen(scenario)
            if not rows:
                continue
            self.results[scenario.name] = {}
            self.rows[scenario.name] = [row.label for row in rows]
            begin = time.monotonic()
            say("%s: %s" % (scenario.name, scenario.title))
            scenario.run(self, rows)
            self.took[scenario.name] = time.monotonic() - begin
            self.print_table(scenario, rows)
            self.save()
        self.print_targets()

    # -- what is shown -------------------------------------------------

    def print_table(self, scenario, rows):
        results = self.results[scenario.name]
        print("\n%s: %s" % (scenario.name, scenario.title))
        titles = [title for _, title in scenario.columns]
        widths = [max(9, len(title)) + 1 for title in titles]
        print(" " * WIDE + "".join(
            "%*s" % pair for pair in zip(widths, titles)))
        for row in rows:
            samples = results.get(row.label)
            if samples is None:
                print("%-*s FAILED" % (WIDE, row.label))
                continue
            print("%-*s" % (WIDE, row.label) + "".join(
                "%*s" % (width, shown(value_of(samples, what)))
                for width, (what, _) in zip(widths, scenario.columns)))
        for verdict in self.verdicts(scenario):
            print("  " + worded(verdict))
        sys.stdout.flush()

    def verdicts(self, scenario):
        results = self.results.get(scenario.name, {})
        return [v for v in (t.judge(results) for t in scenario.targets) if v]

    def print_targets(self):
        print("\nTargets%s" % ("" if self.options.full else
                               " (the short form; bench-full has more)"))
        print("%-60s%10s%10s" % ("", "measured", "target"))
        for scenario in SCENARIOS:
            if scenario.name not in self.results:
                continue
            for target in scenario.targets:
                if target.row not in self.rows[scenario.name]:
                    continue
                v = target.judge(self.results[scenario.name])
                print("%-60s%10s%10s  %s" % (
                    "%s, %s" % (target.work, target.what),
                    shown(v.value) if v else "-",
                    "%s %g" % ("<=" if target.most else ">=", target.limit),
                    " ".join(filter(None, (
                        target.unit, "met" if v.met else "MISSED",
                        v.against and "(to %s)" % v.against)))
                    if v else "not measured"))
        for row in self.failures:
            print("FAILED: %(scenario)s, %(row)s: %(why)s" % row)
        print("%d s in all" % sum(self.took.values()), flush=True)

    def save(self):
        if not self.options.out:
            return
        out = self.options.out
        out.seek(0)
        out.truncate()
        json.dump({
            "machine": machine(), "versions": self.options.versions,
            "options": {"rounds": self.options.rounds,
                        "seconds": self.options.seconds,
                        "full": self.options.full},
            "results": self.results, "skipped": self.skipped,
            "failures": self.failures, "took": self.took,
            "targets": [v._asdict() for s in SCENARIOS
                        for v in self.verdicts(s)],
        }, out, indent=1)
        out.write("\n")
        out.flush()


def value_of(samples, what):
    if what == "least":
        return min(s["ms"] for s in samples)
    return median(samples, what)


def shown(value):
    return "-" if value is None else (
        "%.2f" if value < 10 else "%.1f" if value < 100 else "%.0f") % value


def worded(v):
    return "%s: %s %s%s, target %s %g: %s" % (
        v.work, v.what, shown(v.value), " " + v.unit if v.unit else (
            " of %s" % v.against if v.against else ""),
        v.sign, v.limit, "met" if v.met else "MISSED")


# -- where -----------------------------------------------------------------

def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^model name\s*: (.*)", f.read(), re.M)
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) // 1024
    return {"cpu": model.group(1) if model else os.uname().machine,
            "cpus": os.cpu_count(), "memory_mib": memory,
            "linux": os.uname().release, "load": os.getloadavg()[0],
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


PACKAGES = ("lighttpd", "nginx", "apache2-bin", "libapache2-mod-fcgid",
            "libapache2-mod-wsgi-py3", "libapache2-mod-passenger",
            "uwsgi-core", "gunicorn", "wrk", "libfcgi-dev", "python3",
            "python3-flask", "python3-django")


def versions(program):
    found = {"mamayo": output([program, "--version"]).strip(),
             "distribution": ""}
    try:
        with open("/etc/os-release") as f:
            found["distribution"] = re.search(
                r'^PRETTY_NAME="?([^"\n]*)', f.read(), re.M).group(1)
    except (OSError, AttributeError):
        pass
    for line in output(["dpkg-query", "-W", "-f",
                        "${Package} ${Version}\\n"]
                       + list(PACKAGES)).splitlines():
        name, _, version = line.partition(" ")
        if version:
            found[name] = version
    return found


def output(argv):
    try:
        return subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ).stdout.decode()
    except OSError:
        return ""


def frameworks():
    return tuple(name for name in ("flask", "django") if subprocess.call(
        [stacks.PYTHON, "-c", "import " + name],
        stderr=subprocess.DEVNULL) == 0)


def arguments():
    p = argparse.ArgumentParser(
        description="Measures mamayo beside other ways to serve Python "
        "behind a web server. A missed target is no failure, a wrong answer "
        "is.")
    p.add_argument("--program", default="fcgi/mamayo.fcgi",
                   help="mamayo; default: %(default)s")
    p.add_argument("--full", action="store_true",
                   help="all contenders, more and longer rounds: 25 minutes, "
                   "not three")
    p.add_argument("--only", default="", metavar="PATTERN",
                   help="only rows that match this regular expression, as "
                   "--list shows them: --only '^idle|slow.*uwsgi'")
    p.add_argument("--rounds", type=int, help="default: %d, with --full %d"
                   % (ROUNDS, FULL_ROUNDS))
    p.add_argument("--seconds", type=float, help="of a round; default: %g, "
                   "with --full %g" % (SECONDS, FULL_SECONDS))
    p.add_argument("--json", metavar="FILE", help="write every sample there")
    p.add_argument("--list", action="store_true",
                   help="show what would be measured")
    o = p.parse_args()
    try:
        re.compile(o.only)
    except re.error as why:
        p.error("--only: %s" % why)
    if o.rounds is None:
        o.rounds = FULL_ROUNDS if o.full else ROUNDS
    if o.seconds is None:
        o.seconds = FULL_SECONDS if o.full else SECONDS
    if o.rounds < 1 or o.seconds <= 0:
        p.error("--rounds and --seconds are more than nothing")
    o.program = os.path.abspath(o.program)
    return o


def show_list(options):
    for scenario in SCENARIOS:
        for row in scenario.rows:
            name = "%s %s" % (scenario.name, row.label)
            if (options.full or not row.full) and re.search(options.only,
                                                            name):
                print(name)


def settle(options):
    """A directory for everything, and an account that may be served."""
    place = tempfile.mkdtemp(prefix="mamayo-b.")
    os.chmod(place, 0o755)
    for name in FILES:
        shutil.copy(os.path.join(HERE, name), place)
    shutil.copytree(os.path.join(HERE, "apps"), os.path.join(place, "apps"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(EXAMPLES, os.path.join(place, "examples"))
    shutil.copy(options.program, os.path.join(place, "mamayo.fcgi"))
    for base, directories, files in os.walk(place):
        os.chmod(base, 0o755)
        for name in files:
            path = os.path.join(base, name)
            os.chmod(path, 0o755 if name == "mamayo.fcgi" else 0o644)
    if os.geteuid() == 0:
        say("started by root: everything runs as nobody")
        for base, directories, files in os.walk(place):
            for name in [base] + [os.path.join(base, n) for n in files]:
                os.chown(name, NOBODY, NOBODY)
    return place


def become_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def give_up(signo, frame):
    sys.exit("bench: ended by signal %d" % signo)


def run(place, options):
    os.chdir(place)
    become_nobody()
    os.umask(0o022)
    os.environ["PATH"] = stacks.PATH
    for signo in ENDS:
        signal.signal(signo, give_up)
    signal.alarm(MOST)
    bench = Bench(place, options)
    here = machine()
    print("%s, %d CPUs, Linux %s, load %.1f; %d rounds of %g s" % (
        here["cpu"], here["cpus"], here["linux"], here["load"],
        options.rounds, options.seconds))
    try:
        bench.measure()
    finally:
        for signo in ENDS:
            signal.signal(signo, signal.SIG_IGN)
        bench.save()
    if bench.failures:
        sys.exit("bench: not everything works, see above")
    if not any(bench.results.values()):
        sys.exit("bench: nothing has been measured")


def main():
    options = arguments()
    if options.list:
        show_list(options)
        return
    if shutil.which("wrk", path=stacks.PATH) is None:
        sys.exit("bench: wrk is not installed; ./bootstrap bench installs"
                 " what is needed")
    options.out = open(options.json, "w") if options.json else None
    place = settle(options)
    program = os.path.join(place, "mamayo.fcgi")
    options.settings = [line.split("|")[0] for line
                        in output([program, "settings"]).splitlines()]
    options.frameworks = frameworks()
    options.versions = versions(program)
    # A child measures, so that the directory can be removed by whoever made
    # it.
    pid = os.fork()
    if pid == 0:
        run(place, options)
        sys.exit(0)
    for signo in ENDS:
        signal.signal(signo, lambda signo, frame: os.kill(pid, signo))
    status = os.waitpid(pid, 0)[1]
    shutil.rmtree(place, ignore_errors=True)
    sys.exit(1 if status else 0)


if __name__ == "__main__":
    main()
