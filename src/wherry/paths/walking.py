"""Ways through the graph: every path, the heaviest one, and all of them as trees."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from wherry import limits
from wherry.paths.graph import Graph
from wherry.paths.records import Branch, Entry, Layer, Path, Step


def paths(graph: Graph, most: int) -> tuple[list[Path], bool]:
    """Return the paths from every entry to every end, at most so many, and whether these are all.

    Side by side branches that meet again (a diamond) are a path each: their number can double with
    each of them.
    """
    found: list[Path] = []
    for entry in graph.entries:
        for name in entry.names:
            for path in _from(name, entry.first, graph):
                if len(found) == most:
                    return found, False
                found.append(path)
    return found, True


def _from(entry: str, first: Step, graph: Graph) -> Iterator[Path]:
    waiting: list[tuple[Layer, ...]] = [(_layer(first, (), None, graph),)]
    while waiting:
        layers = waiting.pop()
        on_it = {layer.step.inbox for layer in layers}
        links = graph.after(layers[-1].step)
        back = next((link.queue for link in links if link.queue in on_it), None)
        if back is not None or not links:
            yield _path(entry, layers, back)
        waiting += [
            (*layers, _layer(graph.steps[link.queue], link.by, layers[-1], graph))
            for link in reversed(links)
            if link.queue not in on_it
        ]


def _layer(step: Step, by: tuple[str, ...], before: Layer | None, graph: Graph) -> Layer:
    so_far = 1 if before is None else before.most_attempts
    most = None if so_far is None or graph.endless(step) else so_far * step.attempts
    return Layer(step=step, by=by, most_attempts=most)


def _path(entry: str, layers: tuple[Layer, ...], again: str | None) -> Path:
    endless = layers[-1].most_attempts is None
    steps = [layer.step for layer in layers]
    reruns = sum((layer.most_attempts or 0) * layer.step.reruns for layer in layers)
    return Path(
        entry=entry,
        layers=layers,
        most_attempts=layers[-1].most_attempts,
        most_reruns=None if endless else reruns,
        summed_attempts=None if endless else sum(step.attempts for step in steps),
        wait_s=None if endless else sum(step.wait_s for step in steps),
        again=again,
    )


def heaviest(entry: Entry, graph: Graph) -> tuple[Step, ...]:
    """Return the steps from an entry whose attempts multiply to most; none where it is on a cycle.

    Cycles that begin further on are left out. It looks at every link once, however many paths
    there are.
    """
    if graph.endless(entry.first):
        return ()
    best: dict[str, tuple[Step, ...]] = {}
    waiting = [entry.first]
    while waiting:
        step = waiting[-1]
        following = [
            graph.steps[link.queue] for link in graph.after(step) if link.queue not in graph.cyclic
        ]
        missing = [one for one in following if one.name not in best]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        ways = [best[one.name] for one in following]
        best[step.name] = (step, *max(ways, key=attempts_of, default=()))
    return best[entry.first.name]


def attempts_of(steps: tuple[Step, ...]) -> int:
    """Return the attempts of steps that follow each other, multiplied."""
    return prod(step.attempts for step in steps)


def trees(graph: Graph) -> list[tuple[Entry, Branch]]:
    """Return for each entry all that can follow it."""
    return [
        (entry, _branch(_layer(entry.first, (), None, graph), 0.0, (), [], graph))
        for entry in graph.entries
    ]


def _branch(
    layer: Layer, before_s: float | None, way: tuple[str, ...], told: list[str], graph: Graph
) -> Branch:
    step = layer.step
    wait_s = None if layer.most_attempts is None or before_s is None else before_s + step.wait_s
    links = graph.after(step)
    if links and step.name in way:
        return Branch(layer=layer, wait_s=wait_s, cut="again")
    if links and len(told) >= limits.PATH_STEPS_SHOWN and step.name in told:
        return Branch(layer=layer, wait_s=wait_s, cut="above")
    told.append(step.name)
    way = (*way, step.name)
    branches = []
    for link in links:
        following = _layer(graph.steps[link.queue], link.by, layer, graph)
        branches.append(_branch(following, wait_s, way, told, graph))
    return Branch(layer=layer, wait_s=wait_s, branches=tuple(branches))
