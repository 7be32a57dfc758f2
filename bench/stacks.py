"""What is measured: web servers, and what serves Python behind each.

A stack is the processes and files of one contender, in a directory of its own,
on a free port of the loopback. What web servers are told about mamayo comes
from examples/; what they are told about others is what a careful administrator
would write. All have the same of the rest: no access log, connections that are
kept for any number of requests, large bodies.

    stack = STACKS["lighttpd/mamayo"](place, Site(workers=4))
    stack.start()                       # fails unless it answers correctly
    before = stack.cpu()
    ...
    stack.remove()
"""
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import measure
from measure import BODY, Failure, within

PYTHON = "/usr/bin/python3"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MODULES = "/usr/lib/apache2/modules/mod_%s.so"
PASSENGER = "/usr/lib/ruby/vendor_ruby/phusion_passenger/locations.ini"
SERVERS = ("lighttpd", "nginx", "apache2")
ENTRIES = {"plain": "wsgi:application", "files": "wsgi:application",
           "flask": "app:app",
           "django": "pages.wsgi:application"}
LARGE = 100 * measure.MIB
STYLE = {"files": "public/style.css", "flask": "static/style.css"}
LIMIT_THREADS = 16


class Missing(Exception):
    """Something that a contender needs is not installed."""


class Site:
    """What a stack serves: an application of apps/, once for each name, each
    with this many workers. At the name ROOT it is the whole site, else at
    /NAME. The first of them are visited, the rest just lie there. file: so
    many bytes has the file that is asked for. settings are for mamayo's
    account."""

    def __init__(self, app="plain", names=("ROOT",), workers=2, visited=None,
                 min_workers=None, file=0, **settings):
        self.app, self.names, self.workers = app, list(names), workers
        self.visited = visited or len(self.names)
        self.min_workers = workers if min_workers is None else min_workers
        self.file, self.settings = file, settings

    def prefixes(self):
        return ["" if n == "ROOT" else "/" + n
                for n in self.names[:self.visited]]


def many(count):
    return ["app%02d" % i for i in range(count)]


