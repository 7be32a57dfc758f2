"""mamayo's worker: which callable is the application, and why.

In order, the first that fits wins:

    1. "entry" in mamayo.json
    2. the line "web:" of a Procfile, if it names a server that we know
       (mamayo_procfile)
    3. application.py, application.wsgi, passenger_wsgi.py, wsgi.py, *.wsgi:
       application
    4. manage.py: Django (mamayo_django)
    5. app.py, main.py: app, application, create_app(), make_app(), or a single
       object of a framework, whatever its name
    6. production.ini, development.ini: PasteDeploy (mamayo_paste)

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
INIS = ("production.ini", "development.ini")

# classes of applications: the first part of their module's name, and theirs
APPLICATIONS = {
    "flask": ("Flask",), "bottle": ("Bottle",), "falcon": ("App", "API"),
    "pyramid": ("Router",),
    # these to be refused
    "fastapi": ("FastAPI",), "starlette": ("Starlette",), "quart": ("Quart",),
    "sanic": ("Sanic",), "litestar": ("Litestar",),
    "aiohttp": ("Application",),
}

# Files that say what the application is, beside those that are imported
consulted = []

# code.co_flags
CO_COROUTINE = 0x80
CO_ASYNC_GENERATOR = 0x200

SOURCE_MOST = 1 << 20  # bytes of a file that are searched for a word
DETAIL_MOST = 16384  # bytes of a traceback
TEXT_MOST = 400      # characters of an exception's text


class Failed(Exception):
    """The application cannot be started; the text says what to do."""

    def __init__(self, kind, text, detail=""):
        super().__init__(text)
        self.kind = kind
        self.text = visible(text)
        self.detail = detail
        self.files = []  # whose change may help


def find(entry=None):
    """Gives the callable, its name "module:callable", and the reason."""
    try:
        return by_entry(entry) if entry else search()
    except Failed as error:
        error.files = list(MODULES + SCRIPTS) + consulted + involved(error)
        raise
    except BaseException as error:
        failed = explain(error)
        failed.files = consulted + involved(error)
    raise failed


# The rules


def by_entry(entry, said=None):
    said = said or 'mamayo.json says "entry": "%s"' % entry
    module_name, _, name = entry.partition(":")
    name = name.strip() or "application"
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
    path, call, rest = name.partition("(")
    for part in path.split("."):
        if not hasattr(value, part):
            raise Failed("entry", "%s, but %s has no %s%s" % (
                said, module_name, part, has(value)))
        value = getattr(value, part)
    if call:
        value = made_by(value, "%s:%s" % (module_name, path),
                        *values(call + rest, said))
    return check(value, entry), entry, said


def values(text, said):
    """Of "('x', debug=True)", as gunicorn takes them: ("x",) and the names."""
    if text == "()":
        return (), {}
    import ast
    try:
        call = ast.parse("f" + text, mode="eval").body
        if not isinstance(call.func, ast.Name):
            raise ValueError
        return (tuple(ast.literal_eval(a) for a in call.args),
                {k.arg: ast.literal_eval(k.value) for k in call.keywords})
    except (AttributeError, SyntaxError, ValueError):
        raise Failed("entry", "%s, but what is in the parentheses can be plain"
                     " values only" % said)


def search():
    files = sorted(f for f in os.listdir(".") if os.path.isfile(f))
    missed = []  # (file, what is wrong with it, what it has)
    found = None
    if "Procfile" in files:
        found = ours("mamayo_procfile").find(missed)
    found = found or by_module(files, missed)
    if not found and "manage.py" in files:
        found = ours("mamayo_django").find()
        if not found:
            missed.append(("manage.py", "manage.py does not define"
                           " DJANGO_SETTINGS_MODULE", []))
    found = found or by_script(files, missed) or by_ini(files)
    if not found:
        raise nothing(missed)
    for file, sentence, _ in missed:
        if file == "Procfile":
            found = found[:2] + ("%s; %s" % (found[2], sentence),)
    return found


def by_module(files, missed):
    for file in [f for f in MODULES if f in files] + [
            f for f in files if f.endswith(".wsgi") and f not in MODULES]:
        module = not_serving(file)
        if hasattr(module, "application"):
            return named(module, file, "application")
        miss(missed, file, "application", module)
    return None


def by_script(files, missed):
    for file in SCRIPTS:
        if file not in files:
            continue
        module = not_serving(file)
        for name in NAMES + FACTORIES:
            if callable(getattr(module, name, None)):
                return named(module, file, name)
        objects = applications(module)
        if len(objects) == 1:
            name, = objects
            return named(module, file, name, ", %s" % objects[name])
        if not objects and bottle_routes(module):
            return sys.modules["bottle"].default_app(), \
                "bottle:default_app()", file + " adds to Bottle's default" \
                " application"
        miss(missed, file, "app, application, create_app() or make_app()",
             module, list(objects))
    return None


def by_ini(files):
    for file in INIS:
        if file in files:
            return ours("mamayo_paste").load(
                file, file + " is there, for PasteDeploy")
    return None


def miss(missed, file, wanted, module, found=None):
    found = found or callables(module)
    missed.append((file, "%s does not define %s%s" % (
        file, wanted, " but " + ", ".join(found[:5]) if found else ""), found))


def named(module, file, name, more=""):
    call = "()" if name in FACTORIES else ""
    entry = "%s:%s%s" % (file[:-3] if file.endswith(".py") else file, name,
                         call)
    value = getattr(module, name)
    if call:
        value = made_by(value, entry)
    return check(value, entry), entry, "%s defines %s%s%s" % (
        file, name, call, more)


def made_by(factory, entry, arguments=(), keywords={}):
    try:
        return factory(*arguments, **keywords)
    except TypeError as error:
        if error.__traceback__.tb_next is not None:
            raise  # from inside of it
        raise Failed("callable", "%s cannot be called %s arguments: %s"
                     % (entry, "with these" if arguments or keywords
                        else "without", one_line(error)))


def applications(module):
    """Names of a framework's objects, one for each, with what they are."""
    found, seen = {}, []
    for name, value in vars(module).items():
        for kind in type(value).__mro__:
            package = str(kind.__module__).partition(".")[0]
            if kind.__name__ in APPLICATIONS.get(package, ()) and not any(
                    value is other for other in seen):
                seen.append(value)
                found[name] = "of %s.%s" % (package, kind.__name__)
    return found


