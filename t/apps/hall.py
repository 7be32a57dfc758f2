"""An application with a door for everything that the tests want to see.

/blog/DOOR?key=value... calls the function of that name. MAMAYO_TEST names the
test's directory: the journal there gets a line for what happens in here, and
a gate is a file there whose appearance a door waits for.
"""
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import parse_qsl

DIRECTORY = os.environ["MAMAYO_TEST"]
DOORS = {}
kept = []


def door(function):
    DOORS[function.__name__] = function
    return function


def journal(*words):
    with open(os.path.join(DIRECTORY, "journal"), "a") as f:
        f.write(" ".join(str(w) for w in words) + "\n")


def wait_for(gate, seconds=60):
    end = time.monotonic() + seconds
    while not os.path.exists(os.path.join(DIRECTORY, gate)):
        if time.monotonic() > end:
            raise RuntimeError("nobody opened " + gate)
        time.sleep(0.005)


class Body:
    """An iterable that tells the journal when it is closed."""

    def __init__(self, chunks, name):
        self.chunks, self.name = chunks, name

    def __iter__(self):
        return self.chunks

    def close(self):
        journal("closed", self.name)


def plain(start_response, text, status="200 OK", headers=()):
    if isinstance(text, str):
        text = text.encode("utf-8")
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"),
                            ("Content-Length", str(len(text)))]
                   + list(headers))
    return [text]


def data(start_response, value):
    return plain(start_response, json.dumps(value))


@door
def environ(environ, start_response, **_):
    return data(start_response, {
        k: v for k, v in environ.items() if isinstance(v, str)})


@door
def process(environ, start_response, **_):
    return data(start_response, {
        "pid": os.getpid(), "cwd": os.getcwd(), "environ": dict(os.environ),
        "fds": {n: os.readlink("/proc/self/fd/" + n) for n in os.listdir(
            "/proc/self/fd") if os.path.lexists("/proc/self/fd/" + n)}})


@door
def pid(environ, start_response, **_):
    return plain(start_response, str(os.getpid()))


@door
def body(environ, start_response, **_):
    """What came, without keeping it."""
    seen, size = hashlib.sha256(), 0
    journal("called", environ["REQUEST_METHOD"])
    while True:
        some = environ["wsgi.input"].read(1 << 16)
        if not some:
            break
        seen.update(some)
        size += len(some)
    return data(start_response, {
        "length": size, "sha256": seen.hexdigest(),
        "method": environ["REQUEST_METHOD"],
        "content_length": environ.get("CONTENT_LENGTH"),
        "content_type": environ.get("CONTENT_TYPE")})


@door
def echo(environ, start_response, **_):
    """The body back, as it comes."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return iter(lambda: environ["wsgi.input"].read(1 << 16), b"")


@door
def unread(environ, start_response, **_):
    return plain(start_response, "did not look")


@door
def status(environ, start_response, line="200 OK", **_):
    start_response(line, [("X-Door", "status")])
    return []


@door
def cookies(environ, start_response, **_):
    return plain(start_response, environ.get("HTTP_COOKIE", ""), headers=[
        ("Set-Cookie", "one=1; Path=/"), ("Set-Cookie", "two=2; HttpOnly"),
        ("Set-Cookie", "three=a b")])


@door
def long_header(environ, start_response, size="0", **_):
    """A header of about that size, as long cookies and policies make it."""
    return plain(start_response, "as long", headers=[
        ("X-Long-%d" % i, "x" * 985) for i in range(int(size) // 1000)])


@door
def redirect(environ, start_response, to="/", code="302 Found", **_):
    return plain(start_response, "", code, [("Location", to)])


@door
def download(environ, start_response, size="0", name="download", **_):
    """size bytes, each block of 64 KiB bearing its number."""
    left = int(size)

    def blocks(left):
        number = 0
        while left > 0:
            block = (b"%015d\n" % number * 4096)[:left]
            left -= len(block)
            number += 1
            yield block
        journal("sent", name)
    start_response("200 OK", [("Content-Type", "application/octet-stream"),
                              ("Content-Length", size)])
    journal("started", name)
    return Body(blocks(left), name)


@door
def endless(environ, start_response, name="endless", **_):
    """Never ends by itself."""
    def blocks():
        while True:
            yield b"x" * 65536
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    journal("started", name)
    return Body(blocks(), name)


@door
def gate(environ, start_response, name="gate", **_):
    """Answers when the gate is opened."""
    journal("started", name, os.getpid())
    wait_for(name)
    return plain(start_response, name)


@door
def half(environ, start_response, name="half", then="end", size="10",
         length="yes", **_):
    """Sends half of it, waits for the gate, then ends or dies."""
    def chunks():
        yield b"a" * (int(size) // 2)
        journal("half", name, os.getpid())
        wait_for(name)
        if then == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if then == "exit":
            os._exit(0)
        yield b"b" * (int(size) // 2)
    headers = [("Content-Type", "text/plain")]
    if length == "yes":
        headers.append(("Content-Length", size))
    start_response("200 OK", headers)
    return Body(chunks(), name)


@door
def die(environ, start_response, how="kill", **_):
    """Never answers."""
    journal("dying", how)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "abort":
        os.abort()
    elif how == "exit":
        os._exit(0)
    elif how == "exit3":
        os._exit(3)
    elif how == "closeall":
        os.closerange(3, 100)
    time.sleep(60)


@door
def answer_then_die(environ, start_response, **_):
    """Dies when its answer is complete, in close()."""
    class Last(list):
        def close(self):
            journal("answered")
            os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Last([b"last words"])


@door
def sleep(environ, start_response, seconds="1", name="sleep", **_):
    journal("started", name)
    time.sleep(float(seconds))
    return plain(start_response, "slept")


@door
def stuck_in_here(environ, start_response, **_):
    while True:
        pass


@door
def prints(environ, start_response, **_):
    print("printed by print")
    os.write(1, b"written to descriptor 1\n")
    sys.stderr.write("written to stderr\n")
    environ["wsgi.errors"].write("written to wsgi.errors \u26a0\n")
    subprocess.call(["echo", "echoed by a child"])
    return plain(start_response, "clean")


@door
def leave_child(environ, start_response, name="child", then="answer", **_):
    """A child in its own session that keeps every descriptor."""
    child = os.fork()
    if child == 0:
        os.setsid()
        wait_for(name)
        os._exit(0)
    journal("child", child)
    if then == "die":
        os._exit(1)
    return plain(start_response, str(child))


@door
def fork_both_return(environ, start_response, **_):
    """Forks, and both go back into the adapter."""
    if os.fork():
        kept.append(1)
    return plain(start_response, "one of two")


@door
def raises(environ, start_response, **_):
    raise RuntimeError("this application raises, secret xyzzy")


@door
def auth(environ, start_response, **_):
    return plain(start_response, environ.get("HTTP_AUTHORIZATION", "none"))


@door
def path(environ, start_response, **_):
    """Where we are, for the table of URLs (also as the answer's default)."""
    return data(start_response, {
        "script_name": environ["SCRIPT_NAME"].encode("latin-1").decode(
            "utf-8", "backslashreplace"),
        "path_info": environ["PATH_INFO"].encode("latin-1").decode(
            "utf-8", "backslashreplace"),
        "query": environ["QUERY_STRING"]})


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").split("/")[0]
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    return DOORS.get(name, path)(environ, start_response, **query)
