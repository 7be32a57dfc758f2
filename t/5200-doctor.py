"""mamayo doctor in the account: what is in order is not complained of; each
thing that is spoilt is found, and the line that it gives mends it."""
import json
import os
import resource
import shutil
import subprocess
import sys
import time

from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo, alive

def account(**how):
    m = Mamayo(**how)
    m.docroot = os.path.join(m.dir, "www")
    os.mkdir(m.docroot)
    m.fcgi = os.path.join(m.docroot, "mamayo.fcgi")
    shutil.copyfile(PROGRAM, m.fcgi)
    os.chmod(m.fcgi, 0o755)
    with open(os.path.join(m.docroot, ".htaccess"), "w") as f:
        f.write("FallbackResource /mamayo.fcgi\n")
    m.environment["HOME"] = "/nonexistent"
    return m


def doctor(m, *arguments, **how):
    """(exit status, {check: [findings]} of what is bad or a note)"""
    got = m.command("doctor", "--json", "--docroot", m.docroot, *arguments,
                    **how)
    if got.returncode not in (0, 1) or got.stderr:
        raise AssertionError(repr(got))
    report = json.loads(got.stdout)
    equal(sorted(report), ["findings", "healthy", "root", "version"])
    for f in report["findings"]:
        equal(sorted(f), ["check", "host", "mend", "state", "text"])
        equal(f["state"] in ("ok", "note", "bad"), True, f["state"])
    equal(report["healthy"], not got.returncode)
    bad = [f for f in report["findings"] if f["state"] == "bad"]
    equal(bool(bad), bool(got.returncode))
    return got.returncode, bad, report["findings"]


def healthy(m, *arguments, **how):
    code, bad, findings = doctor(m, *arguments, **how)
    equal((code, bad), (0, []))
    return findings


def mended(m, check, words, again=None):
    """It finds just that, and the line to copy mends it."""
    code, bad, _ = doctor(m)
    equal((code, [f["check"] for f in bad]), (1, [check]), repr(bad))
    for word in words if isinstance(words, tuple) else (words,):
        equal(word in bad[0]["text"], True, bad[0]["text"])
    equal(len(bad[0]["mend"]), 1, repr(bad))
    if again is None:
        subprocess.run(["/bin/sh", "-c", bad[0]["mend"][0]], check=True,
                       cwd="/", env=m.environment)
    else:
        again(bad[0]["mend"][0])
    return healthy(m)


m = account()


@test("an account that is in order: no complaint, and nothing is left behind")
def _():
    m.app("blog")
    findings = healthy(m)
    checks = {f["check"] for f in findings}
    equal({"root", "python", "limits", "disk", "run", "mamayo.fcgi",
           "apps"} <= checks, True, repr(checks))
    for f in findings:
        equal((f["state"] in ("ok", "note"), f["mend"]), (True, []), repr(f))
    there = sorted(os.listdir(m.path("run")))
    equal([n for n in there if n.startswith("doctor")], [])
    equal(m.processes(), {})


@test("the same for people: a line for each thing, the last one says it all")
def _():
    got = m.command("doctor", "--docroot", m.docroot)
    equal((got.returncode, got.stderr), (0, ""))
    equal("ok   run" in got.stdout, True, got.stdout)
    equal(got.stdout.strip().split("\n")[-1].startswith("Nothing is wrong."),
          True, got.stdout)
    equal("\33" in got.stdout, False)
    os.chmod(m.fcgi, 0o775)
    got = m.command("doctor", "--docroot", m.docroot)
    equal((got.returncode, got.stderr), (1, ""))
    equal("\n" + " " * 21 + "chmod 755 " + m.fcgi + "\n" in got.stdout, True,
          got.stdout)
    equal("\n1 thing is wrong." in got.stdout, True, got.stdout)
    os.chmod(m.fcgi, 0o755)


