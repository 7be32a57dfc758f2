"""More that an application can do to its process, one line each in a table
(RELIABILITY 3.1): what its visitor sees, and that the next request is well.
Each is tried with answers that pass the responder, and with direct ones."""
import os
import re
import signal
import struct
import time
from urllib.parse import quote

import fcgi
from harness import equal, run, test, within
from mamayo import Mamayo, Process, alive, gone, kill

m = Mamayo(workers={"max": 1}, timeout=2)
m.app("blog")
# /odd?CODE runs it, with these in reach; then it answers
m.app("odd", """
    import ctypes, os, re, signal, socket, sys, threading, time
    from urllib.parse import unquote

    def journal(*words):
        with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
            f.write(" ".join(map(str, words)) + "\\n")

    def answer_socket():
        return [n for n in map(int, os.listdir("/proc/self/fd")) if n > 5 and
                os.path.exists("/proc/self/fd/%d" % n) and os.readlink(
                "/proc/self/fd/%d" % n).startswith("socket:")][-1]

    def deadlock():
        here, there, both = (threading.Lock(), threading.Lock(),
                             threading.Barrier(2))
        def take(one, other):
            with one:
                both.wait()
                with other:
                    pass
        threading.Thread(target=take, args=(there, here), daemon=True).start()
        take(here, there)

    def spin():
        while True:
            pass

    class Body(list):
        def __iter__(self):
            yield b"first"
            exec(self.middle)
            yield b"later"

        def close(self):
            exec(self.end)

    def application(environ, start_response):
        code, middle, end = (unquote(environ["QUERY_STRING"]).split("|")
                             + ["", ""])[:3]
        headers = [("Content-Length", "10")]
        exec(code)
        start_response("200 OK", headers)
        body = Body()
        body.middle, body.end = middle, end
        return body
    """)
m.app("busy", workers={"max": 10}, timeout=60)
m.start()

DEADLY = ("SEGV", "BUS", "FPE", "ILL", "ABRT", "KILL", "TRAP", "SYS")
KILLED = "os.kill(os.getpid(), signal.SIG%s)"
HARMLESS = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
            signal.SIGPIPE, signal.SIGALRM, signal.SIGCHLD, signal.SIGWINCH)
UNNOTICED = (signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
             signal.SIGURG, signal.SIGXFSZ, signal.SIGVTALRM, signal.SIGPROF)
SLACK = 2  # seconds, for a machine that does other things, too
PUMPED, DIRECT = "test/1", "lighttpd/1.4.69"
software = PUMPED


def in_both_ways(function):
    def both():
        global software
        for software in PUMPED, DIRECT:
            remark = function()
        return remark
    return both


def rss(pid):
    status = Process(pid).read("status").decode()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))


def request(uri):
    return fcgi.request(uri, SERVER_SOFTWARE=software)


def odd(code="", middle="", end="", **how):
    return m.get("/odd?" + quote("|".join((code, middle, end))),
                 SERVER_SOFTWARE=software, **how)


def raw(code=""):
    """All that comes, whatever it is."""
    with m.connect() as c:
        c.send(request("/odd?" + quote(code + "||")))
        while c._fill(len(c.got) + 1):
            pass
        return bytes(c.got)


def well():
    equal(odd().body, b"firstlater")
    m.served()


def pid_of(app="odd"):
    well()
    return m.workers(app)[0]


def broken_off(code="", middle="", end=""):
    """The STDOUT of an answer that must not look whole."""
    try:
        got = odd(code, middle, end)
    except fcgi.Cut as cut:
        return cut.text
    assert got.app_status != 0, got
    return got.text


@test("fault 1: killed by any signal before it reads a request that waits: it"
      " is another one's")
@in_both_ways
def _():
    for name in DEADLY:
        pid = pid_of()
        kill(pid, signal.SIGSTOP)
        with m.connect() as c:
            c.send(request("/odd?"))
            c.taken()
            kill(pid, getattr(signal, "SIG" + name))
            kill(pid, signal.SIGCONT)
            equal(c.answer().body, b"firstlater", name)
        gone(pid)


@test("fault 2: killed by any signal before the headers: 502, and the log says"
      " which")
@in_both_ways
def _():
    for name in DEADLY:
        seen = len(m.log("odd"))
        got = odd(KILLED % name)
        equal((got.status, got.error), (502, "died"), name)
        well()
        number = int(getattr(signal, "SIG" + name))
        assert re.search(r"ended while it answered /odd: killed by signal %d "
                         % number, m.log("odd")[seen:]), name


