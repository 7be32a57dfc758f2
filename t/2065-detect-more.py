"""Applications that are described by a Procfile, by a PasteDeploy file, by
Django's manage.py in all its layouts, or by an object of a framework."""
import json
import os
import subprocess

from harness import Skip, equal, run, test
from wsgi_harness import ADAPTERS, PYTHON, App

WHO = """
from kit import *
def {0}(environ, start_response):
    return reply(start_response, [{1!r}, __name__])
"""
SERVERS = "(gunicorn, hypercorn, uvicorn, uwsgi, waitress-serve)"


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
        assert "\n" not in message["text"]
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
          message.get("text", "") or message.get("entry", ""))
    for word in words:
        assert word in message["text"], (word, message["text"])
    return message


# Procfile

SITE = {"site_of_mine.py": who("app", "app") + who("application", "plain")
        + "def make(name='', debug=False):\n"
          "    return lambda e, s: reply(s, [name or 'made', str(debug)])\n",
        "pkg/__init__.py": "", "pkg/web.py": who("app", "pkg"),
        "src/inner.py": who("app", "inner"),
        "app.py": who("app", "app.py")}


def web(line, **more):
    return dict(SITE, Procfile="web: %s\n" % line, **more)


ENVS = """
from kit import *
def app(environ, start_response):
    return reply(start_response, ["%s %s %s %s" % tuple(
        os.environ[n] for n in ("ONE", "TWO", "THREE", "FOUR"))])
"""


@test("Procfile: the target of every server, whatever its options")
def _():
    for line, entry, name, more in (
            ("gunicorn site_of_mine:app", "site_of_mine:app", "app", ""),
            ("gunicorn site_of_mine", "site_of_mine:application", "plain", ""),
            ("gunicorn -w 4 -b 0.0.0.0:$PORT --reload pkg.web:app "
             "--log-file -", "pkg.web:app", "pkg",
             "; its -w, -b, --reload, --log-file are ignored"),
            ("gunicorn -w4 --bind=unix:app.sock pkg.web:app", "pkg.web:app",
             "pkg", "; its -w, --bind are ignored"),
            ("gunicorn 'site_of_mine:make()'", "site_of_mine:make()", "made",
             ""),
            ("gunicorn \"site_of_mine:make('x', debug=True)\"",
             "site_of_mine:make('x', debug=True)", "x", ""),
            ("gunicorn --chdir src inner:app", "inner:app", "inner", ""),
            ("python3 -m gunicorn pkg.web:app", "pkg.web:app", "pkg", ""),
            ("exec venv/bin/gunicorn3 pkg.web:app", "pkg.web:app", "pkg", ""),
            ("poetry run gunicorn pkg.web:app", "pkg.web:app", "pkg", ""),
            ("python manage.py migrate && gunicorn pkg.web:app | tee log",
             "pkg.web:app", "pkg", ""),
            ("cd . ; gunicorn pkg.web:app; true", "pkg.web:app", "pkg", "")):
        equal(ready(web(line), entry, "Procfile names it for gunicorn" + more),
              name)
    for server, line, entry, name, more in (
            ("waitress-serve", "waitress-serve --port=$PORT pkg.web:app",
             "pkg.web:app", "pkg", "; its --port is ignored"),
            ("waitress-serve", "waitress-serve --listen *:$PORT --call "
             "site_of_mine:make", "site_of_mine:make()", "made",
             "; its --listen is ignored"),
            ("waitress-serve", "python -m waitress pkg.web:app",
             "pkg.web:app", "pkg", ""),
            ("hypercorn", "hypercorn wsgi:pkg.web:app -b [::]:80",
             "pkg.web:app", "pkg", "; its -b is ignored"),
            ("hypercorn", "hypercorn site_of_mine", "site_of_mine:app", "app",
             ""),
            ("uvicorn", "uvicorn --interface wsgi --app-dir=src inner:app "
             "--host 0.0.0.0 --reload", "inner:app", "inner",
             "; its --interface, --host, --reload are ignored")):
        equal(ready(web(line), entry, "Procfile names it for %s%s" % (
            server, more)), name)


