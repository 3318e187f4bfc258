"""Queues: typed messages for one consumer. A send is recorded and leaves with the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from wherry import limits
from wherry.blueprint.records import Grant
from wherry.errors import BoundExceeded, Refused
from wherry.handles.ids import derived_id
from wherry.handles.scope import scope_for
from wherry.handles.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wherry.blueprint.records import Place

T = TypeVar("T")


class Queue(Generic[T]):
    """A queue of messages of one type.

    Args:
        payload_type: A `Struct`, dataclass or Pydantic model.
        max_attempts: Attempts before a message waits in the failure inbox, 1 to 1,000.
        retry_base_s: Wait before the second attempt; it doubles each time, with jitter.
        retry_max_s: The longest wait between two attempts.
        retention_s: After this, a message that was never done waits in the failure inbox.
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
        place: Place | None = None,
    ) -> None:
        self.payload_type = payload_type
        self.name = name
        self.max_attempts = max_attempts
        self.retry_base_s = retry_base_s
        self.retry_max_s = retry_max_s
        self.retention_s = retention_s
        self.place = place
        self.send_grant = Grant(kind="queue", resource=name, action="send")
        self.shape = Shape(payload_type)
        self.send = _Sender(self)

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    def cancel(self, message_id: str) -> None:
        """Remove a message that waits, with the commit: a delayed one, one between two attempts.

        One that its consumer has already, that is done, waits in the failure inbox or never was,
        stays as it is; that is no error, and nobody is told. The grant is that to send.
        """
        from wherry.effects import CancelMessage, SendMessage

        scope = scope_for(f"The queue {self.name!r}")
        scope.require(self.name, "send")
        if not 0 < len(message_id) <= limits.MESSAGE_ID_LENGTH:
            raise Refused(f"{message_id[:80]!r} is not what {self.name}.send(...) returned.")
        match scope.messages.get(message_id):
            case SendMessage(queue=queue):  # sent by this very run: then it is not sent at all
                if queue == self.name:
                    del scope.messages[message_id]
            case CancelMessage():
                return
            case None:
                scope.charge(len(message_id))
                scope.messages[message_id] = CancelMessage(self.name, message_id)
        scope.marks.append(f"cancel {self.name} {message_id}")


class _Sender(Generic[T]):
    """`exports.send`: called, it sends; among `grants=[...]`, it is the grant to send."""

    def __init__(self, queue: Queue[T]) -> None:
        self._queue = queue
        self.grant = queue.send_grant

    def __call__(self, payload: T, *, delay_s: float = 0) -> str:
        """Send a message with the commit, to be seen after `delay_s`; return its ID."""
        from wherry.effects import SendMessage

        queue = self._queue
        scope = scope_for(f"The queue {queue.name!r}")
        scope.require(queue.name, "send")
        body = queue.shape.encode(payload)
        if len(body) > limits.MESSAGE_BYTES:
            raise BoundExceeded(
                f"The message has {len(body)} bytes; {limits.MESSAGE_BYTES} are allowed.",
                advice="Put the content into a bucket and send its key.",
            )
        if not 0 <= delay_s <= limits.DELAY_MAX_S:
            raise Refused(f"delay_s={delay_s} is not in 0..{limits.DELAY_MAX_S}.")
        scope.charge(len(body))
        invocation = scope.invocation
        purpose = f"message {queue.name} {scope.next_use()}"
        message_id = derived_id(invocation.key, purpose, invocation.started_ms)
        delay_ms = int(delay_s * 1000)
        scope.messages[message_id] = SendMessage(queue.name, message_id, body, delay_ms)
        scope.marks.append(f"send {queue.name} {message_id}")
        return message_id

    def many(self, payloads: Iterable[T], *, delay_s: float = 0) -> list[str]:
        """Send several messages with the commit; return their IDs."""
        return [self(payload, delay_s=delay_s) for payload in payloads]
