"""The portable program in a directory with nothing else in it. Root can go
there, and whoever may have a namespace. Elsewhere one that can open no file
stands in for it."""
import glob
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fcgi
from harness import BUILDDIR, cleanup, equal, test, run

ROOM = tempfile.mkdtemp(prefix="mamayo.")
cleanup(lambda: shutil.rmtree(ROOM))
os.chmod(ROOM, 0o755)
SOCKET = ROOM + ".sock"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACE = ["unshare", "--user", "--map-current-user", "--keep-caps"]
ENVIRONMENT = {"PATH": PATH,
               "MAMAYO_TEST": os.environ.get("MAMAYO_TEST", ROOM)}
is_empty = True

if os.geteuid() == 0:
    USER = os.environ.get("MAMAYO_USER", "65534")
    ENTER = ["chroot", "--userspec=%s:%s" % (USER, USER), ROOM]
elif subprocess.call(NAMESPACE + ["true"], stderr=subprocess.DEVNULL,
                     env=ENVIRONMENT) == 0:
    ENTER = NAMESPACE + ["chroot", ROOM]
else:
    print("# no namespace for this user: a limit of open files instead")
    is_empty = False


def start(*arguments, files=3, **how):
    """files: how many the stand-in may have open, the standard ones too."""
    env = dict(ENVIRONMENT, **how.pop("env", {}))
    program = os.path.join(ROOM, "mamayo.fcgi")
    if not os.path.exists(program):
        made, = glob.glob(os.path.join(BUILDDIR, "mamayo-*-linux-*.fcgi"))
        shutil.copy(made, program)
    if is_empty:
        argv = ENTER + ["/mamayo.fcgi"]
    else:
        argv = [program]
        env["MAMAYO_ROOT"] = "/nowhere/home"
        how["preexec_fn"] = lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (files, files))
    return subprocess.Popen(argv + list(arguments), env=env,
                            universal_newlines=True, **how)


def output(*arguments, **how):
    process = start(*arguments, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, **how)
    text = process.communicate(timeout=20)[0]
    equal(process.returncode, 0)
    return text


@test("it tells its version")
def _():
    assert output("--version").startswith("mamayo ")


@test("started as a CGI program it says what to change")
def _():
    page = output(env={"GATEWAY_INTERFACE": "CGI/1.1",
                       "REQUEST_METHOD": "GET",
                       "SERVER_PROTOCOL": "HTTP/1.1"})
    assert page.startswith("Status: 500 "), page
    assert "\nX-Mamayo-Error: refused\n" in page, page
    assert "fcgid-script" in page, page


@test("spawned by a web server it says that it knows no home directory")
def _():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(SOCKET)
        cleanup(lambda: os.unlink(SOCKET))
        os.chmod(SOCKET, 0o777)
        listener.listen(5)
        process = start(files=4, stdin=listener)
    try:
        for _ in range(2):
            got = fcgi.fetch(SOCKET, "/", "GET")
            equal((got.status, got.header("X-Mamayo-Error")),
                  (500, "refused"))
            assert b"home" in got.body, got
    finally:
        process.kill()
        process.wait()
    equal(os.listdir(ROOM), ["mamayo.fcgi"])


run()
