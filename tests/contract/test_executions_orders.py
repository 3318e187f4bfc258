"""What handlers ask of executions: each needs its grant, and is committed or refused as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.trigger_kit import depth
from tests.contract.workflow_kit import (
    ACTIONS,
    begun,
    configure,
    find,
    get,
    move,
    ordered,
    start,
    task,
    told,
    wake,
)
from wherry import limits
from wherry.effects import EndTask, RedriveExecution, SendMessage, StopExecution
from wherry.ports import (
    Committed,
    Denied,
    Ended,
    FindExecution,
    GetDefinition,
    GetExecution,
    GetHistory,
    GetTimeline,
    ListExecutions,
    Pause,
    Rejected,
    Unmet,
    WakeExecutions,
)


@pytest.fixture(autouse=True)
def flows(place: Any) -> None:
    configure(place)


def stop(name: str = "one", **options: Any) -> StopExecution:
    return StopExecution("refund", name, f"stop-{name}", **options)


def redrive(name: str = "one") -> RedriveExecution:
    return RedriveExecution("refund", name, f"redrive-{name}")


def end(token: str = "tok", kind: Any = "succeeded", id: str = "end", **options: Any) -> EndTask:
    return EndTask("refund", token, id, kind, **options)


# -- grants --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "action"),
    [(start(), "start"), (stop(), "stop"), (redrive(), "redrive"), (end(), "complete")],
)
def test_an_order_needs_its_grant(place: Any, effect: Any, action: str) -> None:
    answer = place.commit(effect, function="nobody", release="flows")
    assert answer == Denied("refund", action)
    assert action in ACTIONS
    assert told(place) == []


def test_looking_needs_the_read_grant_and_what_is_the_engines_is_not_for_functions(
    place: Any,
) -> None:
    id = begun(place)
    assert place.ask(FindExecution("refund", "one"), "caller@flows").name == "one"
    page = ListExecutions("refund", None, 10)
    assert len(place.ask(page, "caller@flows").rows) == 1
    for request in (FindExecution("refund", "one"), page):
        assert place.ask(request, "nobody@flows") == Denied("refund", "read")
    for own in (
        GetExecution(id), GetDefinition("d"), WakeExecutions(1), GetHistory(id, 1),
        FindExecution("refund", "", id), ListExecutions(None, None, 1),
        ListExecutions("refund", None, 1, None, id),
    ):  # fmt: skip
        assert isinstance(place.ask(own, "caller@flows"), Denied), own


def test_an_order_is_one_with_the_other_effects_of_its_commit(place: Any) -> None:
    ordered(place, start())
    both = [place.put("orders", "c", "1"), start(input=b"2")]
    assert place.commit(*both, function="") == Unmet("workflow refund", "one", "input")
    assert place.get("orders", "c", "1") is None


# -- stopping ------------------------------------------------------------------------------------


def test_a_stop_is_told_to_the_execution(place: Any) -> None:
    id = begun(place)
    answer = ordered(place, stop(error="Mine", cause="enough"))
    assert answer == Committed([], {"refund": place.now_ms})
    [message] = told(place)
    assert (message.execution, message.event) == (id, "stop")
    assert (message.error, message.cause) == ("Mine", "enough")
    assert get(place, id).status == "RUNNING"  # until it has taken notice


def test_one_that_has_ended_stays_as_it_is(place: Any) -> None:
    move(place, begun(place), 0, ended=Ended("SUCCEEDED", b"1"))
    assert ordered(place, stop()) == Committed([], {})
    assert told(place) == []


def test_what_is_not_there_cannot_be_stopped_or_redriven(place: Any) -> None:
    for effect in (stop("two"), redrive("two")):
        assert ordered(place, effect) == Unmet("workflow refund", "two", "absent")
    assert ordered(place, stop(error="x" * 257)) != Committed([], {})
    assert isinstance(ordered(place, stop(cause="x" * 32_769)), Rejected)


# -- redriving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_what_has_failed_can_be_redriven(place: Any, status: Any) -> None:
    id = begun(place)
    move(place, id, 0, ended=Ended(status, None, "E", "c"))
    assert ordered(place, redrive()) == Committed([], {"refund": place.now_ms})
    [message] = told(place)
    assert (message.execution, message.event) == (id, "redrive")


def test_what_ended_long_ago_cannot_be_redriven(place: Any) -> None:
    """Not with the message that would say so, of which nobody would hear: with the order."""
    move(place, begun(place), 0, ended=Ended("FAILED", None, "E", "c"))
    place.advance(limits.STATE_REDRIVE_S)
    assert ordered(place, redrive()) == Committed([], {"refund": place.now_ms})
    place.advance(1)
    assert ordered(place, redrive()) == Unmet("workflow refund", "one", "late")


def test_what_began_a_year_ago_or_has_a_full_history_cannot_be_redriven(place: Any) -> None:
    id = begun(place, "old")
    place.advance(limits.STATE_STANDARD_S)
    move(place, id, 0, ended=Ended("FAILED", None, "E", "c"))
    assert ordered(place, redrive("old")) == Unmet("workflow refund", "old", "old")
    last = (limits.STATE_EVENTS - 1, b"an event")
    move(place, begun(place, "full"), 0, history=[last], ended=Ended("FAILED", None, "E", "c"))
    assert ordered(place, redrive("full")) == Unmet("workflow refund", "full", "full")
    assert told(place) == []


def test_what_runs_or_has_succeeded_cannot_be_redriven(place: Any) -> None:
    id = begun(place)
    assert ordered(place, redrive()) == Unmet("workflow refund", "one", "running")
    move(place, id, 0, ended=Ended("SUCCEEDED", b"1"))
    assert ordered(place, redrive()) == Unmet("workflow refund", "one", "succeeded")
    assert told(place) == []


# -- ending a task that waits for its token ------------------------------------------------------


def waiting(place: Any, *tokens: str) -> int:
    id = begun(place)
    move(place, id, 0, tokens=list(tokens or ("tok",)))
    return id


def test_the_end_of_a_task_is_told_once(place: Any) -> None:
    id = waiting(place)
    assert ordered(place, end(output=b'{"yes":true}')) == Committed([], {"refund": place.now_ms})
    assert ordered(place, end(id="again")) == Unmet("workflow refund", "token")
    assert ordered(place, end(kind="failed", id="third")) == Unmet("workflow refund", "token")
    [message] = told(place)
    assert (message.execution, message.event, message.token) == (id, "token_succeeded", "tok")
    assert message.output == {"yes": True}


def test_its_failure_is_told_with_error_and_cause(place: Any) -> None:
    waiting(place)
    ordered(place, end(kind="failed", error="No", cause="not now"))
    [message] = told(place)
    assert (message.event, message.error, message.cause) == ("token_failed", "No", "not now")


def test_a_heartbeat_keeps_the_token(place: Any) -> None:
    waiting(place)
    ordered(place, end(kind="heartbeat", id="h1"))
    ordered(place, end(kind="heartbeat", id="h2"))
    ordered(place, end())
    assert [one.event for one in told(place)] == ["heartbeat", "heartbeat", "token_succeeded"]


def test_of_two_ends_in_one_batch_the_first_counts(place: Any) -> None:
    waiting(place)
    requests = [
        place.request(end(id=f"e{n}"), function="caller", release="flows") for n in range(2)
    ]
    assert place.batch(*requests) == [
        Committed([], {"refund": place.now_ms}), Unmet("workflow refund", "token"),
    ]  # fmt: skip


def test_a_token_that_no_task_waits_for_is_an_unmet_condition(place: Any) -> None:
    id = waiting(place, "a", "b", "c")
    assert ordered(place, end("nothing")) == Unmet("workflow refund", "token")
    foreign = EndTask("audit", "a", "x", "succeeded")
    assert ordered(place, foreign) == Unmet("workflow audit", "token", "foreign")
    move(place, id, 1, tokens_over=["a"])
    assert ordered(place, end("a")) == Unmet("workflow refund", "token")
    assert isinstance(ordered(place, end("b")), Committed)
    move(place, id, 2, ended=Ended("FAILED", None, "E"))
    assert ordered(place, end("c")) == Unmet("workflow refund", "token")
    for bad in (end(""), end("t" * 2_049), end("c", output=b"{"), end("c", output=b"\xff")):
        assert isinstance(ordered(place, bad), Rejected)


# -- time ----------------------------------------------------------------------------------------


def test_an_execution_is_woken_at_its_time_and_once(place: Any) -> None:
    id = begun(place)
    at_ms = place.now_ms + 60_000
    move(place, id, 0, wake_ms=at_ms)
    assert (wake(place).queued, wake(place).next_ms) == ({}, at_ms)
    place.advance(59.999)
    assert wake(place).queued == {}
    place.advance(0.001)
    woken = wake(place)
    assert (woken.queued, woken.next_ms) == ({"refund": place.now_ms}, None)
    assert wake(place).queued == {}
    [message] = place.claim(queue="refund")
    assert message.id == f"{id}.wake.1"
    place.acknowledge(message)


def test_a_step_says_anew_when_to_wake_or_never(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, wake_ms=place.now_ms + 1_000)
    move(place, id, 1, wake_ms=place.now_ms + 1_000)
    move(place, id, 2, wake_ms=place.now_ms + 5_000)
    place.advance(2)
    assert wake(place).queued == {}
    move(place, id, 3)
    place.advance(10)
    assert wake(place).next_ms is None
    move(place, id, 4, wake_ms=place.now_ms - 1)
    assert wake(place).queued == {"refund": place.now_ms}


def test_so_many_are_woken_at_once_the_longest_due_first(place: Any) -> None:
    ids = [begun(place, f"n{number}") for number in range(5)]
    for number, id in enumerate(ids):
        move(place, id, 0, wake_ms=place.now_ms + 1_000 - number)
    place.advance(5)
    assert wake(place, 2).next_ms == place.now_ms - 4_000 - 2
    assert [one.execution for one in told(place)] == [ids[4], ids[3]]
    assert wake(place).next_ms is None
    assert [one.execution for one in told(place)] == [ids[2], ids[1], ids[0]]


def test_a_paused_workflow_is_woken_when_it_goes_on(place: Any) -> None:
    move(place, begun(place), 0, wake_ms=place.now_ms)
    place.ask(Pause("", True, "me"))
    assert wake(place).queued == {}
    assert told(place) == []
    place.ask(Pause("", False, "me"))
    assert [one.event for one in told(place)] == ["wake"]


# -- timeline ------------------------------------------------------------------------------------


def test_a_timeline_shows_what_an_execution_waits_for(place: Any) -> None:
    ordered(place, start(), correlation_id="c")
    [begin] = told(place)
    move(
        place, begin.execution, 0, correlation_id="c",
        sends=[SendMessage("charge", "t1", task(begin.execution))],
    )  # fmt: skip
    timeline = place.ask(GetTimeline("c"))
    assert [row.id for row in timeline.waiting] == ["t1"]
    assert depth(place, "charge").waiting == 1


def test_states_are_shown_as_far_as_a_step_names_them(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, states=["Charge", "Wait"])
    assert find(place).states == ["Charge", "Wait"]
    move(place, id, 1, states=[f"s{n}" for n in range(1_000)])
    assert len(find(place).states) == limits.STATE_INLINE_BRANCHES
    move(place, id, 2, states=["End"], ended=Ended("SUCCEEDED", b"1"))
    assert find(place).states == []
