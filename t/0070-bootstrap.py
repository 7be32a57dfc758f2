"""./bootstrap: what it installs, what it shows, and that nothing is left."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import equal, test, run
from serving import Tree, free_port

NEEDED = ("cat", "dirname", "env", "grep", "id")
# dpkg-query -W -f=... PACKAGE
ALL = "printf 'installed '"
SOME = """case $3 in
gcc) printf 'not-installed '; exit 0 ;;
lighttpd) echo 'no packages found' >&2; exit 1 ;;
python3) printf 'half-configured ' ;;
*) printf 'installed ' ;;
esac"""
NONE = "exit 1"


@test("help is given, and asked for by nonsense")
def _():
    tree = Tree()
    status, out, err = tree.run("--help")
    equal((status, err), (0, ""))
    assert "./bootstrap serve [PORT]" in out, out
    for arguments in (["nonsense"], ["serve", "x"], ["serve", "1", "2"],
                      ["check", "--nonsense"], ["bench", "--nonsense"],
                      ["bench", "--full", "2"]):
        status, out, err = tree.run(*arguments)
        equal((status, out), (2, ""), " ".join(arguments))
        assert err.startswith("usage: "), err


@test("without root and sudo it says in one sentence what is missing")
def _():
    tree = Tree()
    tree.only(*NEEDED)
    tree.command("apt-get", "")
    tree.command("dpkg-query", SOME)
    if os.geteuid() == 0:
        tree.command("id", "echo 1000")
    equal(tree.run("serve"), (1, "", "bootstrap: please let root install "
                              "these packages: gcc python3 lighttpd\n"))
    assert not any(line.startswith("apt-get") for line in tree.used())


@test("where it is not Debian it names everything")
def _():
    tree = Tree()
    tree.only(*NEEDED)
    status, out, err = tree.run()
    equal((status, out, err.count("\n")), (1, "", 1))
    for word in ("not Debian", "autoconf automake", "libjansson-dev"):
        assert word in err, err
    assert "lighttpd" not in err, err


@test("through sudo it asks once, for exactly what is missing")
def _():
    tree = Tree()
    tree.command("apt-get", "")
    tree.command("dpkg-query", SOME)
    tree.command("sudo", "exit 1")
    if os.geteuid() == 0:
        tree.command("id", "echo 1000")
    status, out, err = tree.run("serve")
    equal(status, 1)
    assert "gcc python3 lighttpd" in out, out  # before it is done
    equal([line for line in tree.used() if line.startswith("sudo")],
          ["sudo sh build-aux/install-packages.sh gcc python3 lighttpd"])


@test("it shows a plain WSGI, a Flask and a Django application; Ctrl-C ends")
def _():
    tree = Tree()
    tree.command("dpkg-query", ALL)
    tree.command("apt-get", "")
    tree.command("sudo", "")
    port = str(free_port())
    shown = tree.serve(port)
    equal((len(shown.urls), shown.port), (3, int(port)))
    assert "Ctrl-C" in shown.text, shown.text
    for url, word in zip(shown.urls, ("It works", "Django:", "guest book")):
        assert word in shown.get(url), url
    base = shown.urls[0].rstrip("/")
    assert '"/django/pears/"' in shown.get(base + "/django/apples/")
    names = " ".join(shown.processes().values())
    for word in "lighttpd", "mamayo.fcgi", "mamayo_wsgi":
        assert word in names, names
    equal([line for line in tree.used() if not line.startswith("dpkg")], [])
    shown.end(shown.interrupt)


@test("SIGTERM leaves nothing")
def _():
    shown = Tree().serve()
    shown.get(shown.urls[0])
    shown.end(signal.SIGTERM)


@test("a closed terminal leaves nothing")
def _():
    shown = Tree().serve()
    shown.get(shown.urls[0])
    shown.end(shown.close_terminal)


@test("two at once have each its port, and do not disturb each other")
def _():
    tree = Tree()
    one = tree.serve()
    other = tree.serve()
    assert other.port != one.port
    status, out, err = tree.run("serve", str(one.port))
    equal(status, 1)
    assert "port %d of 127.0.0.1 cannot be had" % one.port in err, err
    other.end(signal.SIGTERM)
    assert "It works" in one.get(one.urls[0])
    one.end(signal.SIGTERM)


run()
