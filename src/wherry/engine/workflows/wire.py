"""What the engine and a process of expressions say to each other: frames of MessagePack.

A run goes over whole when the other side does not have it; after that only what happens to it, and
back only what changed.
"""

from __future__ import annotations

import struct
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from wherry.codec import from_msgpack, to_msgpack
from wherry.statemachine.records import Commands, Event, Frame, Run

T = TypeVar("T")

_length = struct.Struct(">I")


class Ask(Struct, frozen=True):
    """Move a run.

    Attributes:
        definition: The machine's, where this digest has not been told yet.
        run: None: it is as it was after the last step of this `key`.
        events: None: it is redriven.
        seed: Of chance, for all that these events draw.
        poisoned: Every expression fails at once: an attempt before this one did not come back.
        forget: Keys of runs that will not be asked for without the run.
    """

    digest: str
    key: int
    events: list[Event] | None
    now_ms: int
    seed: bytes
    definition: str | None = None
    run: Run | None = None
    poisoned: bool = False
    forget: list[int] = []


class Told(Struct, frozen=True, tag=True):
    """A run that has moved: without its input, and of its parts only those that changed.

    Attributes:
        overran: An expression was broken off.
    """

    head: Run
    frames: dict[int, Frame | None]
    cells: dict[str, Any]
    gone: list[str]
    commands: list[Commands]
    overran: bool = False


class Fault(Struct, frozen=True, tag=True):
    """The interpreter has a mistake, or a run could not be redriven."""

    error: str


def pack(value: Any) -> bytes:
    """Return a frame; what MessagePack cannot say goes as JSON."""
    try:
        body = to_msgpack(value)
    except (OverflowError, UnicodeEncodeError):
        import json

        body = b"\xc1" + json.dumps(msgspec.to_builtins(value, str_keys=True)).encode()
    return _length.pack(len(body)) + body


def unpack(body: bytes, kind: type[T]) -> T:
    """Read what `pack` has written; `body` is without the length."""
    if not body.startswith(b"\xc1"):  # a byte that MessagePack never uses
        return from_msgpack(body, type=kind)
    import json

    return msgspec.convert(json.loads(body[1:]), kind, str_keys=True)


def length_of(head: bytes) -> int:
    """Return how many bytes follow the four of a frame's head."""
    (found,) = _length.unpack(head)
    return int(found)


def difference(run: Run, commands: list[Commands], overran: bool = False) -> Told:
    """Return what changed of a run."""
    frames = set[int]().union(*(one.frames for one in commands))
    cells = set[str]().union(*(one.cells for one in commands))
    head = msgspec.structs.replace(run, frames={}, cells={}, input=None, item=msgspec.UNSET)
    return Told(
        head,
        {number: run.frames.get(number) for number in sorted(frames)},
        {name: run.cells[name] for name in sorted(cells & run.cells.keys())},
        sorted(cells - run.cells.keys()),
        commands,
        overran,
    )


def applied(told: Told, run: Run) -> Run:
    """Return the run after a step; the one before is used up."""
    head = told.head
    head.input, head.item = run.input, run.item
    for number, frame in told.frames.items():
        if frame is None:
            run.frames.pop(number, None)
        else:
            run.frames[number] = frame
    for name in told.gone:
        run.cells.pop(name, None)
    run.cells.update(told.cells)
    head.frames, head.cells = run.frames, run.cells
    return head
