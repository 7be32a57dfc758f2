"""mamayo run: a command in an application's directory, Python and environment.
"""
import json
import os
import pty
import signal
import subprocess

from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo

m = Mamayo()
blog = m.app("blog", env={"COLOUR": "green", "HOME": "/elsewhere"})
TELL = ("import json, os, sys; print(json.dumps([os.getcwd(), sys.executable, "
        "sys.prefix, dict(os.environ)]))")


def tell(*command, **how):
    got = m.command("run", *command, **how)
    equal((got.returncode, got.stderr), (0, ""))
    return json.loads(got.stdout)


def virtual_environment(directory):
    """Enough of one for Python to believe it."""
    os.makedirs(os.path.join(directory, "bin"))
    os.symlink("/usr/bin/python3", os.path.join(directory, "bin", "python"))
    with open(os.path.join(directory, "pyvenv.cfg"), "w") as f:
        f.write("home = /usr/bin\n")


@test("it runs where a worker runs, with the environment of one")
def _():
    where, python, _, env = tell("blog", "python", "-c", TELL, env={
        "SECRET": "mine", "PYTHONPATH": "/mine", "TERM": "vt100",
        "EDITOR": "ed"})
    equal((where, os.path.realpath(python)),
          (blog, os.path.realpath("/usr/bin/python3")))
    equal((env["COLOUR"], env["HOME"], env["TERM"], env["EDITOR"]),
          ("green", "/elsewhere", "vt100", "ed"))
    equal([k for k in ("SECRET", "PYTHONPATH", "MAMAYO_ROOT") if k in env], [])
    m.start()
    m.app("env", """
        import json, os
        def application(environ, start_response):
            start_response("200 OK", [])
            return [json.dumps(dict(os.environ)).encode()]
        """)
    served = json.loads(m.text("/env"))
    ours = tell("env", "python3", "-c", TELL)[3]
    equal(ours, served)


@test("its virtual environment is in force, for python and for its programs")
def _():
    directory = m.app("tools/wiki")
    virtual_environment(os.path.join(directory, "venv"))
    program = os.path.join(directory, "venv", "bin", "wiki-admin")
    with open(program, "w") as f:
        f.write("#!/bin/sh\necho administered $VIRTUAL_ENV $1\n")
    os.chmod(program, 0o755)
    for name in ("python", "python3"):
        _, python, prefix, _ = tell("tools/wiki", name, "-c", TELL)
        equal((python, prefix), (directory + "/venv/bin/python",
                                 directory + "/venv"))
    got = m.command("run", "tools/wiki", "--", "wiki-admin", "a b")
    equal((got.stdout, got.stderr),
          ("administered %s/venv a b\n" % directory, ""))


@test("variables before the command are set for it")
def _():
    _, _, _, env = tell("blog", "COLOUR=red", "X=a=b c", "Y=", "python", "-c",
                        TELL)
    equal((env["COLOUR"], env["X"], env["Y"]), ("red", "a=b c", ""))
    got = m.command("run", "blog", "--", "a-b=c")  # none, but a program
    equal((got.returncode, 'cannot run "a-b=c"' in got.stderr), (127, True))


@test("standard input, exit status and signals are the command's own")
def _():
    process = m.popen([os.path.abspath(PROGRAM), "run", "blog", "sh", "-c",
                       "read x; echo got $x; exit 7"], stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE)
    equal(process.communicate(b"this\n", 20)[0], b"got this\n")
    equal(process.returncode, 7)
    process = m.popen([os.path.abspath(PROGRAM), "run", "blog", "sh", "-c",
                       "kill -TERM $$"])
    equal(process.wait(20), -signal.SIGTERM)
    # a broken pipe ends it, as in a shell
    process = m.popen([os.path.abspath(PROGRAM), "run", "blog", "yes"],
                      stdout=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    equal(process.wait(20), -signal.SIGPIPE)


@test("it may ask at the terminal, and Ctrl-C there ends it")
def _():
    pid, terminal = pty.fork()
    if pid == 0:
        # (a shell may miss it between its own fork and exec)
        os.execve(PROGRAM, [PROGRAM, "run", "blog", "python", "-c",
                            "print('ready', flush=True);"
                            "open('/dev/tty').read()"],
                  dict(m.environment, TERM="dumb"))
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 100)
    os.write(terminal, b"\x03")
    status = []

    def over():
        got, how = os.waitpid(pid, os.WNOHANG)
        status.append(how)
        return got == pid
    within(20, over, "the end of it")
    os.close(terminal)
    equal(status[-1], signal.SIGINT)


@test("what cannot be run is said, with the exit status of a shell")
def _():
    with open(os.path.join(blog, "text"), "w") as f:
        f.write("no program")
    for command, code, word in (("no-such-program", 127, "No such file"),
                                ("./nothing", 127, "No such file"),
                                ("./text", 126, "Permission denied"),
                                ("/", 126, "Permission denied")):
        got = m.command("run", "blog", command)
        equal((got.returncode, got.stdout), (code, ""), command)
        equal('cannot run "%s"' % command in got.stderr
              and word in got.stderr, True, got.stderr)


@test("an application that is not there, or is refused, runs nothing")
def _():
    os.chmod(m.app("open"), 0o777)
    os.makedirs(os.path.join(m.app("broken"), "venv", "bin"))
    m.write("apps/broken/venv/pyvenv.cfg", "home = /nonexistent\n")
    m.app("bad")
    m.write("apps/bad/mamayo.json", "{ nonsense")
    for name, word in (("blgo", 'did you mean "blog"'), ("open", "chmod o-w"),
                       ("broken", "venv/bin/python"),
                       ("bad", "mamayo.json:1"), ("../apps/blog", "no app"),
                       ("a\nb", "no app")):
        got = m.command("run", name, "touch", "ran")
        equal((got.returncode, got.stdout), (1, ""), name)
        equal(word in got.stderr, True, got.stderr)
        equal(os.path.exists(m.path("apps", name, "ran")), False)


@test("without a command it is wrong usage")
def _():
    for arguments in ([], ["blog"], ["blog", "--"], ["blog", "X=1"], ["-x", "ls"], ["", "ls"]):
        got = m.command("run", *arguments)
        equal((got.returncode, got.stdout), (2, ""), arguments)
        equal("usage: mamayo run" in got.stderr, True, got.stderr)


run()
