"""Workers of the only application accept connections from the sockets of
mamayo listen themselves: when they begin, when they stop, and that no request
is lost in between.

A responder that is stopped (SIGSTOP) shows who answers: what is answered
meanwhile, a worker has accepted.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import threading
import time

import fcgi
import servers
from harness import equal, run, test, within
from mamayo import Mamayo, Process, alive, every_process, freeze, kill

LIGHTTPD, NGINX = "lighttpd/1.4.69", "nginx/1.22.1"
BOUND = 5   # s for a connection that nobody has come for
MOST = 65536  # bytes that a worker reads of a connection


def account(app="ROOT", source=None, accept=None, **settings):
    """An account with one application behind mamayo listen."""
    settings.setdefault("workers", {"max": 2})
    m = Mamayo(**settings)
    m.app(app, source, **({} if accept is None else {"accept": accept}))
    m.listening = m.listen()
    return m


def accepting(m, app="ROOT"):
    """What each worker says about it."""
    return [w["accepting"] for w in m.status_of(app)["workers"]]


def settled(m, app="ROOT", uri="/unread"):
    """Waits until every worker accepts; there is one at least."""
    def all_of_them():
        said = accepting(m, app)
        if not said:
            equal(m.get(uri).status, 200)
        return said and all(said)
    within(30, all_of_them, "workers to accept connections")
    return m


def given_back(m, app="ROOT"):
    within(20, lambda: not any(accepting(m, app)),
           "workers to give the sockets back")


@contextlib.contextmanager
def stopped(m):
    """Without the responder."""
    freeze(m.listening.pid)
    try:
        yield
    finally:
        kill(m.listening.pid, signal.SIGCONT)


class Load:
    """Requests from several threads at once, all the time."""

    def __init__(self, *askers):
        self.over = threading.Event()
        self.seen, self.wrong = {}, []
        self.threads = [threading.Thread(target=self.ask, args=(a,),
                                         daemon=True) for a in askers]

    def ask(self, asker):
        while not self.over.is_set():
            try:
                for got in asker():
                    self.seen[got] = self.seen.get(got, 0) + 1
            except Exception as why:
                self.wrong.append(repr(why))
            time.sleep(0.002)  # a worker is to be idle now and then

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        for t in self.threads:
            t.join(60)
        if error[0] is None:
            equal([t for t in self.threads if t.is_alive()], [])
            equal(self.wrong[:5], [], "%d times" % len(self.wrong))

    def only(self, *expected):
        equal(sorted(set(self.seen) - set(expected)), [], repr(self.seen))


def raw(m, software, keep=0, body=b"", uri="/echo"):
    """One connection, as that web server would use it."""
    def ask():
        with m.connect() as c:
            for _ in range(keep or 1):
                c.send(fcgi.request(uri, "POST", body, keep=keep > 0,
                                    SERVER_SOFTWARE=software))
                got = c.answer(keep=keep > 0)
                if got.status == 200 and "echo" in uri:
                    equal(got.body, body)
                yield got.status, got.error
                if got.status != 200:
                    return  # such a connection may be closed
    return ask


def every_kind(m):
    return [raw(m, LIGHTTPD, body=b"l"), raw(m, NGINX, 5, b"n"),
            raw(m, NGINX, 3, b"x" * 70000), raw(m, "test/1", body=b"t")]


class ToWorkers:
    """The responder is stopped: workers answer. A connection that says
    nothing for 10 ms is handed over, so they wait until each has its
    request."""

    def __init__(self, m):
        self.m, self.workers = m, m.workers("ROOT")
        self.stopped = stopped(m)

    def __enter__(self):
        self.stopped.__enter__()
        return self

    def __exit__(self, *why):
        return self.stopped.__exit__(*why)

    def send(self, request, address=None):
        for pid in self.workers:
            kill(pid, signal.SIGSTOP)
        c = fcgi.Connection(address or self.m.address)
        c.send(request)
        for pid in self.workers:
            kill(pid, signal.SIGCONT)
        return c

    def get(self, *request, address=None, **more):
        with self.send(fcgi.request(*request, **more), address) as c:
            return c.answer()


def http(server, uri="/unread"):
    def ask():
        got = server.get(uri)
        yield got.status, got.header("X-Mamayo-Error")
    return ask


def comes_and_goes(m, load):
    """A second application, a directory of files, a stop."""
    m.app("second")
    within(20, lambda: json.loads(m.text("/second/path"))["script_name"]
           == "/second", "the second application")
    given_back(m)
    equal(json.loads(m.text("/path/second"))["script_name"], "")
    shutil.rmtree(m.path("apps", "second"))
    settled(m)
    os.mkdir(m.path("apps", "ROOT", "public"))
    given_back(m)
    os.rmdir(m.path("apps", "ROOT", "public"))
    settled(m)
    m.write("apps/ROOT/mamayo.json", '{"static": {"/files": "files"}}')
    equal(m.command("restart", "ROOT").returncode, 0)
    given_back(m)
    os.unlink(m.path("apps", "ROOT", "mamayo.json"))
    equal(m.command("restart", "ROOT").returncode, 0)
    settled(m)
    load.only((200, None))
    equal(m.command("stop", "ROOT").returncode, 0)
    equal(m.get("/unread").error, "stopped")
    within(20, lambda: m.workers("ROOT") == [], "the workers to leave")
    equal(m.get("/unread").error, "stopped")
    equal(m.command("start", "ROOT").returncode, 0)
    within(5, lambda: m.get("/unread").error != "stopped",
           "the responder to have heard of it")
    equal(m.get("/unread").status, 200)
    settled(m)


# -- who answers --------------------------------------------------------------

@test("a worker that accepts answers without the responder")
def _():
    m = settled(account(workers={"max": 1}))
    with ToWorkers(m) as w:
        for software in LIGHTTPD, NGINX, "test/1":
            equal(w.get("/unread", SERVER_SOFTWARE=software).status, 200)
        equal(w.get("/echo", "POST", b"x" * 30000).body, b"x" * 30000)
    m.end()


@test("a request that is whole in the first 64 KiB is a worker's, a larger one"
      " is handed over")
def _():
    m = settled(account(workers={"max": 1}))
    for size in (MOST - 1, MOST, MOST + 1, 2 * MOST, 1 << 20):
        bare = len(fcgi.request("/echo", "POST", b"x" * 60000)) - 60000
        body = os.urandom(size - bare - (16 if size - bare > fcgi.MOST
                                         else 0))
        whole = fcgi.request("/echo", "POST", body)
        if size <= MOST:
            equal(len(whole), size)
            with ToWorkers(m) as w, w.send(whole) as c:
                equal(c.answer().body, body, size)
            continue
        with m.connect() as c, stopped(m):
            sender = threading.Thread(target=c.send, args=(whole,))
            sender.start()
            assert c.silent(0.3), size
            kill(m.listening.pid, signal.SIGCONT)
            sender.join(20)
            equal(c.answer().body, body, size)
    m.end()


@test("a kept connection is answered by a worker, and then the responder's")
def _():
    m = settled(account(workers={"max": 1}))
    with ToWorkers(m) as w:
        c = w.send(fcgi.request("/unread", keep=True, SERVER_SOFTWARE=NGINX))
        equal(c.answer(keep=True).status, 200)
        c.send(fcgi.request("/unread", keep=True, SERVER_SOFTWARE=NGINX))
        assert c.silent(0.3)
    with c:
        for _ in range(20):
            equal(c.answer(keep=True).body, b"did not look")
            c.send(fcgi.request("/unread", keep=True, SERVER_SOFTWARE=NGINX))
        equal(c.answer(keep=True).status, 200)
    m.end()


@test("what comes in pieces, late, twice at once, or is none of a worker's"
      " business")
def _():
    m = settled(account(workers={"max": 2}))
    one = fcgi.request("/echo", "POST", b"pieces")
    for first, rest in list(fcgi.shred(one))[::7]:
        with m.connect() as c:
            c.send(first)
            c.taken()
            c.send(rest)
            equal(c.answer().body, b"pieces")
    with m.connect() as c:  # by one byte
        c.dribble(one)
        equal(c.answer().body, b"pieces")
    for seconds in (0.002, 0.05, 0.3):
        with m.connect() as c:
            time.sleep(seconds)  # longer than a worker waits, and shorter
            c.send(one)
            equal(c.answer().body, b"pieces")
    with m.connect() as c:
        c.send(*[fcgi.request("/echo", "POST", b"%d" % i, keep=True)
                 for i in range(5)])
        try:  # which nobody does; it is refused or answered, never mixed up
            for i in range(5):
                equal(c.answer(keep=True).body, b"%d" % i)
        except fcgi.Cut as cut:
            equal(cut.text, b"")
    with m.connect() as c:
        c.send(fcgi.get_values("FCGI_MPXS_CONNS"))
        equal(c.record()[0], fcgi.VALUES)
        c.send(one)
        equal(c.answer().body, b"pieces")
    with m.connect() as c:
        c.send(fcgi.get_values("FCGI_MPXS_CONNS"), one)
        equal(c.record()[0], fcgi.VALUES)
        equal(c.answer().body, b"pieces")
    for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100, b"\xff" * 70000,
                    fcgi.record(fcgi.BEGIN, 1, b"short"),
                    fcgi.begin() + fcgi.record(fcgi.PARAMS, 2, b"x")):
        with m.connect() as c:
            c.try_send(garbage)
            try:
                c.half_close()
            except OSError:
                pass
            assert c.ended(), garbage[:30]
    with m.connect() as c:  # nothing at all
        c.half_close()
        assert c.ended()
    with m.connect() as c:
        c.send(fcgi.begin(role=fcgi.FILTER), fcgi.params({}))
        equal(c.end_of(), (0, fcgi.UNKNOWN_ROLE))
    equal(m.get("/unread").status, 200)
    equal(accepting(m).count(True) > 0, True)
    m.end()


@test("a length that is not that of the body, and addresses that cannot be"
      " right, have the pages that they have elsewhere")
def _():
    m = settled(account(workers={"max": 1}))
    with m.connect() as c:
        c.send(fcgi.begin(), fcgi.params(fcgi.variables(
            "/echo", "POST", CONTENT_LENGTH="9")), fcgi.stdin(b"four"))
        equal(c.answer().status, 400)
    equal(m.get("/echo", CONTENT_LENGTH="x").error, "bad-request")
    equal(m.get("/%00").error, "bad-request")
    equal(m.get("/echo", "POST", b"no length", CONTENT_LENGTH=None).body,
          b"no length")
    m.end()


# -- when there is more than one application, or files ------------------------

@test("a second application, public/ and mamayo stop take the sockets back,"
      " workers accept again when that has gone, and no request is lost")
def _():
    m = settled(account())
    with Load(*every_kind(m)) as load:
        comes_and_goes(m, load)
    load.only((200, None), (503, "stopped"))
    m.end()


def behind(make):
    m = account()
    server = make(m).start()
    equal(server.get("/unread").status, 200)
    settled(m)
    with Load(*[http(server)] * 4 + [http(server, "/body")] * 2) as load:
        comes_and_goes(m, load)
    load.only((200, None), (503, "stopped"))
    settled(m)
    return m, server


def ends(m, server, page):
    """What a visitor sees of a worker that is killed, and of a stuck one."""
    got = server.get("/die?how=kill")
    equal((got.status, got.header("X-Mamayo-Error")), page)
    m.settings(timeout=1, workers={"max": 2})
    for pid in m.workers("ROOT"):
        kill(pid)
    within(20, lambda: server.get("/unread").status == 200)
    settled(m)
    got = server.get("/sleep?seconds=60")
    equal((got.status, got.header("X-Mamayo-Error")), (504, "timeout"))
    server.stop()
    m.end()


@test("nginx, kept connections: the same; 502 for a killed worker's visitor"
      " (mamayo's page, for such a connection is the responder's), 504 for a"
      " stuck one's")
def _():
    ends(*behind(servers.Nginx), page=(502, "died"))


@test("nginx, connections that are not kept: the same, but 502 is nginx's")
def _():
    ends(*behind(lambda m: servers.Nginx(m, keep=False)), page=(502, None))


@test("lighttpd: the same; 500 for a killed worker's visitor, 504 for a stuck"
      " one's")
def _():
    ends(*behind(servers.LighttpdListen), page=(500, None))


@test("Apache: its workers give the sockets back, and do not get them again")
def _():
    m = account()
    server = servers.ApacheProxy(m).start()
    for _ in range(20):
        equal(server.get("/unread").status, 200)
    with Load(*[http(server)] * 3) as load:
        other = settled(account())  # in this time ours could have, too
        given_back(m)
        other.close()
    load.only((200, None))
    equal(any(accepting(m)), False)
    server.stop()
    m.end()


@test("\"accept\": false: workers never accept")
def _():
    m = account(accept=False)
    equal(m.get("/unread").status, 200)
    other = settled(account())
    equal(accepting(m), [False])
    for x in m, other:
        x.close()


@test("an application that is not ROOT: only with \"accept\": true, and what is"
      " outside of it gets mamayo's 404")
def _():
    plain, m = account("blog"), account("blog", accept=True)
    equal(plain.get("/blog/unread").status, 200)
    settled(m, "blog", "/blog/unread")
    equal(accepting(plain, "blog"), [False])
    with Load(raw(m, LIGHTTPD, uri="/blog/echo"),
              raw(m, NGINX, 3, uri="/blog/echo"), raw(m, LIGHTTPD, uri="/no"),
              raw(m, NGINX, 2, uri="/blogger")) as load:
        for path, script, info in (("/blog", "/blog", ""),
                                   ("/blog/path", "/blog", "/path"),
                                   ("/blog/a%20b", "/blog", "/a b"),
                                   ("/x/../blog/x", "/blog", "/x")):
            got = json.loads(m.text(path))
            equal((got["script_name"], got["path_info"]), (script, info))
        for path in "/", "/blogger", "/blog%00", "/x/blog":
            equal(m.get(path).status, 400 if "%" in path else 404, path)
    load.only((200, None), (404, "no-app"))
    settled(m, "blog", "/blog/unread")
    for x in plain, m:
        x.close()


# -- ends ---------------------------------------------------------------------

def killed_while_idle(rounds):
    m = settled(account())
    got = []

    def visit():
        begin = time.monotonic()
        try:
            status = m.get("/unread", SERVER_SOFTWARE=LIGHTTPD).status
        except (fcgi.Cut, ConnectionError):
            status = "cut"  # accepted by the one that was killed
        got.append((status, time.monotonic() - begin))
    for i in range(rounds):
        settled(m)
        pid = int(m.text("/pid"))  # it has served, so it is no bad start
        visits = [threading.Thread(target=visit, daemon=True)
                  for _ in range(1 + i % 3)]
        if i % 2:
            kill(pid)
        for t in visits:
            t.start()
        if not i % 2:
            kill(pid)
        for t in visits:
            t.join(60)
    equal({status for status, _ in got} - {200, "cut"}, set())
    slowest = max(seconds for _, seconds in got)
    assert slowest < BOUND, slowest
    m.end()


@test("200 workers are killed while they are idle and connections come: none"
      " is stranded")
def _():
    fcgi.each(4, lambda i: killed_while_idle(50))


@test("connections in line behind a worker that is stopped are the"
      " responder's")
def _():
    m = settled(account(timeout=2, workers={"max": 1}))
    pid = m.workers("ROOT")[0]
    kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    got = fcgi.each(5, lambda i: m.get("/unread").status)
    equal(set(got) - {200, 504, 503}, set())
    assert time.monotonic() - begin < 15
    within(10, lambda: not alive(pid), "its end")
    equal(m.get("/unread").status, 200)
    m.end()


def listening_inodes(m):
    """Of our socket: what /proc shows for a descriptor of it."""
    with open("/proc/net/unix") as f:
        return {"socket:[%s]" % line.split()[6] for line in f
                if m.dir in line and line.split()[3] == "00010000"
                and m.path("run") not in line}


def holders(m, inodes):
    return sorted({p.pid for p in every_process()
                   if inodes & set(p.descriptors().values())})


@test("the responder is killed: what a worker answers is answered, nobody"
      " holds the socket, and another one serves there")
def _():
    m = settled(account(grace=30))
    inodes = listening_inodes(m)
    equal(len(inodes), 1)
    supervisor = m.supervisor()
    before = len(Process(supervisor).descriptors())
    for keep in False, True, False:
        with m.connect() as c:
            c.send(fcgi.request("/half?name=responder&size=100", keep=keep,
                                SERVER_SOFTWARE=NGINX))
            m.has("half responder")
            m.listening.kill()
            m.listening.wait()
            m.others.remove(m.listening)
            m.listening = m.listen()  # at once
            fcgi.Connection(m.address).close()
            m.open_gate("responder")
            equal(len(c.answer(keep=keep).body), 100)
        equal(m.get("/unread").status, 200)
        within(10, lambda: holders(m, inodes) == [], "the socket's end")
        settled(m)
        inodes = listening_inodes(m)
        os.unlink(os.path.join(m.dir, "responder"))
        os.unlink(os.path.join(m.dir, "journal"))
    equal(m.supervisor(), supervisor)
    equal(len(Process(supervisor).descriptors()) <= before + 1, True)
    m.close(60)


def patient(ask):
    """Where nobody listens, a web server tries again; but no answer is cut."""
    def asks():
        try:
            yield from ask()
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.01)
    return asks


def restarts(address):
    m = Mamayo(workers={"max": 2}, grace=10)
    m.app("ROOT")
    m.listening = m.listen(address and address())
    settled(m)
    with Load(*[patient(a) for a in (
            raw(m, LIGHTTPD, body=b"l"), raw(m, "test/1", body=b"t"),
            raw(m, LIGHTTPD, uri="/sleep?seconds=0.02"))]) as load:
        load.seen.clear()
        for _ in range(5):
            m.listening.terminate()
            equal(m.listening.wait(20), 0)
            m.others.remove(m.listening)
            m.listening = m.listen(m.address)
            settled(m)
    load.only((200, None))
    m.end()


@test("the responder is restarted five times under load: no request is lost")
def _():
    restarts(None)


@test("the same on TCP")
def _():
    restarts(lambda: "tcp:127.0.0.1:%d" % servers.free_port())


@test("a worker that is busy does not keep the address from the next mamayo"
      " listen")
def _():
    for address in (None, "tcp:127.0.0.1:%d" %
                    servers.free_port()):
        m = Mamayo(workers={"max": 2}, grace=10)
        m.app("ROOT")
        m.listening = m.listen(address)
        settled(m)
        with ToWorkers(m) as w:
            c = w.send(fcgi.request("/gate?name=busy"))
            m.has("started busy")
        m.listening.terminate()
        equal(m.listening.wait(5), 0)
        m.others.remove(m.listening)
        m.listening = m.listen(m.address)
        equal(m.get("/unread").status, 200)
        equal(m.listening.poll(), None)
        m.open_gate("busy")
        equal(c.answer().body, b"busy")
        c.close()
        settled(m)
        m.close()


@test("the supervisor is killed three times under load: no request is lost")
def _():
    m = settled(account())
    with Load(*every_kind(m)) as load:
        for _ in range(3):
            old = m.supervisor()
            kill(old)
            within(20, lambda: m.lock_holder() not in (0, old),
                   "another supervisor")
            settled(m)
    load.only((200, None))
    m.end()


@test("two mamayo listen at once: workers accept for both, and go on when one"
      " has gone")
def _():
    m = account()
    first, one = m.listening, m.address
    second = m.listen("unix:" + m.socket + "2")
    two = m.address
    for address in one, two:  # with which the supervisor learns of it
        equal(fcgi.fetch(address, "/unread").status, 200)
    settled(m)
    within(10, lambda: len(holders(m, listening_inodes(m))) == 4,
           "the worker to have both sockets")
    for p in first, second:
        kill(p.pid, signal.SIGSTOP)
    for address in one, two:
        equal(fcgi.fetch(address, "/unread").status, 200)
    for p in first, second:
        kill(p.pid, signal.SIGCONT)
    m.address = one
    with Load(*every_kind(m)) as load:
        second.terminate()
        equal(second.wait(20), 0)
        m.others.remove(second)
        settled(m)
        within(10, lambda: holders(m, listening_inodes(m)) != [])
    load.only((200, None))
    with ToWorkers(m) as w:
        equal(w.get("/unread", address=one).status, 200)
    m.end()


# -- descriptors --------------------------------------------------------------

FDS = """
import json, os, subprocess, sys

