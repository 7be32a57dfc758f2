"""mamayo doctor URL: behind real web servers that are set up well it does not
complain; each thing that is spoilt it finds, and the lines that it gives mend
it. It leaves nothing behind, however it ends."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading

from harness import PROGRAM, equal, run, test
from mamayo import Mamayo
from servers import (ApacheFcgid, ApacheProxy, Lighttpd, Nginx, Server,
                     find)

MINUTE = 60


class Doctor:
    """One run of it, that has ended."""

    def __init__(self, m, *arguments, **how):
        process = m.popen(
            [os.path.abspath(PROGRAM), "doctor", "--json"] + list(arguments),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
        try:
            out, err = process.communicate(timeout=4 * MINUTE)
        finally:
            m.others.remove(process)
            process.kill()
        if process.returncode not in (0, 1) or err:
            raise AssertionError("%r: %r %r" % (process.returncode, out, err))
        self.code = process.returncode
        self.findings = json.loads(out.decode())["findings"]

    def of(self, state):
        return [f for f in self.findings if f["state"] == state]

    def states(self, check):
        return [f["state"] for f in self.findings if f["check"] == check]

    def named(self, check, state):
        found = [f for f in self.of(state) if f["check"] == check]
        if len(found) != 1:
            raise AssertionError("%s %s: %r" % (state, check, self.findings))
        return found[0]


def nothing_left(m, *docroots):
    equal([n for n in os.listdir(m.path("apps")) if "doctor" in n], [])
    equal([n for n in os.listdir(m.path("logs")) if "doctor" in n], [])
    for _, _, names in os.walk(m.path("state")):
        equal([n for n in names if "doctor" in n], [])
    equal([line for line in m.log().split("\n") if " error: " in line], [])
    for place in docroots:
        equal([n for n in os.listdir(place) if "doctor" in n], [])


class Scene:
    """A web server, and what is done to its configuration."""

    def __init__(self, kind, *arguments, **how):
        self.m = Mamayo(timeout=100)
        self.server = kind(self.m, *arguments, **how)
        if kind in (ApacheProxy, Nginx):
            self.m.listen()
        self.program, self.server.program = self.server.program, self.copy
        self.argv, self.changes, self.add = self.server.argv, [], ""
        self.server.argv = self.spoilt
        if kind is Nginx:  # ours listens at a port of its own
            self.changes.append((
                "fastcgi_params", r"(?m)^(fastcgi_param +HTTP_HOST).*",
                r"\1 $host:$server_port;"))

    def copy(self, place="www"):
        """Once: a supervisor of the last run may still be leaving."""
        path = self.server.path(place, "mamayo.fcgi")
        return path if os.path.exists(path) else self.program(place)

    def spoilt(self):
        argv = self.argv()
        for name, old, new in self.changes:
            path = self.server.path(name)
            with open(path) as f:
                text, count = re.subn(old, new, f.read())
            equal(count > 0, True, "%s has no %s" % (name, old))
            with open(path, "w") as f:
                f.write(text)
        return argv

    def doctor(self, *changes, **how):
        """With these changes: (file, old, new)."""
        keep, self.changes = self.changes, self.changes + list(changes)
        url = how.pop("url", None) or self.server.url("/")
        try:
            self.server.start()
            arguments = how.pop("arguments", []) + [url]
            if isinstance(self.server, ApacheFcgid):
                arguments += ["--docroot", self.server.path("www")]
            got = Doctor(self.m, *arguments, **how)
            self.server.stop()
        finally:
            self.changes = keep
        nothing_left(self.m, self.server.path("www"))
        return got

    def healthy(self, *changes, **how):
        got = self.doctor(*changes, **how)
        equal((got.code, got.of("bad")), (0, []))
        return got

    def spoil(self, check, changes, words, mend, state="bad", also=(), **how):
        """Just that is found, and its lines are these."""
        if isinstance(changes, tuple):
            changes = [changes]
        got = self.doctor(*changes, **how)
        equal(sorted({f["check"] for f in got.of("bad")} - set(also)),
              [check] if state == "bad" else [], repr(got.of("bad")))
        found = got.named(check, state)
        equal(words in found["text"], True, found["text"])
        equal(found["mend"], mend, repr(found))
        return found

    def close(self):
        self.server.stop()
        self.m.close()


class Front(Server):
    """nginx, which ends TLS in front of another server."""

    stop_signal = signal.SIGQUIT
    most = "client_max_body_size 64m;"
    tells = "proxy_set_header X-Forwarded-Proto $scheme;"

    def __init__(self, m, server):
        Server.__init__(self, m)
        self.behind = server
        self.certificate = self.write("certificate", CERTIFICATE)
        self.write("key", KEY, 0o600)
        self.address = "https://localhost:%d/" % self.port

    def argv(self):
        main = self.write("nginx.conf", """\
