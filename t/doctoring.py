"""mamayo doctor and a site: web servers that are set up well, or spoilt on
purpose, and what it says of them.

    scene = Scene(Nginx)
    scene.healthy()                       # no complaint
    scene.spoil("uploads", (FILE, OLD, NEW), WORDS, LINES)
    scene.close()
"""
import json
import os
import re
import signal
import subprocess

from harness import PROGRAM, equal
from mamayo import Mamayo
from servers import ApacheFcgid, ApacheProxy, Nginx, Server, find

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
        self.host, self.may_fail = None, False
        self.argv, self.changes = self.server.argv, []
        self.server.argv = self.spoilt
        if kind is Nginx:  # ours listens at a port of its own
            self.host = "$host:$server_port"

    def copy(self, place="www"):
        """Once: a supervisor of the last run may still be leaving."""
        path = self.server.path(place, "mamayo.fcgi")
        return path if os.path.exists(path) else self.program(place)

    def spoilt(self):
        argv = self.argv()
        if self.host is not None:
            self.set_host()
        for name, old, new in self.changes:
            path = self.server.path(name)
            with open(path) as f:
                text, count = re.subn(old, new, f.read())
            equal(count > 0, True, "%s has no %s" % (name, old))
            with open(path, "w") as f:
                f.write(text)
        return argv

    def set_host(self):
        """HTTP_HOST, in the file that some versions of nginx have it in."""
        path = self.server.path("fastcgi_params")
        with open(path) as f:
            text = re.sub("(?m)^fastcgi_param +HTTP_HOST.*", "", f.read())
        with open(path, "w") as f:
            f.write(text + "fastcgi_param HTTP_HOST %s;\n" % self.host)

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
        if not self.may_fail:
            equal([line for line in self.m.log().split("\n")
                   if " error: " in line], [])
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

HTACCESS = "www/.htaccess"
