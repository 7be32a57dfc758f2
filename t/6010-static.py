"""Static files behind the real web servers: each sends them itself where the
shipped configuration lets it, and all of them serve the same."""
import email.utils
import os
import time

from harness import equal, run, test
from mamayo import Mamayo
from servers import (ApacheFcgid, ApacheProxy, Lighttpd, LighttpdListen,
                     Nginx)

APP = """
def application(environ, start_response):
    start_response("404 Not Found", [("Content-Type", "text/plain"),
                                     ("X-By", "app")])
    return [environ["PATH_INFO"].encode("latin-1")]
"""
WRITTEN = int(time.time()) - 3600 + 0.25
BIG = os.urandom(1 << 20) * 9
FILES = "/mamayo-files/"  # where Apache has links


def put(m, name, text):
    path = m.write(os.path.join("apps", name), text)
    os.utime(path, (WRITTEN, WRITTEN))
    return path


def account():
    m = Mamayo()
    m.app("ROOT", APP)
    for name in ("blog", "tools/wiki"):
        m.app(name, APP, static={"/static": "collected"})
        put(m, name + "/public/a/style.css", "p { color: #abcdef }")
        put(m, name + "/public/index.html", "<p>front")
        put(m, name + "/public/two words & more%25.txt", "words")
        put(m, name + "/public/caf\u00e9.txt", "coffee")
        put(m, name + "/public/empty.txt", "")
        put(m, name + "/public/big.bin", BIG)
        put(m, name + "/public/big.png", BIG)
        put(m, name + "/public/.secret", "S3CRET")
        put(m, name + "/collected/x.js", "x()")
    put(m, "ROOT/public/robots.txt", "robots")
    put(m, "ROOT/public/.secret", "S3CRET")
    public = m.path("apps", "blog", "public")
    os.symlink("../application.py", os.path.join(public, "out.py"))
    os.symlink("..", os.path.join(public, "up"))
    os.symlink("a/style.css", os.path.join(public, "link.css"))
    os.mkfifo(os.path.join(public, "fifo"))
    os.chmod(put(m, "blog/public/mine.txt", "S3CRET"), 0)
    return m


def raw(server, path):
    """The status and the whole answer to a path that no client would send."""
    with server.raw(("GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n"
                     % path).encode("latin-1")) as s:
        answer = b""
        while True:
            some = s.recv(65536)
            if not some:
                break
            answer += some
    return int(answer.split(None, 2)[1]), answer


