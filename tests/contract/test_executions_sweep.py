"""How long executions are kept, and how what is left of them is swept."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json

from tests.contract.workflow_kit import begun, configure, events, find, get, move, rows, told
from wherry.effects import SendMessage
from wherry.ports import (
    ChildExecution,
    Ended,
    GetDefinition,
    GetExecution,
    Happened,
    ListExecutions,
    Nothing,
    Part,
    Sweep,
)

KEPT_S = 90 * 86_400
FAILED = Ended("FAILED", None, "E", "why")


@pytest.fixture(autouse=True)
def flows(place: Any) -> None:
    configure(place)


def sweep(place: Any) -> None:
    """Sweep until nothing is left."""
    while place.ask(Sweep(500)).count:
        pass


def test_what_has_ended_is_kept_for_its_time_and_then_swept_whole(memory: Any) -> None:
    place = memory
    configure(place)
    id = begun(place)
    history = [(n, b"event") for n in range(1, 31)]
    move(place, id, 0, history=history, tokens=["t"], parts=[Part("c", "k", b"v")])
    move(place, id, 1, children=[ChildExecution(f"c{n}", n, b"") for n in range(3)])
    for one in told(place):
        move(
            place, one.execution, 0, ended=FAILED, history=[(1, b"x")], parts=[Part("f", "1", b"")]
        )
    told(place)
    move(place, id, 2, ended=FAILED)
    running = begun(place, "running")
    place.advance(KEPT_S - 1)
    sweep(place)
    assert (find(place).status, len(events(place, id))) == ("FAILED", 30)
    place.advance(1)
    sweep(place)
    assert find(place) == Nothing()
    assert place.ask(GetExecution(id)) == Nothing()
    assert get(place, running).status == "RUNNING"
    counts = {
        table: rows(place, table)
        for table in ("executions", "execution_inputs", "execution_parts", "execution_events",
                      "tokens", "stops", "definitions")
    }  # fmt: skip
    assert counts == {
        "executions": 1, "execution_inputs": 1, "execution_parts": 0, "execution_events": 0,
        "tokens": 0, "stops": 0, "definitions": 1,
    }  # fmt: skip


def test_a_long_history_is_swept_in_small_steps(memory: Any) -> None:
    place = memory
    configure(place)
    id = begun(place)
    for version in range(250):
        move(place, id, version, history=[(version + 1, b"event")])
    move(place, id, 250, ended=FAILED)
    place.advance(KEPT_S)
    sizes = []
    while place.ask(GetExecution(id)) != Nothing():
        before = rows(place, "execution_events")
        assert place.ask(Sweep(20)).count <= 200
        sizes.append(before - rows(place, "execution_events"))
        assert find(place) == Nothing()  # nobody sees half of it
        assert place.ask(ListExecutions("refund", None, 10)).rows == []
    assert max(sizes) <= 20


def test_a_name_can_be_used_again_after_that_time_whether_swept_or_not(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, ended=Ended("SUCCEEDED", b"1"))
    place.advance(KEPT_S)
    assert find(place) == Nothing()
    again = begun(place, input=b"2")
    assert again != id
    assert find(place).input == b"2"
    sweep(place)
    assert find(place).id == again


def test_definitions_that_nobody_uses_are_swept_and_come_again(place: Any) -> None:
    id = begun(place)
    digest = get(place, id).definition
    move(place, id, 0, ended=FAILED)
    place.configure("bare")
    sweep(place)
    assert place.ask(GetDefinition(digest)) != Nothing()
    place.advance(KEPT_S)
    sweep(place)
    assert place.ask(GetDefinition(digest)) == Nothing()
    configure(place, "flows-again")
    assert get(place, begun(place)).definition == digest
    assert place.ask(GetDefinition(digest)) != Nothing()


def test_a_message_to_what_is_gone_moves_nothing(place: Any) -> None:
    id = begun(place)
    place.commit(SendMessage("refund", "late", json.encode(Happened(id, "wake"))), function="")
    move(place, id, 0, ended=FAILED)
    place.advance(KEPT_S)
    sweep(place)
    assert [one.execution for one in told(place)] == [id]
    assert move(place, id, 1).table == "workflow"
