"""mamayo's worker: with what an application is made, for `mamayo check`."""
import sys

# by the first part of a module's name: its name for people, and what it is
# installed as
FRAMEWORKS = {
    "flask": ("Flask", "Flask"),
    "django": ("Django", "Django"),
    "pyramid": ("Pyramid", "pyramid"),
    "falcon": ("Falcon", "falcon"),
    "bottle": ("Bottle", "bottle"),
    "cherrypy": ("CherryPy", "CherryPy"),
    "web": ("web.py", "web.py"),
    "webpy": ("web.py", "web.py"),
    "webapp2": ("webapp2", "webapp2"),
    "wheezy": ("wheezy.web", "wheezy.web"),
    "mercurial": ("Mercurial", "mercurial"),
    "radicale": ("Radicale", "Radicale"),
    "xandikos": ("Xandikos", "xandikos"),
}
INSIDE = ("wsgi_app", "app", "application", "wrapped", "__wrapped__", "_app",
          "func")
LAYERS_MOST = 10  # middleware around an application


def python():
    version = "%d.%d.%d" % tuple(sys.version_info[:3])
    name = sys.implementation.name
    return {"python_version": version if name == "cpython"
            else version + " (%s)" % name}


def framework(application):
    """By what the application is, what it wraps, or what it has imported."""
    known = None
    for layer in layers(application):
        known = known or of_classes(layer)
    for name in FRAMEWORKS:
        if known is None and name in sys.modules:
            known = name
    if known is None:
        return {"framework": "", "framework_version": ""}
    shown, distribution = FRAMEWORKS[known]
    return {"framework": shown,
            "framework_version": version(known, distribution)}


def layers(application):
    """It, and what is inside of it."""
    found = [application]
    for layer in found:
        for name in INSIDE:
            try:
                inside = vars(layer).get(name)
            except TypeError:  # it has no such thing
                break
            if callable(inside) and len(found) < LAYERS_MOST and not any(
                    inside is other for other in found):
                found.append(inside)
    return found


def of_classes(value):
    kinds = type(value).__mro__
    for kind in kinds:
        name = str(kind.__module__).partition(".")[0]
        if name in FRAMEWORKS:
            return name
    owner = getattr(value, "__self__", None)  # of a method
    if owner is not None and not isinstance(owner, type(sys)):
        return of_classes(owner)
    return None


def version(module, distribution):
    try:
        from importlib.metadata import version as installed
        return installed(distribution)
    except Exception:  # before Python 3.8, or not installed by its name
        found = getattr(sys.modules.get(module), "__version__", "")
        return found if isinstance(found, str) else ""
