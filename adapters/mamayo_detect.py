"""mamayo's worker: which callable is the application, and why.

In order, the first that fits wins:

    1. "entry" in mamayo.json
    2. application.py, application.wsgi, passenger_wsgi.py, wsgi.py, *.wsgi:
       application
    3. manage.py: Django
    4. app.py, main.py: app, application, create_app(), make_app()

What cannot be served is explained in one sentence, to the person who wrote
the application and may never have heard of WSGI. What only an explanation
needs is imported there.
"""
import os
import sys

MODULES = ("application.py", "application.wsgi", "passenger_wsgi.py",
           "wsgi.py")
SCRIPTS = ("app.py", "main.py")
NAMES = ("app", "application")
FACTORIES = ("create_app", "make_app")
NOT_YET = (("Procfile", "a Procfile"),
           ("production.ini", "production.ini (PasteDeploy)"),
           ("development.ini", "development.ini (PasteDeploy)"))
CO_COROUTINE = 0x80
CO_ASYNC_GENERATOR = 0x200
DETAIL_MOST = 16384  # bytes of a traceback


class Failed(Exception):
    """It cannot be started; the text says what to do."""

    def __init__(self, kind, text, detail=""):
        Exception.__init__(self, text)
        self.kind = kind
        self.text = text
        self.detail = detail


def load(entry=None):
    """Gives the callable, its name as "module:callable", and the reason."""
    try:
        if entry:
            return by_entry(entry)
        return search()
    except Failed:
        raise
    except BaseException as error:
        raise explain(error, entry)


# The rules


def by_entry(entry):
    module_name, _, name = entry.partition(":")
    name = name or "application"
    try:
        module = by_name(module_name)
    except ImportError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise Failed("entry", 'mamayo.json says "entry": "%s", but there'
                         " is no module %s in %s%s" % (
                             entry, error.name, os.getcwd(),
                             guess(error.name, modules_here())))
        raise
    value = module
    call = name.endswith("()")
    for part in (name[:-2] if call else name).split("."):
        if not hasattr(value, part):
            raise Failed("entry", 'mamayo.json says "entry": "%s", but %s has'
                         " no %s%s" % (entry, module_name, part,
                                       guess(part, callables(value))))
        value = getattr(value, part)
    if call:
        value = value()
    return check(value, entry), entry, 'mamayo.json says "entry": "%s"' % entry


def search():
    files = sorted(os.listdir("."))
    seen = []  # what was there, but was not it
    candidates = [f for f in MODULES if f in files] + [
        f for f in files if f.endswith(".wsgi") and f not in MODULES]
    for file in candidates:
        module = import_file(file)
        if hasattr(module, "application"):
            entry = file_entry(file) + ":application"
            return (check(module.application, entry), entry,
                    file + " defines application")
        seen.append((file, ("application",), callables(module)))
    if "manage.py" in files:
        found = django()
        if found:
            return found
    for file in SCRIPTS:
        if file not in files:
            continue
        module = import_file(file)
        for name in NAMES:
            if callable(getattr(module, name, None)):
                entry = "%s:%s" % (file_entry(file), name)
                return (check(getattr(module, name), entry), entry,
                        "%s defines %s" % (file, name))
        for name in FACTORIES:
            if callable(getattr(module, name, None)):
                entry = "%s:%s()" % (file_entry(file), name)
                return (check(getattr(module, name)(), entry), entry,
                        "%s defines %s()" % (file, name))
        seen.append((file, NAMES + tuple(f + "()" for f in FACTORIES),
                     callables(module)))
    raise nothing(files, seen)


