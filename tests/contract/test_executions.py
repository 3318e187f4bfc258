"""Executions move by steps: each is compared by its version, and is a part of its commit."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace

from tests.contract.trigger_kit import depth
from tests.contract.workflow_kit import (
    REFUND,
    begun,
    configure,
    done,
    events,
    find,
    get,
    happened,
    move,
    moving,
    ordered,
    start,
    task,
    told,
)
from wherry import limits
from wherry.blueprint import WorkflowSpec
from wherry.effects import Absent, SendMessage, StartExecution
from wherry.ports import (
    Already,
    Committed,
    Conflicted,
    Definition,
    Denied,
    Ended,
    GetDefinition,
    GetExecution,
    GetItem,
    LeaseLost,
    Nothing,
    Part,
    Rejected,
    Unmet,
)


@pytest.fixture(autouse=True)
def flows(place: Any) -> None:
    configure(place)


# -- beginning -----------------------------------------------------------------------------------


def test_a_start_is_an_execution_that_runs_and_a_message_that_begins_it(place: Any) -> None:
    answer = ordered(place, start(), leases={"refund": 1}, correlation_id="c-1")
    [message] = answer.leased
    assert (message.queue, message.id, message.correlation_id) == (
        "refund", "begin-refund-one", "c-1",
    )  # fmt: skip
    assert happened(message).event == "begin"
    execution = get(place, happened(message).execution)
    assert (execution.workflow, execution.name) == ("refund", "one")
    assert (execution.version, execution.status, execution.head) == (0, "RUNNING", b"")
    assert (execution.parts, execution.input) == ([], b'{"n":1}')
    assert (execution.started_ms, execution.parent) == (place.now_ms, None)
    assert (execution.correlation_id, execution.redrives) == ("c-1", 0)


def test_what_begins_with_a_leased_message_is_told_with_it(place: Any) -> None:
    """Who begins it need not ask for it."""
    answer = ordered(place, start(), leases={"refund": 1}, correlation_id="c-1")
    [message] = answer.leased
    assert answer.begun == [get(place, happened(message).execution)]
    assert ordered(place, start("two")).begun == []


def test_without_room_the_message_that_begins_it_waits(place: Any) -> None:
    assert ordered(place, start()) == Committed([], {"refund": place.now_ms})
    [begin] = told(place)
    assert begin.event == "begin"


def test_one_name_is_one_execution(place: Any) -> None:
    id = begun(place)
    assert ordered(place, start(), leases={"refund": 5}) == Committed([], {})
    same = start(input=b'{ "n": 1 }')
    assert ordered(place, same) == Committed([], {})
    assert ordered(place, start(input=b'{"n":2}')) == Unmet("workflow refund", "one", "input")
    assert told(place) == []
    move(place, id, ended=Ended("SUCCEEDED", b"1"))
    assert ordered(place, start()) == Committed([], {})
    assert isinstance(ordered(place, start(workflow="audit")), Committed)
    assert isinstance(ordered(place, start("two")), Committed)


def test_starts_of_one_name_in_one_batch_are_one_execution(place: Any) -> None:
    def request(id: str, input: bytes) -> Any:
        effect = StartExecution("refund", "one", id, input)
        return place.request(effect, function="caller", release="flows")

    answers = place.batch(request("a", b"1"), request("b", b"1"), request("c", b"2"))
    assert answers == [
        Committed([], {"refund": place.now_ms}),
        Committed([], {}),
        Unmet("workflow refund", "one", "input"),
    ]
    assert len(told(place)) == 1


def test_two_orders_of_one_commit_are_on_two_executions(place: Any) -> None:
    answer = ordered(place, start(), StartExecution("refund", "one", "other", b'{"n":1}'))
    assert answer == Rejected("Two effects of one commit on workflow refund one.")


def test_a_start_that_is_repeated_is_known(place: Any) -> None:
    request = place.request(start(), function="caller", release="flows", number=77)
    assert isinstance(place.ask(request), Committed)
    assert isinstance(place.ask(request), Already)
    assert len(told(place)) == 1


def test_what_cannot_begin_is_refused(place: Any) -> None:
    effect = StartExecution("nothing", "one", "id", b"{}")
    assert place.commit(effect, function="") == Rejected("There is no workflow 'nothing'.")
    assert ordered(place, effect) == Denied("nothing", "start")
    for bad in (
        start(""), start("n" * 81), start(input=b"{"), start(input=b"\xff"),
        start(input=b'"' + b"x" * limits.STATE_DATA_BYTES + b'"'),
        replace(start(), id=""), replace(start(), id="x" * 256), start(parent=1),
    ):  # fmt: skip
        assert isinstance(ordered(place, bad), Rejected), bad
    assert told(place) == []


def test_an_execution_keeps_the_definition_that_it_began_with(place: Any) -> None:
    first = get(place, begun(place)).definition
    stored = place.ask(GetDefinition(first))
    assert isinstance(stored, Definition)
    spec = json.decode(stored.body, type=WorkflowSpec)
    assert (spec.name, spec.definition, spec.grants) == ("refund", REFUND.definition, REFUND.grants)
    place.configure()  # a release without workflows
    assert place.ask(GetDefinition(first)) == stored
    changed = WorkflowSpec(name="refund", definition='{"StartAt":"Other","States":{}}')
    configure(place, "flows-2", workflows=(changed,))
    second = get(place, begun(place, "two")).definition
    assert second != first
    assert get(place, find(place).id).definition == first
    assert place.ask(GetDefinition("nothing")) == Nothing()


# -- moving --------------------------------------------------------------------------------------


def test_a_step_writes_the_state_and_counts_the_version(place: Any) -> None:
    id = begun(place)
    parts = [Part("f", "1", b"frame"), Part("c", "a", b"cell"), Part("c", "~7", b"own")]
    assert move(place, id, 0, head=b"one", parts=parts) == Committed([], {})
    execution = get(place, id)
    assert (execution.version, execution.head) == (1, b"one")
    assert sorted(execution.parts, key=lambda part: (part.kind, part.key)) == [
        parts[1], parts[2], parts[0],
    ]  # fmt: skip
    changed = [Part("c", "a", None), Part("f", "1", b"moved"), Part("c", "no", None)]
    move(place, id, 1, head=b"two", parts=changed)
    execution = get(place, id)
    assert (execution.version, execution.head) == (2, b"two")
    assert {(part.kind, part.key): part.body for part in execution.parts} == {
        ("f", "1"): b"moved", ("c", "~7"): b"own",
    }  # fmt: skip


def test_a_step_from_another_version_conflicts_and_nothing_is_applied(place: Any) -> None:
    id = begun(place)
    [message] = place.send("m1", leases={"jobs": 1}).leased
    for version in (1, 5, -1):
        answer = move(
            place, id, version, effects=(place.put("orders", "c", "1"),), acks=done(message),
            history=[(1, b"e")], sends=[SendMessage("charge", "t", task(id))], function="",
        )  # fmt: skip
        assert answer == Conflicted("workflow refund", "one", "", "")
    assert place.get("orders", "c", "1") is None
    assert depth(place, "jobs").leased == 1
    assert depth(place, "charge").waiting == 0
    assert (get(place, id).version, events(place, id)) == (0, [])


def test_of_two_steps_from_one_version_in_one_batch_the_first_wins(place: Any) -> None:
    id = begun(place)
    answers = place.batch(moving(place, id, 0, head=b"a"), moving(place, id, 0, head=b"b"))
    assert answers == [Committed([], {}), Conflicted("workflow refund", "one", "", "")]
    assert get(place, id).head == b"a"


def test_a_step_of_an_execution_that_is_gone_conflicts(place: Any) -> None:
    assert move(place, 12345, 0) == Conflicted("workflow", "12345", "", "")
    assert place.ask(GetExecution(12345)) == Nothing()


def test_a_commit_moves_several_executions_and_each_once(place: Any) -> None:
    one, two = begun(place, "one"), begun(place, "two")
    both = moving(place, one, 0)
    both = replace(both, advances=[*both.advances, *moving(place, two, 0).advances])
    assert place.ask(both) == Committed([], {})
    assert (get(place, one).version, get(place, two).version) == (1, 1)
    late = replace(
        both, advances=[*moving(place, one, 1).advances, *moving(place, two, 0).advances],
        record=place.record(),
    )  # fmt: skip
    assert place.ask(late) == Conflicted("workflow refund", "two", "", "")
    assert get(place, one).version == 1
    twice = moving(place, one, 1)
    twice = replace(twice, advances=[*twice.advances, *twice.advances])
    assert isinstance(place.ask(twice), Rejected)


def test_a_step_that_is_repeated_is_known(place: Any) -> None:
    id = begun(place)
    request = moving(place, id, 0, history=[(1, b"a")], number=99)
    assert isinstance(place.ask(request), Committed)
    assert isinstance(place.ask(request), Already)
    assert (get(place, id).version, events(place, id)) == (1, [b"a"])


def test_the_end_of_a_task_and_the_next_one_are_one_commit(place: Any) -> None:
    """The function's effects, its acknowledgement, the step, and the next task under lease."""
    id = begun(place)
    first = SendMessage("charge", f"{id}.call.0", task(id))
    [message] = move(place, id, 0, sends=[first], leases={"charge": 1}).leased
    assert (message.queue, message.attempt) == ("charge", 1)
    second = SendMessage("charge", f"{id}.call.1", task(id, 1))
    answer = move(
        place, id, 1, effects=(place.put("orders", "c", "1", paid=True),), acks=done(message),
        sends=[second], leases={"charge": 1}, function="charge", history=[(1, b"e")],
    )  # fmt: skip
    assert [found.id for found in answer.leased] == [f"{id}.call.1"]
    assert place.get("orders", "c", "1") == {"paid": True}
    assert (depth(place, "charge").waiting, depth(place, "charge").leased) == (0, 1)
    # Its lease is gone: nothing of its end is applied any more.
    late = move(place, id, 2, acks=done(message), function="charge")
    assert late == LeaseLost([f"{id}.call.0"])
    assert get(place, id).version == 2