class Stack:
    count = itertools.count(1)
    needs = ()    # programs, or files, without which it cannot be
    server = ""   # the web server
    kind = "other"

    def __init__(self, place, site=None):
        self.place, self.site = place, site or Site()
        # short: mamayo keeps its socket below, if the path is no longer than
        # an address may be
        self.dir = os.path.join(place, "%d" % next(Stack.count))
        os.mkdir(self.dir)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        for name in ("conf", "run", "tmp", "www"):
            os.mkdir(self.path(name))
        self.holder, self.started = None, []

    @classmethod
    def lacks(cls):
        """What is not installed of what it needs, or None."""
        for need in cls.needs:
            if not (os.path.exists(need) if need.startswith("/")
                    else shutil.which(need, path=PATH)):
                return need
        return None

    # -- files ---------------------------------------------------------

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def example(self, name, replaced):
        """A copy of examples/name with our paths in it."""
        with open(os.path.join(self.place, "examples", name)) as f:
            text = f.read()
        for old, new in replaced.items():
            if old not in text:
                raise Failure("examples/%s has no %s" % (name, old))
            text = text.replace(old, new)
        return self.write("conf/" + name, text)

    def lay_out(self, below):
        """The site's applications, as directories below one."""
        for name in self.site.names:
            where = self.path(below, name)
            shutil.copytree(os.path.join(self.place, "apps", self.site.app),
                            where)
            if self.site.file:
                self.write(os.path.join(where, STYLE[self.site.app]),
                           "x" * self.site.file)
            large = os.path.join(self.place, "large")
            if self.site.app == "plain" and os.path.exists(large):
                os.link(large, os.path.join(where, "large"))

    # -- processes -----------------------------------------------------

    def spawn(self, argv, env=None, listen=None):
        if self.holder is None:
            self.holder = subprocess.Popen(
                [PYTHON, "-S",
                 os.path.join(self.place, "holder.py")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        given = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent",
                 "TMPDIR": self.path("tmp"), "MAMAYO_TEST": self.dir}
        given.update(env or {})
        order = {"argv": argv, "env": given, "cwd": self.dir,
                 "output": self.path("output"), "listen": listen}
        self.holder.stdin.write(json.dumps(order).encode() + b"\n")
        self.holder.stdin.flush()
        answer = self.holder.stdout.readline()
        if not answer:
            raise Failure("%s cannot be started" % argv[0])
        self.started.append((int(answer), argv[0]))
        return int(answer)

    def processes(self):
        return [p for p in measure.tree(self.holder.pid)
                if p.state not in "ZX"] if self.holder else []

    def is_server(self, p):
        return p.name in SERVERS and "(wsgi:" not in measure.command_line(
            p.pid)

    def cpu(self):
        """Ticks so far: of web servers, of the rest, and of each process that
        lives. What a web server has waited for were programs of it, but what
        Apache's first process has waited for were web servers too."""
        used = {"web": 0, "app": 0, "each": {}}
        first = {pid for pid, _ in self.started}
        for p in measure.tree(self.holder.pid):
            server = self.is_server(p)
            used["each"][p.pid] = p.own
            used["web" if server else "app"] += p.own
            used["web" if server and p.name == "apache2" and p.pid in first
                 else "app"] += p.ended
        used["app"] += measure.look(self.holder.pid).ended
        return used

    def roles(self):
        """{pid: a finer word than "web" and "app"}, where we know one."""
        return {}

    def app_pids(self):
        return [p.pid for p in self.processes() if not self.is_server(p)]

    def quiet(self):
        """Waits until it has nothing left to do."""
        last, since = None, time.monotonic()
        end = since + 20
        while time.monotonic() < min(since + 0.5, end):
            now = self.cpu()
            now = now["web"] + now["app"]
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.05)

    def check_alive(self):
        alive = {p.pid for p in self.processes()}
        for pid, name in self.started:
            if pid not in alive:
                raise Failure("%s has ended: %s" % (name, self.output()))

    def output(self):
        text = ""
        for name in ("output", "error.log", "mamayo/logs/mamayo.log"):
            try:
                with open(self.path(name), errors="replace") as f:
                    text += f.read()[-1000:]
            except FileNotFoundError:
                pass
        return text

    # -- life ----------------------------------------------------------

    def start_app(self):
        pass

    def start_web(self):
        raise NotImplementedError

    def url(self, path="/hello", number=0):
        return self.site.prefixes()[number] + path

    def launch(self):
        """Until the web server listens; nothing has been requested."""
        self.start_app()
        self.start_web()
        within(20, self.accepts, "the web server to listen")

    def start(self):
        """Until every application has answered, and has its workers."""
        self.launch()
        for prefix in self.site.prefixes():
            self.first_answer(prefix)
        self.warm()
        self.check()

    def first_answer(self, prefix):
        """What is still importing may say that it is not there yet."""
        end = time.monotonic() + 30
        while True:
            status, body = measure.get(self.port, prefix + "/hello")
            if status == 200:
                break
            self.check_alive()
            if status not in (502, 503) or time.monotonic() > end:
                raise Failure("%s/hello answers %d %r; %s" % (
                    prefix, status, body[:200], self.output()))
            time.sleep(0.02)

    def accepts(self):
        self.check_alive()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def warm(self):
        pass

    def settle(self):
        """Until it is as it will be after a while."""
        self.quiet()

    def check(self):
        """Byte for byte, and where the server says that the application
        is."""
        for prefix in self.site.prefixes():
            measure.expect(self.port, prefix + "/hello", BODY)
        if self.kind != "limit" and self.site.app == "plain":
            status, body = measure.get(self.port,
                                       self.url("/environ?x=%20y"))
            if status != 200:
                raise Failure("/environ answers %d %r" % (status, body[:200]))
            got = json.loads(body.decode())
            for name, value in (("PATH_INFO", "/environ"),
                                ("QUERY_STRING", "x=%20y"),
                                ("REQUEST_METHOD", "GET")):
                if got.get(name) != value:
                    raise Failure("%s is %r" % (name, got.get(name)))

    def stop(self):
        """Asks everything to end, and kills what does not. A server ends
        its own children first: only so Apache removes what it has in
        /dev/shm."""
        if self.holder is not None:
            begin = time.monotonic()
            asked = set()
            while True:
                left = self.processes()
                waited = time.monotonic() - begin
                if not left or waited > 15:
                    break
                for p in left:
                    if p.pid not in asked and (
                            p.parent == self.holder.pid or waited > 10):
                        asked.add(p.pid)
                        try:
                            os.kill(p.pid, signal.SIGTERM)
                        except ProcessLookupError:
                            pass
                time.sleep(0.02)
            self.holder.stdin.close()
            self.holder.wait()
            self.holder.stdout.close()
            self.holder = None
        self.started = []

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


