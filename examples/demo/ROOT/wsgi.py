"""A plain WSGI application, served at /: no framework, just the interface."""
import html
import os

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>mamayo</title>
<h1>It works</h1>
<p>This page is a WSGI application of a dozen lines,
<code>%s</code>. Beside it run
<a href="%s/flask/">one made with Flask</a> and
<a href="%s/django/">one made with Django</a>.
Each has its own processes, which are started when somebody asks for them.
<p>You asked for <code>%s</code>; the process with the number %d answered.
"""


def application(environ, start_response):
    base = html.escape(environ["SCRIPT_NAME"])
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    body = (PAGE % (html.escape(__file__), base, base, html.escape(path),
                    os.getpid())).encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"),
                              ("Content-Length", str(len(body)))])
    return [body]