@test("Procfile: uwsgi, on its command line or in its .ini file")
def _():
    said = "Procfile names it for uwsgi"
    ini = "[uwsgi]\nhttp = :%%(port)\nplugin = a\nplugin = b\nmaster\n%s\n"
    for line, entry, name in (
            ("uwsgi --http :$PORT -M --module pkg.web:app", "pkg.web:app",
             "pkg"),
            ("uwsgi --http=:80 -w site_of_mine", "site_of_mine:application",
             "plain"),
            ("uwsgi --module=pkg.web --callable=app", "pkg.web:app", "pkg"),
            ("uwsgi --wsgi-file app.py --callable app --master",
             "app:app", "app.py"),
            ("uwsgi --file pkg/web.py --callable=app", "pkg/web:app", "pkg"),
            ("uwsgi --mount /=pkg.web:app", "pkg.web:app", "pkg")):
        equal(ready(web(line), entry, said), name)
    for text, entry, name in (
            ("module = pkg.web:app", "pkg.web:app", "pkg"),
            ("wsgi-file = app.py\ncallable = app", "app:app", "app.py"),
            ("pythonpath = src\nmodule = inner\ncallable = app", "inner:app",
             "inner")):
        for line in ("uwsgi my.ini", "uwsgi --ini my.ini",
                     "uwsgi --ini=my.ini"):
            equal(ready(web(line, **{"my.ini": ini % text}), entry,
                        said + " (in my.ini)"), name)
    message = outcome(web("uwsgi --env FOUR=4 my.ini", **{
        "envs.py": ENVS, "my.ini": """\ufeff# uWSGI
[uwsgi]
env = ONE=1
; and
env=TWO=%d$(LANG)
env = THREE=a=b
wsgi-file = %denvs.py
callable = app
"""}))
    equal(message["who"].replace(os.path.realpath(message["directory"]), "."),
          "1 ./C.UTF-8 a=b 4")
    for line, words, more in (
            ("uwsgi --http :80", "neither it nor an .ini file names a module",
             {}),
            ("uwsgi my.ini", "neither it nor my.ini names a module",
             {"my.ini": ini % ""}),
            ("uwsgi my.xml", "my.xml, which mamayo does not read", {})):
        failed("callable", [words], web(line, **more))
    for line, words, more in (
            ("uwsgi my.ini", "there is no such file", {}),
            ("uwsgi my.ini", "my.ini for uwsgi, but it has no section [uwsgi]",
             {"my.ini": "x\n[other]\ny = z\n"}),
            ("uwsgi --wsgi-file nix.py", "there is no such file", {}),
            ("uwsgi --file app.py", "app.py has no application; it has app",
             {})):
        failed("entry", [words], web(line, **more))


@test("Procfile: what it sets is set, unless mamayo.json has said otherwise")
def _():
    files = web("ONE=1 env TWO=2 gunicorn -e THREE=3 --env FOUR=4 envs:app",
                **{"envs.py": ENVS})
    message = outcome(files)
    equal((message["who"], message["entry"], message["why"]),
          ("1 2 3 4", "envs:app", "Procfile names it for gunicorn"))
    equal(outcome(files, env={"TWO": "x"})["who"], "1 x 3 4")


@test("Procfile: gunicorn.conf.py may name it, and PasteDeploy's file is"
      " taken")
def _():
    equal(ready(web("gunicorn", **{
        "gunicorn.conf.py": "bind = 'x'\nwsgi_app = 'pkg.web:app'\n"}),
        "pkg.web:app", "Procfile names it for gunicorn"), "pkg")
    equal(ready(web("gunicorn -c cfg/g.py", **{
        "cfg/g.py": "wsgi_app = \"pkg.web:app\"\n"}), "pkg.web:app",
        "Procfile names it for gunicorn"), "pkg")
    failed("callable", ["Procfile starts gunicorn", "names no module"],
           web("gunicorn -w 4"))
    failed("entry", ["Procfile names nix.ini for gunicorn, but there is no "
                     "such file"], web("gunicorn --paste nix.ini"))


@test("Procfile: a target that is not there, and what is")
def _():
    for line, words in (
            ("gunicorn nix:app", "Procfile names nix:app for gunicorn, but "
             "there is no module nix in "),
            ("gunicorn site_of_mien:app", "did you mean site_of_mine?"),
            ("gunicorn site_of_mine:nix", "site_of_mine has no nix; it has"),
            ("gunicorn site_of_mine.py:app", 'named like this: "site_of_mine:'
             'app"'),
            ("gunicorn 'site_of_mine:make(os.environ)'", "plain values only"),
            ("gunicorn 'site_of_mine:make(('", "plain values only"),
            ("gunicorn 'site_of_mine:make()(1)'", "plain values only")):
        failed("entry", [words], web(line))
    failed("callable", ["cannot be called with these arguments"],
           web("gunicorn 'site_of_mine:make(nix=1)'"))
    failed("callable", ["main:app is an ASGI application (async def)"],
           web("uvicorn main:app --host 0.0.0.0", **{
               "main.py": "async def app(scope, receive, send):\n    pass\n"}))
    failed("callable", ["main:make() is an ASGI application"],
           web("uvicorn --factory main:make", **{
               "main.py": "async def app(scope, receive, send):\n    pass\n"
                          "def make():\n    return app\n"}))