def test_the_effects_of_the_function_are_checked_by_its_own_grants(place: Any) -> None:
    id = begun(place)
    effect = place.put("notes", "n")
    assert move(place, id, 0, effects=(effect,), function="charge") == Denied("notes", "write")
    assert get(place, id).version == 0


def test_the_effects_of_a_step_are_checked_by_the_grants_of_its_definition(place: Any) -> None:
    id = begun(place)
    allowed = [place.put("orders", "c", "9", n=1), SendMessage("jobs", "j1", b"{}")]
    answer = place.ask(_with_effects(moving(place, id, 0), allowed))
    assert answer == Committed([], {"jobs": place.now_ms})
    assert place.get("orders", "c", "9") == {"n": 1}
    refused = _with_effects(moving(place, id, 1), [place.put("notes", "n")])
    assert place.ask(refused) == Denied("notes", "write")
    # A release that grants nothing any more, or has no such workflow, changes nothing for it.
    bare = WorkflowSpec(name="refund", definition="{}")
    configure(place, "flows-2", workflows=(bare,))
    assert isinstance(place.ask(_with_effects(moving(place, id, 1), allowed[:1])), Committed)
    other = begun(place, "two")
    assert place.ask(_with_effects(moving(place, other, 0), allowed[:1])) == Denied(
        "orders", "write"
    )


