"""Which callable is the application, and what is said when there is none."""
import json
import os
import re
import subprocess

from harness import Skip, equal, run, test
from wsgi_harness import BOOT, PYTHON, App, app_test, root

# An application that says who it is.
WHO = """
from kit import *
def {0}(environ, start_response):
    return reply(start_response, [{1!r}, __name__])
"""
DJANGO = {
    "manage.py": """
import os, sys
def main():
    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
if __name__ == '__main__':
    main()
""",
    "mysite/__init__.py": "",
    "mysite/settings.py": "WSGI_APPLICATION = 'mysite.wsgi.application'\n",
    "mysite/wsgi.py": WHO.format("application", "mysite/wsgi.py"),
}
# as much of Django as finding the application needs
FAKE_DJANGO = {
    "django/__init__.py": "",
    "django/conf.py": """
import importlib, os
class Settings:
    WSGI_APPLICATION = None
    def __init__(self):
        vars(self).update(vars(importlib.import_module(
            os.environ['DJANGO_SETTINGS_MODULE'])))
settings = Settings()
""",
    "django/core/__init__.py": "",
    "django/core/wsgi.py": "def get_wsgi_application():\n"
    + "    return application\n" + WHO.format("application", "django"),
}


def who(name, text):
    return WHO.format(name, text)


def outcome(files, **options):
    """What the worker says, and whom it serves."""
    a = App(files, **options)
    message = a.worker.hear()
    if message["type"] == "ready":
        message["who"] = a.ask("/").json()[0]
        a.worker.kill()
    else:
        equal(a.worker.wait(), 3)
        log = a.log()
        assert message["text"] in log, log
        assert message["detail"] in log, log
        assert "\n" not in message["text"]
        assert len(message["detail"].encode("utf-8")) <= 16384
    message["directory"] = a.directory
    a.queue.close()
    return message


def ready(files, found, why, **options):
    message = outcome(files, **options)
    equal([message["type"], message.get("entry"), message.get("why")],
          ["ready", found, why], message.get("text", ""))
    return message["who"]


def failed(kind, words, files, **options):
    message = outcome(files, **options)
    equal([message["type"], message.get("kind")], ["failed", kind],
          message.get("text", ""))
    for word in words:
        assert word in message["text"], (word, message["text"])
    return message


def ordinary(names):
    return {n: who("application", n) for n in names}


# What is found


@test("application.py, application.wsgi, passenger_wsgi.py, wsgi.py, *.wsgi: "
      "application, in this order")
def _():
    names = ["application.py", "application.wsgi", "passenger_wsgi.py",
             "wsgi.py", "a.wsgi", "b.wsgi"]
    entries = ["application", "application.wsgi", "passenger_wsgi", "wsgi",
               "a.wsgi", "b.wsgi"]
    later = {"app.py": who("app", "app.py"), "Procfile": "web: x\n",
             "main.py": who("app", "main.py")}
    for at, name in enumerate(names):
        for files in (ordinary(names[at:]), ordinary([name])):
            equal(ready(dict(later, **files), entries[at] + ":application",
                        name + " defines application; in Procfile \"web: x\""
                        " names no server whose target mamayo knows"
                        " (gunicorn, hypercorn, uvicorn, uwsgi,"
                        " waitress-serve)"), name)


@test("wsgi.py in the directory comes before manage.py, manage.py before "
      "app.py")
def _():
    files = dict(DJANGO, **dict(FAKE_DJANGO, **{
        "wsgi.py": who("application", "wsgi.py"),
        "app.py": who("app", "app.py")}))
    equal(ready(files, "wsgi:application", "wsgi.py defines application"),
          "wsgi.py")
    del files["wsgi.py"]
    equal(ready(files, "mysite.wsgi:application", "manage.py names "
                "mysite.settings, and that WSGI_APPLICATION"),
          "mysite/wsgi.py")


@test("Django without WSGI_APPLICATION, and without a wsgi module")
def _():
    files = dict(DJANGO, **FAKE_DJANGO)
    files["mysite/settings.py"] = ""
    equal(ready(files, "mysite.wsgi:application",
                "manage.py names mysite.settings"), "mysite/wsgi.py")
    del files["mysite/wsgi.py"]
    equal(ready(files, "django.core.wsgi:get_wsgi_application()",
                "manage.py names mysite.settings"), "django")