@test("fault 3: killed by any signal in the middle: cut off, nothing is added")
@in_both_ways
def _():
    for name in DEADLY:
        text = broken_off(middle=KILLED % name)
        assert text.endswith(b"\r\n\r\nfirst"), (name, text)
        well()


@test("fault 4: killed by any signal when the answer is complete: it is whole")
@in_both_ways
def _():
    for name in DEADLY:
        got = odd(end=KILLED % name)
        equal((got.status, got.body), (200, b"firstlater"), name)
        well()


@test("faults 6 to 9: stuck in C with Python's lock and without, in a loop, in"
      " a deadlock: 504 at the limit, and the log shows where")
@in_both_ways
def _():
    for code, where in (("re.match('(a+)+$', 'a' * 40 + 'b')", "match"),
                        ("time.sleep(10 ** 6)", "application"),
                        ("pair = socket.socketpair(); pair[0].recv(1)", "application"),
                        ("spin()", "spin"), ("deadlock()", "deadlock")):
        pid, before = pid_of(), time.monotonic()
        seen = len(m.log("odd"))
        got = odd(code)
        equal((got.status, got.error), (504, "timeout"), code)
        assert 1.9 < time.monotonic() - before < 10, code
        gone(pid)
        within(5, lambda: re.search(r"File .* in %s\b" % where,
                                    m.log("odd")[seen:]), "where " + code)
        well()


@test("fault 13: it closes its control socket, or everything: 502 at once")
@in_both_ways
def _():
    for code in ("os.close(3)", "os.closerange(3, 65536)",
                 "os.closerange(0, 65536)"):
        pid, before = pid_of(), time.monotonic()
        got = odd(code + "; time.sleep(60)")
        equal((got.status, got.error), (502, "died"), code)
        assert time.monotonic() - before < 1.9, "not before the limit"
        gone(pid)
        well()


def record(kind=fcgi.STDOUT, id=1, content=b"", version=1, length=None):
    """A record whose head may lie about its length."""
    return struct.pack(">BBHHBB", version, kind, id, len(content)
                       if length is None else length, 0, 0) + content


HEAD = b"Status: 200 OK\r\n\r\n"


def malformed():
    """Streams that are no answer, or not to this request."""
    return [b"garbage of some bytes", b"\0" * 100, b"\xff" * 100, HEAD * 10,
            b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 8, b"\xff" * 8] + [
        record(version=n) for n in (0, 2, 3, 127, 128, 255)] + [
        record(id=n) for n in (0, 2, 255, 256, 257, 65535)] + [
        record(kind) for kind in range(256) if kind < 20 and kind not in (
            fcgi.STDOUT, fcgi.STDERR, fcgi.END) or kind in (127, 128, 255)] + [
        record(fcgi.STDERR, content=b"text"), record(fcgi.END),
        record(fcgi.END, content=b"\0" * 7),
        record(fcgi.END, content=b"\0" * 9), record(fcgi.END, length=65535),
        record(fcgi.END, id=2, content=b"\0" * 8),
        record(fcgi.END, id=0, content=b"\0" * 8),
        record(fcgi.BEGIN, content=b"\0" * 8),
        record(fcgi.GET_VALUES, id=0), record(fcgi.VALUES, id=0),
        record(fcgi.UNKNOWN, id=0, content=b"\0" * 8)]


@test("fault 14: it writes what is no answer on its socket: 502 or cut off,"
      " said once in the log, and the next request is well")
@in_both_ways
def _():
    assert len(malformed()) >= 50, len(malformed())
    well()
    usual, pid = raw(), pid_of()
    for bytes_ in malformed():
        said = m.log().count("that is not FastCGI")
        code = "os.write(answer_socket(), %r)" % bytes_
        if software == PUMPED:
            got = odd(code)
            equal((got.status, got.error), (502, "protocol"), bytes_)
            said += 1
        else:  # it is the web server's own connection: nobody reads it before
            equal(raw(code), bytes_ + usual)
        well()
        equal(m.log().count("that is not FastCGI"), said, bytes_)
    # it has done as it was told: it is not the process that is broken
    equal(pid_of(), pid)
    # after what is the beginning of an answer, which may have been passed on
    begin = record(content=HEAD + b"some")
    for bytes_ in (b"garbage of some bytes", record(id=2),
                   record(length=65535) + b"few"):
        pid = pid_of()
        with m.connect() as c:
            c.send(request("/odd?" + quote(
                "s = answer_socket(); os.write(s, %r); time.sleep(0.2); "
                "os.write(s, %r); os._exit(1)" % (begin, bytes_))))
            try:
                got = c.answer()
                assert got.status == 502 or got.app_status != 0, got
                text = got.text
            except fcgi.Cut as cut:
                text = cut.text
            except fcgi.ProtocolError:
                equal(software, DIRECT)
                text = begin
        assert text.count(b"Status") == 1, text
        gone(pid)
        well()


