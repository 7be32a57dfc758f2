"""The accelerator and the adapter in Python do the same: the same requests to
two workers of one application, one of each kind. Every byte of the answers is
compared, how they end, what is in the log, and the words of the scoreboard.

What the application does is drawn from a seed, which the test's line names:

    MAMAYO_SEED=SEED MAMAYO_ROUNDS=N python3 t/2080-accel-differential.py
"""
import os
import random
import re
import select

from harness import Skip, equal, run, test, within
from wsgi_harness import (HAS_ACCEL, HEAD, App, Queue, Worker, adapter, clock,
                          root, with_accelerator)

SEED = int(os.environ.get("MAMAYO_SEED") or random.randrange(2**32))
ROUNDS = int(os.environ.get("MAMAYO_ROUNDS") or 300)

# Each request says with which seed.
ODD = r'''
import io, itertools, random, sys, tempfile
from kit import *

class Text(str):
    pass
class Bytes(bytes):
    def __len__(self):
        return 1
class List(list):
    def __iter__(self):
        return iter([b"from", b"iter"])
class Own(Exception):
    def __str__(self):
        raise ValueError("no text")
class Base(BaseException):
    pass
class Sized:
    def __init__(self, blocks):
        self.blocks = blocks
    def __iter__(self):
        return iter(self.blocks)
    def __len__(self):
        raise Base("length")
class Getitem:
    def __init__(self, blocks):
        self.blocks = list(blocks)
    def __getitem__(self, i):
        return self.blocks[i]
class Liar:
    "Equal to everything."
    def __eq__(self, other):
        return True
    def __hash__(self):
        return hash("200 OK")

def say(*words):
    print(*words, file=sys.stderr)

def error(r):
    return r.choice([KeyError("k"), Own("o"), Base("b"), SystemExit(3),
                     KeyboardInterrupt(), GeneratorExit(), StopIteration(7),
                     MemoryError("m") if r.random() < .0 else OSError(5, "io"),
                     ValueError("\u2615 \x1b"), RecursionError("r"),
                     UnicodeError("u"), BrokenPipeError(32, "p")])

def status(r):
    if r.random() < .8:
        return r.choice(["200 OK", "404 Not Found", "204 No Content",
                         "304 Not Modified", "500 Oops", "299 X", "200",
                         "20%d %s" % (r.randrange(10), "x" * r.randrange(9)),
                         "".join(["200", " OK"])])
    return r.choice([Text("200 OK"), b"200 OK", None, 200, "2000", "200OK", "",
                     "100 Continue", "200 \xe9", "200 \u2615", "200 \n", [],
                     Liar(), "\u0662\u0660\u0660 OK", "999 " + "x" * 70000])

def value(r):
    if r.random() < .8:
        return r.choice(["text/plain", "x", "", "a" * r.randrange(300),
                         "caf\xe9", "\xa0\xff\x80", "a\tb"])
    return r.choice(["\u2615", "a\nb", "\0", "\x7f", b"x", None, 1,
                     Text("sub"), "\udcff", "x" * 65000, ["x"], "\x85"])

def name(r):
    if r.random() < .8:
        return r.choice(["Content-Type", "X-A", "X-%d" % r.randrange(300),
                         "Set-Cookie", "x-lower", "X!#$%&'*+-.^_`|~",
                         "ETag", "Location"])
    return r.choice(["Status", "Connection", "connection", "Upgrade", "",
                     "X:", "X Y", "\xe9", "X\n", b"X", None, Text("X-Sub"),
                     "TE", "Transfer-Encoding", "x" * r.randrange(600),
                     Liar()])

def headers(r, total):
    many = r.choice([0, 1, 2, 3, 5, 255, 257]) if r.random() < .1 else (
        r.randrange(6))
    out = [(name(r), value(r)) for _ in range(many)]
    if r.random() < .9:
        out = [(n, v) for n, v in out if type(n) is str and type(v) is str]
    if r.random() < .5:
        length = r.choice([total] * 6 + [total + 1, max(0, total - 1), 0,
                                         10**18, 10**19])
        text = r.choice([str(length)] * 8 + ["x", "", "-1", " 5", "\xb2",
                                             "0%d" % length])
        out.insert(r.randrange(len(out) + 1),
                   (r.choice(["Content-Length", "content-length"]), text))
        if r.random() < .1:
            out.append(("Content-Length", r.choice([text, "7"])))
    if r.random() < .1:
        out = r.choice([tuple(out), List(out), iter(out), None, dict(
            (n, v) for n, v in out if isinstance(n, str)), "Ab",
            out + [("a",)], out + [["a", "b"]], out + [("a", "b", "c")],
            out + [None]])
    return out

def block(r):
    return bytes(r.getrandbits(8) for _ in range(r.choice(
        [0, 0, 1, 2, 10, 100, 3000]))) * r.choice([1, 1, 1, 1, 1, 1, 20, 70])

def strange(r):
    return r.choice([bytearray(b"array"), memoryview(b"view"), Bytes(b"sub"),
                     "text", None, 5, memoryview(bytes(8)).cast("I"), [],
                     b"", Liar()])

def generator(r, blocks):
    for b in blocks:
        yield b
        if r.random() < .1:
            raise error(r)

class Closing:
    def __init__(self, r, blocks):
        self.r, self.blocks = r, iter(blocks)
    def __iter__(self):
        if self.r.random() < .1:
            raise error(self.r)
        return self.blocks
    def __getattr__(self, name):
        say("looked for", name)
        if name != "close" or self.r.random() < .3:
            raise AttributeError(name)
        if self.r.random() < .2:
            raise error(self.r)
        return self.finish
    def finish(self):
        say("closed")
        if self.r.random() < .2:
            raise error(self.r)

def result(r, blocks, environ):
    if r.random() < .2:
        blocks.insert(r.randrange(len(blocks) + 1), strange(r))
    kind = r.randrange(14)
    if kind < 4:
        return list(blocks)
    if kind < 6:
        return tuple(blocks)
    if kind == 6:
        return generator(r, blocks)
    if kind < 9:
        return Closing(r, blocks)
    if kind == 9:
        return iter(blocks)
    if kind == 10:
        file = tempfile.TemporaryFile()
        file.write(b"".join(b for b in blocks if type(b) is bytes))
        file.seek(r.choice([0, 0, 1]))
        return environ["wsgi.file_wrapper"](file, r.choice([1000, 8192]))
    if kind == 11:
        return r.choice([Sized, Getitem, List])(blocks)
    if kind == 12:
        return blocks[0] if blocks else b""
    return r.choice([None, "text", 5, b"bytes", bytearray(b"array"), {b"k": 1},
                     Text("sub"), Bytes(b"sub"), memoryview(b"ab"),
                     io.BytesIO(b"a\nb"), object(), [[]]])

def shown(value):
    if isinstance(value, (str, bool, tuple)):
        return value
    return type(value).__name__

def attempt(what, function, *args, **kw):
    try:
        got = function(*args, **kw)
        say(what, "gave", got.__class__.__name__ if what == "write"
            else callable(got))
        return got
    except BaseException as caught:
        try:
            say(what, "raised", type(caught).__name__, caught)
        except ValueError:
            say(what, "raised", type(caught).__name__)

def application(environ, start_response):
    r = random.Random(environ["QUERY_STRING"])
    say([(k, shown(v)) for k, v in environ.items()])
    if r.random() < .3:
        say("read", environ["wsgi.input"].read(r.choice([1, 100, -1]))[:20],
            environ["wsgi.input"].readline(50))
    if r.random() < .05:
        environ.clear()
        environ["wsgi.file_wrapper"] = list
    blocks = [block(r) for _ in range(r.choice([0, 1, 1, 1, 2, 3, 10]))]
    total = sum(map(len, blocks))
    if r.random() < .05:
        raise error(r)
    start, write = start_response, None
    while True:
        arguments = (status(r), headers(r, total))
        if r.random() < .1:
            arguments = r.choice([
                (), arguments[:1], arguments + (None,), arguments + ((),),
                arguments + (None, None), arguments + (0,)])
        kw = {}
        if r.random() < .05:
            kw = r.choice([{"exc_info": None}, {"nonsense": 1},
                           {"headers": [("X-K", "v")]},
                           {"status": "200 OK", "headers": []}])
        if r.random() < .1:
            try:
                raise error(r)
            except BaseException:
                arguments = arguments[:2] + (sys.exc_info(),)
        if r.random() < .9:
            write = attempt("start_response", start, *arguments, **kw) or write
        else:
            write = start(*arguments, **kw)
        if r.random() < .3 and write is not None:
            while r.random() < .6:
                more = block(r) if r.random() < .8 else strange(r)
                given = (more,) if r.random() < .9 else r.choice([(), (1, 2)])
                if r.random() < .9:
                    attempt("write", write, *given)
                else:
                    write(*given)
        if r.random() < .05:
            raise error(r)
        if r.random() < .8:
            break
    return result(r, blocks, environ)
'''


