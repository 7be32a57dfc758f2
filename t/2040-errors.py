"""What goes wrong in an application, and what it prints."""
import re

from harness import equal, test, within
from wsgi_harness import App, adapter, app_test, run

RAISE = """
from kit import *
class Own(Exception):
    def __str__(self):
        raise ValueError("not even a text")
class Base(BaseException):
    pass
def deep(n):
    return deep(n + 1)
def go(what):
    if what == "exit":
        exit(7)
    if what == "recursion":
        deep(0)
    raise {"key": KeyError("secret-text"), "own": Own(), "base": Base("b"),
           "system": SystemExit(3), "interrupt": KeyboardInterrupt(),
           "generator": GeneratorExit(), "stop": StopIteration("x"),
           "unicode": ValueError("\\u2615 \\udcff \\x1b[31m <b>&"),
           "long": ValueError("x" * 10**7)}[what]
def blocks(what):
    yield b"x" * 10
    go(what)
    yield b"never"
def application(environ, start_response):
    _, when, what = environ["PATH_INFO"].split("/")[:3]
    if when == "fine":
        return reply(start_response, os.getpid())
    if when == "early":
        go(what)
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("X-Mine", "1"), ("Set-Cookie", "a=b")])
    if when == "started":
        go(what)
    return Body(blocks(what), environ["PATH_INFO"])
"""
ALL = ("key", "own", "base", "system", "interrupt", "generator", "stop",
       "unicode", "exit", "recursion", "long")
PAGE = "500 Internal Server Error"


@app_test("W-51 W-52 fault 21: whatever is raised before something was sent "
          "is a 500 page and one traceback in the log; the worker stays",
          RAISE, validate=False)
def _(a):
    pid = a.ask("/fine/").json()
    count = 0
    for when in ("early", "started"):
        for what in ALL:
            answer = a.ask("/%s/%s" % (when, what))
            equal((answer.status, answer.header("X-Mamayo-Error"),
                   answer.app_status), (PAGE, "exception", 0), what)
            equal((answer.header("X-Mine"), answer.header("Set-Cookie")),
                  (None, None))
            equal(answer.header("Content-Length"), str(len(answer.body)))
            count += 1
            log = a.log()
            equal(len(re.findall("error: GET /app/.*reference", log)), count)
            equal(a.ask("/fine/").json(), pid)
    assert len(log) < 100000, len(log)
    assert "\x1b" not in log
    equal(log.count("Traceback (most recent call last):"), count)


@app_test("W-51 W-52 whatever is raised after something was sent cuts the "
          "answer; the worker stays", RAISE, validate=False)
def _(a):
    pid = a.ask("/fine/").json()
    for n, what in enumerate([w for w in ALL if w != "stop"], 1):
        answer = a.ask("/late/" + what)
        equal((answer.status, answer.body, answer.app_status),
              ("200 OK", b"x" * 10, 1), what)
        equal(a.journal()[-1], "closed /late/" + what)
        equal(len(re.findall("error: GET /app/late.*reference", a.log())), n)
        equal(a.ask("/fine/").json(), pid)


@app_test("W-51 exceptions behind the validator", """
from kit import *
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/late":
        return Body(iter([b"x", 1 // 0 if False else b"y"]))
    raise KeyError("x")
""")
def _(a):
    equal(a.ask("/").status, PAGE)
    equal(a.ask("/late").body, b"xy")


@app_test("W-51 the traceback shows the application's frames and none of ours,"
          " with method and path, and no query", RAISE, validate=False)
def _(a):
    a.ask("/early/key?token=secret", method="PUT")
    log = a.log()
    lines = log.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} worker\[%d\] "
                    r"error: PUT /app/early/key: KeyError, reference [0-9a-f]{8}$"
                    % a.worker.pid, lines[0]), lines[0]
    equal(lines[1], "Traceback (most recent call last):")
    assert lines[2].startswith('  File "%s/wsgi.py", line ' % a.directory)
    assert "KeyError: 'secret-text'" in lines
    assert "mamayo_" not in log and "token" not in log, log


@app_test("R-ENV6 R-SEC10 a path with control characters is one escaped line",
          RAISE, validate=False)
