"""Plays the supervisor and the responders for a worker that is the real one.

    with App("def application(environ, start_response): ...") as a:
        equal(a.ask("/x").body, b"...")

A worker gets exactly what the supervisor would give it: the control socket as
descriptor 3, the queue as 4, a scoreboard page as 5. Answers are parsed
strictly: every record of the right version and id, STDOUT closed by an empty
record, one END_REQUEST, then the end of the file, or it is a failure.
"""
import array
import contextlib
import fcntl
import json
import mmap
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import harness
from harness import BUILDDIR, SRCDIR, Skip, cleanup, equal, test, within

ADAPTERS = os.path.join(SRCDIR, "adapters")
sys.path.insert(0, ADAPTERS)
import mamayo_wsgi as adapter  # noqa: E402 (the numbers)

PYTHON = os.environ.get("MAMAYO_TEST_PYTHON") or "/usr/bin/python3"
ACCEL = "mamayo_accel.abi3.so"
BOOT = ("import sys; sys.path.insert(0, sys.argv[1]); import mamayo_wsgi; "
        "mamayo_wsgi.main()")
HEAD = struct.Struct("<4sHHIHHQQQQQQ")
MAGIC = 0x31626d796f79616d
LIMIT = 20  # seconds that anything may take

# in the directory of every application
KIT = """
import json, os, time

def reply(start_response, value, status="200 OK", headers=()):
    body = json.dumps(value).encode("ascii")
    start_response(status, [("Content-Type", "application/json"),
                            ("Content-Length", str(len(body)))]
                   + list(headers))
    return [body]

def journal(*words):
    with open("journal", "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

def gate(name):
    end = time.monotonic() + 20
    while not os.path.exists(name):
        assert time.monotonic() < end, "nobody opened " + name
        time.sleep(0.005)

class Body:
    "An iterable that tells the journal when it is closed."
    def __init__(self, blocks, name="body"):
        self.blocks, self.name = iter(blocks), name
    def __iter__(self):
        return self.blocks
    def close(self):
        journal("closed", self.name)
"""
VALIDATED = """
import wsgiref.validate
import plain
application = wsgiref.validate.validator(plain.application)
"""

root = tempfile.mkdtemp(prefix="mamayo-test.")
cleanup(lambda: shutil.rmtree(root))


def sanitizers():
    """What an instrumented accelerator needs in its environment; {} where
    this build has none."""
    path = os.path.join(BUILDDIR, "adapters", "sanitized", ACCEL)
    if not os.path.exists(path):
        return {}
    with open(path, "rb") as file:
        runtime = re.search(br"libasan\.so\.\d+", file.read())
    # the sanitizer's handlers would take the place of faulthandler's
    return runtime and {
        "LD_PRELOAD": runtime.group().decode(), "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:handle_abort=0",
        "UBSAN_OPTIONS": "print_stacktrace=1"} or {}


SANITIZERS = sanitizers()


def unpacked():
    """The adapters in one directory, as mamayo unpacks them."""
    directory = os.path.join(root, "adapters")
    os.mkdir(directory)
    for name in os.listdir(ADAPTERS):
        if name.endswith(".py"):
            os.symlink(os.path.join(ADAPTERS, name),
                       os.path.join(directory, name))
    module = os.path.join(BUILDDIR, "adapters",
                          "sanitized" if SANITIZERS else "", ACCEL)
    if os.path.exists(module):
        os.symlink(module, os.path.join(directory, ACCEL))
    return directory


UNPACKED = unpacked()
HAS_ACCEL = os.path.exists(os.path.join(UNPACKED, ACCEL))
accelerated = False  # what workers are started with


@contextlib.contextmanager
def with_accelerator(wanted):
    global accelerated
    was, accelerated = accelerated, wanted
    try:
        yield
    finally:
        accelerated = was


def run():
    """Every test in Python, and once more with the accelerator."""
    def again(function):
        def accelerated_test():
            if not HAS_ACCEL:
                raise Skip("built without the accelerator")
            with with_accelerator(True):
                return function()
        return accelerated_test

    for title, function in list(harness._tests):
        test("accelerated: " + title)(again(function))
    harness.run()


def clock():
    return int(time.monotonic() * 1000)


