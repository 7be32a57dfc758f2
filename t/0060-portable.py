"""`make portable`: one static program, which serves like any other."""
import glob
import os
import re
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILDDIR, SRCDIR, equal, test, run


def output(*command, **kwargs):
    kwargs.setdefault("env", dict(os.environ, LC_ALL="C"))
    return subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True,
                          **kwargs).stdout


def files(ending=""):
    return glob.glob(os.path.join(BUILDDIR, "mamayo-*-linux-*" + ending))


def made(ending):
    names = files(ending)
    equal(len(names), 1, "files that end in " + ending)
    return names[0]


# Before the tests' account, which may not write here, takes over from root.
if "MAMAYO_PORTABLE" not in os.environ:
    for name in files():
        os.unlink(name)
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    os.environ["MAMAYO_PORTABLE"] = output(
        "make", "-C", BUILDDIR, "portable", env=dict(env, LC_ALL="C"))

from mamayo import Mamayo  # noqa: E402
from servers import Lighttpd  # noqa: E402


@test("make portable leaves the program and its .htaccess")
def _():
    print("# " + os.environ["MAMAYO_PORTABLE"][-4000:].replace("\n", "\n# "))
    equal(stat.S_IMODE(os.stat(made(".fcgi")).st_mode), 0o755, "mode")
    with open(made(".htaccess")) as f, \
            open(os.path.join(SRCDIR, "examples", "htaccess")) as g:
        equal(f.read(), g.read())


@test("nothing of ours would load the host's libraries, as getpwuid does")
def _():
    warned = re.findall(r"Using '(\w+)' in statically linked",
                        os.environ["MAMAYO_PORTABLE"])
    # in libfcgi's way of opening sockets, which mamayo does not go
    equal(set(warned) - {"gethostbyname"}, set())


@test("it needs no library and no loader")
def _():
    assert "There is no dynamic section" in output(
        "readelf", "-d", made(".fcgi"))
    headers = output("readelf", "-lW", made(".fcgi"))
    assert "LOAD" in headers and "INTERP" not in headers, headers


@test("it is small enough to upload over a slow line")
def _():
    size = os.path.getsize(made(".fcgi"))
    assert 100000 < size < 2000000, size


class Portable(Lighttpd):
    def program(self, place="www"):
        path = self.path(place, "mamayo.fcgi")
        shutil.copy(made(".fcgi"), path)
        return path


@test("it serves an application behind lighttpd")
def _():
    m = Mamayo()
    m.app("hello", """
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"hello from " + environ["SCRIPT_NAME"].encode()]
        """)
    server = Portable(m).start()
    got = server.get("/hello")
    equal((got.status, got.body), (200, b"hello from /hello"))
    server.stop()


run()
