"""What a handler does with a workflow: effects that it records, and what it reads."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from msgspec import Struct

from wherry import App, Execution, Workflow, asl, limits
from wherry.effects import Effect, EndTask, RedriveExecution, StartExecution, StopExecution
from wherry.errors import (
    BadRequest,
    BoundExceeded,
    ConditionFailed,
    GrantMissing,
    Invalid,
    Refused,
)
from wherry.handles.scope import Scope, enter, leave
from wherry.handles.workflows import _message
from wherry.invocation import Invocation, MessageEvent
from wherry.testing import call, running
from wherry.world import ManualClock

STARTED_MS = 1_795_255_438_000


class Order(Struct):
    """An input."""

    order_id: str
    cents: int = 0


DONE = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
app = App("shop")
refund: Workflow[Order] = app.workflow("refund", definition=DONE, input=Order)
loose: Workflow[Any] = app.workflow("loose", definition=DONE)


@app.post("/refunds", grants=[refund.start, loose.start])
def begin(order: Order) -> str:
    loose.start([order.order_id], name="l1")
    return refund.start(order)


class Unasked:
    """A link that nothing is asked over: what changes an execution asks for nothing."""

    def ask(self, request: Any) -> Any:
        raise AssertionError(request)

    def commit_step(self, step: Any) -> Any:
        raise AssertionError(step)

    def stage(self, bucket: str, blob: str) -> Any:
        raise AssertionError(blob)

    def open_blob(self, bucket: str, row: Any) -> Any:
        raise AssertionError(row)


def recorded(
    handler: Callable[[], Any], *grants: str, key: str = "key"
) -> tuple[Any, list[Effect], list[str]]:
    """Run a handler in a scope; return its value, its effects, its marks."""
    event = MessageEvent("handler", "jobs", "m1", b"{}", STARTED_MS)
    run = Invocation(1, "handler", key, "r", "c", "t", 1, STARTED_MS, STARTED_MS + 9_000, event)
    pairs = frozenset(("refund", action) for action in grants) | {("loose", "start")}
    scope = Scope(run, Unasked(), ManualClock(STARTED_MS), grants=pairs)
    token = enter(scope)
    try:
        return handler(), scope.effects(), scope.marks
    finally:
        leave(token)


# --- starting -----------------------------------------------------------------------------------


def test_a_start_is_an_effect_and_a_mark() -> None:
    name, effects, marks = recorded(lambda: refund.start(Order("o1", 7), name="o1"), "start")
    (effect,) = effects
    assert isinstance(effect, StartExecution)
    assert (effect.workflow, effect.name) == ("refund", "o1")
    assert effect.input == b'{"order_id":"o1","cents":7}'
    assert effect.parent is None
    assert name == "o1"
    assert marks == ["start refund o1"]


def test_a_start_without_a_name_has_one_that_a_repeated_run_makes_again() -> None:
    """Another one in the same run, or of another invocation, has another."""

    def twice() -> list[str]:
        return [refund.start(Order("o1")), refund.start(Order("o1"))]

    first, effects, _ = recorded(twice, "start")
    assert recorded(twice, "start")[0] == first
    assert recorded(twice, "start", key="other")[0] != first
    assert len(set(first)) == 2
    assert [one.id for one in effects if isinstance(one, StartExecution)] == first


def test_an_input_is_held_against_its_type() -> None:
    """Nobody behind it could say what is wrong with it."""
    wrong: list[Any] = [{"order_id": "o1"}, Order(1), Order("o1", "7"), None]  # type: ignore[arg-type]
    for given in wrong:
        with pytest.raises(Refused, match=r"The workflow 'refund' (does not take this|takes)"):
            recorded(partial(refund.start, given), "start")


def test_a_workflow_without_an_input_type_takes_any_json() -> None:
    for given in ({"a": [1, None]}, [1], "text", None, Order("o1")):
        _, (effect,), _ = recorded(partial(loose.start, given))
        assert isinstance(effect, StartExecution)
    with pytest.raises(Refused, match=r"\$\.a is inf"):
        recorded(lambda: loose.start({"a": float("inf")}))


def test_an_input_has_at_most_256_kib() -> None:
    room = limits.STATE_DATA_BYTES - len('""')
    recorded(lambda: loose.start("x" * room))
    with pytest.raises(BoundExceeded, match="262145 bytes; 262144 are allowed"):
        recorded(lambda: loose.start("x" * (room + 1)))


@pytest.mark.parametrize("name", ["a", "x" * 80, "Order-1_2.3", "ünï", "(1)", "a=b+c!'@"])
def test_names_that_aws_takes_are_taken(name: str) -> None:
    assert recorded(lambda: refund.start(Order("o1"), name=name), "start")[0] == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 81, "a b", "a\tb", "a\xa0b", "a\x00", "a\x7f", "a\x85", "\ud800", "\ufffe",
     "\U0010ffff", *(f"a{char}" for char in '<>{}[]?*"#%\\^|~`$&,;:/')],
)  # fmt: skip
def test_names_that_aws_refuses_are_refused_wherever_one_is_given(name: str) -> None:
    every: list[Callable[[], Any]] = [
        lambda: refund.start(Order("o1"), name=name),
        lambda: refund.stop(name),
        lambda: refund.redrive(name),
        lambda: refund.describe(name),
    ]
    for one in every:
        with pytest.raises(Invalid, match="The execution name"):
            recorded(one, "start", "stop", "redrive", "read")


# --- stopping, redriving, ending tasks ----------------------------------------------------------


def test_a_stop_and_a_redrive_are_effects() -> None:
    def both() -> None:
        refund.stop("o1", error="Withdrawn", cause="by the customer")
        refund.stop("o2")
        refund.redrive("o3")

    _, effects, marks = recorded(both, "stop", "redrive")
    first, second, third = effects
    assert isinstance(first, StopExecution)
    assert (first.workflow, first.name, first.error, first.cause) == (
        "refund", "o1", "Withdrawn", "by the customer",
    )  # fmt: skip
    assert isinstance(second, StopExecution)
    assert (second.error, second.cause) == (None, None)
    assert isinstance(third, RedriveExecution)
    assert (third.workflow, third.name) == ("refund", "o3")
    assert len({first.id, second.id, third.id}) == 3
    assert marks == ["stop refund o1", "stop refund o2", "redrive refund o3"]


def test_the_end_of_a_task_is_an_effect() -> None:
    def every() -> None:
        refund.succeed("t1", {"approved": True})
        refund.succeed("t2")
        refund.fail("t3", "Declined", "too much")
        refund.heartbeat("t4")

    _, effects, marks = recorded(every, "complete")
    ends = [one for one in effects if isinstance(one, EndTask)]
    assert [(one.token, one.kind, one.output, one.error, one.cause) for one in ends] == [
        ("t1", "succeeded", b'{"approved":true}', None, None),
        ("t2", "succeeded", b"null", None, None),
        ("t3", "failed", b"null", "Declined", "too much"),
        ("t4", "heartbeat", b"null", None, None),
    ]
    assert "t1" not in "".join(marks)  # whoever has a token can end the task


def test_what_ends_a_task_has_bounds() -> None:
    with pytest.raises(BadRequest, match="token"):
        recorded(lambda: refund.succeed(""), "complete")
    with pytest.raises(BadRequest, match="token"):
        recorded(lambda: refund.heartbeat("t" * 2_049), "complete")
    with pytest.raises(BoundExceeded, match="256 are allowed"):
        recorded(lambda: refund.fail("t", "E" * 257), "complete")
    with pytest.raises(BoundExceeded, match="32768 are allowed"):
        recorded(lambda: refund.stop("o1", cause="c" * 32_769), "stop")
    with pytest.raises(BoundExceeded, match="262144 are allowed"):
        recorded(lambda: refund.succeed("t", "x" * limits.STATE_DATA_BYTES), "complete")


# --- looking ------------------------------------------------------------------------------------


def test_an_execution_is_described_by_its_name() -> None:
    """Once it is committed; what is not there is None."""
    with running(app) as backend:
        with backend.acting():
            refund.start(Order("o1", 7), name="o1")
            assert refund.describe("o1") is None
        with backend.acting():
            begun = refund.describe("o1")
        assert begun is not None
        assert (begun.status, begun.ended_ms, begun.output) == ("RUNNING", None, None)
        backend.drain()
        with backend.acting():
            found, absent = refund.describe("o1"), refund.describe("o2")
    assert absent is None
    assert isinstance(found, Execution)
    assert (found.workflow, found.name, found.status) == ("refund", "o1", "SUCCEEDED")
    assert found.input == found.output == {"order_id": "o1", "cents": 7}
    assert found.ended_ms is not None
    assert (found.error, found.cause, found.states, found.redrives) == (None, None, (), 0)


def failing() -> App:
    """An app whose task raises, with workflows where nothing catches it, one does, one waits."""
    app = App("failing")

    @app.task()
    def charge() -> None:
        raise ValueError("not now")

    caught = asl.machine(
        asl.Task("Charge", charge).catch(then="Tell", output=asl.expr("$states.errorOutput.Cause")),
        asl.Succeed("Tell"),
    )
    bare = app.workflow("bare", definition=asl.machine(asl.Task("Charge", charge)))
    app.workflow("caught", definition=caught)
    sync = "arn:aws:states:::states:startExecution.sync:2"
    waits = asl.machine(asl.Task("Start", sync, {"StateMachineArn": "bare", "Input": {}}))
    app.workflow("waits", definition=waits, grants=[bare.start])
    return app


def test_the_cause_of_a_functions_failure_is_its_message() -> None:
    """A route may hand it on: no path of the server is in it. A Catch has all that AWS gives."""
    app = failing()
    with running(app) as backend:
        with backend.acting():
            for flow in app._workflows:
                flow.start({}, name="one")
        backend.drain()
        with backend.acting():
            bare, caught, waits = (flow.describe("one") for flow in app._workflows)
            (listed,) = app._workflows[2].list()
    assert bare is not None
    assert caught is not None
    assert waits is not None
    assert (bare.status, bare.error, bare.cause) == ("FAILED", "ValueError", "ValueError: not now")
    assert (waits.status, waits.cause) == ("FAILED", "ValueError: not now")
    assert listed.cause == waits.cause
    whole = json.loads(caught.output)
    assert (whole["errorMessage"], whole["errorType"]) == ("not now", "ValueError")
    assert any(__file__ in line for line in whole["stackTrace"])


@pytest.mark.parametrize("cause", [None, "", "later", "{later", '{"a":1}', '{"Cause":"x"}'])
def test_a_cause_in_other_words_stays_as_it_is(cause: str | None) -> None:
    assert _message(cause) == cause


def test_a_status_that_there_is_not_is_refused() -> None:
    """Not asked of the store, which would be in trouble with it."""
    nothing = pytest.raises(Refused, match=r"status='failed' is none of RUNNING, SUCCEEDED")
    with running(app) as backend, backend.acting(), nothing:
        refund.list(status="failed")  # type: ignore[arg-type]


def test_executions_are_listed_page_by_page() -> None:
    """The newest first; a cursor goes on with the list that it is of, and with no other."""
    with running(app) as backend:
        with backend.acting():
            for at in range(5):
                refund.start(Order("o1"), name=f"o{at}")
            loose.start(None)
        backend.drain()
        with backend.acting():
            refund.start(Order("o1"), name="o5")
        with backend.acting():
            first = refund.list(status="SUCCEEDED", limit=3)
            second = refund.list(status="SUCCEEDED", limit=3, cursor=first.cursor)
            every = [one.name for one in refund.list()]
            with pytest.raises(BadRequest):
                refund.list(status="FAILED", cursor=first.cursor)
            assert first.cursor is not None
            for changed in ("____", urlsafe_b64encode(b"9" * 30).decode()):
                with pytest.raises(BadRequest):
                    refund.list(status="SUCCEEDED", cursor=first.cursor[:8] + changed)
    assert [[one.name for one in page] for page in (first, second)] == [
        ["o4", "o3", "o2"], ["o1", "o0"],
    ]  # fmt: skip
    assert second.cursor is None
    assert every == ["o5", "o4", "o3", "o2", "o1", "o0"]
    assert {one.input for one in first} == {None}
    for limit in (0, limits.QUERY_LIMIT_MAX + 1):
        with pytest.raises(Refused):
            recorded(partial(refund.list, limit=limit), "read")


def test_one_name_is_one_execution() -> None:
    """The same input again changes nothing; another one is a conflict."""
    with running(app) as backend:
        for _ in range(2):
            with backend.acting():
                refund.start(Order("o1"), name="o1")
        backend.drain()
        other = pytest.raises(
            ConditionFailed, match=r"'o1' of the workflow 'refund' has begun with another input;"
        )
        with other, backend.acting():
            refund.start(Order("o2"), name="o1")
        with backend.acting():
            assert len(refund.list()) == 1


def test_an_order_that_cannot_be_followed_says_why() -> None:
    """Whoever reads the answer need not guess which of several things is the matter."""
    with running(app) as backend:
        with backend.acting():
            refund.start(Order("o1"), name="o1")
        orders: list[tuple[Callable[[], None], str]] = [
            (lambda: refund.stop("o2"), "'o2' of the workflow 'refund' does not exist;"),
            (lambda: refund.redrive("o2"), "'o2' of the workflow 'refund' does not exist;"),
            (lambda: refund.redrive("o1"), "'o1' of the workflow 'refund' is still running; only"),
        ]
        for order, told in orders:
            with pytest.raises(ConditionFailed, match=told), backend.acting():
                order()
        backend.drain()
        with pytest.raises(ConditionFailed, match="has succeeded; only"), backend.acting():
            refund.redrive("o1")


def test_a_token_that_nobody_waits_for_is_a_conflict() -> None:
    with running(app) as backend:
        nobody = pytest.raises(ConditionFailed, match="No task of the workflow 'refund' waits for")
        with nobody, backend.acting():
            refund.succeed("gone")


# --- who may ------------------------------------------------------------------------------------

NEEDS: dict[str, tuple[str, Callable[[], Any]]] = {
    "start": ("start", lambda: refund.start(Order("o1"))),
    "stop": ("stop", lambda: refund.stop("o1")),
    "redrive": ("redrive", lambda: refund.redrive("o1")),
    "describe": ("read", lambda: refund.describe("o1")),
    "list": ("read", lambda: refund.list()),
    "succeed": ("complete", lambda: refund.succeed("t")),
    "fail": ("complete", lambda: refund.fail("t", "E")),
    "heartbeat": ("complete", lambda: refund.heartbeat("t")),
}


@pytest.mark.parametrize(("grant", "use"), NEEDS.values(), ids=NEEDS)
def test_every_use_needs_its_grant(grant: str, use: Callable[[], Any]) -> None:
    """And no other lets it pass; the error has the line to add."""
    others = {"start", "stop", "redrive", "read", "complete"} - {grant}
    with pytest.raises(GrantMissing, match=rf"refund\.{grant}"):
        recorded(use, *others)


def test_outside_of_a_handler_nothing_is_started() -> None:
    with pytest.raises(Refused, match="The workflow 'refund' was used outside of a handler"):
        refund.start(Order("o1"))


def test_what_is_started_counts_against_the_bounds_of_a_commit() -> None:
    def many() -> None:
        for at in range(limits.COMMIT_EFFECTS + 1):
            refund.start(Order("o1"), name=f"o{at}")

    with pytest.raises(BoundExceeded, match="One commit takes 90"):
        recorded(many, "start")


def test_a_test_sees_what_a_handler_starts() -> None:
    done = call(app, begin, Order("o1", 7))
    assert done.effects.started(refund) == {done.value: Order("o1", 7)}
    assert done.effects.started(loose) == {"l1": ["o1"]}