daemon off;
pid %(dir)s/nginx.pid;
error_log %(dir)s/error.log;
events { }
http {
	access_log off;
	client_body_temp_path %(dir)s/temp1;
	proxy_temp_path %(dir)s/temp2;
	fastcgi_temp_path %(dir)s/temp3;
	uwsgi_temp_path %(dir)s/temp4;
	scgi_temp_path %(dir)s/temp5;
	server {
		listen 127.0.0.1:%(port)d ssl;
		ssl_certificate certificate;
		ssl_certificate_key key;
		%(most)s
		location / {
			proxy_pass http://127.0.0.1:%(behind)d;
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For 192.0.2.7;
			%(tells)s
		}
	}
}
""" % {"dir": self.dir, "port": self.port, "behind": self.behind.port,
            "most": self.most, "tells": self.tells})
        return [find("nginx"), "-e", self.path("error.log"), "-p", self.dir,
                "-c", main]


# For localhost, until 2120.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBZzCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGEXCV58nR0FPorG
Ly86rEuwaGJ8I8Y08WMDTSUGTERiGdA7fItUteo9C0oM6AWJLWNqd8JIHxNrI0EL
O7YB82qjTjBMMA8GA1UdEwEB/wQFMAMBAf8wGgYDVR0RBBMwEYIJbG9jYWxob3N0
hwR/AAABMB0GA1UdDgQWBBTU3VYjcw5ZRd2bAsvNpKC1wQhvdDAKBggqhkjOPQQD
AgNIADBFAiEAmOIUpsDeSyt2cymp/GuW0KpCfcA+dOgILkHBL8FU5McCIC34uXWq
HPlRyFsxSaz6byt46nOTmv9s4rtigvULc/VY
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsoyh4wYS6vouc65S
LfUR4BELLI/klAFhBB37NavWc9ShRANCAARhFwlefJ0dBT6Kxi8vOqxLsGhifCPG
NPFjA00lBkxEYhnQO3yLVLXqPQtKDOgFiS1janfCSB8TayNBCzu2AfNq
-----END PRIVATE KEY-----
"""

GOOD = {"site", "host", "scheme", "authorization", "URLs", "methods",
        "error pages", "uploads", "exposed"}


def is_good(got, but=()):
    for check in GOOD:
        equal(got.states(check), ["ok"], check)


# -- set up well, and spoilt ---------------------------------------------------

HTACCESS = "www/.htaccess"


@test("lighttpd: no complaint; buffered answers are noted, and the line lets"
      " them pass")
def _():
    scene = Scene(Lighttpd)
    got = scene.healthy()
    is_good(got)
    equal(got.states("%2F"), ["ok"])
    note = got.named("streaming", "note")
    equal(note["mend"], ["server.stream-response-body = 2"])
    equal("Please write this into lighttpd's configuration" in note["host"],
          True)
    got = scene.healthy(("mamayo.conf", r"\A", note["mend"][0] + "\n"))
    equal(got.states("streaming"), ["ok"])
    scene.close()


