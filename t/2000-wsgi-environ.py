"""What an application is called with: PEP 3333, environ."""
from wsgiref.util import request_uri

from harness import equal, test
from wsgi_harness import App, app_test, run

ECHO = """
from kit import *
def application(environ, start_response):
    assert type(environ) is dict
    return reply(start_response, {k: v for k, v in environ.items()
                                  if not k.startswith("wsgi.")
                                  or isinstance(v, (bool, str, tuple))})
"""
KINDS = """
from kit import *
def answer(environ, start_response):
    return reply(start_response, __name__)
def function(environ, start_response):
    return answer(environ, start_response)
class Class:
    def __init__(self, environ, start_response):
        self.result = answer(environ, start_response)
    def __iter__(self):
        return iter(self.result)
class Instance:
    def __call__(self, environ, start_response):
        return answer(environ, start_response)
    def method(self, environ, start_response):
        return answer(environ, start_response)
instance = Instance()
method = instance.method
class Static:
    application = staticmethod(answer)
def positional(*args):
    environ, start_response = args
    return answer(environ, start_response)
def other_names(a, b):
    return answer(a, b)
"""


@test("W-1 W-2 an application is a function, a class, an instance, a method; "
      "it is called with two positional arguments, many times")
def _():
    for name in ("function", "Class", "instance", "method",
                 "Static.application", "positional", "other_names"):
        with App({"kinds.py": KINDS}, entry="kinds:" + name) as a:
            for _ in range(3):
                equal(a.ask("/").json(), "kinds", name)


@app_test("W-1 positional-only parameters", """
from kit import *
import sys
if sys.version_info >= (3, 8):
    exec("def application(e, s, /): return reply(s, 'called')")
else:
    def application(e, s): return reply(s, 'called')
""", validate=False)
def _(a):
    equal(a.ask("/").json(), "called")


@app_test("W-3 environ is a dict, and what is changed in it is gone with the"
          " next request", """
from kit import *
def application(environ, start_response):
    assert type(environ) is dict
    fresh = "mark" not in environ and "PATH_INFO" in environ
    environ["mark"] = 1
    del environ["PATH_INFO"]
    environ["wsgi.version"] = None
    return reply(start_response, fresh)
""", validate=False)
def _(a):
    for _ in range(3):
        equal(a.ask("/").json(), True)


@app_test("W-4 values are str of code points up to U+00FF, one per byte",
          ECHO, validate=False)
def _(a):
    e = a.ask("/", PATH_INFO=b"/\xc3\xa9", QUERY_STRING=b"\xe9\xff\x80",
              HTTP_X_BYTES=bytes(range(1, 256))).json()
    equal(e["PATH_INFO"], "/\xc3\xa9")
    equal(e["QUERY_STRING"], "\xe9\xff\x80")
    equal(e["HTTP_X_BYTES"], "".join(map(chr, range(1, 256))))


@app_test("W-5 W-6 what the responder sends arrives, empty values too", ECHO)
def _(a):
    e = a.ask("/x?a=1", HTTP_EMPTY="").json()
    for name, value in {
            "REQUEST_METHOD": "GET", "SERVER_NAME": "example.com",
            "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
            "SCRIPT_NAME": "/app", "PATH_INFO": "/x", "QUERY_STRING": "a=1",
            "HTTP_EMPTY": ""}.items():
        equal(e[name], value, name)
    e = a.ask("").json()
    equal((e["PATH_INFO"], e["QUERY_STRING"]), ("", ""))


@app_test("W-7 the URL can be put together again", ECHO, validate=False)
def _(a):
    for mount in ("", "/app", "/a/b"):
        for path in ("/", "/x", "/x/", "/a b", "/%", "/a/b;c"):
            e = a.ask(path, mount=mount).json()
            encoded = path.replace("%", "%25").replace(" ", "%20").replace(
                ";", "%3B")
            got = request_uri(dict(e, HTTP_HOST="example.com"))
            assert got in ("http://example.com" + mount + encoded,
                           "http://example.com" + mount + encoded.replace(
                               "%3B", ";")), got


@app_test("W-8 W-9 what was not sent is not there; HTTP_ names are the "
          "client's headers", ECHO)
