"""The application without a framework.

    /hello     12 bytes
    /environ   what the server says of the request, as JSON
    /echo      the body of a POST
    /made?N    N bytes, in blocks of 64 KiB, as they are made
    /file      the file "large" beside this one, by wsgi.file_wrapper
    /sleep?MS  12 bytes, after a while
"""
import os
import time

HELLO = b"Hello world\n"
BLOCK = bytes(range(256)) * 256
LARGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "large")
TEXT = ("Content-Type", "text/plain")


def hello(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "12")])
    return [HELLO]


def show(environ, start_response):
    import json
    body = json.dumps({name: value for name, value in environ.items()
                       if isinstance(value, str)}).encode()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def echo(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def made(environ, start_response):
    left = int(environ["QUERY_STRING"])
    start_response("200 OK", [TEXT, ("Content-Length", str(left))])

    def blocks(left):
        while left >= len(BLOCK):
            yield BLOCK
            left -= len(BLOCK)
        if left:
            yield BLOCK[:left]
    return blocks(left)


def send_file(environ, start_response):
    f = open(LARGE, "rb")
    start_response("200 OK", [
        TEXT, ("Content-Length", str(os.fstat(f.fileno()).st_size))])
    if "wsgi.file_wrapper" in environ:
        return environ["wsgi.file_wrapper"](f, len(BLOCK))
    return iter(lambda: f.read(len(BLOCK)), b"")


def sleep(environ, start_response):
    time.sleep(int(environ["QUERY_STRING"]) / 1000)
    return hello(environ, start_response)


VIEWS = {"/hello": hello, "/environ": show, "/echo": echo, "/made": made,
         "/file": send_file, "/sleep": sleep}


def application(environ, start_response):
    view = VIEWS.get(environ.get("PATH_INFO"))
    if view is None:
        start_response("404 Not Found", [TEXT, ("Content-Length", "0")])
        return []
    return view(environ, start_response)
