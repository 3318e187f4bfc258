"""Named steps: effects that commit at once, with their value, before the run goes on.

    held = app.atomic("reserve", reserve_stock, sku)

Every later run of the same invocation returns the stored value without running the step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from msgspec import json

from wherry import limits
from wherry.codec import NotFinite, digest, to_msgpack
from wherry.errors import ConditionFailed, Passing, Refused, rejection
from wherry.handles.scope import Scope, enter, leave, refusal, scope_for
from wherry.handles.shapes import FINITE, Shape, result_type, to_json
from wherry.ports import (
    Already,
    Committed,
    Conflicted,
    Denied,
    GetReply,
    Rejected,
    StepCommit,
    StoredReply,
    Unmet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")
_ordered = json.Encoder(order="deterministic").encode


def atomic(name: str, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `step` and commit its effects at once, together with its return value.

    The value is stored under (invocation key, name, n-th use); a later run of this invocation gets
    it back and is refused where it asks with other arguments. The step sees what is committed, not
    the pending writes around it.

    Raises:
        ConditionFailed: A condition of the step did not hold; nothing of it was applied.
        Refused: Other arguments than in the run before, a step inside a step, or one of a batch
            outside of its items: it would be done again in other company.
    """
    from wherry.invocation import BatchEvent

    outer = scope_for("app.atomic()")
    if outer.inside_step:
        raise Refused("A named step cannot be inside another named step.")
    if isinstance(outer.invocation.event, BatchEvent):
        raise Refused(
            f"The step {name!r} of a batch is outside of its items: it belongs to no message, and "
            "would be done again when these messages come in other company.",
            advice="Call it inside `with item`.",
        )
    use = outer.step_uses.get(name, 0) + 1
    outer.step_uses[name] = use
    key = f"{outer.invocation.key}#{name}#{use}"
    _encoded(name, "arguments", [args, kwargs])
    asked = digest(_ordered([args, kwargs]))  # a set has no order of its own
    shape: Shape[T] = Shape(result_type(step))
    stored = outer.ask(GetReply(key))
    if isinstance(stored, StoredReply):
        return _replay(stored, name, asked, shape)
    for _ in range(limits.CONFLICT_RERUNS + 1):
        inner = _inner_scope(outer, key)
        token = enter(inner)
        try:
            value = _kept(name, step(*args, **kwargs), shape)
        finally:
            leave(token)
        found = _commit(inner, key, asked, value)
        outer.marks.append(f"step {name}")
        if found is not None:
            return _replay(found, name, asked, shape)
    raise Passing(f"The step {name!r} lost {limits.CONFLICT_RERUNS + 1} conflicts in a row.")


def _encoded(name: str, what: str, value: Any) -> bytes:
    try:
        return to_json(value)
    except NotFinite as error:
        raise Refused(f"The {what} of the step {name!r}: {error}.", advice=FINITE) from None


def _kept(name: str, result: Any, shape: Shape[Any]) -> bytes:
    """Return the result as it is stored, if it can be read again: every later run has to."""
    value = _encoded(name, "result", result)
    try:
        shape.decode(value)
    except (TypeError, ValueError) as error:
        raise Refused(
            f"The step {name!r} gave a {type(result).__name__}, which is not what it says that it "
            f"returns: {error}.",
            advice="Return that, or annotate the type that it returns.",
        ) from None
    return value


def _commit(inner: Scope, key: str, asked: str, value: bytes) -> Any:
    """Commit; return what is stored under the key, or None where a conflict was lost."""
    from msgspec import Raw

    effects = inner.effects()
    raw = Raw(to_msgpack(effects))
    step = StepCommit(key, asked, value, raw, len(effects), inner.guards(), inner.marks)
    match inner.link.commit_step(step):
        case Committed():
            return StoredReply(asked, value)
        case Already(stored=stored) if stored is not None:
            return stored
        case Conflicted():
            return None
        case Unmet(table=table, key=item, why=why):
            raise ConditionFailed(table, item, why)
        case Denied(resource=resource, action=action):
            raise refusal(inner, resource, action)
        case Rejected(message=message, code=code):
            raise rejection(code, message)
        case answer:
            raise Passing(f"The step could not be committed: {answer!r}")


def _replay(stored: Any, name: str, asked: str, shape: Shape[T]) -> T:
    if stored.fingerprint != asked:
        raise Refused(
            f"The step {name!r} is asked again with other arguments than in an earlier run.",
            advice="Its arguments must be the same on every run: use now(), new_id(), not clocks.",
        )
    return shape.decode(stored.body)


def _inner_scope(outer: Scope, key: str) -> Scope:
    import msgspec

    inner = outer.part(msgspec.structs.replace(outer.invocation, key=key))
    inner.caller = outer.caller
    inner.inside_step = True
    return inner