def fds():
    return {n: os.readlink("/proc/self/fd/" + n)
            for n in os.listdir("/proc/self/fd")
            if os.path.lexists("/proc/self/fd/" + n)}

SHOW = '''import json, os
print(json.dumps({n: os.readlink("/proc/self/fd/" + n)
    for n in os.listdir("/proc/self/fd")
    if os.path.lexists("/proc/self/fd/" + n)}))'''

def forked():
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(into, json.dumps(fds()).encode())
        os._exit(0)
    os.close(into)
    with open(out) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return json.loads(text)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"worker": fds(), "forked": forked(), "run": json.loads(
        subprocess.check_output([sys.executable, "-c", SHOW],
                                close_fds=False).decode())}).encode()]
"""


def open_files(m):
    """Of the only worker, when it is idle: a visitor has the answer before
    the worker has closed its connection."""
    worker, = m.status_of("ROOT")["workers"]
    process = Process(worker["pid"])
    before = None
    while before != process.descriptors() or process.state == "R":
        before = process.descriptors()
        time.sleep(0.05)
        process = Process(worker["pid"])
    return before


@test("a worker holds two descriptors more for each socket, close-on-exec and"
      " in no child, and none when they are given back")
def _():
    m = account(source=FDS, workers={"max": 1})
    m.get("/")
    settled(m, uri="/")
    inodes = listening_inodes(m)
    within(5, lambda: inodes & set(open_files(m).values()), "the socket")
    held = open_files(m)
    equal(len([n for n, what in held.items() if what in inodes]), 1)
    m.app("second")
    within(20, lambda: m.get("/second/unread").body == b"did not look")
    given_back(m)
    without = open_files(m)
    extra = {what for n, what in held.items() if n not in without}
    equal((len(held) - len(without), len(extra)), (2, 2))
    equal(inodes < extra, True)
    equal(m.get("/").status, 200)
    equal(open_files(m), without)
    shutil.rmtree(m.path("apps", "second"))
    settled(m)
    for _ in range(3):
        with ToWorkers(m) as w:  # so it is the worker's own connection
            got = json.loads(w.get("/").body.decode())
        equal(inodes < set(got["worker"].values()), True)
        back = set(open_files(m).values()) - set(without.values())
        equal((len(back), inodes < back), (2, True))
        for child in "forked", "run":
            equal(set(got[child].values()) & back, set(), child)
    flags = [Process(m.workers("ROOT")[0]).read("fdinfo/%d" % n)
             for n, what in open_files(m).items() if what in back]
    for text in flags:
        equal(int(re.search(rb"flags:\s+(\d+)", text).group(1), 8)
              & 0o2000000 != 0, True, text)
    m.end()


@test("after mamayo stop only responder and supervisor hold the socket; after"
      " the responder nobody does")
def _():
    m = settled(account(grace=30))
    inodes = listening_inodes(m)
    pids = m.workers("ROOT")
    equal(holders(m, inodes), sorted(
        pids + [m.supervisor(), m.listening.pid]))
    before = len(Process(m.listening.pid).descriptors())
    m.command("stop", "ROOT")
    within(20, lambda: m.workers("ROOT") == [], "the workers to leave")
    equal(holders(m, inodes), sorted([m.supervisor(), m.listening.pid]))
    equal(m.get("/").error, "stopped")
    within(10, lambda: len(Process(m.listening.pid).descriptors()) <= before)
    supervisor = m.supervisor()
    m.listening.terminate()
    m.listening.wait(20)
    m.others.remove(m.listening)
    within(10, lambda: holders(m, inodes) == [], "the socket's end")
    equal(alive(supervisor), True)
    equal(os.path.exists(m.socket), False)
    m.close(60)


run()
