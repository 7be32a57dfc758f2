"""mamayo doctor: a site, through its web server.

Everything is asked of an application that is there for as long as this takes
(mamayo_doctor_app) and says what has reached it. Each probe is one function;
examine() has their order.
"""
import json

import mamayo_doctor_account
import mamayo_doctor_app
import mamayo_doctor_reach
from mamayo_doctor_http import PATIENCE, Site, Trouble
from mamayo_doctor_mend import remedy

LATE_MOST = 2            # unanswered requests, before the rest is not tried
UPLOADS = (1000, 131072, 1 << 20, 8 << 20, 16 << 20)  # one byte more is tried
UPLOAD_PATIENCE = 60     # seconds
STREAM_PAUSE = 0.3       # seconds between its five pieces
COUNT = 6                # requests at once
BUSY = 0.2               # seconds that each of them takes
DELAY_NOTED = 0.6
TIMES = 3
SILENCES = (45, 65)      # seconds: past 40 and past 60
LONG_HEADER = 6000
STATUSES = ("404", "403", "500", "503")
METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")

# Behind the application's own address: what it must be told.
PATHS = (
    ("/a%2541b", "/a%41b"), ("/%25b", "/%b"), ("/a%3Fb", "/a?b"),
    ("/a%20b", "/a b"), ("/a+b", "/a+b"), ("/a%26b;c=d", "/a&b;c=d"),
    ("/caf%C3%A9", "/caf\xc3\xa9"), ("//x", "/x"), ("/./x", "/x"),
    ("/y/../x", "/x"), ("/dir/", "/dir/"), ("", ""), ("/", "/"),
    ("/a/b.txt", "/a/b.txt"),
)


class GivenUp(Exception):
    """The site does not answer any more."""


class Visit:
    """One examination: the site, our application in it, what is known."""

    def __init__(self, facts, report, site, app):
        self.facts, self.report, self.site, self.app = facts, report, site, app
        self.kind, self.environ, self.late = "other", {}, 0
        self.scheme = ""

    def ask(self, path, **how):
        """(what the application says, the answer); the first is None if
        somebody else has answered."""
        try:
            answer = self.site.ask(self.app.mount + path, **how)
        except Trouble as why:
            self.late += why.timed_out
            if self.late > LATE_MOST:
                raise GivenUp()
            raise
        return self.said(answer), answer

    def said(self, answer):
        return said(answer, self.app.secret)

    def words(self):
        return {"SITE": self.site.netloc, "BASE": self.site.base,
                "ROOT": self.facts.root,
                "PROXY": self.environ.get("REMOTE_ADDR", "127.0.0.1")}

    def tell(self, state, check, text, what, kind=None):
        where, lines, host = remedy(what, kind or self.kind, self.words())
        if lines:
            text += ". In %s:" % where
        self.report.add(state, check, text, lines, host)

    def bad(self, check, text, what, kind=None):
        self.tell("bad", check, text, what, kind)

    def note(self, check, text, what, kind=None):
        self.tell("note", check, text, what, kind)

    def ok(self, check, text):
        self.report.ok(check, text)


def said(answer, secret):
    """The application's words; None if they are not its."""
    try:
        words = json.loads(answer.body.decode("ascii"))
        if words["secret"] != secret or not isinstance(words["environ"], dict):
            return None
        words["environ"] = {k: v for k, v in words["environ"].items()
                            if isinstance(v, str)}
        for name in ("pid", "begin", "length"):
            words[name] + 0
        return words
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def examine(facts, report, docroots):
    site = Site(facts.url)
    removed = mamayo_doctor_app.remove_left_over(facts, docroots)
    if removed:
        report.note("site", "what a doctor that was killed had left behind is "
                    "removed: %d" % removed)
    app = mamayo_doctor_app.Application(facts, site)
    try:
        report.doing("site")
        app.make()
        visit = Visit(facts, report, site, app)
        if mamayo_doctor_reach.reach(visit):
            probe_all(visit, docroots)
    except mamayo_doctor_app.NoRoom as why:
        report.bad("site", str(why))
    except Exception as why:  # nothing that a site says may end us
        report.bad("site", "an answer of %s cannot be understood (%s: %s)" % (
            site.url, type(why).__name__, str(why)[:200]))
    finally:
        report.doing("cleaning up")
        app.remove(lambda: tell_gone(site, app))
        report.quiet()
    if app.is_known and mamayo_doctor_account.is_another_users(facts):
        report.note("site", "its log, %s.log, stays: it belongs to the user "
                    "that mamayo runs as" % app.name)


