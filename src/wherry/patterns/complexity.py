"""How much work the wildcards of one field are, in event-ruler's measure.

The measure is the number of beginnings of wildcard patterns (`*`, `*:`, `*:*` of `*:*:x`) that
one value can match at the same time, for the worst value there is. Matching here costs the same
for all of them; the measure is for EventBridge, which refuses what is above its bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

STAR = None
Token: TypeAlias = str | None
_State: TypeAlias = frozenset[tuple[int, int]]

_VISITS = 500  # sets of beginnings looked at; what is not found to be too complex then is taken


def most_beginnings(wildcards: Sequence[Sequence[Token]], bound: int) -> int:
    """Return how many beginnings match at once in the worst case, at most `bound`."""
    letters = {token for tokens in wildcards for token in tokens if token is not STAR} | {""}
    start = _closed(wildcards, ((which, 0) for which in range(len(wildcards))))
    seen, waiting, most = {start}, [start], _size(start)
    while waiting and most < bound and len(seen) < _VISITS:
        state = waiting.pop()
        found = {_after(wildcards, state, letter) for letter in letters} - seen
        seen |= found
        most = max([most, *map(_size, found)])
        # The largest first: where much matches, more soon will.
        waiting = sorted([*waiting, *found], key=_size)
    return min(most, bound)


def _after(wildcards: Sequence[Sequence[Token]], state: _State, letter: str) -> _State:
    moved = []
    for which, at in state:
        tokens = wildcards[which]
        if at and tokens[at - 1] is STAR:
            moved.append((which, at))
        if at < len(tokens) and letter and tokens[at] == letter:
            moved.append((which, at + 1))
    return _closed(wildcards, moved)


def _closed(wildcards: Sequence[Sequence[Token]], places: Iterable[tuple[int, int]]) -> _State:
    """A star may also be nothing: add the place behind it."""
    closed = set(places)
    for which, at in tuple(closed):
        if at < len(wildcards[which]) and wildcards[which][at] is STAR:
            closed.add((which, at + 1))
    return frozenset(closed)


def _size(state: _State) -> int:
    return sum(at > 0 for _, at in state)
