"""mamayo install and uninstall: a site behind a real Apache with mod_fcgid, and
what is in the way."""
import fcntl
import os
import re
import resource
import shutil
import signal
import stat
import subprocess

import servers
from harness import PROGRAM, equal, run, test
from mamayo import Mamayo

m = Mamayo(workers={"max": 1})
# units of systemd go there, never to whoever runs the tests
m.environment["XDG_CONFIG_HOME"] = os.path.join(m.dir, "config")
m.app("blog")
MINE = "AddType text/plain .txt\nRedirect /old /file.txt\n"
BACKUP = ".htaccess.before-mamayo"


class Site:
    """A document root."""

    def __init__(self, rules=None, mode=0o644):
        n = 0
        while os.path.exists(os.path.join(m.dir, "site%d" % n)):
            n += 1
        self.dir = os.path.join(m.dir, "site%d" % n)
        os.mkdir(self.dir, 0o755)
        if rules is not None:
            self.write(".htaccess", rules, mode)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", newline="") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def read(self, name=".htaccess"):
        with open(self.path(name), newline="") as f:
            return f.read()

    def state(self):
        """Everything that is there, with its contents."""
        found = {}
        for name in sorted(os.listdir(self.dir)):
            path = self.path(name)
            how = os.lstat(path)
            what = (os.readlink(path) if stat.S_ISLNK(how.st_mode)
                    else sorted(os.listdir(path)) if stat.S_ISDIR(how.st_mode)
                    else open(path, "rb").read())
            found[name] = (stat.filemode(how.st_mode), what)
        return found

    def do(self, verb, *arguments, **how):
        return m.command(verb, self.dir, *arguments, **how)

    def does(self, verb, *arguments):
        got = self.do(verb, *arguments)
        equal((got.returncode, got.stderr), (0, ""), got.stdout)
        return got.stdout

    def refuses(self, verb, *words, **how):
        before = self.state()
        got = self.do(verb, **how)
        equal(got.returncode, 1, got.stdout)
        for word in words:
            equal(word in got.stderr, True, got.stderr)
        equal(self.state(), before)
        return got


def ours(site):
    """Is all of it there, once?"""
    equal(site.read().count("# BEGIN mamayo"), 1, site.read())
    equal(site.read().count("# END mamayo\n"), 1)
    equal("RewriteRule ^ mamayo.fcgi [L]" in site.read(), True)
    equal(site.state()["mamayo.fcgi"][0], "-rwxr-xr-x")
    with open(PROGRAM, "rb") as f:
        equal(site.state()["mamayo.fcgi"][1] == f.read(), True)
    equal(site.state()["mamayo-files"], ("drwxr-xr-x", [".htaccess"]))


@test("an application is served behind Apache, and what was there before stays; then it goes")
def _():
    server = servers.ApacheFcgid(m, None)
    root = server.path("www")
    os.makedirs(os.path.join(root, "pictures"))
    for name, text in ((".htaccess", MINE), ("page.html", "a page\n"),
                       ("pictures/index.html", "pictures\n")):
        with open(os.path.join(root, name), "w") as f:
            f.write(text)
    server.start()
    equal(server.get("/blog/unread").status, 404)
    got = m.command("install", root)
    equal((got.returncode, got.stderr), (0, ""))
    got = server.get("/blog/unread")
    equal((got.status, got.body), (200, b"did not look"))
    equal(server.get("/page.html").body, b"a page\n")
    equal(server.get("/pictures/").body, b"pictures\n")
    equal(server.get("/old").header("Location").endswith("/file.txt"), True)
    equal(server.curl("-u", "a:b", "/blog/auth"), b"Basic YTpi")
    got = m.command("uninstall", root)
    equal((got.returncode, got.stderr), (0, ""))
    equal(server.get("/blog/unread").status, 404)
    equal(server.get("/page.html").body, b"a page\n")
    equal(sorted(os.listdir(root)),
          [".htaccess", "file.txt", "page.html", "pictures"])
    with open(os.path.join(root, ".htaccess")) as f:
        equal(f.read(), MINE)
    server.stop()


@test("in the document root it works without mod_rewrite, which Debian does not enable")
def _():
    server = servers.ApacheFcgid(m, None)
    server.modules = [name for name in server.modules if name != "rewrite"]
    equal(m.command("install", server.path("www")).returncode, 0)
    server.start()
    for path, status in (("/blog/unread", 200), ("/nothing", 404),
                         ("/", 404)):
        got = server.get(path)
        equal((got.status, got.header("X-Mamayo-Error")),
              (status, None if status == 200 else "no-app"), path)
    equal(server.get("/file.txt").body, b"a file\n")
    server.stop()


