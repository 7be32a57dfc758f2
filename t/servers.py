"""Real web servers, each in a directory of its own, on a free port of the
loopback, in the foreground, as whoever runs the tests.

What they are told about mamayo comes from examples/: those very files, with
nothing but paths and ports replaced.

    server = Lighttpd(m)                  # of a mamayo.Mamayo
    server.start()
    status, headers, body = server.get("/blog/")
    server.stop()
"""
import http.client
import os
import shutil
import signal
import socket
import subprocess

import harness
from harness import PROGRAM, within

EXAMPLES = os.path.join(harness.SRCDIR, "examples")
PATHS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
MODULES = "/usr/lib/apache2/modules"


def find(program):
    path = shutil.which(program, path=PATHS)
    if path is None:
        raise harness.Skip("%s is not installed" % program)
    return path


def example(name, replaced):
    """The text of examples/name; each thing to be replaced must be there."""
    with open(os.path.join(EXAMPLES, name)) as f:
        text = f.read()
    for old, new in replaced.items():
        if old not in text:
            raise AssertionError("examples/%s has no %r" % (name, old))
        text = text.replace(old, new)
    return text


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return self.headers.get(name)

    def __repr__(self):
        return "<%d %s %r>" % (self.status, dict(self.headers or {}),
                               self.body[:200])


