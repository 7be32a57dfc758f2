"""mamayo's worker: which callable is the application, and why.

In order, the first that fits wins:

    1. "entry" in mamayo.json
    2. application.py, application.wsgi, passenger_wsgi.py, wsgi.py, *.wsgi:
       application
    3. manage.py: Django
    4. app.py, main.py: app, application, create_app(), make_app()

What does not start is explained in one sentence to the person who wrote it,
who may never have heard of WSGI. Only an explanation may import much.
"""
import os
import sys

from mamayo_words import HERE, trace, visible

MODULES = ("application.py", "application.wsgi", "passenger_wsgi.py",
           "wsgi.py")
SCRIPTS = ("app.py", "main.py")
NAMES = ("app", "application")
FACTORIES = ("create_app", "make_app")
NOT_YET = (("Procfile", "a Procfile"),
           ("production.ini", "production.ini (PasteDeploy)"),
           ("development.ini", "development.ini (PasteDeploy)"))

# code.co_flags
CO_COROUTINE = 0x80
CO_ASYNC_GENERATOR = 0x200

DETAIL_MOST = 16384  # bytes of a traceback
TEXT_MOST = 400      # characters of an exception's text


class Failed(Exception):
    """The application cannot be started; the text says what to do."""

    def __init__(self, kind, text, detail=""):
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.detail = detail
        self.files = []  # whose change may help


def find(entry=None):
    """Gives the callable, its name "module:callable", and the reason."""
    try:
        return by_entry(entry) if entry else search()
    except Failed as error:
        error.files = list(MODULES + SCRIPTS) + involved(error)
        raise
    except BaseException as error:
        failed = explain(error)
        failed.files = involved(error)
    raise failed


# The rules


def by_entry(entry):
    said = 'mamayo.json says "entry": "%s"' % entry
    module_name, _, name = entry.partition(":")
    name = name or "application"
    if "/" in module_name or module_name.endswith(".py"):
        raise Failed("entry", '%s, but a module is named like this: "%s:%s"'
                     % (said, module_name.replace(".py", "").replace(
                         "/", ".").strip("."), name))
    try:
        value = by_name(module_name)
    except ImportError as error:
        if error.name is None or not (module_name + ".").startswith(
                error.name + "."):
            raise
        if not isinstance(error, ModuleNotFoundError):
            raise
        raise Failed("entry", "%s, but there is no module %s in %s%s" % (
            said, error.name, os.getcwd(), guess(error.name, modules())))
    path, call = (name[:-2], True) if name.endswith("()") else (name, False)
    for part in path.split("."):
        if not hasattr(value, part):
            raise Failed("entry", "%s, but %s has no %s%s" % (
                said, module_name, part, has(value)))
        value = getattr(value, part)
    if call:
        value = made_by(value, "%s:%s" % (module_name, path))
    return check(value, entry), entry, said


def search():
    files = sorted(os.listdir("."))
    missed = []  # (file, what it should have, what it has)
    for file in [f for f in MODULES if f in files] + [
            f for f in files if f.endswith(".wsgi") and f not in MODULES]:
        module = by_file(file)
        if hasattr(module, "application"):
            return named(module, file, "application")
        missed.append((file, "application", callables(module)))
    if "manage.py" in files:
        found = django()
        if found:
            return found
        missed.append(("manage.py", "DJANGO_SETTINGS_MODULE", []))
    for file in SCRIPTS:
        if file in files:
            module = by_file(file)
            for name in NAMES + FACTORIES:
                if callable(getattr(module, name, None)):
                    return named(module, file, name)
            missed.append((file, "app, application, create_app() or"
                           " make_app()", callables(module)))
    raise nothing(files, missed)


def named(module, file, name):
    call = "()" if name in FACTORIES else ""
    entry = "%s:%s%s" % (file[:-3] if file.endswith(".py") else file, name,
                         call)
    value = getattr(module, name)
    if call:
        value = made_by(value, entry)
    return check(value, entry), entry, "%s defines %s%s" % (file, name, call)


