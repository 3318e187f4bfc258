"""An execution begins with the commit that starts it, if that knows its first step."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace

from tests.contract.workflow_kit import (
    REFUND,
    begun,
    blueprint,
    configure,
    events,
    find,
    get,
    happened,
    move,
    start,
    told,
    wake,
)
from wherry.blueprint import WorkflowSpec
from wherry.codec import canonical_json, to_json
from wherry.effects import SendMessage, StartExecution
from wherry.platforms.shared.workflows import workflow_of
from wherry.ports import (
    Advance,
    ChildExecution,
    Committed,
    Ended,
    First,
    Part,
    Pause,
    TaskBody,
)


@pytest.fixture(autouse=True)
def flows(place: Any) -> None:
    configure(place)


def digest_of(spec: WorkflowSpec) -> str:
    return workflow_of(json.decode(canonical_json(spec))).digest


def calling(**fields: Any) -> Advance:
    """A first step that calls `charge`."""
    body = to_json(TaskBody(0, 1, "refund", "one", "Charge", {"n": 1}))
    sends = [SendMessage("charge", "0.call.1", body)]
    values: dict[str, Any] = {
        "history": [(1, b"\xc0"), (2, b"\xc0")],
        "sends": sends,
        "states": ["Charge"],
    }
    return Advance(0, 0, b"head-1", **(values | fields))


def first(step: Advance | None = None, definition: str = "") -> First:
    return First("begin-refund-one", definition or digest_of(REFUND), step or calling())


def begin(place: Any, *firsts: First, effect: StartExecution | None = None, **options: Any) -> Any:
    request = place.request(
        effect or start(), **({"function": "caller", "release": "flows"} | options)
    )
    return place.ask(replace(request, firsts=list(firsts)))


def test_a_first_step_is_taken_with_the_start(place: Any) -> None:
    """Its task is born leased, with the number that nobody knew before."""
    step = calling(parts=[Part("f", "0", b"frame")], wake_ms=place.now_ms + 5)
    answer = begin(place, first(step), leases={"refund": 1, "charge": 1}, correlation_id="c-1")
    [task] = answer.leased
    body = json.decode(task.body, type=TaskBody)
    assert (task.queue, task.correlation_id) == ("charge", "c-1")
    assert task.id == f"{body.execution}.call.1"
    assert (body.call, body.payload) == (1, {"n": 1})
    execution = get(place, body.execution)
    assert (execution.version, execution.head) == (1, b"head-1")
    assert execution.parts == [Part("f", "0", b"frame")]
    assert (execution.input, execution.correlation_id) == (b'{"n":1}', "c-1")
    assert answer.begun == [replace(execution, head=b"", parts=[], input=b"")]
    assert len(events(place, body.execution)) == 2
    assert find(place).states == ["Charge"]
    place.acknowledge(task)
    assert told(place) == []
    place.advance(0.01)
    wake(place)
    assert [one.event for one in told(place)] == ["wake"]
    assert isinstance(move(place, body.execution), Committed)


def test_without_room_for_its_task_that_waits(place: Any) -> None:
    answer = begin(place, first(), leases={"refund": 1})
    assert answer == Committed([], {"charge": place.now_ms})
    assert find(place).status == "RUNNING"
    assert told(place) == []


def test_an_execution_may_end_with_its_first_step(place: Any) -> None:
    step = calling(sends=[], states=[], ended=Ended("SUCCEEDED", b"7"))
    assert begin(place, first(step), leases={"refund": 1}) == Committed([], {})
    row = find(place)
    assert (row.status, row.output, row.ended_ms) == ("SUCCEEDED", b"7", place.now_ms)
    assert told(place) == []


@pytest.mark.parametrize(
    "step",
    [
        calling(sends=[SendMessage("nowhere", "0.call.1", b'{"execution":0,"call":1}')]),
        calling(sends=[SendMessage("charge", "7.call.1", b'{"execution":0,"call":1}')]),
        calling(sends=[SendMessage("charge", "0.call.1", b'{"call":1,"execution":0}')]),
    ],
)
def test_a_first_step_that_cannot_be_is_left_to_the_message(place: Any, step: Advance) -> None:
    answer = begin(place, first(step), leases={"refund": 1, "charge": 1})
    [message] = answer.leased
    assert happened(message).event == "begin"
    assert get(place, happened(message).execution).version == 0


def test_a_first_step_of_another_definition_is_not_taken(place: Any) -> None:
    answer = begin(place, first(definition="other"), leases={"refund": 1, "charge": 1})
    [message] = answer.leased
    assert happened(message).event == "begin"


def test_a_paused_workflow_begins_nothing(place: Any) -> None:
    place.ask(Pause("refund", True, "ops"))
    assert begin(place, first(), leases={"refund": 1, "charge": 1}).leased == []
    assert find(place).states == []
    place.ask(Pause("refund", False, "ops"))
    assert [one.event for one in told(place)] == ["begin"]


def test_who_is_there_already_does_not_begin_again(place: Any) -> None:
    id = begun(place)
    assert begin(place, first(), leases={"charge": 1}) == Committed([], {})
    assert get(place, id).version == 0


def test_a_child_begins_with_the_step_that_begins_it(place: Any) -> None:
    id = begun(place)
    child = ChildExecution("child", 3, b"before", b"5", calling())
    plain = ChildExecution("plain", 4, b"before", b"6")
    answer = move(place, id, children=[child, plain], leases={"refund": 2, "charge": 2})
    task, message = answer.leased
    number = json.decode(task.body, type=TaskBody).execution
    execution = get(place, number)
    assert (execution.version, execution.parent, execution.parent_call) == (1, id, 3)
    assert (execution.name, execution.head, execution.input) == ("child", b"head-1", b"5")
    assert happened(message).event == "begin"
    assert get(place, happened(message).execution).head == b"before"
    assert [one.version for one in answer.begun] == [1, 0]


def test_the_digest_is_that_under_which_the_store_keeps_it(place: Any) -> None:
    assert get(place, begun(place)).definition == digest_of(blueprint().workflows[0])
