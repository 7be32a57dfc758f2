"""mamayo's fork server: imports once what several workers need, and forks them.

The supervisor starts one process of these for an interpreter and an
environment ("preload": "framework"), or for one application ("app"). It has
one descriptor of its own:

    3  control     JSON messages to and from the supervisor (lib/link.h)

In a forked worker serve() returns, and the worker goes on as one that was
started directly: mamayo_wsgi.main() must not see a difference.

What is imported in advance are modules that workers have imported before from
the interpreter's own library, never an application's. They are remembered in
run/preload. A module that leaves something behind which a fork would hand on
to every application, or would not hand on at all, is remembered too, and is
left to those that need it.
"""
import os
import sys

CONTROL = 3


def useless():
    """Why this interpreter can be no fork server; or None."""
    if sys.implementation.name != "cpython":
        return "only CPython's workers are forked"
    if not hasattr(os, "pidfd_open"):  # from 3.9 on, with Linux 5.3
        return "this Python cannot tell which process it has forked"
    return None


if useless():
    os.write(CONTROL, b'{"type":"useless","text":"%s"}'
             % useless().encode("ascii"))
    os._exit(0)

import gc
gc.disable()  # nothing of what is imported will go away again

import json
from _socket import (socket, AF_UNIX, CMSG_SPACE, MSG_DONTWAIT, SCM_RIGHTS,
                     SOCK_SEQPACKET, SOL_SOCKET)
from select import poll, POLLIN
from signal import getsignal, NSIG

import mamayo_wsgi
from mamayo_answer import MSG_NOSIGNAL
from mamayo_words import change_log, log_stream
#@ from mamayo_testpoint import at

MODULES_MOST = 4000          # remembered
MEMORY_MOST = 512 * 1024     # bytes of a file in run/preload
MEMORIES_MOST = 200          # such files
MESSAGE_MOST = mamayo_wsgi.LINK_MESSAGE_MOST
VERSION = 1
CANNOT = "cannot be imported by itself: "


class Never(BaseException):
    """A module that is not to be imported in advance is about to be. No
    library catches this and makes do without it."""


# What a module may leave behind


def status():
    """Of threads and signals, what the kernel says."""
    with open("/proc/self/status") as file:
        lines = file.read().split("\n")
    return {line.partition(":")[0]: line.partition(":")[2] for line in lines
            if line.startswith(("Threads", "SigBlk", "SigIgn", "SigCgt",
                                "Umask"))}


def state():
    """All of it but random.Random instances, by a name for people."""
    kernel = status()
    return {
        "a thread": kernel.pop("Threads"),
        "a umask": kernel.pop("Umask", ""),
        "a signal handler": (kernel, [getsignal(n) for n in range(1, NSIG)]),
        "a descriptor": sorted(descriptors()),
        "a change of the environment": dict(os.environ),
        "a working directory": os.getcwd(),
        "a change of sys.path": list(sys.path),
    }


