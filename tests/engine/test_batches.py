"""Batches in a real engine: killed in the middle, failed one by one, waiting for company."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wherry.telemetry import InvocationRecord

from .server_kit import Engine, serving, tries, until
from .stores_kit import both_stores, sqlite_alone


@pytest.fixture(scope="module")
def engine(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with serving("crates", tmp_path_factory.mktemp("crates") / "data") as found:
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Engine]:
    """An engine for a test that kills it."""
    with serving("crates", tmp_path / "data") as found:
        yield found


def send(engine: Engine, queue: str, *crates: dict[str, Any]) -> str:
    """Send crates in one commit; return the correlation ID."""
    reply = engine.client("POST", "/crates", {"queue": queue, "crates": list(crates)})
    assert reply.status == 202, reply
    return reply.headers["x-correlation-id"]


def done(engine: Engine, name: str) -> tuple[int, int]:
    """How often a crate was done, and in how large a company."""
    found = engine.client("GET", f"/dones/{name}").json()
    return found["runs"], found["company"]


def records(engine: Engine, correlation_id: str, function: str) -> list[InvocationRecord]:
    rows = engine.timeline(correlation_id).records
    return [row for row in rows if row.function == function]


@sqlite_alone("the messages of a batch end one by one there, and so their places are free")
def test_messages_of_one_commit_come_in_full_batches(engine: Engine) -> None:
    names = [f"many-{number}" for number in range(40)]
    correlation_id = send(engine, "crates", *({"name": name} for name in names))
    until(lambda: engine.drained("crates"), "an empty queue")
    assert {done(engine, name) for name in names} == {(1, 8)}
    until(lambda: len(records(engine, correlation_id, "unpack")) == 40, "its records")
    found = records(engine, correlation_id, "unpack")
    assert {row.ending for row in found} == {"ok"}
    assert len({row.cause for row in found}) == 40


@both_stores
def test_a_failing_item_fails_alone(engine: Engine) -> None:
    """Its neighbours are done in their first attempt; it has three, and no effect."""
    sent = [{"name": f"item-{number}"} for number in range(7)]
    correlation_id = send(engine, "crates", {"name": "item-bad", "do": "fail"}, *sent)
    row = until(lambda: next(iter(engine.failures("crates").rows), None), "it in the inbox")
    assert msgspec.json.decode(row.body)["name"] == "item-bad"
    assert row.attempts == 3
    until(lambda: engine.drained("crates"), "an empty queue")  # they may be another batch's
    assert [done(engine, one["name"])[0] for one in sent] == [1] * 7
    assert done(engine, "item-bad")[0] == 0
    found = records(engine, correlation_id, "unpack")
    assert sorted((row.ending, row.attempt) for row in found) == [
        ("failed", 1), ("failed", 2), ("failed", 3), *[("ok", 1)] * 7,
    ]  # fmt: skip


@pytest.mark.parametrize("do", ["fail", "die"])
@both_stores
def test_a_poison_message_ends_alone_and_its_neighbours_are_done_at_their_first_attempt(
    engine: Engine, do: str
) -> None:
    """Whether it raises for all of them or takes the process along."""
    before = len(engine.failures("pallets").rows)
    sent = [{"name": f"{do}-{number}"} for number in range(7)]
    sent.insert(5, {"name": f"{do}-poison", "do": do})
    correlation_id = send(engine, "pallets", *sent)
    until(lambda: len(engine.failures("pallets").rows) > before, "it in the inbox")
    until(lambda: engine.drained("pallets"), "an empty queue")
    row = engine.failures("pallets").rows[0]
    assert (msgspec.json.decode(row.body)["name"], row.attempts) == (f"{do}-poison", 3)
    counts = {one["name"]: done(engine, one["name"])[0] for one in sent}
    assert counts == dict.fromkeys(counts, 1) | {f"{do}-poison": 0}
    found = records(engine, correlation_id, "unload")
    assert {row.attempt for row in found if row.ending == "ok"} == {1}
    assert {row.ending for row in found} == {"ok", "failed" if do == "fail" else "died"}


def test_a_batch_that_takes_too_long_is_split_until_it_does_not(engine: Engine) -> None:
    """Eight times 0.4 s are more than the function's 2 s."""
    names = [f"long-{number}" for number in range(8)]
    correlation_id = send(engine, "pallets", *({"name": name, "work_s": 0.4} for name in names))
    until(lambda: engine.drained("pallets"), "an empty queue", 60.0)
    assert [done(engine, name)[0] for name in names] == [1] * 8
    found = records(engine, correlation_id, "unload")
    assert {row.ending for row in found} == {"timeout", "ok"}


