"""When an engine asks its store for what falls due."""

from __future__ import annotations

from typing import Any, cast

import pytest

from wherry import limits
from wherry.engine.feeds import Feeds
from wherry.engine.journal import Journal
from wherry.engine.rounds import Rounds
from wherry.engine.storetime import StoreTime
from wherry.ports import Fire, Fired, Redriven, RedriveTick, WakeExecutions, Woken
from wherry.world import ManualClock, ManualLoop

NOTHING: dict[type, Any] = {
    Fire: Fired({}, None, 0, []),
    RedriveTick: Redriven(0, {}, None),
}


class Store:
    """One in which nothing is due."""

    gathers = False

    def __init__(self) -> None:
        self.asked: list[type] = []

    def send(self, function: str, request: Any, then: Any, when: Any = "soon") -> None:
        self.asked.append(type(request))
        if type(request) in NOTHING:
            then(NOTHING[type(request)])

    def forward(self, function: str, payload: bytes, then: Any) -> None:
        raise AssertionError("nobody forwards here")


class Engine:
    """Of the feeds what rounds ask for."""

    stopping = False

    def __init__(self, shared: bool) -> None:
        self.shared = shared

    def told(self, answer: Fired | Redriven | Woken) -> None:
        """Nothing is in any queue."""


@pytest.mark.parametrize("shared", [True, False])
def test_redrives_are_asked_for_again_where_another_engine_may_have_begun_one(shared: bool) -> None:
    """It may have died amid it. An engine that is alone knows of its own."""
    clock = ManualClock()
    loop, store = ManualLoop(clock), Store()
    journal = Journal(loop, clock, store, "shop", lambda lines: None)
    feeds = cast(Feeds, Engine(shared))
    rounds = Rounds(loop, cast(StoreTime, clock), store, feeds, journal)
    rounds.begin(workflows=False)
    assert store.asked == [Fire, RedriveTick, WakeExecutions]
    for _ in range(3):
        clock.advance(limits.POLL_S)
        loop.run_ready()
    assert store.asked.count(RedriveTick) == (4 if shared else 1)
