"""The answer's body: PEP 3333, what the application returns."""
import gzip
import hashlib
import os

from harness import equal, test, within
from wsgi_harness import LIMIT, App, adapter, app_test, run

# Answers with what the request's body, an expression, gives.
GIVE = """
from kit import *
import io
class Lying:
    def __init__(self, length):
        self.length = length
    def __iter__(self):
        return iter([b"one", b"two"])
    def __len__(self):
        return self.length()
def zero(): return 0
def one(): return 1
def fail(): raise ValueError("no length")
class Nosy:
    def __iter__(self):
        return iter([b"one", b"two"])
    def __getattr__(self, name):
        assert name == "close", name
        raise AttributeError(name)
class Getitem:
    def __getitem__(self, i):
        return [b"one", b"two"][i]
class ListOfOurs(list):
    def __iter__(self):
        return iter([b"one", b"two"])
def application(environ, start_response):
    given = eval(environ["wsgi.input"].read().decode())
    status, headers, result = (given if isinstance(given, tuple)
                               and len(given) == 3 else ("200 OK", [], given))
    start_response(status, [("Content-Type", "text/plain")] + headers
                   if status[:3] not in ("204", "304") else headers)
    return result
"""


def give(a, result, method="POST", **more):
    return a.ask("/", method=method, body=result.encode(), **more)


@app_test("W-33 any iterable is an answer", GIVE, validate=False)
def _(a):
    for result in ("[b'one', b'two']", "(b'one', b'two')", "iter([b'onetwo'])",
                   "(x for x in (b'one', b'two'))", "{b'onetwo'}",
                   "{b'onetwo': 1}", "Getitem()", "io.BytesIO(b'onetwo')",
                   "map(bytes, [b'one', b'two'])", "Nosy()", "ListOfOurs()"):
        answer = give(a, result)
        equal((answer.status, answer.body, answer.app_status),
              ("200 OK", b"onetwo", 0), result)


@app_test("W-33 start_response may be called at the first iteration", """
from kit import *
class application:
    def __init__(self, environ, start_response):
        self.start_response = start_response
    def __iter__(self):
        self.start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"late"
""")
def _(a):
    answer = a.ask("/")
    equal((answer.status, answer.body), ("200 OK", b"late"))


@app_test("W-34 an answer without blocks, or with empty ones, has its headers",
          GIVE, validate=False)
def _(a):
    for result in ("[]", "()", "iter([])", "(x for x in [])", "[b'']",
                   "[b'', b'']", "iter([b'', b''])", "b''"):
        for status in ("200 OK", "404 Not Found"):
            answer = give(a, "(%r, [('X-A', 'b')], %s)" % (status, result))
            equal((answer.status, answer.header("X-A"), answer.body,
                   answer.app_status), (status, "b", b"", 0), result)


@app_test("W-35 bytes are one block", GIVE, validate=False)
def _(a):
    for result in ("b'x' * 1000", "bytearray(b'x' * 1000)"):
        answer = give(a, result)
        equal(answer.body, b"x" * 1000)
        equal([n for kind, n in answer.records if kind == 6 and n],
              [len(answer.stdout)])


@app_test("W-36 a block of str is an error: before something was sent a page, "
          "after it the answer is cut", GIVE, validate=False)
def _(a):
    for result in ("['one']", "iter(['one'])", "'one'", "iter([1])", "[None]",
                   "None", "5"):
        answer = give(a, result)
        equal((answer.status, answer.header("X-Mamayo-Error")),
              ("500 Internal Server Error", "exception"), result)
    for result in ("[b'one', 'two']", "iter([b'one', 'two', b'three'])"):
        answer = give(a, result)
        equal((answer.status, answer.body, answer.app_status),
              ("200 OK", b"one", 1), result)
    assert "not bytes: 'two'" in a.log()


@app_test("W-36 bytearray and memoryview are accepted", GIVE, validate=False)
def _(a):
    answer = give(a, "[bytearray(b'one'), memoryview(b'two'), b'']")
    equal((answer.body, answer.app_status), (b"onetwo", 0))
    answer = give(a, "('200 OK', [('Content-Length', '4')],"
                     " [memoryview(bytes(4)).cast('I')])")
    equal((answer.body, answer.app_status), (b"\0\0\0\0", 0))


CLOSING = """
from kit import *
class Closing(Body):
    pass
def failing():
    yield b"x" * 100
    raise KeyError("iteration")
def application(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain")]
    if path == "/length":
        headers.append(("Content-Length", "100"))
    if path == "/unstarted":
        return Body([b"x" * 100], path)
    start_response("204 No Content" if path == "/204" else "200 OK",
                   [] if path == "/204" else headers)
    return Body({"/iteration": failing(), "/str": ["text"],
                 "/later": [b"x" * 100, "text"], "/204": []}.get(
                     path, [b"x" * 100, b"y" * 100]), path)
"""


