"""Looking at executions: lists by index, newest first; histories page by page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.workflow_kit import begun, configure, events, find, move
from wherry import limits
from wherry.ports import Ended, ExecutionRows, FindExecution, GetHistory, History, ListExecutions


@pytest.fixture(autouse=True)
def flows(place: Any) -> None:
    configure(place)


def listed(place: Any, *options: Any, limit: int = 2) -> list[str]:
    """Return the names of all pages."""
    workflow, status = (*options, None, None)[:2]
    found: list[str] = []
    after = None
    while True:
        page = place.ask(ListExecutions(workflow, status, limit, after))
        assert isinstance(page, ExecutionRows)
        assert len(page.rows) <= limit
        found += [row.name for row in page.rows]
        after = page.after
        if after is None:
            return found


def test_lists_are_newest_first_by_workflow_and_status(place: Any) -> None:
    ids = {name: begun(place, name) for name in ("a", "b", "c", "d", "e")}
    ids["f"] = begun(place, "f", workflow="audit")
    move(place, ids["b"], 0, ended=Ended("FAILED", None, "E", "c"))
    move(place, ids["d"], 0, ended=Ended("SUCCEEDED", b"1"))
    move(place, ids["f"], 0, ended=Ended("FAILED", None, "E", "c"))
    assert listed(place) == ["f", "e", "d", "c", "b", "a"]
    assert listed(place, "refund") == ["e", "d", "c", "b", "a"]
    assert listed(place, "refund", "RUNNING") == ["e", "c", "a"]
    assert listed(place, "refund", "FAILED") == ["b"]
    assert listed(place, None, "FAILED") == ["f", "b"]
    assert listed(place, "refund", "ABORTED") == []
    assert listed(place, "nothing") == []


def test_a_list_leaves_data_out(place: Any) -> None:
    move(place, begun(place), 0, ended=Ended("SUCCEEDED", b"1"), history=[(1, b"x")])
    [row] = place.ask(ListExecutions(None, None, 10)).rows
    assert (row.input, row.output, row.status, row.events) == (None, None, "SUCCEEDED", 1)
    whole = find(place)
    assert (whole.input, whole.output) == (b'{"n":1}', b"1")


def test_a_page_has_at_least_one_row_and_at_most_the_bound(place: Any) -> None:
    begun(place, "a")
    begun(place, "b")
    assert len(place.ask(ListExecutions("refund", None, 0)).rows) == 1
    assert len(place.ask(ListExecutions("refund", None, limits.LIST_LIMIT + 1)).rows) == 2


def test_a_history_is_read_page_by_page_across_steps(place: Any) -> None:
    id = begun(place)
    expected = [b"%d" % n for n in range(1, 12)]
    for version, (first, last) in enumerate([(1, 1), (2, 6), (7, 7), (8, 11)]):
        move(place, id, version, history=[(n, b"%d" % n) for n in range(first, last + 1)])
    assert events(place, id) == expected
    for after in range(12):
        for limit in (1, 2, 5, 100):
            page = place.ask(GetHistory(id, limit, after))
            assert page.events == expected[after : after + limit]
            more = after + limit < 11
            assert page.after == (after + limit if more else None)
    assert place.ask(GetHistory(id + 1, 10)) == History([], None)
    assert place.ask(GetHistory(id, 10, 5_000)) == History([], None)


def test_histories_of_executions_side_by_side_do_not_mix(place: Any) -> None:
    one, two = begun(place, "one"), begun(place, "two")
    for version in range(5):
        for id in (one, two):
            move(place, id, version, history=[(version + 1, b"%d-%d" % (id, version))])
    for id in (one, two):
        assert events(place, id) == [b"%d-%d" % (id, version) for version in range(5)]


def test_large_events_come_in_pages_that_fit(place: Any) -> None:
    id = begun(place)
    event = b"x" * limits.STATE_DATA_BYTES
    move(place, id, 0, history=[(n, event) for n in range(1, 41)])
    page = place.ask(GetHistory(id, 1_000))
    assert 1 < len(page.events) < 40
    assert sum(map(len, page.events)) <= limits.CLAIMED_BYTES
    assert len(page.events) + len(place.ask(GetHistory(id, 1_000, page.after)).events) == 40


def test_the_engine_finds_one_by_its_number(place: Any) -> None:
    id = begun(place)
    assert place.ask(FindExecution("", "", id)) == find(place)