@test("lighttpd spoilt: uploads, pages for errors, a place that is not ours")
def _():
    scene = Scene(Lighttpd)
    scene.spoil("uploads", ("mamayo.conf", r"\A",
                            "server.max-request-size = 500\n"),
                "1 MiB at most", ["server.max-request-size = 65536"])
    scene.healthy(("mamayo.conf", r"\A", "server.max-request-size = 65536\n"))
    scene.spoil("error pages", (
        "mamayo.conf", r"\A", 'server.error-intercept = "enable"\n'
        'server.errorfile-prefix = "%s/"\n' % scene.server.path("www")),
        "404, 403, 500, 503", ['server.error-intercept = "disable"'])
    scene.spoil("site", ("mamayo.conf", '"/" =>', '"/other/" =>'),
                "nothing at", [
                    'fastcgi.server = ( "/" => ((',
                    '  "bin-path" => "%s/mamayo.fcgi",' % scene.m.root,
                    '  "check-local" => "disable" )) )'])
    scene.close()


@test("Apache with mod_fcgid: no complaint; the lines for what is noted work")
def _():
    scene = Scene(ApacheFcgid)
    got = scene.healthy()
    is_good(got)
    equal(got.states("static files"), ["ok", "ok"])
    equal(got.named("%2F", "note")["mend"], ["AllowEncodedSlashes NoDecode"])
    equal(got.named("streaming", "note")["mend"], ["FcgidOutputBufferSize 0"])
    equal("mod_fcgid sleeps" in got.named("concurrency", "note")["text"], True)
    got = scene.healthy(
        ("apache.conf", r"\Z", "FcgidOutputBufferSize 0\n"
         "AllowEncodedSlashes NoDecode\n"))
    equal((got.states("streaming"), got.states("%2F")), (["ok"], ["ok"]))
    scene.close()


@test("Apache with mod_fcgid spoilt: Authorization, uploads, methods")
def _():
    scene = Scene(ApacheFcgid)
    found = scene.spoil("authorization", [
        (HTACCESS, "CGIPassAuth On", ""), (HTACCESS, "SetEnvIf.*", "")],
        "nobody can log in", [
            "CGIPassAuth On",
            'SetEnvIf Authorization "(.+)" HTTP_AUTHORIZATION=$1'])
    for line in found["mend"]:  # each of them alone does it
        scene.healthy((HTACCESS, "CGIPassAuth On", ""),
                      (HTACCESS, "SetEnvIf.*", ""),
                      (HTACCESS, r"\Z", line.replace("\\", r"\\") + "\n"))
    found = scene.spoil("uploads", (
        "mamayo.conf", "FcgidMaxRequestLen .*", "FcgidMaxRequestLen 131072"),
        "one of 131073 bytes fails", ["FcgidMaxRequestLen 67108864"])
    equal("Please" in found["host"], True)
    scene.spoil("uploads", (HTACCESS, r"\Z", "LimitRequestBody 2000000\n"),
                "8 MiB at most", ["LimitRequestBody 67108864"])
    found = scene.spoil("methods", (
        HTACCESS, r"\Z",
        "<LimitExcept GET POST>\nRequire all denied\n</LimitExcept>\n"),
        "PUT (403), PATCH (403), DELETE (403)", [])
    equal("allow all HTTP methods" in found["host"], True)
    scene.close()


@test("Apache with mod_fcgid and RewriteRule: no complaint; with the rule that"
      " decodes twice, one")
def _():
    scene = Scene(ApacheFcgid, form="htaccess-rewrite")
    is_good(scene.healthy())
    found = scene.spoil("URLs", (
        HTACCESS, r"RewriteRule \^ mamayo.fcgi \[L\]",
        "RewriteRule ^(.*)$ /mamayo.fcgi/$1 [QSA,L]"),
        "/%25b: 40", ["RewriteRule ^ mamayo.fcgi [L]"], also=[".htaccess"])
    equal("/a%3Fb: 40" in found["text"], True, found["text"])
    scene.close()


@test("Apache with mod_fcgid that does not lead to us: not executed, given"
      " away, a line it does not know, another account")