class Both:
    """Two workers of one application, one in Python, one accelerated."""

    def __init__(self, source, **options):
        if not HAS_ACCEL:
            raise Skip("built without the accelerator")
        self.app = App(source, workers=0)
        self.queues, self.workers = [], []
        for wanted in (False, True):
            queue = Queue()
            with with_accelerator(wanted):
                worker = Worker(
                    self.app.directory, queue,
                    log=os.path.join(root, "%d.%s.log" % (
                        wanted, os.path.basename(self.app.directory))),
                    **options)
            self.queues.append(queue)
            self.workers.append(worker.ready())

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        for worker, queue in zip(self.workers, self.queues):
            if kind is None:
                worker.say(type="leave")
                equal(worker.wait(), 0)
            worker.kill()
            queue.close()

    def ask(self, **fields):
        """What comes back for one request, and how it ends, from each."""
        return [seen(x, fence) for x, fence in [
            (q.send(keep=True, **fields),
             q.send("/fence", QUERY_STRING="fence")) for q in self.queues]]

    def same(self, what="", **fields):
        python, accelerated = self.ask(**fields)
        equal(accelerated, python, what + " (answers)")
        python, accelerated = map(words, self.workers)
        equal(accelerated, python, what + " (scoreboards)")
        python, accelerated = map(log, self.workers)
        if accelerated != python:
            for a, b in zip(accelerated + [None], python + [None]):
                equal(a, b, what + " (logs)")


