"""Behind lighttpd, which starts mamayo.fcgi itself."""
import os

import through
from harness import equal, run, test, within
from mamayo import Mamayo
from servers import Lighttpd

m = Mamayo(workers={"max": 4})
server = Lighttpd(m)


@test("lighttpd: with max-procs 1 there is no process before the first request,"
      " one responder after")
def _():
    mine = Mamayo()
    mine.app("blog")
    s = Lighttpd(mine, most=1).start()
    equal(mine.processes(), {})
    equal(s.get("/blog/unread").status, 200)
    report = mine.status()
    equal(len(report["responders"]), 1)
    assert report["supervisor"]["pid"] in mine.processes()
    s.stop()
    within(60, lambda: not mine.processes(), "the end of everything")
    equal(s.sockets(), [], "sockets")


@test("lighttpd: with max-procs 4 there is still one supervisor")
def _():
    mine = Mamayo(workers={"max": 2})
    mine.app("blog")
    s = Lighttpd(mine, most=4).start()
    equal(s.get("/blog/unread").status, 200)
    through.fcgi.each(16, lambda i: equal(
        s.get("/blog/sleep?seconds=0.2").body, b"slept"))
    report = mine.status()
    equal(len(report["responders"]), 4)
    assert len(mine.workers("blog")) <= 2
    equal(mine.lock_holder(), report["supervisor"]["pid"])
    s.stop()
    within(60, lambda: not mine.processes(), "the end of everything")
    equal(s.sockets(), [], "sockets")


through.tests("lighttpd", m, server, encoded_slash="/a/b",
              longest_body=64 * through.MIB, too_long=None)


@test("lighttpd: a killed responder costs what it carried, the next is fine")
def _():
    s = server if server.process else server.start()
    equal(s.get("/blog/unread").status, 200)
    old = m.status()["responders"][0]["pid"]
    workers = m.workers("blog")
    os.kill(old, 9)
    within(20, lambda: s.get("/blog/unread").status == 200)
    equal([w for w in m.workers("blog") if w not in workers], [])
    assert m.status()["responders"][0]["pid"] != old


through.warm("lighttpd", Lighttpd)
through.end("lighttpd", m, server, spawns=True)

run()
