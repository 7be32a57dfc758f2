"""mamayo doctor: an HTTP client that hides nothing and can be held up by
nobody.

What is sent is what was asked for, byte for byte; of an answer the time of
each piece is kept. Every limit holds for the whole of an answer: a site may be
silent, endless, or no web server at all.
"""
import base64
import re
import select
import socket
import ssl
import time
import urllib.parse

PATIENCE = 20          # seconds for one request and its answer
HEAD_MOST = 65536      # bytes of an answer's headers, all of them
BODY_MOST = 1 << 20    # bytes of an answer that are read
INTERIM_MOST = 10      # answers with 1xx before the one that counts
PIECE = 65536          # bytes that are sent or read at once


class Trouble(Exception):
    """No answer that can be used; the text says why."""

    timed_out = False


class BadUrl(Exception):
    """The text says what is wrong with it."""


class Answer:
    def __init__(self):
        self.status, self.reason = 0, ""
        self.headers = []    # (name in lower case, value)
        self.body = b""
        self.pieces = []     # (seconds since the request was sent, bytes)
        self.is_cut = False  # there was more, or the end was missing

    def header(self, name):
        """The last one of that name, "" if there is none."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return ""

    def all(self, name):
        return [value for key, value in self.headers if key == name]


class Site:
    """A URL, and how to reach it."""

    def __init__(self, url):
        self.verifies = True
        self.set(url)

    def set(self, url):
        if re.search(r"[\0-\x20\x7f]", url):
            raise BadUrl("%r is no URL" % url)
        try:
            parts = urllib.parse.urlsplit(url)
            port, host = parts.port, parts.hostname
            self.name = (host or "").encode("idna").decode()
        except (ValueError, UnicodeError):
            raise BadUrl("%s is no URL" % url)
        if parts.scheme not in ("http", "https") or not self.name:
            raise BadUrl("%s does not begin with http:// or https:// and the "
                         "name of a host" % url)
        if parts.query or parts.fragment or re.search(r"[\0-\x20\x7f-\uffff]",
                                                      parts.path):
            raise BadUrl("%s is not the plain address of a place" % url)
        self.scheme = parts.scheme
        usual = 443 if self.scheme == "https" else 80
        self.port = port or usual
        name = "[%s]" % self.name if ":" in self.name else self.name
        self.netloc = name if self.port == usual else "%s:%d" % (
            name, self.port)
        path = parts.path
        if path.endswith("/mamayo.fcgi"):
            path = path[:-len("mamayo.fcgi")]
        self.base = path.rstrip("/")
        self.password = getattr(self, "password", None)
        if parts.username is not None:
            self.password = "Basic " + base64.b64encode(
                ("%s:%s" % (urllib.parse.unquote(parts.username),
                            urllib.parse.unquote(parts.password or ""))
                 ).encode()).decode()

    @property
    def url(self):
        return "%s://%s%s" % (self.scheme, self.netloc, self.base)

    def connect(self, end):
        try:
            s = socket.create_connection((self.name, self.port), left(end))
        except socket.gaierror as why:
            raise Trouble("the name %s cannot be found: %s" % (
                self.name, why.strerror))
        except socket.timeout:
            raise late("%s, port %d, does not take a connection" % (
                self.name, self.port))
        except OSError as why:
            raise Trouble("no connection to %s, port %d: %s" % (
                self.name, self.port, why.strerror or why))
        if self.scheme != "https":
            return s
        context = ssl.create_default_context()
        if not self.verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            s.settimeout(left(end))
            return context.wrap_socket(s, server_hostname=self.name)
        except ssl.SSLError as why:
            s.close()
            raise BadCertificate(why) if is_certificate(why) else Trouble(
                "%s, port %d, does not speak TLS: %s" % (
                    self.name, self.port, why.reason or why))
        except (OSError, ValueError) as why:
            s.close()
            raise Trouble("no TLS with %s, port %d: %s" % (
                self.name, self.port, why))

    def send(self, path, method="GET", headers=(), body=None, chunked=False,
             patience=PATIENCE):
        """Gives an Exchange: the request is on its way."""
        return Exchange(self, self.base + path, method, list(headers), body,
                        chunked, time.monotonic() + patience)

    def ask(self, path, **how):
        """Gives an Answer; Trouble if there is none."""
        exchange = self.send(path, **how)
        try:
            return exchange.answer()
        finally:
            exchange.close()


class BadCertificate(Trouble):
    def __init__(self, why):
        Trouble.__init__(self, getattr(why, "verify_message", "")
                         or why.reason or str(why))


def is_certificate(why):
    return isinstance(why, getattr(ssl, "SSLCertVerificationError", ())) or (
        "CERTIFICATE" in (why.reason or ""))


def late(text):
    trouble = Trouble(text + " in time")
    trouble.timed_out = True
    return trouble


def left(end):
    """Seconds; never 0, which would mean: do not wait."""
    return max(end - time.monotonic(), 0.001)


class Exchange:
    """A request that has been sent, and its answer."""

    def __init__(self, site, path, method, headers, body, chunked, end):
        self.end, self.method = end, method
        self.got = b""
        self.socket = site.connect(end)
        names = [name.lower() for name, _ in headers]
        lines = ["%s %s HTTP/1.1" % (method, path or "/"),
                 "Host: " + site.netloc, "Connection: close",
                 "User-Agent: mamayo-doctor", "Accept: */*"]
        if site.password and "authorization" not in names:
            lines.append("Authorization: " + site.password)
        if chunked:
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif body is not None:
            lines.append("Content-Length: %d" % len(body))
        lines += ["%s: %s" % pair for pair in headers]
        try:
            self.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            if body:
                self.write(body)
        except BaseException:
            self.close()
            raise
        self.sent = time.monotonic()

    def close(self):
        self.socket.close()

    def write(self, data):
        """What comes early is kept: who answers does not want the rest."""
        view = memoryview(data)
        while view and not self.got:
            if select.select([self.socket], [], [], 0)[0] and self.early():
                return
            self.socket.settimeout(left(self.end))
            try:
                view = view[self.socket.send(view[:PIECE]):]
            except socket.timeout:
                raise late("the web server does not take the request")
            except OSError:
                return  # perhaps it has said why

    def early(self):
        self.socket.settimeout(0)
        try:
            self.got = self.socket.recv(PIECE)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            pass
        return True

    def read(self):
        """Some bytes, b"" at the end."""
        if self.got:
            data, self.got = self.got, b""
            return data
        if time.monotonic() >= self.end:
            raise late("the answer of the web server does not end")
        self.socket.settimeout(left(self.end))
        try:
            return self.socket.recv(PIECE)
        except socket.timeout:
            raise late("the web server does not answer")
        except ssl.SSLError as why:
            if "EOF" in (why.reason or str(why)):
                return b""
            raise Trouble("the answer breaks off: %s" % (why.reason or why))
        except OSError as why:
            raise Trouble("the answer breaks off: %s" % why.strerror)

    def head(self):
        """The bytes up to an empty line, and what came behind it."""
        data = b""
        while True:
            match = re.search(rb"\r?\n\r?\n", data)
            if match:
                return data[:match.start()], data[match.end():]
            if len(data) > HEAD_MOST:
                raise Trouble("the headers of the answer are larger than %d "
                              "bytes" % HEAD_MOST)
            more = self.read()
            data += more
            if not data and not more:
                raise Trouble("the web server closes the connection without "
                              "an answer")
            if not b"HTTP/1.".startswith(data[:7]):
                raise Trouble("it does not speak HTTP: it says %r" % (
                    data[:40].decode("latin-1")))
            if not more:
                raise Trouble("the answer ends within its headers")

    def answer(self):
        a = Answer()
        for _ in range(INTERIM_MOST):
            head, rest = self.head()
            lines = re.split(r"\r?\n", head.decode("latin-1"))
            match = re.match(r"HTTP/1\.\d (\d{3})(?: (.*))?$", lines[0])
            if not match:
                raise Trouble("the answer begins with %r" % lines[0][:60])
            a.status, a.reason = int(match.group(1)), match.group(2) or ""
            if a.status >= 200:
                break
            self.got = rest + self.got
        else:
            raise Trouble("%d answers with 1xx" % INTERIM_MOST)
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                a.headers.append((name.strip().lower(), value.strip()))
        if self.method == "HEAD" or a.status in (204, 304):
            return a
        self.body(a, rest)
        return a

    def body(self, a, rest):
        """Reads what belongs to the answer, and when it came."""
        chunked = "chunked" in a.header("transfer-encoding").lower()
        length = a.header("content-length")
        length = int(length) if re.match(r"\d{1,18}$", length) else None
        raw = b""
        while True:
            if rest:
                a.pieces.append((time.monotonic() - self.sent, rest))
                raw += rest
            if chunked:
                a.body, is_whole = dechunk(raw)
            else:
                a.body, is_whole = raw, length is not None and (
                    len(raw) >= length)
            if is_whole:
                return
            if len(raw) > BODY_MOST:
                a.is_cut = True
                return
            rest = self.read()
            if not rest:
                a.is_cut = chunked or length is not None
                return


def dechunk(raw):
    """(the bytes, is that all?)"""
    parts, at = [], 0
    while True:
        line = raw.find(b"\r\n", at)
        if line == -1:
            return b"".join(parts), False
        size = raw[at:line].split(b";")[0].strip()
        if not re.match(rb"[0-9a-fA-F]{1,8}$", size):
            raise Trouble("the chunks of the answer are broken")
        size, at = int(size, 16), line + 2
        if size == 0:
            return b"".join(parts), True
        parts.append(raw[at:at + size])
        at += size + 2
