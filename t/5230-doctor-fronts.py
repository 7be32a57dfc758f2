"""mamayo doctor URL, where TLS ends in front or another server stands there;
where the application cannot start or a password is wanted; and what takes
long."""
import threading

from doctoring import HTACCESS, Front, Scene, is_good
from harness import equal, run, test
from servers import ApacheFcgid, Lighttpd, Nginx


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
            scene.host = "$http_host"
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
    for result in results.values():
        if isinstance(result, Exception):
            raise result
    found = results["nginx"].named("silence", "bad")
    equal("nothing for 65 seconds" in found["text"], True, found["text"])
    equal(found["mend"], ["fastcgi_read_timeout 3600s;",
                          "fastcgi_send_timeout 3600s;"])
    equal(results["bare"].states("silence"), ["ok"])
    equal([f["check"] for f in results["bare"].of("bad")], ["uploads"])
    nginx.close()
    bare.close()


# -- before the first probe ----------------------------------------------------

@test("a place that wants a password: said, and with it all is well")
def _():
    scene = Scene(Nginx)
    with open(scene.server.path("users"), "w") as f:
        f.write("alice:{PLAIN}a b\n")
    change = ("mamayo.conf", "(fastcgi_pass mamayo;)",
              r'\1 auth_basic x; auth_basic_user_file users;')
    place = "127.0.0.1:%d" % scene.server.port
    scene.spoil("site", change, "asks for a password",
                ["mamayo doctor http://USER:PASSWORD@%s/" % place])
    is_good(scene.healthy(change, url="http://alice:a%%20b@%s/" % place))
    scene.close()


@test("an application that cannot start: the log says why")
def _():
    scene = Scene(Lighttpd)
    scene.may_fail = True
    scene.m.settings(python="/nonexistent/python3")
    got = scene.doctor()
    found = got.named("site", "bad")
    equal("cannot serve (status 503, cannot-start)" in found["text"], True,
          found["text"])
    equal("/nonexistent/python3" in "".join(found["mend"]) + found["text"],
          True, repr(found))
    scene.close()


run()
