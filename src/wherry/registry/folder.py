"""The folder `schemas/`: a file for each type at rest or in flight, made to be read in a diff.

    schemas/tables/orders.json
    schemas/queues/export_jobs.json
    schemas/events/shop.order_placed.v1.json
    schemas/workflows/refund.json            the input of its executions

On top is the form that the type has now, so that a change of it is a change of a few lines; below
are its earlier forms, which data may still have. The files are the team's: in its repository,
reviewed with the code.
"""

from __future__ import annotations

import os
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from wherry import limits
from wherry.errors import Refused
from wherry.registry.forms import Schema

FOLDER = "schemas"
Kind: TypeAlias = Literal["event", "queue", "table", "workflow"]
_KINDS: tuple[Kind, ...] = ("event", "queue", "table", "workflow")


class Key(NamedTuple):
    """What a file is of. `version` is an event's, else 0."""

    kind: Kind
    name: str
    version: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" + (f" version {self.version}" if self.version else "")

    @property
    def path(self) -> str:
        """Where it is kept, below the folder."""
        version = f".v{self.version}" if self.version else ""
        return f"{self.kind}s/{self.name}{version}.json"


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A form that data had once."""

    form: int
    schema: Schema


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True,
               omit_defaults=True):  # fmt: skip
    """A file: the form that a type has now, and those before it, the newest first.

    `keyed` is by what the items of a table are stored, "key=id (text)"; empty where it was recorded
    before that was.
    """

    kind: Kind
    name: str
    version: int = 0
    keyed: str = ""
    form: int
    schema: Schema
    earlier: list[Form] = []

    @property
    def key(self) -> Key:
        """What it is of."""
        return Key(self.kind, self.name, self.version)

    @property
    def forms(self) -> list[Form]:
        """All its forms, the newest first."""
        return [Form(self.form, self.schema), *self.earlier]


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Recorded)


def text_of(recorded: Recorded) -> bytes:
    """Return a file's content: the same for the same forms, a line for each part."""
    return msgspec.json.format(_encoder.encode(recorded), indent=2) + b"\n"


def read_folder(folder: str) -> dict[Key, Recorded] | None:
    """Return what is recorded; None where there is no such folder, or one of something else.

    Raises:
        Refused: A file is none of ours, or not where it belongs.
    """
    if not any(os.path.isdir(os.path.join(folder, f"{kind}s")) for kind in _KINDS):
        return None
    found: dict[Key, Recorded] = {}
    for kind in _KINDS:
        inner = os.path.join(folder, f"{kind}s")
        for name in sorted(os.listdir(inner)) if os.path.isdir(inner) else ():
            if name.endswith(".json"):
                recorded = _read(os.path.join(inner, name))
                if recorded.key.path != f"{kind}s/{name}":
                    raise Refused(
                        f"{os.path.join(inner, name)} is of the {recorded.key}.",
                        advice=f"Name it {recorded.key.path}, or delete it.",
                    )
                found[recorded.key] = recorded
    return found


def write_file(folder: str, recorded: Recorded) -> str:
    """Write a file and return its path."""
    path = os.path.join(folder, *recorded.key.path.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text_of(recorded))
    return path


def _read(path: str) -> Recorded:
    with open(path, "rb") as file:
        text = file.read(limits.SCHEMA_FILE_BYTES + 1)
    if len(text) > limits.SCHEMA_FILE_BYTES:
        raise Refused(
            f"{path} has more than {limits.SCHEMA_FILE_BYTES} bytes.",
            advice='Remove those forms below "earlier" that no data has any more.',
        )
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        merge = b"\n<<<<<<<" in b"\n" + text
        raise Refused(
            f"{path} cannot be read: {error}.",
            advice="Two branches have changed it: take one side whole, then run: "
            "wherry schemas update"
            if merge
            else "Take it from the repository again: it is written by `wherry schemas update`.",
        ) from None
