"""Queues: typed messages for one consumer. A send is recorded and leaves with the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from wherry import limits
from wherry.blueprint.parts import Grant
from wherry.errors import BoundExceeded, Refused
from wherry.handles.late import Late
from wherry.handles.scope import scope_for
from wherry.handles.shapes import Shape, as_upgrades

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wherry import effects
    from wherry.blueprint.parts import Place
    from wherry.handles.scope import Scope
    from wherry.handles.shapes import Upgrades
else:
    effects = Late("wherry.effects", globals())

T = TypeVar("T")


class Queue(Generic[T]):
    """A queue of messages of one type.

    Args:
        payload_type: A `Struct`, dataclass or Pydantic model.
        max_attempts: Attempts before a message waits in the failure inbox, 1 to 1,000.
        retry_base_s: Wait before the second attempt; it doubles each time, with jitter.
        retry_max_s: The longest wait between two attempts.
        retention_s: After this, a message that was never done waits in the failure inbox.
        fifo: Messages of one `group` are done in order, one at a time; groups side by side.
        group: From a payload to its group: text, a number, a date, a UUID; up to 128 characters.
        dedup: From a payload to what tells it from its repeats: one within 5 minutes is dropped.
        on_failure: When a message of a group has failed for good: "skip" it and go on with the
            next, or "block" the group until it is redriven or discarded.
        fair_by: From a payload to a key; keys take turns, however many messages one of them has.
        claim_check: A payload too large for a message travels as an object of an inner bucket.
        upgrade: Makes the new form of a payload whose old form the type does not read.
    """

    def __init__(
        self,
        payload_type: type[T],
        *,
        name: str,
        max_attempts: int = limits.MAX_ATTEMPTS,
        retry_base_s: float = limits.RETRY_BASE_S,
        retry_max_s: float = limits.RETRY_MAX_S,
        retention_s: int = limits.MESSAGE_RETENTION_S,
        fifo: bool = False,
        group: Callable[[T], Any] | None = None,
        dedup: Callable[[T], Any] | None = None,
        on_failure: Literal["skip", "block"] = "skip",
        fair_by: Callable[[T], Any] | None = None,
        claim_check: bool = False,
        upgrade: Upgrades = None,
        place: Place | None = None,
    ) -> None:
        self.payload_type = payload_type
        self.name = name
        self.max_attempts = max_attempts
        self.retry_base_s = retry_base_s
        self.retry_max_s = retry_max_s
        self.retention_s = retention_s
        self.fifo = fifo
        self.group = group
        self.dedup = dedup
        self.on_failure = on_failure
        self.fair_by = fair_by
        self.keyed = bool(group or dedup or fair_by)  # its messages have keys of their own
        self.claim_check = claim_check
        self.place = place
        self.send_grant = Grant(kind="queue", resource=name, action="send")
        self.shape = Shape(payload_type, as_upgrades(upgrade))
        self.send = _Sender(self)
        self._shown = f"The queue {name!r}"
        self._may_send = (name, "send")

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    def cancel(self, message_id: str) -> None:
        """Remove a message that waits, with the commit: a delayed one, one between two attempts.

        One that its consumer has already, that is done, waits in the failure inbox or never was,
        stays as it is; that is no error, and nobody is told. The grant is that to send.
        """
        scope = scope_for(self._shown, self._may_send)
        if not 0 < len(message_id) <= limits.MESSAGE_ID_LENGTH:
            raise Refused(f"{message_id[:80]!r} is not what {self.name}.send(...) returned.")
        match scope.messages.get(message_id):
            case effects.SendMessage(
                queue=queue
            ):  # sent by this very run: then it is not sent at all
                if queue == self.name:
                    del scope.messages[message_id]
                    self._unclaim(scope, message_id)
            case effects.CancelMessage():
                return
            case None:
                scope.charge(len(message_id))
                scope.messages[message_id] = effects.CancelMessage(self.name, message_id)
        scope.marks.append(f"cancel {self.name} {message_id}")

    def _unclaim(self, scope: Scope, message_id: str) -> None:
        """Take back the payload of a message that is not sent after all."""
        if self.claim_check:
            from wherry.handles.claims import claims_bucket

            scope.objects.pop((claims_bucket(self.name).name, message_id), None)


class _Sender(Generic[T]):
    """`exports.send`: called, it sends; among `grants=[...]`, it is the grant to send."""

    def __init__(self, queue: Queue[T]) -> None:
        self._queue = queue
        self.grant = queue.send_grant

    def __call__(self, payload: T, *, delay_s: float = 0) -> str:
        """Send a message with the commit, to be seen after `delay_s`; return its ID."""
        queue = self._queue
        name = queue.name
        scope = scope_for(queue._shown, queue._may_send)
        body = queue.shape.encode(payload, queue._shown)
        if delay_s != 0:
            self._check_delay(delay_s)
        group, dedup = self._keys(payload) if queue.keyed else ("", "")
        message_id = scope.next_id(f"message {name}")
        if queue.claim_check or len(body) > limits.MESSAGE_BYTES:
            body = self._fitting(body, message_id)
        scope.charge(len(body))
        scope.messages[message_id] = effects.SendMessage(
            name, message_id, body, int(delay_s * 1000), group, dedup
        )
        scope.marks.append(f"send {name} {message_id}")
        return message_id

    def _check_delay(self, delay_s: float) -> None:
        if not 0 <= delay_s <= limits.DELAY_MAX_S:
            raise Refused(f"delay_s={delay_s} is not in 0..{limits.DELAY_MAX_S}.")
        if delay_s and self._queue.fifo:
            raise Refused(
                f"delay_s={delay_s} on the FIFO queue {self._queue.name!r}: all that follows in "
                "its group would have to wait.",
                advice="Send it when it is due, or use a queue without fifo=True.",
            )

    def _keys(self, payload: T) -> tuple[str, str]:
        """Return the group (or the key that takes turns) and the deduplication ID."""
        queue = self._queue
        name = "group" if queue.fifo else "fair_by"
        of = queue.group if queue.fifo else queue.fair_by
        group = "" if of is None else _key_text(queue.name, name, of(payload))
        dedup = "" if queue.dedup is None else _key_text(queue.name, "dedup", queue.dedup(payload))
        return group, dedup

    def _fitting(self, body: bytes, message_id: str) -> bytes:
        """Return what travels: the payload, or a reference to where it was put."""
        queue = self._queue
        if queue.claim_check:
            from wherry.handles.claims import deposit
            from wherry.tickets import is_reference

            if len(body) > limits.MESSAGE_BYTES or is_reference(body):
                return deposit(queue.name, message_id, body)
        if len(body) > limits.MESSAGE_BYTES:
            raise BoundExceeded(
                f"The message to {queue.name!r} has {len(body)} bytes; {limits.MESSAGE_BYTES} are "
                "allowed (MESSAGE_BYTES).",
                advice="Put the content into a bucket and send its key, or have wherry do that: "
                "app.queue(..., claim_check=True).",
            )
        return body

    def many(self, payloads: Iterable[T], *, delay_s: float = 0) -> list[str]:
        """Send several messages with the commit; return their IDs."""
        return [self(payload, delay_s=delay_s) for payload in payloads]


def _key_text(queue: str, what: str, value: Any) -> str:
    """Return a key as text: the same one for equal values, in whatever process."""
    found = value if isinstance(value, str) else _plain_text(value)
    if not 0 < len(found) <= limits.GROUP_LENGTH:
        shown = repr(value)
        shown = f"{shown[:80]}..." if len(shown) > 80 else shown
        raise Refused(
            f"{what}= of the queue {queue!r} gave {shown} ({type(value).__name__}); it is a text, "
            f"a number, a date, a time, a UUID or an Enum of them, of 1 to {limits.GROUP_LENGTH} "
            "characters.",
            advice=f"Return one: {what}=lambda job: job.order_id.",
        )
    return found


def _plain_text(value: Any) -> str:
    """Return the text of what has one that tells it from others, else none."""
    if type(value) is int:
        return str(value)
    from datetime import date, time
    from decimal import Decimal
    from enum import Enum
    from uuid import UUID

    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool) or value != value:  # NaN is not even itself
        return ""
    return str(value) if isinstance(value, str | int | float | Decimal | UUID | date | time) else ""
