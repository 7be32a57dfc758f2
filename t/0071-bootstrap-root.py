"""./bootstrap serve, started by root: everything runs as nobody."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Skip, equal, test, run

if os.geteuid() == 0:
    from serving import Tree


@test("started by root, lighttpd and mamayo run as nobody, and it says so")
def _():
    if os.geteuid() != 0:
        raise Skip("only root can do that")
    tree = Tree()
    os.chmod(os.path.dirname(tree.dir), 0o700)  # like a checkout in /root
    shown = tree.serve()
    assert "run as nobody" in shown.text, shown.text
    for url in shown.urls:
        shown.get(url)
    running = shown.processes()
    assert len(running) >= 5, running
    for pid, line in running.items():
        equal(os.stat("/proc/%d" % pid).st_uid, 65534, line)
    shown.end(signal.SIGTERM)


run()
