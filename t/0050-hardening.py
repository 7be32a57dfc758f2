"""The program is built with the protections that compiler and linker offer."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILDDIR, PROGRAM, test, run

with open(os.path.join(BUILDDIR, "config.status")) as f:
    CONFIG = f.read()


def switched_on(name):
    return "--enable-" + name in CONFIG


def readelf(*options):
    return subprocess.check_output(
        ("readelf", "--wide") + options + (PROGRAM,),
        universal_newlines=True, env=dict(os.environ, LC_ALL="C"))


@test("the program's address is random (PIE)")
def _():
    assert re.search(r"Type: +DYN ", readelf("--file-header"))


@test("its tables are read-only before main() runs (RELRO, BIND_NOW)")
def _():
    assert "GNU_RELRO" in readelf("--program-headers")
    assert re.search(r"\(FLAGS(_1)?\).*\bNOW\b", readelf("--dynamic"))


@test("its stack cannot be executed")
def _():
    stack = re.search(r"GNU_STACK.*", readelf("--program-headers")).group()
    assert " RW " in stack and " RWE " not in stack, stack


@test("its stack frames are guarded")
def _():
    assert "__stack_chk_fail" in readelf("--dyn-syms")


if not switched_on("sanitizers"):
    @test("the C library's checking functions are used (FORTIFY_SOURCE)")
    def _():
        assert re.search(r"__\w+_chk\b", readelf("--dyn-syms").replace(
            "__stack_chk_fail", ""))


@test("no text relocations, no search path for libraries")
def _():
    dynamic = readelf("--dynamic")
    for word in "TEXTREL", "RPATH", "RUNPATH":
        assert word not in dynamic, word


run()
