"""Files of an application that are answered without it."""
import email.utils
import os
import select
import socket
import time

import fcgi
from harness import Skip, equal, run, test, within
from mamayo import Mamayo, Process, kill

APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("X-By", "app")])
    return [environ["PATH_INFO"].encode("latin-1")]
"""
OLD = time.time() - 3600

m = Mamayo()
app = m.app("blog", APP)


def put(name, text, where="blog/public", age=3600):
    path = m.write(os.path.join("apps", where, name), text)
    os.utime(path, (time.time() - age,) * 2)
    return path


css = put("a/style.css", "p { margin: 0 }")
put("index.html", "<p>front")
put("docs/index.html", "<p>docs")
put("data/x.bin", bytes(range(256)) * 4)
put("empty.txt", "")
put(".secret", "secret")
put(".git/config", "secret")
put("a/.hidden/x", "secret")
put("two words & more%.txt", "words")
put("caf\u00e9.txt", "coffee")
m.start()


def by_app(uri, **how):
    got = m.get(uri, **how)
    equal((got.status, got.header("X-By")), (200, "app"), uri)
    return got


def by_us(uri, body, **how):
    got = m.get(uri, **how)
    equal((got.status, got.body, got.header("X-By")), (200, body, None), uri)
    return got


def not_there(uri):
    got = m.get(uri)
    equal((got.status, got.header("X-Mamayo-Error")), (404, "no-file"), uri)
    assert b"secret" not in got.body, got


@test("a file of public/ is served at the mount, with type, length, date, tag")
def _():
    got = by_us("/blog/a/style.css?v=3", b"p { margin: 0 }")
    equal(got.header("Content-Type"), "text/css; charset=utf-8")
    equal(got.header("Content-Length"), "15")
    equal(got.header("Last-Modified"), email.utils.formatdate(
        os.stat(css).st_mtime, usegmt=True))
    assert got.header("ETag").startswith('"'), got
    equal(got.header("Accept-Ranges"), "bytes")
    equal(m.status_of("blog")["workers"], [], "workers")


@test("what is not there is for the application, and so is another method")
def _():
    by_app("/blog/nothing.css")
    by_app("/blog/a/style.css/")
    by_app("/blog/a/style.css/more")
    by_app("/blog/a/style.css", method="POST", body=b"x")
    by_app("/blog/a/style.css", method="OPTIONS")
    by_app("/blog/" + "x" * 300)
    by_app("/blog/" + "x/" * 200)


@test("HEAD has the same header fields and no body")
def _():
    full = m.get("/blog/data/x.bin")
    head = m.get("/blog/data/x.bin", method="HEAD")
    equal(head.body, b"")
    for name in ("ETag", "Last-Modified", "Content-Length", "Content-Type"):
        equal(head.header(name), full.header(name), name)
    ranged = m.get("/blog/data/x.bin", method="HEAD", HTTP_RANGE="bytes=0-9")
    equal((ranged.status, ranged.header("Content-Length")), (200, "1024"))


@test("a directory is its index.html, and has a slash")
def _():
    by_us("/blog/", b"<p>front")
    by_us("/blog/docs/", b"<p>docs")
    for uri, location in (("/blog", "/blog/"), ("/blog/docs", "/blog/docs/"),
                          ("/blog/docs?a=%20b", "/blog/docs/?a=%20b"),
                          ("//blog//docs", "/blog/docs/")):
        got = m.get(uri)
        equal((got.status, got.header("Location")), (301, location), uri)
    got = m.get("/sub/blog/docs", SCRIPT_NAME="/sub/mamayo.fcgi")
    equal((got.status, got.header("Location")), (301, "/sub/blog/docs/"))


@test("a directory without index.html is for the application: no listing")
def _():
    by_app("/blog/a")
    by_app("/blog/a/")
    os.mkdir(os.path.join(app, "public", "odd"))
    os.mkdir(os.path.join(app, "public", "odd", "index.html"))
    by_app("/blog/odd/")


@test("conditions: If-None-Match, If-Modified-Since and their opposites")
def _():
    got = m.get("/blog/a/style.css")
    tag, date = got.header("ETag"), got.header("Last-Modified")
    earlier = email.utils.formatdate(OLD - 10, usegmt=True)
    rfc850 = time.strftime("%A, %d-%b-%y %H:%M:%S GMT",
                           time.gmtime(os.stat(css).st_mtime))
    asctime = time.strftime("%a %b %e %H:%M:%S %Y",
                            time.gmtime(os.stat(css).st_mtime))
    for status, variables in (
            (304, {"HTTP_IF_NONE_MATCH": tag}),
            (304, {"HTTP_IF_NONE_MATCH": "W/" + tag}),
            (304, {"HTTP_IF_NONE_MATCH": '"x", W/"y",' + tag}),
            (304, {"HTTP_IF_NONE_MATCH": "*"}),
            (200, {"HTTP_IF_NONE_MATCH": '"x"'}),
            (200, {"HTTP_IF_NONE_MATCH": tag[:-2] + '"'}),
            (200, {"HTTP_IF_NONE_MATCH": '"unfinished'}),
            (304, {"HTTP_IF_MODIFIED_SINCE": date}),
            (304, {"HTTP_IF_MODIFIED_SINCE": rfc850}),
            (304, {"HTTP_IF_MODIFIED_SINCE": asctime}),
            (200, {"HTTP_IF_MODIFIED_SINCE": earlier}),
            (200, {"HTTP_IF_MODIFIED_SINCE": "yesterday"}),
            (200, {"HTTP_IF_MODIFIED_SINCE": date,
                   "HTTP_IF_NONE_MATCH": '"x"'}),
            (200, {"HTTP_IF_MATCH": tag}),
            (200, {"HTTP_IF_MATCH": "*"}),
            (412, {"HTTP_IF_MATCH": '"x"'}),
            (412, {"HTTP_IF_MATCH": "W/" + tag}),
            (412, {"HTTP_IF_UNMODIFIED_SINCE": earlier}),
            (200, {"HTTP_IF_UNMODIFIED_SINCE": date}),
            (200, {"HTTP_IF_UNMODIFIED_SINCE": "nonsense"})):
        got = m.get("/blog/a/style.css", **variables)
        equal(got.status, status, repr(variables))
        equal(got.body, b"p { margin: 0 }" if status == 200 else b"")
        if status == 304:
            equal((got.header("ETag"), got.header("Content-Length")),
                  (tag, None))


@test("ranges: one is given, at both ends and beyond, several are none")
def _():
    data = bytes(range(256)) * 4
    tag = m.get("/blog/data/x.bin").header("ETag")
    for asked, first, last in (
            ("bytes=0-0", 0, 0), ("bytes=5-9", 5, 9), ("bytes=1000-", 1000, 1023),
            ("bytes=1000-9999", 1000, 1023), ("bytes=-24", 1000, 1023),
            ("bytes=-9999", 0, 1023), ("bytes=0-", 0, 1023)):
        got = m.get("/blog/data/x.bin", HTTP_RANGE=asked)
        equal((got.status, got.body, got.header("Content-Range"),
               got.header("Content-Length")),
              (206, data[first:last + 1], "bytes %d-%d/1024" % (first, last),
               str(last + 1 - first)), asked)
    for asked in ("bytes=1024-", "bytes=9999999999-", "bytes=-0"):
        got = m.get("/blog/data/x.bin", HTTP_RANGE=asked)
        equal((got.status, got.header("Content-Range"), got.body),
              (416, "bytes */1024", b""), asked)
    for asked in ("bytes=0-1,5-6", "bytes=9-5", "bytes=", "bytes=-", "lines=1-2",
                  "bytes=x-", "bytes=1-x", "bytes=" + "9" * 30 + "-"):
        equal(m.get("/blog/data/x.bin", HTTP_RANGE=asked).body, data, asked)
    for status, if_range in ((206, tag), (200, '"x"'), (200, "W/" + tag),
                             (200, "never")):
        equal(m.get("/blog/data/x.bin", HTTP_RANGE="bytes=0-9",
                    HTTP_IF_RANGE=if_range).status, status, if_range)
    equal(m.get("/blog/empty.txt", HTTP_RANGE="bytes=0-").status, 416)


@test("a file that has just been written has a weak tag, good for no range")
def _():
    put("new.txt", "new", age=0)
    got = m.get("/blog/new.txt")
    assert got.header("ETag").startswith('W/"'), got
    equal(m.get("/blog/new.txt", HTTP_RANGE="bytes=0-0",
                HTTP_IF_RANGE=got.header("ETag")).status, 200)
    equal(m.get("/blog/new.txt",
                HTTP_IF_NONE_MATCH=got.header("ETag")).status, 304)


@test("empty files, names with blanks, percent signs and other letters")
def _():
    equal(by_us("/blog/empty.txt", b"").header("Content-Length"), "0")
    by_us("/blog/two%20words%20&%20more%25.txt", b"words")
    by_us("/blog/caf%C3%A9.txt", b"coffee")


@test("names that begin with a dot are never files, however they are written")
def _():
    for uri in ("/blog/.secret", "/blog/%2esecret", "/blog/.git/config",
                "/blog/a/.hidden/x", "/blog/a/%2Ehidden/x", "/blog/a%2F.hidden/x",
                "/blog/docs/../.secret", "/blog//.secret"):
        by_app(uri)


@test("nothing of the application is served but what lies in public/")
def _():
    for uri in ("/blog/application.py", "/blog/../application.py",
                "/blog/a/../../application.py", "/blog/..%2Fapplication.py",
                "/blog/%2e%2e/application.py",
                "/blog/a/%2e%2e%2f%2e%2e/application.py",
                "/blog/public/style.css", "/blog/mamayo.json"):
        got = m.get(uri)
        assert b"def application" not in got.body, got
        assert got.status in (400, 404) or got.header("X-By") == "app", got
    equal(m.get("/blog/a%00/style.css").status, 400)
    equal(m.get("/blog/style.css%00.html").status, 400)
    equal(m.get("/../../etc/passwd").status, 400)


def link(target, name):
    path = os.path.join(app, "public", name)
    os.symlink(target, path)
    return path


@test("a link that leads out of public/ is not found, in whatever way it does")
def _():
    link("../application.py", "out.py")
    link("../..", "up")
    link("/etc/passwd", "passwd")
    link(os.path.join(app, "public", "a"), "absolute")
    link("a/../../public/a/style.css", "out-and-in.css")
    link("loop", "loop")
    link("up", "again")
    for name in ("out.py", "up/blog/application.py", "again/x", "passwd",
                 "absolute/style.css", "out-and-in.css", "loop", "loop/x"):
        not_there("/blog/" + name)
    within(5, lambda: "is not served" in m.log(), "a word in the log")


@test("a link that stays in public/ is followed")
def _():
    link("a", "b")
    link("a/../docs/./index.html", "c.html")
    by_us("/blog/b/style.css", b"p { margin: 0 }")
    by_us("/blog/c.html", b"<p>docs")
    by_app("/blog/b/../nothing")
    link("nowhere", "dangling")
    by_app("/blog/dangling")


@test("public may be a link to a directory of the application, and to no other")
def _():
    for name, target, status in (("inside", "dist", 200),
                                 ("outside", "../blog/public", 404),
                                 ("farther", "/etc", 404)):
        where = m.app(name, APP.replace("200 OK", "404 Not Found"))
        put("hostname", "dist", where=name + "/dist")
        os.symlink(target, os.path.join(where, "public"))
        within(5, lambda: m.get("/%s/" % name).header("X-By"))
        got = m.get("/%s/hostname" % name)
        equal(got.status, status, name)
        got = m.get("/%s/a/style.css" % name)
        equal((got.status, got.header("X-By")), (404, "app"), name)


@test("fifos, sockets and files that cannot be read are not found")
def _():
    public = os.path.join(app, "public")
    os.mkfifo(os.path.join(public, "fifo"))
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(public)
        s.bind("socket.txt")
        os.chdir(here)
    os.chmod(put("mine.txt", "secret"), 0o000)
    os.chmod(put("closed/x.txt", "secret"), 0o644)
    os.chmod(os.path.join(public, "closed"), 0o000)
    try:
        for name in ("fifo", "socket.txt", "mine.txt", "closed/x.txt"):
            not_there("/blog/" + name)
    finally:
        os.chmod(os.path.join(public, "closed"), 0o755)
        os.unlink(os.path.join(public, "socket.txt"))


@test("an application that others could write, or that is refused, has none")
def _():
    where = m.app("open", APP)
    put("x.txt", "secret", where="open/public")
    os.chmod(where, 0o777)
    os.mkdir(os.path.join(m.dir, "away"))
    os.symlink(os.path.join(m.dir, "away"), m.path("apps", "away"))
    m.write("../away/wsgi.py", APP)
    m.write("../away/public/x.txt", "secret")
    for name in ("open", "away"):
        got = m.get("/%s/x.txt" % name)
        assert got.status != 200 and b"secret" not in got.body, got


@test("static files need no application that works, and no supervisor")
def _():
    m.app("broken", "syntax error")
    put("x.txt", "fine", where="broken/public")
    by_us("/broken/x.txt", b"fine")
    equal(m.get("/broken/y.txt").status, 503)
    by_us("/broken/x.txt", b"fine")
    kill(m.supervisor())
    by_us("/broken/x.txt", b"fine")


@test("a large file comes whole, also to a slow reader, beside others")
def _():
    big = os.urandom(1024 * 1024) * 24
    put("big.bin", big)
    equal(m.get("/blog/big.bin").body, big)
    with m.connect() as c:
        c.send(fcgi.request("/blog/big.bin"))
        time.sleep(0.2)
        by_us("/blog/empty.txt", b"")
        by_us("/blog/a/style.css", b"p { margin: 0 }")
        equal(c.answer().body, big)
    got = m.get("/blog/big.bin", HTTP_RANGE="bytes=70000-5000000")
    equal(got.body, big[70000:5000001])


@test("many at once on kept connections, and several readers that go away")
def _():
    def visit(i):
        with m.connect() as c:
            for _ in range(20):
                c.send(fcgi.request("/blog/a/style.css", keep=True))
                equal(c.answer(keep=True).body, b"p { margin: 0 }")
            c.send(fcgi.request("/blog/big.bin", keep=True))
    fcgi.each(16, visit)
    responder = m.responders[-1]
    within(10, lambda: not any(
        "/public/" in what for what in
        Process(responder).descriptors().values()),
        "files to be closed")


@test("an abort ends a file, and the connection goes on")
def _():
    with m.connect() as c:
        c.send(fcgi.request("/blog/big.bin", keep=True), fcgi.abort())
        try:
            c.answer(keep=True)
        except fcgi.ProtocolError:
            pass
    by_us("/blog/empty.txt", b"")


def sent(c):
    """Waits until the beginning of the answer has come."""
    equal(select.select([c.socket], [], [], 10)[0], [c.socket])


@test("a file that becomes shorter while it is sent is cut, not made up")
def _():
    path = put("shrinks.bin", b"x" * 30000000)
    with m.connect() as c:
        c.send(fcgi.request("/blog/shrinks.bin"))
        sent(c)
        os.truncate(path, 1000)
        try:
            got = c.answer()
        except fcgi.Cut:
            pass
        else:
            raise AssertionError("whole: %d bytes" % len(got.body))
    by_us("/blog/empty.txt", b"")


@test("a file that another takes the place of is sent as it was")
def _():
    old = b"o" * 30000000
    put("replaced.bin", old)
    with m.connect() as c:
        c.send(fcgi.request("/blog/replaced.bin"))
        sent(c)
        put("replaced.bin", b"new")
        equal(c.answer().body, old)
    by_us("/blog/replaced.bin", b"new")
    got = put("grows.bin", b"1" * 10)
    with open(got, "ab") as f:
        f.write(b"2")
    by_us("/blog/grows.bin", b"1" * 10 + b"2")


@test("more than 4 GiB have a length, and parts beyond it")
def _():
    path = os.path.join(app, "public", "sparse.bin")
    size = 5 * 1024 ** 3
    with open(path, "wb") as f:
        try:
            f.truncate(size)
        except OSError as why:
            raise Skip("no sparse file: %s" % why)
        f.seek(size - 3)
        f.write(b"end")
    os.utime(path, (OLD, OLD))
    got = m.get("/blog/sparse.bin", method="HEAD")
    equal(got.header("Content-Length"), str(size))
    got = m.get("/blog/sparse.bin", HTTP_RANGE="bytes=%d-" % (size - 5))
    equal((got.status, got.body), (206, b"\0\0end"))
    equal(got.header("Content-Range"),
          "bytes %d-%d/%d" % (size - 5, size - 1, size))
    os.unlink(path)


@test("types: by the ending, in any case; the rest is a stream of bytes")
def _():
    for name, kind in (("x.HTML", "text/html"), ("x.svg", "image/svg+xml"),
                       ("x.js", "text/javascript; charset=utf-8"),
                       ("x.tar.gz", "application/gzip"),
                       ("x.woff2", "font/woff2"), ("x.7z",
                                                   "application/x-7z-compressed"),
                       ("x.zst", "application/zstd"),
                       ("README", "application/octet-stream"),
                       ("x.", "application/octet-stream"),
                       ("x.unheard", "application/octet-stream")):
        put("types/" + name, "x")
        equal(m.get("/blog/types/" + name).header("Content-Type"), kind, name)


@test("\"static\" names other directories: the longest address, then public/, "
      "then the application")
def _():
    m.app("site", APP, static={
        "/static": "collected", "/static/admin": "venv/admin", "/": "last"})
    put("static/x.css", "last", where="site/last")
    put("static/last.css", "last", where="site/last")
    put("x.css", "x", where="site/collected")
    put("admin/y.css", "y", where="site/collected")
    put("y.css", "admin", where="site/venv/admin")
    put("static/z.css", "z", where="site/public")
    put("x.css", "public", where="site/public")
    within(5, lambda: m.get("/site/").status == 200)
    for uri, body in (("static/x.css", b"x"), ("static/admin/y.css", b"admin"),
                      ("static/z.css", b"z"), ("x.css", b"public"),
                      ("static/last.css", b"last")):
        by_us("/site/" + uri, body)
    for uri in ("static/admin/nothing", "staticx.css", "static", "static/",
                "collected/x.css", "static/../application.py"):
        by_app("/site/" + uri)
    os.symlink("../application.py", m.path("apps/site/collected/a.py"))
    not_there("/site/static/a.py")


@test("a change of \"static\" is in force with the new generation, and known "
      "before the first")
def _():
    m.app("moving", APP, static={"/": "one"})
    put("x.txt", "one", where="moving/one")
    put("x.txt", "two", where="moving/two")
    within(5, lambda: m.get("/moving/x.txt").body == b"one")
    equal(m.status_of("moving")["workers"], [])
    by_app("/moving/y.txt")
    m.write("apps/moving/mamayo.json", '{"static": {"/": "two"}}')
    equal(m.command("restart", "moving").returncode, 0)
    by_us("/moving/x.txt", b"two")
    m.write("apps/moving/mamayo.json", '{"static": {"/": "../two"}}')
    equal(m.command("restart", "moving").returncode, 1)
    by_us("/moving/x.txt", b"two")


def handed(uri, how, **more):
    """The header fields by which a web server is told to send it."""
    got = m.get(uri, MAMAYO_SENDFILE=how, **more)
    equal((got.status, got.header("X-By")), (200, None), uri)
    told = {name: got.header(name) for name in
            ("X-Sendfile", "X-Accel-Redirect", "Location")
            if got.header(name) is not None}
    equal(got.body == b"" and got.header("Content-Length") is None,
          bool(told), got)
    equal(got.header("ETag") is None, bool(told), got)
    return told


@test("MAMAYO_SENDFILE: the web server is told where the file is")
def _():
    put("a/two words%.txt", "words")
    for method in ("GET", "HEAD"):
        equal(handed("/blog/a/style.css", "x-sendfile", method=method),
              {"X-Sendfile": m.path("apps/blog/public/a/style.css")})
        equal(handed("/blog/a/style.css", "x-accel:/.m/", method=method),
              {"X-Accel-Redirect": "/.m/blog/public/a/style.css"})
    equal(handed("/blog/docs/", "x-accel:/.m"),
          {"X-Accel-Redirect": "/.m/blog/public/docs/index.html"})
    equal(handed("/blog/a/two%20words%25.txt", "x-accel:/m/"),
          {"X-Accel-Redirect": "/m/blog/public/a/two%20words%25.txt"})
    equal(handed("/site/static/x.css", "x-accel:/m/"),
          {"X-Accel-Redirect": "/m/site/collected/x.css"})
    got = m.get("/blog/a/style.css", MAMAYO_SENDFILE="x-sendfile")
    equal(got.header("Content-Type"), "text/css; charset=utf-8")
    by_app("/blog/nothing", MAMAYO_SENDFILE="x-sendfile")
    by_app("/blog/.secret", MAMAYO_SENDFILE="x-sendfile")
    equal(m.get("/blog/out.py", MAMAYO_SENDFILE="x-sendfile").status, 404)


@test("MAMAYO_SENDFILE: not of what a link leads to, nor of odd names, nor by "
      "odd words")
def _():
    equal(handed("/blog/b/style.css", "x-sendfile"), {})
    equal(handed("/inside/hostname", "x-accel:/m/"), {})
    put("caf\udce9.txt".encode("utf-8", "surrogateescape").decode(
        "utf-8", "surrogateescape"), "latin")
    equal(handed("/blog/caf%E9.txt", "x-sendfile"), {})
    put("line\nfeed.txt", "odd")
    equal(handed("/blog/line%0Afeed.txt", "x-sendfile"), {})
    for how in ("", "x", "X-SENDFILE", "x-accel", "x-accel:", "x-accel:m/",
                "local:", "local:m", "local", "x-sendfile:/x"):
        equal(handed("/blog/a/style.css", how), {}, how)


LEAST = 256 * 1024  # bytes of what is left to Apache
LARGE = "x" * LEAST


def docroot(name):
    """A document root, and the parameters of a request below it."""
    os.chmod(m.dir, 0o755)  # Apache may go to what others may read
    root = os.path.join(m.dir, name)
    os.makedirs(root)
    return root, {"DOCUMENT_ROOT": root, "SERVER_SOFTWARE": "Apache/2.4.57",
                  "SCRIPT_FILENAME": root + "/mamayo.fcgi"}


@test("MAMAYO_SENDFILE=local: only where the same file lies below the root")
def _():
    root, how = docroot("docroot")
    os.makedirs(os.path.join(root, "static"))
    m.app("tools/wiki", APP)
    put("x.css", LARGE, where="tools/wiki/public")
    put("a/large.css", LARGE)
    within(5, lambda: m.get("/tools/wiki/").header("X-By"))
    how["how"] = "local:/static/"
    equal(handed("/blog/a/large.css", **how), {})
    os.symlink(m.path("apps/blog/public"), os.path.join(root, "static/blog"))
    os.symlink(m.path("apps/tools/wiki/public"),
               os.path.join(root, "static/tools:wiki"))
    os.symlink(m.path("apps/blog/public"), os.path.join(root, "static/site"))
    equal(handed("/blog/a/large.css", **how),
          {"Location": "/static/blog/a/large.css"})
    equal(handed("/tools/wiki/x.css", **how),
          {"Location": "/static/tools:wiki/x.css"})
    equal(handed("/blog/b/large.css", **how), {})  # by way of a link
    equal(handed("/site/static/x.css", **how), {})
    equal(handed("/site/x.css", **how), {})
    for more in ({"SERVER_SOFTWARE": "LiteSpeed"}, {"DOCUMENT_ROOT": m.dir},
                 {"how": "local:/static"}, {"how": "local:mamayo-files/"}):
        equal(handed("/blog/a/large.css", **dict(how, **more)), {}, str(more))
    equal(m.get("/blog/out.py", MAMAYO_SENDFILE="local:/static/",
                DOCUMENT_ROOT=root).status, 404)


@test("MAMAYO_SENDFILE=local: links are made beside mamayo.fcgi, in a directory"
      " that is for them")
def _():
    root, how = docroot("beside")
    how["how"] = "local:mamayo-files/"
    files = os.path.join(root, "mamayo-files")
    os.makedirs(files)
    equal(handed("/blog/a/large.css", **how), {})
    equal(os.listdir(files), [])
    open(os.path.join(files, ".htaccess"), "w").close()
    put("large.css", LARGE, where="tools/wiki/public/a")
    for script, base in (("/mamayo.fcgi", ""), ("/sub/mamayo.fcgi", "/sub")):
        how["SCRIPT_NAME"] = script
        for name, link in ("blog", "blog"), ("tools/wiki", "tools:wiki"):
            equal(handed("%s/%s/a/large.css" % (base, name), **how),
                  {"Location": base + "/mamayo-files/" + link
                   + "/a/large.css"})
            equal(os.readlink(os.path.join(files, link)),
                  m.path("apps", name, "public"))
    equal(sorted(os.listdir(files)), [".htaccess", "blog", "tools:wiki"])
    # another one has that name
    os.unlink(os.path.join(files, "blog"))
    os.symlink(m.path("apps/blog"), os.path.join(files, "blog"))
    equal(handed("/sub/blog/a/large.css", **how), {})
    os.unlink(os.path.join(files, "blog"))
    os.mkdir(os.path.join(files, "blog"))
    equal(handed("/sub/blog/a/large.css", **how), {})
    os.rmdir(os.path.join(files, "blog"))
    # it cannot be made
    os.chmod(files, 0o500)
    equal(handed("/sub/blog/a/large.css", **how), {})
    os.chmod(files, 0o755)
    equal(len(handed("/sub/blog/a/large.css", **how)), 1)


@test("MAMAYO_SENDFILE=local: nothing of which Apache could make more than a "
      "file, nor what it may not read")
def _():
    root, how = docroot("careful")
    how.update(how="local:mamayo-files/", SCRIPT_NAME="/mamayo.fcgi")
    os.makedirs(os.path.join(root, "mamayo-files"))
    open(os.path.join(root, "mamayo-files", ".htaccess"), "w").close()
    for name in ("x.js", "x.min.js", "x.0123456789ab.css", "x.PNG",
                 "x.01234567.min.js", "x y.pdf"):
        put("more/" + name, LARGE)
        equal(len(handed("/blog/more/" + name.replace(" ", "%20"), **how)), 1,
              name)
    for name in ("x.php", "x.php.css", "x.css.php", "x.html", "x.txt", "x",
                 "x.fcgi", "x.cgi.png", "x.gz.js", "x.en.css", "x.css.gz",
                 "x.0123456.css", "x.mini.js", "x..css", "x.shtml", "x.css."):
        put("more/" + name, LARGE)
        equal(handed("/blog/more/" + name, **how), {}, name)
    for path in ("more/x.js", "more", "", "..", "../.."):
        path = os.path.normpath(m.path("apps/blog/public", path))
        mode = os.stat(path).st_mode
        for less in 0o004, 0o001, 0o040, 0o010:
            if os.path.isdir(path) == (less in (0o001, 0o010)):
                os.chmod(path, mode & ~less)
                equal(handed("/blog/more/x.js", **how), {}, path)
        os.chmod(path, mode)
    for path in "more", "":
        rules = m.write(os.path.join("apps/blog/public", path, ".htaccess"),
                        "")
        equal(handed("/blog/more/x.js", **how), {}, path)
        os.unlink(rules)
    put("more/x.js", LARGE[1:])
    equal(handed("/blog/more/x.js", **how), {})
    put("more/x.js", LARGE + "x")
    m.write("apps/blog/.htaccess", "")  # where Apache does not look
    equal(len(handed("/blog/more/x.js", **how)), 1)


@test("an application at / and one for a host have theirs, the longer mount "
      "first")
def _():
    m.app("ROOT", APP)
    put("robots.txt", "root", where="ROOT/public")
    put("blog/a/style.css", "wrong", where="ROOT/public")
    m.app("@example.com/shop", APP)
    put("x.txt", "shop", where="@example.com/shop/public")
    within(5, lambda: m.get("/robots.txt").body == b"root")
    by_us("/robots.txt", b"root")
    by_us("/blog/a/style.css", b"p { margin: 0 }")
    by_us("/shop/x.txt", b"shop", HTTP_HOST="example.com")
    by_app("/shop/x.txt")


run()
