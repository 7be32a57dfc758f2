"""mamayo setup: a virtual environment takes the place of the old one when all is
done; a setup that fails, or is interrupted, changes nothing. What is installed
are wheels made here; nobody asks the network."""
import fcntl
import os
import resource
import signal
import socket
import subprocess
import zipfile

from harness import PROGRAM, Skip, equal, run, test, within
from mamayo import Mamayo

LIMIT = 300  # seconds: pip takes some, and many do at once
m = Mamayo(workers={"max": 1})
WHEELS = os.path.join(m.dir, "wheels")
PIP = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
SOURCE = """
    import os, sys
    import greeting
    def application(environ, start_response):
        start_response("200 OK", [])
        return [("%s %s" % (greeting.VERSION, sys.prefix)).encode()]
    """


def wheel(version, name="greeting"):
    os.makedirs(WHEELS, exist_ok=True)
    info = "%s-%s.dist-info/" % (name, version)
    with zipfile.ZipFile("%s/%s-%s-py3-none-any.whl" % (
            WHEELS, name, version), "w") as z:
        z.writestr(name + ".py", "VERSION = %r\ndef main():\n"
                   "    import sys\n    print(VERSION, sys.prefix)\n" % version)
        z.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: %s\n"
                   "Version: %s\n" % (name, version))
        z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: us\n"
                   "Root-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(info + "entry_points.txt",
                   "[console_scripts]\ngreet = %s:main\n" % name)
        z.writestr(info + "RECORD", "")


wheel("1.0")
wheel("2.0")
m.start()


def setup(*arguments, **how):
    env = dict(PIP, **how.pop("env", {}))
    return m.command("setup", *arguments, limit=LIMIT, env=env, **how)


def sets_up(*arguments, **how):
    got = setup(*arguments, **how)
    equal(got.returncode, 0, got.stdout + got.stderr)
    return got.stdout


def state(name):
    """What is in the app's directory: names, and which files they are."""
    directory = m.path("apps", name)
    return {n: os.lstat(os.path.join(directory, n)).st_ino
            for n in os.listdir(directory) if n != "__pycache__"}


def fails(name, *words, **how):
    before = state(name)
    code = how.pop("code", 1)
    got = setup(name, *how.pop("arguments", ()), **how)
    equal(got.returncode, code, got.stdout + got.stderr)
    for word in words + ("nothing has been changed",):
        equal(word in got.stderr, True, got.stderr)
    equal(state(name), before)
    return got


def app(name, requirements="greeting==1.0\n", **settings):
    m.app(name, SOURCE, **settings)
    if requirements is not None:
        m.write("apps/%s/requirements.txt" % name, requirements)


@test("the first time there is a venv then, and the application serves with it")
def _():
    app("blog")
    equal(m.get("/blog/").status, 503)
    said = sets_up("blog")
    directory = m.path("apps", "blog", "venv")
    equal(m.text("/blog/"), "1.0 " + directory)
    for words in ("blog: making a virtual environment with /usr/bin/python3",
                  "installing what requirements.txt asks for",
                  "Successfully installed greeting-1.0"):
        equal(words in said, True, said)
    got = m.command("run", "blog", "greet")
    equal(got.stdout, "1.0 %s\n" % directory, got.stderr)
    equal(set(state("blog")),
          {"application.py", "requirements.txt", "venv"})
    with open(os.path.join(directory, "pyvenv.cfg")) as f:
        equal(".mamayo-setup" in f.read(), False)


@test("another one takes its place, and the new generation serves at once")
def _():
    before = state("blog")["venv"]
    m.write("apps/blog/requirements.txt", "greeting==2.0\n")
    equal(m.text("/blog/").split()[0], "1.0")
    said = sets_up("blog")
    equal(m.text("/blog/").split()[0], "2.0", said)
    equal(state("blog")["venv"] != before, True)
    equal(set(state("blog")),
          {"application.py", "requirements.txt", "venv"})


@test("what cannot be installed changes nothing")
def _():
    m.write("apps/blog/requirements.txt", "greeting==3.0\n")
    fails("blog", "pip could not install all of it")
    equal(m.text("/blog/").split()[0], "2.0")


@test("with what does not serve, the old generation and its environment go on")
def _():
    m.write("apps/blog/requirements.txt", "# nothing\n")
    got = fails("blog", "does not serve with what has been installed")
    equal("greeting" in got.stderr, True, got.stderr)
    equal(m.text("/blog/").split()[0], "2.0")


@test("a disk that is full in the middle changes nothing")
def _():
    fails("blog", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (100000, 100000)))
    equal(m.text("/blog/").split()[0], "2.0")


@test("Ctrl-C in the middle ends pip and changes nothing")
def _():
    with socket.socket() as index:  # takes connections, and says nothing
        index.bind(("127.0.0.1", 0))
        index.listen()
        index.settimeout(LIMIT)
        before = state("blog")
        m.write("apps/blog/requirements.txt", "greeting\n")
        process = m.popen(
            [os.path.abspath(PROGRAM), "setup", "blog"],
            env={"PIP_INDEX_URL": "http://127.0.0.1:%d/"
                 % index.getsockname()[1]}, stderr=subprocess.PIPE)
        visitor, _ = index.accept()
        processes = set(m.processes())
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1].decode()
        m.others.remove(process)
        equal((process.returncode, "interrupted (Ctrl-C)" in said
               and "nothing has been changed" in said), (130, True), said)
        visitor.close()
        now = state("blog")
        now["requirements.txt"] = before["requirements.txt"]
        equal(now, before)
        within(20, lambda: not [p for p in m.processes().values()
                                if b"\0pip\0" in p.read("cmdline")])
        equal(processes != set(), True)