def tell_gone(site, app):
    """mamayo looks at its applications when there is a request."""
    try:
        return said(site.ask(app.mount + "/", patience=3), app.secret) is None
    except Trouble:
        return True  # nobody to tell


def probe_all(visit, docroots):
    probes = [("authorization", authorization), ("URLs", urls),
              ("methods", methods), ("headers", headers),
              ("error pages", error_pages), ("uploads", uploads),
              ("streaming", streaming), ("concurrency", concurrency),
              ("static files", lambda v: static_files(v, docroots)),
              ("sources", sources)]
    if visit.facts.slow:
        probes.append(("silence, %d seconds" % SILENCES[-1], silence))
    try:
        for name, probe in probes:
            visit.report.doing("site: " + name)
            try:
                probe(visit)
            except Trouble as why:
                visit.report.bad(name, "this could not be tried: %s" % why)
    except GivenUp:
        visit.report.bad("site", "%s has stopped answering: the rest was not "
                         "tried" % visit.site.url)
        return
    if not visit.facts.slow:
        visit.report.note("silence", "how long an application may be silent "
                          "was not tried, as it takes a minute: --slow does")


# -- the probes -------------------------------------------------------------

def authorization(visit):
    sent = visit.site.password or "Basic bWFtYXlvOmRvY3Rvcg=="
    words, answer = visit.ask("/x", headers=[("Authorization", sent)])
    if words is None and answer.status == 401:
        visit.report.bad("authorization", "the web server asks for a password "
                         "itself when it is given one that it does not know")
    elif words is None or words["environ"].get("HTTP_AUTHORIZATION") != sent:
        visit.bad("authorization", "the header Authorization does not reach "
                  "applications: nobody can log in with it", "authorization")
    else:
        visit.ok("authorization", "reaches applications")


def urls(visit):
    wrong, refused = [], []
    mount = visit.site.base + visit.app.mount
    for path, expected in PATHS:
        words, answer = visit.ask(path)
        if words is None:
            refused.append("%s: %d" % (path, answer.status))
            continue
        got = words["environ"].get("PATH_INFO", "")
        name = words["environ"].get("SCRIPT_NAME", "")
        if got != expected:
            wrong.append("%s arrives as %s" % (path, got))
        elif name != mount:
            wrong.append("SCRIPT_NAME is %s instead of %s" % (name, mount))
            break
    if wrong or refused:
        visit.bad("URLs", "some addresses do not reach an application as they "
                  "are: " + "; ".join(refused + wrong), "path")
    else:
        visit.ok("URLs", "all kinds of addresses arrive as they are")
    query = "q=%26&r=a+b&%3F=/&empty"
    words, answer = visit.ask("/x?" + query)
    got = (words or {"environ": {}})["environ"].get("QUERY_STRING", "")
    if got == query.replace("%3F", "?"):  # lighttpd as Debian sets it up
        visit.note("URLs", "what comes after the \"?\" is written anew: %3F "
                   "arrives as \"?\", which means the same; only applications "
                   "that sign addresses notice", "query")
    elif got != query:
        visit.bad("URLs", "what comes after the \"?\" arrives as \"%s\" "
                  "instead of \"%s\"" % (got, query), "query")
    words, answer = visit.ask("/a%2Fb")
    if words is None:
        visit.note("%2F", "a slash written as %%2F is refused with %d, as "
                   "Apache does; applications that need it are rare"
                   % answer.status, "slash")
    else:
        visit.ok("%2F", "a slash written as %2F arrives")


def methods(visit):
    missing = []
    for method in METHODS:
        body = b"x=1" if method in ("POST", "PUT", "PATCH") else None
        _, answer = visit.ask("/x", method=method, body=body)
        if answer.header("x-doctor-method") != method:
            missing.append("%s (%d)" % (method, answer.status))
    if missing:
        visit.report.bad("methods", "the web server does not pass these "
                         "methods: %s" % ", ".join(missing),
                         host="Please allow all HTTP methods for %s." % (
                             visit.site.netloc))
    else:
        visit.ok("methods", ", ".join(METHODS))


