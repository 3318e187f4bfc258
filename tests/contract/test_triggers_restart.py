"""What groups, schedules, pauses and jobs are is stored: a store that starts again knows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Place
from tests.contract.trigger_kit import (
    bury,
    claim,
    configure,
    depth,
    message,
    names,
    send,
    work_off,
)
from tests.postgres_kit import Schema, schema
from wherry import limits
from wherry.blueprint import ChangeSource, ScheduleSource
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Fire, ListPaused, ListRedrives, Pause, RedriveAll, RedriveTick
from wherry.world import ManualClock


class Again:
    """A place whose store can lose its process."""

    def __init__(self, path: str) -> None:
        self.clock = ManualClock()
        self._path = path
        self.place = Place(SqlStore(path, self.clock), self.clock.advance_to)

    def crash(self) -> None:
        """End as a killed process does: nothing is written any more. Start again."""
        store: Any = self.place.platform
        store._session.abandon()
        self.place.platform = SqlStore(self._path, self.clock)


class AnotherEngine:
    """A place on Postgres: what one engine has begun, another one goes on with."""

    def __init__(self, found: Schema) -> None:
        self._schema = found
        self.place = Place(found.store, found.clock.advance_to)

    def crash(self) -> None:
        """Nobody asks the first engine any more."""
        self.place.platform = self._schema.open()


@pytest.fixture(params=["SQLite", "Postgres"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Again | AnotherEngine]:
    if request.param == "SQLite":
        found = Again(str(tmp_path / "store"))
        configure(found.place)
        yield found
        return
    with schema(ManualClock()) as one:
        other = AnotherEngine(one)
        configure(other.place)
        yield other


@pytest.mark.parametrize("queue", ["lane", "strict", "fair"])
def test_groups_go_on_where_they_were(again: Again | AnotherEngine, queue: str) -> None:
    place = again.place
    send(place, queue, "a", "b", "c", "d")
    [first] = claim(place, queue, 1)
    place.acknowledge(first)
    [second] = claim(place, queue, 1)
    again.crash()
    if queue != "fair":
        assert claim(place, queue) == []
    place.acknowledge(second)
    again.crash()
    assert work_off(place, queue) == ["c", "d"]


def test_a_blocked_group_stays_blocked(again: Again | AnotherEngine) -> None:
    place = again.place
    send(place, "strict", "a", "b")
    bury(place, claim(place, "strict")[0])
    again.crash()
    assert claim(place, "strict") == []
    send(place, "strict", "c")
    assert claim(place, "strict") == []
    assert depth(place, "strict").waiting == 2


def test_a_repeat_is_known(again: Again | AnotherEngine) -> None:
    place = again.place
    send(place, "lane", "a", dedup="once")
    again.crash()
    send(place, "lane", "b", dedup="once")
    assert names(claim(place, "lane")) == ["a"]


def test_sources_are_those_of_the_activated_release(again: Again | AnotherEngine) -> None:
    place = again.place
    configure(place, "followed", sources=(ChangeSource(queue="lane", table="counters"),))
    again.crash()
    place.commit(place.put("counters", "a", id="a"))
    assert len(claim(place, "lane")) == 1


def test_a_firing_happens_once(again: Again | AnotherEngine) -> None:
    place = again.place
    tick = ScheduleSource(queue="jobs", name="tick", expression="rate(1 hour)")
    configure(place, "scheduled", sources=(tick,))
    for hour in range(3):
        again.crash()
        assert place.ask(Fire(10)).fired == 1
        again.crash()
        assert place.ask(Fire(10)).fired == 0
        place.advance(3_600)
        assert len(claim(place, "jobs")) == hour + 1  # with those whose lease has ended


def test_a_pause_and_its_end_are_kept(again: Again | AnotherEngine) -> None:
    place = again.place
    send(place, "jobs", "a")
    place.ask(Pause("jobs", True, "ana"))
    again.crash()
    assert claim(place, "jobs") == []
    assert [row.function for row in place.ask(ListPaused()).rows] == ["jobs"]
    place.ask(Pause("jobs", False, "ana"))
    again.crash()
    assert names(claim(place, "jobs")) == ["a"]


def test_a_job_goes_on(again: Again | AnotherEngine) -> None:
    place = again.place
    place.commit(*(message("jobs", f"m{n}") for n in range(30)), function="")
    for found in claim(place, "jobs", limits.CLAIM_BATCH):
        bury(place, found)
    place.ask(RedriveAll("jobs", 10, "ana"))
    moved = 0
    for _ in range(4):
        moved += place.ask(RedriveTick(100)).count
        again.crash()
        place.advance(1)
    assert moved == 30
    assert place.ask(ListRedrives()).rows == []
    assert place.ask(RedriveTick(100)).next_ms is None