# -- web servers -----------------------------------------------------------

class Lighttpd(Stack):
    needs = ("lighttpd",)
    server = "lighttpd"

    def lighttpd(self, text):
        main = self.write("conf/main.conf", """\
server.document-root = "%(dir)s/www"
server.bind = "127.0.0.1"
server.port = %(port)d
server.errorlog = "%(dir)s/error.log"
server.upload-dirs = ( "%(dir)s/tmp" )
server.max-keep-alive-requests = 60000
mimetype.assign = ( "" => "text/plain" )
%(text)s
""" % {"dir": self.dir, "port": self.port, "text": text})
        self.spawn(["lighttpd", "-D", "-f", main])

    def fastcgi(self, options):
        """{prefix: options}, of what listens already."""
        return 'server.modules += ( "mod_fastcgi" )\nfastcgi.server = (\n' + (
            ",\n".join('"%s" => (( "check-local" => "disable",\n\t%s ))' % (
                prefix or "/", option + (
                    "" if prefix else ', "fix-root-scriptname" => "enable"'))
                for prefix, option in options.items())) + "\n)\n"


class Nginx(Stack):
    needs = ("nginx",)
    server = "nginx"

    def nginx(self, http):
        for name in ("fastcgi_params", "uwsgi_params", "proxy_params"):
            shutil.copy("/etc/nginx/" + name, self.path("conf"))
        main = self.write("conf/main.conf", """\
daemon off;
pid %(dir)s/run/nginx.pid;
error_log %(dir)s/error.log;
worker_processes 1;
events { worker_connections 1000; }
http {
	access_log off;
	default_type text/plain;
	sendfile on;
	keepalive_requests 100000000;
	client_body_temp_path %(dir)s/tmp/1;
	fastcgi_temp_path %(dir)s/tmp/2;
	proxy_temp_path %(dir)s/tmp/3;
	uwsgi_temp_path %(dir)s/tmp/4;
	scgi_temp_path %(dir)s/tmp/5;
	%(http)s
}
""" % {"dir": self.dir, "http": http})
        self.spawn(["nginx", "-e", self.path("error.log"), "-p", self.dir,
                    "-c", main])

    def one_server(self, text):
        return """\
server {
		listen 127.0.0.1:%d;
		root %s/www;
		client_max_body_size 64m;
		%s
	}""" % (self.port, self.dir, text)

    def fastcgi(self, sock):
        return """\
upstream it { server unix:%s; keepalive 16; }
	%s""" % (sock, self.one_server("""\
include fastcgi_params;
		fastcgi_param SCRIPT_NAME "";
		fastcgi_param PATH_INFO $document_uri;
		fastcgi_keep_conn on;
		location / { fastcgi_pass it; }"""))


