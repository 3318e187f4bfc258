"""A run as the store keeps it: a head, and beside it its frames and its cells.

The only frame of a run without branches is in the head: each step changes both.
MessagePack; where it cannot say a value (a whole number of more than 64 bits, half a surrogate
pair), JSON. The first byte tells which.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from wherry.codec import from_msgpack, to_msgpack
from wherry.ports import Execution, Part
from wherry.statemachine.records import Call, Frame, HistoryEvent, Run

T = TypeVar("T")

OWN = "~"  # begins the keys of cells that are the driver's: calls that the engine does itself
_JSON = b"[{"  # what a text of JSON begins with, and a record in MessagePack never does

_Head = tuple[Run, bool]
_head = msgspec.msgpack.Decoder(_Head)
_frame = msgspec.msgpack.Decoder(Frame)
_call = msgspec.msgpack.Decoder(tuple[Call])


def pack(value: Any) -> bytes:
    """Return a record, or a list, as bytes."""
    try:
        return to_msgpack(value)
    except (OverflowError, UnicodeEncodeError):
        import json

        return json.dumps(msgspec.to_builtins(value, str_keys=True)).encode()


def _unpack(body: bytes, kind: type[T], decoder: msgspec.msgpack.Decoder[T]) -> T:
    if body[0] not in _JSON:
        return decoder.decode(body)
    import json

    return msgspec.convert(json.loads(body), kind, str_keys=True)


# --- the head -------------------------------------------------------------------------------------


def only_frame(run: Run) -> int | None:
    """Return the number of the frame that is kept in the head, if one is."""
    if len(run.frames) != 1:
        return None
    [(number, frame)] = run.frames.items()
    return number if frame.join is None else None


def pack_head(run: Run, inside: int | None) -> bytes:
    """Return a run without what is kept elsewhere: its input, its output, frames and cells.

    Args:
        inside: `only_frame` of it.
    """
    shared = run.item is run.input
    item = msgspec.UNSET if shared else run.item
    frames = {} if inside is None else run.frames
    return pack((replace(run, input=None, item=item, output=None, frames=frames, cells={}), shared))


def unpack(found: Execution) -> tuple[Run, dict[int, Call]]:
    """Return the run of an execution whose head is there, and the calls that the engine does."""
    run, shared = _unpack(found.head, _Head, _head)  # type: ignore[arg-type]
    run.input = msgspec.json.decode(found.input)
    if shared:
        run.item = run.input
    run.cells = {}
    calls: dict[int, Call] = {}
    for part in found.parts:
        assert part.body is not None
        if part.kind == "f":
            run.frames[int(part.key)] = _unpack(part.body, Frame, _frame)
        elif part.key.startswith(OWN):
            (call,) = _unpack(part.body, tuple[Call], _call)
            calls[call.id] = call
        else:
            run.cells[part.key] = _value(part.body)
    # The interpreter goes through frames in the order in which they were made.
    run.frames = dict(sorted(run.frames.items()))
    return run, calls


# --- parts ----------------------------------------------------------------------------------------


def frame_part(run: Run, number: int) -> Part:
    """Return a frame as it is now; without a body where it is gone."""
    frame = run.frames.get(number)
    return Part("f", str(number), None if frame is None else pack(frame))


def frame_gone(number: int) -> Part:
    """Return that a frame is not beside the head any more."""
    return Part("f", str(number), None)


def cell_part(run: Run, name: str) -> Part:
    """Return a cell as it is now; without a body where it is gone."""
    return Part("c", name, pack([run.cells[name]]) if name in run.cells else None)


def call_part(call: Call) -> Part:
    """Return a call that the engine is to do."""
    return Part("c", f"{OWN}{call.id}", pack((call,)))


def call_done(call: int) -> Part:
    """Return that a call of the engine's own is no longer to be done."""
    return Part("c", f"{OWN}{call}", None)


def _value(body: bytes) -> Any:
    if body[0] not in _JSON:
        return from_msgpack(body)[0]
    import json

    return json.loads(body)[0]


def pack_event(event: HistoryEvent) -> tuple[int, bytes]:
    """Return an event with its number, as the store keeps it."""
    try:
        return event.id, to_msgpack(event)
    except (OverflowError, UnicodeEncodeError):  # in AWS's history they are replaced, too
        text = msgspec.json.encode(_told(event.details)).decode()
        shown = replace(event, details=msgspec.json.decode(text))
        return event.id, to_msgpack(shown)


def _told(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_told(name): _told(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_told(one) for one in value]
    return value if value is None or isinstance(value, bool | float) else str(value)
