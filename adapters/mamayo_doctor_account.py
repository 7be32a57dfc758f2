"""mamayo doctor: the account, as it is before the first request.

Each check is one function; examine() has their order. Nothing is changed, and
what is made to be tried is removed.
"""
import errno
import fcntl
import os
import re
import resource
import shlex
import socket
import stat
import subprocess
import sys
import tempfile

LOOKED_MOST = 5000   # directories and files that one check looks at
PATIENCE = 10        # seconds for a program that is tried
OLD_PYTHON = (3, 6)
FREE_LITTLE = 50 << 20
FREE_TRIED = 1 << 20  # bytes that are written to see whether they can be
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "afs", "ceph", "glusterfs", "9p",
           "fuse.sshfs", "fuse.glusterfs", "lustre", "gpfs", "beegfs")


def examine(facts, report, attempt):
    for check in (root, user, home, python, virtualenvs, limits, disk, run):
        attempt(check.__name__, check, facts, report)


def quote(*paths):
    return " ".join(shlex.quote(p) for p in paths)


def mode_of(path):
    """None if it is not there."""
    try:
        return os.stat(path)
    except OSError:
        return None


def is_another_users(facts):
    """Does mamayo run as somebody else here, in a place made for both?"""
    st = mode_of(os.path.join(facts.root, "run"))
    return st is not None and st.st_uid != os.geteuid()


def name_of(uid):
    try:
        import pwd
        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return "uid %d" % uid


# -- the checks ---------------------------------------------------------------

def root(facts, report):
    for remark in facts.remarks:
        report.note("root", remark)
    if is_another_users(facts) and os.geteuid() != 0:
        owner = os.stat(os.path.join(facts.root, "run")).st_uid
        report.note("root", "mamayo runs as %s in %s, and you are %s: what "
                    "only that user can see is not examined" % (
                        name_of(owner), facts.root, facts.user))
    elif facts.refused:
        report.bad("root", "mamayo does not serve: %s" % facts.refused)
    else:
        report.ok("root", "%s is in order" % facts.root)
    if getattr(facts, "apps_trouble", ""):
        report.bad("apps", facts.apps_trouble)
    for app in facts.apps:
        if app["refused"]:
            report.bad("apps", "%s is not served: %s" % (
                app["name"], app["refused"]))


def user(facts, report):
    if facts.user.startswith("uid "):
        tell = report.note if os.environ.get("MAMAYO_ROOT") else report.bad
        tell("user", "%s is not in the password database, so it has no home "
             "directory" % facts.user, host="The user with the number %s is "
             "missing in /etc/passwd." % facts.user[4:])
    told = os.environ.get("HOME")
    if told and facts.home and os.path.realpath(told) != os.path.realpath(
            facts.home):
        report.note("home", "HOME is %s here, but the password database says "
                    "%s, and that is what mamayo uses" % (told, facts.home))


def home(facts, report):
    if not facts.home or not os.path.isdir(facts.home):
        if not os.environ.get("MAMAYO_ROOT"):
            report.bad("home", "the home directory %s is not there" % (
                facts.home or "of this user"),
                host="The home directory of %s is missing." % facts.user)
        return
    st = os.stat(facts.home)
    if st.st_uid != os.geteuid():
        return
    if st.st_mode & stat.S_IWOTH:
        report.bad("home", "%s can be written by every user of this machine"
                   % facts.home, "chmod o-w " + quote(facts.home))
    elif st.st_mode & stat.S_IWGRP:
        report.note("home", "%s can be written by its group; suexec refuses "
                    "programs in such a directory" % facts.home,
                    "chmod g-w " + quote(facts.home))
    else:
        report.ok("home", "%s is in order" % facts.home)


def version_of(path):
    """(version, prefix, where ensurepip is missing) of an interpreter;
    else the sentence why not."""
    code = ("import sys; print('%d.%d.%d' % sys.version_info[:3]); "
            "print(sys.prefix)\n"
            "for m in ('ensurepip', 'ssl'):\n"
            "    try: __import__(m)\n"
            "    except ImportError: print('no', m)")
    try:
        p = subprocess.run([path, "-I", "-c", code], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=PATIENCE)
    except OSError as why:
        return "it cannot be executed: %s" % why.strerror
    except subprocess.TimeoutExpired:
        return "it does not end within %d seconds" % PATIENCE
    lines = os.fsdecode(p.stdout).split("\n")
    if p.returncode != 0 or not re.match(r"\d+\.\d+\.\d+$", lines[0]):
        said = os.fsdecode(p.stderr).strip().split("\n")[-1]
        return "it does not work: %s" % (said or "status %d" % p.returncode)
    return tuple(int(n) for n in lines[0].split(".")), lines[1], [
        line[3:] for line in lines[2:] if line.startswith("no ")]


