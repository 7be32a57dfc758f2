"""What dies costs what it held and nothing else: twenty seconds of t/soak.py
with one seed, and the oracle itself (t/oracle.py)."""
import soak
from harness import equal, run, test
from oracle import Kill, Oracle, Request

SECONDS, SEED = 20, "6500"


def made_up(*requests, kills=(), status=200, error=None, called=1, pid=7,
            **how):
    """The oracle's problems with requests from 1 s to 2 s."""
    o = Oracle("made up")
    o.kills, journal = list(kills), []
    vars(o).update(how)
    for number in requests:
        r = Request(number)
        page = b"HTTP/1.0 %d x\r\n" % status
        if error:
            page += b"X-Mamayo-Error: %s\r\n" % error
        body = b"right" if status == 200 else b"page"
        r.began, r.ended = 1, 2
        r.answered(page + b"\r\n" + body, b"right")
        o.requests.append(r)
        journal += ["called %d %d" % (number, pid)] * called
        if status == 200:
            journal += ["ended %d %d" % (number, pid)] * called
    return len(o.problems(journal))


def killed(kind, at=1.5, busy=True, url="/1", pid=7):
    return Kill(kind, pid, at, at,
                {"busy": busy, "url": url} if kind == "worker" else None)


@test("the oracle allows what is allowed")
def _():
    equal(made_up(1, 2), 0)
    for page in ({"status": 502, "error": b"died"}, {"status": 500}):
        equal(made_up(1, kills=[killed("worker")], **page), 0)
        equal(made_up(1, kills=[killed("worker")], called=0, **page), 0)
        equal(made_up(1, kills=[killed("worker", busy=False)], called=0,
                      **page), 0)
    equal(made_up(1, 2, 3, kills=[killed("responder")], status=500), 0)
    equal(made_up(1, kills=[killed("responder")], most=1, status=500), 0)
    for kind in "worker", "responder":
        equal(made_up(1, kills=[killed(kind, at=0.95)], status=500, called=0,
                      keeps=True), 0)
    equal(made_up(1, kills=[killed("worker", at=0.6)], status=500, called=0,
                  keeps=True), 0)
    equal(made_up(1, kills=[killed("responder", at=0.5)], status=503,
                  called=0, away=1), 0)
    equal(made_up(1, kills=[killed("responder")], status=503, called=0,
                  away=1), 0)


@test("the oracle finds what is lost, wrong or done twice")
def _():
    lost = {"status": 500}
    died = {"status": 502, "error": b"died"}
    equal(made_up(1, **lost), 1)
    equal(made_up(1, kills=[killed("supervisor")], **lost), 1)
    equal(made_up(1, kills=[killed("graceful")], **lost), 1)
    equal(made_up(1, kills=[killed("graceful")], status=503, called=0), 1)
    equal(made_up(1, kills=[killed("upgrade")], called=0, **lost), 1)
    equal(made_up(1, called=0), 1)  # served by nobody
    equal(made_up(1, called=2), 1)
    for status, error in ((503, b"busy"), (504, b"timeout"), (502, b"busy"),
                          (503, None), (404, None)):
        for kind in soak.KINDS:
            equal(made_up(1, kills=[killed(kind)], status=status,
                          error=error), 1)
    for k in (killed("worker", at=0.9), killed("worker", at=2.1),
              killed("worker", url="/2"), killed("worker", busy=False),
              killed("worker", pid=8)):
        equal(made_up(1, kills=[k], **died), 1)
    # one kill, two requests
    equal(made_up(1, 2, kills=[killed("worker", busy=False)], called=0,
                  **died), 1)
    equal(made_up(1, 2, kills=[killed("responder")], most=1, **lost), 1)
    equal(made_up(1, kills=[killed("responder", at=0.9)], **lost), 1)
    equal(made_up(1, kills=[killed("responder", at=0.95)], keeps=True,
                  **lost), 1)  # it was called
    equal(made_up(1, kills=[killed("responder", at=0.5)], called=0,
                  keeps=True, **lost), 1)
    equal(made_up(1, kills=[killed("worker", at=0.4)], called=0,
                  keeps=True, **lost), 1)
    equal(made_up(1, 2, kills=[killed("worker", at=0.6)], called=0,
                  keeps=True, **lost), 1)  # the same kill
    equal(made_up(1, 2, kills=[killed("worker", at=0.6),
                               killed("worker", at=0.7)],
                  called=0, keeps=True, **lost), 1)  # too many of these
    equal(made_up(1, kills=[killed("responder", at=0.5)], status=503,
                  called=0, away=0.4), 1)
    equal(made_up(1, kills=[killed("responder", at=0.5)], status=503,
                  away=1), 1)  # it was called
    r, o = Request(1), Oracle("made up")
    r.answered(b"HTTP/1.0 200 OK\r\n\r\nsomebody else's", b"right")
    o.requests.append(r)
    o.kills = [killed("worker", at=0), killed("responder", at=0)]
    equal(len(o.problems(["called 1 7", "ended 1 7"])), 1)


@test("faults 52 and 57: twenty seconds of kills behind lighttpd, mod_fcgid and"
      " nginx: each costs what it held, and a supervisor nothing")
def _():
    table = []
    problems = soak.soak(SECONDS, SEED, say=table.append)
    for line in table + problems:
        print("# " + line)
    equal(problems, [])
    for stand in soak.STANDS:
        for kind in soak.KINDS:
            assert any(line.split()[:2] == [stand.server_name, kind]
                       for line in table), (stand, kind)


def nothing_lost(what, scale):
    table = []
    problems = soak.measure(scale, SEED, what, say=table.append)
    for line in table + problems:
        print("# " + line)
    equal(problems, [])
    assert len(table) > 2, table


@test("fault 61: graceful restarts of Apache under load: who had come to the"
      " application is answered")
def _():
    nothing_lost("graceful", 0.1)


@test("fault 71: another program in the place of mamayo.fcgi, under load:"
      " nothing is lost, mod_fcgid's next responder is the new one")
def _():
    nothing_lost("upgrade", 0.5)


run()
