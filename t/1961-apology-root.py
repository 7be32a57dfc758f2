"""What only root, or a second account, can show of fcgi/apology."""
import os

from harness import Skip, equal, run, test
from mamayo import Mamayo


def account(name):
    if os.geteuid() != 0:
        raise Skip("only root can do that")
    return int(os.environ.get(name) or {"MAMAYO_USER": 65534,
                                        "MAMAYO_OTHER": 65533}[name])


def is_apology(got, *words):
    equal((got.status, got.error), (500, "refused"))
    for word in words:
        if word not in got.body.decode("utf-8"):
            raise AssertionError("%r is not in %r" % (word, got.body))


@test("started by root it says so, serves nobody and makes nothing")
def _():
    account("MAMAYO_USER")
    m = Mamayo()
    m.app("blog")
    pid, = m.start()
    for _ in range(3):
        is_apology(m.get("/blog/"), "does not serve as root")
    m.kill_responder()
    equal(sorted(os.listdir(m.root)), ["apps", "mamayo.json"])


for what in "run", "logs":
    @test("%s/ of another account is refused, until it is removed" % what)
    def _(what=what):
        m = Mamayo(user=account("MAMAYO_USER"))
        m.app("blog")
        os.mkdir(m.path(what), 0o700)
        os.chown(m.path(what), account("MAMAYO_OTHER"), -1)
        pid, = m.start()
        for _ in range(3):
            is_apology(m.get("/blog/"), "belongs to another user (uid %d)"
                       % account("MAMAYO_OTHER"), "/mamayo/" + what)
        os.rmdir(m.path(what))
        if m.get("/blog/pid").status != 200:  # it had looked before
            equal(m.get("/blog/pid").status, 200)
        equal(m.ended(pid), None)


run()
