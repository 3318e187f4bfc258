"""The failure inbox, as far as both stores have the same of it: the bounds of its pages."""

from __future__ import annotations

from wherry.ports import ListFailures

_NEWEST = (1 << 63) - 1
_PAGE_MAX = 1_000


def failures_from(request: ListFailures) -> tuple[int, int]:
    """Return before which number a page of failures begins, and how many it has."""
    after = request.after
    before = int(after) if after and after.isdecimal() else _NEWEST
    return before, max(1, min(request.limit, _PAGE_MAX))


def chosen_most(limit: int) -> int:
    """Return how many failures leave the inbox at most where so many are asked for."""
    return max(0, min(limit, _PAGE_MAX))
