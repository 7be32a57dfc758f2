"""The numbers in a C header: #defines and enums, by name."""
import os
import re

from harness import SRCDIR


def numbers(path):
    with open(os.path.join(SRCDIR, path)) as file:
        text = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.S)
    found = {}

    def value(words):
        words = re.sub(r"UINT64_C\((\w+)\)", r"\1", words)
        return eval(words, {"__builtins__": {}}, dict(found))

    for name, words in re.findall(r"^#define (\w+) +(\S.*)$", text, re.M):
        found[name] = value(words)
    for body in re.findall(r"enum \w+ \{(.*?)\}", text, re.S):
        at = 0
        for item in filter(None, map(str.strip, body.split(","))):
            name, _, words = item.partition("=")
            if words:
                at = value(words)
            found[name.strip()] = at
            at += 1
    return found
