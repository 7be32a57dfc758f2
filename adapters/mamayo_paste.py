"""mamayo's worker: an application that PasteDeploy describes, as Pyramid's
production.ini does."""
import os
import re

from mamayo_detect import Failed, check, consulted, how_to_install, words

INI_MOST = 1 << 20  # bytes that are looked at


def load(file, why):
    """As pserve does: [app:main], [pipeline:main] or [composite:main], or the
    section named behind "#"; and the logging that it describes."""
    path, _, name = file.partition("#")
    path = os.path.abspath(path)
    text = read(path, why)
    if name == "" and not re.search(
            r"^\[(app|application|pipeline|composite|composit|filter-app):"
            r"main\]", text, re.M):
        raise Failed("callable", "%s, but there is no section [app:main] in it"
                     % why)
    try:
        from paste.deploy import loadapp
    except ImportError:
        raise Failed("module", "%s, and there is no PasteDeploy to read it; to"
                     " install it: %s" % (why, how_to_install(
                         "PasteDeploy")))
    if re.search(r"^\[loggers\]", text, re.M):
        from logging.config import fileConfig
        fileConfig(path, {"__file__": path, "here": os.path.dirname(path)},
                   disable_existing_loggers=False)
    try:
        application = loadapp("config:" + path, name or None)
    except LookupError as error:
        raise Failed("module", "%s, but %s%s" % (
            why, words(error) or type(error).__name__, advice(text)))
    except Exception as error:
        if type(error).__name__ not in ("DistributionNotFound",
                                        "PackageNotFoundError"):
            raise
        raise Failed("module", "%s, but %s%s" % (
            why, words(error) or type(error).__name__, advice(text)))
    entry = "%s:%s" % (os.path.relpath(path), name or "main")
    return check(application, entry), entry, why


def read(path, why):
    if not os.path.isfile(path):
        raise Failed("entry", "%s, but there is no such file in %s" % (
            why, os.getcwd()))
    consulted.append(os.path.relpath(path))
    with open(path, "rb") as file:
        return file.read(INI_MOST).decode("utf-8", "replace")


def advice(text):
    """What an egg is, and how one gets it."""
    found = re.search(r"^use\s*=\s*egg:([\w.-]+)", text, re.M)
    if not found:
        return ""
    what = "."
    if not os.path.exists("setup.py") and not os.path.exists("pyproject.toml"):
        what = found.group(1)
    return "; egg:%s is a package that must be installed: %s" % (
        found.group(1), how_to_install("-e " + os.getcwd() if what == "."
                                       else what, False))
