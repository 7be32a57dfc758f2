"""Requests all the time, beside what a test does."""
import threading
import time

from harness import equal


class Load:
    """Calls ask() from several threads, so many times a second in all. What it
    returns is in `seen`, each once and in that order, and nothing that it
    raises is forgiven."""

    def __init__(self, ask, threads=8, rate=200):
        self.ask, self.every = ask, threads / rate
        self.over = threading.Event()
        self.wrong, self.count, self.seen = [], 0, []
        self.threads = [threading.Thread(target=self.go, daemon=True)
                        for _ in range(threads)]

    def go(self):
        at = time.monotonic()
        while not self.over.is_set():
            try:
                got = self.ask()
                if got not in self.seen:
                    self.seen.append(got)
                self.count += 1
            except Exception as why:
                self.wrong.append("%.1f: %r" % (time.time() % 1000, why))
            at = max(at + self.every, time.monotonic() - 0.5)
            self.over.wait(max(0, at - time.monotonic()))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        for t in self.threads:
            t.join(60)
        if error[0] is None:
            equal([t for t in self.threads if t.is_alive()], [])
            equal(self.wrong[:5], [], "%d of %d" % (
                len(self.wrong), self.count))
