"""usage: alone.py DIRECTORY MODULE:NAME

An interpreter imports an application and prints its answer to GET /hello: the
least that any first answer of it can take.
"""
import os
import sys

sys.path.insert(0, sys.argv[1])
module, name = sys.argv[2].split(":")
application = getattr(__import__(module, fromlist=[name]), name)
environ = {
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/hello",
    "QUERY_STRING": "", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost",
    "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": None,
    "wsgi.errors": sys.stderr, "wsgi.multithread": False,
    "wsgi.multiprocess": True, "wsgi.run_once": True,
}
for some in application(environ, lambda status, headers, error=None: None):
    sys.stdout.buffer.write(some)
sys.stdout.flush()
os._exit(0)  # tidying up is no part of it
