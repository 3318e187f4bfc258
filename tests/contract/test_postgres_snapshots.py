"""What is read of Postgres in several statements is of one moment, whatever is written between."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.conftest import Place
from tests.contract.trigger_kit import bury, claim, configure, depth, send
from tests.postgres_kit import schema
from wherry.platforms.postgres.database import Session
from wherry.ports import Count, Redrive
from wherry.world import ManualClock


def test_depths_name_a_failure_that_is_redriven_while_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with schema(ManualClock()) as one:
        place, other = Place(one.store, one.clock.advance_to), one.open()
        configure(place)
        send(place, "strict", "a", "b", group="alice")
        bury(place, claim(place, "strict")[0])
        redriven: list[Any] = []
        rows = Session.rows

        async def read(self: Session, name: str, *values: Any) -> list[Any]:
            found = await rows(self, name, *values)
            if name == "failures_blocking" and found and not redriven:
                redriven.append(None)
                redriven[0] = await other.store.answer("", Redrive(["a"], None, "ana"))
            return found

        monkeypatch.setattr(Session, "rows", read)
        assert [group.group for group in depth(place, "strict").blocked] == ["alice"]
        assert redriven == [Count(1)]
        assert depth(place, "strict").blocked == []
