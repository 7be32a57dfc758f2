"""mamayo doctor: does the site lead to our application, and if not, why not?
Then: which web server it is, and what it says about the visitor's address.
"""
import re
import time
import urllib.parse

from mamayo_doctor_http import BadCertificate, BadUrl, Trouble
from mamayo_doctor_mend import NAMES

REDIRECTS_MOST = 5
PROGRAM = (b"\x7fELF", b"#!", b"\xcf\xfa\xed\xfe")  # how a program begins
WELCOME = b"<title>mamayo is running"  # where it has no application at all
STARTING = 5  # times that it is asked again while the application starts


def reach(visit):
    """Is it our application that answers?"""
    try:
        answer = follow(visit)
    except Trouble as why:
        visit.report.bad("site", "%s cannot be examined: %s" % (
            visit.site.url, why))
        return False
    if answer is None:
        return False
    words = visit.said(answer)
    if words is None:
        explain(visit, answer)
        return False
    visit.app.is_known = True
    visit.environ, visit.scheme = words["environ"], words.get("scheme")
    visit.kind = kind_of(visit.environ)
    visit.ok("site", "%s leads to %s, by %s" % (
        visit.site.url, visit.facts.root, NAMES[visit.kind]))
    front(visit, answer)
    host(visit)
    https(visit)
    return True


def first(visit):
    """The first answer, whatever the certificate is; and not "starting"."""
    path = visit.app.mount + "/x"
    for _ in range(STARTING):
        try:
            answer = visit.site.ask(path)
        except BadCertificate as why:
            visit.report.bad("certificate", "browsers refuse the certificate of"
                             " %s: %s" % (visit.site.netloc, why),
                             host="The certificate of %s is not valid: %s." % (
                                 visit.site.netloc, why))
            visit.site.verifies = False
            answer = visit.site.ask(path)
        if not is_unaware(answer) and (
                answer.header("x-mamayo-error") != "starting"):
            break
        time.sleep(0.5)  # mamayo looks at most once a second
    return answer


def is_unaware(answer):
    """Is it mamayo that does not know our application?"""
    return answer.header("x-mamayo-error") == "no-app" or (
        answer.status == 200 and WELCOME in answer.body[:2000])


def follow(visit):
    """An answer that is no redirection; None if it leads elsewhere."""
    began = visit.site.netloc
    for _ in range(REDIRECTS_MOST):
        answer = first(visit)
        place = answer.header("location")
        if answer.status not in (301, 302, 303, 307, 308) or not place:
            return answer
        try:
            target = urllib.parse.urljoin(
                visit.site.url + visit.app.mount + "/x", place)
        except ValueError:
            target = ""
        if not target.endswith(visit.app.mount + "/x"):
            visit.report.bad("site", "%s leads visitors away, to %s: nothing "
                             "reaches mamayo" % (visit.site.url, place[:200]))
            return None
        try:
            visit.site.set(target[:-len(visit.app.mount + "/x")])
        except BadUrl as why:
            visit.report.bad("site", "%s leads visitors to an impossible "
                             "address: %s" % (visit.site.url, why))
            return None
        if visit.site.password and visit.site.netloc.split(":")[0] != (
                began.split(":")[0]):
            visit.site.password = None  # it is not for others
        visit.report.note("site", "it leads visitors to %s, which is examined"
                          % visit.site.url)
    visit.report.bad("site", "%s leads visitors on and on, %d times" % (
        visit.site.url, REDIRECTS_MOST))
    return None


def kind_of(environ):
    software = environ.get("SERVER_SOFTWARE", "").lower()
    if software.startswith("apache"):
        is_proxy = environ.get("SCRIPT_FILENAME", "").startswith("proxy:")
        return "proxy" if is_proxy else "fcgid"
    for name in ("lighttpd", "nginx"):
        if software.startswith(name):
            return name
    return "other"


def guess(answer):
    """Which web server, when mamayo has not been reached."""
    server = answer.header("server").lower()
    for name, kind in (("nginx", "nginx"), ("lighttpd", "lighttpd"),
                       ("apache", "fcgid")):
        if name in server:
            return kind
    return "other"


