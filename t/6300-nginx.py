"""Behind nginx, in front of mamayo listen: the whole table with kept
connections, the start of it without them."""
import through
from harness import equal, run, test
from mamayo import Mamayo
from servers import Nginx

m = Mamayo(workers={"max": 4})
server = Nginx(m)
m.listen()

through.tests("nginx", m, server, encoded_slash="/a/b",
              longest_body=64 * through.MIB, too_long=413, shows_cuts=True)


def ready(s):
    return s if s.process else s.start()


@test("nginx: what it passes that no application should see is dropped")
def _():
    s = ready(server)
    got = through.data(s.get("/blog/environ", headers={
        "Proxy": "http://evil", "X-Foo": "a"}))
    for name in ("HTTP_PROXY", "CONTENT_LENGTH", "CONTENT_TYPE",
                 "REMOTE_USER"):
        equal(got.get(name), None, name)
    with s.raw(b"GET /blog/environ HTTP/1.1\r\nHost: x\r\nX-Foo: a\r\n"
               b"X-Foo: b\r\nCookie: a=1\r\nCookie: b=2\r\n"
               b"Connection: close\r\n\r\n") as c:
        text = b""
        while True:
            some = c.recv(65536)
            if not some:
                break
            text += some
    got = text.decode()
    assert '"HTTP_X_FOO": "a, b"' in got, got
    assert '"HTTP_COOKIE": "a=1; b=2"' in got, got


@test("nginx: HEAD on kept connections stays in step")
def _():
    s = ready(server)
    for i in range(50):
        got = s.get("/blog/download?size=200000&name=head%d" % i, "HEAD")
        equal((got.status, got.body), (200, b""))
        equal(s.get("/blog/path?%d" % i).body.decode().count(
            '"query": "%d"' % i), 1)


@test("nginx: connections are kept, 2000 requests use few")
def _():
    s = ready(server)
    c = s.connect()
    for _ in range(2000):
        c.request("GET", "/blog/unread")
        r = c.getresponse()
        equal((r.status, r.read()), (200, b"did not look"))
    c.close()


def without():
    mine = Mamayo(workers={"max": 4})
    other = Nginx(mine, keep=False)
    mine.listen()
    return mine, other


other_m, other = without()
through.tests("nginx without keep_conn", other_m, other,
              encoded_slash="/a/b", longest_body=64 * through.MIB,
              too_long=413)


through.warm("nginx", Nginx, through.listen_again)
through.end("nginx", m, server, spawns=False)
through.end("nginx without keep_conn", other_m, other, spawns=False)

run()
