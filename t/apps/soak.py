"""What t/soak.py asks: POST /NUMBER. Each call is a line of the journal when
it begins, before anything else, and another one when it is about to end."""
import os
import time

JOURNAL = os.open(os.path.join(os.environ["MAMAYO_TEST"], "journal"),
                  os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def journal(what, number):
    os.write(JOURNAL, ("%s %s %d\n" % (what, number, os.getpid())).encode())


def application(environ, start_response):
    number = environ["PATH_INFO"].strip("/")
    journal("called", number)
    text = environ["wsgi.input"].read()
    time.sleep(float(environ.get("HTTP_X_SECONDS", "0")))
    body = b"%s %d\n" % (number.encode(), len(text)) + text
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    journal("ended", number)
    return [body]