class Answer:
    """A whole answer: what came in STDOUT, and how it ended."""

    def __init__(self, raw, request_id, whole=True):
        self.raw = raw
        self.stdout = b""
        self.records = []  # (type, length)
        self.app_status = None
        closed = False
        at = 0
        while at < len(raw):
            assert self.app_status is None, "bytes after END_REQUEST"
            assert len(raw) - at >= 8, "half a record"
            version, kind, rid, length, padding, _ = struct.unpack_from(
                ">BBHHBB", raw, at)
            assert version == 1, "version %d" % version
            assert rid == request_id, "request id %d" % rid
            assert len(raw) - at >= 8 + length + padding, "half a record"
            content = raw[at + 8:at + 8 + length]
            at += 8 + length + padding
            self.records.append((kind, length))
            if kind == 6:
                assert not closed, "STDOUT after its end"
                closed = length == 0
                self.stdout += content
            elif kind == 3:
                assert closed, "STDOUT was not closed"
                assert length == 8, "END_REQUEST of %d bytes" % length
                self.app_status, protocol = struct.unpack(">IB3x", content)
                assert protocol == 0, "protocol status %d" % protocol
            else:
                raise AssertionError("record of type %d" % kind)
        if whole:
            assert self.app_status is not None, "no END_REQUEST: %r" % raw
        head, sep, self.body = self.stdout.partition(b"\r\n\r\n")
        assert sep or not self.stdout, "no end of headers: %r" % self.stdout
        self.headers = []
        self.status = None
        for line in head.decode("latin-1").split("\r\n") if head else ():
            assert "\n" not in line and "\r" not in line and "\0" not in line
            name, colon, value = line.partition(": ")
            assert colon, "no colon in %r" % line
            self.headers.append((name, value))
        if self.headers:
            name, self.status = self.headers.pop(0)
            assert name == "Status", name

    def json(self):
        equal(self.status, "200 OK", self.body)
        return json.loads(self.body.decode("ascii"))

    def header(self, name):
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(found) < 2, found
        return found[0] if found else None


class Exchange:
    """One request on its way: the responder's end of its answer."""

    def __init__(self, sock, request_id):
        self.sock = sock
        self.id = request_id
        self.raw = b""
        sock.settimeout(LIMIT)

    def more(self):
        """Waits for some bytes; b"" at the end of the file."""
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        self.raw += data
        return data

    def body(self):
        """The body as far as it has come, of complete records."""
        out, at = b"", 0
        while at + 8 <= len(self.raw):
            length = struct.unpack_from(">H", self.raw, at + 4)[0]
            if at + 8 + length > len(self.raw):
                break
            out += self.raw[at + 8:at + 8 + length]
            at += 8 + length
        return out.partition(b"\r\n\r\n")[2]

    def until(self, body):
        """Waits until the body begins so."""
        while not self.body().startswith(body):
            assert self.more(), "the answer ended: %r" % self.raw

    def read(self, whole=True):
        while self.more():
            pass
        self.sock.close()
        return Answer(self.raw, self.id, whole)

    def leave(self):
        """The visitor goes."""
        self.sock.close()


