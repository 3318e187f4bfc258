"""What can be wrong with several versions of an event that are declared side by side."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.blueprint.parts import Finding
from wherry.blueprint.records import Blueprint, EventSource, EventSpec


def check_versions(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield whom an event of a newer version does not reach, or reaches twice."""
    listening: dict[tuple[str, int], list[str]] = {}
    for source in blueprint.sources:
        if isinstance(source, EventSource):
            listening.setdefault((source.event, source.version), []).append(source.queue)
    for event in blueprint.events:
        before = _before(event, blueprint)
        if event.downgrades and before is None:
            yield Finding(
                code="downgrade_to_nothing",
                message=f"The event {event.name!r} version {event.version} has downgrade=, and no "
                "older version of it is declared.",
                fix="Take it away, or declare the version that it gives.",
                place=event.place,
            )
        if before is None:
            continue
        old = listening.get((event.name, before.version), [])
        both = [one for one in old if one in listening.get((event.name, event.version), [])]
        if old and not event.downgrades:
            yield Finding(
                code="version_not_heard",
                message=f"Who listens to the event {event.name!r} version {before.version} gets "
                f"nothing of what is published as version {event.version}: {', '.join(old)}.",
                fix=f"Write downgrade= on version {event.version}, a function from it to "
                f"{before.payload}; or have them listen to version {event.version}.",
                severity="warning",
                place=event.place,
            )
        elif both:
            yield Finding(
                code="version_heard_twice",
                message=f"{', '.join(both)} listens to the event {event.name!r} in version "
                f"{before.version} and {event.version}, and gets each that is published as "
                f"version {event.version} twice: its downgrade= is told to version "
                f"{before.version} too.",
                fix=f"Listen to version {event.version} alone.",
                severity="warning",
                place=event.place,
            )


def _before(event: EventSpec, blueprint: Blueprint) -> EventSpec | None:
    """Return the declared version that comes before this one."""
    older = [
        one for one in blueprint.events if one.name == event.name and one.version < event.version
    ]
    return max(older, key=lambda one: one.version, default=None)