@test("Django's settings module as manage.py sets it, or the environment")
def _():
    for line in ("os.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.other'",
                 'os.environ.setdefault("DJANGO_SETTINGS_MODULE",\n'
                 '    "mysite.other")',
                 'os.environ["DJANGO_SETTINGS_MODULE"]="mysite.other"'):
        files = dict(DJANGO, **FAKE_DJANGO)
        files["manage.py"] = "import os\n" + line
        files["mysite/other.py"] = files.pop("mysite/settings.py")
        equal(ready(files, "mysite.wsgi:application", "manage.py names "
                    "mysite.other, and that WSGI_APPLICATION"),
              "mysite/wsgi.py")
    files = dict(DJANGO, **FAKE_DJANGO)
    files["mysite/production.py"] = files.pop("mysite/settings.py")
    equal(ready(files, "mysite.wsgi:application", "DJANGO_SETTINGS_MODULE is "
                "mysite.production, and that WSGI_APPLICATION",
                env={"DJANGO_SETTINGS_MODULE": "mysite.production"}),
          "mysite/wsgi.py")


@test("Django itself")
def _():
    if subprocess.call([PYTHON, "-c", "import django"],
                       stderr=subprocess.DEVNULL):
        raise Skip("python3-django is not installed")
    files = dict(DJANGO)
    files["mysite/settings.py"] = """
SECRET_KEY = 'x'
ALLOWED_HOSTS = ['*']
ROOT_URLCONF = 'mysite.urls'
WSGI_APPLICATION = 'mysite.wsgi.application'
"""
    files["mysite/urls.py"] = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path('hello', lambda request: HttpResponse(
    '["django", "%s"]' % request.get_full_path()))]
"""
    files["mysite/wsgi.py"] = """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
    for without in (False, True):
        if without:
            del files["mysite/wsgi.py"]
            files["mysite/settings.py"] = files["mysite/settings.py"].replace(
                "WSGI_APP", "NO_WSGI_APP")
        with App(files) as a:
            equal(a.ask("/hello").json(), ["django", "/app/hello"])
            equal(a.ask("/nothing").status, "404 Not Found")


@test("a manage.py that is not Django's is passed over")
def _():
    equal(ready({"manage.py": "from flask_script import Manager\n",
                 "app.py": who("app", "x")}, "app:app", "app.py defines app"),
          "x")


@test("app.py and main.py: app, application, create_app(), make_app()")
def _():
    makers = {n: who("made", n) + "def %s():\n    return made\n" % n
              for n in ("create_app", "make_app")}
    for file in ("app.py", "main.py"):
        module = file[:-3]
        text = ""
        for name in ("make_app", "create_app"):
            text += makers[name]
            equal(ready({file: text, "mamayo.json": "{}"}, "%s:%s()" % (
                module, name), "%s defines %s()" % (file, name)), name)
        for name in ("application", "app"):
            text += who(name, name)
            equal(ready({file: text}, "%s:%s" % (module, name),
                        "%s defines %s" % (file, name)), name)
    equal(ready({"app.py": who("app", "1"), "main.py": who("app", "2")},
                "app:app", "app.py defines app"), "1")
    equal(ready({"app.py": "app = 5\n" + who("application", "3")},
                "app:application", "app.py defines application"), "3")
    equal(ready({"app.py": "x = 1", "main.py": who("app", "2")}, "main:app",
                "main.py defines app"), "2")


@test("a file that has not what it should is passed over for one that has")
def _():
    equal(ready({"wsgi.py": "x = 1", "app.py": who("app", "app.py")},
                "app:app", "app.py defines app"), "app.py")
    equal(ready({"application.py": "x = 1", "z.wsgi": who("application", "z")},
                "z.wsgi:application", "z.wsgi defines application"), "z")


@test("W-58 entry names a module and what is in it, or a factory")
def _():
    files = dict(ordinary(["application.py", "wsgi.py"]), **{
        "pkg/__init__.py": "", "pkg/sub.py": who("serve", "sub")
        + "class Holder:\n    inner = staticmethod(serve)\n"
        + "def make():\n    return serve\n",
        "single.py": who("application", "single")})
    for entry, expected in (
            ("pkg.sub:serve", "sub"), ("pkg.sub:Holder.inner", "sub"),
            ("pkg.sub:make()", "sub"), ("single:application", "single"),
            ("single", "single"), ("wsgi:application", "wsgi.py")):
        equal(ready(files, entry, 'mamayo.json says "entry": "%s"' % entry,
                    entry=entry), expected)


