"""What runs by itself, in a real engine: events, schedules, pauses, the redrive of many."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from .server_kit import WHERRY, Engine, serving, until
from .stores_kit import both_stores, sqlite_alone

VERB_S = 30


def verb(engine: Engine, *arguments: str) -> str:
    """Run a verb on the engine's data folder."""
    command = [*WHERRY, *arguments, "--data", str(engine.root)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=VERB_S)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def count(engine: Engine, name: str) -> int:
    return int(engine.client("GET", f"/beats/{name}").json())


@both_stores
def test_an_event_reaches_each_of_its_listeners_once(tmp_path: Path) -> None:
    """Two listeners, one with a pattern: each event is a message of its own to each."""
    with serving("beats", tmp_path / "data") as engine:
        for size in (1, 5, 50):
            assert engine.client("POST", "/events", {"name": "e", "size": size}).status == 202
        until(lambda: count(engine, "heard") == 3, "all of them")
        until(lambda: count(engine, "large") == 1, "the large one")
        until(lambda: engine.drained("listen") and engine.drained("listen_large"), "the end")
        assert (count(engine, "heard"), count(engine, "large")) == (3, 1)
        assert "event beats.happened v1" in verb(engine, "logs", "--function", "listen")


def test_a_schedule_fires_and_stops_while_it_is_paused(tmp_path: Path) -> None:
    """`pause` is seen in both lists; what falls due meanwhile is skipped; `resume` goes on."""
    with serving("beats", tmp_path / "data") as engine:
        until(lambda: count(engine, "tick") == 1, "the first firing")
        assert "each-minute" in verb(engine, "schedules")
        assert "schedule each-minute 20" in verb(engine, "timeline")
        assert "is paused" in verb(engine, "pause", "tick")
        assert "paused" in verb(engine, "schedules")
        assert "tick (paused)" in verb(engine, "queues")
        assert "was paused already" in verb(engine, "pause", "tick")
        assert "goes on" in verb(engine, "resume", "tick")
        assert "paused" not in verb(engine, "schedules")


@sqlite_alone("there is no process of a store that could be stopped")
def test_the_status_is_told_where_the_store_does_not_answer(tmp_path: Path) -> None:
    """Without what only the store knows, and it says so."""
    with serving("beats", tmp_path / "data") as engine:
        store = engine.status()["store"]["pid"]
        os.kill(store, signal.SIGSTOP)
        try:
            told = verb(engine, "status")
        finally:
            os.kill(store, signal.SIGCONT)
        assert engine.url in told
        assert "What is held is not known" in told


def test_messages_of_a_paused_app_wait_until_it_goes_on(tmp_path: Path) -> None:
    """Also those that would be born leased: requests are answered, nothing of theirs is begun."""
    with serving("beats", tmp_path / "data") as engine:
        verb(engine, "pause")
        for size in range(3):
            assert engine.client("POST", "/events", {"name": "e", "size": size}).status == 202
        assert engine.depth("listen").waiting == 3
        assert count(engine, "heard") == 0
        verb(engine, "resume")
        until(lambda: count(engine, "heard") == 3, "their turn")


def test_many_failures_go_back_little_by_little_and_can_be_stopped(tmp_path: Path) -> None:
    """150 failures at 20 a second: under way, then stopped; the rest stays in the inbox."""
    with serving("beats", tmp_path / "data") as engine:
        assert engine.client("POST", "/works", {"count": 80, "fails": True}).status == 202
        assert engine.client("POST", "/works", {"count": 70, "fails": True}).status == 202
        until(lambda: engine.depth("works").failed == 150, "150 failures", 30.0)
        assert engine.client("POST", "/fix").status == 204
        assert "works" in verb(
            engine, "failures", "redrive", "--queue", "works", "--per-second", "20"
        )
        until(lambda: count(engine, "again") > 0, "the first ones")
        assert "works" in verb(engine, "failures", "redrives")
        assert "is stopped" in verb(engine, "failures", "stop", "works")
        assert "No redrive" in verb(engine, "failures", "redrives")
        until(lambda: engine.drained("works"), "the end")
        left = engine.depth("works").failed
        assert 0 < left < 150
        assert left + count(engine, "again") == 150