@test("it works in a directory below the document root as well")
def _():
    server = servers.ApacheFcgid(m, None, "/sub")
    os.makedirs(server.path("www/sub"))
    equal(m.command("install", server.path("www/sub")).returncode, 0)
    server.start()
    got = server.get("/blog/unread")
    equal((got.status, got.body), (200, b"did not look"))
    server.stop()


@test("what was there is kept: beside ours, and as a copy; to install again changes nothing")
def _():
    for rules, after in ((None, None), (MINE, MINE), ("# no newline",
                                                      "# no newline\n"),
                         ("a\r\nb\r\n", "a\r\nb\r\n"), ("", "")):
        site = Site(rules, 0o640)
        before = site.state()
        site.does("install")
        ours(site)
        equal(site.read().startswith(rules or "#"), True)
        if rules is not None:
            equal(site.read(BACKUP), rules)
            equal(site.state()[BACKUP][0], "-rw-r-----")
            equal(site.state()[".htaccess"][0], "-rw-r-----")
        first = site.state()
        equal("has what it needs" in site.does("install"), True)
        equal(site.state(), first)
        site.does("uninstall")
        if rules == after:
            equal(site.state(), before)
        else:
            equal((site.read(), site.read(BACKUP)), (after, rules))
        site.does("uninstall")  # nothing is there any more
        ours_before = site.state()
        equal("mamayo.fcgi" in ours_before, False)


@test("what was changed around ours since then stays, and so does the copy")
def _():
    site = Site(MINE)
    site.does("install")
    text = site.read()
    site.write(".htaccess", "# above\n" + text.replace(
        "Options +ExecCGI", "# changed") + "# below\n")
    site.does("install")
    equal(site.read(), "# above\n" + text + "# below\n")
    equal(site.read(BACKUP), MINE)
    site.does("uninstall")
    equal(site.read(), "# above\n" + MINE + "# below\n")
    equal(site.read(BACKUP), MINE)


@test("an .htaccess that is read-only, or a link, stays; the lines are printed")
def _():
    for site, words in ((Site(MINE, 0o444), ["read-only", "chmod u+w"]),
                        (Site(), ["symbolic link"])):
        if not os.path.exists(site.path(".htaccess")):
            site.write("elsewhere", MINE)
            os.symlink("elsewhere", site.path(".htaccess"))
        got = site.refuses("install", "lines above", *words)
        equal("RewriteRule ^ mamayo.fcgi [L]" in got.stdout, True)
        equal(site.refuses("uninstall", "by hand", *words).stdout, "")
    site = Site()
    os.symlink("nowhere", site.path(".htaccess"))
    site.refuses("install", "symbolic link")


@test("an .htaccess that is no file, no text, or half ours is left alone")
def _():
    site = Site()
    os.mkfifo(site.path(".htaccess"))
    got = site.do("install")
    equal((got.returncode, "cannot read" in got.stderr), (1, True), got.stderr)
    os.unlink(site.path(".htaccess"))
    equal(os.listdir(site.dir), [])
    Site("a\0b\n").refuses("install", "is no text")
    for half in ("# BEGIN mamayo\n", "x\n# END mamayo\n"):
        Site(half).refuses("install", "by hand")
        Site(half).refuses("uninstall", "by hand")


@test("a mamayo.fcgi that is a link is replaced by a file")
def _():
    site = Site()
    site.write("theirs", "theirs", 0o755)
    os.symlink("theirs", site.path("mamayo.fcgi"))
    site.does("install")
    ours(site)
    equal(site.read("theirs"), "theirs")


@test("the directory of links goes with all that is in it; what is not ours stays")
def _():
    site = Site()
    site.does("install")
    os.symlink(m.path("apps/blog/public"), site.path("mamayo-files/blog"))
    site.does("install")
    equal(sorted(os.listdir(site.path("mamayo-files"))),
          [".htaccess", "blog"])
    equal("mamayo-files: removed" in site.does("uninstall"), True)
    equal(site.state(), {})
    os.mkdir(site.path("mamayo-files"), 0o700)
    site.write("mamayo-files/mine", "mine")
    for verb in "install", "uninstall":
        equal("something of yours" in site.does(verb), verb == "install")
        equal(site.state()["mamayo-files"], ("drwx------", ["mine"]))
    shutil.rmtree(site.path("mamayo-files"))
    for what in (lambda path: site.write("mamayo-files", "mine"),
                 lambda path: os.symlink(m.path("apps"), path)):
        what(site.path("mamayo-files"))
        before = site.state()["mamayo-files"]
        site.does("install")
        equal(site.state()["mamayo-files"], before)
        site.does("uninstall")
        equal(list(site.state()), ["mamayo-files"])
        os.unlink(site.path("mamayo-files"))


