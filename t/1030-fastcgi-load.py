"""Many at once: idle connections, peers that do not read, storms of signals
(R-IDLE1, R-SIG1, R-VUL1, faults 79, 82)."""
import os
import resource
import secrets
import signal
import subprocess
import sys
import time

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process, gone

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

m = Mamayo(workers={"max": 2})
m.app("blog")
m.app("narrow", workers={"max": 1}, queue=100)
m.start()


def rss(pid):
    return int(Process(pid).read("statm").split()[1]) * 4


def typical(count=50):
    """The median of so many requests, in seconds."""
    times = []
    for _ in range(count):
        before = time.monotonic()
        m.served()
        times.append(time.monotonic() - before)
    return sorted(times)[count // 2]


ANSWERS_AT_A_GATE = """
    import os, time
    def application(environ, start_response):
        gate = environ["QUERY_STRING"]
        here = os.environ["MAMAYO_TEST"]
        if gate:
            with open(here + "/journal", "a") as f:
                f.write("waits %s\\n" % gate)
        while gate and not os.path.exists(here + "/" + gate):
            time.sleep(0.01)
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
    """


@test("R-IDLE1 1000 idle or half-open connections cost a request nothing")
def _():
    m.served()
    whole = fcgi.request("/blog/unread")
    idle = []
    for i in range(1000):
        c = m.connect()
        if i % 2:
            c.send(whole[:i % len(whole)])
        idle.append(c)
    assert typical() < 0.1
    for c in idle:
        c.close()
    assert typical() < 0.1


@test("R-IDLE1 1000 kept connections that do not close cost nothing")
def _():
    kept = []
    for i in range(1000):
        c = m.connect()
        c.send(fcgi.request("/nobody/", keep=True))
        equal(c.answer(keep=True).status, 404)
        kept.append(c)
    assert typical() < 0.1
    kept[500].send(fcgi.request("/blog/unread", keep=True))
    equal(kept[500].answer(keep=True).status, 200)
    for c in kept:
        c.close()


@test("R-IDLE1 1000 peers that do not hang up after their answer neither")
def _():
    held = []
    for i in range(1000):
        c = m.connect()
        c.send(fcgi.request("/nobody/"))
        c.answer()
        held.append(c)
    assert typical() < 0.1
    for c in held:
        c.close()
    # and the responder has let go of all of them
    within(10, lambda: len(Process(m.responders[0]).descriptors()) < 60,
           "closed descriptors")


@test("R-VUL1 2000 connections at once are all served")
def _():
    connections = [m.connect() for _ in range(2000)]
    for c in connections:
        c.send(fcgi.request("/nobody/"))
    for c in connections:
        equal(c.answer().status, 404)
        c.close()
    m.served()


ECHO = """
    def application(environ, start_response):
        mine = environ["mamayo.app"] + " " + environ["HTTP_COOKIE"]
        if environ["PATH_INFO"] == "/raise":
            raise RuntimeError(mine)
        start_response("200 OK", [("X-Mine", mine)])
        return [mine.encode()] * int(environ["QUERY_STRING"])
    """


@test("R-SEC4 what two applications answer at the same time never crosses")
def _():
    for name in "left", "right":
        m.app(name, ECHO)
        within(5, lambda: m.get("/" + name + "?1",
                                HTTP_COOKIE="c").status == 200)
    servers = "lighttpd/1.4", "Apache/2.4", "nginx/1.22"

    def visitor(i):
        name, n = ("left", "right")[i % 2], 0
        while n < 1500:  # of each: as many as 200 a second in a minute
            cookie = "%s-%d-%d-%s" % (name, i, n, secrets.token_hex(
                n * 7 % 2000))
            where = {"HTTP_COOKIE": cookie,
                     "SERVER_SOFTWARE": servers[n % len(servers)]}
            n += 1
            if n % 50 == 0:
                got = m.get("/%s/raise" % name, **where)
                equal((got.status, got.error), (500, "exception"))
                equal(cookie.encode() in got.text, False)
                continue
            got = m.get("/%s?%d" % (name, n % 30), **where)
            mine = "%s %s" % (name, cookie)
            equal((got.status, got.header("X-Mine"), got.body),
                  (200, mine, mine.encode() * (n % 30)))
        return n
    count = sum(fcgi.each(8, visitor))
    equal(count, 12000)
    for name, other in ("left", "right"), ("right", "left"):
        equal(" %s-" % other in m.log(name), False, "its log")
    return "%d requests" % count


@test("peers that do not read make it hold little, and block nobody")
def _():
    pid = m.responders[0]
    m.served()
    before = rss(pid)
    slow = []
    for i in range(2):  # each holds a worker: there are two
        c = m.connect()
        c.send(fcgi.request("/blog/download?size=100000000&name=slow%d" % i))
        slow.append(c)
    for c in slow:
        assert c.output()
    equal(m.get("/narrow/unread").status, 200)
    grown = rss(pid) - before
    assert grown < 4000, "%d KiB more" % grown
    # one reads the rest, the other one leaves
    size = 0
    while True:
        some = slow[0].output()
        if not some:
            break
        size += len(some)
    assert size > 99000000, size
    for c in slow:
        c.close()
    within(20, lambda: "closed slow1" in m.journal(), "close() of slow1")
    m.served()


@test("of 1000 requests for one slow worker 101 wait, the others get 503")
def _():
    waiting = []
    for i in range(1000):
        c = m.connect()
        c.send(fcgi.request("/narrow/gate?name=wait"))
        waiting.append(c)
    refused = []
    within(20, lambda: any(w.startswith("started wait")
                           for w in m.journal()))
    m.served()  # other applications are not concerned
    for c in waiting:
        c.socket.settimeout(0.001)
        if not c.silent(0.001):
            refused.append(c)
    for c in waiting:
        c.socket.settimeout(20)
    open(os.path.join(m.dir, "wait"), "w").close()
    answers = [c.answer() for c in waiting]
    for c in waiting:
        c.close()
    served = [a for a in answers if a.status == 200]
    equal(len(served), 101)  # queue + workers.max
    equal({(a.status, a.error) for a in answers if a.status != 200},
          {(503, "queue-full")})
    assert all(a.header("Retry-After") for a in answers if a.status != 200)
    equal(len(refused), 899, "answered at once")


@test("R-SIG1 a storm of signals changes no request")
def _():
    m.served()
    pids = [m.responders[0], m.supervisor()]
    storm = subprocess.Popen([sys.executable, "-c", """
import os, signal, sys
pids = [int(p) for p in sys.argv[1:]]
signals = [signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH,
           signal.SIGPIPE, signal.SIGALRM, signal.SIGUSR2]
while True:
    for p in pids:
        for s in signals:
            os.kill(p, s)
"""] + [str(p) for p in pids], stderr=subprocess.DEVNULL)
    try:
        body = b"0123456789" * 1000
        with m.connect() as c:
            for i in range(1500):
                if i % 10 == 0:
                    c.send(fcgi.request("/blog/echo", "POST", body,
                                        keep=True))
                    equal(c.answer(keep=True).body == body, True)
                else:
                    c.send(fcgi.request("/blog/unread", keep=True))
                    equal(c.answer(keep=True).body, b"did not look")
        for _ in range(200):
            m.served()
        equal(storm.poll(), None, "the storm's end")
    finally:
        storm.send_signal(signal.SIGKILL)
        storm.wait()
    assert all(Process(p).state not in "ZX" for p in pids)
    equal(m.supervisor(), pids[1])


@test("fault 74: SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE and SIGALRM end no"
      " responder, no supervisor and no worker, idle or in a request; SIGINT is"
      " as SIGTERM")
def _():
    m.app("signals", ANSWERS_AT_A_GATE, workers={"max": 1})
    within(5, lambda: m.get("/signals").status == 200)
    worker, = m.workers("signals")
    responder, supervisor = m.responders[0], m.supervisor()
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
                   signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM):
        for pid in responder, supervisor, worker:
            os.kill(pid, number)
        equal(m.text("/signals"), str(worker), str(number))
        for software in "test/1", "lighttpd/1.4.69":
            gate = "%d-%s" % (number, software[:4])
            with m.connect() as c:
                c.send(fcgi.request("/signals?" + gate,
                                    SERVER_SOFTWARE=software))
                m.has("waits " + gate)
                for pid in responder, supervisor, worker:
                    os.kill(pid, number)
                m.served()
                m.open_gate(gate)
                equal(c.answer().body, str(worker).encode(), gate)
        equal((m.workers("signals"), m.supervisor()), ([worker], supervisor))
    equal(m.status()["responders"][0]["pid"], responder)
    # it finishes what it has, and others take over
    with m.connect() as c:
        c.send(fcgi.request("/signals?last"))
        m.has("waits last")
        m.killed.add(responder)
        for pid in worker, supervisor, responder:
            os.kill(pid, signal.SIGINT)
        m.open_gate("last")
        equal(c.answer().body, str(worker).encode())
    for pid in worker, supervisor, responder:
        gone(pid)
    within(5, lambda: m.ended(responder) is not None, "how it has ended")
    equal(m.ended(responder), 0)
    m.start()
    within(5, lambda: m.get("/signals").status == 200)
    assert m.workers("signals") != [worker]
    m.served()


run()