@app_test("W-37 close() is called: after the end, an exception while "
          "iterating, no start_response, a block that is not bytes, the "
          "Content-Length, HEAD, 204", CLOSING, validate=False)
def _(a):
    paths = ["/end", "/iteration", "/unstarted", "/str", "/later", "/length",
             "/204"]
    for path in paths:
        a.ask(path)
    a.ask("/head", method="HEAD")
    a.worker.idle()
    equal(a.journal(), ["closed " + p for p in paths + ["/head"]])


@app_test("W-37 close() is called when the visitor has gone", """
from kit import *
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    def blocks():
        for n in range(10**6):
            yield b"x" * 10000
            journal("block")
    return Body(blocks(), environ["PATH_INFO"])
""")
def _(a):
    x = a.send("/gone")
    x.until(b"x" * 10000)
    x.leave()
    a.worker.idle()
    equal(a.journal()[-1], "closed /gone")
    assert len(a.journal()) < 1000, len(a.journal())
    assert "Traceback" not in a.log(), a.log()
    x = a.send("/next")
    x.until(b"x" * 10000)
    x.leave()


@app_test("W-37 close() that raises is logged, and the answer is whole", """
from kit import *
class Bad:
    def __init__(self, error):
        self.error = error
    def __iter__(self):
        return iter([b"fine"])
    def close(self):
        raise self.error
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Bad({"/error": KeyError("close"), "/exit": SystemExit(5),
                "/memory": GeneratorExit()}[environ["PATH_INFO"]])
""", validate=False)
def _(a):
    for n, path in enumerate(("/error", "/exit", "/memory"), 1):
        answer = a.ask(path)
        equal((answer.status, answer.body, answer.app_status),
              ("200 OK", b"fine", 0))
        a.worker.idle()
        equal(a.log().count("Traceback"), n)


@app_test("W-38 nothing of an iterable is used but iteration and close(), and "
          "no len() of somebody's own", GIVE, validate=False)
def _(a):
    for result in ("Lying(zero)", "Lying(one)", "Lying(fail)", "Nosy()"):
        answer = give(a, result)
        equal((answer.body, answer.app_status), (b"onetwo", 0), result)
        equal(answer.header("Content-Length"), None, result)


@app_test("W-39 each block is sent before the next is asked for", """
from kit import *
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"a"
    gate("go-1")
    yield b"b"
    gate("go-2")
    yield b"c"
    gate("go-3")
""")
def _(a):
    x = a.send("/")
    for n, body in enumerate((b"a", b"ab", b"abc"), 1):
        x.until(body)
        equal(x.body(), body)
        a.put("go-%d" % n)
    equal(x.read().body, b"abc")


@app_test("W-40 write() sends at once, what is returned comes after it", """
from kit import *
def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/gate":
        write(b"first")
        gate("go")
        write(b"")
        write(b"second")
        return [b"third"]
    for word in path[1:].split(","):
        if word:
            write(word.encode())
    return [w.encode() for w in environ["QUERY_STRING"].split(",")]
""")
def _(a):
    x = a.send("/gate")
    x.until(b"first")
    equal(x.body(), b"first")
    a.put("go")
    equal(x.read().body, b"firstsecondthird")
    for path, body in (("/a,b?", b"ab"), ("/a?b,c", b"abc"), ("/?a,b", b"ab"),
                       ("/,,a?,,b", b"ab"), ("/?", b"")):
        answer = a.ask(path)
        equal((answer.body, answer.app_status), (body, 0), path)


@app_test("W-40 write() raises when the visitor has gone, and the next request"
          " is served", """
from kit import *
def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    raised = None
    while raised is None and environ["PATH_INFO"] != "/next":
        try:
            write(b"x" * 10000)
        except OSError as error:
            raised = error
    if environ["PATH_INFO"] == "/raise":
        raise raised
    if raised:
        journal(type(raised).__name__)
    return [b"end"]
""", validate=False)
def _(a):
    for path in ("/catch", "/raise"):
        x = a.send(path)
        x.until(b"x" * 10000)
        x.leave()
        equal(a.ask("/next").body, b"end")
    equal(a.journal(), ["VisitorGone"])
    assert "Traceback" not in a.log(), a.log()


