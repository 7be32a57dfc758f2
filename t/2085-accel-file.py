"""The accelerator's file: which Pythons load it, what happens where it is not
loaded, and what a request costs in system calls."""
import os
import re
import shutil
import subprocess

from harness import BUILDDIR, SRCDIR, Skip, equal, run, test
from wsgi_harness import (ACCEL, ADAPTERS, HAS_ACCEL, PYTHON, App, root,
                          clock, with_accelerator)
import wsgi_harness

FILE = os.path.join(BUILDDIR, "adapters", ACCEL)
PYPY = "/usr/bin/pypy3"
HELLO = """
from kit import *
def application(environ, start_response):
    return reply(start_response, 1)
"""


def needed():
    if not os.path.exists(FILE):
        raise Skip("built without the accelerator")


def symbols():
    """Names that others are to define: with their versions."""
    needed()
    if not shutil.which("nm"):
        raise Skip("nm is not installed")
    out = subprocess.run(["nm", "-D", "--undefined-only", FILE], check=True,
                         stdout=subprocess.PIPE, universal_newlines=True)
    return [line.split()[-1] for line in out.stdout.splitlines()]


@test("of Python it uses what is in the stable ABI of 3.6")
def _():
    with open(os.path.join(SRCDIR, "t", "abi3.txt")) as file:
        stable = {s.strip() for s in file if s[0] != "#"}
    used = {s for s in symbols() if s.startswith(("Py", "_Py"))}
    assert len(used) > 30, used
    equal(sorted(used - stable), [])


@test("of the C library it uses what hosts have had for ten years")
def _():
    needed()
    with open(FILE, "rb") as file:
        if b"MAMAYO_TESTPOINTS" in file.read():
            return "not with test points, which nobody has who is served"
    for symbol in symbols():
        name, _, version = symbol.partition("@")
        if version.startswith("GLIBC_"):
            number = tuple(map(int, version[6:].split(".")))
            assert number <= (2, 17), symbol


@test("it shows one name, and is not sanitized")
def _():
    needed()
    if not shutil.which("nm"):
        raise Skip("nm is not installed")
    out = subprocess.run(["nm", "-D", "--defined-only", FILE], check=True,
                         stdout=subprocess.PIPE, universal_newlines=True)
    equal([line.split()[-1] for line in out.stdout.splitlines()],
          ["PyInit_mamayo_accel"])
    equal([s for s in symbols() if "asan" in s or "ubsan" in s], [])


# Where it is not loaded


def unpacked(text=None):
    """A directory of adapters of our own, with such an accelerator."""
    directory = os.path.join(root, "unpacked")
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    for name in os.listdir(ADAPTERS):
        if name.endswith(".py"):
            shutil.copy(os.path.join(ADAPTERS, name), directory)
    if text is not None:
        with open(os.path.join(directory, ACCEL), "wb") as file:
            file.write(text)
    return directory


def served(directory=None, **options):
    """Why that worker does without, after it has served."""
    was = wsgi_harness.UNPACKED
    wsgi_harness.UNPACKED = directory or was
    try:
        with App(HELLO, workers=0, **options) as a:
            worker = a.start()
            worker.must_accelerate = False
            worker.ready()
            for _ in range(3):
                equal(a.ask("/").json(), 1)
            return worker.heard[-1]["pure"]
    finally:
        wsgi_harness.UNPACKED = was


@test("without the file, with one that is none, and where it is not wanted, "
      "workers serve, and say why they do it in Python")
def _():
    with with_accelerator(True):
        equal(served(unpacked()), "this mamayo was built without it")
        for text in (b"", b"nonsense", b"\x7fELF" + b"\0" * 1000):
            why = served(unpacked(text))
            assert why.startswith("this Python does not load it: "), why
    equal(served(), "the setting accel is false")


@test("an accelerator of another C library is none")
def _():
    needed()
    with open(FILE, "rb") as file:
        text = file.read()
    with with_accelerator(True):
        why = served(unpacked(text.replace(b"__register_atfork",
                                           b"__register_atfoo_")))
        assert "undefined symbol" in why, why


