"""mamayo doctor: the application that is there while it looks at a site.

Its name and what it answers with are 128 random bits each, so that no visitor
finds it and no other site can pretend to be it. It is put in place at once,
and removed when doctor ends, also by a signal; what a killed one has left
behind the next one removes, which it knows by the lock that nobody holds.
"""
import errno
import fcntl
import json
import os
import re
import shutil
import subprocess
import time

NAME = re.compile(r"\.?doctor-[0-9a-f]{32}$")
FILE = re.compile(r"doctor-[0-9a-f]{32}\.txt$")
STATE = re.compile(r"(@[^:]*:)?doctor-[0-9a-f]{32}(\.json)?$")
LOG = re.compile(r"(@[^:]*:)?doctor-[0-9a-f]{32}\.log(\.\d+)?$")
HOST = re.compile(r"@")
PUBLIC = "doctor-public.txt"
LOCK = ".doctor.lock"
QUIET = 1.5         # seconds without a log, before it is believed to be gone
STOP_MOST = 10      # seconds until its workers have left
TOLD_MOST = 4       # seconds in which mamayo sees that it has gone
QUIET_MOST = 6      # seconds that are spent on that
OLD = 3600          # seconds after which a place without locks is left over
IDLE = 5            # seconds that its workers stay
WORKERS = 6


class NoRoom(Exception):
    """It cannot be put there; the text says why."""


class Application:
    def __init__(self, facts, site):
        self.facts = facts
        self.id, self.secret = os.urandom(16).hex(), os.urandom(16).hex()
        self.name = "doctor-" + self.id
        self.mount = "/" + self.name
        self.apps = os.path.join(facts.root, "apps")
        for host in (site.name, re.sub(r"^www\.", "", site.name)):
            # there may be an application to which all of that host leads
            if os.path.isdir(os.path.join(self.apps, "@" + host)):
                self.apps = os.path.join(self.apps, "@" + host)
                break
        self.place = os.path.join(self.apps, self.name)
        self.lock = None
        self.files = []  # in document roots
        self.is_known = False  # has mamayo served it?

    def make(self):
        new = os.path.join(self.apps, "." + self.name)
        try:
            os.mkdir(new)
            os.chmod(new, 0o755)
            lock = os.path.join(new, LOCK)
            self.lock = open(lock + ".new", "w")
            try:
                fcntl.lockf(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass  # then its age says whether it is left over
            os.rename(lock + ".new", lock)  # nobody sees one that is not held
            source = self.facts.sources["mamayo_doctor_probe.py"]
            write(os.path.join(new, "application.py"),
                  source.replace("@SECRET@", self.secret))
            write(os.path.join(new, "mamayo.json"), json.dumps({
                "entry": "application:application", "idle": IDLE,
                "timeout": 120, "workers": {"min": 0, "max": WORKERS},
                "debug": True}))
            os.mkdir(os.path.join(new, "public"))
            os.chmod(os.path.join(new, "public"), 0o755)
            write(os.path.join(new, "public", PUBLIC), self.secret + "\n")
            os.rename(new, self.place)
        except OSError as why:
            raise NoRoom("an application cannot be put into %s: %s" % (
                self.apps, why.strerror))

    def file(self, docroot):
        """A file that the web server may give to everybody. Gives its text;
        None if it cannot be put there."""
        path = os.path.join(docroot, self.name + ".txt")
        try:
            self.files.append(path)
            write(path, self.secret + "\n")
        except OSError:
            return None
        return self.secret + "\n"

    def log(self):
        """Its last lines, as far as they can be read."""
        for path in self.logs():
            try:
                with open(path, "rb") as f:
                    return f.read()[-4000:].decode("utf-8", "replace").split(
                        "\n")[-12:]
            except OSError:
                pass
        return []

    def logs(self):
        place = os.path.join(self.facts.root, "logs")
        try:
            return [os.path.join(place, n) for n in os.listdir(place)
                    if LOG.match(n) and self.id in n]
        except OSError:
            return []

    def stop(self):
        """Its workers leave, and nobody tries to reload what has gone."""
        if self.facts.program and (self.is_known or self.logs()):
            try:
                subprocess.run([self.facts.program, "stop",
                                self.place[len(self.facts.root) + 6:]],
                               stdin=subprocess.DEVNULL, timeout=STOP_MOST,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
            except (OSError, subprocess.TimeoutExpired):
                pass

    def remove(self, tell):
        """tell() asks the site, so that mamayo looks for its applications;
        is it known to have gone?"""
        for path in self.files:
            unlink(path)
        self.stop()
        was = os.path.join(self.apps, "." + self.name)
        try:
            os.rename(self.place, was)
        except OSError:
            pass
        for path in (was, self.place):
            shutil.rmtree(path, ignore_errors=True)
        if self.lock is not None:
            self.lock.close()
        for place in (os.path.join(self.facts.root, "state", "stopped"),
                      os.path.join(self.facts.root, "state")):
            for name in names(place, STATE):
                if self.id in name:
                    unlink(os.path.join(place, name))
        if not (self.is_known or self.logs()):
            return
        begin = time.monotonic()
        while not tell() and time.monotonic() - begin < TOLD_MOST:
            time.sleep(0.3)
        begin = quiet = time.monotonic()
        while time.monotonic() - quiet < QUIET and (
                time.monotonic() - begin < QUIET_MOST):
            for path in self.logs():  # it may be begun anew
                unlink(path)
                quiet = time.monotonic()
            time.sleep(0.05)


def write(path, text):
    with open(path, "x") as f:
        f.write(text)
    os.chmod(path, 0o644)


def unlink(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def is_left_over(place):
    """Whoever made it holds the lock for as long as it runs."""
    try:
        with open(os.path.join(place, LOCK), "r+") as f:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        pass  # killed before it was made, or being made
    except OSError as why:
        if why.errno in (errno.EAGAIN, errno.EACCES):
            return False
    try:
        return time.time() - os.stat(place).st_mtime > OLD
    except OSError:
        return False


def remove_left_over(facts, docroots):
    """What a killed doctor has left behind. Gives how many there were."""
    apps, logs = (os.path.join(facts.root, n) for n in ("apps", "logs"))
    # files first: whose application is not there now, never comes
    files = [os.path.join(place, name)
             for place, pattern in [(logs, LOG)] + [(d, FILE) for d in docroots]
             for name in names(place, pattern)]
    count, running = 0, set()
    for place in [apps] + [os.path.join(apps, n) for n in names(apps, HOST)]:
        for name in names(place, NAME):
            path = os.path.join(place, name)
            if os.path.islink(path):
                continue
            if is_left_over(path):
                shutil.rmtree(path, ignore_errors=True)
                count += 1
            else:
                running.add(name.strip("."))
    for path in files:
        if not any(one in path for one in running):
            unlink(path)
    return count


def names(place, pattern):
    try:
        return [n for n in os.listdir(place) if pattern.match(n)]
    except OSError:
        return []
