"""What `mamayo setup` has Python do, for no program in C knows a virtual
environment or a pyproject.toml as well.

    mamayo_setup.py how                      "3.11 venv": version, and the way
                                             to make a virtual environment:
                                             venv, virtualenv or none
    mamayo_setup.py dependencies APP FILE    what APP/pyproject.toml asks for,
                                             as requirements, into FILE
    mamayo_setup.py settle FROM TO           the environment made at FROM is
                                             going to be at TO

Any Python from 3.6 on, without anything installed.
"""
import io
import os
import re
import sys


def how():
    way = "none"
    try:
        import ensurepip  # noqa: F401, what Debian has in a package apart
        import venv  # noqa: F401
        way = "venv"
    except ImportError:
        import importlib.util
        if importlib.util.find_spec("virtualenv"):
            way = "virtualenv"
    print("%d.%d %s" % (sys.version_info[0], sys.version_info[1], way))


def toml(path):
    """A file of TOML, read by whatever there is that can."""
    for name in ("tomllib", "tomli", "pip._vendor.tomli", "pip._vendor.toml",
                 "pip._vendor.pytoml"):
        try:
            module = __import__(name, fromlist=["loads"])
        except ImportError:
            continue
        with io.open(path, encoding="utf-8") as f:
            try:
                return module.loads(f.read())
            except ValueError as why:
                sys.exit("%s: %s" % (path, why))
    sys.exit("nothing here can read %s: write requirements.txt instead" % path)


def dependencies(app, file):
    path = os.path.join(app, "pyproject.toml")
    project = toml(path).get("project")
    if (not isinstance(project, dict)
            or "dependencies" in project.get("dynamic", [])):
        sys.exit("%s has no list of dependencies in [project]: add one, or "
                 "write requirements.txt" % path)
    wanted = project.get("dependencies", [])
    if not (isinstance(wanted, list)
            and all(isinstance(one, str) and "\n" not in one
                    for one in wanted)):
        sys.exit("%s: dependencies must be a list of texts" % path)
    with io.open(file, "w", encoding="utf-8") as f:
        f.write("".join(one + "\n" for one in wanted))
    # what lies in src/ is imported from there, as if it were installed
    source = os.path.join(app, "src")
    if os.path.isdir(source):
        import sysconfig
        place = os.path.join(sysconfig.get_paths()["purelib"], "mamayo-src.pth")
        with io.open(place, "w", encoding="utf-8") as f:
            f.write(source + "\n")


def settle(old, new):
    """Programs name their interpreter by its whole path."""
    old, new = os.fsencode(old), os.fsencode(new)
    place = os.path.join(old, b"bin")
    for path in ([os.path.join(place, name) for name in os.listdir(place)]
                 + [os.path.join(old, b"pyvenv.cfg")]):
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as f:
            text = f.read()
        changed = re.sub(re.escape(old) + br"(?![^/'\"\s)])",
                         lambda _: new, text)
        if changed != text and b"\0" not in text:
            with open(path, "wb") as f:
                f.write(changed)


if __name__ == "__main__":
    {"how": how, "dependencies": dependencies,
     "settle": settle}[sys.argv[1]](*sys.argv[2:])
