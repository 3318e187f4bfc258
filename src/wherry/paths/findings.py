"""What is wrong with an app's paths: work without an end, retries that multiply too far."""

from __future__ import annotations

from collections.abc import Iterator

from wherry import limits
from wherry.blueprint.parts import Finding
from wherry.paths.graph import Graph
from wherry.paths.walking import attempts_of, heaviest


def check_paths(graph: Graph) -> list[Finding]:
    """Return a warning for each cycle, and for each entry with more attempts than are sound.

    A function that its own trigger calls again is left to the blueprint's checks, which know it
    as `trigger_loop`.
    """
    return [*_cycles(graph), *_multiplied(graph)]


def _cycles(graph: Graph) -> Iterator[Finding]:
    for cycle in graph.cycles:
        alone = len(cycle.functions) == 1
        own = {f"{cycle.queues[0]}.{verb}" for verb in ("send", "start", "redrive")}
        if alone and own.isdisjoint(cycle.by[0]):
            continue
        who = f"{cycle.functions[0]!r} may call itself" if alone else "Functions call each other"
        yield Finding(
            code="endless_path",
            message=f"{who}: {cycle}. One request can cause work without an end.",
            fix="See to it that something ends it, as a count in the message does, or take away "
            "one of these grants.",
            severity="warning",
            place=cycle.place,
        )


def _multiplied(graph: Graph) -> Iterator[Finding]:
    for entry in graph.entries:
        steps = heaviest(entry, graph)
        most = attempts_of(steps)
        if most <= limits.PATH_ATTEMPTS:
            continue
        way = " > ".join(f"{step.name} ({step.attempts:,})" for step in steps)
        yield Finding(
            code="retries_multiply",
            message=f"The attempts of a path multiply to {most:,}, beyond "
            f"{limits.PATH_ATTEMPTS:,}: {way}.",
            fix="Lower max_attempts where a failure is seldom a passing one; `wherry retries` "
            "shows all paths.",
            severity="warning",
            place=entry.first.place,
        )