@test("wrong usage is told, and costs nothing")
def _():
    for arguments in (["--nothing"], ["a", "b"], ["--docroot"],
                      ["--docroot", "/nonexistent"]):
        got = m.command("doctor", *arguments)
        equal((got.returncode, got.stdout), (2, ""))
        equal("mamayo doctor" in got.stderr, True, got.stderr)
    got = m.command("doctor", "--help")
    equal((got.returncode, got.stderr), (0, ""))


@test("mamayo.fcgi as suexec refuses it: written by others, not executable,"
      " set-user-id, a link")
def _():
    for mode, words in ((0o775, "by others"), (0o757, "by others"),
                        (0o644, "cannot be executed"),
                        (0o4755, "set-user-id"), (0o2755, "set-group-id")):
        os.chmod(m.fcgi, mode)
        mended(m, "suexec", words)
        equal(os.stat(m.fcgi).st_mode & 0o7777, 0o755)
    os.unlink(m.fcgi)
    os.symlink(os.path.abspath(PROGRAM), m.fcgi)
    mended(m, "suexec", "symbolic link")
    equal(os.path.islink(m.fcgi), False)


@test("its directory: written by its group, or by everybody")
def _():
    for mode, words in ((0o775, "its group"), (0o777, "every user")):
        os.chmod(m.docroot, mode)
        mended(m, "suexec", words)


@test("mamayo.fcgi that is missing, cannot run here, or is another version")
def _():
    os.unlink(m.fcgi)
    mended(m, "mamayo.fcgi", "there is no mamayo.fcgi")
    with open(m.fcgi, "w") as f:
        f.write("#!/nonexistent/loader\n")
    code, bad, _ = doctor(m)
    equal([f["check"] for f in bad], ["mamayo.fcgi"])
    equal("cannot be executed" in bad[0]["text"], True, repr(bad))
    with open(m.fcgi, "w") as f:
        f.write("#!/bin/sh\necho mamayo 0.0.1\n")
    note, = [f for f in healthy(m) if f["check"] == "mamayo.fcgi"
             and f["state"] == "note"]
    equal("is mamayo 0.0.1" in note["text"], True)
    os.unlink(m.fcgi)
    subprocess.run(["/bin/sh", "-c", note["mend"][0]], check=True)
    healthy(m)


@test("for a web server of one's own there is no document root to look into")
def _():
    other = Mamayo()
    other.app("blog")
    for state, words in (("note", "no mamayo.fcgi was found"),
                         ("ok", "for a web server of your own")):
        report = json.loads(other.command("doctor", "--json").stdout)
        equal([(f["state"], words in f["text"]) for f in report["findings"]
               if f["check"] == "mamayo.fcgi"], [(state, True)])
        other.write("for-root.sh", "")
    other.close()


@test(".htaccess: the rule that decodes twice, unreadable, or none")
def _():
    path = os.path.join(m.docroot, ".htaccess")
    for rule in ("RewriteRule ^(.*)$ /mamayo.fcgi/$1 [QSA,L]",
                 "  rewriterule ^ /mamayo.fcgi%{REQUEST_URI} [L]"):
        with open(path, "w") as f:
            f.write("RewriteEngine On\n%s\n" % rule)

        def again(line):
            with open(path, "w") as f:
                f.write("RewriteEngine On\n%s\n" % line)
        mended(m, ".htaccess", "decodes it twice", again)
    os.chmod(path, 0o600)
    mended(m, ".htaccess", "cannot read")
    os.rename(path, path + ".away")
    equal([f["text"] for f in healthy(m) if f["check"] == ".htaccess"],
          ["there is none in %s; Apache needs one, other web servers do not"
           % m.docroot])
    os.rename(path + ".away", path)