class Apache(Stack):
    needs = ("apache2",)
    server = "apache"
    modules = ("mpm_event", "authz_core", "mime", "dir", "alias", "env",
               "setenvif", "rewrite")
    module = ()

    @classmethod
    def lacks(cls):
        for name in cls.modules + cls.module:
            if not os.path.exists(MODULES % name):
                return MODULES % name
        return super().lacks()

    def apache(self, text, override="None"):
        main = self.write("conf/main.conf", """\
%(modules)s
ServerRoot %(dir)s
ServerName localhost
Listen 127.0.0.1:%(port)d
PidFile %(dir)s/run/apache.pid
DefaultRuntimeDir %(dir)s/run
ErrorLog %(dir)s/error.log
TypesConfig /dev/null
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 30
DocumentRoot %(dir)s/www
<Directory %(dir)s>
	AllowOverride %(override)s
	Require all granted
</Directory>
%(text)s
""" % {"dir": self.dir, "port": self.port, "text": text,
            "override": override, "modules": "\n".join(
                "LoadModule %s_module %s" % (name, MODULES % name)
                for name in self.modules + self.module)})
        self.spawn(["apache2", "-DFOREGROUND", "-f", main])


class Fcgid(Apache):
    """With the limits that examples/apache-fcgid.conf gives mod_fcgid, for
    every program."""
    module = ("fcgid",)

    def fcgid(self, text="", override="None"):
        shipped = self.example("apache-fcgid.conf", {
            "MAMAYO_ROOT /srv/mamayo": "MAMAYO_ROOT " + self.path("mamayo")})
        self.apache("""\
FcgidIPCDir %(dir)s/run/fcgid
FcgidProcessTableFile %(dir)s/run/fcgid.table
FcgidInitialEnv MAMAYO_TEST %(dir)s
Include %(shipped)s
%(text)s""" % {"dir": self.dir, "shipped": shipped, "text": text}, override)

    @staticmethod
    def alias(program):
        return """\
Alias / %s/
<Directory %s>
	Options +ExecCGI
	SetHandler fcgid-script
</Directory>
""" % (program, os.path.dirname(program))


# -- mamayo ----------------------------------------------------------------

class Mamayo(Stack):
    kind = "mamayo"
    ready = ("idle", "busy", "sending")

    def __init__(self, place, site=None):
        Stack.__init__(self, place, site)
        self.program = os.path.join(place, "mamayo.fcgi")
        site = self.site
        values = {"python": PYTHON, "env": {"MAMAYO_TEST": self.dir},
                  "workers": {"min": site.min_workers, "max": site.workers},
                  "max_workers": max(64, site.workers * len(site.names))}
        values.update(site.settings)
        self.write("mamayo/mamayo.json", json.dumps(values))
        self.lay_out("mamayo/apps")

    def listen(self):
        self.spawn([self.program, "listen", "unix:" + self.path("sock")],
                   env={"MAMAYO_ROOT": self.path("mamayo")})
        within(10, lambda: os.path.exists(self.path("sock")),
               "mamayo listen")

    def status(self):
        p = subprocess.run(
            [self.program, "status", "--json"], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"MAMAYO_ROOT": self.path("mamayo")})
        if p.returncode != 0:
            raise Failure("mamayo status: %s %s" % (
                p.stdout.decode(), self.output()))
        return json.loads(p.stdout.decode())

    def roles(self):
        """Who stands under "responders" is a responder, and so on."""
        found = {}

        def collect(value, role):
            if isinstance(value, list):
                for one in value:
                    collect(one, role)
            elif isinstance(value, dict):
                if isinstance(value.get("pid"), int):
                    found[value["pid"]] = role
                for key, one in value.items():
                    collect(one, key.rstrip("s"))
        collect(self.status(), "")
        return found

    def workers(self):
        return [w["pid"] for app in self.status()["apps"]
                for w in app["workers"] if w["state"] in self.ready]

    def warm(self):
        within(60, lambda: len(self.workers())
               >= self.site.min_workers * self.site.visited,
               "the workers of mamayo")


    def end_workers(self):
        """They come back with the next request, or as many as must be; from
        a fork server, where there is one."""
        self.quiet()
        within(20, lambda: not any(
            f.get("state") == "starting"
            for f in self.status().get("forkservers", ())),
            "the fork servers of mamayo")
        old = set(self.workers())
        for pid in old:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        within(20, lambda: not old & set(self.workers()),
               "the end of mamayo's workers")
        self.quiet()

    def settle(self):
        if self.site.app in ("flask", "django"):
            within(20, lambda: any(
                f.get("state") == "ready" and f.get("modules")
                for f in self.status().get("forkservers", ())),
                "a fork server of mamayo that has learnt")
        self.end_workers()
        for prefix in self.site.prefixes():
            self.first_answer(prefix)
        self.warm()
        self.quiet()