def descriptors():
    """The numbers of those that are open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(fd))
            found.add(int(fd))
        except OSError:
            pass  # the listing's own
    return found


def difference(before, after):
    return [name for name in after if before[name] != after[name]]


def new_generators():
    """Is there a random.Random instance among the objects that were made
    since the last freeze? Each worker would draw the same numbers from it."""
    random = sys.modules.get("random")
    if random is None:
        return False
    found = [thing for thing in gc.get_objects()
             if issubclass(type(thing), random.Random)
             and not issubclass(type(thing), random.SystemRandom)
             and thing is not random._inst]
    return bool(found)


class Gate:
    """Stands before every other finder while new modules are tried: tells
    which one it was that left something behind, also deep below the one that
    was asked for."""

    def __init__(self, never):
        self.never = never
        self.state = state()
        gc.freeze()
        self.found = {}  # module: what it has left behind

    def __enter__(self):
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *why):
        sys.meta_path.remove(self)

    def find_spec(self, name, path=None, target=None):
        reason = self.never.get(name, CANNOT)
        if not reason.startswith(CANNOT):
            raise Never(name)
        for finder in sys.meta_path:
            spec = (finder.find_spec(name, path, target)
                    if finder is not self and hasattr(finder, "find_spec")
                    else None)
            if spec is not None:
                self.watch(name, spec.loader)
                return spec
        return None

    def watch(self, name, loader):
        if not hasattr(loader, "__dict__") or isinstance(loader, type):
            return  # builtin or frozen

        def exec_module(module):
            del loader.exec_module  # the class's own is there again
            try:
                loader.exec_module(module)
            finally:
                self.look(name)
        try:
            loader.exec_module = exec_module
        except AttributeError:
            pass

    def look(self, name):
        after = state()
        left = difference(self.state, after)
        if new_generators():
            left.append("a random.Random instance")
        gc.freeze()
        self.state = after
        if left:
            self.found[name] = "leaves behind " + " and ".join(left)


class Memory:
    """What is remembered in run/preload/KEY.json."""

    def __init__(self, path, marks):
        self.path = path
        self.marks = marks
        self.modules = []     # in the order of their import
        self.never = {}       # module: why not
        self.checked = False  # all of them leave nothing behind
        try:
            self.recall()
        except Exception:  # whatever somebody has put there
            self.modules, self.never, self.checked = [], {}, False

    def recall(self):
        with open(self.path, "rb") as file:
            text = file.read(MEMORY_MOST + 1)
        if len(text) > MEMORY_MOST:
            return
        known = json.loads(text.decode("utf-8"))
        if known["version"] != VERSION:
            return
        self.modules = self.names(known["modules"])
        if known["python"] == sys.version and known["library"] == self.marks:
            self.never = {name: str(known["never"][name])
                          for name in self.names(known["never"])}
            self.checked = known["checked"] is True

    def names(self, words):
        return [w for w in list(words)[:MODULES_MOST]
                if isinstance(w, str) and w.replace(".", "_").isidentifier()]

    def write(self):
        text = json.dumps({
            "version": VERSION, "python": sys.version, "library": self.marks,
            "checked": self.checked, "modules": self.modules[:MODULES_MOST],
            "never": dict(list(self.never.items())[:MODULES_MOST])}, indent=0)
        name = "%s.%d" % (self.path, os.getpid())
        try:
            with open(name, "w") as file:
                file.write(text)
            os.replace(name, self.path)
            self.forget_oldest()
        except OSError:
            pass  # then it is learned again

    def forget_oldest(self):
        directory = os.path.dirname(self.path)
        names = [os.path.join(directory, n) for n in os.listdir(directory)]
        if len(names) > MEMORIES_MOST:
            names.sort(key=os.path.getmtime)
            for name in names[:len(names) - MEMORIES_MOST]:
                os.unlink(name)


class ForkServer:

    def __init__(self, options):
        self.options = options
        self.control = socket(AF_UNIX, SOCK_SEQPACKET, 0, CONTROL)
        self.waits = poll()
        self.waits.register(CONTROL, POLLIN)
        self.children = {}  # pidfd: (pid, id of the order)
        self.leaving = False
        self.kept = set()   # descriptors that belong to the application
        self.library = mamayo_wsgi.library(sys.path)
        self.marks = [[path, self.mark(path)] for path in self.library + (
            os.path.join(sys.prefix, "pyvenv.cfg"),)]
        mamayo_wsgi.places = self.library
        self.path = list(sys.path)
        self.found = None
        self.memory = None

    def mark(self, path):
        try:
            return os.stat(path).st_mtime_ns
        except OSError:
            return 0

    def say(self, *fds, **fields):
        ancillary = [(SOL_SOCKET, SCM_RIGHTS, b"".join(
            fd.to_bytes(4, sys.byteorder) for fd in fds))] if fds else []
        try:
            self.control.sendmsg([json.dumps(fields).encode()], ancillary,
                                 MSG_NOSIGNAL)
        except OSError:
            os._exit(0)  # nobody is there

    # What is imported in advance

    def prepare(self):
        if self.options.get("preload") == "app":
            self.prepare_application()
        else:
            self.memory = Memory(self.options["memory"], self.marks)
            self.learn(self.memory.modules)

    def prepare_application(self):
        """The application itself, once."""
        before, known = descriptors(), set(sys.modules)
        found = failed = None
        try:
            found = mamayo_wsgi.find(self.options.get("entry"))
            mamayo_wsgi.made_of = mamayo_wsgi.own_files(
                [name for name in sys.modules if name not in known],
                os.getcwd())
        except mamayo_wsgi.Failed as why:
            failed = why
            self.leaving = True  # the next start is to try it anew
        argv, path = list(sys.argv), list(sys.path)

        def find(entry):
            sys.argv[:], sys.path[:] = argv, path
            if failed is not None:
                raise failed
            return found
        self.found = find
        self.kept = descriptors() - before
        self.ready(0)
        if failed is not None:
            self.say(type="last")
        threads = int(status()["Threads"])
        if threads > 1:
            mamayo_wsgi.log("warning", "the application has started %d"
                            " threads while it was imported; workers that are"
                            " forked (\"preload\": \"app\") do not have them"
                            % (threads - 1))

    def learn(self, names):
        """Imports modules, all of which may be known to do no harm."""
        memory = self.memory
        careful = not memory.checked or names is not memory.modules
        tried = len(memory.never)
        sys.path[:] = [p for p in sys.path if p + os.sep in self.library]
        before = state()
        if careful:
            with Gate(memory.never) as gate:
                self.import_all(names, gate)
            left = gate.found
        else:
            self.import_all(names)
            left = difference(before, state())
        sys.path[:] = self.path
        if careful:
            memory.never.update(left)
        memory.modules = [m for m in memory.modules if m not in memory.never]
        memory.checked = not left
        if careful or left or len(memory.never) != tried:
            memory.write()
        if left:
            self.leaving = True
            self.say(type="replace", text=", ".join(
                "%s %s" % found for found in left.items()) if careful
                     else "something leaves behind " + " and ".join(left))
        else:
            self.ready(len(memory.modules))

    def import_all(self, names, gate=None):
        memory = self.memory
        known = set(memory.modules)
        for name in list(names):
            self.bury_all(gate)
            if name in memory.never or len(known) >= MODULES_MOST:
                continue
            try:
                __import__(name)
            except Never as other:
                memory.never[name] = "needs %s" % other
            except BaseException as error:
                memory.never[name] = CANNOT + type(error).__name__
            else:
                if name not in known:
                    known.add(name)
                    memory.modules.append(name)

    def ready(self, count):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        gc.freeze()
        #@ at("forkserver:ready")
        self.say(type="ready", modules=count, library=self.marks)

    # Orders

    def serve(self):
        """Returns in a new worker only."""
        while True:
            for fd, _ in self.waits.poll():
                if fd != CONTROL:
                    self.bury(fd)
                elif self.hear():
                    return
            if self.leaving and not self.children:
                os._exit(0)

    def hear(self):
        """Takes a message. True in a new worker."""
        try:
            text, ancillary, _, _ = self.control.recvmsg(
                MESSAGE_MOST, CMSG_SPACE(4 * 8),
                MSG_DONTWAIT | mamayo_wsgi.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        except OSError:
            text, ancillary = b"", []
        if not text:
            os._exit(0)  # the supervisor has gone
        fds = mamayo_wsgi.descriptors(ancillary)
        message = json.loads(text.decode("utf-8"))
        if message["type"] == "leave":
            self.leaving = True
        elif message["type"] == "learn" and self.memory is not None:
            self.learn(self.memory.names(message["modules"].split()))
        elif message["type"] == "log" and len(fds) == 1:
            change_log(message, fds[0])
        elif message["type"] == "fork":
            return self.fork(message, fds)
        for fd in fds:
            os.close(fd)
        return False

    def fork(self, message, fds):
        #@ at("forkserver:fork")
        try:
            pid = os.fork()
        except OSError as error:
            self.say(type="refused", id=message["id"],
                     text="cannot fork: " + os.strerror(error.errno))
            pid = None
        if pid == 0:
            self.become(message, fds)
            return True
        for fd in fds:
            os.close(fd)
        #@ at("forkserver:forked")
        if pid is not None:
            self.adopt(pid, message["id"])
        return False

    def adopt(self, pid, number):
        """Its pid means nothing to others; a pidfd does. It is a child that
        nobody has reaped, so that it is this one."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            self.say(type="refused", id=number,
                     text="pidfd_open: " + os.strerror(error.errno))
            return
        self.children[pidfd] = pid, number
        self.waits.register(pidfd, POLLIN)
        self.say(pidfd, type="forked", id=number)
        #@ at("forkserver:told")

    def bury(self, pidfd):
        pid, number = self.children[pidfd]
        pid, status = os.waitpid(pid, os.WNOHANG)
        if pid:
            self.waits.unregister(pidfd)
            os.close(pidfd)
            del self.children[pidfd]
            self.say(type="ended", id=number, status=status)

    def bury_all(self, gate):
        """Workers may end while we import."""
        for fd, _ in self.waits.poll(0) if self.children else ():
            if fd != CONTROL:
                self.bury(fd)
                if gate is not None:
                    gate.state = state()

    # A worker

    def become(self, message, fds):
        """The same process as one that was started directly."""
        try:
            #@ at("forked:born")
            os.setsid()
            log, control, queue, board = fds
            for fd, number in ((log, 1), (log, 2), (control, CONTROL),
                               (queue, mamayo_wsgi.QUEUE),
                               (board, mamayo_wsgi.SCOREBOARD)):
                os.dup2(fd, number)
            self.close_others(max(fds + list(self.children)))
            os.umask(message["umask"])
            self.control.detach()
            self.wait_for_leave_to_go()
            #@ at("forked:go")
            self.enter(message["directory"])
            self.look_alike(message["argv"])
        except BaseException as error:
            os.write(2, ("mamayo: a forked worker could not begin: %r\n"
                         % error).encode("utf-8", "replace"))
            os._exit(1)

    def close_others(self, highest):
        """Every one has got the lowest number that was free."""
        if not self.kept:
            os.closerange(mamayo_wsgi.SCOREBOARD + 1, highest + 1)
            return
        for fd in descriptors() - self.kept:
            if fd > mamayo_wsgi.SCOREBOARD:
                os.close(fd)

    def wait_for_leave_to_go(self):
        """The supervisor may have given up on us, and have started another
        one in our place."""
        control = socket(AF_UNIX, SOCK_SEQPACKET, 0, CONTROL)
        try:
            go = control.recv(MESSAGE_MOST)
        except ConnectionError:
            go = b""
        if not go:
            os._exit(0)
        control.detach()

    def enter(self, directory):
        try:
            os.chdir(directory)
        except OSError as error:
            text = "cannot enter %s: %s" % (directory,
                                            os.strerror(error.errno))
            os.write(CONTROL, json.dumps({"type": "failed", "text": text,
                                          "detail": ""}).encode())
            os._exit(3)

    def look_alike(self, argv):
        # (random has seen to itself: it registers with os.fork())
        if "numpy.random" in sys.modules:
            try:
                sys.modules["numpy.random"].seed()
            except Exception:
                pass  # something else of that name
        sys.argv[:] = argv[1:2] + argv[3:]
        if hasattr(sys, "orig_argv"):
            sys.orig_argv[:] = argv
        if self.found is not None:
            mamayo_wsgi.find = self.found
        main = sys.modules["__main__"].__dict__
        main.pop("mamayo_fork", None)
        sys.modules.pop("mamayo_fork", None)
        mamayo_wsgi.is_forked = True
        gc.enable()


def serve():
    """python -c BOOT DIRECTORY NAME KEY=VALUE...; returns in a worker."""
    directory = sys.argv[1]
    options = dict(word.split("=", 1) for word in sys.argv[3:])
    for number in (mamayo_wsgi.QUEUE, mamayo_wsgi.SCOREBOARD):
        os.dup2(0, number, False)  # no descriptor that comes gets these
    os.set_inheritable(CONTROL, False)
    sys.path[:] = [p for p in sys.path if p not in ("", directory)]
    mamayo_wsgi.open_streams()
    if options.get("preload") == "app":
        sys.path.insert(0, os.getcwd())
    server = ForkServer(options)
    #@ at("forkserver:begun")
    server.prepare()
    server.serve()