@test("fault 14: too many headers, or too much of them: a 500 of the same"
      " worker; written on its socket they are the web server's to judge, and"
      " the responder holds little of them")
@in_both_ways
def _():
    pid = pid_of()
    for n, size in ((255, 200), (250, 240), (256, 1), (1, 65537), (65, 1024),
                    (10 ** 6, 1)):
        got = odd("headers += [('X-%%d' %% i, 'v' * %d) for i in range(%d)]"
                  % (size, n))
        fits = n < 256 and n * (size + 10) <= 65536
        equal(got.status, 200 if fits else 500, "%d of %d" % (n, size))
        if fits:
            equal([v for k, v in got.headers if k.startswith("X-")],
                  ["v" * size] * n)
        else:
            equal(got.error, "exception", "%d of %d" % (n, size))
        well()
    equal(pid_of(), pid)
    before = rss(m.responders[0])
    text = "Status: 200 OK\r\n" + "".join(
        "X-%d: v\r\n" % i for i in range(10 ** 6)) + "\r\nwhole"
    all = raw("text = 'Status: 200 OK\\r\\n' + ''.join('X-%d: v\\r\\n' % i for"
              " i in range(10 ** 6)) + '\\r\\nwhole'\n"
              "s = socket.socket(fileno=os.dup(answer_socket()))\n"
              "s.settimeout(60)\n"
              "for i in range(0, len(text), 60000):\n"
              " b = text[i:i + 60000].encode()\n"
              " s.sendall(b'\\1\\6\\0\\1' + len(b).to_bytes(2, 'big') +"
              " b'\\0\\0' + b)\n"
              "s.sendall(b'\\1\\6\\0\\1' + bytes(4) + b'\\1\\3\\0\\1\\0\\10' +"
              " bytes(10))")
    sent = b"".join(record(content=text[i:i + 60000].encode())
                    for i in range(0, len(text), 60000)) + record() + record(
                        fcgi.END, content=bytes(8))
    equal(len(all) >= len(sent) and all[:len(sent)] == sent, True,
          "%d bytes of %d" % (len(all), len(sent)))
    more = rss(m.responders[0]) - before
    assert more < 4 << 20, more
    well()


@test("fault 16: answers that come a byte at a time cost others nothing")
@in_both_ways
def _():
    m.app("drips", """
        import os, time
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"d"
            while not os.path.exists(os.environ["MAMAYO_TEST"] + "/dry"):
                time.sleep(0.1)
                yield b"d"
        """, workers={"max": 20}, timeout=60)
    if os.path.exists(os.path.join(m.dir, "dry")):
        os.unlink(os.path.join(m.dir, "dry"))
    slow = [m.connect() for _ in range(20)]
    for c in slow:
        c.send(request("/drips"))
    for c in slow:  # each comes as it is written
        while not c.output().endswith(b"d"):
            pass
    took = []
    for _ in range(100):
        before = time.monotonic()
        m.served()
        took.append(time.monotonic() - before)
    assert sorted(took)[94] < 0.1, sorted(took)[90:]
    equal(len(m.workers("drips")), 20)
    for c in slow:
        for _ in range(3):
            equal(c.output(), b"d")
    m.open_gate("dry")
    for c in slow:
        while c.output():
            pass
        equal(c.end_of(), (0, fcgi.COMPLETE))
        c.close()


@test("fault 17: what C prints is in its log, and not in the answer")
@in_both_ways
def _():
    code = ("libc = ctypes.CDLL(None); libc.printf(b'printed in C\\n');"
            " libc.fflush(None)")
    before = m.log("odd").count("printed in C")
    equal(odd(code, code, code).body, b"firstlater")
    within(5, lambda: m.log("odd").count("printed in C") == before + 3)


@test("fault 19: it logs a megabyte while the supervisor is stopped: nothing"
      " is lost, nobody waits")
@in_both_ways
def _():
    well()
    supervisor, before = m.supervisor(), m.log("odd").count("m" * 100000)
    kill(supervisor, signal.SIGSTOP)
    try:
        for _ in range(10):
            equal(odd("print('m' * 100000)").body, b"firstlater")
    finally:
        kill(supervisor, signal.SIGCONT)
    within(5, lambda: m.log("odd").count("m" * 100000) == before + 10)
    equal(m.supervisor(), supervisor)


