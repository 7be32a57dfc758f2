"""Applications that do what no application should: it costs them, and nobody
else."""
import os

from harness import equal, run, test, within
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


run()
