"""mamayo's worker: the line "web:" of a Procfile -> the application it names.

    web: FLASK_ENV=x gunicorn -w 4 -b 0.0.0.0:$PORT 'site:create_app("x")'

Of the server that it names only the target is used, and what says where to
look for it: how many processes there are, and where they listen, is mamayo's
business.
"""
import os
import re
import sys

from mamayo_detect import (Failed, by_entry, by_file, check, consulted,
                           has, ours)

PROCFILE_MOST = 65536  # bytes
SHOWN_MOST = 200       # characters of a command that are shown

# The options of each that have no value, and those that say where to look.
FLAGS = {
    "gunicorn": """--capture-output --check-config --daemon -D
        --disable-redirect-access-to-syslog --dont-control
        --enable-stdio-inheritance --initgroups --log-syslog --no-sendfile
        --permit-obsolete-folding --preload --print-config --proxy-protocol -R
        --reload --reuse-port --spew --strip-header-spaces""",
    "uvicorn": """--access-log --date-header --factory --no-access-log
        --no-date-header --no-proxy-headers --no-server-header
        --no-use-colors --proxy-headers --reload --server-header
        --use-colors""",
    "hypercorn": "--debug --reload",
    "waitress-serve": """--asyncore-use-poll --call
        --clear-untrusted-proxy-headers --expose-tracebacks --ipv4 --ipv6
        --log-untrusted-proxy-headers
        --no-asyncore-use-poll --no-clear-untrusted-proxy-headers
        --no-expose-tracebacks --no-ipv4 --no-ipv6
        --no-log-untrusted-proxy-headers""",
    "uwsgi": """--auto-procname --die-on-term --disable-logging --emperor
        --enable-threads --harakiri-verbose --http-keepalive --lazy-apps
        --log-master --manage-script-name --master -M --memory-report
        --need-app --no-orphans --plugins-list --reuse-port
        --single-interpreter --strict --thunder-lock --vacuum""",
}
PATHS = ("--chdir", "--pythonpath", "--app-dir", "--python-path", "--pp")
OBEYED = ("--call", "--factory", "--env", "-e", "-c", "--config")
RUNNERS = ("-m", "exec", "run", "run-program", "ddtrace-run",
           "opentelemetry-instrument", "env", "time", "nohup")
SEPARATORS = ("&&", "||", ";", "|", "&")


def find(missed):
    """What the Procfile names, as search() gives it; or None, with a sentence
    in `missed` that says why that is nothing."""
    consulted.append("Procfile")
    line, why = web_line()
    words = split(line) if line else None
    if line and words is None:
        why = "the quotes in \"web: %s\" do not match" % shown(line)
    for command in commands(words or []):
        server, before, after = server_of(command)
        if server is not None:
            return target(server, before, after)
    if words is not None:
        why = "\"web: %s\" names no server whose target mamayo knows (%s)" % (
            shown(line), ", ".join(sorted(FLAGS)))
    missed.append(("Procfile", "in Procfile " + why, []))
    return None


def web_line():
    """The command, or None and why there is none."""
    with open("Procfile", "rb") as file:
        text = file.read(PROCFILE_MOST + 1)
    if len(text) > PROCFILE_MOST or b"\0" in text:
        return None, "is something else than lines \"NAME: COMMAND\""
    for line in text.decode("utf-8-sig", "replace").splitlines():
        found = re.match(r"\s*web\s*:\s*(.*)", line)
        if found:
            command = found.group(1).strip()
            return command or None, "the line \"web:\" is empty"
    return None, "there is no line \"web: COMMAND\""


def shown(line):
    return line if len(line) <= SHOWN_MOST else line[:SHOWN_MOST] + "..."


def split(line):
    import shlex
    try:
        return shlex.split(line)
    except ValueError:
        return None


def commands(words):
    command, found = [], []
    for word in words + [";"]:
        if word in SEPARATORS:
            found.append(command)
            command = []
        elif word.endswith(";"):
            found.append(command + [word[:-1]])
            command = []
        else:
            command.append(word)
    return found


def server_of(command):
    """Its name, the words before it, those behind."""
    for at, word in enumerate(command):
        name = os.path.basename(word)
        name = {"waitress": "waitress-serve", "uwsgi-core": "uwsgi",
                "uvicorn.main": "uvicorn"}.get(name, name)
        name = re.sub(r"^(gunicorn|uwsgi)[-_.]?(3|python3?\d*)?$", r"\1", name)
        if name in FLAGS and all(
                "=" in w or w in RUNNERS or not w.startswith("-")
                for w in command[:at]):
            return name, command[:at], command[at + 1:]
    return None, [], []


def target(server, before, after):
    """Imports what is named."""
    for word in before:
        set_variable(word)
    options, others = arguments(server, after)
    for name, value in options:
        if name in PATHS and value:
            for place in value.split(","):
                sys.path.insert(0, os.path.abspath(place))
        if name in ("--env", "-e"):
            set_variable(value or "")
    said = "Procfile names %%s for %s" % server
    if server == "uwsgi":
        return of_uwsgi(dict(options), others, said)
    ini = dict(options).get("--paste", dict(options).get("--paster"))
    if ini:
        return ours("mamayo_paste").load(
            ini, "Procfile names %s for %s" % (ini, server))
    if not others and server == "gunicorn":
        others = in_config(dict(options))
    if not others:
        raise Failed("callable", "Procfile starts %s, but the line \"web:\""
                     " names no module: it should end with MODULE:CALLABLE"
                     % server)
    entry = others[-1 if server == "gunicorn" else 0]
    if server == "hypercorn" and entry.startswith(("wsgi:", "asgi:")):
        entry = entry[5:]
    if server == "waitress-serve" and ("--call", None) in options or (
            "--factory", None) in options:
        entry += "()"
    if ":" not in entry:
        entry += ":app" if server == "hypercorn" else ":application"
    return by_entry(entry, said % entry)[:2] + (
        said % "it" + ignored(options),)