@app_test("W-41 never more than Content-Length, and then no further "
          "iteration", """
from kit import *
def blocks(more):
    yield b"x" * 6
    yield b"x" * 4 + b"y" * more
    journal("asked for more")
    yield b"z"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", "10")])
    more = int(environ["QUERY_STRING"])
    if environ["PATH_INFO"] == "/list":
        return [b"x" * 10 + b"y" * more]
    return Body(blocks(more))
""", validate=False)
def _(a):
    for more in (0, 1, 10 ** 6):
        answer = a.ask("/?%d" % more)
        equal((answer.body, answer.app_status, answer.header(
            "Content-Length")), (b"x" * 10, 0, "10"))
        a.worker.idle()
        equal(a.journal().pop(), "closed body")
        answer = a.ask("/list?%d" % more)
        equal((answer.body, answer.app_status), (b"x" * 10, 0))
    assert "asked for more" not in a.journal()
    assert "longer than its Content-Length" in a.log()


@app_test("W-41 a Content-Length of 0 is reached before any block", """
from kit import *
def blocks(first):
    yield first
    journal("asked for more")
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", "0")])
    return blocks(environ["QUERY_STRING"].encode())
""")
def _(a):
    for first in ("", "x"):
        answer = a.ask("/?" + first)
        equal((answer.body, answer.app_status, a.journal()), (b"", 0, []))


@app_test("W-41 write() past Content-Length raises, after what fits", """
from kit import *
def application(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain"),
                                      ("Content-Length", "10")])
    for size in map(int, environ["QUERY_STRING"].split(",")):
        try:
            write(b"x" * size)
        except ValueError as error:
            journal(size, error)
    return []
""", validate=False)
def _(a):
    for sizes, fails in (("10", []), ("4,6", []), ("11", [11]), ("4,7", [7]),
                         ("10,1", [1]), ("10,0", []),
                         ("10,1000000", [1000000])):
        before = len(a.journal())
        answer = a.ask("/?" + sizes)
        equal((answer.body, answer.app_status), (b"x" * 10, 0), sizes)
        equal(a.journal()[before:], [
            "%d write() of more than Content-Length" % n for n in fails])


@app_test("W-42 F-18 fewer bytes than Content-Length: the answer is marked as "
          "cut, logged, and never filled up", GIVE, validate=False)
def _(a):
    for result, body in (("[b'abc']", b"abc"), ("iter([b'abc'])", b"abc"),
                         ("[]", b""), ("iter([])", b""),
                         ("[b'a', b'b']", b"ab")):
        answer = give(a, "('200 OK', [('Content-Length', '10')], %s)" % result)
        equal((answer.status, answer.body, answer.app_status),
              ("200 OK", body, 1), result)
        equal(answer.header("Content-Length"), "10")
    assert "POST /app/: the answer ends 7 bytes before its" in a.log()


@app_test("W-43 Content-Length is added where it is known and missing", GIVE,
          validate=False)
def _(a):
    for result, length in (("[b'x' * 10]", "10"), ("(b'x' * 10,)", "10"),
                           ("b'x' * 10", "10"), ("[b'x'] * 10", "10"),
                           ("[]", "0"), ("[b'x' * 100000]", "100000"),
                           ("[b'x' * 60000] * 9", "540000"),
                           ("iter([b'x' * 10])", None),
                           ("[bytearray(10)]", None), ("Lying(one)", None)):
        answer = give(a, result)
        equal(answer.header("Content-Length"), length, result)
        if length:
            equal(len(answer.body), int(length))
    answer = give(a, "('200 OK', [('content-length', '3')], [b'abc'])")
    equal(answer.headers[1:], [("content-length", "3")])


@app_test("W-43 no Content-Length is added when write() was used", """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])(b"a")
    return [b"b"]
""")
def _(a):
    answer = a.ask("/")
    equal((answer.header("Content-Length"), answer.body), (None, b"ab"))


@app_test("W-44 HEAD: called as HEAD, the headers as for GET, no body", """
from kit import *
def application(environ, start_response):
    headers = [("Content-Type", "text/plain"),
               ("X-Method", environ["REQUEST_METHOD"])]
    path = environ["PATH_INFO"]
    if path == "/length":
        headers.append(("Content-Length", "300000"))
    write = start_response("200 OK", headers)
    if path == "/write":
        for _ in range(3):
            write(b"x" * 100000)
        return []
    if path == "/list":
        return [b"x" * 300000]
    def blocks():
        while True:
            yield b"x" * 100000
    return Body(blocks(), path)
""", validate=False)
def _(a):
    for path, length in (("/length", "300000"), ("/write", None),
                         ("/list", "300000"), ("/endless", None)):
        answer = a.ask(path, method="HEAD")
        equal((answer.status, answer.header("X-Method"), answer.body,
               answer.header("Content-Length"), answer.app_status),
              ("200 OK", "HEAD", b"", length, 0), path)
    a.worker.idle()
    equal(a.journal(), ["closed /length", "closed /endless"])


