"""The completion for bash: every verb, every option, the names of applications.
"""
import os
import re
import shutil
import subprocess

from harness import BUILDDIR, PROGRAM, SRCDIR, Skip, equal, run, test
from mamayo import Mamayo

FILE = os.path.join(SRCDIR, "fcgi", "completion", "mamayo")
m = Mamayo()
for app in ("blog", "blogger", "tools/wiki", "it's mine"):
    m.app(app)


def completed(*words):
    """What bash offers for the last of these words."""
    if shutil.which("bash") is None:
        raise Skip("bash is not installed")
    script = (". '%s'; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _mamayo; "
              "printf '%%s\\n' \"${COMPREPLY[@]}\"" % FILE)
    process = m.popen(["bash", "--norc", "-c", script, "bash",
                       os.path.abspath(PROGRAM)] + list(words),
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    m.others.remove(process)
    equal(err, b"")
    return sorted(filter(None, out.decode().split("\n")))


def verbs():
    return re.findall(r"^  mamayo (\w+)", m.command("--help").stdout, re.M)


@test("every verb is offered, and none that is not there")
def _():
    equal(completed(""), sorted(verbs() + ["--help", "--version"]))
    equal(completed("sta"), ["start", "status"])
    equal(completed("nonsense"), [])


@test("every option of a verb is offered, and none that is not there")
def _():
    for verb in verbs():
        usage = m.command(verb, "--help").stdout.split("\n")[0]
        options = set(re.findall(r"(?<!\w)--?[a-z]+", usage)) | {"--help"}
        equal(set(completed(verb, "-")), options, verb)


@test("names of applications, quoted as the shell wants them")
def _():
    for verb in ("restart", "start", "stop", "run", "logs", "setup", "check"):
        equal(completed(verb, "blo"), ["blog", "blogger"], verb)
        equal(completed(verb, "it"), [r"it\'s\ mine"], verb)
    equal(completed("stop", "blog", ""), [])
    equal(completed("run", "blog", "py"), ["python"])


@test("directories where one is wanted, and nothing behind a number")
def _():
    os.mkdir(os.path.join(m.dir, "a b"))
    equal(completed("serve", m.dir + "/a"), [m.dir + "/a b"])
    equal(completed("install", m.dir + "/ma"), [m.dir + "/mamayo"])
    equal(completed("logs", "-n", ""), [])
    equal(completed("install", "x", "--server", ""),
          ["apache", "apache-proxy", "lighttpd", "nginx"])


@test("make install puts it where bash looks for it")
def _():
    place = os.path.join(m.dir, "installed")
    got = subprocess.run(
        ["make", "-s", "-C", BUILDDIR, "install-dist_bashcompDATA",
         "DESTDIR=" + place, "datadir=/share"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True)
    equal(got.returncode, 0, got.stdout)
    with open(place + "/share/bash-completion/completions/mamayo") as f, \
            open(FILE) as ours:
        equal(f.read(), ours.read())


run()
