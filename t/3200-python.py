"""Which Python runs an application, and what is said when it cannot
(DESIGN 4; RELIABILITY 3.2, faults 37, 38 and 40)."""
import json
import os
import shutil
import subprocess
import sys

from harness import Skip, equal, run, test, within
from mamayo import Mamayo, gone, kill

SAYS = """
    import json, os, sys
    try:
        from of_the_environment import NAME
    except ImportError:
        NAME = None
    def application(environ, start_response):
        start_response("200 OK", [])
        return [json.dumps({
            "executable": sys.executable, "prefix": sys.prefix, "name": NAME,
            "path": os.environ["PATH"], "version": sys.version,
            "virtual_env": os.environ.get("VIRTUAL_ENV"),
            "which": os.environ.get("WHICH")}).encode()]
"""

# A whole head of a program, for another machine (s390).
FOREIGN = ("\x7fELF\2\2\1" + "\0" * 9 + "\0\2\0\x16\0\0\0\1" + "\0" * 100)

m = Mamayo()


def start():
    if not m.responders:
        m.start()


def says(name):
    return json.loads(m.text("/" + name))


def environment(path):
    """A virtual environment, with a module of its own."""
    subprocess.check_call([sys.executable, "-I", "-m", "venv",
                           "--without-pip", path])
    lib = os.path.join(path, "lib")
    module = os.path.join(lib, os.listdir(lib)[0], "site-packages",
                          "of_the_environment.py")
    with open(module, "w") as f:
        f.write("NAME = %r\n" % os.path.basename(path))
    return path


def app(name, **settings):
    return m.app(name, SAYS, **settings)


def program(path, text, mode=0o755):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def refused(name, *words):
    """503, no detail for the visitor; the log says why."""
    got = m.get("/" + name)
    equal((got.status, got.error), (503, "cannot-start"), name)
    equal(m.dir.encode() in got.text, False)
    for log, words_of_it in ((m.log(name), "cannot start (ref"),
                             (m.log(), " %s: cannot start" % name)):
        line = [x for x in log.split("\n") if words_of_it in x][-1]
        for word in words:
            equal(word in line, True, "%s in %s" % (word, line))


@test("without any, python3 of the system, and the log says so")
def _():
    start()
    app("plain")
    got = says("plain")
    equal((got["virtual_env"], got["name"]), (None, None))
    equal(got["path"], "/usr/local/bin:/usr/bin:/bin")
    equal("plain: runs with %s, because no virtual environment and no setting"
          " names another" % m.status_of("plain")["python"] in m.log(), True)


@test("a virtual environment in the application's directory is used, and said")
def _():
    start()
    for name in (".venv", "venv", "env", "virtualenv"):
        directory = app("has" + name)
        venv = environment(os.path.join(directory, name))
        got = says("has" + name)
        equal(got["prefix"], venv)
        equal(got["executable"], os.path.join(venv, "bin", "python"))
        equal(got["name"], name)
        equal(got["virtual_env"], venv)
        equal(got["path"], venv + "/bin:/usr/local/bin:/usr/bin:/bin")
        equal(m.status_of("has" + name)["python"],
              os.path.join(venv, "bin", "python"))
        equal("has%s: runs with %s/bin/python, because %s/ has a pyvenv.cfg"
              % (name, venv, name) in m.log(), True, m.log())


@test("what is installed into one that lacked it is used with the next"
      " request")
def _():
    start()
    directory = m.app("lacks", """
        import installed_later
        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"installed"]
    """)
    venv = environment(os.path.join(directory, "venv"))
    for _ in range(3):
        refused("lacks", "installed_later")
    lib = os.path.join(venv, "lib")
    with open(os.path.join(lib, os.listdir(lib)[0], "site-packages",
                           "installed_later.py"), "w"):
        pass
    equal(m.text("/lacks"), "installed")


@test("of two of them the first in the manual's order is used")
def _():
    start()
    directory = app("two")
    environment(os.path.join(directory, "venv"))
    environment(os.path.join(directory, "env"))
    equal(says("two")["name"], "venv")


@test("a directory of that name without pyvenv.cfg is none")
def _():
    start()
    directory = app("fake")
    os.makedirs(os.path.join(directory, "venv", "bin"))
    equal(says("fake")["virtual_env"], None)


@test("one whose interpreter has gone is refused with what to do, not passed"
      " over")
def _():
    start()
    directory = app("dangles")
    venv = environment(os.path.join(directory, "venv"))
    for link in ("python", "python3"):
        path = os.path.join(venv, "bin", link)
        if os.path.lexists(path):
            os.unlink(path)
    os.symlink("/nonexistent/python3.4", os.path.join(venv, "bin", "python"))
    refused("dangles", venv + "/bin/python",
            "python3 -m venv --clear " + venv)
    os.unlink(os.path.join(venv, "bin", "python"))
    os.symlink(sys.executable, os.path.join(venv, "bin", "python"))
    equal(says("dangles")["name"], "venv")  # with the very next request


@test("\"python\" in the settings comes first: a path, a directory, a name")
def _():
    start()
    elsewhere = environment(os.path.join(m.dir, "elsewhere"))
    directory = app("named")
    environment(os.path.join(directory, "venv"))
    environment(os.path.join(directory, "other"))
    for i, (python, name) in enumerate((
            (elsewhere, "elsewhere"),
            (os.path.join(elsewhere, "bin", "python"), "elsewhere"),
            ("other", "other"), ("other/bin/python", "other"),
            ("python3", None), (sys.executable, None))):
        app("named%d" % i, python=python)
        shutil.copytree(os.path.join(directory, "other"),
                        m.path("apps", "named%d" % i, "other"), symlinks=True)
        got = says("named%d" % i)
        equal(got["name"], name, python)
        equal('because "python" in the settings says "%s"' % python
              in m.log(), True, python)
        if name == "elsewhere":
            equal(got["virtual_env"], elsewhere, python)


