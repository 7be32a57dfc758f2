"""What the death of a process may cost: every request is accounted for.

An Oracle is told of all requests and of all kills, and reads the journal of
t/apps/soak.py: problems() are the lines about whatever was not to be. Allowed
is, and nothing else:

 * A request that was in the hands of a worker when that one was killed fails:
   one at most, and the worker's scoreboard names it. It is answered with
   mamayo's 502 "died", with the web server's own page if the worker had the
   web server's connection, or cut if a part of the answer was out. In the
   instant in which a worker takes a request the board does not name it yet;
   then the application was not called.
 * A request that was on its way when a responder was killed fails, for it may
   have been carried by that one: with the web server's own page, or cut.
   Where responders have one request at a time, it is one at most.
 * Where connections are kept, one that a killed process had ends at once, or
   after the answer that a worker is writing to it. If the web server sends the
   next request on it before it sees that (SOON), this one fails with its own
   page: the application was not called. One that was lent to a worker when
   another one died is closed when it has been silent for a second, for the
   answer may have been lost in the instant named above; the next request may
   meet that (LATER), once in MEETS kills or less.
 * Where a web server starts no responder for some seconds (away) after the last
   answer that was on its way when the last one was killed, its own 503 until
   the first request is served again.

Whatever else is done to a process (see Kill.kind) costs nothing; what is
answered is right; and an application is called at most once for a request,
once for one that was served.
"""
SOON = 0.1   # s
LATER = 1.5  # s
MEETS = 40


class Kill:
    """Something that was done to a process, between began and ended (s)."""

    def __init__(self, kind, pid, began, ended, board=None):
        self.kind, self.pid = kind, pid
        self.began, self.ended = began, ended
        self.board = board  # of a worker, after its death: busy, url
        self.lost = []      # requests that it has cost
        self.met = None     # one that has met a connection's end, LATER
        self.remark = ""

    def __repr__(self):
        return "%s %s at %.3f%s" % (self.kind, self.pid, self.began,
                                    self.board and " %r" % self.board or "")


class Request:
    """One that has been sent. The number is in its path, and in its body."""

    def __init__(self, number):
        self.number = number
        self.began = self.ended = 0.0
        self.status, self.error = None, None  # of the whole answer
        self.is_cut = False  # within its body
        self.why = "no answer"  # what is wrong with it; None: nothing

    def __repr__(self):
        return "request %d, %.3f to %.3f: %s" % (
            self.number, self.began, self.ended, self.why or "served")

    def served(self):
        return self.why is None

    def during(self, kill):
        return self.began <= kill.ended and kill.began <= self.ended

    def answered(self, got, expected):
        """All that has come from the web server, and the body it should be.
        """
        head, gap, body = got.partition(b"\r\n\r\n")
        if not gap:
            self.why = "cut before the end of its headers: %r" % got[:200]
            return
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "x-mamayo-error":
                self.error = value.strip()
        if self.status != 200:
            self.why = "%d %s" % (self.status,
                                  self.error or "of the web server")
        elif body == expected:
            self.why = None
        elif expected.startswith(body):
            self.is_cut, self.why = True, "cut"
        else:
            self.why = "wrong: %r" % body[:100]


class Oracle:
    own = (500,)   # statuses of the web server's page when a connection ends
    most = None    # requests that a responder has at a time
    keeps = False  # connections
    away = 0       # s, see above

    def __init__(self, name):
        self.name = name
        self.requests, self.kills = [], []
        self.called, self.ended = {}, {}  # pids, by the request's number

    def read(self, journal):
        for line in journal:
            what, number, pid = line.split()
            where = self.called if what == "called" else self.ended
            where.setdefault(int(number), []).append(int(pid))

    def page_of_the_server(self, r):
        return r.status in self.own and r.error is None

    def by_worker(self, r, k):
        """Was it in the hands of that worker?"""
        if k.kind != "worker" or k.lost or not r.during(k):
            return False
        if not (r.is_cut or (r.status, r.error) == (502, "died")
                or self.page_of_the_server(r)):
            return False
        called = self.called.get(r.number, [])
        if k.board["busy"]:
            return (k.board["url"] == "/%d" % r.number
                    and called in ([], [k.pid]))
        return not called and not r.is_cut

    def by_responder(self, r, k):
        """May that responder have carried it?"""
        return (k.kind == "responder" and r.during(k)
                and (self.most is None or len(k.lost) < self.most)
                and (r.is_cut or self.page_of_the_server(r)))

    def by_kept_connection(self, r, k):
        """May the connection have ended as it was sent?"""
        if (not self.keeps or r.number in self.called
                or not self.page_of_the_server(r)):
            return False
        if k.kind == "worker":
            return not k.lost and k.began <= r.began <= k.ended + SOON
        return k.kind == "responder" and (
            k.began <= r.began <= k.ended + SOON
            or any(q.during(k) and q.ended - SOON <= r.ended
                   and r.began <= q.ended + SOON for q in self.requests))

    def by_silent_connection(self, r, k):
        """Has it met the end of one, for which a worker's death was why?"""
        if (not self.keeps or k.kind != "worker" or k.met
                or r.number in self.called or not self.page_of_the_server(r)
                or not k.began <= r.ended <= k.ended + LATER):
            return False
        k.met = r
        return True

    def by_nobody(self, r, k):
        """Was there no responder yet?"""
        if not (self.away and k.kind == "responder"
                and (r.status, r.error) == (503, None)
                and r.number not in self.called and k.began <= r.ended):
            return False
        last = max([k.ended] + [q.ended for q in self.requests if q.during(k)])
        return r.began <= last + self.away and not any(
            k.ended < q.began and q.ended < r.began and q.served()
            for q in self.requests)

    def account_for(self):
        """Gives each request that is lost to the kill that has cost it.
        -> those that have none."""
        left = []
        for r in self.requests:
            if r.served():
                continue
            for rule in (self.by_worker, self.by_responder,
                         self.by_kept_connection, self.by_nobody,
                         self.by_silent_connection):
                k = next((k for k in self.kills if rule(r, k)), None)
                if k is not None:
                    k.lost.append(r)
                    break
            else:
                left.append(r)
        return left

    def problems(self, journal):
        self.read(journal)
        found = ["%s: %r; called by %r; meanwhile %r" % (
            self.name, r, self.called.get(r.number, []),
            [k for k in self.kills if r.during(k)])
            for r in self.account_for()]
        met = [k.met for k in self.kills if k.met]
        if len(met) > 1 + len(self.kills) // MEETS:
            found.append("%s: too many silent connections have ended: %r" % (
                self.name, met))
        for r in self.requests:
            called = self.called.get(r.number, [])
            if len(called) > 1:
                found.append("%s: called more than once, by %r: %r" % (
                    self.name, called, r))
            elif r.served() and (not called or called
                                 != self.ended.get(r.number)):
                found.append("%s: %r, but called by %r, ended by %r" % (
                    self.name, r, called, self.ended.get(r.number)))
        return found
