"""mamayo's worker: a file of the application that the web server sends.

Where MAMAYO_SENDFILE says that it may be told to, a file that the application
gives to wsgi.file_wrapper need not come through us: a header says where it
lies. Never is it told an address that a visitor could use, too: X-Sendfile has
a path, X-Accel-Redirect is for nginx's own use.

The web server opens it a moment later, by its name. So it must be a file that
stays: below the application's directory, by that very name, and not one that was
written just now, perhaps to be removed after this answer.
"""
import os
from time import time

AGE = 2  # seconds, since a file was last touched
# Those that nginx keeps, and those that it makes anew from the file.
NGINX_KEEPS = frozenset((
    b"status", b"content-type", b"content-length", b"content-disposition",
    b"set-cookie", b"cache-control", b"expires", b"accept-ranges",
    b"etag", b"last-modified", b"date"))
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                  b"0123456789-._~/")
HEAD_MOST = 60000  # bytes


def encoded(path):
    """As it stands in an address."""
    return b"".join(b"%c" % c if c in PLAIN else b"%%%02X" % c
                    for c in path.encode("utf-8"))


def stays(file, path):
    """Is it at that path, and will it be there in a moment?"""
    found, named = os.fstat(file), os.lstat(path)
    return (found.st_dev == named.st_dev and found.st_ino == named.st_ino
            # another user, which the web server may be, can read it
            and found.st_mode & 0o004
            and time() - found.st_ctime > AGE)


def header(how, directory, name, file):
    """The line that says where the file is; None: it is not to be told."""
    path = os.readlink("/proc/self/fd/%d" % file)
    if not (path.startswith(directory + "/") and path.isprintable()
            and stays(file, path)):
        return None
    below = name + path[len(directory):]
    kind, _, place = how.partition(":")
    if not place.startswith("/") or not directory.endswith("/" + name):
        return None
    if kind == "x-accel":
        return b"X-Accel-Redirect: %s/%s\r\n" % (
            encoded(place.rstrip("/")), encoded(below))
    if (kind == "x-sendfile"
            and os.path.realpath(place) + "/" + name == directory):
        return b"X-Sendfile: %s/%s\r\n" % (encoded(place), encoded(below))
    return None


def head_for(how, directory, name, file, head):
    """The head of an answer with the whole file as its body, as it has to be
    for the web server to send that; None if we have to. An answer is the same
    either way."""
    try:
        line = header(how, directory, name, file)
    except (OSError, ValueError):  # it has gone, or has no name
        return None
    lines = head.split(b"\r\n")[:-1]
    names = [text.partition(b":")[0].lower() for text in lines]
    if (line is None or len(head) + len(line) > HEAD_MOST
            or b"content-range" in names or b"content-encoding" in names
            or line.startswith(b"X-Accel") and not NGINX_KEEPS.issuperset(
                names)):
        return None
    return b"".join(text + b"\r\n" for text, name in zip(lines, names)
                    if name != b"content-length") + line
