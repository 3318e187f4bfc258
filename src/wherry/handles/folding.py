"""Two writes on one key within one run become one effect, or are refused."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from wherry.codec import from_json, to_json, within
from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.effects import DeleteItem, PutItem, UpdateItem

    Write = PutItem | UpdateItem | DeleteItem


def fold(first: Write, second: Write) -> Write:
    """Return the one effect that does what `first` and then `second` do.

    The first one's condition is held against what is stored. The second cannot have one: what it
    would be held against exists only in this run.
    """
    import msgspec

    from wherry.effects import DeleteItem, PutItem, UpdateItem

    if second.when is not None:
        raise Refused(
            f"Two writes on one key of {first.table!r}: the second cannot have a condition.",
            advice="Read the key and decide in Python, or split the work with app.atomic.",
        )
    match first, second:
        case _, PutItem() | DeleteItem():
            return msgspec.structs.replace(second, when=first.when)
        case PutItem(), UpdateItem():
            body = apply_update(second, first.body)
            _keep_bounds(second, body)
            return msgspec.structs.replace(first, body=body)
        case DeleteItem(), UpdateItem(initial=None):
            raise Refused(f"An item of {first.table!r} is deleted, then updated, in one run.")
        case DeleteItem(), UpdateItem():
            body = apply_update(second, None)
            assert body is not None
            _keep_bounds(second, body)
            return PutItem(first.table, first.pk, first.sk, body, first.when)
        case UpdateItem(), UpdateItem():
            return _fold_updates(first, second)
    raise AssertionError("unreachable")


def _fold_updates(first: UpdateItem, second: UpdateItem) -> UpdateItem:
    import msgspec

    assign, add = from_json(first.assign), from_json(first.add)
    for name, value in from_json(second.assign).items():
        add.pop(name, None)
        assign[name] = value
    for name, value in from_json(second.add).items():
        if name in assign:
            assign[name] = _sum(first.table, name, assign[name], value)
            _keep_bounds(second, to_json({name: assign[name]}))
        else:
            add[name] = add.get(name, 0) + value
    initial = first.initial if second.initial is not None or second.assign == b"{}" else None
    bounds = from_json(first.bounds) | from_json(second.bounds)
    kept = {name: bounds[name] for name in add if name in bounds}
    return msgspec.structs.replace(
        first, assign=to_json(assign), add=to_json(add), initial=initial, bounds=to_json(kept)
    )


def _keep_bounds(update: UpdateItem, body: bytes | None) -> None:
    """Refuse what the run itself has brought beyond the bounds of a field."""
    if update.bounds == b"{}" or body is None:
        return
    fields = from_json(body)
    for name, bounds in from_json(update.bounds).items():
        if not within(fields[name], bounds):
            raise Refused(
                f"{name!r} of {update.table!r} would be {fields[name]}, which its type does not "
                "take.",
                advice="Look at what is put before it is added to.",
            )


def apply_update(update: UpdateItem, body: bytes | None) -> bytes | None:
    """Return the item's JSON after `update`, as this run sees it; None where none is there."""
    if body is None:
        if update.initial is None:
            return None
        body = update.initial
    fields: dict[str, Any] = from_json(body)
    fields.update(from_json(update.assign))
    for name, value in from_json(update.add).items():
        fields[name] = _sum(update.table, name, fields.get(name, 0), value)
    return to_json(fields)


def _sum(table: str, name: str, old: Any, value: Any) -> Any:
    if isinstance(old, bool) or not isinstance(old, int | float):
        raise Refused(f"{name!r} of {table!r} is not a number; add() cannot change it.")
    total = old + value
    if isinstance(total, float) and not isfinite(total):
        raise Refused(f"{name!r} of {table!r} would be {total} after add({name}={value}).")
    return total