@test("sources below the document root")
def _():
    inside = account()
    os.rmdir(os.path.join(inside.root, "apps"))
    os.unlink(inside.path("mamayo.json"))
    os.rmdir(inside.root)
    inside.root = os.path.join(inside.docroot, "mamayo")
    inside.environment["MAMAYO_ROOT"] = inside.root
    mended(inside, "exposed", "sources and passwords")
    inside.close()


@test("what others may write: an application, its files, the settings, apps")
def _():
    os.chmod(m.path("apps", "blog", "application.py"), 0o666)
    mended(m, "writable", "application.py")
    os.chmod(m.path("mamayo.json"), 0o646)
    mended(m, "writable", "mamayo.json")
    os.chmod(m.path("apps"), 0o777)
    code, bad, _ = doctor(m)
    equal(code, 1)
    equal(("mamayo does not serve" in bad[0]["text"], bad[0]["check"]),
          (True, "root"), repr(bad))
    os.chmod(m.path("apps"), 0o755)
    os.chmod(m.path("apps", "blog"), 0o777)
    code, bad, _ = doctor(m)
    equal({f["check"] for f in bad}, {"apps", "writable"}, repr(bad))
    os.chmod(m.path("apps", "blog"), 0o755)
    healthy(m)


@test("settings that cannot be read are named, of the account and of an app")
def _():
    good = open(m.path("mamayo.json")).read()
    m.write("mamayo.json", "{")
    findings = doctor(m)[2]
    equal(any("mamayo.json" in f["text"] and "defaults" in f["text"]
              for f in findings), True, repr(findings))
    m.write("mamayo.json", good)
    m.write("apps/blog/mamayo.json", '{"entri": "x"}')
    code, bad, _ = doctor(m)
    equal([f["check"] for f in bad], ["apps"])
    equal("entri" in bad[0]["text"], True, repr(bad))
    os.unlink(m.path("apps/blog/mamayo.json"))


@test("an application to which a link leads out of apps: refused, but where"
      " \"links\" is set")
def _():
    good = open(m.path("mamayo.json")).read()
    elsewhere = os.path.join(m.dir, "elsewhere")
    os.rename(m.app("linked"), elsewhere)
    os.symlink(elsewhere, m.path("apps", "linked"))
    code, bad, _ = doctor(m)
    equal((code, [f["check"] for f in bad]), (1, ["apps"]), repr(bad))
    equal("leaves apps/" in bad[0]["text"], True, repr(bad))
    m.write("mamayo.json", json.dumps(dict(json.loads(good), links=True)))
    healthy(m)
    m.write("mamayo.json", good)
    os.unlink(m.path("apps", "linked"))


@test("virtual environments: dangling, broken, of another Python")
def _():
    place = m.path("apps", "blog", "venv")
    os.makedirs(place + "/bin")
    m.write("apps/blog/venv/pyvenv.cfg", "home = /usr/bin\n")
    python = place + "/bin/python"
    os.symlink("/nonexistent/python3.5", python)
    code, bad, _ = doctor(m)
    equal([f["check"] for f in bad], ["apps"])
    equal("venv --clear" in bad[0]["text"], True, repr(bad))
    os.unlink(python)
    m.write("apps/blog/venv/bin/python", "#!/bin/sh\necho no libpython >&2\n"
            "exit 127\n", 0o755)
    code, bad, _ = doctor(m)
    equal(("no libpython" in bad[0]["text"], bad[0]["mend"]),
          (True, ["python3 -m venv --clear " + place]), repr(bad))
    m.write("apps/blog/venv/bin/python", "#!/bin/sh\nexec sleep 1000\n", 0o755)
    begin = time.monotonic()
    code, bad, _ = doctor(m)
    equal("does not end" in bad[0]["text"], True, repr(bad))
    equal(time.monotonic() - begin < 18, True)
    os.unlink(python)
    os.symlink(sys.executable, python)
    os.makedirs(place + "/lib/python3.1")
    code, bad, _ = doctor(m)
    equal(("was made for python3.1" in bad[0]["text"], bad[0]["mend"]),
          (True, ["python3 -m venv --clear " + place]), repr(bad))
    os.rename(place + "/lib/python3.1",
              place + "/lib/python%d.%d" % sys.version_info[:2])
    healthy(m)
    shutil.rmtree(place)


