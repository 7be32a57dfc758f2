"""Real applications, each put into apps/ as its own documentation says, with
nothing of ours beside it, and served below its name by lighttpd.

A test says which words of which documentation it follows. What is not from
there is only what every user has to fill in: paths, names and secrets.
"""
import html
import http.cookies
import json
import os
import re
import shutil
import subprocess
import urllib.parse

from harness import PROGRAM, Skip, cleanup, equal, run, test
from mamayo import Mamayo
from servers import Lighttpd

PYTHON = "/usr/bin/python3"  # which Debian's packages are for
DOC = "/usr/share/doc"

m = Mamayo(timeout=60, start_timeout=60, python=PYTHON)
server = Lighttpd(m)


@cleanup
def stop():
    server.stop()


def need(module, package):
    if subprocess.call([PYTHON, "-c", "import " + module], cwd="/",
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        raise Skip("%s is not installed" % package)


def documented(path):
    """A file that a package has as an example."""
    if not os.path.exists(path):
        raise Skip("%s is not installed" % path)
    with open(path) as f:
        return f.read()


def put(name, text):
    """A file of an application."""
    return m.write("apps/" + name, text)


def put_all(files):
    for name, text in files.items():
        put(name, text)


def command(*argv, **how):
    """A command that the documentation wants to be run, as its user."""
    name = how.pop("name", None)
    process = m.popen(list(argv), cwd=how.pop("cwd", None) or m.path(
        "apps", *([name] if name else [])), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, **how)
    out = process.communicate(timeout=120)[0].decode()
    m.others.remove(process)
    equal(process.returncode, 0, out)
    return out


def found(name, entry, framework):
    """What mamayo check says of it."""
    said = command(os.path.abspath(PROGRAM), "check", "--json", name,
                   name=name)
    app, = json.loads(said)["apps"]
    equal(app["error"], None, said)
    equal((app["entry"], app["framework"]), (entry, framework))
    return app


class Visitor:
    """A browser, as far as that: cookies, forms, redirects."""

    def __init__(self):
        if server.process is None:
            server.start()
        self.cookies = http.cookies.SimpleCookie()

    def ask(self, path, status=200, method="GET", body=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        headers.setdefault("Host", "127.0.0.1:%d" % server.port)
        if self.cookies:
            headers["Cookie"] = "; ".join(
                "%s=%s" % (c.key, c.value) for c in self.cookies.values())
        got = server.get(path, method, body, headers)
        for line in got.headers.get_all("Set-Cookie") or ():
            self.cookies.load(line)
        if status is not None:
            equal(got.status, status, "%s: %r\n%s" % (
                path, got, m.log(path.split("/")[1])[-2000:]))
        got.text = got.body.decode("utf-8", "replace")
        return got

    def send(self, path, fields, status=200, **headers):
        return self.ask(
            path, status, "POST", urllib.parse.urlencode(fields),
            Content_Type="application/x-www-form-urlencoded", **headers)

    def links(self, got, below, *others):
        """Those of a page to this site: all are below that prefix."""
        links = [html.unescape(a) for a in re.findall(
            r"""(?:href|src|action)=["'](/[^"']*)["']""", got.text)]
        wrong = [a for a in links if not (a + "/").startswith(below + "/")
                 and not a.startswith("//") and a not in others]
        equal(wrong, [])
        return links


def version_of(app):
    return "%s %s" % (app["framework"], app["framework_version"])


@test("Flask, by its quickstart (app.py) and by its page on gunicorn (hello.py,"
      " a factory)")
def _():
    need("flask", "python3-flask")
    put("quick/app.py", """\
from flask import Flask, redirect, request, session, url_for

app = Flask(__name__)
app.secret_key = b'_5#y2L"F4Q8z\\n\\xec]/'

@app.route('/')
def index():
    if 'username' in session:
        return f'Logged in as {session["username"]}'
    return 'You are not logged in'

@app.route('/login', methods=['GET', 'POST'])
def login():
    if request.method == 'POST':
        session['username'] = request.form['username']
        return redirect(url_for('index'))
    return '''
        <form method="post">
            <p><input type=text name=username>
            <p><input type=submit value=Login>
        </form>
    '''

with app.test_request_context():
    print(url_for('index'))
""")
    put("quick/static/style.css", "p { color: green }\n")
    found("quick", "app:app", "Flask")
    v = Visitor()
    equal(v.ask("/quick/").text, "You are not logged in")
    got = v.send("/quick/login", {"username": "Zo\u00eb"}, 302)
    equal(got.header("Location"), "/quick/")
    equal(v.ask("/quick/").text, "Logged in as Zo\u00eb")
    equal(v.ask("/quick/static/style.css").text, "p { color: green }\n")
    v.ask("/quick/nothing", 404)
    put_all({"hello/hello.py": """\
from flask import Flask, url_for

def create_app():
    app = Flask(__name__)

    @app.route('/user/<name>')
    def user(name):
        return f'<a href="{url_for("user", name=name)}">{name}</a>'
    return app
""", "hello/Procfile": "web: gunicorn -w 4 'hello:create_app()'\n"})
    app = found("hello", "hello:create_app()", "Flask")
    equal(v.ask("/hello/user/a%20b").text,
          '<a href="/hello/user/a%20b">a b</a>')
    return version_of(app)


@test("Django: django-admin startproject, migrate, createsuperuser, the admin")
def _():
    need("django", "python3-django")
    os.makedirs(m.path("apps/mysite"))
    command(PYTHON, "-m", "django", "startproject", "mysite", ".",
            name="mysite")
    settings = m.path("apps/mysite/mysite/settings.py")
    with open(settings, "a") as f:
        # "How to deploy static files", and of STATIC_URL: "if it is a
        # relative path, it will be prefixed by SCRIPT_NAME"
        f.write("STATIC_URL = 'static/'\n"
                "STATIC_ROOT = BASE_DIR / 'public' / 'static'\n")
    manage = [PYTHON, "manage.py"]
    command(*manage + ["migrate"], name="mysite")
    command(*manage + ["collectstatic", "--noinput"], name="mysite")
    command(*manage + ["createsuperuser", "--noinput"], name="mysite", env={
        "DJANGO_SUPERUSER_USERNAME": "admin",
        "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
        "DJANGO_SUPERUSER_PASSWORD": "correct horse"})
    app = found("mysite", "mysite.wsgi:application", "Django")
    v = Visitor()
    # its welcome page it has only at "/", whatever the server
    assert "admin/" in v.ask("/mysite/", 404).text
    got = v.ask("/mysite/admin/", 302)
    equal(got.header("Location"), "/mysite/admin/login/?next=/mysite/admin/")
    got = v.ask(got.header("Location"))
    links = v.links(got, "/mysite")
    styles = [a for a in links if a.endswith(".css")]
    assert styles, got.text
    for style in styles:
        equal(v.ask(style).header("Content-Type").partition(";")[0],
              "text/css")
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"',
                      got.text).group(1)
    got = v.send("/mysite/admin/login/", {
        "csrfmiddlewaretoken": token, "username": "admin",
        "password": "correct horse", "next": "/mysite/admin/"}, 302)
    equal(got.header("Location"), "/mysite/admin/")
    got = v.ask("/mysite/admin/")
    assert "Site administration" in got.text, got
    assert "/mysite/admin/auth/user/" in v.links(got, "/mysite")
    got = v.ask("/mysite/admin/auth/user/")
    assert "admin@example.com" in got.text, got
    return version_of(app)


@test("Bottle, by its page on deployment (app.wsgi)")
def _():
    need("bottle", "python3-bottle")
    put_all({"bottled/app.wsgi": """\
import os
# Change working directory so relative paths (and template lookup) work again
os.chdir(os.path.dirname(__file__))

import bottle
# ... build or import your bottle application here ...
from pages import *
# Do NOT use bottle.run() with mod_wsgi
application = bottle.default_app()
""", "bottled/pages.py": """\
from bottle import redirect, request, route, static_file, template

@route('/hello/<name>')
def hello(name='Stranger'):
    return template('page', name=name, url=request.url)

@route('/old')
def old():
    redirect('hello/new')

@route('/static/<filename>')
def server_static(filename):
    return static_file(filename, root='static')

@route('/upload', method='POST')
def upload():
    return request.files.get('data').file.read()
""", "bottled/views/page.tpl": "Hello {{name}}, this is {{url}}",
             "bottled/static/x.txt": "text\n"})
    app = found_missing_root("bottled", "app.wsgi:application", "Bottle")
    v = Visitor()
    equal(v.ask("/bottled/hello/W%C3%B6rld").text, "Hello W\u00f6rld, this is "
          "http://127.0.0.1:%d/bottled/hello/W%%C3%%B6rld" % server.port)
    got = v.ask("/bottled/old", 303)
    equal(got.header("Location"),
          "http://127.0.0.1:%d/bottled/hello/new" % server.port)
    got = v.ask("/bottled/static/x.txt")
    equal((got.text, got.header("Content-Length")), ("text\n", "5"))
    got = v.ask("/bottled/upload", 200, "POST", "\r\n".join([
        "--B", 'Content-Disposition: form-data; name="data"; filename="f"', "",
        "x" * 100000, "--B--", ""]), Content_Type="multipart/form-data;"
        " boundary=B")
    equal(got.text, "x" * 100000)
    return version_of(app)


def found_missing_root(name, entry, framework):
    """One whose first page is not found, which is its own affair."""
    app = found(name, entry, framework)
    equal(app["status"], 404)
    return app


@test("Falcon, by its tutorial (gunicorn look.app)")
def _():
    need("falcon", "python3-falcon")
    put_all({"look/look/__init__.py": "", "look/look/app.py": """\
import falcon

from .images import Resource


app = application = falcon.App()

images = Resource()
app.add_route('/images', images)
""", "look/look/images.py": """\
import json
import falcon


class Resource:

    def on_get(self, req, resp):
        doc = {
            'images': [
                {
                    'href': req.prefix + '/images/1eaf6ef1-7f2d-4ecc-a8d5.png'
                }
            ]
        }
        # Create a JSON representation of the resource
        resp.text = json.dumps(doc, ensure_ascii=False)
        # The following line can be omitted because 200 is the default
        # status returned by the framework, but it is included here to
        # illustrate how this may be overridden as needed.
        resp.status = falcon.HTTP_200

    def on_post(self, req, resp):
        resp.media = {'length': len(req.bounded_stream.read())}
        resp.status = falcon.HTTP_201
""", "look/Procfile": "web: gunicorn --reload look.app\n"})
    app = found_missing_root("look", "look.app:application", "Falcon")
    v = Visitor()
    got = v.ask("/look/images")
    equal(json.loads(got.text)["images"][0]["href"],
          "http://127.0.0.1:%d/look/images/1eaf6ef1-7f2d-4ecc-a8d5.png"
          % server.port)
    got = v.ask("/look/images", 201, "POST", "x" * 70000)
    equal(json.loads(got.text), {"length": 70000})
    v.ask("/look/nothing", 404)
    return version_of(app)


@test("Pyramid, by its quick tutorial (development.ini, egg:tutorial)")
def _():
    need("pyramid", "python3-pyramid")
    need("paste.deploy", "python3-pastedeploy")
    need("setuptools", "python3-setuptools")
    put_all({"tutorial/setup.py": """\
from setuptools import setup

# List of dependencies installed via `pip install -e .`
# by virtue of the Setuptools `install_requires` value below.
requires = [
    'pyramid',
]

setup(
    name='tutorial',
    install_requires=requires,
    entry_points={
        'paste.app_factory': [
            'main = tutorial:main'
        ],
    },
)
""", "tutorial/development.ini": """\
[app:main]
use = egg:tutorial
pyramid.reload_templates = true

[server:main]
use = egg:waitress#main
listen = localhost:6543
""", "tutorial/tutorial/__init__.py": """\
from pyramid.config import Configurator


def main(global_config, **settings):
    config = Configurator(settings=settings)
    config.add_route('home', '/')
    config.add_route('hello', '/howdy')
    config.scan('.views')
    return config.make_wsgi_app()
""", "tutorial/tutorial/views.py": """\
from pyramid.response import Response
from pyramid.view import view_config


# First view, available at http://localhost:6543/
@view_config(route_name='home')
def home(request):
    return Response('<body>Visit <a href="%s">hello</a></body>'
                    % request.route_path('hello'))


# /howdy
@view_config(route_name='hello')
def hello(request):
    return Response('<body>Go back <a href="/">home</a></body>'.replace(
        '/"', request.route_path('home') + '"'))
"""})
    # of `pip install -e .` what needs no network: it makes the egg known
    command(PYTHON, "setup.py", "-q", "egg_info", name="tutorial")
    app = found("tutorial", "development.ini:main", "Pyramid")
    v = Visitor()
    got = v.ask("/tutorial/")
    equal(v.links(got, "/tutorial"), ["/tutorial/howdy"])
    got = v.ask("/tutorial/howdy")
    equal(v.links(got, "/tutorial"), ["/tutorial/"])
    v.ask("/tutorial/nothing", 404)
    return version_of(app)


@test("httpbin, by its Dockerfile (gunicorn httpbin:app)")
def _():
    need("httpbin", "python3-httpbin")
    put("httpbin/Procfile",
        "web: gunicorn -b 0.0.0.0:80 httpbin:app -k gevent\n")
    app = found("httpbin", "httpbin:app", "Flask")
    equal(app["why"], "Procfile names it for gunicorn; its -b, -k are ignored")
    v = Visitor()
    got = json.loads(v.ask("/httpbin/get?a=1&b=%2F", X_Thing="y").text)
    equal((got["args"], got["headers"]["X-Thing"], got["url"]), (
        {"a": "1", "b": "/"}, "y",
        "http://127.0.0.1:%d/httpbin/get?a=1&b=%%2F" % server.port))
    got = json.loads(v.ask("/httpbin/post", 200, "POST", "x" * 200000).text)
    equal(got["data"], "x" * 200000)
    got = v.ask("/httpbin/redirect/2", 302)
    equal(got.header("Location"), "/httpbin/relative-redirect/1")
    equal(len(v.ask("/httpbin/bytes/12345").body), 12345)
    got = v.ask("/httpbin/stream/7")
    equal([json.loads(line)["id"] for line in got.text.splitlines()],
          list(range(7)))
    v.ask("/httpbin/cookies/set?k=v", 302)
    equal(json.loads(v.ask("/httpbin/cookies").text), {"cookies": {"k": "v"}})
    v.ask("/httpbin/basic-auth/u/p", 401)
    v.ask("/httpbin/basic-auth/u/p", 200, Authorization="Basic dTpw")
    equal(v.ask("/httpbin/status/418", 418).status, 418)
    equal(v.ask("/httpbin/image/png").body[:4], b"\x89PNG")
    equal(v.ask("/httpbin/range/100", 206, Range="bytes=10-19").text,
          "klmnopqrst")
    v.links(v.ask("/httpbin/forms/post"), "/httpbin")
    return version_of(app)


EVENT = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//test//EN
BEGIN:VEVENT
UID:one@example.com
DTSTAMP:20260101T000000Z
DTSTART:20260102T100000Z
DTEND:20260102T110000Z
SUMMARY:a meeting
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")
QUERY = """<?xml version="1.0"?>
<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<D:prop><D:getetag/><C:calendar-data/></D:prop>
<C:filter><C:comp-filter name="VCALENDAR"/></C:filter>
</C:calendar-query>"""


def calendar(v, place, **headers):
    """An event is put into a calendar, is found there, and goes."""
    got = v.ask(place + "one.ics", 201, "PUT", EVENT,
                Content_Type="text/calendar", **headers)
    got = v.ask(place + "one.ics", **headers)
    assert "SUMMARY:a meeting" in got.text, got
    got = v.ask(place, 207, "REPORT", QUERY, Depth="1",
                Content_Type="application/xml", **headers)
    assert place + "one.ics" in got.text, got.text
    assert "a meeting" in got.text, got.text
    got = v.ask(place, 207, "PROPFIND", "", Depth="1", **headers)
    paths = re.findall(r"<(?:\w+:)?href>(/[^<]*)<", got.text)
    assert place + "one.ics" in paths, got.text
    root = "/".join(place.split("/")[:2]) + "/"
    equal([path for path in paths if not path.startswith(root)], [])
    equal(v.ask(place + "one.ics", None, "DELETE", **headers).status in (
        200, 204), True)
    v.ask(place + "one.ics", 404, **headers)


@test("radicale, by its documentation (gunicorn --env RADICALE_CONFIG=... "
      "radicale)")
def _():
    need("radicale", "python3-radicale")
    os.makedirs(m.path("apps/dav"))
    put("dav/config", "[auth]\ntype = htpasswd\nhtpasswd_filename = %s\n"
        "htpasswd_encryption = plain\n[storage]\nfilesystem_folder = %s\n" % (
            m.path("apps/dav/users"), m.path("collections")))
    put("dav/users", "alice:secret\n")
    put("dav/Procfile", "web: gunicorn --bind '127.0.0.1:5232' --env "
        "'RADICALE_CONFIG=%s' --workers 8 radicale\n" % m.path(
            "apps/dav/config"))
    app = found("dav", "radicale:application", "Radicale")
    v = Visitor()
    got = v.ask("/dav/", 302)
    equal(urllib.parse.urljoin("/dav/", got.header("Location")), "/dav/.web")
    got = v.ask("/dav/.web/", 200)
    assert "Radicale" in got.text, got
    v.ask("/dav/alice/", 401, "PROPFIND")
    alice = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}
    v.ask("/dav/alice/diary/", 201, "MKCALENDAR", **alice)
    calendar(v, "/dav/alice/diary/", **alice)
    return version_of(app)


