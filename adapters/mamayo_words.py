"""mamayo's worker: what it says to people, in the log and on a page."""
import io
import os
from time import localtime, strftime, time

DETAIL_MOST = 65536  # characters of a traceback
LINE_MOST = 1000     # of one line of it
REMARKS_MOST = 100   # different remarks that are made once
HERE = os.path.dirname(__file__) + os.sep

# Pages look like those of lib/page.c and fcgi/reply.c.
PAGE_TITLES = {500: "Something is wrong here", 503: "Not available just now"}
PAGE_HEAD = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<style>
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2125; \
--soft: #59616a; --box: #f1f3f5 }
@media (prefers-color-scheme: dark) { :root { --paper: #16191d; \
--ink: #e6e9ec; --soft: #a4adb7; --box: #22272d } }
body { margin: 0; padding: 12vh 1.25rem 2rem; background: var(--paper); \
color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
main { max-width: 38rem; margin: 0 auto; overflow-wrap: anywhere }
h1 { margin: 0 0 .75rem; font-size: 1.6rem; line-height: 1.25 }
p { margin: 0 0 1rem }
.soft { color: var(--soft); font-size: .875rem }
pre { padding: 1rem; background: var(--box); font: .8125rem/1.45 \
ui-monospace, monospace; overflow: auto; white-space: pre-wrap }
</style>
"""


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


def page(status, text, detail="", reference=""):
    title = PAGE_TITLES[status]
    parts = [PAGE_HEAD, "<title>%s</title>\n<main>\n<h1>%s</h1>\n"
             "<p>%s</p>\n" % (title, title, text)]
    if detail:
        parts.append("<pre>\n%s</pre>\n" % html(detail))
    if reference:
        parts.append('<p class="soft">Reference: <code>%s</code></p>\n'
                     % reference)
    parts.append("</main>\n")
    return "".join(parts).encode("utf-8", "replace")