class LighttpdMamayo(Lighttpd, Mamayo):
    """lighttpd starts it."""

    def start_web(self):
        self.lighttpd('include "%s"' % self.example("lighttpd.conf", {
            "/srv/mamayo/mamayo.fcgi": self.program,
            '"/srv/mamayo"': '"%s", "MAMAYO_TEST" => "%s"' % (
                self.path("mamayo"), self.dir),
            '"/srv/mamayo/apps"': '"%s"' % self.path("mamayo/apps"),
            "/run/lighttpd/mamayo.sock": self.path("sock")}))


class LighttpdListen(Lighttpd, Mamayo):
    """lighttpd in front of "mamayo listen"."""

    def start_app(self):
        self.listen()

    def start_web(self):
        self.lighttpd('include "%s"' % self.example("lighttpd-listen.conf", {
            "/srv/alice/mamayo.sock": self.path("sock")}))


class NginxMamayo(Nginx, Mamayo):

    def start_app(self):
        self.listen()

    def start_web(self):
        self.nginx("include %s;" % self.example("nginx.conf", {
            "/srv/alice/mamayo.sock": self.path("sock"),
            "/home/alice/mamayo": self.path("mamayo"),
            "listen 80;": "listen 127.0.0.1:%d;" % self.port}))


class ApacheMamayo(Fcgid, Mamayo):
    """mamayo.fcgi and an .htaccess beside it."""

    def start_web(self):
        shutil.copy(self.program, self.path("www"))
        shutil.copy(self.example("htaccess", {}), self.path("www/.htaccess"))
        self.fcgid(override="All")


class ApacheInstalled(Fcgid, Mamayo):
    """What mamayo install makes, so that Apache sends what it may."""

    def start_web(self):
        p = subprocess.run(
            [self.program, "install", self.path("www")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"MAMAYO_ROOT": self.path("mamayo")})
        if p.returncode != 0:
            raise Failure("mamayo install: " + p.stdout.decode())
        self.fcgid(override="All")


# -- others ----------------------------------------------------------------

class Uwsgi(Stack):
    """One for each application; the web server finds it by its socket."""
    needs = ("uwsgi", "/usr/lib/uwsgi/plugins/python3_plugin.so")
    protocol = "--fastcgi-socket"
    more = ()

    def start_app(self):
        self.lay_out("apps")
        for name in self.site.names:
            self.spawn(["uwsgi", "--plugin", "python3", "--need-app",
                        "--master", "--disable-logging", "--die-on-term",
                        self.protocol, self.sock(name), "--listen", "256",
                        "--processes", str(self.site.workers),
                        "--pythonpath", self.path("apps", name),
                        "--module", ENTRIES[self.site.app]]
                       + list(self.more))
        for name in self.site.names:
            within(60, lambda: os.path.exists(self.sock(name)), "uwsgi")
            self.check_alive()

    def sock(self, name):
        return self.path("run", name)


class Thunder:
    """Workers take turns to accept."""
    more = ("--thunder-lock",)


class LighttpdUwsgi(Lighttpd, Uwsgi):
    needs = Lighttpd.needs + Uwsgi.needs

    def start_web(self):
        self.lighttpd(self.fastcgi({
            prefix: '"socket" => "%s"' % self.sock(name) for prefix, name
            in zip(self.site.prefixes(), self.site.names)}))


class LighttpdUwsgiThunder(Thunder, LighttpdUwsgi):
    pass


class NginxUwsgi(Nginx, Uwsgi):
    """The protocol of uWSGI's own."""
    needs = Nginx.needs + Uwsgi.needs
    protocol = "--socket"

    def start_web(self):
        self.nginx(self.one_server("""\
include uwsgi_params;
		location / { uwsgi_pass unix:%s; }""" % self.sock("ROOT")))


class NginxUwsgiThunder(Thunder, NginxUwsgi):
    pass