def bottle_routes(module):
    """Has it used @route and the like, without an object of its own?"""
    bottle = sys.modules.get("bottle")
    try:
        return any(route.callback.__module__ == module.__name__
                   for route in bottle.default_app().routes)
    except Exception:  # something else of that name, or none
        return False


# Importing


def ours(name):
    """A module of mamayo's that few need."""
    searched = sys.path[:]
    sys.path[:] = [HERE] + [p for p in searched if p != os.getcwd()]
    try:
        __import__(name)
    finally:
        sys.path[:] = searched
    return sys.modules[name]


def by_name(name):
    sys.argv = [os.path.join(os.getcwd(), *name.split(".")) + ".py"]
    __import__(name)
    return sys.modules[name]


def not_serving(file):
    """As by_file(), of what may end with run(), as tutorials do: with Flask
    and Bottle that returns at once, by their own means."""
    with open(file, "rb") as source:
        text = source.read(SOURCE_MOST)
    bottle, variable = None, "FLASK_RUN_FROM_CLI"
    is_flask = b"flask" in text and variable not in os.environ
    if is_flask:
        os.environ[variable] = "true"
    if b"bottle" in text:
        try:
            import bottle
            bottle.NORUN = True
        except ImportError:
            pass  # it will say so
    try:
        return by_file(file)
    finally:
        if is_flask:
            os.environ.pop(variable, None)
        if bottle:
            bottle.NORUN = False


def by_file(file):
    if file.endswith(".py") and os.sep not in file:
        return by_name(file[:-3])
    path = os.path.join(os.getcwd(), file)
    with open(path, "rb") as source:
        code = compile(source.read(), path, "exec", dont_inherit=True)
    name = "wsgi_file_" + "".join(
        c if c.isalnum() else "_" for c in os.path.splitext(file)[0])
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


def nothing(missed):
    if not missed:
        return Failed("callable", "nothing in %s looks like an application:"
                      " mamayo looks for Procfile, %s, *.wsgi, manage.py, %s,"
                      " %s" % (os.getcwd(), ", ".join(MODULES),
                               ", ".join(SCRIPTS), " and ".join(INIS)))
    parts = [sentence for _, sentence, _ in missed]
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
    return Failed(kind, text, detail.decode("utf-8", "ignore"))


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


def words(error):
    return " ".join(str(error).split())[:TEXT_MOST]


def one_line(error):
    text = words(error)
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
    paste:PasteDeploy yaml:PyYAML""".split())


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
    return "module", "%s%s; to install it: %s" % (
        missing, other_environment(), how_to_install(top))


def how_to_install(top, may_be_listed=True):
    what = DISTRIBUTIONS.get(top, top)
    here = os.getcwd()
    if may_be_listed and os.path.exists("requirements.txt"):
        what = "-r " + quoted(os.path.join(here, "requirements.txt"))
    if sys.prefix != sys.base_prefix:
        return "%s install %s" % (quoted(os.path.join(
            sys.prefix, "bin", "pip")), what)
    venv = os.path.join(here, "venv")
    return "%s -m venv %s && %s install %s" % (
        quoted(sys.executable), quoted(venv),
        quoted(os.path.join(venv, "bin", "pip")), what)


def quoted(path):
    from shlex import quote
    return quote(path)


def other_environment():
    """Why modules are missing that somebody has installed: the virtual
    environment is of another Python, or is not one of the usual names."""
    if sys.prefix != sys.base_prefix:
        mine = "python%d.%d" % sys.version_info[:2]
        try:
            there = sorted(name for name in os.listdir(os.path.join(
                sys.prefix, "lib")) if name.startswith("python"))
        except OSError:
            there = []
        if not there or mine in there:
            return ""
        return "; its virtual environment was made with %s, and that is %s" \
            " now: make it again with \"%s -m venv --clear %s\"" % (
                there[-1].replace("python", "Python "), running(),
                quoted(os.path.join(sys.base_prefix, "bin", mine)),
                quoted(sys.prefix))
    for name in sorted(os.listdir(".")):
        if os.path.isfile(os.path.join(name, "pyvenv.cfg")):
            return "; perhaps it is in the virtual environment %s: write" \
                " {\"python\": \"%s\"} into mamayo.json" % (name, name)
    return ""


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
