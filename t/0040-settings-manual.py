#!/usr/bin/env python3
"""mamayo.json(5) and the program agree on every key, both ways."""
import json
import os
import re
import subprocess

from harness import PROGRAM, SRCDIR, equal, run, test

FIELDS = ["key", "where", "type", "default", "unit"]


def page():
    path = os.path.join(SRCDIR, "fcgi", "mamayo.json.5")
    with open(path, encoding="utf-8") as f:
        return f.read()


def code():
    """What the program says: rows of the five fields and the meaning."""
    out = subprocess.run([os.path.abspath(PROGRAM), "settings"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         universal_newlines=True, check=True).stdout
    return [line.split("|") for line in out.splitlines()]


def keys_section():
    return re.search(r"^\.Sh KEYS\n(.*?)^\.Sh ", page(), re.M | re.S).group(1)


def list_of(kind):
    """The text of the section's list of that kind."""
    return re.search(r"^\.Bl -%s\b.*?\n(.*?)^\.El" % kind, keys_section(),
                     re.M | re.S).group(1)


@test("the program's table has a key, its fields and a sentence in each row")
def _():
    rows = code()
    assert len(rows) > 10, rows
    for row in rows:
        equal(len(row), 6, row)
        assert row[1] in ("app", "account"), row
        assert re.match(r"^[A-Z].*\.$", row[5]), row
        number = re.match(r"^number from (\d+) to (\d+)$", row[2])
        assert number or row[2] in (
            "string", "true or false", "names and strings"), row
        equal(bool(number), bool(row[4]), row)  # a number has a unit
        if number and row[3].isdigit():
            assert int(number.group(1)) <= int(row[3]) <= int(
                number.group(2)), row
    equal(len(set(row[0] for row in rows)), len(rows))


@test("the manual's table is the program's, in the same order")
def _():
    rows = []
    for line in list_of("column").splitlines():
        assert line.startswith(".It "), line
        rows.append([field.strip() for field in line[4:].split(" Ta")])
    equal(rows.pop(0), ["Sy " + field for field in FIELDS])
    equal(rows, [row[:5] for row in code()])


@test("the manual gives each key the meaning that the program gives it")
def _():
    told = []
    for item in re.split(r"^\.It Cm ", list_of("tag"), flags=re.M)[1:]:
        key, _, text = item.partition("\n")
        told.append([key, text.split("\n.Pp\n")[0].replace("\n", " ").strip()])
    equal(told, [[row[0], row[5]] for row in code()])


@test("the keys that the manual's examples use are keys")
def _():
    known = set()
    for row in code():
        parts = row[0].split(".")
        known |= {parts[0], row[0]}
    examples = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", page(),
                          re.M | re.S)
    assert len(examples) >= 3, examples
    for text in examples:
        for key, value in json.loads(text).items():
            assert key in known, key
            if key in ("env", "environ", "static") or not isinstance(value, dict):
                continue
            for inner in value:
                assert key + "." + inner in known, (key, inner)


run()
