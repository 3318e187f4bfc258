"""What a handler did, as a test reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wherry.effects import Effect, PublishEvent, PutItem, PutObject, SendMessage, StartExecution
from wherry.errors import Refused
from wherry.handles.events import event_type
from wherry.testing.twice import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wherry.handles import Bucket, Queue, Table
    from wherry.handles.workflows import Workflow

T = TypeVar("T")
V = TypeVar("V")


class Effects(list[Effect]):
    """The effects of a run, in the order in which they are committed.

    Each is a frozen record (`PutItem`, `SendMessage` ...). `print(effects)` shows them in words.
    """

    def __init__(self, effects: Iterable[Effect] = ()) -> None:
        super().__init__(effects)

    def __repr__(self) -> str:
        return "\n".join(map(show, self)) or "nothing"

    def puts(self, table: Table[T]) -> list[T]:
        """The items that are put into a table."""
        return [
            table.shape.decode(effect.body)
            for effect in self
            if isinstance(effect, PutItem) and effect.table == table.name
        ]

    def sent(self, queue: Queue[T]) -> list[T]:
        """The messages that are sent to a queue."""
        return [
            queue.shape.decode(effect.body)
            for effect in self
            if isinstance(effect, SendMessage) and effect.queue == queue.name
        ]

    def published(self, kind: type[T]) -> list[T]:
        """The events of this class that are published."""
        event = event_type(kind)
        if event is None:
            raise Refused(f"{kind.__name__} is no type of event.")
        return [
            event.shape.decode(effect.body)
            for effect in self
            if isinstance(effect, PublishEvent)
            and (effect.event, effect.version) == (event.name, event.version)
        ]

    def started(self, workflow: Workflow[T]) -> dict[str, T]:
        """The executions of a workflow that are started: what each is given, by its name."""
        return {
            effect.name: workflow.shape.decode(effect.input)
            for effect in self
            if isinstance(effect, StartExecution) and effect.workflow == workflow.name
        }

    def objects(self, bucket: Bucket) -> list[PutObject]:
        """The objects that are put into a bucket: key, size, type; not their content."""
        return [
            effect
            for effect in self
            if isinstance(effect, PutObject) and effect.bucket == bucket.name
        ]


class Called(Generic[V]):
    """What came of calling a handler.

    Attributes:
        value: What it returned.
        effects: What it wants to change; nothing of it is committed.
        marks: What it read and wrote, in words.
        logs: The lines that it logged.
        failed: Of a batch: why items failed, by their place in it. `effects` has none of theirs.
    """

    __slots__ = ("effects", "failed", "logs", "marks", "value")

    def __init__(
        self,
        value: V,
        effects: Effects,
        marks: list[str],
        logs: list[dict[str, Any]],
        failed: dict[int, BaseException] | None = None,
    ) -> None:
        self.value = value
        self.effects = effects
        self.marks = marks
        self.logs = logs
        self.failed = failed or {}

    def __repr__(self) -> str:
        return f"Called(value={self.value!r})\n{self.effects!r}"
