"""What must hold behind every web server: one table, run through each.

    through.tests("lighttpd", m, server)

m has been given no apps yet; server is not running yet. The first test starts
it, the last one stops it and sees everything of mamayo leave. What a web
server decides by itself comes as `pins`, a dict:

    encoded_slash   status of /blog/a%2Fb, or the PATH_INFO an app gets
    longest_body    the largest POST that it takes
    too_long        status of a larger one
    shows_cuts      True if the visitor can always tell when an answer without
                    a length breaks off; elsewhere it may look like a whole one
"""
import hashlib
import html
import http.client
import http.cookiejar
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import fcgi
import harness
from harness import Skip, equal, within
from mamayo import APPS, Mamayo, gone

MIB = 1 << 20

# path on the wire -> (SCRIPT_NAME, PATH_INFO) after the server's base
URLS = [
    ("/blog", "/blog", ""),
    ("/blog/", "/blog", "/"),
    ("/blog/path", "/blog", "/path"),
    ("/blog/path/", "/blog", "/path/"),
    ("/blog/a%20b", "/blog", "/a b"),
    ("/blog/a+b", "/blog", "/a+b"),
    ("/blog/a%2541b", "/blog", "/a%41b"),
    ("/blog/100%25", "/blog", "/100%"),
    ("/blog/a%3Fb", "/blog", "/a?b"),
    ("/blog/a;b=1;c", "/blog", "/a;b=1;c"),
    ("/blog/a:b@c!$&'(),", "/blog", "/a:b@c!$&'(),"),
    ("/blog/~tilde", "/blog", "/~tilde"),
    ("/blog/%C3%A9t%C3%A9", "/blog", "/\u00e9t\u00e9"),
    ("/blog/%E2%82%AC", "/blog", "/\u20ac"),
    ("/blog//x", "/blog", "/x"),
    ("/blog/x//y/", "/blog", "/x/y/"),
    ("//blog/x", "/blog", "/x"),
    ("/blog/./x", "/blog", "/x"),
    ("/blog/y/../x", "/blog", "/x"),
    ("/%62log/x", "/blog", "/x"),
    ("/blogger", "/blogger", ""),
    ("/blogger/x", "/blogger", "/x"),
    ("/tools/wiki/x", "/tools/wiki", "/x"),
]
LOST = ["/blo", "/blogg", "/blogg/x", "/bloggers", "/tools/other",
        "/none.txt"]
QUERIES = ["", "x=1", "a=b&c=d", "q=%25%3F%2F", "u=%C3%A9", "a+b", "x=a;b",
           "r=http://h/?y", "empty="]


class Started:
    """Starts the server with the first test that needs it."""

    def __init__(self, m, server):
        self.m, self.server, self.why = m, server, None

    def __call__(self):
        if self.why is not None:
            raise self.why
        if self.server.process is None:
            try:
                self.server.start()
            except Exception as why:
                self.why = why
                raise
        return self.server


def need(module):
    try:
        __import__(module)
    except ImportError:
        raise Skip("no python3-%s" % module)


def data(response):
    equal(response.status, 200, repr(response))
    return json.loads(response.body.decode())