@test("xandikos, by its example for uWSGI (uwsgi.ini)")
def _():
    need("xandikos", "xandikos")
    text = documented(DOC + "/xandikos/examples/uwsgi.ini")
    assert "=/var/lib/xandikos/collections\n" in text, text
    put("kandi/uwsgi.ini", text.replace(
        "/var/lib/xandikos/collections", m.path("xandikos")))
    put("kandi/Procfile", "web: uwsgi uwsgi.ini\n")
    app = found("kandi", "xandikos.wsgi:app", "Xandikos")
    v = Visitor()
    got = v.ask("/kandi/")
    assert "Xandikos" in got.text, got
    calendar(v, "/kandi/user/calendars/calendar/")
    return version_of(app)


@test("klaus, by its README (gunicorn --env KLAUS_REPOS=... "
      "klaus.contrib.wsgi)")
def _():
    need("klaus", "klaus")
    work = os.path.join(m.dir, "a place")
    os.makedirs(work)
    for name in "a", "b":
        command(PYTHON, "-c", """
import os, sys
from dulwich import porcelain
os.mkdir(sys.argv[1])
repo = porcelain.init(sys.argv[1])
with open(os.path.join(sys.argv[1], "README.md"), "w") as f:
    f.write("# read me\\n")
porcelain.add(repo, [os.path.join(sys.argv[1], "README.md")])
porcelain.commit(repo, b"the first commit", author=b"A <a@example.com>",
                 committer=b"A <a@example.com>")
""", os.path.join(m.dir, name), cwd=work)
    put("code/Procfile", """\
web: gunicorn --env KLAUS_SITE_NAME="Klaus Demo" \
--env KLAUS_REPOS="%s/a %s/b" klaus.contrib.wsgi
""" % (m.dir, m.dir))
    app = found("code", "klaus.contrib.wsgi:application", "Flask")
    v = Visitor()
    got = v.ask("/code/")
    assert "Klaus Demo" in got.text, got
    links = v.links(got, "/code")
    assert "/code/a/" in links and "/code/b/" in links, links
    got = v.ask("/code/a/")
    assert "read me" in got.text, got.text
    links = v.links(got, "/code")
    blob, = {a for a in links if a.endswith("/blob/master/README.md")}
    assert "read me" in v.ask(blob).text
    for link in links:
        if link.endswith((".css", ".js")) or "/static/" in link:
            v.ask(link)
    return version_of(app)