@test("started from the document root itself it stays the same file, executable")
def _():
    site = Site()
    with open(PROGRAM, "rb") as f, open(site.path("mamayo.fcgi"), "wb") as to:
        to.write(f.read())
    os.chmod(site.path("mamayo.fcgi"), 0o700)
    number = os.stat(site.path("mamayo.fcgi")).st_ino
    got = site.do("install", program=site.path("mamayo.fcgi"))
    equal((got.returncode, got.stderr), (0, ""))
    ours(site)
    equal(os.stat(site.path("mamayo.fcgi")).st_ino, number)


@test("a directory that others may write to is named, for suexec refuses it")
def _():
    site = Site()
    equal("chmod go-w" in site.does("install"), False)
    os.chmod(site.dir, 0o775)
    equal("chmod go-w " + site.dir in site.does("install"), True)


@test("a document root that is not there, no directory, or not ours")
def _():
    site = Site()
    site.write("file", "")
    for path, word in (("/nonexistent", "No such file"),
                       (site.path("file"), "Not a directory"),
                       ("/usr/share", "belongs to another user")):
        got = m.command("install", path)
        equal((got.returncode, got.stdout), (1, ""))
        equal(word in got.stderr, True, got.stderr)


@test("two at once: the other one is told so")
def _():
    site = Site()
    os.makedirs(m.path("state"), exist_ok=True)
    with open(m.path("state", "install.lock"), "w") as f:
        fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        site.refuses("install", "at this moment")
        site.refuses("uninstall", "at this moment")
    site.does("install")
    ours(site)
    # and in truth
    site = Site(MINE)
    both = [m.popen([os.path.abspath(PROGRAM), "install", site.dir],
                    stderr=subprocess.DEVNULL)
            for _ in range(6)]
    codes = [p.wait(20) for p in both]
    equal((set(codes) <= {0, 1}, 0 in codes), (True, True), codes)
    ours(site)
    equal(sorted(site.state()),
          [".htaccess", BACKUP, "mamayo-files", "mamayo.fcgi"])
    equal(site.read(BACKUP), MINE)


@test("on a full disk nothing is changed")
def _():
    for limit in (1000, os.path.getsize(PROGRAM) - 1):
        Site(MINE).refuses(
            "install", "File too large", preexec_fn=lambda limit=limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))


@test("where the copy cannot be kept, the program is not there either")
def _():
    site = Site(MINE)
    os.makedirs(site.path(BACKUP) + "/x")
    got = site.do("install")
    equal((got.returncode, "cannot write " + BACKUP in got.stderr), (1, True))
    equal((sorted(os.listdir(site.dir)), site.read()),
          ([".htaccess", BACKUP], MINE))


@test("interrupted at any moment, the rules never name what is not there")
def _():
    done = 0
    for n in range(40):
        site = Site(MINE)
        process = m.popen([os.path.abspath(PROGRAM), "install", site.dir])
        for _ in range(n * 3000):
            pass
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        m.others.remove(process)
        if "mamayo.fcgi" in site.state():
            ours(site)
            done += 1
        else:
            equal(list(site.state()), [".htaccess"])
            equal(site.read(), MINE)
    return "%d of 40 were installed" % done


@test("for nginx, lighttpd and mod_proxy_fcgi: the program, its units, and what root has to do")
def _():
    script = m.path("for-root.sh")
    units = os.path.join(m.dir, "config", "systemd", "user")
    for kind, word in (("nginx", "fastcgi_pass mamayo;"),
                       ("lighttpd", "fastcgi.server"),
                       ("apache-proxy", "ProxyPass")):
        got = m.command("install", "--server", kind)
        equal((got.returncode, got.stderr), (0, ""))
        with open(script) as f:
            text = f.read()
        equal(text in got.stdout and word in text, True, got.stdout)
        equal("sh " + script in got.stdout, True, got.stdout)
        if kind == "nginx":
            equal("root %s/apps;" % m.root in text, True, text)
        equal(re.findall(r"alice|@[A-Z]+@", text), [], text)
        equal("@reboot exec %s/mamayo.fcgi listen" % m.root in text, True)
        equal("\nexec %s/mamayo.fcgi listen" % m.root in text, True)
        subprocess.run(["/bin/sh", "-n", script], check=True)
        equal(sorted(os.listdir(units)), ["mamayo.service", "mamayo.socket"])
        with open(units + "/mamayo.service") as f:
            equal("ExecStart=%s/mamayo.fcgi listen\n" % m.root in f.read(),
                  True)
        equal(stat.S_IMODE(os.stat(m.path("mamayo.fcgi")).st_mode), 0o755)
        site = Site()  # a document root changes nothing
        site.does("install", "--server", kind)
        equal(site.state(), {})
        got = m.command("uninstall", "--server", kind)
        equal((got.returncode, got.stdout.count("removed\n")), (0, 4))
        equal([os.path.exists(m.path("mamayo.fcgi")), os.path.exists(script),
               os.listdir(units)], [False, False, []])


