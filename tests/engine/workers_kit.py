"""Workers of expressions on a loop, for tests with real processes."""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from wherry.engine.workflows.workers import Workers
from wherry.statemachine.machine import compile_machine
from wherry.statemachine.records import Commands, Event, Run
from wherry.world import Chance

NOW = 1_767_225_600_000
PLACE = "arn:aws:states:eu-central-1:123456789012"
SOON_S = 60  # nothing here takes so long


def machine(*states: dict[str, Any]) -> dict[str, Any]:
    names = "ABCDEFG"
    found = {
        names[n]: {**state, **({"End": True} if n == len(states) - 1 else {"Next": names[n + 1]})}
        for n, state in enumerate(states)
    }
    return {"QueryLanguage": "JSONata", "StartAt": "A", "States": found}


PASS = {"Type": "Pass", "Output": {"n": "{% $states.input.n + 1 %}"}}
TASK = {"Type": "Task", "Resource": "f", "Arguments": {"n": "{% $states.input.n %}"},
        "Output": "{% $states.result %}"}  # fmt: skip


def begun(definition: dict[str, Any], data: Any) -> Run:
    return compile_machine(definition).new_run(
        arn=f"{PLACE}:execution:m:r", name="r", machine_arn=f"{PLACE}:stateMachine:m",
        machine_name="m", input=data,
    )  # fmt: skip


class Asking:
    """Workers on a loop, whose answers are awaited."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self.told: list[str] = []
        self.workers = Workers(asyncio.get_running_loop(), Chance(1), self.told.append)
        self.text = msgspec.json.encode(definition).decode()

    def also(self, definition: dict[str, Any]) -> Asking:
        """Ask the same workers about another definition."""
        other = copy.copy(self)
        other.text = msgspec.json.encode(definition).decode()
        return other

    @property
    def pids(self) -> list[int]:
        return self.workers.pids

    async def move(self, run: Run, *events: Event, key: int = 1) -> tuple[Run, list[Commands]]:
        run, commands = await self.ask(run, list(events), key)
        assert not isinstance(commands, str)
        return run, commands

    async def ask(self, run: Run, events: list[Event] | None, key: int = 1) -> tuple[Run, Any]:
        answer = self.send(run, events, key)
        return await asyncio.wait_for(answer, SOON_S)

    def send(self, run: Run, events: list[Event] | None, key: int = 1) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.workers.advance(
            self.text, self.text, key, run, events, NOW, lambda *found: answer.set_result(found)
        )
        return answer


FEW_STEPS = 20_000  # an expression that has no end takes a tenth of a second, instead of two


@contextmanager
def few_steps() -> Iterator[None]:
    """Have processes that are started meanwhile break off an expression sooner."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        lines = f"from wherry import limits\nlimits.STATE_EXPRESSION_STEPS = {FEW_STEPS}\n"
        Path(folder, "sitecustomize.py").write_text(lines)
        patch.setenv("PYTHONPATH", folder, prepend=os.pathsep)
        yield


def with_worker(definition: dict[str, Any], scene: Callable[[Asking], Awaitable[None]]) -> None:
    async def play() -> None:
        asking = Asking(definition)
        try:
            await scene(asking)
        finally:
            pids = asking.pids
            asking.workers.stop()
            assert asking.pids == []
            assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    with few_steps():
        asyncio.run(play())