@app_test("W-58 the application's directory is the working directory and the "
          "first of sys.path; ours is not in it; modules have their names",
          {"wsgi.py": """
from kit import *
import importlib, sys
import helper
if __name__ == "__main__":
    raise SystemExit("run as a program")
def application(environ, start_response):
    importlib.reload(helper)
    return reply(start_response, [os.getcwd(), sys.path, sys.argv, __name__,
                                  __file__, helper.loads])
""", "helper.py": "loads = globals().get('loads', 0) + 1\n"}, validate=False)
def _(a):
    cwd, path, argv, name, file, loads = a.ask("/").json()
    real = os.path.realpath(a.directory)
    equal((cwd, path[0], name, loads), (real, real, "wsgi", 2))
    equal(argv, [os.path.join(real, "wsgi.py")])
    equal(file, os.path.join(real, "wsgi.py"))
    equal([p for p in path if p == "" or p.endswith("adapters")], [])


@test("W-58 a .wsgi file is a module too")
def _():
    with App({"my site.wsgi": "# coding: latin-1\n" + """
from kit import *
import sys
class Thing:
    pass
if __name__ == "__main__":
    raise SystemExit("run as a program")
def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise KeyError("here")
    return reply(start_response, [
        sys.argv, __file__, __name__ in sys.modules,
        sys.modules[Thing.__module__].Thing is Thing, "\xe9"])
""".encode("latin-1").decode("latin-1")}) as a:
        path = os.path.join(os.path.realpath(a.directory), "my site.wsgi")
        equal(a.ask("/").json()[:4], [[path], path, True, True])
        equal(a.ask("/raise").status, "500 Internal Server Error")
        assert 'raise KeyError("here")' in a.log()


# What is not


@test("a syntax error: file, line, and whether it is Python 2")
def _():
    message = failed("syntax", ["wsgi.py, line 2: "],
                     {"wsgi.py": "x = 1\ndef broken(:\n"})
    assert "Python 2" not in message["text"]
    assert "def broken(:" in message["detail"]
    for text in ('print "hello"\n', "print x\n", "try:\n    x\n"
                 "except KeyError, e:\n    pass\n", 'raise KeyError, "x"\n',
                 'exec "x"\n', "x = 0777\n", "x = ur'x'\n", "x = 10L\n",
                 "if 1 <> 2:\n    pass\n", "x = `1`\n",
                 "try:\n    x\nexcept (KeyError, OSError), e:\n    pass\n"):
        failed("syntax", ["wsgi.py, line ", "this is Python 2"],
               {"wsgi.py": text})
    for text in ("print('x'\n", "x = [1, 2\n", "def f()\n    pass\n",
                 "  x = 1\n y = 2\n", "x = '\n", "class\n", "return 5\n",
                 "raise KeyError('x'\n"):
        message = failed("syntax", ["wsgi.py, line "], {"wsgi.py": text})
        assert "Python 2" not in message["text"], (text, message["text"])


@test("a syntax error in another file of the application")
def _():
    failed("syntax", ["pkg/sub.py, line 1"],
           {"wsgi.py": "import pkg.sub\n", "pkg/__init__.py": "",
            "pkg/sub.py": "x ==== 1\n"})
    failed("syntax", ["z.wsgi, line 1"], {"z.wsgi": "x ==== 1\n"})


@test("syntax of a newer Python says which one is needed")
def _():
    version = json.loads(subprocess.check_output(
        [PYTHON, "-c", "import sys; print(list(sys.version_info[:2]))"]
    ).decode())
    for needed, text in (((3, 8), "if (n := 5) > 1:\n    pass\n"),
                         ((3, 10), "match x:\n    case 1:\n        pass\n"),
                         ((3, 12), "type X = int\n"),
                         ((3, 12), "class A[T]:\n    pass\n")):
        if tuple(version) < needed:
            failed("python", ["wsgi.py, line 1", "needs Python %d.%d" % needed,
                              "Python %d.%d" % tuple(version)],
                   {"wsgi.py": text})


@test("a module that is not installed: the line that installs it, for the "
      "Python that is used")