@app_test("W-44 HEAD behind the validator", """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", "5")])
    return [b"hello"]
""")
def _(a):
    answer = a.ask("/", method="HEAD")
    equal((answer.body, answer.header("Content-Length"), answer.app_status),
          (b"", "5", 0))


@app_test("W-45 204 and 304 have no body and get no Content-Length", GIVE,
          validate=False)
def _(a):
    for status in ("204 No Content", "304 Not Modified"):
        for result in ("[]", "[b'body']", "iter([b'body', b'more'])",
                       "iter([])", "b'body'"):
            answer = give(a, "(%r, [('ETag', 'x')], %s)" % (status, result))
            equal((answer.status, answer.body, answer.headers,
                   answer.app_status), (status, b"", [("ETag", "x")], 0),
                  result)
    answer = give(a, "('304 Not Modified', [('Content-Length', '9')], [])")
    equal((answer.header("Content-Length"), answer.app_status), ("9", 0))
    answer = give(a, "('204 No Content', [('Content-Length', '9')], [])")
    equal((answer.header("Content-Length"), answer.app_status), (None, 0))


FILES = """
from kit import *
import io, tempfile
class Like:
    "Has read() and nothing else."
    def __init__(self, text):
        self.file = io.BytesIO(text)
    def read(self, size):
        return self.file.read(size)
class Bad(Like):
    def fileno(self):
        raise KeyError("no descriptor")
class Closing(Like):
    def close(self):
        journal("closed")
def application(environ, start_response):
    wrap = environ["wsgi.file_wrapper"]
    with open("data", "rb") as file:
        text = file.read()
    kind, _, skip = environ["PATH_INFO"][1:].partition("/")
    headers = [("Content-Type", "text/plain")]
    if environ["QUERY_STRING"]:
        headers.append(("Content-Length", environ["QUERY_STRING"]))
    start_response("200 OK", headers)
    if kind == "own":
        return (block for block in wrap(open("data", "rb"), 1000))
    file = {"file": lambda: open("data", "rb"),
            "raw": lambda: open("data", "rb", 0),
            "temporary": lambda: copy(tempfile.TemporaryFile(), text),
            "bytes": lambda: io.BytesIO(text), "like": lambda: Like(text),
            "bad": lambda: Bad(text), "closing": lambda: Closing(text)}[kind]()
    file.read(int(skip or 0))
    return wrap(file)
def copy(file, text):
    file.write(text)
    file.seek(0)
    return file
"""


@test("W-49 wsgi.file_wrapper: files and what is like a file, from where they "
      "stand, at most Content-Length, closed")
def _():
    text = os.urandom(300000)
    with App({"wsgi.py": FILES, "data": text}) as a:
        for kind in ("file", "raw", "temporary", "bytes", "like", "bad",
                     "closing", "own"):
            answer = a.ask("/" + kind)
            equal(hashlib.sha256(answer.body).digest(),
                  hashlib.sha256(text).digest(), kind)
            equal(answer.app_status, 0)
            if kind != "own":
                equal(a.ask("/%s/1000" % kind).body, text[1000:], kind)
                equal(a.ask("/%s/1000?5000" % kind).body, text[1000:6000])
                equal(a.ask("/%s/299990" % kind, method="HEAD").body, b"")
                answer = a.ask("/%s/299990?20" % kind)
                equal((answer.body, answer.app_status), (text[-10:], 1), kind)
        equal(a.journal(), ["closed"] * 5)


@test("W-49 a file is sent in few records, a pipe as it comes")
def _():
    source = """
from kit import *
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/file":
        return environ["wsgi.file_wrapper"](open("data", "rb"), 100)
    r, w = os.pipe()
    os.write(w, b"ready")
    def late():
        gate("go")
        os.write(w, b"later")
        os.close(w)
    import threading
    threading.Thread(target=late).start()
    return environ["wsgi.file_wrapper"](os.fdopen(r, "rb"), 5)
"""
    with App({"wsgi.py": source, "data": b"x" * 600000}) as a:
        answer = a.ask("/file")
        assert len(answer.records) < 15, answer.records
        x = a.send("/pipe")
        x.until(b"ready")
        a.put("go")
        equal(x.read().body, b"readylater")


