"""make bench: what it prints and writes, and that a wrong answer is a failure
and not a number. One round of an instant; numbers are not looked at."""
import json
import os
import shutil
import subprocess
import tempfile

import harness
from harness import PROGRAM, Skip, cleanup, equal, run, test

PATHS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
# one of each kind
SOME = ("hello-lighttpd lighttpd/(mamayo|uwsgi|limit|static)$"
        "|hello-nginx nginx/mamayo$|hello-apache apache/mamayo$"
        "|^no-worker flask|^responders|^static apache/mamayo-installed$")
directory = tempfile.mkdtemp(prefix="mt.")
os.chmod(directory, 0o755)


@cleanup
def _():
    shutil.rmtree(directory)


def path(*parts):
    return os.path.join(directory, *parts)


def have(*programs):
    for program in programs:
        if shutil.which(program, path=PATHS) is None:
            raise Skip("%s is not installed" % program)


def bench(*arguments, where=os.path.join(harness.SRCDIR, "bench")):
    """-> status, standard output, standard error; nothing may be left."""
    room = os.path.join(directory, "room")
    shutil.rmtree(room, ignore_errors=True)
    os.mkdir(room)
    os.chmod(room, 0o755)
    p = subprocess.run(
        ["/usr/bin/python3", os.path.join(where, "bench.py"), "--program",
         PROGRAM] + list(arguments), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=room))
    equal(os.listdir(room), [])
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.readlink(
                    "/proc/%s/cwd" % name).startswith(room):
                raise AssertionError("process %s is left" % name)
        except OSError:
            pass
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def smallest(*arguments, **how):
    return bench("--rounds", "1", "--seconds", "0.3", *arguments, **how)


def results(name):
    with open(path(name)) as f:
        return json.load(f)


@test("--help and --list tell what there is, and nonsense is refused")
def _():
    status, out, err = bench("--help")
    equal((status, err), (0, ""))
    for option in ("--full", "--only", "--rounds", "--seconds", "--json",
                   "--list"):
        assert option in out, out
    status, out, err = bench("--list", "--only", "^hello-nginx")
    equal((status, err), (0, ""))
    assert "hello-nginx nginx/mamayo\n" in out, out
    assert "nginx/static" not in out, out
    status, out, err = bench("--list", "--full")
    assert "hello-nginx nginx/static\n" in out, out
    for wrong in (["--only", "("], ["--rounds", "0"], ["--seconds", "0"],
                  ["--nonsense"]):
        equal(bench(*wrong)[0], 2, " ".join(wrong))


@test("it prints a table, the targets, and writes every sample as JSON")
def _():
    have("wrk", "lighttpd")
    status, out, err = smallest("--full", "--only", SOME, "--json",
                                path("good.json"))
    equal(status, 0, out + err)
    got = results("good.json")
    equal(got["failures"], [])
    sample = got["results"]["hello-lighttpd"]["lighttpd/mamayo"][0]
    for what in ("requests", "rps", "p50", "p99", "cpu", "web"):
        assert sample[what] > 0, (what, sample)
    for what in ("app", "responder", "worker"):  # may be less than a tick
        assert sample[what] >= 0, (what, sample)
    assert "\nhello-lighttpd: " in out and "\nlighttpd/mamayo " in out, out
    work = {t["work"] for t in got["targets"]}
    assert "one responder" in work, work
    assert "\nTargets" in out and "one responder, one" in out, out
    uwsgi = [r for r in got["skipped"] if r["row"] == "lighttpd/uwsgi"]
    if uwsgi:
        assert "not installed" in uwsgi[0]["why"], uwsgi
    else:
        assert any("spawns mamayo" in w for w in work), work
    return "%d rows" % sum(len(r) for r in got["results"].values())


@test("a wrong answer is a failure and not a number")
def _():
    have("wrk", "lighttpd")
    for name in ("bench", "examples"):
        shutil.copytree(os.path.join(harness.SRCDIR, name), path(name))
    for base, directories, files in os.walk(directory):
        os.chmod(base, 0o755)
        for name in files:
            os.chmod(os.path.join(base, name), 0o644)
    with open(path("bench/apps/plain/wsgi.py"), "r+") as f:
        text = f.read()
        assert 'b"Hello world' in text
        f.seek(0)
        f.write(text.replace('b"Hello world', 'b"Hello World'))
    status, out, err = smallest(
        "--full", "--only", "hello-lighttpd lighttpd/(mamayo|static)$",
        "--json", path("bad.json"), where=path("bench"))
    equal(status, 1, out + err)
    got = results("bad.json")
    equal([f["row"] for f in got["failures"]], ["lighttpd/mamayo"])
    assert "Hello World" in got["failures"][0]["why"], got
    equal(list(got["results"]["hello-lighttpd"]), ["lighttpd/static"])
    assert "lighttpd/mamayo" in out and "FAILED" in out, out


run()
