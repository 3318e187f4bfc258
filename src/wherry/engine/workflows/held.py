"""Executions that moved lately, in memory: a cache, whose truth is the version in the store."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.engine.workflows.packing import only_frame, unpack
from wherry.names import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wherry.blueprint import WorkflowSpec
    from wherry.ports import Execution, Part
    from wherry.statemachine.machine import Machine
    from wherry.statemachine.records import Call, Run

_PLACE = f"arn:aws:states:{REGION}:{ACCOUNT}"


class Compiled(msgspec.Struct, frozen=True, eq=False):
    """A workflow as one release declared it. An execution keeps the one that it began with."""

    digest: str
    spec: WorkflowSpec
    machine: Machine
    aside: bool = False  # it evaluates what may take long: in a process of its own


class Loaded(msgspec.Struct, eq=False):
    """An execution as it is at a version. `calls` are those that the engine is to do itself.

    `inside`: the frame that is kept in the head.
    """

    id: int
    workflow: str
    name: str
    version: int
    compiled: Compiled
    run: Run
    calls: dict[int, Call]
    parent: int | None
    redrives: int
    correlation_id: str
    size_bytes: int = 0  # of what is stored of it
    sizes: dict[tuple[str, str], int] = {}  # of its parts
    inside: int | None = None
    head_bytes: int = 0

    def count(self, head: bytes, parts: Iterable[Part]) -> None:
        """Count what became of its head and of its parts."""
        self.size_bytes += len(head) - self.head_bytes
        self.head_bytes = len(head)
        sizes = self.sizes
        for part in parts:
            key = part.kind, part.key
            self.size_bytes -= sizes.pop(key, 0)
            if part.body is not None:
                sizes[key] = len(part.body)
                self.size_bytes += len(part.body)


def loaded_of(found: Execution, compiled: Compiled) -> Loaded:
    """Make an execution of what the store keeps of it."""
    calls: dict[int, Call] = {}
    if found.head:
        run, calls = unpack(found)
    else:
        name = found.workflow
        run = compiled.machine.new_run(
            arn=f"{_PLACE}:execution:{name}:{found.name}",
            name=found.name,
            machine_arn=f"{_PLACE}:stateMachine:{name}",
            machine_name=name,
            input=msgspec.json.decode(found.input),
            role_arn=f"arn:aws:iam::{ACCOUNT}:role/{name}",
        )
    loaded = Loaded(
        found.id,
        found.workflow,
        found.name,
        found.version,
        compiled,
        run,
        calls,
        found.parent,
        found.redrives,
        found.correlation_id,
        len(found.input),
    )
    loaded.count(found.head, found.parts)
    loaded.inside = only_frame(run)
    return loaded


class Held:
    """The executions in memory: so many, of so many bytes; who moved last is kept in any case."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, Loaded] = OrderedDict()
        self._bytes = 0

    def take(self, execution: int) -> Loaded | None:
        """Take an execution out, to move it: what it becomes is put back, or forgotten."""
        found = self._held.pop(execution, None)
        if found is not None:
            self._bytes -= found.size_bytes
        return found

    def put(self, loaded: Loaded) -> None:
        """Keep an execution as it is now."""
        self._held[loaded.id] = loaded
        self._bytes += loaded.size_bytes
        while len(self._held) > 1 and (
            len(self._held) > limits.EXECUTIONS_HELD or self._bytes > limits.EXECUTIONS_HELD_BYTES
        ):
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.size_bytes

    def forget(self) -> None:
        """Keep none: the store may be at other versions than it was, which had the same numbers."""
        self._held.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)
