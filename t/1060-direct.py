"""Direct answers: the worker writes to the connection of lighttpd or nginx
itself, and the responder only looks where its answer is.

What is the same in every mode is in t/1050-modes.py.
"""
import glob
import os
import resource
import shutil
import signal
import struct
import time

import fcgi
from harness import equal, run, test, within
from mamayo import APPS, Mamayo, Process, kill

IDLE = 1000     # connections that are kept and silent
PATIENCE = 0.2  # seconds in the queue: then a worker looks who waits

# What an application may do to the process that it lives in.
DOORS = '''

import resource


@door
def starve(environ, start_response, **_):
    """There is no descriptor for the next request."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (
        3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return plain(start_response, "starving")


@door
def drop_dead(environ, start_response, **_):
    """Ends with the next request, before anybody can see that it has it."""
    import mamayo_wsgi
    mamayo_wsgi.Worker.handle = lambda *_: os._exit(9)
    return plain(start_response, "next time")


@door
def stubborn(environ, start_response, **_):
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    time.sleep(60)


@door
def raise_late(environ, start_response, **_):
    def chunks():
        yield b"a" * 1000
        raise RuntimeError("too late for a page")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return chunks()


@door
def lie(environ, start_response, name="lie", **_):
    """Says that it will have made progress at the end of time."""
    page = [os.readlink("/proc/self/fd/5")]
    with open(page[0], "r+b") as board:
        board.seek(8 * 5)
        board.write(b"\\xff" * 7 + b"\\x7f")
    journal("started", name)
    wait_for(name)
    return plain(start_response, "the truth")
'''


class Kind:
    def __init__(self, name, software, keep=False):
        self.name, self.software, self.keep = name, software, keep

    def request(self, uri, method="GET", body=b"", id=1, **more):
        return fcgi.request(uri, method, body, id=id, keep=self.keep,
                            SERVER_SOFTWARE=self.software, **more)

    def send(self, m, uri, address=None):
        """A request that is on its way -> its connection."""
        c = fcgi.Connection(address or m.address)
        c.send(self.request(uri))
        return c

    def get(self, m, uri, address=None):
        with self.send(m, uri, address) as c:
            return c.answer(keep=self.keep)

    def fine(self, m):
        equal(self.get(m, "/unread").body, b"did not look")


LIGHTTPD = Kind("lighttpd", "lighttpd/1.4.69")
NGINX = Kind("nginx", "nginx/1.22.1")
KEPT = Kind("nginx, kept", "nginx/1.22.1", keep=True)
KINDS = [LIGHTTPD, NGINX, KEPT]


def account(count=1, **settings):
    settings.setdefault("workers", {"max": 2})
    m = Mamayo(**settings)
    with open(os.path.join(APPS, "hall.py")) as f:
        m.app("ROOT", f.read() + DOORS)
    m.start(count)
    return m


shared = account()


def of_kind(*kinds):
    def choose(title):
        def add(function):
            for kind in kinds:
                test("%s: %s" % (kind.name, title))(
                    lambda kind=kind: function(kind))
        return add
    return choose


every = of_kind(*KINDS)
not_kept = of_kind(LIGHTTPD, NGINX)
kept = of_kind(KEPT)


def ended(c, seconds=10):
    """Waits for the end of the connection -> all that came before."""
    c.socket.settimeout(seconds)
    while c._fill(len(c.got) + 1):
        pass
    return bytes(c.got)


def until_seen(c):
    """Waits until the responder has read what was sent on a connection that
    somebody else answers."""
    c.taken(10)


# -- what comes from the web server meanwhile ---------------------------------

@kept("a question during an answer is answered behind it")
def _(kind):
    m = shared
    with kind.send(m, "/half?name=asked&size=1000") as c:
        m.has("half asked")
        c.send(fcgi.get_values("FCGI_MPXS_CONNS"))
        until_seen(c)
        m.open_gate("asked")
        text = b""
        while True:
            what, _, content = c.record()
            if what == fcgi.END:
                break
            equal(what, fcgi.STDOUT)
            text += content
        equal(len(text.partition(b"\r\n\r\n")[2]), 1000)
        equal(c.record()[0], fcgi.VALUES)
        c.send(kind.request("/unread"))
        equal(c.answer(keep=True).body, b"did not look")


@not_kept("a question during an answer does not disturb it")
def _(kind):
    m = shared
    name = "quiet " + kind.name
    with kind.send(m, "/half?name=%s&size=1000" % name.replace(
            " ", "%20")) as c:
        m.has("half " + name)
        c.send(fcgi.get_values("FCGI_MPXS_CONNS"))
        until_seen(c)
        m.open_gate(name)
        equal(len(c.answer().body), 1000)


