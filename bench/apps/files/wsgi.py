"""A site with a file.

    /hello            12 bytes
    /style.css        public/style.css, which is served without us
    /python/style.css the same, read by us
"""
import os

HELLO = b"Hello world\n"
STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "public",
                     "style.css")


def application(environ, start_response):
    path, kind, body = environ["PATH_INFO"], "text/plain", HELLO
    if path == "/python/style.css":
        kind = "text/css"
        with open(STYLE, "rb") as f:
            body = f.read()
    elif path != "/hello":
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    start_response("200 OK", [("Content-Type", kind),
                              ("Content-Length", str(len(body)))])
    return [body]
