"""Applications that do what no application should: it costs them, and nobody
else."""
import os
import re
import socket

from harness import Skip, equal, run, test, within
from mamayo import Mamayo

m = Mamayo()
m.app("blog")
m.start()


@test("an app that shuts its queue down costs itself a start, nobody else"
      " anything")
def _():
    m.app("shuts", """
        import os, socket

        def application(environ, start_response):
            socket.socket(fileno=os.dup(4)).shutdown(socket.SHUT_RDWR)
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        """)
    m.served()
    supervisor = m.supervisor()
    equal(len({m.text("/shuts") for _ in range(3)}), 3, "processes")
    m.served()
    equal(m.supervisor(), supervisor)
    equal("has shut its queue down" in m.log(), True)


@test("a process that lets go of its supervisor is a 502 at once, whoever"
      " else holds its answer")
def _():
    m.app("lets", """
        import os, time

        def application(environ, start_response):
            if os.fork() == 0:
                os.close(3)
                os.setsid()
                while not os.path.exists(
                        os.environ["MAMAYO_TEST"] + "/child"):
                    time.sleep(0.005)
                os._exit(0)
            time.sleep(0.2)
            os.close(3)
            time.sleep(60)
        """)
    got = m.get("/lets")  # gives up long before queue_timeout
    m.open_gate("child")
    equal((got.status, got.error), (502, "died"))


@test("a failing app that writes into its own directory is not started by"
      " every request")
def _():
    m.app("writes", """
        import os, time

        parent = os.getpid()
        if os.fork() == 0:
            os.closerange(0, 64)
            while os.getppid() == parent:
                time.sleep(0.005)
            time.sleep(0.02)
            os.close(os.open("ended%d" % parent, os.O_CREAT))
            os._exit(0)
        with open(os.environ["MAMAYO_TEST"] + "/journal", "a") as f:
            f.write("import writes\\n")
        raise RuntimeError("no")
        """)

    def starts():
        return m.journal().count("import writes")

    def ended():
        return len([name for name in os.listdir(m.path("apps", "writes"))
                    if name.startswith("ended")])
    for _ in range(25):
        equal(m.get("/writes").error, "cannot-start")
        within(10, lambda: ended() == starts(), "its file to be written")
    equal(starts() < 20, True, "%d starts" % starts())


@test("values in \"environ\" that cannot be passed on: it says so, at once")
def _():
    m.app("values", start_timeout=60, stop_timeout=1,
          environ={"x.y": "z" * 70000})
    got = m.get("/values/unread")  # gives up long before start_timeout
    equal((got.status, got.error), (503, "cannot-start"))
    equal('"environ"' in m.log("values") + m.log(), True, m.log("values"))
    m.served()
    os.unlink(m.path("apps", "values", "mamayo.json"))
    m.served("values")


NAMES = """
    import array, json, os, socket

    # as somebody who hopes that one of them is looked at
    KEYS = ("name path socket sock address log board page directory program"
            " base public generation pid parent python entry why pure modules"
            " text detail queue apps watch role version id").split()
    KINDS = ("ready imported lent changed unwanted attach hello queue"
             " adopt socket withdraw look active taken ping status stop start"
             " restart fork forked log environ learn lend routes failed").split()

    def messages(trap, pid):
        for kind in KINDS:
            for value in (trap + "/file", trap + "/sock", trap + "/fifo",
                          "unix:" + trap + "/sock", pid, [trap + "/file"],
                          {"name": trap + "/file"}):
                message = dict.fromkeys(KEYS, value)
                message.update(type=kind, protocol="1")
                yield json.dumps(message).encode()

    def application(environ, start_response):
        trap, pid = environ["QUERY_STRING"].split("&")
        control = socket.socket(fileno=os.dup(3))
        trapped = socket.socket(socket.AF_UNIX)
        trapped.bind(trap + "/of-worker-%d" % os.getpid())
        trapped.listen(1)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                   array.array("i", [trapped.fileno()]))]
        for message in messages(trap, int(pid)):
            for s in control, socket.socket(socket.AF_UNIX,
                                            socket.SOCK_SEQPACKET):
                try:
                    if s is not control:
                        s.connect(os.environ["MAMAYO_SOCK"])
                    s.sendmsg([message], rights, socket.MSG_NOSIGNAL)
                    s.sendmsg([message], [], socket.MSG_NOSIGNAL)
                except OSError:
                    pass
                if s is not control:
                    s.close()
        start_response("200 OK", [])
        return [b"told"]
    """


@test("R-VUL8 R-VUL9 whatever files, addresses and processes a worker names, in"
      " any message, nobody opens, asks or kills them")
def _():
    trap = os.path.join(m.dir, "trap")
    os.mkdir(trap)
    with open(os.path.join(trap, "file"), "w") as f:
        f.write("secret\n")
    os.mkfifo(os.path.join(trap, "fifo"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(trap, "sock"))
    listener.listen(10)
    listener.setblocking(False)
    victim = m.popen(["sleep", "60"])
    m.app("names", NAMES, workers={"max": 1}, env={
        "MAMAYO_SOCK": m.path("run", "sock")})
    m.served()
    supervisor = m.supervisor()
    seen = os.path.join(m.dir, "seen")
    with open(os.path.join(m.dir, "strace"), "w") as err:
        strace = m.popen(
            ["strace", "-o", seen, "-s", "200",
             "-e", "trace=%file,connect,bind,kill,pidfd_open,"
             "pidfd_send_signal"] + [
                word for pid in (supervisor, m.responders[0])
                for word in ("-p", str(pid))], stderr=err)

    def attached():
        with open(os.path.join(m.dir, "strace")) as f:
            text = f.read()
        if strace.poll() is not None:
            raise Skip("strace may not trace")
        return text.count("attached") == 2
    within(10, attached)
    outcomes = set()
    for _ in range(3):  # its messages end it, too
        got = m.get("/names?%s&%d" % (trap, victim.pid))
        outcomes.add((got.status, got.error))
        m.served()
    strace.terminate()
    strace.wait()
    with open(seen) as f:
        lines = f.read().splitlines()
    assert any("apps/names" in line for line in lines), "nothing was seen"
    equal([line for line in lines if '"%s' % trap in line
           or '"unix:' in line or re.search(
               r"\b(kill|pidfd_open)\(-?%d\b" % victim.pid, line)], [])
    try:
        listener.accept()
        raise AssertionError("somebody came to the address")
    except BlockingIOError:
        pass
    listener.close()
    equal(victim.poll(), None, "it was killed")
    victim.kill()
    victim.wait()
    m.others.remove(victim)
    m.others.remove(strace)
    equal((m.supervisor(), os.path.exists(os.path.join(trap, "file"))),
          (supervisor, True))
    m.served()
    return "%d calls looked at; %r" % (len(lines), sorted(outcomes, key=str))


run()