def test_reads_for_an_execution_are_checked_by_the_grants_of_its_definition(place: Any) -> None:
    definition = get(place, begun(place)).definition
    place.commit(place.put("orders", "c", "1", n=1))
    key = place.key("c", "1")
    for asking in (f"refund@{definition}", "refund", "refund@flows"):
        assert place.ask(GetItem("orders", *key), asking).body == b'{"n":1}'
        assert place.ask(GetItem("notes", key[0], b""), asking) == Denied("notes", "read")
    assert place.ask(GetItem("orders", *key), f"audit@{definition}") == Denied("orders", "read")
    assert place.ask(GetItem("orders", *key), "audit") == Denied("orders", "read")


def test_a_condition_of_a_steps_effect_undoes_the_whole_commit(place: Any) -> None:
    id = begun(place)
    place.commit(place.put("orders", "c", "1", n=1))
    effect = place.put("orders", "c", "1", when=Absent())
    answer = place.ask(_with_effects(moving(place, id, 0, history=[(1, b"x")]), [effect]))
    assert isinstance(answer, Unmet)
    assert answer.table == "orders"
    assert get(place, id).version == 0


def test_a_step_may_begin_an_execution_whose_end_it_is_told(place: Any) -> None:
    id = begun(place)
    nested = start("nested", workflow="audit", parent=id, parent_call=4)
    answer = place.ask(_with_effects(moving(place, id, 0, leases={"audit": 1}), [nested]))
    [message] = answer.leased
    child = get(place, happened(message).execution)
    assert (child.parent, child.parent_call, child.workflow) == (id, 4, "audit")
    assert child.correlation_id == get(place, id).correlation_id
    move(place, child.id, 0, ended=Ended("SUCCEEDED", b'{"ok":true}'))
    [end] = told(place)
    assert (end.execution, end.event, end.call, end.child) == (id, "succeeded", 4, child.id)
    assert end.output == {"ok": True}
    # Nobody would tell a later call of it: the name is taken, as on AWS.
    for call, why in ((4, "ended"), (5, "nested")):
        later = start("nested", workflow="audit", parent=id, parent_call=call)
        answer = place.ask(_with_effects(moving(place, id, 1), [later]))
        assert answer == Unmet("workflow audit", "nested", why)
    wrong = start("wrong", workflow="audit", parent=id + 1, parent_call=4)
    assert isinstance(place.ask(_with_effects(moving(place, id, 1), [wrong])), Rejected)
    denied = start("denied", workflow="refund")
    assert place.ask(_with_effects(moving(place, id, 1), [denied])) == Denied("refund", "start")


