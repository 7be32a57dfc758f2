"""t/FAULTS names tests that there are, for every fault or what is missing."""
import ast
import os
import re

from harness import SRCDIR, equal, run, test

LAST = 86
TEST = re.compile(r'(t/[\w.-]+\.py): "(.+?)"(?:; (?=t/)|$)')


def lines():
    """(number, the rest) of each line that is no comment."""
    with open(os.path.join(SRCDIR, "t", "FAULTS"), encoding="utf-8") as f:
        for line in f.read().splitlines():
            if not line.startswith("#"):
                number, _, rest = line.partition("\t")
                yield int(number), rest


def titles(name, known={}):
    """Every text in a script: a title is one of them, put together, also one
    that is used in several tests."""
    if name not in known:
        path = os.path.join(SRCDIR, name)
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read(), path)
        known[name] = {getattr(n, "value", getattr(n, "s", None))
                       for n in ast.walk(tree)
                       if type(n).__name__ in ("Constant", "Str")}
    return known[name]


def scripts():
    """The scripts that make check runs, by Makefile.am, and what they share.
    """
    with open(os.path.join(SRCDIR, "Makefile.am"), encoding="utf-8") as f:
        return set(re.findall(r"\bt/[\w.-]+\.py\b", f.read()))


@test("every fault has one line, in order")
def _():
    equal([number for number, _ in lines()], list(range(1, LAST + 1)))


@test("it names a test that there is, or says what is missing")
def _():
    run_by_make = scripts()
    wrong, covered = [], 0
    for number, rest in lines():
        if re.match(r"-\t.{10,}$", rest):
            continue
        covered += 1
        tests = TEST.findall(rest)
        # nothing but tests, and at least one
        if "; ".join('%s: "%s"' % t for t in tests) != rest or not tests:
            wrong.append("%d is neither: %s" % (number, rest))
        for name, title in tests:
            if name not in run_by_make:
                wrong.append("%d: make check runs no %s" % (number, name))
            elif title not in titles(name):
                wrong.append('%d: %s has no test "%s"' % (number, name, title))
    equal(wrong, [])
    assert covered > 60, covered


@test("a title that is nearly right, and a missing one, are found out")
def _():
    _, rest = next(lines())
    name, title = TEST.findall(rest)[0]
    equal(title in titles(name), True)
    equal(title[:-1] in titles(name), False)
    equal(len(TEST.findall(rest[:-1])), len(TEST.findall(rest)) - 1)


run()