def seen(x, fence):
    """All that the other side of an answer can see of it: the bytes, whether
    it was shut down, and whether it may be written to. It is over when the
    next request is answered."""
    data, end = b"", "open"
    x.sock.setblocking(False)
    waiting = {x.sock, fence.sock}
    while fence.sock in waiting:
        for sock in select.select(waiting, [], [], 20)[0]:
            more = sock.recv(1 << 20)
            if sock is x.sock:
                data += more
            if not more:
                waiting.remove(sock)
    fence.sock.close()
    try:
        while True:
            more = x.sock.recv(1 << 20)
            if not more:
                end = "shut"
                break
            data += more
    except BlockingIOError:
        pass
    try:
        x.sock.send(b"x")
    except OSError:
        end += ", both ways"
    x.sock.close()
    x.theirs.close()
    return re.sub(br"<code>[0-9a-f]{8}</code>", b"<code></code>", data), end


def words(worker):
    board = worker.board
    within(20, lambda: board[adapter.BOARD_COUNTER] == 0, "an idle worker")
    return ([board[n] for n in range(
        adapter.BOARD_REQUESTS, adapter.BOARD_LATENCY)],
        sum(board[adapter.BOARD_LATENCY + n] for n in range(16)),
        board[adapter.BOARD_STATE], board[adapter.BOARD_WROTE], board.url())


def log(worker):
    """Its new lines, without what must differ."""
    with open(worker.log_path, "rb") as file:
        file.seek(getattr(worker, "log_seen", 0))
        text = file.read().decode("utf-8", "replace")
        worker.log_seen = file.tell()
    text = re.sub(r"^[-\d]+ [:.\d]+ worker\[\d+\]", "TIME worker", text,
                  flags=re.M)
    text = re.sub(r"reference [0-9a-f]{8}", "reference", text)
    return re.sub(r" at 0x[0-9a-f]+", " at 0x", text).splitlines()


def byte_string(r, most):
    return bytes(bytearray(r.randrange(1, 256) for _ in range(
        r.randrange(most))))


