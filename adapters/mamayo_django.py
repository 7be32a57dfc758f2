"""mamayo's worker: a project of Django, found by its manage.py.

Which settings it has: DJANGO_SETTINGS_MODULE of the environment, else what the
project's wsgi.py sets, for that is made for serving (cookiecutter's manage.py
names config.settings.local, its wsgi.py config.settings.production), else what
manage.py sets, else the only settings module that there is.
"""
import os
import re
import sys

from mamayo_detect import Failed, by_name, check, consulted, has

TEXT_MOST = 1 << 20  # bytes that are looked at
NAMED = re.compile(
    r"DJANGO_SETTINGS_MODULE['\"]\s*(?:,|\]\s*=)\s*(?:default\s*=\s*)?"
    r"['\"]([\w.]+)['\"]")
OLD = re.compile(r"execute_manager\s*\(\s*(\w+)|setup_environ\s*\(\s*(\w+)")
# names of a settings module in a package of several, the likely one first
SERVING = ("production", "prod", "live", "deploy", "server")
OTHER = ("test", "tests", "testing", "ci")


def find():
    """As search() gives it; None if that is no project of Django."""
    consulted.append("manage.py")
    settings_module, why = settings_of()
    if not settings_module:
        return None
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings_module)
    sys.argv = [os.path.abspath("manage.py")]
    from django.conf import settings
    path = settings.WSGI_APPLICATION
    if path:
        why += ", and that WSGI_APPLICATION"
    else:
        path = package_of(settings_module) + "wsgi.application"
    module_name, _, name = path.rpartition(".")
    try:
        module = by_name(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name or settings.WSGI_APPLICATION:
            raise
        from django.core.wsgi import get_wsgi_application
        return (get_wsgi_application(),
                "django.core.wsgi:get_wsgi_application()", why)
    if not hasattr(module, name):
        raise Failed("callable", "Django's WSGI_APPLICATION is %s, but %s has"
                     " no %s%s" % (path, module_name, name, has(module)))
    entry = "%s:%s" % (module_name, name)
    return check(getattr(module, name), entry), entry, why


def settings_of():
    """The module's name, and who names it."""
    text = read("manage.py")
    named = os.environ.get("DJANGO_SETTINGS_MODULE")
    if named:
        return named, "DJANGO_SETTINGS_MODULE is " + named
    named = likely(NAMED.findall(text))
    if named is None:
        old = OLD.search(text)
        if old and is_module(old.group(1) or old.group(2)):
            named = old.group(1) or old.group(2)
    if named is None:
        if "django" not in text.lower():
            return None, ""
        return only_one()
    wsgi = package_of(named).replace(".", os.sep) + "wsgi.py"
    serving = likely(NAMED.findall(read(wsgi))) if os.path.isfile(wsgi) else ""
    if serving and serving != named:
        return serving, "%s names %s" % (wsgi, serving)
    return of_several(named, "manage.py names " + named)


def read(file):
    with open(file, "rb") as opened:
        return opened.read(TEXT_MOST).decode("utf-8", "replace")


def likely(names):
    """Not the settings of tests, if there are others."""
    others = [n for n in names if n.rpartition(".")[2] not in OTHER]
    return (others + names + [None])[0]


def package_of(settings_module):
    """"mysite." of "mysite.settings.local"; "" if settings.py lies beside
    manage.py, as in old projects."""
    package, dot, _ = settings_module.partition(".")
    return package + dot


def is_module(name):
    path = os.path.join(*name.split("."))
    return os.path.isfile(path + ".py") or os.path.isdir(path)


def of_several(named, why):
    """Split settings: a package that says nothing itself."""
    directory = os.path.join(*named.split("."))
    start = os.path.join(directory, "__init__.py")
    if not os.path.isdir(directory) or os.path.isfile(start) and re.search(
            r"^\s*(?:from\b|import\b|exec\b|include\b|[A-Z]\w*\s*=)",
            read(start), re.M):
        return named, why
    parts = sorted(f[:-3] for f in os.listdir(directory)
                   if f.endswith(".py") and f != "__init__.py")
    for part in SERVING:
        if part in parts:
            return "%s.%s" % (named, part), "%s, and of what is in it %s is" \
                " for serving" % (why, part)
    raise Failed("callable", "%s, which is a package without settings of its"
                 " own%s: say in mamayo.json which to use, {\"env\":"
                 " {\"DJANGO_SETTINGS_MODULE\": \"%s.%s\"}}" % (
                     why, "; it has " + ", ".join(parts) if parts else "",
                     named, parts[0] if parts else "..."))


def only_one():
    """manage.py sets nothing that one could see."""
    found = [d + ".settings" for d in sorted(os.listdir("."))
             if os.path.isfile(os.path.join(d, "settings.py"))
             or os.path.isfile(os.path.join(d, "settings", "__init__.py"))]
    if len(found) == 1:
        return of_several(found[0], "manage.py is Django's, and %s the only"
                          " settings module" % found[0])
    return None, ""
