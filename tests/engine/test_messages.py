"""Messages in a real engine: neighbours, retries, the failure inbox, delays, backlogs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wherry import limits
from wherry.ports import Count, FailedWork, Redrive

from .server_kit import Engine, serving, until
from .stores_kit import both_stores


@pytest.fixture(scope="module")
def ledger(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`apps/ledger.py`, whose consumer `task` does as it is told."""
    with serving("ledger", tmp_path_factory.mktemp("ledger") / "data") as engine:
        yield engine


def send(ledger: Engine, *tasks: dict[str, Any], delay_s: float = 0.0) -> str:
    """Send tasks in one commit; return the correlation ID."""
    reply = ledger.client("POST", "/tasks", {"tasks": list(tasks), "delay_s": delay_s})
    assert reply.status == 200, reply
    return reply.headers["x-correlation-id"]


def runs(ledger: Engine, name: str) -> int:
    """How many attempts of a task had their effect."""
    return int(ledger.client("GET", f"/dones/{name}").json()["runs"])


def failed(ledger: Engine, name: str) -> FailedWork | None:
    rows = ledger.failures("tasks").rows
    return next((row for row in rows if msgspec.json.decode(row.body)["name"] == name), None)


def endings(ledger: Engine, correlation_id: str) -> list[str]:
    rows = ledger.timeline(correlation_id).records
    return [row.ending for row in rows if row.function == "task"]


@both_stores
def test_a_poison_message_is_tried_again_and_then_waits_in_the_inbox(ledger: Engine) -> None:
    """Three attempts with growing waits, no effect; payload, error and attempts are kept."""
    told = {"name": "poison", "failures": 99}
    correlation_id = send(ledger, told)
    row = until(lambda: failed(ledger, "poison"), "it in the inbox")
    assert msgspec.json.decode(row.body)["failures"] == 99
    assert (row.attempts, row.code, row.correlation_id) == (3, "handler_failed", correlation_id)
    assert row.error == "RuntimeError: poison cannot be done now"
    assert runs(ledger, "poison") == 0
    records = ledger.timeline(correlation_id).records
    attempts = [record for record in records if record.function == "task"]
    assert [record.attempt for record in attempts] == [1, 2, 3]
    assert {record.ending for record in attempts} == {"failed"}
    at_ms = [record.at_ms for record in attempts]
    assert at_ms[1] - at_ms[0] >= 25  # half of the 50 ms that are declared, at least
    assert at_ms[2] - at_ms[1] >= 50


@both_stores
def test_a_message_that_fails_twice_has_its_effect_once(ledger: Engine) -> None:
    """What its failed attempts recorded is dropped."""
    correlation_id = send(ledger, {"name": "third", "failures": 2})
    until(lambda: endings(ledger, correlation_id) == ["failed", "failed", "ok"], "success")
    assert runs(ledger, "third") == 1
    assert failed(ledger, "third") is None


def test_one_that_must_not_be_tried_again_is_not(ledger: Engine) -> None:
    """`DoNotRetry` goes to the inbox after one attempt."""
    send(ledger, {"name": "never", "for_good": True})
    row = until(lambda: failed(ledger, "never"), "it in the inbox")
    assert row.attempts == 1
    assert "can never be done" in row.error


def test_a_hanging_message_is_ended_and_tried_again(ledger: Engine) -> None:
    """At its deadline its process is killed; each time counts; its neighbour is done before."""
    correlation_id = send(ledger, {"name": "slow", "work_s": 30}, {"name": "neighbour"})
    row = until(lambda: failed(ledger, "slow"), "it in the inbox")
    assert (row.attempts, row.code) == (3, "deadline_exceeded")
    records = [one for one in ledger.timeline(correlation_id).records if one.function == "task"]
    ended = {one.ending: one.at_ms + one.waited_ms + one.ran_ms for one in records}  # the last
    assert [one.ending for one in records].count("timeout") == 3
    assert ended["ok"] < ended["timeout"]


def test_poison_never_delays_its_neighbours(ledger: Engine) -> None:
    """All good ones are done while as many bad ones are still being tried again."""
    bad = [{"name": f"bad-{one}", "failures": 99} for one in range(40)]
    good = [{"name": f"good-{one}"} for one in range(40)]
    before = ledger.failures("tasks").total
    correlation_id = send(ledger, *(one for pair in zip(bad, good, strict=True) for one in pair))
    until(lambda: endings(ledger, correlation_id).count("ok") == 40, "all good ones")
    until(lambda: ledger.failures("tasks").total == before + 40, "all bad ones", 30.0)
    assert {runs(ledger, f"good-{one}") for one in range(40)} == {1}
    assert {runs(ledger, f"bad-{one}") for one in range(40)} == {0}


def test_failed_work_is_done_when_its_cause_is_gone(ledger: Engine, tmp_path: Path) -> None:
    """Redriven it begins anew, under the key of before, and has its effect once."""
    cause = tmp_path / "cause"
    send(ledger, {"name": "again", "until": str(cause)})
    row = until(lambda: failed(ledger, "again"), "it in the inbox")
    cause.touch()
    assert ledger.ask(Redrive([row.id], None, "tester")) == Count(1)
    until(lambda: runs(ledger, "again") == 1, "its effect")
    assert failed(ledger, "again") is None
    assert ledger.ask(Redrive([row.id], None, "tester")) == Count(0)


@both_stores
def test_failed_work_can_be_mended_and_then_done(ledger: Engine) -> None:
    """Redriven with another payload it is another message, and the old one is gone."""
    send(ledger, {"name": "mended", "for_good": True})
    row = until(lambda: failed(ledger, "mended"), "it in the inbox")
    body = msgspec.json.encode(msgspec.json.decode(row.body) | {"for_good": False})
    assert ledger.ask(Redrive([row.id], None, "tester", body, f"{row.id}-mended")) == Count(1)
    until(lambda: runs(ledger, "mended") == 1, "its effect")
    assert failed(ledger, "mended") is None


@both_stores
def test_a_delayed_message_comes_in_time(ledger: Engine) -> None:
    """Not before it is due, and then without waiting for a poll."""
    began_ms = time.time() * 1000
    correlation_id = send(ledger, {"name": "later"}, delay_s=0.4)
    until(lambda: "ok" in endings(ledger, correlation_id), "it")
    record = next(row for row in ledger.timeline(correlation_id).records if row.function == "task")
    assert record.at_ms >= began_ms + 400 - 1
    assert record.waited_ms < 1000 * limits.POLL_S


def test_a_thousand_messages_drain(ledger: Engine) -> None:
    """A backlog is worked off by few processes, each message once."""
    sent = [
        send(ledger, *({"name": f"many-{batch}-{one}"} for one in range(80))) for batch in range(13)
    ]
    until(lambda: ledger.drained("tasks"), "an empty queue", 30.0)
    for number, correlation_id in enumerate(sent):
        until(lambda: len(endings(ledger, correlation_id)) == 80, "its records")  # noqa: B023
        assert set(endings(ledger, correlation_id)) == {"ok"}
        assert runs(ledger, f"many-{number}-79") == 1
    assert len(ledger.environments("task")) <= 4