class Server:
    """One web server. base is the place of mamayo.fcgi in it, "" or "/sub"."""

    stop_signal = signal.SIGTERM
    base = ""

    def __init__(self, m):
        self.m = m
        self.port = free_port()
        self.process = None
        self.dir = os.path.join(m.dir, type(self).__name__.lower())
        while os.path.exists(self.dir):
            self.dir += "_"
        os.makedirs(self.path("www"))

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def program(self, place="www"):
        """A copy of mamayo.fcgi, as a user drops it."""
        path = self.path(place, "mamayo.fcgi")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copyfile(PROGRAM, path)
        os.chmod(path, 0o755)
        return path

    def argv(self):
        raise NotImplementedError

    def start(self):
        argv = self.argv()
        with open(self.path("output.log"), "ab") as log:
            self.process = self.m.popen(argv, stdout=log, stderr=log,
                                        cwd=self.dir)

        def accepts():
            if self.process.poll() is not None:
                raise AssertionError("%s ended with %s:\n%s" % (
                    argv[0], self.process.returncode, self.logs()))
            try:
                self.connect(5).connect()
                return True
            except OSError:
                return False
        within(20, accepts, "%s to listen" % argv[0])
        return self

    def logs(self):
        text = ""
        for name in ("output.log", "error.log"):
            try:
                with open(self.path(name), errors="replace") as f:
                    text += f.read()[-3000:]
            except FileNotFoundError:
                pass
        return text

    def stop(self):
        """Returns when it has ended."""
        if self.process is None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s does not stop:\n%s" % (
                self.process.args[0], self.logs()))
        finally:
            self.process = None

    # -- a client ----------------------------------------------------------

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port,
                                          timeout=timeout)

    def get(self, path, method="GET", body=None, headers=None, timeout=60):
        """One request; the path goes on the wire as it is given."""
        c = self.connect(timeout)
        try:
            c.request(method, self.base + path, body=body,
                      headers=headers or {})
            r = c.getresponse()
            return Response(r.status, r.headers, r.read())
        finally:
            c.close()

    def url(self, path):
        return "http://127.0.0.1:%d%s%s" % (self.port, self.base, path)

    def curl(self, *arguments):
        """curl's standard output, bytes; the last argument is a path."""
        argv = [find("curl"), "--silent", "--show-error", "--path-as-is",
                "--max-time", "120"] + list(arguments[:-1]) + [
                    self.url(arguments[-1])]
        p = subprocess.run(argv, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        if p.returncode != 0:
            raise AssertionError("%r: %s" % (argv, p.stderr.decode()))
        return p.stdout

    def raw(self, request):
        """Bytes to the server -> a connected socket, to read from or leave."""
        s = socket.create_connection(("127.0.0.1", self.port), 60)
        s.sendall(request)
        return s


class Lighttpd(Server):
    """Starts mamayo.fcgi itself, so many of them; one if it is asked for it
    with the first request."""

    def __init__(self, m, most=2):
        Server.__init__(self, m)
        self.most = most

    def config(self):
        replaced = {
            "/srv/mamayo/mamayo.fcgi": self.program(),
            '"/srv/mamayo"': '"%s"' % self.m.root,
            '"/srv/mamayo/apps"': '"%s/apps"' % self.m.root,
            "/run/lighttpd/mamayo.sock": self.path("mamayo.sock"),
        }
        replaced['"min-procs" => 2'] = '"min-procs" => %d' % (
            self.most if self.most > 1 else 0)
        replaced['"max-procs" => 2'] = '"max-procs" => %d' % self.most
        return example("lighttpd.conf", replaced)

    def argv(self):
        self.write("mamayo.conf", self.config())
        main = self.write("lighttpd.conf", """\
server.document-root = "%(dir)s/www"
server.bind = "127.0.0.1"
server.port = %(port)d
server.errorlog = "%(dir)s/error.log"
server.upload-dirs = ("%(dir)s")
include "%(dir)s/mamayo.conf"
""" % {"dir": self.dir, "port": self.port})
        return [find("lighttpd"), "-D", "-f", main]

    def sockets(self):
        return [n for n in os.listdir(self.dir) if n.startswith("mamayo.sock")]


class LighttpdListen(Lighttpd):
    """In front of mamayo listen."""

    def config(self):
        return example("lighttpd-listen.conf", {
            "/srv/alice/mamayo.sock": self.m.socket})


class Apache(Server):
    modules = ("mpm_event", "authz_core", "mime", "dir", "alias", "env",
               "setenvif", "rewrite")

    def main(self):
        return ""

    def argv(self):
        httpd = find("apache2")
        lines = []
        for name in self.modules:
            path = os.path.join(MODULES, "mod_%s.so" % name)
            if not os.path.exists(path):
                raise harness.Skip("%s is not installed" % path)
            lines.append("LoadModule %s_module %s" % (name, path))
        main = self.write("apache.conf", """\
ServerRoot %(dir)s
ServerName localhost
Listen 127.0.0.1:%(port)d
PidFile %(dir)s/apache.pid
Mutex pthread default
DefaultRuntimeDir %(dir)s
ErrorLog %(dir)s/error.log
DocumentRoot %(dir)s/www
%(modules)s
StartServers 1
ServerLimit 4
ThreadsPerChild 32
MaxRequestWorkers 128
TypesConfig /dev/null
GracefulShutdownTimeout 20
%(main)s
""" % {"dir": self.dir, "port": self.port, "modules": "\n".join(lines),
            "main": self.main()})
        return [httpd, "-DFOREGROUND", "-f", main]


class ApacheFcgid(Apache):
    """Starts mamayo.fcgi itself, by an .htaccess beside it.

    where: "" is the document root, "/sub" a directory in it, "/~alice" a
    directory outside, reached through an Alias. form: the example that it is;
    None: it is not there yet. limits: with the shipped
    apache-fcgid.conf, or as Apache comes.
    """

    modules = Apache.modules + ("fcgid",)

    def __init__(self, m, form="htaccess", where="", limits=True):
        Apache.__init__(self, m)
        self.form, self.base, self.limits = form, where, limits

    def main(self):
        place = "www" + self.base
        text = ""
        if self.base.startswith("/~"):
            place = "home/public_html"
            text = "Alias %s %s\n" % (self.base, self.path(place))
        os.makedirs(self.path(place), exist_ok=True)
        if self.form is not None:
            self.program(place)
            replaced = {}
            if self.form == "htaccess":
                replaced["FallbackResource /mamayo.fcgi"] = (
                    "FallbackResource %s/mamayo.fcgi" % self.base)
            self.write(place + "/.htaccess", example(self.form, replaced))
        self.write(place + "/file.txt", "a file\n")
        text += """\
FcgidIPCDir %(dir)s/fcgid
FcgidProcessTableFile %(dir)s/fcgid.table
<Directory %(dir)s>
	AllowOverride All
	Require all granted
</Directory>
""" % {"dir": self.dir}
        for name, value in self.m.environment.items():
            if name not in ("PATH", "MAMAYO_ROOT"):
                text += 'FcgidInitialEnv %s "%s"\n' % (name, value)
        shipped = example("apache-fcgid.conf", {
            "MAMAYO_ROOT /srv/mamayo": "MAMAYO_ROOT " + self.m.root})
        if not self.limits:
            shipped = "FcgidInitialEnv MAMAYO_ROOT %s\n" % self.m.root
        return text + "Include %s\n" % self.write("mamayo.conf", shipped)


class ApacheProxy(Apache):
    """In front of mamayo listen."""

    modules = Apache.modules + ("proxy", "proxy_fcgi")

    def main(self):
        return "Include %s\n" % self.write("mamayo.conf", example(
            "apache-proxy.conf", {"/srv/alice/mamayo.sock": self.m.socket}))


class Nginx(Server):
    """In front of mamayo listen, with kept connections or without."""

    stop_signal = signal.SIGQUIT

    def __init__(self, m, keep=True):
        Server.__init__(self, m)
        self.keep = keep

    def argv(self):
        replaced = {
            "/srv/alice/mamayo.sock": self.m.socket,
            "/home/alice/mamayo": self.m.root,
            "listen 80;": "listen 127.0.0.1:%d;" % self.port,
        }
        if not self.keep:
            replaced["keepalive 16;"] = ""
            replaced["fastcgi_keep_conn on;"] = ""
        self.write("mamayo.conf", example("nginx.conf", replaced))
        for name in ("fastcgi_params", "mime.types"):
            shutil.copyfile("/etc/nginx/" + name, self.path(name))
        main = self.write("nginx.conf", """\
daemon off;
pid %(dir)s/nginx.pid;
error_log %(dir)s/error.log;
worker_processes 1;
events { worker_connections 1000; }
http {
	access_log off;
	sendfile on;
	include %(dir)s/mime.types;
	default_type application/octet-stream;
	client_body_temp_path %(dir)s/temp1;
	fastcgi_temp_path %(dir)s/temp2;
	proxy_temp_path %(dir)s/temp3;
	uwsgi_temp_path %(dir)s/temp4;
	scgi_temp_path %(dir)s/temp5;
	include %(dir)s/mamayo.conf;
}
""" % {"dir": self.dir})
        return [find("nginx"), "-e", self.path("error.log"), "-p", self.dir,
                "-c", main]
