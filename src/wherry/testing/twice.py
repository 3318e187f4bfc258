"""Does a run repeat itself? Two outcomes of one invocation, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry.codec import key_text
from wherry.effects import (
    CancelMessage,
    DeleteItem,
    DeleteObject,
    Effect,
    EndTask,
    PublishEvent,
    PutItem,
    PutObject,
    RedriveExecution,
    SendMessage,
    StartExecution,
    StopExecution,
    UpdateItem,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.invocation import Outcome

_effects = msgspec.msgpack.Decoder(list[Effect])
SHOWN = 500  # characters of one side of a difference


class NotRepeatable(AssertionError):
    """A handler did two things under one key."""


def compare(function: str, first: Outcome, second: Outcome) -> None:
    """Raise `NotRepeatable` where two runs under one key differ in reply, failure or effects."""
    differences = compare_effects(effects_of(first), effects_of(second))
    for what, one, two in (
        ("the reply", _reply(first), _reply(second)),
        ("how it ended", _end(first), _end(second)),
    ):
        if one != two:
            differences.append(f"{what}:\n    first:  {one}\n    second: {two}")
    refuse(function, differences)


def effects_of(outcome: Outcome) -> list[Effect]:
    """Return what a run wants to change, with all items of a batch."""
    items = [effect for item in outcome.items for effect in _effects.decode(item.effects)]
    return [*_effects.decode(outcome.effects), *items]


def refuse(function: str, differences: list[str]) -> None:
    """Raise `NotRepeatable` if there are differences."""
    if differences:
        lines = "\n".join(f"  {line}" for line in differences)
        raise NotRepeatable(
            f"{function} was run twice under one key and differs:\n{lines}\n"
            "Take time and chance from wherry: now(), new_id(), current().key(name)."
        )


def compare_effects(first: Sequence[Effect], second: Sequence[Effect]) -> list[str]:
    """Return the differences in words."""
    found = []
    for number in range(max(len(first), len(second))):
        one = show(first[number]) if number < len(first) else "nothing"
        two = show(second[number]) if number < len(second) else "nothing"
        if one != two:
            found.append(f"effect {number + 1}:\n    first:  {_cut(one)}\n    second: {_cut(two)}")
    return found


def show(effect: Effect) -> str:
    """Show an effect to a person: all that must repeat itself is in it."""
    match effect:
        case PutItem():
            return f"put {_key(effect)} {effect.body.decode()}{_when(effect.when)}"
        case UpdateItem():
            change = f"{effect.assign.decode()} + {effect.add.decode()}"
            return f"update {_key(effect)} {change}{_when(effect.when)}"
        case DeleteItem():
            return f"delete {_key(effect)}{_when(effect.when)}"
        case SendMessage():
            delay = f" in {effect.delay_ms} ms" if effect.delay_ms else ""
            group = f" of {effect.group}" if effect.group else ""
            once = f" once as {effect.dedup}" if effect.dedup else ""
            return f"send {effect.queue} {effect.id} {effect.body.decode()}{delay}{group}{once}"
        case PublishEvent():
            return f"publish {effect.event}@{effect.version} {effect.id} {effect.body.decode()}"
        case CancelMessage():
            return f"cancel {effect.queue} {effect.id}"
        case PutObject():
            more = "".join(f" {name}={value}" for name, value in effect.metadata.items())
            content = f"{effect.size_bytes} bytes, sha256 {effect.sha256[:12]}"
            only = " if absent" if effect.if_absent else ""
            where = f"{effect.bucket}/{effect.key}"
            return f"put {where} {effect.media_type} ({content}){more}{only}"
        case DeleteObject():
            return f"delete {effect.bucket}/{effect.key}"
        case StartExecution():
            return f"start {effect.workflow} {effect.name} {effect.id} {effect.input.decode()}"
        case StopExecution():
            return f"stop {effect.workflow} {effect.name} {effect.error} {effect.cause}"
        case RedriveExecution():
            return f"redrive {effect.workflow} {effect.name}"
        case EndTask():
            what = f"{effect.output.decode()} {effect.error} {effect.cause}"
            return f"{effect.kind} {effect.workflow} {effect.token} {what}"


def _key(effect: PutItem | UpdateItem | DeleteItem) -> str:
    sort = f"/{key_text(effect.sk)}" if effect.sk else ""
    return f"{effect.table}/{key_text(effect.pk)}{sort}"


def _when(condition: Any) -> str:
    return f" when {condition!r}" if condition is not None else ""


def _reply(outcome: Outcome) -> str:
    reply = outcome.reply
    return (
        "none" if reply is None else f"{reply.status} {_cut(reply.body.decode(errors='replace'))}"
    )


def _end(outcome: Outcome) -> str:
    ends = [outcome.failure, *(item.failure for item in outcome.items)]
    shown = [f"{one.error}: {one.message}" if one is not None else "it returned" for one in ends]
    return "; ".join(shown)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
