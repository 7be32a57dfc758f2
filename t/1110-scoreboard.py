"""The scoreboard page: lib/scoreboard.h and its Python twin say the same."""
from harness import equal, run, test
from c_header import numbers
from wsgi_harness import adapter, MAGIC

header = numbers("lib/scoreboard.h")


@test("every word and state of lib/scoreboard.h has the adapter's number")
def _():
    ours = {n: v for n, v in vars(adapter).items()
            if n.startswith(("BOARD_", "SCOREBOARD_"))}
    equal(ours, {n: v for n, v in header.items() if n != "SCOREBOARD_MAGIC"})


@test("words and text lie apart, within one page")
def _():
    assert header["BOARD_WORDS"] * 8 <= header["SCOREBOARD_URL_AT"]
    assert (header["SCOREBOARD_URL_AT"] + header["SCOREBOARD_URL_MOST"]
            <= header["SCOREBOARD_SIZE"])
    equal(header["SCOREBOARD_MAGIC"], MAGIC)


run()