class NginxUwsgiFastcgi(NginxUwsgi):
    protocol = "--fastcgi-socket"

    def start_web(self):
        self.nginx(self.fastcgi(self.sock("ROOT")))


class NginxUwsgiFastcgiThunder(Thunder, NginxUwsgiFastcgi):
    pass


class ApacheUwsgiAlias(Fcgid):
    """A child of mod_fcgid, of one worker each, as an administrator has
    it."""
    needs = Fcgid.needs + Uwsgi.needs

    def script(self, name):
        self.lay_out("apps")
        return self.write(name, """\
#!/bin/sh
exec uwsgi --plugin python3 --protocol fastcgi --need-app --disable-logging \\
    --die-on-term --pythonpath %s --module %s
""" % (self.path("apps/ROOT"), ENTRIES[self.site.app]), 0o755)

    def start_web(self):
        self.fcgid(self.alias(self.script("bin/run.fcgi")))


class ApacheUwsgi(ApacheUwsgiAlias):
    """The same as a user has it, with a file and an .htaccess, as mamayo."""

    def start_web(self):
        self.script("www/run.fcgi")
        self.write("www/.htaccess", """\
Options +ExecCGI
AddHandler fcgid-script .fcgi
RewriteEngine On
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^(.*)$ run.fcgi/$1 [QSA,L]
""")
        self.fcgid(override="All")


class NginxGunicorn(Nginx):
    needs = Nginx.needs + ("gunicorn",)

    def start_app(self):
        self.lay_out("apps")
        self.spawn(["gunicorn", "--workers", str(self.site.workers),
                    "--worker-class", "sync",
                    "--bind", "unix:" + self.path("sock"),
                    "--chdir", self.path("apps/ROOT"),
                    "--worker-tmp-dir", "/dev/shm",
                    "--log-level", "warning", ENTRIES[self.site.app]])
        within(60, lambda: os.path.exists(self.path("sock")), "gunicorn")

    def start_web(self):
        self.nginx(self.one_server("""\
include proxy_params;
		location / { proxy_pass http://unix:%s; }"""
                                   % self.path("sock")))


class ApacheModWsgi(Apache):
    """In daemons of its own."""
    module = ("wsgi",)

    def start_web(self):
        self.lay_out("apps")
        module, name = ENTRIES[self.site.app].split(":")
        script = self.write("apps/run.wsgi",
                            "from %s import %s as application\n" % (
                                module, name))
        self.apache("""\
WSGISocketPrefix %(dir)s/run/wsgi
WSGIDaemonProcess it processes=%(workers)d threads=1 \\
	display-name=(wsgi:it) home=%(dir)s/apps/ROOT \\
	python-path=%(dir)s/apps/ROOT
WSGIProcessGroup it
WSGIApplicationGroup %%{GLOBAL}
WSGIScriptAlias / %(script)s
""" % {"dir": self.dir, "workers": self.site.workers, "script": script})


class ApachePassenger(Apache):
    needs = Apache.needs + (PASSENGER, "ruby")
    module = ("passenger",)

    def start_web(self):
        self.lay_out("apps")
        module, name = ENTRIES[self.site.app].split(":")
        self.write("apps/ROOT/passenger_wsgi.py",
                   "from %s import %s as application\n" % (module, name))
        self.apache("""\
PassengerRoot %(root)s
PassengerDefaultRuby /usr/bin/ruby
PassengerPython %(python)s
PassengerInstanceRegistryDir %(dir)s
PassengerLogFile %(dir)s/error.log
PassengerDisableSecurityUpdateCheck on
PassengerDisableAnonymousTelemetry on
PassengerUserSwitching off
PassengerMaxPoolSize %(workers)d
PassengerMinInstances %(workers)d
PassengerAppRoot %(dir)s/apps/ROOT
PassengerAppType wsgi
PassengerStartupFile passenger_wsgi.py
PassengerEnabled on
""" % {"root": PASSENGER, "python": PYTHON, "dir": self.dir,
            "workers": self.site.workers})