def for_root(kind):
    """What root has to do for that web server."""
    m.command("install", "--server", kind)
    with open(m.path("for-root.sh")) as f:
        text = f.read()
    m.command("uninstall", "--server", kind)
    return text


@test("what root has to do can be done twice, and is undone by nobody")
def _():
    text = for_root("nginx")
    place = os.path.join(m.dir, "as-root")
    os.mkdir(place)
    text = text.replace("/run/systemd/system", place).replace(
        "/etc/nginx/sites-enabled/mamayo", "'%s/site'" % place)
    names = "install loginctl systemctl runuser dpkg rm nginx service id"
    functions = "".join("%s() { :; }\n" % name for name in names.split())
    for word in ("", "is there already, and stays as it is"):
        got = subprocess.run(["/bin/sh", "-c", functions + text], cwd=place,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             check=True).stdout.decode()
        equal(word in got and bool(got) == bool(word), True, got)
        with open(place + "/site") as f:
            equal("fastcgi_pass mamayo;" in f.read(), True)
        with open(place + "/site", "a") as f:
            f.write("# mine\n")
    with open(place + "/site") as f:
        equal(f.read().count("# mine\n"), 2)


@test("without systemd root's script installs cron; done again, it starts what is not there")
def _():
    text = for_root("lighttpd")
    place = os.path.join(m.dir, "without-systemd")
    os.makedirs(place + "/bin")
    for old, new in (
            ("/run/systemd/system", "'%s/systemd'" % place),
            ("/etc/lighttpd/conf-enabled/50-mamayo.conf",
             "'%s/conf'" % place),
            ("\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
             "\nPATH='%s/bin'\n" % place)):
        equal(old in text, True, text)
        text = text.replace(old, new)
    for name in "cat", "grep", "mv", "sh":
        os.symlink(shutil.which(name), "%s/bin/%s" % (place, name))
    for name, does in (
            ("bin/apt-get", 'echo "$*" >>installed; mv cron bin/crontab'),
            ("cron", 'if [ "$3" = -l ]; then cat table; exit; fi\n'
                     'text=$(cat); echo "$text" >table')):
        path = os.path.join(place, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n%s\n" % does)
        os.chmod(path, 0o755)
    functions = """
runuser() { cat >>started; }
install() { :; }
lighttpd() { :; }
service() { wait; }
"""
    for turn in 1, 2:
        subprocess.run(["/bin/sh", "-c", functions + text], cwd=place,
                       stdout=subprocess.PIPE, check=True)
        for name, words, times in (
                ("installed", "install -y --no-install-recommends cron\n", 1),
                ("table", "@reboot exec %s/mamayo.fcgi listen" % m.root, 1),
                ("started", "exec %s/mamayo.fcgi listen" % m.root, turn)):
            with open(os.path.join(place, name)) as f:
                equal(f.read().count(words), times, name)
    with open(os.path.join(place, "bin/crontab"), "w") as f:
        f.write("#!/bin/sh\necho no crontabs here >&2\nexit 1\n")
    got = subprocess.run(["/bin/sh", "-c", functions + text], cwd=place,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         check=True)
    equal(got.stderr.decode(), "no crontabs here\ncrontab refuses: nobody "
          "starts mamayo after a reboot.\n")


@test("wrong usage is said")
def _():
    site = Site()
    for verb in ("install", "uninstall"):
        for arguments in ([], [site.dir, "x"], [site.dir, "--server"],
                          [site.dir, "--server", "iis"], ["--all"], [""]):
            got = m.command(verb, *arguments)
            equal((got.returncode, got.stdout), (2, ""), arguments)
            equal("usage: mamayo " + verb in got.stderr, True)
    equal(site.state(), {})


run()
