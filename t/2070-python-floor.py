"""Old Pythons, other Pythons, strict Pythons; and what a start costs."""
import ast
import glob
import json
import os
import re
import subprocess

from harness import Skip, equal, test
from wsgi_harness import ADAPTERS, PYTHON, App, run
import wsgi_harness

FILES = sorted(glob.glob(os.path.join(ADAPTERS, "*.py")))
PYPY = "/usr/bin/pypy3"
# what every worker imports, beyond what Python itself has imported
NEEDED = {"_socket", "_struct", "errno", "faulthandler", "mmap", "select",
          "struct", "time", "_signal", "wsgi", "mamayo_wsgi", "mamayo_answer",
          "mamayo_detect", "mamayo_page", "mamayo_sendfile",
          "mamayo_words"}


def tree(path, **options):
    with open(path, "rb") as file:
        return ast.parse(file.read(), path, **options)


@test("the adapter is written in the Python of 3.6")
def _():
    assert len(FILES) >= 6, FILES
    for path in FILES:
        tree(path, feature_version=(3, 6))


@test("the file that is loaded first can be parsed by any Python since 2.7, so"
      " that it can say that this one is too old")
def _():
    newer = (ast.JoinedStr, ast.AnnAssign, ast.AsyncFunctionDef, ast.Nonlocal,
             ast.YieldFrom, ast.MatMult, ast.Starred, ast.NamedExpr, ast.Await)
    path = os.path.join(ADAPTERS, "mamayo_wsgi.py")
    first = []
    for node in ast.walk(tree(path)):
        assert not isinstance(node, newer), ast.dump(node)
        if isinstance(node, ast.Raise):
            assert node.cause is None, node.lineno
        if isinstance(node, ast.arguments):
            assert not node.kwonlyargs and not node.posonlyargs
            assert not any(a.annotation for a in node.args)
    for node in tree(path).body:
        first.append(type(node).__name__)
    # the docstring, os and sys, and the refusal, before any other import
    equal(first[:4], ["Expr", "Import", "Import", "If"])


@test("nothing but the standard library is imported")
def _():
    own = {os.path.basename(f)[:-3] for f in FILES} | {"mamayo_accel"}
    for path in FILES:
        for node in ast.walk(tree(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                equal(node.level, 0)
                names = [node.module]
            for name in names:
                if name.split(".")[0] in ("bottle", "django", "paste"):
                    continue  # the application's, where it is one
                assert name in own or subprocess.call(
                    [PYTHON, "-I", "-S", "-c", "import " + name]) == 0, name


@test("a start imports what every worker needs, and no more")
def _():
    before = json.loads(subprocess.check_output(
        [PYTHON, "-c", "import sys, json; print(json.dumps("
         "sorted(m for m in sys.modules if not m.startswith('json'))))"]
    ).decode())
    with App("""
import sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(sys.modules).encode()]
""") as a:
        for _ in range(2):  # nor does the first request
            loaded = set(a.ask("/").body.decode().split())
            extra = loaded - set(before) - NEEDED
            equal(sorted(extra),
                  ["mamayo_accel"] if wsgi_harness.accelerated else [])


# The key scenarios

SITE = """
import os
def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read()
    if path == "/raise":
        raise KeyError("x")
    headers = [("Content-Type", "text/plain")]
    if path == "/write":
        start_response("200 OK", headers)(b"written ")
        return [body]
    if path == "/file":
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    if path == "/print":
        print("printed", os.getpid())
    start_response("200 OK", headers)
    return iter([path.encode("latin-1"), b" ", body])
"""


def key_scenarios(python, *flags):
    with App({"wsgi.py": SITE}, python=python, flags=flags, workers=2) as a:
        for _ in range(3):
            equal(a.ask("/x").body, b"/x ")
            for size in (0, 10, 5000, 300000):
                for spool in ("body", "both") + (
                        (None, "params") if size <= 4096 else ()):
                    body = os.urandom(size)
                    answer = a.ask("/", method="POST", body=body, spool=spool)
                    equal((answer.body, answer.app_status), (b"/ " + body, 0))
            equal(a.ask("/write", method="POST", body=b"x").body, b"written x")
            equal(a.ask("/file").body, SITE.encode())
            equal(a.ask("/", method="HEAD").body, b"")
            equal(a.ask("/raise").status, "500 Internal Server Error")
            equal(a.ask("/print").status, "200 OK")
            x = a.send("/file", method="POST", body=b"x" * 10000)
            x.leave()
        waiting = [a.send("/%d" % n) for n in range(20)]
        for worker in a.workers:
            worker.say(type="leave")
        for n, x in enumerate(waiting):
            equal(x.read().body, b"/%d " % n)
        for worker in a.workers:
            equal(worker.wait(), 0)
        assert re.search(r"^printed \d+$", a.log(), re.M)
        assert "Warning" not in a.log(), a.log()
    for files, kind in (({"wsgi.py": "x ==== 1"}, "syntax"),
                        ({"wsgi.py": "import nothing_here"}, "module"),
                        ({"wsgi.py": "1 // 0"}, "exception"),
                        ({"wsgi.py": ""}, "callable")):
        a = App(files, python=python, flags=flags)
        equal(a.worker.hear()["kind"], kind)
        equal(a.worker.wait(), 3)
        assert "Warning" not in a.log(), a.log()


FLAGS = ((), ("-W", "error"), ("-X", "dev", "-W", "error"), ("-I",),
         ("-S", "-E"), ("-O",))

for flags in FLAGS:
    title = "key scenarios with python3 " + " ".join(flags)
    test(title.strip())(lambda flags=flags: key_scenarios(PYTHON, *flags))


@test("fault 39: key scenarios with pypy3, also with -W error")
def _():
    if not os.path.exists(PYPY):
        raise Skip("pypy3 is not installed")
    key_scenarios(PYPY)
    key_scenarios(PYPY, "-W", "error")


run()