def _(a):
    a.ask("/", PATH_INFO="/early/key/\r\n\x1b[0mfake \xc3\xa9 \xe9 "
          "\xe2\x80\xae")
    equal(a.log().splitlines()[0].partition("error: ")[2].partition(
        ", ref")[0], "GET /app/early/key/\\r\\n\\x1b[0mfake \xe9 \\xe9 \\u202e"
        ": KeyError")


@app_test("W-53 the page tells a reference that is in the log, and nothing of "
          "the program", RAISE, validate=False)
def _(a):
    answer = a.ask("/early/key")
    page = answer.body.decode("utf-8")
    reference = re.search("<code>([0-9a-f]{8})</code>", page).group(1)
    assert reference in a.log()
    for secret in ("KeyError", "secret-text", a.directory, "wsgi.py", "/app",
                   "Traceback", "ython"):
        assert secret not in page, secret
    equal(answer.header("Content-Type"), "text/html; charset=utf-8")
    equal(answer.header("Cache-Control"), "no-store")
    equal(answer.header("X-Content-Type-Options"), "nosniff")
    assert reference not in a.ask("/early/key").body.decode()


@test("W-53 with debug the page has the traceback, escaped")
def _():
    with App(RAISE, debug="1") as a:
        page = a.ask("/early/unicode").body.decode("utf-8")
        assert "Traceback (most recent call last)" in page
        assert "wsgi.py" in page and "&lt;b&gt;&amp;" in page, page
        assert "<b>" not in page and "\x1b" not in page
        a.ask("/early/long")
        assert len(a.ask("/early/long").body) < 500000


@app_test("W-44 W-51 an error's page for HEAD has no body", RAISE,
          validate=False)
def _(a):
    answer = a.ask("/early/key", method="HEAD")
    equal((answer.status, answer.body, answer.app_status), (PAGE, b"", 0))
    assert int(answer.header("Content-Length")) > 100


@app_test("W-51 an application that forgets start_response gets a page and a "
          "sentence", """
def application(environ, start_response):
    return [b"x"] if environ["PATH_INFO"] == "/block" else []
""", validate=False)
def _(a):
    for path in ("/block", "/empty"):
        equal(a.ask(path).status, PAGE)
    equal(a.log().count("start_response() has not been called"), 2)


@app_test("W-52 a MemoryError is a 500, and the worker leaves when nothing is "
          "queued", """
from kit import *
def application(environ, start_response):
    if environ["PATH_INFO"] == "/memory":
        gate("go")
        raise MemoryError
    return reply(start_response, environ["PATH_INFO"])
""", validate=False)
def _(a):
    first = a.send("/memory")
    others = [a.send("/%d" % n) for n in range(5)]
    a.put("go")
    equal(first.read().status, PAGE)
    for n, x in enumerate(others):
        equal(x.read().json(), "/%d" % n)
    equal(a.worker.wait(), 0)


@app_test("fault 21: SystemExit in a thread concerns nobody", """
from kit import *
import sys, threading
def application(environ, start_response):
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    return reply(start_response, os.getpid())
""", validate=False)
def _(a):
    equal(a.ask("/").json(), a.worker.pid)
    equal(a.ask("/").json(), a.worker.pid)


@app_test("fault 28: a thousand exceptions are a thousand pages from the same "
          "worker", RAISE, validate=False)
def _(a):
    for _ in range(1000):
        equal(a.ask("/early/key").status, PAGE)
    equal(a.worker.board[adapter.BOARD_STATUS + 4], 1000)
    equal(a.ask("/fine/").json(), a.worker.pid)


# What it prints

PRINT = """
from kit import *
import sys, subprocess
def application(environ, start_response):
    errors, path = environ["wsgi.errors"], environ["PATH_INFO"]
    if path == "/ways":
        errors.write("errors.write \\u2615\\n")
        errors.writelines(w for w in ("errors.", "writelines\\n"))
        print("print \\u2615")
        print("print to stderr", file=sys.stderr)
        sys.stdout.buffer.write(b"buffer \\xff\\n")
        sys.stdout.buffer.flush()
        os.write(1, b"descriptor 1\\n")
        os.write(2, b"descriptor 2\\n")
        subprocess.call(["echo", "another program"])
        errors.flush()
    if path == "/surrogate":
        errors.write("\\u26a0\\udcff\\n")
        print("\\udc80")
    if path == "/order":
        for n in range(100):
            print(n, "a", file=errors)
            print(n, "b", file=sys.stderr)
    if path == "/open":
        errors.write("no end of line\\u2026")
        print("nor here", end="")
    if path == "/unflushed":
        errors.write("seen at once\\n")
        gate("seen")
    return reply(start_response, path)
"""