@test("W-49 a large file goes from the kernel to the socket, as it would block"
      " by block")
def _():
    source = """
import gzip, io, os, signal
from kit import *
def application(environ, start_response):
    kind, _, skip = environ["PATH_INFO"][1:].partition("/")
    headers = [("Content-Type", "application/octet-stream")]
    if environ["QUERY_STRING"]:
        headers.append(("Content-Length", environ["QUERY_STRING"]))
    start_response("200 OK", headers)
    if kind == "pipes":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    file = {"file": lambda: open("data", "rb"),
            "pipes": lambda: open("data", "rb"),
            "raw": lambda: open("data", "rb", 0),
            "random": lambda: open("data", "r+b"),
            "zip": lambda: gzip.open("zipped", "rb"),
            "short": lambda: open("short", "rb")}[kind]()
    if skip:
        file.read(10)  # what a BufferedReader has read ahead counts not
        file.seek(int(skip))
    return environ["wsgi.file_wrapper"](file)
"""
    data = os.urandom(700000)
    with App({"wsgi.py": source, "data": data, "short": data,
              "zipped": gzip.compress(data)}) as a:
        for kind in ("file", "raw", "random", "zip"):
            equal(a.ask("/" + kind).body, data, kind)
            answer = a.ask("/%s/1234?%d" % (kind, len(data) - 1234))
            equal(answer.body, data[1234:], kind)
            equal(answer.app_status, 0, kind)
            answer = a.ask("/%s/5?300000" % kind)  # and not more
            equal(answer.body, data[5:300005], kind)
            answer = a.ask("/%s?800000" % kind)  # too little
            equal((answer.body, answer.app_status), (data, 1), kind)
            equal(a.ask("/" + kind, method="HEAD").body, b"")
        assert "before its Content-Length" in a.log()
        assert "longer than its Content-Length" in a.log()
        # a visitor who reads slowly, and one who goes
        x = a.send("/file")
        within(LIMIT, lambda: a.worker.state() == adapter.BOARD_SENDING,
               "it to wait for the visitor")
        equal(x.read().body, data)
        x = a.send("/file")
        within(LIMIT, lambda: a.worker.state() == adapter.BOARD_SENDING)
        x.leave()
        equal(a.ask("/file").body, data)
        # a file that becomes shorter meanwhile
        x = a.send("/short")
        within(LIMIT, lambda: a.worker.state() == adapter.BOARD_SENDING)
        os.truncate(os.path.join(a.directory, "short"), 1000)
        while x.more():
            pass
        assert len(x.raw) < len(data), len(x.raw)
        assert data.startswith(x.body()[:1000])
        assert "become shorter" in a.log(), a.log()
        equal(a.ask("/file").body, data)
        # an application that wants to be ended by a closed pipe
        equal(a.ask("/pipes").body, data)
        x = a.send("/pipes")
        within(LIMIT, lambda: a.worker.state() == adapter.BOARD_SENDING)
        x.leave()
        equal(a.ask("/pipes").body, data)


@app_test("a small answer is one write, a large one full records", """
from kit import *
def application(environ, start_response):
    if environ["PATH_INFO"] == "/small":
        return reply(start_response, "small")
    start_response("200 OK", [("Content-Length", "300000")])
    return [b"x" * 300000]
""", validate=False)
def _(a):
    x = a.send("/small")
    x.more()
    raw = x.raw
    equal(x.read().raw, raw)
    answer = a.ask("/large")
    sizes = [n for kind, n in answer.records if kind == 6]
    equal((len(sizes), sizes[:4], sizes[5]), (6, [65528] * 4, 0))


@app_test("an answer of any size arrives unchanged", """
from kit import *
import hashlib, random
def application(environ, start_response):
    size, blocks = map(int, environ["QUERY_STRING"].split(","))
    block = bytes(bytearray(random.Random(size).getrandbits(8)
                            for _ in range(min(size, 4096))))
    body = (block * (size // 4096 + 1))[:size]
    start_response("200 OK", [("Content-Type", "text/plain"), (
        "X-Digest", hashlib.sha256(body * blocks).hexdigest())])
    return (body for _ in range(blocks)) if blocks > 1 else [body]
""")
def _(a):
    for size in (0, 1, 65427, 65428, 65527, 65528, 65529, 131056, 131057,
                 1 << 20):
        for blocks in (1, 3):
            answer = a.ask("/?%d,%d" % (size, blocks))
            equal(hashlib.sha256(answer.body).hexdigest(),
                  answer.header("X-Digest"), "%d, %d" % (size, blocks))
            equal(answer.app_status, 0)


run()
