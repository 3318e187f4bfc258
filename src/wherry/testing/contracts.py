"""Examples of what is stored or sent, for the tests of those who read it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from wherry.app.schemas import schema_of
from wherry.handles import Queue, Table
from wherry.handles.events import EventType, event_type, older
from wherry.registry.comparing import breaking
from wherry.registry.examples import examples_of
from wherry.registry.folder import FOLDER, Key, read_folder
from wherry.registry.forms import Schema, normal
from wherry.registry.scalars import NoExample
from wherry.runtime.stored import event_reader

if TYPE_CHECKING:
    from wherry.registry.folder import Recorded
    from wherry.registry.judging import Reader


class ContractExample(msgspec.Struct, frozen=True):
    """One value as its reader gets it, and the bytes that it was read from.

    `version` is an event's (else 0), `form` the number of its recorded form (0: as it is declared,
    not recorded), `case` what is special about it: `minimal`, `full`, `lines empty`.
    """

    of: str
    version: int
    form: int
    case: str
    body: bytes
    value: Any

    @property
    def __name__(self) -> str:
        """What pytest calls the case of a parametrized test."""
        version = f"v{self.version} " if self.version else ""
        form = f"form {self.form}" if self.form else "declared"
        return f"{version}{form} {self.case}"


def contract(
    of: type[Any] | Table[Any] | Queue[Any], *, schemas: str | None = None
) -> list[ContractExample]:
    """Return examples of every form that a reader of this event, table or queue must take.

        @pytest.mark.parametrize("example", contract(OrderPlaced))
        def test_a_confirmation_takes_every_order(example):
            call(app, confirm, example.value)

    They are made from the schemas, the same each time: the least, the whole, and one for each
    bound, alternative and empty list. For an event: of its version, declared and recorded; of older
    ones that may still be on their way; of newer ones as their `downgrade=` tells them.

    Args:
        of: The class of an event, a table, or a queue.
        schemas: The folder of the recorded forms. Without it the nearest `schemas` at or above the
            file that declares the type.

    Raises:
        TypeError: `of` is none of these.
        ValueError: A form is not read; `wherry schemas check` says why.
    """
    kind: Any = of
    if isinstance(of, Table):
        kind = of.item_type
    elif isinstance(of, Queue):
        kind = of.payload_type
    event = event_type(kind)
    if event is None and not isinstance(of, Table | Queue):
        raise TypeError(f"{of!r} is no event, no table and no queue.")
    recorded = read_folder(_folder_of(kind) if schemas is None else schemas) or {}
    if isinstance(of, Table | Queue):
        key = Key("table" if isinstance(of, Table) else "queue", of.name)
        return list(_read(key, _forms(key, kind, recorded), of.shape.decode))
    assert event is not None
    return list(_of_event(event, recorded))


def _of_event(event: EventType[Any], recorded: dict[Key, Recorded]) -> Iterator[ContractExample]:
    key = Key("event", event.name, event.version)
    read = event_reader(event)
    yield from _read(key, _forms(key, event.kind, recorded), read)
    versions = {one.version: one for one in event.versions if one.name == event.name}
    known = {one.version for one in recorded if one[:2] == key[:2]} | set(versions)
    own = normal(schema_of(event.kind))
    for version in sorted(known - {event.version}):
        other = versions.get(version)
        one = Key("event", event.name, version)
        forms = _forms(one, other.kind if other else None, recorded)
        if version < event.version:
            fits = [form for form in forms if event.upgrades or not breaking(form[1], own)]
            yield from _read(one, fits, read)
        elif other is not None and _leads_to(other, event, versions):
            yield from _read(one, forms[:1], _downgraded(other, event))


def _leads_to(
    newer: EventType[Any], event: EventType[Any], versions: dict[int, EventType[Any]]
) -> bool:
    """Whether each version between the two is told as the one before it."""
    between = [one for number, one in versions.items() if event.version < number <= newer.version]
    return all(one.downgrade is not None for one in between)


def _downgraded(newer: EventType[Any], event: EventType[Any]) -> Reader:
    def read(body: bytes) -> Any:
        found, value = newer, event_reader(newer)(body)
        while found.version > event.version:
            found, value = older(found, value)
        return event.shape.decode(event.shape.encode(value, f"The event {event.name!r}"))

    return read


def _forms(key: Key, kind: Any, recorded: dict[Key, Recorded]) -> list[tuple[int, Schema]]:
    """Return the numbers and schemas of a type's forms; 0 where it is declared and not recorded."""
    of = recorded.get(key)
    forms = [(form.form, form.schema) for form in of.forms] if of is not None else []
    if kind is not None:
        declared = normal(schema_of(kind))
        if not forms or forms[0][1] != declared:
            forms.insert(0, (0, declared))
    return forms


def _read(key: Key, forms: list[tuple[int, Schema]], read: Reader) -> Iterator[ContractExample]:
    for form, schema in forms:
        try:
            examples = examples_of(schema)
        except NoExample as error:
            raise ValueError(f"No example of the {key} can be made: {error}.") from None
        for one in examples:
            body = msgspec.json.encode(one.value)
            try:
                value = read(body)
            except Exception as error:  # the team's own upgrade= among what is called
                raise ValueError(
                    f"The {key} is not read in form {form} ({one.case}): {error}. Run: wherry "
                    "schemas check"
                ) from error
            yield ContractExample(key.name, key.version, form, one.case, body, value)


def _folder_of(kind: Any) -> str:
    """Return the nearest folder `schemas` at or above the file that declares a type."""
    module = sys.modules.get(getattr(kind, "__module__", ""))
    here = os.path.dirname(os.path.abspath(getattr(module, "__file__", None) or "."))
    while True:
        found = os.path.join(here, FOLDER)
        above = os.path.dirname(here)
        project = os.path.exists(os.path.join(here, "pyproject.toml"))
        if os.path.isdir(found) or project or above == here:
            return found
        here = above
