"""A test script in Python: functions named after what is true, reported as TAP.

    from harness import test, run

    @test("a request without a body gets an answer")
    def _(): ...

    run()

A test fails by raising; Skip("why") skips it. A text that it returns is added
to its line of the report. `python3 t/1000-x.py WORD` runs
only the tests whose title contains WORD.
"""
import os
import sys
import time
import traceback

SRCDIR = os.path.abspath(os.environ.get("srcdir") or ".")
BUILDDIR = os.path.abspath(os.environ.get("builddir") or ".")
PROGRAM = os.environ.get("MAMAYO_PROGRAM") or os.path.join(
    BUILDDIR, "fcgi", "mamayo.fcgi")

failures = 0  # so far, for cleanups that keep what explains them

_tests = []
_cleanups = []


class Skip(Exception):
    """Raised by a test that cannot be run here; the text says why."""


def test(title):
    def add(function):
        _tests.append((title, function))
        return function
    return add


def cleanup(function):
    """Called after the last test, last registered first."""
    _cleanups.append(function)
    return function


def within(seconds, condition, what=None):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("gave up after %s s waiting for: %s" % (
                seconds, what or getattr(condition, "__doc__", None)
                or condition))
        time.sleep(0.01)


def equal(got, expected, what=""):
    if got != expected:
        raise AssertionError("%sgot %r, expected %r" % (
            what and what + ": ", got, expected))


def run():
    global failures
    words = sys.argv[1:]
    chosen = [t for t in _tests if all(w in t[0] for w in words)]
    print("1..%d" % len(chosen), flush=True)
    for number, (title, function) in enumerate(chosen, 1):
        title = title.replace("#", "")
        try:
            remark = function()
        except Skip as why:
            print("ok %d - %s # SKIP %s" % (number, title, why))
        except Exception:
            failures += 1
            print("not ok %d - %s" % (number, title))
            for line in traceback.format_exc().rstrip().split("\n"):
                print("# " + line)
        else:
            print("ok %d - %s%s" % (number, title,
                                    ": " + remark if remark else ""))
        sys.stdout.flush()
    end()


def end():
    """Cleans up, and exits."""
    global failures
    for function in reversed(_cleanups):
        try:
            function()
        except Exception:
            failures += 1
            for line in traceback.format_exc().rstrip().split("\n"):
                print("# in cleanup: " + line)
    sys.stdout.flush()
    sys.exit(1 if failures else 0)
