"""What is asked again when a store has died: once."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from wherry.engine.owed import DOUBT_AGAIN_S, Owed
from wherry.ports import Broken, Claim
from wherry.world import ManualClock, ManualLoop


def test_what_waits_to_be_asked_again_is_not_asked_for_a_second_death_too() -> None:
    """Asked twice, a claim would lease messages in an answer that nobody waits for."""
    loop = ManualLoop(ManualClock())
    asked: list[int] = []
    answers: list[Any] = []
    owed: Owed[Claim] = Owed(loop, lambda number, _: asked.append(number), lambda _: broken)
    broken = Broken("passing", "It cannot read.")
    owed.put(1, Claim("jobs", 1, "me"), answers.append)
    owed.lost(1)
    owed.answered(1, Raw(b""))  # it is in doubt, and is asked again in a moment
    owed.lost(1)
    assert asked == [1]
    loop.advance(DOUBT_AGAIN_S)
    assert asked == [1, 1]
    assert answers == []
    owed.lost(1)
    assert asked == [1, 1, 1]
