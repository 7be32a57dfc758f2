"""mamayo doctor URL: behind real web servers that are set up well it does not
complain; each thing that is spoilt it finds, and the lines that it gives mend
it. It leaves nothing behind."""
import os
import shutil

from doctoring import HTACCESS, Scene, is_good
from harness import equal, run, test
from servers import ApacheFcgid, ApacheProxy, Lighttpd, Nginx


# -- set up well, and spoilt ---------------------------------------------------

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


@test("lighttpd as Debian sets it up: how it writes addresses is noted, and the"
      " line mends it")
def _():
    scene = Scene(Lighttpd)
    lines = ('server.http-parseopts = (\n'
             '"url-normalize-unreserved" => "enable",\n'
             '"url-normalize-required" => "enable",\n'
             '"url-ctrls-reject" => "enable",\n'
             '"url-path-2f-decode" => "enable",\n'
             '"url-path-dotseg-remove" => "enable" )\n')
    got = scene.healthy(("mamayo.conf", r"\A", lines))
    equal(got.states("URLs"), ["ok", "note"])
    note = got.named("URLs", "note")
    equal(note["mend"], ['"url-normalize-required" => "disable",'])
    equal("server.http-parseopts" in note["host"], True)
    got = scene.healthy(("mamayo.conf", r"\A", lines.replace(
        '"url-normalize-required" => "enable",', note["mend"][0])))
    equal(got.states("URLs"), ["ok"])
    scene.close()


@test("lighttpd spoilt: uploads, files, pages for errors, a place that is not"
      " ours")
def _():
    scene = Scene(Lighttpd)
    scene.spoil("uploads", ("mamayo.conf", r"\A",
                            "server.max-request-size = 500\n"),
                "1 MiB at most", ["server.max-request-size = 65536"])
    scene.healthy(("mamayo.conf", r"\A", "server.max-request-size = 65536\n"))
    scene.spoil("static files", (
        "mamayo.conf", '"x-sendfile" => "enable"',
        '"x-sendfile" => "disable"'), "(status 200)", [
            '"x-sendfile" => "enable",',
            '"x-sendfile-docroot" => ( "%s/apps" ),' % scene.m.root])
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
    equal([f for f in got.findings if "mod_fcgid sleeps" in f["text"]], [])
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
    equal(got.states("streaming"), ["ok"])
    equal([f for f in got.findings if "mod_fcgid" in f["text"]], [])
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
    scene.host = "$host"
    scene.spoil("host", [], "visitors use 127.0.0.1:%d" % scene.server.port,
                ["fastcgi_param HTTP_HOST $host:$server_port;"])
    scene.host = "$host:$server_port"
    equal(got.states("headers"), ["ok"])
    got = scene.healthy(("mamayo.conf", "fastcgi_buffer(s|_size) .*", ""))
    note = got.named("headers", "note")
    got = scene.healthy(("mamayo.conf", "fastcgi_buffer(s|_size) .*", ""),
                        ("mamayo.conf", end, r"\1 " + " ".join(note["mend"])))
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


run()
