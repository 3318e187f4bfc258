"""Where each vertex of a rank stands from left to right.

What belongs together is put into one column, so that its line is straight: first the bends of long
links, then the main way through each state, then what is left; no two of these may cross, as with
Brandes and Köpf. The columns are then moved, those in their way along with them, as long as that
makes all lines shorter.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import pairwise

from wherry.drawing.layers import Chain, Layers, Vertex

GAP = 28.0  # pixels between nodes
NARROW_GAP = 16.0  # beside a bend or a label
ROUNDS = 40  # of moving columns, at most
STEPS = 100_000  # columns that are looked at while others move; bounds what a large machine costs
_MAIN, _LESS = 3.0, 1.0  # how much a line across counts
_NEAR = 1e-6


def columns(layers: Layers) -> None:
    """Set `x`, the middle, of each vertex. The least edge of all is at 0."""
    ways = _ways(layers)
    root = _align(layers, ways)
    places = _Columns(layers, root, ways)
    places.settle()
    vertices = [one for rank in layers.ranks for one in rank]
    for one in vertices:
        one.x = places.x[root[one]]
    least = min(one.x - one.width / 2 for one in vertices)
    for one in vertices:
        one.x -= least


def apart(left: Vertex, right: Vertex) -> float:
    """Return how far the middles of two neighbours are from each other at least."""
    both = left.node is not None and right.node is not None
    return (left.width + right.width) / 2 + (GAP if both else NARROW_GAP)


class _Way:
    """A segment between two vertices of neighbouring ranks."""

    __slots__ = ("lower", "order", "upper", "weight")

    def __init__(self, upper: Vertex, lower: Vertex, order: tuple[int, ...], weight: float) -> None:
        self.upper = upper
        self.lower = lower
        self.order = order  # the least is aligned first
        self.weight = weight


def _ways(layers: Layers) -> list[_Way]:
    leaving: dict[Vertex, list[Chain]] = {}
    for chain in layers.chains:
        if not chain.back:
            leaving.setdefault(chain.source, []).append(chain)
    found = []
    for chain in layers.chains:
        if chain.back:
            found += [_Way(a, b, (0,), _MAIN) for a, b in pairwise(chain.bends)]
            continue
        others = leaving[chain.source]
        off = _off(others, chain)
        path = [chain.source, *chain.bends, chain.target]
        if chain.joins is not None:  # the rest is another's
            path = path[: chain.joins + 2]
        for upper, lower in pairwise(path):
            inner = upper.node is None and lower.node is None
            order = (0,) if inner else (1 + off, len(path), chain.source.rank)
            found.append(_Way(upper, lower, order, _LESS if off and not inner else _MAIN))
    return found


def _off(others: list[Chain], chain: Chain) -> int:
    """Return how far a link is from being the main one of its source: the first, or the middle."""
    at = others.index(chain)
    return abs(at - (len(others) - 1) // 2) if others[0].fork else at


def _align(layers: Layers, ways: list[_Way]) -> dict[Vertex, Vertex]:
    """Put vertices into columns; return the first vertex of each one's column."""
    lower: dict[Vertex, Vertex] = {}
    upper: dict[Vertex, Vertex] = {}
    aligned: dict[int, list[_Way]] = {}
    for way in sorted(ways, key=lambda one: one.order):
        if way.upper in lower or way.lower in upper:
            continue
        beside = aligned.setdefault(way.upper.rank, [])
        if any(
            (one.upper.order - way.upper.order) * (one.lower.order - way.lower.order) < 0
            for one in beside
        ):
            continue
        beside.append(way)
        lower[way.upper] = way.lower
        upper[way.lower] = way.upper
    root: dict[Vertex, Vertex] = {}
    for rank in layers.ranks:
        for one in rank:
            root[one] = root[upper[one]] if one in upper else one
    return root


