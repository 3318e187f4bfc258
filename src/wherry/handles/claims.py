"""Claim check: a payload too large for a message travels as an object, the message as its ticket.

The object is put in the commit that sends the message. The platform removes it in the commit with
which the message leaves for ever: done, cancelled, discarded, or too old for the failure inbox.
Its bucket is one of the queue's own, which the app declares with `claim_check=True`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.errors import BoundExceeded, DoNotRetry
from wherry.handles.buckets import Bucket
from wherry.tickets import Ticket, is_reference, key_of, payloads_bucket

if TYPE_CHECKING:
    from wherry.blueprint.parts import Place


def claims_bucket(queue: str, place: Place | None = None) -> Bucket:
    """Return the bucket that holds a queue's large payloads."""
    return Bucket(name=payloads_bucket(queue), max_bytes=limits.CLAIM_BYTES, place=place)


def deposit(queue: str, message_id: str, body: bytes) -> bytes:
    """Put a payload into the queue's bucket with this run's commit, and return its ticket."""
    if len(body) > limits.CLAIM_BYTES:
        raise BoundExceeded(
            f"The message to {queue!r} has {len(body)} bytes; {limits.CLAIM_BYTES} are allowed "
            "with claim_check=True (CLAIM_BYTES).",
            advice="Put the content into a bucket of yours and send its key.",
        )
    claims_bucket(queue).put(message_id, body, media_type="application/json")
    return msgspec.json.encode(Ticket(message_id, len(body)))


def redeem(queue: str, body: bytes) -> bytes:
    """Return the payload that a message stands for.

    Raises:
        DoNotRetry: The object is not there.
    """
    if not is_reference(body):
        return body
    key = key_of(body)
    bucket = claims_bucket(queue)
    found = bucket.get(key)
    if found is None:
        raise DoNotRetry(
            f"The payload {bucket.name}/{key} of a message in {queue!r} is not there.",
            advice="It was removed by hand; discard the message.",
        )
    return found.read()