def made_by(factory, entry):
    try:
        return factory()
    except TypeError as error:
        if error.__traceback__.tb_next is not None:
            raise  # from inside of it
        raise Failed("callable", "%s cannot be called without arguments: %s"
                     % (entry, one_line(error)))


def django():
    """As manage.py would find it; None if that is not Django's."""
    import re
    with open("manage.py", "rb") as file:
        text = file.read(1 << 20).decode("utf-8", "replace")
    setting = re.search(r"DJANGO_SETTINGS_MODULE['\"]\s*(?:,|\]\s*=)"
                        r"\s*['\"]([\w.]+)['\"]", text)
    if setting is not None:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", setting.group(1))
    settings_module = os.environ.get("DJANGO_SETTINGS_MODULE")
    if not settings_module:
        return None
    sys.argv = [os.path.abspath("manage.py")]
    from django.conf import settings
    path = settings.WSGI_APPLICATION
    if path:
        why = "manage.py names %s, and that WSGI_APPLICATION" % settings_module
    else:
        path = settings_module.partition(".")[0] + ".wsgi.application"
        why = "manage.py names %s" % settings_module
    module_name, _, name = path.rpartition(".")
    try:
        module = by_name(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name or settings.WSGI_APPLICATION:
            raise
        from django.core.wsgi import get_wsgi_application
        return (get_wsgi_application(),
                "django.core.wsgi:get_wsgi_application()", why)
    if not hasattr(module, name):
        raise Failed("callable", "Django's WSGI_APPLICATION is %s, but %s has"
                     " no %s%s" % (path, module_name, name, has(module)))
    entry = "%s:%s" % (module_name, name)
    return check(getattr(module, name), entry), entry, why


# Importing


def ours(name):
    """A module of mamayo's that few need."""
    searched = sys.path[:]
    sys.path[:] = [HERE]
    try:
        __import__(name)
    finally:
        sys.path[:] = searched
    return sys.modules[name]


def by_name(name):
    sys.argv = [os.path.join(os.getcwd(), *name.split(".")) + ".py"]
    __import__(name)
    return sys.modules[name]


def by_file(file):
    if file.endswith(".py"):
        return by_name(file[:-3])
    path = os.path.join(os.getcwd(), file)
    with open(path, "rb") as source:
        code = compile(source.read(), path, "exec", dont_inherit=True)
    name = "wsgi_file_" + "".join(
        c if c.isalnum() else "_" for c in file[:-len(".wsgi")])
    module = type(sys)(name)
    module.__file__ = path
    sys.modules[name] = module
    sys.argv = [path]
    exec(code, module.__dict__)
    return module


# What it is


def check(value, entry):
    """Gives the value, if it can be a WSGI application."""
    if not callable(value):
        raise Failed("callable", "%s is of type %s and cannot be called; it"
                     " should be the WSGI application itself" % (
                         entry, type(value).__name__))
    foreign = not_wsgi(value)
    if foreign:
        raise Failed("callable", "%s is %s, and mamayo serves WSGI"
                     " applications: the package a2wsgi makes an ASGI"
                     " application one" % (entry, foreign))
    return value


def not_wsgi(value):
    """What it is instead, as far as one sees; or None."""
    while hasattr(value, "func") and hasattr(value, "keywords"):
        value = value.func  # functools.partial
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    if package in ("aiohttp", "tornado"):
        return "an application of %s, with a server of its own" % package
    for step in (value, getattr(kind, "__call__", None)):
        code = getattr(getattr(step, "__func__", step), "__code__", None)
        if code is not None and (
                code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR)
                or code.co_varnames[:code.co_argcount][-3:] == (
                    "scope", "receive", "send")):
            return "an ASGI application (%s)" % (
                "async def" if kind.__name__ == "function"
                else kind.__module__ + "." + kind.__name__)
    return None


