"""What goes wrong with S3, as errors that say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wherry.errors import Passing, StoreFull, WherryError

# What S3-compatible stores say when there is no more room: AWS has no such bound.
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"})
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_THERE = frozenset({"PreconditionFailed", "412"})
_UNKNOWN = frozenset({"NotImplemented", "501"})


class ObjectsUnavailable(Passing):
    """The place where objects lie does not answer, or refuses what it should do."""

    code = "objects_unavailable"


class BrokeOff(ObjectsUnavailable):
    """S3 began to hand out a blob, and did not go on."""


class OverTime(Exception):
    """A call has had its time (`limits.S3_CALL_S`)."""


@contextmanager
def remote(action: str, what: str) -> Iterator[None]:
    """Turn what boto3 raises in the block into an error of wherry's.

    Raises:
        StoreFull: There is no more room.
        ObjectsUnavailable: Anything else.
    """
    try:
        yield
    except WherryError:
        raise
    except Exception as error:
        if is_full(error):
            raise StoreFull(
                f"There is no room in S3 to {action} {what}: {say(error)}.",
                advice="Nothing became visible. Free some room and try again.",
            ) from error
        raise ObjectsUnavailable(
            f"S3 did not {action} {what}: {say(error)}.",
            advice="Nothing became visible. Try again.",
        ) from error


def say(error: Exception) -> str:
    """Return what happened, in few words."""
    if isinstance(error, OverTime) or isinstance(error.__context__, OverTime):
        return "it took too long"
    answer = _answer(error)
    if answer:
        found = answer.get("Error", {})
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        text = f"{found.get('Code', '')} {found.get('Message', '')}".strip()
        return f"{status} {text}".strip().rstrip(".")
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def code_of(error: Exception) -> str:
    """Return S3's code of an error, or ""."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error, or 0."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: Exception) -> bool:
    """Whether there is no object of this key."""
    return code_of(error) in _MISSING


def is_there(error: Exception) -> bool:
    """Whether there was an object of this key already."""
    return code_of(error) in _THERE


def is_unknown(error: Exception) -> bool:
    """Whether this store does not know what it was asked for."""
    return code_of(error) in _UNKNOWN


def is_full(error: Exception) -> bool:
    """Whether there is no more room."""
    return code_of(error) in _FULL or status_of(error) == 507


def _answer(error: Exception) -> dict[str, Any]:
    found = getattr(error, "response", None)
    return found if isinstance(found, dict) else {}