def django():
    with open("manage.py", "rb") as file:
        text = file.read(1 << 20).decode("utf-8", "replace")
    import re
    named = re.search(
        r"""DJANGO_SETTINGS_MODULE['"]\s*(?:,|\]\s*=)\s*['"]([\w.]+)['"]""",
        text)
    if named is None and "DJANGO_SETTINGS_MODULE" not in os.environ:
        return None
    if named is not None:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", named.group(1))
    sys.argv = [os.path.abspath("manage.py")]
    settings_module = os.environ["DJANGO_SETTINGS_MODULE"]
    from django.conf import settings
    path = getattr(settings, "WSGI_APPLICATION", None)
    if path:
        why = "manage.py, and WSGI_APPLICATION in %s" % settings_module
    else:
        path = settings_module.partition(".")[0] + ".wsgi.application"
        why = "manage.py, and settings %s" % settings_module
        try:
            by_name(path.rpartition(".")[0])
        except ImportError as error:
            if error.name != path.rpartition(".")[0]:
                raise
            from django.core.wsgi import get_wsgi_application
            return (get_wsgi_application(),
                    "django.core.wsgi:get_wsgi_application()", why)
    module_name, _, name = path.rpartition(".")
    entry = "%s:%s" % (module_name, name)
    module = by_name(module_name)
    if not hasattr(module, name):
        raise Failed("callable", "WSGI_APPLICATION in %s is %s, but %s has no"
                     " %s%s" % (settings_module, path, module_name, name,
                                guess(name, callables(module))))
    return check(getattr(module, name), entry), entry, why


# Importing


def by_name(name):
    sys.argv = [os.path.join(os.getcwd(), *name.split(".")) + ".py"]
    __import__(name)
    return sys.modules[name]


def file_entry(file):
    return file[:-3] if file.endswith(".py") else file


def import_file(file):
    if file.endswith(".py"):
        return by_name(file[:-3])
    path = os.path.join(os.getcwd(), file)
    sys.argv = [path]
    with open(path, "rb") as source:
        code = compile(source.read(), path, "exec", dont_inherit=True)
    name = "mamayo_" + "".join(
        c if c.isalnum() else "_" for c in file.rpartition(".")[0])
    module = type(sys)(name)
    module.__file__ = path
    sys.modules[name] = module
    exec(code, module.__dict__)
    return module


# What it is


def check(value, entry):
    """The callable itself, if it is a WSGI application as far as we see."""
    if not callable(value):
        raise Failed("callable", "%s is %s, not something that can be called:"
                     " mamayo needs the WSGI application itself" % (
                         entry, a(value)))
    if is_asgi(value):
        raise Failed("callable", "%s is an ASGI application (%s), and mamayo"
                     " serves WSGI applications: wrap it with"
                     " a2wsgi.ASGIMiddleware, and name the result"
                     " application" % (entry, type(value).__module__ + "."
                                       + type(value).__name__))
    return value


def is_asgi(value):
    while hasattr(value, "func") and hasattr(value, "keywords"):
        value = value.func  # functools.partial
    for step in (value, getattr(type(value), "__call__", None)):
        code = getattr(getattr(step, "__func__", step), "__code__", None)
        if code is None:
            continue
        if code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR):
            return True
        names = code.co_varnames[:code.co_argcount]
        if names[-3:] == ("scope", "receive", "send"):
            return True
    packages = {cls.__module__.partition(".")[0]
                for cls in type(value).__mro__}
    return bool(packages & {"aiohttp", "tornado"})


def a(value):
    return "of type %s" % type(value).__name__


def callables(module):
    """Names in it that could be meant."""
    names = []
    for name, value in sorted(vars(module).items()) if hasattr(
            module, "__dict__") else ():
        if (callable(value) and not name.startswith("_")
                and not isinstance(value, type)):
            names.append(name)
    return names


def modules_here():
    return [f[:-3] for f in os.listdir(".") if f.endswith(".py")] + [
        d for d in os.listdir(".")
        if os.path.exists(os.path.join(d, "__init__.py"))]


def guess(name, names):
    import difflib
    near = difflib.get_close_matches(name, names, 1, 0.4)
    return ": did you mean %s?" % near[0] if near else ""


# Why not


def nothing(files, seen):
    if seen:
        parts = []
        for file, wanted, found in seen:
            near = [n for n in NAMES + FACTORIES if n in found] or found
            parts.append("%s has no %s%s" % (
                file, " or ".join(wanted), " (it has %s)" % ", ".join(
                    near[:5]) if near else ""))
        file, _, found = seen[0]
        near = [n for n in NAMES + FACTORIES if n in found]
        near = near or [n for n in found if "app" in n.lower()] or found
        advice = ""
        if near:
            advice = ': add the line "application = %s%s" to %s' % (
                near[0], "()" if near[0] in FACTORIES else "", file)
        return Failed("callable", "; ".join(parts) + advice)
    for file, what in NOT_YET:
        if file in files:
            return Failed("callable", "this application is described by %s,"
                          ' which mamayo cannot read yet: write "entry":'
                          ' "module:callable" into mamayo.json' % what)
    return Failed("callable", "there is no application in %s: mamayo looked"
                  " for %s, *.wsgi, manage.py, %s" % (
                      os.getcwd(), ", ".join(MODULES), ", ".join(SCRIPTS)))