def python(facts, report):
    version = "%d.%d.%d" % sys.version_info[:3]
    report.ok("python", "%s is Python %s" % (sys.executable, version))
    got = version_of(sys.executable)
    missing = got[2] if isinstance(got, tuple) else []
    if "ensurepip" in missing and os.path.exists("/etc/debian_version"):
        report.note("python", "virtual environments cannot be made with it",
                    "apt install python%d.%d-venv" % sys.version_info[:2],
                    "Please install the package python%d.%d-venv."
                    % sys.version_info[:2])
    elif "ensurepip" in missing:
        report.note("python", "virtual environments cannot be made with it: "
                    "its module ensurepip is missing",
                    host="Please install Python's module ensurepip.")


def virtualenvs(facts, report):
    tried = {}
    for app in facts.apps:
        name, path = app["name"], app["python"]
        if app["refused"]:
            continue
        if app["trouble"]:
            report.bad("apps", "%s: %s" % (name, app["trouble"]))
            continue
        if path not in tried:
            tried[path] = version_of(path)
        got = tried[path]
        if not isinstance(got, tuple):
            report.bad("apps", "%s is to run with %s, but %s" % (
                name, path, got), venv_again(app))
        elif got[0][:2] < OLD_PYTHON:
            report.bad("apps", "%s is to run with %s, which is Python %d.%d; "
                       "mamayo needs 3.6 or later" % ((name, path)
                                                      + got[0][:2]))
        elif app["virtual_env"]:
            made_for(app, got[0], report)
        else:
            report.ok("apps", "%s has Python %d.%d.%d, %s" % (
                (name,) + got[0] + (path,)))


def venv_again(app):
    if not app["virtual_env"]:
        return ()
    return "python3 -m venv --clear " + quote(app["virtual_env"])


def made_for(app, version, report):
    """Is what the virtual environment holds for the Python that it has?"""
    lib = os.path.join(app["virtual_env"], "lib")
    there = sorted(n for n in (os.listdir(lib) if os.path.isdir(lib) else ())
                   if re.match(r"(python|pypy)\d", n))
    if there and "python%d.%d" % version[:2] not in there and not (
            there[0].startswith("pypy")):
        report.bad("apps", "the virtual environment of %s, %s, was made for "
                   "%s, but its interpreter is Python %d.%d.%d now: what is "
                   "installed in it is not found" % (
                       (app["name"], app["virtual_env"], there[0]) + version),
                   venv_again(app))
    else:
        report.ok("apps", "%s has Python %d.%d.%d of its virtual environment"
                  % ((app["name"],) + version))


def soft(name):
    """A limit; None: there is none, or the system does not know it."""
    number = getattr(resource, "RLIMIT_" + name, None)
    if number is None:
        return None
    limit = resource.getrlimit(number)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def own_processes():
    """[(pid, directory in /proc)] of this user; none where there is no /proc.
    """
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/1") else ():
        try:
            if name.isdigit() and os.stat("/proc/" + name).st_uid == (
                    os.geteuid()):
                found.append((int(name), "/proc/" + name))
        except OSError:
            pass
    return found


def limits(facts, report):
    worse = report.count("bad") + report.count("note")
    most = soft("NPROC")
    if most is not None and os.geteuid() != 0:
        tasks = 0
        for _, place in own_processes():
            try:
                tasks += len(os.listdir(place + "/task"))
            except OSError:
                tasks += 1
        text = "of %d processes and threads that you may have, %d run" % (
            most, tasks)
        if most - tasks < 8:
            report.bad("processes", text + ": workers cannot be started",
                       host="Please raise the limit of processes (nproc) of "
                       "%s to 100 or more; it is %d." % (facts.user, most))
        elif most < 50:
            report.note("processes", "%s; mamayo starts up to %s workers here"
                        % (text, facts.max_workers),
                        host="Please raise the limit of processes (nproc) of "
                        "%s to 100; it is %d." % (facts.user, most))
    for name, what in (("AS", "memory of a process (RLIMIT_AS)"),
                       ("DATA", "memory of a process (RLIMIT_DATA)")):
        most = soft(name)
        if most is not None and most < 512 << 20:
            tell = report.bad if most < 128 << 20 else report.note
            tell("memory", "the %s is limited to %d MiB; a web framework needs"
                 " 50 to 200" % (what, most >> 20),
                 host="Please raise the limit of the %s of %s to 1024 MiB; it "
                 "is %d." % (what, facts.user, most >> 20))
    most = soft("NOFILE")
    if most is not None and resource.getrlimit(resource.RLIMIT_NOFILE)[1] < (
            256):
        report.bad("descriptors", "a process may have only %d descriptors"
                   % resource.getrlimit(resource.RLIMIT_NOFILE)[1],
                   host="Please raise the hard limit of open files (nofile) of "
                   "%s to 1024." % facts.user)
    if soft("CPU") is not None:
        report.bad("processor", "a process is ended when it has used %d "
                   "seconds of the processor, and workers live for long"
                   % soft("CPU"), host="Please lift the limit of processor "
                   "time (cpu) of %s." % facts.user)
    if soft("FSIZE") is not None and soft("FSIZE") < 64 << 20:
        report.note("files", "a file may have %d MiB at most, and so may an "
                    "upload" % (soft("FSIZE") >> 20))
    if report.count("bad") + report.count("note") == worse:
        report.ok("limits", "up to %s workers, %s of one application" % (
            facts.max_workers, facts.workers))