@test("Mercurial's hgweb, by its example (hgweb.wsgi)")
def _():
    need("mercurial", "mercurial")
    text = documented(DOC + "/mercurial-common/examples/hgweb.wsgi")
    repository = os.path.join(m.dir, "repo")
    os.makedirs(repository)
    with open(os.path.join(repository, "file.txt"), "w") as f:
        f.write("first line\n")
    hg = [shutil.which("hg", path="/usr/bin"), "--config",
          "ui.username=A <a@example.com>"]
    command(*hg + ["init"], cwd=repository)
    command(*hg + ["commit", "-A", "-m", "the first change"], cwd=repository)
    assert 'b"/path/to/repo/or/config"' in text, text
    put("hg/hgweb.wsgi", text.replace("/path/to/repo/or/config", repository))
    app = found("hg", "hgweb.wsgi:application", "Mercurial")
    v = Visitor()
    got = v.ask("/hg/")
    assert "the first change" in got.text, got
    links = v.links(got, "/hg", "/")  # "/" is above a repository, it thinks
    style = [link for link in links if link.endswith(".css")]
    assert style, links
    assert "body" in v.ask(style[0]).text
    assert "first line" in v.ask("/hg/file/tip/file.txt").text
    clone = os.path.join(m.dir, "clone")
    command(*hg + ["clone", server.url("/hg/"), clone], cwd=repository)
    with open(os.path.join(clone, "file.txt")) as f:
        equal(f.read(), "first line\n")
    return version_of(app)


