"""README and docs/: every command in them works, every link leads somewhere.

A line that is indented by four blanks and begins with "$ " is a command that
the reader types as himself, with "# " as root. Each document has an account of
its own, in which its commands are run in order, each by sh(1) where the last
one has left off, and must end with status 0. Paths and addresses of examples
are those of this account and its web server (Scene.places()). What cannot be
run here is in NOT_RUN, with the reason, and what is done in its place.

Other indented texts are settings, lines of a file in examples/, or in TEXTS.
"""
import configparser
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile

import servers
from harness import BUILDDIR, PROGRAM, SRCDIR, equal, run, test, within
from mamayo import Mamayo, kill

DOCS = ["README", "examples/README"] + sorted(
    "docs/" + name for name in os.listdir(os.path.join(SRCDIR, "docs")))
CURL = "curl --silent --show-error --fail --max-time 60 "
LIMIT = 300  # seconds: a command may look at a whole web server

# What is not run: (pattern, why, what is done in its place: a Scene's method)
NOT_RUN = [
    (r"\./bootstrap$", "t/0070-bootstrap.py does", "in_source"),
    (r"make portable$", "t/0060-portable.py does", "portable"),
    (r"make install$", "into /usr; make distcheck does", None),
    (r"scp ", "to another machine", "upload"),
    (r"install -d -o alice ", "gives a directory away; t/0071 has root",
     "socket_directory"),
    (r"sh ~alice/mamayo/for-root\.sh$", "changes the system", "as_root"),
    (r"mamayo serve ", "until Ctrl-C", "serve"),
    (r"systemctl restart ", "changes the system", "start"),
    (r"systemctl --user status ", "asks the system", None),
    (r"install -d -o www-data ", "gives a directory away; Scene has it", None),
]

# Indented texts that are neither commands, settings, nor in examples/: the
# first line, and where they are tried or why they are not.
TEXTS = {
    "./bootstrap           install what is missing, configure, build:":
        "t/0070-bootstrap.py",
    "from a2wsgi import ASGIMiddleware": "a2wsgi is not in Debian 12",
    "server.stream-response-body = 2": "t/5210-doctor-site.py",
    "fastcgi_buffering off;": "only where doctor finds the need for it",
    "<Directory /var/www/html>": "t/0100-docs.py, those of docs/for-hosts",
    "<Directory /home/*/public_html>": "t/0100-docs.py",
    "Options +ExecCGI": "t/0100-docs.py",
    "FcgidMaxRequestLen 67108864": "t/0100-docs.py",
    "SuexecUserGroup alice alice": "suexec needs root",
}


# What root's script does to the system: functions in their place, which note
# what they were asked for. The rest of it is run.
ROOT = """
for name in loginctl systemctl service dpkg nginx lighttpd a2enmod a2enconf \\
    apache2ctl; do
	eval "$name() { echo \"$name \$*\" >>used; }"
done
install() { shift 7; mkdir -p "$1"; }
id() { echo 1000; }
runuser() { shift 3; "$@"; }
crontab() {
	case $* in
	*-l*) cat crontab 2>/dev/null ;;
	*) cat >crontab ;;
	esac
}
"""

followed = set()  # (document, heading)


class Lighttpd(servers.Lighttpd):
    configuration = ""

    def config(self):
        return self.configuration


class Nginx(servers.Nginx):
    configuration = ""

    def argv(self):
        argv = servers.Nginx.argv(self)
        self.write("mamayo.conf", self.configuration.replace(
            "listen 80;", "listen 127.0.0.1:%d;" % self.port))
        with open(self.path("fastcgi_params")) as f:
            lines = [line for line in f if " HTTP_HOST " not in line]
        self.write("fastcgi_params", "".join(lines) +  # not at port 80
                   "fastcgi_param HTTP_HOST $host:$server_port;\n")
        return argv


class ApacheProxy(servers.ApacheProxy):
    configuration = ""

    def main(self):
        return self.configuration


