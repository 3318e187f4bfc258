"""Tables: typed items under a key. Reads happen at once, writes are recorded for the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from wherry import limits
from wherry.blueprint.parts import Grant
from wherry.codec import ENCODED_PARTITION_KEY_BYTES, ENCODED_SORT_KEY_BYTES, key_bytes
from wherry.errors import BadRequest, BoundExceeded, Refused, StoredItemUnreadable
from wherry.handles.conditions import ends, renamed
from wherry.handles.folding import apply_update, fold
from wherry.handles.keys import lacks_zone, unusable, without_zone
from wherry.handles.late import Late
from wherry.handles.scope import Scope, scope_for, show_key
from wherry.handles.shapes import Shape, as_upgrades, calls_itself
from wherry.handles.shapes import to_json as encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Literal, Unpack

    from wherry import effects, ports
    from wherry.blueprint.parts import Place
    from wherry.effects import Condition, UpdateItem
    from wherry.handles.conditions import SortRange
    from wherry.handles.keys import KeyField
    from wherry.handles.options import BatchOptions, Declare, F
    from wherry.handles.scope import ItemKey
    from wherry.handles.shapes import Upgrades
else:
    effects, ports = Late("wherry.effects", globals()), Late("wherry.ports", globals())

T = TypeVar("T")


class Page(Generic[T]):
    """Some items in order; `cursor` continues where more follow, else it is None."""

    __slots__ = ("cursor", "items")

    def __init__(self, items: list[T], cursor: str | None) -> None:
        self.items, self.cursor = items, cursor

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Table(Generic[T]):
    """A table of items of one type.

    Args:
        item_type: A `Struct`, dataclass or Pydantic model.
        key: The field that is the partition key.
        sort: The field that orders the items of a partition.
        indexes: Further ways to query: `{"by_status": ("status", "created_at")}`.
        expires: The field with the moment from which an item is never read again.
        upgrade: Makes the new form of an item whose old form the type does not read.
    """

    def __init__(
        self,
        item_type: type[T],
        *,
        name: str,
        key: str,
        sort: str | None = None,
        indexes: Mapping[str, str | Sequence[str]] | None = None,
        expires: str | None = None,
        upgrade: Upgrades = None,
        place: Place | None = None,
        declare: Declare | None = None,
    ) -> None:
        self._declare = declare
        self.item_type = item_type
        self.name = name
        self.key = key
        self.sort = sort
        self.indexes: dict[str, tuple[str, ...]] = {
            index: (fields,) if isinstance(fields, str) else tuple(fields)
            for index, fields in (indexes or {}).items()
        }
        self.expires = expires
        self.place = place
        self.read = Grant(kind="table", resource=name, action="read")
        self.write = Grant(kind="table", resource=name, action="write")
        self.shape = Shape(item_type, as_upgrades(upgrade))
        self._renamed: dict[str, str] | None = None  # in JSON; looked up with the first condition
        self._key_fields: dict[str, KeyField] = {}
        self._moments: tuple[str, ...] = ()
        self._shown = f"The table {name!r}"
        self._may_read = (name, "read")
        self._may_write = (name, "write")

    def __repr__(self) -> str:
        return f"Table({self.name!r})"

    # -- reading ---------------------------------------------------------------------------------

    def get(self, *key: Any, guard: bool = False) -> T | None:
        """Return the item under this key, or None. Strongly consistent.

        What was read, found or absent, is checked when this run writes the key; with `guard` the
        commit checks it in any case, and it counts as one of the commit's 90 keys.
        """
        scope = scope_for(self._shown, self._may_read)
        pk, sk = self._key_bytes(key)
        body = self._current(scope, pk, sk, guard or scope.guard_all)
        if body is None:
            return None
        item = self._read(pk, sk, body)
        scope.authorize(self.name, item)
        return item

    def query(
        self,
        key: Any,
        *,
        index: str | None = None,
        sort: SortRange | None = None,
        limit: int = limits.QUERY_LIMIT,
        descending: bool = False,
        cursor: str | None = None,
        committed: bool = False,
    ) -> Page[T]:
        """Return the items of a partition (or of an index's) in order of their sort key.

        Args:
            sort: `begins_with("2026-")`, `between(a, b)`, `at_least(a)` ...
            limit: 1 to 1,000 items.
            cursor: That of the page before.
            committed: Read what is committed although this run has writes of its own pending.
        """
        from wherry.handles.cursors import read_cursor, write_cursor

        scope = scope_for(self._shown, self._may_read)
        if not committed and any(found[0] == self.name for found in scope.pending):
            raise Refused(
                f"This run has pending writes on {self.name!r}, which a query does not see.",
                advice="Query first, or say committed=True.",
            )
        if index is not None and index not in self.indexes:
            raise Refused(f"The table {self.name!r} has no index {index!r}.")
        if not 1 <= limit <= limits.QUERY_LIMIT_MAX:
            raise Refused(f"limit={limit} is not in 1..{limits.QUERY_LIMIT_MAX}.")
        by, ordered_by, *_ = (*self.indexes[index], None) if index else (self.key, self.sort)
        pk = self._one(by or "", key, ENCODED_PARTITION_KEY_BYTES)
        low = high = None
        if sort is not None:
            what = f"The index {index!r} of {self.name!r}" if index else self._shown
            low, high = ends(sort, what, ordered_by, self._key_fields)
        bound = (self.name, index or "", pk, low or b"", high or b"", descending)
        after = read_cursor(cursor, bound, bytes)
        page = scope.ask(
            ports.QueryItems(self.name, index, pk, low, high, limit, descending, after)
        )
        items: list[T] = []
        for row in page.rows:
            scope.saw((self.name, row.pk, row.sk), row.version, guard=False)
            item = self._read(row.pk, row.sk, row.body)
            scope.authorize(self.name, item)
            items.append(item)
        scope.marks.append(f"query {index or self.name} {key} ({len(items)})")
        return Page(items, write_cursor(page.after, bound))

    # -- writing ---------------------------------------------------------------------------------

    def put(self, item: T, *, if_absent: bool = False, when: Condition | None = None) -> None:
        """Write an item whole. A key that this run has read is checked; a blind put replaces.

        Raises:
            ConditionFailed: At the commit, where `if_absent` or `when` does not hold.
        """
        scope = scope_for(self._shown, self._may_write)
        body = self.shape.encode(item, self._shown)
        if len(body) > limits.ITEM_BYTES:
            raise BoundExceeded(
                f"The item has {len(body)} bytes; {limits.ITEM_BYTES} are allowed.",
                advice="Put the large part into a bucket and keep its key here.",
            )
        parts = [self.shape.value_of(item, self.key)]
        if self.sort is not None:
            parts.append(self.shape.value_of(item, self.sort))
        pk, sk = self._key_bytes(parts)
        for name in self._moments:
            self._zoned(name, self.shape.value_of(item, name))
        scope.authorize(self.name, item)
        when = self._in_json(when)
        condition: Condition | None = when
        if if_absent:
            absent = effects.Absent()
            condition = absent if when is None else effects.AllOf((absent, when))
        else:
            self._authorize_stored(scope, pk, sk)
        self._record(scope, effects.PutItem(self.name, pk, sk, body, condition), len(body))
        scope.marks.append(f"put {self.name}/{'/'.join(map(str, parts))}")

    def update(self, *key: Any, when: Condition | None = None, **fields: Any) -> None:
        """Change fields of an item in place at the commit. An absent item fails the condition."""
        self._update(key, when, assign=fields, add={})

    def add(self, *key: Any, when: Condition | None = None, **increments: int | float) -> None:
        """Add to number fields at the commit. It commutes: no read, no conflict.

        Where no item is there, one is begun from the key and the type's defaults.
        """
        self._update(key, when, assign={}, add=increments)

    def delete(self, *key: Any, when: Condition | None = None) -> None:
        """Remove an item at the commit. Removing one that is not there is no error."""
        scope = scope_for(self._shown, self._may_write)
        pk, sk = self._key_bytes(key)
        self._authorize_stored(scope, pk, sk)
        self._record(
            scope, effects.DeleteItem(self.name, pk, sk, self._in_json(when)), len(pk) + len(sk)
        )
        scope.marks.append("delete " + show_key(self.name, pk, sk))

    # -- declaring -------------------------------------------------------------------------------

    def on_change(
        self, *, on_failure: Literal["skip", "block"] = "skip", **options: Unpack[BatchOptions]
    ) -> Callable[[F], F]:
        """Declare a function that is called with a `Change` for each item written or removed.

        Changes of one key come in their order, one after the other. `on_failure` says what
        happens to those that follow one that failed for good: they go on, or wait.
        """
        if self._declare is None:
            raise Refused(f"{self!r} is of no app.", advice="Make it with app.table(...).")
        return self._declare("change", {"table": self.name, "on_failure": on_failure}, options)

    def accept(self, keys: dict[str, KeyField], moments: tuple[str, ...]) -> None:
        """Learn the types of key fields, and what else must be moments (the app, when frozen)."""
        self._key_fields, self._moments = keys, moments

    # -- inside ------------------------------------------------------------------------------------

    def _update(
        self,
        key: Sequence[Any],
        when: Condition | None,
        assign: dict[str, Any],
        add: dict[str, Any],
    ) -> None:
        scope = scope_for(self._shown, self._may_write)
        pk, sk = self._key_bytes(key)
        for name in (*assign, *add):
            if name in (self.key, self.sort):
                raise Refused(f"{name!r} is a key field of {self.name!r} and cannot be changed.")
        for name in self._moments:
            self._zoned(name, assign.get(name))
        effect = effects.UpdateItem(
            self.name,
            pk,
            sk,
            encode_json(self.shape.changes(assign)),
            encode_json(self.shape.increments(add)),
            self._initial(key) if add and not assign else None,
            self._in_json(when),
            encode_json(self.shape.bounds(add)),
        )
        self._authorize_stored(scope, pk, sk, effect)
        self._record(scope, effect, len(effect.assign) + len(effect.add))
        names = ", ".join((*assign, *(f"{name}+" for name in add)))
        scope.marks.append(f"update {show_key(self.name, pk, sk)} ({names})")

    def _in_json(self, when: Condition | None) -> Condition | None:
        """Return a condition with the names that fields have in what is stored."""
        if when is None:
            return None
        if not isinstance(when, Struct):
            raise Refused(
                f"when= of {self.name!r} takes a condition; {when!r} was given.",
                advice='Make one of a field: when=field("state") == "open".',
            )
        if self._renamed is None:
            self._renamed = self.shape.renamed()
        return renamed(when, self._renamed) if self._renamed else when

    def _initial(self, key: Sequence[Any]) -> bytes | None:
        fields = {self.key: key[0]}
        if self.sort is not None:
            fields[self.sort] = key[1]
        try:
            return encode_json(self.item_type(**fields))
        except Exception:
            return None  # the type has fields without a default: nothing to begin from

    def _record(self, scope: Scope, effect: Any, size_bytes: int) -> None:
        key = (effect.table, effect.pk, effect.sk)
        earlier = scope.pending.get(key)
        if earlier is None:
            scope.charge(size_bytes, count=0 if key in scope.guarded else 1)
            scope.pending[key] = effect
        else:
            scope.charge(size_bytes, count=0)
            scope.pending[key] = fold(earlier, effect)

    def _current(self, scope: Scope, pk: bytes, sk: bytes, guard: bool) -> bytes | None:
        """Return the item's JSON as this run sees it: its own writes on top of what is stored."""
        key = (self.name, pk, sk)
        match scope.pending.get(key):
            case None:
                return self._stored(scope, key, guard)
            case effects.PutItem(body=body):
                return body
            case effects.DeleteItem():
                return None
            case update:
                return self._after(update, pk, sk, self._stored(scope, key, guard))

    def _stored(self, scope: Scope, key: ItemKey, guard: bool) -> bytes | None:
        answer = scope.ask(ports.GetItem(*key))
        if not isinstance(answer, ports.Item):
            scope.saw(key, 0, guard)
            scope.marks.append(f"read {show_key(*key)} (absent)")
            return None
        scope.saw(key, answer.version, guard)
        scope.marks.append(f"read {show_key(*key)}")
        return answer.body

    def _read(self, pk: bytes, sk: bytes, body: bytes) -> T:
        try:
            return self.shape.decode(body)
        except (ValueError, RecursionError) as error:
            if isinstance(error, RecursionError) and calls_itself():
                raise
            raise self._unreadable(pk, sk, error) from None

    def _after(self, update: UpdateItem, pk: bytes, sk: bytes, body: bytes | None) -> bytes | None:
        try:
            return apply_update(update, body)
        except (ValueError, TypeError, AttributeError) as error:  # no JSON, or no object
            raise self._unreadable(pk, sk, error) from None

    def _unreadable(self, pk: bytes, sk: bytes, error: Exception) -> StoredItemUnreadable:
        kind = getattr(self.item_type, "__name__", str(self.item_type))
        return StoredItemUnreadable.of(show_key(self.name, pk, sk), kind, str(error))

    def _authorize_stored(
        self, scope: Scope, pk: bytes, sk: bytes, update: UpdateItem | None = None
    ) -> None:
        """Hold the policies against the item that a blind write replaces, and what comes of it."""
        if scope.caller is None or not scope.policies or not scope.policies.get(self.name):
            return
        body = self._current(scope, pk, sk, guard=True)
        if body is not None:
            scope.authorize(self.name, self._read(pk, sk, body))
        after = self._after(update, pk, sk, body) if update is not None else None
        if after is not None:
            scope.authorize(self.name, self._read(pk, sk, after))

    def _key_bytes(self, key: Sequence[Any]) -> tuple[bytes, bytes]:
        given = len(key)
        if self.sort is None:
            if given == 1:
                return self._one(self.key, key[0], ENCODED_PARTITION_KEY_BYTES), b""
        elif given == 2:
            pk = self._one(self.key, key[0], ENCODED_PARTITION_KEY_BYTES)
            return pk, self._one(self.sort, key[1], ENCODED_SORT_KEY_BYTES)
        names = self.key if self.sort is None else f"{self.key}, {self.sort}"
        raise Refused(f"The key of {self.name!r} is ({names}); {given} value(s) were given.")

    def _zoned(self, name: str, value: Any) -> None:
        if lacks_zone(value):
            raise without_zone(f"{name!r} of an item of {self.name!r}")

    def _one(self, name: str, value: Any, bound: int) -> bytes:
        field = self._key_fields.get(name)
        if field is not None and type(value) is not field.base:
            if not field.fits(value):
                raise Refused(
                    f"The key field {name!r} of {self.name!r} is {field.type}; "
                    f"{type(value).__name__} was given, which no item has there."
                )
            value = field.stored(value)
        try:
            encoded = key_bytes(value)
        except (TypeError, ValueError) as error:
            raise unusable(value, f"A key of {self.name!r}", error) from None
        if 1 < len(encoded) <= bound:
            return encoded
        size = len(encoded) - 1
        raise BadRequest(f"A key of {self.name!r} has {size} bytes; 1..{bound - 1} are allowed.")
