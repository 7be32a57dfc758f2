"""What an application gives to wsgi.file_wrapper, the web server sends where it
can be told to: X-Sendfile, and X-Accel-Redirect to a place of its own."""
import os
import time

from harness import equal, run, test, within
from mamayo import Mamayo
from servers import ApacheFcgid, Lighttpd, Nginx

APP = r"""
import json
import os
from urllib.parse import parse_qs

def application(environ, start_response):
    query = {k: v[0] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
    path = query["path"]
    size = os.stat(path).st_size
    headers = [("Content-Type", query.get("type", "text/x-mine"))]
    if "length" in query:
        headers.append(("Content-Length", str(size + int(query["length"]))))
    headers += [tuple(h) for h in json.loads(query.get("headers", "[]"))]
    file = open(path, query.get("mode", "rb"))
    file.seek(int(query.get("seek", 0)))
    with open("called", "a") as f:
        f.write(environ["REQUEST_METHOD"] + "\n")
    if "unlink" in query:
        os.unlink(path)
    start_response(query.get("status", "200 OK"), headers)
    return environ["wsgi.file_wrapper"](file)
"""
DATA = os.urandom(1 << 20) * 3


def put(m, name, text=DATA, mode=0o644):
    path = m.write(name, text, mode)
    return path


def account(**settings):
    m = Mamayo(**settings)
    m.app("blog", APP)
    put(m, "apps/blog/media/a b%.bin")
    put(m, "apps/blog/private.bin", mode=0o600)
    put(m, "apps/blog/small.bin", DATA[:65536])
    put(m, "outside.bin")
    os.symlink("../blog/media/a b%.bin", m.path("apps", "blog", "link.bin"))
    os.symlink("../../outside.bin", m.path("apps", "blog", "out.bin"))
    within(20, lambda: time.time() - os.stat(m.path(
        "outside.bin")).st_ctime > 2.1, "the files to be old enough")
    return m


m = account()
m.start()
FILE = "path=media/a%20b%25.bin"


def told(query, how, **more):
    """The header by which the web server is told, or None and the body."""
    got = m.get("/blog/x?" + query, MAMAYO_SENDFILE=how, **more)
    found = [got.header(name) for name in ("X-Sendfile", "X-Accel-Redirect",
                                           "Location")
             if got.header(name) is not None]
    if not found:
        return None, got
    equal((got.body, got.header("Content-Length")), (b"", None), query)
    return found[0], got


@test("the file is told of, with the application's own header fields")
def _():
    for how, place in (("x-accel:/.m/", "/.m"), ("x-accel:/.m", "/.m"),
                       ("x-sendfile", m.path("apps"))):
        for query in (FILE, FILE + "&length=0"):
            path, got = told(query, how)
            equal(path, place + "/blog/media/a%20b%25.bin", query)
            equal((got.status, got.header("Content-Type")),
                  (200, "text/x-mine"))
    path, got = told(FILE + '&headers=[["X-Mine","1"],["ETag","\\"x\\""]]',
                     "x-sendfile")
    assert path is not None
    equal((got.header("X-Mine"), got.header("ETag")), ("1", '"x"'))


@test("without the accelerator, too")
def _():
    m.app("plain", APP, accel=False)
    put(m, "apps/plain/x.bin")
    time.sleep(2.1)
    got = m.get("/plain/x?path=x.bin", MAMAYO_SENDFILE="x-accel:/m/")
    equal(got.header("X-Accel-Redirect"), "/m/plain/x.bin")


def kept(query, how, status=200, body=DATA, **more):
    path, got = told(query, how, **more)
    equal((path, got.status, got.body == body), (None, status, True),
          (query, how, len(got.body)))


@test("what would not be the same answer, we send")
def _():
    for how in ("x-accel:/m/", "x-sendfile"):
        kept(FILE + "&seek=1000", how, body=DATA[1000:])
        kept(FILE + "&status=206%20Partial", how, 206)
        kept(FILE + "&length=-10", how, body=DATA[:-10])
        kept(FILE + '&headers=[["Content-Encoding","gzip"]]', how)
        kept(FILE + '&headers=[["Content-Range","bytes+0-1/2"]]', how)
        kept(FILE, how, body=b"", method="HEAD")
        kept(FILE, how, method="POST")
        kept("path=small.bin", how, body=DATA[:65536])
    for name in ("Content-Security-Policy", "Vary", "X-Mine",
                 "Access-Control-Allow-Origin"):
        kept(FILE + '&headers=[["%s","x"]]' % name, "x-accel:/m/")
    for how in ("", "local:/m/", "x-accel", "x-accel:", "x-accel:m",
                "x-sendfile:/etc", "x-sendfile:", "X-Sendfile", "on"):
        kept(FILE, how)


@test("files of other places, that nobody else can read, that are new, or that "
      "go away, we send")
def _():
    for how in ("x-accel:/m/", "x-sendfile"):
        kept("path=private.bin", how)
        kept("path=out.bin", how)
        put(m, "apps/blog/new.bin")
        kept("path=new.bin", how)
    os.rename(m.path("apps/blog/new.bin"), m.path("apps/blog/gone.bin"))
    time.sleep(2.1)
    kept("path=gone.bin&unlink=1", "x-sendfile")
    path, _ = told("path=link.bin", "x-sendfile")
    equal(path, m.path("apps/blog/media/a%20b%25.bin"))


def behind(name, make, handed):
    @test("%s: %s" % (name, "it sends the file, whatever part is asked for"
                      if handed else "the file comes through us"))
    def _():
        mine = account()
        server = make(mine).start()
        uri = "/blog/x?" + FILE
        got = server.get(uri)
        equal((got.status, got.body == DATA), (200, True), got)
        equal(got.header("Content-Type"), "text/x-mine")
        for header in ("X-Sendfile", "X-Accel-Redirect"):
            equal(got.header(header), None)
        equal(got.header("Last-Modified") is not None, handed)
        got = server.get(uri, headers={"Range": "bytes=100-199"})
        equal((got.status, got.body), (206, DATA[100:200]) if handed
              else (got.status, got.body))
        got = server.get(uri + '&headers=[["X-Mine","1"],'
                         '["Content-Disposition","attachment"]]')
        equal((got.body == DATA, got.header("X-Mine"),
               got.header("Content-Disposition")), (True, "1", "attachment"))
        for query in ("path=private.bin", "path=out.bin"):
            equal(server.get("/blog/x?" + query).body, DATA, query)
        for path in ("/.mamayo/blog/media/a%20b%25.bin",
                     "/.mamayo/blog/application.py"):
            got = server.get(path)
            equal(got.status, 404, path)
        server.stop()
        mine.end()


def listening(make):
    def listen(mine):
        mine.listen()
        return make(mine)
    return listen


behind("lighttpd", Lighttpd, True)
behind("nginx", listening(Nginx), True)
behind("mod_fcgid", ApacheFcgid, False)


@test("nginx: what it may not read, it asks us for")
def _():
    mine = account()
    mine.listen()
    server = Nginx(mine)
    argv = server.argv()
    conf = server.path("mamayo.conf")
    with open(conf) as f:
        text = f.read()
    with open(conf, "w") as f:  # a place where nothing is to be read
        f.write(text.replace("alias %s/apps/" % mine.root,
                             "alias %s/nowhere/" % mine.root))
    server.argv = lambda: argv
    server.start()
    equal(server.get("/blog/x?" + FILE).body == DATA, True)
    with open(mine.path("apps/blog/called")) as f:
        equal(f.read(), "GET\nGET\n")
    server.stop()
    mine.end()


run()
