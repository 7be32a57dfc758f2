"""Processes, their CPU time and memory, requests, and the load generator."""
import collections
import encodings.idna  # noqa: F401; sockets want it, when nobody can read it
import http.client
import json
import math
import os
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
BODY = b"Hello world\n"
BLOCK = bytes(range(256)) * 256
MIB = 1 << 20


class Failure(Exception):
    """What was to be measured does not work: there is no number."""


def within(seconds, condition, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure("gave up waiting for " + what)
        time.sleep(0.005)


# -- processes -------------------------------------------------------------

# own and ended are ticks: of itself, and of children it has waited for
Process = collections.namedtuple("Process", "pid name state parent own ended")


def look(pid):
    with open("/proc/%d/stat" % pid) as f:
        text = f.read()
    at = text.rindex(")")
    fields = text[at + 2:].split()
    return Process(pid, text[text.index("(") + 1:at], fields[0],
                   int(fields[1]), int(fields[11]) + int(fields[12]),
                   int(fields[13]) + int(fields[14]))


def tree(root):
    """Everything below a process, parents first."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                p = look(int(name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(p.parent, []).append(p)
    found = list(children.get(root, ()))
    for p in found:
        found.extend(children.get(p.pid, ()))
    return found


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def pss(pids):
    """KiB of memory, what is shared divided by its users."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                for line in f:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass  # has just ended
    return total


def machine_ticks():
    """What all processors have been busy with."""
    with open("/proc/stat") as f:
        user, nice, system, idle, wait, irq, soft = map(
            int, f.readline().split()[1:8])
    return user + nice + system + irq + soft


# -- single requests -------------------------------------------------------

def get(port, path, method="GET", body=None, headers=None, timeout=60):
    """One request on a connection of its own -> status, body."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        return r.status, r.read()
    except (OSError, http.client.HTTPException) as why:
        raise Failure("%s: %r" % (path, why))
    finally:
        c.close()


def expect(port, path, expected, **how):
    status, body = get(port, path, **how)
    if status != 200 or body != expected:
        raise Failure("%s answers %d, %d bytes, %r" % (
            path, status, len(body), body[:200]))


def visit(port, paths):
    """One after the other, on one connection."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        for path in paths:
            c.request("GET", path)
            r = c.getresponse()
            if (r.status, r.read()) != (200, BODY):
                raise Failure("%s answers %d" % (path, r.status))
    except (OSError, http.client.HTTPException) as why:
        raise Failure("%s: %r" % (path, why))
    finally:
        c.close()


def expect_large(port, path, size):
    """An answer too large to compare at once: BLOCK, over and over."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        c.request("GET", path)
        r = c.getresponse()
        got = 0
        while True:
            some = r.read(len(BLOCK))
            if not some:
                break
            if some != BLOCK[:len(some)]:
                raise Failure("%s: byte %d or after is wrong" % (path, got))
            got += len(some)
    except (OSError, http.client.HTTPException) as why:
        raise Failure("%s: %r" % (path, why))
    finally:
        c.close()
    if r.status != 200 or got != size:
        raise Failure("%s answers %d, %d bytes" % (path, r.status, got))


def answer_size(port, path, body=BODY):
    """Bytes of an answer with its headers, as a load generator gets it."""
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        s.sendall(("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (
            path, port)).encode())
        got = b""
        while not got.endswith(b"\r\n\r\n" + body):
            some = s.recv(65536)
            if not some:
                raise Failure("%s answers %r" % (path, got))
            got += some
    return len(got)


# -- the load generator ----------------------------------------------------

WRONG = ("connect", "read", "write", "status", "timeout")


def wrk(script, url, clients, seconds, post=0, apps=0, meanwhile=None):
    """Runs wrk -> what load.lua prints. meanwhile() is called now and then.

    One thread: a second would only take processors from what is measured."""
    argv = ["wrk", "-t1", "-c%d" % clients, "-d%ds" % math.ceil(seconds),
            "--timeout", "60s", "-s", script, url]
    p = subprocess.Popen(argv, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env=dict(
                             os.environ, BENCH_POST=str(post),
                             BENCH_APPS=str(apps)))
    try:
        end = time.monotonic() + seconds
        while meanwhile and time.monotonic() < end:
            meanwhile()
            time.sleep(0.5)
        if seconds != int(seconds):
            time.sleep(max(0, end - time.monotonic()))
            p.send_signal(signal.SIGINT)
        out = p.communicate(timeout=seconds + 60)[0].decode()
    except subprocess.TimeoutExpired:
        raise Failure("wrk does not end")
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    lines = [line for line in out.split("\n") if line.startswith("BENCH ")]
    if p.returncode != 0 or not lines:
        raise Failure("wrk says: " + out)
    got = json.loads(lines[0][6:])
    if any(got[what] for what in WRONG):
        raise Failure("under load, errors: " + ", ".join(
            "%s %d" % (what, got[what]) for what in WRONG if got[what]))
    return got
