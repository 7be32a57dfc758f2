"""mamayo's worker: queue -> WSGI application -> answer socket.

The supervisor starts one process of these per worker, in the application's
directory, with the application's own Python. It has three descriptors:

    3  control     JSON messages to and from the supervisor (lib/link.h)
    4  queue       requests, from every responder (lib/wire.h)
    5  scoreboard  a page in which we say what we do (lib/scoreboard.h)

Everything that the application prints goes to its log (1 and 2).

What this module uses while it serves is bound when it is imported: an
application that replaces parts of the standard library (gevent) changes
nothing here. Every start pays for each import, so only what every worker
needs stands above the functions.
"""
import os
import sys

if sys.version_info < (3, 6):  # nothing in this file is newer to a parser
    advice = ("mamayo needs Python 3.6 or newer, but %s is Python %d.%d: name"
              " another one with 'python' in mamayo.json" % (
                  (sys.executable,) + tuple(sys.version_info[:2])))
    os.write(3, ('{"type":"failed","kind":"python","text":"%s","detail":""}'
                 % advice).encode("ascii", "replace"))
    os.write(2, (advice + "\n").encode("ascii", "replace"))
    os._exit(3)

import _socket
import faulthandler
import io
import select
from _signal import (alarm, getsignal, signal, SIG_DFL, SIGALRM, SIGHUP,
                     SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2)
from _socket import (socket, AF_UNIX, CMSG_SPACE, MSG_CTRUNC, MSG_DONTWAIT,
                     MSG_TRUNC, SCM_RIGHTS, SOCK_SEQPACKET, SOL_SOCKET)
from mmap import mmap
from os import _exit, close, getpid, pread, urandom
from select import poll, POLLIN
from struct import Struct, unpack
from time import monotonic

from mamayo_answer import (application, Answer, FileWrapper, VisitorGone,
                           MSG_NOSIGNAL)
from mamayo_detect import Failed, consulted, find, involved, ours
from mamayo_words import change_log, log, log_once, log_stream, trace
#@ from mamayo_testpoint import at, monotonic

MSG_CMSG_CLOEXEC = getattr(_socket, "MSG_CMSG_CLOEXEC", 0x40000000 if
                           sys.platform.startswith("linux") else 0)
epoll = getattr(select, "epoll", None)
EPOLLEXCLUSIVE = 1 << 28

CONTROL, QUEUE, SCOREBOARD = 3, 4, 5

PATIENCE_MS = 100  # a visitor who has waited longer may have gone
SEEK_MS = 100      # between two looks for a supervisor

# The names and numbers of lib/wire.h, lib/scoreboard.h and lib/link.h.
LINK_PROTOCOL = 2
WIRE_MAGIC = b"MMYq"
WIRE_VERSION = 1
WIRE_HEAD = 64
WIRE_MOST = 16384
WIRE_SPOOL = 1
WIRE_SPOOL_PARAMS = 2
WIRE_SPOOL_BODY = 4
WIRE_KEEP_CONN = 8
WIRE_DIRECT = 16
HEAD = Struct("<4sHHIHHQQQQQQ")

SCOREBOARD_SIZE = 4096
SCOREBOARD_URL_AT = 1024
SCOREBOARD_URL_MOST = 512
(BOARD_MAGIC, BOARD_STATE, BOARD_RESPONDER, BOARD_COUNTER, BOARD_STARTED,
 BOARD_PROGRESS, BOARD_WROTE, BOARD_REQUESTS, BOARD_BYTES,
 BOARD_STATUS) = range(10)
BOARD_LATENCY = BOARD_STATUS + 5
BOARD_CONNECTION = BOARD_LATENCY + 16
BOARD_REQUEST_ID = BOARD_CONNECTION + 1
BOARD_WORDS = BOARD_REQUEST_ID + 1
(BOARD_STARTING, BOARD_IDLE, BOARD_BUSY, BOARD_SENDING,
 BOARD_DRAINING) = range(5)