@test("fault 21: sys.exit() in the application is a 500, in a thread and in"
      " close() nothing")
@in_both_ways
def _():
    pid = pid_of()
    got = odd("sys.exit(3)")
    equal((got.status, got.error), (500, "exception"))
    equal(odd("t = threading.Thread(target=sys.exit); t.start(); t.join()")
          .body, b"firstlater")
    equal(odd(end="sys.exit(3)").body, b"firstlater")
    equal(pid_of(), pid)


@test("faults 22 and 23: a child that goes back into the adapter, one that"
      " goes on with everything open: one answer, and the worker can go")
@in_both_ways
def _():
    pid = pid_of()
    equal(odd("os.fork()").body, b"firstlater")
    equal(odd("", "os.fork()").body, b"firstlater")
    equal(odd("if os.fork() == 0:\n os.setsid(); journal('daemon', os.getpid(),"
              " ''); time.sleep(600)").body, b"firstlater")
    within(5, lambda: len([x for x in m.journal() if x.startswith("daemon ")])
           == 1 + (software == DIRECT))
    daemon = int([x for x in m.journal() if x.startswith("daemon ")][-1]
                 .split()[1])
    equal(m.command("stop", "odd").returncode, 0)
    gone(pid)
    assert alive(daemon)
    equal(m.command("start", "odd").returncode, 0)
    well()
    kill(daemon)
    gone(daemon)


@test("fault 24: threads that never end, or raise at the exit, keep it no"
      " longer than stop_timeout")
@in_both_ways
def _():
    m.app("threads", """
        import atexit, os, threading, time
        def raise_late():
            threading.main_thread().join()
            raise RuntimeError("raised at the exit")
        def application(environ, start_response):
            target = (raise_late if environ["QUERY_STRING"] == "raise" else
                      lambda: time.sleep(10 ** 6))
            threading.Thread(target=target).start()
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        """, workers={"max": 1}, stop_timeout=1)
    for query in ("raise", "sleep"):
        within(10, lambda: m.get("/threads?" + query).status == 200)
        pid, before = m.workers("threads")[0], time.monotonic()
        equal(m.command("stop", "threads").returncode, 0)
        gone(pid)
        assert time.monotonic() - before < 5, query
        equal(m.command("start", "threads").returncode, 0)
    m.served()


@test("fault 26: it sends every signal but SIGKILL and SIGSTOP to its parent:"
      " others are served all the while, and in a moment it is, too")
@in_both_ways
def _():
    with m.connect() as c:
        gate = "signals-%d" % (software == DIRECT)
        c.send(request("/busy/gate?name=" + gate))
        m.has("started " + gate)
        got = odd("[os.kill(os.getppid(), s) for s in range(1, 32) if s not in"
                  " (9, 19)]")
        # 500: it had no parent any more that it may send one to
        assert got.status in (200, 500, 502, 503), got
        m.served()
        for number in range(1, 32):
            if number in (signal.SIGKILL, signal.SIGSTOP):
                continue
            well()
            supervisor = within(5, m.lock_holder, "a supervisor")
            got = odd("os.kill(%d, %d)" % (supervisor, number))
            equal(got.body, b"firstlater", str(number))
            began = time.monotonic()
            m.served()
            within(5, lambda: odd().status == 200, "signal %d" % number)
            took = time.monotonic() - began
            assert took < 1 + SLACK, "%.1f s after signal %d" % (took, number)
            if number in HARMLESS or number in UNNOTICED:
                equal(m.lock_holder(), supervisor, str(number))
            else:
                # one that retires has served, perhaps, what came until now
                within(5, lambda: odd().status == 200 and
                       m.lock_holder() not in (0, supervisor),
                       "another supervisor after signal %d" % number)
        m.open_gate(gate)
        equal(c.answer().body, gate.encode())
    # and to the responder, what does not end it
    responder = m.responders[0]
    for number in HARMLESS:
        equal(odd("os.kill(%d, %d)" % (responder, number)).body,
              b"firstlater", str(number))
    well()
    equal(m.status()["responders"][0]["pid"], responder)


@test("fault 28: exceptions as fast as they can be asked for are 500s of the"
      " same worker")
@in_both_ways
def _():
    pid = pid_of()
    for _ in range(500):
        equal(odd("1 / 0").status, 500)
    equal(pid_of(), pid)


