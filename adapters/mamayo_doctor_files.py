"""mamayo doctor: the files of an account: mamayo.fcgi and .htaccess where the
web server finds them, as suexec looks at them, what others may write or read,
and which copies of mamayo run.
"""
import os
import re
import stat
import subprocess

from mamayo_doctor_account import (
    LOOKED_MOST, PATIENCE, mode_of, name_of, own_processes, quote)

NAME = "mamayo.fcgi"
OWN = "for-root.sh"  # written by mamayo install --server
PLACES = ("public_html", "www", "htdocs", "html", "public", "web", "site",
          "httpdocs", "domains", "sites", "vhosts", "cgi-bin")
PLACES_DEPTH = 3     # directories below these that are looked into
HTACCESS_MOST = 1 << 20
NAMED_MOST = 5       # files that a finding names
UID_LEAST = 100      # suexec's limit as Apache and Debian build it
TEMPORARY = 0o1000   # the sticky bit

# The famous rule decodes the path twice, and refuses %25 and %3F.
BROKEN_RULE = re.compile(
    r"^\s*RewriteRule\s.*mamayo\.fcgi/?(\$1|%\{REQUEST_URI\})", re.I | re.M)
GOOD_RULE = "RewriteRule ^ mamayo.fcgi [L]"


def examine(facts, report, attempt, places):
    attempt("mamayo.fcgi", programs, facts, report, places)
    attempt("exposed", exposed, facts, report, places)
    attempt("copies", copies, facts, report)
    attempt("writable", writable, facts, report)


# -- where mamayo.fcgi lies --------------------------------------------------

def docroots(facts):
    """Directories with a mamayo.fcgi in them, where web servers look."""
    tops = []
    if facts.docroot:
        tops.append(os.path.abspath(facts.docroot))
    if facts.home and os.path.isdir(facts.home):
        names = sorted(os.listdir(facts.home))
        tops += [os.path.join(facts.home, n) for n in names
                 if n in PLACES or (re.match(r"[a-z0-9-]+(\.[a-z0-9-]+)+$", n))]
        if NAME in names:
            tops.append(facts.home)
    found = []
    for top in tops:
        depth = 0 if top == facts.home else PLACES_DEPTH
        for place, _, files in below(top, depth, facts.root):
            if NAME in files and place not in found:
                found.append(place)
    return found


def below(top, depth, but):
    """os.walk(), bounded."""
    top = os.path.realpath(top)
    for count, (place, directories, files) in enumerate(os.walk(top)):
        if count > LOOKED_MOST:
            return
        level = place[len(top):].count("/")
        directories[:] = sorted(
            d for d in directories if level < depth and not d.startswith(".")
            and d != "node_modules" and os.path.join(place, d) != but)
        yield place, directories, files


def programs(facts, report, places):
    if facts.docroot and not any(
            os.path.realpath(facts.docroot) == p for p in places):
        report.bad("mamayo.fcgi", "there is no mamayo.fcgi in %s" % (
            facts.docroot), "install -m 755 %s %s" % quote_two(
                facts.program or "mamayo.fcgi", facts.docroot + "/" + NAME))
    elif not places and os.path.exists(os.path.join(facts.root, OWN)):
        report.ok("mamayo.fcgi", "it is installed for a web server of your own"
                  " (%s)" % os.path.join(facts.root, OWN))
    elif not places:
        report.note("mamayo.fcgi", "no mamayo.fcgi was found where web servers "
                    "look (~/public_html and the like); with --docroot DIR it "
                    "is examined as suexec does")
    for place in places:
        worse = report.count("bad")
        directory(facts, report, place)
        if program(facts, report, os.path.join(place, NAME)):
            runs(facts, report, os.path.join(place, NAME))
        htaccess(report, place)
        if report.count("bad") == worse:
            report.ok("mamayo.fcgi", "%s is as suexec wants it" % (
                os.path.join(place, NAME)))


def quote_two(one, other):
    return quote(one), quote(other)


def directory(facts, report, place):
    st = os.stat(place)
    if st.st_uid != os.geteuid():
        report.bad("suexec", "%s belongs to %s: Apache's suexec refuses what "
                   "lies there" % (place, name_of(st.st_uid)),
                   host="Please give the directory %s to %s." % (
                       place, facts.user))
    elif st.st_mode & 0o022:
        report.bad("suexec", "%s can be written by %s: Apache's suexec refuses "
                   "programs in such a directory, and every page is a 500" % (
                       place, "every user" if st.st_mode & 0o002
                       else "its group"), "chmod go-w " + quote(place))
    elif st.st_gid != os.getegid():
        report.note("suexec", "%s has another group than you have: suexec as "
                    "Apache comes refuses what lies there; some hosts have it "
                    "so" % place, "chgrp %d %s" % (os.getegid(), quote(place)))
    if os.geteuid() < UID_LEAST:
        report.note("suexec", "your user number is %d: suexec runs nothing for "
                    "numbers below %d" % (os.geteuid(), UID_LEAST))