@test("Procfile: nonsense is passed over if something else is there, else it"
      " is explained")
def _():
    for text, words in (
            ("", 'there is no line "web: COMMAND"'),
            ("worker: x\nrelease: y\n", 'there is no line "web: COMMAND"'),
            ("web:\n", 'the line "web:" is empty'),
            ("web: gunicorn 'x\n", "the quotes in \"web: gunicorn 'x\" do not "
             "match"),
            ("web: python app.py\n", '"web: python app.py" names no server '
             'whose target mamayo knows ' + SERVERS),
            ("web: node index.js && echo gunicorn.txt\n", "names no server"),
            ("web: " + "x" * 60000 + "\n", "xxx... names no server".replace(
                "...", "...\"")),
            (b"\x00\xff\x01", 'is something else than lines'),
            (b"web: \xff\x1b[2J\n", "names no server"),
            ("x: " + "y" * 70000, 'is something else than lines'),
            ("gunicorn a:b\n", 'there is no line "web: COMMAND"')):
        files = {"Procfile": text}
        message = failed("callable", ["in Procfile ", words], files)
        assert "\x1b" not in message["text"], message
        assert len(message["text"]) < 1000, message
        files["app.py"] = who("app", "app.py")
        message = outcome(files)
        equal((message["type"], message["who"]), ("ready", "app.py"))
        assert message["why"].startswith(
            "app.py defines app; in Procfile "), message
    equal(ready({"Procfile/x": "", "app.py": who("app", "1")}, "app:app",
                "app.py defines app"), "1")
    equal(ready({"Procfile": "\ufeffweb : gunicorn pkg.web:app\r\n",
                 "pkg/web.py": who("app", "2")}, "pkg.web:app",
                "Procfile names it for gunicorn"), "2")


