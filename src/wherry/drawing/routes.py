"""The lines of links: down and across in the room between two ranks, each across in its track."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

from wherry.drawing.columns import apart
from wherry.drawing.layers import Chain, Layers, Vertex

Point: TypeAlias = tuple[float, float]

TRACK = 11.0  # pixels between two lines that run across in one gap
EDGE = 13.0  # pixels of a gap above its first and below its last track
PORTS = 16.0  # pixels between two lines at one side of a node
CORNER = 18.0  # pixels at the corners of a node where no line ends
STRAIGHT = 0.5  # pixels: less is no bend


class Crossing:
    """A part of a line within a gap: from (x, upper or lower side) to another."""

    __slots__ = ("a", "a_top", "b", "b_top", "track")

    def __init__(self, a: float, a_top: bool, b: float, b_top: bool) -> None:
        self.a, self.a_top, self.b, self.b_top = a, a_top, b, b_top
        self.track = 0

    @property
    def low(self) -> float:
        """Its left end."""
        return min(self.a, self.b)

    @property
    def high(self) -> float:
        """Its right end."""
        return max(self.a, self.b)

    def ends(self, top: bool) -> list[float]:
        """Return where it touches a side of the gap."""
        return [x for x, side in ((self.a, self.a_top), (self.b, self.b_top)) if side == top]


class Routes:
    """Lines for all links of a graph whose columns are set. Sets `y` of each vertex, its middle.

    Attributes:
        lines: For each link the corners of its line, from its source to its target.
        height: Of all.
    """

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        for chain in layers.chains:
            _straighten(layers, chain)
        self._ports = _ports(layers)
        self._gaps: list[list[Crossing]] = [[] for _ in range(len(layers.ranks) + 1)]
        self._shared: dict[tuple[Vertex, Vertex], Crossing] = {}
        self._crossings = [self._cross(number) for number in range(len(layers.chains))]
        tracks = [_track(gap) for gap in self._gaps]
        self._tops: list[float] = []  # of each rank
        self._bottoms = [0.0]
        for number, rank in enumerate(layers.ranks):
            top = self._bottoms[-1] + _deep(tracks[number], edge=number == 0)
            tall = max((one.height for one in rank), default=0.0)
            self._tops.append(top)
            self._bottoms.append(top + tall)
            for one in rank:
                one.y = top + tall / 2
        self.height = self._bottoms[-1] + _deep(tracks[-1], edge=True)
        self.lines = [self._line(number) for number in range(len(layers.chains))]

    def _cross(self, number: int) -> list[tuple[int, Crossing]]:
        """Return the gaps that a link passes, each with its part there, from its source on."""
        chain = self._layers.chains[number]
        start, end = self._ports[number]
        found: list[tuple[int, Crossing]] = []
        if chain.back:
            beside = chain.bends[::-1]
            below, above = chain.source.rank + 1, chain.target.rank
            found.append((below, Crossing(start, True, beside[0].x, True)))
            for low, high in pairwise(beside):
                found.append((low.rank, Crossing(low.x, False, high.x, True)))
            found.append((above, Crossing(beside[-1].x, False, end, False)))
        else:
            path = [chain.source, *chain.bends, chain.target]
            places = [start, *(one.x for one in chain.bends), end]
            for step, (a, b) in enumerate(pairwise(places)):
                part = Crossing(a, True, b, False)
                if step:  # between two bends, or from a bend, where others may go too
                    part = self._shared.setdefault((path[step], path[step + 1]), part)
                found.append((chain.source.rank + 1 + step, part))
        for gap, part in found:
            if abs(part.a - part.b) > STRAIGHT and part not in self._gaps[gap]:
                self._gaps[gap].append(part)
        return found

    def _line(self, number: int) -> list[Point]:
        chain = self._layers.chains[number]
        parts = self._crossings[number]
        if chain.joins is not None:
            parts = parts[: chain.joins + 1]
        source, target = chain.source, chain.target
        points = [(parts[0][1].a, source.y + source.height / 2)]
        for gap, part in parts:
            if abs(part.a - part.b) > STRAIGHT:
                y = self._bottoms[gap] + EDGE + part.track * TRACK
                points += [(points[-1][0], y), (part.b, y)]
        gap, last = parts[-1]
        if chain.joins is None:
            points.append((points[-1][0], target.y - target.height / 2))
        elif abs(last.a - last.b) <= STRAIGHT:
            points.append((points[-1][0], self._tops[gap]))
        return points


def _deep(tracks: int, edge: bool) -> float:
    if tracks == 0:
        return 0.0 if edge else EDGE
    return 2 * EDGE + (tracks - 1) * TRACK


def _straighten(layers: Layers, chain: Chain) -> None:
    """Put the only bend of a link below its source or above its target, if there is room."""
    if chain.back or len(chain.bends) != 1:
        return
    (bend,) = chain.bends
    rank = layers.ranks[bend.rank]
    low = rank[bend.order - 1] if bend.order else None
    high = rank[bend.order + 1] if bend.order + 1 < len(rank) else None
    for x in (chain.target.x, chain.source.x):
        if low is not None and x - low.x < apart(low, bend):
            continue
        if high is not None and high.x - x < apart(bend, high):
            continue
        if x - bend.width / 2 >= 0:
            bend.x = x
            return


def _ports(layers: Layers) -> list[tuple[float, float]]:
    """Return where each link leaves its source and enters its target: toward where it goes."""
    found = [[0.0, 0.0] for _ in layers.chains]
    for side in (0, 1):
        at: dict[Vertex, dict[object, tuple[float, list[int]]]] = {}
        for number, chain in enumerate(layers.chains):
            by: object = number
            if chain.bends:
                by = chain.bends[-1 if (side == 1) != chain.back else 0]
                near = by.x
            else:
                near = found[number][0] if side else chain.target.x
            ports = at.setdefault((chain.source, chain.target)[side], {})
            ports.setdefault(by, (near, []))[1].append(number)
        for node, ports in at.items():
            links = sorted(ports.values())
            for x, (_, numbers) in zip(_spread(node, [x for x, _ in links]), links, strict=True):
                for number in numbers:
                    found[number][side] = x
    return [(one[0], one[1]) for one in found]


def _spread(node: Vertex, wanted: list[float]) -> list[float]:
    """Return places at a side of a node, in order, each near the wanted one."""
    room = max(node.width / 2 - CORNER, 0.0)
    low, high = node.x - room, node.x + room
    gap = min(PORTS, 2 * room / max(len(wanted) - 1, 1))
    places = [min(max(x, low), high) for x in wanted]
    for at in range(1, len(places)):
        places[at] = max(places[at], places[at - 1] + gap)
    places[-1] = min(places[-1], high)
    for at in range(len(places) - 2, -1, -1):
        places[at] = min(places[at], places[at + 1] - gap)
    return [max(x, low) for x in places]


def _track(gap: list[Crossing]) -> int:
    """Give each line across a gap its track, with few crossings; return how many there are."""
    ordered = sorted(gap, key=lambda one: one.low)
    for _ in ordered:
        moved = False
        for at in range(len(ordered) - 1):
            upper, lower = ordered[at], ordered[at + 1]
            if _crossed(upper, lower) > _crossed(lower, upper):
                ordered[at], ordered[at + 1] = lower, upper
                moved = True
        if not moved:
            break
    for at, part in enumerate(ordered):
        beside = [
            one.track
            for one in ordered[:at]
            if one.low <= part.high + TRACK and part.low <= one.high + TRACK
        ]
        part.track = max(beside, default=-1) + 1
    return max((part.track for part in gap), default=-1) + 1


def _crossed(upper: Crossing, lower: Crossing) -> int:
    """Return how often two lines cross where one runs above the other."""
    return sum(upper.low < x < upper.high for x in lower.ends(True)) + sum(
        lower.low < x < lower.high for x in upper.ends(False)
    )
