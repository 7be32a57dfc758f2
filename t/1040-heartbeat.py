"""An application that is silent for long, behind Apache: empty FCGI_STDERR
records keep the connection alive (F-20, pain 7). Twenty seconds, all at once.
"""
import threading

import servers
from harness import equal, run, test
from mamayo import Mamayo

SILENCE = 18

m = Mamayo(workers={"max": 4}, timeout=60)
m.app("blog")
m.start()
results = {}


def ask(name, function):
    def call():
        try:
            results[name] = function()
        except BaseException as why:
            results[name] = why
    t = threading.Thread(target=call, daemon=True)
    t.start()
    return t


def raw(software):
    return m.get("/blog/sleep?seconds=%d" % SILENCE, timeout=SILENCE * 3,
                 SERVER_SOFTWARE=software)


def through_apache():
    mine = Mamayo(timeout=60)
    mine.app("blog")
    server = servers.ApacheFcgid(mine, limits=False)
    argv = server.argv()
    with open(server.path("mamayo.conf"), "a") as f:
        f.write("FcgidIOTimeout %d\n" % (SILENCE - 1))
    server.argv = lambda: argv
    server.start()
    try:
        return server.get("/blog/sleep?seconds=%d" % SILENCE,
                          timeout=SILENCE * 3)
    finally:
        server.stop()


threads = [ask("apache", lambda: raw("Apache/2.4.57 (Debian)")),
           ask("nginx", lambda: raw("nginx/1.22.1")),
           ask("lighttpd", lambda: raw("lighttpd/1.4.69")),
           ask("real", through_apache)]


def result(name):
    for t in threads:
        t.join()
    if isinstance(results[name], BaseException):
        raise results[name]
    equal((results[name].status, results[name].body), (200, b"slept"))
    return results[name]


@test("F-20 behind Apache there is an empty STDERR record after 15 s")
def _():
    equal(result("apache").heartbeats, 1)


@test("F-20 elsewhere there is none")
def _():
    equal(result("nginx").heartbeats, 0)
    equal(result("lighttpd").heartbeats, 0)


@test("mod_fcgid, with a limit below, waits for the answer")
def _():
    result("real")


run()