def _():
    scene = Scene(ApacheFcgid)
    lines = ["Options +ExecCGI", "AddHandler fcgid-script .fcgi",
             "FallbackResource /mamayo.fcgi"]
    scene.spoil("site", (HTACCESS, "Options .ExecCGI", "Options -ExecCGI"),
                "does not allow mamayo.fcgi to be run", lines)
    scene.spoil("site", (HTACCESS, "AddHandler fcgid-script.*", ""),
                "gives the program mamayo.fcgi to visitors", lines)
    scene.spoil("site", (HTACCESS, "FallbackResource.*", ""), "leads to mamayo"
                " (status 404", lines)
    found = scene.spoil("site", (HTACCESS, r"\Z", "Nonsense On\n"),
                        "a line of .htaccess", [])
    equal("error log" in found["host"], True)
    os.mkdir(os.path.join(scene.m.dir, "other"))
    shutil.copy(scene.m.path("mamayo.json"),
                os.path.join(scene.m.dir, "other"))
    scene.spoil("site", ("mamayo.conf", r"MAMAYO_ROOT \S+",
                         "MAMAYO_ROOT %s/other" % scene.m.dir),
                "another MAMAYO_ROOT", [
                    "MAMAYO_ROOT=DIRECTORY mamayo doctor http://127.0.0.1:%d"
                    % scene.server.port])
    scene.close()


@test("Apache with mod_proxy_fcgi: no complaint, and spoilt: Authorization,"
      " pages for errors, no mamayo")
def _():
    scene = Scene(ApacheProxy)
    got = scene.healthy()
    is_good(got)
    equal(got.states("concurrency"), ["ok"])
    scene.spoil("authorization", ("mamayo.conf", "CGIPassAuth On", ""),
                "nobody can log in", ["CGIPassAuth On"])
    scene.spoil("error pages", ("mamayo.conf", r"\Z",
                                "ProxyErrorOverride On\n"), "404, 403, 500",
                ["ProxyErrorOverride Off"])
    scene.spoil("site", ("mamayo.conf", "unix:", "unix:/nonexistent"),
                "finds no mamayo (status 503)", [
                    "systemctl --user status mamayo.socket mamayo.service"])
    scene.close()


@test("nginx: no complaint, and spoilt: uploads, pages for errors,"
      " Authorization, the host's port, headers")
def _():
    scene = Scene(Nginx)
    got = scene.healthy()
    is_good(got)
    equal((got.states("streaming"), got.states("concurrency")),
          (["ok"], ["ok"]))
    scene.spoil("uploads", ("mamayo.conf", "client_max_body_size.*", ""),
                "1 MiB at most", ["client_max_body_size 64m;"])
    end = r"(fastcgi_pass mamayo;)"
    scene.spoil("error pages", (
        "mamayo.conf", end, r"\1 fastcgi_intercept_errors on; "
        "error_page 404 403 500 503 /50x;"), "404",
        ["fastcgi_intercept_errors off;"])
    scene.spoil("authorization", (
        "mamayo.conf", end, r'\1 fastcgi_param HTTP_AUTHORIZATION "";'),
        "nobody can log in",
        ["fastcgi_param HTTP_AUTHORIZATION $http_authorization;"])
    scene.spoil("host", ("fastcgi_params", "(HTTP_HOST).*", r"\1 $host;"),
                "visitors use 127.0.0.1:%d" % scene.server.port,
                ["fastcgi_param HTTP_HOST $host:$server_port;"])
    note = got.named("headers", "note")
    got = scene.healthy(("mamayo.conf", end, r"\1 " + " ".join(note["mend"])))
    equal(got.states("headers"), ["ok"])
    scene.close()


@test("a host with applications of its own, to one of which all of it leads")
def _():
    scene = Scene(Lighttpd)
    scene.m.app("@localhost/ROOT")
    got = scene.healthy(url="http://localhost:%d/" % scene.server.port)
    is_good(got)
    equal(os.listdir(scene.m.path("apps", "@localhost")), ["ROOT"])
    scene.close()


# -- TLS, and another server in front ------------------------------------------

@test("TLS that ends in front: applications must know, and the lines tell them;"
      " behind Apache, lighttpd, nginx")
