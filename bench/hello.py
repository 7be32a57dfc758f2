"""The application that is measured. As a program it prints its body: the
least that any start of it can take."""
BODY = b"Hello world\n"


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(BODY)))])
    return [BODY]


if __name__ == "__main__":
    import sys
    sys.stdout.buffer.write(BODY)
