"""What a function may do, resolved once: names of its grants to what they stand for."""

from __future__ import annotations

from wherry.platforms.shared.shapes import Queue
from wherry.platforms.shared.tables import Table
from wherry.ports import Denied, Rejected

Grants = frozenset[tuple[str, str, str]]


class Rights:
    """The grants of one function, and the tables and queues that they name.

    Args:
        grants: Kind, resource and action of each; None: everything, as the engine may.
        tables: All tables that there are.
        queues: All queues that there are.
        buckets: All buckets that there are.
        events: All events that there are.
        rekeyed: The tables that its release declares with another key than that by which their
            items are stored now: it would write beside them.
    """

    __slots__ = ("buckets", "events", "grants", "queues", "readable", "rekeyed", "writable")

    def __init__(
        self,
        grants: Grants | None,
        tables: dict[str, Table],
        queues: dict[str, Queue],
        buckets: dict[str, int],
        events: set[str],
        rekeyed: frozenset[str] = frozenset(),
    ) -> None:
        self.grants = grants
        self.events = events
        self.buckets = buckets
        self.rekeyed = rekeyed
        if rekeyed:
            tables = {name: table for name, table in tables.items() if name not in rekeyed}
        self.readable, self.writable, self.queues = tables, tables, queues
        if grants is not None:
            self.readable = {
                name: table for name, table in tables.items() if ("table", name, "read") in grants
            }
            self.writable = {
                name: table for name, table in tables.items() if ("table", name, "write") in grants
            }
            self.queues = {
                name: queue for name, queue in queues.items() if ("queue", name, "send") in grants
            }

    def allows(self, kind: str, name: str, action: str) -> bool:
        """Whether it may do this."""
        return self.grants is None or (kind, name, action) in self.grants

    def refusal(self, kind: str, name: str, action: str) -> Denied | Rejected:
        """Say why something was not found here: it may not be used, or there is no such thing."""
        if self.allows(kind, name, action):
            if kind == "table" and name in self.rekeyed:
                return Rejected(rekeyed_since(name))
            return Rejected(f"There is no {kind} {name!r}.")
        return Denied(name, action)


def rekeyed_since(table: str) -> str:
    """Say why a run of an older release may not use a table."""
    return (
        f"A newer release has given the table {table!r}, which was empty, another key; this run is "
        "of the release before and would not find its items. Update the engine that runs it."
    )
