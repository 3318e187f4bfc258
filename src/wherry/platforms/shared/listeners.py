"""Who listens to what, as the activated release declares it; patterns are compiled once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from wherry import limits
from wherry.errors import Refused
from wherry.platforms.shared.shapes import Queue, ReleaseShape, SourceShape

if TYPE_CHECKING:
    from wherry.patterns import Pattern


class Listeners:
    """The queues behind events, objects and tables.

    Args:
        release: The activated release.
        queues: All queues, by name.

    Raises:
        PatternInvalid: A pattern that was accepted once is not valid for this version of wherry.
    """

    def __init__(self, release: ReleaseShape, queues: dict[str, Queue]) -> None:
        self.events: dict[tuple[str, int], list[tuple[Queue, Pattern | None]]] = {
            (event.name, event.version): [] for event in release.events
        }
        self.objects: dict[str, list[tuple[SourceShape, Queue]]] = {}
        self.changes: dict[str, list[Queue]] = {}
        for source in release.sources:
            queue = queues.get(source.queue)
            if queue is None:
                continue
            match source.type:
                case "event":
                    pattern = None if source.pattern is None else _compiled(source.pattern)
                    key = (source.event, source.version)
                    self.events.setdefault(key, []).append((queue, pattern))
                case "object":
                    self.objects.setdefault(source.bucket, []).append((source, queue))
                case "change":
                    followers = self.changes.setdefault(source.table, [])
                    if queue not in followers:
                        followers.append(queue)

    def next_after(self, event: str, version: int) -> list[tuple[Queue, Pattern | None]]:
        """Return who listens to the next version of an event that is declared."""
        newer = [key for key in self.events if key[0] == event and key[1] > version]
        return self.events[min(newer)] if newer else []


def check_sources(release: ReleaseShape) -> None:
    """Raise `Refused` for a source of a release that cannot work."""
    queues = {queue.name for queue in release.queues}
    for source in release.sources:
        if source.queue not in queues:
            raise Refused(
                f"The {source.type} source of {source.queue!r} has no such queue.",
                advice="Declare the queue in the same release.",
            )
        if source.type == "event" and source.pattern is not None:
            _compiled(source.pattern)
        if source.type == "schedule":
            from wherry.schedules import compiled

            compiled(source.expression, source.timezone)


@lru_cache(maxsize=limits.PATTERNS_COMPILED)
def _compiled(pattern: str) -> Pattern:
    from wherry.patterns import compile

    return compile(pattern)