def callables(module):
    """Names in it that could be meant, the likely ones first."""
    found = [name for name, value in sorted(
        getattr(module, "__dict__", {}).items())
             if callable(value) and not isinstance(value, type)
             and not name.startswith("_")]
    own = [name for name in found if getattr(
        getattr(module, name), "__module__", None) in (
            None, getattr(module, "__name__", None))]
    likely = [n for n in NAMES + FACTORIES if n in found]
    likely += [n for n in found if "app" in n.lower() and n not in likely]
    return likely + [n for n in own if n not in likely]


def modules():
    return [f[:-3] for f in os.listdir(".") if f.endswith(".py")] + [
        d for d in os.listdir(".")
        if os.path.exists(os.path.join(d, "__init__.py"))]


def guess(name, candidates):
    import difflib
    near = difflib.get_close_matches(name, candidates, 1)
    return "; did you mean %s?" % near[0] if near else ""


def has(module):
    found = callables(module)[:5]
    return "; it has " + ", ".join(found) if found else ""


# Why not


def nothing(files, missed):
    for file, what in NOT_YET:
        if file in files and not missed:
            return Failed("callable", "the application is described by %s,"
                          " which mamayo does not read yet: write {\"entry\":"
                          " \"module:callable\"} into mamayo.json" % what)
    if not missed:
        return Failed("callable", "nothing in %s looks like an application:"
                      " mamayo looks for %s, *.wsgi, manage.py, %s" % (
                          os.getcwd(), ", ".join(MODULES),
                          " and ".join(SCRIPTS)))
    parts = ["%s does not define %s%s" % (
        file, wanted, " but " + ", ".join(has[:5]) if has else "")
             for file, wanted, has in missed]
    for file, _, has in missed:
        if has:
            parts[-1] += ': if that is meant, add "application = %s%s" to' \
                " %s" % (has[0], "()" if has[0] in FACTORIES else "", file)
            break
    return Failed("callable", "; ".join(parts))


def explain(error):
    """What was raised while the application was imported, as advice."""
    if isinstance(error, SyntaxError):
        kind, text = about_syntax(error)
    elif isinstance(error, ModuleNotFoundError) and error.name:
        kind, text = about_module(error)
    else:
        kind = "module" if isinstance(error, ImportError) else "exception"
        text = "%s%s" % (one_line(error), shadow(error))
        if isinstance(error, SystemExit):
            text = "it ended itself (%s)" % text
        text = "%s: %s" % (where(error), text)
    detail = trace(error).encode("utf-8", "replace")[-DETAIL_MOST:]
    return Failed(kind, visible(text), detail.decode("utf-8", "ignore"))


def involved(error):
    """Files that it is about: those that it came through, one that Python
    could not read, and where a module would lie that is missing."""
    found, chain = [], []
    while error is not None and error not in chain:
        chain.append(error)
        tb = error.__traceback__
        while tb is not None:
            found.append(tb.tb_frame.f_code.co_filename)
            tb = tb.tb_next
        if isinstance(error, SyntaxError):
            found.append(error.filename or "")
        if isinstance(error, ModuleNotFoundError) and error.name:
            for place in sys.path:
                path = os.path.join(place, *error.name.split("."))
                found += [path + ".py", path]
        error = error.__cause__ or error.__context__
    return found


def one_line(error):
    text = " ".join(str(error).split())
    return (type(error).__name__ + (": " + text if text else ""))[:TEXT_MOST]


def place(error):
    """The last file of the application's own, and the line; or None."""
    tb, found = error.__traceback__, None
    while tb is not None:
        name = tb.tb_frame.f_code.co_filename
        if name.startswith(os.getcwd() + os.sep):
            found = os.path.relpath(name), tb.tb_lineno
        tb = tb.tb_next
    return found


def where(error):
    found = place(error)
    return "%s, line %d" % found if found else "when it was imported"


def running():
    return "Python %d.%d" % sys.version_info[:2]


# Syntax