def headers(visit):
    words, answer = visit.ask("/do-headers/%d" % LONG_HEADER)
    is_short = words is None
    if is_short:
        visit.note("headers", "an answer with a header of %d bytes is replaced "
                   "by status %d: large cookies can break a page" % (
                       LONG_HEADER, answer.status), "headers")
        words, answer = visit.ask("/do-headers/10")
    cookies = [c for c in answer.all("set-cookie") if c.startswith("doctor")]
    if words is not None and len(cookies) != 2:
        visit.report.bad("headers", "of two cookies %d arrive" % len(cookies),
                         host="%s loses a Set-Cookie header when there are "
                         "two." % visit.site.netloc)
    elif words is not None and not is_short:
        visit.ok("headers", "arrive as they are")


def error_pages(visit):
    replaced = []
    for status in STATUSES:
        words, answer = visit.ask("/do-status/" + status)
        if words is None or answer.status != int(status):
            replaced.append(status)
    if replaced:
        visit.bad("error pages", "the web server replaces an application's own "
                  "pages with the status %s" % ", ".join(replaced), "errors")
    else:
        visit.ok("error pages", "of applications are shown as they are")


def uploads(visit):
    passed = 0
    for size in UPLOADS:
        visit.report.doing("site: uploads, %s" % amount(size))
        try:
            words, answer = visit.ask("/x", method="POST",
                                      body=b"x" * (size + 1),
                                      patience=UPLOAD_PATIENCE)
            status = "status %d" % answer.status
            is_short = words is not None and words["length"] != size + 1
        except Trouble as why:
            words, answer, is_short = None, None, False
            status = str(why)
        if words is None or is_short:
            upload_limit(visit, passed, size, answer, status if not is_short
                         else "%d bytes arrive" % words["length"])
            return
        passed = size + 1
    words, answer = visit.ask("/x", method="POST", body=b"x" * 5000,
                              chunked=True)
    if words is None or words["length"] != 5000:
        visit.report.note("uploads", "one that does not say its length "
                          "(Transfer-Encoding: chunked) is refused: %d"
                          % answer.status)
    visit.ok("uploads", "%s arrive" % amount(passed))


def upload_limit(visit, passed, size, answer, status):
    text = "an upload may have %s at most: one of %d bytes fails (%s), one of "\
        "%d does not" % (amount(size), size + 1, status, passed)
    server = answer.header("server").lower() if answer is not None else ""
    if "nginx" in server and visit.kind != "nginx":
        visit.bad("uploads", text + ", and it is nginx, in front, that says so",
                  "upload", "nginx")
    elif visit.kind == "fcgid" and answer is not None and (
            answer.status in (200, 413)):  # it hands on nothing, as a whole
        visit.bad("uploads", text, "too-large")
    else:
        visit.bad("uploads", text, "upload")


def amount(size):
    return "%d MiB" % (size >> 20) if size >= 1 << 20 else (
        "%d KiB" % (size >> 10) if size >= 10240 else "%d bytes" % size)


def streaming(visit):
    _, answer = visit.ask("/do-stream/%s" % STREAM_PAUSE)
    if answer.body != b"0\n1\n2\n3\n4\n":
        visit.report.bad("streaming", "an answer that comes in pieces arrives "
                         "as something else: status %d" % answer.status)
    elif answer.pieces[-1][0] - answer.pieces[0][0] < 2 * STREAM_PAUSE:
        visit.note("streaming", "the web server holds answers back until they "
                   "are complete (or large): no progress, no server-sent "
                   "events", "streaming")
    else:
        visit.ok("streaming", "an answer arrives while it is being made; "
                 "uploads are always collected first, by mamayo")


def at_once(visit, path, patience):
    """[(words, answer)] of requests that are sent together."""
    sent, got = [], []
    try:
        for one in path:
            sent.append(visit.site.send(visit.app.mount + one,
                                        patience=patience))
        for exchange in sent:
            try:
                answer = exchange.answer()
                got.append((visit.said(answer), "status %d" % answer.status))
            except Trouble as why:
                got.append((None, str(why)))
    finally:
        for exchange in sent:
            exchange.close()
    return got


