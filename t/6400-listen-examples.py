"""mamayo listen as the shipped units and the shipped crontab line start it."""
import configparser
import os
import re
import shutil
import signal
import socket
import stat
import sys

import servers
import through
from harness import PROGRAM, equal, run, test, within
from mamayo import Mamayo

# What systemd does: the socket is descriptor 3, and two variables say so.
SYSTEMD = r"""
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def home(m):
    """A home directory with ~/mamayo/mamayo.fcgi in it."""
    shutil.copyfile(PROGRAM, m.path("mamayo.fcgi"))
    os.chmod(m.path("mamayo.fcgi"), 0o755)
    return m.dir


def unit(name, m):
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read_string(servers.example(name, {}))
    return parser


@test("mamayo.socket and mamayo.service start it with the first connection")
def _():
    m = Mamayo()
    m.app("blog")
    sock, service = unit("mamayo.socket", m), unit("mamayo.service", m)
    assert sock["Socket"]["ListenStream"].startswith("/")
    equal(sock["Socket"]["SocketMode"], "0666")
    equal(service["Unit"]["Requires"], "mamayo.socket")
    argv = service["Service"]["ExecStart"].replace("%h", home(m)).split()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(m.socket)
        s.listen(10)
        with m.connect() as c:  # waits in the backlog
            c.send(b"")
            p = m.popen([sys.executable, "-IS", "-c", SYSTEMD,
                         str(s.fileno())] + argv, pass_fds=[s.fileno()])
            for _ in range(3):
                equal(m.text("/blog/unread"), "did not look")
        # stopped as KillMode=process stops it: nothing is cut
        p.send_signal(signal.SIGTERM)
        equal(p.wait(20), 0)
        m.others.remove(p)
        assert os.path.exists(m.socket), "the socket is systemd's"
        # and a new one goes on with the same socket
        if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            m.popen([sys.executable, "-IS", "-c", SYSTEMD,
                     str(s.fileno())] + argv, pass_fds=[s.fileno()])
            equal(m.text("/blog/unread"), "did not look")


@test("the line of crontab starts it, and any user may connect")
def _():
    m = Mamayo()
    m.app("blog")
    text = servers.example("crontab", {"/srv/alice/mamayo.sock": m.socket})
    lines = [line for line in text.split("\n")
             if line and not line.startswith("#")]
    equal(len(lines), 1)
    when, command = lines[0].split(None, 1)
    equal(when, "@reboot")
    p = m.popen(["/bin/sh", "-c", command], env={"HOME": home(m)})
    within(10, lambda: os.path.exists(m.socket))
    equal(m.text("/blog/unread"), "did not look")
    equal(stat.S_IMODE(os.stat(m.socket).st_mode), 0o666)
    p.terminate()
    equal(p.wait(20), 0)
    equal(os.path.exists(m.socket), False)


@test("lighttpd-listen.conf: lighttpd in front of it")
def _():
    m = Mamayo(workers={"max": 2})
    for name in ("blog", "blogger", "tools/wiki"):
        m.app(name)
    m.listen()
    s = servers.LighttpdListen(m).start()
    for path, script, info in through.URLS:
        got = through.data(s.get(path))
        equal((got["script_name"], got["path_info"]), (script, info), path)
    got = through.data(s.get("/blog/body", "POST", b"x" * 5000))
    equal(got["length"], 5000)
    equal(s.curl("-u", "a:b", "/blog/auth"), b"Basic YTpi")
    s.stop()


@test("examples/README speaks of every file, and of no other")
def _():
    with open(os.path.join(servers.EXAMPLES, "README")) as f:
        text = f.read()
    named = set(re.findall(r"^ {8}(\S+) {2,}", text, re.M))
    equal(named, {name for name in os.listdir(servers.EXAMPLES)
                  if os.path.isfile(os.path.join(servers.EXAMPLES, name))}
          - {"README"} - {".dirstamp", "carried.c", "carried.o"})  # built


@test("the two forms of .htaccess differ in nothing but the form")
def _():
    def rest(name, *forms):
        text = servers.example(name, {})
        text = re.sub(r"^#.*\n", "", text, flags=re.M)
        for form in forms:
            text, n = re.subn(r"<IfModule %s>.*?\n</IfModule>" % form, "HERE",
                              text, flags=re.S)
            equal(n, 1)
        return re.sub("HERE\nHERE", "HERE", text)
    equal(rest("htaccess", "mod_dir.c"),
          rest("htaccess-rewrite", "mod_rewrite.c", "!mod_rewrite.c"))


run()
