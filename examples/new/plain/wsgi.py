"""A web application: one function that is called for every request."""
import html

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>It works</title>
<h1>It works</h1>
<p>This page comes from <code>%s</code>. Change it, and load it again.
"""


def application(environ, start_response):
    if environ["PATH_INFO"] not in ("", "/"):
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"There is no such page.\n"]
    body = (PAGE % html.escape(__file__)).encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"),
                              ("Content-Length", str(len(body)))])
    return [body]
