"""mamayo apps: what lies in apps/, whether or not anything runs."""
import json
import os
import pty

from harness import PROGRAM, equal, run, test
from mamayo import Mamayo

m = Mamayo()


def listed(*arguments):
    got = m.command("apps", *arguments)
    equal((got.returncode, got.stderr), (0, ""), got.stdout)
    return got.stdout


def apps():
    report = json.loads(listed("--json"))
    equal(set(report), {"apps", "passed_over"})
    for app in report["apps"]:
        equal({k: type(v) for k, v in app.items()},
              {k: str for k in ("name", "host", "mount", "directory", "state",
                                "why")})
    return {a["name"]: (a["host"], a["mount"], a["state"])
            for a in report["apps"]}


@test("an account without applications says how to begin")
def _():
    equal("mamayo new NAME" in listed(), True)
    equal((apps(), listed("--names")), ({}, ""))


@test("every application is listed with its place, and what is passed over")
def _():
    for name in ("blog", "ROOT", "tools/wiki", "@example.com/shop", "a b"):
        m.app(name)
    m.app("caf\u00e9")
    m.app("open")
    os.chmod(m.path("apps", "open"), 0o777)
    os.makedirs(m.path("apps", "notes"))
    m.write("apps/notes/README", "no application")
    equal(apps(), {
        "blog": ("", "/blog", "asleep"), "ROOT": ("", "/", "asleep"),
        "tools/wiki": ("", "/tools/wiki", "asleep"),
        "@example.com/shop": ("example.com", "/shop", "asleep"),
        "a b": ("", "/a b", "asleep"),
        "caf\u00e9": ("", "/caf\u00e9", "asleep"),
        "open": ("", "/open", "failing")})
    passed_over = json.loads(listed("--json"))["passed_over"]
    equal(len(passed_over), 1)
    equal("apps/notes is no application" in passed_over[0], True, passed_over)
    equal(sorted(listed("--names").split("\n")[:-1]), sorted(apps()))
    text = listed()
    equal("example.com/shop\n" in text and "  chmod" not in text
          and "chmod o-w" in text and passed_over[0] in text, True, text)
    rows = [r for r in text.split("\n") if " asleep " in r]
    equal({r.index(" asleep ") for r in rows}, {18}, text)


@test("while something runs, its state is the supervisor's; what it does not know yet is listed, too")
def _():
    m.start()
    m.served("blog")
    equal(apps()["blog"][2], "ready")
    equal(m.command("stop", "tools/wiki").returncode, 0)
    equal(apps()["tools/wiki"][2], "stopped")
    m.app("later")
    equal(apps()["later"], ("", "/later", "asleep"))


@test("colours only on a terminal, and none where they are not wanted")
def _():
    def shown(**environment):
        ours, theirs = pty.openpty()
        process = m.popen([os.path.abspath(PROGRAM), "apps"], stdout=theirs,
                          env=environment)
        os.close(theirs)
        said = b""
        while True:
            try:
                some = os.read(ours, 4096)
            except OSError:  # EIO: the other side has gone
                some = b""
            if not some:
                break
            said += some
        os.close(ours)
        process.wait(10)
        m.others.remove(process)
        return said.decode()
    equal("\033[31mfailing" in shown(TERM="xterm"), True)
    for quiet in ({"TERM": "dumb"}, {"TERM": "xterm", "NO_COLOR": "1"}, {}):
        equal("\033" in shown(**quiet), False, quiet)
    equal("\033" in listed(), False)


@test("what it does not know is wrong usage")
def _():
    for arguments in (["x"], ["--json", "x"], ["--JSON"]):
        got = m.command("apps", *arguments)
        equal((got.returncode, got.stdout), (2, ""))
        equal("usage: mamayo apps" in got.stderr, True, got.stderr)


run()