def _():
    files = {"wsgi.py": "import flask_of_mine\n"}
    message = failed("module", ["wsgi.py, line 1: there is no module "
                                "flask_of_mine; to install it: " + PYTHON],
                     files)
    assert message["text"].endswith(
        "-m venv {0}/venv && {0}/venv/bin/pip install flask_of_mine; or,"
        " simpler: write it into requirements.txt, and run: mamayo setup"
        " app".format(os.path.realpath(message["directory"]))), message["text"]
    venv = os.path.join(root, "venv")
    os.makedirs(os.path.join(venv, "bin"))
    python = os.path.join(venv, "bin", "python")
    os.symlink(os.path.realpath(PYTHON), python)
    with open(os.path.join(venv, "pyvenv.cfg"), "w") as file:
        file.write("home = %s\n" % os.path.dirname(os.path.realpath(PYTHON)))
    message = failed("module", [], files, python=python)
    assert message["text"].endswith(
        "to install it: %s/bin/pip install flask_of_mine" % os.path.realpath(
            venv)), message["text"]
    message = failed("module", [], dict(files, **{
        "requirements.txt": "Flask-of.Mine >= 1"}), python=python)
    assert message["text"].endswith(
        "/bin/pip install -r %s/requirements.txt" % os.path.realpath(
            message["directory"])), message["text"]
    failed("module", ["/requirements.txt; flask_of_mine is not in that file:"
                      " write it there first"], dict(
        files, **{"requirements.txt": "# flask_of_mine\nflask-of-mine-too\n"}),
        python=python)
    failed("module", ["/bin/pip install PyYAML"], {
        "wsgi.py": "raise ModuleNotFoundError('x', name='yaml')\n"},
        python=python)


@test("a module of one's own, of Python 2 or of the past that is missing")
def _():
    message = failed("module", ["wsgi.py, line 1: there is no module "
                                "pkg.views"],
                     {"wsgi.py": "import pkg.views\n", "pkg/__init__.py": ""})
    assert "pip" not in message["text"]
    for name in ("urllib2", "ConfigParser", "StringIO"):
        failed("syntax", ["there is no module " + name, "this is Python 2"],
               {"wsgi.py": "import %s\n" % name})
    failed("python", ["there is no module imp in Python", "any more"],
           {"wsgi.py": "raise ModuleNotFoundError('x', name='imp')\n"})
    message = failed("module", ["cannot import name"],
                     {"wsgi.py": "from kit import nothing_like_it\n"})
    assert "pip" not in message["text"]


@test("a file that hides the module which it wants to import")
def _():
    failed("module", ["colorsys.py hides the module colorsys of ",
                      "give it another name"],
           {"wsgi.py": "import colorsys\n",
            "colorsys.py": "from colorsys import rgb_to_hls\n"})


@test("an exception: the last line of the application's own, and its frames "
      "only")
def _():
    message = failed(
        "exception", ["helper.py, line 3: ValueError: no good"],
        {"wsgi.py": "import helper\nhelper.go('no\\n\\x1bgood')\n",
         "helper.py": "import json\ndef go(x):\n    raise ValueError('no"
         " good')\n"})
    assert message["detail"].startswith("Traceback"), message["detail"]
    assert "mamayo_" not in message["detail"], message["detail"]
    assert "importlib" not in message["detail"], message["detail"]
    failed("exception", ["wsgi.py, line 2: JSONDecodeError: "],
           {"wsgi.py": "import json\njson.loads('{')\n"})
    failed("exception", ["it ended itself (SystemExit: 5)"],
           {"wsgi.py": "import sys\nsys.exit(5)\n"})
    failed("exception", ["KeyboardInterrupt"],
           {"wsgi.py": "raise KeyboardInterrupt\n"})
    failed("exception", ["RecursionError"],
           {"wsgi.py": "def f():\n    f()\nf()\n"})
    failed("exception", ["MemoryError"], {"wsgi.py": "raise MemoryError\n"})


@test("an exception of any size and with any characters can be told")
def _():
    for text in ("'x' * 10**6", "'\"' * 10**5", "'\\\\' * 10**5",
                 "'\\n' * 10**5", "'\\udcff\\0\\x1b' * 10**4",
                 "'\\u2615' * 10**5", "b'\\xff' * 10**5"):
        message = failed("exception", ["ValueError"],
                         {"wsgi.py": "raise ValueError(%s)\n" % text})
        assert len(message["text"]) < 3000
        assert re.search("^Traceback|ValueError", message["detail"])