class LighttpdCgi(Lighttpd):
    """An interpreter for each request, as many shared hosts have it."""
    kind = "limit"

    def start_web(self):
        self.lay_out("apps")
        module, name = ENTRIES[self.site.app].split(":")
        where = self.path("apps", self.site.names[0])
        script = self.write("run.py", """\
import sys
from wsgiref.handlers import CGIHandler
sys.path.insert(0, %r)
from %s import %s
CGIHandler().run(%s)
""" % (where, module, name, name))
        self.lighttpd("""\
server.modules += ( "mod_alias", "mod_cgi" )
alias.url = ( "%s" => "%s" )
cgi.assign = ( ".py" => "%s" )
""" % (self.site.prefixes()[0], script, PYTHON))


# -- limits ----------------------------------------------------------------

class Limit(Stack):
    """limit.c, with a thread for each connection that may be kept."""
    needs = ("cc", "/usr/include/fcgiapp.h")
    kind = "limit"

    def limit(self):
        program = os.path.join(self.place, "limit")
        if not os.path.exists(program):
            p = subprocess.run(
                ["cc", "-O2", "-o", program, program + ".c", "-lfcgi",
                 "-lpthread"], stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
            if p.returncode != 0:
                raise Failure("limit.c: " + p.stdout.decode())
        return program


class LighttpdLimit(Lighttpd, Limit):
    needs = Lighttpd.needs + Limit.needs

    def start_web(self):
        self.lighttpd(self.fastcgi({"": (
            '"socket" => "%s", "bin-path" => "%s %d", "max-procs" => 1' % (
                self.path("sock"), self.limit(), self.site.workers))}))


class NginxLimit(Nginx, Limit):
    needs = Nginx.needs + Limit.needs

    def start_app(self):
        self.spawn([self.limit(), str(LIMIT_THREADS)],
                   listen=self.path("sock"))

    def start_web(self):
        self.nginx(self.fastcgi(self.path("sock")))


class ApacheLimit(Fcgid, Limit):
    needs = Fcgid.needs + Limit.needs

    def start_web(self):
        run = self.write("bin/run.fcgi",
                         "#!/bin/sh\nexec %s 1\n" % self.limit(), 0o755)
        self.fcgid(self.alias(run))


class Static:
    """A file, from the web server itself."""
    kind = "limit"

    def start_app(self):
        for prefix in self.site.prefixes():
            self.write("www%s/hello" % prefix, BODY.decode())
            self.write("www%s/style.css" % prefix, "x" * self.site.file)


class LighttpdStatic(Static, Lighttpd):
    def start_web(self):
        self.lighttpd("")


class NginxStatic(Static, Nginx):
    def start_web(self):
        self.nginx(self.one_server(""))


class ApacheStatic(Static, Apache):
    def start_web(self):
        self.apache("")


STACKS = {
    "lighttpd/mamayo": LighttpdMamayo,
    "lighttpd/mamayo-listen": LighttpdListen,
    "lighttpd/uwsgi": LighttpdUwsgi,
    "lighttpd/uwsgi-thunder": LighttpdUwsgiThunder,
    "lighttpd/cgi": LighttpdCgi,
    "lighttpd/limit": LighttpdLimit,
    "lighttpd/static": LighttpdStatic,
    "nginx/mamayo": NginxMamayo,
    "nginx/uwsgi": NginxUwsgi,
    "nginx/uwsgi-thunder": NginxUwsgiThunder,
    "nginx/uwsgi-fastcgi": NginxUwsgiFastcgi,
    "nginx/uwsgi-fastcgi-thunder": NginxUwsgiFastcgiThunder,
    "nginx/gunicorn": NginxGunicorn,
    "nginx/limit": NginxLimit,
    "nginx/static": NginxStatic,
    "apache/mamayo": ApacheMamayo,
    "apache/mamayo-installed": ApacheInstalled,
    "apache/uwsgi": ApacheUwsgi,
    "apache/uwsgi-alias": ApacheUwsgiAlias,
    "apache/mod_wsgi": ApacheModWsgi,
    "apache/passenger": ApachePassenger,
    "apache/limit": ApacheLimit,
    "apache/static": ApacheStatic,
}
