"""t/FAULTS, t/REQUIREMENTS and t/PAINS name tests that there are, for every
fault, requirement and complaint, or what is missing."""
import ast
import os
import re

from harness import SRCDIR, equal, run, test

FAULTS = [str(n) for n in range(1, 87)]
REQUIREMENTS = ["R-%s%d" % (kind, n) for kind, last in (
    ("SEC", 12), ("VUL", 15), ("FD", 3), ("PROC", 4))
    for n in range(1, last + 1)]
PAINS = [str(n) for n in range(1, 26)]
TEST = re.compile(r'(t/[\w.-]+\.(?:py|c|t)): "(.+?)"(?:; (?=t/)|$)')


def text_of(name):
    with open(os.path.join(SRCDIR, name), encoding="utf-8") as f:
        return f.read()


def lines(name):
    """(its number or name, the rest) of each line that is no comment."""
    for line in text_of(name).splitlines():
        if not line.startswith("#"):
            what, _, rest = line.partition("\t")
            yield what, rest


def titles(name, known={}):
    """What may be the title of a test in that file: in Python every text, for
    it may be put together, or be used in several tests."""
    if name not in known:
        text = text_of(name)
        if name.endswith(".py"):
            known[name] = {getattr(n, "value", getattr(n, "s", None))
                           for n in ast.walk(ast.parse(text, name))
                           if type(n).__name__ in ("Constant", "Str")}
        else:
            known[name] = set(re.findall(
                r"^START_TEST\((\w+)\)" if name.endswith(".c")
                else r"^it '([^']+)'", text, re.M))
    return known[name]


def scripts():
    """What make check runs, by Makefile.am, and what scripts share."""
    text = text_of("Makefile.am")
    return set(re.findall(r"\bt/[\w.-]+\.(?:py|t)\b", text)) | {
        name + ".c" for name in re.findall(r"^UNIT_TESTS \+= (\S+)$", text,
                                           re.M)}


def check(name, expected):
    """Every line of the file -> how many are covered."""
    run_by_make = scripts()
    wrong, covered, there = [], 0, []
    for what, rest in lines(name):
        there.append(what)
        if re.match(r"-\t.{10,}$", rest):
            continue
        covered += 1
        tests = TEST.findall(rest)
        # nothing but tests, and at least one
        if "; ".join('%s: "%s"' % t for t in tests) != rest or not tests:
            wrong.append("%s is neither: %s" % (what, rest))
        for script, title in tests:
            if script not in run_by_make:
                wrong.append("%s: make check runs no %s" % (what, script))
            elif title not in titles(script):
                wrong.append('%s: %s has no test "%s"' % (
                    what, script, title))
    equal(wrong, [])
    equal(there, expected)
    return covered


@test("every fault has one line, in order, which names a test that there is, or"
      " says what is missing")
def _():
    covered = check("t/FAULTS", FAULTS)
    assert covered > 60, covered
    return "%d of %d" % (covered, len(FAULTS))


@test("so has every requirement of security and of processes")
def _():
    covered = check("t/REQUIREMENTS", REQUIREMENTS)
    assert covered > 25, covered
    return "%d of %d" % (covered, len(REQUIREMENTS))


@test("so has every complaint of docs/faq")
def _():
    covered = check("t/PAINS", PAINS)
    assert covered >= 24, covered
    return "%d of %d" % (covered, len(PAINS))


@test("a title that is nearly right, and a missing one, are found out")
def _():
    for name in "t/FAULTS", "t/REQUIREMENTS", "t/PAINS":
        for _, rest in lines(name):
            for script, title in TEST.findall(rest):
                equal(title in titles(script), True)
                equal(title[:-1] in titles(script), False)
            if rest[0] != "-":
                equal(len(TEST.findall(rest[:-1])),
                      len(TEST.findall(rest)) - 1)


run()