def explain(error, entry):
    """Any exception while the application was imported, as advice."""
    detail = app_trace(error)
    if isinstance(error, SyntaxError):
        kind, text = "syntax", about_syntax(error)
    elif isinstance(error, ImportError) and error.name:
        kind, text = "module", about_module(error)
    else:
        kind = "exception"
        text = "%s while the application was imported: %s" % (
            type(error).__name__, one_line(error))
    sys.stderr.write(detail + "\n")
    return Failed(kind, text, detail)


def app_trace(error):
    """The traceback without our own frames, at most 16 kB."""
    import traceback
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_globals is globals():
        tb = tb.tb_next
    text = "".join(traceback.format_exception(type(error), error, tb))
    text = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
    return text.rstrip("\n").encode("utf-8", "backslashreplace")[
        -DETAIL_MOST:].decode("utf-8", "ignore")


def one_line(error):
    text = " ".join(str(error).split())
    return text[:300]


def about_syntax(error):
    where = "%s, line %s" % (error.filename or "?", error.lineno)
    line = (error.text or "").strip()
    text = "%s: %s" % (where, error.msg)
    if is_python_2(line, error.msg or ""):
        text += ": this is Python 2 code, and mamayo runs it with Python" \
                " %d.%d" % sys.version_info[:2]
    return text


def is_python_2(line, message):
    import re
    return bool("call to 'print'" in message or "call to 'exec'" in message
                or re.match(r"print\s+[^(=\s]|print\s*>>|exec\s+['\"]", line)
                or re.match(r"except\s+[\w.()\s,]+,\s*\w+\s*:", line)
                or re.match(r"raise\s+[\w.]+\s*,", line)
                or re.search(r"\bur['\"]|<>|\b0[0-7]+\b|\b\d+[lL]\b|`", line))


PYTHON_2 = frozenset("""
    ConfigParser Cookie cookielib cPickle cStringIO HTMLParser httplib Queue
    SimpleHTTPServer SocketServer StringIO Tkinter thread urllib2 urlparse
    xmlrpclib __builtin__ BaseHTTPServer""".split())
# the name to install, where it is not the name to import
DISTRIBUTIONS = dict(word.split(":") for word in """
    yaml:PyYAML PIL:Pillow cv2:opencv-python bs4:beautifulsoup4 jwt:PyJWT
    dotenv:python-dotenv MySQLdb:mysqlclient sklearn:scikit-learn
    dateutil:python-dateutil rest_framework:djangorestframework
    corsheaders:django-cors-headers Crypto:pycryptodome serial:pyserial
    docx:python-docx magic:python-magic flask_wtf:Flask-WTF
    webargs:webargs attr:attrs psycopg2:psycopg2-binary""".split())


def about_module(error):
    name = error.name
    top = name.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError):
        return one_line(error)
    if top in PYTHON_2:
        return ("there is no module %s in Python %d.%d: this is Python 2"
                " code" % ((name,) + sys.version_info[:2]))
    if name != top or top in modules_here():
        return "there is no module %s%s" % (
            name, guess(name, modules_here()) if name == top else "")
    return "the module %s is not installed: %s" % (name, how_to_install(top))


def how_to_install(top):
    what = DISTRIBUTIONS.get(top, top)
    if os.path.exists("requirements.txt"):
        what = "-r " + os.path.join(os.getcwd(), "requirements.txt")
    if sys.prefix != sys.base_prefix:
        return '"%s install %s"' % (
            os.path.join(sys.prefix, "bin", "pip"), what)
    venv = os.path.join(os.getcwd(), "venv")
    return '"%s -m venv %s && %s/bin/pip install %s"' % (
        sys.executable, venv, venv, what)