def explain(visit, answer):
    """Somebody else has answered."""
    visit.kind = guess(answer)
    error = answer.header("x-mamayo-error")
    visit.app.is_known = bool(error) and not is_unaware(answer)
    status = "status %d" % answer.status
    if is_unaware(answer):
        match = re.search(rb"This runs as user (\S{1,64})\.", answer.body)
        visit.report.bad(
            "site", "mamayo answers at %s%s, but it does not look into %s: it "
            "runs as another user, or with another MAMAYO_ROOT" % (
                visit.site.url, " as user " + match.group(1).decode("latin-1")
                if match else "", visit.facts.root),
            "MAMAYO_ROOT=DIRECTORY mamayo doctor %s" % visit.site.url)
    elif error:
        lines = [one for one in visit.app.log() if one.strip()]
        text = "" if lines else ": " + words_of(answer)
        visit.report.bad("site", "mamayo is reached, but cannot serve (%s, %s)"
                         "%s%s" % (status, error, text, ". Its log says:"
                                   if lines else ""), lines)
    elif answer.body.startswith(PROGRAM):
        visit.bad("site", "the web server gives the program mamayo.fcgi to "
                  "visitors instead of running it", "reach")
    elif answer.status == 401:
        visit.report.bad("site", "%s asks for a password" % visit.site.url,
                         "mamayo doctor %s://USER:PASSWORD@%s%s/" % (
                             visit.site.scheme, visit.site.netloc,
                             visit.site.base))
    elif answer.status in (502, 503, 504):
        visit.report.bad(
            "site", "the web server finds no mamayo (%s): where it starts none "
            "itself, \"mamayo listen\" must run, and the web server must be "
            "allowed to use its socket" % status,
            "systemctl --user status mamayo.socket mamayo.service")
    elif answer.status == 500:
        visit.report.bad(
            "site", "the web server cannot run mamayo.fcgi, or does not like a "
            "line of .htaccess (status 500): see what is said above, and its "
            "error log", host="What do the error log and suexec.log say about "
            "%s/? It gives status 500." % visit.site.url)
    elif answer.status == 403:
        visit.bad("site", "the web server does not allow mamayo.fcgi to be run "
                  "(status 403)", "reach")
    else:
        visit.bad("site", "nothing at %s leads to mamayo (%s, from %s)" % (
            visit.site.url, status, answer.header("server")[:80]
            or "an unknown server"), "reach")


def words_of(answer):
    """The text of a page, in short."""
    text = answer.body[:4096].decode("utf-8", "replace")
    text = re.sub(r"(?s)<(style|title)>.*?</\1>|<[^>]*>", " ", text)
    return " ".join(text.split())[:300]


# -- what the web server says -----------------------------------------------

def front(visit, answer):
    """Does another one stand in front of it?"""
    software = visit.environ.get("SERVER_SOFTWARE", "")
    name = answer.header("server")
    if name and name.split("/")[0].split(" ")[0].lower() != (
            software.split("/")[0].split(" ")[0].lower()):
        visit.report.note("proxy", "in front of %s stands %s, whose limits "
                          "count, too" % (software[:80], name[:80]))


def host(visit):
    got = visit.environ.get("HTTP_HOST", "")
    if got.lower() != visit.site.netloc.lower():
        visit.bad("host", "applications are told that they are at %s, and "
                  "visitors use %s: links and redirections lead elsewhere" % (
                      got or "no place", visit.site.netloc), "host")
    else:
        visit.ok("host", "applications know that they are at " + got)


def https(visit):
    forwarded = visit.environ.get("HTTP_X_FORWARDED_PROTO", "")
    if visit.scheme == visit.site.scheme:
        visit.ok("scheme", "applications know that visitors use "
                 + visit.site.scheme)
    elif visit.site.scheme == "http":
        visit.report.bad("scheme", "applications are told that visitors use "
                         "https, and here they do not",
                         host="HTTPS is set for http://%s/, too."
                         % visit.site.netloc)
    elif forwarded.lower() == "https":
        visit.bad("scheme", "applications are told that visitors use http, and "
                  "they use https (a proxy says so in X-Forwarded-Proto): "
                  "links lead to http, secure cookies are not sent", "https")
    else:
        visit.report.bad("scheme", "applications are told that visitors use "
                         "http, and they use https: links lead to http, secure "
                         "cookies are not sent", host="What ends TLS for %s "
                         "does not say so to the web server behind: please set "
                         "X-Forwarded-Proto there." % visit.site.netloc)
    if visit.environ.get("HTTP_X_FORWARDED_FOR") and visit.environ.get(
            "REMOTE_ADDR") != visit.environ["HTTP_X_FORWARDED_FOR"].split(
                ",")[0].strip():
        visit.note("visitor", "applications see %s, a proxy, as the visitor; "
                   "his address is in X-Forwarded-For" % visit.environ.get(
                       "REMOTE_ADDR", ""), "visitor")
