"""Cycles: queues whose consumers may, over others or by themselves, send to them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wherry.paths.records import Cycle, Link, Step

Links = Mapping[str, tuple[Link, ...]]


def cycles(steps: Mapping[str, Step], links: Links) -> Iterator[Cycle]:
    """Yield the shortest cycle through each queue that is on one; a cycle only once."""
    told: set[frozenset[str]] = set()
    for queue in steps:
        ring = _back_to(queue, steps, links)
        if not ring or frozenset(ring) in told:
            continue
        told.add(frozenset(ring))
        functions = [steps[name].function for name in ring]
        yield Cycle(
            functions=tuple(functions),
            queues=tuple(ring),
            by=tuple(
                next(link.by for link in links[function] if link.queue == after)
                for function, after in zip(functions, [*ring[1:], ring[0]], strict=True)
            ),
            place=steps[queue].place,
        )


def _back_to(queue: str, steps: Mapping[str, Step], links: Links) -> list[str]:
    """Return the queues of the shortest way from a queue to itself; none where there is no way."""
    before: dict[str, str] = {}
    waiting = [queue]
    for name in waiting:  # grows while it is read: breadth first
        for link in links[steps[name].function]:
            if link.queue in before:
                continue
            before[link.queue] = name
            if link.queue == queue:
                ring = [name]
                while ring[-1] != queue:
                    ring.append(before[ring[-1]])
                return ring[::-1]
            waiting.append(link.queue)
    return []
