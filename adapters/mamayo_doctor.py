"""mamayo doctor: what is wrong, and how to mend it.

The program says what it knows of the account (fcgi/cmd_doctor.c); the account
is examined by mamayo_doctor_account and mamayo_doctor_files, a site by
mamayo_doctor_site. Every finding is a sentence
with the lines to copy that mend it, or the sentence to send to the host.
"""
import argparse
import errno
import json
import os
import signal
import sys
import textwrap

import mamayo_doctor_account
import mamayo_doctor_files
import mamayo_doctor_http
import mamayo_doctor_site

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WIDTH = 79
INDENT, BEHIND = 5, 19  # columns: of the check's name, of what is said
OK, NOTE, BAD = "ok", "note", "bad"


class Facts:
    """What the program has told, and what the options say."""

    def __init__(self, told):
        self.remarks, self.apps = [], []
        self.sources = {}
        for name, value in told:
            text = os.fsdecode(value)
            if name.endswith(".py"):
                self.sources[name] = value.decode()
            elif name == "remark":
                self.remarks += [text] if text else []
            elif name == "app":
                self.apps.append({"name": text})
            elif self.apps:
                self.apps[-1][name] = text
            else:
                setattr(self, name, text)


class Report:
    """Findings, shown when they are made."""

    def __init__(self, is_json):
        self.findings = []
        self.is_json = is_json
        self.progress_shown = False

    def doing(self, what):
        """On a terminal: what is being looked at."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\33[K%s ..." % what)
            sys.stderr.flush()
            self.progress_shown = True

    def quiet(self):
        if self.progress_shown:
            sys.stderr.write("\r\33[K")
            sys.stderr.flush()
            self.progress_shown = False

    def add(self, state, check, text, mend=(), host=""):
        """mend: lines to copy; host: a sentence for the host's support."""
        mend = [mend] if isinstance(mend, str) else list(mend)
        self.findings.append({"state": state, "check": check, "text": text,
                              "mend": mend, "host": host})
        self.quiet()
        if self.is_json:
            return
        lines = folded("%-13s %s" % (check, shown(text)))
        say("\n".join([self.word(state) + " " + lines[0][INDENT:]] + lines[1:]))
        for line in mend:
            say(" " * BEHIND + "  " + shown(line))
        if host:
            say("\n".join(folded(" " * 14 + "To the host: \"%s\"" % (
                shown(host)))))

    def word(self, state):
        word = "%-4s" % state
        colour = {OK: "32", NOTE: "33", BAD: "31"}[state]
        if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
            return "\33[%sm%s\33[0m" % (colour, word)
        return word

    def ok(self, check, text):
        self.add(OK, check, text)

    def note(self, check, text, mend=(), host=""):
        self.add(NOTE, check, text, mend, host)

    def bad(self, check, text, mend=(), host=""):
        self.add(BAD, check, text, mend, host)

    def count(self, state):
        return len([f for f in self.findings if f["state"] == state])

    def end(self, facts):
        """Gives the exit status."""
        self.quiet()
        bad, notes = self.count(BAD), self.count(NOTE)
        if self.is_json:
            say(json.dumps({"version": facts.version, "root": printable(
                facts.root), "healthy": not bad, "findings": [
                    dict(f, text=printable(f["text"]),
                         mend=[printable(line) for line in f["mend"]])
                    for f in self.findings]}, indent=2))
        else:
            say("\n%s%s" % (
                "Nothing is wrong." if not bad else "1 thing is wrong."
                if bad == 1 else "%d things are wrong." % bad,
                " What is marked \"note\" is worth knowing." if notes else ""))
        return 1 if bad else 0


def folded(text):
    """Its lines; words stay whole, so that paths can be copied."""
    return textwrap.wrap(text, WIDTH, initial_indent=" " * INDENT,
                         subsequent_indent=" " * BEHIND,
                         break_long_words=False, break_on_hyphens=False,
                         replace_whitespace=False) or [""]


def printable(text):
    """File names may hold bytes that are no text."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def shown(text):
    """Nothing that a terminal would act upon."""
    return "".join(c if c.isprintable() else "\\x%02x" % ord(c)
                   for c in printable(text))


class Unheard(BaseException):
    """Standard output cannot be written."""


def say(text):
    """Whatever the locale is."""
    rest = text.encode("utf-8", "replace") + b"\n"
    try:
        while rest:
            rest = rest[os.write(1, rest):]
    except OSError as why:
        raise Unheard(why)


def options(arguments):
    parser = argparse.ArgumentParser(prog="mamayo doctor", add_help=False,
                                     allow_abbrev=False)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--docroot", metavar="DIR")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("url", metavar="URL", nargs="?")
    chosen = parser.parse_args(arguments)
    if chosen.docroot and not os.path.isdir(chosen.docroot):
        parser.error("%s is not a directory" % chosen.docroot)
    if chosen.url is not None:
        try:
            mamayo_doctor_http.Site(chosen.url)
        except mamayo_doctor_http.BadUrl as why:
            parser.error(str(why))
    elif chosen.slow:
        parser.error("--slow is for a URL")
    return chosen


class Ended(BaseException):
    """A signal asks us to end."""


def ended(signo, _):
    for other in SIGNALS:  # cleaning up is not disturbed by the next one
        signal.signal(other, signal.SIG_IGN)
    raise Ended(signo)


def examine(facts, report):
    def attempt(name, check, *arguments):
        report.doing(name)
        try:
            check(*arguments)
        except OSError as why:
            report.note(name, "this could not be examined: %s" % why)

    mamayo_doctor_account.examine(facts, report, attempt)
    docroots = mamayo_doctor_files.docroots(facts)
    mamayo_doctor_files.examine(facts, report, attempt, docroots)
    if facts.url:
        mamayo_doctor_site.examine(facts, report, docroots)


def main(arguments, told):
    chosen = options(arguments)
    facts = Facts(told)
    facts.docroot, facts.url = chosen.docroot, chosen.url
    facts.slow = chosen.slow
    report = Report(chosen.json)
    for signo in SIGNALS:
        signal.signal(signo, ended)
    try:
        examine(facts, report)
        return report.end(facts)
    except Ended as why:
        report.quiet()
        signal.signal(why.args[0], signal.SIG_DFL)
        os.kill(os.getpid(), why.args[0])
    except Unheard as why:
        report.quiet()
        if why.args[0].errno != errno.EPIPE:
            sys.stderr.write("mamayo: standard output: %s\n"
                             % why.args[0].strerror)
        return 1