@app_test("W-22 fault 17: whatever way it is printed, it is in the log and not"
          " in the answer", PRINT)
def _(a):
    equal(a.ask("/ways").json(), "/ways")
    a.worker.idle()
    for line in ("errors.write \u2615", "errors.writelines", "print \u2615",
                 "print to stderr", "descriptor 1", "descriptor 2",
                 "another program"):
        assert line in a.log().splitlines(), line
    with open(a.worker.log_path, "rb") as file:
        assert b"buffer \xff\n" in file.read()


@app_test("W-22 any character can be printed, whatever the locale", PRINT,
          env={"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0",
               "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:strict"})
def _(a):
    equal(a.ask("/surrogate").json(), "/surrogate")
    equal(a.ask("/ways").json(), "/ways")
    a.worker.idle()
    assert "\u26a0\\udcff" in a.log()
    assert "\n\\udc80\n" in a.log()


@app_test("W-22 what is printed is in the log before the request ends, in "
          "order, without a flush", PRINT)
def _(a):
    x = a.send("/unflushed")
    within(10, lambda: "seen at once\n" in a.log(), "the line")
    a.put("seen")
    x.read()
    a.ask("/order")
    lines = [s for s in a.log().splitlines() if s[0].isdigit()]
    equal(lines, ["%d %s" % (n, w) for n in range(100) for w in "ab"])


@app_test("W-22 a line without an end is in the log when the request has "
          "ended", PRINT)
def _(a):
    a.ask("/open")
    a.worker.idle()
    assert "no end of line\u2026" in a.log() and "nor here" in a.log()


@test("W-23 lines of two workers never mix")
def _():
    source = """
from kit import *
import sys
def application(environ, start_response):
    name = environ["PATH_INFO"][1:]
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"started"
    gate("go")
    for n in range(10000):
        stream = (environ["wsgi.errors"], sys.stdout)[n % 2]
        stream.write(name * 199 + "\\n")
        if n % 100 == 0:
            print(*[name * 100] * 300, sep="", file=stream)
"""
    with App(source, workers=2) as a:
        exchanges = [a.send("/" + name) for name in "ab"]
        for x in exchanges:
            x.until(b"started")
        a.put("go")
        for x in exchanges:
            x.read()
        lines = [s for s in a.log().splitlines() if s]
        equal(len(lines), 20200)
        equal({s for s in lines if len(s) < 1000}, {"a" * 199, "b" * 199})
        equal(sorted({s for s in lines if len(s) > 1000}),
              ["a" * 30000, "b" * 30000])


@test("fault 41: with no room for the log requests are served as before")
def _():
    with App(PRINT, log="/dev/full") as a:
        for path in ("/ways", "/surrogate", "/order", "/open"):
            answer = a.ask(path)
            equal(answer.status, PAGE if path == "/ways" else "200 OK")
    with App(RAISE, log="/dev/full") as a:
        equal(a.ask("/early/key").status, PAGE)
        equal(a.ask("/fine/").json(), a.worker.pid)


@app_test("fault 25: an application that closes or replaces its streams is "
          "still served", """
from kit import *
import sys
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/close":
        sys.stdout.close()
        sys.stderr.close()
    if path == "/replace":
        sys.stdout = sys.stderr = None
    if path == "/descriptors":
        os.close(1)
        os.close(2)
    if path == "/raise":
        raise KeyError
    return reply(start_response, path)
""", validate=False)
def _(a):
    for path in ("/close", "/replace", "/descriptors"):
        equal(a.ask(path).json(), path)
        equal(a.ask("/raise").status, PAGE)
        equal(a.ask("/").json(), "/")


run()
