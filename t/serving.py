"""./bootstrap, in a tree that has been built already.

    tree = Tree()
    shown = tree.serve()          # ./bootstrap serve, until it says its URLs
    shown.get("/flask/")
    shown.end(signal.SIGTERM)     # and nothing may be left
"""
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request

from harness import PROGRAM, SRCDIR, cleanup

HOME = tempfile.mkdtemp(prefix="mamayo.")
os.chmod(HOME, 0o755)
cleanup(lambda: shutil.rmtree(HOME))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def using(directory):
    """{pid: command line} of processes that have to do with it."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % pid, "rb") as f:
                text = f.read()
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read()
        except OSError:
            continue
        if directory.encode() in text + line:
            found[int(pid)] = line.replace(b"\0", b" ").decode()
    return found


class Tree:
    """What ./bootstrap needs of a checkout, at a path with a space in it."""

    def __init__(self):
        self.dir = os.path.join(tempfile.mkdtemp(dir=HOME), "a tree")
        for name in "fcgi", "build-aux", "bin":
            os.makedirs(os.path.join(self.dir, name))
        for name in "bootstrap", "build-aux/install-packages.sh":
            shutil.copy(os.path.join(SRCDIR, name),
                        os.path.join(self.dir, name))
        shutil.copytree(os.path.join(SRCDIR, "examples"),
                        os.path.join(self.dir, "examples"))
        shutil.copy(PROGRAM, os.path.join(self.dir, "fcgi"))
        for top, names, _ in os.walk(self.dir):
            os.chmod(top, 0o755)  # a released source may be read-only
        self.write("Makefile", "all:\n")
        self.write("config.status", "#!/bin/sh\n")
        self.environment = {"PATH": PATH, "MAMAYO_TEST": HOME}
        for name in ("TMPDIR", "MAMAYO_TEST"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        """An executable file, never through a link: root may run this."""
        new = self.path(name) + ".new"
        with open(new, "x") as f:
            f.write(text)
        os.chmod(new, 0o755)
        os.rename(new, self.path(name))

    def only(self, *commands):
        """From now on there are no other commands than these."""
        for name in commands:
            self.write("bin/" + name, '#!/bin/sh\nexec %s "$@"\n' %
                       shutil.which(name, path=PATH))
        self.environment["PATH"] = self.path("bin")

    def command(self, name, text):
        """A command of ours, before all others; it notes that it was used."""
        self.write("bin/" + name, '#!/bin/sh\necho "%s $*" >>"%s"\n%s\n' % (
            name, self.path("used"), text))
        if not self.environment["PATH"].startswith(self.path("bin")):
            self.environment["PATH"] = "%s:%s" % (self.path("bin"), PATH)

    def used(self):
        try:
            with open(self.path("used")) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def run(self, *arguments):
        """-> (exit status, standard output, standard error)"""
        p = subprocess.run(["/bin/sh", self.path("bootstrap")]
                           + list(arguments), env=self.environment,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, universal_newlines=True,
                           cwd="/", timeout=60)
        return p.returncode, p.stdout, p.stderr

    def serve(self, *arguments):
        return Serve(self, *arguments)


class Serve:
    """./bootstrap serve on a terminal of its own."""

    def __init__(self, tree, *arguments):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve("/bin/sh", ["/bin/sh", tree.path("bootstrap"), "serve"]
                      + list(arguments), tree.environment)
        self.text = ""
        while not re.search(r"/flask/ +flask\s", self.text):  # the last one
            try:
                self.text += os.read(self.terminal, 4096).decode()
            except OSError:
                self.status()
                raise AssertionError("it ended: " + self.text)
        self.text = self.text.replace("\r\n", "\n")
        self.dir = re.search(r"everything is in (\S+),", self.text).group(1)
        self.urls = re.findall(
            r"(http://127\.0\.0\.1:\d+/\S*) +(?:ROOT|flask|django)\n",
            self.text)
        self.port = int(re.search(r":(\d+)/", self.urls[0]).group(1))
        cleanup(self.kill)

    def get(self, url):
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read().decode()

    def processes(self):
        return using(self.dir)

    def status(self):
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return status

    def interrupt(self):
        os.write(self.terminal, b"\x03")

    def close_terminal(self):
        os.close(self.terminal)
        self.terminal = -1

    def end(self, how):
        """Raises if anything is left when it has ended."""
        if callable(how):
            how()
        else:
            os.kill(self.pid, how)
        self.status()
        left = self.processes()
        if left:
            raise AssertionError("processes are left: %r" % left)
        if os.path.exists(self.dir):
            raise AssertionError("files are left: %s" % os.listdir(self.dir))

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
            self.status()
        if self.terminal != -1:
            os.close(self.terminal)