def set_variable(word):
    """NAME=value, unless mamayo.json has set it."""
    name, sign, value = word.partition("=")
    if sign and name.isidentifier():
        os.environ.setdefault(name, value)


def arguments(server, words):
    """[(option, value or None)], and what is no option."""
    flags, options, others = FLAGS[server].split(), [], []
    words = list(words)
    while words:
        word = words.pop(0)
        name, sign, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            others.append(word)
        elif sign and word.startswith("--"):
            options.append((name, value))
        elif word in flags or not words:
            options.append((word, None))
        elif not word.startswith("--") and len(word) > 2:
            options.append((word[:2], word[2:]))
        elif server == "uwsgi" and words[0].startswith("-"):
            options.append((word, None))
        else:
            options.append((word, words.pop(0)))
    return options, others


def ignored(options):
    names = []
    for name, _ in options:
        if name not in names + list(PATHS + OBEYED):
            names.append(name)
    return "" if not names else "; its %s %s ignored" % (
        ", ".join(names), "is" if len(names) == 1 else "are")


def in_config(options):
    """gunicorn.conf.py may say which application it is."""
    name = options.get("-c") or options.get("--config") or "gunicorn.conf.py"
    name = name.partition(":")[2] if name.startswith("file:") else name
    found = None
    if os.path.isfile(name):
        consulted.append(name)
        with open(name, "rb") as file:
            text = file.read(PROCFILE_MOST).decode("utf-8", "replace")
        found = re.search(r"^wsgi_app\s*=\s*['\"](.+?)['\"]", text, re.M)
    return [found.group(1)] if found else []


# uWSGI


def of_uwsgi(options, others, said):
    ini = options.get("--ini") or next(
        (w for w in others if w.endswith((".ini", ".yml", ".yaml", ".xml",
                                          ".json"))), None)
    asked = {name.lstrip("-"): value for name, value in options.items()}
    if ini and ini.endswith(".ini"):
        lines = read_ini(ini)
        asked = dict(dict(lines), **asked)
        for key, value in lines:
            if key == "env":
                set_variable(value)
    elif ini:
        raise Failed("callable", "Procfile starts uwsgi with %s, which mamayo"
                     " does not read: write {\"entry\": \"module:callable\"}"
                     " into mamayo.json" % ini)
    for name in ("chdir", "pythonpath", "python-path", "pp"):
        if asked.get(name):
            sys.path.insert(0, os.path.abspath(asked[name]))
    paste = asked.get("paste") or asked.get("ini-paste")
    if paste:
        paste = re.sub(r"^config:", "", paste)
        return ours("mamayo_paste").load(paste, said % paste)
    name = asked.get("callable") or "application"
    file = asked.get("wsgi-file") or asked.get("file")
    entry = (asked.get("module") or asked.get("wsgi") or asked.get("w")
             or (asked.get("mount") or "").partition("=")[2])
    why = said % "it" + (" (in %s)" % ini if ini else "")
    if not entry and not file:
        file = next((w for w in others if w.endswith((".py", ".wsgi"))), None)
    if entry.endswith(".py"):
        entry, file = "", entry
    if entry:
        if ":" not in entry:
            entry += ":" + name
        return by_entry(entry, said % entry)[:2] + (why,)
    if not file:
        raise Failed("callable", "Procfile starts uwsgi, but neither it nor"
                     " %s names a module" % (ini or "an .ini file"))
    return of_file(file, name, said % file, why)


def of_file(file, name, said, why):
    if not os.path.isfile(file):
        raise Failed("entry", "%s, but there is no such file in %s" % (
            said, os.getcwd()))
    file = os.path.relpath(file)
    module = by_file(file)
    if not hasattr(module, name):
        raise Failed("entry", "%s, but %s has no %s%s" % (
            said, file, name, has(module)))
    entry = "%s:%s" % (file[:-3] if file.endswith(".py") else file, name)
    return check(getattr(module, name), entry), entry, why


def read_ini(name):
    """[(key, value)] of the section [uwsgi], where keys may come twice."""
    if not os.path.isfile(name):
        raise Failed("entry", "Procfile names %s for uwsgi, but there is no"
                     " such file in %s" % (name, os.getcwd()))
    consulted.append(name)
    found, section = [], None
    with open(name, "rb") as file:
        text = file.read(PROCFILE_MOST).decode("utf-8-sig", "replace")
    for line in text.replace("\0", " ").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[uwsgi]" and line and line[0] not in "#;":
            key, _, value = line.partition("=")
            found.append((key.strip(), expanded(value.strip(), name)))
    if not found:
        raise Failed("entry", "Procfile names %s for uwsgi, but it has no"
                     " section [uwsgi]" % name)
    return found


def expanded(value, ini):
    """With uWSGI's variables: %d is the file's directory, $(NAME) of the
    environment."""
    path = os.path.abspath(ini)
    value = value.replace("%d", os.path.dirname(path) + os.sep).replace(
        "%p", path)
    return re.sub(r"\$\((\w+)\)", lambda m: os.environ.get(
        m.group(1), m.group()), value)
