"""Every page of ours has one look, whoever makes it: the program, a worker, or
fcgi/apology. It is small and complete, and can be read on a telephone, by day
and by night."""
import html.parser
import os
import re
import shutil
import subprocess
import tempfile

from harness import SRCDIR, cleanup, equal, run, test
from mamayo import Mamayo
from wsgi_harness import root  # and makes the adapter importable

import mamayo_page
import mamayo_words

PAGE_MOST = 4096
CONTRAST = 4.5
BROWSER = shutil.which("chromium")

m = Mamayo(workers={"max": 1}, timeout=2)
m.app("blog")
m.app("broken", "import module_that_is_nowhere\n")
m.app("raises", "def application(environ, start_response):\n    1 // 0\n")
m.app("shown", "import module_that_is_nowhere\n", debug=True)
m.app("it's \u2615", "x ==== 1\n")
m.start()


def apology():
    other = Mamayo()
    os.chmod(other.root, 0o757)
    other.start()
    got = other.get("/")
    other.kill_responder(signo=15)
    return got


pages = {
    "nothing there": m.get("/nothing"),
    "cannot start": m.get("/broken"),
    "cannot start, with debug": m.get("/shown"),
    "a name to quote": m.get("/it%27s%20%E2%98%95"),
    "an exception": m.get("/raises"),
    "a worker that dies": m.get("/blog/die?how=segv"),
    "too late": m.get("/blog/sleep?seconds=30"),
    "no address": m.get("/%00"),
    "apology": apology(),
}
WITH_DETAIL = ("cannot start, with debug",)


def text(got):
    return got.body.decode("utf-8")


@test("there is one of each kind")
def _():
    equal({name: got.error for name, got in pages.items()}, {
        "nothing there": "no-app", "cannot start": "cannot-start",
        "cannot start, with debug": "cannot-start",
        "a name to quote": "cannot-start", "an exception": "exception",
        "a worker that dies": "died", "too late": "timeout",
        "no address": "bad-request", "apology": "refused"})


@test("they begin with the same text")
def _():
    for name, got in pages.items():
        equal(text(got).startswith(mamayo_page.HEAD + "<title>"), True, name)


@test("they come with the same headers")
def _():
    for name, got in pages.items():
        equal(got.header("Content-Type"), "text/html; charset=utf-8", name)
        equal(got.header("Cache-Control"), "no-store", name)
        equal(got.header("X-Content-Type-Options"), "nosniff", name)


@test("a status has the same title in a worker")
def _():
    with open(os.path.join(SRCDIR, "fcgi/reply.c")) as file:
        titles = {int(n): t for n, t in re.findall(
            r'\{ (\d+), "([^"]+)" \}', file.read())}
    for status, title in mamayo_words.PAGE_TITLES.items():
        equal(title, titles[status])


