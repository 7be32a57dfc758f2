#!/usr/bin/env python3
"""The manual pages are well-formed and say what the program says."""
import glob
import os
import re
import shutil
import subprocess

from harness import PROGRAM, SRCDIR, Skip, equal, run, test

PAGES = sorted(glob.glob(os.path.join(SRCDIR, "fcgi", "*.[1-9]")))

# every limit of the table in mamayo(1), and where it is defined
LIMITS = {
    "bytes of all parameters": ("lib/wire.h", "WIRE_PARAMS_MOST"),
    "bytes of one parameter's name": ("lib/params.h", "PARAMS_NAME_MOST"),
    "bytes of one parameter's value": ("lib/params.h", "PARAMS_VALUE_MOST"),
    "parameters": ("lib/params.h", "PARAMS_COUNT_MOST"),
    "bytes of a body kept in memory": ("lib/wire.h", "WIRE_INLINE_BODY"),
    "bytes of an answer held": ("fcgi/conn.h", "CONN_OUT_MOST"),
    "records that belong to no request": ("fcgi/conn.h", "CONN_STRAY_MOST"),
    "connections": ("fcgi/responder.h", "RESPONDER_CONNS_MOST"),
    "applications": ("lib/discover.h", "DISCOVER_APPS_MOST"),
    "levels of directories": ("lib/discover.h", "DISCOVER_DEPTH"),
    "responders and commands": ("lib/supervisor.h", "SUPERVISOR_PEERS_MOST"),
    "bytes of mamayo.json": ("lib/settings.h", "SETTINGS_FILE_MOST"),
}


def read(name):
    with open(os.path.join(SRCDIR, name), encoding="utf-8") as f:
        return f.read()


def command(*arguments):
    return subprocess.run([os.path.abspath(PROGRAM)] + list(arguments),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          universal_newlines=True, check=True).stdout


def defined(path, name):
    text = re.search(r"^#define %s\s+(?:\\\n\s*)?(.*?)\s*(/\*.*)?$" % name, read(path),
                     re.M).group(1)
    assert re.match(r"^[0-9 ()*]+$", text), text
    return eval(text)  # digits, products


@test("every page passes mandoc's lint")
def _():
    assert len(PAGES) >= 2, PAGES
    if shutil.which("mandoc") is None:
        raise Skip("mandoc is not installed")
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning"] + PAGES,
                          stdout=subprocess.PIPE, universal_newlines=True)
    equal((lint.stdout, lint.returncode), ("", 0))


@test("every command of --help is in mamayo(1), and back")
def _():
    helped = set(re.findall(r"^  mamayo (\w+)", command("--help"), re.M))
    shown = set(re.findall(r"^\.It Cm (\w+)", read("fcgi/mamayo.1"), re.M))
    equal(helped, shown)


@test("every option of a command's --help is in mamayo(1)")
def _():
    page = read("fcgi/mamayo.1")
    for verb in re.findall(r"^  mamayo (\w+)", command("--help"), re.M):
        for option in re.findall(r"\[--(\w+)", command(verb, "--help")):
            assert "Fl Fl " + option in page, (verb, option)


@test("every word of X-Mamayo-Error in the code is in mamayo(1), and back")
def _():
    codes = set()
    for path in glob.glob(os.path.join(SRCDIR, "lib", "*.c")) + glob.glob(
            os.path.join(SRCDIR, "fcgi", "*.c")) + glob.glob(
            os.path.join(SRCDIR, "adapters", "*.py")):
        text = read(os.path.relpath(path, SRCDIR))
        known = ("no-app|no-file|starting|cannot-start|queue-full|missing|resources|"
                 "died|protocol|timeout|bad-request|headers|refused|exception|"
                 "stopped")
        codes |= set(re.findall(r"[\"'](%s)[\"']" % known, text))
    table = set(re.findall(r"^\.It ([a-z-]+) Ta [45][0-9][0-9]\b", read("fcgi/mamayo.1"), re.M))
    equal(table - codes, set(), "in the page only")
    equal(codes - table, set(), "in the code only")


@test("every limit in mamayo(1) is the one in the code")
def _():
    page = read("fcgi/mamayo.1")
    for words, (path, name) in LIMITS.items():
        row = re.search(r"^\.It %s\b.* Ta ([0-9]+)$" % re.escape(words), page,
                        re.M)
        assert row, words
        equal(int(row.group(1)), defined(path, name), words)


run()
