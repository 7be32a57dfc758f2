"""Mail to the account's owner, when an application is in trouble."""
import os
import re
import signal
import time

from harness import equal, run, test, within
from mamayo import Mamayo, gone, kill

BROKEN = "raise ImportError('no module\\r\\nBcc: them@example.org\\x1b[2J')\n"


def sendmail(m, script="cat >mails/$$.new; mv mails/$$.new mails/$$.mail"):
    """What it reads goes to a file."""
    os.makedirs(m.path("mails"), exist_ok=True)
    return m.write("sendmail", "#!/bin/sh\n%s\n" % script, 0o755)


def account(script=None, mail="me@example.org", **settings):
    m = Mamayo()
    m.tuned = dict(settings, mail=mail, sendmail=(
        sendmail(m, script) if script else sendmail(m)))
    if mail is None:
        del m.tuned["mail"]
    m.settings(**m.tuned)
    m.app("blog")
    m.start()
    return m


def mails(m):
    found = []
    for name in sorted(os.listdir(m.path("mails"))):
        if name.endswith(".mail"):
            with open(m.path("mails", name), newline="") as f:
                found.append(f.read())
    return found


def subjects(m):
    return sorted(re.search(r"^Subject: \[mamayo\] (.*) \(.*\)$", text,
                            re.M).group(1) for text in mails(m))


def crash(m, app="blog"):
    pid = int(m.text("/%s/pid" % app))
    kill(pid)
    gone(pid)
    within(10, lambda: "worker %d ended" % pid in m.log())


# These take half a minute: they begin here and end in their tests.
lasting = account()
lasting.app("broken", BROKEN)
lasting.app("mended", "1 / 0\n")
lasting.served()
begun = time.monotonic()
equal(lasting.get("/broken").status, 503)
equal(lasting.get("/mended").status, 503)
lasting.app("mended")  # which nobody has asked for since


@test("workers crash: one message at the third, and one in an hour, also of"
      " another supervisor")
def _():
    m = account()
    for _ in range(2):
        crash(m)
    equal(mails(m), [])
    crash(m)
    within(10, lambda: subjects(m) == ["workers of blog crash"], "a message")
    text = mails(m)[0]
    for part in ("\nTo: me@example.org\n", "\nAuto-Submitted: auto-generated"):
        equal(part in "\n" + text, True, text)
    for part in ("killed by signal 9", m.path("logs", "blog.log"),
                 "mamayo logs blog", "The last lines of the application's log:"
                 "\n\n"):
        equal(part in text.partition("\n\n")[2], True, text)
    for _ in range(7):
        crash(m)
    pid = m.supervisor()
    kill(pid)
    gone(pid)
    for _ in range(3):
        crash(m)
    equal(m.supervisor() != pid, True)
    m.app("other")
    for _ in range(3):
        crash(m, "other")
    within(10, lambda: len(mails(m)) > 1, "a message about the other")
    equal(subjects(m), ["workers of blog crash", "workers of other crash"])
    equal(os.stat(m.path("state", "_mail.json")).st_mode & 0o777, 0o600)


@test("R-SEC5 sendmail has its message, its output, and nothing else of ours")
def _():
    m = account("ls -l /proc/$$/fd >fds.new; cat >/dev/null; mv fds.new fds")
    for _ in range(3):
        crash(m)
    place = m.path("fds")
    within(10, lambda: os.path.exists(place), "the list")
    with open(place) as f:
        held = dict(re.findall(r" (\d+) -> (.*)", f.read()))
    known = [held[n] for n in ("0", "1", "2")]
    # a shell keeps its script, and what it has redirected, under high numbers
    equal([to for to in held.values() if to not in known
           and to != m.path("sendmail")], [], repr(held))


@test("a worker that is stuck is worth a message at once")
def _():
    m = account(timeout=1)
    equal(m.get("/blog/sleep?seconds=60").status, 504)
    within(10, lambda: subjects(m) == ["a worker of blog was stuck"])
    equal("silent for 1 seconds" in mails(m)[0], True)
    equal(m.get("/blog/sleep?seconds=60").status, 504)
    within(10, lambda: m.log().count("ended while it answered") == 2)
    m.served()
    equal(len(mails(m)), 1)


@test("nobody is asked for, and a stop or a start is no incident")
def _():
    m = account(mail=None)
    for _ in range(4):
        crash(m)
    equal((mails(m), os.path.exists(m.path("state"))), ([], False))
    # from now on somebody is
    m.settings(**dict(m.tuned, mail="me@example.org"))
    crash(m)
    crash(m)
    within(10, lambda: len(mails(m)) == 1)
    for _ in range(4):
        equal(m.command("stop", "blog").returncode, 0)
        equal(m.command("start", "blog").returncode, 0)
        m.served()
    equal(len(mails(m)), 1)


@test("sendmail that hangs stalls nothing, and is killed")
def _():
    m = account("echo $$ >mails/pid; exec sleep 1000")
    for _ in range(3):
        crash(m)
    within(10, lambda: os.path.exists(m.path("mails", "pid")))
    with open(m.path("mails", "pid")) as f:
        pid = int(f.read())
    begin = time.monotonic()
    crash(m)
    m.served()
    equal(time.monotonic() - begin < 5, True)
    within(30, lambda: "had not ended after 10 seconds" in m.log())
    gone(pid)
    equal(m.log().count("no mail to"), 1)
    m.served()


@test("sendmail that is missing or fails is one line in the log")
def _():
    for script, words in (("exit 75", "exit status 75"),
                          ("echo that is no address >&2; exit 65",
                           "exit status 65: that is no address"),
                          (None, "No such file or directory")):
        m = account(script)
        if script is None:
            os.unlink(m.path("sendmail"))
        for _ in range(4):
            crash(m)
        within(10, lambda: words in m.log(), words)
        m.served()
        equal(m.log().count("no mail to"), 1)


@test("a supervisor that leaves lets a message go first")
def _():
    m = account("sleep 2; cat >mails/1.mail", linger=0)
    for _ in range(3):
        crash(m)
    pid = m.supervisor()
    kill(pid, signal.SIGTERM)
    gone(pid, 20)
    equal(subjects(m), ["workers of blog crash"])


@test("an address that is none: mamayo.log says so, the last one stays")
def _():
    m = account()
    m.served()
    m.settings(**dict(m.tuned, mail="-oQ/tmp me@example.org"))
    for _ in range(3):
        crash(m)
    within(10, lambda: len(mails(m)) == 1)
    equal('"mail" must be one mail address' in m.log(), True)
    equal("\nTo: me@example.org\n" in "\n" + mails(m)[0], True)


@test("an application that cannot be started is worth a message when that"
      " lasts, and not if its files have changed")
def _():
    m = lasting
    for _ in range(9):
        equal(m.get("/broken").status, 503)
    if time.monotonic() - begun < 20:
        equal(mails(m), [])
    within(60, lambda: mails(m), "a message")
    equal(time.monotonic() - begun > 29, True)
    equal(subjects(m), ["broken cannot be started"])
    head, _, body = mails(m)[0].partition("\n\n")
    equal(("Bcc" in head, "\r" in mails(m)[0], "\x1b" in mails(m)[0]),
          (False, False, False))
    equal("Bcc: them@example.org" in body, True, body)
    within(10, lambda: m.status_of("mended")["state"] == "failing")
    m.served("mended")
    equal(m.get("/broken").status, 503)
    equal(len(mails(m)), 1)


run()
