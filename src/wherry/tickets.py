"""Tickets: what a message says instead of a payload that travels as an object (claim check)."""

from __future__ import annotations

import msgspec

from wherry import limits

_SUFFIX = "-payloads"
_BEGINNING = b'{"wherry_claim":'


class Ticket(msgspec.Struct):
    """Stands for a payload: the key of its object, and how large it is."""

    wherry_claim: str
    size_bytes: int


_read = msgspec.json.Decoder(Ticket).decode


def payloads_bucket(queue: str) -> str:
    """Return the name of the bucket that holds a queue's large payloads."""
    return queue + _SUFFIX


def is_reference(body: bytes) -> bool:
    """Whether a message's body looks like a ticket; a payload that does travels as an object."""
    return len(body) <= limits.REFERENCE_BYTES and body.startswith(_BEGINNING)


def ticket_of(body: bytes) -> Ticket | None:
    """Return the ticket that a message's body is; None where it is a payload."""
    try:
        return _read(body) if is_reference(body) else None
    except msgspec.MsgspecError:
        return None


def key_of(body: bytes) -> str:
    """Return the key of the object that a ticket stands for.

    Raises:
        msgspec.MsgspecError: The body is no ticket.
    """
    return _read(body).wherry_claim
