"""Blobs that stay elsewhere, for who has the files alone: the engine takes them, and brings them.

An environment writes and reads files like any other; it knows nothing of the other place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from wherry.errors import GrantMissing, Passing, Refused, StoreFull, WherryError
from wherry.ports import Broken, Denied, FetchBlob, KeepBlob, Read, ReadAnswer

from .faults import BlobSealed, ObjectDamaged, StorageFault

if TYPE_CHECKING:
    from .blobs import Blobs
    from .reader import BlobReader
    from .refs import BlobRef
    from .writer import BlobWriter

Ask: TypeAlias = Callable[[Read], ReadAnswer]

_ERRORS: dict[str, type[WherryError]] = {
    kind.code: kind for kind in (BlobSealed, ObjectDamaged, Refused, StorageFault, StoreFull)
}
TRIES = 3  # a file that was brought may have gone again, when much else comes


def keep(ask: Ask, bucket: str, writer: BlobWriter) -> None:
    """Have the engine store the blob when it is sealed; `seal` waits for that.

    `seal` then raises also what kept the engine from it: a `Passing`, mostly.
    """

    def sealed(ref: BlobRef) -> None:
        _check(ask(KeepBlob(bucket, ref.blob, ref.size_bytes, ref.sha256)))

    writer.on_sealed = sealed


def bring(ask: Ask, blobs: Blobs, bucket: str, ref: BlobRef) -> BlobReader:
    """Open a blob; the engine brings it first where it is not here.

    Raises:
        ObjectDamaged: It is missing in its place, or not what was stored.
        Passing: It cannot be brought now.
        StoreFull, StorageFault: Of the disk here.
    """

    def fetch(damaged: bool) -> None:
        _check(ask(FetchBlob(bucket, ref.blob, ref.size_bytes, ref.sha256, damaged)))

    def repair() -> None:  # for the next one who reads it
        with suppress(WherryError):
            fetch(damaged=True)

    for _ in range(TRIES):
        try:
            reader = blobs.open(bucket, ref)
        except ObjectDamaged:
            fetch(damaged=False)
            continue
        reader.on_damage = repair
        return reader
    raise Passing(f"There is no room to keep {bucket}/{ref.blob} while it is read.")


def _check(answer: ReadAnswer) -> None:
    match answer:
        case Broken(code=code, message=message):
            raise _ERRORS.get(code, Passing)(message)
        case Denied(resource=resource, action=action):
            raise GrantMissing("this one", resource, action)
        case _:
            return
