"""What one sweep has done, as it adds up."""

from __future__ import annotations

from wherry.platforms.shared.queues import note_due


class Sums:
    """Rows that went, queues where a message's turn has come, and failed work that was given up."""

    def __init__(self) -> None:
        self.count = 0
        self.queued: dict[str, int] = {}
        self.given_up: dict[str, int] = {}

    def turn(self, queue: str, due_ms: int | None) -> None:
        """A message of this queue falls due then (None: none does)."""
        if due_ms is not None:
            note_due(self.queued, queue, due_ms)