def test_a_window_is_waited_for_and_a_full_batch_begins_before_its_end(engine: Engine) -> None:
    for number in range(4):
        send(engine, "slow", {"name": f"slow-{number}"})
    until(lambda: engine.depth("slow").leased == 4, "four in hand")
    assert [done(engine, f"slow-{number}")[0] for number in range(4)] == [0] * 4
    send(engine, "slow", {"name": "slow-4"})
    until(lambda: engine.drained("slow"), "an empty queue")
    assert {done(engine, f"slow-{number}") for number in range(5)} == {(1, 5)}


def test_a_function_at_its_most_runs_delays_its_own_messages_only(
    engine: Engine, tmp_path: Path
) -> None:
    """One that waits outside, and has hundreds of messages, beside a quiet neighbour."""
    go_on = tmp_path / "go-on"
    for first in range(0, 240, 80):
        noise = [{"name": f"noise-{first + one}", "until": str(go_on)} for one in range(80)]
        send(engine, "noisy", *noise)
    until(lambda: engine.depth("noisy").leased > 0, "noise")
    for number in range(10):
        send(engine, "crates", {"name": f"quiet-{number}"})
    until(lambda: all(done(engine, f"quiet-{number}")[0] for number in range(10)), "the quiet ones")
    assert done(engine, "noise-0")[0] == 0
    assert len(engine.environments("shout")) == 1
    go_on.touch()
    until(lambda: engine.drained("noisy"), "the noise")
    assert {done(engine, f"noise-{number}")[0] for number in range(240)} == {1}


def test_an_engine_that_stops_gives_back_what_waits_for_company(fresh: Engine) -> None:
    """At once, and no attempt is counted."""
    correlation_id = send(fresh, "slow", {"name": "slow-0"})
    until(lambda: fresh.depth("slow").leased == 1, "it in hand")
    assert fresh.stop() == 0
    fresh.start()
    for number in range(1, 5):
        send(fresh, "slow", {"name": f"slow-{number}"})
    until(lambda: fresh.drained("slow"), "an empty queue")
    (row,) = records(fresh, correlation_id, "ponder")
    assert (row.attempt, row.ending) == (1, "ok")


@pytest.mark.parametrize(("queue", "function"), [("patient", "carry"), ("ordered", "follow")])
def test_whatever_is_killed_in_the_middle_of_batches_each_effect_is_there_once(
    fresh: Engine, queue: str, function: str
) -> None:
    """Environments, the store, the engine itself; in order, where there is one."""
    names = [f"kept-{number}" for number in range(240)]
    for first in range(0, len(names), 60):
        sent = [
            {"name": names[at], "work_s": 0.02, "lane": f"lane-{at % 3}", "place": at}
            for at in range(first, first + 60)
        ]
        send(fresh, queue, *sent)
    chance = random.Random(5)

    def kill_environment() -> None:
        for pid in (tries(lambda: fresh.environments(function)) or [])[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_store() -> None:
        pid = tries(fresh.store_pid)
        if pid and pid != fresh.pid:  # on Postgres there is none
            os.kill(pid, signal.SIGKILL)

    def kill_engine() -> None:
        fresh.kill()
        fresh.start()

    def effects() -> int:
        found = tries(lambda: sum(done(fresh, name)[0] for name in names[::20]))
        return found or 0

    kills = [kill_environment, kill_store, kill_environment, kill_engine, kill_environment]
    chance.shuffle(kills)
    for number, kill in enumerate(kills):
        until(lambda: effects() > number or fresh.drained(queue), "some more")  # noqa: B023
        kill()
    until(lambda: tries(lambda: fresh.drained(queue)), "an empty queue", 60.0)
    assert {done(fresh, name)[0] for name in names} == {1}
    assert not fresh.failures(queue).rows
    found = [fresh.client("GET", f"/lanes/lane-{one}").json() for one in range(3)]
    assert [one["overtaken"] for one in found] == [0, 0, 0]