def tests(name, make, sends_itself):
    """sends_itself: does the web server send what it can, or files of such
    names?"""
    started = []

    def site():
        if not started:
            m = account()
            server = make(m)
            started.append((m, server.start()))
            server.get("/blog/nothing")
        return started[0]

    @test(name + ": files, with types, at mounts of every kind")
    def _():
        m, server = site()
        for mount in ("/blog", "/tools/wiki"):
            for path, body, kind in (
                    ("/a/style.css", b"p { color: #abcdef }", "text/css"),
                    ("/a/style.css?v=1", b"p { color: #abcdef }", "text/css"),
                    ("/", b"<p>front", "text/html"),
                    ("/two%20words%20&%20more%2525.txt", b"words",
                     "text/plain"),
                    ("/caf%C3%A9.txt", b"coffee", "text/plain"),
                    ("/empty.txt", b"", "text/plain"),
                    ("/static/x.js", b"x()", "javascript"),
                    ("/big.bin", BIG, "application/octet-stream")):
                got = server.get(mount + path)
                equal((got.status, got.body), (200, body), mount + path)
                assert kind in got.header("Content-Type"), got
                equal(got.header("Content-Length"), str(len(body)), path)
                for header in ("X-Sendfile", "X-Accel-Redirect", "Location"):
                    equal(got.header(header), None, path)
        equal(server.get("/robots.txt").body, b"robots")
        got = server.get("/blog")
        equal((got.status, got.header("Location").rpartition(":")[2]
               .lstrip("0123456789")), (301, server.base + "/blog/"))
        equal(server.get("/blog/link.css").status, 200)

    @test(name + ": HEAD, conditions, ranges")
    def _():
        m, server = site()
        for path in ("/blog/big.bin", "/tools/wiki/big.bin",
                     "/blog/big.png"):
            full = server.get(path)
            tag, date = full.header("ETag"), full.header("Last-Modified")
            equal(date, email.utils.formatdate(WRITTEN, usegmt=True))
            head = server.get(path, method="HEAD")
            equal((head.status, head.body, head.header("Content-Length"),
                   head.header("ETag")), (200, b"", str(len(BIG)), tag))
            for headers in ({"If-None-Match": tag},
                            {"If-Modified-Since": date}):
                got = server.get(path, headers=headers)
                equal((got.status, got.body), (304, b""), headers)
            got = server.get(path, headers={"Range": "bytes=70000-8000000"})
            equal((got.status, got.header("Content-Range")), (206,
                  "bytes 70000-8000000/%d" % len(BIG)))
            equal(got.body, BIG[70000:8000001])
            got = server.get(path, headers={"Range": "bytes=0-0",
                                            "If-Range": '"other"'})
            equal(got.status, 200)
            got = server.get(path, headers={"Range": "bytes=99999999-"})
            equal(got.status, 416)

    @test(name + ": what is not there is for the application, and so is POST")
    def _():
        m, server = site()
        for method, path in (("GET", "/blog/nothing.css"),
                             ("POST", "/blog/a/style.css"),
                             ("GET", "/blog/a/"), ("GET", "/blog/.secret"),
                             ("GET", "/blog/a/../.secret"),
                             ("GET", "/nothing"), ("GET", "/.secret"),
                             ("GET", "/blog/public/a/style.css"),
                             ("GET", "/tools/wiki/.secret")):
            got = server.get(path, method=method,
                             body=b"x" if method == "POST" else None)
            equal((got.status, got.header("X-By")), (404, "app"), path)

    @test(name + ": nothing but what lies in public/, whoever asks how")
    def _():
        m, server = site()
        for path in ("/blog/application.py", "/blog/../application.py",
                     "/blog/../blog/application.py", "/blog/out.py",
                     "/blog/up/application.py", "/blog/up/mamayo.json",
                     "/blog/%2e%2e/application.py",
                     "/blog/%2e%2e%2fapplication.py",
                     "/blog/a/..%2f..%2fapplication.py",
                     "/blog/a%00/style.css", "/blog/application.py%00.css",
                     "/blog/%2esecret", "/blog/a/%2e%2e/%2esecret",
                     "/blog//.secret", "/.secret", "/%2esecret",
                     "/blog/fifo", "/blog/mine.txt", "/blog/mamayo.json",
                     "/.mamayo/blog/application.py",
                     "/.mamayo/blog/public/a/style.css",
                     "/tools/application.py", "/tools/wiki/application.py",
                     "/ROOT/application.py", "/ROOT/.secret",
                     FILES + "blog/out.py", FILES + "blog/.secret",
                     FILES + "blog/a/style.css",
                     FILES + "blog/up/mamayo.json", FILES, FILES + "blog/",
                     FILES + ".htaccess", FILES + "blog/app.py",
                     FILES + "blog/../../apps/blog/application.py",
                     FILES + "blog/%2e%2e/application.py",
                     FILES + ".." + FILES + "blog/out.py",
                     "/" + FILES + "blog/out.py",
                     FILES.replace("e", "%65") + "blog/out.py",
                     "/../../../../etc/passwd"):
            status, answer = raw(server, server.base + path)
            assert status in (400, 403, 404), (path, status, answer[:300])
            for secret in (b"S3CRET", b"def application", b"collected",
                           b"root:", b"#abcdef"):
                assert secret not in answer, (path, answer)
        equal(raw(server, server.base + "/blog/out.py")[0], 404)
        equal(raw(server, server.base + "/blog/mine.txt")[0], 404)

    @test("%s: %s sends the files" % (
        name, "the web server" if sends_itself else "mamayo"))
    def _():
        m, server = site()
        for path in ("/blog/a/style.css", "/blog/static/x.js",
                     "/tools/wiki/big.png"):
            tag = server.get(path).header("ETag")
            is_ours = "." in tag  # between seconds and nanoseconds
            equal(not is_ours, sends_itself is True
                  or bool(sends_itself) and path.endswith(sends_itself),
                  "%s: %s" % (path, tag))

    @test(name + ": everybody leaves, and nothing is left")
    def _():
        m, server = site()
        server.stop()
        m.end()


def listening(make):
    def behind(m):
        m.listen()
        return make(m)
    return behind


class ApacheInstalled(ApacheFcgid):
    """With the directory of links that mamayo install makes."""

    def __init__(self, m, where=""):
        ApacheFcgid.__init__(self, m, None, where)

    def main(self):
        text = ApacheFcgid.main(self)
        os.chmod(self.m.dir, 0o755)  # others can go to what they may read
        got = self.m.command("install", self.path("www" + self.base))
        equal((got.returncode, got.stderr), (0, ""))
        return text + ("TypesConfig /etc/mime.types\n" if os.path.exists(
            "/etc/mime.types") else "AddType text/css .css\n"
            "AddType text/html .html\nAddType text/plain .txt\n"
            "AddType image/png .png\n"
            "AddType application/octet-stream .bin\n")


tests("lighttpd", Lighttpd, True)
tests("nginx", listening(Nginx), True)
tests("lighttpd, listen", listening(LighttpdListen), False)
tests("mod_proxy_fcgi", listening(ApacheProxy), False)
tests("mod_fcgid", ApacheFcgid, False)
tests("mod_fcgid, installed", ApacheInstalled, ".png")
tests("mod_fcgid, installed in a subdirectory",
      lambda m: ApacheInstalled(m, "/sub"), ".png")
tests("mod_fcgid in a subdirectory",
      lambda m: ApacheFcgid(m, where="/sub"), False)

run()
