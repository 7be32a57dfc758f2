"""The application that mamayo doctor puts there for as long as it looks."""
import json
import os
import time

SECRET = "@SECRET@"


def application(environ, start_response):
    """/do-WORD/ARGUMENT does something; any other path is told what came."""
    begin = time.time()
    parts = environ["PATH_INFO"].split("/")
    action = actions.get(parts[1] if len(parts) > 1 else "")
    if action is not None:
        return action(environ, start_response, parts[2])
    length, stream = 0, environ["wsgi.input"]
    while True:
        data = stream.read(65536)
        if not data:
            break
        length += len(data)
    return tell(environ, start_response, "200 OK", [], length, begin)


def tell(environ, start_response, status, headers, length=0, begin=0):
    body = json.dumps({
        "secret": SECRET, "pid": os.getpid(), "begin": begin, "length": length,
        "scheme": environ["wsgi.url_scheme"],
        "environ": {k: v for k, v in environ.items() if isinstance(v, str)
                    and "." not in k}}).encode("ascii")
    start_response(status, [
        ("Content-Type", "application/json"), ("Cache-Control", "no-store"),
        ("Content-Length", str(len(body))),
        ("X-Doctor-Method", environ["REQUEST_METHOD"])] + headers)
    return [body]


def do_stream(environ, start_response, seconds):
    """Five pieces, with pauses."""
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Cache-Control", "no-store")])
    for n in range(5):
        if n:
            time.sleep(float(seconds))
        yield b"%d\n" % n


def do_sleep(environ, start_response, seconds):
    begin = time.time()
    time.sleep(float(seconds))
    return tell(environ, start_response, "200 OK", [], 0, begin)


def do_status(environ, start_response, status):
    return tell(environ, start_response, status + " Doctor", [])


def do_headers(environ, start_response, size):
    return tell(environ, start_response, "200 OK", [
        ("Set-Cookie", "doctor1=1"), ("Set-Cookie", "doctor2=2"),
        ("X-Doctor-Long", "x" * int(size))])


actions = {"do-stream": do_stream, "do-sleep": do_sleep,
           "do-status": do_status, "do-headers": do_headers}