PACKAGE = {ApacheProxy: "apache2", Lighttpd: "lighttpd", Nginx: "nginx"}
PLACE_IN_ETC = {
    ApacheProxy: "apache2/conf-available/mamayo.conf",
    Lighttpd: "lighttpd/conf-enabled/50-mamayo.conf",
    Nginx: "nginx/sites-enabled/mamayo",
}


def read(name):
    with open(os.path.join(SRCDIR, name), encoding="utf-8") as f:
        return f.read()


def blocks(text):
    """The indented texts of a document: lists of lines."""
    found, last = [], ""
    for line in text.split("\n"):
        if line.startswith("    ") and (found and last.startswith("    ")
                                        or not last.strip()):
            if not last.startswith("    "):
                found.append([])
            found[-1].append(line[4:])
        else:
            line = line if not line.startswith("    ") else "text"
        last = line
    return [b for b in found if not b[0].startswith(" ")]


def is_session(block):
    return block[0][:2] in ("$ ", "# ")


def sections(name):
    """{heading: its commands}; "" is what comes before the first one."""
    found, heading = {}, ""
    lines = read(name).split("\n")
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and line and re.match(r"(---+|===+)$",
                                                    lines[i + 1]):
            heading = line
        found.setdefault(heading, []).append(line)
    return {heading: list(commands("\n".join(text), name))
            for heading, text in found.items()}


def commands(text, name):
    for block in blocks(text):
        if is_session(block):
            for line in block:
                assert line[:2] in ("$ ", "# "), "%s: %r" % (name, line)
                yield line[2:]