@kept("a question during an answer that fails is answered behind the page")
def _(kind):
    m = account()
    kind.fine(m)
    with kind.send(m, "/gate?name=never") as c:
        m.has("started never")
        c.send(fcgi.get_values("FCGI_MPXS_CONNS"))
        until_seen(c)
        kill(m.workers("ROOT")[0])
        text = b""
        while True:
            what, _, content = c.record()
            if what == fcgi.END:
                break
            text += content
        assert b"Status: 502" in text, text
        equal(c.record()[0], fcgi.VALUES)
    m.end()


@every("a request that is taken back: its connection ends, close() is called")
def _(kind):
    m = shared
    name = "taken-back-%s" % kind.name.replace(", ", "-")
    with kind.send(m, "/endless?name=" + name) as c:
        m.has("started " + name)
        c.send(fcgi.abort())
        ended(c)
        m.has("closed " + name)
    kind.fine(m)


@every("a request that is taken back while it waits is not served")
def _(kind):
    m = account(workers={"max": 1})
    busy = kind.send(m, "/gate?name=busy")
    m.has("started busy")
    with kind.send(m, "/gate?name=nobody") as c:
        within(20, lambda: m.status_of("ROOT")["queued"] == 1)
        c.send(fcgi.abort())
        ended(c)
        time.sleep(PATIENCE)
    m.open_gate("busy")
    equal(busy.answer(keep=kind.keep).body, b"busy")
    busy.close()
    kind.fine(m)
    assert "started nobody" not in "\n".join(m.journal())
    m.end()


@not_kept("a second request where only one was announced is never served")
def _(kind):
    m = account()
    for id in (1, 2):
        name = "first%d" % id
        with kind.send(m, "/half?size=1000&name=" + name) as c:
            m.has("half " + name)
            c.send(kind.request("/gate?name=second", id=id))
            until_seen(c)
            kind.fine(m)
            m.open_gate(name)
            if id == 1:
                ended(c)  # it is broken off
            else:
                equal(len(c.answer().body), 1000)
    kind.fine(m)
    assert "started second" not in "\n".join(m.journal())
    m.end()


@every("two requests at once: one is served, the other refused")
def _(kind):
    m = shared
    with m.connect() as c:
        c.send(kind.request("/download?size=300000")
               + kind.request("/unread", id=2))
        text, status = b"", {}
        while len(status) < 2:
            what, id, content = c.record()
            if what == fcgi.END:
                status[id] = content[4]
            else:
                equal((what, id), (fcgi.STDOUT, 1))
                text += content
        equal(status, {1: fcgi.COMPLETE, 2: fcgi.CANT_MULTIPLEX})
        equal(len(text.partition(b"\r\n\r\n")[2]), 300000)
    kind.fine(m)


@every("the end of the connection at any moment of a request costs nothing")
def _(kind):
    m = account()
    kind.fine(m)
    before = len(Process(m.responders[0]).descriptors())
    whole = kind.request("/echo", "POST", b"body")
    for half in (False, True):
        for at in list(range(0, 48, 5)) + list(range(
                48, len(whole), 61)) + [len(whole) - 1]:
            with m.connect() as c:
                c.send(whole[:at])
                if half:
                    c.half_close()
                    ended(c)
    kind.fine(m)
    within(10, lambda: len(Process(
        m.responders[0]).descriptors()) <= before, "closed descriptors")
    m.end()


@every("the end of the connection at any moment of an answer costs nothing")
def _(kind):
    m = account(workers={"max": 1})
    kind.fine(m)
    responder = m.responders[0]
    before = len(Process(responder).descriptors())
    for number, door in enumerate((
            "gate?", "half?size=1000&", "half?size=1000&then=die&")):
        name = "leaves%d" % number
        c = kind.send(m, "/%sname=%s" % (door, name))
        waiting = kind.send(m, "/gate?name=nobody")
        until_seen(waiting)
        m.has(("started " if number == 0 else "half ") + name)
        c.close()
        waiting.close()
        time.sleep(PATIENCE)
        m.open_gate(name)
        kind.fine(m)
    within(10, lambda: len(Process(responder).descriptors()) <= before,
           "closed descriptors")
    assert "started nobody" not in "\n".join(m.journal())
    m.end()


@every("who sends no more during an answer gets the whole of it")
def _(kind):
    m = shared
    name = "half-closed-%s" % kind.name.replace(", ", "-")
    with kind.send(m, "/half?size=1000&name=" + name) as c:
        m.has("half " + name)
        c.half_close()
        kind.fine(m)
        m.open_gate(name)
        equal(len(c.answer().body), 1000)


# -- who dies -----------------------------------------------------------------

@every("a worker that has no descriptor for a request: 502, and the next is"
       " fine")