def concurrency(visit):
    """A machine that is busy, or workers that start, are no delay of the web
    server's: mod_fcgid's is there at the first time, others' each time."""
    delay = None
    for _ in range(1 if visit.kind == "fcgid" else TIMES):
        delay = delayed(visit)
        if delay is None:
            return
        if delay <= DELAY_NOTED:
            break
    if delay > DELAY_NOTED and visit.kind == "fcgid":
        visit.report.note(
            "concurrency", "of %d requests at once some wait %.1f s longer "
            "than they must: mod_fcgid sleeps for a second before it starts "
            "another mamayo.fcgi. With mod_proxy_fcgi and \"mamayo listen\" "
            "that is not so" % (COUNT, delay),
            host="Could mod_proxy_fcgi be had for %s? mod_fcgid delays "
            "requests by a second." % visit.site.netloc)
    elif delay > DELAY_NOTED:
        visit.report.note("concurrency", "of %d requests at once some wait "
                          "%.1f s longer than they must" % (COUNT, delay))
    else:
        visit.ok("concurrency", "%d requests at once do not wait for each "
                 "other" % COUNT)


def delayed(visit):
    """Seconds that the last of them begins too late; None if there were
    requests without an answer, which is told then."""
    got = at_once(visit, ["/do-sleep/%s" % BUSY] * COUNT, PATIENCE)
    lost = [status for words, status in got if words is None]
    if lost:
        visit.report.bad("concurrency", "of %d requests at once %d get no "
                         "answer: %s" % (COUNT, len(lost), lost[0]),
                         host="%s refuses %d requests at once (%s)." % (
                             visit.site.netloc, COUNT, lost[0]))
        return None
    begins = sorted(words["begin"] for words, _ in got)
    workers = len({words["pid"] for words, _ in got})
    return begins[-1] - begins[0] - BUSY * (-(-COUNT // workers) - 1)


def static_files(visit, docroots):
    path = visit.app.mount + "/" + mamayo_doctor_app.PUBLIC
    answer = visit.site.ask(path)
    if answer.body.decode("latin-1") == visit.app.secret + "\n":
        visit.ok("static files", "what lies in the public/ of an application "
                 "is given to visitors")
    else:
        path = answer.header("x-sendfile") or answer.header("x-accel-redirect")
        visit.bad("static files", "what lies in the public/ of an application "
                  "does not reach visitors (status %d)%s" % (
                      answer.status, ": the web server is said to send files "
                      "itself (MAMAYO_SENDFILE), and it hands on the name "
                      "instead, %s" % path[:200] if path else ""), "sendfile")
    if visit.kind != "fcgid" or not docroots:
        return
    for docroot in docroots:
        text = visit.app.file(docroot)
        if text is None:
            continue
        answer = visit.site.ask("/%s.txt" % visit.app.name)
        if answer.body == text.encode():
            visit.ok("static files", "what lies in %s is given by the web "
                     "server itself" % docroot)
            return
    visit.report.note("static files", "the web server gives no file of %s to "
                      "visitors" % ", ".join(docroots))


def sources(visit):
    """Can visitors read what they must not?"""
    app = visit.app
    inside = app.place[len(visit.facts.root):]
    for path in ("/mamayo" + inside, inside, app.mount):
        answer = visit.site.ask(path + "/application.py")
        if app.secret.encode() in answer.body and visit.said(answer) is None:
            visit.report.bad(
                "exposed", "visitors can read the sources of your applications,"
                " and the passwords in them, at %s%s" % (visit.site.url, path),
                "echo 'Require all denied' >%s/.htaccess" % visit.facts.root
                if visit.kind in ("fcgid", "proxy") else ())
            return
    visit.ok("exposed", "visitors cannot read the sources of applications")


def silence(visit):
    got = at_once(visit, ["/do-sleep/%d" % s for s in SILENCES],
                  SILENCES[-1] + PATIENCE)
    for seconds, (words, status) in zip(SILENCES, got):
        if words is None:
            visit.bad("silence", "an application that says nothing for %d "
                      "seconds loses its request (%s)" % (seconds, status),
                      "silence")
            return
    visit.ok("silence", "an application may be silent for %d seconds"
             % SILENCES[-1])