@test("bepasty, by its examples (bepasty.wsgi, bepasty.conf)")
def _():
    need("bepasty", "bepasty")
    text = documented(DOC + "/bepasty/examples/bepasty.wsgi.example")
    conf = documented(DOC + "/bepasty/examples/bepasty.conf.example")
    storage = os.path.join(m.dir, "storage")
    os.mkdir(storage)
    for old, new in (
            ("SECRET_KEY = ''", "SECRET_KEY = 'very long, very random'"),
            ("'/srv/bepasty/storage'", repr(storage)),
            ("SESSION_COOKIE_SECURE = True", "SESSION_COOKIE_SECURE = False"),
            ("    # 'foo': 'admin,list,create,read,delete',",
             "    'foo': 'admin,list,create,read,delete',")):
        assert old in conf, old
        conf = conf.replace(old, new)
    put("paste/bepasty.conf", conf)
    assert "'/etc/bepasty.conf'" in text, text
    put("paste/bepasty.wsgi", text.replace(
        "/etc/bepasty.conf", m.path("apps/paste/bepasty.conf")))
    app = found("paste", "bepasty.wsgi:application", "Flask")
    v = Visitor()
    got = v.ask("/paste/")
    assert "bepasty" in got.text, got
    for link in v.links(got, "/paste"):
        if link.endswith((".css", ".js")):
            v.ask(link)
    got = v.send("/paste/+login", {"token": "foo"}, 302)
    equal(urllib.parse.urlsplit(got.header("Location")).path, "/paste/")
    got = v.send("/paste/+upload", {
        "text": "some text of mine", "contenttype": "text/plain",
        "filename": "note.txt", "maxlife-unit": "months",
        "maxlife-value": "1"}, 302)
    place = urllib.parse.urlsplit(got.header("Location")).path
    equal(place.startswith("/paste/"), True, place)
    assert "note.txt" in v.ask(place).text
    equal(v.ask(place.rstrip("/") + "/+download").text, "some text of mine")
    return version_of(app)


run()
