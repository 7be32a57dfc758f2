"""mamayo new: an application to begin with, served as it is."""
import os
import re
import resource
import signal
import stat
import subprocess

from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo

m = Mamayo()


def made(*arguments):
    got = m.command("new", *arguments)
    equal((got.returncode, got.stderr), (0, ""), arguments)
    return got.stdout


def refused(word, *arguments, **how):
    before = everything()
    got = m.command("new", *arguments, **how)
    equal((got.returncode, got.stdout), (1, ""), arguments)
    equal(word in got.stderr, True, got.stderr)
    equal(everything(), before, arguments)
    return got.stderr


def everything():
    found = []
    for top, directories, files in os.walk(m.path("apps")):
        found += [os.path.join(top, f) for f in directories + files]
    return sorted(found)


def mode(*path):
    return stat.S_IMODE(os.lstat(m.path("apps", *path)).st_mode)


@test("a plain one is served as it is")
def _():
    said = made("plain")
    equal("served at /plain/" in said and m.path("apps", "plain") in said,
          True, said)
    m.start()
    equal("It works" in m.text("/plain"), True)
    equal(m.get("/plain/x").status, 404)
    equal((mode("plain"), mode("plain", "wsgi.py")), (0o755, 0o644))


@test("one made with Flask")
def _():
    equal("mamayo setup shop\n" in made("--flask", "shop"), True)
    equal("templates/index.html" in m.text("/shop/"), True)


@test("a Django project, whose administration can be entered, and whose key nobody else reads")
def _():
    said = made("tools/wiki", "--django")
    steps = re.findall(r"^    mamayo (.*)$", said, re.M)
    equal([s.split()[0] for s in steps], ["setup", "run", "run", "run"])
    equal(mode("tools/wiki", "secret.key"), 0o600)
    made("other", "--django")
    keys = [open(m.path("apps", name, "secret.key")).read()
            for name in ("tools/wiki", "other")]
    equal([re.match("[0-9a-f]{64}\n$", k) is not None for k in keys],
          [True, True])
    equal(keys[0] != keys[1], True)
    for step in steps[1:3]:
        verb, name, *command = step.split()
        got = m.command(verb, name, *command)
        equal(got.returncode, 0, got.stderr)
    got = m.command("run", "tools/wiki",
                    "DJANGO_SUPERUSER_PASSWORD=geheim-42", "python",
                    "manage.py", "createsuperuser", "--noinput", "--username",
                    "u", "--email", "u@example.org")
    equal(got.returncode, 0, got.stderr)
    equal("/tools/wiki/admin/" in m.text("/tools/wiki/"), True)
    login = m.get("/tools/wiki/admin/login/")
    equal(login.status, 200)
    equal(b"/tools/wiki/static/admin/" in login.body, True, login.body)
    equal(os.path.isfile(m.path("apps/tools/wiki/public/static/admin/css/"
                                "base.css")), True)
    got = m.command("run", "tools/wiki", "python", "manage.py", "check",
                    "--fail-level", "WARNING")
    equal(got.returncode, 0, got.stderr)


@test("a name with spaces and quotes is told as a shell wants it")
def _():
    said = made("it's mine", "--flask")
    line = re.search("^    (mamayo setup .*)$", said, re.M).group(1)
    equal(subprocess.check_output(["sh", "-c", "printf %s " + line.split(
        " ", 2)[2]]), b"it's mine")
    equal("It works" in m.text("/it%27s%20mine/"), True)


@test("what is there stays, and a name that would not be found is refused")
def _():
    made("here")
    m.write("apps/notes/README", "no application")
    os.makedirs(m.path("apps", "empty"))
    refused("already", "here")
    refused("already", "notes")
    refused("none can lie in another", "here/below")
    refused("would not be found", "notes/below")
    for name in ("..", "../x", "a/../x", "/x", "a//b", ".x", "_x", "a\nb",
                 "a/b/c/d/e", "@example.org", "node_modules", "x" * 256,
                 b"caf\xe9"):
        refused("mamayo: ", name)
    made("empty")  # an empty directory holds nothing
    made("x" * 255)
    made("@example.org/ROOT")
    equal(os.path.exists(m.path("apps", "@example.org/ROOT/wsgi.py")), True)


@test("wrong usage is said, and nothing is made")
def _():
    for arguments in ([], ["--flask"], ["a", "b"], ["a", "--rails"],
                      ["a", "--flask", "--django"], [""]):
        before = everything()
        got = m.command("new", *arguments)
        equal((got.returncode, got.stdout), (2, ""), arguments)
        equal("usage: mamayo new" in got.stderr, True, got.stderr)
        equal(everything(), before)


@test("where apps/ cannot be written, or the disk is full, nothing is left")
def _():
    os.chmod(m.path("apps"), 0o555)
    refused("Permission denied", "shut")
    os.chmod(m.path("apps"), 0o755)
    refused("File too large", "full", "--django",
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (300, 300)))


@test("interrupted at any moment, there is all of it or nothing")
def _():
    m.app("blog")
    whole = len(made("--django", "whole").split()) and {
        os.path.relpath(p, m.path("apps", "whole"))
        for p in everything() if p.startswith(m.path("apps", "whole") + "/")}
    kept = 0
    for n in range(40):
        name = "broken%d" % n
        process = m.popen([os.path.abspath(PROGRAM), "new", name, "--django"])
        for _ in range(n * 3000):
            pass
        process.send_signal(signal.SIGINT)
        process.wait(20)
        m.others.remove(process)
        top = m.path("apps", name)
        found = {os.path.relpath(p, top) for p in everything()
                 if p.startswith(top + "/")}
        equal(found in (set(), whole), True, found)
        kept += found == whole
    equal([p for p in everything() if ".new-" in p], [])
    return "%d of 40 were made" % kept


run()