@test("no callable: what was looked for, what is there, what is meant")
def _():
    text = failed("callable", [], {"wsgi.py": who("app", "x")})["text"]
    equal(text, 'wsgi.py does not define application but app: if that is'
                ' meant, add "application = app" to wsgi.py')
    failed("callable", ['add "application = create_app()" to wsgi.py'],
           {"wsgi.py": "def create_app():\n    pass\n"})
    failed("callable", ['add "application = my_app" to wsgi.py'],
           {"wsgi.py": "class App:\n    pass\n" + who("my_app", "x")})
    failed("callable", ["application.py does not define application; wsgi.py "
                        "does not define application; app.py does not define "
                        "app, application, create_app() or make_app()"],
           {"application.py": "", "wsgi.py": "", "app.py": ""})
    failed("callable", ["manage.py does not define DJANGO_SETTINGS_MODULE"],
           {"manage.py": "print('x')"})


@test("something that cannot be called")
def _():
    for value in ("None", "5", "'app'", "[]", "object()"):
        failed("callable", ["wsgi:application is of type ", "be called"],
               {"wsgi.py": "application = %s\n" % value})
    failed("callable", ["app:create_app() is of type NoneType"],
           {"app.py": "def create_app():\n    pass\n"})
    failed("callable", ["app:create_app() cannot be called without arguments"],
           {"app.py": "def create_app(config):\n    pass\n"})
    failed("exception", ["app.py, line 2: TypeError"],
           {"app.py": "def create_app():\n    len(5)\n"})


@test("ASGI applications and servers of their own are refused")
def _():
    for text in ("async def app(scope, receive, send):\n    pass\n",
                 "class A:\n    async def __call__(self, s, r, t):\n"
                 "        pass\napp = A()\n",
                 "def app(scope, receive, send):\n    pass\n",
                 "class A:\n    def __call__(self, scope, receive, send):\n"
                 "        return None\napp = A()\n",
                 "class A:\n    async def method(self, s, r, t):\n"
                 "        pass\napp = A().method\n",
                 "import functools\nasync def f(x, s, r, t):\n    pass\n"
                 "app = functools.partial(f, 1)\n",
                 "async def app(s, r, t):\n    yield 1\n"):
        failed("callable", ["main:app is an ASGI application", "a2wsgi"],
               {"main.py": text})
    failed("callable", ["main:create_app() is an ASGI application"],
           {"main.py": "async def f(s, r, t):\n    pass\n"
                       "def create_app():\n    return f\n"})
    failed("callable", ["wsgi:application is an application of aiohttp"],
           {"aiohttp.py": "class Application:\n    def __call__(self):\n"
                          "        pass\n",
            "wsgi.py": "import aiohttp\n"
                       "application = aiohttp.Application()\n"})


@test("nothing at all: what was looked for")
def _():
    message = failed("callable", ["nothing in "], {"kit2.py": ""})
    for word in ("Procfile", "application.py", "*.wsgi", "manage.py", "app.py",
                 "main.py", "production.ini"):
        assert word in message["text"]


@test("an entry that is wrong: what mamayo.json says, and what is there")
def _():
    files = {"website.py": who("application", "x"), "broken.py": "import nix",
             "pkg/__init__.py": ""}
    said = 'mamayo.json says "entry": "%s", but '
    for entry, words in (
            ("web:application", ["there is no module web in "]),
            ("websit:application", ["there is no module websit in ",
                                    "did you mean website?"]),
            ("pkg.sub:app", ["there is no module pkg.sub in "]),
            ("website:app", ["website has no app; it has application"]),
            ("website:application.x", ["website has no x"]),
            ("website.py:application", ['"website:application"']),
            ("pkg/sub.py:app", ['"pkg.sub:app"'])):
        failed("entry", [said % entry] + words, files, entry=entry)
    failed("module", ["broken.py, line 1: there is no module nix"], files,
           entry="broken:app")
    failed("callable", ["website:__name__ is of type str"], files,
           entry="website:__name__")


@test("a Python that is too old says so, whatever it can parse")
def _():
    for version in ("(2, 7, 18)", "(3, 5, 9)"):
        a = App({}, boot="import sys; sys.version_info = %s; " % version
                + BOOT)
        message = a.worker.hear()
        equal([message["type"], message["kind"]], ["failed", "python"])
        assert "needs Python 3.6" in message["text"]
        assert PYTHON in message["text"] and version[1] in message["text"]
        equal(a.worker.wait(), 3)
        assert message["text"] in a.log()


run()