class _Columns:
    """The columns, each by its first vertex, and the room that they keep between them."""

    def __init__(self, layers: Layers, root: dict[Vertex, Vertex], ways: list[_Way]) -> None:
        self._right: dict[Vertex, dict[Vertex, float]] = {one: {} for one in root.values()}
        self._left: dict[Vertex, dict[Vertex, float]] = {one: {} for one in root.values()}
        for rank in layers.ranks:
            for one, other in pairwise(rank):
                a, b = root[one], root[other]
                gap = max(apart(one, other), self._left[b].get(a, 0.0))
                self._right[a][b] = self._left[b][a] = gap
        self._drawn: dict[Vertex, list[tuple[Vertex, float]]] = {one: [] for one in root.values()}
        for way in ways:
            self._draw(root[way.upper], root[way.lower], way.weight)
        for node, bend, _ in layers.turns():
            self._draw(root[node], root[bend], _LESS)
        self._ordered = list(self._topological())
        self._at = {column: at for at, column in enumerate(self._ordered)}
        self._steps = 0
        self.x: dict[Vertex, float] = {}

    def _draw(self, a: Vertex, b: Vertex, weight: float) -> None:
        if a is not b:
            self._drawn[a].append((b, weight))
            self._drawn[b].append((a, weight))

    def settle(self) -> None:
        """Place them as far left as they go, then move them to where their lines draw them."""
        for one in self._ordered:
            self.x[one] = max((self.x[a] + gap for a, gap in self._left[one].items()), default=0.0)
        for number in range(ROUNDS):
            ordered = self._ordered if number % 2 else self._ordered[::-1]
            if sum(map(self._move, ordered)) == 0 or self._steps > STEPS:
                return

    def _move(self, one: Vertex) -> bool:
        """Move a column to the middle of what it is linked to, if all is better with that."""
        for wanted in self._wanted(one) if self._steps <= STEPS else ():
            by = wanted - self.x[one]
            if abs(by) < 1:
                continue
            group = self._pushed(one, by)
            if self._across(group, group) < self._across(group, {}) - _NEAR:
                self.x.update(group)
                return True
        return False

    def _wanted(self, one: Vertex) -> Iterator[float]:
        drawn = sorted((self.x[other], weight) for other, weight in self._drawn[one])
        if not drawn:
            return
        half = sum(weight for _, weight in drawn) / 2
        passed, low = 0.0, None
        for x, weight in drawn:
            if low is None and passed + weight >= half - _NEAR:
                low = x
            if passed + weight > half + _NEAR:
                assert low is not None
                yield (low + x) / 2
                break
            passed += weight
        yield from (x for x, _ in drawn)

    def _pushed(self, one: Vertex, by: float) -> dict[Vertex, float]:
        """Return where all columns go that have to where one moves."""
        moved = {one: self.x[one] + by}
        way = 1 if by > 0 else -1
        beside = self._right if by > 0 else self._left
        waiting = [way * self._at[one]]
        while waiting:
            column = self._ordered[way * heappop(waiting)]
            self._steps += 1
            for other, gap in beside[column].items():
                least = moved[column] + way * gap
                if (least - moved.get(other, self.x[other])) * way > _NEAR:
                    if other not in moved:
                        heappush(waiting, way * self._at[other])
                    moved[other] = least
        return moved

    def _across(self, group: dict[Vertex, float], moved: dict[Vertex, float]) -> float:
        """Return how far the lines of some columns run across, where these have moved."""
        total = 0.0
        for one in group:
            for other, weight in self._drawn[one]:
                share = weight / 2 if other in group else weight
                a, b = moved.get(one, self.x[one]), moved.get(other, self.x[other])
                total += share * abs(a - b)
        return total

    def _topological(self) -> Iterator[Vertex]:
        missing = {column: len(others) for column, others in self._left.items()}
        ready = [column for column, count in missing.items() if count == 0]
        for column in ready:
            yield column
            for other in self._right[column]:
                missing[other] -= 1
                if missing[other] == 0:
                    ready.append(other)
