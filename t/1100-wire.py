"""The queue message: lib/wire.h and its Python twin say the same."""
import os
import re
import struct

from harness import SRCDIR, equal, run, test
from c_header import numbers
from wsgi_harness import adapter

header = numbers("lib/wire.h")


@test("every name of lib/wire.h that the adapter has too is the same number")
def _():
    ours = {n: v for n, v in vars(adapter).items() if n.startswith("WIRE_")}
    needed = set(header) - {"WIRE_INLINE_BODY", "WIRE_PARAMS_MOST"}
    equal(set(ours), needed)
    for name, value in ours.items():
        if isinstance(value, bytes):
            value = value.decode()
        equal(value, header[name], name)


@test("the head is as long as the header says")
def _():
    equal(adapter.HEAD.size, header["WIRE_HEAD"])


@test("each field is where the header's comment puts it")
def _():
    with open(os.path.join(SRCDIR, "lib/wire.h")) as file:
        text = file.read()
    words = re.search(r"The head, by offset:(.*?)\*/", text, re.S).group(1)
    fields = re.findall(r"(\d+) (\w+) ?(u16|u32|u64)?", words)
    equal([f[1] for f in fields], [
        "magic", "version", "flags", "params", "request_id", "zero", "body",
        "responder", "counter", "queued", "not_after", "zero"])
    codes = {"u16": "H", "u32": "I", "u64": "Q", "": "4s"}
    layout = "<" + "".join(codes[f[2]] for f in fields)
    equal(adapter.HEAD.format if isinstance(adapter.HEAD.format, str)
          else adapter.HEAD.format.decode(), layout)
    at = 0
    for offset, name, kind in fields:
        equal(at, int(offset), name)
        at += struct.calcsize("<" + codes[kind])
    assert '"%s"' % layout in text


@test("the header's other promises: control messages of one size")
def _():
    equal(adapter.LINK_MESSAGE_MOST,
          numbers("lib/link.h")["LINK_MESSAGE_MOST"])


run()
