"""From nodes and links to ranks of vertices, by Sugiyama's method: each link goes down one rank.

A link over several ranks is a chain of bends; where it has a label that is a vertex too, so that
nothing is ever drawn over it. Nodes stand in even ranks, labels in odd ones. A link that goes back
up is a chain beside the states that it repeats: from below its source to above its target.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

SWEEPS = 24  # tries to find an order with fewer crossings
SWEPT = 20_000  # vertices in all tries together; bounds what a large machine costs
PASSES = 8  # over all ranks, exchanging neighbours, in each try
_BESIDE = 0.1  # of a place: right of a node, and left of whatever is next


class Vertex:
    """A place in a rank: a node, a label, or a bend of a link.

    Attributes:
        node: The node's name; None for what belongs to a link.
        link: The number of its link, for a label or a bend.
    """

    __slots__ = ("height", "link", "node", "order", "rank", "width", "x", "y")

    def __init__(
        self, rank: int, width: float, height: float, node: str | None = None, link: int = -1
    ) -> None:
        self.rank = rank
        self.width = width
        self.height = height
        self.node = node
        self.link = link
        self.order = 0
        self.x = 0.0
        self.y = 0.0


class Chain:
    """A link as it is drawn: from a node over bends to a node. `label` is one of the bends.

    Attributes:
        fork: It is one of several equal ways from its source.
        joins: From which of its bends on another link's line goes on for it (None: none does).
    """

    __slots__ = ("back", "bends", "fork", "joins", "label", "source", "target")

    def __init__(self, source: Vertex, target: Vertex, back: bool) -> None:
        self.source = source
        self.target = target
        self.back = back
        self.fork = False
        self.bends: list[Vertex] = []
        self.joins: int | None = None
        self.label: Vertex | None = None


Size = tuple[float, float]


class Layers:
    """A graph in ranks.

    Args:
        sizes: Width and height of each node, in the order in which they were declared.
        links: Pairs of names, and the size of the label (None: it has none).
        start: Where the first rank begins.
        forks: Nodes whose ways on are equals; of others the first is the main one.
        bundled: Numbers of links that share one line, where they lead to the same node.
    """

    def __init__(
        self,
        sizes: dict[str, Size],
        links: Sequence[tuple[str, str, Size | None]],
        start: str,
        forks: Collection[str] = (),
        bundled: Iterable[int] = (),
    ) -> None:
        ordered, back = _walk(sizes, links, start)
        ranks = _ranks(ordered, links, back)
        self.nodes = {name: Vertex(ranks[name], *sizes[name], node=name) for name in ordered}
        self.ranks: list[list[Vertex]] = [[] for _ in range(max(ranks.values()) + 1)]
        self.chains: list[Chain] = []
        for number, (source, target, label) in enumerate(links):
            chain = Chain(self.nodes[source], self.nodes[target], number in back)
            chain.fork = source in forks
            self.chains.append(chain)
            _bend(chain, number, label)
        self._bundle([self.chains[number] for number in bundled])
        self._fill(ordered)
        self._sides = self._neighbours()
        self._turns: list[list[tuple[Vertex, Vertex, bool]]] = [[] for _ in self.ranks]
        for turn in self.turns():
            self._turns[turn[0].rank].append(turn)
        self._uncross()

    def _bundle(self, chains: list[Chain]) -> None:
        """Let links to the same node share their bends, from below their labels on."""
        shared: dict[tuple[Vertex, int], Vertex] = {}
        for chain in sorted(chains, key=lambda one: one.source.rank):
            for place, bend in enumerate(() if chain.back else chain.bends):
                if bend is chain.label:
                    continue
                kept = shared.setdefault((chain.target, bend.rank), bend)
                if kept is not bend and chain.joins is None:
                    chain.joins = place
                chain.bends[place] = kept

    def _fill(self, ordered: list[str]) -> None:
        """Put the vertices into their ranks, in the order in which a reader meets them."""
        leaving: dict[Vertex, list[Chain]] = {}
        for chain in self.chains:
            leaving.setdefault(chain.source, []).append(chain)
        for name in ordered:
            node = self.nodes[name]
            self._add(node)
            for chain in leaving.get(node, ()):
                for bend in chain.bends[: chain.joins]:
                    self._add(bend)

    def _add(self, vertex: Vertex) -> None:
        rank = self.ranks[vertex.rank]
        vertex.order = len(rank)
        rank.append(vertex)

    def _neighbours(self) -> tuple[dict[Vertex, list[Vertex]], dict[Vertex, list[Vertex]]]:
        above: dict[Vertex, list[Vertex]] = {one: [] for rank in self.ranks for one in rank}
        below: dict[Vertex, list[Vertex]] = {one: [] for rank in self.ranks for one in rank}
        for upper, lower in dict.fromkeys(self.segments()):
            below[upper].append(lower)
            above[lower].append(upper)
        return above, below

    def turns(self) -> Iterable[tuple[Vertex, Vertex, bool]]:
        """Yield a node and the bend beside it for each end of a link that goes back.

        The line turns around below the rank (True) or above it.
        """
        for chain in self.chains:
            if chain.back:
                yield chain.source, chain.bends[-1], True
                yield chain.target, chain.bends[0], False

    def segments(self) -> Iterable[tuple[Vertex, Vertex]]:
        """Yield what links two neighbouring ranks, the upper end first."""
        for chain in self.chains:
            ends = ([], []) if chain.back else ([chain.source], [chain.target])
            yield from pairwise([*ends[0], *chain.bends, *ends[1]])

    # -- the order within ranks ---------------------------------------------------------------

    def _uncross(self) -> None:
        """Look for an order with few crossings; of equals the one that was found first stays."""
        best = self._crossings()
        kept = [list(rank) for rank in self.ranks]
        for sweep in range(min(SWEEPS, 1 + SWEPT // sum(map(len, self.ranks)))):
            if best == 0:
                break
            down = sweep % 2 == 0
            numbers = range(1, len(self.ranks)) if down else range(len(self.ranks) - 2, -1, -1)
            for number in numbers:
                self._sort(number, self._sides[0 if down else 1])
            self._swap()
            found = self._crossings()
            if found < best:
                best = found
                kept = [list(rank) for rank in self.ranks]
        self.ranks = kept
        for rank in self.ranks:
            _number(rank)

    def _sort(self, number: int, side: dict[Vertex, list[Vertex]]) -> None:
        """Order a rank by the mean place of what each vertex is linked to; others stay."""
        rank = self.ranks[number]
        means = {
            one: sum(other.order for other in side[one]) / len(side[one])
            for one in rank
            if side[one]
        }
        for node, bend, _ in self._turns[number]:
            if not side[bend]:
                means[bend] = means.get(node, float(node.order)) + _BESIDE
        movable = sorted((one for one in rank if one in means), key=lambda one: means[one])
        moved = iter(movable)
        rank[:] = [next(moved) if one in means else one for one in rank]
        _number(rank)

    def _swap(self) -> None:
        """Exchange neighbours as long as that takes crossings away."""
        for _ in range(PASSES):
            better = False
            for number, rank in enumerate(self.ranks):
                for at in range(len(rank) - 1):
                    left, right = rank[at], rank[at + 1]
                    before = self._crossed(left, right) + self._turned(number)
                    left.order, right.order = at + 1, at
                    rank[at], rank[at + 1] = right, left
                    if self._crossed(right, left) + self._turned(number) < before:
                        better = True
                        continue
                    left.order, right.order = at, at + 1
                    rank[at], rank[at + 1] = left, right
            if not better:
                return

    def _crossed(self, left: Vertex, right: Vertex) -> int:
        return sum(
            one.order > other.order
            for side in self._sides
            for one in side[left]
            for other in side[right]
        )

    def _turned(self, number: int) -> int:
        """Return how many lines those cross that turn around at a rank."""
        rank = self.ranks[number]
        found = 0
        for node, bend, below in self._turns[number]:
            low, high = sorted((node.order, bend.order))
            side = self._sides[1 if below else 0]
            found += sum(len(side[one]) for one in rank[low + 1 : high])
        return found

    def _crossings(self) -> int:
        below = self._sides[1]
        found = sum(map(self._turned, range(len(self.ranks))))
        for rank in self.ranks:
            passed: list[int] = []  # where the lines of those to the left end, sorted
            for one in rank:
                ends = [other.order for other in below[one]]
                found += sum(len(passed) - bisect_right(passed, end) for end in ends)
                for end in ends:
                    insort(passed, end)
        return found


def _number(rank: list[Vertex]) -> None:
    for order, one in enumerate(rank):
        one.order = order


def _walk(
    sizes: dict[str, Size], links: Sequence[tuple[str, str, Size | None]], start: str
) -> tuple[list[str], set[int]]:
    """Return the nodes in an order in which links go forward, and the links that go back."""
    leaving: dict[str, list[tuple[int, str]]] = {name: [] for name in sizes}
    for number, (source, target, _) in enumerate(links):
        leaving[source].append((number, target))
    back: set[int] = set()
    done: dict[str, bool] = {}  # False while the walk is below it
    finished: list[str] = []
    for root in [start, *sizes]:
        if root in done:
            continue
        done[root] = False
        path = [(root, iter(leaving[root][::-1]))]
        while path:
            name, left = path[-1]
            number, target = next(left, (-1, ""))
            if number < 0:
                done[name] = True
                finished.append(name)
                path.pop()
            elif target not in done:
                done[target] = False
                path.append((target, iter(leaving[target][::-1])))
            elif not done[target]:
                back.add(number)
    return finished[::-1], back


def _ranks(
    ordered: list[str], links: Sequence[tuple[str, str, Size | None]], back: set[int]
) -> dict[str, int]:
    ranks = dict.fromkeys(ordered, 0)
    forward: dict[str, list[str]] = {name: [] for name in ordered}
    for number, (source, target, _) in enumerate(links):
        if number not in back:
            forward[source].append(target)
    for name in ordered:
        for target in forward[name]:
            ranks[target] = max(ranks[target], ranks[name] + 2)
    return ranks


def _bend(chain: Chain, number: int, label: Size | None) -> None:
    """Make the vertices of a link between its nodes, from the upper to the lower rank."""
    first, last = chain.source.rank, chain.target.rank
    if chain.back:
        first, last = last - 1, first + 1
    for rank in range(first + 1, last):
        labelled = label is not None and rank == (last - 1 if chain.back else first + 1)
        width, height = label if labelled and label is not None else (0.0, 0.0)
        bend = Vertex(rank, width, height, link=number)
        chain.bends.append(bend)
        if labelled:
            chain.label = bend