@test("whatever is in a Procfile, an error of ours is not what comes of it")
def _():
    a = App({"x.ini": "[uwsgi]\nmodule = a:b\nenv = A=b\nenv = =\nenv\n= x\n"
                      "mount = \nwsgi-file=\nchdir=\n[x\n"}, workers=0)
    made = subprocess.run([PYTHON, "-c", """
import os, random, sys
sys.path.insert(0, sys.argv[1])
import mamayo_detect, mamayo_procfile as procfile
class Nowhere:
    load = staticmethod(lambda ini, why: (None, ini, why))
procfile.ours = lambda name: Nowhere
procfile.by_entry = lambda entry, said: (None, entry, said)
procfile.of_file = lambda file, name, said, why: (None, file, why)
words = sys.argv[2].split("~")
path, environ = list(sys.path), dict(os.environ)
count = 0
for seed in range(6000):
    chance = random.Random(seed)
    line = " ".join(chance.choice(words) for _ in range(chance.randrange(8)))
    with open("Procfile", "w") as file:
        file.write("web: " + line)
    try:
        count += procfile.find([]) is not None
    except mamayo_detect.Failed:
        pass
    except Exception as error:
        sys.exit("%r: %r" % (line, error))
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environ)
print(count)
""", ADAPTERS, "~".join((
        "gunicorn uwsgi uvicorn hypercorn waitress-serve python gunicorn3 "
        "uwsgi_python3 env exec -m -w -w4 --chdir --chdir=d --env --env= "
        "--env==x -e A= = A=b a:b a a:b() ' \" \\ && ; x; ;; | -- - --= --=x "
        "--call --factory x.ini --ini --ini= --ini=x.ini --paste --paste= "
        "--wsgi-file --wsgi-file= --mount --mount= --mount=/=a --module -w= "
        "-c --config file: --callable \x1b \u00e9 $PORT -b 0.0.0.0:80 --pp "
        "--pythonpath=, wsgi: asgi:a :app :: a: / ..").split())],
        cwd=a.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"})
    equal(made.stderr, b"")
    equal(int(made.stdout) > 100, True, made.stdout.decode())
    a.queue.close()


# Objects of frameworks

FAKES = {
    "flask/__init__.py": "from flask.app import Flask\n",
    "flask/app.py": "from kit import *\nclass Flask:\n"
    "    def __call__(self, environ, start_response):\n"
    "        return reply(start_response, [type(self).__name__])\n",
}


@test("a single object of a framework, whatever its name")
def _():
    for package, kind in (("flask.app", "Flask"), ("bottle", "Bottle"),
                          ("falcon.app", "App"), ("falcon.api", "API"),
                          ("pyramid.router", "Router")):
        top = package.partition(".")[0]
        text = FAKES["flask/app.py"].replace("Flask", kind)
        if "." in package:
            files = {top + "/__init__.py": "",
                     package.replace(".", "/") + ".py": text}
        else:
            files = {package + ".py": text}
        why = "main.py defines hello, of %s.%s" % (top, kind)
        files["main.py"] = "from %s import %s\nhello = %s()\n" % (
            package, kind, kind)
        equal(ready(files, "main:hello", why), kind)
        files["main.py"] += "other = hello\nhello.name = 'x'\n"
        equal(ready(files, "main:hello", why), kind)
        files["main.py"] += "class Mine(%s):\n    pass\n" % kind
        equal(ready(files, "main:hello", why), kind)
        files["main.py"] = files["main.py"].replace("hello", "_site")
        equal(ready(files, "main:_site", why.replace("hello", "_site")), kind)
    files = dict(FAKES, **{"app.py": """
from flask import Flask
class Mine(Flask):
    pass
mine = Mine()
"""})
    equal(ready(files, "app:mine", "app.py defines mine, of flask.Flask"),
          "Mine")
    files["app.py"] += "second = Flask()\n"
    failed("callable", ["app.py does not define app, application, create_app()"
                        " or make_app() but mine, second: if that is meant, "
                        'add "application = mine" to app.py'], files)
    files["app.py"] += "def create_app():\n    return second\n"
    equal(ready(files, "app:create_app()", "app.py defines create_app()"),
          "Flask")


@test("Bottle's default application, if the module has added to it")
def _():
    bottle = """
from kit import *
class Route:
    def __init__(self, callback):
        self.callback = callback
class Bottle:
    routes = []
    def __call__(self, environ, start_response):
        return reply(start_response, ["default"])
the_app = Bottle()
def default_app():
    return the_app
def route(path):
    def add(function):
        the_app.routes.append(Route(function))
        return function
    return add
"""
    equal(ready({"bottle.py": bottle, "app.py": """
from bottle import route
@route("/")
def index():
    return "x"
"""}, "bottle:default_app()", "app.py adds to Bottle's default application"),
          "default")
    failed("callable", ["app.py does not define app"],
           {"bottle.py": bottle, "app.py": "from bottle import route\n"})


@test("Flask and Bottle themselves, with run() at the end as in tutorials: it"
      " does not hang")
def _():
    for module in ("flask", "bottle"):
        if subprocess.call([PYTHON, "-c", "import " + module],
                           stderr=subprocess.DEVNULL):
            raise Skip("python3-%s is not installed" % module)
    equal(ready({"app.py": """
from flask import Flask, jsonify
import os
app = Flask(__name__)
@app.route("/")
def hello():
    return jsonify(["flask", os.environ.get("FLASK_RUN_FROM_CLI")])
app.run(host="127.0.0.1", port=1, debug=True)
"""}, "app:app", "app.py defines app"), "flask")
    equal(ready({"main.py": """
from bottle import route, run
import json
@route("/")
def hello():
    return json.dumps(["bottle"])
run(host="127.0.0.1", port=1)
"""}, "bottle:default_app()", "main.py adds to Bottle's default application"),
          "bottle")
    failed("module", ["there is no module bottle"], {
        "app.py": "import bottle\n"}, flags=("-S",))


@test("an object of an ASGI framework is recognised, and explained")
def _():
    for package, kind in (("fastapi", "FastAPI"), ("quart", "Quart"),
                          ("starlette", "Starlette")):
        failed("callable", ["main:site is an ASGI application (%s.%s)" % (
            package, kind), "a2wsgi"], {
                package + ".py": "class %s:\n    async def __call__(self, "
                "scope, receive, send):\n        pass\n" % kind,
                "main.py": "from %s import %s\nsite = %s()\n" % (
                    package, kind, kind)})


# Django

DJANGO = {
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
    "django/core/wsgi.py": """
from kit import *
def get_wsgi_application():
    return lambda e, s: reply(s, [os.environ["DJANGO_SETTINGS_MODULE"]])
""",
}
MANAGE = """
import os, sys
if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "%s")
    from django.core.management import execute_from_command_line
"""
WSGI = """
import os
%s
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


def project(manage, more):
    return dict(DJANGO, **dict(more, **{"manage.py": manage}))


@test("Django: what wsgi.py sets counts more than what manage.py sets")
def _():
    files = project(MANAGE % "config.settings.local", {
        "config/__init__.py": "", "config/settings/__init__.py": "",
        "config/settings/base.py": "X = 1\n",
        "config/settings/local.py": "DEBUG = True\n",
        "config/settings/production.py":
            "WSGI_APPLICATION = 'config.wsgi.application'\n",
        "config/wsgi.py": WSGI % 'os.environ.setdefault('
        '"DJANGO_SETTINGS_MODULE", "config.settings.production")'})
    equal(ready(files, "config.wsgi:application",
                "config/wsgi.py names config.settings.production, and that "
                "WSGI_APPLICATION"), "config.settings.production")
    equal(ready(files, "config.wsgi:application", "DJANGO_SETTINGS_MODULE is "
                "config.settings.local",
                env={"DJANGO_SETTINGS_MODULE": "config.settings.local"}),
          "config.settings.local")


@test("Django: split settings, of which one is for serving")
def _():
    files = project(MANAGE % "site_x.settings", {
        "site_x/settings/__init__.py": "# nothing here\n",
        "site_x/settings/base.py": "X = 1\n",
        "site_x/settings/prod.py": "from .base import *\n"})
    entry = "django.core.wsgi:get_wsgi_application()"
    equal(ready(files, entry, "manage.py names site_x.settings, and of what is"
                " in it prod is for serving"), "site_x.settings.prod")
    del files["site_x/settings/prod.py"]
    files["site_x/settings/dev.py"] = ""
    failed("callable", [
        "manage.py names site_x.settings, which is a package without settings"
        " of its own; it has base, dev: say in mamayo.json which to use, "
        '{"env": {"DJANGO_SETTINGS_MODULE": "site_x.settings.base"}}'], files)
    for text in ("from .base import *\n", "import os\n", "DEBUG = False\n"):
        files["site_x/settings/__init__.py"] = text
        equal(ready(files, entry, "manage.py names site_x.settings"),
              "site_x.settings")


@test("Django: old projects, with settings.py beside manage.py")
def _():
    entry = "django.core.wsgi:get_wsgi_application()"
    for manage in (MANAGE % "settings", """
from django.core.management import execute_manager
import settings
if __name__ == "__main__":
    execute_manager(settings)
"""):
        equal(ready(project(manage, {"settings.py": "X = 1\n"}), entry,
                    "manage.py names settings"), "settings")
    equal(ready(project(MANAGE % "settings.prod", {
        "settings/prod.py": "", "settings/__init__.py": ""}), entry,
        "manage.py names settings.prod"), "settings.prod")


@test("Django: a manage.py that chooses, or says nothing that one could see")
def _():
    entry = "django.core.wsgi:get_wsgi_application()"
    manage = """
import os, sys
if "test" in sys.argv:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.test"
else:
    os.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.real'
from django.core.management import execute_from_command_line
"""
    equal(ready(project(manage, {"mysite/real.py": "", "mysite/test.py": ""}),
                entry, "manage.py names mysite.real"), "mysite.real")
    equal(ready(project(
        "import django\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', "
        "default='mysite.real')\n", {"mysite/real.py": ""}), entry,
        "manage.py names mysite.real"), "mysite.real")
    manage = "import django, helpers\nhelpers.go()\n"
    equal(ready(project(manage, {"mysite/settings.py": ""}), entry,
                "manage.py is Django's, and mysite.settings the only settings "
                "module"), "mysite.settings")
    failed("callable", ["manage.py does not define DJANGO_SETTINGS_MODULE"],
           project(manage, {"a/settings.py": "", "b/settings.py": ""}))


# PasteDeploy

PASTE = {
    "paste/__init__.py": "",
    "paste/deploy.py": """
import sys
from kit import *
def loadapp(uri, name=None):
    if "egg:" in open(uri[len("config:"):]).read():
        raise LookupError("No distribution\\nfor it")
    import logging
    return lambda e, s: reply(s, [
        name or "main", logging.getLogger("mine").level])
""",
}
INI = "[app:main]\nuse = call:site_x:main\n"


@test("production.ini and development.ini, as pserve reads them")
def _():
    for name in ("production.ini", "development.ini"):
        why = name + " is there, for PasteDeploy"
        equal(ready(dict(PASTE, **{name: INI}), name + ":main", why), "main")
        equal(ready(dict(PASTE, **{name: INI.replace("app:", "pipeline:")}),
                    name + ":main", why), "main")
        files = dict(PASTE, **{name: INI.replace("main]", "other]")})
        failed("callable", [why + ", but there is no section [app:main]"],
               files)
        equal(ready(dict(files, Procfile="web: gunicorn --paste %s#other" %
                         name), name + ":other", "Procfile names %s#other for "
                    "gunicorn" % name), "other")
    equal(ready(dict(PASTE, Procfile="web: uwsgi --ini-paste=production.ini",
                     **{"production.ini": INI}), "production.ini:main",
                "Procfile names production.ini for uwsgi"), "main")
    both = dict(PASTE, **{"production.ini": INI, "development.ini": INI})
    equal(ready(both, "production.ini:main",
                "production.ini is there, for PasteDeploy"), "main")


@test("the logging that an .ini file describes")
def _():
    equal(outcome(dict(PASTE, **{"production.ini": INI + """
[loggers]
keys = root, mine
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARN
handlers = console
[logger_mine]
level = ERROR
handlers =
qualname = mine
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = %(message)s
"""}))["type"], "ready")


@test("no PasteDeploy, and an egg that is not installed: what to install")
def _():
    bare = {"python": PYTHON, "flags": ("-S",)}
    message = failed("module", ["there is no PasteDeploy to read it; to "
                                "install it: ", "install PasteDeploy"],
                     {"production.ini": INI, "wsgi_harness.py": ""}, **bare)
    egg = {"production.ini": "[app:main]\nuse = egg:mine_x\n"}
    message = failed("module", [
        "No distribution for it; egg:mine_x is a package that must be "
        "installed: ", "/bin/pip install mine_x"], dict(PASTE, **egg))
    message = failed("module", [], dict(PASTE, **dict(egg, **{
        "setup.py": "", "requirements.txt": ""})))
    assert message["text"].endswith("/bin/pip install -e " + os.path.realpath(
        message["directory"])), message


# Virtual environments


def environment(place, version):
    """One that was made with that version."""
    os.makedirs(os.path.join(place, "bin"))
    os.makedirs(os.path.join(place, "lib", "python" + version,
                             "site-packages"))
    os.symlink(os.path.realpath(PYTHON), os.path.join(place, "bin", "python"))
    with open(os.path.join(place, "pyvenv.cfg"), "w") as file:
        file.write("home = %s\nversion = %s.1\n" % (
            os.path.dirname(os.path.realpath(PYTHON)), version))


@test("a virtual environment that was made with another Python")
def _():
    a = App({"wsgi.py": "import flask_of_mine\n"}, workers=0)
    place = os.path.join(os.path.realpath(a.directory), "my env")
    environment(place, "3.5")
    mine = "%d.%d" % tuple(json.loads(subprocess.check_output(
        [PYTHON, "-c", "import sys; print(list(sys.version_info[:2]))"])))
    a.start(python=os.path.join(place, "bin", "python"))
    text = a.worker.hear()["text"]
    equal(a.worker.wait(), 3)
    assert "its virtual environment was made with Python 3.5, and that is " \
        "Python %s now: make it again with " % mine in text, text
    assert "-m venv --clear '%s'" % place in text, text
    a.start()
    text = a.workers[1].hear()["text"]
    equal(a.workers[1].wait(), 3)
    assert 'perhaps it is in the virtual environment my env: write {"python":'\
        ' "my env"} into mamayo.json' in text, text
    a.queue.close()


# Changes


@test("a Procfile, a manage.py and an .ini file are what it is made of")
def _():
    for files, expected in (
            (web("gunicorn pkg.web:app"), "Procfile"),
            (web("uwsgi my.ini", **{"my.ini": "[uwsgi]\nmodule=pkg.web:app"}),
             "my.ini"),
            (dict(PASTE, **{"production.ini": INI}), "production.ini"),
            (project(MANAGE % "settings", {"settings.py": ""}), "manage.py"),
            ({"Procfile": "web: x"}, "Procfile"),
            ({"production.ini": ""}, "production.ini")):
        message = outcome(files)
        assert expected in message["files"].split(":"), message


run()
