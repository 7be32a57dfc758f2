"""`make portable`: one static program that runs where there is nothing else."""
import glob
import os
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILDDIR, SRCDIR, Skip, cleanup, equal, test, run

DIR = tempfile.mkdtemp(prefix="mamayo.")
cleanup(lambda: shutil.rmtree(DIR))


def output(*command, **kwargs):
    kwargs.setdefault("env", dict(os.environ, LC_ALL="C"))
    return subprocess.check_output(
        command, stderr=subprocess.STDOUT, universal_newlines=True, **kwargs)


def made(ending):
    names = glob.glob(os.path.join(BUILDDIR, "mamayo-*-linux-*" + ending))
    equal(len(names), 1, "files that end in " + ending)
    return names[0]


@test("make portable leaves the program and its .htaccess")
def _():
    for name in glob.glob(os.path.join(BUILDDIR, "mamayo-*-linux-*")):
        os.unlink(name)
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    output("make", "-C", BUILDDIR, "portable", env=env)
    equal(stat.S_IMODE(os.stat(made(".fcgi")).st_mode), 0o755, "mode")
    with open(made(".htaccess")) as f, \
            open(os.path.join(SRCDIR, "examples", "htaccess")) as g:
        equal(f.read(), g.read())


@test("it needs no library and no loader")
def _():
    assert "NEEDED" not in output("readelf", "-d", made(".fcgi"))
    assert "INTERP" not in output("readelf", "-lW", made(".fcgi"))


@test("it is small enough to upload over a slow line")
def _():
    size = os.path.getsize(made(".fcgi"))
    assert size < 2 << 20, size


@test("it tells its version in an empty directory")
def _():
    shutil.copy(made(".fcgi"), os.path.join(DIR, "mamayo.fcgi"))
    assert output(os.path.join(DIR, "mamayo.fcgi"), "--version",
                  cwd=DIR, env={}).startswith("mamayo ")


run()
