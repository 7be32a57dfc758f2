"""mamayo's worker: what it says to people, in the log and on a page."""
import io
import os
from time import localtime, strftime, time

from mamayo_page import HEAD

DETAIL_MOST = 65536  # characters of a traceback
LINE_MOST = 1000     # of one line of it
REMARKS_MOST = 100   # different remarks that are made once
HERE = os.path.dirname(__file__) + os.sep

# Pages look like those of lib/page.c and fcgi/reply.c.
PAGE_TITLES = {500: "Something went wrong", 503: "Not available just now"}


lost = [0]  # lines that found no room, not told of yet


def told_lost(fd):
    """Is there room again for a word about what was lost?"""
    count, lost[0] = lost[0], 0
    try:
        os.write(fd, ("\n" + line_of("warning", "%d lines before this one could"
                                     " not be written" % count)).encode())
    except OSError:
        lost[0] = count
    return not lost[0]


class Log(io.FileIO):
    """Descriptor 1 or 2. A full disk costs lines, never requests."""

    def write(self, data):
        try:
            if not lost[0] or told_lost(self.fileno()):
                return super().write(data)
        except OSError:
            pass
        lost[0] += bytes(data).count(b"\n") or 1
        return len(data)


def log_stream(fd):
    """Text for the log: any character, each line in one write."""
    return io.TextIOWrapper(
        io.BufferedWriter(Log(fd, "w", closefd=False), 1 << 16),
        encoding="utf-8", errors="backslashreplace", line_buffering=True)


def line_of(level, text):
    now = time()
    return "%s.%03d worker[%d] %s: %s\n" % (
        strftime("%Y-%m-%d %H:%M:%S", localtime(now)), now % 1 * 1000,
        os.getpid(), level, text)


def log(level, text):
    """A line of ours in the application's log, as lib/log.h wants it; with a
    traceback more of them, in one write."""
    line = line_of(level, text)
    try:
        if not lost[0] or told_lost(2):
            os.write(2, line.encode("utf-8", "backslashreplace"))
            return
    except OSError:
        pass
    lost[0] += line.count("\n")


def change_log(told, log):
    """Our log has been removed, and this is the new one. What the application
    has put in its place itself stays."""
    for fd in (1, 2):
        try:
            old = os.fstat(fd)
            if (old.st_dev, old.st_ino) == (told["device"], told["inode"]):
                os.dup2(log, fd)
        except OSError:
            pass  # the application has closed it


remarks = set()


def log_once(text):
    """For what would otherwise be said with every request."""
    if text not in remarks and len(remarks) < REMARKS_MOST:
        remarks.add(text)
        log("warning", text)


def visible(text, keep=""):
    """Nothing that a terminal or a reader of lines would act upon."""
    return "".join(c if c.isprintable() or c in keep else c.encode(
        "unicode_escape").decode("ascii") for c in text)


def printable(text):
    """Bytes from outside, decoded as Latin-1, made fit for a line."""
    return visible(text.encode("latin-1", "replace").decode(
        "utf-8", "backslashreplace"))


def trace(error):
    """The traceback, without our own frames at its beginning."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(
            (HERE, "<frozen importlib")):
        tb = tb.tb_next
    try:
        import traceback
        text = "".join(traceback.format_exception(type(error), error, tb))
    except Exception as why:  # no memory, for example
        text = "(no traceback: %s)" % type(why).__name__
    lines = [line[:LINE_MOST] for line in text.split("\n")]
    return visible("\n".join(lines).rstrip("\n")[-DETAIL_MOST:], "\n\t")


def html(text):
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"),
                      ('"', "&quot;")):
        text = text.replace(raw, safe)
    return text


def page(status, text, detail="", reference="", app=""):
    title = PAGE_TITLES[status]
    parts = [HEAD, "<title>%s</title>\n<main>\n<h1>%s</h1>\n"
             "<p>%s</p>\n" % (title, title, text)]
    if detail:
        parts.append("<pre>\n%s</pre>\n" % html(detail))
    words = []
    if app:
        words.append("Is this site yours? <code>mamayo logs %s</code> says"
                     " why." % html(visible(word(app))))
    if reference:
        words.append("Reference: <code>%s</code>" % reference)
    if words:
        parts.append('<p class="soft">%s</p>\n' % " ".join(words))
    parts.append("</main>\n")
    return "".join(parts).encode("utf-8", "replace")


def word(name):
    """As a shell takes it for one."""
    if all(c.isalnum() and c < "\x7f" or c in "@%+=:,./_-" for c in name):
        return name
    return "'%s'" % name.replace("'", "'\\''")