BOARD_NOTHING, BOARD_PARTS, BOARD_RECORDS, BOARD_ALL = range(4)

LINK_MESSAGE_MOST = 65536
IMPORTED_MOST = 49152  # characters of module names that we report
FILES_MOST = 16384     # and of files of the application's own
BLAMED_MOST = 100      # files of exceptions that are remembered

is_forked = False  # by mamayo_fork, which has done a part of main()
places = ()        # library(), from there
made_of = []       # files of the application, which was imported there


class Woken(Exception):
    """A signal came while we slept."""


class Spool(io.FileIO):
    """A body that begins somewhere in a file."""

    def __init__(self, fd, start):
        super().__init__(fd, "rb")
        self.start = start
        self.seek(0)

    def seek(self, offset, whence=0):
        if whence == 0:
            offset += self.start
        return super().seek(offset, whence) - self.start

    def tell(self):
        return super().tell() - self.start


def spooled(fd, start):
    """wsgi.input for a body in a file, which it closes."""
    return io.BufferedReader(Spool(fd, start), 65536)


def url_scheme(environ):
    return ("https" if environ.get("HTTPS", "").lower() in ("on", "1")
            or environ.get("REQUEST_SCHEME") == "https" else "http")


def clock():
    return int(monotonic() * 1000)