@test("PyPy serves without it, and says so")
def _():
    if not os.path.exists(PYPY):
        raise Skip("pypy3 is not installed")
    with with_accelerator(True):
        equal(served(python=PYPY), "it is for CPython, and this is another"
              " Python" if HAS_ACCEL else "this mamayo was built without it")


@test("an application's own file of that name is not taken for it")
def _():
    with with_accelerator(True), App({"wsgi.py": HELLO, "mamayo_accel.py":
                                      "1 // 0"}, workers=0) as a:
        for directory in (unpacked(), unpacked(b"nonsense")):
            was, wsgi_harness.UNPACKED = wsgi_harness.UNPACKED, directory
            try:
                worker = a.start()
            finally:
                wsgi_harness.UNPACKED = was
            worker.must_accelerate = False
            worker.ready()
            assert "division" not in worker.heard[-1]["pure"]
            equal(a.ask("/").json(), 1)
            worker.kill()


@test("it works with every CPython that is there")
def _():
    needed()
    pythons = [p for p in os.environ.get("MAMAYO_TEST_PYTHONS", "").split(":")
               if p]
    found = [p for p in pythons + [PYTHON] if os.path.exists(p)]
    with with_accelerator(True):
        for python in found:
            equal(served(python=python), "", python)
    return "%d" % len(found)


# What a request costs


def counted(wait, **fields):
    """System calls of the worker for each of 50 requests."""
    trace = os.path.join(root, "trace")
    with with_accelerator(True), App(HELLO) as a:
        a.ask("/")
        a.worker.idle()
        if not wait:
            os.kill(a.worker.pid, 19)
            # as if it were not old: whether its visitor is there costs one
            waiting = [a.send("/", queued=clock() + 60000, **fields)
                       for _ in range(50)]
        strace = subprocess.Popen(
            ["strace", "-f", "-o", trace, "-p", str(a.worker.pid)],
            stderr=subprocess.PIPE, universal_newlines=True)
        if "attached" not in strace.stderr.readline():
            raise Skip("strace may not trace")
        if not wait:
            os.kill(a.worker.pid, 18)
            for x in waiting:
                x.read()
            a.worker.idle()
        else:
            for _ in range(50):
                a.ask("/", **fields)
                a.worker.idle()
        strace.terminate()
        strace.wait()
    with open(trace) as file:
        # but for looks at the control socket, ten times a second
        calls = re.findall(r"^\d+ +(?!recv\w+\(3,)(\w+)\(", file.read(), re.M)
    return {name: calls.count(name) for name in sorted(set(calls))}


def traced():
    """A remark if it cannot be counted here."""
    needed()
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    return wsgi_harness.SANITIZERS and "not here: a sanitizer adds its own"


@test("a request that was waiting costs four system calls: it is received, "
      "answered, its answer shut and closed")
def _():
    if traced():
        return traced()
    calls = counted(False)
    for name in ("sendmsg", "shutdown", "close"):
        equal(calls.pop(name), 50, name)
    received = calls.pop("recvmsg")
    assert 50 <= received <= 53, received
    assert sum(calls.values()) <= 4, calls  # stopping, and the last sleep


@test("one that it slept for costs two more")
def _():
    if traced():
        return traced()
    calls = counted(True)
    for name in ("sendmsg", "shutdown", "close"):
        equal(calls.pop(name), 50, name)
    received, slept = calls.pop("recvmsg"), calls.pop("epoll_wait")
    assert 98 <= received <= 102 and 48 <= slept <= 52, (received, slept)
    assert sum(calls.values()) <= 4, calls


@test("an answer on a connection that is kept costs three")
def _():
    if traced():
        return traced()
    calls = counted(False, flags=wsgi_harness.adapter.WIRE_DIRECT
                    | wsgi_harness.adapter.WIRE_KEEP_CONN)
    equal((calls["sendmsg"], calls["close"], calls.get("shutdown", 0)),
          (50, 50, 0))


run()
