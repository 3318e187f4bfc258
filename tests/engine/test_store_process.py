"""The engine's end of the store process: what is asked again when that dies, and in which order."""

from __future__ import annotations

import asyncio
import functools
import os
import select
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import uvloop

from tests.contract.conftest import Place
from wherry.engine.store import When
from wherry.engine.storeprocess import StoreProcess
from wherry.ports import Claim, Claims, QueueDepths, Recover, Request
from wherry.world import SystemClock

from .server_kit import until


class Asked:
    """A store process that is asked from outside of its loop."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop or asyncio.new_event_loop()
        self.process = StoreProcess(
            self.loop, SystemClock(), str(path), self._restarted, lambda why: None
        )

    def _restarted(self) -> None:
        self.process.send("", Recover("engine", []), lambda answer: None)

    def send(self, request: Request, function: str = "") -> asyncio.Future[Any]:
        """Ask and do not wait."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.process.send(function, request, answer.set_result)
        return answer

    def wait(self, answer: asyncio.Future[Any]) -> Any:
        """Wait for an answer."""
        return self.loop.run_until_complete(asyncio.wait_for(answer, 30))

    def turn(self) -> int:
        """Let the loop go round once; return the present process."""
        self.loop.run_until_complete(asyncio.sleep(0))
        return self.process.pid

    def run(self, asked: Iterable[tuple[str, Request]]) -> list[Any]:
        return [self.wait(answer) for answer in [self.send(two, one) for one, two in asked]]

    def close(self) -> None:
        self.process.stop()
        self.loop.close()


def test_a_store_that_dies_after_an_answer_and_before_a_request_is_replaced(
    tmp_path: Path,
) -> None:
    """Its answer lies unread with us, our request with it: uvloop tells of that once."""
    asked = Asked(tmp_path / "store.sqlite", uvloop.new_event_loop())
    asked.wait(asked.send(QueueDepths()))
    pid = asked.process.pid
    first = asked.send(QueueDepths())
    asked.process._flush()
    select.select([asked.process._sock], [], [], 30)  # answered, and not read by us
    os.kill(pid, signal.SIGSTOP)
    until(lambda: "T" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3], "a stop")
    second = asked.send(QueueDepths())
    asked.process._flush()
    os.kill(pid, signal.SIGKILL)
    until(lambda: "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3], "its end")
    assert asked.wait(first) == asked.wait(second)
    assert asked.process.pid != pid
    asked.close()


def test_what_a_store_hands_out_as_it_dies_twice_is_not_taken_back(tmp_path: Path) -> None:
    """What the engine asks at a restart is asked before what was owed, and never again behind it.

    Else a message whose claim is answered by the successor would be given back and run twice.
    """
    store = Asked(tmp_path / "store.sqlite")
    try:
        place = Place(store, lambda seconds: None)
        place.send("a")
        os.kill(store.process.pid, signal.SIGSTOP)
        claimed = store.send(Claim("jobs", 1, "engine"))
        for _ in range(2):
            pid = store.process.pid
            os.kill(pid, signal.SIGKILL)
            until(lambda: store.turn() != pid, "the next store")  # noqa: B023
            os.kill(store.process.pid, signal.SIGSTOP)
        os.kill(store.process.pid, signal.SIGCONT)
        answer = store.wait(claimed)
        assert isinstance(answer, Claims)
        assert [message.id for message in answer.messages] == ["a"]
        depths = {row.queue: row for row in place.ask(QueueDepths()).rows}
        assert (depths["jobs"].waiting, depths["jobs"].leased) == (0, 1)
    finally:
        store.close()


def test_what_is_sent_now_overtakes_nothing(tmp_path: Path) -> None:
    """It leaves at once where nothing waits for this turn's end, else with that and behind it."""
    store = Asked(tmp_path / "store.sqlite")
    try:
        answered: list[str] = []
        for name, when in (("a", "now"), ("b", "soon"), ("c", "now"), ("d", "soon")):
            kept = functools.partial(lambda name, answer: answered.append(name), name)
            store.process.send("", QueueDepths(), kept, cast(When, when))
        until(lambda: store.turn() and len(answered) == 4, "all answers")
        assert answered == ["a", "b", "c", "d"]
    finally:
        store.close()


def test_where_there_is_no_store_any_more_everything_is_answered_with_why(tmp_path: Path) -> None:
    """Also what comes when the engine has looked whether it hangs: nothing waits for its answer."""
    (tmp_path / "store.sqlite").write_bytes(b"no database" * 1_000)
    store = Asked(tmp_path / "store.sqlite")
    try:
        assert store.wait(store.send(QueueDepths())).code == "fate_unknown"
        store.process.hangs = store.process.silent_s() > 0
        answer = store.wait(store.send(QueueDepths()))
        assert answer.code == "passing"
        assert answer.message.endswith("the store cannot be opened.")
    finally:
        store.close()
