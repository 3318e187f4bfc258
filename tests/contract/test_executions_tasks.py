"""Messages of executions: tasks that are taken back or given up, and a workflow's own queue."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.trigger_kit import depth, failures
from tests.contract.workflow_kit import (
    begun,
    configure,
    done,
    move,
    ordered,
    start,
    task,
    told,
    wake,
)
from wherry import limits
from wherry.effects import SendMessage
from wherry.ports import Bury, Committed, LeaseLost, Pause, Rejected, Release, Sweep


@pytest.fixture(autouse=True)
def flows(place: Any) -> None:
    configure(place)


# -- taking back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", ["charge", ""])
def test_tasks_that_nobody_waits_for_are_removed_leased_or_not(place: Any, queue: str) -> None:
    id = begun(place)
    sends = [SendMessage("charge", f"t{n}", task(id, n)) for n in range(3)]
    move(place, id, 0, sends=sends)
    [held] = place.claim(1, queue="charge")
    cancels = [(queue, held.id), (queue, "t2"), (queue, "nothing")]
    assert isinstance(move(place, id, 1, cancels=cancels), Committed)
    assert (depth(place, "charge").waiting, depth(place, "charge").leased) == (1, 0)
    # The one who still works on it changes nothing.
    assert move(place, id, 2, acks=done(held), function="charge") == LeaseLost([held.id])
    assert place.ask(Release(held.id, held.token, 0, True, "x")) == LeaseLost()
    assert place.ask(Bury(held.id, held.token, "charge", "failed", "x", None)) == LeaseLost()
    [left] = place.claim(queue="charge")
    assert left.id == "t1"
    place.advance(limits.LEASE_S + 1)  # no lease of theirs is left to end
    place.ask(Sweep(100))
    assert (depth(place, "charge").waiting, depth(place, "charge").leased) == (1, 0)


def test_a_message_that_is_taken_back_may_be_sent_anew_in_the_same_step(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, sends=[SendMessage("charge", "t", task(id))])
    again = SendMessage("charge", "t", task(id, 1))
    move(place, id, 1, cancels=[("charge", "t")], sends=[again])
    assert [message.body for message in place.claim(queue="charge")] == [task(id, 1)]


def test_a_message_is_taken_back_only_from_the_queue_that_is_named(place: Any) -> None:
    id = begun(place)
    place.send("j1")
    move(place, id, 0, cancels=[("charge", "j1")])
    assert depth(place, "jobs").waiting == 1


# -- tasks that cannot be done -------------------------------------------------------------------


def test_a_task_that_is_given_up_is_told_to_its_execution(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, sends=[SendMessage("charge", "t1", task(id, 3))])
    [message] = place.claim(queue="charge")
    place.ask(Bury("t1", message.token, "charge", "unreadable", "no such type", None))
    [failed] = told(place)
    assert (failed.execution, failed.event, failed.call) == (id, "failed", 3)
    assert (failed.error, failed.cause) == ("Lambda.Unknown", "unreadable: no such type")
    assert failures(place) == []


def test_a_task_whose_last_node_has_died_is_told_to_its_execution(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, sends=[SendMessage("charge", "t1", task(id, 3))])
    for _ in range(2):
        assert len(place.claim(queue="charge")) == 1
        place.advance(limits.LEASE_S + 1)
    assert place.claim(queue="charge") == []
    [failed] = told(place)
    assert (failed.event, failed.call, failed.error) == ("failed", 3, "Lambda.Unknown")
    assert failures(place) == []
    assert depth(place, "charge").waiting == 0


def test_what_is_no_task_in_a_queue_of_tasks_fails_as_any_message(place: Any) -> None:
    place.commit(SendMessage("charge", "odd", b'"hello"'), function="")
    [message] = place.claim(queue="charge")
    place.ask(Bury("odd", message.token, "charge", "unreadable", "x", None))
    assert [row.id for row in failures(place, "charge")] == ["odd"]


def test_messages_of_executions_outlive_their_queues_retention(place: Any) -> None:
    """An execution may take a year: what it waits for is kept as long."""
    id = begun(place, "two")
    ordered(place, start())
    move(place, id, 0, sends=[SendMessage("charge", "t1", task(id))])
    place.advance(30 * 86_400)
    for _ in range(3):
        place.ask(Sweep(100))
    assert failures(place) == []
    [message] = place.claim(queue="charge")
    place.ask(Release(message.id, message.token, 0, True, "again"))
    assert depth(place, "charge").waiting == 1
    assert [one.event for one in told(place)] == ["begin"]


# -- the queue of a workflow ---------------------------------------------------------------------


def test_a_workflow_can_be_paused_by_its_name(place: Any) -> None:
    place.ask(Pause("refund", True, "me"))
    assert ordered(place, start(), leases={"refund": 1}) == Committed([], {})
    assert place.claim(queue="refund") == []
    assert depth(place, "refund").paused
    place.ask(Pause("refund", False, "me"))
    assert [one.event for one in told(place)] == ["begin"]


def test_executions_of_a_workflow_that_no_release_has_wait_for_one(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, wake_ms=place.now_ms + 1_000)
    for digest in ("a", "b"):
        place.configure(digest)
    place.advance(2)
    assert wake(place).next_ms is None
    assert ordered(place, start("two")) == Rejected("There is no workflow 'refund'.")
    configure(place, "flows-3")
    assert [one.event for one in told(place)] == ["wake"]


def test_a_message_that_kills_its_engines_waits_in_the_inbox(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, wake_ms=place.now_ms)
    wake(place)
    for _ in range(2):
        assert len(place.claim(queue="refund")) == 1
        place.advance(limits.LEASE_S + 1)
    assert place.claim(queue="refund") == []
    [row] = failures(place)
    assert (row.queue, row.function, row.code) == ("refund", "refund", "lease_expired")
