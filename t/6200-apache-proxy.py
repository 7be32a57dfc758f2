"""Behind Apache's mod_proxy_fcgi, in front of mamayo listen."""
import through
from harness import equal, run, test
from mamayo import Mamayo
from servers import ApacheProxy

m = Mamayo(workers={"max": 4})
server = ApacheProxy(m)
m.listen()

through.tests("proxy", m, server, encoded_slash=404,
              longest_body=64 * through.MIB, too_long=None, shows_cuts=True)


@test("proxy: 70 kB of headers arrive, in several records")
def _():
    s = server if server.process else server.start()
    many = {"X-%d" % i: "y" * 7000 for i in range(10)}
    got = through.data(s.get("/blog/environ", headers=many))
    equal([n for n in many if got["HTTP_" + n.upper().replace("-", "_")]
           != many[n]], [])


@test("proxy: a Location with 200 passes to the visitor")
def _():
    s = server if server.process else server.start()
    got = s.get("/blog/redirect?to=/blog/x&code=200+OK")
    equal((got.status, got.header("Location")), (200, "/blog/x"))


@test("proxy: 3000 small requests, no error")
def _():
    s = server if server.process else server.start()

    def many(i):
        c = s.connect()
        for _ in range(300):
            c.request("GET", "/blog/unread")
            r = c.getresponse()
            equal((r.status, r.read()), (200, b"did not look"))
        c.close()
    through.fcgi.each(10, many)


through.warm("proxy", ApacheProxy, through.listen_again)
through.end("proxy", m, server, spawns=False)

run()