def request(r):
    """Fields of Queue.send() that a responder could have sent."""
    fields = {"path": "/" + byte_string(r, 30).decode("latin-1").replace(
                  "?", ""),
              "method": r.choice(["GET"] * 6 + ["HEAD", "POST", "PUT", ""]),
              "request_id": r.choice([1, 1, 2, 255, 256, 65535]),
              "mount": r.choice(["", "/app", "/a/b"]),
              "QUERY_STRING": "%d" % r.randrange(2**32)}
    if r.random() < .3:
        fields["body"] = byte_string(r, 200) * r.choice([1, 10, 100])
        fields["spool"] = r.choice([None, None, "body", "both"])
    if r.random() < .1:
        fields["spool"] = r.choice(["params", "both"])
    if r.random() < .3:
        fields["flags"] = r.choice([
            adapter.WIRE_DIRECT, adapter.WIRE_KEEP_CONN,
            adapter.WIRE_DIRECT | adapter.WIRE_KEEP_CONN])
        fields["SERVER_SOFTWARE"] = r.choice(
            ["nginx/1.22.1", "lighttpd/1.4.69", "ngin", "nginx", ""])
    if r.random() < .3:
        for _ in range(r.randrange(8)):
            fields["HTTP_X_%d" % r.randrange(400)] = byte_string(
                r, r.choice([2, 20, 600]))
    if r.random() < .2:
        fields[r.choice(["HTTPS", "REQUEST_SCHEME"])] = r.choice(
            ["on", "1", "ON", "off", "", "https", "HTTPS"])
    if r.random() < .05:
        fields["not_after"] = clock() - 1
    if r.random() < .1:
        fields["queued"] = clock() - 1000
    for name in ("SERVER_NAME", "HTTP_HOST", "REQUEST_METHOD", "PATH_INFO",
                 "SCRIPT_NAME"):
        if r.random() < .02:
            fields[name] = None
    return fields


@test("requests and an application drawn from a seed")
def _():
    r = random.Random(SEED)
    with Both(ODD) as both:
        for n in range(ROUNDS):
            fields = request(r)
            both.same("seed %d, round %d, %r" % (SEED, n, fields), **fields)
    return "seed %d, %d rounds" % (SEED, ROUNDS)


@test("the same behind settings that add to environ, also HTTPS")
def _():
    r = random.Random(SEED + 1)
    with Both(ODD, values={"HTTPS": "on", "site": "x", "HTTP_HOST": "set",
                           "REQUEST_SCHEME": "http"}) as both:
        for n in range(ROUNDS // 10):
            fields = request(r)
            both.same("seed %d, round %d, %r" % (SEED, n, fields), **fields)


@test("messages that are no requests")
def _():
    r = random.Random(SEED + 2)
    with Both(ODD) as both:
        for n in range(ROUNDS // 3):
            text = bytearray(HEAD.pack(
                adapter.WIRE_MAGIC, adapter.WIRE_VERSION, 0, 12, 1, 0, 3, 1,
                1, clock(), clock() + 10000, 0) + b"QUERY_STRING\0"[:8]
                + b"a\0b\0" + b"abc")
            for _ in range(r.randrange(4)):
                text[r.randrange(64)] = r.randrange(256)
            text[48:56] = (clock() + 10000).to_bytes(8, "little")
            if r.random() < .3:
                text = text[:r.randrange(1, len(text))]
            both.same("seed %d, message %d" % (SEED, n), message=bytes(text))


@test("parameters in every shape that \\0 can give them")
def _():
    with Both(ODD) as both:
        for text in (b"", b"\0", b"\0\0", b"\0\0\0", b"a", b"a\0", b"a\0b",
                     b"a\0b\0", b"a\0b\0c", b"a\0b\0c\0", b"a\0\0a\0x\0",
                     b"QUERY_STRING\0001\0QUERY_STRING\0002\0",
                     b"PATH_INFO\0/a\0PATH_INFO\0/b\0SCRIPT_NAME\0/s\0",
                     b"\0a\0b\0c\0", b"a\0b\0" * 200,
                     b"wsgi.input\0x\0wsgi.version\0y\0",
                     b"REQUEST_METHOD\0HEAD\0REQUEST_METHOD\0GET\0"):
            message = HEAD.pack(
                adapter.WIRE_MAGIC, adapter.WIRE_VERSION, 0, len(text), 1, 0,
                0, 1, 1, clock(), clock() + 10000, 0) + text
            both.same(repr(text), message=message)


run()