def _(kind):
    m = account(workers={"max": 1})
    equal(kind.get(m, "/starve").body, b"starving")
    got = kind.get(m, "/unread")
    equal((got.status, got.error), (502, "died"))
    kind.fine(m)
    m.end()


@every("a worker that dies as it takes a request: the visitor does not hang")
def _(kind):
    m = account(workers={"max": 1}, accel=False)
    equal(kind.get(m, "/drop_dead").body, b"next time")
    with kind.send(m, "/unread") as c:
        equal(ended(c), b"")
    kind.fine(m)
    m.end()


@every("a worker dies while the supervisor is stopped: 502 all the same")
def _(kind):
    m = account()
    kind.fine(m)
    with kind.send(m, "/gate?name=never") as c:
        m.has("started never")
        pid = int(m.journal()[-1].split()[2])
        supervisor = m.supervisor()
        kill(supervisor, signal.SIGSTOP)
        try:
            kill(pid)
            got = c.answer(keep=kind.keep)
            equal((got.status, got.error), (502, "died"))
        finally:
            kill(supervisor, signal.SIGCONT)
    kind.fine(m)
    m.end()


@every("a worker dies in its answer while the supervisor is stopped: it is"
       " cut off")
def _(kind):
    m = account()
    kind.fine(m)
    with kind.send(m, "/half?name=never&size=1000") as c:
        m.has("half never")
        pid = int(m.journal()[-1].split()[2])
        supervisor = m.supervisor()
        kill(supervisor, signal.SIGSTOP)
        try:
            kill(pid)
            assert not ended(c).endswith(struct.pack(">IB3x", 0, 0))
        finally:
            kill(supervisor, signal.SIGCONT)
    kind.fine(m)
    m.end()


@every("the supervisor is killed: an answer that takes long is not disturbed")
def _(kind):
    m = account()
    with kind.send(m, "/half?name=long&size=1000") as c:
        m.has("half long")
        kill(m.supervisor())
        kind.fine(m)
        c.output()
        assert c.silent(3)
        m.open_gate("long")
        while c.record()[0] != fcgi.END:
            pass
    m.end()


@every("the responder is killed: what is being answered arrives whole")
def _(kind):
    m = account()
    with kind.send(m, "/half?name=alone&size=1000") as c:
        m.has("half alone")
        m.kill_responder()
        m.open_gate("alone")
        equal(len(c.answer().body), 1000)  # and then it ends, kept or not
    m.start()
    kind.fine(m)
    m.end()


@every("a worker that ignores the signal to write its stacks: 504")
def _(kind):
    m = account(timeout=1)
    begin = time.monotonic()
    got = kind.get(m, "/stubborn")
    equal((got.status, got.error), (504, "timeout"))
    assert time.monotonic() - begin < 15
    kind.fine(m)
    m.end()


@every("an application that lies about its progress harms nobody")
def _(kind):
    m = account()
    with kind.send(m, "/lie?name=truth") as c:
        m.has("started truth")
        assert c.silent(2)
        m.open_gate("truth")
        equal(c.answer(keep=kind.keep).body, b"the truth")
    kind.fine(m)
    m.end()


@every("a cleaner takes run/ away: an answer that takes long is not disturbed")
def _(kind):
    m = account()
    with kind.send(m, "/half?name=clean&size=1000") as c:
        m.has("half clean")
        shutil.rmtree(m.path("run"))
        c.output()
        assert c.silent(3)
        m.open_gate("clean")
        while c.record()[0] != fcgi.END:
            pass
    kind.fine(m)
    m.end()


@every("an answer that breaks off: only nginx that does not keep gets an"
       " END_REQUEST, with appStatus 1")
def _(kind):
    m = shared
    for uri in ("/raise_late", "/half?then=die&size=1000&length=no&name=%s"
                % kind.name[:5]):
        with kind.send(m, uri) as c:
            m.open_gate(kind.name[:5])
            text, last = b"", None
            while True:
                got = c.record()
                if got is None:
                    break
                if got[0] == fcgi.STDOUT:
                    text += got[2]
                else:
                    last = got
            assert b"\r\n\r\na" in text, text
            equal(last, (fcgi.END, 1, struct.pack(">IB3x", 1, 0))
                  if kind is NGINX else None)
        os.unlink(os.path.join(m.dir, kind.name[:5]))
    kind.fine(m)


# -- limits -------------------------------------------------------------------

@every("as many may wait as the settings say, and whoever has been answered"
       " does not count")