def _(a):
    sent = {"HTTP_X_%d" % i: "value %d" % i for i in range(20)}
    e = a.ask("/", **sent).json()
    equal({k: v for k, v in e.items() if k.startswith("HTTP_")},
          dict(sent, HTTP_HOST="example.com"))
    for name in ("REMOTE_USER", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTPS"):
        assert name not in e, name


@app_test("W-10 wsgi.version is (1, 0)", """
from kit import *
def application(environ, start_response):
    version = environ["wsgi.version"]
    return reply(start_response, type(version) is tuple and version == (1, 0))
""")
def _(a):
    equal(a.ask("/").json(), True)


@app_test("W-11 wsgi.url_scheme comes from HTTPS or REQUEST_SCHEME, and from"
          " nothing else", ECHO)
def _(a):
    def scheme(**more):
        return a.ask("/", **more).json()["wsgi.url_scheme"]

    equal(scheme(), "http")
    equal(scheme(REQUEST_SCHEME=None), "http")
    for value, expected in (("on", "https"), ("1", "https"), ("ON", "https"),
                            ("", "http"), ("off", "http"), ("0", "http")):
        equal(scheme(HTTPS=value), expected, "HTTPS=%s" % value)
    equal(scheme(REQUEST_SCHEME="https"), "https")
    equal(scheme(HTTP_X_FORWARDED_PROTO="https"), "http")
    equal(scheme(SERVER_PORT="443"), "http")


@test("W-12 multithread, multiprocess and run_once tell the truth")
def _():
    for given, expected in (("0", False), ("1", True), (None, False)):
        options = {} if given is None else {"multiprocess": given}
        with App(ECHO, **options) as a:
            e = a.ask("/").json()
            equal([e["wsgi.multiprocess"], e["wsgi.multithread"],
                   e["wsgi.run_once"]], [expected, False, False])


@test("W-13 nothing of the process's environment is in environ; mamayo.app is "
      "the application's name")
def _():
    with App(ECHO, name="tools/wiki", env={"SECRET": "x"}) as a:
        e = a.ask("/").json()
        equal([k for k in e if k in ("SECRET", "PATH", "HOME", "LANG")], [])
        equal([k for k in e if k.startswith("mamayo.")], ["mamayo.app"])
        equal(e["mamayo.app"], "tools/wiki")


@app_test("W-13 nothing of a request gets into the process's environment", """
from kit import *
def application(environ, start_response):
    return reply(start_response, sorted(os.environ))
""")
def _(a):
    names = a.ask("/", HTTP_PROXY="http://evil").json()
    equal([n for n in names if n.startswith(("HTTP_", "REQUEST_"))], [])


@app_test("W-50 Expect is left for the application to see", ECHO)
def _(a):
    equal(a.ask("/", method="POST", body=b"x" * 2000000,
                HTTP_EXPECT="100-continue").json()["HTTP_EXPECT"],
          "100-continue")


@test("W-55 the settings add to environ, but not to what WSGI defines")
def _():
    values = {"site.name": "Caf\u00e9 \u2615", "TITLE": "x",
              "wsgi.url_scheme": "gopher", "wsgi.multithread": "yes",
              "wsgi.run_once": "yes", "mamayo.app": "other"}
    with App(ECHO, values=values) as a:
        for _ in range(2):
            e = a.ask("/").json()
            equal(e["site.name"], "Caf\u00e9 \u2615")
            equal(e["TITLE"], "x")
            equal([e["wsgi.url_scheme"], e["wsgi.multithread"],
                   e["wsgi.run_once"], e["mamayo.app"]],
                  ["http", False, False, "app"])


@test("W-55 a worker that waits for its settings leaves with the supervisor")
def _():
    a = App(ECHO, environ="1", workers=0)
    worker = a.start()
    worker.control.close()
    equal(worker.wait(), 0)


@app_test("parameters that do not fit into the message come in the file",
          ECHO)
def _(a):
    for size in (0, 1, 20000, 65535, 65536, 200000):
        for spool in ("params", "both"):
            e = a.ask("/y", method="POST", body=b"abc", spool=spool,
                      HTTP_X_LARGE="v" * size).json()
            equal(e["HTTP_X_LARGE"], "v" * size)
            equal(e["PATH_INFO"], "/y")
            equal(e["CONTENT_LENGTH"], "3")


run()
