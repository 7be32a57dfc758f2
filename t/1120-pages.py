"""Pages of the worker look like the program's: lib/page.c, fcgi/reply.c."""
import os
import re

from harness import SRCDIR, equal, run, test
from wsgi_harness import App

import mamayo_words  # the adapter's; wsgi_harness knows where


def source(path):
    with open(os.path.join(SRCDIR, path)) as file:
        return file.read()


@test("the head of a page is the same text")
def _():
    literal = re.search(r'char head\[\] =\n(.*?");\n',
                        source("lib/page.c"), re.S).group(1)
    text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal))
    text = text.replace("\\n", "\n").replace('\\"', '"')
    equal(mamayo_words.PAGE_HEAD, text)


@test("a status has the same title")
def _():
    titles = {int(n): t for n, t in re.findall(
        r'\{ (\d+), "([^"]+)" \}', source("fcgi/reply.c"))}
    for status, title in mamayo_words.PAGE_TITLES.items():
        equal(title, titles[status])


@test("the same headers come with it")
def _():
    text = source("lib/page.c")
    theirs = set(re.findall(r'"([A-Z][A-Za-z-]+): ', text))
    with App("def application(environ, start_response):\n    1 // 0") as a:
        ours = {name for name, _ in a.ask("/").headers}
    equal(ours, theirs - {"Status", "Retry-After"})


run()