class Queue:
    """The queue of one generation, and a scoreboard page per worker."""

    def __init__(self):
        self.send_end, self.receive_end = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.counter = 0

    def close(self):
        self.send_end.close()
        self.receive_end.close()

    def send(self, path="/", method="GET", body=b"", request_id=1, spool=None,
             not_after=None, queued=None, flags=0, responder=77, mount="/app",
             params=None, message=None, fds=None, keep=False, **more):
        """Hands a request over. spool: "params", "body" or "both". keep: the
        worker's end of the answer stays open in us, too."""
        path, _, query = path.partition("?")
        if params is None:
            params = {
                "REQUEST_METHOD": method, "SCRIPT_NAME": mount,
                "PATH_INFO": path, "QUERY_STRING": query,
                "REQUEST_URI": mount + path + ("?" + query if query else ""),
                "SERVER_NAME": "example.com", "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
                "HTTP_HOST": "example.com", "REQUEST_SCHEME": "http",
            }
            if body or method in ("POST", "PUT", "PATCH"):
                params["CONTENT_LENGTH"] = str(len(body))
                params["CONTENT_TYPE"] = "application/octet-stream"
            for name, value in more.items():
                if value is None:
                    params.pop(name, None)
                else:
                    params[name] = value
        text = b"".join(
            w if isinstance(w, bytes) else w.encode("latin-1")
            for pair in params.items() for w in (pair[0], "\0", pair[1], "\0"))
        if spool is None and len(body) > 4096:
            spool = "body"
        self.counter += 1
        inline = in_file = b""
        if spool in ("params", "both"):
            flags |= adapter.WIRE_SPOOL | adapter.WIRE_SPOOL_PARAMS
            in_file += text
        else:
            inline += text
        if spool in ("body", "both"):
            flags |= adapter.WIRE_SPOOL | adapter.WIRE_SPOOL_BODY
            in_file += body
        else:
            inline += body
        if queued is None:
            queued = clock()
        if not_after is None:
            not_after = clock() + 60000
        if message is None:
            message = HEAD.pack(
                adapter.WIRE_MAGIC, adapter.WIRE_VERSION, flags, len(text),
                request_id, 0, len(body), responder, self.counter, queued,
                not_after, 0) + inline
        mine, theirs = socket.socketpair()
        extra = []
        if spool:
            file = tempfile.TemporaryFile()
            file.write(in_file)
            file.flush()
            os.lseek(file.fileno(), 0, 0)
            extra.append(file)
        if fds is None:
            fds = [theirs.fileno()] + [f.fileno() for f in extra]
        self.send_end.sendmsg([message], [
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        for file in extra:
            file.close()
        exchange = Exchange(mine, request_id)
        if keep:
            exchange.theirs = theirs
        else:
            theirs.close()
        return exchange

    def waiting(self):
        """Bytes that nobody has taken yet."""
        size = array.array("i", [0])
        fcntl.ioctl(self.send_end, 0x5411, size)  # SIOCOUTQ
        return size[0]


class Board:
    def __init__(self, fd):
        self.fd = fd

    def __getitem__(self, word):
        return struct.unpack("=Q", os.pread(self.fd, 8, 8 * word))[0]

    def url(self):
        return os.pread(self.fd, adapter.SCOREBOARD_URL_MOST,
                        adapter.SCOREBOARD_URL_AT).partition(b"\0")[0]


class Worker:
    """One process, started exactly as the supervisor starts it."""

    def __init__(self, directory, queue, name="app", python=PYTHON, flags=(),
                 env=None, values=None, log=None, setup=None, boot=BOOT,
                 **options):
        self.log_path = log or os.path.join(
            root, os.path.basename(directory) + ".log")
        self.control, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(LIMIT)
        page = tempfile.TemporaryFile(dir=root)
        os.posix_fallocate(page.fileno(), 0, adapter.SCOREBOARD_SIZE)
        os.pwrite(page.fileno(), struct.pack("=Q", MAGIC), 0)
        self.board_fd = os.dup(page.fileno())
        self.board = Board(self.board_fd)
        if values is not None:
            options["environ"] = "1"
            self.control.send(json.dumps(
                {"type": "environ", "values": values}).encode())
        options.setdefault("accel", "01"[accelerated])
        self.accelerated = options["accel"] == "1"
        argv = [python] + list(flags) + ["-c", boot, UNPACKED, name] + [
            "%s=%s" % pair for pair in sorted(options.items())]
        env = dict({"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": root,
                    "PYTHONDONTWRITEBYTECODE": "1", "MAMAYO_TEST": root},
                   **(env or {}))
        if self.accelerated:
            env.update(SANITIZERS)
        self.status = None
        self.pid = os.fork()
        if self.pid == 0:
            self.become(argv, env, directory, theirs.fileno(),
                        queue.receive_end.fileno(), page.fileno(), setup)
        theirs.close()
        page.close()
        self.heard = []
        self.must_accelerate = not python.endswith("pypy3")
        cleanup(self.kill)

    def become(self, argv, env, directory, control, queue, page, setup):
        try:
            os.setsid()
            os.umask(0o022)
            os.chdir(directory)
            null = os.open("/dev/null", os.O_RDWR)
            log = os.open(self.log_path,
                          os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20)
                    for fd in (null, log, log, control, queue, page)]
            for number, fd in enumerate(high):
                os.dup2(fd, number)
            os.closerange(6, 256)
            for number in range(1, signal.NSIG):
                try:
                    signal.signal(number, signal.SIG_DFL)
                except (OSError, ValueError):
                    pass
            if setup:
                setup()
            os.execve(argv[0], argv, env)
        except BaseException as why:
            os.write(2, ("harness: %r\n" % why).encode())
        finally:
            os._exit(127)

    def hear(self):
        """The worker's next message."""
        data = self.control.recv(65536)
        assert data, "the worker is gone: " + self.log()
        message = json.loads(data.decode())
        self.heard.append(message)
        return message

    def ready(self):
        message = self.hear()
        assert message["type"] == "ready", message
        if self.accelerated and self.must_accelerate:
            equal(message["pure"], "")
        return self

    def say(self, **message):
        self.control.send(json.dumps(message).encode())

    def idle(self):
        within(LIMIT, lambda: self.board[adapter.BOARD_STATE]
               == adapter.BOARD_IDLE and self.asleep(), "an idle worker")

    def state(self):
        return self.board[adapter.BOARD_STATE]

    def asleep(self):
        with open("/proc/%d/stat" % self.pid) as file:
            return file.read().rpartition(")")[2].split()[0] == "S"

    def sleeps_on(self):
        """The descriptors that can wake it (Linux's epoll)."""
        found = set()
        for fd in os.listdir("/proc/%d/fdinfo" % self.pid):
            with open("/proc/%d/fdinfo/%s" % (self.pid, fd)) as file:
                for line in file:
                    if line.startswith("tfd:"):
                        found.add(int(line.split()[1]))
        return found

    def kill(self, number=signal.SIGKILL):
        if self.status is None:
            os.kill(self.pid, number)
            if number == signal.SIGKILL:
                self.wait()

    def wait(self):
        """Its exit status; -N: killed by signal N."""
        if self.status is None:
            def over():
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.status = (-os.WTERMSIG(status)
                                   if os.WIFSIGNALED(status)
                                   else os.WEXITSTATUS(status))
                return pid
            within(LIMIT, over, "the worker's end")
            self.control.close()
        return self.status

    def log(self):
        with open(self.log_path, "rb") as file:
            return file.read().decode("utf-8", "replace")


class App:
    """A directory with an application, its queue and its workers."""

    def __init__(self, files=None, workers=1, python=PYTHON, validate=False,
                 **options):
        if isinstance(files, str):
            files = {"wsgi.py": files}
        files = dict(files or {})
        if validate:
            files["plain.py"] = files["wsgi.py"]
            files["wsgi.py"] = VALIDATED
        self.directory = tempfile.mkdtemp(dir=root)
        for name, text in dict(files, **{"kit.py": KIT}).items():
            self.put(name, text)
        self.queue = Queue()
        self.options = dict(options, python=python)
        self.workers = []
        for _ in range(workers):
            self.start()

    def put(self, name, text=b""):
        path = os.path.join(self.directory, name)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes)
                       else text.encode("utf-8"))
        return path

    def journal(self):
        """The lines that the application has written there."""
        try:
            with open(os.path.join(self.directory, "journal")) as file:
                return file.read().splitlines()
        except OSError:
            return []

    def start(self, **options):
        worker = Worker(self.directory, self.queue,
                        **dict(self.options, **options))
        self.workers.append(worker)
        return worker

    def __enter__(self):
        for worker in self.workers:
            worker.ready()
        return self

    def __exit__(self, kind, value, tb):
        for worker in self.workers:
            if kind is not None:
                for line in worker.log().split("\n")[-30:]:
                    print("# log: %.200s" % line)
            worker.kill()
        self.queue.close()

    @property
    def worker(self):
        return self.workers[0]

    def log(self):
        return self.worker.log()

    def send(self, *args, **fields):
        return self.queue.send(*args, **fields)

    def ask(self, *args, **fields):
        return self.queue.send(*args, **fields).read()


def app_test(title, source, validate=True, **options):
    """A test of one application, which is given to it; and of the same
    behind wsgiref.validate."""
    def add(function):
        def plain():
            with App(source, **options) as app:
                function(app)

        def validated():
            with App(source, validate=True, **options) as app:
                function(app)

        test(title)(plain)
        if validate:
            test(title + " (behind wsgiref.validate)")(validated)
        return function
    return add