def _(kind):
    m = account(queue=2, workers={"max": 1})
    kind.fine(m)
    for round in range(3):
        gate = "open%d" % round
        flight = [kind.send(m, "/gate?name=" + gate)]
        m.has("started " + gate)
        for _ in range(2):  # below the limit, and at it
            flight.append(kind.send(m, "/gate?name=" + gate))
            until_seen(flight[-1])
        got = kind.get(m, "/unread")
        equal((got.status, got.error), (503, "queue-full"))
        m.open_gate(gate)
        for c in flight:
            equal(c.answer(keep=kind.keep).status, 200)
        kind.fine(m)
        for c in flight:
            if round == 1:
                c.close()
    m.end()


@not_kept("who waits behind a request of another responder, which came later,"
          " is answered")
def _(kind):
    m = account(2, workers={"max": 1})
    early, late = m.sockets
    equal(kind.get(m, "/unread", late).status, 200)
    busy = kind.send(m, "/gate?name=go", late)
    m.has("started go")
    supervisor = m.supervisor()
    kill(supervisor, signal.SIGSTOP)
    first = kind.send(m, "/unread", early)  # which must ask for the queue
    until_seen(first)
    second = kind.send(m, "/unread", late)
    until_seen(second)
    kill(supervisor, signal.SIGCONT)
    within(20, lambda: m.status_of("ROOT")["queued"] == 2, "two to wait")
    assert first.silent(2.5)
    m.open_gate("go")
    for c in (busy, first, second):
        equal(c.answer().status, 200)
        c.close()
    m.end()


def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


many_files()


@every("2000 at once are all answered")
def _(kind):
    m = account(queue=4000, queue_timeout=60, workers={"max": 2})
    kind.fine(m)
    connections = [kind.send(m, "/unread") for _ in range(2000)]
    for c in connections:
        equal(c.answer(keep=kind.keep).status, 200)
    if kind.keep:
        for c in connections:
            c.send(kind.request("/unread"))
        for c in connections:
            equal(c.answer(keep=True).status, 200)
    for c in connections:
        c.close()
    kind.fine(m)
    m.end()


@every("700 answers and 70 deaths leave no descriptor behind")
def _(kind):
    m = account(workers={"max": 4})
    kind.fine(m)
    responder = m.responders[0]
    before = len(Process(responder).descriptors())
    for _ in range(70):
        for _ in range(10):
            equal(kind.get(m, "/unread").status, 200)
        equal(kind.get(m, "/die").status, 502)
    kind.fine(m)
    within(10, lambda: len(Process(responder).descriptors()) <= before,
           "closed descriptors")
    m.end()


def sleeps(pid):
    """How often a process has gone to sleep."""
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith("voluntary_ctxt_switches:"):
                return int(line.split()[1])


def rate(pid, seconds=3):
    """How often it wakes in a second."""
    before = sleeps(pid)
    time.sleep(seconds)
    return (sleeps(pid) - before) / seconds


@kept("connections that are idle do not wake the responder")
def _(kind):
    m = account()
    idle = [kind.send(m, "/unread") for _ in range(20)]
    for c in idle:
        equal(c.answer(keep=True).status, 200)
    within(20, lambda: rate(m.responders[0], 2) < 1, "a quiet responder")
    assert rate(m.responders[0]) < 1
    for c in idle:
        c.close()
    m.end()


@every("an answer that takes long wakes the responder seldom")
def _(kind):
    m = account()
    with kind.send(m, "/gate?name=long") as c:
        m.has("started long")
        within(20, lambda: rate(m.responders[0], 2) < 5, "a quiet responder")
        m.open_gate("long")
        equal(c.answer(keep=kind.keep).body, b"long")
    kind.fine(m)
    m.end()


def parked(pid):
    """How many descriptors are in its epoll sets."""
    n = 0
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        try:
            with open(path) as f:
                n += f.read().count("tfd:")
        except OSError:
            pass
    return n


@kept("with 1000 idle connections to mamayo listen the others are served as"
      " fast, and few are polled")
def _(kind):
    m = Mamayo(workers={"max": 2}, queue=2000)
    m.app("ROOT")
    pid = m.listen().pid
    idle = [kind.send(m, "/unread") for _ in range(IDLE)]
    for c in idle:
        equal(c.answer(keep=True).status, 200)
    with m.connect() as hot:
        def serve():
            for _ in range(100):
                hot.send(kind.request("/unread"))
                equal(hot.answer(keep=True).status, 200)
            return parked(pid) > IDLE - 100
        within(60, serve, "parked connections")
        took = []
        for _ in range(20):
            begin = time.monotonic()
            kind.fine(m)
            took.append(time.monotonic() - begin)
        assert sorted(took)[10] < 0.1, took
    for c in idle[::7]:
        c.send(kind.request("/unread"))
        equal(c.answer(keep=True).status, 200)
    for c in idle:
        c.close()
    within(20, lambda: len(Process(pid).descriptors()) < 100,
           "closed descriptors")
    m.end()


run()
