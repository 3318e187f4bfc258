"""What goes wrong with a disk, as errors that say so."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from wherry.errors import StoreFull, WherryError


class ObjectDamaged(WherryError):
    """The content of an object is missing, of another size, or not what was stored."""

    code = "object_damaged"


class BlobSealed(WherryError):
    """A blob of this id is sealed with other content; a sealed blob never changes."""

    code = "blob_sealed"


class StorageFault(WherryError):
    """The disk or its file system refused; nothing became visible."""

    code = "storage_fault"


@contextmanager
def disk(action: str, what: str) -> Iterator[None]:
    """Turn an `OSError` of the block into one of wherry's: `disk("write", "assets/3f...")`.

    Raises:
        StoreFull: The disk, or the quota on it, is full.
        StorageFault: Anything else (EIO, read-only, no permission, too many open files).
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(
                f"There is no room on the disk to {action} {what}.",
                advice="Nothing became visible. Free some room and try again.",
            ) from error
        advice = "Nothing became visible. Check the permissions and the state of the data folder."
        if error.errno == errno.EIO:
            advice = "Nothing became visible. The disk itself reports this: see the kernel's log."
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            advice = "Something else, perhaps a symbolic link, is in its place; none is followed."
        raise StorageFault(f"Cannot {action} {what}: {error.strerror}.", advice=advice) from error
