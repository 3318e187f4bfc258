"""Executions are stored: whatever ends a store's process, they go on where they were."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace

from tests.contract.trigger_kit import depth, failures
from tests.contract.workflow_kit import (
    Again,
    begun,
    configure,
    done,
    events,
    find,
    get,
    move,
    moving,
    ordered,
    start,
    task,
    told,
    wake,
)
from wherry import limits
from wherry.effects import EndTask, SendMessage
from wherry.errors import Passing
from wherry.platforms.sql.client import StoreClient
from wherry.platforms.sql.store import SqlStore
from wherry.ports import (
    Already,
    ChildExecution,
    Commit,
    Committed,
    Ended,
    Inboxed,
    MessageAck,
    Part,
    Sweep,
    Unmet,
)
from wherry.world import ManualClock

SEED = int(os.environ.get("WHERRY_SEED", "20261121"))
STEPS = 60


@pytest.fixture
def again(tmp_path: Path) -> Again:
    return Again(tmp_path)


def test_an_execution_is_after_a_crash_what_it_was(again: Again) -> None:
    place = again.place
    id = begun(place)
    move(
        place, id, 0, head=b"head", parts=[Part("f", "1", b"frame")], history=[(1, b"a")],
        wake_ms=place.now_ms + 1_000, tokens=["tok"], states=["Charge"],
        sends=[SendMessage("charge", "t1", task(id))],
    )  # fmt: skip
    before, row = get(place, id), find(place)
    again.crash()
    assert (get(place, id), find(place), events(place, id)) == (before, row, [b"a"])
    assert move(place, id, 0).table == "workflow refund"  # from the version before
    assert ordered(place, start()) == Committed([], {})
    assert ordered(place, start(input=b"7")) == Unmet("workflow refund", "one", "input")
    [message] = place.claim(queue="charge")
    again.crash()
    assert isinstance(move(place, id, 1, acks=done(message), history=[(2, b"b")]), Committed)
    assert isinstance(ordered(place, EndTask("refund", "tok", "e", "succeeded")), Committed)
    place.advance(2)
    again.crash()
    assert [one.event for one in told(place)] == ["token_succeeded"]
    move(place, id, 2, wake_ms=place.now_ms)
    again.crash()
    wake(place)
    again.crash()
    assert wake(place).queued == {}
    assert [one.event for one in told(place)] == ["wake"]


def test_stops_of_many_children_go_on_after_a_crash(again: Again) -> None:
    place = again.place
    id = begun(place)
    count = limits.FIRE_BATCH + 7
    move(place, id, 0, children=[ChildExecution(f"c{n}", n, b"") for n in range(count)])
    assert len(told(place)) == count
    move(place, id, 1, ended=Ended("ABORTED"))
    again.crash()
    wake(place)
    again.crash()
    assert len({one.execution for one in told(place)}) == count


def test_grants_of_a_definition_are_known_after_a_crash(again: Again) -> None:
    place = again.place
    id = begun(place)
    configure(place, "bare", workflows=())
    again.crash()
    request = moving(place, id, 0)
    effect: Any = place.put("orders", "c", "1", n=1)
    step = replace(request.advances[0], effects=[effect])
    assert isinstance(place.ask(replace(request, advances=[step])), Committed)
    assert place.get("orders", "c", "1") == {"n": 1}


def test_a_failure_and_a_sweep_that_has_begun_outlive_a_crash(again: Again) -> None:
    place = again.place
    id = begun(place)
    for version in range(30):
        move(place, id, version, history=[(version + 1, b"e")])
    failed = Inboxed(f"{id}.0", "E", "", b"{}")
    move(place, id, 30, ended=Ended("FAILED", None, "E"), inboxed=failed)
    again.crash()
    assert [row.id for row in failures(place)] == [f"{id}.0"]
    place.advance(90 * 86_400)
    place.ask(Sweep(7))
    again.crash()
    while place.ask(Sweep(7)).count:
        again.crash()
    store: Any = place.platform
    for table in ("executions", "execution_events", "execution_inputs", "failures"):
        assert store._session.run(f"SELECT count(*) FROM {table}").get == 0


# -- a process that is killed ---------------------------------------------------------------------


def chain(place: Any, client_asks: Any, id: int, acknowledged: list[int]) -> None:
    """Move an execution by ends of tasks until the process is gone."""
    message: Any = None
    try:
        for version in range(STEPS):
            sends = [SendMessage("charge", f"{id}.call.{version}", task(id, version))]
            acks = [] if message is None else [MessageAck(message.id, message.token)]
            effects = (place.put("orders", "c", f"{version:04}", n=version),)
            client_asks(version)
            answer = move(
                place, id, version, head=b"%d" % version, parts=[Part("c", "n", b"%d" % version)],
                history=[(version + 1, b"%d" % version)], sends=sends, leases={"charge": 1},
                acks=acks, effects=effects, number=1_000 + version,
            )  # fmt: skip
            assert isinstance(answer, Committed), answer
            [message] = answer.leased
            acknowledged.append(version)
    except Passing:
        pass


def test_a_kill_at_any_moment_leaves_an_execution_between_two_steps(
    make_place: Any, tmp_path: Path
) -> None:
    """State, history, item, the task that is done and the next: all of a step or nothing."""
    chance = random.Random(SEED)
    for trial in range(6):
        path = tmp_path / f"{trial}.sqlite"
        client = StoreClient(str(path))
        place = make_place(client)
        configure(place)
        id = begun(place)
        acknowledged: list[int] = []
        last = chance.randrange(1, STEPS)

        def strike(version: int, client: Any = client, last: int = last) -> None:
            if version == last:
                client.process.send_signal(signal.SIGKILL)

        chain(place, strike, id, acknowledged)
        client.close()
        store = SqlStore(str(path), ManualClock())
        place = make_place(store)
        configure(place)
        execution = get(place, id)
        version = execution.version
        assert len(acknowledged) <= version <= len(acknowledged) + 1
        assert events(place, id) == [b"%d" % n for n in range(version)]
        assert execution.head == b"%d" % (version - 1)
        assert execution.parts == [Part("c", "n", b"%d" % (version - 1))]
        run = store._session.run
        assert run("SELECT count(*) FROM items").get == version
        assert [row[0] for row in run("SELECT id FROM messages").fetchall()] == [
            f"{id}.call.{version - 1}"
        ]
        # It goes on: the last step is known, and the task's lease holds.
        again: Commit = moving(place, id, version - 1, number=1_000 + version - 1)
        assert isinstance(place.ask(again), Already)
        [(token,)] = run("SELECT token FROM messages").fetchall()
        ack = MessageAck(f"{id}.call.{version - 1}", int(token))  # type: ignore[arg-type]
        ended = Ended("SUCCEEDED", b"1")
        assert isinstance(
            move(place, id, version, acks=[ack], ended=ended, number=9_999), Committed
        )
        assert (find(place).status, depth(place, "charge").leased) == ("SUCCEEDED", 0)
        store.close()


def test_starts_that_are_asked_again_after_a_kill_are_one_execution(
    make_place: Any, tmp_path: Path
) -> None:
    path = str(tmp_path / "store.sqlite")
    with StoreClient(path) as client:
        place = make_place(client)
        configure(place)
        assert isinstance(ordered(place, start("a"), number=500), Committed)
        client.process.kill()
    with StoreClient(path) as client:
        place = make_place(client)
        configure(place)
        assert isinstance(ordered(place, start("a"), number=500), Already)
        assert ordered(place, start("a"), number=501) == Committed([], {})
        [message] = place.claim(queue="refund")
        assert json.decode(message.body)["event"] == "begin"