@test("one that cannot be run: the log says which, and why")
def _():
    start()
    for name, python, words in (
            # 37: the system's own word on it
            ("p1", "/nonexistent/python3", ["/nonexistent/python3",
                                            "No such file"]),
            ("p2", "python9.99", ["python9.99", "no such program in /usr"]),
            ("p3", "none/bin/python", ["none/bin/python"]),
            ("p4", "plainfile", ["plainfile"]),
            ("p5", ".", ["bin/python"])):
        directory = app(name, python=python)
        program(os.path.join(directory, "plainfile"), "", 0o644)
        refused(name, '"python" in the settings says "%s"' % python
                if name != "p5" else "", *words)


@test("also what the system does not execute")
def _():
    start()
    for name, text, words in (
            ("x1", "neither a program nor a script\n",
             ["neither a program for this machine nor a script"]),
            ("x2", "#!/nonexistent/sh\n",
             ["the interpreter or loader that it names is not"]),
            ("x3", "#!/bin/sh\nexit 7\n", ["exit status 7"]),
            ("x4", "\x7fELF\x02\x01\x01" + "\0" * 100, ["neither a program"]),
            ("x6", FOREIGN, ["neither a program for this machine"]),
            ("x5", "#!/bin/sh\nkill -9 $$\n", ["killed by signal 9"])):
        directory = app(name, python="tool/python")
        path = program(os.path.join(directory, "tool", "python"), text)
        refused(name, *words)
        program(path, '#!/bin/sh\nWHICH=mended exec python3 "$@"\n')
        equal(says(name)["which"], "mended", name)


@test("nor what lies where nothing may be executed")
def _():
    start()
    directory = app("noexec", python="tool/python")
    path = program(os.path.join(directory, "tool", "python"),
                   "#!/bin/sh\nexit 1\n")
    os.chmod(path, 0o644)  # as far as exec tells, a file system does the same
    refused("noexec", path)
    os.unlink(path)
    os.mkdir(path)
    refused("noexec", path)
    os.rmdir(path)
    program(path, '#!/bin/sh\nWHICH=mended exec python3 "$@"\n')
    equal(says("noexec")["which"], "mended")


@test("what is run when an interpreter starts may raise: that is in the log,"
      " and who ends it there is refused")
def _():
    start()
    custom = os.path.join(m.dir, "custom")
    app("starts", env={"PYTHONSTARTUP": os.path.join(custom, "startup.py"),
                       "PYTHONPATH": custom})
    program(os.path.join(custom, "startup.py"), "raise RuntimeError\n")
    equal(says("starts")["name"], None)  # nobody is asked at a prompt
    for module in "sitecustomize", "usercustomize":
        path = program(os.path.join(custom, module + ".py"),
                       "raise RuntimeError('raised in %s')\n" % module)
        for worker in m.workers("starts"):
            kill(worker)
            gone(worker)
        equal(says("starts")["name"], None, module)
        assert "raised in " + module in m.log("starts"), m.log("starts")
        for code, word in (("os._exit(6)", "exit status 6"),
                           ("os.kill(os.getpid(), 9)", "killed by signal 9")):
            program(path, "import os; " + code + "\n")
            for worker in m.workers("starts"):
                kill(worker)
                gone(worker)
            refused("starts", word)
            equal(says("plain")["name"], None)
            os.unlink(path)  # which nobody knows to belong to it
            within(20, lambda: m.get("/starts").status == 200, "the next try")


@test("an interpreter that is replaced under running workers: these go on, a"
      " new one starts with it")
def _():
    start()
    directory = app("upgraded", python="tool/python")
    path = os.path.join(directory, "tool", "python")
    script = '#!/bin/sh\nWHICH=%s exec python3 "$@"\n'
    program(path, script % "old")
    equal(says("upgraded")["which"], "old")
    program(path + ".new", script % "new")
    os.rename(path + ".new", path)
    equal(says("upgraded")["which"], "old")
    worker, = m.workers("upgraded")
    kill(worker)
    within(10, lambda: m.workers("upgraded") != [worker], "its end")
    equal(says("upgraded")["which"], "new")


@test("what is installed may end the interpreter: it costs its application"
      " only")
def _():
    start()
    directory = app("site")
    venv = environment(os.path.join(directory, "venv"))
    lib = os.path.join(venv, "lib")
    hook = os.path.join(lib, os.listdir(lib)[0], "site-packages", "hook.pth")
    with open(hook, "w") as f:
        f.write("import os; os._exit(5)\n")
    refused("site", "exit status 5")
    equal(says("plain")["name"], None)
    os.unlink(hook)
    equal(says("site")["name"], "venv")  # with the very next request


@test("PyPy serves as well")
def _():
    start()
    pypy = shutil.which("pypy3")
    if pypy is None:
        raise Skip("there is no pypy3")
    app("pypy", python="pypy3", start_timeout=120)
    got = m.get("/pypy", timeout=120)
    equal(got.status, 200, repr(got))
    equal("PyPy" in says("pypy")["version"], True)


run()
