"""lib/testpoint.h for the adapters: embedded with --enable-testpoints only.

In adapters/*.py a line that begins with #@ is code in such a build, and left
out of any other (build-aux/embed.sh).
"""
import os
import sys
import time
from mmap import mmap, PROT_READ

PLACE = os.environ.get("MAMAYO_TESTPOINTS")
KILL, STOP = 9, 19
clock = None


def read(path):
    try:
        with open(path) as f:
            return f.readline().strip()
    except OSError:
        return ""


def count_of(order):
    """(order without its count, the count; 0 is for always)"""
    words = order.split(" ")
    most = 2 if words[0] == "errno" else 1
    if len(words) <= most:
        return order, 1
    return " ".join(words[:most]), (0 if words[most] == "always"
                                    else int(words[most]))


def take(name):
    path = os.path.join(PLACE, name)
    order, count = count_of(read(path))
    if not order or count == 0:
        return order
    ours = os.path.join(PLACE, "taken.%d.%s" % (os.getpid(), name))
    try:
        os.rename(path, ours)
    except OSError:
        return ""  # somebody was faster
    order, count = count_of(read(ours))
    if count > 1:
        with open(ours, "w") as f:
            f.write("%s %d" % (order, count - 1))
        os.rename(ours, path)
    else:
        os.unlink(ours)
    return order


def tell(name, order):
    try:
        fd = os.open(os.path.join(PLACE, "passed"), os.O_WRONLY | os.O_APPEND)
    except OSError:
        return
    os.write(fd, ("%s %d %s\n" % (name, os.getpid(), order or "-")).encode())
    os.close(fd)


def park(name):
    path = os.path.join(PLACE, "parked.%d.%s" % (os.getpid(), name))
    with open(path, "w") as f:
        f.write("park\n")
    order = "park"
    while order == "park":
        time.sleep(0.001)
        order = read(path)
        if not order and os.path.exists(path):
            order = "park"  # it is being written
    try:
        os.unlink(path)
    except OSError:
        pass
    return order


def at(name):
    if PLACE is None:
        return
    order = take(name) or take("any")
    tell(name, order)
    if order == "park":
        order = park(name)
    while order == "spin":
        pass
    if order in ("kill", "stop"):
        os.kill(os.getpid(), KILL if order == "kill" else STOP)
    elif order == "abort":
        os.abort()


def monotonic():
    """time.monotonic() of the clock that tests move."""
    global clock
    if clock is None and PLACE is not None:
        try:
            with open(os.path.join(PLACE, "clock"), "rb") as f:
                clock = memoryview(mmap(f.fileno(), 16, prot=PROT_READ))
        except (OSError, ValueError):
            pass
    ahead = (0 if clock is None
             else int.from_bytes(clock[:8], sys.byteorder, signed=True))
    return time.monotonic() + ahead / 1000