def place_to_try(facts):
    """A directory of mamayo's that can be written; None if there is none."""
    for path in (facts.run, os.path.join(facts.root, "run"), facts.root,
                 facts.home):
        if path and os.path.isdir(path) and os.access(path, os.W_OK):
            return path
    return None


def disk(facts, report):
    place = place_to_try(facts)
    if place is None:
        return
    free = os.statvfs(place)
    try:
        with tempfile.TemporaryFile(dir=place) as f:
            for _ in range(FREE_TRIED >> 16):
                f.write(b"\0" * 65536)
            f.flush()
            os.fsync(f.fileno())
    except OSError as why:
        if why.errno == errno.EDQUOT:
            report.bad("disk", "your quota is used up: nothing can be written "
                       "in %s" % place, "du -xh %s | sort -h | tail" % quote(
                           facts.home or place),
                       "Please raise the disk quota of %s." % facts.user)
        else:
            report.bad("disk", "%d MiB cannot be written in %s: %s" % (
                FREE_TRIED >> 20, place, why.strerror),
                "du -xh %s | sort -h | tail" % quote(facts.home or place))
        return
    left = free.f_bavail * free.f_frsize
    if left < FREE_LITTLE:
        report.bad("disk", "only %d MiB are free where %s is" % (
            left >> 20, place), "du -xh %s | sort -h | tail" % quote(
                facts.home or place))
    elif free.f_files and free.f_favail < 1000:
        report.bad("disk", "only %d files can be made where %s is" % (
            free.f_favail, place))
    else:
        report.ok("disk", "there is room where %s is" % place)


def file_system(path):
    """The type of the file system, "" where that is not known."""
    best, kind = "", ""
    path = os.path.realpath(path)
    try:
        with open("/proc/self/mountinfo", "rb") as f:
            lines = f.read().split(b"\n")
    except OSError:
        return ""
    for line in lines:
        fields = os.fsdecode(line).split(" ")
        if " - " not in os.fsdecode(line) or len(fields) < 9:
            continue
        at = re.sub(r"\\(\d{3})", lambda m: chr(int(m.group(1), 8)), fields[4])
        if (path + "/").startswith(at.rstrip("/") + "/") and (
                len(at) >= len(best)):
            best, kind = at, fields[fields.index("-") + 1]
    return kind


def holds(place):
    """None, or why a directory can hold no lock or no socket."""
    name = os.path.join(place, "doctor-%s" % os.urandom(4).hex())
    try:
        with open(name, "w") as f:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as why:
        return "no lock: %s" % why.strerror
    finally:
        if os.path.lexists(name):
            os.unlink(name)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(name)
            s.listen(1)
            with socket.socket(socket.AF_UNIX) as other:
                other.settimeout(PATIENCE)
                other.connect(name)
    except OSError as why:
        return "no socket: %s" % (why.strerror or why)
    finally:
        if os.path.lexists(name):
            os.unlink(name)
    return None


def run(facts, report):
    own = os.path.join(facts.root, "run")
    if facts.refused or not os.path.isdir(own):
        return
    if is_another_users(facts):
        return
    if not os.path.isdir(facts.run):
        report.note("run", "run/where names %s, which cannot be seen from here:"
                    " the web server may have a /tmp of its own" % facts.run)
        return
    kind = file_system(own)
    if kind in NETWORK:
        report.note("run", "%s is on a network (%s): SQLite with WAL is not "
                    "safe there, and locks may be slow" % (own, kind))
    why = holds(facts.run)
    if why is None:
        report.ok("run", "%s can hold a lock and a socket" % facts.run)
    elif facts.run == own:
        report.note("run", "%s can hold %s; mamayo will use a place in /tmp or "
                    "/run instead" % (own, why))
    else:
        report.bad("run", "%s can hold %s" % (facts.run, why),
                   host="Please let %s lock files and make sockets in /tmp."
                   % facts.user)
