"""Holds the processes of one stack, so that none of them is lost.

Whatever it starts, and whatever that starts, stays below it: it is their
subreaper, waits for those whose parents have gone, and so the CPU time of
every process that has ended is in /proc/PID/stat of somebody below it or of
itself. When its standard input ends, all of them are killed.

A line of JSON comes in for each program (argv, env, cwd, output; and listen, a
path: a listening socket is its standard input), its process id goes out.
"""
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import measure  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36


def start(argv, env, cwd, output, listen=None):
    stdin = subprocess.DEVNULL
    if listen:
        stdin = socket.socket(socket.AF_UNIX)
        stdin.bind(listen)
        stdin.listen(1024)
    with open(output, "ab") as out:
        p = subprocess.Popen(argv, env=env, cwd=cwd, stdin=stdin, stdout=out,
                             stderr=out, start_new_session=True)
    if listen:
        stdin.close()
    return p.pid


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def kill_all():
    while True:
        left = [p for p in measure.tree(os.getpid()) if p.state != "Z"]
        if not left:
            break
        for p in left:
            try:
                os.kill(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()


def main():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, signal.SIG_IGN)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda signo, frame: None)
    signal.set_wakeup_fd(wake)
    text = b""
    while True:
        ready = select.select([0, ended], [], [])[0]
        if ended in ready:
            os.read(ended, 4096)
            reap()
        if 0 in ready:
            some = os.read(0, 65536)
            if not some:
                break
            text += some
            while b"\n" in text:
                line, text = text.split(b"\n", 1)
                os.write(1, b"%d\n" % start(**json.loads(line.decode())))
    kill_all()


if __name__ == "__main__":
    main()
