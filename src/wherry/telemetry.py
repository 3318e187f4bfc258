"""What is remembered of every invocation, for the timeline, the logs and the dashboard."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import DecodeError, Struct, json

if TYPE_CHECKING:
    from re import Pattern

CAUSE_CHARS = 120  # of a cause's name
_HEAD_BYTES = 4_096  # of a body: a key has at most 3 KB

Ending: TypeAlias = Literal[
    "ok", "refused", "failed", "died", "timeout", "conflict", "condition", "duplicate"
]


class InvocationRecord(Struct, frozen=True, array_like=True):
    """One attempt. Times in milliseconds; `at_ms` is when it began to wait.

    `cause` is the message or request that led here: the ID of the message that was consumed, or
    empty for a request. `marks` are the reads and effects in words.
    """

    number: int
    correlation_id: str
    function: str
    trigger: str  # "POST /orders", "queue exports", "event shop.order_placed v1": see `cause_of`
    request_id: str
    traceparent: str
    parent: str
    release: str
    attempt: int
    at_ms: int
    waited_ms: float
    ran_ms: float
    cold: bool
    ending: Ending
    status: int
    error: str
    cause: str
    marks: list[str]
    memory_bytes: int = 0


def by_source(id: str) -> bool:
    """Whether a source has sent the message of this ID: those of other messages have no dot."""
    return "." in id


def origin_of(id: str) -> str:
    """Return what the message of a source comes from, as its ID says.

    That is the ID of an event, or "change.N" and "object.N" for the commit with record N.
    """
    kind, _, rest = id.partition(".")
    if kind in ("change", "object"):
        return f"{kind}.{rest.partition('.')[0]}"
    return id.rpartition(".")[0]


def cause_of(body: bytes) -> str:
    """Name what a source has put into a queue: "object assets/a.png created".

    It is read off the head of the message, as the store writes it; no body is parsed for it.
    Returns at most `CAUSE_CHARS` printable characters, and "" for what no source has written.
    """
    found = _head().match(body[:_HEAD_BYTES])
    if found is None:
        return ""
    event, version, schedule, at_ms, kind, of, whose, key = found.groups()
    if event is not None:
        return _short(f"event {_text(event)}", f" v{int(version)}")
    if schedule is not None:
        return _short(f"schedule {_text(schedule)}", f" {_moment(int(at_ms))}")
    name = _text(whose) + (f"/{_text(key)}" if key else "")
    if of == b"bucket":
        return _short(f"object {name}", f" {kind.decode()}")
    return _short(f"change of {name}", "")


@lru_cache(maxsize=1)
def _head() -> Pattern[bytes]:
    import re

    text = rb'"((?:[^"\\]|\\.)*)"'
    return re.compile(
        rb'\{(?:"event":' + text + rb',"version":(\d{1,9}),'
        rb'|"schedule":' + text + rb',"at_ms":(\d{1,13})\}'
        rb'|"kind":"([a-z]{1,9})","(bucket|table)":' + text + rb'(?:,"key":' + text + rb")?,)"
    )


def _text(found: bytes) -> str:
    """Return what stands between the quotes of a JSON text; what cannot be printed is a `?`."""
    try:
        text: str = json.decode(b'"%s"' % found, type=str)
    except (DecodeError, UnicodeDecodeError):
        return "?"
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _moment(at_ms: int) -> str:
    """Return a moment in UTC, to the minute; to the second where it is within one."""
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}" if at.second else f"{at:%Y-%m-%dT%H:%M}"


def _short(name: str, rest: str) -> str:
    room = CAUSE_CHARS - len(rest)
    return (name if len(name) <= room else f"{name[: room - 1]}…") + rest