def limited(name, value):
    number = getattr(resource, "RLIMIT_" + name)
    return lambda: resource.setrlimit(number, (value, value))


@test("limits: processes, memory, descriptors, processor time")
def _():
    for name, value, check in (("AS", 100 << 20, "memory"),
                               ("NOFILE", 100, "descriptors"),
                               ("CPU", 1000, "processor")):
        code, bad, _ = doctor(m, preexec_fn=limited(name, value))
        equal((code, [f["check"] for f in bad]), (1, [check]), repr(bad))
        equal("Please" in bad[0]["host"], True)
    code, bad, findings = doctor(m, preexec_fn=limited("FSIZE", 32 << 20))
    equal([f["check"] for f in findings if "32 MiB" in f["text"]], ["files"])

    def few():
        """Others with this number come and go."""
        used = 4
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.stat("/proc/" + name).st_uid == (
                        os.geteuid()):
                    used += len(os.listdir("/proc/%s/task" % name))
            except OSError:
                pass
        bad = doctor(m, preexec_fn=limited("NPROC", used))[1]
        return [f for f in bad if f["check"] == "processes"
                and "nproc" in f["host"]]
    within(30, few)


@test("a path of run/ that is too long for a socket is no harm")
def _():
    long = account()
    root = os.path.join(long.dir, "x" * 120, "mamayo")
    os.makedirs(root)
    shutil.rmtree(long.root)
    long.root = root
    long.environment["MAMAYO_ROOT"] = root
    healthy(long)
    long.close()


@test("copies that run although their file has been replaced: found, and the"
      " line ends them")
def _():
    busy = account()
    copy = os.path.join(busy.dir, "old", "mamayo.fcgi")
    os.mkdir(os.path.dirname(copy))
    shutil.copyfile(PROGRAM, copy)
    os.chmod(copy, 0o755)
    pid, = busy.start(program=copy)
    within(10, lambda: os.readlink("/proc/%d/exe" % pid) == copy)
    healthy(busy)
    os.unlink(copy)
    busy.killed.add(pid)
    mended(busy, "copies", "1 process runs",
           lambda line: subprocess.run(["/bin/sh", "-c", line], check=True)
           and within(10, lambda: not alive(pid)))
    busy.close()


@test("a name that is no text, an account whose directory cannot be made")
def _():
    odd = os.fsencode(m.path("apps")) + b"/caf\xe9 \x1b[31m"
    os.mkdir(odd)
    with open(odd + b"/app.py", "w") as f:
        f.write("x = 1\n")
    healthy(m)
    got = m.command("doctor", "--docroot", m.docroot)
    equal(("\33" in got.stdout, got.returncode), (False, 0), got.stdout)
    shutil.rmtree(odd)
    got = m.command("doctor", env={"MAMAYO_ROOT": "/proc/mamayo"})
    equal((got.returncode, got.stderr), (1, ""), got.stdout)
    equal("mamayo does not serve" in got.stdout, True, got.stdout)
    got = m.command("doctor", env={"MAMAYO_ROOT": "mamayo"})
    equal((got.returncode, got.stdout), (78, ""))


@test("it writes to a full or a closed standard output without a traceback")
def _():
    with open("/dev/full", "w") as full:
        got = m.command("doctor", stdout=full)
    equal(("Traceback" in got.stderr, got.returncode), (False, 1), got.stderr)
    r, w = os.pipe()
    os.close(r)
    got = m.command("doctor", stdout=w)
    os.close(w)
    equal(("Traceback" in got.stderr, got.returncode), (False, 1), got.stderr)




@test("what was started has ended")
def _():
    m.close()


run()