def about_syntax(error):
    import re
    line = (error.text or "").strip()
    text = "%s, line %s: %s" % (
        os.path.relpath(error.filename) if error.filename else "?",
        error.lineno, error.msg)
    if old_syntax(line, error.msg or ""):
        return "syntax", "%s; this is Python 2, and it runs with %s" % (
            text, running())
    for version, pattern in NEWER:
        if sys.version_info < version and re.search(pattern, line):
            return "python", "%s; this needs Python %d.%d, and it runs with" \
                " %s: name another one with \"python\" in mamayo.json" % (
                    (text,) + version + (running(),))
    return "syntax", text


NEWER = (
    ((3, 8), r":="),
    ((3, 10), r"^(match|case)\b.*:"),
    ((3, 11), r"^except\s*\*"),
    ((3, 12), r"^type\s+\w+(\[.*\])?\s*=|^(def|class)\s+\w+\["),
    ((3, 14), r"^except\s+[\w.]+\s*,|=\s*t['\"]"),
)


def old_syntax(line, message):
    import re
    return bool(
        re.search(r"call to '(print|exec)'", message)
        or re.match(r"print\s+[^(=\s]|exec\s+['\"]", line)
        or re.match(r"except\s+[\w.]+\s*,\s*\w+\s*:", line)
        or re.match(r"except\s*\(.*\)\s*,\s*\w+\s*:", line)
        or re.match(r"raise\s+[\w.]+\s*,\s*['\"\w]", line)
        or re.search(r"\b[uU][rR]['\"]|<>|(?<![\w.])0[0-7]+\b|\d[lL]\b|`",
                     line))


# Modules

PYTHON_2 = frozenset("""
    BaseHTTPServer ConfigParser Cookie HTMLParser Queue SimpleHTTPServer
    SocketServer StringIO Tkinter __builtin__ cPickle cStringIO cookielib
    httplib thread urllib2 urlparse xmlrpclib""".split())
REMOVED = frozenset("""
    aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp
    lib2to3 mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd
    sunau telnetlib uu xdrlib""".split())
# what to install, where that is not the name to import
DISTRIBUTIONS = dict(word.split(":") for word in """
    Crypto:pycryptodome MySQLdb:mysqlclient PIL:Pillow attr:attrs
    bs4:beautifulsoup4 corsheaders:django-cors-headers cv2:opencv-python
    dateutil:python-dateutil docx:python-docx dotenv:python-dotenv jwt:PyJWT
    magic:python-magic memcache:python-memcached psycopg2:psycopg2-binary
    rest_framework:djangorestframework serial:pyserial sklearn:scikit-learn
    yaml:PyYAML""".split())


def about_module(error):
    top = error.name.partition(".")[0]
    missing = "%s: there is no module %s" % (where(error), error.name)
    if top in PYTHON_2:
        return "syntax", "%s; this is Python 2, and it runs with %s" % (
            missing, running())
    if top in REMOVED:
        return "python", "%s in %s any more; name an older one with" \
            " \"python\" in mamayo.json, or install newer packages" % (
                missing, running())
    if top in modules() or top != error.name:
        return "module", missing
    return "module", "%s; to install it: %s" % (missing, how_to_install(top))


def how_to_install(top):
    what = DISTRIBUTIONS.get(top, top)
    here = os.getcwd()
    if os.path.exists("requirements.txt"):
        what = "-r " + os.path.join(here, "requirements.txt")
    if sys.prefix != sys.base_prefix:
        return "%s install %s" % (os.path.join(sys.prefix, "bin", "pip"),
                                  what)
    venv = os.path.join(here, "venv")
    return "%s -m venv %s && %s install %s" % (
        sys.executable, venv, os.path.join(venv, "bin", "pip"), what)


def shadow(error):
    """A file of the application that hides the module which it wants."""
    file = (place(error) or ("",))[0]
    top = file[:-len(".py")]
    if not (isinstance(error, ImportError) and top
            and error.name in (None, top)):
        return ""
    from importlib.machinery import PathFinder
    spec = PathFinder.find_spec(top, sys.path[1:])
    if spec is None:
        return ""
    return "; %s.py hides the module %s of %s: give it another name" % (
        top, top, spec.origin)