def _():
    for kind, lines, change in (
            (ApacheFcgid, ["SetEnvIf X-Forwarded-Proto ^https$ HTTPS=on"],
             lambda lines: [(HTACCESS, r"\Z", lines[0] + "\n")]),
            (Lighttpd, ['server.modules += ( "mod_extforward" )',
                        'extforward.forwarder = ( "127.0.0.1" => "trust" )'],
             lambda lines: [("mamayo.conf", r"\Z", "\n".join(lines) + "\n")]),
            (Nginx, ["map $http_x_forwarded_proto $mamayo_https { https on; }",
                     "fastcgi_param HTTPS $mamayo_https if_not_empty;"],
             lambda lines: [("mamayo.conf", r"\A", lines[0] + "\n"),
                            ("mamayo.conf", "(fastcgi_pass mamayo;)",
                             r"\1 " + lines[1])])):
        scene = Scene(kind)
        if kind is Nginx:  # visitors use the port of the one in front
            scene.changes.append(("fastcgi_params", "(HTTP_HOST).*",
                                  r"\1 $http_host;"))
        front = Front(scene.m, scene.server).start()
        trust = {"SSL_CERT_FILE": front.certificate}
        found = scene.spoil("scheme", [], "links lead to http", lines,
                            url=front.address, env=trust)
        got = scene.healthy(*change(found["mend"]), url=front.address,
                            env=trust)
        equal(got.states("scheme"), ["ok"])
        if kind is not Lighttpd:  # the same lines do both
            note = got.named("visitor", "note")
            equal("127.0.0.1, a proxy" in note["text"], True, note["text"])
            if kind is Nginx:
                scene.changes.append(("mamayo.conf", r"\A",
                                      "\n".join(note["mend"]) + "\n"))
                got = scene.healthy(*change(found["mend"]), url=front.address,
                                    env=trust)
        equal(got.states("visitor"), ["note"] if kind is ApacheFcgid else [])
        front.stop()
        scene.close()


@test("a certificate that nobody trusts; http that leads to https; the limit"
      " for uploads of the server in front")
def _():
    scene = Scene(ApacheFcgid)
    change = (HTACCESS, r"\Z", "SetEnvIf X-Forwarded-Proto ^https$ HTTPS=on\n")
    front = Front(scene.m, scene.server).start()
    trust = {"SSL_CERT_FILE": front.certificate}
    found = scene.spoil("certificate", change, "browsers refuse", [],
                        url=front.address)
    equal("is not valid" in found["host"], True)
    front.stop()
    front.most = ""
    front.start()
    found = scene.spoil("uploads", change, "it is nginx, in front",
                        ["client_max_body_size 64m;"], url=front.address,
                        env=trust)
    equal("Please write this into nginx" in found["host"], True)
    front.stop()
    front.most, front.tells = Front.most, ""
    front.start()
    found = scene.spoil("scheme", change, "links lead to http", [],
                        url=front.address, env=trust)
    equal("X-Forwarded-Proto" in found["host"], True)
    front.stop()
    front.tells = Front.tells
    front.start()
    got = scene.healthy(
        change, (HTACCESS, "(<IfModule mod_setenvif.c>)",
                 "RewriteEngine On\n"
                 "RewriteCond %{HTTP:X-Forwarded-Proto} !https\n"
                 "RewriteRule ^(.*)$ " + front.address + r"$1 [R=301,L]\n\1"),
        env=trust)
    equal("is examined" in got.named("site", "note")["text"], True)
    front.stop()
    scene.close()


# -- what takes long -----------------------------------------------------------

@test("--slow: silence of 65 seconds is borne by Apache without any line of"
      " ours, not by nginx without them")
def _():
    bare, nginx = Scene(ApacheFcgid, limits=False), Scene(Nginx)
    nginx.changes.append(("mamayo.conf", "fastcgi_read_timeout.*", ""))
    results = {}

    def examine(name, scene):
        try:
            results[name] = scene.doctor(arguments=["--slow"])
        except Exception as why:
            results[name] = why
    threads = [threading.Thread(target=examine, args=pair)
               for pair in (("nginx", nginx), ("bare", bare))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, result in results.items():
        if isinstance(result, Exception):
            raise AssertionError("%s: %s" % (name, result))
    found = results["nginx"].named("silence", "bad")
    equal("nothing for 65 seconds" in found["text"], True, found["text"])
    equal(found["mend"], ["fastcgi_read_timeout 3600s;",
                          "fastcgi_send_timeout 3600s;"])
    equal(results["bare"].states("silence"), ["ok"])
    equal([f["check"] for f in results["bare"].of("bad")], ["uploads"])
    nginx.close()
    bare.close()


run()
