"""What the journal writes of requests that no function was called for."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry import limits
from wherry.engine.journal import Journal
from wherry.errors import NotFound
from wherry.world import ManualClock, ManualLoop


def test_of_a_flood_of_refusals_the_log_has_the_first_ones_and_how_many_there_were() -> None:
    """Nobody can fill the log with what is refused, and drive out what matters."""
    written: list[bytes] = []
    clock = ManualClock()
    store: Any = None  # it is asked for nothing
    loop = ManualLoop(clock)
    journal = Journal(loop, clock, store, "shop", written.append)
    flood = 3 * limits.REFUSALS_LOGGED
    for number in range(flood):
        journal.refused("GET /nothing", 404, NotFound("route", "/nothing"), str(number))
    loop.advance(1.0)
    journal.refused("GET /again", 404, NotFound("route", "/again"), "last")
    journal.flush()
    lines = [msgspec.json.decode(line) for line in b"".join(written).splitlines()]
    *first, told, last = [line["message"] for line in lines]
    assert first == ["GET /nothing"] * limits.REFUSALS_LOGGED
    assert told == f"{flood - limits.REFUSALS_LOGGED} more requests were refused within one second"
    assert last == "GET /again"


def test_without_an_access_log_refusals_are_no_lines_either() -> None:
    written: list[bytes] = []
    clock = ManualClock()
    store: Any = None
    journal = Journal(ManualLoop(clock), clock, store, "shop", written.append, access=False)
    journal.refused("GET /nothing", 404, NotFound("route", "/nothing"), "c")
    journal.flush()
    assert written == []