class Elements(html.parser.HTMLParser):
    """What a page consists of; raises what does not fit together."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.names, self.open, self.attributes = set(), [], []
        self.feed(page)
        self.close()
        equal(self.open, ["html"])

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        self.attributes += [name for name, _ in attributes]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        equal(self.open.pop(), tag)


@test("each is at most 4 kB, whole, without script or anything from elsewhere")
def _():
    for name, got in pages.items():
        if name not in WITH_DETAIL:
            assert len(got.body) <= PAGE_MOST, (name, len(got.body))
        e = Elements(text(got))
        assert {"title", "style", "main", "h1", "p"} <= e.names, name
        equal(e.names - {"html", "meta", "title", "style", "main", "h1", "p",
                         "code", "pre"}, set(), name)
        equal(set(e.attributes) - {"lang", "charset", "name", "content",
                                   "class"}, set(), name)
        for word in ("http", "url(", "@import", "//", "javascript"):
            assert word not in mamayo_page.HEAD, word
    return "%d bytes at most" % max(
        len(got.body) for name, got in pages.items()
        if name not in WITH_DETAIL)


@test("what a visitor reads has no jargon; the owner's line is apart")
def _():
    jargon = re.compile(
        r"(?i)python|wsgi|fastcgi|worker|process|queue|traceback|exception"
        r"|module|server error|timeout|application|http|\b[45]\d\d\b")
    for name, got in pages.items():
        visible = re.sub('(?s)<p class="soft">.*?</p>|<pre>.*?</pre>|<style>'
                         '.*?</style>|<[^>]*>', " ", text(got))
        found = jargon.search(visible)
        equal(found and found.group(), None, (name, visible))
        assert len(visible.split()) < 60, visible


@test("the owner is told where the reason is, in a line that can be copied")
def _():
    for name, command in (
            ("cannot start", "mamayo logs broken"),
            ("an exception", "mamayo logs raises"),
            ("a worker that dies", "mamayo logs blog"),
            ("too late", "mamayo logs blog"),
            ("a name to quote", "mamayo logs 'it'\\''s \u2615'")):
        shown = re.search("<code>(mamayo.*?)</code>", text(pages[name]))
        equal(shown and shown.group(1), command, name)
    equal(mamayo_words.word("it's \u2615"), "'it'\\''s \u2615'")
    equal(mamayo_words.word("@a.b/c-d_1"), "@a.b/c-d_1")


# Colours


def palettes():
    """{"--ink": "#1d2125", ...}, by day and by night."""
    style = re.search("(?s)<style>(.*)</style>", mamayo_page.HEAD).group(1)
    day = re.search(r"^:root \{(.*?)\}", style, re.M | re.S).group(1)
    night = re.search(r"prefers-color-scheme: dark\) \{ :root \{(.*?)\}",
                      style, re.S).group(1)
    read = [dict(re.findall(r"(--[a-z]+): (#[0-9a-f]{6})", part))
            for part in (day, night)]
    return read[0], dict(read[0], **read[1])


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
             for c in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@test("every colour of text has a contrast of 4.5 on every background, by day "
      "and by night")
def _():
    style = re.search("(?s)<style>(.*)</style>", mamayo_page.HEAD).group(1)
    fronts = set(re.findall(r"[ ;{\n]color: var\((--\w+)\)", style))
    backs = set(re.findall(r"background: var\((--\w+)\)", style))
    equal((fronts, backs), ({"--ink", "--soft"}, {"--paper", "--box"}))
    # no colour but by these names
    equal(re.findall(r"[ ;{\n](?:color|background): (?!var)", style), [])
    least = []
    for colours in palettes():
        for front in fronts:
            for back in backs:
                least.append(contrast(colours[front], colours[back]))
    assert min(least) >= CONTRAST, least
    day, night = palettes()
    assert luminance(day["--paper"]) > 0.5 > luminance(night["--paper"])
    return "%.1f at least" % min(least)


@test("the measure of contrast is right")
def _():
    equal(round(contrast("#000000", "#ffffff"), 2), 21.0)
    equal(round(contrast("#777777", "#ffffff"), 2), 4.48)
    equal(round(contrast("#767676", "#ffffff"), 2), 4.54)


# In a browser


place = tempfile.mkdtemp(prefix="mt.pages.")
cleanup(lambda: shutil.rmtree(place, ignore_errors=True))


def browser(*arguments):
    """Runs chromium without a window -> what it printed."""
    got = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu",
         "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
         "--user-data-dir=" + os.path.join(place, "profile")]
        + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": place})
    equal(got.returncode, 0, got.stderr.decode("utf-8", "replace")[-2000:])
    return got.stdout.decode("utf-8")


@test("at 320 pixels nothing sticks out, in a browser")
def _():
    style = re.search("(?s)<style>(.*)</style>", mamayo_page.HEAD).group(1)
    equal(re.findall(r"(?<!max-)width: (?!device)|min-|nowrap|px", style), [])
    assert "overflow-wrap: anywhere" in style and "pre-wrap" in style
    if BROWSER is None:
        return "without chromium only what the style says"
    # a frame of that width in a page of ours tells how wide its content is
    frames = "".join(
        '<iframe width="320" height="600" srcdoc="%s"></iframe>' % (
            mamayo_words.html(text(got))) for got in pages.values())
    path = os.path.join(place, "all.html")
    with open(path, "w") as file:
        file.write("<!doctype html><meta charset=utf-8>" + frames + """
<script>onload = () => document.title = "widths " + [
...document.querySelectorAll("iframe")].map(f =>
    f.contentDocument.documentElement.scrollWidth + "/" +
    f.contentDocument.documentElement.clientWidth + "/" +
    getComputedStyle(f.contentDocument.querySelector("p")).fontSize
).join(" ")</script>""")
    found = re.search("<title>widths ([^<]*)", browser(
        "--dump-dom", "file://" + path))
    sizes = found.group(1).split()
    equal(len(sizes), len(pages))
    for name, size in zip(pages, sizes):
        wide, seen, letters = size.split("/")
        assert int(wide) <= int(seen) <= 320, (name, size)
        equal(letters, "16px", name)
    if os.environ.get("MAMAYO_SCREENSHOTS"):  # a directory to look at
        shots(os.environ["MAMAYO_SCREENSHOTS"])
    return "in " + BROWSER


def shots(directory):
    for name, got in pages.items():
        path = os.path.join(place, "page.html")
        with open(path, "wb") as file:
            file.write(got.body)
        for width in (320, 1280):
            for theme in ("light", "dark"):
                browser("--screenshot=%s/%s-%d-%s.png" % (
                    directory, name.replace(" ", "-"), width, theme),
                    "--window-size=%d,640" % width,
                    "--blink-settings=preferredColorScheme=%d" % (
                        theme == "light"), "file://" + path)


run()