@test("dependencies of pyproject.toml, and what lies in src/")
def _():
    app("modern", None)
    m.write("apps/modern/src/greeting_too.py", "")
    m.write("apps/modern/pyproject.toml",
            "[project]\nname = 'modern'\nversion = '1'\n"
            "dependencies = ['greeting<2', \"nobody; python_version<'3'\"]\n")
    sets_up("modern")
    equal(m.text("/modern/").split()[0], "1.0")
    got = m.command("run", "modern", "python", "-c", "import greeting_too")
    equal(got.returncode, 0, got.stderr)
    equal(set(state("modern")),
          {"application.py", "pyproject.toml", "src", "venv"})
    for text, word in (("[tool.poetry]\n", "no list of dependencies"),
                       ("nonsense\n", "pyproject.toml: "),
                       ("[project]\ndependencies = 'x'\n", "list of texts")):
        m.write("apps/modern/pyproject.toml", text)
        fails("modern", word)


@test("without either file there is an empty one; a name with quotes and spaces")
def _():
    m.app("it's mine")
    said = sets_up("it's mine")
    equal("nothing to install" in said, True, said)
    got = m.command("run", "it's mine", "pip", "--version")
    equal((got.returncode, m.path("apps/it's mine/venv/") in got.stdout),
          (0, True), got.stderr)


@test("where ensurepip is missing its Debian package is named; virtualenv will do")
def _():
    app("bare")
    place = os.path.join(m.dir, "split")
    os.makedirs(place)
    with open(os.path.join(place, "ensurepip.py"), "w") as f:
        f.write("raise ImportError('split off')\n")
    # as Debian has it: neither of these sees the system's own
    python = os.path.join(m.dir, "python3-bare")
    with open(python, "w") as f:
        f.write('#!/bin/sh\nPYTHONPATH=%s exec /usr/bin/python3 "$@"\n'
                % place)
    os.chmod(python, 0o755)
    if os.path.exists("/usr/bin/virtualenv"):
        raise Skip("virtualenv is installed")
    got = fails("bare", "ensurepip", "-venv", "virtualenv",
                arguments=("--python", python))
    equal("apt-get install python3." in got.stderr, True, got.stderr)
    with open(os.path.join(place, "virtualenv.py"), "w") as f:
        f.write("import subprocess, sys\nif __name__ == '__main__':\n"
                "    sys.exit(subprocess.call(['/usr/bin/python3', '-m', "
                "'venv', sys.argv[1]]))\n")
    sets_up("bare", "--python", python)
    equal(m.text("/bare/").split()[0], "1.0")


@test("an environment whose Python has gone is replaced; a link to one elsewhere, too, and that stays")
def _():
    app("old")
    elsewhere = os.path.join(m.dir, "elsewhere")
    os.makedirs(elsewhere + "/bin")
    os.symlink("/nonexistent/python3", elsewhere + "/bin/python")
    with open(elsewhere + "/pyvenv.cfg", "w") as f:
        f.write("home = /nonexistent\n")
    os.symlink(elsewhere, m.path("apps/old/.venv"))
    sets_up("old")
    equal(m.text("/old/"), "1.0 " + m.path("apps/old/.venv"))
    equal(set(state("old")), {"application.py", "requirements.txt", ".venv"})
    equal(sorted(os.listdir(elsewhere)), ["bin", "pyvenv.cfg"])


@test("one that is stopped stays so")
def _():
    app("quiet")
    equal(m.command("stop", "quiet").returncode, 0)
    equal("it is stopped" in sets_up("quiet"), True)
    equal(m.get("/quiet/").status, 503)
    equal(m.command("start", "quiet").returncode, 0)
    equal(m.text("/quiet/").split()[0], "1.0")


@test("what would not be used, or is in the way, is refused at once")
def _():
    app("set", python="python3")
    fails("set", '"python" in the settings', "--python python3")
    app("taken")
    m.write("apps/taken/venv/mine", "")
    fails("taken", "is no virtual environment")
    app("typing")
    fails("typing", "there is no program python9",
          arguments=("--python", "python9"))
    fails("typing", "", arguments=("--python", "/bin/false"))
    fails("typing", "is no Python", arguments=("--python", "/bin/true"))
    got = setup("blgo")
    equal((got.returncode, 'did you mean "blog"' in got.stderr), (1, True))
    for arguments in ([], ["a", "b"], ["--python", "x"], ["a", "--python"],
                      ["a", "--all"], ["a", "--python", ""]):
        got = setup(*arguments)
        equal((got.returncode, got.stdout), (2, ""), arguments)


@test("two at once: the other one is told so")
def _():
    with open(m.path("state", "setup%3Ablog.lock"), "w") as f:
        fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fails("blog", "at this moment")


@test("what one that was killed has left goes with the next")
def _():
    left = "apps/blog/.mamayo-setup.new-999999999-0123456789abcdef/bin/x"
    m.write(left, "")
    m.write("apps/blog/requirements.txt", "greeting==1.0\n")
    sets_up("blog")
    equal(set(state("blog")),
          {"application.py", "requirements.txt", "venv"})
    equal(m.text("/blog/").split()[0], "1.0")


run()