class Board:
    """What the supervisor sees of us. Writing it costs no system call."""

    send_file = None  # accelerated: see Answer.send_file()

    def __init__(self, fd):
        # mmap() keeps a duplicate of its own: let it have the same number
        spare = os.dup(fd)
        close(fd)
        self.page = mmap(spare, SCOREBOARD_SIZE)
        close(spare)
        os.set_inheritable(fd, False)  # PyPy's duplicate is not
        self.word = memoryview(self.page).cast("Q")
        self.word[BOARD_STATE] = BOARD_STARTING
        self.word[BOARD_STARTED] = clock()

    def idle(self, leaving):
        word = self.word
        word[BOARD_STATE] = BOARD_DRAINING if leaving else BOARD_IDLE
        word[BOARD_RESPONDER] = word[BOARD_COUNTER] = 0
        word[BOARD_STARTED] = clock()

    def busy(self, responder, counter, now, url):
        url = url[:SCOREBOARD_URL_MOST].encode("latin-1", "replace")
        if len(url) < SCOREBOARD_URL_MOST:
            url += b"\0"
        self.page[SCOREBOARD_URL_AT:SCOREBOARD_URL_AT + len(url)] = url
        word = self.word
        word[BOARD_WROTE] = BOARD_NOTHING
        word[BOARD_STARTED] = word[BOARD_PROGRESS] = now
        word[BOARD_RESPONDER] = responder
        word[BOARD_COUNTER] = counter
        word[BOARD_STATE] = BOARD_BUSY

    def writing(self):
        self.word[BOARD_WROTE] = BOARD_PARTS

    def wrote(self, what):
        self.word[BOARD_WROTE] = what
        self.word[BOARD_PROGRESS] = clock()

    def sending(self, waiting):
        self.word[BOARD_STATE] = BOARD_SENDING if waiting else BOARD_BUSY

    def ended(self, status, length, taken):
        word = self.word
        word[BOARD_REQUESTS] += 1
        word[BOARD_BYTES] += length
        word[BOARD_STATUS + min(status // 100, 5) - 1] += 1
        word[BOARD_LATENCY + min((clock() - taken).bit_length(), 15)] += 1


def descriptors(ancillary):
    fds = []
    for level, kind, raw in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            n = len(raw) // 4
            fds += unpack("%di" % n, raw[:4 * n])
    return fds


def accelerator(directory, worker):
    """What serves in C, or None with a sentence that says why not."""
    path = os.path.join(directory, "mamayo_accel.abi3.so")
    if not os.path.exists(path):
        return None, "this mamayo was built without it"
    if sys.implementation.name != "cpython":
        return None, "it is for CPython, and this is another Python"
    if hasattr(sys, "getobjects"):
        return None, "this Python was built to trace references"
    searched = sys.path[:]
    sys.path[:] = [directory]
    try:
        from mamayo_accel import Accelerator
        return Accelerator(worker), ""
    except Exception as error:
        return None, "this Python does not load it: %s" % error
    finally:
        sys.path[:] = searched


class Worker:

    def __init__(self, name, options):
        self.pid = getpid()
        self.name = name
        self.debug = options.get("debug") == "1"
        self.control = socket(AF_UNIX, SOCK_SEQPACKET, 0, CONTROL)
        self.queue = socket(AF_UNIX, SOCK_SEQPACKET, 0, QUEUE)
        self.room = CMSG_SPACE(4 * 2)  # the descriptors of one message
        self.board = Board(SCOREBOARD)
        self.application = None
        self.waits = None      # what we sleep on
        self.watching = False  # the queue can wake us
        self.unit = 1          # of waits.poll(), in milliseconds
        self.asleep = False
        self.leaving = False
        self.retiring = False  # leaving what is queued to others
        self.lost = False      # a request that we cannot even read
        self.taken = 0         # when the last request was taken
        self.heard = 0         # when the control socket was last looked at
        self.sock = options.get("sock")  # where supervisors are
        self.patience = int(options.get("grace", "0")) * 1000
        self.greeting = {}     # what it is to know when we are ready
        self.seeking = False   # ours has died
        self.lost_at = 0       # when it did, until another one has us
        self.accelerator = None
        self.pure = "the setting accel is false"  # why there is none
        self.places = []       # whose change we look out for
        self.public = ""       # what must not be there
        self.streams = (sys.stderr, sys.stdout)
        self.path = list(sys.path)
        self.newest = next(newest_modules())  # that is of no interest
        self.directory = os.getcwd()
        application[:] = self.directory, name
        self.files = set()     # of the application, as the supervisor knows
        self.blamed = []       # where exceptions have come from
        self.constants = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": options.get("multiprocess") == "1",
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "mamayo.app": name,
        }

    def start(self, options):
        """Imports the application, and tells how that went."""
        if options.get("environ") == "1":
            self.constants = dict(self.hear_environ(), **self.constants)
        told = {}
        try:
            if options.get("describe") == "1":
                told = ours("mamayo_describe").python()
            self.application, found, why = find(options.get("entry"))
            if told:
                told.update(ours("mamayo_describe").framework(
                    self.application))
        except Failed as failed:
            ours("mamayo_advice").add(failed, self.name)
            log("error", "the application cannot start: %s%s" % (
                failed.text, failed.detail and "\n" + failed.detail))
            self.say(type="failed", kind=failed.kind, text=failed.text,
                     detail=failed.detail, files=self.new_files(
                         self.new_modules(), failed.files), **told)
            sys.exit(3)
        # Only now: SIGTERM can end a start, and what the application did to
        # these signals while it was imported is undone.
        for number in (SIGINT, SIGTERM):
            signal(number, self.on_leave)
        for number in (SIGHUP, SIGUSR1, SIGUSR2):
            signal(number, self.on_nothing)
        # an application's own timer is left to it, and whose alarm is set
        # because somebody only tries it
        if getsignal(SIGALRM) == SIG_DFL and "alarm" not in options:
            signal(SIGALRM, self.on_nothing)
        self.greeting = {"entry": found, "why": why, "pure": self.pure,
                         "python": sys.executable or ""}
        #@ at("worker:imported")
        self.say(type="ready", files=self.new_files(
            self.new_modules(), made_of + consulted),
                 **dict(self.greeting, **told))
        #@ at("worker:ready")

    def new_modules(self):
        """Names, the one that was imported last first. Those that have been
        there before are not even looked at, for that would take memory."""
        names = []
        for name in newest_modules():
            if name == self.newest:
                break
            names.append(name)
        return names

    def new_files(self, names, more=()):
        """Files of the application's own, of these modules and of those named
        besides, that we have not told: their change makes a new generation.
        With ":" between them."""
        text, here = [], self.directory + os.sep
        left = FILES_MOST
        for path in own_files(names, self.directory) + [
                os.path.join(here, p) for p in more]:
            path = os.path.normpath(path)
            name = path[len(here):]
            if (path.startswith(here) and name not in self.files
                    and ":" not in name and len(name) < left):
                self.files.add(name)
                text.append(name)
                left -= len(name) + 1
        return ":".join(text)

    def known_files(self):
        """All that we have told, for another supervisor."""
        text = ":".join(self.files)
        return (text if len(text) <= FILES_MOST
                else text[:FILES_MOST].rpartition(":")[0])

    def tell_imported(self):
        """Modules of the interpreter's own that the application has needed:
        the next start may find them there (mamayo_fork)."""
        found, names = [], self.new_modules()
        self.newest = names[0] if names else self.newest
        below = places or library(self.path)
        files = self.new_files(names, self.blamed)
        self.blamed = []
        for name in reversed(names):
            try:
                spec = sys.modules[name].__spec__
                if spec.name == name and spec.origin.startswith(below):
                    found.append(name)
            except Exception:
                pass  # something that only looks like a module
        text = " ".join(found)
        if len(text) > IMPORTED_MOST:
            text = text[:IMPORTED_MOST].rpartition(" ")[0]
        if text or files:
            self.say(type="imported", modules=text, files=files)

    # The supervisor

    def say(self, **fields):
        text = "".join(fields.values())
        if text.isprintable() and "\\" not in text and '"' not in text:
            message = "{%s}" % ",".join(
                '"%s":"%s"' % field for field in fields.items())
        else:
            import json
            message = json.dumps(fields, ensure_ascii=False)
        try:
            self.control.send(message.encode("utf-8", "replace"),
                              MSG_NOSIGNAL)
        except OSError:
            pass  # nobody is there: hear() will find that, too

    def hear_environ(self):
        """The first message: what the settings add to every environ."""
        import json
        come = poll()
        come.register(CONTROL, POLLIN)
        come.poll()
        message = self.control.recv(LINK_MESSAGE_MOST)
        if not message:
            sys.exit(0)
        return json.loads(message.decode("utf-8"))["values"]

    def hear(self):
        """Takes the messages that have come. For "look" there is nothing to
        do: whatever wakes us, we look at the queue."""
        self.heard = clock()
        if self.seeking and not self.find_supervisor():
            return
        while True:
            try:
                message, ancillary, _, _ = self.control.recvmsg(
                    LINK_MESSAGE_MOST, self.room,
                    MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except ConnectionError:
                message = b""
            fds = descriptors(ancillary) if message else []
            raw, message = message, message.replace(b" ", b"")
            if len(fds) == 2 and message.startswith(b'{"type":"lend"'):
                self.lend(raw, fds)
                continue
            if len(fds) == 1 and message.startswith(b'{"type":"log"'):
                import json
                change_log(json.loads(raw.decode("utf-8")), fds[0])
            for fd in fds:
                close(fd)
            if message == b'{"type":"leave"}':
                self.leaving = True
            if message == b'{"type":"stay"}':
                self.lost_at = 0
            if message == b'{"type":"retire"}':
                self.leaving = self.retiring = True
            if message == b'{"type":"tell"}':
                self.tell_imported()
            if message == b'{"type":"return"}' and self.accelerator:
                self.accelerator.give_back()
            if not message:
                self.lose_supervisor()
                return

    def lose_supervisor(self):
        """It has died. We go on, and tell the next one that we are there."""
        if self.accelerator:
            self.accelerator.give_back()  # the next one lends them again
            self.accelerator.seek(True)
        elif self.watching:
            self.waits.unregister(CONTROL)
        #@ at("worker:lost-supervisor")
        self.seeking = True
        self.lost_at = self.lost_at or clock()
        if not self.sock or clock() - self.lost_at >= self.patience:
            self.leaving = True

    def find_supervisor(self):
        """False if there is none yet. Ours has the number of the last one's
        socket, which is not free in between."""
        if clock() - self.lost_at >= self.patience:
            self.leaving = True
        sock = socket(AF_UNIX, SOCK_SEQPACKET)
        try:
            sock.setblocking(False)
            sock.connect(self.sock)
            os.dup2(sock.fileno(), CONTROL, inheritable=False)
        except OSError:
            return False
        finally:
            sock.close()
        self.seeking = False
        if self.accelerator:
            self.accelerator.seek(False)
        elif self.watching:
            self.waits.register(CONTROL, POLLIN)
        #@ at("worker:found-supervisor")
        self.say(type="attach", protocol=str(LINK_PROTOCOL),
                 files=self.known_files(), **self.greeting)
        return True

    # Sockets that we are lent: the accelerator accepts from them

    def lend(self, message, fds):
        import json
        told = json.loads(message.decode("utf-8"))
        self.places = told["watch"]
        self.public = told["public"]
        if self.accelerator.lend(fds[0], fds[1], told["mount"],
                                 told["program"], told.get("base")):
            self.say(type="lent")

    def places_changed(self):
        """May there be another application, or files to be served? Asked
        once a second, while connections come."""
        for path, seconds, nanoseconds, inode in self.places:
            try:
                found = os.stat(path)
            except OSError:
                found = None
            if (found is None or found.st_ino != inode or found.st_mtime_ns
                    != seconds * 1000000000 + nanoseconds):
                self.places_lost()
                return True
        if os.path.lexists(self.public):
            self.places_lost()
            return True
        return False

    def places_lost(self):
        """We have given the sockets back; perhaps we get them again."""
        self.say(type="changed")

    def unwanted(self):
        """Apache is behind the sockets, which needs the responder."""
        self.accelerator.give_back()
        self.say(type="unwanted")

    def on_leave(self, signo, frame):
        self.leaving = True
        if self.asleep:
            self.asleep = False
            raise Woken

    def on_nothing(self, signo, frame):
        pass

    # The queue

    def serve(self):
        """Until we are to leave and nothing is queued, or to retire."""
        if self.accelerator is not None:
            self.accelerator.serve()  # the same in C
            return
        self.watch()
        self.board.idle(self.leaving)
        while True:
            if self.leaving and self.watching:
                self.unwatch()
            if self.take():
                if self.retiring and not self.watching:
                    return  # perhaps we had been woken for this one
                if self.taken - self.heard > PATIENCE_MS:
                    self.hear()
            elif not self.watching:
                return
            elif not self.leaving:
                self.wait()

    def watch(self):
        """One idle worker is woken for one request, nearly always the same
        one, whose caches are warm: that is EPOLLEXCLUSIVE."""
        if epoll is not None:
            self.waits = epoll()
            self.unit = 1000
            try:
                self.waits.register(QUEUE, POLLIN | EPOLLEXCLUSIVE)
            except OSError:  # Linux before 4.5
                self.waits.register(QUEUE, POLLIN)
        else:
            self.waits = poll()
            self.waits.register(QUEUE, POLLIN)
        if not self.seeking:
            self.waits.register(CONTROL, POLLIN)
        self.watching = True

    def unwatch(self):
        """A wake-up that was given to us is owed to the queue: after this
        there are no more, and then we serve until it is empty."""
        self.waits.unregister(QUEUE)
        #@ at("python:unwatched")
        self.watching = False
        self.board.idle(True)

    def wait(self):
        events = ()
        try:
            self.asleep = True
            events = self.waits.poll(
                SEEK_MS / self.unit if self.seeking else -1)
            self.asleep = False
        except Woken:
            pass
        if self.seeking or any(fd == CONTROL for fd, _ in events):
            self.hear()

    def take(self):
        """Answers one request. False if there is none now."""
        try:
            message, ancillary, flags, _ = self.queue.recvmsg(
                WIRE_MOST, self.room, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        if not message:
            self.leaving = True  # the queue's other end has been shut down
            return False
        #@ at("python:taken")
        self.took(message, descriptors(ancillary), flags)
        return True

    def took(self, message, fds, flags):
        """A message with its descriptors, which end here."""
        try:
            if flags & MSG_CTRUNC:
                # Being the first to be woken, we would lose every request.
                log("error", "lost a request, for no descriptor is free;"
                    " leaving")
                self.own_up(message)
                sys.exit(1)
            if flags & MSG_TRUNC or not self.handle(message, fds):
                log("error", "dropped a message that is no request of this"
                    " version")
        finally:
            for fd in fds:  # that nobody has adopted
                close(fd)

    def own_up(self, message):
        """Whoever waits for this request learns from our end that it is
        lost."""
        if len(message) >= WIRE_HEAD:
            responder, counter = HEAD.unpack_from(message)[7:9]
            self.board.busy(responder, counter, clock(), "")
        self.lost = True

    def handle(self, message, fds):
        """False if it cannot be understood."""
        if len(message) < WIRE_HEAD:
            return False
        (magic, version, flags, params, request_id, _, length, responder,
         counter, queued, not_after, _) = HEAD.unpack_from(message)
        skipped = flags & WIRE_SPOOL_PARAMS and params  # bytes of the spool
        start = WIRE_HEAD + params - skipped            # of an inline body
        if (magic != WIRE_MAGIC or version != WIRE_VERSION
                or len(fds) != 1 + (flags & WIRE_SPOOL)
                or flags & (WIRE_SPOOL_PARAMS | WIRE_SPOOL_BODY)
                and not flags & WIRE_SPOOL
                or len(message) - start != (
                    0 if flags & WIRE_SPOOL_BODY else length)):
            return False
        text = (pread(fds[1], params, 0) if skipped
                else message[WIRE_HEAD:start])
        words = text.decode("latin-1").split("\0")
        environ = dict(zip(words[::2], words[1::2]))
        self.taken = now = clock()
        answer = Answer(self.pid, self.board, fds[0], request_id, environ,
                        now, flags & WIRE_DIRECT, flags & WIRE_KEEP_CONN)
        del fds[0]  # it is the answer's
        self.board.busy(responder, counter, now, answer.url)
        #@ at("python:busy")
        try:
            if now > not_after:
                self.refuse(answer)
            elif now - queued <= PATIENCE_MS or not answer.visitor_gone():
                if flags & WIRE_SPOOL_BODY:
                    body = spooled(fds[0], skipped)
                    del fds[0]
                else:
                    body = io.BytesIO(message[start:])
                self.run(answer, environ, body)
        finally:
            #@ at("python:hang-up")
            answer.hang_up()
            #@ at("python:hung-up")
            self.board.idle(self.leaving)
            #@ at("python:idle")
        return True

    def refuse(self, answer):
        log_once("a request has waited for longer than queue_timeout and gets"
                 " status 503: there must be more \"workers\" or faster"
                 " answers")
        try:
            answer.send_page(503, "queue-full", "Many people are using this"
                             " site just now. Please try again in a moment.")
        except VisitorGone:
            pass

    # The application

    def run(self, answer, environ, body):
        environ.update(self.constants)
        environ["wsgi.input"] = body
        environ["wsgi.url_scheme"] = url_scheme(environ)
        result = None
        try:
            #@ at("python:call")
            result = self.application(environ, answer.start_response)
            #@ at("python:called")
            answer.deliver(result)
            #@ at("python:delivered")
        except VisitorGone:
            pass
        except BaseException as error:
            self.fail(answer, error)
        try:
            if hasattr(result, "close"):
                result.close()
        except BaseException as error:
            self.report(answer, error)
        if getpid() != self.pid:
            _exit(0)
        try:
            body.close()
            for stream in self.streams:
                stream.flush()
        except (OSError, ValueError):
            pass  # the application has closed it

    def fail(self, answer, error):
        """The visitor gets a page or, if it is too late for one, is cut
        off."""
        if getpid() != self.pid:
            _exit(0)
        reference, detail = self.report(answer, error)
        if isinstance(error, MemoryError):
            self.leaving = True
        try:
            if answer.broken or answer.ended:
                pass
            elif answer.begun:
                answer.cut()
            else:
                answer.send_page(
                    500, "exception", "This page could not be made because"
                    " of a fault in this site. Trying again may help.",
                    app=self.name, reference=reference, detail=detail if self.debug else "")
        except VisitorGone:
            pass

    def report(self, answer, error):
        """One traceback in the log for one error."""
        reference = "%08x" % int.from_bytes(urandom(4), "big")
        detail = trace(error)
        if len(self.blamed) < BLAMED_MOST:
            self.blamed += involved(error)[:BLAMED_MOST]
        more = ""
        if isinstance(error, MemoryError):
            try:
                more = ours("mamayo_advice").no_memory()
            except Exception:  # not even for that
                pass
        log("error", "%s: %s, reference %s%s\n%s" % (
            answer, type(error).__name__, reference, more, detail))
        return reference, detail + more


def newest_modules():
    """Names of modules, the one that was imported last first."""
    try:
        return reversed(sys.modules)
    except TypeError:  # before Python 3.8
        return reversed(list(sys.modules))


def own_files(names, directory):
    """Of those modules that come from there, but not from what was installed
    there."""
    found, here = [], directory + os.sep
    for name in names:
        try:
            path = sys.modules[name].__file__
            if path.startswith(here) and os.sep + "site-packages" + os.sep \
                    not in path:
                found.append(path)
        except Exception:
            pass  # without a file, or something that only looks like a module
    return found


def library(path):
    """The directories of the interpreter's own modules, and of what was
    installed for it, with "/": nothing of an application."""
    site = sys.modules.get("site")
    own = tuple({p + os.sep for p in (
        sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix,
        getattr(site, "USER_BASE", None) or sys.prefix)})
    return tuple(p + os.sep for p in [os.path.dirname(os.__file__)] + [
        p for p in path if p.startswith(own) and os.path.basename(p) in (
            "site-packages", "dist-packages", "lib-dynload")])


def open_streams():
    sys.stdout = sys.__stdout__ = log_stream(1)
    sys.stderr = sys.__stderr__ = log_stream(2)
    faulthandler.enable(2)


def main():
    """python -c BOOT DIRECTORY NAME KEY=VALUE..."""
    directory, name = sys.argv[1:3]
    options = dict(word.split("=", 1) for word in sys.argv[3:])
    sys.path[:] = [os.getcwd()] + [
        p for p in sys.path if p not in ("", directory)]
    if not is_forked:
        open_streams()
    faulthandler.register(SIGQUIT, 2)
    if "alarm" in options:
        alarm(int(options["alarm"]))  # whoever tries us may be killed
    for fd in (CONTROL, QUEUE):
        os.set_inheritable(fd, False)
    worker = Worker(name, options)
    #@ at("worker:begun")
    if options.get("accel") != "0":
        worker.accelerator, worker.pure = accelerator(directory, worker)
    if worker.accelerator is not None:
        worker.board.send_file = worker.accelerator.send_file
    try:
        worker.start(options)
        worker.serve()
    except OSError as error:  # none of the application's comes so far
        log("error", "%s: has the application closed a descriptor that it did"
            " not open? leaving" % error)
        sys.exit(1)
    finally:
        if not worker.lost:
            worker.board.idle(True)  # threads may keep us here
        worker.control.detach()  # open until the process ends
        worker.queue.detach()