def program(facts, report, path):
    """May it be tried?"""
    st = os.lstat(path)
    source = facts.program or "mamayo.fcgi"
    again = "rm -f %s && install -m 755 %s %s" % (
        quote(path), quote(source), quote(path))
    if stat.S_ISLNK(st.st_mode):
        report.bad("suexec", "%s is a symbolic link, which Apache's suexec "
                   "refuses: a copy is needed" % path, again)
    elif not stat.S_ISREG(st.st_mode):
        report.bad("suexec", "%s is not a file" % path, again)
    elif st.st_uid != os.geteuid():
        report.bad("suexec", "%s belongs to %s, and Apache's suexec wants it "
                   "to be yours" % (path, name_of(st.st_uid)), again)
    elif st.st_mode & 0o022:
        report.bad("suexec", "%s can be written by others than you, which "
                   "Apache's suexec refuses: every page is a 500" % path,
                   "chmod 755 " + quote(path))
    elif st.st_mode & 0o6000:
        report.bad("suexec", "%s has a set-user-id or set-group-id bit, which "
                   "Apache's suexec refuses" % path,
                   "chmod 755 " + quote(path))
    elif not st.st_mode & 0o100:
        report.bad("suexec", "%s cannot be executed" % path,
                   "chmod 755 " + quote(path))
    elif st.st_gid != os.getegid():
        report.bad("suexec", "%s has another group than you have, which "
                   "Apache's suexec refuses" % path,
                   "chgrp %d %s" % (os.getegid(), quote(path)))
    else:
        return True
    return False


def runs(facts, report, path):
    """It is ours and nobody else can have written it: try it."""
    try:
        p = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=PATIENCE)
    except OSError as why:
        report.bad("mamayo.fcgi", "%s cannot be executed here: %s" % (
            path, why.strerror), host="Please allow programs in %s (is it "
            "mounted noexec?)." % os.path.dirname(path))
        return
    except subprocess.TimeoutExpired:
        report.bad("mamayo.fcgi", "%s --version does not end" % path)
        return
    said = os.fsdecode(p.stdout).strip()
    if p.returncode != 0 or not said.startswith("mamayo "):
        report.bad("mamayo.fcgi", "%s does not run here: %s" % (
            path, os.fsdecode(p.stderr).strip()[:300]
            or "status %d" % p.returncode), "use the portable file of mamayo")
    elif said != "mamayo " + facts.version:
        report.note("mamayo.fcgi", "%s is %s, and this is mamayo %s" % (
            path, said, facts.version), "install -m 755 %s %s" % quote_two(
                facts.program, path))


def htaccess(report, place):
    path = os.path.join(place, ".htaccess")
    st = mode_of(path)
    if st is None:
        report.note(".htaccess", "there is none in %s; Apache needs one, other "
                    "web servers do not" % place)
        return
    if not st.st_mode & 0o004 and not st.st_mode & 0o040:
        report.bad(".htaccess", "the web server cannot read %s, and refuses "
                   "every page then" % path, "chmod 644 " + quote(path))
    try:
        with open(path, "rb") as f:
            text = f.read(HTACCESS_MOST).decode("utf-8", "replace")
    except OSError as why:
        report.note(".htaccess", "%s cannot be read: %s" % (
            path, why.strerror))
        return
    if BROKEN_RULE.search(text):
        report.bad(".htaccess", "%s hands the path on behind mamayo.fcgi: "
                   "Apache decodes it twice then, and refuses %%25 and %%3F. "
                   "Write instead of that rule:" % path, GOOD_RULE)
    elif NAME not in text:
        report.note(".htaccess", "nothing in %s leads to mamayo.fcgi" % path,
                    "FallbackResource /mamayo.fcgi")


# -- who else may read and write ---------------------------------------------

def exposed(facts, report, places):
    root = os.path.realpath(facts.root)
    for place in places:
        if not (root + "/").startswith(os.path.realpath(place) + "/"):
            continue
        path = os.path.join(root, ".htaccess")
        st = mode_of(path)
        if st is None:
            report.bad("exposed", "%s lies below %s, from which the web server "
                       "gives files to everybody: also the sources and "
                       "passwords of your applications" % (root, place),
                       "echo 'Require all denied' >%s" % quote(path))


def writable(facts, report):
    found, places = [], []
    for top in (os.path.join(facts.root, n) for n in ("apps", "state")):
        for place, directories, files in below(top, 20, None):
            for name in directories + files:
                path = os.path.join(place, name)
                try:
                    st = os.lstat(path)
                except OSError:
                    continue
                if st.st_mode & 0o002 and not stat.S_ISLNK(st.st_mode) and not (
                        st.st_mode & TEMPORARY):
                    found.append(path)
                    if top not in places:
                        places.append(top)
    path = os.path.join(facts.root, "mamayo.json")
    st = mode_of(path)
    if st is not None and st.st_mode & 0o002:
        found.append(path)
        places.append(path)
    if found:
        more = len(found) - NAMED_MOST
        report.bad("writable", "every user of this machine can write %s%s" % (
            ", ".join(found[:NAMED_MOST]),
            " and %d more" % more if more > 0 else ""),
            "chmod -R o-w " + quote(*places))


def copies(facts, report):
    old = []
    for pid, place in own_processes():
        try:
            exe = os.readlink(place + "/exe")
            with open(place + "/environ", "rb") as f:
                environ = f.read().split(b"\0")
        except OSError:
            continue
        path = exe[:-10] if exe.endswith(" (deleted)") else ""
        where = [os.fsdecode(v[12:]) for v in environ
                 if v.startswith(b"MAMAYO_ROOT=")]
        where = where[-1] if where else os.path.join(facts.home, "mamayo")
        if os.path.basename(path) in (NAME, "mamayo") and (
                where.rstrip("/") == facts.root):
            old.append(pid)
    if old:
        report.bad("copies", "%d process%s a mamayo.fcgi that has been replaced"
                   " or removed since" % (
                       len(old), " runs" if len(old) == 1 else "es run"),
                   "kill " + " ".join(str(pid) for pid in sorted(old)))
