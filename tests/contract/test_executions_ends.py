"""How executions end: what goes with them, who is told, what the inbox has, and what is swept."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json

from tests.contract.trigger_kit import depth, failures
from tests.contract.workflow_kit import (
    begun,
    configure,
    find,
    get,
    move,
    ordered,
    start,
    told,
    wake,
)
from wherry import limits
from wherry.effects import RedriveExecution
from wherry.ports import (
    ChildExecution,
    Committed,
    Discard,
    Ended,
    FindExecution,
    GetTimeline,
    Happened,
    Inboxed,
    ListExecutions,
    ListFailures,
    Nothing,
    Part,
    Redrive,
    RedriveAll,
    RedriveTick,
    Rejected,
    Sweep,
)

FAILED = Ended("FAILED", None, "E", "why")


@pytest.fixture(autouse=True)
def flows(place: Any) -> None:
    configure(place)


def sweep(place: Any) -> None:
    """Sweep until nothing is left."""
    while place.ask(Sweep(500)).count:
        pass


def children(place: Any, id: int, version: int, count: int, first: int = 0, **options: Any) -> Any:
    begin = [
        ChildExecution(f"child-{n}", n, b"head", json.encode({"n": n}))
        for n in range(first, first + count)
    ]
    return move(place, id, version, children=begin, **options)


def inboxed(id: int, redrives: int = 0) -> Inboxed:
    body = json.encode(Happened(id, "redrive"))
    return Inboxed(f"{id}.{redrives}", "execution_failed", "E: why", body)


# -- ending --------------------------------------------------------------------------------------


def test_an_end_is_seen_with_its_output(place: Any) -> None:
    id = begun(place)
    place.advance(5)
    move(place, id, 0, ended=Ended("SUCCEEDED", b'{"sum":3}'), parts=[Part("f", "1", b"x")])
    row = find(place)
    assert (row.status, row.output, row.error, row.cause) == ("SUCCEEDED", b'{"sum":3}', None, None)
    assert (row.started_ms, row.ended_ms) == (place.now_ms - 5_000, place.now_ms)
    assert get(place, id).status == "SUCCEEDED"
    assert get(place, id).parts == []  # nothing goes on from here


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_failure_is_seen_with_its_error_and_keeps_its_state(place: Any, status: Any) -> None:
    id = begun(place)
    move(place, id, 0, wake_ms=place.now_ms, parts=[Part("f", "1", b"frame")])
    move(place, id, 1, ended=Ended(status, None, "E", "why"), wake_ms=place.now_ms)
    row = find(place)
    assert (row.status, row.output, row.error, row.cause) == (status, None, "E", "why")
    assert get(place, id).parts == [Part("f", "1", b"frame")]
    assert wake(place).queued == {}


def test_a_failure_is_in_the_inbox_and_goes_on_from_there(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, ended=FAILED, inboxed=inboxed(id))
    [row] = failures(place)
    assert (row.id, row.queue, row.function) == (f"{id}.0", "refund", "refund")
    assert (row.code, row.error, row.redrives) == ("execution_failed", "E: why", 0)
    assert row.correlation_id == get(place, id).correlation_id
    place.ask(Redrive([row.id], None, "me"))
    [message] = place.claim(queue="refund")
    body = json.decode(message.body, type=Happened)
    assert (body.execution, body.event) == (id, "redrive")
    place.acknowledge(message)
    move(place, id, 1, redriven=True, wake_ms=place.now_ms + 9)
    execution = get(place, id)
    assert (execution.status, execution.redrives) == ("RUNNING", 1)
    shown = find(place)
    assert (shown.ended_ms, shown.error, shown.cause, shown.redrives) == (None, None, None, 1)
    assert wake(place).next_ms == place.now_ms + 9
    # It fails once more: the inbox has it under another ID, and it waits before the next redrive.
    move(place, id, 2, ended=FAILED, inboxed=inboxed(id, 1))
    place.ask(Redrive([f"{id}.1"], None, "me"))
    assert place.claim(queue="refund") == []
    place.advance(limits.REDRIVE_BASE_S)
    assert len(place.claim(queue="refund")) == 1


def test_what_a_failed_execution_is_told_cannot_be_edited(place: Any) -> None:
    other, id = begun(place, name="other"), begun(place)
    move(place, id, 0, ended=FAILED, inboxed=inboxed(id))
    forged = json.encode(Happened(other, "stop"))
    answer = place.ask(Redrive([f"{id}.0"], None, "me", forged, "new"))
    assert isinstance(answer, Rejected)
    assert [row.id for row in failures(place)] == [f"{id}.0"]
    assert place.claim(queue="refund") == []


def test_many_failures_go_back_at_a_rate(place: Any) -> None:
    ids = {begun(place, name) for name in ("a", "b", "c")}
    for id in ids:
        move(place, id, 0, ended=FAILED, inboxed=inboxed(id))
    assert place.ask(RedriveAll("refund", 1, "me")).remaining == 3
    heard = set()
    for _ in range(3):
        place.ask(RedriveTick(10))
        heard |= {(one.execution, one.event) for one in told(place)}
        place.advance(1)
    assert heard == {(id, "redrive") for id in ids}
    assert failures(place) == []


def test_one_that_is_redriven_by_its_name_leaves_the_inbox(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, ended=FAILED, inboxed=inboxed(id))
    ordered(place, RedriveExecution("refund", "one", "r"))
    told(place)
    move(place, id, 1, redriven=True)
    assert failures(place) == []
    assert place.ask(ListFailures(None, 10, None)).total == 0


def test_one_step_may_redrive_and_end(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, ended=FAILED, inboxed=inboxed(id))
    move(place, id, 1, redriven=True, ended=FAILED, inboxed=inboxed(id, 1))
    assert [row.id for row in failures(place)] == [f"{id}.1"]
    assert (get(place, id).status, get(place, id).redrives) == ("FAILED", 1)


def test_a_failure_that_is_discarded_leaves_the_execution_failed(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, ended=FAILED, inboxed=inboxed(id))
    place.ask(Discard([f"{id}.0"], None, "no use", "me"))
    assert failures(place) == []
    assert told(place) == []
    assert find(place).status == "FAILED"


def test_a_failure_is_on_its_timeline(place: Any) -> None:
    id = begun(place)
    correlation = get(place, id).correlation_id
    move(place, id, 0, ended=FAILED, inboxed=inboxed(id), correlation_id=correlation)
    assert [row.id for row in place.ask(GetTimeline(correlation)).failures] == [f"{id}.0"]


@pytest.mark.parametrize("way", ["discard", "sweep"])
def test_what_happened_and_was_given_up_stops_its_execution(place: Any, way: str) -> None:
    """A message that killed its engines is in the inbox; without it nothing would happen ever."""
    id = begun(place)
    move(place, id, 0, wake_ms=place.now_ms)
    wake(place)
    for _ in range(2):
        place.claim(queue="refund")
        place.advance(limits.LEASE_S + 1)
    assert place.claim(queue="refund") == []
    if way == "discard":
        place.ask(Discard([f"{id}.wake.1"], None, "no use", "me"))
    else:
        place.advance(limits.FAILURES_S + 1)
        sweep(place)
    [message] = told(place)
    assert (message.execution, message.event, message.error) == (id, "stop", "States.Runtime")


# -- children ------------------------------------------------------------------------------------


def test_children_begin_with_their_parents_definition(place: Any) -> None:
    id = begun(place)
    answer = children(place, id, 0, 3, leases={"refund": 2})
    assert len(answer.leased) == 2
    assert answer.begun == [get(place, json.decode(m.body, type=Happened).execution)
                            for m in answer.leased]  # fmt: skip
    parent = get(place, id)
    for number, message in enumerate(answer.leased):
        body = json.decode(message.body, type=Happened)
        child = get(place, body.execution)
        assert (body.event, child.name, child.parent_call) == (
            "begin", f"child-{number}", number,
        )  # fmt: skip
        assert (child.parent, child.version, child.head) == (id, 0, b"head")
        assert json.decode(child.input) == {"n": number}
        assert child.definition == parent.definition
        assert child.correlation_id == parent.correlation_id
    assert [one.event for one in told(place)] == ["begin"]


def test_children_are_listed_with_their_parent_and_found_by_number_only(place: Any) -> None:
    id = begun(place)
    children(place, id, 0, 3)
    assert [row.name for row in place.ask(ListExecutions(None, None, 10)).rows] == ["one"]
    assert find(place, "child-1") == Nothing()
    page = place.ask(ListExecutions(None, None, 2, None, id))
    assert [row.name for row in page.rows] == ["child-2", "child-1"]
    page = place.ask(ListExecutions(None, None, 2, page.after, id))
    assert ([row.name for row in page.rows], page.after) == (["child-0"], None)
    [row] = page.rows
    found = place.ask(FindExecution("", "", row.id))
    assert (found.name, json.decode(found.input)) == ("child-0", {"n": 0})
    # A name of theirs is no name of an execution: another one may have it.
    assert isinstance(ordered(place, start("child-0")), Committed)


@pytest.mark.parametrize(
    ("ended", "event"),
    [
        (Ended("SUCCEEDED", b"[1]"), "succeeded"),
        (FAILED, "failed"),
        (Ended("ABORTED"), "failed"),
        (Ended("SUCCEEDED"), "succeeded"),
    ],
)
def test_the_end_of_a_child_is_told_to_its_parent(place: Any, ended: Ended, event: str) -> None:
    id = begun(place)
    children(place, id, 0, 2)
    child = told(place)[1].execution
    answer = move(place, child, 0, ended=ended, leases={"refund": 1})
    [message] = answer.leased
    body = json.decode(message.body, type=Happened)
    assert (body.execution, body.event, body.call, body.child) == (id, event, 1, child)
    assert (body.error, body.cause) == (ended.error, ended.cause)
    if ended.output is not None:
        assert body.output == [1]


def test_a_parent_that_has_ended_is_told_nothing(place: Any) -> None:
    id = begun(place)
    children(place, id, 0, 1)
    [begin] = told(place)
    move(place, id, 1, ended=FAILED)
    assert [one.event for one in told(place)] == ["stop"]
    move(place, begin.execution, 0, ended=Ended("ABORTED"))
    assert told(place) == []


def test_an_end_stops_the_children_that_run(place: Any) -> None:
    id = begun(place)
    children(place, id, 0, 4)
    begins = told(place)
    move(place, begins[1].execution, 0, ended=Ended("SUCCEEDED", b"1"))
    assert [one.event for one in told(place)] == ["succeeded"]
    move(place, id, 1, ended=Ended("ABORTED"))
    stops = told(place)
    assert {one.event for one in stops} == {"stop"}
    left = {begins[n].execution for n in (0, 2, 3)}
    assert {one.execution for one in stops} == left


def test_many_children_are_stopped_bit_by_bit(place: Any) -> None:
    id = begun(place)
    count = limits.FIRE_BATCH + 20
    children(place, id, 0, count)
    assert len(told(place)) == count
    move(place, id, 1, ended=FAILED)
    assert depth(place, "refund").waiting == limits.FIRE_BATCH
    assert wake(place).next_ms is None
    stops = told(place)
    assert len({one.execution for one in stops}) == len(stops) == count


def test_a_step_stops_the_children_of_calls_that_nobody_waits_for(place: Any) -> None:
    id = begun(place)
    children(place, id, 0, 4)
    begins = told(place)
    move(place, begins[3].execution, 0, ended=Ended("SUCCEEDED", b"1"))
    told(place)
    move(place, id, 1, stops=[1, 3, 77])
    assert [(one.execution, one.event) for one in told(place)] == [(begins[1].execution, "stop")]


def test_children_of_a_redriven_execution_are_not_stopped_with_the_old_ones(place: Any) -> None:
    id = begun(place)
    children(place, id, 0, limits.FIRE_BATCH + 5)
    told(place)
    move(place, id, 1, ended=FAILED)
    move(place, id, 2, redriven=True)
    children(place, id, 3, 3, first=10_000)
    new = {one.execution for one in told(place) if one.event == "begin"}
    wake(place)
    stopped = {one.execution for one in told(place)}
    assert len(new) == 3
    assert len(stopped) == 5
    assert not new & stopped
