"""The portable program in a directory with nothing else in it. The change of
the root directory takes root, or a kernel that lets us have a namespace."""
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fcgi
from harness import BUILDDIR, Skip, cleanup, equal, test, run

ROOM = tempfile.mkdtemp(prefix="mamayo.")
cleanup(lambda: shutil.rmtree(ROOM))
os.chmod(ROOM, 0o755)
SOCKET = ROOM + ".sock"
ENVIRONMENT = {"MAMAYO_TEST": os.environ.get("MAMAYO_TEST", ROOM)}

if os.geteuid() == 0:
    USER = os.environ.get("MAMAYO_USER", "65534")
    COMMAND = ["chroot", "--userspec=%s:%s" % (USER, USER), ROOM]
else:
    COMMAND = ["unshare", "--user", "--map-current-user", "--keep-caps",
               "chroot", ROOM]
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def argv(*arguments):
    if os.geteuid() != 0 and subprocess.call(
            COMMAND[:4] + ["true"], stderr=subprocess.DEVNULL) != 0:
        raise Skip("neither root nor a user namespace")
    if not os.listdir(ROOM):
        program, = glob.glob(os.path.join(BUILDDIR, "mamayo-*-linux-*.fcgi"))
        shutil.copy(program, os.path.join(ROOM, "mamayo.fcgi"))
    return [shutil.which(COMMAND[0], path=PATH)] + COMMAND[1:] + [
        "/mamayo.fcgi"] + list(arguments)


def output(*arguments, **environment):
    return subprocess.check_output(
        argv(*arguments), env=dict(ENVIRONMENT, PATH=PATH, **environment),
        stdin=subprocess.DEVNULL, universal_newlines=True)


@test("it tells its version")
def _():
    assert output("--version").startswith("mamayo ")


@test("started as a CGI program it says what to change")
def _():
    page = output(GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="GET",
                  SERVER_PROTOCOL="HTTP/1.1")
    assert page.startswith("Status: 500 "), page
    assert "\nX-Mamayo-Error: refused\n" in page, page
    assert "fcgid-script" in page, page


@test("spawned by a web server it says that it knows no home directory")
def _():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(SOCKET)
        cleanup(lambda: os.unlink(SOCKET))
        listener.listen(5)
        process = subprocess.Popen(argv(), env=dict(ENVIRONMENT, PATH=PATH),
                                   stdin=listener)
    try:
        for _ in range(2):
            got = fcgi.fetch(SOCKET, "/", "GET")
            equal(got.status, 500)
            equal(got.header("X-Mamayo-Error"), "refused")
            assert b"home" in got.body, got
    finally:
        process.kill()
        process.wait()
    equal(os.listdir(ROOM), ["mamayo.fcgi"])


run()
