"""Several engines on one Postgres move executions: each step counts once, whoever makes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.test_postgres_engines import ENGINES, Engines
from tests.contract.workflow_kit import (
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
from tests.postgres_kit import schema
from wherry.effects import EndTask, SendMessage
from wherry.ports import (
    Already,
    ChildExecution,
    Claim,
    Committed,
    Conflicted,
    Ended,
    LeaseLost,
    Nothing,
    Sweep,
    Unmet,
    WakeExecutions,
)
from wherry.world import ManualClock


@pytest.fixture
def engines() -> Iterator[Engines]:
    with schema(ManualClock()) as found:
        made = Engines(found)
        configure(made.place)
        yield made


def advance(place: Any, seconds: float) -> None:
    """Move the clock, for all engines."""
    place.advance(seconds)
    place.platform.query("SELECT now_ms()")


def test_of_several_steps_from_one_version_one_is_made(engines: Engines) -> None:
    place = engines.place
    id = begun(place)
    for version in range(5):
        steps = [
            moving(place, id, version, head=b"%d" % n, history=[(version + 1, b"e")])
            for n in range(6)
        ]
        answers = Counter(type(answer) for answer in engines.together(steps))
        assert answers == {Committed: 1, Conflicted: 5}
    assert (get(place, id).version, len(events(place, id))) == (5, 5)


def test_a_step_that_is_asked_for_twice_at_once_is_made_once(engines: Engines) -> None:
    place = engines.place
    id = begun(place)
    step = moving(place, id, 0, sends=[SendMessage("charge", "one", task(id))])
    answers = Counter(type(answer) for answer in engines.together([step] * ENGINES))
    assert answers == {Committed: 1, Already: ENGINES - 1}
    assert len(place.claim(queue="charge")) == 1


def test_starts_of_one_name_at_once_are_one_execution(engines: Engines) -> None:
    place = engines.place
    orders = [
        place.request(start("same", b"%d" % (n % 2)), function="caller", release="flows")
        for n in range(8)
    ]
    answers = Counter(type(answer) for answer in engines.together(orders))
    assert answers == {Committed: 4, Unmet: 4}  # the same input is the same execution
    assert len(told(place)) == 1


def test_a_token_ends_its_task_once_however_many_give_it_back(engines: Engines) -> None:
    place = engines.place
    id = begun(place)
    move(place, id, tokens=["t"])
    ends = [
        place.request(
            EndTask("refund", "t", f"end-{n}", "succeeded", b"%d" % n),
            function="caller",
            release="flows",
        )
        for n in range(6)
    ]
    answers = Counter(type(answer) for answer in engines.together(ends))
    assert answers == {Committed: 1, Unmet: 5}
    assert [one.event for one in told(place)] == ["token_succeeded"]


def test_who_is_due_is_woken_once(engines: Engines) -> None:
    place = engines.place
    ids = [begun(place, f"n{n}") for n in range(20)]
    for id in ids:
        move(place, id, wake_ms=place.now_ms + 10)
    advance(place, 1)
    engines.together([WakeExecutions(10)] * 9)
    for _ in range(2):  # whom all have passed over because another one looked is still due
        place.ask(WakeExecutions(10))
    assert sorted(one.execution for one in told(place)) == ids


def test_the_end_of_a_task_and_its_withdrawal_at_once_leave_one_of_both(engines: Engines) -> None:
    place = engines.place
    for number in range(10):
        id = begun(place, f"n{number}")
        message = f"task{number}"
        move(place, id, 0, sends=[SendMessage("charge", message, task(id))])
        [found] = place.ask(Claim("charge", 1, "engine-1")).messages
        ends = moving(place, id, 1, function="charge", acks=done(found), head=b"ended")
        stops = moving(place, id, 1, cancels=[("", message)], head=b"stopped")
        answers = {type(one) for one in engines.together([ends, stops])}
        assert answers in ({Committed, Conflicted}, {Committed, LeaseLost})
        assert get(place, id).version == 2
        assert place.claim(queue="charge") == []


def test_children_that_end_at_once_are_all_told_to_their_parent(engines: Engines) -> None:
    place = engines.place
    parent = begun(place)
    born = move(
        place, parent, children=[ChildExecution(f"c{n}", n, b"") for n in range(12)],
        leases={"refund": 12},
    ).leased  # fmt: skip
    ids = [happened(one).execution for one in born]
    for one in born:
        place.acknowledge(one)
    engines.together([moving(place, id, 0, ended=Ended("SUCCEEDED", b"1")) for id in ids])
    heard = told(place)
    assert sorted(one.child for one in heard) == sorted(ids)
    assert {(one.execution, one.event) for one in heard} == {(parent, "succeeded")}


def test_steps_and_orders_on_crossing_executions_do_not_wait_for_ever(engines: Engines) -> None:
    place = engines.place
    ids = [begun(place, f"n{n}") for n in range(4)]
    for _ in range(5):
        versions = {id: get(place, id).version for id in ids}
        crossing = []
        for turn in range(6):
            order = ids if turn % 2 else ids[::-1]
            both = [moving(place, id, versions[id], tokens=[f"t{id}"]) for id in order]
            first = both[0]
            first.advances.extend(one.advances[0] for one in both[1:])
            crossing.append(first)
        answers = Counter(type(answer) for answer in engines.together(crossing))
        assert answers == {Committed: 1, Conflicted: 5}
    assert {get(place, id).version for id in ids} == {5}


def test_several_engines_sweep_what_has_ended_and_none_stumbles(engines: Engines) -> None:
    place = engines.place
    for n in range(6):
        id = begun(place, f"n{n}")
        history = [(number, b"e") for number in range(1, 30)]
        move(place, id, history=history, ended=Ended("SUCCEEDED", b"1"))
    advance(place, 91 * 86_400)
    for _ in range(6):
        engines.together([Sweep(10)] * ENGINES)
    assert isinstance(find(place, "n0"), Nothing)
    assert isinstance(ordered(place, start("n0")), Committed)
