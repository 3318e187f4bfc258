"""What a commit does to items: worked out from an effect and what stands there, without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from wherry import limits
from wherry.codec import from_json, key_text, to_json, within
from wherry.effects import Absent, Condition, DeleteItem, Present, PutItem, UpdateItem
from wherry.errors import StoredItemUnreadable
from wherry.platforms.shared.conditions import holds, is_number
from wherry.platforms.shared.tables import Entry, Table
from wherry.ports import Rejected

ItemEffect: TypeAlias = PutItem | UpdateItem | DeleteItem
Stored: TypeAlias = tuple[int, int, int, int | None, bytes]  # id, version, writer, expires, body
Key: TypeAlias = tuple[int, bytes, bytes]  # table, pk, sk
_fields = msgspec.json.Decoder(dict[str, Any]).decode


class Change:
    """What a commit does to one item. `body` None: it goes. `old`: what stands there, if read."""

    body: bytes | None = None
    old: Stored | None = None
    version = 0
    entries: Sequence[Entry] = ()
    old_entries: Sequence[Entry] = ()
    expires_ms: int | None = None

    def __init__(self, table: Table, effect: ItemEffect) -> None:
        self.table, self.effect = table, effect
        self.key = (table.id, effect.pk, effect.sk)

    def decide(self, body: bytes | None) -> bool:
        """Set the new body; return whether the conditions hold. `body` is the live item.

        Raises:
            ValueError, TypeError: The effect cannot be applied to any item, or not to this one.
        """
        effect = self.effect
        defaults = self.table.shape.defaults
        if effect.when is not None and not _met(effect.when, body, defaults):
            return False
        match effect:
            case PutItem():
                self.body = effect.body
            case UpdateItem():
                if body is None:
                    body = effect.initial
                if body is None:
                    return False
                self.body = _updated(effect, self.table, body)
                return self.body is not None
            case DeleteItem():
                pass
        return True

    def refusal(self, stored: bytes | None, error: Exception) -> Rejected:
        """Say why it cannot be worked out: what it is, or what stands there (`stored`)."""
        effect = self.effect
        shown = describe_key(effect.pk, effect.sk)
        if stored and (fault := _unreadable(stored)):
            unreadable = StoredItemUnreadable.of(f"{effect.table}/{shown}", "JSON", fault)
            return Rejected(str(unreadable), unreadable.code)
        return Rejected(f"{effect.table} {shown}: {error}")

    def derive(self) -> None:
        """Work out from the new body what is stored beside it.

        Raises:
            ValueError, OverflowError, MsgspecError: It is too large, no object, or holds a number
                that no key can hold.
        """
        body = self.body
        if body is not None:
            if len(body) > limits.ITEM_BYTES:
                most = f"at most {limits.ITEM_BYTES} can be stored."
                raise ValueError(f"the item has {len(body)} bytes, {most}")
            self.entries, self.expires_ms = self.table.derive(body)


def _unreadable(body: bytes) -> str:
    """Say why the body of an item is no JSON object."""
    try:
        _fields(body)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        return str(error)
    return ""


def describe_key(pk: bytes, sk: bytes) -> str:
    """Show an item's key to a person."""
    return f"{key_text(pk)}/{key_text(sk)}" if sk else key_text(pk)


def _met(condition: Condition, body: bytes | None, defaults: dict[str, Any]) -> bool:
    if isinstance(condition, Absent):
        return body is None
    if isinstance(condition, Present):
        return body is not None
    if body is None:
        return holds(condition, None)
    item = from_json(body)
    # A field that is new since it was stored counts as it is read.
    return holds(condition, defaults | item if defaults and isinstance(item, dict) else item)


def _updated(effect: UpdateItem, table: Table, body: bytes) -> bytes | None:
    """Return the new item, or None where a field to add to is no number, or a sum out of bounds."""
    item, assign, add = _fields(body), _fields(effect.assign), _fields(effect.add)
    bounds = _fields(effect.bounds) if effect.bounds != b"{}" else {}
    for field in (table.shape.key, table.shape.sort):
        if field in add or (field in assign and assign[field] != item.get(field)):
            raise ValueError(f"{field} is part of the key and cannot be changed.")
    for field, amount in add.items():
        if not is_number(amount):
            raise ValueError(f"{field}: only a number can be added.")
        if field in assign:
            raise ValueError(f"{field} cannot be assigned and added to at once.")
        before = item.get(field, table.shape.defaults.get(field, 0))
        if not is_number(before):
            return None
        item[field] = before + amount
        if item[field] != item[field] or item[field] in (float("inf"), float("-inf")):
            raise ValueError(f"{field} would no longer be a number.")
        if field in bounds and not within(item[field], bounds[field]):
            return None
    item.update(assign)
    return to_json(item)
