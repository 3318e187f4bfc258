"""Tasks of workflows: what a handler is called with, and what its result is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from wherry import App, Struct, current, new_id
from wherry.codec import to_msgpack
from wherry.invocation import Invocation, Outcome, TaskEvent
from wherry.runtime.invoke import Runner
from wherry.world import ManualClock

STARTED_MS = 1_795_255_438_000


class Order(Struct):
    order_id: str
    cents: int = 0


@dataclass
class Line:
    sku: str


def run(app: App, function: str, payload: str, attempt: int = 1) -> Outcome:
    """Run a task once, as the engine gets its outcome."""
    event = TaskEvent(function, "refund", "r-1", "Charge", payload.encode())
    invocation = Invocation(
        7, function, f"message/{function}/1.call.1", "req", "corr", "trace", attempt, STARTED_MS,
        STARTED_MS + 30_000, event,
    )  # fmt: skip
    link: Any = None  # nothing is asked for
    invocation = msgspec.msgpack.decode(to_msgpack(invocation), type=Invocation)
    outcome = Runner.prepare(app, function).run(invocation, link, ManualClock())
    return msgspec.msgpack.decode(to_msgpack(outcome), type=Outcome)


def result(outcome: Outcome) -> Any:
    assert outcome.failure is None, outcome.failure
    assert outcome.reply is not None
    return msgspec.json.decode(outcome.reply.body)


def test_a_payload_becomes_the_argument_by_its_type_and_the_result_is_json() -> None:
    app = App("tasks")

    @app.task()
    def struct(order: Order) -> Order:
        return Order(order.order_id, order.cents + 1)

    @app.task()
    def data(line: Line) -> list[str]:
        return [line.sku]

    @app.task()
    def anything(payload: Any) -> dict[str, Any]:
        return {"got": payload}

    @app.task()
    def numbers(payload: list[int]) -> int:
        return sum(payload)

    @app.task()
    def nothing() -> None:
        return None

    @app.task()
    async def later(order: Order) -> str:
        return order.order_id

    @app.task()
    def plain(event, context):  # type: ignore[no-untyped-def]
        return [event, context.function_name]

    assert result(run(app, "struct", '{"order_id":"a","cents":4,"more":1}')) == {
        "order_id": "a", "cents": 5,
    }  # fmt: skip
    assert result(run(app, "data", '{"sku":"s"}')) == ["s"]
    assert result(run(app, "anything", "null")) == {"got": None}
    assert result(run(app, "numbers", "[1,2,3]")) == 6
    assert result(run(app, "nothing", '"whatever"')) is None
    assert result(run(app, "later", '{"order_id":"b"}')) == "b"
    assert result(run(app, "plain", '{"a":1.5}')) == [{"a": 1.5}, "plain"]


def test_a_wrong_payload_fails_the_task_by_a_name_and_is_of_no_use_to_repeat() -> None:
    app = App("tasks")

    @app.task()
    def charge(order: Order) -> None: ...

    for payload in ("null", "[]", '{"cents":1}', '{"order_id":5}'):
        failure = run(app, "charge", payload).failure
        assert failure is not None
        assert (failure.error, failure.code, failure.retry) == (
            "InvalidPayload", "invalid_payload", False,
        )  # fmt: skip
        assert "'Charge' of 'refund'" in failure.message


def test_what_has_no_json_form_fails_the_task() -> None:
    app = App("tasks")

    @app.task()
    def binary() -> Any:
        return b"x"

    @app.task()
    def other(payload: Any) -> int:
        return payload  # type: ignore[no-any-return]

    for outcome in (run(app, "binary", "{}"), run(app, "other", '"text"')):
        assert outcome.failure is not None
        assert outcome.failure.error == "CannotReply"


def test_keys_and_ids_are_the_same_on_every_attempt_of_a_task() -> None:
    app = App("tasks")

    @app.task()
    def keyed() -> list[str]:
        return [current().key("charge"), new_id()]

    first, second = (result(run(app, "keyed", "{}", attempt)) for attempt in (1, 2))
    assert first == second


def test_an_exception_keeps_its_name_and_its_trace() -> None:
    app = App("tasks")

    class CardDeclined(Exception):
        pass

    @app.task()
    def charge(order: Order) -> None:
        raise CardDeclined(f"no money for {order.order_id}")

    failure = run(app, "charge", '{"order_id":"a"}').failure
    assert failure is not None
    assert (failure.error, failure.message) == ("CardDeclined", "no money for a")
    frames = [line for line in failure.trace.splitlines() if line.startswith("  File ")]
    assert [line.rpartition(" in ")[2] for line in frames] == ["charge"]  # none of wherry's own


def test_what_wherry_itself_refuses_has_the_frames_that_there_are() -> None:
    app = App("tasks")

    @app.task()
    def charge(order: Order) -> None: ...

    failure = run(app, "charge", '{"cents":1}').failure
    assert failure is not None
    assert "bind_task" in failure.trace
    assert "InvalidPayload: The state" in failure.trace
