"""mamayo's worker: what else to say about a start that has failed. Imported
only then, so it may take its time."""
import os
import re
import sys

from mamayo_detect import DISTRIBUTIONS, FACTORIES
from mamayo_words import visible, word

PLACES = ("/usr/local/bin", "/usr/bin", "/bin")
ASKING_MOST = 65536  # bytes of a file that may ask for a version of Python
# what the text says, and who knows more about it
KNOWN = (
    (r"\bMemoryError\b", "no_memory"),
    (r"can't start new thread|Resource temporarily unavailable",
     "no_processes"),
    (r"cannot open shared object file", "no_library"),
    (r"version `(GLIBC|GLIBCXX|CXXABI)_|invalid ELF header|wrong ELF class",
     "not_for_here"),
    (r"Permission denied", "no_permission"),
)


def add(failed, name):
    """Adds to the text of a Failed; name: the application's, for commands."""
    more = ""
    for pattern, function in KNOWN:
        if re.search(pattern, failed.text):
            more = globals()[function]()
            break
    if failed.kind == "callable" and "looks like an application" in failed.text:
        more = nearest()
    if failed.kind == "module" and "; to install it: " in failed.text:
        more = install(failed.text, name)
    asked = unfit()
    if asked:
        failed.kind = "python"
        more += asked
    elif failed.kind == "python":
        wanted = re.search(r"needs Python (\d+)\.(\d+)", failed.text)
        if wanted:
            more += there(">=%s.%s" % wanted.groups())
    failed.text += visible(more)


def limit(name):
    """Of this process, or None."""
    try:
        import resource
        most = resource.getrlimit(getattr(resource, name))[0]
        return None if most == resource.RLIM_INFINITY else most
    except Exception:  # no such thing here
        return None


def no_memory():
    most = limit("RLIMIT_AS")
    return "; there was no memory left%s: let it need less, or get more" % (
        most and ", of the %d MiB that a process of this account may have"
        " (ulimit -v)" % (most >> 20) or "")


def no_processes():
    most = limit("RLIMIT_NPROC")
    return "; no more threads or processes may be started%s: lower" \
        " \"workers\" in mamayo.json, and stop what else runs" % (
            most and ", for this account may have %d (ulimit -u)" % most
            or "")


def no_library():
    return "; that is a library of the system: a package of the system has" \
        " it, which whoever looks after this machine can install"


def not_for_here():
    return "; what is installed was made for another system: install it again" \
        " on this one, with \"mamayo setup\""


def no_permission():
    import pwd
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = os.geteuid()
    return "; it runs as user %s" % user


def install(text, name):
    """Where there is no virtual environment yet, mamayo makes one."""
    is_made = sys.prefix != sys.base_prefix
    if os.path.exists("requirements.txt"):
        more = unlisted(text)
        return more if is_made else more + "; or, simpler: mamayo setup " \
            + word(name)
    if is_made:
        return ""
    if os.path.exists("pyproject.toml"):
        return "; or, simpler: mamayo setup " + word(name)
    return "; or, simpler: write it into requirements.txt, and run: mamayo" \
        " setup " + word(name)


def unlisted(text):
    """Nobody has said that the application needs it."""
    module = re.search(r"there is no module (\w+)", text).group(1)
    wanted = DISTRIBUTIONS.get(module, module)
    try:
        with open("requirements.txt", "rb") as file:
            lines = file.read(ASKING_MOST).decode("utf-8", "replace")
    except OSError:
        return ""
    listed = re.findall(r"(?m)^\s*([A-Za-z0-9][\w.-]*)", lines)
    if same(wanted) in map(same, listed) or re.search(r"(?m)^\s*-", lines):
        return ""  # or there is more in another file
    return "; %s is not in that file: write it there first" % wanted


