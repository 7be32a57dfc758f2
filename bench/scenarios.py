"""What is measured, and the targets.

Rounds alternate between the rows of a scenario, each round beginning with
another row. A value is the median of its rounds, a ratio the median of the
rounds' ratios. A stack that does not answer correctly, before, after or under
load, fails, and has no number.
"""
import collections
import os
import resource
import socket
import statistics
import subprocess
import time

import measure
from measure import BODY, MIB, TICK, Failure
from stacks import ENTRIES, LARGE, PYTHON, STACKS, Site, many

FEW = 20        # apps
HUNDRED = 100
IDLE = 1000     # connections
RESPONDERS = 20
ECHO = 10 * MIB
WARM, WARM_EACH = 100, 10  # requests before anything is measured
TRIES = (1, 3, 9)  # times as long, where that was too short for one answer


def median(samples, what):
    values = [s[what] for s in samples if what in s]
    return statistics.median(values) if values else None


# -- targets ---------------------------------------------------------------

Verdict = collections.namedtuple(
    "Verdict", "work what value sign limit unit met against")


class Target:
    """what: a column; at most, or at least, limit."""

    def __init__(self, work, what, limit, most=True, unit=""):
        self.work, self.what, self.limit = work, what, limit
        self.most, self.unit = most, unit

    def verdict(self, value, against=""):
        met = value <= self.limit if self.most else value >= self.limit
        return Verdict(self.work, self.what, value,
                       "<=" if self.most else ">=", self.limit, self.unit,
                       met, against)

    def judge(self, results):
        """{row: samples} -> a Verdict, or None: something is missing."""
        raise NotImplementedError


class Value(Target):
    def __init__(self, row, *rest, **more):
        Target.__init__(self, *rest, **more)
        self.row = row

    def judge(self, results):
        value = median(results.get(self.row, ()), self.what)
        return None if value is None else self.verdict(value)


class Ratio(Target):
    """Of one row to another, or to the best of others."""

    def __init__(self, row, others, *rest, **more):
        Target.__init__(self, *rest, **more)
        self.row, self.others = row, others

    def judge(self, results):
        better = max if self.what in ("rps", "mbs") else min
        medians = {o: median(results.get(o, ()), self.what)
                   for o in self.others}
        medians = {o: m for o, m in medians.items() if m}
        if not medians or not results.get(self.row):
            return None
        best = better(medians, key=medians.get)
        ratio = ratios(results[self.row], results[best], self.what)
        return ratio and self.verdict(ratio, best)


class Difference(Target):
    def __init__(self, row, other, *rest, **more):
        Target.__init__(self, *rest, **more)
        self.row, self.other = row, other

    def judge(self, results):
        a = median(results.get(self.row, ()), self.what)
        b = median(results.get(self.other, ()), self.what)
        return None if a is None or b is None else self.verdict(
            a - b, self.other)


def ratios(mine, other, what):
    """Of the rounds that both have."""
    theirs = {s["round"]: s[what] for s in other if s.get(what)}
    found = [s[what] / theirs[s["round"]] for s in mine
             if what in s and s["round"] in theirs]
    return statistics.median(found) if found else None


def others(rows, server):
    """Those behind this web server that are neither mamayo nor a limit."""
    return [r.label for r in rows if STACKS[r.stack].kind == "other"
            and STACKS[r.stack].server == server]


# -- rows ------------------------------------------------------------------

class Row:
    """One line of a table: a stack, and how it is used. full: not in the
    short form. shared: rows with the same word use the same running stack.
    setting: a key of mamayo.json without which this cannot be."""

    def __init__(self, stack, site=None, label=None, full=False, shared=None,
                 path="/hello", apps=0, idle=0, setting=None):
        self.stack, self.site, self.full = stack, site or Site(), full
        self.label = label or stack
        self.shared = shared or self.label
        self.path, self.apps, self.idle = path, apps, idle
        self.setting = setting


LOAD = (("rps", "req/s"), ("p50", "p50 us"), ("p99", "p99 us"),
        ("cpu", "CPU us"), ("web", "web"), ("app", "rest"),
        ("responder", "responder"), ("worker", "worker"),
        ("supervisor", "superv."), ("foreign", "foreign"))