def tests(name, m, server, **pins):
    """Registers all of them; the server's own come in between, see end()."""
    running = Started(m, server)

    def test(title):
        return harness.test("%s: %s" % (name, title))

    def has(line):
        within(30, lambda: line in m.journal(), "%r in the journal" % line)

    def works():
        equal(running().get("/blog/unread").body, b"did not look")

    for app in ("blog", "blogger", "tools/wiki"):
        m.app(app, workers={"max": 4})

    @test("every path means what the application's author expects")
    def _():
        s = running()
        for path, script, info in URLS:
            got = s.get(path)
            got = (got.status, got.body.decode())
            equal(got[0], 200, path + " " + repr(got))
            got = json.loads(got[1])
            equal((got["script_name"], got["path_info"]),
                  (s.base + script, info), path)

    @test("a query string arrives as it was sent")
    def _():
        s = running()
        for query in QUERIES:
            got = data(s.get("/blog/path?" + query))
            equal((got["query"], got["path_info"]), (query, "/path"))

    @test("an encoded slash is what this server makes of it")
    def _():
        got = running().get("/blog/a%2Fb")
        expected = pins["encoded_slash"]
        if isinstance(expected, int):
            equal(got.status, expected)
            equal(got.header("X-Mamayo-Error"), None)
        else:
            equal(data(got)["path_info"], expected)

    @test("a prefix matches whole segments; what nobody serves is a 404")
    def _():
        for path in LOST:
            got = running().get(path)
            equal((got.status, got.header("X-Mamayo-Error")),
                  (404, "no-app"), path)

    @test("GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS reach it")
    def _():
        s = running()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            sent = None if method in ("GET", "OPTIONS") else b"some body"
            got = data(s.get("/blog/body", method, sent))
            equal((got["method"], got["length"]),
                  (method, len(sent or b"")))
        got = s.get("/blog/body", "HEAD")
        equal((got.status, got.body), (200, b""))
        assert "called HEAD" in m.journal()

    @test("bodies of every size arrive whole")
    def _():
        s = running()
        block = os.urandom(65536)
        most = pins["longest_body"]
        for size in (0, 1, 11, 1024, 4095, 4096, 4097, 8192, 65535, 65536,
                     65537, 131072, MIB, 64 * MIB):
            if size > most:
                continue
            body = (block * (size // len(block) + 1))[:size]
            got = data(s.get("/blog/body", "POST", body,
                             {"Content-Type": "application/x-test"}))
            equal((got["length"], got["sha256"], got["content_length"],
                   got["content_type"]),
                  (size, hashlib.sha256(body).hexdigest(), str(size),
                   "application/x-test"))

    @test("a body that is too long for this server gets its own answer")
    def _():
        if pins.get("too_long") is None:
            return
        before = len(m.journal())
        s = running()
        with s.raw(("POST %s/blog/body HTTP/1.1\r\nHost: localhost\r\n"
                    "Content-Length: %d\r\nConnection: close\r\n\r\n" % (
                        s.base, pins["longest_body"] + 1)).encode()) as c:
            sent = 0
            try:
                while sent <= pins["longest_body"]:
                    n = min(65536, pins["longest_body"] + 1 - sent)
                    c.sendall(b"x" * n)
                    sent += n
            except OSError:
                pass  # it has answered already
            got = c.recv(4096)
        equal(int(got.split()[1]), pins["too_long"])
        equal(len(m.journal()), before, "applications called")

    @test("a chunked upload arrives whole, with its length")
    def _():
        s = running()
        got = s.curl("-H", "Transfer-Encoding: chunked", "-H", "Expect:",
                     "--data-binary", "x" * 50000, "/blog/body")
        got = json.loads(got.decode())
        equal((got["length"], got["content_length"]), (50000, "50000"))

    @test("Expect: 100-continue is no obstacle")
    def _():
        size = min(2 * MIB, pins["longest_body"])
        path = os.path.join(m.dir, "upload")
        with open(path, "wb") as f:
            f.write(b"y" * size)
        got = running().curl("-H", "Expect: 100-continue", "-T", path,
                             "/blog/body")
        got = json.loads(got.decode())
        equal((got["length"], got["method"]), (size, "PUT"))

    @test("the Authorization header reaches the application")
    def _():
        s = running()
        equal(s.curl("-u", "alice:open sesame", "/blog/auth"),
              b"Basic YWxpY2U6b3BlbiBzZXNhbWU=")
        equal(s.curl("-H", "Authorization: Bearer a.b-c_d=", "/blog/auth"),
              b"Bearer a.b-c_d=")
        equal(s.curl("/blog/auth"), b"none")

    @test("cookies go both ways, each Set-Cookie a line of its own")
    def _():
        got = running().get("/blog/cookies",
                            headers={"Cookie": "a=1; b=two"})
        equal(got.body, b"a=1; b=two")
        equal(got.headers.get_all("Set-Cookie"),
              ["one=1; Path=/", "two=2; HttpOnly", "three=a b"])

    @test("an answer with a header of 8 kB, and of 20 kB")
    def _():
        for size in (1000, 8000, 20000):
            got = running().get("/blog/long_header?size=%d" % size)
            equal((got.status, got.body), (200, b"as long"), size)
            equal([got.header("X-Long-%d" % i)
                   for i in range(size // 1000)],
                  ["x" * 985] * (size // 1000), size)

    @test("redirects pass as they are")
    def _():
        s = running()
        for code in ("301 Moved Permanently", "302 Found", "303 See Other",
                     "307 Temporary Redirect", "308 Permanent Redirect"):
            for to in ("/blog/path", "http://example.org/x?y=1"):
                got = s.get("/blog/redirect?" + urllib.parse.urlencode(
                    {"to": to, "code": code}))
                equal((got.status, got.header("Location")),
                      (int(code[:3]), to))
        got = s.get("/blog/redirect?to=/blog/new&code=201+Created")
        equal((got.status, got.header("Location")), (201, "/blog/new"))

    @test("204 and 304 have no body, other statuses are the app's own")
    def _():
        s = running()
        for line in ("204 No Content", "304 Not Modified"):
            c = s.connect()
            c.request("GET", s.base + "/blog/status?" +
                      urllib.parse.urlencode({"line": line}))
            r = c.getresponse()
            equal((r.status, r.read()), (int(line[:3]), b""))
            c.close()
        for line in ("200 OK", "404 Not Found", "410 Gone", "418 Teapot",
                     "500 Oops", "503 Busy"):
            got = s.get("/blog/status?" + urllib.parse.urlencode(
                {"line": line}))
            equal(got.status, int(line[:3]))
            equal(got.header("X-Mamayo-Error"), None)

    @test("an exception is a 500 page that tells nothing")
    def _():
        got = running().get("/blog/raises")
        equal((got.status, got.header("X-Mamayo-Error")), (500, "exception"))
        for secret in ("xyzzy", "Traceback", "application.py", m.root):
            assert secret.encode() not in got.body, got.body

    @test("a download of 100 MiB arrives whole")
    def _():
        size, seen, left = 100 * MIB, hashlib.sha256(), 100 * MIB
        c = running().connect()
        c.request("GET", server.base + "/blog/download?size=%d" % size)
        r = c.getresponse()
        equal((r.status, r.getheader("Content-Length")), (200, str(size)))
        while True:
            some = r.read(MIB)
            if not some:
                break
            seen.update(some)
            left -= len(some)
        c.close()
        equal(left, 0)
        expected, number = hashlib.sha256(), 0
        while number * 65536 < size:
            expected.update(b"%015d\n" % number * 4096)
            number += 1
        equal(seen.hexdigest(), expected.hexdigest())

    @test("a visitor who leaves in mid-download costs nothing: close() runs")
    def _():
        s = running()
        works()
        for i in range(2):
            c = s.raw(("GET %s/blog/download?size=%d&name=left%d HTTP/1.1\r\n"
                       "Host: localhost\r\n\r\n" % (
                           s.base, 100 * MIB, i)).encode())
            assert c.recv(10000)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         b"\1\0\0\0\0\0\0\0")
            c.close()
        for i in range(2):
            has("closed left%d" % i)
        works()

    @test("a process that dies: 502 before its answer, cut off within it")
    def _():
        s = running()
        got = s.get("/blog/die?how=segv")
        equal((got.status, got.header("X-Mamayo-Error")), (502, "died"))
        works()
        m.open_gate("cut")
        for length in ("yes", "no"):
            try:
                got = s.get("/blog/half?name=cut&then=die&size=400000&length="
                            + length)
                assert got.status >= 500 or (
                    length == "no" and not pins.get("shows_cuts")
                    and got.body.startswith(b"a" * 100000)
                    and b"bbb" not in got.body), got
            except (http.client.IncompleteRead, ConnectionError) as cut:
                assert b"bbb" not in getattr(cut, "partial", b"")
            works()

    @test("50 visitors at the same time are all served, each its own")
    def _():
        s = running()
        works()

        def visit(i):
            for _ in range(4):
                got = data(s.get("/blog/environ?i=%d" % i, headers={
                    "X-Visitor": "visitor %d" % i}))
                equal((got["QUERY_STRING"], got["HTTP_X_VISITOR"]),
                      ("i=%d" % i, "visitor %d" % i))
        fcgi.each(50, visit)

    @test("a Flask application with templates and sessions")
    def _():
        need("flask")
        with open(os.path.join(APPS, "flask_app.py")) as f:
            m.write("apps/shop/templates/index.html", """\
<!doctype html>
<title>Shop</title>
{% if name %}<p>Hello, {{ name }}!</p>{% else %}<p>Who are you?</p>{% endif %}
<a href="{{ url_for('login') }}">log in</a>
""")
            m.write("apps/shop/static/style.css", "p { color: green }\n")
            m.app("shop", f.read(), "app.py")
        b = Browser(running())
        page = within(10, lambda: b.get("/shop/"), "the shop")
        assert "Who are you?" in page.text, page
        assert 'href="%s/shop/login"' % server.base in page.text, page.text
        page = b.post("/shop/login", {"name": "J\u00f6rg <b>"})
        equal(page.url, server.url("/shop/"))
        assert "Hello, J\u00f6rg &lt;b&gt;!" in page.text, page.text
        assert "color: green" in b.get("/shop/static/style.css").text
        assert "Who are you?" in b.get("/shop/logout").text
        assert "Who are you?" in Browser(running()).get("/shop/").text
        got = running().curl("-F", "file=@%s;filename=a b.txt" % __file__,
                             "/shop/upload")
        equal(got.decode(), "a b.txt %d" % os.path.getsize(__file__))

    @test("Django's admin: log in with CSRF, add and change a thing, log out")
    def _():
        need("django")
        make_django(m)
        b = Browser(running())
        page = b.get("/site/admin/")
        assert "/site/admin/login/" in page.url, page.url
        page = b.post(page.url, {"username": "admin", "password": "wrong"})
        assert "Please enter the correct" in page.text, page.text
        page = b.post(page.url, {"username": "admin", "password": "pw-4711"})
        equal(page.url, server.url("/site/admin/"))
        assert "Site administration" in page.text, page.text
        page = b.get("/site/admin/auth/group/add/")
        page = b.post(page.url, {"name": "caf\u00e9", "_continue": "1"})
        assert "was added successfully" in page.text, page.text
        equal(page.field("name"), "caf\u00e9")
        page = b.post(page.url, {"name": "tea"})
        assert "was changed successfully" in page.text, page.text
        assert ">tea</a>" in b.get("/site/admin/auth/group/").text
        try:  # without its token a form is refused
            b.post("/site/admin/auth/group/add/", {"name": "x"}, token=False)
            raise AssertionError("taken without a CSRF token")
        except urllib.error.HTTPError as refused:
            equal(refused.code, 403)
        b.get("/site/admin/logout/")
        assert "/site/admin/login/" in b.get("/site/admin/").url

    @test("an application silent beyond its limit: 504, and the stack logged")
    def _():
        s = running()
        m.app("slow", timeout=2, workers={"max": 1})
        within(10, lambda: s.get("/slow/unread").status == 200)
        got = s.get("/slow/stuck_in_here")
        equal((got.status, got.header("X-Mamayo-Error")), (504, "timeout"))
        within(10, lambda: re.search(r'application\.py".* in stuck_in_here',
                                     m.log("slow")), "the stack in the log")
        equal(s.get("/slow/unread").status, 200)
        works()


def end(name, m, server, spawns):
    """The last tests: the server stops, and everything of mamayo leaves."""
    running = Started(m, server)

    @harness.test("%s: stopped, and nothing of mamayo is left" % name)
    def _():
        s = running()
        equal(s.get("/blog/unread").body, b"did not look")
        before = m.processes()
        assert before, "no process"
        s.stop()
        if not spawns:
            stop_listening(m)
        within(60, lambda: not m.processes(), "the end of %r" % before)
        equal(m.leftovers(), [])
        equal(os.path.exists(m.socket), False, "the socket's existence")


def stop_listening(m):
    for process in list(m.others):
        if "listen" in process.args:
            process.terminate()
            process.wait(20)
            m.others.remove(process)


def listen_again(m):
    stop_listening(m)
    m.listen()


def warm(name, make, again=None):
    """The last request, the responder gone, and within linger a request:
    the same workers. make(m) gives a server; again(m) takes the responder
    away and starts another, else a second server does and the first stops."""

    @harness.test("%s: a new responder finds the same workers" % name)
    def _():
        m = Mamayo(linger=20, grace=4)
        m.app("blog", workers={"max": 1})
        if again:
            again(m)
        server = make(m).start()
        pid = server.get("/blog/pid").body
        equal(server.get("/blog/pid").body, pid)
        supervisor = m.supervisor()
        responders = {r["pid"] for r in m.status()["responders"]}
        if again:
            again(m)
        else:
            server.stop()
            server = make(m).start()
        for old in responders:
            gone(old)
        equal(server.get("/blog/pid").body, pid)
        equal(m.supervisor(), supervisor)


# -- Django, and a browser that fills in forms -----------------------------

def make_django(m):
    """A project with the admin, made once and copied: apps/site."""
    place = m.path("apps", "site")
    manage = [sys.executable, "manage.py"]
    subprocess.run([sys.executable, "-m", "django", "startproject", "shopsite",
                    _new(os.path.join(m.dir, "django"))], check=True)
    source = os.path.join(m.dir, "django")
    with open(os.path.join(source, "shopsite", "settings.py"), "a") as f:
        f.write("\nALLOWED_HOSTS = ['*']\nDEBUG = False\n"
                "PASSWORD_HASHERS = ["
                "'django.contrib.auth.hashers.MD5PasswordHasher']\n")
    for arguments in (["migrate", "-v", "0"],
                      ["createsuperuser", "--noinput", "--username", "admin",
                       "--email", "a@example.org"]):
        subprocess.run(manage + arguments, cwd=source, check=True,
                       env=dict(os.environ,
                                DJANGO_SUPERUSER_PASSWORD="pw-4711"))
    shutil.move(source, place)


def _new(directory):
    os.makedirs(directory)
    return directory


class Page:
    def __init__(self, response):
        self.url = response.geturl()
        self.text = response.read().decode("utf-8")

    def field(self, name):
        for tag in re.findall(r"<input[^>]*>", self.text):
            if 'name="%s"' % name in tag:
                found = re.search(r'value="([^"]*)"', tag)
                return html.unescape(found.group(1)) if found else ""
        return None


class Browser:
    """Keeps cookies, follows redirects, sends a form's CSRF token along."""

    def __init__(self, server):
        self.server = server
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.jar))

    def full(self, path):
        return path if path.startswith("http:") else self.server.url(path)

    def get(self, path):
        return Page(self.opener.open(self.full(path), timeout=60))

    def post(self, path, fields, token=True):
        url = self.full(path)
        fields = dict(fields)
        found = self.get(url).field("csrfmiddlewaretoken") if token else None
        if found:
            fields["csrfmiddlewaretoken"] = found
        request = urllib.request.Request(
            url, urllib.parse.urlencode(fields).encode(),
            {"Referer": url})
        return Page(self.opener.open(request, timeout=60))