def same(name):
    """Of a distribution: as its index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


# Which callable

MADE_BY = re.compile(r"(?m)^(\w+)(?:\s*:[^=\n]*)?\s*=\s*(?:\w+\.)*(?:Flask|Bottle"
                     r"|default_app|App|API|get_wsgi_application"
                     r"|make_wsgi_app)\(")
NAMED = re.compile(r"(?m)^def (application|app|create_app|make_app)\(")
LOOKED_AT_MOST = 200  # files


def nearest():
    """Sources that look like it, which nobody has run."""
    here = [f for f in sorted(os.listdir(".")) if not f.startswith(".")]
    files = [f for f in here if f.endswith(".py")]
    for directory in here:
        if os.path.isdir(directory) and not os.path.exists(os.path.join(
                directory, "pyvenv.cfg")):
            files += [directory + "/" + f for f in sorted(
                os.listdir(directory)) if f.endswith(".py")]
    for file in files[:LOOKED_AT_MOST]:
        module = file[:-3].replace("/", ".")
        if not all(part.isidentifier() for part in module.split(".")):
            continue
        try:
            with open(file, "rb") as source:
                text = source.read(ASKING_MOST).decode("utf-8", "replace")
        except OSError:
            continue
        found = MADE_BY.search(text) or NAMED.search(text)
        if found:
            call = "()" if found.group(1) in FACTORIES else ""
            return "; if %s in %s is meant, write {\"entry\": \"%s:%s%s\"}" \
                " into mamayo.json" % (found.group(1), file, module.replace(
                    ".__init__", ""), found.group(1), call)
    return ""


# Which Python


def unfit():
    """Asks the application for another Python than this? A clause, or ""."""
    for file, pattern in (
            ("pyproject.toml", r"(?m)^\s*requires-python\s*=\s*[\"']([^\"']+)"),
            ("setup.cfg", r"(?m)^\s*python_requires\s*=\s*(\S.*)"),
            ("runtime.txt", r"^\s*python-(\d+\.\d+)")):
        try:
            with open(file, "rb") as f:
                text = f.read(ASKING_MOST).decode("utf-8", "replace")
        except OSError:
            continue
        asked = re.search(pattern, text)
        if asked is None:
            continue
        asked = asked.group(1).strip()
        if file == "runtime.txt":
            asked = "==%s.*" % asked
        if not fits(asked, tuple(sys.version_info[:3])):
            return "; %s asks for Python %s, and it runs with Python %s%s" % (
                file, asked, ".".join(map(str, sys.version_info[:3])),
                there(asked))
    return ""


def there(asked):
    """What to do where a Python like that is wanted."""
    if sys.prefix != sys.base_prefix:
        how = "\"mamayo setup\" with --python %s makes its virtual" \
            " environment again"
    else:
        how = "write {\"python\": \"%s\"} into mamayo.json"
    for minor in range(40, 5, -1):
        for place in PLACES:
            path = os.path.join(place, "python3.%d" % minor)
            if fits(asked, (3, minor, 99)) and os.access(path, os.X_OK):
                return ": " + how % path
    return "; none like that is in " + ", ".join(PLACES) + ": install one, or" \
        " ask your host"


def fits(asked, version):
    """Is the version, of three parts, one of ">=3.8, <4"? What is not
    understood is taken for granted."""
    for clause in asked.split(","):
        m = re.match(r"\s*(>=|<=|==|!=|~=|>|<)\s*(\d+(?:\.\d+)*)(?:\.\*)?\s*$",
                     clause)
        if m is not None and not holds(
                m.group(1), tuple(map(int, m.group(2).split("."))), version):
            return False
    return True


def holds(how, wanted, version):
    whole = (wanted + (0, 0))[:3]
    if how == "~=":
        return version >= whole and version[:len(wanted) - 1] == wanted[:-1]
    return {"==": version[:len(wanted)] == wanted,
            "!=": version[:len(wanted)] != wanted,
            ">=": version >= whole, "<=": version <= whole,
            ">": version > whole, "<": version < whole}[how]