def test_a_step_starts_one_name_again_only_while_that_runs(place: Any) -> None:
    """As on AWS; a handler, which may be called again later, gets what it began."""
    id = begun(place)
    other = begun(place, "other", workflow="audit")
    again = start("other", workflow="audit")
    assert isinstance(place.ask(_with_effects(moving(place, id, 0), [again])), Committed)
    move(place, other, 0, ended=Ended("SUCCEEDED", b"1"))
    answer = place.ask(_with_effects(moving(place, id, 1), [again]))
    assert answer == Unmet("workflow audit", "other", "ended")
    assert isinstance(ordered(place, again), Committed)


def test_events_are_kept_in_order_and_must_follow(place: Any) -> None:
    id = begun(place)
    move(place, id, 0, history=[(1, b"a"), (2, b"b")])
    move(place, id, 1)
    move(place, id, 2, history=[(3, b"c"), (4, b"d"), (5, b"e")])
    assert events(place, id) == [b"a", b"b", b"c", b"d", b"e"]
    assert find(place).events == 5
    for wrong in ([(5, b"x")], [(6, b"x"), (8, b"y")], [(7, b"x"), (6, b"y")]):
        assert isinstance(move(place, id, 3, history=wrong), Rejected)
    assert get(place, id).version == 3


def test_messages_of_a_step_keep_to_the_bounds_of_messages(place: Any) -> None:
    id = begun(place)
    for bad in (
        SendMessage("nowhere", "m", b"{}"), SendMessage("charge", "", b"{}"),
        SendMessage("charge", "m", b"x" * (limits.MESSAGE_BYTES + 1)),
        SendMessage("charge", "m", b"{}", -1),
    ):  # fmt: skip
        assert isinstance(move(place, id, 0, sends=[bad]), Rejected)
    assert get(place, id).version == 0


def test_all_that_a_step_sends_belongs_to_the_executions_correlation(place: Any) -> None:
    ordered(place, start(), correlation_id="mine")
    [begin] = told(place)
    id = begin.execution
    sent = SendMessage("charge", "t1", task(id))
    move(place, id, 0, sends=[sent], correlation_id="somebody-else")
    [message] = place.claim(queue="charge")
    assert message.correlation_id == "mine"


def _with_effects(request: Any, effects: list[Any]) -> Any:
    [step] = request.advances
    return replace(request, advances=[replace(step, effects=effects)])