class Scene:
    """The reader of a document, with an account and a web server."""

    instead = {}  # what the reader types in the place of what

    def __init__(self, kind=servers.ApacheFcgid, *arguments, systemd=True):
        self.m = Mamayo(linger=1, grace=1)
        self.systemd = systemd
        self.home = self.m.dir
        self.cwd = self.home
        self.server = kind(self.m, *arguments)
        for name in ("bin", "srv", "etc/lighttpd/conf-enabled",
                     "etc/nginx/sites-enabled",
                     "etc/apache2/conf-available"):
            os.makedirs(os.path.join(self.home, name))
        os.symlink(os.path.abspath(PROGRAM),
                   os.path.join(self.home, "bin", "mamayo"))
        os.symlink(self.server.path("www"),
                   os.path.join(self.home, "public_html"))
        self.wheels()
        for name in "fcgi", "examples", "docs":
            at = BUILDDIR if name == "fcgi" else SRCDIR
            os.makedirs(os.path.join(self.home, "source"), exist_ok=True)
            os.symlink(os.path.join(at, name),
                       os.path.join(self.home, "source", name))

    def wheels(self):
        """A wheel of Flask, which leads to the one that is installed."""
        os.makedirs(os.path.join(self.home, "wheels"))
        try:
            import flask
        except ImportError:
            return
        place = os.path.dirname(os.path.dirname(flask.__file__))
        info = "flask-2.0.dist-info/"
        with zipfile.ZipFile(os.path.join(
                self.home, "wheels", "flask-2.0-py3-none-any.whl"), "w") as z:
            z.writestr("flask_of_debian.pth", place + "\n")
            z.writestr(info + "METADATA", "Metadata-Version: 2.1\n"
                       "Name: Flask\nVersion: 2.0\n")
            z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: us\n"
                       "Root-Is-Purelib: true\nTag: py3-none-any\n")
            z.writestr(info + "RECORD", "")

    def places(self):
        return {
            "https://example.org/": self.server.url("/"),
            "http://localhost/": self.server.url("/"),
            "/home/alice": self.home,
            "~alice": self.home,
            "/etc/": self.home + "/etc/",
            "/srv/mamayo": self.m.root,
            "/srv/": self.home + "/srv/",
            "/run/lighttpd/": self.server.dir + "/",
            "runuser -u www-data -- ": "",
        }

    def here(self, text):
        for old, new in self.places().items():
            text = text.replace(old, new)
        return text

    def run(self, command):
        at = os.path.join(self.home, "cwd")
        script = "cd %s || exit\n%s\ncode=$?\npwd >%s\nexit $code" % (
            shlex.quote(self.cwd), re.sub("^curl ", CURL, self.here(command)),
            shlex.quote(at))
        env = {"HOME": self.home, "USER": "alice", "TERM": "dumb",
               "PATH": "%s/bin:%s" % (self.home, servers.PATHS),
               "XDG_CONFIG_HOME": self.home + "/.config",
               "PIP_NO_INDEX": "1", "PYTHONDONTWRITEBYTECODE": "1",
               "PIP_FIND_LINKS": os.path.join(self.home, "wheels")}
        process = self.m.popen(["/bin/sh", "-c", script], env=env,
                               stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
        out, _ = process.communicate(timeout=LIMIT)
        self.m.others.remove(process)
        if process.returncode != 0:
            raise AssertionError("%s: exit status %d:\n%s" % (
                command, process.returncode, out.decode()))
        with open(at) as f:
            self.cwd = f.read().rstrip("\n")
        if re.match(r"(bin/)?mamayo doctor .*http", command):
            within(20, lambda: not any(
                a["name"].startswith("doctor-")
                for a in self.m.status()["apps"]), "the end of its traces")
        return out.decode()

    def follow(self, name, *headings):
        """Does what these sections say, or all of the document -> what its
        last command has said."""
        said = None
        for heading, lines in sections(name).items():
            if headings and heading not in headings:
                continue
            assert lines or not headings, heading
            followed.add((name, heading))
            for command in lines:
                for old, new in self.instead.items():
                    command = command.replace(old, new)
                for pattern, _, instead in NOT_RUN:
                    if re.match(pattern, command):
                        if instead:
                            self.command = command
                            getattr(self, instead)()
                        break
                else:
                    said = self.run(command)
        return said

    # -- what is done in the place of a command

    def in_source(self):
        self.cwd = os.path.join(self.home, "source")

    def portable(self):
        """Not the static one, but it is called like that."""
        shutil.copy(PROGRAM, os.path.join(self.cwd, "mamayo-1-linux-x.fcgi"))

    def upload(self):
        """What was made here is at the host, and so is the reader."""
        self.cwd = self.home
        self.portable()
        os.chmod(os.path.join(self.home, "mamayo-1-linux-x.fcgi"), 0o644)

    def socket_directory(self):
        os.makedirs(os.path.join(self.home, "srv", "alice"), exist_ok=True)

    def as_root(self):
        """The script, in a directory where it may change what it wants; and
        what systemd and the web server do then."""
        place = os.path.join(self.home, "root")
        for path in (place, place + "/systemd") if self.systemd else (place,):
            os.mkdir(path)
        with open(self.m.path("for-root.sh")) as f:
            text = self.here(f.read())
        text = text.replace("/run/systemd/system", place + "/systemd")
        with open(place + "/script", "w") as f:
            f.write(ROOT + text)
        with open(os.path.join(self.home, "stderr"), "ab") as err:
            process = self.m.popen(["/bin/sh", "script"], cwd=place,
                                   stdout=err, stderr=err)
            equal(process.wait(60), 0)
        self.m.others.remove(process)
        with open(place + "/used") as f:
            used = f.read().splitlines()
        user = pwd.getpwuid(os.getuid()).pw_name
        told = ["loginctl enable-linger " + user,
                "systemctl --user enable --now mamayo.socket"]
        equal([t in used for t in told], [self.systemd] * 2, used)
        assert "service %s restart" % PACKAGE[type(self.server)] in used, used
        path = self.here("/srv/%s/mamayo.sock" % user)
        if self.systemd:
            self.socket_unit()
        else:
            with open(place + "/crontab") as f:
                assert "unix:" + path in f.read()
            within(20, lambda: os.path.exists(path), path)
        self.start(str)  # its paths are from here already

    def serve(self):
        """Until its page was seen."""
        process = self.m.popen(
            ["/bin/sh", "-c", "exec " + self.command], cwd=self.cwd,
            env={"HOME": self.home, "PATH": "%s/bin:%s" % (
                self.home, servers.PATHS)}, stdout=subprocess.PIPE)
        address = process.stdout.readline().split()[0].decode()
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"<!doctype" in answer.read()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        equal(process.returncode, 0)
        self.m.others.remove(process)

    def socket_unit(self):
        """As systemd would, but not with the first connection only."""
        units = configparser.ConfigParser(interpolation=None, strict=False)
        for name in "mamayo.socket", "mamayo.service":
            with open(os.path.join(self.home, ".config/systemd/user",
                                   name)) as f:
                units.read_file(f)
        path = self.here(units["Socket"]["ListenStream"])
        argv = units["Service"]["ExecStart"].replace("%h", self.home).split()
        with open(os.path.join(self.home, "stderr"), "ab") as err:
            self.m.popen(argv + ["--mode", units["Socket"]["SocketMode"],
                                 "unix:" + path], stderr=err)
        within(20, lambda: os.path.exists(path), path)

    def start(self, here=None):
        """The web server, with the file that was copied to /etc."""
        self.server.configuration = (here or self.here)(
            self.read_configuration())
        self.server.start()

    def read_configuration(self):
        with open(os.path.join(self.home, "etc", PLACE_IN_ETC[
                type(self.server)])) as f:
            return f.read()

    def close(self):
        self.server.stop()
        for process in self.m.processes().values():
            if b"\0listen\0" in process.read("cmdline"):
                kill(process.pid, signal.SIGTERM)  # as at shutdown
        self.m.close()


SHARED = "Five minutes: a shared host with Apache"
OWN = "Five minutes: a server of your own"
TRY = "On your own machine, to try something"


def counted(name, heading, first, began):
    """How long it is from the first of these commands to an application."""
    lines = sections(name)[heading]
    at = lines.index(first)
    last = [i for i, c in enumerate(lines) if "new hello" in c][0]
    equal(last + 1 - at, 3, lines)
    return "%d commands to the program, %d from there to the application; " \
        "without building %.1f s" % (at, last + 1 - at,
                                     time.monotonic() - began)


@test("README: a shared host with Apache")
def _():
    scene = Scene(servers.ApacheFcgid, None)
    scene.server.start()
    equal(scene.server.get("/hello/").status, 404)
    began = time.monotonic()
    said = scene.follow("README", SHARED)
    took = counted("README", SHARED, "chmod 755 mamayo-*.fcgi", began)
    assert "Nothing is wrong" in said, said
    for path in "/hello/", "/guestbook/":
        got = scene.server.get(path)
        equal((got.status, b"<!doctype" in got.body), (200, True), path)
    scene.close()
    return took


def own_server(kind, name, systemd):
    @test("README: a server of your own, with %s%s" % (
        name, "" if systemd else ", without systemd"))
    def _():
        scene = Scene(kind, systemd=systemd)
        scene.instead = {"--server lighttpd": "--server " + name}
        began = time.monotonic()
        said = scene.follow("README", OWN)
        assert "<!doctype" in said, said
        took = counted("README", OWN, "mamayo install --server lighttpd",
                       began)
        scene.close()
        return took


for how in True, False:
    own_server(Lighttpd, "lighttpd", how)
    own_server(Nginx, "nginx", how)


@test("README: an application on one's own machine")
def _():
    scene = Scene()
    scene.follow("README", TRY)
    scene.close()


def shared_host(name, docroot):
    @test("%s: a shared host with Apache" % name)
    def _():
        scene = Scene(servers.ApacheFcgid, None)
        scene.upload()
        if docroot != "public_html":
            os.rename(os.path.join(scene.home, "public_html"),
                      os.path.join(scene.home, docroot))
        scene.server.start()
        scene.follow(name)
        got = scene.server.get("/hello/")
        equal((got.status, b"<!doctype" in got.body), (200, True))
        scene.close()


shared_host("docs/dreamhost", "example.org")
shared_host("docs/cpanel", "public_html")


def own_page(name, kind):
    @test("%s%s" % (name, "" if kind is ApacheProxy else ", after README"))
    def _():
        scene = Scene(kind)
        if kind is not ApacheProxy:
            scene.instead = {"--server lighttpd":
                             "--server " + PACKAGE[kind]}
            scene.follow("README", OWN)
        mine = [h for h in sections(name) if h != SPAWNED]
        scene.follow(name, *[h for h in mine if sections(name)[h]])
        equal(scene.server.get("/hello/").status, 200)
        scene.close()


SPAWNED = "Another way: lighttpd starts mamayo"
own_page("docs/own-lighttpd", Lighttpd)
own_page("docs/own-nginx", Nginx)
own_page("docs/own-apache", ApacheProxy)


@test("docs/own-lighttpd: lighttpd starts it")
def _():
    scene = Scene(Lighttpd)
    scene.in_source()
    said = scene.follow("docs/own-lighttpd", SPAWNED)
    assert "<!doctype" in said, said
    scene.close()


def text_in(name, first):
    """The block of a document that begins with this line."""
    found, = [b for b in blocks(read(name)) if b[0] == first]
    return "\n".join(found) + "\n"


class Host(servers.ApacheFcgid):
    """Apache as docs/for-hosts has it, or nearly."""

    def __init__(self, m):
        servers.ApacheFcgid.__init__(self, m, None, limits=False)

    def main(self):
        directory = text_in("docs/for-hosts", "<Directory /home/*/public_html>")
        allow = re.search("AllowOverride .*", directory).group()
        text = servers.ApacheFcgid.main(self)
        assert "AllowOverride All" in text, text
        return text.replace("AllowOverride All", allow) + text_in(
            "docs/for-hosts", "FcgidMaxRequestLen 67108864")


@test("docs/for-hosts: what users may do is enough, and no limit is left")
def _():
    scene = Scene(Host)
    scene.server.start()
    scene.follow("docs/for-hosts")
    said = scene.run("mamayo doctor https://example.org/")
    notes = [line for line in said.split("\n")
             if line.startswith(("bad", "note"))]
    equal([n for n in notes if re.match(
        "bad|.*(%2F|streaming|uploads|authorization)", n)], [])
    for form in "htaccess", "htaccess-rewrite":
        scene.server.write("www/.htaccess", servers.example(form, {}))
        got = scene.server.curl("--user", "a:b", "/hello/")
        assert b"<!doctype" in got, got
    scene.close()


@test("docs/for-hosts: no file in the user's directory")
def _():
    scene = Scene(Host)
    hello(scene)
    text = text_in("docs/for-hosts", "Options +ExecCGI")
    installed = "/usr/local/libexec/mamayo/mamayo.fcgi"
    assert installed in text
    scene.server.write("www/.htaccess", text.replace(
        installed, os.path.abspath(PROGRAM)))
    scene.server.start()
    equal(scene.server.get("/hello/").status, 200)
    got = scene.server.get("/nobody/")
    equal((got.status, got.header("X-Mamayo-Error")), (404, "no-app"))
    scene.close()


OLD = {
    "shop/passenger_wsgi.py": "from shop import app as application\n",
    "shop/shop.py": "import flask\napp = flask.Flask('shop')\n"
                    "@app.route('/')\ndef index():\n    return 'shop'\n",
    "shop/requirements.txt": "Flask\n",
    "wiki/uwsgi.ini": "[uwsgi]\nmodule = web.start:app\nprocesses = 4\n",
    "wiki/web/start.py": None,
    "notes/notes.py": None,
    "stats/stats.wsgi": None,
    "cgi-bin/count.py": None,
}
PLAIN = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [%r]
application = app
if __name__ == "__main__":
    from wsgiref.handlers import CGIHandler
    CGIHandler().run(app)
"""


@test("docs/moving-here: an application of each kind")
def _():
    scene = Scene(servers.ApacheFcgid)
    scene.server.start()
    for name, text in OLD.items():
        path = os.path.join(scene.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text or PLAIN % name.split("/")[0].encode())
    said = scene.follow("docs/moving-here")
    names = {"shop": b"shop", "wiki": b"wiki", "notes": b"notes",
             "stats": b"stats", "count": b"cgi-bin"}
    for name, expected in names.items():
        assert name in said, said
        got = scene.server.get("/%s/" % name)
        equal((got.status, got.body), (200, expected), name)
    scene.close()


def hello(scene):
    """The application that most documents speak of."""
    scene.run("mamayo new hello")


@test("docs/faq: every command")
def _():
    scene = Scene()
    scene.server.start()
    hello(scene)
    equal(scene.server.get("/hello/").status, 200)
    scene.follow("docs/faq")
    scene.close()


@test("docs/faq has the twenty-five, and t/PAINS a test for each")
def _():
    numbers = re.findall(r"^(\d+)\. \S", read("docs/faq"), re.M)
    equal(numbers, [str(n) for n in range(1, 26)])
    equal(re.findall(r"^(\d+)\t", read("t/PAINS"), re.M), numbers)
    for entry in re.split(r"^\d+\. ", read("docs/faq"), flags=re.M)[1:]:
        assert "\nLooks like: " in entry, entry


@test("settings are known, and other texts are from examples/")
def _():
    known = set()
    for line in subprocess.run(
            [os.path.abspath(PROGRAM), "settings"], stdout=subprocess.PIPE,
            check=True).stdout.decode().split("\n"):
        known.update(line.split("|")[0].split("."))
    examples = set()
    for name in os.listdir(servers.EXAMPLES):
        if os.path.isfile(os.path.join(servers.EXAMPLES, name)) and (
                not name.startswith("carried")):
            examples.update(line.strip() for line in read(
                "examples/" + name).split("\n"))
    unused = set(TEXTS)
    for name in DOCS:
        if name == "examples/README":
            continue  # t/6400-listen-examples.py
        for block in blocks(read(name)):
            if is_session(block):
                continue
            if block[0] in TEXTS:
                unused.discard(block[0])
            elif re.match(r"\S+( \S+)*   ", block[0]):  # a table
                for key in re.findall(r'"([a-z_]+)"', "\n".join(
                        line.partition("  ")[2] for line in block)):
                    assert key in known, "%s: %s" % (name, key)
            elif block[0].startswith("{"):
                for key in json.loads("\n".join(block)):
                    assert key in known, "%s: %s" % (name, key)
            else:
                for line in block:
                    assert line.strip() in examples, "%s: %r" % (name, line)
    equal(unused, set())


@test("what is not run is in the documents, and has a reason")
def _():
    lines = [c for name in DOCS for section in sections(name).values()
             for c in section]
    for pattern, why, _ in NOT_RUN:
        assert len(why) > 10, pattern
        assert any(re.match(pattern, c) for c in lines), pattern


LINK = re.compile(r"(?<![\w./~*-])((?:docs|examples|fcgi|t|bench)/"
                  r"(?:[\w.-]+/)*[\w.-]*\w|FLOORS|HACKING|CONTRIBUTING|COPYING)"
                  r"(?![\w*])")


@test("whatever file they name is there, and docs/ names every document")
def _():
    for name in DOCS:
        for link in LINK.findall(read(name)):
            assert link == "fcgi/mamayo.fcgi" or any(
                os.path.exists(os.path.join(SRCDIR, link + more))
                for more in ("", ".h")), "%s: %s" % (name, link)
    named = set(LINK.findall(read("README")))
    equal([d for d in DOCS if d.startswith("docs/") and d not in named], [])


@test("each manual page and command of mamayo that they name is there")
def _():
    pages = {name for name in os.listdir(os.path.join(SRCDIR, "fcgi"))
             if re.search(r"\.[1-9]$", name)}
    helped = set(re.findall(r"^  mamayo (\w+)", subprocess.run(
        [os.path.abspath(PROGRAM), "--help"], stdout=subprocess.PIPE,
        check=True).stdout.decode(), re.M))
    for name in DOCS:
        for page, section in re.findall(r"\b(mamayo[\w.]*)\((\d)\)",
                                        read(name)):
            assert "%s.%s" % (page, section) in pages, (name, page)
        for line in sections(name).values():
            for verb in re.findall(r"\bmamayo (?!mamayo)([a-z]+)",
                                   "\n".join(line)):
                assert verb in helped, (name, verb)


@test("every command in them has been run")
def _():
    if len(sys.argv) > 1:
        return  # some tests only
    for name in DOCS:
        for heading, lines in sections(name).items():
            assert not lines or (name, heading) in followed, (name, heading)


run()