class Scenario:
    columns = ()

    def __init__(self, name, title, rows, targets):
        self.name, self.title = name, title
        self.rows, self.targets = rows, targets

    def rounds(self, options):
        return options.rounds

    def run(self, bench, rows):
        """Gives samples to bench."""
        raise NotImplementedError

    def alternate(self, bench, rows, sample):
        """sample(row) -> {what: number}, for each row in each round."""
        rows = list(rows)
        for turn in range(self.rounds(bench.options)):
            at = turn % max(1, len(rows))
            for row in rows[at:] + rows[:at]:
                try:
                    got = sample(row)
                except Failure as why:
                    bench.failed(self, row, why)
                    rows.remove(row)
                else:
                    bench.sampled(self, row, turn, got)


class Load(Scenario):
    """Keep-alive clients that ask for one page again and again."""
    columns = LOAD

    def page(self, row):
        """A path to be looked at before and after, and what is there."""
        return "/hello", BODY

    def __init__(self, name, title, clients, rows, targets):
        Scenario.__init__(self, name, title, rows, targets)
        self.clients = clients

    def seconds(self, options):
        return options.seconds

    def run(self, bench, rows):
        stacks = {}
        try:
            good = []
            for row in rows:
                if row.shared not in stacks:
                    stacks[row.shared] = bench.stack(row)
                    try:
                        stacks[row.shared].start()
                        self.prepare(row, stacks[row.shared])
                    except Failure as why:
                        bench.failed(self, row, why)
                        continue
                good.append(row)
            self.alternate(bench, good, lambda row: self.sample(
                bench, row, stacks[row.shared]))
        finally:
            for stack in stacks.values():
                stack.remove()

    def prepare(self, row, stack):
        """What it must do once, before it is measured."""
        prefixes = stack.site.prefixes()
        measure.visit(stack.port, [
            prefix + "/hello" for prefix in prefixes
            * max(WARM // len(prefixes), WARM_EACH)])

    def sample(self, bench, row, stack):
        if not row.idle:
            return self.load(bench, row, stack)
        kept = [keep(stack.path("sock")) for _ in range(row.idle)]
        try:
            stack.quiet()
            return self.load(bench, row, stack)
        finally:
            for s in kept:
                s.close()
            stack.quiet()

    def load(self, bench, row, stack, post=0, meanwhile=None):
        path = row.path if row.apps else stack.url(row.path)
        page, body = self.page(row)
        page = stack.url(page)
        measure.expect(stack.port, page, body)
        size = measure.answer_size(stack.port, page, body)
        for times in TRIES:
            clock, busy = time.monotonic(), measure.machine_ticks()
            own = resource.getrusage(resource.RUSAGE_CHILDREN)
            before = stack.cpu()
            got = measure.wrk(
                os.path.join(bench.place, "load.lua"),
                "http://127.0.0.1:%d%s" % (stack.port, path), self.clients,
                self.seconds(bench.options) * times, post, row.apps,
                meanwhile)
            after = stack.cpu()
            busy = measure.machine_ticks() - busy
            clock = time.monotonic() - clock
            if got["bytes"]:
                break
        else:
            raise Failure("under load, no answer at all")
        stack.check_alive()
        measure.expect(stack.port, page, body)
        if row.path == self.page(row)[0]:
            check_sizes(got, size, self.clients)
        return self.numbers(got, before, after, clock, busy, own,
                            stack.roles())

    @staticmethod
    def numbers(got, before, after, clock, busy, own, roles):
        requests = max(1, got["requests"])

        def each(ticks):
            return ticks / TICK * 1e6 / requests
        web = after["web"] - before["web"]
        app = after["app"] - before["app"]
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        wrk = (now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime)
        result = {
            "requests": got["requests"], "seconds": got["seconds"],
            "rps": got["requests"] / got["seconds"],
            "mbs": got["bytes"] / got["seconds"] / 1e6,
            "p50": got["p50"], "p99": got["p99"], "max": got["max"],
            "cpu": each(web + app), "web": each(web), "app": each(app),
            "wrk": wrk * 1e6 / requests,
            # processors that were busy with none of this
            "foreign": max(0, (busy - web - app) / TICK - wrk) / clock,
        }
        for pid, role in roles.items():
            used = after["each"].get(pid, 0) - before["each"].get(pid, 0)
            result[role] = result.get(role, 0) + each(used)
        return result


def check_sizes(got, size, clients):
    """All answers together are as long as so many correct ones; the last of
    each client may be there in part, or be the last of its connection."""
    if abs(got["bytes"] - got["requests"] * size) > 2 * clients * (size + 64):
        raise Failure("under load, %d answers of %d bytes make %d" % (
            got["requests"], size, got["bytes"]))


def record(kind, content):
    return (bytes([1, kind, 0, 1]) + len(content).to_bytes(2, "big")
            + b"\0\0" + content)


def ask(path, keep=False):
    """A FastCGI request without a web server -> the connection."""
    params = b""
    for name, value in (
            (b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/hello"),
            (b"SERVER_NAME", b"localhost"), (b"SERVER_PORT", b"80"),
            (b"SERVER_PROTOCOL", b"HTTP/1.1")):
        params += bytes([len(name), len(value)]) + name + value
    s = socket.socket(socket.AF_UNIX)
    try:
        s.settimeout(60)
        s.connect(path)
        s.sendall(record(1, bytes([0, 1, keep, 0, 0, 0, 0, 0]))
                  + record(4, params) + record(4, b"") + record(5, b""))
        answer = b""
        while not answer.endswith(record(3, bytes(8))):
            more = s.recv(65536)
            if not more:
                raise Failure("without a web server it answers %r" % answer)
            answer += more
        if BODY not in answer:
            raise Failure("without a web server it answers %r" % answer)
    except OSError as why:
        s.close()
        raise Failure("without a web server: %r" % why)
    except Failure:
        s.close()
        raise
    return s


def keep(path):
    return ask(path, True)


# -- the other kinds -------------------------------------------------------

class Bodies(Load):
    """Large ones. MB/s are those of the answers."""
    columns = (("mbs", "MB/s"), ("rps", "req/s"), ("mib", "CPU us/MiB"),
               ("web", "web"), ("app", "rest"))

    def __init__(self, name, title, size, rows, targets):
        Load.__init__(self, name, title, 2, rows, targets)
        self.size = size

    def rounds(self, options):
        return (options.rounds + 1) // 2

    def seconds(self, options):
        return max(options.seconds, min(1.5, options.seconds * 4))

    def run(self, bench, rows):
        if self.name == "file":
            with open(os.path.join(bench.place, "large"), "wb") as f:
                for _ in range(self.size // len(measure.BLOCK)):
                    f.write(measure.BLOCK)
        Load.run(self, bench, rows)

    def prepare(self, row, stack):
        if self.name == "echo":
            data = os.urandom(self.size)
            measure.expect(stack.port, stack.url(row.path), data,
                           method="POST", body=data)
        else:
            measure.expect_large(stack.port, stack.url(row.path), self.size)

    def sample(self, bench, row, stack):
        got = self.load(bench, row, stack,
                        post=self.size if self.name == "echo" else 0)
        mib = got["mbs"] * got["seconds"] * 1e6 / MIB
        for what, of in (("mib", "cpu"), ("web", "web"), ("app", "app")):
            got[what] = got[of] * max(1, got["requests"]) / mib
        return got


class Files(Load):
    """Of a site with a file, that."""

    def page(self, row):
        return row.path, b"x" * row.site.file

    def prepare(self, row, stack):
        path, body = self.page(row)
        for _ in range(WARM):
            measure.expect(stack.port, stack.url(path), body)


class Slow(Load):
    """Pages that take a while, for more clients than workers."""
    columns = (("rps", "req/s"), ("p50", "p50 ms"), ("p99", "p99 ms"),
               ("max", "most ms"), ("cpu", "CPU us"), ("memory", "MiB"),
               ("processes", "processes"))

    def rounds(self, options):
        return max(1, options.rounds // 2)

    def seconds(self, options):
        return max(options.seconds, min(5, options.seconds * 4))

    def sample(self, bench, row, stack):
        most = {"memory": 0, "processes": 0}

        def watch():
            pids = [pid for pid, role in stack.roles().items()
                    if role == "responder"] or stack.app_pids()
            most["memory"] = max(most["memory"], measure.pss(pids) / 1024)
            most["processes"] = max(most["processes"], len(pids))
        got = self.load(bench, row, stack, meanwhile=watch)
        watch()
        for what in ("p50", "p99", "max"):
            got[what] /= 1000
        got.update(most)
        return got


class Cold(Scenario):
    """First answers. A row's label says how: "nothing", "warm", "alone"."""
    columns = (("ms", "ms"), ("least", "least"))

    def run(self, bench, rows):
        stacks = {}
        try:
            good = []
            for row in rows:
                if row.shared not in stacks:
                    stacks[row.shared] = bench.stack(row)
                stack = stacks[row.shared]
                try:
                    self.begin(row, stack)  # the first time is not counted
                except Failure as why:
                    bench.failed(self, row, why)
                else:
                    good.append(row)
            self.alternate(bench, good, lambda row: self.sample(
                row, stacks[row.shared]))
        finally:
            for stack in stacks.values():
                stack.remove()

    def begin(self, row, stack):
        self.measure(row, stack)

    def sample(self, row, stack):
        return {"ms": self.measure(row, stack)}

    def measure(self, row, stack):
        raise NotImplementedError


def milliseconds(act):
    begin = time.monotonic()
    act()
    return (time.monotonic() - begin) * 1000


class Nothing(Cold):
    """With the web server up and nothing else; and an interpreter alone that
    answers the same from the same files."""

    def measure(self, row, stack):
        if row.label.endswith("alone"):
            return milliseconds(lambda: self.alone(row, stack))
        stack.launch()
        try:
            stack.quiet()
            return milliseconds(
                lambda: measure.expect(stack.port, stack.url(), BODY))
        finally:
            stack.stop()

    @staticmethod
    def alone(row, stack):
        argv = [PYTHON, os.path.join(stack.place, "alone.py"),
                stack.path("mamayo/apps/ROOT"), ENTRIES[row.site.app]]
        p = subprocess.run(argv, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        if p.stdout != BODY:
            raise Failure("alone.py prints %r" % p.stdout)


class NoWorker(Cold):
    """With everything up, but no worker; so a fork server, where mamayo has
    one, has done its part."""
    columns = Cold.columns + (("forkservers", "fork servers"),)

    def rounds(self, options):
        return options.rounds * 2

    def begin(self, row, stack):
        stack.launch()
        measure.expect(stack.port, stack.url(), BODY)
        self.measure(row, stack)

    def sample(self, row, stack):
        return {"ms": self.measure(row, stack),
                "forkservers": list(stack.roles().values()).count(
                    "forkserver")}

    def measure(self, row, stack):
        stack.end_workers()
        return milliseconds(
            lambda: measure.expect(stack.port, stack.url(), BODY))


class Memory(Scenario):
    """Of everything but the web server, in MiB, after some requests to workers
    that have come back; what is shared is divided by its users. One stack at a
    time."""
    columns = (("memory", "MiB"), ("processes", "processes"),
               ("web", "web server"))

    def rounds(self, options):
        return 1

    def run(self, bench, rows):
        self.alternate(bench, rows, lambda row: self.sample(bench, row))

    def sample(self, bench, row):
        stack = bench.stack(row)
        try:
            stack.start()
            stack.settle()
            for turn in range(20 * row.site.workers):
                for prefix in row.site.prefixes():
                    measure.expect(stack.port, prefix + "/hello", BODY)
            stack.quiet()
            pids = stack.app_pids()
            every = [p.pid for p in stack.processes()]
            return {"memory": measure.pss(pids) / 1024,
                    "processes": len(pids),
                    "web": measure.pss(set(every) - set(pids)) / 1024}
        finally:
            stack.remove()


class Responders(Scenario):
    """What each copy of mamayo.fcgi costs, and the one supervisor, KiB."""
    columns = (("one", "responder"), ("supervisor", "supervisor"),
               ("all", "%d and the supervisor" % RESPONDERS))

    def rounds(self, options):
        return 1

    def run(self, bench, rows):
        self.alternate(bench, rows, lambda row: self.sample(bench, row))

    def sample(self, bench, row):
        stack = bench.stack(row)
        try:
            pids = []
            for i in range(RESPONDERS):
                path = stack.path("run", "s%d" % i)
                pids.append(stack.spawn(
                    [stack.program], listen=path,
                    env={"MAMAYO_ROOT": stack.path("mamayo")}))
                ask(path).close()
                if i == 0:
                    supervisor = stack.status()["supervisor"]["pid"]
                    got = {"one": measure.pss(pids),
                           "supervisor": measure.pss([supervisor])}
            got["all"] = measure.pss(pids + [supervisor])
            return got
        finally:
            stack.remove()


# -- all of them -----------------------------------------------------------

def hello_lighttpd():
    rows = [
        Row("lighttpd/mamayo-listen", Site(workers=2)),
        Row("lighttpd/mamayo", Site(names=many(FEW), visited=1, workers=2)),
        Row("lighttpd/uwsgi", Site(workers=2)),
        Row("lighttpd/uwsgi-thunder", Site(workers=2)),
        Row("lighttpd/cgi", Site(names=["cgi"]), full=True),
        Row("lighttpd/limit", Site(workers=2), full=True),
        Row("lighttpd/static", full=True),
    ]
    best = others(rows, "lighttpd")
    return Load(
        "hello-lighttpd",
        "hello, lighttpd, 8 clients, 2 workers; mamayo-listen: one app, "
        "mamayo: %d apps" % FEW, 8, rows, [
            Ratio("lighttpd/mamayo-listen", best,
                  "hello, lighttpd -> mamayo listen, one app, 8 clients",
                  "cpu", 0.75),
            Ratio("lighttpd/mamayo-listen", best,
                  "hello, lighttpd -> mamayo listen, one app, 8 clients",
                  "rps", 1.3, most=False),
            Ratio("lighttpd/mamayo", best,
                  "hello, lighttpd spawns mamayo, %d apps, 8 clients" % FEW,
                  "cpu", 1.0),
        ])


def hello_one_client():
    rows = [
        Row("lighttpd/mamayo", Site(names=many(FEW), visited=1, workers=4)),
        Row("lighttpd/mamayo-listen", Site(workers=4), full=True),
        Row("lighttpd/uwsgi", Site(workers=4)),
        Row("lighttpd/uwsgi-thunder", Site(workers=4)),
        Row("lighttpd/limit", Site(workers=4), full=True),
    ]
    return Load(
        "hello-one-client", "hello, lighttpd, 1 client, 4 workers", 1, rows, [
            Ratio("lighttpd/mamayo", others(rows, "lighttpd"),
                  "hello, lighttpd spawns mamayo, %d apps, 1 client" % FEW,
                  "cpu", 0.85)])


def hello_nginx():
    four = Site(workers=4)
    rows = [
        Row("nginx/mamayo", four),
        Row("nginx/uwsgi", four),
        Row("nginx/uwsgi-thunder", four, full=True),
        Row("nginx/uwsgi-fastcgi", four, full=True),
        Row("nginx/uwsgi-fastcgi-thunder", four, full=True),
        Row("nginx/gunicorn", four, full=True),
        Row("nginx/limit", four, full=True),
        Row("nginx/static", full=True),
    ]
    return Load(
        "hello-nginx", "hello, nginx, kept connections, 8 clients, 4 workers",
        8, rows, [
            Ratio("nginx/mamayo", others(rows, "nginx"),
                  "hello, nginx, 8 clients", "cpu", 0.8)])


def hello_apache():
    four = Site(workers=4)
    rows = [
        Row("apache/mamayo", four),
        Row("apache/uwsgi", four),
        Row("apache/uwsgi-alias", four, full=True),
        Row("apache/mod_wsgi", four, full=True),
        Row("apache/passenger", four, full=True),
        Row("apache/limit", four, full=True),
        Row("apache/static", full=True),
    ]
    return Load(
        "hello-apache", "hello, Apache, 8 clients, 4 workers", 8, rows, [
            Ratio("apache/mamayo", ["apache/uwsgi"],
                  "hello, mod_fcgid by .htaccess, 8 clients", "cpu", 1.0),
            Ratio("apache/mamayo", ["apache/uwsgi-alias"],
                  "the same, but uWSGI in Apache's configuration", "cpu",
                  1.0),
        ])


def framework(app):
    four = Site(app, workers=4)
    rows = [
        Row("lighttpd/mamayo", four),
        Row("lighttpd/mamayo-listen", four, full=True),
        Row("lighttpd/uwsgi", four),
        Row("lighttpd/uwsgi-thunder", four),
    ]
    return Load(
        app, "hello by %s, lighttpd, 8 clients, 4 workers"
        % app.capitalize(), 8, rows, [
            Ratio("lighttpd/mamayo", others(rows, "lighttpd"),
                  "%s, lighttpd, 8 clients" % app.capitalize(), "cpu", 0.9)])


def pure_python():
    ours = "lighttpd/mamayo-listen"
    return Load(
        "pure-python", 'hello, 8 clients, 2 workers, mamayo with "accel": '
        "false", 8, [
            Row(ours, Site(workers=2, accel=False), setting="accel"),
            Row("nginx/gunicorn", Site(workers=2), setting="accel"),
        ], [
            Ratio(ours, ["nginx/gunicorn"],
                  "hello, lighttpd -> mamayo without accel / nginx -> "
                  "gunicorn", "cpu", 0.7)])


def hundred_apps():
    rows, site = [], Site(names=many(HUNDRED), workers=1)
    for stack, full in (("lighttpd/mamayo", False), ("lighttpd/uwsgi", True)):
        rows += [
            Row(stack, site, stack + ", one", full, shared=stack),
            Row(stack, site, "%s, %d" % (stack, HUNDRED), full, shared=stack,
                apps=HUNDRED),
        ]
    return Load(
        "apps", "hello, lighttpd, 1 client, %d apps of 1 worker: one of them,"
        " and all in turn" % HUNDRED, 1, rows, [
            Ratio(rows[1].label, [rows[0].label],
                  "%d apps in turn / one of them" % HUNDRED, "cpu", 1.4)])


def idle():
    ours = "lighttpd/mamayo-listen"
    beside = "%s, %d idle" % (ours, IDLE)
    site = Site(workers=2)
    return Load(
        "idle", "hello, lighttpd, 8 clients, 2 workers, beside %d kept "
        "connections" % IDLE, 8, [
            Row(ours, site, shared=ours),
            Row(ours, site, beside, shared=ours, idle=IDLE),
        ], [
            Ratio(beside, [ours], "beside %d kept connections / alone" % IDLE,
                  "p99", 1.5),
            Ratio(beside, [ours], "beside %d kept connections / alone" % IDLE,
                  "cpu", 1.1),
        ])


def bodies(name, title, path, size, handed=1.0):
    """handed: the target where the web server sends the file itself."""
    four = Site(workers=4)
    rows = [Row(stack, four, full=full, path=path) for stack, full in (
        ("lighttpd/mamayo", False), ("lighttpd/uwsgi", False),
        ("nginx/mamayo", False), ("nginx/uwsgi", False),
        ("nginx/uwsgi-fastcgi", True),
        ("apache/mamayo", False), ("apache/uwsgi", False))]
    return Bodies(
        name, title + ", 2 clients, 4 workers", size, rows, [
            Ratio(server + "/mamayo", others(rows, server),
                  "%s, %s" % (title, server), "mbs", least, most=False)
            for server, least in (("lighttpd", handed), ("nginx", handed),
                                  ("apache", 1.0))])


def files(name, title, size):
    """Handed over, sent by mamayo, and read by Python, in one application and
    in Flask's way."""
    site = Site("files", ["site"], file=size)
    flask = Site("flask", ["site"], file=size)
    rows, targets = [], []
    for server, stacks in (
            ("lighttpd", ("lighttpd/mamayo", "lighttpd/mamayo-listen")),
            ("nginx", ("nginx/mamayo",)),
            ("apache", ("apache/mamayo-installed", "apache/mamayo"))):
        own, python = server + "/static", stacks[-1] + ", Flask"
        rows += [Row(stack, site, path="/style.css") for stack in stacks]
        rows += [
            Row(own, site, path="/style.css"),
            Row(stacks[-1], site, stacks[-1] + ", WSGI", True,
                shared=stacks[-1], path="/python/style.css"),
            Row(stacks[-1], flask, python, path="/static/style.css")]
        targets.append(Ratio(
            stacks[0], [own], "%s, %s sends it / its own" % (title, server),
            "rps", 0.9, most=False))
        if len(stacks) > 1:
            targets.append(Ratio(
                stacks[1], [python], "%s, mamayo behind %s sends it / Flask"
                % (title, server), "rps", 5, most=False))
    return Files(name, title + " of public/, 8 clients, 2 workers", 8, rows,
                 targets)


def slow():
    rows = [Row(stack, Site(workers=4), full=full, path="/sleep?50")
            for stack, full in (
                ("lighttpd/mamayo", False), ("lighttpd/uwsgi", False),
                ("nginx/mamayo", True), ("nginx/uwsgi", True),
                ("nginx/gunicorn", True))]
    return Slow(
        "slow", "50 ms each, 64 clients, 4 workers (ideal: 800 ms)", 64, rows,
        [Value("lighttpd/mamayo", "64 clients, 4 workers, 50 ms each",
               "p99", 840, unit="ms")])


def fcgid_slow():
    rows = [Row("apache/mamayo", Site(workers=4), path="/sleep?200"),
            Row("apache/uwsgi", full=True, path="/sleep?200")]
    return Slow(
        "fcgid-slow", "200 ms each, 32 clients, mod_fcgid; memory of what it "
        "starts (mamayo: of responders)", 32, rows, [
            Value("apache/mamayo", "mod_fcgid, 32 clients, 200 ms each",
                  "memory", 8, unit="MiB")])


def nothing():
    rows, targets = [], []
    for app in ("plain", "flask", "django"):
        ours, alone = app + ", lighttpd/mamayo", app + ", alone"
        rows += [Row("lighttpd/mamayo", Site(app, min_workers=0), label,
                     shared=app) for label in (ours, alone)]
        targets.append(Difference(
            ours, alone, "first answer with nothing running, %s" % app, "ms",
            25, unit="ms more"))
    return Nothing("cold", "first answer with nothing running, ms", rows,
                   targets)


def no_worker():
    rows, targets = [], []
    for app, most, full in (("plain", None, True), ("flask", 25, False),
                            ("django", 70, False)):
        rows.append(Row("lighttpd/mamayo", Site(app, min_workers=0),
                        app + ", lighttpd/mamayo", full))
        if most:
            targets.append(Value(
                rows[-1].label, "first answer without a worker, %s" % app,
                "ms", most, unit="ms"))
    return NoWorker("no-worker", "first answer with everything up but a "
                    "worker, ms", rows, targets)


def memory():
    flask = Site("flask", many(20), workers=1)
    django = Site("django", workers=4)
    rows = [Row(stack, site, "%s, %s" % (what, stack), full)
            for stack, full in (("lighttpd/mamayo", False),
                                ("lighttpd/uwsgi", True))
            for what, site in (("Flask 20 x 1", flask),
                               ("Django 1 x 4", django))]
    return Memory("memory", "memory of applications and workers", rows, [
        Value(rows[0].label, "20 Flask apps of 1 worker", "memory", 130,
              unit="MiB"),
        Value(rows[1].label, "1 Django app of 4 workers", "memory", 60,
              unit="MiB")])


def responders():
    row = Row("lighttpd/mamayo")
    return Responders("responders", "memory of mamayo itself, KiB", [row], [
        Value(row.label, "one responder", "one", 1024, unit="KiB"),
        Value(row.label, "the supervisor", "supervisor", 2048, unit="KiB"),
        Value(row.label, "%d responders and the supervisor" % RESPONDERS,
              "all", 15 * 1024, unit="KiB")])


SCENARIOS = [
    hello_lighttpd(), hello_one_client(), hello_nginx(), hello_apache(),
    framework("flask"), framework("django"), pure_python(), no_worker(),
    nothing(), memory(), responders(), hundred_apps(), slow(), fcgid_slow(),
    bodies("echo", "echo of 10 MiB", "/echo", ECHO),
    bodies("made", "100 MiB as they are made", "/made?%d" % LARGE, LARGE),
    bodies("file", "100 MiB by wsgi.file_wrapper", "/file", LARGE,
           1.3),
    files("static", "a file of 4 KiB", 4096),
    files("static-large", "a file of 10 MiB", 10 * MIB), idle(),
]
