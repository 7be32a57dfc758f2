"""mamayo logs: the ends of logs, and what comes, also when they are replaced.
"""
import os
import pty
import subprocess
import threading

from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo

m = Mamayo()
m.app("blog")
m.app("tools/wiki")
m.app("quiet")


def log(name="blog"):
    os.makedirs(m.path("logs"), mode=0o700, exist_ok=True)
    return m.path("logs", name + ".log")


def write(text, name="blog", how="a"):
    with open(log(name), how) as f:
        f.write(text)


def numbers(first, last):
    return "".join("%d\n" % n for n in range(first, last + 1))


def shows(*arguments):
    got = m.command("logs", *arguments)
    equal((got.returncode, got.stderr), (0, ""), arguments)
    return got.stdout


class Following:
    def __init__(self, *arguments):
        self.text = b""
        self.process = m.popen(
            [os.path.abspath(PROGRAM), "logs", "-f"] + list(arguments),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in iter(lambda: os.read(self.process.stdout.fileno(), 65536),
                         b""):
            self.text += line

    def sees(self, text):
        within(10, lambda: self.text.decode() == text, "%r, not %r" % (
            text, self.text))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


@test("the last forty lines, or as many as asked for")
def _():
    write(numbers(1, 100), how="w")
    equal(shows("blog"), numbers(61, 100))
    equal(shows("-n", "3", "blog"), numbers(98, 100))
    equal(shows("blog", "-n", "100"), numbers(1, 100))
    equal(shows("-n", "1000000", "blog"), numbers(1, 100))
    equal(shows("-n", "0", "blog"), "")
    write("no end")
    equal(shows("-n", "2", "blog"), "100\nno end")
    write("1\n", "tools:wiki")
    equal(shows("tools/wiki"), "1\n")
    write("\n" * 10, how="w")
    equal(shows("-n", "3", "blog"), "\n\n\n")


@test("long lines and large files")
def _():
    lines = ["%d" % n * n for n in range(1000)]
    write("\n".join(lines) + "\n", how="w")
    for n in (1, 39, 500, 999):
        equal(shows("-n", str(n), "blog"), "\n".join(lines[-n:]) + "\n")
    write("x" * 300000 + "\ny\n", how="w")
    equal(len(shows("-n", "2", "blog")), 300003)


@test("without a name mamayo's own, and what is in the one before")
def _():
    write(numbers(1, 60), "mamayo", "w")
    equal(shows(), numbers(21, 60))
    os.rename(log("mamayo"), log("mamayo") + ".1")
    write(numbers(61, 70), "mamayo")
    equal(shows(), numbers(31, 70))
    equal(shows("-n", "10"), numbers(61, 70))
    write("", "mamayo", "w")
    equal(shows("-n", "2"), "59\n60\n")
    os.unlink(log("mamayo") + ".1")


@test("one without a log yet, and a name that is none")
def _():
    got = m.command("logs", "quiet")
    equal((got.returncode, got.stdout), (0, ""))
    equal("there is no" in got.stderr, True, got.stderr)
    got = m.command("logs", "blgo")
    equal((got.returncode, got.stdout), (1, ""))
    equal('no application "blgo"' in got.stderr and
          'did you mean "blog"' in got.stderr, True, got.stderr)
    write("of one that has gone\n", "gone")
    equal(shows("gone"), "of one that has gone\n")
    os.unlink(log("gone"))
    os.symlink("/etc/passwd", log("gone"))
    got = m.command("logs", "gone")
    equal((got.stdout, "cannot read" in got.stderr), ("", True))
    os.unlink(log("gone"))
    for name in "../mamayo", "../../../../etc/passwd", "/etc/passwd":
        equal(m.command("logs", name).returncode, 1)


@test("wrong usage: exit 2")
def _():
    for words in (["-x"], ["-n"], ["-n", "x"], ["-n", "-1"], ["-n", "1x"],
                  ["a", "b"], [""], ["-n", "1000001"]):
        got = m.command("logs", *words)
        equal((got.returncode, got.stdout), (2, ""), words)
        equal("usage: mamayo logs" in got.stderr, True)


@test("-f goes on: when it grows, is renamed, removed, truncated or copied")
def _():
    write(numbers(1, 2), how="w")
    path, seen = log(), numbers(1, 2)
    with Following("blog") as f:
        f.sees(seen)
        write("grown\nhalf")
        seen += "grown\nhalf"
        f.sees(seen)
        write(" a line\n")
        os.rename(path, path + ".1")
        write("renamed\n")
        seen += " a line\nrenamed\n"
        f.sees(seen)
        os.unlink(path)
        write("removed\n")
        seen += "removed\n"
        f.sees(seen)
        # as an application's log is rotated, with a line at the last moment
        f.process.send_signal(19)
        write("the last moment\n")
        with open(path) as old:
            text = old.read()
        write(text, "blog.log.1", "w")
        os.rename(log("blog.log.1"), path + ".1")
        write("", how="w")
        write("anew\n")
        f.process.send_signal(18)
        seen += "the last moment\nanew\n"
        f.sees(seen)
        # cut in place: PATH.1 is not of this moment
        write("", how="w")
        write("cut\n")
        seen += "cut\n"
        f.sees(seen)


@test("-f waits for a log, and ends with its reader")
def _():
    with Following("quiet") as f:
        within(10, lambda: f.process.stderr.readline() != b"", "a remark")
        write("at last\n", "quiet")
        f.sees("at last\n")
        reader = subprocess.Popen(
            [os.path.abspath(PROGRAM), "logs", "-f", "quiet"],
            stdout=subprocess.PIPE, env=m.environment)
        equal(reader.stdout.readline(), b"at last\n")
        reader.stdout.close()
        equal(reader.wait(10), 0)


@test("a terminal is not commanded")
def _():
    write("\x1b]0;title\x07 gr\u00fc\u00df \x9b2J\r\ttab\n", how="w")
    ours, theirs = pty.openpty()
    got = m.command("logs", "blog", stdout=theirs)
    equal(got.returncode, 0)
    text = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    equal(text.replace("\r\n", "\n").replace("        ", "\t").replace(
        "\n", "").count("\x1b"), 0, text)
    equal("\\x1b]0;title\\x07 gr\u00fc\u00df \\xc2\\x9b2J\\x0d" in text,
          True, repr(text))


run()