@test("fault 84: it forks without end, and so do its children: 504 at the limit,"
      " all are ended, others are served all the while")
@in_both_ways
def _():
    m.app("bomb", """
        import os, resource, time

        def tasks():
            count = 0
            for name in os.listdir("/proc"):
                try:
                    if os.stat("/proc/" + name).st_uid == os.getuid():
                        count += len(os.listdir("/proc/%s/task" % name))
                except OSError:
                    pass
            return count

        def application(environ, start_response):
            # as hosters do; without that it would be everybody's machine
            most = tasks() + 40
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
            while True:
                try:
                    os.fork()
                except OSError:
                    open(os.environ["MAMAYO_TEST"] + "/full", "a").close()
                    time.sleep(0.01)
        """, env={"MAMAYO_BOMB": "1"}, preload="none")

    if os.path.exists(os.path.join(m.dir, "full")):
        os.unlink(os.path.join(m.dir, "full"))

    def bombs():
        return [p.pid for p in m.processes().values()
                if b"MAMAYO_BOMB=1" in p.read("environ")]
    with m.connect() as c:
        c.send(request("/bomb"))
        within(10, lambda: os.path.exists(os.path.join(m.dir, "full")),
               "no process more")
        most = len(bombs())
        assert most > 20, most
        m.served()
        got = c.answer()
    equal((got.status, got.error), (504, "timeout"))
    within(10, lambda: not bombs(), "the end of all of them")
    m.served()
    return "%d processes" % most


@test("fault 52: kill -9 of a responder with 50 requests: these end, and nobody"
      " else notices; workers call close(), and take the next")
@in_both_ways
def _():
    name = "many-%d" % (software == DIRECT)
    m.app(name, """
        import os, time
        HERE = os.environ["MAMAYO_TEST"]

        def note(*words):
            with open(HERE + "/journal", "a") as f:
                f.write(" ".join(words) + "\\n")

        class Body:
            def __init__(self, id):
                self.id = id

            def __iter__(self):
                yield b"first"
                while not os.path.exists(HERE + "/" + os.environ["GATE"]):
                    time.sleep(0.01)
                for _ in range(20):
                    yield b"x" * 100000

            def close(self):
                note("closed", os.environ["GATE"], self.id)

        def application(environ, start_response):
            start_response("200 OK", [])
            if not environ["QUERY_STRING"]:
                return [str(os.getpid()).encode()]
            note("called", os.environ["GATE"], environ["QUERY_STRING"])
            return Body(environ["QUERY_STRING"])
        """, workers={"max": 5}, timeout=60, env={"GATE": name})
    within(10, lambda: m.get("/" + name).status == 200)
    address = m.socket + name  # of one more
    doomed = m.start_at(address)
    asked = [fcgi.Connection(address) for _ in range(50)]
    for i, c in enumerate(asked):
        c.send(request("/%s?%d" % (name, i)))

    def events(what):
        return [x.split()[2] for x in m.journal()
                if x.startswith("%s %s " % (what, name))]
    within(20, lambda: len(events("called")) == 5, "five in its workers")
    within(20, lambda: m.status_of(name)["queued"] >= 45, "45 that wait")
    workers, supervisor = set(m.workers(name)), m.supervisor()
    begun = set(events("called"))
    m.kill_responder(doomed)
    gone(doomed)
    began = time.monotonic()
    m.served()
    assert time.monotonic() - began < SLACK
    # a direct one is its worker's, or lies in the queue: none is lost
    if software == PUMPED:
        for c in asked:
            try:
                got = c.answer()
                raise AssertionError("it has an end: %r" % got)
            except fcgi.Cut as cut:
                assert len(cut.text) < 1000, cut
    m.open_gate(name)
    if software == DIRECT:
        for c in asked:
            equal(len(c.answer().body), 5 + 20 * 100000)
    pid = int(m.text("/" + name))
    assert pid in workers, (pid, workers)
    within(10, lambda: begun <= set(events("closed")), "close() of all five")
    equal((set(m.workers(name)), m.supervisor()), (workers, supervisor))
    equal(sorted(events("called")), sorted(set(events("called"))))
    equal(sorted(events("closed")), sorted(events("called")))
    equal(len(events("called")), 5 if software == PUMPED else 50)
    for c in asked:
        c.close()


@test("after all that nobody holds more descriptors than at first")
def _():
    for pid in (m.responders[0], m.supervisor()):
        within(10, lambda: len(Process(pid).descriptors()) < 60,
               "%r" % Process(pid).descriptors())


run()
